/**
 * Says what an adapter of a port must do, as checks that run against the real one. No test framework is needed; under one,
 * each check is a test:
 *
 * ```ts
 * import { Effect, Layer } from "effect"
 * import { Contract, InteractionStore } from "stageflow/ports"
 *
 * // for (const check of Contract.interactionStore()) it.effect(check.name, () => Effect.provide(check.run, layer))
 * const program = Contract.verify(Contract.interactionStore()).pipe(
 *   Effect.provide(InteractionStore.layerMemory())
 * )
 * await Effect.runPromise(program)
 * ```
 *
 * Checks call the service, which may cost money, and leave things in it, under ids that begin with `contract`.
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Random from "effect/Random"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import * as options from "../internal/options.ts"
import { Pcm } from "../streaming/index.ts"
import { AudioSink } from "./AudioSink.ts"
import { type Interaction, InteractionStore } from "./InteractionStore.ts"
import { SpeechToText } from "./SpeechToText.ts"
import { StatusUpdates } from "./StatusUpdates.ts"
import { TextToSpeech } from "./TextToSpeech.ts"
import { TokenSink } from "./TokenSink.ts"

const Broken = Schema.Struct({ check: Schema.String, problem: Schema.String })

/**
 * An adapter does not do what its port promises: which checks it did not pass, and why.
 */
export class ContractBroken extends Schema.TaggedError<ContractBroken>()("ContractBroken", {
  problems: Schema.NonEmptyArray(Broken)
}) {
  readonly code = "CONTRACT_BROKEN"
  override get message(): string {
    const lines = this.problems.map(({ check, problem }) => `${check}: ${problem}`)
    return `The contract is broken:\n${lines.join("\n")}`
  }
}

/**
 * One thing that an adapter must do.
 */
export interface Check<in out R> {
  readonly name: string
  readonly run: Effect.Effect<void, ContractBroken, R>
}

/**
 * How long each check may take: 30 seconds when left out.
 */
export interface Settings {
  readonly within?: Duration.Input | undefined
}

/** What a check says when something is not as it should be. */
class Wrong extends Schema.TaggedError<Wrong>()("Wrong", { problem: Schema.String }) {}

const must = (holds: boolean, problem: string): Effect.Effect<void, Wrong> =>
  holds ? Effect.void : Effect.fail(new Wrong({ problem }))

/** What an error says of itself; of what is no error of a port, no more than its kind. */
const wordsOf = (error: unknown): string =>
  error instanceof Error ? error.message : `it failed with ${options.shown(error)}`

const problemIn = (cause: Cause.Cause<unknown>): string => {
  const error = Cause.squash(cause)
  return error instanceof Wrong ? error.problem : wordsOf(error)
}

/** Makes the checks of a contract, each with its limit. */
const checksOf = <R>(
  settings: Settings | undefined,
  checks: Readonly<Record<string, Effect.Effect<void, unknown, R>>>
): ReadonlyArray<Check<R>> => {
  const within = options.positiveDuration("within", settings?.within ?? "30 seconds")
  return Object.entries(checks).map(([check, run]): Check<R> => ({
    name: check,
    run: run.pipe(
      Effect.timeoutOrElse({
        duration: within,
        orElse: () => Effect.fail(new Wrong({ problem: `it was not done within ${Duration.format(within)}` }))
      }),
      Effect.catchCause((cause) =>
        Cause.hasInterruptsOnly(cause)
          ? Effect.interrupt
          : Effect.fail(new ContractBroken({ problems: [{ check, problem: problemIn(cause) }] }))
      )
    )
  }))
}

/**
 * Runs all checks, one after the other. Fails with everything that is wrong.
 */
export const verify = <R>(checks: ReadonlyArray<Check<R>>): Effect.Effect<void, ContractBroken, R> =>
  Effect.gen(function*() {
    const results = yield* Effect.forEach(checks, ({ run }) => Effect.result(run))
    const [first, ...rest] = results.flatMap((result) => result._tag === "Failure" ? result.failure.problems : [])
    if (first !== undefined) return yield* new ContractBroken({ problems: [first, ...rest] })
  })

// ---------------------------------------------------------------------------------------------------------------------
// what checks look at
// ---------------------------------------------------------------------------------------------------------------------

interface PortError {
  readonly isRetryable: boolean
  readonly message: string
}

/** The error that an Effect fails with: it has to say that another attempt is pointless. */
const pointless = <A, E extends PortError, R>(
  effect: Effect.Effect<A, E, R>,
  what: string
): Effect.Effect<void, Wrong, R> =>
  Effect.matchEffect(effect, {
    onFailure: ({ isRetryable, message }) =>
      must(!isRetryable, `${what} fails, but says that another attempt makes sense: ${message}`),
    onSuccess: () => must(false, `${what} does not fail`)
  })

/** Audio that is there, in whole frames. */
const mustBeAudio = ({ bytes, format }: Pcm.Chunk): Effect.Effect<void, Wrong> =>
  Effect.andThen(
    must(bytes.byteLength > 0, "there is no audio"),
    must(bytes.byteLength % Pcm.frameBytes(format) === 0, `${bytes.byteLength} bytes are no whole frames`)
  )

