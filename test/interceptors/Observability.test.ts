import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Fiber, Logger, type LogLevel, Metric, Predicate, References, Schedule, Schema } from "effect"
import { TestClock } from "effect/testing"
import { Interceptor, Pipeline, Snapshot, Stage, StageOutput } from "stageflow"
import * as Interceptors from "stageflow/interceptors"

class Down extends Schema.TaggedError<Down>()("Down", {}) {
  override get message(): string {
    return "it is down"
  }
}

interface Line {
  readonly level: LogLevel.LogLevel
  readonly text: string
  readonly annotations: Readonly<Record<string, unknown>>
}

const recorded = () => {
  const lines: Array<Line> = []
  const logger = Logger.make((options) => {
    const text = (Array.isArray(options.message) ? options.message : [options.message]).join(" ")
    const annotations = Context.get(options.fiber.context, References.CurrentLogAnnotations)
    lines.push({ level: options.logLevel, text, annotations })
  })
  return { lines, layer: Logger.layer([logger]) }
}

describe("logging", () => {
  it.effect("start and end at Debug, failures at Warning, nothing at Info; a stage's own logs carry the annotations", () =>
    Effect.gen(function*() {
      const { layer, lines } = recorded()
      const chatty = Stage.work("chatty", { run: Effect.logError("mine") })
      const down = Stage.work("down", { run: Effect.fail(new Down()) })
      const pipeline = Pipeline.make("p").add(chatty).add(down, { after: ["chatty"] }).pipe(
        Pipeline.intercept(Interceptors.logging())
      )
      yield* Effect.exit(Pipeline.run(pipeline, Snapshot.make({ pipelineRunId: "run", orgId: "org" }))).pipe(
        Effect.provide(layer),
        Effect.provideService(References.MinimumLogLevel, "All")
      )
      assert.deepStrictEqual(lines.map(({ level, text }) => [level, text]), [
        ["Debug", "Stage started"],
        ["Error", "mine"],
        ["Debug", "Stage ended: Ok"],
        ["Debug", "Stage started"],
        ["Warn", "Stage failed: Down: it is down"]
      ])
      const { annotations } = lines[1] as Line
      assert.deepInclude(annotations, { pipeline: "p", stage: "chatty", attempt: 1, runId: "run", orgId: "org" })
    }))
})

describe("what logging tells of a failure", () => {
  const secret = "s3cret"
  const failing: Readonly<Record<string, Effect.Effect<unknown, unknown>>> = {
    "a typed error": Effect.fail(new Down()),
    "a typed error, and a finalizer that dies": Effect.ensuring(Effect.fail(new Down()), Effect.die(secret)),
    "a defect": Effect.die(new Error(secret)),
    "an interruption of its own": Effect.interrupt,
    "an invalid output": Effect.succeed(42)
  }
  const logged = (run: Effect.Effect<unknown, unknown>, level: LogLevel.LogLevel) =>
    Effect.gen(function*() {
      const { layer, lines } = recorded()
      // Some of it is no output at all, which is found out when it runs.
      const stage = Stage.work("stage", { run: run as Effect.Effect<{}, unknown> })
      const pipeline = Pipeline.make("p").add(stage).pipe(Pipeline.intercept(Interceptors.logging()))
      const { error } = yield* Effect.flip(Pipeline.run(pipeline, Snapshot.make())).pipe(
        Effect.provide(layer),
        Effect.provideService(References.MinimumLogLevel, level)
      )
      assert.notInclude(JSON.stringify(lines), secret)
      return { error, lines: lines.filter((line) => line.level !== "Debug").map((line) => [line.level, line.text]) }
    })
  for (const level of ["All", "Info"] as const) {
    for (const [name, run] of Object.entries(failing)) {
      it.effect(`is the error of the result, at level ${level}: ${name}`, () =>
        Effect.gen(function*() {
          const { error, lines } = yield* logged(run, level)
          assert(Predicate.hasProperty(error, "message") && Predicate.hasProperty(error, "_tag"))
          assert.deepStrictEqual(lines, [["Warn", `Stage failed: ${error._tag}: ${error.message}`]])
        }))
    }

    it.effect(`is that it asked for a retry, at level ${level}`, () =>
      Effect.gen(function*() {
        const { lines } = yield* logged(Effect.succeed(StageOutput.retry("not yet")), level)
        assert.deepStrictEqual(lines, [["Warn", "Stage asked to be retried: not yet"]])
      }))
  }

  it.effect("is nothing where the stage was interrupted from outside", () =>
    Effect.gen(function*() {
      const { layer, lines } = recorded()
      const pipeline = Pipeline.make("p").add(Stage.work("stage", { run: Effect.never })).pipe(
        Pipeline.intercept(Interceptors.logging())
      )
      const run = Effect.provide(Pipeline.run(pipeline, Snapshot.make()), layer)
      yield* Fiber.interrupt(yield* Effect.forkChild(run, { startImmediately: true }))
      assert.deepStrictEqual(lines, [])
    }))
})

