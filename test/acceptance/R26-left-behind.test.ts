import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import { Pipeline, Snapshot, Stage } from "stageflow"
import { ForEach, Loop, Route, Shapes, Subpipeline } from "stageflow/control"
import * as Interceptors from "stageflow/interceptors"

/** Work that ignores its interruption, and how much of it is done at the same time. */
class Counted {
  private now = 0
  atOnce = 0
  runs = 0

  readonly work: Effect.Effect<{ readonly done: boolean }> = Effect.uninterruptible(Effect.suspend(() => {
    this.runs++
    this.atOnce = Math.max(this.atOnce, ++this.now)
    return Effect.as(
      Effect.ensuring(
        Effect.sleep("1 minute"),
        Effect.sync(() => {
          this.now--
        })
      ),
      { done: true }
    )
  }))
}

type Work = Counted["work"]

const childOf = (run: Work) => Pipeline.make("child").add(Stage.work("work", { run }))

/** What can run work inside of a stage. */
const constructs: Readonly<Record<string, (work: Work) => Stage.Any>> = {
  "a plain stage": (run) => Stage.work("stage", { run }),
  "a function for each item": (run) => ForEach.stage("stage", { items: () => [1], each: () => run }),
  "a stage for each item": (run) => ForEach.stage("stage", { items: () => [1], each: Stage.work("work", { run }) }),
  "a child run": (run) => Subpipeline.stage("stage", childOf(run)),
  "a child run with a grace of its own": (run) =>
    Subpipeline.stage("stage", childOf(run), { run: { interruptionGrace: "1 millis" } }),
  "a child run of a stage's own": (run) => Stage.work("stage", { run: Effect.asVoid(Subpipeline.run(childOf(run))) }),
  "a run that was started": (run) =>
    Stage.work("stage", {
      run: Effect.scoped(
        Effect.flatMap(Pipeline.start(childOf(run), Snapshot.make()), (started) => Effect.asVoid(started.await))
      )
    }),
  "a branch": (run) => Route.match("stage", () => ({ route: "a" as const }), { a: childOf(run) }),
  "a race": (run) => Shapes.race("stage", { a: childOf(run), b: () => Effect.never }),
  "a loop": (run) =>
    Loop.until("stage", {
      state: () => ({ done: false }),
      body: () => Effect.as(Subpipeline.run(childOf(run)), { done: true }),
      until: ({ done }) => done,
      maxIterations: 2
    }),
  "a limited stage": (run) =>
    Subpipeline.stage("stage", childOf(run)).pipe(Stage.timeout("1 hour", { grace: "10 millis" }))
}

describe("R26 what still runs holds its key", () => {
  for (const [what, make] of Object.entries(constructs)) {
    it.effect(`${what} that was left behind`, () =>
      Effect.gen(function*() {
        const counted = new Counted()
        const stage = make(counted.work) as Stage.Stage<"stage", unknown, object>
        const keyed = stage.pipe(Stage.intercept(Interceptors.idempotency({ key: () => "key", parameters: () => "" })))
        const pipeline = Pipeline.make("pipeline").add(keyed)
        const first = yield* Pipeline.start(pipeline, Snapshot.make(), { interruptionGrace: "1 second" })
        yield* TestClock.adjust("1 second")
        yield* Effect.forkChild(first.cancel("enough"))
        yield* TestClock.adjust("2 seconds")
        assert.strictEqual((yield* first.await)._tag, "Cancelled")
        const second = yield* Effect.forkChild(Effect.exit(Pipeline.run(pipeline, Snapshot.make())))
        yield* TestClock.adjust("30 seconds")
        assert.strictEqual(counted.runs, 1)
        assert.isUndefined(second.pollUnsafe())
        yield* TestClock.adjust("5 minutes")
        assert.strictEqual((yield* Fiber.join(second))._tag, "Success")
        assert.strictEqual(counted.atOnce, 1)
      }).pipe(Effect.scoped, Effect.provide(Interceptors.IdempotencyStore.layerMemory)))
  }
})
