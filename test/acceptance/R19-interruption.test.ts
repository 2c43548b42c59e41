import { assert, describe, it } from "@effect/vitest"
import { Context, Deferred, Effect, Exit, Fiber, Layer, Schedule, Scope, Stream } from "effect"
import { TestClock } from "effect/testing"
import { Interceptor, Pipeline, RunResult, Snapshot, Stage, StageError, StageOutput } from "stageflow"
import * as Interceptors from "stageflow/interceptors"
import { Broken, during, FiberCount, Witness } from "./support/lifecycle.ts"

const broken = new Broken({ by: "broken" })

type Work = Stage.Stage<"work", unknown, object, never, unknown>

/** Work at the bottom of a stage, with a clean-up that takes its time. */
class Leaf {
  readonly body = new Witness()
  readonly cleanUp = new Witness()
  readonly run = Effect.ensuring(
    this.body.watch(Effect.sleep("1 hour")),
    this.cleanUp.watch(Effect.sleep("2 seconds"))
  )
}

const stage = <E>(run: Effect.Effect<void, E>) => Stage.work("work", { run })

/** The ways in which a stage can be busy. Each runs the leaf once. */
const shapes: ReadonlyArray<{ readonly shape: string; readonly work: (leaf: Effect.Effect<void>) => Work }> = [
  { shape: "a stage", work: (run) => stage(run) },
  {
    shape: "a stage with timeouts and retries",
    work: (run) => stage(run).pipe(Stage.timeout("2 hours"), Stage.retry(), Stage.timeout("9 hours"))
  },
  {
    shape: "a stage with an interceptor",
    work: (run) =>
      Stage.work("work", { run }).pipe(Stage.intercept(Interceptor.make({ name: "pass", around: (e) => e })))
  },
  {
    shape: "a stage that forks its work",
    work: (run) => stage(Effect.flatMap(Effect.forkChild(run), Fiber.join))
  },
  {
    shape: "a sub-pipeline at depth 3",
    work: (run) => {
      const inner = Pipeline.make("inner").add(Stage.work("leaf", { run }))
      const middle = Pipeline.make("middle")
        .add(Stage.work("inner", { run: Effect.asVoid(Pipeline.run(inner, Snapshot.make())) }))
      return stage(Effect.asVoid(Pipeline.run(middle, Snapshot.make())))
    }
  },
  {
    shape: "a started sub-pipeline at depth 3",
    work: (run) => {
      const inner = Pipeline.make("inner").add(Stage.work("leaf", { run }))
      const started = <E, R>(
        start: Effect.Effect<{ readonly await: Effect.Effect<unknown, E> }, never, R | Scope.Scope>
      ) => Effect.scoped(Effect.flatMap(start, (handle) => Effect.asVoid(handle.await)))
      const middle = Pipeline.make("middle")
        .add(Stage.work("inner", { run: started(Pipeline.start(inner, Snapshot.make())) }))
      return stage(started(Pipeline.start(middle, Snapshot.make())))
    }
  }
]

const base = (work: Work, beside: Effect.Effect<void>, later: Effect.Effect<void>) =>
  Pipeline.make("pipeline")
    .add(work)
    .add(Stage.work("beside", { run: beside }))
    .add(Stage.work("later", { run: later }), { after: ["work"] })

type Base = ReturnType<typeof base>

const afterOneSecond = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.andThen(Effect.sleep("1 second"), effect)

const tagOf = (exit: Exit.Exit<unknown, unknown>): string => {
  if (Exit.hasInterrupts(exit)) return "Interrupted"
  const end = Exit.isSuccess(exit) ? exit.value : exit.cause.reasons.find(({ _tag }) => _tag === "Fail")
  const ended: unknown = typeof end === "object" && end !== null && "error" in end ? end.error : end
  return (ended as { readonly _tag: string })._tag
}

