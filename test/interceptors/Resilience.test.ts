import { assert, describe, it } from "@effect/vitest"
import { Clock, Context, Duration, Effect, Exit, Fiber, Layer, Option, Schedule, Schema } from "effect"
import { TestClock } from "effect/testing"
import { Pipeline, Snapshot, Stage, StageError, StageOutput } from "stageflow"
import * as Interceptors from "stageflow/interceptors"

class Down extends Schema.TaggedError<Down>()("Down", {}) {}
class Busy extends Schema.TaggedError<Busy>()("Busy", { retryAfter: Schema.Duration }) {}

const failing = (times: number) => {
  const state = { calls: 0 }
  const stage = Stage.work("call", {
    run: Effect.suspend(() => ++state.calls <= times ? Effect.fail(new Down()) : Effect.succeed({ calls: state.calls }))
  })
  return { stage, state }
}

const forked = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.forkChild(Effect.exit(effect), { startImmediately: true })

describe("timeout and deadline", () => {
  it.effect("a pipeline's timeout is per stage and per attempt", () =>
    Effect.gen(function*() {
      const slow = Stage.work("slow", { run: Effect.never })
      const pipeline = Pipeline.make("p").add(slow).pipe(
        Pipeline.intercept(Interceptors.timeout("1 second"), Interceptors.retry(Schedule.recurs(2)))
      )
      const run = yield* Effect.forkChild(Effect.flip(Pipeline.run(pipeline, Snapshot.make())), {
        startImmediately: true
      })
      yield* TestClock.adjust("2999 millis")
      assert.isUndefined(run.pollUnsafe())
      yield* TestClock.adjust("1 millis")
      const error = yield* Fiber.join(run)
      assert(error.error instanceof StageError.StageTimeout)
      assert.strictEqual(error.attempts, 3)
    }))

  it.effect("a deadline ends the whole run, with everything in flight interrupted", () =>
    Effect.gen(function*() {
      let released = 0
      const slow = (name: string) =>
        Stage.work(name, { run: Effect.ensuring(Effect.never, Effect.sync(() => released++)) })
      const pipeline = Pipeline.make("p").add(slow("a")).add(slow("b")).pipe(
        Pipeline.intercept(Interceptors.deadline("5 seconds"))
      )
      const run = yield* Effect.forkChild(Effect.flip(Pipeline.run(pipeline, Snapshot.make())), {
        startImmediately: true
      })
      yield* TestClock.adjust("5 seconds")
      const error = yield* Fiber.join(run)
      assert(error instanceof Interceptors.DeadlineExceeded)
      assert.strictEqual(released, 2)
    }))

  it("what is no duration is rejected where it is given", () => {
    for (const wrong of [0, -1, Number.NaN, "100" as Duration.Input]) {
      assert.throws(() => Interceptors.timeout(wrong), /timeout/)
      assert.throws(() => Interceptors.deadline(wrong), /deadline/)
    }
  })
})

