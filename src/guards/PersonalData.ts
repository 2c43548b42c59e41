/**
 * Finds personal data in a text: what identifies, reaches or charges a person.
 *
 * | kind | what is found |
 * |---|---|
 * | `email` | addresses with a domain that has a dot |
 * | `phone` | international numbers with `+` or `00`, North American ones, national ones that start with 0 and have groups, bare numbers after a word such as "phone" or "call" |
 * | `social-security-number` | US numbers that can exist, in three groups, or bare after "SSN" or "social security" |
 * | `payment-card` | numbers with the prefix and length of a card network that pass the Luhn check |
 * | `ip-address` | IPv4 and IPv6 |
 *
 * The text is normalised first, so digits in full width or of other scripts, odd dashes and invisible characters hide
 * nothing. What is right by its form is found, whoever it belongs to; what is spelt out in words is not.
 */
import { InvalidOption } from "../StageError.ts"
import type { Detector } from "./Detector.ts"
import { type Finding, merge } from "./Finding.ts"
import { type DigitRun, digitRuns } from "./internal/digit-run.ts"
import { findEmails } from "./internal/email.ts"
import { findIpv6Addresses, ipv4At } from "./internal/ip-address.ts"
import { kindInBrackets } from "./internal/kind-in-brackets.ts"
import { paymentCardAt } from "./internal/payment-card.ts"
import { phoneAt } from "./internal/phone.ts"
import { Reader } from "./internal/reader.ts"
import { socialSecurityNumberAt } from "./internal/social-security-number.ts"
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

type Finder = (reader: Reader) => ReadonlyArray<Finding<Kind>>
type AtGroup = (run: DigitRun, index: number, reader: Reader) => ReadonlyArray<Finding<Kind>>

/** What looks at groups of digits, by kind. */
const ofDigits: Partial<Record<Kind, AtGroup>> = {
  phone: phoneAt,
  "social-security-number": socialSecurityNumberAt,
  "payment-card": paymentCardAt,
  "ip-address": ipv4At
}

/** What looks at the whole text, by kind. */
const ofText: Partial<Record<Kind, Finder>> = { email: findEmails, "ip-address": findIpv6Addresses }

const findInDigits = (reader: Reader, finders: ReadonlyArray<AtGroup>): Array<Finding<Kind>> => {
  const found: Array<Finding<Kind>> = []
  for (const run of digitRuns(reader)) {
    for (let index = 0; index < run.groups.length; index++) {
      for (const finder of finders) found.push(...finder(run, index, reader))
    }
  }
  return found
}

const checkedKinds = (wanted: ReadonlyArray<Kind>): ReadonlyArray<Kind> => {
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
export const make = <const K extends Kind = Kind>(options: Options<K> = {}): Detector<K> => {
  const wanted = checkedKinds(options.kinds ?? kinds)
  const atGroups = wanted.flatMap((kind) => ofDigits[kind] ?? [])
  const inTexts = wanted.flatMap((kind) => ofText[kind] ?? [])
  return {
    // Without kinds, K is all of them.
    kinds: wanted as ReadonlyArray<K>,
    detect: (text, meter = unreadMeter()) => {
      const normalised = normalise(text, meter)
      const reader = new Reader(normalised.text, meter)
      const found = [...inTexts.flatMap((finder) => finder(reader)), ...findInDigits(reader, atGroups)]
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
