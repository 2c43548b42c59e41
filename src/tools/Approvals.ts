/**
 * Keeps questions that somebody has to say yes or no to before a tool runs, and tells those who wait what was said.
 *
 * A question is decided once: by `decide`, by its time, or by being cancelled. Whatever comes after that is refused with
 * `ApprovalNotPending`. A decision counts from the moment in which it is kept, whoever waits for it and wherever.
 *
 * | layer | who can decide | what survives | time limit |
 * |---|---|---|---|
 * | `layerMemory` | this process | nothing | 60 seconds |
 * | `layerSql` | whoever reaches the database (SQLite, PostgreSQL) | restarts and crashes | none |
 *
 * A tool whose `needsApproval` is not `"never"` needs this service: a program that would have nobody to ask does not compile.
 *
 * ```ts
 * import { Effect } from "effect"
 * import { Approvals } from "stageflow/tools"
 *
 * const approveAll = Effect.gen(function*() {
 *   const approvals = yield* Approvals.Approvals
 *   for (const { id } of yield* approvals.list({ status: "pending" })) {
 *     yield* approvals.decide(id, { approve: true, by: "ada" })
 *   }
 * })
 * ```
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import * as SqlClient from "effect/sql/SqlClient"
import * as Stream from "effect/Stream"
import * as options from "../internal/options.ts"
import {
  ApprovalRequest,
  type ApprovalRows,
  asOf,
  type Filter,
  isOver,
  type Question,
  type Settlement,
  Status
} from "./internal/approval-rows.ts"
import { atMost, Bells } from "./internal/bells.ts"
import { MemoryApprovals } from "./internal/memory-approvals.ts"
import { makeSqlApprovals } from "./internal/sql-approvals.ts"

export {
  /** What a person is shown to decide on, and what came of it. */
  ApprovalRequest,
  /** How far an approval has come. */
  Status
}

/** Which approvals are asked for: those that fit all that is given. */
export type { Filter }

/**
 * Approvals could not be read or written.
 */
export class ApprovalStoreFailed extends Schema.TaggedError<ApprovalStoreFailed>()("ApprovalStoreFailed", {
  defect: Schema.Defect()
}) {
  readonly code = "APPROVAL_STORE_FAILED"
  override get message(): string {
    return "The store of approvals could not be read or written (see `defect`)"
  }
}

/**
 * There is no approval with that id.
 */
export class ApprovalNotFound extends Schema.TaggedError<ApprovalNotFound>()("ApprovalNotFound", {
  id: Schema.String
}) {
  readonly code = "APPROVAL_NOT_FOUND"
  override get message(): string {
    return `There is no approval "${this.id}"`
  }
}

/**
 * A decision came too late: the question was decided, has expired or was cancelled before.
 */
export class ApprovalNotPending extends Schema.TaggedError<ApprovalNotPending>()("ApprovalNotPending", {
  id: Schema.String,
  status: Status
}) {
  readonly code = "APPROVAL_NOT_PENDING"
  override get message(): string {
    return `Approval "${this.id}" is ${this.status}: it can no longer be decided`
  }
}

/**
 * What somebody said.
 */
export interface Decision {
  readonly approve: boolean
  /** Who says so. */
  readonly by: string
  readonly comment?: string | undefined
}

/** What is asked: all of a request but what asking makes of it. */
export type Ask = Omit<ApprovalRequest, "requestedAt" | "expiresAt" | "status" | "settledAt" | "by" | "comment"> & {
  /** The tool and its parameters, whole: a decision is on these and no others. */
  readonly about: string
}

/**
 * Questions and what was said to them.
 */
