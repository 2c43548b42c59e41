/**
 * Tells a guard's rejection from a failure: the guard did its work, and said no to what it was given.
 */
import type { StageFailed } from "../RunResult.ts"
import { RetryExhausted, StageFault, StageTimeout } from "../StageError.ts"

/** The failures of runs that a guard's rejection ended: nothing else of a run says what kind of stage failed. */
const rejectedRuns = new WeakSet<object>()

/** Whether a stage of this kind that failed with this error has rejected what it was given, itself or in a run of its own. */
export const isRejection = (kind: string, error: unknown): boolean => {
  if (typeof error === "object" && error !== null && rejectedRuns.has(error)) return true
  if (error instanceof StageFault || error instanceof StageTimeout || error instanceof RetryExhausted) return false
  return kind === "guard"
}

/** Remembers that a run failed because one of its stages rejected what it was given. */
export const noteRejection = (failed: StageFailed): void => {
  rejectedRuns.add(failed)
}
