/**
 * From a pipeline, a snapshot and options to a run.
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
import type * as Result from "effect/Result"
import * as Scope from "effect/Scope"
import { EventSink } from "../EventSink.ts"
import { type Any as Interceptor, installedIn, runArounds, type RunInfo } from "../Interceptor.ts"
import { immutable } from "../internal/immutable.ts"
import { InterruptionGrace } from "../internal/interruption.ts"
import * as options from "../internal/options.ts"
import { define } from "../internal/record.ts"
import type { PipelineInvalid } from "../PipelineInvalid.ts"
import type { Run, RunOptions, StageStatus } from "../Run.ts"
import { LayerFailed, StageFailed } from "../RunResult.ts"
import { complete, extensionsOf, isSnapshot, type Snapshot } from "../Snapshot.ts"
import { StageContext } from "../StageContext.ts"
import { InvalidOption } from "../StageError.ts"
import { ActiveRun } from "./active-run.ts"
import { type Listener, Telling } from "./announcer.ts"
import type { Plan } from "./compile.ts"
import type { Conclusion } from "./conclusion.ts"
import { prepare, type Prepared } from "./conductor.ts"
import { EventLog } from "./event-log.ts"
import { identityOf, lineageOf, ProvenIdentity } from "./identity.ts"
import { ReadyOrder } from "./ready-order.ts"

/** What of a pipeline it takes to run it. */
export interface Runnable {
  readonly name: string
  readonly plan: Result.Result<Plan, PipelineInvalid>
  readonly layers: ReadonlyArray<Layer.Layer<unknown, unknown, unknown>>
  readonly interceptors: ReadonlyArray<Interceptor>
}

type Ended = Exclude<Conclusion, StageFailed>
type Failed = StageFailed<unknown, unknown>

interface Checked {
  readonly concurrency: number
  readonly continueAfterFailure: boolean
  readonly interruptionGrace: RunOptions["interruptionGrace"]
}

// Options are checked when the run is made, not when it starts.
const check = (snapshot: Snapshot, given: RunOptions | undefined): Checked => {
  if (!isSnapshot(snapshot)) {
    throw new InvalidOption({ option: "snapshot", expected: "a Snapshot; see Snapshot.make", given: typeof snapshot })
  }
  if (given?.interruptionGrace !== undefined) options.duration("interruptionGrace", given.interruptionGrace)
  return {
    concurrency: given?.concurrency === undefined ? Infinity : options.concurrency("concurrency", given.concurrency),
    continueAfterFailure: given?.failure === "continue",
    interruptionGrace: given?.interruptionGrace
  }
}

/** Who a run belongs to and where it stands, in the environment of whoever runs it. */
const identified = (snapshot: Snapshot, environment: Context.Context<never>) => {
  const parent = Option.getOrUndefined(Context.getOption(environment, StageContext))
  const proven = Context.get(environment, ProvenIdentity)
  const identity = identityOf(snapshot, parent, proven, Context.get(environment, Random.Random))
  return { identity, lineage: lineageOf(identity, parent) }
}

const offerTo = (sink: EventSink["Service"]): Listener => (event) => {
  const given: unknown = sink.offer(event)
  // An async function passes for `offer`: what it rejects with is ignored like what it throws.
  if (Predicate.isPromiseLike(given)) given.then(undefined, constVoid)
}

/** Sets up a run in the environment of the fiber that asks for it. */
const setUp = (
  plan: Plan,
  snapshot: Snapshot,
  settings: Checked,
  listeners: ReadonlyArray<Listener>,
  environment: Context.Context<never>
): { readonly prepared: Prepared; readonly context: Context.Context<never> } => {
  const clock = Context.get(environment, Clock.Clock)
  const sink = Option.getOrUndefined(Context.getOption(environment, EventSink))
  const { identity, lineage } = identified(snapshot, environment)
  const heard = sink === undefined ? listeners : [...listeners, offerTo(sink)]
  const telling = heard.length === 0 ? undefined : new Telling(plan.pipeline, lineage, heard, clock)
  const current = complete(snapshot, identity)
  const run = new ActiveRun(plan, current, identity, lineage, telling, clock, {
    continueAfterFailure: settings.continueAfterFailure,
    pick: Context.get(environment, ReadyOrder)
  })
  const grace = settings.interruptionGrace === undefined
    ? Context.get(environment, InterruptionGrace)
    : options.duration("interruptionGrace", settings.interruptionGrace)
  const context = Context.merge(environment, extensionsOf(current)).pipe(Context.add(InterruptionGrace, grace))
  return { prepared: prepare(run, { concurrency: settings.concurrency, grace, clock }, context), context }
}

