import { assert, describe, it } from "@effect/vitest"
import { Cause, Deferred, Effect, Fiber, Schedule } from "effect"
import { TestClock } from "effect/testing"
import { OutputBag, Pipeline, RunResult, Snapshot, Stage, StageError, StageOutput } from "stageflow"
import { Broken, during, Witness } from "./support/lifecycle.ts"

const broken = new Broken({ by: "broken" })
const boom = new Error("boom")

const isFault = (tag: StageError.Reason["_tag"]) => (error: unknown) =>
  error instanceof StageError.StageFault && error.stage === "broken" && error.reason._tag === tag

interface Way {
  readonly way: string
  readonly stage: Stage.Stage<"broken", unknown, object, never, unknown>
  readonly isExpected: (error: unknown) => boolean
  readonly reason: "Fail" | "Die" | "Interrupt"
}

const stage = (run: Effect.Effect<object | void, Broken | StageOutput.Fail<Broken>>) => Stage.work("broken", { run })

const ways: ReadonlyArray<Way> = [
  {
    way: "a typed failure",
    stage: stage(Effect.fail(broken)),
    isExpected: (error) => error === broken,
    reason: "Fail"
  },
  {
    way: "a returned StageOutput.fail",
    stage: stage(Effect.succeed(StageOutput.fail(broken))),
    isExpected: (error) => error === broken,
    reason: "Fail"
  },
  {
    way: "a yielded StageOutput.fail",
    stage: stage(Effect.gen(function*() {
      return yield* StageOutput.fail(broken)
    })),
    isExpected: (error) => error === broken,
    reason: "Fail"
  },
  {
    way: "a defect",
    stage: stage(Effect.die(boom)),
    isExpected: isFault("Defect"),
    reason: "Die"
  },
  {
    way: "an exception",
    stage: stage(Effect.sync(() => {
      throw boom
    })),
    isExpected: isFault("Defect"),
    reason: "Die"
  },
  {
    way: "a timeout",
    stage: stage(Effect.never).pipe(Stage.timeout("1 second")),
    isExpected: (error) => error instanceof StageError.StageTimeout && error.stage === "broken",
    reason: "Fail"
  },
  {
    way: "an invalid return value",
    // A program without types can return anything.
    stage: stage(Effect.succeed(42 as unknown as object)),
    isExpected: isFault("InvalidOutput"),
    reason: "Fail"
  },
  {
    way: "a stage that interrupts itself",
    stage: stage(Effect.interrupt),
    isExpected: isFault("SelfInterrupted"),
    reason: "Interrupt"
  },
  {
    way: "a stage that interrupts its own fiber",
    stage: stage(Effect.withFiber((fiber) => Fiber.interrupt(fiber))),
    isExpected: isFault("SelfInterrupted"),
    reason: "Interrupt"
  }
]

