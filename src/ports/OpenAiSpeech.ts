/**
 * Understands and speaks through an endpoint of OpenAI's kind: `/audio/transcriptions` and `/audio/speech`, which many
 * servers offer, those on one's own machine included.
 *
 * ```ts
 * import { Effect, Layer, Redacted } from "effect"
 * import { FetchHttpClient } from "effect/http"
 * import { OpenAiSpeech } from "stageflow/ports"
 *
 * const speech = Layer.mergeAll(
 *   OpenAiSpeech.layerSpeechToText({ url: "http://localhost:8000/v1", model: "whisper-small" }),
 *   OpenAiSpeech.layerTextToSpeech({
 *     url: "https://api.openai.com/v1",
 *     apiKey: Redacted.make("..."),
 *     model: "gpt-4o-mini-tts",
 *     voice: "alloy"
 *   })
 * ).pipe(Layer.provide(FetchHttpClient.layer))
 * ```
 *
 * Audio is sent as a wav. A stream of audio is collected before it is sent, up to `maximumAudio`: the endpoint wants all of
 * it; what it understands is streamed where it can (`streaming`), and comes at once where it cannot. Speech is asked for as
 * plain samples, and given while they come, in `output`'s format.
 *
 * Errors never have the key in them, nor what the endpoint says in words: only its status and its code.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { Sse } from "effect/encoding"
import { HttpBody, HttpClient, HttpClientRequest, type HttpClientResponse } from "effect/http"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { elapsedMillis } from "../internal/clock.ts"
import * as options from "../internal/options.ts"
import { Pcm, Wav } from "../streaming/index.ts"
import * as answers from "./internal/answers.ts"
import { formatOption, unfitReason } from "./internal/audio-format.ts"
import type { Reason } from "./internal/failure.ts"
import { SpeechToText, SpeechToTextFailed, type Transcript } from "./SpeechToText.ts"
import type * as Speech from "./SpeechToText.ts"
import { STTResponse } from "./STTResponse.ts"
import { TextToSpeech, TextToSpeechFailed } from "./TextToSpeech.ts"
import type * as Voice from "./TextToSpeech.ts"
import { TTSResponse } from "./TTSResponse.ts"

/**
 * Where the endpoint is, and how long it may take.
 */
export interface Settings {
  /** The part of the address before `/audio`: `"https://api.openai.com/v1"`. */
  readonly url: string
  /** Sent as a bearer token. None when left out. */
  readonly apiKey?: Redacted.Redacted | undefined
  readonly model: string
  /** How errors and responses call the service. `"openai"` when left out. */
  readonly provider?: string | undefined
  /** How long it may take to answer, and then between two pieces of a streamed answer. 30 seconds when left out. */
  readonly timeout?: Duration.Input | undefined
}

/**
 * The same, for understanding.
 */
export interface SpeechToTextSettings extends Settings {
  /** How much audio of a stream is collected at most. 10 minutes when left out. */
  readonly maximumAudio?: Duration.Input | undefined
  /** Whether the endpoint is asked for its transcript piece by piece. `true` when left out. */
  readonly streaming?: boolean | undefined
}

/**
 * The same, for speaking.
 */
export interface TextToSpeechSettings extends Settings {
  /** The voice, where a call does not say another. */
  readonly voice: string
  /** The format in which the endpoint sends samples. 24 kHz, mono, 16 bit when left out. */
  readonly format?: Pcm.Format | undefined
  /** The format in which they are given. `Pcm.speech` when left out. */
  readonly output?: Pcm.Format | undefined
}

const commonKeys = ["url", "apiKey", "model", "provider", "timeout"] as const satisfies ReadonlyArray<keyof Settings>

const checked = (
  given: { readonly [K in keyof Settings]?: Settings[K] | undefined }
): answers.Endpoint & { readonly model: string } => ({
  url: options.name("url", given.url ?? "").replace(/\/+$/, ""),
  apiKey: given.apiKey,
  model: options.name("model", given.model ?? ""),
  provider: options.name("provider", given.provider ?? "openai"),
  timeout: options.positiveDuration("timeout", given.timeout ?? "30 seconds")
})

