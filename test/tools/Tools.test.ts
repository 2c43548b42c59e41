import { assert, describe, it } from "@effect/vitest"
import { Context, Deferred, Duration, Effect, Exit, Fiber, Layer, Queue, Schedule, Schema, Terminal } from "effect"
import { IdGenerator, LanguageModel, Tool as AiTool } from "effect/ai"
import { TestClock } from "effect/testing"
import { Interceptor, Pipeline, Snapshot, Stage, StageContext } from "stageflow"
import * as Interceptors from "stageflow/interceptors"
import { ApprovalPolicy, Approvals, Approvers, Diff, Tool, ToolRegistry, Tools } from "stageflow/tools"
import { announced, Book, everything, given, inStage, openAi, Refused } from "./support/tools.ts"

const one = ({ results }: Tools.Turn) => {
  assert.strictEqual(results.length, 1)
  return results[0] as Tools.Result
}

const with_ = <T extends ReadonlyArray<Tool.Any>>(...tools: T) =>
  Layer.provideMerge(ToolRegistry.layer(...tools) as Layer.Layer<ToolRegistry, unknown>, everything)

describe("a tool that runs", () => {
  it.effect("gives typed results and errors to code that has it at hand", () =>
    Effect.gen(function*() {
      const pay = new Book().pay()
      const { exit } = yield* inStage(
        Effect.gen(function*() {
          const { receipt } = yield* Tools.call(pay, { amount: 5 })
          const refused: Refused = yield* Effect.flip(Tools.call(pay, { amount: -1 })).pipe(
            Effect.flatMap((error) => error._tag === "Refused" ? Effect.succeed(error) : Effect.die(error))
          )
          return [receipt, refused.why]
        })
      ).pipe(Effect.provide(with_(pay)))
      assert.deepStrictEqual(exit, Exit.succeed(["r5", "Less than nothing"]))
    }))

  it.effect("tells the model what it gave, or why it failed and nothing of what went wrong inside", () =>
    Effect.gen(function*() {
      const dies = Tool.make("dies", { run: () => Effect.die(new Error("password=1234")) })
      const lies = Tool.make("lies", { success: Schema.Int, run: () => Effect.succeed("secret" as never) })
      const says = Tool.make("says", { success: Schema.String, run: () => Effect.succeed("Hello") })
      const pay = new Book().pay()
      const calls = [
        openAi("pay", { amount: 5 }),
        openAi("pay", { amount: -5 }),
        { name: "dies" },
        { name: "lies" },
        { name: "says" }
      ]
      const { events, exit } = yield* inStage(Tools.execute(calls)).pipe(Effect.provide(with_(pay, dies, lies, says)))
      const results = exit._tag === "Success" ? exit.value.results : []
      assert.deepStrictEqual(results.map(({ _tag, content }) => [_tag, content]), [
        ["Succeeded", "{\"receipt\":\"r5\"}"],
        ["Failed", "Refused: Less than nothing"],
        ["Failed", "ToolFault: Tool \"dies\" could not do its work"],
        ["Failed", "ToolFault: Tool \"lies\" could not do its work"],
        ["Succeeded", "Hello"]
      ])
      assert.notInclude(JSON.stringify([results, events]), "1234")
      assert.notInclude(JSON.stringify([results, events]), "secret")
      const tools = events.flatMap((event) => "tool" in event ? [`${event.tool} ${event._tag}`] : [])
      assert.deepStrictEqual(tools.filter((line) => line.startsWith("dies")), [
        "dies ToolInvoked",
        "dies ToolStarted",
        "dies ToolFailed"
      ])
    }))

  it.effect("is cut before a model sees it, and it is said what was cut", () =>
    Effect.gen(function*() {
      const long = Tool.make("long", { success: Schema.String, run: () => Effect.succeed("😀".repeat(100)) })
      const result = one(
        yield* given(Tools.execute({ name: "long" }, { maxResultSize: 11 })).pipe(Effect.provide(with_(long)))
      )
      assert.deepInclude(result, {
        _tag: "Succeeded",
        value: "😀".repeat(100),
        content: "😀😀😀😀😀\n[Cut: 10 of 200 characters are shown]",
        cut: { shown: 10, of: 200 }
      })
    }))

  it.effect("adds its result, and what it adds itself, to the artifacts of the stage", () =>
    Effect.gen(function*() {
      const draw = Tool.make("draw", {
        success: Schema.Struct({ points: Schema.Array(Schema.Int) }),
        artifactType: "chart",
        run: () => Effect.as(StageContext.addArtifact({ type: "log", payload: "drew" }), { points: [1, 2] })
      })
      const pipeline = Pipeline.make("chat").add(Tools.stage("act", { calls: () => [{ name: "draw" }] }))
      const result = yield* Pipeline.run(pipeline, Snapshot.make()).pipe(Effect.provide(with_(draw)))
      assert.deepStrictEqual(result._tag === "Completed" ? result.outputs.act.artifacts : [], [
        { type: "log", payload: "drew" },
        { type: "chart", payload: { points: [1, 2] } }
      ])
    }))

  it.effect("is told of as it goes, with what it says itself", () =>
    Effect.gen(function*() {
      const slow = Tool.make("slow", {
        run: (_, { actionId, callId, update }) => update({ actionId, callId, done: 1 })
      })
      const { events } = yield* inStage(
        Tools.execute({ id: "c7", name: "slow" }),
        Snapshot.make({ pipelineRunId: "run" })
      ).pipe(Effect.provide(with_(slow)))
      assert.deepStrictEqual(announced(events), ["ToolInvoked", "ToolStarted", "ToolUpdated", "ToolCompleted"])
      const update = events.find(({ _tag }) => _tag === "ToolUpdated")
      assert.deepInclude(update, {
        stage: "agent",
        tool: "slow",
        actionId: "run/agent/1.1",
        data: { actionId: "run/agent/1.1", callId: "c7", done: 1 }
      })
    }))

  it.effect("that hangs is timed out and interrupted, and the others finish", () =>
    Effect.gen(function*() {
      const book = new Book()
      const hangs = Tool.make("hangs", {
        timeout: "5 seconds",
        run: () => Effect.onInterrupt(Effect.never, () => book.note("interrupted"))
      })
      const quick = Tool.make("quick", { run: () => book.note("quick") })
      const running = yield* Effect.forkChild(
        given(Tools.execute([{ name: "hangs" }, { name: "quick" }])).pipe(Effect.provide(with_(hangs, quick)))
      )
      yield* TestClock.adjust("5 seconds")
      const { results } = yield* Fiber.join(running)
      assert.deepStrictEqual(
        results.map((result) => result._tag === "Failed" ? result.error.tag : result._tag),
        ["StageTimeout", "Succeeded"]
      )
      assert.deepStrictEqual(book.lines, ["quick", "interrupted"])
    }))

  it.effect("that is interrupted says so, whatever it was doing", () =>
    Effect.gen(function*() {
      const events: Array<string> = []
      const begun = Deferred.makeUnsafe<void>()
      const never = Tool.make("never", { run: () => Effect.andThen(Deferred.succeed(begun, undefined), Effect.never) })
      const seen = Interceptor.make({
        name: "seen",
        around: (effect) => Effect.onExit(effect, (exit) => Effect.sync(() => void events.push(exit._tag)))
      })
      const act = Tools.execute([{ name: "never" }])
      const running = yield* Effect.forkChild(
        inStage(Effect.timeoutOption(act, "1 second")).pipe(
          Effect.provide(with_(never.pipe(Tool.intercept(seen))))
        )
      )
      yield* Deferred.await(begun)
      yield* TestClock.adjust("1 second")
      const { events: told } = yield* Fiber.join(running)
      assert.deepStrictEqual(announced(told), ["ToolInvoked", "ToolStarted", "ToolInterrupted"])
      assert.deepStrictEqual(events, ["Failure"])
    }))
})

