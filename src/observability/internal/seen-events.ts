/**
 * Folds the events of runs, as they come, into what a timeline knows of them.
 *
 * An event costs a look-up or two, whatever the size of its run. What is kept of a run lives as long as its outermost run
 * goes on.
 */
import { absurd } from "effect/Function"
import { type Event, isRunEnd, isStageEvent, type Of } from "../../Event.ts"
import { wordOf } from "./happenings.ts"
import {
  addChild,
  countHappened,
  errorText,
  failedState,
  forgetChild,
  incompleteReason,
  newRun,
  newStage,
  type RunState,
  type SeenRun,
  type SeenStage,
  type StageState
} from "./seen-run.ts"

/** With more runs of one stage in sight than these, one that ends leaves nothing behind but how it ended. */
const keptChildren = 20

/** So many attempts of one stage are kept apart; those before them become one. */
const keptAttempts = 64

/** A run that goes on, and where it belongs. */
interface Place {
  readonly run: SeenRun
  /** The stage that started it; none for an outermost run. */
  readonly startedBy: SeenStage | undefined
}

/** Everything that happens in runs. */
export class SeenEvents {
  private readonly places = new Map<string, Place>()
  /** The outermost runs that go on, in the order of their start. */
  private readonly outermost = new Map<string, SeenRun>()

  /** The outermost runs that go on, in the order of their start. */
  get runs(): ReadonlyArray<SeenRun> {
    return Array.from(this.outermost.values())
  }

  /** Takes an event; gives the outermost run that ended with it. Events of runs whose start was not seen say nothing. */
  add(event: Event): SeenRun | undefined {
    if (event._tag === "RunStarted") return this.start(event)
    const place = this.places.get(event.runId)
    if (place === undefined) return undefined
    if (isRunEnd(event)) return this.end(event, place)
    if (isStageEvent(event)) stageEvent(stageOf(place.run, event.stage), event)
    return undefined
  }

  private start({ at, parentRunId, parentStage, pipeline, runId, stages }: Of<"RunStarted">): undefined {
    const run = newRun(pipeline, at, stages)
    const above = parentRunId === undefined ? undefined : this.places.get(parentRunId)
    if (parentRunId === undefined || parentStage === undefined || above === undefined) {
      this.places.set(runId, { run, startedBy: undefined })
      this.outermost.set(runId, run)
      return
    }
    const stage = stageOf(above.run, parentStage)
    addChild(stage, runId, run)
    this.places.set(runId, { run, startedBy: stage })
  }

  private end(event: RunEnd, { run, startedBy }: Place): SeenRun | undefined {
    endRun(run, event)
    this.places.delete(event.runId)
    this.forgetBelow(run)
    if (startedBy === undefined) {
      this.outermost.delete(event.runId)
      return run
    }
    if (startedBy.children.size > keptChildren) forgetChild(startedBy, event.runId, run.state)
    return undefined
  }

  /** Runs of abandoned stages outlive the run that they are in: nobody waits for their end. */
  private forgetBelow(run: SeenRun): void {
    for (const { children } of run.stages.values()) {
      for (const [runId, child] of children) {
        this.places.delete(runId)
        this.forgetBelow(child)
      }
    }
  }
}

const stageOf = (run: SeenRun, name: string): SeenStage => {
  const known = run.stages.get(name)
  if (known !== undefined) return known
  const stage = newStage(name)
  run.stages.set(name, stage)
  return stage
}

type RunEnd = Extract<Event, { readonly _tag: `Run${string}`; readonly durationMs: number }>

const endRun = (run: SeenRun, event: RunEnd): void => {
  const end = (state: RunState, by: string | undefined, reason: string) => {
    run.state = state
    run.endedMs = event.at
    run.durationMs = event.durationMs
    run.by = by
    run.reason = reason
  }
  switch (event._tag) {
    case "RunCompleted":
      return end("completed", undefined, "")
    case "RunCancelled":
      return end("cancelled", event.by, event.reason)
    case "RunFailed":
      return end("failed", event.stage, errorText(event.error))
    case "RunIncomplete":
      return end("incomplete", undefined, incompleteReason(event.failed.length, event.blocked.length))
    case "RunTimedOut":
      return end("timed out", undefined, errorText(event.error))
    case "RunDenied":
      return end("denied", event.interceptor, errorText(event.error))
    case "RunRejected":
      return end("rejected", event.interceptor, errorText(event.error))
    case "RunInterrupted":
      return end("interrupted", undefined, "")
    default:
      return absurd(event)
  }
}

const endAttempt = (stage: SeenStage, at: number): void => {
  const last = stage.attempts.at(-1)
  if (last === undefined) return
  // A stage that ends while it waits for its next attempt never made it.
  if (last.startedMs > at) stage.attempts.pop()
  else last.endedMs = at
}

const startAttempt = (stage: SeenStage, startedMs: number): void => {
  const [first, second] = stage.attempts
  if (first !== undefined && second !== undefined && stage.attempts.length >= keptAttempts) {
    first.endedMs = second.endedMs
    stage.attempts.splice(1, 1)
  }
  stage.attempts.push({ startedMs, endedMs: undefined })
}

const stageEvent = (stage: SeenStage, event: Exclude<Event, RunEnd | Of<"RunStarted">>): void => {
  const end = (state: StageState, durationMs: number | undefined, reason: string) => {
    endAttempt(stage, event.at)
    stage.state = state
    stage.count = event.attempt
    stage.durationMs = durationMs
    stage.reason = reason
  }
  switch (event._tag) {
    case "StageStarted":
      stage.count = event.attempt
      return startAttempt(stage, event.at)
    case "StageRetrying":
      endAttempt(stage, event.at)
      stage.count = event.attempt + 1
      stage.reason = event.error?.tag ?? event.reason ?? ""
      return startAttempt(stage, event.at + event.delayMs)
    case "StageCompleted":
      return end("ok", event.durationMs, "")
    case "StageSkipped":
      return end("skipped", event.durationMs, event.reason)
    case "StageCancelled":
      return end("cancelled", event.durationMs, event.reason)
    case "StageFailed":
      return end(failedState(event.error), event.durationMs, errorText(event.error))
    case "StageTimedOut":
      return end("timed out", event.durationMs, errorText(event.error))
    case "StageInterrupted":
      return end(event.abandoned ? "abandoned" : "interrupted", event.durationMs, "")
    case "StageBlocked":
      return end("blocked", undefined, `${event.by} failed`)
    default: {
      const word = wordOf(event)
      return word === undefined ? undefined : countHappened(stage, word)
    }
  }
}
