import { assert, describe, it } from "@effect/vitest"
import { Cause, Context, Deferred, Effect, Fiber, Option, Ref, Schedule, Schema, Stream } from "effect"
import { TestClock } from "effect/testing"
import {
  type Event,
  EventSink,
  Pipeline,
  ResultCodec,
  Snapshot,
  Stage,
  StageContext,
  StageError,
  StageOutput
} from "stageflow"
import { ForEach, Subpipeline } from "stageflow/control"
import { announced } from "../support/announced.ts"

class Odd extends Schema.TaggedError<Odd>()("Odd", { n: Schema.Int }) {
  override get message(): string {
    return `${this.n} is odd`
  }
}

const evenOnly = (n: number) => n % 2 === 0 ? Effect.succeed(n * 10) : Effect.fail(new Odd({ n }))

/** Runs a stage without inputs in a pipeline of its own. */
const runAlone = <Name extends string, D, S, E, R>(stage: Stage.Stage<Name, unknown, D, S, E, R>) =>
  // The name says nothing to the types here.
  Pipeline.run(
    Pipeline.make("p").add(Stage.as(stage, "it") as Stage.Stage<"it", unknown, D, never, E, R>),
    Snapshot.make()
  )

const dataOf = <Name extends string, D, S, E, R>(stage: Stage.Stage<Name, unknown, D, S, E, R>) =>
  Effect.map(runAlone(stage), ({ outputs }) => (outputs as { readonly it: StageOutput.Ok<D> }).it.data)

const errorOf = <Name extends string, D, S, E, R>(stage: Stage.Stage<Name, unknown, D, S, E, R>) =>
  Effect.map(Effect.flip(runAlone(stage)), ({ error }) => error)

const range = (count: number) => Array.from({ length: count }, (_, index) => index)

