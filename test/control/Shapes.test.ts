import { assert, describe, it } from "@effect/vitest"
import { Cause, Deferred, Effect, Fiber, Option, Schedule, Schema } from "effect"
import { TestClock } from "effect/testing"
import { EventSink, Interceptor, Pipeline, Snapshot, Stage, StageContext, StageError, StageOutput } from "stageflow"
import { Shapes, Subpipeline } from "stageflow/control"
import { StageTest } from "stageflow/testing"
import { announced } from "../support/announced.ts"

class Down extends Schema.TaggedError<Down>()("Down", { host: Schema.String }) {
  override get message(): string {
    return `${this.host} does not answer`
  }
}

const Text = Schema.Struct({ text: Schema.String })

const read = Stage.enrich("read", {
  run: Effect.map(Snapshot.current, ({ inputText = "" }) => ({ text: inputText }))
})
const trim = Stage.transform("trim", {
  run: (inputs: { readonly text: string }) => Effect.succeed({ text: inputs.text.trim() })
})
const count = Stage.transform("count", {
  run: (inputs: { readonly text: string }) => Effect.succeed({ letters: inputs.text.length })
})
const shout = Stage.transform("shout", {
  run: (inputs: { readonly text: string }) => Effect.succeed({ loud: inputs.text.toUpperCase() })
})
const both = Stage.transform("both", {
  run: (inputs: { readonly count: { readonly letters: number }; readonly shout: { readonly loud: string } }) =>
    Effect.succeed({ line: `${inputs.shout.loud} (${inputs.count.letters})` })
})

const edges = (pipeline: Pipeline.Any) =>
  Effect.map(Pipeline.describe(pipeline), ({ edges }) => edges.map(({ from, to, type }) => `${from} ${type} ${to}`))

const untyped = <A>(f: A) => f as unknown as (...given: ReadonlyArray<unknown>) => never

describe("Shapes.chain", () => {
  const letters = Shapes.chain("letters", [trim, count], { input: Text })

  it.effect("runs each stage with what the one before gave, and returns what the last gives", () =>
    Effect.gen(function*() {
      const { outputs, value } = yield* Pipeline.run(letters, Snapshot.make({ input: { text: " four " } }))
      assert.deepStrictEqual(value, { letters: 4 })
      assert.deepStrictEqual(outputs.trim.data, { text: "four" })
      assert.deepStrictEqual(yield* edges(letters), ["trim data count"])
    }))

  it.effect("starts with nothing when its first stage takes nothing", () =>
    Effect.gen(function*() {
      const chain = Shapes.chain("letters", [read, trim, count])
      const { value } = yield* Pipeline.run(chain, Snapshot.make({ inputText: " one" }))
      assert.deepStrictEqual(value, { letters: 3 })
      assert.deepStrictEqual(yield* Pipeline.lint(chain), [])
      assert.deepStrictEqual(Shapes.chain("one", [read]).name, "one")
    }))

  it.effect("keeps what is around its stages, and takes pipelines as stages", () =>
    Effect.gen(function*() {
      let attempts = 0
      const flaky = Stage.transform("flaky", {
        run: (inputs: { readonly letters: number }) =>
          Effect.suspend(() => ++attempts < 2 ? Effect.fail(new Down({ host: "a" })) : Effect.succeed(inputs))
      }).pipe(Stage.retry({ schedule: Schedule.recurs(1) }))
      const chain = Shapes.chain("outer", [read, Subpipeline.stage("letters", letters), flaky])
      const { value } = yield* Pipeline.run(chain, Snapshot.make({ inputText: "four" }))
      assert.deepStrictEqual(value, { letters: 4 })
      assert.strictEqual(attempts, 2)
      const { stages } = yield* Pipeline.describe(chain)
      assert.strictEqual(stages[1]?.inside?.pipelines[0]?.pipeline.name, "letters")
    }))

  it.effect("is a pipeline like any other: merged, and a stage of another one", () =>
    Effect.gen(function*() {
      const parent = Pipeline.make("parent")
        .add(Stage.enrich("start", { run: Effect.succeed({ text: " abc" }) }))
        .add(
          Subpipeline.stage("letters", letters, {
            input: (inputs: { readonly start: { readonly text: string } }) => inputs.start
          }),
          { inputs: ["start"] }
        )
        .merge(Shapes.chain("other", [read, shout]))
      const { outputs } = yield* Pipeline.run(parent, Snapshot.make({ inputText: "x" }))
      assert.deepStrictEqual([outputs.letters.data.letters, outputs.shout.data.loud], [3, "X"])
    }))

  it.effect("runs nothing behind a stage that fails, cancels or, without types, skips", () =>
    Effect.gen(function*() {
      let ran = 0
      const after = Stage.work("after", {
        run: (_: { readonly text: string }) => Effect.sync(() => ({ ran: ++ran }))
      })
      const failing = Stage.work("failing", { run: Effect.fail(new Down({ host: "a" })).pipe(Effect.as({ text: "" })) })
      const failed = yield* Effect.flip(Pipeline.run(Shapes.chain("p", [failing, after]), Snapshot.make()))
      assert(failed._tag === "StageFailed")
      assert.deepStrictEqual<unknown>(failed.neverStarted, ["after"])
      const ending = (output: StageOutput.StageOutput) =>
        Shapes.chain("p", [
          Stage.guard("guard", { run: Effect.succeed(output as StageOutput.Ok<{ text: string }>) }),
          after
        ])
      const cancelled: { readonly _tag: string } = yield* Pipeline.run(
        ending(StageOutput.cancel("no")),
        Snapshot.make()
      )
      assert.strictEqual(cancelled._tag, "Cancelled")
      const skipped = yield* Effect.flip(Pipeline.run(ending(StageOutput.skip("no")), Snapshot.make()))
      assert.strictEqual(skipped._tag, "ValueFailed")
      assert.strictEqual(ran, 0)
    }))

  it("refuses what is no list of stages, where it is made", () => {
    const chain = untyped(Shapes.chain)
    for (
      const given of [
        ["p"],
        ["p", []],
        ["p", read],
        ["p", [read, letters]],
        ["p", [read, undefined]],
        ["p", [read, () => Effect.void]],
        ["p", [read], { inputs: Text }],
        ["p", [read], { input: "Text" }],
        [1, [read]]
      ]
    ) {
      assert.throws(() => chain(...given), StageError.InvalidOption)
    }
  })
})

