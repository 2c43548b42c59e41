import { Context, Effect, Layer, type Option, Schema } from "effect"
import { Interceptor, Snapshot, Stage, StageContext, type StageError, StageOutput } from "stageflow"
import { describe, expect, test } from "tstyche"
import { type Llm, llm, type LlmDown, type Profile, type profile, type Route, router } from "./fixtures/world.ts"

class Down extends Schema.TaggedError<Down>()("Down", {}) {}
class Slow extends Schema.TaggedError<Slow>()("Slow", {}) {}
class Database extends Context.Service<Database, { readonly url: string }>()("test/Database") {}
class Secret extends Context.Service<Secret, { readonly value: string }>()("test/Secret") {}

declare const text: Effect.Effect<string, Down, Database>
declare const condition: boolean

describe("what a stage is", () => {
  test("its name, inputs, data, errors and services are inferred", () => {
    expect(router).type.toBe<Stage.Stage<"router", unknown, { route: Route; confidence: number }>>()
    expect(llm).type.toBe<
      Stage.Stage<
        "llm",
        {
          readonly router: { readonly route: Route }
          readonly profile: Option.Option<{ readonly profile: Profile }>
        },
        { response: string },
        never,
        LlmDown,
        Llm
      >
    >()
  })

  test("the extractors", () => {
    expect<Stage.Input<typeof llm>>().type.toBe<{
      readonly router: { readonly route: Route }
      readonly profile: Option.Option<{ readonly profile: Profile }>
    }>()
    expect<Stage.DataOf<typeof llm>>().type.toBe<{ response: string }>()
    expect<Stage.Error<typeof llm>>().type.toBe<LlmDown>()
    expect<Stage.Services<typeof llm>>().type.toBe<Llm>()
    expect<Stage.Signals<typeof profile>>().type.toBe<"skip">()
  })

  test("what every stage has is nothing that a stage needs", () => {
    const reads = Stage.work("reads", {
      run: Effect.gen(function*() {
        yield* Snapshot.current
        yield* StageContext.emit("seen", {})
        yield* text
      })
    })
    expect(reads).type.toBe<Stage.Stage<"reads", unknown, {}, never, Down, Database>>()
  })

  test("nothing returned is data without keys", () => {
    expect(Stage.work("w", { run: Effect.void })).type.toBe<Stage.Stage<"w", unknown, {}>>()
  })
})

describe("outcomes that are not ok", () => {
  test("returned and yielded are the same to the types", () => {
    const returned = Stage.guard("guard", {
      run: Effect.gen(function*() {
        if (condition) return StageOutput.skip("nothing")
        if (condition) return StageOutput.cancel("stop")
        if (condition) return StageOutput.retry("again")
        if (condition) return StageOutput.fail(new Slow())
        return { text: yield* text }
      })
    })
    const yielded = Stage.guard("guard", {
      run: Effect.gen(function*() {
        if (condition) return yield* StageOutput.skip("nothing")
        if (condition) return yield* StageOutput.cancel("stop")
        if (condition) return yield* StageOutput.retry("again")
        if (condition) return yield* StageOutput.fail(new Slow())
        return { text: yield* text }
      })
    })
    expect(returned).type.toBe<
      Stage.Stage<"guard", unknown, { text: string }, "skip" | "cancel" | "retry", Down | Slow, Database>
    >()
    expect(yielded).type.toBe<
      Stage.Stage<"guard", unknown, { text: string }, "skip" | "cancel" | "retry", Down | Slow, Database>
    >()
  })

  test("ok with artifacts is its data", () => {
    const stage = Stage.work("w", { run: Effect.succeed(StageOutput.ok({ count: 1 as number }, { version: "1" })) })
    expect(stage).type.toBe<Stage.Stage<"w", unknown, { readonly count: number }>>()
  })
})

