import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Fiber, Scheduler } from "effect"
import { Pipeline, Snapshot, Stage, StageContext, StageOutput } from "stageflow"
import * as Interceptors from "stageflow/interceptors"
import { InterceptorTest } from "stageflow/testing"

const cache = Interceptors.cache({ ttl: "1 minute", of: ({ snapshot }) => snapshot.inputText ?? "" })

describe("what is kept", () => {
  it.effect("is what the stage gave, whatever the stage does with its object later: tenants do not mix", () =>
    Effect.gen(function*() {
      const reused = { owner: "", seen: [] as Array<string> }
      const stage = Stage.transform("stage", {
        run: Effect.gen(function*() {
          const { orgId = "" } = yield* Snapshot.current
          reused.owner = orgId
          reused.seen.push(orgId)
          return reused
        })
      })
      const pipeline = Pipeline.make("p").add(stage).pipe(Pipeline.intercept(cache))
      const ask = (orgId: string) =>
        Effect.map(Pipeline.run(pipeline, Snapshot.make({ orgId })), ({ outputs }) => outputs.stage.data)
      const first = yield* ask("a")
      yield* ask("b")
      assert.deepStrictEqual(yield* ask("a"), first)
      assert.deepStrictEqual(first, { owner: "a", seen: ["a"] })
    }).pipe(Effect.provide(Interceptors.Results.layerMemory())))

  it.effect("has the artifacts that the stage returned and those that it added, for those who wait as well", () =>
    Effect.gen(function*() {
      const body = Effect.gen(function*() {
        yield* StageContext.addArtifact({ type: "added", payload: 1 })
        yield* Effect.sleep("1 second")
        return StageOutput.ok({ done: true }, { artifacts: [{ type: "returned", payload: 2 }], version: "7" })
      })
      // The first two at the same time, the third when they have ended.
      const { body: { started }, exits } = yield* InterceptorTest.run(cache, { body, times: 3, every: "500 millis" })
      assert.strictEqual(started, 1)
      for (const exit of exits) {
        const { artifacts, version } = (yield* exit).outputs.stage
        assert.deepStrictEqual(artifacts.map(({ type }) => type), ["returned", "added"])
        assert.strictEqual(version, "7")
      }
      const events = exits.map((exit) =>
        exit._tag === "Success" ? exit.value.outputs.stage.events.map(({ type }) => type) : []
      )
      assert.deepStrictEqual(events, [[], ["cache.hit"], ["cache.hit"]])
    }).pipe(Effect.provide(Interceptors.Results.layerMemory())))
})

describe("who shares a run of a stage", () => {
  it.effect("gets its result, wherever it lets others go first", () =>
    Effect.gen(function*() {
      for (const operations of [3, 4, 5]) {
        for (let steps = 0; steps < 80; steps++) {
          const gate = yield* Deferred.make<void>()
          const stage = Stage.transform("stage", { run: Effect.as(Deferred.await(gate), { done: true }) })
          const pipeline = Pipeline.make("p").add(stage).pipe(Pipeline.intercept(cache))
          const run = Pipeline.run(pipeline, Snapshot.make({ inputText: `${operations} ${steps}` }))
          const leader = yield* Effect.forkChild(run, { startImmediately: true })
          const follower = yield* Effect.forkChild(
            Effect.provideService(run, Scheduler.MaxOpsBeforeYield, operations),
            {
              startImmediately: true
            }
          )
          for (let step = 0; step < steps; step++) yield* Effect.yieldNow
          yield* Deferred.succeed(gate, undefined)
          yield* Fiber.join(leader)
          for (let step = 0; step < 1000 && follower.pollUnsafe() === undefined; step++) yield* Effect.yieldNow
          assert.strictEqual(
            follower.pollUnsafe()?._tag,
            "Success",
            `every ${operations} operations, after ${steps} turns`
          )
        }
      }
    }).pipe(Effect.provide(Interceptors.Results.layerMemory())))
})
