import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { Normalise } from "stageflow/guards"
import { growth, hostile } from "./support/hostile.ts"
import { anyTexts, options, texts } from "./support/texts.ts"

const textOf = (original: string): string => Normalise.normalise(original).text

/** Checks that every range of the normalised text leads to the part of the original that it came from. */
const checkMap = (original: string) => {
  const { originalRange, text } = Normalise.normalise(original)
  let rebuilt = ""
  let before = 0
  for (let at = 0; at < text.length;) {
    const { end, start } = originalRange(at, at + 1)
    assert.isAtLeast(start, before, "ranges follow each other")
    assert.isAbove(end, start, "every character came from somewhere")
    // What lies between two ranges cannot be seen.
    assert.strictEqual(textOf(original.slice(before, start)), "")
    const piece = textOf(original.slice(start, end))
    assert.strictEqual(text.slice(at, at + piece.length), piece)
    for (let inside = at; inside < at + piece.length; inside++) {
      assert.deepStrictEqual(originalRange(inside, inside + 1), { start, end }, "a character is never torn apart")
    }
    rebuilt += piece
    at += piece.length
    before = end
  }
  assert.strictEqual(textOf(original.slice(before)), "")
  assert.strictEqual(rebuilt, text)
}

describe("normalised text", () => {
  const same: Readonly<Record<string, ReadonlyArray<readonly [given: string, expected: string]>>> = {
    "compatibility forms": [["ＩＧＮＯＲＥ", "ignore"], ["𝐢𝐠𝐧𝐨𝐫𝐞", "ignore"], ["ⓘⓖⓝⓞⓡⓔ", "ignore"], ["ﬃ", "ffi"]],
    "what cannot be seen": [
      ["i\u200bg\u00adn\u200do\u2060r\ufeffe", "ignore"],
      ["ig\ufe0fnore", "ignore"],
      ["\u202eignore\u202c", "ignore"],
      ["ig\u0000no\u0007re", "ignore"],
      ["\u200b\u200b", ""]
    ],
    "white space stays": [["a\tb\nc\rd\fe\u00a0f\u3000g", "a\tb\nc\rd\fe f g"], ["a\u2028b", "a\nb"]],
    marks: [["Ígnöre", "ignore"], ["e\u0301\u0302\u0303", "e"], ["i\u064bgnore", "ignore"], ["åÅ\u212b", "aaa"]],
    case: [["STRASSE straße", "strasse strasse"], ["ΟΔΟΣ οδος", textOf("οδοσ οδοσ")], ["İı", "ii"]],
    "look-alikes": [["Іgnоrе", "ignore"], ["ιgnοrε", "ignore"], ["🅸🅶🅽🅾🆁🅴", "ignore"], ["øłđ", "old"]],
    "digits of any script": [["٣٤٥", "345"], ["१२३", "123"], ["１２３", "123"], ["𞥓", "3"], ["❶➁➌⓸⑤❿", "1234510"], [
      "⓿🄋🄌⓪",
      "0000"
    ]],
    punctuation: [["1–2‐3−4", "1-2-3-4"], ["a。b", "a.b"], ["＜｜user｜＞", "<|user|>"], ["don’t", "don't"]],
    "digits for letters stay, they can mean more than one": [["1gn0r3", "1gn0r3"], ["$p@m!", "$p@m!"]],
    "marks that are part of a word": [["हिन्दी", "हिन्दी"], ["ガｶﾞ", "ガガ"], ["가ᄀ\u200bᅡ", "가가"]],
    "what would become a sentence stays": [["\ufdfa", "\ufdfa"], ["㌖", "キロメートル"]],
    "HTML character references": [
      ["ada&#64;example&period;com", "ada@example.com"],
      ["&#x49;&#X67;&#110;&oacute;re", "ignore"],
      ["buy&nbsp;now b&shy;uy&NewLine;now", "buy now buy\nnow"],
      ["e&#769;&#x1F600;", "e\u{1f600}"],
      ["&amp;#64; &lt;system&gt;", "&#64; <system>"]
    ],
    "what is no character reference stays": [
      [
        "&#64 &#; &#x; &; & &nosuchname; &#xd800; &#1114112; &#0; &# 64; R&D;",
        "&#64 &#; &#x; &; & &nosuchname; &#xd800; &#1114112; &#0; &# 64; r&d;"
      ],
      [`&#${"0".repeat(40)}64;`, `&#${"0".repeat(40)}64;`]
    ],
    "half a character": [["\ud83dx\udc00", "\ud83dx\udc00"]]
  }
  for (const [title, cases] of Object.entries(same)) {
    it(title, () => {
      for (const [given, expected] of cases) assert.strictEqual(textOf(given), expected, JSON.stringify(given))
    })
  }

  it("every code point is normalised to something that stays as it is", () => {
    // Without Chinese, of which one is like the other.
    for (let codePoint = 0; codePoint < 0x20000; codePoint = codePoint === 0x33ff ? 0xa000 : codePoint + 1) {
      const once = textOf(`a${String.fromCodePoint(codePoint)}`)
      if (textOf(once) !== once) assert.fail(`U+${codePoint.toString(16)} is not normalised at once`)
    }
  })
})

describe("the map back to the original", () => {
  it("covers a character with its marks, and not what cannot be seen behind it", () => {
    const { originalRange, text } = Normalise.normalise("\u200bi\u0301\u200bg\u200bn")
    assert.strictEqual(text, "ign")
    assert.deepStrictEqual(originalRange(0, 1), { start: 1, end: 3 })
    assert.deepStrictEqual(originalRange(0, 2), { start: 1, end: 5 })
    assert.deepStrictEqual(originalRange(2, 3), { start: 6, end: 7 })
  })

  it("covers the whole character where one became several", () => {
    const { originalRange } = Normalise.normalise("xﬃy")
    assert.deepStrictEqual(originalRange(2, 3), { start: 1, end: 2 })
    assert.deepStrictEqual(originalRange(0, 5), { start: 0, end: 3 })
  })

  it("covers a character reference as a whole", () => {
    const { originalRange, text } = Normalise.normalise("a&#64;b&shy;c&#x1F600;&#769;")
    assert.strictEqual(text, "a@bc\u{1f600}")
    assert.deepStrictEqual(originalRange(1, 2), { start: 1, end: 6 })
    assert.deepStrictEqual(originalRange(2, 3), { start: 6, end: 7 })
    assert.deepStrictEqual(originalRange(3, 4), { start: 12, end: 13 })
    assert.deepStrictEqual(originalRange(4, 6), { start: 13, end: 28 })
    assert.deepStrictEqual(originalRange(0, 6), { start: 0, end: 28 })
  })

  it("of an empty range is empty", () => {
    const { originalRange } = Normalise.normalise("ab")
    assert.deepStrictEqual(originalRange(1, 1), { start: 1, end: 1 })
    assert.deepStrictEqual(originalRange(2, 2), { start: 2, end: 2 })
  })

  it.effect.prop("is exact", [texts], ([text]) => Effect.sync(() => checkMap(text)), options)

  it.effect.prop("is exact for any text", [anyTexts], ([text]) => Effect.sync(() => checkMap(text)), options)
})

describe("the cost of normalising", () => {
  for (const [title, unit] of Object.entries(hostile)) {
    it(`grows as the text does: ${title}`, () => {
      assert.isAtMost(growth(unit, (text, meter) => Normalise.normalise(text, meter)), 8.1)
    })
  }
})
