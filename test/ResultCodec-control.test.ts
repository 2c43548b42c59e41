import { assert, describe, it } from "@effect/vitest"
import { Effect, Option, Schema } from "effect"
import { Pipeline, ResultCodec, RunResult, Snapshot, Stage, StageError, StageOutput } from "stageflow"
import { ForEach, GuardRetry, Loop, Route, Shapes, Subpipeline } from "stageflow/control"

class Late extends Schema.TaggedError<Late>()("Late", {
  since: Schema.Date,
  by: Schema.Option(Schema.Number)
}) {}

const late = new Late({ since: new Date(5), by: Option.some(1) })
const Dated = Schema.Struct({ at: Schema.Date })
const dated = { at: new Date(7) }

/** What has schemas of its own: a stage that fails, a stage that gives, and pipelines of them. */
const fails = Stage.work("fails", { error: Late, run: Effect.fail(late) })
const gives = Stage.transform("gives", { output: Dated, run: Effect.succeed(dated) })
const failing = Pipeline.make("failing").add(fails)
const giving = Pipeline.make("giving").add(gives)
const returning = Pipeline.make("returning")
  .transform("plain", { run: Effect.succeed({ at: 7 }) })
  .returns((s) => s.plain.map(({ at }) => ({ at: new Date(at) })), { output: Dated })

type Made = Stage.Stage<"stage", unknown, object, never, unknown>

const toA = () => ({ route: "a" as const })
const one = () => [1]

/** What a run ends with, whatever that is. */
const ended = <A, E>(run: Effect.Effect<A, E>) =>
  Effect.catch(run, (error) =>
    error instanceof RunResult.StageFailed
      ? Effect.succeed(error as Extract<E, RunResult.StageFailed<unknown, never>>)
      : Effect.die(error))

/** What comes back from JSON as text of a run of the stage; it is encoded as what it was read from. */
const back = Effect.fnUntraced(function*(stage: Made) {
  const pipeline = Pipeline.make("p").add(stage)
  const result = yield* ended(Pipeline.run(pipeline, Snapshot.make()))
  const json = yield* ResultCodec.encode(pipeline, result)
  const read = yield* ResultCodec.decode(pipeline, JSON.parse(JSON.stringify(json)))
  assert.deepStrictEqual(yield* ResultCodec.encode(pipeline, read), json)
  return { read, result }
})

/** What a stage gave, back from JSON. */
const dataBack = Effect.fnUntraced(function*(stage: Made) {
  const { read, result } = yield* back(stage)
  assert(read._tag === "Completed" && result._tag === "Completed")
  const [data, given] = [read.outputs.stage.data, result.outputs.stage.data]
  assert.deepStrictEqual(data, given)
  assert.isTrue(Object.isFrozen(data))
  return data as any
})

/** What a stage failed with, back from JSON. */
const errorBack = Effect.fnUntraced(function*(stage: Made) {
  const [read, result]: ReadonlyArray<unknown> = Object.values(yield* back(stage))
  assert(read instanceof RunResult.StageFailed && result instanceof RunResult.StageFailed)
  const [error, given] = [read.error as Error, result.error as Error]
  assert.strictEqual(error.constructor, given.constructor)
  assert.strictEqual(error.message, given.message)
  return error as any
})

const isLate = (error: unknown) => {
  assert(error instanceof Late)
  assert.deepStrictEqual([error.since, error.by], [late.since, late.by])
}

/** The error at the end of errors that each hold one. */
const innermost = (error: any): unknown => {
  const inner = error.error ?? error.failures?.[0]?.error ?? error.failed?.[0]?.error
  return inner === undefined ? error : innermost(inner)
}

