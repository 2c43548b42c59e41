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
 * | `Cancel`, `Retry`, a failure of any kind, an interruption | the key: it runs the stage itself |
 *
 * Failures are nobody else's: who waits for a run that fails tries for itself, so that a caller who may do something never
 * gets the refusal of one who may not. A `Cancel` is a decision on one run, and is taken again.
 *
 * A claim has a lease, which is renewed while the stage runs. The claim of a process that was killed is free when its
 * lease is over. A process that is held up for longer than its lease can lose its claim while it runs the stage: it stops
 * and gets the result of whoever took over.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { type Attempt, attemptOf } from "../attempt/attempt.ts"
import { fromAround, type StageEffect } from "../attempt/interceptor-model.ts"
import { canBeKept, type Kept, keptOutcome, withEvent } from "../attempt/kept-outcome.ts"
import { outcomeCodec } from "../attempt/outcome-codec.ts"
import type { Interceptor, Outcome } from "../Interceptor.ts"
import * as options from "../internal/options.ts"
import { describeProblems, Problem } from "../internal/problems.ts"
import { asText, type TextCodec } from "../internal/schema-json.ts"
import { StageContext } from "../StageContext.ts"
import type { Settled } from "../StageOutput.ts"
import { IdempotencyStore, type IdempotencyStoreFailed } from "./IdempotencyStore.ts"
import { digestOf } from "./internal/idempotency/digest.ts"
import { orders } from "./internal/orders.ts"
import { KeyFailed } from "./Key.ts"

// ---------------------------------------------------------------------------------------------------------------------
// errors
// ---------------------------------------------------------------------------------------------------------------------

/**
 * A stage that may only run with an idempotency key has none, so it did not run.
 */
export class IdempotencyKeyMissing extends Schema.TaggedError<IdempotencyKeyMissing>()("IdempotencyKeyMissing", {
  stage: Schema.String
}) {
  readonly code = "IDEMPOTENCY_KEY_MISSING"
  override get message(): string {
    return `Stage "${this.stage}" did not run: it needs an idempotency key, such as \`metadata.idempotencyKey\``
  }
}

/**
 * An idempotency key came back with other parameters, so the stage did not run and nothing was replayed.
 */
export class IdempotencyMismatch extends Schema.TaggedError<IdempotencyMismatch>()("IdempotencyMismatch", {
  stage: Schema.String,
  key: Schema.String
}) {
  readonly code = "IDEMPOTENCY_MISMATCH"
  override get message(): string {
    return `Stage "${this.stage}" did not run: its idempotency key was used with other parameters. `
      + `Use a new key for a new request.`
  }
}

const consequences = {
  claim: "did not run",
  renew: "was interrupted, because somebody else could have taken over",
  keep: "ran, but a duplicate would run it again"
} as const

/**
 * The store of idempotent results could not be read or written, or took too long to answer.
 *
 * `operation` says when: a `claim` fails before the stage runs, `renew` while it runs and `keep` after it has run.
 */
export class IdempotencyUnavailable extends Schema.TaggedError<IdempotencyUnavailable>()("IdempotencyUnavailable", {
  stage: Schema.String,
  operation: Schema.Literals(["claim", "renew", "keep"]),
  defect: Schema.Defect()
}) {
  readonly code = "IDEMPOTENCY_UNAVAILABLE"
  override get message(): string {
    return `Stage "${this.stage}" ${consequences[this.operation]}: `
      + `its idempotency store is not available (see \`defect\`)`
  }
}

/**
 * A result cannot be kept, or one that was kept cannot be read any more.
 *
 * Data goes through the `output` schema of its stage. Without one it has to be plain data, and so have artifacts and events.
 */
export class IdempotencyResultInvalid
  extends Schema.TaggedError<IdempotencyResultInvalid>()("IdempotencyResultInvalid", {
    stage: Schema.String,
    operation: Schema.Literals(["keep", "replay"]),
    problems: Schema.Array(Problem)
  })
{
  readonly code = "IDEMPOTENCY_RESULT_INVALID"
  override get message(): string {
    const problems = describeProblems(this.problems)
    return this.operation === "keep"
      ? `Stage "${this.stage}" ran, but what it gave cannot be kept: ${problems}. Give it an output schema that encodes it.`
      : `Stage "${this.stage}" did not run: what was kept of it cannot be read: ${problems}. Was its schema changed?`
  }
}

/**
 * What `idempotency` can fail with.
 */
export type IdempotencyError =
  | KeyFailed
  | IdempotencyKeyMissing
  | IdempotencyMismatch
  | IdempotencyUnavailable
  | IdempotencyResultInvalid

// ---------------------------------------------------------------------------------------------------------------------
// results
// ---------------------------------------------------------------------------------------------------------------------

/** What was kept, as the stage's outcome; its events say that it was replayed. */
const replayed = (kept: Settled): Outcome => withEvent(kept, { type: "idempotency.replayed", data: {} })

