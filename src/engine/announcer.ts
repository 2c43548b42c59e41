/**
 * Announces what happens in a run: builds its events, numbers them and hands them to whoever listens.
 */
import type * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import type * as Exit from "effect/Exit"
import { absurd } from "effect/Function"
import * as Result from "effect/Result"
import type { Announcement } from "../attempt/announcement.ts"
import { errorSummaryOf, errorSummaryOfExit } from "../attempt/error-summary.ts"
import type { Outcome } from "../attempt/interceptor-model.ts"
import { isNote } from "../attempt/note.ts"
import type { Told } from "../attempt/observing.ts"
import type { Event } from "../Event.ts"
import type { Artifact, Emitted, Settled, Skip } from "../internal/output-model.ts"
import type { RunIdentity } from "../internal/snapshot-model.ts"
import type { RunResult } from "../RunResult.ts"
import type { Lineage } from "../StageContext.ts"
import { StageTimeout } from "../StageError.ts"
import type { PlannedStage } from "./plan.ts"
import type { RunEnd } from "./run-end.ts"

export type Listener = (event: Event, told?: Told) => void

/** An attempt that something is announced of. */
interface Announced {
  readonly attempt: number
  readonly planned: PlannedStage
}

interface Base {
  readonly _tag: Event["_tag"]
  readonly runId: string
  readonly parentRunId?: string
  readonly parentStage?: string
  readonly correlationId: string
  readonly pipeline: string
  readonly requestId?: string
  readonly sessionId?: string
  readonly userId?: string
  readonly orgId?: string
  readonly topology?: string
  readonly executionMode?: string
}

/** Whom and what a run is for, as its events say it. */
export interface Belonging {
  /** The id of the request, where somebody has given one. */
  readonly requestId: string | undefined
  readonly sessionId: string | undefined
  readonly userId: string | undefined
  readonly orgId: string | undefined
  readonly topology: string | undefined
  readonly executionMode: string | undefined
}

const baseOf = (pipeline: string, lineage: Lineage, belonging: Belonging): Base => {
  const { executionMode, orgId, requestId, sessionId, topology, userId } = belonging
  return {
    _tag: "RunStarted",
    runId: lineage.runId,
    ...(lineage.parentRunId === undefined ? {} : { parentRunId: lineage.parentRunId }),
    ...(lineage.parentStage === undefined ? {} : { parentStage: lineage.parentStage }),
    correlationId: lineage.correlationId,
    pipeline,
    ...(requestId === undefined ? {} : { requestId }),
    ...(sessionId === undefined ? {} : { sessionId }),
    ...(userId === undefined ? {} : { userId }),
    ...(orgId === undefined ? {} : { orgId }),
    ...(topology === undefined ? {} : { topology }),
    ...(executionMode === undefined ? {} : { executionMode })
  }
}

/** An attempt that starts. */
interface Starting extends Announced {
  readonly input: unknown
  readonly identity: RunIdentity
}

// Events are made as one object each: `base` is spread first, with a `_tag` that every event replaces, so that the tag
// is the first thing one sees of an event and nothing is made on the way. What a run does not have is no key of it.
export class Announcer {
  private base: Base
  private readonly pipeline: string
  private readonly lineage: Lineage
  private readonly listeners: ReadonlyArray<Listener>
  private readonly clock: Clock.Clock
  /** Whether a listener wants to know what an event tells of. */
  private readonly isObserved: boolean
  /** What the next event tells of. */
  private about: Told | undefined = undefined
  private sequence = 0

  constructor(
    pipeline: string,
    lineage: Lineage,
    belonging: Belonging,
    listeners: ReadonlyArray<Listener>,
    clock: Clock.Clock,
    isObserved: boolean
  ) {
    this.pipeline = pipeline
    this.lineage = lineage
    this.base = baseOf(pipeline, lineage, belonging)
    this.listeners = listeners
    this.clock = clock
    this.isObserved = isObserved
  }

  /** It is known for certain who the run belongs to: what is told from now on says so. */
  belongs(to: Belonging): void {
    this.base = baseOf(this.pipeline, this.lineage, to)
  }

  private get next(): number {
    return ++this.sequence
  }

  private get now(): number {
    return this.clock.currentTimeMillisUnsafe()
  }

  private announce(event: Event): void {
    const { about } = this
    this.about = undefined
    // An observer changes nothing, not even for another: what a listener throws ends here.
    if (this.listeners.length > 1) Object.freeze(event)
    for (const listener of this.listeners) Result.try(() => listener(event, about))
  }

  /** Says what the next event tells of, for those who want to know. */
  private tells(of: () => Told): void {
    if (this.isObserved) this.about = of()
  }

