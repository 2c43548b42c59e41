/**
 * Reads a normalised text character by character, and counts every look as a step.
 */
import type { Meter } from "../Meter.ts"
import { isWordCharacter } from "./words.ts"

/** Reads characters of a text. Outside of it there is nothing, which is no character. */
export class Reader {
  readonly text: string
  readonly meter: Meter

  constructor(text: string, meter: Meter) {
    this.text = text
    this.meter = meter
  }

  at(index: number): string {
    this.meter.steps++
    return this.text.charAt(index)
  }

  isDigit(index: number): boolean {
    const character = this.at(index)
    return character >= "0" && character <= "9"
  }

  /** Whether a letter or digit is here; of a character of two halves, either half. */
  isWord(index: number): boolean {
    const unit = this.at(index)
    if (unit === "") return false
    const isSecondHalf = unit >= "\udc00" && unit <= "\udfff"
    return isWordCharacter(String.fromCodePoint(this.text.codePointAt(isSecondHalf ? index - 1 : index) ?? 0))
  }

  /** Whether a name goes on here that started before: `INV-202`, `a202`. */
  isNameBefore(start: number): boolean {
    return this.isWord(start - 1) || (this.isOneOf(".-_", start - 1) && this.isWord(start - 2))
  }

  /** Whether a name goes on behind this place: `202-xl`, `202x`. A dot ends a sentence. */
  isNameBehind(end: number): boolean {
    return this.isWord(end) || (this.isOneOf("-_", end) && this.isWord(end + 1))
  }

  private isOneOf(characters: string, index: number): boolean {
    const character = this.at(index)
    return character !== "" && characters.includes(character)
  }

  slice(start: number, end: number): string {
    this.meter.steps += end - start
    return this.text.slice(start, end)
  }
}

/** Words that say what a number is, and those that may stand between them and the number. */
export interface Announcement {
  readonly keywords: ReadonlySet<string>
  readonly fillers: ReadonlySet<string>
}

/** The words of a list with commas. */
export const wordsOf = (list: string): ReadonlySet<string> => new Set(list.split(", "))

// Besides blanks, of which forms and tables have many.
const longestGap = 3

/** The end of the word before this place, with no more than a gap between. */
const endOfWordBefore = (reader: Reader, index: number): number => {
  let end = index
  let gap = 0
  for (; end > 0 && !reader.isWord(end - 1); end--) {
    const character = reader.at(end - 1)
    if (character !== " " && character !== "\t" && ++gap > longestGap) break
  }
  return end
}

/**
 * Whether one of the keywords stands before this place, with nothing but fillers between: "phone: ...", "call me at ...".
 *
 * What is before a number is looked at for that number only, because a number is no filler: so all of it is linear.
 */
export const isAnnounced = (reader: Reader, index: number, { fillers, keywords }: Announcement): boolean => {
  let end = index
  while (end > 0) {
    end = endOfWordBefore(reader, end)
    let start = end
    while (start > 0 && reader.isWord(start - 1)) start--
    const word = reader.slice(start, end)
    if (keywords.has(word)) return true
    if (!fillers.has(word)) return false
    end = start
  }
  return false
}
