import { Context, Effect, Layer, Schema, type Scope, type Stream } from "effect"
import {
  type Event,
  Interceptor,
  Pipeline,
  type PipelineInvalid,
  type Run,
  type RunResult,
  Snapshot,
  Source,
  Stage,
  type StageError,
  StageOutput
} from "stageflow"
import { describe, expect, test } from "tstyche"
import {
  base,
  type Llm,
  llm,
  type LlmDown,
  type Profile,
  profile,
  type Profiles,
  type ProfileUnavailable,
  type Route,
  router,
  skilled,
  type Skills,
  support
} from "./fixtures/world.ts"

class Denied extends Schema.TaggedError<Denied>()("Denied", {}) {}
class NoKey extends Schema.TaggedError<NoKey>()("NoKey", {}) {}
class Tokens extends Context.Service<Tokens, { readonly check: Effect.Effect<boolean, Denied> }>()("test/Tokens") {}
class Keys extends Context.Service<Keys, { readonly key: string }>()("test/Keys") {}

declare const llmLayer: Layer.Layer<Llm, NoKey, Keys>
declare const dynamicName: string
declare const condition: boolean

const auth = Interceptor.make({
  name: "auth",
  around: (effect) =>
    Effect.gen(function*() {
      const tokens = yield* Tokens
      if (yield* tokens.check) return yield* effect
      return yield* new Denied()
    })
})

const asks = Stage.work("asks", {
  run: Effect.gen(function*() {
    if (condition) return yield* StageOutput.retry("again")
    return { done: true }
  })
})

const snapshot = Snapshot.make({ inputText: "Hello" })
const chat = base.add(llm, { inputs: ["router", "profile?"] })
const plain = Pipeline.make("plain").add(router).add(support, { after: ["router"] })

interface ChatOutputs {
  readonly input_guard: StageOutput.Ok<{ validated: boolean }>
  readonly router: StageOutput.Ok<{ route: Route; confidence: number }>
  readonly profile: StageOutput.Ok<{ profile: Profile }> | StageOutput.Skip
  readonly llm: StageOutput.Ok<{ response: string }>
}

interface PlainOutputs {
  readonly router: StageOutput.Ok<{ route: Route; confidence: number }>
  readonly support: StageOutput.Ok<{ answer: string }>
}

