/**
 * Interrupts fibers without waiting for ever: what ignores its interruption for longer than the grace is left behind, here
 * and nowhere else.
 */
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"

/**
 * How long an interrupted stage may go on cleaning up before it is abandoned: the timeout or the run that interrupted
 * it then ends without it. 10 seconds unless set.
 */
export const InterruptionGrace = Context.Reference<Duration.Duration>("stageflow/InterruptionGrace", {
  defaultValue: () => Duration.seconds(10)
})

/** What a fiber holds while it runs: a place, a claim. It has to know of those who go on though nobody waits for them. */
export interface Holding {
  /** A fiber inside of this was left behind: it was interrupted and still runs, while what holds this goes on without it. */
  readonly onLeftBehind: (fiber: Fiber.Fiber<unknown, unknown>) => void
  /** What holds this was itself left behind: it still runs, and nobody waits for it. */
  readonly onOwnerLeftBehind: () => void
}

/** What a fiber and everything that it forks hold. */
export const Holdings = Context.Reference<ReadonlyArray<Holding>>("stageflow/internal/Holdings", {
  defaultValue: () => []
})

/**
 * What the stages hold whose streams a stage reads. They wait for it as it waits for them, so it does not wait for what they
 * hold.
 */
export const StreamHoldings = Context.Reference<ReadonlyArray<Holding>>("stageflow/internal/StreamHoldings", {
  defaultValue: () => []
})

/** What was left behind inside of something and still runs, and so inside of everything that this is inside of. */
export class LeftBehind {
  private readonly running = new Set<Fiber.Fiber<unknown, unknown>>()
  private readonly outer: LeftBehind | undefined

  constructor(outer: LeftBehind | undefined) {
    this.outer = outer
  }

  add(fiber: Fiber.Fiber<unknown, unknown>): void {
    this.running.add(fiber)
    fiber.addObserver(() => this.running.delete(fiber))
    this.outer?.add(fiber)
  }

  /** All that still runs. */
  get fibers(): ReadonlySet<Fiber.Fiber<unknown, unknown>> {
    return this.running
  }
}

/** Keeps what is left behind by a fiber where it is asked for: in what the fiber is part of. */
export const LeftBehindOf = Context.Reference<(fiber: Fiber.Fiber<unknown, unknown>) => LeftBehind | undefined>(
  "stageflow/internal/LeftBehindOf",
  { defaultValue: () => () => undefined }
)

const leftBehindHere: Effect.Effect<LeftBehind | undefined> = Effect.withFiber((fiber) =>
  Effect.succeed(Context.get(fiber.context, LeftBehindOf)(fiber))
)

/** Says which of the fibers still run, and tells so to what this fiber holds and is part of, and to what they hold. */
const leaveBehind = Effect.fnUntraced(function*<F extends Fiber.Fiber<unknown, unknown>>(fibers: ReadonlyArray<F>) {
  const leftBehind = fibers.filter(isRunning)
  if (leftBehind.length === 0) return leftBehind
  const own = yield* Holdings
  const here = yield* leftBehindHere
  for (const fiber of leftBehind) here?.add(fiber)
  for (const fiber of leftBehind) {
    for (const holding of own) holding.onLeftBehind(fiber)
    for (const holding of Context.get(fiber.context, Holdings)) {
      if (!own.includes(holding)) holding.onOwnerLeftBehind()
    }
  }
  return leftBehind
})

/** Interrupts the fibers and waits for them, up to the grace. Says which are still running after it. */
export const interruptWithin = Effect.fnUntraced(function*<F extends Fiber.Fiber<unknown, unknown>>(
  fibers: ReadonlyArray<F>,
  grace: Duration.Duration
) {
  for (const fiber of fibers) fiber.interruptUnsafe()
  const running = fibers.filter(isRunning)
  if (running.length === 0) return running
  yield* within(Fiber.awaitAll(running), grace)
  return yield* leaveBehind(running)
})

/**
 * Interrupts a fiber and waits for it, up to the grace. Says whether something was left behind: the fiber, or something
 * inside of it that it did not wait for any longer.
 */
export const interruptWhole = Effect.fnUntraced(function*(
  fiber: Fiber.Fiber<unknown, unknown>,
  grace: Duration.Duration
) {
  const here = yield* leftBehindHere
  const before = new Set(here?.fibers)
  const running = yield* interruptWithin([fiber], grace)
  return running.length > 0 || Array.from(here?.fibers ?? []).some((other) => !before.has(other))
})

/** Closes a scope that owns the fibers and waits for that, up to the grace. */
export const closeWithin = Effect.fnUntraced(function*(
  scope: Scope.Closeable,
  fibers: ReadonlyArray<Fiber.Fiber<unknown, unknown>>,
  grace: Duration.Duration
) {
  const closing = yield* Effect.forkDetach(Scope.close(scope, Exit.void), { startImmediately: true })
  if (!isRunning(closing)) return
  yield* within(Fiber.await(closing), grace)
  yield* leaveBehind(fibers)
})

/** Runs an Effect in a fiber of its own and waits for its end, up to the grace: after that it is left behind. */
export const exitWithin = Effect.fnUntraced(function*<A, E>(effect: Effect.Effect<A, E>, grace: Duration.Duration) {
  const fiber = yield* Effect.forkDetach(effect, { startImmediately: true })
  if (isRunning(fiber)) {
    yield* within(Fiber.await(fiber), grace)
    yield* leaveBehind([fiber])
  }
  return fiber.pollUnsafe()
})

/** Waits for an Effect, up to the grace. */
export const within = <A>(effect: Effect.Effect<A>, grace: Duration.Duration): Effect.Effect<unknown> =>
  Duration.isFinite(grace) ? Effect.timeoutOption(effect, grace) : effect

const isRunning = (fiber: Fiber.Fiber<unknown, unknown>): boolean => fiber.pollUnsafe() === undefined
