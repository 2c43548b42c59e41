/**
 * Defines the shape of the record of a run, as plain data and as schemas.
 */
import * as Schema from "effect/Schema"
import { ErrorSummary, Event } from "../../Event.ts"
import { runEndings } from "../../internal/run-endings.ts"

/**
 * The version of the shape of records. It goes up when records of an earlier version cannot be read any more.
 */
export const version = 1

/**
 * Why a value is not in a record:
 *
 * - `unrecorded`: what the record was made of does not tell it, such as events alone
 * - `redacted`: the policy of the run log left it out
 * - `too_large`: it is larger than the run log keeps
 * - `not_json`: neither a schema nor JSON could write it
 */
export const NotKeptReason = Schema.Literals(["unrecorded", "redacted", "too_large", "not_json"])

/**
 * Why a value is not in a record.
 */
export type NotKeptReason = typeof NotKeptReason.Type

/**
 * A value of a run: as JSON, written by the schema of its stage where it has one, or that it was not kept, and why.
 */
export const KeptValue = Schema.Union([
  Schema.TaggedStruct("Kept", {
    json: Schema.Json,
    /** The fields that the policy of the run log left out, as JSON Pointers. Such a value is to be looked at only. */
    redacted: Schema.optionalKey(Schema.Array(Schema.String))
  }),
  Schema.TaggedStruct("NotKept", { reason: NotKeptReason, detail: Schema.optionalKey(Schema.String) })
])

/**
 * A value of a run: as JSON, or that it was not kept, and why.
 */
export type KeptValue = typeof KeptValue.Type

/**
 * What has become of a stage.
 */
export const StageStatus = Schema.Literals([
  "waiting",
  "running",
  "ok",
  "skipped",
  "cancelled",
  "failed",
  "timed_out",
  "blocked",
  "interrupted",
  "abandoned",
  "never_started"
])

/**
 * What has become of a stage.
 */
export type StageStatus = typeof StageStatus.Type

/**
 * What has become of a run. `lost`: its process ended before the run did.
 */
export const RunStatus = Schema.Literals(["running", ...runEndings, "lost"])

/**
 * What has become of a run.
 */
export type RunStatus = typeof RunStatus.Type

/**
 * One attempt of a stage. `endedAt` is absent while it runs.
 */
export const RecordedAttempt = Schema.Struct({
  attempt: Schema.Int,
  startedAt: Schema.Number,
  endedAt: Schema.optionalKey(Schema.Number),
  /** What it failed with. */
  error: Schema.optionalKey(ErrorSummary),
  /** Why the stage asked for another, when it did so itself. */
  reason: Schema.optionalKey(Schema.String)
})

/**
 * One attempt of a stage.
 */
export type RecordedAttempt = typeof RecordedAttempt.Type

/**
 * A time that a stage spent in a queue: of a bulkhead, a rate limit, or the concurrency limit of its run.
 */
export const RecordedWait = Schema.Struct({
  queue: Schema.String,
  startedAt: Schema.Number,
  endedAt: Schema.optionalKey(Schema.Number)
})

/**
 * A time that a stage spent in a queue.
 */
export type RecordedWait = typeof RecordedWait.Type

/**
 * What came of a call of a port.
 */
export const CallEnd = Schema.Union([
  Schema.TaggedStruct("Succeeded", { value: KeptValue }),
  Schema.TaggedStruct("Failed", { error: KeptValue, summary: ErrorSummary }),
  Schema.TaggedStruct("Died", { summary: ErrorSummary }),
  Schema.TaggedStruct("Interrupted", {})
])

/**
 * What came of a call of a port.
 */
export type CallEnd = typeof CallEnd.Type

/**
 * A call of a port that is recorded, by the stage that made it.
 */
export const RecordedCall = Schema.Struct({
  port: Schema.String,
  method: Schema.String,
  /** Whether the method is no function: an Effect or a Stream itself. */
  isMember: Schema.optionalKey(Schema.Boolean),
  attempt: Schema.Int,
  startedAt: Schema.Number,
  endedAt: Schema.Number,
  /** A list, of all arguments. */
  args: KeptValue,
  /** The elements, of a call that was answered with a stream. */
  elements: Schema.optionalKey(Schema.Array(KeptValue)),
  end: CallEnd
})

