/**
 * Holds one run, from before what is around it to after that: layers, interceptors, cancelling, and what it ends with.
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Random from "effect/Random"
import * as Result from "effect/Result"
import * as Stream from "effect/Stream"
import type { Compensation } from "../attempt/compensation.ts"
import { runAround } from "../attempt/composition.ts"
import type { Gate } from "../attempt/gate.ts"
import { installedIn } from "../attempt/installed.ts"
import type { Any as AnyInterceptor } from "../attempt/interceptor-model.ts"
import { Observers } from "../attempt/observing.ts"
import { type Ender, Enders, type EndingRun, type RunEnding } from "../attempt/run-ending.ts"
import { UntoldRunsOf } from "../attempt/told-runs.ts"
import { EventSink } from "../EventSink.ts"
import { immutable } from "../internal/immutable.ts"
import { InterruptionGrace, LeftBehindOf } from "../internal/interruption.ts"
import * as options from "../internal/options.ts"
import { RunsAround } from "../internal/runs-around.ts"
import { complete, extensionsOf, ProvenIdentity, type RunIdentity, type Snapshot } from "../internal/snapshot-model.ts"
import type { StreamUse } from "../internal/source-model.ts"
import { DepthLimit, type InterruptedStages } from "../Run.ts"
import { type Completed, StageFailed, ValueFailed } from "../RunResult.ts"
import { StageContext } from "../StageContext.ts"
import { DepthExceeded, RunRejected, StreamFailed } from "../StageError.ts"
import { ActiveRun } from "./active-run.ts"
import { Announcer, type Belonging, type Listener } from "./announcer.ts"
import { conclude, type Conclusion } from "./conclusion.ts"
import { conduct } from "./conductor.ts"
import { valueOf, withValidInput } from "./given-and-returned.ts"
import { readEmitted } from "./handed-over.ts"
import { identityOf, type Ids, idsOf, lineageOf } from "./identity.ts"
import { offerTo } from "./listeners.ts"
import { interruptedBefore, interruptPart, type PartOfRun } from "./part-of-run.ts"
import type { Plan } from "./plan.ts"
import { ReadyOrder } from "./ready-order.ts"
import { runEndOf } from "./run-end.ts"
import { environmentWith, later, withLayers, withRelease } from "./run-layers.ts"
import type { RunSettings } from "./run-options.ts"
import { RunRecord } from "./run-record.ts"
import type { OutsideReader } from "./run-streams.ts"
import type { Ended, Failed, Runnable } from "./runnable.ts"
import { executionOf, leftBehindIn, type StageExecution } from "./stage-execution.ts"

/** What the caller says who cancels a run. */
export interface Cancellation {
  readonly reason: string
  readonly data: Readonly<Record<string, unknown>>
}

/**
 * One run, from before what is around it (layers, interceptors) to after that. Its stages run inside, once.
 */
export class OneRun {
  readonly record: RunRecord
  private readonly pipeline: Runnable
  private readonly plan: Plan
  /** With the identity as far as it is known before anything is proven. */
  private readonly snapshot: Snapshot
  private readonly options: RunSettings
  private readonly ids: Ids
  private readonly parent: StageContext["Service"] | undefined
  private readonly announcer: Announcer | undefined
  /** The stage that started the run, where it is told of the runs inside of it. */
  private readonly teller: StageExecution | undefined
  /** The id of the request, where somebody has given one. */
  private readonly requestId: string | undefined
  private readonly clock: Clock.Clock
  private startedNanos = 0n
  /** The stages, once the run is past what is around them. */
  state: ActiveRun | undefined = undefined
  /** Who reads streams besides the stages. */
  private readonly readers: ReadonlyArray<OutsideReader>
  /** Resumes those who wait for the stages. */
  private waitingForStages: Array<() => void> | undefined = undefined
  /** What the stages ended with. */
  private conclusion: Conclusion | undefined = undefined
  /** The interceptor that did not let the run begin. */
  private deniedBy: string | undefined = undefined
  private readonly ended = Deferred.makeUnsafe<void>()
  private isCancelled = false
  /** What the caller has interrupted before any stage could start. */
  private readonly interrupted: Array<PartOfRun> = []
  private hasStarted = false
  private isOver = false
  /** What has a part in the end of the run. */
  private ender: Ender | undefined = undefined
  /** Releases the layers, where what is around the run is not to find them released. */
  private release: Effect.Effect<Cause.Cause<never> | undefined> | undefined = undefined

