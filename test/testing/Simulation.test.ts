import { assert, describe, it } from "@effect/vitest"
import { Cause, Clock, Context, Deferred, Duration, Effect, Exit, Fiber, Layer, Random, Schedule, Schema } from "effect"
import { TestClock } from "effect/testing"
import { EventSink, Extension, Pipeline, type RunResult, Snapshot, Source, Stage, StageError } from "stageflow"
import { Port, Simulation } from "stageflow/testing"

class Down extends Schema.TaggedError<Down>()("Down", {}) {}

const sleeping = <const Name extends string>(name: Name, duration: `${number} millis` | `${number} hours`) =>
  Stage.transform(name, { run: Effect.as(Effect.sleep(duration), { name }) })

const instant = <const Name extends string>(name: Name) => Stage.transform(name, { run: Effect.succeed({ name }) })

const diamond = Pipeline.make("diamond")
  .add(sleeping("first", "10 millis"))
  .add(sleeping("slow", "30 millis"), { after: ["first"] })
  .add(sleeping("fast", "20 millis"), { after: ["first"] })
  .add(instant("last"), { after: ["slow", "fast"] })

/** Ten stages that are ready at once. */
const wide = Effect.runSync(Pipeline.fromSpecs(
  "wide",
  Array.from({ length: 10 }, (_, index) => ({ stage: instant(`s${index}`) }))
))

const hanging = Pipeline.make("hanging").add(instant("fine")).add(Stage.work("stuck", { run: Effect.never }))

describe("run", () => {
  it.effect("gives the exit, the events, the order and the virtual time of a run", () =>
    Effect.gen(function*() {
      const simulated = yield* Simulation.run(diamond, Snapshot.make())
      const result = yield* simulated.exit
      assert.strictEqual(result._tag, "Completed")
      assert.deepStrictEqual(result.outputs.last.data, { name: "last" })
      assert.deepStrictEqual(simulated.started, ["first", "slow", "fast", "last"])
      assert.deepStrictEqual(simulated.ended, ["first", "fast", "slow", "last"])
      assert.strictEqual(simulated.elapsed.toString(), "40 millis")
      assert.deepStrictEqual(Simulation.trace(simulated), [
        "#1 +0ms RunStarted",
        "#2 +0ms StageStarted first",
        "#3 +10ms StageCompleted first",
        "#4 +10ms StageStarted slow",
        "#5 +10ms StageStarted fast",
        "#6 +30ms StageCompleted fast",
        "#7 +40ms StageCompleted slow",
        "#8 +40ms StageStarted last",
        "#9 +40ms StageCompleted last",
        "#10 +40ms RunCompleted"
      ])
    }))

  it.effect("takes the options of a run, and the pipeline from a pipe", () =>
    Effect.gen(function*() {
      const simulated = yield* diamond.pipe(Simulation.run(Snapshot.make(), { concurrency: 1 }))
      assert.deepStrictEqual(simulated.ended, ["first", "slow", "fast", "last"])
      assert.strictEqual(simulated.elapsed.toString(), "60 millis")
      const failing = Pipeline.make("failing").add(Stage.work("down", { run: Effect.fail(new Down()) }))
      const continued = yield* (yield* Simulation.run(failing, Snapshot.make(), { failure: "continue" })).exit
      assert.strictEqual(continued._tag, "Incomplete")
      assert.throws(() => Simulation.run(diamond, Snapshot.make(), { concurrency: 0 }), StageError.InvalidOption)
      assert.throws(() => Simulation.run(diamond, Snapshot.make(), { limit: 0 }), StageError.InvalidOption)
    }))

  it.effect("a run that fails is no failure of the simulation", () =>
    Effect.gen(function*() {
      const failing = Pipeline.make("failing").add(Stage.work("down", { run: Effect.fail(new Down()) }))
      const { ended, exit } = yield* Simulation.run(failing, Snapshot.make())
      assert.isTrue(Exit.isFailure(exit))
      const error = yield* Effect.flip(exit)
      assert.instanceOf(error.error, Down)
      assert.deepStrictEqual(ended, ["down"])
    }))

  it.effect("stages that never started are in neither order", () =>
    Effect.gen(function*() {
      const pipeline = Pipeline.make("conditional")
        .add(instant("a"))
        .add(instant("unselected"), () => ({ when: Source.succeed(false) }))
        .add(Stage.work("failed", { run: Effect.fail(new Down()) }))
        .add(instant("blocked"), { after: ["failed"] })
      const { ended, started } = yield* Simulation.run(pipeline, Snapshot.make(), { failure: "continue" })
      assert.deepStrictEqual(started, ["a", "failed"])
      assert.deepStrictEqual(ended, ["a", "failed"])
    }))

  it.effect("takes ports from layers, and gives events to the sink in the environment as well", () =>
    Effect.gen(function*() {
      class Llm extends Context.Service<Llm, { readonly ask: Effect.Effect<string, Down> }>()("test/Llm") {}
      const stage = Stage.transform("answer", {
        run: Effect.gen(function*() {
          return { text: yield* (yield* Llm).ask }
        })
      })
      const pipeline = Pipeline.make("ask").add(stage.pipe(Stage.retry(Schedule.spaced("1 second"))))
      const llm = Port.failing(Llm.of({ ask: Effect.succeed("Hello") }), { times: 3, error: new Down() })
      const simulated = yield* Simulation.run(pipeline, Snapshot.make()).pipe(Effect.provideService(Llm, llm))
      assert.deepStrictEqual((yield* simulated.exit).outputs.answer.data, { text: "Hello" })
      assert.strictEqual(simulated.elapsed.toString(), "3000 millis")
      assert.deepStrictEqual(yield* (yield* EventSink.Memory).events, simulated.events)
    }).pipe(Effect.provide(EventSink.layerMemory)))

  it.effect("leaves the test clock around it alone and starts at 0 each time", () =>
    Effect.gen(function*() {
      yield* TestClock.adjust("1 minute")
      const first = yield* Simulation.run(diamond, Snapshot.make())
      const second = yield* Simulation.run(diamond, Snapshot.make())
      assert.strictEqual(yield* Clock.currentTimeMillis, 60_000)
      assert.strictEqual(first.events[0]?.at, 0)
      assert.deepStrictEqual(second.events, first.events)
    }))

  it.live("needs no test clock around it", () =>
    Effect.gen(function*() {
      const { elapsed, exit } = yield* Simulation.run(
        Pipeline.make("long").add(sleeping("long", "10000 hours")),
        Snapshot.make(),
        { limit: "20000 hours" }
      )
      assert.isTrue(Exit.isSuccess(exit))
      assert.strictEqual(elapsed.toString(), "36000000000 millis")
    }))
})

