/**
 * Finds out what the time of a run was spent on: when each stage could have started, what it waited for, and which stages the
 * run could not have ended without.
 */
import type { Analysis, StageTimes } from "./analysis-model.ts"
import { type Interval, type Intervals, lengthOf, union, without } from "./intervals.ts"
import { orderOf, type Placed, placed } from "./order.ts"
import type { RecordedStage, RunRecord } from "./record-model.ts"
import { lastKnownMs } from "./seen-record.ts"
import { sentenceOf } from "./sentence.ts"

/** Where a stage is on the axis of the run. One that was skipped before it started is there for no time at all. */
interface Span {
  /** When the last of those that it waits for had ended. */
  readonly ready: number
  readonly start: number
  readonly end: number
  /** The index of the last of those that it waits for. */
  readonly last: number | undefined
}

/** What starts late or ends before it started, since a clock went back, took no time. */
const spanOf = ({ durationMs, startedAt }: RecordedStage, ready: number, nowMs: number): Omit<Span, "last"> => {
  if (startedAt === undefined) return { ready, start: ready, end: ready }
  const took = Math.max(durationMs ?? nowMs - startedAt, 0)
  return { ready: Math.min(ready, startedAt), start: startedAt, end: startedAt + took }
}

const isPassed = ({ startedAt, status }: RecordedStage): boolean => startedAt !== undefined || status === "skipped"

/** When the first stages could start: nothing tells it but that one of them waits or has started. */
const firstReadyMs = ({ stages, startedAt }: RunRecord): number => {
  let first = Number.POSITIVE_INFINITY
  for (const stage of stages) {
    if (stage.startedAt === undefined) continue
    first = Math.min(first, stage.startedAt)
    for (const wait of stage.waits) first = Math.min(first, wait.startedAt)
  }
  return first === Number.POSITIVE_INFINITY ? startedAt : Math.max(first, startedAt)
}

const spansOf = (
  stages: ReadonlyArray<Placed>,
  order: ReadonlyArray<number>,
  firstMs: number,
  nowMs: number
): ReadonlyArray<Span | undefined> => {
  const spans: Array<Span | undefined> = stages.map(() => undefined)
  for (const index of order) {
    const { before, stage } = stages[index] as Placed // an order is made of indices
    if (!isPassed(stage)) continue
    let ready = firstMs
    let last: number | undefined
    for (const other of before) {
      const end = spans[other]?.end
      if (end === undefined || (last !== undefined && end <= ready)) continue
      ready = Math.max(end, firstMs)
      last = other
    }
    spans[index] = { ...spanOf(stage, ready, nowMs), last }
  }
  return spans
}

/**
 * The last of those that wait for a stage, for each other, and ended with it: starts are told in whole milliseconds, so that of
 * stages that followed each other faster any may seem to have ended last.
 */
const lastBehind = (
  latest: number,
  stages: ReadonlyArray<Placed>,
  order: ReadonlyArray<number>,
  spans: ReadonlyArray<Span | undefined>
): number => {
  const end = spans[latest]?.end ?? 0
  const behind = new Set([latest])
  let last = latest
  for (const index of order) {
    const span = spans[index]
    if (span === undefined || stages[index]?.before.some((other) => behind.has(other)) !== true) continue
    behind.add(index)
    if (stages[index]?.stage.startedAt !== undefined && span.end > end - 1) last = index
  }
  return last
}

/** The stage that the run ended with: the one that ended it, else the one that ended last. */
const lastOf = (
  record: RunRecord,
  stages: ReadonlyArray<Placed>,
  order: ReadonlyArray<number>,
  spans: ReadonlyArray<Span | undefined>
): number | undefined => {
  const endedBy = record.status === "failed" || record.status === "cancelled" ? record.by : undefined
  let latest: number | undefined
  for (const [index, { stage }] of stages.entries()) {
    const span = spans[index]
    if (span === undefined || stage.startedAt === undefined) continue
    if (stage.name === endedBy) return index
    if (latest === undefined || span.end > (spans[latest]?.end ?? 0)) latest = index
  }
  return latest === undefined ? undefined : lastBehind(latest, stages, order, spans)
}

const pathTo = (last: number | undefined, spans: ReadonlyArray<Span | undefined>): ReadonlyArray<number> => {
  const path: Array<number> = []
  const seen = new Set<number>()
  for (let index = last; index !== undefined && !seen.has(index); index = spans[index]?.last) {
    path.push(index)
    seen.add(index)
  }
  return path.toReversed()
}