// ---------------------------------------------------------------------------------------------------------------------
// understanding
// ---------------------------------------------------------------------------------------------------------------------

const Usage = Schema.Struct({
  input_tokens: Schema.optionalKey(Schema.Int),
  output_tokens: Schema.optionalKey(Schema.Int)
})

const Transcription = Schema.Struct({
  text: Schema.String,
  language: Schema.optionalKey(Schema.NullOr(Schema.String)),
  usage: Schema.optionalKey(Schema.NullOr(Usage))
})

const TranscriptEvent = Schema.Union([
  Schema.Struct({ type: Schema.Literal("transcript.text.delta"), delta: Schema.String }),
  Schema.Struct({ ...Transcription.fields, type: Schema.Literal("transcript.text.done") })
])

const decodeTranscription = Schema.decodeUnknownOption(Schema.fromJsonString(Transcription))
const decodeEvent = Schema.decodeUnknownOption(Schema.fromJsonString(TranscriptEvent))
const decodeType = Schema.decodeUnknownOption(Schema.fromJsonString(Schema.Struct({ type: Schema.String })))

const aTranscript = "a transcript"

/** What is understood of audio, as the endpoint says it: pieces, and what they are together. */
class Listening {
  private readonly durationMs: number
  private readonly endpoint: answers.Endpoint & { readonly model: string }
  private readonly since: number
  private text = ""

  constructor(endpoint: answers.Endpoint & { readonly model: string }, audio: Pcm.Chunk, since: number) {
    this.endpoint = endpoint
    this.since = since
    this.durationMs = Pcm.millisOf(audio.format, audio.bytes.byteLength)
  }

  final(said: typeof Transcription.Type): Effect.Effect<STTResponse> {
    const { language, text, usage } = said
    return Effect.map(elapsedMillis, (now) =>
      new STTResponse({
        text,
        provider: this.endpoint.provider,
        model: this.endpoint.model,
        durationMs: this.durationMs,
        latencyMs: now - this.since,
        ...language === undefined || language === null ? {} : { language },
        ...usage?.input_tokens === undefined ? {} : { inputTokens: usage.input_tokens },
        ...usage?.output_tokens === undefined ? {} : { outputTokens: usage.output_tokens }
      }))
  }

  /** What one event of a stream tells; nothing for those that are not about text. */
  heard(data: string): Effect.Effect<ReadonlyArray<Transcript>, Reason> {
    const event = Option.getOrUndefined(decodeEvent(data))
    if (event === undefined) {
      const type = Option.getOrUndefined(decodeType(data))?.type
      // There are events of other types, and more may come.
      const isOther = data === "[DONE]" || (type !== undefined && !type.startsWith("transcript.text."))
      return isOther ? Effect.succeed([]) : Effect.fail({ _tag: "Unintelligible", expected: aTranscript })
    }
    if (event.type === "transcript.text.done") {
      return Effect.map(this.final(event), (response) => [{ _tag: "Final", response }])
    }
    this.text += event.delta
    return Effect.succeed([{ _tag: "Partial", text: this.text }])
  }
}

const sttFailed = (provider: string) => (reason: Reason): SpeechToTextFailed =>
  new SpeechToTextFailed({ service: provider, reason })

const upload = (model: string, audio: Pcm.Chunk, given: Speech.Options | undefined, isStreamed: boolean) => {
  // A copy in a buffer of its own, which is what a Blob takes.
  const wav = new Blob([new Uint8Array(Wav.encode(audio))], { type: "audio/wav" })
  return HttpBody.formDataRecord({
    file: new File([wav], "audio.wav", { type: "audio/wav" }),
    model,
    language: given?.language,
    prompt: given?.prompt,
    response_format: "json",
    stream: isStreamed ? "true" : undefined
  })
}

/** The audio has to be whole frames; a stream of it, of one format. */
const unfit = ({ message }: Pcm.AudioInvalid): Reason => ({ _tag: "UnfitAudio", problem: message })

/**
 * Understands speech through such an endpoint.
 */
