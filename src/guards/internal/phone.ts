/**
 * Finds phone numbers.
 *
 * | form | examples |
 * |---|---|
 * | international | `+49 30 1234567`, `+12025550123`, `0049 30 1234567` |
 * | North American | `(202) 555-0123`, `202.555.0123`, `1-202-555-0123` |
 * | national, with an area | `030 1234567`, `01 23 45 67 89`, `020 7946 0958` |
 * | after a word that says so | `phone: 2025550123`, `call me at 555-0123` |
 *
 * Digits without any of this are more often something else.
 */
import type { Finding } from "../Finding.ts"
import type { DigitRun, Group } from "./digit-run.ts"
import { isPrecededBy, type Reader } from "./reader.ts"

type Found = ReadonlyArray<Finding<"phone">>
type Groups = ReadonlyArray<Group>

const said = {
  keywords: new Set(
    "phone, telephone, tel, mobile, cell, cellphone, landline, call, calling, dial, ring, fax, sms, whatsapp, signal"
      .split(", ")
  ),
  fillers: new Set(
    "number, no, nr, num, is, at, on, my, me, us, him, her, them, or, via, the, s, it, to, back".split(", ")
  )
}

const hasLengths = (groups: Groups, ...lengths: ReadonlyArray<number>): boolean =>
  groups.length === lengths.length && groups.every(({ digits }, index) => digits.length === lengths[index])

// So many digits are looked at for a number, and never more groups than that.
const mostDigits = 17

/** The most groups from here on that have so many digits and that a number may end with. */
const longest = (
  run: DigitRun,
  index: number,
  { from, fromGroups, isEnd, to }: {
    readonly from: number
    readonly to: number
    readonly fromGroups: number
    readonly isEnd: (end: number) => boolean
  }
): Groups => {
  let found: Groups = []
  let count = 0
  for (let end = index + 1; end <= run.groups.length && count <= to; end++) {
    count += run.groups[end - 1]?.digits.length ?? 0
    const fits = count >= from && count <= to
    if (fits && end - index >= fromGroups && isEnd(end)) found = run.groups.slice(index, end)
  }
  return found
}

const hasPlus = (reader: Reader, { start }: Group): boolean => {
  const before = reader.at(start - 1)
  return before === "+" || (before === "(" && reader.at(start - 2) === "+")
}

const international = (run: DigitRun, index: number, first: Group, reader: Reader): Groups => {
  const isAnyEnd = (): boolean => true
  if (!first.digits.startsWith("0") && hasPlus(reader, first)) {
    const to = first.digits.startsWith("1") ? 11 : 15
    return longest(run, index, { from: 8, to, fromGroups: 1, isEnd: isAnyEnd })
  }
  return /^00[1-9]\d{0,3}$/.test(first.digits) && run.startsFree(index)
    ? longest(run, index, { from: 10, to: mostDigits, fromGroups: 2, isEnd: run.endsFree })
    : []
}

const isExchange = (digits: string | undefined): boolean => digits !== undefined && digits >= "2"

const isNorthAmerican = (groups: Groups): boolean => {
  const [area, exchange] = groups
  const isShaped = hasLengths(groups, 3, 3, 4) || (hasLengths(groups, 3, 7) && /[-)]/.test(exchange?.separator ?? ""))
  return isShaped && isExchange(area?.digits) && isExchange(exchange?.digits)
}

/** `x123`, an extension. */
const isExtension = (reader: Reader, end: number): boolean => reader.at(end) === "x" && reader.isDigit(end + 1)

const northAmerican = (run: DigitRun, index: number, first: Group, reader: Reader): Groups => {
  const from = first.digits === "1" ? index + 1 : index
  const shapes = [run.groups.slice(from, from + 3), run.groups.slice(from, from + 2)]
  const shape = shapes.find(isNorthAmerican)
  if (shape === undefined) return []
  const end = from + shape.length
  return run.endsFree(end) || isExtension(reader, shape.at(-1)?.end ?? 0) ? run.groups.slice(index, end) : []
}

/** Two groups of two are a date or a time, unless all five are: `01 23 45 67 89`. */
const isDate = (groups: Groups): boolean =>
  groups[0]?.digits.length === 2 && groups[1]?.digits.length === 2 && !hasLengths(groups, 2, 2, 2, 2, 2)

const national = (run: DigitRun, index: number, first: Group): Groups => {
  if (!/^0[1-9]\d{0,4}$/.test(first.digits)) return []
  const groups = longest(run, index, { from: 9, to: 12, fromGroups: 2, isEnd: run.endsFree })
  return isDate(groups) || groups.some(({ digits }) => digits.length < 2) ? [] : groups
}

const afterWord = (run: DigitRun, index: number, first: Group): Groups => {
  const { length } = first.digits
  const two = run.groups.slice(index, index + 2)
  if (hasLengths(two, 3, 4) && run.endsFree(index + 2)) return two
  return length >= 7 && length <= 15 && run.endsFree(index + 1) ? [first] : []
}

/** The opening parenthesis and the plus before the first digit belong to the number. */
const startOf = (reader: Reader, { start }: Group): number => {
  const opened = reader.at(start - 1) === "(" ? start - 1 : start
  const signed = reader.at(opened - 1) === "+" ? opened - 1 : opened
  return signed < opened && reader.at(signed - 1) === "(" ? signed - 1 : signed
}

/** Finds a number that starts with this group. */
export const phoneAt = (run: DigitRun, index: number, reader: Reader): Found => {
  const first = run.groups[index]
  if (first === undefined) return []
  reader.meter.steps += mostDigits
  const isSaid = (): boolean => isPrecededBy(reader, first.start, said)
  const isFree = (): boolean => run.startsFree(index) || isSaid()
  const candidates = [
    () => international(run, index, first, reader),
    () => onlyIf(northAmerican(run, index, first, reader), isFree),
    () => onlyIf(national(run, index, first), isFree),
    () => onlyIf(afterWord(run, index, first), isSaid)
  ]
  for (const candidate of candidates) {
    const groups = candidate()
    const last = groups.at(-1)
    if (last !== undefined) return [{ kind: "phone", start: startOf(reader, first), end: last.end }]
  }
  return []
}

const onlyIf = (groups: Groups, condition: () => boolean): Groups => groups.length > 0 && condition() ? groups : []