describe("ForEach.stage", () => {
  it.effect("gives what the items give, in their order, whatever order they end in", () =>
    Effect.gen(function*() {
      const fiber = yield* Effect.forkChild(dataOf(ForEach.stage("s", {
        items: () => range(20),
        each: (n, index) => Effect.delay(Effect.succeed(n + index), `${20 - n} seconds`),
        concurrency: "unbounded"
      })))
      yield* TestClock.adjust("20 seconds")
      assert.deepStrictEqual(yield* Fiber.join(fiber), { results: range(20).map((n) => n * 2), skipped: [] })
    }))

  it.effect("takes arrays, sets, maps, generators and streams", () =>
    Effect.gen(function*() {
      const results = (items: () => Iterable<unknown> | Stream.Stream<unknown>) =>
        Effect.map(dataOf(ForEach.stage("s", { items, each: (item) => Effect.succeed(item) })), (data) => data.results)
      assert.deepStrictEqual(yield* results(() => []), [])
      assert.deepStrictEqual(yield* results(() => ["a", "b"]), ["a", "b"])
      assert.deepStrictEqual(yield* results(() => new Set([1, 2])), [1, 2])
      assert.deepStrictEqual(yield* results(() => new Map([["a", 1]])), [["a", 1]])
      assert.deepStrictEqual(
        yield* results(function*() {
          yield* range(25)
        }),
        range(25)
      )
      assert.deepStrictEqual(yield* results(() => Stream.range(1, 5000)), range(5000).map((n) => n + 1))
      assert.deepStrictEqual(yield* results(() => Stream.empty), [])
    }))

  it.effect("takes its inputs, and anything as a result", () =>
    Effect.gen(function*() {
      const pipeline = Pipeline.make("p")
        .add(Stage.enrich("search", { run: Effect.succeed({ titles: ["Engines", "Boilers"] }) }))
        .add(
          ForEach.stage("lengths", {
            items: (inputs: { readonly search: { readonly titles: ReadonlyArray<string> } }) => inputs.search.titles,
            each: (title) => Effect.succeed(title.length)
          }),
          { inputs: ["search"] }
        )
      const { outputs } = yield* Pipeline.run(pipeline, Snapshot.make())
      assert.deepStrictEqual(outputs.lengths.data.results, [7, 7])
      const odd = [undefined, null, Number.NaN, "x", 1n, [1], Option.some(1), new Date(0)]
      const { results } = yield* dataOf(
        ForEach.stage("s", { items: () => odd, each: (item) => Effect.succeed(item), concurrency: 1 })
      )
      assert.deepStrictEqual(results, odd)
    }))

  it.effect("runs a stage for each item, in runs of their own", () =>
    Effect.gen(function*() {
      const double = Stage.transform("double", {
        run: (inputs: { readonly n: number }) =>
          Effect.map(StageContext.StageContext, ({ lineage }) => ({ n: inputs.n * 2, lineage }))
      })
      const stage = ForEach.stage("doubled", { items: () => range(3).map((n) => ({ n })), each: double })
      const { results } = yield* dataOf(stage)
      assert.deepStrictEqual(results.map(({ n }) => n), [0, 2, 4])
      assert.strictEqual(new Set(results.map(({ lineage }) => lineage.runId)).size, 3)
      assert.deepStrictEqual(new Set(results.map(({ lineage }) => lineage.parentStage)), new Set(["it"]))
    }))

  it.effect("runs a pipeline for each item, and gives what it returns", () =>
    Effect.gen(function*() {
      const shout = Pipeline.make("shout", { input: Schema.Struct({ text: Schema.String }) })
        .transform("up", { inputs: ["input"], run: ({ input }) => Effect.succeed({ text: input.text.toUpperCase() }) })
        .returns((s) => s.up.map(({ text }) => text))
      const stage = ForEach.stage("shouts", { items: () => [{ text: "a" }, { text: "b" }], each: shout })
      assert.deepStrictEqual((yield* dataOf(stage)).results, ["A", "B"])
      const { stages } = yield* Pipeline.describe(Pipeline.make("p").add(stage))
      assert.deepStrictEqual(stages[0]?.inside?.repeats, "for-each")
      assert.deepStrictEqual(stages[0]?.inside?.pipelines.map(({ pipeline }) => pipeline.name), ["shout"])
    }))

  it.effect("gives data that nobody can change, and that is a copy", () =>
    Effect.gen(function*() {
      const shared = { list: [1] }
      const data = yield* dataOf(
        ForEach.stage("s", { items: () => [1, 2], each: () => Effect.succeed(shared), failure: "continue" })
      )
      shared.list.push(2)
      assert.deepStrictEqual(data.ok.map(({ value }) => value), [{ list: [1] }, { list: [1] }])
      const frozen = [data, data.ok, data.failed, data.skipped, data.ok[0], data.ok[0]?.value, data.ok[0]?.value.list]
      assert.isTrue(frozen.every((value) => Object.isFrozen(value)))
    }))

  it.effect("tells items apart that were skipped, returned or yielded", () =>
    Effect.gen(function*() {
      const each = (n: number) =>
        n === 0
          ? Effect.succeed(StageOutput.skip("nothing"))
          : n === 1
          ? Effect.gen(function*() {
            return yield* StageOutput.skip("empty")
          })
          : Effect.succeed(n)
      const fast = yield* dataOf(ForEach.stage("s", { items: () => range(4), each }))
      assert.deepStrictEqual(fast.results, [2, 3])
      assert.deepStrictEqual(fast.skipped.map(({ index, reason }) => [index, reason]), [[0, "nothing"], [1, "empty"]])
      const all = yield* dataOf(ForEach.stage("s", { items: () => range(4), each, failure: "continue" }))
      assert.deepStrictEqual(all.ok.map(({ index, value }) => [index, value]), [[2, 2], [3, 3]])
      assert.deepStrictEqual(all.skipped.map(({ key }) => key), ["0", "1"])
    }))

  it.effect("is cancelled by an item: the others are interrupted, and the run ends as cancelled", () =>
    Effect.gen(function*() {
      const interrupted = yield* Ref.make(0)
      const stage = ForEach.stage("s", {
        items: () => range(5),
        each: (n) =>
          n === 4
            ? Effect.gen(function*() {
              return yield* StageOutput.cancel("enough", { data: { n } })
            })
            : Effect.onInterrupt(Effect.never, () => Ref.update(interrupted, (count) => count + 1)),
        failure: "continue"
      })
      const result = yield* Pipeline.run(Pipeline.make("p").add(stage), Snapshot.make())
      assert(result._tag === "Cancelled")
      assert.deepStrictEqual([result.by, result.reason, result.data], ["s", "enough", { n: 4 }])
      assert.strictEqual(yield* Ref.get(interrupted), 4)
    }))
})

