/**
 * Puts on the span of a stage what is announced of it: retries, breakers that open and close, waits in queues, and whatever
 * else is around it. It knows none of them: a span event has the name and the fields that the event of the run has.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import type * as Fiber from "effect/Fiber"
import * as References from "effect/References"
import type * as Tracer from "effect/Tracer"
import type { Heard } from "../../attempt/announcement.ts"
import type { Attempt } from "../../attempt/attempt.ts"
import type { ErrorSummary } from "../../Event.ts"
import { attributeValue, type SpanAttribute, tell } from "./span-attributes.ts"

/** As many as the SDK of OpenTelemetry keeps of a span. */
const mostEvents = 128

/** What may hold what a user wrote: it is in the events of the run, where a sink can mask it, and not in spans. */
const content: ReadonlySet<string> = new Set(["_tag", "reason", "key", "candidates", "error"])

const ofError = ({ code, tag }: ErrorSummary): Partial<Record<SpanAttribute, string>> =>
  code === undefined ? { "error.type": tag } : { "error.type": tag, "stageflow.error.code": code }

const attributesOf = (heard: Heard, attempt: number): Record<string, unknown> => ({
  "stageflow.attempt": attempt,
  ...Object.fromEntries(
    Object.entries(heard)
      .filter(([key, value]) => !content.has(key) && value !== undefined)
      .map(([key, value]) => [`stageflow.${key}`, attributeValue(value)])
  ),
  ..."error" in heard && heard.error !== undefined ? ofError(heard.error) : {}
})

/** Puts what is announced of a stage on its span, until what this gives is called. */
export const spanEvents = (span: Tracer.Span, attempt: Attempt, fiber: Fiber.Fiber<unknown, unknown>): () => void => {
  const clock = Context.get(fiber.context, Clock.Clock)
  const isTimed = fiber.getRef(References.TracerTimingEnabled)
  let events = 0
  const stop = attempt.hear((heard, during) => {
    if (++events > mostEvents) return
    const now = isTimed ? clock.currentTimeNanosUnsafe() : 0n
    span.event(`stageflow.${heard._tag}`, now, attributesOf(heard, during))
  })
  return () => {
    stop()
    if (events > mostEvents) tell(span, "stageflow.untold_events", events - mostEvents)
  }
}
