/**
 * Folds the events of runs into their records.
 */
import { absurd } from "effect/Function"
import { type ErrorSummary, type Event, isRunEnd, isStageEvent, type Of } from "../../Event.ts"
import { type DraftRun, type DraftStage, draftStage, failedStatus, unrecorded } from "./draft.ts"
import { plainEvent } from "./event-json.ts"
import type { RunRecord, RunStatus, StageStatus } from "./record-model.ts"
import { version } from "./record-model.ts"
import { errorText, incompleteReason } from "./seen-run.ts"
import { wiredStages, type Wiring, wiringInside } from "./wiring.ts"

/** A run whose events come, and its stages by their names. */
interface Place {
  readonly run: DraftRun
  readonly stages: Map<string, DraftStage>
  readonly wiring: Wiring | undefined
  readonly isOutermost: boolean
}

type RunEnd = Extract<Event, { readonly _tag: `Run${string}`; readonly durationMs: number }>

type StageEvent = Extract<Event, { readonly stage: string; readonly attempt: number }>

class Fold {
  private readonly places = new Map<string, Place>()
  private readonly goingOn = new Set<DraftRun>()
  private readonly over: Array<DraftRun> = []
  private readonly wiring: Wiring | undefined

  constructor(wiring: Wiring | undefined) {
    this.wiring = wiring
  }

  get runs(): ReadonlyArray<DraftRun> {
    return [...this.over, ...this.goingOn]
  }

  /** Events of runs whose start is not among them say nothing. */
  add(event: Event): void {
    if (event._tag === "RunStarted") this.start(event)
    const place = this.places.get(event.runId)
    if (place === undefined) return
    place.run.events.push(plainEvent(event))
    if (isRunEnd(event)) this.end(event, place)
    else if (isStageEvent(event)) stageEvent(stageOf(place, event.stage), event)
  }

  private start(event: Of<"RunStarted">): void {
    const { parentRunId, parentStage, runId } = event
    const above = parentRunId === undefined ? undefined : this.places.get(parentRunId)
    const parent = above === undefined || parentStage === undefined ? undefined : stageOf(above, parentStage)
    const wiring = parent === undefined
      ? this.wiring?.name === event.pipeline ? this.wiring : undefined
      : wiringInside(above?.wiring, parent.name, event.pipeline)
    const stages = wiredStages(wiring).map((wired) => draftStage(wired, "waiting"))
    const run = draftRun(event, stages)
    this.places.set(runId, {
      run,
      stages: new Map(stages.map((stage) => [stage.name, stage])),
      wiring,
      isOutermost: parent === undefined
    })
    if (parent === undefined) this.goingOn.add(run)
    else parent.runs.push(run)
  }

  private end(event: RunEnd, { isOutermost, run }: Place): void {
    endRun(run, event)
    for (const stage of run.stages) {
      if (stage.status === "waiting") stage.status = "never_started"
    }
    this.places.delete(event.runId)
    if (!isOutermost) return
    this.goingOn.delete(run)
    this.over.push(run)
  }
}

const draftRun = (event: Of<"RunStarted">, stages: Array<DraftStage>): DraftRun => {
  const { at, correlationId, orgId, parentRunId, parentStage, pipeline, requestId, runId, sessionId, userId } = event
  return {
    version,
    runId,
    ...(parentRunId === undefined ? {} : { parentRunId }),
    ...(parentStage === undefined ? {} : { parentStage }),
    correlationId,
    pipeline,
    ...(requestId === undefined ? {} : { requestId }),
    ...(sessionId === undefined ? {} : { sessionId }),
    ...(userId === undefined ? {} : { userId }),
    ...(orgId === undefined ? {} : { orgId }),
    tags: [],
    status: "running",
    startedAt: at,
    snapshot: unrecorded,
    events: [],
    stages
  }
}

const stageOf = ({ run, stages }: Place, name: string): DraftStage => {
  const known = stages.get(name)
  if (known !== undefined) return known
  const stage = draftStage({ name, kind: "", after: [] }, "waiting")
  stages.set(name, stage)
  run.stages.push(stage)
  return stage
}

