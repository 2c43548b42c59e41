/**
 * Reads an option that is an object with something under each name, once.
 */
import * as Predicate from "effect/Predicate"
import * as Result from "effect/Result"
import * as options from "../../internal/options.ts"

/** Whether a value is an object that holds other values by name, and no list. */
export const isRecord = (given: unknown): given is Readonly<Record<string, unknown>> =>
  Predicate.isObjectKeyword(given) && typeof given !== "function" && !Array.isArray(given)

/**
 * What is under each name. An object whose properties throw cannot be read, and an empty one holds nothing to choose from. One
 * that holds something out of sight of `Object.entries`, such as what it inherits, would be read without it, so it is not read.
 */
export const entriesOf = <A>(
  option: string,
  expected: string,
  given: Readonly<Record<string, A>>
): ReadonlyArray<readonly [name: string, value: A]> => {
  const record = options.ofKind(option, expected, isRecord, given) as Readonly<Record<string, A>>
  const wrong = (given: string): never => {
    throw new options.InvalidOption({ option, expected, given })
  }
  const read = Result.try(() => ({ entries: Object.entries(record), hidden: hiddenIn(record) }))
  if (Result.isFailure(read)) return wrong("an object that cannot be read")
  const { entries, hidden } = read.success
  if (hidden !== undefined) return wrong(`one that inherits or hides "${hidden}"`)
  return entries.length === 0 ? wrong("an empty object") : entries
}

/** The name of something that the object inherits, or has and does not show. */
const hiddenIn = (record: object): string | undefined => {
  for (const key of Reflect.ownKeys(record)) {
    if (typeof key === "symbol" || !Object.prototype.propertyIsEnumerable.call(record, key)) return String(key)
  }
  for (const key in record) {
    if (!Object.hasOwn(record, key)) return key
  }
  // Methods of a class are not enumerable.
  for (let next = prototypeOf(record); next !== null && prototypeOf(next) !== null; next = prototypeOf(next)) {
    const key = Reflect.ownKeys(next).find((key) => key !== "constructor")
    if (key !== undefined) return String(key)
  }
  return undefined
}

const prototypeOf = (value: object): object | null => Object.getPrototypeOf(value) as object | null
