import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Layer, Option, Schedule, Schema } from "effect"
import { Extension, PipelineInvalid, Snapshot, Stage, StageContext, StageError, StageOutput } from "stageflow"
import { Simulation, StageTest } from "stageflow/testing"

class Down extends Schema.TaggedError<Down>()("Down", {}) {}

const greet = Stage.transform("greet", {
  run: Effect.fnUntraced(function*(inputs: { readonly profile: Option.Option<{ readonly name: string }> }) {
    if (Option.isNone(inputs.profile)) return StageOutput.skip("Nobody to greet")
    return { text: `Hello ${inputs.profile.value.name}` }
  })
})

describe("the outcome", () => {
  it.effect("Ok, with typed data, from inputs", () =>
    Effect.gen(function*() {
      const { attempts, cause, outcome } = yield* StageTest.run(greet, {
        inputs: { profile: Option.some({ name: "Ada" }) }
      })
      assert(outcome._tag === "Ok")
      const text: string = outcome.data.text
      assert.strictEqual(text, "Hello Ada")
      assert.strictEqual(attempts, 1)
      assert.isUndefined(cause)
    }))

  it.effect("Skip", () =>
    Effect.gen(function*() {
      const { outcome } = yield* StageTest.run(greet, { inputs: { profile: Option.none() } })
      assert(outcome._tag === "Skip")
      assert.strictEqual(outcome.reason, "Nobody to greet")
    }))

  it.effect("Cancel", () =>
    Effect.gen(function*() {
      const guard = Stage.guard("guard", {
        run: Effect.gen(function*() {
          const { inputText } = yield* Snapshot.current
          if (inputText === "bad") return yield* StageOutput.cancel("Blocked", { data: { blocked: true } })
          return { validated: true }
        })
      })
      const blocked = yield* StageTest.run(guard, { snapshot: Snapshot.make({ inputText: "bad" }) })
      assert(blocked.outcome._tag === "Cancel")
      assert.strictEqual(blocked.outcome.reason, "Blocked")
      assert.deepStrictEqual(blocked.outcome.data, { blocked: true })
      const passed = yield* StageTest.run(guard)
      assert(passed.outcome._tag === "Ok")
    }))

  it.effect("Retry, when nobody grants it", () =>
    Effect.gen(function*() {
      const asking = Stage.work("asking", {
        run: Effect.succeed(StageOutput.retry("Busy", {
          after: "5 seconds",
          data: { queue: 3 },
          artifacts: [{ type: "log", payload: "busy" }]
        }))
      })
      const { artifacts, outcome } = yield* StageTest.run(asking)
      assert(outcome._tag === "Retry")
      assert.strictEqual(outcome.reason, "Busy")
      assert.strictEqual(outcome.after?.toString(), "5000 millis")
      assert.deepStrictEqual(outcome.data, { queue: 3 })
      assert.deepStrictEqual(artifacts, [{ type: "log", payload: "busy" }])
      const exhausted = yield* StageTest.run(Stage.retry(asking, Schedule.recurs(2)))
      assert(exhausted.outcome._tag === "Fail")
      assert.instanceOf(exhausted.outcome.error, StageError.RetryExhausted)
      assert.strictEqual(exhausted.attempts, 3)
      assert.strictEqual(exhausted.elapsed.toString(), "10000 millis")
    }))

  it.effect("Fail: a typed error, a returned one with data, a defect", () =>
    Effect.gen(function*() {
      const failed = yield* StageTest.run(Stage.work("failing", { run: Effect.fail(new Down()) }))
      assert(failed.outcome._tag === "Fail")
      assert.instanceOf(failed.outcome.error, Down)
      assert.isDefined(failed.cause)
      const returned = yield* StageTest.run(
        Stage.work("failing", { run: Effect.succeed(StageOutput.fail(new Down(), { data: { code: 7 } })) })
      )
      assert(returned.outcome._tag === "Fail")
      assert.deepStrictEqual(returned.outcome.data, { code: 7 })
      const died = yield* StageTest.run(Stage.work("dying", { run: Effect.die("boom") }))
      assert(died.outcome._tag === "Fail")
      assert.instanceOf(died.outcome.error, StageError.StageFault)
    }))

  it.effect("is what comes out of everything around the stage: its schema, its timeout, its retry policy", () =>
    Effect.gen(function*() {
      const invalid = yield* StageTest.run(Stage.transform("typed", {
        output: Schema.Struct({ age: Schema.Int }),
        run: Effect.succeed({ age: 1.5 })
      }))
      assert(invalid.outcome._tag === "Fail")
      const { error } = invalid.outcome
      assert(error._tag === "StageFault" && error.reason._tag === "InvalidOutput")
      const hanging = Stage.work("hanging", { run: Effect.never }).pipe(
        Stage.timeout("10 seconds"),
        Stage.retry(Schedule.addDelay(Schedule.recurs(1), () => Effect.succeed("1 second")))
      )
      const timedOut = yield* StageTest.run(hanging)
      assert(timedOut.outcome._tag === "Fail")
      assert.instanceOf(timedOut.outcome.error, StageError.StageTimeout)
      assert.strictEqual(timedOut.attempts, 2)
      assert.strictEqual(timedOut.elapsed.toString(), "21000 millis")
    }))

  it.effect("folds with StageOutput.match", () =>
    Effect.gen(function*() {
      const { outcome } = yield* StageTest.run(greet, { inputs: { profile: Option.none() } })
      const text = StageOutput.match<{ readonly text: string }, StageError.StageFault, string>(outcome, {
        Ok: ({ data }) => data.text,
        Skip: ({ reason }) => reason,
        Cancel: ({ reason }) => reason,
        Retry: ({ reason }) => reason,
        Fail: ({ error }) => error.message
      })
      assert.strictEqual(text, "Nobody to greet")
    }))
})

