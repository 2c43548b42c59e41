import { assert, describe, it } from "@effect/vitest"
import {
  Cause,
  Clock,
  Context,
  Deferred,
  type Duration,
  Effect,
  Fiber,
  Layer,
  Logger,
  Metric,
  References,
  Schedule,
  Scheduler,
  Schema
} from "effect"
import { TestClock } from "effect/testing"
import { Interceptor, Pipeline, type RunResult, Snapshot, Stage, StageError, StageOutput } from "stageflow"
import * as Interceptors from "stageflow/interceptors"
import { during } from "./support/lifecycle.ts"

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

/** What a circuit tells: the lines that were logged, and its gauge. */
const listening = () => {
  const lines: Array<string> = []
  const logger = Logger.make(({ fiber, message }) => {
    const { circuit } = Context.get(fiber.context, References.CurrentLogAnnotations)
    lines.push(`${message} ${circuit}`)
  })
  const gauge = (key: string) =>
    Effect.map(
      Metric.snapshot,
      (snapshots) =>
        snapshots.flatMap(({ attributes, id, state }) =>
          id === "stageflow_circuit_state" && attributes?.["circuit"] === key && "value" in state ? [state.value] : []
        )
    )
  const listen = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
    effect.pipe(Effect.provide(Logger.layer([logger])), Effect.provideService(Metric.MetricRegistry, new Map()))
  return { lines, gauge, listen }
}

const provider = JSON.stringify(["named", "provider"])

const forProvider = { failures: 1, openFor: "10 seconds", key: Interceptors.named("provider") } as const

const runOf = (
  run: Effect.Effect<object | void, unknown, Interceptors.CircuitBreakers>,
  settings?: Parameters<typeof pipelineOf>[1]
) =>
  // Its errors are any, and the pipeline needs the breakers anyway.
  Pipeline.run(pipelineOf(run as Effect.Effect<object, Down>, settings), Snapshot.make())

const tagOf = (error: unknown): string => (error as { readonly _tag: string })._tag

const ended = <A, E extends RunResult.StageFailed, R>(run: Effect.Effect<A, E, R>) =>
  Effect.match(run, { onSuccess: () => "Completed", onFailure: ({ error }) => tagOf(error) })

describe("R25 a circuit breaker tells of each transition when it happens", () => {
  it.effect("the first one as well: the log and the gauge show it when the run has ended", () => {
    const { gauge, lines, listen } = listening()
    return listen(Effect.gen(function*() {
      const { call, state } = dependency()
      assert.strictEqual(yield* ended(runOf(call, forProvider)), "Down")
      assert.deepStrictEqual(lines, [`Circuit open ${provider}`])
      assert.deepStrictEqual(yield* gauge(provider), [2])
      yield* TestClock.adjust("10 seconds")
      state.broken = false
      const seen: Array<unknown> = []
      const looking = Effect.tap(call, () => Effect.map(gauge(provider), (values) => seen.push(...values)))
      assert.strictEqual(yield* ended(runOf(looking, forProvider)), "Completed")
      assert.deepStrictEqual(lines.slice(1), [`Circuit half-open ${provider}`, `Circuit closed ${provider}`])
      assert.deepStrictEqual(seen, [1])
      assert.deepStrictEqual(yield* gauge(provider), [0])
    })).pipe(Effect.provide(Interceptors.CircuitBreakers.layerMemory))
  })

  it.effect("a logger that throws changes nothing", () =>
    Effect.gen(function*() {
      const { call, state } = dependency()
      const throwing = Logger.make(() => {
        throw new Error("no log")
      })
      const run = Effect.provide(ended(runOf(call, forProvider)), Logger.layer([throwing]))
      assert.strictEqual(yield* run, "Down")
      assert.strictEqual(yield* run, "CircuitOpen")
      yield* TestClock.adjust("10 seconds")
      state.broken = false
      assert.strictEqual(yield* run, "Completed")
      assert.strictEqual(yield* run, "Completed")
    }).pipe(Effect.provide(Interceptors.CircuitBreakers.layerMemory)))
})

