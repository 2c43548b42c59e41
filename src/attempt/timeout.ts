/**
 * Limits how long an attempt may take: what stands behind `Stage.timeout` and `Interceptors.timeout`.
 */
import * as Cause from "effect/Cause"
import type * as Duration from "effect/Duration"
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
import type { Around, Outcome } from "./interceptor-model.ts"
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
      effect,
      (watched, cutOff) => limited(watched, expiry, (attempt) => cutOff(timedOut(attempt, stage.name)))
    )
}

type AttemptFiber = Fiber.Fiber<Outcome, unknown>
