import { assert, describe, it } from "@effect/vitest"
import { Cause, Duration, Effect, Option, Schedule } from "effect"
import { TestClock } from "effect/testing"
import { Pipeline, Snapshot, Stage, StageError } from "stageflow"
import { Broken, during, FiberCount, Witness } from "./support/lifecycle.ts"

const broken = new Broken({ by: "stage" })

const run = (stage: Stage.Stage<"stage", unknown, object, never, unknown>) =>
  Pipeline.run(Pipeline.make("pipeline").add(stage), Snapshot.make())

const never = Stage.work("stage", { run: Effect.never })

const timeoutOf = (error: { readonly error: unknown }) => {
  assert(error.error instanceof StageError.StageTimeout)
  return error.error
}

describe("R21 timeouts are per stage", () => {
  it.effect("a stage that takes longer is interrupted and fails with StageTimeout", () =>
    Effect.gen(function*() {
      const witness = new Witness()
      const stage = Stage.work("stage", { run: witness.watch(Effect.sleep("1 minute")) }).pipe(
        Stage.timeout("5 seconds")
      )
      const error = yield* during(Effect.flip(run(stage)), "5 seconds")
      const timeout = timeoutOf(error)
      assert.strictEqual(timeout._tag, "StageTimeout")
      assert.strictEqual(timeout.code, "STAGE_TIMEOUT")
      assert.strictEqual(timeout.stage, "stage")
      assert.strictEqual(timeout.attempt, 1)
      assert.isFalse(timeout.abandoned)
      assert.deepStrictEqual(timeout.timeout, Duration.seconds(5))
      assert.include(timeout.message, "\"stage\"")
      assert.strictEqual(error.durationMs, 5000)
      yield* TestClock.adjust("1 hour")
      assert.deepStrictEqual(witness.counts, [1, 0, 0, 1])
    }))

  it.effect("a stage that ends in time is none the wiser, and nothing of the timeout is left", () =>
    Effect.gen(function*() {
      const fibers = new FiberCount()
      const stages = [
        Stage.work("stage", { run: Effect.as(Effect.sleep("4 seconds"), { n: 1 }) }),
        Stage.work("stage", { run: Effect.succeed({ n: 1 }) })
      ]
      for (const stage of stages) {
        const result = yield* fibers.count(during(run(stage.pipe(Stage.timeout("5 seconds"))), "4 seconds"))
        assert.deepStrictEqual(result.outputs.stage.data, { n: 1 })
        assert.strictEqual(fibers.running, 0)
      }
      const failing = Stage.work("stage", { run: Effect.fail(broken) }).pipe(Stage.timeout("5 seconds"))
      assert.strictEqual((yield* Effect.flip(run(failing))).error, broken)
    }))

  it.effect("30 seconds when nothing is given", () =>
    Effect.gen(function*() {
      const error = yield* during(Effect.flip(run(never.pipe(Stage.timeout()))), "30 seconds")
      assert.strictEqual(error.durationMs, 30_000)
    }))

  it.effect("each stage has its own, and time spent waiting for others does not count", () =>
    Effect.gen(function*() {
      const three = Effect.sleep("3 seconds")
      const pipeline = Pipeline.make("pipeline")
        .add(Stage.work("one", { run: three }).pipe(Stage.timeout("4 seconds")))
        .add(Stage.work("two", { run: three }).pipe(Stage.timeout("4 seconds")), { after: ["one"] })
        .add(Stage.work("three", { run: three }).pipe(Stage.timeout("4 seconds")), { after: ["two"] })
        .add(Stage.work("long", { run: Effect.sleep("8 seconds") }).pipe(Stage.timeout("9 seconds")))
      const result = yield* during(Pipeline.run(pipeline, Snapshot.make()), "9 seconds")
      assert.strictEqual(result._tag, "Completed")
    }))

  it.effect("time spent waiting for a turn does not count", () =>
    Effect.gen(function*() {
      const three = Effect.sleep("3 seconds")
      const pipeline = Pipeline.make("pipeline")
        .add(Stage.work("one", { run: three }).pipe(Stage.timeout("4 seconds")))
        .add(Stage.work("two", { run: three }).pipe(Stage.timeout("4 seconds")))
      const result = yield* during(Pipeline.run(pipeline, Snapshot.make(), { concurrency: 1 }), "6 seconds")
      assert.strictEqual(result._tag, "Completed")
    }))

  it.effect("a stage under another name times out under that name", () =>
    Effect.gen(function*() {
      const pipeline = Pipeline.make("pipeline").add(never.pipe(Stage.timeout("1 second"), Stage.as("other")))
      const error = yield* during(Effect.flip(Pipeline.run(pipeline, Snapshot.make())), "1 second")
      assert.strictEqual(timeoutOf(error).stage, "other")
    }))

  it.effect("a timeout longer than a timer can count is no timeout at once", () =>
    Effect.gen(function*() {
      for (const timeout of [Duration.days(365), Duration.infinity]) {
        const stage = Stage.work("stage", { run: Effect.as(Effect.sleep("30 days"), { n: 1 }) }).pipe(
          Stage.timeout(timeout)
        )
        const result = yield* during(run(stage), "30 days")
        assert.deepStrictEqual(result.outputs.stage.data, { n: 1 })
      }
    }))
})

