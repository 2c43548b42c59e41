/**
 * A body that is a stage or a pipeline is a run for each item, draft and state: what keeps something for a stage by default
 * tells these runs apart.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Schema } from "effect"
import { Interceptor, Pipeline, Snapshot, Stage } from "stageflow"
import { ForEach, GuardRetry, Loop, Route, Shapes, Subpipeline } from "stageflow/control"
import * as Guards from "stageflow/guards"
import * as Interceptors from "stageflow/interceptors"

const cached = Interceptor.layer(
  Interceptors.cache({ ttl: "1 minute", of: ({ snapshot }) => snapshot.inputText ?? "" })
).pipe(Layer.provideMerge(Interceptors.Results.layerMemory()))
const idempotent = Interceptor.layer(Interceptors.idempotency()).pipe(
  Layer.provideMerge(Interceptors.IdempotencyStore.layerMemory)
)
const request = Snapshot.make({ metadata: { idempotencyKey: "key" } })

/** The data of a stage, run alone. */
const dataOf = <D>(stage: Stage.Stage<"s", unknown, D, "cancel" | "skip", unknown>) =>
  Effect.gen(function*() {
    const result = yield* Pipeline.run(Pipeline.make("p").add(stage), request)
    assert(result._tag === "Completed")
    const output = result.outputs.s
    assert(output._tag === "Ok")
    return output.data
  })

/** A stage that notes what it is given, and how often it runs. */
const noting = () => {
  const given: Array<unknown> = []
  const stage = Stage.transform("b", {
    run: (input: { readonly n: number }) =>
      Effect.sync(() => {
        given.push(input)
        return { n: input.n + 1 }
      })
  })
  return { given, stage }
}

const items = (...numbers: ReadonlyArray<number>) => numbers.map((n) => ({ n }))

describe("a cache around everything answers for nothing else", () => {
  it.effect("a guard judges each draft", () =>
    Effect.gen(function*() {
      const stage = GuardRetry.stage("s", {
        draft: ({ revision }: { readonly revision: GuardRetry.Revision<{ readonly text: string }> }) =>
          Effect.succeed({ text: ["clean but long", "a@example.co", "fine"][revision.attempt - 1] ?? "" }),
        guards: {
          pii: GuardRetry.fromGuard(Guards.personalData("pii", { from: "input", action: "fail" })),
          brief: (draft) => Effect.succeed(draft.text.length > 13 ? GuardRetry.reject("shorter") : GuardRetry.accept)
        }
      })
      assert.deepStrictEqual(yield* Effect.provide(dataOf(stage), cached), { text: "fine" })
    }))

  it.effect("each item, state and draft gets what is its own; the same question is still answered once", () =>
    Effect.gen(function*() {
      const each = noting()
      const forEach = ForEach.stage("s", { items: () => items(0, 1, 0), each: each.stage, concurrency: 1 })
      const { results } = yield* Effect.provide(dataOf(forEach), cached)
      assert.deepStrictEqual(results, items(1, 2, 1))
      assert.deepStrictEqual(each.given, items(0, 1))
      const body = noting()
      const loop = Loop.until("s", { state: () => ({ n: 0 }), body: body.stage, until: ({ n }) => n === 3 })
      assert.deepStrictEqual((yield* Effect.provide(dataOf(loop), cached)).state, { n: 3 })
      const draft = Stage.transform("d", {
        run: ({ revision }: { readonly revision: GuardRetry.Revision<{ readonly n: number }> }) =>
          Effect.succeed({ n: revision.attempt })
      })
      const drafted = GuardRetry.stage("s", {
        draft,
        guards: { third: ({ n }) => Effect.succeed(n === 3 ? GuardRetry.accept : GuardRetry.reject("no")) }
      })
      assert.deepStrictEqual(yield* Effect.provide(dataOf(drafted), cached), { n: 3 })
    }))

  it.effect("what is inside of an item is the item's, and stages of one name in two places are two", () =>
    Effect.gen(function*() {
      const b = (add: number) =>
        Stage.transform("b", { run: (input: { readonly n: number }) => Effect.succeed({ n: input.n + add }) })
      const inner = Pipeline.make("inner", { input: Schema.Struct({ n: Schema.Int }) })
        .transform("read", { inputs: ["input"], run: ({ input }) => Effect.succeed({ n: input.n * 10 }) })
        .returns((s) => s.read)
      const pipeline = Pipeline.make("p")
        .add(ForEach.stage("one", { items: () => items(1, 2), each: b(1) }))
        .add(ForEach.stage("two", { items: () => items(1, 2), each: b(2) }))
        .add(ForEach.stage("inside", {
          items: () => items(1, 2),
          each: (item: { readonly n: number }) =>
            Subpipeline.run(inner, { input: item }).pipe(Effect.map((r) => r.value))
        }))
      const { outputs } = yield* Effect.provide(Pipeline.run(pipeline, request), cached)
      assert.deepStrictEqual(outputs.one.data.results, items(2, 3))
      assert.deepStrictEqual(outputs.two.data.results, items(3, 4))
      assert.deepStrictEqual(outputs.inside.data.results, items(10, 20))
    }))

  it.effect("who is given what cannot be compared is run each time; a key of one's own says what counts", () =>
    Effect.gen(function*() {
      let runs = 0
      const each = Stage.transform("b", {
        run: (f: () => number) => Effect.sync(() => ({ run: ++runs, n: f() }))
      })
      const functions = ForEach.stage("s", { items: () => [() => 1, () => 2], each, concurrency: 1 })
      const { results } = yield* Effect.provide(dataOf(functions), cached)
      assert.deepStrictEqual(results, [{ run: 1, n: 1 }, { run: 2, n: 2 }])
      const mine = Interceptor.layer(
        Interceptors.cache({ ttl: "1 minute", of: () => "always", key: Interceptors.named("mine") })
      ).pipe(Layer.provideMerge(Interceptors.Results.layerMemory()))
      const { given, stage } = noting()
      const two = ForEach.stage("s", { items: () => items(1, 2), each: stage, concurrency: 1 })
      yield* Effect.exit(Effect.provide(dataOf(two), mine))
      assert.deepStrictEqual(given, items(1))
    }))
})

