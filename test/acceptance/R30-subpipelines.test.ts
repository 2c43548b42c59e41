import { assert, describe, it } from "@effect/vitest"
import { Context, Deferred, Effect, Exit, Fiber, Layer, Schedule, Schema, Stream } from "effect"
import { TestClock } from "effect/testing"
import { EventSink, Interceptor, Pipeline, Run, RunResult, Snapshot, Stage, StageContext, StageError } from "stageflow"
import { Subpipeline } from "stageflow/control"

class Other extends Context.Service<Other, string>()("test/Other") {}

/** Who a stage runs for and where its run stands. */
const where = Stage.transform("where", {
  run: Effect.map(StageContext.StageContext, ({ identity, lineage }) => ({ identity, lineage }))
})
const innermost = Pipeline.make("innermost").add(where).returns((s) => s.where)

/** A pipeline inside of `levels` others, each, in stages called `down`. */
const nested = (levels: number, body: Effect.Effect<unknown, unknown>) => {
  const bottom = Pipeline.make("bottom").add(Stage.work("work", { run: Effect.asVoid(body) }))
  const inside = Pipeline.make("level").add(Subpipeline.stage("down", bottom))
  let pipeline = inside
  for (let level = 1; level < levels; level++) {
    // Every level has other types, which say nothing here.
    pipeline = Pipeline.make("level").add(Subpipeline.stage("down", pipeline)) as unknown as typeof inside
  }
  return pipeline
}

describe("R30 a child", () => {
  it.effect("has ids of its own, and those of its parent, at every depth", () =>
    Effect.gen(function*() {
      const middle = Pipeline.make("middle").add(where).add(Subpipeline.stage("down", innermost))
      const parent = Pipeline.make("parent").add(where).add(Subpipeline.stage("middle", middle))
      const { outputs } = yield* Pipeline.run(parent, Snapshot.make({ pipelineRunId: "root" }))
      const [first, second, third] = [
        outputs.where.data.lineage,
        outputs.middle.data.where.lineage,
        outputs.middle.data.down.lineage
      ]
      assert.deepStrictEqual(first, {
        runId: "root",
        parentRunId: undefined,
        parentStage: undefined,
        correlationId: "root"
      })
      assert.strictEqual(new Set([first.runId, second.runId, third.runId]).size, 3)
      assert.deepStrictEqual([second.parentRunId, second.parentStage, second.correlationId], ["root", "middle", "root"])
      assert.deepStrictEqual([third.parentRunId, third.parentStage, third.correlationId], [
        second.runId,
        "down",
        "root"
      ])
    }))

  it.effect("inherits who it runs for, and cannot say it is for somebody else", () =>
    Effect.gen(function*() {
      const parent = Pipeline.make("parent").add(Subpipeline.stage("child", innermost, {
        snapshot: () => Snapshot.make({ userId: "root", orgId: "globex", sessionId: "s", requestId: "forged" })
      }))
      const { identity, outputs } = yield* Pipeline.run(parent, Snapshot.make({ userId: "ada", orgId: "acme" }))
      const inside = outputs.child.data.identity
      assert.deepStrictEqual([inside.userId, inside.orgId, inside.sessionId], ["ada", "acme", undefined])
      assert.strictEqual(inside.requestId, identity.requestId)
    }))

  it.effect("belongs to whom an interceptor of the parent proved, not to whom the snapshot names", () =>
    Effect.gen(function*() {
      const proven = Interceptor.make({
        name: "proven",
        order: 1,
        aroundRun: Effect.provideService(Snapshot.ProvenIdentity, { userId: "grace" })
      })
      const parent = Pipeline.make("parent").add(Subpipeline.stage("child", innermost)).pipe(Pipeline.intercept(proven))
      const { outputs } = yield* Pipeline.run(parent, Snapshot.make({ userId: "ada" }))
      assert.strictEqual(outputs.child.data.identity.userId, "grace")
    }))

  it.effect("fails its parent's stage, and nobody else's run", () =>
    Effect.gen(function*() {
      const failing = nested(3, Effect.fail("broken"))
      const failed = yield* Effect.flip(Pipeline.run(failing, Snapshot.make()))
      assert(failed.error instanceof Subpipeline.SubpipelineFailed)
      assert.deepStrictEqual(failed.error.path, ["down", "down", "down", "work"])
    }))

  it.effect("refused by a guard or a denial is refused to its parent, too: nothing stands in for it", () =>
    Effect.gen(function*() {
      class Unsafe extends Schema.TaggedError<Unsafe>()("Unsafe", {}) {}
      let runs = 0
      const child = Pipeline.make("child").add(Stage.guard("guard", {
        run: Effect.suspend(() => {
          runs++
          return Effect.fail(new Unsafe())
        })
      }))
      const middle = Pipeline.make("middle").add(Subpipeline.stage("child", child))
      const parent = Pipeline.make("parent").add(
        Subpipeline.stage("middle", middle).pipe(Stage.retry({ schedule: Schedule.recurs(3 - 1) }))
      )
      const failed = yield* Effect.flip(Pipeline.run(parent, Snapshot.make()))
      assert.strictEqual(failed.attempts, 1)
      assert.strictEqual(runs, 1)
    }))
})

