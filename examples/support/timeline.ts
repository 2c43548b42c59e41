/**
 * The timeline of a run: what its events tell of each stage, and how to draw it as text.
 *
 * Nothing here prints or waits: `add` takes a run's events one by one, `draw` gives the lines for now.
 */
import { Event, type Pipeline } from "stageflow"

export type Status =
  | "waiting"
  | "running"
  | "ok"
  | "skipped"
  | "cancelled"
  | "failed"
  | "blocked"
  | "interrupted"
  | "never started"

export interface Row {
  readonly stage: string
  readonly status: Status
  /** Milliseconds since the start of the run; `undefined` for a stage that did not start. */
  readonly startMs: number | undefined
  readonly durationMs: number | undefined
  readonly note: string
}

export interface Timeline {
  readonly rows: ReadonlyArray<Row>
  /** Milliseconds since the epoch. */
  readonly startedAt: number | undefined
  readonly durationMs: number | undefined
}

/** The timeline of a run that has not started. */
export const make = ({ stages }: Pipeline.Description): Timeline => ({
  rows: stages.map(({ name }) => ({
    stage: name,
    status: "waiting",
    startMs: undefined,
    durationMs: undefined,
    note: ""
  })),
  startedAt: undefined,
  durationMs: undefined
})

const change = (self: Timeline, stage: string, changes: Partial<Row>): Timeline => ({
  ...self,
  rows: self.rows.map((row) => row.stage === stage ? { ...row, ...changes } : row)
})

const attempts = (count: number): string => count > 1 ? `${count} attempts` : ""

/** The timeline with what one more event tells. */
export const add = (self: Timeline, event: Event.Event): Timeline => {
  if (Event.isRunEnd(event)) {
    const rows = self.rows.map((row) => row.status === "waiting" ? { ...row, status: "never started" as const } : row)
    return { ...self, rows, durationMs: event.durationMs }
  }
  switch (event._tag) {
    case "RunStarted":
      return { ...self, startedAt: event.at }
    case "StageStarted":
      return change(self, event.stage, { status: "running", startMs: event.at - (self.startedAt ?? event.at) })
    case "StageRetrying":
      return change(self, event.stage, { note: `${event.error?.tag ?? event.reason}, trying again` })
    case "StageCompleted":
      return change(self, event.stage, { status: "ok", durationMs: event.durationMs, note: attempts(event.attempt) })
    case "StageSkipped":
      return change(self, event.stage, { status: "skipped", durationMs: event.durationMs, note: event.reason })
    case "StageCancelled":
      return change(self, event.stage, { status: "cancelled", durationMs: event.durationMs, note: event.reason })
    case "StageFailed":
      return change(self, event.stage, { status: "failed", durationMs: event.durationMs, note: event.error.message })
    case "StageInterrupted":
      return change(self, event.stage, {
        status: "interrupted",
        durationMs: event.durationMs,
        note: event.abandoned ? "abandoned" : ""
      })
    case "StageBlocked":
      return change(self, event.stage, { status: "blocked", note: `by ${event.by}` })
    default:
      return self
  }
}

/** Colours of the sixteen that every terminal has. */
const colours: Readonly<Record<Status, number>> = {
  "waiting": 90,
  "running": 36,
  "ok": 32,
  "skipped": 90,
  "cancelled": 33,
  "failed": 31,
  "blocked": 31,
  "interrupted": 35,
  "never started": 90
}

export interface DrawOptions {
  /** Milliseconds since the epoch: how far the bars of running stages go. */
  readonly now: number
  /** How many characters a line may have. */
  readonly columns: number
  readonly colours: boolean
}

const millis = (value: number | undefined): string => value === undefined ? "" : `${Math.round(value)} ms`

const cut = (text: string, width: number): string => {
  if (text.length <= width) return text
  return width <= 0 ? "" : `${text.slice(0, width - 1)}…`
}

/** While a run goes on its bars grow; only when they reach the end are they drawn half as long. */
const spanOf = (elapsed: number): number => 250 * 2 ** Math.ceil(Math.log2(Math.max(elapsed, 250) / 250))

/** The rest of a line is for its note. */
const maximumBar = 40
const bar = "█"

/** One line for the heading and one for each stage; no line is longer than `columns`. */
export const draw = (self: Timeline, { colours: inColour, columns, now }: DrawOptions): ReadonlyArray<string> => {
  const nameWidth = Math.max(5, ...self.rows.map(({ stage }) => stage.length))
  const left = (stage: string, status: string, start: string, duration: string) =>
    `${stage.padEnd(nameWidth)}  ${status.padEnd(13)}  ${start.padStart(7)}  ${duration.padStart(8)}`
  const heading = left("stage", "status", "start", "duration")
  const room = Math.max(columns - heading.length - 2, 0)
  const elapsed = self.durationMs ?? now - (self.startedAt ?? now)
  const barRoom = Math.min(Math.floor(room * 0.65), maximumBar)
  const span = self.durationMs ?? spanOf(elapsed)
  const scale = (value: number) => span > 0 ? Math.round(value / span * barRoom) : 0

  const lineOf = ({ durationMs, note, stage, startMs, status }: Row): string => {
    const duration = startMs === undefined ? undefined : durationMs ?? Math.max(elapsed - startMs, 0)
    const text = left(stage, status, millis(startMs), millis(duration))
    if (startMs === undefined || duration === undefined) return coloured(text, "", 0, note, status)
    const from = Math.min(scale(startMs), Math.max(barRoom - 1, 0))
    const to = Math.min(Math.max(scale(startMs + duration), from + 1), barRoom)
    return coloured(text, bar.repeat(Math.max(to - from, 0)), from, note, status)
  }

  const coloured = (text: string, drawn: string, from: number, note: string, status: Status): string => {
    const right = cut(`${" ".repeat(from)}${drawn}${drawn === "" || note === "" ? "" : " "}${note}`, room)
    const line = cut(`${text}  ${right}`.trimEnd(), columns)
    return inColour ? `\u001b[${colours[status]}m${line}\u001b[0m` : line
  }

  return [cut(heading, columns), ...self.rows.map(lineOf)]
}
