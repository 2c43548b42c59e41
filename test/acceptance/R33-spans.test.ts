import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Layer, Option, Redacted, Schedule, Schema, Tracer } from "effect"
import { TestClock } from "effect/testing"
import { Pipeline, RunResult, Snapshot, Stage, StageOutput } from "stageflow"
import * as Interceptors from "stageflow/interceptors"

class Down extends Schema.TaggedError<Down>()("Down", { token: Schema.Redacted(Schema.String) }) {}

const recording = () => {
  const spans: Array<Tracer.Span> = []
  const layer = Layer.succeed(
    Tracer.Tracer,
    Tracer.make({
      span: (options) => {
        const span = new Tracer.NativeSpan(options)
        spans.push(span)
        return span
      }
    })
  )
  return { spans, layer }
}

const parentOf = (span: Tracer.Span): Tracer.AnySpan | undefined => Option.getOrUndefined(span.parent)

const named = (spans: ReadonlyArray<Tracer.Span>, name: string) => {
  const found = spans.filter((span) => span.name === name)
  assert.strictEqual(found.length, 1, name)
  return found[0] as Tracer.Span
}

describe("R33 spans", () => {
  it.effect("nest run > stage > attempt, also for parallel stages", () =>
    Effect.gen(function*() {
      const { layer, spans } = recording()
      let calls = 0
      const work = <const Name extends string>(name: Name) =>
        Stage.work(name, { run: Effect.withSpan(Effect.sleep("1 second"), `inside ${name}`) })
      const again = Stage.work("again", {
        run: Effect.suspend(() => ++calls < 3 ? Effect.succeed(StageOutput.retry("later")) : Effect.succeed({}))
      })
      const pipeline = Pipeline.make("p").add(work("a")).add(work("b")).add(again).pipe(
        Pipeline.intercept(Interceptors.tracing(), Interceptors.retry(Schedule.recurs(5)))
      )
      const fiber = yield* Effect.forkChild(
        Effect.provide(Pipeline.run(pipeline, Snapshot.make({ orgId: "org" })), layer),
        { startImmediately: true }
      )
      yield* TestClock.adjust("1 second")
      assert(fiber.pollUnsafe() !== undefined)
      const run = named(spans, "pipeline p")
      for (const name of ["a", "b"]) {
        const stage = named(spans, `stage ${name}`)
        const attempt = named(spans, `attempt 1 of ${name}`)
        const inside = named(spans, `inside ${name}`)
        assert.strictEqual(parentOf(stage), run)
        assert.strictEqual(parentOf(attempt), stage)
        assert.strictEqual(parentOf(inside), attempt)
        assert.strictEqual(stage.attributes.get("stageflow.stage"), name)
        assert.strictEqual(stage.attributes.get("stageflow.kind"), "work")
        assert.strictEqual(stage.attributes.get("stageflow.org_id"), "org")
        assert.strictEqual(stage.attributes.get("stageflow.outcome"), "Ok")
        assert.strictEqual(attempt.attributes.get("stageflow.attempt"), 1)
      }
      const stage = named(spans, "stage again")
      for (const attempt of [1, 2, 3]) assert.strictEqual(parentOf(named(spans, `attempt ${attempt} of again`)), stage)
      assert.strictEqual(spans.length, 1 + 3 * 2 + 2 + 2)
    }))

  it.effect("an error in a span has the same name as in the result; redacted values stay redacted", () =>
    Effect.gen(function*() {
      const { layer, spans } = recording()
      const down = Stage.work("down", { run: Effect.fail(new Down({ token: Redacted.make("s3cret") })) })
      const pipeline = Pipeline.make("p").add(down).pipe(Pipeline.intercept(Interceptors.tracing()))
      const error = yield* Effect.flip(Effect.provide(Pipeline.run(pipeline, Snapshot.make()), layer))
      assert(error instanceof RunResult.StageFailed)
      for (const name of ["stage down", "attempt 1 of down"]) {
        const { status } = named(spans, name)
        assert(status._tag === "Ended" && status.exit._tag === "Failure")
        const found = Option.getOrUndefined(Cause.findErrorOption(status.exit.cause as Cause.Cause<Down>))
        assert.strictEqual(found?._tag, error.error._tag)
      }
      const run = named(spans, "pipeline p").status
      assert(run._tag === "Ended" && run.exit._tag === "Failure")
      assert.notInclude(error.message, "s3cret")
      assert.notInclude(Cause.pretty(error.cause), "s3cret")
    }))
})