describe("Pipeline.run", () => {
  test("its result, errors and services are exactly those of its stages", () => {
    expect(Pipeline.run(chat, snapshot)).type.toBe<
      Effect.Effect<
        RunResult.Completed<ChatOutputs> | RunResult.Cancelled<ChatOutputs, "input_guard">,
        RunResult.StageFailed<ProfileUnavailable | LlmDown, ChatOutputs>,
        Profiles | Llm
      >
    >()
    expect(chat.pipe(Pipeline.run(snapshot))).type.toBe<
      Effect.Effect<
        RunResult.Completed<ChatOutputs> | RunResult.Cancelled<ChatOutputs, "input_guard">,
        RunResult.StageFailed<ProfileUnavailable | LlmDown, ChatOutputs>,
        Profiles | Llm
      >
    >()
  })

  test("stages that cannot cancel, fail or skip: only Completed, only Ok, no typed error, no services", () => {
    expect(Pipeline.run(plain, snapshot)).type.toBe<
      Effect.Effect<RunResult.Completed<PlainOutputs>, RunResult.StageFailed<never, PlainOutputs>>
    >()
  })

  test("a failed run's error is one of the stages' errors or a fault", () => {
    void Effect.mapError(Pipeline.run(chat, snapshot), (failed) => {
      expect(failed.error).type.toBe<ProfileUnavailable | LlmDown | StageError.StageFault>()
      expect(failed.outputs).type.toBe<Partial<ChatOutputs>>()
    })
    void Effect.mapError(Pipeline.run(plain, snapshot), (failed) => {
      expect(failed.error).type.toBe<StageError.StageFault>()
    })
  })

  test("an output of a stage that cannot skip is read at once, of one that may skip after a look", () => {
    void Effect.map(Pipeline.run(chat, snapshot), (result) => {
      if (result._tag === "Cancelled") {
        expect(result.by).type.toBe<"input_guard">()
        expect(result.outputs).type.toBe<Partial<ChatOutputs>>()
        return
      }
      expect(result.outputs.llm.data.response).type.toBe<string>()
      expect(result.outputs.profile).type.not.toHaveProperty("origin")
      expect(result.outputs.profile.data).type.toBe<{ profile: Profile } | StageOutput.SkipData>()
      if (result.outputs.profile._tag === "Ok") {
        expect(result.outputs.profile.data).type.toBe<{ profile: Profile }>()
      }
    })
  })

  test("a retry that nobody grants is RetryExhausted, one that is granted is not asked for twice", () => {
    const ungranted = Pipeline.run(Pipeline.make("p").add(asks), snapshot)
    expect<Effect.Error<typeof ungranted>>().type.toBe<
      RunResult.StageFailed<StageError.RetryExhausted, { readonly asks: StageOutput.Ok<{ done: boolean }> }>
    >()
    const without = Pipeline.run(Pipeline.make("p").add(support.pipe(Stage.retry())), snapshot)
    expect<Effect.Error<typeof without>>().type.toBe<
      RunResult.StageFailed<never, { readonly support: StageOutput.Ok<{ answer: string }> }>
    >()
  })

  test("what wraps a stage is part of it", () => {
    const wrapped = Pipeline.make("p").add(
      support.pipe(Stage.timeout("1 second"), Stage.intercept(auth))
    )
    expect(Pipeline.run(wrapped, snapshot)).type.toBe<
      Effect.Effect<
        RunResult.Completed<{ readonly support: StageOutput.Ok<{ answer: string }> }>,
        RunResult.StageFailed<
          StageError.StageTimeout | Denied,
          { readonly support: StageOutput.Ok<{ answer: string }> }
        >,
        Tokens
      >
    >()
  })

  test("failure: continue gives Incomplete, and nothing fails the run", () => {
    expect(Pipeline.run(chat, snapshot, { failure: "continue" })).type.toBe<
      Effect.Effect<
        | RunResult.Completed<ChatOutputs>
        | RunResult.Cancelled<ChatOutputs, "input_guard">
        | RunResult.Incomplete<ChatOutputs, ProfileUnavailable | LlmDown>,
        never,
        Profiles | Llm
      >
    >()
    expect(plain.pipe(Pipeline.run(snapshot, { failure: "continue" }))).type.toBe<
      Effect.Effect<RunResult.Completed<PlainOutputs> | RunResult.Incomplete<PlainOutputs, never>>
    >()
  })

  test("other options change nothing", () => {
    expect(Pipeline.run(plain, snapshot, { concurrency: 2, failure: "fail-fast" })).type.toBe<
      Effect.Effect<RunResult.Completed<PlainOutputs>, RunResult.StageFailed<never, PlainOutputs>>
    >()
    expect(Pipeline.run).type.not.toBeCallableWith(plain, snapshot, { concurrency: "2" })
    expect(Pipeline.run).type.not.toBeCallableWith(plain, snapshot, { failure: "stop" })
  })

  test("a pipeline without stages does not run", () => {
    expect(Pipeline.run).type.not.toBeCallableWith(Pipeline.make("nothing"), snapshot)
    expect(Pipeline.start).type.not.toBeCallableWith(Pipeline.make("nothing"), snapshot)
    expect(Pipeline.stream).type.not.toBeCallableWith(Pipeline.make("nothing"), snapshot)
    expect(Pipeline.make("nothing").pipe).type.not.toBeCallableWith(Pipeline.run(snapshot))
  })

  test("a run with a port missing is no program", () => {
    expect(Effect.runPromise).type.not.toBeCallableWith(Pipeline.run(chat, snapshot))
    expect(Effect.runPromise).type.toBeCallableWith(Pipeline.run(plain, snapshot))
  })
})

