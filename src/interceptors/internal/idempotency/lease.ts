/**
 * Renews a claim until it is told to stop, or the claim is lost, or may be soon.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import type { IdempotencyUnavailable } from "./errors.ts"
import { monotonicMs, type StoreAccess } from "./store-access.ts"

/** A claim that somebody has, and when its lease ends. */
export interface Leased {
  readonly key: string
  readonly owner: string
  readonly until: number
}

/** Why a claim is not to be relied on any more: somebody else has it, or could. */
export type Gone = "lost" | IdempotencyUnavailable

/** A time that every store can write, also when it is never. */
export const timeAfter = (now: number, ms: number): number => Math.min(now + ms, Number.MAX_SAFE_INTEGER)

export class Lease {
  private readonly access: StoreAccess
  private readonly ms: number
  private readonly claim: Omit<Leased, "until">
  private renewal: Fiber.Fiber<void> | undefined = undefined
  /** When it ends, as far as is known here. */
  until: number

  constructor(access: StoreAccess, ms: number, { until, ...claim }: Leased) {
    this.access = access
    this.ms = ms
    this.claim = claim
    this.until = until
  }

  /** Renews the lease from now on, in a fiber of its own: it goes on when whoever waited for the stage has gone. */
  startRenewing(onGone: (why: Gone) => void): Effect.Effect<void> {
    return Effect.map(Effect.forkDetach(this.renewing(onGone), { startImmediately: true }), (fiber) => {
      this.renewal = fiber
    })
  }

  stopRenewing(): void {
    this.renewal?.interruptUnsafe()
  }

  private renewing(onGone: (why: Gone) => void): Effect.Effect<void> {
    return Effect.gen({ self: this }, function*() {
      let renewedAt = yield* monotonicMs
      while (true) {
        yield* Effect.sleep(this.ms / 3)
        const askedAt = yield* monotonicMs
        const until = timeAfter(yield* Clock.currentTimeMillis, this.ms)
        const renewed = yield* Effect.result(
          this.access.ask("renew", (store) => store.renew({ ...this.claim, until }))
        )
        if (renewed._tag === "Success") {
          if (!renewed.success) return onGone("lost")
          this.until = until
          renewedAt = askedAt
        } else if (yield* this.isNearlyOver(renewedAt)) {
          return onGone(renewed.failure)
        }
      }
    })
  }

  /** Whether it ends before it can be renewed again, by either clock: the one on the wall can be set. */
  private isNearlyOver(renewedAt: number): Effect.Effect<boolean> {
    return Effect.gen({ self: this }, function*() {
      const now = yield* Clock.currentTimeMillis
      return now + this.ms / 3 >= this.until || (yield* monotonicMs) - renewedAt >= (this.ms / 3) * 2
    })
  }
}
