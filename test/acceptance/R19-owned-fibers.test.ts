import { assert, describe, it } from "@effect/vitest"
import { Clock, Deferred, Duration, Effect, Exit, Fiber, Scheduler, Scope } from "effect"
import { TestClock } from "effect/testing"
import { EventSink, Interceptor, Pipeline, Snapshot, Stage, StageOutput } from "stageflow"
import { Broken, during, FiberCount, Witness } from "./support/lifecycle.ts"

const waiting = <const Name extends string>(name: Name, witness: Witness) =>
  Stage.work(name, { run: witness.watch(Effect.sleep("1 hour")) })

/** Independent stages that all wait. */
const fanOut = (count: number, witness: Witness) =>
  Pipeline.fromSpecs("fan out", Array.from({ length: count }, (_, index) => ({ stage: waiting(`s${index}`, witness) })))

describe("R19 a stage belongs to its run from the moment it exists", () => {
  it.live("a stage that aborts the signal of its own caller does not outlive the run", () =>
    Effect.gen(function*() {
      const witness = new Witness()
      const controller = new AbortController()
      const pipeline = Pipeline.make("aborts").add(Stage.work("stage", {
        run: witness.watch(Effect.andThen(Effect.sync(() => controller.abort()), Effect.sleep("1 hour")))
      }))
      const exit = yield* Effect.promise(() =>
        Effect.runPromiseExit(Pipeline.run(pipeline, Snapshot.make()), { signal: controller.signal })
      )
      assert(Exit.isFailure(exit) && Exit.hasInterrupts(exit))
      assert.deepStrictEqual(witness.counts, [1, 0, 0, 1])
    }))

  it.live("a sink that aborts the caller leaves no stage behind", () =>
    Effect.gen(function*() {
      for (const tag of ["RunStarted", "StageStarted", "StageCompleted"] as const) {
        const witness = new Witness()
        const controller = new AbortController()
        const sink: EventSink.EventSink["Service"] = {
          offer: (event) => {
            if (event._tag === tag) controller.abort()
          }
        }
        const pipeline = Pipeline.make("sink")
          .add(Stage.work("first", { run: Effect.void }))
          .add(waiting("second", witness), { after: ["first"] })
          .add(waiting("third", witness), { after: ["first"] })
        const exit = yield* Effect.promise(() =>
          Effect.runPromiseExit(
            Effect.provideService(Pipeline.run(pipeline, Snapshot.make()), EventSink.EventSink, sink),
            { signal: controller.signal }
          )
        )
        assert(Exit.isFailure(exit) && Exit.hasInterrupts(exit), tag)
        assert.strictEqual(witness.started, witness.interrupted, tag)
      }
    }))

  it.effect("closing the scope of `start` from inside a stage", () =>
    Effect.gen(function*() {
      const witness = new Witness()
      const scope = yield* Scope.make()
      const pipeline = Pipeline.make("closes").add(Stage.work("stage", {
        run: witness.watch(
          Effect.andThen(Effect.forkDetach(Scope.close(scope, Exit.void), { startImmediately: true }), Effect.never)
        )
      }))
      const handle = yield* Scope.provide(Pipeline.start(pipeline, Snapshot.make()), scope)
      const exit = yield* Effect.exit(handle.await)
      assert(Exit.hasInterrupts(exit))
      assert.deepStrictEqual(witness.counts, [1, 0, 0, 1])
    }))

  it.effect("interrupted at every step, a run leaves no stage and no fiber behind", () =>
    Effect.gen(function*() {
      const stages = 12
      let interruptedInside = 0
      for (let step = 1; step <= 120; step++) {
        const witness = new Witness()
        const fibers = new FiberCount()
        const pipeline = yield* fanOut(stages, witness)
        // Gives way to other fibers after every few operations, and interrupts the caller after so many turns.
        let turns = 0
        let caller: Fiber.Fiber<unknown, unknown> | undefined
        const scheduler = new Scheduler.MixedScheduler()
        const shouldYield = scheduler.shouldYield.bind(scheduler)
        scheduler.shouldYield = (fiber) => {
          if (++turns === step) caller?.interruptUnsafe()
          return turns % 3 === 0 || shouldYield(fiber)
        }
        caller = yield* Effect.forkDetach(
          fibers.count(Pipeline.run(pipeline, Snapshot.make())).pipe(
            Effect.provideService(Scheduler.Scheduler, scheduler)
          )
        )
        for (let turn = 0; turn < 200 && caller.pollUnsafe() === undefined; turn++) yield* Effect.yieldNow
        const isOver = caller.pollUnsafe() !== undefined
        if (isOver) {
          interruptedInside++
          assert.strictEqual(witness.interrupted, witness.started, `step ${step}`)
        }
        yield* Fiber.interrupt(caller)
        assert.strictEqual(witness.interrupted, witness.started, `step ${step}`)
        assert.strictEqual(fibers.running, 0, `step ${step}`)
      }
      assert.isAbove(interruptedInside, 20)
    }))

  it.effect("16 large fan-outs, interrupted while the scheduler takes over", () =>
    Effect.gen(function*() {
      const witness = new Witness()
      const pipeline = yield* fanOut(1500, witness)
      for (let round = 0; round < 16; round++) {
        const fiber = yield* Effect.forkChild(Pipeline.run(pipeline, Snapshot.make()))
        for (let turn = 0; turn <= round % 4; turn++) yield* Effect.yieldNow
        yield* Fiber.interrupt(fiber)
        assert.strictEqual(witness.interrupted, witness.started)
      }
    }))
})