describe("a failed item", () => {
  it.effect("fails the stage with its error and says which one it was", () =>
    Effect.gen(function*() {
      const stage = ForEach.stage("s", { items: () => [2, 3], each: evenOnly, key: (n) => `item-${n}` })
      const failed = yield* Effect.flip(runAlone(stage))
      assert(failed.error instanceof ForEach.ItemFailed)
      const { attempts, index, key, stage: name } = failed.error
      assert.deepStrictEqual([name, index, key, attempts], ["it", 1, "item-3", 1])
      assert.instanceOf(failed.error.error, Odd)
      assert.strictEqual(failed.error.message, `Item 1 ("item-3") of stage "it" failed: Odd: 3 is odd`)
      assert.notProperty(JSON.parse(JSON.stringify(failed.error)), "error")
    }))

  it.effect("interrupts the others, which have cleaned up before the stage ends", () =>
    Effect.gen(function*() {
      const cleaned: Array<number> = []
      const stage = ForEach.stage("s", {
        items: () => range(4),
        each: (n) =>
          n === 3
            ? Effect.andThen(Effect.yieldNow, Effect.fail(new Odd({ n })))
            : Effect.onInterrupt(
              Effect.never,
              () => Effect.andThen(Effect.sleep("1 second"), Effect.sync(() => cleaned.push(n)))
            )
      })
      const fiber = yield* Effect.forkChild(errorOf(stage))
      yield* TestClock.adjust("999 millis")
      assert.isUndefined(fiber.pollUnsafe())
      assert.deepStrictEqual(cleaned, [])
      yield* TestClock.adjust("1 millis")
      assert.instanceOf(yield* Fiber.join(fiber), ForEach.ItemFailed)
      assert.deepStrictEqual(cleaned.sort(), [0, 1, 2])
    }))

  it.effect("is left out of what the others give, with failure: continue", () =>
    Effect.gen(function*() {
      const stage = ForEach.stage("s", { items: () => range(5), each: evenOnly, failure: "continue" })
      const { failed, ok, skipped } = yield* dataOf(stage)
      assert.deepStrictEqual(ok.map(({ index, key, value }) => [index, key, value]), [[0, "0", 0], [2, "2", 20], [
        4,
        "4",
        40
      ]])
      assert.deepStrictEqual(failed.map(({ error, index }) => [index, error._tag]), [[1, "Odd"], [3, "Odd"]])
      assert.deepStrictEqual(skipped, [])
    }))

  it.effect("says what else went wrong: a defect, a throw, an interruption, something forgotten", () =>
    Effect.gen(function*() {
      const bodies: ReadonlyArray<() => Effect.Effect<unknown>> = [
        () => Effect.die(new TypeError("secret")),
        () => {
          throw new RangeError("secret")
        },
        () => Effect.interrupt,
        () => Effect.succeed(Effect.void),
        () => Effect.succeed(Promise.resolve(1) as unknown),
        () => 1 as never,
        () =>
          Effect.succeed({
            get trap() {
              throw new Error("trap")
            }
          })
      ]
      const stage = ForEach.stage("s", { items: () => bodies, each: (body) => body(), failure: "continue" })
      const { failed } = yield* dataOf(stage)
      assert.deepStrictEqual(
        failed.map(({ error }) => error._tag === "StageFault" && error.reason._tag),
        ["Defect", "Defect", "SelfInterrupted", "InvalidOutput", "InvalidOutput", "InvalidOutput", "InvalidOutput"]
      )
      assert.isFalse(failed.some(({ error }) => error.message.includes("secret")))
    }))

  it.effect("by a defect fails the stage as a defect, when nothing is tolerated", () =>
    Effect.gen(function*() {
      const stage = ForEach.stage("s", { items: () => [1], each: () => Effect.die(new TypeError("x")) })
      const failed = yield* Effect.flip(runAlone(stage))
      assert(failed.error instanceof StageError.StageFault)
      assert.strictEqual(failed.error.reason._tag, "Defect")
      assert.isTrue(Cause.hasDies(failed.cause))
    }))

  it.effect("is tolerated so many times, and no more", () =>
    Effect.gen(function*() {
      const tolerating = (tolerate: number) =>
        ForEach.stage("s", { items: () => range(6), each: evenOnly, failure: { tolerate }, concurrency: 1 })
      const { failed, ok } = yield* dataOf(tolerating(3))
      assert.deepStrictEqual([failed.length, ok.length], [3, 3])
      const error = yield* errorOf(tolerating(1))
      assert(error instanceof ForEach.TooManyFailed)
      assert.deepStrictEqual(error.failed.map(({ index }) => index), [1, 3])
      assert.strictEqual(error.message, `2 items of stage "it" failed, and 1 may. Item 1: Odd: 1 is odd`)
      const none = yield* errorOf(tolerating(0))
      assert(none instanceof ForEach.TooManyFailed)
      assert.deepStrictEqual(none.failed.map(({ error: { _tag }, index }) => [index, _tag]), [[1, "Odd"]])
    }))

  it.effect("keeps what failed besides in the cause", () =>
    Effect.gen(function*() {
      const stage = ForEach.stage("s", {
        items: () => range(2),
        each: (n) => n === 0 ? Effect.ensuring(Effect.never, Effect.die("finalizer")) : Effect.fail(new Odd({ n }))
      })
      const failed = yield* Effect.flip(runAlone(stage))
      assert(failed.error instanceof ForEach.ItemFailed)
      assert.deepStrictEqual(failed.cause.reasons.map(({ _tag }) => _tag), ["Fail", "Die"])
    }))

  it.effect("that was refused is a refusal of its stage: nothing tries it again", () =>
    Effect.gen(function*() {
      let runs = 0
      const guard = Stage.guard("guard", {
        run: (_: { readonly n: number }) =>
          Effect.suspend(() => {
            runs++
            return Effect.fail(new Odd({ n: 1 }))
          })
      })
      const policy = { schedule: Schedule.recurs(3) }
      for (const failure of ["fail-fast", { tolerate: 0 }] as const) {
        runs = 0
        const stage = ForEach.stage("s", { items: () => [{ n: 1 }], each: guard, failure, retry: policy })
        yield* errorOf(stage.pipe(Stage.retry(policy)))
        assert.strictEqual(runs, 1)
      }
    }))
})

