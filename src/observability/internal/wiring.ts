/**
 * Reads from the description of a pipeline which stage waits for which.
 */
import type { WiredStage } from "./record-model.ts"

/**
 * How a pipeline is wired: what `Pipeline.describe` tells, or as much of it.
 */
export interface Wiring {
  readonly name: string
  readonly stages: ReadonlyArray<{
    readonly name: string
    readonly kind: string
    readonly inside?: { readonly pipelines: ReadonlyArray<{ readonly pipeline: Wiring }> } | undefined
  }>
  readonly edges: ReadonlyArray<{ readonly from: string; readonly to: string }>
}

/** The stages in the order of their declaration. */
export const wiredStages = (wiring: Wiring | undefined): ReadonlyArray<WiredStage> => {
  if (wiring === undefined) return []
  const after = new Map(wiring.stages.map(({ name }) => [name, new Set<string>()]))
  for (const { from, to } of wiring.edges) after.get(to)?.add(from)
  return wiring.stages.map(({ kind, name }) => ({ name, kind, after: Array.from(after.get(name) ?? []) }))
}

/** The wiring of a pipeline that a stage runs. */
export const wiringInside = (wiring: Wiring | undefined, stage: string, pipeline: string): Wiring | undefined =>
  wiring?.stages.find(({ name }) => name === stage)
    ?.inside?.pipelines.find((inside) => inside.pipeline.name === pipeline)?.pipeline
