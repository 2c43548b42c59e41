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
 *
 * `losses` says how many owners in a row let their lease run out before; nothing when none did.
 */
export type Answer =
  | { readonly _tag: "Claimed"; readonly losses?: number | undefined }
  | { readonly _tag: "Running"; readonly fingerprint: string; readonly until: number }
  | { readonly _tag: "Kept"; readonly fingerprint: string; readonly result: string }

export interface Claims<E> {
  readonly claim: (claim: Claim) => Effect.Effect<Answer, E>
  readonly renew: (claim: Owned & { readonly until: number }) => Effect.Effect<boolean, E>
  readonly keep: (claim: Owned & { readonly until: number; readonly result: string }) => Effect.Effect<boolean, E>
  readonly release: (claim: Owned) => Effect.Effect<void, E>
}

/** What is written under a key: a claim until it has a result. */
export interface ClaimEntry {
  readonly owner: string
  readonly fingerprint: string
  /** When the lease of the claim, or the time of the result, is over. */
  readonly until: number
  readonly result?: string | undefined
  /** How many claims in a row ran out before this one; none when it is not there. */
  readonly losses?: number | undefined
}

/** The answer to who gets the claim after so many that ran out. */
export const claimedAfter = (losses: number): Answer => losses === 0 ? { _tag: "Claimed" } : { _tag: "Claimed", losses }

/** How many claims in a row have run out, with the one that is over now. */
export const lossesAfter = (over: ClaimEntry | undefined): number =>
  over === undefined || over.result !== undefined ? 0 : (over.losses ?? 0) + 1

/** The entry of who gets the claim. */
export const entryOf = ({ fingerprint, owner, until }: Claim, losses: number): ClaimEntry =>
  losses === 0 ? { owner, fingerprint, until } : { owner, fingerprint, until, losses }

/** What an entry means to somebody else's claim; nothing when it is over. */
export const answerFrom = ({ fingerprint, result, until }: ClaimEntry, now: number): Answer | undefined => {
  if (until <= now) return undefined
  return result === undefined ? { _tag: "Running", fingerprint, until } : { _tag: "Kept", fingerprint, result }
}

/** Whether an entry is a claim of this owner, over or not. */
export const isClaimOf = (owner: string, entry: ClaimEntry | undefined): entry is ClaimEntry =>
  entry !== undefined && entry.owner === owner && entry.result === undefined

/** Whether an entry is a result of this owner. */
export const isResultOf = (owner: string, entry: ClaimEntry | undefined): boolean =>
  entry !== undefined && entry.owner === owner && entry.result !== undefined

/**
 * How long an entry that is over stays before it is swept away: an owner who was held up finds its claim as long as
 * nobody else has taken it, and the next one learns that it ran out.
 */
export const sweptAfterMs = Duration.toMillis("1 hour")
