/** The types of stages that run pipelines: what they take, give, need and can fail with. */
import { Context, Effect, Schema } from "effect"
import { Pipeline, type RunResult, Snapshot, Stage, type StageContext, StageOutput } from "stageflow"
import { Subpipeline } from "stageflow/control"
import { describe, expect, test } from "tstyche"

class Down extends Schema.TaggedError<Down>()("Down", {}) {}
class Search extends Context.Service<Search, { readonly find: Effect.Effect<number, Down> }>()("app/Search") {}

const child = Pipeline.make("child", { input: Schema.Struct({ topic: Schema.String }) })
  .add(Stage.guard("guard", {
    run: Effect.gen(function*() {
      const { inputText } = yield* Snapshot.current
      if (inputText === undefined) return yield* StageOutput.cancel("No text")
    })
  }))
  .add(Stage.enrich("maybe", {
    run: Effect.gen(function*() {
      const { userId } = yield* Snapshot.current
      return userId === undefined ? StageOutput.skip("No user") : { userId }
    })
  }))
  .transform("search", {
    inputs: ["input"],
    *run() {
      return { found: yield* (yield* Search).find }
    }
  })
const returning = child.returns((s) => s.search)

type ChildFailure = Pipeline.Failure<Pipeline.Nodes<typeof child>, never>

describe("Subpipeline.stage", () => {
  const stage = Subpipeline.stage("child", child)
  test("takes what its pipeline takes, and gives the data of its stages by name", () => {
    expect<Stage.Input<typeof stage>>().type.toBe<{ readonly topic: string }>()
    expect<Stage.DataOf<typeof stage>>().type.toBe<{
      readonly guard: {}
      readonly search: { readonly found: number }
      readonly maybe?: { userId: string }
    }>()
  })

  test("needs what its pipeline needs, and fails with what that fails with", () => {
    expect<Stage.Services<typeof stage>>().type.toBe<Search>()
    expect<Stage.Error<typeof stage>>().type.toBe<Subpipeline.SubpipelineFailed<ChildFailure>>()
    expect<Extract<ChildFailure, RunResult.StageFailed>["error"]>().type.toBeAssignableFrom<Down>()
  })

  test("takes what `input` and `snapshot` take, and gives what the pipeline returns or `output` gives", () => {
    const made = Subpipeline.stage("child", returning, {
      input: (inputs: { readonly plan: { readonly topic: string } }) => inputs.plan
    })
    expect<Stage.Input<typeof made>>().type.toBe<{ readonly plan: { readonly topic: string } }>()
    expect<Stage.DataOf<typeof made>>().type.toBe<{ readonly found: number }>()
    const both = Subpipeline.stage("child", returning, {
      input: () => ({ topic: "x" }),
      snapshot: (current, inputs: { readonly text: string }) => Snapshot.update(current, { inputText: inputs.text }),
      output: ({ value }) => value.found === 0 ? StageOutput.skip("Nothing found") : { count: value.found }
    })
    expect<Stage.Input<typeof both>>().type.toBe<{ readonly text: string }>()
    expect<Stage.DataOf<typeof both>>().type.toBe<{ count: number }>()
    expect<Stage.Signals<typeof both>>().type.toBe<"skip" | "cancel">()
  })

  test("ends as `onCancel` says when its pipeline can be cancelled", () => {
    expect<Stage.Signals<typeof stage>>().type.toBe<"cancel">()
    const skipped = Subpipeline.stage("child", child, { onCancel: "skip" })
    expect<Stage.Signals<typeof skipped>>().type.toBe<"skip">()
    const failed = Subpipeline.stage("child", child, { onCancel: "fail" })
    expect<Stage.Signals<typeof failed>>().type.toBe<never>()
    expect<Stage.Error<typeof failed>>().type.toBe<
      Subpipeline.SubpipelineFailed<ChildFailure> | Subpipeline.SubpipelineCancelled
    >()
    const plain = Pipeline.make("plain").add(Stage.work("write", { run: Effect.void }))
    const never = Subpipeline.stage("child", plain, { onCancel: "fail" })
    expect<Stage.Error<typeof never>>().type.toBe<
      Subpipeline.SubpipelineFailed<RunResult.StageFailed<never, { readonly write: StageOutput.Ok<{}> }>>
    >()
  })

  test("does not need what `snapshot` adds", () => {
    const plain = Pipeline.make("plain").add(Stage.work("write", { run: Effect.void }))
    expect(Subpipeline.stage("child", plain, { run: { concurrency: 1 }, kind: "work" })).type.toBe<
      Stage.Stage<
        "child",
        unknown,
        { readonly write: {} },
        never,
        Subpipeline.SubpipelineFailed<RunResult.StageFailed<never, { readonly write: StageOutput.Ok<{}> }>>,
        never
      >
    >()
  })
})

describe("Subpipeline.run", () => {
  test("gives what a run ends with that was not cancelled, and is for stages only", () => {
    const run = Subpipeline.run(returning, { input: { topic: "x" }, onCancel: "skip" })
    expect<Effect.Success<typeof run>["value"]>().type.toBe<{ readonly found: number }>()
    expect<Effect.Services<typeof run>>().type.toBe<
      Search | StageContext.StageContext | StageOutput.InStage<"skip">
    >()
  })

  test("with failures that let others go on gives what is incomplete, too", () => {
    const run = Subpipeline.run(child, { input: { topic: "x" }, run: { failure: "continue" }, onCancel: "fail" })
    expect<Effect.Success<typeof run>["_tag"]>().type.toBe<"Completed" | "Incomplete">()
    expect<Effect.Services<typeof run>>().type.toBe<Search | StageContext.StageContext>()
  })
})