  runStarted(stages: number): void {
    this.announce({ ...this.base, _tag: "RunStarted", sequence: this.next, at: this.now, stages })
  }

  /**
   * The run is over, with all that was around it. `elapsedMs` is how long all of that took: what a result says of its stages
   * is less.
   */
  runEnded(end: RunEnd, elapsedMs: number): void {
    if ("result" in end) this.tells(() => ({ _tag: "End", ended: end.result }))
    else if ("failed" in end) this.tells(() => ({ _tag: "End", ended: end.failed }))
    switch (end.status) {
      case "completed":
      case "cancelled":
      case "incomplete":
        return this.runGave(end.result, elapsedMs)
      case "failed":
        return this.runFailed(elapsedMs, end.failed.stage, end.failed.error)
      case "timed_out":
        return this.runTimedOut(elapsedMs, end.limitMs, end.error)
      case "denied":
        return this.runStopped("RunDenied", elapsedMs, end.interceptor, end.error)
      case "rejected":
        return this.runStopped("RunRejected", elapsedMs, end.interceptor, end.error)
      case "interrupted":
        return this.runInterrupted(elapsedMs)
      default:
        return absurd(end)
    }
  }

  private runGave(result: RunResult, elapsedMs: number): void {
    switch (result._tag) {
      case "Completed":
        return this.runCompleted(elapsedMs)
      case "Cancelled":
        return this.runCancelled(elapsedMs, result.by, result.reason)
      case "Incomplete":
        return this.runIncomplete(elapsedMs, [...result.failed], [...result.blocked])
      default:
        return absurd(result)
    }
  }

  private runCompleted(durationMs: number): void {
    this.announce({ ...this.base, _tag: "RunCompleted", sequence: this.next, at: this.now, durationMs })
  }
  private runCancelled(durationMs: number, by: string | undefined, reason: string): void {
    this.announce({
      ...this.base,
      _tag: "RunCancelled",
      sequence: this.next,
      at: this.now,
      durationMs,
      ...(by === undefined ? {} : { by }),
      reason
    })
  }
  private runFailed(durationMs: number, stage: string, error: unknown): void {
    this.announce({
      ...this.base,
      _tag: "RunFailed",
      sequence: this.next,
      at: this.now,
      durationMs,
      stage,
      error: errorSummaryOf(error)
    })
  }
  private runIncomplete(durationMs: number, failed: ReadonlyArray<string>, blocked: ReadonlyArray<string>): void {
    this.announce({
      ...this.base,
      _tag: "RunIncomplete",
      sequence: this.next,
      at: this.now,
      durationMs,
      failed,
      blocked
    })
  }
  private runTimedOut(durationMs: number, limitMs: number, error: unknown): void {
    this.announce({
      ...this.base,
      _tag: "RunTimedOut",
      sequence: this.next,
      at: this.now,
      durationMs,
      limitMs,
      error: errorSummaryOf(error)
    })
  }
  private runStopped(
    _tag: "RunDenied" | "RunRejected",
    durationMs: number,
    interceptor: string | undefined,
    error: unknown
  ): void {
    this.announce({
      ...this.base,
      _tag,
      sequence: this.next,
      at: this.now,
      durationMs,
      ...(interceptor === undefined ? {} : { interceptor }),
      error: errorSummaryOf(error)
    })
  }
  private runInterrupted(durationMs: number): void {
    this.announce({ ...this.base, _tag: "RunInterrupted", sequence: this.next, at: this.now, durationMs })
  }

  /** `queuedMs` is how long it was ready before, where the run's limit made it wait. */
  stageStarted(starting: Starting, queuedMs: number | undefined): void {
    const { attempt, planned: { info, name } } = starting
    this.tells(() => ({ _tag: "Start", input: starting.input, identity: starting.identity }))
    const kind = info.kind
    this.announce(
      queuedMs === undefined
        ? { ...this.base, _tag: "StageStarted", sequence: this.next, at: this.now, stage: name, attempt, kind }
        : {
          ...this.base,
          _tag: "StageStarted",
          sequence: this.next,
          at: this.now,
          stage: name,
          attempt,
          kind,
          queuedMs
        }
    )
  }

  stageSettled(execution: Announced, output: Settled, durationMs: number): void {
    if (output.artifacts.length > 0 || output.events.length > 0) {
      this.contents(execution, output.artifacts, output.events)
    }
    this.tells(() => ({ _tag: "Output", output }))
    switch (output._tag) {
      case "Ok":
        return this.stageCompleted(execution, output.version, durationMs)
      case "Skip":
        return this.stageSkipped(execution.planned, execution.attempt, output, durationMs)
      case "Cancel":
        return this.announce({
          ...this.base,
          _tag: "StageCancelled",
          sequence: this.next,
          at: this.now,
          stage: execution.planned.name,
          attempt: execution.attempt,
          durationMs,
          reason: output.reason
        })
      default:
        return absurd(output)
    }
  }