export const layerSpeechToText = (
  settings: SpeechToTextSettings
): Layer.Layer<SpeechToText, never, HttpClient.HttpClient> => {
  const given = options.fields<SpeechToTextSettings>("settings", [...commonKeys, "maximumAudio", "streaming"], settings)
  const endpoint = checked(given)
  const { model, provider } = endpoint
  const maximum = Duration.toMillis(options.positiveDuration("maximumAudio", given.maximumAudio ?? "10 minutes"))
  const isStreaming = options.flag("streaming", given.streaming ?? true)
  const failed = sttFailed(provider)

  return Layer.effect(
    SpeechToText,
    Effect.map(HttpClient.HttpClient, (client) => {
      const ask = (audio: Pcm.Chunk, options: Speech.Options | undefined, isStreamed: boolean) =>
        Effect.suspend(() =>
          answers.ask(
            client,
            endpoint,
            HttpClientRequest.setBody(
              HttpClientRequest.post(`${endpoint.url}/audio/transcriptions`),
              upload(model, audio, options, isStreamed)
            )
          )
        )

      /** An answer that comes at once. */
      const whole = Effect.fnUntraced(function*(listening: Listening, response: HttpClientResponse.HttpClientResponse) {
        const said = decodeTranscription(yield* answers.textOf(response, endpoint.timeout))
        return Option.isNone(said)
          ? yield* Effect.fail<Reason>({ _tag: "Unintelligible", expected: aTranscript })
          : yield* listening.final(said.value)
      })

      /** An answer that comes piece by piece; without its end it was broken off. */
      const pieces = (
        listening: Listening,
        response: HttpClientResponse.HttpClientResponse
      ): Stream.Stream<Transcript, SpeechToTextFailed> =>
        Stream.suspend(() => {
          let chunk = 0
          let isFinal = false
          const failedAt = (reason: Reason) => new SpeechToTextFailed({ service: provider, reason, chunk })
          const heard = answers.bodyOf(response, endpoint.timeout).pipe(
            Stream.decodeText,
            Stream.pipeThroughChannel(Sse.decode<Reason, unknown>()),
            Stream.mapError((reason): Reason =>
              reason._tag === "Retry" || reason._tag === "SseError" ? { _tag: "BrokenOff" } : reason
            ),
            Stream.mapEffect(({ data }) => {
              chunk++
              return listening.heard(data)
            }),
            Stream.mapError(failedAt),
            Stream.flattenIterable,
            Stream.takeUntil((transcript) => {
              isFinal = transcript._tag === "Final"
              return isFinal
            })
          )
          return Stream.concat(
            heard,
            Stream.suspend(() => isFinal ? Stream.empty : Stream.fail(failedAt({ _tag: "BrokenOff" })))
          )
        })

      const isEvents = ({ headers }: HttpClientResponse.HttpClientResponse): boolean =>
        (headers["content-type"] ?? "").startsWith("text/event-stream")

      /** One chunk of all the audio. */
      const collected = <E, R>(audio: Stream.Stream<Pcm.Chunk, E, R>) =>
        Effect.suspend(() => {
          let [millis, chunk] = [0, 0]
          const isTooLong = (next: Pcm.Chunk): boolean => {
            chunk++
            millis += Pcm.millisOf(next.format, next.bytes.byteLength)
            return millis > maximum
          }
          const problem = `it is longer than ${Duration.format(Duration.millis(maximum))}`
          return Pcm.expectOneFormat(audio).pipe(
            Stream.mapError((error) =>
              error instanceof Pcm.AudioInvalid
                ? new SpeechToTextFailed({ service: provider, reason: unfit(error), chunk: error.chunk })
                : error
            ),
            Stream.mapEffect((next) =>
              isTooLong(next)
                ? Effect.fail(
                  new SpeechToTextFailed({ service: provider, reason: { _tag: "UnfitAudio", problem }, chunk })
                )
                : Effect.succeed(next)
            ),
            Stream.runCollect,
            Effect.map((all): Pcm.Chunk => Pcm.joined(all))
          )
        })

      return SpeechToText.of({
        transcribe: Effect.fnUntraced(
          function*(audio, options) {
            const since = yield* elapsedMillis
            const whole_ = yield* Effect.mapError(Pcm.concat([audio], audio.format), unfit)
            const listening = new Listening(endpoint, whole_, since)
            return yield* whole(listening, yield* ask(whole_, options, false))
          },
          Effect.mapError(failed)
        ),
        stream: (audio, options) =>
          Stream.unwrap(Effect.gen(function*() {
            const all = yield* collected(audio)
            const listening = new Listening(endpoint, all, yield* elapsedMillis)
            const response = yield* Effect.mapError(ask(all, options, isStreaming), failed)
            return isEvents(response)
              ? pieces(listening, response)
              : Stream.fromEffect(Effect.mapBoth(whole(listening, response), {
                onFailure: failed,
                onSuccess: (response): Transcript => ({ _tag: "Final", response })
              }))
          }))
      })
    })
  )
}

