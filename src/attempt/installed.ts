/**
 * Installs interceptors with Layers: each runs with the services of the place where its Layer was built, around stages
 * that see nothing of those.
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import * as References from "effect/References"
import * as Scheduler from "effect/Scheduler"
import * as Tracer from "effect/Tracer"
import { InterruptionGrace } from "../internal/interruption.ts"
import { RunsAround } from "../internal/runs-around.ts"
import { StageContext } from "../StageContext.ts"
import { RunRejected, StageFault } from "../StageError.ts"
import { failingClosed, outermostFirst } from "./composition.ts"
import { type Any, build, combine, undeclaringFaults, type Wrapper } from "./interceptor-model.ts"

const installed = "stageflow/Interceptor/Installed/"
let layers = 0

/** The interceptors that Layers installed, outermost first. */
export const installedIn = (context: Context.Context<never>): ReadonlyArray<Any> => {
  const found = Array.from(context.mapUnsafe).flatMap(([key, value]) => key.startsWith(installed) ? [value as Any] : [])
  return found.length === 0 ? none : found
}

const none: ReadonlyArray<Any> = []

/** A key for each Layer: those that are merged side by side must not replace one another. */
export const newKey = () => Context.Service<never, Any>(`${installed}${++layers}`)

/**
 * Without what belongs to where the Layer is built and not to the runs that the interceptor will wrap: the stage and the
 * span around it, its log annotations, its time.
 */
export const withoutSurroundings = Context.omit(
  StageContext,
  InterruptionGrace,
  RunsAround,
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
export const enclosed = (interceptor: Any, own: Context.Context<never>): Any =>
  combine(...outermostFirst([interceptor]).map((part) => enclosedPart(part, own)))

const enclosedPart = ({ around, aroundRun, isGate, name, order }: Wrapper, own: Context.Context<never>): Any => {
  // What stopped the stage without an Effect of its own is named already.
  const failed = (stage: string, error: unknown) =>
    error instanceof StageFault
      ? error
      : new StageFault({ stage, reason: { _tag: "InterceptorFailed", interceptor: name, error } })
  const rejected = (pipeline: string, error: unknown) => new RunRejected({ pipeline, interceptor: name, error })
  const passing = new WeakSet<object>()
  const part = build<unknown, unknown, unknown>(name, order, {
    around: around === undefined ?
      undefined :
      (effect, stage) =>
        withServices(
          effect,
          own,
          passing,
          (inner) => failingClosed(name, around)(inner, stage),
          (error) => failed(stage.name, error)
        ),
    aroundRun: aroundRun === undefined ?
      undefined :
      (effect, run) =>
        withServices(
          effect,
          own,
          passing,
          (inner) => aroundRun(inner, run),
          (error) => rejected(run.pipeline, error)
        ).pipe(
          Effect.catch((error) =>
            error instanceof RunRejected && !passing.has(error) ? Effect.die(error) : Effect.fail(error)
          )
        )
  })
  return undeclaringFaults(Object.assign(part, { isGate: isGate === true }))
}

const isObject = (error: unknown): error is object => typeof error === "object" && error !== null

/**
 * Wraps an Effect with a wrapper that has services of its own. The Effect sees its environment as it is without them,
 * and its failures pass as they are, with their whole cause; only those of the wrapper are translated.
 *
 * `passing` remembers what Effects failed with: a wrapper that runs one for several fails them all with the same error.
 */
const withServices = <A, B>(
  effect: Effect.Effect<A, unknown, unknown>,
  own: Context.Context<never>,
  passing: WeakSet<object>,
  wrapper: (inner: Effect.Effect<A, unknown, unknown>) => Effect.Effect<B, unknown, unknown>,
  translate: (error: unknown) => unknown
): Effect.Effect<B, unknown, unknown> =>
  Effect.contextWith((outside: Context.Context<never>) => {
    // What is no object cannot be told from the same value elsewhere, so it is remembered for this run only.
    let passingValues: Set<unknown> | undefined
    const remember = (error: unknown): unknown => {
      if (isObject(error)) passing.add(error)
      else (passingValues ??= new Set()).add(error)
      return error
    }
    const isPassing = (error: unknown): boolean =>
      isObject(error) ? passing.has(error) : passingValues?.has(error) === true
    const inner = effect.pipe(
      Effect.mapError(remember),
      Effect.updateContext((inside: Context.Context<unknown>) => without(own, inside, outside))
    )
    return wrapper(inner).pipe(
      Effect.provideContext(own),
      Effect.catchCause((cause) =>
        Effect.failCause(Cause.map(cause, (error) => isPassing(error) ? error : translate(error)))
      )
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
