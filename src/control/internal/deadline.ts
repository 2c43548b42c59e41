/**
 * Ends something that a stage does over and over again when its time as a whole is over.
 */
import type * as Cause from "effect/Cause"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { watchingRejections } from "../../attempt/standing-rejection.ts"
import { together } from "../../internal/causes.ts"
import { Expiry } from "../../internal/expiry.ts"
import { InterruptionGrace } from "../../internal/interruption.ts"
import { interruptLate, limited } from "../../internal/limited.ts"
import * as options from "../../internal/options.ts"

/**
 * Runs an Effect up to its deadline. What is in flight then is interrupted and waited for, up to the grace, and `late` says
 * how the Effect ends: it is told whether something had to be left behind.
 */
export type WithDeadline = <A, E, R, E2>(
  effect: Effect.Effect<A, E, R>,
  late: (abandoned: boolean) => Effect.Effect<A, E2>
) => Effect.Effect<A, E | E2, R>

/** Reads the option that says how long the whole may take; for ever when it is left out. */
export const deadlineOf = (given: Duration.Input | undefined): WithDeadline => {
  if (given === undefined) return (effect) => effect
  const expiry = new Expiry(options.positiveDuration("deadline", given))
  return <A, E, R, E2>(effect: Effect.Effect<A, E, R>, late: (abandoned: boolean) => Effect.Effect<A, E2>) =>
    watchingRejections(
      effect,
      (watched, cutOff) =>
        limited(watched, expiry, (running) =>
          cutOff(Effect.gen(function*() {
            const { abandoned, cleanUp } = yield* interruptLate(running, yield* InterruptionGrace)
            return yield* withFailures(late(abandoned), cleanUp)
          })))
    )
}

/** Ends as the Effect does, unless something went wrong besides: that is never hidden. */
const withFailures = <A, E>(effect: Effect.Effect<A, E>, besides: Cause.Cause<unknown>): Effect.Effect<A, E> => {
  if (besides.reasons.length === 0) return effect
  // What went wrong in a finalizer has no place in a type.
  const failures = besides as Cause.Cause<never>
  return Effect.matchCauseEffect(effect, {
    onFailure: (cause) => Effect.failCause(together(cause, failures)),
    onSuccess: () => Effect.failCause(failures)
  })
}
