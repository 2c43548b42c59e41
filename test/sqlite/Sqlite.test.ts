import { assert, describe, it } from "@effect/vitest"
import { Deferred, type Duration, Effect, Exit, Fiber, Layer, Scope, Stream } from "effect"
import { SqlClient, type SqlError } from "effect/sql"
import { TestClock } from "effect/testing"
import { existsSync } from "node:fs"
import { StatementSync } from "node:sqlite"
import { queryObjects } from "node:v8"
import { StageError } from "stageflow"
import { Sqlite } from "stageflow/sqlite"
import { temporaryFolder } from "../support/temporary-folder.ts"

const inFile = <A, E, R>(use: (filename: string) => Effect.Effect<A, E, R>) =>
  Effect.flatMap(temporaryFolder, (folder) => use(`${folder}/test.db`))

const reasonOf = <A, R>(effect: Effect.Effect<A, SqlError.SqlError, R>) =>
  Effect.map(Effect.flip(effect), ({ reason }) => reason)

const table = Effect.flatMap(
  SqlClient.SqlClient,
  (sql) => sql`CREATE TABLE person (id INTEGER PRIMARY KEY, name TEXT UNIQUE NOT NULL)`
)

const names = Effect.flatMap(
  SqlClient.SqlClient,
  (sql) =>
    Effect.map(
      sql<{ readonly name: string }>`SELECT name FROM person ORDER BY id`,
      (rows) => rows.map(({ name }) => name)
    )
)

const add = (name: string) =>
  Effect.flatMap(SqlClient.SqlClient, (sql) => sql`INSERT INTO person ${sql.insert({ name })}`)

