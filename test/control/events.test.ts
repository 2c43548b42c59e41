/**
 * The events of the runs inside of a run, in its handle and stream.
 */
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Fiber, Stream } from "effect"
import { TestClock } from "effect/testing"
import { Event, EventSink, Pipeline, Snapshot, Stage, StageError } from "stageflow"
import { Subpipeline } from "stageflow/control"

const bottom = Pipeline.make("bottom").add(Stage.work("work", { run: Effect.sleep("1 second") }))
const middle = Pipeline.make("middle").add(Subpipeline.stage("down", bottom))
const parent = Pipeline.make("parent")
  .add(Subpipeline.stage("one", middle))
  .add(Stage.work("after", { run: Effect.void }), { after: ["one"] })

const shown = (event: Event.Event) =>
  `${event.pipeline} ${event._tag}${Event.isStageEvent(event) ? ` ${event.stage}` : ""}`

const isEvent = (element: { readonly _tag: string }): element is Event.Event => "sequence" in element

const whole = [
  "parent RunStarted",
  "parent StageStarted one",
  "parent SubpipelineStarted one",
  "middle RunStarted",
  "middle StageStarted down",
  "middle SubpipelineStarted down",
  "bottom RunStarted",
  "bottom StageStarted work",
  "bottom StageCompleted work",
  "bottom RunCompleted",
  "middle SubpipelineEnded down",
  "middle StageCompleted down",
  "middle RunCompleted",
  "parent SubpipelineEnded one",
  "parent StageCompleted one",
  "parent StageStarted after",
  "parent StageCompleted after",
  "parent RunCompleted"
]

describe("the events of a run", () => {
  it.effect("have those of the runs inside of it among them when all are asked for, in their order", () =>
    Effect.gen(function*() {
      const reading = yield* Effect.forkChild(
        Stream.runCollect(Pipeline.stream(parent, Snapshot.make(), { events: "all" })),
        { startImmediately: true }
      )
      yield* TestClock.adjust("1 second")
      const elements = Array.from(yield* Fiber.join(reading))
      assert.deepStrictEqual(elements.filter(isEvent).map(shown), whole)
      assert.strictEqual(elements.at(-1)?._tag, "Completed")
    }))

  it.effect("are its own otherwise", () =>
    Effect.gen(function*() {
      for (const options of [undefined, {}, { events: "own" }] as const) {
        const handle = yield* Pipeline.start(parent, Snapshot.make(), options)
        yield* TestClock.adjust("1 second")
        const events = Array.from(yield* Stream.runCollect(handle.events))
        assert.deepStrictEqual(events.map(shown), whole.filter((line) => line.startsWith("parent")))
      }
    }))

  it.effect("still go to the sink in the environment, each once", () =>
    Effect.gen(function*() {
      const handle = yield* Pipeline.start(parent, Snapshot.make(), { events: "all" })
      yield* TestClock.adjust("1 second")
      const seen = Array.from(yield* Stream.runCollect(handle.events))
      const events = yield* (yield* EventSink.Memory).events
      assert.deepStrictEqual(events.map(shown), whole)
      assert.deepStrictEqual(seen, events)
      assert.isTrue(events.every(Object.isFrozen))
    }).pipe(Effect.provide(EventSink.layerMemory)))

  it.effect("end with the run, whatever a run that it left behind still does", () =>
    Effect.gen(function*() {
      const started = yield* Deferred.make<void>()
      const stubborn = Pipeline.make("stubborn").add(Stage.work("work", {
        run: Effect.uninterruptible(Effect.andThen(Deferred.succeed(started, undefined), Effect.sleep("1 minute")))
      }))
      const handle = yield* Pipeline.start(
        Pipeline.make("parent").add(Subpipeline.stage("child", stubborn)),
        Snapshot.make(),
        {
          events: "all",
          interruptionGrace: "1 second"
        }
      )
      yield* Deferred.await(started)
      const cancelling = yield* Effect.forkChild(handle.cancel("enough"), { startImmediately: true })
      yield* TestClock.adjust("5 seconds")
      yield* Fiber.join(cancelling)
      yield* TestClock.adjust("2 minutes")
      const events = Array.from(yield* Stream.runCollect(handle.events))
      assert.strictEqual(events.map(shown).at(-1), "parent RunCancelled")
    }))

  it("are an option of a run that is watched, and of no other", () => {
    const snapshot = Snapshot.make()
    const untyped = Pipeline.run as (...given: ReadonlyArray<unknown>) => unknown
    assert.throws(() => untyped(parent, snapshot, { events: "all" }), StageError.InvalidOption)
    const start = Pipeline.start as (...given: ReadonlyArray<unknown>) => unknown
    assert.throws(() => start(parent, snapshot, { events: "some" }), StageError.InvalidOption)
    assert.throws(() => start(parent, snapshot, { event: "all" }), StageError.InvalidOption)
  })
})
