import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Option, Schedule, Schema } from "effect"
import { TestClock } from "effect/testing"
import { EventSink, Pipeline, Snapshot, Stage, StageContext, StageError, StageOutput } from "stageflow"
import { Route, Subpipeline } from "stageflow/control"
import { StageTest } from "stageflow/testing"
import { announced, saidBy } from "../support/announced.ts"

class Down extends Schema.TaggedError<Down>()("Down", { shop: Schema.String }) {}

type Routes = "support" | "sales"

const routed = (route: Routes, confidence = 0.9) =>
  Stage.route("router", { run: Effect.succeed({ route, confidence, reason: "It says so" }) })

const router = Stage.route("router", {
  run: Effect.map(Snapshot.current, ({ inputText = "" }): { readonly route: Routes } => ({
    route: inputText.includes("help") ? "support" : "sales"
  }))
})

const question = Stage.enrich("question", {
  run: Effect.map(Snapshot.current, ({ inputText = "" }) => ({ text: inputText }))
})

const support = Stage.transform("support", {
  run: (inputs: { readonly question: { readonly text: string } }) =>
    Effect.succeed({ text: `Help with ${inputs.question.text}` })
})

const sales = Pipeline.make("sales", { input: Schema.Struct({ router: Schema.Struct({ route: Schema.String }) }) })
  .transform("offer", {
    inputs: ["input"],
    run: ({ input }) => Effect.succeed({ price: 5, route: input.router.route })
  })
  .returns((s) => s.offer)

const answer = Route.match("answer", router, { support, sales })

const chat = Pipeline.make("chat")
  .add(router)
  .add(question)
  .add(answer, { inputs: ["router", "question"] })

const untyped = <A>(f: A) =>
  f as unknown as (...given: ReadonlyArray<unknown>) => Stage.Stage<"answer", unknown, object>

const decisionOf = (pipeline: Pipeline.Any, snapshot = Snapshot.make()) =>
  Effect.gen(function*() {
    const run = Pipeline.run as unknown as (pipeline: Pipeline.Any, snapshot: Snapshot.Snapshot) => Effect.Effect<
      { readonly outputs: { readonly answer: StageOutput.StageOutput } }
    >
    const { outputs } = yield* run(pipeline, snapshot)
    return Option.getOrUndefined(Route.decisionIn(outputs.answer))
  })

