/**
 * Finds numbers of payment cards: the prefix and length of a card network, and a check digit that is right.
 *
 * In one piece or in groups: of three digits at least (the last may be shorter), of two each, or of one each. A number in
 * one piece counts when no letters are attached to it, besides words such as `card` and `exp`, and it is no fraction.
 */
import type { Finding } from "../Finding.ts"
import type { Meter } from "../Meter.ts"
import type { Groups, NumberStart } from "./digit-groups.ts"
import type { Reader } from "./reader.ts"

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

const isGrouped = (groups: Groups): boolean => {
  const shortestBefore = Math.min(...groups.slice(0, -1).map(({ digits }) => digits.length))
  const size = groups[0]?.digits.length ?? 0
  return shortestBefore >= 3 || (size <= 2 && groups.every(({ digits }) => digits.length === size))
}

/** The most groups that have the digits of a card. */
const longestCard = (groups: Groups, meter: Meter, isWhole: (groups: Groups) => boolean): Groups => {
  let digits = ""
  let found: Groups = []
  for (const [index, group] of groups.entries()) {
    digits += group.digits
    if (digits.length > longest) break
    meter.steps += digits.length
    if (digits.length < shortest || !isOfNetwork(digits) || !passesLuhn(digits)) continue
    const card = groups.slice(0, index + 1)
    if (isGrouped(card) && isWhole(card)) found = card
  }
  return found
}

// ---------------------------------------------------------------------------------------------------------------------
// what is around it
// ---------------------------------------------------------------------------------------------------------------------

/** What is written without a blank before the number of a card, and behind it. */
const labelBefore =
  /(?:^|[^a-z])(?:card|visa|mastercard|maestro|amex|discover|diners|jcb|cc|pan|credit|debit)[a-z]{0,6}$/
const labelBehind = /^(?:exp|cv|cid|valid|thru)/

// One more than the longest of them, to see what is before it.
const longestLabel = 17

/** Whether letters stand right before or behind it, so that it is a part of a longer name: `0x4111`, `4111deadbeef`. */
const isInName = (reader: Reader, start: number, end: number): boolean =>
  (reader.isWord(start - 1) && !labelBefore.test(reader.slice(Math.max(0, start - longestLabel), start)))
  || (reader.isWord(end) && !labelBehind.test(reader.slice(end, end + longestLabel)))

/** Whether it is what stands behind the point of a number: `0.4111`. */
const isFraction = (start: NumberStart): boolean => start.first.joint === "close" && start.first.separator === "."

const hasBlank = (groups: Groups): boolean => groups.slice(1).some(({ separator }) => /\s/.test(separator))

/** Finds the longest number that starts with the first group. */
export const paymentCards = (reader: Reader) => (start: NumberStart): ReadonlyArray<Finding<"payment-card">> => {
  for (const { groups, isLoose } of start.candidates) {
    const isWhole = (card: Groups): boolean => {
      const end = card.at(-1)?.end ?? 0
      const isSmall = start.first.digits.length <= 2
      if ((isLoose || isSmall) && start.isInList(card)) return false
      if (card.length === 1 && isFraction(start)) return false
      return hasBlank(card) || !isInName(reader, start.first.start, end)
    }
    const last = longestCard(groups, reader.meter, isWhole).at(-1)
    if (last !== undefined) return [{ kind: "payment-card", start: start.first.start, end: last.end }]
  }
  return []
}
