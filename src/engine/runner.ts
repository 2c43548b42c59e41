/**
 * Runs a pipeline: sets up its run in the environment of the caller, and puts around it what wraps whole runs.
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import { constVoid } from "effect/Function"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import * as Random from "effect/Random"
import * as Scope from "effect/Scope"
import { runAround } from "../attempt/composition.ts"
import type { Gate } from "../attempt/gate.ts"
import { installedIn } from "../attempt/installed.ts"
import type { Any as AnyInterceptor } from "../attempt/interceptor-model.ts"
import { EventSink } from "../EventSink.ts"
import { immutable } from "../internal/immutable.ts"
import { InterruptionGrace, interruptWithin, within } from "../internal/interruption.ts"
import * as options from "../internal/options.ts"
import { define } from "../internal/record.ts"
import { isRefusal, noteRejection } from "../internal/refusal.ts"
import { complete, extensionsOf, ProvenIdentity, type RunIdentity, Snapshot } from "../internal/snapshot-model.ts"
import type { PipelineInvalid } from "../PipelineInvalid.ts"
import type { Run, RunOptions, StageStatus } from "../Run.ts"
import { type Completed, LayerFailed, StageFailed } from "../RunResult.ts"
import { type Lineage, StageContext } from "../StageContext.ts"
import { RunRejected } from "../StageError.ts"
import { ActiveRun } from "./active-run.ts"
import { Announcer, type Listener } from "./announcer.ts"
import { conclude, type Conclusion } from "./conclusion.ts"
import { conduct } from "./conductor.ts"
import { EventLog } from "./event-log.ts"
import { valueOf, withValidInput } from "./given-and-returned.ts"
import { identityOf, type Ids, idsOf, lineageOf } from "./identity.ts"
import { type Plan, type Planned, planOf } from "./plan.ts"
import { ReadyOrder } from "./ready-order.ts"

/** What of a pipeline it takes to run it. */
export interface Runnable extends Planned {
  readonly name: string
  readonly layers: ReadonlyArray<Layer.Layer<unknown, unknown, unknown>>
  readonly interceptors: ReadonlyArray<AnyInterceptor>
}

type Ended = Exclude<Conclusion, StageFailed>
type Failed = StageFailed<unknown, unknown>

// ---------------------------------------------------------------------------------------------------------------------
// options
// ---------------------------------------------------------------------------------------------------------------------

interface CheckedOptions {
  readonly concurrency: number
  readonly continueAfterFailure: boolean
  readonly interruptionGrace: Duration.Duration | undefined
}

const optionNames: ReadonlyArray<keyof RunOptions> = ["concurrency", "failure", "interruptionGrace"]

// Options are checked when the run is made, not when it starts.
const check = (snapshot: Snapshot, given: RunOptions | undefined): CheckedOptions => {
  options.ofKind("snapshot", "a Snapshot; see Snapshot.make", isSnapshot, snapshot)
  const { concurrency, failure, interruptionGrace } = given === undefined
    ? {}
    : options.fields<RunOptions>("options", optionNames, given)
  return {
    concurrency: concurrency === undefined ? Infinity : options.concurrency("concurrency", concurrency),
    continueAfterFailure: failure !== undefined
      && options.oneOf("failure", ["fail-fast", "continue"], failure) === "continue",
    interruptionGrace: interruptionGrace === undefined
      ? undefined
      : options.duration("interruptionGrace", interruptionGrace)
  }
}

const isSnapshot = (given: unknown): given is Snapshot => given instanceof Snapshot

// ---------------------------------------------------------------------------------------------------------------------
// the environment
// ---------------------------------------------------------------------------------------------------------------------