describe("R10 a failure ends the run with one envelope", () => {
  for (const { isExpected, reason, stage, way } of ways) {
    it.effect(`${way} gives the same envelope`, () =>
      Effect.gen(function*() {
        const slow = new Witness()
        const later = new Witness()
        const pipeline = Pipeline.make("pipeline")
          .add(Stage.transform("before", { run: Effect.succeed({ done: true }) }))
          .add(Stage.enrich("skipped", { run: Effect.succeed(StageOutput.skip("nothing to do")) }))
          .add(stage, { after: ["before"] })
          .add(Stage.work("slow", { run: slow.watch(Effect.sleep("1 minute")) }))
          .add(Stage.work("behind_broken", { run: later.watch(Effect.void) }), { after: ["broken"] })
          .add(Stage.work("behind_slow", { run: later.watch(Effect.void) }), { after: ["slow"] })

        const error = yield* during(
          Effect.flip(Pipeline.run(pipeline, Snapshot.make({ requestId: "request" }))),
          "1 second"
        )

        assert.instanceOf(error, RunResult.StageFailed)
        assert.strictEqual(error._tag, "StageFailed")
        assert.strictEqual(error.code, "STAGE_FAILED")
        assert.strictEqual(error.stage, "broken")
        assert.isTrue(isExpected(error.error), `unexpected error: ${String(error.error)}`)
        assert.strictEqual(error.attempts, 1)
        assert.deepStrictEqual(error.cause.reasons.map(({ _tag }) => _tag), [reason])
        assert.deepStrictEqual(Object.keys(error.outputs), ["before", "skipped"])
        assert.deepStrictEqual(error.outputs.before?.data, { done: true })
        assert.strictEqual(error.outputs.skipped?._tag, "Skip")
        assert.deepStrictEqual(error.interrupted, ["slow"])
        assert.deepStrictEqual(error.abandoned, [])
        assert.deepStrictEqual(error.neverStarted, ["behind_broken", "behind_slow"])
        assert.deepStrictEqual(error.data, {})
        assert.strictEqual(error.pipeline, "pipeline")
        assert.strictEqual(error.identity.requestId, "request")
        assert.strictEqual(error.lineage.runId, error.identity.pipelineRunId)
        assert.strictEqual(error.durationMs, way === "a timeout" ? 1000 : 0)
        assert.deepStrictEqual(
          error.bag.entries.map(({ end, stage }) => [stage, end._tag]).sort(),
          [["before", "Settled"], ["broken", "Failed"], ["skipped", "Settled"], ["slow", "Interrupted"]]
        )
        assert.include(error.message, "\"broken\"")
        assert.include(error.message, "\"pipeline\"")

        yield* TestClock.adjust("1 hour")
        assert.deepStrictEqual(slow.counts, [1, 0, 0, 1])
        assert.deepStrictEqual(later.counts, [0, 0, 0, 0])
      }))
  }

  it.effect("the full cause is kept: defect and typed error as they were", () =>
    Effect.gen(function*() {
      const died = Pipeline.make("pipeline").add(stage(Effect.die(boom)))
      const withDefect = yield* Effect.flip(Pipeline.run(died, Snapshot.make()))
      assert.strictEqual(Cause.squash(withDefect.cause), boom)

      const failed = Pipeline.make("pipeline").add(stage(Effect.fail(broken)))
      const withError = yield* Effect.flip(Pipeline.run(failed, Snapshot.make()))
      assert.strictEqual(Cause.squash(withError.cause), broken)
    }))

  it.effect("what StageOutput.fail gives beside the error is kept", () =>
    Effect.gen(function*() {
      const given = { found: ["a"] }
      const pipeline = Pipeline.make("pipeline").add(stage(Effect.succeed(StageOutput.fail(broken, { data: given }))))
      const error = yield* Effect.flip(Pipeline.run(pipeline, Snapshot.make()))
      assert.deepStrictEqual(error.data, { found: ["a"] })
      assert.isTrue(Object.isFrozen(error.data))
    }))

  it.effect("attempts counts every attempt", () =>
    Effect.gen(function*() {
      const witness = new Witness()
      const pipeline = Pipeline.make("pipeline")
        .add(stage(witness.watch(Effect.fail(broken))).pipe(Stage.retry(Schedule.recurs(3))))
      const error = yield* Effect.flip(Pipeline.run(pipeline, Snapshot.make()))
      assert.strictEqual(witness.started, 4)
      assert.strictEqual(error.attempts, 4)
      assert.deepStrictEqual(OutputBag.attempts(error.bag, "broken").map(({ attempt }) => attempt), [1, 2, 3, 4])
    }))

  for (const first of ["broken", "fine"] as const) {
    it.effect(`a stage that finished in the same instant is in outputs (${first} first)`, () =>
      Effect.gen(function*() {
        const gate = yield* Deferred.make<void>()
        const later = new Witness()
        const opened = Deferred.await(gate)
        const fine = Stage.work("fine", { run: Effect.as(opened, { done: true }) })
        const failing = stage(Effect.andThen(opened, Effect.fail(broken)))
        // Whoever waits first is woken first.
        const both = first === "fine"
          ? Pipeline.make("pipeline").add(fine).add(failing)
          : Pipeline.make("pipeline").add(failing).add(fine)
        const pipeline = both.add(Stage.work("behind_fine", { run: later.watch(Effect.void) }), { after: ["fine"] })

        const run = yield* Effect.forkChild(Effect.flip(Pipeline.run(pipeline, Snapshot.make())))
        yield* TestClock.adjust("1 second")
        yield* Deferred.succeed(gate, undefined)
        const error = yield* Fiber.join(run)

        assert.deepStrictEqual(error.outputs.fine?.data, { done: true })
        assert.deepStrictEqual(error.interrupted, [])
        if (first === "broken") {
          assert.deepStrictEqual(error.neverStarted, ["behind_fine"])
          assert.strictEqual(later.started, 0)
        }
      }))
  }

  it.effect("several failures at once are all in the cause, the first one first", () =>
    Effect.gen(function*() {
      const gate = yield* Deferred.make<void>()
      const opened = Deferred.await(gate)
      const pipeline = Pipeline.make("pipeline")
        .add(Stage.work("first", { run: Effect.andThen(opened, Effect.fail(new Broken({ by: "first" }))) }))
        .add(Stage.work("second", { run: Effect.andThen(opened, Effect.die(boom)) }))
        .add(Stage.work("third", { run: Effect.andThen(opened, Effect.fail(new Broken({ by: "third" }))) }))

      const run = yield* Effect.forkChild(Effect.flip(Pipeline.run(pipeline, Snapshot.make())))
      yield* TestClock.adjust("1 second")
      yield* Deferred.succeed(gate, undefined)
      const error = yield* Fiber.join(run)

      assert.strictEqual(error.stage, "first")
      assert.deepStrictEqual(error.error, new Broken({ by: "first" }))
      assert.deepStrictEqual(
        error.cause.reasons.map((reason) => {
          if (Cause.isFailReason(reason)) return reason.error
          return Cause.isDieReason(reason) ? reason.defect : reason
        }),
        [new Broken({ by: "first" }), boom, new Broken({ by: "third" })]
      )
      assert.deepStrictEqual(error.interrupted, [])
      assert.deepStrictEqual(error.neverStarted, [])
    }))

  it.effect("a failing finalizer of the failed stage never hides its error", () =>
    Effect.gen(function*() {
      const pipeline = Pipeline.make("pipeline")
        .add(stage(Effect.ensuring(Effect.fail(broken), Effect.die(boom))))
      const error = yield* Effect.flip(Pipeline.run(pipeline, Snapshot.make()))
      // When a finalizer dies Effect makes a defect of the typed error, too: it stays the error all the same.
      assert.strictEqual(error.error, broken)
      assert.deepStrictEqual(
        error.cause.reasons.map((reason) => Cause.isDieReason(reason) ? reason.defect : reason),
        [broken, boom]
      )
      assert.strictEqual(Cause.squash(error.cause), broken)
    }))

  it.effect("a failing finalizer of a stage that yielded its failure never hides it", () =>
    Effect.gen(function*() {
      const pipeline = Pipeline.make("pipeline")
        .add(stage(Effect.ensuring(StageOutput.fail(broken), Effect.die(boom))))
      const error = yield* Effect.flip(Pipeline.run(pipeline, Snapshot.make()))
      assert.strictEqual(error.error, broken)
      assert.include(error.cause.reasons.map(({ _tag }) => _tag), "Die")
    }))

  it.effect("a failing finalizer of an interrupted stage is in the cause, after the failure", () =>
    Effect.gen(function*() {
      const pipeline = Pipeline.make("pipeline")
        .add(Stage.work("slow", { run: Effect.ensuring(Effect.never, Effect.die(boom)) }))
        .add(stage(Effect.fail(broken)))
      const error = yield* Effect.flip(Pipeline.run(pipeline, Snapshot.make()))
      assert.strictEqual(error.stage, "broken")
      assert.strictEqual(error.error, broken)
      assert.deepStrictEqual(error.interrupted, ["slow"])
      assert.deepStrictEqual(error.cause.reasons.map(({ _tag }) => _tag), ["Fail", "Die"])
      assert.isTrue(error.cause.reasons.some((reason) => Cause.isDieReason(reason) && reason.defect === boom))
    }))

  it.effect("a failing finalizer of a stage that timed out is in the cause, after the timeout", () =>
    Effect.gen(function*() {
      const pipeline = Pipeline.make("pipeline")
        .add(stage(Effect.ensuring(Effect.never, Effect.die(boom))).pipe(Stage.timeout("1 second")))
      const error = yield* during(Effect.flip(Pipeline.run(pipeline, Snapshot.make())), "1 second")
      assert.instanceOf(error.error, StageError.StageTimeout)
      assert.deepStrictEqual(error.cause.reasons.map(({ _tag }) => _tag), ["Fail", "Die"])
      assert.isTrue(error.cause.reasons.some((reason) => Cause.isDieReason(reason) && reason.defect === boom))
    }))

  it.effect("the run waits for the finalizers of the stages that it interrupts", () =>
    Effect.gen(function*() {
      const cleanUp = new Witness()
      const pipeline = Pipeline.make("pipeline")
        .add(Stage.work("slow", { run: Effect.ensuring(Effect.never, cleanUp.watch(Effect.sleep("2 seconds"))) }))
        .add(stage(Effect.fail(broken)))
      const error = yield* during(Effect.flip(Pipeline.run(pipeline, Snapshot.make())), "2 seconds")
      assert.deepStrictEqual(cleanUp.counts, [1, 1, 0, 0])
      assert.strictEqual(error.durationMs, 2000)
      assert.deepStrictEqual(error.abandoned, [])
    }))
})
