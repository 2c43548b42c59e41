/**
 * Encodes the results of runs as JSON and decodes them, without loss.
 *
 * The stages' own schemas do the work: data goes through the `output` schema of its stage and a typed error through its
 * `error` schema, so dates, options and instances survive. Without a schema a stage has to give plain data: `null`,
 * `undefined`, booleans, strings, numbers, arrays and objects. A field that is `undefined` stays one. What would not come
 * back equal is a typed error that says where it is, never a value quietly lost.
 *
 * What the run of a pipeline inside of a stage failed with goes through the schemas of the stages of that pipeline, at any
 * depth. So does what these stages gave or failed with, wherever it is in the data and the errors of the stage that ran them:
 * a branch, an item of a list, the last state of a loop. A stage of your own says which pipelines it runs with
 * `Pipeline.Inside`.
 *
 * What no schema describes is kept as a log shows it: of a defect, or an `Error` in a field for defects, the name, message
 * and causes. Stack traces and the spans of a cause are not kept.
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
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import {
  causeCodec,
  errorCodec,
  errorCodecWith,
  type Failing,
  firstOf,
  instanceOf,
  type Way
} from "./attempt/error-codec.ts"
import { Held, heldCodec, isMarked, isPlain, type PartCodecs } from "./attempt/held-codec.ts"
import { outcomeCodec, settledCodec } from "./attempt/outcome-codec.ts"
import { SubpipelineCancelled, SubpipelineFailed } from "./attempt/subpipeline-error.ts"
import type { AnyNode } from "./checks/wiring.ts"
import { LazyOutputBag } from "./engine/journal.ts"
import { type Plan, planOf } from "./engine/plan.ts"
import {
  contradictions,
  type Document,
  type FailureDocument,
  ResultDocument,
  version
} from "./engine/result-document.ts"
import { immutable } from "./internal/immutable.ts"
import { plainOk } from "./internal/output-model.ts"
import { describeProblems, FieldProblem, problemsOf, ProblemsOfParts, under } from "./internal/problems.ts"
import { define } from "./internal/record.ts"
import { type JsonCodec, jsonCodec, plainData } from "./internal/schema-json.ts"
import type { Entry } from "./OutputBag.ts"
import * as Pipeline from "./Pipeline.ts"
import { PipelineInvalid } from "./PipelineInvalid.ts"
import { type Failure, LayerFailed, type RunResult, StageFailed, type StreamSummary } from "./RunResult.ts"
import { SnapshotInvalid } from "./Snapshot.ts"
import type { Any as AnyStage } from "./Stage.ts"
import { DepthExceeded } from "./StageError.ts"
import type { Settled } from "./StageOutput.ts"

/**
 * A result could not be encoded or decoded: what is wrong, and where.
 */
export class ResultInvalid extends Schema.TaggedError<ResultInvalid>()("ResultInvalid", {
  code: Schema.Literals(["RESULT_NOT_ENCODABLE", "RESULT_INVALID", "RESULT_NEWER_VERSION"]),
  pipeline: Schema.String,
  problems: Schema.Array(FieldProblem)
}) {
  override get message(): string {
    const problems = describeProblems(this.problems)
    return this.code === "RESULT_NOT_ENCODABLE"
      ? `A result of pipeline "${this.pipeline}" cannot be encoded: ${problems}. `
        + `Data and errors that are not plain data need an output or error schema of their stage, and a value one of \`returns\`.`
      : `A result of pipeline "${this.pipeline}" cannot be decoded: ${problems}`
  }
}

/**
 * Anything that a run of a pipeline can end with.
 */
export type Encodable<N extends AnyNode, E, V = unknown> =
  | Pipeline.Result<N, E, { readonly failure: "continue" }, V>
  | StageFailed<Pipeline.Errors<N, E>, Pipeline.Outputs<N>>

type Problems = ReadonlyArray<FieldProblem>

type Outputs = Readonly<Record<string, Settled>>

/** What a run ends with, whatever its pipeline. */
type Result = RunResult<Outputs, unknown> | StageFailed<unknown, Outputs>

