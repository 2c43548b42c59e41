import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, Schema, Stream } from "effect"
import { TestClock } from "effect/testing"
import { Pipeline, RunResult, Snapshot, Stage } from "stageflow"
import { ForEach } from "stageflow/control"
import { during, FiberCount, Witness } from "./support/lifecycle.ts"

/** Ten items, four at a time, that wait for ever and take a second to clean up; items come from something to be closed. */
const waiting = Effect.gen(function*() {
  const started = yield* Deferred.make<void>()
  const cleaningUp = yield* Deferred.make<void>()
  const log: Array<string> = []
  const cleanUp = Effect.gen(function*() {
    yield* Deferred.succeed(cleaningUp, undefined)
    yield* Effect.sleep("1 second")
    log.push("clean")
  })
  const items = Stream.range(1, 10).pipe(
    Stream.rechunk(1),
    Stream.ensuring(Effect.sync(() => log.push("closed")))
  )
  const stage = ForEach.stage("items", {
    items: () => items,
    each: (n) =>
      Effect.onInterrupt(
        Effect.andThen(n === 4 ? Deferred.succeed(started, undefined) : Effect.void, Effect.never),
        () => cleanUp
      ),
    concurrency: 4,
    failure: "continue"
  })
  return { started, cleaningUp, log, stage, pipeline: Pipeline.make("p").add(stage) }
})

const allClean = ["clean", "clean", "clean", "clean", "closed"]

describe("R19 the items of a for-each are interrupted with their stage", () => {
  it.effect("when the caller is: their finalizers are waited for, and what gives the items is closed after them", () =>
    Effect.gen(function*() {
      const { cleaningUp, log, pipeline, started } = yield* waiting
      const fibers = new FiberCount()
      const fiber = yield* Effect.forkChild(fibers.count(Pipeline.run(pipeline, Snapshot.make())))
      yield* Deferred.await(started)
      const interrupting = yield* Effect.forkChild(Fiber.interrupt(fiber))
      yield* Deferred.await(cleaningUp)
      yield* TestClock.adjust("999 millis")
      assert.isUndefined(interrupting.pollUnsafe())
      assert.deepStrictEqual(log, [])
      yield* TestClock.adjust("1 millis")
      yield* Fiber.join(interrupting)
      assert.deepStrictEqual(log, allClean)
      assert.isTrue(Exit.hasInterrupts(yield* Fiber.await(fiber)))
      assert.strictEqual(fibers.running, 0)
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
      assert.deepStrictEqual(log, allClean)
      const result = yield* handle.await
      assert(result._tag === "Cancelled")
      assert.deepStrictEqual(result.interrupted, ["items"])
    }))

  it.effect("when a stage beside it fails, or its timeout is over", () =>
    Effect.gen(function*() {
      const first = yield* waiting
      const beside = first.pipeline.add(
        Stage.work("fails", { run: Effect.andThen(Deferred.await(first.started), Effect.fail("broken")) })
      )
      const failed = yield* during(Effect.flip(Pipeline.run(beside, Snapshot.make())), "1 second")
      assert.deepStrictEqual(failed.interrupted, ["items"])
      assert.deepStrictEqual(first.log, allClean)
      const second = yield* waiting
      const limited = Pipeline.make("p").add(second.stage.pipe(Stage.timeout("5 seconds")))
      const { error } = yield* during(Effect.flip(Pipeline.run(limited, Snapshot.make())), "6 seconds")
      assert.strictEqual(error._tag, "StageTimeout")
      assert.deepStrictEqual(second.log, allClean)
    }))

  it.effect("and those that are runs, with all that is inside of them", () =>
    Effect.gen(function*() {
      const witness = new Witness()
      const child = Pipeline.make("child", { input: Schema.Int })
        .work("waits", { run: witness.watch(Effect.never) })
      const inner = ForEach.stage("inner", { items: () => [1, 2, 3], each: child })
      const outer = ForEach.stage("outer", { items: () => [1, 2], each: Pipeline.make("middle").add(inner) })
      const fiber = yield* Effect.forkChild(Pipeline.run(Pipeline.make("p").add(outer), Snapshot.make()))
      yield* TestClock.adjust("1 second")
      assert.strictEqual(witness.started, 6)
      yield* Fiber.interrupt(fiber)
      assert.strictEqual(witness.interrupted, 6)
    }))
})

describe("R20 an item that ignores its interruption", () => {
  it.effect("holds up the failure of another for the grace, and no longer", () =>
    Effect.gen(function*() {
      const stage = ForEach.stage("items", {
        items: () => [1, 2],
        each: (n) => n === 1 ? Effect.uninterruptible(Effect.sleep("1 hour")) : Effect.fail("broken")
      })
      const fiber = yield* Effect.forkChild(
        Effect.flip(Pipeline.run(Pipeline.make("p").add(stage), Snapshot.make(), { interruptionGrace: "3 seconds" }))
      )
      yield* TestClock.adjust("2999 millis")
      assert.isUndefined(fiber.pollUnsafe())
      yield* TestClock.adjust("1 millis")
      const failed = yield* Fiber.join(fiber)
      assert.instanceOf(failed.error, ForEach.ItemFailed)
    }))
})

describe("R5 the limit of a for-each", () => {
  it.effect("of 1, in runs with a limit of 1, never waits for itself", () =>
    Effect.gen(function*() {
      const child = Pipeline.make("child", { input: Schema.Int })
        .transform("a", { inputs: ["input"], run: ({ input }) => Effect.as(Effect.yieldNow, { n: input }) })
        .transform("b", { inputs: ["a"], run: ({ a }) => Effect.succeed(a) })
        .returns((s) => s.b)
      const inner = ForEach.stage("inner", { items: () => [1, 2, 3], each: child, concurrency: 1 })
      const middle = Pipeline.make("middle").add(inner).returns((s) => s.inner)
      const outer = ForEach.stage("outer", { items: () => [1, 2], each: middle, concurrency: 1 })
      const result = yield* Pipeline.run(Pipeline.make("p").add(outer), Snapshot.make(), { concurrency: 1 })
      assert(result._tag === "Completed" && !(result instanceof RunResult.StageFailed))
      const all = result.outputs.outer.data.results.map(({ results }) => results.map(({ n }) => n))
      assert.deepStrictEqual(all, [[1, 2, 3], [1, 2, 3]])
    }))

  it.effect("is reached and never exceeded, whatever gives the items and however long each takes", () =>
    Effect.gen(function*() {
      const sources: ReadonlyArray<() => Iterable<number> | Stream.Stream<number>> = [
        () => Array.from({ length: 40 }, (_, n) => n),
        () => new Set(Array.from({ length: 40 }, (_, n) => n)),
        () => Stream.range(0, 39),
        () => Stream.range(0, 39).pipe(Stream.rechunk(1))
      ]
      for (const items of sources) {
        let running = 0
        const seen: Array<number> = []
        const each = (n: number) =>
          Effect.suspend(() => {
            seen.push(++running)
            return n % 3 === 0 ? Effect.void : Effect.sleep(n)
          }).pipe(Effect.ensuring(Effect.sync(() => running--)))
        const stage = ForEach.stage("items", { items, each, concurrency: 7 })
        yield* during(Pipeline.run(Pipeline.make("p").add(stage), Snapshot.make()), "1 minute")
        assert.strictEqual(Math.max(...seen), 7)
        assert.strictEqual(seen.length, 40)
      }
    }))
})
