/**
 * Keeps what is needed to read runs back: what went in and came out, every attempt, error and event, and the runs that
 * stages started.
 *
 * One Layer is all it takes: every run of every pipeline below it is kept. `layerMemory` keeps runs for as long as the Layer
 * lives, `layerFile` in files of a directory, `layerSql` in tables of SQLite or PostgreSQL. What is kept is read back with
 * `list`, `get` and `outputs`; `Replay` runs it again.
 *
 * A run never waits for its log. What happens goes into a buffer, and from there to the store in batches, by a fiber of its
 * own; a full buffer drops the newest and counts it, and a store that fails is tried again, then counted and reported as a
 * warning. Closing the Layer writes all that was accepted. `get` and `list` see what happened before they were asked.
 *
 * What a stage gave goes through its `output` schema, an error through the `error` schema. Without one, data has to be
 * plain; what is not is a note that says why. `Redacted` values are never kept, wherever they are, and `redact` says what
 * else is left out.
 *
 * ```ts
 * import { Effect } from "effect"
 * import { Pipeline, Snapshot } from "stageflow"
 * import { RunLog } from "stageflow/observability"
 *
 * const pipeline = Pipeline.make("hello").transform("greet", { run: Effect.succeed({ text: "Hello" }) })
 *
 * const program = Effect.gen(function*() {
 *   yield* Pipeline.run(pipeline, Snapshot.make({ pipelineRunId: "run-1" }))
 *   const run = yield* RunLog.get("run-1")
 *   const { greet } = yield* RunLog.outputs(pipeline, "run-1")
 *   return { status: run.status, greet }
 * }).pipe(Effect.provide(RunLog.layerMemory()))
 * ```
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Base64Url from "effect/encoding/Base64Url"
import type * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import type { PlatformError } from "effect/PlatformError"
import * as Result from "effect/Result"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import type * as SqlClient from "effect/sql/SqlClient"
import type { SqlError } from "effect/sql/SqlError"
import { errorSummaryOf } from "../attempt/error-summary.ts"
import { Observers } from "../attempt/observing.ts"
import type { AnyNode } from "../checks/wiring.ts"
import { isRunEnd } from "../Event.ts"
import type { Delivery as Account } from "../EventSink.ts"
import * as Delivery from "../internal/delivery.ts"
import * as options from "../internal/options.ts"
import { describeProblems } from "../internal/problems.ts"
import { define } from "../internal/record.ts"
import type * as Pipeline from "../Pipeline.ts"
import type { PipelineInvalid } from "../PipelineInvalid.ts"
import * as ResultCodec from "../ResultCodec.ts"
import { assembled } from "./internal/assembled-run.ts"
import { Keeping, type Policy } from "./internal/kept-values.ts"
import { PortCalls } from "./internal/port-calls.ts"
import type { RunSummary } from "./internal/run-changes.ts"
import { fileStore } from "./internal/run-files.ts"
import { ChunkWriter, type Heard, Recorder } from "./internal/run-recorder.ts"
import { type Damage, memoryStore, type Place, type Store } from "./internal/run-store.ts"
import { sqlStore } from "./internal/run-tables.ts"
import { layerAnswering, type PortRecording } from "./PortRecording.ts"
import { type RunRecord, RunStatus, type StageStatus } from "./RunRecord.ts"

export type { Field, Part, Policy } from "./internal/kept-values.ts"
export { RunSummary } from "./internal/run-changes.ts"
export type { Damage } from "./internal/run-store.ts"

// ---------------------------------------------------------------------------------------------------------------------
// what a run says of itself
// ---------------------------------------------------------------------------------------------------------------------

/**
 * The tags of the runs that are started here, and of the runs that their stages start: to find them by in a list. What is
 * no text is left out.
 *
 * ```ts
 * import { Effect } from "effect"
 * import { Pipeline, Snapshot } from "stageflow"
 * import { RunLog } from "stageflow/observability"
 *
 * const pipeline = Pipeline.make("hello").transform("greet", { run: Effect.succeed({ text: "Hello" }) })
 * const nightly = Pipeline.run(pipeline, Snapshot.make()).pipe(Effect.provideService(RunLog.Tags, ["nightly"]))
 * ```
 */
