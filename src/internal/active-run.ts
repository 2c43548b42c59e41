/**
 * The books of one run: which stage is where, what is ready, what came out, and whether the run is over.
 *
 * Synchronous and without fibers; `execute.ts` moves the fibers and asks here what to do. Every step costs what the
 * stage's own edges cost, never a pass over the graph.
 */
import * as Cause from "effect/Cause"
import type * as Clock from "effect/Clock"
import type * as Duration from "effect/Duration"
import type * as Exit from "effect/Exit"
import * as Result from "effect/Result"
import type { Outcome } from "../Interceptor.ts"
import type { AttemptEnd, Entry } from "../OutputBag.ts"
import type { Failure as StageFailure } from "../RunResult.ts"
import type { Current, RunIdentity } from "../Snapshot.ts"
import { Missing, type Reader } from "../Source.ts"
import type { Lineage } from "../StageContext.ts"
import { RetryExhausted } from "../StageError.ts"
import { type Artifact, okUnsafe, type Settled, settle, skipBecause } from "../StageOutput.ts"
import { StageExecution } from "./execution.ts"
import { immutable } from "./immutable.ts"
import { type Ending, endingOfExit, Failure, returnedFail, wiringFailed } from "./outcome.ts"
import type { Plan, PlannedStage } from "./plan.ts"
import { errorOfExit, summaryOf, type Telling } from "./telling.ts"

/** Where a stage is. */
export type Status =
  | "pending"
  | "running"
  | "ok"
  | "skipped"
  | "cancelled"
  | "failed"
  | "blocked"
  | "interrupted"
  | "abandoned"

/** Why a run ends before every stage has ended. */
export type Stop =
  | { readonly _tag: "Failed"; readonly failure: StageFailure<unknown> }
  | {
    readonly _tag: "Cancelled"
    readonly by: string | undefined
    readonly reason: string
    readonly data: Readonly<Record<string, unknown>>
  }
  | { readonly _tag: "Interrupted" }

/** Picks one of `count` ready stages. */
export type Pick = (count: number) => number

const nanosPerMilli = 1_000_000

export interface Settings {
  readonly continueAfterFailure: boolean
  readonly pick: Pick | undefined
}

export class ActiveRun implements Reader {
  readonly plan: Plan
  readonly snapshot: Current
  readonly identity: RunIdentity
  readonly lineage: Lineage
  /** Who is told; `undefined` when nobody listens, so that nothing is built for nobody. */
  readonly telling: Telling | undefined
  readonly outputs: Array<Settled | undefined>
  readonly statuses: Array<Status>
  readonly failures: Array<StageFailure<unknown>> = []
  /** What went wrong while the run was being stopped. */
  readonly troubles: Array<Cause.Cause<unknown>> = []
  readonly running = new Set<StageExecution>()
  stop: Stop | undefined = undefined
  /** Set when the run has its result: whatever an abandoned stage still does is no part of it. */
  closed = false

  private readonly settings: Settings
  private readonly clock: Clock.Clock
  private readonly startedNanos: bigint
  private readonly waitsFor: Int32Array
  /** Every stage passes through here once: a queue in an array of its final size. */
  private readonly ready: Int32Array
  private readyFrom = 0
  private readyTo = 0
  private left: number
  private readonly blockedBy = new Map<number, string>()
  private readonly entries: Array<Entry> = []

  constructor(
    plan: Plan,
    snapshot: Current,
    identity: RunIdentity,
    lineage: Lineage,
    telling: Telling | undefined,
    clock: Clock.Clock,
    settings: Settings
  ) {
    const count = plan.stages.length
    this.plan = plan
    this.snapshot = snapshot
    this.identity = identity
    this.lineage = lineage
    this.telling = telling
    this.clock = clock
    this.settings = settings
    this.startedNanos = clock.monotonicTimeNanosUnsafe()
    this.outputs = Array.from({ length: count }, () => undefined)
    this.statuses = Array.from({ length: count }, () => "pending")
    this.waitsFor = Int32Array.from(plan.inDegree)
    this.ready = new Int32Array(count)
    this.left = count
    for (let index = 0; index < count; index++) {
      if (this.waitsFor[index] === 0) this.ready[this.readyTo++] = index
    }
  }

  elapsedMs(): number {
    return Number(this.clock.monotonicTimeNanosUnsafe() - this.startedNanos) / nanosPerMilli
  }

  /** Nothing is left to start: every stage has ended, or the run is being stopped. */
  get isOver(): boolean {
    return this.left === 0 || this.stop !== undefined
  }

  get hasReady(): boolean {
    return this.readyFrom < this.readyTo && this.stop === undefined
  }

  /** A source asks for the output of a stage that has ended: everything it uses is among its dependencies. */
  outputOf(name: string): Settled {
    return this.outputs[this.plan.indexOf.get(name) as number] as Settled
  }

