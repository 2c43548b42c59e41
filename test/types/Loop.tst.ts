/** The types of stages that loop: what they take, give, need and can fail with. */
import { Context, Effect, Schema } from "effect"
import { Stage, type StageError, StageOutput } from "stageflow"
import { Loop } from "stageflow/control"
import { describe, expect, test } from "tstyche"

class Down extends Schema.TaggedError<Down>()("Down", {}) {}
class Search extends Context.Service<Search, { readonly find: Effect.Effect<number, Down> }>()("app/Search") {}

interface Count {
  readonly n: number
}
const state = (inputs: { readonly plan: Count }): Count => inputs.plan

describe("Loop.until", () => {
  test("takes what `state` takes, and gives the last state with how it came to it", () => {
    const stage = Loop.until("loop", {
      state,
      body: ({ n }) => Effect.succeed({ n: n + 1 }),
      until: ({ n }, iterations) => n > iterations
    })
    expect(stage).type.toBe<
      Stage.Stage<
        "loop",
        { readonly plan: Count },
        Loop.Ended<Count, "until">,
        never,
        Loop.LoopUnfinished<Count>,
        never
      >
    >()
  })

  test("needs, fails with and signals what its body does", () => {
    const stage = Loop.until("loop", {
      state,
      body: Effect.fnUntraced(function*({ n }: Count) {
        if (n > 5) return yield* StageOutput.skip("enough")
        return { n: yield* (yield* Search).find }
      }),
      until: ({ n }) => n > 3
    })
    expect<Stage.Services<typeof stage>>().type.toBe<Search>()
    expect<Stage.Error<typeof stage>>().type.toBe<Down | Loop.LoopUnfinished<Count>>()
    expect<Stage.Signals<typeof stage>>().type.toBe<"skip">()
  })

  test("says how it ended, and does not fail, when it is to return", () => {
    const stage = Loop.until("loop", {
      state,
      body: Stage.transform("count", { run: ({ n }: Count) => Effect.succeed({ n }) }),
      until: () => false,
      unfinished: "return"
    })
    expect<Stage.DataOf<typeof stage>["ended"]>().type.toBe<"until" | Loop.StopReason>()
    expect<Stage.Error<typeof stage>>().type.toBe<StageError.DepthExceeded>()
  })
})
