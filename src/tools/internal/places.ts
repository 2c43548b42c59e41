/**
 * Lets so many calls of a tool run at once. A call inside of a call of the same tool has its place already.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Semaphore from "effect/Semaphore"

const Held = Context.Reference<ReadonlyArray<Places>>("stageflow/tools/Held", { defaultValue: () => [] })

export class Places {
  private readonly semaphore: Semaphore.Semaphore | undefined

  constructor(concurrency: number) {
    this.semaphore = Number.isFinite(concurrency) ? Semaphore.makeUnsafe(concurrency) : undefined
  }

  /** Runs an Effect in one of the places. */
  with<A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> {
    const { semaphore } = this
    if (semaphore === undefined) return effect
    return Effect.flatMap(Held, (held) =>
      held.includes(this)
        ? effect
        : semaphore.withPermits(1)(Effect.provideService(effect, Held, [...held, this])))
  }
}