describe("R25 a circuit has one threshold and one time that it stays open", () => {
  const isRefused = (error: unknown, option: RegExp) => {
    assert(error instanceof StageError.StageFault && error.reason._tag === "Defect")
    assert(error.reason.defect instanceof StageError.InvalidOption)
    assert.match(error.reason.defect.option, option)
  }

  it.effect("another breaker with its key and other settings is refused, and its stage does not run", () =>
    Effect.gen(function*() {
      const { call, state } = dependency()
      state.broken = false
      yield* runOf(call, forProvider)
      isRefused(yield* errorOf(runOf(call, { ...forProvider, failures: 2 })), /failures .*provider/)
      isRefused(yield* errorOf(runOf(call, { ...forProvider, openFor: "11 seconds" })), /openFor .*provider/)
      assert.strictEqual(state.calls, 1)
      // The same said otherwise.
      yield* runOf(call, { ...forProvider, openFor: 10_000 })
      assert.strictEqual(state.calls, 2)
    }).pipe(Effect.provide(Interceptors.CircuitBreakers.layerMemory)))

  it.effect("inside of that circuit, too", () =>
    Effect.gen(function*() {
      const { call, state } = dependency()
      const parent = Effect.asVoid(runOf(call, { ...forProvider, failures: 2 }))
      const error = yield* errorOf(runOf(Effect.mapError(parent, ({ error }) => error), forProvider))
      isRefused(error, /failures .*provider/)
      assert.strictEqual(state.calls, 0)
    }).pipe(Effect.provide(Interceptors.CircuitBreakers.layerMemory)))

  it.effect("what a key was used with is forgotten when nobody has used it for an hour", () =>
    Effect.gen(function*() {
      const { call, state } = dependency()
      state.broken = false
      yield* runOf(call, forProvider)
      yield* TestClock.adjust("1 hour")
      assert.strictEqual(yield* ended(runOf(call, { ...forProvider, failures: 2 })), "Completed")
    }).pipe(Effect.provide(Interceptors.CircuitBreakers.layerMemory)))
})

