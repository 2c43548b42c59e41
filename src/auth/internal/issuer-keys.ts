/**
 * Keeps the keys of an issuer, and says when they are fetched again.
 *
 * There is one fetch at a time, for all who wait for it. It belongs to the Layer and not to a run, so a run that gives up
 * neither stops the others nor makes the next one ask anew. Whether a fetch succeeded or failed, a stated time goes by
 * before the next one. `jose` has all this but the pause after a failure, and on the clock of the machine.
 *
 * Time is monotonic here: when the wall clock is set back, a key that was withdrawn is not accepted for any longer.
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as FiberHandle from "effect/FiberHandle"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import type { Header, Refusal } from "./jwt.ts"
import { type FetchFailed, fetchKeySet, type KeySet, type Limits } from "./key-set.ts"
import type { VerificationKey } from "./verification-key.ts"

/** When keys are fetched, and how long they are used. */
export interface Policy extends Limits {
  /** How long keys are used before they are fetched again. */
  readonly cacheFor: Duration.Duration
  /** How much longer they are used while they cannot be fetched. */
  readonly staleFor: Duration.Duration
  /** How long a token with an unknown key makes nobody look for new ones, after they were fetched. */
  readonly cooldown: Duration.Duration
  /** How long nobody asks, after a fetch that failed. */
  readonly retryAfter: Duration.Duration
}

interface Known {
  readonly keys: KeySet
  readonly since: bigint
}

interface Attempt {
  readonly ended: bigint
  readonly failed: boolean
}

/** The keys of one issuer. */
export interface IssuerKeys {
  /** The key that verifies tokens with this header. */
  readonly find: (header: Header) => Effect.Effect<VerificationKey, Refusal>
}

type Fork = (effect: Effect.Effect<void>) => Fiber.Fiber<void>

const whyOf = (cause: Cause.Cause<FetchFailed>): string =>
  Option.match(Cause.findErrorOption(cause), { onNone: () => "the fetch broke", onSome: ({ why }) => why })

class KeptKeys implements IssuerKeys {
  private known: Known | undefined
  private last: Attempt | undefined
  private flight: Fiber.Fiber<void> | undefined
  private readonly url: URL
  private readonly policy: Policy
  private readonly fork: Fork

  constructor(url: URL, policy: Policy, fork: Fork) {
    this.url = url
    this.policy = policy
    this.fork = fork
  }

  find(header: Header): Effect.Effect<VerificationKey, Refusal> {
    return Effect.gen({ self: this }, function*() {
      const known = yield* this.current
      if (known === undefined) return yield* Effect.fail<Refusal>("keys-unavailable")
      const key = yield* known.keys.find(header)
      if (Option.isSome(key)) return key.value
      const newer = yield* this.newerThan(known)
      const newKey = newer === undefined ? Option.none() : yield* newer.keys.find(header)
      if (Option.isSome(newKey)) return newKey.value
      // Nobody could ask whether the issuer has such a key by now.
      return yield* Effect.fail<Refusal>(this.last?.failed === true ? "keys-unavailable" : "unknown-key")
    })
  }

  /** The keys that may be used now, fetched before that where it is time. */
  private readonly current: Effect.Effect<Known | undefined> = Effect.gen({ self: this }, function*() {
    const { cacheFor, retryAfter, staleFor } = this.policy
    const now = yield* Clock.monotonicTimeNanos
    const isFresh = this.known !== undefined && !hasPassed(cacheFor, this.known.since, now)
    if (isFresh) return this.known
    const mayAsk = this.last?.failed !== true || hasPassed(retryAfter, this.last.ended, now)
    if (mayAsk) yield* this.refreshed
    const { known } = this
    const usableFor = Duration.sum(cacheFor, staleFor)
    return known === undefined || hasPassed(usableFor, known.since, yield* Clock.monotonicTimeNanos) ? undefined : known
  })

  /** Newer keys than these, if there are any or it is time to look for them. */
  private newerThan(known: Known): Effect.Effect<Known | undefined> {
    return Effect.gen({ self: this }, function*() {
      const { cooldown, retryAfter } = this.policy
      const now = yield* Clock.monotonicTimeNanos
      const { last } = this
      const mayAsk = last === undefined || hasPassed(last.failed ? retryAfter : cooldown, last.ended, now)
      // Somebody else may have fetched them since.
      if (this.known === known && mayAsk) yield* this.refreshed
      return this.known === known ? undefined : this.known
    })
  }

  /** Waits for the fetch that is going on, or for a new one. */
  private readonly refreshed: Effect.Effect<void> = Effect.suspend(() => {
    const fiber = this.flight ?? this.fork(this.refresh)
    if (this.flight === undefined) {
      this.flight = fiber
      fiber.addObserver(() => {
        this.flight = undefined
      })
    }
    return Effect.asVoid(Fiber.await(fiber))
  })

  private readonly refresh: Effect.Effect<void> = Effect.gen({ self: this }, function*() {
    const exit = yield* Effect.exit(fetchKeySet(this.url, this.policy))
    const now = yield* Clock.monotonicTimeNanos
    this.last = { ended: now, failed: exit._tag === "Failure" }
    if (exit._tag === "Success") {
      this.known = { keys: exit.value, since: now }
      return
    }
    const { origin, pathname } = this.url
    yield* Effect.logWarning(`The keys at ${origin}${pathname} could not be fetched: ${whyOf(exit.cause)}`)
  })
}

const hasPassed = (duration: Duration.Duration, since: bigint, now: bigint): boolean =>
  Duration.isGreaterThanOrEqualTo(Duration.nanos(now - since), duration)

/** The keys at this address, for as long as the scope is open. */
export const make = (url: URL, policy: Policy): Effect.Effect<IssuerKeys, never, Scope.Scope> =>
  Effect.map(FiberHandle.makeRuntime<never, never, void>(), (fork) => new KeptKeys(url, policy, fork))
