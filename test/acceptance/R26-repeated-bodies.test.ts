/**
 * What keeps results tells the runs of one body from each other.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Schema } from "effect"
import { TestClock } from "effect/testing"
import { Interceptor, Pipeline, Snapshot, Stage } from "stageflow"
import { ForEach, GuardRetry, Loop, Route, Shapes, Subpipeline } from "stageflow/control"
import * as Interceptors from "stageflow/interceptors"

const layers = {
  idempotency: Layer.provideMerge(
    Interceptor.layer(Interceptors.idempotency()),
    Interceptors.IdempotencyStore.layerMemory
  ),
  cache: Layer.provideMerge(
    Interceptor.layer(Interceptors.cache({ ttl: "1 minute", of: ({ snapshot }) => snapshot.inputText ?? "" })),
    Interceptors.Results.layerMemory()
  )
}

const start = Snapshot.make({ inputText: "a", metadata: { idempotencyKey: "k" } })

interface Draft {
  readonly text: string
}

describe("R26 R22 each run of a body is one of its own", () => {
  for (const [how, layer] of Object.entries(layers)) {
    const given: Layer.Layer<never> = Layer.fresh(layer as Layer.Layer<Interceptors.Results>)

    it.effect(`contestants of the same name do not wait for each other (${how})`, () =>
      Effect.gen(function*() {
        const ask = (by: string, work: Effect.Effect<void>) => Stage.transform("ask", { run: Effect.as(work, { by }) })
        const race = Shapes.race("race", {
          slow: ask("slow", Effect.never),
          fast: ask("fast", Effect.sleep("1 second"))
        })
        const running = yield* Effect.forkChild(Pipeline.run(Pipeline.make("p").add(race), start))
        yield* TestClock.adjust("1 second")
        const exit = running.pollUnsafe()
        assert(exit?._tag === "Success")
        assert.deepStrictEqual(exit.value.outputs.race.data, { by: "fast" })
      }).pipe(Effect.provide(given)))

    it.effect(`a function for each item that runs a pipeline runs it for each (${how})`, () =>
      Effect.gen(function*() {
        const child = Pipeline.make("child", { input: Schema.Struct({ n: Schema.Int }) })
          .transform("double", { inputs: ["input"], run: ({ input }) => Effect.succeed({ n: input.n * 2 }) })
        const each = ForEach.stage("each", {
          items: () => [1, 2],
          each: (n) => Effect.map(Subpipeline.run(child, { input: { n } }), ({ outputs }) => outputs.double.data.n)
        })
        const { outputs } = yield* Pipeline.run(Pipeline.make("p").add(each), start)
        assert.deepStrictEqual(outputs.each.data.results, [2, 4])
      }).pipe(Effect.provide(given)))

    it.effect(`an accept is not replayed for another draft (${how})`, () =>
      Effect.gen(function*() {
        let judged = 0
        let run = 0
        const draft = ({ revision }: { readonly revision: GuardRetry.Revision<Draft> }) =>
          Effect.succeed({ text: `${run} ${revision.attempt === 1 ? "first" : "ada@example.com"}` })
        const pii = Stage.guard("pii", {
          run: ({ text }: Draft) =>
            Effect.sync(() => {
              judged++
              return text.includes("@") ? GuardRetry.reject("pii") : GuardRetry.accept
            })
        })
        const more = ({ text }: Draft) =>
          Effect.succeed(text.includes("first") ? GuardRetry.reject("more") : GuardRetry.accept)
        const stage = GuardRetry.stage("answer", { draft, guards: { pii, more }, maxAttempts: 2 })
        const pipeline = Pipeline.make("p").add(stage)
        for (const _ of [1, 2]) {
          run++
          const failed = yield* Effect.flip(Pipeline.run(
            pipeline,
            how === "cache" ? start : Snapshot.make({
              inputText: "a",
              metadata: { idempotencyKey: `k${run}` }
            })
          ))
          assert.instanceOf(failed.error, GuardRetry.NoDraftAccepted)
        }
        assert.strictEqual(judged, 4)
      }).pipe(Effect.provide(given)))

    it.effect(`every item has its own result, every iteration its own state (${how})`, () =>
      Effect.gen(function*() {
        const each = Stage.transform("each", { run: ({ n }: { readonly n: number }) => Effect.succeed({ n: n + 1 }) })
        const pipeline = Pipeline.make("p")
          .add(ForEach.stage("all", { items: () => [{ n: 0 }, { n: 1 }, { n: 2 }], each }))
          .add(Loop.until("loop", { state: () => ({ n: 0 }), body: each, until: ({ n }) => n >= 3 }))
        const { outputs } = yield* Pipeline.run(pipeline, start)
        assert.deepStrictEqual(outputs.all.data.results, [{ n: 1 }, { n: 2 }, { n: 3 }])
        assert.strictEqual(outputs.loop.data.state.n, 3)
      }).pipe(Effect.provide(given)))
  }

  it.effect("two items that are equal are both worked on, and neither again under the same key", () =>
    Effect.gen(function*() {
      let sent = 0
      const each = Stage.work("send", { run: (_: { readonly to: string }) => Effect.sync(() => void sent++) })
      const pipeline = Pipeline.make("p").add(
        ForEach.stage("all", {
          items: () => [{ to: "a" }, { to: "a" }],
          each: each.pipe(
            Stage.intercept(Interceptors.idempotency())
          )
        })
      )
      yield* Pipeline.run(pipeline, start)
      assert.strictEqual(sent, 2)
      yield* Pipeline.run(pipeline, start)
      assert.strictEqual(sent, 2)
    }).pipe(Effect.provide(Interceptors.IdempotencyStore.layerMemory)))

  it.effect("a branch is not answered for by another one of the same name", () =>
    Effect.gen(function*() {
      let route: "a" | "b" = "a"
      const says = (by: string) =>
        Stage.transform("says", { run: Effect.succeed({ by }) }).pipe(
          Stage.intercept(Interceptors.cache({ ttl: "1 minute", of: () => "the same" }))
        )
      const pipeline = Pipeline.make("p").add(Route.match("match", () => ({ route }), { a: says("a"), b: says("b") }))
      const first = yield* Pipeline.run(pipeline, start)
      route = "b"
      const second = yield* Pipeline.run(pipeline, start)
      assert.deepStrictEqual([first, second].map(({ outputs }) => outputs.match.data.by), ["a", "b"])
    }).pipe(Effect.provide(Interceptors.Results.layerMemory())))
})
