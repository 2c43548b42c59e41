import { assert, describe, it } from "@effect/vitest"
import { Deferred, Duration, Effect, Fiber, Schedule } from "effect"
import { TestClock } from "effect/testing"
import { Event, Pipeline, Snapshot, Stage, StageContext, StageError, StageOutput } from "stageflow"
import { Broken, during, FiberCount, recorded, Witness } from "./support/lifecycle.ts"

const broken = new Broken({ by: "broken" })

/** A promise in the hands of the test, and the signal that its stage was given. */
class Held {
  signal: AbortSignal | undefined
  resolve: (value: object) => void = () => {}
  reject: (error: unknown) => void = () => {}
  readonly stage = Stage.promise("stuck", {
    try: (_: unknown, { signal }) => {
      this.signal = signal
      return new Promise<object>((resolve, reject) => {
        this.resolve = resolve
        this.reject = reject
      })
    },
    catch: (error) => new Broken({ by: String(error) })
  })
}

type StuckStage = Stage.Stage<"stuck", unknown, object, never, unknown>

interface Stuck {
  readonly stage: StuckStage
  /** Whether the stage was told to stop. */
  readonly wasTold: () => boolean
}

const ways: ReadonlyArray<{ readonly way: string; readonly make: () => Stuck }> = [
  {
    way: "a promise that never settles and ignores its signal",
    make: () => {
      const held = new Held()
      return { stage: held.stage, wasTold: () => held.signal?.aborted === true }
    }
  },
  {
    way: "an uninterruptible region",
    make: () => {
      const stage = Stage.work("stuck", { run: Effect.uninterruptible(Effect.never) })
      // Nobody can tell it anything.
      return { stage, wasTold: () => true }
    }
  },
  {
    way: "a finalizer that never ends",
    make: () => {
      const finalizer = new Witness()
      const stage = Stage.work("stuck", { run: Effect.ensuring(Effect.never, finalizer.watch(Effect.never)) })
      return { stage, wasTold: () => finalizer.started === 1 }
    }
  }
]

/** The stuck stage, and one behind it that must never start. */
const pipelineOf = (stage: StuckStage, later: Witness) =>
  Pipeline.make("pipeline")
    .add(stage)
    .add(Stage.work("later", { run: later.watch(Effect.void) }), { after: ["stuck"] })

/** Lets the time pass until just before an end and then to it, and checks that the end comes no sooner and no later. */
const endsAfter = Effect.fnUntraced(function*<A, E>(fiber: Fiber.Fiber<A, E>, time: Duration.Input) {
  yield* TestClock.adjust(Duration.subtract(Duration.fromInputUnsafe(time), Duration.millis(1)))
  assert.isUndefined(fiber.pollUnsafe(), "ended too early")
  yield* TestClock.adjust("1 millis")
  assert.isDefined(fiber.pollUnsafe(), "did not end in time")
  return yield* Fiber.join(fiber)
})

