import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Schedule, Scheduler } from "effect"
import { TestClock } from "effect/testing"
import { Pipeline, Run, Snapshot, Source, Stage, StageError, StageOutput } from "stageflow"
import * as Interceptors from "stageflow/interceptors"
import { Simulation } from "stageflow/testing"
import { spec } from "./support/stages.ts"

/** Counts outside the library how many are inside at the same time. */
class Gauge {
  inside = 0
  most = 0
  entered = 0

  readonly enter = Effect.sync(() => {
    this.entered++
    this.most = Math.max(this.most, ++this.inside)
  })

  readonly leave = Effect.sync(() => {
    this.inside--
  })

  readonly around = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
    Effect.acquireUseRelease(this.enter, () => effect, () => this.leave)
}

/** Runs an Effect that needs the clock to move. The clock waits for what it has woken, so it wakes the Effect itself. */
const inTime = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.gen(function*() {
    const fiber = yield* Effect.forkChild(Effect.delay(effect, "1 milli"))
    yield* TestClock.adjust("1 day")
    return yield* Fiber.join(fiber)
  })

const waits: Readonly<Record<string, (index: number) => Effect.Effect<void>>> = {
  "that all take the same time": () => Effect.sleep(10),
  "that take different times": (index) => Effect.sleep(index * 7919 % 23),
  "of which some never wait": (index) => index % 3 === 0 ? Effect.void : Effect.sleep(index % 5),
  "that only yield": () => Effect.yieldNow
}

const fanOut = (gauge: Gauge, count: number, wait: (index: number) => Effect.Effect<void>) =>
  Array.from({ length: count }, (_, index) => ({
    stage: Stage.transform(`s${index}`, { run: gauge.around(Effect.as(wait(index), { index })) })
  }))

