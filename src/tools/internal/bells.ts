/**
 * Wakes those in this process who wait for something to change.
 */
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"

export class Bells {
  private readonly waiting = new Map<string, Set<Deferred.Deferred<void>>>()

  /** Listens from now on. The Effect inside ends when the bell has rung, also when that was before it started. */
  listen(name: string): Effect.Effect<Effect.Effect<void>, never, Scope.Scope> {
    return Effect.map(
      Effect.acquireRelease(
        Effect.sync(() => {
          const bell = Deferred.makeUnsafe<void>()
          const all = this.waiting.get(name)
          if (all === undefined) this.waiting.set(name, new Set([bell]))
          else all.add(bell)
          return bell
        }),
        (bell) =>
          Effect.sync(() => {
            const all = this.waiting.get(name)
            all?.delete(bell)
            if (all?.size === 0) this.waiting.delete(name)
          })
      ),
      Deferred.await
    )
  }

  ring(name: string): void {
    for (const bell of this.waiting.get(name) ?? []) Deferred.doneUnsafe(bell, Effect.void)
  }
}

/** Waits until an Effect ends, or so long; for ever when nothing says how long. */
export const atMost = (effect: Effect.Effect<void>, millis: number): Effect.Effect<void> =>
  Number.isFinite(millis) ? Effect.asVoid(Effect.timeoutOption(effect, Duration.millis(Math.max(millis, 0)))) : effect
