/**
 * Names the attributes of spans: the one table that the interceptor writes from and the docs are held to.
 *
 * Where the semantic conventions of OpenTelemetry have a name, it is theirs; the others begin with `stageflow.`, and are
 * those that `OtlpSink` writes in log records.
 */
import * as Formatter from "effect/Formatter"
import * as Result from "effect/Result"
import type * as Tracer from "effect/Tracer"

/** An attribute: the spans that have it, and what it is. */
interface Described {
  readonly of: ReadonlyArray<"run" | "stage" | "attempt" | "event" | "link">
  readonly what: string
}

/** The attributes of spans and links, by name. */
export const spanAttributes = {
  "stageflow.pipeline": { of: ["run", "stage"], what: "the name of the pipeline" },
  "stageflow.run.id": { of: ["run", "stage"], what: "the run's id" },
  "stageflow.run.parent_id": { of: ["run", "stage"], what: "the id of the run whose stage started this one" },
  "stageflow.run.parent_stage": { of: ["run", "stage"], what: "that stage" },
  "stageflow.correlation.id": { of: ["run", "stage"], what: "the id of the outermost run" },
  "stageflow.stage": { of: ["stage", "attempt"], what: "the name of the stage" },
  "stageflow.kind": { of: ["stage"], what: "its kind" },
  "stageflow.attempt": { of: ["attempt", "event"], what: "which attempt of the stage it is, from 1" },
  "stageflow.attempts": { of: ["stage"], what: "how many attempts the stage made" },
  "stageflow.outcome": {
    of: ["run", "stage"],
    what: "a stage: `Ok`, `Skip`, `Cancel`, `Failed`, `Interrupted`; a run: `Completed`, `Cancelled`, `Incomplete`, "
      + "`Failed`, `Interrupted`"
  },
  "stageflow.org.id": { of: ["stage"], what: "the organisation, as it was proven" },
  "user.id": { of: ["stage"], what: "the user, as it was proven" },
  "session.id": { of: ["stage"], what: "the session" },
  "error.type": { of: ["run", "stage", "attempt", "event"], what: "the tag of the error that it failed with" },
  "stageflow.error.code": { of: ["run", "stage", "attempt", "event"], what: "the code of that error, when it has one" },
  "stageflow.untold_events": { of: ["stage"], what: "how many more events there were than a span takes" },
  "stageflow.failed_stage": { of: ["run"], what: "the stage that the run failed at" },
  "stageflow.link": { of: ["link"], what: "what the linked span is to the run: `replay_of`, `resumed_from`, ..." }
} as const satisfies Readonly<Record<string, Described>>

/** What spans can be told of themselves. */
export type SpanAttribute = keyof typeof spanAttributes

/** Gives a span an attribute, unless there is nothing to say. */
export const tell = (span: Tracer.Span, name: SpanAttribute, value: string | number | undefined): void => {
  if (value !== undefined) span.attribute(name, value)
}

type Plain = string | number | boolean

/** Longer texts are cut: an attribute is searched by, not read. */
const mostCharacters = 1_000
const mostItems = 100

/** A text, cut where it is too long for a span. */
export const shortened = (text: string, most = mostCharacters): string =>
  text.length <= most ? text : `${text.slice(0, most)}…`

const isNumber = (value: unknown): value is number => typeof value === "number" && Number.isFinite(value)

const plainOf = (value: unknown): Plain => {
  if (typeof value === "boolean" || isNumber(value)) return value
  if (typeof value === "string") return shortened(value)
  // Numbers that JSON does not have, and what is no data at all.
  if (typeof value !== "object" || value === null) return String(value)
  // Circles are left out, and what is `Redacted` stays so.
  return shortened(Result.getOrElse(Result.try(() => Formatter.formatJson(value) ?? "null"), () => "<unreadable>"))
}

/**
 * What an exporter can send of any value: numbers that there are, texts of up to 1,000 characters, lists of up to 100 of
 * those. Everything else is told as JSON, with `Redacted` values masked; what cannot be read, as that.
 */
export const attributeValue = (value: unknown): Plain | ReadonlyArray<Plain> =>
  Array.isArray(value)
    ? Result.getOrElse(Result.try(() => Array.from(value.slice(0, mostItems), plainOf)), () => "<unreadable>")
    : plainOf(value)
