/**
 * Tells refusals from failures: errors that say no, which nobody may retry, fall back from, hedge or keep.
 */
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
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

/** Says of a cause that whoever failed with it has refused: for errors that cannot be remembered, such as a text. */
const Refused = Context.Service<true>("stageflow/internal/Refused")

/** Remembers that whoever failed with this has refused. Gives the cause that says so, whatever its error is. */
export const refusing = <E>(cause: Cause.Cause<E>): Cause.Cause<E> => {
  let isRemembered = true
  for (const reason of cause.reasons) {
    if (Cause.isFailReason(reason)) {
      if (Predicate.isObjectKeyword(reason.error)) noteRejection(reason.error)
      else isRemembered = false
    }
    // What a Layer's interceptor denied has no place in the type of the run.
    if (Cause.isDieReason(reason) && isRunRejected(reason.defect)) noteRejection(reason.defect)
  }
  return isRemembered ? cause : Cause.annotate(cause, Context.make(Refused, true))
}

/** Whoever fails in this Effect when `says` is true then has refused. */
export const refusingWhen = <A, E, R>(effect: Effect.Effect<A, E, R>, says: () => boolean): Effect.Effect<A, E, R> =>
  Effect.catchCause(effect, (cause) => Effect.failCause(says() ? refusing(cause) : cause))

const isRunRejected = (defect: unknown): defect is object => Predicate.isTagged(defect, "RunRejected")

/**
 * Whether an error says no, or is that of a run in which one of its stages did. One that is no object is only known to by the
 * cause that it was in.
 */
export const isRefusal = (error: unknown, cause?: Cause.Cause<unknown>): boolean =>
  // A getter of an error may throw, which says nothing.
  Result.getOrElse(Result.try(() => saysNo(error)), () => false)
  || (cause !== undefined && cause.reasons.some(isRefusedReason))

const isRefusedReason = (reason: Cause.Reason<unknown>): boolean =>
  Cause.isFailReason(reason) && !Predicate.isObjectKeyword(reason.error)
  && Option.isSome(Context.getOption(Cause.reasonAnnotations(reason), Refused))

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
