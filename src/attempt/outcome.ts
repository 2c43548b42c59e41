/**
 * Reads what a stage returned, and how its Effect ended, as one of the outcomes or a failure.
 */
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import { constVoid } from "effect/Function"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import * as Result from "effect/Result"
import type * as Schema from "effect/Schema"
import { type Fail, isStageOutput, plainOk, type StageOutput } from "../internal/output-model.ts"
import { type Problem, problemsOf } from "../internal/problems.ts"
import { StageFault } from "../StageError.ts"
import { fail } from "../StageOutput.ts"
import type { Outcome } from "./interceptor-model.ts"

/** How a stage ended: with an outcome, or with an error and its whole cause. */
export type Ending = Outcome | FailedEnding

/** The error that a stage failed with, and its whole cause. */
export class FailedEnding {
  readonly _tag = "Failed"
  readonly error: unknown
  readonly cause: Cause.Cause<unknown>
  constructor(error: unknown, cause: Cause.Cause<unknown>) {
    this.error = error
    this.cause = cause
  }
}

/** A failure with a typed error and nothing else in its cause. */
export const failedEnding = (error: unknown): FailedEnding => new FailedEnding(error, Cause.fail(error))

const empty = Object.freeze({})

/** Hears what a promise rejects with that nobody will look at: unheard, it would end the process. */
const disregard = (promise: PromiseLike<unknown>): void => {
  Result.try(() => promise.then(undefined, constVoid))
}

const whatItIs = (value: unknown): string => {
  if (value === null) return "null"
  if (Effect.isEffect(value)) return "an Effect (did you forget yield* ?)"
  if (Predicate.isPromiseLike(value)) {
    disregard(value)
    return "a Promise (use Stage.promise, or Effect.tryPromise)"
  }
  return typeof value === "number" && Number.isNaN(value) ? "NaN" : `a ${typeof value}`
}

const invalid = (stage: string, message: string): StageFault =>
  new StageFault({ stage, reason: { _tag: "InvalidOutput", problems: [{ path: [], message }] } })

const isData = (value: unknown): value is object =>
  typeof value === "object" && value !== null && !Predicate.isPromiseLike(value) && !Effect.isEffect(value)

/** An object literal, which can be nothing but data: the common case, told with one look. */
export const isLiteral = (value: unknown): value is object =>
  typeof value === "object" && value !== null && Object.getPrototypeOf(value) === Object.prototype && !("then" in value)

/** Reads what a stage returned: an outcome, an object that is its data, or nothing. */
export const outcomeOfValue = (stage: string, value: unknown): Outcome | Fail<unknown> => {
  if (isLiteral(value)) return plainOk(value)
  if (value === undefined) return plainOk(empty)
  if (isStageOutput(value)) return value._tag === "Ok" ? checkedOk(stage, value) : value
  if (isData(value)) return plainOk(value)
  return fail(invalid(stage, `Expected an object, an output or nothing, got ${whatItIs(value)}`))
}

const checkedOk = (stage: string, output: StageOutput & { readonly _tag: "Ok" }): Outcome | Fail<unknown> =>
  isData(output.data)
    ? output
    : fail(invalid(stage, `Expected the data of StageOutput.ok to be an object, got ${whatItIs(output.data)}`))

/** What a stage's function returned, which without types need not be an Effect: an async function returns a Promise. */
export const asEffect = (stage: string, returned: unknown): Effect.Effect<unknown, unknown, unknown> =>
  Effect.isEffect(returned)
    ? returned
    : Effect.fail(invalid(stage, `Expected \`run\` to be or to return an Effect, got ${whatItIs(returned)}`))

/** The outcome that a stage yielded, when that is all its cause says. */
const yielded = (cause: Cause.Cause<unknown>): StageOutput | undefined => {
  const [reason] = cause.reasons
  if (cause.reasons.length !== 1 || reason === undefined || !Cause.isFailReason(reason)) return undefined
  return isStageOutput(reason.error) ? reason.error : undefined
}

/** What made a stage fail: its typed error if there is one, or a fault that says what else it was. */
const errorOf = (stage: string, cause: Cause.Cause<unknown>): unknown => {
  const failed = cause.reasons.find(Cause.isFailReason)
  if (failed !== undefined) return isStageOutput(failed.error) ? errorOfOutput(stage, failed.error) : failed.error
  const died = cause.reasons.find(Cause.isDieReason)
  if (died === undefined) return new StageFault({ stage, reason: { _tag: "SelfInterrupted" } })
  // Effect turns what was yielded, and a typed error, into a defect when a finalizer dies as well.
  if (isStageOutput(died.defect)) return errorOfOutput(stage, died.defect)
  return diedOnTheWayOut(cause) && isTagged(died.defect) ? died.defect : faultOf(stage, died.defect)
}

const diedOnTheWayOut = (cause: Cause.Cause<unknown>): boolean => cause.reasons.filter(Cause.isDieReason).length > 1

/** Whether it is what typed errors are: an error with a tag. A defect hardly ever is. */
const isTagged = (defect: unknown): boolean => defect instanceof Error && Predicate.hasProperty(defect, "_tag")

