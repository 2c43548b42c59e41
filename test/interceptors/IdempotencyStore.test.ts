import { NodeFileSystem } from "@effect/platform-node-shared"
import { assert, describe, it } from "@effect/vitest"
import { Effect, FileSystem, Layer } from "effect"
import { SqlClient } from "effect/sql"
import { TestClock } from "effect/testing"
import { StageError } from "stageflow"
import * as Interceptors from "stageflow/interceptors"
import { Sqlite } from "stageflow/sqlite"
import { temporaryFolder } from "../support/temporary-folder.ts"
import { stores } from "./support/stores.ts"

const { IdempotencyStore } = Interceptors

type Store = Interceptors.IdempotencyStore["Service"]

const claim = (owner: string, now = 0, until = now + 10) => ({ key: "key", owner, fingerprint: "same", now, until })

const using = <A, E, R>(use: (store: Store) => Effect.Effect<A, E, R>) => Effect.flatMap(IdempotencyStore, use)

const hour = 60 * 60 * 1000

describe.each(Object.entries(stores))("the %s store", (_, layer) => {
  it.effect("of all who claim a key at the same time one gets it, and the others are told who runs until when", () =>
    using((store) =>
      Effect.gen(function*() {
        const owners = Array.from({ length: 50 }, (_, index) => `owner ${index}`)
        const answers = yield* Effect.forEach(owners, (owner) => store.claim(claim(owner)), {
          concurrency: "unbounded"
        })
        assert.strictEqual(answers.filter(({ _tag }) => _tag === "Claimed").length, 1)
        for (const answer of answers) {
          if (answer._tag !== "Claimed") {
            assert.deepStrictEqual(answer, { _tag: "Running", fingerprint: "same", until: 10 })
          }
        }
      })
    ).pipe(Effect.provide(layer)))

  it.effect("of all who take over when a lease is over one gets it", () =>
    using((store) =>
      Effect.gen(function*() {
        yield* store.claim(claim("gone"))
        assert.strictEqual((yield* store.claim(claim("early", 9)))._tag, "Running")
        const owners = Array.from({ length: 50 }, (_, index) => `owner ${index}`)
        const answers = yield* Effect.forEach(owners, (owner) => store.claim(claim(owner, 10)), {
          concurrency: "unbounded"
        })
        assert.strictEqual(answers.filter(({ _tag }) => _tag === "Claimed").length, 1)
        assert.isFalse(yield* store.renew({ key: "key", owner: "gone", until: 100 }))
        assert.isFalse(yield* store.keep({ key: "key", owner: "gone", result: "late", until: 100 }))
        yield* store.release({ key: "key", owner: "gone" })
        assert.deepStrictEqual(yield* store.claim(claim("other", 11)), {
          _tag: "Running",
          fingerprint: "same",
          until: 20
        })
      })
    ).pipe(Effect.provide(layer)))

  it.effect("a result stays for its time, and then the key is free", () =>
    using((store) =>
      Effect.gen(function*() {
        yield* store.claim(claim("first"))
        assert.isTrue(yield* store.keep({ key: "key", owner: "first", result: "{\"a\":\"ü\"}", until: 100 }))
        const kept = { _tag: "Kept", fingerprint: "same", result: "{\"a\":\"ü\"}" } as const
        for (const now of [1, 50, 99]) assert.deepStrictEqual(yield* store.claim(claim("second", now)), kept)
        yield* store.release({ key: "key", owner: "first" })
        assert.isFalse(yield* store.renew({ key: "key", owner: "first", until: 1000 }))
        assert.deepStrictEqual(yield* store.claim(claim("second", 99)), kept)
        assert.deepStrictEqual(yield* store.claim({ ...claim("second", 100), fingerprint: "other" }), {
          _tag: "Claimed"
        })
        assert.deepStrictEqual(yield* store.claim(claim("third", 101)), {
          _tag: "Running",
          fingerprint: "other",
          until: 110
        })
      })
    ).pipe(Effect.provide(layer)))

  it.effect("an owner can renew, also late, and let go", () =>
    using((store) =>
      Effect.gen(function*() {
        yield* store.claim(claim("first"))
        for (const until of [20, 30, 40]) assert.isTrue(yield* store.renew({ key: "key", owner: "first", until }))
        assert.deepStrictEqual(yield* store.claim(claim("second", 39)), {
          _tag: "Running",
          fingerprint: "same",
          until: 40
        })
        assert.isTrue(yield* store.renew({ key: "key", owner: "first", until: 60 }))
        yield* store.release({ key: "key", owner: "second" })
        assert.strictEqual((yield* store.claim(claim("second", 59)))._tag, "Running")
        yield* store.release({ key: "key", owner: "first" })
        yield* store.release({ key: "key", owner: "first" })
        assert.strictEqual((yield* store.claim(claim("second", 59)))._tag, "Claimed")
      })
    ).pipe(Effect.provide(layer)))

  it.effect("keys are apart, whatever is in them", () =>
    using((store) =>
      Effect.gen(function*() {
        const keys = [
          "a",
          "A",
          "../a",
          "a/b",
          "%",
          "'; DROP TABLE stageflow_idempotency; --",
          "ü",
          "x".repeat(2000),
          " "
        ]
        for (const key of keys) {
          assert.strictEqual((yield* store.claim({ ...claim("first"), key }))._tag, "Claimed")
          assert.isTrue(yield* store.keep({ key, owner: "first", result: key, until: 100 }))
        }
        for (const key of keys) {
          const answer = yield* store.claim({ ...claim("second"), key })
          assert(answer._tag === "Kept")
          assert.strictEqual(answer.result, key)
        }
      })
    ).pipe(Effect.provide(layer)))

  it.effect("whoever watches a key is woken when it is let go or kept, also when that comes before the wait", () =>
    using((store) =>
      Effect.gen(function*() {
        yield* store.claim(claim("first"))
        yield* Effect.scoped(Effect.gen(function*() {
          const changed = yield* store.watch("key")
          yield* store.release({ key: "key", owner: "first" })
          yield* changed
        }))
        yield* store.claim(claim("second"))
        yield* Effect.scoped(Effect.gen(function*() {
          const changed = yield* store.watch("key")
          yield* store.keep({ key: "key", owner: "second", result: "{}", until: 100 })
          yield* changed
        }))
      })
    ).pipe(Effect.provide(layer)))
})

