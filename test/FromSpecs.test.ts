import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { Pipeline, type PipelineInvalid, Snapshot, Stage } from "stageflow"

const word = Stage.transform("word", { run: Effect.succeed({ text: "hello" }) })
const upper = Stage.transform("upper", {
  run: (inputs: { readonly word: { readonly text: string } }) =>
    Effect.succeed({ text: inputs.word.text.toUpperCase() })
})
const fromSpecs = Pipeline.fromSpecs("from specs", [{ stage: upper, inputs: ["word"] }, { stage: word }])

/** Compiles only when the types are the same. */
const sameType = <A, B>(..._: [A] extends [B] ? [B] extends [A] ? [] : [never] : [never]) => undefined

describe("a pipeline from specs", () => {
  it.effect("its outputs and statuses are read by name", () =>
    Effect.gen(function*() {
      const pipeline = yield* fromSpecs
      const { outputs } = yield* Pipeline.run(pipeline, Snapshot.make())
      assert.deepStrictEqual(outputs["upper"]?._tag === "Ok" && outputs["upper"].data, { text: "HELLO" })
      const handle = yield* Pipeline.start(pipeline, Snapshot.make())
      yield* handle.await
      assert.strictEqual((yield* handle.status)["upper"], "ok")
    }))

  it.effect("another joined to it is read by the names that are known, and the whole is checked when it runs", () =>
    Effect.gen(function*() {
      const pipeline = yield* fromSpecs
      const other = Pipeline.make("other").add(Stage.as(word, "farewell"))
      for (const joined of [pipeline.merge(other), pipeline.extend(other), pipeline.add(Stage.as(word, "farewell"))]) {
        const { outputs } = yield* Pipeline.run(joined, Snapshot.make())
        assert.strictEqual(outputs.farewell.data.text, "hello")
      }
      const invalid = yield* Effect.flip(Pipeline.run(pipeline.add(word), Snapshot.make()))
      assert(invalid._tag === "PipelineInvalid")
      assert.deepStrictEqual(invalid.problems.map(({ code, stage }) => [code, stage]), [["DUPLICATE_NAME", "word"]])
    }))

  it("only what was checked as a whole cannot be invalid", () => {
    type Specs = Effect.Success<typeof fromSpecs>
    type Invalid<P extends Pipeline.Any> = Extract<
      Pipeline.Failure<Pipeline.Nodes<P>, never>,
      PipelineInvalid.PipelineInvalid
    >
    const added = (pipeline: Specs) => pipeline.add(word)
    sameType<Invalid<Specs>, never>()
    sameType<Invalid<ReturnType<typeof added>>, PipelineInvalid.PipelineInvalid>()
    // @ts-expect-error: both pipelines come from specs; make one pipeline of all their specs
    const joined = (pipeline: Specs) => pipeline.merge(pipeline)
    assert.isFunction(joined)
  })
})
