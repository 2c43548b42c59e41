/**
 * Writes what a stage failed with as JSON and reads it back: an error, and the cause that it stands in.
 *
 * A stage's own error goes through its `error` schema. The library's errors have schemas of their own, outcomes that a
 * cause holds beside other failures are written as outcomes, and an error that is plain data needs no schema. Every other
 * error, that of an interceptor for one, is refused unless the `error` schema of the stage names it.
 *
 * A defect is nobody's data. It is kept as what a log shows of it: the name, message and causes of an `Error`, plain data
 * as it is, and of everything else its text. What else hangs on a cause (stack traces, spans) is left out.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Formatter from "effect/Formatter"
import * as Schema from "effect/Schema"
import { isStageOutput, type StageOutput } from "../internal/output-model.ts"
import { type FieldProblem, problemsOf, ProblemsOfParts, under } from "../internal/problems.ts"
import { type JsonCodec, jsonCodec, plainData } from "../internal/schema-json.ts"
import { Reason, RetryExhausted, StageFault, StageTimeout } from "../StageError.ts"
import { outputCodec } from "./outcome-codec.ts"

type Problems = ReadonlyArray<FieldProblem>

const decoder = <A>(schema: Schema.Codec<A, any>) => {
  const decode = Schema.decodeUnknownEffect(schema, { errors: "all" })
  return (json: unknown): Effect.Effect<A, Problems> => Effect.mapError(decode(json), ({ issue }) => problemsOf(issue))
}

// ---------------------------------------------------------------------------------------------------------------------
// several ways to write a value
// ---------------------------------------------------------------------------------------------------------------------

/** One way to write a value, by the name that says in the JSON how to read it. */
export interface Way {
  readonly as: string
  readonly takes: (value: unknown) => boolean
  readonly codec: JsonCodec
}

const decodeNamed = decoder(Schema.Struct({ as: Schema.String, value: Schema.Unknown }))

/** Writes a value in the first of several ways that can write it. When none can, it is the first that says why. */
export const firstOf = (...ways: ReadonlyArray<Way>): JsonCodec => ({
  write: Effect.fnUntraced(function*(value) {
    let problems: Problems = []
    for (const { as, codec, takes } of ways) {
      if (!takes(value)) continue
      const written = yield* Effect.result(codec.write(value))
      if (written._tag === "Success") return { as, value: written.success }
      if (problems.length === 0) problems = written.failure
    }
    return yield* Effect.fail(problems)
  }),
  read: Effect.fnUntraced(function*(json) {
    const { as, value } = yield* decodeNamed(json)
    const way = ways.find((way) => way.as === as)
    if (way !== undefined) return yield* under(["value"], way.codec.read(value))
    const message = `Expected one of ${ways.map((way) => way.as).join(", ")}`
    return yield* Effect.fail<Problems>([{ path: ["as"], message }])
  })
})

const always = () => true

// ---------------------------------------------------------------------------------------------------------------------
// defects
// ---------------------------------------------------------------------------------------------------------------------

const text: JsonCodec = {
  write: (value) => Effect.sync(() => Formatter.format(value)),
  read: decoder(Schema.String)
}

const defects = firstOf(
  { as: "Error", takes: (value) => value instanceof Error, codec: jsonCodec(Schema.ErrorInstance()) },
  { as: "Data", takes: always, codec: plainData },
  { as: "Text", takes: always, codec: text }
)

// ---------------------------------------------------------------------------------------------------------------------
// errors
// ---------------------------------------------------------------------------------------------------------------------

const decodeFault = decoder(Schema.Struct({
  stage: Schema.String,
  reason: Schema.Record(Schema.String, Schema.Unknown)
}))

const decodeReason = decoder(Schema.toType(Reason))

