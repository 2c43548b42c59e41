import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Schedule, Scheduler, Stream } from "effect"
import { TestClock } from "effect/testing"
import { OutputBag, Pipeline, Snapshot, Stage } from "stageflow"

describe("fibers that a stage forks", () => {
  /** A stage that leaves a fiber behind, and a stage after it that takes its time. */
  const leaving = () => {
    const state = { ticks: 0, released: 0, releasedBeforeNext: -1 }
    const ticking = Effect.forever(Effect.delay(Effect.sync(() => state.ticks++), "1 second")).pipe(
      Effect.ensuring(Effect.sync(() => state.released++))
    )
    const first = Stage.work("first", {
      run: Effect.gen(function*() {
        yield* Effect.forkChild(ticking, { startImmediately: true })
        yield* Effect.sleep("2500 millis")
      })
    })
    const second = Stage.work("second", {
      run: Effect.gen(function*() {
        state.releasedBeforeNext = state.released
        yield* Effect.sleep("10 seconds")
      })
    })
    return { pipeline: Pipeline.make("p").add(first).add(second, { after: ["first"] }), state }
  }

  it.effect("end with the stage, before the next one starts", () =>
    Effect.gen(function*() {
      const { pipeline, state } = leaving()
      const run = yield* Effect.forkChild(Pipeline.run(pipeline, Snapshot.make()), { startImmediately: true })
      yield* TestClock.adjust("20 seconds")
      assert.strictEqual((yield* Fiber.join(run))._tag, "Completed")
      assert.deepStrictEqual(state, { ticks: 2, released: 1, releasedBeforeNext: 1 })
    }))

  it.effect("end with the run when it is interrupted", () =>
    Effect.gen(function*() {
      const { pipeline, state } = leaving()
      const run = yield* Effect.forkChild(Pipeline.run(pipeline, Snapshot.make()), { startImmediately: true })
      yield* TestClock.adjust("1500 millis")
      yield* Fiber.interrupt(run)
      assert.deepStrictEqual(state, { ticks: 1, released: 1, releasedBeforeNext: -1 })
    }))
})

describe("the record of attempts", () => {
  it.effect("a stage that is interrupted between two attempts has one entry for each attempt", () =>
    Effect.gen(function*() {
      const failing = Stage.work("failing", { run: Effect.fail("no" as const) }).pipe(
        Stage.retry(Schedule.spaced("1 minute"))
      )
      const cancelling = Stage.work("cancelling", { run: Effect.never })
      const bag = yield* Effect.scoped(Effect.gen(function*() {
        const handle = yield* Pipeline.start(Pipeline.make("p").add(failing).add(cancelling), Snapshot.make())
        yield* TestClock.adjust("90 seconds")
        yield* handle.cancel("enough")
        return (yield* handle.await).bag
      }))
      assert.deepStrictEqual(
        OutputBag.attempts(bag, "failing").map(({ attempt, end }) => [attempt, end._tag]),
        [[1, "Failed"], [2, "Failed"]]
      )
    }))
})

describe("continue and cancel", () => {
  it.effect("a cancelled run tells what failed before", () =>
    Effect.gen(function*() {
      const pipeline = Pipeline.make("p")
        .add(Stage.work("b", { run: Effect.fail("b failed" as const) }))
        .add(Stage.work("slow", { run: Effect.never }))
      const result = yield* Effect.scoped(Effect.gen(function*() {
        const handle = yield* Pipeline.start(pipeline, Snapshot.make(), { failure: "continue" })
        yield* handle.cancel("enough")
        return yield* handle.await
      }))
      assert(result._tag === "Cancelled")
      assert.deepStrictEqual(result.failures.map(({ error, stage }) => [stage, error]), [["b", "b failed"]])
    }))
})

describe("a failure that is undefined", () => {
  it.effect("is retried like any other", () =>
    Effect.gen(function*() {
      let calls = 0
      const stage = Stage.work("stage", {
        run: Effect.suspend(() => {
          calls++
          return Effect.fail(undefined)
        })
      }).pipe(Stage.retry(Schedule.recurs(2)))
      const exit = yield* Effect.exit(Pipeline.run(Pipeline.make("p").add(stage), Snapshot.make()))
      assert(Exit.isFailure(exit))
      assert.strictEqual(calls, 3)
    }))
})

describe("a run that lets others run", () => {
  it.effect("hears of a stage that ends between looking for stages and waiting for one", () =>
    Effect.gen(function*() {
      const stage = Stage.work("stage", { run: Effect.yieldNow })
      const pipeline = Pipeline.make("p").add(stage).add(Stage.as(stage, "other"))
      for (let operations = 3; operations <= 40; operations++) {
        const run = Effect.provideService(
          Pipeline.run(pipeline, Snapshot.make()),
          Scheduler.MaxOpsBeforeYield,
          operations
        )
        const fibers = yield* Effect.replicateEffect(Effect.forkChild(run), 5)
        for (let time = 0; time < 300; time++) yield* Effect.yieldNow
        for (const fiber of fibers) assert.strictEqual(fiber.pollUnsafe()?._tag, "Success", `${operations} operations`)
      }
    }))

  it.effect("tells whoever reads its events that it has ended", () =>
    Effect.gen(function*() {
      const stage = Stage.work("stage", { run: Effect.yieldNow })
      const pipeline = Pipeline.make("p").add(stage)
      for (let operations = 3; operations <= 40; operations++) {
        const read = Stream.runCount(Pipeline.stream(pipeline, Snapshot.make()))
        const busy = Effect.provideService(read, Scheduler.MaxOpsBeforeYield, operations)
        const fibers = yield* Effect.forEach([0, 1, 2, 3], (yields) =>
          Effect.forkChild(Effect.andThen(Effect.replicateEffect(Effect.yieldNow, yields), busy)))
        for (let time = 0; time < 500; time++) {
          yield* Effect.yieldNow
        }
        for (const fiber of fibers) {
          assert.strictEqual(fiber.pollUnsafe()?._tag, "Success", `${operations} operations`)
        }
      }
    }))

  it.effect("tells whoever reads the events of its handle that it has ended", () =>
    Effect.gen(function*() {
      const stage = Stage.work("stage", { run: Effect.replicateEffect(Effect.yieldNow, 20) })
      const pipeline = Pipeline.make("p").add(stage)
      for (let operations = 3; operations <= 40; operations++) {
        for (const late of [0, 7, 19]) {
          const handle = yield* Pipeline.start(pipeline, Snapshot.make())
          const read = Effect.andThen(Effect.replicateEffect(Effect.yieldNow, late), Stream.runCount(handle.events))
          const fiber = yield* Effect.forkChild(
            Effect.provideService(read, Scheduler.MaxOpsBeforeYield, operations)
          )
          for (let time = 0; time < 300; time++) yield* Effect.yieldNow
          assert.strictEqual(fiber.pollUnsafe()?._tag, "Success", `${operations} operations, ${late} late`)
        }
      }
    }).pipe(Effect.scoped))
})
