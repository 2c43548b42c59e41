/**
 * Puts causes together without looking into their errors.
 */
import * as Cause from "effect/Cause"

/**
 * One cause with what both hold. `Cause.combine` would compare errors with one another, and run what is in their getters.
 */
export const together = <E, E2>(cause: Cause.Cause<E>, besides: Cause.Cause<E2>): Cause.Cause<E | E2> =>
  Cause.fromReasons<E | E2>([...cause.reasons, ...besides.reasons])
