/**
 * Runs an Effect once for all who ask for it at the same time under the same key.
 *
 * The first to ask runs it; the others wait for its exit. When the first is interrupted the next one takes over.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"

type Resume = (effect: Effect.Effect<Exit.Exit<unknown, unknown>>) => void

export class SingleFlight {
  private readonly flights = new Map<string, Set<Resume>>()

  /** The Effect's own result, or that of the one who runs it already. */
  run<A, E, R>(key: string, effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> {
    // Nobody is interrupted between taking the lead and the promise to tell the others.
    return Effect.uninterruptibleMask((restore) => {
      const waiting = this.flights.get(key)
      return waiting === undefined ? this.lead(key, restore(effect)) : restore(this.follow(key, waiting, effect))
    })
  }

  private lead<A, E, R>(key: string, effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> {
    const waiting = new Set<Resume>()
    this.flights.set(key, waiting)
    return Effect.onExit(effect, (exit) =>
      Effect.sync(() => {
        this.flights.delete(key)
        for (const resume of waiting) resume(Effect.succeed(exit))
      }))
  }

  private follow<A, E, R>(key: string, waiting: Set<Resume>, effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> {
    const landed = Effect.callback<Exit.Exit<unknown, unknown>>((resume) => {
      waiting.add(resume)
      return Effect.sync(() => {
        waiting.delete(resume)
      })
    })
    return Effect.flatMap(landed, (exit) =>
      Exit.hasInterrupts(exit)
        ? this.run(key, effect)
        // Whoever asks under one key asks for the same thing.
        : exit as Exit.Exit<A, E>)
  }
}
