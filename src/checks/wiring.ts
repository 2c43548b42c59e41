/**
 * Checks, in the compiler, how a pipeline is wired: what fits what, and a sentence for what does not.
 *
 * Each mistake resolves to a string literal type that names the stage and the field, so that the compiler's message is
 * that sentence. The checks sit on the argument that `add` infers its types from; an array of names is checked element
 * by element, so that the squiggle is under the wrong name.
 *
 * Every stage that is added is checked against all before it, so what is done for each of those has to be little: they
 * are looked up by name in one mapped type, never searched.
 */
import type * as Option from "effect/Option"
import type { Stream } from "effect/Stream"
import type * as From from "../Source.ts"
import type { ChunkSource, Readable, SkippableStreamingData, Source, StreamingData } from "../Source.ts"
import type * as Stage from "../Stage.ts"
import type { Checked, First, Mismatch, OneOf } from "./sentence.ts"

/**
 * A stage in a pipeline: its name, its data, how it may end, what it can fail with and what it needs.
 */
export interface Node<out Name extends string, out Data, out Signals, out Error, out Services> {
  readonly name: Name
  readonly data: Data
  readonly signals: Signals
  readonly error: Error
  readonly services: Services
}

/** The input of a pipeline: it is read like a stage, by the name `input`, and is none. */
export interface InputNode<out Data> extends Node<"input", Data, never, never, never> {
  readonly isInput: true
}

/** The stages among what can be read. */
export type StagesOf<N extends AnyNode> = Exclude<N, { readonly isInput: true }>

/** Any stage of a pipeline. */
export type AnyNode = Node<string, unknown, unknown, unknown, unknown>

/** What stands where the chunks of a stage would be that does not stream. */
interface NoStream<Name extends string> {
  /** Only stages that were made with `Stage.stream` have one. */
  readonly stream: `stage '${Name}' does not stream; make it with Stage.stream`
}

/** The data of a stage that cannot skip, and no chunks. */
interface StageData<Name extends string, Data> extends From.StageData<Name, Data>, NoStream<Name> {}

/** The data of a stage that may skip, and no chunks. */
interface SkippableData<Name extends string, Data> extends From.SkippableData<Name, Data>, NoStream<Name> {}

/** What each stage is read through, by its name. */
export type Handles<N extends AnyNode> = {
  readonly [K in N as K["name"]]: K extends InputNode<infer Data> ? Source<Data, false>
    : [Extract<K["signals"], Stage.Streams<unknown>>] extends [never]
      ? "skip" extends K["signals"] ? SkippableData<K["name"], K["data"]> : StageData<K["name"], K["data"]>
    : "skip" extends K["signals"] ? SkippableStreamingData<K["name"], K["data"], ChunkIn<K["signals"]>, K["error"]>
    : StreamingData<K["name"], K["data"], ChunkIn<K["signals"]>, K["error"]>
}

/** What a stage streams whose signals say so. */
type ChunkIn<Signals> = Signals extends Stage.Streams<infer Chunk> ? Chunk : never

/**
 * The stages that the stage `Reader` can be wired to, by name.
 *
 * `Stages` stays a type parameter where this is used, so that the compiler, when a name is not there, says
 * `StagesBefore<"reader", Stages>` and not what all of them are.
 */
export type StagesBefore<_Reader extends string, Stages> = Stages & {}

export type Names = ReadonlyArray<string>

/** A wiring made of sources, as a function of the stages before it gives it. */
export interface BySource {
  readonly after?: Names
  readonly when?: Source<boolean>
  readonly inputs?: Readonly<Record<string, Source<unknown> | Readable>>
}

/** The parts of a wiring, for editors to offer; whether they fit is said in sentences. */
export interface Parts {
  readonly inputs?: unknown
  readonly after?: unknown
  readonly when?: unknown
}

declare const notGiven: unique symbol

/** The wiring that nobody has given, or that the compiler has not yet looked at. */
export interface NotGiven {
  readonly [notGiven]: never
}

type ByKey<N extends AnyNode> = { readonly [K in N as K["name"]]: K }

/**
 * The stages that are read by name, `"profile?"` being `profile`.
 *
 * Everything else is said about these few, and about the names of the others: whatever mentions all stages costs as
 * much as there are stages.
 */
export type Found<N extends AnyNode, Inputs extends Names> = Names extends Inputs ? never
  : Extract<ByKey<N>[Base<Inputs[number], N["name"]> & keyof ByKey<N>], AnyNode>

type Find<F extends AnyNode, Name> = Extract<F, { readonly name: Name }>

/** A stage takes no inputs when nothing says what they are. */
export type TakesNone<S extends Stage.Any> = unknown extends Stage.Input<S> ? true : false

