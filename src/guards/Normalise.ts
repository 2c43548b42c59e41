/**
 * Makes text comparable, so that a disguise does not hide what it says.
 *
 * - HTML character references that end with a semicolon become what they stand for: `&#64;` is `@`.
 * - NFKC: letters and digits in full width, in circles, in mathematical alphabets become plain ones.
 * - What cannot be seen is dropped: zero-width and format characters, variation selectors, control characters.
 * - Marks on Latin, Greek and Cyrillic letters are dropped, so `é` is `e`.
 * - Case is folded, and `ß` is `ss`.
 * - Common look-alikes become what they are read as: Cyrillic `а` is `a`, `–` is `-`, Arabic `٣` is `3`.
 *
 * Digits and symbols that are written for letters (`1gn0r3`) stay as they are, because a digit can stand for more than
 * one letter and personal data is made of digits. Whoever compares words calls `isWrittenFor`.
 */
import { withoutReferences } from "./internal/character-reference.ts"
import { isInvisible, withoutInvisible } from "./internal/invisible.ts"
import { readAs } from "./internal/look-alike.ts"
import { unreadMeter } from "./internal/unread-meter.ts"
import type { Meter } from "./Meter.ts"

/**
 * A normalised text, which knows where each part of it came from.
 */
export interface Normalised {
  readonly original: string
  readonly text: string
  /**
   * The part of the original that a part of the normalised text came from.
   *
   * Characters that became one, or one that became several, are never torn apart: the range then covers all of them.
   */
  readonly originalRange: (start: number, end: number) => { readonly start: number; readonly end: number }
}

// A character and what belongs to it: marks, the rest of a Hangul syllable, voicing of half-width kana, and what cannot
// be seen. Normalising such pieces one by one gives the same as normalising the whole text.
const attaches =
  /[\p{M}\p{Cf}\p{Default_Ignorable_Code_Point}\u1160-\u11ff\u0e33\u0eb3\u3131-\u318e\ud7b0-\ud7ff\uff9e-\uffdc]/u
// Marks that go on any letter. Those of one script, such as the vowels of Hindi, are part of its words.
const diacritics = /[\u0300-\u036f]|[\u1ab0-\u1aff]|[\u1dc0-\u1dff]|[\u20d0-\u20ff]|[\ufe20-\ufe2f]/g
const marks = /\p{M}/gu

// Sorting marks takes more than linear time, so a piece has an end, as in Unicode's stream-safe text.
const longestPiece = 32

const isPlain = (unit: number): boolean =>
  unit < 0x7f && (unit >= 0x20 || unit === 0x09 || unit === 0x0a || unit === 0x0d)

const widthAt = (text: string, index: number): number => {
  const codePoint = text.codePointAt(index) ?? 0
  return codePoint > 0xffff ? 2 : 1
}

const characterAt = (text: string, index: number): string => text.slice(index, index + widthAt(text, index))

/** Where the piece that starts here ends. */
const endOfPiece = (text: string, start: number): number => {
  let end = start + widthAt(text, start)
  while (end < text.length && end - start < longestPiece && text.charCodeAt(end) > 0x7f) {
    const character = characterAt(text, end)
    if (!attaches.test(character)) break
    end += character.length
  }
  return end
}

const foldCase = (text: string): string => text.toLowerCase().replaceAll("ß", "ss").replaceAll("ς", "σ")

// Two Arabic ligatures become a whole sentence. They stay, so that a text full of them does not grow that much.
const longestExpansion = 7

const decompose = (piece: string): string => {
  const decomposed = piece.normalize("NFKD")
  return decomposed.length > piece.length * longestExpansion ? piece : decomposed
}

const foldPiece = (piece: string): string => {
  const visible = withoutInvisible(decompose(piece)).replace(diacritics, "").normalize("NFC")
  let folded = ""
  for (const character of foldCase(visible)) folded += readAs(character)
  // Any mark on a Latin letter is a disguise.
  return folded.charCodeAt(0) < 0x80 ? folded.replace(marks, "") : folded
}

class Builder {
  private text = ""
  private starts = new Uint32Array(1024)
  private ends = new Uint32Array(1024)

  add(folded: string, start: number, end: number): void {
    this.reserve(this.text.length + folded.length)
    for (let index = 0; index < folded.length; index++) {
      this.starts[this.text.length + index] = start
      this.ends[this.text.length + index] = end
    }
    this.text += folded
  }

  private reserve(length: number): void {
    if (length <= this.starts.length) return
    const grown = Math.max(length, this.starts.length * 2)
    const { ends, starts } = this
    this.starts = new Uint32Array(grown)
    this.ends = new Uint32Array(grown)
    this.starts.set(starts)
    this.ends.set(ends)
  }

  build(original: string): Normalised {
    const { ends, starts, text } = this
    const startOf = (index: number): number => index < text.length ? starts[index] ?? 0 : original.length
    const endOf = (index: number): number => index < text.length ? ends[index] ?? 0 : original.length
    const originalRange: Normalised["originalRange"] = (start, end) =>
      start < end ? { start: startOf(start), end: endOf(end - 1) } : { start: startOf(start), end: startOf(start) }
    return { original, text, originalRange }
  }
}

/** The length of a piece without what is invisible at its end: that belongs to nobody. */
const visibleLength = (piece: string): number => {
  let visible = piece.length
  for (let index = 0; index < piece.length;) {
    const character = characterAt(piece, index)
    index += character.length
    if (!isInvisible(character)) visible = index
  }
  return visible
}

interface Folded {
  readonly text: string
  readonly visibleLength: number
}

/** Folds pieces, each different one of a character or two once. */
const folding = (): (piece: string) => Folded => {
  const known = new Map<string, Folded>()
  return (piece) => {
    const before = known.get(piece)
    if (before !== undefined) return before
    const folded = { text: foldPiece(piece), visibleLength: visibleLength(piece) }
    if (piece.length <= 2) known.set(piece, folded)
    return folded
  }
}

/**
 * Normalises a text. The time it takes grows with the text and not faster, whatever is in it; `meter` counts the steps.
 */
export const normalise = (original: string, meter: Meter = unreadMeter()): Normalised => {
  const { positionBefore, text } = withoutReferences(original, meter)
  const builder = new Builder()
  const fold = folding()
  for (let start = 0; start < text.length;) {
    const unit = text.charCodeAt(start)
    if (isPlain(unit) && !(text.charCodeAt(start + 1) > 0x7f)) {
      builder.add(text.charAt(start).toLowerCase(), positionBefore(start), positionBefore(start + 1))
      meter.steps++
      start++
      continue
    }
    const end = endOfPiece(text, start)
    const folded = fold(text.slice(start, end))
    if (folded.text !== "") {
      builder.add(folded.text, positionBefore(start), positionBefore(start + folded.visibleLength))
    }
    // Sorting the marks of a piece takes at most the square of its length.
    meter.steps += (end - start) ** 2 + folded.text.length
    start = end
  }
  return builder.build(original)
}
