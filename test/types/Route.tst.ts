/** The types of stages that choose branches, and of those that choose routes: what they take, give, need and can fail with. */
import { Context, Effect, Schema } from "effect"
import { Pipeline, type Snapshot, Stage, type StageError, StageOutput } from "stageflow"
import { Route, type Subpipeline } from "stageflow/control"
import { describe, expect, test } from "tstyche"

class Down extends Schema.TaggedError<Down>()("Down", {}) {}
class Shop extends Context.Service<Shop, { readonly offer: Effect.Effect<number, Down> }>()("app/Shop") {}

type Decision =
  | { readonly route: "support"; readonly ticket: number }
  | { readonly route: "sales"; readonly product: string; readonly confidence: number }

const router = Stage.route("router", {
  run: Effect.succeed({ route: "support" as "support" | "sales", confidence: 0.9 })
})
const detailed = Stage.route("router", { run: Effect.succeed({ route: "support", ticket: 1 } as Decision) })

const support = Stage.transform("support", {
  run: (inputs: { readonly question: { readonly text: string } }) =>
    Effect.succeed(inputs.question.text === "" ? StageOutput.skip("no text") : { text: inputs.question.text })
})
const sales = Pipeline.make("sales", { input: Schema.Struct({ product: Schema.Struct({ id: Schema.String }) }) })
  .transform("offer", {
    inputs: ["input"],
    *run() {
      return { price: yield* (yield* Shop).offer }
    }
  })
  .returns((s) => s.offer)

type SalesFailed = Subpipeline.SubpipelineFailed<
  Pipeline.Failure<Pipeline.Nodes<typeof sales>, never, {}, { readonly price: number }>
>

