import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Schedule, Schema } from "effect"
import { Extension, Pipeline, Snapshot, Stage, StageError, StageOutput } from "stageflow"
import { ForEach, Route, Subpipeline } from "stageflow/control"

class SearchDown extends Schema.TaggedError<SearchDown>()("SearchDown", { engine: Schema.String }) {
  override get message(): string {
    return `${this.engine} does not answer`
  }
}

class Search extends Context.Service<Search, {
  readonly find: (topic: string) => Effect.Effect<ReadonlyArray<string>, SearchDown>
}>()("test/Search") {}

class Skills extends Extension.make<Skills>()("skills", Schema.Struct({ level: Schema.String })) {}

const found = { find: (topic: string) => Effect.succeed([`On ${topic}`]) }
const down = { find: () => Effect.fail(new SearchDown({ engine: "main" })) }

/** Takes a topic and returns what it finds. */
const research = Pipeline.make("research", { input: Schema.Struct({ topic: Schema.String }) })
  .transform("search", {
    inputs: ["input"],
    *run({ input }) {
      return { hits: yield* (yield* Search).find(input.topic) }
    }
  })
  .returns((s) => s.search)

const plan = Stage.transform("plan", { run: Effect.succeed({ topic: "engines" }) })

const researched = Subpipeline.stage("research", research, {
  input: (inputs: { readonly plan: { readonly topic: string } }) => inputs.plan
})

const answer = Pipeline.make("answer").add(plan).add(researched, { inputs: ["plan"] })

