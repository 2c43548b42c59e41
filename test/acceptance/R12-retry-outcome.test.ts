import { assert, describe, it } from "@effect/vitest"
import { Effect, Schedule } from "effect"
import { Event, Pipeline, Snapshot, Stage, StageError, StageOutput } from "stageflow"
import { during, recorded, Witness } from "./support/lifecycle.ts"

const asking = StageOutput.retry("not yet", { data: { draft: 1 } })

const ways = [
  { way: "returned", run: Effect.succeed(asking) },
  {
    way: "yielded",
    run: Effect.gen(function*() {
      return yield* asking
    })
  }
] as const

describe("R12 retry: only a policy retries", () => {
  for (const { run, way } of ways) {
    it.effect(`with no policy a ${way} retry fails the run with RetryExhausted`, () =>
      Effect.gen(function*() {
        const again = new Witness()
        const reader = new Witness()
        const pipeline = Pipeline.make("pipeline")
          .add(Stage.work("again", { run: again.watch(run) }))
          .add(Stage.work("reader", { run: reader.watch(Effect.void) }), { after: ["again"] })

        const { events, exit } = yield* recorded(Effect.flip(Pipeline.run(pipeline, Snapshot.make())))

        assert(exit._tag === "Success")
        const { attempts, error, neverStarted, outputs, stage } = exit.value
        assert(error instanceof StageError.RetryExhausted)
        assert.strictEqual(error.code, "RETRY_EXHAUSTED")
        assert.strictEqual(error.stage, "again")
        assert.strictEqual(error.reason, "not yet")
        assert.strictEqual(error.attempts, 1)
        assert.strictEqual(stage, "again")
        assert.strictEqual(attempts, 1)
        assert.deepStrictEqual(outputs, {})
        assert.deepStrictEqual(neverStarted, ["reader"])
        assert.strictEqual(again.started, 1)
        assert.strictEqual(reader.started, 0)
        assert.deepStrictEqual(events.filter(Event.isRunEnd).map(({ _tag }) => _tag), ["RunFailed"])
        assert.deepStrictEqual(
          events.filter(Event.isStageEnd).map((event) => event._tag === "StageFailed" ? event.error.tag : event._tag),
          ["RetryExhausted"]
        )
      }))

    it.effect(`an exhausted policy fails the run with RetryExhausted after a ${way} retry`, () =>
      Effect.gen(function*() {
        const again = new Witness()
        const reader = new Witness()
        const pipeline = Pipeline.make("pipeline")
          .add(
            Stage.work("again", { run: again.watch(run) })
              .pipe(Stage.retry({ schedule: Schedule.spaced("1 second"), attempts: 3 }))
          )
          .add(Stage.work("reader", { run: reader.watch(Effect.void) }), { after: ["again"] })

        const error = yield* during(Effect.flip(Pipeline.run(pipeline, Snapshot.make())), "2 seconds")

        assert(error.error instanceof StageError.RetryExhausted)
        assert.strictEqual(error.error.attempts, 3)
        assert.strictEqual(error.error.reason, "not yet")
        assert.strictEqual(error.attempts, 3)
        assert.strictEqual(again.started, 3)
        assert.strictEqual(reader.started, 0)
        assert.strictEqual(error.durationMs, 2000)
      }))
  }

  it.effect("a policy that grants it lets the stage succeed", () =>
    Effect.gen(function*() {
      const witness = new Witness()
      const run = Effect.suspend(() => Effect.succeed(witness.started < 3 ? asking : { done: true as boolean }))
      const pipeline = Pipeline.make("pipeline")
        .add(Stage.work("again", { run: witness.watch(run) }).pipe(Stage.retry(Schedule.recurs(5))))
      const result = yield* Pipeline.run(pipeline, Snapshot.make())
      assert.deepStrictEqual(result.outputs.again.data, { done: true })
      assert.strictEqual(witness.started, 3)
    }))

  it.effect("a policy of no more attempts is exhausted at once", () =>
    Effect.gen(function*() {
      const witness = new Witness()
      const pipeline = Pipeline.make("pipeline")
        .add(Stage.work("again", { run: witness.watch(Effect.succeed(asking)) }).pipe(Stage.retry({ attempts: 1 })))
      const error = yield* Effect.flip(Pipeline.run(pipeline, Snapshot.make()))
      assert.instanceOf(error.error, StageError.RetryExhausted)
      assert.strictEqual(witness.started, 1)
    }))

  it.effect("a timeout is no policy", () =>
    Effect.gen(function*() {
      const witness = new Witness()
      const pipeline = Pipeline.make("pipeline")
        .add(Stage.work("again", { run: witness.watch(Effect.succeed(asking)) }).pipe(Stage.timeout("1 second")))
      const error = yield* Effect.flip(Pipeline.run(pipeline, Snapshot.make()))
      assert.instanceOf(error.error, StageError.RetryExhausted)
      assert.strictEqual(witness.started, 1)
    }))

  it.effect("another stage's policy is none of this one's", () =>
    Effect.gen(function*() {
      const witness = new Witness()
      const pipeline = Pipeline.make("pipeline")
        .add(Stage.work("patient", { run: Effect.void }).pipe(Stage.retry(Schedule.recurs(5))))
        .add(Stage.work("again", { run: witness.watch(Effect.succeed(asking)) }), { after: ["patient"] })
      const error = yield* Effect.flip(Pipeline.run(pipeline, Snapshot.make()))
      assert.instanceOf(error.error, StageError.RetryExhausted)
      assert.strictEqual(witness.started, 1)
    }))

  it.effect("with failure: \"continue\" it is a failure, and its readers are blocked", () =>
    Effect.gen(function*() {
      const pipeline = Pipeline.make("pipeline")
        .add(Stage.work("again", { run: Effect.succeed(asking) }))
        .add(Stage.work("reader", { run: Effect.void }), { after: ["again"] })
      const result = yield* Pipeline.run(pipeline, Snapshot.make(), { failure: "continue" })
      assert(result._tag === "Incomplete")
      assert.deepStrictEqual([result.ok, result.failed, result.blocked], [[], ["again"], ["reader"]])
      assert.instanceOf(result.failures[0]?.error, StageError.RetryExhausted)
    }))
})
