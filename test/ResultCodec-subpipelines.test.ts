import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Layer, Schema } from "effect"
import { Pipeline, ResultCodec, Run, RunResult, Snapshot, Stage, StageError, StageOutput } from "stageflow"
import { Subpipeline } from "stageflow/control"

class IndexDown extends Schema.TaggedError<IndexDown>()("IndexDown", { since: Schema.Date }) {}

/** An error that is nobody's schema, and no plain data. */
class Opaque extends Error {
  readonly _tag = "Opaque"
  readonly held = new Map([["a", 1]])
}

const search = Stage.enrich("search", {
  error: IndexDown,
  run: Effect.fail(new IndexDown({ since: new Date(0) }))
})
const clock = Stage.enrich("clock", {
  output: Schema.Struct({ at: Schema.Date }),
  run: Effect.succeed({ at: new Date(7) })
})

/** chat > answer > research > search, where search fails. */
const research = Pipeline.make("research").add(clock).add(search, { after: ["clock"] })
const answer = Pipeline.make("answer").add(Subpipeline.stage("research", research))
const chat = Pipeline.make("chat").add(Subpipeline.stage("answer", answer))

/** What comes back from JSON as text. */
const back = <N extends Pipeline.AnyNode, E, R, V>(
  pipeline: Pipeline.Pipeline<N, E, R, V>,
  result: ResultCodec.Encodable<N, E, V>
) =>
  Effect.gen(function*() {
    const json = yield* ResultCodec.encode(pipeline, result)
    return yield* ResultCodec.decode(pipeline, JSON.parse(JSON.stringify(json)))
  })

