/**
 * So many stages in a span of time, and no more.
 *
 * The counting is `effect/persistence`'s rate limiter; it lives in a Layer and is shared by every run below it.
 */
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Persistence from "effect/persistence/RateLimiter"
import * as Schema from "effect/Schema"
import { type Interceptor, make } from "../Interceptor.ts"
import * as options from "../internal/options.ts"
import { Turns } from "./internal/turns.ts"
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
  override get message(): string {
    return `The rate limit of stage "${this.stage}" could not be read: it did not run`
  }
}

interface Limit {
  readonly limit: number
  readonly window: Duration.Duration
  readonly algorithm: "token-bucket" | "fixed-window"
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
  /** Counts one as soon as there is room, in the order in which they asked. */
  readonly await: (limit: Limit & { readonly key: string; readonly stage: string }) => Effect.Effect<
    void,
    RateLimitUnavailable
  >
}>()("stageflow/interceptors/RateLimits") {
  /**
   * Counts in memory.
   */
  static readonly layerMemory: Layer.Layer<RateLimits> = Layer.effect(
    RateLimits,
    Effect.gen(function*() {
      const limiter = yield* Persistence.RateLimiter
      const turns = new Turns()
      const admit: RateLimits["Service"]["admit"] = ({ algorithm, key, limit, stage, window }) =>
        limiter.consume({ algorithm, key, limit, window, onExceeded: "fail" }).pipe(
          Effect.asVoid,
          Effect.mapError(({ reason }) =>
            reason._tag === "RateLimitExceeded"
              ? new RateLimited({ stage, limit, retryAfter: reason.retryAfter })
              : new RateLimitUnavailable({ stage })
          )
        )
      return {
        admit,
        // Only the first in the queue asks, and it has taken nothing while it waits: an interrupted one leaves no gap.
        await: (limit) => turns.take(limit.key, untilAdmitted(admit(limit)))
      }
    })
  ).pipe(Layer.provide(Persistence.layer), Layer.provide(Persistence.layerStoreMemory))
}

const untilAdmitted = (
  admitted: Effect.Effect<void, RateLimited | RateLimitUnavailable>
): Effect.Effect<void, RateLimitUnavailable> =>
  Effect.catchTag(admitted, "RateLimited", ({ retryAfter }) =>
    Effect.andThen(
      // A wait of nothing would be a busy one.
      Effect.sleep(Duration.max(retryAfter, Duration.millis(1))),
      untilAdmitted(admitted)
    ))

/**
 * Lets `limit` stages start in each `window`.
 *
 * Beyond that a stage fails with `RateLimited`, or waits with `onExceeded: "delay"`, in the order in which they came. A
 * token bucket, the default, lets a burst of `limit` through and refills evenly; a fixed window starts anew each time.
 * The count is for each tenant and stage unless `key` says otherwise. Limits that differ count for themselves, under one
 * key, too: ten a second and a hundred a minute.
 */
export const rateLimit = (settings: {
  readonly limit: number
  readonly window: Duration.Input
  readonly algorithm?: "token-bucket" | "fixed-window" | undefined
  readonly onExceeded?: "fail" | "delay" | undefined
  readonly key?: Key | undefined
}): Interceptor<RateLimited | RateLimitUnavailable | KeyFailed, RateLimits> => {
  const limit = options.positiveCount("limit", settings.limit)
  const window = options.positiveDuration("window", settings.window)
  const algorithm = options.oneOf("algorithm", ["token-bucket", "fixed-window"], settings.algorithm ?? "token-bucket")
  const onExceeded = options.oneOf("onExceeded", ["fail", "delay"], settings.onExceeded ?? "fail")
  const { key = perStage } = settings
  return make({
    name: "rate limit",
    order: 40,
    around: (effect, stage) =>
      Effect.gen(function*() {
        const limits = yield* RateLimits
        const of = yield* keyOf("rate limit", key)
        // Two limits around one stage, ten a second and a hundred a minute, count for themselves.
        const counter = JSON.stringify([algorithm, limit, Duration.toMillis(window), of])
        const asked = { limit, window, algorithm, key: counter, stage: stage.name }
        yield* onExceeded === "fail" ? limits.admit(asked) : limits.await(asked)
        return yield* effect
      })
  })
}
