/// <reference types="node" />
/**
 * Connects `effect/sql` to SQLite through `node:sqlite`.
 *
 * It is here until a release of `@effect/sql-sqlite-node` loads with effect 4.1, and does what stageflow needs of it: one
 * connection in WAL mode, transactions, typed errors. Several processes can use one file.
 *
 * ```ts
 * import { Effect } from "effect"
 * import { SqlClient } from "effect/sql"
 * import { Sqlite } from "stageflow/sqlite"
 *
 * const program = Effect.gen(function*() {
 *   const sql = yield* SqlClient.SqlClient
 *   return yield* sql<{ readonly answer: number }>`SELECT ${42} AS answer`
 * }).pipe(Effect.provide(Sqlite.layer({ filename: ":memory:" })))
 *
 * Effect.runPromise(program)
 * ```
 */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Reactivity from "effect/reactivity/Reactivity"
import * as Schedule from "effect/Schedule"
import * as Semaphore from "effect/Semaphore"
import * as SqlClient from "effect/sql/SqlClient"
import type { Connection } from "effect/sql/SqlConnection"
import { classifySqliteError, SqlError, SqlSyntaxError } from "effect/sql/SqlError"
import * as Statement from "effect/sql/Statement"
import * as Stream from "effect/Stream"
import { DatabaseSync, type SQLInputValue, type StatementSync } from "node:sqlite"
import * as options from "../internal/options.ts"

/**
 * Where the database is, and how to open it.
 */
export interface Settings {
  /** The path of the file, which is made when it is not there. `":memory:"` is a database of its own for each client. */
  readonly filename: string
  /** How long a statement waits while another connection holds the database. 5 seconds when left out. */
  readonly busyTimeout?: Duration.Input | undefined
  /** Whether to refuse every change. */
  readonly readOnly?: boolean | undefined
}

// ---------------------------------------------------------------------------------------------------------------------
// errors
// ---------------------------------------------------------------------------------------------------------------------

const codes = { error: 1, busy: 5, busyRecovery: 261, primaryKey: 1555, unique: 2067, rowid: 2579 } as const

const errcodeOf = (cause: unknown): number | undefined =>
  typeof cause === "object" && cause !== null && "errcode" in cause && typeof cause.errcode === "number"
    ? cause.errcode
    : undefined

/** A second value for a primary key or a rowid breaks uniqueness as well, which `classifySqliteError` does not know. */
const uniqueCodes: ReadonlySet<number | undefined> = new Set([codes.primaryKey, codes.unique, codes.rowid])

const messageOf = (cause: unknown): string => cause instanceof Error ? cause.message : String(cause)

const sqlError = (operation: string) => (cause: unknown): SqlError => {
  const errcode = errcodeOf(cause)
  const message = messageOf(cause)
  if (errcode === codes.error && operation === "prepare") {
    return new SqlError({ reason: new SqlSyntaxError({ cause, message, operation }) })
  }
  // `classifySqliteError` reads `errno`, which is what other drivers call it.
  const errno = uniqueCodes.has(errcode) ? codes.unique : errcode
  return new SqlError({ reason: classifySqliteError({ cause, errno, message }, { message, operation }) })
}

/** Another connection holds the database, and will let go of it: anything else that is busy stays so. */
const willBeFree = ({ reason: { cause } }: SqlError): boolean => {
  const code = typeof cause === "object" && cause !== null && "errno" in cause ? cause.errno : undefined
  return code === codes.busy || code === codes.busyRecovery
}

// ---------------------------------------------------------------------------------------------------------------------
// statements
// ---------------------------------------------------------------------------------------------------------------------

const statementsKept = 200

/** What a statement can be given. `node:sqlite` reads any other object as named parameters, and binds nothing. */
const bindable = (value: unknown): SQLInputValue => {
  switch (typeof value) {
    case "string":
    case "number":
    case "bigint":
      return value
    case "boolean":
      return value ? 1 : 0
    case "undefined":
      return null
  }
  if (value === null) return value
  if (ArrayBuffer.isView(value)) return value as NodeJS.ArrayBufferView // each of its views is one of Node's
  if (value instanceof Date) return value.toISOString()
  throw new TypeError(
    `A parameter of a statement cannot be of type ${typeof value}: use text, a number, bytes or null`
  )
}

