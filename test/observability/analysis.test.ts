/**
 * What a run's time was spent on, compared with a naive model: the run is simulated again with one stage slower.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Schema } from "effect"
import { type Event, Pipeline, Snapshot } from "stageflow"
import { Subpipeline } from "stageflow/control"
import { RunRecord, RunReport } from "stageflow/observability"
import { cancelled, child, endOf, failing, good, nested, ranIn } from "./support/stages.ts"

const between = (minimum: number, maximum: number) => Schema.Int.check(Schema.isBetween({ minimum, maximum }))

const RawStage = Schema.Struct({
  /** Which of those before it it waits for, as bits. */
  after: between(0, 255),
  queued: Schema.Literals([0, 0, 0, 10, 25]),
  attempts: Schema.Array(Schema.Struct({ ms: between(0, 50), pause: between(0, 30) })).check(
    Schema.isMinLength(1),
    Schema.isMaxLength(3)
  ),
  /** How long a run takes that is started with it. */
  child: Schema.Literals([0, 0, 5, 40]),
  isSkipped: Schema.Literals([false, false, false, false, true])
})
type RawStage = typeof RawStage.Type

const Graph = Schema.Array(RawStage).check(Schema.isMinLength(1), Schema.isMaxLength(12))

const unrecorded = { _tag: "NotKept", reason: "unrecorded" } as const

const dependenciesOf = (raw: RawStage, index: number): ReadonlyArray<number> =>
  Array.from({ length: Math.min(index, 8) }, (_, bit) => index - 1 - bit).filter((_, bit) => (raw.after >> bit) & 1)

/** How long a stage takes from when it is ready. */
const spanOf = ({ attempts, isSkipped, queued }: RawStage): number =>
  isSkipped
    ? 0
    : attempts.reduce(
      (sum, { ms, pause }, index) => sum + ms + (index === attempts.length - 1 ? 0 : pause),
      queued as number
    )

/** When each stage is ready, and when it ends; `extra` makes one slower. */
const simulated = (graph: ReadonlyArray<RawStage>, slower = -1, extra = 0) => {
  const times: Array<{ readonly ready: number; readonly end: number }> = []
  graph.forEach((raw, index) => {
    const ready = Math.max(0, ...dependenciesOf(raw, index).map((other) => times[other]?.end ?? 0))
    times.push({ ready, end: ready + spanOf(raw) + (index === slower ? extra : 0) })
  })
  // A stage that is skipped before it starts ends no run.
  const started = times.filter((_, index) => graph[index]?.isSkipped === false)
  return { times, end: Math.max(0, ...started.map(({ end }) => end)) }
}

const childRecord = (startedAt: number, durationMs: number): RunRecord.RunRecord => ({
  version: 1,
  runId: "child",
  correlationId: "run",
  pipeline: "child",
  tags: [],
  status: "completed",
  startedAt,
  durationMs,
  snapshot: unrecorded,
  events: [],
  stages: []
})

const start = 1_000_000

const stageRecord = (raw: RawStage, index: number, ready: number): RunRecord.RecordedStage => {
  const wired = { name: `s${index}`, kind: "work", after: dependenciesOf(raw, index).map((other) => `s${other}`) }
  const common = { ...wired, input: unrecorded, output: unrecorded }
  if (raw.isSkipped) return { ...common, status: "skipped", attempts: [], waits: [], runs: [] }
  const startedAt = start + ready + raw.queued
  let at = startedAt
  const attempts = raw.attempts.map(({ ms, pause }, attempt) => {
    const made = { attempt: attempt + 1, startedAt: at, endedAt: at + ms }
    at += ms + pause
    return made
  })
  return {
    ...common,
    status: "ok",
    startedAt,
    durationMs: spanOf(raw) - raw.queued,
    attempts,
    waits: raw.queued === 0 ? [] : [{ queue: "bulkhead", startedAt: start + ready, endedAt: startedAt }],
    runs: raw.child === 0 ? [] : [childRecord(startedAt, raw.child)]
  }
}

const recordOf = (graph: ReadonlyArray<RawStage>, shuffled: boolean): RunRecord.RunRecord => {
  const { end, times } = simulated(graph)
  const stages = graph.map((raw, index) => stageRecord(raw, index, times[index]?.ready ?? 0))
  return {
    ...childRecord(start, end),
    pipeline: "random",
    stages: shuffled ? stages.toReversed() : stages
  }
}

const indexOf = (name: string): number => Number(name.slice(1))