describe("Route.match", () => {
  const stage = Route.match("answer", router, { support, sales })

  test("takes the decision by the router's name, and what all branches take", () => {
    expect<Stage.Input<typeof stage>>().type.toBe<{
      readonly router: { route: "support" | "sales"; confidence: number }
      readonly question: { readonly text: string }
      readonly product: { readonly id: string }
    }>()
    const none = Route.match("answer", router, { support: () => Effect.void, sales: () => Effect.void })
    expect<Stage.Input<typeof none>>().type.toBe<{
      readonly router: { route: "support" | "sales"; confidence: number }
    }>()
  })

  test("gives what any branch gives, ends as any of them may, and needs what they need", () => {
    expect<Stage.DataOf<typeof stage>>().type.toBe<{ text: string } | { readonly price: number }>()
    expect<Stage.Signals<typeof stage>>().type.toBe<"skip">()
    expect<Stage.Services<typeof stage>>().type.toBe<Shop>()
    expect<Stage.Error<typeof stage>>().type.toBe<StageError.DepthExceeded | SalesFailed>()
  })

  test("is wired like any other", () => {
    const pipeline = Pipeline.make("chat")
      .add(router)
      .add(Stage.enrich("question", { run: Effect.succeed({ text: "How?" }) }))
      .add(stage, (s) => ({
        inputs: { router: s.router, question: s.question, product: s.question.map(({ text }) => ({ id: text })) }
      }))
    expect<Pipeline.Nodes<typeof pipeline>["name"]>().type.toBe<"router" | "question" | "answer">()
  })

  test("gives functions the decision for their route", () => {
    const narrowed = Route.match("answer", detailed, {
      support: (inputs: { readonly router: { readonly ticket: number } }) =>
        Effect.succeed({ n: inputs.router.ticket }),
      sales: (inputs: { readonly router: { readonly product: string }; readonly other: { readonly n: number } }) =>
        Effect.succeed({ text: inputs.router.product })
    })
    expect<Stage.Input<typeof narrowed>>().type.toBe<{
      readonly router: Decision
      readonly other: { readonly n: number }
    }>()
    expect(Route.match).type.not.toBeCallableWith("answer", detailed, {
      support: (_: { readonly router: { readonly product: string } }) => Effect.void,
      sales: () => Effect.void
    })
  })

  test("knows stages that are written in it", () => {
    const inline = Route.match("answer", router, {
      support: Stage.transform("support", { run: Effect.succeed({ text: "yes" }) }),
      sales: Stage.as(support, "other")
    })
    expect<Stage.DataOf<typeof inline>>().type.toBe<{ text: string }>()
    expect<Stage.Input<typeof inline>>().type.toBe<{
      readonly router: { route: "support" | "sales"; confidence: number }
      readonly question: { readonly text: string }
    }>()
  })

  test("reads the decision by a function", () => {
    const made = Route.match(
      "answer",
      (inputs: { readonly language: { readonly code: "de" | "fr" } }) => ({ route: inputs.language.code }),
      { de: () => Effect.succeed({ text: "ja" }), fr: () => Effect.succeed({ text: "oui" }) }
    )
    expect<Stage.Input<typeof made>>().type.toBe<{ readonly language: { readonly code: "de" | "fr" } }>()
  })

  test("has a branch for any other route, and then needs none for each", () => {
    const open = Stage.route("router", { run: Effect.succeed({ route: String(1) }) })
    const made = Route.match("answer", open, { support }, { otherwise: () => Effect.succeed({ other: true }) })
    expect<Stage.DataOf<typeof made>>().type.toBe<{ text: string } | { other: boolean }>()
    const partly = Route.match("answer", router, { support }, { otherwise: sales })
    expect<Stage.DataOf<typeof partly>>().type.toBe<{ text: string } | { readonly price: number }>()
    expect<Stage.Services<typeof partly>>().type.toBe<Shop>()
  })

  test("may lack a branch when the compiler does not know which there are", () => {
    const branches: Record<string, () => Effect.Effect<{ readonly n: number }>> = {}
    const made = Route.match("answer", router, branches)
    expect<Stage.Error<typeof made>>().type.toBe<Route.NoBranch>()
    const safe = Route.match("answer", router, branches, { otherwise: () => Effect.succeed({ n: 1 }) })
    expect<Stage.Error<typeof safe>>().type.toBe<never>()
  })

  test("has a branch that is no route of the router only for one that is not sure", () => {
    const human = () => Effect.succeed({ asked: true })
    const made = Route.match("answer", router, { support, sales, human }, {
      confidence: { atLeast: 0.7, otherwise: "human" }
    })
    expect<Stage.DataOf<typeof made>>().type.toBe<{ text: string } | { readonly price: number } | { asked: boolean }>()
    expect(Route.match).type.not.toBeCallableWith("answer", router, { support, sales, human })
  })
})

describe("Route.weighted", () => {
  test("gives one of its routes, and fails without a key", () => {
    const stage = Route.weighted("variant", { control: 0.9, candidate: 0.1 }, { key: ({ userId }) => userId })
    expect<Stage.DataOf<typeof stage>["route"]>().type.toBe<"control" | "candidate">()
    expect<Stage.Error<typeof stage>>().type.toBe<Route.NoRouteKey>()
    expect<Stage.Input<typeof stage>>().type.toBe<unknown>()
  })

  test("does not fail when it says which route is taken without one, and reads the key from its inputs", () => {
    const stage = Route.weighted("variant", { control: 0.9, candidate: 0.1 }, {
      key: (snapshot, inputs: { readonly account: { readonly id: string } }) =>
        `${snapshot.orgId} ${inputs.account.id}`,
      otherwise: "control"
    })
    expect<Stage.Error<typeof stage>>().type.toBe<never>()
    expect<Stage.Input<typeof stage>>().type.toBe<{ readonly account: { readonly id: string } }>()
  })

  test("is a router of `match`, and a decision that a snapshot carries", () => {
    const variant = Route.weighted("variant", { a: 1, b: 1 }, { key: ({ userId }) => userId })
    const shown = Route.match("shown", variant, { a: () => Effect.void, b: () => Effect.void })
    expect<Stage.DataOf<typeof shown>>().type.toBe<{}>()
    expect<Stage.DataOf<typeof variant>>().type.toBeAssignableTo<Snapshot.RoutingDecision>()
    expect<Route.RoutingDecision>().type.toBeAssignableTo<Snapshot.RoutingDecision>()
  })
})
