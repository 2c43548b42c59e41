/**
 * Finds phone numbers.
 *
 * | form | examples |
 * |---|---|
 * | international | `+49 30 1234567`, `+12025550123`, `0049 30 1234567` |
 * | North American | `(202) 555-0123`, `202.555.0123`, `1-202-555-0123` |
 * | national, with an area | `030 1234567`, `01 23 45 67 89`, `020 7946 0958` |
 * | after a word that says so | `phone: 2025550123`, `call me at 555-0123`, `tel. 202, 555, 0123` |
 *
 * Digits without any of this are more often something else.
 */
import type { Finding } from "../Finding.ts"
import { type Candidate, type Group, type Groups, haveLengths, type NumberStart } from "./digit-groups.ts"
import { isAnnounced, type Reader, wordsOf } from "./reader.ts"

const announcement = {
  keywords: wordsOf(
    "phone, phones, telephone, telephones, tel, mobile, mob, cell, cellphone, landline, hotline, call, calling, dial, "
      + "ring, reach, contact, text, fax, sms, whatsapp, signal"
  ),
  fillers: wordsOf(
    "number, numbers, no, nr, num, is, are, at, on, my, me, us, him, her, them, or, via, the, s, it, to, back"
  )
}

// So many digits are looked at for a number, and never more groups than that.
const mostDigits = 17

const none: Groups = []

/** The most groups from the first on that have so many digits and that a number may end with. */
const longest = (
  groups: Groups,
  { from, fromGroups, isEnd, to }: {
    readonly from: number
    readonly to: number
    readonly fromGroups: number
    readonly isEnd: (count: number) => boolean
  }
): Groups => {
  let found = none
  let digits = 0
  for (let count = 1; count <= groups.length; count++) {
    digits += groups[count - 1]?.digits.length ?? 0
    if (digits > to) break
    if (digits >= from && count >= fromGroups && isEnd(count)) found = groups.slice(0, count)
  }
  return found
}

/** What is known of the place where a number may start. */
interface Place {
  readonly start: NumberStart
  readonly reader: Reader
  /** Whether a word says that it is a phone number. */
  readonly isNamedPhone: () => boolean
}

/** Whether a plus stands before a number, and no other number before that: `2+2` is a sum. */
const hasPlus = (reader: Reader, { start }: Group): boolean => {
  const plus = reader.at(start - 1) === "(" ? start - 2 : start - 1
  return reader.at(plus) === "+" && !reader.isDigit(plus - 1)
}

const isCountryCode = (digits: string): boolean => /^[1-9]\d{0,2}$/.test(digits)

const withPlus = ({ groups, isLoose }: Candidate, { reader, start }: Place): Groups => {
  const { digits } = start.first
  if (digits.startsWith("0") || !hasPlus(reader, start.first)) return none
  // A plus between groups is the start of another number.
  const isOneNumber = isCountryCode(digits) && groups.slice(1).every(({ separator }) => !separator.includes("+"))
  if (isLoose && !isOneNumber) return none
  const to = digits.startsWith("1") ? 11 : 15
  return longest(groups, { from: 8, to, fromGroups: isLoose ? 3 : 1, isEnd: () => true })
}

const withExitCode = ({ groups }: Candidate, { reader, start }: Place): Groups => {
  const [first, second] = groups
  const isEnd = (count: number): boolean => start.canEndAfter(count)
  if (/^00[1-9]\d{0,3}$/.test(first?.digits ?? "")) {
    return longest(groups, { from: 10, to: mostDigits, fromGroups: 2, isEnd })
  }
  // What is before it must not make a time of it: 10:00 12/05.
  const isSeparate = /^[\s(]?$/.test(reader.at(start.first.start - 1))
  return isSeparate && /^(?:00|011)$/.test(first?.digits ?? "") && isCountryCode(second?.digits ?? "")
    ? longest(groups, { from: 10, to: mostDigits, fromGroups: 3, isEnd })
    : none
}

const isExchange = (digits: string | undefined): boolean => digits !== undefined && digits >= "2"

const isNorthAmerican = (groups: Groups): boolean => {
  const [area, exchange] = groups
  const isShaped = haveLengths(groups, 3, 3, 4) || (haveLengths(groups, 3, 7) && /[-)]/.test(exchange?.separator ?? ""))
  return isShaped && isExchange(area?.digits) && isExchange(exchange?.digits)
}

/** `x123` or `ext. 123`, an extension. */
const isExtension = (reader: Reader, end: number): boolean => /^(?:x|ext)[. ]{0,2}\d/.test(reader.slice(end, end + 6))

const northAmerican = ({ groups }: Candidate, { isNamedPhone, reader, start }: Place): Groups => {
  const from = start.first.digits === "1" ? 1 : 0
  const shape = [groups.slice(from, from + 3), groups.slice(from, from + 2)].find(isNorthAmerican)
  if (shape === undefined) return none
  const found = groups.slice(0, from + shape.length)
  return start.canEndAfter(found.length) || isExtension(reader, found.at(-1)?.end ?? 0) || isNamedPhone() ? found : none
}

