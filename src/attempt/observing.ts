/**
 * Knows who observes runs besides their sinks. An observer hears each event together with what it tells of, as the engine
 * holds it: a sink gets ids and names, whoever keeps runs needs what went in and what came out, too.
 *
 * Observers add up: one that a Layer installs takes nothing away from another, nor from a sink.
 */
import * as Context from "effect/Context"
import type { Event } from "../Event.ts"
import type { Settled } from "../internal/output-model.ts"
import type { RunIdentity, Snapshot } from "../internal/snapshot-model.ts"
import type { Lineage } from "../StageContext.ts"

/** What an event tells of. All of it is immutable. */
export type Told =
  | { readonly _tag: "Start"; readonly input: unknown; readonly identity: RunIdentity }
  | { readonly _tag: "Output"; readonly output: Settled }
  | { readonly _tag: "Failure"; readonly error: unknown }
  /** What the run ended with: its `RunResult`, or the `StageFailed` of one of its stages. */
  | { readonly _tag: "End"; readonly ended: object }

/** A run, as it is before anything of it has started. */
export interface ObservedRun {
  /** The pipeline itself. */
  readonly pipeline: object
  readonly lineage: Lineage
  /** With the ids of the run, and the identity as far as it is known before anything is proven. */
  readonly snapshot: Snapshot
  readonly environment: Context.Context<never>
}

/** Is told of a run; what it gives hears the run's events. What either throws is ignored. */
export type Observe = (run: ObservedRun) => (event: Event, told?: Told) => void

/** Who observes the runs that are started here. */
export const Observers = Context.Reference<ReadonlyArray<Observe>>("stageflow/attempt/Observers", {
  defaultValue: () => []
})
