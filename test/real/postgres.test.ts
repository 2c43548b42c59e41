/**
 * What is kept in SQL, on a real PostgreSQL: the sink of events, the run log and the store of idempotent results.
 */
import { PgClient } from "@effect/sql-pg"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Redacted, Schema } from "effect"
import { SqlClient } from "effect/sql"
import { TestClock } from "effect/testing"
import { Event, EventSink, Pipeline, Snapshot, Stage, StageContext } from "stageflow"
import { Subpipeline } from "stageflow/control"
import * as Interceptors from "stageflow/interceptors"
import { Replay, RunLog, SqlSink } from "stageflow/observability"
import { inject } from "vitest"
import { events, numbers } from "../observability/support/events.ts"

class Broken extends Error {
  readonly isBroken = true
}

const database = PgClient.layer({ url: Redacted.make(inject("postgresUrl")) })

interface Kept {
  readonly run_id: string
  readonly sequence: number
  readonly at: number | bigint | string
  readonly stage: string | null
  readonly attempt: number | null
  readonly event: string
}

const rows = (table: string) =>
  Effect.flatMap(SqlClient.SqlClient, (sql) => sql<Kept>`SELECT * FROM ${sql(table)} ORDER BY id`)

describe("SqlSink on PostgreSQL", () => {
  it.live("appends the events of a run, in columns and as JSON", () =>
    Effect.gen(function*() {
      const memory = yield* EventSink.Memory
      const sink = yield* SqlSink.make({ table: "all events" })
      const both = EventSink.EventSink.of({
        offer: (event) => {
          sink.offer(event)
          memorySink.offer(event)
        }
      })
      const memorySink = yield* EventSink.EventSink
      const pipeline = Pipeline.make("p").add(
        Stage.work("stage", { run: StageContext.emit("said", { text: "it's \"quoted\" ü \u2028", null: null }) })
      )
      yield* Effect.provideService(
        Pipeline.run(pipeline, Snapshot.make({ pipelineRunId: "run" })),
        EventSink.EventSink,
        both
      )
      yield* sink.flush
      const kept = yield* rows("all events")
      const told = yield* memory.events
      assert.deepStrictEqual(
        kept.map(({ event }) => Schema.decodeUnknownSync(Event.Event)(JSON.parse(event))),
        told
      )
      assert.deepStrictEqual(kept.map(({ at }) => Number(at)), told.map(({ at }) => at))
      assert.deepStrictEqual(kept.map(({ run_id, sequence, stage }) => [run_id, sequence, stage]), [
        ["run", 1, null],
        ["run", 2, "stage"],
        ["run", 3, "stage"],
        ["run", 4, "stage"],
        ["run", 5, null]
      ])
    }).pipe(Effect.scoped, Effect.provide([database, EventSink.layerMemory])))

  it.live("sinks that make their table at the same time all work", () =>
    Effect.gen(function*() {
      yield* Effect.forEach(
        numbers(1, 8),
        () =>
          Effect.scoped(Effect.gen(function*() {
            const sink = yield* SqlSink.make({ table: "made_at_once" })
            for (const event of events(50)) sink.offer(event)
          })),
        { concurrency: "unbounded", discard: true }
      )
      assert.lengthOf(yield* rows("made_at_once"), 400)
    }).pipe(Effect.provide(database)))

  it.live("a batch of more rows than one statement takes is one transaction", () =>
    Effect.gen(function*() {
      yield* Effect.scoped(Effect.gen(function*() {
        const sink = yield* SqlSink.make({ table: "large", buffer: { batchSize: 1200 } })
        for (const event of events(1200)) sink.offer(event)
      }))
      assert.deepStrictEqual((yield* rows("large")).map(({ sequence }) => sequence), numbers(1, 1200))
    }).pipe(Effect.provide(database)))

  it.live("a zero byte, which PostgreSQL takes in no text, loses nobody else's events", () =>
    Effect.gen(function*() {
      const sink = yield* SqlSink.make({ table: "zeros" })
      const [first, second] = events(2)
      assert(first !== undefined && second !== undefined)
      sink.offer({ ...first, pipeline: "zero \u0000 byte" })
      sink.offer(second)
      yield* sink.flush
      assert.lengthOf(yield* rows("zeros"), 2)
    }).pipe(Effect.scoped, Effect.provide(database)))
})

