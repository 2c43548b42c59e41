/**
 * Announces what happens in a run: builds its events, numbers them and hands them to whoever listens.
 */
import * as Cause from "effect/Cause"
import type * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Exit from "effect/Exit"
import { absurd } from "effect/Function"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import { errorSummaryOf, errorSummaryOfExit } from "../attempt/error-summary.ts"
import type { Outcome } from "../attempt/interceptor-model.ts"
import type { Event } from "../Event.ts"
import type { Artifact, Emitted, Settled } from "../internal/output-model.ts"
import { type RunResult, StageFailed } from "../RunResult.ts"
import type { Lineage } from "../StageContext.ts"
import { RunRejected } from "../StageError.ts"
import type { PlannedStage } from "./plan.ts"

export type Listener = (event: Event) => void

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
}

// Events are made as one object each: `base` is spread first, with a `_tag` that every event replaces, so that the tag
// is the first thing one sees of an event and nothing is made on the way.
export class Announcer {
  private readonly base: Base
  private readonly listeners: ReadonlyArray<Listener>
  private readonly clock: Clock.Clock
  private sequence = 0

  constructor(pipeline: string, lineage: Lineage, listeners: ReadonlyArray<Listener>, clock: Clock.Clock) {
    this.base = {
      _tag: "RunStarted",
      runId: lineage.runId,
      ...(lineage.parentRunId === undefined ? {} : { parentRunId: lineage.parentRunId }),
      ...(lineage.parentStage === undefined ? {} : { parentStage: lineage.parentStage }),
      correlationId: lineage.correlationId,
      pipeline
    }
    this.listeners = listeners
    this.clock = clock
  }

  private get next(): number {
    return ++this.sequence
  }

  private get now(): number {
    return this.clock.currentTimeMillisUnsafe()
  }

  private announce(event: Event): void {
    // An observer changes nothing, not even for another: what a listener throws ends here.
    if (this.listeners.length > 1) Object.freeze(event)
    for (const listener of this.listeners) Result.try(() => listener(event))
  }

  runStarted(stages: number): void {
    this.announce({ ...this.base, _tag: "RunStarted", sequence: this.next, at: this.now, stages })
  }

  /** The run is over, with all that was around it. `elapsedMs` is how long all of that took. */
  runEnded(exit: Exit.Exit<RunResult, unknown>, elapsedMs: number): void {
    if (exit._tag === "Success") return this.runGave(exit.value)
    const error = Option.getOrUndefined(Cause.findErrorOption(exit.cause))
    if (error instanceof StageFailed) return this.runFailed(error.durationMs, error.stage, error.error)
    if (error === undefined && Exit.hasInterrupts(exit)) return this.runInterrupted(elapsedMs)
    this.runRejected(elapsedMs, error ?? Cause.squash(exit.cause))
  }

  private runGave(result: RunResult): void {
    switch (result._tag) {
      case "Completed":
        return this.runCompleted(result.durationMs)
      case "Cancelled":
        return this.runCancelled(result.durationMs, result.by, result.reason)
      case "Incomplete":
        return this.runIncomplete(result.durationMs, [...result.failed], [...result.blocked])
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
  private runRejected(durationMs: number, error: unknown): void {
    const rejected = error instanceof RunRejected ? error : undefined
    this.announce({
      ...this.base,
      _tag: "RunRejected",
      sequence: this.next,
      at: this.now,
      durationMs,
      ...(rejected === undefined ? {} : { interceptor: rejected.interceptor }),
      error: errorSummaryOf(rejected?.error ?? error)
    })
  }
  private runInterrupted(durationMs: number): void {
    this.announce({ ...this.base, _tag: "RunInterrupted", sequence: this.next, at: this.now, durationMs })
  }

  stageStarted({ attempt, planned: { info, name } }: Announced): void {
    this.announce({
      ...this.base,
      _tag: "StageStarted",
      sequence: this.next,
      at: this.now,
      stage: name,
      attempt,
      kind: info.kind
    })
  }

  stageSettled(execution: Announced, output: Settled, durationMs: number): void {
    if (output.artifacts.length > 0 || output.events.length > 0) {
      this.contents(execution, output.artifacts, output.events)
    }
    switch (output._tag) {
      case "Ok":
        return this.stageCompleted(execution, output.version, durationMs)
      case "Skip":
        return this.stageSkipped(execution.planned, execution.attempt, output.reason, durationMs)
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
  stageSkipped({ name }: PlannedStage, attempt: number, reason: string, durationMs: number): void {
    this.announce({
      ...this.base,
      _tag: "StageSkipped",
      sequence: this.next,
      at: this.now,
      stage: name,
      attempt,
      durationMs,
      reason
    })
  }

  /** `attempt` is 0 for a stage whose wiring failed before it started. */
  stageFailed({ name }: PlannedStage, attempt: number, error: unknown, durationMs: number): void {
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

  /** The events and artifacts that came with an output. */
  contents(execution: Announced, artifacts: ReadonlyArray<Artifact>, events: ReadonlyArray<Emitted>): void {
    for (const emitted of events) this.stageEmitted(execution, emitted)
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
