import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import { cut, left, printable, right, widthOf } from "../../src/observability/internal/cells.ts"

describe("text in cells", () => {
  const widths: ReadonlyArray<readonly [text: string, width: number]> = [
    ["", 0],
    ["router", 6],
    ["é", 1],
    ["e\u0301", 1],
    ["\u0301", 0],
    ["段階", 4],
    ["ﾃｽﾄ", 3],
    ["ＡＢ", 4],
    ["한국", 4],
    ["🚀", 2],
    ["👩‍👩‍👧", 2],
    ["🇩🇪", 2],
    ["❤️", 2],
    ["❤", 1],
    ["✓ ██ … ×", 8]
  ]
  for (const [text, width] of widths) {
    it(`${JSON.stringify(text)} takes ${width}`, () => {
      assert.strictEqual(widthOf(text), width)
    })
  }

  it("is cut with an ellipsis, and never within a character", () => {
    assert.strictEqual(cut("router", 6), "router")
    assert.strictEqual(cut("router", 5), "rout…")
    assert.strictEqual(cut("router", 1), "…")
    assert.strictEqual(cut("router", 0), "")
    assert.strictEqual(cut("段階一", 6), "段階一")
    assert.strictEqual(cut("段階一", 5), "段階…")
    assert.strictEqual(cut("段階一", 4), "段…")
    assert.strictEqual(cut("👩‍👩‍👧👩‍👩‍👧", 3), "👩‍👩‍👧…")
  })

  it("stands at the start or at the end of its cells", () => {
    assert.strictEqual(left("ok", 4), "ok  ")
    assert.strictEqual(right("ok", 4), "  ok")
    assert.strictEqual(left("段階一", 4), "段… ")
    assert.strictEqual(right("段階一", 4), " 段…")
  })

  it("has nothing in it that a terminal would act on", () => {
    assert.strictEqual(printable("two\nlines\tand\r\nmore "), "two lines and more")
    assert.strictEqual(printable("\u001b[31mred\u001b[0m \u009b2J \u0007"), "[31mred [0m 2J")
    assert.strictEqual(printable("abc\u202edef\u2066\u200b"), "abcdef")
    assert.strictEqual(printable("half \ud83d"), "half \ufffd")
    assert.strictEqual(printable("x".repeat(100_000)).length, 1000)
    // Joiners hold emoji together.
    assert.strictEqual(printable("👩‍👩‍👧"), "👩‍👩‍👧")
  })

  const width = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 30 }))
  it.prop("any text fits", [Schema.String, width], ([text, width]) => {
    const shown = printable(text)
    // oxlint-disable-next-line no-control-regex
    assert.notMatch(shown, /[\u0000-\u001f\u007f-\u009f]/)
    assert.isAtMost(widthOf(cut(shown, width)), width)
    assert.strictEqual(widthOf(left(shown, width)), width)
    assert.strictEqual(widthOf(right(shown, width)), width)
  })
})
