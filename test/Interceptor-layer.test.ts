import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, References, Tracer } from "effect"
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