const endRun = (run: DraftRun, event: RunEnd): void => {
  const end = (status: RunStatus, by: string | undefined, reason: string | undefined, error?: ErrorSummary) => {
    run.status = status
    run.durationMs = event.durationMs
    if (by !== undefined) run.by = by
    if (reason !== undefined) run.reason = reason
    if (error !== undefined) run.error = error
  }
  switch (event._tag) {
    case "RunCompleted":
      return end("completed", undefined, undefined)
    case "RunCancelled":
      return end("cancelled", event.by, event.reason)
    case "RunFailed":
      return end("failed", event.stage, errorText(event.error), event.error)
    case "RunIncomplete":
      return end("incomplete", undefined, incompleteReason(event.failed.length, event.blocked.length))
    case "RunInterrupted":
      return end("interrupted", undefined, undefined)
    case "RunTimedOut":
      return end("timed_out", undefined, errorText(event.error), event.error)
    case "RunDenied":
      return end("denied", event.interceptor, errorText(event.error), event.error)
    case "RunRejected":
      return end("rejected", event.interceptor, errorText(event.error), event.error)
    default:
      return absurd(event)
  }
}

/** Ends the attempt and the waits that go on. A stage that ends while it waits for its next attempt never made it. */
const endAttempt = ({ attempts, waits }: DraftStage, at: number, error?: ErrorSummary, reason?: string): void => {
  for (const wait of waits) wait.endedAt ??= at
  const last = attempts.at(-1)
  if (last === undefined) return
  if (last.startedAt > at && attempts.length > 1) {
    attempts.pop()
    return
  }
  last.endedAt = at
  if (error !== undefined) last.error = error
  if (reason !== undefined) last.reason = reason
}

/** What a stage waits in that is ready while as many run as may. */
const concurrency = "the run's concurrency"

const stageEvent = (stage: DraftStage, event: StageEvent): void => {
  const end = (status: StageStatus, reason?: string, error?: ErrorSummary) => {
    endAttempt(stage, event.at, error)
    stage.status = status
    // One that its wiring ended never started.
    if (stage.startedAt !== undefined && "durationMs" in event) stage.durationMs = event.durationMs
    if (reason !== undefined) stage.reason = reason
    if (error !== undefined) stage.error = error
  }
  switch (event._tag) {
    case "StageQueued":
      stage.waits.push({ queue: event.queue, startedAt: event.at })
      return
    case "StageDequeued": {
      const wait = stage.waits.findLast(({ endedAt, queue }) => endedAt === undefined && queue === event.queue)
      if (wait !== undefined) wait.endedAt = event.at
      return
    }
    case "StageStarted":
      if (event.queuedMs !== undefined) {
        stage.waits.push({ queue: concurrency, startedAt: event.at - event.queuedMs, endedAt: event.at })
      }
      stage.status = "running"
      stage.kind = event.kind
      stage.startedAt = event.at
      stage.attempts.push({ attempt: event.attempt, startedAt: event.at })
      return
    case "StageRetrying":
      endAttempt(stage, event.at, event.error, event.reason)
      stage.attempts.push({ attempt: event.attempt + 1, startedAt: event.at + event.delayMs })
      return
    case "StageCompleted":
      return end("ok")
    case "StageSkipped":
      return end("skipped", event.reason)
    case "StageCancelled":
      return end("cancelled", event.reason)
    case "StageFailed":
      return end(failedStatus(event.error), errorText(event.error), event.error)
    case "StageTimedOut":
      return end("timed_out", errorText(event.error), event.error)
    case "StageInterrupted":
      return end(event.abandoned ? "abandoned" : "interrupted")
    case "StageBlocked":
      return end("blocked", `${event.by} failed`)
    default:
      return
  }
}

/** The records of the outermost runs, those that are over in the order of their ends, then those that go on. */
export const recordsOfEvents = (
  events: ReadonlyArray<Event>,
  wiring: Wiring | undefined
): ReadonlyArray<RunRecord> => {
  const fold = new Fold(wiring)
  for (const event of events) fold.add(event)
  return fold.runs
}
