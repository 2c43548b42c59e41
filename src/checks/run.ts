/**
 * Checks, in the compiler, that the snapshot of a run carries what the stages read from it, and the pipeline's input.
 */
import type { Among, Names } from "../Extension.ts"
import type { CarriedBy, InputOf, NoInput, Snapshot } from "../Snapshot.ts"
import type { Mismatch, OneOf } from "./sentence.ts"
import type { AnyNode, InputNode, StagesOf } from "./wiring.ts"

type Lacking<N extends AnyNode, R, S> = Names<Exclude<Among<N["services"] | R>, CarriedBy<S>>>

/** What the pipeline takes, `never` when it takes nothing. */
export type Taken<N> = N extends InputNode<infer Data> ? Data : never

type InputProblem<Wanted, Given> = [Wanted] extends [never] ? never
  : unknown extends Wanted ? never
  : 0 extends 1 & Given ? never
  : [Given] extends [NoInput] ? undefined extends Wanted ? never
    : `this pipeline takes an input: Snapshot.make({ input: ... }), or a parameter of type Snapshot.With<never, Input>`
  : unknown extends Given ? `the type of the snapshot's input is not known: check it, or read it with Snapshot.decode`
  : [Given] extends [Wanted] ? never
  : `the snapshot's input has ${Mismatch<Wanted, Given>}`

/** What is wrong with running the stages `N`, that need `R` besides, with a snapshot. */
export type SnapshotProblem<N extends AnyNode, R, S> = [StagesOf<N>] extends [never] ? `this pipeline has no stages`
  : [Lacking<N, R, S>] extends [never] ? InputProblem<Taken<N>, InputOf<S>>
  : `the snapshot lacks the extension '${OneOf<Lacking<N, R, S>> & string}'; add it with Snapshot.extend`

/**
 * The options of a run follow its snapshot. Nothing follows a pipeline here: so the compiler, when a pipeline does not
 * fit its snapshot, speaks of the other way to call and only of that.
 */
export type OptionsAfter<S, O> = S extends Snapshot ? [options?: O] : []