describe("retry policies", () => {
  const delays = (schedule: Schedule.Schedule<Duration.Duration>, count: number) =>
    Effect.gen(function*() {
      const step = yield* Schedule.toStep(schedule)
      const found: Array<number> = []
      for (let round = 0; round < count; round++) {
        const next = yield* Effect.option(step(0, undefined))
        if (Option.isNone(next)) break
        found.push(Duration.toMillis(next.value[1]))
      }
      return found
    })

  it.effect("grow as they say, up to the cap, and make as many attempts as they say", () =>
    Effect.gen(function*() {
      const settings = { attempts: 6, base: "1 second", cap: "5 seconds", jitter: "none" } as const
      assert.deepStrictEqual(yield* delays(Interceptors.exponential(settings), 9), [1000, 2000, 4000, 5000, 5000])
      assert.deepStrictEqual(yield* delays(Interceptors.linear(settings), 9), [1000, 2000, 3000, 4000, 5000])
      assert.deepStrictEqual(yield* delays(Interceptors.constant(settings), 9), [1000, 1000, 1000, 1000, 1000])
      assert.strictEqual((yield* delays(Interceptors.exponential(), 9)).length, 2)
    }))

  it.effect("jitter stays within its bounds and varies", () =>
    Effect.gen(function*() {
      const bounds = {
        full: [0, 4000],
        equal: [2000, 4000],
        decorrelated: [4000, 30_000]
      } as const
      for (const jitter of ["full", "equal", "decorrelated"] as const) {
        const found = yield* delays(Interceptors.constant({ attempts: 200, base: "4 seconds", jitter }), 199)
        const [least, most] = bounds[jitter]
        for (const delay of found) assert(delay >= least && delay <= most, `${jitter}: ${delay}`)
        assert.isAbove(new Set(found).size, 50)
      }
    }))

  it.effect("an error's retryAfter is waited for, up to the cap", () =>
    Effect.gen(function*() {
      for (const [asked, waited] of [["10 seconds", 10_000], ["10 minutes", 20_000]] as const) {
        let calls = 0
        const busy = Stage.work("busy", {
          run: Effect.suspend(() =>
            ++calls === 1 ? Effect.fail(new Busy({ retryAfter: Duration.fromInputUnsafe(asked) })) : Effect.void
          )
        })
        const pipeline = Pipeline.make("p").add(busy).pipe(
          Pipeline.intercept(Interceptors.retry({ attempts: 2, cap: "20 seconds" }))
        )
        const run = yield* forked(Pipeline.run(pipeline, Snapshot.make()))
        yield* TestClock.adjust(waited - 1)
        assert.strictEqual(calls, 1)
        yield* TestClock.adjust(1)
        assert(Exit.isSuccess(yield* Fiber.join(run)))
        assert.strictEqual(calls, 2)
      }
    }))

  it.effect("100 runs against a dead dependency share one budget", () =>
    Effect.gen(function*() {
      const { stage, state } = failing(Number.POSITIVE_INFINITY)
      const pipeline = Pipeline.make("p").add(stage).pipe(
        Pipeline.intercept(Interceptors.retryWithinBudget(Schedule.recurs(2)))
      )
      yield* Effect.forEach(Array.from({ length: 100 }), () => Effect.exit(Pipeline.run(pipeline, Snapshot.make())), {
        concurrency: "unbounded"
      })
      // 100 first attempts, the 5 retries that are always there, and a tenth of the first attempts.
      assert.isAtMost(state.calls, 100 + 5 + 10)
      assert.isAtLeast(state.calls, 100 + 5)
      yield* TestClock.adjust("1 minute")
      const before = state.calls
      yield* Effect.exit(Pipeline.run(pipeline, Snapshot.make()))
      assert.strictEqual(state.calls - before, 3)
    }).pipe(Effect.provide(Interceptors.RetryBudget.layerMemory({ ratio: 0.1, minimum: 5 }))))

  it.effect("a budget has a key: what one spends is not taken from another", () =>
    Effect.gen(function*() {
      const { stage, state } = failing(Number.POSITIVE_INFINITY)
      const policy = Schedule.recurs(1)
      const pipelineOf = (key?: Interceptors.Key) =>
        Pipeline.make("p").add(stage).pipe(Pipeline.intercept(Interceptors.retryWithinBudget(policy, { key })))
      const callsOf = Effect.fnUntraced(function*(orgId: string, key?: Interceptors.Key) {
        const before = state.calls
        yield* Effect.exit(Pipeline.run(pipelineOf(key), Snapshot.make({ orgId })))
        return state.calls - before
      })
      const asked = ["a", "a", "a", "b", "b", "b"]
      assert.deepStrictEqual(yield* Effect.forEach(asked, (orgId) => callsOf(orgId)), [2, 2, 1, 1, 1, 1])
      const perTenant = yield* Effect.forEach(asked, (orgId) => callsOf(orgId, Interceptors.perTenant))
      assert.deepStrictEqual(perTenant, [2, 2, 1, 2, 2, 1])
      const named = yield* Effect.forEach(asked, (orgId) => callsOf(orgId, Interceptors.named("search")))
      assert.deepStrictEqual(named, [2, 2, 1, 1, 1, 1])
    }).pipe(Effect.provide(Interceptors.RetryBudget.layerMemory({ ratio: 0, minimum: 2 }))))

  it.effect("a budget's key that cannot be computed denies the stage", () =>
    Effect.gen(function*() {
      const { stage, state } = failing(0)
      const key = () => {
        throw new Error("no key")
      }
      const pipeline = Pipeline.make("p").add(stage).pipe(
        Pipeline.intercept(Interceptors.retryWithinBudget(undefined, { key }))
      )
      const { error } = yield* Effect.flip(Pipeline.run(pipeline, Snapshot.make()))
      assert(error instanceof Interceptors.KeyFailed)
      assert.strictEqual(error.interceptor, "retry")
      assert.strictEqual(state.calls, 0)
    }).pipe(Effect.provide(Interceptors.RetryBudget.layerMemory())))

  it.effect("a budget counts what happened in its window, however the clock on the wall is set", () =>
    Effect.gen(function*() {
      const { stage, state } = failing(Number.POSITIVE_INFINITY)
      const pipeline = Pipeline.make("p").add(stage).pipe(
        Pipeline.intercept(Interceptors.retryWithinBudget(Schedule.recurs(1)))
      )
      const calls = Effect.fnUntraced(function*() {
        const before = state.calls
        yield* Effect.exit(Pipeline.run(pipeline, Snapshot.make()))
        return state.calls - before
      })
      yield* TestClock.setTime(1_000_000_000)
      assert.deepStrictEqual([yield* calls(), yield* calls()], [2, 1])
      yield* TestClock.setTime(1000)
      yield* TestClock.adjust("5 seconds")
      assert.strictEqual(yield* calls(), 1, "the retry of 5 seconds ago counts")
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual(yield* calls(), 2)
    }).pipe(Effect.provide(Interceptors.RetryBudget.layerMemory({ ratio: 0, minimum: 1, window: "10 seconds" }))))

  describe("in a run with a deadline", () => {
    const policy = { schedule: Schedule.spaced("10 seconds"), attempts: 10 }
    const times = Effect.fnUntraced(function*<E, R>(run: Effect.Effect<unknown, E, R>) {
      const started = yield* Clock.monotonicTimeNanos
      const fiber = yield* Effect.forkChild(Effect.flip(run), { startImmediately: true })
      const ended = yield* Effect.forkChild(Effect.andThen(Fiber.await(fiber), Clock.monotonicTimeNanos))
      yield* TestClock.adjust("1 hour")
      const error = yield* Fiber.join(fiber)
      return { error, took: Number((yield* Fiber.join(ended)) - started) / 1e9 }
    })

    it.effect("a wait that would outlast it is not begun: the failure is final now", () =>
      Effect.gen(function*() {
        const { stage, state } = failing(Number.POSITIVE_INFINITY)
        const pipeline = Pipeline.make("p").add(stage).pipe(
          Pipeline.intercept(Interceptors.deadline("25 seconds"), Interceptors.retry(policy))
        )
        const { error, took } = yield* times(Pipeline.run(pipeline, Snapshot.make()))
        assert(error._tag === "StageFailed" && error.error instanceof Down)
        assert.deepStrictEqual([state.calls, took], [3, 20])
      }))

    it.effect("a wait that ends with it comes too late", () =>
      Effect.gen(function*() {
        const { stage, state } = failing(Number.POSITIVE_INFINITY)
        const pipeline = Pipeline.make("p").add(stage.pipe(Stage.retry(policy))).pipe(
          Pipeline.intercept(Interceptors.deadline("20 seconds"))
        )
        const { error, took } = yield* times(Pipeline.run(pipeline, Snapshot.make()))
        assert(error._tag === "StageFailed" && error.error instanceof Down)
        assert.deepStrictEqual([state.calls, took], [2, 10])
      }))

    it.effect("what the stage or its error asks for is not begun either, and takes nothing from a budget", () =>
      Effect.gen(function*() {
        const asking = Stage.work("asking", { run: StageOutput.retry("busy", { after: "20 seconds" }) })
        const busy = Stage.work("busy", { run: Effect.fail(new Busy({ retryAfter: Duration.seconds(20) })) })
        const retry = Interceptors.retryWithinBudget({ attempts: 2 })
        const requested = yield* times(Pipeline.run(
          Pipeline.make("p").add(asking).pipe(Pipeline.intercept(Interceptors.deadline("10 seconds"), retry)),
          Snapshot.make()
        ))
        assert(requested.error._tag === "StageFailed" && requested.error.error instanceof StageError.RetryExhausted)
        assert.strictEqual(requested.took, 0)
        const failed = yield* times(Pipeline.run(
          Pipeline.make("p").add(busy).pipe(Pipeline.intercept(Interceptors.deadline("10 seconds"), retry)),
          Snapshot.make()
        ))
        assert(failed.error._tag === "StageFailed" && failed.error.error instanceof Busy)
        assert.strictEqual(failed.took, 0)
        const { stage, state } = failing(Number.POSITIVE_INFINITY)
        yield* times(Pipeline.run(Pipeline.make("p").add(stage).pipe(Pipeline.intercept(retry)), Snapshot.make()))
        assert.strictEqual(state.calls, 2)
      }).pipe(Effect.provide(Interceptors.RetryBudget.layerMemory({ ratio: 0, minimum: 1 }))))

    it.effect("the deadline of the run that started this one counts as well, the earlier one first", () =>
      Effect.gen(function*() {
        for (const [outer, inner] of [["25 seconds", "1 hour"], ["1 hour", "25 seconds"]] as const) {
          const { stage, state } = failing(Number.POSITIVE_INFINITY)
          const child = Pipeline.make("child").add(stage.pipe(Stage.retry(policy))).pipe(
            Pipeline.intercept(Interceptors.deadline(inner))
          )
          const parent = Stage.work("parent", { run: Pipeline.run(child, Snapshot.make()) })
          const { took } = yield* times(Pipeline.run(
            Pipeline.make("p").add(parent).pipe(Pipeline.intercept(Interceptors.deadline(outer))),
            Snapshot.make()
          ))
          assert.deepStrictEqual([state.calls, took], [3, 20])
        }
      }))

    it.effect("a run that goes on by itself when its parent is over has no deadline left", () =>
      Effect.gen(function*() {
        const { stage, state } = failing(Number.POSITIVE_INFINITY)
        const alone = Pipeline.run(Pipeline.make("alone").add(stage.pipe(Stage.retry(policy))), Snapshot.make())
        const parent = Stage.work("parent", { run: Effect.asVoid(Effect.forkDetach(alone)) })
        yield* Pipeline.run(
          Pipeline.make("p").add(parent).pipe(Pipeline.intercept(Interceptors.deadline("15 seconds"))),
          Snapshot.make()
        )
        yield* TestClock.adjust("1 hour")
        assert.strictEqual(state.calls, 10)
      }))

    it.effect("a clock on the wall that is set has no say in it", () =>
      Effect.gen(function*() {
        for (const time of [1_000_000_000, 0]) {
          yield* TestClock.setTime(500_000_000)
          const { stage, state } = failing(Number.POSITIVE_INFINITY)
          const pipeline = Pipeline.make("p").add(stage).pipe(
            Pipeline.intercept(
              Interceptors.deadline("25 seconds"),
              Interceptors.retry({ schedule: Schedule.recurs(2) })
            )
          )
          const slow = Stage.work("slow", { run: Effect.sleep("5 seconds") })
          const run = yield* forked(Pipeline.run(
            pipeline.extend(Pipeline.make("q").add(slow)),
            Snapshot.make()
          ))
          yield* TestClock.setTime(time)
          yield* TestClock.adjust("1 minute")
          yield* Fiber.join(run)
          assert.strictEqual(state.calls, 3)
        }
      }))
  })

  it("checks its options where they are given", () => {
    assert.throws(() => Interceptors.exponential({ attempts: 0 }), /attempts/)
    assert.throws(() => Interceptors.exponential({ base: Number.NaN }), /base/)
    assert.throws(() => Interceptors.RetryBudget.layerMemory({ ratio: 2 }), /ratio/)
    assert.throws(() => Interceptors.retry({ attempts: 0 }), /attempts/)
  })
})

