import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit, Fiber, Schedule, Schema, Stream } from "effect"
import { TestClock } from "effect/testing"
import { Pipeline, Snapshot, Stage } from "stageflow"
import { ChunkQueue, StreamSignal } from "stageflow/streaming"
import { Simulation } from "stageflow/testing"
import { forCounts } from "./support/counts.ts"

/** Takes one chunk every so many milliseconds. */
const slowly = (millis: number) => Stream.mapEffect((chunk: number) => Effect.as(Effect.sleep(millis), chunk))

/** What an Effect gives in virtual time. */
const simulated = <A, E>(effect: Effect.Effect<A, E>) => Effect.flatMap(Simulation.simulate(effect), ({ exit }) => exit)

describe("ChunkQueue.buffer", () => {
  it.effect("never holds more than its capacity, ten times faster or not, and loses nothing", () =>
    Effect.gen(function*() {
      let [made, read, most] = [0, 0, 0]
      const source = Stream.range(1, 50).pipe(
        Stream.rechunk(1),
        Stream.tap(() => Effect.andThen(Effect.sleep(1), Effect.sync(() => void made++)))
      )
      const all = yield* simulated(source.pipe(
        ChunkQueue.buffer({ capacity: 5 }),
        slowly(10),
        Stream.tap(() =>
          Effect.sync(() => {
            read++
            most = Math.max(most, made - read)
          })
        ),
        Stream.runCollect
      ))
      assert.deepStrictEqual(all, Array.from({ length: 50 }, (_, index) => index + 1))
      // Five in the queue, and one in the hand of the producer.
      assert.strictEqual(most, 6)
    }))

  it.effect("drops the oldest or the newest, as said", () =>
    Effect.gen(function*() {
      const source = Stream.fromIterable([1, 2, 3, 4, 5, 6])
      const read = (overflow: "drop-oldest" | "drop-newest") =>
        simulated(source.pipe(ChunkQueue.buffer({ capacity: 2, overflow }), slowly(10), Stream.runCollect))
      assert.deepStrictEqual((yield* read("drop-oldest")).slice(-2), [5, 6])
      assert.deepStrictEqual((yield* read("drop-newest")).slice(0, 2), [1, 2])
    }))

  it.effect("gives what came before a failure, and then the failure", () =>
    Effect.gen(function*() {
      const read: Array<number> = []
      const source = Stream.concat(Stream.make(1, 2, 3), Stream.fail("broken"))
      const exit = yield* source.pipe(
        ChunkQueue.buffer({ capacity: 10 }),
        Stream.runForEach((chunk) => Effect.sync(() => void read.push(chunk))),
        Effect.exit
      )
      assert.deepStrictEqual([read, exit], [[1, 2, 3], Exit.fail("broken")])
    }))

  it.effect("stops its producer when the reader ends early, dies or is interrupted", () =>
    Effect.gen(function*() {
      for (const end of [Stream.take(1), Stream.mapEffect(() => Effect.die("reader")), slowly(1e9)]) {
        let stopped = 0
        const source = Stream.forever(Stream.make(1)).pipe(
          Stream.ensuring(Effect.sync(() => void stopped++))
        )
        const reading = source.pipe(ChunkQueue.buffer({ capacity: 3 }), end, Stream.runDrain)
        const fiber = yield* Effect.forkChild(Effect.exit(reading), { startImmediately: true })
        yield* Effect.yieldNow
        yield* TestClock.adjust(1)
        yield* Fiber.interrupt(fiber)
        assert.strictEqual(stopped, 1)
      }
    }))

  it.effect("passes 200,000 chunks on", () =>
    Effect.gen(function*() {
      const sum = yield* Stream.range(1, 200_000).pipe(
        ChunkQueue.buffer({ capacity: 8 }),
        Stream.runFold(() => 0, (sum, chunk) => sum + chunk)
      )
      assert.strictEqual(sum, 200_000 * 200_001 / 2)
    }))
})

