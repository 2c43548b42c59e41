/**
 * Keeps claims and results in memory.
 */
import * as Effect from "effect/Effect"
import {
  type Answer,
  answerFrom,
  type Claim,
  claimedAfter,
  type ClaimEntry,
  type Claims,
  entryOf,
  isClaimOf,
  isResultOf,
  lossesAfter,
  sweptAfterMs
} from "./claims.ts"

export class MemoryClaims implements Claims<never> {
  private readonly entries = new Map<string, ClaimEntry>()
  private sweptAt = 0

  readonly claim = (asked: Claim): Effect.Effect<Answer> =>
    Effect.sync(() => {
      const { key, now } = asked
      this.sweep(now)
      const known = this.entries.get(key)
      const answer = known === undefined ? undefined : answerFrom(known, now)
      if (answer !== undefined) return answer
      const losses = lossesAfter(known)
      this.entries.set(key, entryOf(asked, losses))
      return claimedAfter(losses)
    })

  readonly renew: Claims<never>["renew"] = ({ key, owner, until }) =>
    Effect.sync(() => this.change(key, owner, { until }))

  readonly keep: Claims<never>["keep"] = ({ key, owner, result, until }) =>
    Effect.sync(() => this.change(key, owner, { result, until }) || isResultOf(owner, this.entries.get(key)))

  readonly release: Claims<never>["release"] = ({ key, owner }) =>
    Effect.sync(() => {
      if (isClaimOf(owner, this.entries.get(key))) this.entries.delete(key)
    })

  private change(key: string, owner: string, changes: Partial<ClaimEntry>): boolean {
    const known = this.entries.get(key)
    if (!isClaimOf(owner, known)) return false
    this.entries.set(key, { ...known, ...changes })
    return true
  }

  private sweep(now: number): void {
    // Whichever way the clock went.
    if (Math.abs(now - this.sweptAt) < sweptAfterMs) return
    this.sweptAt = now
    for (const [key, { until }] of this.entries) {
      if (until <= now - sweptAfterMs) this.entries.delete(key)
    }
  }
}
