/**
 * Remembers the claims that a process has taken, and notices when the clock on the wall is set under them.
 *
 * A lease ends at a time of that clock, which is all that processes share. Where it is set ahead, by hand or because the
 * machine slept, a claim that is renewed in time seems to be over. In its own process nobody takes it over.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import { elapsedMillis } from "../../../internal/clock.ts"
import { type Answer, type Claim, type Owned, sweptAfterMs } from "./claims.ts"

interface Taken {
  readonly owner: string
  readonly fingerprint: string
  readonly until: number
  /** How far the clock on the wall was ahead of the one that nobody sets. */
  readonly aheadMs: number
}

const aheadMs: Effect.Effect<number> = Effect.zipWith(
  Clock.currentTimeMillis,
  elapsedMillis,
  (now, elapsed) => now - elapsed
)

export class ClaimsInProcess {
  private readonly byKey = new Map<string, Taken>()
  private sweptAt = 0

  /** What to say to a claim of a key whose claim in this process is over only by a clock that was set. */
  answerTo({ key, now }: Claim): Effect.Effect<Answer | undefined> {
    return Effect.map(aheadMs, (aheadMs) => {
      const known = this.byKey.get(key)
      if (known === undefined || known.until > now) return undefined
      const until = known.until + aheadMs - known.aheadMs
      return until > now ? { _tag: "Running", fingerprint: known.fingerprint, until } : undefined
    })
  }

  take({ fingerprint, key, now, owner, until }: Claim): Effect.Effect<void> {
    return Effect.map(aheadMs, (aheadMs) => {
      this.sweep(now)
      this.byKey.set(key, { owner, fingerprint, until, aheadMs })
    })
  }

  renew({ key, owner, until }: Owned & { readonly until: number }): Effect.Effect<void> {
    return Effect.map(aheadMs, (aheadMs) => {
      const known = this.byKey.get(key)
      if (known?.owner === owner) this.byKey.set(key, { ...known, until, aheadMs })
    })
  }

  drop({ key, owner }: Owned): void {
    if (this.byKey.get(key)?.owner === owner) this.byKey.delete(key)
  }

  /** Forgets those whose owners have gone without a word. */
  private sweep(now: number): void {
    if (Math.abs(now - this.sweptAt) < sweptAfterMs) return
    this.sweptAt = now
    for (const [key, { until }] of this.byKey) {
      if (until <= now - sweptAfterMs) this.byKey.delete(key)
    }
  }
}