describe("R20 a stage that ignores interruption cannot hold up a timeout for ever", () => {
  for (const { make, way } of ways) {
    it.effect(`${way}: the timeout returns after the grace and says that the stage was abandoned`, () =>
      Effect.gen(function*() {
        const { stage, wasTold } = make()
        const later = new Witness()
        const pipeline = pipelineOf(stage.pipe(Stage.timeout("1 second", { grace: "5 seconds" })), later)
        const run = yield* Effect.forkChild(Effect.flip(Pipeline.run(pipeline, Snapshot.make())))
        yield* TestClock.adjust("1 second")
        assert.isTrue(wasTold())

        const error = yield* endsAfter(run, "5 seconds")
        assert(error.error instanceof StageError.StageTimeout)
        assert.isTrue(error.error.abandoned)
        assert.deepStrictEqual(error.error.timeout, Duration.seconds(1))
        assert.include(error.error.message, "abandoned")
        assert.strictEqual(error.durationMs, 6000)
        assert.deepStrictEqual(error.neverStarted, ["later"])
        yield* TestClock.adjust("1 hour")
        assert.strictEqual(later.started, 0)
      }))

    it.effect(`${way}: a run whose sibling fails returns after the grace and names the stage`, () =>
      Effect.gen(function*() {
        const { stage, wasTold } = make()
        const pipeline = pipelineOf(stage, new Witness())
          .add(Stage.work("broken", { run: Effect.andThen(Effect.sleep("1 second"), Effect.fail(broken)) }))
        const run = yield* Effect.forkChild(
          Effect.flip(Pipeline.run(pipeline, Snapshot.make(), { interruptionGrace: "3 seconds" }))
        )
        yield* TestClock.adjust("1 second")
        assert.isTrue(wasTold())

        const error = yield* endsAfter(run, "3 seconds")
        assert.strictEqual(error.error, broken)
        assert.deepStrictEqual(error.interrupted, ["stuck"])
        assert.deepStrictEqual(error.abandoned, ["stuck"])
        assert.deepStrictEqual(error.neverStarted, ["later"])
      }))

    it.effect(`${way}: a cancelled run returns after the grace and names the stage`, () =>
      Effect.gen(function*() {
        const { stage, wasTold } = make()
        const later = new Witness()
        const handle = yield* Pipeline.start(pipelineOf(stage, later), Snapshot.make(), {
          interruptionGrace: "3 seconds"
        })
        yield* TestClock.adjust("1 second")
        const cancelling = yield* Effect.forkChild(handle.cancel("enough"), { startImmediately: true })
        yield* TestClock.adjust("0 millis")
        assert.isTrue(wasTold())

        yield* endsAfter(cancelling, "3 seconds")
        const result = yield* handle.await
        assert(result._tag === "Cancelled")
        assert.deepStrictEqual(result.interrupted, ["stuck"])
        assert.deepStrictEqual(result.abandoned, ["stuck"])
        assert.deepStrictEqual(result.neverStarted, ["later"])
        assert.deepStrictEqual(yield* handle.status, { stuck: "abandoned", later: "pending" })
      }))

    it.effect(`${way}: an interrupted caller is free after the grace`, () =>
      Effect.gen(function*() {
        const { stage, wasTold } = make()
        const pipeline = pipelineOf(stage, new Witness())
        const run = yield* Effect.forkChild(
          recorded(Pipeline.run(pipeline, Snapshot.make(), { interruptionGrace: "3 seconds" }))
        )
        yield* TestClock.adjust("1 second")
        const interrupting = yield* Effect.forkChild(Fiber.interrupt(run), { startImmediately: true })
        yield* TestClock.adjust("0 millis")
        assert.isTrue(wasTold())
        yield* endsAfter(interrupting, "3 seconds")
      }))

    it.effect(`${way}: a timeout around the run returns after the grace`, () =>
      Effect.gen(function*() {
        const { stage } = make()
        const pipeline = pipelineOf(stage, new Witness())
        const timed = Effect.timeout(
          Pipeline.run(pipeline, Snapshot.make(), { interruptionGrace: "3 seconds" }),
          "1 second"
        )
        const { events, exit } = yield* recorded(Effect.gen(function*() {
          const run = yield* Effect.forkChild(Effect.flip(timed))
          yield* TestClock.adjust("1 second")
          return yield* endsAfter(run, "3 seconds")
        }))
        assert(exit._tag === "Success")
        assert.strictEqual(exit.value._tag, "TimeoutError")
        const interrupted = events.filter((event) => event._tag === "StageInterrupted")
        assert.deepStrictEqual(interrupted.map(({ abandoned, stage }) => [stage, abandoned]), [["stuck", true]])
        assert.deepStrictEqual(events.filter(Event.isRunEnd).map(({ _tag }) => _tag), ["RunInterrupted"])
      }))

    it.effect(`${way}: a parent run that is stopped is not held up by its child`, () =>
      Effect.gen(function*() {
        const child = pipelineOf(make().stage, new Witness())
        const parent = Pipeline.make("parent").add(
          Stage.work("child", { run: Effect.asVoid(Pipeline.run(child, Snapshot.make())) })
            .pipe(Stage.timeout("1 second"))
        )
        const run = yield* Effect.forkChild(
          Effect.flip(Pipeline.run(parent, Snapshot.make(), { interruptionGrace: "3 seconds" }))
        )
        yield* TestClock.adjust("1 second")
        const error = yield* endsAfter(run, "3 seconds")
        assert.instanceOf(error.error, StageError.StageTimeout)
      }))
  }
})