describe("what it is given and tells", () => {
  it.effect("artifacts, emitted events, and the events about the stage", () =>
    Effect.gen(function*() {
      const report = Stage.work("report", {
        run: Effect.gen(function*() {
          yield* StageContext.emit("report.started", { pages: 2 })
          yield* StageContext.addArtifact({ type: "chart", payload: [1, 2] })
          return StageOutput.ok({ done: true }, { artifacts: [{ type: "file", payload: "a.pdf" }] })
        })
      })
      const { artifacts, emitted, events, outcome } = yield* StageTest.run(report)
      assert.deepStrictEqual(emitted, [{ type: "report.started", data: { pages: 2 } }])
      assert.deepStrictEqual(artifacts, [{ type: "file", payload: "a.pdf" }, { type: "chart", payload: [1, 2] }])
      assert.deepStrictEqual(outcome.artifacts, artifacts)
      assert.deepStrictEqual(events.map(({ _tag }) => _tag), [
        "StageStarted",
        "StageEmitted",
        "ArtifactAdded",
        "ArtifactAdded",
        "StageCompleted"
      ])
    }))

  it.effect("ports from the environment, and extensions from the snapshot", () =>
    Effect.gen(function*() {
      class Skills extends Extension.make<Skills>()("skills", Schema.Struct({ level: Schema.String })) {}
      class Llm extends Context.Service<Llm, { readonly ask: (prompt: string) => Effect.Effect<string> }>()("t/Llm") {}
      const stage = Stage.transform("teach", {
        run: Effect.gen(function*() {
          const { level } = yield* Skills
          return { text: yield* (yield* Llm).ask(level) }
        })
      })
      const { outcome } = yield* StageTest.run(stage, {
        snapshot: Snapshot.make().pipe(Snapshot.extend(Skills, { level: "expert" }))
      }).pipe(Effect.provide(Layer.succeed(Llm, { ask: (prompt) => Effect.succeed(`${prompt}!`) })))
      assert(outcome._tag === "Ok")
      assert.deepStrictEqual(outcome.data, { text: "expert!" })
    }))

  it.effect("inputs are immutable to the stage, and the caller's own stay as they are", () =>
    Effect.gen(function*() {
      const inputs = { list: { items: [1] } }
      const { outcome } = yield* StageTest.run(
        Stage.work("mutating", {
          run: (given: typeof inputs) => Effect.sync(() => void given.list.items.push(2))
        }),
        { inputs }
      )
      assert(outcome._tag === "Fail")
      assert.deepStrictEqual(inputs, { list: { items: [1] } })
      assert.isFalse(Object.isFrozen(inputs.list))
    }))

  it.effect("a generic stage gets the stages before it", () =>
    Effect.gen(function*() {
      const generic = Stage.transform("generic", {
        run: Effect.gen(function*() {
          const { inputs } = yield* StageContext.StageContext
          return {
            route: Option.getOrThrow(inputs.get("route")),
            profile: yield* inputs.hasOutput("profile")
          }
        })
      })
      const { events, outcome } = yield* StageTest.run(generic, {
        before: { router: { route: "support" }, profile: StageOutput.skip("no user") }
      })
      assert(outcome._tag === "Ok")
      assert.deepStrictEqual(outcome.data, { route: "support", profile: false })
      assert.deepStrictEqual(events.map(({ _tag }) => _tag), ["StageStarted", "StageCompleted"])
      const undeclared = yield* StageTest.run(generic, { before: { router: { route: "support" } } })
      assert(undeclared.outcome._tag === "Fail")
      assert.instanceOf(undeclared.outcome.error, StageContext.UndeclaredInput)
      assert.throws(
        () => StageTest.run(generic, { before: { router: StageOutput.cancel("no") } }),
        StageError.InvalidOption
      )
    }))

  it.effect("a stage that never ends, and one that cannot be in a pipeline", () =>
    Effect.gen(function*() {
      const never = yield* Effect.flip(StageTest.run(Stage.work("never", { run: Effect.never })))
      assert.instanceOf(never, Simulation.SimulationTimeout)
      const forever = Stage.work("forever", { run: Effect.forever(Effect.sleep("1 minute")) })
      const limited = yield* Effect.flip(StageTest.run(forever, { limit: "10 minutes", seed: 1 }))
      assert(limited._tag === "SimulationTimeout")
      assert.strictEqual(limited.reason, "LimitReached")
      const blank = yield* Effect.flip(StageTest.run(Stage.work(" ", { run: Effect.void })))
      assert.instanceOf(blank, PipelineInvalid.PipelineInvalid)
    }))

  it("inputs have to be given where the stage takes some, and fit it", () => {
    const wrong = () => [
      // @ts-expect-error Expected 2 arguments, but got 1
      StageTest.run(greet),
      // @ts-expect-error Property 'inputs' is missing
      StageTest.run(greet, {}),
      // @ts-expect-error Type 'string' is not assignable
      StageTest.run(greet, { inputs: { profile: "Ada" } })
    ]
    assert.isFunction(wrong)
  })
})
