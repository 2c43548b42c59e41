/**
 * Folds events into rows: one of each stage and of each run, when it has ended.
 */
import { envelope, type ErrorSummary, type Event, isRunEnd, isStageEnd, isStageEvent, type Of } from "../../Event.ts"
import type { WideEvent, WideRun, WideStage } from "./wide-event.ts"

type Mutable<A> = { -readonly [K in keyof A]: A[K] }

/** A stage that goes on: its row as far as it is known. */
type OpenStage = Mutable<Omit<WideStage, "status" | "endedAt">>

/** A run that goes on. */
interface OpenRun {
  readonly row: Mutable<Omit<WideRun, "status" | "endedAt" | "neverStarted">>
  readonly open: Map<string, OpenStage>
  /** How many of its stages have ended. */
  ended: number
}

type RunEnd = Extract<Event, { readonly _tag: `Run${string}` }> extends infer E
  ? E extends { readonly _tag: "RunStarted" } ? never : E
  : never

type StageEnd = Of<
  | "StageCompleted"
  | "StageSkipped"
  | "StageCancelled"
  | "StageFailed"
  | "StageTimedOut"
  | "StageInterrupted"
  | "StageBlocked"
>

type Ids = { [K in Exclude<keyof typeof envelope, "at" | "sequence">]?: string }

const idKeys = Object.keys(envelope).filter((key) => key !== "at" && key !== "sequence") as ReadonlyArray<keyof Ids>

/** Whose event it is. What is proven while the run goes on is in its later events. */
const idsOf = (event: Event): Pick<Event, "runId" | "correlationId" | "pipeline"> & Ids => {
  const ids: Ids = {}
  for (const key of idKeys) {
    const id = event[key]
    if (id !== undefined) ids[key] = id
  }
  // Every event has the three that a row needs.
  return ids as Pick<Event, "runId" | "correlationId" | "pipeline"> & Ids
}

const runOf = (event: Event): OpenRun => ({
  row: {
    _tag: "WideRun",
    ...idsOf(event),
    ok: 0,
    skipped: 0,
    cancelled: 0,
    failed: 0,
    timedOut: 0,
    blocked: 0,
    interrupted: 0,
    abandoned: 0,
    attempts: 0,
    retries: 0,
    retryWaitMs: 0,
    queueWaitMs: 0,
    cacheHits: 0,
    fallbacksUsed: 0,
    childRuns: 0,
    emitted: 0,
    artifacts: 0,
    compensated: 0,
    notCompensated: 0,
    events: 0
  },
  open: new Map(),
  ended: 0
})

const stageOf = (event: Event & { readonly stage: string }): OpenStage => ({
  _tag: "WideStage",
  ...idsOf(event),
  stage: event.stage,
  attempts: 0,
  retries: 0,
  retryWaitMs: 0,
  queueWaitMs: 0,
  cacheHit: false,
  idempotentReplay: false,
  fallbackUsed: false,
  rateLimited: false,
  hedges: 0,
  hedgeWon: false,
  breakersOpened: 0,
  guardsAccepted: 0,
  guardsRedacted: 0,
  guardsRejected: 0,
  childRuns: 0,
  emitted: 0,
  artifacts: 0
})

/** Notes what an event says of a stage that goes on. */
const note = (stage: OpenStage, event: Event): void => {
  switch (event._tag) {
    case "StageRetrying":
      stage.retries++
      stage.retryWaitMs += event.delayMs
      return
    case "StageDequeued":
      stage.queueWaitMs += event.waitedMs
      return
    case "RateLimited":
      stage.rateLimited = true
      return
    case "CacheHit":
      stage.cacheHit = true
      return
    case "IdempotentReplay":
      stage.idempotentReplay = true
      return
    case "FallbackUsed":
      stage.fallbackUsed = true
      return
    case "HedgeStarted":
      stage.hedges++
      return
    case "HedgeWon":
      stage.hedgeWon = true
      return
    case "BreakerOpened":
      stage.breakersOpened++
      return
    case "GuardVerdict":
      stage[verdicts[event.verdict]]++
      return
    case "StageEmitted":
      stage.emitted++
      return
    case "ArtifactAdded":
      stage.artifacts++
      return
    default:
      return
  }
}

const verdicts = { accepted: "guardsAccepted", redacted: "guardsRedacted", rejected: "guardsRejected" } as const

const errorOf = ({ code, message, tag }: ErrorSummary) => ({
  errorTag: tag,
  ...(code === undefined ? {} : { errorCode: code }),
  errorMessage: message
})

const stageStatuses = {
  StageCompleted: "ok",
  StageSkipped: "skipped",
  StageCancelled: "cancelled",
  StageFailed: "failed",
  StageTimedOut: "timed_out",
  StageInterrupted: "interrupted",
  StageBlocked: "blocked"
} as const satisfies Record<StageEnd["_tag"], WideStage["status"]>

const statusOf = (event: StageEnd): Exclude<WideStage["status"], "lost"> =>
  event._tag === "StageInterrupted" && event.abandoned ? "abandoned" : stageStatuses[event._tag]

/** What the last event of a stage says, and nobody said before. */
const lastOfStage = (event: StageEnd) => ({
  ...("durationMs" in event ? { durationMs: event.durationMs } : {}),
  ...("reason" in event ? { reason: event.reason } : {}),
  ...("by" in event ? { blockedBy: event.by } : {}),
  ...("version" in event && event.version !== undefined ? { version: event.version } : {}),
  ...("error" in event ? errorOf(event.error) : {})
})

const runStatuses = {
  RunCompleted: "completed",
  RunCancelled: "cancelled",
  RunFailed: "failed",
  RunTimedOut: "timed_out",
  RunIncomplete: "incomplete",
  RunDenied: "denied",
  RunRejected: "rejected",
  RunInterrupted: "interrupted"
} as const satisfies Record<RunEnd["_tag"], WideRun["status"]>

