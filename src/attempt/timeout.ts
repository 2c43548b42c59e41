/**
 * Limits how long an attempt may take: what stands behind `Stage.timeout` and `Interceptors.timeout`.
 */
import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import { together } from "../internal/causes.ts"
import { Expiry } from "../internal/expiry.ts"
import { InterruptionGrace } from "../internal/interruption.ts"
import { interruptLate, limited } from "../internal/limited.ts"
import * as options from "../internal/options.ts"
import { StageContext } from "../StageContext.ts"
import { StageTimeout } from "../StageError.ts"
import { attemptOf } from "./attempt.ts"
import type { Around, Outcome, StageEffect } from "./interceptor-model.ts"
import { watchingRejections } from "./standing-rejection.ts"

/** Limits an attempt. */
export const timeoutAround = (given: Duration.Input, givenGrace: Duration.Input | undefined): Around => {
  const limit = options.positiveDuration("timeout", given)
  const ownGrace = givenGrace === undefined ? undefined : options.duration("grace", givenGrace)
  const expiry = new Expiry(limit)
  const timedOut = Effect.fnUntraced(
    function*(attempt: AttemptFiber, stage: string): Effect.fn.Return<never, unknown, StageContext> {
      const grace = ownGrace ?? (yield* InterruptionGrace)
      const { abandoned, cleanUp } = yield* interruptLate(attempt, grace)
      const error = new StageTimeout({
        stage,
        timeout: limit,
        // Outside a retry, the attempt that was going on.
        attempt: attemptOf(yield* StageContext).attempts,
        abandoned
      })
      return yield* Effect.failCause(together(Cause.fail(error), cleanUp))
    }
  )
  return (effect, stage) =>
    watchingRejections(
      withGrace(effect, ownGrace),
      (watched, cutOff) => limited(watched, expiry, (attempt) => cutOff(timedOut(attempt, stage.name)))
    )
}

/**
 * What an attempt interrupts itself when it is, an item or a run inside of it, has as long to clean up as the attempt: as
 * long as the one has who waits longest.
 */
const withGrace = (effect: StageEffect, own: Duration.Duration | undefined): StageEffect =>
  own === undefined
    ? effect
    : Effect.flatMap(
      InterruptionGrace,
      (around) => Effect.provideService(effect, InterruptionGrace, Duration.max(own, around))
    )

type AttemptFiber = Fiber.Fiber<Outcome, unknown>
