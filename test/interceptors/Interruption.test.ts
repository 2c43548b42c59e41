import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, type Layer, Scheduler } from "effect"
import { Pipeline, Snapshot, Stage } from "stageflow"
import * as Interceptors from "stageflow/interceptors"

const work = Stage.work("work", { run: Effect.yieldNow })
const steps = Array.from({ length: 60 }, (_, index) => index)

/** Whether another run ends well after one that was interrupted at this step. With few operations between two yields, that is anywhere. */
const survives = <E, R, E2>(run: Effect.Effect<unknown, E, R>, layer: Layer.Layer<R, E2>, step: number) =>
  Effect.gen(function*() {
    const interrupted = yield* Effect.forkChild(Effect.provideService(run, Scheduler.MaxOpsBeforeYield, 3))
    for (let time = 0; time < step; time++) yield* Effect.yieldNow
    yield* Fiber.interrupt(interrupted)
    const next = yield* Effect.forkChild(run)
    for (let time = 0; time < 50; time++) yield* Effect.yieldNow
    const isWell = next.pollUnsafe()?._tag === "Success"
    yield* Fiber.interrupt(next)
    return isWell
  }).pipe(Effect.provide(layer))

describe("an interruption at any step leaves nothing behind", () => {
  it.effect("in a bulkhead", () =>
    Effect.gen(function*() {
      const run = Pipeline.run(
        Pipeline.make("p").add(work).pipe(
          Pipeline.intercept(Interceptors.bulkhead({ name: "one", permits: 1, queue: 0 }))
        ),
        Snapshot.make()
      )
      for (const step of steps) {
        assert.isTrue(yield* survives(run, Interceptors.Bulkheads.layerMemory, step), `step ${step}`)
      }
    }))

  it.effect("in a cache", () =>
    Effect.gen(function*() {
      const run = Pipeline.run(
        Pipeline.make("p").add(work).pipe(
          Pipeline.intercept(Interceptors.cache({ ttl: "1 minute", of: () => "it" }))
        ),
        Snapshot.make()
      )
      for (const step of steps) {
        assert.isTrue(yield* survives(run, Interceptors.Results.layerMemory(), step), `step ${step}`)
      }
    }))
})
