/**
 * Finds US social security numbers: `123-45-6789`, and nine digits in any groups after a word that says so.
 */
import type { Finding } from "../Finding.ts"
import { type Candidate, digitCount, type Groups, haveLengths, type NumberStart } from "./digit-groups.ts"
import { isAnnounced, type Reader, wordsOf } from "./reader.ts"

const announcement = {
  keywords: wordsOf("ssn, ssns, social"),
  fillers: wordsOf("security, number, card, no, nr, num, is, my, the, s, it, was, are")
}

/** Whether a number was ever given out: no area 000, 666 or from 900 on, no group 00, no serial 0000. */
const exists = (groups: Groups): boolean => {
  const digits = groups.map((group) => group.digits).join("")
  const area = digits.slice(0, 3)
  return area !== "000" && area !== "666" && area < "900" && digits.slice(3, 5) !== "00" && digits.slice(5) !== "0000"
}

/** What may separate the groups where no word says what they are, besides a line break. */
const separator = /^(?:[-—._]| - | — | )$/

const separatorOf = (groups: Groups, index: number): string => (groups[index]?.separator ?? "").replace(/[\r\n]+/, "")

const isInGroups = (groups: Groups): boolean =>
  haveLengths(groups, 3, 2, 4) && separatorOf(groups, 1) === separatorOf(groups, 2)
  && separator.test(separatorOf(groups, 1))

/** The first groups that have nine digits together. */
const nineDigits = (groups: Groups): Groups => {
  let count = 0
  for (let digits = 0; digits < 9 && count < groups.length; count++) digits += groups[count]?.digits.length ?? 0
  const found = groups.slice(0, count)
  return digitCount(found) === 9 ? found : []
}

/** Finds a number that starts with the first group. */
export const socialSecurityNumbers =
  (reader: Reader) => (start: NumberStart): ReadonlyArray<Finding<"social-security-number">> => {
    const isEnough = ({ isLoose }: Candidate, groups: Groups): boolean =>
      (!isLoose && start.isFree && isInGroups(groups)) || isAnnounced(reader, start.first.start, announcement)
    for (const candidate of start.candidates) {
      const groups = nineDigits(candidate.groups)
      const last = groups.at(-1)
      if (last === undefined || !exists(groups) || !start.canEndAfter(groups.length)) continue
      if (isEnough(candidate, groups)) {
        return [{ kind: "social-security-number", start: start.first.start, end: last.end }]
      }
    }
    return []
  }
