/**
 * Defines what a store of claims and results does, whatever it is made of; see `IdempotencyStore`.
 */
import * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"

/**
 * Somebody asks to be the one who runs.
 */
export interface Claim {
  readonly key: string
  /** Who asks: another one each time. */
  readonly owner: string
  /** Stands for the parameters. */
  readonly fingerprint: string
  /** The time, in milliseconds since the epoch. */
  readonly now: number
  /** When the lease of the claim ends. */
  readonly until: number
}

/** A claim that somebody has. */
export type Owned = Pick<Claim, "key" | "owner">

/**
 * What a store says to a claim: it is yours, somebody else runs, or there is a result.
 */
export type Answer =
  | { readonly _tag: "Claimed" }
  | { readonly _tag: "Running"; readonly fingerprint: string; readonly until: number }
  | { readonly _tag: "Kept"; readonly fingerprint: string; readonly result: string }

export interface Claims<E> {
  readonly claim: (claim: Claim) => Effect.Effect<Answer, E>
  readonly renew: (claim: Owned & { readonly until: number }) => Effect.Effect<boolean, E>
  readonly keep: (claim: Owned & { readonly until: number; readonly result: string }) => Effect.Effect<boolean, E>
  readonly release: (claim: Owned) => Effect.Effect<void, E>
}

/** What is written under a key: a claim until it has a result. */
export interface Entry {
  readonly owner: string
  readonly fingerprint: string
  /** When the lease of the claim, or the time of the result, is over. */
  readonly until: number
  readonly result?: string | undefined
}

export const claimed: Answer = { _tag: "Claimed" }

/** What an entry means to somebody else's claim; nothing when it is over. */
export const answerFrom = ({ fingerprint, result, until }: Entry, now: number): Answer | undefined => {
  if (until <= now) return undefined
  return result === undefined ? { _tag: "Running", fingerprint, until } : { _tag: "Kept", fingerprint, result }
}

/** Whether an entry is a claim of this owner, over or not. */
export const isClaimOf = (owner: string, entry: Entry | undefined): entry is Entry =>
  entry !== undefined && entry.owner === owner && entry.result === undefined

/**
 * How long an entry that is over stays before it is swept away: an owner who was held up finds its claim as long as
 * nobody else has taken it.
 */
export const sweptAfterMs = Duration.toMillis("1 hour")
