import * as Context from "effect/Context"
import type { Pick } from "./active-run.ts"

/**
 * Which of several ready stages starts next; the one that has been ready longest when nothing is set. `testing` sets it
 * to a seeded shuffle.
 */
export const ReadyOrder = Context.Reference<Pick | undefined>("stageflow/internal/ReadyOrder", {
  defaultValue: () => undefined
})
