/** Decodes what a collector was sent, JSON or protobuf, into spans and metrics that look the same either way. */
import protobuf from "protobufjs"
import type { Received } from "./collector.ts"

/** Of the protocol's definitions (opentelemetry-proto 1.7), what is read here. */
const definitions = `
syntax = "proto3";
message Traces { repeated ResourceSpans resource_spans = 1; }
message ResourceSpans { Resource resource = 1; repeated ScopeSpans scope_spans = 2; }
message Resource { repeated KeyValue attributes = 1; }
message Scope { string name = 1; string version = 2; }
message ScopeSpans { Scope scope = 1; repeated Span spans = 2; }
message Span {
  bytes trace_id = 1; bytes span_id = 2; string trace_state = 3; bytes parent_span_id = 4; string name = 5; int32 kind = 6;
  fixed64 start_time_unix_nano = 7; fixed64 end_time_unix_nano = 8; repeated KeyValue attributes = 9;
  repeated Event events = 11; repeated Link links = 13; Status status = 15;
}
message Event { fixed64 time_unix_nano = 1; string name = 2; repeated KeyValue attributes = 3; }
message Link { bytes trace_id = 1; bytes span_id = 2; string trace_state = 3; repeated KeyValue attributes = 4; }
message Status { string message = 2; int32 code = 3; }
message KeyValue { string key = 1; AnyValue value = 2; }
message AnyValue {
  oneof value {
    string string_value = 1; bool bool_value = 2; int64 int_value = 3; double double_value = 4; ArrayValue array_value = 5;
  }
}
message ArrayValue { repeated AnyValue values = 1; }
message Metrics { repeated ResourceMetrics resource_metrics = 1; }
message ResourceMetrics { Resource resource = 1; repeated ScopeMetrics scope_metrics = 2; }
message ScopeMetrics { Scope scope = 1; repeated Metric metrics = 2; }
message Metric { string name = 1; string unit = 3; Points gauge = 5; Points sum = 7; Histogram histogram = 9; }
message Points { repeated Point data_points = 1; }
message Point { double as_double = 4; sfixed64 as_int = 6; repeated KeyValue attributes = 7; }
message Histogram { repeated HistogramPoint data_points = 1; }
message HistogramPoint { fixed64 count = 4; double sum = 5; repeated KeyValue attributes = 9; }
`

const { root } = protobuf.parse(definitions)

const bodyOf = ({ body, headers }: Received, message: "Traces" | "Metrics"): unknown => {
  const type = headers["content-type"] ?? ""
  if (type.startsWith("application/json")) return JSON.parse(body.toString("utf8"))
  if (type !== "application/x-protobuf") throw new Error(`Sent as ${type}`)
  const decoded = root.lookupType(message).decode(body)
  // As the protocol writes it in JSON: ids in hexadecimal digits, large numbers as text.
  return JSON.parse(JSON.stringify(
    decoded.$type.toObject(decoded, { longs: String, oneofs: false }),
    (_, value: unknown) =>
      typeof value === "object" && value !== null && "type" in value && value.type === "Buffer" && "data" in value
        ? Buffer.from(value.data as Array<number>).toString("hex")
        : value
  ))
}

type AnyValue = Readonly<Record<string, unknown>>

interface KeyValue {
  readonly key: string
  readonly value: AnyValue
}

export type Attributes = Readonly<Record<string, unknown>>

const valueOf = (value: AnyValue): unknown => {
  if (value["arrayValue"] !== undefined) {
    return ((value["arrayValue"] as { readonly values?: ReadonlyArray<AnyValue> }).values ?? []).map(valueOf)
  }
  return value["intValue"] === undefined ? Object.values(value)[0] : Number(value["intValue"])
}

const attributesOf = (attributes: ReadonlyArray<KeyValue> = []): Attributes =>
  Object.fromEntries(attributes.map(({ key, value }) => [key, valueOf(value)]))

interface Sent {
  readonly traceId: string
  readonly spanId: string
  readonly parentSpanId?: string
  readonly name: string
  readonly kind?: number
  readonly startTimeUnixNano: string
  readonly endTimeUnixNano: string
  readonly attributes?: ReadonlyArray<KeyValue>
  readonly events?: ReadonlyArray<{ readonly name: string; readonly attributes?: ReadonlyArray<KeyValue> }>
  readonly links?: ReadonlyArray<
    { readonly traceId: string; readonly spanId: string; readonly attributes?: ReadonlyArray<KeyValue> }
  >
  readonly status?: { readonly code?: number; readonly message?: string }
}

