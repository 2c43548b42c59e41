/**
 * Reads texts out with `espeak-ng`, a program that speaks many languages without a network, one process for each text.
 *
 * It is no voice that one likes to listen to, but it is there in a test and on a train. The program has to be installed
 * (`apt-get install espeak-ng`), and the process comes from `effect/process`: on Node, from `@effect/platform-node-shared`.
 *
 * ```ts
 * import { NodeChildProcessSpawner, NodeFileSystem, NodePath } from "@effect/platform-node-shared"
 * import { Layer } from "effect"
 * import { Espeak } from "stageflow/ports"
 *
 * const voice = Espeak.layer({ voice: "en-gb" }).pipe(
 *   Layer.provide(NodeChildProcessSpawner.layer),
 *   Layer.provide([NodeFileSystem.layer, NodePath.layer])
 * )
 * ```
 *
 * The text goes through the standard input, so it is never taken for an option. Whoever stops listening ends the process.
 */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as PlatformError from "effect/PlatformError"
import { ChildProcess, ChildProcessSpawner } from "effect/process"
import * as Stream from "effect/Stream"
import { elapsedMillis } from "../internal/clock.ts"
import * as options from "../internal/options.ts"
import { Pcm, Wav } from "../streaming/index.ts"
import { formatOption, unfitReason } from "./internal/audio-format.ts"
import type { Reason } from "./internal/failure.ts"
import { type Options, TextToSpeech, TextToSpeechFailed } from "./TextToSpeech.ts"
import { TTSResponse } from "./TTSResponse.ts"

/**
 * How it is to speak.
 */
export interface Settings {
  /** The program. `"espeak-ng"` when left out. */
  readonly program?: string | undefined
  /** A voice of `espeak-ng --voices`, where a call does not say another. `"en"` when left out. */
  readonly voice?: string | undefined
  /** Words in a minute at speed 1. 175 when left out. */
  readonly wordsPerMinute?: number | undefined
  /** How long it may be silent before it is taken to hang. 10 seconds when left out. */
  readonly timeout?: Duration.Input | undefined
  /** The format of the audio. `Pcm.speech` when left out. */
  readonly output?: Pcm.Format | undefined
}

const service = "espeak-ng"

/** What a voice can be called: nothing that the program takes for something else. */
const isVoice = (name: string): boolean => /^[A-Za-z0-9][\w+-]*$/.test(name)

/** The program does not speak slower or faster than this. */
const slowest = 80
const fastest = 450

const pace = (wordsPerMinute: number, speed: number | undefined): number =>
  Math.round(Math.min(fastest, Math.max(slowest, wordsPerMinute * (speed ?? 1))))

/** What a process that could not be started or read means. */
const processFailed = (program: string, error: PlatformError.PlatformError): Reason =>
  error.reason._tag === "NotFound" ? { _tag: "NotInstalled", program } : { _tag: "Unavailable" }

const refused = (detail: string): Reason => ({ _tag: "Refused", detail })

/**
 * Reads texts out with `espeak-ng`.
 */
export const layer = (
  settings: Settings = {}
): Layer.Layer<TextToSpeech, never, ChildProcessSpawner.ChildProcessSpawner> => {
  const given = options.fields<Settings>(
    "settings",
    ["program", "voice", "wordsPerMinute", "timeout", "output"],
    settings
  )
  const program = options.name("program", given.program ?? service)
  const voice = options.ofKind(
    "voice",
    "the name of a voice",
    (name): name is string => typeof name === "string" && isVoice(name),
    given.voice ?? "en"
  )
  const wordsPerMinute = options.positiveCount("wordsPerMinute", given.wordsPerMinute ?? 175)
  const timeout = options.positiveDuration("timeout", given.timeout ?? "10 seconds")
  const output = formatOption("output", given.output ?? Pcm.speech)

  return Layer.effect(
    TextToSpeech,
    Effect.map(ChildProcessSpawner.ChildProcessSpawner, (processes) => {
      const spoken = Effect.fnUntraced(function*(text: string, asked: Options | undefined) {
        const name = asked?.voice ?? voice
        if (!isVoice(name)) return yield* Effect.fail(refused("unknown_voice"))
        if (text.trim() === "") return yield* Effect.fail(refused("empty_text"))
        const speed = String(pace(wordsPerMinute, asked?.speed))
        const handle = yield* processes.spawn(
          ChildProcess.make(program, ["-v", name, "-s", speed, "--stdin", "--stdout"], {
            stdin: { stream: Stream.encodeText(Stream.make(text)), endOnDone: true },
            stderr: "ignore",
            forceKillAfter: "1 second"
          })
        ).pipe(Effect.mapError((error) => processFailed(program, error)))
        const ending = Stream.unwrap(Effect.match(handle.exitCode, {
          onFailure: (error) => Stream.fail(processFailed(program, error)),
          // It ends with another code for a voice that it does not have, and says nothing else.
          onSuccess: (code) => code === 0 ? Stream.empty : Stream.fail(refused("unknown_voice"))
        }))
        const bytes = Stream.mapError(handle.stdout, (error) => processFailed(program, error))
        return Stream.concat(bytes, ending)
      })

      const stream = (text: string, asked: Options | undefined): Stream.Stream<Pcm.Chunk, TextToSpeechFailed> =>
        Stream.unwrap(spoken(text, asked)).pipe(
          Stream.timeoutOrElse({
            duration: timeout,
            orElse: () => Stream.fail<Reason>({ _tag: "TimedOut", after: timeout })
          }),
          // Whether the audio is whole is said by how the process ends.
          Wav.decodeStream,
          Pcm.convert(output),
          Stream.mapError((error) =>
            new TextToSpeechFailed({
              service,
              reason: error._tag === "AudioInvalid"
                ? unfitReason(error)
                : error._tag === "WavInvalid"
                ? { _tag: "BrokenOff" }
                : error
            })
          )
        )

      return TextToSpeech.of({
        stream,
        speak: Effect.fnUntraced(function*(text, asked) {
          const since = yield* elapsedMillis
          const chunks = yield* Stream.runCollect(stream(text, asked))
          return new TTSResponse({
            audio: Pcm.joined(chunks, output),
            provider: service,
            voice: asked?.voice ?? voice,
            characters: text.length,
            latencyMs: (yield* elapsedMillis) - since
          })
        })
      })
    })
  )
}
