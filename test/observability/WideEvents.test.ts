import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Fiber, identity, type Layer, Schedule, Schema } from "effect"
import { TestClock } from "effect/testing"
import {
  type Event,
  type EventSink,
  Interceptor,
  Pipeline,
  Snapshot,
  Stage,
  StageContext,
  StageOutput
} from "stageflow"
import { Subpipeline } from "stageflow/control"
import * as Interceptors from "stageflow/interceptors"
import { Sinks, WideEvents } from "stageflow/observability"
import { event } from "./support/events.ts"

class Down extends Schema.TaggedError<Down>()("Down", {}) {
  readonly code = "DOWN"
  override get message(): string {
    return "it is down"
  }
}

/** The rows of what an Effect runs. */
const rowsOf = Effect.fnUntraced(function*<A, E>(
  effect: Effect.Effect<A, E>,
  settings: WideEvents.Settings = {},
  change: (layer: Layer.Layer<EventSink.EventSink>) => Layer.Layer<EventSink.EventSink> = identity
) {
  const rows: Array<WideEvents.WideEvent> = []
  const layer = WideEvents.layer((events) => Effect.sync(() => void rows.push(...events)), settings)
  yield* Effect.exit(Effect.provide(effect, change(layer)))
  return rows
})

const stage = (rows: ReadonlyArray<WideEvents.WideEvent>, name: string): WideEvents.WideStage => {
  const found = rows.filter((row) => row._tag === "WideStage").filter((row) => row.stage === name)
  assert.strictEqual(found.length, 1, `${name} of ${JSON.stringify(rows)}`)
  return found[0] as WideEvents.WideStage
}

const run = (rows: ReadonlyArray<WideEvents.WideEvent>, pipeline: string): WideEvents.WideRun => {
  const found = rows.filter((row) => row._tag === "WideRun").filter((row) => row.pipeline === pipeline)
  assert.strictEqual(found.length, 1, `${pipeline} of ${JSON.stringify(rows)}`)
  return found[0] as WideEvents.WideRun
}

const isFlat = (row: WideEvents.WideEvent) =>
  Object.values(row).every((value) => ["string", "number", "boolean"].includes(typeof value))

const waited = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.gen(function*() {
    const fiber = yield* Effect.forkChild(effect, { startImmediately: true })
    yield* TestClock.adjust("1 minute")
    return yield* Fiber.join(fiber)
  })

const snapshot = Snapshot.make({ pipelineRunId: "run", orgId: "acme", userId: "ada" })

