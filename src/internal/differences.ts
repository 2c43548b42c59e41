/**
 * Finds where a value that was read back differs from the one that was written.
 *
 * Two values are the same when nobody who looks at them from outside can tell: same prototypes, same fields, `-0` apart
 * from `0`, a field that is `undefined` apart from one that is not there. Three things are not looked at, because no schema
 * describes them: the stack of an error, whether a plain object has a prototype, and of what became a bare `Error`
 * everything but its name and message.
 */
import * as Equal from "effect/Equal"

/** A place where two values differ. */
export interface Difference {
  readonly path: ReadonlyArray<string | number>
  /** What the one has there. */
  readonly value: unknown
  /** Whether everything around it is a plain object or an array, and what is there a field or an element. */
  readonly isInPlainData: boolean
}

const isObject = (value: unknown): value is object => typeof value === "object" && value !== null

const prototypeOf = (value: object): unknown => Object.getPrototypeOf(value) ?? Object.prototype

/** The fields that can be seen from outside. An error's own message and cause are not enumerable. */
const fieldsOf = (value: object): ReadonlyArray<PropertyKey> => {
  const isError = value instanceof Error
  return Reflect.ownKeys(value).filter((key) =>
    isError && (key === "message" || key === "cause") ||
    Object.getOwnPropertyDescriptor(value, key)?.enumerable === true
  )
}

const field = (value: object, key: string): unknown => Reflect.get(value, key)

/** Stands for what is not there, which is not the same as `undefined`. */
const absent = Symbol("absent")

const at = (value: object, key: PropertyKey): unknown => Object.hasOwn(value, key) ? Reflect.get(value, key) : absent

/** An error that no schema describes comes back as a bare one with its name and message. */
const isShownBy = (one: object, other: object): boolean =>
  prototypeOf(other) === Error.prototype && field(one, "message") === field(other, "message")
  && (!(one instanceof Error) || one.name === field(other, "name"))

const bytesOf = (view: ArrayBufferView): Uint8Array => new Uint8Array(view.buffer, view.byteOffset, view.byteLength)

const haveSameBytes = (one: Uint8Array, other: Uint8Array): boolean =>
  one.length === other.length && one.every((byte, index) => byte === other[index])

class Comparison {
  readonly found: Array<Difference> = []
  private readonly path: Array<string | number> = []
  /** How many of the values around this one are neither a plain object nor an array. */
  private instances = 0

  compare(one: unknown, other: unknown): void {
    if (Object.is(one, other)) return
    if (!isObject(one) || !isObject(other)) return this.differ(one)
    if (isShownBy(one, other)) return
    if (prototypeOf(one) !== prototypeOf(other)) return this.differ(one)
    if (Array.isArray(one)) return this.compareArrays(one, other as ReadonlyArray<unknown>)
    if (prototypeOf(one) === Object.prototype) return this.compareFields(one, other)
    this.instances++
    this.compareInstances(one, other)
    this.instances--
  }

  private differ(value: unknown): void {
    this.found.push({ path: this.path.slice(), value, isInPlainData: this.instances === 0 && this.path.length > 0 })
  }

  private under(key: PropertyKey, one: unknown, other: unknown): void {
    this.path.push(typeof key === "symbol" ? String(key) : key)
    if (typeof key === "symbol") this.instances++
    this.compare(one, other)
    if (typeof key === "symbol") this.instances--
    this.path.pop()
  }

  private compareArrays(one: ReadonlyArray<unknown>, other: ReadonlyArray<unknown>): void {
    if (one.length !== other.length) return this.differ(one)
    for (let index = 0; index < one.length; index++) this.under(index, at(one, index), at(other, index))
  }

  private compareFields(one: object, other: object): void {
    for (const key of new Set([...fieldsOf(one), ...fieldsOf(other)])) this.under(key, at(one, key), at(other, key))
  }

  private compareInstances(one: object, other: object): void {
    if (one instanceof Date) return this.compare(one.getTime(), (other as Date).getTime())
    if (one instanceof RegExp || one instanceof URL) return this.compare(String(one), String(other))
    if (one instanceof Map) return this.compareEntries(Array.from(one), Array.from(other as Map<unknown, unknown>))
    if (one instanceof Set) return this.compareEntries(Array.from(one), Array.from(other as Set<unknown>))
    if (ArrayBuffer.isView(one)) {
      if (!haveSameBytes(bytesOf(one), bytesOf(other as ArrayBufferView))) this.differ(one)
      return
    }
    if (one instanceof ArrayBuffer) {
      if (!haveSameBytes(new Uint8Array(one), new Uint8Array(other as ArrayBuffer))) this.differ(one)
      return
    }
    if (Equal.isEqual(one)) {
      if (Equal.equals(one, other)) return
      // Some show nothing of what they hold.
      if (fieldsOf(one).length === 0) return this.differ(one)
    }
    this.compareFields(one, other)
  }

  private compareEntries(one: ReadonlyArray<unknown>, other: ReadonlyArray<unknown>): void {
    if (one.length !== other.length) return this.differ(one)
    one.forEach((entry, index) => this.under(index, entry, other[index]))
  }
}

/** Where `other` differs from `one`. */
export const differences = (one: unknown, other: unknown): ReadonlyArray<Difference> => {
  const comparison = new Comparison()
  comparison.compare(one, other)
  return comparison.found
}