describe("types", () => {
  class Skills extends Extension.make<Skills>()("skills", Schema.Struct({ level: Schema.String })) {}
  class Llm extends Context.Service<Llm, { readonly ask: Effect.Effect<string, Down> }>()("test/Llm") {}
  const pipeline = Pipeline.make("typed").add(Stage.transform("answer", {
    run: Effect.gen(function*() {
      const { level } = yield* Skills
      return { text: yield* (yield* Llm).ask, level }
    })
  }))

  it("are those of Pipeline.run: what it needs, what it fails with, what it gives", () => {
    const snapshot = Snapshot.make().pipe(Snapshot.extend(Skills, { level: "expert" }))
    const program = Simulation.run(pipeline, snapshot)
    type Exit = Effect.Success<typeof program>["exit"]
    const services: [Effect.Services<typeof program>, Llm] extends [Llm, Effect.Services<typeof program>] ? true
      : false = true
    const same: [Effect.Success<Exit>, Effect.Error<Exit>] extends [
      Pipeline.Result<Pipeline.Nodes<typeof pipeline>, never>,
      RunResult.StageFailed<Down, infer _Outputs>
    ] ? true
      : false = true
    assert.isTrue(services && same)
  })

  it("a snapshot that lacks an extension is a compile error", () => {
    const wrong = () => [
      // @ts-expect-error the snapshot lacks the extension "skills"
      Simulation.run(pipeline, Snapshot.make()),
      // @ts-expect-error the snapshot lacks the extension "skills"
      pipeline.pipe(Simulation.run(Snapshot.make()))
    ]
    assert.isFunction(wrong)
  })
})