/** The ways in which a run is stopped, one second after it started, and how it then ends. */
const stops: ReadonlyArray<{
  readonly way: string
  readonly stop: (pipeline: Base) => Effect.Effect<string, unknown>
  readonly ends: string
}> = [
  {
    way: "interrupting the caller",
    stop: (pipeline) =>
      Effect.gen(function*() {
        const run = yield* Effect.forkChild(Pipeline.run(pipeline, Snapshot.make()))
        yield* Effect.sleep("1 second")
        yield* Fiber.interrupt(run)
        return tagOf(yield* Fiber.await(run))
      }),
    ends: "Interrupted"
  },
  {
    way: "a timeout around the run",
    stop: (pipeline) =>
      Effect.map(Effect.exit(Effect.timeout(Pipeline.run(pipeline, Snapshot.make()), "1 second")), tagOf),
    ends: "TimeoutError"
  },
  {
    way: "a race that the run loses",
    stop: (pipeline) =>
      Effect.map(
        Effect.race(Pipeline.run(pipeline, Snapshot.make()), afterOneSecond(Effect.succeed({ _tag: "Won" }))),
        ({ _tag }) => _tag
      ),
    ends: "Won"
  },
  {
    way: "handle.cancel",
    stop: (pipeline) =>
      Effect.scoped(Effect.gen(function*() {
        const handle = yield* Pipeline.start(pipeline, Snapshot.make())
        yield* afterOneSecond(handle.cancel("enough"))
        return tagOf(yield* Effect.exit(handle.await))
      })),
    ends: "Cancelled"
  },
  {
    way: "closing the scope of a started run",
    stop: (pipeline) =>
      Effect.gen(function*() {
        const scope = yield* Scope.make()
        const handle = yield* Scope.provide(Pipeline.start(pipeline, Snapshot.make()), scope)
        yield* afterOneSecond(Scope.close(scope, Exit.void))
        return tagOf(yield* Effect.exit(handle.await))
      }),
    ends: "Interrupted"
  },
  {
    way: "a sibling that fails",
    stop: (pipeline) => {
      const failing = pipeline.add(Stage.work("broken", { run: afterOneSecond(Effect.fail(broken)) }))
      return Effect.map(Effect.exit(Pipeline.run(failing, Snapshot.make())), tagOf)
    },
    ends: "StageFailed"
  },
  {
    way: "a sibling that cancels",
    stop: (pipeline) => {
      const guard = Stage.guard("guard", { run: afterOneSecond(Effect.succeed(StageOutput.cancel("enough"))) })
      return Effect.map(Effect.exit(Pipeline.run(pipeline.add(guard), Snapshot.make())), tagOf)
    },
    ends: "Cancelled"
  },
  {
    way: "a reader of its stream that has had enough",
    stop: (pipeline) => {
      const guard = Stage.work("ticks", { run: Effect.sleep("1 second") })
      return Pipeline.stream(pipeline.add(guard), Snapshot.make()).pipe(
        Stream.takeUntil((element) => element._tag === "StageCompleted"),
        Stream.runDrain,
        Effect.as("Left")
      )
    },
    ends: "Left"
  }
]

