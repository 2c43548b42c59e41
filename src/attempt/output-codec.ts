/**
 * What stages ended with, as JSON and back: an `Ok` goes through the `output` schema of its stage, or must be JSON as it is.
 */
import * as Schema from "effect/Schema"
import { immutable } from "../internal/immutable.ts"
import { changedOk, changedSignal, type Settled, skipBecause } from "../internal/output-model.ts"
import { cancel } from "../StageOutput.ts"

export type Codec = Schema.Codec<unknown, unknown>

// A stage's schemas decode and encode without services: see `Stage.Options`.
export const codecOf = (schema: Schema.Top): Codec => schema as unknown as Codec

export const JsonRecord = Schema.Record(Schema.String, Schema.Json)

const common = {
  artifacts: Schema.Array(Schema.Struct({ type: Schema.String, payload: Schema.Json })),
  events: Schema.Array(Schema.Struct({ type: Schema.String, data: Schema.Json })),
  version: Schema.UndefinedOr(Schema.String),
  durationMs: Schema.UndefinedOr(Schema.Number)
}

const Skip = Schema.TaggedStruct("Skip", {
  ...common,
  reason: Schema.String,
  data: JsonRecord,
  origin: Schema.UndefinedOr(Schema.String)
})

const Cancel = Schema.TaggedStruct("Cancel", { ...common, reason: Schema.String, data: JsonRecord })

/** The schema of what a stage ends with, from the schema of its data when it has one. */
export const settledSchema = (output: Schema.Top | undefined) => {
  const data = output === undefined ? Schema.Json : codecOf(output)
  return Schema.Union([Schema.TaggedStruct("Ok", { ...common, data }), Skip, Cancel])
}

/** The real thing from what `settledSchema` decodes to. */
export const revived = (output: Settled): Settled => {
  const { artifacts, events } = immutable(output)
  switch (output._tag) {
    case "Ok":
      return Object.freeze(changedOk(output, { data: immutable(output.data), artifacts, events }))
    case "Skip":
      return Object.freeze(
        changedSignal(skipBecause(output.origin, output.reason), { ...output, data: immutable(output.data) })
      )
    case "Cancel":
      return Object.freeze(changedSignal(cancel(output.reason), { ...output, data: immutable(output.data) }))
  }
}
