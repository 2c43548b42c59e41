/**
 * Checks, in the compiler, the definition of a tool: a sentence for what its `run` and `undo` give and fail with and its
 * schemas do not have.
 */
import type { Mismatch, OneOf } from "./sentence.ts"
import type { NotGiven } from "./wiring.ts"

type Tag<E> = E extends { readonly _tag: infer Tag extends string } ? `'${Tag}'` : `an error`

type SuccessProblem<Name extends string, S, A> = [A] extends [S] ? never
  // The compiler has not yet looked at `run`.
  : [NotGiven] extends [A] ? never
  : unknown extends A ? `tool '${Name}', success: run gives anything; say what it gives`
  : [S] extends [void] ?
    [void] extends [S] ? `tool '${Name}' has no success schema, and its run gives something; give it one`
    : `tool '${Name}', success: run gives ${Mismatch<S, A>}`
  : `tool '${Name}', success: run gives ${Mismatch<S, A>}`

type FailureProblem<Name extends string, F, E> = [E] extends [F] ? never
  : [F] extends [never] ? `tool '${Name}' has no failure schema, and its run fails with ${
      & OneOf<Tag<E>>
      & string}; give it one, or handle the error`
  : `tool '${Name}', failure: run fails with ${OneOf<Tag<Exclude<E, F>>> & string}, which the schema does not have`

type BlankProblem<Name extends string> = Name extends "" ? `a tool has a blank name; give it one` : never

/** The first thing that is wrong with a tool that gives `A` and fails with `E`, and whose schemas have `S` and `F`. */
export type ToolProblem<Name extends string, S, F, A, E> = [BlankProblem<Name>] extends [never]
  ? [SuccessProblem<Name, S, A>] extends [never] ? FailureProblem<Name, F, E> : SuccessProblem<Name, S, A>
  : BlankProblem<Name>
