/** The types of tools: what they take, give, need and can fail with. */
import { Context, Effect, type Layer, Schema } from "effect"
import { Tool as AiTool } from "effect/ai"
import { Pipeline, type Stage, type StageContext, type StageError } from "stageflow"
import {
  ApprovalPolicy,
  type Approvals,
  type CallError,
  Tool,
  ToolRegistry,
  Tools,
  Undo,
  type UndoStore
} from "stageflow/tools"
import { describe, expect, test } from "tstyche"

class Down extends Schema.TaggedError<Down>()("Down", {}) {}
class Payments extends Context.Service<Payments, {
  readonly pay: (amount: number) => Effect.Effect<string, Down>
  readonly takeBack: (receipt: string) => Effect.Effect<void>
}>()("app/Payments") {}
class Limits extends Context.Service<Limits, { readonly of: Effect.Effect<number> }>()("app/Limits") {}

const Amount = Schema.Struct({ amount: Schema.Finite })
const Receipt = Schema.Struct({ receipt: Schema.String })

const pay = Tool.make("pay", {
  parameters: Amount,
  success: Receipt,
  failure: Down,
  run: Effect.fnUntraced(function*({ amount }, { update }) {
    yield* update("paying")
    return { receipt: yield* (yield* Payments).pay(amount) }
  }),
  needsApproval: ({ amount }) => Effect.flatMap(Limits, ({ of }) => Effect.map(of, (limit) => amount > limit)),
  undo: ({ receipt }) => Effect.flatMap(Payments, ({ takeBack }) => takeBack(receipt)),
  timeout: "5 seconds"
})
const plain = Tool.make("plain", { run: () => Effect.void })

describe("Tool.make", () => {
  test("infers what it takes, gives, fails with and needs", () => {
    expect(pay.name).type.toBe<"pay">()
    expect<Tool.Parameters<typeof pay>>().type.toBe<{ readonly amount: number }>()
    expect<Tool.Success<typeof pay>>().type.toBe<{ readonly receipt: string }>()
    expect<Tool.Error<typeof pay>>().type.toBe<Down | StageError.StageTimeout>()
    expect<Tool.Services<typeof pay>>().type.toBe<Payments | Limits | Approvals.Approvals | UndoStore>()
  })

  test("needs nobody to ask and nothing to keep when it asks and keeps nothing", () => {
    expect(plain).type.toBe<Tool.Tool<"plain", { readonly [key: string]: never }, void>>()
    expect<Tool.Services<typeof plain>>().type.toBe<never>()
    const asked = Tool.make("asked", { needsApproval: "always", run: () => Effect.void })
    expect<Tool.Services<typeof asked>>().type.toBe<Approvals.Approvals>()
    const kept = Tool.make("kept", { needsApproval: "never", run: () => Effect.void, undo: () => Effect.void })
    expect<Tool.Services<typeof kept>>().type.toBe<UndoStore>()
  })

  test("is in a stage already, and does not ask for one", () => {
    const inside = Tool.make("inside", { success: Tools.Turn, run: () => Tools.execute([]) })
    expect<Tool.Services<typeof inside>>().type.toBe<ToolRegistry>()
    // The registry that it is in is there when it is called.
    expect<Layer.Services<ReturnType<typeof ToolRegistry.layer<[typeof inside]>>>>().type.toBe<never>()
  })
})

describe("Tool.fromPipeline", () => {
  test("takes what the pipeline takes, and fails with and needs what it does", () => {
    const pipeline = Pipeline.make("refund", { input: Amount })
      .transform("pay", {
        inputs: ["input"],
        run: ({ input }) =>
          Effect.flatMap(Payments, ({ pay }) => Effect.map(pay(input.amount), (receipt) => ({ receipt })))
      })
      .returns((s) => s.pay)
    const tool = Tool.fromPipeline("refund", pipeline, { success: Receipt })
    expect<Tool.Parameters<typeof tool>>().type.toBe<{ readonly amount: number }>()
    expect<Tool.Success<typeof tool>>().type.toBe<{ readonly receipt: string }>()
    expect<Tool.Services<typeof tool>>().type.toBe<Payments>()
    expect(Tool.fromPipeline).type.not.toBeCallableWith("refund", pipeline, { success: Schema.String })
  })
})

describe("effect/ai", () => {
  test("a tool made of one has its schemas and needs Approvals", () => {
    const ai = AiTool.make("weather", { parameters: Schema.Struct({ city: Schema.String }), success: Schema.String })
    const tool = Tool.fromAi(ai, { run: ({ city }) => Effect.map(Limits, () => city) })
    expect<Tool.Parameters<typeof tool>>().type.toBe<{ readonly city: string }>()
    expect<Tool.Success<typeof tool>>().type.toBe<string>()
    expect<Tool.Services<typeof tool>>().type.toBe<Limits | Approvals.Approvals>()
  })

  test("a tool as one of it needs to be in a stage", () => {
    const ai = Tool.toAi(pay)
    expect<AiTool.Requirements<typeof ai>>().type.toBe<StageContext.StageContext>()
    expect<AiTool.Success<typeof ai>>().type.toBe<{ readonly receipt: string }>()
    const { layer } = Tools.toolkit(pay, plain)
    expect<Layer.Services<typeof layer>>().type.toBe<ToolRegistry>()
  })
})

describe("what runs tools", () => {
  test("a registry needs what its tools need", () => {
    const registry = ToolRegistry.layer(pay, plain)
    expect<Layer.Services<typeof registry>>().type.toBe<Payments | Limits | Approvals.Approvals | UndoStore>()
    const both = ToolRegistry.merge(registry, ToolRegistry.layer(plain))
    expect<Layer.Services<typeof both>>().type.toBe<Payments | Limits | Approvals.Approvals | UndoStore>()
  })

  test("a call is typed by its tool", () => {
    expect(Tools.call(pay, { amount: 5 })).type.toBe<
      Effect.Effect<
        { readonly receipt: string },
        Down | StageError.StageTimeout | CallError,
        ToolRegistry | StageContext.StageContext
      >
    >()
    expect(Tools.call).type.not.toBeCallableWith(pay, { amount: "5" })
  })

  test("a stage of calls fails with nothing and needs the registry", () => {
    const stage = Tools.stage("act", { calls: (inputs: { readonly model: { readonly text: string } }) => inputs.model })
    expect(stage).type.toBe<
      Stage.Stage<"act", { readonly model: { readonly text: string } }, Tools.Turn, never, never, ToolRegistry>
    >()
  })

  test("a policy needs Approvals and its ports; undo needs the registry and the store", () => {
    const policy = ApprovalPolicy.layer(() => Effect.map(Limits, () => ApprovalPolicy.ask))
    expect(policy).type.toBe<Layer.Layer<never, never, Limits | Approvals.Approvals>>()
    expect(Undo.undo("x")).type.toBe<Effect.Effect<Undo.Undone, Undo.UndoError, ToolRegistry | UndoStore>>()
  })
})
