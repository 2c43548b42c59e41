import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import { Pipeline, Snapshot, Source, Stage, StageOutput } from "stageflow"
import { PipelineTest } from "stageflow/testing"

const guard = (name: string) => Stage.guard(name, { run: Effect.void })
const work = <const Name extends string>(name: Name) => Stage.work(name, { run: Effect.void })
const profile = Stage.enrich("profile", {
  run: function*() {
    const { userId } = yield* Snapshot.current
    return { name: userId ?? (yield* StageOutput.skip("nobody")) }
  }
})
const router = Stage.route("router", {
  run: Effect.map(
    Snapshot.current,
    ({ inputText }) => ({ route: inputText === "help" ? "support" as const : "sales" as const })
  )
})
const answer = Stage.transform("answer", { run: Effect.succeed({ text: "hi" }) })

/** The warnings in short: `IDLE_GUARD input_guard`. */
const warningsOf = (pipeline: Pipeline.Any) =>
  Effect.map(Pipeline.lint(pipeline), (warnings) => warnings.map(({ code, stage }) => `${code} ${stage}`))

const cases: Readonly<Record<string, Readonly<Record<string, readonly [Pipeline.Any, ReadonlyArray<string>]>>>> = {
  "a guard that no stage waits for": {
    "beside stages that run whatever it says": [
      Pipeline.make("p").add(guard("input_guard")).add(answer),
      ["IDLE_GUARD input_guard"]
    ],
    "beside stages that end in another guard": [
      Pipeline.make("p").add(guard("input_guard")).add(answer).add(guard("output_guard"), { after: ["answer"] }),
      ["IDLE_GUARD input_guard"]
    ],
    "that is a gate with nothing behind it": [
      Pipeline.make("p").add(answer).gate(guard("input_guard")),
      ["IDLE_GUARD input_guard"]
    ],
    "beside only a part of the stages": [
      Pipeline.make("p").add(answer).add(guard("output_guard"), { after: ["answer"] }).add(work("audit")),
      ["IDLE_GUARD output_guard"]
    ],
    "is fine as a gate": [Pipeline.make("p").gate(guard("input_guard")).add(answer), []],
    "is fine when something waits for it": [
      Pipeline.make("p").add(guard("input_guard")).add(answer, { after: ["input_guard"] }),
      []
    ],
    "is fine at the end of everything": [
      Pipeline.make("p").gate(guard("input_guard")).add(answer).add(guard("output_guard"), (s) => ({
        after: [s.answer.name]
      })),
      []
    ],
    "is fine alone": [Pipeline.make("p").add(guard("a")).add(guard("b")), []]
  },
  "data that nobody reads": {
    "of context that is only waited for": [
      Pipeline.make("p").add(profile).add(answer, { after: ["profile"] }),
      ["UNREAD_DATA profile"]
    ],
    "of context beside an answer": [Pipeline.make("p").add(profile).add(answer), ["UNREAD_DATA profile"]],
    "of a route beside an answer": [Pipeline.make("p").add(router).add(answer), ["UNREAD_DATA router"]],
    "of a transform beside what is returned": [
      Pipeline.make("p").add(answer).transform("other", { run: Effect.succeed({ n: 1 }) }).returns((s) => s.other),
      ["UNREAD_DATA answer"]
    ],
    "is fine when a condition reads it": [
      Pipeline.make("p").add(router).add(answer, (s) => ({ when: s.router.is("support") })),
      []
    ],
    "is fine when an input reads it": [
      Pipeline.make("p").add(profile).transform("greet", { inputs: ["profile?"], run: () => Effect.succeed({}) }),
      []
    ],
    "is fine when the value reads it": [Pipeline.make("p").add(profile).returns((s) => s.profile.option), []],
    "is fine of answers at the end": [Pipeline.make("p").add(answer).add(work("audit")), []],
    "is fine of context, when there is nothing but context": [Pipeline.make("p").add(profile).add(router), []],
    "is fine of an answer that is only waited for": [
      Pipeline.make("p").add(answer).add(work("audit"), { after: ["answer"] }),
      []
    ],
    "is fine of work, guards and agents": [
      Pipeline.make("p").gate(guard("g")).add(work("a")).agent("b", { after: ["a"], run: Effect.succeed({ n: 1 }) })
        .add(work("c"), { after: ["b"] }),
      []
    ]
  },
  "a stage with which all answers are skipped": {
    "that is read as required": [
      Pipeline.make("p").add(profile).transform("greet", {
        inputs: (s) => ({ who: s.profile.required.map(({ name }) => name) }),
        run: ({ who }) => Effect.succeed({ text: who })
      }),
      ["END_MAY_SKIP profile"]
    ],
    "that has a condition, told once for a chain": [
      Pipeline.make("p").add(router).add(answer, (s) => ({ when: s.router.is("support") }))
        .transform("polished", {
          inputs: (s) => ({ answer: s.answer.required }),
          run: ({ answer }) => Effect.succeed({ text: answer.text })
        })
        .transform("sent", {
          inputs: (s) => ({ answer: s.polished.required }),
          run: ({ answer }) => Effect.succeed({ text: answer.text })
        }),
      ["END_MAY_SKIP answer"]
    ],
    "is fine as an Option": [
      Pipeline.make("p").add(profile).transform("greet", {
        inputs: (s) => ({ who: s.profile.option }),
        run: () => Effect.succeed({ text: "" })
      }),
      []
    ],
    "is fine when branches are joined": [
      Pipeline.make("p").add(router).add(answer, (s) => ({ when: s.router.is("support") }))
        .transform("sales", { when: (s) => s.router.is("sales"), run: Effect.succeed({ text: "buy" }) })
        .transform("sent", {
          inputs: (s) => ({ answer: Source.firstOf(s.answer, s.sales) }),
          run: ({ answer }) => Effect.succeed(answer)
        }),
      []
    ],
    "is fine beside another answer": [
      Pipeline.make("p").add(profile).transform("greet", {
        inputs: (s) => ({ who: s.profile.required }),
        run: () => Effect.succeed({ text: "" })
      }).add(answer),
      []
    ],
    "is fine when the end is work": [
      Pipeline.make("p").add(profile).work("badge", {
        inputs: (s) => ({ who: s.profile.required }),
        run: () => Effect.void
      }),
      []
    ]
  },
  "names": {
    "that differ in case only": [
      Pipeline.make("p").add(work("Audit")).add(work("audit")).add(work("AUDIT")),
      ["SIMILAR_NAMES audit", "SIMILAR_NAMES AUDIT"]
    ],
    "that differ from the input's in case only": [
      Pipeline.make("p", { input: Schema.Struct({ n: Schema.Int }) }).add(work("Input")),
      ["SIMILAR_NAMES Input"]
    ],
    "are fine otherwise": [Pipeline.make("p").add(work("audit")).add(work("audits")), []]
  }
}