describe("R19 whatever stops a run stops all of it", () => {
  for (const { ends, stop, way } of stops) {
    for (const { shape, work } of shapes) {
      it.effect(`${way} stops ${shape}`, () =>
        Effect.gen(function*() {
          const leaf = new Leaf()
          const beside = new Leaf()
          const later = new Witness()
          const fibers = new FiberCount()
          const pipeline = base(work(leaf.run), beside.run, later.watch(Effect.void))

          const driver = yield* Effect.forkChild(fibers.count(stop(pipeline)))
          yield* TestClock.adjust("1 second")
          assert.deepStrictEqual(leaf.body.counts, [1, 0, 0, 1])
          assert.deepStrictEqual(beside.body.counts, [1, 0, 0, 1])
          // The clean-up goes on, so the run has not returned.
          assert.deepStrictEqual([leaf.cleanUp.counts, beside.cleanUp.counts], [[1, 0, 0, 0], [1, 0, 0, 0]])
          assert.isUndefined(driver.pollUnsafe())

          yield* TestClock.adjust("2 seconds")
          assert.strictEqual(yield* Fiber.join(driver), ends)
          assert.deepStrictEqual([leaf.cleanUp.counts, beside.cleanUp.counts], [[1, 1, 0, 0], [1, 1, 0, 0]])
          assert.isAbove(fibers.started, 0)
          assert.strictEqual(fibers.running, 0)

          yield* TestClock.adjust("2 hours")
          assert.deepStrictEqual([leaf.body.counts, beside.body.counts], [[1, 0, 0, 1], [1, 0, 0, 1]])
          assert.strictEqual(later.started, 0)
        }))
    }
  }

  it.effect("a run that completes leaves no fiber behind either, whatever its stages forked", () =>
    Effect.gen(function*() {
      const forked = new Witness()
      const fibers = new FiberCount()
      const pipeline = Pipeline.make("pipeline")
        .add(Stage.work("forks", { run: Effect.asVoid(Effect.forkChild(forked.watch(Effect.sleep("1 hour")))) }))
        .add(Stage.work("waits", { run: Effect.sleep("1 second") }))
      yield* fibers.count(during(Pipeline.run(pipeline, Snapshot.make()), "1 second"))
      assert.strictEqual(fibers.running, 0)
      assert.strictEqual(forked.finished, 0)
    }))

  it.effect("the siblings at every depth are stopped", () =>
    Effect.gen(function*() {
      const leaves = [new Leaf(), new Leaf(), new Leaf()] as const
      const busy = (leaf: Leaf) => Stage.work("busy", { run: leaf.run })
      const inner = Pipeline.make("inner").add(busy(leaves[0])).add(Stage.work("leaf", { run: Effect.never }))
      const middle = Pipeline.make("middle").add(busy(leaves[1]))
        .add(Stage.work("child", { run: Effect.asVoid(Pipeline.run(inner, Snapshot.make())) }))
      const outer = Pipeline.make("outer").add(busy(leaves[2]))
        .add(Stage.work("child", { run: Effect.asVoid(Pipeline.run(middle, Snapshot.make())) }))
      yield* during(
        Effect.exit(Effect.timeout(Pipeline.run(outer, Snapshot.make()), "1 second")),
        "3 seconds"
      )
      assert.deepStrictEqual(leaves.map(({ cleanUp }) => cleanUp.counts), leaves.map(() => [1, 1, 0, 0]))
    }))

  it.effect("a failure at depth 3 stops everything above and beside it", () =>
    Effect.gen(function*() {
      const leaf = new Leaf()
      const inner = Pipeline.make("inner").add(Stage.work("broken", { run: afterOneSecond(Effect.fail(broken)) }))
      const middle = Pipeline.make("middle")
        .add(Stage.work("child", { run: Effect.asVoid(Pipeline.run(inner, Snapshot.make())) }))
      const outer = Pipeline.make("outer")
        .add(Stage.work("child", { run: Effect.asVoid(Pipeline.run(middle, Snapshot.make())) }))
        .add(Stage.work("beside", { run: leaf.run }))
      const error = yield* during(Effect.flip(Pipeline.run(outer, Snapshot.make())), "3 seconds")
      assert.deepStrictEqual(error.interrupted, ["beside"])
      assert.deepStrictEqual(leaf.cleanUp.counts, [1, 1, 0, 0])
      assert(error.error instanceof RunResult.StageFailed)
      assert(error.error.error instanceof RunResult.StageFailed)
      assert.strictEqual(error.error.error.error, broken)
    }))

  it.effect("the layers that the pipeline provides are released after the stages' own clean-up", () =>
    Effect.gen(function*() {
      class Port extends Context.Service<Port, { readonly open: () => boolean }>()("test/Port") {}
      const log: Array<string> = []
      const layer = Layer.effect(
        Port,
        Effect.acquireRelease(
          Effect.sync(() => {
            log.push("acquired")
            return { open: () => !log.includes("released") }
          }),
          () =>
            Effect.sync(() => {
              log.push("released")
            })
        )
      )
      const uses = Effect.gen(function*() {
        const port = yield* Port
        return yield* Effect.onInterrupt(Effect.never, () =>
          Effect.andThen(
            Effect.sleep("1 second"),
            Effect.sync(() => {
              log.push(`cleaned up, port ${port.open() ? "open" : "closed"}`)
            })
          ))
      })
      const pipeline = Pipeline.make("pipeline").add(Stage.work("uses", { run: uses })).pipe(Pipeline.provide(layer))
      const expected = ["acquired", "cleaned up, port open", "released"]

      const run = yield* Effect.forkChild(Pipeline.run(pipeline, Snapshot.make()))
      yield* TestClock.adjust("1 second")
      yield* during(Fiber.interrupt(run), "1 second")
      assert.deepStrictEqual(log, expected)

      log.length = 0
      const handle = yield* Pipeline.start(pipeline, Snapshot.make())
      yield* TestClock.adjust("1 second")
      yield* during(handle.cancel("enough"), "1 second")
      assert.deepStrictEqual(log, expected)
    }))
})