describe("ChunkQueue.make", () => {
  it.effect("frees who waits for room when it ends, and who waits for a chunk", () =>
    Effect.gen(function*() {
      const queue = yield* ChunkQueue.make<number>({ capacity: 1 })
      assert.isTrue(yield* queue.offer(1))
      const offering = yield* Effect.forkChild(queue.offer(2), { startImmediately: true })
      yield* queue.end
      assert.isFalse(yield* Fiber.join(offering))
      assert.isFalse(yield* queue.offer(3))
      assert.strictEqual(yield* queue.take, 1)
      const readers = yield* Effect.all([Effect.exit(queue.take), Effect.exit(queue.take)], { concurrency: 2 })
      for (const exit of readers) assert.deepStrictEqual(exit, Exit.fail(Cause.Done()))
      assert.deepInclude(yield* queue.stats, { accepted: 1, delivered: 1, dropped: 0, size: 0, blocked: 1 })
    }).pipe(Effect.scoped))

  it.effect("closing its scope frees them, too", () =>
    Effect.gen(function*() {
      const queue = yield* Effect.scoped(Effect.gen(function*() {
        const queue = yield* ChunkQueue.make<number>({ capacity: 1 })
        const taking = yield* Effect.forkDetach(Effect.exit(queue.take), { startImmediately: true })
        return { ...queue, taking }
      }))
      assert.deepStrictEqual(yield* Fiber.join(queue.taking), Exit.fail(Cause.Done()))
    }))

  it.effect("an interrupted producer leaves nothing in it", () =>
    Effect.gen(function*() {
      const queue = yield* ChunkQueue.make<string>({ capacity: 1 })
      yield* queue.offer("a")
      const blocked = yield* Effect.forkChild(queue.offer("lost"), { startImmediately: true })
      yield* Fiber.interrupt(blocked)
      assert.strictEqual(yield* queue.take, "a")
      assert.deepInclude(yield* queue.stats, { accepted: 1, delivered: 1, size: 0 })
    }).pipe(Effect.scoped))

  it.effect(
    "what was accepted is delivered, dropped or waits, whoever is interrupted",
    () =>
      forCounts(({ capacity, chunks, consumers, interrupt, overflow, producers }) =>
        Effect.gen(function*() {
          const taken: Array<number> = []
          let accepted = 0
          const queue = yield* ChunkQueue.make<number>({ capacity, overflow })
          const producer = Effect.forEach(
            Array.from({ length: chunks }, (_, index) => index),
            (chunk) =>
              Effect.andThen(
                Effect.sleep(chunk % 3),
                Effect.map(queue.offer(chunk), (isIn) => void (accepted += +isIn))
              )
          )
          const consumer = Effect.forever(
            Effect.andThen(Effect.map(queue.take, (chunk) => void taken.push(chunk)), Effect.sleep(2))
          )
          const all = yield* Effect.forEach(
            [...Array(producers).fill(producer), ...Array(consumers).fill(consumer)] as ReadonlyArray<typeof producer>,
            (each) => Effect.forkChild(each)
          )
          yield* Effect.sleep(interrupt)
          yield* Fiber.interruptAll(all.slice(0, Math.ceil(all.length / 2)))
          yield* Effect.sleep(10)
          yield* Fiber.interruptAll(all)
          const stats = yield* queue.stats
          assert.strictEqual(stats.accepted, accepted)
          assert.strictEqual(stats.delivered, taken.length)
          assert.strictEqual(stats.accepted, stats.delivered + stats.dropped + stats.size)
          assert.isAtMost(stats.highWater, capacity)
        }).pipe(Effect.scoped, simulated)
      ),
    60_000
  )

  it("refuses settings that cannot be", () => {
    const wrong: ReadonlyArray<readonly [settings: object, option: string]> = [
      [{ capacity: 0 }, "capacity"],
      [{ capacity: Number.NaN }, "capacity"],
      [{ capacity: "100" }, "capacity"],
      [{ overflow: "drop" }, "overflow"],
      [{ highWater: 2 }, "highWater"],
      [{ highWater: 0.1, lowWater: 0.5 }, "lowWater"],
      [{ onSignal: true }, "onSignal"],
      [{ size: 1 }, "size"]
    ]
    for (const [settings, option] of wrong) {
      assert.throws(() => ChunkQueue.make(settings), new RegExp(`Invalid option "${option}"`))
      assert.throws(() => ChunkQueue.buffer(Stream.empty, settings), new RegExp(`Invalid option "${option}"`))
    }
  })
})

