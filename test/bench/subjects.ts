/**
 * What is measured: a graph as a pipeline in each of the modes, and the same graph written by hand.
 */
import { Effect, Layer } from "effect"
import { EventSink, Interceptor, Pipeline, Snapshot, Stage } from "stageflow"
import * as Interceptors from "stageflow/interceptors"
import type { Graph, Node } from "./shapes.ts"

export const modes = ["bare", "events", "spans", "defaults"] as const

export type Mode = (typeof modes)[number]

export type SubjectName = Mode | "floor"

/** What is measured, each as an Effect of one run. */
export type Subjects = Readonly<Record<SubjectName, Effect.Effect<unknown>>>

/** A stage that does nothing, but does it in the runtime: an Effect that is known beforehand would cost nothing. */
const noOp = (_inputs: unknown): Effect.Effect<{ readonly done: boolean }> => Effect.sync(() => ({ done: true }))

const nameOf = (index: number): string => `stage${index}`

export const pipelineOf = ({ layers, shape }: Graph) =>
  Effect.orDie(Pipeline.fromSpecs(
    shape,
    layers.flat().map(({ dependencies, index }) => ({
      stage: Stage.transform(nameOf(index), { run: noOp }),
      inputs: dependencies.map(nameOf)
    }))
  ))

const spans = Interceptor.make({
  name: "spans",
  around: (effect, stage) => Effect.withSpan(effect, stage.name)
})

/** The subjects of one graph. */
export const subjectsOf = Effect.fnUntraced(function*(graph: Graph) {
  const pipeline = yield* pipelineOf(graph)
  const snapshot = Snapshot.make()
  const bare = Effect.orDie(Pipeline.run(pipeline, snapshot))
  // Without an exporter: spans and metrics stay in the process, and nobody reads logs at Debug.
  const defaults = Effect.orDie(Pipeline.run(pipeline.pipe(Pipeline.intercept(Interceptors.defaults)), snapshot))
  const spanned = Effect.orDie(Pipeline.run(pipeline.pipe(Pipeline.intercept(spans)), snapshot))
  const sink = yield* Layer.build(EventSink.layerMemory)
  const clear = EventSink.Memory.use((memory) => memory.clear)
  const events = Effect.provideContext(Effect.andThen(clear, bare), sink)
  return { bare, events, spans: spanned, defaults, floor: floorOf(graph) } satisfies Subjects
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
