/**
 * Renews a claim until it is told to stop, or the claim is lost, or may be soon.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import { elapsedMillis } from "../../../internal/clock.ts"
import type { Owned } from "./claims.ts"
import type { IdempotencyUnavailable } from "./errors.ts"
import type { StoreAccess } from "./store-access.ts"

/** Why a claim is not to be relied on any more: somebody else has it, or could. */
export type Gone = "lost" | IdempotencyUnavailable

/** A time that every store can write, also when it is never. */
export const timeAfter = (now: number, ms: number): number => Math.min(now + ms, Number.MAX_SAFE_INTEGER)

export class Lease {
  private readonly access: StoreAccess
  private renewal: Fiber.Fiber<void> | undefined = undefined
  readonly claim: Owned
  /** How long it lasts from each renewal. */
  readonly ms: number
  /** When it ends, as far as is known here. */
  private until: number

  constructor(access: StoreAccess, claim: Owned, ms: number, until: number) {
    this.access = access
    this.claim = claim
    this.ms = ms
    this.until = until
  }

  lastsFor(ms: number): Effect.Effect<boolean> {
    return Effect.map(Clock.currentTimeMillis, (now) => now + ms < this.until)
  }

  /** Gives the claim up. */
  get release(): Effect.Effect<void, IdempotencyUnavailable> {
    return this.access.ask("claim", (store) => store.release(this.claim))
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
      let renewedAt = yield* elapsedMillis
      let pauseMs = this.ms / 3
      while (true) {
        yield* Effect.sleep(pauseMs)
        const askedAt = yield* elapsedMillis
        const until = timeAfter(yield* Clock.currentTimeMillis, this.ms)
        const renewed = yield* Effect.result(
          this.access.ask("renew", (store) => store.renew({ ...this.claim, until }))
        )
        if (renewed._tag === "Success") {
          if (!renewed.success) return onGone("lost")
          this.until = until
          renewedAt = askedAt
          pauseMs = this.ms / 3
        } else {
          // Whatever ignores that it is told so goes on under the claim: it is still to be had.
          if (yield* this.isNearlyOver(renewedAt)) onGone(renewed.failure)
          pauseMs = this.ms / 12
        }
      }
    })
  }

  /** Whether it ends before it can be renewed again, by either clock: the one on the wall can be set. */
  private isNearlyOver(renewedAt: number): Effect.Effect<boolean> {
    return Effect.gen({ self: this }, function*() {
      const elapsedMs = (yield* elapsedMillis) - renewedAt
      return elapsedMs >= (this.ms / 3) * 2 || !(yield* this.lastsFor(this.ms / 3))
    })
  }
}