describe("Pipeline.lint", () => {
  for (const [group, each] of Object.entries(cases)) {
    describe(group, () => {
      for (const [name, [pipeline, expected]] of Object.entries(each)) {
        it.effect(name, () => Effect.map(warningsOf(pipeline), (found) => assert.deepStrictEqual(found, expected)))
      }
    })
  }

  it.effect("tells what is wrong and what to do, as plain data, and Pipeline.describe the same", () =>
    Effect.gen(function*() {
      const pipeline = Pipeline.make("p").add(guard("input_guard")).add(answer)
      const warnings = yield* Pipeline.lint(pipeline)
      assert.deepStrictEqual(JSON.parse(JSON.stringify(warnings)), [{
        code: "IDLE_GUARD",
        stage: "input_guard",
        message:
          "The guard \"input_guard\" guards nothing: no stage waits for it, so others run before it has answered.",
        fix: "Add it with gate, before the stages that it guards, or name it in their after."
      }])
      assert.deepStrictEqual((yield* Pipeline.describe(pipeline)).warnings, warnings)
    }))

  it.effect("fails with what keeps a pipeline from running", () =>
    Effect.gen(function*() {
      const invalid = yield* Effect.flip(Pipeline.lint(Pipeline.make("p")))
      assert.strictEqual(invalid._tag, "PipelineInvalid")
    }))

  it.effect("of 20,000 guards at the end of a chain of 20,000 stages ends in time", () =>
    Effect.gen(function*() {
      const size = 20_000
      const chain = Array.from({ length: size }, (_, index) => ({
        stage: work(`work${index}`),
        after: index === 0 ? [] : [`work${index - 1}`]
      }))
      const guards = Array.from({ length: size }, (_, index) => ({
        stage: guard(`guard${index}`),
        after: [`work${size - 1}`]
      }))
      const pipeline = yield* Pipeline.fromSpecs("large", [...chain, ...guards])
      assert.deepStrictEqual(yield* Pipeline.lint(pipeline), [])
    }))
})

describe("PipelineTest.lint", () => {
  const pipeline = Pipeline.make("chat").add(guard("input_guard")).add(answer)

  it.effect("fails with all warnings and what to do about them", () =>
    Effect.gen(function*() {
      const warned = yield* Effect.flip(PipelineTest.lint(pipeline))
      assert(warned._tag === "PipelineWarned")
      assert.strictEqual(
        warned.message,
        "Pipeline \"chat\" has warnings:\n- The guard \"input_guard\" guards nothing: no stage waits for it, so others run "
          + "before it has answered. Add it with gate, before the stages that it guards, or name it in their after. (IDLE_GUARD)"
      )
    }))

  it.effect("says nothing of what is excepted", () =>
    Effect.gen(function*() {
      yield* PipelineTest.lint(pipeline, { except: ["input_guard"] })
      yield* pipeline.pipe(PipelineTest.lint({ except: ["input_guard"] }))
    }))
})
