/**
 * Checks, in the compiler, the settings of a combinator: a sentence for a duration that is none, and for a policy that has
 * other keys than a policy has.
 */
import type { OneOf } from "./sentence.ts"

/** A value that is no duration, as a sentence. */
export type NoDuration<Given> = Given extends string
  ? `'${Given}' is no duration; write a number, a space and a unit, such as '5 seconds'`
  : Given extends { readonly grace: unknown } ? `a grace is a duration, such as '5 seconds'`
  : `this is no duration; write one such as '5 seconds'`

/** The key of a retry policy that is none, as a sentence. */
export type NoPolicy<Given, Known> = Given extends object
  ? [Exclude<keyof Given, Known>] extends [never]
    ? `this is no retry policy: { schedule, attempts, while, faults, cap }, each of its own type`
  : `a retry policy has no '${OneOf<Exclude<keyof Given, Known>> & string}'${"times" extends keyof Given
    ? `; write attempts, which counts the first one, too`
    : `, only schedule, attempts, while, faults and cap`}`
  : `this is no retry policy: write Stage.retry({ attempts: 3 }), or give a Schedule`
