/**
 * Gives a running stage its place in the run: its snapshot, name and attempt, events, artifacts, progress and timers.
 *
 * Every stage has it, so it never appears among what a pipeline needs:
 *
 * ```ts
 * import { Effect } from "effect"
 * import { Stage, StageContext } from "stageflow"
 *
 * const report = Stage.work("report", {
 *   run: Effect.gen(function*() {
 *     const context = yield* StageContext.StageContext
 *     yield* context.emit("report.started", { attempt: context.attempt })
 *     yield* context.addArtifact({ type: "chart", payload: { points: [1, 2, 3] } })
 *   })
 * })
 * ```
 */
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import type { Current, RunIdentity } from "./internal/snapshot-model.ts"
import type { Artifact, Settled } from "./StageOutput.ts"

/**
 * A stage asked for the output of a stage that it does not depend on: what it would see depends on timing.
 */
export class UndeclaredInput extends Schema.TaggedError<UndeclaredInput>()("UndeclaredInput", {
  stage: Schema.String,
  wanted: Schema.String,
  declared: Schema.Array(Schema.String)
}) {
  readonly code = "UNDECLARED_INPUT"
  override get message(): string {
    return `Stage "${this.stage}" reads "${this.wanted}", which it does not depend on. `
      + `It depends on: ${this.declared.join(", ") || "nothing"}. Add "${this.wanted}" to its wiring.`
  }
}

/**
 * The outputs of the stages that this one depends on, without types: for generic stages that do not know their inputs.
 *
 * A stage that knows its inputs takes them as the parameter of its `run`.
 */
export interface Inputs {
  /** The value under a key, from the first dependency (in the order of the wiring) whose data has it. */
  readonly get: (key: string) => Option.Option<unknown>
  /** The value under a key in the data of one dependency. */
  readonly getFrom: (stage: string, key: string) => Effect.Effect<Option.Option<unknown>, UndeclaredInput>
  /** Whether a dependency ended with data. */
  readonly hasOutput: (stage: string) => Effect.Effect<boolean, UndeclaredInput>
  /** How a dependency ended. `None` when it did not run to an end. */
  readonly getOutput: (stage: string) => Effect.Effect<Option.Option<Settled>, UndeclaredInput>
}

/**
 * How long things took so far, on a clock that never goes backwards.
 */
export interface Timer {
  /** Since the run started. */
  readonly run: Effect.Effect<Duration.Duration>
  /** Since this stage started. */
  readonly stage: Effect.Effect<Duration.Duration>
}

/**
 * Where a run stands in the tree of runs.
 */
export interface Lineage {
  /** This run. */
  readonly runId: string
  /** The run that started this one, when a stage did. */
  readonly parentRunId: string | undefined
  /** The stage that started this run. */
  readonly parentStage: string | undefined
  /** The same for all runs of one tree: the id of its first run. */
  readonly correlationId: string
}

/**
 * How far a stage has come: 412 of 1,000, or 412 when nobody knows of how many.
 */
export interface Progress {
  readonly done: number
  readonly total?: number | undefined
}

/**
 * What a running stage can ask the engine for.
 */
export class StageContext extends Context.Service<StageContext, {
  /** The input of the run. */
  readonly snapshot: Current
  /** Who and what the run belongs to. */
  readonly identity: RunIdentity
  /** Where the run stands among its parents. */
  readonly lineage: Lineage
  /** The pipeline's name. */
  readonly pipeline: string
  /** This stage's name in the pipeline. */
  readonly stage: string
  /** Which attempt this is, from 1. */
  readonly attempt: number
  /** How long things took so far. */
  readonly timer: Timer
  /** The outputs of the stages this one depends on, without types. */
  readonly inputs: Inputs
  /**
   * Puts an event of your own in the run's events. It has no typed error and never waits. Its data is read at once: what cannot
   * be read, such as a getter that throws, is a defect of the stage, whether anybody listens or not.
   */
  readonly emit: (type: string, data: unknown) => Effect.Effect<void>
  /** Adds an artifact to this stage's output. An artifact of an attempt that is retried is dropped with it. */
  readonly addArtifact: (artifact: Artifact) => Effect.Effect<void>
  /**
   * Says how far the stage has come, for `progress` of the run's handle: whole numbers from 0, and no more done than there
   * is. It never waits; the last one counts.
   */
  readonly progress: (progress: Progress) => Effect.Effect<void>
}>()("stageflow/StageContext") {}

/**
 * Puts an event of your own in the run's events.
 */
export const emit = (type: string, data: unknown): Effect.Effect<void, never, StageContext> =>
  Effect.flatMap(StageContext, (context) => context.emit(type, data))

/**
 * Adds an artifact to this stage's output.
 */
export const addArtifact = (artifact: Artifact): Effect.Effect<void, never, StageContext> =>
  Effect.flatMap(StageContext, (context) => context.addArtifact(artifact))

/**
 * Says how far this stage has come, for `progress` of the run's handle.
 */
export const progress = (progress: Progress): Effect.Effect<void, never, StageContext> =>
  Effect.flatMap(StageContext, (context) => context.progress(progress))
