/**
 * Concludes a run whose stages have ended: makes its result.
 */
import type * as Cause from "effect/Cause"
import * as Result from "effect/Result"
import { stackOf } from "../attempt/explanation.ts"
import { isRefusedBy } from "../attempt/refusal.ts"
import type { RunEnding } from "../attempt/run-ending.ts"
import type { StreamSummary } from "../attempt/stream-summary.ts"
import { together } from "../internal/causes.ts"
import type { ChannelSummary } from "../internal/chunk-channel.ts"
import { immutable } from "../internal/immutable.ts"
import type { Settled } from "../internal/output-model.ts"
import { define } from "../internal/record.ts"
import { noteRejection } from "../internal/refusal.ts"
import {
  type Cancelled,
  type Completed,
  type Failure,
  type Incomplete,
  StageFailed,
  type Summary
} from "../RunResult.ts"
import type { ActiveRun, Stop } from "./active-run.ts"
import { LazyOutputBag } from "./journal.ts"

type Outputs = Record<string, Settled>

/** How a run ended: a result, an error, or nothing when its caller was interrupted. */
export type Conclusion =
  | Completed<Outputs>
  | Cancelled<Outputs>
  | Incomplete<Outputs, unknown>
  | StageFailed<unknown, Outputs>

const outputsOf = (run: ActiveRun): Outputs => {
  const outputs: Outputs = {}
  run.plan.names.forEach((name, index) => {
    const output = run.outputs[index]
    // The stage that cancels the run is told of by `by` and `reason`: the types of the outputs are Ok and Skip.
    if (output !== undefined && run.statuses[index] !== "cancelled") define(outputs, name, output)
  })
  return Object.freeze(outputs)
}

const runSummary = (run: ActiveRun, durationMs: number): Summary => ({
  pipeline: run.plan.pipeline,
  identity: run.identity,
  lineage: run.record.lineage,
  durationMs,
  bag: new LazyOutputBag(run.readEntries),
  ...streamed(run)
})

const whatStreamed = ({ chunks, collected, end }: ChannelSummary): StreamSummary => {
  // What a function of somebody collected can throw when it is looked at; then there is nothing to show.
  const data = collected === undefined ? undefined : Result.getOrUndefined(Result.try(() => immutable(collected())))
  return Object.freeze(data === undefined ? { chunks, end } : { chunks, end, collected: data })
}

/** What became of the chunks of the stages that streamed. */
const streamed = ({ plan, streams }: ActiveRun) => {
  const { summaries = [] } = streams ?? {}
  if (summaries.length === 0) return {}
  const record: Record<string, StreamSummary> = {}
  for (const [index, summary] of summaries) define(record, plan.names[index] as string, whatStreamed(summary))
  return { streams: Object.freeze(record) }
}

/** What was taken back, for a run that had something to have a part in its end. */
const takenBack = ({ compensation }: ActiveRun) => compensation === undefined ? {} : { compensation }

/** What a run that stopped early leaves behind. */
const leftBehind = (run: ActiveRun) => ({
  interrupted: run.namesOf("interrupted", "abandoned"),
  abandoned: run.namesOf("abandoned"),
  neverStarted: run.namesOf("pending")
})

const failed = (run: ActiveRun, { attempts, cause, data, error, stage }: Failure<unknown>, durationMs: number) => {
  const runFailed = new StageFailed<unknown, Outputs>({
    stage,
    error,
    attempts,
    data,
    cause: run.failuresWhileStopping.reduce(together, cause),
    outputs: outputsOf(run),
    ...leftBehind(run),
    ...takenBack(run),
    ...runSummary(run, durationMs)
  })
  Object.defineProperty(runFailed, "stack", { configurable: true, get: () => stackOf(runFailed) })
  if (isRefused(run, stage, error, cause)) noteRejection(runFailed)
  return runFailed
}

/** Whether a stage failed because it was refused. */
const isRefused = ({ plan }: ActiveRun, stage: string, error: unknown, cause: Cause.Cause<unknown>): boolean => {
  const info = plan.stages[plan.indexOf.get(stage) as number]?.info
  return info !== undefined && isRefusedBy(info, error, cause)
}

const cancelled = (
  run: ActiveRun,
  { by, data, reason }: Extract<Stop, { readonly _tag: "Cancelled" }>,
  durationMs: number
): Conclusion => {
  return {
    _tag: "Cancelled",
    by,
    reason,
    data,
    blocked: run.namesOf("blocked"),
    failures: failuresOf(run),
    outputs: outputsOf(run),
    ...leftBehind(run),
    ...takenBack(run),
    ...runSummary(run, durationMs)
  }
}

/** The failures in the order of the pipeline, whichever came first. Those that are refusals are known as such. */
const failuresOf = (run: ActiveRun): ReadonlyArray<Failure<unknown>> => {
  for (const failure of run.failures) {
    if (isRefused(run, failure.stage, failure.error, failure.cause)) noteRejection(failure)
  }
  const position = new Map(run.namesOf("failed").map((name, index) => [name, index]))
  return run.failures.toSorted((a, b) => (position.get(a.stage) ?? 0) - (position.get(b.stage) ?? 0))
}

const incomplete = (run: ActiveRun, durationMs: number): Conclusion => {
  const failed = run.namesOf("failed")
  const blocked = run.namesOf("blocked")
  return {
    _tag: "Incomplete",
    outputs: outputsOf(run),
    ok: run.namesOf("ok"),
    skipped: run.namesOf("skipped"),
    failed,
    blocked,
    failures: failuresOf(run),
    ...takenBack(run),
    ...runSummary(run, durationMs)
  }
}

/** How the stages of a run have ended; nothing when they have completed. */
export const endingOf = (run: ActiveRun): RunEnding | undefined => {
  const { stop } = run
  switch (stop?._tag) {
    case "Failed": {
      const { cause, error, stage } = stop.failure
      return { _tag: "Failed", stage, error, cause: run.failuresWhileStopping.reduce(together, cause) }
    }
    case undefined:
      return run.failures.length === 0 ? undefined : { _tag: "Incomplete", failures: failuresOf(run) }
    default:
      return stop
  }
}

/** The result of a run that is over, told to those who listen. */
export const conclude = (run: ActiveRun): Conclusion | undefined => {
  const durationMs = run.elapsedMs()
  const { stop } = run
  switch (stop?._tag) {
    case "Interrupted":
      return undefined
    case "Failed":
      return failed(run, stop.failure, durationMs)
    case "Cancelled":
      return cancelled(run, stop, durationMs)
    case undefined:
      if (run.failures.length > 0) return incomplete(run, durationMs)
      return { _tag: "Completed", outputs: outputsOf(run), ...runSummary(run, durationMs) }
  }
}
