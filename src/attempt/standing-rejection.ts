/**
 * Knows whether something has been rejected that is still being made anew, for who cuts that off: nothing has come of it, so
 * the last that was said of it is no.
 *
 * Who rejects is inside, in runs inside of this one perhaps, and who cuts off is outside, so it goes through the environment.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import { refusingWhen } from "../internal/refusal.ts"

/** What stands rejected inside of an Effect that may be cut off. */
interface Watch {
  readonly rejected: Set<object>
  readonly outer: Watch | undefined
}

const Current = Context.Reference<Watch | undefined>("stageflow/attempt/StandingRejection", {
  defaultValue: () => undefined
})

/**
 * Watches an Effect that may be cut off. What goes through `cutOff` fails for that reason: it refuses when a rejection stands
 * inside of the Effect then.
 */
export const watchingRejections = <A, E, R, B, E2, R2>(
  effect: Effect.Effect<A, E, R>,
  limit: (
    watched: Effect.Effect<A, E, R>,
    cutOff: <C, E3, R3>(late: Effect.Effect<C, E3, R3>) => Effect.Effect<C, E3, R3>
  ) => Effect.Effect<B, E2, R2>
): Effect.Effect<B, E2, R2> =>
  Effect.withFiber((fiber) => {
    const watch: Watch = { rejected: new Set(), outer: Context.get(fiber.context, Current) }
    return limit(Effect.provideService(effect, Current, watch), (late) =>
      refusingWhen(late, () => watch.rejected.size > 0))
  })

const forAll = (what: (watch: Watch) => void): Effect.Effect<void> =>
  Effect.withFiber((fiber) => {
    for (let watch = Context.get(fiber.context, Current); watch !== undefined; watch = watch.outer) what(watch)
    return Effect.void
  })

/** What `by` makes was rejected, and is made anew. */
export const rejectionStands = (by: object): Effect.Effect<void> => forAll(({ rejected }) => rejected.add(by))

/** Something has come of what `by` makes, be it an error. */
export const rejectionIsOver = (by: object): Effect.Effect<void> => forAll(({ rejected }) => rejected.delete(by))