describe("what is over does not stay for ever", () => {
  it.effect("in memory: swept by who claims, an hour after it was over", () =>
    using((store) =>
      Effect.gen(function*() {
        yield* store.claim(claim("late"))
        yield* store.claim({ ...claim("owner", hour), key: "soon" })
        assert.isTrue(yield* store.renew({ key: "key", owner: "late", until: 20 }))
        yield* store.claim({ ...claim("owner", 2 * hour), key: "later" })
        assert.isFalse(yield* store.renew({ key: "key", owner: "late", until: 30 }))
      })
    ).pipe(Effect.provide(stores.memory)))

  it.effect("in a table: swept by who claims, an hour after it was over", () =>
    Effect.gen(function*() {
      const store = yield* IdempotencyStore
      const sql = yield* SqlClient.SqlClient
      const count = Effect.map(
        sql<{ readonly count: number }>`SELECT count(*) AS count FROM stageflow_idempotency`,
        ([row]) => row?.count
      )
      for (let index = 0; index < 20; index++) yield* store.claim({ ...claim("owner"), key: `key ${index}` })
      assert.strictEqual(yield* count, 20)
      yield* store.claim({ ...claim("owner", hour), key: "soon" })
      assert.strictEqual(yield* count, 21)
      yield* store.claim({ ...claim("owner", 2 * hour), key: "later" })
      assert.strictEqual(yield* count, 2)
    }).pipe(
      Effect.provide(Layer.provideMerge(IdempotencyStore.layerSql(), Sqlite.layer({ filename: ":memory:" })))
    ))

  it.effect("in files: swept every hour, with what killed processes left", () =>
    Effect.gen(function*() {
      const folder = yield* temporaryFolder
      const files = yield* FileSystem.FileSystem
      const left = Effect.map(
        files.readDirectory(folder, { recursive: true }),
        (names) => names.filter((name) => name.includes(".")).length
      )
      const store = yield* Effect.provideContext(
        Effect.service(IdempotencyStore),
        yield* Layer.build(IdempotencyStore.layerFile(folder))
      )
      for (let index = 0; index < 20; index++) yield* store.claim({ ...claim("owner"), key: `key ${index}` })
      const [shard = ""] = yield* files.readDirectory(folder)
      yield* files.writeFileString(`${folder}/${shard}/5-left.tmp`, "half")
      yield* store.claim({ ...claim("owner", hour, 10_000 * hour), key: "running" })
      assert.strictEqual(yield* left, 22)
      // The sweep reads real files: it is given as many turns as it needs.
      for (let turn = 0; turn < 1000 && (yield* left) > 1; turn++) yield* TestClock.adjust("30 minutes")
      assert.strictEqual(yield* left, 1)
      assert.strictEqual((yield* store.claim({ ...claim("other", 2 * hour), key: "running" }))._tag, "Running")
    }).pipe(Effect.provide(NodeFileSystem.layer)))
})

