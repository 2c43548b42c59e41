/**
 * Finds US social security numbers: `123-45-6789`, and nine digits after a word that says so.
 */
import type { Finding } from "../Finding.ts"
import type { DigitRun, Group } from "./digit-run.ts"
import { isPrecededBy, type Reader } from "./reader.ts"

type Found = ReadonlyArray<Finding<"social-security-number">>

const said = {
  keywords: new Set(["ssn", "ssns", "social"]),
  fillers: new Set(["security", "number", "no", "nr", "num", "is", "my", "the", "s", "it", "was", "are"])
}

/** Whether a number was ever given out: no area 000, 666 or from 900 on, no group 00, no serial 0000. */
const exists = (digits: string): boolean => {
  const area = digits.slice(0, 3)
  return area !== "000" && area !== "666" && area < "900" && digits.slice(3, 5) !== "00" && digits.slice(5) !== "0000"
}

const between = new Set(["-", " ", ".", "_", " - "])

const isInGroups = ([first, second, third]: ReadonlyArray<Group>): boolean =>
  first?.digits.length === 3 && second?.digits.length === 2 && third?.digits.length === 4
  && second.separator === third.separator && between.has(second.separator)

const finding = (start: number, end: number): Found => [{ kind: "social-security-number", start, end }]

/** Finds a number that starts with this group. */
export const socialSecurityNumberAt = (run: DigitRun, index: number, reader: Reader): Found => {
  const [first, second, third] = run.groups.slice(index, index + 3)
  if (first === undefined) return []
  const isSaid = (): boolean => isPrecededBy(reader, first.start, said)
  if (first.digits.length === 9) {
    return exists(first.digits) && run.endsFree(index + 1) && isSaid() ? finding(first.start, first.end) : []
  }
  if (second === undefined || third === undefined || !isInGroups([first, second, third])) return []
  if (!exists(first.digits + second.digits + third.digits) || !run.endsFree(index + 3)) return []
  return run.startsFree(index) || isSaid() ? finding(first.start, third.end) : []
}
