/**
 * Encodes the results of runs as JSON and decodes them, without loss.
 *
 * The stages' own schemas do the work: data goes through the `output` schema of its stage and a typed error through its
 * `error` schema, so dates, options and bytes survive. A stage without an `output` schema must give data that is JSON as
 * it is. What cannot be encoded is a typed error that says where it is, never a value quietly lost.
 *
 * ```ts
 * import { Effect, Schema } from "effect"
 * import { Pipeline, ResultCodec, Snapshot, Stage } from "stageflow"
 *
 * const now = Stage.transform("now", {
 *   output: Schema.Struct({ at: Schema.Date }),
 *   run: Effect.sync(() => ({ at: new Date(0) }))
 * })
 * const pipeline = Pipeline.make("clock").add(now)
 *
 * const program = Effect.gen(function*() {
 *   const result = yield* Pipeline.run(pipeline, Snapshot.make())
 *   const json = yield* ResultCodec.encode(pipeline, result)
 *   return yield* ResultCodec.decode(pipeline, json)
 * })
 * ```
 */
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { type Codec, codecOf, JsonRecord, revived, settledSchema } from "./attempt/output-codec.ts"
import type { AnyNode } from "./checks/wiring.ts"
import { LazyOutputBag } from "./engine/journal.ts"
import { type Plan, type PlannedStage, planOf } from "./engine/plan.ts"
import { ErrorSummary } from "./Event.ts"
import { describeProblems, Problem, problemsOf } from "./internal/problems.ts"
import { define } from "./internal/record.ts"
import type * as OutputBag from "./OutputBag.ts"
import type * as Pipeline from "./Pipeline.ts"
import type { PipelineInvalid } from "./PipelineInvalid.ts"
import { StageFailed } from "./RunResult.ts"
import { RunIdentity } from "./Snapshot.ts"
import { RetryExhausted, StageFault, StageTimeout } from "./StageError.ts"
import type { Settled } from "./StageOutput.ts"

/**
 * A result could not be encoded or decoded: what is wrong, and where.
 */
export class ResultInvalid extends Schema.TaggedError<ResultInvalid>()("ResultInvalid", {
  code: Schema.Literals(["RESULT_NOT_ENCODABLE", "RESULT_INVALID", "RESULT_NEWER_VERSION"]),
  pipeline: Schema.String,
  problems: Schema.Array(Problem)
}) {
  override get message(): string {
    const problems = describeProblems(this.problems)
    return this.code === "RESULT_NOT_ENCODABLE"
      ? `A result of pipeline "${this.pipeline}" cannot be encoded: ${problems}. `
        + `Give the stage an output or error schema that encodes it.`
      : `A result of pipeline "${this.pipeline}" cannot be decoded: ${problems}`
  }
}

/**
 * Anything that a run of a pipeline can end with.
 */
export type Encodable<N extends AnyNode, E> =
  | Pipeline.Result<N, E, { readonly failure: "continue" }>
  | StageFailed<Pipeline.Errors<N, E>, Pipeline.Outputs<N>>

const version = 1

// ---------------------------------------------------------------------------------------------------------------------
// schemas
// ---------------------------------------------------------------------------------------------------------------------

const Names = Schema.Array(Schema.String)

const outputsSchema = (stages: ReadonlyArray<PlannedStage>): Codec => {
  const fields = {}
  for (const stage of stages) define(fields, stage.name, Schema.optionalKey(settledSchema(stage.definition.output)))
  return codecOf(Schema.Struct(fields))
}

const errorSchema = (stages: ReadonlyArray<PlannedStage>): Codec => {
  const own = new Set(stages.flatMap(({ definition: { error } }) => error === undefined ? [] : [codecOf(error)]))
  return codecOf(Schema.Union([codecOf(StageFault), codecOf(StageTimeout), codecOf(RetryExhausted), ...own]))
}

/** An entry says that the stage gave its output; the output itself is among the outputs. */
const AttemptEnd = Schema.Union([
  Schema.TaggedStruct("Settled", {}),
  Schema.TaggedStruct("Failed", { error: ErrorSummary }),
  Schema.TaggedStruct("RetryRequested", { reason: Schema.String }),
  Schema.TaggedStruct("Interrupted", { abandoned: Schema.Boolean })
])

const Entry = Schema.Struct({
  stage: Schema.String,
  attempt: Schema.Int,
  end: AttemptEnd,
  startedMs: Schema.Number,
  endedMs: Schema.Number
})

const Lineage = Schema.Struct({
  runId: Schema.String,
  parentRunId: Schema.UndefinedOr(Schema.String),
  parentStage: Schema.UndefinedOr(Schema.String),
  correlationId: Schema.String
})

