import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Fiber, Schedule, Stream } from "effect"
import { TestClock } from "effect/testing"
import { EventSink, OutputBag, Pipeline, Snapshot, Stage, StageOutput } from "stageflow"
import { Counter } from "./support/stages.ts"

const guard = (wait = 10) =>
  Stage.guard("guard", {
    run: Effect.as(
      Effect.sleep(wait),
      StageOutput.cancel("Blocked content", { data: { blocked: true, words: ["x"] } })
    )
  })

/** Runs an Effect that needs the clock to move. The clock waits for what it has woken, so it wakes the Effect itself. */
const inTime = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.gen(function*() {
    const fiber = yield* Effect.forkChild(Effect.delay(effect, "1 milli"))
    yield* TestClock.adjust("1 day")
    return yield* Fiber.join(fiber)
  })

/** A stage that says when it starts, when it is interrupted and when it has cleaned up. */
const slow = <const Name extends string>(name: Name, counter: Counter, cleanUp: Effect.Effect<void> = Effect.void) =>
  Stage.work(name, {
    run: Effect.gen(function*() {
      counter.add(`${name} started`)
      yield* Effect.sleep("1 hour")
      counter.add(`${name} ended`)
    }).pipe(
      Effect.onInterrupt(() => Effect.sync(() => counter.add(`${name} interrupted`))),
      Effect.ensuring(Effect.andThen(cleanUp, Effect.sync(() => counter.add(`${name} cleaned up`))))
    )
  })