describe("what wraps stages wraps tools", () => {
  it.effect("an interceptor on a tool, and one that a Layer installs; a retry asks for no second approval", () =>
    Effect.gen(function*() {
      const book = new Book()
      let failures = 2
      const flaky = Tool.make("flaky", {
        failure: Refused,
        needsApproval: "always",
        run: () =>
          failures-- > 0
            ? Effect.andThen(book.note("fail"), Effect.fail(new Refused({ why: "busy" })))
            : book.note("ok")
      }).pipe(Tool.intercept(Interceptors.retry(Schedule.recurs(2))))
      const installed = Interceptor.layer(Interceptor.make({
        name: "seen",
        around: (effect, { name, pipeline }) => Effect.andThen(book.note(`seen ${pipeline}.${name}`), effect)
      }))
      const policy = ApprovalPolicy.layer(() => Effect.as(book.note("asked"), ApprovalPolicy.approve("policy")))
      const layer = Layer.mergeAll(with_(flaky), installed, Layer.provide(policy, everything)) as Layer.Layer<
        ToolRegistry
      >
      const turn = yield* given(Tools.execute({ name: "flaky" })).pipe(Effect.provide(layer))
      assert.strictEqual(one(turn)._tag, "Succeeded")
      assert.strictEqual(book.lines.filter((line) => line === "asked").length, 1)
      assert.deepStrictEqual(book.lines.filter((line) => line === "fail" || line === "ok"), ["fail", "fail", "ok"])
      assert.include(book.lines, "seen flaky.flaky")
    }))

  it.effect("idempotency repeats no action of a run that is run again, and keeps the calls of a turn apart", () =>
    Effect.gen(function*() {
      const book = new Book()
      const pay = book.pay().pipe(Tool.intercept(Interceptors.idempotency()))
      const base = Layer.mergeAll(everything, Interceptors.IdempotencyStore.layerMemory)
      const all = Layer.provideMerge(ToolRegistry.layer(pay), base)
      const snapshot = Snapshot.make({ metadata: { idempotencyKey: "k" } })
      yield* Effect.gen(function*() {
        const calls = [openAi("pay", { amount: 1 }), openAi("pay", { amount: 2 })]
        for (let run = 0; run < 2; run++) {
          const { results } = yield* given(Tools.execute(calls), snapshot)
          assert.deepStrictEqual(results.map(({ content }) => content), [
            "{\"receipt\":\"r1\"}",
            "{\"receipt\":\"r2\"}"
          ])
        }
        assert.deepStrictEqual(book.lines.toSorted(), ["pay 1", "pay 2"])
      }).pipe(Effect.provide(all))
    }))

  it.effect("a denial is a refusal: no fallback of the stage turns it into data", () =>
    Effect.gen(function*() {
      const wipe = Tool.make("wipe", { behaviours: ["admin"], run: () => Effect.void })
      const stage = Stage.work("act", { run: Effect.as(Tools.call(wipe, {}), {}) }).pipe(
        Interceptors.fallbackTo(() => Effect.succeed({ fine: true }))
      )
      const exit = yield* Effect.exit(
        Pipeline.run(Pipeline.make("chat").add(stage), Snapshot.make()).pipe(Effect.provide(with_(wipe)))
      )
      assert.strictEqual(exit._tag, "Failure")
    }))
})