  /** The next stage that really has to run. Stages that end without running are settled on the way. */
  next(): StageExecution | undefined {
    while (this.hasReady) {
      const planned = this.plan.stages[this.takeReady()] as PlannedStage
      const input = this.prepare(planned)
      if (input !== nothingToRun) return this.start(planned, input)
    }
    return undefined
  }

  private takeReady(): number {
    const { ready, settings: { pick } } = this
    const first = this.readyFrom++
    if (pick === undefined) return ready[first] as number
    const chosen = first + pick(this.readyTo - first)
    const index = ready[chosen] as number
    ready[chosen] = ready[first] as number
    return index
  }

  /** What the stage's wiring reads for it, or nothing when the wiring ended it. */
  private prepare(planned: PlannedStage): unknown {
    if (this.failures.length > 0) {
      const by = this.blockerOf(planned)
      if (by !== undefined) return this.block(planned, by)
    }
    if (planned.when !== undefined) {
      const decided = this.read(planned, "when", planned.when)
      if (decided instanceof Failure) return this.failWiring(planned, decided)
      if (decided instanceof Missing) return this.skip(planned, decided.stage, decided.reason)
      if (decided !== true) return this.skip(planned, undefined, "its condition did not hold")
    }
    if (planned.inputs === undefined) return undefined
    const inputs = this.read(planned, "inputs", planned.inputs)
    if (inputs instanceof Failure) return this.failWiring(planned, inputs)
    if (inputs instanceof Missing) return this.skip(planned, inputs.stage, inputs.reason)
    return Object.freeze(inputs)
  }

  private read(planned: PlannedStage, part: "when" | "inputs", read: (reader: Reader) => unknown): unknown {
    const result = Result.try(() => read(this))
    return Result.isSuccess(result) ? result.success : wiringFailed(planned.name, part, result.failure)
  }

  /** The failed stage that blocks this one: the first in its wiring, whichever failed first. */
  private blockerOf(planned: PlannedStage): string | undefined {
    for (const dependency of planned.dependencies) {
      if (this.statuses[dependency] === "failed") return (this.plan.stages[dependency] as PlannedStage).name
      if (this.statuses[dependency] === "blocked") return this.blockedBy.get(dependency)
    }
    return undefined
  }

  private block(planned: PlannedStage, by: string): typeof nothingToRun {
    this.statuses[planned.index] = "blocked"
    this.blockedBy.set(planned.index, by)
    this.telling?.stageBlocked(planned, by)
    this.release(planned)
    return nothingToRun
  }

  private skip(planned: PlannedStage, origin: string | undefined, reason: string): typeof nothingToRun {
    this.statuses[planned.index] = "skipped"
    this.outputs[planned.index] = Object.freeze(skipBecause(origin, reason))
    this.telling?.stageNeverRan(planned, reason)
    this.release(planned)
    return nothingToRun
  }

  private failWiring(planned: PlannedStage, failure: Failure): typeof nothingToRun {
    this.telling?.stageWiringFailed(planned, failure.error)
    this.fail(planned, failure, 0)
    return nothingToRun
  }

  private start(planned: PlannedStage, input: unknown): StageExecution {
    const execution = new StageExecution(this, planned, input, this.elapsedMs(), undefined)
    this.statuses[planned.index] = "running"
    this.running.add(execution)
    this.telling?.stageStarted(execution)
    return execution
  }

  /** A stage's Effect ended. */
  end(first: StageExecution, exit: Exit.Exit<unknown, unknown>): void {
    if (this.closed) return
    const execution = first.latest
    this.running.delete(first)
    if (this.stop !== undefined && exit._tag === "Failure" && Cause.hasInterrupts(exit.cause)) {
      return this.endInterrupted(execution, exit.cause)
    }
    this.endWith(execution, endingOfExit(first.planned.name, exit))
  }

  private endWith(execution: StageExecution, ending: Ending): void {
    switch (ending._tag) {
      case "Ok":
      case "Skip":
      case "Cancel":
        return this.endSettled(execution, ending)
      case "Retry": {
        const { name } = execution.planned
        const error = new RetryExhausted({ stage: name, attempts: execution.attempt, reason: ending.reason })
        return this.endFailed(execution, new Failure(error, Cause.fail(error)))
      }
      case "Failure":
        return this.endFailed(execution, ending)
    }
  }

  private endSettled(execution: StageExecution, outcome: Settled): void {
    const { planned } = execution
    const now = this.elapsedMs()
    const output = this.settled(outcome, execution.artifacts, now - execution.first.startedMs)
    this.outputs[planned.index] = output
    this.record(execution, now, { _tag: "Settled", output })
    this.telling?.stageSettled(execution, output, now - execution.first.startedMs)
    if (output._tag === "Cancel") {
      this.statuses[planned.index] = "cancelled"
      this.left--
      this.stop ??= { _tag: "Cancelled", by: planned.name, reason: output.reason, data: output.data }
      return
    }
    this.statuses[planned.index] = output._tag === "Ok" ? "ok" : "skipped"
    this.release(planned)
  }

