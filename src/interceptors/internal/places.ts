/**
 * Gives out a number of places that keys share: whoever finds none free waits, and the keys that wait take turns.
 *
 * A place belongs to a body until it really ends, also when a timeout has left it behind. What runs inside of a place, in
 * a child run for one, does not wait for it: the place is lent to it, and to one at a time.
 *
 * `effect/PartitionedSemaphore` knows neither, and loses a permit when its taker is interrupted in the instant between
 * getting it and going on.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import { constVoid } from "effect/Function"
import { type Holding, Holdings, StreamHoldings } from "../../internal/interruption.ts"
import { type Waiter, WaitingLines } from "./waiting-lines.ts"

/** Who waits, or has been given a place. */
interface Guest {
  /** The place that it is inside of already, and waits for as well. */
  readonly host: Place | undefined
  place: Place | undefined
  waiter: Waiter<Guest> | undefined
  /** Wakes it, with a place or without. */
  resume: () => void
  /** Hears that it has to wait. */
  readonly onWait: () => void
}

/** A place, and everything that runs in it. */
class Place implements Holding {
  readonly places: Places
  /** Whose place it is, when it is lent. */
  readonly host: Place | undefined
  readonly guests = new Set<Guest>()
  /** Whether the one that it was given to is still there. */
  private isOwned = true
  private isLent = false
  /** Bodies that go on though nobody waits for them any more. */
  private leftBehind = 0
  /** How many are in it that pass on or read what streams through it, beside the one that it was given to. */
  private joined = 0
  /** How many places this takes up, that of its host not counted. */
  private taken = 0

  constructor(places: Places, host: Place | undefined) {
    this.places = places
    this.host = host
    this.update()
  }

  get isOver(): boolean {
    return !this.isOwned
  }

  get canLend(): boolean {
    return this.isOwned && !this.isLent
  }

  /** Whether it stands for somebody who is in the place itself, and not only for bodies that were left behind. */
  get isUsed(): boolean {
    return this.isOwned || this.isLent || this.joined > 0
  }

  /** Lets in a stage that reads what the one in here streams, or what comes of that: they wait for each other. */
  join(): void {
    this.joined++
    this.update()
  }

  readonly leaveJoined = (): undefined => {
    this.joined--
    this.update()
    if (!this.isUsed) this.giveBack()
    this.places.handOut()
  }

  private update(): void {
    // A body that was left behind is one more beside its stage, and the only one when its stage has ended: then it is
    // what the place was lent to, if it is lent.
    const used = this.isOwned ? 1 + this.leftBehind : Math.max(this.isLent || this.joined > 0 ? 1 : 0, this.leftBehind)
    const taken = this.host !== undefined && this.isUsed ? used - 1 : used
    this.places.free += this.taken - taken
    this.taken = taken
  }

  /** Lends it: what it is lent to is inside of it. */
  lend(): Place {
    this.isLent = true
    this.update()
    return new Place(this.places, this)
  }

  /** What it was lent to has ended. */
  private takeBack(): void {
    this.isLent = false
    this.update()
    if (!this.isUsed) this.giveBack()
    else if (this.guests.size > 0) this.places.hosts.add(this)
  }

  readonly leave = (): undefined => {
    this.isOwned = false
    this.update()
    if (!this.isUsed) this.giveBack()
    this.places.handOut()
  }

  private giveBack(): void {
    this.host?.takeBack()
  }

  // The place is its owner's until it ends, whoever waits for that.
  readonly onOwnerLeftBehind = constVoid

  onLeftBehind(fiber: Fiber.Fiber<unknown, unknown>): void {
    this.leftBehind++
    this.update()
    fiber.addObserver(() => {
      this.leftBehind--
      this.update()
      this.places.handOut()
    })
  }
}

export class Places {
  private readonly count: number
  private readonly queue: number
  /** Less than none where bodies that were left behind are more than there are places. */
  free: number
  /** Places that can be lent to those who wait inside of them. */
  readonly hosts = new Set<Place>()
  private readonly waiting = new WaitingLines<Guest>()
  private isHandingOut = false

  /** `queue` says how many may wait. */
  constructor(count: number, queue: number = Number.POSITIVE_INFINITY) {
    this.count = count
    this.queue = queue
    this.free = count
  }

  /** Whether nobody is in a place or waits for one. */
  get isIdle(): boolean {
    return this.free === this.count && this.waiting.size === 0
  }

