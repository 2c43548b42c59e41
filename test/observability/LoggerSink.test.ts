import { assert, describe, it } from "@effect/vitest"
import { Data, Effect, Layer, Logger, References } from "effect"
import { type Event, Pipeline, Snapshot } from "stageflow"
import { LoggerSink } from "stageflow/observability"

class Down extends Data.TaggedError("Down")<{ readonly message: string }> {}

const run = Effect.exit(Pipeline.run(
  Pipeline.make("p").work("stage", { run: Effect.fail(new Down({ message: "no route" })) }),
  Snapshot.make({ pipelineRunId: "run" })
))

const lines = (settings?: LoggerSink.Settings) =>
  Effect.suspend(() => {
    const said: Array<readonly [string, string, unknown]> = []
    const logger = Logger.make(({ fiber, logLevel, message }) => {
      said.push([logLevel, String(message), fiber.getRef(References.CurrentLogAnnotations)])
    })
    return run.pipe(
      Effect.provide(Layer.provideMerge(LoggerSink.layer(settings), Logger.layer([logger]))),
      Effect.provideService(References.MinimumLogLevel, "All"),
      Effect.as(said)
    )
  })

describe("LoggerSink", () => {
  it.effect("logs a line for each event, with a level and annotations", () =>
    Effect.gen(function*() {
      const said = yield* lines()
      assert.deepStrictEqual(said.map(([level, message]) => [level, message]), [
        ["Info", "RunStarted"],
        ["Debug", "StageStarted stage"],
        ["Warn", "StageFailed stage: Down: no route"],
        ["Warn", "RunFailed: Down: no route"]
      ])
      const run = { pipeline: "p", runId: "run", correlationId: "run", at: 0 }
      assert.deepStrictEqual(said[0]?.[2], { ...run, sequence: 1 })
      assert.deepStrictEqual(said[1]?.[2], { ...run, sequence: 2, stage: "stage", attempt: 1 })
    }))

  it.effect("takes another level, and leaves out what has none", () =>
    Effect.gen(function*() {
      const level = ({ _tag }: Event.Event) => _tag === "RunFailed" ? "Error" : "None"
      const said = yield* lines({ level })
      assert.deepStrictEqual(said.map(([given]) => given), ["Error"])
    }))
})
