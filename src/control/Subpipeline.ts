/**
 * Runs a pipeline as a stage of another one.
 *
 * `stage` makes a stage of a pipeline, with what the child takes, gives, needs and can fail with in its type. `run` is for a
 * stage of your own that decides at run time which pipeline it runs, and how often.
 *
 * ```ts
 * import { Effect, Schema } from "effect"
 * import { Pipeline, Snapshot, Stage } from "stageflow"
 * import { Subpipeline } from "stageflow/control"
 *
 * const research = Pipeline.make("research", { input: Schema.Struct({ topic: Schema.String }) })
 *   .transform("search", { inputs: ["input"], run: ({ input }) => Effect.succeed({ hits: [`On ${input.topic}`] }) })
 *   .returns((s) => s.search)
 *
 * const answer = Pipeline.make("answer")
 *   .transform("plan", { run: Effect.succeed({ topic: "engines" }) })
 *   .add(
 *     Subpipeline.stage("research", research, {
 *       input: (inputs: { readonly plan: { readonly topic: string } }) => inputs.plan
 *     }),
 *     { inputs: ["plan"] }
 *   )
 *
 * const program = Pipeline.run(answer, Snapshot.make())
 * ```
 *
 * The child is a run of its own, with an id of its own; who it belongs to it has from its parent and from nowhere else. It is
 * interrupted with the stage, and the stage ends when every finalizer of the child has run. The stage is wrapped like any
 * other: a retry runs the child again, a timeout interrupts it.
 */
import * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"
import * as Schema from "effect/Schema"
import { messageOf } from "../attempt/error-summary.ts"
import type { Taken } from "../checks/run.ts"
import type { GivenNames, MadeInput, NoInputGiven, SubpipelineProblem, Takes } from "../checks/subpipeline.ts"
import type { Checked, Learned, NotGiven } from "../checks/wiring.ts"
import { immutable } from "../internal/immutable.ts"
import * as options from "../internal/options.ts"
import { define } from "../internal/record.ts"
import { RefusalTypeId } from "../internal/refusal.ts"
import { withInput } from "../internal/snapshot-model.ts"
import * as Pipeline from "../Pipeline.ts"
import type { RunOptions } from "../Run.ts"
import { type Cancelled, type Completed, type RunResult, StageFailed } from "../RunResult.ts"
import * as Snapshot from "../Snapshot.ts"
import * as Stage from "../Stage.ts"
import { StageContext } from "../StageContext.ts"
import { DepthExceeded } from "../StageError.ts"
import * as StageOutput from "../StageOutput.ts"

// ---------------------------------------------------------------------------------------------------------------------
// errors
// ---------------------------------------------------------------------------------------------------------------------

/**
 * The run of a pipeline inside a stage failed; `error` is what it failed with.
 *
 * `path` are the stages from the one that ran it down to the one that failed, however many runs are between them:
 * `answer > research > search`. It ends with the stage that ran the pipeline when that failed outside of its stages.
 */
export class SubpipelineFailed<out Failure = unknown>
  extends Schema.TaggedError<SubpipelineFailed<unknown>>()("SubpipelineFailed", {
    stage: Schema.String,
    pipeline: Schema.String,
    path: Schema.Array(Schema.String),
    error: Schema.Unknown
  })
{
  readonly code = "SUBPIPELINE_FAILED"
  /** What the run failed with, or why it was not started. */
  declare readonly error: Failure | DepthExceeded

  override get message(): string {
    return `${this.path.join(" > ")} failed: ${messageOf(innermost(this))}`
  }

  /** What a log shows of it: what happened where, and none of the data. */
  override toJSON() {
    const { _tag, code, message, path, pipeline, stage } = this
    return { _tag, code, message, pipeline, stage, path }
  }

  [Symbol.for("nodejs.util.inspect.custom")]() {
    return this.toJSON()
  }
}

/** What went wrong in the run that no other run is inside of. */
const innermost = (failed: SubpipelineFailed): unknown => {
  let error: unknown = failed
  while (error instanceof SubpipelineFailed || error instanceof StageFailed) error = error.error
  return error
}

