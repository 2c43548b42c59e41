import { assert, describe, it } from "@effect/vitest"
import { Effect, Stream } from "effect"
import { Pcm, Wav } from "stageflow/streaming"

const tone = Pcm.tone(Pcm.speech, { hertz: 440, duration: "100 millis" })
const file = Wav.encode(tone)

/** A wav with other chunks before its audio, and behind it. */
const withChunks = (before: ReadonlyArray<Uint8Array>, behind: ReadonlyArray<Uint8Array>): Uint8Array =>
  Buffer.concat([file.subarray(0, 36), ...before, file.subarray(36), ...behind])

const chunk = (name: string, size: number, stated = size): Uint8Array => {
  const bytes = Buffer.alloc(8 + size + size % 2)
  bytes.write(name, "latin1")
  bytes.writeUInt32LE(stated, 4)
  return bytes
}

/** The same with another number at a place. */
const patched = (at: number, value: number, width: 2 | 4 = 4): Uint8Array => {
  const bytes = Buffer.from(file)
  if (width === 4) bytes.writeUInt32LE(value, at)
  else bytes.writeUInt16LE(value, at)
  return bytes
}

const streamed = (bytes: Uint8Array, size: number, settings?: Wav.Settings) => {
  const pieces = Array.from(
    { length: Math.ceil(bytes.byteLength / size) },
    (_, index) => bytes.slice(index * size, (index + 1) * size)
  )
  return Effect.gen(function*() {
    const read: Array<Pcm.Chunk> = []
    const exit = yield* Wav.decodeStream(Stream.fromIterable(pieces), settings).pipe(
      Stream.runForEach((each) => Effect.sync(() => void read.push(each))),
      Effect.result
    )
    return {
      bytes: Buffer.concat(read.map((each) => each.bytes)),
      format: read[0]?.format,
      error: exit._tag === "Failure" ? exit.failure : undefined
    }
  })
}

const sizes = [1, 2, 7, 45, 100_000]

describe("Wav", () => {
  it.effect("reads what it writes, whole and cut anywhere, in every format", () =>
    Effect.gen(function*() {
      for (const bitsPerSample of [8, 16, 24, 32] as const) {
        for (const channels of [1, 2, 3]) {
          const audio = Pcm.tone({ sampleRate: 11_025, channels, bitsPerSample }, { hertz: 50, duration: "13 millis" })
          assert.deepStrictEqual(yield* Wav.decode(Wav.encode(audio)), audio)
          for (const size of sizes) {
            const read = yield* streamed(Wav.encode(audio), size)
            assert.deepStrictEqual(read, { bytes: Buffer.from(audio.bytes), format: audio.format, error: undefined })
          }
        }
      }
    }))

  it.effect("of nothing is a wav as well", () =>
    Effect.gen(function*() {
      const empty = { format: Pcm.speech, bytes: new Uint8Array(0) }
      assert.strictEqual(Wav.encode(empty).byteLength, 44)
      assert.deepStrictEqual(yield* Wav.decode(Wav.encode(empty)), empty)
    }))

  it.effect("skips chunks that it does not know, also with odd lengths, before and behind the audio", () =>
    Effect.gen(function*() {
      const wav = withChunks([chunk("LIST", 13), chunk("fact", 4)], [chunk("id3 ", 7)])
      assert.deepStrictEqual((yield* Wav.decode(wav)).bytes, tone.bytes)
      for (const size of sizes) assert.deepStrictEqual((yield* streamed(wav, size)).bytes, Buffer.from(tone.bytes))
    }))

  it.effect("lasts until the end when its size is one that nobody knew", () =>
    Effect.gen(function*() {
      for (const size of [0xffffffff, 0x7ffff000]) {
        assert.deepStrictEqual((yield* Wav.decode(patched(40, size))).bytes, tone.bytes)
      }
      const written = yield* Stream.runCollect(Wav.encodeStream(Stream.make(tone, tone), Pcm.speech))
      assert.strictEqual((yield* Wav.decode(Buffer.concat(written))).bytes.byteLength, tone.bytes.byteLength * 2)
    }))

  it.effect("that ends too early fails after what there is, or is taken as it is", () =>
    Effect.gen(function*() {
      const wav = file.subarray(0, 1001)
      for (const size of sizes) {
        const read = yield* streamed(wav, size)
        assert.strictEqual(
          read.error?.message,
          "The wav cannot be read: it ends after 957 byte(s) of audio, and its header says 3200"
        )
        assert.strictEqual(read.bytes.byteLength, 956)
        assert.deepInclude(yield* streamed(wav, size, { truncated: "keep" }), { bytes: read.bytes, error: undefined })
      }
      const liar = yield* Effect.flip(Wav.decode(patched(40, 5000)))
      assert.deepStrictEqual(liar.reason, { _tag: "Truncated", expected: 5000, received: 3200 })
    }))

  it.effect("that says less than there is gives what it says", () =>
    Effect.gen(function*() {
      assert.strictEqual((yield* Wav.decode(patched(40, 100))).bytes.byteLength, 100)
    }))

  const refused: ReadonlyArray<readonly [what: string, bytes: Uint8Array, reason: string]> = [
    ["nothing", new Uint8Array(0), "NotWav"],
    ["text", Buffer.from("{\"error\": \"no audio today\"}"), "NotWav"],
    ["the beginning of one", file.subarray(0, 30), "HeaderIncomplete"],
    ["one without a format", Buffer.concat([file.subarray(0, 12), file.subarray(36)]), "HeaderIncomplete"],
    ["floating point", patched(20, 3, 2), "Unsupported"],
    ["12 bit", patched(34, 12, 2), "Unsupported"],
    ["no channels", patched(22, 0, 2), "Unsupported"],
    ["a format that is too short", patched(16, 4), "Unsupported"],
    ["a chunk that is longer than everything", withChunks([chunk("LIST", 0, 0x40000000)], []), "HeaderIncomplete"],
    ["a header without an end", withChunks([chunk("LIST", 2 ** 21)], []), "HeaderTooLong"],
    ["half a sample", Buffer.concat([patched(40, 0xffffffff), new Uint8Array(1)]), "PartOfFrame"]
  ]
  for (const [what, bytes, reason] of refused) {
    it.effect(`does not read ${what}`, () =>
      Effect.gen(function*() {
        const error = yield* Effect.flip(Wav.decode(bytes))
        assert.strictEqual(error.reason._tag, reason)
        for (const size of sizes) assert.strictEqual((yield* streamed(bytes, size)).error?.reason._tag, reason)
      }))
  }

  it.effect("does not write audio of two formats", () =>
    Effect.gen(function*() {
      const other = Pcm.silence({ ...Pcm.speech, channels: 2 }, "20 millis")
      const error = yield* Effect.flip(Stream.runDrain(Wav.encodeStream(Stream.make(tone, other), Pcm.speech)))
      assert.deepStrictEqual([error.chunk, error.reason._tag], [2, "FormatDiffers"])
    }))
})