  constructor(
    pipeline: Runnable,
    plan: Plan,
    snapshot: Snapshot,
    options: RunSettings,
    listeners: ReadonlyArray<Listener>,
    environment: Context.Context<never>,
    hasHandle: boolean,
    readers: ReadonlyArray<OutsideReader> = []
  ) {
    this.readers = readers
    this.pipeline = pipeline
    this.plan = plan
    this.options = options
    this.parent = Option.getOrUndefined(Context.getOption(environment, StageContext))
    this.ids = idsOf(snapshot, this.parent, Context.get(environment, Random.Random))
    const lineage = lineageOf(this.ids, this.parent)
    this.record = new RunRecord(plan.pipeline, lineage, executionOf(this.parent)?.run.record, hasHandle)
    this.snapshot = complete(snapshot, this.identityIn(snapshot, environment))
    this.clock = Context.get(environment, Clock.Clock)
    const sink = Option.getOrUndefined(Context.getOption(environment, EventSink))
    const observing = this.observing(environment)
    const offered = sink === undefined ? observing : [offerTo(sink), ...observing]
    const heard = offered.length === 0 ? listeners : [...listeners, ...offered]
    const parent = executionOf(this.parent)
    this.requestId = parent === undefined ? this.parent?.identity.requestId ?? snapshot.requestId : parent.run.requestId
    this.teller = parent?.first === Context.get(environment, UntoldRunsOf) ? undefined : parent
    this.announcer = heard.length === 0
      ? undefined
      : new Announcer(plan.pipeline, lineage, this.belonging(this.snapshot), heard, this.clock, observing.length > 0)
  }

  /** What hears of the run on behalf of its observers. */
  private observing(environment: Context.Context<never>): ReadonlyArray<Listener> {
    const { pipeline, record: { lineage }, snapshot } = this
    // An observer that throws observes nothing.
    return Context.get(environment, Observers).flatMap((observe) =>
      Result.getOrElse(Result.try(() => [observe({ pipeline, lineage, snapshot, environment })]), () => [])
    )
  }

  /** The run starts: from here on it has an end, and \`end\` is told of it. */
  start(): void {
    this.hasStarted = true
    this.startedNanos = this.clock.monotonicTimeNanosUnsafe()
    this.record.start()
    const { lineage: { runId } } = this.record
    this.teller?.announce({ _tag: "SubpipelineStarted", childRunId: runId, childPipeline: this.plan.pipeline })
    this.announcer?.runStarted(this.plan.stages.length)
  }

  private belonging({ executionMode, orgId, sessionId, topology, userId }: Snapshot): Belonging {
    return { requestId: this.requestId, sessionId, userId, orgId, topology, executionMode }
  }

  private identityIn(snapshot: Snapshot, environment: Context.Context<never>): RunIdentity {
    return identityOf(this.ids, snapshot, this.parent, Context.get(environment, ProvenIdentity))
  }

  /** The grace of the run, wherever its environment says so. */
  graceIn(environment: Context.Context<never>): Duration.Duration {
    return this.options.interruptionGrace ?? Context.get(environment, InterruptionGrace)
  }

