/**
 * Defines the events of a run: plain values that say what happens, as it happens.
 *
 * Every event has the same envelope: which run it belongs to and where that run stands among its parents, its number
 * in the run (from 1, without gaps) and its time. For every run there is one `RunStarted` and one terminal event; for
 * every stage that started one `StageStarted` and one terminal event. A stage that its wiring skipped or failed, or that
 * a failed stage blocked, never started: it has a `StageSkipped`, `StageFailed` or `StageBlocked` alone, as attempt 0.
 *
 * Events are plain data. `Event` is also a schema, so they encode to JSON and back.
 */
import { absurd } from "effect/Function"
import * as Schema from "effect/Schema"

/**
 * Where an event comes from: its run, and its place and time in it.
 */
export const envelope = {
  runId: Schema.String,
  parentRunId: Schema.optionalKey(Schema.String),
  parentStage: Schema.optionalKey(Schema.String),
  correlationId: Schema.String,
  pipeline: Schema.String,
  sequence: Schema.Int,
  /** Milliseconds since the epoch. */
  at: Schema.Number
}

const stage = {
  stage: Schema.String,
  attempt: Schema.Int
}

/**
 * An error as an event shows it: its tag, its code when it has one, and its message.
 */
export const ErrorSummary = Schema.Struct({
  tag: Schema.String,
  code: Schema.optionalKey(Schema.String),
  message: Schema.String
})

/**
 * An error as an event shows it: its tag, its code when it has one, and its message.
 */
export type ErrorSummary = typeof ErrorSummary.Type

const names = Schema.Array(Schema.String)

const event = <const Tag extends string, const Fields extends Schema.Struct.Fields>(tag: Tag, fields: Fields) =>
  Schema.TaggedStruct(tag, { ...envelope, ...fields })

const stageEvent = <const Tag extends string, const Fields extends Schema.Struct.Fields>(tag: Tag, fields: Fields) =>
  Schema.TaggedStruct(tag, { ...envelope, ...stage, ...fields })

/** The run started. */
export const RunStarted = event("RunStarted", { stages: Schema.Int })
/** Every stage ended as `Ok` or `Skip`. */
export const RunCompleted = event("RunCompleted", { durationMs: Schema.Number })
/** A stage or the caller ended the run on purpose. */
export const RunCancelled = event("RunCancelled", {
  durationMs: Schema.Number,
  /** The stage that asked for it; absent when the caller did. */
  by: Schema.optionalKey(Schema.String),
  reason: Schema.String
})
/** A stage failed, and the run with it. */
export const RunFailed = event("RunFailed", {
  durationMs: Schema.Number,
  stage: Schema.String,
  error: ErrorSummary
})
/** Stages failed and the others went on: the run ended without being complete. */
export const RunIncomplete = event("RunIncomplete", {
  durationMs: Schema.Number,
  failed: names,
  blocked: names
})
/**
 * The run ended outside of its stages: an interceptor around it denied it or died, or one of its layers could not be built
 * or released.
 */
export const RunRejected = event("RunRejected", {
  durationMs: Schema.Number,
  /** The interceptor that it was, where that is known. */
  interceptor: Schema.optionalKey(Schema.String),
  error: ErrorSummary
})
/** The caller of the run was interrupted. */
export const RunInterrupted = event("RunInterrupted", { durationMs: Schema.Number })

/** The stage started. */
export const StageStarted = stageEvent("StageStarted", { kind: Schema.String })
/** The stage ended with data. */
export const StageCompleted = stageEvent("StageCompleted", {
  durationMs: Schema.Number,
  version: Schema.optionalKey(Schema.String)
})
/** The stage had nothing to do, or its wiring skipped it before it started. */
export const StageSkipped = stageEvent("StageSkipped", { durationMs: Schema.Number, reason: Schema.String })
/** The stage ended the run on purpose. */
export const StageCancelled = stageEvent("StageCancelled", { durationMs: Schema.Number, reason: Schema.String })
/** The stage failed for good. */
export const StageFailed = stageEvent("StageFailed", { durationMs: Schema.Number, error: ErrorSummary })
/** The run ended while the stage was running. `abandoned`: it, or something inside of it, ignored its interruption. */
export const StageInterrupted = stageEvent("StageInterrupted", {
  durationMs: Schema.Number,
  abandoned: Schema.Boolean
})
/** A stage that this one depends on failed, so it never starts. */
export const StageBlocked = stageEvent("StageBlocked", { by: Schema.String })
/** An attempt ended, and a policy granted another. */
export const StageRetrying = stageEvent("StageRetrying", {
  /** How long until the next attempt. */
  delayMs: Schema.Number,
  /** What the attempt failed with; absent when the stage asked for the retry itself. */
  error: Schema.optionalKey(ErrorSummary),
  /** Why the stage asked for it. */
  reason: Schema.optionalKey(Schema.String)
})
/** The stage reported something of its own. */
export const StageEmitted = stageEvent("StageEmitted", { type: Schema.String, data: Schema.Unknown })
/** The stage made an artifact. */
export const ArtifactAdded = stageEvent("ArtifactAdded", { type: Schema.String, payload: Schema.Unknown })

