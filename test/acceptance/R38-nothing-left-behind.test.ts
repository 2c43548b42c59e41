import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Layer, Metric, Schedule, Stream } from "effect"
import { getEventListeners } from "node:events"
import { EventSink, Interceptor, Pipeline, Snapshot, Stage, StageContext, StageOutput } from "stageflow"
import { Saga, Subpipeline } from "stageflow/control"
import { heapInUse, settle, Witness } from "./support/memory.ts"

const runs = 2_000

/** Counts every fiber that starts and ends, those that nobody waits for included. */
class Fibers {
  started = 0
  ended = 0
  readonly service: Metric.FiberRuntimeMetricsService = {
    recordFiberStart: () => {
      this.started++
    },
    recordFiberEnd: () => {
      this.ended++
    }
  }
}

/** Data of a stage that can be recognised: passed by reference and big enough to be missed. */
class Payload {
  readonly bytes = Array.from({ length: 100 }, () => 0)
}

const witness = new Witness()

const payload = Effect.sync(() => ({ payload: witness.see(new Payload()) }))

const passing = Interceptor.make({ name: "passing", around: (effect) => effect })

/** Stages that hold a timer, a promise, a listener or a child of their own while they run. */
const sleeping = Stage.work("sleeping", { run: Effect.sleep("1 hour") }).pipe(Stage.timeout("2 hours"))

const promising = Stage.promise("promising", {
  kind: "work",
  try: (_, { signal }) =>
    new Promise<void>((resolve) => {
      signal.addEventListener("abort", () => resolve(), { once: true })
    }),
  catch: () => "rejected" as const
})

const child = Pipeline.make("child").add(Stage.as(sleeping, "child_sleeping")).add(
  Stage.as(promising, "child_promising")
)

const parent = Stage.agent("parent", {
  run: Effect.gen(function*() {
    yield* Pipeline.run(child, witness.see(Snapshot.make({ inputText: "child" })))
  })
})

const quick = Stage.transform("quick", { run: payload }).pipe(
  Stage.timeout("1 hour"),
  Stage.retry(Schedule.recurs(2)),
  Stage.intercept(passing)
)

const read = Stage.transform("read", {
  run: ({ quick }: { readonly quick: { readonly payload: Payload } }) =>
    Effect.gen(function*() {
      yield* StageContext.emit("read", { length: quick.payload.bytes.length })
      yield* StageContext.addArtifact({ type: "payload", payload: quick.payload })
      return { again: quick.payload }
    })
})

const port = Layer.effectDiscard(Effect.acquireRelease(Effect.void, () => Effect.void))

const well = Pipeline.make("well").add(quick).add(read, { inputs: ["quick"] }).pipe(
  Pipeline.intercept(passing),
  Pipeline.provide(port)
)

/** Two runs inside of one another with something to take back, and layers that are kept for that. */
const undoable = Pipeline.make("undoable").add(quick.pipe(Saga.compensate(() => Effect.yieldNow))).pipe(
  Pipeline.provide(port)
)
const order = Pipeline.make("order").add(Subpipeline.stage("inside", undoable)).pipe(
  Pipeline.intercept(Saga.interceptor())
)

/** A pipeline with everything in flight, until one more stage ends it. */
const ending = <S extends Stage.Stage<"end", unknown, {}, unknown, unknown>>(end: S) =>
  well.add(sleeping).add(promising).add(parent).add(end as Stage.Stage<"end", unknown, {}, "cancel", string>, {
    after: ["read"]
  })

const soon = Effect.andThen(Effect.yieldNow, Effect.yieldNow)

const failing = [
  ending(Stage.work("end", { run: Effect.andThen(soon, Effect.fail("typed")) })),
  ending(Stage.work("end", { run: Effect.andThen(soon, Effect.die("defect")) })),
  ending(Stage.work("end", { run: Effect.andThen(soon, Effect.interrupt) })),
  ending(
    Stage.work("end", { run: Effect.andThen(soon, Effect.fail("again")) }).pipe(
      Stage.retry({ attempts: 3, schedule: Schedule.spaced(0) })
    )
  ),
  ending(Stage.work("end", { run: Effect.andThen(soon, Effect.succeed(Number.NaN as unknown as object)) })),
  ending(Stage.work("end", { run: Effect.andThen(soon, Effect.succeed(StageOutput.retry("never granted"))) }))
]

const cancelling = ending(Stage.guard("end", { run: Effect.andThen(soon, Effect.succeed(StageOutput.cancel("no"))) }))

const snapshotOf = (index: number) => witness.see(Snapshot.make({ userId: `u${index}`, metadata: { index } }))

