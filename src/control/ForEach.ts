/**
 * Runs a function, a stage or a pipeline for each of several items.
 *
 * The items are what a function of the stage's inputs gives: an Iterable, or a Stream. What the items give is the data of
 * the stage, in the order of the items.
 *
 * ```ts
 * import { Effect } from "effect"
 * import { Pipeline, Snapshot, Stage } from "stageflow"
 * import { ForEach } from "stageflow/control"
 *
 * const report = Pipeline.make("report")
 *   .add(Stage.enrich("search", { run: Effect.succeed({ titles: ["Engines", "Boilers"] }) }))
 *   .add(
 *     ForEach.stage("summaries", {
 *       items: (inputs: { readonly search: { readonly titles: ReadonlyArray<string> } }) => inputs.search.titles,
 *       each: (title) => Effect.succeed(`On ${title}`),
 *       concurrency: 4
 *     }),
 *     { inputs: ["search"] }
 *   )
 *
 * const program = Pipeline.run(report, Snapshot.make())
 * ```
 *
 * At most `concurrency` items are worked on at the same time, by as many fibers: an endless or very large input takes no
 * more memory than its results do. No item is taken before there is a worker for it; of a Stream, that is the rest of a
 * chunk at most. When the stage ends early, everything in flight is interrupted and has cleaned up before the stage ends.
 */
import type * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { Held } from "../attempt/held-codec.ts"
import { retryInside, type RetryPolicy } from "../attempt/retry.ts"
import type { ForEachProblem, ItemOf, ItemsError, ItemsServices } from "../checks/for-each.ts"
import type { Ports } from "../checks/stage.ts"
import type { Checked, Learned, NotGiven } from "../checks/wiring.ts"
import { type EventsOption, tellingOf } from "../internal/chosen-events.ts"
import * as options from "../internal/options.ts"
import * as Pipeline from "../Pipeline.ts"
import * as Stage from "../Stage.ts"
import type * as StageOutput from "../StageOutput.ts"
import {
  type DataOf,
  type ErrorOf,
  type InputOf,
  type ItemBody,
  runsOf,
  type ServicesOf,
  type SignalsOf
} from "./internal/body.ts"
import { runForEach, type Settings } from "./internal/fan-out.ts"
import {
  holdingItems,
  type ItemFailed,
  itemFailedSchema,
  type Outcomes,
  outcomesSchema,
  type Results,
  resultsSchema,
  type TooManyFailed,
  tooManyFailedSchema
} from "./internal/items.ts"

// ---------------------------------------------------------------------------------------------------------------------
// options
// ---------------------------------------------------------------------------------------------------------------------

/**
 * What is run for each item: a function of the item and its index that gives an Effect of anything, a stage or a pipeline.
 */
export type Each<Item> = Stage.Any | Pipeline.Any | EachFunction<Item>

/** A function of an item. An option that is one or anything else has its parameters inferred, and is checked by a sentence. */
type EachFunction<Item> = (item: Item, index: number) => Effect.Effect<unknown, unknown, unknown>

/**
 * What a failed item does to the others:
 *
 * - `"fail-fast"`, the default: they are interrupted, and the stage fails with `ItemFailed`;
 * - `"continue"`: they go on, and the stage gives what became of each;
 * - `{ tolerate: n }`: the same for `n` failures; one more interrupts what is in flight and fails the stage with
 *   `TooManyFailed`.
 *
 * An item that is refused, by a guard or a denial, interrupts the others and fails the stage with `ItemFailed` in any case.
 */
export type Failure = "fail-fast" | "continue" | { readonly tolerate: number }

/** What an item gives. What a function gives that is an outcome is what is in it. */
export type ValueOf<B> = B extends Stage.Any | Pipeline.Any ? DataOf<B>
  : B extends (item: never, index: never) => Effect.Effect<infer A, infer _E, infer _R>
    ? A extends StageOutput.Ok<infer D> ? D
    : A extends StageOutput.Skip | StageOutput.Cancel | StageOutput.Retry | StageOutput.Fail<infer _E2> ? never
    : A
  : never