const last = (run: Effect.Effect<void>) =>
  Pipeline.make("pipeline")
    .add(Stage.transform("first", { run: Effect.succeed({ n: 1 }) }))
    .add(Stage.work("last", { run }), { after: ["first"] })

describe("R19 cancel acts at once and is never reported as completed", () => {
  it.effect("cancel tells everything about itself", () =>
    Effect.gen(function*() {
      const later = new Witness()
      const pipeline = last(Effect.never).add(Stage.work("later", { run: later.watch(Effect.void) }), {
        after: ["last"]
      })
      const handle = yield* Pipeline.start(pipeline, Snapshot.make())
      yield* TestClock.adjust("5 seconds")
      yield* handle.cancel("user left", { data: { page: 3 } })
      const result = yield* handle.await
      assert(result._tag === "Cancelled")
      assert.isUndefined(result.by)
      assert.strictEqual(result.reason, "user left")
      assert.deepStrictEqual(result.data, { page: 3 })
      assert.deepStrictEqual(Object.keys(result.outputs), ["first"])
      assert.deepStrictEqual(result.interrupted, ["last"])
      assert.deepStrictEqual(result.abandoned, [])
      assert.deepStrictEqual(result.neverStarted, ["later"])
      assert.strictEqual(result.durationMs, 5000)
      assert.deepStrictEqual(yield* handle.status, { first: "ok", last: "interrupted", later: "pending" })
      assert.strictEqual(later.started, 0)
    }))

  it.effect("cancel while the last stage runs", () =>
    Effect.gen(function*() {
      const witness = new Witness()
      const handle = yield* Pipeline.start(last(witness.watch(Effect.sleep("1 minute"))), Snapshot.make())
      yield* TestClock.adjust("59 seconds")
      yield* handle.cancel("enough")
      const result = yield* handle.await
      assert.strictEqual(result._tag, "Cancelled")
      assert.strictEqual(result.durationMs, 59_000)
      yield* TestClock.adjust("1 hour")
      assert.deepStrictEqual(witness.counts, [1, 0, 0, 1])
    }))

  it.effect("cancel while the last stage cannot be interrupted: it may finish, the run is Cancelled", () =>
    Effect.gen(function*() {
      const handle = yield* Pipeline.start(last(Effect.uninterruptible(Effect.sleep("5 seconds"))), Snapshot.make())
      yield* TestClock.adjust("1 second")
      yield* during(handle.cancel("enough"), "4 seconds")
      const result = yield* handle.await
      assert.strictEqual(result._tag, "Cancelled")
      assert.strictEqual(result.durationMs, 5000)
    }))

  it.effect("cancel in the instant in which the last stage finishes", () =>
    Effect.gen(function*() {
      const gate = yield* Deferred.make<void>()
      const handle = yield* Pipeline.start(last(Deferred.await(gate)), Snapshot.make())
      yield* TestClock.adjust("1 second")
      const cancelling = yield* Effect.forkChild(handle.cancel("enough"), { startImmediately: true })
      yield* Deferred.succeed(gate, undefined)
      yield* Fiber.join(cancelling)
      assert.strictEqual((yield* handle.await)._tag, "Cancelled")
    }))

  it.effect("cancel before any stage got anywhere", () =>
    Effect.gen(function*() {
      const witness = new Witness()
      const pipeline = Pipeline.make("pipeline").add(Stage.work("slow", { run: witness.watch(Effect.sleep("1 hour")) }))
      const handle = yield* Pipeline.start(pipeline, Snapshot.make())
      yield* handle.cancel("never mind")
      assert.strictEqual((yield* handle.await)._tag, "Cancelled")
      yield* TestClock.adjust("2 hours")
      assert.strictEqual(witness.finished, 0)
    }))

  it.effect("cancel while a stage waits for its next attempt", () =>
    Effect.gen(function*() {
      const witness = new Witness()
      const stage = Stage.work("again", { run: witness.watch(Effect.fail(broken)) })
        .pipe(Stage.retry(Schedule.spaced("1 minute")))
      const handle = yield* Pipeline.start(Pipeline.make("pipeline").add(stage), Snapshot.make())
      yield* TestClock.adjust("90 seconds")
      yield* handle.cancel("enough")
      const result = yield* handle.await
      assert.strictEqual(result._tag, "Cancelled")
      yield* TestClock.adjust("1 hour")
      assert.strictEqual(witness.started, 2)
    }))

  it.effect("cancel while stages wait for their turn", () =>
    Effect.gen(function*() {
      const witness = new Witness()
      const run = witness.watch(Effect.sleep("1 minute"))
      const pipeline = Pipeline.make("pipeline")
        .add(Stage.work("one", { run }))
        .add(Stage.work("two", { run }))
        .add(Stage.work("three", { run }))
      const handle = yield* Pipeline.start(pipeline, Snapshot.make(), { concurrency: 1 })
      yield* TestClock.adjust("90 seconds")
      yield* handle.cancel("enough")
      const result = yield* handle.await
      assert(result._tag === "Cancelled")
      assert.deepStrictEqual([result.interrupted, result.neverStarted], [["two"], ["three"]])
      yield* TestClock.adjust("1 hour")
      assert.deepStrictEqual(witness.counts, [2, 1, 0, 1])
    }))

  it.effect("cancel from inside a stage of the run", () =>
    Effect.gen(function*() {
      const cancel = yield* Deferred.make<Effect.Effect<void>>()
      const witness = new Witness()
      const run = witness.watch(Effect.flatten(Deferred.await(cancel)))
      const handle = yield* Pipeline.start(Pipeline.make("pipeline").add(Stage.work("stage", { run })), Snapshot.make())
      yield* Deferred.succeed(cancel, handle.cancel("from inside"))
      const result = yield* handle.await
      assert(result._tag === "Cancelled")
      assert.deepStrictEqual(result.interrupted, ["stage"])
      assert.deepStrictEqual(witness.counts, [1, 0, 0, 1])
    }))

  it.effect("of two cancels the first one says why", () =>
    Effect.gen(function*() {
      const handle = yield* Pipeline.start(last(Effect.never), Snapshot.make())
      yield* Effect.all([handle.cancel("first"), handle.cancel("second")], { concurrency: "unbounded" })
      yield* handle.cancel("third")
      const result = yield* handle.await
      assert(result._tag === "Cancelled")
      assert.strictEqual(result.reason, "first")
    }))

  it.effect("a run that is over stays as it ended", () =>
    Effect.gen(function*() {
      const completed = yield* Pipeline.start(last(Effect.void), Snapshot.make())
      yield* completed.await
      yield* completed.cancel("too late")
      assert.strictEqual((yield* completed.await)._tag, "Completed")

      const failing = Pipeline.make("pipeline").add(Stage.work("broken", { run: Effect.fail(broken) }))
      const failed = yield* Pipeline.start(failing, Snapshot.make())
      yield* failed.cancel("too late")
      assert.strictEqual((yield* Effect.flip(failed.await)).error, broken)
    }))

  it.effect("a failure while cancelling does not hide the cancel", () =>
    Effect.gen(function*() {
      const handle = yield* Pipeline.start(last(Effect.ensuring(Effect.never, Effect.die("clean-up"))), Snapshot.make())
      yield* handle.cancel("enough")
      const result = yield* handle.await
      assert(result._tag === "Cancelled")
      assert.deepStrictEqual(result.interrupted, ["last"])
    }))

  it.effect("cancelling a parent cancels nothing on its own in the child: the child is interrupted", () =>
    Effect.gen(function*() {
      const ends: Array<string> = []
      const child = Pipeline.make("child").add(Stage.work("leaf", { run: Effect.never }))
      const run = Effect.asVoid(Pipeline.run(child, Snapshot.make())).pipe(
        Effect.onExit((exit) =>
          Effect.sync(() => {
            ends.push(tagOf(exit))
          })
        )
      )
      const handle = yield* Pipeline.start(last(run as Effect.Effect<void>), Snapshot.make())
      yield* handle.cancel("enough")
      assert.strictEqual((yield* handle.await)._tag, "Cancelled")
      assert.deepStrictEqual(ends, ["Interrupted"])
    }))

  it.effect("cancel does not wait for an interceptor that keeps the run waiting", () =>
    Effect.gen(function*() {
      const witness = new Witness()
      const slow = Interceptor.make({
        name: "slow",
        aroundRun: (run) => Effect.andThen(Effect.sleep("1 hour"), run)
      })
      const pipeline = last(witness.watch(Effect.void)).pipe(Pipeline.intercept(slow))
      const handle = yield* Pipeline.start(pipeline, Snapshot.make())
      const cancelling = yield* Effect.forkChild(handle.cancel("enough"))
      yield* TestClock.adjust("1 second")
      assert.isDefined(cancelling.pollUnsafe(), "cancel waits for the interceptor")
      const result = yield* handle.await
      assert.strictEqual(result._tag, "Cancelled")
      yield* TestClock.adjust("2 hours")
      assert.strictEqual(witness.started, 0)
    }))
})

