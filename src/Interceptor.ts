/**
 * What wraps stages without touching them: timeouts, retries, limits, authentication, tracing.
 *
 * An interceptor is a function around a stage's Effect. What it can fail with and which services it needs become part
 * of the pipeline's types. It is composed once per pipeline, not once per run, and sees every attempt of every stage.
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
 * a Layer (`Interceptor.layer`). They nest in that order, the Layer's outermost. Among those of Layers and pipeline the
 * one with the lower `order` is further out; equal orders keep the order in which they were given.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { type Pipeable, pipeArguments } from "effect/Pipeable"
import type { StageContext } from "./StageContext.ts"
import { StageFault } from "./StageError.ts"
import type { Cancel, Ok, Retry, Skip } from "./StageOutput.ts"

const TypeId = "~stageflow/Interceptor"

/**
 * What a wrapped stage ends with when it does not fail. A returned `Fail` arrives as a failure of the Effect.
 */
export type Outcome = Ok<unknown> | Skip | Cancel | Retry

/**
 * What an interceptor is told of the stage it wraps.
 */
export interface StageInfo {
  readonly name: string
  readonly kind: string
  readonly pipeline: string
  readonly annotations: Context.Context<never>
}

declare const Inner: unique symbol

/**
 * Stands for whatever the wrapped stage can fail with.
 */
export interface StageErrors {
  readonly [Inner]: "error"
}

/**
 * Stands for whatever the wrapped stage needs.
 */
export interface StageServices {
  readonly [Inner]: "services"
}

/**
 * A wrapper around stages that can fail with `Error`, needs `Services` and gives stages the services `Provided`.
 */
export interface Interceptor<out Error = never, out Services = never, out Provided = never> extends Pipeable {
  readonly [TypeId]: {
    readonly error: Error
    readonly services: Services
    readonly provided: Provided
  }
  readonly name: string
  readonly order: number
}

/**
 * Any interceptor.
 */
export type Any = Interceptor<unknown, unknown, unknown>

/** @internal */
export type StageEffect = Effect.Effect<Outcome, unknown, unknown>

/** @internal */
export type Around = (effect: StageEffect, stage: StageInfo) => StageEffect

interface Internal extends Any {
  readonly around: Around
}

const Prototype = {
  [TypeId]: { error: undefined, services: undefined, provided: undefined },
  pipe() {
    return pipeArguments(this, arguments)
  }
}

const build = <E, R, P>(name: string, order: number, around: Around): Interceptor<E, R, P> =>
  Object.assign(Object.create(Prototype) as Interceptor<E, R, P>, { name, order, around })

/**
 * Makes an interceptor from a function around a stage's Effect.
 *
 * Fail the Effect to deny: the stage's body does not run, and the run fails with your error. To give stages a service,
 * name its key in `provides` and provide it to `effect`.
 *
 * Return an outcome that the effect gave you, or an `Ok`: readers rely on what the stage's own type says about skipping.
 */
export const make = <E, R, const Keys extends ReadonlyArray<Context.Key<any, any>> = []>(options: {
  readonly name: string
  /** Lower is further out. 100 when left out. */
  readonly order?: number | undefined
  /** The services that `around` provides to the stage. */
  readonly provides?: Keys | undefined
  readonly around: (
    effect: Effect.Effect<Outcome, StageErrors, StageServices | Keys[number]["Identifier"]>,
    stage: StageInfo
  ) => Effect.Effect<Outcome, E, R>
}): Interceptor<Exclude<E, StageErrors>, Exclude<R, StageServices | StageContext>, Keys[number]["Identifier"]> =>
  // StageErrors and StageServices stand for what the stage really has; Effect does not look at types when it runs.
  build(options.name, options.order ?? 100, options.around as unknown as Around)

/**
 * Whether a value is an interceptor.
 */
export const isInterceptor = (u: unknown): u is Any => typeof u === "object" && u !== null && TypeId in u

/** @internal */
export const aroundOf = (self: Any): Around =>
  // Every interceptor is made by `build`.
  (self as Internal).around

/**
 * The interceptors that Layers installed, outermost first.
 */
export const Installed = Context.Reference<ReadonlyArray<Any>>("stageflow/Interceptor/Installed", {
  defaultValue: () => none
})

const none: ReadonlyArray<Any> = []

/**
 * Installs an interceptor around the stages of every pipeline that runs below the Layer.
 *
 * The pipelines' types were settled elsewhere, so a failure of such an interceptor arrives as a `StageFault` with the
 * reason `InterceptorFailed`, which holds the error. Its services are taken from where the Layer is built.
 */
export const layer = <E, R>(interceptor: Interceptor<E, R>): Layer.Layer<never, never, R> =>
  Layer.effect(
    Installed,
    Effect.gen(function*() {
      const context = yield* Effect.context<R>()
      const installed = yield* Installed
      return [...installed, enclosed(interceptor, context)]
    })
  )

/** The interceptor with its services at hand and its own failures wrapped; the stage's failures pass untouched. */
const enclosed = (interceptor: Any, context: Context.Context<never>): Any =>
  build(interceptor.name, interceptor.order, (effect, stage) => {
    const fromStage = new WeakSet<object>()
    const marked = Effect.mapError(effect, (error) => {
      const passing = { error }
      fromStage.add(passing)
      return passing
    })
    const isPassing = (error: unknown): error is { readonly error: unknown } =>
      typeof error === "object" && error !== null && fromStage.has(error)
    return aroundOf(interceptor)(marked, stage).pipe(
      Effect.mapError((error) =>
        isPassing(error)
          ? error.error
          : new StageFault({
            stage: stage.name,
            reason: { _tag: "InterceptorFailed", interceptor: interceptor.name, error }
          })
      ),
      Effect.provideContext(context)
    )
  })
