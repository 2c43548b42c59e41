import { NodeFileSystem } from "@effect/platform-node-shared"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, FileSystem, Layer, Schedule, Scope } from "effect"
import { TestClock } from "effect/testing"
import { Pipeline, Snapshot, Stage } from "stageflow"
import { RunLog } from "stageflow/observability"
import { temporaryFolder } from "../support/temporary-folder.ts"

const pipeline = Pipeline.make("p").add(Stage.transform("a", { run: Effect.succeed({ n: 1 }) }))

/** The file system of a disk on which writing does this. */
const disk = (writing: Effect.Effect<never>) =>
  Layer.effect(
    FileSystem.FileSystem,
    Effect.map(FileSystem.FileSystem, (system) => ({ ...system, open: () => writing }))
  ).pipe(Layer.provide(NodeFileSystem.layer))

describe("R32 the run log is an observer", () => {
  it.effect("a store that hangs for ever holds up no run, and closing for no longer than it may take", () =>
    Effect.gen(function*() {
      const folder = yield* temporaryFolder
      const scope = yield* Scope.make()
      const log = yield* Layer.buildWithScope(
        RunLog.layerFile(folder, { buffer: { flushInterval: 0, closeTimeout: "3 seconds" } }).pipe(
          Layer.provide(disk(Effect.never))
        ),
        scope
      )
      const result = yield* Pipeline.run(pipeline, Snapshot.make()).pipe(Effect.provideContext(log))
      assert.strictEqual(result._tag, "Completed")
      const closing = yield* Effect.forkChild(Scope.close(scope, Exit.void))
      yield* TestClock.adjust("4 seconds")
      assert.isDefined(closing.pollUnsafe())
      yield* Fiber.join(closing)
      const { accepted, failed } = yield* RunLog.delivery.pipe(Effect.provideContext(log))
      assert.strictEqual(failed, accepted)
    }))

  it.effect("closing writes all that was accepted", () =>
    Effect.gen(function*() {
      const folder = yield* temporaryFolder
      const layer = RunLog.layerFile(folder, { buffer: { flushInterval: "1 hour" } }).pipe(
        Layer.provide(NodeFileSystem.layer)
      )
      for (let index = 0; index < 3; index++) {
        yield* Effect.provide(Pipeline.run(pipeline, Snapshot.make()), Layer.fresh(layer))
      }
      const { runs } = yield* Effect.provide(RunLog.list({ status: "completed" }), Layer.fresh(layer))
      assert.strictEqual(runs.length, 3)
    }))

  it.effect("what a full buffer drops is counted, and missing in the record", () =>
    Effect.gen(function*() {
      const result = yield* Pipeline.run(pipeline, Snapshot.make({ pipelineRunId: "run" }))
      assert.strictEqual(result._tag, "Completed")
      // Its end found no room, and comes when there is some.
      yield* RunLog.list()
      const run = yield* RunLog.get("run")
      assert.strictEqual(run.status, "completed")
      assert.deepStrictEqual(run.events.map(({ sequence }) => sequence), [1, 2, 4])
      assert.strictEqual(run.missing, 1)
      assert.strictEqual((yield* RunLog.delivery).dropped, 2)
    }).pipe(Effect.provide(RunLog.layerMemory({ buffer: { capacity: 2 } }))))

  it.effect("data that throws when it is read changes nothing but what is kept of it", () =>
    Effect.gen(function*() {
      const hostile = Pipeline.make("hostile").transform("a", {
        run: Effect.sync(() => ({
          of: new (class Odd {
            get secret(): string {
              throw new Error("never read me")
            }
          })(),
          list: [
            new Proxy({}, {
              ownKeys: () => {
                throw new Error("never look at me")
              }
            })
          ]
        }))
      })
      const outcome = Effect.map(
        Effect.exit(Pipeline.run(hostile, Snapshot.make({ pipelineRunId: "run" }))),
        ({ _tag }) => _tag
      )
      const without = yield* outcome
      const log = yield* Layer.build(RunLog.layerMemory({ redact: () => false, buffer: { retry: Schedule.recurs(0) } }))
      assert.strictEqual(yield* Effect.provideContext(outcome, log), without)
      const run = yield* Effect.provideContext(RunLog.get("run"), log)
      assert.isUndefined(run.missing)
      assert.strictEqual((yield* Effect.provideContext(RunLog.delivery, log)).failed, 0)
    }))
})