/** When each stage could have ended at the latest for the run to end when it did. */
const latestEnds = (
  stages: ReadonlyArray<Placed>,
  order: ReadonlyArray<number>,
  spans: ReadonlyArray<Span | undefined>,
  endMs: number
): ReadonlyArray<number> => {
  const latest = stages.map(() => endMs)
  for (const index of order.toReversed()) {
    const span = spans[index]
    if (span === undefined) continue
    const mayStart = (latest[index] ?? endMs) - (span.end - span.ready)
    for (const other of stages[index]?.before ?? []) latest[other] = Math.min(latest[other] ?? endMs, mayStart)
  }
  return latest
}

/** From the start of the first attempt to the end of the last one, also where these took no time. */
const fromFirstToLast = (attempts: Intervals, within: Interval): Intervals => {
  const from = attempts.reduce((first, attempt) => Math.min(first, attempt.from), within.to)
  const to = attempts.reduce((last, attempt) => Math.max(last, attempt.to), within.from)
  return union([{ from, to }], within)
}

/** What a stage did in its time. */
const spentBy = ({ attempts, runs, waits }: RecordedStage, { end, ready, start }: Span, nowMs: number) => {
  const upTo = (given: ReadonlyArray<{ readonly startedAt: number; readonly endedAt?: number }>): Intervals =>
    given.map(({ endedAt = nowMs, startedAt }) => ({ from: startedAt, to: endedAt }))
  const queued = union(upTo(waits), { from: ready, to: end })
  // A record that has no attempts of a stage says nothing of what is between them.
  const made = attempts.length === 0
    ? union([{ from: start, to: end }], { from: start, to: end })
    : union(upTo(attempts), { from: start, to: end })
  const running = without(made, queued)
  const between = without(without(fromFirstToLast(upTo(attempts), { from: start, to: end }), made), queued)
  const inside = union(
    runs.map((run) => ({ from: run.startedAt, to: run.startedAt + (run.durationMs ?? nowMs - run.startedAt) })),
    { from: start, to: end }
  )
  const queuedMs = lengthOf(queued)
  const runningMs = lengthOf(running)
  const betweenAttemptsMs = lengthOf(between)
  return {
    queuedMs,
    runningMs,
    betweenAttemptsMs,
    otherMs: Math.max(end - ready - queuedMs - runningMs - betweenAttemptsMs, 0),
    selfMs: lengthOf(without(running, inside))
  }
}

/** Analyses the record of a run, and of the runs in it. */
export const analyse = (record: RunRecord): Analysis => {
  const nowMs = lastKnownMs(record)
  const startMs = record.startedAt
  const stages = placed(record.stages)
  const order = orderOf(stages)
  const firstMs = firstReadyMs(record)
  const spans = spansOf(stages, order, firstMs, nowMs)
  const last = lastOf(record, stages, order, spans)
  const path = pathTo(last, spans)
  const critical = new Set(path)
  const endMs = last === undefined ? startMs : spans[last]?.end ?? startMs
  const latest = latestEnds(stages, order, spans, endMs)
  const times = stages.flatMap(({ stage }, index): ReadonlyArray<StageTimes> => {
    const span = spans[index]
    if (span === undefined || stage.startedAt === undefined) return []
    return [{
      stage: stage.name,
      status: stage.status,
      attempts: Math.max(stage.attempts.length, 1),
      startedAfterMs: Math.max(span.start - startMs, 0),
      durationMs: span.end - span.start,
      dependenciesMs: Math.max(span.ready - startMs, 0),
      ...spentBy(stage, span, nowMs),
      slackMs: Math.max((latest[index] ?? span.end) - span.end, 0),
      isCritical: critical.has(index),
      waitedFor: span.last === undefined ? undefined : stages[span.last]?.stage.name,
      runs: stage.runs.map(analyse)
    }]
  })
  const durationMs = Math.max(record.durationMs ?? nowMs - startMs, 0)
  const analysis = {
    runId: record.runId,
    pipeline: record.pipeline,
    status: record.status,
    durationMs,
    startingMs: firstMs - startMs,
    criticalPath: path.flatMap((index) => {
      const stage = stages[index]?.stage
      return stage?.startedAt === undefined ? [] : [stage.name]
    }),
    endingMs: Math.max(startMs + durationMs - endMs, 0),
    stages: times
  }
  return { ...analysis, sentence: sentenceOf(record, analysis) }
}
