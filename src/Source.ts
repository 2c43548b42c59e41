/**
 * Says where the inputs of a stage come from.
 *
 * The wiring of a stage is a function of the stages before it. Each is a `StageData`, a source of its data; one that may
 * skip is a `SkippableData`, which says how to read it:
 *
 * | read | gives |
 * |---|---|
 * | `s.router` | the data |
 * | `s.profile.option` | an `Option` of the data |
 * | `s.profile.required` | the data; the reader is skipped when `profile` is |
 * | `s.profile.orElse(() => guest)` | the data, or what the function gives |
 * | `s.profile.output` | the whole `StageOutput`: `Ok` or `Skip` |
 * | `s.router.is("support")` | whether the router chose this route |
 * | `s.answer.stream` | the chunks of a stage that streams, while it runs |
 * | `Source.firstOf(s.support, s.llm)` | the data of the first that ran |
 */
import type * as Option from "effect/Option"
import type { Stream } from "effect/Stream"
import type { Listed } from "./checks/sentence.ts"
import { immutable } from "./internal/immutable.ts"
import { define } from "./internal/record.ts"
import type { Current } from "./internal/snapshot-model.ts"
import {
  internalsOf,
  mergeStreams,
  mergeUses,
  Missing,
  type Read,
  SourceImpl,
  StageSource
} from "./internal/source-model.ts"
import type { StreamFailed, StreamStartedOver } from "./StageError.ts"
import type { Ok, Skip } from "./StageOutput.ts"

export type { Use } from "./internal/source-model.ts"

const TypeId = "~stageflow/Source"

/**
 * A place that an input comes from. When `Skips` is true, a reader of it may be skipped.
 */
export interface Source<out A, out Skips extends boolean = boolean> {
  readonly [TypeId]: { readonly value: A; readonly skips: Skips }
  /**
   * Changes what is read. A function that throws fails the run: it is never read as "no". Neither is a condition that
   * gives something else than true or false.
   */
  map<B>(f: (value: A) => B): Source<B, Skips>
}

/**
 * The route that data names, when it names one.
 */
export type Route<Data> = Data extends { readonly route: infer R extends string } ? R : never

/** What can be asked for: a route of the stage. Of a stage that is known by its name alone, any. */
type Askable<Name extends string, Data, R extends string> = unknown extends Data ? R
  : [Route<Data>] extends [never] ? `stage '${Name}' gives no 'route'`
  : string extends Route<Data> ? `stage '${Name}' gives any string as its route; write its routes \`as const\``
  : R extends Route<Data> ? R
  // Beside the sentence stands what an editor offers: the routes that begin like this.
  : NoInfer<Extract<Route<Data>, `${R}${string}`> | `stage '${Name}' has no route '${R}', only ${Listed<Route<Data>>}`>

/**
 * A stage that can be read, with its name, its data and whether it may skip.
 */
export interface Readable<out Name extends string = string, out Data = unknown, out Skips extends boolean = boolean> {
  readonly name: Name
  readonly [TypeId]: { readonly data: Data; readonly skippable: Skips }
}

interface Common<Name extends string, Data> {
  /** Whether the stage ran and chose this route. */
  is<const R extends string>(route: Askable<Name, Data, R>): Source<boolean, false>
  /** The data as an `Option`, `None` when the stage was skipped. */
  readonly option: Source<Option.Option<Data>, false>
}

/**
 * The data of a stage that cannot skip.
 */
export interface StageData<Name extends string, Data>
  extends Readable<Name, Data, false>, Common<Name, Data>, Source<Data, false>
{
  readonly [TypeId]: {
    readonly data: Data
    readonly skippable: false
    readonly value: Data
    readonly skips: false
  }
  /** How the stage ended. */
  readonly output: Source<Ok<Data>, false>
}

/**
 * The data of a stage that may skip: say how it is to be read.
 */
export interface SkippableData<Name extends string, Data> extends Readable<Name, Data, true>, Common<Name, Data> {
  /** The data; the reader is skipped when this stage is. */
  readonly required: Source<Data, true>
  /** The data, or what the function gives when the stage was skipped. */
  orElse<B>(fallback: () => B): Source<Data | B, false>
  /** How the stage ended. */
  readonly output: Source<Ok<Data> | Skip, false>
}

/**
 * The data and the chunks of a stage that streams and cannot skip.
 */
export interface StreamingData<Name extends string, Data, Chunk, Error>
  extends StageData<Name, Data>, StreamedData<Name, Chunk, Error, false>
{}

/**
 * The data and the chunks of a stage that streams and may skip.
 */
export interface SkippableStreamingData<Name extends string, Data, Chunk, Error>
  extends SkippableData<Name, Data>, StreamedData<Name, Chunk, Error, true>
{}

/**
 * How a reader reads the stream of a stage.
 */
export interface StreamOptions {
  /**
   * What becomes of the reader when the stage fails half-way, where `failure: "continue"` lets the run go on: `"fail"`, the
   * default, fails its stream with `StreamFailed`; `"end"` ends it.
   */
  readonly onFailure?: "fail" | "end" | undefined
  /** What becomes of the reader when the stage is skipped: `"skip"`, the default, skips it; `"end"` ends its stream. */
  readonly onSkip?: "skip" | "end" | undefined
  /**
   * What becomes of a reader that has not taken as many chunks as are held for it: `"wait"`, the default, makes the stage
   * wait for it; `"drop"` goes on without it, and its stream fails with `StreamFailed` when it comes for more.
   */
  readonly whenSlow?: "wait" | "drop" | undefined
  /** `"all"`, the default, gives it every chunk; `"shared"` shares them out among all readers that say so. */
  readonly chunks?: "all" | "shared" | undefined
  /**
   * Whether it can start over: when the stage is tried again after chunks were taken, its stream fails with
   * `StreamStartedOver`, and running the stream again reads it from its new start.
   */
  readonly startsOver?: boolean | undefined
}