// ---------------------------------------------------------------------------------------------------------------------
// running once
// ---------------------------------------------------------------------------------------------------------------------

type Key = (context: StageContext["Service"]) => string | undefined
type Parameters = (context: StageContext["Service"], inputs: unknown) => unknown

interface Settings {
  readonly ttlMs: number
  readonly leaseMs: number
}

/** The claims that a stage runs under: one that is run again inside of itself does not wait for itself. */
const Held = Context.Reference<ReadonlySet<string>>("stageflow/interceptors/Idempotency/Held", {
  defaultValue: () => new Set()
})

/** Instead of an outcome: somebody else has the claim now. */
const lost = { _tag: "Lost" } as const
type Lost = typeof lost

/** A time that every store can write, also when it is never. */
const timeAfter = (now: number, ms: number): number => Math.min(now + ms, Number.MAX_SAFE_INTEGER)

/** One stage of one run, and the key that it asks for. */
class KeyedExecution {
  private readonly effect: StageEffect
  private readonly attempt: Attempt
  private readonly store: IdempotencyStore["Service"]
  private readonly settings: Settings
  private readonly key: string
  private readonly id: string
  private readonly fingerprint: string
  private readonly owner = crypto.randomUUID()
  private readonly codec: TextCodec<Settled>
  /** Whether the store may hold a claim of this owner. */
  private claims = false

  constructor(
    effect: StageEffect,
    attempt: Attempt,
    store: IdempotencyStore["Service"],
    settings: Settings,
    asked: { readonly id: string; readonly key: string; readonly fingerprint: string }
  ) {
    this.effect = effect
    this.attempt = attempt
    this.store = store
    this.settings = settings
    this.id = asked.id
    this.key = asked.key
    this.fingerprint = asked.fingerprint
    this.codec = asText(outcomeCodec(attempt.output))
  }

  /** The outcome: the stage's own, or the one that was kept. */
  get outcome(): StageEffect {
    return Effect.onExit(this.untilSettled, () => this.release)
  }

  private get untilSettled(): StageEffect {
    return Effect.gen({ self: this }, function*() {
      while (true) {
        const answer = yield* this.ask
        if (answer._tag === "Kept") return yield* this.replay(answer.result)
        if (answer._tag === "Running") continue
        const outcome = yield* this.run
        if (outcome._tag !== "Lost") return outcome
      }
    })
  }

  /** Asks for the claim. Where somebody else runs, waits until that may have changed. */
  private get ask() {
    return Effect.scoped(Effect.gen({ self: this }, function*() {
      const { fingerprint, id, owner, store } = this
      // From here on: what changes between the answer and the wait is not missed.
      const changed = yield* store.watch(id)
      const now = yield* Clock.currentTimeMillis
      this.claims = true
      const answer = yield* this.answered(
        "claim",
        () => store.claim({ key: id, owner, fingerprint, now, until: timeAfter(now, this.settings.leaseMs) })
      )
      if (answer._tag === "Claimed") return answer
      this.claims = false
      if (answer.fingerprint !== fingerprint) {
        return yield* new IdempotencyMismatch({ stage: this.attempt.stage, key: this.key })
      }
      if (answer._tag === "Running") yield* Effect.timeoutOption(changed, answer.until - now)
      return answer
    }))
  }

  /** Runs the stage under the claim and keeps what it ends with. */
  private get run(): Effect.Effect<Outcome | Lost, unknown, unknown> {
    return Effect.gen({ self: this }, function*() {
      const held = yield* Held
      const effect = Effect.provideService(this.effect, Held, new Set(held).add(this.id))
      const outcome = yield* Effect.raceFirst(effect, this.renewing)
      if (outcome._tag === "Lost") return this.lose()
      if (!canBeKept(outcome)) return outcome
      const result = yield* this.encode(outcome)
      const until = timeAfter(yield* Clock.currentTimeMillis, this.settings.ttlMs)
      const isKeptNow = yield* this.answered(
        "keep",
        () => this.store.keep({ key: this.id, owner: this.owner, result, until })
      )
      if (!isKeptNow) return this.lose()
      this.claims = false
      return outcome
    })
  }

  /** Renews the lease for as long as the stage runs. Ends when the claim is lost, or may be soon. */
  private get renewing(): Effect.Effect<Lost, IdempotencyUnavailable> {
    return Effect.gen({ self: this }, function*() {
      const { id: key, owner, settings: { leaseMs }, store } = this
      let until = (yield* Clock.currentTimeMillis) + leaseMs
      while (true) {
        yield* Effect.sleep(leaseMs / 3)
        const next = timeAfter(yield* Clock.currentTimeMillis, leaseMs)
        const renewed = yield* Effect.result(this.answered("renew", () => store.renew({ key, owner, until: next })))
        if (renewed._tag === "Success") {
          if (!renewed.success) return lost
          until = next
        } else if ((yield* Clock.currentTimeMillis) + leaseMs / 3 >= until) {
          return yield* renewed.failure
        }
      }
    })
  }

