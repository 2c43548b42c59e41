/**
 * Reads what a stage returned, and how its Effect ended, as one of the outcomes or a failure.
 */
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import * as Result from "effect/Result"
import type * as Schema from "effect/Schema"
import { together } from "../internal/causes.ts"
import {
  type Fail,
  isStageOutput,
  noItems,
  type Ok,
  plainOk,
  type StageOutput,
  yieldedIn
} from "../internal/output-model.ts"
import { type FieldProblem, problemsOf, problemsUnder } from "../internal/problems.ts"
import { framesOf, shortFrame } from "../internal/stack-frames.ts"
import { StageFault } from "../StageError.ts"
import type { Outcome } from "./interceptor-model.ts"
import { isData, kindOf, OutcomeReader, whatItIs } from "./made-outcome.ts"

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

const invalidOutput = (stage: string, problems: ReadonlyArray<FieldProblem>): StageFault =>
  new StageFault({ stage, reason: { _tag: "InvalidOutput", problems } })

const invalid = (stage: string, message: string): StageFault => invalidOutput(stage, [{ path: [], message }])

/** An object literal, which can be nothing but data: the common case, told with one look. */
export const isLiteral = (value: unknown): value is object =>
  typeof value === "object" && value !== null && Object.getPrototypeOf(value) === Object.prototype && !("then" in value)

/** Reads what a stage returned: an outcome, an object that is its data, or nothing. */
const endingOfValue = (stage: string, value: unknown): Ending => {
  if (isLiteral(value)) return plainOk(value)
  if (value === undefined) return plainOk(empty)
  if (isStageOutput(value)) return endingOfOutput(stage, value)
  if (isData(value)) return plainOk(value)
  return failedEnding(invalid(stage, `Expected an object, an output or nothing, got ${whatItIs(value)}`))
}

/** An `Ok` with nothing beside its data, which is what interceptors make of the data of most stages. */
const isPlain = (output: StageOutput): output is Ok<unknown> =>
  output._tag === "Ok" && output.artifacts === noItems && output.events === noItems && output.version === undefined
  && isData(output.data)

const endingOfOutput = (stage: string, made: StageOutput): Ending => {
  if (isPlain(made)) return made
  const reader = new OutcomeReader()
  const output = reader.read(made)
  // What is wrong beside a typed error never hides it.
  if (output?._tag === "Fail") return new FailedEnding(output.error, causeOf(output))
  if (output !== undefined && reader.problems.length === 0) return output
  const fault = invalidOutput(stage, reader.problems)
  const cause = Cause.fail(fault)
  return new FailedEnding(fault, reader.thrown === undefined ? cause : together(cause, Cause.die(reader.thrown)))
}

/** What a stage's function returned, which without types need not be an Effect: an async function returns a Promise. */
export const asEffect = (stage: string, returned: unknown): Effect.Effect<unknown, unknown, unknown> =>
  Effect.isEffect(returned)
    ? returned
    : Effect.fail(invalid(stage, `Expected \`run\` to be or to return an Effect, got ${whatItIs(returned)}`))

/** What made a stage fail: its typed error if there is one, or a fault that says what else it was. */
const errorOf = (stage: string, cause: Cause.Cause<unknown>): unknown => {
  const failed = cause.reasons.find(Cause.isFailReason)
  if (failed !== undefined) {
    return isStageOutput(failed.error)
      ? errorOfOutput(stage, failed.error, cause)
      : failed.error
  }
  const died = cause.reasons.find(Cause.isDieReason)
  if (died === undefined) return new StageFault({ stage, reason: { _tag: "SelfInterrupted" } })
  // Effect turns what was yielded, and a typed error, into a defect when a finalizer dies as well.
  if (isStageOutput(died.defect)) return errorOfOutput(stage, died.defect, cause)
  return diedOnTheWayOut(cause) && isTagged(died.defect) ? died.defect : faultOf(stage, died.defect)
}

const diedOnTheWayOut = (cause: Cause.Cause<unknown>): boolean => cause.reasons.filter(Cause.isDieReason).length > 1

/** Whether it is what typed errors are: an error with a tag. A defect hardly ever is. */
const isTagged = (defect: unknown): boolean => defect instanceof Error && Predicate.hasProperty(defect, "_tag")

/** What went wrong when an outcome was yielded and is not all there is: what a finalizer died of, for one. */
const errorOfOutput = (stage: string, output: StageOutput, cause: Cause.Cause<unknown>): unknown => {
  if (output._tag === "Fail") return output.error
  const failed = cause.reasons.filter(Cause.isFailReason).find(({ error }) => !isStageOutput(error))
  if (failed !== undefined) return failed.error
  const died = cause.reasons.filter(Cause.isDieReason).find(({ defect }) => !isStageOutput(defect))
  if (died !== undefined) return faultOf(stage, died.defect)
  const ends = cause.reasons.flatMap((reason) => outcomeIn(reason)?._tag ?? [])
  const besides = ends.length > 1 ? `Ended in several ways: ${ends.join(", ")}` : undefined
  return invalid(stage, besides ?? `Ended as ${output._tag}, and interrupted itself on the way out`)
}

const outcomeIn = (reason: Cause.Reason<unknown>): StageOutput | undefined => {
  const given = Cause.isFailReason(reason) ? reason.error : Cause.isDieReason(reason) ? reason.defect : undefined
  return isStageOutput(given) ? given : undefined
}