describe("what stages and pipelines in a construct fail with is encoded through their own schemas", () => {
  const constructs: Readonly<Record<string, Made>> = {
    "a branch that is a stage": Route.match("stage", toA, { a: fails }),
    "a branch that is a pipeline": Route.match("stage", toA, { a: failing }),
    "the branch of another route": Route.match("stage", (): { route: "a" | "b" } => ({ route: "b" }), {
      a: giving,
      b: failing
    }),
    "a race": Shapes.race("stage", { a: fails, b: failing }),
    "a stage for each item": ForEach.stage("stage", { items: one, each: fails }),
    "a pipeline for each item": ForEach.stage("stage", { items: one, each: failing }),
    "items that are tolerated": ForEach.stage("stage", { items: one, each: failing, failure: { tolerate: 0 } }),
    "items of items": ForEach.stage("stage", {
      items: one,
      each: ForEach.stage("inner", { items: one, each: failing })
    }),
    "a function for each item, whose error has a schema": ForEach.stage("stage", {
      items: one,
      each: () => Effect.fail(late),
      error: Late
    }),
    "a pipeline of items": Subpipeline.stage(
      "stage",
      Pipeline.make("c").add(ForEach.stage("inner", { items: one, each: fails }))
    ),
    "a race of branches": Shapes.race("stage", { a: Route.match("inner", toA, { a: failing }) }),
    "a loop": Loop.until("stage", { state: () => ({}), body: fails, until: () => false }),
    "a draft": GuardRetry.stage(
      "stage",
      { draft: fails, guards: { g: () => Effect.succeed(GuardRetry.accept) } } as never
    ) as never,
    "a guard": GuardRetry.stage("stage", { draft: gives, guards: { g: fails } } as never) as never
  }
  for (const [what, stage] of Object.entries(constructs)) {
    it.effect(what, () => Effect.map(errorBack(stage), (error) => isLate(innermost(error))))
  }
})

describe("the errors of constructs are encoded", () => {
  it.effect("a route without a branch, and without a key", () =>
    Effect.gen(function*() {
      const nowhere = Route.match("stage", () => ({ route: "supprt" as "support" }), {
        support: failing
      })
      assert.strictEqual((yield* errorBack(nowhere)).didYouMean, "support")
      const keyless = Route.weighted("stage", { a: 1 }, { key: () => undefined })
      assert.strictEqual((yield* errorBack(keyless))._tag, "NoRouteKey")
    }))

  it.effect("with plain errors, and with faults and timeouts inside", () =>
    Effect.gen(function*() {
      const plain = Effect.fail({ _tag: "Plain" as const })
      const item = yield* errorBack(ForEach.stage("stage", { items: one, each: () => plain, key: () => "k" }))
      assert.deepStrictEqual([item.key, item.error], ["k", { _tag: "Plain" }])
      const lost = yield* errorBack(Shapes.race("stage", { a: () => plain, b: () => Effect.die(new Error("x")) }))
      assert.deepStrictEqual(lost.failures[0], { contestant: "a", error: { _tag: "Plain" } })
      assert.instanceOf(lost.failures[1].error, StageError.StageFault)
      const again = yield* errorBack(
        ForEach.stage("stage", {
          items: one,
          each: (): Effect.Effect<StageOutput.Retry, Late> => Effect.succeed(StageOutput.retry("more")),
          error: Late
        })
      )
      assert.instanceOf(again.error, StageError.RetryExhausted)
    }))

  it.effect("a loop that was not done, with its states", () =>
    Effect.gen(function*() {
      const error = yield* errorBack(
        Loop.until("stage", {
          state: () => dated,
          body: gives,
          until: () => false,
          maxIterations: 2,
          stagnation: false
        })
      )
      assert.deepStrictEqual(error.state, dated)
      assert.strictEqual(error.history.length, 3)
    }))

  it.effect("drafts that nobody accepted, with all of them", () =>
    Effect.gen(function*() {
      const error = yield* errorBack(
        GuardRetry.stage("stage", {
          draft: gives,
          guards: { never: () => Effect.succeed(GuardRetry.reject("no")) },
          maxAttempts: 2,
          stagnation: false
        } as never) as never
      )
      assert.deepStrictEqual(error.history.map((attempt: any) => attempt.draft), [dated, dated])
      assert.deepStrictEqual(error.feedback.map((feedback: any) => feedback.guard), ["never"])
    }))
})