  /** All of the run: its layers and stages with every interceptor around them that wraps whole runs. */
  get all(): Effect.Effect<Ended, Failed> {
    return Effect.contextWith((outside: Context.Context<never>) => {
      const runs = Context.get(outside, RunsAround)
      const tooDeep = runs.length + this.record.path.length === 0 ? undefined : this.tooDeepFor(outside, runs)
      if (tooDeep !== undefined) return Effect.die(tooDeep)
      const installed = installedIn(outside)
      const all = this.around([...installed, ...this.pipeline.interceptors], this.equipped(outside, installed))
      return Effect.provideService(all, RunsAround, [...runs, this.plan.pipeline])
    })
  }

  /** Why the run does not start, when it is inside of too many. */
  private tooDeepFor(outside: Context.Context<never>, runs: ReadonlyArray<string>): DepthExceeded | undefined {
    const limit = options.positiveCount("DepthLimit", Context.get(outside, DepthLimit))
    const stages = this.record.path
    if (Math.max(stages.length, runs.length) <= limit) return undefined
    // Where not every run was started by a stage, what tells the way are the pipelines.
    return new DepthExceeded({ pipeline: this.plan.pipeline, limit, path: stages.length < runs.length ? runs : stages })
  }

  private around(interceptors: ReadonlyArray<AnyInterceptor>, inner: Effect.Effect<Ended, Failed>) {
    const run = { pipeline: this.plan.pipeline, snapshot: this.snapshot }
    const around = runAround(interceptors, run, (interceptor) => {
      this.deniedBy = interceptor
    })
    // What they add to errors and services is in the pipeline's type.
    return around(inner) as Effect.Effect<Ended, Failed>
  }

  /** The stages, with the layers of the pipeline built before them and released after them. */
  private equipped(
    outside: Context.Context<never>,
    installed: ReadonlyArray<AnyInterceptor>
  ): Effect.Effect<Ended, Failed> {
    if (this.pipeline.layers.length === 0) return this.begun(installed)
    return Effect.uninterruptibleMask((restore) =>
      withLayers(
        this.pipeline,
        this.graceIn(outside),
        (built) =>
          restore(Effect.flatMap(built, (services) =>
            Effect.updateContext(
              this.installedBy(services, installed),
              (inside: Context.Context<never>) => environmentWith(services, inside, outside)
            ))),
        {
          keeps: (release) => this.keepsLayers(release),
          releaseKept: Effect.suspend(() => this.ender?.releaseKept ?? Effect.void)
        }
      )
    )
  }

  /** The stages, with what the pipeline's own layers installed around them. */
  private installedBy(
    services: Context.Context<never>,
    installed: ReadonlyArray<AnyInterceptor>
  ): Effect.Effect<Ended, Failed> {
    const own = installedIn(services)
    return own.length === 0 ? this.begun(installed) : this.around(own, this.begun([...installed, ...own]))
  }

  /** The stages, unless the run was cancelled before: what was left behind then starts nothing any more. */
  private begun(installed: ReadonlyArray<AnyInterceptor>): Effect.Effect<Ended, Failed> {
    return Effect.contextWith((environment: Context.Context<never>) =>
      this.isCancelled ? Effect.interrupt : this.stages(environment, installed)
    )
  }

  /** The stages, in the environment of the fiber that asks for them. */
  private stages(
    environment: Context.Context<never>,
    installed: ReadonlyArray<AnyInterceptor>
  ): Effect.Effect<Ended, Failed> {
    const { input } = this.plan
    const stagesOf = (snapshot: Snapshot) => this.conducted(snapshot, environment, installed)
    return input === undefined
      ? stagesOf(this.snapshot)
      // A wrong input is in the pipeline's type.
      : Effect.flatMap(withValidInput(input, this.snapshot) as Effect.Effect<Snapshot>, stagesOf)
  }

