/**
 * Validates what a pipeline takes before its stages start, and reads what it returns after they have ended.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { immutable } from "../internal/immutable.ts"
import { type FieldProblem, problemsOf, problemsUnder } from "../internal/problems.ts"
import { type Snapshot, withInput } from "../internal/snapshot-model.ts"
import { internalsOf, Missing, type Reader } from "../internal/source-model.ts"
import { type Completed, ValueFailed } from "../RunResult.ts"
import { SnapshotInvalid } from "../Snapshot.ts"
import type { ReturnedValue } from "./plan.ts"

/** What was given is of the schema's type already: it is validated and not decoded. */
const validated = (schema: Schema.Top, given: unknown): Effect.Effect<unknown, ReadonlyArray<FieldProblem>> => {
  // The schemas of a pipeline need no services.
  const validate = Schema.decodeUnknownEffect(Schema.toType(schema) as Schema.Codec<unknown>)
  return Effect.suspend(() => validate(given, { errors: "all" })).pipe(
    Effect.map(immutable),
    Effect.catchCause((cause) => Effect.fail(problemsIn(cause)))
  )
}

const problemsIn = (cause: Cause.Cause<Schema.SchemaError>): ReadonlyArray<FieldProblem> => {
  const error = Option.getOrUndefined(Cause.findErrorOption(cause))
  return error === undefined ? [{ path: [], message: "Its schema threw when it was checked" }] : problemsOf(error.issue)
}

/** The snapshot with the input that the pipeline takes, validated. */
export const withValidInput = (input: Schema.Top, snapshot: Snapshot): Effect.Effect<Snapshot, SnapshotInvalid> =>
  validated(input, snapshot.input).pipe(
    Effect.mapError((problems) =>
      new SnapshotInvalid({ code: "SNAPSHOT_INVALID", problems: problemsUnder(["input"], problems) })
    ),
    Effect.map((input) => withInput(snapshot, input))
  )

/** What a pipeline returns of stages that have all ended. */
export const valueOf = (
  result: Completed<unknown>,
  { output, source }: ReturnedValue,
  reader: Reader
): Effect.Effect<unknown, ValueFailed> => {
  const { pipeline } = result
  const failed = (problems: ReadonlyArray<FieldProblem>) => new ValueFailed({ pipeline, problems, result })
  const read = Result.try(() => internalsOf(source).read(reader))
  if (Result.isFailure(read)) {
    const problems = [{ path: [], message: "Its function threw (see `cause`)" }]
    return Effect.fail(new ValueFailed({ pipeline, problems, cause: read.failure, result }))
  }
  const value = read.success
  // The compiler rules it out; code without types can write it.
  if (value instanceof Missing) return Effect.fail(failed([{ path: [], message: `There is none: ${value.reason}` }]))
  return output === undefined ? Effect.succeed(value) : Effect.mapError(validated(output, value), failed)
}
