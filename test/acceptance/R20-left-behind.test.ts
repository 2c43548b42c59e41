import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Schedule, Stream } from "effect"
import { TestClock } from "effect/testing"
import { type Event, Pipeline, Snapshot, Stage, StageError } from "stageflow"
import { ForEach, Loop, Route, Shapes, Subpipeline } from "stageflow/control"
import { recorded } from "./support/lifecycle.ts"

const ignores = Effect.uninterruptible(Effect.sleep("1 hour"))
const work = Stage.work("work", { run: ignores })
const child = Pipeline.make("child").add(work)
const items = ForEach.stage("items", { items: () => [1], each: () => ignores })

type AnyStage = Stage.Stage<"stage", unknown, object, never, unknown>

/** What runs something inside of one stage that ignores its interruption. */
const constructs: Readonly<Record<string, AnyStage>> = {
  "a function for each item": ForEach.stage("stage", { items: () => [1, 2], each: () => ignores }),
  "a function for each item of a stream": ForEach.stage("stage", { items: () => Stream.make(1), each: () => ignores }),
  "a stage for each item": ForEach.stage("stage", { items: () => [1, 2], each: work }),
  "a pipeline for each item": ForEach.stage("stage", { items: () => [1, 2], each: child }),
  "a for-each for each item": ForEach.stage("stage", { items: () => [1, 2], each: items }),
  "a pipeline": Subpipeline.stage("stage", child),
  "a pipeline with a for-each": Subpipeline.stage("stage", Pipeline.make("child").add(items)),
  "a pipeline with a grace of its own that is shorter": Subpipeline.stage("stage", child, {
    run: { interruptionGrace: "1 second" }
  }),
  "a stream that ignores its interruption": ForEach.stage("stage", {
    items: () => Stream.fromEffect(ignores),
    each: () => Effect.void
  }),
  "a stream whose finalizer does not end": ForEach.stage("stage", {
    items: () => Stream.make(1).pipe(Stream.concat(Stream.never), Stream.ensuring(Effect.never)),
    each: () => Effect.void
  }),
  "a branch": Route.match("stage", () => ({ route: "a" as const }), { a: child }),
  "a race": Shapes.race("stage", { a: child, b: () => Effect.as(ignores, {}) }),
  "a race that is won while a loser does not stop": Shapes.race("stage", {
    a: child,
    b: () => Effect.as(Effect.sleep("500 millis"), {})
  }),
  "a loop": Loop.until("stage", {
    state: () => ({ n: 0 }),
    body: (state: { readonly n: number }) => Effect.as(Subpipeline.run(Pipeline.make("child").add(items)), state),
    until: ({ n }) => n > 0,
    maxIterations: 2
  })
}

const options = { interruptionGrace: "5 seconds" } as const

/** What a run ends with that is stopped after a second, and given the grace. */
const inTime = Effect.fnUntraced(function*<A, E, R>(effect: Effect.Effect<A, E, R>) {
  const fiber = yield* Effect.forkChild(effect)
  yield* TestClock.adjust("1 second")
  assert.isUndefined(fiber.pollUnsafe(), "ended too early")
  yield* TestClock.adjust("5 seconds")
  // A run inside may have a grace of its own, and end before.
  assert.isDefined(fiber.pollUnsafe(), "was held up")
  return yield* Fiber.join(fiber)
})

const interruptions = (events: ReadonlyArray<Event.Event>, pipeline: string) =>
  events.flatMap((event) =>
    event._tag === "StageInterrupted" && event.pipeline === pipeline ? [[event.stage, event.abandoned]] : []
  )

