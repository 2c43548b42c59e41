/**
 * Runs an Effect once for all who ask for it at the same time under the same key.
 *
 * The first to ask runs it; the others wait for its exit. When the first is interrupted the next one takes over.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"

type Resume = (effect: Effect.Effect<Exit.Exit<unknown, unknown>>) => void

/** An Effect that one runs for all who ask for it. */
interface Flight {
  /** What it ended with: who found it running may only begin to wait when it has ended. */
  exit: Exit.Exit<unknown, unknown> | undefined
  waiting: Set<Resume> | undefined
}

export class SingleFlight {
  private readonly flights = new Map<string, Flight>()

  /** The Effect's own result, or that of the one who runs it already. */
  run<A, E, R>(key: string, effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> {
    // Nobody is interrupted between taking the lead and the promise to tell the others.
    return Effect.uninterruptibleMask((restore) => {
      const flight = this.flights.get(key)
      return flight === undefined ? this.lead(key, restore(effect)) : restore(this.follow(key, flight, effect))
    })
  }

  private lead<A, E, R>(key: string, effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> {
    const flight: Flight = { exit: undefined, waiting: undefined }
    this.flights.set(key, flight)
    return Effect.onExitPrimitive(effect, (exit) => {
      flight.exit = exit
      this.flights.delete(key)
      if (flight.waiting !== undefined) {
        for (const resume of flight.waiting) resume(Effect.succeed(exit))
      }
      return undefined
    })
  }

  private follow<A, E, R>(key: string, flight: Flight, effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> {
    const landed = Effect.callback<Exit.Exit<unknown, unknown>>((resume) => {
      if (flight.exit !== undefined) return resume(Effect.succeed(flight.exit))
      const waiting = flight.waiting ??= new Set()
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
