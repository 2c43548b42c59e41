/**
 * Appends events to a table of SQLite or PostgreSQL, a batch in one transaction.
 *
 * The table is made when it is not there. It has a row for each event: what one searches by in columns, and the event itself
 * as JSON.
 *
 * | column | what it is |
 * |---|---|
 * | `id` | the key, made where the event is delivered: a batch that is written again adds nothing |
 * | `run_id`, `parent_run_id`, `correlation_id`, `pipeline`, `sequence`, `at` | from the event's envelope |
 * | `tag` | `RunStarted`, `StageCompleted` and so on |
 * | `stage`, `attempt` | null where the event is about a run |
 * | `event` | all of it, as JSON |
 *
 * A zero byte, which PostgreSQL has in no text, stands as `\ufffd` in the columns and as itself in the JSON.
 *
 * ```ts
 * import { Effect, Layer } from "effect"
 * import { SqlSink } from "stageflow/observability"
 * import { Sqlite } from "stageflow/sqlite"
 *
 * const sink = SqlSink.layer().pipe(Layer.provide(Sqlite.layer({ filename: "events.db" })))
 * ```
 */
import * as Arr from "effect/Array"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import * as SqlClient from "effect/sql/SqlClient"
import type { SqlError } from "effect/sql/SqlError"
import { type Event, isStageEvent } from "../Event.ts"
import { EventSink } from "../EventSink.ts"
import * as options from "../internal/options.ts"
import * as BufferedSink from "./BufferedSink.ts"
import { toJson } from "./internal/event-json.ts"

/**
 * Which table, and how events get there.
 */
export interface Settings {
  /** The name of the table. `"stageflow_events"` when left out. */
  readonly table?: string | undefined
  /** How events are batched and what happens when they are too many; see `BufferedSink`. */
  readonly buffer?: BufferedSink.Settings | undefined
}

/** So many rows in one statement are within what every database takes. */
const rowsAtOnce = 500

/** Numbers as text that sorts as they do. */
const inOrder = (number: number): string => String(number).padStart(12, "0")

/** PostgreSQL has no text with a zero byte in it, and one row that it refuses would hold up all that are behind it. */
const columnText = (text: string): string => text.replaceAll("\u0000", "\ufffd")

type Row = Readonly<Record<string, string | number | null>>

const rowOf = (event: Event, id: string): Row => ({
  id,
  run_id: columnText(event.runId),
  parent_run_id: event.parentRunId === undefined ? null : columnText(event.parentRunId),
  correlation_id: columnText(event.correlationId),
  pipeline: columnText(event.pipeline),
  sequence: event.sequence,
  at: event.at,
  tag: event._tag,
  stage: isStageEvent(event) ? columnText(event.stage) : null,
  attempt: isStageEvent(event) ? event.attempt : null,
  event: toJson(event)
})

/** PostgreSQL lets one of two that make a thing at the same time fail; then it is there. */
const made = <A, E>(statement: Effect.Effect<A, E>): Effect.Effect<A, E> => Effect.retry(statement, { times: 1 })

const makeTable = Effect.fnUntraced(function*(client: SqlClient.SqlClient, name: string) {
  const sql = client.withoutTransforms()
  const table = sql(name)
  yield* made(sql`
    CREATE TABLE IF NOT EXISTS ${table} (
      id TEXT PRIMARY KEY,
      run_id TEXT NOT NULL,
      parent_run_id TEXT,
      correlation_id TEXT NOT NULL,
      pipeline TEXT NOT NULL,
      sequence INTEGER NOT NULL,
      at BIGINT NOT NULL,
      tag TEXT NOT NULL,
      stage TEXT,
      attempt INTEGER,
      event TEXT NOT NULL
    )`)
  yield* made(sql`CREATE INDEX IF NOT EXISTS ${sql(`${name}_by_run`)} ON ${table} (run_id, sequence)`)
})

/**
 * Makes a sink that appends to a table. It fails when the table cannot be made; later, what cannot be written is a batch that
 * failed.
 */
export const make = (
  settings: Settings = {}
): Effect.Effect<BufferedSink.Buffered, SqlError, SqlClient.SqlClient | Scope.Scope> => {
  const { buffer: given, table } = options.fields<Settings>("settings", ["table", "buffer"], settings)
  const buffer = BufferedSink.check(given)
  const name = options.name("table", table ?? "stageflow_events")
  return Effect.gen(function*() {
    const client = yield* SqlClient.SqlClient
    yield* makeTable(client, name)
    const sql = client.withoutTransforms()
    const into = sql(name)
    const sink = crypto.randomUUID()
    let number = 0
    // A batch that is written again has the same rows again, with the same keys.
    const rows = new WeakMap<ReadonlyArray<Event>, ReadonlyArray<Row>>()
    const rowsOf = (events: ReadonlyArray<Event>) => {
      const known = rows.get(events)
      if (known !== undefined) return known
      const made = events.map((event) => rowOf(event, `${sink}/${inOrder(++number)}`))
      rows.set(events, made)
      return made
    }
    const insert = (some: Arr.NonEmptyReadonlyArray<Row>) =>
      sql`INSERT INTO ${into} ${sql.insert(some)} ON CONFLICT (id) DO NOTHING`
    return yield* BufferedSink.make(
      (events) =>
        sql.withTransaction(Effect.forEach(Arr.chunksOf(rowsOf(events), rowsAtOnce), insert, { discard: true })),
      buffer
    )
  })
}

/**
 * Makes a Layer of such a sink; see `make`.
 */
export const layer = (settings: Settings = {}): Layer.Layer<EventSink, SqlError, SqlClient.SqlClient> =>
  Layer.effect(EventSink, make(settings))
