/**
 * Draws when a stage ran as a bar: its attempts solid, the waits between them light.
 */
import type { SeenAttempt } from "./seen-run.ts"

/** The time that the whole width of a bar stands for. */
export interface Axis {
  readonly startMs: number
  readonly lengthMs: number
  /** When what goes on is drawn up to. */
  readonly nowMs: number
  readonly cells: number
}

const solid = "█"
const light = "░"

/** Where a bar is, from the start of the axis. */
export interface Bar {
  readonly from: number
  readonly text: string
}

/**
 * The bar of a stage; none before its first attempt, or where there is no room. It has a cell at least, however short the
 * stage was.
 */
export const barOf = (attempts: ReadonlyArray<SeenAttempt>, { cells, lengthMs, nowMs, startMs }: Axis): Bar => {
  const at = (ms: number) =>
    lengthMs <= 0 ? 0 : Math.min(Math.max(Math.round((ms - startMs) / lengthMs * cells), 0), cells)
  // One that has ended was made, whatever the clocks say that the axis and the attempts come from.
  const made = attempts.filter(({ endedMs, startedMs }) => endedMs !== undefined || startedMs <= nowMs)
  const [first] = made
  if (first === undefined || cells <= 0) return { from: 0, text: "" }
  const start = Math.min(at(first.startedMs), cells - 1)
  let text = ""
  for (const { endedMs = nowMs, startedMs } of made) {
    const from = Math.min(at(startedMs), cells - 1) - start
    text = text.padEnd(from, light)
    const to = Math.max(at(endedMs) - start, from + 1)
    text += solid.repeat(Math.max(to - text.length, 0))
  }
  // The next attempt is granted and not made yet.
  if (made.length < attempts.length) text = text.padEnd(at(nowMs) - start, light)
  return { from: start, text }
}

/**
 * How long the axis of a run is that goes on. It stays as it is while the bars grow, and is twice as long when they have
 * reached its end.
 */
export const growingLength = (elapsedMs: number): number =>
  250 * 2 ** Math.ceil(Math.log2(Math.max(elapsedMs, 250) / 250))
