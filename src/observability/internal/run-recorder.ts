/**
 * Observes runs for the run log: hears what happens, decides what is kept, and writes it as chunks.
 *
 * Hearing is all that happens within a run: what an event tells of is immutable, so it is handed on as it is, and written
 * by whoever delivers it.
 */
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Hash from "effect/Hash"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import { errorSummaryOf } from "../../attempt/error-summary.ts"
import { explainFailure } from "../../attempt/explanation.ts"
import type { Observe, ObservedRun, Told } from "../../attempt/observing.ts"
import { type ErrorSummary, type Event, isRunEnd } from "../../Event.ts"
import { define } from "../../internal/record.ts"
import { extensionsOf } from "../../internal/snapshot-model.ts"
import type { Entry as BagEntry } from "../../OutputBag.ts"
import type * as Pipeline from "../../Pipeline.ts"
import * as ResultCodec from "../../ResultCodec.ts"
import type { Failure, RunResult, StageFailed } from "../../RunResult.ts"
import * as Snapshot from "../../Snapshot.ts"
import { type Keeping, type KeptText, type Place } from "./kept-values.ts"
import type { CallEnd, RunStatus } from "./record-model.ts"
import { mask } from "./redacted.ts"
import type { Chunk, Entry, RunSummary } from "./run-changes.ts"

/** A call of a port, as it was made and answered. */
export interface PortCall {
  readonly runId: string
  readonly stage: string
  readonly attempt: number
  readonly port: string
  readonly method: string
  readonly isMember?: boolean
  readonly startedAt: number
  readonly endedAt: number
  readonly args: Writable
  readonly elements: ReadonlyArray<Writable> | undefined
  readonly end:
    | { readonly _tag: "Succeeded"; readonly value: Writable }
    | {
      readonly _tag: "Failed"
      readonly error: Writable
      readonly summary: { readonly tag: string; readonly message: string }
    }
    | {
      readonly _tag: "Died"
      readonly defect: unknown
      readonly summary: { readonly tag: string; readonly message: string }
    }
    | Extract<CallEnd, { readonly _tag: "Interrupted" }>
}

/** A value, and what writes it. */
export interface Writable {
  readonly value: unknown
  readonly write: ResultCodec.StageCodec["error"]["write"]
}

/** One piece of a run, as it was heard. */
type Heard =
  | { readonly run: OpenRun; readonly event: Event; readonly told: Told | undefined; readonly call?: never }
  | { readonly run: OpenRun; readonly call: PortCall; readonly event?: never }

export type { Heard }

/** Who asks for tags and replays of a run's environment. */
export interface Marks {
  readonly tags: ReadonlyArray<string>
  readonly replayOf: string | undefined
}

/** A run that the log knows of, from its start to its end. */
class OpenRun {
  readonly key: string
  readonly parent: OpenRun | undefined
  readonly root: OpenRun
  readonly observed: ObservedRun
  readonly marks: Marks
  /** Of a root that is not in the sample: what was heard of its tree, until it is known whether that is kept. */
  held: Array<Heard> | undefined
  /** Whether a run of the tree ended in a way that is always kept. */
  isWorthKeeping = false
  /** What has been written of it so far. */
  summary: RunSummary

  constructor(key: string, observed: ObservedRun, parent: OpenRun | undefined, marks: Marks, pipeline: string) {
    const { lineage: { correlationId, parentRunId, parentStage, runId }, snapshot } = observed
    this.key = key
    this.parent = parent
    this.root = parent === undefined ? this : parent.root
    this.observed = observed
    this.marks = marks
    const { orgId, requestId, sessionId, userId } = snapshot
    this.summary = {
      runId,
      ...present({ parentRunId, parentStage }),
      correlationId,
      ...present({ replayOf: marks.replayOf }),
      pipeline,
      ...present({ requestId, sessionId, userId, orgId }),
      tags: marks.tags,
      status: "running",
      startedAt: 0
    }
  }
}

/** Only the fields that are there. */
const present = <A extends object>(fields: A): { readonly [K in keyof A]?: Exclude<A[K], undefined> } =>
  // What is left has no `undefined` in it.
  Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as {
    readonly [K in keyof A]?: Exclude<A[K], undefined>
  }

const endings: Readonly<Partial<Record<Event["_tag"], RunStatus>>> = {
  RunCompleted: "completed",
  RunCancelled: "cancelled",
  RunFailed: "failed",
  RunTimedOut: "timed_out",
  RunDenied: "denied",
  RunIncomplete: "incomplete",
  RunRejected: "rejected",
  RunInterrupted: "interrupted"
}

