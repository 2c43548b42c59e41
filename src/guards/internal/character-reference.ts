/**
 * Replaces HTML character references by what they stand for: `&#64;` and `&commat;` by `@`, `&nbsp;` by a blank.
 *
 * Only references that end with a semicolon: without one, `&#202-555-0123` would be no phone number any more. They are
 * replaced once, so `&amp;#64;` is `&#64;`.
 */
import type { Meter } from "../Meter.ts"

/** A text without references, and where its parts were before. */
export interface WithoutReferences {
  readonly text: string
  /** The position in the text before of what is at this position now. */
  readonly positionBefore: (index: number) => number
}

/** The names that stand for punctuation, blanks and what cannot be seen, as HTML spells them. */
const named: ReadonlyMap<string, string> = new Map([
  ["amp", "&"],
  ["AMP", "&"],
  ["apos", "'"],
  ["ast", "*"],
  ["bull", "•"],
  ["colon", ":"],
  ["comma", ","],
  ["commat", "@"],
  ["dash", "‐"],
  ["dollar", "$"],
  ["emsp", " "],
  ["ensp", " "],
  ["equals", "="],
  ["excl", "!"],
  ["gt", ">"],
  ["GT", ">"],
  ["hyphen", "‐"],
  ["lbrack", "["],
  ["lowbar", "_"],
  ["lpar", "("],
  ["lrm", "\u200e"],
  ["lsqb", "["],
  ["lt", "<"],
  ["LT", "<"],
  ["mdash", "—"],
  ["middot", "·"],
  ["minus", "−"],
  ["nbsp", "\u00a0"],
  ["ndash", "–"],
  ["NewLine", "\n"],
  ["NoBreak", "\u2060"],
  ["num", "#"],
  ["numsp", " "],
  ["percnt", "%"],
  ["period", "."],
  ["plus", "+"],
  ["quot", "\""],
  ["QUOT", "\""],
  ["rbrack", "]"],
  ["rlm", "\u200f"],
  ["rpar", ")"],
  ["rsqb", "]"],
  ["rsquo", "’"],
  ["semi", ";"],
  ["shy", "\u00ad"],
  ["sol", "/"],
  ["szlig", "ß"],
  ["Tab", "\t"],
  ["thinsp", " "],
  ["verbar", "|"],
  ["vert", "|"],
  ["ZeroWidthSpace", "\u200b"],
  ["zwj", "\u200d"],
  ["zwnj", "\u200c"]
])

/** A letter with a mark, such as `&eacute;`. The mark makes no difference. */
const letterWithMark = /^([A-Za-z])(?:acute|breve|caron|cedil|circ|grave|macr|ogon|ring|slash|strok|tilde|uml)$/

const ofCodePoint = (codePoint: number): string | undefined => {
  const isSurrogate = codePoint >= 0xd800 && codePoint <= 0xdfff
  return codePoint === 0 || codePoint > 0x10ffff || isSurrogate ? undefined : String.fromCodePoint(codePoint)
}

const meaningOf = (name: string): string | undefined => {
  if (/^#\d+$/.test(name)) return ofCodePoint(Number(name.slice(1)))
  if (/^#[xX][\dA-Fa-f]+$/.test(name)) return ofCodePoint(Number.parseInt(name.slice(2), 16))
  return named.get(name) ?? letterWithMark.exec(name)?.[1]
}

const longestName = 16

const isNameCharacter = (character: string): boolean => /^[#\dA-Za-z]$/.test(character)

/** The name of the reference that starts with the ampersand here, if one does. */
const nameAt = (text: string, ampersand: number, meter: Meter): string | undefined => {
  let end = ampersand + 1
  while (end - ampersand <= longestName && isNameCharacter(text.charAt(end))) end++
  meter.steps += end - ampersand
  return text.charAt(end) === ";" ? text.slice(ampersand + 1, end) : undefined
}

interface Reference {
  readonly start: number
  readonly end: number
  readonly meaning: string
}

const referencesOf = (text: string, meter: Meter): ReadonlyArray<Reference> => {
  const references: Array<Reference> = []
  for (let start = text.indexOf("&"); start >= 0; start = text.indexOf("&", start + 1)) {
    const name = nameAt(text, start, meter)
    const meaning = name === undefined ? undefined : meaningOf(name)
    if (name !== undefined && meaning !== undefined) references.push({ start, end: start + name.length + 2, meaning })
  }
  return references
}

/** Replaces all references of a text. */
export const withoutReferences = (text: string, meter: Meter): WithoutReferences => {
  const references = referencesOf(text, meter)
  if (references.length === 0) return { text, positionBefore: (index) => index }
  const parts: Array<string> = []
  const positions = new Uint32Array(text.length + 1)
  let length = 0
  let copied = 0
  const copyUpTo = (end: number): void => {
    parts.push(text.slice(copied, end))
    for (; copied < end; copied++) positions[length++] = copied
  }
  for (const { end, meaning, start } of references) {
    copyUpTo(start)
    parts.push(meaning)
    for (let index = 0; index < meaning.length; index++) positions[length++] = start
    copied = end
  }
  copyUpTo(text.length)
  positions[length] = text.length
  meter.steps += length
  return { text: parts.join(""), positionBefore: (index) => positions[index] ?? text.length }
}
