/**
 * Keeps pipelines by their names, as a service: for whoever learns only at run time which pipeline to run.
 *
 * ```ts
 * import { Effect } from "effect"
 * import { Pipeline, Snapshot } from "stageflow"
 * import { PipelineRegistry } from "stageflow/control"
 *
 * const chat = Pipeline.make("chat").transform("answer", { run: Effect.succeed({ text: "Hello" }) })
 * const billing = Pipeline.make("billing").work("charge", { run: Effect.void })
 *
 * class Pipelines extends PipelineRegistry.Service<Pipelines>()("app/Pipelines", { chat, billing }) {}
 *
 * const program = Effect.gen(function*() {
 *   const pipeline = yield* Pipelines.get("chat") // typed as `chat`
 *   const { outputs } = yield* Pipeline.run(pipeline, Snapshot.make())
 *   return outputs.answer.data.text
 * }).pipe(Effect.provide(Pipelines.layer))
 * ```
 *
 * The types say which pipelines there are, with everything that these need and fail with. A name that is known only at run
 * time goes through `find` or `run`. Tests replace a pipeline with `layerWith`.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import type { SnapshotProblem } from "../checks/run.ts"
import type { Checked, OneOf } from "../checks/sentence.ts"
import { Suggestions } from "../internal/nearest-name.ts"
import * as options from "../internal/options.ts"
import { define } from "../internal/record.ts"
import * as Pipeline from "../Pipeline.ts"
import type { PipelineInvalid } from "../PipelineInvalid.ts"
import type { RunOptions } from "../Run.ts"
import type { Snapshot } from "../Snapshot.ts"

/**
 * Pipelines by their names.
 */
export type Pipelines = Readonly<Record<string, Pipeline.Any>>

/**
 * A registry has no pipeline of that name.
 */
export class UnknownPipeline extends Schema.TaggedError<UnknownPipeline>()("UnknownPipeline", {
  registry: Schema.String,
  pipeline: Schema.String,
  /** The pipeline that was most likely meant. */
  didYouMean: Schema.optionalKey(Schema.String)
}) {
  readonly code = "UNKNOWN_PIPELINE"
  override get message(): string {
    const fix = this.didYouMean === undefined ? "" : ` Did you mean "${this.didYouMean}"?`
    return `"${this.registry}" has no pipeline "${this.pipeline}".${fix}`
  }
}

const Entry = Schema.Struct({
  code: Schema.Literals(["NO_PIPELINE", "BLANK_NAME", "OTHER_NAME"]),
  /** The name in the registry. */
  pipeline: Schema.String,
  message: Schema.String,
  /** What to do about it. */
  fix: Schema.String
})

/**
 * One thing that is wrong with the pipelines of a registry.
 */
export type Problem = typeof Entry.Type

/**
 * Pipelines cannot be registered; everything that is wrong with them. Thrown where they are given.
 */
export class RegistryInvalid extends Schema.TaggedError<RegistryInvalid>()("RegistryInvalid", {
  registry: Schema.String,
  problems: Schema.Array(Entry)
}) {
  readonly code = "REGISTRY_INVALID"
  override get message(): string {
    const lines = this.problems.map((problem) => `- ${problem.message} ${problem.fix}`)
    return [`The pipelines of "${this.registry}" cannot be registered:`, ...lines].join("\n")
  }
}

// ---------------------------------------------------------------------------------------------------------------------
// types
// ---------------------------------------------------------------------------------------------------------------------

/** The pipelines that are registered, as a union. */
type Each<P extends Pipelines> = P[keyof P & string]

/** How a run of one of the pipelines ends that did not fail. Each pipeline for itself: none has the outputs of another. */
export type ResultOf<P, O> = P extends Pipeline.Pipeline<infer N, infer E, infer _R, infer V>
  ? Pipeline.Result<N, E, O, V>
  : never

