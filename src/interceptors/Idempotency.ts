/**
 * Runs a stage once for each key, whoever asks and how often.
 *
 * The first run with a key claims it and runs the stage; what the stage ends with is kept, and every other run with that
 * key gets it, whether it comes later or at the same time. It goes outside of retries, timeouts and limits: a replay costs
 * none of them.
 *
 * | the stage ends with | what the next run gets |
 * |---|---|
 * | `Ok` | the same data, artifacts and version, for as long as `ttl` |
 * | `Skip` | the same `Skip`, for as long as `ttl` |
 * | `Cancel`, `Retry`, a failure of any kind, an interruption | the key: it runs the stage itself, unless its body has succeeded |
 *
 * Failures are nobody else's: who waits for a run that fails tries for itself, so that a caller who may do something never
 * gets the refusal of one who may not. A `Cancel` is a decision on one run, and is taken again.
 *
 * What the stage itself runs, its body, is not run again once it has succeeded. When the stage ends otherwise all the same,
 * because of a timeout, an interruption or something around the body that rejects what it gave, that is kept, and the next
 * run passes it through what is around its own body. When what the stage gave cannot be kept, it fails, and so does whoever
 * comes next. A retry inside of idempotency decides for itself: it runs the body again.
 *
 * A claim has a lease, which is renewed while a body runs, also one that was left behind because it ignores its
 * interruption. The claim of a process that was killed is free when its lease is over. A process that is held up for longer
 * than its lease can lose its claim while it runs the stage: it stops and gets the result of whoever took over. After so
 * many `losses` of a key nobody runs the stage under it any more.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { attemptOf } from "../attempt/attempt.ts"
import { fromAround } from "../attempt/interceptor-model.ts"
import { placesIn } from "../attempt/repetition.ts"
import type { Interceptor } from "../Interceptor.ts"
import * as options from "../internal/options.ts"
import { StageContext } from "../StageContext.ts"
import { IdempotencyStore } from "./IdempotencyStore.ts"
import { digestOf } from "./internal/idempotency/digest.ts"
import {
  IdempotencyKeyMissing,
  IdempotencyLost,
  IdempotencyMismatch,
  IdempotencyResultInvalid,
  IdempotencyUnavailable
} from "./internal/idempotency/errors.ts"
import { unkeepable } from "./internal/idempotency/keepable.ts"
import { isHeld, KeyedExecution, type KeyedSettings } from "./internal/idempotency/keyed-execution.ts"
import { orders } from "./internal/orders.ts"
import { KeyFailed } from "./Key.ts"

export { IdempotencyKeyMissing, IdempotencyLost, IdempotencyMismatch, IdempotencyResultInvalid, IdempotencyUnavailable }

/**
 * What `idempotency` can fail with.
 */
export type IdempotencyError =
  | KeyFailed
  | IdempotencyKeyMissing
  | IdempotencyMismatch
  | IdempotencyUnavailable
  | IdempotencyResultInvalid
  | IdempotencyLost

type Key = (context: StageContext["Service"]) => string | undefined
type Parameters = (context: StageContext["Service"], inputs: unknown) => unknown

/** The key that the caller of the run gave. */
const keyOfMetadata = ({ snapshot }: StageContext["Service"]): unknown => snapshot.metadata["idempotencyKey"]

/** All that tells a stage what to do. Who asks, and the ids of the run, are another matter. */
const inputsAndSnapshot: Parameters = ({ snapshot }, inputs) => {
  const { enrichments, executionMode, extensions, input, inputText, messages, metadata, routingDecision, topology } =
    snapshot
  return [
    inputs,
    { enrichments, executionMode, extensions, input, inputText, messages, metadata, routingDecision, topology }
  ]
}

/** A key, or nothing. Something else was meant as a key: without it, the stage could run twice. */
const checkedKey = (key: unknown): string | undefined => {
  if (key === undefined || key === null) return undefined
  if (typeof key === "string" && key.trim() !== "") return key
  throw new TypeError("An idempotency key is text that is not blank")
}

const computed = <A>(stage: string, compute: () => A): Effect.Effect<A, KeyFailed> =>
  Effect.try({ try: compute, catch: (defect) => new KeyFailed({ interceptor: "idempotency", stage, defect }) })

/**
 * Runs a stage once for each tenant, pipeline, stage and key.
 *
 * Without a `key` function the key is the snapshot's `metadata.idempotencyKey`; where a stage is the body of a loop, of a guard
 * retry or of a for-each, each of its runs has that key for itself. A stage without a key runs as usual, unless
 * keys are `required`. The same key with other `parameters` fails with `IdempotencyMismatch`: they are the stage's inputs and
 * the snapshot, but for its ids, unless you say otherwise, and must be data (an instance has to show what it holds). Where
 * callers write something else into the metadata each time, a time or the id of a trace, say which parameters count.
 *
 * Who asks while the stage runs waits for its result. When the store is down the stage fails with `IdempotencyUnavailable`.
 */
export const idempotency = (settings?: {
  /** The key of a stage in a run. */
  readonly key?: Key | undefined
  /** Whether a stage without a key fails. */
  readonly required?: boolean | undefined
  /** What has to be the same when a key is used again. */
  readonly parameters?: Parameters | undefined
  /** How long a result is kept. 24 hours when left out. */
  readonly ttl?: Duration.Input | undefined
  /** How long the claim of an owner who is gone blocks the key. 30 seconds when left out. */
  readonly lease?: Duration.Input | undefined
  /** How many owners in a row may let their lease run out before nobody runs the stage any more. 3 when left out. */
  readonly losses?: number | undefined
}): Interceptor<IdempotencyError, IdempotencyStore> => {
  const checked: KeyedSettings = {
    ttlMs: Duration.toMillis(options.positiveDuration("ttl", settings?.ttl ?? "24 hours")),
    leaseMs: Duration.toMillis(options.positiveDuration("lease", settings?.lease ?? "30 seconds")),
    losses: options.positiveCount("losses", settings?.losses ?? 3)
  }
  const keyOf = settings?.key ?? keyOfMetadata
  const parametersOf = settings?.parameters ?? inputsAndSnapshot
  const required = settings?.required ?? false
  return fromAround("idempotency", orders.idempotency, (effect, { name: stage }) =>
    Effect.gen(function*() {
      const context = yield* StageContext
      const key = yield* computed(stage, () => checkedKey(keyOf(context)))
      if (key === undefined) {
        if (required) return yield* new IdempotencyKeyMissing({ stage })
        return yield* effect
      }
      // The caller's key is one for all runs of a body that is run several times.
      const places = settings?.key === undefined
        ? yield* Effect.withFiber((fiber) => Effect.succeed(placesIn(fiber)))
        : []
      const id = JSON.stringify([context.identity.orgId ?? null, context.pipeline, stage, key, ...places])
      if (yield* isHeld(id)) return yield* effect
      const attempt = attemptOf(context)
      const problems = unkeepable(attempt.output)
      if (problems.length > 0) return yield* new IdempotencyResultInvalid({ stage, operation: "claim", problems })
      const fingerprint = yield* computed(stage, () => digestOf(parametersOf(context, attempt.input)))
      const store = yield* IdempotencyStore
      return yield* new KeyedExecution(effect, attempt, store, checked, { id, key, fingerprint }).outcome
    }))
}
