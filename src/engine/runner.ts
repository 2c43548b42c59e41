/**
 * Runs a pipeline: sets up its run in the environment of the caller, and puts around it what wraps whole runs.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import { constVoid } from "effect/Function"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import * as Random from "effect/Random"
import * as Scope from "effect/Scope"
import { runArounds } from "../attempt/composition.ts"
import { installedIn } from "../attempt/installed.ts"
import type { Any as AnyInterceptor, RunInfo } from "../attempt/interceptor-model.ts"
import { EventSink } from "../EventSink.ts"
import { immutable } from "../internal/immutable.ts"
import { InterruptionGrace } from "../internal/interruption.ts"
import * as options from "../internal/options.ts"
import { define } from "../internal/record.ts"
import { complete, extensionsOf, ProvenIdentity, type RunIdentity, Snapshot } from "../internal/snapshot-model.ts"
import type { PipelineInvalid } from "../PipelineInvalid.ts"
import type { Run, RunOptions, StageStatus } from "../Run.ts"
import { LayerFailed, StageFailed } from "../RunResult.ts"
import { type Lineage, StageContext } from "../StageContext.ts"
import { ActiveRun } from "./active-run.ts"
import { Announcer, type Listener } from "./announcer.ts"
import type { Conclusion } from "./conclusion.ts"
import { type Conducted, conducted } from "./conductor.ts"
import { EventLog } from "./event-log.ts"
import { identityOf, lineageOf } from "./identity.ts"
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
  readonly interruptionGrace: RunOptions["interruptionGrace"]
}

const optionNames: ReadonlyArray<keyof RunOptions> = ["concurrency", "failure", "interruptionGrace"]

// Options are checked when the run is made, not when it starts.
const check = (snapshot: Snapshot, given: RunOptions | undefined): CheckedOptions => {
  options.ofKind("snapshot", "a Snapshot; see Snapshot.make", isSnapshot, snapshot)
  const { concurrency, failure, interruptionGrace } = given === undefined
    ? {}
    : options.fields<RunOptions>("options", optionNames, given)
  if (interruptionGrace !== undefined) options.duration("interruptionGrace", interruptionGrace)
  return {
    concurrency: concurrency === undefined ? Infinity : options.concurrency("concurrency", concurrency),
    continueAfterFailure: failure !== undefined
      && options.oneOf("failure", ["fail-fast", "continue"], failure) === "continue",
    interruptionGrace
  }
}

const isSnapshot = (given: unknown): given is Snapshot => given instanceof Snapshot

// ---------------------------------------------------------------------------------------------------------------------
// the environment
// ---------------------------------------------------------------------------------------------------------------------

/** Who a run belongs to and where it stands. */
interface Belonging {
  readonly identity: RunIdentity
  readonly lineage: Lineage
}

const belongingIn = (snapshot: Snapshot, environment: Context.Context<never>): Belonging => {
  const parent = Option.getOrUndefined(Context.getOption(environment, StageContext))
  const proven = Context.get(environment, ProvenIdentity)
  const identity = identityOf(snapshot, parent, proven, Context.get(environment, Random.Random))
  return { identity, lineage: lineageOf(identity, parent) }
}

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

const withEnvironment = <A, E>(
  self: Runnable,
  use: (environment: Context.Context<never>) => Effect.Effect<A, E>
): Effect.Effect<A, E | LayerFailed> =>
  self.layers.length === 0
    ? Effect.flatMap(Effect.context<never>(), use)
    : Effect.scoped(Effect.gen(function*() {
      const scope = yield* Scope.Scope
      return yield* use(yield* environmentIn(self, scope))
    }))

// ---------------------------------------------------------------------------------------------------------------------
// one run
// ---------------------------------------------------------------------------------------------------------------------

const offerTo = (sink: EventSink["Service"]): Listener => (event) => {
  const given: unknown = sink.offer(event)
  // An async function passes for `offer`: what it rejects with is ignored like what it throws.
  if (Predicate.isPromiseLike(given)) given.then(undefined, constVoid)
}

/** A run to be: of a plan, with a snapshot, under options, told to listeners. */
interface RunToBe {
  readonly plan: Plan
  readonly snapshot: Snapshot
  readonly options: CheckedOptions
  readonly listeners: ReadonlyArray<Listener>
  readonly installed: ReadonlyArray<AnyInterceptor>
}

/** Sets up a run in the environment of the fiber that asks for it. */
const setUp = (
  { installed, listeners, options: given, plan, snapshot }: RunToBe,
  { identity, lineage }: Belonging,
  environment: Context.Context<never>
): { readonly run: Conducted; readonly execute: Effect.Effect<Ended, Failed> } => {
  const clock = Context.get(environment, Clock.Clock)
  const sink = Option.getOrUndefined(Context.getOption(environment, EventSink))
  const heard = sink === undefined ? listeners : [...listeners, offerTo(sink)]
  const announcer = heard.length === 0 ? undefined : new Announcer(plan.pipeline, lineage, heard, clock)
  const current = complete(snapshot, identity)
  const state = new ActiveRun(plan, current, identity, lineage, announcer, clock, {
    continueAfterFailure: given.continueAfterFailure,
    pick: Context.get(environment, ReadyOrder)
  })
  const grace = given.interruptionGrace === undefined
    ? Context.get(environment, InterruptionGrace)
    : options.duration("interruptionGrace", given.interruptionGrace)
  const run = conducted(state, { concurrency: given.concurrency, grace, installed })
  const context = Context.merge(environment, extensionsOf(current)).pipe(Context.add(InterruptionGrace, grace))
  return { run, execute: Effect.flatMap(Effect.provideContext(run.execute, context), endOf) }
}