export const Tags = Context.Reference<ReadonlyArray<string>>("stageflow/observability/RunLog/Tags", {
  defaultValue: () => []
})

/**
 * The run that a run which is started here replays. `Replay` sets it; it is kept in the record as `replayOf`.
 */
export const ReplayOf = Context.Reference<string | undefined>("stageflow/observability/RunLog/ReplayOf", {
  defaultValue: () => undefined
})

// ---------------------------------------------------------------------------------------------------------------------
// errors
// ---------------------------------------------------------------------------------------------------------------------

/**
 * No run of this id is in the log: there never was one, it was not in the sample, or it is no longer kept.
 */
export class RunNotFound extends Schema.TaggedError<RunNotFound>()("RunNotFound", {
  runId: Schema.String,
  /** The run that was most likely meant. */
  didYouMean: Schema.optionalKey(Schema.String)
}) {
  readonly code = "RUN_NOT_FOUND"
  override get message(): string {
    const hint = this.didYouMean === undefined ? "" : ` Did you mean "${this.didYouMean}"?`
    return `No run "${this.runId}" is in the run log.${hint}`
  }
}

/**
 * The store of the run log could not be read.
 */
export class RunLogFailed extends Schema.TaggedError<RunLogFailed>()("RunLogFailed", {
  operation: Schema.String,
  cause: Schema.Defect()
}) {
  readonly code = "RUN_LOG_FAILED"
  override get message(): string {
    const { message, tag } = errorSummaryOf(this.cause)
    return `The run log could not ${this.operation}: ${message === "" ? tag : `${tag}: ${message}`}`
  }
}

/**
 * What was given as the place where a list goes on is none.
 */
export class CursorInvalid extends Schema.TaggedError<CursorInvalid>()("CursorInvalid", {}) {
  readonly code = "CURSOR_INVALID"
  override get message(): string {
    return "The cursor is none that a list of runs gave: begin again without one"
  }
}

/**
 * What stages of a run gave cannot be read back: it was not kept, or the stages of today do not know it.
 */
export class OutputsNotKept extends Schema.TaggedError<OutputsNotKept>()("OutputsNotKept", {
  runId: Schema.String,
  pipeline: Schema.String,
  problems: Schema.Array(Schema.Struct({ stage: Schema.String, reason: Schema.String }))
}) {
  readonly code = "OUTPUTS_NOT_KEPT"
  override get message(): string {
    const problems = this.problems.map(({ reason, stage }) => `stage "${stage}": ${reason}`).join("; ")
    return `What the stages of run "${this.runId}" gave cannot be read back: ${problems}`
  }
}

// ---------------------------------------------------------------------------------------------------------------------
// the service
// ---------------------------------------------------------------------------------------------------------------------

/**
 * Which runs a list has. Without anything it has all of them, the newest first.
 */
export interface Query {
  readonly pipeline?: string | undefined
  readonly status?: RunStatus | undefined
  /** Runs that started at this time or later, in milliseconds since the epoch. */
  readonly from?: number | undefined
  /** Runs that started before this time. */
  readonly to?: number | undefined
  readonly userId?: string | undefined
  readonly orgId?: string | undefined
  readonly tag?: string | undefined
  /** Only runs that no stage started. `false` when left out. */
  readonly roots?: boolean | undefined
  /** How many, at most. 50 when left out, and never more than 1,000. */
  readonly limit?: number | undefined
  /** Where the page before ended: its `next`. */
  readonly after?: string | undefined
}

/**
 * A part of a list.
 */
export interface Page {
  readonly runs: ReadonlyArray<RunSummary>
  /** Where the list goes on; `undefined` at its end. */
  readonly next: string | undefined
}

/**
 * The service that keeps runs.
 */
export class RunLog extends Context.Service<RunLog, {
  readonly list: (query?: Query) => Effect.Effect<Page, CursorInvalid | RunLogFailed>
  readonly get: (runId: string) => Effect.Effect<RunRecord, RunNotFound | RunLogFailed>
  /** What became of all that happened in the runs so far: pieces of runs, at least one for each event. */
  readonly delivery: Effect.Effect<Account>
  /** What of the store cannot be read. */
  readonly damages: Effect.Effect<ReadonlyArray<Damage>, RunLogFailed>
}>()("stageflow/observability/RunLog") {}

