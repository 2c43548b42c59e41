/**
 * A second attempt beside one that is slow.
 *
 * For reads and other work that may safely be done twice: it trades load for tail latency.
 */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import { attemptOf } from "../attempt/attempt.ts"
import { fromAround } from "../attempt/interceptor-model.ts"
import type { Interceptor } from "../Interceptor.ts"
import * as options from "../internal/options.ts"
import { StageContext } from "../StageContext.ts"
import { orders } from "./internal/orders.ts"

/**
 * Starts a second attempt when the first has not ended after a while. The first one to succeed is the stage's outcome;
 * the other is interrupted, and its finalizers have run, before the stage ends. An attempt that fails leaves it to the
 * other one; when both fail, the stage fails with what the first failed with.
 *
 * A first attempt that fails before the second has started fails the stage: trying again is the business of `retry`.
 */
export const hedge = (settings: { readonly after: Duration.Input }): Interceptor => {
  const after = options.positiveDuration("after", settings.after)
  return fromAround("hedge", orders.hedge, (effect) =>
    Effect.acquireUseRelease(
      Effect.forkChild(effect, { startImmediately: true }),
      (first) =>
        Effect.gen(function*() {
          const early = yield* Fiber.await(first).pipe(Effect.timeoutOption(after))
          if (Option.isSome(early)) return yield* early.value
          const context = yield* StageContext
          yield* context.emit("hedge.started", { attempt: context.attempt + 1 })
          return yield* Effect.race(Fiber.join(first), attemptOf(context).beside(effect)).pipe(
            // Both failed: the stage failed with what it failed with first.
            Effect.catchCause(() => Fiber.join(first))
          )
        }),
      (first) => Fiber.interrupt(first)
    ))
}