describe("Route.match", () => {
  it.effect("runs the branch of the route, with what the router gave and what the branches take", () =>
    Effect.gen(function*() {
      const helped = yield* Pipeline.run(chat, Snapshot.make({ inputText: "help" }))
      assert.deepStrictEqual<unknown>(helped.outputs.answer.data, { text: "Help with help" })
      const sold = yield* Pipeline.run(chat, Snapshot.make({ inputText: "buy" }))
      assert.deepStrictEqual<unknown>(sold.outputs.answer.data, { price: 5, route: "sales" })
    }))

  it.effect("puts the decision on record: in its output and in an event", () =>
    Effect.gen(function*() {
      const pipeline = Pipeline.make("chat")
        .add(routed("support"))
        .add(Route.match("answer", routed("support"), { support: () => Effect.void, sales }), { inputs: ["router"] })
      const { outputs } = yield* Pipeline.run(pipeline, Snapshot.make())
      const decision = { route: "support", by: "router", confidence: 0.9, reason: "It says so" }
      assert.deepStrictEqual<unknown>(Route.decisionIn(outputs.answer), Option.some(decision))
      assert.isTrue(Option.isNone(Route.decisionIn(outputs.router)))
      const events = yield* (yield* EventSink.Memory).events
      assert.deepStrictEqual(announced(events), [{ _tag: "RouteDecided", ...decision }])
    }).pipe(Effect.provide(EventSink.layerMemory)))

  it.effect("lets a later stage read the decision, and a snapshot carry it", () =>
    Effect.gen(function*() {
      const pipeline = Pipeline.make("chat")
        .add(routed("sales"))
        .add(Route.match("answer", routed("sales"), { support: () => Effect.void, sales }), { inputs: ["router"] })
        .transform("report", {
          inputs: (s) => ({ decision: s.answer.output.map(Route.decisionIn) }),
          run: ({ decision }) =>
            Effect.map(Snapshot.current, (current) => ({
              carried: Snapshot.update(current, { routingDecision: Option.getOrThrow(decision) }).routingDecision
            }))
        })
      const { outputs } = yield* Pipeline.run(pipeline, Snapshot.make())
      assert.deepStrictEqual<unknown>(outputs.report.data.carried, {
        route: "sales",
        confidence: 0.9,
        reason: "It says so"
      })
    }))

  it.effect("leaves out of the record what is no reason, no confidence and no list of candidates", () =>
    Effect.gen(function*() {
      const cases: ReadonlyArray<readonly [given: object, recorded: object]> = [
        [{ reason: 1, confidence: "high", candidates: {} }, {}],
        [{ confidence: Number.NaN, candidates: [{ name: "a" }] }, {}],
        [{ confidence: Infinity }, {}],
        [{ candidates: [{ route: "a", confidence: 0.5 }, { route: "b" }] }, {
          candidates: [{ route: "a", confidence: 0.5 }, { route: "b" }]
        }]
      ]
      for (const [given, recorded] of cases) {
        const stage = Route.match("answer", () => ({ ...given, route: "a" as const }), { a: () => Effect.void })
        const decision = yield* decisionOf(Pipeline.make("p").add(stage as never, { inputs: [] } as never))
        assert.deepStrictEqual<unknown>(decision, { ...recorded, route: "a", by: "router" })
      }
    }))

  it.effect("reads the decision by a function, for routers that have no value of their own", () =>
    Effect.gen(function*() {
      const pipeline = Pipeline.make("chat")
        .route("language", {
          *run() {
            const { inputText } = yield* Snapshot.current
            return { route: inputText === "bonjour" ? "french" : "english" }
          }
        })
        .add(
          Route.match(
            "greet",
            (inputs: { readonly language: { readonly route: "french" | "english" } }) => inputs.language,
            {
              french: () => Effect.succeed({ text: "Salut" }),
              english: () => Effect.succeed({ text: "Hello" })
            }
          ),
          { inputs: ["language"] }
        )
      const { outputs } = yield* Pipeline.run(pipeline, Snapshot.make({ inputText: "bonjour" }))
      assert.strictEqual(outputs.greet.data.text, "Salut")
    }))

  it.effect("gives each branch the decision as it is for that route", () =>
    Effect.gen(function*() {
      type Decision = { readonly route: "refund"; readonly amount: number } | { readonly route: "talk" }
      const decided = Stage.route("decided", { run: Effect.succeed<Decision>({ route: "refund", amount: 5 }) })
      const act = Route.match("act", decided, {
        refund: (inputs: { readonly decided: { readonly amount: number } }) =>
          Effect.succeed({ paid: inputs.decided.amount }),
        talk: () => Effect.void
      })
      const { outputs } = yield* Pipeline.run(
        Pipeline.make("p").add(decided).add(act, { inputs: ["decided"] }),
        Snapshot.make()
      )
      assert.deepStrictEqual<unknown>(outputs.act.data, { paid: 5 })
    }))

  it.effect("runs `otherwise` when no branch has the route", () =>
    Effect.gen(function*() {
      for (const route of ["other", "__proto__", "constructor", "toString", ""]) {
        const open = Stage.route("router", { run: Effect.succeed({ route }) })
        const stage = Route.match("answer", open, { a: () => Effect.succeed({ by: "a" }) }, {
          otherwise: () => Effect.succeed({ by: "otherwise" })
        })
        const pipeline = Pipeline.make("p").add(open).add(stage, { inputs: ["router"] })
        const { outputs } = yield* Pipeline.run(pipeline, Snapshot.make())
        assert.deepStrictEqual<unknown>(outputs.answer.data, { by: "otherwise" })
        assert.deepStrictEqual<unknown>(
          Option.getOrThrow(Route.decisionIn(outputs.answer)),
          { route: "otherwise", by: "otherwise", chosen: route }
        )
      }
    }))

  it.effect("ends as its branch does: skipped, cancelled, failed", () =>
    Effect.gen(function*() {
      const ending = (branch: () => Effect.Effect<StageOutput.StageOutput | void, Down, StageContext.StageContext>) =>
        Pipeline.make("p")
          .add(routed("support"))
          .add(Route.match("answer", routed("support"), { support: branch, sales: () => Effect.void }), {
            inputs: ["router"]
          })
      const skipped = yield* Pipeline.run(ending(() => Effect.succeed(StageOutput.skip("nothing"))), Snapshot.make())
      assert(skipped._tag === "Completed" && skipped.outputs.answer._tag === "Skip")
      assert.strictEqual(skipped.outputs.answer.reason, "nothing")
      assert.isTrue(Option.isSome(Route.decisionIn(skipped.outputs.answer)))
      const cancelled = yield* Pipeline.run(ending(() => Effect.succeed(StageOutput.cancel("stop"))), Snapshot.make())
      assert(cancelled._tag === "Cancelled")
      assert.deepStrictEqual<unknown>([cancelled.by, cancelled.reason], ["answer", "stop"])
      const failed = yield* Effect.flip(
        Pipeline.run(ending(() => Effect.fail(new Down({ shop: "1" }))), Snapshot.make())
      )
      assert.instanceOf(failed.error, Down)
    }))

  it.effect("takes a stage as a branch with all that is around it, and a pipeline with the path of its failure", () =>
    Effect.gen(function*() {
      let attempts = 0
      const flaky = Stage.work("flaky", {
        run: Effect.suspend(() => ++attempts < 3 ? Effect.fail(new Down({ shop: "1" })) : Effect.succeed({ attempts }))
      }).pipe(Stage.retry({ schedule: Schedule.recurs(2) }))
      const down = Pipeline.make("down").work("sell", { run: Effect.fail(new Down({ shop: "2" })) })
      const pipeline = (route: Routes) =>
        Pipeline.make("p")
          .add(routed(route))
          .add(Route.match("answer", routed(route), { support: flaky, sales: down }), { inputs: ["router"] })
      const { outputs } = yield* Pipeline.run(pipeline("support"), Snapshot.make())
      assert.deepStrictEqual<unknown>(outputs.answer.data, { attempts: 3 })
      const { error } = yield* Effect.flip(Pipeline.run(pipeline("sales"), Snapshot.make()))
      assert(error instanceof Subpipeline.SubpipelineFailed)
      assert.deepStrictEqual(error.path, ["answer", "sell"])
    }))

  it.effect("is described with its branches by their routes", () =>
    Effect.gen(function*() {
      const stage = Route.match("answer", router, { support, sales }, { otherwise: sales, kind: "agent" })
      assert.strictEqual(stage.kind, "agent")
      assert.strictEqual(answer.kind, "transform")
      const { pipelines } = Context.get(stage.annotations, Pipeline.Inside)
      assert.deepStrictEqual(pipelines.map(({ label, pipeline }) => [label, pipeline.name]), [
        ["support", "support"],
        ["sales", "sales"],
        ["otherwise", "sales"]
      ])
      const { stages } = yield* Pipeline.describe(chat)
      const inside = stages.find(({ name }) => name === "answer")?.inside?.pipelines ?? []
      assert.deepStrictEqual(inside.map(({ label, pipeline }) => [label, pipeline.stages.map(({ name }) => name)]), [
        ["support", ["support"]],
        ["sales", ["offer"]]
      ])
      assert.deepStrictEqual(yield* Pipeline.lint(chat), [])
    }))

  it.effect("is tested alone", () =>
    Effect.gen(function*() {
      const { outcome } = yield* StageTest.run(answer, {
        inputs: { router: { route: "support" }, question: { text: "x" } }
      })
      assert(outcome._tag === "Ok")
      assert.deepStrictEqual<unknown>(outcome.data, { text: "Help with x" })
    }))

  it("refuses what is no router, no branch and no option, where it is made", () => {
    const revoked = Proxy.revocable({}, {})
    revoked.revoke()
    const throwing = {
      get support() {
        throw new Error("broken getter")
      }
    }
    const match = untyped(Route.match)
    for (
      const given of [
        ["answer", "router", { support }],
        ["answer", undefined, { support }],
        ["answer", chat, { support }],
        ["answer", router, undefined],
        ["answer", router, {}],
        ["answer", router, [support]],
        ["answer", router, { support: 1 }],
        ["answer", router, { support: Effect.void }],
        ["answer", router, revoked.proxy],
        ["answer", router, throwing],
        ["answer", router, { support }, { othewise: support }],
        ["answer", router, { support }, { otherwise: 1 }],
        ["answer", router, { support }, { kind: "router" }],
        ["answer", router, { support }, { confidence: 0.7 }],
        ["answer", router, { support }, { confidence: { atLeast: Number.NaN, otherwise: "support" } }],
        ["answer", router, { support }, { confidence: { atLeast: "0.7", otherwise: "support" } }],
        ["answer", router, { support }, { confidence: { atLeast: 0.7 } }],
        ["answer", router, { support }, { confidence: { atLeast: 0.7, otherwise: "human" } }],
        ["answer", router, { support }, { confidence: { atLeast: 0.7, otherwise: "toString" } }]
      ]
    ) {
      assert.throws(() => match(...given), StageError.InvalidOption)
    }
  })
})

