/**
 * The compiler's half of a pipeline's wiring: what fits what, and a sentence for what does not.
 *
 * Each mistake resolves to a string literal type that names the stage and the field, so that the compiler's message is
 * that sentence. The checks sit on the argument that `add` infers its types from; an array of names is checked element
 * by element, so that the squiggle is under the wrong name.
 */
import type * as Option from "effect/Option"
import type { Readable, SkippableData, Source, StageData } from "../Source.ts"
import type * as Stage from "../Stage.ts"

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

export type AnyNode = Node<string, unknown, unknown, unknown, unknown>

/**
 * The stages that a new stage can be wired to, by name.
 */
export type StagesBefore<_Names extends string, N extends AnyNode> = {
  readonly [K in N as K["name"]]: "skip" extends K["signals"] ? SkippableData<K["name"], K["data"]>
    : StageData<K["name"], K["data"]>
}

export type Names = ReadonlyArray<string>

/** A wiring made of sources, as a function of the stages before it gives it. */
export interface BySource {
  readonly after?: Names
  readonly when?: Source<boolean>
  readonly inputs?: Readonly<Record<string, Source<unknown> | Readable>>
}

type Find<N extends AnyNode, Name> = Extract<N, { readonly name: Name }>

type OneOf<U> = (U extends unknown ? (_: () => U) => void : never) extends (_: infer I) => void
  ? I extends () => infer Last ? Last : never
  : never

type First<A, B> = [A] extends [never] ? B : OneOf<A>

/** A stage takes no inputs when nothing says what they are. */
export type TakesNone<S extends Stage.Any> = unknown extends Stage.Input<S> ? true : false

/** `"profile?"` reads `profile` as an Option. */
type Base<Name, N extends AnyNode> = Name extends N["name"] ? Name : Name extends `${infer B}?` ? B : Name

// ---------------------------------------------------------------------------------------------------------------------
// wiring by name
// ---------------------------------------------------------------------------------------------------------------------

type KnownName<S extends Stage.Any, Part extends string, Name, Looked, N extends AnyNode> = Looked extends N["name"] ?
  Name
  : Looked extends string ? `stage "${S["name"]}", ${Part} "${Looked}": no stage before it has that name`
  : never

/** Wiring by name, each name checked where it stands. */
export interface ByName<S extends Stage.Any, N extends AnyNode, Inputs extends Names, After extends Names> {
  readonly inputs?: { readonly [I in keyof Inputs]: KnownName<S, "input", Inputs[I], Base<Inputs[I], N>, N> }
  readonly after?: { readonly [I in keyof After]: KnownName<S, "after", After[I], After[I], N> }
}

type Got<Name, Found extends AnyNode> = Name extends Found["name"] ? Found["data"] : Option.Option<Found["data"]>

type NameFits<S extends Stage.Any, Name, Key extends keyof Stage.Input<S> & string, Found extends AnyNode> =
  Name extends Key ? "skip" extends Found["signals"] ? `stage "${S[
        "name"
      ]}", input "${Key}": stage "${Key}" may skip; write "${Key}?" for an Option, or wire it with .required or .orElse`
    : TypeFits<S, Name, Key, Found>
    : TypeFits<S, Name, Key, Found>

type TypeFits<S extends Stage.Any, Name, Key extends keyof Stage.Input<S> & string, Found extends AnyNode> =
  Got<Name, Found> extends Stage.Input<S>[Key] ? never
    : `stage "${S["name"]}", input "${Key}": stage "${Key}" gives data of another type`

type NameProblem<S extends Stage.Any, Name, N extends AnyNode> = Name extends unknown
  ? Base<Name, N> extends infer Key
    ? Key extends keyof Stage.Input<S> & string ? Key extends N["name"] ? NameFits<S, Name, Key, Find<N, Key>> : never
    : `stage "${S["name"]}" has no input "${Key & string}"`
  : never
  : never

type AllKnown<Inputs extends Names, N extends AnyNode> = [
  Exclude<Inputs[number] extends infer One ? One extends unknown ? Base<One, N> : never : never, N["name"]>
] extends [never] ? true
  : false

type BasesOf<Inputs extends Names, N extends AnyNode> = Inputs[number] extends infer One
  ? One extends unknown ? Base<One, N> : never
  : never

// ---------------------------------------------------------------------------------------------------------------------
// wiring by source
// ---------------------------------------------------------------------------------------------------------------------

