import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Fiber, Scheduler } from "effect"
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
  for (const algorithm of ["token-bucket", "fixed-window", "sliding-window"] as const) {
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

  /** How many of those that ask at these times (in milliseconds) are admitted, time by time. */
  const admitted = Effect.fnUntraced(function*(
    settings: Parameters<typeof Interceptors.rateLimit>[0],
    asked: ReadonlyArray<readonly [at: number, times: number]>
  ) {
    const { stage, state } = counted()
    const ask = Effect.exit(Pipeline.run(limited(stage, settings), Snapshot.make()))
    const found: Array<number> = []
    let now = 0
    for (const [at, times] of asked) {
      yield* TestClock.adjust(at - now)
      now = at
      const before = state.calls
      yield* Effect.all(Array.from({ length: times }, () => ask), { concurrency: "unbounded" })
      found.push(state.calls - before)
    }
    return found
  })
  const perSecond = (limit: number, algorithm: "token-bucket" | "fixed-window" | "sliding-window") =>
    ({ limit, window: "1 second", algorithm }) as const

  it.effect("a fixed window lasts as long as it says, from the first that it admits", () =>
    Effect.gen(function*() {
      const asked = [[0, 9], [899, 10], [900, 10], [999, 10], [1000, 20], [1999, 1], [2000, 1], [2500, 20]] as const
      assert.deepStrictEqual(yield* admitted(perSecond(10, "fixed-window"), asked), [9, 1, 0, 0, 10, 0, 1, 9])
    }).pipe(Effect.provide(Interceptors.RateLimits.layerMemory)))

  it.effect("a fixed window opens when it is needed: one that nobody used does not count", () =>
    Effect.gen(function*() {
      const asked = [[0, 1], [5400, 10], [6399, 1], [6400, 20]] as const
      assert.deepStrictEqual(yield* admitted(perSecond(10, "fixed-window"), asked), [1, 10, 0, 10])
    }).pipe(Effect.provide(Interceptors.RateLimits.layerMemory)))

  it.effect("on both sides of its end a fixed window admits up to twice the limit, as documented; a sliding one does not", () =>
    Effect.gen(function*() {
      const asked = [[0, 1], [990, 10], [1000, 10], [1990, 10], [2000, 10]] as const
      assert.deepStrictEqual(yield* admitted(perSecond(10, "fixed-window"), asked), [1, 9, 10, 0, 10])
      const sliding = [[3000, 1], [3990, 10], [4000, 10], [4989, 10], [4990, 20]] as const
      assert.deepStrictEqual(yield* admitted(perSecond(10, "sliding-window"), sliding), [1, 9, 1, 0, 9])
    }).pipe(Effect.provide(Interceptors.RateLimits.layerMemory)))

  it.effect("a token bucket lets a burst through and refills evenly, to no more than the burst", () =>
    Effect.gen(function*() {
      const asked = [[0, 20], [99, 1], [100, 2], [450, 20], [500, 20], [10_000, 50]] as const
      assert.deepStrictEqual(yield* admitted(perSecond(10, "token-bucket"), asked), [10, 0, 1, 3, 1, 10])
    }).pipe(Effect.provide(Interceptors.RateLimits.layerMemory)))

  // What holds whenever they come: as many in any span of a second as are promised.
  const promised = { "token-bucket": 2 * 7, "fixed-window": 2 * 7, "sliding-window": 7 } as const
  for (const [algorithm, most] of Object.entries(promised) as ReadonlyArray<[keyof typeof promised, number]>) {
    it.effect(`no span of a second has more than promised, and none is refused that fits (${algorithm})`, () =>
      Effect.gen(function*() {
        const asked: Array<readonly [at: number, times: number]> = []
        for (let at = 0, step = 0; step < 400; step++) {
          at += [1, 7, 13, 90, 143, 400, 1000][step * 7919 % 7] ?? 0
          asked.push([at, step * 31 % 9])
        }
        const found = yield* admitted(perSecond(7, algorithm), asked)
        const starts = asked.flatMap(([at], index) => Array.from({ length: found[index] ?? 0 }, () => at))
        for (const start of starts) {
          const inSecond = starts.filter((at) => at >= start && at < start + 1000).length
          assert.isAtMost(inSecond, most, `from ${start}`)
        }
        for (const [index, [at, times]] of asked.entries()) {
          if ((found[index] ?? 0) === times) continue
          const before = starts.filter((start) => start > at - 1000 && start <= at).length
          assert.isAtLeast(before, 7, `refused at ${at}`)
        }
      }).pipe(Effect.provide(Interceptors.RateLimits.layerMemory)))
  }

  for (const algorithm of ["token-bucket", "fixed-window", "sliding-window"] as const) {
    it.effect(`retryAfter is when there is room again, and not a moment before (${algorithm})`, () =>
      Effect.gen(function*() {
        for (const [limit, window] of [[1, 1000], [3, 1000], [7, 60_000], [1000, 1000]] as const) {
          const { stage } = counted()
          const pipeline = limited(stage, { limit, window, algorithm })
          const ask = Effect.result(Pipeline.run(pipeline, Snapshot.make({ orgId: `${limit} in ${window}` })))
          for (let time = 0; time < limit; time++) assert.strictEqual((yield* ask)._tag, "Success")
          for (let round = 0; round < 5; round++) {
            const refused = yield* ask
            assert(refused._tag === "Failure" && refused.failure.error instanceof Interceptors.RateLimited)
            const wait = Duration.toMillis(refused.failure.error.retryAfter)
            assert.isAtLeast(wait, 1)
            yield* TestClock.adjust(wait - 1)
            assert.strictEqual((yield* ask)._tag, "Failure")
            yield* TestClock.adjust(1)
            let admittedNow = 0
            while ((yield* ask)._tag === "Success") admittedNow++
            assert.isAtLeast(admittedNow, 1)
          }
        }
      }).pipe(Effect.provide(Interceptors.RateLimits.layerMemory)))

    it.effect(`a clock on the wall that is set back or ahead changes nothing (${algorithm})`, () =>
      Effect.gen(function*() {
        yield* TestClock.setTime(1_000_000_000)
        const { stage, state } = counted()
        const pipeline = limited(stage, { limit: 2, window: "1 second", algorithm })
        const askOften = Effect.all(
          Array.from({ length: 5 }, () => Effect.exit(Pipeline.run(pipeline, Snapshot.make())))
        )
        yield* askOften
        assert.strictEqual(state.calls, 2)
        yield* TestClock.setTime(1000)
        yield* askOften
        assert.strictEqual(state.calls, 2, "set back, it is no later")
        yield* TestClock.adjust("1 second")
        yield* askOften
        assert.strictEqual(state.calls, 4, "set back, it goes on")
      }).pipe(Effect.provide(Interceptors.RateLimits.layerMemory)))

    it.effect(`a window without an end admits its limit once (${algorithm})`, () =>
      Effect.gen(function*() {
        const asked = [[0, 2], [1_000_000, 5], [100_000_000, 5]] as const
        assert.deepStrictEqual(yield* admitted({ limit: 3, window: Infinity, algorithm }, asked), [2, 1, 0])
      }).pipe(Effect.provide(Interceptors.RateLimits.layerMemory)))
  }

  it.effect("an interruption at any step of a waiter leaves its place to the next", () =>
    Effect.gen(function*() {
      for (let step = 0; step < 60; step++) {
        const { stage, state } = counted()
        const pipeline = limited(stage, { limit: 1, window: "1 second", onExceeded: "delay" })
        const start = (inputText: string) => Effect.forkChild(Pipeline.run(pipeline, Snapshot.make({ inputText })))
        yield* start("first")
        const second = yield* Effect.provideService(start("second"), Scheduler.MaxOpsBeforeYield, 3)
        const waiting = step % 2 === 0
        if (waiting) yield* TestClock.adjust("999 millis")
        for (let time = 0; time < step; time++) yield* Effect.yieldNow
        yield* Fiber.interrupt(second)
        const third = yield* start("third")
        yield* TestClock.adjust("3 seconds")
        assert.strictEqual(third.pollUnsafe()?._tag, "Success", `step ${step}`)
        assert.strictEqual(state.order.at(-1), "third")
      }
    }).pipe(Effect.provide(Interceptors.RateLimits.layerMemory)))

  it("checks its options where they are given", () => {
    assert.throws(() => Interceptors.rateLimit({ limit: 0, window: "1 second" }), /limit/)
    assert.throws(() => Interceptors.rateLimit({ limit: 1, window: -1 }), /window/)
  })
})