describe("R25 what a circuit counts", () => {
  const breaker = Interceptors.circuitBreaker({ failures: 1 })

  /** How two runs of a pipeline of one stage end. */
  const twice = <E extends RunResult.StageFailed, R>(run: Effect.Effect<unknown, E, R>) =>
    Effect.all([ended(run), ended(run)])

  const rejecting = Pipeline.make("child").add(Stage.guard("guard", { run: Effect.fail(new Down()) }))
  const grandchild = Pipeline.make("middle").add(
    Stage.work("middle", { run: Effect.as(Pipeline.run(rejecting, Snapshot.make()), {}) })
  )
  const inChild: Readonly<Record<string, Effect.Effect<unknown, unknown>>> = {
    "a child run's": Pipeline.run(rejecting, Snapshot.make()),
    "a grandchild's": Pipeline.run(grandchild, Snapshot.make()),
    "a child run's, with a retry around the guard": Pipeline.run(
      rejecting.pipe(Pipeline.intercept(Interceptors.retry({ schedule: Schedule.recurs(1) }))),
      Snapshot.make()
    )
  }
  for (const [name, child] of Object.entries(inChild)) {
    it.effect(`not a guard's rejection, though it is ${name}`, () =>
      Effect.gen(function*() {
        const stage = Stage.work("call", { run: Effect.as(child, {}) })
        const [first, second] = yield* twice(
          Pipeline.run(Pipeline.make("p").add(stage).pipe(Pipeline.intercept(breaker)), Snapshot.make())
        )
        assert.notStrictEqual(first, "Completed")
        assert.strictEqual(second, first)
      }).pipe(Effect.provide(Interceptors.CircuitBreakers.layerMemory)))
  }

  const counted: Readonly<Record<string, Stage.Any>> = {
    "a child's stage that is no guard": Stage.work("call", {
      run: Effect.as(
        Pipeline.run(Pipeline.make("child").add(Stage.work("w", { run: Effect.fail(new Down()) })), Snapshot.make()),
        {}
      )
    }),
    "a child's guard that dies": Stage.work("call", {
      run: Effect.as(
        Pipeline.run(Pipeline.make("child").add(Stage.guard("g", { run: Effect.die("boom") })), Snapshot.make()),
        {}
      )
    }),
    "a guard that dies": Stage.guard("call", { run: Effect.die("boom") }),
    "a guard that takes too long": Stage.guard("call", { run: Effect.never }).pipe(Stage.timeout("1 second")),
    "a stage that interrupts itself": Stage.work("call", { run: Effect.interrupt }),
    "a retry that nobody grants": Stage.work("call", { run: Effect.succeed(StageOutput.retry("later")) }),
    "an invalid output": Stage.work("call", { run: Effect.succeed(42 as unknown as object) })
  }
  for (const [name, stage] of Object.entries(counted)) {
    it.effect(name, () =>
      Effect.gen(function*() {
        const pipeline = yield* Pipeline.fromSpecs("p", [{ stage }])
        // The stages need nothing but the breaker.
        const run = Pipeline.run(pipeline.pipe(Pipeline.intercept(breaker)), Snapshot.make()) as Effect.Effect<
          unknown,
          RunResult.StageFailed,
          Interceptors.CircuitBreakers
        >
        const [, second] = yield* during(twice(run), "1 hour")
        assert.strictEqual(second, "CircuitOpen")
      }).pipe(Effect.provide(Interceptors.CircuitBreakers.layerMemory)))
  }

  it.effect("failures in a row: a success in between starts anew", () =>
    Effect.gen(function*() {
      const { call, state } = dependency()
      const run = ended(runOf(call, { failures: 2 }))
      const seen: Array<string> = []
      for (const broken of [true, false, true, false, true, true, true]) {
        state.broken = broken
        seen.push(yield* run)
      }
      assert.deepStrictEqual(seen, ["Down", "Completed", "Down", "Completed", "Down", "Down", "CircuitOpen"])
    }).pipe(Effect.provide(Interceptors.CircuitBreakers.layerMemory)))

  it.effect("a hundred at once as what they are, and nothing of those that were under way when it opened", () =>
    Effect.gen(function*() {
      const { call, state } = dependency()
      const gate = yield* Deferred.make<void>()
      const slow = ended(runOf(Effect.andThen(Deferred.await(gate), call), { failures: 5, openFor: "10 seconds" }))
      const all = yield* Effect.forkChild(Effect.all(Array.from({ length: 100 }, () => slow), { concurrency: 100 }), {
        startImmediately: true
      })
      yield* Deferred.succeed(gate, undefined)
      assert.deepStrictEqual(new Set(yield* Fiber.join(all)), new Set(["Down"]))
      assert.strictEqual(state.calls, 100)
      const breakers = yield* Interceptors.CircuitBreakers
      const key = JSON.stringify(["stage", null, "p", "call"])
      assert.strictEqual(yield* breakers.state(key), "open")
      // Those that came late kept it open no longer.
      yield* TestClock.adjust("10 seconds")
      state.broken = false
      assert.strictEqual(yield* slow, "Completed")
      assert.strictEqual(yield* breakers.state(key), "closed")
    }).pipe(Effect.provide(Interceptors.CircuitBreakers.layerMemory)))

  it.effect("what a Layer's breaker is asked about is the error itself", () =>
    Effect.gen(function*() {
      const asked: Array<unknown> = []
      const layer = Interceptor.layer(Interceptors.circuitBreaker({
        failures: 1,
        counts: (error) => {
          asked.push(error)
          return false
        }
      }))
      const down = new Down()
      const run = Pipeline.run(Pipeline.make("p").add(Stage.work("call", { run: Effect.fail(down) })), Snapshot.make())
      const tags = yield* Effect.provide(twice(run), Layer.provide(layer, Interceptors.CircuitBreakers.layerMemory))
      assert.deepStrictEqual(tags, ["Down", "Down"])
      assert.deepStrictEqual(asked, [down, down])
    }))

  const boom = new Error("boom")
  const undecided: Readonly<Record<string, (error: unknown) => boolean>> = {
    throws: () => {
      throw boom
    },
    "gives a Promise": (() => Promise.reject(boom)) as unknown as () => boolean,
    "gives a text": (() => "yes") as unknown as () => boolean
  }
  for (const [name, counts] of Object.entries(undecided)) {
    it.effect(`nothing where \`counts\` ${name}: the stage keeps its error, and the probe its place`, () =>
      Effect.gen(function*() {
        const { call, state } = dependency()
        const opening = runOf(call, forProvider)
        yield* Effect.exit(opening)
        yield* TestClock.adjust("10 seconds")
        for (let probe = 0; probe < 3; probe++) {
          const error = yield* Effect.flip(runOf(call, { ...forProvider, counts }))
          assert.strictEqual(tagOf(error.error), "Down")
          assert.strictEqual(error.cause.reasons.filter(Cause.isDieReason).length, 1)
        }
        assert.strictEqual(state.calls, 4)
      }).pipe(Effect.provide(Interceptors.CircuitBreakers.layerMemory)))
  }
})

