import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Metric } from "effect"
import { TestClock } from "effect/testing"
import { Interceptor, Pipeline, Snapshot, Stage, StageOutput } from "stageflow"
import { Subpipeline } from "stageflow/control"
import * as Interceptors from "stageflow/interceptors"

/** The value of a metric, all its attributes together: of a counter or gauge, or how many values a histogram has. */
const valueOf = (id: string, wanted: Readonly<Record<string, string>> = {}) =>
  Effect.map(
    Metric.snapshot,
    (snapshots) =>
      snapshots.filter((snapshot) =>
        snapshot.id === id && Object.entries(wanted).every(([key, value]) => snapshot.attributes?.[key] === value)
      ).reduce((sum, { state }) => sum + Number("count" in state ? state.count : "value" in state ? state.value : 0), 0)
  )

/** Each with metrics of its own. */
const test = (name: string, checks: Effect.Effect<unknown, unknown>) =>
  it.effect(name, () => Effect.suspend(() => Effect.provideService(checks, Metric.MetricRegistry, new Map())))

const metrics = Interceptors.metrics()
const running = Effect.all({
  runs: valueOf("stageflow_runs_running"),
  stages: valueOf("stageflow_stages_running")
})
const hanging = Stage.work("hanging", { run: Effect.never })
const nothing = Stage.work("nothing", { run: Effect.void })

describe("metrics of runs", () => {
  const endings: Readonly<Record<string, Effect.Effect<unknown, unknown>>> = {
    completed: Pipeline.run(Pipeline.make("p").add(nothing).pipe(Pipeline.intercept(metrics)), Snapshot.make()),
    cancelled: Pipeline.run(
      Pipeline.make("p").add(Stage.guard("guard", { run: StageOutput.cancel("no") })).pipe(Pipeline.intercept(metrics)),
      Snapshot.make()
    ),
    failed: Pipeline.run(
      Pipeline.make("p").add(Stage.work("down", { run: Effect.fail("no") })).pipe(Pipeline.intercept(metrics)),
      Snapshot.make()
    ),
    incomplete: Pipeline.run(
      Pipeline.make("p").add(Stage.work("down", { run: Effect.fail("no") })).pipe(Pipeline.intercept(metrics)),
      Snapshot.make(),
      { failure: "continue" }
    )
  }
  for (const [status, run] of Object.entries(endings)) {
    test(
      `count one that ends ${status}`,
      Effect.gen(function*() {
        yield* Effect.exit(run)
        assert.strictEqual(yield* valueOf("stageflow_runs_total", { pipeline: "p", status }), 1)
        assert.strictEqual(yield* valueOf("stageflow_runs_total"), 1)
        assert.strictEqual(yield* valueOf("stageflow_run_duration_ms", { pipeline: "p" }), 1)
        assert.deepStrictEqual(yield* running, { runs: 0, stages: 0 })
      })
    )
  }

  test(
    "count one that is denied, and one whose time is over",
    Effect.gen(function*() {
      const denying = Interceptor.make({ name: "denying", aroundRun: () => Effect.fail("no") })
      yield* Effect.exit(
        Pipeline.run(Pipeline.make("p").add(nothing).pipe(Pipeline.intercept(denying, metrics)), Snapshot.make())
      )
      const late = Pipeline.make("p").add(hanging).pipe(Pipeline.intercept(metrics, Interceptors.deadline("1 second")))
      const fiber = yield* Effect.forkChild(Effect.exit(Pipeline.run(late, Snapshot.make())), {
        startImmediately: true
      })
      yield* TestClock.adjust("1 minute")
      yield* Fiber.join(fiber)
      assert.strictEqual(yield* valueOf("stageflow_runs_total", { status: "failed" }), 2)
      assert.deepStrictEqual(yield* running, { runs: 0, stages: 0 })
    })
  )

  test(
    "show how many are running, child runs and stages in queues too, and come down when they are interrupted",
    Effect.gen(
      function*() {
        const child = Pipeline.make("child").add(hanging)
        const parent = Pipeline.make("parent").add(hanging).add(Subpipeline.stage("child", child))
        const run = Effect.provide(Pipeline.run(parent, Snapshot.make()), Interceptor.layer(metrics))
        const fibers = yield* Effect.replicateEffect(Effect.forkChild(run, { startImmediately: true }), 3)
        assert.strictEqual(yield* valueOf("stageflow_runs_running", { pipeline: "parent" }), 3)
        assert.strictEqual(yield* valueOf("stageflow_runs_running", { pipeline: "child" }), 3)
        assert.strictEqual(yield* valueOf("stageflow_stages_running", { pipeline: "parent" }), 6)
        assert.strictEqual(yield* valueOf("stageflow_stages_running", { pipeline: "child" }), 3)
        yield* Fiber.interruptAll(fibers)
        assert.deepStrictEqual(yield* running, { runs: 0, stages: 0 })
        assert.strictEqual(yield* valueOf("stageflow_runs_total", { status: "interrupted" }), 6)
        assert.strictEqual(yield* valueOf("stageflow_stages_total", { status: "interrupt" }), 9)
      }
    )
  )

  test(
    "come down when a handle cancels the run, and when it dies before it starts",
    Effect.gen(function*() {
      const pipeline = Pipeline.make("p").add(hanging).pipe(Pipeline.intercept(metrics))
      yield* Effect.scoped(Effect.gen(function*() {
        const handle = yield* Pipeline.start(pipeline, Snapshot.make())
        yield* Effect.yieldNow
        yield* handle.cancel("enough")
        yield* handle.await
      }))
      const dying = Interceptor.make({ name: "dying", around: () => Effect.die("boom") })
      const broken = Pipeline.make("p").add(nothing).pipe(Pipeline.intercept(metrics, dying))
      yield* Effect.exit(Pipeline.run(broken, Snapshot.make()))
      assert.deepStrictEqual(yield* running, { runs: 0, stages: 0 })
      assert.strictEqual(yield* valueOf("stageflow_runs_total"), 2)
    })
  )
})