export class Approvals extends Context.Service<Approvals, {
  /**
   * Asks, or gives the question of that id that was asked before, by a process that is gone for one. One that has expired or
   * was cancelled is asked anew.
   */
  readonly request: (ask: Ask) => Effect.Effect<ApprovalRequest, ApprovalStoreFailed>
  /** Waits until a question is no longer pending. */
  readonly settled: (id: string) => Effect.Effect<ApprovalRequest, ApprovalStoreFailed | ApprovalNotFound>
  /** Says yes or no, once. */
  readonly decide: (
    id: string,
    decision: Decision
  ) => Effect.Effect<ApprovalRequest, ApprovalStoreFailed | ApprovalNotFound | ApprovalNotPending>
  /** Takes a question back. */
  readonly cancel: (
    id: string,
    comment?: string
  ) => Effect.Effect<ApprovalRequest, ApprovalStoreFailed | ApprovalNotFound | ApprovalNotPending>
  readonly get: (id: string) => Effect.Effect<ApprovalRequest, ApprovalStoreFailed | ApprovalNotFound>
  /** Those that fit, in the order in which they were asked. */
  readonly list: (filter: Filter) => Effect.Effect<ReadonlyArray<ApprovalRequest>, ApprovalStoreFailed>
  /** Every question that waits for a decision, each once, as they come. */
  readonly pending: Stream.Stream<ApprovalRequest, ApprovalStoreFailed>
  /** What becomes of a question when whoever waits for it is interrupted. */
  readonly whenInterrupted: "cancel" | "keep"
}>()("stageflow/tools/Approvals") {
  /**
   * Approvals in memory.
   */
  static readonly layerMemory = (settings: MemorySettings = {}): Layer.Layer<Approvals> => {
    const { keep, timeLimit } = options.fields<MemorySettings>("settings", ["timeLimit", "keep"], settings)
    const limitMs = Duration.toMillis(options.positiveDuration("timeLimit", timeLimit ?? "60 seconds"))
    const keepMs = Duration.toMillis(options.positiveDuration("keep", keep ?? "1 hour"))
    return Layer.sync(
      Approvals,
      () =>
        serviceOf(new MemoryApprovals(keepMs), { limitMs, pollMs: Number.POSITIVE_INFINITY, whenInterrupted: "cancel" })
    )
  }

  /**
   * Approvals in a table, which is made when it is not there. On SQLite and PostgreSQL.
   */
  static readonly layerSql = (
    settings: SqlSettings = {}
  ): Layer.Layer<Approvals, ApprovalStoreFailed, SqlClient.SqlClient> => {
    const names = ["table", "timeLimit", "pollEvery", "whenInterrupted"] as const
    const given = options.fields<SqlSettings>("settings", names, settings)
    const table = options.name("table", given.table ?? "stageflow_approvals")
    const { timeLimit } = given
    const how: How = {
      limitMs: timeLimit === undefined
        ? Number.POSITIVE_INFINITY
        : Duration.toMillis(options.positiveDuration("timeLimit", timeLimit)),
      pollMs: Duration.toMillis(options.positiveDuration("pollEvery", given.pollEvery ?? "1 second")),
      whenInterrupted: options.oneOf("whenInterrupted", ["cancel", "keep"], given.whenInterrupted ?? "cancel")
    }
    return Layer.effect(
      Approvals,
      Effect.gen(function*() {
        const sql = yield* SqlClient.SqlClient
        return serviceOf(yield* Effect.mapError(makeSqlApprovals(sql, table), failed), how)
      })
    )
  }
}

/** How approvals are kept in memory. */
export interface MemorySettings {
  /** How long a question can be decided. 60 seconds when left out. */
  readonly timeLimit?: Duration.Input | undefined
  /** How long a settled question is remembered. 1 hour when left out. */
  readonly keep?: Duration.Input | undefined
}

/** How approvals are kept in a table. */
export interface SqlSettings {
  /** The name of the table; `"stageflow_approvals"` when left out. */
  readonly table?: string | undefined
  /** How long a question can be decided. For ever when left out. */
  readonly timeLimit?: Duration.Input | undefined
  /** How often to look for what other processes did; 1 second when left out. Within a process nobody waits for it. */
  readonly pollEvery?: Duration.Input | undefined
  /**
   * What becomes of a question when the run that waits for it is interrupted: it is taken back, or it stays for the run to
   * be started again under the same id. `"cancel"` when left out.
   */
  readonly whenInterrupted?: "cancel" | "keep" | undefined
}

interface How {
  readonly limitMs: number
  readonly pollMs: number
  readonly whenInterrupted: "cancel" | "keep"
}

const failed = (defect: unknown): ApprovalStoreFailed => new ApprovalStoreFailed({ defect })

/** The bell that rings whenever there is a new question. */
const anyQuestion = ""

const decisionNames: ReadonlyArray<keyof Decision> = ["approve", "by", "comment"]

