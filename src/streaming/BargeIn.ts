/**
 * Stops a voice when the listener starts to speak.
 *
 * `stopWhen` ends a stream when something is heard: not a chunk more is given, and what makes the stream is interrupted and
 * has cleaned up. `voice` says when somebody speaks in the audio of a microphone.
 *
 * ```ts
 * import { Effect, Schedule, Stream } from "effect"
 * import { BargeIn, Pcm } from "stageflow/streaming"
 *
 * const quiet = Pcm.silence(Pcm.speech, "20 millis")
 * const loud = Pcm.tone(Pcm.speech, { hertz: 200, duration: "20 millis" })
 *
 * // Somebody speaks after 200 ms.
 * const microphone = Stream.concat(
 *   Stream.schedule(Stream.range(1, 10).pipe(Stream.map(() => quiet)), Schedule.spaced("20 millis")),
 *   Stream.schedule(Stream.forever(Stream.succeed(loud)), Schedule.spaced("20 millis"))
 * )
 * const tone = Pcm.tone(Pcm.speech, { hertz: 300, duration: "5 seconds" })
 * const answer = Stream.make(tone).pipe(Pcm.frames("20 millis"), Pcm.inRealTime)
 *
 * const said = answer.pipe(
 *   BargeIn.stopWhen(BargeIn.voice(microphone), {
 *     onStopped: ({ chunks }) => Effect.logInfo(`Stopped after ${chunks} chunks`)
 *   }),
 *   Stream.runCount
 * )
 * ```
 *
 * Put `stopWhen` last, behind buffers: what a buffer holds when somebody speaks is not heard.
 */
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { dual } from "effect/Function"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as Stream from "effect/Stream"
import * as options from "../internal/options.ts"
import type { AudioInvalid, Chunk } from "./Pcm.ts"
import { expectOneFormat, levelOf, millisOf } from "./Pcm.ts"

/**
 * What a stream had given when it was stopped, and what stopped it.
 */
export interface Stopped<out X> {
  /** How many chunks were given before. */
  readonly chunks: number
  readonly heard: X
}

/**
 * What is to happen when a stream is stopped.
 */
export interface Settings<in X, R = never> {
  /** Runs before the stream ends, when it was stopped and has not ended by itself. */
  readonly onStopped?: ((stopped: Stopped<X>) => Effect.Effect<void, never, R>) | undefined
}

/**
 * Ends a stream as soon as `heard` has a value. What it waits for then is interrupted, and no chunk is given any more, not
 * even those that came together with the last one. `heard` is interrupted when the stream ends by itself; when it fails,
 * the stream does.
 */
export const stopWhen: {
  <X, E2, R2, R3 = never>(
    heard: Effect.Effect<X, E2, R2>,
    settings?: Settings<X, R3>
  ): <A, E, R>(self: Stream.Stream<A, E, R>) => Stream.Stream<A, E | E2, R | R2 | R3>
  <A, E, R, X, E2, R2, R3 = never>(
    self: Stream.Stream<A, E, R>,
    heard: Effect.Effect<X, E2, R2>,
    settings?: Settings<X, R3>
  ): Stream.Stream<A, E | E2, R | R2 | R3>
} = dual(
  (args) => Stream.isStream(args[0]),
  <A, E, R, X, E2, R2, R3 = never>(
    self: Stream.Stream<A, E, R>,
    heard: Effect.Effect<X, E2, R2>,
    settings: Settings<X, R3> = {}
  ): Stream.Stream<A, E | E2, R | R2 | R3> => {
    const { onStopped } = options.fields<Settings<X, R3>>("settings", ["onStopped"], settings)
    if (onStopped !== undefined) options.callable("onStopped", onStopped)
    return Stream.unwrap(Effect.gen(function*() {
      const stop = yield* Deferred.make<X, E2>()
      yield* Effect.forkScoped(Deferred.into(heard, stop), { startImmediately: true })
      let chunks = 0
      return self.pipe(
        // One by one: chunks that come together would be given together.
        Stream.rechunk(1),
        Stream.interruptWhen(Deferred.await(stop)),
        Stream.tap(() => Effect.sync(() => void chunks++)),
        Stream.onEnd(Effect.suspend(() =>
          onStopped === undefined || !Deferred.isDoneUnsafe(stop)
            ? Effect.void
            : Effect.flatMap(Deferred.await(stop), (heard) => onStopped({ chunks, heard }))
        ))
      )
    }))
  }
)

/**
 * Somebody who speaks: how loud, and how long the audio was until then.
 */
export interface Heard {
  readonly level: number
  readonly afterMs: number
}

/**
 * Ends when somebody speaks: when audio has been louder than `level` (0.05 when left out) for as long as `lasting` (60 ms
 * when left out), so that a click is no voice. It never ends when the audio ends before.
 */
export const voice = <E, R>(
  microphone: Stream.Stream<Chunk, E, R>,
  settings: { readonly level?: number | undefined; readonly lasting?: Duration.Input | undefined } = {}
): Effect.Effect<Heard, E | AudioInvalid, R> => {
  const given = options.fields<typeof settings>("settings", ["level", "lasting"], settings)
  const threshold = options.ratio("level", given.level ?? 0.05)
  const lasting = Duration.toMillis(options.duration("lasting", given.lasting ?? "60 millis"))
  return Effect.suspend(() => {
    let afterMs = 0
    let loudMs = 0
    const heard = Stream.filterMap(expectOneFormat(microphone), (chunk) => {
      const level = levelOf(chunk)
      const millis = millisOf(chunk.format, chunk.bytes.byteLength)
      afterMs += millis
      loudMs = level > threshold ? loudMs + millis : 0
      return loudMs > 0 && loudMs >= lasting ? Result.succeed({ level, afterMs }) : Result.failVoid
    })
    return Effect.flatMap(Stream.runHead(heard), Option.match({ onNone: () => Effect.never, onSome: Effect.succeed }))
  })
}