describe("WideEvents", () => {
  it.effect("are one flat row for each stage and each run, with all that one may ask of it", () =>
    Effect.gen(function*() {
      let calls = 0
      const flaky = Stage.work("flaky", {
        run: Effect.gen(function*() {
          yield* StageContext.emit("note", { text: "hi" })
          yield* Effect.sleep("1 second")
          if (++calls === 1) return yield* new Down()
        })
      })
      const pipeline = Pipeline.make("p")
        .add(flaky.pipe(Stage.retry(Schedule.spaced("2 seconds"))))
        .add(Stage.enrich("nothing", { run: Effect.succeed(StageOutput.skip("nothing to do")) }))
        .add(Subpipeline.stage("child", Pipeline.make("inner").work("work", { run: Effect.void })), {
          after: ["flaky"]
        })
        .add(Stage.work("down", { run: Effect.fail(new Down()) }), { after: ["child"] })
        .add(Stage.work("never", { run: Effect.void }), { after: ["down"] })
      const rows = yield* rowsOf(waited(Effect.exit(Pipeline.run(pipeline, snapshot))))
      for (const row of rows) {
        assert.isTrue(isFlat(row), JSON.stringify(row))
        assert.deepStrictEqual(Schema.decodeUnknownSync(WideEvents.WideEvent)(row), row)
      }
      const ids = { runId: "run", correlationId: "run", pipeline: "p", orgId: "acme", userId: "ada" }
      assert.deepInclude(stage(rows, "flaky"), {
        ...ids,
        kind: "work",
        status: "ok",
        startedAt: 0,
        endedAt: 4000,
        durationMs: 4000,
        attempts: 2,
        retries: 1,
        retryWaitMs: 2000,
        emitted: 2,
        cacheHit: false
      })
      assert.deepInclude(stage(rows, "nothing"), { status: "skipped", reason: "nothing to do" })
      assert.deepInclude(stage(rows, "child"), { status: "ok", childRuns: 1 })
      assert.deepInclude(stage(rows, "down"), {
        status: "failed",
        errorTag: "Down",
        errorCode: "DOWN",
        errorMessage: "it is down"
      })
      assert.deepInclude(run(rows, "p"), {
        ...ids,
        status: "failed",
        startedAt: 0,
        endedAt: 4000,
        stages: 5,
        ok: 2,
        skipped: 1,
        failed: 1,
        neverStarted: 1,
        attempts: 5,
        retries: 1,
        childRuns: 1,
        emitted: 2,
        stage: "down",
        errorTag: "Down"
      })
      assert.deepInclude(run(rows, "inner"), {
        status: "completed",
        parentRunId: "run",
        parentStage: "child",
        correlationId: "run",
        ok: 1,
        neverStarted: 0
      })
      // A row for each of the four that ended, for the child's, and for both runs.
      assert.strictEqual(rows.length, 4 + 1 + 2)
    }))

  it.effect("tell each status as it is", () =>
    Effect.gen(function*() {
      const of = <E>(effect: Effect.Effect<unknown, E>) => rowsOf(waited(Effect.exit(effect)))
      const p = Pipeline.make("p")
      const hanging = Stage.work("hanging", { run: Effect.never })
      const down = Stage.work("down", { run: Effect.fail(new Down()) })

      const cancelled = yield* of(
        Pipeline.run(p.add(Stage.guard("guard", { run: StageOutput.cancel("no") })), Snapshot.make())
      )
      assert.deepInclude(stage(cancelled, "guard"), { status: "cancelled", reason: "no" })
      assert.deepInclude(run(cancelled, "p"), { status: "cancelled", stage: "guard", reason: "no", cancelled: 1 })

      const late = yield* of(
        Pipeline.run(p.add(hanging).pipe(Pipeline.intercept(Interceptors.timeout("1 second"))), Snapshot.make())
      )
      assert.deepInclude(stage(late, "hanging"), { status: "timed_out", errorTag: "StageTimeout" })
      assert.deepInclude(run(late, "p"), { timedOut: 1, failed: 0 })

      const over = yield* of(
        Pipeline.run(p.add(hanging).pipe(Pipeline.intercept(Interceptors.deadline("1 second"))), Snapshot.make())
      )
      assert.deepInclude(stage(over, "hanging"), { status: "interrupted" })
      assert.deepInclude(run(over, "p"), { status: "timed_out", errorTag: "DeadlineExceeded", interrupted: 1 })

      const stuck = Stage.work("stuck", { run: Effect.uninterruptible(Effect.never) })
      const left = yield* of(Pipeline.run(p.add(stuck).add(down), Snapshot.make()))
      assert.deepInclude(stage(left, "stuck"), { status: "abandoned" })
      assert.deepInclude(run(left, "p"), { status: "failed", abandoned: 1 })

      const after = Stage.work("after", { run: Effect.void })
      const incomplete = yield* of(
        Pipeline.run(p.add(down).add(after, { after: ["down"] }), Snapshot.make(), { failure: "continue" })
      )
      assert.deepInclude(stage(incomplete, "after"), { status: "blocked", blockedBy: "down", attempts: 0 })
      assert.isUndefined(stage(incomplete, "after").startedAt)
      assert.deepInclude(run(incomplete, "p"), { status: "incomplete", blocked: 1, neverStarted: 0 })

      const denying = Interceptor.make({ name: "denying", aroundRun: () => Effect.fail(new Down()) })
      const denied = yield* of(Pipeline.run(p.add(hanging).pipe(Pipeline.intercept(denying)), Snapshot.make()))
      assert.deepInclude(run(denied, "p"), {
        status: "denied",
        interceptor: "denying",
        errorCode: "DOWN",
        neverStarted: 1
      })
      assert.strictEqual(denied.length, 1)

      const interrupted = yield* rowsOf(Effect.gen(function*() {
        const fiber = yield* Effect.forkChild(Pipeline.run(p.add(hanging), Snapshot.make()), { startImmediately: true })
        yield* Fiber.interrupt(fiber)
      }))
      assert.deepInclude(stage(interrupted, "hanging"), { status: "interrupted" })
      assert.deepInclude(run(interrupted, "p"), { status: "interrupted" })
    }))

  it.effect("tell what was around a stage", () =>
    Effect.gen(function*() {
      const work = <const Name extends string>(name: Name) => Stage.work(name, { run: Effect.sleep("1 second") })
      const queued = yield* rowsOf(
        waited(Pipeline.run(
          Pipeline.make("p").add(work("a")).add(work("b")).pipe(
            Pipeline.intercept(Interceptors.bulkhead({ name: "db", permits: 1 }))
          ),
          Snapshot.make()
        )).pipe(Effect.provide(Interceptors.Bulkheads.layerMemory))
      )
      assert.strictEqual(stage(queued, "a").queueWaitMs, 0)
      assert.strictEqual(stage(queued, "b").queueWaitMs, 1000)
      assert.strictEqual(run(queued, "p").queueWaitMs, 1000)

      const limited = yield* rowsOf(waited(
        Pipeline.run(Pipeline.make("p").add(work("a")).add(work("b")), Snapshot.make(), { concurrency: 1 })
      ))
      assert.strictEqual(stage(limited, "b").queueWaitMs, 1000)

      const cached = Pipeline.make("p").add(work("a")).pipe(
        Pipeline.intercept(Interceptors.cache({ ttl: "1 hour", of: () => "same" }))
      )
      const hits = yield* rowsOf(
        waited(Effect.andThen(Pipeline.run(cached, Snapshot.make()), Pipeline.run(cached, Snapshot.make())))
          .pipe(Effect.provide(Interceptors.Results.layerMemory()))
      )
      assert.deepStrictEqual(
        hits.map((row) => row._tag === "WideStage" ? row.cacheHit : row.cacheHits),
        [false, 0, true, 1]
      )
    }))

  it.effect("hold so many runs at most; the oldest is told as lost, and so is what goes on when the sink closes", () =>
    Effect.gen(function*() {
      const rows: Array<WideEvents.WideEvent> = []
      const started = (runId: string, at: number): Event.Event => ({
        _tag: "RunStarted",
        runId,
        correlationId: runId,
        pipeline: "p",
        sequence: 1,
        at,
        stages: 2
      })
      yield* Effect.scoped(Effect.gen(function*() {
        const sink = yield* WideEvents.make((events) => Effect.sync(() => void rows.push(...events)), { maxRuns: 2 })
        sink.offer(started("first", 1))
        sink.offer(event(2, "first"))
        sink.offer(started("second", 3))
        sink.offer(started("third", 4))
        // Its id is used again: the end of the one before will not be told.
        sink.offer(started("third", 5))
      }))
      assert.deepStrictEqual(
        rows.map((row) => [row._tag, row.runId, row.status, row.endedAt]),
        [
          ["WideStage", "first", "lost", 4],
          ["WideRun", "first", "lost", 4],
          ["WideRun", "third", "lost", 5],
          ["WideRun", "second", "lost", 5],
          ["WideRun", "third", "lost", 5]
        ]
      )
      assert.strictEqual(run(rows.slice(1, 2), "p").neverStarted, 1)
    }))

  it.effect("make rows of what they hear when the start was told to nobody", () =>
    Effect.gen(function*() {
      const rows: Array<WideEvents.WideEvent> = []
      yield* Effect.scoped(Effect.gen(function*() {
        const sink = yield* WideEvents.make((events) => Effect.sync(() => void rows.push(...events)))
        const where = { runId: "run", correlationId: "run", pipeline: "pipeline" }
        const ended = { ...where, sequence: 7, at: 8, stage: "stage", attempt: 3, durationMs: 1 }
        sink.offer({ ...ended, _tag: "StageCompleted" })
        sink.offer({ ...where, _tag: "RunCompleted", sequence: 8, at: 9, durationMs: 9 })
      }))
      assert.deepInclude(stage(rows, "stage"), { status: "ok", attempts: 3 })
      assert.deepInclude(run(rows, "pipeline"), { status: "completed", ok: 1 })
      assert.notProperty(run(rows, "pipeline"), "neverStarted")
    }))

  it.effect("a batch that fails is kept and delivered again; a handler that hangs holds up no run", () =>
    Effect.gen(function*() {
      const batches: Array<number> = []
      const pipeline = Pipeline.make("p").work("stage", { run: Effect.void })
      yield* Effect.scoped(Effect.gen(function*() {
        const sink = yield* WideEvents.make((events) => {
          batches.push(events.length)
          return batches.length === 1 ? Effect.fail("busy") : Effect.void
        }, { buffer: { retry: Schedule.recurs(1), flushInterval: 0 } })
        const rows = [event(1), event(2, "other")]
        for (const row of rows) sink.offer(row)
      }))
      assert.deepStrictEqual(batches, [4, 4])
      const gate = yield* Deferred.make<void>()
      const layer = WideEvents.layer(() => Deferred.await(gate), { buffer: { closeTimeout: 0 } })
      const result = yield* Effect.provide(Pipeline.run(pipeline, Snapshot.make()), layer)
      assert.strictEqual(result._tag, "Completed")
    }))

  it.effect("mask what `Sinks.redact` masks", () =>
    Effect.gen(function*() {
      const pipeline = Pipeline.make("p").add(Stage.work("down", { run: Effect.fail(new Down()) }))
      const rows = yield* rowsOf(Pipeline.run(pipeline, Snapshot.make()), {}, Sinks.redact(["message"]))
      assert.deepInclude(stage(rows, "down"), { errorTag: "Down", errorMessage: "<redacted>" })
    }))

  it("settings that cannot be are refused where they are given", () => {
    const deliver = () => Effect.void
    for (const maxRuns of [0, -1, Number.NaN, 1.5, "100" as unknown as number]) {
      assert.throws(() => WideEvents.layer(deliver, { maxRuns }), /maxRuns/)
    }
    assert.throws(() => WideEvents.layer(deliver, { buffer: { capacity: 0 } }), /capacity/)
  })
})