const settlementOf = (given: Decision, at: number): Settlement => {
  const { approve, by, comment } = options.fields<Decision>("decision", decisionNames, given)
  return {
    // Both are looked at here, whatever was given.
    status: options.flag("approve", approve as boolean) ? "approved" : "denied",
    at,
    by: options.name("by", by as string),
    comment: comment === undefined ? undefined : options.text("comment", comment)
  }
}

/** The service that rows make. Whoever waits in this process is told at once; others look every so often. */
const serviceOf = (rows: ApprovalRows<unknown>, how: How): Approvals["Service"] => {
  const bells = new Bells()
  const { limitMs, pollMs, whenInterrupted } = how

  const find = Effect.fnUntraced(function*(id: string) {
    const request = yield* Effect.mapError(rows.find(id), failed)
    if (request === undefined) return yield* new ApprovalNotFound({ id })
    return request
  })

  const get = Effect.fnUntraced(function*(id: string) {
    return asOf(yield* find(id), yield* Clock.currentTimeMillis)
  })

  const settle = Effect.fnUntraced(function*(id: string, settlement: Settlement) {
    const isSettled = yield* Effect.mapError(rows.settle(id, settlement), failed)
    if (isSettled) bells.ring(id)
    const request = asOf(yield* find(id), settlement.at)
    if (!isSettled) return yield* new ApprovalNotPending({ id, status: request.status })
    return request
  })

  const expire = (id: string, at: number) =>
    rows.settle(id, { status: "expired", at, by: undefined, comment: undefined }).pipe(
      Effect.mapError(failed),
      Effect.tap((isSettled) => Effect.sync(() => isSettled && bells.ring(id)))
    )

  const settled = (id: string) =>
    Effect.scoped(Effect.gen(function*() {
      while (true) {
        const changed = yield* bells.listen(id)
        const request = yield* find(id)
        if (request.status !== "pending") return request
        const now = yield* Clock.currentTimeMillis
        if (isOver(request, now)) yield* expire(id, now)
        else yield* atMost(changed, Math.min(pollMs, (request.expiresAt ?? Number.POSITIVE_INFINITY) - now))
      }
    }))

  const list = Effect.fnUntraced(function*(filter: Filter) {
    const now = yield* Clock.currentTimeMillis
    const { status, ...rest } = filter
    // What has expired may still be kept as pending.
    const looked = status === "pending" || status === "expired" ? rest : filter
    const found = (yield* Effect.mapError(rows.list(looked), failed)).map((request) => asOf(request, now))
    return status === undefined ? found : found.filter((request) => request.status === status)
  })

  const pending = Stream.unwrap(Effect.sync(() => {
    const seen = new Set<string>()
    const next = Effect.scoped(Effect.gen(function*() {
      while (true) {
        const changed = yield* bells.listen(anyQuestion)
        const all = yield* list({ status: "pending" })
        const keyOf = ({ id, requestedAt }: ApprovalRequest) => `${requestedAt} ${id}`
        const fresh = all.filter((request) => !seen.has(keyOf(request)))
        const keys = new Set(all.map(keyOf))
        for (const key of seen) if (!keys.has(key)) seen.delete(key)
        for (const key of keys) seen.add(key)
        if (fresh.length > 0) return fresh
        yield* atMost(changed, pollMs)
      }
    }))
    return Stream.fromIterableEffectRepeat(next)
  }))

  return {
    request: Effect.fnUntraced(function*({ about, ...ask }) {
      const now = yield* Clock.currentTimeMillis
      const request: ApprovalRequest = {
        ...ask,
        requestedAt: now,
        ...(Number.isFinite(limitMs) ? { expiresAt: now + limitMs } : {}),
        status: "pending"
      }
      const question: Question = { about, request }
      const asked = yield* Effect.mapError(rows.ask(question, now), failed)
      // Ids are made of what is asked: what has the same one and is about something else was made to have it.
      if (asked.about !== about) return yield* failed(new Error("Another question has the id of this one"))
      bells.ring(anyQuestion)
      return asOf(asked.request, now)
    }),
    settled,
    decide: Effect.fnUntraced(function*(id, decision) {
      return yield* settle(id, settlementOf(decision, yield* Clock.currentTimeMillis))
    }),
    cancel: Effect.fnUntraced(function*(id, comment) {
      return yield* settle(id, { status: "cancelled", at: yield* Clock.currentTimeMillis, by: undefined, comment })
    }),
    get,
    list,
    pending,
    whenInterrupted
  }
}