type SourceProblem<S extends Stage.Any, Key, Have> = Key extends keyof Stage.Input<S> & string
  ? Have extends Source<Stage.Input<S>[Key]> ? never
  : Have extends SkippableData<infer Read, infer _Data>
    ? `stage "${S["name"]}", input "${Key}": stage "${Read}" may skip; read it with .option, .required or .orElse`
  : Have extends Source<Option.Option<Stage.Input<S>[Key]>>
    ? `stage "${S["name"]}", input "${Key}": its source may be empty; use .required or .orElse, or take an Option`
  : `stage "${S["name"]}", input "${Key}": its source gives data of another type`
  : `stage "${S["name"]}" has no input "${Key & string}"`

type SourcesProblem<S extends Stage.Any, Have> = { [K in keyof Have]: SourceProblem<S, K, Have[K]> }[keyof Have]

type AfterProblem<S extends Stage.Any, W, N extends AnyNode> = W extends { readonly after: ReadonlyArray<infer Name> }
  ? Name extends N["name"] ? never : `stage "${S["name"]}", after "${Name & string}": no stage before it has that name`
  : never

// ---------------------------------------------------------------------------------------------------------------------
// the first problem, as a sentence
// ---------------------------------------------------------------------------------------------------------------------

type Unwired<S extends Stage.Any, Given> = TakesNone<S> extends true ? never
  : UnwiredKey<S, Exclude<RequiredKeys<Stage.Input<S>>, Given>>

type RequiredKeys<In> = { [K in keyof In]-?: {} extends Pick<In, K> ? never : K }[keyof In] & string

type UnwiredKey<S extends Stage.Any, Key extends string> = [Key] extends [never] ? never
  : `stage "${S["name"]}", input "${OneOf<Key> & string}": say where it comes from`

/** Whether a name is nothing but spaces. */
type Blank<Name extends string> = Name extends "" ? true : Name extends ` ${infer Rest}` ? Blank<Rest> : false

type NameTaken<S extends Stage.Any, N extends AnyNode> = string extends S["name"] ? never
  : Blank<S["name"]> extends true ? `a stage needs a name`
  : S["name"] extends N["name"]
    ? `this pipeline already has a stage "${S["name"]}"; Stage.as gives this one another name`
  : never

/** What is wrong with adding a stage without any wiring. */
export type RootProblem<S extends Stage.Any, N extends AnyNode> = First<NameTaken<S, N>, Unwired<S, never>>

/**
 * What is wrong with adding a stage with a wiring.
 *
 * While the compiler has not yet looked at a function argument its types are still the constraints: then nothing is
 * wrong yet.
 */
export type Problem<
  S extends Stage.Any,
  N extends AnyNode,
  Inputs extends Names,
  After extends Names,
  W
> = First<
  NameTaken<S, N>,
  BySource extends W ? ByNameProblem<S, N, Inputs, After>
    : W extends { readonly inputs: infer Have }
      ? First<AfterProblem<S, W, N>, First<SourcesProblem<S, Have>, Unwired<S, keyof Have>>>
    : First<AfterProblem<S, W, N>, Unwired<S, never>>
>

type ByNameProblem<S extends Stage.Any, N extends AnyNode, Inputs extends Names, After extends Names> = Names extends
  Inputs ? Names extends After ? never : Unwired<S, never>
  : AllKnown<Inputs, N> extends true ? First<NameProblem<S, Inputs[number], N>, Unwired<S, BasesOf<Inputs, N>>>
  : never

/** The argument itself when nothing is wrong, otherwise the sentence. */
export type Checked<A, Problem> = [Problem] extends [never] ? A : Problem

/** A wiring by name of a stage with inputs has to say where they come from. */
export type MustWire<S extends Stage.Any> = TakesNone<S> extends true ? unknown
  : [RequiredKeys<Stage.Input<S>>] extends [never] ? unknown
  : { readonly inputs: unknown }

type Skipping<S> = S extends Source<unknown, infer Skips> ? Skips : false

/** Whether the wiring itself may skip the stage. */
export type WiringSkips<W> = BySource extends W ? never
  : W extends { readonly when: Source<boolean> } ? "skip"
  : W extends { readonly inputs: infer Have }
    ? true extends { [K in keyof Have]: Skipping<Have[K]> }[keyof Have] ? "skip" : never
  : never

/** The node that adding a stage with this wiring makes. */
export type Added<S extends Stage.Any, W> = Node<
  S["name"],
  Stage.DataOf<S>,
  Stage.Signals<S> | WiringSkips<W>,
  Stage.Error<S>,
  Stage.Services<S>
>