/** A fault holds what no schema describes: a defect, or an error that `errors` knows. */
const faultCodec = (errors: () => JsonCodec): JsonCodec => {
  const codecOf = (key: string): JsonCodec => key === "defect" ? defects : key === "error" ? errors() : plainData
  const each = Effect.fnUntraced(function*(
    reason: object,
    convert: (key: string, value: unknown) => Effect.Effect<unknown, Problems>
  ) {
    const parts = new ProblemsOfParts()
    const entries: Array<readonly [string, unknown]> = []
    for (const [key, value] of Object.entries(reason)) {
      entries.push([key, yield* parts.part(["reason", key], convert(key, value))])
    }
    return yield* parts.whole(() => Object.fromEntries(entries))
  })
  return {
    write: Effect.fnUntraced(function*(error) {
      const { reason, stage } = error as StageFault // see `ways`
      // What codecs write is JSON.
      return { stage, reason: (yield* each(reason, (key, value) => codecOf(key).write(value))) as Schema.JsonObject }
    }),
    read: Effect.fnUntraced(function*(json) {
      const { reason, stage } = yield* decodeFault(json)
      const read = yield* each(reason, (key, value) => codecOf(key).read(value))
      return new StageFault({ stage, reason: yield* under(["reason"], decodeReason(read)) })
    })
  }
}

/** Writes the errors of a class through its schema. */
export const instanceOf = (schema: ErrorClass): Way => ({
  as: schema.identifier,
  takes: (value) => value instanceof schema,
  codec: jsonCodec(schema)
})

/** A class of errors that is their schema. */
type ErrorClass = Schema.Top & (abstract new(...args: ReadonlyArray<never>) => Error) & { readonly identifier: string }

const make = (
  schema: Schema.Top | undefined,
  ways: ReadonlyArray<Way>,
  others: ReadonlyArray<Way> = []
): JsonCodec => {
  const errors: JsonCodec = firstOf(
    { as: "StageFault", takes: (value) => value instanceof StageFault, codec: faultCodec(() => errors) },
    instanceOf(StageTimeout),
    instanceOf(RetryExhausted),
    { as: "Outcome", takes: isStageOutput, codec: outcomes(() => errors) },
    ...ways,
    ...(schema === undefined ? [] : [{ as: "Typed", takes: always, codec: jsonCodec(schema) }]),
    ...others,
    { as: "Plain", takes: always, codec: plainData }
  )
  return errors
}

/** Outcomes as errors, whose errors are written by what writes them. */
const outcomes = (errors: () => JsonCodec): JsonCodec => {
  const later: JsonCodec = {
    write: (error) => Effect.suspend(() => errors().write(error)),
    read: (json) => Effect.suspend(() => errors().read(json))
  }
  const { read, write } = outputCodec(plainData, later)
  return { read, write: (value) => write(value as StageOutput) } // `isStageOutput` takes it
}

const untyped = make(undefined, [])
// The codec of a schema is made once.
const codecs = new WeakMap<Schema.Top, JsonCodec>()

/** Writes what stages with this `error` schema fail with. */
export const errorCodec = (error: Schema.Top | undefined): JsonCodec => {
  if (error === undefined) return untyped
  const known = codecs.get(error)
  if (known !== undefined) return known
  const codec = make(error, [])
  codecs.set(error, codec)
  return codec
}

/**
 * The same for one stage, whose errors have some ways of their own to be written: `ways` before its schema, and `others`
 * after it.
 */
export const errorCodecWith = (
  error: Schema.Top | undefined,
  ways: ReadonlyArray<Way>,
  others: ReadonlyArray<Way>
): JsonCodec => make(error, ways, others)

// ---------------------------------------------------------------------------------------------------------------------
// causes
// ---------------------------------------------------------------------------------------------------------------------

/** Who can have failed: the stages of a run by their names, and what writes their errors. */
export interface Failing {
  readonly names: Iterable<string>
  readonly codecOf: (name: string) => JsonCodec | undefined
}

/** One reason of a cause. One without anything in it has the error that the cause belongs to. */
const CauseReason = Schema.Union([
  Schema.TaggedStruct("Fail", {}),
  Schema.TaggedStruct("FailOf", { stage: Schema.String, error: Schema.Unknown }),
  Schema.TaggedStruct("Die", {}),
  Schema.TaggedStruct("DieOf", { defect: Schema.Unknown }),
  Schema.TaggedStruct("DieOfError", { error: Schema.Unknown }),
  Schema.TaggedStruct("Interrupt", { fiberId: Schema.optionalKey(Schema.Finite) })
])

