/**
 * Writes values of a schema as JSON that gives the same values back, or says why it cannot.
 *
 * A value goes through the JSON codec of its schema, and is read back at once. Where that gives another value, because the
 * schema has the same JSON for two (`undefined` and `null` in one union, `NaN` and `"NaN"`) or because there is more in the
 * value than the schema names, it would be lost. What is lost of plain data is written beside the JSON, everything else is
 * refused. Without a schema a value has to be plain data.
 */
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { type Difference, differences } from "./differences.ts"
import * as PlainJson from "./plain-json.ts"
import { type FieldProblem, problemsOf, problemsUnder } from "./problems.ts"
import { define } from "./record.ts"

type Problems = ReadonlyArray<FieldProblem>

/** Writes values as JSON and reads JSON that nobody has checked. */
export interface JsonCodec<in out A = unknown> {
  readonly write: (value: A) => Effect.Effect<Schema.Json, Problems>
  readonly read: (json: unknown) => Effect.Effect<A, Problems>
}

/** The same, with JSON as text. */
export interface TextCodec<in out A> {
  readonly write: (value: A) => Effect.Effect<string, Problems>
  readonly read: (text: string) => Effect.Effect<A, Problems>
}

/** A codec of text, for stores that keep text. */
export const asText = <A>({ read, write }: JsonCodec<A>): TextCodec<A> => ({
  write: (value) =>
    Effect.flatMap(
      write(value),
      (json) => Effect.try({ try: () => JSON.stringify(json), catch: () => problem("Is too large for a text") })
    ),
  read: (text) =>
    Effect.flatMap(
      Effect.try({ try: (): unknown => JSON.parse(text), catch: () => problem("Expected JSON") }),
      read
    )
})

/** Writes and reads plain data. */
export const plainData: JsonCodec = {
  write: (value) => Effect.fromResult(PlainJson.write(value)),
  read: (json) => Effect.fromResult(PlainJson.readBack(json))
}

const problem = (message: string): Problems => [{ path: [], message }]

/** What an Effect dies of, as a problem: a schema's own code can throw, and run out of stack where data is deep. */
const guarded = <A>(
  effect: Effect.Effect<A, Problems>,
  doing: "written" | "read"
): Effect.Effect<A, Problems> =>
  Effect.catchDefect(effect, (defect) => {
    const name = defect instanceof Error ? defect.name : typeof defect
    return Effect.fail(problem(`Its schema threw when it was ${doing} (${name})`))
  })

// ---------------------------------------------------------------------------------------------------------------------
// what is written beside the JSON
// ---------------------------------------------------------------------------------------------------------------------

const Index = Schema.Int.check(Schema.isGreaterThanOrEqualTo(0))

/** The JSON of a value, and the values at some paths that it could not carry. `PlainJson` never writes this mark. */
const Exact = Schema.Struct({
  "~": Schema.Literal("exact"),
  of: Schema.Unknown,
  with: Schema.Array(Schema.Struct({
    path: Schema.NonEmptyArray(Schema.Union([Schema.String, Index])),
    value: Schema.Unknown
  }))
})

type Correction = { readonly path: ReadonlyArray<string | number>; readonly value: unknown }

const isExact = (json: unknown): boolean =>
  typeof json === "object" && json !== null && Object.hasOwn(json, "~") && Reflect.get(json, "~") === "exact"

const decodeExact = Schema.decodeUnknownResult(Exact)

const lost = ({ path }: Difference): FieldProblem => ({
  path,
  message: "Would come back as another value: its schema leaves something out, or has the same JSON for both"
})

const exact = (of: Schema.Json, all: ReadonlyArray<Difference>): Result.Result<Schema.Json, Problems> => {
  const corrections: Array<Schema.Json> = []
  const problems: Array<FieldProblem> = []
  for (const difference of all) {
    const { isInPlainData, path, value } = difference
    const isPrimitive = typeof value !== "object" || value === null
    const json = isInPlainData && isPrimitive ? PlainJson.write(value) : Result.fail([])
    if (Result.isSuccess(json)) corrections.push({ path, value: json.success })
    else problems.push(lost(difference))
  }
  return problems.length > 0 ? Result.fail(problems) : Result.succeed({ "~": "exact", of, with: corrections })
}

const corrections = (json: typeof Exact.Type): Result.Result<ReadonlyArray<Correction>, Problems> =>
  Result.all(json.with.map(({ path, value }, index) =>
    PlainJson.readBack(value).pipe(
      Result.map((value) => ({ path, value })),
      Result.mapError((problems) => problemsUnder(["with", index, "value"], problems))
    )
  ))

