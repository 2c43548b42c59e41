import { assert, describe, it } from "@effect/vitest"
import { ConfigProvider, Effect, Layer, Redacted } from "effect"
import { FetchHttpClient } from "effect/http"
import { OtlpSerialization } from "effect/observability"
import { type Event, EventSink, Pipeline, Snapshot, StageContext } from "stageflow"
import { type BufferedSink, OtlpSink } from "stageflow/observability"
import { type Answer, collector } from "./support/collector.ts"
import { event, events, logged } from "./support/events.ts"

const resource = { serviceName: "chat" }

const json = Effect.provide([FetchHttpClient.layer, OtlpSerialization.layerJson])

/** What a collector that answers so got of two events, and what the sink says of them. */
const sentTo = Effect.fnUntraced(function*(
  answers: ReadonlyArray<Answer>,
  buffer: BufferedSink.Settings = {},
  all: ReadonlyArray<Event.Event> = events(2)
) {
  const lines: Array<string> = []
  const { received, url } = yield* collector(answers)
  const sink = yield* Effect.gen(function*() {
    const sink = yield* OtlpSink.make({ url, resource, headers: { authorization: "Bearer token" }, buffer })
    for (const each of all) sink.offer(each)
    return sink
  }).pipe(Effect.scoped, logged(lines), json)
  return { received, lines, delivery: yield* sink.delivery }
})

interface Attribute {
  readonly key: string
  readonly value: Readonly<Record<string, unknown>>
}

interface Sent {
  readonly resourceLogs: ReadonlyArray<{
    readonly resource: { readonly attributes: ReadonlyArray<Attribute> }
    readonly scopeLogs: ReadonlyArray<{
      readonly scope: { readonly name: string }
      readonly logRecords: ReadonlyArray<{
        readonly timeUnixNano: string
        readonly severityNumber: number
        readonly severityText: string
        readonly body: { readonly stringValue: string }
        readonly attributes: ReadonlyArray<Attribute>
      }>
    }>
  }>
}

const sent = (body: Buffer | undefined): Sent => JSON.parse(String(body)) as Sent

const attributes = (all: ReadonlyArray<Attribute> | undefined) =>
  Object.fromEntries((all ?? []).map(({ key, value }) => [key, Object.values(value)[0]]))

