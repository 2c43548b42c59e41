/**
 * Checks, in the compiler, what the `run` of a stage gives and fails with: a sentence for what does not fit.
 *
 * That it does not fit is what the type of `run` itself says, in the compiler's words. The sentence stands where the
 * name is: the name is looked up by a verdict, which the compiler can also give for type parameters, so that a function
 * over stages is checked by what its type parameters extend.
 */
import type { Data, Errors, StageOutput } from "../StageOutput.ts"
import type { Misfit, OneOf } from "./sentence.ts"

/** What a stage may return when its data is `D` and its errors are `X`. */
export type Returned<D, X = unknown> = unknown extends D ? object | void : (D & {}) | StageOutput<D, X>

type Verdict<A, Wanted> = A extends Wanted ? "fits" : "misfits"

/** While the compiler has not yet looked at `run`, nothing is known of `A`: then nothing is wrong yet. */
type VerdictOnData<A, D> = [A] extends [never] ? "fits" : unknown extends A ? "fits" : Verdict<A, Returned<D>>

type VerdictOnErrors<E, X> = unknown extends X ? "fits"
  : [E] extends [never] ? "fits"
  : unknown extends E ? "fits"
  : Verdict<E, X | StageOutput>

/** What a value is that cannot be data. */
type NoData<D> = D extends string ? `a string`
  : D extends number ? `a number`
  : D extends boolean ? `a boolean`
  : D extends bigint ? `a bigint`
  : D extends symbol ? `a symbol`
  : D extends null ? `null`
  : never

type DataProblem<Name extends string, D, Wanted> = [NoData<D>] extends [never]
  ? Misfit<Wanted, D> extends infer K extends string
    ? `stage '${Name}', output '${K}': run ${K extends keyof D ? `gives it with another type` : `does not give it`}`
  : `stage '${Name}', output: run gives data of another type`
  : `stage '${Name}': run gives ${OneOf<NoData<D>> & string}; data must be an object`

type Tag<E> = E extends { readonly _tag: infer Tag extends string } ? `'${Tag}'` : `an error`

type ErrorProblem<Name extends string, E, X> = `stage '${Name}', error: run fails with ${
  & OneOf<Tag<Exclude<E, X>>>
  & string}, which the schema does not have`

/** The name itself when what `run` gives fits, otherwise the sentence. */
export type CheckedName<Name extends string, A, E, D, X> = [Name] extends [never] ? Name : {
  readonly misfits: NoInfer<DataProblem<Name, Data<A>, D>>
  readonly fits: {
    readonly misfits: NoInfer<ErrorProblem<Name, Errors<A, E>, X>>
    readonly fits: Name
  }[VerdictOnErrors<E, X>]
}[VerdictOnData<A, D>]
