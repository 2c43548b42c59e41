/**
 * Runs what a construct is given to run: a function of the input that gives an Effect, a stage, or a pipeline.
 *
 * A function runs in the stage of the construct. A stage and a pipeline are runs of their own inside of it, with ids, events
 * and spans of their own; the pipeline of a stage has that stage only.
 */
import * as Effect from "effect/Effect"
import { identity } from "effect/Function"
import * as Schema from "effect/Schema"
import { isNote } from "../../attempt/note.ts"
import { asEffect } from "../../attempt/outcome.ts"
import type { NoBody } from "../../checks/bodies.ts"
import type { Taken } from "../../checks/run.ts"
import type { Ports } from "../../checks/stage.ts"
import * as options from "../../internal/options.ts"
import {
  type Cancel,
  changedOk,
  isStageOutput,
  noItems,
  type Ok,
  plainOk,
  signal,
  type Skip,
  type StageOutput
} from "../../internal/output-model.ts"
import { isRefusal, refusing } from "../../internal/refusal.ts"
import * as OutputBag from "../../OutputBag.ts"
import * as Pipeline from "../../Pipeline.ts"
import { type Cancelled, type Completed, StageFailed } from "../../RunResult.ts"
import type { Current } from "../../Snapshot.ts"
import * as Stage from "../../Stage.ts"
import { addArtifact, emit, StageContext } from "../../StageContext.ts"
import type { DepthExceeded } from "../../StageError.ts"
import type { Data, Errors, InStage, Signal } from "../../StageOutput.ts"
import { type Cancels, type DefaultData, defaultDataOf, runChild, type SubpipelineFailed } from "./child-run.ts"

/** What a construct is given to run. */
export type Body = Stage.Any | Pipeline.Any | ((input: never) => Effect.Effect<unknown, unknown, unknown>)

/** What a construct is given to run for each of several items: a function may take the index of the item, too. */
export type ItemBody = Body | ((input: never, index: number) => Effect.Effect<unknown, unknown, unknown>)

/** What a body takes; `unknown` when it takes nothing. */
export type InputOf<B> = B extends Stage.Any ? Stage.Input<B>
  : B extends Pipeline.Pipeline<infer N, infer _E, infer _R, infer _V> ? Takes<N>
  : B extends (input: infer I, index: never) => unknown ? I
  : never

/**
 * What something takes that may be no body at all, which a sentence says then. While the compiler has not yet looked at it,
 * nothing is known of it.
 */
export type TakenBy<B> = unknown extends B ? unknown : B extends Body ? InputOf<B> : NoBody

type Takes<N extends Pipeline.AnyNode> = [Taken<N>] extends [never] ? unknown : Taken<N>

/** What a body gives when it gives data. */
export type DataOf<B> = B extends Stage.Any ? Stage.DataOf<B>
  : B extends Pipeline.Pipeline<infer N, infer _E, infer _R, infer V> ? DefaultData<N, V>
  : B extends (input: never, index: never) => Effect.Effect<infer A, infer _E, infer _R> ? Data<A>
  : never

/** The typed errors of a body: those of a stage are its own, those of a pipeline a `SubpipelineFailed`. */
export type ErrorOf<B> = B extends Stage.Any ? Stage.Error<B> | Stage.Exhausted<Stage.Signals<B>> | DepthExceeded
  : B extends Pipeline.Pipeline<infer N, infer E, infer _R, infer V> ? SubpipelineFailed<Pipeline.Failure<N, E, {}, V>>
  : B extends (input: never, index: never) => Effect.Effect<infer A, infer E, infer _R> ? Errors<A, E>
  : never

/** What a body needs. */
export type ServicesOf<B> = B extends Stage.Any ? Exclude<Stage.Services<B>, StageContext>
  : B extends Pipeline.Pipeline<infer N, infer _E, infer R, infer _V> ? Pipeline.Services<N, R, Current>
  : B extends (input: never, index: never) => Effect.Effect<infer _A, infer _E, infer R> ? Ports<R>
  : never

/** How else a body may end: `"skip"`, `"cancel"`, and for a function `"retry"`. */
export type SignalsOf<B> = B extends Stage.Any ? Exclude<Stage.Signals<B>, "retry">
  : B extends Pipeline.Pipeline<infer N, infer E, infer _R, infer V>
    ? [Cancels<N, E, {}, V>] extends [never] ? never : "cancel"
  : B extends (input: never, index: never) => Effect.Effect<infer A, infer _E, infer R> ? Signal<A, R>
  : never

/** How a body ended that did not fail. */
export type BodyEnd = Ok<unknown> | Skip | Cancel

/** The data of a body with what is beside it. A stage whose body gave none ends as the body did: skipped or cancelled. */
export const leaveUnlessOk = (end: BodyEnd): Effect.Effect<Ok<unknown>, never, InStage<"skip" | "cancel">> =>
  end._tag === "Ok" ? Effect.succeed(end) : end

const cancelOf = ({ data, reason }: Cancelled<unknown>): Cancel =>
  signal<Cancel>({ _tag: "Cancel", reason, data }, undefined)

/** Counts the attempts of a body. */
export interface AttemptCount {
  attempts: number
}

/** A body, ready to run any number of times. */
export interface Runs {
  /** What is run, for descriptions; a function has nothing to look into. */
  readonly pipeline: Pipeline.Any | undefined
  /**
   * Runs the body in the stage that asks for it. What a function yields leaves that stage, as in any stage; what it returns,
   * and what else the run of a stage or a pipeline ends with, is given. A function may be given `more` than the input.
   */
  readonly run: (input: unknown, more?: unknown) => Effect.Effect<BodyEnd, unknown, StageContext>
  /**
   * Runs the body and gives what it returns as it is, for who reads by himself how a body ends: what a function yields fails
   * the Effect, and what it returns can be anything. Every attempt is counted.
   */
  readonly runUnread: (
    input: unknown,
    index: number,
    count: AttemptCount
  ) => Effect.Effect<unknown, unknown, StageContext>
}