/**
 * Any event.
 */
export const Event = Schema.Union([
  RunStarted,
  RunCompleted,
  RunCancelled,
  RunFailed,
  RunIncomplete,
  RunRejected,
  RunInterrupted,
  StageStarted,
  StageCompleted,
  StageSkipped,
  StageCancelled,
  StageFailed,
  StageInterrupted,
  StageBlocked,
  StageRetrying,
  StageEmitted,
  ArtifactAdded
])

/**
 * Any event.
 */
export type Event = typeof Event.Type

/**
 * The events with these tags.
 */
export type Of<Tag extends Event["_tag"]> = Extract<Event, { readonly _tag: Tag }>

/**
 * Whether an event is about a stage.
 */
export const isStageEvent = (event: Event): event is Extract<Event, { readonly attempt: number }> => "attempt" in event

/** Whose last event it is. */
const lastOf: { readonly [Tag in Event["_tag"]]: "run" | "stage" | undefined } = {
  RunStarted: undefined,
  RunCompleted: "run",
  RunCancelled: "run",
  RunFailed: "run",
  RunIncomplete: "run",
  RunRejected: "run",
  RunInterrupted: "run",
  StageStarted: undefined,
  StageCompleted: "stage",
  StageSkipped: "stage",
  StageCancelled: "stage",
  StageFailed: "stage",
  StageInterrupted: "stage",
  StageBlocked: "stage",
  StageRetrying: undefined,
  StageEmitted: undefined,
  ArtifactAdded: undefined
}

/**
 * Whether an event is the last one of its run.
 */
export const isRunEnd = (
  event: Event
): event is Of<"RunCompleted" | "RunCancelled" | "RunFailed" | "RunIncomplete" | "RunRejected" | "RunInterrupted"> =>
  lastOf[event._tag] === "run"

/**
 * Whether an event is the last one of a stage.
 */
export const isStageEnd = (
  event: Event
): event is Of<
  "StageCompleted" | "StageSkipped" | "StageCancelled" | "StageFailed" | "StageInterrupted" | "StageBlocked"
> => lastOf[event._tag] === "stage"

/**
 * Formats an event as one line for people: `#4 +12ms StageCompleted router`.
 */
export const format = (event: Event, startedAt: number = event.at): string =>
  `#${event.sequence} +${event.at - startedAt}ms ${summary(event)}`

/**
 * Says what happened, without when: `StageFailed router: Busy: The model is busy`.
 */
export const summary = (event: Event): string => {
  const about = isStageEvent(event) ? ` ${event.stage}` : ""
  return `${event._tag}${about}${detail(event)}`
}

const detail = (event: Event): string => {
  switch (event._tag) {
    case "StageSkipped":
    case "StageCancelled":
    case "RunCancelled":
      return `: ${event.reason}`
    case "StageFailed":
    case "RunFailed":
    case "RunRejected":
      return `: ${event.error.tag}: ${event.error.message}`
    case "StageBlocked":
      return `: ${event.by} failed`
    case "StageRetrying":
      return `: attempt ${event.attempt} ended with ${event.error?.tag ?? event.reason ?? "a retry"}`
    case "StageEmitted":
    case "ArtifactAdded":
      return `: ${event.type}`
    case "RunStarted":
    case "RunCompleted":
    case "RunIncomplete":
    case "RunInterrupted":
    case "StageStarted":
    case "StageCompleted":
    case "StageInterrupted":
      return ""
    default:
      return absurd(event)
  }
}
