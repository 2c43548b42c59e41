/**
 * Defines the rows that are made of stages and runs.
 */
import * as Schema from "effect/Schema"
import { envelope } from "../../Event.ts"
import { runEndings } from "../../internal/run-endings.ts"

const { at: _at, sequence: _sequence, ...ids } = envelope

const count = Schema.Int
const millis = Schema.Number
const text = Schema.optionalKey(Schema.String)

const failed = {
  errorTag: text,
  errorCode: text,
  errorMessage: text
}

const times = {
  /** When it started, in milliseconds since the epoch; absent for what never did. */
  startedAt: Schema.optionalKey(millis),
  /** When that was told. */
  endedAt: millis,
  durationMs: Schema.optionalKey(millis)
}

/**
 * A stage, when it has ended.
 */
export const WideStage = Schema.TaggedStruct("WideStage", {
  ...ids,
  stage: Schema.String,
  /** Absent for a stage that never started. */
  kind: text,
  /** `abandoned`: it ignored its interruption. `lost`: its end was not told. */
  status: Schema.Literals([
    "ok",
    "skipped",
    "cancelled",
    "failed",
    "timed_out",
    "blocked",
    "interrupted",
    "abandoned",
    "lost"
  ]),
  ...times,
  /** 0 for a stage that never started. */
  attempts: count,
  retries: count,
  /** How long it waited between its attempts. */
  retryWaitMs: millis,
  /** How long it waited in queues: for the limit of its run, of bulkheads and rate limits. */
  queueWaitMs: millis,
  cacheHit: Schema.Boolean,
  idempotentReplay: Schema.Boolean,
  fallbackUsed: Schema.Boolean,
  rateLimited: Schema.Boolean,
  hedges: count,
  hedgeWon: Schema.Boolean,
  /** How often a circuit was opened by it. */
  breakersOpened: count,
  /** What guards said: how often they let something through, redacted it, or rejected it. */
  guardsAccepted: count,
  guardsRedacted: count,
  guardsRejected: count,
  childRuns: count,
  emitted: count,
  artifacts: count,
  /** Why it was skipped or cancelled. */
  reason: text,
  /** The stage whose failure blocked it. */
  blockedBy: text,
  version: text,
  ...failed
})

/**
 * A stage, when it has ended.
 */
export type WideStage = typeof WideStage.Type

/**
 * A run, when it has ended.
 */
export const WideRun = Schema.TaggedStruct("WideRun", {
  ...ids,
  /** `denied`: an interceptor refused it before a stage started. `lost`: its end was not told. */
  status: Schema.Literals([...runEndings, "lost"]),
  ...times,
  /** How many stages it has; absent when its start was not told. */
  stages: Schema.optionalKey(count),
  ok: count,
  skipped: count,
  cancelled: count,
  failed: count,
  timedOut: count,
  blocked: count,
  interrupted: count,
  abandoned: count,
  /** The stages that never started, since the run ended before; absent when its start was not told. */
  neverStarted: Schema.optionalKey(count),
  attempts: count,
  retries: count,
  retryWaitMs: millis,
  /** Of all its stages together. */
  queueWaitMs: millis,
  cacheHits: count,
  fallbacksUsed: count,
  childRuns: count,
  emitted: count,
  artifacts: count,
  /** What was taken back of what its stages did, and what could not be. */
  compensated: count,
  notCompensated: count,
  /** How many events it told. */
  events: count,
  /** The stage that it failed at, or that cancelled it. */
  stage: text,
  /** The interceptor that ended it outside of its stages. */
  interceptor: text,
  reason: text,
  ...failed
})

/**
 * A run, when it has ended.
 */
export type WideRun = typeof WideRun.Type

/**
 * A row: a stage or a run.
 */
export const WideEvent = Schema.Union([WideStage, WideRun])

/**
 * A row: a stage or a run.
 */
export type WideEvent = typeof WideEvent.Type
