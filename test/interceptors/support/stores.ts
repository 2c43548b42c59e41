/**
 * Every store of idempotent results, and one that can be broken.
 */
import { NodeFileSystem } from "@effect/platform-node-shared"
import { Effect, Layer } from "effect"
import * as Interceptors from "stageflow/interceptors"
import { Sqlite } from "stageflow/sqlite"
import { temporaryFolder } from "../../support/temporary-folder.ts"

type Store = Interceptors.IdempotencyStore["Service"]

const { IdempotencyStore } = Interceptors

const inFolder = <E>(layer: (folder: string) => Layer.Layer<Interceptors.IdempotencyStore, E>) =>
  Layer.unwrap(Effect.map(temporaryFolder, layer))

/** The stores, each in a place of its own. */
export const stores = {
  memory: IdempotencyStore.layerMemory,
  file: inFolder((folder) => Layer.provide(IdempotencyStore.layerFile(folder), NodeFileSystem.layer)),
  sql: inFolder((folder) =>
    Layer.provide(IdempotencyStore.layerSql(), Sqlite.layer({ filename: `${folder}/idempotency.db` }))
  )
} as const

/** A store in memory whose operations can be replaced while a test goes on. */
export const breakable = Effect.gen(function*() {
  const store = yield* IdempotencyStore
  const broken: { -readonly [K in keyof Store]?: Store[K] | undefined } = {}
  const layer = Layer.succeed(IdempotencyStore, {
    claim: (claim) => (broken.claim ?? store.claim)(claim),
    renew: (claim) => (broken.renew ?? store.renew)(claim),
    keep: (claim) => (broken.keep ?? store.keep)(claim),
    release: (claim) => (broken.release ?? store.release)(claim),
    watch: (key) => (broken.watch ?? store.watch)(key)
  })
  return { store, broken, layer }
}).pipe(Effect.provide(IdempotencyStore.layerMemory))

/** What every operation of a store that is down does. */
export const down = Effect.fail(new Interceptors.IdempotencyStoreFailed({ defect: new Error("connection refused") }))