describe("many calls", () => {
  it.effect("run at once up to the limit of the turn, and of the tool", () =>
    Effect.gen(function*() {
      let [now, most] = [0, 0]
      const count = Effect.acquireUseRelease(
        Effect.sync(() => {
          most = Math.max(most, ++now)
        }),
        () => Effect.sleep("1 second"),
        () => Effect.sync(() => now--)
      )
      const wide = Tool.make("wide", { run: () => count })
      const narrow = Tool.make("narrow", { concurrency: 2, run: () => count })
      for (const [name, limit] of [["wide", 5], ["narrow", 2]] as const) {
        most = 0
        const calls = Array.from({ length: 20 }, () => ({ name }))
        const running = yield* Effect.forkChild(
          given(Tools.execute(calls, { concurrency: 5 })).pipe(Effect.provide(with_(wide, narrow)))
        )
        yield* TestClock.adjust(Duration.seconds(20))
        yield* Fiber.join(running)
        assert.strictEqual(most, limit)
      }
    }))

  it.effect("of a tool that calls itself do not wait for the place that they are in", () =>
    Effect.gen(function*() {
      const book = new Book()
      let registry: ToolRegistry["Service"] | undefined
      const again: Tool.Any = Tool.make("again", {
        parameters: Schema.Struct({ n: Schema.Int }),
        concurrency: 1,
        run: ({ n }) =>
          Effect.gen(function*() {
            yield* book.note(`${n}`)
            if (n > 0) yield* Tools.execute(openAi("again", { n: n - 1 }))
          }).pipe(Effect.provideService(ToolRegistry, registry as ToolRegistry["Service"]))
      })
      yield* Effect.gen(function*() {
        registry = yield* ToolRegistry
        yield* given(Tools.execute(openAi("again", { n: 3 })))
      }).pipe(Effect.provide(with_(again)))
      assert.deepStrictEqual(book.lines, ["3", "2", "1", "0"])
    }))

  it.effect("1,000 at once, all with an approval, none lost and none mixed up", () =>
    Effect.gen(function*() {
      const book = new Book()
      const approver = Approvers.layer(({ parameters }) =>
        Effect.succeed({ approve: Number(parameters[0]?.value) % 2 === 0, by: "even" })
      )
      const layer = Layer.provideMerge(Layer.merge(approver, ToolRegistry.layer(book.pay("always"))), everything)
      const calls = Array.from({ length: 1_000 }, (_, amount) => openAi("pay", { amount }, `c${amount}`))
      const { results } = yield* given(Tools.execute(calls, { concurrency: "unbounded" })).pipe(Effect.provide(layer))
      assert.strictEqual(results.length, 1_000)
      results.forEach((result, index) => {
        assert.strictEqual(result.callId, `c${index}`)
        assert.strictEqual(
          result.content,
          index % 2 === 0
            ? `{"receipt":"r${index}"}`
            : "ApprovalDenied: Tool \"pay\" was denied"
        )
      })
      assert.strictEqual(book.lines.length, 500)
    }), 30_000)
})

