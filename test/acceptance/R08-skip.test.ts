import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Option, Schedule } from "effect"
import { TestClock } from "effect/testing"
import { EventSink, OutputBag, Pipeline, Snapshot, Source, Stage, StageOutput } from "stageflow"
import { Counter } from "./support/stages.ts"

interface Profile {
  readonly name: string
}

const skipping = (reason = "No user_id provided") =>
  Stage.enrich("profile", {
    run: Effect.gen(function*() {
      const { userId } = yield* Snapshot.current
      if (userId === undefined) return StageOutput.skip(reason, { data: { looked: true } })
      return { name: userId }
    })
  })

const anonymous = Snapshot.make()
const known = Snapshot.make({ userId: "Ada" })

const first = "stage \"profile\" was skipped: No user_id provided"

describe("R8 skip is no error; whoever requires the data is skipped too, and the first skipped stage is the reason", () => {
  it.effect("a skipped stage is in the outputs with its reason and data, and the run is Completed", () =>
    Effect.gen(function*() {
      const { _tag, outputs } = yield* Pipeline.run(Pipeline.make("skip").add(skipping()), anonymous)
      assert.strictEqual(_tag, "Completed")
      const output = outputs.profile
      assert.strictEqual(output._tag, "Skip")
      if (output._tag !== "Skip") return
      assert.deepStrictEqual([output.reason, output.data, output.origin], [
        "No user_id provided",
        { looked: true },
        undefined
      ])
    }))

  it.effect("returned or yielded from any depth, it is the same", () =>
    Effect.gen(function*() {
      const deep = Effect.gen(function*() {
        yield* Effect.yieldNow
        return yield* StageOutput.skip("from below", { data: { a: 1 } })
      })
      const ways = {
        returned: Stage.enrich("skip", { run: Effect.succeed(StageOutput.skip("from below", { data: { a: 1 } })) }),
        yielded: Stage.enrich("skip", { run: Effect.andThen(deep, Effect.succeed({ never: true })) }),
        "yielded behind a timeout and a retry": Stage.enrich("skip", { run: deep }).pipe(
          Stage.timeout("1 minute"),
          Stage.retry(Schedule.recurs(5))
        ),
        "yielded inside a finally": Stage.enrich("skip", { run: Effect.ensuring(deep, Effect.void) })
      }
      for (const [way, stage] of Object.entries(ways)) {
        const pipeline = Pipeline.make("skip").add(stage as Stage.Stage<"skip", unknown, {}, "skip">)
        const { bag, outputs } = yield* Pipeline.run(pipeline, anonymous)
        const output = outputs.skip
        assert.strictEqual(output._tag, "Skip", way)
        if (output._tag === "Skip") assert.deepStrictEqual([output.reason, output.data], ["from below", { a: 1 }], way)
        assert.lengthOf(bag.entries, 1, way)
      }
    }))

  it.effect("every way to read a stage that was skipped, and the same when it was not", () =>
    Effect.gen(function*() {
      const read = Stage.transform("read", {
        run: (inputs: {
          readonly option: Option.Option<Profile>
          readonly orElse: Profile
          readonly output: StageOutput.Ok<Profile> | StageOutput.Skip
          readonly is: boolean
          readonly mapped: number
          readonly together: { readonly a: Option.Option<Profile>; readonly b: string }
        }) =>
          Effect.sync(() => ({
            option: Option.getOrNull(inputs.option),
            orElse: inputs.orElse,
            output: inputs.output._tag,
            mapped: inputs.mapped,
            together: [inputs.together.a._tag, inputs.together.b]
          }))
      })
      const byName = Stage.transform("by_name", {
        run: ({ profile }: { readonly profile: Option.Option<Profile> }) =>
          Effect.succeed({ tag: profile._tag, value: Option.getOrNull(profile) })
      })
      const pipeline = Pipeline.make("reads")
        .add(skipping())
        .add(read, (s) => ({
          inputs: {
            option: s.profile.option,
            orElse: s.profile.orElse(() => ({ name: "guest" })),
            output: s.profile.output,
            is: Source.succeed(true),
            mapped: s.profile.option.map((profile) => Option.isSome(profile) ? 1 : 0),
            together: Source.all({ a: s.profile.option, b: Source.snapshot(({ userId }) => userId ?? "nobody") })
          }
        }))
        .add(byName, { inputs: ["profile?"] })
      const skipped = yield* Pipeline.run(pipeline, anonymous)
      assert.deepStrictEqual(skipped.outputs.read.data, {
        option: null,
        orElse: { name: "guest" },
        output: "Skip",
        mapped: 0,
        together: ["None", "nobody"]
      })
      assert.deepStrictEqual(skipped.outputs.by_name.data, { tag: "None", value: null })
      const ran = yield* Pipeline.run(pipeline, known)
      assert.deepStrictEqual(ran.outputs.read.data, {
        option: { name: "Ada" },
        orElse: { name: "Ada" },
        output: "Ok",
        mapped: 1,
        together: ["Some", "Ada"]
      })
      assert.deepStrictEqual(ran.outputs.by_name.data, { tag: "Some", value: { name: "Ada" } })
    }))

  it.effect("who requires the data is skipped, and so on down, each with the reason of the first", () =>
    Effect.gen(function*() {
      const counter = new Counter()
      const needs = <const Name extends string>(name: Name) =>
        Stage.transform(name, {
          run: (_: { readonly it: unknown }) => Effect.sync(() => counter.add(name))
        })
      const pipeline = Pipeline.make("transitive")
        .add(skipping())
        .add(needs("direct"), (s) => ({ inputs: { it: s.profile.required } }))
        .add(needs("mapped"), (s) => ({ inputs: { it: s.direct.required.map(() => 1) } }))
        .add(needs("in_all"), (s) => ({ inputs: { it: Source.all({ a: s.mapped.required }) } }))
        .add(needs("by_condition"), (s) => ({
          when: s.in_all.required.map(() => true),
          inputs: { it: Source.succeed(1) }
        }))
        .add(needs("first_of"), (s) => ({ inputs: { it: Source.firstOf(s.by_condition, s.direct) } }))
        .add(needs("second_input"), (s) => ({
          inputs: { it: Source.all({ fine: Source.succeed(1), missing: s.first_of.required }) }
        }))
      const { _tag, bag, outputs } = yield* Pipeline.run(pipeline, anonymous)
      assert.strictEqual(_tag, "Completed")
      assert.deepStrictEqual(counter.names, [])
      const { profile, ...others } = outputs
      assert.strictEqual(profile._tag, "Skip")
      for (const [name, output] of Object.entries(others)) {
        assert.strictEqual(output._tag, "Skip", name)
        if (output._tag !== "Skip") continue
        assert.deepStrictEqual([output.origin, output.reason, output.data], ["profile", first, {}], name)
        assert.isFalse(OutputBag.has(bag, name))
      }
      const ran = yield* Pipeline.run(pipeline, known)
      assert.isTrue(Object.values(ran.outputs).every((output) => output._tag === "Ok"))
      assert.strictEqual(counter.total, 6)
    }))

  it.effect("a stage behind a skipped one in order alone runs", () =>
    Effect.gen(function*() {
      const counter = new Counter()
      const pipeline = Pipeline.make("order")
        .add(skipping())
        .add(counter.stage("after"), { after: ["profile"] })
        .add(counter.stage("after_that"), { after: ["after"] })
      const { outputs } = yield* Pipeline.run(pipeline, anonymous)
      assert.deepStrictEqual([outputs.after._tag, outputs.after_that._tag], ["Ok", "Ok"])
      assert.deepStrictEqual(counter.names, ["after", "after_that"])
    }))

  it.effect("the chain of reasons ends where somebody can go without", () =>
    Effect.gen(function*() {
      const needs = Stage.transform("needs", { run: (_: { readonly it: unknown }) => Effect.succeed({ ran: true }) })
      const pipeline = Pipeline.make("ends")
        .add(skipping())
        .add(needs, (s) => ({ inputs: { it: s.profile.required } }))
        .add(Stage.as(needs, "goes_without"), (s) => ({ inputs: { it: s.needs.option } }))
        .add(Stage.as(needs, "behind"), (s) => ({ inputs: { it: s.goes_without } }))
      const { outputs } = yield* Pipeline.run(pipeline, anonymous)
      assert.deepStrictEqual(
        [outputs.needs._tag, outputs.goes_without._tag, outputs.behind._tag],
        ["Skip", "Ok", "Ok"]
      )
    }))

  it.effect("of several skipped stages each reader's reason is the first in its own wiring", () =>
    Effect.gen(function*() {
      const skip = (name: string, duration: number) =>
        Stage.enrich(name, { run: Effect.as(Effect.sleep(duration), StageOutput.skip(`no ${name}`)) })
      const needs = (name: string) => Stage.transform(name, { run: (_: object) => Effect.succeed({}) })
      const required = (name: string) => Source.stage(name).required
      const pipeline = yield* Pipeline.fromSpecs("several", [
        { stage: skip("a", 100) },
        { stage: skip("b", 1) },
        { stage: needs("ab"), inputs: { a: required("a"), b: required("b") } },
        { stage: needs("ba"), inputs: { b: required("b"), a: required("a") } },
        { stage: needs("names"), inputs: ["a", "b"] },
        { stage: needs("diamond"), inputs: { ba: required("ba"), ab: required("ab") } }
      ])
      const fiber = yield* Effect.forkChild(Pipeline.run(pipeline, anonymous))
      yield* TestClock.adjust("1 second")
      const outputs = (yield* Fiber.join(fiber)).outputs as Readonly<Record<string, StageOutput.Settled>>
      const reasons = ["ab", "ba", "names", "diamond"].map((name) => {
        const output = outputs[name]
        return output?._tag === "Skip" ? [output.origin, output.reason] : []
      })
      const a = ["a", "stage \"a\" was skipped: no a"]
      const b = ["b", "stage \"b\" was skipped: no b"]
      assert.deepStrictEqual(reasons, [a, b, a, b])
    }))

  it.effect("a stage skipped by its own condition is the first, and names itself", () =>
    Effect.gen(function*() {
      const needs = Stage.transform("needs", { run: (_: { readonly it: unknown }) => Effect.succeed({}) })
      const pipeline = Pipeline.make("condition")
        .add(Stage.route("router", { run: Effect.succeed({ route: "left" as "left" | "right" }) }))
        .add(Stage.work("right", { run: Effect.void }), (s) => ({ when: s.router.is("right") }))
        .add(needs, (s) => ({ inputs: { it: s.right.required } }))
        .add(Stage.as(needs, "more"), (s) => ({ inputs: { it: s.needs.required } }))
      const { outputs } = yield* Pipeline.run(pipeline, anonymous)
      const reason = "stage \"right\" was skipped: its condition did not hold"
      for (const output of [outputs.needs, outputs.more]) {
        assert.deepStrictEqual(output._tag === "Skip" ? [output.origin, output.reason] : [], ["right", reason])
      }
    }))

  it.effect("a stage that started and skipped has two events, one that its wiring skipped has one", () =>
    Effect.gen(function*() {
      const needs = Stage.transform("needs", { run: (_: { readonly it: unknown }) => Effect.succeed({}) })
      const pipeline = Pipeline.make("told")
        .add(skipping())
        .add(needs, (s) => ({ inputs: { it: s.profile.required } }))
      yield* Pipeline.run(pipeline, anonymous)
      const memory = yield* EventSink.Memory
      const told = (yield* memory.events).flatMap((event) =>
        "stage" in event ? [[event._tag, event.stage, "reason" in event ? event.reason : ""]] : [[event._tag]]
      )
      assert.deepStrictEqual(told, [
        ["RunStarted"],
        ["StageStarted", "profile", ""],
        ["StageSkipped", "profile", "No user_id provided"],
        ["StageSkipped", "needs", first],
        ["RunCompleted"]
      ])
    }).pipe(Effect.provide(EventSink.layerMemory)))

  it.effect("skips are no failures to failure: \"continue\" either", () =>
    Effect.gen(function*() {
      const needs = Stage.transform("needs", { run: (_: { readonly it: unknown }) => Effect.succeed({}) })
      const pipeline = Pipeline.make("continue")
        .add(skipping())
        .add(needs, (s) => ({ inputs: { it: s.profile.required } }))
      assert.strictEqual((yield* Pipeline.run(pipeline, anonymous, { failure: "continue" }))._tag, "Completed")
      const failing = pipeline.add(Stage.work("bad", { run: Effect.fail("no") }))
      const result = yield* Pipeline.run(failing, anonymous, { failure: "continue" })
      assert.strictEqual(result._tag, "Incomplete")
      if (result._tag === "Incomplete") {
        assert.deepStrictEqual([result.skipped, result.failed, result.ok], [["profile", "needs"], ["bad"], []])
      }
    }))
})
