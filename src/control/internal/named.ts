/**
 * Reads an option that is an object with something under each name, once.
 */
import * as Predicate from "effect/Predicate"
import * as Result from "effect/Result"
import * as options from "../../internal/options.ts"

/** Whether a value is an object that holds other values by name, and no list. */
export const isRecord = (given: unknown): given is Readonly<Record<string, unknown>> =>
  Predicate.isObjectKeyword(given) && typeof given !== "function" && !Array.isArray(given)

/** What is under each name. An object whose properties throw cannot be read, and an empty one holds nothing to choose from. */
export const entriesOf = <A>(
  option: string,
  expected: string,
  given: Readonly<Record<string, A>>
): ReadonlyArray<readonly [name: string, value: A]> => {
  const record = options.ofKind(option, expected, isRecord, given) as Readonly<Record<string, A>>
  const entries = Result.getOrElse(Result.try(() => Object.entries(record)), () => {
    throw new options.InvalidOption({ option, expected, given: "an object that cannot be read" })
  })
  if (entries.length === 0) throw new options.InvalidOption({ option, expected, given: "an empty object" })
  return entries
}