describe("the attempts of an item", () => {
  const flaky = (calls: Map<number, number>, failures: number) => (n: number) =>
    Effect.suspend(() => {
      const call = (calls.get(n) ?? 0) + 1
      calls.set(n, call)
      return call > failures * n ? Effect.succeed(n) : Effect.fail(new Odd({ n }))
    })

  it.effect("are made as the policy says, and counted for each", () =>
    Effect.gen(function*() {
      const stage = ForEach.stage("s", {
        items: () => range(4),
        each: flaky(new Map(), 1),
        retry: { schedule: Schedule.recurs(2) },
        failure: "continue"
      })
      const { failed, ok } = yield* dataOf(stage)
      assert.deepStrictEqual(ok.map(({ attempts, index }) => [index, attempts]), [[0, 1], [1, 2], [2, 3]])
      assert.deepStrictEqual(failed.map(({ attempts, index }) => [index, attempts]), [[3, 3]])
    }))

  it.effect("look at the error, and wait between", () =>
    Effect.gen(function*() {
      const fiber = yield* Effect.forkChild(dataOf(ForEach.stage("s", {
        items: () => range(3),
        each: flaky(new Map(), 1),
        retry: { schedule: Schedule.spaced("10 seconds"), attempts: 5, while: (error) => error.n === 1 },
        failure: "continue"
      })))
      yield* TestClock.adjust("9 seconds")
      assert.isUndefined(fiber.pollUnsafe())
      yield* TestClock.adjust("1 second")
      const { failed, ok } = yield* Fiber.join(fiber)
      assert.deepStrictEqual(ok.map(({ attempts, durationMs }) => [attempts, durationMs]), [[1, 0], [2, 10_000]])
      assert.deepStrictEqual(failed.map(({ attempts }) => attempts), [1])
    }))

  it.effect("are asked for with StageOutput.retry, which only a policy grants", () =>
    Effect.gen(function*() {
      const asking = (calls: Map<number, number>) => (n: number) =>
        Effect.suspend(() => {
          const call = (calls.get(n) ?? 0) + 1
          calls.set(n, call)
          return Effect.succeed(call === 1 ? StageOutput.retry("again") : StageOutput.ok({ n }))
        })
      const granted = yield* dataOf(
        ForEach.stage("s", { items: () => [7], each: asking(new Map()), retry: { schedule: Schedule.recurs(1) } })
      )
      assert.deepStrictEqual(granted.results, [{ n: 7 }])
      const refused = yield* errorOf(ForEach.stage("s", { items: () => [7], each: asking(new Map()) }))
      assert(refused instanceof ForEach.ItemFailed)
      assert.strictEqual(refused.error._tag, "RetryExhausted")
    }))

  it.effect("are those of a stage that retries by itself", () =>
    Effect.gen(function*() {
      const calls = new Map<number, number>()
      const body = flaky(calls, 1)
      const fetch = Stage.enrich("fetch", {
        run: (inputs: { readonly n: number }) => Effect.map(body(inputs.n), (n) => ({ n }))
      }).pipe(Stage.retry({ schedule: Schedule.recurs(1) }))
      const stage = ForEach.stage("s", {
        items: () => range(4).map((n) => ({ n })),
        each: fetch,
        failure: "continue",
        retry: { schedule: Schedule.recurs(1) }
      })
      const { failed, ok } = yield* dataOf(stage)
      assert.deepStrictEqual(ok.map(({ attempts }) => attempts), [1, 2, 3, 4])
      assert.deepStrictEqual(failed, [])
    }))
})

describe("how many items are worked on", () => {
  it.effect("is limited to 10, or to what concurrency says; the limit is reached", () =>
    Effect.gen(function*() {
      for (const [concurrency, limit] of [[undefined, 10], [1, 1], [3, 3], ["unbounded", 50]] as const) {
        let running = 0
        let most = 0
        const stage = ForEach.stage("s", {
          items: () => range(50),
          each: () =>
            Effect.acquireUseRelease(
              Effect.sync(() => {
                most = Math.max(most, ++running)
              }),
              () => Effect.sleep("1 second"),
              () => Effect.sync(() => running--)
            ),
          concurrency
        })
        const fiber = yield* Effect.forkChild(dataOf(stage))
        yield* TestClock.adjust("60 seconds")
        yield* Fiber.join(fiber)
        assert.strictEqual(most, limit)
        assert.strictEqual(running, 0)
      }
    }))

  it.effect("is what is taken of an endless input, and no more; its iterator is closed", () =>
    Effect.gen(function*() {
      let taken = 0
      let closed = 0
      function* endless() {
        try {
          for (;;) yield taken++
        } finally {
          closed++
        }
      }
      const stage = ForEach.stage("s", {
        items: endless,
        each: (n) =>
          n === 5 ? Effect.sleep("1 second").pipe(Effect.andThen(Effect.fail(new Odd({ n })))) : Effect.never,
        concurrency: 6
      })
      const fiber = yield* Effect.forkChild(errorOf(stage))
      yield* TestClock.adjust("500 millis")
      assert.deepStrictEqual([taken, closed], [6, 0])
      yield* TestClock.adjust("500 millis")
      yield* Fiber.join(fiber)
      assert.deepStrictEqual([taken, closed], [6, 1])
    }))

  it.effect("is what is asked of a stream, which is finalized", () =>
    Effect.gen(function*() {
      let made = 0
      let closed = 0
      const numbers = Stream.fromEffectRepeat(Effect.sync(() => made++)).pipe(
        Stream.ensuring(Effect.sync(() => closed++))
      )
      const stage = ForEach.stage("s", {
        items: () => numbers,
        each: (n) =>
          n === 3 ? Effect.sleep("1 second").pipe(Effect.andThen(Effect.fail(new Odd({ n })))) : Effect.never,
        concurrency: 4
      })
      const fiber = yield* Effect.forkChild(errorOf(stage))
      yield* TestClock.adjust("500 millis")
      assert.deepStrictEqual([made, closed], [4, 0])
      yield* TestClock.adjust("500 millis")
      assert.instanceOf(yield* Fiber.join(fiber), ForEach.ItemFailed)
      assert.deepStrictEqual([made, closed], [4, 1])
    }))

  it.effect("grows while a slow stream gives items, though nobody waits twice for it", () =>
    Effect.gen(function*() {
      let running = 0
      const stage = ForEach.stage("s", {
        items: () => Stream.range(1, 3).pipe(Stream.rechunk(1), Stream.tap(() => Effect.sleep("1 second"))),
        each: () => Effect.andThen(Effect.sync(() => running++), Effect.sleep("10 seconds"))
      })
      const fiber = yield* Effect.forkChild(dataOf(stage))
      const seen: Array<number> = []
      for (let second = 1; second <= 3; second++) {
        yield* TestClock.adjust("1 second")
        seen.push(running)
      }
      assert.deepStrictEqual(seen, [1, 2, 3])
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual((yield* Fiber.join(fiber)).results.length, 3)
    }))

  it.effect("takes no fiber for each item", () =>
    Effect.gen(function*() {
      const fibers = new Set<unknown>()
      const stage = ForEach.stage("s", {
        items: () => range(100_000),
        each: (n) =>
          Effect.withFiber((fiber) => {
            fibers.add(fiber)
            return n % 1000 === 0 ? Effect.as(Effect.yieldNow, n) : Effect.succeed(n)
          }),
        concurrency: 8
      })
      const { results } = yield* dataOf(stage)
      assert.strictEqual(results.length, 100_000)
      assert.isAtMost(fibers.size, 8)
    }))
})

