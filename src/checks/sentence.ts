/**
 * Turns mistakes into sentences for the compiler to show: a mistake becomes a string literal type, a sentence that names
 * the stage and the field, and the compiler's message is that nothing fits the sentence.
 */

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

/** The first of two problems. */
export type First<A, B> = [A] extends [never] ? B : OneOf<A>

type AnyMisfit<Wanted, Given> = {
  [K in keyof Wanted]-?: K extends keyof Given ? Given[K] extends Wanted[K] ? never : K
    : {} extends Pick<Wanted, K> ? never
    : K
}[keyof Wanted]

/** A key that is wanted and not there, or there with another type. */
export type Misfit<Wanted, Given> = OneOf<AnyMisfit<Wanted, Given>>

/** How data does not fit, as what comes after "gives". */
export type Mismatch<Wanted, Given> = [Misfit<Wanted, Given>] extends [never] ? `data of another type`
  : Misfit<Wanted, Given> extends infer K extends string ?
    K extends keyof Given ? `'${K}' with another type` : `no '${K}'`
  : `data of another type`