/** What an item can fail with. */
export type ItemError<B> = ErrorOf<B> | Stage.Exhausted<SignalsOf<B>>

/** What a for-each gives whose items give `A` and fail with `E`. */
export type DataFor<A, E, F> = F extends "fail-fast" ? Results<A> : Outcomes<A, E>

/** What a for-each fails with whose items fail with `E`. */
export type ErrorFor<E, F> =
  | (F extends { readonly tolerate: number } ? TooManyFailed<E> : never)
  | ([E] extends [never] ? never : ItemFailed<E>)

/**
 * How a stage runs something for each of several items.
 */
export interface StageOptions<In, Items, B, C, F, R, D, X> {
  /** Gives the items: an Iterable, which is asked for the next item when there is a worker for it, or a Stream. */
  readonly items: (inputs: In) => Items
  /** What is run for each item. */
  readonly each: B | EachFunction<ItemOf<Items>>
  /** What events and errors call an item, its index when left out. It is shown: nothing secret. */
  readonly key?: ((item: ItemOf<Items>, index: number) => string) | undefined
  /** How many items are worked on at the same time at most: a whole number from 1, or `"unbounded"`; 10 when left out. */
  readonly concurrency?: C | number | "unbounded" | undefined
  /** What a failed item does to the others; `"fail-fast"` when left out. */
  readonly failure?: F | Failure | undefined
  /** Runs an item again when it fails or asks for it, as `Stage.retry` does a stage. No item is tried twice when left out. */
  readonly retry?: RetryPolicy<NoInfer<ErrorOf<B>>, R> | undefined
  /** Which items are told of in events; `"thinned"` when left out. */
  readonly events?: EventsOption | undefined
  /** What the stage is for; `"transform"` when left out. */
  readonly kind?: Stage.Kind | undefined
  /** The schema of what one item gives: what the items give is validated, and can be encoded. */
  readonly output?: Schema.Codec<D, any> | undefined
  /** The schema of what one item can fail with: it can be encoded. */
  readonly error?: Schema.Codec<X, any> | undefined
}

/** The options as they are read; the signatures know more of them. */
interface UntypedOptions {
  readonly items: (inputs: unknown) => unknown
  readonly each: ItemBody
  readonly key?: ((item: unknown, index: number) => string) | undefined
  readonly concurrency?: number | "unbounded" | undefined
  readonly failure?: Failure | undefined
  readonly retry?: RetryPolicy<unknown, unknown> | undefined
  readonly events?: EventsOption | undefined
  readonly kind?: Stage.Kind | undefined
  readonly output?: Schema.Top | undefined
  readonly error?: Schema.Top | undefined
}

const optionNames: ReadonlyArray<keyof UntypedOptions> = [
  "items",
  "each",
  "key",
  "concurrency",
  "failure",
  "retry",
  "events",
  "kind",
  "output",
  "error"
]

/** How many items are worked on at the same time when nothing says so: as many calls as most services take from one. */
const defaultConcurrency = 10

const toleratedOf = (given: Failure): number | undefined => {
  if (typeof given === "object" && given !== null) {
    return options.count("tolerate", options.fields("failure", ["tolerate"], given).tolerate as number)
  }
  const failure = options.oneOf("failure", ["fail-fast", "continue"], given)
  return failure === "continue" ? Number.POSITIVE_INFINITY : undefined
}

// ---------------------------------------------------------------------------------------------------------------------
// the stage
// ---------------------------------------------------------------------------------------------------------------------

/** Whether it can be run; while the compiler has not yet looked at it, nothing is wrong. */
type IsBody<B> = unknown extends B ? true : B extends ItemBody | ((...given: never) => unknown) ? true : false

/** What was given, for the compiler to look at. */
interface Given<Items, B, C, F, D, O> {
  readonly items: Items
  readonly each: B
  readonly isBody: IsBody<B>
  readonly taken: InputOf<B>
  readonly value: ValueOf<B>
  readonly concurrency: C
  readonly failure: F
  readonly data: D
  readonly options: O
}

/** What an item gives: what a schema says, when there is one. */
type Value<B, D> = unknown extends D ? ValueOf<B> : D