/**
 * Lists runs, the newest first.
 *
 * A page has at most `limit` of them; `after` with the `next` of a page gives the page behind it.
 */
export const list = (query?: Query): Effect.Effect<Page, CursorInvalid | RunLogFailed, RunLog> =>
  Effect.flatMap(RunLog, (log) => log.list(query))

/**
 * Reads a run back, with the runs that its stages started, and theirs. Where several runs had the same id, it is the last.
 *
 * A run that goes on is read as far as it has come. One whose process has died is `lost`.
 */
export const get = (runId: string): Effect.Effect<RunRecord, RunNotFound | RunLogFailed, RunLog> =>
  Effect.flatMap(RunLog, (log) => log.get(runId))

/**
 * What became of the pieces of runs that the log was to keep.
 */
export const delivery: Effect.Effect<Account, never, RunLog> = Effect.flatMap(RunLog, (log) => log.delivery)

/**
 * What of the store cannot be read: everything before it is read all the same.
 */
export const damages: Effect.Effect<ReadonlyArray<Damage>, RunLogFailed, RunLog> = Effect.flatMap(
  RunLog,
  (log) => log.damages
)

/**
 * Reads what the stages of a run gave, as values of their types: those that ended with data or were skipped.
 *
 * It fails with `OutputsNotKept` where something was not kept, or the pipeline has changed so that it no longer fits.
 */
export const outputs = Effect.fnUntraced(function*<N extends AnyNode, E, R, V>(
  pipeline: Pipeline.Pipeline<N, E, R, V>,
  runId: string
): Effect.fn.Return<
  Partial<Pipeline.Outputs<N>>,
  RunNotFound | RunLogFailed | OutputsNotKept | PipelineInvalid,
  RunLog
> {
  const run = yield* get(runId)
  const codecs = new Map((yield* ResultCodec.stages(pipeline)).map((stage) => [stage.name, stage]))
  const read: Record<string, unknown> = {}
  const problems: Array<{ readonly stage: string; readonly reason: string }> = []
  const isIncomplete = run.missing !== undefined || run.damage !== undefined
  for (const { name, output, status } of run.stages) {
    if (isIncomplete && unended.has(status)) problems.push({ stage: name, reason: "how it ended was not kept" })
    if (status !== "ok" && status !== "skipped") continue
    const decoded = yield* Effect.result(outputOf(codecs.get(name), output))
    if (Result.isSuccess(decoded)) define(read, name, decoded.success)
    else problems.push({ stage: name, reason: decoded.failure })
  }
  if (problems.length > 0) {
    return yield* Effect.fail(new OutputsNotKept({ runId, pipeline: pipeline.name, problems }))
  }
  return read as Partial<Pipeline.Outputs<N>> // the schemas are those of this pipeline
})

/** What stages are that may have ended in a part of the run that is not here. */
const unended: ReadonlySet<StageStatus> = new Set(["waiting", "running", "never_started"])

/** What a stage gave, or why it cannot be read. */
const outputOf = (
  codec: ResultCodec.StageCodec | undefined,
  output: RunRecord["stages"][number]["output"]
): Effect.Effect<unknown, string> => {
  if (codec === undefined) return Effect.fail("the pipeline has no such stage any more")
  if (output._tag === "NotKept") {
    return Effect.fail(`it was not kept (${output.reason}${output.detail === undefined ? "" : `: ${output.detail}`})`)
  }
  if (output.redacted !== undefined) return Effect.fail(`it was kept without ${output.redacted.join(", ")}`)
  return Effect.mapError(
    codec.outcome.read(output.json),
    (problems) => `it no longer fits: ${describeProblems(problems)}`
  )
}

// ---------------------------------------------------------------------------------------------------------------------
// settings
// ---------------------------------------------------------------------------------------------------------------------

/**
 * How pieces of runs wait for the store.
 */
export interface Buffer {
  /** How many pieces may wait. 100,000 when left out; a stage has two, or some more. */
  readonly capacity?: number | undefined
  /** How many are written at once, at most. 500 when left out. */
  readonly batchSize?: number | undefined
  /** How long a piece may wait for its batch to become full; with 0 none does. 1 second when left out. */
  readonly flushInterval?: Duration.Input | undefined
  /** When a batch that failed is written again. 5 times when left out, after 200 ms, then twice as long each time. */
  readonly retry?: Schedule.Schedule<unknown> | undefined
  /** How long writing a batch may take before it has failed. 30 seconds when left out. */
  readonly timeout?: Duration.Input | undefined
  /** How long closing may take. 10 seconds when left out. */
  readonly closeTimeout?: Duration.Input | undefined
}

