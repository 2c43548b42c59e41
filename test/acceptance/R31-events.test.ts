import { assert, describe, it } from "@effect/vitest"
import { Context, Deferred, Effect, Exit, Fiber, Layer, Schedule, Scope, Stream } from "effect"
import { TestClock } from "effect/testing"
import {
  Event,
  EventSink,
  Interceptor,
  Pipeline,
  RunResult,
  Snapshot,
  Source,
  Stage,
  StageContext,
  StageOutput
} from "stageflow"
import { Broken, during, recorded } from "./support/lifecycle.ts"
import { byRun, checked, checkRun } from "./support/told.ts"

class Forged extends Error {
  readonly isForged = true
}

const broken = new Broken({ by: "broken" })

const second = Effect.sleep("1 second")

describe("R31 one start and one terminal event for every run and every started stage", () => {
  it.effect("success, with skipped stages", () =>
    Effect.gen(function*() {
      const pipeline = Pipeline.make("pipeline")
        .add(Stage.transform("first", { run: Effect.as(second, { n: 1 }) }))
        .add(Stage.enrich("skips", { run: Effect.succeed(StageOutput.skip("nothing to do")) }))
        .add(
          Stage.work("reader", { run: (_: { readonly skips: object }) => Effect.void }),
          (s) => ({ inputs: { skips: s.skips.required } })
        )
        .add(Stage.work("unchosen", { run: Effect.void }), (s) => ({ when: s.first.map(({ n }) => n > 1) }))
        .add(Stage.work("last", { run: second }), { after: ["first"] })
      const { events } = yield* recorded(during(Pipeline.run(pipeline, Snapshot.make()), "2 seconds"))
      assert.deepStrictEqual(checked(events), [
        "RunStarted",
        "StageStarted first",
        "StageStarted skips",
        "StageSkipped skips",
        "StageSkipped reader",
        "StageCompleted first",
        "StageSkipped unchosen",
        "StageStarted last",
        "StageCompleted last",
        "RunCompleted"
      ])
      const [started] = events
      const completed = events.at(-1)
      assert(started?._tag === "RunStarted" && completed?._tag === "RunCompleted")
      assert.strictEqual(started.stages, 5)
      assert.strictEqual(started.at, 0)
      assert.strictEqual(completed.durationMs, 2000)
      assert.strictEqual(completed.at, 2000)
      const skipped = events.filter((event) => event._tag === "StageSkipped")
      assert.deepStrictEqual(skipped.map(({ attempt, stage }) => [stage, attempt]), [
        ["skips", 1],
        ["reader", 0],
        ["unchosen", 0]
      ])
      assert.include(skipped[1]?.reason, "\"skips\"")
    }))

  it.effect("failure", () =>
    Effect.gen(function*() {
      const pipeline = Pipeline.make("pipeline")
        .add(Stage.work("fine", { run: Effect.void }))
        .add(Stage.work("slow", { run: Effect.never }))
        .add(Stage.work("broken", { run: Effect.andThen(second, Effect.fail(broken)) }))
        .add(Stage.work("never", { run: Effect.void }), { after: ["broken"] })
      const { events } = yield* recorded(during(Effect.flip(Pipeline.run(pipeline, Snapshot.make())), "1 second"))
      assert.deepStrictEqual(checked(events), [
        "RunStarted",
        "StageStarted fine",
        "StageCompleted fine",
        "StageStarted slow",
        "StageStarted broken",
        "StageFailed broken",
        "StageInterrupted slow",
        "RunFailed"
      ])
      const failed = events.find((event) => event._tag === "StageFailed")
      const ended = events.at(-1)
      assert(failed !== undefined && ended?._tag === "RunFailed")
      assert.strictEqual(failed.error.tag, "Broken")
      assert.strictEqual(failed.durationMs, 1000)
      assert.strictEqual(ended.stage, "broken")
      assert.deepStrictEqual(ended.error, failed.error)
      const interrupted = events.find((event) => event._tag === "StageInterrupted")
      assert.isFalse(interrupted?.abandoned)
    }))

  const failures: ReadonlyArray<
    { readonly how: string; readonly run: Effect.Effect<object, Broken>; readonly tag: string }
  > = [
    { how: "a defect", run: Effect.die(new Error("boom")), tag: "StageFault" },
    { how: "a stage that interrupts itself", run: Effect.interrupt, tag: "StageFault" },
    // A program without types can return anything.
    { how: "an invalid output", run: Effect.succeed(1 as unknown as object), tag: "StageFault" },
    { how: "a returned failure", run: Effect.succeed(StageOutput.fail(broken)), tag: "Broken" },
    { how: "a retry that nobody grants", run: Effect.succeed(StageOutput.retry("again")), tag: "RetryExhausted" }
  ]
  for (const { how, run, tag } of failures) {
    it.effect(`failure by ${how}`, () =>
      Effect.gen(function*() {
        const stage = Stage.work("broken", { run })
        const { events } = yield* recorded(
          Effect.flip(Pipeline.run(Pipeline.make("pipeline").add(stage), Snapshot.make()))
        )
        assert.deepStrictEqual(checked(events), [
          "RunStarted",
          "StageStarted broken",
          "StageFailed broken",
          "RunFailed"
        ])
        const failed = events.find((event) => event._tag === "StageFailed")
        assert.strictEqual(failed?.error.tag, tag)
      }))
  }

  it.effect("failure of a wiring: the stage never started", () =>
    Effect.gen(function*() {
      const pipeline = Pipeline.make("pipeline")
        .add(Stage.transform("first", { run: Effect.succeed({ n: 1 }) }))
        .add(Stage.work("broken", { run: Effect.void }), (s) => ({
          when: s.first.map((): boolean => {
            throw new Error("boom")
          })
        }))
      const { events } = yield* recorded(Effect.flip(Pipeline.run(pipeline, Snapshot.make())))
      assert.deepStrictEqual(checked(events), [
        "RunStarted",
        "StageStarted first",
        "StageCompleted first",
        "StageFailed broken",
        "RunFailed"
      ])
    }))

  it.effect("several failures at once", () =>
    Effect.gen(function*() {
      const gate = yield* Deferred.make<void>()
      const failing = Effect.andThen(Deferred.await(gate), Effect.fail(broken))
      const pipeline = Pipeline.make("pipeline")
        .add(Stage.work("one", { run: failing }))
        .add(Stage.work("two", { run: failing }))
      const { events } = yield* recorded(Effect.gen(function*() {
        const run = yield* Effect.forkChild(Effect.flip(Pipeline.run(pipeline, Snapshot.make())))
        yield* TestClock.adjust("1 second")
        yield* Deferred.succeed(gate, undefined)
        yield* Fiber.join(run)
      }))
      assert.deepStrictEqual(checked(events), [
        "RunStarted",
        "StageStarted one",
        "StageStarted two",
        "StageFailed one",
        "StageFailed two",
        "RunFailed"
      ])
    }))

  it.effect("a stage that cancels", () =>
    Effect.gen(function*() {
      const pipeline = Pipeline.make("pipeline")
        .add(Stage.work("slow", { run: Effect.never }))
        .add(Stage.guard("guard", { run: Effect.succeed(StageOutput.cancel("blocked")) }))
      const { events } = yield* recorded(Pipeline.run(pipeline, Snapshot.make()))
      assert.deepStrictEqual(checked(events), [
        "RunStarted",
        "StageStarted slow",
        "StageStarted guard",
        "StageCancelled guard",
        "StageInterrupted slow",
        "RunCancelled"
      ])
      const ended = events.at(-1)
      assert(ended?._tag === "RunCancelled")
      assert.deepStrictEqual([ended.by, ended.reason], ["guard", "blocked"])
    }))

  it.effect("a caller that cancels", () =>
    Effect.gen(function*() {
      const pipeline = Pipeline.make("pipeline")
        .add(Stage.work("slow", { run: Effect.never }))
        .add(Stage.work("never", { run: Effect.void }), { after: ["slow"] })
      const { events } = yield* recorded(Effect.scoped(Effect.gen(function*() {
        const handle = yield* Pipeline.start(pipeline, Snapshot.make())
        yield* TestClock.adjust("1 second")
        yield* handle.cancel("user left")
        yield* handle.cancel("again")
      })))
      assert.deepStrictEqual(checked(events), [
        "RunStarted",
        "StageStarted slow",
        "StageInterrupted slow",
        "RunCancelled"
      ])
      const ended = events.at(-1)
      assert(ended?._tag === "RunCancelled")
      assert.deepStrictEqual([ended.by, ended.reason], [undefined, "user left"])
    }))

  it.effect("a caller that cancels before the run is past the interceptors around it", () =>
    Effect.gen(function*() {
      const waits = Interceptor.make({ name: "waits", aroundRun: (run) => Effect.andThen(Effect.never, run) })
      const pipeline = Pipeline.make("pipeline").add(Stage.work("stage", { run: Effect.void }))
        .pipe(Pipeline.intercept(waits))
      const { events } = yield* recorded(Effect.scoped(Effect.gen(function*() {
        const handle = yield* Pipeline.start(pipeline, Snapshot.make())
        yield* handle.cancel("user left")
      })))
      assert.deepStrictEqual(checked(events), ["RunStarted", "RunCancelled"])
    }))

  const interruptions = [
    {
      how: "interruption of the caller",
      stop: <A, E>(run: Effect.Effect<A, E>) => Effect.timeoutOption(run, "1 second")
    },
    {
      how: "the end of its scope",
      stop: (_: Effect.Effect<unknown, unknown>, pipeline: Effect.Effect<unknown, never, Scope.Scope>) =>
        Effect.scoped(Effect.andThen(pipeline, second))
    }
  ]
  for (const { how, stop } of interruptions) {
    it.effect(how, () =>
      Effect.gen(function*() {
        const pipeline = Pipeline.make("pipeline")
          .add(Stage.work("slow", { run: Effect.never }))
          .add(Stage.work("stuck", { run: Effect.uninterruptible(Effect.never) }))
        const { events } = yield* recorded(during(
          stop(Pipeline.run(pipeline, Snapshot.make()), Pipeline.start(pipeline, Snapshot.make())),
          "11 seconds"
        ))
        assert.deepStrictEqual(checked(events), [
          "RunStarted",
          "StageStarted slow",
          "StageStarted stuck",
          "StageInterrupted slow",
          "StageInterrupted stuck",
          "RunInterrupted"
        ])
        const interrupted = events.filter((event) => event._tag === "StageInterrupted")
        assert.deepStrictEqual(interrupted.map(({ abandoned, at }) => [abandoned, at]), [[false, 1000], [true, 11_000]])
      }))
  }

  it.effect("failure: \"continue\"", () =>
    Effect.gen(function*() {
      const pipeline = Pipeline.make("pipeline")
        .add(Stage.work("broken", { run: Effect.fail(broken) }))
        .add(Stage.work("behind", { run: Effect.void }), { after: ["broken"] })
        .add(Stage.work("behind_that", { run: Effect.void }), { after: ["behind"] })
        .add(Stage.work("fine", { run: second }))
      const { events } = yield* recorded(
        during(Pipeline.run(pipeline, Snapshot.make(), { failure: "continue" }), "1 second")
      )
      assert.deepStrictEqual(checked(events).toSorted(), [
        "RunIncomplete",
        "RunStarted",
        "StageBlocked behind",
        "StageBlocked behind_that",
        "StageCompleted fine",
        "StageFailed broken",
        "StageStarted broken",
        "StageStarted fine"
      ])
      const ended = events.at(-1)
      assert(ended?._tag === "RunIncomplete")
      assert.deepStrictEqual([ended.failed, ended.blocked], [["broken"], ["behind", "behind_that"]])
      const blocked = events.filter((event) => event._tag === "StageBlocked")
      assert.deepStrictEqual(blocked.map(({ by }) => by), ["broken", "broken"])
    }))

  it.effect("retries: one start, one end, and each attempt that is tried again", () =>
    Effect.gen(function*() {
      let attempts = 0
      const body = Effect.suspend((): Effect.Effect<object, Broken> => {
        attempts++
        if (attempts === 1) return Effect.fail(broken)
        return Effect.succeed(attempts === 2 ? StageOutput.retry("not yet") : { done: true })
      })
      const pipeline = Pipeline.make("pipeline")
        .add(
          Stage.work("stage", { run: body }).pipe(Stage.retry({ schedule: Schedule.spaced("2 seconds"), attempts: 6 }))
        )
      const { events } = yield* recorded(during(Pipeline.run(pipeline, Snapshot.make()), "4 seconds"))
      assert.deepStrictEqual(checked(events), [
        "RunStarted",
        "StageStarted stage",
        "StageRetrying stage",
        "StageRetrying stage",
        "StageCompleted stage",
        "RunCompleted"
      ])
      const [first, again] = events.filter((event) => event._tag === "StageRetrying")
      assert.deepStrictEqual([first?.attempt, first?.at, first?.delayMs], [1, 0, 2000])
      assert.strictEqual(first?.error?.tag, "Broken")
      assert.isUndefined(first?.reason)
      assert.deepStrictEqual([again?.attempt, again?.at, again?.delayMs], [2, 2000, 2000])
      assert.isUndefined(again?.error)
      assert.strictEqual(again?.reason, "not yet")
      const completed = events.find((event) => event._tag === "StageCompleted")
      assert.deepStrictEqual([completed?.attempt, completed?.durationMs], [3, 4000])
    }))

  it.effect("retries that end in failure, and an interruption between two attempts", () =>
    Effect.gen(function*() {
      const failing = (policy: Schedule.Schedule<unknown>) =>
        Pipeline.make("pipeline").add(Stage.work("stage", { run: Effect.fail(broken) }).pipe(Stage.retry(policy)))
      const exhausted = yield* recorded(Effect.flip(Pipeline.run(failing(Schedule.recurs(2)), Snapshot.make())))
      assert.deepStrictEqual(checked(exhausted.events), [
        "RunStarted",
        "StageStarted stage",
        "StageRetrying stage",
        "StageRetrying stage",
        "StageFailed stage",
        "RunFailed"
      ])
      assert.strictEqual(exhausted.events.find((event) => event._tag === "StageFailed")?.attempt, 3)

      const interrupted = yield* recorded(during(
        Effect.timeoutOption(Pipeline.run(failing(Schedule.spaced("1 minute")), Snapshot.make()), "90 seconds"),
        "90 seconds"
      ))
      assert.deepStrictEqual(checked(interrupted.events), [
        "RunStarted",
        "StageStarted stage",
        "StageRetrying stage",
        "StageRetrying stage",
        "StageInterrupted stage",
        "RunInterrupted"
      ])
    }))

  it.effect("a run that is denied before any stage has both, and nothing between", () =>
    Effect.gen(function*() {
      class Port extends Context.Service<Port, {}>()("test/Port") {}
      const pipeline = Pipeline.make("pipeline").add(Stage.work("stage", { run: Effect.asVoid(Port) }))
      const unbuilt = pipeline.pipe(Pipeline.provide(Layer.effect(Port, Effect.fail(broken))))
      const layer = yield* recorded(Effect.flip(Pipeline.run(unbuilt, Snapshot.make())))
      assert.strictEqual((Exit.isSuccess(layer.exit) ? layer.exit.value : undefined)?._tag, "LayerFailed")
      assert.deepStrictEqual(layer.events.map(({ _tag, sequence }) => [_tag, sequence]), [
        ["RunStarted", 1],
        ["RunRejected", 2]
      ])
    }))
})

