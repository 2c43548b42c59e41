/**
 * Stands in for ports in tests: what each call is answered, how late, and what fails, is written down before; what was asked
 * is kept.
 *
 * ```ts
 * import { Effect } from "effect"
 * import { Scripted, SpeechToText } from "stageflow/ports"
 * import { Pcm } from "stageflow/streaming"
 *
 * const program = Effect.gen(function*() {
 *   const failure = new SpeechToText.SpeechToTextFailed({ service: "test", reason: { _tag: "Unavailable" } })
 *   const speech = yield* Scripted.speechToText({
 *     transcribe: [{ fails: failure }, { after: "200 millis", gives: "Hello" }]
 *   })
 *   const listen = Effect.flatMap(SpeechToText.SpeechToText, (port) => port.transcribe(Pcm.silence(Pcm.speech, "1 second")))
 *   const { text } = yield* listen.pipe(Effect.retry({ times: 1 }), Effect.provide(speech.layer))
 *   return [text, (yield* speech.calls).length]
 * })
 *
 * console.log(await Effect.runPromise(program))
 * // prints: [ 'Hello', 2 ]
 * ```
 *
 * All waits are on Effect's clock, so that a test clock moves them. A call for which nothing is written down dies, and says
 * so. To double a port of your own, see `Port` in `stageflow/testing`.
 */
import * as Clock from "effect/Clock"
import type * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { Pcm } from "../streaming/index.ts"
import { AudioSink, AudioSinkFailed } from "./AudioSink.ts"
import type * as Audio from "./AudioSink.ts"
import { SpeechToText, type SpeechToTextFailed, type Transcript } from "./SpeechToText.ts"
import { StatusUpdates } from "./StatusUpdates.ts"
import type * as Status from "./StatusUpdates.ts"
import { STTResponse } from "./STTResponse.ts"
import { TextToSpeech, type TextToSpeechFailed } from "./TextToSpeech.ts"
import { TokenSink, TokenSinkFailed } from "./TokenSink.ts"
import type * as Token from "./TokenSink.ts"
import { TTSResponse } from "./TTSResponse.ts"

/**
 * One answer: what is given, or what it fails with, or that it never comes; `after` a while, if said.
 */
export type Step<A, E> =
  & { readonly after?: Duration.Input | undefined }
  & ({ readonly gives: A } | { readonly fails: E } | { readonly hangs: true })

/**
 * One call that was made: of which method, with what, and when, in milliseconds on the clock.
 */
export interface Call<out Asked> {
  readonly method: string
  readonly asked: Asked
  readonly at: number
}

/**
 * A port that follows a script.
 */
export interface Scripted<I, S, out Asked> {
  readonly service: S
  readonly layer: Layer.Layer<I>
  /** The calls so far. */
  readonly calls: Effect.Effect<ReadonlyArray<Call<Asked>>>
}

/**
 * A scripted port was called once more than its script has answers. It is a defect: the test is wrong.
 */
export class ScriptOver extends Schema.TaggedError<ScriptOver>()("ScriptOver", {
  method: Schema.String,
  call: Schema.Int
}) {
  readonly code = "SCRIPT_OVER"
  override get message(): string {
    return `The script has no answer to call ${this.call} of "${this.method}"`
  }
}

const play = <A, E>(step: Step<A, E>): Effect.Effect<A, E> => {
  const answer = "gives" in step
    ? Effect.succeed(step.gives)
    : "fails" in step
    ? Effect.fail(step.fails)
    : Effect.never
  return step.after === undefined ? answer : Effect.delay(answer, step.after)
}

/** Keeps what was asked, and knows which call of a method this is. */
class Recorder<Asked> {
  private readonly made: Array<Call<Asked>> = []
  private readonly counts = new Map<string, number>()

  readonly calls = Effect.sync((): ReadonlyArray<Call<Asked>> => [...this.made])

  /** Notes a call, and gives what is written down for it. */
  next<Answer>(
    method: string,
    asked: Asked,
    script: ReadonlyArray<Answer> | undefined,
    otherwise?: Answer
  ): Effect.Effect<Answer> {
    return Effect.flatMap(Clock.currentTimeMillis, (at) => {
      this.made.push({ method, asked, at })
      const call = (this.counts.get(method) ?? 0) + 1
      this.counts.set(method, call)
      const answer = script?.[call - 1] ?? otherwise
      return answer === undefined ? Effect.die(new ScriptOver({ method, call })) : Effect.succeed(answer)
    })
  }
}

const scripted = <I, S, Asked>(
  key: Context.Key<I, S>,
  recorder: Recorder<Asked>,
  service: S
): Scripted<I, S, Asked> => ({ service, layer: Layer.succeed(key, service), calls: recorder.calls })

const playAll = <A, E>(steps: ReadonlyArray<Step<A, E>>): Stream.Stream<A, E> =>
  Stream.mapEffect(Stream.rechunk(Stream.fromIterable(steps), 1), play)

/**
 * Understands what the script says. Of the texts of a stream the last one is final; the audio is read to its end before
 * that one.
 */
