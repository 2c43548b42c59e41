/**
 * What wraps stages without touching them: timeouts, retries, limits, authentication, tracing.
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
 * a Layer (`Interceptor.layer`). They nest in that order, the Layer's outermost. Among those of Layers and pipeline the
 * one with the lower `order` is further out; equal orders keep the order in which they were given.
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { type Pipeable, pipeArguments } from "effect/Pipeable"
import * as Random from "effect/Random"
import * as References from "effect/References"
import * as Result from "effect/Result"
import * as Scheduler from "effect/Scheduler"
import * as Tracer from "effect/Tracer"
import { InterruptionGrace } from "./internal/interruption.ts"
import type { Snapshot } from "./Snapshot.ts"
import { StageContext } from "./StageContext.ts"
import { InvalidOption, RunRejected, StageFault } from "./StageError.ts"
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
 * What an interceptor is told of the run it wraps.
 */
export interface RunInfo {
  readonly pipeline: string
  /** The snapshot as the caller gave it. */
  readonly snapshot: Snapshot
}

/**
 * Stands for what the wrapped run ends with.
 */
export interface RunEnd {
  readonly [Inner]: "end"
}

/**
 * Stands for whatever the wrapped run can fail with.
 */
export interface RunErrors {
  readonly [Inner]: "run error"
}

/**
 * Stands for whatever the wrapped run needs.
 */
export interface RunServices {
  readonly [Inner]: "run services"
}

/**
 * Marks, among the errors of an interceptor, those that fail the run as they are, outside of any stage.
 */
