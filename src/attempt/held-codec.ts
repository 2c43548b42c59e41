/**
 * Writes what holds values that others gave or failed with, and reads it back: the data and the errors of a stage that runs
 * something inside of it.
 *
 * What is plain is written as it is. Of everything else, a part that a schema describes goes through that schema, wherever
 * it is: what an item of a list failed with, the state in an error, what a stage of a run inside gave. What holds these parts
 * is lists, objects, and errors that say of themselves how they are made of their fields.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as PlainJson from "../internal/plain-json.ts"
import { type FieldProblem, problemsOf, ProblemsOfParts, under } from "../internal/problems.ts"
import { define } from "../internal/record.ts"
import type { JsonCodec } from "../internal/schema-json.ts"

type Problems = ReadonlyArray<FieldProblem>

/** An error that holds what others gave or failed with, and how it is made of its fields. */
export interface HoldingError {
  readonly identifier: string
  readonly fields: ReadonlyArray<string>
  readonly takes: (value: unknown) => boolean
  readonly make: (fields: Readonly<Record<string, unknown>>) => unknown
}

/** A class of errors that is their schema. */
type ErrorClass<Fields, E> = { readonly identifier: string; readonly fields: object } & (new(fields: Fields) => E)

/** Says of a class of errors how they are made: with `new`, unless there is more to it. */
export const holding = <Fields, E extends Error>(
  schema: ErrorClass<Fields, E>,
  make: (fields: Fields) => E = (fields) => new schema(fields)
): HoldingError => ({
  identifier: schema.identifier,
  fields: Object.keys(schema.fields),
  takes: (value) => value instanceof schema,
  // The constructor looks at its fields.
  make: (fields) => make(fields as Fields)
})

/** What is known of the data and the errors of a stage besides its own schemas. */
export interface Holds {
  /** The errors of the stage that hold others. */
  readonly errors: ReadonlyArray<HoldingError>
  /** The schemas of parts: what one item gives, and what it fails with. */
  readonly parts?: ReadonlyArray<Schema.Top | undefined>
}

/** What a stage says of what is in its data and its errors. */
export const Held = Context.Reference<Holds>("stageflow/attempt/Held", { defaultValue: () => ({ errors: [] }) })

/** What writes parts, by names that the JSON says. */
export type PartCodecs = ReadonlyMap<string, JsonCodec>

const mark = "held"

/** A value that is not plain. `PlainJson` never writes this mark. */
const Marked = Schema.Struct({
  "~": Schema.Literal(mark),
  as: Schema.Literals(["Part", "Error", "List", "Fields"]),
  by: Schema.optionalKey(Schema.String),
  value: Schema.Unknown
})

const decodeMarked = Schema.decodeUnknownEffect(Marked)
const decodeList = Schema.decodeUnknownEffect(Schema.Array(Schema.Unknown))
const decodeFields = Schema.decodeUnknownEffect(Schema.Array(Schema.Tuple([Schema.String, Schema.Unknown])))

const issues = <A>(effect: Effect.Effect<A, Schema.SchemaError>): Effect.Effect<A, Problems> =>
  Effect.mapError(effect, ({ issue }) => problemsOf(issue))

const problem = (message: string): Problems => [{ path: [], message }]

/** Whether it was written by such a codec, and is not plain. */
export const isMarked = (json: unknown): boolean =>
  typeof json === "object" && json !== null && Object.hasOwn(json, "~") && Reflect.get(json, "~") === mark

/** Whether all that hangs on it are values under keys that JSON has. */
const hasOnly = (value: object, keys: ReadonlyArray<string>): boolean =>
  Reflect.ownKeys(value).length === keys.length
  && Object.values(Object.getOwnPropertyDescriptors(value)).every((property) => "value" in property)

const isList = (value: unknown): value is ReadonlyArray<unknown> =>
  Array.isArray(value) && Object.keys(value).length === value.length
  && hasOnly(value, [...Object.keys(value), "length"])

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null && Object.getPrototypeOf(value) === Object.prototype
  && hasOnly(value, Object.keys(value))

