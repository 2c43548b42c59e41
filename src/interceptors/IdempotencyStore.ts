/**
 * Stores claims and results for `idempotency`: who runs what, and what came out of it.
 *
 * A store holds one entry for each key. Whoever comes first gets a claim, for as long as its lease; the owner renews it
 * while the stage runs and turns it into a result that is kept. A claim that nobody renews, and a result whose time is
 * over, count as nothing.
 *
 * | layer | who shares it | what survives |
 * |---|---|---|
 * | `layerMemory` | the runs of one process, below one Layer | nothing |
 * | `layerFile` | the processes of one machine | restarts and crashes |
 * | `layerSql` | whoever reaches the database (SQLite, PostgreSQL) | restarts and crashes |
 *
 * Processes compare leases by their own clocks, which should not differ by more than a fraction of the lease.
 */
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as SqlClient from "effect/sql/SqlClient"
import * as options from "../internal/options.ts"
import { ClaimsInProcess } from "./internal/idempotency/claims-in-process.ts"
import type { Answer, Claim, Claims, Owned } from "./internal/idempotency/claims.ts"
import { Doorbell } from "./internal/idempotency/doorbell.ts"
import { FileClaims } from "./internal/idempotency/file-claims.ts"
import { MemoryClaims } from "./internal/idempotency/memory-claims.ts"
import { makeSqlClaims } from "./internal/idempotency/sql-claims.ts"

/**
 * A store could not be read or written.
 */
export class IdempotencyStoreFailed extends Schema.TaggedError<IdempotencyStoreFailed>()("IdempotencyStoreFailed", {
  defect: Schema.Defect()
}) {
  readonly code = "IDEMPOTENCY_STORE_FAILED"
  override get message(): string {
    return "The store of idempotent results could not be read or written (see `defect`)"
  }
}

/**
 * How often to look for what other processes did; 100 milliseconds when left out. Within a process nobody waits for it.
 */
export interface IdempotencyPolling {
  readonly pollEvery?: Duration.Input | undefined
}

/**
 * Somebody asks to be the one who runs.
 */
export type IdempotencyClaim = Claim

/**
 * What a store says to a claim: it is yours, somebody else runs, or there is a result.
 */
export type IdempotencyAnswer = Answer

/**
 * Claims and results. Each operation is atomic: of all who claim a key at the same time one gets it.
 */
export class IdempotencyStore extends Context.Service<IdempotencyStore, {
  /**
   * Takes a key that nobody has, or whose lease or result is over. Counts the claims that ran out in a row, whose owners
   * neither kept a result nor released it; a store that does not count them lets each run count its own.
   */
  readonly claim: (claim: IdempotencyClaim) => Effect.Effect<IdempotencyAnswer, IdempotencyStoreFailed>
  /** Extends the lease. False when the claim is no longer the owner's. */
  readonly renew: (claim: Owned & { readonly until: number }) => Effect.Effect<boolean, IdempotencyStoreFailed>
  /** Turns the claim into a result, once: again, it changes nothing. False when neither is the owner's. */
  readonly keep: (
    claim: Owned & { readonly until: number; readonly result: string }
  ) => Effect.Effect<boolean, IdempotencyStoreFailed>
  /** Gives a claim up, unless it is no longer the owner's or has become a result. */
  readonly release: (claim: Owned) => Effect.Effect<void, IdempotencyStoreFailed>
  /** Watches a key from now on. The Effect inside ends when it may have changed, also when that was before it started. */
  readonly watch: (key: string) => Effect.Effect<Effect.Effect<void>, never, Scope.Scope>
}>()("stageflow/interceptors/IdempotencyStore") {
  /**
   * Claims and results in memory.
   */
  static readonly layerMemory: Layer.Layer<IdempotencyStore> = Layer.sync(
    IdempotencyStore,
    () => storeOf(new MemoryClaims(), undefined)
  )

  /**
   * Claims and results as files in a directory, which is made when it is not there. All processes of a machine can
   * share it; its file system must have hard links.
   */
  static readonly layerFile = (
    directory: string,
    settings?: IdempotencyPolling
  ): Layer.Layer<IdempotencyStore, IdempotencyStoreFailed, FileSystem.FileSystem> => {
    const pollEvery = pollEveryOf(settings)
    return Layer.effect(
      IdempotencyStore,
      Effect.gen(function*() {
        const claims = new FileClaims(yield* FileSystem.FileSystem, directory)
        yield* Effect.mapError(claims.prepare, failed)
        yield* Effect.forkScoped(Effect.forever(Effect.delay(claims.sweep, "1 hour")))
        return storeOf(claims, pollEvery)
      })
    )
  }

  /**
   * Claims and results in a table, which is made when it is not there. On SQLite and PostgreSQL.
   */
  static readonly layerSql = (
    settings?: IdempotencyPolling & {
      /** The name of the table; `stageflow_idempotency` when left out. */
      readonly table?: string | undefined
    }
  ): Layer.Layer<IdempotencyStore, IdempotencyStoreFailed, SqlClient.SqlClient> => {
    const pollEvery = pollEveryOf(settings)
    return Layer.effect(
      IdempotencyStore,
      Effect.gen(function*() {
        const sql = yield* SqlClient.SqlClient
        const claims = yield* Effect.mapError(makeSqlClaims(sql, settings?.table ?? "stageflow_idempotency"), failed)
        return storeOf(claims, pollEvery)
      })
    )
  }
}

const pollEveryOf = (settings: IdempotencyPolling | undefined): Duration.Duration =>
  options.positiveDuration("pollEvery", settings?.pollEvery ?? "100 millis")

const failed = (defect: unknown) => new IdempotencyStoreFailed({ defect })

/** The store that claims make. Whoever waits in this process is told at once; others look every so often. */
const storeOf = (claims: Claims<unknown>, pollEvery: Duration.Duration | undefined): IdempotencyStore["Service"] => {
  const bell = new Doorbell()
  const inProcess = new ClaimsInProcess()
  /** Nobody in this process has the claim any more. */
  const left = (claim: Owned) =>
    Effect.sync(() => {
      inProcess.drop(claim)
      bell.ring(claim.key)
    })
  return {
    claim: Effect.fnUntraced(function*(claim) {
      const running = yield* inProcess.answerTo(claim)
      if (running !== undefined) return running
      const answer = yield* Effect.mapError(claims.claim(claim), failed)
      if (answer._tag === "Claimed") yield* inProcess.take(claim)
      return answer
    }),
    renew: (claim) =>
      claims.renew(claim).pipe(
        Effect.mapError(failed),
        Effect.tap((isOurs) => isOurs ? inProcess.renew(claim) : left(claim))
      ),
    keep: (claim) => claims.keep(claim).pipe(Effect.mapError(failed), Effect.tap(left(claim))),
    release: (claim) => claims.release(claim).pipe(Effect.mapError(failed), Effect.ensuring(left(claim))),
    watch: (key) => {
      const rung = bell.listen(key)
      return pollEvery === undefined
        ? rung
        : Effect.map(rung, (wait) => Effect.asVoid(Effect.timeoutOption(wait, pollEvery)))
    }
  }
}
