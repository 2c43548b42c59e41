/**
 * Sends events as log records to an OpenTelemetry collector, over HTTP.
 *
 * The documents are those of `effect/observability`, as JSON or protobuf by the `OtlpSerialization` that is provided. Its
 * exporter is not used: when the collector does not answer, that one drops what it has and says so at Debug, where a sink
 * tries again and counts.
 *
 * | of the record | what it is |
 * |---|---|
 * | time | the event's |
 * | severity | as `LoggerSink.levelOf` says |
 * | body | the event in words |
 * | `event.name` | `stageflow.StageCompleted` and so on |
 * | `stageflow.run.id`, `.run.parent_id`, `.run.parent_stage`, `.correlation.id`, `.pipeline`, `.sequence` | from the event's envelope |
 * | `stageflow.stage`, `stageflow.attempt` | of an event about a stage |
 * | `stageflow.` and a name of the event's own | its other fields; what a stage emitted and artifacts as JSON |
 * | `error.type`, `error.message` | of an event with an error |
 *
 * ```ts
 * import { Layer } from "effect"
 * import { FetchHttpClient } from "effect/http"
 * import { OtlpSerialization } from "effect/observability"
 * import { OtlpSink } from "stageflow/observability"
 *
 * const sink = OtlpSink.layer({ url: "http://localhost:4318/v1/logs", resource: { serviceName: "chat" } }).pipe(
 *   Layer.provide([FetchHttpClient.layer, OtlpSerialization.layerJson])
 * )
 * ```
 */
import * as Effect from "effect/Effect"
import type * as Headers from "effect/http/Headers"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientError from "effect/http/HttpClientError"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as Layer from "effect/Layer"
import type * as LogLevel from "effect/LogLevel"
import type { LogsData } from "effect/observability/OtlpLogger"
import * as OtlpResource from "effect/observability/OtlpResource"
import { OtlpSerialization } from "effect/observability/OtlpSerialization"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import { envelope, type Event, summary } from "../Event.ts"
import { EventSink } from "../EventSink.ts"
import * as options from "../internal/options.ts"
import * as BufferedSink from "./BufferedSink.ts"
import { contentJson } from "./internal/event-json.ts"
import { levelOf } from "./LoggerSink.ts"

/**
 * Where events are sent, and as whose.
 */
export interface Settings {
  /** The whole address of the collector's logs: `http://localhost:4318/v1/logs`. */
  readonly url: string
  /** Headers of each request, a key for one. */
  readonly headers?: Headers.Input | undefined
  /** What sends them. What is left out comes from `OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES`; else the name is `unknown_service`. */
  readonly resource?: {
    readonly serviceName?: string | undefined
    readonly serviceVersion?: string | undefined
    readonly attributes?: Record<string, unknown> | undefined
  } | undefined
  /** How events are batched and what happens when they are too many; see `BufferedSink`. */
  readonly buffer?: BufferedSink.Settings | undefined
}

/**
 * The collector took a request and refused some of the events in it, or all.
 */
export class OtlpRejected extends Schema.TaggedError<OtlpRejected>()("OtlpRejected", {
  rejected: Schema.Number,
  reason: Schema.String
}) {
  readonly code = "OTLP_REJECTED"
  override get message(): string {
    return `The collector refused ${this.rejected} event(s)${this.reason === "" ? "" : `: ${this.reason}`}`
  }
}

type ScopeLogs = LogsData["resourceLogs"][number]["scopeLogs"][number]
type LogRecord = NonNullable<ScopeLogs["logRecords"]>[number]

const severityNumbers = {
  Trace: 1,
  Debug: 5,
  Info: 9,
  Warn: 13,
  Error: 17,
  Fatal: 21
} as const satisfies Record<LogLevel.Severity, number>

const nanosPerMilli = 1_000_000n

const nanos = (millis: number): string => (BigInt(Math.round(millis)) * nanosPerMilli).toString()

const fromEnvelope: ReadonlySet<string> = new Set([...Object.keys(envelope), "_tag", "error"])

const attributesOf = (event: Event): ReadonlyArray<readonly [string, unknown]> => [
  ["event.name", `stageflow.${event._tag}`],
  ["stageflow.run.id", event.runId],
  ["stageflow.run.parent_id", event.parentRunId],
  ["stageflow.run.parent_stage", event.parentStage],
  ["stageflow.correlation.id", event.correlationId],
  ["stageflow.pipeline", event.pipeline],
  ["stageflow.request.id", event.requestId],
  ["session.id", event.sessionId],
  ["user.id", event.userId],
  ["stageflow.org.id", event.orgId],
  ["stageflow.topology", event.topology],
  ["stageflow.execution_mode", event.executionMode],
  ["stageflow.sequence", event.sequence],
  ...Object.entries(event)
    .filter(([key]) => !fromEnvelope.has(key))
    .map(([key, value]: readonly [string, unknown]) =>
      [`stageflow.${key}`, key === "data" || key === "payload" ? contentJson(value) : value] as const
    ),
  ..."error" in event && event.error !== undefined
    ? [["error.type", event.error.tag], ["error.message", event.error.message]] as const
    : []
]

