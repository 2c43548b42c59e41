import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Stream } from "effect"
import { EventSink, Pipeline, PipelineInvalid, Snapshot, Source, Stage } from "stageflow"
import { Counter, noop, spec } from "./support/stages.ts"

const problemsOf = (specs: ReadonlyArray<Pipeline.Spec>) =>
  Effect.map(Effect.flip(Pipeline.fromSpecs("bad", specs)), (invalid) => invalid.problems)

const codesOf = (specs: Parameters<typeof problemsOf>[0]) =>
  Effect.map(problemsOf(specs), (problems) => problems.map(({ code, stage }) => `${code} ${stage}`))

/** Says why a list of names is no closed walk along the dependencies. */
const notClosed = (path: ReadonlyArray<string>, after: Readonly<Record<string, ReadonlyArray<string>>>) => {
  if (path.length < 2 || path[0] !== path.at(-1)) return `${path.join(" -> ")} does not end where it starts`
  const wrong = path.slice(1).findIndex((name, index) => !after[name]?.includes(path[index] as string))
  return wrong === -1 ? undefined : `${path[wrong + 1]} does not wait for ${path[wrong]}`
}

describe("R1 a bad pipeline never starts, and all its problems are told at once", () => {
  it.effect("an unknown stage, however it is named", () =>
    Effect.gen(function*() {
      const reader = Stage.transform("reader", { run: (_: {}) => Effect.succeed({}) })
      const unknown = (wiring: Partial<Pipeline.Spec>) => problemsOf([spec("profile"), { stage: reader, ...wiring }])
      const wirings: ReadonlyArray<Partial<Pipeline.Spec>> = [
        { after: ["profil"] },
        { inputs: ["profil"] },
        { inputs: ["profil?"] },
        { inputs: { who: Source.stage("profil").required } },
        { inputs: { who: Source.firstOf(Source.stage("profile"), Source.stage("profil")) } },
        { inputs: { both: Source.all({ one: Source.stage("profil").option }) } },
        { when: Source.stage("profil").is("vip") }
      ]
      for (const wiring of wirings) {
        const problems = yield* unknown(wiring)
        assert.deepStrictEqual(problems, [{
          code: "UNKNOWN_STAGE",
          stage: "reader",
          message: "Stage \"reader\" depends on \"profil\", which does not exist.",
          fix: "Did you mean \"profile\"?",
          unknown: "profil",
          didYouMean: "profile"
        }])
      }
    }))

  it.effect("the nearest of several known names is suggested, and none when none is near", () =>
    Effect.gen(function*() {
      const [near] = yield* problemsOf([spec("summarise"), spec("summary"), spec("a", ["sumary"])])
      assert.strictEqual(near?.didYouMean, "summary")
      const [far] = yield* problemsOf([spec("summarise"), spec("a", ["router"])])
      assert.isUndefined(far?.didYouMean)
      assert.strictEqual(far?.unknown, "router")
      assert.include(far?.fix ?? "", "Add the stage")
    }))

  it.effect("a suggestion is a name that is nearly the same: none for an empty name, none for one letter", () =>
    Effect.gen(function*() {
      const suggested = Effect.fnUntraced(function*(wanted: string, known: ReadonlyArray<string>) {
        const problems = yield* problemsOf([...known.map((name) => spec(name)), spec("reader", [wanted])])
        return problems.find(({ code }) => code === "UNKNOWN_STAGE")?.didYouMean
      })
      assert.isUndefined(yield* suggested("", ["a", "b"]))
      assert.isUndefined(yield* suggested(" ", ["a", "b"]))
      assert.isUndefined(yield* suggested("x", ["a", "ab", "y"]))
      assert.isUndefined(yield* suggested("xy", ["ab", "xz"]))
      assert.isUndefined(yield* suggested("ab", [""]))
      assert.isUndefined(yield* suggested("cat", ["dog", "can't"]))
      assert.strictEqual(yield* suggested("A", ["b", "a"]), "a")
      assert.strictEqual(yield* suggested("llmm", ["llm", "x"]), "llm")
      assert.strictEqual(yield* suggested("Input_Gaurd", ["output_guard", "input_guard"]), "input_guard")
    }))

  it.effect("a stage is never told that it may have meant itself", () =>
    Effect.gen(function*() {
      const [problem] = yield* problemsOf([spec("fetcher"), spec("fetch", ["fetchh"])])
      assert.strictEqual(problem?.didYouMean, "fetcher")
      const [alone] = yield* problemsOf([spec("fetch", ["fetchh"])])
      assert.isUndefined(alone?.didYouMean)
    }))

  it.effect("a duplicate name", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* codesOf([spec("a"), spec("b"), spec("a", ["b"])]), ["DUPLICATE_NAME a"])
    }))

  it.effect("an empty and a blank name", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* codesOf([spec(""), spec("ok"), spec(" \t\n")]), [
        "BLANK_NAME ",
        "BLANK_NAME  \t\n"
      ])
    }))

  it.effect("a stage that depends on itself, however it says so", () =>
    Effect.gen(function*() {
      const self = Stage.transform("self", { run: (_: {}) => Effect.succeed({}) })
      const wirings: ReadonlyArray<Partial<Pipeline.Spec>> = [
        { after: ["self"] },
        { inputs: ["self"] },
        { inputs: { me: Source.stage("self").option } },
        { when: Source.stage("self").is("again") }
      ]
      for (const wiring of wirings) {
        assert.deepStrictEqual(yield* codesOf([{ stage: self, ...wiring }]), ["SELF_DEPENDENCY self"])
      }
    }))

  it.effect("no stages", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* codesOf([]), ["NO_STAGES "])
    }))

  it.effect("a cycle is shown as a closed path that reads as the data flows", () =>
    Effect.gen(function*() {
      const [problem, ...others] = yield* problemsOf([spec("a", ["c"]), spec("b", ["a"]), spec("c", ["b"])])
      assert.deepStrictEqual(others, [])
      assert.strictEqual(problem?.code, "CYCLE")
      const path = problem?.path ?? []
      assert.lengthOf(path, 4)
      assert.isUndefined(notClosed(path, { a: ["c"], b: ["a"], c: ["b"] }))
      assert.include(problem?.message ?? "", path.join(" -> "))
    }))

  it.effect("a cycle through a condition and through data", () =>
    Effect.gen(function*() {
      const b = Stage.transform("b", { run: (_: {}) => Effect.succeed({}) })
      const [problem] = yield* problemsOf([
        { stage: noop("a"), when: Source.stage("c").is("x") },
        { stage: b, inputs: { a: Source.stage("a").option } },
        spec("c", ["b"])
      ])
      assert.strictEqual(problem?.code, "CYCLE")
      assert.isUndefined(notClosed(problem?.path ?? [], { a: ["c"], b: ["a"], c: ["b"] }))
    }))

  it.effect("every separate cycle is reported, also one that waits for another", () =>
    Effect.gen(function*() {
      const after: Readonly<Record<string, ReadonlyArray<string>>> = {
        // declared so that a search from "c" first walks into the other cycle and "d" finds "c" visited
        c: ["a", "d"],
        d: ["c"],
        a: ["b"],
        b: ["a"],
        e: ["f", "d"],
        f: ["g"],
        g: ["e"],
        behind: ["e", "a"]
      }
      const names = Object.keys(after)
      for (const order of [names, names.toReversed(), names.toSorted()]) {
        const problems = yield* problemsOf(order.map((name) => spec(name, after[name])))
        assert.deepStrictEqual(problems.map(({ code }) => code), ["CYCLE", "CYCLE", "CYCLE"])
        for (const { path } of problems) assert.isUndefined(notClosed(path ?? [], after))
        const members = problems.map(({ path }) => Array.from(new Set(path)).toSorted().join(""))
        assert.deepStrictEqual(members.toSorted(), ["ab", "cd", "efg"])
      }
    }))

  it.effect("a cycle of 100,000 stages with a long tail is found without recursion", () =>
    Effect.gen(function*() {
      const count = 100_000
      const ring = Array.from({ length: count }, (_, index) => spec(`r${index}`, [`r${(index + 1) % count}`]))
      const tail = Array.from(
        { length: count },
        (_, index) => spec(`t${index}`, [index === 0 ? "r0" : `t${index - 1}`])
      )
      const problems = yield* problemsOf([...tail.toReversed(), ...ring])
      assert.lengthOf(problems, 1)
      assert.lengthOf(problems[0]?.path ?? [], count + 1)
    }))

  it.effect("all kinds of problems come together in one typed error, each with a code, a stage and a fix", () =>
    Effect.gen(function*() {
      const result = yield* Pipeline.fromSpecs("bad", [
        spec("input_guard"),
        spec("input_guard"),
        spec(""),
        spec("router", ["input_gaurd"]),
        spec("router2", ["nowhere_near"]),
        spec("self", ["self"]),
        spec("a", ["c"]),
        spec("b", ["a"]),
        spec("c", ["b"])
      ]).pipe(
        Effect.as(undefined),
        Effect.catchTag("PipelineInvalid", (invalid) => Effect.succeed(invalid))
      )
      assert.instanceOf(result, PipelineInvalid.PipelineInvalid)
      assert.strictEqual(result?.code, "PIPELINE_INVALID")
      assert.strictEqual(result?.pipeline, "bad")
      assert.deepStrictEqual(
        result?.problems.map(({ code }) => code).toSorted(),
        ["BLANK_NAME", "CYCLE", "DUPLICATE_NAME", "SELF_DEPENDENCY", "UNKNOWN_STAGE", "UNKNOWN_STAGE"]
      )
      for (const { code, fix, message, stage } of result?.problems ?? []) {
        assert.isNotEmpty(message)
        assert.isNotEmpty(fix)
        if (code !== "BLANK_NAME") assert.isNotEmpty(stage)
        assert.include(result?.message ?? "", message)
        assert.include(result?.message ?? "", fix)
      }
    }))

  it.effect("each problem is told once, however often the wiring repeats it", () =>
    Effect.gen(function*() {
      const reader = Stage.transform("reader", { run: (_: {}) => Effect.succeed({}) })
      const wiring = { inputs: ["gone"], after: ["gone", "gone"], when: Source.stage("gone").is("x") }
      assert.deepStrictEqual(yield* codesOf([{ stage: reader, ...wiring }]), ["UNKNOWN_STAGE reader"])
    }))

  it.effect("nothing of a bad pipeline runs: no stage, no layer, no event, whichever way it is started", () =>
    Effect.gen(function*() {
      const counter = new Counter()
      const layer = Layer.effectDiscard(Effect.sync(() => counter.add("layer")))
      const name: string = "twice"
      const bad = Pipeline.make("bad").add(counter.stage(name)).add(counter.stage(name)).pipe(Pipeline.provide(layer))
      const snapshot = Snapshot.make()
      const ways = [
        Pipeline.run(bad, snapshot),
        Pipeline.run(bad, snapshot, { failure: "continue", concurrency: 1 }),
        Pipeline.start(bad, snapshot),
        Stream.runCollect(Pipeline.stream(bad, snapshot)),
        Pipeline.validate(bad),
        Pipeline.describe(bad)
      ]
      for (const way of ways) {
        const error = yield* Effect.flip(way)
        assert.instanceOf(error, PipelineInvalid.PipelineInvalid)
        if (error._tag === "PipelineInvalid") {
          assert.deepStrictEqual(error.problems.map(({ code }) => code), ["DUPLICATE_NAME"])
        }
      }
      const memory = yield* EventSink.Memory
      assert.deepStrictEqual(yield* memory.events, [])
      assert.strictEqual(counter.total, 0)
    }).pipe(Effect.scoped, Effect.provide(EventSink.layerMemory)))

  // -------------------------------------------------------------------------------------------------------------------
  // what the types would not let anybody write: plugins and files that nobody has checked
  // -------------------------------------------------------------------------------------------------------------------

  const throwing = (key: string) =>
    Object.defineProperty({ stage: noop("throws") }, key, {
      enumerable: true,
      get: () => {
        throw new Error("hunter2")
      }
    })

  const revoked = () => {
    const { proxy, revoke } = Proxy.revocable({}, {})
    revoke()
    return proxy
  }

  const wrongSpecs: Readonly<Record<string, readonly [spec: unknown, problem: string]>> = {
    "nothing": [undefined, `INVALID_STAGE "": Stage number 2 is no spec: it is undefined.`],
    "null": [null, `INVALID_STAGE "": Stage number 2 is no spec: it is null.`],
    "a name": ["llm", `INVALID_STAGE "": Stage number 2 is no spec: it is "llm".`],
    "a function": [() => spec("a"), `INVALID_STAGE "": Stage number 2 is no spec: it is a function.`],
    "a list": [[spec("a")], `INVALID_STAGE "": Stage number 2 is no spec: it is an array.`],
    "a stage instead of its spec": [noop("a"), `INVALID_STAGE "": Stage number 2 is no spec: it is a stage.`],
    "a revoked Proxy": [revoked(), `INVALID_STAGE "": Stage number 2 cannot be read: it throws.`],
    "a spec without a stage": [{}, `INVALID_STAGE "": Stage number 2 is no stage: it is undefined.`],
    "a name as the stage": [{ stage: "llm" }, `INVALID_STAGE "": Stage number 2 is no stage: it is "llm".`],
    "a copy of a stage": [
      { stage: { ...noop("a") } },
      `INVALID_STAGE "": Stage number 2 is no stage: it is an object.`
    ],
    "what only looks like a stage": [
      { stage: JSON.parse(`{"~stageflow/Stage":{},"name":"a","arounds":[]}`) },
      `INVALID_STAGE "": Stage number 2 is no stage: it is an object.`
    ],
    "a revoked Proxy as the stage": [
      { stage: revoked() },
      `INVALID_STAGE "": Stage number 2 cannot be read: it throws.`
    ],
    "a stage that cannot be read": [
      throwing("stage"),
      `INVALID_STAGE "": Stage number 2 cannot be read: it throws.`
    ],
    "a name that is no string": [
      { stage: noop(42 as unknown as string) },
      `INVALID_NAME "": Stage number 2 has a name that is no string: it is 42.`
    ],
    "no name": [
      { stage: noop(undefined as unknown as string) },
      `INVALID_NAME "": Stage number 2 has a name that is no string: it is undefined.`
    ],
    "after that is no list": [
      { stage: noop("a"), after: "good" },
      `INVALID_WIRING "a": Stage "a" is wired wrong: "after" is "good", not a list of names.`
    ],
    "after as a Set": [
      { stage: noop("a"), after: new Set(["good"]) },
      `INVALID_WIRING "a": Stage "a" is wired wrong: "after" is an object, not a list of names.`
    ],
    "after null": [
      { stage: noop("a"), after: null },
      `INVALID_WIRING "a": Stage "a" is wired wrong: "after" is null, not a list of names.`
    ],
    "a stage in after": [
      { stage: noop("a"), after: ["good", noop("good")] },
      `INVALID_WIRING "a": Stage "a" is wired wrong: "after.1" is an object, not a name.`
    ],
    "a hole in after": [
      { stage: noop("a"), after: Array(1) },
      `INVALID_WIRING "a": Stage "a" is wired wrong: "after.0" is undefined, not a name.`
    ],
    "after that cannot be read": [
      throwing("after"),
      `INVALID_WIRING "throws": Stage "throws" is wired wrong: "after" cannot be read: it throws.`
    ],
    "a name as the inputs": [
      { stage: noop("a"), inputs: "good" },
      `INVALID_WIRING "a": Stage "a" is wired wrong: "inputs" is "good", not a list of names.`
    ],
    "a source as the inputs": [
      { stage: noop("a"), inputs: Source.stage("good") },
      `INVALID_WIRING "a": Stage "a" is wired wrong: "inputs" is a source, not names or named sources.`
    ],
    "a Map as the inputs": [
      { stage: noop("a"), inputs: new Map([["good", Source.stage("good")]]) },
      `INVALID_WIRING "a": Stage "a" is wired wrong: "inputs" is an object, not names or named sources.`
    ],
    "a number among the inputs": [
      { stage: noop("a"), inputs: ["good", 1n] },
      `INVALID_WIRING "a": Stage "a" is wired wrong: "inputs.1" is 1n, not a name.`
    ],
    "an input that is no source": [
      { stage: noop("a"), inputs: { good: Source.stage("good"), who: "good" } },
      `INVALID_WIRING "a": Stage "a" is wired wrong: "inputs.who" is "good", not a source.`
    ],
    "inputs that cannot be read": [
      { stage: noop("a"), inputs: throwing("x") },
      `INVALID_WIRING "a": Stage "a" is wired wrong: "inputs" cannot be read: it throws.`
    ],
    "a condition that is no source": [
      { stage: noop("a"), when: () => true },
      `INVALID_WIRING "a": Stage "a" is wired wrong: "when" is a function, not a source.`
    ],
    "a condition that is a value": [
      { stage: noop("a"), when: false },
      `INVALID_WIRING "a": Stage "a" is wired wrong: "when" is false, not a source.`
    ],
    "a misspelt key": [
      { stage: noop("a"), dependencies: ["good"] },
      `INVALID_WIRING "a": Stage "a" is wired wrong: there is no "dependencies".`
    ]
  }

  for (const [title, [wrong, told]] of Object.entries(wrongSpecs)) {
    it.effect(`a spec that is none: ${title}`, () =>
      Effect.gen(function*() {
        const problems = yield* problemsOf([spec("good"), wrong as Pipeline.Spec, spec("other", ["good"])])
        assert.deepStrictEqual(
          problems.map(({ code, message, stage }) => `${code} ${JSON.stringify(stage)}: ${message}`),
          [told]
        )
        for (const { fix, index } of problems) {
          assert.strictEqual(index, 1)
          assert.isNotEmpty(fix)
        }
      }))
  }

  it.effect("bad specs are told together with everything else, and so are specs that are no list and a name that is none", () =>
    Effect.gen(function*() {
      const wrong = Object.values(wrongSpecs).map(([wrong]) => wrong as Pipeline.Spec)
      const problems = yield* problemsOf([spec("good"), ...wrong, spec("other", ["god"])])
      assert.includeMembers(
        problems.map(({ code, index }) => `${code} ${index ?? ""}`),
        [...wrong.map((_, index) => `INVALID_WIRING ${index + 1}`).slice(15, 29), "UNKNOWN_STAGE "]
      )
      for (const index of wrong.keys()) assert.isTrue(problems.some((problem) => problem.index === index + 1))
      for (const specs of [undefined, null, 42, "specs", {}, new Set([spec("a")]), revoked()]) {
        const [problem, ...others] = yield* problemsOf(specs as unknown as ReadonlyArray<Pipeline.Spec>)
        assert.deepStrictEqual(others, [])
        assert.strictEqual(problem?.code, "INVALID_STAGE")
        assert.include(problem?.message ?? "", "has no list of specs")
      }
      const unnamed = yield* Effect.flip(Pipeline.fromSpecs(42 as unknown as string, [spec("a"), spec("a")]))
      assert.deepStrictEqual(unnamed.problems.map(({ code }) => code), ["DUPLICATE_NAME", "INVALID_NAME"])
    }))

  it.effect("a wiring that fits none, in add, is told when the pipeline is asked for, and nothing of it runs", () =>
    Effect.gen(function*() {
      const counter = new Counter()
      const base = Pipeline.make("bad").add(counter.stage("good"))
      const add = (stage: unknown, ...wiring: ReadonlyArray<unknown>) =>
        (base.add as (...given: ReadonlyArray<unknown>) => typeof base)(stage, ...wiring)
      const told = Effect.fnUntraced(function*(pipeline: typeof base) {
        const failed: unknown = yield* Effect.flip(
          Pipeline.run(pipeline, Snapshot.make()) as Effect.Effect<unknown, unknown>
        )
        assert.instanceOf(failed, PipelineInvalid.PipelineInvalid)
        assert.strictEqual(counter.total, 0)
        return failed.problems.map(({ message }) => message)
      })
      const a = noop("a")
      const wrong: ReadonlyArray<readonly [given: ReadonlyArray<unknown>, message: string]> = [
        [[undefined], "Stage number 2 is no stage: it is undefined."],
        [["a", { after: ["good"] }], "Stage number 2 is no stage: it is \"a\"."],
        [[a, null], "Stage \"a\" is wired wrong: the wiring is null."],
        [[a, "good"], "Stage \"a\" is wired wrong: the wiring is \"good\"."],
        [[a, ["good"]], "Stage \"a\" is wired wrong: the wiring is an array."],
        [[a, Promise.resolve({})], "Stage \"a\" is wired wrong: the wiring is an object that has none of these."],
        // Braces around what an arrow function was to return.
        [[a, () => undefined], "Stage \"a\" is wired wrong: the wiring is undefined."],
        [[a, { after: "good" }], "Stage \"a\" is wired wrong: \"after\" is \"good\", not a list of names."],
        [[a, () => ({ when: true })], "Stage \"a\" is wired wrong: \"when\" is true, not a source."],
        [[a, { input: ["good"] }], "Stage \"a\" is wired wrong: there is no \"input\"."]
      ]
      for (const [given, message] of wrong) {
        const [stage, ...wiring] = given
        assert.deepStrictEqual(yield* told(add(stage, ...wiring)), [message])
        // joined with others, before and behind
        assert.deepStrictEqual(
          yield* told(add(stage, ...wiring).extend(Pipeline.make("more").add(noop("b"))) as unknown as typeof base),
          [message]
        )
      }
      assert.throws(() => Pipeline.make(undefined as unknown as string), /Invalid option "name"/)
    }))

  it.effect("a pipeline holds what it was given, not the lists and objects that it was given with", () =>
    Effect.gen(function*() {
      const after = ["a"]
      const wiring = { after }
      const specs = [{ stage: noop("a") }, { stage: noop("b"), after }]
      const added = Pipeline.make("kept").add(noop("a")).add(noop("b"), wiring as { readonly after: ["a"] })
      const [fromSpecs] = yield* Effect.all([Pipeline.fromSpecs("kept", specs)])
      after.push("gone")
      wiring.after = ["gone too"]
      specs.length = 0
      for (const pipeline of [added, fromSpecs]) {
        const { edges, stages } = yield* Pipeline.describe(pipeline)
        assert.deepStrictEqual(edges.map(({ from, to }) => [from, to]), [["a", "b"]])
        assert.lengthOf(stages, 2)
      }
    }))
})
