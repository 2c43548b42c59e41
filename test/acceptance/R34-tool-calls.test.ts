import "../support/seed.ts"
import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Effect, Layer, Schema } from "effect"
import { Pipeline, Snapshot } from "stageflow"
import { Tool, ToolRegistry, Tools } from "stageflow/tools"
import { announced, Book, everything, given, inStage, openAi } from "../tools/support/tools.ts"

const withTools = (book: Book) => Layer.provide(ToolRegistry.layer(book.pay()), everything)

/** What came of one call, in a few words. */
const outcomes = ({ results }: Tools.Turn) =>
  results.map((result) => result._tag === "Unresolved" ? result.problem._tag : result._tag)

describe("R34 a tool call is validated before anything runs", () => {
  const wrong: ReadonlyArray<readonly [string, unknown, string]> = [
    ["an unknown tool", openAi("pya", { amount: 1 }), "UnknownTool"],
    ["no JSON", openAi("pay", "{\"amount\": 1"), "InvalidJson"],
    ["empty arguments", openAi("pay", ""), "InvalidJson"],
    ["no arguments", { id: "1", name: "pay" }, "InvalidArguments"],
    ["null as arguments", { id: "1", name: "pay", arguments: null }, "InvalidArguments"],
    ["a list as arguments", { id: "1", name: "pay", input: [1] }, "InvalidArguments"],
    ["a number as arguments", openAi("pay", "5"), "InvalidArguments"],
    ["a wrong shape", openAi("pay", { amount: "1" }), "InvalidArguments"],
    ["a missing field", { type: "tool_use", id: "1", name: "pay", input: {} }, "InvalidArguments"],
    ["arguments of the prototype", { name: "pay", arguments: "{\"__proto__\":{\"amount\":5}}" }, "InvalidArguments"],
    ["no name", { id: "1", arguments: "{}" }, "InvalidCall"],
    ["a function that is none", { function: 5 }, "InvalidCall"],
    ["no object", 5, "InvalidCall"],
    ["a name of the prototype", openAi("constructor", {}), "UnknownTool"]
  ]
  for (const [what, call, problem] of wrong) {
    it.effect(`${what} is unresolved as ${problem}, and nothing runs`, () =>
      Effect.gen(function*() {
        const book = new Book()
        const { events, exit } = yield* inStage(Tools.execute([call])).pipe(Effect.provide(withTools(book)))
        assert.deepStrictEqual(exit._tag === "Success" ? outcomes(exit.value) : [], [problem])
        assert.deepStrictEqual(announced(events), ["ToolUnresolved"])
        assert.deepStrictEqual(book.lines, [])
      }))
  }

  it.effect("says which tool and which path, what was meant, and never what was given", () =>
    Effect.gen(function*() {
      const { results } = yield* given(
        Tools.execute([openAi("payy", {}), openAi("pay", { amount: "secret" }), openAi("pay", "secret")])
      )
      const [unknown, shape, json] = results.map(({ content }) => content)
      assert.strictEqual(unknown, "UnknownTool: There is no tool \"payy\". Did you mean \"pay\"?")
      assert.include(shape, "InvalidArguments: The arguments of tool \"pay\" do not fit: amount: ")
      assert.include(json, "InvalidJson: The arguments of tool \"pay\" are text of 6 characters that is no JSON")
      assert.notInclude(JSON.stringify(results), "secret")
    }).pipe(Effect.provide(withTools(new Book()))))

  it.effect("a call from code is checked by the schema, too", () =>
    Effect.gen(function*() {
      const book = new Book()
      const pay = book.pay()
      const { exit } = yield* inStage(Effect.flip(Tools.call(pay, { amount: Number.NaN }))).pipe(
        Effect.provide(Layer.provide(ToolRegistry.layer(pay), everything))
      )
      assert.strictEqual(exit._tag === "Success" ? exit.value._tag : "", "InvalidArguments")
      assert.deepStrictEqual(book.lines, [])
    }))

  it.effect("a tool is not called past the registry", () =>
    Effect.gen(function*() {
      const [book, other] = [new Book(), new Book()]
      const { exit } = yield* inStage(Effect.flip(Tools.call(other.pay(), { amount: 1 }))).pipe(
        Effect.provide(withTools(book))
      )
      assert.strictEqual(exit._tag === "Success" ? exit.value._tag : "", "UnknownTool")
      assert.deepStrictEqual(other.lines, [])
    }))

  it.effect("the shapes of all providers are read, by name or action type", () =>
    Effect.gen(function*() {
      const book = new Book()
      const layer = withTools(book)
      const shapes = [
        { tool_calls: [openAi("pay", { amount: 1 })] },
        [{ type: "function_call", call_id: "1", name: "pay", arguments: "{\"amount\":2}" }],
        {
          role: "assistant",
          content: [{ type: "text", text: "I pay" }, { type: "tool_use", id: "1", name: "pay", input: { amount: 3 } }]
        },
        [{ type: "tool-call", id: "1", name: "pay", params: { amount: 4 } }],
        { tool: "pay", arguments: { amount: 5 } },
        { actionType: "PAYMENT", parameters: { amount: 6 } },
        openAi("PAYMENT", { amount: 7 })
      ]
      for (const shape of shapes) {
        const turn = yield* given(Tools.execute(shape)).pipe(Effect.provide(layer))
        assert.deepStrictEqual(outcomes(turn), ["Succeeded"])
      }
      assert.deepStrictEqual(book.lines, [1, 2, 3, 4, 5, 6, 7].map((amount) => `pay ${amount}`))
      for (
        const none of [undefined, null, [], { role: "assistant", content: "Hello" }, { content: [{ type: "text" }] }]
      ) {
        assert.deepStrictEqual(outcomes(yield* given(Tools.execute(none)).pipe(Effect.provide(layer))), [])
      }
    }))

  it.effect("arguments that may all be left out are not left out because they are misspelt, or in a list", () =>
    Effect.gen(function*() {
      const book = new Book()
      const list = Tool.make("list", {
        parameters: Schema.Struct({ limit: Schema.optionalKey(Schema.Int) }),
        run: ({ limit }) => book.note(`list ${limit}`)
      })
      const calls = [
        openAi("list", { limt: 5 }),
        openAi("list", "[5]"),
        openAi("list", "5"),
        openAi("list", ""),
        openAi("list", {})
      ]
      const turn = yield* given(Tools.execute(calls)).pipe(Effect.provide(ToolRegistry.layer(list)))
      assert.deepStrictEqual(outcomes(turn), [
        "InvalidArguments",
        "InvalidArguments",
        "InvalidArguments",
        "InvalidJson",
        "Succeeded"
      ])
      assert.deepStrictEqual(book.lines, ["list undefined"])
    }))

  it.effect("a tool that takes nothing may be called without arguments, and with nothing else", () =>
    Effect.gen(function*() {
      const book = new Book()
      const ping = Tool.make("ping", { run: () => book.note("ping") })
      const calls = [
        { name: "ping" },
        openAi("ping", ""),
        openAi("ping", "{}"),
        openAi("ping", "[]"),
        openAi("ping", "x")
      ]
      const turn = yield* given(Tools.execute(calls)).pipe(Effect.provide(ToolRegistry.layer(ping)))
      assert.deepStrictEqual(outcomes(turn), ["Succeeded", "Succeeded", "Succeeded", "InvalidArguments", "InvalidJson"])
      assert.deepStrictEqual(book.lines, ["ping", "ping", "ping"])
    }))

  const hostile: ReadonlyArray<readonly [string, () => unknown]> = [
    ["a getter that throws", () => ({
      get name() {
        throw new Error("no")
      }
    })],
    ["a revoked proxy", () => {
      const { proxy, revoke } = Proxy.revocable({}, {})
      revoke()
      return proxy
    }],
    ["arguments nested 100,000 deep", () => openAi("deep", `${"[".repeat(100_000)}${"]".repeat(100_000)}`)],
    ["a name of a million letters", () => openAi("a".repeat(1_000_000), {})]
  ]
  for (const [what, make] of hostile) {
    it.effect(`${what} is unresolved, and no crash`, () =>
      Effect.gen(function*() {
        const Nested: Schema.Codec<unknown> = Schema.Array(Schema.suspend((): Schema.Codec<unknown> => Nested))
        const deep = Tool.make("deep", { parameters: Nested, run: () => Effect.die("It ran") })
        const layer = ToolRegistry.layer(deep)
        for (const written of [make(), [make()]]) {
          const { results } = yield* given(Tools.execute(written)).pipe(Effect.provide(layer))
          assert.deepStrictEqual(results.map(({ _tag }) => _tag), ["Unresolved"])
          assert.isBelow(JSON.stringify(results).length, 2_000)
        }
      }))
  }

  const Json = Arbitrary.schema(Schema.Json)
  const Shaped = Arbitrary.schema(Schema.Struct({
    id: Schema.optionalKey(Schema.Json),
    name: Schema.optionalKey(Schema.Union([Schema.Literals(["pay", "PAYMENT", "pya"]), Schema.Json])),
    arguments: Schema.optionalKey(Schema.Union([
      Schema.Struct({ amount: Schema.Json }),
      Schema.String,
      Schema.Literals(["{\"amount\":1}", "{}", "null"]),
      Schema.Json
    ])),
    input: Schema.optionalKey(Schema.Json),
    type: Schema.optionalKey(Schema.Json)
  }))

  it.effect.prop(
    "whatever a model writes, every call is resolved with arguments of its schema or unresolved, and none is lost",
    [Arbitrary.schema(Schema.Array(Schema.Json)), Json, Shaped],
    ([list, json, shaped]) =>
      Effect.gen(function*() {
        const book = new Book()
        const isAmount = Schema.is(Schema.Struct({ amount: Schema.Finite }))
        const layer = withTools(book)
        for (const written of [list, json, shaped, [...list, shaped], { tool_calls: [shaped] }]) {
          const { resolved, unresolved } = yield* given(Tools.parseAndResolve(written)).pipe(Effect.provide(layer))
          const indices = [...resolved, ...unresolved].map(({ index }) => index).toSorted((a, b) => a - b)
          assert.deepStrictEqual(indices, indices.map((_, index) => index))
          for (const { parameters } of resolved) assert.isTrue(isAmount(parameters))
          if (Array.isArray(written)) assert.strictEqual(indices.length, written.length)
          const { results } = yield* given(Tools.execute(written)).pipe(Effect.provide(layer))
          assert.strictEqual(results.length, indices.length)
        }
      })
  )

  it.effect("a stage executes what it is given", () =>
    Effect.gen(function*() {
      const book = new Book()
      const pipeline = Pipeline.make("chat")
        .transform("model", { run: Effect.succeed({ tool_calls: [openAi("pay", { amount: 9 }), openAi("pay", "?")] }) })
        .add(Tools.stage("act", { calls: (inputs: { readonly model: object }) => inputs.model }), { inputs: ["model"] })
      const result = yield* Pipeline.run(pipeline, Snapshot.make()).pipe(Effect.provide(withTools(book)))
      assert.strictEqual(result._tag, "Completed")
      if (result._tag === "Completed") {
        assert.deepStrictEqual(outcomes(result.outputs.act.data), ["Succeeded", "InvalidJson"])
      }
      assert.deepStrictEqual(book.lines, ["pay 9"])
    }))
})
