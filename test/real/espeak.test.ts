/**
 * The voice of espeak-ng, where it is installed: `apt-get install espeak-ng`.
 */
import { NodeChildProcessSpawner, NodeFileSystem, NodePath } from "@effect/platform-node-shared"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Stream } from "effect"
import { spawnSync } from "node:child_process"
import { Contract, Espeak, TextToSpeech } from "stageflow/ports"
import { BargeIn, Pcm, Wav } from "stageflow/streaming"

const isInstalled = spawnSync("espeak-ng", ["--version"]).status === 0

const layer = (settings?: Espeak.Settings) =>
  Espeak.layer(settings).pipe(
    Layer.provide(NodeChildProcessSpawner.layer),
    Layer.provide([NodeFileSystem.layer, NodePath.layer])
  )

const say = (text: string, options?: TextToSpeech.Options) =>
  Stream.unwrap(Effect.map(TextToSpeech.TextToSpeech, (port) => port.stream(text, options)))

const failureOf = (text: string, options?: TextToSpeech.Options, settings?: Espeak.Settings) =>
  Effect.flip(Stream.runDrain(Stream.provide(say(text, options), layer(settings))))

const running = () => spawnSync("pgrep", ["-x", "espeak-ng"], { encoding: "utf8" }).stdout.trim()

describe.skipIf(!isInstalled)("Espeak", () => {
  for (const check of Contract.textToSpeech()) {
    it.live(check.name, () => Effect.provide(check.run, layer()))
  }

  it.live("speaks in the format that is asked for, and a text is never an option", () =>
    Effect.gen(function*() {
      const chunks = yield* Stream.runCollect(say("--version").pipe(Stream.provide(layer())))
      const speech = yield* Pcm.concat(chunks)
      assert.isAbove(Pcm.millisOf(Pcm.speech, speech.bytes.byteLength), 300)
      assert.deepStrictEqual((yield* Wav.decode(Wav.encode(speech))).bytes, speech.bytes)
      const fast = yield* Effect.flatMap(TextToSpeech.TextToSpeech, (port) => port.speak("--version", { speed: 2 }))
        .pipe(
          Effect.provide(layer())
        )
      assert.isBelow(fast.durationMs, Pcm.millisOf(Pcm.speech, speech.bytes.byteLength))
    }))

  it.live("ends its process when somebody else speaks", () =>
    Effect.gen(function*() {
      const long = "This is a very long sentence that nobody wants to hear to its end. ".repeat(200)
      const heard = yield* say(long).pipe(
        Pcm.frames("20 millis"),
        Pcm.inRealTime,
        BargeIn.stopWhen(Effect.sleep("300 millis")),
        Stream.runCount,
        Effect.provide(layer())
      )
      assert.isBelow(heard, 20)
      assert.strictEqual(running(), "")
    }))

  it.live("says what is wrong: no such voice, no such program, no words", () =>
    Effect.gen(function*() {
      const voice = yield* failureOf("Hello", { voice: "klingonese" })
      assert.deepStrictEqual(voice.reason, { _tag: "Refused", detail: "unknown_voice" })
      assert.deepStrictEqual((yield* failureOf("Hello", { voice: "-f/etc/passwd" })).reason, voice.reason)
      assert.deepStrictEqual((yield* failureOf(" ")).reason, { _tag: "Refused", detail: "empty_text" })
      const program = yield* failureOf("Hello", {}, { program: "no-such-espeak" })
      assert.strictEqual(
        program.message,
        "Text to speech (espeak-ng): needs the program \"no-such-espeak\", which is not installed"
      )
      assert.isFalse(program.isRetryable)
      // A program that speaks no wav.
      const other = yield* failureOf("Hello", {}, { program: "echo" })
      assert.deepStrictEqual([other.reason._tag, other.isRetryable], ["BrokenOff", true])
    }))
})
