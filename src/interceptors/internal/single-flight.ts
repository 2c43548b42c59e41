/**
 * Runs an Effect once for all who ask for it at the same time under the same key.
 *
 * The first to ask runs it; the others wait for its exit. When the first is interrupted the next one takes over, also when
 * it ignores that and is left behind. Nobody waits for what waits for them: an Effect that asks for itself, or for another
 * that does, is run there once more.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { constVoid } from "effect/Function"
import { type Holding, Holdings } from "../../internal/interruption.ts"

/** What a follower is told: the exit of the one who runs, or that there is none for it. */
type Landing = { readonly _tag: "Landed"; readonly exit: Exit.Exit<unknown, unknown> } | typeof again | typeof alone

/** Nobody runs it any more. */
const again = { _tag: "Again" } as const
/** Whoever runs it waits for the one who asks. */
const alone = { _tag: "Alone" } as const

/** Somebody who waits for a flight. */
interface Follower {
  /** The flights that it is part of itself. */
  readonly aboard: ReadonlyArray<Flight>
  readonly resume: (landing: Landing) => void
}

/** Somebody who runs the Effect, and those who wait for it. */
class Flight implements Holding {
  readonly flights: SingleFlight
  readonly key: string
  /** Nearly always there are none, and nothing is made for them. */
  private followers: Set<Follower> | undefined = undefined
  /** The flights that something inside of this one waits for, and how often. */
  private waitsFor: Map<Flight, number> | undefined = undefined
  /** What those are told who found it under way and only begin to wait when it has ended. */
  private landing: Landing | undefined = undefined

  constructor(flights: SingleFlight, key: string) {
    this.flights = flights
    this.key = key
  }

  /** Those among the holdings of a fiber that it is part of and that somebody may wait for. */
  static in(holdings: ReadonlyArray<Holding>): ReadonlyArray<Flight> {
    return holdings.filter((holding): holding is Flight => holding instanceof Flight && holding.landing === undefined)
  }

  /** Whether this is one of the flights, or waits for one, at whatever distance. */
  private leadsTo(flights: ReadonlyArray<Flight>): boolean {
    const seen = new Set<Flight>()
    const pending: Array<Flight> = [this]
    for (let flight = pending.pop(); flight !== undefined; flight = pending.pop()) {
      if (flights.includes(flight)) return true
      if (seen.has(flight)) continue
      seen.add(flight)
      for (const next of flight.waitsFor?.keys() ?? []) pending.push(next)
    }
    return false
  }

  /** Tells the follower at once, or when it has ended. */
  follow(follower: Follower): void {
    if (this.landing !== undefined) return follower.resume(this.landing)
    if (follower.aboard.length > 0 && this.leadsTo(follower.aboard)) return follower.resume(alone)
    this.followers ??= new Set()
    this.followers.add(follower)
    for (const flight of follower.aboard) flight.countWait(this, 1)
  }

  unfollow(follower: Follower): void {
    if (this.followers?.delete(follower) !== true) return
    for (const flight of follower.aboard) flight.countWait(this, -1)
  }

  /** Something inside of this one waits for the other, or does not any more. */
  private countWait(other: Flight, change: 1 | -1): void {
    this.waitsFor ??= new Map()
    const times = (this.waitsFor.get(other) ?? 0) + change
    if (times > 0) this.waitsFor.set(other, times)
    else this.waitsFor.delete(other)
  }

  /** Tells all who wait. */
  end(landing: Landing): void {
    if (this.landing !== undefined) return
    this.landing = landing
    this.flights.forget(this)
    if (this.followers === undefined) return
    for (const follower of this.followers) {
      this.unfollow(follower)
      follower.resume(landing)
    }
  }

  // What is inside of it is its own business.
  readonly onLeftBehind = constVoid

  onOwnerLeftBehind(): void {
    this.end(again)
  }
}

const landingOf = (flight: Flight): Effect.Effect<Landing> =>
  Effect.flatMap(Holdings, (holdings) =>
    Effect.callback<Landing>((resume) => {
      const aboard = Flight.in(holdings)
      const follower: Follower = { aboard, resume: (landing) => resume(Effect.succeed(landing)) }
      flight.follow(follower)
      return Effect.sync(() => flight.unfollow(follower))
    }))

export class SingleFlight {
  private readonly flights = new Map<string, Flight>()

  /** The Effect's own result, or that of the one who runs it already. */
  run<A, E, R>(key: string, effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> {
    // Nobody is interrupted between taking the lead and the promise to tell the others.
    return Effect.uninterruptibleMask((restore) => {
      const flight = this.flights.get(key)
      return flight === undefined ? this.lead(key, effect, restore) : restore(this.follow(flight, effect))
    })
  }

  private lead<A, E, R>(
    key: string,
    effect: Effect.Effect<A, E, R>,
    restore: (effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
  ): Effect.Effect<A, E, R> {
    const flight = new Flight(this, key)
    this.flights.set(key, flight)
    const aboard = Effect.updateContext(
      effect,
      (context: Context.Context<R>) => Context.add(context, Holdings, [...Context.get(context, Holdings), flight])
    )
    return Effect.onExitPrimitive(restore(aboard), (exit) => {
      flight.end({ _tag: "Landed", exit })
      return undefined
    })
  }

  private follow<A, E, R>(flight: Flight, effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> {
    return Effect.flatMap(landingOf(flight), (landing) => {
      if (landing._tag === "Alone") return effect
      return landing._tag === "Again" || Exit.hasInterrupts(landing.exit)
        ? this.run(flight.key, effect)
        // Whoever asks under one key asks for the same thing.
        : landing.exit as Exit.Exit<A, E>
    })
  }

  forget(flight: Flight): void {
    if (this.flights.get(flight.key) === flight) this.flights.delete(flight.key)
  }
}
