/**
 * Checks, in the compiler, that the stages of a shape fit together: each takes what the one before it gives.
 */
import type * as Stage from "../Stage.ts"
import type { BodyProblem, Place, Together } from "./bodies.ts"
import type { First, Mismatch, OneOf } from "./sentence.ts"
import type { InputNode, Node, NotGiven, TakesNone } from "./wiring.ts"

/**
 * The stages of a shape. What is no stage is for a sentence to name: a stage that is written in the list would learn from a
 * list of any stages that it takes `never`.
 */
type List = ReadonlyArray<unknown>

type NodeOf<S> = S extends Stage.Any
  ? Node<S["name"], Stage.DataOf<S>, Stage.Signals<S>, Stage.Error<S>, Stage.Services<S>>
  : never

/** The nodes of a pipeline of the stages `S`, which takes `I`, or nothing when that is `never`. */
export type Nodes<S, I> = NodeOf<S> | ([I] extends [never] ? never : InputNode<I>)

/** The last of several stages; of a list of unknown length any of it. */
export type Last<S extends List> = S extends readonly [...infer _Before, infer L] ? L : S[number]

/** What the last of several stages gives. */
export type LastData<S extends List> = Last<S> extends infer L ? L extends Stage.Any ? Stage.DataOf<L> : never : never

/** The data of several stages, by their names. */
export type DataByName<S> = { readonly [K in S as K extends Stage.Any ? K["name"] : never]: DataIn<K> }

type DataIn<S> = S extends Stage.Any ? Stage.DataOf<S> : never

// ---------------------------------------------------------------------------------------------------------------------
// sentences
// ---------------------------------------------------------------------------------------------------------------------

/** While the compiler has not yet looked at a stage, nothing is known of it: then nothing is wrong yet. */
type NoStage<S> = unknown extends S ? never
  : `this is no list of stages; Subpipeline.stage(name, pipeline) makes a stage of a pipeline`

/** What is wrong with a stage that takes what `Giver` gives as `Given`. */
type LinkProblem<S, Given, Giver extends string> = S extends Stage.Any ? TakesNone<S> extends true ? never
  : [Given] extends [NotGiven] ? `stage '${S["name"]}' takes inputs; say what they are with { input: schema }`
  : [Given] extends [Stage.Input<S>] ? never
  : `stage '${S["name"]}': ${Giver} gives ${Mismatch<Stage.Input<S>, Given>}`
  : NoStage<S>

/** What is wrong with a stage whose data is needed. */
type NeededProblem<S> = S extends Stage.Any
  ? "skip" extends Stage.Signals<S>
    ? `stage '${S["name"]}' may skip, and its data is needed here; add what can go without it with '${S["name"]}?'`
  : never
  : NoStage<S>

/** What is wrong with a stage whose data a pipeline returns. */
type ReturnedProblem<S> = S extends Stage.Any
  ? "skip" extends Stage.Signals<S>
    ? `stage '${S["name"]}' may skip, and its data is what the pipeline returns; let it give data in any case`
  : never
  : never

type LinksProblem<S extends List, Given, Giver extends string> = S extends readonly [infer A, ...infer Rest] ? First<
    LinkProblem<A, Given, Giver>,
    Rest extends readonly [] ? never
      : First<
        NeededProblem<A>,
        A extends Stage.Any ? LinksProblem<Rest, Stage.DataOf<A>, `stage '${A["name"]}'`> : never
      >
  >
  : never

type NamesProblem<S extends List> = S extends readonly [infer A, ...infer Rest]
  ? A extends Stage.Any ? string extends A["name"] ? NamesProblem<Rest>
    : A["name"] extends NameIn<Rest[number]> ? `two stages are called '${A["name"]}'; Stage.as gives one another name`
    : NamesProblem<Rest>
  : First<NoStage<A>, NamesProblem<Rest>>
  : never

type NameIn<S> = S extends Stage.Any ? S["name"] : never

/** What a shape takes: nothing, or what its schema names. */
type Input<I> = [I] extends [never] ? NotGiven : I

type NoStages<S extends List> = S extends readonly [] ? `there are no stages here` : never

/** What is wrong with the stages `S`, one after the other, of which the first takes `I`. */
export type ChainProblem<S extends List, I> = First<
  NoStages<S>,
  First<First<NamesProblem<S>, LinksProblem<S, Input<I>, `the input`>>, ReturnedProblem<Last<S>>>
>

type EachLinkProblem<S, Given, Giver extends string> = S extends unknown ? LinkProblem<S, Given, Giver> : never

type EachNeededProblem<S> = S extends unknown ? NeededProblem<S> : never

type JoinProblem<Join, Lasts> = [Join] extends [NotGiven] ? never
  : unknown extends Lasts ? never
  : First<
    First<EachNeededProblem<Lasts>, ReturnedProblem<Join>>,
    Join extends Stage.Any ? JoinInputProblem<Join["name"], Stage.Input<Join>, DataByName<Lasts>> : NoStage<Join>
  >

type JoinInputProblem<Name extends string, Wanted, Given> = unknown extends Wanted ? never : {
  [K in keyof Wanted]-?: K extends keyof Given ? [Given[K]] extends [Wanted[K]] ? never
    : `stage '${Name}', input '${K & string}': stage '${K & string}' gives ${Mismatch<Wanted[K], Given[K]>}`
    : {} extends Pick<Wanted, K> ? never
    : `stage '${Name}', input '${K & string}': no stage that it joins has that name`
}[keyof Wanted]

type WithJoin<S extends List, Join> = [Join] extends [NotGiven] ? S : readonly [...S, Join]

/** What is wrong with a stage `From` that takes `I`, stages `To` that take what it gives, and one that joins them. */
export type FanOutProblem<From, To extends List, Join, I> = First<
  First<NoStages<To>, NamesProblem<WithJoin<readonly [From, ...To], Join>>>,
  First<
    First<LinkProblem<From, Input<I>, `the input`>, NeededProblem<From>>,
    First<
      From extends Stage.Any ? EachLinkProblem<To[number], Stage.DataOf<From>, `stage '${From["name"]}'`> : never,
      JoinProblem<Join, To[number]>
    >
  >
>

/** What is wrong with two lanes that both take `I`, and a stage that joins what they end with. */
export type DuplexProblem<One extends List, Other extends List, Join, I> = First<
  First<NoStages<One>, NoStages<Other>>,
  First<
    NamesProblem<WithJoin<readonly [...One, ...Other], Join>>,
    First<
      First<LinksProblem<One, Input<I>, `the input`>, LinksProblem<Other, Input<I>, `the input`>>,
      JoinProblem<Join, Last<One> | Last<Other>>
    >
  >
>

/** What is wrong with contestants that take `Inputs` and give `Datas`, by their names. */
export type RaceProblem<Name extends string, Inputs, Datas> = [keyof Inputs] extends [never]
  ? `stage '${Name}': there is nobody in this race`
  : OneOf<
    {
      [K in keyof Inputs]: BodyProblem<
        Place<Name, "contestant", K>,
        Inputs[K],
        K extends keyof Datas ? Datas[K] : never,
        Together<Inputs>
      >
    }[keyof Inputs]
  >