describe("Subpipeline.stage", () => {
  it.effect("gives the pipeline its input, and its readers what the pipeline returns", () =>
    Effect.gen(function*() {
      const { outputs } = yield* Pipeline.run(answer, Snapshot.make())
      assert.deepStrictEqual(outputs.research.data.hits, ["On engines"])
    }).pipe(Effect.provideService(Search, found)))

  it.effect("takes what its pipeline takes when nothing says how that is made", () =>
    Effect.gen(function*() {
      const greet = Pipeline.make("greet", { input: Schema.Struct({ user: Schema.Struct({ name: Schema.String }) }) })
        .transform("write", {
          inputs: ["input"],
          run: ({ input }) => Effect.succeed({ text: `Hello ${input.user.name}` })
        })
      const parent = Pipeline.make("parent")
        .add(Stage.enrich("user", { run: Effect.succeed({ name: "Ada" }) }))
        .add(Subpipeline.stage("greet", greet), { inputs: ["user"] })
      const { outputs } = yield* Pipeline.run(parent, Snapshot.make())
      assert.strictEqual(outputs.greet.data.write.text, "Hello Ada")
    }))

  it.effect("gives the data of the stages by their names when the pipeline returns nothing", () =>
    Effect.gen(function*() {
      const child = Pipeline.make("child")
        .add(Stage.transform("one", { run: Effect.succeed({ n: 1 }) }))
        .add(Stage.enrich("two", { run: Effect.succeed(StageOutput.skip("nothing")) }))
        .add(Stage.transform("__proto__", { run: Effect.succeed({ n: 3 }) }))
      const { outputs } = yield* Pipeline.run(
        Pipeline.make("parent").add(Subpipeline.stage("child", child)),
        Snapshot.make()
      )
      assert.deepStrictEqual(Object.entries(outputs.child.data), [["one", { n: 1 }], ["__proto__", { n: 3 }]])
      assert.isUndefined(outputs.child.data.two)
    }))

  it.effect("gives what `output` makes of the result, a signal included", () =>
    Effect.gen(function*() {
      const child = Pipeline.make("child")
        .add(
          Stage.transform("count", {
            run: Effect.map(Snapshot.current, ({ inputText = "" }) => ({ n: inputText.length }))
          })
        )
        .returns((s) => s.count.map(({ n }) => n))
      const parent = Pipeline.make("parent").add(Subpipeline.stage("length", child, {
        output: ({ value }) => value === 0 ? StageOutput.skip("No text") : { length: value }
      }))
      const some = yield* Pipeline.run(parent, Snapshot.make({ inputText: "four" }))
      assert.deepStrictEqual(some.outputs.length._tag === "Ok" ? some.outputs.length.data : undefined, { length: 4 })
      const none = yield* Pipeline.run(parent, Snapshot.make())
      assert.strictEqual(none.outputs.length._tag, "Skip")
    }))

  it.effect("hands on the parent's snapshot, or what `snapshot` makes of it", () =>
    Effect.gen(function*() {
      const child = Pipeline.make("child").add(
        Stage.transform("read", { run: Effect.map(Snapshot.current, ({ inputText = "" }) => ({ inputText })) })
      )
      const parent = Pipeline.make("parent")
        .add(plan)
        .add(Subpipeline.stage("same", child))
        .add(
          Subpipeline.stage("other", child, {
            snapshot: (current, inputs: { readonly plan: { readonly topic: string } }) =>
              Snapshot.update(current, { inputText: `${current.inputText} ${inputs.plan.topic}` })
          }),
          { inputs: ["plan"] }
        )
      const { outputs } = yield* Pipeline.run(parent, Snapshot.make({ inputText: "on" }))
      assert.strictEqual(outputs.same.data.read.inputText, "on")
      assert.strictEqual(outputs.other.data.read.inputText, "on engines")
    }))

  it.effect("passes down the extensions of the parent, and those that `snapshot` adds", () =>
    Effect.gen(function*() {
      const child = Pipeline.make("child").add(
        Stage.transform("read", { run: Effect.map(Skills, ({ level }) => ({ level })) })
      )
      const inherits = Pipeline.make("parent").add(Subpipeline.stage("child", child))
      const given = yield* Pipeline.run(inherits, Snapshot.extend(Snapshot.make(), Skills, { level: "high" }))
      assert.strictEqual(given.outputs.child.data.read.level, "high")
      const adds = Pipeline.make("parent").add(Subpipeline.stage("child", child, {
        snapshot: (current) => Snapshot.extend(current, Skills, { level: "low" })
      }))
      const added = yield* Pipeline.run(adds, Snapshot.make())
      assert.strictEqual(added.outputs.child.data.read.level, "low")
    }))

  it.effect("runs the child as `run` says: what is incomplete is for `output` to read", () =>
    Effect.gen(function*() {
      const child = Pipeline.make("child")
        .add(Stage.work("good", { run: Effect.succeed({ n: 1 }) }))
        .add(Stage.work("bad", { run: Effect.fail(new SearchDown({ engine: "main" })) }))
      const parent = Pipeline.make("parent").add(Subpipeline.stage("child", child, {
        run: { failure: "continue" },
        output: (ended) => ({ ended: ended._tag, failed: ended._tag === "Incomplete" ? ended.failed : [] })
      }))
      const { outputs } = yield* Pipeline.run(parent, Snapshot.make())
      assert.deepStrictEqual(outputs.child.data, { ended: "Incomplete", failed: ["bad"] })
    }))

  it.effect("is a stage of the kind that is given, with the pipeline in its annotations", () =>
    Effect.gen(function*() {
      const stage = Subpipeline.stage("research", research, { kind: "agent", input: () => ({ topic: "x" }) })
      assert.strictEqual(stage.kind, "agent")
      assert.strictEqual(researched.kind, "transform")
      assert.deepStrictEqual(Context.get(stage.annotations, Pipeline.Inside), { pipelines: [{ pipeline: research }] })
      const { stages } = yield* Pipeline.describe(answer)
      assert.deepStrictEqual(stages, [
        { name: "plan", kind: "transform" },
        {
          name: "research",
          kind: "transform",
          inside: {
            pipelines: [{
              pipeline: { name: "research", stages: [{ name: "search", kind: "transform" }], edges: [], warnings: [] }
            }]
          }
        }
      ])
    }))

  it.effect("is wrapped like any other: a retry runs the child again", () =>
    Effect.gen(function*() {
      let calls = 0
      const flaky = {
        find: () => ++calls === 1 ? Effect.fail(new SearchDown({ engine: "main" })) : Effect.succeed(["hit"])
      }
      const pipeline = Pipeline.make("answer").add(plan).add(
        researched.pipe(Stage.retry({ schedule: Schedule.recurs(2 - 1) })),
        { inputs: ["plan"] }
      )
      const { outputs } = yield* Effect.provideService(Pipeline.run(pipeline, Snapshot.make()), Search, flaky)
      assert.deepStrictEqual(outputs.research.data.hits, ["hit"])
    }))

  it("refuses what is no pipeline and what is no option, where it is made", () => {
    const untyped = Subpipeline.stage as unknown as (...given: ReadonlyArray<unknown>) => unknown
    for (
      const given of [
        ["s", {}],
        ["s", research, { onCancle: "skip" }],
        ["s", research, { onCancel: "stop" }],
        ["s", research, { input: 1 }],
        ["s", research, { snapshot: {} }],
        ["s", research, { output: "x" }],
        ["s", research, 1]
      ]
    ) {
      assert.throws(() => untyped(...given), StageError.InvalidOption)
    }
  })
})