describe("R5 a concurrency limit is never exceeded and is reached", () => {
  for (const [title, wait] of Object.entries(waits)) {
    for (const limit of [1, 2, 7, 64]) {
      it.effect(`${limit} of 200 stages ${title}`, () =>
        Effect.gen(function*() {
          const gauge = new Gauge()
          const pipeline = yield* Pipeline.fromSpecs("fan", fanOut(gauge, 200, wait))
          const result = yield* inTime(Pipeline.run(pipeline, Snapshot.make(), { concurrency: limit }))
          assert.strictEqual(result._tag, "Completed")
          assert.deepStrictEqual([gauge.entered, gauge.inside, gauge.most], [200, 0, limit])
        }))
    }
  }

  it.effect("no limit lets all stages run at once", () =>
    Effect.gen(function*() {
      for (const options of [{}, { concurrency: "unbounded" as const }, { concurrency: undefined }]) {
        const gauge = new Gauge()
        const pipeline = yield* Pipeline.fromSpecs("fan", fanOut(gauge, 200, () => Effect.sleep(10)))
        yield* inTime(Pipeline.run(pipeline, Snapshot.make(), options))
        assert.strictEqual(gauge.most, 200)
      }
    }))

  it.effect("a limit is reached again in every layer of a graph, and after stages that failed or were skipped", () =>
    Effect.gen(function*() {
      const gauges = Array.from({ length: 5 }, () => new Gauge())
      const all = new Gauge()
      const specs = gauges.flatMap((gauge, layer) =>
        Array.from({ length: 12 }, (_, place) => {
          const end = place === 0
            ? Effect.fail("broken" as const)
            : Effect.succeed(place === 1 ? StageOutput.skip("nothing") : StageOutput.ok({ place }))
          return {
            stage: Stage.transform(`l${layer}_${place}`, {
              run: all.around(gauge.around(Effect.andThen(Effect.sleep(1), end)))
            }),
            after: layer === 0 ? [] : Array.from({ length: 11 }, (_, before) => `l${layer - 1}_${before + 1}`)
          }
        })
      )
      const pipeline = yield* Pipeline.fromSpecs("layers", specs)
      const result = yield* inTime(Pipeline.run(pipeline, Snapshot.make(), { concurrency: 4, failure: "continue" }))
      assert.strictEqual(result._tag, "Incomplete")
      assert.deepStrictEqual(gauges.map(({ most }) => most), [4, 4, 4, 4, 4])
      assert.deepStrictEqual([all.entered, all.most], [60, 4])
    }))

  it.effect("stages that interrupt themselves, die or time out give their place back", () =>
    Effect.gen(function*() {
      const gauge = new Gauge()
      const ends = [
        Effect.interrupt,
        Effect.die("broken"),
        Effect.fail("broken" as const),
        Effect.sleep("1 hour"),
        Effect.sleep(5)
      ]
      const specs = Array.from({ length: 50 }, (_, index) => ({
        stage: Stage.work(`s${index}`, {
          run: gauge.around(Effect.andThen(Effect.yieldNow, ends[index % ends.length] ?? Effect.void))
        }).pipe(Stage.timeout("1 minute"))
      }))
      const pipeline = yield* Pipeline.fromSpecs("broken", specs)
      for (const limit of [1, 3]) {
        gauge.most = 0
        gauge.entered = 0
        const result = yield* inTime(
          Pipeline.run(pipeline, Snapshot.make(), { concurrency: limit, failure: "continue" })
        )
        assert.strictEqual(result._tag, "Incomplete")
        if (result._tag === "Incomplete") assert.deepStrictEqual([result.failed.length, result.ok.length], [40, 10])
        assert.deepStrictEqual([gauge.entered, gauge.inside, gauge.most], [50, 0, limit])
      }
    }))

  it.effect("it holds for start and stream as well", () =>
    Effect.gen(function*() {
      const gauge = new Gauge()
      const pipeline = yield* Pipeline.fromSpecs("fan", fanOut(gauge, 50, () => Effect.sleep(10)))
      const handle = yield* Pipeline.start(pipeline, Snapshot.make(), { concurrency: 3 })
      yield* inTime(handle.await)
      assert.deepStrictEqual([gauge.entered, gauge.most], [50, 3])
    }).pipe(Effect.scoped))

  it.effect("limit 1 does not deadlock with pipelines run inside stages, ten deep", () =>
    Effect.gen(function*() {
      const gauges = Array.from({ length: 10 }, () => new Gauge())
      const nested = (depth: number): Effect.Effect<number> =>
        Effect.gen(function*() {
          const gauge = gauges[depth]
          if (gauge === undefined) return 1
          const child = Stage.transform("child", {
            run: gauge.around(Effect.map(Effect.andThen(Effect.sleep(1), nested(depth + 1)), (runs) => ({ runs })))
          })
          const pipeline = Pipeline.make(`depth ${depth}`).add(child).add(Stage.as(child, "sibling"))
          const { outputs } = yield* Effect.orDie(Pipeline.run(pipeline, Snapshot.make(), { concurrency: 1 }))
          return outputs.child.data.runs + outputs.sibling.data.runs
        })
      assert.strictEqual(yield* inTime(Effect.provideService(nested(0), Run.DepthLimit, 10)), 1024)
      for (const { inside, most } of gauges) assert.deepStrictEqual([inside, most], [0, 1])
    }))

  it.effect("limit 1 does not deadlock with a child that is handed its parent's snapshot and waits for several", () =>
    Effect.gen(function*() {
      const child = Pipeline.make("child")
        .add(Stage.transform("a", { run: Effect.as(Effect.sleep(1), { a: 1 }) }))
        .add(Stage.transform("b", { run: Effect.as(Effect.sleep(1), { b: 1 }) }))
      const parent = Stage.transform("parent", {
        run: Effect.gen(function*() {
          const snapshot = yield* Snapshot.current
          const run = Pipeline.run(child, snapshot, { concurrency: 1 })
          const results = yield* Effect.all([run, run, run], { concurrency: "unbounded" })
          return { results: results.map(({ _tag }) => _tag) }
        })
      })
      const pipeline = Pipeline.make("parent").add(parent).add(Stage.as(parent, "again"))
      const { outputs } = yield* inTime(Pipeline.run(pipeline, Snapshot.make(), { concurrency: 1 }))
      assert.deepStrictEqual(outputs.parent.data.results, ["Completed", "Completed", "Completed"])
      assert.deepStrictEqual(outputs.again.data.results, ["Completed", "Completed", "Completed"])
    }))

  it.effect("limit 1 does not deadlock with retries, and a stage that waits for its next attempt keeps its place", () =>
    Effect.gen(function*() {
      const gauge = new Gauge()
      let attempts = 0
      const flaky = Stage.guard("flaky", {
        run: gauge.around(Effect.gen(function*() {
          if (++attempts % 3 === 0) return { attempts }
          yield* Effect.sleep(1)
          return StageOutput.retry("not yet")
        }))
      }).pipe(Stage.retry(Schedule.upTo(Schedule.spaced("1 minute"), { times: 5 })))
      const pipeline = Pipeline.make("flaky")
        .add(flaky)
        .add(Stage.as(flaky, "second"))
        .add(Stage.as(flaky, "third"), { after: ["flaky"] })
      const result = yield* inTime(Pipeline.run(pipeline, Snapshot.make(), { concurrency: 1 }))
      assert.strictEqual(result._tag, "Completed")
      assert.deepStrictEqual([attempts, gauge.most], [9, 1])
    }))

  describe("of a bulkhead", () => {
    const inBulkhead = (permits: number, queue = 1000) =>
      Pipeline.intercept(Interceptors.bulkhead({ name: "db", permits, queue }))
    const layer = Effect.provide(Interceptors.Bulkheads.layerMemory)

    /** A place is never lost: afterwards as many run at once as there are permits, and no more. */
    const isWhole = Effect.fnUntraced(function*(permits: number, queue = 1000) {
      const gauge = new Gauge()
      const stage = Stage.work("stage", { run: gauge.around(Effect.sleep(1)) })
      const pipeline = Pipeline.make("check").add(stage).pipe(inBulkhead(permits, queue))
      const run = Effect.exit(Pipeline.run(pipeline, Snapshot.make()))
      yield* inTime(Effect.all(Array.from({ length: permits + 3 }, () => run), { concurrency: "unbounded" }))
      assert.deepStrictEqual([gauge.most, gauge.inside], [permits, 0])
    })

    it.effect("a stage that runs a child in the same bulkhead does not wait for itself, however deep", () =>
      Effect.gen(function*() {
        let ran = 0
        const nested = (depth: number): Effect.Effect<void, never, Interceptors.Bulkheads> => {
          const inner = depth === 0 ? Effect.sleep(1) : Effect.suspend(() => nested(depth - 1))
          const stage = Stage.work("stage", { run: Effect.andThen(inner, Effect.sync(() => void ran++)) })
          const pipeline = Pipeline.make(`depth ${depth}`).add(stage).pipe(inBulkhead(1, 0))
          return Effect.asVoid(Effect.orDie(Pipeline.run(pipeline, Snapshot.make())))
        }
        yield* inTime(nested(5))
        assert.strictEqual(ran, 6)
        yield* isWhole(1, 0)
      }).pipe(layer))

    it.effect("nor does a stage that is in it twice", () =>
      Effect.gen(function*() {
        const gauge = new Gauge()
        const stage = Stage.work("stage", { run: gauge.around(Effect.sleep(1)) }).pipe(
          Stage.intercept(Interceptors.bulkhead({ name: "db", permits: 1, queue: 1000 }))
        )
        const pipeline = Pipeline.make("p").add(stage).pipe(inBulkhead(1))
        const run = Pipeline.run(pipeline, Snapshot.make())
        yield* inTime(Effect.all([run, run, run], { concurrency: "unbounded" }))
        assert.deepStrictEqual([gauge.entered, gauge.most], [3, 1])
        yield* isWhole(1)
      }).pipe(layer))

    for (const [permits, parents] of [[1, 1], [1, 4], [3, 1], [3, 3], [3, 8]] as const) {
      it.effect(`the stages of children use their parent's place and free ones, never more than ${permits} (${parents} parents)`, () =>
        Effect.gen(function*() {
          const gauge = new Gauge()
          const child = yield* Pipeline.fromSpecs("child", fanOut(gauge, 20, (index) => Effect.sleep(index % 3)))
          const limited = child.pipe(inBulkhead(permits))
          const parent = Stage.work("parent", { run: Pipeline.run(limited, Snapshot.make()) })
          const run = Pipeline.run(Pipeline.make("p").add(parent).pipe(inBulkhead(permits)), Snapshot.make())
          yield* inTime(Effect.all(Array.from({ length: parents }, () => run), { concurrency: "unbounded" }))
          assert.deepStrictEqual([gauge.entered, gauge.inside, gauge.most], [20 * parents, 0, permits])
          yield* isWhole(permits)
        }).pipe(layer))
    }

    it.effect("a child that outlives its parent keeps the place that it was lent", () =>
      Effect.gen(function*() {
        const gauge = new Gauge()
        const child = Pipeline.make("child").add(Stage.work("stage", { run: gauge.around(Effect.sleep("1 minute")) }))
          .pipe(inBulkhead(1))
        const parent = Stage.work("parent", {
          run: Effect.asVoid(Effect.forkDetach(Pipeline.run(child, Snapshot.make()), { startImmediately: true }))
        })
        yield* Pipeline.run(Pipeline.make("p").add(parent).pipe(inBulkhead(1)), Snapshot.make())
        const next = yield* Effect.forkChild(Pipeline.run(child, Snapshot.make()), { startImmediately: true })
        yield* TestClock.adjust("59 seconds")
        assert.deepStrictEqual([gauge.entered, gauge.most], [1, 1])
        yield* TestClock.adjust("1 second")
        assert.deepStrictEqual([gauge.entered, gauge.most], [2, 1])
        yield* TestClock.adjust("1 minute")
        yield* Fiber.join(next)
        yield* isWhole(1)
      }).pipe(layer))

    /** A body that goes on for an hour after its interruption. */
    const deafBody = (gauge: Gauge) => gauge.around(Effect.uninterruptible(Effect.sleep("1 hour")))
    const grace = "1 second"
    const db = Interceptors.bulkhead({ name: "db", permits: 1, queue: 1000 })
    const stageOf = (body: Effect.Effect<void>) => Stage.work("stage", { run: body })
    const hurried = (body: Effect.Effect<void>) =>
      Pipeline.make("child").add(stageOf(body)).pipe(Pipeline.intercept(Interceptors.deadline("1 second")))

    type LeavesBehind = (body: Effect.Effect<void>) => Effect.Effect<unknown, unknown, Interceptors.Bulkheads>
    const leftBehind: Readonly<Record<string, LeavesBehind>> = {
      "a timeout inside of it": (body) =>
        Pipeline.run(
          Pipeline.make("p").add(stageOf(body)).pipe(
            Pipeline.intercept(db, Interceptors.timeout("1 second", { grace }))
          ),
          Snapshot.make()
        ),
      "a timeout outside of it": (body) =>
        Pipeline.run(
          Pipeline.make("p").add(
            stageOf(body).pipe(Stage.intercept(db), Stage.timeout("1 second", { grace }))
          ),
          Snapshot.make()
        ),
      "the inner one of two timeouts": (body) =>
        Pipeline.run(
          Pipeline.make("p").add(
            stageOf(body).pipe(
              Stage.timeout("1 second", { grace }),
              Stage.timeout("90 seconds", { grace }),
              Stage.intercept(db)
            )
          ),
          Snapshot.make()
        ),
      "the outer one of two timeouts": (body) =>
        Pipeline.run(
          Pipeline.make("p").add(
            stageOf(body).pipe(
              Stage.timeout("90 seconds", { grace }),
              Stage.timeout("1 second", { grace }),
              Stage.intercept(db)
            )
          ),
          Snapshot.make()
        ),
      "the deadline of a child run": (body) =>
        Pipeline.run(
          Pipeline.make("p").add(
            Stage.work("parent", { run: Pipeline.run(hurried(body), Snapshot.make(), { interruptionGrace: grace }) })
          ).pipe(Pipeline.intercept(db)),
          Snapshot.make()
        ),
      "the deadline of a child run in the same bulkhead": (body) =>
        Pipeline.run(
          Pipeline.make("p").add(Stage.work("parent", {
            run: Pipeline.run(hurried(body).pipe(Pipeline.intercept(db)), Snapshot.make(), { interruptionGrace: grace })
          })).pipe(Pipeline.intercept(db)),
          Snapshot.make()
        ),
      "the deadline of its run": (body) =>
        Pipeline.run(hurried(body).pipe(Pipeline.intercept(db)), Snapshot.make(), { interruptionGrace: grace })
    }
    for (const [how, run] of Object.entries(leftBehind)) {
      it.effect(`a body that ${how} left behind keeps its place until it ends`, () =>
        Effect.gen(function*() {
          const gauge = new Gauge()
          const first = yield* Effect.forkChild(Effect.exit(run(deafBody(gauge))), { startImmediately: true })
          yield* TestClock.adjust("2 minutes")
          assert.strictEqual((yield* Fiber.join(first))._tag, "Failure")
          assert.strictEqual(gauge.inside, 1)
          const quick = Pipeline.make("quick").add(stageOf(gauge.around(Effect.void))).pipe(Pipeline.intercept(db))
          const next = yield* Effect.forkChild(Pipeline.run(quick, Snapshot.make()), { startImmediately: true })
          yield* TestClock.adjust("57 minutes")
          assert.deepStrictEqual([gauge.entered, gauge.most], [1, 1])
          yield* TestClock.adjust("2 minutes")
          yield* Fiber.join(next)
          assert.deepStrictEqual([gauge.entered, gauge.inside, gauge.most], [2, 0, 1])
          yield* isWhole(1)
        }).pipe(layer))
    }

    it.effect("an attempt beside one that was left behind runs, and nobody else until as many have ended", () =>
      Effect.gen(function*() {
        const gauge = new Gauge()
        const bodies = [deafBody(gauge), gauge.around(Effect.sleep("1 millis"))]
        const stage = Stage.work("stage", { run: Effect.suspend(() => bodies.shift() ?? gauge.around(Effect.void)) })
          .pipe(
            Stage.timeout("1 second", { grace }),
            Stage.retry(Schedule.recurs(1))
          )
        const pipeline = Pipeline.make("p").add(stage).pipe(inBulkhead(2))
        const first = yield* Effect.forkChild(Pipeline.run(pipeline, Snapshot.make()), { startImmediately: true })
        yield* TestClock.adjust("3 seconds")
        assert.strictEqual((yield* Fiber.join(first))._tag, "Completed")
        const slow = Pipeline.make("slow").add(Stage.work("slow", { run: gauge.around(Effect.sleep("10 minutes")) }))
          .pipe(
            inBulkhead(2)
          )
        const others = yield* Effect.forkChild(
          Effect.all([1, 2].map(() => Pipeline.run(slow, Snapshot.make())), { concurrency: "unbounded" }),
          { startImmediately: true }
        )
        yield* TestClock.adjust("1 minute")
        assert.strictEqual(gauge.inside, 2, "the one that was left behind, and one of the others")
        yield* TestClock.adjust("1 day")
        yield* Fiber.join(others)
        assert.strictEqual(gauge.most, 2)
        yield* isWhole(2)
      }).pipe(layer))

    it.effect("no place is missed, whatever else runs between looking for one and waiting for it", () =>
      Effect.gen(function*() {
        const stage = Stage.work("stage", { run: Effect.yieldNow })
        const run = Pipeline.run(Pipeline.make("p").add(stage).pipe(inBulkhead(1)), Snapshot.make())
        for (let operations = 3; operations <= 8; operations++) {
          const busy = Effect.provideService(run, Scheduler.MaxOpsBeforeYield, operations)
          for (const late of [1, 2, 5]) {
            const fibers = yield* Effect.forEach(
              [0, late, 2 * late, 3],
              (yields) => Effect.forkChild(Effect.andThen(Effect.replicateEffect(Effect.yieldNow, yields), busy))
            )
            for (let time = 0; time < 300; time++) yield* Effect.yieldNow
            for (const fiber of fibers) {
              assert.strictEqual(fiber.pollUnsafe()?._tag, "Success", `${operations}, ${late}`)
            }
          }
        }
      }).pipe(layer))
  })

  const invalid: ReadonlyArray<unknown> = [
    0,
    -1,
    1.5,
    Number.NaN,
    Number.POSITIVE_INFINITY,
    Number.NEGATIVE_INFINITY,
    2 ** 53,
    "4",
    "",
    null,
    true,
    {},
    [3],
    4n
  ]
  for (const given of invalid) {
    it(`${typeof given === "bigint" ? "4n" : JSON.stringify(given) ?? String(given)} (${typeof given}) is rejected when given`, () => {
      const pipeline = Pipeline.make("one").add(Stage.work("one", { run: Effect.void }))
      const options = { concurrency: given } as Run.RunOptions
      const ways = [
        () => Pipeline.run(pipeline, Snapshot.make(), options),
        () => pipeline.pipe(Pipeline.run(Snapshot.make(), options)),
        () => Pipeline.start(pipeline, Snapshot.make(), options),
        () => Pipeline.stream(pipeline, Snapshot.make(), options)
      ]
      for (const way of ways) {
        const error = thrownBy(way)
        assert.instanceOf(error, StageError.InvalidOption)
        assert.strictEqual(error.option, "concurrency")
        assert.include(error.message, "whole number from 1")
      }
    })
  }

  it.effect("a limit larger than the pipeline is no problem", () =>
    Effect.gen(function*() {
      const pipeline = yield* Pipeline.fromSpecs("small", [spec("a"), spec("b", ["a"])])
      const result = yield* Pipeline.run(pipeline, Snapshot.make(), { concurrency: Number.MAX_SAFE_INTEGER })
      assert.strictEqual(result._tag, "Completed")
    }))
})