describe("RunLog on PostgreSQL", () => {
  const child = Pipeline.make("child").transform("shout", { run: Effect.succeed({ text: "it's \u0000 \ud800" }) })
  const pipeline = Pipeline.make("parent")
    .enrich("name", { run: Effect.succeed({ name: "Ada" }) })
    .add(Subpipeline.stage("sub", child), { after: ["name"] })
  const failing = Pipeline.make("failing").work("fails", { run: Effect.fail(new Broken("no")) })
  const log = (table: string, settings: RunLog.Settings = {}) =>
    Layer.fresh(RunLog.layerSql({ ...settings, table }).pipe(Layer.provide(database)))
  const run = (id: string) => Pipeline.run(pipeline, Snapshot.make({ pipelineRunId: id, userId: `user of ${id}` }))

  it.live("keeps runs with the runs of their stages, for whoever reads them next", () =>
    Effect.gen(function*() {
      yield* Effect.provideService(run("one"), RunLog.Tags, ["tag"]).pipe(Effect.provide(log("kept runs")))
      yield* Effect.gen(function*() {
        const kept = yield* RunLog.get("one")
        assert.strictEqual(kept.status, "completed")
        assert.deepStrictEqual(kept.stages[1]?.runs.map(({ status }) => status), ["completed"])
        assert.deepInclude((yield* RunLog.outputs(pipeline, "one")).name, { data: { name: "Ada" } })
        const again = yield* Replay.from(pipeline, "one", "sub")
        assert.isTrue(Replay.diff(kept, yield* RunLog.get(again.lineage.runId)).stages[0]?.change === "same")
        assert.lengthOf((yield* RunLog.list({ tag: "tag", roots: true })).runs, 1)
        assert.strictEqual((yield* Effect.flip(RunLog.get("on"))).code, "RUN_NOT_FOUND")
        assert.deepStrictEqual(yield* RunLog.damages, [])
      }).pipe(Effect.provide(log("kept runs")))
    }))

  it.live("lists by what runs are, in pages, and says which was most likely meant", () =>
    Effect.gen(function*() {
      for (const id of ["Äpfel-1", "äpfel-2", "run_3", "run%4", "RUN-5"]) yield* run(id)
      yield* Effect.exit(Pipeline.run(failing, Snapshot.make({ pipelineRunId: "bad" })))
      const pages: Array<string> = []
      let after: string | undefined
      do {
        const page: RunLog.Page = yield* RunLog.list({ roots: true, limit: 2, after })
        pages.push(...page.runs.map(({ runId }) => runId))
        after = page.next
      } while (after !== undefined)
      assert.deepStrictEqual(pages, ["bad", "RUN-5", "run%4", "run_3", "äpfel-2", "Äpfel-1"])
      assert.lengthOf((yield* RunLog.list({ status: "failed" })).runs, 1)
      assert.lengthOf((yield* RunLog.list({ userId: "user of run_3", roots: true })).runs, 1)
      assert.lengthOf((yield* RunLog.list({ from: 0, to: 1 })).runs, 0)
      assert.deepInclude(yield* Effect.flip(RunLog.get("äpfel")), { didYouMean: "äpfel-2" })
      assert.deepInclude(yield* Effect.flip(RunLog.get("run%")), { didYouMean: "run%4" })
    }).pipe(Effect.provide(log("listed_runs"))))

  it.live("ids that PostgreSQL takes in no text lose nobody's runs, and are told apart", () =>
    Effect.gen(function*() {
      const ids = ["a\u0000", "a\ufffd", "a\ud800", "a\udc00", "a\ufdd00000"]
      for (const id of ids) yield* run(id)
      for (const id of ids) {
        assert.deepStrictEqual(
          (yield* RunLog.list({ userId: `user of ${id}`, roots: true })).runs.map(({ runId }) => runId),
          [id]
        )
        assert.strictEqual((yield* RunLog.get(id)).status, "completed")
      }
      assert.deepInclude(yield* RunLog.delivery, { failed: 0, dropped: 0 })
    }).pipe(Effect.provide(log("odd_runs"))))

  it.live("forgets whole trees, and knows the runs of a process that has died", () =>
    Effect.gen(function*() {
      yield* Effect.forEach(numbers(1, 4), (id) => run(`run ${id}`)).pipe(Effect.provide(log("old_runs")))
      const lost = yield* Effect.gen(function*() {
        return (yield* RunLog.list({ roots: true })).runs.map(({ runId }) => runId)
      }).pipe(Effect.provide(log("old_runs", { retention: { maxRuns: 2 } })))
      assert.deepStrictEqual(lost, ["run 4", "run 3"])
      const left = yield* Effect.gen(function*() {
        const sql = yield* SqlClient.SqlClient
        yield* sql`UPDATE old_runs SET status = 'running', summary = REPLACE(summary, '"completed"', '"running"')
          WHERE run_id = 'run 4'`
        return yield* sql<{ readonly run_key: string }>`SELECT DISTINCT run_key FROM old_runs_chunks`
      }).pipe(Effect.provide(database))
      assert.lengthOf(left, 4)
      const { runs } = yield* RunLog.list({ status: "lost" }).pipe(Effect.provide(log("old_runs")))
      assert.deepStrictEqual(runs.map(({ runId }) => runId), ["run 4"])
    }))

  it.live("many Layers that make their tables and write at the same time all work", () =>
    Effect.gen(function*() {
      yield* Effect.forEach(
        numbers(1, 8),
        (layer) =>
          Effect.forEach(numbers(1, 10), (id) => run(`${layer}/${id}`), { concurrency: 5 }).pipe(
            Effect.provide(log("shared_runs", { buffer: { batchSize: 10, flushInterval: 0 } }))
          ),
        { concurrency: "unbounded", discard: true }
      )
      const { runs } = yield* RunLog.list({ roots: true, limit: 1000 }).pipe(Effect.provide(log("shared_runs")))
      assert.lengthOf(runs, 80)
      assert.isTrue(runs.every(({ status }) => status === "completed"))
    }))

  it.live("what cannot be read is reported, and the rest is read", () =>
    Effect.gen(function*() {
      yield* Effect.forEach(["whole", "broken"], run).pipe(Effect.provide(log("damaged_runs")))
      yield* Effect.gen(function*() {
        const sql = yield* SqlClient.SqlClient
        yield* sql`UPDATE damaged_runs_chunks SET changes = '[{'
          WHERE run_key = (SELECT run_key FROM damaged_runs WHERE run_id = 'broken')`
      }).pipe(Effect.provide(database))
      yield* Effect.gen(function*() {
        assert.deepStrictEqual((yield* RunLog.damages).map(({ where }) => where), ["broken"])
        assert.strictEqual((yield* RunLog.get("whole")).status, "completed")
      }).pipe(Effect.provide(log("damaged_runs")))
    }))
})