const problemsOfSchema = <A>(effect: Effect.Effect<A, Schema.SchemaError>): Effect.Effect<A, Problems> =>
  Effect.mapError(effect, ({ issue }) => problemsOf(issue))

const invalid = (pipeline: string, code: ResultInvalid["code"]) => (problems: Problems) =>
  new ResultInvalid({ code, pipeline, problems })

/** What was given is what was expected, unless it is something that throws when it is read. */
const expecting = (what: string) => <A>(effect: Effect.Effect<A, Problems>): Effect.Effect<A, Problems> =>
  Effect.catchDefect(effect, () => Effect.fail([{ path: [], message: `Expected ${what}` }]))

const withoutContradictions = (document: Document, plan: Plan): Effect.Effect<void, Problems> => {
  const problems = contradictions(document, plan)
  return problems.length === 0 ? Effect.void : under(["result"], Effect.fail(problems))
}

// ---------------------------------------------------------------------------------------------------------------------
// the parts that the schemas of the stages describe
// ---------------------------------------------------------------------------------------------------------------------

type Path = ReadonlyArray<string | number>

const endPath = (index: number): Path => ["bag", "entries", index, "end", "output"]

/** A failure, real or as JSON. */
type AnyFailure = Failure<unknown> | FailureDocument

/** For a pipeline that returns nothing. */
const noValue: JsonCodec = {
  write: () => Effect.fail([{ path: [], message: "Is a value, and the pipeline returns none" }]),
  read: () => Effect.fail([{ path: [], message: "Expected no value: the pipeline returns none" }])
}

/** Goes through the parts of a result that stages' schemas describe, to write them or to read them. */
class Parts {
  private readonly problems = new ProblemsOfParts()
  private readonly plan: Plan
  private readonly direction: "write" | "read"

  constructor(plan: Plan, direction: "write" | "read") {
    this.plan = plan
    this.direction = direction
  }

  /** What is made of the parts, unless one of them failed. */
  whole<A>(make: () => A): Effect.Effect<A, Problems> {
    return under(["result"], this.problems.whole(make))
  }

  private part<A>(path: Path, codec: JsonCodec<A>, value: unknown): Effect.Effect<unknown> {
    // What is written is an A: it comes from a result.
    const converted: Effect.Effect<unknown, Problems> = this.direction === "write"
      ? codec.write(value as A)
      : codec.read(value)
    return this.problems.part(path, converted)
  }

  private definition(stage: string) {
    const index = this.plan.indexOf.get(stage)
    return index === undefined ? undefined : this.plan.stages[index]?.definition
  }

  /** What a stage ended with. One that does not exist has no schema; that it does not is told by `contradictions`. */
  output(path: Path, stage: string, output: unknown): Effect.Effect<unknown> {
    return this.part(path, outcomesOf(this.definition(stage)), output)
  }

  get outputs() {
    return Effect.fnUntraced({ self: this }, function*(outputs: Readonly<Record<string, unknown>>) {
      const converted: Record<string, unknown> = {}
      // In the order of the pipeline, as in the result of a run.
      for (const stage of new Set([...this.plan.names, ...Object.keys(outputs)])) {
        if (!Object.hasOwn(outputs, stage)) continue
        define(converted, stage, yield* this.output(["outputs", stage], stage, outputs[stage]))
      }
      return converted
    })
  }

  /** What became of the chunks of stages. What was collected of them is of the shape of the stage's data. */
  get streams() {
    return Effect.fnUntraced({ self: this }, function*(streams: Readonly<Record<string, StreamSummary>> | undefined) {
      if (streams === undefined) return {}
      const converted: Record<string, StreamSummary> = {}
      for (const [stage, summary] of Object.entries(streams)) {
        const { collected } = summary
        if (collected === undefined) {
          define(converted, stage, summary)
          continue
        }
        const given = this.direction === "write" ? plainOk(collected) : collected
        const output = yield* this.output(["streams", stage, "collected"], stage, given)
        const data = this.direction === "write" ? output : (output as { readonly data?: unknown } | undefined)?.data
        define(converted, stage, { ...summary, collected: data })
      }
      return { streams: converted }
    })
  }

