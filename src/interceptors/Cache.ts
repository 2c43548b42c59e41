/**
 * Keeps the data of stages for a while, so that the same question is answered once.
 *
 * Only data is kept, never a failure, a skip or a cancel. Whoever asks for the same thing at the same time shares one run
 * of the stage.
 */
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { attemptOf } from "../attempt/attempt.ts"
import { fromAround, type Outcome } from "../attempt/interceptor-model.ts"
import { keptOk, withEvent } from "../attempt/kept-outcome.ts"
import type { Interceptor } from "../Interceptor.ts"
import { elapsedMillis } from "../internal/clock.ts"
import * as options from "../internal/options.ts"
import { StageContext } from "../StageContext.ts"
import type { Ok } from "../StageOutput.ts"
import { orders } from "./internal/orders.ts"
import { SingleFlight } from "./internal/single-flight.ts"
import { type Key, type KeyFailed, keyOf, perStage } from "./Key.ts"

interface Kept {
  readonly output: Ok<unknown>
  readonly until: number
}

/**
 * The results that all runs below its Layer share.
 */
export class Results extends Context.Service<Results, {
  readonly get: (key: string) => Effect.Effect<Ok<unknown> | undefined>
  readonly set: (key: string, output: Ok<unknown>, ttl: Duration.Duration) => Effect.Effect<void>
  /** Runs the Effect once for all who ask for it under this key at the same time. */
  readonly once: <A, E, R>(key: string, effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
  /** Forgets everything. */
  readonly clear: Effect.Effect<void>
}>()("stageflow/interceptors/Results") {
  /**
   * Results in memory. When there are more than `capacity` (1,000 when left out), the one that was used longest ago goes.
   */
  static readonly layerMemory = (settings?: { readonly capacity?: number | undefined }): Layer.Layer<Results> => {
    const capacity = options.positiveCount("capacity", settings?.capacity ?? 1000)
    return Layer.sync(Results, () => {
      const flights = new SingleFlight()
      // A Map keeps the order of insertion: the first entry is the one that was used longest ago.
      const kept = new Map<string, Kept>()
      const use = (key: string, entry: Kept) => {
        kept.delete(key)
        kept.set(key, entry)
      }
      return {
        get: (key) =>
          Effect.map(elapsedMillis, (now) => {
            const entry = kept.get(key)
            if (entry === undefined) return undefined
            if (entry.until <= now) {
              kept.delete(key)
              return undefined
            }
            use(key, entry)
            return entry.output
          }),
        set: (key, output, ttl) =>
          Effect.map(elapsedMillis, (now) => {
            use(key, { output, until: now + Duration.toMillis(ttl) })
            for (const [oldest] of kept) {
              if (kept.size <= capacity) break
              kept.delete(oldest)
            }
          }),
        once: (key, effect) => flights.run(key, effect),
        clear: Effect.sync(() => kept.clear())
      }
    })
  }
}

/**
 * Keeps the data of stages for `ttl`.
 *
 * `of` says what the result depends on, from the stage's context: the text that was asked about, the id that was looked up.
 * Two stages never share a result, nor do two tenants, unless `key` says so. The events of an output that was kept hold a
 * `cache.hit`.
 */
export const cache = (settings: {
  readonly ttl: Duration.Input
  /** What the result depends on. */
  readonly of: Key
  readonly key?: Key | undefined
}): Interceptor<KeyFailed, Results> => {
  const ttl = options.positiveDuration("ttl", settings.ttl)
  const { key = perStage, of } = settings
  return fromAround("cache", orders.cache, (effect) =>
    Effect.gen(function*() {
      const results = yield* Results
      const scope = yield* keyOf("cache", key)
      const subject = yield* keyOf("cache", of)
      const id = JSON.stringify([scope, subject])
      const known = yield* results.get(id)
      if (known !== undefined) return hit(known)
      const attempt = attemptOf(yield* StageContext)
      let isMine = false
      const once = Effect.gen(function*() {
        isMine = true
        const outcome: Outcome = yield* effect
        if (outcome._tag === "Ok") yield* results.set(id, keptOk(outcome, attempt), ttl)
        return outcome
      })
      const outcome = yield* results.once(id, once)
      if (isMine || outcome._tag !== "Ok") return outcome
      return hit((yield* results.get(id)) ?? outcome)
    }))
}

const hit = (output: Ok<unknown>): Outcome => withEvent(output, { type: "cache.hit", data: {} })
