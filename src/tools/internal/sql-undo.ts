/**
 * Keeps in a table of SQLite or PostgreSQL what tools have done and how that is taken back. Each change is one statement that
 * both understand, so it is atomic without a transaction.
 */
import * as Effect from "effect/Effect"
import type { SqlClient } from "effect/sql/SqlClient"
import type { SqlError } from "effect/sql/SqlError"
import { asText, type Begun, entriesOf, rememberedMs, type UndoRows, type Whose } from "./undo-rows.ts"

interface Row {
  readonly state: string
  readonly tool: string
  readonly run_id: string
  readonly org_id: string | null
  /** What a driver makes of a BIGINT differs. */
  readonly changed_at: number | bigint | string
  readonly entries: string
}

export const makeSqlUndo = Effect.fnUntraced(function*(
  client: SqlClient,
  tableName: string
): Effect.fn.Return<UndoRows<SqlError>, SqlError> {
  const sql = client.withoutTransforms()
  const table = sql(tableName)
  yield* sql`
    CREATE TABLE IF NOT EXISTS ${table} (
      action_id TEXT PRIMARY KEY,
      tool TEXT NOT NULL,
      run_id TEXT NOT NULL,
      correlation_id TEXT NOT NULL,
      org_id TEXT,
      done_at BIGINT NOT NULL,
      done_order BIGINT NOT NULL,
      expires_at BIGINT NOT NULL,
      state TEXT NOT NULL,
      changed_at BIGINT NOT NULL,
      entries TEXT NOT NULL
    )`.pipe(
    // PostgreSQL lets one of two that make a table at the same time fail; then it is there.
    Effect.retry({ times: 1 })
  )
  const ofWhom = (whose: Whose | undefined) =>
    whose === undefined ? sql`1 = 1` : whose.orgId === undefined ? sql`org_id IS NULL` : sql`org_id = ${whose.orgId}`
  let sweptAt = 0
  const sweep = (now: number): Effect.Effect<void> =>
    Effect.suspend(() => {
      // Whichever way the clock went.
      if (Math.abs(now - sweptAt) < rememberedMs) return Effect.void
      sweptAt = now
      // Nothing that could still be taken back depends on it.
      return Effect.ignore(sql`DELETE FROM ${table} WHERE expires_at <= ${now - rememberedMs}`)
    })
  return {
    keep: ({ actionId, at, correlationId, entry, expiresAt, order, orgId, runId, tool }) =>
      Effect.andThen(
        sweep(at),
        sql`
          INSERT INTO ${table}
            (action_id, tool, run_id, correlation_id, org_id, done_at, done_order, expires_at, state, changed_at, entries)
          VALUES
            (${actionId}, ${tool}, ${runId}, ${correlationId}, ${orgId ?? null}, ${at}, ${order}, ${expiresAt},
             'kept', ${at}, ${asText([entry])})
          ON CONFLICT (action_id) DO UPDATE SET
            done_at = excluded.done_at, done_order = excluded.done_order, expires_at = excluded.expires_at,
            state = 'kept', changed_at = excluded.changed_at,
            entries = CASE
              WHEN ${table}.state = 'kept' THEN ${table}.entries || excluded.entries ELSE excluded.entries
            END`
      ),
    begin: Effect.fnUntraced(function*(actionId, now, whose): Effect.fn.Return<Begun, SqlError> {
      const taken = yield* sql<Row>`
        UPDATE ${table} SET state = 'undoing', changed_at = ${now}
        WHERE action_id = ${actionId} AND state = 'kept' AND expires_at > ${now} AND ${ofWhom(whose)}
        RETURNING state, tool, run_id, org_id, changed_at, entries`
      if (taken[0] !== undefined) {
        const { entries, org_id, run_id, tool } = taken[0]
        const kept = { actionId, tool, runId: run_id, orgId: org_id ?? undefined, entries: entriesOf(entries) }
        return { _tag: "Begun", kept }
      }
      const [known] = yield* sql<Row>`
        SELECT state, tool, run_id, org_id, changed_at, entries FROM ${table}
        WHERE action_id = ${actionId} AND ${ofWhom(whose)}`
      if (known === undefined) return { _tag: "Unknown" }
      const changedAt = Number(known.changed_at)
      if (known.state === "undone") return { _tag: "Undone", at: changedAt }
      return known.state === "undoing" ? { _tag: "Undoing", since: changedAt } : { _tag: "Expired" }
    }),
    end: (actionId, now) =>
      Effect.asVoid(sql`
        UPDATE ${table} SET state = 'undone', changed_at = ${now}, entries = ''
        WHERE action_id = ${actionId} AND state = 'undoing'`),
    giveBack: (actionId, entries) =>
      Effect.asVoid(sql`
        UPDATE ${table} SET state = 'kept', entries = ${asText(entries)}
        WHERE action_id = ${actionId} AND state = 'undoing'`),
    ofRun: (runId, now, whose) =>
      Effect.map(
        sql<{ readonly action_id: string; readonly tool: string }>`
          SELECT action_id, tool FROM ${table}
          WHERE (run_id = ${runId} OR correlation_id = ${runId}) AND state = 'kept' AND expires_at > ${now}
            AND ${ofWhom(whose)}
          ORDER BY done_at DESC, done_order DESC`,
        (rows) => rows.map(({ action_id, tool }) => ({ actionId: action_id, tool }))
      )
  }
})
