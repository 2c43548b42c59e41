/**
 * Draws runs on a terminal: those that go on in place, below what was written before, and each that is over once.
 *
 * Made of text alone. What is written is one text for each drawing, so that nothing comes between its parts.
 */
import { widthOf } from "./cells.ts"
import { layout } from "./layout.ts"
import { type Line, toColoured, toPlain } from "./line.ts"
import type { SeenRun } from "./seen-run.ts"

/** What is known of the place where it is drawn. */
export interface Surface {
  readonly columns: number
  readonly rows: number
  /** Whether the cursor can go up, to draw over what was drawn before. */
  readonly inPlace: boolean
  readonly colours: boolean
}

const up = (lines: number): string => lines === 0 ? "\r" : `\r\u001b[${lines}A`
const clearBelow = "\u001b[J"
const clearToEndOfLine = "\u001b[K"
/** A line that is wider than it seemed is cut by the terminal: were it wrapped, the drawing would have another height. */
const wrapOff = "\u001b[?7l"
const wrapOn = "\u001b[?7h"

const textsOf = (lines: ReadonlyArray<Line>, { colours }: Surface): ReadonlyArray<string> =>
  lines.map(colours ? toColoured : toPlain)

/** What is on the screen and will be drawn over. */
export class Screen {
  /** The lines below which the cursor stands. */
  private drawn: ReadonlyArray<Line> = []
  /** The last drawing of runs that go on. */
  private last: ReadonlyArray<Line> = []

  /** The text that takes away what is drawn, and leaves behind the runs that are over. */
  settle(over: ReadonlyArray<SeenRun>, nowMs: number, surface: Surface): string {
    const lines = this.linesOf(over, nowMs, surface)
    if (!surface.inPlace) return lines.map((line) => `${line}\n`).join("")
    const text = this.above(surface) + this.written(lines)
    const isEmpty = this.drawn.length === 0 && lines.length === 0
    this.drawn = []
    // It shows runs as going on that are over.
    if (over.length > 0) this.last = []
    return isEmpty ? "" : `${text}${clearBelow}`
  }

  /** The text that leaves behind the runs that are over and draws the ones that go on, over what is drawn. */
  draw(over: ReadonlyArray<SeenRun>, goingOn: ReadonlyArray<SeenRun>, nowMs: number, surface: Surface): string {
    if (!surface.inPlace) return this.settle(over, nowMs, surface)
    const start = this.above(surface)
    const lines = this.linesOf(over, nowMs, surface)
    const { columns } = surface
    // The cursor stands below the drawing, on a line of its own.
    const live = layout(goingOn, { columns: columns - 1, rows: surface.rows - 1, nowMs })
    this.drawn = live
    this.last = live
    const text = this.written([...lines, ...textsOf(live, surface)])
    return `${start}${text}${clearBelow}`
  }

  /** The text of the last drawing, of a screen that it was taken away from and that nothing else has happened to. */
  again(surface: Surface): string {
    this.drawn = this.last
    return this.written(textsOf(this.last, surface))
  }

  /** Each run that is over has as much room as the screen, so that its title is in sight when it has been written. */
  private linesOf(over: ReadonlyArray<SeenRun>, nowMs: number, surface: Surface): ReadonlyArray<string> {
    const { columns, inPlace, rows } = surface
    const room = { columns: inPlace ? columns - 1 : columns, rows: Math.max(inPlace ? rows - 1 : rows, 1), nowMs }
    return textsOf(over.flatMap((run) => layout([run], room)), surface)
  }

  private written(lines: ReadonlyArray<string>): string {
    if (lines.length === 0) return ""
    return `${wrapOff}${lines.map((line) => `${line}${clearToEndOfLine}\n`).join("")}${wrapOn}`
  }

  /** Goes to the first line that is drawn. In a window that has become narrower lines may have been wrapped. */
  private above({ columns, rows }: Surface): string {
    const height = this.drawn.reduce((sum, line) => sum + Math.max(Math.ceil(widthOf(toPlain(line)) / columns), 1), 0)
    return up(Math.min(height, rows - 1))
  }
}
