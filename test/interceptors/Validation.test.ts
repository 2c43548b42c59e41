import { assert, describe, it } from "@effect/vitest"
import { Effect, Result } from "effect"
import { Pipeline, Snapshot, Stage } from "stageflow"
import * as Interceptors from "stageflow/interceptors"

/** The size of data, found by asking what the largest limit is that it exceeds. */
const isLarger = (data: object, maxBytes: number) => {
  const stage = Stage.transform("stage", { run: Effect.succeed(data) })
  const pipeline = Pipeline.make("p").add(stage).pipe(Pipeline.intercept(Interceptors.outputSize({ maxBytes })))
  return Effect.map(Effect.result(Pipeline.run(pipeline, Snapshot.make())), (result) => {
    if (Result.isSuccess(result)) return false
    const { error } = result.failure
    assert(error instanceof Interceptors.OutputTooLarge)
    assert.isAbove(error.bytes, maxBytes)
    return true
  })
}

const sizeOf = Effect.fnUntraced(function*(data: object) {
  let [least, most] = [1, 2 ** 30]
  while (least < most) {
    const middle = Math.floor((least + most) / 2)
    if (yield* isLarger(data, middle)) least = middle + 1
    else most = middle
  }
  return least
})

describe("the size of an output", () => {
  const texts = {
    "ASCII": "a".repeat(10_000),
    "two bytes a character": "é".repeat(10_000),
    "three bytes a character": "語".repeat(10_000),
    "four bytes a character, two units": "😀".repeat(10_000),
    "halves of characters": "\ud83d".repeat(10_000),
    "a half at the end": `${"é".repeat(10_000)}\ud83d`,
    "two halves the wrong way round": "\ude00\ud83d".repeat(10_000),
    "all kinds": "aé語😀\ud83d".repeat(10_000)
  }
  for (const [name, text] of Object.entries(texts)) {
    it.effect(`a text counts as UTF-8: ${name}`, () =>
      Effect.gen(function*() {
        const bytes = new TextEncoder().encode(text).length
        assert.strictEqual((yield* sizeOf({ text })) - (yield* sizeOf({ text: "" })), bytes)
        assert.strictEqual((yield* sizeOf({ [text]: "" })) - (yield* sizeOf({ "": "" })), bytes)
      }))
  }

  const bytes = {
    "an ArrayBuffer": new ArrayBuffer(10_000),
    "a SharedArrayBuffer": new SharedArrayBuffer(10_000),
    "a Uint8Array": new Uint8Array(10_000),
    "a Float64Array": new Float64Array(1250),
    "a DataView": new DataView(new ArrayBuffer(20_000), 10_000),
    "a part of a buffer": new Uint8Array(new ArrayBuffer(50_000), 100, 10_000),
    "a Buffer of Node": Buffer.alloc(10_000)
  }
  for (const [name, value] of Object.entries(bytes)) {
    it.effect(`bytes count wherever they are: ${name}`, () =>
      Effect.gen(function*() {
        for (const data of [{ value }, { deep: [{ value }] }, { map: new Map([["value", value]]), set: new Set() }]) {
          const found = yield* sizeOf(data)
          assert(found >= 10_000 && found < 10_100, `${found}`)
        }
      }))
  }

  it.effect("is about that of its JSON", () =>
    Effect.gen(function*() {
      const values = [
        { numbers: Array.from({ length: 5000 }, (_, index) => index) },
        { words: Array.from({ length: 5000 }, (_, index) => `word ${index}`) },
        { rows: Array.from({ length: 500 }, (_, id) => ({ id, name: "a name", tags: ["one", "two"], isNew: true })) },
        { nested: Array.from({ length: 500 }).reduce<object>((inner) => ({ inner }), {}) }
      ]
      for (const data of values) {
        const json = JSON.stringify(data).length
        const found = yield* sizeOf(data)
        assert(found > json * 0.6 && found < json * 2.1, `${found} for ${json}`)
      }
    }))

  it.effect("is not read any further than it takes to know", () =>
    Effect.gen(function*() {
      let read = 0
      const list = (count: number): ReadonlyArray<unknown> => {
        const items: Array<unknown> = []
        for (let index = 0; index < count; index++) {
          Object.defineProperty(items, index, { enumerable: true, get: () => ++read })
        }
        return items
      }
      // What a stage returns is read for other reasons as well: this looks at what reading more would add.
      const readOf = Effect.fnUntraced(function*(data: object) {
        const before = read
        yield* Effect.exit(isLarger(data, 100))
        return read - before
      })
      const short = yield* readOf({ list: list(100) })
      const long = yield* readOf({ list: list(5000) })
      assert.isAtMost(long, short + 100)
    }))

  it.effect("of something deep or wide does not take the stack", () =>
    Effect.gen(function*() {
      const deep = Array.from({ length: 20_000 }).reduce<object>((inner) => ({ inner }), {})
      const wide = { list: Array.from({ length: 200_000 }, (_, index) => ({ index })) }
      for (const data of [deep, wide]) {
        assert.isTrue(yield* isLarger(data, 1000))
        assert.isFalse(yield* isLarger(data, 2 ** 30))
      }
    }))
})

