/**
 * Keeps the state of one run: which stage is where, what is ready, what came out, and whether the run is over.
 *
 * Synchronous and without fibers; the conductor moves the fibers and asks here what to do. Every step costs what the
 * stage's own edges cost, never a pass over the graph.
 */
import * as Cause from "effect/Cause"
import type * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import type * as Exit from "effect/Exit"
import { absurd } from "effect/Function"
import * as Result from "effect/Result"
import type { Compensation } from "../attempt/compensation.ts"
import { errorSummaryOf, errorSummaryOfExit } from "../attempt/error-summary.ts"
import type { Outcome } from "../attempt/interceptor-model.ts"
import { isNote } from "../attempt/note.ts"
import {
  type Ending,
  endingOfExit,
  type FailedEnding,
  failedEnding,
  isLiteral,
  returnedFail,
  unreadable
} from "../attempt/outcome.ts"
import type { Settlement } from "../internal/chunk-channel.ts"
import { immutable } from "../internal/immutable.ts"
import {
  type Artifact,
  changedOk,
  changedSignal,
  type Emitted,
  noItems,
  plainOk,
  type Settled,
  type Skip
} from "../internal/output-model.ts"
import type { Current, RunIdentity } from "../internal/snapshot-model.ts"
import type { AttemptEnd, Entry } from "../OutputBag.ts"
import type { StageStatus } from "../Run.ts"
import type { Failure } from "../RunResult.ts"
import type { Progress } from "../StageContext.ts"
import { RetryExhausted } from "../StageError.ts"
import type { Announcer } from "./announcer.ts"
import { readArtifact, readEmitted } from "./handed-over.ts"
import { Journal } from "./journal.ts"
import type { PackedLists } from "./packed-lists.ts"
import type { Plan, PlannedStage } from "./plan.ts"
import { PriorityQueue } from "./priority-queue.ts"
import type { Pick } from "./ready-order.ts"
import { ReadyQueue, type ReadyStages } from "./ready-queue.ts"
import type { RunRecord } from "./run-record.ts"
import { type OutsideReader, RunStreams, settlementOf } from "./run-streams.ts"
import { type RunOfStage, StageExecution } from "./stage-execution.ts"
import { NoStart, StageInputs } from "./stage-inputs.ts"
import { StageInterruption } from "./stage-interruption.ts"
import { GroupedQueue, StreamingQueue, type StreamingStages } from "./streaming-queue.ts"

/** Why a run ends before every stage has ended. */
export type Stop =
  | { readonly _tag: "Failed"; readonly failure: Failure<unknown> }
  | {
    readonly _tag: "Cancelled"
    readonly by: string | undefined
    readonly reason: string
    readonly data: Readonly<Record<string, unknown>>
  }
  | { readonly _tag: "Interrupted" }

const nanosPerMilli = 1_000_000

// `Array.from` with a function costs ten times as much.
const filled = <A>(count: number, value: A): Array<A> => Array<A>(count).fill(value)

/** Stages that the caller interrupts, by index: where they were. */
export interface InterruptedPart {
  readonly running: ReadonlyArray<readonly [index: number, interruption: StageInterruption]>
  readonly pending: ReadonlyArray<number>
  readonly ended: ReadonlyArray<number>
}

/** What the caller of a run decides. */
export interface RunPolicy {
  readonly continueAfterFailure: boolean
  readonly pick: Pick | undefined
  /** Whether stages wait for others to end though nothing of theirs is missing. */
  readonly isLimited: boolean
  /** Who reads streams besides the stages. */
  readonly readers: ReadonlyArray<OutsideReader>
}

