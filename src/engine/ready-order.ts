/**
 * Decides which of several ready stages starts next.
 */
import * as Context from "effect/Context"

/** Picks one of `count` ready stages. */
export type Pick = (count: number) => number

/**
 * Which of several ready stages starts next; the one that has been ready longest when nothing is set. `testing` sets it
 * to a seeded shuffle.
 */
export const ReadyOrder = Context.Reference<Pick | undefined>("stageflow/engine/ReadyOrder", {
  defaultValue: () => undefined
})
