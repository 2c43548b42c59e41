import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Layer, Option, Schema } from "effect"
import { TestClock } from "effect/testing"
import { EventSink, Interceptor, Pipeline, Snapshot, Stage, type StageContext, StageError } from "stageflow"
import { Route, Shapes, Subpipeline } from "stageflow/control"
import { PipelineTest } from "stageflow/testing"
import { FiberCount } from "./support/lifecycle.ts"
import { Counter } from "./support/stages.ts"

const routes = ["support", "sales", "general"] as const
type Route3 = (typeof routes)[number]

const router = Stage.route("router", {
  run: Effect.map(Snapshot.current, ({ inputText }) => ({ route: inputText as Route3, confidence: 0.9 }))
})

/** Branches of all kinds, with layers, interceptors and a pipeline around and in them, that all are counted. */
const branchesOf = (counter: Counter) => {
  const counted = (name: string) =>
    Effect.as(Effect.andThen(Effect.yieldNow, Effect.sync(() => counter.add(name))), {
      by: name
    })
  const seen = (name: string) =>
    Interceptor.make({
      name: "seen",
      around: (effect) => Effect.andThen(Effect.sync(() => counter.add(`${name} interceptor`)), effect),
      aroundRun: (run) => Effect.andThen(Effect.sync(() => counter.add(`${name} run`)), run)
    })
  const port = (name: string) => Layer.effectDiscard(Effect.sync(() => counter.add(`${name} layer`)))
  const support = Stage.transform("support", { run: counted("support") }).pipe(
    Stage.provide(port("support")),
    Stage.timeout("1 minute")
  )
  const sales = Pipeline.make("sales", { input: Schema.Struct({ router: Schema.Struct({ route: Schema.String }) }) })
    .transform("offer", { inputs: ["input"], run: () => counted("sales") })
    .pipe(Pipeline.intercept(seen("sales")), Pipeline.provide(port("sales")))
    .returns((s) => s.offer)
  const general = () => counted("general")
  return { support, sales, general }
}

/** What a route does in `branchesOf`, and all that it does. */
const doneBy: Readonly<Record<Route3, ReadonlyArray<string>>> = {
  support: ["support", "support layer"],
  sales: ["sales", "sales interceptor", "sales layer", "sales run"],
  general: ["general"]
}

const answering = (counter: Counter) =>
  Pipeline.make("answering")
    .add(router)
    .add(Route.match("answer", router, branchesOf(counter)), { inputs: ["router"] })
    .transform("join", { inputs: ["answer"], run: ({ answer }) => Effect.succeed({ from: answer.by }) })
    .returns((s) => s.join)

/** The same inside of other pipelines, so many. */
const nested = (counter: Counter, depth: number) => {
  let pipeline = answering(counter)
  for (let level = 0; level < depth; level++) {
    // Every level has other stages, which say nothing here.
    pipeline = Pipeline.make("level").add(Subpipeline.stage("inside", pipeline)).returns((s) =>
      s.inside
    ) as unknown as typeof pipeline
  }
  return pipeline
}