describe("a pipeline as a tool", () => {
  const double = Pipeline.make("double", { input: Schema.Struct({ n: Schema.Int }) })
    .transform("twice", { inputs: ["input"], run: ({ input }) => Effect.succeed({ n: input.n * 2 }) })
    .returns((s) => s.twice)

  it.effect("takes what it takes, gives what it returns, and belongs to whom the call belongs to", () =>
    Effect.gen(function*() {
      const owner = Pipeline.make("owner")
        .transform("who", {
          run: Effect.map(StageContext.StageContext, ({ identity }) => ({ user: identity.userId ?? "" }))
        })
      const tool = Tool.fromPipeline("double", double, {
        description: "Doubles a number",
        success: Schema.Struct({ n: Schema.Int })
      })
      const who = Tool.fromPipeline("owner", owner, {
        success: Schema.Struct({ who: Schema.Struct({ user: Schema.String }) })
      })
      const calls = [openAi("double", { n: 4 }), openAi("double", { n: "4" }), { name: "owner" }]
      const { results } = yield* given(Tools.execute(calls), Snapshot.make({ userId: "ada" })).pipe(
        Effect.provide(with_(tool, who))
      )
      assert.deepStrictEqual(results.map((each) => each._tag === "Succeeded" ? each.value : each._tag), [
        { n: 8 },
        "Unresolved",
        { who: { user: "ada" } }
      ])
    }))

  it.effect("that fails or is cancelled fails the tool", () =>
    Effect.gen(function*() {
      const broken = Pipeline.make("broken").work("pay", { run: Effect.fail(new Refused({ why: "No" })) })
      const tool = Tool.fromPipeline("broken", broken, { success: Schema.Unknown as never })
      const { exit } = yield* inStage(Effect.flip(Tools.call(tool, {}))).pipe(Effect.provide(with_(tool)))
      assert.strictEqual(exit._tag === "Success" && exit.value._tag, "SubpipelineFailed")
    }))
})