describe("R19 a stage that timed out is stopped like any other", () => {
  it.effect("its sub-pipelines and their clean-up end before the run goes on", () =>
    Effect.gen(function*() {
      const leaf = new Leaf()
      const fibers = new FiberCount()
      const inner = Pipeline.make("inner").add(Stage.work("leaf", { run: leaf.run }))
      const pipeline = Pipeline.make("outer").add(
        Stage.work("child", { run: Effect.asVoid(Pipeline.run(inner, Snapshot.make())) }).pipe(
          Stage.timeout("1 second")
        )
      )
      const error = yield* fibers.count(
        during(Effect.flip(Pipeline.run(pipeline, Snapshot.make())), "3 seconds")
      )
      assert(error.error instanceof StageError.StageTimeout)
      assert.isFalse(error.error.abandoned)
      assert.strictEqual(error.durationMs, 3000)
      assert.deepStrictEqual(leaf.body.counts, [1, 0, 0, 1])
      assert.deepStrictEqual(leaf.cleanUp.counts, [1, 1, 0, 0])
      assert.strictEqual(fibers.running, 0)
    }))
})

describe("R19 cancel while something around the run is interrupting its stages", () => {
  it.effect("returns when they have ended", () =>
    Effect.gen(function*() {
      const cleans = Stage.work("cleans", {
        run: Effect.onInterrupt(Effect.never, () => Effect.sleep("3 seconds"))
      })
      const pipeline = Pipeline.make("pipeline").add(cleans).pipe(
        Pipeline.intercept(Interceptors.deadline("1 second"))
      )
      const handle = yield* Pipeline.start(pipeline, Snapshot.make())
      yield* TestClock.adjust("2 seconds")
      const cancelling = yield* Effect.forkChild(handle.cancel("Enough"))
      yield* TestClock.adjust("1 minute")
      assert.isDefined(cancelling.pollUnsafe())
    }))
})
