import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { Pipeline, Stage } from "stageflow"

const idle = <const Name extends string>(name: Name) => Stage.work(name, { run: Effect.void })

/** What the stage `end`, which extends this pipeline, waits for. */
const behind = (first: Pipeline.Pipeline<Pipeline.AnyNode>) =>
  Pipeline.describe(first.extend(Pipeline.make("behind").add(idle("end")))).pipe(
    Effect.map(({ edges }) => edges.filter(({ to }) => to === "end").map(({ from }) => from))
  )

describe("Pipeline.extend", () => {
  it.effect("waits for every stage that nothing waits for, also beside one that is called like an optional input", () =>
    Effect.gen(function*() {
      const specs = [idle("a"), idle("a?"), idle("b")].map((stage) => ({ stage }))
      assert.deepStrictEqual(
        yield* behind(yield* Pipeline.fromSpecs("real", [...specs, { stage: idle("reader"), inputs: ["a?"] }])),
        ["a", "b", "reader"]
      )
      assert.deepStrictEqual(
        yield* behind(
          yield* Pipeline.fromSpecs("optional", [
            { stage: idle("a") },
            { stage: idle("b") },
            { stage: idle("reader"), inputs: ["a?"] }
          ])
        ),
        ["b", "reader"]
      )
    }))
})
