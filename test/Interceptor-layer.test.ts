import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Layer, References, Schema, Tracer } from "effect"
import { TestClock } from "effect/testing"
import { Interceptor, Pipeline, Snapshot, Stage } from "stageflow"
import * as Interceptors from "stageflow/interceptors"
import { Simulation } from "stageflow/testing"

const hanging = Pipeline.make("pipeline").add(Stage.work("stage", { run: Effect.never }))

describe("what an interceptor of a Layer takes from the run, wherever the Layer was built", () => {
  it.effect("time: below a Layer from outside of a simulation, a timeout follows the simulation's clock", () =>
    Effect.gen(function*() {
      const { elapsed, exit } = yield* Simulation.run(hanging, Snapshot.make()).pipe(
        Effect.provide(Interceptor.layer(Interceptors.timeout("5 seconds")))
      )
      assert.strictEqual((yield* Effect.flip(exit)).error._tag, "StageFault")
      assert.strictEqual(elapsed.toString(), "5000 millis")
      yield* TestClock.adjust("1 hour")
    }))

  it.effect("spans: those of stages stay below the run's, which stays below its caller's", () =>
    Effect.gen(function*() {
      const spans: Array<Tracer.NativeSpan> = []
      const tracer = Tracer.make({
        span: (options) => {
          const span = new Tracer.NativeSpan(options)
          spans.push(span)
          return span
        }
      })
      const parentOf = (name: string) => {
        const parent = spans.find((span) => span.name === name)?.parent
        return parent?._tag === "Some" ? (parent.value as Tracer.Span).name : undefined
      }
      const pipeline = Pipeline.make("p").add(Stage.work("stage", { run: Effect.void }))
      const built = Layer.build(Interceptor.layer(Interceptors.tracing())).pipe(Effect.withSpan("start"))
      const layered = yield* Effect.provideService(built, Tracer.Tracer, tracer)
      yield* Pipeline.run(pipeline, Snapshot.make()).pipe(
        Effect.provide(layered),
        Effect.withSpan("request"),
        Effect.provideService(Tracer.Tracer, tracer)
      )
      assert.strictEqual(parentOf("attempt 1 of stage"), "stage stage")
      assert.strictEqual(parentOf("stage stage"), "pipeline p")
      assert.strictEqual(parentOf("pipeline p"), "request")
    }))

  it.effect("the annotations of logs", () =>
    Effect.gen(function*() {
      let seen: Readonly<Record<string, unknown>> = {}
      const looking = Interceptor.make({
        name: "looking",
        around: (effect) =>
          Effect.flatMap(References.CurrentLogAnnotations, (annotations) => {
            seen = annotations
            return effect
          })
      })
      const layered = yield* Effect.annotateLogs(Layer.build(Interceptor.layer(looking)), { at: "start" })
      const pipeline = Pipeline.make("p").add(Stage.work("stage", { run: Effect.void }))
      yield* Pipeline.run(pipeline, Snapshot.make()).pipe(Effect.provide(layered), Effect.annotateLogs({ request: 1 }))
      assert.deepStrictEqual(seen, { request: 1 })
    }))
})

class Down extends Schema.TaggedError<Down>()("Down", {}) {}

describe("what an interceptor of a Layer sees of a failure", () => {
  const errors: Readonly<Record<string, unknown>> = { "an error": new Down(), "a text": "down" }
  for (const [name, error] of Object.entries(errors)) {
    it.effect(`is what the stage failed with, which passes as it is: ${name}`, () =>
      Effect.gen(function*() {
        const seen: Array<unknown> = []
        const looking = Interceptor.make({
          name: "looking",
          around: (effect) => Effect.tapError(effect, (error) => Effect.sync(() => seen.push(error))),
          aroundRun: (effect) => Effect.tapError(effect, (error) => Effect.sync(() => seen.push(error)))
        })
        const pipeline = Pipeline.make("p").add(Stage.work("stage", { run: Effect.fail(error) }))
        const run = Pipeline.run(pipeline, Snapshot.make())
        const failed = yield* Effect.flip(Effect.provide(run, Interceptor.layer(looking)))
        assert.strictEqual(failed.error, error)
        assert.strictEqual(seen[0], error)
        assert.strictEqual(seen[1], failed)
        assert.strictEqual(seen.length, 2)
      }))
  }

  it.effect("so a retry asks about the error itself, and tries no fault again", () =>
    Effect.gen(function*() {
      const asked: Array<unknown> = []
      const retry = Interceptors.retry({
        attempts: 4,
        while: (error) => {
          asked.push(error)
          return false
        }
      })
      let calls = 0
      const down = new Down()
      const failing = Stage.work("stage", { run: Effect.fail(down) })
      const invalid = Stage.work("stage", {
        run: Effect.sync(() => {
          calls++
          return 42 as unknown as object
        })
      })
      yield* Effect.flip(
        Effect.provide(Pipeline.run(Pipeline.make("p").add(failing), Snapshot.make()), Interceptor.layer(retry))
      )
      yield* Effect.flip(
        Effect.provide(Pipeline.run(Pipeline.make("p").add(invalid), Snapshot.make()), Interceptor.layer(retry))
      )
      assert.deepStrictEqual(asked, [down])
      assert.strictEqual(calls, 1)
    }))

  it.effect("and whoever shares a stage that failed fails with its error", () =>
    Effect.gen(function*() {
      const cache = Interceptor.layer(Interceptors.cache({ ttl: "1 minute", of: () => "same" }))
      const down = new Down()
      const stage = Stage.work("stage", { run: Effect.andThen(Effect.sleep("1 second"), Effect.fail(down)) })
      const run = Effect.flip(Pipeline.run(Pipeline.make("p").add(stage), Snapshot.make()))
      const fiber = yield* Effect.forkChild(
        Effect.all([run, run, run], { concurrency: "unbounded" }).pipe(
          Effect.provide(Layer.provide(cache, Interceptors.Results.layerMemory()))
        ),
        { startImmediately: true }
      )
      yield* TestClock.adjust("1 second")
      const failed = yield* Fiber.join(fiber)
      assert.deepStrictEqual(failed.map(({ error }) => error), [down, down, down])
    }))
})