describe("a seed", () => {
  it.effect("shuffles which ready stage starts first: all orders occur", () =>
    Effect.gen(function*() {
      const three = Pipeline.make("three").add(instant("a")).add(instant("b")).add(instant("c"))
      const orders = yield* Simulation.seeds(60, () =>
        Effect.map(Simulation.run(three, Snapshot.make()), ({ started }) => started.join("")))
      assert.deepStrictEqual(Array.from(new Set(orders)).toSorted(), ["abc", "acb", "bac", "bca", "cab", "cba"])
    }))

  it.effect("shuffles who wakes first of those who wake at the same time", () =>
    Effect.gen(function*() {
      const three = Pipeline.make("three")
        .add(sleeping("a", "1 millis"))
        .add(sleeping("b", "1 millis"))
        .add(sleeping("c", "1 millis"))
      const endings = yield* Simulation.seeds(60, () =>
        Effect.map(Simulation.run(three, Snapshot.make(), { concurrency: 3 }), ({ ended, started }) =>
          started.indexOf("a") - ended.indexOf("a")))
      assert.deepStrictEqual(
        Array.from(new Set(endings)).toSorted((a, b) =>
          a - b
        ),
        [-2, -1, 0, 1, 2]
      )
      const { ended } = yield* Simulation.run(three, Snapshot.make())
      assert.deepStrictEqual(ended, ["a", "b", "c"])
    }))

  it.effect("gives the same trace each time, ids and times included, and another than other seeds", () =>
    Effect.gen(function*() {
      const eventsOf = (seed: Simulation.Seed) =>
        Effect.map(Simulation.run(wide, Snapshot.make(), { seed, concurrency: 3 }), ({ events }) => events)
      const first = yield* eventsOf(7)
      assert.deepStrictEqual(yield* eventsOf(7), first)
      assert.notDeepEqual(yield* eventsOf(8), first)
      assert.notStrictEqual((yield* eventsOf(8))[0]?.runId, first[0]?.runId)
      assert.deepStrictEqual(yield* eventsOf("seven"), yield* eventsOf("seven"))
    }))

  it.effect("does not depend on how often stages ask for random numbers", () =>
    Effect.gen(function*() {
      const drawing = (draws: number) =>
        Effect.runSync(Pipeline.fromSpecs(
          "drawing",
          Array.from({ length: 8 }, (_, index) => ({
            stage: Stage.work(`s${index}`, { run: Effect.asVoid(Effect.replicateEffect(Random.next, draws)) })
          }))
        ))
      const once = yield* Simulation.run(drawing(1), Snapshot.make(), { seed: 3 })
      const often = yield* Simulation.run(drawing(5), Snapshot.make(), { seed: 3 })
      assert.deepStrictEqual(often.started, once.started)
    }))

  it.effect("without one, the stage that is ready longest starts first, and ids stay the same", () =>
    Effect.gen(function*() {
      const first = yield* Simulation.run(wide, Snapshot.make())
      assert.deepStrictEqual(first.started, Array.from({ length: 10 }, (_, index) => `s${index}`))
      assert.deepStrictEqual((yield* Simulation.run(wide, Snapshot.make())).events, first.events)
    }))

  it.effect("seeds what a stage draws", () =>
    Effect.gen(function*() {
      const drawing = Pipeline.make("drawing").add(
        Stage.transform("draw", { run: Effect.map(Random.next, (drawn) => ({ drawn })) })
      )
      const drawn = (seed: number) =>
        Effect.gen(function*() {
          return (yield* (yield* Simulation.run(drawing, Snapshot.make(), { seed })).exit).outputs.draw.data.drawn
        })
      assert.strictEqual(yield* drawn(1), yield* drawn(1))
      assert.notStrictEqual(yield* drawn(1), yield* drawn(2))
    }))
})