const decodeReasons = decoder(Schema.Array(CauseReason))

/**
 * Writes the cause of a failure of a stage with this error.
 *
 * A cause can hold errors of other stages, which failed while the run was being stopped, and does not say whose they are.
 * They are written by the first stage that can: what it reads back is the same error, whoever failed with it.
 */
export const causeCodec = (stage: string, error: unknown, failing: Failing): JsonCodec<Cause.Cause<unknown>> => {
  const own = failing.codecOf(stage) ?? untyped

  const writeOther = Effect.fnUntraced(function*(other: unknown) {
    const tried = new Set<JsonCodec>()
    let problems: Problems = []
    for (const name of [stage, ...failing.names]) {
      const codec = failing.codecOf(name)
      if (codec === undefined || tried.has(codec)) continue
      tried.add(codec)
      const written = yield* Effect.result(codec.write(other))
      if (written._tag === "Success") return { _tag: "FailOf", stage: name, error: written.success }
      if (problems.length === 0) problems = written.failure
    }
    return yield* under(["error"], Effect.fail(problems))
  })

  // Effect makes a defect of what a stage failed with or yielded when a finalizer dies as well.
  const writeDefect = (defect: unknown): Effect.Effect<Schema.Json, Problems> =>
    Effect.catch(
      isStageOutput(defect) || (defect instanceof Error && "_tag" in defect)
        ? Effect.map(own.write(defect), (error) => ({ _tag: "DieOfError", error }))
        : Effect.fail<Problems>([]),
      () => Effect.map(defects.write(defect), (defect) => ({ _tag: "DieOf", defect }))
    )

  const writeReason = (reason: Cause.Reason<unknown>): Effect.Effect<Schema.Json, Problems> => {
    switch (reason._tag) {
      case "Fail":
        return reason.error === error ? Effect.succeed({ _tag: "Fail" }) : writeOther(reason.error)
      case "Die":
        return reason.defect === error ? Effect.succeed({ _tag: "Die" }) : writeDefect(reason.defect)
      case "Interrupt": {
        const { fiberId } = reason
        return Effect.succeed({ _tag: "Interrupt", ...(fiberId === undefined ? {} : { fiberId }) })
      }
    }
  }

  const readReason = (reason: typeof CauseReason.Type): Effect.Effect<Cause.Reason<unknown>, Problems> => {
    switch (reason._tag) {
      case "Fail":
        return Effect.succeed(Cause.makeFailReason(error))
      case "FailOf": {
        const codec = failing.codecOf(reason.stage)
        return codec === undefined
          ? Effect.fail([{ path: ["stage"], message: "Expected a stage of the pipeline" }])
          : Effect.map(under(["error"], codec.read(reason.error)), Cause.makeFailReason)
      }
      case "Die":
        return Effect.succeed(Cause.makeDieReason(error))
      case "DieOf":
        return Effect.map(under(["defect"], defects.read(reason.defect)), Cause.makeDieReason)
      case "DieOfError":
        return Effect.map(under(["error"], own.read(reason.error)), Cause.makeDieReason)
      case "Interrupt":
        return Effect.succeed(Cause.makeInterruptReason(reason.fiberId))
    }
  }

  return {
    write: Effect.fnUntraced(function*({ reasons }) {
      const parts = new ProblemsOfParts()
      const json: Array<Schema.Json> = []
      for (const [index, reason] of reasons.entries()) json.push(yield* parts.part([index], writeReason(reason)))
      return yield* parts.whole(() => json)
    }),
    read: Effect.fnUntraced(function*(json) {
      const parts = new ProblemsOfParts()
      const reasons: Array<Cause.Reason<unknown>> = []
      for (const [index, reason] of (yield* decodeReasons(json)).entries()) {
        reasons.push(yield* parts.part([index], readReason(reason)))
      }
      return yield* parts.whole(() => Cause.fromReasons(reasons))
    })
  }
}