describe("metrics that are around the same more than once", () => {
  const again = Stage.work("again", { run: Effect.void })
  const places: Readonly<Record<string, Effect.Effect<unknown, unknown>>> = {
    "a stage and its pipeline": Pipeline.run(
      Pipeline.make("p").add(again.pipe(Stage.intercept(metrics))).pipe(Pipeline.intercept(metrics)),
      Snapshot.make()
    ),
    "a pipeline twice": Pipeline.run(
      Pipeline.make("p").add(again).pipe(Pipeline.intercept(metrics), Pipeline.intercept(Interceptors.defaults)),
      Snapshot.make()
    ),
    "a stage, its pipeline and a Layer": Pipeline.run(
      Pipeline.make("p").add(again.pipe(Stage.intercept(metrics))).pipe(Pipeline.intercept(Interceptors.metrics())),
      Snapshot.make()
    ).pipe(Effect.provide(Interceptor.layer(Interceptors.metrics())))
  }
  for (const [name, run] of Object.entries(places)) {
    test(
      `count once: ${name}`,
      Effect.gen(function*() {
        yield* run
        for (
          const id of [
            "stageflow_runs_total",
            "stageflow_run_duration_ms",
            "stageflow_stages_total",
            "stageflow_stage_duration_ms"
          ]
        ) assert.strictEqual(yield* valueOf(id), 1, id)
        assert.deepStrictEqual(yield* running, { runs: 0, stages: 0 })
      })
    )
  }

  test(
    "count the run of one snapshot as often as it runs",
    Effect.gen(function*() {
      const pipeline = Pipeline.make("p").add(again).pipe(Pipeline.intercept(metrics))
      const snapshot = Snapshot.make({ pipelineRunId: "run", requestId: "request", interactionId: "interaction" })
      yield* Effect.all(Array.from({ length: 5 }, () => Pipeline.run(pipeline, snapshot)), { concurrency: 5 })
      assert.strictEqual(yield* valueOf("stageflow_runs_total"), 5)
    })
  )
})

describe("metrics of queues", () => {
  test(
    "measure how long stages waited, those that were not let in too",
    Effect.gen(function*() {
      const work = <const Name extends string>(name: Name) => Stage.work(name, { run: Effect.sleep("1 second") })
      const pipeline = Pipeline.make("p").add(work("a")).add(work("b")).add(work("c")).pipe(
        Pipeline.intercept(metrics, Interceptors.bulkhead({ name: "db", permits: 1 }))
      )
      const fiber = yield* Effect.forkChild(
        Effect.provide(Pipeline.run(pipeline, Snapshot.make()), Interceptors.Bulkheads.layerMemory),
        { startImmediately: true }
      )
      yield* TestClock.adjust("1500 millis")
      yield* Fiber.interrupt(fiber)
      const waits = (yield* Metric.snapshot).filter(({ id }) => id === "stageflow_queue_wait_ms")
      assert.deepStrictEqual(
        waits.map(({ attributes, state }) => [attributes, "sum" in state ? state.sum : undefined]),
        [
          [{ pipeline: "p", stage: "b", queue: "bulkhead db" }, 1000],
          [{ pipeline: "p", stage: "c", queue: "bulkhead db" }, 1500]
        ]
      )
      assert.deepStrictEqual(yield* running, { runs: 0, stages: 0 })
    })
  )
})
