/**
 * Finds text that nobody sees and a model reads: letters written with tag characters, bytes written with variation
 * selectors or other characters that show nothing.
 *
 * One of them alone has honest uses, such as the colour of an emoji, and many of the same kind fill a line. So it takes a
 * few in a row that differ, and the flags of England, Scotland and Wales, which are written with tag characters, are left
 * alone.
 */
import type { Finding } from "../Finding.ts"
import type { Meter } from "../Meter.ts"
import { isInvisible } from "./invisible.ts"

const isTag = (codePoint: number): boolean => codePoint >= 0xe0000 && codePoint <= 0xe007f

const isVariation = (codePoint: number): boolean =>
  (codePoint >= 0xfe00 && codePoint <= 0xfe0f) || (codePoint >= 0xe0100 && codePoint <= 0xe01ef)

// How many in a row say something.
const fewestVariations = 3
const fewestOfAnyKind = 8

const blackFlag = 0x1f3f4
const flags: ReadonlyArray<string> = ["gbeng", "gbsct", "gbwls"].map((region) =>
  `${String.fromCodePoint(blackFlag)}${
    Array.from(region, (letter) => String.fromCodePoint(0xe0000 + letter.charCodeAt(0))).join("")
  }\u{e007f}`
)

const flagAt = (text: string, start: number): string | undefined =>
  text.codePointAt(start) === blackFlag ? flags.find((flag) => text.startsWith(flag, start)) : undefined

const isInvisibleCodePoint = (codePoint: number): boolean =>
  !(codePoint >= 0x20 && codePoint < 0x7f) && isInvisible(String.fromCodePoint(codePoint))

const widthOf = (codePoint: number): number => codePoint > 0xffff ? 2 : 1

/** Characters in a row that show nothing. */
interface Run {
  readonly end: number
  readonly saysSomething: boolean
}

const runFrom = (text: string, start: number, meter: Meter): Run => {
  let end = start
  let count = 0
  let tags = 0
  let variations = 0
  const first = text.codePointAt(start) ?? 0
  let differ = false
  while (end < text.length) {
    const codePoint = text.codePointAt(end) ?? 0
    if (!isInvisibleCodePoint(codePoint)) break
    count++
    if (isTag(codePoint)) tags++
    if (isVariation(codePoint)) variations++
    differ ||= codePoint !== first
    end += widthOf(codePoint)
  }
  meter.steps += count + 1
  return { end, saysSomething: tags > 0 || variations >= fewestVariations || (count >= fewestOfAnyKind && differ) }
}

/** Finds text that cannot be seen. */
export const findHiddenText = (text: string, meter: Meter): ReadonlyArray<Finding<"hidden-text">> => {
  const findings: Array<Finding<"hidden-text">> = []
  for (let start = 0; start < text.length;) {
    const flag = flagAt(text, start)
    if (flag !== undefined) {
      meter.steps++
      start += flag.length
      continue
    }
    const { end, saysSomething } = runFrom(text, start, meter)
    if (saysSomething) findings.push({ kind: "hidden-text", start, end })
    start = end > start ? end : end + widthOf(text.codePointAt(end) ?? 0)
  }
  return findings
}
