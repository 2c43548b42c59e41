import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Layer, Redacted, Schema, Stream } from "effect"
import { Extension, Interceptor, Pipeline, Snapshot, Stage } from "stageflow"
import { Subpipeline } from "stageflow/control"
import { PortRecording, Replay, RunLog } from "stageflow/observability"

class LlmDown extends Schema.TaggedError<LlmDown>()("LlmDown", { model: Schema.String }) {}
class Llm extends Context.Service<Llm, {
  readonly ask: (prompt: string) => Effect.Effect<string, LlmDown>
  readonly tokens: (prompt: string) => Stream.Stream<string, LlmDown>
  readonly model: Effect.Effect<string>
}>()("test/Llm") {}

class Odd {
  readonly made = true
}

const llm = (answer: string) =>
  Layer.succeed(Llm, {
    ask: (prompt) => Effect.succeed(`${answer} (${prompt})`),
    tokens: (prompt) => Stream.fromIterable([answer, prompt]),
    model: Effect.succeed("large")
  })

const Style = Extension.make<Style>()("style", Schema.Struct({ tone: Schema.String }))
interface Style {
  readonly key: "stageflow/Extension/style"
}

const counted = () => {
  const counts: Record<string, number> = {}
  const count = (name: string) =>
    Effect.sync(() => {
      counts[name] = (counts[name] ?? 0) + 1
    })
  const pipeline = Pipeline.make("chat")
    .guard("check", { run: count("check") })
    .enrich("profile", { after: ["check"], run: Effect.as(count("profile"), { name: "Ada" }) })
    .transform("answer", {
      inputs: ["profile"],
      output: Schema.Struct({ text: Schema.String, at: Schema.Date }),
      run: ({ profile: { name } }) =>
        Effect.gen(function*() {
          yield* count("answer")
          return { text: yield* (yield* Llm).ask(name), at: new Date(0) }
        })
    })
    .transform("shout", {
      inputs: ["answer"],
      run: ({ answer: { text } }) => Effect.as(count("shout"), { text: text.toUpperCase() })
    })
    .work("aside", { run: count("aside") })
  return { counts, pipeline }
}

