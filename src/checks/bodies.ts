/**
 * Checks, in the compiler, what is run under several names inside of one stage: what it takes all together, and what each
 * of it gives.
 */
import type { First, OneOf } from "./sentence.ts"
import type { NoData } from "./stage.ts"

/** What all of these functions take. */
export type TakenByAll<F> = [F] extends [(_: infer I) => void] ? I : never

/** What all of these inputs are together, without what is read under the name `Read`. */
export type Together<Inputs, Read = never> = TakenByAll<
  { [K in keyof Inputs]: (_: Besides<Inputs[K], Read>) => void }[keyof Inputs]
>

/** Inputs, without what is read under the name `Read`. */
export type Besides<In, Read> = unknown extends In ? unknown
  : [Extract<keyof In, Read>] extends [never] ? In
  : Omit<In, Read & string>

/** Several inputs as one record. */
export type OneRecord<In> = unknown extends In ? unknown : { readonly [K in keyof In]: In[K] }

/** A type, shown as what it is and not by the name of the type that computed it. */
export type Shown<A> = [A] extends [infer B] ? B : never

// ---------------------------------------------------------------------------------------------------------------------
// sentences
// ---------------------------------------------------------------------------------------------------------------------

/** Where something stands that is run under a name: `Word` is what the name is, a route or a contestant. */
export type Place<Name extends string, Word extends string, K> = `stage '${Name}', ${Word} '${K & (string | number)}'`

type NoObjectProblem<At extends string, Wanted> = unknown extends Wanted ? never
  : [Wanted] extends [object] ? never
  : `${At}: it takes no object, and the inputs of a stage are one; give a function of them`

type GivesProblem<At extends string, Data> = [NoData<Data>] extends [never] ? never
  : `${At}: it gives ${OneOf<NoData<Data>> & string}; data must be an object`

/** What of an input nobody can give, because another one takes it with another type. */
type Contradicted<Wanted, All> = [Wanted] extends [never] ? never
  : [All] extends [never] ? `it`
  : [Wanted] extends [string | number | boolean | bigint | symbol | null | undefined] ? never
  : [Wanted] extends [ReadonlyArray<unknown> | ((...given: never) => unknown)] ? never
  : {
    [G in keyof Wanted]: G extends keyof All ? [All[G]] extends [never] ? [Wanted[G]] extends [never] ? never
        : `'${G & string}'`
      : never
      : never
  }[keyof Wanted]

type ContradictionProblem<At extends string, Wanted, All, Read> = unknown extends Wanted ? never : {
  [F in Exclude<keyof Wanted, Read>]: F extends keyof All
    ? Contradicted<Wanted[F], All[F]> extends infer Part
      ? Part extends string ? `${At}, input '${F & string}': another ${Word<At>} takes ${Part} with another type`
      : never
    : never
    : never
}[Exclude<keyof Wanted, Read>]

type Word<At extends string> = At extends `${string}, ${infer W} '${string}` ? W : never

/**
 * What is wrong with something that takes `In` and gives `Data`, beside others that take `All` together. What cannot be run
 * takes `NoBody`.
 */
export type BodyProblem<At extends string, In, Data, All, Read = never> = [In] extends [NoBody]
  ? `${At}: this is no stage, no pipeline, and no function that gives an Effect`
  : First<NoObjectProblem<At, In>, First<GivesProblem<At, Data>, ContradictionProblem<At, In, All, Read>>>

declare const noBody: unique symbol

/** What something takes that cannot be run. */
export interface NoBody {
  readonly [noBody]: never
}
