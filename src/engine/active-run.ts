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
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import {
  type Ending,
  endingOfExit,
  Failure,
  isLiteral,
  returnedFail,
  unreadable,
  wiringFailed
} from "../attempt/outcome.ts"
import type { Outcome } from "../Interceptor.ts"
import { immutable } from "../internal/immutable.ts"
import { define } from "../internal/record.ts"
import type { AttemptEnd, Entry } from "../OutputBag.ts"
import type { Failure as StageFailure } from "../RunResult.ts"
import type { Current, RunIdentity } from "../Snapshot.ts"
import { Missing, missing, type Reader, some } from "../Source.ts"
import type { Lineage } from "../StageContext.ts"
import { RetryExhausted } from "../StageError.ts"
import { type Artifact, noItems, okUnsafe, settle, type Settled, type Skip, skipBecause } from "../StageOutput.ts"
import { errorOfExit, summaryOf, type Telling } from "./announcer.ts"
import type { Plan, PlannedStage } from "./compile.ts"
import { Journal } from "./journal.ts"
import { StageExecution } from "./stage-execution.ts"

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

// `Array.from` with a function costs ten times as much.
const filled = <A>(count: number, value: A): Array<A> => Array<A>(count).fill(value)

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
  /** The data of the outputs that have data, within reach of the stages that read it by name. */
  private readonly data: Array<object | undefined>
  readonly failures: Array<StageFailure<unknown>> = []
  /** What went wrong while the run was being stopped. */
  readonly troubles: Array<Cause.Cause<unknown>> = []
  /** The first attempt of each stage that is running. */
  private readonly executions: Array<StageExecution | undefined>
  private readonly journal: Journal
  stop: Stop | undefined = undefined
  /** Set when the run has its result: whatever an abandoned stage still does is no part of it. */
  closed = false

  private readonly settings: Settings
  private readonly clock: Clock.Clock
  private readonly startedNanos: bigint
  /** The time at which a stage just ended, for the stage that its worker goes on with. */
  private justNow: number | undefined = undefined
  /** The stage that just ended, how and when: see `readEnded`. */
  private ended: StageExecution | undefined = undefined
  private endedWith: Exit.Exit<unknown, unknown> | undefined = undefined
  private endedMs = 0
  private readonly waitsFor: Int32Array
  /** Every stage passes through here once: a queue in an array of its final size. */
  private readonly ready: Int32Array
  private readyFrom = 0
  private readyTo = 0
  private left: number
  private readonly blockedBy = new Map<number, string>()

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
    this.outputs = filled(count, undefined)
    this.data = filled(count, undefined)
    this.statuses = filled(count, "pending")
    this.executions = filled(count, undefined)
    this.journal = new Journal(count)
    this.waitsFor = plan.inDegree.slice()
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
    this.justNow = undefined
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
      if (decided instanceof Missing) return this.skip(planned, decided.origin, decided.reason)
      if (decided !== true) return this.skip(planned, undefined, "its condition did not hold")
    }
    if (planned.InputsByName !== undefined) return this.readByName(planned, new planned.InputsByName())
    if (planned.inputs === undefined) return undefined
    const inputs = this.read(planned, "inputs", planned.inputs)
    if (inputs instanceof Failure) return this.failWiring(planned, inputs)
    if (inputs instanceof Missing) return this.skip(planned, inputs.origin, inputs.reason)
    return inputs
  }

  private read(planned: PlannedStage, part: "when" | "inputs", read: (reader: Reader) => unknown): unknown {
    const result = Result.try(() => read(this))
    return Result.isSuccess(result) ? result.success : wiringFailed(planned.name, part, result.failure)
  }

  private readByName(planned: PlannedStage, inputs: object): unknown {
    const { optional } = planned
    const { names, reads: { items, starts } } = this.plan
    const start = starts[planned.index] as number
    const end = starts[planned.index + 1] as number
    for (let at = start; at < end; at++) {
      const index = items[at] as number
      // No data is ever undefined: see `outcomeOfValue`.
      const data = this.data[index]
      const key = names[index] as string
      if (optional?.[at - start] === true) {
        define(inputs, key, data === undefined ? Option.none() : some(data))
      } else if (data === undefined) {
        const { origin, reason } = missing(key, this.outputs[index] as Skip)
        return this.skip(planned, origin, reason)
      } else {
        define(inputs, key, data)
      }
    }
    return inputs
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
    this.outputs[planned.index] = skipBecause(origin, reason)
    this.telling?.stageSkipped(planned, 0, reason, 0)
    this.release(planned)
    return nothingToRun
  }

  private failWiring(planned: PlannedStage, failure: Failure): typeof nothingToRun {
    this.telling?.stageFailed(planned, 0, failure.error, 0)
    this.fail(planned, failure, 0)
    return nothingToRun
  }

  private start(planned: PlannedStage, input: unknown): StageExecution {
    const execution = new StageExecution(this, planned, input, this.justNow ?? this.elapsedMs(), undefined)
    this.justNow = undefined
    this.statuses[planned.index] = "running"
    this.executions[planned.index] = execution
    this.telling?.stageStarted(execution)
    return execution
  }

  isRunning(first: StageExecution): boolean {
    return !this.closed && this.executions[first.planned.index] === first
  }

  /** A stage's Effect ended. */
  end(first: StageExecution, exit: Exit.Exit<unknown, unknown>): void {
    if (this.closed) return
    const execution = first.latest
    this.executions[first.planned.index] = undefined
    if (this.stop !== undefined && exit._tag === "Failure" && Cause.hasInterrupts(exit.cause)) {
      return this.endInterrupted(execution, exit.cause)
    }
    const now = this.elapsedMs()
    this.ended = execution
    this.endedWith = exit
    this.endedMs = now
    // What a stage gave is read here for the first time, and a getter or a Proxy in it can throw.
    const read = Result.try(this.readEnded)
    const ending = Result.isSuccess(read) ? read.success : unreadable(first.planned.name, read.failure)
    this.endWith(execution, ending, now)
  }

  /** How the stage that just ended ended. Made once for a run: a closure for every stage would cost more than the rest. */
  private readonly readEnded = (): Ending => {
    // `end` has just set both.
    const { artifacts, first: { startedMs }, planned: { name } } = this.ended as StageExecution
    const exit = this.endedWith as Exit.Exit<unknown, unknown>
    const durationMs = this.endedMs - startedMs
    // The common case, without an outcome on the way.
    if (exit._tag === "Success" && isLiteral(exit.value) && artifacts === undefined) {
      return okUnsafe(immutable(exit.value), noItems, noItems, undefined, durationMs)
    }
    return this.settled(endingOfExit(name, exit), artifacts, durationMs)
  }

  private endWith(execution: StageExecution, ending: Ending, now: number): void {
    switch (ending._tag) {
      case "Ok":
      case "Skip":
      case "Cancel":
        return this.endSettled(execution, ending, now)
      case "Retry": {
        const { name } = execution.planned
        const error = new RetryExhausted({ stage: name, attempts: execution.attempt, reason: ending.reason })
        return this.endFailed(execution, new Failure(error, Cause.fail(error)))
      }
      case "Failure":
        return this.endFailed(execution, ending)
    }
  }

  private endSettled(execution: StageExecution, output: Settled, now: number): void {
    const { planned } = execution
    this.justNow = now
    this.outputs[planned.index] = output
    this.journal.lastEnded(execution, now, undefined)
    this.telling?.stageSettled(execution, output, now - execution.first.startedMs)
    if (output._tag === "Cancel") {
      this.statuses[planned.index] = "cancelled"
      this.left--
      this.stop ??= { _tag: "Cancelled", by: planned.name, reason: output.reason, data: output.data }
      return
    }
    if (output._tag === "Ok") {
      this.statuses[planned.index] = "ok"
      this.data[planned.index] = output.data as object // see `outcomeOfValue`
    } else {
      this.statuses[planned.index] = "skipped"
    }
    this.release(planned)
  }

  /** The output as everybody will see it: immutable, with what the engine knows of it. Failures stay as they are. */
  private settled(ending: Ending, added: ReadonlyArray<Artifact> | undefined, durationMs: number): Ending {
    if (ending._tag === "Failure" || ending._tag === "Retry") return ending
    const all = added === undefined ? ending.artifacts : [...ending.artifacts, ...added]
    const artifacts = all.length === 0 ? all : immutable(all)
    const events = ending.events.length === 0 ? ending.events : immutable(ending.events)
    return ending._tag === "Ok"
      ? okUnsafe(immutable(ending.data), artifacts, events, ending.version, durationMs)
      : settle(ending, { data: immutable(ending.data), artifacts, events, durationMs })
  }

  private endFailed(execution: StageExecution, failure: Failure): void {
    const now = this.elapsedMs()
    const returned = returnedFail(failure.cause)
    if (this.telling !== undefined) {
      const artifacts = [...returned?.artifacts ?? [], ...execution.artifacts ?? []]
      this.telling.contents(execution, artifacts, returned?.events ?? [])
      this.telling.stageFailed(execution.planned, execution.attempt, failure.error, now - execution.first.startedMs)
    }
    this.journal.lastEnded(execution, now, { _tag: "Failed", error: summaryOf(failure.error) })
    this.fail(execution.planned, failure, execution.attempt)
  }

  private fail(planned: PlannedStage, { cause, error }: Failure, attempts: number): void {
    const failure: StageFailure<unknown> = {
      stage: planned.name,
      error: error as StageFailure<unknown>["error"],
      attempts,
      cause,
      // Data that cannot be read must not hide the failure it came with.
      data: Result.getOrElse(Result.try(() => immutable(returnedFail(cause)?.data ?? {})), () => ({}))
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
    this.journal.lastEnded(execution, now, { _tag: "Interrupted", abandoned: false })
    this.telling?.stageInterrupted(execution, now - execution.first.startedMs, false)
    const reasons = cause.reasons.filter((reason) => !Cause.isInterruptReason(reason))
    if (reasons.length > 0) this.troubles.push(Cause.fromReasons(reasons))
  }

  /** The stages that outlived the grace: the run ends without them. */
  abandonRunning(): void {
    const now = this.elapsedMs()
    for (const first of this.executions) {
      if (first === undefined) continue
      const execution = first.latest
      this.statuses[execution.planned.index] = "abandoned"
      this.left--
      this.journal.lastEnded(execution, now, { _tag: "Interrupted", abandoned: true })
      this.telling?.stageInterrupted(execution, now - first.startedMs, true)
    }
  }

  /** An attempt ended, and a policy granted another. */
  attemptEnded(execution: StageExecution, exit: Exit.Exit<Outcome, unknown>, delay: Duration.Duration): void {
    if (this.closed) return
    const error = errorOfExit(exit)
    const reason = exit._tag === "Success" && exit.value._tag === "Retry" ? exit.value.reason : ""
    const end: AttemptEnd = error === undefined ? { _tag: "RetryRequested", reason } : { _tag: "Failed", error }
    this.journal.earlierEnded(execution, this.elapsedMs(), end)
    this.telling?.stageRetrying(execution, exit, delay)
  }

  private release(planned: PlannedStage): void {
    this.left--
    const { plan: { successors: { items, starts } }, ready, waitsFor } = this
    const end = starts[planned.index + 1] as number
    for (let at = starts[planned.index] as number; at < end; at++) {
      const successor = items[at] as number
      const waits = (waitsFor[successor] as number) - 1
      waitsFor[successor] = waits
      if (waits === 0) ready[this.readyTo++] = successor
    }
  }

  /** Lays out the ended attempts, in the order in which they ended. It holds on to no more of the run than that takes. */
  get readEntries(): () => ReadonlyArray<Entry> {
    const { journal, outputs, plan: { names } } = this
    return () => journal.entries(names, outputs)
  }

  /** The names of the stages that are in one of these states, in the order of the pipeline. */
  namesOf(...wanted: ReadonlyArray<Status>): ReadonlyArray<string> {
    return this.plan.stages.filter(({ index }) => wanted.includes(this.statuses[index] as Status))
      .map(({ name }) => name)
  }
}

const nothingToRun = Symbol("stageflow/nothingToRun")
