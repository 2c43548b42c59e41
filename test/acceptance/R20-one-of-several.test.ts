import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import { Pipeline, type RunResult, Snapshot, Stage } from "stageflow"
import { GuardRetry, Shapes } from "stageflow/control"
import { Broken, recorded, Witness } from "./support/lifecycle.ts"

const soon = Effect.sleep("1 second")

/** Ignores its interruption for an hour. */
const ignoring = (witness: Witness) => Effect.as(witness.watch(Effect.uninterruptible(Effect.sleep("1 hour"))), {})

const broken = Effect.andThen(soon, Effect.fail(new Broken({ by: "guard" })))

type AnyStage = Stage.Stage<"stage", unknown, object, never, unknown>

/** What runs several functions at the same time, of which one decides and another does not stop. */
const constructs: Readonly<Record<string, { readonly make: (late: Witness) => AnyStage; readonly fails: boolean }>> = {
  "a race that is won": {
    make: (late) => Shapes.race("stage", { late: () => ignoring(late), fast: () => Effect.as(soon, { fast: true }) }),
    fails: false
  },
  "a race in which one is refused": {
    make: (late) => Shapes.race("stage", { late: () => ignoring(late), guard: Stage.guard("guard", { run: broken }) }),
    fails: true
  },
  "a guard that fails": {
    make: (late) =>
      GuardRetry.stage("stage", {
        draft: () => Effect.succeed({ text: "draft" }),
        guards: { late: () => Effect.as(ignoring(late), GuardRetry.accept), broken: () => broken }
      }),
    fails: true
  }
}

describe("R20 one of several that ignores its interruption does not hold up the others", () => {
  for (const [what, { fails, make }] of Object.entries(constructs)) {
    it.effect(what, () =>
      Effect.gen(function*() {
        const late = new Witness()
        const pipeline = Pipeline.make("pipeline").add(make(late))
        const running = yield* Effect.forkChild(
          Effect.exit(Pipeline.run(pipeline, Snapshot.make(), { interruptionGrace: "5 seconds" }))
        )
        yield* TestClock.adjust("1 second")
        assert.isUndefined(running.pollUnsafe(), "did not wait for the grace")
        yield* TestClock.adjust("5 seconds")
        assert.isDefined(running.pollUnsafe(), "was held up")
        const exit = yield* Fiber.join(running)
        assert.strictEqual(exit._tag, fails ? "Failure" : "Success")
        // It is left behind, and comes to its end by itself.
        assert.deepStrictEqual(late.counts, [1, 0, 0, 0])
        yield* TestClock.adjust("1 hour")
        assert.deepStrictEqual(late.started, 1)
      }))

    it.effect(`${what}: clean-up within the grace is waited for`, () =>
      Effect.gen(function*() {
        let cleanedUp = 0
        const cleaning = Effect.onInterrupt(Effect.never, () => Effect.as(soon, cleanedUp++))
        const witness = { watch: () => cleaning } as unknown as Witness
        const stage = make(Object.assign(new Witness(), witness))
        const running = yield* Effect.forkChild(
          Effect.exit(Pipeline.run(Pipeline.make("pipeline").add(stage), Snapshot.make()))
        )
        yield* TestClock.adjust("2 seconds")
        assert.isDefined(running.pollUnsafe())
        assert.strictEqual(cleanedUp, 1)
      }))

    it.effect(`${what}: the run that is cancelled meanwhile says that the stage was abandoned`, () =>
      Effect.gen(function*() {
        const pipeline = Pipeline.make("pipeline").add(make(new Witness()))
        const { events, exit } = yield* recorded(
          Effect.scoped(Effect.gen(function*() {
            const run = yield* Pipeline.start(pipeline, Snapshot.make(), { interruptionGrace: "5 seconds" })
            yield* TestClock.adjust("500 millis")
            const cancelled = yield* Effect.forkChild(run.cancel("enough"))
            yield* TestClock.adjust("5 seconds")
            assert.isDefined(cancelled.pollUnsafe())
            return yield* run.await
          }))
        )
        assert(exit._tag === "Success")
        const result: RunResult.RunResult = exit.value
        assert(result._tag === "Cancelled")
        assert.deepStrictEqual(result.abandoned, ["stage"])
        const told = events.filter(({ _tag }) => _tag === "StageInterrupted")
        assert.deepStrictEqual(told.map((event) => "abandoned" in event && event.abandoned), [true])
      }))
  }
})
