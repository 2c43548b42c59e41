/**
 * Finds e-mail addresses: something, an at sign, and a domain with a dot and an ending of letters.
 */
import type { Finding } from "../Finding.ts"
import type { Reader } from "./reader.ts"

const isLocalPart = (reader: Reader, index: number): boolean => {
  const character = reader.at(index)
  return character !== "" && ("._%+-'".includes(character) || reader.isWord(index))
}

const isDomainPart = (reader: Reader, index: number): boolean => {
  const character = reader.at(index)
  return character === "-" || character === "." || reader.isWord(index)
}

const startOfLocal = (reader: Reader, at: number): number => {
  let start = at
  while (start > 0 && isLocalPart(reader, start - 1)) start--
  // A quotation mark or dot before the address belongs to the sentence.
  while (start < at && !reader.isWord(start)) start++
  return start
}

const isEnding = (label: string): boolean => /^\p{L}[\p{L}\p{M}]+$/u.test(label) || /^xn--[a-z0-9-]+$/.test(label)

/** The end of the longest domain that starts here. */
const endOfDomain = (reader: Reader, start: number): number | undefined => {
  let end = start
  let labelStart = start
  let domainEnd: number | undefined
  const finishLabel = (): boolean => {
    const label = reader.slice(labelStart, end)
    if (label === "" || label.startsWith("-") || label.endsWith("-")) return false
    if (labelStart > start && isEnding(label)) domainEnd = end
    return true
  }
  for (; end < reader.text.length && isDomainPart(reader, end); end++) {
    if (reader.at(end) !== ".") continue
    if (!finishLabel()) return domainEnd
    labelStart = end + 1
  }
  finishLabel()
  return domainEnd
}

/** Finds e-mail addresses. Between two at signs each character is looked at twice, so the cost is linear. */
export const findEmails = (reader: Reader): ReadonlyArray<Finding<"email">> => {
  const found: Array<Finding<"email">> = []
  for (let at = reader.text.indexOf("@"); at >= 0; at = reader.text.indexOf("@", at + 1)) {
    const start = startOfLocal(reader, at)
    const end = start < at ? endOfDomain(reader, at + 1) : undefined
    if (end !== undefined) found.push({ kind: "email", start, end })
  }
  return found
}
