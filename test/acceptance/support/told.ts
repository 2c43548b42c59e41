/**
 * Checks what must hold for the events of any run.
 */
import { assert } from "@effect/vitest"
import { Schema } from "effect"
import { Event } from "stageflow"

/** The events of each run, in the order in which the runs started. */
export const byRun = (events: ReadonlyArray<Event.Event>): ReadonlyArray<ReadonlyArray<Event.Event>> => {
  const runs = new Map<string, Array<Event.Event>>()
  for (const event of events) {
    const run = runs.get(event.runId)
    if (run === undefined) runs.set(event.runId, [event])
    else run.push(event)
  }
  return Array.from(runs.values())
}

type StageEvent = Extract<Event.Event, { readonly attempt: number }>

/** What must hold for the events of any stage of any run. */
const checkStage = (stage: string, events: ReadonlyArray<StageEvent>) => {
  const about = `stage "${stage}": ${events.map(({ _tag }) => _tag).join(", ")}`
  const [first] = events
  assert(first !== undefined)
  assert.strictEqual(events.filter(Event.isStageEnd).length, 1, `one terminal event, ${about}`)
  if (first._tag !== "StageStarted") {
    assert.strictEqual(events.length, 1, `never started, so it has one event, ${about}`)
    assert.include(["StageSkipped", "StageBlocked", "StageFailed"], first._tag, about)
    assert.strictEqual(first.attempt, 0, about)
    return
  }
  assert.strictEqual(first.attempt, 1, about)
  assert.strictEqual(events.filter(({ _tag }) => _tag === "StageStarted").length, 1, `one start, ${about}`)
  // What is taken back is told of when the stage has ended.
  const own = events.filter(({ _tag }) => !_tag.startsWith("Compensation"))
  assert.isTrue(Event.isStageEnd(own.at(-1) as StageEvent), `the terminal event is the last one, ${about}`)
  const retries = events.filter(({ _tag }) => _tag === "StageRetrying").map(({ attempt }) => attempt)
  assert.deepStrictEqual(retries, retries.map((_, index) => index + 1), about)
}

/** What must hold for the events of any run. */
export const checkRun = (events: ReadonlyArray<Event.Event>) => {
  const [first] = events
  assert(first?._tag === "RunStarted", "the start is the first event")
  assert.strictEqual(events.filter(({ _tag }) => _tag === "RunStarted").length, 1, "one start")
  assert.isTrue(Event.isRunEnd(events.at(-1) as Event.Event), "the terminal event is the last one")
  assert.strictEqual(events.filter(Event.isRunEnd).length, 1, "one terminal event")
  assert.deepStrictEqual(events.map(({ sequence }) => sequence), events.map((_, index) => index + 1), "no gaps")
  const { correlationId, parentRunId, parentStage, pipeline, requestId, runId } = first
  let at = first.at
  const stages = new Map<string, Array<StageEvent>>()
  for (const event of events) {
    assert.deepStrictEqual(
      [event.runId, event.pipeline, event.correlationId, event.parentRunId, event.parentStage, event.requestId],
      [runId, pipeline, correlationId, parentRunId, parentStage, requestId],
      "one envelope"
    )
    assert.isAtLeast(event.at, at, "time does not go back")
    at = event.at
    if (Event.isStageEvent(event)) stages.set(event.stage, [...stages.get(event.stage) ?? [], event])
    const json: unknown = JSON.parse(JSON.stringify(Schema.encodeUnknownSync(Event.Event)(event)))
    assert.deepStrictEqual(Schema.decodeUnknownSync(Event.Event)(json), event, "events are plain data")
  }
  assert.isAtMost(stages.size, first.stages)
  for (const [stage, about] of stages) checkStage(stage, about)
}

/** The tags and stages of events, after a check of everything that must hold for any run. */
export const checked = (events: ReadonlyArray<Event.Event>): ReadonlyArray<string> => {
  for (const run of byRun(events)) checkRun(run)
  return events.map((event) => Event.isStageEvent(event) ? `${event._tag} ${event.stage}` : event._tag)
}
