/**
 * Reads the record of a run from its result, or from the error that it failed with.
 */
import { absurd } from "effect/Function"
import * as Result from "effect/Result"
import { errorSummaryOf } from "../../attempt/error-summary.ts"
import { explainFailure } from "../../attempt/explanation.ts"
import type { ErrorSummary } from "../../Event.ts"
import type { Entry } from "../../OutputBag.ts"
import type { Failure, RunResult, StageFailed } from "../../RunResult.ts"
import type { Settled } from "../../StageOutput.ts"
import { type DraftAttempt, type DraftRun, type DraftStage, draftStage, failedStatus, unrecorded } from "./draft.ts"
import { contentJson } from "./event-json.ts"
import { type KeptValue, type RunRecord, type StageStatus, version } from "./record-model.ts"
import { errorText, incompleteReason } from "./seen-run.ts"
import { wiredStages, type Wiring } from "./wiring.ts"

/** How a run ended that says what became of its stages. */
export type Ended = RunResult | StageFailed

/** What the record is told besides, and whether it has the values of the stages: writing them takes time. */
interface Wanted {
  readonly wiring: Wiring | undefined
  readonly values: boolean
}

/** Longer values are in nobody's report. */
const longestValue = 1_000_000

/** A value as JSON; `Redacted` values are written as such. */
const kept = (value: unknown): KeptValue => {
  const json = contentJson(value)
  if (json === undefined) return { _tag: "NotKept", reason: "not_json" }
  if (json.length > longestValue) return { _tag: "NotKept", reason: "too_large", detail: `${json.length} characters` }
  return Result.getOrElse(
    Result.try((): KeptValue => ({ _tag: "Kept", json: JSON.parse(json) })),
    (): KeptValue => ({ _tag: "NotKept", reason: "not_json" })
  )
}

const keptOutput = ({ _tag, artifacts, data, events, version, ...rest }: Settled): KeptValue =>
  kept({
    _tag,
    ..."reason" in rest ? { reason: rest.reason } : {},
    data,
    ...(artifacts.length === 0 ? {} : { artifacts }),
    ...(events.length === 0 ? {} : { events }),
    ...(version === undefined ? {} : { version })
  })

/** Writes what a result says of each stage, one thing after the other. */
class Reading {
  private readonly stages: Map<string, DraftStage>
  private readonly ended: Ended
  private readonly wanted: Wanted

  constructor(ended: Ended, wanted: Wanted) {
    this.ended = ended
    this.wanted = wanted
    const wiring = wanted.wiring?.name === ended.pipeline ? wanted.wiring : undefined
    this.stages = new Map(wiredStages(wiring).map((wired) => [wired.name, draftStage(wired, "never_started")]))
  }

  read(): ReadonlyArray<DraftStage> {
    const { bag } = this.ended
    for (const entry of bag.entries.toSorted((a, b) => a.startedMs - b.startedMs)) this.attempt(entry)
    this.outputs()
    if (this.ended._tag === "Cancelled" || this.ended._tag === "Incomplete") {
      for (const name of this.ended.blocked) this.stage(name).status = "blocked"
    }
    this.failures()
    this.leftBehind()
    return Array.from(this.stages.values())
  }

  private stage(name: string): DraftStage {
    const known = this.stages.get(name)
    if (known !== undefined) return known
    const stage = draftStage({ name, kind: "", after: [] }, "never_started")
    this.stages.set(name, stage)
    return stage
  }

  private attempt({ attempt, end, endedMs, stage: name, startedMs }: Entry): void {
    const stage = this.stage(name)
    const made: DraftAttempt = { attempt, startedAt: startedMs, endedAt: endedMs }
    stage.attempts.push(made)
    stage.startedAt ??= startedMs
    stage.durationMs = endedMs - stage.startedAt
    switch (end._tag) {
      case "Settled":
        return this.settled(stage, end.output)
      case "Failed":
        made.error = end.error
        return failed(stage, end.error)
      case "RetryRequested":
        made.reason = end.reason
        stage.status = "failed"
        stage.reason = end.reason
        return
      case "Interrupted":
        return interrupted(stage, end.abandoned)
      default:
        return absurd(end)
    }
  }

