import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Schema } from "effect"
import { TestClock } from "effect/testing"
import { EventSink, Pipeline, RunResult, Snapshot, Stage, StageContext, StageError, StageOutput } from "stageflow"
import { GuardRetry, Loop, Subpipeline } from "stageflow/control"
import { toMermaid } from "stageflow/graph"

interface Draft {
  readonly text: string
}
type Revision = GuardRetry.Revision<Draft, string>

class Llm extends Context.Service<Llm, { readonly write: (prompt: string) => Effect.Effect<string> }>()("test/Llm") {}

const question = Stage.enrich("question", { run: Effect.succeed({ text: "Why?" }) })

/** Writes what it is asked, and how often it has tried. */
const write = ({ question, revision }: { readonly question: { readonly text: string }; readonly revision: Revision }) =>
  Effect.gen(function*() {
    return { text: yield* (yield* Llm).write(`${question.text} ${revision.attempt}`) }
  })

/** Accepts from the second attempt on. */
const second = (draft: Draft) =>
  Effect.succeed(draft.text.endsWith("2") ? GuardRetry.accept : GuardRetry.reject("Once more"))

const echo = { write: (prompt: string) => Effect.succeed(prompt) }

describe("GuardRetry.stage", () => {
  it.effect("is a stage like any other: wired, given its ports, and read like its draft", () =>
    Effect.gen(function*() {
      const pipeline = Pipeline.make("p")
        .add(question)
        .add(GuardRetry.stage("answer", { draft: write, guards: { second } }), { inputs: ["question"] })
        .transform("length", { inputs: ["answer"], run: ({ answer }) => Effect.succeed({ n: answer.text.length }) })
      const { outputs } = yield* Pipeline.run(pipeline, Snapshot.make())
      assert.deepStrictEqual(outputs.answer.data, { text: "Why? 2" })
      assert.strictEqual(outputs.length.data.n, 6)
    }).pipe(Effect.provideService(Llm, echo)))

  it.effect("takes stages and pipelines as drafts and guards, which are runs of their own", () =>
    Effect.gen(function*() {
      const asPipeline = Pipeline.make("writing", {
        input: Schema.Struct({
          question: Schema.Struct({ text: Schema.String }),
          revision: GuardRetry.revision(Schema.Struct({ text: Schema.String }), Schema.String)
        })
      })
        .transform("write", { inputs: ["input"], run: ({ input }) => write(input) })
        .returns((s) => s.write)
      const asStage = Stage.transform("write", { run: write })
      const judging = Pipeline.make("judging", { input: Schema.Struct({ text: Schema.String }) })
        .guard("judge", { inputs: ["input"], run: ({ input }) => second(input) })
        .returns((s) => s.judge)
      for (const draft of [asPipeline, asStage]) {
        const pipeline = Pipeline.make("p").add(question).add(
          GuardRetry.stage("answer", {
            draft: draft as typeof asStage,
            guards: { judging, stage: Stage.guard("judge", { run: second }), second }
          }),
          { inputs: ["question"] }
        )
        const { outputs } = yield* Pipeline.run(pipeline, Snapshot.make())
        assert.deepStrictEqual(outputs.answer.data, { text: "Why? 2" })
      }
    }).pipe(Effect.provideService(Llm, echo)))

  it.effect("gives what `output` makes of the accepted draft and the history, a signal included", () =>
    Effect.gen(function*() {
      const whole = GuardRetry.stage("answer", { draft: write, guards: { second }, output: (accepted) => accepted })
      const { outputs } = yield* Pipeline.run(
        Pipeline.make("p").add(question).add(whole, { inputs: ["question"] }),
        Snapshot.make()
      )
      assert.deepStrictEqual<unknown>(outputs.answer.data, {
        draft: { text: "Why? 2" },
        attempt: 2,
        history: [
          {
            attempt: 1,
            draft: { text: "Why? 1" },
            verdicts: [{ guard: "second", verdict: { _tag: "Reject", feedback: "Once more" } }]
          },
          { attempt: 2, draft: { text: "Why? 2" }, verdicts: [{ guard: "second", verdict: { _tag: "Accept" } }] }
        ]
      })
      const skipping = GuardRetry.stage("answer", {
        draft: write,
        guards: { second },
        output: ({ attempt }) => attempt > 1 ? StageOutput.skip("Too late") : {}
      })
      const result = yield* Pipeline.run(
        Pipeline.make("p").add(question).add(skipping, { inputs: ["question"] }),
        Snapshot.make()
      )
      assert.strictEqual(result.outputs.answer._tag, "Skip")
    }).pipe(Effect.provideService(Llm, echo)))

  it.effect("gives guards the inputs of the stage and the number of the attempt", () =>
    Effect.gen(function*() {
      const seen: Array<unknown> = []
      const stage = GuardRetry.stage("answer", {
        draft: write,
        guards: {
          second: (draft, judging) => {
            seen.push(judging)
            return second(draft)
          }
        }
      })
      yield* Pipeline.run(Pipeline.make("p").add(question).add(stage, { inputs: ["question"] }), Snapshot.make())
      assert.deepStrictEqual(
        seen,
        [1, 2].map((attempt) => ({ attempt, inputs: { question: { text: "Why?" } } }))
      )
    }).pipe(Effect.provideService(Llm, echo)))

  it.effect("keeps the version of an accepted draft, and tells the events that a function returns", () =>
    Effect.gen(function*() {
      const stage = GuardRetry.stage("answer", {
        draft: () =>
          Effect.succeed(
            StageOutput.ok({ text: "a 2" }, { version: "v3", events: [{ type: "drafted", data: { n: 1 } }] })
          ),
        guards: { second }
      })
      const { outputs } = yield* Pipeline.run(Pipeline.make("p").add(stage), Snapshot.make())
      assert.strictEqual(outputs.answer.version, "v3")
      const events = yield* (yield* EventSink.Memory).events
      assert.strictEqual(events.filter((event) => event._tag === "StageEmitted" && event.type === "drafted").length, 1)
    }).pipe(Effect.provide(EventSink.layerMemory)))

  it.effect("is skipped or cancels the run when its draft does", () =>
    Effect.gen(function*() {
      const outputs = { Skip: StageOutput.skip("no draft"), Cancel: StageOutput.cancel("no draft") }
      for (const output of Object.values(outputs)) {
        for (
          const draft of [
            () => Effect.succeed(output),
            () => output,
            Stage.transform("draft", { run: Effect.succeed(output) })
          ]
        ) {
          const stage = GuardRetry.stage("answer", {
            draft: draft as () => Effect.Effect<StageOutput.Skip | StageOutput.Cancel | Draft>,
            guards: { second }
          })
          const result = yield* Pipeline.run(Pipeline.make("p").add(stage), Snapshot.make())
          if (output._tag === "Cancel") assert(result._tag === "Cancelled" && result.reason === "no draft")
          else assert.strictEqual(result.outputs.answer?._tag, "Skip")
        }
      }
    }))

  it.effect("fails with what its draft fails with, and does not draft again", () =>
    Effect.gen(function*() {
      let drafts = 0
      const stage = GuardRetry.stage("answer", {
        draft: () => Effect.suspend(() => Effect.fail(`broken ${++drafts}`)),
        guards: { any: () => Effect.succeed(GuardRetry.accept) }
      })
      const failed = yield* Effect.flip(Pipeline.run(Pipeline.make("p").add(stage), Snapshot.make()))
      assert.strictEqual(failed.error, "broken 1")
    }))

  it.effect("starts anew in every attempt of a retry around it", () =>
    Effect.gen(function*() {
      let calls = 0
      const attempts: Array<number> = []
      const stage = GuardRetry.stage("answer", {
        draft: ({ revision }: { readonly revision: Revision }) =>
          Effect.suspend(() => {
            attempts.push(revision.attempt)
            return ++calls === 2 ? Effect.fail("broken") : Effect.succeed({ text: `draft ${revision.attempt}` })
          }),
        guards: { second }
      }).pipe(Stage.retry({ attempts: 2, while: () => true }))
      const fiber = yield* Effect.forkChild(Pipeline.run(Pipeline.make("p").add(stage), Snapshot.make()))
      yield* TestClock.adjust("1 minute")
      assert.isDefined(fiber.pollUnsafe())
      assert.deepStrictEqual(attempts, [1, 2, 1, 2])
    }))

  it.effect("works with failure: continue, in streams, and in every other construct", () =>
    Effect.gen(function*() {
      const rejected = GuardRetry.stage("answer", {
        draft: () => Effect.succeed({ text: "a" }),
        guards: { second }
      })
      const beside = Pipeline.make("p").add(rejected).add(Stage.work("beside", { run: Effect.void }))
      const result = yield* Pipeline.run(beside, Snapshot.make(), { failure: "continue" })
      assert(result._tag === "Incomplete")
      assert.deepStrictEqual(result.failed, ["answer"])
      const good = GuardRetry.stage("answer", { draft: () => Effect.succeed({ text: "a 2" }), guards: { second } })
      const inLoop = Loop.until("loop", {
        state: (): Draft => ({ text: "none" }),
        body: good,
        until: ({ text }) => text === "a 2"
      })
      const child = Pipeline.make("child").add(inLoop)
      const inside = GuardRetry.stage("outer", {
        draft: Subpipeline.stage("sub", child, { output: ({ outputs }) => outputs.loop.data.state }),
        guards: { second }
      })
      const { outputs } = yield* Pipeline.run(Pipeline.make("p").add(inside), Snapshot.make())
      assert.deepStrictEqual(outputs.outer.data, { text: "a 2" })
    }))

  it.effect("shows its draft and its guards as a loop", () =>
    Effect.gen(function*() {
      const stage = GuardRetry.stage("answer", {
        draft: Stage.agent("writer", { run: Effect.succeed({ text: "a" }) }),
        guards: {
          tone: second,
          draft: second,
          writer: Pipeline.make("inner").add(Stage.guard("g", { run: Effect.void }))
        },
        kind: "agent"
      } as never) as Stage.Stage<"answer", unknown, Draft>
      const { stages } = yield* Pipeline.describe(Pipeline.make("p").add(stage))
      const [described] = stages
      assert.strictEqual(described?.kind, "agent")
      assert.strictEqual(described?.inside?.repeats, "loop")
      const inner = described?.inside?.pipelines[0]?.pipeline
      assert.deepStrictEqual(inner?.stages.map(({ kind, name }) => [name, kind]), [
        ["writer draft", "agent"],
        ["tone", "guard"],
        ["draft", "guard"],
        ["writer", "guard"]
      ])
      assert.deepStrictEqual(inner?.warnings, [])
      assert.strictEqual(inner?.stages[3]?.inside?.pipelines[0]?.pipeline.name, "inner")
      const picture = yield* toMermaid(Pipeline.make("p").add(stage))
      assert.include(picture, "again")
      assert.include(picture, "agent, in a loop")
    }))

  it("refuses what cannot be, where it is made", () => {
    const untyped = GuardRetry.stage as unknown as (...given: ReadonlyArray<unknown>) => unknown
    const draft = () => Effect.succeed({ text: "a" })
    const guards = { second }
    const thrower = Object.defineProperty({}, "tone", {
      enumerable: true,
      get: () => {
        throw new Error("no")
      }
    })
    for (
      const given of [
        undefined,
        1,
        {},
        { draft },
        { guards },
        { draft: 1, guards },
        { draft, guards: {} },
        { draft, guards: [second] },
        { draft, guards: { tone: 1 } },
        { draft, guards: { " ": second } },
        { draft, guards: thrower },
        { draft, guards, maxAttempt: 2 },
        { draft, guards, output: 1 },
        { draft, guards, kind: "writer" },
        ...[0, -1, 1.5, Number.NaN, Infinity, "3", null].map((maxAttempts) => ({ draft, guards, maxAttempts })),
        ...[0, -1, Number.NaN, "5", null].map((deadline) => ({ draft, guards, deadline })),
        ...[1, 0, 1.5, "2"].map((times) => ({ draft, guards, stagnation: { times } })),
        ...[null, true, 1, { time: 2 }, { fingerprint: [] }, { fingerprint: [1] }, { fingerprint: "text" }].map(
          (stagnation) => ({ draft, guards, stagnation })
        )
      ]
    ) {
      assert.throws(() => untyped("s", given), StageError.InvalidOption)
    }
  })

  it.effect("a fingerprint that throws fails the stage; data that cannot be looked into is new every time", () =>
    Effect.gen(function*() {
      const stage = GuardRetry.stage("answer", {
        draft: () => Effect.succeed({ text: "a", f: () => 1 }),
        guards: { no: () => Effect.succeed(GuardRetry.reject("no")) }
      })
      const opaque = yield* Effect.flip(Pipeline.run(Pipeline.make("p").add(stage), Snapshot.make()))
      assert(opaque instanceof RunResult.StageFailed && opaque.error instanceof GuardRetry.NoDraftAccepted)
      assert.strictEqual(opaque.error.reason, "attempts")
      const throwing = GuardRetry.stage("answer", {
        draft: () => Effect.succeed({ text: "a" }),
        guards: { second },
        stagnation: {
          fingerprint: () => {
            throw new Error("no")
          }
        }
      })
      const failed = yield* Effect.flip(Pipeline.run(Pipeline.make("p").add(throwing), Snapshot.make()))
      assert.instanceOf(failed.error, StageError.StageFault)
    }))

  it.effect("one value is run any number of times at once", () =>
    Effect.gen(function*() {
      const stage = GuardRetry.stage("answer", {
        draft: ({ revision }: { readonly revision: Revision }) =>
          Effect.gen(function*() {
            const { snapshot } = yield* StageContext.StageContext
            yield* Effect.yieldNow
            return { text: `${snapshot.inputText} ${revision.attempt}` }
          }),
        guards: { second }
      })
      const pipeline = Pipeline.make("p").add(stage)
      const results = yield* Effect.forEach(
        Array.from({ length: 100 }, (_, index) => String(index)),
        (inputText) => Pipeline.run(pipeline, Snapshot.make({ inputText })),
        { concurrency: "unbounded" }
      )
      assert.deepStrictEqual(
        results.map(({ outputs }) => outputs.answer.data.text),
        Array.from({ length: 100 }, (_, index) => `${index} 2`)
      )
    }))

  it.effect("a draft is not looked at before there is to be another one", () =>
    Effect.gen(function*() {
      let looked = 0
      const fingerprint = () => ++looked
      for (const [maxAttempts, expected] of [[1, 0], [3, 2]] as const) {
        looked = 0
        const stage = GuardRetry.stage("answer", {
          draft: ({ revision }: { readonly revision: Revision }) => Effect.succeed({ text: `${revision.attempt}` }),
          guards: { second },
          maxAttempts,
          stagnation: { fingerprint }
        })
        yield* Effect.exit(Pipeline.run(Pipeline.make("p").add(stage), Snapshot.make()))
        assert.strictEqual(looked, expected)
      }
    }))
})
