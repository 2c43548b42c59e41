/**
 * Describes how audio is written down, and says what is wrong with a chunk of it.
 */
import * as Schema from "effect/Schema"
import * as options from "../../internal/options.ts"

const PositiveInt = Schema.Int.check(Schema.isGreaterThan(0))

/**
 * How audio is written down, as a schema.
 */
export const Format = Schema.Struct({
  /** Samples in a second, of each channel. */
  sampleRate: PositiveInt,
  channels: PositiveInt,
  bitsPerSample: Schema.Literals([8, 16, 24, 32])
})

/**
 * How audio is written down.
 */
export interface Format extends Schema.Schema.Type<typeof Format> {}

/**
 * Some audio and its format, as a schema.
 */
export const Chunk = Schema.Struct({ format: Format, bytes: Schema.Uint8Array })

/**
 * Some audio and its format. It holds whole frames: one sample of each channel.
 */
export interface Chunk extends Schema.Schema.Type<typeof Chunk> {}

/**
 * A format in words: `"16000 Hz, 1 channel, 16 bit"`.
 */
export const describe = ({ bitsPerSample, channels, sampleRate }: Format): string =>
  `${sampleRate} Hz, ${channels} ${channels === 1 ? "channel" : "channels"}, ${bitsPerSample} bit`

/**
 * How many bytes a frame has: one sample of each channel.
 */
export const frameBytes = ({ bitsPerSample, channels }: Format): number => channels * bitsPerSample / 8

/** Whether two formats are one. */
export const isSame = (one: Format, other: Format): boolean =>
  one.sampleRate === other.sampleRate && one.channels === other.channels && one.bitsPerSample === other.bitsPerSample

const isFormat = Schema.is(Format)

/** A format that is given as an option. */
export const formatOf = (option: string, given: Format): Format =>
  options.ofKind(
    option,
    "a format with sampleRate, channels and bitsPerSample (8, 16, 24 or 32)",
    (value): value is Format => isFormat(value),
    given
  )

const Reason = Schema.Union([
  Schema.TaggedStruct("FormatDiffers", { expected: Format, given: Format }),
  Schema.TaggedStruct("PartOfFrame", { bytes: Schema.Int, frameBytes: Schema.Int }),
  Schema.TaggedStruct("CannotConvert", { from: Format, to: Format }),
  Schema.TaggedStruct("NotAudio", {})
])

const messages: { readonly [R in AudioInvalid["reason"] as R["_tag"]]: (reason: R) => string } = {
  FormatDiffers: ({ expected, given }) => `has another format: ${describe(given)} instead of ${describe(expected)}`,
  PartOfFrame: ({ bytes, frameBytes }) => `ends within a frame: ${bytes} byte(s), and a frame has ${frameBytes}`,
  CannotConvert: ({ from, to }) => `cannot be converted from ${from.channels} to ${to.channels} channels`,
  NotAudio: () => "is no audio chunk: that is { format, bytes }"
}

/**
 * A chunk is not the audio that it should be. `chunk` counts from 1; `reason` says why:
 *
 * - `FormatDiffers`: its format is not the one that is expected, or not that of the chunks before.
 * - `PartOfFrame`: its bytes are no whole frames, as an odd number of them with 16 bit.
 * - `CannotConvert`: from several channels to several others: nobody says which becomes which.
 * - `NotAudio`: it has no bytes or no format at all.
 */
export class AudioInvalid extends Schema.TaggedError<AudioInvalid>()("AudioInvalid", {
  chunk: Schema.Int,
  reason: Reason
}) {
  readonly code = "AUDIO_INVALID"
  /** The same audio is as wrong another time. */
  readonly isRetryable = false
  override get message(): string {
    const { reason } = this
    // The tag chooses the function for its reason.
    const words = messages[reason._tag] as (reason: AudioInvalid["reason"]) => string
    return `Audio chunk ${this.chunk} ${words(reason)}`
  }
}

const isChunk = (given: Chunk): boolean => {
  // Without types it can be anything.
  const { bytes, format } = Object(given) as Partial<Chunk>
  return bytes instanceof Uint8Array && isFormat(format)
}

/** What is wrong with a chunk that should be whole frames of a format, or of any. */
export const problemWith = (expected: Format | undefined, chunk: Chunk): AudioInvalid["reason"] | undefined => {
  if (!isChunk(chunk)) return { _tag: "NotAudio" }
  const { bytes, format } = chunk
  if (expected !== undefined && !isSame(expected, format)) {
    return { _tag: "FormatDiffers", expected, given: { ...format } }
  }
  const width = frameBytes(format)
  return bytes.byteLength % width === 0
    ? undefined
    : { _tag: "PartOfFrame", bytes: bytes.byteLength, frameBytes: width }
}
