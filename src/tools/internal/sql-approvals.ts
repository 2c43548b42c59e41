/**
 * Keeps approvals in a table of SQLite or PostgreSQL. Each operation is one statement that both understand, so it is atomic
 * without a transaction.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type { SqlClient } from "effect/sql/SqlClient"
import type { SqlError } from "effect/sql/SqlError"
import { ApprovalRequest, type ApprovalRows, type Filter, type Question } from "./approval-rows.ts"

interface Row {
  readonly status: string
  readonly about: string
  readonly request: string
  /** What a driver makes of a BIGINT differs. */
  readonly settled_at: number | bigint | string | null
  readonly decided_by: string | null
  readonly comment: string | null
}

const Stored = Schema.fromJsonString(Schema.toCodecJson(ApprovalRequest))
const read = Schema.decodeUnknownEffect(Stored)
const write = Schema.encodeUnknownEffect(Stored)

const questionOf = (row: Row): Effect.Effect<Question, Schema.SchemaError> =>
  Effect.map(read(row.request), (asked) => ({
    about: row.about,
    request: {
      ...asked,
      // The column has one of the words.
      status: row.status as ApprovalRequest["status"],
      ...(row.settled_at === null ? {} : { settledAt: Number(row.settled_at) }),
      ...(row.decided_by === null ? {} : { by: row.decided_by }),
      ...(row.comment === null ? {} : { comment: row.comment })
    }
  }))

/** So many rows are listed at most, the newest. */
const mostRows = 10_000

export const makeSqlApprovals = Effect.fnUntraced(function*(
  client: SqlClient,
  tableName: string
): Effect.fn.Return<ApprovalRows<SqlError | Schema.SchemaError>, SqlError> {
  const sql = client.withoutTransforms()
  const table = sql(tableName)
  yield* sql`
    CREATE TABLE IF NOT EXISTS ${table} (
      id TEXT PRIMARY KEY,
      status TEXT NOT NULL,
      tool TEXT NOT NULL,
      run_id TEXT NOT NULL,
      user_id TEXT,
      org_id TEXT,
      requested_at BIGINT NOT NULL,
      expires_at BIGINT,
      settled_at BIGINT,
      decided_by TEXT,
      comment TEXT,
      about TEXT NOT NULL,
      request TEXT NOT NULL
    )`.pipe(
    // PostgreSQL lets one of two that make a table at the same time fail; then it is there.
    Effect.retry({ times: 1 })
  )
  const columns = sql.literal("status, about, request, settled_at, decided_by, comment")
  const look = (id: string) => sql<Row>`SELECT ${columns} FROM ${table} WHERE id = ${id}`
  const matching = ({ orgId, runId, status, tool, userId }: Filter) =>
    sql.and([
      sql`1 = 1`,
      ...(status === undefined ? [] : [sql`status = ${status}`]),
      ...(runId === undefined ? [] : [sql`run_id = ${runId}`]),
      ...(orgId === undefined ? [] : [sql`org_id = ${orgId}`]),
      ...(userId === undefined ? [] : [sql`user_id = ${userId}`]),
      ...(tool === undefined ? [] : [sql`tool = ${tool}`])
    ])
  return {
    ask: Effect.fnUntraced(function*({ about, request }, now) {
      const { expiresAt, id, orgId, requestedAt, runId, tool, userId } = request
      const text = yield* write(request)
      yield* sql`
        INSERT INTO ${table}
          (id, status, tool, run_id, user_id, org_id, requested_at, expires_at, settled_at, decided_by, comment, about, request)
        VALUES
          (${id}, 'pending', ${tool}, ${runId}, ${userId ?? null}, ${orgId ?? null}, ${requestedAt},
           ${expiresAt ?? null}, NULL, NULL, NULL, ${about}, ${text})
        ON CONFLICT (id) DO UPDATE SET
          status = 'pending', requested_at = excluded.requested_at, expires_at = excluded.expires_at,
          settled_at = NULL, decided_by = NULL, comment = NULL, about = excluded.about, request = excluded.request
        WHERE ${table}.status IN ('expired', 'cancelled')
          OR (${table}.status = 'pending' AND ${table}.expires_at <= ${now})`
      const [row] = yield* look(id)
      return row === undefined ? { about, request } : yield* questionOf(row)
    }),
    settle: (id, { at, by, comment, status }) =>
      Effect.map(
        sql`
          UPDATE ${table} SET
            status = ${status}, settled_at = ${at}, decided_by = ${by ?? null}, comment = ${comment ?? null}
          WHERE id = ${id} AND status = 'pending' AND ${
          status === "expired" ? sql`expires_at <= ${at}` : sql`(expires_at IS NULL OR expires_at > ${at})`
        }
          RETURNING id`,
        (rows) => rows.length > 0
      ),
    find: Effect.fnUntraced(function*(id) {
      const [row] = yield* look(id)
      return row === undefined ? undefined : (yield* questionOf(row)).request
    }),
    list: (filter) =>
      sql<Row>`
        SELECT ${columns} FROM ${table} WHERE ${matching(filter)}
        ORDER BY requested_at DESC, id DESC LIMIT ${mostRows}`.pipe(
        Effect.flatMap(Effect.forEach((row) => Effect.map(questionOf(row), ({ request }) => request))),
        Effect.map((requests) => requests.toReversed())
      )
  }
})