type ReadError<E, O> = StreamFailed<E> | (O extends { readonly startsOver: true } ? StreamStartedOver : never)

/** Whether a reader may be skipped with the stage whose stream it reads. */
type SkippedWith<Skips, O> = Skips extends true ? O extends { readonly onSkip: "end" } ? false : true : false

/**
 * A source of the chunks of the stage `Name`, while it runs.
 */
export interface ChunkSource<out Name extends string, out Chunk, out Error, out Skips extends boolean>
  extends Source<Stream<Chunk, Error>, Skips>
{
  readonly [TypeId]: {
    readonly value: Stream<Chunk, Error>
    readonly skips: Skips
    readonly streamOf: Name
  }
}

/**
 * A stage that streams chunks of type `Chunk`, and can fail with `Error`.
 */
export interface StreamedData<Name extends string, Chunk, Error, Skips extends boolean> {
  /** Its chunks, while it runs. The reader starts when the stream begins. */
  readonly stream: ChunkSource<Name, Chunk, StreamFailed<Error>, Skips>
  /** Its chunks, and how they are read. */
  streamWith<const O extends StreamOptions>(
    options: O
  ): ChunkSource<Name, Chunk, ReadError<Error, O>, SkippedWith<Skips, O>>
}

/**
 * Any source.
 */
export type Any = Source<unknown>

/**
 * What a source gives.
 */
export type Value<S> = S extends Source<infer A> ? A : never

/**
 * Whether a reader of a source may be skipped.
 */
export type Skips<S> = S extends Source<unknown, infer B> ? B : false

/**
 * Reads a stage's data by its name, for pipelines that come from data (`Pipeline.fromSpecs`).
 *
 * In `add`, the function of the stages before gives sources whose types are known; here they are not.
 */
export const stage = (
  name: string
): StreamingData<string, unknown, unknown, unknown> & SkippableStreamingData<string, unknown, unknown, unknown> =>
  // One class stands behind all interfaces; the types say which of its members apply.
  new StageSource(name) as unknown as
    & StreamingData<string, unknown, unknown, unknown>
    & SkippableStreamingData<string, unknown, unknown, unknown>

/**
 * Whether a value is a source.
 */
export const isSource = (u: unknown): u is Any => u instanceof SourceImpl

// Only when every stage may skip can there be nothing to read.
type FirstSkips<S> = false extends (S extends Readable<string, unknown, infer Skips> ? Skips : never) ? false : true

type FirstValue<S> = S extends Readable<string, infer Data> ? Data : never

/**
 * Reads the data of the first of these stages that ran: the join of branches of which one was selected.
 *
 * When all of them were skipped, the reader is skipped.
 */
export const firstOf = <
  const S extends readonly [Readable, ...ReadonlyArray<Readable>]
>(
  ...stages: S
): Source<FirstValue<S[number]>, FirstSkips<S[number]>> => {
  const sources = stages as unknown as ReadonlyArray<StageSource>
  const read: Read<unknown> = (reader) => {
    let first: Missing | undefined
    for (const source of sources) {
      const value = source.read(reader)
      if (!(value instanceof Missing)) return value
      first ??= value
    }
    return first as Missing // there is at least one stage
  }
  // The value is read from one of S, and SourceImpl is what stands behind Source.
  return new SourceImpl(read, mergeUses(sources, true)) as unknown as Source<
    FirstValue<S[number]>,
    FirstSkips<S[number]>
  >
}

type AllSkips<S> = true extends { readonly [K in keyof S]: Skips<S[K]> }[keyof S] ? true : false

/**
 * Combines several sources into one record. The reader is skipped when one of them says so.
 */
export const all = <const S extends Readonly<Record<string, Any>>>(
  sources: S
): Source<{ readonly [K in keyof S]: Value<S[K]> }, AllSkips<S>> => {
  const entries = Object.entries(sources).map(([key, source]) => [key, internalsOf(source)] as const)
  const read: Read<unknown> = (reader) => {
    const values = {}
    for (const [key, source] of entries) {
      const value = source.read(reader)
      if (value instanceof Missing) return value
      define(values, key, value)
    }
    return Object.freeze(values)
  }
  // The record has the keys of S, and SourceImpl is what stands behind Source.
  const all = entries.map(([, source]) => source)
  return new SourceImpl(read, mergeUses(all, false), mergeStreams(all)) as unknown as Source<
    { readonly [K in keyof S]: Value<S[K]> },
    AllSkips<S>
  >
}

/**
 * Reads something from the snapshot.
 */
export const snapshot = <A>(f: (snapshot: Current) => A): Source<A, false> =>
  new SourceImpl<A>((reader) => immutable(f(reader.snapshot)), new Map()) as unknown as Source<A, false> // see `all`

/**
 * Gives a value that does not depend on the run. All runs share it, so it is copied and made immutable.
 */
export const succeed = <A>(value: A): Source<A, false> => {
  const shared = immutable(value)
  return new SourceImpl<A>(() => shared, new Map()) as unknown as Source<A, false> // see `all`
}
