/**
 * Running stages again: policies, and a budget that many runs share.
 *
 * A policy says how long to wait between attempts and how many there are. A budget says how many retries a dependency
 * gets from all runs together: when everything fails, retries stop being a storm.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Random from "effect/Random"
import * as Schedule from "effect/Schedule"
import { fromAround } from "../attempt/interceptor-model.ts"
import { retryAround, type RetryPolicy } from "../attempt/retry.ts"
import type { Interceptor } from "../Interceptor.ts"
import * as options from "../internal/options.ts"
import type { RetryExhausted } from "../StageError.ts"

/**
 * How the wait before an attempt varies, so that callers that failed together do not come back together.
 *
 * - `full`: anything from nothing to the wait.
 * - `equal`: half of the wait, and anything up to the other half.
 * - `decorrelated`: anything from the base to three times the wait before.
 * - `none`: the wait as it is.
 */
export type Jitter = "full" | "equal" | "decorrelated" | "none"

/**
 * What the ready policies are made from.
 */
export interface BackoffOptions {
  /** How many attempts there are at most, the first included. 3 when left out. */
  readonly attempts?: number | undefined
  /** The wait before the second attempt. 1 second when left out. */
  readonly base?: Duration.Input | undefined
  /** The longest wait. 30 seconds when left out. */
  readonly cap?: Duration.Input | undefined
  /** `"full"` when left out. */
  readonly jitter?: Jitter | undefined
}

type Growth = (base: number, retry: number) => number

const varied = (jitter: Jitter, wait: number, base: number, previous: number, random: number): number => {
  switch (jitter) {
    case "full":
      return random * wait
    case "equal":
      return wait / 2 + random * wait / 2
    case "decorrelated":
      return base + random * (Math.max(base, previous * 3) - base)
    case "none":
      return wait
  }
}

const backoff = (growth: Growth, given: BackoffOptions = {}): Schedule.Schedule<Duration.Duration> => {
  const attempts = options.positiveCount("attempts", given.attempts ?? 3)
  const base = Duration.toMillis(options.positiveDuration("base", given.base ?? "1 second"))
  const cap = Duration.toMillis(options.positiveDuration("cap", given.cap ?? "30 seconds"))
  const jitter = options.oneOf("jitter", ["full", "equal", "decorrelated", "none"], given.jitter ?? "full")
  const waits = Schedule.fromStep(Effect.sync(() => {
    let retry = 0
    let previous = base
    return () =>
      Effect.map(Random.next, (random): [Duration.Duration, Duration.Duration] => {
        const wait = Math.min(cap, growth(base, retry++))
        previous = Math.min(cap, varied(jitter, wait, base, previous, random))
        const duration = Duration.millis(previous)
        return [duration, duration]
      })
  }))
  return Schedule.upTo(waits, { times: attempts - 1 })
}

/**
 * Waits that double: 1, 2, 4 ... times the base.
 */
export const exponential = (given?: BackoffOptions): Schedule.Schedule<Duration.Duration> =>
  backoff((base, retry) => base * 2 ** retry, given)

/**
 * Waits that grow by the base: 1, 2, 3 ... times it.
 */
export const linear = (given?: BackoffOptions): Schedule.Schedule<Duration.Duration> =>
  backoff((base, retry) => base * (retry + 1), given)

/**
 * The same wait each time.
 */
export const constant = (given?: BackoffOptions): Schedule.Schedule<Duration.Duration> => backoff((base) => base, given)

/**
 * Runs stages again that fail with a typed error, time out or ask for it; 3 attempts with exponential backoff and full
 * jitter when nothing is given.
 *
 * It is `Stage.retry` for all stages at once. Errors for which `while` is false are tried once. A stage that asks for a
 * wait (`StageOutput.retry` with `after`, or an error whose `retryAfter` is a `Duration`) gets it, up to `cap`.
 */
export const retry = <const E = unknown, R = never>(policy?: RetryPolicy<E, R>): Interceptor<RetryExhausted, R> =>
  fromAround("retry", 60, retryAround(policy ?? exponential()))

/**
 * The retries that all runs below its Layer share.
 */
export class RetryBudget extends Context.Service<RetryBudget, {
  /** A first attempt was made. */
  readonly started: Effect.Effect<void>
  /** Whether there is a retry left, which it takes. */
  readonly granted: Effect.Effect<boolean>
}>()("stageflow/interceptors/RetryBudget") {
  /**
   * A budget in memory: within the window, retries may be `ratio` of the first attempts, and `minimum` in any case.
   */
  static readonly layerMemory = (given?: {
    /** Retries for each first attempt. 0.2 when left out. */
    readonly ratio?: number | undefined
    /** Retries that are always there. 10 when left out. */
    readonly minimum?: number | undefined
    /** How long an attempt counts. 10 seconds when left out. */
    readonly window?: Duration.Input | undefined
  }): Layer.Layer<RetryBudget> => {
    const ratio = options.ratio("ratio", given?.ratio ?? 0.2)
    const minimum = options.count("minimum", given?.minimum ?? 10)
    const window = Duration.toMillis(options.positiveDuration("window", given?.window ?? "10 seconds"))
    return Layer.sync(RetryBudget, () => {
      const started = new Recent(window)
      const retried = new Recent(window)
      return {
        started: Effect.map(Clock.currentTimeMillis, (now) => started.add(now)),
        granted: Effect.map(Clock.currentTimeMillis, (now) => {
          const allowed = minimum + Math.floor(started.countAt(now) * ratio)
          if (retried.countAt(now) >= allowed) return false
          retried.add(now)
          return true
        })
      }
    })
  }
}

/** Counts what happened within a window of time, in ten slices of it: what it keeps does not grow with the load. */
class Recent {
  private readonly slice: number
  private readonly counts = new Map<number, number>()
  constructor(window: number) {
    this.slice = window / slices
  }
  add(now: number): void {
    const slot = Math.floor(now / this.slice)
    this.counts.set(slot, (this.counts.get(slot) ?? 0) + 1)
  }
  countAt(now: number): number {
    const oldest = Math.floor(now / this.slice) - slices + 1
    let total = 0
    for (const [slot, count] of this.counts) {
      if (slot < oldest) this.counts.delete(slot)
      else total += count
    }
    return total
  }
}

const slices = 10

/**
 * `retry` that also asks the `RetryBudget` before each attempt after the first: with the budget spent, a failure is
 * final at once.
 */
export const retryWithinBudget = <const E = unknown, R = never>(
  policy?: RetryPolicy<E, R>
): Interceptor<RetryExhausted, R | RetryBudget> =>
  fromAround(
    "retry",
    60,
    retryAround(policy ?? exponential(), {
      started: Effect.flatMap(RetryBudget, (budget) => budget.started),
      granted: Effect.flatMap(RetryBudget, (budget) => budget.granted)
    })
  )
