import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Stream } from "effect"
import { Pcm } from "stageflow/streaming"
import { Simulation } from "stageflow/testing"

const stereo: Pcm.Format = { sampleRate: 44_100, channels: 2, bitsPerSample: 16 }

const errorOf = <A, E>(stream: Stream.Stream<A, E>) => Effect.flip(Stream.runDrain(stream))

/** Bytes cut into pieces of these sizes, over and over. */
const cut = (bytes: Uint8Array, sizes: ReadonlyArray<number>): ReadonlyArray<Uint8Array> => {
  const pieces: Array<Uint8Array> = []
  for (let at = 0, index = 0; at < bytes.byteLength; index++) {
    const size = sizes[index % sizes.length] ?? 1
    pieces.push(bytes.slice(at, at + size))
    at += size
  }
  return pieces
}

describe("formats", () => {
  it("know how long audio lasts", () => {
    assert.strictEqual(Pcm.bytesIn(Pcm.speech, "20 millis"), 640)
    assert.strictEqual(Pcm.bytesIn(stereo, "1 second"), 176_400)
    assert.strictEqual(Pcm.millisOf(Pcm.speech, 32_000), 1000)
    assert.strictEqual(Pcm.describe(stereo), "44100 Hz, 2 channels, 16 bit")
  })

  it("keep samples, with every number of bits", () => {
    for (const bitsPerSample of [8, 16, 24, 32] as const) {
      const chunk = Pcm.fromSamples([0, 0.5, -0.5, -1, 2, Number.NaN], { ...Pcm.speech, bitsPerSample })
      assert.strictEqual(chunk.bytes.byteLength, 6 * bitsPerSample / 8)
      const [zero, half, minusHalf, minusOne, loud, nothing] = Pcm.samplesOf(chunk)
      assert.deepStrictEqual([zero, half, minusHalf, minusOne, nothing], [0, 0.5, -0.5, -1, 0])
      assert.closeTo(loud ?? 0, 1, 0.01)
    }
    assert.strictEqual(Pcm.levelOf(Pcm.silence({ ...Pcm.speech, bitsPerSample: 8 }, "20 millis")), 0)
    assert.closeTo(
      Pcm.levelOf(Pcm.tone(Pcm.speech, { hertz: 100, duration: "1 second", level: 1 })),
      Math.SQRT1_2,
      0.01
    )
  })
})

describe("frames", () => {
  it.effect("have one duration, however the bytes were cut, and nothing is lost", () =>
    Effect.gen(function*() {
      const tone = Pcm.tone(Pcm.speech, { hertz: 300, duration: "105 millis" })
      for (const sizes of [[1], [3, 640, 7], [10_000], [641]]) {
        const frames = yield* Stream.fromIterable(cut(tone.bytes, sizes)).pipe(
          Pcm.fromBytes(Pcm.speech),
          Pcm.frames("20 millis"),
          Stream.runCollect
        )
        assert.deepStrictEqual(frames.map(({ bytes }) => bytes.byteLength), [640, 640, 640, 640, 640, 160])
        assert.deepStrictEqual(Buffer.concat(frames.map(({ bytes }) => bytes)), Buffer.from(tone.bytes))
      }
    }))

  it.effect("an odd byte at the end is an error that names the chunk", () =>
    Effect.gen(function*() {
      const error = yield* errorOf(Stream.make(new Uint8Array(4), new Uint8Array(3)).pipe(Pcm.fromBytes(Pcm.speech)))
      assert.strictEqual(error.message, "Audio chunk 2 ends within a frame: 1 byte(s), and a frame has 2")
      assert.deepStrictEqual([error.chunk, error.reason._tag, error.isRetryable], [2, "PartOfFrame", false])
    }))
})

