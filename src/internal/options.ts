/**
 * Checks options where they are given.
 */
import * as Duration from "effect/Duration"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import * as Result from "effect/Result"
import * as Schedule from "effect/Schedule"
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

/** What a test says of a value that may throw when it is looked at, as a revoked Proxy does. */
const holds = (test: () => boolean): boolean => Result.getOrElse(Result.try(test), () => false)

/** As much of a text as a message can bear. */
const beginning = (text: string): string => text.length <= 100 ? text : `${text.slice(0, 100)}...`

/** What was given, as text. Nothing of it is called: it may be anything. */
export const shown = (given: unknown): string => {
  switch (typeof given) {
    case "string":
      return JSON.stringify(beginning(given))
    case "bigint":
      return `${beginning(String(given))}n`
    case "symbol":
      return beginning(String(given))
    case "function":
      return "a function"
    case "object":
      return given === null ? "null" : holds(() => Array.isArray(given)) ? "an array" : "an object"
    default:
      return String(given)
  }
}

const rejectAs = (option: string, expected: string, given: string): never => {
  throw new InvalidOption({ option, expected, given })
}

const reject = (option: string, expected: string, given: unknown): never => rejectAs(option, expected, shown(given))

/** A value of the kind that `is` tells. */
export const ofKind = <A>(option: string, expected: string, is: (given: unknown) => given is A, given: unknown): A =>
  // The test says so.
  holds(() => is(given)) ? given as A : reject(option, expected, given)

/** A function. */
export const callable = <F extends Function>(option: string, given: F): F =>
  typeof given === "function" ? given : reject(option, "a function", given)

/** A schema, when one is given. */
export const schema = <S extends Schema.Top>(option: string, given: S | undefined): S | undefined =>
  given === undefined || holds(() => Schema.isSchema(given)) ? given : reject(option, "a schema", given)

const isSchedule = (given: unknown): given is Schedule.Schedule<unknown> => Schedule.isSchedule(given)

/** A schedule of times. */
export const schedule = (option: string, given: Schedule.Schedule<unknown>): Schedule.Schedule<unknown> =>
  ofKind(option, "a Schedule", isSchedule, given)

/** Some text. */
export const text = (option: string, given: string): string =>
  typeof given === "string" ? given : reject(option, "a string", given)

const isNames = (given: unknown): given is ReadonlyArray<string> =>
  Array.isArray(given) && Array.from(given as ReadonlyArray<unknown>).every((name) => typeof name === "string")

/** A text that is more than blanks. */
export const name = (option: string, given: string): string =>
  typeof given === "string" && given.trim() !== "" ? given : reject(option, "a text that is not blank", given)

/** Yes or no. */
export const flag = (option: string, given: boolean): boolean =>
  typeof given === "boolean" ? given : reject(option, "true or false", given)

/** A list of names, copied. */
export const names = (option: string, given: ReadonlyArray<string>): ReadonlyArray<string> => [
  ...ofKind(option, "a list of names", isNames, given)
]

/** The options in an object, each of them read once. An object that holds anything else was misspelt. */
export const fields = <O extends object>(
  option: string,
  known: ReadonlyArray<keyof O & string>,
  given: O
): { readonly [K in keyof O]?: O[K] | undefined } => {
  if (!Predicate.isObjectKeyword(given) || typeof given === "function" || holds(() => Array.isArray(given))) {
    return reject(option, "an object", given)
  }
  const keys = Result.getOrElse(
    Result.try(() => Object.keys(given)),
    () => rejectAs(option, "an object", "an object that cannot be read")
  )
  const other = keys.find((key) => !(known as ReadonlyArray<string>).includes(key))
  if (other !== undefined) return rejectAs(other, `one of ${known.join(", ")}`, "another")
  const read: { [K in keyof O]?: O[K] | undefined } = {}
  for (const key of known) {
    const value = Result.try(() => given[key])
    if (Result.isFailure(value)) return rejectAs(key, "a value", "a value that cannot be read")
    read[key] = value.success
  }
  return read
}

/** The object that holds the options, with no other keys than these. */
export const only = <O extends object>(known: ReadonlyArray<keyof O & string>, given: O): O => {
  fields("options", known, given)
  return given
}

/** The same, where the object can be left out. */
export const onlyIfGiven = <O extends object>(
  known: ReadonlyArray<keyof O & string>,
  given: O | undefined
): O | undefined => given === undefined ? undefined : only(known, given)

const durationOf = (given: Duration.Input): Option.Option<Duration.Duration> =>
  Result.getOrElse(Result.try(() => Duration.fromInput(given)), Option.none)

/** A duration longer than nothing. */
export const positiveDuration = (option: string, given: Duration.Input): Duration.Duration => {
  const expected = "a duration longer than zero, such as \"30 seconds\""
  const duration = Option.getOrElse(durationOf(given), () => reject(option, expected, given))
  const isNumberLike = typeof given === "number" && !(given > 0)
  return isNumberLike || Duration.toMillis(duration) <= 0 ? reject(option, expected, given) : duration
}

/** A duration, which may be zero. */
export const duration = (option: string, given: Duration.Input): Duration.Duration => {
  const expected = "a duration of zero or more, such as \"5 seconds\""
  const decoded = Option.getOrElse(durationOf(given), () => reject(option, expected, given))
  const isNumberLike = typeof given === "number" && !(given >= 0)
  return isNumberLike || Duration.toMillis(decoded) < 0 ? reject(option, expected, given) : decoded
}

const isAtLeastOne = (given: unknown): boolean => Number.isSafeInteger(given) && (given as number) > 0

/** How much may run at once: a whole number from 1, or no limit. */
export const concurrency = (option: string, given: number | "unbounded"): number => {
  if (given === "unbounded") return Number.POSITIVE_INFINITY
  return isAtLeastOne(given) ? given : reject(option, "a whole number from 1, or \"unbounded\"", given)
}

/** A whole number from 1. */
export const positiveCount = (option: string, given: number): number =>
  isAtLeastOne(given) ? given : reject(option, "a whole number from 1", given)

/** A whole number from 0. */
export const count = (option: string, given: number): number =>
  Number.isSafeInteger(given) && given >= 0 ? given : reject(option, "a whole number from 0", given)

/** A number that is not above another. */
export const atMost = (option: string, given: number, limit: number): number =>
  given <= limit ? given : reject(option, `at most ${limit}`, given)

/** A whole number. */
export const whole = (option: string, given: number): number =>
  Number.isSafeInteger(given) ? given : reject(option, "a whole number", given)

/** A number from 0 to 1. */
export const ratio = (option: string, given: number): number =>
  typeof given === "number" && given >= 0 && given <= 1 ? given : reject(option, "a number from 0 to 1", given)

/** One of a few words. */
export const oneOf = <const Word extends string>(option: string, words: ReadonlyArray<Word>, given: Word): Word => {
  if (words.includes(given)) return given
  const quoted = words.map((word) => `"${word}"`)
  const others = quoted.slice(0, -1)
  return reject(option, others.length === 0 ? `${quoted.at(-1)}` : `${others.join(", ")} or ${quoted.at(-1)}`, given)
}

/** The value that the option has elsewhere already. */
export const same = (option: string, given: number, known: number): number =>
  given === known ? given : reject(option, `${known}, as it is elsewhere`, given)