const isPlainContainer = (value: unknown): value is object => {
  if (typeof value !== "object" || value === null) return false
  const prototype: unknown = Object.getPrototypeOf(value)
  return prototype === Object.prototype || prototype === Array.prototype || prototype === null
}

/** A copy of the plain data in a value that can be changed: what a schema gave may not be ours alone. */
const copyOfPlain = (value: unknown): unknown => {
  if (!isPlainContainer(value)) return value
  if (Array.isArray(value)) return value.map(copyOfPlain)
  const copy = Object.create(Object.getPrototypeOf(value) as object | null) as object
  for (const key of Reflect.ownKeys(value)) define(copy, key, copyOfPlain(Reflect.get(value, key)))
  return copy
}

/** Sets what is at a path, or says with `false` that there is no such path. */
const correct = (root: unknown, { path, value }: Correction): boolean => {
  const last = path.length - 1
  let container = root
  for (let index = 0; index <= last; index++) {
    const key = path[index] as string | number
    if (!isPlainContainer(container)) return false
    // A field may be missing. An element may not, and the length of an array is none.
    if (Array.isArray(container) ? typeof key === "string" || key >= container.length : typeof key === "number") {
      return false
    }
    if (index === last) define(container, key, value)
    else if (Object.hasOwn(container, key)) container = Reflect.get(container, key)
    else return false
  }
  return true
}

// ---------------------------------------------------------------------------------------------------------------------
// the codec of a schema
// ---------------------------------------------------------------------------------------------------------------------

/** A codec whose schema has no JSON, a key that is a symbol for one. */
const without = (defect: unknown): JsonCodec => {
  const why = defect instanceof Error ? defect.message : typeof defect
  const refuse = () => Effect.fail(problem(`Its schema has no JSON: ${why}`))
  return { write: refuse, read: refuse }
}

const issues = <A>(effect: Effect.Effect<A, Schema.SchemaError>): Effect.Effect<A, Problems> =>
  Effect.mapError(effect, ({ issue }) => problemsOf(issue))

const make = (schema: Schema.Top): JsonCodec => {
  const derived = Result.try(() => {
    // A stage's schemas decode and encode without services: see `Stage.Options`.
    const own = schema as unknown as Schema.Codec<unknown, unknown>
    const json = Schema.toCodecJson(own)
    return {
      encode: Schema.encodeUnknownEffect(json, { errors: "all" }),
      decode: Schema.decodeUnknownEffect(json, { errors: "all" }),
      validate: Schema.decodeUnknownEffect(Schema.toType(own), { errors: "all" })
    }
  })
  if (Result.isFailure(derived)) return without(derived.failure)
  const { decode, encode, validate } = derived.success

  const write = Effect.fnUntraced(function*(value: unknown) {
    const encoded = yield* issues(encode(value))
    const json = yield* Effect.fromResult(PlainJson.write(encoded))
    const back = yield* Effect.mapError(
      issues(decode(encoded)),
      (problems) => problems.map(({ message, path }) => ({ path, message: `Could not be read back: ${message}` }))
    )
    const all = differences(value, back)
    return all.length === 0 ? json : yield* Effect.fromResult(exact(json, all))
  })

  const readExact = Effect.fnUntraced(function*(json: unknown) {
    const found = yield* Effect.mapError(Effect.fromResult(decodeExact(json)), ({ issue }) => problemsOf(issue))
    const value = copyOfPlain(yield* readJson(found.of))
    const all = yield* Effect.fromResult(corrections(found))
    for (const [index, correction] of all.entries()) {
      if (!correct(value, correction)) {
        return yield* Effect.fail([{ path: ["with", index, "path"], message: "Expected a path in the data" }])
      }
    }
    return yield* issues(validate(value))
  })

  const readJson = Effect.fnUntraced(function*(json: unknown) {
    return yield* issues(decode(yield* Effect.fromResult(PlainJson.readBack(json))))
  })

  return {
    write: (value) => guarded(write(value), "written"),
    read: (json) => guarded(isExact(json) ? readExact(json) : readJson(json), "read")
  }
}

// The codec of a schema is made once.
const made = new WeakMap<Schema.Top, JsonCodec>()

/** Writes and reads values of a schema; without one, plain data. */
export const jsonCodec = (schema: Schema.Top | undefined): JsonCodec => {
  if (schema === undefined) return plainData
  const known = made.get(schema)
  if (known !== undefined) return known
  const codec = make(schema)
  made.set(schema, codec)
  return codec
}
