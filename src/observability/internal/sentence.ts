/**
 * Says in a sentence why a run took as long as it did: the critical path, and what its stages waited for.
 */
import type { Analysis, StageTimes } from "./analysis-model.ts"
import { printable } from "./cells.ts"
import { shortDuration } from "./layout.ts"
import type { RecordedStage, RunRecord, RunStatus } from "./record-model.ts"

/** A path of more is cut to those that took longest. */
const mostSteps = 6

/** What is shorter is not worth a word, nor is less than a twentieth of the whole where nobody knows what it was. */
const shortest = 0.5

const verbs: Readonly<Record<RunStatus, string>> = {
  running: "It has been running for",
  completed: "It took",
  cancelled: "It was cancelled after",
  failed: "It failed after",
  timed_out: "It timed out after",
  incomplete: "It ended incomplete after",
  denied: "It was denied after",
  rejected: "It was rejected after",
  interrupted: "It was interrupted after",
  lost: "It was lost after"
}

const outcomes: Partial<Record<RecordedStage["status"], string>> = {
  running: "which is still running",
  cancelled: "which cancelled the run",
  failed: "which failed",
  timed_out: "which timed out",
  interrupted: "which was interrupted",
  abandoned: "which was abandoned"
}

/** How long a stage held the path up, from the end of the one before it to its own. */
const spanOf = ({ betweenAttemptsMs, otherMs, queuedMs, runningMs }: StageTimes): number =>
  queuedMs + runningMs + betweenAttemptsMs + otherMs

const listed = (parts: ReadonlyArray<string>): string =>
  parts.length < 2 ? parts.join("") : `${parts.slice(0, -1).join(", ")} and ${parts.at(-1)}`

/** The run of a stage that took longest. */
const insideOf = ({ runs }: StageTimes, stage: RecordedStage | undefined): string => {
  const run = runs.reduce<StageTimes["runs"][number] | undefined>(
    (longest, run) => longest === undefined || run.durationMs > longest.durationMs ? run : longest,
    undefined
  )
  if (run === undefined || run.criticalPath.length === 0) return ""
  const stages = stage?.runs.find(({ runId }) => runId === run.runId)?.stages ?? []
  // Where nobody told how that run is wired, nobody knows its path.
  if (stages.length > 1 && stages.every(({ after }) => after.length === 0)) return ""
  const path = run.criticalPath.slice(0, mostSteps).map(printable).join(", ")
  return `in it ${path}${run.criticalPath.length > mostSteps ? " and so on" : ""}`
}

const partsOf = (times: StageTimes, stage: RecordedStage | undefined, isLast: boolean): ReadonlyArray<string> => {
  const queues = Array.from(new Set(stage?.waits.map(({ queue }) => printable(queue)) ?? []))
  const outcome = isLast ? outcomes[times.status] : undefined
  return [
    ...(times.queuedMs < shortest ? [] : [`${shortDuration(times.queuedMs)} in the queue of ${listed(queues)}`]),
    ...(times.betweenAttemptsMs < shortest
      ? []
      : [`${shortDuration(times.betweenAttemptsMs)} between ${times.attempts} attempts`]),
    ...(times.otherMs < Math.max(shortest, spanOf(times) / 20)
      ? []
      : [`${shortDuration(times.otherMs)} that nothing is known of`]),
    ...[insideOf(times, stage)].filter((text) => text !== ""),
    ...(outcome === undefined ? [] : [outcome])
  ]
}

const stepOf = (times: StageTimes, stage: RecordedStage | undefined, isLast: boolean): string => {
  const parts = partsOf(times, stage, isLast)
  return `${printable(times.stage)} ${shortDuration(spanOf(times))}${
    parts.length === 0 ? "" : ` (${parts.join(", ")})`
  }`
}

/** The steps that take most of the path, in its order. */
const longestSteps = (steps: ReadonlyArray<StageTimes>): ReadonlyArray<StageTimes> => {
  const bySpan = steps.toSorted((a, b) => spanOf(b) - spanOf(a)).slice(0, mostSteps)
  const chosen = new Set(bySpan.filter((step) => spanOf(step) >= shortest))
  const last = steps.at(-1)
  return steps.filter((step) => chosen.has(step) || (step === last && outcomes[step.status] !== undefined))
}

/** Why the run took so long. */
export const sentenceOf = (record: RunRecord, analysis: Omit<Analysis, "sentence">): string => {
  const { criticalPath, durationMs, endingMs, startingMs, status } = analysis
  const times = new Map(analysis.stages.map((stage) => [stage.stage, stage]))
  const recorded = new Map(record.stages.map((stage) => [stage.name, stage]))
  const steps = criticalPath.flatMap((name) => times.get(name) ?? [])
  const start = `${verbs[status]} ${shortDuration(durationMs)}`
  if (steps.length === 0) return `${start}, and no stage started.`
  const shown = longestSteps(steps)
  const rest = steps.filter((step) => !shown.includes(step))
  const restMs = rest.reduce((sum, step) => sum + spanOf(step), 0)
  const parts = shown.map((step) => stepOf(step, recorded.get(step.stage), step === steps.at(-1)))
  if (rest.length > 0 && restMs >= shortest) parts.push(`and ${rest.length} shorter ones ${shortDuration(restMs)}`)
  if (parts.length === 0) parts.push(steps.slice(0, mostSteps).map(({ stage }) => printable(stage)).join(", "))
  const isWorthAWord = (ms: number) => ms >= Math.max(shortest, durationMs / 20)
  if (isWorthAWord(startingMs)) parts.unshift(`${shortDuration(startingMs)} to begin`)
  const ending = isWorthAWord(endingMs) ? `, and ${shortDuration(endingMs)} to end` : ""
  return `${start}: ${parts.join(", then ").replace(", then and ", ", and ")}${ending}.`
}