describe("a registry", () => {
  const a = Tool.make("a", { actionType: "A", run: () => Effect.void })

  it.effect("is made of several, and says which two tools cannot be told apart", () =>
    Effect.gen(function*() {
      const b = Tool.make("b", { run: () => Effect.void })
      const registry = yield* Effect.provide(
        ToolRegistry,
        ToolRegistry.merge(ToolRegistry.layer(a), ToolRegistry.layer(b))
      )
      assert.deepStrictEqual(registry.list.map(({ name }) => name), ["a", "b"])
      assert.strictEqual(yield* registry.getByActionType("A"), a)
      assert.deepInclude(yield* Effect.flip(registry.get("bb")), { _tag: "UnknownTool", tool: "bb" })
      const clashes: ReadonlyArray<readonly [Tool.Any, string]> = [
        [
          Tool.make("a", { actionType: "X", run: () => Effect.void }),
          "Two tools have the name \"a\". Rename one of them"
        ],
        [
          Tool.make("c", { actionType: "A", run: () => Effect.void }),
          "Two tools have the action type \"A\". Rename one of them"
        ],
        [
          Tool.make("A", { actionType: "X", run: () => Effect.void }),
          "\"A\" is the name of one tool and the action type of another. Rename one of them"
        ]
      ]
      for (const [other, message] of clashes) {
        for (
          const layer of [
            ToolRegistry.layer(a, other),
            ToolRegistry.merge(ToolRegistry.layer(a), ToolRegistry.layer(other))
          ]
        ) {
          const error = yield* Effect.flip(
            Effect.provide(ToolRegistry, layer as unknown as Layer.Layer<ToolRegistry, Error>)
          )
          assert.strictEqual(error.message, message)
        }
      }
    }))

  it.effect("gives tools the ports of its place, and runs see their own first", () =>
    Effect.gen(function*() {
      class Port extends Context.Service<Port, string>()("test/Port") {}
      const reads = Tool.make("reads", { success: Schema.String, run: () => Effect.map(Port, (port) => port) })
      const layer = Layer.provide(ToolRegistry.layer(reads), Layer.succeed(Port, "layer"))
      const act = Tools.execute({ name: "reads" })
      const here = one(yield* given(act).pipe(Effect.provide(layer)))
      const there = one(yield* given(Effect.provideService(act, Port, "run")).pipe(Effect.provide(layer)))
      assert.deepStrictEqual([here.content, there.content], ["layer", "run"])
    }))
})

describe("bad options", () => {
  const run = () => Effect.void
  const wrong: ReadonlyArray<readonly [string, () => unknown]> = [
    ["a blank name", () => Tool.make(" ", { run })],
    ["no run", () => Tool.make("t", {} as never)],
    ["an unknown option", () => Tool.make("t", { run, timeot: 5 } as never)],
    ["no behaviours", () => Tool.make("t", { run, behaviours: [] })],
    ["a blank behaviour", () => Tool.make("t", { run, behaviours: [" "] })],
    ["an approval that is none", () => Tool.make("t", { run, needsApproval: true as never })],
    ["a timeout of nothing", () => Tool.make("t", { run, timeout: 0 })],
    ["a concurrency of nothing", () => Tool.make("t", { run, concurrency: 0 })],
    ["an undo of what cannot be undone", () => Tool.make("t", { run, irreversible: true, undo: run })],
    ["no schema", () => Tool.make("t", { run, parameters: {} as never })],
    ["a limit of nothing", () => Tools.execute([], { concurrency: 0 })],
    ["a size of nothing", () => Tools.stage("s", { calls: run, maxResultSize: 0 })],
    ["a stage without calls", () => Tools.stage("s", {} as never)],
    ["no tool", () => ToolRegistry.layer({} as never)],
    ["a time of nothing", () => Approvals.Approvals.layerMemory({ timeLimit: 0 })]
  ]
  for (const [what, make] of wrong) {
    it(`${what} is refused when it is given`, () => {
      assert.throws(make, /Invalid option/)
    })
  }
})

