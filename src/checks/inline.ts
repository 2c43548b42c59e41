/**
 * Checks, in the compiler, a stage that is written where it is added: its inputs are inferred from the stages before it.
 */
import type * as Option from "effect/Option"
import type { Readable, Source } from "../Source.ts"
import type * as Stage from "../Stage.ts"
import type { Data, Errors, Signal } from "../StageOutput.ts"
import type { First } from "./sentence.ts"
import type { CheckedName, FailsWith, Gives, Needs, Ports } from "./stage.ts"
import type { AnyNode, Base, Completions, Names, NameTaken, NotGiven, Unknown } from "./wiring.ts"

// ---------------------------------------------------------------------------------------------------------------------
// inputs
// ---------------------------------------------------------------------------------------------------------------------

type Read<Found, Key, Name> = Found extends { readonly name: Key; readonly data: infer Data }
  ? Name extends Key ? Data : Option.Option<Data>
  : never

type ReadByName<F extends AnyNode, Known extends string, Inputs extends Names> = {
  readonly [Name in Inputs[number] as Base<Name, Known>]: Read<F, Base<Name, Known>, Name>
}

type ReadFrom<Sources> = {
  readonly [K in keyof Sources]: Sources[K] extends Source<infer A> ? A : never
}

/** A record, shown by its keys and not by the type that made it. */
type Shown<Inputs> = [Inputs] extends [infer I] ? { readonly [K in keyof I]: I[K] } : never

/** What `run` gets: the data of the stages it names (`F` among `Known`), or what its sources give, or nothing. */
export type InlineInput<F extends AnyNode, Known extends string, Inputs extends Names, Sources> = [Sources] extends
  [NotGiven] ? Shown<ReadByName<F, Known, Inputs>> : Shown<ReadFrom<Sources>>

type NameProblem<Reader extends string, Name, Known extends string, F extends AnyNode> = string extends Name ? never
  : Name extends unknown ?
    Base<Name, Known> extends infer Key extends string
      ? Key extends Known ? Name extends Key ? SkipProblem<Reader, Key, Extract<F, { readonly name: Key }>> : never
      : `stage '${Reader}', input '${Key}': no stage before it has that name`
    : never
  : never

type SkipProblem<Reader extends string, Key extends string, Found> = Found extends { readonly signals: infer Signals }
  ? "skip" extends Signals
    ? `stage '${Reader}', input '${Key}': stage '${Key}' may skip; write '${Key}?' for an Option, or read it from sources`
  : never
  : never

/** Names as they were given; for one that nobody has, what an editor offers. `InlineName` says what is wrong. */
export type InlineNames<Known extends string, Inputs extends Names> = unknown extends Inputs ? Inputs
  : [Unknown<Inputs[number], Known>] extends [never] ? Inputs
  : NoInfer<{ readonly [I in keyof Inputs]: Inputs[I] | Completions<Inputs[I], Known> }>

// ---------------------------------------------------------------------------------------------------------------------
// the stage
// ---------------------------------------------------------------------------------------------------------------------

/** The data of a stage that gives `A`, and has the data `D` in its schema when there is one. */
type DataGiven<A, D> = unknown extends D ? Data<A> : D

/** The stage that an inline stage is before anything wraps it. */
export type InlineStage<Name extends string, Input, A, E, R, Y, G, O, D> = Stage.Stage<
  Name,
  Input,
  DataGiven<Gives<A, G, O>, D>,
  Signal<Gives<A, G, O>, Needs<R, Y>>,
  Errors<Gives<A, G, O>, FailsWith<E, Y>>,
  Ports<Needs<R, Y>>
>

type SourceProblem<Reader extends string, Key, Have> = Have extends Source<unknown> ? never
  : Have extends Readable<infer Read>
    ? `stage '${Reader}', input '${Key & string}': stage '${Read}' may skip; read it with .option, .required or .orElse`
  : `stage '${Reader}', input '${Key & string}': this is not a Source`

type SourcesProblem<Reader extends string, Sources> = [Sources] extends [NotGiven] ? never
  : Sources extends ReadonlyArray<unknown> ?
    `stage '${Reader}', inputs: a function gives a record of sources, not a list`
  : Sources extends Source<unknown> | Readable ?
    `stage '${Reader}', inputs: a function gives a record of sources, not one`
  : { [K in keyof Sources]: SourceProblem<Reader, K, Sources[K]> }[keyof Sources]

type WhenProblem<Reader extends string, When> = [When] extends [NotGiven] ? never
  : When extends Source<boolean> ? never
  : `stage '${Reader}', when: this is not a Source of a boolean, such as .is(route) or .map((data) => data.ready)`

/** What is wrong with the stage `W` that is wrapped, which gave `Data` and takes `Input`. */
type WrapProblem<Name extends string, W extends Stage.Any, Input, Data> = W["name"] extends Name
  ? unknown extends Stage.Input<W> ? WrappedDataProblem<Name, Stage.DataOf<W>, Data>
  : Input extends Stage.Input<W> ? WrappedDataProblem<Name, Stage.DataOf<W>, Data>
  : `stage '${Name}', wrap: it gives a stage that takes other inputs`
  : `stage '${Name}', wrap: it gives a stage of another name`

/** A function that is made of several is typed before the stage is known, and then knows nothing of it. */
type WrappedDataProblem<Name extends string, Wrapped, Data> = unknown extends Wrapped ? unknown extends Data ? never
  : `stage '${Name}', wrap: it loses the types; write (stage) => stage.pipe(...)`
  : never

type InlineProblem<
  Name extends string,
  Known extends string,
  F extends AnyNode,
  Inputs extends Names,
  Sources,
  When,
  W extends Stage.Any,
  Input,
  Data
> = First<
  NameTaken<Name, Known>,
  First<
    NameProblem<Name, Inputs[number], Known, F>,
    First<
      SourcesProblem<Name, Sources>,
      First<WhenProblem<Name, When>, WrapProblem<Name, W, Input, Data>>
    >
  >
>

/** The name itself when nothing is wrong with the stage, otherwise the sentence. */
export type InlineName<
  Name extends string,
  Known extends string,
  F extends AnyNode,
  Inputs extends Names,
  Sources,
  When,
  A,
  E,
  O,
  D,
  X,
  W extends Stage.Any
> = [
  InlineProblem<Name, Known, F, Inputs, Sources, When, W, InlineInput<F, Known, Inputs, Sources>, DataGiven<A, D>>
] extends [never] ? CheckedName<Name, A, E, O, D, X>
  : NoInfer<
    InlineProblem<Name, Known, F, Inputs, Sources, When, W, InlineInput<F, Known, Inputs, Sources>, DataGiven<A, D>>
  >

type Skipping<S> = S extends Source<unknown, infer Skips> ? Skips : false

/** Whether its wiring may skip the stage. */
export type InlineSkips<Sources, When> = [When] extends [NotGiven] ? [Sources] extends [NotGiven] ? never
  : true extends { [K in keyof Sources]: Skipping<Sources[K]> }[keyof Sources] ? "skip"
  : never
  : "skip"
