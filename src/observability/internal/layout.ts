/**
 * Lays out runs as text: a title and a row for each stage, no line wider and no more lines than asked for.
 *
 * What does not fit is left out from its least important end and counted, so that every stage is either seen or counted.
 */
import { type Axis, barOf, growingLength } from "./bar.ts"
import { cut, left, printable, right, widthOf } from "./cells.ts"
import { cutLine, type Line, type Piece, piece, type Tone, toPlain } from "./line.ts"
import { type AllRows, allRows, chosenRows, type Counts, type Row, states } from "./rows.ts"
import type { RunState, SeenRun, SeenStage, StageState } from "./seen-run.ts"

/** How much room there is, and what time it is on the axis of the runs. */
export interface Room {
  readonly columns: number
  readonly rows: number
  readonly nowMs: number
}

const tones: Readonly<Record<StageState | RunState, Tone>> = {
  "running": "active",
  "ok": "good",
  "completed": "good",
  "skipped": "quiet",
  "cancelled": "warning",
  "incomplete": "warning",
  "failed": "bad",
  "timed out": "bad",
  "abandoned": "bad",
  "denied": "bad",
  "rejected": "bad",
  "blocked": "stopped",
  "interrupted": "stopped"
}

// ---------------------------------------------------------------------------------------------------------------------
// words
// ---------------------------------------------------------------------------------------------------------------------

