/**
 * Keeps what tools have done that can be taken back, for as long as it can.
 *
 * A tool with an `undo` needs this service. `Undo.undo` and `Undo.undoRun` take back what is kept.
 *
 * | layer | who can take back | what survives |
 * |---|---|---|
 * | `layerMemory` | this process | nothing |
 * | `layerSql` | whoever reaches the database (SQLite, PostgreSQL) and has the tool | restarts and crashes |
 */
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import * as SqlClient from "effect/sql/SqlClient"
import * as options from "../internal/options.ts"
import { MemoryUndo } from "./internal/memory-undo.ts"
import { makeSqlUndo } from "./internal/sql-undo.ts"
import type { Begun, Done, UndoRows } from "./internal/undo-rows.ts"

/** What an action has done, with what it was given and gave as JSON. */
export type { Done }

/** What a store says to somebody who wants to take back an action. */
export type { Begun }

/**
 * What was done could not be read or written.
 */
export class UndoStoreFailed extends Schema.TaggedError<UndoStoreFailed>()("UndoStoreFailed", {
  defect: Schema.Defect()
}) {
  readonly code = "UNDO_STORE_FAILED"
  override get message(): string {
    return "The store of what can be undone could not be read or written (see `defect`)"
  }
}

/**
 * How long things can be taken back, and where that is kept.
 */
export interface Settings {
  /** How long an action can be taken back. 1 hour when left out. */
  readonly ttl?: Duration.Input | undefined
}

/**
 * What tools have done, and who takes it back.
 */
export class UndoStore extends Context.Service<UndoStore, {
  /** How long an action can be taken back, in milliseconds. */
  readonly ttlMs: number
  /** Keeps what an action has done, beside what it has done before. */
  readonly keep: (done: Omit<Done, "order" | "expiresAt">) => Effect.Effect<void, UndoStoreFailed>
  /** Begins to take back an action, of one organisation where that is said. Of all who begin one does. */
  readonly begin: UndoRows<UndoStoreFailed>["begin"]
  /** The action is taken back. */
  readonly end: UndoRows<UndoStoreFailed>["end"]
  /** These entries of the action could not be taken back: somebody may try again. */
  readonly giveBack: UndoRows<UndoStoreFailed>["giveBack"]
  /** The actions of a run, or of the whole tree of runs that it is the first of, that can be taken back: the last first. */
  readonly ofRun: UndoRows<UndoStoreFailed>["ofRun"]
}>()("stageflow/tools/UndoStore") {
  /**
   * Keeps in memory what was done.
   */
  static readonly layerMemory = (settings: Settings = {}): Layer.Layer<UndoStore> => {
    const ttlMs = ttlOf(options.fields<Settings>("settings", ["ttl"], settings))
    return Layer.sync(UndoStore, () => serviceOf(new MemoryUndo(), ttlMs))
  }

  /**
   * Keeps what was done in a table, which is made when it is not there. On SQLite and PostgreSQL.
   */
  static readonly layerSql = (
    settings: Settings & {
      /** The name of the table; `"stageflow_undo"` when left out. */
      readonly table?: string | undefined
    } = {}
  ): Layer.Layer<UndoStore, UndoStoreFailed, SqlClient.SqlClient> => {
    const { table, ...rest } = options.fields<typeof settings>("settings", ["ttl", "table"], settings)
    const ttlMs = ttlOf(rest)
    const name = options.name("table", table ?? "stageflow_undo")
    return Layer.effect(
      UndoStore,
      Effect.gen(function*() {
        const sql = yield* SqlClient.SqlClient
        return serviceOf(yield* Effect.mapError(makeSqlUndo(sql, name), failed), ttlMs)
      })
    )
  }
}

const ttlOf = ({ ttl }: Settings): number => Duration.toMillis(options.positiveDuration("ttl", ttl ?? "1 hour"))

const failed = (defect: unknown): UndoStoreFailed => new UndoStoreFailed({ defect })

const serviceOf = (rows: UndoRows<unknown>, ttlMs: number): UndoStore["Service"] => {
  let order = 0
  return {
    ttlMs,
    keep: (done) =>
      Effect.suspend(() => Effect.mapError(rows.keep({ ...done, order: ++order, expiresAt: done.at + ttlMs }), failed)),
    begin: (actionId, now, whose) => Effect.mapError(rows.begin(actionId, now, whose), failed),
    end: (actionId, now) => Effect.mapError(rows.end(actionId, now), failed),
    giveBack: (actionId, entries) => Effect.mapError(rows.giveBack(actionId, entries), failed),
    ofRun: (runId, now, whose) => Effect.mapError(rows.ofRun(runId, now, whose), failed)
  }
}
