/**
 * Limits how many stages start in a span of time.
 *
 * The counts live in a Layer and are shared by every run below it. `effect/persistence`'s rate limiter would do, but its
 * window ends sooner the fewer come in it, it never forgets a key, and it stands still when the clock on the wall is set
 * back.
 */
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { constVoid } from "effect/Function"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import { attemptIn } from "../attempt/attempt.ts"
import { type Interceptor, make } from "../Interceptor.ts"
import { AroundStageTypeId } from "../internal/around-stage.ts"
import { elapsedMillis } from "../internal/clock.ts"
import * as options from "../internal/options.ts"
import { RefusalTypeId } from "../internal/refusal.ts"
import { Counters, type Rate } from "./internal/counters.ts"
import { orders } from "./internal/orders.ts"
import { PlaceForEachKey } from "./internal/places.ts"
import { Waiting } from "./internal/waiting.ts"
import { type Key, type KeyFailed, keyOf, perStage } from "./Key.ts"

/**
 * The limit is reached, so the stage did not run.
 */
export class RateLimited extends Schema.TaggedError<RateLimited>()("RateLimited", {
  stage: Schema.String,
  limit: Schema.Int,
  /** When there is room again. */
  retryAfter: Schema.Duration
}) {
  readonly code = "RATE_LIMITED"
  readonly [AroundStageTypeId] = true
  override get message(): string {
    return `Stage "${this.stage}" did not run: its limit of ${this.limit} is reached. `
      + `Try again after ${Duration.format(this.retryAfter)}.`
  }
}

/**
 * The count could not be read, so the stage did not run.
 */
export class RateLimitUnavailable extends Schema.TaggedError<RateLimitUnavailable>()("RateLimitUnavailable", {
  stage: Schema.String
}) {
  readonly code = "RATE_LIMIT_UNAVAILABLE"
  readonly [AroundStageTypeId] = true
  readonly [RefusalTypeId] = true
  override get message(): string {
    return `Stage "${this.stage}" did not run: its rate limit could not be read`
  }
}

interface Limit {
  readonly limit: number
  readonly window: Duration.Duration
  readonly algorithm: Rate["algorithm"]
}

/**
 * The counts that all runs below its Layer share.
 */
export class RateLimits extends Context.Service<RateLimits, {
  /** Counts one, or fails with what is left to wait. */
  readonly admit: (limit: Limit & { readonly key: string; readonly stage: string }) => Effect.Effect<
    void,
    RateLimited | RateLimitUnavailable
  >
  /** Counts one as soon as there is room, in the order in which they asked. `onWait` is called if it has to wait for that. */
  readonly await: (
    limit: Limit & { readonly key: string; readonly stage: string; readonly onWait?: (() => void) | undefined }
  ) => Effect.Effect<void, RateLimitUnavailable>
}>()("stageflow/interceptors/RateLimits") {
  /**
   * Counts in memory. A key for which there is room for all again is forgotten.
   */
  static readonly layerMemory: Layer.Layer<RateLimits> = Layer.sync(RateLimits, () => {
    const counters = new Counters()
    const turns = new PlaceForEachKey()
    /** Counts one and gives 0, or gives the milliseconds until there is room. */
    const ask = ({ algorithm, key, limit, window }: Limit & { readonly key: string }): Effect.Effect<number> =>
      Effect.map(
        elapsedMillis,
        (now) => counters.admit({ algorithm, limit, window: Duration.toMillis(window) }, key, now)
      )
    return {
      admit: (asked) =>
        Effect.flatMap(ask(asked), (wait) =>
          wait === 0
            ? Effect.void
            : new RateLimited({ stage: asked.stage, limit: asked.limit, retryAfter: Duration.millis(wait) })),
      // Only the first in the queue asks, and it has taken nothing while it waits: an interrupted one leaves no gap.
      await: (asked) => turns.within(asked.key, untilAdmitted(ask(asked), asked.onWait ?? constVoid), asked.onWait)
    }
  })
}

const untilAdmitted = (ask: Effect.Effect<number>, onWait: () => void): Effect.Effect<void> =>
  Effect.flatMap(ask, (wait) => {
    if (wait === 0) return Effect.void
    onWait()
    return Effect.andThen(Effect.sleep(wait), untilAdmitted(ask, onWait))
  })

/** Waits its turn, and tells of that if it takes any time. */
const awaitTurn = (limits: RateLimits["Service"], asked: Parameters<RateLimits["Service"]["admit"]>[0]) =>
  Effect.withFiber((fiber) => {
    const waiting = new Waiting("rate limit", attemptIn(fiber), fiber)
    return Effect.onExitPrimitive(limits.await({ ...asked, onWait: waiting.begin }), (exit) => {
      waiting.end(exit._tag === "Success")
      return undefined
    })
  })

/** Asks once, and tells of a refusal. */
const askOnce = (limits: RateLimits["Service"], asked: Parameters<RateLimits["Service"]["admit"]>[0]) =>
  Effect.tapError(limits.admit(asked), (error) =>
    Effect.withFiber((fiber) => {
      if (error._tag === "RateLimited") {
        const { limit, retryAfter } = error
        attemptIn(fiber).announce({ _tag: "RateLimited", limit, retryAfterMs: Duration.toMillis(retryAfter) })
      }
      return Effect.void
    }))

/**
 * Lets `limit` stages start in each `window`.
 *
 * Beyond that a stage fails with `RateLimited`, or waits with `onExceeded: "delay"`, in the order in which they came. A
 * token bucket, the default, lets a burst of `limit` through and refills evenly, so that up to twice as many start in the
 * window of a burst. A fixed window opens with the first stage that comes and lets `limit` through until it is over: up to
 * twice as many around its end. A sliding window lets at most `limit` through in any span of time as long as the window,
 * and remembers when each of them started. The count is for each tenant and stage unless `key` says otherwise. Limits that differ count for themselves, under one
 * key, too: ten a second and a hundred a minute.
 */
export const rateLimit = (settings: {
  readonly limit: number
  readonly window: Duration.Input
  readonly algorithm?: "token-bucket" | "fixed-window" | "sliding-window" | undefined
  readonly onExceeded?: "fail" | "delay" | undefined
  readonly key?: Key | undefined
}): Interceptor<RateLimited | RateLimitUnavailable | KeyFailed, RateLimits> => {
  options.only(["limit", "window", "algorithm", "onExceeded", "key"], settings)
  const limit = options.positiveCount("limit", settings.limit)
  const window = options.positiveDuration("window", settings.window)
  const algorithm = options.oneOf(
    "algorithm",
    ["token-bucket", "fixed-window", "sliding-window"],
    settings.algorithm ?? "token-bucket"
  )
  const onExceeded = options.oneOf("onExceeded", ["fail", "delay"], settings.onExceeded ?? "fail")
  const key = options.callable("key", settings.key ?? perStage)
  return make({
    name: "rate limit",
    order: orders.rateLimit,
    around: (effect, stage) =>
      Effect.gen(function*() {
        const limits = yield* RateLimits
        const of = yield* keyOf("rate limit", key)
        // Two limits around one stage, ten a second and a hundred a minute, count for themselves.
        const counter = JSON.stringify([algorithm, limit, Duration.toMillis(window), of])
        const asked = { limit, window, algorithm, key: counter, stage: stage.name }
        yield* onExceeded === "fail" ? askOnce(limits, asked) : awaitTurn(limits, asked)
        return yield* effect
      })
  })
}