describe("effect/ai", () => {
  const weather = AiTool.make("weather", {
    description: "Says how the weather is",
    parameters: Schema.Struct({ city: Schema.String }),
    success: Schema.String,
    failure: Refused,
    needsApproval: ({ city }) => city === "Atlantis"
  })

  it.effect("a tool of it is made a tool, with its schemas and its need for approvals", () =>
    Effect.gen(function*() {
      const tool = Tool.fromAi(weather, { run: ({ city }) => Effect.succeed(`Sunny in ${city}`) })
      assert.deepInclude(tool, { name: "weather", description: "Says how the weather is", approval: "sometimes" })
      const running = yield* Effect.forkChild(
        given(
          Tools.execute([{ name: "weather", input: { city: "Rome" } }, {
            name: "weather",
            input: { city: "Atlantis" }
          }])
        )
          .pipe(Effect.provide(with_(tool)))
      )
      yield* Effect.yieldNow
      yield* TestClock.adjust("61 seconds")
      const { results } = yield* Fiber.join(running)
      assert.deepStrictEqual(results.map(({ content }) => content), [
        "Sunny in Rome",
        "ApprovalExpired: Nobody approved tool \"weather\" in time"
      ])
      assert.throws(() => Tool.fromAi(AiTool.dynamic("d", { parameters: { type: "object" } }) as never, {} as never))
    }))

  it.effect("a model runs tools through the toolkit, and is told what went wrong in a short form", () =>
    Effect.gen(function*() {
      const book = new Book()
      const pay = book.pay()
      const { layer, toolkit } = Tools.toolkit(pay)
      const calls = [5, -5].map((amount) =>
        ({ type: "tool-call", id: `${amount}`, name: "pay", params: { amount } }) as const
      )
      const ask = Effect.gen(function*() {
        const model = yield* LanguageModel.make({
          generateText: () => Effect.succeed([...calls]),
          streamText: () => {
            throw new Error("Not asked for")
          }
        })
        const { toolResults } = yield* LanguageModel.generateText({ prompt: "Pay", toolkit }).pipe(
          Effect.provideService(LanguageModel.LanguageModel, model),
          Effect.provide(layer)
        )
        return toolResults.toSorted((a, b) => Number(a.isFailure) - Number(b.isFailure)).map((
          { isFailure, result }
        ) => [
          isFailure,
          result
        ])
      }).pipe(Effect.provideService(IdGenerator.IdGenerator, IdGenerator.defaultIdGenerator))
      const { events, exit } = yield* inStage(ask).pipe(Effect.provide(with_(pay)))
      assert.deepStrictEqual(exit._tag === "Success" ? exit.value : exit, [
        [false, { receipt: "r5" }],
        [true, { tag: "Refused", message: "Less than nothing" }]
      ])
      assert.deepStrictEqual(announced(events).toSorted(), [
        "ToolCompleted",
        "ToolFailed",
        "ToolInvoked",
        "ToolInvoked",
        "ToolStarted",
        "ToolStarted"
      ])
    }))
})

describe("approvers", () => {
  it.effect("a person at a terminal sees tool, parameters and change, and says yes or no with a comment", () =>
    Effect.gen(function*() {
      const book = new Book()
      const rename = Tool.make("rename", {
        parameters: Schema.Struct({ to: Schema.String }),
        needsApproval: "always",
        approvalMessage: "Rename the file?",
        change: ({ to }) => Effect.succeed(Diff.fields({ name: "old" }, { name: to })),
        run: ({ to }) => book.note(`rename ${to}`)
      })
      const screen: Array<string> = []
      const lines = yield* Queue.unbounded<string>()
      const terminal = Terminal.make({
        columns: Effect.succeed(80),
        rows: Effect.succeed(24),
        size: Effect.die("unused"),
        readInput: Effect.die("unused"),
        readLine: Queue.take(lines),
        display: (text: string) => Effect.sync(() => void screen.push(text))
      } as never)
      const layer = Layer.provideMerge(
        Layer.merge(
          Layer.provide(Approvers.terminal({ by: "ada" }), Layer.succeed(Terminal.Terminal, terminal)),
          ToolRegistry.layer(rename)
        ),
        everything
      )
      yield* Queue.offerAll(lines, ["what?", "yes", "No, not that one"])
      const calls = ["new", "other"].map((to) => openAi("rename", { to }))
      const { results } = yield* given(Tools.execute(calls, { concurrency: 1 })).pipe(Effect.provide(layer))
      assert.deepStrictEqual(results.map(({ content }) => content), [
        "null",
        "ApprovalDenied: Tool \"rename\" was denied: not that one"
      ])
      assert.deepStrictEqual(book.lines, ["rename new"])
      assert.strictEqual(
        screen[0],
        "\nRename the file?\n  tool: rename\n  to: new\n\nname: \"old\" -> \"new\"\n"
      )
      assert.strictEqual(screen.filter((text) => text.startsWith("Approve?")).length, 3)
    }))
})