describe("R20 the grace is stated", () => {
  const stuck = Stage.work("stuck", { run: Effect.uninterruptible(Effect.never) })
  const run = (stage: StuckStage, options?: { readonly interruptionGrace: Duration.Input }) =>
    Effect.flip(Pipeline.run(Pipeline.make("pipeline").add(stage), Snapshot.make(), options ?? {}))

  it.effect("10 seconds when nothing is said", () =>
    Effect.gen(function*() {
      const fiber = yield* Effect.forkChild(run(stuck.pipe(Stage.timeout("1 second"))))
      yield* endsAfter(fiber, "11 seconds")
      const handle = yield* Pipeline.start(Pipeline.make("pipeline").add(stuck), Snapshot.make())
      const cancelling = yield* Effect.forkChild(handle.cancel("enough"), { startImmediately: true })
      yield* TestClock.adjust("0 millis")
      yield* endsAfter(cancelling, "10 seconds")
    }))

  it.effect("Stage.InterruptionGrace in the environment says it for timeouts and runs", () =>
    Effect.gen(function*() {
      const timed = yield* Effect.forkChild(run(stuck.pipe(Stage.timeout("1 second"))))
      yield* endsAfter(timed, "3 seconds")
      const handle = yield* Pipeline.start(Pipeline.make("pipeline").add(stuck), Snapshot.make())
      const cancelling = yield* Effect.forkChild(handle.cancel("enough"), { startImmediately: true })
      yield* TestClock.adjust("0 millis")
      yield* endsAfter(cancelling, "2 seconds")
    }).pipe(Effect.provideService(Stage.InterruptionGrace, Duration.seconds(2))))

  it.effect("interruptionGrace of the run goes before the environment, the timeout's own grace before both", () =>
    Effect.gen(function*() {
      const options = { interruptionGrace: "4 seconds" } as const
      yield* endsAfter(yield* Effect.forkChild(run(stuck.pipe(Stage.timeout("1 second")), options)), "5 seconds")
      const own = stuck.pipe(Stage.timeout("1 second", { grace: "6 seconds" }))
      yield* endsAfter(yield* Effect.forkChild(run(own, options)), "7 seconds")
    }).pipe(Effect.provideService(Stage.InterruptionGrace, Duration.seconds(2))))

  it.effect("no grace at all: what does not stop at once is abandoned", () =>
    Effect.gen(function*() {
      const cleanUp = new Witness()
      const stage = Stage.work("stuck", { run: Effect.ensuring(Effect.never, cleanUp.watch(Effect.sleep("1 second"))) })
      const error = yield* during(run(stage.pipe(Stage.timeout("1 second", { grace: 0 }))), "1 second")
      assert(error.error instanceof StageError.StageTimeout)
      assert.isTrue(error.error.abandoned)
      const polite = Stage.work("stuck", { run: Effect.never })
      const other = yield* during(run(polite.pipe(Stage.timeout("1 second", { grace: 0 }))), "1 second")
      assert(other.error instanceof StageError.StageTimeout)
      assert.isFalse(other.error.abandoned)
    }))

  it.effect("an endless grace waits for as long as it takes", () =>
    Effect.gen(function*() {
      const stage = Stage.work("stuck", { run: Effect.uninterruptible(Effect.sleep("5 days")) })
      const fiber = yield* Effect.forkChild(run(stage.pipe(Stage.timeout("1 second", { grace: Duration.infinity }))))
      const error = yield* endsAfter(fiber, "5 days")
      assert(error.error instanceof StageError.StageTimeout)
      assert.isFalse(error.error.abandoned)
    }))
})