describe("R16 of the branches of a Route.match only the selected one has any effect", () => {
  for (const depth of [0, 1, 3]) {
    for (const route of routes) {
      it.effect(`route "${route}", inside of ${depth} pipelines: the join runs with it`, () =>
        Effect.gen(function*() {
          const counter = new Counter()
          const { value } = yield* Pipeline.run(nested(counter, depth), Snapshot.make({ inputText: route }))
          assert.deepStrictEqual(value, { from: route })
          assert.deepStrictEqual(counter.names, doneBy[route].toSorted())
          assert.strictEqual(counter.total, doneBy[route].length)
          const events = yield* (yield* EventSink.Memory).events
          const others = new Set(["support", "offer"])
          others.delete(route === "sales" ? "offer" : route)
          assert.isEmpty(events.filter((event) => "stage" in event && others.has(event.stage)))
          assert.isEmpty(events.filter(({ pipeline }) => pipeline === "sales" && route !== "sales"))
          assert.lengthOf(events.filter((event) => event._tag === "RouteDecided"), 1)
        }).pipe(Effect.provide(EventSink.layerMemory)))
    }
  }

  it.effect("a route in a route: one of four", () =>
    Effect.gen(function*() {
      const counter = new Counter()
      const leaf = (name: string) => () => Effect.as(Effect.sync(() => counter.add(name)), { by: name })
      const digit = (place: number) =>
        Stage.route("router", {
          run: Effect.map(Snapshot.current, ({ inputText = "" }): { readonly route: "0" | "1" } => ({
            route: inputText[place] === "1" ? "1" : "0"
          }))
        })
      const inner = (name: string) =>
        Pipeline.make(name)
          .add(digit(1))
          .add(Route.match("inner", digit(1), { 0: leaf(`${name}0`), 1: leaf(`${name}1`) }), { inputs: ["router"] })
          .returns((s) => s.inner)
      const outer = Pipeline.make("outer")
        .add(digit(0))
        .add(Route.match("outer", digit(0), { 0: inner("0"), 1: inner("1") }), { inputs: ["router"] })
      for (const text of ["00", "01", "10", "11"]) {
        const before = counter.total
        const { outputs } = yield* Pipeline.run(outer, Snapshot.make({ inputText: text }))
        assert.strictEqual(outputs.outer.data.by, text)
        assert.strictEqual(counter.total, before + 1)
      }
    }))

  it.effect("no branch at all runs when none has the route, when the router failed, or when it cannot be read", () =>
    Effect.gen(function*() {
      const counter = new Counter()
      const unknown = yield* Effect.flip(Pipeline.run(nested(counter, 0), Snapshot.make({ inputText: "billing" })))
      const error: unknown = "error" in unknown ? unknown.error : undefined
      assert(error instanceof Route.NoBranch)
      assert.strictEqual(error.route, "billing")
      const failed = Effect.andThen(
        Effect.fail("no route"),
        Effect.succeed({ route: "sales" as Route3, confidence: 1 })
      )
      const failing = Pipeline.make("failing")
        .add(Stage.route("router", { run: failed }))
        .add(Route.match("answer", router, branchesOf(counter)), { inputs: ["router"] })
      yield* Effect.flip(Pipeline.run(failing, Snapshot.make()))
      const throwing = Route.match("answer", (_: unknown): { readonly route: Route3 } => {
        throw new Error("broken")
      }, {
        support: branchesOf(counter).support,
        sales: branchesOf(counter).general,
        general: branchesOf(counter).general
      })
      const broken = yield* Effect.flip(Pipeline.run(Pipeline.make("broken").add(throwing), Snapshot.make()))
      assert.instanceOf(broken.error, StageError.StageFault)
      assert.strictEqual(counter.total, 0)
    }))

  it.effect("under a run that goes on without what fails, readers of the stage are blocked by the branch that failed", () =>
    Effect.gen(function*() {
      const counter = new Counter()
      const pipeline = Pipeline.make("continuing")
        .add(router)
        .add(
          Route.match("answer", router, {
            ...branchesOf(counter),
            support: () => Effect.fail("down")
          }),
          { inputs: ["router"] }
        )
        .work("log", { after: ["router"], run: Effect.void })
        .work("read", { inputs: ["answer"], run: () => Effect.sync(() => counter.add("read")) })
      const result = yield* Pipeline.run(pipeline, Snapshot.make({ inputText: "support" }), { failure: "continue" })
      assert(result._tag === "Incomplete")
      assert.deepStrictEqual([result.ok, result.failed, result.blocked], [["router", "log"], ["answer"], ["read"]])
      assert.strictEqual(counter.total, 0)
    }))

  it.effect("a thousand runs at once of one value never see each other's route", () =>
    Effect.gen(function*() {
      const pipeline = nested(new Counter(), 1)
      const values = yield* Effect.forEach(
        Array.from({ length: 1000 }, (_, index) => routes[index % 3] as Route3),
        (route) =>
          Effect.map(Pipeline.run(pipeline, Snapshot.make({ inputText: route })), ({ value }) => [value.from, route]),
        { concurrency: "unbounded" }
      )
      assert.isEmpty(values.filter(([from, route]) => from !== route))
    }))
})