describe("R25 a probe", () => {
  /** A circuit that has been open for long enough, and what its probe runs. */
  const halfOpen = Effect.gen(function*() {
    yield* ended(runOf(Effect.fail(new Down()), forProvider))
    yield* TestClock.adjust("10 seconds")
  })

  it.effect("is one, however many ask at once", () =>
    Effect.gen(function*() {
      yield* halfOpen
      let calls = 0
      const slow = Effect.andThen(Effect.sync(() => calls++), Effect.sleep("1 second"))
      const runs = Effect.all(Array.from({ length: 100 }, () => ended(runOf(slow, forProvider))), { concurrency: 100 })
      const tags = yield* during(runs, "1 second")
      assert.strictEqual(calls, 1)
      assert.strictEqual(tags.filter((tag) => tag === "Completed").length, 1)
      assert.strictEqual(tags.filter((tag) => tag === "CircuitOpen").length, 99)
    }).pipe(Effect.provide(Interceptors.CircuitBreakers.layerMemory)))

  const saysNothing: Readonly<Record<string, Effect.Effect<unknown, unknown>>> = {
    skips: Effect.succeed(StageOutput.skip("nothing to do")),
    cancels: Effect.succeed(StageOutput.cancel("enough")),
    "ends in a child's guard": Pipeline.run(
      Pipeline.make("child").add(Stage.guard("guard", { run: Effect.fail(new Down()) })),
      Snapshot.make()
    )
  }
  for (const [name, run] of Object.entries(saysNothing)) {
    it.effect(`that ${name} says nothing: the next one is the probe`, () =>
      Effect.gen(function*() {
        const breakers = yield* Interceptors.CircuitBreakers
        yield* halfOpen
        yield* Effect.exit(runOf(run as Effect.Effect<object>, forProvider))
        assert.strictEqual(yield* breakers.state(provider), "half-open")
        assert.strictEqual(yield* ended(runOf(Effect.void, forProvider)), "Completed")
        assert.strictEqual(yield* breakers.state(provider), "closed")
      }).pipe(Effect.provide(Interceptors.CircuitBreakers.layerMemory)))
  }

  it.effect("that is interrupted at any step gives its place back", () =>
    Effect.gen(function*() {
      const breakers = yield* Interceptors.CircuitBreakers
      yield* halfOpen
      for (let steps = 0; steps < 40; steps++) {
        const probe = yield* Effect.forkChild(
          Effect.provideService(runOf(Effect.never, forProvider), Scheduler.MaxOpsBeforeYield, 3)
        )
        for (let step = 0; step < steps; step++) yield* Effect.yieldNow
        yield* Fiber.interrupt(probe)
        const next = yield* Effect.forkChild(runOf(Effect.never, forProvider), { startImmediately: true })
        assert.strictEqual(yield* breakers.state(provider), "half-open")
        assert.isUndefined(next.pollUnsafe(), `after ${steps} steps`)
        yield* Fiber.interrupt(next)
      }
    }).pipe(Effect.provide(Interceptors.CircuitBreakers.layerMemory)))
})

