/**
 * The compiler's half of a stage: whether what its `run` gives fits, and a sentence when it does not.
 */
import type * as Effect from "effect/Effect"
import type { Data, Errors } from "../StageOutput.ts"
import type { Amiss, OneOf } from "./sentence-types.ts"

/** What a value is that cannot be data, when the compiler can tell. */
type NoData<D> = D extends string ? `a string`
  : D extends number ? `a number`
  : D extends boolean ? `a boolean`
  : D extends bigint ? `a bigint`
  : D extends symbol ? `a symbol`
  : D extends PromiseLike<unknown> ? `a Promise`
  : D extends Effect.Effect<unknown, unknown, unknown> ? `an Effect`
  : D extends (...args: never) => unknown ? `a function`
  : never

type DataProblem<Name extends string, D, Wanted> = [NoData<D>] extends [never] ? unknown extends Wanted ? never
  : [D] extends [Wanted] ? never
  : Amiss<Wanted, D> extends infer K extends string
    ? `stage '${Name}', output '${K}': run ${K extends keyof D ? `gives it with another type` : `does not give it`}`
  : `stage '${Name}', output: run gives data of another type`
  : `stage '${Name}': run gives ${OneOf<NoData<D>> & string}; data is an object`

type Tag<E> = E extends { readonly _tag: infer Tag extends string } ? `'${Tag}'` : `an error`

type ErrorProblem<Name extends string, E, X> = unknown extends E ? never : [E] extends [X] ? never
: `stage '${Name}', error: run fails with ${OneOf<Tag<Exclude<E, X>>> & string}, which the schema does not have`

/**
 * Whether the compiler has not yet looked at `run`: then what is known of it is the constraint, or nothing, and nothing
 * is wrong yet.
 */
type NotYet<A> = {} | void extends A ? true : false

/** What is wrong with what a stage's `run` gives and fails with. */
export type RunProblem<Name extends string, A, E, D, X> = NotYet<A> extends true ? never
  : DataProblem<Name, Data<A>, D> | ErrorProblem<Name, Errors<A, E>, X>
