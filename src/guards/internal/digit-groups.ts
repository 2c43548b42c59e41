/**
 * Finds the groups of digits in a text, and tells which of them may be one number together.
 *
 * | separators | examples | one number |
 * |---|---|---|
 * | up to three blanks, dots, dashes, underscores, slashes or parentheses | `202-555-0123` | by its form |
 * | the same, and once a line break | `(202)`, and `555-0123` in the next line | by its form, unless all are blank |
 * | any white space and punctuation, the same everywhere | `202, 555, 0123` | by a check digit, a plus or a word |
 */
import type { Reader } from "./reader.ts"

/** How a group follows the one before it. */
type Joint = "none" | "close" | "line-break" | "wide"

/** Digits without anything between them. */
export interface Group {
  readonly digits: string
  readonly start: number
  readonly end: number
  /** What is between this group and the one before. */
  readonly separator: string
  readonly joint: Joint
}

export type Groups = ReadonlyArray<Group>

/** Groups that may be one number. */
export interface Candidate {
  readonly groups: Groups
  /** Whether lists and tables of numbers look the same, so that it takes more than the form to know a number. */
  readonly isLoose: boolean
}

const close = /^[ \t.\-_/()—]{1,3}$/
const closeWithLineBreak = /^[ \t.\-_/()—]{0,3}(?:\r\n|\n|\r)[ \t.\-_/()—]{0,3}$/
const longestWideSeparator = 32
const wide = /^[\s!-/:-@[-`{-~—]+$/

// No number has more groups.
const mostGroups = 19

const jointOf = (separator: string): Joint => {
  if (close.test(separator)) return "close"
  if (closeWithLineBreak.test(separator)) return "line-break"
  return wide.test(separator) ? "wide" : "none"
}

const endOfDigits = (reader: Reader, start: number): number => {
  let end = start
  while (reader.isDigit(end)) end++
  return end
}

const groupsOf = (reader: Reader): Groups => {
  const groups: Array<Group> = []
  for (let index = 0; index < reader.text.length;) {
    if (!reader.isDigit(index)) {
      index++
      continue
    }
    const end = endOfDigits(reader, index)
    const before = groups.at(-1)?.end
    const isNear = before !== undefined && index - before <= longestWideSeparator
    const separator = isNear ? reader.slice(before, index) : ""
    groups.push({ digits: reader.slice(index, end), start: index, end, separator, joint: jointOf(separator) })
    index = end
  }
  return groups
}

/** Whether a separator joins the parts of a name, as in `INV-202`. */
const joinsNames = (separator: string): boolean => /^[.\-_]+$/.test(separator)

const isBlank = ({ separator }: Group): boolean => /^\s+$/.test(separator)

/** A place in a text where a number may start. */
export class NumberStart {
  readonly first: Group
  /** What may be the number: the groups of the line first. None of them is empty. */
  readonly candidates: ReadonlyArray<Candidate>
  private readonly all: Groups
  private readonly index: number
  private readonly reader: Reader

  constructor(all: Groups, index: number, first: Group, reader: Reader) {
    this.first = first
    this.all = all
    this.index = index
    this.reader = reader
    this.candidates = this.candidatesHere()
  }

  /** The group before the first. */
  get before(): Group | undefined {
    return this.all[this.index - 1]
  }

  /** The group behind so many. */
  behind(count: number): Group | undefined {
    return this.all[this.index + count]
  }

  /** Whether a number can start here: it is no part of a longer name or number. */
  get isFree(): boolean {
    const { joint, separator, start } = this.first
    return joint === "close" ? !joinsNames(separator) : !this.reader.isNameBefore(start)
  }

  /** Whether a number can end with so many groups. */
  canEndAfter(count: number): boolean {
    const next = this.behind(count)
    if (next?.joint === "close") return !joinsNames(next.separator)
    return !this.reader.isNameBehind(this.all[this.index + count - 1]?.end ?? 0)
  }

  /** Whether these groups are a part of a longer list: one more of the same size stands before or behind them. */
  isInList(groups: Groups): boolean {
    const separator = groups[1]?.separator
    const isNext = (neighbour: Group | undefined, group: Group | undefined, between: string | undefined): boolean =>
      neighbour !== undefined && between === separator && neighbour.digits.length === group?.digits.length
    const next = this.behind(groups.length)
    return isNext(this.before, this.first, this.first.separator) || isNext(next, groups.at(-1), next?.separator)
  }

  private following(isJoined: (group: Group) => boolean): Groups {
    const from = this.index
    let to = from + 1
    for (; to - from < mostGroups; to++) {
      const group = this.all[to]
      if (group === undefined || !isJoined(group)) break
    }
    this.reader.meter.steps += to - from
    return this.all.slice(from, to)
  }

  private candidatesHere(): ReadonlyArray<Candidate> {
    const line = this.following(({ joint }) => joint === "close")
    const candidates: Array<Candidate> = [{ groups: line, isLoose: false }]
    if (this.behind(line.length)?.joint === "line-break") {
      let lineBreaks = 0
      const isJoined = ({ joint }: Group): boolean =>
        joint === "close" || (joint === "line-break" && ++lineBreaks === 1)
      const groups = this.following(isJoined)
      candidates.push({ groups, isLoose: groups.slice(1).every(isBlank) })
    }
    const second = this.behind(1)
    if (second?.joint === "wide" || second?.joint === "line-break") {
      candidates.push({ groups: this.following(({ separator }) => separator === second.separator), isLoose: true })
    }
    return candidates
  }
}

/** All places of a text where a number may start, in order. */
export function* numberStarts(reader: Reader): Generator<NumberStart> {
  const groups = groupsOf(reader)
  for (const [index, group] of groups.entries()) yield new NumberStart(groups, index, group, reader)
}

/** Whether these groups have so many digits each, and there are no others. */
export const haveLengths = (groups: Groups, ...lengths: ReadonlyArray<number>): boolean =>
  groups.length === lengths.length && groups.every(({ digits }, index) => digits.length === lengths[index])

/** How many digits these groups have in all. */
export const digitCount = (groups: Groups): number => {
  let count = 0
  for (const group of groups) count += group.digits.length
  return count
}
