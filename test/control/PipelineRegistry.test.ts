import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Layer, Schema } from "effect"
import { Pipeline, Snapshot, Stage, StageError } from "stageflow"
import { PipelineRegistry } from "stageflow/control"

class LlmDown extends Schema.TaggedError<LlmDown>()("LlmDown", {}) {}
class Llm extends Context.Service<Llm, { readonly ask: Effect.Effect<string, LlmDown> }>()("test/registry/Llm") {}

const chat = Pipeline.make("chat").transform("answer", {
  run: Effect.gen(function*() {
    return { text: yield* (yield* Llm).ask }
  })
})
const billing = Pipeline.make("billing", { input: Schema.Struct({ amount: Schema.Int }) })
  .transform("tax", { inputs: ["input"], run: ({ input }) => Effect.succeed({ tax: input.amount / 5 }) })
  .returns((s) => s.tax.map(({ tax }) => tax))

class Pipelines extends PipelineRegistry.Service<Pipelines>()("test/Pipelines", { chat, billing }) {}

const llm = Layer.succeed(Llm, { ask: Effect.succeed("Hello") })

describe("PipelineRegistry", () => {
  it.effect("gives what was registered, which can be run as it is", () =>
    Effect.gen(function*() {
      const found = yield* Pipelines.get("chat")
      assert.strictEqual(found, chat)
      const { outputs } = yield* Pipeline.run(found, Snapshot.make())
      assert.strictEqual(outputs.answer.data.text, "Hello")
      const taxed = yield* Pipeline.run(yield* Pipelines.get("billing"), Snapshot.make({ input: { amount: 5 } }))
      assert.strictEqual(taxed.value, 1)
    }).pipe(Effect.provide([Pipelines.layer, llm])))

  it.effect("finds the pipeline of a name that comes from data, and runs it", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* Pipelines.find("billing"), billing)
      const result = yield* Pipelines.run("billing", Snapshot.make({ input: { amount: 10 } }))
      assert.strictEqual("value" in result && result.value, 2)
      const other = yield* Pipelines.run("chat", Snapshot.make(), { concurrency: 1 })
      assert.deepStrictEqual(Object.keys(other.outputs), ["answer"])
    }).pipe(Effect.provide([Pipelines.layer, llm])))

  it.effect("says which one was most likely meant by a name that it does not have", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(Pipelines.find("biling"))
      assert.instanceOf(error, PipelineRegistry.UnknownPipeline)
      assert.deepStrictEqual([error.pipeline, error.didYouMean, error.code], ["biling", "billing", "UNKNOWN_PIPELINE"])
      assert.strictEqual(error.message, "\"test/Pipelines\" has no pipeline \"biling\". Did you mean \"billing\"?")
      for (const name of ["__proto__", "constructor", "toString", "", "x".repeat(10_000)]) {
        const other = yield* Effect.flip(Pipelines.find(name))
        assert.strictEqual(other.didYouMean, undefined)
      }
      const run = yield* Effect.flip(Pipelines.run("shat", Snapshot.make({ input: { amount: 1 } })))
      assert.strictEqual(run._tag === "UnknownPipeline" && run.didYouMean, "chat")
    }).pipe(Effect.provide([Pipelines.layer, llm])))

  it.effect("an input that the pipeline of that name does not take is a typed error", () =>
    Effect.gen(function*() {
      // As it comes out of code without types.
      const untyped = Snapshot.make() as unknown as Snapshot.With<never, { readonly amount: number }>
      const error = yield* Effect.flip(Pipelines.run("billing", untyped))
      assert.strictEqual(error._tag, "SnapshotInvalid")
    }).pipe(Effect.provide([Pipelines.layer, llm])))

  it.effect("lists and describes all", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* Pipelines.list, ["chat", "billing"])
      const { billing, chat } = yield* Pipelines.describe
      assert.deepStrictEqual([chat.name, billing.stages.map(({ name }) => name)], ["chat", ["tax"]])
    }).pipe(Effect.provide(Pipelines.layer)))

  it.effect("a Layer puts others of the same types in place of some", () =>
    Effect.gen(function*() {
      const fake = Pipeline.make("chat").transform("answer", {
        run: Effect.gen(function*() {
          yield* Llm
          return { text: "Fake" }
        })
      })
      const program = Effect.gen(function*() {
        assert.strictEqual(yield* Pipelines.get("billing"), billing)
        assert.deepStrictEqual(yield* Pipelines.list, ["chat", "billing"])
        return (yield* Pipeline.run(yield* Pipelines.get("chat"), Snapshot.make())).outputs.answer.data.text
      })
      assert.strictEqual(
        yield* Effect.provide(program, [Pipelines.layerWith({ chat: fake as unknown as typeof chat }), llm]),
        "Fake"
      )
      assert.strictEqual(yield* Effect.provide(program, [Pipelines.layer, llm]), "Hello")
      assert.throws(() => Pipelines.layerWith({ chats: chat } as never), PipelineRegistry.RegistryInvalid)
      const other = Pipeline.make("chats").work("work", { run: Effect.void })
      assert.throws(() => Pipelines.layerWith({ chats: other } as never), PipelineRegistry.UnknownPipeline)
    }))

  it("tells everything that is wrong with what it is given, at once", () => {
    const make = (pipelines: unknown) => () => PipelineRegistry.Service<never>()("test/Bad", pipelines as never)
    try {
      make({ chat, assistant: chat, "": chat, stage: Stage.work("stage", { run: Effect.void }), nothing: undefined })()
      assert.fail()
    } catch (error) {
      assert(error instanceof PipelineRegistry.RegistryInvalid)
      assert.deepStrictEqual(error.problems.map(({ code, pipeline }) => [code, pipeline]), [
        ["OTHER_NAME", "assistant"],
        ["BLANK_NAME", ""],
        ["NO_PIPELINE", "stage"],
        ["NO_PIPELINE", "nothing"]
      ])
      assert.include(error.message, "- \"assistant\" is the pipeline \"chat\", by which events and errors call it.")
    }
    for (const bad of [undefined, null, "chat", [chat], chat]) assert.throws(make(bad), StageError.InvalidOption)
    assert.throws(() => PipelineRegistry.Service<never>()(" ", { chat }), StageError.InvalidOption)
  })

  it.effect("ordinary names such as __proto__ are names of pipelines", () =>
    Effect.gen(function*() {
      const odd = Object.fromEntries(
        ["__proto__", "constructor"].map((name) => [name, Pipeline.make(name).work("work", { run: Effect.void })])
      )
      class Odd extends PipelineRegistry.Service<Odd>()("test/Odd", odd) {}
      yield* Effect.gen(function*() {
        assert.deepStrictEqual(yield* Odd.list, ["__proto__", "constructor"])
        assert.strictEqual((yield* Odd.find("__proto__")).name, "__proto__")
      }).pipe(Effect.provide(Odd.layer))
    }))
})
