/**
 * Defines the errors of a stage that runs a pipeline whose run failed or was cancelled.
 */
import * as Schema from "effect/Schema"
import { RefusalTypeId } from "../internal/refusal.ts"
import type { DepthExceeded } from "../StageError.ts"
import { messageOf } from "./error-summary.ts"

/** What a run fails with when a stage of it fails, as far as it is known here. */
interface FailedRun {
  readonly stage: string
  readonly error: unknown
}

const isFailedRun = (error: unknown): error is FailedRun =>
  typeof error === "object" && error !== null && "_tag" in error && error._tag === "StageFailed"

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
export const innermost = (failed: unknown): unknown => {
  let error = failed
  while (error instanceof SubpipelineFailed || isFailedRun(error)) error = error.error
  return error
}

/** The stages from the one that failed in the run of a pipeline on downwards. */
export const pathBelow = (error: unknown): ReadonlyArray<string> => {
  if (!isFailedRun(error)) return []
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