describe("a child that fails", () => {
  const outer = Pipeline.make("outer").add(Subpipeline.stage("answer", answer))

  it.effect("fails its stage with the path down to what failed, and with its error", () =>
    Effect.gen(function*() {
      const { error, stage } = yield* Effect.flip(Pipeline.run(outer, Snapshot.make())).pipe(
        Effect.provideService(Search, down)
      )
      assert.strictEqual(stage, "answer")
      assert(error instanceof Subpipeline.SubpipelineFailed)
      assert.deepStrictEqual(error.path, ["answer", "research", "search"])
      assert.strictEqual(error.pipeline, "answer")
      assert.strictEqual(error.message, "answer > research > search failed: SearchDown: main does not answer")
      assert(error.error._tag === "StageFailed")
      const inner = error.error.error
      assert(inner instanceof Subpipeline.SubpipelineFailed)
      assert.deepStrictEqual(inner.path, ["research", "search"])
      assert(inner.error._tag === "StageFailed")
      assert.instanceOf(inner.error.error, SearchDown)
      assert.deepStrictEqual(JSON.parse(JSON.stringify(error)), {
        _tag: "SubpipelineFailed",
        code: "SUBPIPELINE_FAILED",
        message: error.message,
        pipeline: "answer",
        stage: "answer",
        path: ["answer", "research", "search"]
      })
    }))

  it.effect("by a defect is told apart from its typed errors", () =>
    Effect.gen(function*() {
      const child = Pipeline.make("child").add(Stage.work("dies", { run: Effect.die("boom") }))
      const { error } = yield* Effect.flip(
        Pipeline.run(Pipeline.make("parent").add(Subpipeline.stage("child", child)), Snapshot.make())
      )
      assert(error instanceof Subpipeline.SubpipelineFailed)
      assert(error.error._tag === "StageFailed")
      assert.instanceOf(error.error.error, StageError.StageFault)
    }))

  it.effect("outside of its stages has no stage below in its path", () =>
    Effect.gen(function*() {
      const child = Pipeline.make("child").add(plan).returns((s) =>
        s.plan.map((): { readonly n: number } => {
          throw new Error("no value")
        })
      )
      const { error } = yield* Effect.flip(
        Pipeline.run(Pipeline.make("parent").add(Subpipeline.stage("child", child)), Snapshot.make())
      )
      assert(error instanceof Subpipeline.SubpipelineFailed)
      assert.deepStrictEqual(error.path, ["child"])
      assert.strictEqual(error.error._tag, "ValueFailed")
    }))

  it.effect("with what it takes refused does not start", () =>
    Effect.gen(function*() {
      const positive = Pipeline.make("positive", {
        input: Schema.Struct({ n: Schema.Int.check(Schema.isGreaterThan(0)) })
      })
        .transform("use", { inputs: ["input"], run: ({ input }) => Effect.succeed({ n: input.n }) })
      const { error } = yield* Effect.flip(Pipeline.run(
        Pipeline.make("parent").add(Subpipeline.stage("child", positive, { input: () => ({ n: 0 }) })),
        Snapshot.make()
      ))
      assert(error instanceof Subpipeline.SubpipelineFailed)
      assert.strictEqual(error.error._tag, "SnapshotInvalid")
    }))

  it.effect("can be handled in types, and then the parent goes on", () =>
    Effect.gen(function*() {
      const handled = researched.pipe(
        Stage.catch((error) => Effect.succeed({ hits: [error.path.join(">")] }))
      )
      const { outputs } = yield* Pipeline.run(
        Pipeline.make("answer").add(plan).add(handled, { inputs: ["plan"] }),
        Snapshot.make()
      )
      assert.deepStrictEqual(outputs.research.data.hits, ["research>search"])
    }).pipe(Effect.provideService(Search, down)))
})

