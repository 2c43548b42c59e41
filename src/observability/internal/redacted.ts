/**
 * Masks fields of an event: a copy of it, whose content is JSON data without what must not leave.
 */
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import type { ErrorSummary, Event } from "../../Event.ts"
import { define } from "../../internal/record.ts"

/** Whether the field at this path, with this value, is masked. */
export type Policy = (field: {
  readonly event: Event
  readonly path: ReadonlyArray<string | number>
  readonly value: unknown
}) => boolean

export const mask = "<redacted>"

/** What is inside of itself has no end as JSON. */
const circular = "<circular>"

class Masking {
  private readonly event: Event
  private readonly policy: Policy
  private readonly path: Array<string | number> = []
  private readonly within = new Set<object>()

  constructor(event: Event, policy: Policy) {
    this.event = event
    this.policy = policy
  }

  /** What stands in the place of a field. Where anything throws, nothing of it is known to be harmless. */
  of(path: ReadonlyArray<string>, value: unknown): unknown {
    this.path.push(...path)
    const masked = Result.getOrElse(Result.try(() => this.value(value)), () => mask)
    this.path.length = 0
    return masked
  }

  private field(key: string | number, value: unknown): unknown {
    this.path.push(key)
    const masked = this.value(value)
    this.path.pop()
    return masked
  }

  private value(given: unknown): unknown {
    if (Redacted.isRedacted(given)) return mask
    // A getter's value is looked at once.
    if (this.policy({ event: this.event, path: this.path.slice(), value: given })) return mask
    return typeof given === "object" && given !== null ? this.nested(given) : given
  }

  private nested(given: object): unknown {
    if (this.within.has(given)) return circular
    this.within.add(given)
    const masked = this.parts(given)
    this.within.delete(given)
    return masked
  }

  private parts(given: object): unknown {
    if (Array.isArray(given)) {
      return Array.from(given as ReadonlyArray<unknown>, (part, index) => this.field(index, part))
    }
    if (given instanceof Map) return this.object(Array.from(given, ([key, value]) => [String(key), value]))
    if (given instanceof Set) return Array.from(given, (part, index) => this.field(index, part))
    if ("toJSON" in given && typeof given.toJSON === "function") {
      const json: unknown = given.toJSON()
      return typeof json === "object" && json !== null ? this.nested(json) : json
    }
    return this.object(Object.entries(given))
  }

  private object(entries: ReadonlyArray<readonly [string, unknown]>): object {
    const masked = {}
    for (const [key, value] of entries) define(masked, key, this.field(key, value))
    return masked
  }
}

/** The same event with what the policy masks replaced. */
export const redacted = (event: Event, policy: Policy): Event => {
  const masking = new Masking(event, policy)
  const reason = (given: string): string => String(masking.of(["reason"], given))
  const error = (given: ErrorSummary): ErrorSummary => ({
    ...given,
    message: String(masking.of(["error", "message"], given.message))
  })
  switch (event._tag) {
    case "StageEmitted":
    case "ToolUpdated":
      return { ...event, data: masking.of(["data"], event.data) }
    case "ArtifactAdded":
      return { ...event, payload: masking.of(["payload"], event.payload) }
    case "ItemEnded":
      return {
        ...event,
        key: String(masking.of(["key"], event.key)),
        ...(event.error === undefined ? {} : { error: error(event.error) }),
        ...(event.reason === undefined ? {} : { reason: reason(event.reason) })
      }
    case "StageSkipped":
    case "StageCancelled":
    case "RunCancelled":
      return { ...event, reason: reason(event.reason) }
    case "StageFailed":
    case "StageTimedOut":
    case "RunFailed":
    case "RunTimedOut":
    case "RunDenied":
    case "RunRejected":
    case "CompensationFailed":
    case "ToolFailed":
    case "ToolDenied":
    case "ToolUnresolved":
    case "ToolUndoFailed":
      return { ...event, error: error(event.error) }
    case "FallbackUsed":
      return event.error === undefined ? event : { ...event, error: error(event.error) }
    case "RouteDecided":
      return event.reason === undefined ? event : { ...event, reason: reason(event.reason) }
    case "StageRetrying":
      return {
        ...event,
        ...(event.error === undefined ? {} : { error: error(event.error) }),
        ...(event.reason === undefined ? {} : { reason: reason(event.reason) })
      }
    default:
      return event
  }
}