describe("Shapes.fanOut", () => {
  const lines = Shapes.fanOut("lines", { from: read, to: [count, shout], join: both })

  it.effect("runs all branches with what the first stage gave, and joins them by their names", () =>
    Effect.gen(function*() {
      const { value } = yield* Pipeline.run(lines, Snapshot.make({ inputText: "four" }))
      assert.deepStrictEqual(value, { line: "FOUR (4)" })
      assert.deepStrictEqual(yield* edges(lines), [
        "read data count",
        "read data shout",
        "count data both",
        "shout data both"
      ])
      assert.deepStrictEqual(yield* Pipeline.lint(lines), [])
    }))

  it.effect("runs the branches at once", () =>
    Effect.gen(function*() {
      const slow = <const Name extends string>(name: Name) =>
        Stage.work(name, { run: (_: { readonly text: string }) => Effect.sleep("1 second") })
      const pipeline = Shapes.fanOut("slow", { from: read, to: [slow("a"), slow("b"), slow("c")] })
      const fiber = yield* Effect.forkChild(Pipeline.run(pipeline, Snapshot.make()))
      yield* TestClock.adjust("1 second")
      assert.strictEqual((yield* Fiber.join(fiber)).durationMs, 1000)
    }))

  it.effect("takes an input, and leaves what joins its branches to be added when it has no join", () =>
    Effect.gen(function*() {
      const maybe = Stage.enrich("maybe", {
        run: (inputs: { readonly text: string }) =>
          Effect.succeed(inputs.text === "" ? StageOutput.skip("No text") : { given: true })
      })
      const pipeline = Shapes.fanOut("open", { from: trim, to: [count, maybe], input: Text })
        .transform("report", {
          inputs: ["count", "maybe?"],
          run: ({ count, maybe }) => Effect.succeed({ letters: count.letters, given: Option.isSome(maybe) })
        })
        .returns((s) => s.report)
      const some = yield* Pipeline.run(pipeline, Snapshot.make({ input: { text: " a" } }))
      assert.deepStrictEqual(some.value, { letters: 1, given: true })
      const none = yield* Pipeline.run(pipeline, Snapshot.make({ input: { text: " " } }))
      assert.deepStrictEqual(none.value, { letters: 0, given: false })
    }))

  it("refuses what is no stage, where it is made", () => {
    const fanOut = untyped(Shapes.fanOut)
    for (
      const given of [
        undefined,
        {},
        { from: read },
        { from: read, to: [] },
        { from: read, to: count },
        { from: lines, to: [count] },
        { from: read, to: [count], join: lines },
        { from: read, to: [count], joins: both }
      ]
    ) {
      assert.throws(() => fanOut("p", given), StageError.InvalidOption)
    }
  })
})

