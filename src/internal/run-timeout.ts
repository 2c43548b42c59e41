/**
 * Marks errors of runs whose time was over.
 */
import * as Predicate from "effect/Predicate"

/** Marks the error of a run that took longer than it may; its value says how long that is, in milliseconds. */
export const RunTimeoutTypeId = "~stageflow/RunTimeout"

/** How long a run might have taken that ended with this error, in milliseconds; nothing when that was not why. */
export const limitOfRun = (error: unknown): number | undefined =>
  Predicate.hasProperty(error, RunTimeoutTypeId) && typeof error[RunTimeoutTypeId] === "number"
    ? error[RunTimeoutTypeId]
    : undefined