describe("schemas", () => {
  test("an output schema says what the data is", () => {
    const stage = Stage.transform("t", {
      output: Schema.Struct({ text: Schema.String }),
      run: Effect.fnUntraced(function*(_: { readonly from: { readonly id: number } }) {
        return { text: yield* text, more: 1 }
      })
    })
    expect(stage).type.toBe<
      Stage.Stage<
        "t",
        { readonly from: { readonly id: number } },
        { readonly text: string },
        never,
        Down,
        Database
      >
    >()
  })

  test("literals fit a schema of literals", () => {
    const stage = Stage.route("r", {
      output: Schema.Struct({ route: Schema.Literals(["a", "b"]) }),
      run: Effect.as(text, { route: "a" as const })
    })
    expect<Stage.DataOf<typeof stage>>().type.toBe<{ readonly route: "a" | "b" }>()
  })

  test("what is not ok needs not fit the output schema", () => {
    const stage = Stage.enrich("e", {
      output: Schema.Struct({ text: Schema.String }),
      run: Effect.gen(function*() {
        if (condition) return StageOutput.skip("nothing")
        return StageOutput.ok({ text: yield* text })
      })
    })
    expect(stage).type.toBe<Stage.Stage<"e", unknown, { readonly text: string }, "skip", Down, Database>>()
  })

  test("an error schema takes what the stage fails with", () => {
    const stage = Stage.work("w", { error: Schema.Union([Down, Slow]), run: Effect.asVoid(text) })
    expect(stage).type.toBe<Stage.Stage<"w", unknown, {}, never, Down, Database>>()
  })

  test("data of an unknown shape", () => {
    expect(Stage.work("w", { run: Effect.succeed<object>({}) })).type.toBe<Stage.Stage<"w", unknown, object>>()
  })
})

describe("functions that make stages", () => {
  test("data of a type parameter is checked by what that extends", () => {
    const timed = <const Name extends string, A extends object, E, R>(name: Name, run: Effect.Effect<A, E, R>) =>
      Stage.work(name, { run }).pipe(Stage.timeout("1 second"))
    expect(timed("t", Effect.map(text, (text) => ({ text })))).type.toBe<
      Stage.Stage<"t", unknown, { text: string }, never, Down | StageError.StageTimeout, Database>
    >()
    expect(timed).type.not.toBeCallableWith("t", text)

    const reader = <const Name extends string, In, A extends { readonly text: string }, E extends Down>(
      name: Name,
      run: (inputs: In) => Effect.Effect<A, E, Database>
    ) => Stage.transform(name, { output: Schema.Struct({ text: Schema.String }), error: Down, run })
    expect(reader("t", (_: { readonly it: object }) => Effect.map(text, (text) => ({ text })))).type.toBe<
      Stage.Stage<"t", { readonly it: object }, { readonly text: string }, never, Down, Database>
    >()

    const fetched = <const Name extends string, A extends object>(name: Name, fetch: () => Promise<A>) =>
      Stage.promise(name, { try: fetch, catch: () => new Down() })
    expect(fetched("f", () => Promise.resolve({ id: 1 as number }))).type.toBe<
      Stage.Stage<"f", unknown, { id: number }, never, Down>
    >()
  })

  test("a type parameter that may be anything is no data", () => {
    const any = <A>(run: Effect.Effect<A>) => {
      expect(Stage.work).type.not.toBeCallableWith("any", { run })
    }
    expect(any).type.toBeCallableWith(Effect.void)
  })

  test("a stage that gives nothing ever", () => {
    expect(Stage.work("w", { run: Effect.never })).type.toBe<Stage.Stage<"w", unknown, never>>()
    expect(Stage.work("w", { run: Effect.fail(new Down()) })).type.toBe<Stage.Stage<"w", unknown, never, never, Down>>()
  })
})

describe("Stage.promise", () => {
  test("what it resolves with is data, what catch gives is the error", () => {
    const stage = Stage.promise("p", {
      try: (inputs: { readonly id: { readonly id: string } }, { signal }) =>
        Promise.resolve({ id: inputs.id.id, aborted: signal.aborted }),
      catch: () => new Down()
    })
    expect(stage).type.toBe<
      Stage.Stage<
        "p",
        { readonly id: { readonly id: string } },
        { id: string; aborted: boolean },
        never,
        Down,
        never
      >
    >()
  })

  test("it may resolve with an outcome", () => {
    const stage = Stage.promise("p", {
      try: () => Promise.resolve(condition ? StageOutput.skip("nothing") : { id: 1 as number }),
      catch: () => new Down()
    })
    expect(stage).type.toBe<Stage.Stage<"p", unknown, { id: number }, "skip", Down, never>>()
  })
})

