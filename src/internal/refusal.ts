/**
 * Tells refusals from failures: errors that say no, which nobody may retry, fall back from, hedge or keep.
 */
import * as Predicate from "effect/Predicate"
import * as Result from "effect/Result"

/** Marks an error as a refusal. */
export const RefusalTypeId = "~stageflow/Refusal"

/** The failures of runs that a refusal ended: nothing else of a failed run says what kind of stage it was that failed. */
const rejections = new WeakSet<object>()

/** Remembers that a run failed because one of its stages was refused. */
export const noteRejection = (failed: object): void => {
  rejections.add(failed)
}

/** Whether an error says no, or is that of a run in which one of its stages did. */
export const isRefusal = (error: unknown): boolean =>
  // A getter of an error may throw, which says nothing.
  Result.getOrElse(Result.try(() => saysNo(error)), () => false)

const saysNo = (error: unknown): boolean => {
  for (let next = error, depth = 0; depth < deepest && typeof next === "object" && next !== null; depth++) {
    if (rejections.has(next) || Predicate.hasProperty(next, RefusalTypeId)) return true
    if (!Predicate.isTagged(next, "StageFailed") || !("error" in next)) return false
    next = next.error
  }
  return false
}

/** How many runs inside of each other are looked through. */
const deepest = 100