describe("metrics", () => {
  it.effect("count stages by status and measure how long they take", () =>
    Effect.gen(function*() {
      let calls = 0
      const slow = Stage.work("slow", { run: Effect.sleep("3 seconds") })
      const skip = Stage.enrich("skip", { run: Effect.succeed(StageOutput.skip("no")) })
      const again = Stage.transform("again", {
        run: Effect.suspend(() => ++calls < 3 ? Effect.fail(new Down()) : Effect.succeed({}))
      })
      const down = Stage.guard("down", { run: Effect.fail(new Down()) })
      const pipeline = Pipeline.make("metered").add(slow).add(skip).add(again.pipe(Stage.retry(Schedule.recurs(4))))
        .add(down)
        .pipe(Pipeline.intercept(Interceptors.metrics()))
      const run = Pipeline.run(pipeline, Snapshot.make(), { failure: "continue" })
      for (let round = 0; round < 2; round++) {
        calls = 0
        const fiber = yield* Effect.forkChild(run, { startImmediately: true })
        yield* TestClock.adjust("3 seconds")
        yield* Fiber.join(fiber)
      }
      const snapshots = yield* Metric.snapshot
      const find = (id: string, stage: string, status?: string) => {
        const found = snapshots.find((snapshot) =>
          snapshot.id === id && snapshot.attributes?.["stage"] === stage &&
          snapshot.attributes["pipeline"] === "metered"
          && (status === undefined || snapshot.attributes["status"] === status)
        )
        assert(found !== undefined, `${id} ${stage} ${status}`)
        return found
      }
      const countOf = (stage: string, status: string) => {
        const found = find("stageflow_stages_total", stage, status)
        assert(found.type === "Counter")
        return Number(found.state.count)
      }
      assert.strictEqual(countOf("slow", "ok"), 2)
      assert.strictEqual(countOf("skip", "skip"), 2)
      assert.strictEqual(countOf("again", "ok"), 2)
      assert.strictEqual(countOf("down", "fail"), 2)
      assert.strictEqual(find("stageflow_stages_total", "skip", "skip").attributes?.["kind"], "enrich")
      const duration = find("stageflow_stage_duration_ms", "slow")
      assert(duration.type === "Histogram")
      assert.strictEqual(duration.state.count, 2)
      assert.strictEqual(duration.state.sum, 6000)
    }).pipe(Effect.provideService(Metric.MetricRegistry, new Map())))
})

describe("metrics tell", () => {
  /** What was counted of a stage, by metric. */
  const countOf = (metric: string, status?: string) =>
    Effect.map(
      Metric.snapshot,
      (snapshots) =>
        snapshots.filter(({ attributes, id }) =>
          id === metric && (status === undefined || attributes?.["status"] === status)
        ).reduce((sum, { state }) => sum + ("count" in state ? Number(state.count) : 0), 0)
    )

  const retries = countOf("stageflow_stage_retries_total")

  /** Fails twice, then succeeds. */
  const thirdTime = () => {
    let calls = 0
    return Stage.work("stage", { run: Effect.suspend(() => ++calls % 3 === 0 ? Effect.void : Effect.fail(new Down())) })
  }
  const metrics = Interceptors.metrics()
  const retry = Interceptors.retry({ schedule: Schedule.recurs(2) })
  const twice = Interceptor.make({
    name: "twice",
    order: 20,
    around: (effect) => Effect.andThen(Effect.exit(effect), effect)
  })

  const placed = {
    "around the retry": [Pipeline.make("p").add(thirdTime()).pipe(Pipeline.intercept(metrics, retry)), 2],
    "inside of the retry": [
      Pipeline.make("p").add(thirdTime().pipe(Stage.intercept(metrics), Stage.intercept(retry))),
      2
    ],
    "around and inside of the retry": [
      Pipeline.make("p").add(
        thirdTime().pipe(Stage.intercept(metrics), Stage.intercept(retry), Stage.intercept(metrics))
      ),
      2
    ],
    "twice around the retry": [
      Pipeline.make("p").add(
        thirdTime().pipe(Stage.intercept(retry), Stage.intercept(metrics), Stage.intercept(metrics))
      ),
      2
    ],
    "inside of what runs the stage twice": [
      Pipeline.make("p").add(thirdTime()).pipe(Pipeline.intercept(twice, metrics, retry)),
      4
    ]
  } as const
  for (const [name, [pipeline, expected]] of Object.entries(placed)) {
    it.effect(`each retry once: ${name}`, () =>
      Effect.gen(function*() {
        yield* Pipeline.run(pipeline, Snapshot.make())
        assert.strictEqual(yield* retries, expected)
        yield* Pipeline.run(pipeline, Snapshot.make())
        assert.strictEqual(yield* retries, 2 * expected)
      }).pipe(Effect.provideService(Metric.MetricRegistry, new Map())))
  }

  const failing: Readonly<Record<string, Effect.Effect<unknown, unknown>>> = {
    "a retry that nobody grants": Effect.succeed(StageOutput.retry("not yet")),
    "an interruption of its own": Effect.interrupt,
    "a defect": Effect.die("boom")
  }
  for (const [name, run] of Object.entries(failing)) {
    it.effect(`a failure, as the result does: ${name}`, () =>
      Effect.gen(function*() {
        const stage = Stage.work("stage", { run: run as Effect.Effect<{}, unknown> })
        const pipeline = Pipeline.make("p").add(stage).pipe(Pipeline.intercept(metrics))
        yield* Effect.flip(Pipeline.run(pipeline, Snapshot.make()))
        assert.strictEqual(yield* countOf("stageflow_stages_total", "fail"), 1)
        assert.strictEqual(yield* countOf("stageflow_stages_total"), 1)
      }).pipe(Effect.provideService(Metric.MetricRegistry, new Map())))
  }

  it.effect("an interruption from outside, whatever the finalizers do", () =>
    Effect.gen(function*() {
      const stage = Stage.work("stage", { run: Effect.ensuring(Effect.never, Effect.die("boom")) })
      const pipeline = Pipeline.make("p").add(stage).pipe(Pipeline.intercept(metrics))
      const fiber = yield* Effect.forkChild(Pipeline.run(pipeline, Snapshot.make()), { startImmediately: true })
      yield* Fiber.interrupt(fiber)
      assert.strictEqual(yield* countOf("stageflow_stages_total", "interrupt"), 1)
      assert.strictEqual(yield* countOf("stageflow_stages_total"), 1)
    }).pipe(Effect.provideService(Metric.MetricRegistry, new Map())))
})

