/**
 * Reads a wav piece by piece: its header, which it does not believe, and then the audio in whole frames.
 */
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { joined, Remainder } from "./bytes.ts"
import { type Chunk, Format, frameBytes } from "./format.ts"

const Reason = Schema.Union([
  Schema.TaggedStruct("NotWav", {}),
  Schema.TaggedStruct("HeaderIncomplete", {}),
  Schema.TaggedStruct("HeaderTooLong", { limit: Schema.Int }),
  Schema.TaggedStruct("Unsupported", { encoding: Schema.Int, bitsPerSample: Schema.Int }),
  Schema.TaggedStruct("Truncated", { expected: Schema.Int, received: Schema.Int }),
  Schema.TaggedStruct("PartOfFrame", { bytes: Schema.Int, frameBytes: Schema.Int })
])

const messages: { readonly [R in WavInvalid["reason"] as R["_tag"]]: (reason: R) => string } = {
  NotWav: () => "it is no wav: it does not begin with RIFF and WAVE",
  HeaderIncomplete: () => "it ends before its audio begins",
  HeaderTooLong: ({ limit }) => `its audio does not begin within ${limit} bytes`,
  Unsupported: ({ bitsPerSample, encoding }) =>
    `only whole numbers of 8, 16, 24 or 32 bit are read, not encoding ${encoding} with ${bitsPerSample} bit`,
  Truncated: ({ expected, received }) => `it ends after ${received} byte(s) of audio, and its header says ${expected}`,
  PartOfFrame: ({ bytes, frameBytes }) =>
    `its audio ends within a frame: ${bytes} byte(s), and a frame has ${frameBytes}`
}

/**
 * Some bytes are not the wav that they should be; `reason` says why:
 *
 * - `NotWav`: they are something else.
 * - `HeaderIncomplete`, `HeaderTooLong`: there is no audio, or it does not begin.
 * - `Unsupported`: the audio is compressed, or of another kind of numbers.
 * - `Truncated`: the bytes end before the audio that the header promises does.
 * - `PartOfFrame`: the audio ends within a frame.
 */
export class WavInvalid extends Schema.TaggedError<WavInvalid>()("WavInvalid", { reason: Reason }) {
  readonly code = "WAV_INVALID"
  /** The same bytes are as wrong another time. */
  readonly isRetryable = false
  override get message(): string {
    const { reason } = this
    // The tag chooses the function for its reason.
    const words = messages[reason._tag] as (reason: WavInvalid["reason"]) => string
    return `The wav cannot be read: ${words(reason)}`
  }
}

/** Headers are short, whatever they say. */
const longestHeader = 2 ** 20

/** From here on a size means "until the end": programs that write to a pipe say 0x7ffff000 or 0xffffffff. */
const unknownFrom = 0x7ffff000

const integers = 1
const extensible = 0xfffe

const isFormat = Schema.is(Format)

type Read<A> = Result.Result<A, WavInvalid>

const refused = (reason: WavInvalid["reason"]): Read<never> => Result.fail(new WavInvalid({ reason }))

const textAt = (view: DataView, at: number): string =>
  String.fromCharCode(...[0, 1, 2, 3].map((index) => view.getUint8(at + index)))

/** What is in the chunk `fmt `, of which these are the first bytes. */
const formatIn = (view: DataView): Read<Format> => {
  const size = view.byteLength
  if (size < 16) return refused({ _tag: "Unsupported", encoding: 0, bitsPerSample: 0 })
  const stated = view.getUint16(0, true)
  // The longer form has the encoding further on.
  const encoding = stated === extensible && size >= 26 ? view.getUint16(24, true) : stated
  const format = {
    channels: view.getUint16(2, true),
    sampleRate: view.getUint32(4, true),
    bitsPerSample: view.getUint16(14, true)
  }
  return encoding === integers && isFormat(format)
    ? Result.succeed(format)
    : refused({ _tag: "Unsupported", encoding, bitsPerSample: format.bitsPerSample })
}

/** As much of the chunk `fmt ` as is looked at. */
const formatBytes = 26

/** What the next bytes are, and how many of them are needed to go on. */
type Part =
  | { readonly _tag: "Beginning" }
  | { readonly _tag: "ChunkHeader" }
  | { readonly _tag: "Format"; readonly needed: number; readonly size: number }
  | { readonly _tag: "Skipped"; readonly size: number }
  | { readonly _tag: "Audio"; readonly format: Format; readonly promised: number | undefined }