  /** What the pipeline returns. */
  private get value(): JsonCodec {
    const { value } = this.plan
    if (value === undefined) return noValue
    return jsonCodec(value.output)
  }

  private errors(stage: string): JsonCodec {
    return errorsOf(this.definition(stage))
  }

  private get failing(): Failing {
    return {
      names: this.plan.names,
      codecOf: (stage) => this.plan.indexOf.has(stage) ? this.errors(stage) : undefined
    }
  }

  private get failure() {
    return Effect.fnUntraced({ self: this }, function*(path: Path, failure: AnyFailure) {
      const { attempts, cause, data, stage } = failure
      const converted = yield* this.part([...path, "error"], this.errors(stage), failure.error)
      // What is read is made immutable here, so that the cause holds the very same error.
      const own = this.direction === "write" ? failure.error : immutable(converted)
      return {
        stage,
        attempts,
        error: this.direction === "write" ? converted : own,
        cause: yield* this.part([...path, "cause"], causeCodec(stage, own, this.failing), cause),
        data: yield* this.part([...path, "data"], plainData, data)
      }
    })
  }

  private failures(failures: ReadonlyArray<AnyFailure>) {
    return Effect.forEach(failures, (failure, index) => this.failure(["failures", index], failure))
  }

  /** What is in a result besides its outputs and its bag. */
  get own() {
    return Effect.fnUntraced({ self: this }, function*(result: Result | Document) {
      switch (result._tag) {
        case "Completed":
          return Object.hasOwn(result, "value") || this.plan.value !== undefined
            ? { value: yield* this.part(["value"], this.value, (result as { readonly value?: unknown }).value) }
            : {}
        case "Cancelled": {
          const data = yield* this.part(["data"], plainData, result.data)
          return { data, failures: yield* this.failures(result.failures) }
        }
        case "Incomplete":
          return { failures: yield* this.failures(result.failures) }
        case "StageFailed":
          return yield* this.failure([], result)
      }
    })
  }
}

// ---------------------------------------------------------------------------------------------------------------------
// what the runs inside of a stage failed with
// ---------------------------------------------------------------------------------------------------------------------

const planWithin = (pipeline: Pipeline.Any): Effect.Effect<Plan, Problems> =>
  Effect.mapError(planOf(pipeline), ({ message }) => [{ path: [], message }])

/** The failure of a run, through the schemas of the stages of its pipeline. */
const failureOf = (pipeline: Pipeline.Any): JsonCodec => {
  const plan = planWithin(pipeline)
  return {
    write: (failed) => Effect.flatMap(plan, (plan) => encodeResult(failed as Result, plan)), // `takes` says what it is
    read: (json) =>
      Effect.filterOrFail(
        Effect.flatMap(plan, (plan) => decodeResult(json, plan)),
        (result) => result instanceof StageFailed,
        (): Problems => [{ path: ["result", "_tag"], message: "Expected StageFailed" }]
      )
  }
}

const decodeNested = Schema.decodeUnknownEffect(
  Schema.Struct({
    stage: Schema.String,
    pipeline: Schema.String,
    path: Schema.Array(Schema.String),
    error: Schema.Unknown
  }),
  { errors: "all" }
)

