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
})