describe("bulkhead", () => {
  const gated = () => {
    const state = { running: 0, most: 0, done: [] as Array<string> }
    const stage = Stage.work("work", {
      run: Effect.gen(function*() {
        const { orgId } = yield* Snapshot.current
        state.running++
        state.most = Math.max(state.most, state.running)
        yield* Effect.sleep("1 second")
        state.running--
        state.done.push(orgId ?? "")
      }).pipe(Effect.onInterrupt(() => Effect.sync(() => state.running--)))
    })
    return { stage, state }
  }

  it.effect("lets at most so many in, queues so many, and rejects the rest", () =>
    Effect.gen(function*() {
      const { stage, state } = gated()
      const pipeline = Pipeline.make("p").add(stage).pipe(
        Pipeline.intercept(Interceptors.bulkhead({ name: "db", permits: 2, queue: 3 }))
      )
      const runs = yield* Effect.forEach(Array.from({ length: 10 }), () =>
        forked(Pipeline.run(pipeline, Snapshot.make())))
      yield* TestClock.adjust("3 seconds")
      const exits = yield* Effect.forEach(runs, Fiber.join)
      assert.strictEqual(state.most, 2)
      assert.strictEqual(exits.filter(Exit.isSuccess).length, 5)
      const failed = exits.find(Exit.isFailure)
      assert(failed !== undefined)
      const rejected = yield* Effect.flip(failed)
      assert(rejected.error instanceof Interceptors.BulkheadFull)
      assert.strictEqual(rejected.error.code, "BULKHEAD_FULL")
    }).pipe(Effect.provide(Interceptors.Bulkheads.layerMemory)))

  it.effect("tenants take turns: one with many waiters does not starve another", () =>
    Effect.gen(function*() {
      const { stage, state } = gated()
      const pipeline = Pipeline.make("p").add(stage).pipe(
        Pipeline.intercept(Interceptors.bulkhead({ name: "db", permits: 1, queue: 100 }))
      )
      const start = (orgId: string) => forked(Pipeline.run(pipeline, Snapshot.make({ orgId })))
      for (let count = 0; count < 10; count++) yield* start("many")
      const few = yield* start("few")
      yield* TestClock.adjust("3 seconds")
      assert.isDefined(few.pollUnsafe())
      assert.include(state.done.slice(0, 3), "few")
    }).pipe(Effect.provide(Interceptors.Bulkheads.layerMemory)))

  it.effect("an interrupted waiter gives its place back", () =>
    Effect.gen(function*() {
      const { stage } = gated()
      const pipeline = Pipeline.make("p").add(stage).pipe(
        Pipeline.intercept(Interceptors.bulkhead({ name: "db", permits: 1, queue: 1 }))
      )
      const first = yield* forked(Pipeline.run(pipeline, Snapshot.make()))
      const waiting = yield* forked(Pipeline.run(pipeline, Snapshot.make()))
      yield* Fiber.interrupt(waiting)
      const next = yield* forked(Pipeline.run(pipeline, Snapshot.make()))
      yield* TestClock.adjust("2 seconds")
      assert(Exit.isSuccess(yield* Fiber.join(first)))
      assert(Exit.isSuccess(yield* Fiber.join(next)))
    }).pipe(Effect.provide(Interceptors.Bulkheads.layerMemory)))
})

