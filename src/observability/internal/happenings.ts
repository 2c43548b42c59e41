/**
 * Says in a word or two what happened in a stage, for a line that counts such things.
 */
import { absurd } from "effect/Function"
import type { Event, families, Of } from "../../Event.ts"

/** What is neither the beginning nor the end of a run, a stage or an attempt. */
export type Happening =
  | Of<typeof families[Exclude<keyof typeof families, "runs" | "stages">][number]["Type"]["_tag"]>
  | Of<"StageEmitted" | "ArtifactAdded">

const others: ReadonlySet<Event["_tag"]> = new Set<Exclude<Event, Happening>["_tag"]>([
  "StageStarted",
  "StageRetrying",
  "StageCompleted",
  "StageSkipped",
  "StageCancelled",
  "StageFailed",
  "StageTimedOut",
  "StageInterrupted",
  "StageBlocked"
])

/** Whether an event of a stage is one of these. */
export const isHappening = (
  event: Extract<Event, { readonly attempt: number }>
): event is Extract<Happening, typeof event> => !others.has(event._tag)

/** What happened; nothing where it is shown in another way. */
export const wordOf = (event: Happening): string | undefined => {
  switch (event._tag) {
    case "StageEmitted":
      return event.type
    case "StageQueued":
      return `queued in ${event.queue}`
    case "StageDequeued":
      return event.admitted ? `let in by ${event.queue}` : `not let in by ${event.queue}`
    case "RateLimited":
      return "rate limited"
    case "BreakerOpened":
      return "circuit opened"
    case "BreakerHalfOpened":
      return "circuit half open"
    case "BreakerClosed":
      return "circuit closed"
    case "CacheHit":
      return "from the cache"
    case "IdempotentReplay":
      return "replayed"
    case "FallbackUsed":
      return "fallback"
    case "HedgeStarted":
      return "hedge"
    case "HedgeWon":
      return "hedge won"
    case "GuardVerdict":
      return event.draft === undefined ? `text ${event.verdict}` : `draft ${event.verdict}`
    case "RouteDecided":
      return `route ${event.route}`
    case "RaceWon":
      return `${event.winner} won`
    case "ItemEnded":
      return event.outcome === "ok" ? "item" : `item ${event.outcome}`
    case "ForEachEnded":
      return `items ended: ${event.outcome}`
    case "LoopIterated":
      return "iteration"
    case "LoopEnded":
      return `loop ended: ${event.ended}`
    case "DraftStarted":
      return "draft"
    case "GuardRetryEnded":
      return `drafts ended: ${event.ended}`
    case "CompensationStarted":
      return "being taken back"
    case "CompensationCompleted":
      return "taken back"
    case "CompensationFailed":
      return "not taken back"
    case "CompensationNotReached":
      return "not reached to take back"
    case "ToolInvoked":
      return `tool ${event.tool}`
    case "ToolStarted":
      return `${event.tool} started`
    case "ToolUpdated":
      return `${event.tool} update`
    case "ToolCompleted":
      return `${event.tool} completed`
    case "ToolFailed":
      return `${event.tool} failed`
    case "ToolDenied":
      return `${event.tool} denied`
    case "ToolInterrupted":
      return `${event.tool} interrupted`
    case "ToolUnresolved":
      return "call unresolved"
    case "ToolUndone":
      return `${event.tool} undone`
    case "ToolUndoFailed":
      return "not undone"
    case "ApprovalRequested":
      return `approval of ${event.tool} requested`
    case "ApprovalDecided":
      return `${event.tool} ${event.decision}`
    case "ApprovalExpired":
      return `approval of ${event.tool} expired`
    case "ApprovalCancelled":
      return `approval of ${event.tool} cancelled`
    case "ArtifactAdded":
    case "SubpipelineStarted":
    case "SubpipelineEnded":
      // The runs themselves are shown.
      return undefined
    default:
      return absurd(event)
  }
}
