/**
 * Random values, alone and with a schema that they fit: what stages give, fail with and report.
 */
import { Option, Schema } from "effect"

/** The same numbers for the same seed. */
export class Dice {
  private state: number
  constructor(seed: number) {
    this.state = (seed * 2_654_435_761) >>> 0
  }

  /** A whole number from 0 to below `sides`. */
  roll(sides: number): number {
    this.state = (Math.imul(this.state, 1_664_525) + 1_013_904_223) >>> 0
    return Math.floor(this.state / 2 ** 32 * sides)
  }

  pick<A>(from: ReadonlyArray<A>): A {
    return from[this.roll(from.length)] as A
  }

  list<A>(most: number, make: () => A): ReadonlyArray<A> {
    return Array.from({ length: this.roll(most + 1) }, make)
  }
}

const texts = ["", "NaN", "-0", "~", "undefined", "1970-01-01T00:00:00.001Z", "\ud800", "é", "null", "1"]
const numbers = [0, -0, 1, -1.5, Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 1e300, 5e-324]
const keys = ["a", "b", "~", "of", "__proto__", "constructor", "toString", "0", "with", "_tag", ""]

const with_ = (key: string, value: unknown, into: object): object =>
  Object.defineProperty(into, key, { value, enumerable: true, writable: true, configurable: true })

const fields = (dice: Dice, value: () => unknown, into: object = {}): object =>
  dice.list(4, () => dice.pick(keys)).reduce((object, key) => with_(key, value(), object), into)

class Point {
  readonly x: unknown
  constructor(x: unknown) {
    this.x = x
  }
}

// ---------------------------------------------------------------------------------------------------------------------
// without a schema
// ---------------------------------------------------------------------------------------------------------------------

/** What no JSON carries as it is. */
const oddity = (dice: Dice): unknown => {
  const odd = {}
  switch (dice.roll(9)) {
    case 0:
      return new Date(dice.pick([0, 1, Number.NaN]))
    case 1:
      return new Map([["a", 1]])
    case 2:
      return new Set([1])
    case 3:
      return 7n
    case 4:
      return new Point(1)
    case 5:
      return Object.assign(odd, { [Symbol("key")]: 1 })
    case 6:
      return Object.defineProperty(odd, "a", { get: () => 1, enumerable: true })
    case 7:
      return Array(2)
    default:
      return Option.some(1)
  }
}

/** Plain data; with `odd`, something in it now and then is not plain. */
export const plain = (dice: Dice, odd: boolean, depth = 3): unknown => {
  if (odd && dice.roll(30) === 0) return oddity(dice)
  switch (dice.roll(depth === 0 ? 4 : 7)) {
    case 0:
      return dice.pick(texts)
    case 1:
      return dice.pick(numbers)
    case 2:
      return dice.pick([true, false, null])
    case 3:
      return undefined
    case 4:
      return dice.list(4, () => plain(dice, odd, depth - 1))
    case 5:
      return fields(dice, () => plain(dice, odd, depth - 1), Object.create(null) as object)
    default:
      return fields(dice, () => plain(dice, odd, depth - 1))
  }
}

/** Plain data that is an object, as outcomes have it. */
export const plainRecord = (dice: Dice, odd: boolean): Readonly<Record<string, unknown>> =>
  fields(dice, () => plain(dice, odd)) as Readonly<Record<string, unknown>>

// ---------------------------------------------------------------------------------------------------------------------
// with a schema
// ---------------------------------------------------------------------------------------------------------------------

export class Person extends Schema.Class<Person>("Person")({
  name: Schema.String,
  born: Schema.Date,
  note: Schema.optional(Schema.NullOr(Schema.String))
}) {}

/** An instance of a class that its schema does not know. */
class Employee extends Person {
  readonly salary = 1
}

const symbol = Symbol("key")

export interface Typed {
  readonly schema: Schema.Top
  readonly value: unknown
}

const person = (dice: Dice, odd: boolean): Person => {
  const fields = {
    name: dice.pick(texts),
    born: new Date(dice.roll(1000)),
    ...dice.pick([{}, { note: dice.pick(texts) }, { note: null }, ...(odd ? [{ note: undefined }] : [])])
  }
  return odd && dice.roll(4) === 0 ? new Employee(fields) : new Person(fields)
}

