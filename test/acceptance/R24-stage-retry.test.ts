import { assert, describe, it } from "@effect/vitest"
import { Data, Duration, Effect, Fiber, Schedule, Schema } from "effect"
import { TestClock } from "effect/testing"
import { type Event, OutputBag, Pipeline, Snapshot, Stage, StageContext, StageError, StageOutput } from "stageflow"
import { Broken, during, recorded, Witness } from "./support/lifecycle.ts"

class Permanent extends Data.TaggedError("Permanent")<{}> {}

const broken = new Broken({ by: "stage" })

const retrying = (events: ReadonlyArray<Event.Event>) => events.filter((event) => event._tag === "StageRetrying")

describe("R24 Stage.retry makes exactly the attempts that its policy says", () => {
  it.effect("3 attempts with exponential backoff when nothing is given", () =>
    Effect.gen(function*() {
      const times: Array<number> = []
      const witness = new Witness()
      const run = Effect.andThen(
        TestClock.testClockWith((clock) => Effect.sync(() => times.push(clock.currentTimeMillisUnsafe()))),
        Effect.fail(broken)
      )
      const pipeline = Pipeline.make("pipeline")
        .add(Stage.work("stage", { run: witness.watch(run) }).pipe(Stage.retry()))
      const { events, exit } = yield* recorded(
        during(Effect.flip(Pipeline.run(pipeline, Snapshot.make())), "1 hour")
      )
      assert(exit._tag === "Success")
      assert.strictEqual(exit.value.error, broken)
      assert.strictEqual(exit.value.attempts, 3)
      assert.deepStrictEqual(times, [0, 1000, 3000])
      assert.deepStrictEqual(retrying(events).map(({ attempt, delayMs }) => [attempt, delayMs]), [[1, 1000], [2, 2000]])
    }))

  it.effect("options that bound nothing are bounded by the default", () =>
    Effect.gen(function*() {
      const witness = new Witness()
      const pipeline = Pipeline.make("pipeline")
        .add(Stage.work("stage", { run: witness.watch(Effect.fail(broken)) }).pipe(Stage.retry({ while: () => true })))
      yield* during(Effect.flip(Pipeline.run(pipeline, Snapshot.make())), "1 hour")
      assert.strictEqual(witness.started, 3)
    }))

  for (const times of [0, 1, 4]) {
    it.effect(`times: ${times} makes ${times + 1} attempts`, () =>
      Effect.gen(function*() {
        const witness = new Witness()
        const pipeline = Pipeline.make("pipeline")
          .add(Stage.work("stage", { run: witness.watch(Effect.fail(broken)) }).pipe(Stage.retry({ times })))
        const error = yield* Effect.flip(Pipeline.run(pipeline, Snapshot.make()))
        assert.deepStrictEqual(witness.counts, [times + 1, 0, times + 1, 0])
        assert.strictEqual(error.attempts, times + 1)
        assert.strictEqual(error.durationMs, 0)
      }))
  }

  it.effect("a schedule alone is a policy: its recurrences are the attempts after the first", () =>
    Effect.gen(function*() {
      const witness = new Witness()
      const policy = Schedule.upTo(Schedule.spaced("10 seconds"), { times: 3 })
      const pipeline = Pipeline.make("pipeline")
        .add(Stage.work("stage", { run: witness.watch(Effect.fail(broken)) }).pipe(Stage.retry(policy)))
      const run = yield* Effect.forkChild(Effect.flip(Pipeline.run(pipeline, Snapshot.make())))
      assert.strictEqual(witness.started, 0)
      yield* TestClock.adjust("9 seconds")
      assert.strictEqual(witness.started, 1)
      yield* TestClock.adjust("1 second")
      assert.strictEqual(witness.started, 2)
      yield* TestClock.adjust("1 hour")
      assert.strictEqual(witness.started, 4)
      assert.strictEqual((yield* Fiber.join(run)).attempts, 4)
    }))

  it.effect("a schedule and times: whichever ends first", () =>
    Effect.gen(function*() {
      for (const [recurs, times, attempts] of [[5, 2, 3], [1, 9, 2]] as const) {
        const witness = new Witness()
        const pipeline = Pipeline.make("pipeline")
          .add(
            Stage.work("stage", { run: witness.watch(Effect.fail(broken)) })
              .pipe(Stage.retry({ schedule: Schedule.recurs(recurs), times }))
          )
        yield* Effect.flip(Pipeline.run(pipeline, Snapshot.make()))
        assert.strictEqual(witness.started, attempts)
      }
    }))

  it.effect("a stage that succeeds is not run again", () =>
    Effect.gen(function*() {
      const witness = new Witness()
      const run = Effect.suspend(() =>
        witness.started < 2 ? Effect.fail(broken) : Effect.succeed({ at: witness.started })
      )
      const pipeline = Pipeline.make("pipeline")
        .add(Stage.work("stage", { run: witness.watch(run) }).pipe(Stage.retry({ times: 5 })))
      const result = yield* Pipeline.run(pipeline, Snapshot.make())
      assert.deepStrictEqual(result.outputs.stage.data, { at: 2 })
      assert.strictEqual(witness.started, 2)
      assert.deepStrictEqual(OutputBag.retried(result.bag), ["stage"])
      assert.deepStrictEqual(
        result.bag.entries.map(({ attempt, end }) => [attempt, end._tag]),
        [[1, "Failed"], [2, "Settled"]]
      )
    }))

  for (const output of [StageOutput.skip("nothing to do"), StageOutput.cancel("enough")]) {
    it.effect(`${output._tag} is an outcome, not a failure: it is not tried again`, () =>
      Effect.gen(function*() {
        const witness = new Witness()
        const pipeline = Pipeline.make("pipeline")
          .add(Stage.work("stage", { run: witness.watch(Effect.succeed(output)) }).pipe(Stage.retry({ times: 5 })))
        yield* Pipeline.run(pipeline, Snapshot.make())
        assert.strictEqual(witness.started, 1)
      }))
  }

  it.effect("a returned and a yielded StageOutput.fail are typed failures", () =>
    Effect.gen(function*() {
      for (const run of [Effect.succeed(StageOutput.fail(broken)), StageOutput.fail(broken)]) {
        const witness = new Witness()
        const pipeline = Pipeline.make("pipeline")
          .add(Stage.work("stage", { run: witness.watch(run) }).pipe(Stage.retry({ times: 2 })))
        const error = yield* Effect.flip(Pipeline.run(pipeline, Snapshot.make()))
        assert.strictEqual(error.error, broken)
        assert.strictEqual(witness.started, 3)
      }
    }))

  it.effect("a failure among parallel work of the stage is a typed failure", () =>
    Effect.gen(function*() {
      const witness = new Witness()
      const run = Effect.all([Effect.never, Effect.fail(broken)], { concurrency: "unbounded", discard: true })
      const pipeline = Pipeline.make("pipeline")
        .add(Stage.work("stage", { run: witness.watch(run) }).pipe(Stage.retry({ times: 2 })))
      yield* Effect.flip(Pipeline.run(pipeline, Snapshot.make()))
      assert.strictEqual(witness.started, 3)
    }))

  it.effect("permanent errors are tried once: while looks at the typed error", () =>
    Effect.gen(function*() {
      const asked: Array<string> = []
      const witness = new Witness()
      const run = Effect.suspend((): Effect.Effect<void, Broken | Permanent> =>
        witness.started < 3 ? Effect.fail(broken) : Effect.fail(new Permanent())
      )
      const pipeline = Pipeline.make("pipeline")
        .add(
          Stage.work("stage", { run: witness.watch(run) }).pipe(Stage.retry({
            times: 10,
            while: (error: Broken | Permanent) => {
              asked.push(error._tag)
              return error._tag === "Broken"
            }
          }))
        )
      const error = yield* Effect.flip(Pipeline.run(pipeline, Snapshot.make()))
      assert.instanceOf(error.error, Permanent)
      assert.strictEqual(error.attempts, 3)
      assert.deepStrictEqual(asked, ["Broken", "Broken", "Permanent"])
    }))

  it.effect("a while that throws fails the stage, it is never read as yes or no", () =>
    Effect.gen(function*() {
      const witness = new Witness()
      const pipeline = Pipeline.make("pipeline")
        .add(
          Stage.work("stage", { run: witness.watch(Effect.fail(broken)) }).pipe(Stage.retry({
            times: 10,
            while: (_: Broken) => {
              throw new Error("boom")
            }
          }))
        )
      const error = yield* Effect.flip(Pipeline.run(pipeline, Snapshot.make()))
      assert.instanceOf(error.error, StageError.StageFault)
      assert.strictEqual(witness.started, 1)
    }))

  const faults = [
    { fault: "a defect", run: Effect.die(new Error("boom")) },
    // A program without types can return anything.
    { fault: "an invalid return value", run: Effect.succeed(Number.NaN as unknown as object) }
  ]
  for (const { fault, run } of faults) {
    it.effect(`${fault} is tried once, unless faults asks for more`, () =>
      Effect.gen(function*() {
        for (const [policy, attempts] of [[{ times: 2 }, 1], [{ times: 2, faults: true }, 3]] as const) {
          const witness = new Witness()
          const pipeline = Pipeline.make("pipeline")
            .add(Stage.work("stage", { run: witness.watch(run) }).pipe(Stage.retry(policy)))
          const error = yield* Effect.flip(Pipeline.run(pipeline, Snapshot.make()))
          assert.instanceOf(error.error, StageError.StageFault)
          assert.strictEqual(witness.started, attempts)
          assert.strictEqual(error.attempts, attempts)
        }
      }))
  }

  it.effect("data that the output schema rejects is tried once, unless faults asks for more", () =>
    Effect.gen(function*() {
      for (const [policy, attempts] of [[{ times: 2 }, 1], [{ times: 2, faults: true }, 3]] as const) {
        const witness = new Witness()
        const run = witness.watch(Effect.succeed({ text: 1 as unknown as string }))
        const pipeline = Pipeline.make("pipeline").add(
          Stage.transform("stage", { output: Schema.Struct({ text: Schema.String }), run }).pipe(Stage.retry(policy))
        )
        const error = yield* Effect.flip(Pipeline.run(pipeline, Snapshot.make()))
        assert.instanceOf(error.error, StageError.StageFault)
        assert.strictEqual(witness.started, attempts)
      }
    }))

  it.effect("a stage that interrupts itself is tried once, faults or not", () =>
    Effect.gen(function*() {
      const witness = new Witness()
      const pipeline = Pipeline.make("pipeline").add(
        Stage.work("stage", { run: witness.watch(Effect.interrupt) }).pipe(Stage.retry({ times: 2, faults: true }))
      )
      yield* Effect.flip(Pipeline.run(pipeline, Snapshot.make()))
      assert.strictEqual(witness.started, 1)
    }))

  it.effect("an interrupted attempt is not tried again", () =>
    Effect.gen(function*() {
      const witness = new Witness()
      const pipeline = Pipeline.make("pipeline").add(
        Stage.work("stage", { run: witness.watch(Effect.never) }).pipe(Stage.retry({ times: 5, faults: true }))
      )
      const run = yield* Effect.forkChild(Pipeline.run(pipeline, Snapshot.make()))
      yield* TestClock.adjust("1 second")
      yield* Fiber.interrupt(run)
      yield* TestClock.adjust("1 hour")
      assert.deepStrictEqual(witness.counts, [1, 0, 0, 1])
    }))

  it.effect("an interruption between two attempts ends the retrying", () =>
    Effect.gen(function*() {
      const witness = new Witness()
      const pipeline = Pipeline.make("pipeline").add(
        Stage.work("stage", { run: witness.watch(Effect.fail(broken)) }).pipe(Stage.retry(Schedule.spaced("1 minute")))
      )
      const run = yield* Effect.forkChild(Pipeline.run(pipeline, Snapshot.make()))
      yield* TestClock.adjust("90 seconds")
      assert.strictEqual(witness.started, 2)
      yield* Fiber.interrupt(run)
      yield* TestClock.adjust("1 hour")
      assert.strictEqual(witness.started, 2)
    }))

  const waits = [
    { how: "after is waited for at least", spaced: "1 second", after: "20 seconds", waited: 20_000 },
    { how: "a longer wait of the schedule stays", spaced: "2 minutes", after: "20 seconds", waited: 120_000 },
    { how: "after is granted up to 30 seconds", spaced: "1 second", after: "1 minute", waited: 30_000 },
    { how: "after is granted up to the cap", spaced: "1 second", after: "1 hour", cap: "45 seconds", waited: 45_000 }
  ] as const
  for (const { after, how, spaced, waited, ...rest } of waits) {
    it.effect(how, () =>
      Effect.gen(function*() {
        const asking = StageOutput.retry("not yet", { after })
        const policy = { schedule: Schedule.spaced(spaced), times: 1, ...rest }
        const pipeline = Pipeline.make("pipeline")
          .add(Stage.work("stage", { run: Effect.succeed(asking) }).pipe(Stage.retry(policy)))
        const { events, exit } = yield* recorded(
          during(Effect.flip(Pipeline.run(pipeline, Snapshot.make())), "1 hour")
        )
        assert(exit._tag === "Success")
        assert.strictEqual(exit.value.durationMs, waited)
        const [told] = retrying(events)
        assert.strictEqual(told?.delayMs, waited)
        assert.strictEqual(told.reason, "not yet")
        assert.isUndefined(told.error)
      }))
  }

  it.effect("while is about errors: it has no say in a retry that the stage asks for", () =>
    Effect.gen(function*() {
      const witness = new Witness()
      const pipeline = Pipeline.make("pipeline").add(
        Stage.work("stage", { run: witness.watch(Effect.succeed(StageOutput.retry("not yet"))) })
          .pipe(Stage.retry({ times: 2, while: () => false }))
      )
      yield* Effect.flip(Pipeline.run(pipeline, Snapshot.make()))
      assert.strictEqual(witness.started, 3)
    }))

  it.effect("each attempt has its own timeout, and a timeout is tried again", () =>
    Effect.gen(function*() {
      const witness = new Witness()
      const pipeline = Pipeline.make("pipeline").add(
        Stage.work("stage", { run: witness.watch(Effect.never) })
          .pipe(Stage.timeout("10 seconds"), Stage.retry({ times: 2 }))
      )
      const error = yield* during(Effect.flip(Pipeline.run(pipeline, Snapshot.make())), "30 seconds")
      assert(error.error instanceof StageError.StageTimeout)
      assert.strictEqual(error.error.attempt, 3)
      assert.strictEqual(error.attempts, 3)
      assert.strictEqual(error.durationMs, 30_000)
      assert.deepStrictEqual(witness.counts, [3, 0, 0, 3])
    }))

  it.effect("the deadline around all attempts holds", () =>
    Effect.gen(function*() {
      const witness = new Witness()
      const pipeline = Pipeline.make("pipeline").add(
        Stage.work("stage", { run: witness.watch(Effect.never) })
          .pipe(Stage.timeout("10 seconds"), Stage.retry({ times: 9 }), Stage.timeout("25 seconds"))
      )
      const error = yield* during(Effect.flip(Pipeline.run(pipeline, Snapshot.make())), "25 seconds")
      assert(error.error instanceof StageError.StageTimeout)
      assert.deepStrictEqual(error.error.timeout, Duration.seconds(25))
      assert.strictEqual(error.error.attempt, 3)
      assert.strictEqual(error.attempts, 3)
      yield* TestClock.adjust("1 hour")
      assert.deepStrictEqual(witness.counts, [3, 0, 0, 3])
    }))

  it.effect("a stage knows which attempt it is", () =>
    Effect.gen(function*() {
      const seen: Array<number> = []
      const run = Effect.gen(function*() {
        const { attempt } = yield* StageContext.StageContext
        seen.push(attempt)
        return yield* broken
      })
      const pipeline = Pipeline.make("pipeline").add(Stage.work("stage", { run }).pipe(Stage.retry({ times: 2 })))
      yield* Effect.flip(Pipeline.run(pipeline, Snapshot.make()))
      assert.deepStrictEqual(seen, [1, 2, 3])
    }))

  it.effect("nested policies multiply, and attempts are counted through", () =>
    Effect.gen(function*() {
      const witness = new Witness()
      const pipeline = Pipeline.make("pipeline").add(
        Stage.work("stage", { run: witness.watch(Effect.fail(broken)) })
          .pipe(Stage.retry({ times: 1 }), Stage.retry({ times: 2 }))
      )
      const error = yield* Effect.flip(Pipeline.run(pipeline, Snapshot.make()))
      assert.strictEqual(witness.started, 6)
      assert.strictEqual(error.attempts, 6)
      assert.deepStrictEqual(error.bag.entries.map(({ attempt }) => attempt), [1, 2, 3, 4, 5, 6])
    }))

  it.effect("an exhausted request can be handled as the typed error that it is", () =>
    Effect.gen(function*() {
      const stage = Stage.work("stage", { run: Effect.succeed(StageOutput.retry("not yet")) }).pipe(
        Stage.retry({ times: 1 }),
        Stage.catch((error) => Effect.succeed({ gaveUpAfter: error.attempts }))
      )
      const result = yield* Pipeline.run(Pipeline.make("pipeline").add(stage), Snapshot.make())
      assert.deepStrictEqual(result.outputs.stage.data, { gaveUpAfter: 2 })
    }))

  it.effect("one policy serves any number of stages and runs: it holds nothing of them", () =>
    Effect.gen(function*() {
      const witness = new Witness()
      const policy = Stage.retry({ times: 2 })
      const pipeline = Pipeline.make("pipeline")
        .add(Stage.work("one", { run: witness.watch(Effect.fail(broken)) }).pipe(policy))
        .add(Stage.work("two", { run: witness.watch(Effect.fail(broken)) }).pipe(policy))
      yield* Effect.all([1, 2, 3].map(() => Pipeline.run(pipeline, Snapshot.make(), { failure: "continue" })))
      assert.strictEqual(witness.started, 18)
    }))

  for (const times of [-1, 1.5, Number.NaN, Number.POSITIVE_INFINITY, "3" as unknown as number]) {
    it(`times: ${JSON.stringify(times)} (${times}) is rejected when the stage is built`, () => {
      const stage = Stage.work("stage", { run: Effect.void })
      assert.throws(() => Stage.retry(stage, { times }), StageError.InvalidOption)
    })
  }
})
