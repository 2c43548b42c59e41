/**
 * Checks of options, made where they are given.
 */
import * as Duration from "effect/Duration"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"

/**
 * An option has a value that it cannot have. Thrown where the option is given, before anything runs.
 */
export class InvalidOption extends Schema.TaggedError<InvalidOption>()("InvalidOption", {
  option: Schema.String,
  expected: Schema.String,
  given: Schema.String
}) {
  readonly code = "INVALID_OPTION"
  override get message(): string {
    return `Invalid option "${this.option}": expected ${this.expected}, got ${this.given}`
  }
}

const reject = (option: string, expected: string, given: unknown): never => {
  throw new InvalidOption({
    option,
    expected,
    given: typeof given === "string" ? JSON.stringify(given) : String(given)
  })
}

/** A duration longer than nothing. */
export const positiveDuration = (option: string, given: Duration.Input): Duration.Duration => {
  const expected = "a duration longer than zero, such as \"30 seconds\""
  const duration = Option.getOrElse(Duration.fromInput(given), () => reject(option, expected, given))
  const isNumberLike = typeof given === "number" && !(given > 0)
  return isNumberLike || Duration.toMillis(duration) <= 0 ? reject(option, expected, given) : duration
}

/** A duration, which may be zero. */
export const duration = (option: string, given: Duration.Input): Duration.Duration => {
  const expected = "a duration of zero or more, such as \"5 seconds\""
  const decoded = Option.getOrElse(Duration.fromInput(given), () => reject(option, expected, given))
  const isNumberLike = typeof given === "number" && !(given >= 0)
  return isNumberLike || Duration.toMillis(decoded) < 0 ? reject(option, expected, given) : decoded
}

/** A whole number from 1, or no limit. */
export const concurrency = (option: string, given: number | "unbounded"): number => {
  if (given === "unbounded") return Number.POSITIVE_INFINITY
  return Number.isSafeInteger(given) && given > 0
    ? given
    : reject(option, "a whole number from 1, or \"unbounded\"", given)
}

/** A whole number from 1. */
export const positiveCount = (option: string, given: number): number =>
  Number.isSafeInteger(given) && given > 0 ? given : reject(option, "a whole number from 1", given)

/** A whole number from 0. */
export const count = (option: string, given: number): number =>
  Number.isSafeInteger(given) && given >= 0 ? given : reject(option, "a whole number from 0", given)

/** A number from 0 to 1. */
export const ratio = (option: string, given: number): number =>
  given >= 0 && given <= 1 ? given : reject(option, "a number from 0 to 1", given)

/** The value that the option has elsewhere already. */
export const same = (option: string, given: number, known: number): number =>
  given === known ? given : reject(option, `${known}, as it is elsewhere`, given)