describe("RunReport.analyse", () => {
  it.prop(
    "finds the slack that a slower stage uses up, whatever the graph",
    [Graph, Schema.Boolean],
    ([graph, shuffled]) => {
      const { end } = simulated(graph)
      const analysis = RunReport.analyse(recordOf(graph, shuffled))
      for (const { isCritical, slackMs, stage } of analysis.stages) {
        assert.strictEqual(simulated(graph, indexOf(stage), slackMs).end, end, `${stage} has no slack of ${slackMs}`)
        assert.strictEqual(simulated(graph, indexOf(stage), slackMs + 1).end, end + 1, `${stage} has more slack`)
        if (isCritical) assert.strictEqual(slackMs, 0)
      }
      assert.lengthOf(analysis.stages, graph.filter(({ isSkipped }) => !isSkipped).length)
    }
  )

  it.prop("finds a path that takes all of the time, through stages that wait for each other", [Graph], ([graph]) => {
    const { end } = simulated(graph)
    const analysis = RunReport.analyse(recordOf(graph, false))
    const times = new Map(analysis.stages.map((stage) => [stage.stage, stage]))
    const spans = analysis.criticalPath.map((name) => {
      const { betweenAttemptsMs = 0, otherMs = 0, queuedMs = 0, runningMs = 0 } = times.get(name) ?? {}
      return betweenAttemptsMs + otherMs + queuedMs + runningMs
    })
    assert.strictEqual(spans.reduce((sum, ms) => sum + ms, analysis.startingMs) + analysis.endingMs, end)
    assert.strictEqual(analysis.endingMs, 0)
    assert.strictEqual(analysis.durationMs, end)
  })

  it.prop("tells what a stage waited for from what it did", [Graph], ([graph]) => {
    const { times } = simulated(graph)
    for (const stage of RunReport.analyse(recordOf(graph, true)).stages) {
      const index = indexOf(stage.stage)
      const raw = graph[index] as RawStage
      assert.strictEqual(stage.dependenciesMs, times[index]?.ready)
      assert.strictEqual(stage.queuedMs, raw.queued)
      assert.strictEqual(stage.runningMs, raw.attempts.reduce((sum, { ms }) => sum + ms, 0))
      assert.strictEqual(stage.betweenAttemptsMs, raw.attempts.slice(0, -1).reduce((sum, { pause }) => sum + pause, 0))
      assert.strictEqual(stage.otherMs, 0)
      assert.isAtMost(stage.selfMs, stage.runningMs)
      if (raw.child === 0) assert.strictEqual(stage.selfMs, stage.runningMs)
      if (raw.attempts.length === 1) assert.strictEqual(stage.selfMs, Math.max(stage.runningMs - raw.child, 0))
    }
  })

  const At = Schema.Struct({
    startedAt: Schema.optionalKey(between(-100, 100)),
    durationMs: Schema.optionalKey(between(-50, 50)),
    after: Schema.Array(between(0, 7)),
    times: Schema.Array(
      Schema.Struct({ startedAt: between(-200, 200), endedAt: Schema.optionalKey(between(-200, 200)) })
    ),
    status: RunRecord.StageStatus
  })

  it.prop(
    "of a record whose times make no sense says nothing that makes none",
    [Schema.Array(At).check(Schema.isMaxLength(8)), RunRecord.RunStatus],
    ([raws, status]) => {
      const record: RunRecord.RunRecord = {
        ...childRecord(0, 10),
        status,
        by: "s1",
        // A circle, itself and nobody among what it waits for.
        stages: raws.map(({ after, durationMs, startedAt, status, times }, index) => ({
          name: `s${index}`,
          kind: "work",
          after: after.map((other) => `s${other}`),
          status,
          ...(startedAt === undefined ? {} : { startedAt }),
          ...(durationMs === undefined ? {} : { durationMs }),
          attempts: times.map((time) => ({ attempt: 1, ...time })),
          waits: times.map((time) => ({ queue: "queue", ...time })),
          input: unrecorded,
          output: unrecorded,
          runs: []
        }))
      }
      const { sentence, stages, ...analysis } = RunReport.analyse(record)
      assert.match(sentence, /^It .*\.$/)
      assert.isAtLeast(analysis.endingMs, 0)
      for (const stage of stages) {
        for (const value of Object.values(stage)) {
          if (typeof value === "number") assert.isTrue(value >= 0 && value < 1000, JSON.stringify(stage))
        }
      }
    }
  )

  const analysed = (events: ReadonlyArray<Event.Event>, pipeline: RunRecord.Wiring) => {
    const [record] = RunRecord.fromEvents(events, { pipeline })
    assert.isDefined(record)
    return RunReport.analyse(record)
  }

  it.effect("says in a sentence why a run took so long", () =>
    Effect.gen(function*() {
      const { events, exit } = yield* ranIn(Pipeline.run(good, Snapshot.make()), 1000)
      const pipeline = yield* Pipeline.describe(good)
      const analysis = analysed(events, pipeline)
      assert.strictEqual(
        analysis.sentence,
        "It took 500 ms: first 100 ms, then second 300 ms, then last 100 ms."
      )
      assert.deepStrictEqual(analysis.criticalPath, ["first", "second", "last"])
      const flaky = analysis.stages.find(({ stage }) => stage === "flaky")
      assert.deepInclude(flaky, { runningMs: 150, betweenAttemptsMs: 200, slackMs: 150, isCritical: false })
      // The result tells the same.
      const fromResult = RunReport.analyse(RunRecord.fromResult(endOf(exit), { pipeline }))
      assert.strictEqual(fromResult.sentence, analysis.sentence)
    }))

  it.effect("of a run that failed, was cancelled, or has runs inside", () =>
    Effect.gen(function*() {
      const sentences: Array<string> = []
      for (const pipeline of [failing, cancelled, nested] as ReadonlyArray<typeof failing>) {
        const { events } = yield* ranIn(Pipeline.run(pipeline, Snapshot.make()), 1000)
        sentences.push(analysed(events, yield* Pipeline.describe(pipeline)).sentence)
      }
      assert.deepStrictEqual(sentences, [
        "It failed after 50 ms: fails 50 ms (which failed).",
        "It was cancelled after 50 ms: guard 50 ms (which cancelled the run).",
        "It took 600 ms: each 600 ms."
      ])
    }))

  it.effect("of a run that took long to begin and to end", () =>
    Effect.gen(function*() {
      const layer = Layer.effectDiscard(Effect.acquireRelease(Effect.sleep(100), () => Effect.sleep(200)))
      const slow = good.pipe(Pipeline.provide(layer))
      const { events } = yield* ranIn(Pipeline.run(slow, Snapshot.make()), 1000)
      const analysis = analysed(events, yield* Pipeline.describe(slow))
      assert.strictEqual(
        analysis.sentence,
        "It took 800 ms: 100 ms to begin, then first 100 ms, then second 300 ms, then last 100 ms, and 200 ms to end."
      )
      assert.deepInclude(analysis, { durationMs: 800, startingMs: 100, endingMs: 200 })
      assert.deepInclude(analysis.stages.find((stage) => stage.stage === "first"), { dependenciesMs: 100, otherMs: 0 })
    }))

  it("of a chain that is faster than the clock", () => {
    // They follow each other within a millisecond: by its start and its duration the first ended last.
    const stages = [0.9, 0.1, 0.4].map((durationMs, index): RunRecord.RecordedStage => ({
      name: `s${index}`,
      kind: "work",
      after: index === 0 ? [] : [`s${index - 1}`],
      status: "ok",
      startedAt: 0,
      durationMs,
      attempts: [{ attempt: 1, startedAt: 0, endedAt: 1 }],
      waits: [],
      input: unrecorded,
      output: unrecorded,
      runs: []
    }))
    const analysis = RunReport.analyse({ ...childRecord(0, 1.4), stages })
    assert.deepStrictEqual(analysis.criticalPath, stages.map(({ name }) => name))
  })

  it.effect("of a run that nothing is known of but that it was rejected", () =>
    Effect.gen(function*() {
      const { events } = yield* ranIn(Pipeline.run(good, Snapshot.make()), 1000)
      const first = events.slice(0, 1)
      assert.strictEqual(
        analysed(first, yield* Pipeline.describe(good)).sentence,
        "It has been running for 0 ms, and no stage started."
      )
    }))

  it.effect("names the path of a run inside, where the wiring says what is in it", () =>
    Effect.gen(function*() {
      const outer = Pipeline.make("outer").add(Subpipeline.stage("inner", child))
      const { events } = yield* ranIn(Pipeline.run(outer, Snapshot.make()), 1000)
      const pipeline = yield* Pipeline.describe(outer)
      assert.strictEqual(analysed(events, pipeline).sentence, "It took 300 ms: inner 300 ms (in it one, two).")
    }))

  it("of a chain of 100,000 stages", () => {
    const stages = Array.from({ length: 100_000 }, (_, index): RunRecord.RecordedStage => ({
      name: `s${index}`,
      kind: "work",
      after: index === 0 ? [] : [`s${index - 1}`],
      status: "ok",
      startedAt: index,
      durationMs: 1,
      attempts: [{ attempt: 1, startedAt: index, endedAt: index + 1 }],
      waits: [],
      input: unrecorded,
      output: unrecorded,
      runs: []
    }))
    const analysis = RunReport.analyse({ ...childRecord(0, 100_000), stages: stages.toReversed() })
    assert.strictEqual(analysis.criticalPath.length, 100_000)
    assert.strictEqual(
      analysis.sentence,
      "It took 1 min 40 s: s0 1 ms, then s1 1 ms, then s2 1 ms, then s3 1 ms, then s4 1 ms, then s5 1 ms, "
        + "and 99994 shorter ones 1 min 40 s."
    )
  })
})
