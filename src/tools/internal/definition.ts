/**
 * Keeps what a tool does out of the tool: only what runs tools, and gates them, gets at it.
 */
import type * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import type * as Stage from "../../Stage.ts"
import type { Diff } from "../Diff.ts"

/** What a tool does. The signatures know the types. */
export interface Definition {
  /** Runs the tool, with the interceptors that wrap it: it takes the parameters and gives `{ value }`. */
  readonly stage: Stage.Any
  readonly needsApproval: "never" | "always" | ((parameters: unknown) => Effect.Effect<boolean, unknown, unknown>)
  readonly approvalMessage: string | ((parameters: unknown) => string)
  readonly change: ((parameters: unknown) => Effect.Effect<Diff | undefined, unknown, unknown>) | undefined
  readonly undo: ((value: unknown, parameters: unknown) => Effect.Effect<unknown, unknown, unknown>) | undefined
  readonly undoLimit: Duration.Duration
}

const definitions = new WeakMap<object, Definition>()

export const define = <T extends object>(tool: T, definition: Definition): T => {
  definitions.set(tool, definition)
  return tool
}

export const definitionOf = (tool: object): Definition =>
  // Whatever is a tool was made by `define`.
  definitions.get(tool) as Definition