describe("a route without a branch", () => {
  const match = untyped(Route.match)
  const run = (given: unknown, branches: object = { support, sales }) =>
    Effect.gen(function*() {
      const stage = match("answer", () => given, branches)
      const { error }: { readonly error: unknown } = yield* Effect.flip(
        Pipeline.run(Pipeline.make("p").add(stage), Snapshot.make())
      )
      assert(error instanceof Route.NoBranch)
      return error
    })

  it.effect("is a typed error that names it, and the nearest one that there is", () =>
    Effect.gen(function*() {
      const misspelt = yield* run({ route: "suport" })
      assert.strictEqual(misspelt.code, "NO_BRANCH")
      assert.deepStrictEqual([misspelt.stage, misspelt.route, misspelt.didYouMean], ["answer", "suport", "support"])
      assert.strictEqual(
        misspelt.message,
        "Stage \"answer\" has no branch for the route \"suport\". Did you mean \"support\"?"
      )
      const other = yield* run({ route: "billing" })
      assert.strictEqual(
        other.message,
        "Stage \"answer\" has no branch for the route \"billing\". It has: support, sales."
      )
      for (const route of ["__proto__", "constructor", "x".repeat(100_000)]) {
        assert.strictEqual((yield* run({ route })).route, route)
      }
    }))

  it.effect("or without any route is one, too, whatever else was said", () =>
    Effect.gen(function*() {
      for (const given of [undefined, null, 1, "support", [], {}, { route: 1 }, { route: undefined }, new Map()]) {
        const error = yield* run(given)
        assert.isUndefined(error.route)
        assert.strictEqual(error.message, "Stage \"answer\" was given no route: a router gives a text as its `route`")
      }
      const stage = match("answer", () => ({}), { support: () => Effect.void }, { otherwise: () => Effect.void })
      const { error } = yield* Effect.flip(Pipeline.run(Pipeline.make("p").add(stage), Snapshot.make()))
      assert.instanceOf(error, Route.NoBranch)
    }))

  it.effect("of a pipeline from specs fails as in any other", () =>
    Effect.gen(function*() {
      const specs: ReadonlyArray<Pipeline.Spec<Stage.Stage<string, never, object>>> = [
        { stage: Stage.route("router", { run: Effect.succeed({ route: "slaes" }) }) },
        { stage: answer as unknown as Stage.Stage<"answer", never, object>, inputs: ["router"] }
      ]
      const pipeline = yield* Pipeline.fromSpecs("specs", specs)
      const failed = yield* Effect.flip(Pipeline.run(pipeline, Snapshot.make()))
      const error: unknown = failed.error
      assert(error instanceof Route.NoBranch)
      assert.strictEqual(error.didYouMean, "sales")
    }))

  it.effect("is read once: what happens to the record of branches afterwards changes nothing", () =>
    Effect.gen(function*() {
      const branches: Record<string, () => Effect.Effect<object>> = { a: () => Effect.succeed({ by: "a" }) }
      const stage = Route.match("answer", () => ({ route: "a" as const }), branches)
      delete branches["a"]
      const { outcome } = yield* StageTest.run(stage, { inputs: undefined as never })
      assert.strictEqual(outcome._tag, "Ok")
    }))
})

