import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Layer, Stream } from "effect"
import {
  AudioSink,
  Contract,
  InteractionStore,
  Scripted,
  SpeechToText,
  StatusUpdates,
  TextToSpeech,
  TokenSink
} from "stageflow/ports"
import { Pcm } from "stageflow/streaming"
import { Simulation } from "stageflow/testing"

const audio = Pcm.tone(Pcm.speech, { hertz: 200, duration: "200 millis" })
const down = new SpeechToText.SpeechToTextFailed({ service: "scripted", reason: { _tag: "Unavailable" } })

describe("Scripted", () => {
  it.effect("answers as it is written, as late as it is written, and keeps what was asked", () =>
    Effect.gen(function*() {
      const speech = yield* Scripted.speechToText({
        transcribe: [{ fails: down }, { after: "2 seconds", gives: "Hello" }, { hangs: true }]
      })
      const ask = speech.service.transcribe(audio)
      const { elapsed, exit } = yield* Simulation.simulate(Effect.gen(function*() {
        const failure = yield* Effect.flip(ask)
        const { durationMs, text } = yield* ask
        const late = yield* Effect.timeoutOption(ask, "1 minute")
        return [failure, text, durationMs, late._tag]
      }))
      assert.deepStrictEqual(exit, Exit.succeed([down, "Hello", 200, "None"]))
      assert.strictEqual(elapsed.toString(), "62000 millis")
      assert.deepStrictEqual((yield* speech.calls).map(({ asked, at, method }) => [method, asked, at]), [
        ["transcribe", audio, 0],
        ["transcribe", audio, 0],
        ["transcribe", audio, 2000]
      ])
      const over = yield* Effect.exit(ask)
      assert.include(String(over), "The script has no answer to call 4 of \"transcribe\"")
    }))

  it.effect("hears partial texts while the audio comes, and the last one when it is over", () =>
    Effect.gen(function*() {
      const speech = yield* Scripted.speechToText({
        stream: [[{ gives: "he" }, { after: 30, gives: "hello" }, { gives: "Hello." }], [{ gives: "a" }, {
          fails: down
        }]]
      })
      const frames = Stream.make(audio).pipe(Pcm.frames("20 millis"), Pcm.inRealTime)
      const heard = Stream.runCollect(
        Stream.mapEffect(speech.service.stream(frames), (each) =>
          Effect.map(
            Effect.clockWith((clock) => clock.currentTimeMillis),
            (at) => [at, each._tag] as const
          ))
      )
      const { exit } = yield* Simulation.simulate(heard)
      assert.deepStrictEqual(exit, Exit.succeed([[0, "Partial"], [30, "Partial"], [200, "Final"]]))
      assert.deepStrictEqual((yield* Simulation.simulate(heard)).exit, Exit.fail(down))
    }))

  it.effect("reads out tokens sentence by sentence, from the first one that is whole", () =>
    Effect.gen(function*() {
      const voice = yield* Scripted.textToSpeech({
        stream: [[{ after: 100, gives: audio }], [{ after: 50, gives: audio }]]
      })
      const tokens = Stream.tap(Stream.make("Hel", "lo. ", "How are", " you?"), () => Effect.sleep(10))
      const { exit } = yield* Simulation.simulate(
        Stream.runCount(TextToSpeech.read(tokens)).pipe(Effect.provide(voice.layer))
      )
      assert.deepStrictEqual(exit, Exit.succeed(2))
      assert.deepStrictEqual((yield* voice.calls).map(({ asked, at }) => [asked, at]), [["Hello.", 20], [
        "How are you?",
        140
      ]])
    }))
})

describe("sinks", () => {
  it.effect("get what passes by, numbered, and the end", () =>
    Effect.gen(function*() {
      const sink = yield* Scripted.tokenSink()
      const tokens = yield* Stream.make("a", "b").pipe(TokenSink.tee, Stream.runCollect, Effect.provide(sink.layer))
      assert.deepStrictEqual(tokens, ["a", "b"])
      assert.deepStrictEqual((yield* sink.calls).map(({ asked, method }) => [method, asked]), [
        ["write", { token: "a", index: 0 }],
        ["write", { token: "b", index: 1 }],
        ["end", undefined]
      ])
    }))

  it.effect("that are closed end the stream, name the chunk, and leave nothing running", () =>
    Effect.gen(function*() {
      let stopped = 0
      const closed = new AudioSink.AudioSinkFailed({ service: "socket", reason: { _tag: "Closed" } })
      const sink = yield* Scripted.audioSink([{ gives: undefined }, { gives: undefined }, { fails: closed }])
      const voice = Stream.forever(Stream.make(audio)).pipe(Stream.ensuring(Effect.sync(() => void stopped++)))
      const error = yield* Effect.flip(Effect.provide(AudioSink.drain(voice), sink.layer))
      assert.strictEqual(error.message, "Audio sink (socket), chunk 3: takes no more: it is closed")
      assert.deepStrictEqual([error.chunk, error.isRetryable, stopped], [3, false, 1])
    }))
})

