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
import { layout } from "./internal/layout.ts"
import { toColoured, toPlain } from "./internal/line.ts"
import { SeenEvents } from "./internal/seen-events.ts"
import { seenResult } from "./internal/seen-result.ts"
import type { SeenRun } from "./internal/seen-run.ts"

/**
 * What a report can be made of: the result of a run, the error of one that failed, or the events of runs.
 *
 * Events tell more: of the runs that stages started, of what stages emitted, and of runs that were denied.
 */
export type Reported = RunResult | StageFailed | ReadonlyArray<Event>

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
  const { nowMs, runs } = isEvents(source) ? seenEvents(source) : { nowMs: 0, runs: [seenResult(source)] }
  if (isEvents(source) && runs.length === 0 && source.length > 0) return nothingSeen(source)
  return layout(runs, { ...room, nowMs }).map(colours === true ? toColoured : toPlain).join("\n")
}

const isEvents = (source: Reported): source is ReadonlyArray<Event> => Array.isArray(source)

/** Events of which none is the start of a run say nothing that could be drawn. */
const nothingSeen = ({ length }: ReadonlyArray<Event>): string =>
  `No run to show: none of ${length} events is the start of one (RunStarted)`

/** The outermost runs in the order of their ends, and last those without one: as things were at the last event. */
const seenEvents = (
  events: ReadonlyArray<Event>
): { readonly runs: ReadonlyArray<SeenRun>; readonly nowMs: number } => {
  const seen = new SeenEvents()
  const ended: Array<SeenRun> = []
  for (const event of events) {
    const run = seen.add(event)
    if (run !== undefined) ended.push(run)
  }
  return { runs: [...ended, ...seen.runs], nowMs: events.at(-1)?.at ?? 0 }
}
