/**
 * Defines what the run log keeps of a run, piece by piece: each piece says what one event tells of, and all pieces in their
 * order give the record of the run.
 *
 * Pieces are kept in chunks: what became of one run between two deliveries. A chunk is never written to again, so a process
 * that dies leaves all of its chunks as they were.
 */
import * as Schema from "effect/Schema"
import { Event } from "../../Event.ts"
import { KeptValue, RecordedCall, summaryFields, WiredStage } from "./record-model.ts"

/** The version of the shape of chunks. It goes up when chunks of an earlier version cannot be read any more. */
export const version = 1

/** A run in a list of runs. */
export const RunSummary = Schema.Struct(summaryFields)

/** A run in a list of runs. */
export type RunSummary = typeof RunSummary.Type

/** One piece. */
export const Change = Schema.Struct({
  event: Schema.optionalKey(Event),
  /** With the first event of a run. */
  run: Schema.optionalKey(Schema.Struct({ snapshot: KeptValue, stages: Schema.Array(WiredStage) })),
  /** With the start of a stage. */
  input: Schema.optionalKey(KeptValue),
  /** With the end of a stage. */
  output: Schema.optionalKey(KeptValue),
  failure: Schema.optionalKey(KeptValue),
  /** With the end of a run: of its stages that failed. */
  explanations: Schema.optionalKey(Schema.Record(Schema.String, Schema.String)),
  /** A call of a port, by a stage. */
  call: Schema.optionalKey(Schema.Struct({ stage: Schema.String, call: RecordedCall }))
})

/** One piece. */
export type Change = typeof Change.Type

/** The changes of a chunk. */
export const Changes = Schema.fromJsonString(Schema.Array(Change))

/** Which run of the log, and where it is in the tree of its runs. The same run id may have been given to several runs. */
export interface Entry {
  /** The key of the run. Keys of one writer sort by when their runs started. */
  readonly key: string
  readonly parentKey: string | undefined
  readonly rootKey: string
  /** Who writes it: one Layer, in one process. */
  readonly writer: string
  readonly summary: RunSummary
}

/** What became of one run between two deliveries. */
export interface Chunk {
  /** The same when the chunk is written again, because nobody knew that it had been written. */
  readonly id: string
  readonly entry: Entry
  /** The changes as JSON. */
  readonly changes: string
}

/** Everything that is kept of one run. */
export interface StoredRun {
  readonly entry: Entry
  /** The changes of its chunks, in their order, as JSON. */
  readonly chunks: ReadonlyArray<string>
  /** Why nothing of it is here that comes after these. */
  readonly damage?: string | undefined
}