describe("its signals", () => {
  const collected = Effect.fnUntraced(function*(settings: ChunkQueue.Settings) {
    const signals: Array<StreamSignal.StreamSignal> = []
    yield* simulated(
      Stream.range(1, 12).pipe(
        Stream.rechunk(1),
        ChunkQueue.buffer({
          ...settings,
          capacity: 4,
          onSignal: (signal) => Effect.sync(() => void signals.push(signal))
        }),
        slowly(10),
        Stream.runDrain
      )
    )
    return signals
  })

  it.effect("tell who waited and for how long, pressure once, and the numbers at the end", () =>
    Effect.gen(function*() {
      const signals = yield* collected({})
      const tags = signals.map(({ _tag }) => _tag)
      assert.strictEqual(tags.filter((tag) => tag === "ThrottleStarted").length, 1)
      assert.strictEqual(tags.filter((tag) => tag === "ThrottleEnded").length, 1)
      const waits = signals.flatMap((signal) => signal._tag === "ProducerBlocked" ? [signal.blockedMs] : [])
      const closed = signals.at(-1)
      assert.deepInclude(closed, { _tag: "QueueClosed", accepted: 12, delivered: 12, dropped: 0, highWater: 4 })
      assert.deepInclude(closed, { blocked: waits.length, blockedMs: waits.reduce((sum, wait) => sum + wait, 0) })
      assert.isAbove(waits.length, 3)
    }))

  it.effect("count what is dropped", () =>
    Effect.gen(function*() {
      const signals = yield* collected({ overflow: "drop-oldest" })
      const dropped = signals.filter(({ _tag }) => _tag === "ChunkDropped")
      assert.deepStrictEqual(dropped.at(-1), {
        _tag: "ChunkDropped",
        reason: "oldest",
        capacity: 4,
        dropped: dropped.length
      })
      assert.deepInclude(signals.at(-1), { accepted: 12, delivered: 12 - dropped.length, dropped: dropped.length })
    }))

  it.effect("change nothing when their listener dies, or hangs", () =>
    Effect.gen(function*() {
      for (const onSignal of [() => Effect.die("listener"), () => Effect.never]) {
        const read = yield* simulated(
          Stream.range(1, 12).pipe(
            ChunkQueue.buffer({ capacity: 1, onSignal }),
            Stream.runCollect
          )
        )
        assert.strictEqual(read.length, 12)
      }
    }))

  it.effect("are events of the run, with the names that the docs say", () =>
    Effect.gen(function*() {
      const stage = Stage.work("speak", {
        output: Schema.Struct({ count: Schema.Number }),
        run: Stream.range(1, 9).pipe(
          Stream.schedule(Schedule.spaced(1)),
          ChunkQueue.buffer({ capacity: 2, overflow: "drop-newest", onSignal: StreamSignal.emit }),
          slowly(5),
          Stream.runCount,
          Effect.map((count) => ({ count }))
        )
      })
      const { events } = yield* Simulation.run(Pipeline.make("p").add(stage), Snapshot.make())
      const emitted = events.flatMap((event) => event._tag === "StageEmitted" ? [event.type] : [])
      assert.includeMembers(emitted, ["stream.chunk_dropped", "stream.throttle_started", "stream.queue_closed"])
    }))
})