const someName = Effect.map(Random.nextInt, (number) => `contract-${Math.abs(number)}`)

// ---------------------------------------------------------------------------------------------------------------------
// the contracts
// ---------------------------------------------------------------------------------------------------------------------

/**
 * What an adapter of `SpeechToText` must do. `audio` is some that it understands; `understood` says whether a text is what is
 * said in it, if you know.
 */
export const speechToText = (given: {
  readonly audio: Pcm.Chunk
  readonly understood?: ((text: string) => boolean) | undefined
  readonly within?: Duration.Input | undefined
}): ReadonlyArray<Check<SpeechToText>> => {
  const { audio, understood = () => true } = given
  const frames = Stream.orDie(Pcm.frames(Stream.make(audio), "20 millis"))
  const broken: Pcm.Chunk = { format: audio.format, bytes: audio.bytes.slice(0, -1) }
  const mustBeUnderstood = (text: string) => must(understood(text), `it understood ${options.shown(text)}`)
  return checksOf(given, {
    "understands audio": Effect.gen(function*() {
      const { durationMs, provider, text } = yield* (yield* SpeechToText).transcribe(audio)
      yield* mustBeUnderstood(text)
      yield* must(provider !== "", "it does not say who understood")
      const lasts = Pcm.millisOf(audio.format, audio.bytes.byteLength)
      yield* must(Math.abs(durationMs - lasts) < 100, `${lasts} ms of audio lasts ${durationMs} ms, it says`)
    }),
    "understands a stream, and says last what is final": Effect.gen(function*() {
      const heard = yield* Stream.runCollect((yield* SpeechToText).stream(frames))
      const finals = heard.filter(({ _tag }) => _tag === "Final")
      yield* must(finals.length === 1, `${finals.length} transcripts are final`)
      const last = heard.at(-1)
      if (last?._tag !== "Final") return yield* must(false, "the last transcript is not final")
      yield* mustBeUnderstood(last.response.text)
    }),
    "refuses audio that ends within a frame, for good": Effect.flatMap(
      SpeechToText,
      (port) => pointless(port.transcribe(broken), "audio that ends within a frame")
    ),
    "passes on the failure of a stream": Effect.gen(function*() {
      const failing = Stream.concat(Stream.take(frames, 1), Stream.fail("the microphone is gone" as const))
      const exit = yield* Effect.exit(Stream.runDrain((yield* SpeechToText).stream(failing)))
      const error = Exit.isFailure(exit) ? Option.getOrUndefined(Cause.findErrorOption(exit.cause)) : undefined
      yield* must(error === "the microphone is gone", "the stream does not fail as its audio does")
    }),
    "stops when nobody listens, and lets the audio go": Effect.gen(function*() {
      let isLetGo = false
      const endless = Stream.concat(frames, Stream.never).pipe(
        Stream.ensuring(Effect.sync(() => void (isLetGo = true)))
      )
      const listening = Stream.runDrain((yield* SpeechToText).stream(endless))
      yield* Effect.timeoutOption(listening, "100 millis")
      yield* must(isLetGo, "the audio is still open")
    })
  })
}

/**
 * What an adapter of `TextToSpeech` must do. `text` is one that it can read out.
 */
export const textToSpeech = (given: {
  readonly text?: string | undefined
  readonly within?: Duration.Input | undefined
} = {}): ReadonlyArray<Check<TextToSpeech>> => {
  const text = given.text ?? "Good morning."
  return checksOf(given, {
    "reads a text out": Effect.gen(function*() {
      const { audio, characters, provider } = yield* (yield* TextToSpeech).speak(text)
      yield* mustBeAudio(audio)
      yield* must(Pcm.levelOf(audio) > 0, "there is nothing to hear")
      yield* must(provider !== "", "it does not say who spoke")
      yield* must(characters === text.length, `${text.length} characters are ${characters}, it says`)
    }),
    "streams audio of one format, the same as at once": Effect.gen(function*() {
      const port = yield* TextToSpeech
      const { audio } = yield* port.speak(text)
      const chunks = yield* Stream.runCollect(port.stream(text))
      const whole = yield* Pcm.concat(chunks, audio.format)
      yield* mustBeAudio(whole)
      const [one, other] = [audio, whole].map(({ bytes, format }) => Pcm.millisOf(format, bytes.byteLength))
      yield* must(
        Math.abs((one ?? 0) - (other ?? 0)) <= 0.5 * (one ?? 0),
        `at once it lasts ${one} ms, as a stream ${other} ms`
      )
    }),
    "refuses a text without words, for good": Effect.gen(function*() {
      const port = yield* TextToSpeech
      yield* pointless(port.speak("  "), "a text without words")
      yield* pointless(Stream.runDrain(port.stream("")), "a text without words")
    }),
    "stops when nobody listens": Effect.gen(function*() {
      const first = yield* Stream.runHead((yield* TextToSpeech).stream(`${text} `.repeat(20)))
      yield* must(Option.isSome(first), "there is no audio")
    }),
    "reads several texts at once": Effect.gen(function*() {
      const port = yield* TextToSpeech
      const all = yield* Effect.forEach(["One.", "Two.", "Three."], (each) => port.speak(each), {
        concurrency: "unbounded"
      })
      yield* Effect.forEach(all, ({ audio }) => mustBeAudio(audio))
    })
  })
}

