/**
 * What is remembered for a key goes when it says nothing any more: the keys of a service are without end.
 */
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect } from "effect"
import { TestClock } from "effect/testing"
import * as Interceptors from "stageflow/interceptors"
import { heapInUse } from "../acceptance/support/memory.ts"

const keys = 100_000

const inUse = Effect.promise(heapInUse)

/** How many bytes are kept for each key when it was used just now, and when it was not used for a minute. */
const kept = <E, R>(use: (key: string) => Effect.Effect<unknown, E, R>, useOther = use) =>
  Effect.gen(function*() {
    const useAll = (name: string) =>
      Effect.forEach(Array.from({ length: keys }, (_, index) => index), (index) => use(`${name} ${index}`), {
        discard: true
      })
    yield* useAll("warm-up")
    yield* TestClock.adjust("1 minute")
    yield* useOther("another")
    const before = yield* inUse
    yield* useAll("key")
    const during = yield* inUse
    yield* TestClock.adjust("1 minute")
    yield* useOther("another")
    const after = yield* inUse
    return { during: (during - before) / keys, after: (after - before) / keys }
  })

const asked = (
  algorithm: "token-bucket" | "fixed-window" | "sliding-window",
  window: Duration.Input
) =>
(key: string) => ({ algorithm, limit: 10, window: Duration.fromInputUnsafe(window), key, stage: "stage" })

const clock = Effect.provide(TestClock.layer())

describe("100,000 keys", () => {
  for (const algorithm of ["token-bucket", "fixed-window", "sliding-window"] as const) {
    const rate = asked(algorithm, "1 minute")
    it.live(`of a rate limit (${algorithm})`, () =>
      Effect.gen(function*() {
        const limits = yield* Interceptors.RateLimits
        const { after, during } = yield* kept((key) => limits.admit(rate(key)))
        assert.isAbove(during, 50)
        assert.isBelow(after, 10)
      }).pipe(Effect.provide(Interceptors.RateLimits.layerMemory), clock))
  }

  it.live("of a rate limit that makes them wait", () =>
    Effect.gen(function*() {
      const limits = yield* Interceptors.RateLimits
      const { after } = yield* kept((key) => limits.await(asked("token-bucket", "1 minute")(key)))
      assert.isBelow(after, 10)
    }).pipe(Effect.provide(Interceptors.RateLimits.layerMemory), clock))

  it.live("of a rate limit, while another one with another window is in use", () =>
    Effect.gen(function*() {
      const limits = yield* Interceptors.RateLimits
      const rate = asked("token-bucket", "1 minute")
      const other = asked("fixed-window", "1 second")
      const { after } = yield* kept((key) => limits.admit(rate(key)), (key) => limits.admit(other(key)))
      assert.isBelow(after, 10)
    }).pipe(Effect.provide(Interceptors.RateLimits.layerMemory), clock))

  it.live("of a retry budget", () =>
    Effect.gen(function*() {
      const budget = yield* Interceptors.RetryBudget
      const { after, during } = yield* kept((key) => Effect.andThen(budget.started(key), budget.granted(key)))
      assert.isAbove(during, 50)
      assert.isBelow(after, 10)
    }).pipe(Effect.provide(Interceptors.RetryBudget.layerMemory({ window: "1 minute" })), clock))

  it.live("of a bulkhead", () =>
    Effect.gen(function*() {
      const { within } = yield* Interceptors.Bulkheads
      const place = { name: "db", permits: 1, queue: 1, onFull: Effect.fail("full") } as const
      const { after } = yield* kept((key) => within({ ...place, key }, Effect.void))
      assert.isBelow(after, 10)
    }).pipe(Effect.provide(Interceptors.Bulkheads.layerMemory), clock))

  it.live("of a circuit breaker", () =>
    Effect.gen(function*() {
      const { within } = yield* Interceptors.CircuitBreakers
      const circuit = { stage: "stage", failures: 2, openFor: Duration.minutes(1) }
      const { after, during } = yield* kept((key) => within({ ...circuit, key }, Effect.void, () => "success"))
      assert.isAbove(during, 50)
      assert.isBelow(after, 10)
    }).pipe(Effect.provide(Interceptors.CircuitBreakers.layerMemory), clock))

  it.live("of a circuit breaker, with a failure before", () =>
    Effect.gen(function*() {
      const { within } = yield* Interceptors.CircuitBreakers
      const circuit = { stage: "stage", failures: 2, openFor: Duration.minutes(1) }
      const { after } = yield* kept((key) =>
        Effect.forEach(["failure", "success"] as const, (verdict) =>
          within({ ...circuit, key }, Effect.void, () => verdict))
      )
      assert.isBelow(after, 10)
    }).pipe(Effect.provide(Interceptors.CircuitBreakers.layerMemory), clock))
})
