/**
 * Defines what a run ends with: its results and its errors.
 *
 * A run that ends well is `Completed`, or `Cancelled` when a stage or the caller ended it on purpose; both are values.
 * A run that fails fails its Effect with `StageFailed`. With `failure: "continue"` the branches that do not depend on a
 * failed stage go on, and the run ends as `Incomplete`, a value that is never taken for `Completed`.
 */
import type * as Cause from "effect/Cause"
import * as Schema from "effect/Schema"
import type { Compensation } from "./attempt/compensation.ts"
import { messageOf } from "./attempt/error-summary.ts"
import { explainFailure, explainRun, takenBack } from "./attempt/explanation.ts"
import type { StreamSummary } from "./attempt/stream-summary.ts"
import { describeProblems, FieldProblem } from "./internal/problems.ts"
import type { OutputBag } from "./OutputBag.ts"
import type { RunIdentity } from "./Snapshot.ts"
import type { Lineage } from "./StageContext.ts"
import type { StageFault } from "./StageError.ts"

/**
 * What every result tells of its run.
 */
export interface Summary {
  readonly pipeline: string
  readonly identity: RunIdentity
  readonly lineage: Lineage
  /**
   * How long its stages took, from the start of the first to the end of the last. The events of the run tell how long the whole
   * took: with its layers built and released, and what is around it entered and left.
   */
  readonly durationMs: number
  /** What every attempt of every stage ended with. */
  readonly bag: OutputBag
  /** What became of the chunks of the stages that streamed, by name; absent when none did. */
  readonly streams?: Readonly<Record<string, StreamSummary>> | undefined
}

/**
 * Every stage ended, as `Ok` or `Skip`.
 */
export interface Completed<out Outputs> extends Summary {
  readonly _tag: "Completed"
  /** How each stage ended, by its name. */
  readonly outputs: Outputs
}

/**
 * Every stage ended, as `Ok` or `Skip`, and the run of a pipeline that `returns` something gives its `value`.
 */
export interface CompletedWith<out Value, out Outputs> extends Completed<Outputs> {
  readonly value: Value
}

/**
 * The run was ended on purpose. `by` is the stage that did it, `undefined` when the caller did.
 */
export interface Cancelled<out Outputs, out By = string | undefined> extends Summary {
  readonly _tag: "Cancelled"
  readonly by: By
  readonly reason: string
  readonly data: Readonly<Record<string, unknown>>
  /** How the stages ended that ended before. */
  readonly outputs: Partial<Outputs>
  /** The stages that were running. */
  readonly interrupted: ReadonlyArray<string>
  /** Those of them that ignored their interruption beyond the grace and were left behind. */
  readonly abandoned: ReadonlyArray<string>
  readonly neverStarted: ReadonlyArray<string>
  /** Stages that depend on one that failed before, where `failure: "continue"` let the others go on. */
  readonly blocked: ReadonlyArray<string>
  /** What failed before, where `failure: "continue"` let the others go on. */
  readonly failures: ReadonlyArray<Failure<unknown>>
  /** What was taken back of what the stages had done; absent without a saga. */
  readonly compensation?: Compensation | undefined
}

/**
 * Stages failed and the others went on, as `failure: "continue"` asks.
 *
 * The four lists together name every stage once.
 */
export interface Incomplete<out Outputs, out Error> extends Summary {
  readonly _tag: "Incomplete"
  readonly outputs: Partial<Outputs>
  readonly ok: ReadonlyArray<string>
  readonly skipped: ReadonlyArray<string>
  readonly failed: ReadonlyArray<string>
  /** Stages that depend on a failed one, directly or not. They never started. */
  readonly blocked: ReadonlyArray<string>
  /** What each failed stage failed with. */
  readonly failures: ReadonlyArray<Failure<Error>>
  /** What was taken back of what the stages had done; absent without a saga. */
  readonly compensation?: Compensation | undefined
}

/**
 * One stage's failure.
 */
export interface Failure<out Error> {
  readonly stage: string
  readonly error: Error | StageFault
  readonly attempts: number
  readonly cause: Cause.Cause<unknown>
  /** What `StageOutput.fail(error, { data })` gave beside the error. */
  readonly data: Readonly<Record<string, unknown>>
}

/**
 * A stage failed, and the run with it.
 *
 * `error` is the stage's typed error, or a `StageFault`. The cause holds everything that went wrong, several failures
 * at once and failing finalizers included, the first one first.
 */
