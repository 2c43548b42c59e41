import { assert, describe, it } from "@effect/vitest"
import { Effect, Redacted, Schedule, Schema } from "effect"
import { TestClock } from "effect/testing"
import { type Event, Interceptor, Pipeline, Snapshot, Stage, StageContext, StageError } from "stageflow"
import { Subpipeline } from "stageflow/control"
import * as Interceptors from "stageflow/interceptors"
import { RunRecord } from "stageflow/observability"
import { during, recorded } from "../acceptance/support/lifecycle.ts"
import { cancelled, child, endOf, failing, good, ranIn, takes } from "./support/stages.ts"

const recordOf = (events: ReadonlyArray<Event.Event>, pipeline?: RunRecord.Wiring) => {
  const records = RunRecord.fromEvents(events, { pipeline })
  assert.lengthOf(records, 1)
  return records[0] as RunRecord.RunRecord
}

const statuses = ({ stages }: RunRecord.RunRecord) =>
  Object.fromEntries(stages.map(({ name, status }) => [name, status]))

/** What the record of a result has in common with that of its events, on one axis. */
const common = ({ durationMs, reason, stages, startedAt: start, status }: RunRecord.RunRecord) => ({
  status,
  durationMs,
  reason,
  stages: stages.map(({ after, attempts, durationMs, kind, name, startedAt, status }) => ({
    name,
    kind,
    after,
    status,
    durationMs,
    startedAt: startedAt === undefined ? undefined : startedAt - start,
    attempts: attempts.map(({ attempt, endedAt = start, startedAt }) => [attempt, startedAt - start, endedAt - start])
  }))
})