describe("Shapes.duplex", () => {
  it.effect("runs two chains side by side, and joins what they end with", () =>
    Effect.gen(function*() {
      const pipeline = Shapes.duplex("lines", {
        lanes: [[trim, count], [shout]],
        join: both,
        input: Text
      })
      const { value } = yield* Pipeline.run(pipeline, Snapshot.make({ input: { text: " four" } }))
      assert.deepStrictEqual(value, { line: " FOUR (4)" })
      assert.deepStrictEqual(yield* edges(pipeline), ["trim data count", "count data both", "shout data both"])
    }))

  it.effect("has lanes that do not wait for each other", () =>
    Effect.gen(function*() {
      const log: Array<string> = []
      const step = <const Name extends string>(name: Name, millis: number) =>
        Stage.work(name, { run: Effect.andThen(Effect.sleep(millis), Effect.sync(() => void log.push(name))) })
      const pipeline = Shapes.duplex("talk", {
        lanes: [[step("hear", 10), step("note", 10)], [step("think", 15), step("speak", 15)]]
      })
      const fiber = yield* Effect.forkChild(Pipeline.run(pipeline, Snapshot.make()))
      yield* TestClock.adjust("1 second")
      const { durationMs } = yield* Fiber.join(fiber)
      assert.deepStrictEqual(log, ["hear", "think", "note", "speak"])
      assert.strictEqual(durationMs, 30)
    }))

  it("refuses what are no two lanes, where it is made", () => {
    const duplex = untyped(Shapes.duplex)
    for (
      const given of [
        undefined,
        {},
        { lanes: [] },
        { lanes: [[read]] },
        { lanes: [[read], []] },
        { lanes: [[read], [shout], [count]] },
        { lanes: [[read], [() => Effect.void]] },
        { lanes: [[read], [shout]], join: 1 },
        { lane: [[read], [shout]] }
      ]
    ) {
      assert.throws(() => duplex("p", given), StageError.InvalidOption)
    }
  })
})

