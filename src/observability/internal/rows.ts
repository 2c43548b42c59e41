/**
 * Chooses the rows of a timeline: those that matter most where there is no room for all, and how many of what is left
 * out.
 */
import type { RunState, SeenRun, SeenStage, StageState } from "./seen-run.ts"

/** A stage, or a run that a stage started beside others. */
export interface Row {
  /** How many rows it is inside of. */
  readonly depth: number
  readonly name: string
  readonly state: StageState | RunState
  readonly stage: SeenStage | undefined
  readonly run: SeenRun | undefined
  readonly durationMs: number | undefined
  /** Its place among all rows. */
  readonly index: number
  /** How much it matters: 0 most. A row matters as much as anything inside of it. */
  rank: number
}

/** What can become of a stage, from what people ask for first. */
export const states = [
  "running",
  "failed",
  "timed out",
  "abandoned",
  "cancelled",
  "interrupted",
  "blocked",
  "waiting",
  "ok",
  "skipped",
  "never started"
] as const

/** How many stages are in each state. */
export type Counts = Map<typeof states[number], number>

export interface Rows {
  readonly rows: ReadonlyArray<Row>
  /** The stages without a row. */
  readonly others: Counts
}

/** Every row of a run, and how many of them are of stages in each state. */
export interface AllRows extends Rows {
  readonly counts: Counts
}

const ranks: Readonly<Record<StageState | RunState, number>> = {
  "failed": 0,
  "timed out": 0,
  "cancelled": 0,
  "abandoned": 0,
  "denied": 0,
  "rejected": 0,
  "incomplete": 0,
  "running": 1,
  "interrupted": 2,
  "blocked": 3,
  "ok": 4,
  "completed": 4,
  "skipped": 5
}

const rankCount = 6

/** A state that none is in has no entry. */
const add = (counts: Counts, state: typeof states[number], more: number): void => {
  const count = (counts.get(state) ?? 0) + more
  if (count === 0) counts.delete(state)
  else counts.set(state, count)
}

/** Makes the rows of a run, those of the runs inside of it included. */
class RowMaker implements AllRows {
  readonly rows: Array<Row> = []
  readonly others: Counts = new Map()
  readonly counts: Counts = new Map()

  /** The stages in the order in which they started, those that did not start last. Gives the rank of the run. */
  addStages(run: SeenRun, depth: number): number {
    let rank = rankCount - 1
    const unstarted: Array<SeenStage> = []
    for (const stage of run.stages.values()) {
      if (stage.attempts.length === 0) unstarted.push(stage)
      else rank = Math.min(rank, this.addStage(stage, depth))
    }
    for (const stage of unstarted) rank = Math.min(rank, this.addStage(stage, depth))
    add(this.others, run.state === "running" ? "waiting" : "never started", run.total - run.stages.size)
    return rank
  }

  private addStage(stage: SeenStage, depth: number): number {
    const { children, durationMs, forgotten, name, state } = stage
    const row = this.push({ depth, name, state, stage, run: undefined, durationMs })
    add(this.counts, state, 1)
    const isAlone = children.size === 1 && forgotten.size === 0
    for (const child of children.values()) {
      const rank = isAlone ? this.addStages(child, depth + 1) : this.addRun(child, depth + 1)
      row.rank = Math.min(row.rank, rank)
    }
    return row.rank
  }

  private addRun(run: SeenRun, depth: number): number {
    const { durationMs, pipeline: name, state } = run
    const row = this.push({ depth, name, state, stage: undefined, run, durationMs })
    row.rank = Math.min(row.rank, this.addStages(run, depth + 1))
    return row.rank
  }

  private push({ depth, durationMs, name, run, stage, state }: Omit<Row, "rank" | "index">): Row {
    const row = { depth, name, state, stage, run, durationMs, index: this.rows.length, rank: ranks[state] }
    this.rows.push(row)
    return row
  }
}

/** The first `room` of those that take longest; what goes on takes longest of all. */
const longest = (rows: ReadonlyArray<Row>, room: number): ReadonlyArray<Row> => {
  const durationOf = ({ durationMs }: Row) => durationMs ?? Number.POSITIVE_INFINITY
  const chosen: Array<Row> = []
  // A run may have very many rows and a screen has few: sorting all of them takes too long.
  for (const row of rows) {
    const last = chosen.at(-1)
    const isFull = chosen.length >= room
    if (isFull && (last === undefined || durationOf(row) <= durationOf(last))) continue
    if (isFull) chosen.pop()
    const place = chosen.findLastIndex((other) => durationOf(other) >= durationOf(row))
    chosen.splice(place + 1, 0, row)
  }
  return chosen
}

/** The rows that matter most, those of one rank as long as they all fit, of the next one those that took longest. */
const mostImportant = (rows: ReadonlyArray<Row>, room: number): ReadonlyArray<Row> => {
  const ranked = Array.from({ length: rankCount }, (): Array<Row> => [])
  for (const row of rows) ranked[row.rank]?.push(row)
  const chosen = ranked.reduce<ReadonlyArray<Row>>((more, some) => {
    const left = room - more.length
    return more.concat(some.length <= left ? some : longest(some, left))
  }, [])
  return chosen.toSorted((a, b) => a.index - b.index)
}

/** Every row of a run, and the stages that have none because they have not started. */
export const allRows = (run: SeenRun): AllRows => {
  const maker = new RowMaker()
  maker.addStages(run, 0)
  return maker
}

/** No more rows than there is room for, and how many stages are in none of them. */
export const chosenRows = ({ counts, others, rows }: AllRows, room: number): Rows => {
  if (rows.length <= room) return { rows, others }
  const chosen = mostImportant(rows, Math.max(room, 0))
  const left: Counts = new Map(others)
  for (const [state, count] of counts) add(left, state, count)
  for (const { stage } of chosen) {
    if (stage !== undefined) add(left, stage.state, -1)
  }
  return { rows: chosen, others: left }
}
