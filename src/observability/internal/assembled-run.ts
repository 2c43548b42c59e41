/**
 * Puts the record of a run together from what was kept of it, piece by piece.
 */
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { type Event, isRunEnd, isStageEvent } from "../../Event.ts"
import {
  type KeptValue,
  type RecordedAttempt,
  type RecordedCall,
  type RecordedStage,
  type RecordedWait,
  type RunRecord,
  type StageStatus,
  version,
  type WiredStage
} from "./record-model.ts"
import { type Change, Changes, type RunSummary, type StoredRun } from "./run-changes.ts"

type Mutable<A> = { -readonly [K in keyof A]: A[K] }

interface Stage extends Mutable<Omit<RecordedStage, "attempts" | "calls" | "waits" | "runs">> {
  readonly attempts: Array<Mutable<RecordedAttempt>>
  readonly calls: Array<RecordedCall>
  readonly waits: Array<Mutable<RecordedWait>>
  readonly runs: Array<RunRecord>
}

const unrecorded: KeptValue = { _tag: "NotKept", reason: "unrecorded" }

const newStage = ({ after, kind, name }: WiredStage): Stage => ({
  name,
  kind,
  after,
  status: "waiting",
  attempts: [],
  waits: [],
  input: unrecorded,
  output: unrecorded,
  calls: [],
  runs: []
})

const decodeChanges = Schema.decodeUnknownResult(Changes)

const ending: Readonly<Partial<Record<Event["_tag"], StageStatus>>> = {
  StageCompleted: "ok",
  StageSkipped: "skipped",
  StageCancelled: "cancelled",
  StageFailed: "failed",
  StageTimedOut: "timed_out",
  StageBlocked: "blocked",
  StageInterrupted: "interrupted"
}

/** One run, while its pieces are put together. */
class Assembly {
  readonly stages = new Map<string, Stage>()
  private readonly summary: RunSummary
  private readonly events: Array<Event> = []
  private snapshot: KeptValue = unrecorded
  private damage: string | undefined
  private hasEnded = false

  constructor({ chunks, damage, entry }: StoredRun) {
    this.summary = entry.summary
    for (const chunk of chunks) {
      const changes = decodeChanges(chunk)
      if (Result.isFailure(changes)) {
        this.damage = "What follows could not be read"
        return
      }
      for (const change of changes.success) this.add(change)
    }
    this.damage = damage
  }

  /** A stage that the wiring does not know was lost with the beginning of the run. */
  private stage(name: string, kind = "unknown"): Stage {
    const known = this.stages.get(name)
    if (known !== undefined) return known
    const stage = newStage({ name, kind, after: [] })
    this.stages.set(name, stage)
    return stage
  }

  private add({ call, event, explanations = {}, failure, input, output, run }: Change): void {
    if (run !== undefined) {
      this.snapshot = run.snapshot
      for (const wired of run.stages) this.stages.set(wired.name, newStage(wired))
    }
    if (call !== undefined) this.stage(call.stage).calls.push(call.call)
    for (const [name, explanation] of Object.entries(explanations)) this.stage(name).explanation = explanation
    if (event === undefined) return
    this.events.push(event)
    if (isRunEnd(event)) this.hasEnded = true
    if (!isStageEvent(event)) return
    const stage = this.stage(event.stage, "kind" in event ? event.kind : undefined)
    if (input !== undefined) stage.input = input
    if (output !== undefined) stage.output = output
    if (failure !== undefined) stage.failure = failure
    this.happened(stage, event)
  }

  private happened(stage: Stage, event: Extract<Event, { readonly attempt: number }>): void {
    switch (event._tag) {
      case "StageStarted":
        stage.status = "running"
        stage.startedAt = event.at
        stage.attempts.push({ attempt: event.attempt, startedAt: event.at })
        if (event.queuedMs !== undefined && event.queuedMs > 0) {
          stage.waits.push({ queue: "run", startedAt: event.at - event.queuedMs, endedAt: event.at })
        }
        return
      case "StageQueued":
        stage.waits.push({ queue: event.queue, startedAt: event.at })
        return
      case "StageDequeued": {
        const wait = stage.waits.findLast(({ endedAt, queue }) => queue === event.queue && endedAt === undefined)
        if (wait !== undefined) wait.endedAt = event.at
        return
      }
      case "StageRetrying": {
        const last = stage.attempts.at(-1)
        if (last !== undefined) {
          last.endedAt = event.at
          if (event.error !== undefined) last.error = event.error
          if (event.reason !== undefined) last.reason = event.reason
        }
        stage.attempts.push({ attempt: event.attempt + 1, startedAt: event.at + event.delayMs })
        return
      }
    }
    const status = ending[event._tag]
    if (status !== undefined) this.ended(stage, event, status)
  }

  private ended(stage: Stage, event: Extract<Event, { readonly attempt: number }>, status: StageStatus): void {
    stage.status = status
    if ("durationMs" in event && event.attempt > 0) stage.durationMs = event.durationMs
    if ("reason" in event && event.reason !== undefined) stage.reason = event.reason
    // An attempt that was granted is none when the stage ends before it.
    if ((stage.attempts.at(-1)?.startedAt ?? 0) > event.at) stage.attempts.pop()
    const last = stage.attempts.at(-1)
    if (last !== undefined) last.endedAt ??= event.at
    switch (event._tag) {
      case "StageFailed":
      case "StageTimedOut":
        stage.error = event.error
        stage.reason = event.error.message
        if (last !== undefined) last.error = event.error
        return
      case "StageBlocked":
        stage.reason = `${event.by} failed`
        return
      case "StageInterrupted":
        if (event.abandoned) stage.status = "abandoned"
    }
  }

  /** The stages whose end is known not to come. */
  private get isOver(): boolean {
    return this.hasEnded || this.summary.status !== "running"
  }

  record(): RunRecord {
    const { damage, events, isOver, snapshot, summary } = this
    const last = events.at(-1)
    const missing = last === undefined ? 0 : last.sequence - events.length
    return {
      version,
      ...summary,
      snapshot,
      events,
      ...(missing > 0 ? { missing } : {}),
      ...(damage === undefined ? {} : { damage }),
      stages: Array.from(this.stages.values(), ({ calls, ...stage }) => ({
        ...stage,
        ...(isOver && stage.status === "waiting" ? { status: "never_started" as const } : {}),
        ...(calls.length === 0 ? {} : { calls })
      }))
    }
  }

  /** A run that one of the stages started. */
  addRun(run: RunRecord): void {
    this.stage(run.parentStage ?? "").runs.push(run)
  }
}

/** The record of a run with those of the runs that its stages started, of all that is kept of its tree. */
export const assembled = (runs: ReadonlyArray<StoredRun>, key: string): RunRecord | undefined => {
  const below = new Map<string | undefined, Array<StoredRun>>()
  for (const run of runs) {
    const siblings = below.get(run.entry.parentKey)
    if (siblings === undefined) below.set(run.entry.parentKey, [run])
    else siblings.push(run)
  }
  // A run is inside of no more runs than `DepthLimit` says, and never in itself, whatever a store says.
  const within = new Set<StoredRun>()
  const recordOf = (run: StoredRun): RunRecord => {
    const assembly = new Assembly(run)
    within.add(run)
    const children = (below.get(run.entry.key) ?? []).toSorted((a, b) => a.entry.key < b.entry.key ? -1 : 1)
    for (const child of children) if (!within.has(child)) assembly.addRun(recordOf(child))
    return assembly.record()
  }
  const wanted = runs.find(({ entry }) => entry.key === key)
  return wanted === undefined ? undefined : recordOf(wanted)
}
