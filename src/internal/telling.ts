/**
 * The telling side of a run: builds its events, numbers them and hands them to whoever listens.
 */
import * as Cause from "effect/Cause"
import type * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import type * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import type { ErrorSummary, Event } from "../Event.ts"
import type { Outcome } from "../Interceptor.ts"
import type { Lineage } from "../StageContext.ts"
import type { Artifact, Emitted, Settled } from "../StageOutput.ts"
import type { StageExecution } from "./execution.ts"
import type { PlannedStage } from "./plan.ts"

export type Listener = (event: Event) => void

/** An error as an event shows it. Only what the error itself says of it: never a cause, never its fields. */
export const summaryOf = (error: unknown): ErrorSummary => {
  if (typeof error !== "object" || error === null) return { tag: typeof error, message: "" }
  const text = (key: string): string | undefined => {
    const value: unknown = Reflect.get(error, key)
    return typeof value === "string" ? value : undefined
  }
  const code = text("code")
  return {
    tag: text("_tag") ?? text("name") ?? "Error",
    ...(code === undefined ? {} : { code }),
    message: text("message") ?? ""
  }
}

/** What an attempt that is tried again ended with. */
export const errorOfExit = (exit: Exit.Exit<Outcome, unknown>): ErrorSummary | undefined =>
  exit._tag === "Success" ? undefined : summaryOf(Option.getOrElse(
    Cause.findErrorOption(exit.cause),
    () => Cause.squash(exit.cause)
  ))

export class Telling {
  private readonly base: Pick<Event, "runId" | "parentRunId" | "parentStage" | "correlationId" | "pipeline">
  private readonly listeners: ReadonlyArray<Listener>
  private readonly clock: Clock.Clock
  private sequence = 0

  constructor(pipeline: string, lineage: Lineage, listeners: ReadonlyArray<Listener>, clock: Clock.Clock) {
    this.base = {
      runId: lineage.runId,
      ...(lineage.parentRunId === undefined ? {} : { parentRunId: lineage.parentRunId }),
      ...(lineage.parentStage === undefined ? {} : { parentStage: lineage.parentStage }),
      correlationId: lineage.correlationId,
      pipeline
    }
    this.listeners = listeners
    this.clock = clock
  }

  private envelope() {
    return { ...this.base, sequence: ++this.sequence, at: this.clock.currentTimeMillisUnsafe() }
  }

  private stage(execution: StageExecution) {
    return { ...this.envelope(), stage: execution.planned.name, attempt: execution.attempt }
  }

  private neverStarted(planned: PlannedStage) {
    return { ...this.envelope(), stage: planned.name, attempt: 0 }
  }

  private tell(event: Event): void {
    // An observer changes nothing: what a listener throws ends here.
    for (const listener of this.listeners) Result.try(() => listener(event))
  }

  runStarted(stages: number): void {
    this.tell({ _tag: "RunStarted", ...this.envelope(), stages })
  }
  runCompleted(durationMs: number): void {
    this.tell({ _tag: "RunCompleted", ...this.envelope(), durationMs })
  }
  runCancelled(durationMs: number, by: string | undefined, reason: string): void {
    this.tell({ _tag: "RunCancelled", ...this.envelope(), durationMs, ...(by === undefined ? {} : { by }), reason })
  }
  runFailed(durationMs: number, stage: string, error: unknown): void {
    this.tell({ _tag: "RunFailed", ...this.envelope(), durationMs, stage, error: summaryOf(error) })
  }
  runIncomplete(durationMs: number, failed: ReadonlyArray<string>, blocked: ReadonlyArray<string>): void {
    this.tell({ _tag: "RunIncomplete", ...this.envelope(), durationMs, failed, blocked })
  }
  runInterrupted(durationMs: number): void {
    this.tell({ _tag: "RunInterrupted", ...this.envelope(), durationMs })
  }

  stageStarted(execution: StageExecution): void {
    this.tell({ _tag: "StageStarted", ...this.stage(execution), kind: execution.planned.info.kind })
  }
  stageSettled(execution: StageExecution, output: Settled, durationMs: number): void {
    this.contents(execution, output.artifacts, output.events)
    switch (output._tag) {
      case "Ok":
        return this.tell({
          _tag: "StageCompleted",
          ...this.stage(execution),
          durationMs,
          ...(output.version === undefined ? {} : { version: output.version })
        })
      case "Skip":
        return this.tell({ _tag: "StageSkipped", ...this.stage(execution), durationMs, reason: output.reason })
      case "Cancel":
        return this.tell({ _tag: "StageCancelled", ...this.stage(execution), durationMs, reason: output.reason })
    }
  }
  stageFailed(execution: StageExecution, error: unknown, durationMs: number): void {
    this.tell({ _tag: "StageFailed", ...this.stage(execution), durationMs, error: summaryOf(error) })
  }
  stageInterrupted(execution: StageExecution, durationMs: number, abandoned: boolean): void {
    this.tell({ _tag: "StageInterrupted", ...this.stage(execution), durationMs, abandoned })
  }
  stageNeverRan(planned: PlannedStage, reason: string): void {
    this.tell({ _tag: "StageSkipped", ...this.neverStarted(planned), durationMs: 0, reason })
  }
  stageBlocked(planned: PlannedStage, by: string): void {
    this.tell({ _tag: "StageBlocked", ...this.neverStarted(planned), by })
  }
  stageWiringFailed(planned: PlannedStage, error: unknown): void {
    this.tell({ _tag: "StageFailed", ...this.neverStarted(planned), durationMs: 0, error: summaryOf(error) })
  }
  stageRetrying(execution: StageExecution, exit: Exit.Exit<Outcome, unknown>, delay: Duration.Duration): void {
    const error = errorOfExit(exit)
    const reason = exit._tag === "Success" && exit.value._tag === "Retry" ? exit.value.reason : undefined
    this.tell({
      _tag: "StageRetrying",
      ...this.stage(execution),
      delayMs: Duration.toMillis(delay),
      ...(error === undefined ? {} : { error }),
      ...(reason === undefined ? {} : { reason })
    })
  }
  stageEmitted(execution: StageExecution, type: string, data: unknown): void {
    this.tell({ _tag: "StageEmitted", ...this.stage(execution), type, data })
  }
  contents(execution: StageExecution, artifacts: ReadonlyArray<Artifact>, events: ReadonlyArray<Emitted>): void {
    for (const { data, type } of events) this.stageEmitted(execution, type, data)
    for (const { payload, type } of artifacts) {
      this.tell({ _tag: "ArtifactAdded", ...this.stage(execution), type, payload })
    }
  }
}