describe("files", () => {
  it.effect("a claim and its changes leave one file", () =>
    Effect.gen(function*() {
      const folder = yield* temporaryFolder
      const files = yield* FileSystem.FileSystem
      yield* Effect.gen(function*() {
        const store = yield* IdempotencyStore
        yield* store.claim(claim("owner"))
        for (let until = 11; until < 20; until++) yield* store.renew({ key: "key", owner: "owner", until })
        yield* store.keep({ key: "key", owner: "owner", result: "{}", until: 20 })
      }).pipe(Effect.provide(IdempotencyStore.layerFile(folder)))
      const names = yield* files.readDirectory(folder, { recursive: true })
      assert.strictEqual(names.filter((name) => name.includes(".")).length, 1)
    }).pipe(Effect.provide(NodeFileSystem.layer)))

  it.effect("a process that was held up between its look and its link takes its claim back", () =>
    Effect.gen(function*() {
      const folder = yield* temporaryFolder
      const real = yield* FileSystem.FileSystem
      let onLink: Effect.Effect<void, unknown> = Effect.void
      const slow: FileSystem.FileSystem = {
        ...real,
        link: (from, to) => Effect.andThen(Effect.orDie(Effect.suspend(() => onLink)), real.link(from, to))
      }
      const build = (files: FileSystem.FileSystem) =>
        Effect.map(
          Layer.build(Layer.provide(IdempotencyStore.layerFile(folder), Layer.succeed(FileSystem.FileSystem, files))),
          (context) => Effect.provideContext(Effect.service(IdempotencyStore), context)
        )
      const held = yield* yield* build(slow)
      const others = yield* yield* build(real)
      yield* others.claim(claim("gone"))
      // While it is held up, the file that it saw goes, and another claim has a file of the same name.
      onLink = Effect.gen(function*() {
        onLink = Effect.void
        yield* others.release({ key: "key", owner: "gone" })
        assert.strictEqual((yield* others.claim(claim("other", 10, 100)))._tag, "Claimed")
      })
      assert.deepStrictEqual(yield* held.claim(claim("held", 10, 100)), {
        _tag: "Running",
        fingerprint: "same",
        until: 100
      })
      assert.isTrue(yield* others.keep({ key: "key", owner: "other", result: "{}", until: 200 }))
    }).pipe(Effect.provide(NodeFileSystem.layer)))

  it.effect("a directory that cannot be made, and a file that is none of the store's, are typed errors", () =>
    Effect.gen(function*() {
      const folder = yield* temporaryFolder
      const files = yield* FileSystem.FileSystem
      yield* files.writeFileString(`${folder}/file`, "")
      const build = Layer.build(IdempotencyStore.layerFile(`${folder}/file/below`))
      assert.strictEqual((yield* Effect.flip(Effect.scoped(build))).code, "IDEMPOTENCY_STORE_FAILED")
      yield* Effect.gen(function*() {
        const store = yield* IdempotencyStore
        yield* store.claim(claim("owner"))
        const names = yield* files.readDirectory(`${folder}/store`, { recursive: true })
        const entry = names.find((name) => name.endsWith(".1")) ?? ""
        yield* files.writeFileString(`${folder}/store/${entry}`, "{")
        assert.strictEqual((yield* Effect.flip(store.claim(claim("other")))).code, "IDEMPOTENCY_STORE_FAILED")
      }).pipe(Effect.provide(IdempotencyStore.layerFile(`${folder}/store`)))
    }).pipe(Effect.provide(NodeFileSystem.layer)))
})

