/**
 * Writes what a stage ended with as JSON and reads it back, for whatever keeps outcomes: results, idempotency, logs.
 *
 * The data of an `Ok` goes through the `output` schema of its stage; without one it has to be plain data, as everything
 * else that an outcome carries. What is read is the outcome that was written, and as immutable as one that the engine made.
 * What could not be read as the same is refused when it is written.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { immutable } from "../internal/immutable.ts"
import {
  type Cancel,
  changedOk,
  changedSignal,
  type Fail,
  okWith,
  type Retry,
  type Settled,
  signal,
  type Skip,
  type StageOutput
} from "../internal/output-model.ts"
import { type FieldProblem, problemsOf, ProblemsOfParts, under } from "../internal/problems.ts"
import { type JsonCodec, jsonCodec, plainData } from "../internal/schema-json.ts"
import { isNote, noteOf } from "./note.ts"

type Problems = ReadonlyArray<FieldProblem>

const contents = {
  artifacts: Schema.optionalKey(Schema.Array(Schema.Struct({ type: Schema.String, payload: Schema.Unknown }))),
  events: Schema.optionalKey(
    Schema.Array(Schema.Struct({
      type: Schema.String,
      data: Schema.Unknown,
      /** It is none that the stage emitted; see `note.ts`. */
      note: Schema.optionalKey(Schema.Literal(true))
    }))
  ),
  version: Schema.optionalKey(Schema.String),
  durationMs: Schema.optionalKey(Schema.Finite)
}

/** What the JSON of an outcome holds. What nobody gave is left out. */
const Fields = Schema.Union([
  Schema.TaggedStruct("Ok", { ...contents, data: Schema.Unknown }),
  Schema.TaggedStruct("Skip", {
    ...contents,
    reason: Schema.String,
    data: Schema.Unknown,
    origin: Schema.optionalKey(Schema.String)
  }),
  Schema.TaggedStruct("Cancel", { ...contents, reason: Schema.String, data: Schema.Unknown }),
  Schema.TaggedStruct("Fail", { ...contents, data: Schema.Unknown, error: Schema.Unknown }),
  Schema.TaggedStruct("Retry", {
    ...contents,
    reason: Schema.String,
    data: Schema.Unknown,
    afterMs: Schema.optionalKey(Schema.Number)
  })
])

type Fields = typeof Fields.Type

const decodeFields = Schema.decodeUnknownEffect(Fields, { errors: "all" })

const checked = (json: unknown): Effect.Effect<unknown, Problems> =>
  Effect.mapError(decodeFields(json), ({ issue }) => problemsOf(issue))

/** Data as an outcome has it: an object, which only that of an `Ok` may be an array. */
const checkedData = (tag: unknown, data: unknown): Effect.Effect<unknown, Problems> =>
  typeof data === "object" && data !== null && (tag === "Ok" || !Array.isArray(data))
    ? Effect.succeed(data)
    : Effect.fail([{ path: [], message: "Expected an object" }])

/** What an outcome has that was given to it, but for its data and its error, which have codecs of their own. */
const rest = (output: StageOutput): object => {
  const { _tag, artifacts, durationMs, events, version } = output
  return {
    _tag,
    ...(artifacts.length === 0 ? {} : { artifacts }),
    ...(events.length === 0 ? {} : { events: events.map((event) => isNote(event) ? { ...event, note: true } : event) }),
    ...(version === undefined ? {} : { version }),
    ...(durationMs === undefined ? {} : { durationMs }),
    ...("reason" in output ? { reason: output.reason } : {}),
    ...("origin" in output && output.origin !== undefined ? { origin: output.origin } : {}),
    ...("after" in output && output.after !== undefined ? { afterMs: Duration.toMillis(output.after) } : {})
  }
}

const made = (fields: Fields): StageOutput => {
  const events = fields.events?.map(({ data, note, type }) => note === true ? noteOf(type, data) : { type, data })
  const details = immutable({ artifacts: fields.artifacts, events, version: fields.version })
  const { durationMs } = fields
  switch (fields._tag) {
    case "Ok":
      return changedOk(okWith(immutable(fields.data), details), { durationMs })
    case "Skip": {
      const { _tag, origin, reason } = fields
      return changedSignal(signal<Skip>({ _tag, reason, data: record(fields), origin }, details), { durationMs })
    }
    case "Cancel": {
      const { _tag, reason } = fields
      return changedSignal(signal<Cancel>({ _tag, reason, data: record(fields) }, details), { durationMs })
    }
    case "Fail": {
      const { _tag, error } = fields
      return signal<Fail<unknown>>({ _tag, error, data: record(fields) }, details)
    }
    case "Retry": {
      const { _tag, afterMs, reason } = fields
      const after = afterMs === undefined ? undefined : Duration.millis(afterMs)
      return signal<Retry>({ _tag, reason, data: record(fields), after }, details)
    }
  }
}