const recordOf = (event: Event): LogRecord => {
  const level = levelOf(event)
  return {
    timeUnixNano: nanos(event.at),
    observedTimeUnixNano: nanos(event.at),
    severityNumber: severityNumbers[level],
    severityText: level,
    body: { stringValue: summary(event) },
    attributes: OtlpResource.entriesToAttributes(
      attributesOf(event).filter(([, value]) => value !== undefined).map(([key, value]) => [key, value])
    ),
    droppedAttributesCount: 0
  }
}

/** What the specification of OTLP calls retryable: everything else will be refused again. */
const retryableStatuses: ReadonlySet<number> = new Set([429, 502, 503, 504])

const isWorthRetrying = (error: unknown): boolean => {
  if (error instanceof OtlpRejected) return false
  if (!HttpClientError.isHttpClientError(error)) return true
  return error.reason._tag !== "StatusCodeError" || retryableStatuses.has(error.reason.response.status)
}

const PartialSuccess = Schema.fromJsonString(Schema.Struct({
  partialSuccess: Schema.Struct({
    rejectedLogRecords: Schema.Union([Schema.Number, Schema.String]),
    errorMessage: Schema.optionalKey(Schema.String)
  })
}))

const decodePartialSuccess = Schema.decodeUnknownOption(PartialSuccess)

/** What a collector that answers in JSON says it did not take. */
const refusalIn = (body: string): OtlpRejected | undefined => {
  const said = Option.getOrUndefined(decodePartialSuccess(body))?.partialSuccess
  const rejected = Number(said?.rejectedLogRecords ?? 0)
  return rejected > 0 ? new OtlpRejected({ rejected, reason: said?.errorMessage ?? "" }) : undefined
}

/** Who sends. Effect dies where nobody says what the service is called, and OpenTelemetry has a name for that. */
const senderOf = (given: Settings["resource"]) =>
  OtlpResource.fromConfig(given).pipe(
    Effect.catchDefect(() =>
      Effect.succeed(OtlpResource.make({
        serviceName: given?.serviceName ?? "unknown_service",
        serviceVersion: given?.serviceVersion,
        attributes: given?.attributes
      }))
    )
  )

/**
 * Makes a sink that sends to a collector. What it does not take is a batch that failed.
 */
export const make = (
  settings: Settings
): Effect.Effect<BufferedSink.Buffered, never, HttpClient.HttpClient | OtlpSerialization | Scope.Scope> => {
  const { buffer: given, headers, resource, url } = options.fields<Settings>(
    "settings",
    ["url", "headers", "resource", "buffer"],
    settings
  )
  const address = options.name("url", url ?? "")
  const buffer = BufferedSink.check(given)
  const { retryWhile } = buffer
  return Effect.gen(function*() {
    const client = HttpClient.filterStatusOk(yield* HttpClient.HttpClient)
    const serialization = yield* OtlpSerialization
    const sender = yield* senderOf(resource)
    const request = HttpClientRequest.post(address, { headers })
    const send = Effect.fnUntraced(
      function*(events: ReadonlyArray<Event>) {
        const body = serialization.logs({
          resourceLogs: [{
            resource: sender,
            scopeLogs: [{ scope: { name: "stageflow" }, logRecords: events.map(recordOf) }]
          }]
        })
        const response = yield* client.execute(HttpClientRequest.setBody(request, body))
        const refusal = refusalIn(yield* response.text)
        if (refusal !== undefined) return yield* refusal
      }, // Sending what is told of runs is no part of a trace.
      Effect.provideService(HttpClient.TracerPropagationEnabled, false),
      Effect.withTracerEnabled(false)
    )
    return yield* BufferedSink.make(send, {
      ...buffer,
      retryWhile: (error) => isWorthRetrying(error) && (retryWhile?.(error) ?? true)
    })
  })
}

/**
 * Makes a Layer of such a sink; see `make`.
 */
export const layer = (
  settings: Settings
): Layer.Layer<EventSink, never, HttpClient.HttpClient | OtlpSerialization> => Layer.effect(EventSink, make(settings))