const resultSchema = ({ stages }: Plan): Codec => {
  const summary = {
    pipeline: Schema.String,
    identity: RunIdentity,
    lineage: Lineage,
    durationMs: Schema.Number,
    bag: Schema.Struct({ entries: Schema.Array(Entry) }),
    outputs: outputsSchema(stages)
  }
  const leftBehind = { interrupted: Names, abandoned: Names, neverStarted: Names }
  const error = errorSchema(stages)
  const failure = {
    stage: Schema.String,
    error,
    attempts: Schema.Int,
    cause: Schema.Cause(error, Schema.Defect()),
    data: JsonRecord
  }
  return codecOf(
    Schema.Struct({
      version: Schema.Int,
      result: Schema.Union([
        Schema.TaggedStruct("Completed", summary),
        Schema.TaggedStruct("Cancelled", {
          ...summary,
          ...leftBehind,
          by: Schema.UndefinedOr(Schema.String),
          reason: Schema.String,
          data: JsonRecord,
          blocked: Names,
          failures: Schema.Array(Schema.Struct(failure))
        }),
        Schema.TaggedStruct("Incomplete", {
          ...summary,
          ok: Names,
          skipped: Names,
          failed: Names,
          blocked: Names,
          failures: Schema.Array(Schema.Struct(failure))
        }),
        Schema.TaggedStruct("StageFailed", { ...summary, ...leftBehind, ...failure })
      ])
    })
  )
}

// A plan's codec is made once: it has a schema for every stage.
const codecs = new WeakMap<Plan, Codec>()

const codecFor = (plan: Plan): Codec => {
  const known = codecs.get(plan)
  if (known !== undefined) return known
  const codec = codecOf(Schema.toCodecJson(resultSchema(plan)))
  codecs.set(plan, codec)
  return codec
}

// ---------------------------------------------------------------------------------------------------------------------
// encoding
// ---------------------------------------------------------------------------------------------------------------------

/**
 * Encodes the result of a run, or the `StageFailed` that it failed with, as JSON with the version of its shape.
 */
export const encode = <N extends AnyNode, E, R>(
  pipeline: Pipeline.Pipeline<N, E, R>,
  result: Encodable<N, E>
): Effect.Effect<Schema.Json, ResultInvalid | PipelineInvalid> =>
  Effect.flatMap(
    planOf(pipeline),
    (plan) =>
      Result.match(Schema.encodeUnknownResult(codecFor(plan))({ version, result }, { errors: "all" }), {
        onSuccess: (json) => Effect.succeed(json as Schema.Json), // toCodecJson encodes to JSON
        onFailure: (error) => invalid(pipeline.name, "RESULT_NOT_ENCODABLE", problemsOf(error.issue))
      })
  )

const invalid = (pipeline: string, code: ResultInvalid["code"], problems: ReadonlyArray<Problem>) =>
  Effect.fail(new ResultInvalid({ code, pipeline, problems }))

// ---------------------------------------------------------------------------------------------------------------------
// decoding
// ---------------------------------------------------------------------------------------------------------------------

const versionOf = (json: unknown): unknown =>
  typeof json === "object" && json !== null && "version" in json ? json.version : undefined

/** The shape of what `resultSchema` decodes to, as far as it has to be turned back into the real thing. */
interface Decoded {
  readonly _tag: string
  readonly outputs: Readonly<Record<string, Settled>>
  readonly bag: {
    readonly entries: ReadonlyArray<Omit<OutputBag.Entry, "end"> & { readonly end: typeof AttemptEnd.Type }>
  }
}

const revive = (decoded: Decoded): unknown => {
  const outputs: Record<string, Settled> = {}
  for (const name of Object.keys(decoded.outputs)) define(outputs, name, revived(decoded.outputs[name] as Settled))
  const entries = decoded.bag.entries.map(({ end, ...entry }): OutputBag.Entry => ({
    ...entry,
    end: end._tag === "Settled" ? { ...end, output: outputs[entry.stage] as Settled } : end
  }))
  const result = { ...decoded, outputs: Object.freeze(outputs), bag: new LazyOutputBag(() => entries) }
  return decoded._tag === "StageFailed"
    // The schema has the fields of StageFailed.
    ? new StageFailed(result as unknown as ConstructorParameters<typeof StageFailed>[0])
    : result
}

/**
 * Decodes a result of this pipeline from JSON that nobody has checked.
 *
 * Fails with every problem at once and the path to each; a result of a newer version says so.
 */
export const decode = <N extends AnyNode, E, R>(
  pipeline: Pipeline.Pipeline<N, E, R>,
  json: unknown
): Effect.Effect<Encodable<N, E>, ResultInvalid | PipelineInvalid> =>
  Effect.flatMap(planOf(pipeline), (plan) => {
    const found = versionOf(json)
    if (typeof found === "number" && found > version) {
      const message = `Written by a newer version (${found}); this one reads up to ${version}`
      return invalid(pipeline.name, "RESULT_NEWER_VERSION", [{ path: ["version"], message }])
    }
    return Result.match(Schema.decodeUnknownResult(codecFor(plan))(json, { errors: "all" }), {
      // The schema was made from this pipeline, whose type says what its results are.
      onSuccess: (decoded) =>
        Effect.succeed(revive((decoded as { readonly result: Decoded }).result) as Encodable<N, E>),
      onFailure: (error) => invalid(pipeline.name, "RESULT_INVALID", problemsOf(error.issue))
    })
  })