export class ActiveRun implements RunOfStage {
  readonly plan: Plan
  readonly snapshot: Current
  readonly identity: RunIdentity
  readonly record: RunRecord
  readonly requestId: string | undefined
  readonly parent: StageExecution | undefined
  /** `undefined` when nobody listens, so that nothing is built for nobody. */
  readonly announcer: Announcer | undefined
  readonly outputs: Array<Settled | undefined>
  readonly statuses: Array<StageStatus>
  readonly failures: Array<Failure<unknown>> = []
  /** What went wrong while the run was being stopped. */
  readonly failuresWhileStopping: Array<Cause.Cause<unknown>> = []
  stop: Stop | undefined = undefined
  /**
   * Woken when the caller cancels the run or ends stages that had not started, and told which running stage is interrupted.
   * It is an object: V8 keeps a function that is put into a field, and with it the run and all its outputs, until the next
   * full garbage collection.
   */
  conductor: { wake(): void; interrupt(execution: StageExecution): void } | undefined = undefined
  /** The stages that the caller has interrupted, by index. */
  interruptions: Map<number, StageInterruption> | undefined = undefined
  /** What was taken back of what the stages had done. */
  compensation: Compensation | undefined = undefined
  /** Set when no stage is waited for any more: whatever an abandoned stage still does is no part of it. */
  isSettled = false
  /** How far the stages have come that said so, by index; `undefined` while none has. */
  progress: Map<number, Progress> | undefined = undefined

  /** The data of the outputs that have data. */
  private readonly data: Array<object | undefined>
  /** The first attempt of each stage that is running. */
  private readonly executions: Array<StageExecution | undefined>
  private readonly journal: Journal
  private readonly policy: RunPolicy
  private readonly clock: Clock.Clock
  private readonly startedNanos: bigint
  private readonly ready: ReadyStages
  /** The same, of a pipeline whose stages read the streams of others. */
  readonly streaming: StreamingStages | undefined
  /** The streams of the run, once one was asked for. */
  streams: RunStreams | undefined = undefined
  /** Whether it has either: most runs have not, and are told apart from others with one look. */
  private hasStreams: boolean
  /** What the stages gave, within reach of whoever reads it. */
  readonly inputs: StageInputs
  /** How many stages have not ended. */
  private left: number
  private readonly blockedBy = new Map<number, string>()
  /** The time at which a stage just ended, for the stage that its worker goes on with. */
  private justNow: number | undefined = undefined
  /** When the stages ended, where stages may have to wait for a place and somebody wants to know. */
  private readonly endedAt: Float64Array | undefined
  /** When stages were ready last that the limit did not let start. */
  private limitedAt = Number.NEGATIVE_INFINITY

  constructor(
    plan: Plan,
    snapshot: Current,
    identity: RunIdentity,
    record: RunRecord,
    requestId: string | undefined,
    parent: StageExecution | undefined,
    announcer: Announcer | undefined,
    clock: Clock.Clock,
    policy: RunPolicy
  ) {
    const count = plan.stages.length
    this.plan = plan
    this.snapshot = snapshot
    this.identity = identity
    this.record = record
    this.requestId = requestId
    this.parent = parent
    this.announcer = announcer
    this.clock = clock
    this.policy = policy
    this.startedNanos = clock.monotonicTimeNanosUnsafe()
    this.outputs = filled(count, undefined)
    this.data = filled(count, undefined)
    this.statuses = filled(count, "pending")
    this.executions = filled(count, undefined)
    this.journal = new Journal(count)
    this.streaming = streamingQueueOf(plan, policy)
    this.hasStreams = this.streaming !== undefined
    this.ready = this.streaming ?? queueOf(plan, plan, policy)
    this.inputs = new StageInputs(plan, snapshot, this.outputs, this.data, this)
    this.left = count
    this.endedAt = policy.isLimited && announcer !== undefined ? new Float64Array(count) : undefined
    if (policy.readers.length > 0) this.streamsNow()
  }

  elapsedMs(): number {
    return Number(this.clock.monotonicTimeNanosUnsafe() - this.startedNanos) / nanosPerMilli
  }

  /** Nothing is left to start: every stage has ended, or the run is being stopped. */
  get isOver(): boolean {
    return this.left === 0 || this.stop !== undefined
  }

  /** The streams of the run. */
  streamsNow(): RunStreams {
    this.hasStreams = true
    return this.streams ??= new RunStreams(this, this.policy.readers)
  }

  /** The stream of a stage begins. */
  streamOpened(index: number): void {
    if (this.streaming === undefined) return
    this.streaming.opened(index)
    // The stage is in the middle of its steps.
    queueMicrotask(() => this.conductor?.wake())
  }

