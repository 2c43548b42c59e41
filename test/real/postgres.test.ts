/**
 * What is kept in SQL, on a real PostgreSQL: the sink of events and the store of idempotent results.
 */
import { PgClient } from "@effect/sql-pg"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Redacted, Schema } from "effect"
import { SqlClient } from "effect/sql"
import { TestClock } from "effect/testing"
import { Event, EventSink, Pipeline, Snapshot, Stage, StageContext } from "stageflow"
import * as Interceptors from "stageflow/interceptors"
import { SqlSink } from "stageflow/observability"
import { inject } from "vitest"
import { events, numbers } from "../observability/support/events.ts"

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
