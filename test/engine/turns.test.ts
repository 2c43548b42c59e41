/**
 * A run of stages that never wait for anything still lets the other fibers of the process have their turn.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { Pipeline, Snapshot, Stage } from "stageflow"

const stages = 500

/** A hundred steps that wait for nothing. */
const busy = Effect.suspend(() => {
  let step = 0
  return Effect.whileLoop({ while: () => step < 100, body: () => Effect.void, step: () => step++ })
})

describe("a run of stages that never wait", () => {
  it.effect("lets others have their turn about as often as one fiber of as many steps would", () =>
    Effect.gen(function*() {
      const names = Array.from({ length: stages }, (_, index) => `stage${index}`)
      const pipeline = yield* Pipeline.fromSpecs(
        "busy",
        names.map((name, index) => ({
          stage: Stage.work(name, { run: busy }),
          after: names.slice(Math.max(0, index - 1), index)
        }))
      )
      let turns = 0
      const others = yield* Effect.forkChild(
        Effect.forever(Effect.andThen(Effect.yieldNow, Effect.sync(() => turns++)))
      )
      yield* Pipeline.run(pipeline, Snapshot.make())
      yield* Fiber.interrupt(others)
      // A fiber lets others go on every 2,048 steps; a step here and its result count as one or two.
      assert.isAtLeast(turns, 10)
    }))
})