// ---------------------------------------------------------------------------------------------------------------------
// speaking
// ---------------------------------------------------------------------------------------------------------------------

const defaultFormat: Pcm.Format = { sampleRate: 24_000, channels: 1, bitsPerSample: 16 }

/** What says that a body is no samples. */
const isWords = ({ headers }: HttpClientResponse.HttpClientResponse): boolean =>
  /^(?:text\/|application\/json)/.test(headers["content-type"] ?? "")

const unheard: Reason = { _tag: "Unintelligible", expected: "audio" }

/**
 * Reads texts out through such an endpoint.
 */
export const layerTextToSpeech = (
  settings: TextToSpeechSettings
): Layer.Layer<TextToSpeech, never, HttpClient.HttpClient> => {
  const given = options.fields<TextToSpeechSettings>("settings", [...commonKeys, "voice", "format", "output"], settings)
  const endpoint = checked(given)
  const { model, provider } = endpoint
  const voice = options.name("voice", given.voice ?? "")
  const format = formatOption("format", given.format ?? defaultFormat)
  const output = formatOption("output", given.output ?? Pcm.speech)

  return Layer.effect(
    TextToSpeech,
    Effect.map(HttpClient.HttpClient, (client) => {
      const ask = (text: string, options: Voice.Options | undefined) =>
        Effect.suspend(() =>
          answers.ask(
            client,
            endpoint,
            HttpClientRequest.setBody(
              HttpClientRequest.post(`${endpoint.url}/audio/speech`),
              HttpBody.jsonUnsafe({
                model,
                input: text,
                voice: options?.voice ?? voice,
                response_format: "pcm",
                ...options?.speed === undefined ? {} : { speed: options.speed }
              })
            )
          )
        )

      const stream = (text: string, options: Voice.Options | undefined): Stream.Stream<Pcm.Chunk, TextToSpeechFailed> =>
        Stream.suspend(() => {
          let chunk = 0
          const failed = (reason: Reason) =>
            new TextToSpeechFailed({ service: provider, reason, ...chunk === 0 ? {} : { chunk } })
          if (text.trim() === "") return Stream.fail(failed({ _tag: "Refused", detail: "empty_text" }))
          const heard = Effect.map(
            ask(text, options),
            (response) => isWords(response) ? Stream.fail(unheard) : answers.bodyOf(response, endpoint.timeout)
          )
          return Stream.unwrap(heard).pipe(
            Stream.tap(() => Effect.sync(() => void chunk++)),
            Pcm.fromBytes(format),
            Pcm.convert(output),
            Stream.mapError((error) => failed(error._tag === "AudioInvalid" ? unfitReason(error) : error)),
            Stream.orElseIfEmpty(() => Stream.fail(failed(unheard)))
          )
        })

      return TextToSpeech.of({
        stream,
        speak: Effect.fnUntraced(function*(text, options) {
          const since = yield* elapsedMillis
          const chunks = yield* Stream.runCollect(stream(text, options))
          return new TTSResponse({
            audio: Pcm.joined(chunks, output),
            provider,
            model,
            voice: options?.voice ?? voice,
            characters: text.length,
            latencyMs: (yield* elapsedMillis) - since
          })
        })
      })
    })
  )
}
