/**
 * Defines how a pipeline is run, and the handle that awaits, watches and cancels a run.
 */
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import type * as Stream from "effect/Stream"
import type { Event } from "./Event.ts"
import type { Lineage, Progress } from "./StageContext.ts"

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
 * The handle of a run that ends with `Result` or fails with `Error`.
 */
export interface Run<out Result, out Error, Stages extends string = string> {
  readonly lineage: Lineage
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
   * Every event of the run from its first, whenever you start to listen; with `events: "all"` those of the runs inside of
   * it, too. Ends with the run.
   */
  readonly events: Stream.Stream<Event>
  /** Where every stage is right now. */
  readonly status: Effect.Effect<Readonly<Record<Stages, StageStatus>>>
  /** How far the stages have come that said so, by name: a stage that has ended stays where it was. */
  readonly progress: Effect.Effect<{ readonly [Stage in Stages]?: Progress }>
}