describe("R31 the envelope says where an event comes from", () => {
  it.effect("run, parent, parent stage and correlation of nested runs", () =>
    Effect.gen(function*() {
      const inner = Pipeline.make("inner").add(Stage.work("leaf", { run: second }))
      const middle = Pipeline.make("middle")
        .add(Stage.work("to_inner", { run: Effect.asVoid(Pipeline.run(inner, Snapshot.make())) }))
      const outer = Pipeline.make("outer")
        .add(Stage.work("one", { run: Effect.asVoid(Pipeline.run(middle, Snapshot.make())) }))
        .add(Stage.work("two", {
          run: Effect.scoped(Effect.gen(function*() {
            const handle = yield* Pipeline.start(middle, yield* Snapshot.current)
            yield* handle.await
          }))
        }))
      const { events, exit } = yield* recorded(
        during(Pipeline.run(outer, Snapshot.make({ pipelineRunId: "root" })), "1 second")
      )
      assert(exit._tag === "Success")
      checked(events)
      const runs = byRun(events).map((run) => run[0] as Event.Event)
      const named = (pipeline: string) => runs.filter((run) => run.pipeline === pipeline)
      assert.deepStrictEqual([named("outer").length, named("middle").length, named("inner").length], [1, 2, 2])
      assert.strictEqual(new Set(runs.map(({ runId }) => runId)).size, 5)
      for (const run of runs) assert.strictEqual(run.correlationId, "root")
      const [root] = named("outer")
      assert.deepStrictEqual([root?.runId, root?.parentRunId, root?.parentStage], ["root", undefined, undefined])
      assert.isFalse(Object.hasOwn(root ?? {}, "parentRunId"))
      assert.deepStrictEqual(named("middle").map(({ parentRunId, parentStage }) => [parentRunId, parentStage]), [
        ["root", "one"],
        ["root", "two"]
      ])
      assert.deepStrictEqual(
        named("inner").map(({ parentRunId, parentStage }) => [parentRunId, parentStage]),
        named("middle").map(({ runId }) => [runId, "to_inner"])
      )
      assert.strictEqual(exit.value.lineage.runId, "root")
    }))

  it.effect("nested runs that are stopped with their parent: one end for each of them, the inner ones first", () =>
    Effect.gen(function*() {
      const inner = Pipeline.make("inner").add(Stage.work("leaf", { run: Effect.never }))
      const middle = Pipeline.make("middle")
        .add(Stage.work("to_inner", { run: Effect.asVoid(Pipeline.run(inner, Snapshot.make())) }))
      const outer = Pipeline.make("outer")
        .add(Stage.work("to_middle", { run: Effect.asVoid(Pipeline.run(middle, Snapshot.make())) }))
        .add(Stage.work("broken", { run: Effect.andThen(second, Effect.fail(broken)) }))
      const { events } = yield* recorded(during(Effect.flip(Pipeline.run(outer, Snapshot.make())), "1 second"))
      checked(events)
      const ends = events.filter(Event.isRunEnd).map(({ _tag, pipeline }) => [pipeline, _tag])
      assert.deepStrictEqual(ends, [["inner", "RunInterrupted"], ["middle", "RunInterrupted"], ["outer", "RunFailed"]])
    }))

  it.effect("many runs at once: each has a sequence of its own, without gaps", () =>
    Effect.gen(function*() {
      const stages = Stage.work("slow", { run: Effect.andThen(second, StageContext.emit("tick", {})) })
      const pipeline = Pipeline.make("pipeline").add(stages)
        .add(Stage.work("fails", { run: Effect.andThen(second, Effect.fail(broken)) }))
        .add(Stage.work("quick", { run: Effect.void }))
      const { events } = yield* recorded(during(
        Effect.all(Array.from({ length: 100 }, () => Effect.exit(Pipeline.run(pipeline, Snapshot.make()))), {
          concurrency: "unbounded"
        }),
        "1 second"
      ))
      checked(events)
      assert.strictEqual(byRun(events).length, 100)
    }))

  it.effect("time is the clock's", () =>
    Effect.gen(function*() {
      yield* TestClock.setTime(1_700_000_000_000)
      const pipeline = Pipeline.make("pipeline").add(Stage.work("stage", { run: second }))
      const { events } = yield* recorded(during(Pipeline.run(pipeline, Snapshot.make()), "1 second"))
      assert.deepStrictEqual(events.map(({ at }) => at - 1_700_000_000_000), [0, 0, 1000, 1000])
    }))

  it.effect("the kind and the version of a stage", () =>
    Effect.gen(function*() {
      const pipeline = Pipeline.make("pipeline")
        .add(Stage.guard("guard", { run: Effect.succeed(StageOutput.ok({}, { version: "2" })) }))
      const { events } = yield* recorded(Pipeline.run(pipeline, Snapshot.make()))
      assert.strictEqual(events.find((event) => event._tag === "StageStarted")?.kind, "guard")
      assert.strictEqual(events.find((event) => event._tag === "StageCompleted")?.version, "2")
    }))
})