describe("R30 the depth limit", () => {
  /** A stage that runs itself for ever, or until `depth` runs are inside of each other. */
  const recursive = (
    depth: number,
    start: (
      pipeline: Pipeline.Pipeline<Node>,
      depth: number
    ) => Effect.Effect<unknown, unknown, StageContext.StageContext>,
    started: Array<number> = []
  ): Pipeline.Pipeline<Node> => {
    const make = (level: number): Pipeline.Pipeline<Node> =>
      Pipeline.make(`level ${level}`).add(Stage.work("down", {
        run: Effect.suspend(() => {
          started.push(level)
          return level >= depth ? Effect.void : Effect.asVoid(start(make(level + 1), level))
        })
      }))
    return make(0)
  }
  type Node = Pipeline.Node<"down", {}, never, unknown, never>
  const plainly = (pipeline: Pipeline.Pipeline<Node>) =>
    Effect.flatMap(Snapshot.current, (snapshot) => Pipeline.run(pipeline, snapshot))
  const named = (pipeline: Pipeline.Pipeline<Node>) => Subpipeline.run(pipeline)

  /** The error that no other error has inside of it. */
  const innermost = (error: unknown): unknown =>
    error instanceof Subpipeline.SubpipelineFailed || error instanceof RunResult.StageFailed
      ? innermost(error.error)
      : error

  it.effect("lets five runs be inside of one, and no more: the error is typed and has the path", () =>
    Effect.gen(function*() {
      const started: Array<number> = []
      assert.strictEqual((yield* Pipeline.run(recursive(5, named), Snapshot.make()))._tag, "Completed")
      const failed = yield* Effect.flip(Pipeline.run(recursive(Infinity, named, started), Snapshot.make()))
      const exceeded = innermost(failed)
      assert(exceeded instanceof StageError.DepthExceeded)
      assert.deepStrictEqual(exceeded.path, Array<string>(6).fill("down"))
      assert.strictEqual(exceeded.limit, 5)
      assert.strictEqual(exceeded.pipeline, "level 6")
      assert.deepStrictEqual(started, [0, 1, 2, 3, 4, 5])
      assert.include(String(failed.error), "down > down > down > down > down > down")
    }))

  it.effect("counts however a child was started: by Pipeline.run, start or stream, or both ways by turns", () =>
    Effect.gen(function*() {
      const ways = [
        plainly,
        (pipeline: Pipeline.Pipeline<Node>) =>
          Effect.flatMap(
            Snapshot.current,
            (snapshot) => Effect.scoped(Effect.flatMap(Pipeline.start(pipeline, snapshot), (handle) => handle.await))
          ),
        (pipeline: Pipeline.Pipeline<Node>) =>
          Effect.flatMap(Snapshot.current, (snapshot) => Stream.runDrain(Pipeline.stream(pipeline, snapshot))),
        (pipeline: Pipeline.Pipeline<Node>, depth: number) =>
          depth % 2 === 0 ? plainly(pipeline) : Effect.provideService(named(pipeline), Other, "service")
      ]
      for (const way of ways) {
        const started: Array<number> = []
        const failed = yield* Effect.flip(Pipeline.run(recursive(Infinity, way, started), Snapshot.make()))
        assert(failed._tag === "StageFailed")
        assert.deepStrictEqual(started, [0, 1, 2, 3, 4, 5])
        const found = innermost(failed)
        const exceeded = found instanceof StageError.StageFault && found.reason._tag === "Defect"
          ? found.reason.defect
          : found
        assert.instanceOf(exceeded, StageError.DepthExceeded)
      }
    }))

  it.effect("is what the environment says, and has to be a whole number from 1", () =>
    Effect.gen(function*() {
      const limited = (limit: number, depth: number) =>
        Effect.provideService(Pipeline.run(recursive(depth, named), Snapshot.make()), Run.DepthLimit, limit)
      assert.strictEqual((yield* limited(20, 20))._tag, "Completed")
      assert.instanceOf(innermost(yield* Effect.flip(limited(1, 2))), StageError.DepthExceeded)
      for (const limit of [0, 1.5, Number.NaN, -1]) {
        const fault = innermost(yield* Effect.flip(limited(limit, 1)))
        assert(fault instanceof StageError.StageFault && fault.reason._tag === "Defect")
        assert.instanceOf(fault.reason.defect, StageError.InvalidOption)
      }
    }))

  it.effect("is told of in the events of the run that it did not let start", () =>
    Effect.gen(function*() {
      yield* Effect.exit(
        Effect.provideService(Pipeline.run(recursive(Infinity, named), Snapshot.make()), Run.DepthLimit, 1)
      )
      const events = yield* (yield* EventSink.Memory).events
      const [last] = events.filter(({ pipeline }) => pipeline === "level 2").slice(-1)
      assert(last?._tag === "RunRejected")
      assert.strictEqual(last.error.code, "DEPTH_EXCEEDED")
    }).pipe(Effect.provide(EventSink.layerMemory)))
})

