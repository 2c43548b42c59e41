/**
 * Reads from the record of a run what a timeline shows of it.
 */
import { isRunEnd, isStageEvent } from "../../Event.ts"
import { isHappening, wordOf } from "./happenings.ts"
import type { RecordedStage, RunRecord, RunStatus, StageStatus } from "./record-model.ts"
import {
  addChild,
  countHappened,
  forgetChild,
  newRun,
  newStage,
  type RunState,
  type SeenRun,
  type SeenStage,
  type StageState
} from "./seen-run.ts"

/** So many runs of one stage are shown; of the others only how they ended. */
const shownChildren = 20

type Started = Exclude<StageStatus, "waiting" | "never_started">

const isSeen = (stage: RecordedStage): stage is RecordedStage & { readonly status: Started } =>
  stage.status !== "waiting" && stage.status !== "never_started"

const stageStates: Readonly<Record<Started, StageState>> = {
  running: "running",
  ok: "ok",
  skipped: "skipped",
  cancelled: "cancelled",
  failed: "failed",
  timed_out: "timed out",
  blocked: "blocked",
  interrupted: "interrupted",
  abandoned: "abandoned"
}

const runStates: Readonly<Record<RunStatus, RunState>> = {
  running: "running",
  completed: "completed",
  cancelled: "cancelled",
  failed: "failed",
  timed_out: "timed out",
  incomplete: "incomplete",
  denied: "denied",
  rejected: "rejected",
  interrupted: "interrupted",
  lost: "interrupted"
}

const reasonOf = ({ attempts, reason, status }: RecordedStage): string => {
  if (status !== "running" || attempts.length < 2) return reason ?? ""
  const before = attempts.at(-2)
  return before?.error?.tag ?? before?.reason ?? ""
}

const addChildren = (stage: SeenStage, { runs }: RecordedStage): void => {
  const shown = new Set(runs.length <= shownChildren ? runs : mostImportant(runs))
  for (const run of runs) {
    if (shown.has(run)) addChild(stage, run.runId, seenRecord(run))
    else forgetChild(stage, run.runId, runStates[run.status])
  }
}

/** Those that did not complete, and then the first. */
const mostImportant = (runs: ReadonlyArray<RunRecord>): ReadonlyArray<RunRecord> =>
  [
    ...runs.filter(({ status }) => status !== "completed"),
    ...runs.filter(({ status }) => status === "completed")
  ].slice(0, shownChildren)

const seenStage = (stage: RecordedStage & { readonly status: Started }): SeenStage => {
  const seen: SeenStage = {
    ...newStage(stage.name),
    state: stageStates[stage.status],
    attempts: stage.attempts.map(({ endedAt, startedAt }) => ({ startedMs: startedAt, endedMs: endedAt })),
    count: stage.attempts.at(-1)?.attempt ?? 0,
    durationMs: stage.durationMs,
    reason: reasonOf(stage)
  }
  addChildren(seen, stage)
  return seen
}

/** How many stages a run has: one of which only events are known may have more than are listed. */
const totalOf = ({ events, stages }: RunRecord): number => {
  const start = events.find(({ _tag }) => _tag === "RunStarted")
  return Math.max(stages.length, start?._tag === "RunStarted" ? start.stages : 0)
}

/** On the axis of its stages, to which the times of its events belong. A result has none. */
const endOf = ({ events, startedAt }: RunRecord, durationMs: number): number =>
  events.findLast(isRunEnd)?.at ?? startedAt + durationMs

const startOf = ({ startedAt }: RecordedStage): number => startedAt ?? Number.POSITIVE_INFINITY

const byStart = (a: RecordedStage, b: RecordedStage): number =>
  startOf(a) === startOf(b) ? 0 : startOf(a) < startOf(b) ? -1 : 1

/** What a timeline shows of a run. */
export const seenRecord = (record: RunRecord): SeenRun => {
  const { by, durationMs, events, pipeline, reason = "", stages, startedAt, status } = record
  const seen = stages.filter(isSeen).toSorted(byStart).map(seenStage)
  const run: SeenRun = {
    ...newRun(pipeline, startedAt, totalOf(record)),
    stages: new Map(seen.map((stage) => [stage.name, stage])),
    state: runStates[status],
    endedMs: durationMs === undefined ? undefined : endOf(record, durationMs),
    durationMs,
    by,
    reason,
    neverStarted: stages.filter((stage) => stage.status === "never_started").map(({ name }) => name)
  }
  for (const event of events) {
    if (!isStageEvent(event) || !isHappening(event)) continue
    const [stage, word] = [run.stages.get(event.stage), wordOf(event)]
    if (stage !== undefined && word !== undefined) countHappened(stage, word)
  }
  return run
}

/** The last time that anything is known of. */
export const lastKnownMs = (record: RunRecord): number => {
  let last = record.startedAt + (record.durationMs ?? 0)
  for (const { at } of record.events) last = Math.max(last, at)
  for (const { durationMs, runs, startedAt } of record.stages) {
    if (startedAt !== undefined) last = Math.max(last, startedAt + (durationMs ?? 0))
    for (const run of runs) last = Math.max(last, lastKnownMs(run))
  }
  return last
}