export interface ReceivedSpan {
  readonly resource: Attributes
  readonly traceId: string
  readonly spanId: string
  readonly parentSpanId: string | undefined
  readonly name: string
  readonly attributes: Attributes
  readonly events: ReadonlyArray<{ readonly name: string; readonly attributes: Attributes }>
  readonly links: ReadonlyArray<{ readonly traceId: string; readonly spanId: string; readonly attributes: Attributes }>
  readonly status: "unset" | "ok" | "error"
  readonly message: string | undefined
  readonly nanos: bigint
}

const statuses = ["unset", "ok", "error"] as const

const spanOf = (resource: Attributes, sent: Sent): ReceivedSpan => ({
  resource,
  traceId: sent.traceId,
  spanId: sent.spanId,
  parentSpanId: sent.parentSpanId === "" ? undefined : sent.parentSpanId,
  name: sent.name,
  attributes: attributesOf(sent.attributes),
  events: (sent.events ?? []).map(({ attributes, name }) => ({ name, attributes: attributesOf(attributes) })),
  links: (sent.links ?? []).map(({ attributes, spanId, traceId }) => ({
    traceId,
    spanId,
    attributes: attributesOf(attributes)
  })),
  status: statuses[sent.status?.code ?? 0] ?? "unset",
  message: sent.status?.message === "" ? undefined : sent.status?.message,
  nanos: BigInt(sent.endTimeUnixNano) - BigInt(sent.startTimeUnixNano)
})

interface WithResource {
  readonly resource: { readonly attributes?: ReadonlyArray<KeyValue> }
}

/** The spans that were sent. */
export const spansIn = (received: ReadonlyArray<Received>): ReadonlyArray<ReceivedSpan> =>
  received.filter(({ url }) => url?.endsWith("/v1/traces")).flatMap((request) => {
    const { resourceSpans = [] } = bodyOf(request, "Traces") as {
      readonly resourceSpans?: ReadonlyArray<
        WithResource & { readonly scopeSpans?: ReadonlyArray<{ readonly spans?: ReadonlyArray<Sent> }> }
      >
    }
    return resourceSpans.flatMap(({ resource, scopeSpans = [] }) => {
      const from = attributesOf(resource.attributes)
      return scopeSpans.flatMap(({ spans = [] }) => spans.map((span) => spanOf(from, span)))
    })
  })

interface Point {
  readonly attributes?: ReadonlyArray<KeyValue>
  readonly asInt?: string | number
  readonly asDouble?: number
  readonly count?: string | number
  readonly sum?: number
}

interface Points {
  readonly dataPoints?: ReadonlyArray<Point>
}

export interface ReceivedPoint {
  readonly metric: string
  readonly resource: Attributes
  readonly attributes: Attributes
  /** The value of a counter or a gauge, or how many values a histogram has. */
  readonly value: number
}

/** The points of metrics that were sent, the last time that they were. */
export const pointsIn = (received: ReadonlyArray<Received>): ReadonlyArray<ReceivedPoint> => {
  const last = received.findLast(({ url }) => url?.endsWith("/v1/metrics"))
  if (last === undefined) return []
  const { resourceMetrics = [] } = bodyOf(last, "Metrics") as {
    readonly resourceMetrics?: ReadonlyArray<
      WithResource & {
        readonly scopeMetrics?: ReadonlyArray<{
          readonly metrics?: ReadonlyArray<
            { readonly name: string; readonly gauge?: Points; readonly sum?: Points; readonly histogram?: Points }
          >
        }>
      }
    >
  }
  return resourceMetrics.flatMap(({ resource, scopeMetrics = [] }) =>
    scopeMetrics.flatMap(({ metrics = [] }) =>
      metrics.flatMap(({ gauge, histogram, name, sum }) =>
        ((gauge ?? sum ?? histogram)?.dataPoints ?? []).map((point) => ({
          metric: name,
          resource: attributesOf(resource.attributes),
          attributes: attributesOf(point.attributes),
          value: Number(point.count ?? point.asInt ?? point.asDouble ?? 0)
        }))
      )
    )
  )
}
