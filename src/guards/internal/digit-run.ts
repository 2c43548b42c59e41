/**
 * Finds groups of digits that follow each other: most numbers of persons and things are made of them.
 */
import type { Reader } from "./reader.ts"

/** Digits without anything between them. */
export interface Group {
  readonly digits: string
  readonly start: number
  readonly end: number
  /** What is between this group and the one before; nothing for the first of a run. */
  readonly separator: string
}

/** Groups with little between them: up to three blanks, dots, dashes, underscores, slashes or
 * parentheses. */
export interface DigitRun {
  readonly groups: ReadonlyArray<Group>
  /** Whether a number can start with this group: it is no part of a longer name or number. */
  readonly startsFree: (index: number) => boolean
  /** Whether a number can end with the group before this index. */
  readonly endsFree: (index: number) => boolean
}

const separators = " \t.-_/()"
const longestSeparator = 3

const endOfDigits = (reader: Reader, start: number): number => {
  let end = start
  while (reader.isDigit(end)) end++
  return end
}

/** Where the next group of the run starts, if one follows. */
const nextStart = (reader: Reader, end: number): number | undefined => {
  for (let start = end; start <= end + longestSeparator; start++) {
    if (reader.isDigit(start)) return start
    const character = reader.at(start)
    if (character === "" || !separators.includes(character)) return undefined
  }
  return undefined
}

const joins = (character: string): boolean => character !== "" && ".-_".includes(character)

const isTight = (separator: string): boolean => Array.from(separator).every(joins)

const runFrom = (reader: Reader, start: number): DigitRun => {
  const groups: Array<Group> = []
  let before = start
  for (let next: number | undefined = start; next !== undefined;) {
    const end = endOfDigits(reader, next)
    groups.push({ digits: reader.slice(next, end), start: next, end, separator: reader.slice(before, next) })
    before = end
    next = nextStart(reader, end)
  }
  const isInName = (): boolean =>
    reader.isNamePart(start - 1) || (joins(reader.at(start - 1)) && reader.isNamePart(start - 2))
  return {
    groups,
    startsFree: (index) => index === 0 ? !isInName() : !isTight(groups[index]?.separator ?? ""),
    endsFree: (index) => index === groups.length ? !reader.isNamePart(before) : !isTight(groups[index]?.separator ?? "")
  }
}

/** All runs of a text. */
export function* digitRuns(reader: Reader): Generator<DigitRun> {
  for (let index = 0; index < reader.text.length;) {
    if (!reader.isDigit(index)) {
      index++
      continue
    }
    const run = runFrom(reader, index)
    yield run
    index = run.groups.at(-1)?.end ?? index + 1
  }
}
