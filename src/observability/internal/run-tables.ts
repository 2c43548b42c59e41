/**
 * Keeps runs in tables of SQLite or PostgreSQL.
 */
import * as Arr from "effect/Array"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as SqlClient from "effect/sql/SqlClient"
import type { SqlError } from "effect/sql/SqlError"
import { Changes, type Chunk, type Entry, RunSummary, type StoredRun, version } from "./run-changes.ts"
import { asLost, type Damage, type Query, type Store } from "./run-store.ts"

/** So many rows in one statement are within what every database takes. */
const rowsAtOnce = 50

/** So many rows are looked through for damage at once. */
const lookedAtOnce = 200

const decodeChanges = Schema.decodeUnknownResult(Changes)

const Summary = Schema.fromJsonString(RunSummary)
const decodeSummary = Schema.decodeUnknownResult(Summary)

interface RunRow {
  readonly run_key: string
  readonly parent_key: string | null
  readonly root_key: string
  readonly writer: string
  readonly summary: string
}

interface ChunkRow {
  readonly run_key: string
  readonly version: number
  readonly changes: string
}

/** No database keeps half of a pair of surrogates, and PostgreSQL no zero byte: two ids must not become one. */
const columnText = (text: string): string =>
  text.replace(/[\0\ufdd0]|\p{Surrogate}/gu, (unit) => `\ufdd0${unit.charCodeAt(0).toString(16).padStart(4, "0")}`)

const fromColumn = (text: string): string =>
  text.replace(/\ufdd0([\da-f]{4})/g, (_, unit: string) => String.fromCharCode(Number.parseInt(unit, 16)))

const columnOrNull = (text: string | undefined): string | null => text === undefined ? null : columnText(text)

/** PostgreSQL lets one of two that make a thing at the same time fail; then it is there. */
const made = <A, E>(statement: Effect.Effect<A, E>): Effect.Effect<A, E> => Effect.retry(statement, { times: 1 })

const makeTables = Effect.fnUntraced(function*(client: SqlClient.SqlClient, name: string) {
  const sql = client.withoutTransforms()
  yield* made(sql`
    CREATE TABLE IF NOT EXISTS ${sql(name)} (
      run_key TEXT PRIMARY KEY,
      run_id TEXT NOT NULL,
      parent_key TEXT,
      root_key TEXT NOT NULL,
      pipeline TEXT NOT NULL,
      status TEXT NOT NULL,
      started_at BIGINT NOT NULL,
      user_id TEXT,
      org_id TEXT,
      writer TEXT NOT NULL,
      summary TEXT NOT NULL
    )`)
  yield* made(sql`CREATE INDEX IF NOT EXISTS ${sql(`${name}_by_id`)} ON ${sql(name)} (run_id)`)
  yield* made(sql`CREATE INDEX IF NOT EXISTS ${sql(`${name}_by_root`)} ON ${sql(name)} (root_key)`)
  yield* made(sql`CREATE INDEX IF NOT EXISTS ${sql(`${name}_by_start`)} ON ${sql(name)} (started_at, run_key)`)
  yield* made(sql`
    CREATE TABLE IF NOT EXISTS ${sql(`${name}_chunks`)} (
      id TEXT PRIMARY KEY,
      run_key TEXT NOT NULL,
      version INTEGER NOT NULL,
      changes TEXT NOT NULL
    )`)
  yield* made(sql`CREATE INDEX IF NOT EXISTS ${sql(`${name}_chunks_by_run`)} ON ${sql(`${name}_chunks`)} (run_key, id)`)
  yield* made(sql`
    CREATE TABLE IF NOT EXISTS ${sql(`${name}_tags`)} (
      tag TEXT NOT NULL,
      run_key TEXT NOT NULL,
      PRIMARY KEY (tag, run_key)
    )`)
  yield* made(sql`
    CREATE TABLE IF NOT EXISTS ${sql(`${name}_writers`)} (
      writer TEXT PRIMARY KEY,
      seen_at BIGINT NOT NULL,
      has_ended INTEGER NOT NULL
    )`)
})