describe("Sqlite.layer", () => {
  it.effect("keeps what was written, in WAL mode, and reads it again through another client", () =>
    inFile((filename) =>
      Effect.gen(function*() {
        yield* Effect.gen(function*() {
          const sql = yield* SqlClient.SqlClient
          assert.deepStrictEqual(yield* sql`PRAGMA journal_mode`, [{ journal_mode: "wal" }])
          yield* table
          yield* add("Ada")
        }).pipe(Effect.provide(Sqlite.layer({ filename })))
        assert.deepStrictEqual(yield* names.pipe(Effect.provide(Sqlite.layer({ filename }))), ["Ada"])
      })
    ))

  it.effect("gives back what it was given: text, numbers, bytes, null; booleans as 0 and 1, dates as text", () =>
    Effect.gen(function*() {
      const sql = yield* SqlClient.SqlClient
      const bytes = new Uint8Array([0, 255])
      const rows = yield* sql`SELECT ${"text"} AS text, ${1.5} AS number, ${bytes} AS bytes, ${null} AS absent,
        ${true} AS yes, ${new Date(0)} AS date`
      assert.deepStrictEqual(rows, [
        { text: "text", number: 1.5, bytes, absent: null, yes: 1, date: "1970-01-01T00:00:00.000Z" }
      ])
      // The rows of node:sqlite have no prototype.
      assert.strictEqual(Object.getPrototypeOf(rows[0]), Object.prototype)
      // What node:sqlite would take for named parameters, and bind nothing.
      const refused = yield* reasonOf(sql.unsafe("SELECT ? AS a", [{ a: 1 }]))
      assert.strictEqual(refused._tag, "UnknownError")
      assert.include(refused.message, "cannot be of type object")
    }).pipe(Effect.provide(Sqlite.layer({ filename: ":memory:" }))))

  it.effect("large integers come as bigint where SafeIntegers asks for it, and are an error where it does not", () =>
    Effect.gen(function*() {
      const sql = yield* SqlClient.SqlClient
      const large = sql`SELECT 9007199254740993 AS large`
      assert.strictEqual((yield* reasonOf(large))._tag, "UnknownError")
      assert.deepStrictEqual(yield* Effect.provideService(large, SqlClient.SafeIntegers, true), [
        { large: 9007199254740993n }
      ])
      assert.deepStrictEqual(yield* sql`SELECT 1 AS small`, [{ small: 1 }])
    }).pipe(Effect.provide(Sqlite.layer({ filename: ":memory:" }))))

  it.effect("values are arrays, rows are objects, raw says what changed, also with one statement", () =>
    Effect.gen(function*() {
      yield* table
      const sql = yield* SqlClient.SqlClient
      const inserted = yield* sql`INSERT INTO person (name) VALUES ('Ada')`.raw
      assert.deepStrictEqual(inserted, { changes: 1, lastInsertRowid: 1 })
      const select = sql`SELECT id, name FROM person`
      assert.deepStrictEqual(yield* select.values, [[1, "Ada"]])
      assert.deepStrictEqual(yield* select, [{ id: 1, name: "Ada" }])
      assert.deepStrictEqual(yield* select.valuesUnprepared, [[1, "Ada"]])
      assert.deepStrictEqual(yield* select.unprepared, [{ id: 1, name: "Ada" }])
    }).pipe(Effect.provide(Sqlite.layer({ filename: ":memory:" }))))

  it.effect("streams rows, and lets go of the database when nobody wants more", () =>
    Effect.gen(function*() {
      yield* table
      const sql = yield* SqlClient.SqlClient
      yield* Effect.forEach(Array.from({ length: 300 }, (_, index) => `person ${index}`), add)
      const all = sql<{ readonly name: string }>`SELECT name FROM person ORDER BY id`.stream
      assert.strictEqual((yield* Stream.runCollect(all)).length, 300)
      const few = yield* Stream.runCollect(Stream.take(all, 2))
      assert.deepStrictEqual(few, [{ name: "person 0" }, { name: "person 1" }])
      yield* sql`DROP TABLE person`
      assert.strictEqual((yield* reasonOf(Stream.runCollect(all)))._tag, "SqlSyntaxError")
    }).pipe(Effect.provide(Sqlite.layer({ filename: ":memory:" }))))

  it.effect("keeps a bounded number of statements", () =>
    Effect.gen(function*() {
      const sql = yield* SqlClient.SqlClient
      const statements = () => queryObjects(StatementSync, { format: "count" })
      const before = statements()
      for (let index = 0; index < 500; index++) {
        assert.deepStrictEqual(yield* sql.unsafe(`SELECT ${index} AS "index"`), [{ index }])
      }
      assert.isBelow(statements() - before, 300)
    }).pipe(Effect.provide(Sqlite.layer({ filename: ":memory:" }))))

  describe("transactions", () => {
    it.effect("commit on success, and leave nothing on failure or interruption", () =>
      Effect.gen(function*() {
        yield* table
        const sql = yield* SqlClient.SqlClient
        yield* sql.withTransaction(add("kept"))
        yield* Effect.flip(sql.withTransaction(Effect.andThen(add("failed"), Effect.fail("no"))))
        const started = yield* Deferred.make<void>()
        const fiber = yield* Effect.forkChild(
          sql.withTransaction(
            add("interrupted").pipe(
              Effect.andThen(Deferred.succeed(started, undefined)),
              Effect.andThen(Effect.never)
            )
          )
        )
        yield* Deferred.await(started)
        yield* Fiber.interrupt(fiber)
        assert.deepStrictEqual(yield* names, ["kept"])
      }).pipe(Effect.provide(Sqlite.layer({ filename: ":memory:" }))))

    it.effect("nest: an inner one that fails takes only its own back", () =>
      Effect.gen(function*() {
        yield* table
        const sql = yield* SqlClient.SqlClient
        yield* sql.withTransaction(
          Effect.gen(function*() {
            yield* add("outer")
            yield* Effect.flip(sql.withTransaction(Effect.andThen(add("inner"), Effect.fail("no"))))
            yield* sql.withTransaction(add("inner"))
            // What is done is not kept open until the outer one ends.
            assert.include((yield* Effect.flip(sql.unsafe("RELEASE effect_sql_1"))).message, "no such savepoint")
          })
        )
        assert.deepStrictEqual(yield* names, ["outer", "inner"])
      }).pipe(Effect.provide(Sqlite.layer({ filename: ":memory:" }))))

    it.effect("nobody else's statements come between", () =>
      Effect.gen(function*() {
        yield* table
        const sql = yield* SqlClient.SqlClient
        const gate = yield* Deferred.make<void>()
        const transaction = yield* Effect.forkChild(
          sql.withTransaction(
            add("first").pipe(
              Effect.andThen(Deferred.await(gate)),
              Effect.andThen(Effect.fail("no"))
            )
          ),
          { startImmediately: true }
        )
        const other = yield* Effect.forkChild(add("other"), { startImmediately: true })
        yield* Deferred.succeed(gate, undefined)
        yield* Effect.exit(Fiber.join(transaction))
        yield* Fiber.join(other)
        assert.deepStrictEqual(yield* names, ["other"])
      }).pipe(Effect.provide(Sqlite.layer({ filename: ":memory:" }))))
  })

  describe("errors are typed", () => {
    it.effect("a second value where there may be one, another broken constraint, a statement that is none", () =>
      Effect.gen(function*() {
        yield* table
        const sql = yield* SqlClient.SqlClient
        yield* sql`INSERT INTO person (id, name) VALUES (1, 'Ada')`
        const name = yield* reasonOf(add("Ada"))
        assert(name._tag === "UniqueViolation")
        assert.strictEqual(name.constraint, "person.name")
        const id = yield* reasonOf(sql`INSERT INTO person (id, name) VALUES (1, 'Grace')`)
        assert(id._tag === "UniqueViolation")
        assert.strictEqual(id.constraint, "person.id")
        assert.strictEqual((yield* reasonOf(sql`INSERT INTO person (name) VALUES (NULL)`))._tag, "ConstraintError")
        const syntax = yield* reasonOf(sql.unsafe("SELECTED"))
        assert.strictEqual(syntax._tag, "SqlSyntaxError")
        assert.include(syntax.message, "SELECTED")
        assert.strictEqual((yield* reasonOf(sql`SELECT * FROM nowhere`))._tag, "SqlSyntaxError")
      }).pipe(Effect.provide(Sqlite.layer({ filename: ":memory:" }))))

    it.effect("a file that cannot be opened, and one that is no database", () =>
      Effect.gen(function*() {
        const folder = yield* temporaryFolder
        const absent = Layer.build(Sqlite.layer({ filename: `${folder}/absent/test.db` })).pipe(Effect.scoped)
        assert.strictEqual((yield* reasonOf(absent))._tag, "ConnectionError")
        const noDatabase = Layer.build(Sqlite.layer({ filename: import.meta.filename })).pipe(Effect.scoped)
        assert.strictEqual((yield* reasonOf(noDatabase))._tag, "UnknownError")
      }))

    it.effect("a change where only reading is allowed", () =>
      inFile((filename) =>
        Effect.gen(function*() {
          yield* Effect.andThen(table, add("Ada")).pipe(Effect.provide(Sqlite.layer({ filename })))
          yield* Effect.gen(function*() {
            const sql = yield* SqlClient.SqlClient
            assert.deepStrictEqual(yield* sql.withTransaction(names), ["Ada"])
            assert.include((yield* Effect.flip(add("Grace"))).message, "readonly")
          }).pipe(Effect.provide(Sqlite.layer({ filename, readOnly: true })))
        })
      ))
  })

  describe("while another connection holds the database", () => {
    /** Two clients of one file, the first with a transaction open until `release`. */
    const held = (filename: string, busyTimeout?: Duration.Input) =>
      Effect.gen(function*() {
        const first = yield* Layer.build(Sqlite.layer({ filename }))
        const second = yield* Layer.build(Sqlite.layer({ filename, busyTimeout }))
        yield* Effect.provideContext(table, first)
        const release = yield* Deferred.make<void>()
        const began = yield* Deferred.make<void>()
        const sql = yield* Effect.provideContext(SqlClient.SqlClient, first)
        const holder = yield* Effect.forkChild(
          Effect.provideContext(
            sql.withTransaction(
              add("first").pipe(
                Effect.andThen(Deferred.succeed(began, undefined)),
                Effect.andThen(Deferred.await(release))
              )
            ),
            first
          )
        )
        yield* Deferred.await(began)
        return { second, release: Effect.andThen(Deferred.succeed(release, undefined), Fiber.join(holder)) }
      })

    it.effect("a statement waits, without holding up the process, and goes on when it is free", () =>
      inFile((filename) =>
        Effect.gen(function*() {
          const { release, second } = yield* held(filename)
          const waiting = yield* Effect.forkChild(Effect.provideContext(add("second"), second))
          yield* TestClock.adjust("1 second")
          assert.isUndefined(waiting.pollUnsafe())
          yield* release
          yield* TestClock.adjust("1 second")
          yield* Fiber.join(waiting)
          assert.deepStrictEqual(yield* Effect.provideContext(names, second), ["first", "second"])
        })
      ))

    it.effect("it fails with LockTimeoutError after its busyTimeout; a transaction does so when it begins", () =>
      inFile((filename) =>
        Effect.gen(function*() {
          const { release, second } = yield* held(filename, "200 millis")
          const sql = yield* Effect.provideContext(SqlClient.SqlClient, second)
          let inside = false
          const attempts: ReadonlyArray<Effect.Effect<unknown, SqlError.SqlError, SqlClient.SqlClient>> = [
            add("second"),
            sql.withTransaction(Effect.sync(() => {
              inside = true
            }))
          ]
          for (const attempt of attempts) {
            const waiting = yield* Effect.forkChild(reasonOf(Effect.provideContext(attempt, second)))
            yield* TestClock.adjust("195 millis")
            assert.isUndefined(waiting.pollUnsafe())
            yield* TestClock.adjust("20 millis")
            assert.strictEqual((yield* Fiber.join(waiting))._tag, "LockTimeoutError")
          }
          assert.isFalse(inside)
          yield* release
        })
      ))

    it.effect("readers see what was committed and do not wait", () =>
      inFile((filename) =>
        Effect.gen(function*() {
          const { release, second } = yield* held(filename)
          assert.deepStrictEqual(yield* Effect.provideContext(names, second), [])
          yield* release
          assert.deepStrictEqual(yield* Effect.provideContext(names, second), ["first"])
        })
      ))
  })

  it.effect("closes with its scope: the file is whole, and the client says that it is closed", () =>
    inFile((filename) =>
      Effect.gen(function*() {
        const scope = yield* Scope.make()
        const context = yield* Layer.buildWithScope(Sqlite.layer({ filename }), scope)
        yield* Effect.provideContext(Effect.andThen(table, add("Ada")), context)
        assert.isTrue(existsSync(`${filename}-wal`))
        yield* Scope.close(scope, Exit.void)
        assert.isFalse(existsSync(`${filename}-wal`))
        const closed = yield* Effect.flip(Effect.provideContext(names, context))
        assert.include(closed.message, "not open")
      })
    ))

  it("checks its options where they are given", () => {
    assert.throws(() => Sqlite.layer({ filename: ":memory:", busyTimeout: -1 }), StageError.InvalidOption)
    assert.throws(() => Sqlite.layer({ filename: ":memory:", busyTimeout: Number.NaN }), StageError.InvalidOption)
  })
})
