/**
 * Counts stages, by how they ended in the result of their run, and measures how long they took.
 *
 * | metric | what |
 * |---|---|
 * | `stageflow_stages_total` | stages that ended, by pipeline, stage, kind and status (`ok`, `skip`, `cancel`, `fail`, `interrupt`) |
 * | `stageflow_stage_duration_ms` | how long they took, all attempts together, by pipeline, stage and kind |
 * | `stageflow_stage_retries_total` | attempts after the first, by pipeline, stage and kind |
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Metric from "effect/Metric"
import { type Attempt, attemptIn } from "../attempt/attempt.ts"
import { type Interceptor, make, type StageInfo } from "../Interceptor.ts"
import { isSettled, type StageEnd, tellEnd } from "./internal/ending.ts"
import { orders } from "./internal/orders.ts"

type Status = "ok" | "skip" | "cancel" | "fail" | "interrupt"

const statuses = {
  Ok: "ok",
  Skip: "skip",
  Cancel: "cancel",
  Failed: "fail",
  Interrupted: "interrupt"
} as const satisfies Record<StageEnd["_tag"], Status>

const boundaries = Metric.exponentialBoundaries({ start: 1, factor: 2, count: 18 })

/** The metrics of one stage, made once with their attributes: `Metric.withAttributes` would work out their keys each time. */
const metricsOf = ({ kind, name, pipeline }: StageInfo) => {
  const attributes = { pipeline, stage: name, kind }
  // Most stages end in one way only.
  const byStatus: Partial<Record<Status, Metric.Counter<number>>> = {}
  const ended = (status: Status): Metric.Counter<number> =>
    byStatus[status] ??= Metric.counter("stageflow_stages_total", {
      description: "Stages that ended",
      incremental: true,
      attributes: { ...attributes, status }
    })
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
    ended
  }
}

const nanosPerMilli = 1_000_000

/**
 * How many attempts of a stage have been counted, by its first one: metrics may be around a stage more than once, and
 * inside of what runs it again.
 */
const counted = new WeakMap<object, number>()

/** How many retries of the stage nobody has counted yet. */
const newRetries = ({ attempts, first }: Attempt): number => {
  const known = counted.get(first) ?? 1
  counted.set(first, attempts)
  return attempts - known
}

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
        const tell = (status: Status): undefined => {
          duration.updateUnsafe(Number(clock.monotonicTimeNanosUnsafe() - started) / nanosPerMilli, context)
          ended(status).updateUnsafe(1, context)
          if (attempt.attempts > 1) retries.updateUnsafe(newRetries(attempt), context)
        }
        return Effect.onExitPrimitive(effect, (exit) =>
          isSettled(exit)
            ? tell(statuses[exit.value._tag])
            : tellEnd(attempt, exit, (end) => tell(statuses[end._tag])))
      })
    }
  })
