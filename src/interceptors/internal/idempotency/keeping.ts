/**
 * Writes under a claimed key what is to be known of its stage, and goes on trying for as long as the claim lasts.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type { FieldProblem } from "../../../internal/problems.ts"
import type { IdempotencyUnavailable } from "./errors.ts"
import { textOf } from "./kept-record.ts"
import { type Lease, timeAfter } from "./lease.ts"
import type { StoreAccess } from "./store-access.ts"

/** A store that fails may answer when it is asked again. */
const attemptsAtOnce = 2

const notTaken: FieldProblem = { path: [], message: "The store did not take it" }

export class Keeping {
  private readonly access: StoreAccess
  private readonly lease: Lease
  private readonly ttlMs: number

  constructor(access: StoreAccess, lease: Lease, ttlMs: number) {
    this.access = access
    this.lease = lease
    this.ttlMs = ttlMs
  }

  /**
   * Keeps a record, and says whether the claim was still ours. When the store fails, whoever waits is told at once, and it
   * is tried again later.
   */
  keep(text: string): Effect.Effect<boolean, IdempotencyUnavailable> {
    return Effect.gen({ self: this }, function*() {
      for (let attempt = 1;; attempt++) {
        const kept = yield* Effect.result(this.keepOnce(text))
        if (kept._tag === "Success") return kept.success
        if (attempt < attemptsAtOnce) continue
        yield* Effect.forkDetach(this.keepLater(text), { startImmediately: true })
        return yield* kept.failure
      }
    })
  }

  private keepOnce(text: string): Effect.Effect<boolean, IdempotencyUnavailable> {
    const { access, lease: { claim: { key, owner } }, ttlMs } = this
    return access.ask(
      "keep",
      (store) =>
        Effect.flatMap(
          Clock.currentTimeMillis,
          (now) => store.keep({ key, owner, result: text, until: timeAfter(now, ttlMs) })
        )
    )
  }

  private keepLater(text: string): Effect.Effect<void> {
    return Effect.gen({ self: this }, function*() {
      for (let pauseMs = this.lease.ms / 60; yield* this.lease.lastsFor(pauseMs); pauseMs *= 2) {
        yield* Effect.sleep(pauseMs)
        if ((yield* Effect.exit(this.keepOnce(text)))._tag === "Success") return
      }
      // Something small may find a place where the result found none.
      yield* Effect.exit(
        Effect.flatMap(textOf({ _tag: "Unkept", problems: [notTaken] }, undefined), (short) => this.keepOnce(short))
      )
    })
  }
}
