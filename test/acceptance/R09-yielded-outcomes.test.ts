/**
 * Outcomes that a stage yields leave through whatever handles its errors.
 */
import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Option, Schedule, Schema } from "effect"
import { Pipeline, type RunResult, Snapshot, Stage, StageOutput } from "stageflow"

class Down extends Schema.TaggedError<Down>()("Down", { at: Schema.String }) {}

type Body = Effect.Effect<{}, Down, StageOutput.InStage<"skip" | "cancel" | "retry">>

const outcomes = {
  skip: StageOutput.skip("nothing to do"),
  cancel: StageOutput.cancel("enough"),
  retry: StageOutput.retry("again")
}

const leaving = (outcome: Effect.Effect<never, never, StageOutput.InStage<"skip" | "cancel" | "retry">>): Body =>
  Effect.gen(function*() {
    yield* Effect.void
    return yield* outcome
  })

/** What somebody puts around the inside of a stage to handle its errors. */
const handlers: Readonly<Record<string, (body: Body) => Body>> = {
  "Effect.catch": Effect.catch(() => Effect.succeed({ caught: true })),
  "Effect.catchTag": Effect.catchTag("Down", () => Effect.succeed({ caught: true })),
  "Effect.orElseSucceed": Effect.orElseSucceed(() => ({ caught: true })),
  "Effect.retry": Effect.retry({ times: 3 }),
  "Effect.option": (body) => Effect.map(Effect.option(body), Option.getOrElse(() => ({ caught: true }))),
  "Effect.result": (body) => Effect.as(Effect.result(body), {}),
  "Effect.match": Effect.match({ onFailure: () => ({ caught: true }), onSuccess: () => ({}) }),
  "Effect.mapError": Effect.mapError(() => new Down({ at: "mapError" })),
  "Effect.orDie": Effect.orDie,
  "Effect.timeout": (body) => Effect.orDie(Effect.timeout(body, "1 second")),
  "Effect.all": (body) => Effect.as(Effect.all([body, Effect.never], { concurrency: 2 }), {}),
  "Effect.ensuring": Effect.ensuring(Effect.void),
  "a scope": (body) => Effect.scoped(Effect.andThen(Effect.acquireRelease(Effect.void, () => Effect.void), body))
}

describe("R9 what a stage yields is no error of its own", () => {
  for (const [title, handled] of Object.entries(handlers)) {
    for (const [name, outcome] of Object.entries(outcomes)) {
      it.effect(`${name} leaves through ${title}`, () =>
        Effect.gen(function*() {
          let evaluations = 0
          let finalized = 0
          const stage = Stage.work("stage", {
            run: Effect.suspend(() => {
              evaluations++
              return leaving(outcome)
            }).pipe(Effect.ensuring(Effect.sync(() => finalized++)), handled)
          })
          const pipeline = Pipeline.make("p").add(stage)
          const exit = yield* Effect.exit(Pipeline.run(pipeline, Snapshot.make()))
          assert.deepStrictEqual([evaluations, finalized], [1, 1])
          if (exit._tag === "Success") {
            const result: RunResult.Completed<any> | RunResult.Cancelled<any, any> = exit.value
            assert.strictEqual(result._tag, name === "cancel" ? "Cancelled" : "Completed")
            if (result._tag === "Completed") assert.strictEqual(result.outputs.stage._tag, "Skip")
          } else {
            assert.strictEqual(name, "retry")
            const error = Cause.squash(exit.cause) as RunResult.StageFailed
            assert.deepInclude(error.error, { _tag: "RetryExhausted", reason: "again" })
          }
        }))
    }
  }

  it.effect("a failure that is yielded is the stage's typed error, to its own handlers as well", () =>
    Effect.gen(function*() {
      const failing = StageOutput.fail(new Down({ at: "here" }), { artifacts: [{ type: "log", payload: "x" }] })
      const caught = Stage.work("stage", {
        run: Effect.catchTag(failing, "Down", ({ at }) => Effect.succeed({ at }))
      })
      const { outputs } = yield* Pipeline.run(Pipeline.make("p").add(caught), Snapshot.make())
      assert.deepStrictEqual(outputs.stage.data, { at: "here" })
      const changed = Stage.work("stage", { run: Effect.mapError(failing, ({ at }) => new Down({ at: `not ${at}` })) })
      const failed = yield* Effect.flip(Pipeline.run(Pipeline.make("p").add(changed), Snapshot.make()))
      assert.deepInclude(failed.error, { _tag: "Down", at: "not here" })
    }))

  it.effect("leaves from a helper, from what runs beside it, and from a generator", () =>
    Effect.gen(function*() {
      const helper = (n: number) => n > 1 ? StageOutput.skip(`at ${n}`) : Effect.succeed(n)
      const pipeline = Pipeline.make("p")
        .add(Stage.work("sequence", { run: Effect.asVoid(Effect.forEach([1, 2, 3], helper)) }))
        .add(Stage.work("beside", { run: Effect.asVoid(Effect.forEach([1, 2], helper, { concurrency: 2 })) }))
        .add(Stage.work("generator", {
          run: function*() {
            return { n: yield* helper(3) }
          }
        }))
      const { outputs } = yield* Pipeline.run(pipeline, Snapshot.make())
      const reasons = Object.values(outputs).map((output) => output._tag === "Skip" ? output.reason : output._tag)
      assert.deepStrictEqual(reasons, ["at 2", "at 2", "at 3"])
    }))

  it.effect("Effect.catchCause sees it, as the docs say", () =>
    Effect.gen(function*() {
      const stage = Stage.work("stage", {
        run: Effect.catchCause(StageOutput.skip("seen"), () => Effect.succeed({ seen: true }))
      })
      const { outputs } = yield* Pipeline.run(Pipeline.make("p").add(stage), Snapshot.make())
      assert.strictEqual(outputs.stage._tag, "Ok")
    }))
})

describe("R7 a stage is written as a generator function", () => {
  it.effect("runs anew in every run and attempt, with its inputs", () =>
    Effect.gen(function*() {
      const first = Stage.transform("first", {
        run: function*() {
          const { inputText } = yield* Snapshot.current
          return { text: inputText ?? "none" }
        }
      })
      let attempts = 0
      const second = Stage.transform("second", {
        run: function*(inputs: { readonly first: { readonly text: string } }) {
          if (++attempts < 3) return yield* new Down({ at: "second" })
          return { text: `${inputs.first.text}!`, attempts }
        }
      }).pipe(Stage.retry(Schedule.recurs(3)))
      const pipeline = Pipeline.make("p").add(first).add(second, { inputs: ["first"] })
      const run = Pipeline.run(pipeline, Snapshot.make({ inputText: "hi" }))
      assert.deepStrictEqual((yield* run).outputs.second.data, { text: "hi!", attempts: 3 })
      assert.deepStrictEqual((yield* run).outputs.second.data, { text: "hi!", attempts: 4 })
    }))

  it.effect("as a function that hands on a generator, each time it is run", () =>
    Effect.gen(function*() {
      const generator = function*(n: number) {
        return { n: n + (yield* Effect.succeed(1)) }
      }
      const stage = Stage.transform("stage", { run: (inputs: { readonly n: number }) => generator(inputs.n) })
      const effect = stage.run({ n: 1 }) as Effect.Effect<unknown>
      assert.deepStrictEqual([yield* effect, yield* effect], [{ n: 2 }, { n: 2 }])
    }))
})
