/**
 * Defines what is kept under a key when its claim is over, and writes and reads it as text.
 *
 * | kept | when | what the next one gets |
 * |---|---|---|
 * | `Outcome` | the stage ended as `Ok` or `Skip` | that |
 * | `Body` | the stage's own Effect succeeded, and what is around it was cut short | that, through what is around its own |
 * | `Unkept` | the stage ran, and what it gave cannot be kept | an error that says so |
 * | `Lost` | too many owners let their lease run out | an error that says so |
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { outcomeCodec } from "../../../attempt/outcome-codec.ts"
import type { Settled } from "../../../internal/output-model.ts"
import { FieldProblem, problemsOf } from "../../../internal/problems.ts"

type Problems = ReadonlyArray<FieldProblem>

/** What is kept, as it is written. */
const Written = Schema.Union([
  Schema.TaggedStruct("Outcome", { outcome: Schema.Json }),
  Schema.TaggedStruct("Body", { outcome: Schema.Json }),
  Schema.TaggedStruct("Unkept", { problems: Schema.Array(FieldProblem) }),
  Schema.TaggedStruct("Lost", { losses: Schema.Int })
])

/** What is kept. */
export type KeptRecord =
  | { readonly _tag: "Outcome" | "Body"; readonly outcome: Settled }
  | { readonly _tag: "Unkept"; readonly problems: Problems }
  | { readonly _tag: "Lost"; readonly losses: number }

const encodeWritten = Schema.encodeEffect(Schema.fromJsonString(Written))
const decodeWritten = Schema.decodeEffect(Schema.fromJsonString(Written), { errors: "all" })

const issues = <A>(effect: Effect.Effect<A, Schema.SchemaError>): Effect.Effect<A, Problems> =>
  effect.pipe(
    Effect.mapError(({ issue }) => problemsOf(issue)),
    // JSON that is nested too deep.
    Effect.catchDefect(() => Effect.fail([{ path: [], message: "Is too deep for JSON" }]))
  )

/** The text of what is to be kept. */
export const textOf = (record: KeptRecord, output: Schema.Top | undefined): Effect.Effect<string, Problems> => {
  if (record._tag === "Unkept" || record._tag === "Lost") return issues(encodeWritten(record))
  const { _tag, outcome } = record
  return Effect.flatMap(outcomeCodec(output).write(outcome), (json) => issues(encodeWritten({ _tag, outcome: json })))
}

/** What was kept, from its text. */
export const recordOf = (text: string, output: Schema.Top | undefined): Effect.Effect<KeptRecord, Problems> =>
  Effect.flatMap(
    issues(decodeWritten(text)),
    (written): Effect.Effect<KeptRecord, Problems> =>
      written._tag === "Unkept" || written._tag === "Lost"
        ? Effect.succeed(written)
        : Effect.map(outcomeCodec(output).read(written.outcome), (outcome) => ({ _tag: written._tag, outcome }))
  )