describe("a child that is cancelled", () => {
  const child = Pipeline.make("child").add(Stage.guard("guard", {
    run: Effect.gen(function*() {
      const { inputText } = yield* Snapshot.current
      if (inputText === "spam") return yield* StageOutput.cancel("Blocked content", { data: { rule: 7 } })
      return { checked: true }
    })
  }))
  const spam = Snapshot.make({ inputText: "spam" })

  it.effect("cancels its parent with the same reason and data", () =>
    Effect.gen(function*() {
      const parent = Pipeline.make("parent").add(Subpipeline.stage("child", child))
      const result = yield* Pipeline.run(parent, spam)
      assert(result._tag === "Cancelled")
      assert.strictEqual(result.by, "child")
      assert.strictEqual(result.reason, "Blocked content")
      assert.deepStrictEqual(result.data, { rule: 7 })
      assert.strictEqual((yield* Pipeline.run(parent, Snapshot.make()))._tag, "Completed")
    }))

  it.effect("skips its stage when that is asked for", () =>
    Effect.gen(function*() {
      const parent = Pipeline.make("parent").add(Subpipeline.stage("child", child, { onCancel: "skip" }))
      const { outputs } = yield* Pipeline.run(parent, spam)
      assert(outputs.child._tag === "Skip")
      assert.strictEqual(outputs.child.reason, "Blocked content")
      assert.deepStrictEqual<unknown>(outputs.child.data, { rule: 7 })
    }))

  it.effect("fails its stage when that is asked for, and nothing stands in for it", () =>
    Effect.gen(function*() {
      let runs = 0
      const counted = Subpipeline.stage("child", child, {
        onCancel: "fail",
        snapshot: (current) => {
          runs++
          return current
        }
      })
      const parent = Pipeline.make("parent").add(counted.pipe(Stage.retry({ schedule: Schedule.recurs(3 - 1) })))
      const { error } = yield* Effect.flip(Pipeline.run(parent, spam))
      assert(error instanceof Subpipeline.SubpipelineCancelled)
      assert.strictEqual(
        error.message,
        "Pipeline \"child\" in stage \"child\" was cancelled by \"guard\": Blocked content"
      )
      assert.deepStrictEqual(error.data, { rule: 7 })
      assert.strictEqual(runs, 1)
    }))
})