// An outcome was yielded and something else went wrong as well, a finalizer for one.
const errorOfOutput = (stage: string, output: StageOutput): unknown =>
  output._tag === "Fail" ? output.error : invalid(stage, `Ended as ${output._tag}, and failed on the way out`)

const faultOf = (stage: string, defect: unknown): StageFault =>
  new StageFault({ stage, reason: { _tag: "Defect", defect } })

/** The `StageOutput.fail(...)` that a cause comes from: its data and artifacts travel as an annotation. */
const ReturnedFail = Context.Service<Fail<unknown>>("stageflow/internal/ReturnedFail")

const causeOf = (output: Fail<unknown>): Cause.Cause<unknown> =>
  Cause.annotate(Cause.fail(output.error), Context.make(ReturnedFail, output))

/** The `StageOutput.fail(...)` behind a failure, when there is one. */
export const returnedFail = (cause: Cause.Cause<unknown>): Fail<unknown> | undefined =>
  Option.getOrUndefined(Context.getOption(Cause.annotations(cause), ReturnedFail))

const endingOfOutcome = (outcome: Outcome | Fail<unknown>): Ending =>
  outcome._tag === "Fail" ? new FailedEnding(outcome.error, causeOf(outcome)) : outcome

/** Whether what a stage's Effect ended with is more than its own business: it failed, or it ends the run. */
export const leavesRun = (exit: Exit.Exit<unknown, unknown>): boolean => {
  const output = exit._tag === "Failure" ? yielded(exit.cause) : isStageOutput(exit.value) ? exit.value : undefined
  return output === undefined ? exit._tag === "Failure" : output._tag !== "Ok" && output._tag !== "Skip"
}

/** Reads how a stage's Effect ended. */
export const endingOfExit = (stage: string, exit: Exit.Exit<unknown, unknown>): Ending => {
  if (exit._tag === "Success") return endingOfOutcome(outcomeOfValue(stage, exit.value))
  const output = yielded(exit.cause)
  if (output !== undefined) return endingOfOutcome(outcomeOfValue(stage, output))
  return new FailedEnding(errorOf(stage, exit.cause), exit.cause)
}

/** A stage's Effect in the form that interceptors wrap: an outcome, or a failure. */
export const normalize = <R>(
  stage: string,
  effect: Effect.Effect<unknown, unknown, R>
): Effect.Effect<Outcome, unknown, R> =>
  Effect.matchCauseEffect(effect, {
    onSuccess: (value) => toEffect(outcomeOfValue(stage, value)),
    onFailure: (cause) => {
      const output = yielded(cause)
      return output === undefined ? Effect.failCause(cause) : toEffect(outcomeOfValue(stage, output))
    }
  })

const toEffect = (outcome: Outcome | Fail<unknown>): Effect.Effect<Outcome, unknown> =>
  outcome._tag === "Fail" ? Effect.failCause(causeOf(outcome)) : Effect.succeed(outcome)

const invalidData = (stage: string, problems: ReadonlyArray<Problem>): StageFault =>
  new StageFault({ stage, reason: { _tag: "InvalidOutput", problems } })

/** Why an output schema did not take the data of a stage, as the fault that it is: the data's, or its own. */
export const causeOfInvalidData = (stage: string, cause: Cause.Cause<Schema.SchemaError>): Cause.Cause<unknown> => {
  const error = Option.getOrUndefined(Cause.findErrorOption(cause))
  if (error !== undefined) return Cause.fail(invalidData(stage, problemsOf(error.issue)))
  const died = cause.reasons.find(Cause.isDieReason)
  if (died === undefined) return cause
  // A schema looks into data by recursion, and the stack has an end.
  const message = died.defect instanceof RangeError
    ? "It is nested too deep for its schema"
    : "Its schema threw when it was checked (see `cause`)"
  return Cause.combine(Cause.fail(invalid(stage, message)), cause)
}

/** What a stage gave threw when it was read: a getter or a Proxy in it. */
export const unreadable = (stage: string, defect: unknown): FailedEnding => {
  const fault = invalid(stage, "Its output threw when it was read (see `cause`)")
  return new FailedEnding(fault, Cause.combine(Cause.fail(fault), Cause.die(defect)))
}

/** A condition or an input of a stage threw. */
export const wiringFailed = (stage: string, part: "when" | "inputs", defect: unknown): FailedEnding =>
  new FailedEnding(new StageFault({ stage, reason: { _tag: "WiringFailed", part, defect } }), Cause.die(defect))

const kindOf = (value: unknown): string => {
  if (value === undefined || value === null) return String(value)
  if (typeof value !== "object") return `a ${typeof value}`
  if (Effect.isEffect(value)) return "an Effect"
  if (!Predicate.isPromiseLike(value)) return "an object"
  disregard(value)
  return "a Promise"
}

/** The condition of a stage gave neither true nor false. */
export const noBoolean = (stage: string, value: unknown): FailedEnding => {
  // A value can throw when it is looked at.
  const gave = Result.getOrElse(Result.try(() => kindOf(value)), () => "an object")
  const defect = new TypeError(`Expected true or false, got ${gave}`)
  return new FailedEnding(
    new StageFault({ stage, reason: { _tag: "WiringFailed", part: "when", gave, defect } }),
    Cause.die(defect)
  )
}
