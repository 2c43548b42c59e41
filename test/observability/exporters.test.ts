/** What a receiver of OpenTelemetry's protocol gets of a run, by each of the ways to send it there. */
import * as NodeSdk from "@effect/opentelemetry/NodeSdk"
import { assert, describe, it } from "@effect/vitest"
import { OTLPMetricExporter } from "@opentelemetry/exporter-metrics-otlp-http"
import { OTLPTraceExporter as JsonExporter } from "@opentelemetry/exporter-trace-otlp-http"
import { OTLPTraceExporter as ProtobufExporter } from "@opentelemetry/exporter-trace-otlp-proto"
import { PeriodicExportingMetricReader } from "@opentelemetry/sdk-metrics"
import { BatchSpanProcessor } from "@opentelemetry/sdk-trace-base"
import { Effect, Layer, Metric, Redacted, Schedule, Schema } from "effect"
import { FetchHttpClient } from "effect/http"
import { Otlp, PrometheusMetrics } from "effect/observability"
import { Interceptor, Pipeline, Snapshot, Stage, StageOutput } from "stageflow"
import { Subpipeline } from "stageflow/control"
import * as Interceptors from "stageflow/interceptors"
import { collector } from "./support/collector.ts"
import { pointsIn, type ReceivedSpan, spansIn } from "./support/otlp.ts"

const resource = { serviceName: "chat", serviceVersion: "1.2.3" }

interface Way {
  readonly layer: (baseUrl: string) => Layer.Layer<never>
  /** The media type of the traces that it sends. */
  readonly type: string
  readonly sendsMetrics: boolean
}

/** The ways to export; each is two lines for who uses it. */
const ways: Readonly<Record<string, Way>> = {
  "effect, as JSON": {
    layer: (baseUrl) => Otlp.layerJson({ baseUrl, resource }).pipe(Layer.provide(FetchHttpClient.layer)),
    type: "application/json",
    sendsMetrics: true
  },
  "effect, as protobuf": {
    layer: (baseUrl) => Otlp.layerProtobuf({ baseUrl, resource }).pipe(Layer.provide(FetchHttpClient.layer)),
    type: "application/x-protobuf",
    sendsMetrics: true
  },
  "the SDK, as JSON": {
    layer: (baseUrl) =>
      NodeSdk.layer(() => ({
        resource,
        spanProcessor: new BatchSpanProcessor(new JsonExporter({ url: `${baseUrl}/v1/traces` })),
        metricReader: new PeriodicExportingMetricReader({
          exporter: new OTLPMetricExporter({ url: `${baseUrl}/v1/metrics` })
        })
      })),
    type: "application/json",
    sendsMetrics: true
  },
  "the SDK, as protobuf": {
    layer: (baseUrl) =>
      NodeSdk.layer(() => ({
        resource,
        spanProcessor: new BatchSpanProcessor(new ProtobufExporter({ url: `${baseUrl}/v1/traces` }))
      })),
    type: "application/x-protobuf",
    sendsMetrics: false
  }
}

class Down extends Schema.TaggedError<Down>()("Down", { token: Schema.Redacted(Schema.String) }) {
  readonly code = "DOWN"
  override get message(): string {
    return "it is down"
  }
}

const circular: Record<string, unknown> = {}
circular["self"] = circular

const secret = "hunter2"

/** What its author says of a stage, and much that no exporter can send as it is. */
const odd = {
  "gen_ai.request.model": "small",
  "odd.nan": Number.NaN,
  "odd.circular": circular,
  "odd.huge": "x".repeat(100_000),
  "odd.secret": Redacted.make(secret),
  "odd.nested": { token: Redacted.make(secret) },
  "odd.list": [1, Number.POSITIVE_INFINITY, "a", Redacted.make(secret)],
  "odd.unreadable": {
    toJSON: () => {
      throw new Error(secret)
    }
  }
}

const inner = Pipeline.make("inner").work("work", { run: Effect.void })

const before = { traceId: "0af7651916cd43dd8448eb211c80319c", spanId: "b7ad6b7169203331" }

const answer = Stage.transform("answer", { run: Effect.succeed({}) })

