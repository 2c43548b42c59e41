/**
 * Hands audio on to whoever plays it while it is made: a loudspeaker, a call, a page.
 */
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import type { Pcm } from "../streaming/index.ts"
import * as failure from "./internal/failure.ts"

/**
 * Audio was not taken. `reason` says why; `isRetryable` and `retryAfter` say whether and when to try again.
 */
export class AudioSinkFailed extends Schema.TaggedError<AudioSinkFailed>()("AudioSinkFailed", failure.fields) {
  readonly code = "AUDIO_SINK_FAILED"
  /** Whether another attempt may end differently. */
  get isRetryable(): boolean {
    return failure.isWorthRetrying(this.reason)
  }
  /** How long to wait before it, if the service said so. */
  get retryAfter(): Duration.Duration | undefined {
    return failure.waitBeforeRetry(this.reason)
  }
  override get message(): string {
    return failure.messageOf("Audio sink", this)
  }
}

/**
 * Some audio, and which part it is.
 */
export interface Part {
  readonly audio: Pcm.Chunk
  readonly index: number
}

/**
 * A service that takes audio.
 */
export class AudioSink extends Context.Service<AudioSink, {
  /** Takes the next one. Its index counts from 0, so that a receiver can tell what it has got already. */
  readonly write: (part: Part) => Effect.Effect<void, AudioSinkFailed>
  /** There are no more. It may be said twice; what is written then is refused as `Closed`. */
  readonly end: Effect.Effect<void, AudioSinkFailed>
}>()("stageflow/ports/AudioSink") {}

/**
 * Writes audio to the sink on their way, and ends it behind the last one. A sink that fails ends the stream, with the number of
 * the part that it did not take.
 */
export const tee = <E, R>(
  self: Stream.Stream<Pcm.Chunk, E, R>
): Stream.Stream<Pcm.Chunk, E | AudioSinkFailed, R | AudioSink> =>
  Stream.unwrap(Effect.map(AudioSink, ({ end, write }) => {
    let index = 0
    const written = Stream.tap(self, (audio) =>
      Effect.suspend(() => {
        const part: Part = { audio, index: index++ }
        return Effect.mapError(write(part), (error) => {
          const chunk = error.chunk ?? part.index + 1
          return new AudioSinkFailed({ service: error.service, reason: error.reason, chunk })
        })
      }))
    return Stream.onEnd(written, end)
  }))

/**
 * Writes audio to the sink, and ends it behind the last one; see `tee`.
 */
export const drain = <E, R>(
  self: Stream.Stream<Pcm.Chunk, E, R>
): Effect.Effect<void, E | AudioSinkFailed, R | AudioSink> => Stream.runDrain(tee(self))
