/**
 * Describes and changes plain audio: samples one after the other, without a header, as microphones and voices give it.
 *
 * A `Chunk` is some bytes and the format that they are in, so audio in another format is seen where it comes in and not
 * heard as noise at the end. `speech` is the format of speech in this package: 16 kHz, mono, 16 bit. `convert` makes it of
 * others.
 *
 * ```ts
 * import { Effect, Stream } from "effect"
 * import { Pcm } from "stageflow/streaming"
 *
 * const telephone: Pcm.Format = { sampleRate: 8000, channels: 1, bitsPerSample: 16 }
 * const beep = Pcm.tone(telephone, { hertz: 440, duration: "1 second" })
 *
 * const frames = Stream.make(beep).pipe(
 *   Pcm.convert(Pcm.speech),
 *   Pcm.frames("20 millis"),
 *   Stream.runCollect
 * )
 * console.log((await Effect.runPromise(frames)).length)
 * // prints: 50
 * ```
 *
 * Samples are little-endian integers, channels interleaved; with 8 bits they are unsigned, as in a wav. `convert` draws
 * straight lines between samples. That is good enough for speech; music that goes to a lower sample rate wants a filter.
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { dual } from "effect/Function"
import * as Stream from "effect/Stream"
import * as options from "../internal/options.ts"
import { joined as joinedBytes, Remainder } from "./internal/bytes.ts"
import { AudioInvalid, type Chunk, type Format, formatOf, frameBytes, isSame, problemWith } from "./internal/format.ts"
import { Resampler } from "./internal/resampler.ts"
import { readSample, writeSample } from "./internal/samples.ts"

export { AudioInvalid, Chunk, describe, Format, frameBytes } from "./internal/format.ts"

/**
 * The format of speech: 16 kHz, mono, 16 bit.
 */
export const speech: Format = { sampleRate: 16_000, channels: 1, bitsPerSample: 16 }

/**
 * How many bytes audio of a duration has, in whole frames.
 */
export const bytesIn = (format: Format, duration: Duration.Input): number =>
  Math.round(Duration.toMillis(options.duration("duration", duration)) * format.sampleRate / 1000) * frameBytes(format)

/**
 * How many milliseconds so many bytes last.
 */
export const millisOf = (format: Format, bytes: number): number => bytes / frameBytes(format) / format.sampleRate * 1000

/**
 * How long a chunk lasts.
 */
export const durationOf = ({ bytes, format }: Chunk): Duration.Duration =>
  Duration.millis(millisOf(format, bytes.byteLength))

/**
 * Audio of samples between -1 and 1, of one channel after the other in each frame. What is louder is cut.
 */
export const fromSamples = (samples: Iterable<number>, format: Format = speech): Chunk => {
  const all = Array.from(samples)
  const width = format.bitsPerSample / 8
  const bytes = new Uint8Array(all.length * width)
  const view = new DataView(bytes.buffer)
  all.forEach((sample, index) => writeSample(view, index * width, format.bitsPerSample, sample))
  return { format, bytes }
}

/**
 * The samples of a chunk, between -1 and 1.
 */
export const samplesOf = ({ bytes, format }: Chunk): Float64Array => {
  const width = format.bitsPerSample / 8
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const samples = new Float64Array(Math.floor(bytes.byteLength / width))
  for (let index = 0; index < samples.length; index++) {
    samples[index] = readSample(view, index * width, format.bitsPerSample)
  }
  return samples
}

/**
 * Nothing to hear, for a duration.
 */
export const silence = (format: Format, duration: Duration.Input): Chunk => {
  const bytes = new Uint8Array(bytesIn(format, duration))
  return { format, bytes: format.bitsPerSample === 8 ? bytes.fill(128) : bytes }
}

/**
 * A tone: what tests and examples hear in place of a voice. Its `level` is 0.5 when left out.
 */
export const tone = (
  format: Format,
  settings: {
    readonly hertz: number
    readonly duration: Duration.Input
    readonly level?: number | undefined
  }
): Chunk => {
  const level = options.ratio("level", settings.level ?? 0.5)
  const frames = bytesIn(format, settings.duration) / frameBytes(format)
  const step = 2 * Math.PI * settings.hertz / format.sampleRate
  const samples = Array.from(
    { length: frames * format.channels },
    (_, index) => level * Math.sin(step * Math.floor(index / format.channels))
  )
  return fromSamples(samples, format)
}