  private conducted(
    snapshot: Snapshot,
    environment: Context.Context<never>,
    installed: ReadonlyArray<AnyInterceptor>
  ): Effect.Effect<Ended, Failed> {
    const missing = this.plan.needs.find(({ gate }) => gate.needs !== undefined && !hasService(environment, gate.needs))
    if (missing !== undefined) return Effect.die(this.notReady(missing.stage, missing.gate))
    const { context, state } = this.setUp(snapshot, environment)
    for (const { reason, stages } of this.interrupted) state.interrupt(stages, reason)
    const ender = Context.get(environment, Enders)?.(this.endingRun(environment), environment)
    this.ender = ender
    const conducted = conduct(state, {
      concurrency: this.options.concurrency,
      grace: this.graceIn(environment),
      installed,
      context: ender === undefined ? context : Context.merge(context, ender.inside),
      onConclusion: (conclusion) => {
        this.conclusion = conclusion
      },
      ender
    })
    const ended = Effect.onExitPrimitive(conducted, () => {
      Deferred.doneUnsafe(this.ended, Exit.void)
      return undefined
    })
    return Effect.flatMap(
      ended,
      (conclusion) => conclusion._tag === "Completed" ? this.withValue(conclusion, state) : endOf(conclusion)
    )
  }

  /** The run, as it is seen by what has a part in its end. */
  private endingRun(environment: Context.Context<never>): EndingRun {
    const { indexOf, names, stages } = this.plan
    const planned = (stage: string) => stages[indexOf.get(stage) ?? -1]
    return {
      pipeline: this.plan.pipeline,
      lineage: this.record.lineage,
      grace: this.graceIn(environment),
      isAbandoned: (stage) => this.state?.statuses[indexOf.get(stage) ?? -1] === "abandoned",
      dependenciesOf: (stage) => planned(stage)?.dependencies.map((index) => names[index] as string) ?? [],
      tell: (stage, attempt, type, data) => {
        // Read whether anybody listens or not.
        const emitted = readEmitted(type, data)
        const about = planned(stage)
        if (about !== undefined && !this.isOver) this.announcer?.stageEmitted({ attempt, planned: about }, emitted)
      },
      announce: (stage, attempt, announcement) => {
        const about = planned(stage)
        if (about === undefined || this.isOver) return
        this.announcer?.stageAnnounced({ attempt, planned: about }, immutable(announcement))
      }
    }
  }

  /** The result with what the pipeline returns. */
  private withValue(completed: Completed<unknown>, state: ActiveRun): Effect.Effect<Ended, Failed> {
    const { value } = this.plan
    if (value === undefined) return Effect.succeed(completed as Ended)
    const read = valueOf(completed, value, state.inputs) as Effect.Effect<unknown> // its error is in the pipeline's type
    const given = Effect.map(read, (value) => ({ ...completed, value }) as Ended)
    return this.ender === undefined ? given : endedBy(this.ender, given)
  }

  private notReady(stage: string, { name, needs }: Gate): RunRejected {
    const error = new Error(`Stage "${stage}" asks for "${needs?.key}", which nothing around the run gives`)
    return new RunRejected({ pipeline: this.plan.pipeline, interceptor: name, error })
  }

  private setUp(snapshot: Snapshot, environment: Context.Context<never>): {
    readonly state: ActiveRun
    readonly context: Context.Context<never>
  } {
    const identity = this.identityIn(snapshot, environment)
    const current = complete(snapshot, identity)
    this.announcer?.belongs(this.belonging(current))
    const state = new ActiveRun(
      this.plan,
      current,
      identity,
      this.record,
      this.requestId,
      executionOf(this.parent),
      this.announcer,
      this.clock,
      {
        continueAfterFailure: this.options.continueAfterFailure,
        pick: Context.get(environment, ReadyOrder),
        readers: this.readers,
        isLimited: Number.isFinite(this.options.concurrency)
      }
    )
    this.state = state
    const waiting = this.waitingForStages ?? []
    this.waitingForStages = undefined
    for (const resume of waiting) resume()
    const context = Context.merge(environment, extensionsOf(current)).pipe(
      Context.add(InterruptionGrace, this.graceIn(environment)),
      Context.add(LeftBehindOf, leftBehindIn)
    )
    return { state, context }
  }