/**
 * How long runs are kept.
 */
export interface Retention {
  /** Runs that started longer ago are forgotten. */
  readonly maxAge?: Duration.Input | undefined
  /** Of more runs than these, the oldest are forgotten. Runs that stages started go with them and are not counted. */
  readonly maxRuns?: number | undefined
}

/**
 * What is kept of runs, and for how long.
 */
export interface Settings {
  /**
   * Which part of the runs is kept, from 0 to 1. 1 when left out.
   *
   * Which runs these are depends on their ids alone. Runs that fail, are cancelled, rejected, interrupted or incomplete are
   * always kept. Runs that stages start are kept or not with the run above them, and keep it when they end so themselves.
   * What is not in the sample waits in memory until its run has ended.
   */
  readonly keep?: number | undefined
  /** Says of a field whether it is left out, besides `Redacted` values. A policy that throws leaves the value out. */
  readonly redact?: Policy | undefined
  /** How long the JSON of a value may be, in characters; of one that is longer the log says so. 1,000,000 when left out. */
  readonly maxValueSize?: number | undefined
  /**
   * How long runs are kept: all of them for ever when left out, and 1,000 in memory. It is applied when the Layer is built,
   * and from then on at most once a minute, when something is written; in memory with every batch. A run that goes on is kept.
   */
  readonly retention?: Retention | undefined
  /**
   * After how long without a sign of life of its process a run that has not ended is `lost`. 1 minute when left out. A
   * process with runs in flight gives one three times as often.
   */
  readonly lostAfter?: Duration.Input | undefined
  readonly buffer?: Buffer | undefined
}

const settingKeys = [
  "keep",
  "redact",
  "maxValueSize",
  "retention",
  "lostAfter",
  "buffer"
] as const satisfies ReadonlyArray<keyof Settings>

const bufferKeys = [
  "capacity",
  "batchSize",
  "flushInterval",
  "retry",
  "timeout",
  "closeTimeout"
] as const satisfies ReadonlyArray<keyof Buffer>

const defaultRetry = Schedule.exponential("200 millis").pipe(Schedule.upTo({ times: 5 }))

const reportFailed = (items: ReadonlyArray<Heard>, cause: Cause.Cause<unknown>): Effect.Effect<void> => {
  const { message, tag } = errorSummaryOf(Cause.squash(cause))
  const runs = new Set(items.map(({ run }) => run)).size
  return Effect.logWarning(
    `Run log: ${items.length} piece(s) of ${runs} run(s) not kept: ${tag}${message === "" ? "" : `: ${message}`}`
  )
}

const reportLosses = ({ dropped, failed }: Account): Effect.Effect<void> =>
  dropped > 0 || failed > 0
    ? Effect.logWarning(`Run log closed: ${dropped} piece(s) of runs dropped, ${failed} not kept`)
    : Effect.void

const checkedBuffer = (given: Buffer = {}) => {
  const buffer = options.fields<Buffer>("buffer", bufferKeys, given)
  const capacity = options.positiveCount("capacity", buffer.capacity ?? 100_000)
  const flushInterval = options.duration("flushInterval", buffer.flushInterval ?? "1 second")
  return {
    timeout: options.positiveDuration("timeout", buffer.timeout ?? "30 seconds"),
    delivery: {
      capacity,
      overflow: "drop-newest",
      batchSize: options.positiveCount("batchSize", buffer.batchSize ?? 500),
      flushInterval: Duration.isZero(flushInterval) ? undefined : flushInterval,
      closeTimeout: options.duration("closeTimeout", buffer.closeTimeout ?? "10 seconds"),
      highWater: Math.max(1, Math.ceil(capacity * 0.8)),
      retry: options.schedule("retry", buffer.retry ?? defaultRetry),
      onFailed: reportFailed,
      onRelieved: (dropped) =>
        Effect.logWarning(`Run log: ${dropped} piece(s) of runs dropped while its buffer was full`)
    } satisfies Delivery.DeliverySettings<Heard, unknown>
  }
}