const finite = (given: number): number | undefined => Number.isFinite(given) ? given : undefined

/** Whether the tree of a run is in the sample: the same for all of its runs, in every process. */
export const isSampled = (correlationId: string, keep: number): boolean => {
  // Finished as a hash of its own: ids that differ in their last letters only are spread, too.
  let hash = Hash.string(correlationId)
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
  return ((hash ^ (hash >>> 16)) >>> 0) / 2 ** 32 < keep
}

const inOrder = (number: number): string => String(number).padStart(12, "0")

/** Hears runs, and hands on what is kept of them. */
export class Recorder {
  readonly writer: string
  private readonly keep: number
  private readonly marksOf: (environment: Context.Context<never>) => Marks
  private readonly handOn: (heard: Heard) => void
  private readonly open = new Map<string, OpenRun>()
  private number = 0

  constructor(
    writer: string,
    keep: number,
    marksOf: (environment: Context.Context<never>) => Marks,
    handOn: (heard: Heard) => void
  ) {
    this.writer = writer
    this.keep = keep
    this.marksOf = marksOf
    this.handOn = handOn
  }

  get hasOpenRuns(): boolean {
    return this.open.size > 0
  }

  readonly observe: Observe = (observed) => {
    const { environment, lineage } = observed
    const parent = lineage.parentRunId === undefined ? undefined : this.open.get(lineage.parentRunId)
    const { replayOf, tags } = this.marksOf(environment)
    const marks = { tags, replayOf: lineage.parentRunId === undefined ? replayOf : undefined }
    const name = (observed.pipeline as { readonly name: string }).name // every pipeline has one
    const run = new OpenRun(`${this.writer}/${inOrder(++this.number)}`, observed, parent, marks, name)
    if (parent === undefined && !isSampled(lineage.correlationId, this.keep)) run.held = []
    return (event, told) => {
      if (event._tag === "RunStarted") this.open.set(lineage.runId, run)
      this.hear({ run, event, told })
      if (isRunEnd(event)) this.ended(run, event)
    }
  }

  /** Hears of a call of a port, in a run that goes on. */
  readonly call = (call: PortCall): void => {
    const run = this.open.get(call.runId)
    if (run !== undefined) this.hear({ run, call })
  }

  private hear(heard: Heard): void {
    const { held } = heard.run.root
    if (held === undefined) this.handOn(heard)
    else held.push(heard)
  }

  private ended(run: OpenRun, event: Event): void {
    const { root } = run
    if (this.open.get(run.summary.runId) === run) this.open.delete(run.summary.runId)
    if (event._tag !== "RunCompleted") root.isWorthKeeping = true
    if (run !== root || root.held === undefined) return
    const { held } = root
    root.held = root.isWorthKeeping ? undefined : []
    if (root.isWorthKeeping) { for (const heard of held) this.handOn(heard) }
  }
}

// ---------------------------------------------------------------------------------------------------------------------
// writing
// ---------------------------------------------------------------------------------------------------------------------

/** What is known of the stages of a pipeline. */
interface Wiring {
  readonly stages: ReadonlyArray<ResultCodec.StageCodec>
  readonly byName: ReadonlyMap<string, ResultCodec.StageCodec>
  readonly text: string
}

const wirings = new WeakMap<object, Wiring>()

/** Of one that is invalid nothing is known. It does not run. */
const wiringOf = (pipeline: object): Wiring => {
  const known = wirings.get(pipeline)
  if (known !== undefined) return known
  // What the engine runs is a pipeline.
  const stages = Option.getOrElse(Effect.runSync(Effect.option(ResultCodec.stages(pipeline as Pipeline.Any))), () => [])
  const wiring = {
    stages,
    byName: new Map(stages.map((stage) => [stage.name, stage])),
    text: JSON.stringify(stages.map(({ after, kind, name }) => ({ name, kind, after })))
  }
  wirings.set(pipeline, wiring)
  return wiring
}

/** After so many changes, whoever runs pipelines goes first. */
const changesAtOnce = 50

/** Writes what was heard as chunks, one for each run that it is about. */
export class ChunkWriter {
  private readonly keeping: Keeping
  private readonly writer: string
  private number = 0

  constructor(keeping: Keeping, writer: string) {
    this.keeping = keeping
    this.writer = writer
  }