const lastOfRun = (event: RunEnd) => ({
  durationMs: event.durationMs,
  ...("stage" in event ? { stage: event.stage } : {}),
  ...("by" in event && event.by !== undefined ? { stage: event.by } : {}),
  ...("reason" in event ? { reason: event.reason } : {}),
  ...("interceptor" in event && event.interceptor !== undefined ? { interceptor: event.interceptor } : {}),
  ...("error" in event ? errorOf(event.error) : {})
})

const counterOf = {
  ok: "ok",
  skipped: "skipped",
  cancelled: "cancelled",
  failed: "failed",
  timed_out: "timedOut",
  blocked: "blocked",
  interrupted: "interrupted",
  abandoned: "abandoned"
} as const satisfies Record<Exclude<WideStage["status"], "lost">, keyof WideRun>

/** The row of a run that has ended. Where its start was not told, nobody knows how many stages it has. */
const endedRun = (
  { ended, open, row }: OpenRun,
  end: Pick<WideRun, "status" | "endedAt"> & Partial<WideRun>
): WideRun => ({
  ...row,
  ...end,
  ...(row.stages === undefined ? {} : { neverStarted: Math.max(0, row.stages - ended - open.size) })
})

/** The runs that go on, of so many at most. */
export class Folding {
  private readonly maxRuns: number
  /** The oldest first. */
  private readonly runs = new Map<string, OpenRun>()
  /** When something was told last. */
  private now = 0

  constructor(maxRuns: number) {
    this.maxRuns = maxRuns
  }

  /** The rows of what ends with an event. */
  take(event: Event): ReadonlyArray<WideEvent> {
    this.now = event.at
    const known = this.runs.get(event.runId)
    // A run that starts under the id of another one: the end of that will not be told.
    const lost = known !== undefined && event._tag === "RunStarted"
      ? this.lose(event.runId, known)
      : this.makeRoomFor(event)
    const run = this.runs.get(event.runId) ?? this.open(event)
    run.row.events++
    const rows = isStageEvent(event) ? this.takeOfStage(run, event) : isRunEnd(event) ? [this.endRun(run, event)] : []
    return lost.length === 0 ? rows : [...lost, ...rows]
  }

  /** The rows of everything that goes on: its end will not be told. */
  lost(): ReadonlyArray<WideEvent> {
    return [...this.runs].flatMap(([id, run]) => this.lose(id, run))
  }

  private open(event: Event): OpenRun {
    const run = runOf(event)
    if (event._tag === "RunStarted") {
      run.row.stages = event.stages
      run.row.startedAt = event.at
      this.noteChild(event)
    }
    this.runs.set(event.runId, run)
    return run
  }

  private noteChild({ parentRunId = "", parentStage = "" }: Event): void {
    const parent = this.runs.get(parentRunId)
    const stage = parent?.open.get(parentStage)
    if (parent !== undefined) parent.row.childRuns++
    if (stage !== undefined) stage.childRuns++
  }

  private makeRoomFor({ runId }: Event): ReadonlyArray<WideEvent> {
    if (this.runs.size < this.maxRuns || this.runs.has(runId)) return []
    const [oldest] = this.runs
    return oldest === undefined ? [] : this.lose(...oldest)
  }

  private lose(id: string, run: OpenRun): ReadonlyArray<WideEvent> {
    this.runs.delete(id)
    const lost = { status: "lost", endedAt: this.now } as const
    return [...Array.from(run.open.values(), (stage) => ({ ...stage, ...lost })), endedRun(run, lost)]
  }

  private takeOfStage(run: OpenRun, event: Extract<Event, { readonly attempt: number }>): ReadonlyArray<WideEvent> {
    if (isStageEnd(event)) return [this.endStage(run, event)]
    const stage = run.open.get(event.stage)
    if (event._tag === "StageStarted") this.startStage(run, event)
    else if (event._tag === "CompensationCompleted") run.row.compensated++
    else if (event._tag === "CompensationFailed" || event._tag === "CompensationNotReached") run.row.notCompensated++
    else if (stage !== undefined) {
      stage.attempts = Math.max(stage.attempts, event.attempt)
      note(stage, event)
    }
    return []
  }

  private startStage(run: OpenRun, event: Of<"StageStarted">): void {
    const stage = stageOf(event)
    stage.kind = event.kind
    stage.startedAt = event.at
    stage.attempts = event.attempt
    stage.queueWaitMs = event.queuedMs ?? 0
    run.open.set(event.stage, stage)
  }

  private endStage(run: OpenRun, event: StageEnd): WideStage {
    const stage = run.open.get(event.stage) ?? stageOf(event)
    run.open.delete(event.stage)
    run.ended++
    stage.attempts = Math.max(stage.attempts, event.attempt)
    const status = statusOf(event)
    const { row } = run
    row[counterOf[status]]++
    row.attempts += stage.attempts
    row.retries += stage.retries
    row.retryWaitMs += stage.retryWaitMs
    row.queueWaitMs += stage.queueWaitMs
    row.cacheHits += stage.cacheHit ? 1 : 0
    row.fallbacksUsed += stage.fallbackUsed ? 1 : 0
    row.emitted += stage.emitted
    row.artifacts += stage.artifacts
    return { ...stage, ...idsOf(event), status, endedAt: event.at, ...lastOfStage(event) }
  }

  private endRun(run: OpenRun, event: RunEnd): WideRun {
    this.runs.delete(event.runId)
    return endedRun(run, { ...idsOf(event), status: runStatuses[event._tag], endedAt: event.at, ...lastOfRun(event) })
  }
}
