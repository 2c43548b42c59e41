import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { Pipeline, Snapshot, Stage } from "stageflow"
import * as Interceptors from "stageflow/interceptors"

const boom = new Error("boom")

/** As a program without types would give them. */
const noKeys: Readonly<Record<string, () => unknown>> = {
  "that throws": () => {
    throw boom
  },
  "that gives nothing": () => undefined,
  "that gives a number": () => 7,
  "that gives an object": () => ({ toString: () => "key" }),
  "that is an async function": async () => "key",
  "that is an async function which rejects": () => Promise.reject(boom),
  "that gives something hostile": () => ({
    get then(): unknown {
      throw boom
    }
  })
}

const services = Layer.mergeAll(
  Interceptors.Bulkheads.layerMemory,
  Interceptors.RateLimits.layerMemory,
  Interceptors.Results.layerMemory(),
  Interceptors.CircuitBreakers.layerMemory,
  Interceptors.RetryBudget.layerMemory()
)

describe("a key function", () => {
  for (const [what, noKey] of Object.entries(noKeys)) {
    it.effect(`${what} denies the stage, and nothing else happens`, () =>
      Effect.gen(function*() {
        let calls = 0
        const stage = Stage.work("stage", { run: Effect.sync(() => void calls++) })
        const key = noKey as Interceptors.Key
        const interceptors = [
          Interceptors.bulkhead({ name: "db", permits: 1, key }),
          Interceptors.rateLimit({ limit: 1, window: "1 minute", key }),
          Interceptors.rateLimit({ limit: 1, window: "1 minute", onExceeded: "delay", key }),
          Interceptors.cache({ ttl: "1 minute", of: () => "", key }),
          Interceptors.cache({ ttl: "1 minute", of: key }),
          Interceptors.circuitBreaker({ key }),
          Interceptors.retryWithinBudget({}, { key })
        ]
        for (const interceptor of interceptors) {
          const pipeline = Pipeline.make("p").add(stage).pipe(Pipeline.intercept(interceptor))
          const { error } = yield* Effect.flip(Pipeline.run(pipeline, Snapshot.make()))
          assert(error instanceof Interceptors.KeyFailed, interceptor.name)
          assert.strictEqual(error.interceptor, interceptor.name)
        }
        // A rejection that nobody hears would end the process.
        yield* Effect.promise(() => new Promise((resolve) => setImmediate(resolve)))
        assert.strictEqual(calls, 0)
      }).pipe(Effect.provide(services)))
  }
})