describe("R20 a stage is abandoned when something inside of it ignores its interruption", () => {
  for (const [what, stage] of Object.entries(constructs)) {
    const pipeline = Pipeline.make("pipeline").add(stage)

    it.effect(`${what}: a timeout says so`, () =>
      Effect.gen(function*() {
        const limited = Pipeline.make("pipeline").add(stage.pipe(Stage.timeout("1 second")))
        const failed = yield* inTime(Effect.flip(Pipeline.run(limited, Snapshot.make(), options)))
        assert(failed.error instanceof StageError.StageTimeout)
        assert.isTrue(failed.error.abandoned)
      }))

    it.effect(`${what}: a run that is cancelled says so, in its result, its events and its handle`, () =>
      Effect.gen(function*() {
        const { events, exit } = yield* recorded(Effect.scoped(Effect.gen(function*() {
          const run = yield* Pipeline.start(pipeline, Snapshot.make(), options)
          yield* inTime(Effect.andThen(Effect.sleep("1 second"), run.cancel("enough")))
          return { result: yield* run.await, status: yield* run.status }
        })))
        assert(exit._tag === "Success" && exit.value.result._tag === "Cancelled")
        const { result, status } = exit.value
        assert.deepStrictEqual([result.interrupted, result.abandoned], [["stage"], ["stage"]])
        assert.deepStrictEqual(status, { stage: "abandoned" })
        assert.deepStrictEqual(interruptions(events, "pipeline"), [["stage", true]])
      }))

    it.effect(`${what}: a stage that fails beside it says so`, () =>
      Effect.gen(function*() {
        const two = pipeline.work("beside", { run: Effect.andThen(Effect.sleep("1 second"), Effect.fail("broken")) })
        const failed = yield* inTime(Effect.flip(Pipeline.run(two, Snapshot.make(), options)))
        assert.deepStrictEqual([failed.interrupted, failed.abandoned], [["stage"], ["stage"]])
      }))

    it.effect(`${what}: whoever interrupts the stage alone is told so`, () =>
      Effect.gen(function*() {
        const run = yield* Pipeline.start(pipeline, Snapshot.make(), { ...options, failure: "continue" })
        const told = yield* inTime(Effect.andThen(Effect.sleep("1 second"), run.interrupt("stage", "enough")))
        assert.deepStrictEqual([told.interrupted, told.abandoned], [["stage"], ["stage"]])
        const result = yield* run.await
        assert(result._tag === "Incomplete")
        const error: unknown = result.failures[0]?.error
        assert(error instanceof StageError.StageFault && error.reason._tag === "Interrupted")
        assert.isTrue(error.reason.abandoned)
      }))
  }

  it.effect("a loop whose deadline is over says so", () =>
    Effect.gen(function*() {
      const stage = Loop.until("stage", {
        state: () => ({ n: 0 }),
        body: (state: { readonly n: number }) => Effect.as(Subpipeline.run(Pipeline.make("child").add(items)), state),
        until: ({ n }) => n > 0,
        maxIterations: 2,
        deadline: "1 second"
      })
      const failed = yield* inTime(Effect.flip(Pipeline.run(Pipeline.make("p").add(stage), Snapshot.make(), options)))
      assert(failed.error instanceof Loop.LoopUnfinished)
      assert.isTrue(failed.error.abandoned)
    }))
})

describe("R20 a stage is not abandoned", () => {
  it.effect("when what ignored its interruption has ended by then", () =>
    Effect.gen(function*() {
      const stage = ForEach.stage("stage", {
        items: () => [1, 2],
        each: () => Effect.uninterruptible(Effect.sleep("5 seconds"))
      })
      const limited = Pipeline.make("p").add(stage.pipe(Stage.timeout("1 second")))
      const failed = yield* inTime(Effect.flip(Pipeline.run(limited, Snapshot.make(), options)))
      assert(failed.error instanceof StageError.StageTimeout)
      assert.isFalse(failed.error.abandoned)
    }))

  it.effect("when an attempt before left something behind, and this one did not", () =>
    Effect.gen(function*() {
      let attempt = 0
      const stage = ForEach.stage("stage", {
        items: () => [1],
        each: () => Effect.suspend(() => ++attempt === 1 ? ignores : Effect.never)
      }).pipe(Stage.timeout("1 second"), Stage.retry(Schedule.recurs(1)))
      const fiber = yield* Effect.forkChild(
        Effect.flip(Pipeline.run(Pipeline.make("p").add(stage), Snapshot.make(), options))
      )
      yield* TestClock.adjust("10 seconds")
      const { attempts, error } = yield* Fiber.join(fiber)
      assert(error instanceof StageError.StageTimeout)
      assert.deepStrictEqual([attempts, error.abandoned], [2, false])
    }))
})
