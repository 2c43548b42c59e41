import { assert, describe, it } from "@effect/vitest"
import { Effect, Option, Stream } from "effect"
import { EventSink, OutputBag, Pipeline, Snapshot, Source, Stage, StageContext, StageOutput } from "stageflow"
import { noop, spec } from "./support/stages.ts"

const names = ["__proto__", "constructor", "toString", "hasOwnProperty", "valueOf", "then", "length"] as const

const isClean = () => {
  assert.deepStrictEqual(Reflect.ownKeys({}), [])
  assert.isUndefined(Reflect.get({}, "from"))
  assert.strictEqual(Object.getPrototypeOf({}), Object.prototype)
  assert.strictEqual({}.toString, Object.prototype.toString)
}

describe("R2 names such as __proto__, constructor and toString are ordinary names", () => {
  it.effect("as stages of a pipeline from data, in its outputs, its bag and its description", () =>
    Effect.gen(function*() {
      const pipeline = yield* Pipeline.fromSpecs(
        "names",
        names.map((name, index) => spec(name, names.slice(index + 1)))
      )
      const result = yield* Pipeline.run(pipeline, Snapshot.make())
      assert.strictEqual(result._tag, "Completed")
      assert.sameMembers(Object.keys(result.outputs), [...names])
      assert.strictEqual(Object.getPrototypeOf(result.outputs), Object.prototype)
      for (const name of names) {
        const output = Object.getOwnPropertyDescriptor(result.outputs, name)?.value as StageOutput.StageOutput
        assert.strictEqual(output._tag, "Ok")
        if (output._tag === "Ok") assert.deepStrictEqual(output.data, { from: name })
        assert.strictEqual(Option.getOrThrow(OutputBag.get(result.bag, name)).stage, name)
      }
      const { edges, stages } = yield* Pipeline.describe(pipeline)
      assert.deepStrictEqual(stages.map(({ name }) => name), [...names])
      assert.lengthOf(edges, names.length * (names.length - 1) / 2)
      isClean()
    }))

  it.effect("a name that every object has is unknown when no stage has it, and gets no wrong suggestion", () =>
    Effect.gen(function*() {
      for (const name of names) {
        const { problems } = yield* Effect.flip(Pipeline.fromSpecs("names", [spec("a", [name])]))
        assert.deepStrictEqual(problems.map(({ code, unknown }) => [code, unknown]), [["UNKNOWN_STAGE", name]])
      }
      const twice = yield* Effect.flip(Pipeline.fromSpecs("names", [spec("__proto__"), spec("__proto__")]))
      assert.deepStrictEqual(twice.problems.map(({ code }) => code), ["DUPLICATE_NAME"])
    }))

  it.effect("as stages added by hand, read by name and by source", () =>
    Effect.gen(function*() {
      const byName = Stage.transform("by_name", {
        run: (inputs: {
          readonly ["__proto__"]: { readonly from: string }
          readonly constructor: { readonly from: string }
          readonly toString: Option.Option<{ readonly from: string }>
        }) =>
          Effect.sync(() => {
            assert.sameMembers(Object.keys(inputs), ["__proto__", "constructor", "toString"])
            assert.strictEqual(Object.getPrototypeOf(inputs), Object.prototype)
            return { read: [inputs["__proto__"].from, inputs.constructor.from, inputs.toString._tag] }
          })
      })
      const bySource = Stage.transform("by_source", {
        run: (inputs: {
          readonly ["__proto__"]: { readonly from: string }
          readonly hasOwnProperty: { readonly ["__proto__"]: boolean; readonly toString: { readonly from: string } }
        }) =>
          Effect.sync(() => {
            assert.sameMembers(Object.keys(inputs), ["__proto__", "hasOwnProperty"])
            assert.sameMembers(Object.keys(inputs.hasOwnProperty), ["__proto__", "toString"])
            return { read: [inputs["__proto__"].from, inputs.hasOwnProperty.toString.from] }
          })
      })
      const pipeline = Pipeline.make("names")
        .add(noop("__proto__"))
        .add(Stage.transform("constructor", { run: Effect.succeed({ from: "constructor" }) }))
        .add(Stage.transform("toString", { run: Effect.succeed({ from: "toString" }) }))
        .add(byName, { inputs: ["__proto__", "constructor", "toString?"] })
        .add(bySource, (s) => ({
          inputs: {
            ["__proto__"]: s["__proto__"],
            hasOwnProperty: Source.all({ ["__proto__"]: Source.stage("constructor").is("x"), toString: s.toString })
          }
        }))
      const result = yield* Pipeline.run(pipeline, Snapshot.make())
      assert.deepStrictEqual(result.outputs.by_name.data.read, ["__proto__", "constructor", "Some"])
      assert.deepStrictEqual(result.outputs.by_source.data.read, ["__proto__", "toString"])
      isClean()
    }))

  it.effect("as keys of data, which name what the stage gave and nothing else", () =>
    Effect.gen(function*() {
      const data = JSON.parse(`{"__proto__":{"polluted":true},"constructor":1,"toString":{"a":[1]}}`) as object
      const give = Stage.transform("give", { run: Effect.succeed(data) })
      const ask = Stage.transform("ask", {
        run: Effect.gen(function*() {
          const { inputs } = yield* StageContext.StageContext
          return {
            proto: inputs.get("__proto__"),
            constructor: yield* inputs.getFrom("give", "constructor"),
            hasOwnProperty: inputs.get("hasOwnProperty"),
            valueOf: yield* inputs.getFrom("give", "valueOf")
          }
        })
      })
      const { outputs } = yield* Pipeline.run(
        Pipeline.make("keys").add(give).add(ask, { after: ["give"] }),
        Snapshot.make()
      )
      assert.strictEqual(JSON.stringify(outputs.give.data), JSON.stringify(data))
      assert.strictEqual(Object.getPrototypeOf(outputs.give.data), Object.prototype)
      assert.isUndefined(Reflect.get(outputs.give.data, "polluted"))
      assert.isTrue(Object.isFrozen(Reflect.get(outputs.give.data, "toString")))
      assert.deepStrictEqual(outputs.ask.data.proto, Option.some({ polluted: true }))
      assert.deepStrictEqual(outputs.ask.data.constructor, Option.some(1))
      assert.deepStrictEqual(outputs.ask.data.hasOwnProperty, Option.none())
      assert.deepStrictEqual(outputs.ask.data.valueOf, Option.none())
      isClean()
    }))

  it.effect("as a route", () =>
    Effect.gen(function*() {
      const route = (chosen: object) =>
        Pipeline.fromSpecs("routes", [
          { stage: Stage.route("constructor", { run: Effect.succeed(chosen) }) },
          { stage: noop("proto"), when: Source.stage("constructor").is("__proto__") },
          { stage: noop("string"), when: Source.stage("constructor").is("toString") }
        ]).pipe(
          Effect.flatMap((pipeline) => Pipeline.run(pipeline, Snapshot.make())),
          Effect.map(({ bag }) => bag.entries.map(({ stage }) => stage))
        )
      assert.deepStrictEqual(yield* route({ route: "__proto__" }), ["constructor", "proto"])
      assert.deepStrictEqual(yield* route({ route: "toString" }), ["constructor", "string"])
      assert.deepStrictEqual(yield* route({}), ["constructor"])
      assert.deepStrictEqual(yield* route(Object.create({ route: "toString" }) as object), ["constructor"])
    }))

  it.effect("in the lists of a failed, an incomplete and a cancelled run", () =>
    Effect.gen(function*() {
      const ends = {
        fail: Stage.transform("__proto__", { run: Effect.fail("no") }),
        cancel: Stage.transform("__proto__", { run: Effect.succeed(StageOutput.cancel("no")) })
      }
      const around = (first: Pipeline.Spec<Stage.Stage<"__proto__", unknown, unknown, "cancel", string>>) =>
        Pipeline.fromSpecs("lists", [
          spec("hasOwnProperty"),
          { ...first, after: ["hasOwnProperty"] },
          spec("constructor", ["__proto__"]),
          spec("toString", ["constructor"])
        ])
      const failing = yield* around({ stage: ends.fail })
      const failed = yield* Effect.flip(Pipeline.run(failing, Snapshot.make()))
      assert.strictEqual(failed._tag, "StageFailed")
      if (failed._tag === "StageFailed") {
        assert.strictEqual(failed.stage, "__proto__")
        assert.deepStrictEqual(failed.neverStarted, ["constructor", "toString"])
        assert.deepStrictEqual(Object.keys(failed.outputs), ["hasOwnProperty"])
      }
      const incomplete = yield* Pipeline.run(failing, Snapshot.make(), { failure: "continue" })
      assert.strictEqual(incomplete._tag, "Incomplete")
      if (incomplete._tag === "Incomplete") {
        assert.deepStrictEqual(incomplete.failed, ["__proto__"])
        assert.deepStrictEqual(incomplete.blocked, ["constructor", "toString"])
      }
      const cancelled = yield* Pipeline.run(yield* around({ stage: ends.cancel }), Snapshot.make())
      assert.strictEqual(cancelled._tag, "Cancelled")
      if (cancelled._tag === "Cancelled") assert.strictEqual(cancelled.by, "__proto__")
      isClean()
    }))

  it.effect("in the status of a run and in its events", () =>
    Effect.gen(function*() {
      const pipeline = yield* Pipeline.fromSpecs("names", names.map((name) => spec(name)))
      const handle = yield* Pipeline.start(pipeline, Snapshot.make())
      yield* handle.await
      const status = yield* handle.status
      assert.sameMembers(Object.keys(status), [...names])
      for (const name of names) assert.strictEqual(Object.getOwnPropertyDescriptor(status, name)?.value, "ok")
      const events = yield* Stream.runCollect(handle.events)
      const started = events.flatMap((event) => event._tag === "StageStarted" ? [event.stage] : [])
      assert.deepStrictEqual(started, [...names])
      isClean()
    }).pipe(Effect.scoped, Effect.provide(EventSink.layerMemory)))

  it.effect("a name that ends with a question mark is a name; only what is unknown is read as an Option", () =>
    Effect.gen(function*() {
      const read = Stage.transform("read", {
        run: (inputs: Readonly<Record<string, unknown>>) => Effect.succeed({ inputs })
      })
      const pipeline = yield* Pipeline.fromSpecs("marks", [
        spec("really?"),
        spec("maybe"),
        { stage: read, inputs: ["really?", "maybe?"] }
      ])
      const { outputs } = yield* Pipeline.run(pipeline, Snapshot.make())
      const { data } = (outputs as Readonly<Record<string, StageOutput.Ok<unknown>>>)["read"] as StageOutput.Ok<unknown>
      assert.deepStrictEqual(data, {
        inputs: { "really?": { from: "really?" }, maybe: Option.some({ from: "maybe" }) }
      })
    }))
})
