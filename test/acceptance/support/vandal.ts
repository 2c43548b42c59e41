/**
 * Somebody who tries to change a value in every ordinary way, and everything that hangs on it.
 */
import { Option } from "effect"

// `Option.none()` is one object for the whole process, which everybody has anyway.
const isObject = (value: unknown): value is object =>
  typeof value === "object" && value !== null && !(Option.isOption(value) && Option.isNone(value))

const attempt = (change: () => unknown): void => {
  try {
    change()
  } catch {
    // Refused, which is as good as unseen.
  }
}

const arrayMethods: ReadonlyArray<(array: Array<unknown>) => unknown> = [
  (array) => array.push("vandal"),
  (array) => array.pop(),
  (array) => array.unshift("vandal"),
  (array) => array.shift(),
  (array) => array.splice(0, 1, "vandal", "vandal"),
  (array) => array.fill("vandal"),
  (array) => array.copyWithin(1, 0),
  (array) => array.sort(() => -1),
  (array) => array.copyWithin(0, 1),
  (array) => {
    array.length = 0
  }
]

const mapMethods: ReadonlyArray<(map: Map<unknown, unknown>) => unknown> = [
  (map) => map.set("vandal", true),
  (map) => map.set(map.keys().next().value, "vandal"),
  (map) => map.delete(map.keys().next().value),
  (map) => map.clear(),
  // Where the engine has it.
  (map) =>
    (map as unknown as { readonly getOrInsert: (key: string, value: string) => unknown }).getOrInsert("vandal", "v")
]

const setMethods: ReadonlyArray<(set: Set<unknown>) => unknown> = [
  (set) => set.add("vandal"),
  (set) => set.delete(set.values().next().value),
  (set) => set.clear()
]

const dateMethods: ReadonlyArray<(date: Date) => unknown> = [
  (date) => date.setTime(0),
  (date) => date.setFullYear(1999),
  (date) => date.setUTCMonth(1),
  (date) => date.setMilliseconds(1)
]

const changesOf = (value: object): ReadonlyArray<() => unknown> => {
  const changes: Array<() => unknown> = [
    () => Object.assign(value, { vandal: true }),
    () => Object.defineProperty(value, "vandal", { value: true, configurable: true }),
    () => Object.setPrototypeOf(value, { vandal: true }) as unknown
  ]
  for (const key of Reflect.ownKeys(value)) {
    changes.push(
      () => Object.assign(value, { [key]: "vandal" }),
      () => Object.defineProperty(value, key, { value: "vandal" }),
      () => {
        if (!Reflect.deleteProperty(value, key)) throw new TypeError("refused")
      }
    )
  }
  if (Array.isArray(value)) changes.push(...arrayMethods.map((method) => () => method(value)))
  if (value instanceof Map) changes.push(...mapMethods.map((method) => () => method(value)))
  if (value instanceof Set) changes.push(...setMethods.map((method) => () => method(value)))
  if (value instanceof Date) changes.push(...dateMethods.map((method) => () => method(value)))
  return changes
}

const partsOf = (value: object): ReadonlyArray<unknown> => {
  const parts = Reflect.ownKeys(value).map((key) => Reflect.get(value, key) as unknown)
  if (value instanceof Map) return [...parts, ...value.keys(), ...value.values()]
  if (value instanceof Set) return [...parts, ...value]
  return parts
}

/** Everything that can be reached from a value through keys, elements and entries, the innermost last. */
const reachable = (root: unknown): ReadonlyArray<object> => {
  const found = new Set<object>()
  const rest = [root]
  for (let next = rest.pop(); rest.length > 0 || next !== undefined; next = rest.pop()) {
    if (!isObject(next) || found.has(next)) continue
    found.add(next)
    rest.push(...partsOf(next))
  }
  return Array.from(found)
}

/** Tries every change on everything reachable. Whether one worked shows in the value. */
export const vandalise = (value: unknown): void => {
  for (const part of reachable(value).toReversed()) changesOf(part).forEach(attempt)
}
