import { assert, describe, it } from "@effect/vitest"
import { Data, Deferred, Effect, Exit, Fiber, Schedule, Scope } from "effect"
import { TestClock } from "effect/testing"
import { type Event, EventSink } from "stageflow"
import { BufferedSink, FileSink, LoggerSink, OtlpSink, Sinks, SqlSink } from "stageflow/observability"
import { event, logged, numbers, settled } from "./support/events.ts"

class Down extends Data.TaggedError("Down")<{ readonly message: string }> {}

/** Keeps the batches that it gets, as their numbers. */
class Receiver {
  readonly batches: Array<ReadonlyArray<number>> = []
  readonly take = (events: ReadonlyArray<Event.Event>) =>
    Effect.sync(() => {
      this.batches.push(events.map(({ sequence }) => sequence))
    })
  get all(): ReadonlyArray<number> {
    return this.batches.flat()
  }
}

const offer = (sink: BufferedSink.Buffered, from: number, to: number) =>
  numbers(from, to).forEach((number) => sink.offer(event(number)))

describe("batches", () => {
  it.effect("are delivered when they are full, or when an event has waited for the interval", () =>
    Effect.gen(function*() {
      const receiver = new Receiver()
      const sink = yield* BufferedSink.make(receiver.take, { batchSize: 3, flushInterval: "10 seconds" })
      offer(sink, 1, 7)
      yield* settled
      yield* TestClock.adjust("9999 millis")
      assert.deepStrictEqual(receiver.batches, [[1, 2, 3], [4, 5, 6]])
      yield* TestClock.adjust(1)
      assert.deepStrictEqual(receiver.batches, [[1, 2, 3], [4, 5, 6], [7]])
      assert.deepStrictEqual(yield* sink.delivery, { accepted: 7, delivered: 7, failed: 0, dropped: 0 })
    }))

  it.effect("of analytics: 100 at once, after 10 seconds at the latest", () =>
    Effect.gen(function*() {
      const receiver = new Receiver()
      const sink = yield* BufferedSink.make(receiver.take, BufferedSink.analytics)
      offer(sink, 1, 250)
      yield* settled
      yield* TestClock.adjust("9 seconds")
      assert.deepStrictEqual(receiver.batches.map(({ length }) => length), [100, 100])
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(receiver.all, numbers(1, 250))
      assert.deepInclude(BufferedSink.analytics, { capacity: 10_000, highWater: 0.8 })
    }))

  it.effect("are not waited for by flush, which ends when what waited is delivered", () =>
    Effect.gen(function*() {
      const receiver = new Receiver()
      const sink = yield* BufferedSink.make(
        (events) => Effect.andThen(Effect.sleep("1 second"), receiver.take(events)),
        { batchSize: 10, flushInterval: "1 hour" }
      )
      offer(sink, 1, 12)
      const flush = yield* Effect.forkChild(sink.flush)
      yield* TestClock.adjust("1999 millis")
      assert.isUndefined(flush.pollUnsafe())
      offer(sink, 13, 14)
      yield* TestClock.adjust(1)
      yield* Fiber.join(flush)
      assert.deepStrictEqual(receiver.all.slice(0, 12), numbers(1, 12))
      yield* Effect.all([sink.flush, TestClock.adjust("2 seconds")], { concurrency: "unbounded" })
      assert.deepStrictEqual(receiver.all, numbers(1, 14))
      yield* sink.flush
    }))
})