  private stageCompleted({ attempt, planned }: Announced, version: string | undefined, durationMs: number): void {
    const stage = planned.name
    this.announce(
      version === undefined
        ? { ...this.base, _tag: "StageCompleted", sequence: this.next, at: this.now, stage, attempt, durationMs }
        : {
          ...this.base,
          _tag: "StageCompleted",
          sequence: this.next,
          at: this.now,
          stage,
          attempt,
          durationMs,
          version
        }
    )
  }

  /** `attempt` is 0 for a stage that its wiring skipped before it started. */
  stageSkipped({ name }: PlannedStage, attempt: number, output: Skip, durationMs: number): void {
    this.tells(() => ({ _tag: "Output", output }))
    this.announce({
      ...this.base,
      _tag: "StageSkipped",
      sequence: this.next,
      at: this.now,
      stage: name,
      attempt,
      durationMs,
      reason: output.reason
    })
  }

  /** `attempt` is 0 for a stage whose wiring failed before it started. */
  stageFailed({ name }: PlannedStage, attempt: number, error: unknown, durationMs: number): void {
    this.tells(() => ({ _tag: "Failure", error }))
    if (error instanceof StageTimeout) return this.stageTimedOut(name, attempt, error, durationMs)
    this.announce({
      ...this.base,
      _tag: "StageFailed",
      sequence: this.next,
      at: this.now,
      stage: name,
      attempt,
      durationMs,
      error: errorSummaryOf(error)
    })
  }

  private stageTimedOut(stage: string, attempt: number, error: StageTimeout, durationMs: number): void {
    this.announce({
      ...this.base,
      _tag: "StageTimedOut",
      sequence: this.next,
      at: this.now,
      stage,
      attempt,
      durationMs,
      limitMs: Duration.toMillis(error.timeout),
      error: errorSummaryOf(error)
    })
  }

  stageInterrupted({ attempt, planned }: Announced, durationMs: number, abandoned: boolean): void {
    this.announce({
      ...this.base,
      _tag: "StageInterrupted",
      sequence: this.next,
      at: this.now,
      stage: planned.name,
      attempt,
      durationMs,
      abandoned
    })
  }

  stageBlocked({ name }: PlannedStage, by: string): void {
    this.announce({
      ...this.base,
      _tag: "StageBlocked",
      sequence: this.next,
      at: this.now,
      stage: name,
      attempt: 0,
      by
    })
  }

  stageRetrying(
    { attempt, planned }: Announced,
    exit: Exit.Exit<Outcome, unknown>,
    delay: Duration.Duration
  ): void {
    const error = errorSummaryOfExit(exit)
    const reason = exit._tag === "Success" && exit.value._tag === "Retry" ? exit.value.reason : undefined
    this.announce({
      ...this.base,
      _tag: "StageRetrying",
      sequence: this.next,
      at: this.now,
      stage: planned.name,
      attempt,
      delayMs: Duration.toMillis(delay),
      ...(error === undefined ? {} : { error }),
      ...(reason === undefined ? {} : { reason })
    })
  }

  stageEmitted({ attempt, planned }: Announced, { data, type }: Emitted): void {
    this.announce({
      ...this.base,
      _tag: "StageEmitted",
      sequence: this.next,
      at: this.now,
      stage: planned.name,
      attempt,
      type,
      data
    })
  }

  /** Tells what the stage, or what is around it, announces: whatever that is. */
  stageAnnounced({ attempt, planned }: Announced, announcement: Announcement): void {
    const { base } = this
    const where = { stage: planned.name, attempt }
    // What is announced is an event but for what is added here.
    this.announce({ ...base, sequence: this.next, at: this.now, ...where, ...announcement } as Event)
  }

  /** The events and artifacts that came with an output. */
  contents(execution: Announced, artifacts: ReadonlyArray<Artifact>, events: ReadonlyArray<Emitted>): void {
    for (const emitted of events) {
      if (!isNote(emitted)) this.stageEmitted(execution, emitted)
    }
    for (const { payload, type } of artifacts) {
      this.announce({
        ...this.base,
        _tag: "ArtifactAdded",
        sequence: this.next,
        at: this.now,
        stage: execution.planned.name,
        attempt: execution.attempt,
        type,
        payload
      })
    }
  }
}
