/**
 * Knows when the run that a stage is part of has to be over, so that nothing waits inside of it for what comes too late.
 */
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { elapsedMillis } from "../internal/clock.ts"

/** When a run has to be over. A run inside of it has to be over by then, too. */
interface Deadline {
  /** On the clock that never goes backwards; never, when the run is over and something of it goes on by itself. */
  at: number
  readonly outer: Deadline | undefined
}

const Current = Context.Reference<Deadline | undefined>("stageflow/attempt/Deadline", { defaultValue: () => undefined })

/** Runs the Effect as one that has to be over after `limit`. What ends it then is its caller's business. */
export const withDeadline = <A, E, R>(
  effect: Effect.Effect<A, E, R>,
  limit: Duration.Duration
): Effect.Effect<A, E, R> =>
  Effect.gen(function*() {
    const deadline: Deadline = { at: (yield* elapsedMillis) + Duration.toMillis(limit), outer: yield* Current }
    return yield* Effect.ensuring(
      Effect.provideService(effect, Current, deadline),
      Effect.sync(() => {
        deadline.at = Number.POSITIVE_INFINITY
      })
    )
  })

/** How many milliseconds are left. */
export const timeLeft: Effect.Effect<number> = Effect.gen(function*() {
  let earliest = Number.POSITIVE_INFINITY
  for (let deadline = yield* Current; deadline !== undefined; deadline = deadline.outer) {
    earliest = Math.min(earliest, deadline.at)
  }
  return earliest === Number.POSITIVE_INFINITY ? earliest : earliest - (yield* elapsedMillis)
})