describe("what wraps a pipeline", () => {
  test("interceptors add their errors and services", () => {
    expect(Pipeline.run(plain.pipe(Pipeline.intercept(auth)), snapshot)).type.toBe<
      Effect.Effect<RunResult.Completed<PlainOutputs>, RunResult.StageFailed<Denied, PlainOutputs>, Tokens>
    >()
  })

  test("several add all of theirs, none adds nothing", () => {
    const other = Interceptor.make({
      name: "other",
      around: (effect) =>
        Effect.gen(function*() {
          const { key } = yield* Keys
          return key === "" ? yield* new NoKey() : yield* effect
        })
    })
    expect(Pipeline.run(plain.pipe(Pipeline.intercept(auth, other)), snapshot)).type.toBe<
      Effect.Effect<
        RunResult.Completed<PlainOutputs>,
        RunResult.StageFailed<Denied | NoKey, PlainOutputs>,
        Tokens | Keys
      >
    >()
    expect(plain.pipe(Pipeline.intercept())).type.toBe<typeof plain>()
  })

  test("an interceptor's services are taken from the stages", () => {
    const keys = Interceptor.make({
      name: "keys",
      provides: [Keys],
      around: (effect) => Effect.provideService(effect, Keys, { key: "k" })
    })
    const needy = Pipeline.make("p").add(Stage.work("w", { run: Effect.asVoid(Keys) }))
    const program = Pipeline.run(needy.pipe(Pipeline.intercept(keys)), snapshot)
    expect<Effect.Services<typeof program>>().type.toBe<never>()
  })

  test("a layer takes what it provides, adds what it needs, and fails the run with LayerFailed", () => {
    expect(Pipeline.run(chat.pipe(Pipeline.provide(llmLayer)), snapshot)).type.toBe<
      Effect.Effect<
        RunResult.Completed<ChatOutputs> | RunResult.Cancelled<ChatOutputs, "input_guard">,
        RunResult.StageFailed<ProfileUnavailable | LlmDown, ChatOutputs> | RunResult.LayerFailed<NoKey>,
        Profiles | Keys
      >
    >()
  })

  test("a layer that cannot fail adds no error", () => {
    const sure = Layer.succeed(Keys, { key: "k" })
    const needy = Pipeline.make("p").add(Stage.work("w", { run: Effect.asVoid(Keys) }))
    expect(Pipeline.run(needy.pipe(Pipeline.provide(sure)), snapshot)).type.toBe<
      Effect.Effect<
        RunResult.Completed<{ readonly w: StageOutput.Ok<{}> }>,
        RunResult.StageFailed<never, { readonly w: StageOutput.Ok<{}> }>
      >
    >()
  })

  test("continue does not swallow LayerFailed", () => {
    const program = Pipeline.run(chat.pipe(Pipeline.provide(llmLayer)), snapshot, { failure: "continue" })
    expect<Effect.Error<typeof program>>().type.toBe<RunResult.LayerFailed<NoKey>>()
  })
})