const fails = Effect.fnUntraced(function*(index: number) {
  const pipeline = failing[index % failing.length] as typeof failing[number]
  const failed = yield* Effect.flip(Pipeline.run(pipeline, snapshotOf(index)))
  assert.strictEqual(failed.stage, "end")
  assert.deepStrictEqual(failed.abandoned, [])
})

/** The half that does not fail: completed, cancelled, continued, interrupted, handled, streamed, told. */
const others: ReadonlyArray<(index: number) => Effect.Effect<unknown, unknown>> = [
  (index) => Pipeline.run(well, snapshotOf(index)),
  (index) => Pipeline.run(cancelling, snapshotOf(index)),
  (index) =>
    Pipeline.run(
      well.add(Stage.work("bad", { run: Effect.fail("no") })).add(Stage.work("behind", { run: Effect.void }), {
        after: ["bad"]
      }),
      snapshotOf(index),
      { failure: "continue", concurrency: 2 }
    ),
  (index) =>
    Effect.gen(function*() {
      const fiber = yield* Effect.forkChild(Pipeline.run(well.add(sleeping), snapshotOf(index)))
      yield* soon
      yield* Fiber.interrupt(fiber)
    }),
  (index) =>
    Effect.scoped(Effect.gen(function*() {
      const handle = yield* Pipeline.start(well.add(sleeping).add(parent), snapshotOf(index))
      const listening = yield* Effect.forkChild(Stream.runDrain(handle.events))
      yield* soon
      yield* handle.status
      yield* handle.cancel("enough")
      yield* Fiber.join(listening)
    })),
  (index) => Effect.scoped(Pipeline.start(well.add(sleeping).add(promising), snapshotOf(index))),
  (index) => Stream.runDrain(Stream.take(Pipeline.stream(well.add(sleeping), snapshotOf(index)), 3)),
  (index) => Pipeline.run(well, snapshotOf(index)).pipe(Effect.provide(EventSink.layer(() => Effect.void))),
  (index) => Pipeline.run(order, snapshotOf(index)),
  (index) =>
    Effect.exit(
      Pipeline.run(order.add(Stage.work("bad", { run: Effect.fail("no") }), { after: ["inside"] }), snapshotOf(index))
    ),
  (index) => Effect.scoped(Effect.andThen(Pipeline.start(order.add(sleeping), snapshotOf(index)), soon))
]

const one = (index: number): Effect.Effect<unknown, unknown> => {
  if (index % 2 === 1) return fails(index)
  const run = others[index / 2 % others.length]
  return run === undefined ? Effect.void : run(index)
}

const listenersOfProcess = () =>
  process.eventNames().map((name) => [String(name), process.listenerCount(name)] as const).toSorted(([a], [b]) =>
    a.localeCompare(b)
  )

const timersOfProcess = () => process.getActiveResourcesInfo().filter((resource) => resource === "Timeout").length

describe("R38 2,000 runs with half of them failing leave nothing behind", () => {
  it("fibers, timers, listeners and heap are where they were", async () => {
    const fibers = new Fibers()
    const { signal } = new AbortController()
    const runAll = async (count: number) => {
      const exits = await Promise.all(Array.from({ length: count }, async (_, index) => {
        // Not all in the same turn: some runs start while others end.
        for (let turn = index % 20; turn > 0; turn--) await Promise.resolve()
        return Effect.runPromiseExit(
          Effect.provideService(one(index), Metric.FiberRuntimeMetrics, fibers.service),
          { signal }
        )
      }))
      const failures = exits.filter(Exit.isFailure)
      assert.deepStrictEqual(failures, [])
    }
    const inBatches = async (count: number) => {
      for (let done = 0; done < count; done += 100) await runAll(100)
    }

    await inBatches(1_000)
    const heapBefore = await heapInUse()
    const timersBefore = timersOfProcess()
    const listenersBefore = listenersOfProcess()

    await inBatches(runs)
    const heapAfter = await heapInUse()

    assert.isAbove(fibers.started, 2 * runs)
    assert.strictEqual(fibers.ended, fibers.started)
    assert.strictEqual(timersOfProcess(), timersBefore)
    assert.deepStrictEqual(listenersOfProcess(), listenersBefore)
    assert.strictEqual(getEventListeners(signal, "abort").length, 0)
    assert.isAtMost(heapAfter, heapBefore * 1.1, `heap grew from ${heapBefore} to ${heapAfter}`)
  }, 120_000)

  it("nothing of a run that is over is held by anybody: no snapshot, no data", async () => {
    await settle()
    assert.isAbove(witness.shown, 2 * runs)
    assert.isAtMost(witness.alive, witness.shown * 0.001)
  })
})