describe("Shapes.race", () => {
  /** Gives its name after a while, and says in the log when it has cleaned up. */
  const runner = <const Name extends string>(name: Name, millis: number, log: Array<string> = []) =>
    Stage.transform(name, {
      run: Effect.as(Effect.sleep(millis), { by: name as string }).pipe(
        Effect.onInterrupt(() => Effect.andThen(Effect.sleep(100), Effect.sync(() => void log.push(`${name} clean`))))
      )
    })
  const down = (host: string) => () => Effect.fail(new Down({ host }))
  const dies = () => Effect.die(new TypeError("secret"))

  const racing = <S extends Stage.Any>(stage: S) =>
    Pipeline.make("p").add(stage as never) as unknown as Pipeline.Pipeline<
      Pipeline.Node<"race", Stage.DataOf<S>, never, Stage.Error<S>, never>
    >

  it.effect("is won by the first to succeed; the others are interrupted and have cleaned up before it ends", () =>
    Effect.gen(function*() {
      const log: Array<string> = []
      const race = Shapes.race("race", {
        slow: runner("slow", 300, log),
        fast: runner("fast", 50, log),
        never: () => Effect.onInterrupt(Effect.never, () => Effect.sync(() => void log.push("never clean")))
      })
      const fiber = yield* Effect.forkChild(Pipeline.run(Pipeline.make("p").add(race), Snapshot.make()))
      yield* TestClock.adjust(149)
      assert.deepStrictEqual(log, ["never clean"])
      assert.isUndefined(fiber.pollUnsafe())
      yield* TestClock.adjust(1)
      const { outputs } = yield* Fiber.join(fiber)
      assert.deepStrictEqual(outputs.race.data, { by: "fast" })
      assert.deepStrictEqual(log, ["never clean", "slow clean"])
      assert.deepStrictEqual(Shapes.winnerIn(outputs.race), Option.some("fast"))
      const events = yield* (yield* EventSink.Memory).events
      assert.deepStrictEqual(announced(events, "RaceWon"), [{ _tag: "RaceWon", winner: "fast", failed: [] }])
    }).pipe(Effect.provide(EventSink.layerMemory)))

  it.effect("is won by the one that is written first, when two succeed at the same time", () =>
    Effect.gen(function*() {
      for (const millis of [0, 10]) {
        const by = (name: string) => () => Effect.as(millis === 0 ? Effect.void : Effect.sleep(millis), { by: name })
        const race = Shapes.race("race", { b: by("b"), a: by("a") })
        const fiber = yield* Effect.forkChild(Pipeline.run(Pipeline.make("p").add(race), Snapshot.make()))
        yield* TestClock.adjust(10)
        assert.strictEqual((yield* Fiber.join(fiber)).outputs.race.data.by, "b")
      }
    }))

  it.effect("goes on without those that fail, die, skip, ask for a retry or interrupt themselves", () =>
    Effect.gen(function*() {
      const race = Shapes.race("race", {
        down: down("a"),
        dies,
        throws: (): Effect.Effect<{ by: string }> => {
          throw new Error("thrown")
        },
        skips: () => Effect.succeed(StageOutput.skip("nothing")),
        yields: () => StageOutput.skip("nothing"),
        retries: () => StageOutput.retry("again"),
        interrupts: () => Effect.interrupt,
        nothing: () => Effect.as(Effect.sleep(5), 1 as unknown as { by: string }),
        wins: () => Effect.as(Effect.sleep(10), { by: "wins" })
      })
      const fiber = yield* Effect.forkChild(Pipeline.run(racing(race), Snapshot.make()))
      yield* TestClock.adjust(10)
      const { outputs } = yield* Fiber.join(fiber)
      assert.deepStrictEqual<unknown>(outputs.race.data, { by: "wins" })
      const events = yield* (yield* EventSink.Memory).events
      assert.deepStrictEqual(announced(events, "RaceWon"), [{
        _tag: "RaceWon",
        winner: "wins",
        failed: ["down", "dies", "throws", "retries", "interrupts", "nothing"]
      }])
    }).pipe(Effect.provide(EventSink.layerMemory)))

  it.effect("is lost when everybody fails: with all errors in their order, and what somebody died of in the cause", () =>
    Effect.gen(function*() {
      const race = Shapes.race("race", {
        slow: () => Effect.andThen(Effect.sleep(10), Effect.fail(new Down({ host: "a" }))),
        dies,
        skips: () => Effect.succeed(StageOutput.skip("nothing")),
        retries: () => Effect.succeed(StageOutput.retry("again")),
        child: Pipeline.make("child").work("write", { run: Effect.fail(new Down({ host: "b" })) })
      })
      const fiber = yield* Effect.forkChild(Effect.flip(Pipeline.run(racing(race), Snapshot.make())))
      yield* TestClock.adjust(10)
      const failed = yield* Fiber.join(fiber)
      const error: unknown = failed.error
      assert(error instanceof Shapes.RaceLost)
      assert.strictEqual(error.code, "RACE_LOST")
      assert.deepStrictEqual(error.failures.map(({ contestant }) => contestant), ["slow", "dies", "retries", "child"])
      assert.instanceOf(error.failures[0]?.error, Down)
      assert.instanceOf(error.failures[1]?.error, StageError.StageFault)
      assert.instanceOf(error.failures[2]?.error, StageError.RetryExhausted)
      assert.instanceOf(error.failures[3]?.error, Subpipeline.SubpipelineFailed)
      assert.include(
        error.message,
        "Stage \"race\": nobody won; \"slow\" failed with Down: a does not answer; \"dies\""
      )
      assert.notInclude(JSON.stringify([error.message, error]), "secret")
      assert.isTrue(Cause.hasDies(failed.cause))
    }))

  it.effect("is skipped when everybody is, and cancels when somebody does", () =>
    Effect.gen(function*() {
      const skips = (reason: string) => () => Effect.succeed(StageOutput.skip(reason))
      const skipped = Shapes.race("race", { a: skips("first"), b: skips("second") })
      const result = yield* Pipeline.run(Pipeline.make("p").add(skipped), Snapshot.make())
      assert.strictEqual(result.outputs.race._tag === "Skip" && result.outputs.race.reason, "first")
      assert.isTrue(Option.isNone(Shapes.winnerIn(result.outputs.race)))
      const guard = Stage.guard("guard", { run: Effect.succeed(StageOutput.cancel("spam", { data: { rule: 7 } })) })
      const guarded = Shapes.race("race", { guard, slow: runner("slow", 1000) })
      const fiber = yield* Effect.forkChild(Pipeline.run(Pipeline.make("p").add(guarded), Snapshot.make()))
      yield* TestClock.adjust(100)
      const cancelled = yield* Fiber.join(fiber)
      assert(cancelled._tag === "Cancelled")
      assert.deepStrictEqual<unknown>([cancelled.by, cancelled.reason, cancelled.data], ["race", "spam", { rule: 7 }])
    }))

  it.effect("is retried and caught like any stage", () =>
    Effect.gen(function*() {
      let attempts = 0
      const flaky = () =>
        Effect.suspend(() => ++attempts < 3 ? Effect.fail(new Down({ host: "a" })) : Effect.succeed({ by: "c" }))
      const race = Shapes.race("race", { flaky, down: down("b") }).pipe(Stage.retry({ schedule: Schedule.recurs(2) }))
      assert.deepStrictEqual<unknown>((yield* Pipeline.run(racing(race), Snapshot.make())).outputs.race.data, {
        by: "c"
      })
      const caught = Shapes.race("race", { down: down("b") }).pipe(
        Stage.catch(({ failures }) => Effect.succeed({ by: failures.map(({ contestant }) => contestant).join() }))
      )
      const { outputs } = yield* Pipeline.run(Pipeline.make("p").add(caught), Snapshot.make())
      assert.deepStrictEqual(outputs.race.data, { by: "down" })
    }))

  it.effect("of one is that one", () =>
    Effect.gen(function*() {
      const race = Shapes.race("race", { trim })
      const { outcome } = yield* StageTest.run(race, { inputs: { text: " a " } })
      assert(outcome._tag === "Ok")
      assert.deepStrictEqual(outcome.data, { text: "a" })
    }))

  it.effect("is described with its contestants by their names", () =>
    Effect.gen(function*() {
      const race = Shapes.race("race", { trim, more: Shapes.chain("more", [read, count]), f: () => Effect.void }, {
        kind: "agent"
      })
      const pipeline = Pipeline.make("p").add(read).add(race, (s) => ({
        inputs: { text: s.read.map(({ text }) => text) }
      }))
      const { stages } = yield* Pipeline.describe(pipeline)
      assert.strictEqual(stages[1]?.kind, "agent")
      assert.deepStrictEqual(
        stages[1]?.inside?.pipelines.map(({ label, pipeline }) => [label, pipeline.stages.length]),
        [["trim", 1], ["more", 2]]
      )
    }))

  it.effect("interrupts everybody, and waits for them, wherever it is interrupted", () =>
    Effect.gen(function*() {
      for (const millis of [0, 20, 60, 100, 149]) {
        const log: Array<string> = []
        let [started, ended] = [0, 0]
        const counted = <const Name extends string>(name: Name, millis: number) => {
          const stage = runner(name, millis, log)
          return () =>
            Effect.suspend(() => {
              started++
              return Effect.ensuring(stage.run(undefined) as Effect.Effect<{ by: string }>, Effect.sync(() => ended++))
            })
        }
        const race = Shapes.race("race", { a: counted("a", 50), b: counted("b", 300), c: counted("c", 300) })
        const fiber = yield* Effect.forkChild(Pipeline.run(Pipeline.make("p").add(race), Snapshot.make()))
        yield* TestClock.adjust(millis)
        const interrupting = yield* Effect.forkChild(Fiber.interrupt(fiber))
        yield* TestClock.adjust(200)
        yield* Fiber.join(interrupting)
        assert.strictEqual(ended, started, `after ${millis} ms`)
        assert.strictEqual(started, 3)
      }
    }))

  it.effect("has one winner when others succeed while they are being interrupted", () =>
    Effect.gen(function*() {
      const race = Shapes.race("race", {
        first: () => Effect.as(Effect.sleep(10), { by: "first" }),
        stubborn: () => Effect.uninterruptible(Effect.as(Effect.sleep(20), { by: "stubborn" })),
        broken: () => Effect.ensuring(Effect.as(Effect.sleep(30), { by: "broken" }), Effect.die("finalizer"))
      })
      const fiber = yield* Effect.forkChild(Pipeline.run(Pipeline.make("p").add(race), Snapshot.make()))
      yield* TestClock.adjust(19)
      assert.isUndefined(fiber.pollUnsafe())
      yield* TestClock.adjust(1)
      assert.strictEqual((yield* Fiber.join(fiber)).outputs.race.data.by, "first")
    }))

  it.effect("has the first winner when nobody can be interrupted", () =>
    Effect.gen(function*() {
      const race = Shapes.race("race", {
        slow: () => Effect.as(Effect.sleep(20), { by: "slow" }),
        fast: () => Effect.as(Effect.sleep(10), { by: "fast" })
      }).pipe(Stage.intercept(Interceptor.make({ name: "uninterruptible", around: Effect.uninterruptible })))
      const fiber = yield* Effect.forkChild(Pipeline.run(Pipeline.make("p").add(race), Snapshot.make()))
      yield* TestClock.adjust(20)
      const { outputs } = yield* Fiber.join(fiber)
      assert.strictEqual(outputs.race.data.by, "fast")
      assert.deepStrictEqual(Shapes.winnerIn(outputs.race), Option.some("fast"))
    }))

  it("refuses what cannot be run, where it is made", () => {
    const race = untyped(Shapes.race)
    for (
      const given of [
        ["race"],
        ["race", {}],
        ["race", [trim]],
        ["race", { a: 1 }],
        ["race", { a: Effect.void }],
        ["race", { a: trim }, { kind: "race" }],
        ["race", { a: trim }, { concurrency: 1 }]
      ]
    ) {
      assert.throws(() => race(...given), StageError.InvalidOption)
    }
  })
})

