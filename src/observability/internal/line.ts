/**
 * Defines the lines of a drawing: pieces of text with what they mean, and how they are written with and without colours.
 */
import { cut, widthOf } from "./cells.ts"

/** What a piece of text means; each has a colour. */
export type Tone = "plain" | "title" | "active" | "good" | "quiet" | "stopped" | "warning" | "bad"

export interface Piece {
  readonly text: string
  readonly tone: Tone
}

export type Line = ReadonlyArray<Piece>

export const piece = (text: string, tone: Tone = "plain"): Piece => ({ text, tone })

/** The line, cut where it is wider than `width`, and without blanks at its end. */
export const cutLine = (line: Line, width: number): Line => {
  const kept: Array<Piece> = []
  let left = width
  const last = line.findLastIndex(({ text }) => text.trim() !== "")
  for (const [index, { text, tone }] of line.entries()) {
    if (index > last || left <= 0) break
    const fitting = cut(index === last ? text.trimEnd() : text, left)
    kept.push({ text: fitting, tone })
    left -= widthOf(fitting)
    // What follows a piece that was cut has no place, however little it is.
    if (fitting !== text) break
  }
  return kept
}

export const toPlain = (line: Line): string => line.map(({ text }) => text).join("")

/** Of the sixteen colours that every terminal has: they follow the user's theme. */
const codes: Readonly<Record<Tone, string>> = {
  plain: "",
  title: "1",
  active: "36",
  good: "32",
  quiet: "90",
  stopped: "35",
  warning: "33",
  bad: "31"
}

export const toColoured = (line: Line): string =>
  line.map(({ text, tone }) =>
    codes[tone] === "" || text.trim() === "" ? text : `\u001b[${codes[tone]}m${text}\u001b[0m`
  ).join("")
