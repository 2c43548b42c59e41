import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, type Option } from "effect"
import { TestClock } from "effect/testing"
import { Event, Pipeline, RunResult, Snapshot, Source, Stage, StageError, StageOutput } from "stageflow"
import { Broken, during, recorded, Witness } from "./support/lifecycle.ts"

const broken = new Broken({ by: "broken" })
const continued = { failure: "continue" } as const

const ways: ReadonlyArray<{ readonly way: string; readonly run: Effect.Effect<object | void, Broken> }> = [
  { way: "a typed failure", run: Effect.fail(broken) },
  { way: "a defect", run: Effect.die(new Error("boom")) },
  { way: "a stage that interrupts itself", run: Effect.interrupt },
  { way: "a stage that interrupts its own fiber", run: Effect.withFiber((fiber) => Fiber.interrupt(fiber)) },
  // A program without types can return anything.
  { way: "an invalid return value", run: Effect.succeed("text" as unknown as object) }
]

describe("R11 failure: \"continue\" lets independent branches finish", () => {
  for (const { run, way } of ways) {
    it.effect(`${way}: other branches finish, dependents are blocked, every stage is listed once`, () =>
      Effect.gen(function*() {
        const branch = new Witness()
        const blocked = new Witness()
        const pipeline = Pipeline.make("pipeline")
          .add(Stage.transform("before", { run: Effect.succeed({ text: "before" }) }))
          .add(Stage.work("broken", { run }), { after: ["before"] })
          .add(Stage.transform("branch", { run: branch.watch(Effect.as(Effect.sleep("1 minute"), { n: 1 })) }))
          .add(
            Stage.transform("branch_end", {
              run: ({ branch: { n } }: { readonly branch: { readonly n: number } }) => Effect.succeed({ n: n + 1 })
            }),
            { inputs: ["branch"] }
          )
          .add(Stage.work("blocked", { run: blocked.watch(Effect.void) }), { after: ["broken"] })
          .add(Stage.work("blocked_behind", { run: blocked.watch(Effect.void) }), { after: ["blocked"] })
          .add(Stage.work("blocked_join", { run: blocked.watch(Effect.void) }), { after: ["branch_end", "broken"] })
          .add(Stage.enrich("skipped", { run: Effect.succeed(StageOutput.skip("nothing to do")) }))

        const result = yield* during(Pipeline.run(pipeline, Snapshot.make(), continued), "1 minute")

        assert(result._tag === "Incomplete")
        assert.deepStrictEqual(result.ok, ["before", "branch", "branch_end"])
        assert.deepStrictEqual(result.skipped, ["skipped"])
        assert.deepStrictEqual(result.failed, ["broken"])
        assert.deepStrictEqual(result.blocked, ["blocked", "blocked_behind", "blocked_join"])
        const listed = [...result.ok, ...result.skipped, ...result.failed, ...result.blocked]
        assert.strictEqual(listed.length, 8)
        assert.strictEqual(new Set(listed).size, 8)
        assert.deepStrictEqual(Object.keys(result.outputs), ["before", "branch", "branch_end", "skipped"])
        assert.deepStrictEqual(result.outputs.branch_end?.data, { n: 2 })
        assert.deepStrictEqual(branch.counts, [1, 1, 0, 0])
        assert.deepStrictEqual(blocked.counts, [0, 0, 0, 0])
        const [failure] = result.failures
        assert.strictEqual(result.failures.length, 1)
        assert(failure !== undefined)
        assert.strictEqual(failure.stage, "broken")
        assert.strictEqual(failure.attempts, 1)
        assert.strictEqual(failure.cause.reasons.length, 1)
        if (way === "a typed failure") assert.strictEqual(failure.error, broken)
        else assert.instanceOf(failure.error, StageError.StageFault)
      }))
  }

  it.effect("a timeout and a retry that nobody grants are failures as well", () =>
    Effect.gen(function*() {
      const pipeline = Pipeline.make("pipeline")
        .add(Stage.work("slow", { run: Effect.never }).pipe(Stage.timeout("1 second")))
        .add(Stage.work("again", { run: Effect.succeed(StageOutput.retry("not yet")) }))
        .add(Stage.work("fine", { run: Effect.sleep("5 seconds") }))
      const result = yield* during(Pipeline.run(pipeline, Snapshot.make(), continued), "5 seconds")
      assert(result._tag === "Incomplete")
      assert.deepStrictEqual(result.ok, ["fine"])
      assert.deepStrictEqual(result.failed, ["slow", "again"])
      assert.instanceOf(result.failures[0]?.error, StageError.StageTimeout)
      assert.instanceOf(result.failures[1]?.error, StageError.RetryExhausted)
    }))

  it.effect("every kind of reader of a failed stage is blocked, an optional one too", () =>
    Effect.gen(function*() {
      const witness = new Witness()
      const body = (_inputs: { readonly it: unknown }) => witness.watch(Effect.void)
      const mayFail = Stage.enrich("mayfail", {
        run: Effect.suspend((): Effect.Effect<{ readonly route: "a" } | StageOutput.Skip, Broken> =>
          Effect.fail(broken)
        )
      })
      const pipeline = Pipeline.make("pipeline")
        .add(mayFail)
        .add(
          Stage.work("by_name", {
            run: (_inputs: { readonly mayfail: Option.Option<object> }) => witness.watch(Effect.void)
          }),
          { inputs: ["mayfail?"] }
        )
        .add(Stage.work("by_option", { run: body }), (s) => ({ inputs: { it: s.mayfail.option } }))
        .add(Stage.work("by_required", { run: body }), (s) => ({ inputs: { it: s.mayfail.required } }))
        .add(Stage.work("by_fallback", { run: body }), (s) => ({ inputs: { it: s.mayfail.orElse(() => "none") } }))
        .add(Stage.work("by_output", { run: body }), (s) => ({ inputs: { it: s.mayfail.output } }))
        .add(Stage.work("by_condition", { run: witness.watch(Effect.void) }), (s) => ({ when: s.mayfail.is("a") }))
        .add(Stage.work("by_order", { run: witness.watch(Effect.void) }), { after: ["mayfail"] })
        .add(Stage.transform("other", { run: Effect.succeed({ text: "" }) }))
        .add(Stage.work("by_first", { run: body }), (s) => ({ inputs: { it: Source.firstOf(s.other, s.mayfail) } }))

      const result = yield* Pipeline.run(pipeline, Snapshot.make(), continued)
      assert(result._tag === "Incomplete")
      assert.deepStrictEqual(result.ok, ["other"])
      assert.deepStrictEqual(result.failed, ["mayfail"])
      assert.deepStrictEqual(result.blocked, [
        "by_name",
        "by_option",
        "by_required",
        "by_fallback",
        "by_output",
        "by_condition",
        "by_order",
        "by_first"
      ])
      assert.strictEqual(witness.started, 0)
    }))

  it.effect("several failures are listed in the order of the pipeline, whichever failed first", () =>
    Effect.gen(function*() {
      const failing = <const Name extends string>(name: Name, after: "1 second" | "2 seconds" | "3 seconds") =>
        Stage.work(name, { run: Effect.andThen(Effect.sleep(after), Effect.fail(new Broken({ by: name }))) })
      const pipeline = Pipeline.make("pipeline")
        .add(failing("third", "3 seconds"))
        .add(failing("first", "1 second"))
        .add(failing("second", "2 seconds"))
        .add(Stage.work("join", { run: Effect.void }), { after: ["third", "first", "second"] })
      const { events, exit } = yield* recorded(during(Pipeline.run(pipeline, Snapshot.make(), continued), "3 seconds"))
      assert(exit._tag === "Success" && exit.value._tag === "Incomplete")
      assert.deepStrictEqual(exit.value.failed, ["third", "first", "second"])
      assert.deepStrictEqual(exit.value.failures.map(({ stage }) => stage), ["third", "first", "second"])
      assert.deepStrictEqual(exit.value.blocked, ["join"])
      const blocked = events.filter((event) => event._tag === "StageBlocked")
      assert.deepStrictEqual(blocked.map(({ by, stage }) => [stage, by]), [["join", "third"]])
    }))

  it.effect("a run with a failure is never reported as completed, not even when nothing else was left to do", () =>
    Effect.gen(function*() {
      const pipeline = Pipeline.make("pipeline").add(Stage.work("only", { run: Effect.fail(broken) }))
      const { events, exit } = yield* recorded(Pipeline.run(pipeline, Snapshot.make(), continued))
      assert(exit._tag === "Success")
      assert.strictEqual(exit.value._tag, "Incomplete")
      assert.deepStrictEqual(events.filter(Event.isRunEnd).map(({ _tag }) => _tag), ["RunIncomplete"])
    }))

  it.effect("the handle tells how the run stands, and that it ended incomplete", () =>
    Effect.gen(function*() {
      const pipeline = Pipeline.make("pipeline")
        .add(Stage.work("broken", { run: Effect.fail(broken) }))
        .add(Stage.work("behind", { run: Effect.void }), { after: ["broken"] })
        .add(Stage.work("slow", { run: Effect.sleep("1 minute") }))
      const handle = yield* Pipeline.start(pipeline, Snapshot.make(), continued)
      assert.deepStrictEqual(yield* handle.status, { broken: "failed", behind: "blocked", slow: "running" })
      const result = yield* during(handle.await, "1 minute")
      assert.strictEqual(result._tag, "Incomplete")
      assert.deepStrictEqual(yield* handle.status, { broken: "failed", behind: "blocked", slow: "ok" })
    }))

  it.effect("without a failure the run is Completed", () =>
    Effect.gen(function*() {
      const pipeline = Pipeline.make("pipeline")
        .add(Stage.work("fine", { run: Effect.succeed({ done: true }) }))
        .add(Stage.work("skipped", { run: Effect.succeed(StageOutput.skip("nothing to do")) }))
      const result = yield* Pipeline.run(pipeline, Snapshot.make(), continued)
      assert.strictEqual(result._tag, "Completed")
    }))

  it.effect("a cancel after a failure ends the run as Cancelled, never as Completed", () =>
    Effect.gen(function*() {
      const slow = new Witness()
      const pipeline = Pipeline.make("pipeline")
        .add(Stage.work("broken", { run: Effect.fail(broken) }))
        .add(Stage.guard("guard", {
          run: Effect.andThen(Effect.sleep("1 second"), Effect.succeed(StageOutput.cancel("enough")))
        }))
        .add(Stage.work("slow", { run: slow.watch(Effect.sleep("1 minute")) }))
      const result = yield* during(Pipeline.run(pipeline, Snapshot.make(), continued), "1 second")
      assert(result._tag === "Cancelled")
      assert.strictEqual(result.by, "guard")
      assert.deepStrictEqual(result.interrupted, ["slow"])
      assert.deepStrictEqual(slow.counts, [1, 0, 0, 1])
    }))

  it.effect("one stage at a time gives the same result", () =>
    Effect.gen(function*() {
      const pipeline = Pipeline.make("pipeline")
        .add(Stage.work("broken", { run: Effect.fail(broken) }))
        .add(Stage.work("behind", { run: Effect.void }), { after: ["broken"] })
        .add(Stage.work("one", { run: Effect.sleep("1 second") }))
        .add(Stage.work("two", { run: Effect.sleep("1 second") }), { after: ["one"] })
      const result = yield* during(
        Pipeline.run(pipeline, Snapshot.make(), { ...continued, concurrency: 1 }),
        "2 seconds"
      )
      assert(result._tag === "Incomplete")
      assert.deepStrictEqual([result.ok, result.failed, result.blocked], [["one", "two"], ["broken"], ["behind"]])
    }))

  it.effect("the default is fail-fast", () =>
    Effect.gen(function*() {
      const witness = new Witness()
      const pipeline = Pipeline.make("pipeline")
        .add(Stage.work("slow", { run: witness.watch(Effect.sleep("1 minute")) }))
        .add(Stage.work("broken", { run: Effect.fail(broken) }))
      const error = yield* Effect.flip(Pipeline.run(pipeline, Snapshot.make()))
      assert.instanceOf(error, RunResult.StageFailed)
      yield* TestClock.adjust("1 hour")
      assert.deepStrictEqual(witness.counts, [1, 0, 0, 1])
    }))
})