type Row = Record<string, unknown>
type Rows = Iterator<Row, undefined>
type Transform = Parameters<Connection["execute"]>[2]

/** Whether rows come as arrays, and whether to keep the statement for the next time. */
interface Manner {
  readonly arrays: boolean
  readonly keep: boolean
}

/** The one connection of a client. Whatever it does, it does at once: nothing comes between. */
class SqliteConnection implements Connection {
  private readonly database: DatabaseSync
  private readonly busyTimeout: Duration.Duration
  // A Map keeps the order of insertion: the first is the one that was used longest ago.
  private readonly statements = new Map<string, StatementSync>()

  constructor(database: DatabaseSync, busyTimeout: Duration.Duration) {
    this.database = database
    this.busyTimeout = busyTimeout
  }

  get isTransaction(): boolean {
    return this.database.isTransaction
  }

  close(): void {
    this.statements.clear()
    this.database.close()
  }

  private prepare(sql: string, { arrays, keep }: Manner): StatementSync {
    const key = `${arrays ? "arrays" : "objects"} ${sql}`
    const known = this.statements.get(key)
    if (known !== undefined) {
      this.statements.delete(key)
      this.statements.set(key, known)
      return known
    }
    const statement = this.database.prepare(sql)
    statement.setReturnArrays(arrays)
    if (keep) {
      this.statements.set(key, statement)
      for (const [oldest] of this.statements) {
        if (this.statements.size <= statementsKept) break
        this.statements.delete(oldest)
      }
    }
    return statement
  }

  private statement<A>(
    sql: string,
    manner: Manner,
    params: ReadonlyArray<unknown>,
    run: (statement: StatementSync, params: ReadonlyArray<SQLInputValue>) => A
  ): Effect.Effect<A, SqlError> {
    const attempt = Effect.gen({ self: this }, function*() {
      const safeIntegers = yield* SqlClient.SafeIntegers
      const statement = yield* Effect.try({ try: () => this.prepare(sql, manner), catch: sqlError("prepare") })
      return yield* Effect.try({
        try: () => {
          statement.setReadBigInts(safeIntegers)
          return run(statement, params.map(bindable))
        },
        catch: sqlError("execute")
      })
    })
    return this.patiently(attempt)
  }

  /** Waits for other connections in Effect and not in SQLite, which would hold up the whole process. */
  patiently<A>(attempt: Effect.Effect<A, SqlError>): Effect.Effect<A, SqlError> {
    return Effect.retry(attempt, {
      while: willBeFree,
      schedule: Schedule.spaced("5 millis").pipe(Schedule.upTo({ duration: this.busyTimeout }))
    })
  }

  private rows(sql: string, keep: boolean, params: ReadonlyArray<unknown>, transform: Transform) {
    return Effect.map(
      this.statement(sql, { arrays: false, keep }, params, (statement, values) => statement.all(...values)),
      (rows) => {
        // The rows of node:sqlite have no prototype.
        const plain = rows.map((row): Row => ({ ...row }))
        return transform === undefined ? plain : transform(plain)
      }
    )
  }

  private values(sql: string, keep: boolean, params: ReadonlyArray<unknown>) {
    return this.statement(
      sql,
      { arrays: true, keep },
      params,
      // A row is an array then, which the types of node:sqlite do not say.
      (statement, values) => statement.all(...values) as unknown as ReadonlyArray<ReadonlyArray<unknown>>
    )
  }

  execute(sql: string, params: ReadonlyArray<unknown>, transform: Transform) {
    return this.rows(sql, true, params, transform)
  }

  executeUnprepared(sql: string, params: ReadonlyArray<unknown>, transform: Transform) {
    return this.rows(sql, false, params, transform)
  }

