/**
 * Checks, in the compiler, what the `run` of a stage gives and fails with: a sentence for what does not fit.
 *
 * That it does not fit is what the type of `run` itself says, in the compiler's words. The sentence stands where the
 * name is: the name is looked up by a verdict, which the compiler can also give for type parameters, so that a function
 * over stages is checked by what its type parameters extend.
 */
import type * as Effect from "effect/Effect"
import type { StageContext } from "../StageContext.ts"
import type { Data, Errors, InStage, StageOutput } from "../StageOutput.ts"
import type { Misfit, OneOf } from "./sentence.ts"

/** What a stage may return when its data is `D` and its errors are `X`. */
export type Returned<D, X = unknown> = [D] extends [never] ? never
  : unknown extends D ? object | void
  : (D & {}) | StageOutput<D, X>

/** What something in a stage needs of its surroundings: its ports. */
export type Ports<R> = Exclude<R, StageContext | InStage<"skip" | "cancel" | "retry">>

// The compiler learns from `run` what its Effect gives (`A`), fails with (`E`) and needs (`R`), or what its generator
// yields (`Y`) and returns (`G`). `O` is whatever a function gives back, which says what of the two it is.

type AnyEffect = Effect.Effect<unknown, unknown, unknown>
type AnyGenerator = Generator<unknown, unknown, never>

/** What `run` gives, as an Effect or as a generator. */
export type Gives<A, G, O> = [O] extends [never] ? A : [O] extends [AnyGenerator] ? G : A

/** What `run` fails with. */
export type FailsWith<E, Y> = E | (Y extends Effect.Effect<infer _A, infer YE, infer _R> ? YE : never)

/** What `run` needs. */
export type Needs<R, Y> = R | (Y extends Effect.Effect<infer _A, infer _E, infer YR> ? YR : never)

// ---------------------------------------------------------------------------------------------------------------------
// sentences
// ---------------------------------------------------------------------------------------------------------------------

type Verdict<A, Wanted> = A extends Wanted ? "fits" : "misfits"

/** While the compiler has not yet looked at `run`, nothing is known of it: then nothing is wrong yet. */
type VerdictOnRun<O> = [O] extends [AnyEffect | Generator<AnyEffect, unknown, never>] ? "fits" : "misfits"

type VerdictOnData<A, O, D> = [A] extends [never] ? "fits" : unknown extends A ? "fits" : VerdictOf<A, O, Returned<D>>

/** A Promise and an Effect are objects and no data: somebody forgot to wait for them. */
type VerdictOnWaiting<A, O> = [A] extends [never] ? "fits" : unknown extends A ? "fits" : VerdictOf<A, O, Waited>

/** The type of `run` itself says no more of what a generator gives: everything in it has to fit. */
type VerdictOf<A, O, Wanted> = [O] extends [never] ? Verdict<A, Wanted>
  : [O] extends [AnyGenerator] ? [A] extends [Wanted] ? "fits" : "misfits"
  : Verdict<A, Wanted>

type Waited = void | StageOutput | (object & { readonly then?: never; readonly "~effect/Effect"?: never })

type VerdictOnErrors<E, O, X> = unknown extends X ? "fits"
  : [E] extends [never] ? "fits"
  : unknown extends E ? "fits"
  : VerdictOf<E, O, X>

type Waiting<D> = D extends PromiseLike<unknown> ? `a Promise (use Stage.promise, or Effect.tryPromise)`
  : D extends AnyEffect ? `an Effect (did you forget yield* ?)`
  : never

/** What a value is that cannot be data. */
export type NoData<D> = D extends string ? `a string`
  : D extends number ? `a number`
  : D extends boolean ? `a boolean`
  : D extends bigint ? `a bigint`
  : D extends symbol ? `a symbol`
  : D extends null ? `null`
  : Waiting<D>

/** What of a union does not fit. */
type Without<A, Wanted> = A extends Wanted ? never : A

type RunProblem<Name extends string, O> = O extends AnyGenerator
  ? `stage '${Name}': run yields something that is no Effect; write yield* before an Effect`
  : O extends PromiseLike<unknown>
    ? `stage '${Name}': run is an async function; use Stage.promise, or Effect.tryPromise in an Effect`
  : `stage '${Name}': run returns a value; return an Effect (Effect.succeed), or write function*`

/** Why a value has another type than it should. */
type Widened<Wanted, Given> = string extends Given ?
  Wanted extends string ? `a string; write \`as const\`` : `it with another type`
  : `it with another type`

type DataProblem<Name extends string, D, Wanted> = [NoData<D>] extends [never]
  ? [Misfit<Wanted, D>] extends [never] ? `stage '${Name}', output: run gives data of another type`
  : Misfit<Wanted, D> extends infer K extends string
    ? `stage '${Name}', output '${K}': run ${K extends keyof D & keyof Wanted ? `gives ${Widened<Wanted[K], D[K]>}`
      : `does not give it`}`
  : `stage '${Name}', output: run gives data of another type`
  : `stage '${Name}': run gives ${OneOf<NoData<D>> & string}; data must be an object`

type WaitingProblem<Name extends string, D> = `stage '${Name}': run gives ${OneOf<Waiting<D>> & string} as its data`

type Tag<E> = E extends { readonly _tag: infer Tag extends string } ? `'${Tag}'` : `an error`

type ErrorProblem<Name extends string, E, X> = `stage '${Name}', error: run fails with ${
  & OneOf<Tag<Exclude<E, X>>>
  & string}, which the schema does not have`

/**
 * The name itself when what `run` gives (`A`), fails with (`E`) and is (`O`) fits, otherwise the sentence.
 */
export type CheckedName<Name extends string, A, E, O, D, X> = [Name] extends [never] ? Name : {
  readonly misfits: NoInfer<RunProblem<Name, O>>
  readonly fits: {
    readonly misfits: NoInfer<DataProblem<Name, Data<OneOf<Without<A, Returned<D>>>>, D>>
    readonly fits: {
      readonly misfits: NoInfer<WaitingProblem<Name, Data<A>>>
      readonly fits: {
        readonly misfits: NoInfer<ErrorProblem<Name, Errors<A, E>, X>>
        readonly fits: Name
      }[VerdictOnErrors<E, O, X>]
    }[VerdictOnWaiting<A, O>]
  }[VerdictOnData<A, O, D>]
}[VerdictOnRun<O>]
