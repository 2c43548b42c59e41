import { assert, describe, it } from "@effect/vitest"
import { Clock, Deferred, Effect, Fiber, Schedule, Stream } from "effect"
import { BargeIn, Pcm } from "stageflow/streaming"
import { Simulation } from "stageflow/testing"

const simulated = <A, E>(effect: Effect.Effect<A, E>) => Effect.flatMap(Simulation.simulate(effect), ({ exit }) => exit)

const frame = Pcm.silence(Pcm.speech, "20 millis")
const loud = Pcm.tone(Pcm.speech, { hertz: 200, duration: "20 millis" })

describe("BargeIn.stopWhen", () => {
  it.effect("gives no chunk after something is heard, and says how many came before", () =>
    simulated(Effect.gen(function*() {
      let stopped: BargeIn.Stopped<string> | undefined
      let cleanedUpAt = -1
      const voice = Stream.forever(Stream.make(frame, frame, frame)).pipe(
        Pcm.inRealTime,
        Stream.ensuring(Effect.map(Clock.currentTimeMillis, (at) => void (cleanedUpAt = at)))
      )
      const times = yield* voice.pipe(
        BargeIn.stopWhen(Effect.as(Effect.sleep(105), "Stop!"), {
          onStopped: (told) => Effect.sync(() => void (stopped = told))
        }),
        Stream.mapEffect(() => Clock.currentTimeMillis),
        Stream.runCollect
      )
      assert.deepStrictEqual(times, [0, 20, 40, 60, 80, 100])
      assert.deepStrictEqual(stopped, { chunks: 6, heard: "Stop!" })
      assert.strictEqual(cleanedUpAt, 105)
    })))

  it.effect("gives nothing of what came together, either", () =>
    Effect.gen(function*() {
      const heard = yield* Deferred.make<void>()
      const read = yield* Stream.range(1, 1000).pipe(
        BargeIn.stopWhen(Deferred.await(heard)),
        Stream.tap((chunk) =>
          chunk === 10 ? Effect.andThen(Deferred.succeed(heard, undefined), Effect.yieldNow) : Effect.void
        ),
        Stream.runCollect
      )
      assert.deepStrictEqual(read.length, 10)
    }))

  it.effect("interrupts what listens when the voice ends by itself, and says nothing", () =>
    Effect.gen(function*() {
      let [interrupted, told] = [0, 0]
      const listening = Effect.onInterrupt(Effect.never, () => Effect.sync(() => void interrupted++))
      const read = yield* Stream.make(1, 2).pipe(
        BargeIn.stopWhen(listening, { onStopped: () => Effect.sync(() => void told++) }),
        Stream.runCollect
      )
      assert.deepStrictEqual([read, interrupted, told], [[1, 2], 1, 0])
    }))

  it.effect("leaves nothing running when it is interrupted, and fails when listening does", () =>
    Effect.gen(function*() {
      let ended = 0
      const counted = Effect.onExit(Effect.never, () => Effect.sync(() => void ended++))
      const speaking = Stream.fromEffect(counted).pipe(BargeIn.stopWhen(counted), Stream.runDrain)
      const fiber = yield* Effect.forkChild(speaking, { startImmediately: true })
      yield* Effect.yieldNow
      yield* Fiber.interrupt(fiber)
      assert.strictEqual(ended, 2)
      const failed = Stream.never.pipe(BargeIn.stopWhen(Effect.fail("no microphone")), Stream.runDrain)
      assert.strictEqual(yield* Effect.flip(failed), "no microphone")
    }))
})

describe("BargeIn.voice", () => {
  const microphone = (...frames: ReadonlyArray<Pcm.Chunk>) =>
    Stream.schedule(Stream.fromIterable(frames), Schedule.spaced("20 millis"))

  it.effect("hears who speaks, and no click", () =>
    simulated(Effect.gen(function*() {
      const heard = yield* BargeIn.voice(microphone(frame, loud, frame, loud, loud, loud, frame))
      assert.strictEqual(heard.afterMs, 120)
      assert.closeTo(heard.level, 0.35, 0.02)
    })))

  it.effect("never ends when nobody speaks", () =>
    Effect.gen(function*() {
      const { exit } = yield* Simulation.simulate(
        Effect.timeoutOption(BargeIn.voice(microphone(frame, loud, frame)), "1 hour")
      )
      assert.strictEqual((yield* exit)._tag, "None")
    }))

  it.effect("stops a voice within one chunk", () =>
    simulated(Effect.gen(function*() {
      const listening = BargeIn.voice(microphone(frame, frame, loud, loud, loud, loud))
      const said = yield* Stream.forever(Stream.make(loud)).pipe(
        Pcm.inRealTime,
        BargeIn.stopWhen(listening),
        Stream.runCount
      )
      // Heard at 100 ms, when the chunk that began at 80 ms has been given, or the next one just has.
      assert.include([5, 6], said)
    })))
})
