/**
 * Reports on a run when it is over: which stages ran when, and what became of each.
 *
 * ```ts
 * import { Effect } from "effect"
 * import { Pipeline, Snapshot } from "stageflow"
 * import { RunReport } from "stageflow/observability"
 *
 * const pipeline = Pipeline.make("hello").transform("greet", { run: Effect.succeed({ text: "Hello" }) })
 *
 * const program = Effect.gen(function*() {
 *   const result = yield* Pipeline.run(pipeline, Snapshot.make())
 *   yield* Effect.log(RunReport.toText(result))
 * })
 * ```
 */
import type { Event } from "../Event.ts"
import * as options from "../internal/options.ts"
import type { RunResult, StageFailed } from "../RunResult.ts"
import type { Analysis } from "./internal/analysis-model.ts"
import { analyse as analysed } from "./internal/analysis.ts"
import { layout } from "./internal/layout.ts"
import { toColoured, toPlain } from "./internal/line.ts"
import { mermaidGantt, mermaidGraph } from "./internal/mermaid.ts"
import { page } from "./internal/page.ts"
import type { RunRecord } from "./internal/record-model.ts"
import { recordsOfEvents } from "./internal/recorded-events.ts"
import { recordOfResult } from "./internal/recorded-result.ts"
import { lastKnownMs, seenRecord } from "./internal/seen-record.ts"
import type { Wiring } from "./internal/wiring.ts"
import type { Known } from "./RunRecord.ts"

/**
 * What a report can be made of: the record of a run, its result, the error that it failed with, or the events of runs.
 *
 * A record of the run log tells most. Events tell more than a result: of the runs that stages started, of what stages
 * emitted, and of runs that were denied. Neither tells how the pipeline is wired: give `{ pipeline }` besides.
 */
export type Reported = RunRecord | RunResult | StageFailed | ReadonlyArray<Event>

export type { Analysis, StageTimes } from "./internal/analysis-model.ts"

/**
 * How a report is written.
 */
export interface TextOptions {
  /** How wide a line may be. 100 when left out. */
  readonly columns?: number | undefined
  /** How many lines there may be: what matters least is left out and counted. No limit when left out. */
  readonly rows?: number | undefined
  /** Whether it has colours, as escape codes for a terminal. `false` when left out. */
  readonly colours?: boolean | undefined
}

/**
 * Writes the timeline of a run as text: a title, and for each stage its state, its times, and when it ran as a bar.
 *
 * The bars of all stages have one scale. The waits between the attempts of a stage are light. Wide characters count as
 * two, and a name that is too long ends with an ellipsis.
 */
export const toText = (source: Reported, settings: TextOptions = {}): string => {
  const { colours, columns, rows } = options.fields("options", ["columns", "rows", "colours"], settings)
  const room = {
    columns: options.positiveCount("columns", columns ?? 100),
    rows: rows === undefined ? Number.POSITIVE_INFINITY : options.positiveCount("rows", rows)
  }
  const records = recordsOf(source, undefined, false)
  if (isEvents(source) && records.length === 0 && source.length > 0) return nothingSeen(source)
  const nowMs = records.reduce((last, record) => Math.max(last, lastKnownMs(record)), 0)
  return layout(records.map(seenRecord), { ...room, nowMs }).map(colours === true ? toColoured : toPlain).join("\n")
}

/**
 * Finds out why a run took as long as it did: its critical path, and of each stage what its time was spent on and how much
 * longer it could have taken.
 *
 * Only a record that knows how the pipeline is wired tells which stage waited for which: `RunRecord.fromEvents` and
 * `RunRecord.fromResult` take `{ pipeline }`, and the run log knows it.
 */
export const analyse = (record: RunRecord): Analysis => analysed(record)

/**
 * What a report is told besides its source, and what it draws.
 */
export interface MermaidOptions extends Known {
  /** `"graph"`, the stages with what became of them, or `"gantt"`, their times. `"graph"` when left out. */
  readonly diagram?: "graph" | "gantt" | undefined
}

/**
 * Writes a run for Mermaid, which Markdown pages show as a picture: its graph with a mark and a colour for what became of each
 * stage, or its timeline as a Gantt chart, the runs of its stages included.
 *
 * Events of several runs give a picture of the first one.
 */
export const toMermaid = (source: Reported, settings: MermaidOptions = {}): string => {
  const { diagram = "graph", pipeline } = options.fields<MermaidOptions>("options", ["diagram", "pipeline"], settings)
  const record = firstOf(recordsOf(source, pipeline, false), source)
  return options.oneOf("diagram", ["graph", "gantt"], diagram) === "graph" ? mermaidGraph(record) : mermaidGantt(record)
}

/**
 * Writes a run as a page for a browser: one file without anything from elsewhere, which opens from a disk.
 *
 * It has the graph, the timeline with attempts and the runs inside, and for each stage what went in, what came out, what went
 * wrong, its events and what it waited for. All of what the record holds is in the file: leave out of the record what must not
 * leave, or mask it (`Sinks.redact`, the run log's policy). `Redacted` values are written as such.
 *
 * Events of several runs give a page of the first one.
 */
export const toHtml = (source: Reported, settings: Known = {}): string => {
  const { pipeline } = options.fields<Known>("options", ["pipeline"], settings)
  const record = firstOf(recordsOf(source, pipeline, true), source)
  return page(record, analysed(record), toText(record))
}

/** A picture of nothing would say that there was a run. */
const firstOf = ([record]: ReadonlyArray<RunRecord>, source: Reported): RunRecord => record ?? noRun(source)

const noRun = (given: unknown): never =>
  options.ofKind("source", "a run: its record, its result, or its events from its start on", isNever, given)

const isNever = (_: unknown): _ is never => false

const isEvents = (source: Reported): source is ReadonlyArray<Event> => Array.isArray(source)

/** Events of which none is the start of a run say nothing that could be drawn. */
const nothingSeen = ({ length }: ReadonlyArray<Event>): string =>
  `No run to show: none of ${length} events is the start of one (RunStarted)`

/** Writing the values of a result takes time, which is spent where they are wanted. */
const recordsOf = (source: Reported, wiring: Wiring | undefined, values: boolean): ReadonlyArray<RunRecord> => {
  if (typeof source !== "object" || source === null) return noRun(source)
  if (isEvents(source)) return recordsOfEvents(source, wiring)
  return "_tag" in source ? [recordOfResult(source, { wiring, values })] : [source]
}