const pathBelow = (error: unknown): ReadonlyArray<string> => {
  if (!(error instanceof StageFailed)) return []
  return error.error instanceof SubpipelineFailed ? error.error.path : [error.stage]
}

/**
 * The run of a pipeline inside a stage was cancelled, and the stage takes that for a failure (`onCancel: "fail"`).
 *
 * It is a refusal: nothing that stands in for failed stages, a retry or a fallback, stands in for this one. `Stage.catch`
 * handles it.
 */
export class SubpipelineCancelled extends Schema.TaggedError<SubpipelineCancelled>()("SubpipelineCancelled", {
  stage: Schema.String,
  pipeline: Schema.String,
  /** The stage of the pipeline that cancelled it. */
  by: Schema.UndefinedOr(Schema.String),
  reason: Schema.String,
  data: Schema.Record(Schema.String, Schema.Unknown)
}) {
  readonly code = "SUBPIPELINE_CANCELLED"
  readonly [RefusalTypeId] = true
  override get message(): string {
    const by = this.by === undefined ? "" : ` by "${this.by}"`
    return `Pipeline "${this.pipeline}" in stage "${this.stage}" was cancelled${by}: ${this.reason}`
  }
}

// ---------------------------------------------------------------------------------------------------------------------
// options
// ---------------------------------------------------------------------------------------------------------------------

/**
 * What a cancelled child does to its parent:
 *
 * - `"cancel"`, the default, cancels the parent with the same reason and data;
 * - `"skip"` skips the stage: its readers go on without it or are skipped, too;
 * - `"fail"` fails the stage with `SubpipelineCancelled`.
 */
export type OnCancel = "cancel" | "skip" | "fail"

/**
 * How the run of a pipeline inside a stage can end that did not fail and was not cancelled.
 */
export type Ended<N extends Pipeline.AnyNode, E, O, V> = Exclude<
  Pipeline.Result<N, E, O, V>,
  { readonly _tag: "Cancelled" }
>

/** Whether a run can be cancelled from inside, as the one word `"cancelled"`. */
type Cancels<N extends Pipeline.AnyNode, E, O, V> =
  [Extract<Pipeline.Result<N, E, O, V>, { readonly _tag: "Cancelled" }>] extends [never] ? never : "cancelled"

/** The signal of a stage whose child was cancelled. */
export type CancelSignal<Cancelled, C> = [Cancelled] extends [never] ? never
  : Extract<C, "cancel" | "skip">

/** The error of a stage whose child was cancelled. */
export type CancelError<Cancelled, C> = [Cancelled] extends [never] ? never
  : C extends "fail" ? SubpipelineCancelled
  : never

/** Whether a failure lets other stages of the child go on. */
type Continues<O> = O extends { readonly failure: "continue" } ? true : false

type ByName<O> =
  & { readonly [K in keyof O as O[K] extends StageOutput.Ok<unknown> ? K : never]: DataIn<O[K]> }
  & {
    readonly [K in keyof O as O[K] extends StageOutput.Ok<unknown> ? never : K]?: DataIn<O[K]>
  }

type DataIn<Output> = Output extends StageOutput.Ok<infer D> ? D : never

/**
 * What a stage gives that runs a pipeline and does not say what it gives: what the pipeline returns, or else the data of its
 * stages by their names. A stage that may skip is a key that may not be there.
 */
export type DefaultData<N extends Pipeline.AnyNode, V> = unknown extends V
  ? ByName<Pipeline.Outputs<N>> extends infer D ? { readonly [K in keyof D]: D[K] } : never
  : V

/** What a stage gives: `A` is what its `output` gives. */
type Gives<N extends Pipeline.AnyNode, V, A> = [A] extends [NotGiven] ? DefaultData<N, V> : A

/**
 * How a stage runs a pipeline.
 */