/** Errors of runs inside of a stage that runs these pipelines. What is not known of them has to be plain data. */
const nestedFailures = (pipelines: ReadonlyArray<Pipeline.Any>): Way => {
  const codecOf = (name: string): Effect.Effect<JsonCodec, Problems> => {
    const pipeline = pipelines.find((pipeline) => pipeline.name === name)
    if (pipeline !== undefined) {
      return Effect.succeed(firstOf(
        { as: "StageFailed", takes: (error) => error instanceof StageFailed, codec: failureOf(pipeline) },
        instanceOf(DepthExceeded),
        instanceOf(SnapshotInvalid),
        instanceOf(PipelineInvalid),
        instanceOf(LayerFailed),
        { as: "Plain", takes: () => true, codec: plainData }
      ))
    }
    const message = `Expected a pipeline that its stage is annotated with; see Pipeline.Inside`
    return Effect.fail([{ path: ["pipeline"], message }])
  }
  return {
    as: "SubpipelineFailed",
    takes: (error) => error instanceof SubpipelineFailed,
    codec: {
      write: Effect.fnUntraced(function*(failed) {
        const { error, path, pipeline, stage } = failed as SubpipelineFailed // see `takes`
        const codec = yield* codecOf(pipeline)
        return { stage, pipeline, path, error: yield* under(["error"], codec.write(error)) }
      }),
      read: Effect.fnUntraced(function*(json) {
        const { error, path, pipeline, stage } = yield* problemsOfSchema(decodeNested(json))
        const codec = yield* codecOf(pipeline)
        return new SubpipelineFailed({ stage, pipeline, path, error: yield* under(["error"], codec.read(error)) })
      })
    }
  }
}

/** Writes errors and data of a stage. */
interface Codecs {
  readonly errors: JsonCodec
  readonly outcomes: JsonCodec<Settled>
  /** What writes all that is in them; `undefined` for a stage that runs nothing inside of it. */
  readonly held: JsonCodec | undefined
}

/** The library's errors, those of runs inside of a stage among them. */
const known = (pipelines: ReadonlyArray<Pipeline.Any>) => [
  nestedFailures(pipelines),
  instanceOf(SubpipelineCancelled),
  instanceOf(DepthExceeded)
]

/**
 * What writes the parts of the data and of the errors of a stage: whatever schemas say of what its stages inside give and
 * fail with.
 */
const partsOf = Effect.fnUntraced(function*(stage: AnyStage): Effect.fn.Return<PartCodecs, Problems> {
  const { pipelines } = Context.get(stage.annotations, Pipeline.Inside)
  const parts = new Map<string, JsonCodec>()
  const seen = new Set<Schema.Top>()
  const add = (name: string, codec: JsonCodec) => {
    let unique = name
    for (let number = 2; parts.has(unique); number++) unique = `${name} ${number}`
    parts.set(unique, codec)
  }
  const addSchema = (name: string, schema: Schema.Top | undefined) => {
    if (schema === undefined || seen.has(schema)) return
    seen.add(schema)
    add(name, jsonCodec(schema))
  }
  add("error", errorCodecWith(undefined, known(pipelines.map(({ pipeline }) => pipeline)), []))
  for (const schema of Context.get(stage.annotations, Held).parts ?? []) addSchema("part", schema)
  for (const { label, pipeline } of pipelines) {
    const plan = yield* planWithin(pipeline)
    const place = label ?? pipeline.name
    for (const { definition, name } of plan.stages) {
      addSchema(`${place} > ${name}: output`, definition.output)
      addSchema(`${place} > ${name}: error`, definition.error)
      const { held } = codecsOf(definition)
      if (held !== undefined) add(`${place} > ${name}`, held)
    }
    addSchema(`${place}: value`, plan.value?.output)
  }
  return parts
})

/** Data that a schema describes, or that is plain; when it is neither, all that is in it. */
const dataOf = (schema: Schema.Top | undefined, held: JsonCodec): JsonCodec => {
  const { read, write } = jsonCodec(schema)
  return {
    write: (data) =>
      Effect.catch(write(data), (problems) =>
        Effect.flatMap(
          Effect.mapError(held.write(data), (others) => schema === undefined ? others : problems),
          // What is plain and not what the schema says could not be read as such.
          (json) => isMarked(json) ? Effect.succeed(json) : Effect.fail(problems)
        )),
    read: (json) => isMarked(json) ? held.read(json) : read(json)
  }
}