describe("IdempotencyStore on PostgreSQL", () => {
  const { IdempotencyStore } = Interceptors
  const claim = (key: string, owner: string, now: number) => ({ key, owner, fingerprint: "same", now, until: now + 10 })
  const owners = numbers(1, 50).map((number) => `owner ${number}`)
  const store = Layer.provide(IdempotencyStore.layerSql(), database)

  // On the test's clock: a claim that is over by what its asker says is not over before as much time has passed.
  it.effect("of all who claim a key at the same time one gets it, of all who take over one", () =>
    Effect.gen(function*() {
      const claims = yield* IdempotencyStore
      for (const now of [0, 10, 20]) {
        yield* TestClock.setTime(now)
        const answers = yield* Effect.forEach(owners, (owner) => claims.claim(claim("key", `${owner} ${now}`, now)), {
          concurrency: "unbounded"
        })
        const claimed = answers.filter(({ _tag }) => _tag === "Claimed")
        assert.deepStrictEqual(claimed, [{ _tag: "Claimed", ...(now === 0 ? {} : { losses: now / 10 }) }])
      }
    }).pipe(Effect.provide(store)))

  it.effect("a result is kept once, for its time, and shown to all", () =>
    Effect.gen(function*() {
      const claims = yield* IdempotencyStore
      yield* claims.claim(claim("kept", "first", 0))
      for (const [result, until] of [["one", 100], ["two", 200]] as const) {
        assert.isTrue(yield* claims.keep({ key: "kept", owner: "first", result, until }))
      }
      assert.isFalse(yield* claims.keep({ key: "kept", owner: "other", result: "three", until: 300 }))
      yield* TestClock.setTime(99)
      assert.deepStrictEqual(yield* claims.claim(claim("kept", "second", 99)), {
        _tag: "Kept",
        fingerprint: "same",
        result: "one"
      })
      yield* claims.release({ key: "kept", owner: "first" })
      yield* TestClock.setTime(100)
      assert.strictEqual((yield* claims.claim(claim("kept", "second", 100)))._tag, "Claimed")
      assert.isTrue(yield* claims.renew({ key: "kept", owner: "second", until: 150 }))
      yield* claims.release({ key: "kept", owner: "second" })
      assert.strictEqual((yield* claims.claim(claim("kept", "third", 101)))._tag, "Claimed")
    }).pipe(Effect.provide(store)))

  it.live("a body runs once for runs of two clients at once", () =>
    Effect.gen(function*() {
      let bodies = 0
      const pay = Stage.work("pay", { run: Effect.delay(Effect.sync(() => ({ paid: ++bodies })), "50 millis") }).pipe(
        Stage.intercept(Interceptors.idempotency({ required: true }))
      )
      const pipeline = Pipeline.make("payments").add(pay)
      const run = Effect.provide(
        Pipeline.run(pipeline, Snapshot.make({ metadata: { idempotencyKey: "order-1" } })),
        Layer.fresh(store)
      )
      const results = yield* Effect.forEach(numbers(1, 6), () => run, { concurrency: "unbounded" })
      assert.strictEqual(bodies, 1)
      for (const result of results) {
        assert(result._tag === "Completed")
        assert.deepInclude(result.outputs.pay, { _tag: "Ok", data: { paid: 1 } })
      }
    }))
})