/** Two groups of two are a date or a time, and so is a year with two of them. */
const isDate = (groups: Groups): boolean =>
  haveLengths(groups.slice(0, 2), 2, 2) || haveLengths(groups.slice(0, 3), 4, 2, 2)

const national = ({ groups }: Candidate, { start }: Place): Groups => {
  if (!/^0[1-9]\d{0,4}$/.test(start.first.digits)) return none
  const pairs = groups.slice(0, 5)
  if (haveLengths(pairs, 2, 2, 2, 2, 2) && start.canEndAfter(5)) return pairs
  const isEnd = (count: number): boolean => start.canEndAfter(count)
  const found = longest(groups, { from: 9, to: 12, fromGroups: 2, isEnd })
  return isDate(found) || found.some(({ digits }) => digits.length < 2) ? none : found
}

/** The first groups that are single digits, or the first that are none. */
const leading = (groups: Groups, isSingle: boolean): Groups => {
  const firstOther = groups.findIndex(({ digits }) => (digits.length === 1) !== isSingle)
  return firstOther < 0 ? groups : groups.slice(0, firstOther)
}

/** Forms that many other numbers have, so that a word has to say what they are. */
const ambiguous = ({ groups, isLoose }: Candidate, { start }: Place): Groups => {
  const { digits } = start.first
  const local = groups.slice(0, 2)
  if (haveLengths(local, 3, 4) && isExchange(digits) && start.canEndAfter(2)) return local
  if (digits.length >= 7 && digits.length <= 15 && start.canEndAfter(1)) return groups.slice(0, 1)
  const single = leading(groups, true)
  const count = single.length
  if (count > 0) return count >= 7 && count <= 15 && start.canEndAfter(count) ? single : none
  if (isLoose || isDate(groups)) return none
  const isEnd = (end: number): boolean => start.canEndAfter(end)
  return longest(leading(groups, false), { from: 7, to: 15, fromGroups: 2, isEnd })
}

/** The groups of a candidate whose form is that of phone numbers. */
const withClearForm = (candidate: Candidate, place: Place): Groups => {
  const signed = withPlus(candidate, place)
  if (signed.length > 0) return signed
  const isEnough = (): boolean => (place.start.isFree && !candidate.isLoose) || place.isNamedPhone()
  for (const form of [withExitCode, northAmerican, national]) {
    const groups = form(candidate, place)
    if (groups.length > 0 && isEnough()) return groups
  }
  return none
}

/** The groups of a candidate that a word says to be a phone number. */
const withName = (candidate: Candidate, place: Place): Groups => {
  const groups = ambiguous(candidate, place)
  return groups.length > 0 && place.isNamedPhone() ? groups : none
}

/** The groups that are a phone number. A clear form goes first: in `call 020 7946`, `0958` may be in the next line. */
const phoneAt = (place: Place): Groups => {
  for (const find of [withClearForm, withName]) {
    for (const candidate of place.start.candidates) {
      const groups = find(candidate, place)
      if (groups.length > 0) return groups
    }
  }
  return none
}

/** The opening parenthesis and the plus before the first digit belong to the number. */
const startOf = (reader: Reader, { start }: Group): number => {
  const opened = reader.at(start - 1) === "(" ? start - 1 : start
  const signed = reader.at(opened - 1) === "+" ? opened - 1 : opened
  return signed < opened && reader.at(signed - 1) === "(" ? signed - 1 : signed
}

const longestConjunction = 8

/** What is between the numbers of a list: `5550123, 5550124 and 5550125`. */
const isConjunction = (text: string): boolean => /^[\s,;/&]*(?:(?:or|and)\s)?\s*$/.test(text)

/** Finds phone numbers, one place after the other. */
export const phoneFinder = (reader: Reader): (start: NumberStart) => ReadonlyArray<Finding<"phone">> => {
  let endOfAnnounced: number | undefined

  const isNextOfList = ({ first }: NumberStart): boolean =>
    endOfAnnounced !== undefined && first.start >= endOfAnnounced && first.start - endOfAnnounced <= longestConjunction
    && isConjunction(reader.slice(endOfAnnounced, first.start))

  return (start) => {
    reader.meter.steps += mostDigits
    let named: boolean | undefined
    const isNamedPhone = (): boolean =>
      named ??= isAnnounced(reader, start.first.start, announcement) || isNextOfList(start)
    const last = phoneAt({ start, reader, isNamedPhone }).at(-1)
    if (last === undefined) return []
    if (named === true) endOfAnnounced = last.end
    return [{ kind: "phone", start: startOf(reader, start.first), end: last.end }]
  }
}