const checked = (given: Settings, maxRunsInAnyCase?: number) => {
  const settings = options.fields<Settings>("settings", settingKeys, given)
  const retention = settings.retention === undefined
    ? { maxRuns: maxRunsInAnyCase }
    : options.fields<Retention>("retention", ["maxAge", "maxRuns"], settings.retention)
  return {
    keep: options.ratio("keep", settings.keep ?? 1),
    redact: settings.redact === undefined ? undefined : options.callable("redact", settings.redact),
    maxValueSize: options.positiveCount("maxValueSize", settings.maxValueSize ?? 1_000_000),
    maxAgeMs: retention.maxAge === undefined
      ? undefined
      : Duration.toMillis(options.positiveDuration("maxAge", retention.maxAge)),
    maxRuns: retention.maxRuns === undefined ? undefined : options.positiveCount("maxRuns", retention.maxRuns),
    lostAfterMs: Duration.toMillis(options.positiveDuration("lostAfter", settings.lostAfter ?? "1 minute")),
    buffer: checkedBuffer(settings.buffer)
  }
}

type Checked = ReturnType<typeof checked>

// ---------------------------------------------------------------------------------------------------------------------
// lists
// ---------------------------------------------------------------------------------------------------------------------

const mostAtOnce = 1_000

const Cursor = Schema.fromJsonString(Schema.Tuple([Schema.Int, Schema.String]))
const encodeCursor = Schema.encodeUnknownSync(Cursor)
const decodeCursor = Schema.decodeUnknownResult(Cursor)

const cursorOf = ({ key, startedAt }: Place): string => Base64Url.encode(encodeCursor([startedAt, key]))

const placeOf = (cursor: string): Effect.Effect<Place, CursorInvalid> =>
  Base64Url.decodeString(cursor).pipe(
    Result.flatMap(decodeCursor),
    Result.map(([startedAt, key]) => ({ startedAt, key })),
    Result.mapError(() => new CursorInvalid()),
    Effect.fromResult
  )

const queryKeys = [
  "pipeline",
  "status",
  "from",
  "to",
  "userId",
  "orgId",
  "tag",
  "roots",
  "limit",
  "after"
] as const satisfies ReadonlyArray<keyof Query>

const checkedQuery = (given: Query) => {
  const { after, from, limit, orgId, pipeline, roots, status, tag, to, userId } = options.fields(
    "query",
    queryKeys,
    given
  )
  const text = (name: string, value: string | undefined) => value === undefined ? undefined : options.text(name, value)
  const time = (name: string, value: number | undefined) => value === undefined ? undefined : options.whole(name, value)
  return {
    pipeline: text("pipeline", pipeline),
    status: status === undefined ? undefined : options.oneOf("status", RunStatus.literals, status),
    from: time("from", from),
    to: time("to", to),
    userId: text("userId", userId),
    orgId: text("orgId", orgId),
    tag: text("tag", tag),
    rootsOnly: roots === undefined ? false : options.flag("roots", roots),
    limit: options.atMost("limit", options.positiveCount("limit", limit ?? 50), mostAtOnce),
    after: text("after", after)
  }
}

// ---------------------------------------------------------------------------------------------------------------------
// layers
// ---------------------------------------------------------------------------------------------------------------------

const failing = (operation: string) => <A>(effect: Effect.Effect<A, unknown>): Effect.Effect<A, RunLogFailed> =>
  Effect.catchCause(effect, (cause) =>
    Cause.hasInterruptsOnly(cause)
      ? Effect.interrupt
      : Effect.fail(new RunLogFailed({ operation, cause: Cause.squash(cause) })))

/** A tag may come from anywhere. What is no text could not be read back, nor could what is kept beside it. */
const textsIn = (given: unknown): ReadonlyArray<string> =>
  Array.isArray(given) ? Array.from<unknown>(given).filter((text) => typeof text === "string") : []

/** Retention is applied at most as often as this, where it takes time. */
const forgettingEveryMs = 60_000

/** Of more ends of runs that found no room, the first are lost. */
const mostOwed = 10_000