/**
 * A call of a port that is recorded, by the stage that made it.
 */
export type RecordedCall = typeof RecordedCall.Type

/**
 * A stage of a pipeline as its wiring has it: its name, its kind, and the stages that it waits for.
 */
export const WiredStage = Schema.Struct({
  name: Schema.String,
  kind: Schema.String,
  after: Schema.Array(Schema.String)
})

/**
 * A stage of a pipeline as its wiring has it.
 */
export type WiredStage = typeof WiredStage.Type

const stageFields = {
  ...WiredStage.fields,
  status: StageStatus,
  /** Absent for a stage that never started. */
  startedAt: Schema.optionalKey(Schema.Number),
  durationMs: Schema.optionalKey(Schema.Number),
  /** Why it was skipped or cancelled, or what it failed with, in a sentence. */
  reason: Schema.optionalKey(Schema.String),
  attempts: Schema.Array(RecordedAttempt),
  waits: Schema.Array(RecordedWait),
  /** What the wiring read for it. */
  input: KeptValue,
  /** What it ended with: an outcome with its tag, data, artifacts and events. */
  output: KeptValue,
  error: Schema.optionalKey(ErrorSummary),
  /** The error itself, written by the `error` schema of the stage where it has one. */
  failure: Schema.optionalKey(KeptValue),
  /** The error with its causes, as a developer reads it. */
  explanation: Schema.optionalKey(Schema.String),
  /** The calls of ports that are recorded, in the order in which they ended. */
  calls: Schema.optionalKey(Schema.Array(RecordedCall))
}

/**
 * What became of a stage, and the runs that it started.
 */
export interface RecordedStage extends Schema.Struct.Type<typeof stageFields> {
  /** The runs that it started, in the order in which they started. */
  readonly runs: ReadonlyArray<RunRecord>
}

/** What of a run a list of runs has. */
export const summaryFields = {
  runId: Schema.String,
  parentRunId: Schema.optionalKey(Schema.String),
  parentStage: Schema.optionalKey(Schema.String),
  correlationId: Schema.String,
  /** The run that this one replays. */
  replayOf: Schema.optionalKey(Schema.String),
  pipeline: Schema.String,
  requestId: Schema.optionalKey(Schema.String),
  sessionId: Schema.optionalKey(Schema.String),
  userId: Schema.optionalKey(Schema.String),
  orgId: Schema.optionalKey(Schema.String),
  tags: Schema.Array(Schema.String),
  status: RunStatus,
  /** Milliseconds since the epoch, as all times of a record. */
  startedAt: Schema.Number,
  /** Absent while it runs. */
  durationMs: Schema.optionalKey(Schema.Number),
  /** The stage or interceptor that ended it. */
  by: Schema.optionalKey(Schema.String),
  /** Why it ended as it did, in a sentence. */
  reason: Schema.optionalKey(Schema.String),
  error: Schema.optionalKey(ErrorSummary)
}

const runFields = {
  version: Schema.Literal(version),
  ...summaryFields,
  snapshot: KeptValue,
  /** Events of this run alone, in their order. */
  events: Schema.Array(Event),
  /** How many of its events are not here: the buffer of the run log was full, or its store failed. */
  missing: Schema.optionalKey(Schema.Int),
  /** Why nothing is here that comes after what is, when its log is damaged. */
  damage: Schema.optionalKey(Schema.String)
}

/**
 * What became of a run.
 */
export interface RunRecord extends Schema.Struct.Type<typeof runFields> {
  /** In the order in which the pipeline declares them. */
  readonly stages: ReadonlyArray<RecordedStage>
}

/**
 * What became of a stage, and the runs that it started.
 */
export const RecordedStage: Schema.Codec<RecordedStage, unknown> = Schema.Struct({
  ...stageFields,
  runs: Schema.Array(Schema.suspend((): Schema.Codec<RunRecord, unknown> => RunRecord))
})

/**
 * What became of a run.
 */
export const RunRecord: Schema.Codec<RunRecord, unknown> = Schema.Struct({
  ...runFields,
  stages: Schema.Array(RecordedStage)
})