describe("R25 a run inside of a circuit", () => {
  it.effect("is let through only while the stage runs that is in it", () =>
    Effect.gen(function*() {
      const { call, state } = dependency()
      const gate = yield* Deferred.make<void>()
      const later = yield* Deferred.make<string>()
      const background = Effect.andThen(
        Deferred.await(gate),
        Effect.flatMap(ended(runOf(call, forProvider)), (tag) => Deferred.succeed(later, tag))
      )
      const starter = runOf(Effect.asVoid(Effect.forkDetach(background)), forProvider)
      assert.strictEqual(yield* ended(starter), "Completed")
      assert.strictEqual(yield* ended(runOf(call, forProvider)), "Down")
      yield* Deferred.succeed(gate, undefined)
      assert.strictEqual(yield* Deferred.await(later), "CircuitOpen")
      assert.strictEqual(state.calls, 1)
    }).pipe(Effect.provide(Interceptors.CircuitBreakers.layerMemory)))

  it.effect("that another Layer's circuits are for is let through by those", () =>
    Effect.gen(function*() {
      const inner = Effect.provide(
        ended(runOf(Effect.fail(new Down()), forProvider)),
        Layer.fresh(Interceptors.CircuitBreakers.layerMemory)
      )
      const tags: Array<string> = []
      yield* runOf(Effect.map(inner, (tag) => void tags.push(tag)), forProvider)
      assert.deepStrictEqual(tags, ["Down"])
    }).pipe(Effect.provide(Interceptors.CircuitBreakers.layerMemory)))
})

describe("R25 a circuit goes by a clock that nobody sets", () => {
  it.effect("the clock on the wall is set back: the probe is let through all the same", () =>
    Effect.gen(function*() {
      const clock = yield* Clock.Clock
      let setBack = 0
      const wall = {
        ...clock,
        currentTimeMillisUnsafe: () => clock.currentTimeMillisUnsafe() - setBack,
        currentTimeMillis: Effect.sync(() => clock.currentTimeMillisUnsafe() - setBack),
        monotonicTimeNanosUnsafe: () => clock.monotonicTimeNanosUnsafe(),
        sleep: (duration: Duration.Duration) => clock.sleep(duration)
      }
      const { call, state } = dependency()
      const run = ended(
        Effect.provideService(runOf(call, { failures: 1, openFor: "30 seconds" }), Clock.Clock, wall as Clock.Clock)
      )
      assert.strictEqual(yield* run, "Down")
      assert.strictEqual(yield* run, "CircuitOpen")
      setBack = 3_600_000
      yield* TestClock.adjust("30 seconds")
      state.broken = false
      assert.strictEqual(yield* run, "Completed")
    }).pipe(Effect.provide(Interceptors.CircuitBreakers.layerMemory)))

  it.effect("a circuit that is open for longer than an hour is not forgotten before", () =>
    Effect.gen(function*() {
      const { call } = dependency()
      const run = ended(runOf(call, { failures: 1, openFor: "3 hours" }))
      assert.strictEqual(yield* run, "Down")
      yield* TestClock.adjust("2 hours")
      assert.strictEqual(yield* run, "CircuitOpen")
    }).pipe(Effect.provide(Interceptors.CircuitBreakers.layerMemory)))

  it.effect("a stage that takes longer than a circuit is remembered still counts", () =>
    Effect.gen(function*() {
      const settings = { failures: 2, openFor: "1 hour" } as const
      const slow = ended(runOf(Effect.andThen(Effect.sleep("2 minutes"), Effect.fail(new Down())), settings))
      const ends = yield* during(
        Effect.all([slow, Effect.andThen(Effect.sleep("90 seconds"), slow)], { concurrency: 2 }),
        "10 minutes"
      )
      assert.deepStrictEqual(ends, ["Down", "Down"])
      assert.strictEqual(yield* ended(runOf(Effect.succeed({}), settings)), "CircuitOpen")
    }).pipe(Effect.provide(Interceptors.CircuitBreakers.layerMemory)))
})