/** What a run of one of the pipelines fails with. */
export type FailureOf<P, O> = P extends Pipeline.Pipeline<infer N, infer E, infer _R, infer V>
  ? Pipeline.Failure<N, E, O, V>
  : never

/** What a run of one of the pipelines needs. */
export type ServicesOf<P, S> = P extends Pipeline.Pipeline<infer N, infer _E, infer R, infer _V>
  ? Pipeline.Services<N, R, S>
  : never

/** The pipeline of a name, or all when only the run knows the name. */
type Named<P extends Pipelines, Name extends string> = Name extends keyof P ? P[Name] : Each<P>

/** What is wrong with running one of the pipelines with a snapshot. */
type ProblemWith<P, S> = OneOf<ProblemWithEach<P, S>>

type ProblemWithEach<P, S> = P extends Pipeline.Pipeline<infer N, infer _E, infer R, infer _V> ?
  SnapshotProblem<N, R, S>
  : never

/**
 * What a registry holds.
 */
export interface Registered<P extends Pipelines> {
  readonly pipelines: P
}

/**
 * A registry of these pipelines: a service, and what asks it.
 */
export interface RegistryClass<Self, Key extends string, P extends Pipelines>
  extends Context.ServiceClass<Self, Key, Registered<P>>
{
  /** The registry with the pipelines that it was made with. */
  readonly layer: Layer.Layer<Self>
  /** The registry with other pipelines of the same types in place of some. */
  readonly layerWith: (others: Partial<P>) => Layer.Layer<Self>
  /** The pipeline of a name that the compiler knows. */
  readonly get: <const Name extends keyof P & string>(name: Name) => Effect.Effect<P[Name], never, Self>
  /** The pipeline of a name that is known only at run time: one of all. */
  readonly find: (name: string) => Effect.Effect<Each<P>, UnknownPipeline, Self>
  /**
   * Runs the pipeline of a name that is known only at run time. The snapshot has to fit all of them, or the one of a name that
   * the compiler knows.
   */
  readonly run: <const Name extends string, S extends Snapshot, const O extends RunOptions = {}>(
    name: Name,
    snapshot: Checked<S, ProblemWith<Named<P, Name>, S>>,
    options?: O
  ) => Effect.Effect<ResultOf<Each<P>, O>, FailureOf<Each<P>, O> | UnknownPipeline, ServicesOf<Each<P>, S> | Self>
  /** The names of all pipelines, in the order in which they were given. */
  readonly list: Effect.Effect<ReadonlyArray<keyof P & string>, never, Self>
  /** Describes all pipelines by their names. */
  readonly describe: Effect.Effect<Readonly<Record<keyof P & string, Pipeline.Description>>, PipelineInvalid, Self>
}

// ---------------------------------------------------------------------------------------------------------------------
// pipelines as they are given
// ---------------------------------------------------------------------------------------------------------------------

const problemOf = (name: string, pipeline: unknown): Problem | undefined => {
  if (name.trim() === "") {
    return { code: "BLANK_NAME", pipeline: name, message: "A pipeline has a blank name.", fix: "Give it a name." }
  }
  if (!Pipeline.isPipeline(pipeline)) {
    const given = options.shown(pipeline)
    return {
      code: "NO_PIPELINE",
      pipeline: name,
      message: `"${name}" is no pipeline but ${given}.`,
      fix: "Make one with Pipeline.make."
    }
  }
  if (pipeline.name === name) return undefined
  return {
    code: "OTHER_NAME",
    pipeline: name,
    message: `"${name}" is the pipeline "${pipeline.name}", by which events and errors call it.`,
    fix: `Register it as "${pipeline.name}", or make it with that name.`
  }
}