/** Doubles that keep their contracts. */
const contracts = Effect.gen(function*() {
  const updates = yield* Scripted.statusUpdates()
  const tokens = yield* Scripted.tokenSink()
  const sounds = yield* Scripted.audioSink()
  return [
    Contract.verify(Contract.statusUpdates()).pipe(Effect.provide(updates.layer)),
    Contract.verify(Contract.tokenSink()).pipe(Effect.provide(tokens.layer)),
    Contract.verify(Contract.audioSink()).pipe(Effect.provide(sounds.layer)),
    Contract.verify(Contract.interactionStore()).pipe(Effect.provide(InteractionStore.layerMemory()))
  ]
})

describe("Contract", () => {
  it.effect("is kept by what the package has", () =>
    Effect.flatMap(contracts, (all) => Effect.all(all, { discard: true })))

  /** What is said of an adapter. */
  const problemsOf = <R>(checks: ReadonlyArray<Contract.Check<R>>, layer: Layer.Layer<R>) =>
    Contract.verify(checks).pipe(
      Effect.provide(layer),
      Effect.flip,
      Effect.map(({ problems }) => problems.map(({ problem }) => problem))
    )

  it.effect("finds a store that is wrong, all that is wrong at once", () =>
    Effect.gen(function*() {
      const all: Array<InteractionStore.Interaction> = []
      const wrong = Layer.succeed(InteractionStore.InteractionStore, {
        save: (interaction) => Effect.sync(() => void all.push(interaction)),
        get: () => Effect.succeedNone,
        recent: (_, limit) => Effect.sync(() => all.slice(0, limit))
      })
      assert.deepStrictEqual(yield* problemsOf(Contract.interactionStore(), wrong), [
        "it does not find what it has kept",
        "these are not the last three, in their order",
        "it keeps several under one id, or the first",
        "it gives what is of another session"
      ])
    }))

  it.effect("finds a sink that goes on behind its end, and one that fails", () =>
    Effect.gen(function*() {
      const endless = Layer.succeed(TokenSink.TokenSink, { write: () => Effect.void, end: Effect.void })
      assert.deepStrictEqual(yield* problemsOf(Contract.tokenSink(), endless), [
        "what is written behind the end does not fail"
      ])
      const failed = new StatusUpdates.StatusFailed({ service: "screen", reason: { _tag: "Unavailable" } })
      const dead = Layer.succeed(StatusUpdates.StatusUpdates, { send: () => Effect.fail(failed) })
      assert.deepStrictEqual(yield* problemsOf(Contract.statusUpdates(), dead), [
        "Status update (screen): is not available"
      ])
    }))

  it.live("finds speech that is wrong, and does not wait for ever", () =>
    Effect.gen(function*() {
      const deaf = Layer.succeed(SpeechToText.SpeechToText, {
        transcribe: () => Effect.never,
        stream: () => Stream.make({ _tag: "Partial", text: "hm" })
      })
      assert.deepStrictEqual(yield* problemsOf(Contract.speechToText({ audio, within: "150 millis" }), deaf), [
        "it was not done within 150ms",
        "0 transcripts are final",
        "it was not done within 150ms",
        "the stream does not fail as its audio does",
        "the audio is still open"
      ])
      const mute = Layer.succeed(TextToSpeech.TextToSpeech, {
        speak: () => Effect.die("mute"),
        stream: () => Stream.empty
      })
      assert.strictEqual((yield* problemsOf(Contract.textToSpeech({ within: "150 millis" }), mute)).length, 5)
    }))
})

describe("InteractionStore.layerMemory", () => {
  it.effect("forgets the oldest, and the session that was used longest ago", () =>
    Effect.gen(function*() {
      const { get, recent, save } = yield* InteractionStore.InteractionStore
      const said = (sessionId: string, id: string, at = 0) => save({ sessionId, id, at, input: "", output: "" })
      for (const id of ["1", "2", "3"]) yield* said("a", id)
      assert.deepStrictEqual((yield* recent("a", 10)).map(({ id }) => id), ["2", "3"])
      yield* said("__proto__", "constructor")
      yield* said("a", "4")
      yield* said("c", "1")
      assert.strictEqual((yield* get("__proto__", "constructor"))._tag, "None")
      assert.strictEqual((yield* get("a", "4"))._tag, "Some")
      assert.deepStrictEqual(yield* recent("a", Number.NaN), [])
      assert.throws(() => InteractionStore.layerMemory({ sessions: 0 }), /Invalid option "sessions"/)
    }).pipe(Effect.provide(InteractionStore.layerMemory({ sessions: 2, perSession: 2 }))))
})