describe("R31 what a stage emits and the artifacts it returns are in there", () => {
  const chart = { type: "chart", payload: { points: [1, 2] } }
  const noted = { type: "noted", data: { n: 1 } }
  const contents = (events: ReadonlyArray<Event.Event>) =>
    events.flatMap((event) => {
      if (event._tag === "StageEmitted") return [[event.stage, event.attempt, event.type, event.data]]
      return event._tag === "ArtifactAdded" ? [[event.stage, event.attempt, event.type, event.payload]] : []
    })

  const outputs = [
    StageOutput.ok({}, { artifacts: [chart], events: [noted] }),
    StageOutput.skip("nothing to do", { artifacts: [chart], events: [noted] }),
    StageOutput.cancel("enough", { artifacts: [chart], events: [noted] }),
    StageOutput.fail(broken, { artifacts: [chart], events: [noted] })
  ]
  for (const output of outputs) {
    it.effect(`with ${output._tag}, before the stage's end`, () =>
      Effect.gen(function*() {
        const body = Effect.gen(function*() {
          yield* StageContext.emit("started", { at: 0 })
          yield* StageContext.addArtifact({ type: "file", payload: "a.txt" })
          yield* second
          yield* StageContext.emit("half", { at: 1 })
          return output
        })
        const pipeline = Pipeline.make("pipeline").add(Stage.work("stage", { run: body }))
        const { events } = yield* recorded(during(Effect.exit(Pipeline.run(pipeline, Snapshot.make())), "1 second"))
        checked(events)
        assert.deepStrictEqual(contents(events), [
          ["stage", 1, "started", { at: 0 }],
          ["stage", 1, "half", { at: 1 }],
          ["stage", 1, "noted", { n: 1 }],
          ["stage", 1, "chart", { points: [1, 2] }],
          ["stage", 1, "file", "a.txt"]
        ])
        assert.deepStrictEqual(events.filter(({ _tag }) => _tag === "StageEmitted").map(({ at }) => at), [
          0,
          1000,
          1000
        ])
      }))
  }

  it.effect("the artifacts and events are in the output, too", () =>
    Effect.gen(function*() {
      const body = Effect.gen(function*() {
        yield* StageContext.addArtifact({ type: "file", payload: "a.txt" })
        return StageOutput.ok({}, { artifacts: [chart], events: [noted] })
      })
      const pipeline = Pipeline.make("pipeline").add(Stage.work("stage", { run: body }))
      const result = yield* Pipeline.run(pipeline, Snapshot.make())
      assert.deepStrictEqual(result.outputs.stage.artifacts, [chart, { type: "file", payload: "a.txt" }])
      assert.deepStrictEqual(result.outputs.stage.events, [noted])
    }))

  it.effect("of an attempt that is tried again: what it emitted stays, its artifacts go", () =>
    Effect.gen(function*() {
      const body = Effect.gen(function*() {
        const { attempt } = yield* StageContext.StageContext
        yield* StageContext.emit("attempt", { attempt })
        yield* StageContext.addArtifact({ type: "draft", payload: attempt })
        if (attempt < 3) return yield* broken
      })
      const pipeline = Pipeline.make("pipeline").add(
        Stage.work("stage", { run: body }).pipe(Stage.retry(Schedule.recurs(5)))
      )
      const { events } = yield* recorded(Pipeline.run(pipeline, Snapshot.make()))
      checked(events)
      assert.deepStrictEqual(contents(events), [
        ["stage", 1, "attempt", { attempt: 1 }],
        ["stage", 2, "attempt", { attempt: 2 }],
        ["stage", 3, "attempt", { attempt: 3 }],
        ["stage", 3, "draft", 3]
      ])
    }))

  it.effect("of a stage that is interrupted, its clean-up included", () =>
    Effect.gen(function*() {
      const body = Effect.ensuring(
        Effect.andThen(StageContext.emit("working", {}), Effect.never),
        Effect.andThen(second, StageContext.emit("cleaned up", {}))
      )
      const pipeline = Pipeline.make("pipeline").add(Stage.work("stage", { run: body }))
      const { events } = yield* recorded(during(
        Effect.timeoutOption(Pipeline.run(pipeline, Snapshot.make()), "1 second"),
        "2 seconds"
      ))
      assert.deepStrictEqual(checked(events), [
        "RunStarted",
        "StageStarted stage",
        "StageEmitted stage",
        "StageEmitted stage",
        "StageInterrupted stage",
        "RunInterrupted"
      ])
    }))

  it.effect("nothing of what a stage left running says after its end", () =>
    Effect.gen(function*() {
      const body = Effect.asVoid(Effect.forkDetach(Effect.andThen(second, StageContext.emit("late", {}))))
      const pipeline = Pipeline.make("pipeline")
        .add(Stage.work("stage", { run: body }))
        .add(Stage.work("slow", { run: Effect.sleep("3 seconds") }))
      const { events } = yield* recorded(during(Pipeline.run(pipeline, Snapshot.make()), "3 seconds"))
      assert.notInclude(checked(events), "StageEmitted stage")
    }))

  it.effect("as they were then: later changes by the stage change no event", () =>
    Effect.gen(function*() {
      const data = { n: 1 }
      const body = Effect.gen(function*() {
        yield* StageContext.emit("first", data)
        data.n = 2
        yield* StageContext.emit("second", data)
      })
      const { events } = yield* recorded(
        Pipeline.run(Pipeline.make("pipeline").add(Stage.work("stage", { run: body })), Snapshot.make())
      )
      assert.deepStrictEqual(contents(events), [["stage", 1, "first", { n: 1 }], ["stage", 1, "second", { n: 2 }]])
    }))
})

