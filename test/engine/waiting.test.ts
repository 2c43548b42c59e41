import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Fiber, Scheduler } from "effect"
import { Pipeline, Snapshot, Stage } from "stageflow"

describe("a run that waits for its stages", () => {
  it.effect("hears of each, wherever its fiber lets others go first", () =>
    Effect.gen(function*() {
      for (let operations = 3; operations < 100; operations++) {
        const gate = yield* Deferred.make<void>()
        const pipeline = Pipeline.make("p").add(Stage.work("stage", { run: Deferred.await(gate) }))
        const run = yield* Effect.forkChild(
          Effect.provideService(Pipeline.run(pipeline, Snapshot.make()), Scheduler.MaxOpsBeforeYield, operations),
          { startImmediately: true }
        )
        yield* Deferred.succeed(gate, undefined)
        for (let step = 0; step < 1000 && run.pollUnsafe() === undefined; step++) yield* Effect.yieldNow
        assert.strictEqual(run.pollUnsafe()?._tag, "Success", `yielding after ${operations} operations`)
        yield* Fiber.join(run)
      }
    }))
})
