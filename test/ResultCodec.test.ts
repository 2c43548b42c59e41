import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Option, Schema } from "effect"
import { OutputBag, Pipeline, ResultCodec, RunResult, Snapshot, Stage, StageError, StageOutput } from "stageflow"

class Refused extends Schema.TaggedError<Refused>()("Refused", { at: Schema.Date }) {}

const rich = Stage.transform("rich", {
  output: Schema.Struct({
    at: Schema.Date,
    maybe: Schema.Option(Schema.String),
    bytes: Schema.Uint8Array,
    deep: Schema.Struct({ list: Schema.Array(Schema.Number) })
  }),
  run: Effect.sync(() =>
    StageOutput.ok({
      at: new Date(5),
      maybe: Option.some("yes"),
      bytes: new Uint8Array([1, 2, 255]),
      deep: { list: [1, 2] }
    }, { artifacts: [{ type: "chart", payload: { points: [1] } }], version: "2" })
  )
})
const optional = Stage.enrich("optional", { run: Effect.succeed(StageOutput.skip("nothing", { data: { a: 1 } })) })
const reader = Stage.work("__proto__", {
  run: (_: { readonly optional: object }) => Effect.succeed({ read: true })
})
const refusing = Stage.guard("refusing", {
  error: Refused,
  run: Effect.fail(new Refused({ at: new Date(7) }))
})
const cancelling = Stage.guard("cancelling", {
  run: Effect.succeed(StageOutput.cancel("enough", { data: { policy: "p" } }))
})

const throughText = <A>(json: A): unknown => JSON.parse(JSON.stringify(json))

describe("ResultCodec", () => {
  it.effect("a completed result comes back as it was: dates, options, bytes, skips, names like __proto__", () =>
    Effect.gen(function*() {
      const pipeline = Pipeline.make("p").add(rich).add(optional)
        .add(reader, (s) => ({ inputs: { optional: s.optional.required } }))
      const result = yield* Pipeline.run(pipeline, Snapshot.make({ userId: "u" }))
      const json = yield* ResultCodec.encode(pipeline, result)
      const back = yield* ResultCodec.decode(pipeline, throughText(json))
      assert(back._tag === "Completed")
      assert.deepStrictEqual(Object.keys(back.outputs), ["rich", "optional", "__proto__"])
      assert.deepStrictEqual(back.outputs.rich.data, result.outputs.rich.data)
      assert.deepStrictEqual(back.outputs.rich.artifacts, [{ type: "chart", payload: { points: [1] } }])
      assert.strictEqual(back.outputs.rich.version, "2")
      assert(Object.isFrozen(back.outputs.rich.data.deep.list))
      const own = Object.getOwnPropertyDescriptor(back.outputs, "__proto__")?.value as StageOutput.Skip
      assert(StageOutput.isStageOutput(own))
      assert.strictEqual(own.origin, "optional")
      assert.strictEqual(own.reason, `stage "optional" was skipped: nothing`)
      assert.deepStrictEqual(back.identity, result.identity)
      assert.deepStrictEqual(back.lineage, result.lineage)
      assert.strictEqual(back.durationMs, result.durationMs)
      assert.deepStrictEqual(
        back.bag.entries.map(({ attempt, stage }) => [stage, attempt]),
        result.bag.entries.map(({ attempt, stage }) => [stage, attempt])
      )
      const entry = Option.getOrThrow(OutputBag.get(back.bag, "rich"))
      assert(entry.end._tag === "Settled" && entry.end.output === back.outputs.rich)
    }))

  it.effect("a cancelled, an incomplete and a failed run come back with their errors and causes", () =>
    Effect.gen(function*() {
      const cancelled = Pipeline.make("c").add(cancelling)
      const first = yield* Pipeline.run(cancelled, Snapshot.make())
      const firstBack = yield* ResultCodec.decode(cancelled, throughText(yield* ResultCodec.encode(cancelled, first)))
      assert(firstBack._tag === "Cancelled")
      assert.strictEqual(firstBack.by, "cancelling")
      assert.deepStrictEqual(firstBack.data, { policy: "p" })

      const failing = Pipeline.make("f").add(refusing)
      const second = yield* Pipeline.run(failing, Snapshot.make(), { failure: "continue" })
      const secondBack = yield* ResultCodec.decode(failing, throughText(yield* ResultCodec.encode(failing, second)))
      assert(secondBack._tag === "Incomplete")
      const failure = secondBack.failures[0]
      assert(failure?.error instanceof Refused)
      assert.deepStrictEqual(failure.error.at, new Date(7))

      const third = yield* Effect.flip(Pipeline.run(failing, Snapshot.make()))
      const thirdBack = yield* ResultCodec.decode(failing, throughText(yield* ResultCodec.encode(failing, third)))
      assert(thirdBack instanceof RunResult.StageFailed)
      assert.strictEqual(thirdBack.message, third.message)
      assert(Option.getOrThrow(Cause.findErrorOption(thirdBack.cause)) instanceof Refused)
    }))

  it.effect("the library's own errors need no schema", () =>
    Effect.gen(function*() {
      const dying = Pipeline.make("d").add(Stage.work("dying", { run: Effect.die(new Error("boom")) }))
      const error = yield* Effect.flip(Pipeline.run(dying, Snapshot.make()))
      const back = yield* ResultCodec.decode(dying, throughText(yield* ResultCodec.encode(dying, error)))
      assert(back._tag === "StageFailed" && back.error instanceof StageError.StageFault)
      assert.strictEqual(back.error.reason._tag, "Defect")
    }))

  it.effect("what cannot be encoded says where, and is never quietly lost", () =>
    Effect.gen(function*() {
      const dated = Pipeline.make("x").add(Stage.transform("dated", { run: Effect.succeed({ at: new Date(0) }) }))
      const result = yield* Pipeline.run(dated, Snapshot.make())
      const error = yield* Effect.flip(ResultCodec.encode(dated, result))
      assert(error._tag === "ResultInvalid")
      assert.strictEqual(error.code, "RESULT_NOT_ENCODABLE")
      assert(error.problems.some(({ path }) => path.join(".").startsWith("result.outputs.dated.data")))
      assert.include(error.message, "result.outputs.dated.data")
    }))

  it.effect("a tampered field is an error with its path, a newer version says so, a prototype is never polluted", () =>
    Effect.gen(function*() {
      const pipeline = Pipeline.make("p").add(rich)
      const result = yield* Pipeline.run(pipeline, Snapshot.make())
      const json = JSON.stringify(yield* ResultCodec.encode(pipeline, result))
      const tampered = yield* Effect.flip(
        ResultCodec.decode(pipeline, JSON.parse(json.replace(`"list":[1,2]`, `"list":[1,"two"]`)))
      )
      assert(tampered._tag === "ResultInvalid")
      assert.deepStrictEqual(tampered.problems[0]?.path, ["result", "outputs", "rich", "data", "deep", "list", 1])
      const newer = yield* Effect.flip(ResultCodec.decode(pipeline, { version: 99, result: {} }))
      assert(newer._tag === "ResultInvalid" && newer.code === "RESULT_NEWER_VERSION")
      const polluting = json.replace(`{"version"`, `{"__proto__":{"polluted":true},"version"`)
      yield* ResultCodec.decode(pipeline, JSON.parse(polluting))
      assert.isUndefined(({} as { readonly polluted?: boolean }).polluted)
    }))
})