describe("R22 a race is no way around a refusal", () => {
  it.effect("a guard that rejects, or a denial inside, ends it: nobody else stands in", () =>
    Effect.gen(function*() {
      class Unsafe extends Schema.TaggedError<Unsafe>()("Unsafe", {}) {}
      const guard = Stage.guard("guard", { run: Effect.andThen(Effect.sleep(10), Effect.fail(new Unsafe())) })
      const child = Pipeline.make("child").add(guard)
      for (const refused of [guard, child]) {
        let [attempts, interrupted] = [0, 0]
        const race = Shapes.race("race", {
          refused,
          other: () =>
            Effect.suspend(() => {
              attempts++
              return Effect.as(Effect.sleep(50), { by: "other" }).pipe(
                Effect.onInterrupt(() => Effect.sync(() => interrupted++))
              )
            })
        }).pipe(Stage.retry({ schedule: Schedule.recurs(3) }))
        const done = yield* Deferred.make<void>()
        const run = Effect.flip(Pipeline.run(Pipeline.make("p").add(race), Snapshot.make()))
        const fiber = yield* Effect.forkChild(Effect.ensuring(run, Deferred.succeed(done, undefined)))
        yield* TestClock.adjust("1 minute")
        const { error } = yield* Fiber.join(fiber)
        assert(error instanceof Shapes.RaceLost)
        assert.strictEqual(error.refused, "refused")
        assert.include(error.message, "\"refused\" was refused")
        assert.deepStrictEqual([attempts, interrupted], [1, 1])
      }
    }))
})

describe("artifacts of contestants that are functions", () => {
  it.effect("only those of the winner are in the output, whatever a loser does later", () =>
    Effect.gen(function*() {
      const noting = (payload: string) =>
        Effect.flatMap(StageContext.StageContext, ({ addArtifact }) => addArtifact({ type: "note", payload }))
      const race = Shapes.race("race", {
        failing: () => Effect.andThen(noting("failing"), Effect.fail(new Down({ host: "a" }))),
        slow: () =>
          noting("slow").pipe(
            Effect.andThen(Effect.never),
            Effect.onInterrupt(() => noting("interrupted")),
            Effect.as({})
          ),
        fast: () => noting("fast").pipe(Effect.andThen(Effect.yieldNow), Effect.as({ by: "fast" }))
      })
      const { outputs } = yield* Pipeline.run(Pipeline.make("p").add(race), Snapshot.make())
      assert.deepStrictEqual(outputs.race.artifacts.map(({ payload }) => payload), ["fast", { winner: "fast" }])
    }))
})
