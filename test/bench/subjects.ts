/**
 * What is measured: a graph as a pipeline in each of the modes, and the same graph written by hand.
 */
import * as NodeSdk from "@effect/opentelemetry/NodeSdk"
import { BatchSpanProcessor } from "@opentelemetry/sdk-trace-base"
import { Duration, Effect, Layer, Logger, Metric, type Scope } from "effect"
import { HttpClient, HttpClientResponse } from "effect/http"
import { OtlpSerialization, OtlpTracer } from "effect/observability"
import { EventSink, Interceptor, Pipeline, Snapshot, Stage } from "stageflow"
import * as Interceptors from "stageflow/interceptors"
import { BufferedSink, RunLog } from "stageflow/observability"
import { Sqlite } from "stageflow/sqlite"
import type { Graph, Node } from "./shapes.ts"

export const modes = ["bare", "events", "spans", "defaults"] as const

/** The same with stages that really wait: one that awaits a Promise that is resolved, one that lets others go first. */
export const waitingModes = ["bareAwaiting", "bareYielding", "defaultsAwaiting", "defaultsYielding"] as const

/** With a sink behind a buffer: one that takes what it gets, and one that takes 1 ms for each event. */
export const sinkModes = ["buffered", "bufferedSlow"] as const

/** Without spans, and with those of `Interceptors.tracing`: kept by nobody, and with each exporter, whose back end takes all at once. */
export const exporterModes = ["untraced", "traced", "tracedOtlp", "tracedSdk"] as const

/** With every run kept, until it is written. */
export const runLogModes = ["runLogMemory", "runLogSqlite"] as const

export type Mode =
  | (typeof modes)[number]
  | (typeof waitingModes)[number]
  | (typeof sinkModes)[number]
  | (typeof exporterModes)[number]
  | (typeof runLogModes)[number]

/** The same graph by hand: with nothing, and with what the default stack does, from Effect's own combinators. */
export const floors = ["floor", "stackByHand"] as const

export type SubjectName = Mode | (typeof floors)[number]

/** What is measured: each makes an Effect of one run. */
export type Subjects = Readonly<Record<SubjectName, Effect.Effect<Effect.Effect<unknown>, never, Scope.Scope>>>

type Run = (inputs: unknown) => Effect.Effect<{ readonly done: boolean }>

/** A stage that does nothing, but does it in the runtime: an Effect that is known beforehand would cost nothing. */
const noOp: Run = () => Effect.sync(() => ({ done: true }))

const awaiting: Run = () => Effect.promise(() => Promise.resolve({ done: true }))

const yielding: Run = () => Effect.as(Effect.yieldNow, { done: true })

const nameOf = (index: number): string => `stage${index}`

export const pipelineOf = ({ layers, shape }: Graph, run: Run = noOp) =>
  Effect.orDie(Pipeline.fromSpecs(
    shape,
    layers.flat().map(({ dependencies, index }) => ({
      stage: Stage.transform(nameOf(index), { run }),
      inputs: dependencies.map(nameOf)
    }))
  ))

const spans = Interceptor.make({
  name: "spans",
  around: (effect, stage) => Effect.withSpan(effect, stage.name)
})

type BenchPipeline = Effect.Success<ReturnType<typeof pipelineOf>>

const bareRun = (pipeline: BenchPipeline) => Effect.orDie(Pipeline.run(pipeline, Snapshot.make()))

// Without an exporter: spans and metrics stay in the process, and nobody reads logs at Debug.
const defaultsRun = (pipeline: BenchPipeline) =>
  Effect.orDie(Pipeline.run(pipeline.pipe(Pipeline.intercept(Interceptors.defaults)), Snapshot.make()))

const eventsRun = Effect.fnUntraced(function*(pipeline: BenchPipeline) {
  const sink = yield* Layer.build(EventSink.layerMemory)
  const clear = EventSink.Memory.use((memory) => memory.clear)
  return Effect.provideContext(Effect.andThen(clear, bareRun(pipeline)), sink)
})

const buffered = BufferedSink.layer(() => Effect.void)

// One after the other. Most events are dropped: no sink keeps up with runs that do nothing.
const bufferedSlow = BufferedSink.layer(() => Effect.sleep("1 millis"), {
  batchSize: 1,
  flushInterval: 0,
  closeTimeout: 0
})

const sinkRun = Effect.fnUntraced(function*(pipeline: BenchPipeline, layer: Layer.Layer<EventSink.EventSink>) {
  return Effect.provideContext(bareRun(pipeline), yield* Effect.provide(Layer.build(layer), Logger.layer([])))
})

const tracedRun = (pipeline: BenchPipeline) => bareRun(pipeline.pipe(Pipeline.intercept(Interceptors.tracing())))

/** What is exported, without the network. */
const otlp = OtlpTracer.layer({ url: "http://localhost/v1/traces", resource: { serviceName: "bench" } }).pipe(
  Layer.provide(OtlpSerialization.layerJson),
  Layer.provide(Layer.succeed(
    HttpClient.HttpClient,
    HttpClient.make((request) => Effect.succeed(HttpClientResponse.fromWeb(request, new Response("{}"))))
  ))
)

const sdk = NodeSdk.layer(() => ({
  resource: { serviceName: "bench" },
  spanProcessor: new BatchSpanProcessor({
    export: (_, taken) => taken({ code: 0 }),
    shutdown: () => Promise.resolve()
  })
}))

const exportedRun = Effect.fnUntraced(function*(pipeline: BenchPipeline, exporter: Layer.Layer<never>) {
  return Effect.provideContext(tracedRun(pipeline), yield* Layer.build(exporter))
})