describe("R20 what a stage left running holds up nobody for ever", () => {
  const deafChild = Effect.forkChild(Effect.uninterruptible(Effect.never), { startImmediately: true })
  const options = { interruptionGrace: "2 seconds" } as const

  it.effect("its failure stops the others at once, and the run settles after the grace", () =>
    Effect.gen(function*() {
      const witness = new Witness()
      const pipeline = Pipeline.make("fails")
        .add(Stage.work("sibling", { run: witness.watch(Effect.sleep("1 hour")) }))
        .add(Stage.work("fails", { run: Effect.andThen(deafChild, Effect.fail(new Broken({ by: "fails" }))) }))
      const fiber = yield* Effect.forkChild(Effect.flip(Pipeline.run(pipeline, Snapshot.make(), options)))
      yield* TestClock.adjust("1 millis")
      assert.deepStrictEqual(witness.counts, [1, 0, 0, 1])
      assert.isUndefined(fiber.pollUnsafe())
      yield* TestClock.adjust("2 seconds")
      const failed = yield* Fiber.join(fiber)
      assert.strictEqual(failed.stage, "fails")
      assert.deepStrictEqual(failed.error, new Broken({ by: "fails" }))
    }))

  it.effect("so does its cancel", () =>
    Effect.gen(function*() {
      const witness = new Witness()
      const pipeline = Pipeline.make("cancels")
        .add(waiting("sibling", witness))
        .add(Stage.work("cancels", { run: Effect.as(deafChild, StageOutput.cancel("enough")) }))
      const fiber = yield* Effect.forkChild(Pipeline.run(pipeline, Snapshot.make(), options))
      yield* TestClock.adjust("1 millis")
      assert.deepStrictEqual(witness.counts, [1, 0, 0, 1])
      yield* TestClock.adjust("2 seconds")
      assert.strictEqual((yield* Fiber.join(fiber))._tag, "Cancelled")
    }))

  it.effect("a stage that succeeds ends after the grace", () =>
    Effect.gen(function*() {
      for (const first of [Effect.void, Effect.yieldNow]) {
        const pipeline = Pipeline.make("succeeds")
          .add(Stage.work("first", { run: Effect.andThen(first, deafChild).pipe(Effect.as({ n: 1 })) }))
          .add(Stage.work("second", { run: Effect.void }), { after: ["first"] })
        const fiber = yield* Effect.forkChild(Pipeline.run(pipeline, Snapshot.make(), options))
        yield* TestClock.adjust("1 second")
        assert.isUndefined(fiber.pollUnsafe())
        yield* TestClock.adjust("1 second")
        assert.strictEqual((yield* Fiber.join(fiber))._tag, "Completed")
      }
    }))

  it.effect("a fiber that a stage forked does not outlive it, and the next stage waits for its clean-up", () =>
    Effect.gen(function*() {
      const child = new Witness()
      const told: Array<string> = []
      const pipeline = Pipeline.make("forks")
        .add(Stage.work("first", {
          run: Effect.forkChild(
            Effect.ensuring(
              child.watch(Effect.never),
              Effect.andThen(Effect.sleep("1 second"), Effect.sync(() => told.push("clean")))
            ),
            { startImmediately: true }
          ).pipe(Effect.asVoid)
        }))
        .add(Stage.work("second", { run: Effect.sync(() => void told.push("second")) }), { after: ["first"] })
      yield* during(Pipeline.run(pipeline, Snapshot.make()), "1 second")
      assert.deepStrictEqual(child.counts, [1, 0, 0, 1])
      assert.deepStrictEqual(told, ["clean", "second"])
    }))

  it.effect("cancel keeps to the grace while an interceptor around the run cannot be interrupted", () =>
    Effect.gen(function*() {
      const deaf = Effect.uninterruptible(Effect.sleep("1 hour"))
      const around = {
        before: Interceptor.make({ name: "deaf", aroundRun: (run) => Effect.andThen(deaf, run) }),
        after: Interceptor.make({ name: "deaf", aroundRun: (run) => Effect.tap(run, () => deaf) })
      }
      for (const place of ["before", "after"] as const) {
        const witness = new Witness()
        const pipeline = Pipeline.make("cancelled").add(Stage.work("stage", { run: witness.watch(Effect.void) })).pipe(
          Pipeline.intercept(around[place])
        )
        yield* Effect.scoped(Effect.gen(function*() {
          const handle = yield* Pipeline.start(pipeline, Snapshot.make(), options)
          const started = yield* Clock.currentTimeMillis
          yield* during(handle.cancel("enough"), "2 seconds")
          assert.isAtMost((yield* Clock.currentTimeMillis) - started, 2000)
          assert.strictEqual((yield* handle.await)._tag, "Cancelled", place)
          yield* TestClock.adjust("2 hours")
          assert.strictEqual(witness.started, place === "before" ? 0 : 1)
        }))
      }
    }))
})

