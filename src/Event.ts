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
import { oneLine } from "./internal/one-line.ts"
import { runEndings } from "./internal/run-endings.ts"
import { RouteCandidate } from "./internal/snapshot-model.ts"

/**
 * Where an event comes from: its run, whom that belongs to, and its place and time in it. Ids only: nothing of what a run
 * works on is in here.
 *
 * The ids of the session, user and organisation are those that the snapshot claims, until something around the run has
 * proven who is calling; from then on they are the proven ones. `requestId` is there when the caller gave one, to this run
 * or to the one that it is inside of.
 */
export const envelope = {
  runId: Schema.String,
  parentRunId: Schema.optionalKey(Schema.String),
  parentStage: Schema.optionalKey(Schema.String),
  correlationId: Schema.String,
  pipeline: Schema.String,
  requestId: Schema.optionalKey(Schema.String),
  sessionId: Schema.optionalKey(Schema.String),
  userId: Schema.optionalKey(Schema.String),
  orgId: Schema.optionalKey(Schema.String),
  topology: Schema.optionalKey(Schema.String),
  executionMode: Schema.optionalKey(Schema.String),
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
const millis = Schema.Number

// The sentence of each event says when it comes. The page of the events shows it, with the fields and what they are.
const event = <const Tag extends string, const Fields extends Schema.Struct.Fields>(
  tag: Tag,
  description: string,
  fields: Fields
) => Schema.TaggedStruct(tag, { ...envelope, ...fields }).annotate({ description })

const stageEvent = <const Tag extends string, const Fields extends Schema.Struct.Fields>(
  tag: Tag,
  description: string,
  fields: Fields
) => Schema.TaggedStruct(tag, { ...envelope, ...stage, ...fields }).annotate({ description })

const field = <S extends Schema.Top>(schema: S, description: string) => schema.annotate({ description })

// ---------------------------------------------------------------------------------------------------------------------
// runs
// ---------------------------------------------------------------------------------------------------------------------

/** A run was made. It is the first event, and comes before anything around the run: there is no other one for that. */
export const RunStarted = event(
  "RunStarted",
  "first: the run was made, and nothing around it has begun",
  { stages: field(Schema.Int, "how many") }
)
/** Every stage ended as `Ok` or `Skip`. */
export const RunCompleted = event("RunCompleted", "last: every stage ended with data or was skipped", {
  durationMs: millis
})
/** A stage or the caller ended the run on purpose. */
export const RunCancelled = event("RunCancelled", "last: a stage or the caller ended the run on purpose", {
  durationMs: millis,
  reason: Schema.String,
  by: Schema.optionalKey(field(Schema.String, "the stage; absent when the caller did it"))
})
/** A stage failed, and the run with it. */
export const RunFailed = event("RunFailed", "last: a stage failed, and the run with it", {
  durationMs: millis,
  stage: Schema.String,
  error: ErrorSummary
})
/** The run took longer than its deadline. */
export const RunTimedOut = event("RunTimedOut", "last: the run took longer than its deadline", {
  durationMs: millis,
  limitMs: Schema.optionalKey(field(millis, "how long it was given")),
  error: ErrorSummary
})
/** Stages failed and the others went on: the run ended without being complete. */
export const RunIncomplete = event(
  "RunIncomplete",
  "last, with `failure: \"continue\"`: stages failed, and the others went on",
  { durationMs: millis, failed: names, blocked: names }
)
/** An interceptor around the run refused it: no stage started. */
export const RunDenied = event("RunDenied", "last: an interceptor around the run refused it, and no stage started", {
  durationMs: millis,
  interceptor: Schema.optionalKey(field(Schema.String, "which one, where that is known")),
  error: ErrorSummary
})
/**
 * The run ended outside of its stages without being denied: an interceptor around it died or failed after them, a layer could
 * not be built or released, or its input or its value was wrong.
 */
export const RunRejected = event(
  "RunRejected",
  "last: the run ended outside of its stages without being denied: an interceptor around it died or failed after them, a "
    + "layer could not be built or released, its input was none of its schema, or its value",
  {
    durationMs: millis,
    interceptor: Schema.optionalKey(field(Schema.String, "which one, where that is known")),
    error: ErrorSummary
  }
)
/** The caller of the run was interrupted. */
export const RunInterrupted = event("RunInterrupted", "last: the caller was interrupted", { durationMs: millis })

// ---------------------------------------------------------------------------------------------------------------------
// stages
// ---------------------------------------------------------------------------------------------------------------------

/** The stage started. */
export const StageStarted = stageEvent("StageStarted", "the stage started", {
  kind: Schema.String,
  queuedMs: Schema.optionalKey(
    field(millis, "how long it was ready before, where the concurrency limit of the run made it wait")
  )
})
/** The stage ended with data. */
export const StageCompleted = stageEvent("StageCompleted", "it ended with data", {
  durationMs: millis,
  version: Schema.optionalKey(Schema.String)
})
/** The stage had nothing to do, or its wiring skipped it before it started. */
export const StageSkipped = stageEvent("StageSkipped", "it had nothing to do, or its wiring skipped it", {
  durationMs: millis,
  reason: Schema.String
})
/** The stage ended the run on purpose. */
export const StageCancelled = stageEvent("StageCancelled", "it ended the run on purpose", {
  durationMs: millis,
  reason: Schema.String
})
/** The stage failed for good. */
export const StageFailed = stageEvent("StageFailed", "it failed for good", { durationMs: millis, error: ErrorSummary })
/** The stage failed for good, with a `StageTimeout`: its own, or that of what it runs. */
export const StageTimedOut = stageEvent(
  "StageTimedOut",
  "it failed for good, with a `StageTimeout`: its own, or that of what it runs",
  {
    durationMs: millis,
    limitMs: Schema.optionalKey(field(millis, "how long the attempt was given")),
    error: ErrorSummary
  }
)
/** The run ended while the stage was running. `abandoned`: it, or something inside of it, ignored its interruption. */
export const StageInterrupted = stageEvent("StageInterrupted", "the run ended while it was running", {
  durationMs: millis,
  abandoned: field(Schema.Boolean, "whether it, or something inside of it, ignored its interruption")
})
/** A stage that this one depends on failed, so it never starts. */
export const StageBlocked = stageEvent("StageBlocked", "a stage that it depends on failed", {
  by: field(Schema.String, "that stage")
})
/** An attempt ended, and a policy granted another. */
export const StageRetrying = stageEvent("StageRetrying", "an attempt ended, and a policy granted another", {
  delayMs: field(millis, "how long until the next attempt"),
  error: Schema.optionalKey(ErrorSummary.annotate({
    description: "what the attempt failed with; absent when the stage asked for the retry itself"
  })),
  reason: Schema.optionalKey(field(Schema.String, "why the stage asked for it"))
})
/** The stage reported something of its own. */
export const StageEmitted = stageEvent("StageEmitted", "it reported something of its own", {
  type: Schema.String,
  data: Schema.Unknown
})
/** The stage made an artifact. */
export const ArtifactAdded = stageEvent("ArtifactAdded", "it made an artifact", {
  type: Schema.String,
  payload: Schema.Unknown
})

// ---------------------------------------------------------------------------------------------------------------------
// what is around a stage
// ---------------------------------------------------------------------------------------------------------------------

const queue = { queue: field(Schema.String, "`bulkhead` with its name, or `rate limit`") }

/** The stage waits for a place or for its turn. */
export const StageQueued = stageEvent("StageQueued", "it begins to wait, in a bulkhead or a rate limit", queue)
/** The stage does not wait any more. */
export const StageDequeued = stageEvent("StageDequeued", "it does not wait there any more", {
  ...queue,
  waitedMs: millis,
  admitted: field(Schema.Boolean, "whether it was let in; not when it was pushed out or interrupted")
})
/** A rate limit is reached, so the stage did not run. */
export const RateLimited = stageEvent("RateLimited", "a rate limit is reached, and it does not run", {
  limit: Schema.Int,
  retryAfterMs: field(millis, "when there is room again")
})
const circuit = { circuit: field(Schema.String, "its key") }
/** What the stage ended with opened a circuit. */
export const BreakerOpened = stageEvent("BreakerOpened", "what it ended with opened a circuit", circuit)
/** The stage is the probe of a circuit. */
export const BreakerHalfOpened = stageEvent("BreakerHalfOpened", "it is the probe of a circuit that was open", circuit)
/** What the stage ended with closed a circuit. */
export const BreakerClosed = stageEvent("BreakerClosed", "what it ended with closed a circuit", circuit)
/** The outcome of the stage is one that a cache had kept. */
export const CacheHit = stageEvent("CacheHit", "its outcome is one that a cache had kept", {})
/** The outcome of the stage is one that was kept under its idempotency key. */
export const IdempotentReplay = stageEvent(
  "IdempotentReplay",
  "its outcome is one that was kept under its idempotency key",
  {}
)
/** A fallback gave the data of the stage. */
export const FallbackUsed = stageEvent("FallbackUsed", "a fallback gave its data", {
  error: Schema.optionalKey(ErrorSummary.annotate({ description: "what it stands in for" })),
  provider: Schema.optionalKey(field(Schema.Int, "which of several providers gave it, from 0"))
})
/** A hedge started a second attempt beside the first. */
export const HedgeStarted = stageEvent("HedgeStarted", "a second attempt is started beside a slow one", {
  hedge: field(Schema.Int, "the number of the second attempt")
})
/** The second attempt of a hedge gave the outcome. */
export const HedgeWon = stageEvent("HedgeWon", "the second attempt gave the outcome", {
  hedge: field(Schema.Int, "its number")
})

// ---------------------------------------------------------------------------------------------------------------------
// what a stage is made of
// ---------------------------------------------------------------------------------------------------------------------

/** A guard has judged. What it found is not said here. */
export const GuardVerdict = stageEvent(
  "GuardVerdict",
  "a guard of `stageflow/guards` has judged, or one of a guard retry",
  {
    guard: Schema.String,
    verdict: Schema.Literals(["accepted", "redacted", "rejected"]),
    findings: Schema.optionalKey(field(Schema.Int, "how many")),
    draft: Schema.optionalKey(field(Schema.Int, "the draft of a guard retry that it judged, from 1"))
  }
)
/** The stage starts a run inside of itself. */
export const SubpipelineStarted = stageEvent(
  "SubpipelineStarted",
  "it starts a run inside of itself; those of a for-each are told of by its items",
  { childRunId: Schema.String, childPipeline: Schema.String }
)
/** A run inside of the stage has ended. */
export const SubpipelineEnded = stageEvent("SubpipelineEnded", "that run has ended", {
  childRunId: Schema.String,
  status: Schema.Literals(runEndings)
})
/** A route was decided on. */
export const RouteDecided = stageEvent("RouteDecided", "`Route.match` or `Route.weighted` decided on a route", {
  route: Schema.String,
  by: Schema.Literals(["router", "confidence", "weights", "otherwise"]),
  chosen: Schema.optionalKey(field(Schema.String, "what the router chose, when that is another one")),
  reason: Schema.optionalKey(Schema.String),
  confidence: Schema.optionalKey(Schema.Finite),
  candidates: Schema.optionalKey(Schema.Array(RouteCandidate))
})
/** A contestant won a race. */
export const RaceWon = stageEvent("RaceWon", "a contestant of a race won it", {
  winner: Schema.String,
  failed: field(names, "the contestants that had failed by then")
})

const counts = {
  done: Schema.Int,
  ok: Schema.Int,
  failed: Schema.Int,
  skipped: Schema.Int,
  total: Schema.optionalKey(Schema.Int)
}

/** An item of a for-each has ended. Not all are told of; the counts are of all. */
export const ItemEnded = stageEvent("ItemEnded", "an item of a for-each has ended, if it is told of", {
  index: Schema.Int,
  key: field(Schema.String, "what the item is called"),
  attempts: Schema.Int,
  durationMs: millis,
  outcome: Schema.Literals(["ok", "failed", "skipped"]),
  reason: Schema.optionalKey(field(Schema.String, "why it was skipped")),
  error: Schema.optionalKey(ErrorSummary.annotate({ description: "what it failed with" })),
  counts: field(Schema.Struct(counts), "of all items so far")
})
/** A for-each has ended. */
export const ForEachEnded = stageEvent("ForEachEnded", "a for-each has ended", {
  outcome: Schema.Literals(["ok", "failed", "cancelled", "interrupted"]),
  counts: field(Schema.Struct({ ...counts, interrupted: Schema.Int }), "of all items")
})
/** An iteration of a loop is complete. */
export const LoopIterated = stageEvent("LoopIterated", "an iteration of a loop is complete", {
  iteration: field(Schema.Int, "from 1"),
  of: field(Schema.Int, "how many there may be")
})
/** A loop has ended. */
export const LoopEnded = stageEvent("LoopEnded", "a loop has ended", {
  iterations: Schema.Int,
  ended: Schema.Literals(["until", "iterations", "stagnation", "oscillation", "deadline"])
})
/** A guard retry makes a draft. */
export const DraftStarted = stageEvent("DraftStarted", "a guard retry begins with a draft", {
  draft: field(Schema.Int, "from 1"),
  of: field(Schema.Int, "how many there may be")
})
/** A guard retry has ended. */
export const GuardRetryEnded = stageEvent("GuardRetryEnded", "a guard retry has ended", {
  drafts: Schema.Int,
  ended: Schema.Literals(["accepted", "attempts", "stagnation", "deadline"])
})

// ---------------------------------------------------------------------------------------------------------------------
// sagas
// ---------------------------------------------------------------------------------------------------------------------

const compensated = {
  path: field(names, "the stages from this one down to the one whose work it is"),
  stageRunId: field(Schema.String, "the run that the last of them was part of")
}

/** What the stage did is going to be taken back. */
export const CompensationStarted = stageEvent(
  "CompensationStarted",
  "what it did, or a stage of a run inside of it, is going to be taken back",
  compensated
)
/** What the stage did is taken back. */
export const CompensationCompleted = stageEvent("CompensationCompleted", "it is taken back", {
  ...compensated,
  durationMs: millis
})
/** What the stage did is not taken back. */
export const CompensationFailed = stageEvent("CompensationFailed", "it is not taken back", {
  ...compensated,
  reason: Schema.Literals(["failed", "died", "timed-out", "abandoned"]),
  error: ErrorSummary,
  durationMs: millis
})
/** What the stage did is not taken back, because the time for all compensations was over before. */
export const CompensationNotReached = stageEvent(
  "CompensationNotReached",
  "it is not taken back: the time for all compensations was over before",
  compensated
)

// ---------------------------------------------------------------------------------------------------------------------
// tools
// ---------------------------------------------------------------------------------------------------------------------

// What a tool was given and gave is not said here: it is the run's own.
const action = {
  tool: Schema.String,
  actionId: field(Schema.String, "the id by which it can be taken back")
}

/** Somebody called for a tool that runs next, unless it is denied. */
export const ToolInvoked = stageEvent("ToolInvoked", "a tool is called for: it is going to run, unless it is denied", {
  ...action,
  callId: Schema.optionalKey(field(Schema.String, "the id that the model gave to its call"))
})
/** The tool may run, and does. */
export const ToolStarted = stageEvent("ToolStarted", "the tool may run, and does", action)
/** The tool says how far it has come. */
export const ToolUpdated = stageEvent("ToolUpdated", "the tool says how far it has come", {
  ...action,
  data: Schema.Unknown
})
/** The tool has done its work. */
export const ToolCompleted = stageEvent("ToolCompleted", "last of a tool: it has done its work", {
  ...action,
  durationMs: millis,
  undoable: field(Schema.Boolean, "whether it can be taken back")
})
/** The tool failed. */
export const ToolFailed = stageEvent("ToolFailed", "last of a tool: it failed", {
  ...action,
  durationMs: millis,
  error: ErrorSummary
})
/** The tool did not run: it may not be used here, or nobody let it. */
export const ToolDenied = stageEvent(
  "ToolDenied",
  "last of a tool: it did not run, because it may not be used here or nobody let it",
  { ...action, durationMs: millis, error: ErrorSummary }
)
/** The tool, or the wait for it, was interrupted. */
export const ToolInterrupted = stageEvent(
  "ToolInterrupted",
  "last of a tool: it, or the wait for its approval, was interrupted",
  { ...action, durationMs: millis }
)
/** A call could not be resolved to a tool and what that takes: nothing runs. */
export const ToolUnresolved = stageEvent(
  "ToolUnresolved",
  "what a model wrote is no call of a tool that could run here: nothing runs",
  { index: field(Schema.Int, "which call of the turn, from 0"), error: ErrorSummary }
)
/** What a tool did is taken back. */
export const ToolUndone = stageEvent("ToolUndone", "what a tool did is taken back, from this stage", {
  ...action,
  durationMs: millis
})
/** What a tool did is not taken back. */
export const ToolUndoFailed = stageEvent("ToolUndoFailed", "what a tool did is not taken back", {
  actionId: Schema.String,
  error: ErrorSummary
})
/** Somebody is asked whether a tool may run. */
export const ApprovalRequested = stageEvent("ApprovalRequested", "somebody is asked whether a tool may run", {
  ...action,
  approvalId: Schema.String,
  expiresAt: Schema.optionalKey(field(Schema.Number, "milliseconds since the epoch; absent when there is no limit"))
})
/** Somebody said yes or no, or the policy did. */
export const ApprovalDecided = stageEvent("ApprovalDecided", "somebody said yes or no, or the policy did", {
  ...action,
  decision: Schema.Literals(["approved", "denied"]),
  by: Schema.String
})
/** Nobody decided in time. */
export const ApprovalExpired = stageEvent("ApprovalExpired", "nobody decided in time", action)
/** The question was taken back. */
export const ApprovalCancelled = stageEvent("ApprovalCancelled", "the question was taken back", action)

// ---------------------------------------------------------------------------------------------------------------------
// all of them
// ---------------------------------------------------------------------------------------------------------------------

/**
 * The schemas of all events, by what they tell of: `runs`, `stages`, the `interceptors` around a stage, the `constructs` that
 * a stage is made of (guards, runs inside, routes, races, items, loops, drafts), `sagas`, and the `tools` that a stage runs.
 */
export const families = {
  runs: [
    RunStarted,
    RunCompleted,
    RunCancelled,
    RunFailed,
    RunTimedOut,
    RunIncomplete,
    RunDenied,
    RunRejected,
    RunInterrupted
  ],
  stages: [
    StageStarted,
    StageCompleted,
    StageSkipped,
    StageCancelled,
    StageFailed,
    StageTimedOut,
    StageInterrupted,
    StageBlocked,
    StageRetrying,
    StageEmitted,
    ArtifactAdded
  ],
  interceptors: [
    StageQueued,
    StageDequeued,
    RateLimited,
    BreakerOpened,
    BreakerHalfOpened,
    BreakerClosed,
    CacheHit,
    IdempotentReplay,
    FallbackUsed,
    HedgeStarted,
    HedgeWon
  ],
  constructs: [
    GuardVerdict,
    SubpipelineStarted,
    SubpipelineEnded,
    RouteDecided,
    RaceWon,
    ItemEnded,
    ForEachEnded,
    LoopIterated,
    LoopEnded,
    DraftStarted,
    GuardRetryEnded
  ],
  sagas: [CompensationStarted, CompensationCompleted, CompensationFailed, CompensationNotReached],
  tools: [
    ToolInvoked,
    ToolStarted,
    ToolUpdated,
    ToolCompleted,
    ToolFailed,
    ToolDenied,
    ToolInterrupted,
    ToolUnresolved,
    ToolUndone,
    ToolUndoFailed,
    ApprovalRequested,
    ApprovalDecided,
    ApprovalExpired,
    ApprovalCancelled
  ]
} as const

/**
 * Any event.
 */
export const Event = Schema.Union([
  ...families.runs,
  ...families.stages,
  ...families.interceptors,
  ...families.constructs,
  ...families.sagas,
  ...families.tools
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

type RunEndTag =
  | "RunCompleted"
  | "RunCancelled"
  | "RunFailed"
  | "RunTimedOut"
  | "RunIncomplete"
  | "RunDenied"
  | "RunRejected"
  | "RunInterrupted"

type StageEndTag =
  | "StageCompleted"
  | "StageSkipped"
  | "StageCancelled"
  | "StageFailed"
  | "StageTimedOut"
  | "StageInterrupted"
  | "StageBlocked"

/** Whose last event it is; those that are not here are nobody's. */
const lastOf: { readonly [Tag in RunEndTag | StageEndTag]: Tag extends RunEndTag ? "run" : "stage" } = {
  RunCompleted: "run",
  RunCancelled: "run",
  RunFailed: "run",
  RunTimedOut: "run",
  RunIncomplete: "run",
  RunDenied: "run",
  RunRejected: "run",
  RunInterrupted: "run",
  StageCompleted: "stage",
  StageSkipped: "stage",
  StageCancelled: "stage",
  StageFailed: "stage",
  StageTimedOut: "stage",
  StageInterrupted: "stage",
  StageBlocked: "stage"
}

const ends: ReadonlyMap<string, "run" | "stage"> = new Map(Object.entries(lastOf))

/**
 * Whether an event is the last one of its run.
 */
export const isRunEnd = (event: Event): event is Of<RunEndTag> => ends.get(event._tag) === "run"

/**
 * Whether an event is the last one of a stage.
 */
export const isStageEnd = (event: Event): event is Of<StageEndTag> => ends.get(event._tag) === "stage"

/**
 * Formats an event as one line for people: `#4 +12ms StageCompleted router`.
 */
export const format = (event: Event, startedAt: number = event.at): string =>
  `#${event.sequence} +${event.at - startedAt}ms ${summary(event)}`

/**
 * Says on one line what happened, without when: `StageFailed router: Busy: The model is busy`.
 */
export const summary = (event: Event): string => {
  const about = isStageEvent(event) ? ` ${event.stage}` : ""
  // Names, reasons and messages are anybody's.
  return oneLine(`${event._tag}${about}${detail(event)}`)
}

const said = ({ message, tag }: ErrorSummary): string => `: ${tag}: ${message}`

const detail = (event: Event): string => {
  switch (event._tag) {
    case "StageSkipped":
    case "StageCancelled":
    case "RunCancelled":
      return `: ${event.reason}`
    case "StageFailed":
    case "StageTimedOut":
    case "RunFailed":
    case "RunTimedOut":
    case "RunDenied":
    case "RunRejected":
    case "CompensationFailed":
      return said(event.error)
    case "FallbackUsed":
      return event.error === undefined ? `: provider ${event.provider}` : said(event.error)
    case "StageBlocked":
      return `: ${event.by} failed`
    case "StageRetrying":
      return `: attempt ${event.attempt} ended with ${event.error?.tag ?? event.reason ?? "a retry"}`
    case "StageEmitted":
    case "ArtifactAdded":
      return `: ${event.type}`
    case "StageStarted":
      return event.queuedMs === undefined ? "" : `: was ready ${event.queuedMs}ms before`
    case "StageQueued":
      return `: ${event.queue}`
    case "StageDequeued":
      return `: ${event.queue} after ${event.waitedMs}ms${event.admitted ? "" : ", not let in"}`
    case "RateLimited":
      return `: limit ${event.limit}, room again in ${event.retryAfterMs}ms`
    case "BreakerOpened":
    case "BreakerHalfOpened":
    case "BreakerClosed":
      return `: ${event.circuit}`
    case "HedgeStarted":
    case "HedgeWon":
      return `: attempt ${event.hedge}`
    case "GuardVerdict":
      return `: ${event.guard} ${event.verdict}`
    case "SubpipelineStarted":
      return `: ${event.childPipeline}`
    case "SubpipelineEnded":
      return `: ${event.status}`
    case "RouteDecided":
      return `: ${event.route}, by ${event.by}`
    case "RaceWon":
      return `: ${event.winner}`
    case "ItemEnded":
      return `: ${event.key} ${event.outcome}`
    case "ForEachEnded":
      return `: ${event.outcome}, ${event.counts.done} items`
    case "LoopIterated":
      return `: ${event.iteration} of ${event.of}`
    case "LoopEnded":
      return `: ${event.ended} after ${event.iterations}`
    case "DraftStarted":
      return `: ${event.draft} of ${event.of}`
    case "GuardRetryEnded":
      return `: ${event.ended} after ${event.drafts}`
    case "CompensationStarted":
    case "CompensationCompleted":
    case "CompensationNotReached":
      return event.path.length > 1 ? `: ${event.path.join(" > ")}` : ""
    case "ToolInvoked":
    case "ToolStarted":
    case "ToolUpdated":
    case "ToolCompleted":
    case "ToolInterrupted":
    case "ToolUndone":
    case "ApprovalRequested":
    case "ApprovalExpired":
    case "ApprovalCancelled":
      return `: ${event.tool}`
    case "ToolFailed":
    case "ToolDenied":
      return `: ${event.tool}${said(event.error)}`
    case "ToolUnresolved":
    case "ToolUndoFailed":
      return said(event.error)
    case "ApprovalDecided":
      return `: ${event.tool} ${event.decision} by ${event.by}`
    case "RunStarted":
    case "RunCompleted":
    case "RunIncomplete":
    case "RunInterrupted":
    case "StageCompleted":
    case "StageInterrupted":
    case "CacheHit":
    case "IdempotentReplay":
      return ""
    default:
      return absurd(event)
  }
}
