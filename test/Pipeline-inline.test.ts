/**
 * Stages that are written where they are added.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Option, Schedule, Schema } from "effect"
import { Pipeline, Snapshot, Stage, type StageError, StageOutput } from "stageflow"

class Down extends Schema.TaggedError<Down>()("Down", { at: Schema.String }) {}

/** Holds when both are the same type. */
type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false

const routed = Pipeline.make("inline")
  .route("router", {
    run: function*() {
      const { inputText } = yield* Snapshot.current
      return { route: inputText === "help" ? "support" : "general" }
    }
  })
  .enrich("profile", {
    run: function*() {
      const { userId } = yield* Snapshot.current
      return { name: userId ?? (yield* StageOutput.skip("no user")) }
    }
  })

describe("a stage that is written where it is added", () => {
  it.effect("reads the stages before it by name, with their types", () =>
    Effect.gen(function*() {
      const pipeline = routed.transform("answer", {
        inputs: ["router", "profile?"],
        run: ({ profile, router }) => {
          const isSame: [
            Same<typeof router, { readonly route: "support" } | { readonly route: "general" }>,
            Same<typeof profile, Option.Option<{ readonly name: string }>>
          ] extends [infer A, infer B] ? [A, B] : never = [false, true]
          const route: "support" | "general" = router.route
          return Effect.succeed({ text: `${route} ${Option.isSome(profile) ? profile.value.name : isSame[1]}` })
        }
      })
      const { outputs } = yield* Pipeline.run(pipeline, Snapshot.make({ userId: "Ann" }))
      assert.deepStrictEqual(outputs.answer.data, { text: "general Ann" })
    }))

  it.effect("reads sources, which may skip it", () =>
    Effect.gen(function*() {
      const pipeline = routed.work("audit", {
        inputs: (s) => ({ who: s.profile.required, route: s.router.map(({ route }) => route) }),
        run: function*({ route, who }) {
          return yield* Effect.succeed({ line: `${who.name} ${route}` })
        }
      })
      const skipped = (yield* Pipeline.run(pipeline, Snapshot.make())).outputs.audit
      assert.strictEqual(skipped._tag, "Skip")
      const ran = (yield* Pipeline.run(pipeline, Snapshot.make({ userId: "Bo", inputText: "help" }))).outputs.audit
      assert.deepStrictEqual(ran._tag === "Ok" ? ran.data : undefined, { line: "Bo support" })
    }))

  it.effect("runs when its condition holds, after what it names", () =>
    Effect.gen(function*() {
      const order: Array<string> = []
      const note = (name: string) => Effect.sync(() => void order.push(name))
      const pipeline = routed
        .work("second", { after: ["profile"], run: note("second") })
        .work("help", { when: (s) => s.router.is("support"), after: ["second"], run: note("help") })
        .agent("last", { after: ["help"], run: note("last") })
      const { outputs } = yield* Pipeline.run(pipeline, Snapshot.make())
      assert.deepStrictEqual([outputs.help._tag, order], ["Skip", ["second", "last"]])
      yield* Pipeline.run(pipeline, Snapshot.make({ inputText: "help" }))
      assert.deepStrictEqual(order, ["second", "last", "second", "help", "last"])
    }))

  it.effect("is wrapped by what `wrap` says, and its errors and signals are those of the wrapped stage", () =>
    Effect.gen(function*() {
      let attempts = 0
      const pipeline = routed
        .transform("once", {
          inputs: ["router"],
          run: (_) => Effect.fail(new Down({ at: "once" })),
          wrap: (stage) => Stage.catch(stage, (error) => Effect.succeed({ caught: error.at }))
        })
        .transform("flaky", {
          run: function*() {
            if (++attempts < 3) return yield* StageOutput.retry("not yet")
            return { attempts }
          },
          wrap: (stage) => stage.pipe(Stage.timeout("5 seconds"), Stage.retry(Schedule.recurs(5)))
        })
      const run = Pipeline.run(pipeline, Snapshot.make())
      const isSame: Same<
        Effect.Error<typeof run>["error"],
        StageError.StageTimeout | StageError.RetryExhausted | StageError.StageFault
      > = true
      assert.isTrue(isSame)
      const { outputs } = yield* run
      assert.deepStrictEqual([outputs.once.data, outputs.flaky.data], [{ caught: "once" }, { attempts: 3 }])
    }))

  it.effect("validates its output, and has the kind of its method", () =>
    Effect.gen(function*() {
      const output = Schema.Struct({ size: Schema.Number.check(Schema.isGreaterThan(0)) })
      const pipeline = Pipeline.make("p")
        .transform("transform", { output, run: Effect.succeed({ size: -1 }) })
        .enrich("enrich", { run: Effect.void })
        .route("route", { run: Effect.void })
        .guard("guard", { run: Effect.void })
        .work("work", { run: Effect.void })
        .agent("agent", { run: Effect.void })
      const { stages } = yield* Pipeline.describe(pipeline)
      for (const { kind, name } of stages) assert.strictEqual(kind, name)
      const failed = yield* Effect.flip(Pipeline.run(pipeline, Snapshot.make()))
      assert.strictEqual(failed.stage, "transform")
      assert.include(failed.message, "size")
    }))

  it.effect("is the same as one that is made first and added", () =>
    Effect.gen(function*() {
      const answer = Stage.transform("answer", {
        run: (inputs: { readonly router: { readonly route: string } }) => Effect.succeed({ text: inputs.router.route })
      })
      const added = yield* Pipeline.describe(routed.add(answer, { inputs: ["router"], after: ["profile"] }))
      const inline = yield* Pipeline.describe(routed.transform("answer", {
        inputs: ["router"],
        after: ["profile"],
        run: ({ router }) => Effect.succeed({ text: router.route })
      }))
      assert.deepStrictEqual(inline, added)
    }))

  it.effect("what does not fit without types is found as in `add`", () =>
    Effect.gen(function*() {
      const untyped = routed as unknown as {
        readonly work: (name: unknown, options: unknown) => Pipeline.Pipeline<any>
      }
      const problemsOf = (pipeline: Pipeline.Pipeline<any>) =>
        Effect.map(Effect.flip(Pipeline.validate(pipeline)), ({ message }) => message)
      assert.include(yield* problemsOf(untyped.work("x", { inputs: ["rooter"], run: Effect.void })), "rooter")
      assert.include(yield* problemsOf(untyped.work("router", { run: Effect.void })), "router")
      assert.include(yield* problemsOf(untyped.work("x", { when: () => true, run: Effect.void })), "when")
      assert.include(yield* problemsOf(untyped.work("x", { wrap: () => 42, run: Effect.void })), "is no stage")
      assert.throws(() => untyped.work("x", { wen: () => true, run: Effect.void }), /"wen"/)
      assert.throws(() => untyped.work("x", { when: true, run: Effect.void }), /"when"/)
      assert.throws(() => untyped.work("x", { wrap: 1, run: Effect.void }), /"wrap"/)
      assert.throws(() => untyped.work("x", { output: 5, run: Effect.void }), /"output"/)
      assert.throws(() => untyped.work("x", { error: {}, run: Effect.void }), /"error"/)
      assert.include(yield* problemsOf(untyped.work("x", { when: () => undefined, run: Effect.void })), "when")
      assert.throws(() => untyped.work("x", 42), /"options"/)
    }))

  it.effect("its types are the run's", () =>
    Effect.gen(function*() {
      const pipeline = routed.guard("gate", {
        run: function*() {
          if ((yield* Snapshot.current).inputText === "spam") return yield* StageOutput.cancel("spam")
          return {}
        }
      })
      const result = yield* Pipeline.run(pipeline, Snapshot.make({ inputText: "spam" }))
      const tag: "Completed" | "Cancelled" = result._tag
      assert.strictEqual(tag, "Cancelled")
      if (result._tag === "Cancelled") assert.strictEqual(result.by satisfies "gate", "gate")
    }))
})
