import { assert, describe, it } from "@effect/vitest"
import { Cause, Data, Duration, Effect, Fiber, Random, Schedule, Schema } from "effect"
import { TestClock } from "effect/testing"
import { type Event, OutputBag, Pipeline, Snapshot, Stage, StageContext, StageError, StageOutput } from "stageflow"
import * as Interceptors from "stageflow/interceptors"
import { Broken, during, recorded, Witness } from "./support/lifecycle.ts"

class Permanent extends Data.TaggedError("Permanent")<{}> {}

const broken = new Broken({ by: "stage" })

/** What is random is the middle of what it could be. */
const halfway: Random.Random = { nextIntUnsafe: () => 0, nextDoubleUnsafe: () => 0.5 }

/** What goes around the stage that fails. */
type Wrap = (
  stage: Stage.Stage<"stage", unknown, {}, never, Broken>
) => Stage.Stage<"stage", unknown, {}, never, unknown>

const retrying = (events: ReadonlyArray<Event.Event>) => events.filter((event) => event._tag === "StageRetrying")

describe("R24 Stage.retry makes exactly the attempts that its policy says", () => {
  const defaults: Readonly<Record<string, readonly [retry: Wrap, waits: ReadonlyArray<number>]>> = {
    "Stage.retry()": [Stage.retry(), [500, 1000]],
    "Stage.retry({ while })": [Stage.retry({ while: () => true }), [500, 1000]],
    "Stage.retry({ faults })": [Stage.retry({ faults: true }), [500, 1000]],
    "Stage.retry({ cap })": [Stage.retry({ cap: "1 minute" }), [500, 1000]],
    "Stage.retry({ attempts: 3 })": [Stage.retry({ attempts: 3 }), [500, 1000]],
    "Stage.retry({ attempts: 8 })": [Stage.retry({ attempts: 8 }), [500, 1000, 2000, 4000, 8000, 15_000, 15_000]],
    "Interceptors.retry()": [Stage.intercept(Interceptors.retry()), [500, 1000]],
    "Interceptors.retry({ while })": [Stage.intercept(Interceptors.retry({ while: () => true })), [500, 1000]],
    "Interceptors.retry({ attempts: 3 })": [Stage.intercept(Interceptors.retry({ attempts: 3 })), [500, 1000]],
    "Interceptors.exponential()": [Stage.intercept(Interceptors.retry(Interceptors.exponential())), [500, 1000]]
  }
  for (const [name, [retry, waits]] of Object.entries(defaults)) {
    it.effect(`${name}: what is not given is 3 attempts, exponential from 1 to 30 seconds, full jitter`, () =>
      Effect.gen(function*() {
        const witness = new Witness()
        const stage = Stage.work("stage", { run: witness.watch(Effect.fail(broken)) }).pipe(retry)
        const { events, exit } = yield* recorded(
          during(Effect.flip(Pipeline.run(Pipeline.make("pipeline").add(stage), Snapshot.make())), "1 hour")
        )
        assert(exit._tag === "Success")
        assert.strictEqual(exit.value.error, broken)
        assert.strictEqual(witness.started, waits.length + 1)
        assert.deepStrictEqual(retrying(events).map(({ delayMs }) => delayMs), waits)
      }).pipe(Effect.provideService(Random.Random, halfway)))
  }

  it.effect("the waits of the default vary from one run to the next", () =>
    Effect.gen(function*() {
      const stage = Stage.work("stage", { run: Effect.fail(broken) }).pipe(Stage.retry({ attempts: 2 }))
      const pipeline = Pipeline.make("pipeline").add(stage)
      const { events } = yield* recorded(
        during(
          Effect.all(Array.from({ length: 50 }, () => Effect.flip(Pipeline.run(pipeline, Snapshot.make())))),
          "1 hour"
        )
      )
      const waits = retrying(events).map(({ delayMs }) => delayMs)
      assert.isAbove(new Set(waits).size, 25)
      for (const wait of waits) assert(wait >= 0 && wait <= 1000, String(wait))
    }))

  it.effect("options that bound nothing are bounded by the default", () =>
    Effect.gen(function*() {
      const witness = new Witness()
      const pipeline = Pipeline.make("pipeline")
        .add(Stage.work("stage", { run: witness.watch(Effect.fail(broken)) }).pipe(Stage.retry({ while: () => true })))
      yield* during(Effect.flip(Pipeline.run(pipeline, Snapshot.make())), "1 hour")
      assert.strictEqual(witness.started, 3)
    }))

  for (const attempts of [1, 2, 5]) {
    it.effect(`attempts: ${attempts} makes ${attempts} attempts, the first included`, () =>
      Effect.gen(function*() {
        const witness = new Witness()
        const pipeline = Pipeline.make("pipeline")
          .add(Stage.work("stage", { run: witness.watch(Effect.fail(broken)) }).pipe(Stage.retry({ attempts })))
        const error = yield* during(Effect.flip(Pipeline.run(pipeline, Snapshot.make())), "1 hour")
        assert.deepStrictEqual(witness.counts, [attempts, 0, attempts, 0])
        assert.strictEqual(error.attempts, attempts)
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

  it.effect("a schedule and attempts: whichever ends first", () =>
    Effect.gen(function*() {
      for (const [recurs, attempts, made] of [[5, 3, 3], [1, 10, 2]] as const) {
        const witness = new Witness()
        const pipeline = Pipeline.make("pipeline")
          .add(
            Stage.work("stage", { run: witness.watch(Effect.fail(broken)) })
              .pipe(Stage.retry({ schedule: Schedule.recurs(recurs), attempts }))
          )
        yield* Effect.flip(Pipeline.run(pipeline, Snapshot.make()))
        assert.strictEqual(witness.started, made)
      }
    }))

  it.effect("a stage that succeeds is not run again", () =>
    Effect.gen(function*() {
      const witness = new Witness()
      const run = Effect.suspend(() =>
        witness.started < 2 ? Effect.fail(broken) : Effect.succeed({ at: witness.started })
      )
      const pipeline = Pipeline.make("pipeline")
        .add(Stage.work("stage", { run: witness.watch(run) }).pipe(Stage.retry(Schedule.recurs(5))))
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
          .add(
            Stage.work("stage", { run: witness.watch(Effect.succeed(output)) }).pipe(Stage.retry(Schedule.recurs(5)))
          )
        yield* Pipeline.run(pipeline, Snapshot.make())
        assert.strictEqual(witness.started, 1)
      }))
  }

  it.effect("a returned and a yielded StageOutput.fail are typed failures", () =>
    Effect.gen(function*() {
      for (const run of [Effect.succeed(StageOutput.fail(broken)), StageOutput.fail(broken)]) {
        const witness = new Witness()
        const pipeline = Pipeline.make("pipeline")
          .add(Stage.work("stage", { run: witness.watch(run) }).pipe(Stage.retry(Schedule.recurs(2))))
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
        .add(Stage.work("stage", { run: witness.watch(run) }).pipe(Stage.retry(Schedule.recurs(2))))
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
            schedule: Schedule.recurs(10),
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

  const boom = new Error("boom")
  const undecided: Readonly<Record<string, { readonly policy: Stage.RetryPolicy; readonly defect: RegExp }>> = {
    "a while that throws": {
      policy: {
        while: () => {
          throw boom
        }
      },
      defect: /^boom$/
    },
    "a while that gives a Promise": {
      policy: { while: (() => Promise.reject(boom)) as unknown as () => boolean },
      defect: /`while`.*true or false.*Promise/
    },
    "a while that gives a text": {
      policy: { while: (() => "no") as unknown as () => boolean },
      defect: /`while`.*true or false.*string/
    },
    "a while that gives nothing": {
      policy: { while: (() => undefined) as unknown as () => boolean },
      defect: /`while`.*true or false.*undefined/
    },
    "a schedule that dies": {
      policy: Schedule.fromStep(Effect.succeed(() => Effect.die(boom))) as Schedule.Schedule<unknown>,
      defect: /^boom$/
    }
  }
  for (const [what, { defect, policy }] of Object.entries(undecided)) {
    it.effect(`${what} is never read as yes or no: the stage fails as it failed, with that in its cause`, () =>
      Effect.gen(function*() {
        const witness = new Witness()
        const pipeline = Pipeline.make("pipeline")
          .add(Stage.work("stage", { run: witness.watch(Effect.fail(broken)) }).pipe(Stage.retry(policy)))
        const error = yield* Effect.flip(Pipeline.run(pipeline, Snapshot.make()))
        assert.strictEqual(error.error, broken)
        const defects = error.cause.reasons.filter(Cause.isDieReason).map((reason) => String(reason.defect))
        assert.match(defects.join().replace(/^\w*Error: /, ""), defect)
        assert.strictEqual(witness.started, 1)
      }))
  }

  it.effect("an error whose retryAfter throws is the stage's error", () =>
    Effect.gen(function*() {
      const hostile = {
        _tag: "Hostile",
        get retryAfter(): unknown {
          throw boom
        }
      } as const
      const pipeline = Pipeline.make("pipeline").add(
        Stage.work("stage", { run: Effect.fail(hostile) }).pipe(Stage.retry(Schedule.recurs(2)))
      )
      const error = yield* Effect.flip(Pipeline.run(pipeline, Snapshot.make()))
      assert.strictEqual(error.error, hostile)
      assert.deepStrictEqual(error.cause.reasons.filter(Cause.isDieReason).map((reason) => reason.defect), [boom])
    }))

  it.effect("a request that a schedule cannot answer is one that nobody grants", () =>
    Effect.gen(function*() {
      const policy = Schedule.fromStep(Effect.succeed(() => Effect.die(boom))) as Schedule.Schedule<unknown>
      const pipeline = Pipeline.make("pipeline").add(
        Stage.work("stage", { run: Effect.succeed(StageOutput.retry("not yet")) }).pipe(Stage.retry(policy))
      )
      const error = yield* Effect.flip(Pipeline.run(pipeline, Snapshot.make()))
      assert.instanceOf(error.error, StageError.RetryExhausted)
      assert.deepStrictEqual(error.cause.reasons.filter(Cause.isDieReason).map((reason) => reason.defect), [boom])
    }))

  const faults = [
    { fault: "a defect", run: Effect.die(new Error("boom")) },
    // A program without types can return anything.
    { fault: "an invalid return value", run: Effect.succeed(Number.NaN as unknown as object) }
  ]
  for (const { fault, run } of faults) {
    it.effect(`${fault} is tried once, unless faults asks for more`, () =>
      Effect.gen(function*() {
        for (const [faults, attempts] of [[false, 1], [true, 3]] as const) {
          const witness = new Witness()
          const pipeline = Pipeline.make("pipeline")
            .add(
              Stage.work("stage", { run: witness.watch(run) }).pipe(
                Stage.retry({ schedule: Schedule.recurs(2), faults })
              )
            )
          const error = yield* Effect.flip(Pipeline.run(pipeline, Snapshot.make()))
          assert.instanceOf(error.error, StageError.StageFault)
          assert.strictEqual(witness.started, attempts)
          assert.strictEqual(error.attempts, attempts)
        }
      }))
  }

  it.effect("data that the output schema rejects is tried once, unless faults asks for more", () =>
    Effect.gen(function*() {
      for (const [faults, attempts] of [[false, 1], [true, 3]] as const) {
        const witness = new Witness()
        const run = witness.watch(Effect.succeed({ text: 1 as unknown as string }))
        const pipeline = Pipeline.make("pipeline").add(
          Stage.transform("stage", { output: Schema.Struct({ text: Schema.String }), run }).pipe(
            Stage.retry({ schedule: Schedule.recurs(2), faults })
          )
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
        Stage.work("stage", { run: witness.watch(Effect.interrupt) }).pipe(
          Stage.retry({ schedule: Schedule.recurs(2), faults: true })
        )
      )
      yield* Effect.flip(Pipeline.run(pipeline, Snapshot.make()))
      assert.strictEqual(witness.started, 1)
    }))

  it.effect("an interrupted attempt is not tried again", () =>
    Effect.gen(function*() {
      const witness = new Witness()
      const pipeline = Pipeline.make("pipeline").add(
        Stage.work("stage", { run: witness.watch(Effect.never) }).pipe(
          Stage.retry({ schedule: Schedule.recurs(5), faults: true })
        )
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
        const policy = { schedule: Schedule.spaced(spaced), attempts: 2, ...rest }
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

  const afterwards: ReadonlyArray<readonly [how: string, retryAfter: unknown, waited: number]> = [
    ["a Duration", Duration.seconds(12), 12_000],
    ["a number of seconds", 12, 12_000],
    ["part of a second", 0.25, 250],
    ["seconds as a header has them", "12", 12_000],
    ["a duration as a text", "12 seconds", 12_000],
    ["an HTTP date", "Thu, 01 Jan 1970 01:00:12 GMT", 12_000],
    ["an HTTP date of RFC 850", "Thursday, 01-Jan-70 01:00:12 GMT", 12_000],
    ["an HTTP date of asctime", "Thu Jan  1 01:00:12 1970", 12_000],
    ["a Date", new Date(3_612_000), 12_000],
    ["more than the cap", 100_000, 20_000],
    ["for ever", Number.POSITIVE_INFINITY, 20_000],
    ["a date that is over", "Thu, 01 Jan 1970 00:59:59 GMT", 1000],
    ["less than the schedule waits", 0.5, 1000],
    ["nothing", 0, 1000],
    ["less than nothing", -5, 1000],
    ["no number", Number.NaN, 1000],
    ["no date", new Date(Number.NaN), 1000],
    ["a text that says nothing", "soon", 1000],
    ["an empty text", "", 1000],
    ["a text with more than a number", "12 apples", 1000],
    ["a number that is no header", "1e9", 1000],
    ["a date that no header has", "1970-01-01T01:00:12Z", 1000],
    ["an object", { seconds: 12 }, 1000],
    ["yes", true, 1000],
    ["null", null, 1000]
  ]
  for (const [how, retryAfter, waited] of afterwards) {
    it.effect(`an error's retryAfter: ${how}`, () =>
      Effect.gen(function*() {
        yield* TestClock.setTime(3_600_000)
        const policy = {
          schedule: Schedule.spaced(waited === 250 ? "100 millis" : "1 second"),
          attempts: 2,
          cap: "20 seconds"
        } as const
        const pipeline = Pipeline.make("pipeline").add(
          Stage.work("stage", { run: Effect.fail({ _tag: "Busy", retryAfter } as const) }).pipe(Stage.retry(policy))
        )
        const { events } = yield* recorded(
          during(Effect.flip(Pipeline.run(pipeline, Snapshot.make())), "1 hour")
        )
        assert.deepStrictEqual(retrying(events).map(({ delayMs }) => delayMs), [waited])
      }))
  }

  it.effect("while is about errors: it has no say in a retry that the stage asks for", () =>
    Effect.gen(function*() {
      const witness = new Witness()
      const pipeline = Pipeline.make("pipeline").add(
        Stage.work("stage", { run: witness.watch(Effect.succeed(StageOutput.retry("not yet"))) })
          .pipe(Stage.retry({ schedule: Schedule.recurs(2), while: () => false }))
      )
      yield* Effect.flip(Pipeline.run(pipeline, Snapshot.make()))
      assert.strictEqual(witness.started, 3)
    }))

  it.effect("each attempt has its own timeout, and a timeout is tried again", () =>
    Effect.gen(function*() {
      const witness = new Witness()
      const pipeline = Pipeline.make("pipeline").add(
        Stage.work("stage", { run: witness.watch(Effect.never) })
          .pipe(Stage.timeout("10 seconds"), Stage.retry(Schedule.recurs(2)))
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
          .pipe(Stage.timeout("10 seconds"), Stage.retry(Schedule.recurs(9)), Stage.timeout("25 seconds"))
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
      const pipeline = Pipeline.make("pipeline").add(Stage.work("stage", { run }).pipe(Stage.retry(Schedule.recurs(2))))
      yield* Effect.flip(Pipeline.run(pipeline, Snapshot.make()))
      assert.deepStrictEqual(seen, [1, 2, 3])
    }))

  it.effect("nested policies multiply, and attempts are counted through", () =>
    Effect.gen(function*() {
      const witness = new Witness()
      const pipeline = Pipeline.make("pipeline").add(
        Stage.work("stage", { run: witness.watch(Effect.fail(broken)) })
          .pipe(Stage.retry(Schedule.recurs(1)), Stage.retry(Schedule.recurs(2)))
      )
      const error = yield* Effect.flip(Pipeline.run(pipeline, Snapshot.make()))
      assert.strictEqual(witness.started, 6)
      assert.strictEqual(error.attempts, 6)
      assert.deepStrictEqual(error.bag.entries.map(({ attempt }) => attempt), [1, 2, 3, 4, 5, 6])
    }))

  it.effect("an exhausted request can be handled as the typed error that it is", () =>
    Effect.gen(function*() {
      const stage = Stage.work("stage", { run: Effect.succeed(StageOutput.retry("not yet")) }).pipe(
        Stage.retry(Schedule.recurs(1)),
        Stage.catch((error) => Effect.succeed({ gaveUpAfter: error.attempts }))
      )
      const result = yield* Pipeline.run(Pipeline.make("pipeline").add(stage), Snapshot.make())
      assert.deepStrictEqual(result.outputs.stage.data, { gaveUpAfter: 2 })
    }))

  it.effect("one policy serves any number of stages and runs: it holds nothing of them", () =>
    Effect.gen(function*() {
      const witness = new Witness()
      const policy = Stage.retry(Schedule.recurs(2))
      const pipeline = Pipeline.make("pipeline")
        .add(Stage.work("one", { run: witness.watch(Effect.fail(broken)) }).pipe(policy))
        .add(Stage.work("two", { run: witness.watch(Effect.fail(broken)) }).pipe(policy))
      yield* Effect.all([1, 2, 3].map(() => Pipeline.run(pipeline, Snapshot.make(), { failure: "continue" })))
      assert.strictEqual(witness.started, 18)
    }))

  it("a policy of other words is rejected when the stage is built", () => {
    const stage = Stage.work("stage", { run: Effect.void })
    assert.throws(
      () => Stage.retry(stage, { times: 3 } as never),
      /Invalid option "times": expected one of schedule, attempts, while, faults, cap/
    )
  })

  for (const attempts of [0, -1, 1.5, Number.NaN, Number.POSITIVE_INFINITY, "3" as unknown as number]) {
    it(`attempts: ${JSON.stringify(attempts)} (${attempts}) is rejected when the stage is built`, () => {
      const stage = Stage.work("stage", { run: Effect.void })
      assert.throws(() => Stage.retry(stage, { attempts }), StageError.InvalidOption)
    })
  }
})
