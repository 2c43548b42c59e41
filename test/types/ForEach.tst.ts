/** The types of stages that run something for each of several items: what they take, give, need and can fail with. */
import { Context, Effect, Schema, Stream } from "effect"
import { Pipeline, type RunResult, Stage, type StageContext, type StageError, StageOutput } from "stageflow"
import { ForEach, type Subpipeline } from "stageflow/control"
import { describe, expect, test } from "tstyche"

class Down extends Schema.TaggedError<Down>()("Down", {}) {}
class Ended extends Schema.TaggedError<Ended>()("Ended", {}) {}
class Search extends Context.Service<Search, { readonly find: (id: string) => Effect.Effect<number, Down> }>()(
  "app/Search"
) {}
class Feed extends Context.Service<Feed, Stream.Stream<string, Ended>>()("app/Feed") {}

interface Doc {
  readonly id: string
}
interface Inputs {
  readonly docs: ReadonlyArray<Doc>
}
const items = (inputs: Inputs) => inputs.docs
const find = ({ id }: Doc) => Effect.flatMap(Search, (search) => search.find(id))

describe("ForEach.stage", () => {
  test("gives, in a list, what a function gives for an item, and fails with the item that failed", () => {
    const stage = ForEach.stage("find", { items, each: find })
    expect(stage).type.toBe<
      Stage.Stage<"find", Inputs, ForEach.Results<number>, never, ForEach.ItemFailed<Down>, Search>
    >()
    const cannotFail = ForEach.stage("ids", { items, each: ({ id }) => Effect.succeed(id) })
    expect(cannotFail).type.toBe<Stage.Stage<"ids", Inputs, ForEach.Results<string>, never, never, never>>()
  })

  test("tells what was ok from what failed, when items may fail", () => {
    const lasting = ForEach.stage("find", { items, each: find, failure: "continue" })
    expect(lasting).type.toBe<
      Stage.Stage<"find", Inputs, ForEach.Outcomes<number, Down>, never, ForEach.ItemFailed<Down>, Search>
    >()
    const some = ForEach.stage("find", { items, each: find, failure: { tolerate: 3 } })
    expect(some).type.toBe<
      Stage.Stage<
        "find",
        Inputs,
        ForEach.Outcomes<number, Down>,
        never,
        ForEach.TooManyFailed<Down> | ForEach.ItemFailed<Down>,
        Search
      >
    >()
    expect<Stage.DataOf<typeof some>["failed"][number]["error"]>().type.toBe<Down | StageError.StageFault>()
  })

  test("knows the item and its index, wherever the items come from", () => {
    ForEach.stage("a", {
      items: () => new Map([["a", 1]]),
      each: (entry, index) => {
        expect(entry).type.toBe<[string, number]>()
        expect(index).type.toBe<number>()
        return Effect.void
      },
      key: ([name]) => name
    })
    const streamed = ForEach.stage("b", {
      items: () => Stream.unwrap(Feed),
      each: (text) => Effect.succeed(text.length)
    })
    expect(streamed).type.toBe<Stage.Stage<"b", unknown, ForEach.Results<number>, never, Ended, Feed>>()
  })

  test("takes a skip for nothing that it gives, and may be cancelled", () => {
    const stage = ForEach.stage("s", {
      items,
      each: ({ id }) =>
        Effect.gen(function*() {
          if (id === "") return yield* StageOutput.skip("empty")
          if (id === "x") return yield* StageOutput.cancel("x")
          return id === "y" ? StageOutput.ok({ id }) : id === "z" ? StageOutput.fail(new Down()) : 1
        })
    })
    expect<Stage.DataOf<typeof stage>>().type.toBe<ForEach.Results<1 | { readonly id: "y" }>>()
    expect<Stage.Signals<typeof stage>>().type.toBe<"cancel">()
    expect<Stage.Error<typeof stage>>().type.toBe<ForEach.ItemFailed<Down>>()
  })

  test("that asks for another attempt fails when there is none", () => {
    const stage = ForEach.stage("s", { items, each: () => Effect.succeed(StageOutput.retry("again")) })
    expect<Stage.Error<typeof stage>>().type.toBe<ForEach.ItemFailed<StageError.RetryExhausted>>()
  })

  test("asks a policy about the error of an item", () => {
    ForEach.stage("s", {
      items,
      each: find,
      retry: {
        while: (error) => {
          expect(error).type.toBe<Down>()
          return true
        }
      }
    })
  })

  test("runs a stage or a pipeline for each item", () => {
    const fetch = Stage.enrich("fetch", { run: (doc: Doc) => Effect.map(find(doc), (n) => ({ n })) })
    const staged = ForEach.stage("s", { items, each: fetch })
    expect<Stage.DataOf<typeof staged>>().type.toBe<ForEach.Results<{ n: number }>>()
    expect<Stage.Error<typeof staged>>().type.toBe<ForEach.ItemFailed<Down | StageError.DepthExceeded>>()
    expect<Stage.Services<typeof staged>>().type.toBe<Search>()
    const child = Pipeline.make("child", { input: Schema.Struct({ id: Schema.String }) })
      .transform("find", { inputs: ["input"], run: ({ input }) => Effect.map(find(input), (n) => ({ n })) })
      .returns((s) => s.find.map(({ n }) => n))
    const piped = ForEach.stage("s", { items, each: child, failure: "continue" })
    expect<Stage.DataOf<typeof piped>["ok"][number]["value"]>().type.toBe<number>()
    expect<Stage.DataOf<typeof piped>["failed"][number]["error"]>().type.toBe<
      | Subpipeline.SubpipelineFailed<Pipeline.Failure<Pipeline.Nodes<typeof child>, never, {}, number>>
      | StageError.StageFault
    >()
    expect<Extract<Pipeline.Failure<Pipeline.Nodes<typeof child>, never>, RunResult.StageFailed>["error"]>().type
      .toBeAssignableFrom<Down>()
    expect<Stage.Services<typeof piped>>().type.toBe<Search>()
  })

  test("gives what the schema says", () => {
    const stage = ForEach.stage("s", {
      items,
      each: ({ id }) => Effect.succeed({ id, more: 1 }),
      output: Schema.Struct({ id: Schema.String })
    })
    expect<Stage.DataOf<typeof stage>>().type.toBe<ForEach.Results<{ readonly id: string }>>()
  })

  test("never needs the place that it is in", () => {
    const stage = ForEach.stage("s", {
      items: () => Stream.fromEffect({} as Effect.Effect<number, never, StageContext.StageContext>),
      each: () => ({} as Effect.Effect<number, never, StageContext.StageContext>)
    })
    expect<Stage.Services<typeof stage>>().type.toBe<never>()
  })
})