const codecsFor = (stage: AnyStage): Codecs => {
  const pipelines = Context.get(stage.annotations, Pipeline.Inside).pipelines.map(({ pipeline }) => pipeline)
  const { errors, parts = [] } = Context.get(stage.annotations, Held)
  if (pipelines.length + errors.length + parts.length === 0) {
    return { errors: errorCodec(stage.error), outcomes: outcomeCodec(stage.output), held: undefined }
  }
  const held = heldCodec(errors, Effect.suspend(() => partsOf(stage)))
  return {
    errors: errorCodecWith(
      stage.error,
      known(pipelines),
      [{ as: "Held", takes: (error) => !isPlain(error), codec: held }]
    ),
    outcomes: settledCodec(dataOf(stage.output, held)),
    held
  }
}

// The codecs of a stage are made once.
const made = new WeakMap<AnyStage, Codecs>()

const codecsOf = (stage: AnyStage): Codecs => {
  const before = made.get(stage)
  if (before !== undefined) return before
  const codecs = codecsFor(stage)
  made.set(stage, codecs)
  return codecs
}

/** Writes what a stage fails with. One that may run pipelines fails with what their runs fail with, too. */
const errorsOf = (stage: AnyStage | undefined): JsonCodec =>
  stage === undefined ? errorCodec(undefined) : codecsOf(stage).errors

/** Writes what a stage ends with. */
const outcomesOf = (stage: AnyStage | undefined): JsonCodec<Settled> =>
  stage === undefined ? outcomeCodec(undefined) : codecsOf(stage).outcomes

/**
 * Writes what one stage of a pipeline gives and fails with as JSON, and reads it back. What cannot be written or read fails
 * with what is wrong, and where.
 */
export interface StageCodec {
  readonly name: string
  readonly kind: string
  /** The stages that it waits for. */
  readonly after: ReadonlyArray<string>
  /** What it ends with: an outcome with its data, artifacts and events. */
  readonly outcome: JsonCodec<Settled>
  readonly error: JsonCodec
}

/**
 * The codecs of the stages of a pipeline, in its order: for whoever keeps what single stages gave, and not whole results.
 */
export const stages = (pipeline: Pipeline.Any): Effect.Effect<ReadonlyArray<StageCodec>, PipelineInvalid> =>
  Effect.map(planOf(pipeline), (plan) =>
    plan.stages.map(({ definition, dependencies, info, name }) => ({
      name,
      kind: info.kind,
      after: dependencies.map((index) => plan.names[index] as string),
      outcome: outcomesOf(definition),
      error: errorsOf(definition)
    })))

// ---------------------------------------------------------------------------------------------------------------------
// encoding
// ---------------------------------------------------------------------------------------------------------------------

const encodeDocument = Schema.encodeUnknownEffect(ResultDocument, { errors: "all" })

const withoutUndefined = (fields: object): object =>
  Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined))

/** The document of a result: its parts are JSON, and everything else as it is. */
const documentOf = Effect.fnUntraced(function*(result: Result, plan: Plan) {
  const parts = new Parts(plan, "write")
  const outputs = yield* parts.outputs(result.outputs)
  const entries: Array<unknown> = []
  for (const [index, entry] of result.bag.entries.entries()) {
    const { end, stage } = entry
    // What is among the outputs is written once.
    const isOwn = end._tag === "Settled" && !Object.hasOwn(outputs, stage)
    const output = isOwn ? { output: yield* parts.output(endPath(index), stage, end.output) } : {}
    entries.push({ ...entry, end: end._tag === "Settled" ? { _tag: end._tag, ...output } : end })
  }
  const own = { ...yield* parts.own(result), ...yield* parts.streams(result.streams) }
  const lineage = withoutUndefined(result.lineage)
  // What is no document is found out when it is encoded.
  return yield* parts.whole(() =>
    withoutUndefined({ ...result, ...own, outputs, bag: { entries }, lineage }) as Document
  )
})

const encodeResult = Effect.fnUntraced(function*(result: Result, plan: Plan) {
  const document = yield* documentOf(result, plan)
  const json = yield* problemsOfSchema(encodeDocument({ version, result: document }))
  yield* withoutContradictions(document, plan)
  return json as Schema.Json // what the shape leaves open was written as JSON
})

/**
 * Encodes the result of a run, or the `StageFailed` that it failed with, as JSON with the version of its shape.
 *
 * `decode` gives an equal result. What it could not give back equal is an error here, with the path to it.
 */