  /** Interrupts stages, and waits until nothing of them runs. */
  interruptPart(part: PartOfRun): Effect.Effect<InterruptedStages> {
    return Effect.suspend(() => {
      if (this.state !== undefined) return interruptPart(this.state, part)
      this.interrupted.push(part)
      return Effect.succeed(interruptedBefore(this.plan, part))
    })
  }

  /** Waits until the stages have ended, or were left behind after the grace. */
  get stagesEnded(): Effect.Effect<void> {
    return Deferred.await(this.ended)
  }

  /** The chunks of a stage, as whoever holds the handle of the run reads them; they were asked for when it was started. */
  chunksOf(stage: number, use: StreamUse): Stream.Stream<unknown, unknown> {
    const chunks = Effect.map(this.stagesBegun, (state) =>
      state === undefined
        ? Stream.fail(new StreamFailed({ stage: use.stage, chunks: 0, reason: { _tag: "Interrupted" } }))
        : state.streamsNow().streamOutside(stage, use))
    return Stream.unwrap(chunks)
  }

  /** The stages, once the run is past what is around them; nothing when it never comes that far. */
  private get stagesBegun(): Effect.Effect<ActiveRun | undefined> {
    return Effect.callback((resume) => {
      if (this.state !== undefined || this.isOver) return resume(Effect.succeed(this.state))
      const go = () => resume(Effect.succeed(this.state))
      ;(this.waitingForStages ??= []).push(go)
      return Effect.sync(() => {
        this.waitingForStages = this.waitingForStages?.filter((other) => other !== go)
      })
    })
  }

  /** Cancels the stages; says whether they had started. */
  cancelStages({ data, reason }: Cancellation): boolean {
    this.isCancelled = true
    this.state?.cancel(reason, data)
    return this.state !== undefined
  }

  /** What a cancelled run ends with, however far it had come. */
  endAsCancelled(environment: Context.Context<never>, { data, reason }: Cancellation): Effect.Effect<Ended, Failed> {
    const { conclusion } = this
    if (conclusion !== undefined && (conclusion instanceof StageFailed || conclusion._tag === "Cancelled")) {
      return endOf(conclusion)
    }
    const state = this.state ?? this.setUp(this.snapshot, environment).state
    state.stop ??= { _tag: "Cancelled", by: undefined, reason, data }
    return endOf(conclude(state) as Conclusion) // only an interrupted run has none
  }

  /** The run is over, with all that was around it. What it says last comes after what has a part in its end. */
  end(exit: Exit.Exit<Ended, Failed>): Effect.Effect<Exit.Exit<Ended, Failed>> | undefined {
    if (this.ender === undefined) {
      this.tellEnd(exit)
      return undefined
    }
    const { ender } = this
    return Effect.gen({ self: this }, function*() {
      const hasCompleted = endingOfExit(this.told(exit)) === undefined
      // A run that has completed does not any more when its layers cannot be released.
      const ended = hasCompleted ? yield* this.released(ender, exit) : exit
      const compensated = withCompensation(ended, yield* ender.ended(endingOfExit(this.told(ended))))
      const whole = hasCompleted ? compensated : yield* this.released(ender, compensated)
      this.tellEnd(whole)
      ender.told()
      return whole
    })
  }

  /** The end of the run, with its layers released. */
  private released(ender: Ender, exit: Exit.Exit<Ended, Failed>): Effect.Effect<Exit.Exit<Ended, Failed>> {
    const { release } = this
    if (release === undefined) return Effect.succeed(exit)
    return Effect.andThen(
      ender.releaseKept,
      Effect.map(release, (wrong) => wrong === undefined ? exit : withRelease(exit, wrong))
    )
  }

