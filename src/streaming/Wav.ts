/**
 * Reads and writes wav, so that a person can listen to audio and files can be put into a pipeline.
 *
 * ```ts
 * import { Effect } from "effect"
 * import { Pcm, Wav } from "stageflow/streaming"
 *
 * const program = Effect.gen(function*() {
 *   const file = Wav.encode(Pcm.tone(Pcm.speech, { hertz: 440, duration: "1 second" }))
 *   const { bytes, format } = yield* Wav.decode(file)
 *   return [file.byteLength, bytes.byteLength, Pcm.describe(format)]
 * })
 *
 * console.log(await Effect.runPromise(program))
 * // prints: [ 32044, 32000, '16000 Hz, 1 channel, 16 bit' ]
 * ```
 *
 * What is read is not believed: a header may say more audio than there is, or have chunks that no one knows. Programs that
 * write a wav to a pipe cannot know how long it will be, and say so with a size that no file has; then audio lasts until the
 * bytes end. Only whole numbers are read (PCM), not compressed audio.
 */
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Stream from "effect/Stream"
import * as options from "../internal/options.ts"
import { joined } from "./internal/bytes.ts"
import { type AudioInvalid, type Chunk, type Format, formatOf, frameBytes } from "./internal/format.ts"
import { WavReader } from "./internal/wav-reader.ts"
import type { WavInvalid } from "./internal/wav-reader.ts"
import { expectFormat } from "./Pcm.ts"

export { WavInvalid } from "./internal/wav-reader.ts"

/** What the header of a stream says, whose length nobody knows yet. */
const unknownSize = 0xffffffff

const headerBytes = 44

const write = (view: DataView, at: number, text: string): void => {
  for (let index = 0; index < text.length; index++) view.setUint8(at + index, text.charCodeAt(index))
}

/**
 * The first 44 bytes of a wav. Without the number of bytes of audio that follow, it says that they last until the end.
 */
export const header = (format: Format, audioBytes?: number): Uint8Array => {
  formatOf("format", format)
  if (audioBytes !== undefined) options.count("audioBytes", audioBytes)
  const width = frameBytes(format)
  const bytes = new Uint8Array(headerBytes)
  const view = new DataView(bytes.buffer)
  // Chunks of wav have even lengths.
  const padded = audioBytes === undefined ? unknownSize : audioBytes + audioBytes % 2
  write(view, 0, "RIFF")
  view.setUint32(4, audioBytes === undefined ? unknownSize : padded + headerBytes - 8, true)
  write(view, 8, "WAVEfmt ")
  view.setUint32(16, 16, true)
  view.setUint16(20, 1, true)
  view.setUint16(22, format.channels, true)
  view.setUint32(24, format.sampleRate, true)
  view.setUint32(28, format.sampleRate * width, true)
  view.setUint16(32, width, true)
  view.setUint16(34, format.bitsPerSample, true)
  write(view, 36, "data")
  view.setUint32(40, audioBytes ?? unknownSize, true)
  return bytes
}

/**
 * A whole wav.
 */
export const encode = ({ bytes, format }: Chunk): Uint8Array => {
  const size = bytes.byteLength
  return joined([header(format, size), bytes, new Uint8Array(size % 2)])
}

/**
 * Writes audio of one format as a wav while it comes. Its header does not say how long it is, which players know.
 */
export const encodeStream = <E, R>(
  self: Stream.Stream<Chunk, E, R>,
  format: Format
): Stream.Stream<Uint8Array, E | AudioInvalid, R> =>
  Stream.concat(
    Stream.suspend(() => Stream.succeed(header(format))),
    Stream.map(expectFormat(self, format), ({ bytes }) => bytes)
  )

/**
 * What to do about a wav that ends before the audio that its header promises: fail after what is there (`"fail"`, when left
 * out), or take what is there (`"keep"`).
 */
export interface Settings {
  readonly truncated?: "fail" | "keep" | undefined
}

const isLenient = (given: Settings = {}): boolean =>
  options.oneOf(
    "truncated",
    ["fail", "keep"],
    options.fields<Settings>("settings", ["truncated"], given).truncated ?? "fail"
  ) === "keep"

/**
 * Reads a wav while it comes, cut anywhere. Audio that came before an error has been given.
 */
export const decodeStream = <E, R>(
  self: Stream.Stream<Uint8Array, E, R>,
  settings?: Settings
): Stream.Stream<Chunk, E | WavInvalid, R> => {
  const lenient = isLenient(settings)
  return Stream.suspend(() => {
    const reader = new WavReader(lenient)
    const audio = Stream.mapEffect(self, (bytes) => Effect.fromResult(reader.next(bytes)))
    const ending = Stream.suspend(() =>
      Result.match(reader.end(), { onFailure: Stream.fail, onSuccess: () => Stream.empty })
    )
    return Stream.filter(
      Stream.concat(audio, ending),
      (chunk): chunk is Chunk => chunk !== undefined && chunk.bytes.byteLength > 0
    )
  })
}

/**
 * Reads a whole wav.
 */
export const decode = (wav: Uint8Array, settings?: Settings): Effect.Effect<Chunk, WavInvalid> => {
  const lenient = isLenient(settings)
  return Effect.suspend(() => {
    const reader = new WavReader(lenient)
    return Effect.fromResult(Result.gen(function*() {
      const chunk = yield* reader.next(wav)
      const format = yield* reader.end()
      return chunk ?? { format, bytes: new Uint8Array(0) }
    }))
  })
}