export const encode = <N extends AnyNode, E, R, V>(
  pipeline: Pipeline.Pipeline<N, E, R, V>,
  result: Encodable<N, E, V>
): Effect.Effect<Schema.Json, ResultInvalid | PipelineInvalid> =>
  Effect.flatMap(planOf(pipeline), (plan) =>
    encodeResult(result as Result, plan).pipe( // whose outputs are those of its stages
      expecting("the result of a run"),
      Effect.mapError(invalid(pipeline.name, "RESULT_NOT_ENCODABLE"))
    ))

// ---------------------------------------------------------------------------------------------------------------------
// decoding
// ---------------------------------------------------------------------------------------------------------------------

const decodeDocument = Schema.decodeUnknownEffect(ResultDocument, { errors: "all" })

const versionOf = (json: unknown): unknown =>
  typeof json === "object" && json !== null && "version" in json ? json.version : undefined

/** A `StageFailed` checks its fields, and copies the lists among them. */
const failedWith = (fields: Readonly<Record<string, unknown>>): object => {
  const { abandoned, interrupted, neverStarted } = fields
  // The document has the fields of a StageFailed.
  const failed = new StageFailed(fields as unknown as ConstructorParameters<typeof StageFailed>[0])
  return Object.assign(failed, { abandoned, interrupted, neverStarted })
}

/** The result of a document, as deeply immutable as one that comes from a run, or more. */
const resultOf = Effect.fnUntraced(function*(document: Document, plan: Plan) {
  const parts = new Parts(plan, "read")
  const outputs = yield* parts.outputs(document.outputs)
  const entries: Array<unknown> = []
  for (const [index, entry] of document.bag.entries.entries()) {
    const { end, stage } = entry
    const isOwn = end._tag === "Settled" && end.output !== undefined
    const output = isOwn ? yield* parts.output(endPath(index), stage, end.output) : outputs[stage]
    entries.push({ ...entry, end: end._tag === "Settled" ? { _tag: end._tag, output } : end })
  }
  const own = { ...yield* parts.own(document), ...yield* parts.streams(document.streams) }
  const { correlationId, parentRunId, parentStage, runId } = document.lineage
  return yield* parts.whole(() => {
    const fields = immutable({
      ...document,
      ...own,
      ...(document._tag === "Cancelled" ? { by: document.by } : {}),
      identity: Object.freeze(document.identity),
      lineage: { runId, parentRunId, parentStage, correlationId },
      // The parts have been read with the codecs of their stages.
      bag: new LazyOutputBag(() => immutable(entries) as ReadonlyArray<Entry>),
      outputs
    })
    return fields._tag === "StageFailed" ? failedWith(fields) : fields
  })
})

const decodeResult = Effect.fnUntraced(function*(json: unknown, plan: Plan) {
  const { result } = yield* problemsOfSchema(decodeDocument(json))
  yield* withoutContradictions(result, plan)
  return yield* resultOf(result, plan)
})

/**
 * Decodes a result of this pipeline from JSON that nobody has checked.
 *
 * Fails with every problem at once and the path to each; a result of a newer version says so.
 */
export const decode = <N extends AnyNode, E, R, V>(
  pipeline: Pipeline.Pipeline<N, E, R, V>,
  json: unknown
): Effect.Effect<Encodable<N, E, V>, ResultInvalid | PipelineInvalid> =>
  Effect.flatMap(planOf(pipeline), (plan) => {
    const found = versionOf(json)
    if (typeof found === "number" && found > version) {
      const message = `Written by a newer version (${found}); this one reads up to ${version}`
      return Effect.fail(invalid(pipeline.name, "RESULT_NEWER_VERSION")([{ path: ["version"], message }]))
    }
    return decodeResult(json, plan).pipe(
      expecting("JSON"),
      Effect.mapError(invalid(pipeline.name, "RESULT_INVALID")),
      // The schemas are those of this pipeline, whose type says what its results are.
      Effect.map((result) => result as Encodable<N, E, V>)
    )
  })