/** `"profile?"` reads `profile` as an Option, unless it is itself the name of a stage. */
export type Base<Name, Known extends string> = string extends Known ? WithoutMark<Name>
  : Name extends Known ? Name
  : WithoutMark<Name>

type WithoutMark<Name> = Name extends `${infer B}?` ? B : Name

// ---------------------------------------------------------------------------------------------------------------------
// wiring by name
// ---------------------------------------------------------------------------------------------------------------------

/** The names that no stage has. */
export type Unknown<Name, Known extends string> = Name extends unknown ? Base<Name, Known> extends Known ? never : Name
  : never

/** What an editor offers for a name that nobody has: the names that begin like it. */
export type Completions<Name, Known extends string> = Extract<Known, `${Name & string}${string}`>

type KnownInput<Reader extends string, Name, Known extends string> = Base<Name, Known> extends Known ? Name
  :
    | Completions<Name, Known>
    | `stage '${Reader}', input '${Base<Name, Known> & string}': no stage before it has that name`

type KnownAfter<Reader extends string, Name, Known extends string> = Name extends Known ? Name
  : Completions<Name, Known> | `stage '${Reader}', after '${Name & string}': no stage before it has that name`

type CheckedInputs<Reader extends string, Inputs extends Names, Known extends string> = {
  readonly [I in keyof Inputs]: KnownInput<Reader, Inputs[I], Known>
}

type CheckedAfter<Reader extends string, After extends Names, Known extends string> = {
  readonly [I in keyof After]: KnownAfter<Reader, After[I], Known>
}

/** Names as they were given when all are known, otherwise each one that is not as its sentence. */
type KnownInputs<Reader extends string, Known extends string, Inputs extends Names> = unknown extends Inputs ? Inputs
  // Nothing that is a list of known names: `WiringProblem` says what is wrong.
  : AreLost<Inputs[number], Known> extends true ? unknown
  : [Unknown<Inputs[number], Known>] extends [never] ? Inputs
  : NoInfer<CheckedInputs<Reader, Inputs, Known>>

/** Names as they were given when all are known, otherwise each one that is not as its sentence. */
export type KnownAfters<Reader extends string, Known extends string, After extends Names> = unknown extends After ?
  After
  : [Exclude<After[number], Known>] extends [never] ? After
  : NoInfer<CheckedAfter<Reader, After, Known>>

/** Wiring by name, each name checked where it stands; what else there is in it is for `WiringProblem` to say. */
export interface ByName<Reader extends string, Known extends string, Inputs extends Names, After extends Names> {
  readonly inputs?: KnownInputs<Reader, Known, Inputs>
  readonly after?: KnownAfters<Reader, Known, After>
}

type NameProblem<S extends Stage.Any, Name, Known extends string, F extends AnyNode> = Name extends unknown
  ? Base<Name, Known> extends infer Key extends string
    ? Key extends keyof Stage.Input<S> ? FoundProblem<S, Name, Key, Find<F, Key>, Stage.Input<S>[Key]>
    : `stage '${S["name"]}' has no input '${Key}'`
  : never
  : never

/** Whether an input is a stream, and not just anything. */
type IsStream<Wanted> = 0 extends 1 & Wanted ? false
  : [Wanted] extends [never] ? false
  : [Wanted] extends [Stream<unknown, unknown>] ? true
  : false

type FoundProblem<S extends Stage.Any, Name, Key extends string, Found extends AnyNode, Wanted> = Name extends Key
  ? IsStream<Wanted> extends true ? `stage '${S[
      "name"
    ]}', input '${Key}': it is a stream; wire it with (s) => ({ inputs: { ${Key}: s.${Key}.stream } })`
  : "skip" extends Found["signals"] ? `stage '${S[
      "name"
    ]}', input '${Key}': stage '${Key}' may skip; write '${Key}?' for an Option, or wire it with .required or .orElse`
  : Found["data"] extends Wanted ? never
  : Option.Option<Found["data"]> extends Wanted
    ? `stage '${S["name"]}', input '${Key}': it is an Option; write '${Key}?'`
  : `stage '${S["name"]}', input '${Key}': stage '${Key}' gives ${Mismatch<Wanted, Found["data"]>}`
  : Option.Option<Found["data"]> extends Wanted ? never
  : Found["data"] extends Wanted
    ? `stage '${S["name"]}', input '${Key}': '${Key}?' reads an Option, and the stage takes the data itself`
  : Wanted extends Option.Option<infer Data>
    ? `stage '${S["name"]}', input '${Key}': stage '${Key}' gives ${Mismatch<Data, Found["data"]>}`
  : `stage '${S["name"]}', input '${Key}': stage '${Key}' gives ${Mismatch<Wanted, Found["data"]>}`

// ---------------------------------------------------------------------------------------------------------------------
// wiring by source
// ---------------------------------------------------------------------------------------------------------------------