describe("R31 the handle and the stream tell the same", () => {
  const pipeline = Pipeline.make("pipeline")
    .add(Stage.work("one", { run: second }))
    .add(Stage.work("two", { run: Effect.andThen(second, StageContext.emit("tick", {})) }), { after: ["one"] })

  it.effect("handle.events: from the first event, whenever one starts to listen, and it ends with the run", () =>
    Effect.gen(function*() {
      const { events, exit } = yield* recorded(Effect.scoped(Effect.gen(function*() {
        const handle = yield* Pipeline.start(pipeline, Snapshot.make())
        const early = yield* Effect.forkChild(Stream.runCollect(handle.events))
        yield* TestClock.adjust("1 second")
        const late = yield* Effect.forkChild(Stream.runCollect(handle.events))
        yield* TestClock.adjust("1 second")
        return [yield* Fiber.join(early), yield* Fiber.join(late), yield* Stream.runCollect(handle.events)]
      })))
      assert(exit._tag === "Success")
      checked(events)
      for (const heard of exit.value) assert.deepStrictEqual(heard, events)
    }))

  it.effect("handle.events ends with a run that fails, is cancelled or is interrupted, too", () =>
    Effect.gen(function*() {
      const stuck = Pipeline.make("pipeline").add(Stage.work("stuck", { run: Effect.never }))
      const failing = stuck.add(Stage.work("broken", { run: Effect.fail(broken) }))
      const failed = yield* Pipeline.start(failing, Snapshot.make())
      assert.strictEqual((yield* Stream.runCollect(failed.events)).at(-1)?._tag, "RunFailed")
      const cancelled = yield* Pipeline.start(stuck, Snapshot.make())
      yield* cancelled.cancel("enough")
      assert.strictEqual((yield* Stream.runCollect(cancelled.events)).at(-1)?._tag, "RunCancelled")
      const scope = yield* Scope.make()
      const interrupted = yield* Scope.provide(Pipeline.start(stuck, Snapshot.make()), scope)
      yield* Scope.close(scope, Exit.void)
      const heard = yield* Stream.runCollect(interrupted.events)
      checked(heard)
      assert.strictEqual(heard.at(-1)?._tag, "RunInterrupted")
    }))

  it.effect("Pipeline.stream: the events as they happen, then the result", () =>
    Effect.gen(function*() {
      const heard: Array<string> = []
      const fiber = yield* Effect.forkChild(Stream.runForEach(Pipeline.stream(pipeline, Snapshot.make()), (element) =>
        Effect.sync(() => {
          heard.push(element._tag)
        })))
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(heard, ["RunStarted", "StageStarted", "StageCompleted", "StageStarted"])
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(fiber)
      assert.deepStrictEqual(heard.slice(4), ["StageEmitted", "StageCompleted", "RunCompleted", "Completed"])
    }))

  it.effect("Pipeline.stream of a run that fails: the events, then the failure", () =>
    Effect.gen(function*() {
      const heard: Array<string> = []
      const failing = Pipeline.make("pipeline").add(Stage.work("broken", { run: Effect.fail(broken) }))
      const error = yield* Effect.flip(Stream.runForEach(Pipeline.stream(failing, Snapshot.make()), (element) =>
        Effect.sync(() => {
          heard.push(element._tag)
        })))
      assert.instanceOf(error, RunResult.StageFailed)
      assert.deepStrictEqual(heard, ["RunStarted", "StageStarted", "StageFailed", "RunFailed"])
    }))

  it.effect("a run that nobody listens to has the same result", () =>
    Effect.gen(function*() {
      const source = Pipeline.make("pipeline")
        .add(Stage.transform("a", { run: Effect.succeed({ n: 1 }) }))
        .add(
          Stage.transform("b", {
            run: ({ n }: { readonly n: number }) => Effect.succeed({ n: n + 1 })
          }),
          (s) => ({ inputs: { n: s.a.map(({ n }) => n) } })
        )
        .add(
          Stage.transform("c", {
            run: ({ b }: { readonly b: { readonly n: number } }) => Effect.succeed(b)
          }),
          (s) => ({ inputs: { b: Source.firstOf(s.b) } })
        )
      const alone = yield* Pipeline.run(source, Snapshot.make())
      const heard = yield* recorded(Pipeline.run(source, Snapshot.make()))
      assert(heard.exit._tag === "Success")
      assert.deepStrictEqual(heard.exit.value.outputs, alone.outputs)
    }))

  it.effect.each(["interrupt", "cancel"] as const)(
    "whoever hears an event may %s the run there and then: its end is still the last event",
    (how) =>
      Effect.gen(function*() {
        const waits = (name: string) =>
          Stage.transform(name, {
            *run() {
              yield* Effect.sleep("1 second")
              yield* StageContext.addArtifact({ type: "note", payload: name })
            }
          })
        const pipeline = Pipeline.make("pipeline")
          .add(waits("a"))
          .add(waits("b"), { after: ["a"] })
          .add(Stage.transform("c", { run: Effect.void }), { after: ["b"] })
        for (let step = 1; step <= 12; step++) {
          const events: Array<Event.Event> = []
          let stop = () => {}
          const sink = {
            offer: (event: Event.Event) => {
              events.push(event)
              if (events.length === step) stop()
            }
          }
          const program = Effect.scoped(Effect.gen(function*() {
            const context = yield* Effect.context<Scope.Scope>()
            const run = yield* Pipeline.start(pipeline, Snapshot.make())
            if (how === "cancel") stop = () => void Effect.runForkWith(context)(run.cancel("enough"))
            return yield* run.await
          }))
          const running = how === "cancel" ? program : Effect.asVoid(Pipeline.run(pipeline, Snapshot.make()))
          const fiber = yield* Effect.forkChild(Effect.provideService(running, EventSink.EventSink, sink))
          if (how === "interrupt") stop = () => fiber.interruptUnsafe()
          yield* TestClock.adjust("1 minute")
          yield* Fiber.await(fiber)
          assert.isTrue(Event.isRunEnd(events.at(-1) as Event.Event), `step ${step}: ${events.map(({ _tag }) => _tag)}`)
          checkRun(events)
        }
      })
  )
})