describe("R20 a stage made from a promise gets the signal and is waited for", () => {
  it.effect("a promise that settles after its signal is waited for: it is not abandoned", () =>
    Effect.gen(function*() {
      for (const settle of ["resolve", "reject"] as const) {
        const held = new Held()
        const pipeline = pipelineOf(held.stage.pipe(Stage.timeout("1 second")), new Witness())
        const run = yield* Effect.forkChild(Effect.flip(Pipeline.run(pipeline, Snapshot.make())))
        yield* TestClock.adjust("999 millis")
        assert.isFalse(held.signal?.aborted)
        yield* TestClock.adjust("1 millis")
        assert.isTrue(held.signal?.aborted)
        yield* TestClock.adjust("9 seconds")
        assert.isUndefined(run.pollUnsafe())
        held[settle]({})
        const error = yield* Fiber.join(run)
        assert(error.error instanceof StageError.StageTimeout)
        assert.isFalse(error.error.abandoned)
        assert.strictEqual(error.durationMs, 10_000)
      }
    }))

  it.effect("a cancelled run does not settle while the promise cleans up", () =>
    Effect.gen(function*() {
      const held = new Held()
      const fibers = new FiberCount()
      yield* fibers.count(Effect.scoped(Effect.gen(function*() {
        const handle = yield* Pipeline.start(pipelineOf(held.stage, new Witness()), Snapshot.make())
        yield* TestClock.adjust("1 second")
        assert.isFalse(held.signal?.aborted)
        const cancelling = yield* Effect.forkChild(handle.cancel("enough"), { startImmediately: true })
        yield* TestClock.adjust("5 seconds")
        assert.isTrue(held.signal?.aborted)
        assert.isUndefined(cancelling.pollUnsafe())
        held.reject(new Error("aborted"))
        yield* Fiber.join(cancelling)
        const result = yield* handle.await
        assert(result._tag === "Cancelled")
        assert.deepStrictEqual(result.interrupted, ["stuck"])
        assert.deepStrictEqual(result.abandoned, [])
        assert.strictEqual(result.durationMs, 6000)
      })))
      assert.strictEqual(fibers.running, 0)
    }))

  it.effect("the signal never fires for a stage that ends by itself", () =>
    Effect.gen(function*() {
      const resolved = new Held()
      const run = yield* Effect.forkChild(
        Pipeline.run(pipelineOf(resolved.stage.pipe(Stage.timeout("1 minute")), new Witness()), Snapshot.make()),
        { startImmediately: true }
      )
      resolved.resolve({ done: true })
      assert.deepStrictEqual((yield* Fiber.join(run)).outputs.stuck.data, { done: true })

      const rejected = new Held()
      const failing = yield* Effect.forkChild(
        Effect.flip(Pipeline.run(pipelineOf(rejected.stage, new Witness()), Snapshot.make())),
        { startImmediately: true }
      )
      rejected.reject("no")
      assert.deepStrictEqual((yield* Fiber.join(failing)).error, new Broken({ by: "no" }))

      yield* TestClock.adjust("1 hour")
      assert.isFalse(resolved.signal?.aborted)
      assert.isFalse(rejected.signal?.aborted)
    }))

  it.effect("every attempt has a signal of its own", () =>
    Effect.gen(function*() {
      const signals: Array<AbortSignal> = []
      const stage = Stage.promise("stuck", {
        try: (_: unknown, { signal }) => {
          signals.push(signal)
          // Settles when it is told to stop.
          return new Promise<object>((resolve) => signal.addEventListener("abort", () => resolve({})))
        },
        catch: () => broken
      }).pipe(Stage.timeout("1 second"), Stage.retry(Schedule.recurs(1)))
      const run = yield* Effect.forkChild(Effect.flip(Pipeline.run(pipelineOf(stage, new Witness()), Snapshot.make())))
      yield* TestClock.adjust("1 second")
      // The promise settles in its own time; the second attempt starts after it.
      yield* Effect.promise(() => new Promise((resolve) => setImmediate(resolve)))
      assert.deepStrictEqual(signals.map(({ aborted }) => aborted), [true, false])
      yield* TestClock.adjust("1 second")
      const error = yield* Fiber.join(run)
      assert.strictEqual(error.attempts, 2)
      assert.deepStrictEqual(signals.map(({ aborted }) => aborted), [true, true])
    }))

  it.effect("what ends within the grace is not abandoned, and its data comes too late", () =>
    Effect.gen(function*() {
      const later = new Witness()
      const stage = Stage.work("stuck", { run: Effect.uninterruptible(Effect.as(Effect.sleep("3 seconds"), { n: 1 })) })
      const pipeline = pipelineOf(stage.pipe(Stage.timeout("1 second")), later)
      const error = yield* during(Effect.flip(Pipeline.run(pipeline, Snapshot.make())), "3 seconds")
      assert(error.error instanceof StageError.StageTimeout)
      assert.isFalse(error.error.abandoned)
      assert.deepStrictEqual(error.outputs, {})
      assert.strictEqual(later.started, 0)
    }))
})

