import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Fiber, Schedule, Schema } from "effect"
import { TestClock } from "effect/testing"
import { Pipeline, type RunResult, Snapshot, Stage, StageError, StageOutput } from "stageflow"
import * as Interceptors from "stageflow/interceptors"

class Down extends Schema.TaggedError<Down>()("Down", {}) {}

/** A dependency outside of the library: it counts its calls and can be broken and mended. */
const dependency = () => {
  const state = { calls: 0, broken: true }
  const call = Effect.suspend(() => {
    state.calls++
    return state.broken ? Effect.fail(new Down()) : Effect.succeed({ answer: 42 })
  })
  return { state, call }
}

const pipelineOf = (run: Effect.Effect<object, Down>, settings?: Parameters<typeof Interceptors.circuitBreaker>[0]) =>
  Pipeline.make("p").add(Stage.work("call", { run })).pipe(Pipeline.intercept(Interceptors.circuitBreaker(settings)))

const errorOf = <E extends RunResult.StageFailed, R>(run: Effect.Effect<unknown, E, R>) =>
  Effect.map(Effect.flip(run), ({ error }) => error as E["error"])

describe("R25 a circuit breaker", () => {
  it.effect("counts each failure once and opens at its threshold, across runs below one Layer", () =>
    Effect.gen(function*() {
      const { call, state } = dependency()
      const run = errorOf(Pipeline.run(pipelineOf(call), Snapshot.make()))
      for (let failure = 0; failure < 5; failure++) assert.strictEqual((yield* run)._tag, "Down")
      const rejected = yield* run
      assert(rejected instanceof Interceptors.CircuitOpen)
      assert.strictEqual(rejected.code, "CIRCUIT_OPEN")
      assert.strictEqual(rejected.state, "open")
      assert.strictEqual(state.calls, 5)
    }).pipe(Effect.provide(Interceptors.CircuitBreakers.layerMemory)))

  it.effect("stays open while it rejects, lets one probe through when half open, and closes when that succeeds", () =>
    Effect.gen(function*() {
      const { call, state } = dependency()
      const gate = yield* Deferred.make<void>()
      const slow = Effect.andThen(Effect.suspend(() => state.broken ? Effect.void : Deferred.await(gate)), call)
      const pipeline = pipelineOf(slow, { failures: 2, openFor: "30 seconds" })
      const run = errorOf(Pipeline.run(pipeline, Snapshot.make()))
      yield* run
      yield* run
      yield* TestClock.adjust("29 seconds")
      for (let rejection = 0; rejection < 10; rejection++) assert.strictEqual((yield* run)._tag, "CircuitOpen")
      yield* TestClock.adjust("1 second")
      state.broken = false
      const probe = yield* Effect.forkChild(Pipeline.run(pipeline, Snapshot.make()), { startImmediately: true })
      const other = yield* run
      assert(other instanceof Interceptors.CircuitOpen && other.state === "half-open")
      yield* Deferred.succeed(gate, undefined)
      assert.strictEqual((yield* Fiber.join(probe))._tag, "Completed")
      assert.strictEqual((yield* Pipeline.run(pipeline, Snapshot.make()))._tag, "Completed")
      assert.strictEqual(state.calls, 4)
    }).pipe(Effect.provide(Interceptors.CircuitBreakers.layerMemory)))

  it.effect("a probe that fails opens it again", () =>
    Effect.gen(function*() {
      const { call, state } = dependency()
      const run = errorOf(Pipeline.run(pipelineOf(call, { failures: 1, openFor: "10 seconds" }), Snapshot.make()))
      yield* run
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual((yield* run)._tag, "Down")
      assert.strictEqual((yield* run)._tag, "CircuitOpen")
      assert.strictEqual(state.calls, 2)
    }).pipe(Effect.provide(Interceptors.CircuitBreakers.layerMemory)))

  it.effect("ignores domain outcomes: skips, cancels, a guard's rejection, and errors that do not count", () =>
    Effect.gen(function*() {
      const breaker = Interceptors.circuitBreaker({
        failures: 1,
        counts: (error) => !(error instanceof Down)
      })
      const skip = Stage.work("skip", { run: Effect.succeed(StageOutput.skip("no")) })
      const cancel = Stage.work("cancel", { run: Effect.succeed(StageOutput.cancel("no")) })
      const guard = Stage.guard("guard", { run: Effect.fail("rejected" as const) })
      const other = Stage.work("other", { run: Effect.fail(new Down()) })
      for (const stage of [skip, cancel, guard, other] as ReadonlyArray<Stage.Any>) {
        const specs = yield* Pipeline.fromSpecs("p", [{ stage }])
        // The specs are of any stage, whose services are unknown; these need none but the breaker's.
        const run = Effect.exit(
          Pipeline.run(specs.pipe(Pipeline.intercept(breaker)), Snapshot.make())
        ) as Effect.Effect<unknown, never, Interceptors.CircuitBreakers>
        for (let round = 0; round < 3; round++) {
          assert.notInclude(JSON.stringify(yield* run), "CircuitOpen", stage.name)
        }
      }
    }).pipe(Effect.provide(Interceptors.CircuitBreakers.layerMemory)))

  it.effect("defects and timeouts count; an interruption does not", () =>
    Effect.gen(function*() {
      const dying = Stage.work("dying", { run: Effect.die("boom") })
      const slow = Stage.work("slow", { run: Effect.never }).pipe(Stage.timeout("1 second"))
      const breaker = Interceptors.circuitBreaker({ failures: 1 })
      const first = Pipeline.make("p").add(dying).pipe(Pipeline.intercept(breaker))
      assert((yield* errorOf(Pipeline.run(first, Snapshot.make()))) instanceof StageError.StageFault)
      assert.strictEqual((yield* errorOf(Pipeline.run(first, Snapshot.make())))._tag, "CircuitOpen")
      const second = Pipeline.make("p").add(slow).pipe(Pipeline.intercept(breaker))
      const interrupted = yield* Effect.forkChild(Pipeline.run(second, Snapshot.make()), { startImmediately: true })
      yield* Fiber.interrupt(interrupted)
      const timedOut = yield* Effect.forkChild(errorOf(Pipeline.run(second, Snapshot.make())), {
        startImmediately: true
      })
      yield* TestClock.adjust("1 second")
      assert.strictEqual((yield* Fiber.join(timedOut))._tag, "StageTimeout")
      assert.strictEqual((yield* errorOf(Pipeline.run(second, Snapshot.make())))._tag, "CircuitOpen")
    }).pipe(Effect.provide(Interceptors.CircuitBreakers.layerMemory)))

  it.effect("sees one outcome of a stage that is retried", () =>
    Effect.gen(function*() {
      const { call, state } = dependency()
      const pipeline = Pipeline.make("p").add(Stage.work("call", { run: call })).pipe(Pipeline.intercept(
        Interceptors.retry(Schedule.recurs(4)),
        Interceptors.circuitBreaker({ failures: 2 })
      ))
      const run = errorOf(Pipeline.run(pipeline, Snapshot.make()))
      yield* run
      assert.strictEqual((yield* run)._tag, "Down")
      assert.strictEqual((yield* run)._tag, "CircuitOpen")
      assert.strictEqual(state.calls, 10)
    }).pipe(Effect.provide(Interceptors.CircuitBreakers.layerMemory)))

  it.effect("is keyed: tenants have circuits of their own, a provider can have one for all", () =>
    Effect.gen(function*() {
      const { call } = dependency()
      const perStage = pipelineOf(call, { failures: 1 })
      const ofTenant = (orgId: string, pipeline = perStage) => errorOf(Pipeline.run(pipeline, Snapshot.make({ orgId })))
      yield* ofTenant("a")
      assert.strictEqual((yield* ofTenant("a"))._tag, "CircuitOpen")
      assert.strictEqual((yield* ofTenant("b"))._tag, "Down")
      const provider = pipelineOf(call, { failures: 1, key: Interceptors.named("provider") })
      yield* ofTenant("a", provider)
      assert.strictEqual((yield* ofTenant("b", provider))._tag, "CircuitOpen")
    }).pipe(Effect.provide(Interceptors.CircuitBreakers.layerMemory)))

  it.effect("one inside another of the same key is that circuit: it counts once, and its probe gets through", () =>
    Effect.gen(function*() {
      const { call, state } = dependency()
      const provider = Interceptors.circuitBreaker({ failures: 2, openFor: "30 seconds", key: Interceptors.named("x") })
      const child = Pipeline.make("child").add(Stage.work("call", { run: call })).pipe(Pipeline.intercept(provider))
      const parent = Pipeline.make("parent").add(
        Stage.work("runs", { run: Effect.map(Pipeline.run(child, Snapshot.make()), () => ({})) })
      ).pipe(Pipeline.intercept(provider))
      const run = Pipeline.run(parent, Snapshot.make())
      yield* Effect.exit(run)
      yield* Effect.exit(run)
      assert.strictEqual((yield* errorOf(run))._tag, "CircuitOpen")
      assert.strictEqual(state.calls, 2)
      state.broken = false
      yield* TestClock.adjust("30 seconds")
      assert.strictEqual((yield* run)._tag, "Completed")
      assert.strictEqual((yield* run)._tag, "Completed")
    }).pipe(Effect.provide(Interceptors.CircuitBreakers.layerMemory)))

  it.effect("denies when its key cannot be computed", () =>
    Effect.gen(function*() {
      const { call, state } = dependency()
      const key = () => {
        throw new Error("no key")
      }
      const error = yield* errorOf(Pipeline.run(pipelineOf(call, { key }), Snapshot.make()))
      assert.strictEqual(error._tag, "KeyFailed")
      assert.strictEqual(state.calls, 0)
    }).pipe(Effect.provide(Interceptors.CircuitBreakers.layerMemory)))

  it("checks its options where they are given", () => {
    assert.throws(() => Interceptors.circuitBreaker({ failures: 0 }), /failures/)
    assert.throws(() => Interceptors.circuitBreaker({ openFor: 0 }), /openFor/)
  })
})
