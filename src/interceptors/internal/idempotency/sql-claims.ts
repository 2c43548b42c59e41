/**
 * Keeps claims and results in a table of SQLite or PostgreSQL. Each operation is one statement that both understand, so it
 * is atomic without a transaction.
 */
import * as Effect from "effect/Effect"
import type { SqlClient } from "effect/sql/SqlClient"
import type { SqlError } from "effect/sql/SqlError"
import {
  type Answer,
  answerFrom,
  type Claim,
  claimedAfter,
  type ClaimEntry,
  type Claims,
  sweptAfterMs
} from "./claims.ts"

interface Row {
  readonly owner: string
  readonly fingerprint: string
  /** What a driver makes of a BIGINT differs. */
  readonly until_ms: number | bigint | string
  readonly result: string | null
  readonly losses: number | bigint | string
}

const entryOf = ({ fingerprint, owner, result, until_ms }: Omit<Row, "losses">): ClaimEntry => ({
  owner,
  fingerprint,
  until: Number(until_ms),
  result: result ?? undefined
})

export const makeSqlClaims = Effect.fnUntraced(function*(
  client: SqlClient,
  tableName: string
): Effect.fn.Return<Claims<SqlError>, SqlError> {
  const sql = client.withoutTransforms()
  const table = sql(tableName)
  yield* sql`
    CREATE TABLE IF NOT EXISTS ${table} (
      id TEXT PRIMARY KEY,
      owner TEXT NOT NULL,
      fingerprint TEXT NOT NULL,
      until_ms BIGINT NOT NULL,
      result TEXT,
      losses INTEGER NOT NULL
    )`.pipe(
    // PostgreSQL lets one of two that make a table at the same time fail; then it is there.
    Effect.retry({ times: 1 })
  )
  const some = Effect.map((rows: ReadonlyArray<unknown>) => rows.length > 0)
  const look = (key: string) =>
    Effect.map(
      sql<Omit<Row, "losses">>`SELECT owner, fingerprint, until_ms, result FROM ${table} WHERE id = ${key}`,
      ([row]) => row === undefined ? undefined : entryOf(row)
    )
  /** Takes the key unless somebody else has it, and gives how many claims on it ran out before. */
  const take = ({ fingerprint, key, now, owner, until }: Claim) =>
    Effect.map(
      sql<Pick<Row, "losses">>`
        INSERT INTO ${table} (id, owner, fingerprint, until_ms, result, losses)
        VALUES (${key}, ${owner}, ${fingerprint}, ${until}, NULL, 0)
        ON CONFLICT (id) DO UPDATE SET
          owner = excluded.owner, fingerprint = excluded.fingerprint, until_ms = excluded.until_ms, result = NULL,
          losses = CASE WHEN ${table}.result IS NULL THEN ${table}.losses + 1 ELSE 0 END
        WHERE ${table}.until_ms <= ${now}
        RETURNING losses`,
      ([row]) => row === undefined ? undefined : Number(row.losses)
    )
  let sweptAt = 0
  const sweep = (now: number): Effect.Effect<void> =>
    Effect.suspend(() => {
      // Whichever way the clock went.
      if (Math.abs(now - sweptAt) < sweptAfterMs) return Effect.void
      sweptAt = now
      // Nobody's claim depends on it.
      return Effect.ignore(sql`DELETE FROM ${table} WHERE until_ms <= ${now - sweptAfterMs}`)
    })
  const claim = (asked: Claim): Effect.Effect<Answer, SqlError> =>
    Effect.gen(function*() {
      // A look first: whoever writes has to wait for all others who do.
      const known = yield* look(asked.key)
      const answer = known === undefined ? undefined : answerFrom(known, asked.now)
      if (answer !== undefined) return answer
      yield* sweep(asked.now)
      const losses = yield* take(asked)
      return losses === undefined ? yield* claim(asked) : claimedAfter(losses)
    })
  return {
    claim,
    renew: ({ key, owner, until }) =>
      some(sql`
        UPDATE ${table} SET until_ms = ${until}
        WHERE id = ${key} AND owner = ${owner} AND result IS NULL
        RETURNING id`),
    keep: ({ key, owner, result, until }) =>
      some(sql`
        UPDATE ${table} SET
          until_ms = CASE WHEN result IS NULL THEN ${until} ELSE until_ms END, result = COALESCE(result, ${result})
        WHERE id = ${key} AND owner = ${owner}
        RETURNING id`),
    release: ({ key, owner }) =>
      Effect.asVoid(sql`DELETE FROM ${table} WHERE id = ${key} AND owner = ${owner} AND result IS NULL`)
  }
})