describe("audio of another format", () => {
  const good = Pcm.silence(Pcm.speech, "20 millis")

  it.effect("is an error that names the chunk, after what came before", () =>
    Effect.gen(function*() {
      const read: Array<Pcm.Chunk> = []
      const other = { ...good, format: { ...Pcm.speech, sampleRate: 22_050 } }
      const error = yield* Effect.flip(
        Stream.make(good, good, other).pipe(
          Pcm.expectFormat(Pcm.speech),
          Stream.runForEach((chunk) => Effect.sync(() => void read.push(chunk)))
        )
      )
      assert.strictEqual(
        error.message,
        "Audio chunk 3 has another format: 22050 Hz, 1 channel, 16 bit instead of 16000 Hz, 1 channel, 16 bit"
      )
      assert.strictEqual(read.length, 2)
      assert.strictEqual((yield* errorOf(Pcm.frames(Stream.make(good, other), "20 millis"))).chunk, 2)
    }))

  it.effect("is an error when it is no audio at all", () =>
    Effect.gen(function*() {
      // As it comes where nothing was checked.
      const rubbish: ReadonlyArray<unknown> = [null, undefined, "audio", {}, { bytes: "x", format: Pcm.speech }, {
        bytes: new Uint8Array(2),
        format: { sampleRate: Number.NaN, channels: 1, bitsPerSample: 16 }
      }]
      for (const chunk of rubbish) {
        const error = yield* errorOf(Pcm.expectFormat(Stream.make(good, chunk as Pcm.Chunk), Pcm.speech))
        assert.deepStrictEqual([error.chunk, error.reason._tag], [2, "NotAudio"])
      }
      const odd = { ...good, bytes: new Uint8Array(641) }
      assert.strictEqual((yield* errorOf(Pcm.convert(Stream.make(odd), stereo))).reason._tag, "PartOfFrame")
    }))

  it("is refused as a format", () => {
    const wrong: unknown = { sampleRate: 0, channels: 1, bitsPerSample: 16 }
    assert.throws(() => Pcm.convert(Stream.empty, wrong as Pcm.Format), /Invalid option "to"/)
    assert.throws(() => Pcm.frames(Stream.empty, 0), /Invalid option "duration"/)
  })
})

describe("convert", () => {
  const converted = (chunks: ReadonlyArray<Pcm.Chunk>, to: Pcm.Format) =>
    Effect.flatMap(Stream.runCollect(Pcm.convert(Stream.fromIterable(chunks), to)), (all) => Pcm.concat(all, to))

  it.effect("keeps the duration and the tone, to every format and back, wherever it is cut", () =>
    Effect.gen(function*() {
      const formats: ReadonlyArray<Pcm.Format> = [
        { sampleRate: 8000, channels: 1, bitsPerSample: 8 },
        { sampleRate: 22_050, channels: 2, bitsPerSample: 24 },
        { ...stereo, bitsPerSample: 32 }
      ]
      const tone = Pcm.tone(Pcm.speech, { hertz: 200, duration: "200 millis", level: 0.8 })
      for (const format of formats) {
        const there = yield* converted([tone], format)
        const pieces = cut(tone.bytes, [2, 6, 640]).map((bytes) => ({ format: Pcm.speech, bytes }))
        assert.deepStrictEqual((yield* converted(pieces, format)).bytes, there.bytes)
        assert.closeTo(Pcm.millisOf(format, there.bytes.byteLength), 200, 0.2)
        const back = Pcm.samplesOf(yield* converted([there], Pcm.speech))
        Pcm.samplesOf(tone).slice(0, back.length).forEach((sample, index) =>
          assert.closeTo(sample, back[index] ?? 0, 0.03)
        )
      }
    }))

  it.effect("makes several channels one by their mean, and refuses several for several others", () =>
    Effect.gen(function*() {
      const two = Pcm.fromSamples([0.5, -0.25, 1, 0], { ...Pcm.speech, channels: 2 })
      assert.deepStrictEqual(Array.from(Pcm.samplesOf(yield* converted([two], Pcm.speech))), [0.125, 0.5])
      const error = yield* Effect.flip(converted([two], { ...Pcm.speech, channels: 3 }))
      assert.strictEqual(error.message, "Audio chunk 1 cannot be converted from 2 to 3 channels")
    }))
})

describe("inRealTime", () => {
  it.effect("gives audio no faster than it is heard", () =>
    Effect.gen(function*() {
      const frames = Stream.make(Pcm.silence(Pcm.speech, "1 second")).pipe(Pcm.frames("20 millis"), Pcm.inRealTime)
      const { elapsed, exit } = yield* Simulation.simulate(Stream.runCount(frames))
      assert.deepStrictEqual([exit, elapsed.toString()], [Exit.succeed(50), "1000 millis"])
    }))
})
