/**
 * One trace: a request, the run that answers it, the run inside of that, and what was told of the stages meanwhile.
 *
 * With OTEL_EXPORTER_OTLP_ENDPOINT the spans go there; without it they are printed.
 *
 * npm run example examples/tracing.ts
 * OTEL_EXPORTER_OTLP_ENDPOINT=http://localhost:4318 npm run example examples/tracing.ts
 */
import { Config, Console, Effect, Layer, Option, Schedule, Schema, Tracer } from "effect"
import { FetchHttpClient } from "effect/http"
import { Otlp } from "effect/observability"
import { Interceptor, Pipeline, Snapshot, Stage } from "stageflow"
import { Subpipeline } from "stageflow/control"
import * as Interceptors from "stageflow/interceptors"
import { TraceContext } from "stageflow/observability"

class Busy extends Schema.TaggedError<Busy>()("Busy", {}) {
  override get message() {
    return "The model is busy"
  }
}

// A run inside of a stage: two searches that share one connection.
const search = Pipeline.make("search")
  .enrich("documents", { run: Effect.delay(Effect.succeed({ found: 3 }), "20 millis") })
  .enrich("tickets", { run: Effect.delay(Effect.succeed({ found: 1 }), "20 millis") })
  .pipe(Pipeline.intercept(Interceptors.bulkhead({ name: "index", permits: 1 })))

let calls = 0
const answer = Stage.transform("answer", {
  run: Effect.gen(function*() {
    if (++calls === 1) return yield* new Busy()
    // What a tool is called with: it goes on with the trace.
    const { traceparent } = yield* TraceContext.headers
    return { text: "Turn it off and on again", traceparent }
  })
}).pipe(
  Stage.annotate(Interceptors.SpanAttributes, { "gen_ai.operation.name": "chat", "gen_ai.request.model": "small" })
)

const support = Pipeline.make("support")
  .add(Subpipeline.stage("search", search))
  .add(answer, { after: ["search"] })
  .pipe(Pipeline.intercept(Interceptors.retry(Schedule.spaced("10 millis"))))

/** The headers of a request: its sender has a trace already. */
const headers = { traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", baggage: "tenant=acme" }

const program = Effect.gen(function*() {
  const { outputs } = yield* Pipeline.run(support, Snapshot.make())
  const { traceparent = "" } = outputs.answer.data
  yield* Console.log(`${outputs.answer.data.text}\nThe tool was called in trace ${traceparent.split("-")[1]}\n`)
}).pipe(TraceContext.continueFrom(headers))

// Without a back end: prints the tree when the program is over.
const printed = Layer.effect(
  Tracer.Tracer,
  Effect.gen(function*() {
    const spans: Array<Tracer.NativeSpan> = []
    const childrenOf = (parent: string) =>
      spans.filter((span) => Option.exists(span.parent, ({ spanId }) => spanId === parent))
    const linesOf = ({ attributes, events, name, spanId }: Tracer.NativeSpan, indent = ""): ReadonlyArray<string> => [
      `${indent}${name}${attributes.has("error.type") ? `  ${attributes.get("error.type")}` : ""}`,
      ...events.flatMap(([name]) => name.startsWith("stageflow.") ? [`${indent}  * ${name}`] : []),
      ...childrenOf(spanId).flatMap((span) => linesOf(span, `${indent}  `))
    ]
    yield* Effect.addFinalizer(() =>
      Console.log(childrenOf("b7ad6b7169203331").flatMap((span) => linesOf(span)).join("\n"))
    )
    return Tracer.make({
      span: (options) => {
        const span = new Tracer.NativeSpan(options)
        spans.push(span)
        return span
      }
    })
  })
)

const exporter = Layer.unwrap(Effect.map(
  Config.option(Config.String("OTEL_EXPORTER_OTLP_ENDPOINT")),
  (endpoint) =>
    Option.isNone(endpoint)
      ? printed
      : Otlp.layerJson({ baseUrl: endpoint.value, resource: { serviceName: "support" } }).pipe(
        Layer.provide(FetchHttpClient.layer)
      )
))

await Effect.runPromise(program.pipe(
  Effect.provide([Interceptor.layer(Interceptors.tracing()), Interceptors.Bulkheads.layerMemory]),
  Effect.provide(exporter)
))
