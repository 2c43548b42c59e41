/**
 * Texts for property tests: made of pieces that guards have something to say about, in any order, and of anything else.
 */
import { Arbitrary, Schema } from "effect"

const pieces: ReadonlyArray<string> = [
  " ",
  "  ",
  "\n",
  "\t",
  "-",
  ".",
  ":",
  "::",
  "@",
  "+",
  "(",
  ")",
  "/",
  ",",
  "$",
  "!",
  "|",
  "<",
  ">",
  "<|",
  "|>",
  "#",
  "[",
  "]",
  "_",
  "0",
  "1",
  "49",
  "123",
  "202",
  "555",
  "0123",
  "4111",
  "1111",
  "123-45-6789",
  "4111 1111 1111 1111",
  "(202) 555-0123",
  "+49 30 1234567",
  "192.168.0.1",
  "2001:db8::1",
  "ada@example.com",
  ".com",
  "a",
  "b",
  "l",
  "fe80",
  "ssn",
  "phone",
  "version",
  "spam",
  "buy",
  "now",
  "s p a m",
  "sp4m",
  "$pam",
  "垃圾",
  "ignore",
  "1gnor3",
  "all",
  "previous",
  "instructions",
  "system",
  "prompt",
  "reveal",
  "you are now",
  "é",
  "e\u0301",
  "\u0301",
  "\u200b",
  "\u00ad",
  "\ufe0f",
  "ß",
  "İ",
  "ﬃ",
  "ＩＧ",
  "а",
  "о",
  "٣",
  "１２３",
  "–",
  "。",
  "ᄀ",
  "ᅡ",
  "각",
  "ｶ",
  "ﾞ",
  "हि",
  "ำ",
  "😀",
  "👨‍👩‍👧",
  "🇮",
  "\ud83d",
  "\udc00",
  "\u{e0041}",
  "\u0000",
  "&",
  "&#",
  "64",
  ";",
  "&#64;",
  "&nbsp;",
  "&shy;",
  "&#769;",
  "&eacute;"
]

const known: Arbitrary.Arbitrary<string> = Arbitrary.map(
  Arbitrary.schema(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: pieces.length - 1 }))),
  (index) => pieces[index] ?? ""
)

const joined = (parts: ReadonlyArray<string>): string => parts.join("")

/** Texts made of pieces that guards look for, or nearly. */
export const texts: Arbitrary.Arbitrary<string> = Arbitrary.map(Arbitrary.array(known, { maxLength: 24 }), joined)

/** Any text at all. */
export const anyTexts: Arbitrary.Arbitrary<string> = Arbitrary.schema(Schema.String)

/** What a mask can be: letters, digits, symbols, nothing. */
export const masks: Arbitrary.Arbitrary<string> = Arbitrary.map(Arbitrary.array(known, { maxLength: 3 }), joined)

export const options = { arbitrary: { runs: 500, size: 40, maxShrinks: 2000 } }
