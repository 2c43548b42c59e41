/**
 * Keeps the data of stages for a while, so that the same question is answered once.
 *
 * Only data is kept, never a failure, a skip or a cancel, nor what a stage gave whose readers left before its stream was
 * whole. Whoever asks for the same thing at the same time shares one run of the stage.
 */
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Result from "effect/Result"
import { type Attempt, attemptIn } from "../attempt/attempt.ts"
import { fromAround, type Outcome, type StageEffect } from "../attempt/interceptor-model.ts"
import { asKept, keptOk } from "../attempt/kept-outcome.ts"
import { givenIn } from "../attempt/repetition.ts"
import type { Interceptor } from "../Interceptor.ts"
import { elapsedMillisIn } from "../internal/clock.ts"
import { fingerprint } from "../internal/fingerprint.ts"
import * as options from "../internal/options.ts"
import { changedOk } from "../internal/output-model.ts"
import type { Ok } from "../StageOutput.ts"
import { keyReader } from "./internal/keys.ts"
import { orders } from "./internal/orders.ts"
import { SingleFlight } from "./internal/single-flight.ts"
import { type Key, KeyFailed, perStage } from "./Key.ts"

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
    options.onlyIfGiven(["capacity"], settings)
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
          Effect.withFiber((fiber) => {
            const entry = kept.get(key)
            if (entry === undefined) return Effect.undefined
            if (entry.until <= elapsedMillisIn(fiber)) {
              kept.delete(key)
              return Effect.undefined
            }
            use(key, entry)
            return Effect.succeed(entry.output)
          }),
        set: (key, output, ttl) =>
          Effect.withFiber((fiber) => {
            use(key, { output, until: elapsedMillisIn(fiber) + Duration.toMillis(ttl) })
            if (kept.size > capacity) {
              const [oldest] = kept.keys()
              if (oldest !== undefined) kept.delete(oldest)
            }
            return Effect.void
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
 * Two stages never share a result, nor do two tenants, unless `key` says so. In a run inside of a stage (of a sub-pipeline, an
 * item, a draft or a state), what that was given counts, too, unless there is a `key`. The events of an output that was kept
 * hold a `cache.hit`, and the run has the event `CacheHit`.
 */
export const cache = (settings: {
  readonly ttl: Duration.Input
  /** What the result depends on. */
  readonly of: Key
  readonly key?: Key | undefined
}): Interceptor<KeyFailed, Results> => {
  options.only(["ttl", "of", "key"], settings)
  const ttl = options.positiveDuration("ttl", settings.ttl)
  const of = options.callable("of", settings.of)
  const key = options.callable("key", settings.key ?? perStage)
  return fromAround("cache", orders.cache, (effect) => {
    const readScope = keyReader("cache", key)
    const readSubject = keyReader("cache", of)
    return Effect.withFiber((fiber) => {
      const attempt = attemptIn(fiber)
      const scope = readScope(attempt)
      if (scope instanceof KeyFailed) return Effect.fail(scope)
      const subject = readSubject(attempt)
      if (subject instanceof KeyFailed) return Effect.fail(subject)
      const results = Context.getUnsafe(fiber.context, Results)
      // With a key of one's own, that and `of` say all that counts.
      const given = Result.try(() => settings.key === undefined ? givenTo(fiber) : "")
      // What it was asked about cannot be told apart from anything else.
      if (Result.isFailure(given)) return effect
      const place = `${scope}${given.success}`
      // With its length in front, a scope cannot run into a subject.
      const id = `${place.length}:${place}${subject}`
      return Effect.flatMap(
        results.get(id),
        (known) =>
          known === undefined ? shared(results, id, effect, attempt, ttl) : Effect.sync(() => hit(known, attempt))
      )
    })
  })
}

/** What tells one run of a body from another: what it was given. The context of the stage is the same for all of them. */
const givenTo = (fiber: Fiber.Fiber<unknown, unknown>): string => {
  const given = givenIn(fiber)
  return given.length === 0 ? "" : ` given ${fingerprint(given)}`
}

/** What whoever asks for the same thing at the same time is given. */
interface Shared {
  readonly outcome: Outcome
  /** Whether it is the data of a stream that was stopped because its own readers had left. */
  readonly isCutShort: boolean
}

/** Runs a stage once for all who ask for the same thing at the same time, and keeps what it gives. */
const shared = (
  results: Results["Service"],
  id: string,
  effect: StageEffect,
  attempt: Attempt,
  ttl: Duration.Duration
): StageEffect => {
  let isMine = false
  const run = Effect.suspend(() => {
    isMine = true
    return Effect.flatMap(effect, (outcome): Effect.Effect<Shared> => {
      if (outcome._tag !== "Ok") return Effect.succeed({ outcome, isCutShort: false })
      // Who asks next may want the whole.
      if (attempt.channel.isCutShort) return Effect.succeed({ outcome, isCutShort: true })
      const kept = keptOk(outcome, attempt)
      // Its data has been copied already.
      return Effect.as(results.set(id, kept, ttl), {
        outcome: changedOk(outcome, { data: kept.data }),
        isCutShort: false
      })
    })
  })
  return Effect.flatMap(results.once(id, run), ({ isCutShort, outcome }): StageEffect => {
    if (isMine || outcome._tag !== "Ok") return Effect.succeed(outcome)
    if (isCutShort) return shared(results, id, effect, attempt, ttl)
    return Effect.map(results.get(id), (known) => hit(known ?? outcome, attempt))
  })
}

const hit = (output: Ok<unknown>, attempt: Attempt): Outcome => asKept(output, attempt, "CacheHit")
