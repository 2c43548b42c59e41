import { assert, describe, it } from "@effect/vitest"
import { Cause, Data, Effect, Exit } from "effect"
import { EventSink, Pipeline, RunResult, Snapshot, Stage, StageContext, StageError, StageOutput } from "stageflow"
import { Broken, recorded } from "./support/lifecycle.ts"

const hostile = {
  get value(): string {
    throw new Error("never read me")
  }
}

/** A getter that gives something else each time. */
const shifty = () => {
  let reads = 0
  return {
    get value() {
      return ++reads
    }
  }
}

const onlyStage = <A extends object | void, E>(run: Effect.Effect<A, E, StageContext.StageContext>) =>
  Pipeline.make("p").add(Stage.work("stage", { run: Effect.asVoid(run) }))

describe("R32 what a stage hands over is read once, the same whether anybody listens or not", () => {
  const ways = {
    "an event whose data cannot be read": StageContext.emit("event", hostile),
    "an event without a type": StageContext.emit(undefined as never, {}),
    "an artifact whose payload cannot be read": StageContext.addArtifact({ type: "chart", payload: hostile }),
    "an artifact that is none": StageContext.addArtifact(null as never),
    "an artifact without a type": StageContext.addArtifact({ payload: 1 } as never)
  }
  for (const [what, handOver] of Object.entries(ways)) {
    it.effect(`${what} fails its stage`, () =>
      Effect.gen(function*() {
        const pipeline = onlyStage(handOver)
        const alone = yield* Effect.flip(Pipeline.run(pipeline, Snapshot.make()))
        const { events, exit } = yield* recorded(Effect.flip(Pipeline.run(pipeline, Snapshot.make())))
        const heard = yield* exit
        for (const failed of [alone, heard]) {
          assert.strictEqual(failed.stage, "stage")
          assert(failed.error instanceof StageError.StageFault)
          assert.strictEqual(failed.error.reason._tag, "Defect")
        }
        assert.deepStrictEqual(events.map(({ _tag }) => _tag), [
          "RunStarted",
          "StageStarted",
          "StageFailed",
          "RunFailed"
        ])
      }))
  }

  it.effect("what comes with a returned failure that cannot be read does not hide the failure", () =>
    Effect.gen(function*() {
      const broken = new Broken({ by: "stage" })
      const run = Effect.succeed(
        StageOutput.fail(broken, {
          artifacts: [{ type: "chart", payload: hostile }],
          events: [{ type: "e", data: hostile }]
        })
      )
      const pipeline = Pipeline.make("p").add(Stage.work("stage", { run }))
      const alone = yield* Effect.flip(Pipeline.run(pipeline, Snapshot.make()))
      const { exit } = yield* recorded(Effect.flip(Pipeline.run(pipeline, Snapshot.make())))
      assert.strictEqual(alone.error, broken)
      assert.strictEqual((yield* exit).error, broken)
    }))

  it.effect("everybody is told the same of a getter that changes", () =>
    Effect.gen(function*() {
      const run = Effect.succeed(
        StageOutput.ok({ n: 1 }, {
          artifacts: [{ type: "a", payload: shifty() }],
          events: [{ type: "e", data: shifty() }]
        })
      )
      const { events, exit } = yield* recorded(
        Pipeline.run(Pipeline.make("p").add(Stage.transform("stage", { run })), Snapshot.make())
      )
      const { artifacts, events: emitted } = (yield* exit).outputs.stage
      const told = events.flatMap((event) =>
        event._tag === "ArtifactAdded" ? [event.payload] : event._tag === "StageEmitted" ? [event.data] : []
      )
      const kept = [...emitted.map(({ data }) => data), ...artifacts.map(({ payload }) => payload)]
      assert.deepStrictEqual(
        told.map((value) => ({ ...value as object })),
        kept.map((value) => ({ ...value as object }))
      )
      assert.deepStrictEqual(kept.map((value) => Object.getOwnPropertyDescriptor(value, "value")?.get), [
        undefined,
        undefined
      ])
    }))

  it.effect("a sink that changes what it is told changes no result", () =>
    Effect.gen(function*() {
      const payload = { points: [1] }
      const vandal: EventSink.EventSink["Service"] = {
        offer: (event) => {
          if (event._tag === "RunIncomplete") (event.failed as Array<string>).push("vandal")
          if (event._tag === "ArtifactAdded") (event.payload as typeof payload).points.push(2)
        }
      }
      const pipeline = Pipeline.make("p").add(Stage.work("stage", {
        run: Effect.succeed(StageOutput.fail(new Broken({ by: "stage" }), { artifacts: [{ type: "chart", payload }] }))
      }))
      const result = yield* Effect.provideService(
        Pipeline.run(pipeline, Snapshot.make(), { failure: "continue" }),
        EventSink.EventSink,
        vandal
      )
      assert(result._tag === "Incomplete")
      assert.deepStrictEqual(result.failed, ["stage"])
      assert.deepStrictEqual(payload, { points: [1] })
    }))
})

describe("R10 an error that cannot be read is an error like any other", () => {
  class Unreadable extends Data.TaggedError("Unreadable") {
    override get message(): string {
      throw new Error("no message")
    }
  }

  it.effect("its message and JSON can be asked for", () =>
    Effect.gen(function*() {
      const failed = yield* Effect.flip(Pipeline.run(onlyStage(Effect.fail(new Unreadable())), Snapshot.make()))
      assert(failed instanceof RunResult.StageFailed)
      assert.strictEqual(failed.message, "Stage \"stage\" of pipeline \"p\" failed: Unreadable")
      assert.include(JSON.stringify(failed), "Unreadable")
    }))

  it.effect("a typed error and a finalizer that dies: the error is the error, both are in the cause", () =>
    Effect.gen(function*() {
      const broken = new Broken({ by: "stage" })
      const run = Effect.ensuring(Effect.fail(broken), Effect.die("finalizer"))
      const failed = yield* Effect.flip(Pipeline.run(onlyStage(run), Snapshot.make()))
      assert.strictEqual(failed.error, broken)
      assert.strictEqual(failed.cause.reasons.length, 2)
    }))
})

describe("R11 a run that is cancelled after a failure names every stage once", () => {
  it.effect("blocked stages are in a list of their own", () =>
    Effect.gen(function*() {
      const pipeline = Pipeline.make("p")
        .add(Stage.work("fails", { run: Effect.fail(new Broken({ by: "fails" })) }))
        .add(Stage.work("blocked", { run: Effect.void }), { after: ["fails"] })
        .add(Stage.work("first", { run: Effect.yieldNow }))
        .add(Stage.work("cancels", { run: Effect.succeed(StageOutput.cancel("enough")) }), { after: ["first"] })
        .add(Stage.work("never", { run: Effect.void }), { after: ["cancels"] })
      const result = yield* Pipeline.run(pipeline, Snapshot.make(), { failure: "continue" })
      assert(result._tag === "Cancelled")
      assert.deepStrictEqual(result.blocked, ["blocked"])
      assert.deepStrictEqual(result.neverStarted, ["never"])
      assert.deepStrictEqual(result.failures.map(({ stage }) => stage), ["fails"])
    }))
})

describe("R10 a run interrupted from inside", () => {
  it.effect("a release that dies is told with the interruption", () =>
    Effect.gen(function*() {
      const exit = yield* Effect.exit(
        Pipeline.run(onlyStage(Effect.ensuring(Effect.interrupt, Effect.die("finalizer"))), Snapshot.make())
      )
      assert(Exit.isFailure(exit))
      assert.isFalse(Cause.hasInterruptsOnly(exit.cause))
    }))
})
