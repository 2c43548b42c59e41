/**
 * What is measured: a graph as a pipeline in each of the modes, and the same graph written by hand.
 */
import { Effect, Layer, type Scope } from "effect"
import { EventSink, Interceptor, Pipeline, Snapshot, Stage } from "stageflow"
import * as Interceptors from "stageflow/interceptors"
import type { Graph, Node } from "./shapes.ts"

export const modes = ["bare", "events", "spans", "defaults"] as const

/** The same with stages that really wait: one that awaits a Promise that is resolved, one that lets others go first. */
export const waitingModes = ["bareAwaiting", "bareYielding", "defaultsAwaiting", "defaultsYielding"] as const

export type Mode = (typeof modes)[number] | (typeof waitingModes)[number]

export type SubjectName = Mode | "floor"

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
    floor: Effect.succeed(floorOf(graph))
  } satisfies Subjects
})

/** What somebody would write who needs this graph once, and nothing else that a pipeline gives. */
const floorOf = (graph: Graph): Effect.Effect<unknown> => graph.shape === "chain" ? inARow(graph) : layerByLayer(graph)

const inARow = ({ layers }: Graph): Effect.Effect<unknown> =>
  Effect.gen(function*() {
    let before: unknown = undefined
    for (let index = 0; index < layers.length; index++) before = yield* noOp({ before })
    return before
  })

const layerByLayer = ({ layers }: Graph): Effect.Effect<unknown> =>
  Effect.gen(function*() {
    const outputs: Array<unknown> = []
    const run = ({ dependencies }: Node) => noOp(dependencies.map((dependency) => outputs[dependency]))
    for (const layer of layers) {
      for (const output of yield* Effect.all(layer.map(run), { concurrency: "unbounded" })) outputs.push(output)
    }
    return outputs
  })