describe("R21 timeouts are per attempt", () => {
  it.effect("inside a retry, a timeout limits each attempt and the next attempt has its full time", () =>
    Effect.gen(function*() {
      const witness = new Witness()
      // Slower than the timeout but for the third attempt.
      const body = Effect.suspend(() => Effect.sleep(witness.started < 3 ? "1 minute" : "4 seconds"))
      const stage = Stage.work("stage", { run: witness.watch(body) })
        .pipe(Stage.timeout("5 seconds"), Stage.retry(Schedule.recurs(4)))
      const result = yield* during(run(stage), "14 seconds")
      assert.strictEqual(result.durationMs, 14_000)
      assert.deepStrictEqual(witness.counts, [3, 1, 0, 2])
    }))

  it.effect("the error says which attempt it was", () =>
    Effect.gen(function*() {
      const stage = never.pipe(Stage.timeout("1 second"), Stage.retry(Schedule.recurs(2)))
      const error = yield* during(Effect.flip(run(stage)), "3 seconds")
      assert.strictEqual(timeoutOf(error).attempt, 3)
    }))

  it.effect("outside of the retry it limits all attempts together", () =>
    Effect.gen(function*() {
      const witness = new Witness()
      const stage = Stage.work("stage", {
        run: witness.watch(Effect.andThen(Effect.sleep("2 seconds"), Effect.fail(broken)))
      })
        .pipe(Stage.retry(Schedule.recurs(9)), Stage.timeout("5 seconds"))
      const error = yield* during(Effect.flip(run(stage)), "5 seconds")
      assert.deepStrictEqual(timeoutOf(error).timeout, Duration.seconds(5))
      assert.strictEqual(witness.started, 3)
    }))
})

describe("R21 timeouts nest", () => {
  const nestings = [
    { inner: 2, outer: 5, ends: 2 },
    { inner: 5, outer: 2, ends: 2 },
    { inner: 5, outer: 7, ends: 5 }
  ]
  for (const { ends, inner, outer } of nestings) {
    it.effect(`${inner} seconds inside ${outer} seconds: the shorter one decides`, () =>
      Effect.gen(function*() {
        const witness = new Witness()
        const stage = Stage.work("stage", { run: witness.watch(Effect.never) })
          .pipe(Stage.timeout(Duration.seconds(inner)), Stage.timeout(Duration.seconds(outer)))
        const error = yield* during(Effect.flip(run(stage)), Duration.seconds(ends))
        assert.deepStrictEqual(timeoutOf(error).timeout, Duration.seconds(ends))
        assert.strictEqual(error.durationMs, ends * 1000)
        assert.deepStrictEqual(error.cause.reasons.length, 1)
        yield* TestClock.adjust("1 hour")
        assert.deepStrictEqual(witness.counts, [1, 0, 0, 1])
      }))
  }

  it.effect("a timeout of a sub-pipeline's stage inside that of its parent's", () =>
    Effect.gen(function*() {
      const child = (limit: Duration.Input) =>
        Pipeline.make("child").add(Stage.work("leaf", { run: Effect.never }).pipe(Stage.timeout(limit)))
      const parent = (limit: Duration.Input) =>
        Stage.work("stage", { run: Effect.asVoid(Pipeline.run(child(limit), Snapshot.make())) })
          .pipe(Stage.timeout("5 seconds"))

      const fromChild = yield* during(Effect.flip(run(parent("2 seconds"))), "2 seconds")
      // The child's failure is the parent stage's failure, as it is.
      assert.strictEqual((fromChild.error as { readonly _tag: string })._tag, "StageFailed")
      const inner = fromChild.error as unknown as { readonly error: unknown }
      assert.strictEqual(timeoutOf(inner).stage, "leaf")

      const fromParent = yield* during(Effect.flip(run(parent("9 seconds"))), "5 seconds")
      assert.strictEqual(timeoutOf(fromParent).stage, "stage")
    }))
})