describe("inputs that change", () => {
  const holders = {
    "an ArrayBuffer": (buffer: ArrayBuffer) => buffer,
    "a SharedArrayBuffer": () => new SharedArrayBuffer(8),
    "a DataView": (buffer: ArrayBuffer) => new DataView(buffer),
    "a Uint8Array": (buffer: ArrayBuffer) => new Uint8Array(buffer),
    "bytes in a Map": (buffer: ArrayBuffer) => new Map([["key", buffer]]),
    "bytes in an instance": (buffer: ArrayBuffer) =>
      new class {
        readonly held = buffer
      }()
  }
  const bytesOf = (value: unknown): Uint8Array => {
    if (value instanceof ArrayBuffer || value instanceof SharedArrayBuffer) return new Uint8Array(value)
    if (value instanceof Map) return bytesOf(value.get("key"))
    if (value instanceof DataView) return new Uint8Array(value.buffer)
    return value instanceof Uint8Array ? value : bytesOf((value as { readonly held: unknown }).held)
  }
  it.effect("are found when bytes were handed to somebody else", () =>
    Effect.gen(function*() {
      const buffer = new ArrayBuffer(8)
      const make = Stage.transform("make", { run: Effect.succeed({ buffer, view: new Uint8Array(buffer) }) })
      const read = Stage.work("read", {
        run: ({ make }: { readonly make: { readonly buffer: ArrayBuffer } }) =>
          Effect.sync(() => void structuredClone(make.buffer, { transfer: [make.buffer] }))
      })
      const pipeline = Pipeline.make("p").add(make).add(read, { inputs: ["make"] }).pipe(
        Pipeline.intercept(Interceptors.unchangedInputs())
      )
      const { error } = yield* Effect.flip(Pipeline.run(pipeline, Snapshot.make()))
      assert.instanceOf(error, Interceptors.InputChanged)
    }))

  for (const [name, hold] of Object.entries(holders)) {
    for (const changes of [true, false]) {
      it.effect(`${changes ? "are" : "are not"} found: ${name}`, () =>
        Effect.gen(function*() {
          const bytes = hold(new ArrayBuffer(8))
          const make = Stage.transform("make", { run: Effect.succeed({ bytes: bytes as unknown }) })
          const read = Stage.work("read", {
            run: ({ make }: { readonly make: { readonly bytes: unknown } }) =>
              Effect.sync(() => {
                if (changes) bytesOf(make.bytes)[5] = 1
              })
          })
          const pipeline = Pipeline.make("p").add(make).add(read, { inputs: ["make"] }).pipe(
            Pipeline.intercept(Interceptors.unchangedInputs())
          )
          const result = yield* Effect.result(Pipeline.run(pipeline, Snapshot.make()))
          assert.strictEqual(Result.isFailure(result), changes)
          if (Result.isFailure(result)) assert.instanceOf(result.failure.error, Interceptors.InputChanged)
        }))
    }
  }
})