/** The environment with the pipeline's own layers built into it; they live as long as the scope. */
const environmentIn = (
  { layers, name }: Runnable,
  scope: Scope.Scope
): Effect.Effect<Context.Context<never>, LayerFailed> => {
  const [first, ...rest] = layers
  if (first === undefined) return Effect.context<never>()
  // The pipeline's type asks its caller for what its layers need.
  const layer = Layer.mergeAll(first, ...rest) as Layer.Layer<unknown, unknown>
  return Effect.gen(function*() {
    const environment = yield* Effect.context<never>()
    const built = yield* Layer.buildWithScope(layer, scope)
    return Context.merge(environment, built as Context.Context<never>) // its services are in the pipeline's type
  }).pipe(Effect.mapError((error) => new LayerFailed({ pipeline: name, error })))
}

// ---------------------------------------------------------------------------------------------------------------------
// one run
// ---------------------------------------------------------------------------------------------------------------------

const offerTo = (sink: EventSink["Service"]): Listener => (event) => {
  const given: unknown = sink.offer(event)
  // An async function passes for `offer`: what it rejects with is ignored like what it throws.
  if (Predicate.isPromiseLike(given)) given.then(undefined, constVoid)
}

/** What the caller says who cancels a run. */
interface Cancellation {
  readonly reason: string
  readonly data: Readonly<Record<string, unknown>>
}

/**
 * One run, from before what is around it (layers, interceptors) to after that. Its stages run inside, once.
 */
class OneRun {
  readonly lineage: Lineage
  private readonly pipeline: Runnable
  private readonly plan: Plan
  /** With the identity as far as it is known before anything is proven. */
  private readonly snapshot: Snapshot
  private readonly options: CheckedOptions
  private readonly ids: Ids
  private readonly parent: StageContext["Service"] | undefined
  private readonly announcer: Announcer | undefined
  private readonly clock: Clock.Clock
  private readonly startedNanos: bigint
  /** The stages, once the run is past what is around them. */
  state: ActiveRun | undefined = undefined
  /** What the stages ended with. */
  private conclusion: Conclusion | undefined = undefined
  private readonly ended = Deferred.makeUnsafe<void>()
  private isCancelled = false

  constructor(
    pipeline: Runnable,
    plan: Plan,
    snapshot: Snapshot,
    options: CheckedOptions,
    listeners: ReadonlyArray<Listener>,
    environment: Context.Context<never>
  ) {
    this.pipeline = pipeline
    this.plan = plan
    this.options = options
    this.parent = Option.getOrUndefined(Context.getOption(environment, StageContext))
    this.ids = idsOf(snapshot, this.parent, Context.get(environment, Random.Random))
    this.lineage = lineageOf(this.ids, this.parent)
    this.snapshot = complete(snapshot, this.identityIn(snapshot, environment))
    this.clock = Context.get(environment, Clock.Clock)
    this.startedNanos = this.clock.monotonicTimeNanosUnsafe()
    const sink = Option.getOrUndefined(Context.getOption(environment, EventSink))
    const heard = sink === undefined ? listeners : [...listeners, offerTo(sink)]
    this.announcer = heard.length === 0 ? undefined : new Announcer(plan.pipeline, this.lineage, heard, this.clock)
    this.announcer?.runStarted(plan.stages.length)
  }

  private identityIn(snapshot: Snapshot, environment: Context.Context<never>): RunIdentity {
    return identityOf(this.ids, snapshot, this.parent, Context.get(environment, ProvenIdentity))
  }

  /** The grace of the run, wherever its environment says so. */
  graceIn(environment: Context.Context<never>): Duration.Duration {
    return this.options.interruptionGrace ?? Context.get(environment, InterruptionGrace)
  }

  /** The stages with every interceptor around them that wraps whole runs, in the environment of the run. */
  intercepted(environment: Context.Context<never>): Effect.Effect<Ended, Failed> {
    const installed = installedIn(environment)
    const stages = Effect.contextWith((innermost: Context.Context<never>) =>
      // What was left behind when the run was cancelled starts nothing any more.
      this.isCancelled ? Effect.interrupt : this.stages(innermost, installed)
    )
    const around = runAround([...installed, ...this.pipeline.interceptors], {
      pipeline: this.plan.pipeline,
      snapshot: this.snapshot
    })
    // What they add to errors and services is in the pipeline's type.
    return Effect.provideContext(around(stages), environment) as Effect.Effect<Ended, Failed>
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
    const conducted = conduct(state, {
      concurrency: this.options.concurrency,
      grace: this.graceIn(environment),
      installed,
      context,
      onConclusion: (conclusion) => {
        this.conclusion = conclusion
      }
    })
    return Effect.flatMap(conducted, (conclusion) => {
      Deferred.doneUnsafe(this.ended, Exit.void)
      return conclusion._tag === "Completed" ? this.withValue(conclusion, state) : endOf(conclusion)
    })
  }

