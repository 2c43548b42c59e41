/**
 * Asks a store of claims once for all in this process who ask for a key at the same time.
 */
import * as Effect from "effect/Effect"
import { SingleFlight } from "../single-flight.ts"
import type { Answer, Claim, Claims } from "./claims.ts"

/** The same claims. Those who wait for one key do not all read its file each time that something has changed. */
export const sharedClaims = <E>(claims: Claims<E>): Claims<E> => {
  const flights = new SingleFlight()
  const claim = (asked: Claim): Effect.Effect<Answer, E> => {
    const asking = Effect.map(claims.claim(asked), (answer) => ({ answer, by: asked.owner }))
    return Effect.flatMap(flights.run(asked.key, asking), ({ answer, by }) =>
      // What one got is nobody else's: the others are told who has it.
      answer._tag === "Claimed" && by !== asked.owner ? claim(asked) : Effect.succeed(answer))
  }
  return { claim, renew: claims.renew, keep: claims.keep, release: claims.release }
}