/** Whether an item may end the run. */
type CancelOf<B> = Extract<SignalsOf<B>, "cancel">

/**
 * Makes a stage that runs something for each of several items.
 */
export interface MakeStage {
  <
    const Name extends string,
    In,
    Items,
    B,
    const C = 10,
    const F = "fail-fast",
    R = never,
    D = unknown,
    X = unknown,
    O = NotGiven
  >(
    name: Checked<Name, ForEachProblem<Name, Given<Items, B, C, F, D, O>>>,
    options: StageOptions<In, Items, B, C, F, R, D, X> & Learned<O>
  ): Stage.Stage<
    Name,
    In,
    DataFor<Value<B, D>, ItemError<B>, F>,
    CancelOf<B>,
    ErrorFor<ItemError<B>, F> | ItemsError<Items>,
    ServicesOf<B> | Ports<ItemsServices<Items>> | R
  >
}

/**
 * Makes a stage that runs something for each of several items:
 * `ForEach.stage("summaries", { items: (inputs: { ... }) => ..., each: summarize })`.
 *
 * Its data is `{ results, skipped }` or, when items may fail (`failure: "continue"` or `{ tolerate: n }`),
 * `{ ok, failed, skipped }` with the key, the attempts and the duration of each item. An item that skips is among the
 * skipped; one that cancels cancels the run.
 */
export const stage = ((name: string, given: UntypedOptions) => {
  const read = options.fields("options", optionNames, given)
  const { concurrency, error, events, failure, key, kind, output, retry } = read
  const tolerated = toleratedOf(failure === undefined ? "fail-fast" : failure)
  const settings: Settings = {
    // Both are there, or what is there instead is refused.
    items: options.callable("items", read.items as Settings["items"]),
    runs: runsOf("each", read.each as ItemBody),
    key: key === undefined ? undefined : options.callable("key", key),
    concurrency: options.concurrency("concurrency", concurrency ?? defaultConcurrency),
    tolerated,
    retry: retry === undefined ? undefined : retryInside(retry),
    telling: tellingOf(events),
    validate: validationOf(options.schema("output", output))
  }
  const schemas = schemasOf(tolerated, options.schema("output", output), options.schema("error", error))
  // What its parts give and need is in the signature.
  const run = (inputs: unknown) => runForEach(settings, inputs) as Effect.Effect<never>
  const { pipeline } = settings.runs
  const made = Stage.make(kind ?? "transform", name, { run, ...schemas }).pipe(
    Stage.annotate(Pipeline.Inside, {
      pipelines: pipeline === undefined ? [] : [{ pipeline }],
      repeats: "for-each"
    }),
    Stage.annotate(Held, { errors: holdingItems, parts: [output, error] })
  )
  return made
  // The signature computes the types of the stage, of options that it knows; the value does not know them.
}) as unknown as MakeStage

/** What an item gives is of the schema's type already: it is validated and not decoded. */
const validationOf = (output: Schema.Top | undefined): Settings["validate"] => {
  if (output === undefined) return undefined
  // The signature asks for a schema that needs no services.
  const validate = Schema.decodeUnknownEffect(Schema.toType(output) as Schema.Codec<unknown>)
  return (value) => validate(value, { errors: "all" })
}

/** The schemas of the stage, made of those of an item. */
const schemasOf = (tolerated: number | undefined, output: Schema.Top | undefined, error: Schema.Top | undefined) => {
  const isStrict = tolerated === undefined
  const data = output === undefined ? undefined : isStrict ? resultsSchema(output) : outcomesSchema(output, error)
  const failure = error === undefined ? undefined : isStrict ?
    itemFailedSchema(error)
    : Schema.Union([tooManyFailedSchema(error), itemFailedSchema(error)])
  // What a stage may give and fail with is in the signature, which asks for schemas that need no services.
  return { output: data as Schema.Codec<never> | undefined, error: failure as Schema.Codec<never> | undefined }
}

export type { EventsOption } from "../internal/chosen-events.ts"
export {
  type FailedItem,
  type Item,
  ItemFailed,
  type OkItem,
  type Outcomes,
  type Results,
  type SkippedItem,
  TooManyFailed
} from "./internal/items.ts"
