/**
 * Whether graphs that are far larger than any real one run to their end.
 */
import { Effect } from "effect"
import { Pipeline, Snapshot } from "stageflow"
import { graphOf, type Shape } from "./shapes.ts"
import { pipelineOf } from "./subjects.ts"

export const stages = 100_000

export interface Large {
  readonly milliseconds: number
  /** Stages without an output. */
  readonly missing: number
}

/** Runs 100,000 stages once, cold. */
export const runLarge = Effect.fnUntraced(function*(shape: Shape) {
  const pipeline = yield* pipelineOf(graphOf(shape, stages))
  const started = performance.now()
  const result = yield* Pipeline.run(pipeline, Snapshot.make())
  const milliseconds = performance.now() - started
  return { milliseconds, missing: stages - Object.keys(result.outputs).length } satisfies Large
})
