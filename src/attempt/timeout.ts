/**
 * Limits how long an attempt may take: what stands behind `Stage.timeout` and `Interceptors.timeout`.
 */
import * as Cause from "effect/Cause"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
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
  return (effect, stage) => {
    const started = Effect.forkDetach(effect, { startImmediately: true })
    const waited = Effect.fnUntraced(function*(attempt: Fiber.Fiber<Outcome, unknown>, restore: Restore) {
      const ended = yield* restore(Fiber.await(attempt).pipe(Effect.timeoutOption(limit))).pipe(
        Effect.onInterrupt(() => Fiber.interrupt(attempt))
      )
      if (Option.isSome(ended)) return yield* ended.value
      const grace = ownGrace ?? (yield* InterruptionGrace)
      const abandoned = yield* interruptWithin([attempt], grace)
      const timedOut = new StageTimeout({
        stage: stage.name,
        timeout: limit,
        // Outside a retry, the attempt that was going on.
        attempt: attemptOf(yield* StageContext).attempts,
        abandoned: abandoned.length > 0
      })
      return yield* Effect.failCause(Cause.combine(Cause.fail(timedOut), cleanUpFailures(attempt)))
    })
    return Effect.uninterruptibleMask((restore) =>
      // Most attempts never wait: they have ended by now.
      Effect.flatMap(started, (attempt) => attempt.pollUnsafe() ?? waited(attempt, restore))
    )
  }
}

type Restore = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>

/** What went wrong while the attempt was being interrupted. */
const cleanUpFailures = (attempt: Fiber.Fiber<unknown, unknown>): Cause.Cause<unknown> => {
  const exit = attempt.pollUnsafe()
  return exit?._tag === "Failure"
    ? Cause.fromReasons(exit.cause.reasons.filter((reason) => !Cause.isInterruptReason(reason)))
    : Cause.empty
}
