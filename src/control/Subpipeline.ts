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
import { innermost } from "../attempt/subpipeline-error.ts"
import type { Taken } from "../checks/run.ts"
import type { GivenNames, MadeInput, NoInputGiven, SubpipelineProblem, Takes } from "../checks/subpipeline.ts"
import type { Checked, Learned, NotGiven } from "../checks/wiring.ts"
import * as options from "../internal/options.ts"
import * as Pipeline from "../Pipeline.ts"
import type { RunOptions } from "../Run.ts"
import type * as Snapshot from "../Snapshot.ts"
import * as Stage from "../Stage.ts"
import type { StageContext } from "../StageContext.ts"
import type * as StageOutput from "../StageOutput.ts"
import {
  type Cancels,
  type DefaultData,
  defaultDataOf,
  endWhenCancelled,
  type OnCancel,
  onCancelOf,
  runChild,
  type SubpipelineCancelled,
  type SubpipelineFailed
} from "./internal/child-run.ts"

// ---------------------------------------------------------------------------------------------------------------------
// options
// ---------------------------------------------------------------------------------------------------------------------

/**
 * How the run of a pipeline inside a stage can end that did not fail and was not cancelled.
 */
export type Ended<N extends Pipeline.AnyNode, E, O, V> = Exclude<
  Pipeline.Result<N, E, O, V>,
  { readonly _tag: "Cancelled" }
>

/** The signal of a stage whose child was cancelled. */
export type CancelSignal<Cancelled, C> = [Cancelled] extends [never] ? never
  : Extract<C, "cancel" | "skip">

/** The error of a stage whose child was cancelled. */
export type CancelError<Cancelled, C> = [Cancelled] extends [never] ? never
  : C extends "fail" ? SubpipelineCancelled
  : never

/** Whether a failure lets other stages of the child go on. */
type Continues<O> = O extends { readonly failure: "continue" } ? true : false

/** What the run of a pipeline inside a stage fails with. One in which a stage was refused has failed in any case. */
type ChildFailure<N extends Pipeline.AnyNode, E, O, V> = Continues<O> extends true ? Pipeline.Failure<N, E, {}, V>
  : Pipeline.Failure<N, E, O, V>

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
  | SubpipelineFailed<ChildFailure<N, E, O, V>>
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

const pipelineOf = (given: Pipeline.Any): Pipeline.Any =>
  options.ofKind("pipeline", "a pipeline; see Pipeline.make", Pipeline.isPipeline, given)

const optionally = <F extends Function>(name: string, given: F | undefined): F | undefined =>
  given === undefined ? undefined : options.callable(name, given)

// ---------------------------------------------------------------------------------------------------------------------
// running
// ---------------------------------------------------------------------------------------------------------------------

/** What a run inside a stage fails with. */
type RunErrors<N extends Pipeline.AnyNode, E, V, O, C> =
  | SubpipelineFailed<ChildFailure<N, E, O, V>>
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
  const inStage = runChild(child, (current) => snapshot ?? current, () => input, run)
  const ended = endWhenCancelled(inStage, child, onCancelOf(onCancel))
  // The signatures compute what the child gives, fails with and needs; the value does not know.
  return ended as never
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
  const body = (inputs: unknown) => {
    const inStage = runChild(
      child,
      (current) => snapshotOf === undefined ? current : snapshotOf(current, inputs),
      () => inputOf === undefined ? inputs : inputOf(inputs),
      run
    )
    // `output` is a function of what such a run ends with, and what it gives is read like what any stage gives. Without it
    // the run is complete.
    return Effect.map(endWhenCancelled(inStage, child, cancelled), (ended) => dataOf(ended as never) as object)
  }
  const made = Stage.annotate(
    Stage.make(kind ?? "transform", name, { run: body }),
    Pipeline.Inside,
    { pipelines: [{ pipeline: child }] }
  )
  // The signatures compute the types of the stage; the value does not know them.
  return made as never
}

/**
 * What went wrong in the end, in whichever of the runs inside of one another: what is left of an error without the
 * `SubpipelineFailed` and `StageFailed` around it.
 */
export type RootError<E> = E extends { readonly _tag: "SubpipelineFailed" | "StageFailed"; readonly error: infer Inner }
  ? RootError<Inner>
  : E

/**
 * What went wrong in the end: looks through the errors of runs and of the stages that they are inside of, however deep.
 *
 * `Effect.catchTag("StageFailed", (failed) => ...)` with `Subpipeline.rootError(failed)` handles an error of a stage wherever
 * it was; `RunResult.explain` says on the way where that is.
 */
export const rootError = <E>(error: E): RootError<E> => innermost(error) as RootError<E> // it looks through the same errors

export { type DefaultData, type OnCancel, SubpipelineCancelled, SubpipelineFailed } from "./internal/child-run.ts"