const endOf = (conclusion: Conclusion): Effect.Effect<Ended, Failed> =>
  conclusion instanceof StageFailed ? Effect.fail(conclusion) : Effect.succeed(conclusion)

/** The run with every interceptor around it that wraps whole runs. */
const intercepted = <A, E>(
  { interceptors, name }: Runnable,
  { installed, snapshot }: RunToBe,
  effect: Effect.Effect<A, E>
): Effect.Effect<A, E> => {
  const arounds = runArounds([...installed, ...interceptors])
  const info: RunInfo = { pipeline: name, snapshot }
  // What they add to errors and services is in the pipeline's type.
  return arounds.reduceRight<Effect.Effect<A, unknown, unknown>>(
    (inner, around) => around(inner, info),
    effect
  ) as Effect.Effect<A, E>
}

export const run = (
  self: Runnable,
  snapshot: Snapshot,
  given: RunOptions | undefined
): Effect.Effect<Ended, Failed | LayerFailed | PipelineInvalid> => {
  const options = check(snapshot, given)
  return Effect.flatMap(planOf(self), (plan) =>
    withEnvironment(self, (environment) => {
      const toBe: RunToBe = { plan, snapshot, options, listeners: [], installed: installedIn(environment) }
      const execute = Effect.contextWith((innermost: Context.Context<never>) =>
        setUp(toBe, belongingIn(snapshot, innermost), innermost).execute
      )
      return Effect.provideContext(intercepted(self, toBe, execute), environment)
    }))
}

// ---------------------------------------------------------------------------------------------------------------------
// a run and its handle
// ---------------------------------------------------------------------------------------------------------------------

const statusOf = ({ stages }: Plan, run: Conducted | undefined): Readonly<Record<string, StageStatus>> => {
  const record: Record<string, StageStatus> = {}
  for (const { index, name } of stages) define(record, name, run?.state.statuses[index] ?? "pending")
  return record
}

type Cancel = (run: Conducted) => void

const begin = Effect.fnUntraced(function*(
  self: Runnable,
  snapshot: Snapshot,
  options: CheckedOptions
): Effect.fn.Return<Run<Ended, Failed>, LayerFailed | PipelineInvalid, Scope.Scope> {
  const plan = yield* planOf(self)
  const log = new EventLog()
  const result = yield* Deferred.make<Ended, Failed>()
  const layers = yield* Scope.fork(yield* Scope.Scope)
  const environment = yield* environmentIn(self, layers)
  // The ids of the run are known before an interceptor may keep it waiting.
  const { identity, lineage } = belongingIn(snapshot, environment)
  const named = complete(snapshot, identity)
  const toBe: RunToBe = {
    plan,
    snapshot: named,
    options,
    listeners: [log.append],
    installed: installedIn(environment)
  }
  // Set once the run is past the interceptors around it.
  let run: Conducted | undefined
  // A cancel that comes before does not wait for them: the run ends without having started a stage.
  const early = yield* Deferred.make<Cancel>()
  const executeIn = (innermost: Context.Context<never>, cancel?: Cancel) => {
    const ready = setUp(toBe, belongingIn(named, innermost), innermost)
    run = ready.run
    cancel?.(run)
    return ready.execute
  }
  const execute = Effect.contextWith((innermost: Context.Context<never>) =>
    Deferred.isDoneUnsafe(early) ? Effect.never : executeIn(innermost)
  )
  const cancelled = Effect.flatMap(Deferred.await(early), (cancel) => executeIn(environment, cancel))
  yield* Effect.raceFirst(intercepted(self, { ...toBe, snapshot }, execute), cancelled).pipe(
    Effect.provideContext(environment),
    Effect.onExit((exit) => Scope.close(layers, exit)),
    Effect.onExit((exit) =>
      Effect.sync(() => {
        log.end()
        Deferred.doneUnsafe(result, exit)
      })
    ),
    Effect.forkScoped({ startImmediately: true })
  )
  return {
    lineage,
    await: Deferred.await(result),
    cancel: (reason, cancelOptions) =>
      Effect.suspend(() => {
        const cancel: Cancel = (conducted) => conducted.cancel(reason, immutable(cancelOptions?.data ?? {}))
        if (run === undefined) Deferred.doneUnsafe(early, Effect.succeed(cancel))
        else cancel(run)
        return Effect.asVoid(Effect.exit(Deferred.await(result)))
      }),
    events: log.stream,
    status: Effect.sync(() => statusOf(plan, run))
  }
})

/** Starts a run in a fiber that belongs to the scope. */
export const start = (
  self: Runnable,
  snapshot: Snapshot,
  given: RunOptions | undefined
): Effect.Effect<Run<Ended, Failed>, LayerFailed | PipelineInvalid, Scope.Scope> =>
  begin(self, snapshot, check(snapshot, given))
