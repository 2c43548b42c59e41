/**
 * Keeps claims and results in memory.
 */
import * as Effect from "effect/Effect"
import {
  type Answer,
  answerFrom,
  type Claim,
  claimed,
  type Claims,
  type Entry,
  isClaimOf,
  sweptAfterMs
} from "./claims.ts"

export class MemoryClaims implements Claims<never> {
  private readonly entries = new Map<string, Entry>()
  private sweptAt = 0

  readonly claim = ({ fingerprint, key, now, owner, until }: Claim): Effect.Effect<Answer> =>
    Effect.sync(() => {
      this.sweep(now)
      const known = this.entries.get(key)
      const answer = known === undefined ? undefined : answerFrom(known, now)
      if (answer !== undefined) return answer
      this.entries.set(key, { owner, fingerprint, until })
      return claimed
    })

  readonly renew: Claims<never>["renew"] = ({ key, owner, until }) => this.change(key, owner, { until })

  readonly keep: Claims<never>["keep"] = ({ key, owner, result, until }) => this.change(key, owner, { result, until })

  readonly release: Claims<never>["release"] = ({ key, owner }) =>
    Effect.sync(() => {
      if (isClaimOf(owner, this.entries.get(key))) this.entries.delete(key)
    })

  private change(key: string, owner: string, changes: Partial<Entry>): Effect.Effect<boolean> {
    return Effect.sync(() => {
      const known = this.entries.get(key)
      if (!isClaimOf(owner, known)) return false
      this.entries.set(key, { ...known, ...changes })
      return true
    })
  }

  private sweep(now: number): void {
    if (now - this.sweptAt < sweptAfterMs) return
    this.sweptAt = now
    for (const [key, { until }] of this.entries) {
      if (until <= now - sweptAfterMs) this.entries.delete(key)
    }
  }
}