  /** The output as everybody will see it: immutable, with what the engine knows of it. */
  private settled(outcome: Settled, added: ReadonlyArray<Artifact> | undefined, durationMs: number): Settled {
    const all = added === undefined ? outcome.artifacts : [...outcome.artifacts, ...added]
    const artifacts = all.length === 0 ? all : immutable(all)
    const events = outcome.events.length === 0 ? outcome.events : immutable(outcome.events)
    return Object.freeze(
      outcome._tag === "Ok"
        ? okUnsafe(immutable(outcome.data), artifacts, events, outcome.version, durationMs)
        : settle(outcome, { data: immutable(outcome.data), artifacts, events, durationMs })
    )
  }

  private endFailed(execution: StageExecution, failure: Failure): void {
    const now = this.elapsedMs()
    const returned = returnedFail(failure.cause)
    if (this.telling !== undefined) {
      const artifacts = [...returned?.artifacts ?? [], ...execution.artifacts ?? []]
      this.telling.contents(execution, artifacts, returned?.events ?? [])
      this.telling.stageFailed(execution, failure.error, now - execution.first.startedMs)
    }
    this.record(execution, now, { _tag: "Failed", error: summaryOf(failure.error) })
    this.fail(execution.planned, failure, execution.attempt)
  }

  private fail(planned: PlannedStage, { cause, error }: Failure, attempts: number): void {
    const failure: StageFailure<unknown> = {
      stage: planned.name,
      error: error as StageFailure<unknown>["error"],
      attempts,
      cause,
      data: immutable(returnedFail(cause)?.data ?? {})
    }
    this.statuses[planned.index] = "failed"
    this.failures.push(failure)
    if (this.settings.continueAfterFailure) {
      this.release(planned)
      return
    }
    this.left--
    if (this.stop === undefined) this.stop = { _tag: "Failed", failure }
    else this.troubles.push(cause)
  }

  private endInterrupted(execution: StageExecution, cause: Cause.Cause<unknown>): void {
    const now = this.elapsedMs()
    this.statuses[execution.planned.index] = "interrupted"
    this.left--
    this.record(execution, now, { _tag: "Interrupted", abandoned: false })
    this.telling?.stageInterrupted(execution, now - execution.first.startedMs, false)
    const reasons = cause.reasons.filter((reason) => !Cause.isInterruptReason(reason))
    if (reasons.length > 0) this.troubles.push(Cause.fromReasons(reasons))
  }

  /** The stages that outlived the grace: the run ends without them. */
  abandonRunning(): void {
    const now = this.elapsedMs()
    for (const first of this.running) {
      const execution = first.latest
      this.statuses[execution.planned.index] = "abandoned"
      this.left--
      this.record(execution, now, { _tag: "Interrupted", abandoned: true })
      this.telling?.stageInterrupted(execution, now - first.startedMs, true)
    }
    this.running.clear()
  }

  /** An attempt ended, and a policy granted another. */
  attemptEnded(execution: StageExecution, exit: Exit.Exit<Outcome, unknown>, delay: Duration.Duration): void {
    if (this.closed) return
    const error = errorOfExit(exit)
    const reason = exit._tag === "Success" && exit.value._tag === "Retry" ? exit.value.reason : ""
    const end: AttemptEnd = error === undefined ? { _tag: "RetryRequested", reason } : { _tag: "Failed", error }
    this.record(execution, this.elapsedMs(), end)
    this.telling?.stageRetrying(execution, exit, delay)
  }

  private release(planned: PlannedStage): void {
    this.left--
    const { ready, waitsFor } = this
    for (const successor of planned.successors) {
      const waits = (waitsFor[successor] as number) - 1
      waitsFor[successor] = waits
      if (waits === 0) ready[this.readyTo++] = successor
    }
  }

  private record(execution: StageExecution, endedMs: number, end: AttemptEnd): void {
    const { attempt, planned, startedMs } = execution
    this.entries.push({ stage: planned.name, attempt, end, startedMs, endedMs })
  }

  get bag(): ReadonlyArray<Entry> {
    return this.entries
  }

  /** The names of the stages that are in one of these states, in the order of the pipeline. */
  namesOf(...wanted: ReadonlyArray<Status>): ReadonlyArray<string> {
    return this.plan.stages.filter(({ index }) => wanted.includes(this.statuses[index] as Status))
      .map(({ name }) => name)
  }
}

const nothingToRun = Symbol("stageflow/nothingToRun")
