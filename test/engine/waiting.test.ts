import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Fiber, Scheduler, Stream } from "effect"
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

describe("a reader of a run's events", () => {
  it.effect("hears of the end, wherever its fiber lets others go first", () =>
    Effect.gen(function*() {
      for (const operations of [3, 4, 5]) {
        for (let steps = 0; steps < 60; steps++) {
          const gate = yield* Deferred.make<void>()
          const pipeline = Pipeline.make("p").add(Stage.work("stage", { run: Deferred.await(gate) }))
          const run = yield* Pipeline.start(pipeline, Snapshot.make())
          const reader = yield* Effect.forkChild(
            Effect.provideService(Stream.runCount(run.events), Scheduler.MaxOpsBeforeYield, operations),
            { startImmediately: true }
          )
          for (let step = 0; step < steps; step++) yield* Effect.yieldNow
          yield* Deferred.succeed(gate, undefined)
          yield* run.await
          for (let step = 0; step < 1000 && reader.pollUnsafe() === undefined; step++) yield* Effect.yieldNow
          const exit = reader.pollUnsafe()
          assert(exit?._tag === "Success", `every ${operations} operations, after ${steps} turns`)
          assert.strictEqual(exit.value, 4)
        }
      }
    }).pipe(Effect.scoped))
})