  get hasReady(): boolean {
    return !this.ready.isEmpty && this.stop === undefined
  }

  isRunning(first: StageExecution): boolean {
    return !this.isSettled && this.executions[first.planned.index] === first
  }

  progressed({ index }: PlannedStage, progress: Progress): void {
    ;(this.progress ??= new Map()).set(index, progress)
  }

  // -------------------------------------------------------------------------------------------------------------------
  // starting stages
  // -------------------------------------------------------------------------------------------------------------------

  /** The next stage that really has to run. Stages that end without running are settled on the way. */
  next(): StageExecution | undefined {
    while (this.hasReady) {
      const planned = this.plan.stages[this.ready.take()] as PlannedStage
      if (this.mayNotStart(planned)) continue
      const input = this.inputs.of(planned)
      if (!(input instanceof NoStart)) return this.start(planned, input)
      this.endWithoutStart(planned, input.ending)
    }
    this.justNow = undefined
    return undefined
  }

  private start(planned: PlannedStage, input: unknown): StageExecution {
    const execution = new StageExecution(this, planned, input, this.justNow ?? this.elapsedMs())
    this.justNow = undefined
    this.statuses[planned.index] = "running"
    this.executions[planned.index] = execution
    if (this.hasStreams) {
      this.streaming?.started(planned.index)
      this.streams?.started(planned.index)
    }
    this.announcer?.stageStarted(execution, this.queuedMs(execution))
    return execution
  }

  /** As many stages as may are running, and others are ready. */
  reachLimit(): void {
    if (this.endedAt !== undefined) this.limitedAt = this.elapsedMs()
  }

  /** How long a stage was ready before it started, where the limit made it wait. */
  private queuedMs({ planned, startedMs }: StageExecution): number | undefined {
    const { endedAt } = this
    if (endedAt === undefined) return undefined
    let readyAt = 0
    for (const dependency of planned.dependencies) readyAt = Math.max(readyAt, endedAt[dependency] as number)
    return this.limitedAt >= readyAt && startedMs > readyAt ? startedMs - readyAt : undefined
  }

  /** Ends a stage that is ready and must not start; says whether it is one. */
  private mayNotStart(planned: PlannedStage): boolean {
    if (this.failures.length === 0 && this.interruptions === undefined) return false
    // It was interrupted before it was ready.
    if (this.statuses[planned.index] !== "pending") return true
    const blocker = this.blockerOf(planned)
    if (blocker !== undefined) this.block(planned, blocker)
    else if (!this.endInterruptedBefore(planned)) return false
    return true
  }

  private endInterruptedBefore(planned: PlannedStage): boolean {
    const ending = this.interruptions?.get(planned.index)?.endingOf(planned.name, undefined)
    if (ending !== undefined) this.endWithoutStart(planned, ending)
    return ending !== undefined
  }

  /** The failed stage that blocks this one: the first in its wiring, whichever failed first. */
  private blockerOf(planned: PlannedStage): string | undefined {
    for (const dependency of planned.dependencies) {
      if (planned.goesOnWithout?.has(dependency) === true) continue
      if (this.statuses[dependency] === "failed") return this.plan.names[dependency]
      if (this.statuses[dependency] === "blocked") return this.blockedBy.get(dependency)
    }
    return undefined
  }

  private block(planned: PlannedStage, by: string): void {
    this.statuses[planned.index] = "blocked"
    this.blockedBy.set(planned.index, by)
    this.streamEnds(planned, undefined)
    this.announcer?.stageBlocked(planned, by)
    this.release(planned)
  }

  private endWithoutStart(planned: PlannedStage, ending: Skip | FailedEnding): void {
    if (ending._tag === "Failed") {
      this.announcer?.stageFailed(planned, 0, ending.error, 0)
      return this.fail(planned, ending, 0)
    }
    this.statuses[planned.index] = "skipped"
    this.outputs[planned.index] = ending
    if (this.hasStreams) this.streamEnds(planned, settlementOf(ending))
    this.announcer?.stageSkipped(planned, 0, ending, 0)
    this.release(planned)
  }