describe("hedge", () => {
  const attempts = (delays: ReadonlyArray<Duration.Input>, ends?: ReadonlyArray<Effect.Effect<object, Down>>) => {
    const state = { started: 0, interrupted: 0, released: 0 }
    const stage = Stage.work("read", {
      run: Effect.gen(function*() {
        const attempt = state.started++
        yield* Effect.sleep(delays[attempt] ?? 0).pipe(
          Effect.onInterrupt(() => Effect.sync(() => state.interrupted++)),
          Effect.ensuring(Effect.sync(() => state.released++))
        )
        return yield* ends?.[attempt] ?? Effect.succeed({ attempt })
      })
    })
    const pipeline = Pipeline.make("p").add(stage).pipe(Pipeline.intercept(Interceptors.hedge({ after: "1 second" })))
    return { state, run: Pipeline.run(pipeline, Snapshot.make()) }
  }

  it.effect("a quick first attempt stays alone", () =>
    Effect.gen(function*() {
      const { run, state } = attempts(["500 millis"])
      const fiber = yield* Effect.forkChild(run, { startImmediately: true })
      yield* TestClock.adjust("10 seconds")
      assert.deepStrictEqual((yield* Fiber.join(fiber)).outputs.read.data, { attempt: 0 })
      assert.strictEqual(state.started, 1)
    }))

  it.effect("the first to succeed wins, and the loser has been interrupted before the stage ends", () =>
    Effect.gen(function*() {
      const { run, state } = attempts(["1 hour", "1 second"])
      const fiber = yield* Effect.forkChild(run, { startImmediately: true })
      yield* TestClock.adjust("2 seconds")
      assert.deepStrictEqual((yield* Fiber.join(fiber)).outputs.read.data, { attempt: 1 })
      assert.deepStrictEqual(state, { started: 2, interrupted: 1, released: 2 })
    }))

  it.effect("an attempt that fails leaves it to the other; when both fail it is the first one's error", () =>
    Effect.gen(function*() {
      const saved = attempts(["2 seconds", "5 seconds"], [Effect.fail(new Down()), Effect.succeed({ saved: true })])
      const first = yield* Effect.forkChild(saved.run, { startImmediately: true })
      yield* TestClock.adjust("10 seconds")
      assert.deepStrictEqual((yield* Fiber.join(first)).outputs.read.data, { saved: true })
      const lost = attempts(["2 seconds", "2 seconds"], [Effect.fail(new Down()), Effect.fail(new Down())])
      const second = yield* Effect.forkChild(Effect.flip(lost.run), { startImmediately: true })
      yield* TestClock.adjust("10 seconds")
      assert((yield* Fiber.join(second)).error instanceof Down)
    }))

  it.effect("interrupting the run interrupts both", () =>
    Effect.gen(function*() {
      const { run, state } = attempts(["1 hour", "1 hour"])
      const fiber = yield* Effect.forkChild(run, { startImmediately: true })
      yield* TestClock.adjust("2 seconds")
      yield* Fiber.interrupt(fiber)
      assert.deepStrictEqual(state, { started: 2, interrupted: 2, released: 2 })
    }))
})