describe("R16 a route of a race, a chain and a weight", () => {
  const variant = Route.weighted("variant", { a: 1, b: 1 }, { key: ({ userId }) => userId, otherwise: "a" })

  it.effect("run one branch each, whatever is inside of what", () =>
    Effect.gen(function*() {
      const counter = new Counter()
      const leaf = (name: string) => () => Effect.as(Effect.sync(() => counter.add(name)), { by: name })
      const raced = (name: string) =>
        Shapes.race(name, { winner: leaf(name), loser: () => Effect.as(Effect.never, { by: "loser" }) })
      const chained = Shapes.chain("chained", [
        Stage.route("first", { run: Effect.succeed({ route: "x" as const }) }),
        Route.match("second", (decision: { readonly route: "x" }) => decision, { x: raced("chained") })
      ])
      const pipeline = Pipeline.make("p")
        .add(variant)
        .add(Route.match("shown", variant, { a: raced("a"), b: chained }), { inputs: ["variant"] })
      const wanted: Record<string, string> = { a: "a", b: "chained" }
      for (const userId of ["u1", "u2", "u3", "u4", "u5"]) {
        const { outputs } = yield* Pipeline.run(pipeline, Snapshot.make({ userId }))
        const decision = Option.getOrThrow(Route.decisionIn(outputs.shown))
        assert.strictEqual(outputs.shown.data.by, wanted[decision.route])
        assert.strictEqual(decision.route, outputs.variant.data.route)
      }
      assert.deepStrictEqual(counter.names, ["a", "chained"])
      assert.strictEqual(counter.total, 5)
    }))

  it.effect("are tested in virtual time as any stage", () =>
    Effect.gen(function*() {
      const slow = (name: string, millis: number) => () => Effect.as(Effect.sleep(millis), { by: name })
      const pipeline = Pipeline.make("p")
        .add(variant)
        .add(
          Route.match("shown", variant, {
            a: Shapes.race("race", { x: slow("x", 5), y: slow("y", 9) }),
            b: slow("b", 1)
          }),
          {
            inputs: ["variant"]
          }
        )
      yield* PipelineTest.lint(pipeline)
      const fiber = yield* Effect.forkChild(Pipeline.run(pipeline, Snapshot.make()))
      yield* TestClock.adjust(5)
      assert.strictEqual((yield* Fiber.join(fiber)).outputs.shown.data.by, "x")
    }))
})

describe("R19 a Route.match that is interrupted", () => {
  it.effect("after any number of steps stops its branch, runs its finalizers and leaves no fiber behind", () =>
    Effect.gen(function*() {
      for (let millis = 0; millis <= 50; millis += 5) {
        const fibers = new FiberCount()
        const log: Array<string> = []
        const step = (name: string): Effect.Effect<{ by: string }, never, StageContext.StageContext> =>
          Effect.acquireUseRelease(
            Effect.sync(() => void log.push(`${name} +`)),
            () => Effect.as(Effect.sleep(10), { by: name }),
            () => Effect.andThen(Effect.sleep(3), Effect.sync(() => void log.push(`${name} -`)))
          )
        const slowRouter = Stage.route("router", {
          run: Effect.as(step("router"), { route: "long" as "long" | "short" })
        })
        const long = Pipeline.make("long")
          .transform("one", { run: step("one") })
          .transform("two", { after: ["one"], run: step("two") })
          .returns((s) => s.two)
        const pipeline = Pipeline.make("p")
          .add(slowRouter)
          .add(Route.match("answer", slowRouter, { long, short: () => step("short") }), { inputs: ["router"] })
        const parent = Pipeline.make("parent").add(Subpipeline.stage("child", pipeline))
        const fiber = yield* Effect.forkChild(fibers.count(Pipeline.run(parent, Snapshot.make())))
        yield* TestClock.adjust(millis)
        const interrupting = yield* Effect.forkChild(Fiber.interrupt(fiber))
        // Each step of the clean-up sleeps anew, some fibers later.
        for (let step = 0; step < 30; step++) yield* TestClock.adjust(1)
        assert.isDefined(interrupting.pollUnsafe(), `${millis} ms: ${log.join(", ")}`)
        const left = (sign: string) => log.filter((line) => line.endsWith(sign)).length
        assert.strictEqual(left("-"), left("+"), `${millis} ms: ${log.join(", ")}`)
        assert.notInclude(log, "short +")
        assert.strictEqual(fibers.running, 0, `${millis} ms`)
      }
    }))
})
