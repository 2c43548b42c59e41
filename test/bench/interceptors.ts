/**
 * The ready interceptors, each by itself around a pipeline that does nothing, with state in memory where it has any.
 *
 * They are set up so that nothing is denied, nothing runs out and nothing is tried twice: what is left is what an
 * interceptor costs when all is well.
 */
import { Effect, Layer } from "effect"
import { Pipeline, Snapshot } from "stageflow"
import * as Interceptors from "stageflow/interceptors"
import type { Graph } from "./shapes.ts"
import { pipelineOf } from "./subjects.ts"

export const interceptorNames = [
  "timeout",
  "retry",
  "circuitBreaker",
  "rateLimit",
  "bulkhead",
  "cache",
  "hedge",
  "tracing",
  "metrics",
  "logging",
  "outputSize"
] as const

export type InterceptorName = (typeof interceptorNames)[number]

let question = 0

/** Every question is a new one, so that the stage runs: a hit would cost less than the stage that it saves. */
const cache = Interceptors.cache({ ttl: "1 minute", of: () => String(question++) })

const interceptors = {
  timeout: Interceptors.timeout(),
  retry: Interceptors.retry(),
  circuitBreaker: Interceptors.circuitBreaker(),
  rateLimit: Interceptors.rateLimit({ limit: 1_000_000_000, window: "1 second" }),
  bulkhead: Interceptors.bulkhead({ name: "all", permits: 1_000_000 }),
  cache,
  hedge: Interceptors.hedge({ after: "1 minute" }),
  tracing: Interceptors.tracing(),
  metrics: Interceptors.metrics(),
  logging: Interceptors.logging(),
  outputSize: Interceptors.outputSize({ maxBytes: 1_000_000 })
} satisfies Record<InterceptorName, unknown>

const layerState = Layer.mergeAll(
  Interceptors.CircuitBreakers.layerMemory,
  Interceptors.RateLimits.layerMemory,
  Interceptors.Bulkheads.layerMemory,
  Interceptors.Results.layerMemory()
)

/** A run of the graph with each interceptor. */
export const interceptedRunsOf = Effect.fnUntraced(function*(graph: Graph) {
  const pipeline = yield* pipelineOf(graph)
  const state = yield* Layer.build(layerState)
  return (name: InterceptorName): Effect.Effect<unknown> => {
    const intercepted = pipeline.pipe(Pipeline.intercept(interceptors[name]))
    return Effect.provideContext(Effect.orDie(Pipeline.run(intercepted, Snapshot.make())), state)
  }
})
