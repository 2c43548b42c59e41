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
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Metric from "effect/Metric"
import { attemptIn } from "../attempt/attempt.ts"
import { type Interceptor, make, type Outcome, type StageInfo } from "../Interceptor.ts"
import { orders } from "./internal/orders.ts"

type Status = "ok" | "skip" | "cancel" | "retry" | "fail" | "interrupt"

const statusOf = (exit: Exit.Exit<Outcome, unknown>): Status => {
  if (Exit.isSuccess(exit)) return words[exit.value._tag]
  return Exit.hasInterrupts(exit) ? "interrupt" : "fail"
}

const words = { Ok: "ok", Skip: "skip", Cancel: "cancel", Retry: "retry" } as const

const boundaries = Metric.exponentialBoundaries({ start: 1, factor: 2, count: 18 })

/** The metrics of one stage, made once with their attributes: `Metric.withAttributes` would work out their keys each time. */
const metricsOf = ({ kind, name, pipeline }: StageInfo) => {
  const attributes = { pipeline, stage: name, kind }
  const ended = new Map<Status, Metric.Counter<number>>()
  return {
    duration: Metric.histogram("stageflow_stage_duration_ms", {
      description: "How long stages took, all attempts together",
      boundaries,
      attributes
    }),
    retries: Metric.counter("stageflow_stage_retries_total", {
      description: "Attempts of stages after the first",
      incremental: true,
      attributes
    }),
    ended: (status: Status): Metric.Counter<number> => {
      const known = ended.get(status)
      if (known !== undefined) return known
      const metric = Metric.counter("stageflow_stages_total", {
        description: "Stages that ended",
        incremental: true,
        attributes: { ...attributes, status }
      })
      ended.set(status, metric)
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
    order: orders.metrics,
    around: (effect, stage) => {
      const { duration, ended, retries } = metricsOf(stage)
      return Effect.withFiber((fiber) => {
        const { context } = fiber
        const attempt = attemptIn(fiber)
        const clock = Context.get(context, Clock.Clock)
        const started = clock.monotonicTimeNanosUnsafe()
        return Effect.onExitPrimitive(effect, (exit) => {
          duration.updateUnsafe(Number(clock.monotonicTimeNanosUnsafe() - started) / nanosPerMilli, context)
          ended(statusOf(exit)).updateUnsafe(1, context)
          if (attempt.attempts > 1) retries.updateUnsafe(attempt.attempts - 1, context)
          return undefined
        })
      })
    }
  })