describe("Pipeline.start and Pipeline.stream", () => {
  test("a part of a run is interrupted by the names that the pipeline has", () => {
    type Handle = Effect.Success<ReturnType<typeof started>>
    const started = () => Pipeline.start(plain, snapshot)
    const handle = null as never as Handle
    expect(handle.interrupt("router", "enough", { dependents: true })).type.toBe<
      Effect.Effect<Run.InterruptedStages<"router" | "support">>
    >()
    expect(handle.interrupt).type.not.toBeCallableWith("ruter", "enough")
    expect(handle.interrupt).type.not.toBeCallableWith("router")
    expect<Handle>().type.toBeAssignableTo<Run.Run<unknown, unknown>>()
  })

  test("a name that the compiler cannot know may be unknown", () => {
    const handle = null as never as Run.Run<unknown, never>
    expect(handle.interrupt("router", "enough")).type.toBe<
      Effect.Effect<Run.InterruptedStages, Run.UnknownStage>
    >()
  })

  test("whoever holds the handle can cancel, whatever the stages can", () => {
    expect(Pipeline.start(plain, snapshot)).type.toBe<
      Effect.Effect<
        Run.Run<
          RunResult.Completed<PlainOutputs> | RunResult.Cancelled<PlainOutputs, undefined>,
          RunResult.StageFailed<never, PlainOutputs>,
          "router" | "support"
        >,
        never,
        Scope.Scope
      >
    >()
    expect(chat.pipe(Pipeline.start(snapshot))).type.toBe<
      Effect.Effect<
        Run.Run<
          RunResult.Completed<ChatOutputs> | RunResult.Cancelled<ChatOutputs, "input_guard" | undefined>,
          RunResult.StageFailed<ProfileUnavailable | LlmDown, ChatOutputs>,
          "input_guard" | "router" | "profile" | "llm"
        >,
        never,
        Profiles | Llm | Scope.Scope
      >
    >()
  })

  test("a layer that fails fails the run, not the start", () => {
    const start = Pipeline.start(chat.pipe(Pipeline.provide(llmLayer)), snapshot)
    expect<Effect.Error<typeof start>>().type.toBe<never>()
    expect<Effect.Error<Effect.Success<typeof start>["await"]>>().type.toBe<
      RunResult.StageFailed<ProfileUnavailable | LlmDown, ChatOutputs> | RunResult.LayerFailed<NoKey>
    >()
  })

  test("the status is asked by stage", () => {
    void Effect.flatMap(Pipeline.start(plain, snapshot), (run) =>
      Effect.map(run.status, (status) => {
        expect(status).type.toBe<Readonly<Record<"router" | "support", Run.StageStatus>>>()
      }))
  })

  test("a stream ends with the result", () => {
    expect(Pipeline.stream(plain, snapshot)).type.toBe<
      Stream.Stream<Event.Event | RunResult.Completed<PlainOutputs>, RunResult.StageFailed<never, PlainOutputs>>
    >()
    expect(plain.pipe(Pipeline.stream(snapshot, { failure: "continue" }))).type.toBe<
      Stream.Stream<Event.Event | RunResult.Completed<PlainOutputs> | RunResult.Incomplete<PlainOutputs, never>>
    >()
  })
})

describe("skipping", () => {
  const outputsOf = <N extends Pipeline.AnyNode, E, R>(_: Pipeline.Pipeline<N, E, R>) =>
    undefined as unknown as Pipeline.Outputs<N>

  test("a condition makes an output Ok or Skip", () => {
    const conditional = plain.add(support.pipe(Stage.as("more")), (s) => ({ when: s.router.is("support") }))
    expect(outputsOf(conditional).more).type.toBe<StageOutput.Ok<{ answer: string }> | StageOutput.Skip>()
    expect(outputsOf(conditional).support).type.toBe<StageOutput.Ok<{ answer: string }>>()
  })

  test("so does requiring what may skip", () => {
    const requiring = base.add(
      Stage.work("greet", { run: (_: { readonly who: { readonly profile: Profile } }) => Effect.void }),
      (s) => ({ inputs: { who: s.profile.required } })
    )
    expect(outputsOf(requiring).greet).type.toBe<StageOutput.Ok<{}> | StageOutput.Skip>()
  })

  test("and the first of what may all skip", () => {
    const branches = plain
      .add(support.pipe(Stage.as("a")), (s) => ({ when: s.router.is("support") }))
      .add(support.pipe(Stage.as("b")), (s) => ({ when: s.router.is("sales") }))
    const reads = Stage.work("reads", { run: (_: { readonly it: { readonly answer: string } }) => Effect.void })
    const open = branches.add(reads, (s) => ({ inputs: { it: Source.firstOf(s.a, s.b) } }))
    expect(outputsOf(open).reads).type.toBe<StageOutput.Ok<{}> | StageOutput.Skip>()
    const closed = branches.add(reads, (s) => ({ inputs: { it: Source.firstOf(s.a, s.b, s.support) } }))
    expect(outputsOf(closed).reads).type.toBe<StageOutput.Ok<{}>>()
  })
})

