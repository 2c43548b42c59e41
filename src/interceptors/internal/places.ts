/**
 * Shares a number of places among keys: whoever finds none free waits, and the keys that wait take turns.
 *
 * `effect/PartitionedSemaphore` does the same, but loses a permit when its taker is interrupted in the instant between
 * getting it and going on.
 */
import * as Effect from "effect/Effect"
import { constVoid } from "effect/Function"

interface Waiter {
  hasPlace: boolean
  /** Wakes the one who waits. */
  resume: () => void
}

export class Places {
  private free: number
  private isHandingOut = false
  /** Who waits, by key; the key whose turn is next comes first. */
  private readonly waiting = new Map<string, Set<Waiter>>()

  constructor(count: number) {
    this.free = count
  }

  /** Runs the Effect in a place of its own. */
  within<A, E, R>(key: string, effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> {
    // Nobody is interrupted between getting a place and the promise to give it back.
    return Effect.uninterruptibleMask((restore) => {
      if (this.free > 0 && this.waiting.size === 0) {
        this.free--
        return Effect.onExitPrimitive(restore(effect), () => this.leave())
      }
      const waiter: Waiter = { hasPlace: false, resume: constVoid }
      return Effect.onExitPrimitive(
        Effect.andThen(restore(this.turn(key, waiter)), restore(effect)),
        () => waiter.hasPlace ? this.leave() : this.goAway(key, waiter)
      )
    })
  }

  private turn(key: string, waiter: Waiter): Effect.Effect<void> {
    return Effect.callback((resume) => {
      waiter.resume = () => resume(Effect.void)
      const others = this.waiting.get(key)
      if (others === undefined) this.waiting.set(key, new Set([waiter]))
      else others.add(waiter)
    })
  }

  /** Gives a place back, and free places to those who wait. */
  private leave(): undefined {
    this.free++
    // Who gets a place goes on at once and may be here again before it is done: the loop that is going on sees to that.
    if (this.isHandingOut) return
    this.isHandingOut = true
    while (this.free > 0) {
      const waiter = this.next()
      if (waiter === undefined) break
      this.free--
      waiter.hasPlace = true
      waiter.resume()
    }
    this.isHandingOut = false
  }

  /** Who waits longest under the key whose turn it is. */
  private next(): Waiter | undefined {
    for (const [key, waiters] of this.waiting) {
      this.waiting.delete(key)
      for (const waiter of waiters) {
        waiters.delete(waiter)
        if (waiters.size > 0) this.waiting.set(key, waiters)
        return waiter
      }
    }
    return undefined
  }

  private goAway(key: string, waiter: Waiter): undefined {
    const others = this.waiting.get(key)
    if (others?.delete(waiter) === true && others.size === 0) this.waiting.delete(key)
  }
}