describe("a run that does not end", () => {
  it.effect("NothingScheduled: a stage hangs and nothing waits for the clock", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(Simulation.run(hanging, Snapshot.make(), { seed: 5 }))
      assert.instanceOf(error, Simulation.SimulationTimeout)
      assert.strictEqual(error.code, "SIMULATION_TIMEOUT")
      assert.strictEqual(error.reason, "NothingScheduled")
      assert.deepStrictEqual(error.running, ["stuck"])
      assert.strictEqual(error.seed, 5)
      assert.isFalse(error.abandoned)
      assert.include(error.message, "with seed 5")
      assert.include(error.message, "Still running: stuck")
      assert.deepStrictEqual(error.events.at(-1)?._tag, "StageStarted")
    }))

  it.effect("LimitReached: what would happen next lies beyond the limit; finalizers run, also slow ones", () =>
    Effect.gen(function*() {
      let cleanedAt: number | undefined
      const cleanUp = Effect.gen(function*() {
        yield* Effect.sleep("5 seconds")
        cleanedAt = yield* Clock.currentTimeMillis
      })
      const pipeline = Pipeline.make("polling").add(
        Stage.work("poll", { run: Effect.forever(Effect.sleep("7 minutes")).pipe(Effect.onInterrupt(() => cleanUp)) })
      )
      const error = yield* Effect.flip(Simulation.run(pipeline, Snapshot.make(), { limit: "1 hour" }))
      assert.strictEqual(error.reason, "LimitReached")
      assert.strictEqual(error.elapsed.toString(), "3600000 millis")
      assert.strictEqual(cleanedAt, 3_605_000)
      assert.isFalse(error.abandoned)
    }))

  it.effect("what ends exactly at the limit has ended", () =>
    Effect.gen(function*() {
      const { exit } = yield* Simulation.run(
        Pipeline.make("long").add(sleeping("long", "2 hours")),
        Snapshot.make(),
        { limit: "2 hours" }
      )
      assert.isTrue(Exit.isSuccess(exit))
    }))

  it.effect("Busy: something goes on without letting time pass", () =>
    Effect.gen(function*() {
      const pipeline = Pipeline.make("busy").add(Stage.work("spin", { run: Effect.forever(Effect.yieldNow) }))
      const error = yield* Effect.flip(Simulation.run(pipeline, Snapshot.make()))
      assert.strictEqual(error.reason, "Busy")
      assert.deepStrictEqual(error.running, ["spin"])
    }))

  it.effect("a stage that ignores its interruption is abandoned by the run, not by the simulation", () =>
    Effect.gen(function*() {
      const pipeline = Pipeline.make("deaf").add(
        Stage.work("deaf", { run: Effect.uninterruptible(Effect.never) })
      )
      const error = yield* Effect.flip(Simulation.run(pipeline, Snapshot.make()))
      assert.isFalse(error.abandoned)
      const outside = yield* Effect.flip(Simulation.simulate(Effect.uninterruptible(Effect.never)))
      assert.isTrue(outside.abandoned)
      assert.include(outside.message, "abandoned")
    }))

  it.effect("a timeout ends a hanging stage in virtual time", () =>
    Effect.gen(function*() {
      const pipeline = Pipeline.make("limited").add(
        Stage.work("stuck", { run: Effect.never }).pipe(Stage.timeout("30 seconds"))
      )
      const { elapsed, exit } = yield* Simulation.run(pipeline, Snapshot.make())
      const error = yield* Effect.flip(exit)
      assert.instanceOf(error.error, StageError.StageTimeout)
      assert.strictEqual(elapsed.toString(), "30000 millis")
    }))

  it.effect("a promise that takes a moment of real time is waited for", () =>
    Effect.gen(function*() {
      const pipeline = Pipeline.make("real").add(
        Stage.promise("digest", {
          try: async () => ({ size: (await crypto.subtle.digest("SHA-256", new Uint8Array(1000))).byteLength }),
          catch: () => new Down()
        })
      )
      const { outputs } = yield* (yield* Simulation.run(pipeline, Snapshot.make())).exit
      assert.deepStrictEqual(outputs.digest.data, { size: 32 })
    }))

  it.effect("with patience also while something waits for the clock", () =>
    Effect.gen(function*() {
      const real = Effect.promise(() => new Promise<string>((resolve) => setTimeout(() => resolve("in time"), 20)))
      const timed = Effect.timeoutOrElse(real, { duration: "1 second", orElse: () => Effect.succeed("timed out") })
      const { elapsed, exit } = yield* Simulation.simulate(timed, { patience: "1 second" })
      assert.strictEqual(yield* exit, "in time")
      assert.strictEqual(elapsed.toString(), "0 millis")
    }))

  it.effect("interrupting the simulation interrupts the run and waits for its finalizers", () =>
    Effect.gen(function*() {
      const running = yield* Deferred.make<void>()
      let cleaned = false
      const pipeline = Pipeline.make("hanging").add(Stage.work("stuck", {
        run: Effect.andThen(Deferred.succeed(running, undefined), Effect.never).pipe(
          Effect.onInterrupt(() =>
            Effect.andThen(
              Effect.sleep("5 seconds"),
              Effect.sync(() => {
                cleaned = true
              })
            )
          )
        )
      }))
      const fiber = yield* Effect.forkChild(Simulation.run(pipeline, Snapshot.make()))
      yield* Deferred.await(running)
      yield* Fiber.interrupt(fiber)
      assert.isTrue(cleaned)
    }))
})