  /** The result with what the pipeline returns. */
  private withValue(completed: Completed<unknown>, state: ActiveRun): Effect.Effect<Ended, Failed> {
    const { value } = this.plan
    if (value === undefined) return Effect.succeed(completed as Ended)
    const read = valueOf(completed, value, state.inputs) as Effect.Effect<unknown> // its error is in the pipeline's type
    return Effect.map(read, (value) => ({ ...completed, value }) as Ended)
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
    const state = new ActiveRun(this.plan, current, identity, this.lineage, this.announcer, this.clock, {
      continueAfterFailure: this.options.continueAfterFailure,
      pick: Context.get(environment, ReadyOrder)
    })
    this.state = state
    const context = Context.merge(environment, extensionsOf(current))
    return { state, context: Context.add(context, InterruptionGrace, this.graceIn(environment)) }
  }

  /** Waits until the stages have ended, or were left behind after the grace. */
  get stagesEnded(): Effect.Effect<void> {
    return Deferred.await(this.ended)
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

  /** The run is over: `exit` is what it ended with, `released` how the release of its layers went. */
  end(exit: Exit.Exit<Ended, Failed>, released: Exit.Exit<unknown>): Exit.Exit<Ended, Failed> {
    const end = released._tag === "Failure" ? withRelease(exit, released.cause) : exit
    const elapsedMs = Number(this.clock.monotonicTimeNanosUnsafe() - this.startedNanos) / 1_000_000
    this.announcer?.runEnded(Exit.hasInterrupts(end) ? this.endBeforeInterruption ?? end : end, elapsedMs)
    return end
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

/** A release that went wrong: a failed stage stays the error of the run, anything else is overruled. */
const withRelease = (exit: Exit.Exit<Ended, Failed>, cause: Cause.Cause<never>): Exit.Exit<Ended, Failed> => {
  if (exit._tag === "Success") return Exit.failCause(cause)
  const failed = Option.getOrUndefined(Cause.findErrorOption(exit.cause))
  if (!(failed instanceof StageFailed)) return Exit.failCause(Cause.combine(exit.cause, cause))
  const both = new StageFailed({ ...failed, cause: Cause.combine(failed.cause, cause) })
  if (isRefusal(failed)) noteRejection(both)
  return Exit.fail(both)
}

export const run = (
  self: Runnable,
  snapshot: Snapshot,
  given: RunOptions | undefined
): Effect.Effect<Ended, Failed | LayerFailed | PipelineInvalid> => {
  const options = check(snapshot, given)
  return Effect.flatMap(planOf(self), (plan) =>
    Effect.contextWith((outside: Context.Context<never>) => {
      const run = new OneRun(self, plan, snapshot, options, [], outside)
      if (self.layers.length === 0) {
        return Effect.onExitPrimitive(run.intercepted(outside), (exit) => {
          run.end(exit, Exit.void)
          return undefined
        })
      }
      return Effect.uninterruptibleMask((restore) =>
        runWithLayers(run, self, (inside) =>
          restore(Effect.flatMap(inside, (environment) =>
            run.intercepted(environment))))
      )
    }))
}

const runWithLayers = Effect.fnUntraced(function*(
  run: OneRun,
  self: Runnable,
  use: (environment: Effect.Effect<Context.Context<never>, LayerFailed>) => Effect.Effect<Ended, Failed | LayerFailed>
): Effect.fn.Return<Ended, Failed | LayerFailed> {
  const layers = yield* Scope.make()
  const exit = yield* Effect.exit(use(environmentIn(self, layers)))
  const released = yield* Effect.exit(Scope.close(layers, exit))
  return yield* run.end(exit as Exit.Exit<Ended, Failed>, released)
})

// ---------------------------------------------------------------------------------------------------------------------
// a run and its handle
// ---------------------------------------------------------------------------------------------------------------------

const statusOf = ({ stages }: Plan, run: ActiveRun | undefined): Readonly<Record<string, StageStatus>> => {
  const record: Record<string, StageStatus> = {}
  for (const { index, name } of stages) define(record, name, run?.statuses[index] ?? "pending")
  return record
}

/**
 * Waits for the end of a run that can be cancelled. Cancelled before its stages start, it does not wait for what is around
 * them; cancelled later, what is around them gets the grace.
 */
const awaitOrCancel = Effect.fnUntraced(function*(
  run: OneRun,
  environment: Context.Context<never>,
  cancelled: Deferred.Deferred<Cancellation>,
  restore: <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
): Effect.fn.Return<Ended, Failed> {
  const grace = run.graceIn(environment)
  const fiber = yield* Effect.forkDetach(run.intercepted(environment), { startImmediately: true })
  const first = yield* restore(Effect.raceFirst(Fiber.await(fiber), Deferred.await(cancelled))).pipe(
    Effect.onInterrupt(() => Fiber.interrupt(fiber))
  )
  if (Exit.isExit(first)) return yield* first
  if (run.cancelStages(first)) {
    yield* run.stagesEnded
    yield* within(Fiber.await(fiber), grace)
    fiber.interruptUnsafe()
  } else {
    yield* interruptWithin([fiber], grace)
  }
  const exit = fiber.pollUnsafe()
  // What is around the stages may still say no; what it had no time to say is not waited for.
  return yield* exit === undefined || Exit.hasInterrupts(exit) ? run.endAsCancelled(environment, first) : exit
})

const begin = Effect.fnUntraced(function*(
  self: Runnable,
  snapshot: Snapshot,
  options: CheckedOptions
): Effect.fn.Return<Run<Ended, Failed>, LayerFailed | PipelineInvalid, Scope.Scope> {
  const plan = yield* planOf(self)
  const log = new EventLog()
  const result = yield* Deferred.make<Ended, Failed>()
  const run = new OneRun(self, plan, snapshot, options, [log.append], yield* Effect.context<never>())
  const layers = yield* Scope.fork(yield* Scope.Scope)
  const environment = yield* environmentIn(self, layers).pipe(
    Effect.onExit((exit) =>
      Effect.sync(() => {
        if (exit._tag === "Failure") run.end(exit as Exit.Exit<never, never>, Exit.void)
      })
    )
  )
  const cancelled = yield* Deferred.make<Cancellation>()
  const toEnd = Effect.uninterruptibleMask((restore) =>
    Effect.gen(function*() {
      const exit = yield* Effect.exit(awaitOrCancel(run, environment, cancelled, restore))
      const end = run.end(exit, yield* Effect.exit(Scope.close(layers, exit)))
      log.end()
      Deferred.doneUnsafe(result, end)
    })
  )
  yield* Effect.forkScoped(toEnd, { startImmediately: true })
  return {
    lineage: run.lineage,
    await: Deferred.await(result),
    cancel: (reason, cancelOptions) =>
      Effect.suspend(() => {
        Deferred.doneUnsafe(cancelled, Effect.succeed({ reason, data: immutable(cancelOptions?.data ?? {}) }))
        return Effect.asVoid(Effect.exit(Deferred.await(result)))
      }),
    events: log.stream,
    status: Effect.sync(() => statusOf(plan, run.state))
  }
})

/** Starts a run in a fiber that belongs to the scope. */
export const start = (
  self: Runnable,
  snapshot: Snapshot,
  given: RunOptions | undefined
): Effect.Effect<Run<Ended, Failed>, LayerFailed | PipelineInvalid, Scope.Scope> =>
  begin(self, snapshot, check(snapshot, given))
