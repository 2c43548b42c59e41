import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import { Pipeline, Snapshot, Stage } from "stageflow"
import * as Interceptors from "stageflow/interceptors"

const count = 5_000

const counted = () => {
  const state = { calls: 0 }
  const stage = Stage.work("work", {
    run: Effect.gen(function*() {
      const { inputText } = yield* Snapshot.current
      if (inputText === "first") yield* Effect.sleep("1 second")
      state.calls++
    })
  })
  return { state, pipeline: Pipeline.make("p").add(stage) }
}

const startAll = <E, R>(run: (inputText: string) => Effect.Effect<unknown, E, R>) =>
  Effect.forEach(
    Array.from({ length: count }, (_, index) => index === 0 ? "first" : "other"),
    (inputText) => Effect.forkChild(run(inputText), { startImmediately: true })
  )

describe("many who wait go on together", () => {
  it.effect("for a place in a bulkhead", () =>
    Effect.gen(function*() {
      const { pipeline, state } = counted()
      const limited = pipeline.pipe(Pipeline.intercept(
        Interceptors.bulkhead({ name: "one", permits: 1, queue: count })
      ))
      const runs = yield* startAll((inputText) => Pipeline.run(limited, Snapshot.make({ inputText })))
      assert.strictEqual(state.calls, 0)
      yield* TestClock.adjust("1 second")
      yield* Fiber.joinAll(runs)
      assert.strictEqual(state.calls, count)
    }).pipe(Effect.provide(Interceptors.Bulkheads.layerMemory)))

  it.effect("for their turn at a rate limit", () =>
    Effect.gen(function*() {
      const { pipeline, state } = counted()
      const limited = pipeline.pipe(Pipeline.intercept(Interceptors.rateLimit({
        limit: count / 2,
        window: "1 second",
        algorithm: "fixed-window",
        onExceeded: "delay"
      })))
      const runs = yield* startAll(() => Pipeline.run(limited, Snapshot.make()))
      assert.strictEqual(state.calls, count / 2)
      yield* TestClock.adjust("2 seconds")
      yield* Fiber.joinAll(runs)
      assert.strictEqual(state.calls, count)
    }).pipe(Effect.provide(Interceptors.RateLimits.layerMemory)))
})