type SourceProblem<S extends Stage.Any, Key, Have> = Key extends keyof Stage.Input<S> & string
  ? Have extends ChunkSource<infer Read, infer Chunk, infer Error, boolean>
    ? ChunksProblem<`stage '${S["name"]}', input '${Key}'`, Read, Chunk, Error, Stage.Input<S>[Key]>
  : Have extends NoStream<string>["stream"] ? Have
  : Have extends Source<infer Given> ? Given extends Stage.Input<S>[Key] ? never
    : GivenProblem<`stage '${S["name"]}', input '${Key}'`, Giver<Have>, Given, Stage.Input<S>[Key]>
  : Have extends Readable<infer Read>
    ? `stage '${S["name"]}', input '${Key}': stage '${Read}' may skip; read it with .option, .required or .orElse`
  : `stage '${S["name"]}', input '${Key}': this is not a Source`
  : `stage '${S["name"]}' has no input '${Key & string}'`

/** How the chunks of the stage `Read` do not fit an input. */
type ChunksProblem<Place extends string, Read extends string, Chunk, Error, Wanted> = Stream<Chunk, Error> extends
  Wanted ? never
  : Wanted extends Stream<infer A, infer E>
    ? [Chunk] extends [A]
      ? [Error] extends [E] ? `${Place}: its Stream needs services, and a stream that is read has none`
      : `${Place}: the stream of stage '${Read}' can fail with StreamFailed; write Stream<Chunk, StreamFailed>`
    : `${Place}: stage '${Read}' streams ${ChunkMismatch<A, Chunk>}`
  : `${Place}: '.stream' gives a Stream; to read the data, leave it out`

type ChunkMismatch<Wanted, Given> = Mismatch<Wanted, Given> extends infer M extends string
  ? M extends `data of another type` ? `chunks of another type` : M
  : never

type Giver<Have> = Have extends Readable<infer Read> ? `stage '${Read}'` : `its source`

type GivenProblem<Place extends string, Giver extends string, Given, Wanted> = Given extends Option.Option<Wanted>
  ? `${Place}: its source may be empty; use .required or .orElse, or take an Option`
  : Option.Option<Given> extends Wanted ? `${Place}: it is an Option; read it with .option`
  : Wanted extends Option.Option<infer A>
    ? `${Place}: ${Giver} gives ${Mismatch<A, Given extends Option.Option<infer B> ? B : Given>}`
  : `${Place}: ${Giver} gives ${Mismatch<Wanted, Given>}`

type SourcesProblem<S extends Stage.Any, Have> = Have extends Names
  ? `stage '${S["name"]}', inputs: a function gives a record of sources, not a list of names`
  : { [K in keyof Have]: SourceProblem<S, K, Have[K]> }[keyof Have]

type AfterProblem<Reader extends string, After, Known extends string> = After extends ReadonlyArray<infer Name>
  ? Name extends Known ? never : `stage '${Reader}', after '${Name & string}': no stage before it has that name`
  : `stage '${Reader}', after: this is not a list of names`

type WhenProblem<Reader extends string, When> = When extends Source<boolean> ? never
  : `stage '${Reader}', when: this is not a Source of a boolean, such as .is(route) or .map((data) => data.ready)`

// ---------------------------------------------------------------------------------------------------------------------
// the first problem, as a sentence
// ---------------------------------------------------------------------------------------------------------------------

type Unwired<S extends Stage.Any, Given> = TakesNone<S> extends true ? never
  : UnwiredKey<S, Exclude<RequiredKeys<Stage.Input<S>>, Given>>

type RequiredKeys<In> = { [K in keyof In]-?: {} extends Pick<In, K> ? never : K }[keyof In] & string

type UnwiredKey<S extends Stage.Any, Key extends string> = [Key] extends [never] ? never
  : `stage '${S["name"]}', input '${OneOf<Key> & string}': say where it comes from`

/** Whether a name is nothing but spaces. */
type Blank<Name extends string> = Name extends "" ? true : Name extends ` ${infer Rest}` ? Blank<Rest> : false

/** What is wrong with the name of a stage that is added. */
export type NameTaken<Name extends string, Known extends string> = string extends Name | Known ? never
  : Blank<Name> extends true ? `a stage needs a name`
  : Name extends Known ? `this pipeline already has a stage '${Name}'; Stage.as gives this one another name`
  : never

/** A pipeline, given where a stage belongs. */
export interface GivenPipeline {
  readonly "~stageflow/Pipeline": unknown
  readonly name: string
}

/** What is said of a pipeline that is added as if it were a stage. */
export type NoStage = `this is no stage; the stages of a pipeline are added with pipeline.merge(that), or .extend(that)`

/** What is wrong with adding a stage without any wiring. */
export type RootProblem<S extends Stage.Any | GivenPipeline, Known extends string> = S extends Stage.Any ? First<
    NameTaken<S["name"], Known>,
    Unwired<S, never>
  >
  : NoStage

