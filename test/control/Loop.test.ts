import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Fiber, Schema } from "effect"
import { TestClock } from "effect/testing"
import { EventSink, Pipeline, Snapshot, Stage, StageError, StageOutput } from "stageflow"
import { Loop } from "stageflow/control"
import { toMermaid } from "stageflow/graph"
import { announced } from "../support/announced.ts"

interface Count {
  readonly n: number
}

const start = Stage.transform("start", { run: Effect.succeed({ n: 1 }) })
const from = (inputs: { readonly start: Count }): Count => inputs.start
const double = ({ n }: Count) => Effect.succeed({ n: 2 * n })
type Node = Pipeline.Node<"loop", {}, "skip" | "cancel", unknown, never>
const run = (pipeline: Pipeline.Any) => Pipeline.run(pipeline as Pipeline.Pipeline<Node>, Snapshot.make())

const doubled = Loop.until("loop", { state: from, body: double, until: ({ n }) => n > 20 })

describe("Loop.until", () => {
  it.effect("gives the last state, the number of iterations, and the history", () =>
    Effect.gen(function*() {
      const pipeline = Pipeline.make("p").add(start).add(doubled, { inputs: ["start"] })
      const { outputs } = yield* Pipeline.run(pipeline, Snapshot.make())
      assert.deepStrictEqual(outputs.loop.data, {
        state: { n: 32 },
        iterations: 5,
        ended: "until",
        history: [1, 2, 4, 8, 16, 32].map((n, iteration) => ({ iteration, state: { n } }))
      })
    }))

  it.effect("keeps the last states of its history: 20, or as many as asked for", () =>
    Effect.gen(function*() {
      for (const history of [undefined, 3, 1, 0]) {
        const stage = Loop.until("loop", {
          state: () => ({ n: 0 }),
          body: ({ n }) => Effect.succeed({ n: n + 1 }),
          until: ({ n }) => n === 50,
          history
        })
        const { outputs } = yield* Pipeline.run(Pipeline.make("p").add(stage), Snapshot.make())
        const kept = history ?? 20
        assert.deepStrictEqual(
          outputs.loop.data.history.map(({ iteration }) => iteration),
          Array.from({ length: kept }, (_, index) => 51 - kept + index)
        )
      }
    }))

  it.effect("runs a stage or a pipeline, each time as a run of its own", () =>
    Effect.gen(function*() {
      const asStage = Stage.transform("double", { run: double })
      const asPipeline = Pipeline.make("doubling", { input: Schema.Struct({ n: Schema.Finite }) })
        .transform("double", { inputs: ["input"], run: ({ input }) => double(input) })
        .returns((s) => s.double)
      for (const body of [asStage, asPipeline]) {
        const stage = Loop.until("loop", { state: from, body: body as typeof asStage, until: ({ n }) => n > 20 })
        const { outputs } = yield* Pipeline.run(
          Pipeline.make("p").add(start).add(stage, { inputs: ["start"] }),
          Snapshot.make()
        )
        assert.deepStrictEqual(outputs.loop.data.state, { n: 32 })
      }
      const events = yield* (yield* EventSink.Memory).events
      const children = events.filter(({ _tag, parentStage }) => _tag === "RunStarted" && parentStage === "loop")
      assert.strictEqual(children.length, 10)
    }).pipe(Effect.provide(EventSink.layerMemory)))

  it.effect("tells every iteration, and how it ended", () =>
    Effect.gen(function*() {
      yield* Pipeline.run(Pipeline.make("p").add(start).add(doubled, { inputs: ["start"] }), Snapshot.make())
      const events = yield* (yield* EventSink.Memory).events
      assert.deepStrictEqual(
        announced(events),
        [
          ...[1, 2, 3, 4, 5].map((iteration) => ({ _tag: "LoopIterated", iteration, of: 100 })),
          { _tag: "LoopEnded", iterations: 5, ended: "until" }
        ]
      )
    }).pipe(Effect.provide(EventSink.layerMemory)))

  it.effect("that stops before it is done gives its last state when it is to return", () =>
    Effect.gen(function*() {
      const ends: Record<string, Partial<Loop.Options<unknown, Count, never, "return">>> = {
        iterations: { maxIterations: 3 },
        stagnation: { stagnation: { fingerprint: () => 1 } },
        oscillation: { stagnation: { fingerprint: ({ n }) => Math.log2(n) % 2 } },
        deadline: { deadline: "1 second" }
      }
      for (const [ended, options] of Object.entries(ends)) {
        const stage = Loop.until("loop", {
          ...options,
          state: () => ({ n: 1 }),
          body: ended === "deadline" ? () => Effect.never : double,
          until: () => false,
          unfinished: "return"
        })
        const fiber = yield* Effect.forkChild(Pipeline.run(Pipeline.make("p").add(stage), Snapshot.make()), {
          startImmediately: true
        })
        yield* TestClock.adjust("1 second")
        const { outputs } = yield* Fiber.join(fiber)
        assert.strictEqual(outputs.loop.data.ended, ended)
      }
    }))

  it.effect("is skipped or cancels the run when its body does, and fails with what that fails with", () =>
    Effect.gen(function*() {
      const stage = (output: Effect.Effect<unknown, unknown, unknown>) =>
        Pipeline.make("p").add(
          Loop.until("loop", {
            state: () => ({ n: 1 }),
            body: () => output as Effect.Effect<Count>,
            until: () => false
          })
        )
      for (const skip of [Effect.succeed(StageOutput.skip("none")), StageOutput.skip("none")]) {
        const result = yield* run(stage(skip))
        assert.include(JSON.stringify(result.outputs), "none")
        assert.strictEqual(result._tag, "Completed")
      }
      const cancelled = yield* run(stage(Effect.succeed(StageOutput.cancel("enough"))))
      assert.strictEqual(cancelled._tag, "Cancelled")
      const failed = yield* Effect.flip(run(stage(Effect.fail("broken"))))
      assert.strictEqual(failed.error, "broken")
    }))

  it.effect("a body cannot change a state that was", () =>
    Effect.gen(function*() {
      const stage = Loop.until("loop", {
        state: () => ({ list: [0] }),
        body: ({ list }) =>
          Effect.suspend(() => {
            Reflect.set(list, 0, 99)
            return Effect.succeed({ list: [...list, list.length] })
          }),
        until: ({ list }) => list.length === 3
      })
      const { outputs } = yield* Pipeline.run(Pipeline.make("p").add(stage), Snapshot.make())
      assert.deepStrictEqual(outputs.loop.data.state, { list: [0, 1, 2] })
    }))

  it.effect("a function of it that throws, or an `until` that gives no boolean, fails the stage", () =>
    Effect.gen(function*() {
      const fail = (): never => {
        throw new Error("boom")
      }
      const whole = { state: () => ({ n: 1 }), body: double, until: () => false }
      for (
        const broken of [
          { state: fail },
          { body: fail },
          { until: fail },
          { until: (() => "yes") as unknown as () => boolean },
          { until: (() => Effect.succeed(true)) as unknown as () => boolean },
          { stagnation: { fingerprint: fail } }
        ]
      ) {
        const stage = Loop.until("loop", { ...whole, ...broken })
        const failed = yield* Effect.flip(Pipeline.run(Pipeline.make("p").add(stage), Snapshot.make()))
        assert.instanceOf(failed.error, StageError.StageFault)
      }
    }))

  it.effect("is interrupted in any iteration, and what it waits for is cleaned up", () =>
    Effect.gen(function*() {
      const started = yield* Deferred.make<void>()
      let cleaned = 0
      const stage = Loop.until("loop", {
        state: () => ({ n: 0 }),
        body: Stage.transform("body", {
          run: ({ n }: Count) =>
            n < 2
              ? Effect.succeed({ n: n + 1 })
              : Effect.andThen(Deferred.succeed(started, undefined), Effect.never).pipe(
                Effect.onInterrupt(() => Effect.sync(() => cleaned++))
              )
        }),
        until: () => false,
        deadline: "1 hour"
      })
      const handle = yield* Pipeline.start(Pipeline.make("p").add(stage), Snapshot.make())
      yield* Deferred.await(started)
      yield* handle.cancel("enough")
      assert.strictEqual((yield* handle.await)._tag, "Cancelled")
      assert.strictEqual(cleaned, 1)
    }))

  it.effect("goes on for 100,000 iterations with one state at a time", () =>
    Effect.gen(function*() {
      const stage = Loop.until("loop", {
        state: () => ({ n: 0 }),
        body: ({ n }) => Effect.succeed({ n: n + 1 }),
        until: ({ n }) => n === 100_000,
        maxIterations: 100_000,
        history: 1
      })
      const { outputs } = yield* Pipeline.run(Pipeline.make("p").add(stage), Snapshot.make())
      assert.strictEqual(outputs.loop.data.iterations, 100_000)
    }))

  it.effect("is shown as a loop", () =>
    Effect.gen(function*() {
      const inside = Loop.until("inside", {
        state: from,
        body: Stage.transform("double", { run: double }),
        until: () => true
      })
      const pipeline = Pipeline.make("p").add(start).add(doubled, { inputs: ["start"] }).add(inside, {
        inputs: ["start"]
      })
      const { stages } = yield* Pipeline.describe(pipeline)
      assert.deepStrictEqual(stages.map(({ inside }) => inside?.repeats), [undefined, "loop", "loop"])
      const picture = yield* toMermaid(pipeline)
      assert.match(picture, /loop -->\|"again"\| loop/)
      assert.match(picture, /inside__double -->\|"again"\| inside__double/)
    }))

  it("refuses what cannot be, where it is made", () => {
    const untyped = Loop.until as unknown as (...given: ReadonlyArray<unknown>) => unknown
    const whole = { state: from, body: double, until: () => false }
    for (
      const given of [
        undefined,
        {},
        { ...whole, state: { n: 1 } },
        { ...whole, body: Effect.void },
        { ...whole, until: true },
        { ...whole, maxIteration: 2 },
        { ...whole, unfinished: "stop" },
        { ...whole, kind: "loop" },
        ...[0, -1, 1.5, Number.NaN, Infinity, "3", null].map((maxIterations) => ({ ...whole, maxIterations })),
        ...[-1, 1.5, "3"].map((history) => ({ ...whole, history })),
        ...[0, -1, "5"].map((deadline) => ({ ...whole, deadline })),
        ...[{ times: 1 }, { period: 0 }, { period: 1.5 }, { period: null }, { fingerprint: [] }, true, null].map((
          stagnation
        ) => ({
          ...whole,
          stagnation
        }))
      ]
    ) {
      assert.throws(() => untyped("s", given), StageError.InvalidOption, undefined, JSON.stringify(given))
    }
  })
})

describe("a loop that returns at its deadline", () => {
  it.effect("says that what was in flight ignored its interruption, and only then", () =>
    Effect.gen(function*() {
      const run = Effect.fnUntraced(function*(body: Effect.Effect<void>) {
        const loop = Loop.until("loop", {
          state: () => ({ n: 0 }),
          body: (state) => Effect.as(body, state),
          until: () => false,
          deadline: "1 second",
          unfinished: "return"
        })
        const running = yield* Effect.forkChild(
          Pipeline.run(Pipeline.make("p").add(loop), Snapshot.make(), { interruptionGrace: "1 second" })
        )
        yield* TestClock.adjust("2 seconds")
        return (yield* Fiber.join(running)).outputs.loop.data
      })
      const abandoned = yield* run(Effect.uninterruptible(Effect.sleep("1 hour")))
      assert.deepStrictEqual([abandoned.ended, abandoned.abandoned], ["deadline", true])
      const interrupted = yield* run(Effect.never)
      assert.strictEqual(interrupted.ended, "deadline")
      assert.notProperty(interrupted, "abandoned")
    }))
})
