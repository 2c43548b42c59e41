import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, Option, Scheduler } from "effect"
import { TestClock } from "effect/testing"
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
      for (let operations = 3; operations < 60; operations++) {
        const gate = yield* Deferred.make<void>()
        const stage = Stage.transform("stage", { run: Effect.as(Deferred.await(gate), { done: true }) })
        const pipeline = Pipeline.make("p").add(stage).pipe(Pipeline.intercept(cache))
        const run = Pipeline.run(pipeline, Snapshot.make({ inputText: String(operations) }))
        const leader = yield* Effect.forkChild(run, { startImmediately: true })
        // It yields somewhere between asking who runs the stage and waiting for it.
        const follower = yield* Effect.forkChild(
          Effect.provideService(run, Scheduler.MaxOpsBeforeYield, operations),
          { startImmediately: true }
        )
        yield* Deferred.succeed(gate, undefined)
        yield* Fiber.join(leader)
        for (let step = 0; step < 2000 && follower.pollUnsafe() === undefined; step++) yield* Effect.yieldNow
        assert.strictEqual(follower.pollUnsafe()?._tag, "Success", `yielding after ${operations} operations`)
      }
    }).pipe(Effect.provide(Interceptors.Results.layerMemory())))
})

describe("how long it is kept", () => {
  it.effect("is as long as it says, however the clock on the wall is set", () =>
    Effect.gen(function*() {
      let calls = 0
      const stage = Stage.work("stage", { run: Effect.sync(() => void calls++) })
      const pipeline = Pipeline.make("p").add(stage).pipe(Pipeline.intercept(cache))
      const ask = Pipeline.run(pipeline, Snapshot.make({ inputText: "x" }))
      yield* TestClock.setTime(1_000_000_000)
      yield* ask
      yield* TestClock.setTime(0)
      yield* TestClock.adjust("59 seconds")
      yield* ask
      assert.strictEqual(calls, 1)
      yield* TestClock.adjust("1 second")
      yield* ask
      assert.strictEqual(calls, 2)
    }).pipe(Effect.provide(Interceptors.Results.layerMemory())))
})

