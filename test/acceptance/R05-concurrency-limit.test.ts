import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Schedule } from "effect"
import { TestClock } from "effect/testing"
import { Pipeline, type Run, Snapshot, Stage, StageError, StageOutput } from "stageflow"
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
      assert.strictEqual(yield* inTime(nested(0)), 1024)
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