describe("fallback", () => {
  it.effect("another way on chosen errors, and the result says so", () =>
    Effect.gen(function*() {
      const { stage } = failing(Number.POSITIVE_INFINITY)
      const saved = stage.pipe(Interceptors.fallbackTo(() => Effect.succeed({ calls: 0 })))
      const result = yield* Pipeline.run(Pipeline.make("p").add(saved), Snapshot.make())
      assert.deepStrictEqual(result.outputs.call.data, { calls: 0 })
      assert.isTrue(Interceptors.usedFallback(result.outputs.call))
      assert.deepStrictEqual(result.outputs.call.events[0], {
        type: "fallback.used",
        data: { error: { tag: "Down", message: "" } }
      })
      const passing = stage.pipe(Interceptors.fallbackTo(() => Effect.succeed({ calls: 0 }), { when: () => false }))
      const error = yield* Effect.flip(Pipeline.run(Pipeline.make("p").add(passing), Snapshot.make()))
      assert(error.error instanceof Down)
    }))

  it.effect("defects are not covered up", () =>
    Effect.gen(function*() {
      const dying = Stage.work("dying", { run: Effect.die("boom") as Effect.Effect<object, Down> })
      const saved = dying.pipe(Interceptors.fallbackTo(() => Effect.succeed({})))
      const error = yield* Effect.flip(Pipeline.run(Pipeline.make("p").add(saved), Snapshot.make()))
      assert(error.error instanceof StageError.StageFault)
    }))

  it.effect("around a pipeline, it serves every stage", () =>
    Effect.gen(function*() {
      const { stage } = failing(Number.POSITIVE_INFINITY)
      const pipeline = Pipeline.make("p").add(stage).pipe(Pipeline.intercept(
        Interceptors.fallback({ when: (error) => error instanceof Down, to: () => Effect.succeed({ calls: -1 }) })
      ))
      const result = yield* Pipeline.run(pipeline, Snapshot.make())
      assert.deepStrictEqual(result.outputs.call.data, { calls: -1 })
    }))

  class Model extends Context.Service<Model, { readonly name: string; readonly ask: Effect.Effect<string, Down> }>()(
    "test/Model"
  ) {}
  const model = (name: string, ask: Effect.Effect<string, Down>) => Layer.succeed(Model, { name, ask })
  const asking = Stage.transform("ask", {
    run: Effect.gen(function*() {
      const { ask } = yield* Model
      return { text: yield* ask }
    })
  })

  it.effect("across providers: the ports come from the next layer when one fails", () =>
    Effect.gen(function*() {
      let asked = 0
      const pipeline = Pipeline.make("p").add(asking).pipe(Pipeline.intercept(Interceptors.providers(
        {
          provide: model(
            "first",
            Effect.suspend(() => {
              asked++
              return Effect.fail(new Down())
            })
          ),
          attempts: 2
        },
        { provide: model("second", Effect.succeed("from the second")) }
      )))
      const result = yield* Pipeline.run(pipeline, Snapshot.make())
      assert.strictEqual(result.outputs.ask.data.text, "from the second")
      assert.strictEqual(asked, 2)
      assert.isTrue(Interceptors.usedFallback(result.outputs.ask))
    }))

  it.effect("a first provider that answers is no fallback", () =>
    Effect.gen(function*() {
      const pipeline = Pipeline.make("p").add(asking).pipe(Pipeline.intercept(Interceptors.providers(
        { provide: model("first", Effect.succeed("hello")) },
        { provide: model("second", Effect.die("never asked")) }
      )))
      const result = yield* Pipeline.run(pipeline, Snapshot.make())
      assert.isFalse(Interceptors.usedFallback(result.outputs.ask))
    }))
})