describe("RunRecord", () => {
  it.effect("from events and from the result of a run tells the same, and is JSON", () =>
    Effect.gen(function*() {
      for (const pipeline of [good, cancelled, failing] as ReadonlyArray<typeof good>) {
        const wiring = yield* Pipeline.describe(pipeline)
        const { events, exit } = yield* ranIn(Pipeline.run(pipeline, Snapshot.make()), 1000)
        const fromEvents = recordOf(events, wiring)
        const fromResult = RunRecord.fromResult(endOf(exit), { pipeline: wiring })
        assert.deepStrictEqual(common(fromEvents), common(fromResult))
        assert.deepStrictEqual(fromEvents.stages.map(({ name }) => name), wiring.stages.map(({ name }) => name))
        for (const record of [fromEvents, fromResult]) {
          const encoded = yield* Schema.encodeUnknownEffect(RunRecord.RunRecord)(record)
          const json: unknown = JSON.parse(JSON.stringify(encoded))
          assert.deepStrictEqual(yield* Schema.decodeUnknownEffect(RunRecord.RunRecord)(json), record)
        }
      }
    }))

  const circle: Record<string, unknown> = {}
  circle["itself"] = circle
  const odd: Readonly<Record<string, unknown>> = {
    circle,
    bigint: 1n,
    undefined,
    symbol: Symbol("s"),
    function: () => 1,
    nan: Number.NaN,
    map: new Map([["a", 1]]),
    toJSON: {
      toJSON() {
        throw new Error("not today")
      }
    }
  }
  for (const [what, data] of Object.entries(odd)) {
    it.effect(`from events is JSON, whatever was emitted: ${what}`, () =>
      Effect.gen(function*() {
        const run = Effect.andThen(
          StageContext.emit("odd", data),
          StageContext.addArtifact({ type: "odd", payload: data })
        )
        const { events } = yield* ranIn(Pipeline.run(Pipeline.make("p").work("a", { run }), Snapshot.make()), 0)
        const record = recordOf(events)
        assert.includeMembers(record.events.map(({ _tag }) => _tag), ["StageEmitted", "ArtifactAdded"])
        const json: unknown = JSON.parse(JSON.stringify(record))
        assert.deepStrictEqual(yield* Schema.decodeUnknownEffect(RunRecord.RunRecord)(json), record)
      }))
  }

  it.effect("knows the wiring only where somebody tells, and by the name of its pipeline", () =>
    Effect.gen(function*() {
      const { events } = yield* ranIn(Pipeline.run(cancelled, Snapshot.make()), 1000)
      const wiring = yield* Pipeline.describe(cancelled)
      assert.deepStrictEqual(statuses(recordOf(events)), { guard: "cancelled", slow: "interrupted" })
      assert.deepStrictEqual(statuses(recordOf(events, { ...wiring, name: "other" })), statuses(recordOf(events)))
      assert.deepStrictEqual(statuses(recordOf(events, wiring)), {
        guard: "cancelled",
        slow: "interrupted",
        later: "never_started",
        even_later: "never_started"
      })
      assert.deepStrictEqual(recordOf(events, wiring).stages.map(({ after }) => after), [[], [], ["guard"], ["later"]])
      assert.throws(() => RunRecord.fromEvents(events, { wiring } as never), StageError.InvalidOption)
    }))

  it.effect("of a run that goes on: what waits, what runs, and the attempt that is to come", () =>
    Effect.gen(function*() {
      const { events } = yield* ranIn(Pipeline.run(good, Snapshot.make()), 1000)
      const start = events[0]?.at ?? 0
      const record = recordOf(events.filter(({ at }) => at - start <= 50), yield* Pipeline.describe(good))
      assert.strictEqual(record.status, "running")
      assert.deepInclude(statuses(record), { first: "running", second: "waiting", flaky: "running", right: "skipped" })
      const flaky = record.stages.find(({ name }) => name === "flaky")
      assert.deepStrictEqual(flaky?.attempts.map(({ startedAt }) => startedAt - start), [0, 150])
      assert.strictEqual(flaky?.attempts[0]?.error?.tag, "Broken")
    }))

  it.effect("has runs below the stages that started them, wired as the wiring says", () =>
    Effect.gen(function*() {
      const outer = Pipeline.make("outer").add(Subpipeline.stage("inner", child))
      const { events } = yield* ranIn(Pipeline.run(outer, Snapshot.make()), 1000)
      const [inner] = recordOf(events, yield* Pipeline.describe(outer)).stages
      assert.deepStrictEqual(inner?.runs.map(({ parentStage, pipeline, status }) => [parentStage, pipeline, status]), [
        ["inner", "child", "completed"]
      ])
      assert.deepStrictEqual(inner?.runs[0]?.stages.map(({ after, name }) => [name, after]), [["one", []], ["two", [
        "one"
      ]]])
    }))

  it.effect("has the times in queues: of a bulkhead, and of the run's concurrency", () =>
    Effect.gen(function*() {
      const narrow = Pipeline.make("narrow").add(takes("first", 100)).add(takes("second", 100)).pipe(
        Pipeline.intercept(Interceptors.bulkhead({ name: "narrow", permits: 1 }))
      )
      const queued = recordOf(
        (yield* during(recorded(Pipeline.run(narrow, Snapshot.make())), 1000).pipe(
          Effect.provide(Interceptors.Bulkheads.layerMemory)
        )).events
      )
      const { waits = [] } = queued.stages.find(({ waits }) => waits.length > 0) ?? {}
      assert.deepStrictEqual(waits.map(({ endedAt = 0, startedAt }) => endedAt - startedAt), [100])
      const wide = Pipeline.make("wide").add(takes("first", 100)).add(takes("second", 100))
      const one = Pipeline.run(wide, Snapshot.make(), { concurrency: 1 })
      const limited = recordOf((yield* during(recorded(one), 1000)).events)
      assert.deepStrictEqual(limited.stages.map(({ waits }) => waits.map(({ queue }) => queue)), [
        [],
        ["the run's concurrency"]
      ])
    }))

  it.effect("says who it was, what came out and why it failed, and keeps no secret", () =>
    Effect.gen(function*() {
      class Down extends Schema.TaggedError<Down>()("Down", {}) {
        override get message() {
          return "Nobody is there"
        }
      }
      const secret = Pipeline.make("secret")
        .add(Stage.enrich("key", { run: Effect.succeed({ key: Redacted.make("hunter2"), shown: 1 }) }))
        .add(Stage.work("down", { run: Effect.fail(new Down()) }).pipe(Stage.retry(Schedule.recurs(1))), {
          after: ["key"]
        })
      const snapshot = Snapshot.make({ userId: "ada", orgId: "org" })
      const { events, exit } = yield* ranIn(Pipeline.run(secret, snapshot), 1000)
      const record = RunRecord.fromResult(endOf(exit))
      assert.deepInclude(record, { userId: "ada", orgId: "org", status: "failed", by: "down" })
      assert.deepInclude(recordOf(events), { userId: "ada", orgId: "org", status: "failed", by: "down" })
      assert.notInclude(JSON.stringify([record, recordOf(events)]), "hunter2")
      const [key, down] = record.stages
      assert.deepStrictEqual(key?.output, {
        _tag: "Kept",
        json: { _tag: "Ok", data: { key: "<redacted>", shown: 1 } }
      })
      assert.include(down?.explanation, "Nobody is there")
      assert.deepStrictEqual(down?.attempts.map(({ error }) => error?.tag), ["Down", "Down"])
    }))

  it.effect("of a run that was denied", () =>
    Effect.gen(function*() {
      class Closed extends Schema.TaggedError<Closed>()("Closed", {}) {}
      const door = Interceptor.make({ name: "door", aroundRun: () => Effect.fail(new Closed()) })
      const { events } = yield* ranIn(Pipeline.run(good.pipe(Pipeline.intercept(door)), Snapshot.make()), 1)
      const record = recordOf(events)
      assert.include(["denied", "rejected"], record.status)
      assert.strictEqual(record.error?.tag, "Closed")
      yield* TestClock.adjust(1)
    }))
})
