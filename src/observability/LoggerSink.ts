/**
 * Logs events with the loggers in the environment: a line for each, and what one searches by as annotations.
 *
 * What goes wrong is a warning, the start and the end of a run are told at Info, everything else at Debug. It tells of runs
 * in one place; the interceptor `logging` logs within each stage, with its spans and the annotations of what is around it.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as LogLevel from "effect/LogLevel"
import type * as Scope from "effect/Scope"
import { type Event, isRunEnd, isStageEvent, summary } from "../Event.ts"
import { EventSink } from "../EventSink.ts"
import * as options from "../internal/options.ts"
import * as BufferedSink from "./BufferedSink.ts"
import { oneByOne } from "./internal/one-by-one.ts"

/**
 * How events are logged.
 */
export interface Settings {
  /** The level of each event; `"None"` leaves it out. `LoggerSink.levelOf` when left out. */
  readonly level?: ((event: Event) => LogLevel.Severity | "None") | undefined
  /** How events are batched and what happens when they are too many; see `BufferedSink`. */
  readonly buffer?: BufferedSink.Settings | undefined
}

/**
 * The level of an event where nothing else is said: what went wrong is a warning, the start and the end of a run are Info,
 * everything else is Debug.
 */
export const levelOf = (event: Event): LogLevel.Severity => {
  switch (event._tag) {
    case "RunFailed":
    case "RunIncomplete":
    case "RunTimedOut":
    case "RunDenied":
    case "RunRejected":
    case "StageFailed":
    case "StageTimedOut":
    case "StageRetrying":
    case "RateLimited":
    case "BreakerOpened":
    case "FallbackUsed":
    case "CompensationFailed":
    case "CompensationNotReached":
      return "Warn"
    case "RunStarted":
      return "Info"
    default:
      return isRunEnd(event) ? "Info" : "Debug"
  }
}

const annotationsOf = (event: Event): Readonly<Record<string, unknown>> => {
  const { at, correlationId, pipeline, runId, sequence } = event
  const run = { pipeline, runId, correlationId, sequence, at }
  return isStageEvent(event) ? { ...run, stage: event.stage, attempt: event.attempt } : run
}

/**
 * Makes a sink that logs.
 */
export const make = (settings: Settings = {}): Effect.Effect<BufferedSink.Buffered, never, Scope.Scope> => {
  const { buffer, level } = options.fields<Settings>("settings", ["level", "buffer"], settings)
  const levelFor = options.callable("level", level ?? levelOf)
  const log = (event: Event): Effect.Effect<void> => {
    const severity = levelFor(event)
    if (severity === "None") return Effect.void
    return Effect.annotateLogs(Effect.logWithLevel(severity)(summary(event)), annotationsOf(event))
  }
  return BufferedSink.make(oneByOne(log), buffer)
}

/**
 * Makes a Layer of such a sink; see `make`.
 */
export const layer = (settings: Settings = {}): Layer.Layer<EventSink> => Layer.effect(EventSink, make(settings))