describe("a full buffer", () => {
  it.effect("drops the newest or the oldest, as it is told, and counts them", () =>
    Effect.gen(function*() {
      for (const [overflow, kept] of [["drop-newest", [1, 2, 3]], ["drop-oldest", [6, 7, 8]]] as const) {
        const receiver = new Receiver()
        yield* Effect.scoped(Effect.gen(function*() {
          const sink = yield* BufferedSink.make(receiver.take, { capacity: 3, overflow, flushInterval: "1 minute" })
          offer(sink, 1, 8)
          assert.deepStrictEqual(yield* sink.delivery, { accepted: 3, delivered: 0, failed: 0, dropped: 5 })
        }))
        assert.deepStrictEqual(receiver.all, kept)
      }
    }))

  it.effect("tells of the pressure once, and of what it dropped when there is room again", () =>
    Effect.gen(function*() {
      const told: Array<BufferedSink.Pressure> = []
      const lines: Array<string> = []
      const gate = yield* Deferred.make<void>()
      yield* Effect.gen(function*() {
        const sink = yield* BufferedSink.make(() => Deferred.await(gate), {
          capacity: 10,
          batchSize: 2,
          flushInterval: 0,
          highWater: 0.8,
          onPressure: (pressure) => Effect.sync(() => told.push(pressure))
        })
        offer(sink, 1, 2)
        yield* settled
        offer(sink, 3, 9)
        yield* settled
        assert.deepStrictEqual(told, [])
        offer(sink, 10, 15)
        yield* settled
        assert.deepStrictEqual(told, [
          { _tag: "HighWater", waiting: 8, capacity: 10 },
          { _tag: "Overflow", capacity: 10 }
        ])
        assert.deepStrictEqual(lines, [])
        yield* Deferred.succeed(gate, undefined)
        yield* settled
        assert.deepStrictEqual(told.slice(2), [{ _tag: "Relieved", dropped: 3 }])
        assert.deepStrictEqual(lines, ["Warn: Event sink: 3 event(s) dropped while its buffer was full"])
        // It begins anew.
        offer(sink, 16, 23)
        yield* settled
        assert.deepStrictEqual(told.slice(3).map(({ _tag }) => _tag), ["HighWater", "Relieved"])
      }).pipe(Effect.scoped, logged(lines))
    }))

  it.effect("is not held up by who is told of it", () =>
    Effect.gen(function*() {
      for (
        const onPressure of [() => Effect.never, () => Effect.die("told"), () => {
          throw new Error("told")
        }]
      ) {
        const receiver = new Receiver()
        const sink = yield* BufferedSink.make(receiver.take, {
          capacity: 2,
          flushInterval: 0,
          onPressure,
          closeTimeout: 0
        })
        offer(sink, 1, 3)
        yield* settled
        assert.deepStrictEqual(receiver.all, [1, 2])
      }
    }))

  it.effect("is closed when all is delivered, though who is told of it hangs", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const sink = yield* Scope.provide(
        BufferedSink.make(() => Effect.void, { capacity: 2, flushInterval: 0, onPressure: () => Effect.never }),
        scope
      )
      offer(sink, 1, 3)
      const closing = yield* Effect.forkChild(Scope.close(scope, Exit.void))
      yield* TestClock.adjust("1 second")
      assert.isDefined(closing.pollUnsafe())
      yield* Fiber.join(closing)
    }).pipe(logged([])))

  it.effect("lets who can wait put its events as soon as there is room, in their order, and loses none", () =>
    Effect.gen(function*() {
      const receiver = new Receiver()
      const sink = yield* BufferedSink.make(
        (events) => Effect.andThen(Effect.sleep("1 second"), receiver.take(events)),
        { capacity: 2, batchSize: 2, flushInterval: 0 }
      )
      const putting = yield* Effect.forkChild(
        Effect.forEach(numbers(1, 9), (number) => sink.put(event(number)), { concurrency: "unbounded" })
      )
      yield* TestClock.adjust("500 millis")
      assert.isUndefined(putting.pollUnsafe())
      yield* TestClock.adjust("10 seconds")
      assert.deepStrictEqual(yield* Fiber.join(putting), numbers(1, 9).map(() => true))
      assert.deepStrictEqual(receiver.all, numbers(1, 9))
    }))

  it.effect("says to who puts that it is closed", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const sink = yield* Scope.provide(BufferedSink.make(() => Effect.never, { capacity: 1, flushInterval: 0 }), scope)
      sink.offer(event(1))
      yield* settled
      sink.offer(event(2))
      const putting = yield* Effect.forkChild(sink.put(event(3)))
      yield* settled
      assert.isUndefined(putting.pollUnsafe())
      const closing = yield* Effect.forkChild(Scope.close(scope, Exit.void))
      yield* TestClock.adjust("10 seconds")
      yield* Fiber.join(closing)
      assert.isFalse(yield* Fiber.join(putting))
      assert.deepStrictEqual(yield* sink.delivery, { accepted: 2, delivered: 0, failed: 2, dropped: 1 })
    }))
})