/**
 * How loud a chunk is, from 0 to 1: the root of the mean square of its samples.
 */
export const levelOf = (chunk: Chunk): number => {
  const samples = samplesOf(chunk)
  return samples.length === 0
    ? 0
    : Math.sqrt(samples.reduce((sum, sample) => sum + sample * sample, 0) / samples.length)
}

/**
 * The audio of several chunks of one format, one after the other, without another look at them. None of them is nothing, in
 * `format`.
 */
export const joined = (chunks: ReadonlyArray<Chunk>, format: Format = speech): Chunk => ({
  format: chunks[0]?.format ?? format,
  bytes: joinedBytes(chunks.map(({ bytes }) => bytes))
})

/**
 * The audio of several chunks, one after the other. One that has another format is an error.
 */
export const concat = (chunks: Iterable<Chunk>, format: Format = speech): Effect.Effect<Chunk, AudioInvalid> =>
  Effect.map(
    Stream.runCollect(expectFormat(Stream.fromIterable(chunks), format)),
    (all) => joined(all, format)
  )

/** Looks at each chunk, with its number. Its format is the expected one, or that of the first. */
const checkedAs = <A, E, R>(
  self: Stream.Stream<Chunk, E, R>,
  expected: Format | undefined,
  each: (chunk: Chunk, number: number) => Effect.Effect<A, AudioInvalid>
): Stream.Stream<A, E | AudioInvalid, R> =>
  Stream.suspend(() => {
    let number = 0
    let format = expected
    return Stream.mapEffect(self, (chunk) => {
      number++
      const reason = problemWith(format, chunk)
      format ??= chunk.format
      return reason === undefined ? each(chunk, number) : Effect.fail(new AudioInvalid({ chunk: number, reason }))
    })
  })

/**
 * Lets only audio of a format through; a chunk of another, or one that ends within a frame, is an error with its number.
 */
export const expectFormat: {
  (format: Format): <E, R>(self: Stream.Stream<Chunk, E, R>) => Stream.Stream<Chunk, E | AudioInvalid, R>
  <E, R>(self: Stream.Stream<Chunk, E, R>, format: Format): Stream.Stream<Chunk, E | AudioInvalid, R>
} = dual(
  2,
  <E, R>(self: Stream.Stream<Chunk, E, R>, format: Format): Stream.Stream<Chunk, E | AudioInvalid, R> =>
    checkedAs(self, formatOf("format", format), Effect.succeed)
)

/**
 * Lets only audio of one format through, whichever the first chunk has.
 */
export const expectOneFormat = <E, R>(self: Stream.Stream<Chunk, E, R>): Stream.Stream<Chunk, E | AudioInvalid, R> =>
  checkedAs(self, undefined, Effect.succeed)

/**
 * Audio of bytes as they come from a file, a socket or a process, cut anywhere. What is left of a frame when they end is an
 * error.
 */
export const fromBytes: {
  (format: Format): <E, R>(self: Stream.Stream<Uint8Array, E, R>) => Stream.Stream<Chunk, E | AudioInvalid, R>
  <E, R>(self: Stream.Stream<Uint8Array, E, R>, format: Format): Stream.Stream<Chunk, E | AudioInvalid, R>
} = dual(
  2,
  <E, R>(self: Stream.Stream<Uint8Array, E, R>, given: Format): Stream.Stream<Chunk, E | AudioInvalid, R> => {
    const format = formatOf("format", given)
    const width = frameBytes(format)
    return Stream.suspend(() => {
      const rest = new Remainder()
      let chunk = 0
      const whole = Stream.mapEffect(self, (bytes) => {
        chunk++
        return bytes instanceof Uint8Array
          ? Effect.succeed({ format, bytes: rest.wholeOf(bytes, width) })
          : Effect.fail(new AudioInvalid({ chunk, reason: { _tag: "NotAudio" } }))
      })
      const ending = Stream.suspend(() =>
        rest.size === 0
          ? Stream.empty
          : Stream.fail(
            new AudioInvalid({ chunk, reason: { _tag: "PartOfFrame", bytes: rest.size, frameBytes: width } })
          )
      )
      return Stream.concat(Stream.filter(whole, ({ bytes }) => bytes.byteLength > 0), ending)
    })
  }
)