const settled = (conclusion: Conclusion): Effect.Effect<Ended, Failed> =>
  conclusion instanceof StageFailed ? Effect.fail(conclusion) : Effect.succeed(conclusion)

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

/** The run with every interceptor around it that wraps whole runs. */
const intercepted = <A, E>(
  self: Runnable,
  snapshot: Snapshot,
  environment: Context.Context<never>,
  effect: Effect.Effect<A, E>
): Effect.Effect<A, E> => {
  const arounds = runArounds([...installedIn(environment), ...self.interceptors])
  const info: RunInfo = { pipeline: self.name, snapshot }
  // What they add to errors and services is in the pipeline's type.
  return arounds.reduceRight<Effect.Effect<A, unknown, unknown>>(
    (inner, around) => around(inner, info),
    effect
  ) as Effect.Effect<A, E>
}

const planOf = ({ plan }: Runnable): Effect.Effect<Plan, PipelineInvalid> => Effect.fromResult(plan)

export const run = (
  self: Runnable,
  snapshot: Snapshot,
  given: RunOptions | undefined
): Effect.Effect<Ended, Failed | LayerFailed | PipelineInvalid> => {
  const settings = check(snapshot, given)
  return Effect.flatMap(Effect.suspend(() => planOf(self)), (plan) =>
    withEnvironment(self, (environment) => {
      const execute = Effect.contextWith((innermost: Context.Context<never>) => {
        const { context, prepared } = setUp(plan, snapshot, settings, [], innermost)
        return Effect.flatMap(Effect.provideContext(prepared.execute, context), settled)
      })
      return Effect.provideContext(intercepted(self, snapshot, environment, execute), environment)
    }))
}

const statusOf = ({ stages }: Plan, prepared: Prepared | undefined): Readonly<Record<string, StageStatus>> => {
  const record: Record<string, StageStatus> = {}
  for (const { index, name } of stages) define(record, name, prepared?.run.statuses[index] ?? "pending")
  return record
}

type Cancel = (prepared: Prepared) => void

const begin = Effect.fnUntraced(function*(
  self: Runnable,
  snapshot: Snapshot,
  settings: Checked
): Effect.fn.Return<Run<Ended, Failed>, LayerFailed | PipelineInvalid, Scope.Scope> {
  const plan = yield* planOf(self)
  const log = new EventLog()
  const result = yield* Deferred.make<Ended, Failed>()
  const layers = yield* Scope.fork(yield* Scope.Scope)
  const environment = yield* environmentIn(self, layers)
  // The ids of the run are known before an interceptor may keep it waiting.
  const { identity, lineage } = identified(snapshot, environment)
  const named = complete(snapshot, identity)
  // Set once the run is past the interceptors around it.
  let prepared: Prepared | undefined
  // A cancel that comes before does not wait for them: the run ends without having started a stage.
  const early = yield* Deferred.make<Cancel>()
  const executeIn = (innermost: Context.Context<never>, cancel?: Cancel) => {
    const ready = setUp(plan, named, settings, [log.append], innermost)
    prepared = ready.prepared
    cancel?.(prepared)
    return Effect.flatMap(Effect.provideContext(prepared.execute, ready.context), settled)
  }
  const execute = Effect.contextWith((innermost: Context.Context<never>) =>
    Deferred.isDoneUnsafe(early) ? Effect.never : executeIn(innermost)
  )
  const cancelled = Effect.flatMap(Deferred.await(early), (cancel) => executeIn(environment, cancel))
  yield* Effect.raceFirst(intercepted(self, snapshot, environment, execute), cancelled).pipe(
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
        const cancel: Cancel = (run) => run.cancel(reason, immutable(cancelOptions?.data ?? {}))
        if (prepared === undefined) Deferred.doneUnsafe(early, Effect.succeed(cancel))
        else cancel(prepared)
        return Effect.asVoid(Effect.exit(Deferred.await(result)))
      }),
    events: log.stream,
    status: Effect.sync(() => statusOf(plan, prepared))
  }
})

/** Starts a run in a fiber that belongs to the scope. */
export const start = (
  self: Runnable,
  snapshot: Snapshot,
  given: RunOptions | undefined
): Effect.Effect<Run<Ended, Failed>, LayerFailed | PipelineInvalid, Scope.Scope> =>
  begin(self, snapshot, check(snapshot, given))