  /**
   * Runs the Effect in a place of its own, or gives `full` when there is none and no more may wait.
   *
   * When no more may wait, the key that has most waiting gives way to one that has fewer: its last one gets `full` instead.
   * `onWait` is called if it has to wait.
   */
  within<A, E, R, E2 = never>(
    key: string,
    effect: Effect.Effect<A, E, R>,
    full: Effect.Effect<never, E2>,
    onWait: () => void = constVoid
  ): Effect.Effect<A, E | E2, R> {
    // Nobody is interrupted between getting a place and the promise to give it back.
    return Effect.uninterruptibleMask((restore) =>
      Effect.withFiber((fiber): Effect.Effect<A, E | E2, R> => {
        const holdings = Context.get(fiber.context, Holdings)
        const streaming = this.streamingIn(Context.get(fiber.context, StreamHoldings))
        if (streaming !== undefined) {
          streaming.join()
          const within = Effect.provideService(effect, Holdings, holdingsIn(holdings, streaming))
          return Effect.onExitPrimitive(restore(within), streaming.leaveJoined)
        }
        const host = this.hostIn(holdings)
        const inside = (place: Place) => restore(Effect.provideService(effect, Holdings, holdingsIn(holdings, place)))
        const place = this.take(host)
        if (place !== undefined) return Effect.onExitPrimitive(inside(place), place.leave)
        const guest: Guest = { host, place: undefined, waiter: undefined, resume: constVoid, onWait }
        return Effect.onExitPrimitive(
          Effect.flatMap(
            restore(this.turn(key, guest)),
            (): Effect.Effect<A, E | E2, R> => guest.place === undefined ? full : inside(guest.place)
          ),
          () => guest.place === undefined ? this.goAway(guest) : guest.place.leave()
        )
      })
    )
  }

  /** The place that a fiber is in already. */
  private hostIn(holdings: ReadonlyArray<Holding>): Place | undefined {
    for (const holding of holdings) {
      if (holding instanceof Place && holding.places === this && !holding.isOver) return holding
    }
    return undefined
  }

  /** The place of a stage whose stream is read, while anybody is in it. */
  private streamingIn(holdings: ReadonlyArray<Holding>): Place | undefined {
    for (const holding of holdings) {
      if (holding instanceof Place && holding.places === this && holding.isUsed) return holding
    }
    return undefined
  }

  private take(host: Place | undefined): Place | undefined {
    // While more bodies go on than there are places, those that were left behind included, nobody else gets in.
    if (host?.canLend === true && this.free >= 0) return host.lend()
    return this.free > 0 && this.waiting.size === 0 ? new Place(this, undefined) : undefined
  }

  /** Ends when it is the guest's turn, with a place, or when there is none for it. */
  private turn(key: string, guest: Guest): Effect.Effect<void> {
    return Effect.callback((resume) => {
      guest.resume = () => resume(Effect.void)
      // What was taken a moment ago may be free by now, and nobody would come to say so.
      guest.place = this.take(guest.host)
      if (guest.place !== undefined || !this.queueUp(key, guest)) guest.resume()
    })
  }

  private queueUp(key: string, guest: Guest): boolean {
    const isFull = this.waiting.size >= this.queue
    const rejected = isFull ? this.waiting.takeLastOfLongest(key) : undefined
    if (isFull && rejected === undefined) return false
    guest.waiter = this.waiting.add(key, guest)
    guest.host?.guests.add(guest)
    if (guest.host?.canLend === true) this.hosts.add(guest.host)
    guest.onWait()
    // It goes on at once, and may leave a place behind: for whoever waits, so this comes last.
    rejected?.host?.guests.delete(rejected)
    rejected?.resume()
    return true
  }

  private goAway(guest: Guest): undefined {
    if (guest.waiter !== undefined) this.waiting.remove(guest.waiter)
    guest.host?.guests.delete(guest)
  }

  /** Gives places to those who wait. */
  handOut(): undefined {
    // Who gets a place goes on at once and may be here again before it is done: the loop that is going on sees to that.
    if (this.isHandingOut) return
    this.isHandingOut = true
    while (this.lendOne() || this.handOutOne());
    this.isHandingOut = false
  }

  private lendOne(): boolean {
    if (this.free < 0) return false
    const [host] = this.hosts
    if (host === undefined) return false
    this.hosts.delete(host)
    const [guest] = host.guests
    if (guest !== undefined && host.canLend) this.letIn(guest, host.lend())
    return true
  }

  private handOutOne(): boolean {
    if (this.free <= 0) return false
    const guest = this.waiting.takeNext()
    if (guest === undefined) return false
    this.letIn(guest, new Place(this, undefined))
    return true
  }

  private letIn(guest: Guest, place: Place): void {
    this.goAway(guest)
    guest.place = place
    guest.resume()
  }
}

/** A place within another one of the same places stands for both. */
const holdingsIn = (holdings: ReadonlyArray<Holding>, place: Place): ReadonlyArray<Holding> => [
  ...holdings.filter((holding) => !(holding instanceof Place && holding.places === place.places)),
  place
]

/** One place for each key: those who ask under one key take turns, in the order in which they asked. */
export class PlaceForEachKey {
  private readonly places = new Map<string, Places>()

  /** Runs the Effect when it is its turn. `onWait` is called if it has to wait for that. */
  within<A, E, R>(key: string, effect: Effect.Effect<A, E, R>, onWait?: () => void): Effect.Effect<A, E, R> {
    return Effect.uninterruptibleMask((restore) => {
      const places = this.places.get(key) ?? new Places(1)
      this.places.set(key, places)
      return Effect.onExitPrimitive(restore(places.within(key, effect, Effect.never, onWait)), () => {
        if (places.isIdle) this.places.delete(key)
        return undefined
      })
    })
  }
}
