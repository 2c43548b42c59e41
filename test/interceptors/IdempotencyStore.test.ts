import { NodeFileSystem } from "@effect/platform-node-shared"
import { assert, describe, it } from "@effect/vitest"
import { Effect, FileSystem, Layer } from "effect"
import { systemError } from "effect/PlatformError"
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

  it.effect("counts the claims in a row that ran out; one that was let go, or came to a result, is none", () =>
    using((store) =>
      Effect.gen(function*() {
        const losses = function*(now: number) {
          const answer = yield* store.claim(claim(`owner at ${now}`, now))
          assert(answer._tag === "Claimed")
          return answer.losses ?? 0
        }
        const found: Array<number> = []
        for (const now of [0, 10, 20, 30]) found.push(yield* losses(now))
        assert.deepStrictEqual(found, [0, 1, 2, 3])
        yield* store.renew({ key: "key", owner: "owner at 30", until: 50 })
        assert.strictEqual(yield* losses(50), 4)
        yield* store.release({ key: "key", owner: "owner at 50" })
        assert.strictEqual(yield* losses(51), 0)
        assert.strictEqual(yield* losses(61), 1)
        assert.isTrue(yield* store.keep({ key: "key", owner: "owner at 61", result: "{}", until: 70 }))
        assert.strictEqual(yield* losses(70), 0)
      })
    ).pipe(Effect.provide(layer)))

  it.effect("keeps once, also when it is told again", () =>
    using((store) =>
      Effect.gen(function*() {
        yield* store.claim(claim("first"))
        for (const [result, until] of [["one", 100], ["two", 200]] as const) {
          assert.isTrue(yield* store.keep({ key: "key", owner: "first", result, until }))
        }
        assert.isFalse(yield* store.keep({ key: "key", owner: "other", result: "three", until: 300 }))
        assert.deepStrictEqual(yield* store.claim(claim("second", 99)), {
          _tag: "Kept",
          fingerprint: "same",
          result: "one"
        })
        assert.strictEqual((yield* store.claim(claim("second", 100)))._tag, "Claimed")
        assert.isFalse(yield* store.keep({ key: "key", owner: "first", result: "one", until: 500 }))
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

  it.effect("a directory that cannot be made is a typed error", () =>
    Effect.gen(function*() {
      const folder = yield* temporaryFolder
      const files = yield* FileSystem.FileSystem
      yield* files.writeFileString(`${folder}/file`, "")
      const build = Layer.build(IdempotencyStore.layerFile(`${folder}/file/below`))
      assert.strictEqual((yield* Effect.flip(Effect.scoped(build))).code, "IDEMPOTENCY_STORE_FAILED")
    }).pipe(Effect.provide(NodeFileSystem.layer)))

  /** A store in a folder, and where the file of the key is that "owner" has claimed. */
  const claimedIn = Effect.fnUntraced(function*(folder: string) {
    const files = yield* FileSystem.FileSystem
    const store = yield* Effect.provideContext(
      Effect.service(IdempotencyStore),
      yield* Layer.build(IdempotencyStore.layerFile(folder))
    )
    yield* store.claim(claim("owner"))
    const names = yield* files.readDirectory(folder, { recursive: true })
    const path = `${folder}/${names.find((name) => name.endsWith(".1")) ?? ""}`
    return { files, store, path, stem: path.slice(0, -2) }
  })

  it.effect("a file that cannot be read makes its key unavailable, and no other; the error says which file it is", () =>
    Effect.gen(function*() {
      const { files, path, store } = yield* claimedIn(yield* temporaryFolder)
      const text = yield* files.readFileString(path)
      for (const broken of ["", "{", "{}", text.replace("\"key\":\"key\"", "\"key\":\"other\"")]) {
        yield* files.writeFileString(path, broken)
        for (
          const operation of [
            store.claim(claim("other")),
            store.renew({ key: "key", owner: "owner", until: 20 }),
            store.keep({ key: "key", owner: "owner", until: 20, result: "{}" }),
            store.release({ key: "key", owner: "owner" })
          ]
        ) {
          const error = yield* Effect.flip(operation)
          assert.strictEqual(error.code, "IDEMPOTENCY_STORE_FAILED")
          assert.include(String(error.defect), path)
        }
        assert.strictEqual((yield* store.claim({ ...claim("owner", 5, 6), key: "another" }))._tag, "Claimed")
        yield* store.release({ key: "another", owner: "owner" })
      }
      yield* files.remove(path)
      assert.strictEqual((yield* store.claim(claim("other")))._tag, "Claimed")
    }).pipe(Effect.provide(NodeFileSystem.layer)))

  it.effect("somebody else's files under the name of a key change nothing", () =>
    Effect.gen(function*() {
      const { files, path, stem, store } = yield* claimedIn(yield* temporaryFolder)
      const text = yield* files.readFileString(path)
      const names = ["", "bak", "1~", "1.swp", "01", "1e3", "-1", "2 (copy)", "Infinity", "NaN", "9007199254740993"]
      for (const name of names) yield* files.writeFileString(`${stem}.${name}`, text.replace("owner", "thief"))
      yield* files.writeFileString(`${stem}.7`, "none of ours")
      yield* files.makeDirectory(`${stem}.9`)
      assert.strictEqual((yield* store.claim(claim("other", 9)))._tag, "Running")
      assert.isTrue(yield* store.renew({ key: "key", owner: "owner", until: 20 }))
      assert.isTrue(yield* store.keep({ key: "key", owner: "owner", result: "{}", until: 30 }))
      for (let round = 0; round < 2; round++) {
        assert.strictEqual((yield* store.claim(claim("other", 29)))._tag, "Kept")
      }
      assert.strictEqual((yield* store.claim(claim("other", 30)))._tag, "Claimed")
      yield* store.release({ key: "key", owner: "other" })
      assert.strictEqual((yield* store.claim(claim("third", 31)))._tag, "Claimed")
      for (const name of names) assert.isTrue(yield* files.exists(`${stem}.${name}`))
    }).pipe(Effect.provide(NodeFileSystem.layer)))

  it.effect("the sweep goes on past what it cannot read or remove", () =>
    Effect.gen(function*() {
      const folder = yield* temporaryFolder
      const real = yield* FileSystem.FileSystem
      const denied = new Set<string>()
      const isDenied = (path: string) => denied.has(path)
      const deny = (path: string) =>
        Effect.fail(
          systemError({ _tag: "PermissionDenied", module: "FileSystem", method: "any", pathOrDescriptor: path })
        )
      const guarded: FileSystem.FileSystem = {
        ...real,
        readFileString: (path, encoding) => isDenied(path) ? deny(path) : real.readFileString(path, encoding),
        readDirectory: (path, options) => isDenied(path) ? deny(path) : real.readDirectory(path, options),
        remove: (path, options) => isDenied(path) ? deny(path) : real.remove(path, options)
      }
      const store = yield* Effect.provideContext(
        Effect.service(IdempotencyStore),
        yield* Layer.build(
          Layer.provide(IdempotencyStore.layerFile(folder), Layer.succeed(FileSystem.FileSystem, guarded))
        )
      )
      yield* real.writeFileString(`${folder}/README`, "Keep out")
      yield* real.makeDirectory(`${folder}/000`)
      yield* real.makeDirectory(`${folder}/notes`)
      yield* real.writeFileString(`${folder}/notes/1-left.tmp`, "somebody else's")
      for (let index = 0; index < 40; index++) yield* store.claim({ ...claim("owner"), key: `key ${index}` })
      const entries = Effect.map(
        real.readDirectory(folder, { recursive: true }),
        (names) => names.filter((name) => name.endsWith(".1")).map((name) => `${folder}/${name}`).toSorted()
      )
      const paths = yield* entries
      assert.lengthOf(paths, 40)
      // The first, the last and some between: one that is none, one that cannot be read, one that cannot be removed.
      for (const index of [0, 10, 39]) yield* real.writeFileString(paths[index] as string, "{")
      for (const index of [1, 20, 38]) denied.add(paths[index] as string)
      denied.add(`${folder}/000`)
      for (let turn = 0; turn < 1000 && (yield* entries).length > 6; turn++) yield* TestClock.adjust("30 minutes")
      assert.deepStrictEqual(yield* entries, [0, 1, 10, 20, 38, 39].map((index) => paths[index]))
      assert.isTrue(yield* real.exists(`${folder}/notes/1-left.tmp`))
      assert.isTrue(yield* real.exists(`${folder}/README`))
    }).pipe(Effect.provide(NodeFileSystem.layer)))

  it.effect("the name of a claim that was let go is not used again while somebody may mean its file", () =>
    Effect.gen(function*() {
      const folder = yield* temporaryFolder
      const { files, path, store } = yield* claimedIn(folder)
      yield* store.release({ key: "key", owner: "owner" })
      yield* store.claim(claim("other", 1, 100))
      // Somebody who was held up removes what it took for its own.
      yield* files.remove(path, { force: true })
      assert.strictEqual((yield* store.claim(claim("third", 2)))._tag, "Running")
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
