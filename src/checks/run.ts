/**
 * Checks, in the compiler, that the snapshot of a run carries what the stages read from it.
 */
import type { Among, Names } from "../Extension.ts"
import type { CarriedBy, Snapshot } from "../Snapshot.ts"
import type { OneOf } from "./sentence.ts"
import type { AnyNode } from "./wiring.ts"

type Lacking<N extends AnyNode, R, S> = Names<Exclude<Among<N["services"] | R>, CarriedBy<S>>>

/** What is wrong with running the stages `N`, that need `R` besides, with a snapshot. */
export type SnapshotProblem<N extends AnyNode, R, S> = [N] extends [never] ? `this pipeline has no stages`
  : [Lacking<N, R, S>] extends [never] ? never
  : `the snapshot lacks the extension '${OneOf<Lacking<N, R, S>> & string}'; add it with Snapshot.extend`

/**
 * The options of a run follow its snapshot. Nothing follows a pipeline here: so the compiler, when a pipeline does not
 * fit its snapshot, speaks of the other way to call and only of that.
 */
export type OptionsAfter<S, O> = S extends Snapshot ? [options?: O] : []
