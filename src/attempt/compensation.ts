/**
 * Says what became of what the stages of a run did and the run was to take back, as plain data.
 */
import * as Schema from "effect/Schema"
import { ErrorSummary } from "../Event.ts"

const done = {
  /** The stage whose work it is. */
  stage: Schema.String,
  /** The stages from one of this run down to it: several when a run inside of this one did the work. */
  path: Schema.Array(Schema.String),
  /** The run that the stage was part of. */
  runId: Schema.String
}

const Compensated = Schema.Struct({ ...done, durationMs: Schema.Finite })

const Uncompensated = Schema.Struct({
  ...done,
  reason: Schema.Literals(["failed", "died", "timed-out", "abandoned"]),
  error: ErrorSummary,
  durationMs: Schema.Finite
})

const NotReached = Schema.Struct(done)

/**
 * What became of the compensations of a run, in the order in which they were run.
 */
export const Compensation = Schema.Struct({
  /** Taken back. */
  compensated: Schema.Array(Compensated),
  /** Not taken back: the compensation failed, died, took too long (`timed-out`), or ignored its interruption after that. */
  failed: Schema.Array(Uncompensated),
  /** Not taken back, because the time for all compensations was over before. */
  notReached: Schema.Array(NotReached)
})

/**
 * What became of the compensations of a run, in the order in which they were run.
 */
export type Compensation = typeof Compensation.Type