export const speechToText = (script: {
  readonly transcribe?: ReadonlyArray<Step<string | STTResponse, SpeechToTextFailed>> | undefined
  readonly stream?: ReadonlyArray<ReadonlyArray<Step<string, SpeechToTextFailed>>> | undefined
}): Effect.Effect<
  Scripted<
    SpeechToText,
    SpeechToText["Service"],
    Pcm.Chunk | undefined
  >
> =>
  Effect.sync(() => {
    const recorder = new Recorder<Pcm.Chunk | undefined>()
    const responseOf = (text: string, durationMs: number) => new STTResponse({ text, provider: "scripted", durationMs })
    return scripted(
      SpeechToText,
      recorder,
      SpeechToText.of({
        transcribe: Effect.fnUntraced(function*(audio) {
          const said = yield* play(yield* recorder.next("transcribe", audio, script.transcribe))
          const durationMs = Pcm.millisOf(audio.format, audio.bytes.byteLength)
          return typeof said === "string" ? responseOf(said, durationMs) : said
        }),
        stream: <E, R>(audio: Stream.Stream<Pcm.Chunk, E, R>) =>
          Stream.unwrap(Effect.map(recorder.next("stream", undefined, script.stream), (steps) => {
            let durationMs = 0
            const heard = Stream.runForEach(audio, ({ bytes, format }) =>
              Effect.sync(() => {
                durationMs += Pcm.millisOf(format, bytes.byteLength)
              }))
            const partial = Stream.map(playAll(steps.slice(0, -1)), (text): Transcript => ({ _tag: "Partial", text }))
            const final = Stream.map(playAll(steps.slice(-1)), (text): Transcript => ({
              _tag: "Final",
              response: responseOf(text, durationMs)
            }))
            return Stream.concat(Stream.merge(partial, Stream.fromEffectDrain(heard)), final)
          }))
      })
    )
  })

/**
 * Says what the script says, whatever the text is.
 */
export const textToSpeech = (script: {
  readonly speak?: ReadonlyArray<Step<Pcm.Chunk, TextToSpeechFailed>> | undefined
  readonly stream?: ReadonlyArray<ReadonlyArray<Step<Pcm.Chunk, TextToSpeechFailed>>> | undefined
}): Effect.Effect<Scripted<TextToSpeech, TextToSpeech["Service"], string>> =>
  Effect.sync(() => {
    const recorder = new Recorder<string>()
    return scripted(
      TextToSpeech,
      recorder,
      TextToSpeech.of({
        speak: Effect.fnUntraced(function*(text) {
          const audio = yield* play(yield* recorder.next("speak", text, script.speak))
          return new TTSResponse({ audio, provider: "scripted", characters: text.length })
        }),
        stream: (text) => Stream.unwrap(Effect.map(recorder.next("stream", text, script.stream), playAll))
      })
    )
  })

const taken = { gives: undefined }

/**
 * Takes updates as the script says, and those after its last step at once.
 */
export const statusUpdates = (
  script: ReadonlyArray<Step<void, Status.StatusFailed>> = []
): Effect.Effect<Scripted<StatusUpdates, StatusUpdates["Service"], Status.StatusUpdate>> =>
  Effect.sync(() => {
    const recorder = new Recorder<Status.StatusUpdate>()
    return scripted(
      StatusUpdates,
      recorder,
      StatusUpdates.of({ send: (update) => Effect.flatMap(recorder.next("send", update, script, taken), play) })
    )
  })

/** A sink that follows a script until it is ended, and then is closed. */
const sink = <Part, E>(recorder: Recorder<Part | undefined>, script: ReadonlyArray<Step<void, E>>, closed: () => E) => {
  let isOver = false
  return {
    write: (part: Part) =>
      Effect.flatMap(
        recorder.next("write", part, script, taken as Step<void, E>),
        (step) => isOver ? Effect.fail(closed()) : play(step)
      ),
    end: Effect.suspend(() => {
      isOver = true
      return Effect.asVoid(recorder.next("end", undefined, undefined, taken))
    })
  }
}

/**
 * Takes tokens as the script says, and those after its last step at once; when it has been ended, none.
 */
export const tokenSink = (
  script: ReadonlyArray<Step<void, TokenSinkFailed>> = []
): Effect.Effect<Scripted<TokenSink, TokenSink["Service"], Token.Part | undefined>> =>
  Effect.sync(() => {
    const recorder = new Recorder<Token.Part | undefined>()
    const closed = () => new TokenSinkFailed({ service: "scripted", reason: { _tag: "Closed" } })
    return scripted(TokenSink, recorder, TokenSink.of(sink(recorder, script, closed)))
  })

/**
 * Takes audio as the script says, and that after its last step at once; when it has been ended, none.
 */
export const audioSink = (
  script: ReadonlyArray<Step<void, AudioSinkFailed>> = []
): Effect.Effect<Scripted<AudioSink, AudioSink["Service"], Audio.Part | undefined>> =>
  Effect.sync(() => {
    const recorder = new Recorder<Audio.Part | undefined>()
    const closed = () => new AudioSinkFailed({ service: "scripted", reason: { _tag: "Closed" } })
    return scripted(AudioSink, recorder, AudioSink.of(sink(recorder, script, closed)))
  })