const keeping = Stage.intercept(Interceptors.idempotency())

describe("the key of a request is that of each run inside of it alone", () => {
  /** Runs a stage twice with one key and says what its body was given, the second time nothing. */
  const bothTimes = <D>(
    needing: Stage.Stage<"s", unknown, D, "cancel" | "skip", unknown, Interceptors.IdempotencyStore>,
    given: ReadonlyArray<unknown>
  ) =>
    Effect.gen(function*() {
      // The store is given to both runs below.
      const stage = needing as Stage.Any as Stage.Stage<"s", unknown, D, "cancel" | "skip", unknown>
      const first = yield* dataOf(stage)
      const ran = given.slice()
      // Nothing is around the stage itself: it runs again, and its bodies do not.
      assert.deepStrictEqual(yield* dataOf(stage), first)
      assert.deepStrictEqual(given, ran)
      return { data: first, ran }
    }).pipe(Effect.provide(Interceptors.IdempotencyStore.layerMemory))

  it.effect("each item is done once, also when two are equal", () =>
    Effect.gen(function*() {
      for (const numbers of [[1, 2], [1, 1]]) {
        const { given, stage } = noting()
        const { ran } = yield* bothTimes(
          ForEach.stage("s", { items: () => items(...numbers), each: keeping(stage) }),
          given
        )
        assert.deepStrictEqual(ran, items(...numbers))
      }
    }))

  it.effect("each draft, judgement and iteration is done once", () =>
    Effect.gen(function*() {
      const { given, stage } = noting()
      const loop = Loop.until("s", { state: () => ({ n: 0 }), body: keeping(stage), until: ({ n }) => n === 3 })
      assert.deepStrictEqual((yield* bothTimes(loop, given)).ran, items(0, 1, 2))
      const judged: Array<unknown> = []
      const guard = Stage.guard("g", {
        run: (draft: { readonly n: number }) =>
          Effect.sync(() => {
            judged.push(draft)
            return draft.n === 3 ? GuardRetry.accept : GuardRetry.reject("no")
          })
      })
      const drafted = GuardRetry.stage("s", {
        draft: ({ revision }: { readonly revision: GuardRetry.Revision<{ readonly n: number }> }) =>
          Effect.succeed({ n: revision.attempt }),
        guards: { one: keeping(guard), two: keeping(guard) }
      })
      assert.deepStrictEqual((yield* bothTimes(drafted, judged)).ran, items(1, 1, 2, 2, 3, 3))
    }))

  it.effect("two sub-pipelines, contestants and functions that run one pipeline do not stand in for each other", () =>
    Effect.gen(function*() {
      const sent: Array<number> = []
      const mail = Pipeline.make("notify", { input: Schema.Struct({ n: Schema.Int }) })
        .work("mail", { inputs: ["input"], run: ({ input }) => Effect.sync(() => void sent.push(input.n)) })
      const pipeline = Pipeline.make("p")
        .add(Subpipeline.stage("a", mail, { input: () => ({ n: 1 }) }))
        .add(Subpipeline.stage("b", mail, { input: () => ({ n: 1 }) }))
        .add(ForEach.stage("c", {
          items: () => items(2, 2),
          each: mail
        }))
        .add(Route.match("d", () => ({ route: "x" as const }), { x: noted(sent, 3) }))
        .add(Shapes.race("e", { one: noted(sent, 4), two: noted(sent, 4) }))
      const once = Pipeline.run(pipeline, request)
      yield* Effect.provide(Effect.andThen(once, once), idempotent)
      assert.deepStrictEqual(sent.toSorted().slice(0, 5), [1, 1, 2, 2, 3])
      assert.isAtMost(sent.length, 7)
    }))
})

const noted = (sent: Array<number>, n: number) =>
  Stage.work("mail", {
    run: Effect.sync(() => {
      sent.push(n)
      return {}
    })
  })
