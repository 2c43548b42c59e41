/**
 * A voice assistant: somebody asks, the question is understood, a model writes the answer, and a voice reads it out while it
 * is written. The first audio comes before the last token. Then somebody speaks, and the voice falls silent.
 *
 * The microphone, the speech to text, the model and the voice are stand-ins that run in this process; other Layers put real
 * ones in their place. What was heard is in a wav, for you to listen to.
 *
 * npm run example examples/realtime-voice.ts
 */
import { Clock, Console, Effect, Layer, Schedule, Stream } from "effect"
import { LanguageModel, type Response } from "effect/ai"
import { writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Scripted, SpeechToText, TextToSpeech } from "stageflow/ports"
import { BargeIn, ChunkQueue, Pcm, Wav } from "stageflow/streaming"

const answer =
  "Of course. The engine starts by itself. It stops when nobody needs it. And then it waits for the morning."

/** Writes a word every 60 ms. */
const model = Layer.effect(
  LanguageModel.LanguageModel,
  LanguageModel.make({
    generateText: () => Effect.succeed([]),
    streamText: () =>
      Stream.fromIterable(answer.split(/(?<= )/)).pipe(
        Stream.map((delta): Response.StreamPartEncoded => ({ type: "text-delta", id: "1", delta })),
        Stream.schedule(Schedule.spaced("60 millis"))
      )
  })
)

/** Reads a text out as tones, one for each word. */
const toneOf = (word: string, index: number): Pcm.Chunk =>
  Pcm.tone(Pcm.speech, { hertz: 180 + 40 * ((word.length + index) % 6), duration: 40 * word.length + 60, level: 0.3 })
const voice = Layer.succeed(TextToSpeech.TextToSpeech, {
  speak: () => Effect.die("This example streams"),
  stream: (text) => Stream.schedule(Stream.fromIterable(text.split(" ").map(toneOf)), Schedule.spaced("20 millis"))
})

/** Who asked is quiet for four seconds, and then says something. */
const silence = Pcm.silence(Pcm.speech, "20 millis")
const speech = Pcm.tone(Pcm.speech, { hertz: 150, duration: "20 millis" })
const question = Stream.make(Pcm.tone(Pcm.speech, { hertz: 150, duration: "500 millis" }))
const microphone = Pcm.inRealTime(Stream.concat(
  Stream.fromIterable(Array.from({ length: 200 }, () => silence)),
  Stream.forever(Stream.make(speech))
))

const program = Effect.gen(function*() {
  const since = yield* Clock.currentTimeMillis
  const tell = (what: string) =>
    Effect.flatMap(Clock.currentTimeMillis, (now) => Console.log(`${String(now - since).padStart(5)} ms  ${what}`))

  const ears = yield* SpeechToText.SpeechToText
  const asked = yield* Stream.runLast(ears.stream(Pcm.frames(question, "20 millis")))
  yield* tell(asked._tag === "Some" && asked.value._tag === "Final" ? `heard: ${asked.value.response.text}` : "nothing")

  let written = ""
  const tokens = LanguageModel.streamText({ prompt: "How does the engine work?" }).pipe(
    Stream.filter((part) => part.type === "text-delta"),
    Stream.map(({ delta }) => delta),
    Stream.tap((token) => Effect.sync(() => void (written += token))),
    Stream.onEnd(Effect.suspend(() => tell("last token"))),
    ChunkQueue.buffer({ capacity: 1000 })
  )

  const spoken = yield* TextToSpeech.read(tokens).pipe(
    Pcm.frames("20 millis"),
    Stream.onFirst(() => tell("first audio")),
    Pcm.inRealTime,
    BargeIn.stopWhen(BargeIn.voice(microphone), {
      onStopped: ({ chunks }) => tell(`interrupted after ${chunks * 20} ms of audio`)
    }),
    Stream.runCollect
  )
  writeFileSync(join(tmpdir(), "realtime-voice.wav"), Wav.encode(yield* Pcm.concat(spoken)))
  yield* tell(`the answer: ${written}`)
  yield* tell("what was heard of it: realtime-voice.wav, in the folder for temporary files")
})

const heard = Effect.map(
  Scripted.speechToText({ stream: [[{ gives: "How does" }, { gives: "How does the engine work?" }]] }),
  ({ layer }) => layer
)
await Effect.runPromise(Effect.provide(program, [Layer.unwrap(heard), model, voice]))