const faultOf = (stage: string, defect: unknown): StageFault =>
  new StageFault({ stage, reason: { _tag: "Defect", defect, ...originOf(defect) } })

const isClassName = /^[\w$]{1,80}$/

/** What of a defect a message may tell. Its own message may hold anything. */
export const originOf = (defect: unknown): { readonly type: string; readonly at?: string } => {
  // What was thrown can throw when it is looked at.
  const type = Result.getOrElse(
    Result.try(() => defect instanceof Error ? String(defect.constructor.name) : kindOf(defect)),
    () => "an object"
  )
  const [frame] = framesOf(defect)
  return {
    type: !(defect instanceof Error) || isClassName.test(type) ? type : "Error",
    ...(frame === undefined ? {} : { at: shortFrame(frame) })
  }
}

/** The `StageOutput.fail(...)` that a cause comes from: its data and artifacts travel as an annotation. */
const ReturnedFail = Context.Service<Fail<unknown>>("stageflow/internal/ReturnedFail")

const causeOf = (output: Fail<unknown>): Cause.Cause<unknown> =>
  Cause.annotate(Cause.fail(output.error), Context.make(ReturnedFail, output))

/** The `StageOutput.fail(...)` behind a failure, when there is one. */
export const returnedFail = (cause: Cause.Cause<unknown>): Fail<unknown> | undefined =>
  Option.getOrUndefined(Context.getOption(Cause.annotations(cause), ReturnedFail))

const isOverForOthers = (exit: Exit.Exit<unknown, unknown>): boolean => {
  const output = exit._tag === "Failure" ? yieldedIn(exit.cause) : isStageOutput(exit.value) ? exit.value : undefined
  return output === undefined ? exit._tag === "Failure" : output._tag !== "Ok" && output._tag !== "Skip"
}

/** Whether what a stage's Effect ended with is more than its own business: it failed, or it ends the run. */
export const leavesRun = (exit: Exit.Exit<unknown, unknown>): boolean =>
  // What throws when it is looked at is no output: the stage failed.
  Result.getOrElse(Result.try(() => isOverForOthers(exit)), () => true)

/** Reads how a stage's Effect ended. */
export const endingOfExit = (stage: string, exit: Exit.Exit<unknown, unknown>): Ending => {
  if (exit._tag === "Success") return endingOfValue(stage, exit.value)
  const output = yieldedIn(exit.cause)
  return output === undefined
    ? new FailedEnding(errorOf(stage, exit.cause), exit.cause)
    : endingOfOutput(stage, output)
}

/** A stage's Effect in the form that interceptors wrap: an outcome, or a failure. */
export const normalize = <R>(
  stage: string,
  effect: Effect.Effect<unknown, unknown, R>
): Effect.Effect<Outcome, unknown, R> => normalizeFor(() => stage, effect)

/** The same for an Effect that is the same for several stages: `stageOf` says which one has run. */
export const normalizeFor = <R>(
  stageOf: () => string,
  effect: Effect.Effect<unknown, unknown, R>
): Effect.Effect<Outcome, unknown, R> =>
  Effect.matchCauseEffect(effect, {
    onSuccess: (value) => readSafely(stageOf(), endingOfValue, value),
    onFailure: (cause) => readSafely(stageOf(), endingOfCause, cause)
  })

const endingOfCause = (stage: string, cause: Cause.Cause<unknown>): Ending => {
  const output = yieldedIn(cause)
  return output === undefined ? new FailedEnding(undefined, cause) : endingOfOutput(stage, output)
}

/** What a stage gave can throw when it is looked at. */
const readSafely = <A>(
  stage: string,
  read: (stage: string, given: A) => Ending,
  given: A
): Effect.Effect<Outcome, unknown> => {
  const result = Result.try(() => read(stage, given))
  const ending = Result.isSuccess(result) ? result.success : unreadable(stage, result.failure)
  return ending._tag === "Failed" ? Effect.failCause(ending.cause) : Effect.succeed(ending)
}

/** Why an output schema did not take the data of a stage, as the fault that it is: the data's, or its own. */
export const causeOfInvalidData = (
  stage: string,
  cause: Cause.Cause<Schema.SchemaError>,
  path: ReadonlyArray<string | number> = []
): Cause.Cause<unknown> => {
  const error = Option.getOrUndefined(Cause.findErrorOption(cause))
  if (error !== undefined) return Cause.fail(invalidOutput(stage, problemsUnder(path, problemsOf(error.issue))))
  const died = cause.reasons.find(Cause.isDieReason)
  if (died === undefined) return cause
  // A schema looks into data by recursion, and the stack has an end.
  const message = died.defect instanceof RangeError
    ? "It is nested too deep for its schema"
    : "Its schema threw when it was checked (see `cause`)"
  return together(Cause.fail(invalid(stage, message)), cause)
}

/** What a stage gave threw when it was read: a getter or a Proxy in it. */
export const unreadable = (stage: string, defect: unknown): FailedEnding => {
  const fault = invalid(stage, "Its output threw when it was read (see `cause`)")
  return new FailedEnding(fault, together(Cause.fail(fault), Cause.die(defect)))
}

/** A condition or an input of a stage threw. */
export const wiringFailed = (stage: string, part: "when" | "inputs", defect: unknown): FailedEnding =>
  new FailedEnding(
    new StageFault({ stage, reason: { _tag: "WiringFailed", part, defect, ...originOf(defect) } }),
    Cause.die(defect)
  )

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
