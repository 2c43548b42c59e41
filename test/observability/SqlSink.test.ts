import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Layer, Schedule, Schema, Scope } from "effect"
import { SqlClient } from "effect/sql"
import { TestClock } from "effect/testing"
import { Event, EventSink, Pipeline, Snapshot, Stage } from "stageflow"
import { SqlSink } from "stageflow/observability"
import { Sqlite } from "stageflow/sqlite"
import { temporaryFolder } from "../support/temporary-folder.ts"
import { events, logged, numbers, settled } from "./support/events.ts"

const database = Layer.unwrap(
  Effect.map(temporaryFolder, (folder) => Sqlite.layer({ filename: `${folder}/events.db` }))
)

const rows = Effect.flatMap(
  SqlClient.SqlClient,
  (sql) =>
    sql<{ readonly run_id: string; readonly sequence: number; readonly stage: string | null; readonly event: string }>`
      SELECT run_id, sequence, stage, event FROM stageflow_events ORDER BY id`
)

describe("SqlSink", () => {
  it.effect("appends the events of a run, in columns and as JSON", () =>
    Effect.gen(function*() {
      const memory = yield* EventSink.Memory
      const pipeline = Pipeline.make("p").add(Stage.work("stage", { run: Effect.void }))
      const sql = yield* Layer.build(Layer.fresh(SqlSink.layer())).pipe(
        Effect.flatMap((sink) =>
          Effect.andThen(
            Effect.provideContext(Pipeline.run(pipeline, Snapshot.make({ pipelineRunId: "run" })), sink),
            Pipeline.run(pipeline, Snapshot.make({ pipelineRunId: "run" }))
          )
        ),
        Effect.scoped,
        Effect.andThen(rows)
      )
      assert.deepStrictEqual(sql.map(({ run_id, sequence, stage }) => [run_id, sequence, stage]), [
        ["run", 1, null],
        ["run", 2, "stage"],
        ["run", 3, "stage"],
        ["run", 4, null]
      ])
      const decoded = sql.map(({ event }) => Schema.decodeUnknownSync(Event.Event)(JSON.parse(event)))
      assert.deepStrictEqual(decoded, yield* memory.events)
    }).pipe(Effect.provide([database, EventSink.layerMemory])))

  it.effect("the same run id twice is two runs, and two sinks share a table", () =>
    Effect.gen(function*() {
      for (let time = 0; time < 2; time++) {
        yield* Effect.scoped(Effect.gen(function*() {
          const sink = yield* SqlSink.make()
          for (const event of events(3)) sink.offer(event)
        }))
      }
      assert.strictEqual((yield* rows).length, 6)
    }).pipe(Effect.provide(database)))

  it.effect("a batch of more rows than one statement takes is one transaction", () =>
    Effect.gen(function*() {
      yield* Effect.scoped(Effect.gen(function*() {
        const sink = yield* SqlSink.make({ buffer: { batchSize: 1200 } })
        for (const event of events(1200)) sink.offer(event)
      }))
      assert.deepStrictEqual((yield* rows).map(({ sequence }) => sequence), numbers(1, 1200))
    }).pipe(Effect.provide(database)))

  it.effect("a batch that is written again, because nobody knew that it was written, is there once", () =>
    Effect.gen(function*() {
      const client = yield* SqlClient.SqlClient
      let commits = 0
      const forgetful: SqlClient.SqlClient = new Proxy(client, {
        get: (target, key) =>
          key === "withoutTransforms"
            ? () => forgetful
            : key === "withTransaction"
            ? <A, E, R>(effect: Effect.Effect<A, E, R>) =>
              Effect.tap(target.withTransaction(effect), () => ++commits === 1 ? Effect.die("gone") : Effect.void)
            : Reflect.get(target, key, target) as unknown
      })
      yield* Effect.scoped(Effect.gen(function*() {
        const sink = yield* SqlSink.make({ buffer: { retry: Schedule.recurs(1) } })
        for (const event of events(3)) sink.offer(event)
      })).pipe(Effect.provideService(SqlClient.SqlClient, forgetful))
      assert.strictEqual(commits, 2)
      assert.strictEqual((yield* rows).length, 3)
    }).pipe(Effect.provide(database)))

  it.effect("a database that is closed: the run goes on, its events are counted and reported", () =>
    Effect.gen(function*() {
      const lines: Array<string> = []
      const scope = yield* Scope.make()
      const client = yield* Layer.buildWithScope(Layer.fresh(database), scope)
      const { exit, sink } = yield* Effect.gen(function*() {
        const sink = yield* SqlSink.make({ buffer: { flushInterval: 0 } })
        yield* Scope.close(scope, Exit.void)
        const run = Pipeline.run(Pipeline.make("p").work("stage", { run: Effect.void }), Snapshot.make())
        const exit = yield* Effect.exit(Effect.provideService(run, EventSink.EventSink, sink))
        const flush = yield* Effect.forkChild(sink.flush)
        yield* settled
        yield* TestClock.adjust("10 seconds")
        yield* Fiber.join(flush)
        return { exit, sink }
      }).pipe(Effect.scoped, Effect.provideContext(client), logged(lines))
      assert(Exit.isSuccess(exit))
      assert.strictEqual(exit.value._tag, "Completed")
      assert.deepStrictEqual(yield* sink.delivery, { accepted: 4, delivered: 0, failed: 4, dropped: 0 })
      assert.include(lines[0], "4 event(s) not delivered: SqlError")
    }))

  it.effect("a database that cannot be used at the start is a typed error", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const client = yield* Layer.buildWithScope(Layer.fresh(database), scope)
      yield* Scope.close(scope, Exit.void)
      const error = yield* Effect.flip(Effect.scoped(Effect.provideContext(SqlSink.make(), client)))
      assert.strictEqual(error._tag, "SqlError")
    }))
})