describe("a confidence that is too low", () => {
  const unsure = (confidence: unknown) => {
    const stage = Route.match(
      "answer",
      routed("support"),
      {
        support: () => Effect.succeed({ by: "guess" }),
        sales: () => Effect.succeed({ by: "guess" }),
        human: () => Effect.succeed({ by: "human" })
      },
      { confidence: { atLeast: 0.7, otherwise: "human" } }
    )
    return StageTest.run(stage, { inputs: { router: { route: "support", confidence, reason: "" } } as never })
  }

  it.effect("is one that is no number, too: the fallback runs, and never the guess", () =>
    Effect.gen(function*() {
      const values = [0.69, 0, -1, Number.NaN, Infinity, -Infinity, undefined, null, "0.9", 1n, [0.9], {
        valueOf: () => 1
      }]
      for (const confidence of values) {
        const { outcome } = yield* unsure(confidence)
        assert(outcome._tag === "Ok")
        assert.deepStrictEqual<unknown>(outcome.data, { by: "human" }, String(confidence))
        const decision = Option.getOrThrow(Route.decisionIn(outcome))
        assert.deepStrictEqual([decision.route, decision.by, decision.chosen], ["human", "confidence", "support"])
      }
    }))

  it.effect("is not one that is exactly as high as asked for", () =>
    Effect.gen(function*() {
      for (const confidence of [0.7, 0.71, 1, 5]) {
        const { outcome } = yield* unsure(confidence)
        assert(outcome._tag === "Ok")
        assert.deepStrictEqual<unknown>(outcome.data, { by: "guess" })
      }
    }))

  it.effect("leads to the fallback from a route without a branch as well", () =>
    Effect.gen(function*() {
      const open = (confidence: number) => () => ({ route: "unheard of" as string, confidence })
      const run = (confidence: number) =>
        Pipeline.run(
          Pipeline.make("p").add(
            Route.match("answer", open(confidence), { human: () => Effect.succeed({ by: "human" }) }, {
              confidence: { atLeast: 0.5, otherwise: "human" },
              otherwise: () => Effect.succeed({ by: "otherwise" })
            }) as Stage.Stage<"answer", unknown, { by: string }>
          ),
          Snapshot.make()
        )
      assert.strictEqual((yield* run(0.4)).outputs.answer.data.by, "human")
      assert.strictEqual((yield* run(0.6)).outputs.answer.data.by, "otherwise")
    }))
})