const record = ({ data }: Fields): Readonly<Record<string, unknown>> =>
  immutable(data) as Readonly<Record<string, unknown>> // see `checkedData`

/** Whether there is nothing to an outcome but its data, as with most: nothing else of it can be wrong. */
const isDataAlone = ({ _tag, artifacts, data, durationMs, events, version }: StageOutput): boolean =>
  _tag === "Ok" && artifacts.length === 0 && events.length === 0 && version === undefined
  && (durationMs === undefined || Number.isFinite(durationMs))
  && typeof data === "object" && data !== null

const writeDataAlone = ({ data, durationMs }: StageOutput, codec: JsonCodec): ReturnType<JsonCodec["write"]> =>
  Effect.map(
    under(["data"], codec.write(data)),
    (data): Schema.JsonObject => durationMs === undefined ? { _tag: "Ok", data } : { _tag: "Ok", durationMs, data }
  )

/** Writes outcomes of any kind with the codecs of an `Ok`'s data and of a `Fail`'s error. */
export const outputCodec = (ok: JsonCodec, error: JsonCodec): JsonCodec<StageOutput> => {
  const codecOfData = (tag: unknown) => tag === "Ok" ? ok : plainData
  const writeAll = Effect.fnUntraced(function*(output: StageOutput) {
    const parts = new ProblemsOfParts()
    const others = yield* parts.part([], plainData.write(rest(output)))
    const data = yield* parts.part(
      ["data"],
      // What is no data of such an outcome, given without types, could not be read.
      Effect.andThen(checkedData(output._tag, output.data), codecOfData(output._tag).write(output.data))
    )
    const failure = output._tag === "Fail" ? yield* parts.part(["error"], error.write(output.error)) : undefined
    const json = yield* parts.whole(() => ({
      ...others as Schema.JsonObject, // what was written is an object
      data,
      ...(failure === undefined ? {} : { error: failure })
    }))
    // A version that is no text, given without types, could not be read.
    yield* checked(json)
    return json
  })
  return {
    write: (output) => Effect.suspend(() => isDataAlone(output) ? writeDataAlone(output, ok) : writeAll(output)),
    read: Effect.fnUntraced(function*(json) {
      yield* checked(json)
      // It is an object: it has the fields of one.
      const { data, error: failure, ...others } = json as Schema.JsonObject
      const { _tag } = others
      const parts = new ProblemsOfParts()
      const read = {
        ...(yield* parts.part([], plainData.read(others))) as object,
        data: yield* parts.part(
          ["data"],
          Effect.flatMap(codecOfData(_tag).read(data), (data) => checkedData(_tag, data))
        ),
        ...(_tag === "Fail" ? { error: yield* parts.part(["error"], error.read(failure)) } : {})
      }
      // It has been checked as JSON. What it is read as has the same fields.
      return yield* parts.whole(() => Object.freeze(made(read as Fields)))
    })
  }
}

const isSettled = (output: StageOutput): output is Settled =>
  output._tag === "Ok" || output._tag === "Skip" || output._tag === "Cancel"

/** Writes what stages end with whose data this codec writes. */
export const settledCodec = (data: JsonCodec): JsonCodec<Settled> => {
  const { read, write } = outputCodec(data, plainData)
  return {
    write,
    read: (json) =>
      Effect.filterOrFail(
        read(json),
        isSettled,
        (): Problems => [{ path: ["_tag"], message: "Expected Ok, Skip or Cancel" }]
      )
  }
}

const untyped = settledCodec(plainData)
// The codec of a schema is made once.
const codecs = new WeakMap<Schema.Top, JsonCodec<Settled>>()

/** Writes what stages with this `output` schema end with. */
export const outcomeCodec = (output: Schema.Top | undefined): JsonCodec<Settled> => {
  if (output === undefined) return untyped
  const known = codecs.get(output)
  if (known !== undefined) return known
  const codec = settledCodec(jsonCodec(output))
  codecs.set(output, codec)
  return codec
}