describe("layerSql", () => {
  it.effect("of all who have looked before anybody took it one gets the key", () =>
    Effect.gen(function*() {
      const real = yield* SqlClient.SqlClient
      // Whoever has looked lets all others look, too.
      const slow: SqlClient.SqlClient = new Proxy(real, {
        apply: (target, self, args: [TemplateStringsArray]) => {
          const statement = Reflect.apply(target, self, args) as Effect.Effect<unknown>
          return args[0][0]?.startsWith("SELECT") ? Effect.tap(statement, Effect.yieldNow) : statement
        },
        get: (target, key) => key === "withoutTransforms" ? () => slow : Reflect.get(target, key) as unknown
      })
      const layer = Layer.provide(IdempotencyStore.layerSql(), Layer.succeed(SqlClient.SqlClient, slow))
      const store = yield* Effect.provide(Effect.service(IdempotencyStore), layer)
      for (const now of [0, 10]) {
        const owners = Array.from({ length: 50 }, (_, index) => `owner ${index} at ${now}`)
        const answers = yield* Effect.forEach(owners, (owner) => store.claim(claim(owner, now)), {
          concurrency: "unbounded"
        })
        assert.strictEqual(answers.filter(({ _tag }) => _tag === "Claimed").length, 1)
      }
    }).pipe(Effect.provide(Sqlite.layer({ filename: ":memory:" }))))

  it.effect("makes its table once, under the name that it is given", () =>
    Effect.gen(function*() {
      const sql = yield* SqlClient.SqlClient
      for (let index = 0; index < 2; index++) {
        yield* Effect.scoped(Layer.build(IdempotencyStore.layerSql({ table: "my table" })))
      }
      assert.deepStrictEqual(yield* sql`SELECT name FROM sqlite_master WHERE type = 'table'`, [{ name: "my table" }])
    }).pipe(Effect.provide(Sqlite.layer({ filename: ":memory:" }))))

  it.effect("a table of another shape is a typed error", () =>
    Effect.gen(function*() {
      const sql = yield* SqlClient.SqlClient
      yield* sql`CREATE TABLE stageflow_idempotency (other TEXT)`
      const store = yield* Effect.provide(Effect.service(IdempotencyStore), IdempotencyStore.layerSql())
      assert.strictEqual((yield* Effect.flip(store.claim(claim("owner")))).code, "IDEMPOTENCY_STORE_FAILED")
    }).pipe(Effect.provide(Sqlite.layer({ filename: ":memory:" }))))
})

it("options are checked where they are given", () => {
  for (const pollEvery of [0, -1, Number.NaN]) {
    assert.throws(() => IdempotencyStore.layerSql({ pollEvery }), StageError.InvalidOption)
    assert.throws(() => IdempotencyStore.layerFile("folder", { pollEvery }), StageError.InvalidOption)
  }
})
