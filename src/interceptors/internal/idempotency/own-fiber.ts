/**
 * Runs an Effect in a fiber of its own, to know how it ended also when whoever waits for it is interrupted.
 *
 * Whoever is interrupted lets it first take the steps that need no waiting, so that what it did in this instant counts.
 */
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"

/** Makes an Effect as interruptible as it was before an `uninterruptibleMask`. */
export type Restore = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>

/**
 * Runs an Effect in a fiber of its own and says when it has ended: before what it forked has ended, and also when it was
 * interrupted before its first step.
 */
export const forked = <A, E, R>(
  effect: Effect.Effect<A, E, R>,
  onEnd: (exit: Exit.Exit<A, E>) => void
): Effect.Effect<Fiber.Fiber<A, E>, never, R> => {
  let hasEnded = false
  const end = (exit: Exit.Exit<A, E>): void => {
    if (hasEnded) return
    hasEnded = true
    onEnd(exit)
  }
  const watched = Effect.onExit(effect, (exit) => Effect.sync(() => end(exit)))
  return Effect.map(Effect.forkChild(watched, { startImmediately: true }), (fiber) => {
    fiber.addObserver(end)
    return fiber
  })
}

/** Interrupts a fiber, but for the steps that it can take at once. */
export const interruptSoon = (fiber: Fiber.Fiber<unknown, unknown>): Effect.Effect<void> =>
  Effect.andThen(Effect.yieldNow, Effect.sync(() => fiber.interruptUnsafe()))