describe("items that fail half-way", () => {
  it.effect("fail the stage with the error of the stream, and interrupt what is in flight", () =>
    Effect.gen(function*() {
      let interrupted = 0
      const stage = ForEach.stage("s", {
        items: () => Stream.concat(Stream.make(1, 2), Stream.fail(new Odd({ n: 3 }))),
        each: () => Effect.onInterrupt(Effect.never, () => Effect.sync(() => interrupted++)),
        failure: "continue"
      })
      assert.instanceOf(yield* errorOf(stage), Odd)
      assert.strictEqual(interrupted, 2)
    }))

  it.effect("fail it with a defect when an iterator throws, in whichever part", () =>
    Effect.gen(function*() {
      let interrupted = 0
      const parts: ReadonlyArray<() => Iterable<number>> = [
        () => {
          throw new TypeError("no items")
        },
        function*() {
          yield 1
          throw new TypeError("half-way")
        },
        () => ({
          [Symbol.iterator]: () => {
            throw new TypeError("no iterator")
          }
        }),
        () => "text" as never,
        () => undefined as never,
        () => Effect.succeed([1]) as never,
        () => Promise.resolve([1]) as never
      ]
      for (const items of parts) {
        const each = () => Effect.onInterrupt(Effect.never, () => Effect.sync(() => interrupted++))
        const error: unknown = yield* errorOf(ForEach.stage("s", { items, each, failure: "continue" }))
        assert(error instanceof StageError.StageFault)
        assert.strictEqual(error.stage, "it")
        assert.strictEqual(error.reason._tag, "Defect")
      }
      assert.strictEqual(interrupted, 1)
    }))

  it.effect("need what the stream needs", () =>
    Effect.gen(function*() {
      class Numbers extends Context.Service<Numbers, ReadonlyArray<number>>()("test/Numbers") {}
      const stage = ForEach.stage("s", {
        items: () => Stream.unwrap(Effect.map(Numbers, (numbers) => Stream.fromIterable(numbers))),
        each: (n) => Effect.succeed(n)
      })
      const { results } = yield* Effect.provideService(dataOf(stage), Numbers, [1, 2])
      assert.deepStrictEqual(results, [1, 2])
    }))
})