/** A length of time in few characters: `121 ms`, `1.21 s`, `2 min 5 s`, `3 h 20 min`. */
export const shortDuration = (ms: number): string => {
  const whole = Math.max(Math.round(ms), 0)
  if (whole < 1000) return `${whole} ms`
  if (whole < 59_995) return `${(whole / 1000).toFixed(2)} s`
  const seconds = Math.round(whole / 1000)
  const minutes = Math.floor(seconds / 60)
  return minutes < 60 ? `${minutes} min ${seconds % 60} s` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`
}

const elapsedMs = (durationMs: number | undefined, room: Room, startedMs: number): number =>
  durationMs ?? Math.max(room.nowMs - startedMs, 0)

/** What became of a run, without its name. */
const verdict = (run: SeenRun, room: Room): string => {
  const took = shortDuration(elapsedMs(run.durationMs, room, run.startedMs))
  const by = run.by === undefined ? "" : `${run.state === "failed" ? " at" : " by"} ${printable(run.by)}`
  const reason = run.reason === "" ? "" : `: ${printable(run.reason)}`
  if (run.state === "running") return `running for ${took}`
  return run.state === "completed" ? `completed in ${took}` : `${run.state}${by} after ${took}${reason}`
}

const title = (run: SeenRun, room: Room): Line => {
  const name = cut(printable(run.pipeline), Math.max(Math.floor(room.columns * 0.4), 8))
  return [piece(name, "title"), piece("  "), piece(verdict(run, room), tones[run.state])]
}

/** How many are in which state, the most important first; those whose states have no room are added up. */
const countsText = (counts: Counts, width: number): string => {
  const parts = states.flatMap((state) => {
    const count = counts.get(state) ?? 0
    return count === 0 ? [] : [{ count, text: `${count} ${state}` }]
  })
  for (let shown = parts.length; shown > 0; shown--) {
    const others = parts.slice(shown).reduce((sum, { count }) => sum + count, 0)
    const text = parts.slice(0, shown).map((part) => part.text).join(", ") + (others === 0 ? "" : `, +${others}`)
    if (widthOf(text) <= width) return text
  }
  return parts.slice(0, 1).map(({ text }) => text).join("")
}

const total = (counts: Counts): number => Array.from(counts.values()).reduce((sum, count) => sum + count, 0)

/** More of a kind than one say how many. */
const happenedText = ({ happened }: SeenStage): string =>
  Array.from(happened.entries()).slice(0, 3).map(([what, times]) => times === 1 ? what : `${what} ×${times}`).join(", ")

const childrenText = ({ children, forgotten }: SeenStage): string => {
  if (children.size + forgotten.size < 2) return ""
  const counts = new Map(forgotten)
  for (const { state } of children.values()) counts.set(state, (counts.get(state) ?? 0) + 1)
  return `runs: ${Array.from(counts.entries()).map(([state, count]) => `${count} ${state}`).join(", ")}`
}

/** What there is to say of a row beside its state and its times. */
const noteOf = ({ run, stage, state }: Row, isReasonSaid: boolean): string => {
  if (run !== undefined) return printable(run.reason)
  if (stage === undefined) return ""
  const attempts = stage.count > 1 ? `${stage.count} attempts` : ""
  const parts = state === "running" && stage.count > 1
    ? [`attempt ${stage.count} after ${stage.reason || "a retry"}`]
    : [isReasonSaid ? "" : stage.reason, attempts]
  parts.push(childrenText(stage), happenedText(stage))
  return printable(parts.filter((part) => part !== "").join(", "))
}

// ---------------------------------------------------------------------------------------------------------------------
// rows
// ---------------------------------------------------------------------------------------------------------------------

/** How the width of a line is shared. */
interface Columns {
  readonly gap: string
  readonly name: number
  readonly state: number
  readonly start: number
  readonly duration: number
  /** For the bar and the note. */
  readonly rest: number
}

/** From this width on rows say when they started, in numbers. */
const widthOfStarts = 90

interface Cells {
  readonly row: Row
  readonly name: string
  readonly state: string
  readonly start: string
  readonly duration: string
  readonly note: string
}

const cellsOf = (row: Row, run: SeenRun, room: Room): Cells => {
  const startedMs = row.run?.startedMs ?? row.stage?.attempts[0]?.startedMs
  const next = row.stage?.attempts.at(-1)
  const isWaiting = row.state === "running" && next !== undefined && next.startedMs > room.nowMs
  return {
    row,
    name: "  ".repeat(row.depth + 1) + printable(row.name),
    state: isWaiting ? "retrying" : row.state,
    start: startedMs === undefined ? "" : `+${shortDuration(startedMs - run.startedMs)}`,
    duration: startedMs === undefined ? "" : shortDuration(elapsedMs(row.durationMs, room, startedMs)),
    note: noteOf(row, isSaidByTitle(row, run, room))
  }
}

/** The title says why a stage ended its run, where there is room for all of it. */
const isSaidByTitle = (row: Row, run: SeenRun, room: Room): boolean =>
  row.depth === 0 && row.name === run.by && run.reason !== "" && row.stage?.reason === run.reason
  && toPlain(cutLine(title(run, room), room.columns)).endsWith(printable(run.reason))

const columnsOf = (cells: ReadonlyArray<Cells>, columns: number): Columns => {
  const widest = (of: (cell: Cells) => string) => cells.reduce((width, cell) => Math.max(width, widthOf(of(cell))), 0)
  const gap = columns < 60 ? " " : "  "
  const name = Math.min(widest((cell) => cell.name), Math.max(Math.floor(columns * 0.3), 10))
  const state = widest((cell) => cell.state)
  const start = columns < widthOfStarts ? 0 : widest((cell) => cell.start)
  const duration = widest((cell) => cell.duration)
  const taken = name + state + start + duration + gap.length * (start === 0 ? 3 : 4)
  return { gap, name, state, start, duration, rest: Math.max(columns - taken, 0) }
}

/** A bar in less room than this tells nothing. */
const smallestBar = 8

/** Nobody measures longer ones. */
const longestBar = 48

/** Bars and notes have a half each. A share that depended on the notes would make the bars jump while they grow. */
const barCells = (cells: ReadonlyArray<Cells>, rest: number): number => {
  if (rest < smallestBar) return 0
  const share = cells.some(({ note }) => note !== "") ? Math.floor(rest / 2) : rest
  return Math.min(Math.max(share, smallestBar), longestBar)
}

/** The bar with its note where there is room for it: behind the bar, before it, or cut behind it. */
const barAndNote = (cells: Cells, axis: Axis, rest: number): ReadonlyArray<Piece> => {
  const { row: { run, stage, state }, note } = cells
  const attempts = stage?.attempts ?? (run === undefined ? [] : [run])
  const { from, text } = barOf(attempts, axis)
  const bar = piece(text, tones[state])
  if (text === "") return [piece(cut(note, rest), "quiet")]
  if (note === "") return [piece(" ".repeat(from)), bar]
  const width = widthOf(note)
  const behind = rest - from - text.length - 1
  if (width > behind && width < from) return [piece(note.padStart(note.length + from - width - 1)), piece(" "), bar]
  return [piece(" ".repeat(from)), bar, piece(` ${cut(note, behind)}`)]
}

/** The line of a row. One that went wrong and cannot say why in full has another way: without it, and with a line more. */
interface RowLines {
  readonly line: Line
  readonly withReason: readonly [line: Line, reason: Line] | undefined
}

const rowLines = (rows: ReadonlyArray<Row>, run: SeenRun, room: Room): ReadonlyArray<RowLines> => {
  const cells = rows.map((row) => cellsOf(row, run, room))
  const { duration, gap, name, rest, start, state } = columnsOf(cells, room.columns)
  const axis: Axis = {
    startMs: run.startedMs,
    lengthMs: run.endedMs === undefined ? growingLength(room.nowMs - run.startedMs) : run.endedMs - run.startedMs,
    nowMs: run.endedMs ?? room.nowMs,
    cells: barCells(cells, rest)
  }
  return cells.map((cell) => {
    const { note, row } = cell
    const tone = tones[row.state]
    const beginning = [
      piece(left(cell.name, name) + gap, tone === "quiet" ? "quiet" : "plain"),
      piece(left(cell.state, state) + gap, tone),
      ...(start === 0 ? [] : [piece(right(cell.start, start) + gap, "quiet")]),
      piece(right(cell.duration, duration) + gap, "quiet")
    ]
    const end = barAndNote(cell, axis, rest)
    const line = [...beginning, ...end]
    if (tone !== "bad" || toPlain(end).includes(note)) return { line, withReason: undefined }
    const reason = [piece(`${"  ".repeat(row.depth + 2)}${note}`, tone)]
    return { line, withReason: [[...beginning, ...barAndNote({ ...cell, note: "" }, axis, rest)], reason] }
  })
}

// ---------------------------------------------------------------------------------------------------------------------
// a run
// ---------------------------------------------------------------------------------------------------------------------

/** The stages that have no row: how many in which state, or their names where they are known and there is room. */
const otherLines = (others: Counts, run: SeenRun, { columns, rows }: Room): ReadonlyArray<Line> => {
  const count = total(others)
  if (count === 0 || rows <= 0) return []
  const isUnstartedOnly = others.size === 1 && others.has("never started")
  if (isUnstartedOnly && run.neverStarted.length === count) {
    return wrapped("  never started: ", run.neverStarted.map(printable), columns, rows)
  }
  if (others.size === 1 && (others.has("waiting") || isUnstartedOnly)) {
    return [[piece(`  ${countsText(others, columns - 2)}`, "quiet")]]
  }
  const start = `  … ${count} more: `
  return [[piece(start + countsText(others, columns - start.length), "quiet")]]
}

/** A list over as many lines as it takes, cut where there are no more. */
const wrapped = (
  start: string,
  names: ReadonlyArray<string>,
  columns: number,
  rows: number
): ReadonlyArray<Line> => {
  const lines: Array<string> = []
  let line = start
  for (const [index, name] of names.entries()) {
    const word = index === names.length - 1 ? name : `${name}, `
    const isTooLong = line !== start && widthOf(line) + widthOf(word.trimEnd()) > columns
    const isLast = lines.length >= rows - 1
    if (isTooLong && !isLast) {
      lines.push(line)
      line = " ".repeat(start.length)
    }
    line += word
    // It will be cut, and nothing that follows is seen.
    if (isTooLong && isLast) break
  }
  return [...lines, line].map((text) => [piece(text, "quiet")])
}

/** A run in one line: how many of its stages are in which state. */
const summary = (run: SeenRun, rows: AllRows, room: Room): Line => {
  const { others } = chosenRows(rows, 0)
  if (run.state !== "running") return title(run, room)
  const name = cut(printable(run.pipeline), Math.max(Math.floor(room.columns * 0.3), 4))
  const took = shortDuration(elapsedMs(run.durationMs, room, run.startedMs))
  const start = `${name}  ${took}: `
  return [
    piece(name, "title"),
    piece(`  ${took}: `, tones.running),
    piece(countsText(others, room.columns - widthOf(start)))
  ]
}

const blockOf = (run: SeenRun, all: AllRows, room: Room): ReadonlyArray<Line> => {
  if (room.rows <= 1) return [summary(run, all, room)]
  const isFitting = all.rows.length + 1 + (total(all.others) > 0 ? 1 : 0) <= room.rows
  const chosen = isFitting ? all : chosenRows(all, room.rows - 2)
  const lines = rowLines(chosen.rows, run, room)
  const others = otherLines(chosen.others, run, { ...room, rows: room.rows - lines.length - 1 })
  let spare = room.rows - lines.length - others.length - 1
  const explained = lines.flatMap(({ line, withReason }) =>
    withReason !== undefined && spare-- > 0 ? withReason : [line]
  )
  return [title(run, room), ...explained, ...others]
}

// ---------------------------------------------------------------------------------------------------------------------
// many runs
// ---------------------------------------------------------------------------------------------------------------------

/** Shares `room` lines among runs that would need so many each: at least one each, and what one does not need goes on. */
const shares = (needs: ReadonlyArray<number>, room: number): ReadonlyArray<number> => {
  const given = needs.map(() => 1)
  let left = room - needs.length
  const bySize = needs.map((_, index) => index).toSorted((a, b) => (needs[a] ?? 0) - (needs[b] ?? 0))
  bySize.forEach((index, position) => {
    const more = Math.min((needs[index] ?? 1) - 1, Math.floor(left / (bySize.length - position)))
    given[index] = 1 + more
    left -= more
  })
  return given
}

const runningIn = (run: SeenRun): number => chosenRows(allRows(run), 0).others.get("running") ?? 0

const otherRuns = (runs: ReadonlyArray<SeenRun>, isAll: boolean): ReadonlyArray<Line> => {
  if (runs.length === 0) return []
  const running = runs.reduce((sum, run) => sum + runningIn(run), 0)
  const more = isAll ? "" : " more"
  return [[piece(`… ${runs.length}${more} runs: ${running} stages running`, "quiet")]]
}

/** The lines of these runs, one below the other, in no more room than there is. */
export const layout = (runs: ReadonlyArray<SeenRun>, room: Room): ReadonlyArray<Line> => {
  if (room.rows <= 0) return []
  const shown = runs.length <= room.rows ? runs : runs.slice(0, room.rows - 1)
  const others = runs.slice(shown.length)
  const all = shown.map(allRows)
  const needs = all.map((rows, index) => mostLines(rows, shown[index]))
  const given = shares(needs, room.rows - (others.length > 0 ? 1 : 0))
  const lines = shown.flatMap((run, index) =>
    blockOf(run, all[index] ?? allRows(run), { ...room, rows: given[index] ?? 1 })
  )
  return [...lines, ...otherRuns(others, shown.length === 0)].map((line) => cutLine(line, room.columns))
}

/** How many lines a run may need: names of stages that never started and reasons take lines of their own. */
const mostLines = ({ others, rows }: AllRows, run: SeenRun | undefined): number => {
  const reasons = rows.filter(({ state }) => tones[state] === "bad").length
  return 1 + rows.length + reasons + (total(others) === 0 ? 0 : Math.max(run?.neverStarted.length ?? 0, 1))
}