const isBody = (given: unknown): given is Body =>
  typeof given === "function" || Stage.isStage(given) || Pipeline.isPipeline(given)

/** Reads what the option of a construct says that it runs. */
export const runsOf = (option: string, given: ItemBody): Runs => {
  const body = options.ofKind(option, "a stage, a pipeline, or a function that gives an Effect", isBody, given)
  if (Stage.isStage(body)) return stageRuns(body)
  return Pipeline.isPipeline(body) ? pipelineRuns(body) : functionRuns(body)
}

/** What bodies are to the stage that runs them, for descriptions: a function has nothing to look into but what it is. */
export const contentOf = (labelled: Iterable<readonly [label: string, runs: Runs]>): Pipeline.Content => {
  const all = Array.from(labelled)
  return {
    pipelines: all.flatMap(([label, { pipeline }]) => pipeline === undefined ? [] : [{ label, pipeline }]),
    functions: all.flatMap(([label, { pipeline }]) => pipeline === undefined ? [label] : [])
  }
}

const functionRuns = (body: (input: never, index: number) => Effect.Effect<unknown, unknown, unknown>): Runs => {
  // The signatures say what it takes and needs; the value does not know.
  const run = body as (input: unknown, more: unknown) => unknown
  const effectOf = (input: unknown, more: unknown): Effect.Effect<unknown, unknown, StageContext> => {
    const returned = run(input, more)
    return Effect.isEffect(returned)
      ? returned as Effect.Effect<unknown>
      : Effect.flatMap(StageContext, ({ stage }) => asEffect(stage, returned) as Effect.Effect<unknown, unknown>)
  }
  return {
    pipeline: undefined,
    run: (input, more) => Effect.flatMap(effectOf(input, more), endOf),
    runUnread: (input, index, count) => {
      count.attempts++
      return effectOf(input, index)
    }
  }
}

/**
 * A returned outcome is what it is. One that no value stands for leaves the stage, as when it is yielded. Nothing is data
 * without keys, as everywhere.
 */
const endOf = (returned: unknown): Effect.Effect<BodyEnd, unknown, StageContext> => {
  if (!isStageOutput(returned)) return Effect.succeed(plainOk(returned === undefined ? {} : returned))
  const output: StageOutput = returned
  if (output._tag === "Fail" || output._tag === "Retry") {
    return output as Effect.Effect<never, unknown> // only a constructor of stages asks where it is yielded
  }
  return output._tag === "Ok" ? handedOver(output) : Effect.succeed(output)
}

/** The data alone: what was returned beside it is the stage's, as when it is yielded there. */
const handedOver = (output: Ok<unknown>): Effect.Effect<Ok<unknown>, never, StageContext> =>
  Effect.gen(function*() {
    for (const event of output.events) {
      if (!isNote(event)) yield* emit(event.type, event.data)
    }
    for (const artifact of output.artifacts) yield* addArtifact(artifact)
    return changedOk(output, { artifacts: noItems, events: noItems })
  })

/** A pipeline of one stage, which takes what the stage takes. */
const pipelineOf = (stage: Stage.Any): Pipeline.Any => {
  // What the stage takes is checked by the signatures of the constructs.
  const fed = Stage.mapInput(
    stage as Stage.Stage<string, unknown, object>,
    (inputs: { input: unknown }) => inputs.input
  )
  return Pipeline.make(stage.name, { input: Schema.Unknown }).add(fed as never, { inputs: ["input"] } as never)
}

const stageRuns = (stage: Stage.Any): Runs => {
  const pipeline = pipelineOf(stage)
  const run = (input: unknown, count?: AttemptCount): Effect.Effect<BodyEnd, unknown, StageContext> =>
    runChild(pipeline, (current) => current, () => input).pipe(
      // The stage fails as it would alone, with all that its cause says.
      Effect.catch((failed): Effect.Effect<never, unknown> => {
        if (!(failed.error instanceof StageFailed)) return Effect.fail(failed.error)
        if (count !== undefined) count.attempts += failed.error.attempts
        const { cause } = failed.error
        // Only the failure of the run says that its stage has refused.
        return Effect.failCause(isRefusal(failed.error) ? refusing(cause) : cause)
      }),
      Effect.map((result) => {
        if (count !== undefined) count.attempts += OutputBag.attempts(result.bag, stage.name).length
        return result._tag === "Cancelled"
          ? cancelOf(result)
          // The run of one stage has its output.
          : (result as Completed<Record<string, Ok<unknown> | Skip>>).outputs[stage.name] as Ok<unknown> | Skip
      })
    )
  return { pipeline, run: (input) => run(input), runUnread: (input, _, count) => run(input, count) }
}

const pipelineRuns = (pipeline: Pipeline.Any): Runs => {
  const run = <A>(input: unknown, made: (data: unknown) => A): Effect.Effect<A | Cancel, unknown, StageContext> =>
    Effect.map(
      runChild(pipeline, (current) => current, () => input),
      (result) => result._tag === "Cancelled" ? cancelOf(result) : made(defaultDataOf(result as Completed<unknown>))
    )
  return {
    pipeline,
    run: (input) => run(input, (data): Ok<unknown> => plainOk(data)),
    runUnread: (input, _, count) => {
      count.attempts++
      return run(input, identity)
    }
  }
}
