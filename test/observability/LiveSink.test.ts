import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Layer, Scope, Stream } from "effect"
import { TestClock } from "effect/testing"
import { type Event, EventSink } from "stageflow"
import { LiveSink } from "stageflow/observability"
import { event, logged, numbers, settled } from "./support/events.ts"

const offer = (from: number, to: number) =>
  Effect.map(EventSink.EventSink, (sink) => numbers(from, to).forEach((number) => sink.offer(event(number))))

/** Subscribes, and keeps what comes in `got`. */
const subscribed = Effect.fnUntraced(function*(got: Array<number>, wait: Effect.Effect<void> = Effect.void) {
  const { events } = yield* LiveSink.LiveEvents
  const take = ({ sequence }: Event.Event) => Effect.andThen(Effect.sync(() => got.push(sequence)), wait)
  const fiber = yield* Effect.forkChild(Stream.runForEach(Stream.rechunk(events, 1), take))
  yield* settled
  return fiber
})

describe("LiveSink", () => {
  it.effect("streams what comes to every subscriber, from when it came", () =>
    Effect.gen(function*() {
      const [one, two]: [Array<number>, Array<number>] = [[], []]
      yield* subscribed(one)
      yield* offer(1, 2)
      yield* subscribed(two)
      yield* offer(3, 4)
      yield* settled
      assert.deepStrictEqual([one, two], [[1, 2, 3, 4], [3, 4]])
    }).pipe(Effect.provide(LiveSink.layer())))

  it.effect("replays the last events to who comes later", () =>
    Effect.gen(function*() {
      const got: Array<number> = []
      yield* offer(1, 5)
      yield* subscribed(got)
      yield* offer(6, 6)
      yield* settled
      assert.deepStrictEqual(got, [3, 4, 5, 6])
    }).pipe(Effect.provide(LiveSink.layer({ replay: 3 }))))

  it.effect("ends its streams when it is closed, with what was not read yet", () =>
    Effect.gen(function*() {
      const got: Array<number> = []
      const scope = yield* Scope.make()
      const live = yield* Layer.buildWithScope(LiveSink.layer(), scope)
      const fiber = yield* subscribed(got, Effect.sleep("1 second")).pipe(Effect.provideContext(live))
      yield* offer(1, 3).pipe(Effect.provideContext(live))
      yield* Scope.close(scope, Exit.void)
      yield* TestClock.adjust("3 seconds")
      yield* Fiber.join(fiber)
      assert.deepStrictEqual(got, [1, 2, 3])
    }))

  it.effect("a slow subscriber loses its oldest events, which are counted and reported; another loses none", () =>
    Effect.gen(function*() {
      const lines: Array<string> = []
      const [slow, fast]: [Array<number>, Array<number>] = [[], []]
      yield* Effect.gen(function*() {
        const { missed } = yield* LiveSink.LiveEvents
        const fiber = yield* subscribed(slow, Effect.sleep("1 second"))
        yield* subscribed(fast)
        yield* offer(1, 1)
        yield* settled
        yield* offer(2, 3)
        yield* settled
        yield* offer(4, 5)
        yield* settled
        yield* TestClock.adjust("10 seconds")
        assert.deepStrictEqual(fast, [1, 2, 3, 4, 5])
        assert.deepStrictEqual(slow, [1, 4, 5])
        assert.strictEqual(yield* missed, 2)
        yield* Fiber.interrupt(fiber)
      }).pipe(logged(lines), Effect.provide(LiveSink.layer({ capacity: 2 })))
      assert.deepStrictEqual(lines, ["Warn: A subscriber of events was too slow and missed 2 event(s)"])
    }))
})