/** The pipelines by their own names, each read once. */
const checked = (registry: string, given: Pipelines): ReadonlyMap<string, Pipeline.Any> => {
  const isRecord = (value: unknown): value is Pipelines =>
    typeof value === "object" && value !== null && !Array.isArray(value) && !Pipeline.isPipeline(value)
  const entries = Object.entries(options.ofKind("pipelines", "an object of pipelines by name", isRecord, given))
  const problems = entries.flatMap(([name, pipeline]) => problemOf(name, pipeline) ?? [])
  if (problems.length > 0) throw new RegistryInvalid({ registry, problems })
  return new Map(entries)
}

const recordOf = <A>(entries: Iterable<readonly [string, A]>): Readonly<Record<string, A>> => {
  const record: Record<string, A> = {}
  for (const [name, value] of entries) define(record, name, value)
  return Object.freeze(record)
}

/** The same pipelines with others in place of some. */
const replaced = (
  registry: string,
  known: ReadonlyMap<string, Pipeline.Any>,
  given: Pipelines
): ReadonlyMap<string, Pipeline.Any> => {
  const others = checked(registry, given)
  for (const name of others.keys()) {
    if (!known.has(name)) throw unknown(registry, known, name)
  }
  return new Map([...known, ...others])
}

const unknown = (registry: string, known: ReadonlyMap<string, unknown>, pipeline: string): UnknownPipeline => {
  const didYouMean = new Suggestions(known).nearest(pipeline, "")
  return new UnknownPipeline({ registry, pipeline, ...(didYouMean === undefined ? {} : { didYouMean }) })
}

/** A pipeline as it is run, whatever its types. */
const runUntyped = Pipeline.run as unknown as (
  pipeline: Pipeline.Any,
  snapshot: Snapshot,
  options: RunOptions | undefined
) => Effect.Effect<unknown, unknown>

// ---------------------------------------------------------------------------------------------------------------------
// the service
// ---------------------------------------------------------------------------------------------------------------------

/**
 * Makes the class of a registry: `class Pipelines extends PipelineRegistry.Service<Pipelines>()("app/Pipelines", { chat }) {}`.
 *
 * Each pipeline is registered by its own name. What cannot be registered throws `RegistryInvalid`, with everything that is
 * wrong.
 */
export const Service =
  <Self>() =>
  <const Key extends string, const P extends Pipelines>(key: Key, pipelines: P): RegistryClass<Self, Key, P> => {
    const known = checked(options.name("key", key), pipelines)
    const service = Context.Service<Self, Registered<P>>()(key)
    // What is registered has the types of what was given.
    const holding = (all: ReadonlyMap<string, Pipeline.Any>) => ({ pipelines: recordOf(all) as P })
    const named = (name: string): Effect.Effect<Pipeline.Any, UnknownPipeline, Self> =>
      Effect.flatMap(Effect.service(service), ({ pipelines }): Effect.Effect<Pipeline.Any, UnknownPipeline> => {
        const pipeline = Object.hasOwn(pipelines, name) ? pipelines[name] : undefined
        return pipeline === undefined ? Effect.fail(unknown(key, known, name)) : Effect.succeed(pipeline)
      })
    const statics = {
      layer: Layer.succeed(service, holding(known)),
      layerWith: (others: Partial<P>) => Layer.succeed(service, holding(replaced(key, known, others as Pipelines))),
      get: (name: string) => named(options.text("name", name)),
      find: (name: string) => named(options.text("name", name)),
      run: (name: string, snapshot: Snapshot, given?: RunOptions) =>
        Effect.flatMap(named(options.text("name", name)), (pipeline) => runUntyped(pipeline, snapshot, given)),
      list: Effect.map(Effect.service(service), ({ pipelines }) => Object.keys(pipelines)),
      describe: Effect.flatMap(Effect.service(service), ({ pipelines }) =>
        Effect.map(
          Effect.forEach(Object.entries(pipelines), ([name, pipeline]) =>
            Effect.map(Pipeline.describe(pipeline), (description) => [name, description] as const)),
          recordOf
        ))
    }
    // The signature says which pipelines there are; the values do not know.
    return Object.assign(service, statics) as unknown as RegistryClass<Self, Key, P>
  }
