/**
 * Defines the record of a run: plain data that says what went in, what became of each stage, when, and why.
 *
 * The run log keeps records; reports, replays and comparisons read nothing else. A record is JSON all the way through, so it
 * can be kept anywhere and read by a later version of the program. `RunRecord` is also a schema.
 *
 * Where no run log was at work, `fromEvents` and `fromResult` make the records that a report needs: they have what their
 * source tells, and say of the rest that it is `unrecorded`.
 */
import type { Event } from "../Event.ts"
import * as options from "../internal/options.ts"
import type { RunResult, StageFailed } from "../RunResult.ts"
import type { RunRecord } from "./internal/record-model.ts"
import { recordsOfEvents } from "./internal/recorded-events.ts"
import { recordOfResult } from "./internal/recorded-result.ts"
import type { Wiring } from "./internal/wiring.ts"

export {
  CallEnd,
  KeptValue,
  NotKeptReason,
  RecordedAttempt,
  RecordedCall,
  RecordedStage,
  RecordedWait,
  RunRecord,
  RunStatus,
  StageStatus,
  version,
  WiredStage
} from "./internal/record-model.ts"
export type { Wiring } from "./internal/wiring.ts"

/**
 * What a record is told besides its source.
 */
export interface Known {
  /**
   * How the pipeline is wired, as `Pipeline.describe` tells. Neither events nor results tell it: without it a record does not
   * know which stage waits for which, and events alone not which stages never started.
   */
  readonly pipeline?: Wiring | undefined
}

const wiringOf = (known: Known): Wiring | undefined => options.fields<Known>("known", ["pipeline"], known).pipeline

/**
 * Makes the records of the runs that events are of: the outermost runs, those that are over in the order of their ends, then
 * those that go on. The runs that stages started are in the records of these stages.
 *
 * The wiring is that of the runs of the pipeline with its name, and of those in it as far as it says.
 */
export const fromEvents = (events: ReadonlyArray<Event>, known: Known = {}): ReadonlyArray<RunRecord> =>
  recordsOfEvents(events, wiringOf(known))

/**
 * Makes the record of a run from its result, or from the error that it failed with.
 *
 * A result does not know when its run was: the times of the record begin at 0.
 */
export const fromResult = (result: RunResult | StageFailed, known: Known = {}): RunRecord =>
  recordOfResult(result, { wiring: wiringOf(known), values: true })