describe("simulate", () => {
  it.effect("runs any Effect in virtual time: a run that is cancelled from outside", () =>
    Effect.gen(function*() {
      const { elapsed, ended, exit } = yield* Simulation.simulate(Effect.scoped(Effect.gen(function*() {
        const run = yield* Pipeline.start(hanging, Snapshot.make())
        yield* Effect.sleep("1 minute")
        yield* run.cancel("enough")
        return yield* run.await
      })))
      const result = yield* exit
      assert.strictEqual(result._tag, "Cancelled")
      assert.deepStrictEqual(ended, ["fine", "stuck"])
      assert.strictEqual(elapsed.toString(), "60000 millis")
    }))

  it.effect("a day between two runs that share a layer, whose background fiber lives in the same time", () =>
    Effect.gen(function*() {
      class Ticks extends Context.Service<Ticks, { readonly count: Effect.Effect<number> }>()("test/Ticks") {}
      const layer = Layer.effect(
        Ticks,
        Effect.gen(function*() {
          let ticks = 0
          yield* Effect.forkScoped(Effect.forever(Effect.andThen(
            Effect.sleep("1 hour"),
            Effect.sync(() => {
              ticks++
            })
          )))
          return { count: Effect.sync(() => ticks) }
        })
      )
      const pipeline = Pipeline.make("ticks").add(Stage.transform("count", {
        run: Effect.gen(function*() {
          return { ticks: yield* (yield* Ticks).count }
        })
      }))
      const counted = Effect.map(Pipeline.run(pipeline, Snapshot.make()), ({ outputs }) => outputs.count.data.ticks)
      const program = Effect.gen(function*() {
        const first = yield* counted
        yield* Effect.sleep(Duration.hours(24.5))
        return [first, yield* counted]
      })
      const { exit } = yield* Simulation.simulate(Effect.provide(program, layer), { limit: "2 days" })
      assert.deepStrictEqual(yield* exit, [0, 24])
    }))

  it.effect("several runs at once", () =>
    Effect.gen(function*() {
      const runs = Effect.all(Array.from({ length: 20 }, () => Pipeline.run(diamond, Snapshot.make())), {
        concurrency: "unbounded"
      })
      const { elapsed, events, exit } = yield* runs.pipe(Simulation.simulate({ seed: 1 }))
      const results = yield* exit
      assert.strictEqual(new Set(results.map(({ lineage }) => lineage.runId)).size, 20)
      assert.strictEqual(events.length, 200)
      assert.strictEqual(elapsed.toString(), "40 millis")
    }))

  it.effect("is exact with times that are no whole milliseconds, and with many of them", () =>
    Effect.gen(function*() {
      const sleeps = Array.from({ length: 300 }, (_, index) => Effect.sleep(0.1 * (index + 1)))
      const { exit } = yield* Simulation.simulate(Effect.all(sleeps, { concurrency: "unbounded", discard: true }))
      assert.isTrue(Exit.isSuccess(exit))
      const chain = yield* Simulation.simulate(Effect.all(sleeps, { discard: true }))
      assert.isTrue(Exit.isSuccess(chain.exit))
    }))

  it.effect("stages that end in one instant have all ended, also when one of them fails", () =>
    Effect.gen(function*() {
      const pipeline = Pipeline.make("instant")
        .add(Stage.work("failing", { run: Effect.andThen(Effect.sleep("10 millis"), Effect.fail(new Down())) }))
        .add(sleeping("fine", "10 millis"))
        .add(sleeping("later", "11 millis"))
      yield* Simulation.seeds(20, () =>
        Effect.gen(function*() {
          const error = yield* Effect.flip((yield* Simulation.run(pipeline, Snapshot.make())).exit)
          assert.deepStrictEqual(Object.keys(error.outputs), ["fine"])
          assert.deepStrictEqual(error.interrupted, ["later"])
        }))
    }))

  it.effect("a program may move the clock itself, and ask the real one", () =>
    Effect.gen(function*() {
      const program = Effect.gen(function*() {
        const sleeper = yield* Effect.forkChild(Effect.andThen(Effect.sleep("1 hour"), Clock.currentTimeMillis))
        yield* Effect.yieldNow
        yield* TestClock.adjust("2 hours")
        const real = yield* TestClock.withLive(Clock.currentTimeMillis)
        return { woke: yield* Fiber.join(sleeper), real }
      })
      const { exit } = yield* Simulation.simulate(program, { limit: "1 day" })
      const { real, woke } = yield* exit
      assert.strictEqual(woke, 7_200_000)
      assert.isAbove(real, 1_000_000_000_000)
    }))

  it.effect("works inside another simulation", () =>
    Effect.gen(function*() {
      const inner = Effect.flatMap(Simulation.run(diamond, Snapshot.make()), ({ elapsed }) => Effect.succeed(elapsed))
      const { elapsed, exit } = yield* Simulation.simulate(Effect.andThen(Effect.sleep("1 second"), inner))
      assert.strictEqual((yield* exit).toString(), "40 millis")
      assert.strictEqual(elapsed.toString(), "1000 millis")
      const real = TestClock.withLive(Clock.currentTimeMillis)
      const nested = yield* (yield* Simulation.simulate(Simulation.simulate(real))).exit
      assert.isAbove(yield* nested.exit, 1_000_000_000_000)
    }))
})