/** Keeps runs in tables. */
export const sqlStore = Effect.fnUntraced(function*(
  name: string,
  writer: string
): Effect.fn.Return<Store, SqlError, SqlClient.SqlClient> {
  const client = yield* SqlClient.SqlClient
  yield* makeTables(client, name)
  const sql = client.withoutTransforms()
  const runs = sql(name)
  const chunkTable = sql(`${name}_chunks`)
  const tagTable = sql(`${name}_tags`)
  const writers = sql(`${name}_writers`)

  const seen = (now: number, hasEnded: boolean) =>
    sql`INSERT INTO ${writers} ${sql.insert({ writer, seen_at: now, has_ended: hasEnded ? 1 : 0 })}
        ON CONFLICT (writer) DO UPDATE SET seen_at = EXCLUDED.seen_at, has_ended = EXCLUDED.has_ended`

  const rowOf = ({ entry: { key, parentKey, rootKey, summary } }: Chunk) => ({
    run_key: key,
    run_id: columnText(summary.runId),
    parent_key: parentKey ?? null,
    root_key: rootKey,
    pipeline: columnText(summary.pipeline),
    status: summary.status,
    started_at: summary.startedAt,
    user_id: columnOrNull(summary.userId),
    org_id: columnOrNull(summary.orgId),
    writer,
    summary: JSON.stringify(summary)
  })
  const write = Effect.fnUntraced(function*(chunks: ReadonlyArray<Chunk>, now: number) {
    for (const some of Arr.chunksOf(chunks, rowsAtOnce)) {
      yield* sql`INSERT INTO ${runs} ${sql.insert(Arr.map(some, rowOf))}
        ON CONFLICT (run_key) DO UPDATE SET
          status = EXCLUDED.status, started_at = EXCLUDED.started_at, user_id = EXCLUDED.user_id,
          org_id = EXCLUDED.org_id, summary = EXCLUDED.summary`
      const rows = Arr.map(some, ({ changes, entry, id }) => ({ id, run_key: entry.key, version, changes }))
      yield* sql`INSERT INTO ${chunkTable} ${sql.insert(rows)} ON CONFLICT (id) DO NOTHING`
      const tags = some.flatMap(({ entry: { key, summary } }) =>
        Array.from(new Set(summary.tags), (tag) => ({ tag: columnText(tag), run_key: key }))
      )
      if (Arr.isArrayNonEmpty(tags)) {
        yield* sql`INSERT INTO ${tagTable} ${sql.insert(tags)} ON CONFLICT (tag, run_key) DO NOTHING`
      }
    }
    yield* seen(now, false)
  })

  /** A run whose writer has died is no longer running. */
  const isDead = (alive: number) =>
    sql`(writer <> ${writer} AND writer NOT IN
      (SELECT writer FROM ${writers} WHERE has_ended = 0 AND seen_at >= ${alive}))`

  const conditions = (query: Query, alive: number) => {
    const { after, from, orgId, pipeline, rootsOnly, status, tag, to, userId } = query
    return [
      sql`1 = 1`,
      ...(pipeline === undefined ? [] : [sql`pipeline = ${columnText(pipeline)}`]),
      ...(status === undefined ? [] : [
        status === "lost"
          ? sql`(status = 'running' AND ${isDead(alive)})`
          : status === "running"
          ? sql`(status = 'running' AND NOT ${isDead(alive)})`
          : sql`status = ${status}`
      ]),
      ...(from === undefined ? [] : [sql`started_at >= ${from}`]),
      ...(to === undefined ? [] : [sql`started_at < ${to}`]),
      ...(userId === undefined ? [] : [sql`user_id = ${columnText(userId)}`]),
      ...(orgId === undefined ? [] : [sql`org_id = ${columnText(orgId)}`]),
      ...(tag === undefined ? [] : [sql`run_key IN (SELECT run_key FROM ${tagTable} WHERE tag = ${columnText(tag)})`]),
      ...(rootsOnly ? [sql`parent_key IS NULL`] : []),
      ...(after === undefined
        ? []
        : [
          sql`(started_at < ${after.startedAt} OR (started_at = ${after.startedAt} AND run_key < ${
            columnText(after.key)
          }))`
        ])
    ]
  }

  /** The rows whose writers have died. */
  const deadAmong = Effect.fnUntraced(function*(rows: ReadonlyArray<RunRow>, alive: number) {
    if (!rows.some((row) => row.writer !== writer)) return new Set<string>()
    const found = yield* sql<{ readonly writer: string }>`
      SELECT writer FROM ${writers} WHERE has_ended = 0 AND seen_at >= ${alive}`
    const living = new Set([writer, ...found.map((row) => row.writer)])
    return new Set(rows.map((row) => row.writer).filter((one) => !living.has(one)))
  })

  /** What cannot be read is left out here, and told by `damages`. */
  const entriesOf = Effect.fnUntraced(function*(rows: ReadonlyArray<RunRow>, alive: number) {
    const dead = yield* deadAmong(rows, alive)
    return rows.flatMap((row): ReadonlyArray<Entry> => {
      const summary = decodeSummary(row.summary)
      if (Result.isFailure(summary)) return []
      const entry = {
        key: row.run_key,
        parentKey: row.parent_key ?? undefined,
        rootKey: row.root_key,
        writer: row.writer,
        summary: summary.success
      }
      return [asLost(entry, dead.has(row.writer))]
    })
  })

  const tree = Effect.fnUntraced(function*(runId: string, alive: number) {
    const [latest] = yield* sql<RunRow>`
      SELECT run_key, parent_key, root_key, writer, summary FROM ${runs} WHERE run_id = ${columnText(runId)}
      ORDER BY started_at DESC, run_key DESC LIMIT 1`
    if (latest === undefined) return undefined
    const rows = yield* sql<RunRow>`
      SELECT run_key, parent_key, root_key, writer, summary FROM ${runs} WHERE root_key = ${latest.root_key}`
    const chunks = yield* sql<ChunkRow>`
      SELECT c.run_key AS run_key, c.version AS version, c.changes AS changes
      FROM ${chunkTable} c INNER JOIN ${runs} r ON r.run_key = c.run_key
      WHERE r.root_key = ${latest.root_key} ORDER BY c.id`
    const entries = yield* entriesOf(rows, alive)
    return { key: latest.run_key, runs: entries.map((entry) => storedOf(entry, chunks)) }
  })

  const forget = Effect.fnUntraced(function*(before: number | undefined, count: number | undefined, alive: number) {
    const isOver = sql`root_key NOT IN
      (SELECT root_key FROM ${runs} WHERE status = 'running' AND NOT ${isDead(alive)})`
    const old = before === undefined ? sql`1 = 0` : sql`started_at < ${before}`
    const many = count === undefined
      ? sql`1 = 0`
      : sql`run_key NOT IN
        (SELECT run_key FROM ${runs} WHERE parent_key IS NULL ORDER BY started_at DESC, run_key DESC LIMIT ${count})`
    const gone = yield* sql<{ readonly root_key: string }>`
      SELECT root_key FROM ${runs} WHERE parent_key IS NULL AND ${isOver} AND (${old} OR ${many})`
    for (const some of Arr.chunksOf(gone.map((row) => row.root_key), 200)) {
      const which = sql`SELECT run_key FROM ${runs} WHERE ${sql.in("root_key", some)}`
      yield* sql`DELETE FROM ${chunkTable} WHERE run_key IN (${which})`
      yield* sql`DELETE FROM ${tagTable} WHERE run_key IN (${which})`
      yield* sql`DELETE FROM ${runs} WHERE ${sql.in("root_key", some)}`
    }
    yield* sql`DELETE FROM ${writers} WHERE writer <> ${writer} AND (has_ended = 1 OR seen_at < ${alive})
      AND writer NOT IN (SELECT writer FROM ${runs})`
  })

  /** What begins alike is side by side: in an order of letters, as databases of PostgreSQL have it, it need not be. */
  const runIdInBytes = sql.onDialectOrElse({
    pg: () => sql`run_id COLLATE "C"`,
    orElse: () => sql`run_id`
  })

  /** The runs whose summaries cannot be read: they are in no list. */
  const damagedRuns = Effect.fnUntraced(function*() {
    const found: Array<Damage> = []
    let last = ""
    while (true) {
      const rows = yield* sql<Pick<RunRow, "run_key" | "summary"> & { readonly run_id: string }>`
        SELECT run_key, run_id, summary FROM ${runs} WHERE run_key > ${last} ORDER BY run_key LIMIT ${lookedAtOnce}`
      for (const { run_id, summary } of rows) {
        if (Result.isSuccess(decodeSummary(summary))) continue
        found.push({ where: fromColumn(run_id), reason: "What it says of itself could not be read" })
      }
      const end = rows.at(-1)
      if (end === undefined) return found
      last = end.run_key
    }
  })

  /** The runs of which a chunk cannot be read: what follows it is not read either. */
  const damagedChunks = Effect.fnUntraced(function*() {
    const found = new Map<string, Damage>()
    let last = ""
    while (true) {
      const rows = yield* sql<ChunkRow & { readonly id: string; readonly run_id: string }>`
        SELECT c.id AS id, c.run_key AS run_key, r.run_id AS run_id, c.version AS version, c.changes AS changes
        FROM ${chunkTable} c INNER JOIN ${runs} r ON r.run_key = c.run_key
        WHERE c.id > ${last} ORDER BY c.id LIMIT ${lookedAtOnce}`
      for (const { changes, run_id, run_key, version: written } of rows) {
        if (found.has(run_key)) continue
        const reason = written > version
          ? newerThanKnown(written)
          : Result.isFailure(decodeChanges(changes))
          ? "A part of it could not be read"
          : undefined
        if (reason !== undefined) found.set(run_key, { where: fromColumn(run_id), reason })
      }
      const end = rows.at(-1)
      if (end === undefined) return Array.from(found.values())
      last = end.id
      yield* Effect.yieldNow
    }
  })

  return {
    write: (chunks, now) => sql.withTransaction(write(chunks, now)),
    beat: (now) => seen(now, false),
    end: (now) => seen(now, true),
    list: (query, alive) =>
      sql<RunRow>`
        SELECT run_key, parent_key, root_key, writer, summary FROM ${runs}
        WHERE ${sql.and(conditions(query, alive))} ORDER BY started_at DESC, run_key DESC LIMIT ${query.limit}`.pipe(
        Effect.flatMap((rows) => entriesOf(rows, alive))
      ),
    tree,
    similar: Effect.fnUntraced(function*(runId) {
      if (runId.length < 4) return undefined
      const [begin, end] = [columnText(runId), `${columnText(runId)}\u{10ffff}`]
      const found = yield* sql<{ readonly run_id: string }>`
        SELECT DISTINCT run_id FROM ${runs} WHERE ${runIdInBytes} >= ${begin} AND ${runIdInBytes} < ${end} LIMIT 2`
      const [only] = found
      return found.length === 1 && only !== undefined ? fromColumn(only.run_id) : undefined
    }),
    forget: ({ before, count }, alive) => sql.withTransaction(forget(before, count, alive)),
    damages: Effect.zipWith(damagedRuns(), damagedChunks(), (ofRuns, ofChunks) => [...ofRuns, ...ofChunks])
  }
})

const newerThanKnown = (found: number): string =>
  `It was written by a newer version (${found}); version ${version} is known here`

/** What is kept of a run, up to the first chunk of a version that is not known. */
const storedOf = (entry: Entry, chunks: ReadonlyArray<ChunkRow>): StoredRun => {
  const own = chunks.filter((chunk) => chunk.run_key === entry.key)
  const newer = own.findIndex((chunk) => chunk.version > version)
  return {
    entry,
    chunks: (newer === -1 ? own : own.slice(0, newer)).map(({ changes }) => changes),
    damage: newer === -1 ? undefined : newerThanKnown(own[newer]?.version ?? 0)
  }
}
