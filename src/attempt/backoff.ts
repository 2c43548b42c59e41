/**
 * Makes schedules whose waits grow and vary: what a retry waits when nothing else is said.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import * as Schedule from "effect/Schedule"
import * as options from "../internal/options.ts"

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

/** Waits without end. */
const waits = (growth: Growth, given: BackoffOptions): Schedule.Schedule<Duration.Duration> => {
  const base = Duration.toMillis(options.positiveDuration("base", given.base ?? "1 second"))
  const cap = Duration.toMillis(options.positiveDuration("cap", given.cap ?? "30 seconds"))
  const jitter = options.oneOf("jitter", ["full", "equal", "decorrelated", "none"], given.jitter ?? "full")
  return Schedule.fromStep(Effect.sync(() => {
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
}

const backoff = (growth: Growth, given: BackoffOptions = {}): Schedule.Schedule<Duration.Duration> => {
  options.only(["attempts", "base", "cap", "jitter"], given)
  const attempts = options.positiveCount("attempts", given.attempts ?? 3)
  return Schedule.upTo(waits(growth, given), { times: attempts - 1 })
}

const doubling: Growth = (base, retry) => base * 2 ** retry

/**
 * Waits that double: 1, 2, 4 ... times the base.
 */
export const exponential = (given?: BackoffOptions): Schedule.Schedule<Duration.Duration> => backoff(doubling, given)

/**
 * Waits that grow by the base: 1, 2, 3 ... times it.
 */
export const linear = (given?: BackoffOptions): Schedule.Schedule<Duration.Duration> =>
  backoff((base, retry) => base * (retry + 1), given)

/**
 * The same wait each time.
 */
export const constant = (given?: BackoffOptions): Schedule.Schedule<Duration.Duration> => backoff((base) => base, given)

/** The waits of a retry for which none are given; how many there are is said elsewhere. */
export const defaultWaits: Schedule.Schedule<Duration.Duration> = waits(doubling, {})
