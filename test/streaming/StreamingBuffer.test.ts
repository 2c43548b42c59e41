import { assert, describe, it } from "@effect/vitest"
import { Cause, Clock, Effect, Exit, Fiber, Stream } from "effect"
import { TestClock } from "effect/testing"
import { Pcm, StreamingBuffer, type StreamSignal } from "stageflow/streaming"
import { Simulation } from "stageflow/testing"
import { forCounts } from "./support/counts.ts"

const audio = (millis: number) => Pcm.tone(Pcm.speech, { hertz: 100, duration: millis })
const bytes = (millis: number) => Pcm.bytesIn(Pcm.speech, millis)

const simulated = <A, E>(effect: Effect.Effect<A, E>) => Effect.flatMap(Simulation.simulate(effect), ({ exit }) => exit)

/** Gives so much audio at these times. */
const arriving = (pieces: ReadonlyArray<readonly [at: number, millis: number]>) =>
  Stream.mapEffect(
    Stream.fromIterable(pieces),
    Effect.fnUntraced(function*([at, millis]) {
      yield* Effect.sleep(Math.max(0, at - (yield* Clock.currentTimeMillis)))
      return audio(millis)
    })
  )

/** When each frame is heard, by a listener who hears in real time. */
const heard = (pieces: ReadonlyArray<readonly [at: number, millis: number]>, settings: StreamingBuffer.Settings = {}) =>
  simulated(Effect.gen(function*() {
    const signals: Array<StreamSignal.StreamSignal> = []
    const times = yield* arriving(pieces).pipe(
      StreamingBuffer.buffer({ ...settings, onSignal: (signal) => Effect.sync(() => void signals.push(signal)) }),
      Pcm.inRealTime,
      Stream.mapEffect((frame) => Effect.map(Clock.currentTimeMillis, (at) => [at, frame.bytes.byteLength] as const)),
      Stream.runCollect
    )
    return { times: times.map(([at]) => at), bytes: times.reduce((sum, [, size]) => sum + size, 0), signals }
  }))

describe("StreamingBuffer.buffer", () => {
  it.effect("starts when its target is held, or when the audio is over before", () =>
    Effect.gen(function*() {
      const late = yield* heard([[0, 100], [50, 80], [90, 20], [200, 100]])
      assert.deepStrictEqual([late.times[0], late.bytes, late.signals], [90, bytes(300), []])
      const short = yield* heard([[10, 45]])
      assert.deepStrictEqual([short.times, short.bytes], [[10, 30, 50], bytes(45)])
    }))

  it.effect("waits for its target again after an underrun, and tells both", () =>
    Effect.gen(function*() {
      const { bytes: all, signals, times } = yield* heard([[0, 200], [1000, 100], [1050, 100]])
      assert.deepStrictEqual(times.slice(9, 12), [180, 1050, 1070])
      assert.strictEqual(all, bytes(400))
      assert.deepStrictEqual(signals, [
        { _tag: "BufferUnderrun", bytesRequested: 640, bytesAvailable: 0, bufferedMs: 0 },
        { _tag: "BufferRecovered", bufferedMs: 200 }
      ])
    }))

  it.effect("gives silence in place of a gap, where that is asked for", () =>
    Effect.gen(function*() {
      const { bytes: all, times } = yield* heard([[0, 200], [401, 200]], { underrun: "silence" })
      assert.deepStrictEqual(times, Array.from({ length: times.length }, (_, index) => index * 20))
      assert.strictEqual(all, bytes(620))
    }))

  it.effect("drops the oldest above its maximum, and says how much", () =>
    Effect.gen(function*() {
      const buffer = yield* StreamingBuffer.make()
      assert.isTrue(yield* buffer.write(audio(5000)))
      const stats = yield* buffer.stats
      assert.deepInclude(stats, {
        accepted: bytes(5000),
        dropped: bytes(3000),
        buffered: bytes(2000),
        bufferedMs: 2000,
        highWaterMs: 2000
      })
      yield* buffer.end
      const frames = yield* Stream.runCollect(buffer.stream)
      assert.deepStrictEqual(
        Buffer.concat(frames.map((frame) => frame.bytes)),
        Buffer.from(audio(5000).bytes.slice(-bytes(2000)))
      )
      // A frame has been played when the first is dropped.
      const { signals } = yield* heard([[0, 5000]])
      assert.deepStrictEqual(signals[0], {
        _tag: "BufferOverflow",
        bytesDropped: bytes(2980),
        bufferedMs: 2000,
        maximumMs: 2000
      })
    }).pipe(Effect.scoped))

  it.effect("makes the producer wait, where that is asked for, and loses nothing", () =>
    Effect.gen(function*() {
      const { bytes: all, signals, times } = yield* heard([[0, 5000]], { overflow: "block" })
      assert.deepStrictEqual([all, times.at(-1)], [bytes(5000), 4980])
      assert.isTrue(signals.some(({ _tag }) => _tag === "ProducerBlocked"))
      assert.isFalse(signals.some(({ _tag }) => _tag === "BufferOverflow"))
    }))

  it.effect("fails for audio of another format, with its number, after the audio before", () =>
    Effect.gen(function*() {
      let played = 0
      const other = Pcm.silence({ ...Pcm.speech, channels: 2 }, "20 millis")
      const error = yield* Stream.make(audio(40), audio(20), other).pipe(
        StreamingBuffer.buffer({}),
        Stream.runForEach((frame) => Effect.sync(() => void (played += frame.bytes.byteLength))),
        Effect.flip
      )
      assert.deepStrictEqual([error.chunk, error.reason._tag, played], [3, "FormatDiffers", bytes(60)])
    }))

  it.effect("stops its producer when the listener goes", () =>
    Effect.gen(function*() {
      let stopped = 0
      const source = Stream.forever(Stream.make(audio(100))).pipe(
        Stream.ensuring(Effect.sync(() => void stopped++))
      )
      for (const overflow of ["block", "drop-oldest"] as const) {
        const count = yield* source.pipe(StreamingBuffer.buffer({ overflow }), Stream.take(30), Stream.runCount)
        assert.strictEqual(count, 30)
      }
      const fiber = yield* Effect.forkChild(
        source.pipe(StreamingBuffer.buffer({ overflow: "block" }), Pcm.inRealTime, Stream.runDrain),
        { startImmediately: true }
      )
      yield* TestClock.adjust("1 second")
      yield* Fiber.interrupt(fiber)
      assert.strictEqual(stopped, 3)
    }))
})

