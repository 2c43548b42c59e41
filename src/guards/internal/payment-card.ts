/**
 * Finds numbers of payment cards: the prefix and length of a card network, and a check digit that is right.
 *
 * In one piece or in groups: of three digits at least (the last may be shorter), of two each, or of one each.
 */
import type { Finding } from "../Finding.ts"
import type { DigitRun, Group } from "./digit-run.ts"
import type { Reader } from "./reader.ts"

type Found = ReadonlyArray<Finding<"payment-card">>

interface Network {
  /** The first and last prefix; as long as each other. */
  readonly from: string
  readonly to: string
  readonly lengths: ReadonlyArray<number>
}

const long = [16, 17, 18, 19]

const networks: ReadonlyArray<Network> = [
  { from: "4", to: "4", lengths: [13, 16, 19] }, // Visa
  { from: "51", to: "55", lengths: [16] }, // Mastercard
  { from: "2221", to: "2720", lengths: [16] },
  { from: "34", to: "34", lengths: [15] }, // American Express
  { from: "37", to: "37", lengths: [15] },
  { from: "6011", to: "6011", lengths: long }, // Discover
  { from: "644", to: "659", lengths: long },
  { from: "300", to: "305", lengths: [14] }, // Diners Club
  { from: "36", to: "36", lengths: [14] },
  { from: "38", to: "39", lengths: [14] },
  { from: "3528", to: "3589", lengths: long }, // JCB
  { from: "62", to: "62", lengths: long }, // UnionPay
  { from: "2200", to: "2204", lengths: long }, // Mir
  { from: "5018", to: "5018", lengths: [13, 14, 15, ...long] }, // Maestro
  { from: "5020", to: "5020", lengths: [13, 14, 15, ...long] },
  { from: "5038", to: "5038", lengths: [13, 14, 15, ...long] },
  { from: "6304", to: "6304", lengths: [13, 14, 15, ...long] },
  { from: "6759", to: "6763", lengths: [13, 14, 15, ...long] }
]

const networksOf = (digit: string): ReadonlyArray<Network> =>
  networks.filter(({ from, to }) => digit >= from.charAt(0) && digit <= to.charAt(0))

/** The networks by the first digit of their numbers. */
const byDigit: ReadonlyMap<string, ReadonlyArray<Network>> = new Map(
  Array.from("0123456789", (digit) => [digit, networksOf(digit)])
)

const shortest = 13
const longest = 19

const isOfNetwork = (digits: string): boolean =>
  (byDigit.get(digits.charAt(0)) ?? []).some(({ from, lengths, to }) => {
    const prefix = digits.slice(0, from.length)
    return lengths.includes(digits.length) && prefix >= from && prefix <= to
  })

/** Luhn's check: every second digit from the right counts twice, and the sum ends with 0. */
const passesLuhn = (digits: string): boolean => {
  let sum = 0
  for (let index = 0; index < digits.length; index++) {
    const digit = Number(digits.charAt(digits.length - 1 - index))
    const counted = index % 2 === 0 ? digit : digit * 2
    sum += counted > 9 ? counted - 9 : counted
  }
  return sum % 10 === 0
}

const isGrouped = (groups: ReadonlyArray<Group>): boolean => {
  const shortestBefore = Math.min(...groups.slice(0, -1).map(({ digits }) => digits.length))
  const size = groups[0]?.digits.length ?? 0
  return shortestBefore >= 3 || (size <= 2 && groups.every(({ digits }) => digits.length === size))
}

const canSeparate = (separator: string): boolean => !/[/()]/.test(separator)

/** Finds the longest number that starts with this group. */
export const paymentCardAt = ({ groups }: DigitRun, index: number, { meter }: Reader): Found => {
  const first = groups[index]
  if (first === undefined) return []
  let digits = ""
  let found: Found = []
  for (let last = index; last < groups.length; last++) {
    const group = groups[last] as Group // last is within groups
    if (last > index && !canSeparate(group.separator)) break
    digits += group.digits
    if (digits.length > longest) break
    meter.steps += digits.length
    if (digits.length < shortest || !isOfNetwork(digits) || !passesLuhn(digits)) continue
    if (isGrouped(groups.slice(index, last + 1))) found = [{ kind: "payment-card", start: first.start, end: group.end }]
  }
  return found
}