  // -------------------------------------------------------------------------------------------------------------------
  // ending stages
  // -------------------------------------------------------------------------------------------------------------------

  /** A stage's Effect ended. */
  end(first: StageExecution, exit: Exit.Exit<unknown, unknown>): void {
    if (!this.isRunning(first)) return
    const execution = first.latest
    this.executions[first.planned.index] = undefined
    if (this.hasStreams) this.streaming?.ended(first.planned.index)
    if (exit._tag === "Failure" && Cause.hasInterrupts(exit.cause)) {
      if (this.stop !== undefined) return this.endInterrupted(execution, exit.cause)
      const interruption = this.interruptions?.get(first.planned.index)
      if (interruption !== undefined && first.hasLeftBehind) interruption.isAbandoned = true
      const ending = interruption?.endingOf(first.planned.name, exit.cause)
      if (ending !== undefined) return this.endFailed(execution, ending)
    }
    const now = this.elapsedMs()
    // What a stage gave is read here for the first time, and a getter or a Proxy in it can throw.
    const read = Result.try(() => endingOf(execution, exit, now - first.startedMs))
    const ending = Result.isSuccess(read) ? read.success : unreadable(first.planned.name, read.failure)
    switch (ending._tag) {
      case "Ok":
      case "Skip":
      case "Cancel":
        return this.endSettled(execution, ending, now)
      case "Retry": {
        const { name } = execution.planned
        const error = new RetryExhausted({ stage: name, attempts: execution.attempt, reason: ending.reason })
        return this.endFailed(execution, failedEnding(error))
      }
      case "Failed":
        return this.endFailed(execution, ending)
      default:
        return absurd(ending)
    }
  }

  private endSettled(execution: StageExecution, output: Settled, now: number): void {
    const { planned } = execution
    // Where it is told of, telling takes time, and that is not the next stage's.
    this.justNow = this.announcer === undefined ? now : undefined
    this.outputs[planned.index] = output
    this.journal.lastEnded(execution, now, undefined)
    if (this.hasStreams) this.streamEnds(planned, settlementOf(output))
    this.announcer?.stageSettled(execution, output, now - execution.first.startedMs)
    switch (output._tag) {
      case "Ok":
        this.statuses[planned.index] = "ok"
        this.data[planned.index] = output.data as object // see `endingOfExit`
        return this.release(planned)
      case "Skip":
        this.statuses[planned.index] = "skipped"
        return this.release(planned)
      case "Cancel":
        this.statuses[planned.index] = "cancelled"
        this.left--
        this.stop ??= { _tag: "Cancelled", by: planned.name, reason: output.reason, data: output.data }
        return
      default:
        return absurd(output)
    }
  }

  private endFailed(execution: StageExecution, ending: FailedEnding): void {
    const now = this.elapsedMs()
    // Read whether anybody listens or not; what cannot be read must not hide the failure that it came with.
    const contents = Result.getOrElse(
      Result.try(() => contentsOf(returnedFail(ending.cause), execution.allArtifacts)),
      () => none
    )
    this.announcer?.contents(execution, contents.artifacts, contents.events)
    this.announcer?.stageFailed(execution.planned, execution.attempt, ending.error, now - execution.first.startedMs)
    this.journal.lastEnded(execution, now, { _tag: "Failed", error: errorSummaryOf(ending.error) })
    this.fail(execution.planned, ending, execution.attempt)
  }

  private fail(planned: PlannedStage, { cause, error }: FailedEnding, attempts: number): void {
    const failure: Failure<unknown> = {
      stage: planned.name,
      error: error as Failure<unknown>["error"],
      attempts,
      cause,
      // Data that cannot be read must not hide the failure it came with.
      data: Result.getOrElse(Result.try(() => immutable(returnedFail(cause)?.data ?? {})), () => ({}))
    }
    this.statuses[planned.index] = "failed"
    this.failures.push(failure)
    this.streamEnds(planned, { _tag: "Failed", error })
    if (this.policy.continueAfterFailure) return this.release(planned)
    this.left--
    if (this.stop === undefined) this.stop = { _tag: "Failed", failure }
    else this.failuresWhileStopping.push(cause)
  }