  get chunksOf() {
    return Effect.fnUntraced(
      { self: this },
      function*(all: ReadonlyArray<Heard>): Effect.fn.Return<ReadonlyArray<Chunk>> {
        const changes = new Map<OpenRun, Array<string>>()
        for (const [index, heard] of all.entries()) {
          if (index % changesAtOnce === changesAtOnce - 1) yield* Effect.yieldNow
          const change = yield* this.change(heard)
          const known = changes.get(heard.run)
          if (known === undefined) changes.set(heard.run, [change])
          else known.push(change)
        }
        return Array.from(changes, ([run, texts]) => ({
          id: `${this.writer}/${inOrder(++this.number)}`,
          entry: this.entryOf(run),
          changes: `[${texts.join()}]`
        }))
      }
    )
  }

  private entryOf({ key, parent, root, summary }: OpenRun): Entry {
    return { key, parentKey: parent?.key, rootKey: root.key, writer: this.writer, summary }
  }

  private change(heard: Heard): Effect.Effect<string> {
    return heard.event === undefined
      ? this.calling(heard.call, heard.run)
      : this.telling(heard.run, heard.event, heard.told)
  }

  private telling(run: OpenRun, event: Event, told: Told | undefined): Effect.Effect<string> {
    const kept = Result.getOrElse(Result.try(() => this.keeping.event(event)), () => event)
    this.summarize(run, kept, told)
    const beginning = event._tag === "RunStarted" ? `,"run":${this.beginning(run)}` : ""
    const text = `"event":${this.keeping.eventText(kept)}${beginning}`
    return told === undefined
      ? Effect.succeed(`{${text}}`)
      : Effect.map(this.toldOf(run, event, told), (more) => `{${text}${more}}`)
  }

  /** What a list of runs says of it. */
  private summarize(run: OpenRun, event: Event, told: Told | undefined): void {
    // A clock may say anything. In a store it has to be a whole number.
    if (event._tag === "RunStarted") run.summary = { ...run.summary, startedAt: Math.trunc(finite(event.at) ?? 0) }
    if (told?._tag === "Start") {
      const { orgId, sessionId, userId } = told.identity
      const { orgId: _orgId, sessionId: _sessionId, userId: _userId, ...rest } = run.summary
      run.summary = { ...rest, ...present({ orgId, sessionId, userId }) }
    }
    const status = endings[event._tag]
    if (status === undefined) return
    const by = "by" in event
      ? event.by
      : "stage" in event
      ? event.stage
      : "interceptor" in event
      ? event.interceptor
      : undefined
    const error = "error" in event ? event.error : undefined
    const reason = event._tag === "RunCancelled"
      ? event.reason
      : event._tag === "RunIncomplete"
      ? `${event.failed.length} failed, ${event.blocked.length} blocked`
      : error?.message
    const durationMs = "durationMs" in event ? finite(event.durationMs) : undefined
    run.summary = { ...run.summary, status, ...present({ durationMs, by, reason, error }) }
  }

  private beginning({ observed: { pipeline, snapshot }, summary }: OpenRun): string {
    const place = { pipeline: summary.pipeline, stage: undefined, part: "snapshot" } as const
    return `{"snapshot":${this.snapshot(snapshot, pipeline, place)},"stages":${wiringOf(pipeline).text}}`
  }

  private snapshot(
    snapshot: Snapshot.Snapshot,
    pipeline: object,
    place: { readonly pipeline: string; readonly stage: undefined; readonly part: "snapshot" }
  ): KeptText {
    // The values of extensions are JSON here already: whether they held secrets, only their values know.
    const extensions: Record<string, unknown> = { ...snapshot.extensions }
    const values = extensionsOf(snapshot).mapUnsafe
    let isMasked = false
    for (const name of Object.keys(extensions)) {
      const value = values.get(`stageflow/Extension/${name}`)
      if (value === undefined || !this.keeping.holdsSecret(value)) continue
      define(extensions, name, mask)
      isMasked = true
    }
    const shown = { ...snapshot, extensions }
    if (isMasked || this.keeping.isMasked(place, shown)) {
      return this.keeping.shown(place, shown, isMasked ? ["/extensions"] : [])
    }
    const encoded = Result.try(() => Snapshot.encode(snapshot, pipeline as Snapshot.OfInput)) // a pipeline says its input
    return Result.isSuccess(encoded)
      ? this.keeping.json(encoded.success)
      : this.keeping.notJson(encoded.failure instanceof Snapshot.SnapshotInvalid ? encoded.failure.message : "It threw")
  }