const thrownBy = (way: () => unknown): unknown => {
  try {
    way()
  } catch (error) {
    return error
  }
  return undefined
}

describe("R5 under a limit ready stages start by their priorities, and none waits for ever", () => {
  type Specs = ReadonlyArray<readonly [name: string, priority: number | undefined, after?: ReadonlyArray<string>]>

  const pipelineOf = (stages: Specs, started: Array<string>) =>
    Pipeline.fromSpecs(
      "p",
      stages.map(([name, priority, after = []]) => {
        const stage = Stage.work(name, {
          run: Effect.andThen(Effect.sync(() => void started.push(name)), Effect.yieldNow)
        })
        return { stage: priority === undefined ? stage : Stage.priority(stage, priority), after }
      })
    )

  const orderOf = Effect.fnUntraced(function*(stages: Specs, options: Run.RunOptions) {
    const started: Array<string> = []
    yield* Pipeline.run(yield* pipelineOf(stages, started), Snapshot.make(), options)
    return started.join(" ")
  })

  const mixed = [["a", 0], ["b", 5], ["c", undefined], ["d", -1], ["e", 5], ["f", 9]] as const

  it.effect("the highest first, of equals the one that was declared first", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* orderOf(mixed, { concurrency: 1 }), "f b e a c d")
      assert.strictEqual(yield* orderOf(mixed.toReversed(), { concurrency: 1 }), "f e b c a d")
      assert.strictEqual(yield* orderOf(mixed, { concurrency: 2 }), "f b e a c d")
    }))

  it.effect("a stage that becomes ready later goes before those that wait with less", () =>
    Effect.gen(function*() {
      const stages = [["first", 9], ["a", 0], ["b", 0], ["c", 0], ["urgent", 9, ["first"]]] as const
      assert.strictEqual(yield* orderOf(stages, { concurrency: 1 }), "first urgent a b c")
    }))

  it.effect("a chain of urgent stages without end keeps nobody waiting for more than the difference", () =>
    Effect.gen(function*() {
      for (const difference of [1, 3, 10]) {
        const chain = Array.from(
          { length: 30 },
          (_, index) => [`u${index}`, difference, index === 0 ? [] : [`u${index - 1}`]] as const
        )
        const order = yield* orderOf([["low", 0], ...chain], { concurrency: 1 })
        assert.strictEqual(order.split(" ").indexOf("low"), difference)
      }
    }))

  it.effect("without a limit they change nothing", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* orderOf(mixed, {}), "a b c d e f")
      assert.strictEqual(yield* orderOf(mixed, { concurrency: "unbounded" }), "a b c d e f")
    }))

  it.effect("stages whose wiring skips them, and blocked ones, take no place", () =>
    Effect.gen(function*() {
      const started: Array<string> = []
      const stage = <const Name extends string>(name: Name, end: Effect.Effect<void, "broken"> = Effect.void) =>
        Stage.work(name, { run: Effect.andThen(Effect.sync(() => void started.push(name)), end) })
      const pipeline = Pipeline.make("p")
        .add(stage("broken", Effect.fail("broken")).pipe(Stage.priority(3)))
        .add(stage("blocked").pipe(Stage.priority(9)), { after: ["broken"] })
        .work("skipped", { when: () => Source.succeed(false), run: Effect.void, wrap: Stage.priority(8) })
        .add(stage("low"))
        .add(stage("high").pipe(Stage.priority(1)))
      const result = yield* Pipeline.run(pipeline, Snapshot.make(), { concurrency: 1, failure: "continue" })
      assert.deepStrictEqual(started, ["broken", "high", "low"])
      assert.deepStrictEqual(result._tag === "Incomplete" && result.blocked, ["blocked"])
      assert.strictEqual(result.outputs.skipped?._tag, "Skip")
    }))

  it.effect("a simulation shuffles only those that stand alike", () =>
    Effect.gen(function*() {
      const orders = new Set<string>()
      for (let seed = 0; seed < 40; seed++) {
        const started: Array<string> = []
        const pipeline = yield* pipelineOf(mixed, started)
        yield* Simulation.run(pipeline, Snapshot.make(), { concurrency: 1, seed })
        orders.add(started.join(" "))
      }
      assert.deepStrictEqual(Array.from(orders).toSorted(), [
        "f b e a c d",
        "f b e c a d",
        "f e b a c d",
        "f e b c a d"
      ])
    }))

  it("a priority is a whole number", () => {
    const stage = Stage.work("stage", { run: Effect.void })
    for (const priority of [0.5, Number.NaN, Infinity, "10" as never, undefined as never]) {
      assert.throws(() => Stage.priority(stage, priority), StageError.InvalidOption)
      assert.throws(() => stage.pipe(Stage.annotate(Stage.Priority, priority)), StageError.InvalidOption)
    }
  })
})
