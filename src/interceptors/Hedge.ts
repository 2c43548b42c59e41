/**
 * Starts a second attempt beside one that is slow.
 *
 * Use it for reads and other work that may safely be done twice: it trades load for tail latency.
 */
import * as Cause from "effect/Cause"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import { attemptOf } from "../attempt/attempt.ts"
import { fromAround, type StageEffect } from "../attempt/interceptor-model.ts"
import { isRefusedBy } from "../attempt/refusal.ts"
import type { Interceptor } from "../Interceptor.ts"
import { InterruptionGrace, interruptWithin } from "../internal/interruption.ts"
import * as options from "../internal/options.ts"
import { StageContext } from "../StageContext.ts"
import { orders } from "./internal/orders.ts"

/** An attempt that was refused: it ends the race as if it had won. */
class Refused {
  readonly cause: Cause.Cause<unknown>
  constructor(cause: Cause.Cause<unknown>) {
    this.cause = cause
  }
}

/**
 * Starts a second attempt when the first has not ended after a while. The first one to succeed is the stage's outcome;
 * the other is interrupted, and its finalizers have run, before the stage ends. An attempt that fails leaves it to the
 * other one; when both fail, the stage fails with what the first failed with. A denial, and what a guard found, is final.
 *
 * A first attempt that fails before the second has started fails the stage: trying again is the business of `retry`.
 */
export const hedge = (settings: { readonly after: Duration.Input }): Interceptor => {
  options.only(["after"], settings)
  const after = options.positiveDuration("after", settings.after)
  return fromAround("hedge", orders.hedge, (effect, stage) => {
    const unlessRefused = (attempt: StageEffect) =>
      Effect.catchCause(attempt, (cause): Effect.Effect<Refused, unknown> => {
        const error = Option.getOrUndefined(Cause.findErrorOption(cause))
        return isRefusedBy(stage, error, cause) ? Effect.succeed(new Refused(cause)) : Effect.failCause(cause)
      })
    return Effect.uninterruptibleMask((restore) =>
      Effect.gen(function*() {
        const attempt = attemptOf(yield* StageContext)
        const first = yield* Effect.forkDetach(attempt.firstAttempt(effect), { startImmediately: true })
        const fibers = [first]
        const inTime = Effect.gen(function*() {
          const early = yield* Fiber.await(first).pipe(Effect.timeoutOption(after))
          if (Option.isSome(early)) return yield* early.value
          const hedge = attempt.attempts + 1
          attempt.announce({ _tag: "HedgeStarted", hedge })
          // Nothing may come between its start and the list of what has to end.
          const second = yield* Effect.uninterruptible(
            Effect.tap(Effect.forkDetach(attempt.parallelAttempt(effect), { startImmediately: true }), (fiber) =>
              Effect.sync(() => fibers.push(fiber)))
          )
          const ofSecond = Effect.map(unlessRefused(Fiber.join(second)), (outcome) => ({ outcome, isHedge: true }))
          const ofFirst = Effect.map(unlessRefused(Fiber.join(first)), (outcome) => ({ outcome, isHedge: false }))
          const { isHedge, outcome } = yield* Effect.catchCause(
            Effect.race(ofFirst, ofSecond),
            // When both fail, the stage fails with what the first failed with.
            () =>
              Effect.map(Fiber.join(first), (outcome) => ({ outcome, isHedge: false }))
          )
          if (outcome instanceof Refused) return yield* Effect.failCause(outcome.cause)
          if (isHedge) attempt.announce({ _tag: "HedgeWon", hedge })
          return outcome
        })
        const exit = yield* Effect.exit(restore(inTime))
        // One that ignores its interruption is left behind after the grace.
        yield* interruptWithin(fibers, yield* InterruptionGrace)
        return yield* exit
      })
    )
  })
}