  private endInterrupted(execution: StageExecution, cause: Cause.Cause<unknown>): void {
    this.leave(execution, execution.hasLeftBehind)
    const reasons = cause.reasons.filter((reason) => !Cause.isInterruptReason(reason))
    if (reasons.length > 0) this.failuresWhileStopping.push(Cause.fromReasons(reasons))
  }

  /** A stage ends though it was not done; it is abandoned when something of it goes on all the same. */
  private leave(execution: StageExecution, abandoned: boolean): void {
    const now = this.elapsedMs()
    this.statuses[execution.planned.index] = abandoned ? "abandoned" : "interrupted"
    this.streamEnds(execution.planned, undefined)
    this.left--
    this.journal.lastEnded(execution, now, { _tag: "Interrupted", abandoned })
    this.announcer?.stageInterrupted(execution, now - execution.first.startedMs, abandoned)
  }

  /** A stage has ended: it reads no stream any more, and its own has an end. */
  private streamEnds({ index }: PlannedStage, settlement: Settlement | undefined): void {
    if (!this.hasStreams) return
    const isStopping = this.stop !== undefined
      || (settlement?._tag === "Failed" && !this.policy.continueAfterFailure)
    this.streamsNow().ended(index, settlement, isStopping)
  }

  private release(planned: PlannedStage): void {
    this.left--
    if (this.endedAt !== undefined) this.endedAt[planned.index] = this.justNow ?? this.elapsedMs()
    this.ready.release(planned.index)
  }

  /** An attempt ended, and a policy granted another. */
  attemptEnded(execution: StageExecution, exit: Exit.Exit<Outcome, unknown>, delay: Duration.Duration): void {
    if (this.isSettled) return
    const error = errorSummaryOfExit(exit)
    const reason = exit._tag === "Success" && exit.value._tag === "Retry" ? exit.value.reason : ""
    const end: AttemptEnd = error === undefined ? { _tag: "RetryRequested", reason } : { _tag: "Failed", error }
    this.journal.earlierEnded(execution, this.elapsedMs(), end)
    this.announcer?.stageRetrying(execution, exit, delay)
    execution.tellHearers({
      _tag: "StageRetrying",
      delayMs: Duration.toMillis(delay),
      ...(error === undefined ? {} : { error }),
      ...(reason === "" ? {} : { reason })
    })
  }

  // -------------------------------------------------------------------------------------------------------------------
  // ending the run
  // -------------------------------------------------------------------------------------------------------------------

  /** The caller ends the run on purpose, unless it is over. */
  cancel(reason: string, data: Readonly<Record<string, unknown>>): void {
    if (this.isOver) return
    this.stop = { _tag: "Cancelled", by: undefined, reason, data }
    this.conductor?.wake()
  }

  /**
   * The caller interrupts some stages on purpose. Those that are running are to end, and those that have not started never
   * do. A stage that others of them come before waits for these: it is told as blocked if one of them fails.
   */
  interrupt(stages: ReadonlyArray<number>, reason: string): InterruptedPart {
    const interruptions = this.interruptions ??= new Map<number, StageInterruption>()
    const interruptionOf = (index: number): StageInterruption => {
      const interruption = interruptions.get(index) ?? new StageInterruption(reason)
      interruptions.set(index, interruption)
      return interruption
    }
    const executions = this.isSettled ? [] : stages.flatMap((index) => this.executions[index] ?? [])
    const running = executions.map(({ planned: { index } }) => [index, interruptionOf(index)] as const)
    const pending = stages.filter((index) => this.statuses[index] === "pending")
    const known = new Set([...pending, ...running.map(([index]) => index)])
    if (this.stop === undefined) {
      for (const index of pending) interruptionOf(index)
      for (const execution of executions) this.conductor?.interrupt(execution)
      this.endUnstarted(pending)
    }
    return { running, pending, ended: stages.filter((index) => !known.has(index)) }
  }