const leaf = (dice: Dice, odd: boolean): Typed => {
  switch (dice.roll(odd ? 14 : 11)) {
    case 0:
      return { schema: Schema.Number, value: dice.pick(numbers) }
    case 1:
      return { schema: Schema.String, value: dice.pick(texts) }
    case 2:
      return { schema: Schema.BigInt, value: BigInt(dice.roll(1000)) - 500n }
    case 3:
      return { schema: Schema.Date, value: new Date(dice.roll(1000)) }
    case 4:
      return { schema: Schema.Uint8Array, value: Uint8Array.from(dice.list(4, () => dice.roll(256))) }
    case 5:
      return { schema: Schema.Json, value: { a: [dice.pick([1, -0, "x", null])] } }
    case 6:
      return { schema: Person, value: person(dice, odd) }
    // The JSON of these schemas is the same for several of their values.
    case 7:
      return { schema: Schema.NullishOr(Schema.String), value: dice.pick([null, undefined, ...texts]) }
    case 8:
      return { schema: Schema.Union([Schema.Number, Schema.String]), value: dice.pick([...texts, ...numbers]) }
    case 9:
      return { schema: Schema.Union([Schema.BigInt, Schema.String]), value: dice.pick([...texts, 1n]) }
    case 10:
      return { schema: Schema.Union([Schema.Date, Schema.String]), value: dice.pick([...texts, new Date(1)]) }
    case 11:
      return { schema: Schema.Unknown, value: plain(dice, true) }
    case 12:
      return { schema: Schema.Any, value: plain(dice, true) }
    default:
      return { schema: Schema.Symbol, value: dice.pick([symbol, Symbol.for("key")]) }
  }
}

const several = (dice: Dice, odd: boolean, depth: number): ReadonlyArray<Typed> =>
  dice.list(3, () => typed(dice, odd, depth))

/** A schema and a value of its type; with `odd`, JSON cannot carry all of these. */
export const typed = (dice: Dice, odd: boolean, depth = 2): Typed => {
  if (depth === 0) return leaf(dice, odd)
  switch (dice.roll(7)) {
    case 0: {
      const { schema, value } = typed(dice, odd, depth - 1)
      return { schema: Schema.Array(schema), value: [value, value] }
    }
    case 1: {
      const { schema, value } = typed(dice, odd, depth - 1)
      return {
        schema: Schema.ReadonlyMap(Schema.BigInt, schema as Schema.Codec<unknown>),
        value: new Map([[1n, value]])
      }
    }
    case 2: {
      const { schema, value } = typed(dice, odd, depth - 1)
      return { schema: Schema.Option(schema), value: dice.pick([Option.none(), Option.some(value)]) }
    }
    case 3:
      return struct(dice, several(dice, odd, depth - 1), odd)
    default:
      return leaf(dice, odd)
  }
}

const struct = (dice: Dice, parts: ReadonlyArray<Typed>, odd: boolean): Typed => {
  const schemas = {}
  const value = {}
  parts.forEach((part, index) => {
    const key = `${keys[index]}${index}`
    switch (dice.roll(4)) {
      case 0:
        with_(key, Schema.optionalKey(part.schema), schemas)
        break
      case 1:
        with_(key, Schema.optional(part.schema), schemas)
        with_(key, dice.pick([part.value, undefined]), value)
        break
      default:
        with_(key, part.schema, schemas)
        with_(key, part.value, value)
    }
  })
  if (odd && dice.roll(20) === 0) {
    Object.assign(schemas, { [symbol]: Schema.Number })
    Object.assign(value, { [symbol]: 1 })
  }
  return { schema: Schema.Struct(schemas), value }
}

/** The same for data of stages, which is always an object. */
export const typedRecord = (dice: Dice, odd: boolean): Typed =>
  struct(dice, [typed(dice, odd), ...several(dice, odd, 2)], odd)

/** An error class for each seed, whose fields have a random schema. */
export const typedError = (dice: Dice, odd: boolean): Typed => {
  const { schema, value } = typed(dice, odd)
  class Random extends Schema.TaggedError<Random>()("Random", { payload: schema as Schema.Codec<unknown> }) {}
  const error = new Random({ payload: value })
  return { schema: Random, value: odd && dice.roll(6) === 0 ? Object.assign(error, { extra: 1 }) : error }
}
