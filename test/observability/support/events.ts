/**
 * What the tests of sinks share: events to offer, and what is logged while they are.
 */
import { Effect, Logger } from "effect"
import type { Event } from "stageflow"

/** The event of a run with this number. */
export const event = (sequence: number, runId = "run"): Event.Event => ({
  _tag: "StageStarted",
  runId,
  correlationId: runId,
  pipeline: "pipeline",
  sequence,
  at: sequence,
  stage: "stage",
  attempt: 1,
  kind: "work"
})

/** An event with data of the stage's own. */
export const emitted = (data: unknown, sequence = 1): Event.Event => ({
  _tag: "StageEmitted",
  runId: "run",
  correlationId: "run",
  pipeline: "pipeline",
  sequence,
  at: 0,
  stage: "stage",
  attempt: 1,
  type: "note",
  data
})

export const events = (count: number): ReadonlyArray<Event.Event> =>
  Array.from({ length: count }, (_, index) => event(index + 1))

export const numbers = (from: number, to: number): ReadonlyArray<number> =>
  Array.from({ length: to - from + 1 }, (_, index) => from + index)

/** Keeps what is logged, as lines. */
export const logged = (lines: Array<string>) =>
  Effect.provide(Logger.layer([Logger.make(({ logLevel, message }) => {
    lines.push(`${logLevel}: ${String(message)}`)
  })]))

/** Lets every fiber that can go on do so, without any time passing. */
export const settled = Effect.repeat(Effect.yieldNow, { times: 200 })
