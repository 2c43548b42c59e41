import { Context, Effect, Schema } from "effect"
import { Pipeline, type RunResult, Snapshot, type StageOutput } from "stageflow"
import { PipelineRegistry } from "stageflow/control"
import { describe, expect, test } from "tstyche"

class LlmDown extends Schema.TaggedError<LlmDown>()("LlmDown", {}) {}
class Llm extends Context.Service<Llm, { readonly ask: Effect.Effect<string, LlmDown> }>()("test/types/Llm") {}

const chat = Pipeline.make("chat").transform("answer", {
  run: Effect.gen(function*() {
    return { text: yield* (yield* Llm).ask }
  })
})
const billing = Pipeline.make("billing").work("charge", { run: Effect.fail("declined" as const) })

class Pipelines extends PipelineRegistry.Service<Pipelines>()("test/types/Pipelines", { chat, billing }) {}

describe("PipelineRegistry", () => {
  test("get gives the pipeline of a name that the compiler knows", () => {
    expect(Pipelines.get("chat")).type.toBe<Effect.Effect<typeof chat, never, Pipelines>>()
    expect(Pipelines.get).type.not.toBeCallableWith("chats")
  })

  test("find gives one of all", () => {
    expect(Pipelines.find("chat")).type.toBe<
      Effect.Effect<typeof chat | typeof billing, PipelineRegistry.UnknownPipeline, Pipelines>
    >()
  })

  test("run gives what one of them gives, fails with what one of them fails with, and needs what all need", () => {
    const run = Pipelines.run("chat", Snapshot.make())
    type Chat = { readonly answer: StageOutput.Ok<{ text: string }> }
    expect<Effect.Services<typeof run>>().type.toBe<Llm | Pipelines>()
    expect<Effect.Success<typeof run>["outputs"]>().type.toBeAssignableFrom<Chat>()
    expect<Extract<Effect.Error<typeof run>, PipelineRegistry.UnknownPipeline>>().type.toBe<
      PipelineRegistry.UnknownPipeline
    >()
    expect<Extract<Effect.Error<typeof run>, { readonly _tag: "StageFailed" }>["error"]>().type.toBeAssignableFrom<
      LlmDown | "declined"
    >()
    expect<Extract<Effect.Error<typeof run>, { readonly _tag: "LayerFailed" }>>().type.toBe<never>()
    expect<RunResult.RunResult>().type.toBeAssignableFrom<Effect.Success<typeof run>>()
  })

  test("lists the names, and a Layer gives it", () => {
    expect<Effect.Success<typeof Pipelines.list>>().type.toBe<ReadonlyArray<"chat" | "billing">>()
    expect(Effect.provide(Pipelines.get("billing"), Pipelines.layer)).type.toBe<
      Effect.Effect<typeof billing, never, never>
    >()
  })
})
