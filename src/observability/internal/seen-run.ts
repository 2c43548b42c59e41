/**
 * Defines what a timeline knows of a run: its stages with their attempts, and the runs that its stages started.
 *
 * Times are in milliseconds on one axis: since the epoch where they come from events, since the start of the run where
 * they come from its result.
 */
import type { ErrorSummary } from "../../Event.ts"

/** Where a stage is. */
export type StageState =
  | "running"
  | "ok"
  | "skipped"
  | "cancelled"
  | "failed"
  | "timed out"
  | "blocked"
  | "interrupted"
  | "abandoned"

/** Where a run is. */
export type RunState =
  | "running"
  | "completed"
  | "cancelled"
  | "failed"
  | "timed out"
  | "incomplete"
  | "denied"
  | "rejected"
  | "interrupted"

/** One attempt of a stage. One that was granted and whose delay is not over starts in the future. */
export interface SeenAttempt {
  readonly startedMs: number
  endedMs: number | undefined
}

/** What is known of a stage. It changes while its run goes on. */
export interface SeenStage {
  readonly name: string
  state: StageState
  /** Empty for a stage that did not start. */
  readonly attempts: Array<SeenAttempt>
  /** How many attempts there were. */
  count: number
  durationMs: number | undefined
  /** Why it ended as it did, or why it is tried again. */
  reason: string
  /** What else happened in it, each with how often: in the word of an event, or the type of one that it emitted. */
  happened: ReadonlyMap<string, number>
  /** The runs that it started, by their ids: those that go on and some of those that are over. */
  children: ReadonlyMap<string, SeenRun>
  /** How many of the others ended how. */
  forgotten: ReadonlyMap<RunState, number>
}

/** What is known of a run. It changes while the run goes on. */
export interface SeenRun {
  readonly pipeline: string
  readonly startedMs: number
  /** How many stages it has. */
  readonly total: number
  /** Those that started or ended, in the order in which they did. */
  readonly stages: Map<string, SeenStage>
  state: RunState
  /** On the axis of its stages; it may have taken less, since its layers and interceptors are not counted. */
  endedMs: number | undefined
  durationMs: number | undefined
  /** The stage or interceptor that ended it. */
  by: string | undefined
  /** Why it ended as it did. */
  reason: string
  /** The stages that never started, where their names are known. */
  neverStarted: ReadonlyArray<string>
}

// In most stages nothing else happens and no runs start: one empty map is enough for all of them.
const nothing = new Map<never, never>()

/** A stage of which nothing is known but its name. */
export const newStage = (name: string): SeenStage => ({
  name,
  state: "running",
  attempts: [],
  count: 0,
  durationMs: undefined,
  reason: "",
  happened: nothing,
  children: nothing,
  forgotten: nothing
})

/** A run that goes on. */
export const newRun = (pipeline: string, startedMs: number, total: number): SeenRun => ({
  pipeline,
  startedMs,
  total,
  stages: new Map(),
  state: "running",
  endedMs: undefined,
  durationMs: undefined,
  by: undefined,
  reason: "",
  neverStarted: []
})

/** The error as a line says it: its tag, and its message when that says more. */
export const errorText = ({ message, tag }: ErrorSummary): string => {
  if (message === "" || message === tag) return tag
  return message.startsWith(tag) ? message : `${tag}: ${message}`
}

/** What an incomplete run has. */
export const incompleteReason = (failed: number, blocked: number): string =>
  blocked === 0 ? `${failed} failed` : `${failed} failed, ${blocked} blocked`

/** How a stage ended that failed with this. */
export const failedState = ({ code, tag }: ErrorSummary): StageState =>
  tag === "StageTimeout" && code === "STAGE_TIMEOUT" ? "timed out" : "failed"

/** The map that a stage has of its own from now on. */
const owned = <K, V>(map: ReadonlyMap<K, V>): Map<K, V> =>
  // Any other one was made here.
  map === nothing ? new Map() : map as Map<K, V>

/** One more run that a stage started. */
export const addChild = (stage: SeenStage, runId: string, run: SeenRun): void => {
  stage.children = owned(stage.children).set(runId, run)
}

/** Takes a run that is over out of sight and counts it. */
export const forgetChild = (stage: SeenStage, runId: string, state: RunState): void => {
  owned(stage.children).delete(runId)
  stage.forgotten = owned(stage.forgotten).set(state, (stage.forgotten.get(state) ?? 0) + 1)
}

/** Counts one more, of no more kinds than a line can name. */
export const countHappened = (stage: SeenStage, what: string): void => {
  const before = stage.happened.get(what)
  if (before === undefined && stage.happened.size >= 8) return
  stage.happened = owned(stage.happened).set(what, (before ?? 0) + 1)
}