describe("the events", () => {
  const eventsOf = <Name extends string, D, S, E>(stage: Stage.Stage<Name, unknown, D, S, E>) =>
    Effect.gen(function*() {
      yield* Effect.exit(runAlone(stage))
      const events = yield* (yield* EventSink.Memory).events
      const items = events.filter((event): event is Event.Of<"ItemEnded"> => event._tag === "ItemEnded")
      return { items, told: announced(events, "ItemEnded"), ended: announced(events, "ForEachEnded") }
    }).pipe(Effect.provide(EventSink.layerMemory))

  it.effect("tell of every item of a small input, with the counts so far, and of the end", () =>
    Effect.gen(function*() {
      const stage = ForEach.stage("s", {
        items: () => range(3),
        each: evenOnly,
        key: (n) => `n${n}`,
        failure: "continue",
        concurrency: 1
      })
      const { ended, items, told } = yield* eventsOf(stage)
      assert.deepStrictEqual(told[1], {
        _tag: "ItemEnded",
        index: 1,
        key: "n1",
        attempts: 1,
        durationMs: 0,
        outcome: "failed",
        error: { tag: "Odd", message: "1 is odd" },
        counts: { done: 2, ok: 1, failed: 1, skipped: 0, total: 3 }
      })
      assert.deepStrictEqual(items.map(({ index }) => index), [0, 1, 2])
      assert.deepStrictEqual(ended, [
        {
          _tag: "ForEachEnded",
          outcome: "ok",
          counts: { done: 3, ok: 2, failed: 1, skipped: 0, total: 3, interrupted: 0 }
        }
      ])
    }))

  it.effect("are thinned for a large input, and their counts stay exact", () =>
    Effect.gen(function*() {
      const stage = ForEach.stage("s", {
        items: () => range(10_003),
        each: (n) => n % 5000 === 4999 ? Effect.fail(new Odd({ n })) : Effect.succeed(n),
        failure: "continue",
        concurrency: 1
      })
      const { ended, items } = yield* eventsOf(stage)
      assert.strictEqual(items.length, 100 + 90 + 90 + 1)
      assert.deepStrictEqual(items.slice(99, 102).map(({ counts }) => counts.done), [100, 110, 120])
      assert.deepStrictEqual(items.at(-1)?.counts, { done: 10_003, ok: 10_001, failed: 2, skipped: 0, total: 10_003 })
      assert.deepStrictEqual((ended[0] as { readonly counts: unknown }).counts, {
        ...items.at(-1)?.counts,
        interrupted: 0
      })
    }))

  it.effect("are those that are asked for", () =>
    Effect.gen(function*() {
      const told = (events: ForEach.EventsOption) =>
        Effect.map(
          eventsOf(ForEach.stage("s", {
            items: () => range(12),
            each: (n) => n === 7 ? Effect.fail(new Odd({ n })) : Effect.succeed(n),
            failure: "continue",
            concurrency: 1,
            events
          })),
          ({ items }) => items.map(({ index }) => index)
        )
      assert.deepStrictEqual(yield* told("all"), range(12))
      assert.deepStrictEqual(yield* told("none"), [])
      assert.deepStrictEqual(yield* told({ first: 2 }), [0, 1])
      assert.deepStrictEqual(yield* told({ every: 5 }), [4, 9])
      assert.deepStrictEqual(yield* told({ failures: true }), [7])
      assert.deepStrictEqual(yield* told({ last: true }), [11])
      assert.deepStrictEqual(yield* told({ first: 1, every: 6, failures: true, last: true }), [0, 5, 7, 11])
    }))

  it.effect("say how it ended when it did not go through all, and how many were interrupted", () =>
    Effect.gen(function*() {
      const stage = ForEach.stage("s", {
        items: () => range(9),
        each: (n) => n === 3 ? Effect.fail(new Odd({ n })) : n < 3 ? Effect.never : Effect.succeed(n),
        concurrency: 4
      })
      const { ended } = yield* eventsOf(stage)
      assert.deepStrictEqual(ended, [
        {
          _tag: "ForEachEnded",
          outcome: "failed",
          counts: { done: 1, ok: 0, failed: 1, skipped: 0, total: 9, interrupted: 3 }
        }
      ])
    }))

  it.effect("and artifacts that come with what a function gives are the stage's", () =>
    Effect.gen(function*() {
      const stage = ForEach.stage("s", {
        items: () => [1],
        each: (n) =>
          Effect.succeed(
            StageOutput.ok({ n }, { artifacts: [{ type: "chart", payload: n }], events: [{ type: "made", data: n }] })
          )
      })
      const { outputs } = yield* Pipeline.run(Pipeline.make("p").add(stage), Snapshot.make())
      assert.deepStrictEqual(outputs.s.artifacts, [{ type: "chart", payload: 1 }])
    }))
})

describe("the progress of a run", () => {
  it.effect("says how many items are done, and of how many when that is known", () =>
    Effect.gen(function*() {
      const gate = yield* Deferred.make<void>()
      const each = (n: number) => n < 4 ? Effect.succeed(n) : Effect.as(Deferred.await(gate), n)
      const pipeline = Pipeline.make("p")
        .add(ForEach.stage("known", { items: () => range(10), each }))
        .add(ForEach.stage("unknown", { items: () => Stream.range(0, 9), each }))
        .add(Stage.work("other", { run: Effect.void }))
      const handle = yield* Pipeline.start(pipeline, Snapshot.make())
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(yield* handle.progress, { known: { done: 4, total: 10 }, unknown: { done: 4 } })
      yield* Deferred.succeed(gate, undefined)
      yield* handle.await
      assert.deepStrictEqual(yield* handle.progress, {
        known: { done: 10, total: 10 },
        unknown: { done: 10, total: 10 }
      })
    }))

  it.effect("is what any stage says of itself", () =>
    Effect.gen(function*() {
      const pipeline = Pipeline.make("p").add(Stage.work("__proto__", {
        run: Effect.andThen(StageContext.progress({ done: 1, total: 3 }), Effect.never)
      }))
      const handle = yield* Pipeline.start(pipeline, Snapshot.make())
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(Object.entries(yield* handle.progress), [["__proto__", { done: 1, total: 3 }]])
    }))

  it.effect("dies of what cannot be", () =>
    Effect.gen(function*() {
      const wrong = [{ done: -1 }, { done: 1.5 }, { done: 2, total: 1 }, { done: 0, total: Number.NaN }, {}, undefined]
      for (const progress of wrong) {
        const error = yield* errorOf(Stage.work("s", { run: StageContext.progress(progress as never) }))
        assert(error instanceof StageError.StageFault && error.reason._tag === "Defect")
        assert.instanceOf(error.reason.defect, StageError.InvalidOption)
      }
    }))

  it.effect("of an attempt that is over is not heard any more", () =>
    Effect.gen(function*() {
      let late: Effect.Effect<void> = Effect.void
      let attempts = 0
      const flaky = Stage.work("s", {
        run: Effect.gen(function*() {
          const context = yield* StageContext.StageContext
          yield* context.progress({ done: context.attempt })
          if (++attempts === 1) {
            late = context.progress({ done: 99 })
            return yield* Effect.fail("first")
          }
          yield* late
        })
      }).pipe(Stage.retry(Schedule.recurs(1)))
      const handle = yield* Pipeline.start(Pipeline.make("p").add(flaky), Snapshot.make())
      yield* handle.await
      assert.deepStrictEqual(yield* handle.progress, { s: { done: 2 } })
    }))
})

