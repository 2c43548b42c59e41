/**
 * Limits how long an attempt may take: what stands behind `Stage.timeout` and `Interceptors.timeout`.
 */
import * as Cause from "effect/Cause"
import type * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import { together } from "../internal/causes.ts"
import { Expiry } from "../internal/expiry.ts"
import { InterruptionGrace, interruptWithin } from "../internal/interruption.ts"
import * as options from "../internal/options.ts"
import { StageContext } from "../StageContext.ts"
import { StageTimeout } from "../StageError.ts"
import { attemptOf } from "./attempt.ts"
import type { Around, Outcome } from "./interceptor-model.ts"

/**
 * Limits an attempt. It runs in a fiber of its own: one that ignores its interruption can then be left behind, which
 * `Effect.timeout` cannot do.
 */
export const timeoutAround = (given: Duration.Input, givenGrace: Duration.Input | undefined): Around => {
  const limit = options.positiveDuration("timeout", given)
  const ownGrace = givenGrace === undefined ? undefined : options.duration("grace", givenGrace)
  const expiry = new Expiry(limit)
  const timedOut = Effect.fnUntraced(
    function*(attempt: AttemptFiber, stage: string): Effect.fn.Return<never, unknown, StageContext> {
      const grace = ownGrace ?? (yield* InterruptionGrace)
      const abandoned = yield* interruptWithin([attempt], grace)
      const error = new StageTimeout({
        stage,
        timeout: limit,
        // Outside a retry, the attempt that was going on.
        attempt: attemptOf(yield* StageContext).attempts,
        abandoned: abandoned.length > 0
      })
      return yield* Effect.failCause(together(Cause.fail(error), cleanUpFailures(attempt)))
    }
  )
  return (effect, stage) =>
    Effect.uninterruptibleMask((restore) => {
      // No Effect runs between this fiber's promise to end the attempt and the attempt itself: one that runs could be
      // interrupted there, and every one costs as much as the rest.
      const { context } = Fiber.getCurrent() as AttemptFiber // an Effect is evaluated by a fiber
      const attempt: AttemptFiber = Effect.runForkWith(context)(effect as Effect.Effect<Outcome, unknown>) // it has what its place gives
      // Most attempts never wait: they have ended by now.
      return attempt.pollUnsafe() ?? Effect.flatMap(
        Effect.onExitPrimitive(
          restore(endOf(attempt, expiry, context)),
          (exit) => exit._tag === "Success" ? undefined : Fiber.interrupt(attempt)
        ),
        (exit) => exit ?? timedOut(attempt, stage.name)
      )
    })
}

type AttemptFiber = Fiber.Fiber<Outcome, unknown>

/** Waits for the end of an attempt, or until its time is over: then there is none. */
const endOf = (
  attempt: AttemptFiber,
  expiry: Expiry,
  context: Context.Context<never>
): Effect.Effect<Exit.Exit<Outcome, unknown> | undefined> =>
  Effect.callback((resume) => {
    const leave = expiry.add(context, () => {
      ignore()
      resume(Effect.undefined)
    })
    const ignore = attempt.addObserver((exit) => {
      leave()
      resume(Effect.succeed(exit))
    })
    return Effect.sync(() => {
      leave()
      ignore()
    })
  })

/** What went wrong while the attempt was being interrupted. */
const cleanUpFailures = (attempt: Fiber.Fiber<unknown, unknown>): Cause.Cause<unknown> => {
  const exit = attempt.pollUnsafe()
  return exit?._tag === "Failure"
    ? Cause.fromReasons(exit.cause.reasons.filter((reason) => !Cause.isInterruptReason(reason)))
    : Cause.empty
}
