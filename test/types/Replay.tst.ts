import { Effect, type Layer } from "effect"
import { Pipeline, type RunResult } from "stageflow"
import { PortRecording, Replay, RunLog, type RunRecord } from "stageflow/observability"
import { describe, expect, test } from "tstyche"
import { base, Llm, Profiles, skilled, Skills } from "./fixtures/world.ts"

const small = Pipeline.make("small").transform("a", { run: Effect.succeed({ n: 1 }) })
const asking = Pipeline.make("asking").transform("ask", {
  run: Llm.use((llm) => Effect.map(llm.ask("x"), (text) => ({ text })))
})

declare const llm: Layer.Layer<Llm>
declare const run: RunRecord.RunRecord

describe("a replay", () => {
  test("gives what a run gives", () => {
    const replayed = Replay.run(small, "run")
    expect<Effect.Success<typeof replayed>["_tag"]>().type.toBe<"Completed">()
    expect<Effect.Services<typeof replayed>>().type.toBe<RunLog.RunLog>()
  })

  test("fails with what a run fails with, and with why it is impossible", () => {
    const replayed = Replay.from(small, "run", "a")
    expect<Replay.ReplayImpossible>().type.toBeAssignableTo<Effect.Error<typeof replayed>>()
    expect<RunLog.RunNotFound>().type.toBeAssignableTo<Effect.Error<typeof replayed>>()
    expect<Extract<Effect.Error<typeof replayed>, RunResult.StageFailed<any, any>>>().type.not.toBe<never>()
  })

  test("needs the ports that its layers do not give", () => {
    const without = Replay.from(asking, "run", "ask")
    expect<Effect.Services<typeof without>>().type.toBe<Llm | RunLog.RunLog>()
    const withPorts = Replay.from(asking, "run", "ask", { layers: llm })
    expect<Effect.Services<typeof withPorts>>().type.toBe<RunLog.RunLog>()
  })

  test("reads the snapshot with the extensions of its stages", () => {
    const reading = base.add(skilled)
    const replayed = Replay.run(reading, "run", { extensions: [Skills] })
    expect<Effect.Services<typeof replayed>>().type.toBe<Profiles | RunLog.RunLog>()
  })

  test("with `failure: \"continue\"` may be incomplete", () => {
    const replayed = Replay.run(asking, "run", { failure: "continue" })
    expect<Effect.Success<typeof replayed>["_tag"]>().type.toBe<"Completed" | "Incomplete">()
  })
})

describe("a recorded port", () => {
  test("has schemas for the methods that it has", () => {
    expect(PortRecording.make).type.toBeCallableWith(Llm, { ask: {} })
    expect(PortRecording.make).type.not.toBeCallableWith(Llm, { asks: {} })
  })

  test("is answered from a run", () => {
    expect(RunLog.layerRecorded(run, PortRecording.make(Llm), PortRecording.make(Profiles))).type.toBe<
      Layer.Layer<Llm | Profiles>
    >()
  })
})
