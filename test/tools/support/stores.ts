/**
 * Every store of approvals and of what can be undone, each in a place of its own.
 */
import { Effect, Layer } from "effect"
import { Sqlite } from "stageflow/sqlite"
import { Approvals, UndoStore } from "stageflow/tools"
import { temporaryFolder } from "../../support/temporary-folder.ts"

const onDisk = <A, E, E2, R>(
  layer: (database: Layer.Layer<Layer.Success<ReturnType<typeof Sqlite.layer>>, E2>) => Layer.Layer<A, E, R>
) =>
  Layer.unwrap(
    Effect.map(temporaryFolder, (folder) => layer(Sqlite.layer({ filename: `${folder}/tools.db` }) as never))
  )

export const approvals = {
  memory: Approvals.Approvals.layerMemory(),
  sql: onDisk((database) => Layer.provide(Approvals.Approvals.layerSql({ timeLimit: "60 seconds" }), database))
} as const

export const undos = {
  memory: UndoStore.layerMemory(),
  sql: onDisk((database) => Layer.provide(UndoStore.layerSql(), database))
} as const
