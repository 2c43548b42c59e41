/**
 * Wraps stages without changing them: timeouts, retries, limits, authentication, tracing.
 *
 * An interceptor is a function around a stage's Effect. What it can fail with and which services it needs become part
 * of the pipeline's types. It is composed once per pipeline, not once per run. One inside a retry is entered for every
 * attempt, one outside of it once for all of them.
 *
 * ```ts
 * import { Effect } from "effect"
 * import { Interceptor } from "stageflow"
 *
 * const logged = Interceptor.make({
 *   name: "logged",
 *   around: (effect, stage) => Effect.tap(effect, (output) => Effect.logDebug(stage.name, output._tag))
 * })
 * ```
 *
 * There are three places for one: a stage (`Stage.intercept`), a pipeline (`Pipeline.intercept`), and everything below
 * a Layer (`Interceptor.layer`). A stage's own are innermost. Those of Layers and of the pipeline are sorted together: the
 * one with the lower `order` is further out; equal orders keep the order in which they were given, Layers first.
 */
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { gateOrder } from "./attempt/gate.ts"
import { enclosed, newKey, withoutSurroundings } from "./attempt/installed.ts"
import {
  type Around,
  type AroundRun,
  build,
  type FailsRun,
  type Interceptor,
  type Outcome,
  type RunEnd,
  type RunErrors,
  type RunInfo,
  type RunServices,
  type StageErrors,
  type StageInfo,
  type StageServices
} from "./attempt/interceptor-model.ts"
import * as check from "./internal/options.ts"
import type { StageContext } from "./StageContext.ts"
import type { RunRejected } from "./StageError.ts"

export { combine, isInterceptor } from "./attempt/interceptor-model.ts"
export type {
  Any,
  ErrorOf,
  FailsRun,
  Interceptor,
  Outcome,
  ProvidedBy,
  RunEnd,
  RunErrors,
  RunInfo,
  RunServices,
  ServicesOf,
  StageErrors,
  StageInfo,
  StageServices
} from "./attempt/interceptor-model.ts"

/**
 * Makes an interceptor from a function around a stage's Effect, a function around the whole run, or both.
 *
 * Fail the Effect to deny: what it wraps does not run, and the run fails with your error. `around` wraps every stage;
 * its error arrives inside `StageFailed`. `aroundRun` wraps the run once, before any stage starts; its error fails the
 * run as it is. To give stages a service, name its key in `provides` and provide it to `effect`.
 *
 * Return an outcome that the effect gave you, or an `Ok`: readers rely on what the stage's own type says about skipping.
 */
export const make = <
  E = never,
  R = never,
  E2 = never,
  R2 = never,
  const Keys extends ReadonlyArray<Context.Key<any, any>> = []
>(options: {
  readonly name: string
  /** Lower is further out. 100 when left out, and 29 for a gate. */
  readonly order?: number | undefined
  /**
   * Whether `around` asks if the stage may run at all. On a single stage a gate goes outside of everything that could
   * answer for the stage (a cache, a fallback, a retry), wherever that was put; inside of tracing and metrics.
   */
  readonly gate?: boolean | undefined
  /** The services that `around` provides to the stage, or `aroundRun` to all of them. */
  readonly provides?: Keys | undefined
  readonly around?: (
    effect: Effect.Effect<Outcome, StageErrors, StageServices | Keys[number]["Identifier"]>,
    stage: StageInfo
  ) => Effect.Effect<Outcome, E, R>
  readonly aroundRun?: (
    effect: Effect.Effect<RunEnd, RunErrors, RunServices | Keys[number]["Identifier"]>,
    run: RunInfo
  ) => Effect.Effect<RunEnd, E2, R2>
}): Interceptor<
  Exclude<E, StageErrors> | ([E2] extends [never] ? never : FailsRun<Exclude<E2, RunErrors> | RunRejected>),
  Exclude<R | R2, StageServices | RunServices | StageContext>,
  Keys[number]["Identifier"]
> => {
  checkOptions(options)
  // The placeholders stand for what stage and run really have; Effect does not look at types when it runs.
  return Object.assign(
    build<never, never, never>(options.name, options.order ?? (options.gate === true ? gateOrder : 100), {
      around: options.around as unknown as Around | undefined,
      aroundRun: options.aroundRun as unknown as AroundRun | undefined
    }),
    { isGate: options.gate === true }
  )
}

const isOrder = (given: unknown): given is number => typeof given === "number" && !Number.isNaN(given)

const checkOptions = (given: {
  readonly name: string
  readonly order?: number | undefined
  readonly gate?: boolean | undefined
  readonly provides?: unknown
  readonly around?: Function | undefined
  readonly aroundRun?: Function | undefined
}): void => {
  check.only(["name", "order", "gate", "provides", "around", "aroundRun"], given)
  check.name("name", given.name)
  const { around, aroundRun, gate, order } = given
  if (order !== undefined) check.ofKind("order", "a number", isOrder, order)
  if (gate !== undefined) check.flag("gate", gate)
  if (aroundRun !== undefined) check.callable("aroundRun", aroundRun)
  if (around !== undefined) check.callable("around", around)
}

/**
 * Installs an interceptor around the stages of every pipeline that runs below the Layer.
 *
 * The pipelines' types were settled elsewhere, so a failure of such an interceptor arrives as a `StageFault` with the
 * reason `InterceptorFailed`, which holds the error; one that denies whole runs makes them die with `RunRejected`. Its
 * services are taken from where the Layer is built.
 */
export const layer = <E, R>(interceptor: Interceptor<E, R>): Layer.Layer<never, never, R> => {
  const key = newKey()
  return Layer.effect(
    key,
    Effect.map(Effect.context<R>(), (context) => enclosed(interceptor, withoutSurroundings(context)))
  )
}