describe("wiring", () => {
  test("by name, Option for what may skip", () => {
    expect(base.add).type.toBeCallableWith(llm, { inputs: ["router", "profile?"] })
    expect(base.add).type.toBeCallableWith(llm, { inputs: ["profile?", "router"], after: ["input_guard"] })
    expect(base.add).type.not.toBeCallableWith(llm, { inputs: ["router", "profile"] })
  })

  test("an input that may be left out", () => {
    const optional = Stage.work("optional", {
      run: (_: { readonly router: { readonly route: Route }; readonly more?: { readonly x: 1 } }) => Effect.void
    })
    expect(base.add).type.toBeCallableWith(optional, { inputs: ["router"] })
    expect(base.add).type.not.toBeCallableWith(optional, { inputs: [] })
  })

  test("an object that was written elsewhere", () => {
    const wiring = { inputs: ["router", "profile?"] } as const
    expect(base.add).type.toBeCallableWith(llm, wiring)
    const order = { after: ["router"] } as const
    expect(base.add).type.toBeCallableWith(support, order)
  })

  test("a stage takes data with more keys than it asks for, and not with fewer", () => {
    const route = Stage.work("w", { run: (_: { readonly router: { readonly route: string } }) => Effect.void })
    expect(base.add).type.toBeCallableWith(route, { inputs: ["router"] })
    const more = Stage.work("w", { run: (_: { readonly router: { readonly more: string } }) => Effect.void })
    expect(base.add).type.not.toBeCallableWith(more, { inputs: ["router"] })
  })

  test("the same behaviour a second time has another name", () => {
    expect(base.add).type.not.toBeCallableWith(router)
    expect(base.add).type.toBeCallableWith(router.pipe(Stage.as("again")))
  })

  test("a stage with inputs is wired", () => {
    expect(base.add).type.not.toBeCallableWith(llm)
    expect(base.add).type.not.toBeCallableWith(llm, {})
    expect(base.add).type.not.toBeCallableWith(llm, () => ({}))
    expect(base.add).type.not.toBeCallableWith(llm, { after: ["router"] })
    expect(base.add).type.not.toBeCallableWith(llm, { inputs: ["router"] })
  })

  test("a stage without inputs has none", () => {
    expect(base.add).type.toBeCallableWith(support)
    expect(base.add).type.toBeCallableWith(support, {})
    expect(base.add).type.toBeCallableWith(support, { inputs: [] })
    expect(base.add).type.not.toBeCallableWith(support, { inputs: ["router"] })
  })
})

describe("names that the compiler does not know", () => {
  const dynamic = Pipeline.make("dynamic").add(Stage.work(dynamicName, { run: Effect.void }))

  test("only they make a run fail with PipelineInvalid", () => {
    const program = Pipeline.run(dynamic, snapshot)
    expect<Extract<Effect.Error<typeof program>, PipelineInvalid.PipelineInvalid>>()
      .type.toBe<PipelineInvalid.PipelineInvalid>()
    const start = Pipeline.start(dynamic, snapshot)
    expect<Effect.Error<typeof start>>().type.toBe<PipelineInvalid.PipelineInvalid>()
    const known = Pipeline.run(chat, snapshot)
    expect<Extract<Effect.Error<typeof known>, PipelineInvalid.PipelineInvalid>>().type.toBe<never>()
  })

  test("known stages behind them are wired by name all the same", () => {
    expect(dynamic.add).type.toBeCallableWith(llm, { inputs: ["router", "profile?"] })
    expect(dynamic.add).type.not.toBeCallableWith(llm, { inputs: ["router"] })
    expect(dynamic.add).type.not.toBeCallableWith(llm, { inputs: ["router", "profile?", "more"] })
    expect(dynamic.add).type.not.toBeCallableWith(llm)
  })
})

