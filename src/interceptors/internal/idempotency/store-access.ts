/**
 * Asks a store of claims, in time: a lease does not wait for its answer.
 */
import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import { interruptWithin } from "../../../internal/interruption.ts"
import type { IdempotencyStore, IdempotencyStoreFailed } from "../../IdempotencyStore.ts"
import { IdempotencyUnavailable } from "./errors.ts"

type Store = IdempotencyStore["Service"]

type Operation = IdempotencyUnavailable["operation"]

export class StoreAccess {
  readonly store: Store
  private readonly stage: string
  private readonly leaseMs: number

  constructor(store: Store, stage: string, leaseMs: number) {
    this.store = store
    this.stage = stage
    this.leaseMs = leaseMs
  }

  /**
   * What the store answers within a third of the lease. It answers in a fiber of its own: whoever asks does not wait for a
   * store that ignores its interruption.
   */
  ask<A>(
    operation: Operation,
    question: (store: Store) => Effect.Effect<A, IdempotencyStoreFailed>
  ): Effect.Effect<A, IdempotencyUnavailable> {
    const limit = Duration.millis(this.leaseMs / 3)
    return Effect.uninterruptibleMask((restore) =>
      Effect.gen({ self: this }, function*() {
        const asking = yield* Effect.forkDetach(Effect.suspend(() => question(this.store)), { startImmediately: true })
        const exit = asking.pollUnsafe() ?? Option.getOrUndefined(
          yield* restore(Effect.timeoutOption(Fiber.await(asking), limit)).pipe(
            // What it does now comes before whatever is asked next.
            Effect.onInterrupt(() => interruptWithin([asking], limit))
          )
        )
        if (exit?._tag === "Success") return exit.value
        asking.interruptUnsafe()
        return yield* new IdempotencyUnavailable({
          stage: this.stage,
          operation,
          defect: exit === undefined ? new Error("The store did not answer in time") : defectOf(exit.cause)
        })
      })
    )
  }
}

/** What the store says is wrong, without our own wrapping of it. */
const defectOf = (cause: Cause.Cause<IdempotencyStoreFailed>): unknown => {
  const failure = Cause.findErrorOption(cause)
  return Option.isSome(failure) ? failure.value.defect : Cause.squash(cause)
}