/**
 * Cuts audio into chunks of one duration, however it came; the last one may be shorter.
 */
export const frames: {
  (duration: Duration.Input): <E, R>(self: Stream.Stream<Chunk, E, R>) => Stream.Stream<Chunk, E | AudioInvalid, R>
  <E, R>(self: Stream.Stream<Chunk, E, R>, duration: Duration.Input): Stream.Stream<Chunk, E | AudioInvalid, R>
} = dual(
  2,
  <E, R>(self: Stream.Stream<Chunk, E, R>, given: Duration.Input): Stream.Stream<Chunk, E | AudioInvalid, R> => {
    const duration = options.positiveDuration("duration", given)
    return Stream.suspend(() => {
      const rest = new Remainder()
      let format: Format | undefined
      const whole = checkedAs(self, undefined, (chunk) => {
        format = chunk.format
        const width = Math.max(bytesIn(format, duration), frameBytes(format))
        const bytes = rest.wholeOf(chunk.bytes, width)
        return Effect.succeed(Array.from({ length: bytes.byteLength / width }, (_, index) => ({
          format: chunk.format,
          bytes: bytes.subarray(index * width, (index + 1) * width)
        })))
      })
      const ending = Stream.suspend(() =>
        format === undefined || rest.size === 0 ? Stream.empty : Stream.succeed({ format, bytes: rest.takeAll() })
      )
      return Stream.concat(Stream.flattenIterable(whole), ending)
    })
  }
)

const canConvert = (from: Format, to: Format): boolean =>
  from.channels === to.channels || from.channels === 1 || to.channels === 1

/**
 * Makes audio of another format: sample rate, channels (one becomes several, or several become one) and bits. The first
 * chunk says which format the audio has; a later one that differs is an error.
 */
export const convert: {
  (to: Format): <E, R>(self: Stream.Stream<Chunk, E, R>) => Stream.Stream<Chunk, E | AudioInvalid, R>
  <E, R>(self: Stream.Stream<Chunk, E, R>, to: Format): Stream.Stream<Chunk, E | AudioInvalid, R>
} = dual(
  2,
  <E, R>(self: Stream.Stream<Chunk, E, R>, given: Format): Stream.Stream<Chunk, E | AudioInvalid, R> => {
    const to = formatOf("to", given)
    return Stream.suspend(() => {
      let resampler: Resampler | undefined
      const converted = checkedAs(self, undefined, (chunk, number) => {
        const from = chunk.format
        if (isSame(from, to)) return Effect.succeed(chunk)
        if (!canConvert(from, to)) {
          return Effect.fail(new AudioInvalid({ chunk: number, reason: { _tag: "CannotConvert", from, to } }))
        }
        resampler ??= new Resampler(from, to)
        return Effect.succeed(fromSamples(resampler.next(samplesOf(chunk)), to))
      })
      return Stream.filter(converted, ({ bytes }) => bytes.byteLength > 0)
    })
  }
)

/**
 * Gives audio no faster than it is heard: each chunk, and the end, when what comes before has been played. It is what a
 * loudspeaker does. A chunk is not asked for before its time.
 */
export const inRealTime = <E, R>(self: Stream.Stream<Chunk, E, R>): Stream.Stream<Chunk, E, R> =>
  Stream.transformPull(Stream.rechunk(self, 1), (pull) =>
    Effect.sync(() => {
      let playedUntil = Number.NEGATIVE_INFINITY
      return Effect.gen(function*() {
        const now = yield* Clock.currentTimeMillis
        const isEarly = playedUntil > now
        if (isEarly) yield* Effect.sleep(Duration.millis(playedUntil - now))
        const asked = yield* Clock.currentTimeMillis
        const chunks = yield* pull
        const [{ bytes, format }] = chunks
        // That the timer is late is not heard, and does not add up.
        const starts = (isEarly ? playedUntil : asked) + (yield* Clock.currentTimeMillis) - asked
        playedUntil = starts + millisOf(format, bytes.byteLength)
        return chunks
      })
    }))