describe("what gives the items", () => {
  it.effect("fails the stage when it dies while it is closed after its last item", () =>
    Effect.gen(function*() {
      const items = Stream.make(1, 2).pipe(Stream.ensuring(Effect.die("finalizer")))
      const error = yield* errorOf(ForEach.stage("s", { items: () => items, each: (n) => Effect.succeed(n) }))
      assert(error instanceof StageError.StageFault && error.reason._tag === "Defect")
      assert.strictEqual(error.reason.defect, "finalizer")
    }))

  it.effect("fails the stage when it is an iterator that says nothing", () =>
    Effect.gen(function*() {
      for (const next of [() => 5, () => undefined, () => null]) {
        const items = { [Symbol.iterator]: () => ({ next }) } as unknown as Iterable<number>
        const error = yield* errorOf(ForEach.stage("s", { items: () => items, each: () => Effect.void }))
        assert(error instanceof StageError.StageFault && error.reason._tag === "Defect")
        assert.instanceOf(error.reason.defect, TypeError)
      }
    }))
})

describe("the schemas of an item", () => {
  it.effect("validate what the items give, and say which one is wrong", () =>
    Effect.gen(function*() {
      const stage = ForEach.stage("s", {
        items: () => [1, 2.5],
        each: (n) => Effect.succeed({ n }),
        output: Schema.Struct({ n: Schema.Int })
      })
      const error = yield* errorOf(stage)
      assert(error instanceof StageError.StageFault && error.reason._tag === "InvalidOutput")
      assert.deepStrictEqual(error.reason.problems[0]?.path, ["results", 1, "n"])
    }))

  it.effect("fail an item that gives something else, and no other", () =>
    Effect.gen(function*() {
      const stage = ForEach.stage("s", {
        items: () => [1, 2.5, 3],
        each: (n) => Effect.succeed(n === 3 ? StageOutput.ok({ n }) : { n }),
        output: Schema.Struct({ n: Schema.Int }),
        failure: "continue"
      })
      const { failed, ok } = yield* dataOf(stage)
      assert.deepStrictEqual(ok.map(({ index, value }) => [index, value]), [[0, { n: 1 }], [2, { n: 3 }]])
      const [{ error, index } = assert.fail()] = failed
      assert.strictEqual(index, 1)
      assert(error instanceof StageError.StageFault && error.reason._tag === "InvalidOutput")
      assert.deepStrictEqual(error.reason.problems[0]?.path, ["n"])

      const none = yield* errorOf(ForEach.stage("s", {
        items: () => [1.5, 2.5, 3],
        each: (n) => Effect.succeed({ n }),
        output: Schema.Struct({ n: Schema.Int }),
        failure: { tolerate: 1 }
      }))
      assert(none instanceof ForEach.TooManyFailed)
      assert.deepStrictEqual(none.failed.map(({ index }) => index), [0, 1])
    }))

  it.effect("encode what the stage gives, and what it fails with", () =>
    Effect.gen(function*() {
      const options = {
        items: () => range(3),
        each: (n: number) => n === 1 ? Effect.fail(new Odd({ n })) : Effect.succeed({ at: new Date(n) }),
        output: Schema.Struct({ at: Schema.Date }),
        error: Odd
      }
      const lasting = Pipeline.make("p").add(ForEach.stage("s", { ...options, failure: "continue" }))
      const result = yield* Pipeline.run(lasting, Snapshot.make())
      const read = yield* ResultCodec.decode(lasting, yield* ResultCodec.encode(lasting, result))
      assert(read._tag === "Completed")
      assert.deepStrictEqual(read.outputs.s.data, result.outputs.s.data)
      for (const failure of ["fail-fast", { tolerate: 0 }] as const) {
        const failing = Pipeline.make("p").add(ForEach.stage("s", { ...options, failure }))
        const failed = yield* Effect.flip(Pipeline.run(failing, Snapshot.make()))
        const back = yield* ResultCodec.decode(failing, yield* ResultCodec.encode(failing, failed))
        assert(back._tag === "StageFailed")
        assert.strictEqual(back.error.message, failed.error.message)
        assert.deepStrictEqual(back.error, failed.error)
      }
    }))
})

