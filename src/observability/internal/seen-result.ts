/**
 * Reads from the result of a run, or from the error that it failed with, what a timeline knows of it.
 */
import { absurd } from "effect/Function"
import { errorSummaryOf } from "../../attempt/error-summary.ts"
import type { AttemptEnd, Entry } from "../../OutputBag.ts"
import type { RunResult, StageFailed } from "../../RunResult.ts"
import type { Settled } from "../../StageOutput.ts"
import { incompleteReason } from "./seen-events.ts"
import { errorText, failedState, newRun, newStage, type SeenRun, type SeenStage } from "./seen-run.ts"

/** How a run ended that says what became of its stages. */
export type Ended = RunResult | StageFailed

/** What became of a run. */
export const seenResult = (ended: Ended): SeenRun => {
  const stages = startedStages(ended.bag.entries)
  for (const [name, output] of outputsOf(ended)) {
    if (!stages.has(name)) stages.set(name, unstarted(name, output))
  }
  for (const name of blockedOf(ended)) stages.set(name, { ...newStage(name), state: "blocked" })
  endFailures(stages, ended)
  endInterrupted(stages, ended)
  const neverStarted = ended._tag === "Cancelled" || ended._tag === "StageFailed" ? ended.neverStarted : []
  return {
    ...newRun(ended.pipeline, 0, stages.size + neverStarted.length),
    ...endOf(ended),
    endedMs: ended.durationMs,
    durationMs: ended.durationMs,
    stages,
    neverStarted
  }
}

const outputsOf = ({ outputs }: Ended): ReadonlyArray<readonly [string, Settled]> =>
  // A result is generic in its outputs; the engine puts nothing but these in.
  Object.entries(outputs as Readonly<Record<string, Settled>>)

const blockedOf = (ended: Ended): ReadonlyArray<string> =>
  ended._tag === "Cancelled" || ended._tag === "Incomplete" ? ended.blocked : []

/** The stages with their attempts, in the order in which they started. */
const startedStages = (entries: ReadonlyArray<Entry>): Map<string, SeenStage> => {
  const stages = new Map<string, SeenStage>()
  for (
    const { attempt, end, endedMs, stage: name, startedMs } of entries.toSorted((a, b) => a.startedMs - b.startedMs)
  ) {
    const stage = stages.get(name) ?? newStage(name)
    stages.set(name, stage)
    stage.attempts.push({ startedMs, endedMs })
    stage.count = attempt
    stage.durationMs = endedMs - (stage.attempts[0]?.startedMs ?? startedMs)
    Object.assign(stage, ending(end))
  }
  return stages
}

type Ending = Pick<SeenStage, "state" | "reason">

const ending = (end: AttemptEnd): Ending => {
  switch (end._tag) {
    case "Settled":
      return settled(end.output)
    case "Failed":
      return { state: failedState(end.error), reason: errorText(end.error) }
    case "RetryRequested":
      return { state: "failed", reason: end.reason }
    case "Interrupted":
      return { state: end.abandoned ? "abandoned" : "interrupted", reason: "" }
    default:
      return absurd(end)
  }
}

const settled = (output: Settled): Ending => {
  switch (output._tag) {
    case "Ok":
      return { state: "ok", reason: "" }
    case "Skip":
      return { state: "skipped", reason: output.reason }
    case "Cancel":
      return { state: "cancelled", reason: output.reason }
    default:
      return absurd(output)
  }
}

const unstarted = (name: string, output: Settled): SeenStage => ({ ...newStage(name), ...settled(output) })

const failuresOf = (ended: Ended): ReadonlyArray<{ readonly stage: string; readonly error: unknown }> => {
  if (ended._tag === "StageFailed") return [ended]
  return ended._tag === "Completed" ? [] : ended.failures
}

/** The failure that counts is the run's: the last attempt may have ended otherwise, or never have been made. */
const endFailures = (stages: Map<string, SeenStage>, ended: Ended): void => {
  for (const { error, stage: name } of failuresOf(ended)) {
    const stage = stages.get(name) ?? newStage(name)
    const summary = errorSummaryOf(error)
    stages.set(name, Object.assign(stage, { state: failedState(summary), reason: errorText(summary) }))
  }
}

/** A stage that was interrupted while it waited for its next attempt ended with neither. */
const endInterrupted = (stages: Map<string, SeenStage>, ended: Ended): void => {
  if (ended._tag !== "Cancelled" && ended._tag !== "StageFailed") return
  for (const name of ended.interrupted) {
    const stage = stages.get(name) ?? newStage(name)
    const state = ended.abandoned.includes(name) ? "abandoned" : "interrupted"
    stages.set(name, Object.assign(stage, { state, reason: "" }))
  }
}

const endOf = (ended: Ended): Pick<SeenRun, "state" | "by" | "reason"> => {
  switch (ended._tag) {
    case "Completed":
      return { state: "completed", by: undefined, reason: "" }
    case "Cancelled":
      return { state: "cancelled", by: ended.by, reason: ended.reason }
    case "Incomplete":
      return { state: "incomplete", by: undefined, reason: incompleteReason(ended.failed.length, ended.blocked.length) }
    case "StageFailed":
      return { state: "failed", by: ended.stage, reason: errorText(errorSummaryOf(ended.error)) }
    default:
      return absurd(ended)
  }
}