  /** What an event tells of, as more fields of its change. */
  private toldOf(run: OpenRun, event: Event, told: Told): Effect.Effect<string> {
    const { pipeline } = run.summary
    const stage = "stage" in event ? event.stage : undefined
    const codec = stage === undefined ? undefined : wiringOf(run.observed.pipeline).byName.get(stage)
    switch (told._tag) {
      case "Start":
        return Effect.succeed(`,"input":${this.keeping.shown({ pipeline, stage, part: "input" }, told.input)}`)
      case "Output":
        return codec === undefined ? Effect.succeed("") : Effect.map(
          this.keeping.outcome({ pipeline, stage }, told.output, codec.outcome.write),
          (text) => `,"output":${text}`
        )
      case "Failure":
        return codec === undefined ? Effect.succeed("") : Effect.map(
          this.keeping.coded({ pipeline, stage, part: "error" }, told.error, codec.error.write),
          (text) => `,"failure":${text}`
        )
      case "End": {
        const explanations = this.explanations(pipeline, told)
        const isEmpty = Object.keys(explanations).length === 0
        return Effect.succeed(isEmpty ? "" : `,"explanations":${JSON.stringify(explanations)}`)
      }
    }
  }

  /** Of the stages that failed, but for those whose error has something in it that is not kept. */
  private explanations(pipeline: string, { ended }: Extract<Told, { readonly _tag: "End" }>): Record<string, string> {
    const texts: Record<string, string> = {}
    const [failures, entries] = failuresOf(ended)
    for (const failure of failures) {
      const place = { pipeline, stage: failure.stage, part: "error" } as const
      if (this.keeping.isMasked(place, failure.error) || this.keeping.isMasked(place, failure.cause)) continue
      if (this.isAnySentenceMasked(place, failure, entries())) continue
      const explained = Result.try(() => explainFailure(failure, entries()).join("\n"))
      if (Result.isSuccess(explained)) define(texts, failure.stage, this.keeping.text(explained.success))
    }
    return texts
  }

  /** Whether a sentence is left out of the stage's events that an explanation would repeat. */
  private isAnySentenceMasked(place: Place, { error, stage }: Failure<unknown>, entries: ReadonlyArray<BagEntry>) {
    const isMasked = (path: ReadonlyArray<string>, text: string) => this.keeping.sentence(place, path, text) !== text
    const ofError = ["error", "message"]
    return isMasked(ofError, errorSummaryOf(error).message) ||
      entries.some(({ end, stage: other }) =>
        other === stage && (end._tag === "Failed" && isMasked(ofError, end.error.message)
          || end._tag === "RetryRequested" && isMasked(["reason"], end.reason))
      )
  }

  /** What is told of an error, without the message of one that has something in it that is not kept. */
  private summaryOf(place: Place, error: unknown, summary: ErrorSummary): ErrorSummary {
    return this.keeping.isMasked(place, error) ? { tag: summary.tag, message: mask } : summary
  }

  private get calling() {
    return Effect.fnUntraced({ self: this }, function*(call: PortCall, run: OpenRun) {
      const { args, elements, end, runId: _runId, stage, ...rest } = call
      const place = { pipeline: run.summary.pipeline, stage, part: "call" } as const
      const written = ({ value, write }: Writable) => this.keeping.coded(place, value, write)
      const parts = [`"args":${yield* written(args)}`]
      if (elements !== undefined) parts.push(`"elements":[${(yield* Effect.forEach(elements, written)).join()}]`)
      switch (end._tag) {
        case "Succeeded":
          parts.push(`"end":{"_tag":"Succeeded","value":${yield* written(end.value)}}`)
          break
        case "Failed": {
          const summary = JSON.stringify(this.summaryOf(place, end.error.value, end.summary))
          parts.push(`"end":{"_tag":"Failed","summary":${summary},"error":${yield* written(end.error)}}`)
          break
        }
        case "Died":
          parts.push(
            `"end":{"_tag":"Died","summary":${JSON.stringify(this.summaryOf(place, end.defect, end.summary))}}`
          )
          break
        default:
          parts.push(`"end":${JSON.stringify(end)}`)
      }
      const known = JSON.stringify(rest).slice(0, -1)
      return `{"call":{"stage":${JSON.stringify(stage)},"call":${known},${parts.join()}}}}`
    })
  }
}

type Failures = readonly [
  failures: ReadonlyArray<Failure<unknown>>,
  entries: () => ReadonlyArray<BagEntry>
]

/** The stages that failed, of a run that ended with any. */
const failuresOf = (told: object): Failures => {
  const ended = told as RunResult | StageFailed // see `Told`
  const entries = () => ended.bag.entries
  if (ended._tag === "StageFailed") return [[ended], entries]
  return ended._tag === "Completed" ? [[], entries] : [ended.failures, entries]
}
