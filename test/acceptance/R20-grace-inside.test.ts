import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import { Pipeline, Snapshot, Stage, StageError } from "stageflow"
import { ForEach, Route, Shapes, Subpipeline } from "stageflow/control"

type Work = Effect.Effect<void>

const childOf = (run: Work) => Pipeline.make("child").add(Stage.work("work", { run }))

const constructs: Readonly<Record<string, (work: Work) => Stage.Any>> = {
  "a plain stage": (run) => Stage.work("stage", { run }),
  "items": (run) => ForEach.stage("stage", { items: () => [1], each: () => run }),
  "items that are runs": (run) => ForEach.stage("stage", { items: () => [1], each: childOf(run) }),
  "a child run": (run) => Subpipeline.stage("stage", childOf(run)),
  "a branch": (run) => Route.match("stage", () => ({ route: "a" as const }), { a: childOf(run) }),
  "a race": (run) => Shapes.race("stage", { a: childOf(run), b: () => Effect.never })
}

describe("R20 the grace of a timeout is for everything inside of it", () => {
  for (const [what, make] of Object.entries(constructs)) {
    for (
      const [grace, runs, isAwaited] of [["2 seconds", "30 millis", true], ["30 millis", "2 seconds", false]] as const
    ) {
      it.effect(`${what}: ${grace} in a run of ${runs}`, () =>
        Effect.gen(function*() {
          let cleanedUp = 0
          const cleanUp = Effect.andThen(Effect.sleep("1 second"), Effect.sync(() => cleanedUp++))
          const stage = make(Effect.onInterrupt(Effect.never, () => cleanUp)) as Stage.Stage<"stage", unknown, object>
          const pipeline = Pipeline.make("pipeline").add(stage.pipe(Stage.timeout("1 second", { grace })))
          const running = yield* Effect.forkChild(
            Effect.flip(Pipeline.run(pipeline, Snapshot.make(), { interruptionGrace: runs }))
          )
          yield* TestClock.adjust("1 second")
          yield* TestClock.adjust(isAwaited ? "1 second" : "30 millis")
          assert.isDefined(running.pollUnsafe())
          const { error } = yield* Fiber.join(running)
          assert(error instanceof StageError.StageTimeout)
          assert.deepStrictEqual([cleanedUp, error.abandoned], isAwaited ? [1, false] : [0, true])
          // What the timeout does not wait for any longer still comes to its end.
          yield* TestClock.adjust("1 second")
          assert.strictEqual(cleanedUp, 1)
        }))
    }
  }
})
