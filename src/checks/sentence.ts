/**
 * Turns mistakes into sentences for the compiler to show: a mistake becomes a string literal type, a sentence that names
 * the stage and the field, and the compiler's message is that nothing fits the sentence.
 */
import type * as Option from "effect/Option"

/** The argument itself when nothing is wrong, otherwise the sentence. */
export type Checked<A, Problem> = [Problem] extends [never] ? A : NoInfer<Problem>

/** One member of a union: a sentence has room for one. */
export type OneOf<U> = (U extends unknown ? (_: () => U) => void : never) extends (_: infer I) => void
  ? I extends () => infer Last ? Last : never
  : never

/** The members of a union of names, one after the other; some of them when there are many. */
export type Listed<Names, Count extends ReadonlyArray<unknown> = []> = Count["length"] extends 8 ? `...`
  : OneOf<Names> extends infer Name extends string ? [Exclude<Names, Name>] extends [never] ? `'${Name}'`
    : `${Listed<Exclude<Names, Name>, [...Count, unknown]>}, '${Name}'`
  : ``

/** A key of what a function takes whose type is `any`: the function takes it apart, and nothing says what it is. */
type Unannotated<In> = 0 extends 1 & In ? never
  : unknown extends In ? never
  : string extends keyof In ? never
  : OneOf<{ [K in keyof In]-?: 0 extends 1 & In[K] ? K : never }[keyof In]>

/** What is wrong with a function at a place that takes apart what it does not say the type of. */
export type AnnotationProblem<At extends string, In> = Unannotated<In> extends infer K
  ? K extends string ? `${At}: nothing says what '${K}' is; annotate it: ({ ${K} }: { readonly ${K}: ... }) => ...`
  : never
  : never

/** The first of two problems. */
export type First<A, B> = [A] extends [never] ? B : OneOf<A>

type AnyMisfit<Wanted, Given> = {
  [K in keyof Wanted]-?: K extends keyof Given ? Given[K] extends Wanted[K] ? never : K
    : {} extends Pick<Wanted, K> ? never
    : K
}[keyof Wanted]

/** A key that is wanted and not there, or there with another type. */
export type Misfit<Wanted, Given> = OneOf<AnyMisfit<Wanted, Given>>

/** The kind of a type in a word or two; `never` when it has none. */
type Kind<A> = [A] extends [never] ? never
  : unknown extends A ? never
  : [A] extends [string] ? `a string`
  : [A] extends [number] ? `a number`
  : [A] extends [boolean] ? `a boolean`
  : [A] extends [bigint] ? `a bigint`
  : [A] extends [null | undefined] ? `nothing`
  : [A] extends [ReadonlyArray<unknown>] ? `a list`
  : [A] extends [Option.Option<unknown>] ? `an Option`
  : [A] extends [(...given: never) => unknown] ? `a function`
  : [A] extends [object] ? `an object`
  : never

/** The texts of a type, where there is another one to be told from. */
type Texts<A> = string extends A ? `a string` : Listed<A>

/** Two types by their kinds, when these tell them apart. */
type Kinds<Place extends string, Wanted, Given> = [Wanted, Given] extends [string, string]
  ? [Given] extends [never] ? never : `${Place}${Texts<Given>}, and not ${Texts<Wanted>}`
  : [Kind<Wanted>, Kind<Given>] extends [infer W extends string, infer G extends string]
    ? [W] extends [never] ? never : [G] extends [never] ? never : W extends G ? never : `${Place}${G}, and not ${W}`
  : never

type Else<A, B> = [A] extends [never] ? B : A

/** How data does not fit, as what comes after "gives". */
export type Mismatch<Wanted, Given> = [Misfit<Wanted, Given>] extends [never] ? MismatchOfWhole<Wanted, Given>
  : Misfit<Wanted, Given> extends infer K extends string
    ? K extends keyof Given ? Else<Kinds<`'${K}' as `, Wanted[K & keyof Wanted], Given[K]>, `'${K}' with another type`>
    : `no '${K}'`
  : MismatchOfWhole<Wanted, Given>

type MismatchOfWhole<Wanted, Given> = Else<Kinds<``, Wanted, Given>, `data of another type`>