describe("cache", () => {
  const looking = () => {
    const state = { calls: 0 }
    const stage = Stage.enrich("look", {
      run: Effect.gen(function*() {
        const { inputText } = yield* Snapshot.current
        const calls = ++state.calls
        yield* Effect.sleep("1 second")
        if (inputText === "broken") return yield* new Down()
        if (inputText === "nothing") return yield* StageOutput.skip("nothing")
        return { calls }
      })
    })
    const byText = Interceptors.cache({ ttl: "1 minute", of: ({ snapshot }) => snapshot.inputText ?? "" })
    const pipeline = Pipeline.make("p").add(stage).pipe(Pipeline.intercept(byText))
    const ask = (inputText: string, orgId = "a") => Pipeline.run(pipeline, Snapshot.make({ inputText, orgId }))
    return { state, ask }
  }

  const within = <A, E, R>(effect: Effect.Effect<A, E, R>, duration: Duration.Input) =>
    Effect.gen(function*() {
      const fiber = yield* Effect.forkChild(effect, { startImmediately: true })
      yield* TestClock.adjust(duration)
      return yield* Fiber.join(fiber)
    })

  it.effect("keeps data for its time, per subject and tenant", () =>
    Effect.gen(function*() {
      const { ask, state } = looking()
      const first = yield* within(ask("x"), "1 second")
      assert(first.outputs.look._tag === "Ok" && first.outputs.look.events.length === 0)
      const second = yield* ask("x")
      assert(second.outputs.look._tag === "Ok")
      assert.deepStrictEqual(second.outputs.look.data, { calls: 1 })
      assert.strictEqual(second.outputs.look.events[0]?.type, "cache.hit")
      yield* within(ask("y"), "1 second")
      yield* within(ask("x", "b"), "1 second")
      assert.strictEqual(state.calls, 3)
      yield* TestClock.adjust("1 minute")
      yield* within(ask("x"), "1 second")
      assert.strictEqual(state.calls, 4)
    }).pipe(Effect.provide(Interceptors.Results.layerMemory())))

  it.effect("one flight for all who ask at the same time; failures and skips are not kept", () =>
    Effect.gen(function*() {
      const { ask, state } = looking()
      yield* within(Effect.all(Array.from({ length: 50 }, () => ask("x")), { concurrency: "unbounded" }), "1 second")
      assert.strictEqual(state.calls, 1)
      for (const text of ["broken", "nothing"]) {
        const before = state.calls
        yield* within(Effect.exit(ask(text)), "1 second")
        yield* within(Effect.exit(ask(text)), "1 second")
        assert.strictEqual(state.calls - before, 2, text)
      }
    }).pipe(Effect.provide(Interceptors.Results.layerMemory())))

  it.effect("when the one who asked first is interrupted, the next takes over", () =>
    Effect.gen(function*() {
      const { ask, state } = looking()
      const first = yield* forked(ask("x"))
      const second = yield* forked(ask("x"))
      yield* Fiber.interrupt(first)
      yield* TestClock.adjust("1 second")
      assert(Exit.isSuccess(yield* Fiber.join(second)))
      assert.strictEqual(state.calls, 2)
    }).pipe(Effect.provide(Interceptors.Results.layerMemory())))

  it.effect("what was used longest ago goes first", () =>
    Effect.gen(function*() {
      const { ask, state } = looking()
      for (const text of ["a", "b", "a", "c"]) yield* within(ask(text), "1 second")
      assert.strictEqual(state.calls, 3)
      yield* within(ask("a"), "1 second")
      assert.strictEqual(state.calls, 3)
      yield* within(ask("b"), "1 second")
      assert.strictEqual(state.calls, 4)
    }).pipe(Effect.provide(Interceptors.Results.layerMemory({ capacity: 2 }))))
})