export class StageFailed<out Error = unknown, out Outputs = unknown>
  extends Schema.TaggedError<StageFailed<unknown, unknown>>()("StageFailed", {
    stage: Schema.String,
    error: Schema.Unknown,
    attempts: Schema.Int,
    cause: Schema.Unknown,
    data: Schema.Unknown,
    outputs: Schema.Unknown,
    interrupted: Schema.Array(Schema.String),
    abandoned: Schema.Array(Schema.String),
    neverStarted: Schema.Array(Schema.String),
    pipeline: Schema.String,
    identity: Schema.Unknown,
    lineage: Schema.Unknown,
    durationMs: Schema.Number,
    bag: Schema.Unknown,
    compensation: Schema.optionalKey(Schema.Unknown),
    streams: Schema.optionalKey(Schema.Unknown)
  })
{
  readonly code = "STAGE_FAILED"
  /** The stage's typed error, or a `StageFault`. */
  declare readonly error: Error | StageFault
  /** Everything that went wrong, the first one first. */
  declare readonly cause: Cause.Cause<unknown>
  /** What `StageOutput.fail(error, { data })` gave beside the error. */
  declare readonly data: Readonly<Record<string, unknown>>
  /** How the stages ended that ended before or in the same instant. */
  declare readonly outputs: Partial<Outputs>
  declare readonly identity: RunIdentity
  declare readonly lineage: Lineage
  declare readonly bag: OutputBag
  /** What was taken back of what the stages had done; absent without a saga. */
  declare readonly compensation?: Compensation
  /** What became of the chunks of the stages that streamed, by name; absent when none did. */
  declare readonly streams?: Readonly<Record<string, StreamSummary>>

  override get message(): string {
    const attempts = this.attempts > 1 ? ` after ${this.attempts} attempts` : ""
    return `Stage "${this.stage}" of pipeline "${this.pipeline}" failed${attempts}: ${messageOf(this.error)}`
  }

  /** What a log shows of it: what happened where, and none of the data. `ResultCodec` encodes all of it. */
  override toJSON() {
    const {
      _tag,
      abandoned,
      attempts,
      code,
      compensation,
      interrupted,
      lineage,
      message,
      neverStarted,
      pipeline,
      stage
    } = this
    return {
      _tag,
      code,
      message,
      pipeline,
      stage,
      attempts,
      interrupted,
      abandoned,
      neverStarted,
      ...(compensation === undefined ? {} : { compensation }),
      runId: lineage.runId
    }
  }

  [Symbol.for("nodejs.util.inspect.custom")]() {
    return this.toJSON()
  }
}

/**
 * A layer that a pipeline provides to its stages could not be built, so no stage started.
 */
export class LayerFailed<out Error = unknown>
  extends Schema.TaggedError<LayerFailed<unknown>>()("LayerFailed", { pipeline: Schema.String, error: Schema.Unknown })
{
  readonly code = "LAYER_FAILED"
  declare readonly error: Error
  override get message(): string {
    return `A layer of pipeline "${this.pipeline}" could not be built: ${messageOf(this.error)}`
  }
}

/**
 * What a pipeline `returns` could not be given: its function threw, or its schema rejects the value.
 */
export class ValueFailed<out Outputs = unknown> extends Schema.TaggedError<ValueFailed<unknown>>()("ValueFailed", {
  pipeline: Schema.String,
  problems: Schema.Array(FieldProblem),
  /** What was thrown, when something was. */
  cause: Schema.optionalKey(Schema.Defect()),
  result: Schema.Unknown,
  compensation: Schema.optionalKey(Schema.Unknown)
}) {
  readonly code = "VALUE_FAILED"
  /** The result without the value: every stage has ended. */
  declare readonly result: Completed<Outputs>
  /** What was taken back of what the stages had done; absent without a saga. */
  declare readonly compensation?: Compensation
  override get message(): string {
    return `What pipeline "${this.pipeline}" returns is invalid: ${describeProblems(this.problems)}`
  }

  /** What a log shows of it: none of the data. */
  override toJSON() {
    const { _tag, code, message, pipeline, problems, result } = this
    return { _tag, code, message, pipeline, problems, runId: result.lineage.runId }
  }

  [Symbol.for("nodejs.util.inspect.custom")]() {
    return this.toJSON()
  }
}

/**
 * How a run ended that did not fail.
 */
export type RunResult<Outputs = unknown, Error = unknown> =
  | Completed<Outputs>
  | Cancelled<Outputs>
  | Incomplete<Outputs, Error>

/**
 * Explains to a developer why a run failed, or stages of one that went on: each failed stage with its error, what that
 * holds, where in the program it was thrown, what caused it and what else went wrong, every attempt, and what became of the
 * other stages.
 *
 * The text has the messages of defects in it, and what errors hold: it is for a terminal and a developer's log, not for
 * whoever called.
 */
export const explain = (failed: StageFailed | Incomplete<unknown, unknown>): string => {
  if (failed._tag === "StageFailed") return explainRun(failed).join("\n")
  const { bag, blocked, compensation, failures, ok, pipeline, skipped } = failed
  return [
    `Stages of pipeline "${pipeline}" failed, and the others went on`,
    ...failures.flatMap((failure) => [
      `  stage "${failure.stage}"${failure.attempts > 1 ? ` after ${failure.attempts} attempts` : ""}`,
      ...explainFailure(failure, bag.entries).map((line) => `    ${line}`)
    ]),
    ...([["ok", ok], ["skipped", skipped], ["blocked", blocked]] as const)
      .flatMap(([head, names]) => names.length === 0 ? [] : [`  ${head}: ${names.join(", ")}`]),
    ...takenBack(compensation).map((line) => `  ${line}`)
  ].join("\n")
}

export { Compensation } from "./attempt/compensation.ts"
export { StreamSummary } from "./attempt/stream-summary.ts"
