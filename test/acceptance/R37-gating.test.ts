import "../support/seed.ts"
import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Effect, Layer, Schema } from "effect"
import { IdGenerator, LanguageModel } from "effect/ai"
import { Pipeline, Snapshot, type StageContext } from "stageflow"
import { ApprovalPolicy, Tool, ToolRegistry, Tools } from "stageflow/tools"
import { announced, Book, everything, inStage } from "../tools/support/tools.ts"

/** A tool for support only, and other ways to it. */
const gated = (book: Book) => {
  const wipe = Tool.make("wipe", { behaviours: ["support", "admin"], run: () => book.note("wiped") })
  const inside = Pipeline.make("cleaning")
    .add(Tools.stage("clean", { calls: () => [{ name: "wipe" }] }))
    .returns((s) => s.clean)
  const asTool = Tool.fromPipeline("cleaning", inside, { success: Tools.Turn })
  return { wipe, asTool, layer: Layer.merge(everything, registryOf(wipe, asTool)) }
}

/** A pipeline that calls tools needs the registry that it is in itself. */
const registryOf = (wipe: Tool.Any, asTool: Tool.Any): Layer.Layer<ToolRegistry> =>
  Layer.orDie(ToolRegistry.layer(wipe, asTool)) as Layer.Layer<ToolRegistry>

/** A model that calls for a tool. */
const modelThatCalls = (name: string) =>
  LanguageModel.make({
    generateText: () => Effect.succeed([{ type: "tool-call", id: "1", name, params: {} } as const]),
    streamText: () => {
      throw new Error("Not asked for")
    }
  })

type Way = (book: Book) => Effect.Effect<unknown, unknown, ToolRegistry | StageContext.StageContext>

describe("R37 a gated tool does not run outside its behaviours", () => {
  const ways = (tools: ReturnType<typeof gated>): ReadonlyArray<readonly [string, Way]> => [
    ["from code", () => Tools.call(tools.wipe, {})],
    ["as a model wrote it", () => Tools.execute([{ name: "wipe" }])],
    ["by its action type", () => Tools.execute([{ actionType: "wipe" }])],
    ["as a call that somebody resolved elsewhere", () =>
      Tools.executeAll({
        resolved: [{ _tag: "Resolved", index: 0, callId: undefined, tool: tools.wipe, parameters: {} }],
        unresolved: []
      })],
    ["in a pipeline that is a tool", () => Tools.execute([{ name: "cleaning" }])],
    ["by a model of effect/ai", () =>
      Effect.gen(function*() {
        const { layer, toolkit } = Tools.toolkit(tools.wipe)
        const model = yield* modelThatCalls("wipe")
        return yield* LanguageModel.generateText({ prompt: "Clean up", toolkit }).pipe(
          Effect.provideService(LanguageModel.LanguageModel, model),
          Effect.provide(layer)
        )
      }).pipe(Effect.provideService(IdGenerator.IdGenerator, IdGenerator.defaultIdGenerator))]
  ]
  const names = ways(gated(new Book())).map(([name]) => name)

  for (const [index, name] of names.entries()) {
    for (const mode of [undefined, "", "Support", "chat", "support", "admin"]) {
      const isAllowed = mode === "support" || mode === "admin"
      it.effect(`${name}, in mode ${String(mode)}: it ${isAllowed ? "runs" : "does not run"}`, () =>
        Effect.gen(function*() {
          const book = new Book()
          const tools = gated(book)
          const [, way] = ways(tools)[index] as readonly [string, Way]
          const snapshot = Snapshot.make(mode === undefined ? {} : { executionMode: mode })
          const { exit } = yield* inStage(way(book), snapshot).pipe(Effect.provide(tools.layer))
          assert.deepStrictEqual(book.lines, isAllowed ? ["wiped"] : [])
          if (isAllowed) assert.strictEqual(exit._tag, "Success")
        }))
    }
  }

  it.effect("it says so, with the tool and the mode, as an event and to the model", () =>
    Effect.gen(function*() {
      const tools = gated(new Book())
      const { events, exit } = yield* inStage(
        Effect.flip(Tools.call(tools.wipe, {})),
        Snapshot.make({ executionMode: "chat" })
      ).pipe(Effect.provide(tools.layer))
      assert.deepInclude(exit._tag === "Success" ? exit.value : {}, {
        _tag: "ToolNotAllowed",
        tool: "wipe",
        executionMode: "chat",
        message: "Tool \"wipe\" is not allowed in mode \"chat\""
      })
      assert.deepStrictEqual(announced(events), ["ToolInvoked", "ToolDenied"])
    }))

  it.effect("the registry says which tools there are for a mode", () =>
    Effect.gen(function*() {
      const { layer } = gated(new Book())
      const registry = yield* Effect.provide(ToolRegistry, layer)
      const namesFor = (mode: string | undefined) => registry.listFor(mode).map(({ name }) => name)
      assert.deepStrictEqual(namesFor("support"), ["wipe", "cleaning"])
      assert.deepStrictEqual(namesFor("chat"), ["cleaning"])
      assert.deepStrictEqual(namesFor(undefined), ["cleaning"])
    }))

  const Modes = Schema.Literals(["a", "b", "c"])
  it.effect.prop(
    "nothing runs that was not allowed, whatever the tools, the mode, the approvals and the calls",
    {
      tools: Arbitrary.schema(
        Schema.Array(Schema.Struct({
          behaviours: Schema.optionalKey(Schema.NonEmptyArray(Modes)),
          approval: Schema.Literals(["never", "approved", "denied"])
        })).check(Schema.isMaxLength(4))
      ),
      mode: Arbitrary.schema(Schema.UndefinedOr(Modes)),
      calls: Arbitrary.schema(
        Schema.Array(Schema.Struct({
          tool: Schema.Literals(["t0", "t1", "t2", "t3", "t4"]),
          n: Schema.Union([Schema.Int, Schema.String])
        })).check(Schema.isMaxLength(6))
      )
    },
    ({ calls, mode, tools }) =>
      Effect.gen(function*() {
        const ran: Array<string> = []
        const made = tools.map(({ behaviours }, index) =>
          Tool.make(`t${index}`, {
            parameters: Schema.Struct({ n: Schema.Int }),
            ...(behaviours === undefined ? {} : { behaviours }),
            run: ({ n }) => Effect.sync(() => void ran.push(`t${index} ${n}`))
          })
        )
        const policy = ApprovalPolicy.layer(({ tool }) => {
          const approval = tools[Number(tool.name.slice(1))]?.approval
          return Effect.succeed(approval === "denied" ? ApprovalPolicy.deny("p") : ApprovalPolicy.asDeclared)
        })
        const layer = Layer.provideMerge(Layer.merge(ToolRegistry.layer(...made), policy), everything)
        const written = calls.map(({ n, tool }) => ({ tool, arguments: { n } }))
        const { exit } = yield* inStage(
          Tools.execute(written, { concurrency: 1 }),
          Snapshot.make(mode === undefined ? {} : { executionMode: mode })
        ).pipe(Effect.provide(layer))
        // The model: what may run, runs, in order, and nothing else.
        const expected = calls.filter(({ n, tool }) => {
          const known = tools[Number(tool.slice(1))]
          if (known === undefined || typeof n !== "number" || known.approval === "denied") return false
          return known.behaviours === undefined || (mode !== undefined && known.behaviours.includes(mode))
        })
        assert.deepStrictEqual(ran, expected.map(({ n, tool }) => `${tool} ${n}`))
        assert.strictEqual(exit._tag === "Success" && exit.value.results.length, calls.length)
      })
  )
})