describe("OtlpSink", () => {
  it.live("sends what is told of a run as log records, with what one searches by", () =>
    Effect.gen(function*() {
      const { received, url } = yield* collector()
      const run = StageContext.emit("note", { text: "hi", secret: Redacted.make("hunter2") })
      yield* Pipeline.run(
        Pipeline.make("p").work("stage", { run: Effect.andThen(run, Effect.fail("no")) }),
        Snapshot.make({ pipelineRunId: "run", interactionId: "conversation" })
      ).pipe(Effect.exit, Effect.provide(OtlpSink.layer({ url, resource })), json)
      assert.strictEqual(received.length, 1)
      assert.strictEqual(received[0]?.url, "/v1/logs")
      assert.strictEqual(received[0]?.headers["content-type"], "application/json")
      // Telling of a run is no part of a trace.
      assert.isUndefined(received[0]?.headers["traceparent"])
      const [logs] = sent(received[0]?.body).resourceLogs
      assert.deepInclude(attributes(logs?.resource.attributes), { "service.name": "chat" })
      const records = logs?.scopeLogs[0]?.logRecords ?? []
      assert.deepStrictEqual(records.map(({ body, severityText }) => [severityText, body.stringValue]), [
        ["Info", "RunStarted"],
        ["Debug", "StageStarted stage"],
        ["Debug", "StageEmitted stage: note"],
        ["Warn", "StageFailed stage: string: a plain string, which is not shown"],
        ["Warn", "RunFailed: string: a plain string, which is not shown"]
      ])
      assert.deepInclude(attributes(records[2]?.attributes), {
        "event.name": "stageflow.StageEmitted",
        "stageflow.run.id": "run",
        "stageflow.pipeline": "p",
        "stageflow.sequence": 3,
        "stageflow.stage": "stage",
        "stageflow.attempt": 1,
        "stageflow.type": "note",
        "stageflow.data": `{"text":"hi","secret":"<redacted>"}`
      })
      assert.deepInclude(attributes(records[3]?.attributes), { "error.type": "string" })
      assert.match(records[0]?.timeUnixNano ?? "", /^\d{19}$/)
      assert.strictEqual(records[3]?.severityNumber, 13)
    }))

  it.live("sends protobuf where that is provided", () =>
    Effect.gen(function*() {
      const { received, url } = yield* collector()
      yield* Effect.gen(function*() {
        const sink = yield* OtlpSink.make({ url, resource })
        sink.offer(event(1))
      }).pipe(Effect.scoped, Effect.provide([FetchHttpClient.layer, OtlpSerialization.layerProtobuf]))
      assert.strictEqual(received[0]?.headers["content-type"], "application/x-protobuf")
      assert.include(String(received[0]?.body), "stageflow.StageStarted")
    }))

  it.live("sends again what the collector was too busy for", () =>
    Effect.gen(function*() {
      const { delivery, lines, received } = yield* sentTo([{ status: 503 }])
      assert.strictEqual(received.length, 2)
      assert.deepStrictEqual(received[0]?.body, received[1]?.body)
      assert.strictEqual(received[1]?.headers["authorization"], "Bearer token")
      assert.deepStrictEqual([delivery.delivered, lines], [2, []])
    }))

  it.live("does not send again what the collector refuses, and reports it", () =>
    Effect.gen(function*() {
      const { delivery, lines, received } = yield* sentTo([{ status: 400 }])
      assert.strictEqual(received.length, 1)
      assert.strictEqual(delivery.failed, 2)
      assert.include(lines[0], "2 event(s) not delivered")
      assert.notInclude(lines.join("\n"), "Bearer")
    }))

  it.live("reports what the collector says that it did not take", () =>
    Effect.gen(function*() {
      const body = JSON.stringify({ partialSuccess: { rejectedLogRecords: "1", errorMessage: "too old" } })
      const { delivery, lines, received } = yield* sentTo([{ status: 200, body }])
      assert.strictEqual(received.length, 1)
      assert.strictEqual(delivery.failed, 2)
      assert.include(lines[0], "OtlpRejected: The collector refused 1 event(s): too old")
      const all = yield* sentTo([{ status: 200, body: JSON.stringify({ partialSuccess: {} }) }])
      assert.strictEqual(all.delivery.delivered, 2)
    }))

  it.live("of a service that nobody names: as OpenTelemetry calls it, and the run goes on", () =>
    Effect.gen(function*() {
      const { received, url } = yield* collector()
      yield* Pipeline.run(Pipeline.make("p").work("stage", { run: Effect.void }), Snapshot.make()).pipe(
        Effect.provide(OtlpSink.layer({ url })),
        json,
        Effect.provideService(ConfigProvider.ConfigProvider, ConfigProvider.fromEnv({ env: {} }))
      )
      const [logs] = sent(received[0]?.body).resourceLogs
      assert.deepInclude(attributes(logs?.resource.attributes), { "service.name": "unknown_service" })
    }))

  it.live("a refused connection: the run goes on, its events are counted and reported", () =>
    Effect.gen(function*() {
      const { url } = yield* Effect.scoped(collector())
      const lines: Array<string> = []
      const { result, sink } = yield* Effect.gen(function*() {
        const sink = yield* OtlpSink.make({ url, resource, buffer: { closeTimeout: "300 millis" } })
        const run = Pipeline.run(Pipeline.make("p").work("stage", { run: Effect.void }), Snapshot.make())
        return { sink, result: yield* Effect.provideService(run, EventSink.EventSink, sink) }
      }).pipe(Effect.scoped, logged(lines), json)
      assert.strictEqual(result._tag, "Completed")
      assert.deepStrictEqual(yield* sink.delivery, { accepted: 4, delivered: 0, failed: 4, dropped: 0 })
      assert.deepStrictEqual(lines, ["Warn: Event sink closed: 0 event(s) dropped, 4 not delivered"])
    }))

  it("needs an address", () => {
    assert.throws(() => OtlpSink.layer({ url: " " }), /Invalid option "url"/)
    assert.isTrue(Layer.isLayer(OtlpSink.layer({ url: "http://localhost" })))
  })
})