  /** Whoever took the claim runs the stage now: what it did here counts for nothing. */
  private lose(): Lost {
    this.claims = false
    this.attempt.dropAddedArtifacts()
    return lost
  }

  private get release(): Effect.Effect<void> {
    return Effect.suspend(() =>
      // If it cannot be released it is free when its lease is over; the stage has ended as it has ended.
      this.claims
        ? Effect.ignore(this.answered("claim", () => this.store.release({ key: this.id, owner: this.owner })))
        : Effect.void
    )
  }

  /** What the store answers, in time: a lease does not wait for it. */
  private answered<A>(
    operation: IdempotencyUnavailable["operation"],
    ask: () => Effect.Effect<A, IdempotencyStoreFailed>
  ): Effect.Effect<A, IdempotencyUnavailable> {
    const unavailable = (defect: unknown) =>
      new IdempotencyUnavailable({ stage: this.attempt.stage, operation, defect })
    return Effect.timeoutOption(Effect.suspend(ask), this.settings.leaseMs / 3).pipe(
      Effect.mapError(({ defect }) => unavailable(defect)),
      Effect.catchDefect((defect) => Effect.fail(unavailable(defect))),
      Effect.flatMap(Option.match({
        onNone: () => Effect.fail(unavailable(new Error("The store did not answer in time"))),
        onSome: Effect.succeed
      }))
    )
  }

  private encode(outcome: Kept): Effect.Effect<string, IdempotencyResultInvalid> {
    return Effect.mapError(
      this.codec.write(keptOutcome(outcome, this.attempt)),
      (problems) => this.invalid("keep", problems)
    )
  }

  private replay(result: string): Effect.Effect<Outcome, IdempotencyResultInvalid> {
    return this.codec.read(result).pipe(
      Effect.mapError((problems) => this.invalid("replay", problems)),
      Effect.map(replayed)
    )
  }

  private invalid(operation: IdempotencyResultInvalid["operation"], problems: ReadonlyArray<Problem>) {
    return new IdempotencyResultInvalid({ stage: this.attempt.stage, operation, problems })
  }
}

// ---------------------------------------------------------------------------------------------------------------------
// the interceptor
// ---------------------------------------------------------------------------------------------------------------------

/** The key that the caller of the run gave. */
const keyOfMetadata = ({ snapshot }: StageContext["Service"]): unknown => snapshot.metadata["idempotencyKey"]

/** All that tells a stage what to do. */
const inputsAndText: Parameters = ({ snapshot }, inputs) => [inputs, snapshot.inputText]

/** A key, or nothing. Something else was meant as a key: without it, the stage could run twice. */
const checkedKey = (key: unknown): string | undefined => {
  if (key === undefined || key === null) return undefined
  if (typeof key === "string" && key.trim() !== "") return key
  throw new TypeError("An idempotency key must be text that is not blank")
}

const computed = <A>(stage: string, compute: () => A): Effect.Effect<A, KeyFailed> =>
  Effect.try({ try: compute, catch: (defect) => new KeyFailed({ interceptor: "idempotency", stage, defect }) })

/**
 * Runs a stage once for each tenant, pipeline, stage and key.
 *
 * Without a `key` function the key is the snapshot's `metadata.idempotencyKey`. A stage without a key runs as usual, unless
 * keys are `required`. The same key with other `parameters` fails with `IdempotencyMismatch`: they are the stage's inputs and
 * the snapshot's `inputText` unless you say otherwise, and must be data (an instance has to show what it holds).
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
}): Interceptor<IdempotencyError, IdempotencyStore> => {
  const ttlMs = Duration.toMillis(options.positiveDuration("ttl", settings?.ttl ?? "24 hours"))
  const leaseMs = Duration.toMillis(options.positiveDuration("lease", settings?.lease ?? "30 seconds"))
  const keyOf = settings?.key ?? keyOfMetadata
  const parametersOf = settings?.parameters ?? inputsAndText
  const required = settings?.required ?? false
  return fromAround("idempotency", orders.idempotency, (effect, { name: stage }) =>
    Effect.gen(function*() {
      const context = yield* StageContext
      const key = yield* computed(stage, () => checkedKey(keyOf(context)))
      if (key === undefined) {
        if (required) return yield* new IdempotencyKeyMissing({ stage })
        return yield* effect
      }
      const id = JSON.stringify([context.identity.orgId ?? null, context.pipeline, stage, key])
      if ((yield* Held).has(id)) return yield* effect
      const attempt = attemptOf(context)
      const fingerprint = yield* computed(stage, () => digestOf(parametersOf(context, attempt.input)))
      const store = yield* IdempotencyStore
      return yield* new KeyedExecution(effect, attempt, store, { ttlMs, leaseMs }, { id, key, fingerprint }).outcome
    }))
}
