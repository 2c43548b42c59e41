/**
 * Defines how a pipeline is run, and the handle that awaits, watches and cancels a run.
 */
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type * as Stream from "effect/Stream"
import type { Event } from "./Event.ts"
import type { Lineage, Progress } from "./StageContext.ts"
import type { StreamFailed } from "./StageError.ts"

/**
 * How many runs a run may be inside of: one that a stage starts is inside of the run of that stage, however it was started.
 * 5 unless set. A run that is inside of more dies with `StageError.DepthExceeded` before anything of it starts.
 */
export const DepthLimit = Context.Reference<number>("stageflow/Run/DepthLimit", { defaultValue: () => 5 })

/**
 * How a pipeline is run.
 */
export interface RunOptions {
  /** How many stages may run at the same time. No limit when left out. */
  readonly concurrency?: number | "unbounded" | undefined
  /**
   * What a failure does to the other stages: `"fail-fast"`, the default, interrupts them and fails the run;
   * `"continue"` lets every branch that does not depend on the failed stage go on.
   */
  readonly failure?: "fail-fast" | "continue" | undefined
  /**
   * How long interrupted stages may clean up, and the pipeline's layers may take to be released, before the run ends
   * without them. 10 seconds unless the `Stage.InterruptionGrace` in the environment says otherwise.
   */
  readonly interruptionGrace?: Duration.Input | undefined
}

/**
 * How a pipeline is run whose run is watched: by its handle, or as a stream.
 */
export interface WatchOptions extends RunOptions {
  /**
   * Whose events the handle and the stream have: `"own"`, the default, those of the run; `"all"` those of the runs that its
   * stages start, too, and of theirs, in the order in which they happen. Each says which run it belongs to.
   */
  readonly events?: "own" | "all" | undefined
  /**
   * The stages whose chunks are read from outside of the run: from the handle, with `chunks("answer")`, or from the stream of
   * the run, as its elements. Whoever asks for chunks is a reader like the stages that read them: the stage that streams
   * waits until they are taken.
   */
  readonly chunks?: ReadonlyArray<string> | undefined
}

/**
 * A chunk of a stage, as an element of the stream of a run. `number` counts from 1.
 */
export interface Chunk<out Stage extends string = string, out A = unknown> {
  readonly _tag: "Chunk"
  readonly stage: Stage
  readonly number: number
  readonly chunk: A
}

/**
 * Where a stage of a run is.
 */
export type StageStatus =
  | "pending"
  | "running"
  | "ok"
  | "skipped"
  | "cancelled"
  | "failed"
  | "blocked"
  | "interrupted"
  | "abandoned"

/**
 * Where a run is: `running`, or how it ended. A run that ended outside of its stages is `denied` when an interceptor around
 * it refused it, `timed_out` when it took longer than its deadline, and `rejected` otherwise.
 */
export type RunStatus =
  | "running"
  | "completed"
  | "cancelled"
  | "incomplete"
  | "failed"
  | "timed_out"
  | "interrupted"
  | "denied"
  | "rejected"

/**
 * One run of a tree of runs.
 */
export interface RunEntry {
  readonly runId: string
  readonly pipeline: string
  /** The run that started this one, when a stage did. */
  readonly parentRunId: string | undefined
  /** The stage that started this run. */
  readonly parentStage: string | undefined
  /** How many runs it is inside of. */
  readonly depth: number
  readonly status: RunStatus
}

/**
 * The tree of runs as one of them sees it, at the time when somebody asked.
 */
export interface RunTree {
  readonly run: RunEntry
  /** The run that started it; `undefined` for the root. */
  readonly parent: RunEntry | undefined
  /** The run that no other started; the run itself when it is the one. */
  readonly root: RunEntry
  /** The runs that its stages have started, in that order, whether they have ended or not. */
  readonly children: ReadonlyArray<RunEntry>
  /** Its children, with theirs behind each, and so on. */
  readonly descendants: ReadonlyArray<RunEntry>
  /** How many runs of the tree are no longer listed: it keeps the last 10,000 that have ended. */
  readonly forgotten: number
}

/**
 * What is interrupted, besides the stage itself.
 */