describe("R31 a run took the time from its first event to its last", () => {
  const takes = (millis: number) => Effect.sleep(millis)
  const slowLayer = Layer.effectDiscard(Effect.acquireRelease(takes(100), () => takes(200)))
  const around = Interceptor.make({
    name: "around",
    aroundRun: (run) => takes(10).pipe(Effect.andThen(run), Effect.ensuring(takes(20)))
  })
  const stage = (run: Effect.Effect<void, Broken>) => Pipeline.make("p").add(Stage.work("stage", { run }))
  const ended = (run: Effect.Effect<object | void, Broken>) =>
    Pipeline.make("p").add(Stage.work("stage", { run } as never))
  const whole = <const P extends ReturnType<typeof stage>>(pipeline: P) =>
    pipeline.pipe(Pipeline.provide(slowLayer), Pipeline.intercept(around))
  const slow = Effect.asVoid(takes(1000))
  const ways = {
    RunCompleted: Pipeline.run(whole(stage(slow)), Snapshot.make()),
    RunCancelled: Pipeline.run(whole(ended(Effect.as(slow, StageOutput.cancel("enough")))), Snapshot.make()),
    RunFailed: Pipeline.run(whole(stage(Effect.andThen(slow, Effect.fail(broken)))), Snapshot.make()),
    RunIncomplete: Pipeline.run(whole(stage(Effect.andThen(slow, Effect.fail(broken)))), Snapshot.make(), {
      failure: "continue"
    })
  }
  for (const [end, run] of Object.entries(ways)) {
    it.effect(`with what is around its stages: ${end}`, () =>
      Effect.gen(function*() {
        const { events, exit } = yield* recorded(during(Effect.result(run), "10 seconds"))
        const [first, last] = [events[0], events.at(-1)]
        assert(first !== undefined && last !== undefined && Event.isRunEnd(last))
        assert.deepStrictEqual([last._tag, last.durationMs, last.at - first.at], [end, 1330, 1330])
        // A result is of the stages.
        const given = yield* exit
        const result: object = "success" in given ? given.success : given.failure
        assert.propertyVal(result, "durationMs", 1000)
      }))
  }
})

describe("R31 an event is told to people on one line", () => {
  it.effect("whatever names, messages and ids are", () =>
    Effect.gen(function*() {
      const forged = "x\n\u001b[2J\u2028\u202eforged"
      const failing = Effect.andThen(StageContext.emit(forged, {}), Effect.fail(new Forged(forged)))
      const pipeline = Pipeline.make("p").add(Stage.work(`a${forged}`, { run: failing }))
      const { events } = yield* recorded(Effect.result(Pipeline.run(pipeline, Snapshot.make())))
      assert.lengthOf(events, 5)
      for (const event of events) {
        assert.notMatch(Event.format(event), /[\p{Cc}\u2028\u202e]/u)
        if (event._tag !== "RunStarted") assert.include(Event.summary(event), "forged")
      }
    }))
})