/** The node that a stage without any wiring makes. */
export type RootNode<S> = S extends Stage.Any
  ? Node<S["name"], Stage.DataOf<S>, Stage.Signals<S>, Stage.Error<S>, Stage.Services<S>>
  : never

/**
 * What is wrong with adding a stage with a wiring. `Known` are the names of the stages before it, `F` those of them that
 * are read by name, `Object` is the wiring by name and `W` the one that a function gives.
 *
 * While the compiler has not yet looked at a function argument, there is neither: then nothing is wrong yet.
 */
export type WiringProblem<
  S extends Stage.Any | GivenPipeline,
  Known extends string,
  F extends AnyNode,
  Inputs extends Names,
  Object,
  W
> = S extends Stage.Any ? First<
    NameTaken<S["name"], Known>,
    [W] extends [NotGiven] ? [Object] extends [NotGiven] ? never
      : First<
        PartProblem<S["name"], Exclude<keyof Object, keyof ByName<"", "", [], []>>>,
        ByNameProblem<S, Known, F, Inputs, Object>
      >
      : First<PartProblem<S["name"], Exclude<keyof W, keyof BySource>>, BySourceProblem<S, Known, W>>
  >
  : NoStage

type PartProblem<Reader extends string, Part> = [Part] extends [never] ? never
  : `stage '${Reader}': ${Part extends "when" ? `'when' takes a function, (s) => ({ when: s.name.is(route) })`
    : `a wiring has no '${OneOf<Part> & string}', only inputs, after and when`}`

type BySourceProblem<S extends Stage.Any, Known extends string, W> = First<
  W extends { readonly after: infer After } ? AfterProblem<S["name"], After, Known> : never,
  First<
    W extends { readonly when: infer When } ? WhenProblem<S["name"], When> : never,
    W extends { readonly inputs: infer Have } ? First<SourcesProblem<S, Have>, Unwired<S, keyof Have>>
      : Unwired<S, never>
  >
>

type ByNameProblem<S extends Stage.Any, Known extends string, F extends AnyNode, Inputs extends Names, Object> =
  "inputs" extends keyof Object ?
    AreLost<Inputs[number], Known> extends true ? NamesProblem<S["name"], Object["inputs"]>
    : [Unknown<Inputs[number], Known>] extends [never]
      ? First<NameProblem<S, Inputs[number], Known, F>, Unwired<S, Base<Inputs[number], Known>>>
    : never
    : Unwired<S, never>

/** Whether names have become any strings, or are no list, though the stages have names. */
type AreLost<Name, Known> = string extends Name ? string extends Known ? false : true : false

/** What is wrong with inputs that are no list of names which the compiler knows. */
type NamesProblem<Reader extends string, Given> = Given extends Names
  ? `stage '${Reader}', inputs: write the names in a list here, or declare it \`as const\``
  : `stage '${Reader}', inputs: names are a list; sources are given by a function, (s) => ({ inputs: { key: s.name } })`

/** What is wrong with the source that a pipeline returns; `D` is the data of its schema, `V` what it returns already. */
export type ReturnsProblem<S, D, V> = unknown extends V ? SourceOfValueProblem<S, D>
  : `returns: this pipeline says already what it returns`

type SourceOfValueProblem<S, D> = S extends ChunkSource<infer Read, unknown, unknown, boolean>
  ? `returns: the stream of stage '${Read}' is over when the run is; return the stage's data`
  : S extends Source<infer Given, infer Skips>
    ? Skips extends false ? unknown extends D ? never : Given extends D ? never
      : `returns: its source gives ${Mismatch<D, Given>}`
    : `returns: its source may be empty; read it with .option or .orElse`
  : S extends Readable<infer Read> ? `returns: stage '${Read}' may skip; read it with .option or .orElse`
  : `returns: this is not a Source`

/** Lets the compiler learn `A` from an argument and asks nothing of it. */
export type Learned<A> = [A] extends [never] ? A : unknown

type Skipping<S> = S extends Source<unknown, infer Skips> ? Skips : false

/** Whether the wiring itself may skip the stage. */
export type WiringSkips<W> = [W] extends [NotGiven] ? never
  : W extends { readonly when: Source<boolean> } ? "skip"
  : W extends { readonly inputs: infer Have }
    ? true extends { [K in keyof Have]: Skipping<Have[K]> }[keyof Have] ? "skip" : never
  : never

/** The node that adding a stage with this wiring makes. */
export type Added<S extends Stage.Any | GivenPipeline, W> = S extends Stage.Any ? Node<
    S["name"],
    Stage.DataOf<S>,
    Stage.Signals<S> | WiringSkips<W>,
    Stage.Error<S>,
    Stage.Services<S>
  >
  : never

export type { Checked }
