/**
 * Asks a voice to read a text out: whole, or heard while it is made.
 *
 * ```ts
 * import { Effect, Stream } from "effect"
 * import { TextToSpeech } from "stageflow/ports"
 *
 * // The voice begins with the first sentence while the model still writes the rest.
 * const spoken = (tokens: Stream.Stream<string>) => TextToSpeech.read(tokens, { voice: "en" })
 * ```
 */
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { type Pcm, Sentences } from "../streaming/index.ts"
import * as failure from "./internal/failure.ts"
import type { TTSResponse } from "./TTSResponse.ts"

/**
 * A text was not read out. `reason` says why; `isRetryable` and `retryAfter` say whether and when to try again.
 */
export class TextToSpeechFailed extends Schema.TaggedError<TextToSpeechFailed>()("TextToSpeechFailed", failure.fields) {
  readonly code = "TEXT_TO_SPEECH_FAILED"
  /** Whether another attempt may end differently. */
  get isRetryable(): boolean {
    return failure.isWorthRetrying(this.reason)
  }
  /** How long to wait before it, if the service said so. */
  get retryAfter(): Duration.Duration | undefined {
    return failure.waitBeforeRetry(this.reason)
  }
  override get message(): string {
    return failure.messageOf("Text to speech", this)
  }
}

/**
 * How a text is to be read out.
 */
export interface Options {
  /** The name of a voice that the service has. */
  readonly voice?: string | undefined
  /** 1 is the pace of the voice, 2 twice as fast. */
  readonly speed?: number | undefined
}

/**
 * A service that reads texts out.
 */
export class TextToSpeech extends Context.Service<TextToSpeech, {
  /** A whole text. */
  readonly speak: (text: string, options?: Options) => Effect.Effect<TTSResponse, TextToSpeechFailed>
  /** The same while it is made: audio of one format, in whole frames. */
  readonly stream: (text: string, options?: Options) => Stream.Stream<Pcm.Chunk, TextToSpeechFailed>
}>()("stageflow/ports/TextToSpeech") {}

/**
 * Reads out the tokens of a model, sentence by sentence: the first is heard while the model writes on.
 */
export const read = <E, R>(
  tokens: Stream.Stream<string, E, R>,
  options?: Options
): Stream.Stream<Pcm.Chunk, E | TextToSpeechFailed, R | TextToSpeech> =>
  Stream.unwrap(
    Effect.map(TextToSpeech, (voice) =>
      Stream.flatMap(Sentences.split(tokens), (sentence) => voice.stream(sentence, options)))
  )