describe("StreamingBuffer.make", () => {
  it.effect("frees who waits for room and who waits for audio when it ends", () =>
    Effect.gen(function*() {
      const buffer = yield* StreamingBuffer.make({ overflow: "block", maximum: "200 millis" })
      const reading = yield* Effect.forkChild(Effect.exit(buffer.read), { startImmediately: true })
      yield* buffer.end
      assert.deepStrictEqual(yield* Fiber.join(reading), Exit.fail(Cause.Done()))
      assert.isFalse(yield* buffer.write(audio(20)))

      const full = yield* StreamingBuffer.make({ overflow: "block", maximum: "200 millis" })
      const writing = yield* Effect.forkChild(full.write(audio(1000)), { startImmediately: true })
      yield* full.end
      assert.isFalse(yield* Fiber.join(writing))
      assert.strictEqual((yield* full.stats).buffered, bytes(200))
    }).pipe(Effect.scoped))

  it.effect(
    "accounts for every byte, whoever is interrupted",
    () =>
      forCounts(({ capacity, chunks, interrupt, overflow }) =>
        Effect.gen(function*() {
          let read = 0
          const buffer = yield* StreamingBuffer.make({ overflow, target: 20, maximum: 20 * capacity })
          const writing = yield* Effect.forkChild(Effect.forEach(
            Array.from({ length: chunks }, (_, index) => index % 7 * 5),
            (millis) => Effect.andThen(Effect.sleep(1), buffer.write(audio(millis)))
          ))
          const reading = yield* Effect.forkChild(Effect.forever(Effect.andThen(
            Effect.map(buffer.read, (frame) => void (read += frame.bytes.byteLength)),
            Effect.sleep(3)
          )))
          yield* Effect.sleep(interrupt)
          yield* Fiber.interrupt(writing)
          yield* Effect.sleep(5)
          yield* Fiber.interrupt(reading)
          const { accepted, buffered, delivered, dropped, highWaterMs } = yield* buffer.stats
          assert.strictEqual(delivered, read)
          assert.strictEqual(accepted, delivered + dropped + buffered)
          assert.isAtMost(highWaterMs, 20 * capacity)
          yield* buffer.end
          yield* Stream.runDrain(buffer.stream)
          const after = yield* buffer.stats
          assert.deepInclude(after, { accepted, dropped, delivered: accepted - dropped, buffered: 0 })
        }).pipe(Effect.scoped, simulated)
      ),
    60_000
  )

  it("refuses settings that cannot be", () => {
    const wrong: ReadonlyArray<readonly [settings: object, option: string]> = [
      [{ target: 0 }, "target"],
      [{ target: Number.NaN }, "target"],
      [{ target: "3 seconds" }, "target"],
      [{ maximum: "100" }, "maximum"],
      [{ frame: "5 seconds" }, "frame"],
      [{ overflow: "drop" }, "overflow"],
      [{ underrun: "noise" }, "underrun"],
      [{ format: { sampleRate: 16_000 } }, "format"],
      [{ capacity: 1 }, "capacity"]
    ]
    for (const [settings, option] of wrong) {
      assert.throws(() => StreamingBuffer.make(settings), new RegExp(`Invalid option "${option}"`))
    }
  })
})