// Kept of it is the last run alone: what is measured is a run, and not how much of them there is.
const runLogSettings: RunLog.Settings = { retention: { maxRuns: 1 }, buffer: { flushInterval: 0 } }

/** A run that is over when all of it is in the log. */
const runLogRun = Effect.fnUntraced(function*<E>(pipeline: BenchPipeline, layer: Layer.Layer<RunLog.RunLog, E>) {
  const log = yield* Effect.provide(Effect.orDie(Layer.build(layer)), Logger.layer([]))
  const kept = Effect.andThen(bareRun(pipeline), Effect.orDie(RunLog.list({ limit: 1 })))
  return Effect.provideContext(kept, log)
})

const sqliteLog = RunLog.layerSql(runLogSettings).pipe(Layer.provide(Sqlite.layer({ filename: ":memory:" })))

/** The subjects of one graph. Each is made when it is asked for: what is not measured takes no memory. */
export const subjectsOf = Effect.fnUntraced(function*(graph: Graph) {
  const pipeline = yield* Effect.cached(pipelineOf(graph))
  const awaitingPipeline = yield* Effect.cached(pipelineOf(graph, awaiting))
  const yieldingPipeline = yield* Effect.cached(pipelineOf(graph, yielding))
  return {
    bare: Effect.map(pipeline, bareRun),
    events: Effect.flatMap(pipeline, eventsRun),
    spans: Effect.map(pipeline, (self) => bareRun(self.pipe(Pipeline.intercept(spans)))),
    defaults: Effect.map(pipeline, defaultsRun),
    bareAwaiting: Effect.map(awaitingPipeline, bareRun),
    bareYielding: Effect.map(yieldingPipeline, bareRun),
    defaultsAwaiting: Effect.map(awaitingPipeline, defaultsRun),
    defaultsYielding: Effect.map(yieldingPipeline, defaultsRun),
    buffered: Effect.flatMap(pipeline, (self) => sinkRun(self, buffered)),
    bufferedSlow: Effect.flatMap(pipeline, (self) => sinkRun(self, bufferedSlow)),
    untraced: Effect.map(pipeline, bareRun),
    traced: Effect.map(pipeline, tracedRun),
    tracedOtlp: Effect.flatMap(pipeline, (self) => exportedRun(self, otlp)),
    tracedSdk: Effect.flatMap(pipeline, (self) => exportedRun(self, sdk)),
    runLogMemory: Effect.flatMap(pipeline, (self) => runLogRun(self, RunLog.layerMemory(runLogSettings))),
    runLogSqlite: Effect.flatMap(pipeline, (self) => runLogRun(self, sqliteLog)),
    floor: Effect.succeed(floorOf(graph, () => noOp)),
    stackByHand: Effect.succeed(floorOf(graph, withStackByHand))
  } satisfies Subjects
})

/** The run of a stage by its index. */
type RunOf = (index: number) => Run

/** What somebody would write who needs this graph once, and nothing else that a pipeline gives. */
const floorOf = (graph: Graph, runOf: RunOf): Effect.Effect<unknown> => {
  const runs = graph.layers.flat().map(({ index }) => runOf(index))
  const run = (index: number, inputs: unknown) => (runs[index] as Run)(inputs)
  return graph.shape === "chain" ? inARow(graph, run) : layerByLayer(graph, run)
}

type RunStage = (index: number, inputs: unknown) => ReturnType<Run>

const inARow = ({ layers }: Graph, run: RunStage): Effect.Effect<unknown> =>
  Effect.gen(function*() {
    let before: unknown = undefined
    for (let index = 0; index < layers.length; index++) before = yield* run(index, { before })
    return before
  })

const layerByLayer = ({ layers }: Graph, run: RunStage): Effect.Effect<unknown> =>
  Effect.gen(function*() {
    const outputs: Array<unknown> = []
    const runNode = ({ dependencies, index }: Node) => run(index, dependencies.map((dependency) => outputs[dependency]))
    for (const layer of layers) {
      for (const output of yield* Effect.all(layer.map(runNode), { concurrency: "unbounded" })) outputs.push(output)
    }
    return outputs
  })

const boundaries = Metric.exponentialBoundaries({ start: 1, factor: 2, count: 18 })

/** One stage with a timeout, two spans, two metrics and annotations for its logs: what the default stack gives it. */
const withStackByHand: RunOf = (index) => {
  const stage = nameOf(index)
  const attributes = { pipeline: "by hand", stage, kind: "transform" }
  const duration = Metric.histogram("by_hand_duration_ms", { boundaries, attributes })
  const ended = Metric.counter("by_hand_total", { incremental: true, attributes: { ...attributes, status: "ok" } })
  const ids = { runId: "run", correlationId: "run" }
  return (inputs) =>
    noOp(inputs).pipe(
      Effect.annotateLogs({ pipeline: "by hand", stage, attempt: 1, ...ids }),
      Effect.withSpan(`attempt 1 of ${stage}`, { attributes: { stage, attempt: 1 } }, withoutStack),
      Effect.timeout("30 seconds"),
      Effect.timed,
      Effect.tap(([took]) => Effect.andThen(Metric.update(duration, Duration.toMillis(took)), Metric.update(ended, 1))),
      Effect.map(([, output]) => output),
      Effect.withSpan(`stage ${stage}`, { attributes: { ...attributes, ...ids, outcome: "Ok" } }, withoutStack),
      Effect.orDie
    )
}

const withoutStack = { captureStackTrace: false }
