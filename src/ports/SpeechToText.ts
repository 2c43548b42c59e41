/**
 * Asks a service what somebody said: whole, or while they speak.
 *
 * ```ts
 * import { Effect, Stream } from "effect"
 * import { SpeechToText } from "stageflow/ports"
 * import { Pcm } from "stageflow/streaming"
 *
 * const captions = Effect.fnUntraced(function*(microphone: Stream.Stream<Pcm.Chunk>) {
 *   const speech = yield* SpeechToText.SpeechToText
 *   return speech.stream(microphone, { language: "en" }).pipe(
 *     Stream.map((heard) => heard._tag === "Partial" ? `${heard.text} ...` : heard.response.text)
 *   )
 * })
 * ```
 */
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type * as Stream from "effect/Stream"
import type { Pcm } from "../streaming/index.ts"
import * as failure from "./internal/failure.ts"
import { STTResponse } from "./STTResponse.ts"

/**
 * Speech was not understood. `reason` says why; `isRetryable` and `retryAfter` say whether and when to try again.
 */
export class SpeechToTextFailed extends Schema.TaggedError<SpeechToTextFailed>()("SpeechToTextFailed", failure.fields) {
  readonly code = "SPEECH_TO_TEXT_FAILED"
  /** Whether another attempt may end differently. */
  get isRetryable(): boolean {
    return failure.isWorthRetrying(this.reason)
  }
  /** How long to wait before it, if the service said so. */
  get retryAfter(): Duration.Duration | undefined {
    return failure.waitBeforeRetry(this.reason)
  }
  override get message(): string {
    return failure.messageOf("Speech to text", this)
  }
}

/**
 * What a service should know of the audio.
 */
export interface Options {
  /** The language that is spoken, as in `"en"`. */
  readonly language?: string | undefined
  /** Words that are likely: names, the sentence before. */
  readonly prompt?: string | undefined
}

/**
 * What has been understood so far, as a schema.
 */
export const Transcript = Schema.Union([
  Schema.TaggedStruct("Partial", { text: Schema.String }),
  Schema.TaggedStruct("Final", { response: STTResponse })
])

/**
 * What has been understood so far: `Partial` may still change; `Final` is the last of a stream.
 */
export type Transcript = Schema.Schema.Type<typeof Transcript>

/**
 * A service that understands speech.
 */
export class SpeechToText extends Context.Service<SpeechToText, {
  /** What is said in some audio. */
  readonly transcribe: (
    audio: Pcm.Chunk,
    options?: Options
  ) => Effect.Effect<STTResponse, SpeechToTextFailed>
  /** What is said in audio while it comes. The last transcript is final, and there is one. */
  readonly stream: <E, R>(
    audio: Stream.Stream<Pcm.Chunk, E, R>,
    options?: Options
  ) => Stream.Stream<Transcript, SpeechToTextFailed | E, R>
}>()("stageflow/ports/SpeechToText") {}
