/**
 * Counts runs and stages, by how they ended, measures how long they took, and shows how many are running.
 *
 * | metric | what |
 * |---|---|
 * | `stageflow_runs_total` | runs that ended, by pipeline and status (`completed`, `cancelled`, `incomplete`, `failed`, `interrupted`) |
 * | `stageflow_run_duration_ms` | how long they took, with all that is around them, by pipeline |
 * | `stageflow_runs_running` | how many run now, by pipeline |
 * | `stageflow_stages_total` | stages that ended, by pipeline, stage, kind and status (`ok`, `skip`, `cancel`, `fail`, `interrupt`) |
 * | `stageflow_stage_duration_ms` | how long they took, all attempts together, by pipeline, stage and kind |
 * | `stageflow_stages_running` | how many run now, by pipeline: those that wait in a queue or for their next attempt, too |
 * | `stageflow_stage_retries_total` | attempts after the first, by pipeline, stage and kind |
 * | `stageflow_queue_wait_ms` | how long stages waited in queues, by pipeline, stage and queue |
 *
 * A run and a stage count once, however often the interceptor is around them: the outermost counts.
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import * as Metric from "effect/Metric"
import { type Attempt, attemptIn } from "../attempt/attempt.ts"
import { undeclaringFaults, withOptionalRunPart } from "../attempt/interceptor-model.ts"
import { combine, type Interceptor, make, type StageInfo } from "../Interceptor.ts"
import type { RunResult } from "../RunResult.ts"
import { isSettled, type StageEnd, tellCause, tellEnd } from "./internal/ending.ts"
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

/** Counters that differ in their status, each made when it is needed: most of what is counted ends in one way only. */
const countersOf = <Name extends string>(
  id: string,
  description: string,
  attributes: Readonly<Record<string, string>>
): (status: Name) => Metric.Counter<number> => {
  const byStatus: Partial<Record<Name, Metric.Counter<number>>> = {}
  return (status) =>
    byStatus[status] ??= Metric.counter(id, { description, incremental: true, attributes: { ...attributes, status } })
}

/** The histograms of how long a stage waits in queues, each made when the stage is in that queue for the first time. */
const waitsOf = (attributes: Readonly<Record<string, string>>): (queue: string) => Metric.Histogram<number> => {
  const byQueue = new Map<string, Metric.Histogram<number>>()
  return (queue) => {
    const known = byQueue.get(queue) ?? Metric.histogram("stageflow_queue_wait_ms", {
      description: "How long stages waited in queues",
      boundaries,
      attributes: { ...attributes, queue }
    })
    byQueue.set(queue, known)
    return known
  }
}

/** The metrics of one stage, made once with their attributes: `Metric.withAttributes` would work out their keys each time. */
const metricsOf = ({ kind, name, pipeline }: StageInfo) => {
  const attributes = { pipeline, stage: name, kind }
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
    running: Metric.gauge("stageflow_stages_running", {
      description: "Stages that are running",
      attributes: { pipeline }
    }),
    waited: waitsOf({ pipeline, stage: name }),
    ended: countersOf<Status>("stageflow_stages_total", "Stages that ended", attributes)
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
 * What is being measured: stages by their first attempt, runs by their snapshot, of which each has its own. What is inside
 * of another of the same kind measures nothing.
 */
const measured = new WeakSet<object>()

/** Runs an Effect whose end is told, unless somebody further out measures the same. */
const measuring = <A, E, R>(
  subject: object,
  { running }: { readonly running: Metric.Gauge<number> },
  effect: Effect.Effect<A, E, R>,
  context: Context.Context<never>,
  ended: (exit: Exit.Exit<A, E>, elapsedMs: number) => Effect.Effect<void> | undefined
): Effect.Effect<A, E, R> => {
  if (measured.has(subject)) return effect
  measured.add(subject)
  const clock = Context.get(context, Clock.Clock)
  const started = clock.monotonicTimeNanosUnsafe()
  running.modifyUnsafe(1, context)
  return Effect.onExitPrimitive(effect, (exit) => {
    measured.delete(subject)
    running.modifyUnsafe(-1, context)
    return ended(exit, Number(clock.monotonicTimeNanosUnsafe() - started) / nanosPerMilli)
  })
}

type RunStatus = "completed" | "cancelled" | "incomplete" | "failed" | "interrupted"

const runStatuses = {
  Completed: "completed",
  Cancelled: "cancelled",
  Incomplete: "incomplete"
} as const satisfies Record<RunResult["_tag"], RunStatus>

const metricsOfRuns = (pipeline: string) => {
  const attributes = { pipeline }
  return {
    duration: Metric.histogram("stageflow_run_duration_ms", {
      description: "How long runs took",
      boundaries,
      attributes
    }),
    running: Metric.gauge("stageflow_runs_running", { description: "Runs that are going on", attributes }),
    ended: countersOf<RunStatus>("stageflow_runs_total", "Runs that ended", attributes)
  }
}

// Around a single stage there are the metrics of the stage.
const runs = () => {
  const byPipeline = new Map<string, ReturnType<typeof metricsOfRuns>>()
  return withOptionalRunPart(undeclaringFaults<never>(make({
    name: "metrics (run)",
    order: orders.metricsOfRun,
    aroundRun: (effect, { pipeline, snapshot }) =>
      Effect.withFiber(({ context }) => {
        const metrics = byPipeline.get(pipeline) ?? metricsOfRuns(pipeline)
        byPipeline.set(pipeline, metrics)
        return measuring(snapshot, metrics, effect, context, (exit, elapsedMs) => {
          const tell = (status: RunStatus): undefined => {
            metrics.duration.updateUnsafe(elapsedMs, context)
            metrics.ended(status).updateUnsafe(1, context)
          }
          // What stands for the end of a run in the types of interceptors is a `RunResult`.
          if (exit._tag === "Success") return tell(runStatuses[(exit.value as unknown as RunResult)._tag])
          return tellCause(exit.cause, (isInterrupted) =>
            tell(isInterrupted || Cause.hasInterruptsOnly(exit.cause) ? "interrupted" : "failed"))
        })
      })
  })))
}

const stages = () =>
  make({
    name: "metrics",
    order: orders.metrics,
    around: (effect, stage) => {
      const metrics = metricsOf(stage)
      const { duration, ended, retries, waited } = metrics
      return Effect.withFiber((fiber) => {
        const { context } = fiber
        const attempt = attemptIn(fiber)
        if (measured.has(attempt.first)) return effect
        const stopHearing = attempt.hear((heard) => {
          if (heard._tag === "StageDequeued") waited(heard.queue).updateUnsafe(heard.waitedMs, context)
        })
        return measuring(attempt.first, metrics, effect, context, (exit, elapsedMs) => {
          stopHearing()
          const tell = (status: Status): undefined => {
            duration.updateUnsafe(elapsedMs, context)
            ended(status).updateUnsafe(1, context)
            if (attempt.attempts > 1) retries.updateUnsafe(newRetries(attempt), context)
          }
          return isSettled(exit)
            ? tell(statuses[exit.value._tag])
            : tellEnd(attempt, exit, (end) => tell(statuses[end._tag]))
        })
      })
    }
  })

/**
 * Counts runs and stages by how they end, measures how long they take, and shows how many are running.
 */
export const metrics = (): Interceptor => combine(runs(), stages())
