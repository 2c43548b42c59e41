/**
 * Finds text that nobody sees and a model reads: letters written with tag characters, bytes written with variation selectors
 * or zero-width characters.
 *
 * One of them alone has honest uses, such as the colour of an emoji. So it takes a few in a row, and the flags of England,
 * Scotland and Wales, which are written with tag characters, are left alone.
 */
import type { Finding } from "../Finding.ts"
import type { Meter } from "../Meter.ts"

type Carrier = "tag" | "variation" | "zero-width"

const carrierOf = (codePoint: number): Carrier | undefined => {
  if (codePoint >= 0xe0000 && codePoint <= 0xe007f) return "tag"
  if ((codePoint >= 0xfe00 && codePoint <= 0xfe0f) || (codePoint >= 0xe0100 && codePoint <= 0xe01ef)) return "variation"
  const isZeroWidth = (codePoint >= 0x200b && codePoint <= 0x200f) || (codePoint >= 0x2060 && codePoint <= 0x2064)
  return isZeroWidth || codePoint === 0xfeff || codePoint === 0x180e ? "zero-width" : undefined
}

/** How many in a row say something. */
const enough: Readonly<Record<Carrier, number>> = { tag: 1, variation: 3, "zero-width": 8 }

const blackFlag = 0x1f3f4
const endOfFlag = 0xe007f
// Two letters for the country, three for its part, and the end.
const longestFlag = 6

interface Run {
  readonly end: number
  readonly count: number
  readonly last: number
}

const widthOf = (codePoint: number): number => codePoint > 0xffff ? 2 : 1

const runFrom = (text: string, start: number, carrier: Carrier): Run => {
  let end = start
  let count = 0
  let last = 0
  while (end < text.length) {
    const codePoint = text.codePointAt(end) ?? 0
    if (carrierOf(codePoint) !== carrier) break
    last = codePoint
    end += widthOf(codePoint)
    count++
  }
  return { end, count, last }
}

/** Finds text that cannot be seen. */
export const findHiddenText = (text: string, meter: Meter): ReadonlyArray<Finding<"hidden-text">> => {
  const findings: Array<Finding<"hidden-text">> = []
  let before = 0
  for (let start = 0; start < text.length;) {
    const codePoint = text.codePointAt(start) ?? 0
    const carrier = carrierOf(codePoint)
    if (carrier === undefined) {
      meter.steps++
      before = codePoint
      start += widthOf(codePoint)
      continue
    }
    const { count, end, last } = runFrom(text, start, carrier)
    meter.steps += count
    const isFlag = before === blackFlag && last === endOfFlag && count <= longestFlag
    if (count >= enough[carrier] && !isFlag) findings.push({ kind: "hidden-text", start, end })
    before = last
    start = end
  }
  return findings
}