  private settled(stage: DraftStage, output: Settled): void {
    stage.status = statuses[output._tag]
    delete stage.reason
    delete stage.error
    if (output._tag !== "Ok") stage.reason = output.reason
    if (this.wanted.values) stage.output = keptOutput(output)
  }

  /** Those that their wiring skipped made no attempt. */
  private outputs(): void {
    // A result is generic in its outputs; the engine puts nothing but these in.
    const outputs = this.ended.outputs as Readonly<Record<string, Settled>>
    for (const [name, output] of Object.entries(outputs)) {
      const stage = this.stage(name)
      if (stage.attempts.length === 0) this.settled(stage, output)
    }
  }

  /** The failure that counts is the run's: the last attempt may have ended otherwise, or never have been made. */
  private failures(): void {
    for (const failure of failuresOf(this.ended)) {
      const stage = this.stage(failure.stage)
      failed(stage, errorSummaryOf(failure.error))
      if (!this.wanted.values) continue
      stage.explanation = explainFailure(failure, this.ended.bag.entries).join("\n")
    }
  }

  /** A stage that was interrupted while it waited for its next attempt ended with neither. */
  private leftBehind(): void {
    if (this.ended._tag !== "Cancelled" && this.ended._tag !== "StageFailed") return
    const abandoned = new Set(this.ended.abandoned)
    for (const name of this.ended.interrupted) interrupted(this.stage(name), abandoned.has(name))
    for (const name of this.ended.neverStarted) this.stage(name)
  }
}

const statuses: Readonly<Record<Settled["_tag"], StageStatus>> = { Ok: "ok", Skip: "skipped", Cancel: "cancelled" }

const failed = (stage: DraftStage, error: ErrorSummary): void => {
  stage.status = failedStatus(error)
  stage.reason = errorText(error)
  stage.error = error
}

const interrupted = (stage: DraftStage, abandoned: boolean): void => {
  stage.status = abandoned ? "abandoned" : "interrupted"
  delete stage.reason
  delete stage.error
}

const failuresOf = (ended: Ended): ReadonlyArray<Omit<Failure<unknown>, "data">> => {
  if (ended._tag === "StageFailed") return [ended]
  return ended._tag === "Completed" ? [] : ended.failures
}

const endOf = (ended: Ended): Pick<RunRecord, "status" | "by" | "reason" | "error"> => {
  switch (ended._tag) {
    case "Completed":
      return { status: "completed" }
    case "Cancelled":
      return { status: "cancelled", ...(ended.by === undefined ? {} : { by: ended.by }), reason: ended.reason }
    case "Incomplete":
      return { status: "incomplete", reason: incompleteReason(ended.failed.length, ended.blocked.length) }
    case "StageFailed": {
      const error = errorSummaryOf(ended.error)
      return { status: "failed", by: ended.stage, reason: errorText(error), error }
    }
    default:
      return absurd(ended)
  }
}

const idsOf = ({ identity }: Ended): Pick<DraftRun, "requestId" | "sessionId" | "userId" | "orgId"> => {
  const { orgId, requestId, sessionId, userId } = identity
  return {
    ...(requestId === undefined ? {} : { requestId }),
    ...(sessionId === undefined ? {} : { sessionId }),
    ...(userId === undefined ? {} : { userId }),
    ...(orgId === undefined ? {} : { orgId })
  }
}

/** The record of a run that ended like this. */
export const recordOfResult = (ended: Ended, wanted: Wanted): RunRecord => {
  const { correlationId, parentRunId, parentStage, runId } = ended.lineage
  return {
    version,
    runId,
    ...(parentRunId === undefined ? {} : { parentRunId }),
    ...(parentStage === undefined ? {} : { parentStage }),
    correlationId,
    pipeline: ended.pipeline,
    ...idsOf(ended),
    tags: [],
    startedAt: 0,
    durationMs: ended.durationMs,
    ...endOf(ended),
    snapshot: unrecorded,
    events: [],
    stages: new Reading(ended, wanted).read()
  }
}
