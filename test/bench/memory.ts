/**
 * How much a run leaves behind for as long as somebody holds its result.
 */
import { Effect } from "effect"
import { Pipeline, Snapshot } from "stageflow"
import { graphOf } from "./shapes.ts"
import { pipelineOf } from "./subjects.ts"

const stages = 10_000
const held = 10

const bytesInUse = Effect.sync(() => {
  globalThis.gc?.()
  const { arrayBuffers, heapUsed } = process.memoryUsage()
  return heapUsed + arrayBuffers
})

/** The bytes that the result of a completed run of a layered graph holds, for each stage. */
export const heapPerStageBytes = Effect.gen(function*() {
  const run = Pipeline.run(yield* pipelineOf(graphOf("layered", stages)), Snapshot.make())
  // The first run compiles the plan, which belongs to the pipeline.
  yield* run
  const results: Array<unknown> = []
  const before = yield* bytesInUse
  for (let time = 0; time < held; time++) results.push(yield* run)
  const after = yield* bytesInUse
  return Math.round((after - before) / (results.length * stages))
})