describe("R20 what an abandoned stage still does is no part of the run", () => {
  /** Stuck until the gate opens; then it reports, adds, and ends as it is told to. */
  const late = (gate: Deferred.Deferred<object>) =>
    Stage.work("stuck", {
      run: Effect.uninterruptible(Effect.gen(function*() {
        const data = yield* Deferred.await(gate)
        yield* StageContext.emit("late", {})
        yield* StageContext.addArtifact({ type: "late", payload: {} })
        return data
      }))
    })

  it.effect("after a cancel: no event, no output, no dependent, and the result stays", () =>
    Effect.gen(function*() {
      for (const data of [{ done: true }, StageOutput.cancel("late"), StageOutput.fail(broken)]) {
        const gate = yield* Deferred.make<object>()
        const later = new Witness()
        const { events, exit } = yield* recorded(Effect.scoped(Effect.gen(function*() {
          const handle = yield* Pipeline.start(pipelineOf(late(gate), later), Snapshot.make())
          yield* during(handle.cancel("enough"), "10 seconds")
          const result = yield* handle.await
          const before = JSON.stringify(result)
          yield* Deferred.succeed(gate, data)
          yield* TestClock.adjust("1 minute")
          assert.strictEqual(JSON.stringify(result), before)
          assert.deepStrictEqual(yield* handle.status, { stuck: "abandoned", later: "pending" })
          return result
        })))
        assert(exit._tag === "Success" && exit.value._tag === "Cancelled")
        assert.deepStrictEqual(exit.value.outputs, {})
        assert.strictEqual(later.started, 0)
        assert.deepStrictEqual(events.map(({ _tag }) => _tag), [
          "RunStarted",
          "StageStarted",
          "StageInterrupted",
          "RunCancelled"
        ])
      }
    }))

  it.effect("after a timeout: the stage has ended, in a run that goes on as well", () =>
    Effect.gen(function*() {
      const gate = yield* Deferred.make<object>()
      const pipeline = Pipeline.make("pipeline")
        .add(late(gate).pipe(Stage.timeout("1 second", { grace: "1 second" })))
        .add(Stage.work("slow", { run: Effect.sleep("1 minute") }))
      const { events, exit } = yield* recorded(Effect.gen(function*() {
        const run = yield* Effect.forkChild(Pipeline.run(pipeline, Snapshot.make(), { failure: "continue" }))
        yield* TestClock.adjust("2 seconds")
        yield* Deferred.succeed(gate, { done: true })
        yield* TestClock.adjust("1 minute")
        return yield* Fiber.join(run)
      }))
      assert(exit._tag === "Success" && exit.value._tag === "Incomplete")
      assert.deepStrictEqual(exit.value.failed, ["stuck"])
      assert.deepStrictEqual(events.map((event) => [event._tag, Event.isStageEvent(event) ? event.stage : ""]), [
        ["RunStarted", ""],
        ["StageStarted", "stuck"],
        ["StageStarted", "slow"],
        ["StageTimedOut", "stuck"],
        ["StageCompleted", "slow"],
        ["RunIncomplete", ""]
      ])
    }))

  it.effect("an abandoned attempt does not disturb the next one", () =>
    Effect.gen(function*() {
      const gate = yield* Deferred.make<object>()
      const witness = new Witness()
      const run = Effect.suspend((): Effect.Effect<object, never, StageContext.StageContext> =>
        witness.started === 1
          ? late(gate).run(undefined) as Effect.Effect<object>
          : Effect.as(Effect.sleep("1 second"), { n: 2 })
      )
      const stage = Stage.work("stuck", { run: witness.watch(run) })
        .pipe(Stage.timeout("2 seconds", { grace: "1 second" }), Stage.retry(Schedule.recurs(1)))
      const { events, exit } = yield* recorded(Effect.gen(function*() {
        const run = yield* Effect.forkChild(Pipeline.run(Pipeline.make("pipeline").add(stage), Snapshot.make()))
        yield* TestClock.adjust("3 seconds")
        assert.strictEqual(witness.started, 2)
        yield* Deferred.succeed(gate, { n: 1 })
        yield* TestClock.adjust("1 second")
        return yield* Fiber.join(run)
      }))
      assert(exit._tag === "Success")
      assert.deepStrictEqual(exit.value.outputs.stuck.data, { n: 2 })
      assert.deepStrictEqual(exit.value.outputs.stuck.artifacts, [])
      assert.notInclude(events.map(({ _tag }) => _tag), "StageEmitted")
      assert.notInclude(events.map(({ _tag }) => _tag), "ArtifactAdded")
    }))
})
