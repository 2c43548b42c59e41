/**
 * Recognises international bank account numbers by their length and check digits, so that their groups are not taken for
 * something else.
 */
import type { Reader } from "./reader.ts"

/** How many characters the numbers of each country have. */
const lengths: ReadonlyMap<string, number> = new Map(
  ("ad24 ae23 al28 at20 az28 ba20 be16 bg22 bh22 bi27 br29 by28 ch21 cr22 cy28 cz24 de22 dj27 dk18 do28 ee20 eg29 es24 "
    + "fi18 fk18 fo18 fr27 gb22 ge22 gi23 gl18 gr27 gt28 hn28 hr21 hu28 ie22 il23 iq23 is26 it27 jo30 kw30 kz20 lb28 "
    + "lc32 li21 lt20 lu20 lv21 ly25 mc27 md24 me22 mk19 mn20 mr27 mt31 mu30 ni28 nl18 no15 om23 pk24 pl28 ps29 pt25 "
    + "qa29 ro24 rs22 ru33 sa24 sc31 sd18 se24 si19 sk24 sm27 so23 st25 sv28 tl23 tn24 tr26 ua29 va22 vg24 xk20 ye30")
    .split(" ").map((entry) => [entry.slice(0, 2), Number(entry.slice(2))])
)

const isPart = (character: string): boolean => /^[a-z0-9]$/.test(character)

/** So many letters and digits from here on, with one blank or dash at most between any two, and where they end. */
const partsFrom = (reader: Reader, start: number, count: number): { readonly parts: string; readonly end: number } => {
  let parts = ""
  let end = start
  while (parts.length < count) {
    const index = parts !== "" && /^[ -]$/.test(reader.at(end)) ? end + 1 : end
    const character = reader.at(index)
    if (!isPart(character)) break
    parts += character
    end = index + 1
  }
  return { parts, end }
}

/** Checks the two digits behind the country: the number, with letters as numbers, is 1 modulo 97. */
const hasRightCheckDigits = (parts: string): boolean => {
  let remainder = 0
  for (const character of parts.slice(4) + parts.slice(0, 4)) {
    const value = Number.parseInt(character, 36)
    remainder = (remainder * (value < 10 ? 10 : 100) + value) % 97
  }
  return remainder === 1
}

/** Where the number ends whose check digits are here, behind the country. */
export const endOfIban = (reader: Reader, checkDigits: number): number | undefined => {
  const start = checkDigits - 2
  const length = lengths.get(reader.slice(start, checkDigits))
  if (length === undefined || reader.isWord(start - 1)) return undefined
  const { end, parts } = partsFrom(reader, start, length)
  return parts.length === length && !reader.isWord(end) && hasRightCheckDigits(parts) ? end : undefined
}