describe("seeds", () => {
  it.effect("runs the property under each seed and gives what it gave", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* Simulation.seeds(4, (seed) => Effect.succeed(seed)), [1, 2, 3, 4])
      assert.deepStrictEqual(yield* Simulation.seeds([7, "x"], (seed) => Effect.succeed(seed)), [7, "x"])
      assert.deepStrictEqual(yield* Simulation.seeds(0, () => Effect.fail("never run")), [])
      assert.throws(() => Simulation.seeds(-1, () => Effect.void), StageError.InvalidOption)
    }))

  it.effect("finds an order that breaks the property, names the seed, and the seed alone fails again", () =>
    Effect.gen(function*() {
      // The bug: "second" reads what "first" writes without depending on it.
      const property = () =>
        Effect.gen(function*() {
          let written = ""
          const pipeline = Pipeline.make("racy")
            .add(Stage.work("first", {
              run: Effect.sync(() => {
                written = "by first"
              })
            }))
            .add(Stage.transform("second", { run: Effect.sync(() => ({ read: written })) }))
          const { outputs } = yield* (yield* Simulation.run(pipeline, Snapshot.make())).exit
          assert.strictEqual(outputs.second.data.read, "by first")
        })
      const error = yield* Effect.flip(Simulation.seeds(100, property))
      assert.instanceOf(error, Simulation.SeedFailed)
      assert.strictEqual(error.code, "SEED_FAILED")
      assert.isTrue(Cause.hasDies(error.cause))
      assert.include(error.message, `Seed ${error.seed} fails, after ${error.passed} that pass`)
      assert.include(error.message, `Simulation.seeds([${error.seed}], property)`)
      assert.include(error.message, "by first")
      const again = yield* Effect.flip(Simulation.seeds([error.seed], property))
      assert.strictEqual(again.seed, error.seed)
      assert.strictEqual(again.passed, 0)
    }))

  it.effect("keeps typed errors, and `false` is a failure", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(
        Simulation.seeds(10, (seed) => seed === 4 ? Effect.fail(new Down()) : Effect.void)
      )
      assert.strictEqual(error.seed, 4)
      assert.strictEqual(error.passed, 3)
      assert.deepStrictEqual(error.cause, Cause.fail(new Down()))
      const refuted = yield* Effect.flip(Simulation.seeds(10, (seed) => Effect.succeed(seed !== 2)))
      assert.strictEqual(refuted.seed, 2)
      assert.include(refuted.message, "returned false")
    }))

  it.effect("seeds simulations and Random inside the property, unless they have a seed of their own", () =>
    Effect.gen(function*() {
      const property = () =>
        Effect.gen(function*() {
          const { events, seed } = yield* Simulation.run(wide, Snapshot.make())
          const own = yield* Simulation.run(wide, Snapshot.make(), { seed: "own" })
          return { events, seed, own: own.seed, drawn: yield* Random.next }
        })
      const first = yield* Simulation.seeds(3, property)
      assert.deepStrictEqual(yield* Simulation.seeds(3, property), first)
      assert.deepStrictEqual(first.map(({ own, seed }) => [seed, own]), [[1, "own"], [2, "own"], [3, "own"]])
      assert.strictEqual(new Set(first.map(({ drawn }) => drawn)).size, 3)
    }))

  it.effect("is interrupted with its caller", () =>
    Effect.gen(function*() {
      const fiber = yield* Effect.forkChild(Simulation.seeds(10, () => Effect.never), { startImmediately: true })
      yield* Fiber.interrupt(fiber)
      const exit = yield* Fiber.await(fiber)
      assert.isTrue(Exit.isFailure(exit) && Cause.hasInterruptsOnly(exit.cause))
    }))
})