describe("R19 a child is interrupted with its parent", () => {
  /** A stage at the bottom of four runs that waits for ever, and takes a second to clean up. */
  const waiting = Effect.gen(function*() {
    const started = yield* Deferred.make<void>()
    const cleaningUp = yield* Deferred.make<void>()
    const log: Array<string> = []
    const cleanUp = Effect.gen(function*() {
      yield* Deferred.succeed(cleaningUp, undefined)
      yield* Effect.sleep("1 second")
      log.push("clean")
    })
    const body = Effect.onInterrupt(Effect.andThen(Deferred.succeed(started, undefined), Effect.never), () => cleanUp)
    return { started, cleaningUp, log, pipeline: nested(3, body) }
  })

  it.effect("when the caller is, and its finalizers are waited for", () =>
    Effect.gen(function*() {
      const { cleaningUp, log, pipeline, started } = yield* waiting
      const fiber = yield* Effect.forkChild(Pipeline.run(pipeline, Snapshot.make()))
      yield* Deferred.await(started)
      const interrupting = yield* Effect.forkChild(Fiber.interrupt(fiber))
      yield* Deferred.await(cleaningUp)
      yield* TestClock.adjust("999 millis")
      assert.deepStrictEqual(log, [])
      assert.isUndefined(interrupting.pollUnsafe())
      yield* TestClock.adjust("1 millis")
      yield* Fiber.join(interrupting)
      assert.deepStrictEqual(log, ["clean"])
      assert.isTrue(Exit.hasInterrupts(yield* Fiber.await(fiber)))
    }))

  it.effect("when the handle cancels the run", () =>
    Effect.gen(function*() {
      const { cleaningUp, log, pipeline, started } = yield* waiting
      const handle = yield* Pipeline.start(pipeline, Snapshot.make())
      yield* Deferred.await(started)
      const cancelling = yield* Effect.forkChild(handle.cancel("enough"))
      yield* Deferred.await(cleaningUp)
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(cancelling)
      assert.deepStrictEqual(log, ["clean"])
      const result = yield* handle.await
      assert(result._tag === "Cancelled")
      assert.deepStrictEqual(result.interrupted, ["down"])
    }))

  it.effect("when a stage beside it fails", () =>
    Effect.gen(function*() {
      const { cleaningUp, log, pipeline, started } = yield* waiting
      const parent = Pipeline.make("parent")
        .add(Subpipeline.stage("child", pipeline))
        .add(Stage.work("fails", { run: Effect.andThen(Deferred.await(started), Effect.fail("broken")) }))
      const fiber = yield* Effect.forkChild(Effect.flip(Pipeline.run(parent, Snapshot.make())))
      yield* Deferred.await(cleaningUp)
      yield* TestClock.adjust("1 second")
      const failed = yield* Fiber.join(fiber)
      assert(failed instanceof RunResult.StageFailed)
      assert.deepStrictEqual(failed.interrupted, ["child"])
      assert.deepStrictEqual(log, ["clean"])
    }))

  it.effect("when a timeout of its stage is over", () =>
    Effect.gen(function*() {
      const { cleaningUp, log, pipeline, started } = yield* waiting
      const parent = Pipeline.make("parent").add(Subpipeline.stage("child", pipeline).pipe(Stage.timeout("5 seconds")))
      const fiber = yield* Effect.forkChild(Effect.flip(Pipeline.run(parent, Snapshot.make())))
      yield* Deferred.await(started)
      yield* TestClock.adjust("5 seconds")
      yield* Deferred.await(cleaningUp)
      yield* TestClock.adjust("1 second")
      const { error } = yield* Fiber.join(fiber)
      assert.strictEqual(error._tag, "StageTimeout")
      assert.deepStrictEqual(log, ["clean"])
    }))

  it.effect("and every run of the tree has one last event", () =>
    Effect.gen(function*() {
      const { cleaningUp, pipeline, started } = yield* waiting
      const fiber = yield* Effect.forkChild(Pipeline.run(pipeline, Snapshot.make()))
      yield* Deferred.await(started)
      const interrupting = yield* Effect.forkChild(Fiber.interrupt(fiber))
      yield* Deferred.await(cleaningUp)
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(interrupting)
      const events = yield* (yield* EventSink.Memory).events
      const ends = events.filter(({ _tag }) => _tag.startsWith("Run") && _tag !== "RunStarted")
      assert.deepStrictEqual(ends.map(({ _tag }) => _tag), Array<string>(4).fill("RunInterrupted"))
    }).pipe(Effect.provide(EventSink.layerMemory)))
})