describe("Route.weighted", () => {
  const variant = Route.weighted("variant", { control: 0.9, candidate: 0.1 }, { key: ({ userId }) => userId })
  const keys = Array.from({ length: 10_000 }, (_, number) => `user-${number}`)

  /** The route of each key. No run is made for each of them: that would take a second for each 20,000. */
  const routesOf = (stage: Stage.Stage<string, unknown, { readonly route: string }, never, unknown>) =>
    Effect.forEach(
      keys,
      (userId) =>
        (stage.run(undefined) as Effect.Effect<Route.RoutingDecision, never, StageContext.StageContext>).pipe(
          Effect.provideService(
            StageContext.StageContext,
            { snapshot: { userId }, emit: () => Effect.void } as unknown as StageContext.StageContext["Service"]
          ),
          Effect.map(({ route }) => route)
        )
    )

  const share = (routes: ReadonlyArray<string>, route: string) =>
    routes.filter((given) => given === route).length / routes.length

  it.effect("divides 10,000 keys as the weights say, to within one in a hundred", () =>
    Effect.gen(function*() {
      const routes = yield* routesOf(variant)
      assert.approximately(share(routes, "candidate"), 0.1, 0.01)
      const thirds = yield* routesOf(Route.weighted("thirds", { a: 2, b: 2, c: 2, none: 0 }, {
        key: ({ userId }) => userId
      }))
      for (const route of ["a", "b", "c"]) assert.approximately(share(thirds, route), 1 / 3, 0.01)
      assert.strictEqual(share(thirds, "none"), 0)
    }))

  it.effect("gives a key the same route every time, however the weights are written", () =>
    Effect.gen(function*() {
      const routes = yield* routesOf(variant)
      yield* TestClock.adjust("1 day")
      assert.deepStrictEqual(yield* routesOf(variant), routes)
      const reversed = Route.weighted("variant", { candidate: 1, control: 9 }, { key: ({ userId }) => userId })
      assert.deepStrictEqual(yield* routesOf(reversed), routes)
      // What was decided once has to stay as it is: these are on record somewhere.
      assert.deepStrictEqual(
        routes.flatMap((route, index) => route === "candidate" ? [index] : []).slice(0, 6),
        [9, 15, 16, 22, 38, 51]
      )
    }))

  it.effect("moves no more keys than it has to when a weight changes", () =>
    Effect.gen(function*() {
      const [before, after] = [
        yield* routesOf(variant),
        yield* routesOf(Route.weighted("variant", { control: 0.8, candidate: 0.2 }, { key: ({ userId }) => userId }))
      ]
      const back = before.filter((route, index) => route === "candidate" && after[index] === "control")
      assert.deepStrictEqual(back, [])
    }))

  it.effect("divides the keys of another experiment independently of this one", () =>
    Effect.gen(function*() {
      const half = (experiment: string) =>
        routesOf(Route.weighted("half", { a: 1, b: 1 }, { key: ({ userId }) => userId, experiment }))
      const [one, other] = [yield* half("buttons"), yield* half("prices")]
      // Of those with `a` in one, as many have `a` in the other as of all.
      const both = one.filter((route, index) => route === "a" && other[index] === "a").length / keys.length
      assert.approximately(both, 0.25, 0.015)
      // The name of the stage is the name of the experiment when there is none.
      const named = Route.weighted("buttons", { a: 1, b: 1 }, { key: ({ userId }) => userId })
      assert.deepStrictEqual(yield* routesOf(named), one)
    }))

  it.effect("is a router like any other, with its decision on record", () =>
    Effect.gen(function*() {
      const shown = Route.match("shown", variant, {
        control: () => Effect.succeed({ page: "old" }),
        candidate: () => Effect.succeed({ page: "new" })
      })
      const pipeline = Pipeline.make("p").add(variant).add(shown, { inputs: ["variant"] })
        .work("log", { when: (s) => s.variant.is("candidate"), run: Effect.void })
      const { outputs } = yield* Pipeline.run(pipeline, Snapshot.make({ userId: "user-9" }))
      assert.deepStrictEqual<unknown>(outputs.shown.data, { page: "new" })
      assert.strictEqual(outputs.log._tag, "Ok")
      const decision = {
        route: "candidate",
        by: "weights",
        candidates: [{ route: "candidate", weight: 0.1 }, { route: "control", weight: 0.9 }]
      }
      assert.deepStrictEqual<unknown>(outputs.variant.data, decision)
      const events = yield* (yield* EventSink.Memory).events
      assert.deepStrictEqual(announced(events), [
        { _tag: "RouteDecided", ...decision },
        { _tag: "RouteDecided", ...decision, by: "router" }
      ])
      // Who it is for is in the envelope of every event; what the route was chosen by is nowhere.
      assert.notInclude(JSON.stringify(events.map(saidBy)), "user-9")
    }).pipe(Effect.provide(EventSink.layerMemory)))

  it.effect("reads the key from its inputs, too", () =>
    Effect.gen(function*() {
      const stage = Route.weighted("variant", { control: 0.9, candidate: 0.1 }, {
        key: (_, inputs: { readonly account: { readonly id: string } }) => inputs.account.id
      })
      const { outcome } = yield* StageTest.run(stage, { inputs: { account: { id: "user-9" } } })
      assert(outcome._tag === "Ok")
      assert.strictEqual(outcome.data.route, "candidate")
    }))

  it.effect("fails without a key, unless it says which route that is", () =>
    Effect.gen(function*() {
      for (const key of [undefined, "", 1, null, {}]) {
        const given = { key: () => key as string }
        const { error } = yield* Effect.flip(
          Pipeline.run(Pipeline.make("p").add(Route.weighted("variant", { a: 1 }, given)), Snapshot.make())
        )
        assert(error instanceof Route.NoRouteKey)
        assert.strictEqual(error.code, "NO_ROUTE_KEY")
        const pipeline = Pipeline.make("p").add(Route.weighted("variant", { a: 1, b: 1 }, { ...given, otherwise: "b" }))
        const { outputs } = yield* Pipeline.run(pipeline, Snapshot.make())
        assert.deepStrictEqual([outputs.variant.data.route, outputs.variant.data.by], ["b", "otherwise"])
      }
    }))

  it("refuses weights that are none, where it is made", () => {
    const weighted = untyped(Route.weighted)
    const key = () => "x"
    for (
      const given of [
        [{}, { key }],
        [[], { key }],
        [undefined, { key }],
        [{ a: -1, b: 2 }, { key }],
        [{ a: Number.NaN }, { key }],
        [{ a: Infinity }, { key }],
        [{ a: "1" }, { key }],
        [{ a: 0, b: 0 }, { key }],
        [{ a: Number.MAX_VALUE, b: Number.MAX_VALUE }, { key }],
        [{ a: 1 }],
        [{ a: 1 }, {}],
        [{ a: 1 }, { key: "userId" }],
        [{ a: 1 }, { key, otherwise: "b" }],
        [{ a: 1 }, { key, experiment: " " }],
        [{ a: 1 }, { key, salt: "x" }]
      ]
    ) {
      assert.throws(() => weighted("variant", ...given), StageError.InvalidOption)
    }
  })
})