  /** Whether the layers are there longer than what is inside of them. */
  private keepsLayers(release: Effect.Effect<Cause.Cause<never> | undefined>): boolean {
    if (this.ender === undefined) return false
    if (this.ender.keepsLayers(later(this.plan.pipeline, release))) return true
    if (!this.ender.needsLayers()) return false
    this.release = release
    return true
  }

  private tellEnd(exit: Exit.Exit<Ended, Failed>): void {
    this.isOver = true
    for (const resume of this.waitingForStages ?? []) resume()
    if (!this.hasStarted) return
    const elapsedMs = Number(this.clock.monotonicTimeNanosUnsafe() - this.startedNanos) / 1_000_000
    const end = runEndOf(this.told(exit), this.deniedBy)
    this.record.end(end.status)
    this.announcer?.runEnded(end, elapsedMs)
    this.teller?.announce({
      _tag: "SubpipelineEnded",
      childRunId: this.record.lineage.runId,
      status: end.status
    })
  }

  /** What is told of an end: of an interrupted run, what a stage had ended it with before. */
  private told(exit: Exit.Exit<Ended, Failed>): Exit.Exit<Ended, Failed> {
    return Exit.hasInterrupts(exit) ? this.endBeforeInterruption ?? exit : exit
  }

  /** What a stage had ended the run with before its caller was interrupted. */
  private get endBeforeInterruption(): Exit.Exit<Ended, Failed> | undefined {
    const { conclusion } = this
    if (conclusion instanceof StageFailed) return Exit.fail(conclusion)
    return conclusion?._tag === "Cancelled" ? Exit.succeed(conclusion) : undefined
  }
}

const hasService = (environment: Context.Context<never>, key: Context.Key<unknown, unknown>): boolean =>
  environment.mapUnsafe.has(key.key)

const endOf = (conclusion: Conclusion): Effect.Effect<Ended, Failed> =>
  conclusion instanceof StageFailed ? Effect.fail(conclusion) : Effect.succeed(conclusion)

/** How a run has ended, with all that was around it; nothing when it has completed. */
const endingOfExit = (exit: Exit.Exit<Ended, Failed>): RunEnding | undefined => {
  if (exit._tag === "Success") {
    const ended = exit.value
    return ended._tag === "Completed" ? undefined : ended
  }
  const error = Option.getOrUndefined(Cause.findErrorOption(exit.cause))
  if (error instanceof StageFailed) {
    return { _tag: "Failed", stage: error.stage, error: error.error, cause: error.cause }
  }
  if (error === undefined && Exit.hasInterrupts(exit)) return { _tag: "Interrupted" }
  return { _tag: "Rejected", error: error ?? Cause.squash(exit.cause) }
}

/** An end with what was taken back after it, unless it says so already. */
const withCompensation = (
  exit: Exit.Exit<Ended, Failed>,
  compensation: Compensation | undefined
): Exit.Exit<Ended, Failed> => {
  if (compensation === undefined) return exit
  if (exit._tag === "Success") {
    const ended = exit.value
    return ended._tag === "Completed" || ended.compensation !== undefined
      ? exit
      : Exit.succeed({ ...ended, compensation })
  }
  const error: unknown = Option.getOrUndefined(Cause.findErrorOption(exit.cause))
  return error instanceof ValueFailed
    ? Exit.fail(new ValueFailed({ ...error, compensation }) as unknown as Failed)
    : exit
}

/** What a pipeline returns; without it the run does not complete, which what has a part in its end is told. */
const endedBy = (ender: Ender, given: Effect.Effect<Ended, Failed>): Effect.Effect<Ended, Failed> =>
  Effect.uninterruptibleMask((restore) =>
    Effect.flatMap(Effect.exit(restore(given)), (exit) => {
      const ending = endingOfExit(exit)
      return ending === undefined
        ? exit
        : Effect.flatMap(ender.stagesEnded(ending), (compensation) => withCompensation(exit, compensation))
    })
  )