describe("R5 with pipelines inside of stages", () => {
  it.effect("a concurrency limit of 1 never waits for itself", () =>
    Effect.gen(function*() {
      const pipeline = nested(4, Effect.void)
      assert.strictEqual((yield* Pipeline.run(pipeline, Snapshot.make(), { concurrency: 1 }))._tag, "Completed")
    }))
})

describe("R30 the depth limit counts runs that no stage started", () => {
  const work = Stage.work("work", { run: Effect.void })
  const ways = {
    "an interceptor around a run": (inner: Effect.Effect<unknown>) =>
      Pipeline.make("p").add(work).pipe(
        Pipeline.intercept(
          Interceptor.make({ name: "again", aroundRun: (run) => Effect.andThen(inner, run) })
        )
      ),
    "a layer of the pipeline": (inner: Effect.Effect<unknown>) =>
      Pipeline.make("p").add(work).pipe(Pipeline.provide(Layer.effectDiscard(inner)))
  }
  for (const [what, make] of Object.entries(ways)) {
    it.effect(what, () =>
      Effect.gen(function*() {
        let runs = 0
        const deeper = (): Effect.Effect<unknown> =>
          Effect.suspend(() => {
            runs++
            return runs > 20 ? Effect.void : Effect.orDie(Pipeline.run(make(deeper()), Snapshot.make()))
          })
        const exit = yield* Effect.exit(deeper())
        assert.strictEqual(exit._tag, "Failure")
        // The sixth run inside of another is one too many: it does not start.
        assert.strictEqual(runs, 7)
      }))
  }
})

describe("R30 the id of a child is new", () => {
  it.effect("whatever its snapshot says", () =>
    Effect.gen(function*() {
      const ids: Array<string> = []
      const note = Stage.work("note", {
        run: Effect.map(StageContext.StageContext, ({ lineage }) => {
          ids.push(lineage.runId)
        })
      })
      const child = Pipeline.make("child").add(note)
      const snapshot = (current: Snapshot.Current) => Snapshot.update(current, { pipelineRunId: "mine" })
      const parent = Pipeline.make("parent").add(Subpipeline.stage("one", child, { snapshot })).add(
        Subpipeline.stage("two", child, { snapshot })
      )
      yield* Pipeline.run(parent, Snapshot.make())
      assert.strictEqual(new Set([...ids, "mine"]).size, 3)
    }))
})
