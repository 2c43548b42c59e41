/**
 * Writes a value as one text, the same for equal values, however they came about: keys in order, what is `undefined` left out.
 *
 * It tells values apart and cannot be read back. Where it cannot see what a value holds it throws.
 */
import * as DateTime from "effect/DateTime"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"

/** A value inside of another one, still to be looked at. */
export class Part {
  readonly value: unknown
  constructor(value: unknown) {
    this.value = value
  }
}

/** The end of an object: what comes after is no longer inside of it. */
class End {
  readonly of: object
  constructor(of: object) {
    this.of = of
  }
}

/** What a value consists of: text, and other values. */
export type Piece = string | Part

/** The text of a value, in which `textOfBytes` stands for bytes. Throws where it cannot see what a value holds. */
export const canonical = (root: unknown, textOfBytes: (bytes: Uint8Array) => string): string => {
  const written: Array<string> = []
  const inside = new Set<object>()
  // A list of what is left to write instead of recursion: a value may be nested as deeply as it likes.
  const pending: Array<Piece | End> = [new Part(root)]
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
    if (typeof next === "string") {
      written.push(next)
    } else if (next instanceof End) {
      inside.delete(next.of)
    } else if (typeof next.value === "object" && next.value !== null) {
      const { value } = next
      if (inside.has(value)) throw new TypeError("A value that contains itself has no digest")
      inside.add(value)
      pending.push(new End(value))
      const pieces = ArrayBuffer.isView(value)
        ? [`${nameOfView(value)}(${value.byteLength},${textOfBytes(bytesOf(value))})`]
        : piecesOf(value)
      for (let index = pieces.length - 1; index >= 0; index--) pending.push(pieces[index] as Piece)
    } else {
      written.push(primitive(next.value))
    }
  }
  return written.join("")
}

/** The text of what is no object. */
export const primitive = (value: unknown): string => {
  switch (typeof value) {
    case "string":
      return JSON.stringify(value)
    case "bigint":
      return `${value}n`
    case "function":
    case "symbol":
      throw new TypeError(`A ${typeof value} has no digest`)
    default:
      return String(value)
  }
}

const listed = (name: string, values: Iterable<unknown>): ReadonlyArray<Piece> => {
  const pieces: Array<Piece> = [`${name}[`]
  for (const value of values) pieces.push(new Part(value), ",")
  pieces.push("]")
  return pieces
}

/** What an object holds under its own keys. Symbols come last, by what they are called. */
const entriesOf = (name: string, value: object): ReadonlyArray<Piece> => {
  const pieces: Array<Piece> = [`${name}{`]
  const add = (called: string, key: PropertyKey) => {
    const item = (value as Record<PropertyKey, unknown>)[key]
    if (item !== undefined) pieces.push(`${called}:`, new Part(item), ",")
  }
  for (const key of Object.keys(value).toSorted()) add(JSON.stringify(key), key)
  const symbols = Object.getOwnPropertySymbols(value)
  if (symbols.length > 0) {
    const shown = symbols.filter((symbol) => Object.prototype.propertyIsEnumerable.call(value, symbol))
    for (const symbol of shown.toSorted((a, b) => String(a) < String(b) ? -1 : 1)) add(String(symbol), symbol)
  }
  pieces.push("}")
  return pieces
}

/** The bytes that a view shows. */
export const bytesOf = (view: ArrayBufferView): Uint8Array =>
  new Uint8Array(view.buffer, view.byteOffset, view.byteLength)

/** What the bytes of a view stand for: the same for a `Buffer` and a `Uint8Array`. */
export const nameOfView = (view: ArrayBufferView): string => Object.prototype.toString.call(view)

/** What a value consists of that is no view of bytes. Throws where it cannot see what the value holds. */
export const piecesOf = (value: object): ReadonlyArray<Piece> => {
  const prototype: unknown = Object.getPrototypeOf(value)
  if (prototype === Object.prototype || prototype === null) return entriesOf("", value)
  const held = heldIn(value)
  if (held === undefined) return piecesOfInstance(value)
  // One of a class that extends what is known has more to it.
  return known.has(prototype) || !isExtended(value) ? held : [...held, ...entriesOf(value.constructor.name, value)]
}

const known: ReadonlySet<unknown> = new Set([Array.prototype, Map.prototype, Set.prototype, Date.prototype])

const isExtended = (value: object): boolean =>
  Array.isArray(value) || value instanceof Map || value instanceof Set || value instanceof Date

const heldIn = (value: object): ReadonlyArray<Piece> | undefined => {
  if (Array.isArray(value)) return listed("", value)
  if (value instanceof Map) return listed("Map", Array.from(value).flat())
  if (value instanceof Set) return listed("Set", value)
  if (value instanceof Date) return [`Date(${value.getTime()})`]
  if (Option.isOption(value)) return listed("Option", Option.toArray(value))
  if (Result.isResult(value)) return listed(value._tag, [Result.merge(value)])
  if (Redacted.isRedacted(value)) return listed("Redacted", [Redacted.value(value)])
  if (DateTime.isDateTime(value)) return [`DateTime(${DateTime.toEpochMillis(value)},${zoneOf(value)})`]
  return undefined
}

const zoneOf = (value: DateTime.DateTime): string => DateTime.isZoned(value) ? DateTime.zoneToString(value.zone) : "UTC"

/**
 * An instance shows itself as JSON, or by its own keys, and an error by what it says besides. One that shows nothing could be
 * anything.
 */
const piecesOfInstance = (value: object): ReadonlyArray<Piece> => {
  const name = value.constructor.name
  if ("toJSON" in value && typeof value.toJSON === "function") return listed(name, [value.toJSON()])
  if (value instanceof Error) {
    return [...listed("Error", [value.name, value.message, value.cause]), ...entriesOf(name, value)]
  }
  if (Object.keys(value).length === 0) throw new TypeError(`An instance of ${name} does not show what it holds`)
  return entriesOf(name, value)
}
