/**
 * Checks, in the compiler, how a stage runs a pipeline: what the pipeline takes, and what it gives the stage as data.
 */
import type { Data } from "../StageOutput.ts"
import type { Taken } from "./run.ts"
import type { AnnotationProblem, First, Mismatch, OneOf } from "./sentence.ts"
import type { NoData } from "./stage.ts"
import type { AnyNode, NotGiven, StagesOf } from "./wiring.ts"

/** What a stage takes: `In`, or what its pipeline takes when nothing says what that is made of. */
export type Takes<N extends AnyNode, In, Given> = unknown extends In
  ? "input" extends Given ? In : [Taken<N>] extends [never] ? unknown : Taken<N>
  : In

/** What a function must give that makes the input of a pipeline. */
export type MadeInput<N extends AnyNode> = [Taken<N>] extends [never]
  ? `this pipeline takes no input; Pipeline.make(name, { input }) says what a pipeline takes`
  : Taken<N>

/** What is wrong with running a pipeline without an input. */
export type NoInputGiven<N extends AnyNode> = [StagesOf<N>] extends [never] ? `this pipeline has no stages`
  : [Taken<N>] extends [never] ? never
  : unknown extends Taken<N> ? never
  : `this pipeline takes an input: Subpipeline.run(pipeline, { input: ... })`

type Place<Name extends string, Option extends string> = `stage '${Name}', ${Option}`

type InputProblem<Name extends string, N extends AnyNode, In, Given> = "input" extends Given ? never
  : [Taken<N>] extends [never] ? never
  : unknown extends Taken<N> ? never
  : In extends Taken<N> ? [Taken<N>] extends [object] ? never
    : `${Place<
      Name,
      "input"
    >}: the pipeline takes no object, and the inputs of a stage are one; say how it is made of them`
  : `${Place<Name, "input">}: the pipeline takes one, and the inputs of the stage have ${Mismatch<Taken<N>, In>}`

type ValueProblem<Name extends string, V> = unknown extends V ? never
  : [V] extends [object] ? never
  : `${Place<Name, "output">}: the pipeline returns no object; say what data the stage gives`

type OutputProblem<Name extends string, V, Continues, A, Given> = "output" extends Given
  ? [NoData<Data<A>>] extends [never] ? never
  : `${Place<Name, "output">}: it gives ${OneOf<NoData<Data<A>>> & string}; data must be an object`
  : Continues extends true
    ? `${Place<Name, "output">}: with failure: "continue" the run may be incomplete; say what data the stage gives`
  : ValueProblem<Name, V>

type OptionName = "input" | "snapshot" | "output" | "onCancel" | "kind" | "run"

type OptionProblem<Name extends string, Other> = [Other] extends [never] ? never
  : `stage '${Name}' has no option '${
    & OneOf<Other>
    & string}', only input, snapshot, output, onCancel, kind and run`

/**
 * What is wrong with a stage `Name` that takes `In` and runs a pipeline of the stages `N` that returns `V`. `A` is what its
 * `output` gives, `Given` are the names of the options that it was given, and `Continues` says whether a failure lets other
 * stages go on.
 */
export type SubpipelineProblem<Name extends string, N extends AnyNode, V, In, A, Given, Continues> = First<
  First<
    [StagesOf<N>] extends [never] ? `stage '${Name}': its pipeline has no stages` : never,
    OptionProblem<Name, Exclude<Given, OptionName>>
  >,
  First<
    First<
      AnnotationProblem<Place<Name, "input" extends Given ? "input" : "snapshot">, In>,
      InputProblem<Name, N, Takes<N, In, Given>, Given>
    >,
    OutputProblem<Name, V, Continues, A, Given>
  >
>

/** The names of the options that were given; while the compiler has not yet looked at them, all: nothing is wrong yet. */
export type GivenNames<Given> = [Given] extends [NotGiven] ? OptionName : keyof Given & string