export interface StageOptions<N extends Pipeline.AnyNode, E, V, In, S, O, A, C> {
  /** Makes what the pipeline takes of what the stage takes. When left out, it is what the stage takes. */
  readonly input?: ((inputs: In) => MadeInput<N>) | undefined
  /**
   * Makes the snapshot of the child, all but its `input`, of that of the parent, which it is when left out. Who the run
   * belongs to is the parent's in any case.
   */
  readonly snapshot?: ((current: Snapshot.Current, inputs: In) => S) | undefined
  /**
   * Makes what the stage gives of what the child ended with: data, or a `StageOutput`. When left out it is what the pipeline
   * returns, or else the data of its stages by their names.
   */
  readonly output?: ((ended: Ended<N, E, O, V>) => A) | undefined
  /** What a cancelled child does to its parent; `"cancel"` when left out. */
  readonly onCancel?: C | undefined
  /** What the stage is for; `"transform"` when left out. */
  readonly kind?: Stage.Kind | undefined
  /** How the child is run. */
  readonly run?: O | undefined
}

/** The signals of a stage that gives `A` and runs such a pipeline. */
type Signals<N extends Pipeline.AnyNode, E, V, O, A, C> =
  | StageOutput.Signal<A>
  | CancelSignal<Cancels<N, E, O, V>, C>

/** The errors of a stage that gives `A` and runs such a pipeline. */
type Errors<N extends Pipeline.AnyNode, E, V, O, A, C> =
  | SubpipelineFailed<Pipeline.Failure<N, E, O, V>>
  | CancelError<Cancels<N, E, O, V>, C>
  | StageOutput.Errors<A, never>

/** What a run takes whose pipeline takes something, and may be given whose pipeline takes nothing: nothing else. */
type GivenInput<N extends Pipeline.AnyNode> = [Taken<N>] extends [never] ? { readonly input?: never }
  : { readonly input: Taken<N> }

/**
 * How a pipeline is run inside a stage.
 */
export type Options<N extends Pipeline.AnyNode, S, O, C> = GivenInput<N> & {
  /** The snapshot of the child, all but its `input`; that of the parent when left out. */
  readonly snapshot?: S | undefined
  /** What a cancelled child does to its parent; `"cancel"` when left out. */
  readonly onCancel?: C | undefined
  /** How the child is run. */
  readonly run?: O | undefined
}

/** The options as they are read; the signatures know more of them. */
interface UntypedStageOptions {
  readonly input?: ((inputs: unknown) => unknown) | undefined
  readonly snapshot?: ((current: Snapshot.Current, inputs: unknown) => Snapshot.Snapshot) | undefined
  readonly output?: ((ended: never) => unknown) | undefined
  readonly onCancel?: OnCancel | undefined
  readonly kind?: Stage.Kind | undefined
  readonly run?: RunOptions | undefined
}

interface UntypedOptions {
  readonly input?: unknown
  readonly snapshot?: Snapshot.Snapshot | undefined
  readonly onCancel?: OnCancel | undefined
  readonly run?: RunOptions | undefined
}

const stageOptionNames: ReadonlyArray<keyof UntypedStageOptions> = [
  "input",
  "snapshot",
  "output",
  "onCancel",
  "kind",
  "run"
]
const optionNames: ReadonlyArray<keyof UntypedOptions> = ["input", "snapshot", "onCancel", "run"]

const onCancelOf = (given: OnCancel | undefined): OnCancel =>
  options.oneOf("onCancel", ["cancel", "skip", "fail"], given ?? "cancel")

const pipelineOf = (given: Pipeline.Any): Pipeline.Any =>
  options.ofKind("pipeline", "a pipeline; see Pipeline.make", Pipeline.isPipeline, given)

const optionally = <F extends Function>(name: string, given: F | undefined): F | undefined =>
  given === undefined ? undefined : options.callable(name, given)

// ---------------------------------------------------------------------------------------------------------------------
// running
// ---------------------------------------------------------------------------------------------------------------------

/** A child as it is run, whatever its types. */
const runUntyped = Pipeline.run as unknown as (
  pipeline: Pipeline.Any,
  snapshot: Snapshot.Snapshot,
  options: RunOptions | undefined
) => Effect.Effect<RunResult, unknown>

type Ending = Exclude<RunResult, Cancelled<unknown>>

