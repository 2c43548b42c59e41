/**
 * Keeps claims and results in a table of SQLite or PostgreSQL. Each operation is one statement that both understand, so
 * it is atomic without a transaction.
 */
import * as Effect from "effect/Effect"
import type { SqlClient } from "effect/sql/SqlClient"
import type { SqlError } from "effect/sql/SqlError"
import { type Answer, answerFrom, type Claim, claimed, type Claims, type Entry, sweptAfterMs } from "./claims.ts"

interface Row {
  readonly owner: string
  readonly fingerprint: string
  /** What a driver makes of a BIGINT differs. */
  readonly until_ms: number | bigint | string
  readonly result: string | null
}

const entryOf = ({ fingerprint, owner, result, until_ms }: Row): Entry => ({
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
      result TEXT
    )`.pipe(
    // PostgreSQL lets one of two that make a table at the same time fail; then it is there.
    Effect.retry({ times: 1 })
  )
  const some = Effect.map((rows: ReadonlyArray<unknown>) => rows.length > 0)
  const look = (key: string) =>
    Effect.map(
      sql<Row>`SELECT owner, fingerprint, until_ms, result FROM ${table} WHERE id = ${key}`,
      ([row]) => row === undefined ? undefined : entryOf(row)
    )
  const take = ({ fingerprint, key, now, owner, until }: Claim) =>
    some(sql`
      INSERT INTO ${table} (id, owner, fingerprint, until_ms, result)
      VALUES (${key}, ${owner}, ${fingerprint}, ${until}, NULL)
      ON CONFLICT (id) DO UPDATE SET
        owner = excluded.owner, fingerprint = excluded.fingerprint, until_ms = excluded.until_ms, result = NULL
      WHERE ${table}.until_ms <= ${now}
      RETURNING id`)
  let sweptAt = 0
  const sweep = (now: number): Effect.Effect<void, SqlError> =>
    Effect.suspend(() => {
      if (now - sweptAt < sweptAfterMs) return Effect.void
      sweptAt = now
      return Effect.asVoid(sql`DELETE FROM ${table} WHERE until_ms <= ${now - sweptAfterMs}`)
    })
  const claim = (asked: Claim): Effect.Effect<Answer, SqlError> =>
    Effect.gen(function*() {
      // A look first: whoever writes has to wait for all others who do.
      const known = yield* look(asked.key)
      const answer = known === undefined ? undefined : answerFrom(known, asked.now)
      if (answer !== undefined) return answer
      yield* sweep(asked.now)
      return (yield* take(asked)) ? claimed : yield* claim(asked)
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
        UPDATE ${table} SET until_ms = ${until}, result = ${result}
        WHERE id = ${key} AND owner = ${owner} AND result IS NULL
        RETURNING id`),
    release: ({ key, owner }) =>
      Effect.asVoid(sql`DELETE FROM ${table} WHERE id = ${key} AND owner = ${owner} AND result IS NULL`)
  }
})