describe("combinators", () => {
  const asks = Stage.work("asks", {
    run: Effect.gen(function*() {
      if (condition) return yield* StageOutput.retry("again")
      return { text: yield* text }
    })
  })
  const plain = Stage.work("plain", { run: Effect.map(text, (text) => ({ text })) })

  test("timeout adds StageTimeout", () => {
    expect(plain.pipe(Stage.timeout("1 second"))).type.toBe<
      Stage.Stage<"plain", unknown, { text: string }, never, Down | StageError.StageTimeout, Database>
    >()
    expect(Stage.timeout(plain, "1 second")).type.toBe<
      Stage.Stage<"plain", unknown, { text: string }, never, Down | StageError.StageTimeout, Database>
    >()
  })

  test("retry grants retries, and adds RetryExhausted only where there is one to grant", () => {
    expect(asks).type.toBe<Stage.Stage<"asks", unknown, { text: string }, "retry", Down, Database>>()
    expect(asks.pipe(Stage.retry())).type.toBe<
      Stage.Stage<"asks", unknown, { text: string }, never, Down | StageError.RetryExhausted, Database>
    >()
    expect(plain.pipe(Stage.retry())).type.toBe<
      Stage.Stage<"plain", unknown, { text: string }, never, Down, Database>
    >()
    expect(Stage.retry(asks)).type.toBe<
      Stage.Stage<"asks", unknown, { text: string }, never, Down | StageError.RetryExhausted, Database>
    >()
  })

  test("the policy of a retry in a pipe is asked about the stage's own errors", () => {
    plain.pipe(Stage.retry({
      while: (error) => {
        expect(error).type.toBe<Down>()
        return true
      }
    }))
  })

  test("catch replaces the errors and adds what the handler gives", () => {
    const caught = plain.pipe(Stage.catch((error) => {
      expect(error).type.toBe<Down>()
      return Effect.gen(function*() {
        const { value } = yield* Secret
        return value === "" ? StageOutput.skip("not now") : { instead: value }
      })
    }))
    expect(caught).type.toBe<
      Stage.Stage<"plain", unknown, { text: string } | { instead: string }, "skip", never, Database | Secret>
    >()
    expect(plain.pipe(Stage.catch(() => Effect.fail(new Slow())))).type.toBe<
      Stage.Stage<"plain", unknown, { text: string }, never, Slow, Database>
    >()
  })

  test("mapInput takes other inputs, mapOutput gives other data", () => {
    const takes = Stage.work("takes", { run: (inputs: { readonly id: number }) => Effect.succeed({ id: inputs.id }) })
    expect(takes.pipe(Stage.mapInput((inputs: { readonly user: { readonly id: number } }) => inputs.user)))
      .type.toBe<Stage.Stage<"takes", { readonly user: { readonly id: number } }, { id: number }>>()
    expect(takes.pipe(Stage.mapOutput(({ id }) => ({ double: id * 2 }))))
      .type.toBe<Stage.Stage<"takes", { readonly id: number }, { double: number }>>()
  })

  test("provide takes a service away and adds what the layer fails with and needs", () => {
    const layer = Layer.effect(Database, Effect.flatMap(Secret, () => Effect.fail(new Slow())))
    expect(plain.pipe(Stage.provide(layer))).type.toBe<
      Stage.Stage<"plain", unknown, { text: string }, never, Down | Slow, Secret>
    >()
  })

  test("intercept adds the interceptor's errors and services, and takes what it provides", () => {
    const interceptor = Interceptor.make({
      name: "auth",
      provides: [Database],
      around: (effect) =>
        Effect.gen(function*() {
          const { value } = yield* Secret
          if (value === "") return yield* new Slow()
          return yield* Effect.provideService(effect, Database, { url: value })
        })
    })
    expect(interceptor).type.toBe<Interceptor.Interceptor<Slow, Secret, Database>>()
    expect(plain.pipe(Stage.intercept(interceptor))).type.toBe<
      Stage.Stage<"plain", unknown, { text: string }, never, Down | Slow, Secret>
    >()
  })

  test("a priority changes nothing of the type", () => {
    expect(plain.pipe(Stage.priority(3))).type.toBe<typeof plain>()
    expect(Stage.priority(plain, 3)).type.toBe<typeof plain>()
  })

  test("as gives another name and nothing else", () => {
    expect(plain.pipe(Stage.as("other"))).type.toBe<
      Stage.Stage<"other", unknown, { text: string }, never, Down, Database>
    >()
  })
})