describe("Replay.from", () => {
  it.effect("runs the stage and what depends on it; the rest comes from the log", () =>
    Effect.gen(function*() {
      const { counts, pipeline } = counted()
      yield* Pipeline.run(pipeline, Snapshot.make({ pipelineRunId: "run", inputText: "Hi" })).pipe(
        Effect.provide(llm("Hello"))
      )
      const again = yield* Replay.from(pipeline, "run", "answer", { layers: llm("Bye") })
      assert.strictEqual(again._tag, "Completed")
      assert.deepStrictEqual(counts, { check: 1, profile: 1, aside: 1, answer: 2, shout: 2 })
      assert.deepInclude(again.outputs.shout, { data: { text: "BYE (ADA)" } })
      const run = yield* RunLog.get(again.lineage.runId)
      assert.strictEqual(run.replayOf, "run")
      const diff = Replay.diff(yield* RunLog.get("run"), run)
      assert.isFalse(diff.isSame)
      assert.deepStrictEqual(diff.stages.map(({ change, name }) => [name, change]), [
        ["check", "same"],
        ["profile", "same"],
        ["answer", "changed"],
        ["shout", "changed"],
        ["aside", "same"]
      ])
      assert.deepStrictEqual(diff.stages[2]?.patch, [{ op: "replace", path: "/data/text", value: "Bye (Ada)" }])
      assert.include(Replay.formatDiff(diff), "/data/text is now: \"Bye (Ada)\"")
      // A replay can be replayed.
      const third = yield* Replay.from(pipeline, again.lineage.runId, "shout", { layers: llm("No") })
      assert.deepInclude(third.outputs.shout, { data: { text: "BYE (ADA)" } })
      assert.strictEqual(counts["answer"], 2)
    }).pipe(Effect.provide(RunLog.layerMemory())))

  it.effect("nothing that is around an answered stage runs", () =>
    Effect.gen(function*() {
      let asked = 0
      const gated = Stage.transform("a", { run: Effect.succeed({ n: 1 }) }).pipe(
        Stage.intercept(Interceptor.make({
          name: "asks",
          gate: true,
          around: (effect) => Effect.andThen(Effect.sync(() => asked++), effect)
        }))
      )
      const pipeline = Pipeline.make("p").add(gated).transform("b", { after: ["a"], run: Effect.succeed({ n: 2 }) })
      yield* Pipeline.run(pipeline, Snapshot.make({ pipelineRunId: "run" }))
      yield* Replay.from(pipeline, "run", "b")
      assert.strictEqual(asked, 1)
    }).pipe(Effect.provide(RunLog.layerMemory())))

  it.effect("says every reason why it cannot", () =>
    Effect.gen(function*() {
      const first = Pipeline.make("p")
        .transform("kept", { run: Effect.succeed({ n: 1 }) })
        .transform("odd", { run: Effect.sync(() => ({ of: new Odd() })) })
        .transform("typed", { run: Effect.succeed({ n: 1 }) })
        .transform("end", { run: Effect.succeed({}) })
      yield* Pipeline.run(first, Snapshot.make({ pipelineRunId: "run" }))
      const second = Pipeline.make("p")
        .transform("kept", { run: Effect.succeed({ n: 1 }) })
        .transform("odd", { after: [], run: Effect.succeed({}) })
        .transform("typed", { output: Schema.Struct({ n: Schema.String }), run: Effect.succeed({ n: "1" }) })
        .transform("added", { run: Effect.succeed({}) })
        .transform("end", { after: ["odd", "typed", "added"], run: Effect.succeed({}) })
      const error = yield* Effect.flip(Replay.from(second, "run", "end"))
      assert.isTrue(error._tag === "ReplayImpossible")
      if (error._tag !== "ReplayImpossible") return
      assert.deepStrictEqual(error.reasons.map(({ stage }) => stage), ["odd", "typed", "added"])
      assert.include(error.message, "was added since")
      const other = yield* Effect.flip(
        Replay.run(Pipeline.make("q").transform("a", { run: Effect.succeed({}) }), "run")
      )
      assert.include(other.message, "it is a run of pipeline \"p\"")
      const none = yield* Effect.flip(Replay.run(first, "nope"))
      assert.strictEqual(none._tag, "RunNotFound")
    }).pipe(Effect.provide(RunLog.layerMemory())))
})

describe("Replay.run", () => {
  it.effect("runs with the same snapshot, its extensions and its input", () =>
    Effect.gen(function*() {
      const pipeline = Pipeline.make("p", { input: Schema.Struct({ at: Schema.Date }) })
        .transform("a", {
          inputs: ["input"],
          run: ({ input }) => Effect.map(Style, ({ tone }) => ({ tone, at: input.at.getTime() }))
        })
      yield* Pipeline.run(
        pipeline,
        Snapshot.make({ pipelineRunId: "run", input: { at: new Date(5) } }).pipe(
          Snapshot.extend(Style, { tone: "dry" })
        )
      )
      const again = yield* Replay.run(pipeline, "run", { extensions: [Style] })
      assert.deepInclude(again.outputs.a, { data: { tone: "dry", at: 5 } })
      assert.notStrictEqual(again.lineage.runId, "run")
      assert.isTrue(Replay.diff(yield* RunLog.get("run"), yield* RunLog.get(again.lineage.runId)).isSame)
    }).pipe(Effect.provide(RunLog.layerMemory())))
})

