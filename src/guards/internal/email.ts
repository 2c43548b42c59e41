/**
 * Finds e-mail addresses: something, an at sign, and a domain with a dot and an ending of letters.
 *
 * In an URL the at sign may be `%40`. What stands before it may be in quotation marks.
 */
import type { Finding } from "../Finding.ts"
import type { Reader } from "./reader.ts"

// The standard allows no longer name before the at sign.
const longestLocal = 64

const isLocalPart = (reader: Reader, index: number): boolean => {
  const character = reader.at(index)
  return character !== "" && ("._%+-'".includes(character) || reader.isWord(index))
}

const isDomainPart = (reader: Reader, index: number): boolean => {
  const character = reader.at(index)
  return character === "-" || character === "_" || character === "." || reader.isWord(index)
}

/** Where the name in quotation marks starts that ends here. */
const startOfQuoted = (reader: Reader, end: number): number | undefined => {
  for (let start = end - 2; start >= 0 && end - start <= longestLocal; start--) {
    const character = reader.at(start)
    if (character === "\n" || character === "\r") return undefined
    if (character === "\"") return end - start > 2 ? start : undefined
  }
  return undefined
}

const startOfPlain = (reader: Reader, at: number, most: number): number => {
  let start = at
  while (start > 0 && at - start < most && isLocalPart(reader, start - 1)) start--
  // A quotation mark or dot before the address belongs to the sentence.
  while (start < at && !reader.isWord(start)) start++
  return start
}

/** The types of files that are no domains as well: `icon@2x.png` is a file. */
const fileTypes = new Set(
  "avif, bmp, css, dll, exe, gif, htm, html, ico, jar, jpeg, jpg, js, json, mjs, pdf, php, png, svg, tiff, txt, webp, xml"
    .split(", ")
)

/** The part of a label that can be the ending of a domain: what is behind a dash belongs to the sentence. */
const endingOf = (label: string): string => {
  const ending = /^xn--[a-z0-9-]+$/.exec(label)?.[0] ?? /^\p{L}[\p{L}\p{M}]+(?=$|[-_])/u.exec(label)?.[0] ?? ""
  return fileTypes.has(ending) ? "" : ending
}

/** The end of the longest domain that starts here. */
const endOfDomain = (reader: Reader, start: number): number | undefined => {
  let end = start
  let labelStart = start
  let domainEnd: number | undefined
  const finishLabel = (): boolean => {
    const label = reader.slice(labelStart, end)
    if (label === "" || label.startsWith("-")) return false
    const ending = labelStart > start ? endingOf(label) : ""
    if (ending !== "") domainEnd = labelStart + ending.length
    return !label.endsWith("-")
  }
  for (; end < reader.text.length && isDomainPart(reader, end); end++) {
    if (reader.at(end) !== ".") continue
    if (!finishLabel()) return domainEnd
    labelStart = end + 1
  }
  finishLabel()
  return domainEnd
}

const atSign = /@|%40/g

/** Finds e-mail addresses. Between two at signs each character is looked at twice, so the cost is linear. */
export const findEmails = (reader: Reader): ReadonlyArray<Finding<"email">> => {
  const found: Array<Finding<"email">> = []
  for (const { 0: sign, index: at } of reader.text.matchAll(atSign)) {
    // Unlike an at sign, `%40` can be a part of the name, so that names have to be bounded.
    const most = sign === "@" ? at : longestLocal
    const quoted = reader.at(at - 1) === "\"" ? startOfQuoted(reader, at) : undefined
    const start = quoted ?? startOfPlain(reader, at, most)
    const end = start < at ? endOfDomain(reader, at + sign.length) : undefined
    if (end !== undefined) found.push({ kind: "email", start, end })
  }
  return found
}