describe("a batch that fails", () => {
  it.effect("is kept, and delivered again by the schedule; what comes behind it waits", () =>
    Effect.gen(function*() {
      const receiver = new Receiver()
      const tries: Array<ReadonlyArray<number>> = []
      const sink = yield* BufferedSink.make((events) => {
        tries.push(events.map(({ sequence }) => sequence))
        if (tries.length === 1) return Effect.fail(new Down({ message: "" }))
        if (tries.length === 2) throw new Error("down")
        return receiver.take(events)
      }, { batchSize: 2, flushInterval: 0 })
      offer(sink, 1, 4)
      yield* TestClock.adjust("599 millis")
      assert.deepStrictEqual(tries, [[1, 2], [1, 2]])
      yield* TestClock.adjust(1)
      assert.deepStrictEqual(receiver.all, [1, 2, 3, 4])
      assert.deepStrictEqual(yield* sink.delivery, { accepted: 4, delivered: 4, failed: 0, dropped: 0 })
    }))

  it.effect("for good is counted, reported, and given to onFailed; the next is delivered", () =>
    Effect.gen(function*() {
      const receiver = new Receiver()
      const lines: Array<string> = []
      const spilled: Array<number> = []
      yield* Effect.gen(function*() {
        const sink = yield* BufferedSink.make(
          (events) =>
            events[0]?.sequence === 1 ? Effect.fail(new Down({ message: "no route" })) : receiver.take(events),
          {
            batchSize: 2,
            flushInterval: 0,
            retry: Schedule.recurs(1),
            onFailed: (events) => Effect.sync(() => spilled.push(...events.map(({ sequence }) => sequence)))
          }
        )
        offer(sink, 1, 4)
        yield* settled
        assert.deepStrictEqual(yield* sink.delivery, { accepted: 4, delivered: 2, failed: 2, dropped: 0 })
      }).pipe(Effect.scoped, logged(lines))
      assert.deepStrictEqual([receiver.all, spilled], [[3, 4], [1, 2]])
      assert.deepStrictEqual(lines, [
        "Warn: Event sink: 2 event(s) not delivered: Down: no route",
        "Warn: Event sink closed: 0 event(s) dropped, 2 not delivered"
      ])
    }))

  it.effect("in a way that will not change is not delivered again", () =>
    Effect.gen(function*() {
      let tries = 0
      const sink = yield* BufferedSink.make(
        () => Effect.suspend(() => Effect.fail(new Down({ message: `${++tries}` }))),
        {
          flushInterval: 0,
          retryWhile: (error) => !(error instanceof Down)
        }
      )
      sink.offer(event(1))
      yield* TestClock.adjust("1 hour")
      assert.strictEqual(tries, 1)
      assert.deepStrictEqual(yield* sink.delivery, { accepted: 1, delivered: 0, failed: 1, dropped: 0 })
    }))

  it.effect("because it hangs has failed after its time, and the next is delivered", () =>
    Effect.gen(function*() {
      const receiver = new Receiver()
      const sink = yield* BufferedSink.make(
        (events) => events[0]?.sequence === 1 ? Effect.never : receiver.take(events),
        { batchSize: 1, flushInterval: 0, retry: Schedule.recurs(0) }
      )
      offer(sink, 1, 2)
      yield* TestClock.adjust("29 seconds")
      assert.deepStrictEqual(receiver.all, [])
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(receiver.all, [2])
      assert.deepStrictEqual(yield* sink.delivery, { accepted: 2, delivered: 1, failed: 1, dropped: 0 })
    }))

  it.effect("when the sink closes is tried again until the time for closing is over", () =>
    Effect.gen(function*() {
      const lines: Array<string> = []
      let isUp = false
      const receiver = new Receiver()
      const deliver = (events: ReadonlyArray<Event.Event>) =>
        Effect.suspend(() => isUp ? receiver.take(events) : Effect.fail(new Down({ message: "" })))
      const closed = Effect.fnUntraced(function*() {
        const fiber = yield* Effect.forkChild(Effect.scoped(Effect.gen(function*() {
          const sink = yield* BufferedSink.make(deliver, {
            retry: Schedule.spaced("1 second"),
            closeTimeout: "5 seconds"
          })
          offer(sink, 1, 2)
          return sink
        })))
        yield* TestClock.adjust("2500 millis")
        return fiber
      })
      const one = yield* closed()
      isUp = true
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(yield* (yield* Fiber.join(one)).delivery, {
        accepted: 2,
        delivered: 2,
        failed: 0,
        dropped: 0
      })
      isUp = false
      const other = yield* closed().pipe(logged(lines))
      yield* TestClock.adjust("2500 millis")
      assert.deepStrictEqual(yield* (yield* Fiber.join(other)).delivery, {
        accepted: 2,
        delivered: 0,
        failed: 2,
        dropped: 0
      })
      assert.deepStrictEqual(lines, ["Warn: Event sink closed: 0 event(s) dropped, 2 not delivered"])
    }))
})

it.effect("a batch that its receiver changes is delivered again as it was", () =>
  Effect.gen(function*() {
    const batches: Array<ReadonlyArray<number>> = []
    const sink = yield* BufferedSink.make((batch) =>
      Effect.suspend(() => {
        batches.push(batch.map(({ sequence }) => sequence))
        const all = batch as Array<Event.Event>
        all.length = 0
        return Effect.void
      }), { flushInterval: 0, retry: Schedule.recurs(1) })
    offer(sink, 1, 3)
    yield* sink.flush
    assert.deepStrictEqual(batches, [[1, 2, 3], [1, 2, 3]])
    assert.deepInclude(yield* sink.delivery, { delivered: 0, failed: 3 })
  }).pipe(Effect.scoped, logged([])))

describe("settings", () => {
  it("that cannot be are refused where they are given", () => {
    const wrong: ReadonlyArray<BufferedSink.Settings> = [
      { capacity: 0 },
      { batchSize: 1.5 },
      { highWater: 2 },
      { overflow: "block" as never },
      { flushInterval: "-1 second" as never },
      { timeout: 0 },
      { retry: "often" as never },
      { retryWhile: 1 as never },
      { onPressure: 1 as never },
      { onFailed: 1 as never },
      { capcity: 3 } as never
    ]
    for (const settings of wrong) {
      assert.throws(() => BufferedSink.make(() => Effect.void, settings), /Invalid option/, JSON.stringify(settings))
      const others = [
        () => FileSink.layer({ directory: "d", buffer: settings }),
        () => SqlSink.layer({ buffer: settings }),
        () => OtlpSink.layer({ url: "http://localhost", buffer: settings }),
        () => LoggerSink.layer({ buffer: settings }),
        () => Sinks.buffer(EventSink.layerMemory, settings)
      ]
      for (const other of others) assert.throws(other, /Invalid option/, JSON.stringify(settings))
    }
  })
})