  /** Ends those of some interrupted stages at once that none of the others comes before. */
  private endUnstarted(pending: ReadonlyArray<number>): void {
    const waits = (index: number) =>
      this.interruptions?.has(index) === true && ["pending", "running"].includes(this.statuses[index] as StageStatus)
    // Others have ended when a running one ended at once, and what it freed was looked at.
    const left = pending.filter((index) => this.statuses[index] === "pending")
    const first = left.map((index) => this.plan.stages[index] as PlannedStage).filter((planned) =>
      !planned.dependencies.some(waits) && this.blockerOf(planned) === undefined
    )
    for (const planned of first) {
      if (this.stop === undefined) this.endInterruptedBefore(planned)
    }
    if (first.length > 0) this.conductor?.wake()
  }

  /** Nothing of a stage runs any more, or it was left behind. */
  stageIsOver({ planned: { index } }: StageExecution): void {
    this.interruptions?.get(index)?.settle()
  }

  /** The run has its result. */
  settle(): void {
    this.isSettled = true
    this.streams?.settle()
    for (const interruption of this.interruptions?.values() ?? []) interruption.settle()
  }

  /** The stages that outlived the grace: the run ends without them. */
  abandonRunning(): void {
    for (const first of this.executions) {
      if (first !== undefined) this.leave(first.latest, true)
    }
  }

  /** Lays out the ended attempts, in the order in which they ended. It holds on to no more of the run than that takes. */
  get readEntries(): () => ReadonlyArray<Entry> {
    const { journal, outputs, plan: { names } } = this
    return () => journal.entries(names, outputs)
  }

  /** The names of the stages that are in one of these states, in the order of the pipeline. */
  namesOf(...wanted: ReadonlyArray<StageStatus>): ReadonlyArray<string> {
    return this.plan.names.filter((_, index) => wanted.includes(this.statuses[index] as StageStatus))
  }
}

interface Dependencies {
  readonly inDegree: Int32Array
  readonly successors: PackedLists
}

/** Priorities mean something only where stages wait for a place. */
const queueOf = (
  { inDegree, successors }: Dependencies,
  { priorities }: Plan,
  { isLimited, pick }: RunPolicy
): ReadyStages =>
  isLimited && priorities !== undefined
    ? new PriorityQueue(inDegree, successors, priorities, pick)
    : new ReadyQueue(inDegree, successors, pick)

const streamingQueueOf = (plan: Plan, policy: RunPolicy): StreamingStages | undefined => {
  const { inDegree, streams } = plan
  if (streams === undefined) return undefined
  return policy.isLimited
    ? new GroupedQueue(inDegree, streams, queueOf(streams.groups, plan, policy))
    : new StreamingQueue(inDegree, streams, policy.pick)
}

/** How a stage ended, as everybody will see it: immutable, with what the engine knows of it. */
const endingOf = (
  { first: { artifacts: added }, planned: { name } }: StageExecution,
  exit: Exit.Exit<unknown, unknown>,
  durationMs: number
): Ending => {
  // The common case, without an outcome on the way.
  if (exit._tag === "Success" && isLiteral(exit.value) && added === undefined) {
    return plainOk(immutable(exit.value), durationMs)
  }
  const ending = endingOfExit(name, exit)
  switch (ending._tag) {
    case "Ok": {
      const { artifacts, events } = contentsOf(ending, added)
      return changedOk(ending, { data: immutable(ending.data), artifacts, events, durationMs })
    }
    case "Skip":
    case "Cancel":
      return changedSignal(ending, { data: immutable(ending.data), ...contentsOf(ending, added), durationMs })
    case "Retry":
    case "Failed":
      return ending
  }
}

interface Contents {
  readonly artifacts: ReadonlyArray<Artifact>
  readonly events: ReadonlyArray<Emitted>
}

const none: Contents = { artifacts: noItems, events: noItems }

/** What came with an outcome, and what the stage added, each read once. */
const contentsOf = ({ artifacts, events }: Contents = none, added: ReadonlyArray<Artifact> = noItems): Contents =>
  artifacts.length === 0 && events.length === 0 && added.length === 0 ? none : {
    artifacts: Object.freeze([...artifacts.map(readArtifact), ...added]),
    events: Object.freeze(events.map((event) => isNote(event) ? event : readEmitted(event.type, event.data)))
  }