/** What a stage whose child was cancelled ends with. */
const settled = (
  { data, reason, by }: Cancelled<unknown>,
  stage: string,
  pipeline: string,
  onCancel: OnCancel
): Effect.Effect<never, SubpipelineCancelled, StageOutput.InStage<"cancel" | "skip">> => {
  switch (onCancel) {
    case "cancel":
      return StageOutput.cancel(reason, { data })
    case "skip":
      return StageOutput.skip(reason, { data })
    case "fail":
      return Effect.fail(new SubpipelineCancelled({ stage, pipeline, by, reason, data }))
  }
}

/** Runs a child, whose snapshot is made of the parent's, with what it takes. */
const runChild = (
  pipeline: Pipeline.Any,
  snapshotOf: (current: Snapshot.Current) => Snapshot.Snapshot,
  input: () => unknown,
  onCancel: OnCancel,
  runOptions: RunOptions | undefined
): Effect.Effect<
  Ending,
  SubpipelineFailed | SubpipelineCancelled,
  StageContext | StageOutput.InStage<"cancel" | "skip">
> =>
  Effect.flatMap(StageContext, ({ snapshot: current, stage }) => {
    const snapshot = options.ofKind(
      "snapshot",
      "a Snapshot; see Snapshot.make",
      Snapshot.isSnapshot,
      snapshotOf(current)
    )
    const given = pipeline.input === undefined ? snapshot : withInput(snapshot, immutable(input()))
    return runUntyped(pipeline, given, runOptions).pipe(
      // A run that is too deep dies of it: only here it is in the type.
      Effect.catchDefect((defect) => defect instanceof DepthExceeded ? Effect.fail(defect) : Effect.die(defect)),
      Effect.mapError((error) =>
        new SubpipelineFailed({ stage, pipeline: pipeline.name, path: [stage, ...pathBelow(error)], error })
      ),
      Effect.flatMap((result) =>
        result._tag === "Cancelled" ? settled(result, stage, pipeline.name, onCancel) : Effect.succeed(result)
      )
    )
  })

/** What a run inside a stage fails with. */
type RunErrors<N extends Pipeline.AnyNode, E, V, O, C> =
  | SubpipelineFailed<Pipeline.Failure<N, E, O, V>>
  | CancelError<Cancels<N, E, O, V>, C>

/** What a run inside a stage needs: to be in one, in which it may end that stage. */
type RunServices<N extends Pipeline.AnyNode, E, R, V, S, O, C> =
  | Pipeline.Services<N, R, S>
  | StageContext
  | ([CancelSignal<Cancels<N, E, O, V>, C>] extends [never] ? never
    : StageOutput.InStage<CancelSignal<Cancels<N, E, O, V>, C>>)

/**
 * Runs a pipeline inside a stage.
 */
export interface RunInStage {
  /** Runs a pipeline that takes no input, in the snapshot of the parent. */
  <N extends Pipeline.AnyNode, E, R, V>(
    pipeline: Checked<Pipeline.Pipeline<N, E, R, V>, NoInputGiven<N>>
  ): Effect.Effect<
    Ended<N, E, {}, V>,
    RunErrors<N, E, V, {}, "cancel">,
    RunServices<N, E, R, V, Snapshot.Current, {}, "cancel">
  >
  /** Runs a pipeline, and says what goes into it. */
  <
    N extends Pipeline.AnyNode,
    E,
    R,
    V,
    S extends Snapshot.Snapshot = Snapshot.Current,
    const O extends RunOptions = {},
    const C extends OnCancel = "cancel"
  >(
    pipeline: Pipeline.Pipeline<N, E, R, V>,
    options: Options<N, S, O, C>
  ): Effect.Effect<Ended<N, E, O, V>, RunErrors<N, E, V, O, C>, RunServices<N, E, R, V, S, O, C>>
}

/**
 * Runs a pipeline inside a stage, and gives what it ended with. A failure is a `SubpipelineFailed`; what a cancelled child
 * does is said by `onCancel`.
 *
 * A pipeline that takes an input is given it: `Subpipeline.run(research, { input: { topic } })`. The rest of the child's
 * snapshot is the parent's, unless you give another.
 */