  executeRaw(sql: string, params: ReadonlyArray<unknown>): Effect.Effect<unknown, SqlError> {
    return this.statement(
      sql,
      { arrays: false, keep: true },
      params,
      (statement, values) => statement.columns().length > 0 ? statement.all(...values) : statement.run(...values)
    )
  }

  executeValues(sql: string, params: ReadonlyArray<unknown>) {
    return this.values(sql, true, params)
  }

  executeValuesUnprepared(sql: string, params: ReadonlyArray<unknown>) {
    return this.values(sql, false, params)
  }

  executeStream(sql: string, params: ReadonlyArray<unknown>, transform: Transform): Stream.Stream<Row, SqlError> {
    // A statement of its own: the next one with the same text must not reset it.
    const open = Effect.flatMap(SqlClient.SafeIntegers, (safeIntegers) =>
      Effect.try({
        try: () => {
          const statement = this.database.prepare(sql)
          statement.setReadBigInts(safeIntegers)
          return statement.iterate(...params.map(bindable))
        },
        catch: sqlError("prepare")
      }))
    const opened = Effect.acquireRelease(open, (rows) => Effect.sync(() => rows.return?.()))
    return Stream.unwrap(
      Effect.map(opened, (rows) => Stream.paginate<Rows, Row, SqlError>(rows, (rest) => nextRows(rest, transform)))
    )
  }
}

const rowsAtOnce = 128

const nextRows = (rows: Rows, transform: Transform) =>
  Effect.try({
    try: (): readonly [ReadonlyArray<Row>, Option.Option<Rows>] => {
      const taken: Array<Row> = []
      let next = rows.next()
      while (next.done !== true) {
        taken.push({ ...next.value })
        if (taken.length === rowsAtOnce) break
        next = rows.next()
      }
      return [
        transform === undefined ? taken : transform(taken),
        next.done === true ? Option.none() : Option.some(rows)
      ]
    },
    catch: sqlError("execute")
  })

// ---------------------------------------------------------------------------------------------------------------------
// client
// ---------------------------------------------------------------------------------------------------------------------

const open = (filename: string, readOnly: boolean, busyTimeout: Duration.Duration) =>
  Effect.acquireRelease(
    Effect.try({
      try: () => new SqliteConnection(new DatabaseSync(filename, { readOnly, timeout: 0 }), busyTimeout),
      catch: sqlError("connect")
    }),
    (connection) => Effect.sync(() => connection.close())
  ).pipe(
    // Readers and one writer at the same time. It is written in the file, so a reader finds it there.
    Effect.tap((connection) =>
      readOnly ? Effect.void : connection.executeUnprepared("PRAGMA journal_mode = WAL", [], undefined)
    )
  )

/**
 * Opens a database, for as long as the Layer lives.
 *
 * A statement waits up to `busyTimeout` for other connections and then fails with a `LockTimeoutError`. Transactions are
 * `BEGIN IMMEDIATE`: they wait when they begin, and are not turned away halfway. Dates are stored as ISO 8601 text.
 */
export const layer = (settings: Settings): Layer.Layer<SqlClient.SqlClient, SqlError> => {
  const busyTimeout = options.duration("busyTimeout", settings.busyTimeout ?? "5 seconds")
  return Layer.effect(
    SqlClient.SqlClient,
    Effect.gen(function*() {
      const connection = yield* open(settings.filename, settings.readOnly ?? false, busyTimeout)
      const acquirers = SqlClient.makeSqliteAcquirers({
        connection: Effect.succeed(connection),
        semaphore: yield* Semaphore.make(1),
        isTransaction: ({ isTransaction }) => isTransaction
      })
      return yield* SqlClient.make({
        ...acquirers,
        compiler: Statement.makeCompilerSqlite(),
        driver: "sqlite-node",
        beginTransaction: settings.readOnly === true ? "BEGIN" : "BEGIN IMMEDIATE",
        releaseSavepoint: (name) => `RELEASE SAVEPOINT ${name}`,
        prepareTransactionControls: true,
        spanAttributes: [["db.system.name", "sqlite"]]
      })
    })
  ).pipe(Layer.provide(Reactivity.layer))
}
