/**
 * Knows which claims this process holds, so that those who wait for them here do not all ask a file or a database.
 *
 * Of all who ask for a key at the same time one asks for them. What is known of a claim is true until its lease ends:
 * nobody else can have it before.
 */
import * as Effect from "effect/Effect"
import { SingleFlight } from "../single-flight.ts"
import { type Answer, type Claim, type Claims, sweptAfterMs } from "./claims.ts"

type Held = Pick<Claim, "owner" | "fingerprint" | "until">

export class LocalClaims<E> implements Claims<E> {
  private readonly claims: Claims<E>
  private readonly flights = new SingleFlight()
  private readonly held = new Map<string, Held>()
  private sweptAt = 0

  constructor(claims: Claims<E>) {
    this.claims = claims
  }

  readonly claim = (asked: Claim): Effect.Effect<Answer, E> =>
    Effect.suspend(() => {
      const { key, now, owner } = asked
      const held = this.held.get(key)
      if (held !== undefined && held.until > now) {
        return Effect.succeed({ _tag: "Running", fingerprint: held.fingerprint, until: held.until })
      }
      return Effect.flatMap(this.flights.run(key, this.ask(asked)), ({ answer, by }) =>
        answer._tag === "Claimed" && by !== owner ? this.claim(asked) : Effect.succeed(answer))
    })

  readonly renew: Claims<E>["renew"] = (claim) =>
    Effect.tap(this.claims.renew(claim), (isRenewed) =>
      Effect.sync(() => {
        const held = this.heldBy(claim)
        if (isRenewed && held !== undefined) this.held.set(claim.key, { ...held, until: claim.until })
        else this.forget(claim)
      }))

  readonly keep: Claims<E>["keep"] = (claim) => Effect.tap(this.claims.keep(claim), () => this.forgetting(claim))

  readonly release: Claims<E>["release"] = (claim) =>
    Effect.tap(this.claims.release(claim), () => this.forgetting(claim))

  private ask(asked: Claim) {
    const { fingerprint, key, now, owner, until } = asked
    return Effect.map(this.claims.claim(asked), (answer) => {
      this.sweep(now)
      if (answer._tag === "Claimed") this.held.set(key, { owner, fingerprint, until })
      return { answer, by: owner }
    })
  }

  private heldBy({ key, owner }: Pick<Claim, "key" | "owner">): Held | undefined {
    const held = this.held.get(key)
    return held?.owner === owner ? held : undefined
  }

  private forget(claim: Pick<Claim, "key" | "owner">): void {
    if (this.heldBy(claim) !== undefined) this.held.delete(claim.key)
  }

  private forgetting(claim: Pick<Claim, "key" | "owner">): Effect.Effect<void> {
    return Effect.sync(() => this.forget(claim))
  }

  /** Claims whose owners went without a word. */
  private sweep(now: number): void {
    if (Math.abs(now - this.sweptAt) < sweptAfterMs) return
    this.sweptAt = now
    for (const [key, { until }] of this.held) {
      if (until <= now) this.held.delete(key)
    }
  }
}