/** What writes batches, and forgets what is too old meanwhile. */
const writing = (store: Store, chunks: ChunkWriter, settings: Checked, everyMs: number, onWritten: () => void) => {
  // A batch that is written again has the same chunks again.
  const written = new WeakMap<ReadonlyArray<Heard>, Effect.Success<ReturnType<ChunkWriter["chunksOf"]>>>()
  let forgottenAt: number | undefined
  const forget = Effect.gen(function*() {
    const { lostAfterMs, maxAgeMs, maxRuns } = settings
    const now = yield* Clock.currentTimeMillis
    if (maxAgeMs === undefined && maxRuns === undefined) return
    if (forgottenAt !== undefined && now - forgottenAt < everyMs) return
    forgottenAt = now
    yield* store.forget(
      { before: maxAgeMs === undefined ? undefined : now - maxAgeMs, count: maxRuns },
      now - lostAfterMs
    )
  }).pipe(
    // What could not be forgotten now is forgotten later.
    Effect.catchCause((cause) => Effect.logWarning("Run log: old runs could not be forgotten", cause))
  )
  const deliver = Effect.fnUntraced(function*(heard: ReadonlyArray<Heard>) {
    const known = written.get(heard) ?? (yield* chunks.chunksOf(heard))
    written.set(heard, known)
    const now = yield* Clock.currentTimeMillis
    yield* Effect.timeout(store.write(known, now), settings.buffer.timeout)
    onWritten()
    yield* forget
  })
  return { deliver, forget }
}

const make = Effect.fnUntraced(function*(
  settings: Checked,
  writer: string,
  store: Store,
  forgettingEvery = forgettingEveryMs
): Effect.fn.Return<Context.Context<RunLog>, never, Scope.Scope> {
  // The end of a run says most of it: one that finds no room comes when there is some.
  const owed: Array<Heard> = []
  const payOwed = () => {
    const paid = owed.findIndex((heard) => {
      if (!buffer.hasRoom) return true
      buffer.offer(heard)
      return false
    })
    owed.splice(0, paid === -1 ? owed.length : paid)
  }
  const chunks = new ChunkWriter(new Keeping(settings.redact, settings.maxValueSize), writer)
  const writes = writing(store, chunks, settings, forgettingEvery, payOwed)
  yield* writes.forget
  // After the buffer has been emptied.
  yield* Effect.addFinalizer(() => Effect.ignore(Effect.flatMap(Clock.currentTimeMillis, (now) => store.end(now))))
  const buffer: Delivery.Delivery<Heard, unknown> = yield* Delivery.make<Heard, unknown, never>(
    writes.deliver,
    settings.buffer.delivery,
    reportLosses
  )
  const handOn = (heard: Heard) => {
    if (heard.event === undefined || !isRunEnd(heard.event)) return buffer.offer(heard)
    const { dropped } = buffer.account
    buffer.offer(heard)
    if (buffer.account.dropped > dropped && owed.length < mostOwed) owed.push(heard)
  }
  const recorder: Recorder = new Recorder(
    writer,
    settings.keep,
    (environment) => ({
      tags: textsIn(Context.get(environment, Tags)),
      replayOf: textsIn([Context.get(environment, ReplayOf)])[0]
    }),
    handOn
  )
  /** All that has happened is kept: the ends of runs, too, that found no room. */
  const settled = Effect.gen(function*() {
    for (let due = Number.POSITIVE_INFINITY, left = owed.length; left < due;) {
      yield* buffer.flush
      if (left === 0) return
      due = left
      left = owed.length
    }
  })
  const signOfLife = Effect.suspend(() =>
    recorder.hasOpenRuns
      ? Effect.ignore(Effect.flatMap(Clock.currentTimeMillis, (now) => store.beat(now)))
      : Effect.void
  )
  yield* Effect.forkScoped(Effect.forever(Effect.delay(signOfLife, Duration.millis(settings.lostAfterMs / 3))))
  const alive = Effect.map(Clock.currentTimeMillis, (now) => now - settings.lostAfterMs)
  const service = RunLog.of({
    list: (given = {}) => {
      const { after, limit, ...query } = checkedQuery(given)
      return Effect.gen(function*() {
        const place = after === undefined ? undefined : yield* placeOf(after)
        yield* settled
        // One more than there is room for says whether there are more.
        const found = yield* Effect.flatMap(
          alive,
          (since) => store.list({ ...query, limit: limit + 1, after: place }, since)
        )
          .pipe(failing("list runs"))
        const runs = found.slice(0, limit)
        const last = runs.at(-1)
        return {
          runs: runs.map(({ summary }) => summary),
          next: found.length > limit && last !== undefined
            ? cursorOf({ startedAt: last.summary.startedAt, key: last.key })
            : undefined
        }
      })
    },
    get: (runId) =>
      Effect.gen(function*() {
        yield* settled
        const tree = yield* Effect.flatMap(alive, (since) => store.tree(runId, since)).pipe(failing("read a run"))
        const run = tree && assembled(tree.runs, tree.key)
        if (run !== undefined) return run
        const didYouMean = yield* failing("read a run")(store.similar(runId))
        return yield* Effect.fail(new RunNotFound({ runId, ...(didYouMean === undefined ? {} : { didYouMean }) }))
      }),
    delivery: Effect.sync(() => buffer.account),
    damages: failing("look for damages")(Effect.andThen(settled, store.damages))
  })
  // Whoever observes runs already goes on doing so.
  const observers = yield* Observers
  const calls = yield* PortCalls
  return Context.make(RunLog, service).pipe(
    Context.add(Observers, [...observers, recorder.observe]),
    Context.add(PortCalls, [...calls, recorder.call])
  )
})

