/**
 * Finds personal data in a text: what identifies, reaches or charges a person.
 *
 * | kind | what is found |
 * |---|---|
 * | `email` | addresses with a domain that has a dot |
 * | `phone` | international numbers with `+`, `00` or `011`, North American ones, national ones that start with 0 and have groups, bare numbers after a word such as "phone" or "call" |
 * | `social-security-number` | US numbers that can exist, in three groups, or in any after "SSN" or "social security" |
 * | `payment-card` | numbers with the prefix and length of a card network that pass the Luhn check |
 * | `ip-address` | IPv4 and IPv6 |
 *
 * The text is normalised first, so digits in full width or of other scripts, odd dashes, invisible characters and HTML
 * character references hide nothing. Groups of digits with line breaks, commas or many blanks between them are a number
 * when something besides their form says so: a check digit, a plus, or a word. What is right by its form is found,
 * whoever it belongs to; what is spelt out in words is not.
 */
import * as options from "../internal/options.ts"
import { InvalidOption } from "../StageError.ts"
import type { Detector } from "./Detector.ts"
import { type Finding, merge } from "./Finding.ts"
import { type NumberStart, numberStarts } from "./internal/digit-groups.ts"
import { findEmails } from "./internal/email.ts"
import { endOfIban } from "./internal/iban.ts"
import { findIpv6Addresses, ipv4Addresses } from "./internal/ip-address.ts"
import { kindInBrackets } from "./internal/kind-in-brackets.ts"
import { paymentCards } from "./internal/payment-card.ts"
import { phoneFinder } from "./internal/phone.ts"
import { Reader } from "./internal/reader.ts"
import { socialSecurityNumbers } from "./internal/social-security-number.ts"
import { unreadMeter } from "./internal/unread-meter.ts"
import { normalise } from "./Normalise.ts"
import * as Redaction from "./Redaction.ts"

/**
 * A kind of personal data.
 */
export type Kind = "email" | "phone" | "social-security-number" | "payment-card" | "ip-address"

/**
 * All kinds of personal data.
 */
export const kinds: ReadonlyArray<Kind> = ["email", "phone", "social-security-number", "payment-card", "ip-address"]

/**
 * What to look for: everything, when nothing is given.
 */
export interface Options<K extends Kind = Kind> {
  readonly kinds?: ReadonlyArray<K> | undefined
}

type Findings = ReadonlyArray<Finding<Kind>>

/** What looks at the places of a text where numbers start. */
type NumberFinder = (reader: Reader) => (start: NumberStart) => Findings

/** In this order: what has a check digit goes first, and of two findings in one place the first counts. */
const numberFinders: ReadonlyArray<readonly [Kind, NumberFinder]> = [
  ["payment-card", paymentCards],
  ["social-security-number", socialSecurityNumbers],
  ["ip-address", ipv4Addresses],
  ["phone", phoneFinder]
]

/** What looks at the whole text. */
const textFinders: ReadonlyArray<readonly [Kind, (reader: Reader) => Findings]> = [
  ["email", findEmails],
  ["ip-address", findIpv6Addresses]
]

const findersOf = <F>(wanted: ReadonlyArray<Kind>, finders: ReadonlyArray<readonly [Kind, F]>): ReadonlyArray<F> =>
  finders.filter(([kind]) => wanted.includes(kind)).map(([, finder]) => finder)

const findNumbers = (reader: Reader, finders: ReadonlyArray<NumberFinder>): Findings => {
  const found: Array<Finding<Kind>> = []
  const find = finders.map((finder) => finder(reader))
  let accountEnd = 0
  for (const start of numberStarts(reader)) {
    if (start.first.start < accountEnd) continue
    accountEnd = endOfIban(reader, start.first.start) ?? accountEnd
    if (start.first.start < accountEnd) continue
    for (const findAt of find) found.push(...findAt(start))
  }
  return found
}

const checkedKinds = (given: ReadonlyArray<Kind>): ReadonlyArray<Kind> => {
  const wanted = options.names("kinds", given) as ReadonlyArray<Kind> // what else is among them is found here
  const unknown = wanted.find((kind) => !kinds.includes(kind))
  if (wanted.length > 0 && unknown === undefined) return Array.from(wanted)
  throw new InvalidOption({
    option: "kinds",
    expected: `one at least of ${kinds.join(", ")}`,
    given: unknown === undefined ? "none" : JSON.stringify(unknown)
  })
}

/**
 * Finds personal data of the kinds that are wanted. Where findings overlap there is one, of the kind of the longest.
 */
export const make = <const K extends Kind = Kind>(given: Options<K> = {}): Detector<K> => {
  const wanted = checkedKinds(given.kinds ?? kinds)
  const inNumbers = findersOf(wanted, numberFinders)
  const inTexts = findersOf(wanted, textFinders)
  return {
    // Without kinds, K is all of them.
    kinds: wanted as ReadonlyArray<K>,
    detect: (text, meter = unreadMeter()) => {
      const normalised = normalise(text, meter)
      const reader = new Reader(normalised.text, meter)
      const found = [...inTexts.flatMap((finder) => finder(reader)), ...findNumbers(reader, inNumbers)]
      // The finders of a kind find that kind only.
      return merge(found.map(({ end, kind, start }) => ({ kind: kind as K, ...normalised.originalRange(start, end) })))
    }
  }
}

/**
 * The text with masks where personal data was found; `[email]`, `[phone]` and so on when no mask is given.
 */
export const redact = <const K extends Kind = Kind>(
  text: string,
  options: Options<K> & { readonly mask?: Redaction.Mask<K> | undefined } = {}
): Redaction.Redacted<K> => Redaction.make(make(options), options.mask ?? kindInBrackets).redact(text)