describe("Pipeline.fromSpecs", () => {
  const specs = Pipeline.fromSpecs("specs", [
    { stage: llm, inputs: ["router", "profile?"] },
    { stage: router },
    { stage: profile },
    { stage: skilled }
  ])

  test("fails with PipelineInvalid where it is built, and not where it is run", () => {
    expect<Effect.Error<typeof specs>>().type.toBe<PipelineInvalid.PipelineInvalid>()
    expect<Effect.Services<typeof specs>>().type.toBe<never>()
    const program = Effect.flatMap(
      specs,
      (pipeline) => Pipeline.run(pipeline, Snapshot.make() as Snapshot.With<Skills>)
    )
    expect<Exclude<Effect.Error<typeof program>, RunResult.StageFailed<any, any>>>()
      .type.toBe<PipelineInvalid.PipelineInvalid>()
    expect<Effect.Services<typeof program>>().type.toBe<Profiles | Llm>()
  })

  test("errors and services are those of the stages, outputs go by any name", () => {
    void Effect.flatMap(
      specs,
      (pipeline) =>
        Effect.match(Pipeline.run(pipeline, Snapshot.make() as Snapshot.With<Skills>), {
          onFailure: (failed) => {
            expect(failed.error).type.toBe<ProfileUnavailable | LlmDown | StageError.StageFault>()
          },
          onSuccess: (result) => {
            expect(result).type.toBe<
              RunResult.Completed<{ readonly [x: string]: StageOutput.Ok<unknown> | StageOutput.Skip }>
            >()
          }
        })
    )
  })

  test("it is built from data", () => {
    const fromData = (stages: ReadonlyArray<Pipeline.Spec>) => Pipeline.fromSpecs("data", stages)
    expect<Effect.Error<ReturnType<typeof fromData>>>().type.toBe<PipelineInvalid.PipelineInvalid>()
  })
})

describe("two pipelines", () => {
  const side = Pipeline.make("side").add(skilled).pipe(Pipeline.intercept(auth))

  test("merged, are both", () => {
    const merged = chat.merge(side)
    expect<Pipeline.Nodes<typeof merged>>().type.toBe<Pipeline.Nodes<typeof chat> | Pipeline.Nodes<typeof side>>()
    expect(Pipeline.merge(chat, side)).type.toBe<typeof merged>()
    const program = Pipeline.run(merged, Snapshot.make() as Snapshot.With<Skills>)
    expect<Effect.Services<typeof program>>().type.toBe<Profiles | Llm | Tokens>()
  })

  test("one behind the other, are both", () => {
    const extended = chat.extend(side, { after: ["llm"] })
    expect<Pipeline.Nodes<typeof extended>>().type.toBe<Pipeline.Nodes<typeof chat> | Pipeline.Nodes<typeof side>>()
    expect(Pipeline.extend(chat, side)).type.toBe<typeof extended>()
    expect(chat.extend).type.not.toBeCallableWith(side, { after: ["lm"] })
  })

  test("with a stage of the same name, are none", () => {
    expect(chat.merge).type.not.toBeCallableWith(plain)
    expect(chat.extend).type.not.toBeCallableWith(plain)
    expect(Pipeline.merge).type.not.toBeCallableWith(chat, plain)
  })
})

describe("functions over pipelines", () => {
  test("take any", () => {
    const nameOf = (pipeline: Pipeline.Any) => pipeline.name
    expect(nameOf).type.toBeCallableWith(chat)
    expect(Pipeline.describe).type.toBeCallableWith(chat)
    expect(Pipeline.validate).type.toBeCallableWith(Pipeline.make("nothing"))
  })

  test("or add to them", () => {
    const guard = <N extends Pipeline.AnyNode, E, R>(pipeline: Pipeline.Pipeline<N, E, R>) =>
      pipeline.pipe(Pipeline.intercept(auth))
    expect(guard(plain)).type.toBe<Pipeline.Pipeline<Pipeline.Nodes<typeof plain>, Denied, Tokens>>()
  })
})