/** A run with a child, a retry, a skip and a failure in it. */
const program = Effect.suspend(() => {
  let calls = 0
  const again = Stage.work("again", {
    run: Effect.suspend(() => ++calls === 1 ? Effect.fail(new Down({ token: Redacted.make(secret) })) : Effect.void)
  })
  const down = Stage.work("down", { run: Effect.fail(new Down({ token: Redacted.make(secret) })) })
  const pipeline = Pipeline.make("chat")
    .add(answer.pipe(Stage.annotate(Interceptors.SpanAttributes, odd)))
    .add(again, { after: ["answer"] })
    .add(Subpipeline.stage("child", inner), { after: ["again"] })
    .add(Stage.enrich("nothing", { run: Effect.succeed(StageOutput.skip("nothing to do")) }))
    .add(down, { after: ["child", "nothing"] })
    .pipe(Pipeline.intercept(Interceptors.retry(Schedule.recurs(1))))
  return Pipeline.run(pipeline, Snapshot.make({ pipelineRunId: "run", orgId: "acme", userId: "ada" })).pipe(
    Interceptors.linkedTo(before, "replay_of"),
    Effect.flip,
    Effect.provide(Interceptor.layer(Interceptor.combine(Interceptors.tracing(), Interceptors.metrics())))
  )
})

/** What a receiver gets of an Effect that is exported in this way. */
const exportedBy = <A, E>({ layer }: Way, effect: Effect.Effect<A, E>) =>
  Effect.scoped(Effect.gen(function*() {
    const { received, url } = yield* collector()
    const value = yield* effect.pipe(
      Effect.provide(layer(new URL(url).origin)),
      Effect.provideService(Metric.MetricRegistry, new Map())
    )
    return { value, received, spans: spansIn(received), points: pointsIn(received) }
  }))

const named = (spans: ReadonlyArray<ReceivedSpan>, name: string): ReceivedSpan => {
  const found = spans.filter((span) => span.name === name)
  assert.strictEqual(found.length, 1, `${name} of ${spans.map((span) => span.name)}`)
  return found[0] as ReceivedSpan
}