/**
 * What an adapter of `StatusUpdates` must do.
 */
export const statusUpdates = (settings?: Settings): ReadonlyArray<Check<StatusUpdates>> =>
  checksOf(settings, {
    "takes updates, with data and without": Effect.gen(function*() {
      const { send } = yield* StatusUpdates
      yield* send({ service: "contract", status: "started" })
      yield* send({ service: "contract", status: "completed", data: { count: 1, of: [null, "ü"] } })
    })
  })

interface Sink<in Part> {
  readonly write: (part: Part) => Effect.Effect<void, PortError>
  readonly end: Effect.Effect<void, PortError>
}

/** A sink is used up by a check, so it is all in one. */
const sinkChecks = <R, Part>(
  settings: Settings | undefined,
  sink: Effect.Effect<Sink<Part>, never, R>,
  part: (index: number) => Part
): ReadonlyArray<Check<R>> =>
  checksOf(settings, {
    "takes parts until it is ended, and none after": Effect.gen(function*() {
      const { end, write } = yield* sink
      for (const index of [0, 1, 2]) yield* write(part(index))
      yield* end
      yield* end
      yield* pointless(write(part(3)), "what is written behind the end")
    })
  })

/**
 * What an adapter of `TokenSink` must do. It is ended by the check.
 */
export const tokenSink = (settings?: Settings): ReadonlyArray<Check<TokenSink>> =>
  sinkChecks(settings, Effect.map(TokenSink, (sink) => sink), (index) => ({ token: `token ${index} ü`, index }))

/**
 * What an adapter of `AudioSink` must do. It is ended by the check.
 */
export const audioSink = (
  settings?: Settings & { readonly format?: Pcm.Format | undefined }
): ReadonlyArray<Check<AudioSink>> =>
  sinkChecks(settings, Effect.map(AudioSink, (sink) => sink), (index) => ({
    audio: Pcm.silence(settings?.format ?? Pcm.speech, "20 millis"),
    index
  }))

/**
 * What an adapter of `InteractionStore` must do.
 */
export const interactionStore = (settings?: Settings): ReadonlyArray<Check<InteractionStore>> => {
  /** Some of a session of its own. */
  const kept = Effect.fnUntraced(function*(count: number) {
    const store = yield* InteractionStore
    const sessionId = yield* someName
    const now = yield* Clock.currentTimeMillis
    const all = Array.from({ length: count }, (_, index): Interaction => ({
      id: `contract-${index}`,
      sessionId,
      at: now + index,
      input: `question ${index} ü`,
      output: `answer ${index}`,
      metadata: { index, list: [null, true] }
    }))
    // Not in the order of their times.
    yield* Effect.forEach(all.toReversed(), store.save)
    return { store, sessionId, all }
  })
  const isSame = Schema.toEquivalence(Schema.Unknown)
  const mustBe = (given: unknown, expected: unknown, what: string) => must(isSame(given, expected), what)
  return checksOf(settings, {
    "gives back what it keeps, whole": Effect.gen(function*() {
      const { all, sessionId, store } = yield* kept(2)
      const found = yield* store.get(sessionId, "contract-1")
      yield* must(Option.isSome(found), "it does not find what it has kept")
      yield* mustBe(Option.getOrUndefined(found), all[1], "it gives back something else")
      yield* must(Option.isNone(yield* store.get(sessionId, "contract-9")), "it finds what it has not kept")
    }),
    "gives the last ones, the oldest first": Effect.gen(function*() {
      const { all, sessionId, store } = yield* kept(5)
      yield* mustBe(yield* store.recent(sessionId, 3), all.slice(-3), "these are not the last three, in their order")
      yield* mustBe(yield* store.recent(sessionId, 100), all, "these are not all")
      yield* mustBe(yield* store.recent(sessionId, 0), [], "none are asked for, and some come")
    }),
    "keeps one for each id, the last": Effect.gen(function*() {
      const { all: [first], sessionId, store } = yield* kept(1)
      if (first === undefined) return
      yield* store.save({ ...first, output: "another" })
      yield* store.save({ ...first, output: "another" })
      const outputs = (yield* store.recent(sessionId, 10)).map(({ output }) => output)
      yield* mustBe(outputs, ["another"], "it keeps several under one id, or the first")
    }),
    "keeps sessions apart": Effect.gen(function*() {
      const one = yield* kept(1)
      const other = yield* kept(2)
      yield* must(one.sessionId !== other.sessionId, "two sessions of one name")
      yield* must((yield* one.store.recent(one.sessionId, 10)).length === 1, "it gives what is of another session")
      const found = yield* one.store.get(one.sessionId, "contract-1")
      yield* must(Option.isNone(found), "it finds what is of another session")
    })
  })
}
