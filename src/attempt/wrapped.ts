/**
 * Holds what a stage carries around its `run`.
 */
import type { Gate } from "./gate.ts"
import type { Around } from "./interceptor-model.ts"

export interface Wrapped {
  /** What is around `run`, innermost first. */
  readonly arounds: ReadonlyArray<Around>
  /** What asks before it runs. */
  readonly gates: ReadonlyArray<Gate>
}

/** What a stage carries. */
export const wrappedOf = (stage: object): Wrapped =>
  // Every stage is made in `Stage`, as one of these.
  stage as Wrapped
