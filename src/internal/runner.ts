/**
 * From a pipeline, a snapshot and options to a run.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Random from "effect/Random"
import type * as Result from "effect/Result"
import * as Scope from "effect/Scope"
import { EventSink } from "../EventSink.ts"
import type { PipelineInvalid } from "../PipelineInvalid.ts"
import type { Run, RunOptions, StageStatus } from "../Run.ts"
import { LayerFailed, StageFailed } from "../RunResult.ts"
import { complete, extensionsOf, isSnapshot, type Snapshot } from "../Snapshot.ts"
import { StageContext } from "../StageContext.ts"
import { InvalidOption } from "../StageError.ts"
import { ActiveRun } from "./active-run.ts"
import type { Conclusion } from "./conclude.ts"
import { EventLog } from "./event-log.ts"
import { prepare, type Prepared } from "./execute.ts"
import { identityOf, lineageOf } from "./identity.ts"
import { immutable } from "./immutable.ts"
import { InterruptionGrace } from "./interruption.ts"
import * as options from "./options.ts"
import type { Plan } from "./plan.ts"
import { ReadyOrder } from "./ready-order.ts"
import { define } from "./record.ts"
import { type Listener, Telling } from "./telling.ts"

/** What of a pipeline it takes to run it. */
export interface Runnable {
  readonly name: string
  readonly plan: Result.Result<Plan, PipelineInvalid>
  readonly layers: ReadonlyArray<Layer.Layer<unknown, unknown, unknown>>
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
    concurrency: options.concurrency("concurrency", given?.concurrency ?? "unbounded"),
    continueAfterFailure: given?.failure === "continue",
    interruptionGrace: given?.interruptionGrace
  }
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
  const parent = Option.getOrUndefined(Context.getOption(environment, StageContext))
  const sink = Option.getOrUndefined(Context.getOption(environment, EventSink))
  const identity = identityOf(snapshot, parent, Context.get(environment, Random.Random))
  const lineage = lineageOf(identity, parent)
  const heard = sink === undefined ? listeners : [...listeners, (event: Parameters<Listener>[0]) => sink.offer(event)]
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

const planOf = ({ plan }: Runnable): Effect.Effect<Plan, PipelineInvalid> => Effect.fromResult(plan)

export const run = (
  self: Runnable,
  snapshot: Snapshot,
  given: RunOptions | undefined
): Effect.Effect<Ended, Failed | LayerFailed | PipelineInvalid> => {
  const settings = check(snapshot, given)
  return Effect.flatMap(Effect.suspend(() => planOf(self)), (plan) =>
    withEnvironment(self, (environment) => {
      const { context, prepared } = setUp(plan, snapshot, settings, [], environment)
      return Effect.flatMap(Effect.provideContext(prepared.execute, context), settled)
    }))
}

const statusOf = ({ run: { plan, statuses } }: Prepared): Readonly<Record<string, StageStatus>> => {
  const record: Record<string, StageStatus> = {}
  for (const { index, name } of plan.stages) define(record, name, statuses[index] ?? "pending")
  return record
}

/** Starts a run in a fiber that belongs to the scope. */
export const start = Effect.fnUntraced(function*(
  self: Runnable,
  snapshot: Snapshot,
  given: RunOptions | undefined
): Effect.fn.Return<Run<Ended, Failed>, LayerFailed | PipelineInvalid, Scope.Scope> {
  const settings = check(snapshot, given)
  const plan = yield* planOf(self)
  const log = new EventLog()
  const result = yield* Deferred.make<Ended, Failed>()
  const layers = yield* Scope.fork(yield* Scope.Scope)
  const environment = yield* environmentIn(self, layers)
  const { context, prepared } = setUp(plan, snapshot, settings, [log.append], environment)
  const execute = Effect.flatMap(Effect.provideContext(prepared.execute, context), settled)
  yield* execute.pipe(
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
    lineage: prepared.run.lineage,
    await: Deferred.await(result),
    cancel: (reason, cancelOptions) =>
      Effect.suspend(() => {
        prepared.cancel(reason, immutable(cancelOptions?.data ?? {}))
        return Effect.asVoid(Effect.exit(Deferred.await(result)))
      }),
    events: log.stream,
    status: Effect.sync(() => statusOf(prepared))
  }
})