export interface InterruptOptions {
  /**
   * Whether everything that depends on the stage is interrupted with it, directly or not: also what runs already, because
   * the stage has ended. `false` when left out.
   */
  readonly dependents?: boolean | undefined
}

/**
 * What came of interrupting stages. Each of them is in one of `interrupted`, `neverStarted` and `ended`.
 */
export interface InterruptedStages<out Stages extends string = string> {
  /** The stages that were running, and ended of it. */
  readonly interrupted: ReadonlyArray<Stages>
  /** Those of them that ignored their interruption beyond the grace and were left behind. */
  readonly abandoned: ReadonlyArray<Stages>
  /** The stages that had not started, and never will. */
  readonly neverStarted: ReadonlyArray<Stages>
  /** The stages that had ended before, or ended of themselves in spite of it. */
  readonly ended: ReadonlyArray<Stages>
}

/**
 * A run was asked for a stage that its pipeline does not have.
 */
export class UnknownStage extends Schema.TaggedError<UnknownStage>()("UnknownStage", {
  pipeline: Schema.String,
  stage: Schema.String,
  /** The stage that was most likely meant. */
  didYouMean: Schema.optionalKey(Schema.String)
}) {
  readonly code = "UNKNOWN_STAGE"
  override get message(): string {
    const fix = this.didYouMean === undefined ? "" : ` Did you mean "${this.didYouMean}"?`
    return `Pipeline "${this.pipeline}" has no stage "${this.stage}".${fix}`
  }
}

/**
 * The handle of a run that ends with `Result` or fails with `Error`. `Unknown` is the error of names that no stage has; the
 * compiler rules them out where it knows the names.
 */
export interface Run<
  out Result,
  out Error,
  Stages extends string = string,
  out Unknown = string extends Stages ? UnknownStage : never,
  Chunks = {}
> {
  readonly lineage: Lineage
  /** The runs above and below this one, as they are right now. They stay listed when they have ended. */
  readonly tree: Effect.Effect<RunTree>
  /** Waits for the end of the run. */
  readonly await: Effect.Effect<Result, Error>
  /**
   * Ends the run on purpose: everything in flight is interrupted, and the run ends as `Cancelled`. Returns when it has.
   * A run that is over already stays as it ended.
   */
  readonly cancel: (
    reason: string,
    options?: { readonly data?: Readonly<Record<string, unknown>> | undefined }
  ) => Effect.Effect<void>
  /**
   * Interrupts one stage on purpose, for a reason; with `dependents: true` everything that depends on it, too. Returns when
   * their finalizers have run, or they were left behind after the grace, and says what came of it.
   *
   * A stage that is interrupted fails, with a `StageFault` whose reason is `Interrupted`, and nothing around it (a retry, a
   * fallback, a handler) runs it again or answers for it. So the run fails, or with `failure: "continue"` goes on without
   * what depends on the stage. One that had not started never does: it fails at once, with 0 attempts. One that has ended
   * stays as it ended.
   */
  interrupt(
    stage: Stages,
    reason: string,
    options?: InterruptOptions
  ): Effect.Effect<InterruptedStages<Stages>, Unknown>
  /**
   * Every event of the run from its first, whenever you start to listen; with `events: "all"` those of the runs inside of
   * it, too. Ends with the run.
   */
  readonly events: Stream.Stream<Event>
  /**
   * The chunks of a stage as they come, from the first: of those stages that the run was started with, `{ chunks: ["answer"]
   * }`. They can be read once. The stage waits for whoever reads them; when that one leaves and nobody else reads, the stage
   * stops streaming.
   *
   * When the stage fails, or the run ends first, the stream fails with `StreamFailed`. It is empty when the stage is skipped.
   */
  chunks<Name extends keyof Chunks & string>(stage: Name): Stream.Stream<Chunks[Name], StreamFailed>
  /** Where every stage is right now. */
  readonly status: Effect.Effect<Readonly<Record<Stages, StageStatus>>>
  /** How far the stages have come that said so, by name: a stage that has ended stays where it was. */
  readonly progress: Effect.Effect<{ readonly [Stage in Stages]?: Progress }>
}