describe("who asks for the same at the same time", () => {
  const bodies = (run: (subject: string) => Effect.Effect<void, never, Interceptors.Results>) => {
    const state = { started: [] as Array<string> }
    const stage = Stage.enrich("stage", {
      run: Effect.gen(function*() {
        const { inputText = "" } = yield* Snapshot.current
        state.started.push(inputText)
        yield* run(inputText)
        return { subject: inputText }
      })
    })
    const pipeline = Pipeline.make("p").add(stage).pipe(Pipeline.intercept(cache))
    const ask = (inputText: string) =>
      Effect.map(
        Effect.orDie(Pipeline.run(pipeline, Snapshot.make({ inputText }))),
        ({ outputs }) => outputs.stage._tag === "Ok" ? outputs.stage.data.subject : ""
      )
    return { state, ask }
  }

  const layer = Effect.provide(Interceptors.Results.layerMemory())

  /** What the runs end with, when they all do within an hour. */
  const endOf = Effect.fnUntraced(function*(runs: ReadonlyArray<Effect.Effect<string, never, Interceptors.Results>>) {
    const fibers = yield* Effect.forEach(runs, (run) => Effect.forkChild(run, { startImmediately: true }))
    yield* TestClock.adjust("1 hour")
    return fibers.map((fiber) => fiber.pollUnsafe()?.pipe(Exit.getSuccess, Option.getOrUndefined))
  })

  it.effect("from inside of itself does not wait for itself", () =>
    Effect.gen(function*() {
      let depth = 0
      const { ask, state } = bodies(() =>
        Effect.suspend(() => ++depth < 4 ? Effect.asVoid(Effect.suspend(() => ask("x"))) : Effect.sleep("1 second"))
      )
      assert.deepStrictEqual(yield* endOf([ask("x"), ask("x")]), ["x", "x"])
      assert.deepStrictEqual(state.started, ["x", "x", "x", "x"])
    }).pipe(layer))

  it.effect("in a circle of any length does not wait for itself", () =>
    Effect.gen(function*() {
      for (const circle of [["a", "b"], ["c", "d", "e"], ["f", "g", "h", "i", "j"]]) {
        const next = (subject: string) => circle[(circle.indexOf(subject) + 1) % circle.length] ?? ""
        const asked = new Set<string>()
        const { ask } = bodies((subject) =>
          Effect.gen(function*() {
            // All of them have started before any goes on to the next.
            yield* Effect.sleep("1 second")
            const isFirst = !asked.has(subject)
            asked.add(subject)
            if (isFirst) yield* ask(next(subject))
          })
        )
        assert.deepStrictEqual(yield* endOf(circle.map(ask)), circle)
      }
    }).pipe(layer))

  it.effect("from inside of something else waits for it", () =>
    Effect.gen(function*() {
      const { ask, state } = bodies((subject) =>
        subject === "inner" ? Effect.sleep("1 second") : Effect.asVoid(Effect.suspend(() => ask("inner")))
      )
      const ends = yield* endOf([ask("a"), ask("b"), ask("inner"), ask("c")])
      assert.deepStrictEqual(ends, ["a", "b", "inner", "c"])
      assert.strictEqual(state.started.filter((subject) => subject === "inner").length, 1)
    }).pipe(layer))

  it.effect("does not wait for one that its run has left behind", () =>
    Effect.gen(function*() {
      let bodiesStarted = 0
      const stuck = Stage.enrich("stage", {
        run: Effect.suspend(() => {
          const isFirst = bodiesStarted++ === 0
          return isFirst
            ? Effect.uninterruptible(Effect.as(Effect.sleep("1 day"), { late: true }))
            : Effect.succeed({ late: false })
        })
      })
      const pipeline = Pipeline.make("p").add(stuck).pipe(
        Pipeline.intercept(cache, Interceptors.deadline("5 seconds"))
      )
      const run = (inputText: string) =>
        Pipeline.run(pipeline, Snapshot.make({ inputText }), { interruptionGrace: "1 second" })
      const first = yield* Effect.forkChild(Effect.exit(run("x")), { startImmediately: true })
      yield* TestClock.adjust("4 seconds")
      const second = yield* Effect.forkChild(run("x"), { startImmediately: true })
      yield* TestClock.adjust("2 seconds")
      assert.strictEqual((yield* Fiber.join(first))._tag, "Failure")
      const { outputs } = yield* Fiber.join(second)
      assert(outputs.stage._tag === "Ok")
      assert.isFalse(outputs.stage.data.late)
      assert.strictEqual(bodiesStarted, 2)
    }).pipe(layer))

  it.effect("misses no end, whatever else runs between looking for one and waiting for it", () =>
    Effect.gen(function*() {
      const stage = Stage.work("stage", { run: Effect.yieldNow })
      const pipeline = Pipeline.make("p").add(stage).pipe(
        // Nothing is kept, so that everybody waits or runs it.
        Pipeline.intercept(Interceptors.cache({ ttl: 1, of: () => "" }))
      )
      for (let operations = 3; operations <= 40; operations++) {
        yield* TestClock.adjust(1)
        const run = Effect.provideService(
          Pipeline.run(pipeline, Snapshot.make()),
          Scheduler.MaxOpsBeforeYield,
          operations
        )
        const fibers = yield* Effect.forEach(
          [0, 1, 2, 3, 5, 8, 13],
          (yields) => Effect.forkChild(Effect.andThen(Effect.replicateEffect(Effect.yieldNow, yields), run))
        )
        for (let time = 0; time < 400; time++) yield* Effect.yieldNow
        for (const fiber of fibers) assert.strictEqual(fiber.pollUnsafe()?._tag, "Success", `${operations} operations`)
      }
    }).pipe(layer))
})