/** Whether it is plain data, which needs no schema. */
export const isPlain = (value: unknown): boolean => Result.isSuccess(PlainJson.write(value))

/** Writes values that hold parts. */
export const heldCodec = (
  errors: ReadonlyArray<HoldingError>,
  parts: Effect.Effect<PartCodecs, Problems>
): JsonCodec => {
  // Nothing that is inside of itself can be read back.
  const write = (value: unknown, around: ReadonlyArray<unknown>): Effect.Effect<Schema.Json, Problems> =>
    Effect.gen(function*() {
      const plain = PlainJson.write(value)
      if (Result.isSuccess(plain)) return plain.success
      if (around.includes(value)) return yield* Effect.fail(plain.failure)
      for (const [by, codec] of yield* parts) {
        const written = yield* Effect.result(codec.write(value))
        if (Result.isSuccess(written)) return { "~": mark, as: "Part", by, value: written.success }
      }
      const inside = [...around, value]
      const error = errors.find(({ takes }) => takes(value))
      if (error !== undefined) {
        const present = error.fields.filter((field) => Object.hasOwn(value as object, field))
        const entries = present.map((field) => [field, Reflect.get(value as object, field)] as const)
        return { "~": mark, as: "Error", by: error.identifier, value: yield* writeFields(entries, inside) }
      }
      if (isList(value)) return { "~": mark, as: "List", value: yield* writeList(value, inside) }
      if (isObject(value)) {
        return { "~": mark, as: "Fields", value: yield* writeFields(Object.entries(value), inside) }
      }
      return yield* Effect.fail(plain.failure)
    })

  const writeList = Effect.fnUntraced(function*(values: ReadonlyArray<unknown>, around: ReadonlyArray<unknown>) {
    const all = new ProblemsOfParts()
    const json: Array<Schema.Json> = []
    for (const [index, value] of values.entries()) json.push(yield* all.part([index], write(value, around)))
    return yield* all.whole((): Schema.Json => json)
  })

  const writeFields = Effect.fnUntraced(
    function*(entries: ReadonlyArray<readonly [string, unknown]>, around: ReadonlyArray<unknown>) {
      const all = new ProblemsOfParts()
      const json: Array<Schema.Json> = []
      for (const [key, value] of entries) json.push([key, yield* all.part([key], write(value, around))])
      return yield* all.whole((): Schema.Json => json)
    }
  )

  const read = (json: unknown): Effect.Effect<unknown, Problems> => {
    if (!isMarked(json)) return Effect.fromResult(PlainJson.readBack(json))
    return Effect.gen(function*() {
      const { as, by = "", value } = yield* issues(decodeMarked(json))
      switch (as) {
        case "Part": {
          const codec = (yield* parts).get(by)
          if (codec === undefined) return yield* Effect.fail(problem(`Expected what has the schema "${by}"`))
          return yield* under(["value"], codec.read(value))
        }
        case "Error": {
          const error = errors.find(({ identifier }) => identifier === by)
          if (error === undefined) return yield* Effect.fail(problem(`Expected an error of the stage, and not "${by}"`))
          const fields = yield* readFields(value)
          return yield* Effect.try({ try: () => error.make(fields), catch: () => problem(`Expected ${by}`) })
        }
        case "List": {
          const all = new ProblemsOfParts()
          const values: Array<unknown> = []
          for (const [index, part] of (yield* issues(decodeList(value))).entries()) {
            values.push(yield* all.part(["value", index], read(part)))
          }
          return yield* all.whole(() => values)
        }
        case "Fields":
          return yield* readFields(value)
      }
    })
  }

  const readFields = Effect.fnUntraced(function*(json: unknown) {
    const all = new ProblemsOfParts()
    const fields: Record<string, unknown> = {}
    for (const [key, value] of yield* issues(decodeFields(json))) {
      define(fields, key, yield* all.part(["value", key], read(value)))
    }
    return yield* all.whole(() => fields)
  })

  return { write: (value) => Effect.suspend(() => write(value, [])), read: (json) => Effect.suspend(() => read(json)) }
}