describe("validation", () => {
  const giving = (data: object) => Stage.transform("give", { run: Effect.succeed(data) })

  it.effect("limits the size of outputs and snapshots", () =>
    Effect.gen(function*() {
      const large = Pipeline.make("p").add(giving({ text: "x".repeat(2000) })).pipe(
        Pipeline.intercept(Interceptors.outputSize({ maxBytes: 1000 }))
      )
      const error = yield* Effect.flip(Pipeline.run(large, Snapshot.make()))
      assert(error.error instanceof Interceptors.OutputTooLarge)
      const small = Pipeline.make("p").add(giving({ text: "x" })).pipe(
        Pipeline.intercept(Interceptors.outputSize({ maxBytes: 1000 }), Interceptors.snapshotSize({ maxBytes: 1000 }))
      )
      assert.strictEqual((yield* Pipeline.run(small, Snapshot.make({ inputText: "hi" })))._tag, "Completed")
      const tooLarge = yield* Effect.flip(Pipeline.run(small, Snapshot.make({ inputText: "y".repeat(2000) })))
      assert(tooLarge instanceof Interceptors.SnapshotTooLarge)
      assert.notInclude(tooLarge.message, "yyy")
    }))

  it.effect("finds the stage that changes bytes or instances it was given", () =>
    Effect.gen(function*() {
      class Counter {
        count = 0
      }
      const source = Stage.transform("source", {
        run: Effect.sync(() => ({ bytes: new Uint8Array([1, 2, 3]), counter: new Counter() }))
      })
      type Given = { readonly source: { readonly bytes: Uint8Array; readonly counter: Counter } }
      const reader = (change: (given: Given) => void) =>
        Stage.work("reader", { run: (given: Given) => Effect.sync(() => change(given)) })
      const run = (change: (given: Given) => void) =>
        Pipeline.run(
          Pipeline.make("p").add(source).add(reader(change), { inputs: ["source"] }).pipe(
            Pipeline.intercept(Interceptors.unchangedInputs())
          ),
          Snapshot.make()
        )
      assert.strictEqual((yield* run(() => undefined))._tag, "Completed")
      const changes: ReadonlyArray<(given: Given) => void> = [
        ({ source: { bytes } }) => bytes.set([9], 1),
        ({ source: { counter } }) => {
          counter.count++
        }
      ]
      for (const change of changes) {
        const error = yield* Effect.flip(run(change))
        assert(error.error instanceof Interceptors.InputChanged)
        assert.strictEqual(error.stage, "reader")
      }
    }))
})

describe("the default stack", () => {
  it.effect("has a timeout, and wraps with tracing, metrics and logging", () =>
    Effect.gen(function*() {
      const pipeline = Pipeline.make("p").add(Stage.work("slow", { run: Effect.never })).pipe(
        Pipeline.intercept(Interceptors.defaults)
      )
      const fiber = yield* Effect.forkChild(Effect.flip(Pipeline.run(pipeline, Snapshot.make())), {
        startImmediately: true
      })
      yield* TestClock.adjust("30 seconds")
      assert.strictEqual((yield* Fiber.join(fiber)).error._tag, "StageTimeout")
    }))

  it.effect("an empty list means none", () =>
    Effect.gen(function*() {
      const pipeline = Pipeline.make("p").add(Stage.work("slow", { run: Effect.never })).pipe(Pipeline.intercept())
      const fiber = yield* Effect.forkChild(Pipeline.run(pipeline, Snapshot.make()), { startImmediately: true })
      yield* TestClock.adjust("1 hour")
      assert.isUndefined(fiber.pollUnsafe())
      yield* Fiber.interrupt(fiber)
    }))
})