describe("R21 a TimeoutError that a stage raises itself is that stage's error", () => {
  const own = [
    { how: "by Effect.timeout", body: Effect.timeout(Effect.never, "1 second") },
    { how: "by hand", body: Effect.andThen(Effect.sleep("1 second"), Effect.fail(new Cause.TimeoutError())) }
  ]
  for (const { body, how } of own) {
    it.effect(`raised ${how}`, () =>
      Effect.gen(function*() {
        for (
          const stage of [
            Stage.work("stage", { run: body }),
            Stage.work("stage", { run: body }).pipe(Stage.timeout("5 seconds"))
          ]
        ) {
          const error = yield* during(Effect.flip(run(stage)), "1 second")
          assert.isTrue(Cause.isTimeoutError(error.error))
          assert.notInstanceOf(error.error, StageError.StageTimeout)
          assert.strictEqual(error.durationMs, 1000)
        }
      }))
  }

  it.effect("a StageTimeout that a stage raises itself passes as it is", () =>
    Effect.gen(function*() {
      const raised = new StageError.StageTimeout({
        stage: "elsewhere",
        timeout: Duration.seconds(9),
        attempt: 7,
        abandoned: false
      })
      const stage = Stage.work("stage", { run: Effect.fail(raised) }).pipe(Stage.timeout("5 seconds"))
      assert.strictEqual((yield* Effect.flip(run(stage))).error, raised)
    }))

  it.effect("a timeout that a stage handles is nobody's error", () =>
    Effect.gen(function*() {
      const body = Effect.map(
        Effect.timeoutOption(Effect.never, "1 second"),
        (value) => ({ timedOut: Option.isNone(value) })
      )
      const stage = Stage.work("stage", { run: body }).pipe(Stage.timeout("5 seconds"))
      const result = yield* during(run(stage), "1 second")
      assert.deepStrictEqual(result.outputs.stage.data, { timedOut: true })
    }))
})

// What programs without types may give, too.
const refused: ReadonlyArray<unknown> = [
  -1,
  Number.NaN,
  Number.NEGATIVE_INFINITY,
  -5n,
  "100",
  "",
  "soon",
  "-1 seconds",
  "NaN seconds",
  null,
  [],
  [-1, 0],
  { seconds: -1 },
  true,
  Duration.seconds(-1)
]

const invalidOption = (option: string, make: () => unknown) => {
  let thrown: unknown
  try {
    make()
  } catch (error) {
    thrown = error
  }
  assert(thrown instanceof StageError.InvalidOption, `${option} was taken`)
  assert.strictEqual(thrown.code, "INVALID_OPTION")
  assert.strictEqual(thrown.option, option)
  assert.include(thrown.message, option)
}

const shown = (value: unknown) =>
  typeof value === "bigint" ? `${value}n` : `${typeof value} ${String(JSON.stringify(value))}`

describe("R21 timeouts are validated when built", () => {
  for (const given of [0, 0n, "0 seconds", Duration.zero, {}, { seconds: Number.NaN }, ...refused]) {
    it(`a timeout of ${shown(given)} is rejected`, () => {
      invalidOption("timeout", () => Stage.timeout(never, given as Duration.Input))
      invalidOption("timeout", () => never.pipe(Stage.timeout(given as Duration.Input)))
    })
  }

  for (const given of refused) {
    it(`a grace of ${shown(given)} is rejected`, () => {
      const grace = given as Duration.Input
      const pipeline = Pipeline.make("pipeline").add(never)
      invalidOption("grace", () => Stage.timeout(never, "1 second", { grace }))
      invalidOption("interruptionGrace", () => Pipeline.run(pipeline, Snapshot.make(), { interruptionGrace: grace }))
      invalidOption("interruptionGrace", () => Pipeline.start(pipeline, Snapshot.make(), { interruptionGrace: grace }))
      invalidOption("interruptionGrace", () => Pipeline.stream(pipeline, Snapshot.make(), { interruptionGrace: grace }))
    })
  }

  it("durations in every form that Duration.Input has are taken", () => {
    const forms: ReadonlyArray<Duration.Input> = [
      "30 seconds",
      100,
      5_000_000n,
      [1, 0],
      Duration.minutes(1),
      Duration.infinity
    ]
    for (const given of forms) {
      Stage.timeout(never, given)
      Stage.timeout(never, "1 second", { grace: given })
    }
    Stage.timeout(never, "1 second", { grace: 0 })
  })
})
