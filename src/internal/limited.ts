/**
 * Runs an Effect for a limited time. It runs in a fiber of its own: one that ignores its interruption can then be left
 * behind, which `Effect.timeout` cannot do.
 */
import * as Cause from "effect/Cause"
import type * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import type { Expiry } from "./expiry.ts"
import { interruptWhole } from "./interruption.ts"

/** Runs an Effect. When its time is over, `whenOver` says what to do with the fiber that it still runs in. */
export const limited = <A, E, R, E2, R2>(
  effect: Effect.Effect<A, E, R>,
  expiry: Expiry,
  whenOver: (running: Fiber.Fiber<A, E>) => Effect.Effect<A, E2, R2>
): Effect.Effect<A, E | E2, R | R2> =>
  Effect.uninterruptibleMask((restore) => {
    // No Effect runs between this fiber's promise to end the other one and that one itself: one that runs could be
    // interrupted there, and every one costs as much as the rest.
    const { context } = Fiber.getCurrent() as Fiber.Fiber<unknown, unknown> // an Effect is evaluated by a fiber
    const running: Fiber.Fiber<A, E> = Effect.runForkWith(context)(effect as Effect.Effect<A, E>) // it has what its place gives
    // Most never wait: they have ended by now.
    return running.pollUnsafe() ?? Effect.flatMap(
      Effect.onExitPrimitive(
        restore(endOf(running, expiry, context)),
        (exit) => exit._tag === "Success" ? undefined : Fiber.interrupt(running)
      ),
      (exit): Effect.Effect<A, E | E2, R2> => exit ?? whenOver(running)
    )
  })

/** Waits for the end of a fiber, or until its time is over: then there is none. */
const endOf = <A, E>(
  running: Fiber.Fiber<A, E>,
  expiry: Expiry,
  context: Context.Context<never>
): Effect.Effect<Exit.Exit<A, E> | undefined> =>
  Effect.callback((resume) => {
    const leave = expiry.add(context, () => {
      ignore()
      resume(Effect.undefined)
    })
    const ignore = running.addObserver((exit) => {
      leave()
      resume(Effect.succeed(exit))
    })
    return Effect.sync(() => {
      leave()
      ignore()
    })
  })

/** Interrupts what runs for too long: whether it had to be left behind, and what went wrong while it cleaned up. */
export const interruptLate = Effect.fnUntraced(function*(
  running: Fiber.Fiber<unknown, unknown>,
  grace: Duration.Duration
) {
  const abandoned = yield* interruptWhole(running, grace)
  return { abandoned, cleanUp: failuresOf(running) }
})

const failuresOf = (interrupted: Fiber.Fiber<unknown, unknown>): Cause.Cause<unknown> => {
  const exit = interrupted.pollUnsafe()
  return exit?._tag === "Failure"
    ? Cause.fromReasons(exit.cause.reasons.filter((reason) => !Cause.isInterruptReason(reason)))
    : Cause.empty
}
