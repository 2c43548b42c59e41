import { Effect, type Option } from "effect"
import { type Pipeline, Source, Stage, type StageOutput } from "stageflow"
import { describe, expect, test } from "tstyche"
import { base, type Profile, type Route } from "./fixtures/world.ts"

type Routed = { route: Route; confidence: number }
type Profiled = { profile: Profile }

const sink = <In>(_: In) => Stage.work("sink", { run: (_: In) => Effect.void })

describe("reading a stage", () => {
  base.add(Stage.work("look", { run: Effect.void }), (s) => {
    test("one that cannot skip is read without Option", () => {
      expect(s.router).type.toBeAssignableTo<Source.StageData<"router", Routed>>()
      expect(s.router).type.toBeAssignableTo<Source.Source<Routed, false>>()
      expect(s.router.map(({ route }) => route)).type.toBe<Source.Source<Route, false>>()
      expect(s.router.output).type.toBe<Source.Source<StageOutput.Ok<Routed>, false>>()
      expect(s.router.option).type.toBe<Source.Source<Option.Option<Routed>, false>>()
      expect(s.router).type.not.toHaveProperty("required")
      expect(s.router).type.not.toHaveProperty("orElse")
    })

    test("one that may skip is no source until it is said how it is read", () => {
      expect(s.profile).type.toBeAssignableTo<Source.SkippableData<"profile", Profiled>>()
      expect(s.profile).type.not.toBeAssignableTo<Source.Any>()
      expect(s.profile).type.not.toHaveProperty("map")
      expect(s.profile.option).type.toBe<Source.Source<Option.Option<Profiled>, false>>()
      expect(s.profile.required).type.toBe<Source.Source<Profiled, true>>()
      expect(s.profile.orElse(() => 1 as const)).type.toBe<Source.Source<Profiled | 1, false>>()
      expect(s.profile.output).type.toBe<Source.Source<StageOutput.Ok<Profiled> | StageOutput.Skip, false>>()
      expect(s.profile.required.map(({ profile }) => profile.name)).type.toBe<Source.Source<string, true>>()
    })

    test("routes", () => {
      expect(s.router.is("support")).type.toBe<Source.Source<boolean, false>>()
      expect(s.router.is).type.toBeCallableWith("sales")
      expect(s.router.is).type.not.toBeCallableWith("suport")
      expect(s.input_guard.is).type.not.toBeCallableWith("support")
    })

    test("only the stages before it are there", () => {
      expect(s).type.toHaveProperty("input_guard")
      expect(s).type.not.toHaveProperty("profil")
      expect(s).type.not.toHaveProperty("look")
    })

    test("the first of several", () => {
      expect(Source.firstOf(s.router, s.input_guard)).type.toBe<
        Source.Source<Routed | { validated: boolean }, false>
      >()
      expect(Source.firstOf(s.profile, s.input_guard)).type.toBe<
        Source.Source<Profiled | { validated: boolean }, false>
      >()
      expect(Source.firstOf(s.profile)).type.toBe<Source.Source<Profiled, true>>()
      expect(Source.firstOf).type.not.toBeCallableWith()
    })

    test("several as one record", () => {
      expect(Source.all({ who: s.profile.option, where: s.router.map(({ route }) => route) })).type.toBe<
        Source.Source<{ readonly who: Option.Option<Profiled>; readonly where: Route }, false>
      >()
      expect(Source.all({ who: s.profile.required, where: s.router })).type.toBe<
        Source.Source<{ readonly who: Profiled; readonly where: Routed }, true>
      >()
      expect(Source.all).type.not.toBeCallableWith({ who: s.profile })
    })

    test("what does not come from a stage", () => {
      expect(Source.snapshot(({ inputText }) => inputText)).type.toBe<Source.Source<string | undefined, false>>()
      expect(Source.snapshot(({ requestId }) => requestId)).type.toBe<Source.Source<string, false>>()
      expect(Source.succeed(3 as number)).type.toBe<Source.Source<number, false>>()
    })

    return {}
  })

  test("the extractors", () => {
    expect<Source.Value<Source.Source<string, true>>>().type.toBe<string>()
    expect<Source.Skips<Source.Source<string, true>>>().type.toBe<true>()
    expect<Source.Route<{ route: "a" | "b" }>>().type.toBe<"a" | "b">()
    expect<Source.Route<{ text: string }>>().type.toBe<never>()
  })
})

describe("whether a reader may skip", () => {
  type Signals<P extends Pipeline.Any, Name> = Extract<Pipeline.Nodes<P>, { readonly name: Name }>["signals"]

  test("a reader that requires may skip, one that takes what there is may not", () => {
    const requires = base.add(sink<{ readonly who: Profiled }>({} as never), (s) => ({
      inputs: { who: s.profile.required }
    }))
    expect<Signals<typeof requires, "sink">>().type.toBe<"skip">()
    const option = base.add(sink<{ readonly who: Option.Option<Profiled> }>({} as never), (s) => ({
      inputs: { who: s.profile.option }
    }))
    expect<Signals<typeof option, "sink">>().type.toBe<never>()
    const byName = base.add(sink<{ readonly profile: Option.Option<Profiled> }>({} as never), { inputs: ["profile?"] })
    expect<Signals<typeof byName, "sink">>().type.toBe<never>()
    const all = base.add(sink<{ readonly it: { readonly who: Profiled } }>({} as never), (s) => ({
      inputs: { it: Source.all({ who: s.profile.required }) }
    }))
    expect<Signals<typeof all, "sink">>().type.toBe<"skip">()
    const first = base.add(sink<{ readonly it: Profiled | { validated: boolean } }>({} as never), (s) => ({
      inputs: { it: Source.firstOf(s.profile, s.input_guard) }
    }))
    expect<Signals<typeof first, "sink">>().type.toBe<never>()
  })

  test("a condition makes a stage skippable, and so its readers", () => {
    const idle = Stage.work("idle", { run: Effect.succeed({ ran: true }) })
    const conditional = base.add(idle, (s) => ({ when: s.router.is("support"), after: ["input_guard"] }))
    expect<Signals<typeof conditional, "idle">>().type.toBe<"skip">()
    conditional.add(Stage.work("next", { run: Effect.void }), (s) => {
      expect(s.idle).type.toBeAssignableTo<Source.SkippableData<"idle", { ran: boolean }>>()
      return { after: ["idle"] }
    })
    const after = base.add(idle, (s) => ({ when: s.router.map(() => true), inputs: {} }))
    expect<Signals<typeof after, "idle">>().type.toBe<"skip">()
    const ordered = base.add(idle, { after: ["router"] })
    expect<Signals<typeof ordered, "idle">>().type.toBe<never>()
  })
})