describe("what stages and pipelines in a construct give is encoded through their own schemas", () => {
  const constructs: Readonly<Record<string, Made>> = {
    "a branch": Route.match("stage", toA, { a: gives }),
    "a race": Shapes.race("stage", { a: giving }),
    "a pipeline": Subpipeline.stage("stage", giving),
    "a pipeline that returns a value": Subpipeline.stage("stage", returning),
    "a pipeline of pipelines": Subpipeline.stage("stage", Pipeline.make("c").add(Subpipeline.stage("inner", giving))),
    "a stage for each item": ForEach.stage("stage", { items: one, each: gives }),
    "a loop": Loop.until("stage", { state: () => dated, body: gives, until: (_, n) => n > 2, stagnation: false }),
    "what is made of it": Stage.mapOutput(
      ForEach.stage("stage", { items: one, each: gives }),
      ({ results }) => ({ first: results[0], more: { count: 1 } })
    ) as Made
  }
  for (const [what, stage] of Object.entries(constructs)) {
    it.effect(what, () => Effect.asVoid(dataBack(stage)))
  }

  it.effect("items that failed beside others", () =>
    Effect.gen(function*() {
      const each = (n: number): Effect.Effect<{ at: Date }, Late> =>
        n === 1 ? Effect.fail(late) : n === 2 ? Effect.die(new Error("x")) : Effect.succeed(dated)
      const all = { items: () => [1, 2, 3], each, failure: "continue" } as const
      for (const schemas of [{ output: Dated, error: Late }] as const) {
        const { read } = yield* back(ForEach.stage("stage", { ...all, ...schemas }))
        assert(read._tag === "Completed")
        const { failed, ok } = read.outputs.stage.data as any
        isLate(failed[0].error)
        assert.instanceOf(failed[1].error, StageError.StageFault)
        assert.deepStrictEqual(ok[0].value, dated)
      }
      const onlyErrors = ForEach.stage("stage", {
        items: one,
        each: () => Effect.fail(late),
        failure: "continue",
        error: Late
      })
      const { read } = yield* back(onlyErrors)
      assert(read._tag === "Completed")
      isLate((read.outputs.stage.data as any).failed[0].error)
      const ofStages = yield* back(ForEach.stage("stage", { items: one, each: fails, failure: "continue" }))
      assert(ofStages.read._tag === "Completed")
      isLate((ofStages.read.outputs.stage.data as any).failed[0].error)
    }))
})

describe("what no schema describes is refused", () => {
  const refused = Effect.fnUntraced(function*(stage: Made) {
    const pipeline = Pipeline.make("p").add(stage)
    const result = yield* ended(Pipeline.run(pipeline, Snapshot.make()))
    const invalid = yield* Effect.flip(ResultCodec.encode(pipeline, result))
    assert(invalid._tag === "ResultInvalid")
    return invalid.problems.map(({ path }) => path.join("."))
  })

  it.effect("with the path to it", () =>
    Effect.gen(function*() {
      const failed = ForEach.stage("stage", { items: one, each: () => Effect.fail(late) })
      assert.deepStrictEqual(yield* refused(failed), ["result.error.error"])
      const data = ForEach.stage("stage", {
        items: () => [1, 2],
        each: (n) => Effect.succeed(n === 1 ? 1 : new Date(1))
      })
      assert.deepStrictEqual(yield* refused(data), ["result.outputs.stage.data.results.1"])
    }))

  it.effect("and JSON that nobody wrote is no result", () =>
    Effect.gen(function*() {
      const pipeline = Pipeline.make("p").add(ForEach.stage("stage", { items: one, each: gives }))
      const json = JSON.stringify(
        yield* ResultCodec.encode(pipeline, yield* Pipeline.run(pipeline, Snapshot.make()))
      )
      const others = [
        json.replace("gives > gives", "other"),
        json.replace("gives: output", "gives: error"),
        json.replace("\"Part\"", "\"Error\""),
        json.replace("\"List\"", "\"Fields\""),
        json.replace("\"Fields\"", "\"List\"")
      ]
      assert.isFalse(others.includes(json))
      for (const other of others) {
        const invalid = yield* Effect.flip(ResultCodec.decode(pipeline, JSON.parse(other)))
        assert.strictEqual(invalid._tag, "ResultInvalid")
      }
    }))
})
