/**
 * Counters and histograms of stages.
 *
 * | metric | what |
 * |---|---|
 * | `stageflow_stages_total` | stages that ended, by pipeline, stage, kind and status |
 * | `stageflow_stage_duration_ms` | how long they took, all attempts together, by pipeline, stage and kind |
 * | `stageflow_stage_retries_total` | attempts after the first, by pipeline, stage and kind |
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Metric from "effect/Metric"
import { type Interceptor, make, type Outcome, type StageInfo } from "../Interceptor.ts"
import { executionOf } from "../internal/execution.ts"
import { StageContext } from "../StageContext.ts"

const stages = Metric.counter("stageflow_stages_total", {
  description: "Stages that ended",
  incremental: true
})

const retries = Metric.counter("stageflow_stage_retries_total", {
  description: "Attempts of stages after the first",
  incremental: true
})

const durations = Metric.histogram("stageflow_stage_duration_ms", {
  description: "How long stages took, all attempts together",
  boundaries: Metric.exponentialBoundaries({ start: 1, factor: 2, count: 18 })
})

type Status = "ok" | "skip" | "cancel" | "retry" | "fail" | "interrupt"

const statusOf = (exit: Exit.Exit<Outcome, unknown>): Status => {
  if (Exit.isSuccess(exit)) return words[exit.value._tag]
  return Exit.hasInterrupts(exit) ? "interrupt" : "fail"
}

const words = { Ok: "ok", Skip: "skip", Cancel: "cancel", Retry: "retry" } as const

/** The metrics of one stage, each with its attributes: made once, not for every run. */
const metricsOf = ({ kind, name, pipeline }: StageInfo) => {
  const attributes = { pipeline, stage: name, kind }
  const byStatus = new Map<Status, Metric.Counter<number>>()
  return {
    duration: Metric.withAttributes(durations, attributes),
    retries: Metric.withAttributes(retries, attributes),
    ended: (status: Status): Metric.Counter<number> => {
      const known = byStatus.get(status)
      if (known !== undefined) return known
      const metric = Metric.withAttributes(stages, { ...attributes, status })
      byStatus.set(status, metric)
      return metric
    }
  }
}

const nanosPerMilli = 1_000_000

/**
 * Counts stages by how they end, and measures how long they take.
 */
export const metrics = (): Interceptor =>
  make({
    name: "metrics",
    order: 28,
    around: (effect, stage) => {
      const of = metricsOf(stage)
      return Effect.gen(function*() {
        const execution = executionOf(yield* StageContext)
        const clock = yield* Clock.Clock
        const started = clock.monotonicTimeNanosUnsafe()
        return yield* Effect.onExit(effect, (exit) =>
          Effect.gen(function*() {
            const elapsed = Number(clock.monotonicTimeNanosUnsafe() - started) / nanosPerMilli
            yield* Metric.update(of.duration, elapsed)
            yield* Metric.update(of.ended(statusOf(exit)), 1)
            if (execution.attempts > 1) yield* Metric.update(of.retries, execution.attempts - 1)
          }))
      })
    }
  })
