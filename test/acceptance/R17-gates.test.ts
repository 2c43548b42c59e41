/**
 * A gate is a barrier for everything that is added after it.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { Pipeline, Snapshot, Stage, StageOutput } from "stageflow"
import { Simulation } from "stageflow/testing"

/** A guard that takes its time, and lets nothing pass that says so. */
const guard = Stage.guard("guard", {
  run: Effect.gen(function*() {
    yield* Effect.sleep("1 second")
    const { inputText } = yield* Snapshot.current
    if (inputText === "spam") return yield* StageOutput.cancel("spam")
    if (inputText === "nothing") return yield* StageOutput.skip("nothing to check")
    return {}
  })
})

describe("R17 a gate is a barrier", () => {
  const ran: Array<string> = []
  const noted = <const Name extends string>(name: Name) =>
    Stage.work(name, { run: Effect.sync(() => void ran.push(name)) })
  const gated = Pipeline.make("gated")
    .add(noted("before"))
    .gate(guard)
    .add(noted("root"))
    .add(noted("afterBefore"), { after: ["before"] })
    .add(noted("afterRoot"), { after: ["root"] })
    .work("inline", { when: (s) => s.before.map(() => true), run: Effect.sync(() => void ran.push("inline")) })

  const names = (text: string | undefined) =>
    Effect.gen(function*() {
      ran.length = 0
      const simulated = yield* Simulation.run(gated, Snapshot.make(text === undefined ? {} : { inputText: text }))
      return { ran: ran.toSorted(), exit: simulated.exit }
    })

  it.effect("nothing that was added after it starts before it has passed", () =>
    Effect.gen(function*() {
      const all = ["afterBefore", "afterRoot", "before", "inline", "root"]
      assert.deepStrictEqual((yield* names(undefined)).ran, all)
      assert.deepStrictEqual((yield* names("spam")).ran, ["before"])
      assert.deepStrictEqual((yield* names("nothing")).ran, all)
    }))

  it.effect("whoever waits for another that waits for it needs no edge of its own", () =>
    Effect.gen(function*() {
      const { edges } = yield* Pipeline.describe(gated)
      const waiting = edges.filter(({ from }) => from === "guard").map(({ to }) => to)
      assert.deepStrictEqual(waiting, ["root", "afterBefore", "inline"])
    }))

  it.effect("a gate is behind the gate before it, and what is merged or put behind is behind both", () =>
    Effect.gen(function*() {
      const second = Stage.guard("second", { run: Effect.void })
      const other = Pipeline.make("other").add(noted("merged"))
      for (
        const pipeline of [gated.gate(second).merge(other), gated.gate(second).extend(other, { after: ["before"] })]
      ) {
        const { edges } = yield* Pipeline.describe(pipeline)
        const dependencies = (name: string) => edges.filter(({ to }) => to === name).map(({ from }) => from)
        assert.deepStrictEqual(dependencies("second"), ["guard"])
        assert.include(dependencies("merged"), "second")
      }
    }))

  it.effect("a gate is wired like any other stage", () =>
    Effect.gen(function*() {
      const reader = Stage.guard("reader", {
        run: (inputs: { readonly source: { readonly ok: boolean } }) =>
          inputs.source.ok ? Effect.void : StageOutput.cancel("no")
      })
      const pipeline = (ok: boolean) =>
        Pipeline.make("p")
          .work("source", { run: Effect.succeed({ ok }) })
          .gate(reader, { inputs: ["source"] })
          .add(noted("behind"))
      ran.length = 0
      yield* Pipeline.run(pipeline(false), Snapshot.make())
      assert.deepStrictEqual(ran, [])
      yield* Pipeline.run(pipeline(true), Snapshot.make())
      assert.deepStrictEqual(ran, ["behind"])
    }))
})
