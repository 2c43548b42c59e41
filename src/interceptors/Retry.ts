/**
 * Runs stages again when they fail: policies, and a budget that many runs share.
 *
 * A policy says how long to wait between attempts and how many there are. A budget says how many retries a dependency
 * gets from all runs together: when everything fails, retries stop being a storm.
 */
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { fromAround } from "../attempt/interceptor-model.ts"
import { retryAround, type RetryPolicy } from "../attempt/retry.ts"
import type { Interceptor } from "../Interceptor.ts"
import { elapsedMillis } from "../internal/clock.ts"
import * as options from "../internal/options.ts"
import type { RetryExhausted } from "../StageError.ts"
import { Forgetful } from "./internal/forgetful.ts"
import { orders } from "./internal/orders.ts"
import { type Key, type KeyFailed, keyOf, named } from "./Key.ts"

export { type BackoffOptions, constant, exponential, type Jitter, linear } from "../attempt/backoff.ts"

/**
 * Runs stages again that fail with a typed error, time out or ask for it.
 *
 * It is `Stage.retry` for all stages at once. What is not given is 3 attempts, with waits that double from 1 second to at
 * most 30 and full jitter. Errors for which `while` is false are tried once. A stage that asks for a wait
 * (`StageOutput.retry` with `after`, or an error with a `retryAfter`) gets it, up to `cap`. A wait that would outlast the
 * run's `deadline` is not begun: the failure is final at once.
 */
export const retry = <const E = unknown, R = never>(policy?: RetryPolicy<E, R>): Interceptor<RetryExhausted, R> =>
  fromAround("retry", orders.retry, retryAround(policy))

/**
 * The retries that all runs below its Layer share, by key.
 */
export class RetryBudget extends Context.Service<RetryBudget, {
  /** A first attempt was made. */
  readonly started: (key: string) => Effect.Effect<void>
  /** Whether there is a retry left, which it takes. */
  readonly granted: (key: string) => Effect.Effect<boolean>
}>()("stageflow/interceptors/RetryBudget") {
  /**
   * Budgets in memory: within the window, retries may be `ratio` of the first attempts, and `minimum` in any case. Each
   * key has a budget of its own, and one that nobody used for the window is forgotten.
   */
  static readonly layerMemory = (given?: {
    /** Retries for each first attempt. 0.2 when left out. */
    readonly ratio?: number | undefined
    /** Retries that are always there. 10 when left out. */
    readonly minimum?: number | undefined
    /** How long an attempt counts. 10 seconds when left out. */
    readonly window?: Duration.Input | undefined
  }): Layer.Layer<RetryBudget> => {
    options.onlyIfGiven(["ratio", "minimum", "window"], given)
    const ratio = options.ratio("ratio", given?.ratio ?? 0.2)
    const minimum = options.count("minimum", given?.minimum ?? 10)
    const window = Duration.toMillis(options.positiveDuration("window", given?.window ?? "10 seconds"))
    return Layer.sync(RetryBudget, () => {
      const budgets = new Forgetful<Budget>(window)
      const budgetOf = (key: string, now: number) =>
        budgets.of(key, now, () => ({ started: new Recent(window), retried: new Recent(window) }))
      return {
        started: (key) => Effect.map(elapsedMillis, (now) => budgetOf(key, now).started.add(now)),
        granted: (key) =>
          Effect.map(elapsedMillis, (now) => {
            const { retried, started } = budgetOf(key, now)
            const allowed = minimum + Math.floor(started.countAt(now) * ratio)
            if (retried.countAt(now) >= allowed) return false
            retried.add(now)
            return true
          })
      }
    })
  }
}

/** What happened lately under one key. */
interface Budget {
  readonly started: Recent
  readonly retried: Recent
}

const slices = 10

/** Counts what happened within a window of time, in slices of it: what it keeps grows neither with the load nor with time. */
class Recent {
  private readonly slice: number
  private readonly counts = Array.from({ length: slices }, () => 0)
  private total = 0
  /** The slice of time that was looked at last. */
  private newest = 0

  constructor(window: number) {
    this.slice = window / slices
  }

  add(now: number): void {
    const slot = this.advance(now)
    this.counts[slot] = (this.counts[slot] as number) + 1
    this.total++
  }

  countAt(now: number): number {
    this.advance(now)
    return this.total
  }

  /** Drops the slices that are over, and gives the place of the one that goes on. */
  private advance(now: number): number {
    const { counts } = this
    const current = Math.floor(now / this.slice)
    const over = Math.min(current - this.newest, slices)
    for (let step = 1; step <= over; step++) {
      const slot = (this.newest + step) % slices
      this.total -= counts[slot] as number
      counts[slot] = 0
    }
    this.newest = current
    return current % slices
  }
}

const oneForAll = named("retry budget")

/**
 * `retry` that also asks the `RetryBudget` before each attempt after the first: with the budget spent, a failure is
 * final at once.
 *
 * All that run below one Layer share one budget, tenants included: it protects what they depend on. Give a `key` where
 * that is more than one thing: `named("search")` for a provider, `perTenant` for budgets that tenants cannot spend for
 * each other.
 */
export const retryWithinBudget = <const E = unknown, R = never>(
  policy?: RetryPolicy<E, R>,
  settings?: { readonly key?: Key | undefined }
): Interceptor<RetryExhausted | KeyFailed, R | RetryBudget> => {
  options.onlyIfGiven(["key"], settings)
  const key = options.callable("key", settings?.key ?? oneForAll)
  const grantedBy = Effect.gen(function*() {
    const budget = yield* RetryBudget
    const of = yield* keyOf("retry", key)
    yield* budget.started(of)
    return budget.granted(of)
  })
  return fromAround("retry", orders.retry, retryAround(policy, grantedBy))
}