describe("Subpipeline.run", () => {
  it.effect("runs a pipeline that a stage decides on, as often as it likes", () =>
    Effect.gen(function*() {
      const both = Pipeline.make("parent").add(Stage.transform("both", {
        run: Effect.gen(function*() {
          const ended = yield* Effect.forEach(
            ["a", "b"],
            (topic) => Subpipeline.run(research, { input: { topic } }),
            { concurrency: 2 }
          )
          return { hits: ended.flatMap(({ value }) => value.hits) }
        })
      }))
      const { outputs } = yield* Pipeline.run(both, Snapshot.make())
      assert.deepStrictEqual(outputs.both.data.hits, ["On a", "On b"])
    }).pipe(Effect.provideService(Search, found)))

  it.effect("fails with the path, and is handled where it is", () =>
    Effect.gen(function*() {
      const parent = Pipeline.make("parent").add(Stage.transform("careful", {
        run: Subpipeline.run(research, { input: { topic: "x" } }).pipe(
          Effect.map(({ value }) => ({ said: value.hits.join() })),
          Effect.catchTag("SubpipelineFailed", (error) => Effect.succeed({ said: error.path.join(" > ") }))
        )
      }))
      const { outputs } = yield* Pipeline.run(parent, Snapshot.make())
      assert.strictEqual(outputs.careful.data.said, "careful > search")
    }).pipe(Effect.provideService(Search, down)))

  it.effect("takes a snapshot, options of the run, and what to do when the child is cancelled", () =>
    Effect.gen(function*() {
      const child = Pipeline.make("child")
        .add(Stage.guard("guard", {
          run: Effect.gen(function*() {
            const { inputText } = yield* Snapshot.current
            if (inputText === "spam") return yield* StageOutput.cancel("Blocked content")
          })
        }))
        .add(Stage.work("fails", { run: Effect.fail("broken" as const) }), { after: ["guard"] })
      const parent = (onCancel: Subpipeline.OnCancel, inputText: string) =>
        Pipeline.make("parent").add(Stage.work("work", {
          run: Effect.gen(function*() {
            const snapshot = Snapshot.update(yield* Snapshot.current, { inputText })
            const ended = yield* Subpipeline.run(child, { snapshot, onCancel, run: { failure: "continue" } })
            return { ended: ended._tag }
          })
        }))
      const good = yield* Pipeline.run(parent("cancel", "fine"), Snapshot.make())
      assert(good._tag === "Completed" && good.outputs.work._tag === "Ok")
      assert.deepStrictEqual(good.outputs.work.data, { ended: "Incomplete" })
      const skipped = yield* Pipeline.run(parent("skip", "spam"), Snapshot.make())
      assert(skipped._tag === "Completed")
      assert.strictEqual(skipped.outputs.work._tag, "Skip")
      assert.strictEqual((yield* Pipeline.run(parent("cancel", "spam"), Snapshot.make()))._tag, "Cancelled")
      const failed = yield* Effect.flip(Pipeline.run(parent("fail", "spam"), Snapshot.make()))
      assert(failed._tag === "StageFailed")
      assert.instanceOf(failed.error, Subpipeline.SubpipelineCancelled)
    }))
})

describe("Subpipeline.rootError", () => {
  it.effect("looks through the errors of runs inside of one another, and leaves others as they are", () =>
    Effect.gen(function*() {
      const deep = Pipeline.make("deep").add(Stage.work("fails", { run: Effect.fail("no news") }))
      const middle = Pipeline.make("middle").add(Subpipeline.stage("deep", deep))
      const top = Pipeline.make("top").add(Subpipeline.stage("middle", middle))
      const failed = yield* Effect.flip(Pipeline.run(top, Snapshot.make()))
      assert.strictEqual(Subpipeline.rootError(failed), "no news")
      assert.strictEqual(Subpipeline.rootError(failed.error), "no news")
      assert.strictEqual(Subpipeline.rootError(5), 5)
    }))
})

describe("an option that is null", () => {
  it("is not one that was left out", () => {
    const child = Pipeline.make("child").add(Stage.work("work", { run: Effect.void }))
    assert.throws(() => Subpipeline.stage("child", child, { onCancel: null as never }), /onCancel/)
    assert.throws(
      () => ForEach.stage("items", { items: () => [1], each: () => Effect.void, failure: null as never }),
      /failure/
    )
  })

  it("says what there is when there is one choice only", () => {
    assert.throws(
      () => Route.weighted("route", { a: 1 }, { key: () => "k", otherwise: "zz" as never }),
      /expected "a", got "zz"/
    )
  })
})
