/**
 * Starts a run that never ends, and dies in the middle of it.
 */
import { NodeFileSystem } from "@effect/platform-node-shared"
import { Effect, Layer } from "effect"
import { Pipeline, Snapshot } from "stageflow"
import { RunLog } from "stageflow/observability"

const [, , folder = "."] = process.argv

const pipeline = Pipeline.make("killed")
  .transform("first", { run: Effect.succeed({ n: 1 }) })
  .work("second", {
    after: ["first"],
    run: Effect.gen(function*() {
      // What happened so far is written before it is read.
      yield* Effect.ignore(RunLog.get("killed"))
      process.kill(process.pid, "SIGKILL")
    })
  })

Effect.runFork(
  Pipeline.run(pipeline, Snapshot.make({ pipelineRunId: "killed" })).pipe(
    Effect.provide(RunLog.layerFile(folder).pipe(Layer.provide(NodeFileSystem.layer)))
  )
)
