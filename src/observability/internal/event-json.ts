/**
 * Writes events as JSON for those who keep or send them, and reads them back.
 *
 * What a stage emits may be anything: `Redacted` values are written as `<redacted>`, what JSON does not have as text, and
 * what cannot be read at all as a note that says so. No event is too odd to be written.
 */
import * as Formatter from "effect/Formatter"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { Event } from "../../Event.ts"

/** What a value is as JSON, as text. */
export const contentJson = (content: unknown): string =>
  Result.getOrElse(
    Result.try(() => Formatter.formatJson(content)),
    () => `{"notKept":"It could not be written as JSON"}`
  )

/** What a value is as JSON. */
const plain = (content: unknown): unknown => JSON.parse(contentJson(content)) // it is JSON

/** An event that is JSON all the way through. */
export const plainEvent = (event: Event): Event => {
  switch (event._tag) {
    case "StageEmitted":
      return { ...event, data: plain(event.data) }
    case "ArtifactAdded":
      return { ...event, payload: plain(event.payload) }
    default:
      return event
  }
}

const withContent = (event: object, key: "data" | "payload", content: unknown): string => {
  const { [key]: _, ...rest } = event as { readonly [K in "data" | "payload"]?: unknown }
  // The content is the last field: everything else is known to be JSON.
  return `${JSON.stringify(rest).slice(0, -1)},"${key}":${contentJson(content)}}`
}

/** An event as a line of JSON. */
export const toJson = (event: Event): string => {
  switch (event._tag) {
    case "StageEmitted":
      return withContent(event, "data", event.data)
    case "ArtifactAdded":
      return withContent(event, "payload", event.payload)
    default:
      return JSON.stringify(event)
  }
}

const decode = Schema.decodeUnknownResult(Event)

/** The event that was written as this JSON, or `undefined` when it is none. */
export const fromJson = (json: string): Event | undefined =>
  Result.try((): unknown => JSON.parse(json)).pipe(Result.flatMap(decode), Result.getOrUndefined)
