/**
 * Tells those who wait for a key that something about it has changed.
 */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Scope from "effect/Scope"

export class Doorbell {
  private readonly listening = new Map<string, Set<Deferred.Deferred<void>>>()

  /** Listens from now on: the Effect inside ends with the next ring, also when that comes before it starts. */
  listen(key: string): Effect.Effect<Effect.Effect<void>, never, Scope.Scope> {
    return Effect.map(
      Effect.acquireRelease(
        Effect.sync(() => {
          const rung = Deferred.makeUnsafe<void>()
          const others = this.listening.get(key)
          if (others === undefined) this.listening.set(key, new Set([rung]))
          else others.add(rung)
          return rung
        }),
        (rung) => Effect.sync(() => this.leave(key, rung))
      ),
      Deferred.await
    )
  }

  private leave(key: string, rung: Deferred.Deferred<void>): void {
    const others = this.listening.get(key)
    others?.delete(rung)
    if (others?.size === 0) this.listening.delete(key)
  }

  ring(key: string): void {
    // Who hears it may listen again at once, which is for the next ring.
    for (const rung of Array.from(this.listening.get(key) ?? [])) Deferred.doneUnsafe(rung, Exit.void)
  }
}
