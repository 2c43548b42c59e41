/**
 * Asks before a stage runs whether it may, outside of whatever could answer for the stage: a cache, a fallback, a retry.
 *
 * A stage carries its gates, wherever they were put on it. They go outside of everything that may give the stage's outcome
 * without running it, and inside of what only watches: a denied stage is traced and counted.
 */
import type * as Context from "effect/Context"
import * as Predicate from "effect/Predicate"
import type { Around } from "./interceptor-model.ts"

export interface Gate {
  readonly name: string
  readonly around: Around
  /** What has to be in the environment of the run, or no stage starts. */
  readonly needs: Context.Key<any, any> | undefined
}

/** Where gates stand among the interceptors of pipelines and Layers. */
export const gateOrder = 29

const GateTypeId = "~stageflow/Gate"

/** A key of annotations that is also a gate on whatever stage is annotated with it. */
export const gatedKey = <K extends Context.Key<any, any>>(key: K, gate: (value: K["Service"]) => Gate | undefined): K =>
  Object.assign(key, { [GateTypeId]: gate })

/** The gate that an annotation is. */
export const gateOfAnnotation = (key: Context.Key<any, any>, value: unknown): Gate | undefined =>
  // Only `gatedKey` sets the property.
  Predicate.hasProperty(key, GateTypeId) ? (key[GateTypeId] as (value: unknown) => Gate | undefined)(value) : undefined
