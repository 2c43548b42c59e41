/**
 * Builds the layers of a pipeline before the stages of a run, and releases them after these.
 */
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import { together } from "../internal/causes.ts"
import { exitWithin } from "../internal/interruption.ts"
import { isRefusal, noteRejection } from "../internal/refusal.ts"
import { LayerFailed, StageFailed } from "../RunResult.ts"
import type { Ended, Failed, Runnable } from "./runnable.ts"

/** What the pipeline's own layers give; it lives as long as the scope. */
const built = (
  { layers: [first, ...rest], name }: Runnable,
  scope: Scope.Scope
): Effect.Effect<Context.Context<never>, LayerFailed> => {
  if (first === undefined) return Effect.succeed(Context.empty())
  // The pipeline's type asks its caller for what its layers need.
  const layer = Layer.mergeAll(first, ...rest) as Layer.Layer<unknown, unknown>
  return Layer.buildWithScope(layer, scope).pipe(
    Effect.mapError((error) => new LayerFailed({ pipeline: name, error })),
    Effect.map((services) => services as Context.Context<never>) // they are in the pipeline's type
  )
}

/** The environment with what the layers give, but for what the interceptors around the run have given: that stays. */
export const environmentWith = (
  built: Context.Context<never>,
  inside: Context.Context<never>,
  outside: Context.Context<never>
): Context.Context<never> => {
  const services = new Map(inside.mapUnsafe)
  for (const [key, value] of built.mapUnsafe) {
    if (inside.mapUnsafe.get(key) === outside.mapUnsafe.get(key)) services.set(key, value)
  }
  return Context.makeUnsafe(services)
}

/**
 * Releases the layers of a pipeline and waits for that, up to the grace. Nobody else interrupts a release: one that was
 * interrupted did that itself, and went wrong like one that dies.
 */
const release = Effect.fnUntraced(function*(
  pipeline: string,
  layers: Scope.Closeable,
  exit: Exit.Exit<unknown, unknown>,
  grace: Duration.Duration
): Effect.fn.Return<Cause.Cause<never> | undefined> {
  const released = yield* exitWithin(Scope.close(layers, exit), grace)
  if (released === undefined) {
    yield* Effect.logWarning(
      `A layer of pipeline "${pipeline}" is not released within the grace: its run ends without it`
    )
    return undefined
  }
  if (released._tag === "Success") return undefined
  const reasons = released.cause.reasons.filter((reason) => !Cause.isInterruptReason(reason))
  return reasons.length > 0
    ? Cause.fromReasons(reasons)
    : Cause.die(new Error(`The release of a layer of pipeline "${pipeline}" interrupted itself`))
})

/** A release that went wrong: a failed stage stays the error of the run, anything else is overruled. */
export const withRelease = (exit: Exit.Exit<Ended, Failed>, cause: Cause.Cause<never>): Exit.Exit<Ended, Failed> => {
  if (exit._tag === "Success") return Exit.failCause(cause)
  const failed = Option.getOrUndefined(Cause.findErrorOption(exit.cause))
  if (!(failed instanceof StageFailed)) return Exit.failCause(together(exit.cause, cause))
  const both = new StageFailed({ ...failed, cause: together(failed.cause, cause) })
  if (isRefusal(failed)) noteRejection(both)
  return Exit.fail(both)
}

/** A release that comes when the run has ended, and cannot change its end any more. */
export const later = (
  pipeline: string,
  release: Effect.Effect<Cause.Cause<never> | undefined>
): Effect.Effect<void> =>
  Effect.flatMap(release, (wrong) =>
    wrong === undefined
      ? Effect.void
      : Effect.logWarning(`A layer of pipeline "${pipeline}", whose run had completed, could not be released`))

/** Who may keep the layers of a run longer than the run. */
export interface LayerKeeper {
  /** Whether it releases them itself, later. The release gives what went wrong in it. */
  readonly keeps: (release: Effect.Effect<Cause.Cause<never> | undefined>) => boolean
  /** Releases what it has kept of the runs inside, which may need what these layers give. */
  readonly releaseKept: Effect.Effect<void>
}

/** Runs what is inside of the layers of a pipeline, which are released after it unless their keeper keeps them. */
export const withLayers = Effect.fnUntraced(function*(
  pipeline: Runnable,
  grace: Duration.Duration,
  use: (built: Effect.Effect<Context.Context<never>, LayerFailed>) => Effect.Effect<Ended, Failed>,
  keeper: LayerKeeper
): Effect.fn.Return<Ended, Failed> {
  const layers = yield* Scope.make()
  const exit = yield* Effect.exit(use(built(pipeline, layers)))
  const releasing = release(pipeline.name, layers, exit, grace)
  if (exit._tag === "Success" && exit.value._tag === "Completed" && keeper.keeps(releasing)) {
    return yield* exit
  }
  yield* keeper.releaseKept
  const wrong = yield* releasing
  return yield* wrong === undefined ? exit : withRelease(exit, wrong)
})
