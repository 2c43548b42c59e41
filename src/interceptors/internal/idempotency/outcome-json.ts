/**
 * Writes what a stage ended with as JSON, and reads it back.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { revived, settledSchema } from "../../../attempt/output-codec.ts"
import type { Settled } from "../../../internal/output-model.ts"
import { type Problem, problemsOf } from "../../../internal/problems.ts"
import { define } from "../../../internal/record.ts"

type Problems = ReadonlyArray<Problem>

/** What is written and read, or what is wrong with it. */
export interface OutcomeJson {
  readonly write: (outcome: Settled) => Effect.Effect<Schema.Json, Problems>
  readonly read: (json: Schema.Json) => Effect.Effect<Settled, Problems>
}

/** A getter in what a stage gave may throw, and data that is nested too deep takes more stack than there is. */
const guarded = <A>(when: string, effect: () => Effect.Effect<A, Schema.SchemaError>): Effect.Effect<A, Problems> =>
  Effect.suspend(effect).pipe(
    Effect.mapError(({ issue }) => problemsOf(issue)),
    Effect.catchCause((cause) =>
      Cause.hasDies(cause)
        ? Effect.fail([{ path: [], message: `Threw when it was ${when}` }])
        : Effect.failCause(cause)
    )
  )

const isPlain = (value: object): boolean => {
  const prototype: unknown = Object.getPrototypeOf(value)
  return prototype === Object.prototype || prototype === null
}

/** Data without the fields that are `undefined`: JSON has no word for them, and a reader finds nothing there either way. */
const withoutUndefined = (value: unknown): unknown => {
  if (typeof value !== "object" || value === null) return value
  if (Array.isArray(value)) return value.map(withoutUndefined)
  if (!isPlain(value)) return value
  const copy = {}
  for (const [key, item] of Object.entries(value)) {
    if (item !== undefined) define(copy, key, withoutUndefined(item))
  }
  return copy
}

const make = (output: Schema.Top | undefined): OutcomeJson => {
  // It decodes to the fields of a Settled; `revived` makes the real thing of them.
  const codec = Schema.toCodecJson(settledSchema(output)) as unknown as Schema.Codec<Settled, Schema.Json>
  const encode = Schema.encodeUnknownEffect(codec, { errors: "all" })
  const decode = Schema.decodeUnknownEffect(codec, { errors: "all" })
  return {
    write: (outcome) =>
      guarded("written", () => {
        const { data, artifacts, events, ...rest } = { ...outcome }
        const isTyped = outcome._tag === "Ok" && output !== undefined
        return encode({
          ...rest,
          data: isTyped ? data : withoutUndefined(data),
          artifacts: withoutUndefined(artifacts),
          events: withoutUndefined(events)
        })
      }),
    read: (json) => guarded("read", () => Effect.map(decode(json), revived))
  }
}

const untyped = make(undefined)
// The codec of a schema is made once.
const made = new WeakMap<Schema.Top, OutcomeJson>()

/** Writes and reads what stages with this `output` schema end with. */
export const outcomeJson = (output: Schema.Top | undefined): OutcomeJson => {
  if (output === undefined) return untyped
  const known = made.get(output)
  if (known !== undefined) return known
  const codec = make(output)
  made.set(output, codec)
  return codec
}
