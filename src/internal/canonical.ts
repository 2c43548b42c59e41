/**
 * Writes a value as one text, the same for equal values, however they came about: keys in order, what is `undefined` left out.
 *
 * It tells values apart and cannot be read back. Where it cannot see what a value holds it throws.
 */
import * as DateTime from "effect/DateTime"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"

/** A value inside of another one, still to be written. */
class Part {
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

type Piece = string | Part

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
        ? [`Bytes(${value.byteLength},${textOfBytes(bytesOf(value))})`]
        : piecesOf(value)
      for (let index = pieces.length - 1; index >= 0; index--) pending.push(pieces[index] as Piece)
    } else {
      written.push(primitive(next.value))
    }
  }
  return written.join("")
}

const primitive = (value: unknown): string => {
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

const entriesOf = (name: string, value: object): ReadonlyArray<Piece> => {
  const pieces: Array<Piece> = [`${name}{`]
  for (const key of Object.keys(value).toSorted()) {
    const item = (value as Record<string, unknown>)[key]
    if (item !== undefined) pieces.push(`${JSON.stringify(key)}:`, new Part(item), ",")
  }
  pieces.push("}")
  return pieces
}

const bytesOf = (view: ArrayBufferView): Uint8Array => new Uint8Array(view.buffer, view.byteOffset, view.byteLength)

const piecesOf = (value: object): ReadonlyArray<Piece> => {
  if (Array.isArray(value)) return listed("", value)
  const prototype: unknown = Object.getPrototypeOf(value)
  if (prototype === Object.prototype || prototype === null) return entriesOf("", value)
  if (value instanceof Map) return listed("Map", Array.from(value).flat())
  if (value instanceof Set) return listed("Set", value)
  if (value instanceof Date) return [`Date(${value.getTime()})`]
  if (Option.isOption(value)) return listed("Option", Option.toArray(value))
  if (Result.isResult(value)) return listed(value._tag, [Result.merge(value)])
  if (Redacted.isRedacted(value)) return listed("Redacted", [Redacted.value(value)])
  if (DateTime.isDateTime(value)) return [`DateTime(${DateTime.toEpochMillis(value)},${zoneOf(value)})`]
  return piecesOfInstance(value)
}

const zoneOf = (value: DateTime.DateTime): string => DateTime.isZoned(value) ? DateTime.zoneToString(value.zone) : "UTC"

/** An instance shows itself as JSON, or by its own keys. One that shows nothing could be anything. */
const piecesOfInstance = (value: object): ReadonlyArray<Piece> => {
  const name = value.constructor.name
  if ("toJSON" in value && typeof value.toJSON === "function") return listed(name, [value.toJSON()])
  if (Object.keys(value).length === 0) throw new TypeError(`An instance of ${name} does not show what it holds`)
  return entriesOf(name, value)
}
