import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import { Pipeline, RunResult, Snapshot, Stage } from "stageflow"
import * as Interceptors from "stageflow/interceptors"

const counted = () => {
  const state = { calls: 0, order: [] as Array<string> }
  const stage = Stage.work("call", {
    run: Effect.gen(function*() {
      const { inputText } = yield* Snapshot.current
      state.calls++
      state.order.push(inputText ?? "")
    })
  })
  return { state, stage }
}

const limited = (
  stage: ReturnType<typeof counted>["stage"],
  settings: Parameters<typeof Interceptors.rateLimit>[0]
) => Pipeline.make("p").add(stage).pipe(Pipeline.intercept(Interceptors.rateLimit(settings)))

describe("R27 a rate limiter loses nobody", () => {
  for (const algorithm of ["token-bucket", "fixed-window"] as const) {
    it.effect(`accepted and rejected add up to what was asked (${algorithm})`, () =>
      Effect.gen(function*() {
        const { stage, state } = counted()
        const pipeline = limited(stage, { limit: 10, window: "1 second", algorithm })
        const exits = yield* Effect.forEach(
          Array.from({ length: 35 }),
          () => Effect.result(Pipeline.run(pipeline, Snapshot.make())),
          { concurrency: "unbounded" }
        )
        const rejected = exits.filter((exit) => exit._tag === "Failure")
        assert.strictEqual(exits.length - rejected.length, 10)
        assert.strictEqual(rejected.length, 25)
        assert.strictEqual(state.calls, 10)
        for (const { failure } of rejected) {
          assert(failure instanceof RunResult.StageFailed && failure.error instanceof Interceptors.RateLimited)
          assert.strictEqual(failure.error.limit, 10)
        }
      }).pipe(Effect.provide(Interceptors.RateLimits.layerMemory)))
  }

  it.effect("waiters start in the order in which they came, none too early, none never", () =>
    Effect.gen(function*() {
      const { stage, state } = counted()
      const pipeline = limited(stage, { limit: 2, window: "1 second", onExceeded: "delay" })
      const names = Array.from({ length: 10 }, (_, index) => `run ${index}`)
      const runs = yield* Effect.forEach(names, (inputText) =>
        Effect.forkChild(Pipeline.run(pipeline, Snapshot.make({ inputText })), { startImmediately: true }))
      assert.strictEqual(state.calls, 2)
      for (let second = 1; second <= 4; second++) {
        yield* TestClock.adjust("1 second")
        assert.strictEqual(state.calls, Math.min(10, 2 + 2 * second))
      }
      yield* Effect.forEach(runs, Fiber.join)
      assert.deepStrictEqual(state.order, names)
    }).pipe(Effect.provide(Interceptors.RateLimits.layerMemory)))

  it.effect("an interrupted waiter frees its place", () =>
    Effect.gen(function*() {
      const { stage, state } = counted()
      const pipeline = limited(stage, { limit: 1, window: "1 second", onExceeded: "delay" })
      const start = (inputText: string) =>
        Effect.forkChild(Pipeline.run(pipeline, Snapshot.make({ inputText })), { startImmediately: true })
      yield* start("first")
      const second = yield* start("second")
      const third = yield* start("third")
      const fourth = yield* start("fourth")
      yield* Fiber.interrupt(second)
      yield* Fiber.interrupt(third)
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(fourth)
      assert.deepStrictEqual(state.order, ["first", "fourth"])
    }).pipe(Effect.provide(Interceptors.RateLimits.layerMemory)))

  it.effect("tenants have limits of their own", () =>
    Effect.gen(function*() {
      const { stage, state } = counted()
      const pipeline = limited(stage, { limit: 1, window: "1 second" })
      yield* Pipeline.run(pipeline, Snapshot.make({ orgId: "a" }))
      yield* Pipeline.run(pipeline, Snapshot.make({ orgId: "b" }))
      const error = yield* Effect.flip(Pipeline.run(pipeline, Snapshot.make({ orgId: "a" })))
      assert.strictEqual(error.error._tag, "RateLimited")
      assert.strictEqual(state.calls, 2)
    }).pipe(Effect.provide(Interceptors.RateLimits.layerMemory)))

  it.effect("two limits around one stage count for themselves", () =>
    Effect.gen(function*() {
      const { stage, state } = counted()
      const pipeline = Pipeline.make("p").add(stage).pipe(Pipeline.intercept(
        Interceptors.rateLimit({ limit: 10, window: "1 second", algorithm: "fixed-window" }),
        Interceptors.rateLimit({ limit: 12, window: "1 hour", algorithm: "fixed-window" })
      ))
      const ask = Effect.exit(Pipeline.run(pipeline, Snapshot.make()))
      for (let time = 0; time < 11; time++) yield* ask
      assert.strictEqual(state.calls, 10, "10 in a second")
      yield* TestClock.adjust("1 second")
      for (let time = 0; time < 11; time++) yield* ask
      assert.strictEqual(state.calls, 12, "12 in an hour")
    }).pipe(Effect.provide(Interceptors.RateLimits.layerMemory)))

  it("checks its options where they are given", () => {
    assert.throws(() => Interceptors.rateLimit({ limit: 0, window: "1 second" }), /limit/)
    assert.throws(() => Interceptors.rateLimit({ limit: 1, window: -1 }), /window/)
  })
})