const newWriter = Effect.sync(() => crypto.randomUUID())

/**
 * Keeps runs in memory, for as long as the Layer lives: the latest 1,000, unless `retention` says otherwise.
 */
export const layerMemory = (settings: Settings = {}): Layer.Layer<RunLog> => {
  const given = checked(settings, 1_000)
  return Layer.effectContext(Effect.flatMap(newWriter, (writer) => make(given, writer, memoryStore(), 0)))
}

/**
 * Keeps runs in files of a directory, which is made when it is not there: one JSON document a line, each what became of one
 * run between two deliveries.
 *
 * Several processes can share a directory; each Layer has files of its own, and begins a new one after 10 MB or a day. What
 * a crash leaves is a file whose last line may be cut off: everything before it is read, and `damages` says where it is.
 * Retention removes a file when every run in it is forgotten.
 */
export const layerFile = (
  directory: string,
  settings: Settings = {}
): Layer.Layer<RunLog, PlatformError, FileSystem.FileSystem> => {
  const given = checked(settings)
  const path = options.name("directory", directory)
  return Layer.effectContext(Effect.gen(function*() {
    const writer = yield* newWriter
    return yield* make(given, writer, yield* fileStore(path, writer))
  }))
}

/**
 * Which tables, and what is kept in them.
 */
export interface SqlSettings extends Settings {
  /** What the names of the tables begin with. `"stageflow_runs"` when left out. */
  readonly table?: string | undefined
}

/**
 * Keeps runs in tables of SQLite or PostgreSQL, which are made when they are not there. Several processes can share them.
 *
 * | table | what it has |
 * |---|---|
 * | `stageflow_runs` | a row for each run, with what one searches by in columns |
 * | `stageflow_runs_chunks` | what became of a run between two deliveries, as JSON; rows are never changed |
 * | `stageflow_runs_tags` | the tags of runs |
 * | `stageflow_runs_writers` | a row for each Layer, with its last sign of life |
 */
export const layerSql = (settings: SqlSettings = {}): Layer.Layer<RunLog, SqlError, SqlClient.SqlClient> => {
  const { table, ...others } = options.fields<SqlSettings>("settings", [...settingKeys, "table"], settings)
  const given = checked(others)
  const name = options.name("table", table ?? "stageflow_runs")
  return Layer.effectContext(Effect.gen(function*() {
    const writer = yield* newWriter
    return yield* make(given, writer, yield* sqlStore(name, writer))
  }))
}

/**
 * Makes a Layer of the ports of these recordings that answers their calls with what was recorded in a run: a recorded run
 * becomes a test. See `PortRecording`.
 */
export const layerRecorded = <const P extends ReadonlyArray<PortRecording<any, any>>>(
  run: RunRecord,
  ...recordings: P
): Layer.Layer<
  { readonly [K in keyof P]: P[K] extends PortRecording<infer Id, any> ? Id : never }[number]
> => layerAnswering(run, recordings)