describe("R9 cancel ends the run as Cancelled, a success, with what it takes to know why", () => {
  it.effect("by, reason, data and the outputs so far; in flight is interrupted, the rest never starts", () =>
    Effect.gen(function*() {
      const counter = new Counter()
      const pipeline = Pipeline.make("cancels")
        .add(Stage.transform("quick", { run: Effect.succeed({ text: "Hello" }) }))
        .add(Stage.enrich("skipped", { run: Effect.succeed(StageOutput.skip("nothing")) }))
        .add(slow("slow", counter))
        .add(slow("also_slow", counter))
        .add(guard(), { after: ["quick", "skipped"] })
        .add(counter.stage("behind_guard"), { after: ["guard"] })
        .add(counter.stage("behind_slow"), { after: ["slow"] })
        .add(counter.stage("behind_both"), { after: ["guard", "also_slow"] })
      const result = yield* inTime(Pipeline.run(pipeline, Snapshot.make({ userId: "Ada" })))
      assert.strictEqual(result._tag, "Cancelled")
      if (result._tag !== "Cancelled") return
      assert.strictEqual(result.by, "guard")
      assert.strictEqual(result.reason, "Blocked content")
      assert.deepStrictEqual(result.data, { blocked: true, words: ["x"] })
      assert.deepStrictEqual(Object.keys(result.outputs), ["quick", "skipped"])
      assert.deepStrictEqual(result.outputs.quick?.data, { text: "Hello" })
      assert.strictEqual(result.outputs.skipped?._tag, "Skip")
      assert.deepStrictEqual(result.interrupted, ["slow", "also_slow"])
      assert.deepStrictEqual(result.abandoned, [])
      assert.deepStrictEqual(result.neverStarted, ["behind_guard", "behind_slow", "behind_both"])
      assert.strictEqual(result.identity.userId, "Ada")
      assert.strictEqual(result.durationMs, 10)
      assert.deepStrictEqual(
        counter.names,
        ["also_slow", "slow"].flatMap((name) => [`${name} cleaned up`, `${name} interrupted`, `${name} started`])
      )
      const ends = result.bag.entries.map(({ end, stage }) => [stage, end._tag])
      assert.deepStrictEqual(ends, [
        ["quick", "Settled"],
        ["skipped", "Settled"],
        ["guard", "Settled"],
        ["slow", "Interrupted"],
        ["also_slow", "Interrupted"]
      ])
      const [last] = OutputBag.attempts(result.bag, "guard")
      assert.strictEqual(last?.end._tag === "Settled" ? last.end.output._tag : "", "Cancel")
    }))

  it.effect("returned or yielded, behind interceptors or not, it is the same", () =>
    Effect.gen(function*() {
      const counter = new Counter()
      const cancel = StageOutput.cancel("stop", { data: { a: 1 } })
      const yielded = Effect.gen(function*() {
        yield* Effect.yieldNow
        return yield* cancel
      })
      const ways = {
        returned: Stage.guard("guard", { run: Effect.succeed(cancel) }),
        yielded: Stage.guard("guard", { run: Effect.andThen(yielded, Effect.succeed({ never: 1 })) }),
        "behind a timeout and a retry": Stage.guard("guard", { run: yielded }).pipe(
          Stage.timeout("1 minute"),
          Stage.retry(Schedule.recurs(5))
        ),
        "not caught by a catch": Stage.guard("guard", { run: yielded }).pipe(Stage.catch(() => Effect.succeed({})))
      }
      for (const [way, stage] of Object.entries(ways)) {
        const pipeline = Pipeline.make("cancels")
          .add(stage as Stage.Stage<"guard", unknown, {}, "cancel">)
          .add(counter.stage("behind"), { after: ["guard"] })
        const result = yield* Pipeline.run(pipeline, Snapshot.make())
        assert.strictEqual(result._tag, "Cancelled", way)
        if (result._tag === "Cancelled") {
          assert.deepStrictEqual([result.by, result.reason, result.data], ["guard", "stop", { a: 1 }], way)
        }
      }
      assert.strictEqual(counter.total, 0)
    }))

  it.effect("the run returns after every finalizer has run, and nothing happens afterwards", () =>
    Effect.gen(function*() {
      const counter = new Counter()
      const pipeline = Pipeline.make("cancels")
        .add(slow("slow", counter, Effect.sleep("5 seconds")))
        .add(guard())
      const run = Effect.gen(function*() {
        const result = yield* Pipeline.run(pipeline, Snapshot.make())
        assert.strictEqual(counter.count("slow cleaned up"), 1)
        return result
      })
      const result = yield* inTime(run)
      assert.strictEqual(result._tag, "Cancelled")
      assert.strictEqual(result.durationMs, 5_010)
      const before = counter.total
      yield* TestClock.adjust("1 day")
      assert.strictEqual(counter.total, before)
      assert.strictEqual(counter.count("slow ended"), 0)
    }))

  it.effect("the last stage may cancel as well: the run is not Completed", () =>
    Effect.gen(function*() {
      const pipeline = Pipeline.make("cancels")
        .add(Stage.transform("first", { run: Effect.succeed({ a: 1 }) }))
        .add(guard(0), { after: ["first"] })
      const result = yield* Pipeline.run(pipeline, Snapshot.make())
      assert.strictEqual(result._tag, "Cancelled")
      if (result._tag === "Cancelled") assert.deepStrictEqual([result.interrupted, result.neverStarted], [[], []])
    }))

  it.effect("of two that cancel in the same instant the first is the one, and nothing fails", () =>
    Effect.gen(function*() {
      const pipeline = Pipeline.make("cancels").add(guard()).add(Stage.as(guard(), "second"))
      const result = yield* inTime(Pipeline.run(pipeline, Snapshot.make()))
      assert.strictEqual(result._tag, "Cancelled")
      if (result._tag === "Cancelled") assert.strictEqual(result.by, "guard")
    }))

  it.effect("a stage that ends in the same instant still counts as ended", () =>
    Effect.gen(function*() {
      const gate = yield* Deferred.make<void>()
      const pipeline = Pipeline.make("cancels")
        .add(Stage.guard("guard", { run: Effect.as(Deferred.await(gate), StageOutput.cancel("stop")) }))
        .add(Stage.transform("neighbour", { run: Effect.as(Deferred.await(gate), { done: true }) }))
      const handle = yield* Pipeline.start(pipeline, Snapshot.make())
      yield* Deferred.succeed(gate, undefined)
      const result = yield* handle.await
      assert.strictEqual(result._tag, "Cancelled")
      if (result._tag !== "Cancelled") return
      assert.deepStrictEqual(result.outputs.neighbour?.data, { done: true })
      assert.deepStrictEqual(result.interrupted, [])
    }).pipe(Effect.scoped))

  it.effect("a stage that swallows the interruption and returns data after all does not undo the cancel", () =>
    Effect.gen(function*() {
      const counter = new Counter()
      const stubborn = Stage.work("stubborn", {
        run: Effect.uninterruptible(Effect.as(Effect.sleep("1 second"), { late: true }))
      })
      const pipeline = Pipeline.make("cancels")
        .add(stubborn)
        .add(guard())
        .add(counter.stage("behind"), { after: ["stubborn"] })
      const result = yield* inTime(Pipeline.run(pipeline, Snapshot.make()))
      assert.strictEqual(result._tag, "Cancelled")
      if (result._tag === "Cancelled") assert.deepStrictEqual(result.neverStarted, ["behind"])
      assert.strictEqual(counter.total, 0)
    }))

  it.effect("it ends a run that continues after failures, too", () =>
    Effect.gen(function*() {
      const counter = new Counter()
      const pipeline = Pipeline.make("cancels")
        .add(Stage.work("bad", { run: Effect.fail("no") }))
        .add(guard())
        .add(counter.stage("behind_bad"), { after: ["bad"] })
        .add(counter.stage("behind_guard"), { after: ["guard"] })
      const result = yield* inTime(Pipeline.run(pipeline, Snapshot.make(), { failure: "continue" }))
      assert.strictEqual(result._tag, "Cancelled")
      assert.strictEqual(counter.total, 0)
    }))

  it.effect("its events: the stage is cancelled, the others interrupted, the run cancelled", () =>
    Effect.gen(function*() {
      const counter = new Counter()
      const pipeline = Pipeline.make("cancels")
        .add(slow("slow", counter))
        .add(guard())
        .add(counter.stage("behind"), { after: ["guard"] })
      yield* inTime(Pipeline.run(pipeline, Snapshot.make()))
      const memory = yield* EventSink.Memory
      const told = (yield* memory.events).map((event) => "stage" in event ? `${event._tag} ${event.stage}` : event._tag)
      assert.deepStrictEqual(told, [
        "RunStarted",
        "StageStarted slow",
        "StageStarted guard",
        "StageCancelled guard",
        "StageInterrupted slow",
        "RunCancelled"
      ])
    }).pipe(Effect.provide(EventSink.layerMemory)))

  it.effect("as a stream its result is the last element, and no error", () =>
    Effect.gen(function*() {
      const elements = yield* inTime(
        Stream.runCollect(Pipeline.stream(Pipeline.make("cancels").add(guard()), Snapshot.make()))
      )
      assert.deepStrictEqual(elements.map(({ _tag }) => _tag), [
        "RunStarted",
        "StageStarted",
        "StageCancelled",
        "RunCancelled",
        "Cancelled"
      ])
    }))
})