describe("a for-each among others", () => {
  it.effect("runs in itself, in pipelines in stages, and with a timeout around it", () =>
    Effect.gen(function*() {
      const inner = ForEach.stage("inner", {
        items: (inputs: { readonly n: number }) => range(inputs.n),
        each: (n) => Effect.succeed(n)
      }).pipe(Stage.timeout("1 second"))
      const outer = ForEach.stage("outer", { items: () => [{ n: 1 }, { n: 3 }], each: inner })
      const pipeline = Pipeline.make("child").add(outer).returns((s) => s.outer)
      const data = yield* dataOf(ForEach.stage("s", { items: () => [1, 2], each: pipeline }))
      assert.deepStrictEqual(data.results[1]?.results.map(({ results }) => results), [[0], [0, 1, 2]])
      const nested = yield* dataOf(Subpipeline.stage("s", pipeline))
      assert.deepStrictEqual(nested.results.length, 2)
    }))

  it.effect("lets a run go on that goes on after failures", () =>
    Effect.gen(function*() {
      const pipeline = Pipeline.make("p")
        .add(ForEach.stage("s", { items: () => [1], each: evenOnly }))
        .add(Stage.work("other", { run: Effect.void }))
      const result = yield* Pipeline.run(pipeline, Snapshot.make(), { failure: "continue" })
      assert(result._tag === "Incomplete")
      assert.deepStrictEqual([result.failed, result.ok], [["s"], ["other"]])
    }))
})

describe("what it is made of", () => {
  const untyped = ForEach.stage as unknown as (...given: ReadonlyArray<unknown>) => unknown
  const [items, each] = [() => [1], () => Effect.void]
  it("is refused where it is made", () => {
    const wrong: ReadonlyArray<unknown> = [
      undefined,
      {},
      { items },
      { each },
      { items: [1], each },
      { items, each: 1 },
      { items, each: Effect.void },
      { items, each, concurrency: 0 },
      { items, each, concurrency: 1.5 },
      { items, each, concurrency: "many" },
      { items, each, failure: "stop" },
      { items, each, failure: {} },
      { items, each, failure: { tolerate: -1 } },
      { items, each, failure: { tolerate: 1, more: 1 } },
      { items, each, key: "id" },
      { items, each, retry: { times: 3 } },
      { items, each, events: "some" },
      { items, each, events: { every: 0 } },
      { items, each, events: { first: -1 } },
      { items, each, events: { failures: 1 } },
      { items, each, events: { nth: 2 } },
      { items, each, kind: "loop" },
      { items, each, output: {} },
      { items, each, error: {} },
      { items, each, onFailure: "stop" },
      {
        items,
        get each() {
          throw new Error("trap")
        }
      }
    ]
    for (const given of wrong) assert.throws(() => untyped("s", given), StageError.InvalidOption)
  })

  it.effect("fails the item whose key cannot be made", () =>
    Effect.gen(function*() {
      const stage = ForEach.stage("s", {
        items: () => [1, 2],
        each: (n) => Effect.succeed(n),
        key: (n) => n === 1 ? n as never : "two",
        failure: "continue"
      })
      const { failed, ok } = yield* dataOf(stage)
      assert.deepStrictEqual(failed.map(({ error, key }) => [key, error._tag]), [["0", "StageFault"]])
      assert.deepStrictEqual(ok.map(({ key }) => key), ["two"])
    }))
})

describe("artifacts of a function for each item", () => {
  const noting = (payload: string) =>
    Effect.flatMap(StageContext.StageContext, ({ addArtifact }) => addArtifact({ type: "note", payload }))

  it.effect("an attempt that is followed by another one leaves none", () =>
    Effect.gen(function*() {
      let tries = 0
      const stage = ForEach.stage("s", {
        items: () => ["a", "b"],
        each: (item) =>
          Effect.suspend(() => {
            const attempt = ++tries
            return Effect.andThen(
              noting(`${item} ${attempt}`),
              attempt % 3 === 0 ? Effect.succeed(item) : Effect.fail("no")
            )
          }),
        retry: Schedule.recurs(5),
        concurrency: 1
      })
      const { outputs } = yield* Pipeline.run(Pipeline.make("p").add(stage), Snapshot.make())
      assert.deepStrictEqual(outputs.s.artifacts.map(({ payload }) => payload), ["a 3", "b 6"])
    }))

  it.effect("a retry around the stage drops them with the attempt", () =>
    Effect.gen(function*() {
      let tries = 0
      const stage = ForEach.stage("s", {
        items: () => ["a"],
        each: () =>
          Effect.suspend(() => Effect.andThen(noting(String(++tries)), tries === 4 ? Effect.void : Effect.fail("no"))),
        retry: Schedule.recurs(1)
      }).pipe(Stage.retry(Schedule.recurs(3)))
      const { outputs } = yield* Pipeline.run(Pipeline.make("p").add(stage), Snapshot.make())
      assert.deepStrictEqual(outputs.s.artifacts.map(({ payload }) => payload), ["4"])
    }))
})
