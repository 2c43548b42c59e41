/**
 * A receiver of OpenTelemetry's protocol on this machine: what a tracing back end gets to see of spans.
 */
import { Effect, type Exit, Layer, Schema } from "effect"
import { FetchHttpClient } from "effect/http"
import { OtlpSerialization, OtlpTracer } from "effect/observability"
import { createServer } from "node:http"

const Attributes = Schema.Array(
  Schema.Struct({ key: Schema.String, value: Schema.Record(Schema.String, Schema.Unknown) })
)

const Span = Schema.Struct({
  name: Schema.String,
  attributes: Attributes,
  status: Schema.Struct({ code: Schema.Int, message: Schema.optionalKey(Schema.String) }),
  events: Schema.Array(Schema.Struct({ name: Schema.String, attributes: Attributes }))
})

const Body = Schema.fromJsonString(Schema.Struct({
  resourceSpans: Schema.Array(Schema.Struct({ scopeSpans: Schema.Array(Schema.Struct({ spans: Schema.Array(Span) })) }))
}))

const statuses = ["unset", "ok", "error"] as const

/** A span as it was sent. */
export interface Sent {
  readonly name: string
  readonly status: (typeof statuses)[number]
  readonly message: string | undefined
  readonly attributes: Readonly<Record<string, unknown>>
  /** The type and the message of each exception in it. */
  readonly exceptions: ReadonlyArray<readonly [type: unknown, message: unknown]>
}

const recordOf = (attributes: (typeof Attributes)["Type"]): Record<string, unknown> =>
  Object.fromEntries(attributes.map(({ key, value }) => [key, Object.values(value)[0]]))

const sentOf = ({ attributes, events, name, status }: (typeof Span)["Type"]): Sent => ({
  name,
  status: statuses[status.code] ?? "unset",
  message: status.message,
  attributes: recordOf(attributes),
  exceptions: events.filter((event) => event.name === "exception").map((event) => {
    const { "exception.message": message, "exception.type": type } = recordOf(event.attributes)
    return [type, message]
  })
})

/** A server that keeps the bodies that are posted to it. */
const receiver = Effect.acquireRelease(
  Effect.callback<{ readonly bodies: Array<string>; readonly url: string; readonly close: () => void }>((resume) => {
    const bodies: Array<string> = []
    const server = createServer((request, response) => {
      const chunks: Array<Buffer> = []
      request.on("data", (chunk: Buffer) => chunks.push(chunk))
      request.on("end", () => {
        bodies.push(Buffer.concat(chunks).toString("utf8"))
        response.setHeader("content-type", "application/json").end("{}")
      })
    })
    server.listen(0, "127.0.0.1", () => {
      const address = server.address()
      const port = typeof address === "object" && address !== null ? address.port : 0
      const close = () => {
        server.closeAllConnections()
        server.close()
      }
      resume(Effect.succeed({ bodies, url: `http://127.0.0.1:${port}/v1/traces`, close }))
    })
  }),
  ({ close }) => Effect.sync(close)
)

/** What an Effect ends with, and all its spans as they were sent; `text` is everything that was. */
export const exported = <A, E, R>(
  effect: Effect.Effect<A, E, R>
): Effect.Effect<
  { readonly exit: Exit.Exit<A, E>; readonly spans: ReadonlyArray<Sent>; readonly text: string },
  Schema.SchemaError,
  R
> =>
  Effect.scoped(Effect.gen(function*() {
    const { bodies, url } = yield* receiver
    const tracer = OtlpTracer.layer({ url, resource: { serviceName: "stageflow" } }).pipe(
      Layer.provide(OtlpSerialization.layerJson),
      Layer.provide(FetchHttpClient.layer)
    )
    // The exporter sends what it has when its Layer is released.
    const exit = yield* Effect.exit(Effect.provide(effect, tracer))
    const received = yield* Effect.forEach(bodies, (body) => Schema.decodeUnknownEffect(Body)(body))
    const spans = received.flatMap(({ resourceSpans }) => resourceSpans.flatMap(({ scopeSpans }) => scopeSpans))
    return { exit, spans: spans.flatMap((scope) => scope.spans.map(sentOf)), text: bodies.join("\n") }
  }))