export interface FailsRun<out Error> {
  readonly [Inner]: "fails the run"
  readonly error: Error
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

/** @internal */
export type AroundRun = <A>(
  effect: Effect.Effect<A, unknown, unknown>,
  run: RunInfo
) => Effect.Effect<A, unknown, unknown>

interface Internal extends Any {
  readonly around: Around | undefined
  readonly aroundRun: AroundRun | undefined
  /** What `combine` put together. */
  readonly parts?: ReadonlyArray<Any>
  /** Whether a single stage can do without what it does around the run. */
  readonly dispensable?: boolean
}

const Prototype = {
  [TypeId]: { error: undefined, services: undefined, provided: undefined },
  pipe() {
    return pipeArguments(this, arguments)
  }
}

interface Wraps {
  readonly around: Around | undefined
  readonly aroundRun: AroundRun | undefined
}

const build = <E, R, P>(name: string, order: number, wraps: Wraps): Interceptor<E, R, P> =>
  Object.assign(Object.create(Prototype) as Interceptor<E, R, P>, { name, order, ...wraps })

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
  /** Lower is further out. 100 when left out. */
  readonly order?: number | undefined
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
  Exclude<E, StageErrors> | ([Exclude<E2, RunErrors>] extends [never] ? never : FailsRun<Exclude<E2, RunErrors>>),
  Exclude<R | R2, StageServices | RunServices | StageContext>,
  Keys[number]["Identifier"]
> =>
  // The placeholders stand for what stage and run really have; Effect does not look at types when it runs.
  build(options.name, options.order ?? 100, {
    around: options.around as unknown as Around | undefined,
    aroundRun: options.aroundRun as unknown as AroundRun | undefined
  })

/** @internal An interceptor around stages whose types the caller vouches for. */
export const fromAround = <E, R, P>(name: string, order: number, around: Around): Interceptor<E, R, P> =>
  build(name, order, { around, aroundRun: undefined })

/** What an interceptor can fail with. */
export type ErrorOf<I> = I extends Interceptor<infer E, unknown, unknown> ? E : never
/** What an interceptor needs. */
export type ServicesOf<I> = I extends Interceptor<unknown, infer R, unknown> ? R : never
/** What an interceptor gives stages. */
export type ProvidedBy<I> = I extends Interceptor<unknown, unknown, infer P> ? P : never

/**
 * Several interceptors as one. Each keeps its own `order`: around a pipeline they nest among the others as if they had
 * been listed one by one.
 */
export const combine = <const I extends ReadonlyArray<Any>>(
  ...interceptors: I
): Interceptor<ErrorOf<I[number]>, ServicesOf<I[number]>, ProvidedBy<I[number]>> => {
  const parts = interceptors.flatMap(partsOf)
  return Object.assign(
    build<ErrorOf<I[number]>, ServicesOf<I[number]>, ProvidedBy<I[number]>>(
      parts.map(({ name }) => name).join("+"),
      Math.min(100, ...parts.map(({ order }) => order)),
      { around: undefined, aroundRun: undefined }
    ),
    { parts }
  )
}

const partsOf = (self: Any): ReadonlyArray<Any> => (self as Internal).parts ?? [self] // made by `build`

/** @internal The same interceptor; around a single stage, what it does around runs is left out. */
export const dispensable = <E, R, P>(self: Interceptor<E, R, P>): Interceptor<E, R, P> =>
  Object.assign(Object.create(Prototype) as Interceptor<E, R, P>, self, { dispensable: true })

/**
 * Whether a value is an interceptor.
 */
export const isInterceptor = (u: unknown): u is Any => typeof u === "object" && u !== null && TypeId in u

/** @internal What it does around a stage, all its parts together. One that wraps runs has no place on a stage. */
export const aroundOf = (self: Any): Around => {
  if (outermostFirst([self]).some(({ aroundRun, dispensable }) => aroundRun !== undefined && dispensable !== true)) {
    throw new InvalidOption({
      option: "interceptor",
      expected: "one that wraps stages only; give this one to Pipeline.intercept or Interceptor.layer",
      given: `"${self.name}", which wraps runs`
    })
  }
  const arounds = stageArounds([self])
  return (effect, stage) => arounds.reduceRight((inner, around) => around(inner, stage), effect)
}

/** Single interceptors, outermost first: by `order`, and among equals in the order given. */
const outermostFirst = (interceptors: ReadonlyArray<Any>): ReadonlyArray<Internal> =>
  // Every interceptor is made by `build`.
  (interceptors.flatMap(partsOf) as ReadonlyArray<unknown> as ReadonlyArray<Internal>).toSorted((a, b) =>
    a.order - b.order
  )

/** @internal What interceptors do around stages, outermost first. */
export const stageArounds = (interceptors: ReadonlyArray<Any>): ReadonlyArray<Around> =>
  outermostFirst(interceptors).flatMap(({ around, name }) => around === undefined ? [] : closed(name, around))

/** Fails closed: an interceptor that throws, or gives no Effect, stops the stages that it was to wrap. */
const closed = (name: string, around: Around): Around => (effect, stage) => {
  const wrapped = Result.try(() => around(effect, stage))
  if (Result.isFailure(wrapped)) return Effect.die(wrapped.failure)
  return Effect.isEffect(wrapped.success)
    ? wrapped.success
    : Effect.die(new TypeError(`Interceptor "${name}" gave no Effect for stage "${stage.name}"`))
}

/** @internal What interceptors do around runs, outermost first. */
export const runArounds = (interceptors: ReadonlyArray<Any>): ReadonlyArray<AroundRun> =>
  outermostFirst(interceptors).flatMap(({ aroundRun }) => aroundRun ?? [])

/** @internal The same interceptor, with something around what each of its parts makes of a stage or a run. */
export const surround = <E, R, P>(
  self: Interceptor<E, R, P>,
  outside: <A>(effect: Effect.Effect<A, unknown, unknown>, part: string, wraps: "stage" | "run") => typeof effect
): Interceptor<E, R, P> => {
  const parts = outermostFirst([self]).map((part) => {
    const { around, aroundRun, name, order } = part
    const surrounded = build<unknown, unknown, unknown>(name, order, {
      around: around && ((effect, stage) => outside(closed(name, around)(effect, stage), name, "stage")),
      aroundRun: aroundRun && ((effect, run) => outside(aroundRun(effect, run), name, "run"))
    })
    return part.dispensable === true ? dispensable(surrounded) : surrounded
  })
  // What is around it changes neither its errors nor its services.
  return combine(...parts) as unknown as Interceptor<E, R, P>
}

const installed = "stageflow/Interceptor/Installed/"
let layers = 0

/** @internal The interceptors that Layers installed, outermost first. */
export const installedIn = (context: Context.Context<never>): ReadonlyArray<Any> => {
  const found = Array.from(context.mapUnsafe).flatMap(([key, value]) => key.startsWith(installed) ? [value as Any] : [])
  return found.length === 0 ? none : found
}

const none: ReadonlyArray<Any> = []

/**
 * Installs an interceptor around the stages of every pipeline that runs below the Layer.
 *
 * The pipelines' types were settled elsewhere, so a failure of such an interceptor arrives as a `StageFault` with the
 * reason `InterceptorFailed`, which holds the error; one that denies whole runs makes them die with `RunRejected`. Its
 * services are taken from where the Layer is built.
 */
export const layer = <E, R>(interceptor: Interceptor<E, R>): Layer.Layer<never, never, R> => {
  // A key for each: Layers that are merged side by side must not replace one another.
  const key = Context.Service<never, Any>(`${installed}${++layers}`)
  return Layer.effect(
    key,
    Effect.map(Effect.context<R>(), (context) => enclosed(interceptor, withoutSurroundings(context)))
  )
}

/**
 * Without what belongs to where the Layer is built and not to the runs that the interceptor will wrap: the stage and the
 * span around it, its log annotations, its time.
 */
const withoutSurroundings = Context.omit(
  StageContext,
  InterruptionGrace,
  Clock.Clock,
  Random.Random,
  Scheduler.Scheduler,
  Tracer.ParentSpan,
  References.CurrentLogAnnotations,
  References.CurrentLogSpans,
  References.CurrentStackFrame,
  References.TracerSpanAnnotations,
  References.TracerSpanLinks
)

/** The interceptor with its services at hand and its own failures wrapped; what it wraps runs as it would without. */
const enclosed = (interceptor: Any, own: Context.Context<never>): Any =>
  combine(...outermostFirst([interceptor]).map((part) => enclosedPart(part, own)))

const enclosedPart = ({ around, aroundRun, name, order }: Internal, own: Context.Context<never>): Any => {
  const failed = (stage: string, error: unknown) =>
    new StageFault({ stage, reason: { _tag: "InterceptorFailed", interceptor: name, error } })
  const rejected = (pipeline: string, error: unknown) => new RunRejected({ pipeline, interceptor: name, error })
  return build(name, order, {
    around: around === undefined ?
      undefined :
      (effect, stage) => passing(effect, own, (inner) => around(inner, stage), (error) => failed(stage.name, error)),
    aroundRun: aroundRun === undefined ?
      undefined :
      (effect, run) =>
        passing(effect, own, (inner) => aroundRun(inner, run), (error) => rejected(run.pipeline, error)).pipe(
          Effect.catch((error) => error instanceof RunRejected ? Effect.die(error) : Effect.fail(error))
        )
  })
}

/**
 * Wraps an Effect with a wrapper that has services of its own. The Effect sees its environment as it is without them,
 * and its failures pass with their whole cause; only those of the wrapper are translated.
 */
const passing = <A, B>(
  effect: Effect.Effect<A, unknown, unknown>,
  own: Context.Context<never>,
  wrapper: (inner: Effect.Effect<A, unknown, unknown>) => Effect.Effect<B, unknown, unknown>,
  translate: (error: unknown) => unknown
): Effect.Effect<B, unknown, unknown> =>
  Effect.contextWith((outside: Context.Context<never>) => {
    const fromInside = new WeakSet<object>()
    const inner = effect.pipe(
      Effect.mapError((error) => {
        const marked = { error }
        fromInside.add(marked)
        return marked
      }),
      Effect.updateContext((inside: Context.Context<unknown>) => without(own, inside, outside))
    )
    const isMarked = (error: unknown): error is { readonly error: unknown } =>
      typeof error === "object" && error !== null && fromInside.has(error)
    const unmarked = (reason: Cause.Reason<unknown>): Cause.Reason<unknown> =>
      Cause.isDieReason(reason) && isMarked(reason.defect) ? Cause.makeDieReason(reason.defect.error) : reason
    return wrapper(inner).pipe(
      Effect.provideContext(own),
      Effect.catchCause((cause) => {
        const passed = Cause.map(cause, (error) => isMarked(error) ? error.error : translate(error))
        return Effect.failCause(Cause.fromReasons(passed.reasons.map(unmarked)))
      })
    )
  })

/** The environment inside a wrapper as it is outside of it, with what the wrapper provided, without what it was given. */
const without = (
  own: Context.Context<never>,
  inside: Context.Context<unknown>,
  outside: Context.Context<never>
): Context.Context<unknown> => {
  const services = new Map(inside.mapUnsafe)
  for (const [key, value] of own.mapUnsafe) {
    if (services.get(key) !== value) continue
    if (outside.mapUnsafe.has(key)) services.set(key, outside.mapUnsafe.get(key))
    else services.delete(key)
  }
  return Context.makeUnsafe(services)
}
