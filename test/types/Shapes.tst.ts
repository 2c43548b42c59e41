/** The types of pipelines and stages of common shapes. */
import { Effect, Schema } from "effect"
import { Pipeline, Snapshot, Stage, type StageError, StageOutput } from "stageflow"
import { Shapes, type Subpipeline } from "stageflow/control"
import { describe, expect, test } from "tstyche"

class Down extends Schema.TaggedError<Down>()("Down", {}) {}

const fetch = Stage.transform("fetch", { run: Effect.succeed({ body: "Once upon a time" }) })
const count = Stage.transform("count", {
  run: (inputs: { readonly body: string }) => Effect.succeed({ letters: inputs.body.length })
})
const save = Stage.work("save", {
  run: (inputs: { readonly letters: number }) =>
    inputs.letters === 0 ? Effect.fail(new Down()) : Effect.succeed({ saved: true })
})
const maybe = Stage.enrich("maybe", {
  run: (inputs: { readonly body: string }) => Effect.succeed(inputs.body === "" ? StageOutput.skip("empty") : { n: 1 })
})

describe("Shapes.chain", () => {
  test("is a pipeline of its stages that returns what the last gives", () => {
    const chain = Shapes.chain("p", [fetch, count, save])
    expect(chain).type.toBe<
      Pipeline.Pipeline<
        | Pipeline.Node<"fetch", { body: string }, never, never, never>
        | Pipeline.Node<"count", { letters: number }, never, never, never>
        | Pipeline.Node<"save", { saved: boolean }, never, Down, never>,
        never,
        never,
        { saved: boolean }
      >
    >()
    const run = Pipeline.run(chain, Snapshot.make())
    expect<Effect.Success<typeof run>["value"]>().type.toBe<{ saved: boolean }>()
  })

  test("takes an input", () => {
    const chain = Shapes.chain("p", [count], { input: Schema.Struct({ body: Schema.String }) })
    expect(Pipeline.run).type.toBeCallableWith(chain, Snapshot.make({ input: { body: "x" } }))
    expect(Pipeline.run).type.not.toBeCallableWith(chain, Snapshot.make())
  })

  test("knows stages that are written in it", () => {
    const chain = Shapes.chain("p", [
      Stage.transform("one", { run: Effect.succeed({ body: "x" }) }),
      Stage.transform("two", { run: (inputs: { readonly body: string }) => Effect.succeed({ all: inputs.body }) }),
      Stage.as(Stage.transform("three", { run: Effect.succeed({ end: 1 }) }), "last")
    ])
    expect<Pipeline.Nodes<typeof chain>["name"]>().type.toBe<"one" | "two" | "last">()
  })
})

describe("Shapes.fanOut", () => {
  test("joins the data of its branches by their names", () => {
    const join = Stage.transform("join", {
      run: (inputs: { readonly count: { readonly letters: number }; readonly other: { readonly letters: number } }) =>
        Effect.succeed({ sum: inputs.count.letters + inputs.other.letters })
    })
    const fan = Shapes.fanOut("p", { from: fetch, to: [count, Stage.as(count, "other")], join })
    const run = Pipeline.run(fan, Snapshot.make())
    expect<Effect.Success<typeof run>["value"]>().type.toBe<{ sum: number }>()
  })

  test("without a join is open for one that goes without a branch that skips", () => {
    const open = Shapes.fanOut("p", { from: fetch, to: [count, maybe] })
    expect(open.add).type.toBeCallableWith(
      Stage.work("end", { run: (_: { readonly count: { readonly letters: number } }) => Effect.void }),
      { inputs: ["count"] }
    )
    const join = Stage.work("end", { run: (_: { readonly maybe: { readonly n: number } }) => Effect.void })
    expect(Shapes.fanOut).type.not.toBeCallableWith("p", { from: fetch, to: [count, maybe], join })
  })
})

describe("Shapes.duplex", () => {
  test("joins what its lanes end with", () => {
    const join = Stage.transform("join", {
      run: (inputs: { readonly count: { readonly letters: number }; readonly talk: { readonly body: string } }) =>
        Effect.succeed({ text: `${inputs.talk.body} ${inputs.count.letters}` })
    })
    const duplex = Shapes.duplex("p", { lanes: [[fetch, count], [Stage.as(fetch, "talk")]], join })
    const run = Pipeline.run(duplex, Snapshot.make())
    expect<Effect.Success<typeof run>["value"]>().type.toBe<{ text: string }>()
    expect(Shapes.duplex).type.not.toBeCallableWith("p", { lanes: [[fetch, count], [fetch]] })
  })
})

describe("Shapes.race", () => {
  test("takes what all take, gives what any gives, and is lost with the errors of all", () => {
    const child = Pipeline.make("child").add(fetch)
    const race = Shapes.race("race", { count, child, save: () => Effect.fail(new Down()) })
    expect<Stage.Input<typeof race>>().type.toBe<{ readonly body: string }>()
    expect<Stage.DataOf<typeof race>>().type.toBe<
      { letters: number } | { readonly fetch: { body: string } }
    >()
    expect<Stage.Error<typeof race>>().type.toBe<
      Shapes.RaceLost<
        | Down
        | StageError.DepthExceeded
        | Subpipeline.SubpipelineFailed<Pipeline.Failure<Pipeline.Nodes<typeof child>, never>>
      >
    >()
  })

  test("skips when everybody may, and cancels when somebody may", () => {
    const some = Shapes.race("race", { count, maybe })
    expect<Stage.Signals<typeof some>>().type.toBe<never>()
    const all = Shapes.race("race", { maybe, other: () => Effect.succeed(StageOutput.skip("no")) })
    expect<Stage.Signals<typeof all>>().type.toBe<"skip">()
    const cancels = Shapes.race("race", { count, other: () => Effect.succeed(StageOutput.cancel("no")) })
    expect<Stage.Signals<typeof cancels>>().type.toBe<"cancel">()
    const retries = Shapes.race("race", { other: () => Effect.succeed(StageOutput.retry("again")) })
    expect<Stage.Signals<typeof retries>>().type.toBe<never>()
    expect<Stage.Error<typeof retries>>().type.toBe<Shapes.RaceLost<StageError.RetryExhausted>>()
  })
})
