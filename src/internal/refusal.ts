/**
 * Tells refusals from failures: errors that say no, which nobody may retry, fall back from, hedge or keep.
 */
import * as Cause from "effect/Cause"
import * as Predicate from "effect/Predicate"
import * as Result from "effect/Result"

/** Marks an error as a refusal. */
export const RefusalTypeId = "~stageflow/Refusal"

/**
 * What says no without a mark of its own: the failures of runs that a refusal ended, and errors of somebody else's that
 * denied a stage or a run.
 */
const rejections = new WeakSet<object>()

/** Remembers that this is how something was refused. */
export const noteRejection = (failed: object): void => {
  rejections.add(failed)
}

/** Remembers that whoever failed with this has refused. */
export const noteRefusals = (cause: Cause.Cause<unknown>): void => {
  for (const reason of cause.reasons) {
    if (Cause.isFailReason(reason) && Predicate.isObjectKeyword(reason.error)) noteRejection(reason.error)
    // What a Layer's interceptor denied has no place in the type of the run.
    if (Cause.isDieReason(reason) && isRunRejected(reason.defect)) noteRejection(reason.defect)
  }
}

const isRunRejected = (defect: unknown): defect is object => Predicate.isTagged(defect, "RunRejected")

/** Whether an error says no, or is that of a run in which one of its stages did. */
export const isRefusal = (error: unknown): boolean =>
  // A getter of an error may throw, which says nothing.
  Result.getOrElse(Result.try(() => saysNo(error)), () => false)

const saysNo = (error: unknown): boolean => {
  for (let next = error, depth = 0; depth < deepest && typeof next === "object" && next !== null; depth++) {
    if (rejections.has(next) || Predicate.hasProperty(next, RefusalTypeId)) return true
    next = within(next)
  }
  return false
}

const tellingOfAnother = ["StageFailed", "SubpipelineFailed", "RunRejected"]

/** The error that another one tells of: that of a run, or of an interceptor that a Layer installed. */
const within = (error: object): unknown => {
  if (tellingOfAnother.some((tag) => Predicate.isTagged(error, tag))) return "error" in error ? error.error : undefined
  if (!Predicate.isTagged(error, "StageFault") || !("reason" in error)) return undefined
  const { reason } = error
  // The run of an item or of a contestant dies of what a Layer's interceptor around it denied.
  if (Predicate.isTagged(reason, "Defect") && "defect" in reason) {
    return isRunRejected(reason.defect) ? reason.defect : undefined
  }
  return Predicate.isTagged(reason, "InterceptorFailed") && "error" in reason ? reason.error : undefined
}

/** How many errors inside of each other are looked through: some for each run. */
const deepest = 200