describe("R19 a stage's fiber is its own", () => {
  it.effect("a reference to the fiber of a stage that has ended interrupts nobody else", () =>
    Effect.gen(function*() {
      let stale: Fiber.Fiber<unknown, unknown> | undefined
      const pipeline = Pipeline.make("stale")
        .add(Stage.work("first", {
          run: Effect.withFiber((fiber) => {
            stale = fiber
            return Effect.void
          })
        }))
        .add(
          Stage.work("second", {
            run: Effect.suspend(() =>
              Effect.andThen(Effect.sync(() => stale?.interruptUnsafe()), Effect.sleep("1 second"))
            )
          }),
          { after: ["first"] }
        )
      const result = yield* during(Pipeline.run(pipeline, Snapshot.make()), Duration.seconds(1))
      assert.strictEqual(result._tag, "Completed")
    }))
})

describe("R3 stages that wake one another", () => {
  it.effect("500 in a chain of Deferreds, each inside of the other: Effect itself ends at some 1,000", () =>
    Effect.gen(function*() {
      const count = 500
      const rung = Array.from({ length: count + 1 }, () => Deferred.makeUnsafe<void>())
      const pipeline = yield* Pipeline.fromSpecs(
        "deferreds",
        Array.from({ length: count }, (_, index) => ({
          stage: Stage.work(`s${index}`, {
            run: Effect.andThen(
              Deferred.await(rung[index] as Deferred.Deferred<void>),
              Deferred.succeed(rung[index + 1] as Deferred.Deferred<void>, undefined)
            ).pipe(Effect.asVoid)
          })
        }))
      )
      const fiber = yield* Effect.forkChild(Pipeline.run(pipeline, Snapshot.make()), { startImmediately: true })
      yield* Effect.yieldNow
      yield* Deferred.succeed(rung[0] as Deferred.Deferred<void>, undefined)
      assert.strictEqual((yield* Fiber.join(fiber))._tag, "Completed")
    }))
})