const neededFor = (part: Part): number => {
  switch (part._tag) {
    case "Beginning":
      return 12
    case "ChunkHeader":
      return 8
    case "Format":
      return part.needed
    default:
      return 1
  }
}

const padded = (size: number): number => size + size % 2

export class WavReader {
  private readonly isLenient: boolean
  private readonly rest = new Remainder()
  private part: Part = { _tag: "Beginning" }
  /** Bytes that are too few to go on with. */
  private waiting: Uint8Array = new Uint8Array(0)
  private headerSize = 0
  /** The size of everything, as the header says it. */
  private stated = 0
  private format: Format | undefined
  private received = 0

  constructor(isLenient: boolean) {
    this.isLenient = isLenient
  }

  /** The audio in these bytes, if there is some. */
  next(given: Uint8Array): Read<Chunk | undefined> {
    let bytes = this.waiting.byteLength === 0 ? given : joined([this.waiting, given])
    while (this.part._tag !== "Audio" && bytes.byteLength >= neededFor(this.part)) {
      const used = this.step(this.part, bytes)
      if (Result.isFailure(used)) return Result.fail(used.failure)
      this.headerSize += used.success
      if (this.headerSize > longestHeader) return refused({ _tag: "HeaderTooLong", limit: longestHeader })
      bytes = bytes.subarray(used.success)
    }
    if (this.part._tag === "Audio") {
      this.waiting = bytes.subarray(bytes.byteLength)
      return Result.succeed(this.audioOf(this.part, bytes))
    }
    // A copy: whoever gave the bytes may write over them.
    this.waiting = bytes.slice()
    return Result.succeed(undefined)
  }

  /** Reads one part of the header, and says how many bytes that were. */
  private step(part: Exclude<Part, { readonly _tag: "Audio" }>, bytes: Uint8Array): Read<number> {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    switch (part._tag) {
      case "Beginning":
        if (textAt(view, 0) !== "RIFF" || textAt(view, 8) !== "WAVE") return refused({ _tag: "NotWav" })
        this.stated = view.getUint32(4, true)
        this.part = { _tag: "ChunkHeader" }
        return Result.succeed(12)
      case "ChunkHeader":
        return Result.map(this.partOf(textAt(view, 0), view.getUint32(4, true)), (next) => {
          this.part = next
          return 8
        })
      case "Format":
        return Result.map(formatIn(new DataView(bytes.buffer, bytes.byteOffset, part.needed)), (format) => {
          this.format = format
          this.part = { _tag: "Skipped", size: padded(part.size) - part.needed }
          return part.needed
        })
      case "Skipped": {
        const skipped = Math.min(part.size, bytes.byteLength)
        this.part = skipped === part.size ? { _tag: "ChunkHeader" } : { _tag: "Skipped", size: part.size - skipped }
        return Result.succeed(skipped)
      }
    }
  }

  private partOf(name: string, size: number): Read<Part> {
    if (name === "fmt ") return Result.succeed({ _tag: "Format", needed: Math.min(size, formatBytes), size })
    if (name !== "data") return Result.succeed({ _tag: "Skipped", size: padded(size) })
    if (this.format === undefined) return refused({ _tag: "HeaderIncomplete" })
    const isUnknown = size >= unknownFrom || (size === 0 && (this.stated === 0 || this.stated >= unknownFrom))
    return Result.succeed({ _tag: "Audio", format: this.format, promised: isUnknown ? undefined : size })
  }

  private audioOf({ format, promised }: Extract<Part, { readonly _tag: "Audio" }>, bytes: Uint8Array): Chunk {
    // Behind the audio there may be other chunks.
    const audio = promised === undefined ? bytes : bytes.subarray(0, Math.max(0, promised - this.received))
    this.received += audio.byteLength
    return { format, bytes: this.rest.wholeOf(audio, frameBytes(format)) }
  }

  /** There are no more bytes. */
  end(): Read<Format> {
    const { part, received, rest } = this
    if (part._tag !== "Audio") return refused({ _tag: part._tag === "Beginning" ? "NotWav" : "HeaderIncomplete" })
    const { format, promised } = part
    if (this.isLenient) return Result.succeed(format)
    if (promised !== undefined && received < promised) {
      return refused({ _tag: "Truncated", expected: promised, received })
    }
    return rest.size === 0
      ? Result.succeed(format)
      : refused({ _tag: "PartOfFrame", bytes: rest.size, frameBytes: frameBytes(format) })
  }
}