describe("a receiver of OpenTelemetry's protocol", () => {
  for (const [name, way] of Object.entries(ways)) {
    it.live(`gets the spans of a run whole: ${name}`, () =>
      Effect.gen(function*() {
        const { received, spans } = yield* exportedBy(way, program)
        assert.isTrue(received.some(({ headers, url }) => url === "/v1/traces" && headers["content-type"] === way.type))
        const run = named(spans, "pipeline chat")
        assert.deepInclude(run.resource, { "service.name": "chat", "service.version": "1.2.3" })
        assert.isUndefined(run.parentSpanId)
        assert.isTrue(spans.every(({ traceId }) => traceId === run.traceId))
        assert.match(run.traceId, /^[0-9a-f]{32}$/)
        // Each span is where it belongs.
        const parents = {
          "stage answer": "pipeline chat",
          "stage again": "pipeline chat",
          "stage child": "pipeline chat",
          "stage nothing": "pipeline chat",
          "stage down": "pipeline chat",
          "attempt 1 of answer": "stage answer",
          "attempt 1 of again": "stage again",
          "attempt 2 of again": "stage again",
          "attempt 1 of child": "stage child",
          "attempt 1 of nothing": "stage nothing",
          "attempt 1 of down": "stage down",
          "attempt 2 of down": "stage down",
          "pipeline inner": "attempt 1 of child",
          "stage work": "pipeline inner",
          "attempt 1 of work": "stage work"
        }
        assert.sameMembers(spans.map((span) => span.name), ["pipeline chat", ...Object.keys(parents)])
        for (const [child, parent] of Object.entries(parents)) {
          assert.strictEqual(named(spans, child).parentSpanId, named(spans, parent).spanId, child)
        }
        // A run that repeats another is linked to it; runs inside of it are not.
        assert.deepStrictEqual(run.links, [{ ...before, attributes: { "stageflow.link": "replay_of" } }])
        assert.deepStrictEqual(spans.filter(({ links }) => links.length > 0), [run])
        // Attributes.
        assert.deepInclude(run.attributes, {
          "stageflow.pipeline": "chat",
          "stageflow.run.id": "run",
          "stageflow.correlation.id": "run",
          "stageflow.outcome": "Failed",
          "stageflow.failed_stage": "down",
          "error.type": "StageFailed"
        })
        const child = named(spans, "pipeline inner")
        assert.deepInclude(child.attributes, {
          "stageflow.run.parent_id": "run",
          "stageflow.run.parent_stage": "child",
          "stageflow.correlation.id": "run",
          "stageflow.outcome": "Completed"
        })
        assert.deepInclude(named(spans, "stage work").attributes, {
          "stageflow.run.id": child.attributes["stageflow.run.id"],
          "stageflow.run.parent_id": "run"
        })
        assert.deepInclude(named(spans, "stage again").attributes, {
          "stageflow.stage": "again",
          "stageflow.kind": "work",
          "stageflow.run.id": "run",
          "stageflow.attempts": 2,
          "stageflow.outcome": "Ok",
          "stageflow.org.id": "acme",
          "user.id": "ada"
        })
        assert.strictEqual(named(spans, "stage nothing").attributes["stageflow.outcome"], "Skip")
        // Statuses and errors.
        for (
          const failed of [
            "pipeline chat",
            "stage down",
            "attempt 1 of down",
            "attempt 2 of down",
            "attempt 1 of again"
          ]
        ) {
          assert.strictEqual(named(spans, failed).status, "error", failed)
        }
        for (const good of ["stage answer", "stage again", "stage nothing", "pipeline inner", "attempt 2 of again"]) {
          assert.strictEqual(named(spans, good).status, "ok", good)
        }
        const down = named(spans, "stage down")
        assert.strictEqual(down.message, "it is down")
        assert.deepInclude(down.attributes, { "error.type": "Down", "stageflow.error.code": "DOWN" })
        const exception = down.events.find((event) => event.name === "exception")
        assert.deepInclude(exception?.attributes, { "exception.type": "Down", "exception.message": "it is down" })
        for (const { body } of received) assert.notInclude(body.toString("latin1"), secret)
      }))

    it.live(`gets attributes that no exporter could send as they are: ${name}`, () =>
      Effect.gen(function*() {
        const { received, spans } = yield* exportedBy(way, program)
        const { attributes } = named(spans, "stage answer")
        assert.deepInclude(attributes, {
          "gen_ai.request.model": "small",
          "odd.nan": "NaN",
          "odd.circular": "{}",
          "odd.huge": `${"x".repeat(1_000)}…`,
          "odd.nested": `{"token":"<redacted>"}`,
          "odd.unreadable": "<unreadable>"
        })
        assert.strictEqual(attributes["odd.secret"], `"<redacted>"`)
        for (const { body } of received) assert.notInclude(body.toString("latin1"), secret)
      }))

    if (way.sendsMetrics) {
      it.live(`gets the metrics of a run: ${name}`, () =>
        Effect.gen(function*() {
          const { points } = yield* exportedBy(way, program)
          const value = (metric: string, wanted: Readonly<Record<string, string>>) => {
            const found = points.filter((point) =>
              point.metric === metric &&
              Object.entries(wanted).every(([key, expected]) => point.attributes[key] === expected)
            )
            assert.strictEqual(found.length, 1, `${metric} of ${JSON.stringify(wanted)}: ${JSON.stringify(points)}`)
            assert.strictEqual(found[0]?.resource["service.name"], "chat")
            return found[0]?.value
          }
          assert.strictEqual(value("stageflow_stages_total", { pipeline: "chat", stage: "down", status: "fail" }), 1)
          assert.strictEqual(value("stageflow_stage_retries_total", { pipeline: "chat", stage: "again" }), 1)
          assert.strictEqual(value("stageflow_stage_duration_ms", { pipeline: "chat", stage: "again" }), 1)
          assert.strictEqual(value("stageflow_runs_total", { pipeline: "chat", status: "failed" }), 1)
          assert.strictEqual(value("stageflow_runs_total", { pipeline: "inner", status: "completed" }), 1)
          assert.strictEqual(value("stageflow_run_duration_ms", { pipeline: "chat" }), 1)
          assert.strictEqual(value("stageflow_runs_running", { pipeline: "chat" }), 0)
          assert.strictEqual(value("stageflow_stages_running", { pipeline: "chat" }), 0)
        }))
    }

    it.live(`is not there: the run goes on all the same: ${name}`, () =>
      Effect.gen(function*() {
        const { url } = yield* Effect.scoped(collector())
        const error = yield* Effect.provide(program, way.layer(new URL(url).origin))
        assert.strictEqual(error._tag, "StageFailed")
      }), 20_000)
  }
})

describe("Prometheus", () => {
  it.effect("reads the metrics of runs as text", () =>
    Effect.gen(function*() {
      yield* program
      const text = yield* PrometheusMetrics.format()
      assert.include(text, `stageflow_runs_total{pipeline="chat",status="failed"} 1`)
      assert.match(text, /# TYPE stageflow_stage_duration_ms histogram/)
      assert.include(text, `stageflow_runs_running{pipeline="chat"} 0`)
    }).pipe(Effect.provideService(Metric.MetricRegistry, new Map())))
})
