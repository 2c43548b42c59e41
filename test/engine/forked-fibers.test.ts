/**
 * A fiber that a stage forks does not outlive the stage: it is interrupted, its clean-up included, before anybody hears
 * that the stage has ended.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { Pipeline, Snapshot, Stage } from "stageflow"
import { Broken, during, Witness } from "../acceptance/support/lifecycle.ts"

/** A stage that leaves a fiber running whose clean-up takes a second, and the count of what that fiber did. */
const forking = <E>(then: Effect.Effect<void, E>) => {
  const forked = new Witness()
  const cleaned = { count: 0 }
  const cleanUp = Effect.andThen(Effect.sleep("1 second"), Effect.sync(() => cleaned.count++))
  const left = Effect.onInterrupt(forked.watch(Effect.sleep("1 hour")), () => cleanUp)
  const stage = Stage.work("forks", {
    run: Effect.andThen(Effect.forkChild(left, { startImmediately: true }), then)
  })
  const counts = () => ({ started: forked.started, interrupted: forked.interrupted, cleaned: cleaned.count })
  return { stage, counts }
}

/** A stage that says how far the forked fiber is when it runs. */
const counting = (name: string, { counts }: ReturnType<typeof forking>) =>
  Stage.transform(name, { run: Effect.sync(counts) })

const gone = { started: 1, interrupted: 1, cleaned: 1 }

describe("a fiber that a stage forked does not outlive the stage", () => {
  it.effect("it has ended when a stage starts that waits for this one", () =>
    Effect.gen(function*() {
      const forks = forking(Effect.void)
      const pipeline = Pipeline.make("pipeline").add(forks.stage).add(counting("next", forks), { after: ["forks"] })
      const { outputs } = yield* during(Pipeline.run(pipeline, Snapshot.make()), "1 second")
      assert.deepStrictEqual(outputs.next.data, gone)
    }))

  it.effect("nor a stage that fails, when the run goes on without it", () =>
    Effect.gen(function*() {
      const forks = forking(Effect.fail(new Broken({ by: "forks" })))
      const pipeline = Pipeline.make("pipeline").add(forks.stage).add(counting("other", forks))
      const run = Pipeline.run(pipeline, Snapshot.make(), { failure: "continue", concurrency: 1 })
      const { outputs } = yield* during(run, "1 second")
      assert.deepStrictEqual(outputs.other?.data, gone)
    }))

  it.effect("nor one after which nothing is left to do", () =>
    Effect.gen(function*() {
      const forks = forking(Effect.void)
      yield* during(Pipeline.run(Pipeline.make("pipeline").add(forks.stage), Snapshot.make()), "1 second")
      assert.deepStrictEqual(forks.counts(), gone)
    }))
})
