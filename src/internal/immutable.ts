/**
 * Makes values deeply immutable without touching anybody's objects.
 *
 * Plain objects, arrays, maps, sets, dates and `DateTime`s are copied into frozen ones, once: what is known to be deeply
 * frozen is passed by reference afterwards. A plain copy of `Option` and `Result` is made when what they hold is not
 * immutable. Everything else (instances of classes, functions, bytes) is passed by reference: a copy could break it, and
 * JavaScript cannot freeze bytes.
 *
 * A copy holds values: what an accessor gives is read once. Of a plain object the enumerable properties are copied, of an
 * array its elements and its holes, not what else somebody hung on them.
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
  if (!isPlain(value) || !Object.isFrozen(value)) return false
  const keys = Reflect.ownKeys(value)
  if (!holdsNoObjects(value, keys)) return false
  if (keys.length > worthRemembering) deeplyFrozen.add(value)
  return true
}

/** To look at this many properties again takes less than to remember that they were looked at. */
const worthRemembering = 8

const holdsNoObjects = (value: object, keys: ReadonlyArray<PropertyKey>): boolean => {
  for (const key of keys) {
    const descriptor = Object.getOwnPropertyDescriptor(value, key)
    if (descriptor === undefined || !("value" in descriptor) || isObject(descriptor.value)) return false
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

// Not every engine has the last two.
const mapSetters = ["set", "delete", "clear", "getOrInsert", "getOrInsertComputed"].filter((name) =>
  name in Map.prototype
)

const setSetters = ["add", "delete", "clear"]

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

/** How many elements an array has before its first hole. */
const denseLength = (array: ReadonlyArray<unknown>): number => {
  for (let index = 0; index < array.length; index++) {
    if (!Object.hasOwn(array, index)) return index
  }
  return array.length
}

/** The beginning of a copy. What is read here of a plain object is all that is ever read of it. */
const begun = (source: object): object => {
  // No longer than what it holds: the length of an array says nothing of that.
  if (Array.isArray(source)) return Array(denseLength(source))
  if (source instanceof Map) return new Map()
  if (source instanceof Set) return new Set()
  // Dates are copied whole: they hold nothing else.
  if (source instanceof Date) return withoutMethods(new Date(source.getTime()), dateSetters)
  if (DateTime.isDateTime(source)) return copyOfDateTime(source)
  const own: Draft = { ...source }
  if (Object.getPrototypeOf(source) === Object.prototype) return own
  const target = Object.create(Object.getPrototypeOf(source) as object | null) as object
  for (const key of Reflect.ownKeys(own)) define(target, key, own[key])
  return target
}

const isIndex = (key: string): boolean => String(Number(key) >>> 0) === key

const fillArray = (source: ReadonlyArray<unknown>, target: Array<unknown>, copy: (value: unknown) => unknown): void => {
  const dense = target.length
  // By index: a list of all keys would take several times the memory of the array.
  for (let index = 0; index < dense; index++) target[index] = copy(source[index])
  if (dense === source.length) return
  // Where there are holes the keys are what there is, however long the array says it is.
  target.length = source.length
  for (const key of Object.keys(source)) {
    const index = Number(key)
    if (index > dense && index < source.length && isIndex(key)) target[index] = copy(source[index])
  }
}

const fill = ({ source, target }: Pending, copy: (value: unknown) => unknown): void => {
  if (source instanceof Map) {
    const map = target as Map<unknown, unknown>
    // By the method of every Map: one could have an iterator of its own.
    Map.prototype.forEach.call(source, (value, key) => map.set(copy(key), copy(value)))
    withoutMethods(map, mapSetters)
  } else if (source instanceof Set) {
    const set = target as Set<unknown>
    Set.prototype.forEach.call(source, (value) => set.add(copy(value)))
    withoutMethods(set, setSetters)
  } else if (Array.isArray(source)) {
    fillArray(source, target as Array<unknown>, copy)
  } else if (!(source instanceof Date || DateTime.isDateTime(source))) {
    for (const key of Reflect.ownKeys(target)) {
      const value = (target as Draft)[key]
      const copied = copy(value)
      if (copied !== value) define(target, key, copied)
    }
  }
  Object.freeze(target)
  deeplyFrozen.add(target)
}

// A work list instead of recursion: a linked list of 100,000 cells is data like any other.
const copyDeep = (root: object, begunRoot: object): object => {
  const copies = new Map<object, object>([[root, begunRoot]])
  const pending: Array<Pending> = [{ source: root, target: begunRoot }]
  const copy = (value: unknown): unknown => {
    if (isSettled(value)) return value
    const source = value as object
    const known = copies.get(source)
    if (known !== undefined) return known
    const target = begun(source)
    copies.set(source, target)
    pending.push({ source, target })
    return target
  }
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) fill(next, copy)
  return begunRoot
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
  // What somebody froze may be known, or be flat and need no copy.
  if (Object.getPrototypeOf(value) !== Object.prototype || Object.isFrozen(value)) {
    // The copy has the type of what it copies.
    return isSettled(value) ? value : copyDeep(value, begun(value)) as A
  }
  // Most outputs are one flat object: no work list, and no entry in the WeakSet. It is looked at where it has been copied,
  // because what it holds is read once.
  const copy = { ...value }
  return isFlat(copy) ? Object.freeze(copy) : copyDeep(value, copy) as A
}

/** A list of values that are immutable already, as one: what it holds is not looked at again. */
export const immutableList = <A>(values: Array<A>): ReadonlyArray<A> => {
  Object.freeze(values)
  deeplyFrozen.add(values)
  return values
}
