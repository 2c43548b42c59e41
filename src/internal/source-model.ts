/**
 * Reads the inputs of a stage from the outputs of the stages before it: what stands behind every `Source`.
 */
import * as Option from "effect/Option"
import type { Reading } from "./chunk-channel.ts"
import { immutable } from "./immutable.ts"
import * as options from "./options.ts"
import { type Settled, type Skip } from "./output-model.ts"
import type { Current } from "./snapshot-model.ts"

const TypeId = "~stageflow/Source"

/** How a source reads the stream of a stage. */
export interface StreamUse {
  readonly stage: string
  readonly reading: Reading
  /** What becomes of the reader when the stage fails half-way. */
  readonly onFailure: "fail" | "end"
  /** What becomes of the reader when the stage is skipped. */
  readonly onSkip: "skip" | "end"
}

/** What a source can see of a run. */
export interface Reader {
  readonly snapshot: Current
  readonly outputOf: (stage: string) => Settled
  /** The chunks of a stage, for the one who reads them here. */
  readonly streamOf: (use: StreamUse) => unknown
}

/** There is nothing to read: the stage that was skipped first, and why. */
export class Missing {
  readonly origin: string
  readonly reason: string
  constructor(origin: string, reason: string) {
    this.origin = origin
    this.reason = reason
  }
}

/** Reads a value of a run, or says why there is none. */
export type Read<A> = (reader: Reader) => A | Missing

/** How a source uses a stage: it goes without it, it needs it, or it says itself that its reader is skipped with it. */
export type Use = "optional" | "required" | "skips"

/** What every source is: how it reads, and what of. */
export interface SourceInternals {
  readonly read: Read<unknown>
  readonly uses: ReadonlyMap<string, Use>
  /** The streams that it reads. */
  readonly streams: ReadonlyArray<StreamUse>
}

/** What a reader of a skipped stage misses. */
export const missing = (stage: string, output: Skip): Missing =>
  output.origin === undefined
    ? new Missing(stage, `stage "${stage}" was skipped: ${output.reason}`)
    : new Missing(output.origin, output.reason)

/** An Option that is frozen, as everything is that a stage reads. */
export const some = <A>(value: A): Option.Option<A> => Object.freeze(Option.some(value))

const noStreams: ReadonlyArray<StreamUse> = []

/** A source reads data that is deeply immutable already, or makes it so. */
export class SourceImpl<A> implements SourceInternals {
  readonly [TypeId] = { value: undefined, skips: undefined }
  readonly read: Read<A>
  readonly uses: ReadonlyMap<string, Use>
  readonly streams: ReadonlyArray<StreamUse>
  constructor(read: Read<A>, uses: ReadonlyMap<string, Use>, streams: ReadonlyArray<StreamUse> = noStreams) {
    this.read = read
    this.uses = uses
    this.streams = streams
  }
  map<B>(f: (value: A) => B): SourceImpl<B> {
    const read = this.read
    return new SourceImpl<B>(
      (reader) => {
        const value = read(reader)
        return value instanceof Missing ? value : immutable(f(value))
      },
      this.uses,
      this.streams
    )
  }
}

const noUses: ReadonlyMap<string, Use> = new Map()

/** Reads the stream of a stage. */
const chunksOf = (use: StreamUse): SourceImpl<unknown> =>
  new SourceImpl((reader) => reader.streamOf(use), noUses, [use])

export class StageSource extends SourceImpl<unknown> {
  readonly name: string
  constructor(name: string) {
    super((reader) => {
      const output = reader.outputOf(name)
      return output._tag === "Ok" ? output.data : missing(name, output as Skip)
    }, new Map([[name, "required"]]))
    this.name = name
  }
  // A stage that cannot skip has data; reading it as required is the same. Should the types have been bypassed, a
  // reader is skipped rather than handed nothing.
  get required(): SourceImpl<unknown> {
    return new SourceImpl(this.read, new Map([[this.name, "skips"]]))
  }
  get option(): SourceImpl<Option.Option<unknown>> {
    return this.reading((output) => output._tag === "Ok" ? some(output.data) : Option.none())
  }
  get output(): SourceImpl<unknown> {
    return this.reading((output) => Object.freeze(output))
  }
  get stream(): SourceImpl<unknown> {
    return chunksOf(streamUse(this.name, {}))
  }
  streamWith(given: StreamSettings): SourceImpl<unknown> {
    return chunksOf(streamUse(this.name, given))
  }
  orElse(fallback: () => unknown): SourceImpl<unknown> {
    return this.reading((output) => output._tag === "Ok" ? output.data : immutable(fallback()))
  }
  is(route: string): SourceImpl<boolean> {
    return this.reading((output) =>
      output._tag === "Ok" && Object.hasOwn(output.data as object, "route")
      && (output.data as { readonly route?: unknown }).route === route
    )
  }
  private reading<A>(f: (output: Settled) => A): SourceImpl<A> {
    const name = this.name
    return new SourceImpl((reader) => f(reader.outputOf(name)), new Map([[name, "optional"]]))
  }
}

/** How a reader says that it reads a stream. */
export interface StreamSettings {
  readonly onFailure?: "fail" | "end" | undefined
  readonly onSkip?: "skip" | "end" | undefined
  readonly whenSlow?: "wait" | "drop" | undefined
  readonly chunks?: "all" | "shared" | undefined
  readonly startsOver?: boolean | undefined
}

const settingNames = ["onFailure", "onSkip", "whenSlow", "chunks", "startsOver"] as const

export const streamUse = (stage: string, given: StreamSettings): StreamUse => {
  const { chunks, onFailure, onSkip, startsOver, whenSlow } = options.fields<StreamSettings>(
    "options",
    settingNames,
    given
  )
  return {
    stage,
    reading: {
      isDropped: options.oneOf("whenSlow", ["wait", "drop"], whenSlow ?? "wait") === "drop",
      isShared: options.oneOf("chunks", ["all", "shared"], chunks ?? "all") === "shared",
      startsOver: options.flag("startsOver", startsOver ?? false)
    },
    onFailure: options.oneOf("onFailure", ["fail", "end"], onFailure ?? "fail"),
    onSkip: options.oneOf("onSkip", ["skip", "end"], onSkip ?? "skip")
  }
}

const strengths: ReadonlyArray<Use> = ["optional", "required", "skips"]

const stronger = (one: Use, other: Use = "optional"): Use =>
  strengths.indexOf(one) > strengths.indexOf(other) ? one : other

/** What several sources use together. */
export const mergeUses = (sources: Iterable<SourceInternals>, weaken: boolean): ReadonlyMap<string, Use> => {
  const uses = new Map<string, Use>()
  for (const source of sources) {
    for (const [name, use] of source.uses) uses.set(name, stronger(weaken ? "optional" : use, uses.get(name)))
  }
  return uses
}

/** The streams that several sources read together. */
export const mergeStreams = (sources: Iterable<SourceInternals>): ReadonlyArray<StreamUse> =>
  Array.from(sources).flatMap(({ streams }) => streams)

/** How a source reads. */
export const internalsOf = (self: object): SourceInternals =>
  // Every source is a SourceImpl.
  self as SourceImpl<unknown>
