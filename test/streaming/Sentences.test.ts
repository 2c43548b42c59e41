import { assert, describe, it } from "@effect/vitest"
import { Effect, Stream } from "effect"
import { Sentences } from "stageflow/streaming"

const split = (tokens: Iterable<string>, settings?: Sentences.Settings) =>
  Stream.runCollect(Sentences.split(Stream.fromIterable(tokens), settings))

describe("Sentences.split", () => {
  it.effect("gives the same sentences wherever the text is cut", () =>
    Effect.gen(function*() {
      const text = "Is it 3.5? \"Yes!\" he said... Well.\nA line\n\n天气好。很好 and no end"
      const sentences = ["Is it 3.5?", "\"Yes!\"", "he said...", "Well.", "A line", "天气好。", "很好 and no end"]
      assert.deepStrictEqual(yield* split([text]), sentences)
      for (const size of [1, 2, 5]) {
        const tokens = Array.from({ length: Math.ceil(text.length / size) }, (_, index) =>
          text.slice(index * size, (index + 1) * size))
        assert.deepStrictEqual(yield* split(tokens), sentences)
      }
    }))

  it.effect("gives a sentence as soon as it is whole", () =>
    Effect.gen(function*() {
      const first = yield* Stream.runHead(Sentences.split(Stream.concat(Stream.make("One. ", "Two"), Stream.never)))
      assert.strictEqual(first._tag === "Some" ? first.value : undefined, "One.")
    }))

  it.effect("cuts what has no end", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* split(["aaa bbb ccc ddddddddddddddd"], { longest: 8 }), [
        "aaa bbb",
        "ccc",
        "dddddddd",
        "ddddddd"
      ])
      const all = yield* split(Array.from({ length: 5000 }, () => "word "))
      assert.isAtMost(Math.max(...all.map(({ length }) => length)), 400)
    }))

  it.effect("is not held up by a row of dots", () =>
    Effect.gen(function*() {
      assert.strictEqual((yield* split([".".repeat(200_000)])).length, 500)
    }))

  it("refuses a length that cannot be", () => {
    assert.throws(() => Sentences.split(Stream.empty, { longest: 0 }), /Invalid option "longest"/)
  })
})