describe("the failure of a run inside of a run is encoded", () => {
  it.effect("through the schemas of its own stages, at every depth", () =>
    Effect.gen(function*() {
      const failed = yield* Effect.flip(Pipeline.run(chat, Snapshot.make()))
      const read = yield* back(chat, failed)
      assert(read instanceof RunResult.StageFailed)
      const outer = read.error
      assert(outer instanceof Subpipeline.SubpipelineFailed)
      assert.deepStrictEqual(outer.path, ["answer", "research", "search"])
      assert.strictEqual(outer.message, (failed.error as Error).message)
      assert.strictEqual(Cause.squash(read.cause), outer)
      const inAnswer: unknown = outer.error
      assert(inAnswer instanceof RunResult.StageFailed)
      assert(inAnswer.error instanceof Subpipeline.SubpipelineFailed)
      const inResearch: unknown = inAnswer.error.error
      assert(inResearch instanceof RunResult.StageFailed)
      assert(inResearch.error instanceof IndexDown)
      assert.deepStrictEqual(inResearch.error.since, new Date(0))
      assert.deepStrictEqual((inResearch.outputs as typeof failed.outputs & { clock: { data: unknown } }).clock.data, {
        at: new Date(7)
      })
      assert.strictEqual(inResearch.lineage.correlationId, failed.lineage.runId)
      assert.deepStrictEqual(inResearch.bag.entries.map(({ stage }) => stage), ["clock", "search"])
      // What was read is encoded as what it was read from.
      assert.deepStrictEqual(yield* ResultCodec.encode(chat, read), yield* ResultCodec.encode(chat, failed))
    }))

  it.effect("among the failures of a run whose other stages went on", () =>
    Effect.gen(function*() {
      const result = yield* Pipeline.run(chat, Snapshot.make(), { failure: "continue" })
      const read = yield* back(chat, result)
      assert(read._tag === "Incomplete")
      const [failure] = read.failures
      assert(failure?.error instanceof Subpipeline.SubpipelineFailed)
      assert.deepStrictEqual(failure.error.path, ["answer", "research", "search"])
    }))

  it.effect("of a stage of one's own that says which pipelines it runs", () =>
    Effect.gen(function*() {
      const own = Stage.work("own", { run: Effect.asVoid(Subpipeline.run(research)) })
      const annotated = Stage.annotate(own, Pipeline.Inside, { pipelines: [{ pipeline: research }] })
      const pipeline = Pipeline.make("p").add(annotated)
      const read = yield* back(pipeline, yield* Effect.flip(Pipeline.run(pipeline, Snapshot.make())))
      assert(read instanceof RunResult.StageFailed && read.error instanceof Subpipeline.SubpipelineFailed)
      assert.deepStrictEqual(read.error.path, ["own", "search"])

      const silent = Pipeline.make("p").add(own)
      const failed = yield* Effect.flip(Pipeline.run(silent, Snapshot.make()))
      const invalid = yield* Effect.flip(ResultCodec.encode(silent, failed))
      assert.strictEqual(invalid._tag, "ResultInvalid")
    }))

  it.effect("with what kept it from starting, or went wrong around its stages", () =>
    Effect.gen(function*() {
      const deep = Pipeline.make("p").add(Subpipeline.stage("answer", answer))
      const failed = yield* Effect.flip(Pipeline.run(deep, Snapshot.make())).pipe(
        Effect.provideService(Run.DepthLimit, 1)
      )
      const read = yield* back(deep, failed)
      assert(read instanceof RunResult.StageFailed && read.error instanceof Subpipeline.SubpipelineFailed)
      const inside: unknown = read.error.error
      assert(inside instanceof RunResult.StageFailed && inside.error instanceof Subpipeline.SubpipelineFailed)
      assert.instanceOf(inside.error.error, StageError.DepthExceeded)

      const layered = Pipeline.make("layered").work("work", { run: Effect.void }).pipe(
        Pipeline.provide(Layer.effectDiscard(Effect.fail({ why: "no disk" })))
      )
      const around = Pipeline.make("p").add(Subpipeline.stage("layered", layered))
      const readAround = yield* back(around, yield* Effect.flip(Pipeline.run(around, Snapshot.make())))
      assert(readAround instanceof RunResult.StageFailed)
      assert(readAround.error instanceof Subpipeline.SubpipelineFailed)
      assert(readAround.error.error instanceof RunResult.LayerFailed)
      assert.deepStrictEqual(readAround.error.error.error, { why: "no disk" })
    }))

  it.effect("and so is one that was cancelled, where that is a failure", () =>
    Effect.gen(function*() {
      const child = Pipeline.make("child").guard("guard", {
        run: Effect.succeed(StageOutput.cancel("enough", { data: { policy: "safety" } }))
      })
      const parent = Pipeline.make("parent").add(Subpipeline.stage("child", child, { onCancel: "fail" }))
      const read = yield* back(parent, yield* Effect.flip(Pipeline.run(parent, Snapshot.make())))
      assert(read instanceof RunResult.StageFailed && read.error instanceof Subpipeline.SubpipelineCancelled)
      const { by, data, reason } = read.error
      assert.deepStrictEqual([by, reason, data], ["guard", "enough", { policy: "safety" }])
    }))

  it.effect("an error without a schema that is no plain data is refused, with the path to it", () =>
    Effect.gen(function*() {
      const bad = Pipeline.make("bad").work("opaque", { run: Effect.fail(new Opaque("secret")) })
      const parent = Pipeline.make("parent").add(Subpipeline.stage("bad", bad))
      const failed = yield* Effect.flip(Pipeline.run(parent, Snapshot.make()))
      const invalid = yield* Effect.flip(ResultCodec.encode(parent, failed))
      assert(invalid._tag === "ResultInvalid")
      assert.deepStrictEqual(invalid.problems[0]?.path, ["result", "error", "error", "result", "error"])
      assert.notInclude(invalid.message, "secret")
    }))

  it.effect("JSON that nobody has checked is refused where it is wrong", () =>
    Effect.gen(function*() {
      const failed = yield* Effect.flip(Pipeline.run(chat, Snapshot.make()))
      const text = JSON.stringify(yield* ResultCodec.encode(chat, failed))
      const broken: ReadonlyArray<readonly [string, string]> = [
        ["\"pipeline\":\"research\"", "\"pipeline\":\"other\""],
        ["\"as\":\"StageFailed\"", "\"as\":\"Completed\""],
        ["\"attempts\":1", "\"attempts\":2"],
        ["1970-01-01T00:00:00.000Z", "yesterday"]
      ]
      for (const [from, to] of broken) {
        assert.include(text, from)
        const invalid = yield* Effect.flip(ResultCodec.decode(chat, JSON.parse(text.replaceAll(from, to))))
        assert.strictEqual(invalid._tag, "ResultInvalid", from)
      }
    }))
})