describe("Replay.diff", () => {
  it.effect("does not know whether what was left out is the same", () =>
    Effect.gen(function*() {
      const secret = (text: string) =>
        Pipeline.make("p").transform("a", { run: Effect.sync(() => ({ key: Redacted.make(text) })) })
      yield* Pipeline.run(secret("one"), Snapshot.make({ pipelineRunId: "one" }))
      yield* Pipeline.run(secret("two"), Snapshot.make({ pipelineRunId: "two" }))
      const diff = Replay.diff(yield* RunLog.get("one"), yield* RunLog.get("two"))
      assert.deepStrictEqual(diff.stages.map(({ change }) => change), ["unknown"])
      assert.isFalse(diff.isSame)
    }).pipe(Effect.provide(RunLog.layerMemory())))

  it.effect("misses nothing inside of a stage that was answered from the log", () =>
    Effect.gen(function*() {
      const inner = Pipeline.make("inner").transform("deep", { run: Effect.succeed({ n: 1 }) })
      const outer = Pipeline.make("outer")
        .add(Subpipeline.stage("sub", inner))
        .work("last", { after: ["sub"], run: Effect.void })
      yield* Pipeline.run(outer, Snapshot.make({ pipelineRunId: "run" }))
      const again = yield* Replay.from(outer, "run", "last")
      const diff = Replay.diff(yield* RunLog.get("run"), yield* RunLog.get(again.lineage.runId))
      assert.isTrue(diff.isSame)
      assert.deepStrictEqual(diff.stages.map(({ b, name, runs }) => [name, b?.isAnswered, runs.length]), [
        ["sub", true, 0],
        ["last", false, 0]
      ])
      assert.match(Replay.formatDiff(diff), /same +sub +ok .*\| ok from the log/)
      assert.notInclude(Replay.formatDiff(diff), "removed")
    }).pipe(Effect.provide(RunLog.layerMemory())))
})

describe("PortRecording", () => {
  const recording = PortRecording.make(Llm, {
    ask: { args: Schema.Tuple([Schema.String]), error: LlmDown },
    tokens: { error: LlmDown }
  })
  const pipeline = Pipeline.make("ports").transform("a", {
    run: Effect.gen(function*() {
      const port = yield* Llm
      const down = yield* Effect.flip(port.ask("down"))
      const tokens = yield* Stream.runCollect(port.tokens("x"))
      return {
        first: yield* port.ask("1"),
        second: yield* port.ask("2"),
        down: down.model,
        tokens,
        model: yield* port.model
      }
    })
  })
  const live = recording.record(Layer.succeed(Llm, {
    ask: (prompt) => prompt === "down" ? Effect.fail(new LlmDown({ model: "m" })) : Effect.succeed(`said ${prompt}`),
    tokens: (prompt) => Stream.fromIterable([prompt, "y"]),
    model: Effect.succeed("large")
  }))

  it.effect("a recorded run answers the calls of its ports", () =>
    Effect.gen(function*() {
      const first = yield* Pipeline.run(pipeline, Snapshot.make({ pipelineRunId: "run" })).pipe(Effect.provide(live))
      const run = yield* RunLog.get("run")
      assert.deepStrictEqual(
        run.stages[0]?.calls?.map(({ end, method }) => [method, end._tag]),
        [["ask", "Failed"], ["tokens", "Succeeded"], ["ask", "Succeeded"], ["ask", "Succeeded"], ["model", "Succeeded"]]
      )
      const recorded = RunLog.layerRecorded(run, recording)
      const again = yield* Replay.run(pipeline, "run").pipe(Effect.provide(recorded))
      assert.deepStrictEqual(again.outputs.a.data, first.outputs.a.data)
      // Every call is answered once.
      const third = yield* Effect.gen(function*() {
        yield* Pipeline.run(pipeline, Snapshot.make())
        return yield* Effect.flip(Pipeline.run(pipeline, Snapshot.make()))
      }).pipe(Effect.provide(recorded))
      assert.include(JSON.stringify(third.error), "Defect")
    }).pipe(Effect.provide(RunLog.layerMemory())))

  it.effect("without a run log nothing is recorded, and nothing changes", () =>
    Effect.gen(function*() {
      const result = yield* Pipeline.run(pipeline, Snapshot.make())
      assert.deepInclude(result.outputs.a.data, { first: "said 1", down: "m", model: "large" })
    }).pipe(Effect.provide(live)))
})
