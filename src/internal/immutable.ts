/**
 * Makes values deeply immutable without touching anybody's objects.
 *
 * Plain objects, arrays, maps, sets, dates and `DateTime`s are copied into frozen ones, once: what is known to be deeply
 * frozen is passed by reference afterwards. A plain copy of `Option` and `Result` is made when what they hold is not immutable.
 * Of an array its elements are copied, not what else somebody hung on it. Everything else (instances of classes,
 * functions, bytes) is passed by reference: a copy could break it, and JavaScript cannot freeze bytes.
 *
 * JavaScript cannot freeze what a Map, a Set or a Date holds either. Their own methods refuse; who goes past them with
 * `Map.prototype.set.call` is not stopped.
 */
import * as DateTime from "effect/DateTime"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import { define } from "./record.ts"

type Draft = Record<PropertyKey, unknown>

/** Copies made here, and what was found to be frozen and to hold no objects: looked at once, however large it is. */
const deeplyFrozen = new WeakSet<object>()

const isObject = (value: unknown): value is object => typeof value === "object" && value !== null

const isPlain = (value: object): boolean => {
  const prototype: unknown = Object.getPrototypeOf(value)
  return prototype === Object.prototype || prototype === null
}

/** An instance of one of these, and not of a class that extends it: a copy would not be an instance of that class. */
const copied: ReadonlySet<unknown> = new Set([Array.prototype, Map.prototype, Set.prototype, Date.prototype])

const isContainer = (value: object): boolean =>
  isPlain(value) || copied.has(Object.getPrototypeOf(value))
  || (Option.isOption(value) && Option.isSome(value)) || Result.isResult(value) || DateTime.isDateTime(value)

/** Whether a value can be handed out as it is. */
const isSettled = (value: unknown): boolean => {
  if (!isObject(value) || deeplyFrozen.has(value)) return true
  if (!isContainer(value)) return true
  if (!isPlain(value) || !Object.isFrozen(value) || !holdsNoObjects(value)) return false
  deeplyFrozen.add(value)
  return true
}

const holdsNoObjects = (value: object): boolean => {
  for (const key of Reflect.ownKeys(value)) {
    const descriptor = Object.getOwnPropertyDescriptor(value, key)
    if (descriptor === undefined || descriptor.get !== undefined || isObject(descriptor.value)) return false
  }
  return true
}

const refuse = (name: string) => () => {
  throw new TypeError(`Cannot ${name} here: outputs and snapshots are immutable`)
}

const withoutMethods = <A extends object>(value: A, names: ReadonlyArray<string>): A => {
  for (const name of names) Object.defineProperty(value, name, { value: refuse(name) })
  return value
}

const dateSetters = Object.getOwnPropertyNames(Date.prototype).filter((name) => name.startsWith("set"))

/** One copy in the making: an empty container, how to fill it, and what it is a copy of. */
interface Pending {
  readonly source: object
  readonly target: object
}

const copyOfDateTime = (source: DateTime.DateTime): DateTime.DateTime => {
  const utc = DateTime.makeUnsafe(source.epochMilliseconds)
  const copy = DateTime.isZoned(source) ? DateTime.setZone(utc, source.zone) : utc
  // Its parts are kept in it when they are first asked for, which a frozen one could not do any more.
  Object.freeze(DateTime.toPartsUtc(copy))
  Object.freeze(DateTime.toParts(copy))
  return copy
}

const emptyCopy = (source: object): object => {
  if (Array.isArray(source)) return Array.from({ length: source.length })
  if (source instanceof Map) return new Map()
  if (source instanceof Set) return new Set()
  // Dates are copied whole: they hold nothing else.
  if (source instanceof Date) return withoutMethods(new Date(source.getTime()), dateSetters)
  if (DateTime.isDateTime(source)) return copyOfDateTime(source)
  return Object.create(Object.getPrototypeOf(source) as object | null) as object
}

const fill = ({ source, target }: Pending, copy: (value: unknown) => unknown): void => {
  if (source instanceof Map) {
    const map = target as Map<unknown, unknown>
    for (const [key, value] of source) map.set(copy(key), copy(value))
    withoutMethods(map, ["set", "delete", "clear"])
  } else if (source instanceof Set) {
    const set = target as Set<unknown>
    for (const value of source) set.add(copy(value))
    withoutMethods(set, ["add", "delete", "clear"])
  } else if (Array.isArray(source)) {
    // By index: a list of all keys would take several times the memory of the array.
    const array = target as Array<unknown>
    for (let index = 0; index < source.length; index++) array[index] = copy(source[index])
  } else if (!(source instanceof Date || DateTime.isDateTime(source))) {
    for (const key of Reflect.ownKeys(source)) define(target, key, copy((source as Draft)[key]))
  }
  Object.freeze(target)
  deeplyFrozen.add(target)
}

// A work list instead of recursion: a linked list of 100,000 cells is data like any other.
const copyDeep = (root: object): object => {
  const copies = new Map<object, object>()
  const pending: Array<Pending> = []
  const copy = (value: unknown): unknown => {
    if (isSettled(value)) return value
    const source = value as object
    const known = copies.get(source)
    if (known !== undefined) return known
    const target = emptyCopy(source)
    copies.set(source, target)
    pending.push({ source, target })
    return target
  }
  const result = copy(root) as object
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) fill(next, copy)
  return result
}

const isFlat = (value: object): boolean => {
  if (Object.getOwnPropertySymbols(value).length > 0) return false
  for (const key in value) {
    if (isObject((value as Draft)[key])) return false
  }
  return true
}

/**
 * The same value, deeply immutable. The argument and all it holds stay as they are.
 */
export const immutable = <A>(value: A): A => {
  if (!isObject(value)) return value
  // Most outputs are one flat object: no work list, and no entry in the WeakSet.
  if (Object.getPrototypeOf(value) === Object.prototype && isFlat(value)) {
    return Object.isFrozen(value) ? value : Object.freeze({ ...value })
  }
  if (isSettled(value)) return value
  // The copy has the type of what it copies.
  return copyDeep(value) as A
}