export const run: RunInStage = (pipeline: Pipeline.Any, given: UntypedOptions = {}) => {
  const child = pipelineOf(pipeline)
  const { input, onCancel, run, snapshot } = options.fields("options", optionNames, given)
  const ended = runChild(child, (current) => snapshot ?? current, () => input, onCancelOf(onCancel), run)
  // The signatures compute what the child gives, fails with and needs; the value does not know.
  return ended as never
}

/** What the data of a stage is that does not say: what its pipeline returns, or the data of its stages by name. */
const defaultDataOf = (ended: Completed<unknown>): unknown => {
  if (Predicate.hasProperty(ended, "value")) return ended.value
  const data = {}
  // A completed run has an output for each stage, by its name.
  for (const [name, output] of Object.entries(ended.outputs as Readonly<Record<string, StageOutput.StageOutput>>)) {
    if (output._tag === "Ok") define(data, name, output.data)
  }
  return data
}

/**
 * Makes a stage that runs a pipeline.
 */
export interface MakeStage {
  /** Makes a stage that takes what the pipeline takes, and gives what it returns or the data of its stages by name. */
  <const Name extends string, N extends Pipeline.AnyNode, E, R, V>(
    name: Checked<Name, SubpipelineProblem<Name, N, V, unknown, never, never, false>>,
    pipeline: Pipeline.Pipeline<N, E, R, V>
  ): Stage.Stage<
    Name,
    Takes<N, unknown, never>,
    DefaultData<N, V>,
    Signals<N, E, V, {}, DefaultData<N, V>, "cancel">,
    Errors<N, E, V, {}, DefaultData<N, V>, "cancel">,
    Pipeline.Services<N, R, Snapshot.Current>
  >
  /** Makes a stage, and says what goes into the pipeline and what comes out of it. */
  <
    const Name extends string,
    N extends Pipeline.AnyNode,
    E,
    R,
    V,
    In = unknown,
    S extends Snapshot.Snapshot = Snapshot.Current,
    const O extends RunOptions = {},
    A = NotGiven,
    const C extends OnCancel = "cancel",
    Given = NotGiven
  >(
    name: Checked<Name, SubpipelineProblem<Name, N, V, In, A, GivenNames<Given>, Continues<O>>>,
    pipeline: Pipeline.Pipeline<N, E, R, V>,
    options: StageOptions<N, E, V, In, S, O, A, C> & Learned<Given>
  ): Stage.Stage<
    Name,
    Takes<N, In, GivenNames<Given>>,
    StageOutput.Data<Gives<N, V, A>>,
    Signals<N, E, V, O, Gives<N, V, A>, C>,
    Errors<N, E, V, O, Gives<N, V, A>, C>,
    Pipeline.Services<N, R, S>
  >
}

/**
 * Makes a stage that runs a pipeline: `Subpipeline.stage("research", research, { input: (inputs: { ... }) => ... })`.
 *
 * Its data is what the pipeline returns, or else the data of its stages by their names, unless `output` says otherwise. It
 * needs what the pipeline needs, except what its snapshot carries. When the child fails, the stage fails with
 * `SubpipelineFailed`.
 */
export const stage: MakeStage = (name: string, pipeline: Pipeline.Any, given: UntypedStageOptions = {}) => {
  const child = pipelineOf(pipeline)
  const { input, kind, onCancel, output, run, snapshot } = options.fields("options", stageOptionNames, given)
  const [inputOf, snapshotOf] = [optionally("input", input), optionally("snapshot", snapshot)]
  const dataOf = optionally("output", output) ?? defaultDataOf
  const cancelled = onCancelOf(onCancel)
  const body = (inputs: unknown) =>
    Effect.map(
      runChild(
        child,
        (current) => snapshotOf === undefined ? current : snapshotOf(current, inputs),
        () => inputOf === undefined ? inputs : inputOf(inputs),
        cancelled,
        run
      ),
      // `output` is a function of what such a run ends with, and what it gives is read like what any stage gives. Without it
      // the run is complete.
      (ended) => dataOf(ended as never) as object
    )
  const made = Stage.annotate(Stage.make(kind ?? "transform", name, { run: body }), Pipeline.Inside, child)
  // The signatures compute the types of the stage; the value does not know them.
  return made as never
}
