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

  /** Whether a letter or digit is here, or what else joins the parts of a name. */
  isNamePart(index: number): boolean {
    return this.at(index) === "_" || this.isWord(index)
  }

  slice(start: number, end: number): string {
    this.meter.steps += end - start
    return this.text.slice(start, end)
  }
}

const longestGap = 3

/**
 * Whether one of the keywords stands before this place, with nothing but fillers between: "phone: ...", "call me at ...".
 *
 * What is before a number is looked at for that number only, because a number is no filler: so all of it is linear.
 */
export const isPrecededBy = (
  reader: Reader,
  index: number,
  { fillers, keywords }: { readonly keywords: ReadonlySet<string>; readonly fillers: ReadonlySet<string> }
): boolean => {
  let end = index
  while (end > 0) {
    for (let gap = 0; gap < longestGap && end > 0 && !reader.isWord(end - 1); gap++) end--
    let start = end
    while (start > 0 && reader.isWord(start - 1)) start--
    const word = reader.slice(start, end)
    if (keywords.has(word)) return true
    if (!fillers.has(word)) return false
    end = start
  }
  return false
}
