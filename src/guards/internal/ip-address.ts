/**
 * Finds IP addresses.
 *
 * Four numbers with dots are also versions and sections: after a word that says so, with a fifth number or with a letter
 * attached they are no address. Of IPv6 a short form counts when a part of it has three digits at least, so `::1` and
 * slices such as `[1::2]` do not, and neither does a name such as `face::cafe`, without any digit.
 */
import type { Finding } from "../Finding.ts"
import type { Group, NumberStart } from "./digit-groups.ts"
import { isAnnounced, type Reader, wordsOf } from "./reader.ts"

type Found = ReadonlyArray<Finding<"ip-address">>

const versions = {
  keywords: wordsOf(
    "version, versions, ver, v, release, build, rev, revision, firmware, driver, section, sections, chapter, clause, "
      + "paragraph, figure, table, step"
  ),
  fillers: wordsOf("number, no, nr, is, to, from")
}

const isOctet = ({ digits }: Group): boolean => digits.length <= 3 && Number(digits) <= 255

const isBehindDot = ({ joint, separator }: Group): boolean => joint === "close" && separator === "."

/** A dash, dot or underscore with a letter behind it: `1.2.3.4-beta`, `1.2.3.4.tar`. */
const isNameBehind = (reader: Reader, end: number): boolean =>
  reader.isNameBehind(end) || (reader.at(end) === "." && reader.isWord(end + 1))

/** Finds an IPv4 address that starts with the first group. */
export const ipv4Addresses = (reader: Reader) => (start: NumberStart): Found => {
  const { first } = start
  const octets = (start.candidates[0]?.groups ?? []).slice(0, 4)
  const last = octets[3]
  const next = start.behind(4)
  reader.meter.steps += octets.length
  if (last === undefined || !octets.every(isOctet) || !octets.slice(1).every(isBehindDot)) return []
  const startsFree = first.joint === "close" ? !isBehindDot(first) : start.isFree
  const endsFree = next?.joint === "close" ? !isBehindDot(next) : !isNameBehind(reader, last.end)
  return startsFree && endsFree && !isAnnounced(reader, first.start, versions)
    ? [{ kind: "ip-address", start: first.start, end: last.end }]
    : []
}

// ---------------------------------------------------------------------------------------------------------------------
// IPv6
// ---------------------------------------------------------------------------------------------------------------------

const isHexadecimal = (character: string): boolean =>
  (character >= "0" && character <= "9") || (character >= "a" && character <= "f")

const isPart = (character: string): boolean => character === ":" || isHexadecimal(character)

const isAddress = (text: string, parts: number): boolean => {
  const [before = "", after, ...more] = text.split("::")
  const groups = [...before.split(":"), ...(after ?? "").split(":")].filter((group) => group !== "")
  // Eight bytes, such as the address of a network card.
  if (groups.length === 8 && groups.every(({ length }) => length === 2)) return false
  const isEmptyInside = /^:[^:]|[^:]:$|:::/.test(text)
  if (more.length > 0 || isEmptyInside || groups.some((group) => group.length > 4)) return false
  if (after === undefined) return groups.length === parts
  return groups.length < parts && groups.some(({ length }) => length >= 3)
}

/** The end of the IPv4 address at the end of an IPv6 one: `::ffff:192.0.2.1`. */
const endOfIpv4 = (reader: Reader, start: number): number | undefined => {
  const shown = /^\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}(?![\d.])/.exec(reader.slice(start, start + 16))?.[0]
  return shown === undefined ? undefined : start + shown.length
}

const ipv6In = (reader: Reader, runStart: number, runEnd: number): Found => {
  const isInWord = reader.isWord(runStart - 1)
  const text = reader.slice(runStart, runEnd)
  // One colon before or behind belongs to the sentence.
  const start = runStart + (/^:(?!:)/.test(text) ? 1 : 0)
  const end = runEnd - (/[^:]:$/.test(text) ? 1 : 0)
  if (isInWord && start === runStart) return []
  const tail = text.lastIndexOf(":") + 1 + runStart
  const endOfTail = reader.at(end) === "." ? endOfIpv4(reader, tail) : undefined
  if (endOfTail !== undefined) {
    const head = reader.slice(start, tail)
    const parts = head.endsWith("::") ? head : head.slice(0, -1)
    return isAddress(parts, 6) && !reader.isWord(endOfTail) ? [{ kind: "ip-address", start, end: endOfTail }] : []
  }
  const address = reader.slice(start, end)
  return isAddress(address, 8) && /\d/.test(address) && !reader.isWord(end)
    ? [{ kind: "ip-address", start, end }]
    : []
}

/** Finds IPv6 addresses. */
export const findIpv6Addresses = (reader: Reader): Found => {
  const found: Array<Finding<"ip-address">> = []
  for (let index = 0; index < reader.text.length;) {
    const start = index
    let colons = 0
    while (isPart(reader.at(index))) {
      if (reader.at(index) === ":") colons++
      index++
    }
    if (colons >= 2) found.push(...ipv6In(reader, start, index))
    if (index === start) index++
  }
  return found
}
