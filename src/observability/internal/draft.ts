/**
 * Defines records that are still being written.
 */
import { type ErrorSummary, type Event } from "../../Event.ts"
import type {
  KeptValue,
  RecordedAttempt,
  RecordedStage,
  RecordedWait,
  RunRecord,
  StageStatus,
  WiredStage
} from "./record-model.ts"

type Writable<A> = { -readonly [K in keyof A]: A[K] }

/** An attempt that may go on. */
export type DraftAttempt = Writable<RecordedAttempt>

/** A time in a queue that may go on. */
export type DraftWait = Writable<RecordedWait>

/** A stage that may go on. */
export interface DraftStage extends Writable<Omit<RecordedStage, "attempts" | "waits" | "runs">> {
  readonly attempts: Array<DraftAttempt>
  readonly waits: Array<DraftWait>
  readonly runs: Array<DraftRun>
}

/** A run that may go on. */
export interface DraftRun extends Writable<Omit<RunRecord, "stages" | "events">> {
  stages: Array<DraftStage>
  readonly events: Array<Event>
}

/** What the source of a record does not tell. */
export const unrecorded: KeptValue = { _tag: "NotKept", reason: "unrecorded" }

/** A stage of which nothing is known but its wiring. */
export const draftStage = (wired: WiredStage, status: StageStatus): DraftStage => ({
  ...wired,
  status,
  attempts: [],
  waits: [],
  input: unrecorded,
  output: unrecorded,
  runs: []
})

/** How a stage ended that failed with this. */
export const failedStatus = ({ code, tag }: ErrorSummary): StageStatus =>
  tag === "StageTimeout" && code === "STAGE_TIMEOUT" ? "timed_out" : "failed"
