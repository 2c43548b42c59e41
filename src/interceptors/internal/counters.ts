/**
 * Counts how much was admitted lately, in three ways, and forgets a key for which there is room for all again.
 */
import { Forgetful } from "./forgetful.ts"

/** Counts for one key. */
interface Counter {
  /** Counts one and gives 0, or gives the milliseconds until there is room again. */
  readonly admit: (now: number) => number
}

/** How much is admitted, and in which time. */
export interface Rate {
  readonly algorithm: "token-bucket" | "fixed-window" | "sliding-window"
  readonly limit: number
  /** In milliseconds. */
  readonly window: number
}

// What is left over when a third of a window is taken three times.
const roundingError = 1e-9

/** Holds `limit` tokens and gets them back evenly. */
class TokenBucket implements Counter {
  private readonly limit: number
  private readonly perToken: number
  private taken = 0
  private at = 0

  constructor({ limit, window }: Rate) {
    this.limit = limit
    this.perToken = window / limit
  }

  admit(now: number): number {
    this.taken = Math.max(0, this.taken - (now - this.at) / this.perToken)
    this.at = now
    const missing = this.taken + 1 - this.limit
    if (missing > roundingError) return Math.ceil((missing - roundingError) * this.perToken)
    this.taken++
    return 0
  }
}

/** Opens a window for the first that asks, and the next when it is over and somebody asks. */
class FixedWindow implements Counter {
  private readonly rate: Rate
  private openedAt = Number.NEGATIVE_INFINITY
  private count = 0

  constructor(rate: Rate) {
    this.rate = rate
  }

  admit(now: number): number {
    const { limit, window } = this.rate
    if (now - this.openedAt >= window) {
      this.openedAt = now
      this.count = 0
    }
    if (this.count === limit) return Math.ceil(this.openedAt + window - now)
    this.count++
    return 0
  }
}

const worthMoving = 32

/** Keeps when each was admitted: any span of time as long as the window has at most `limit`. */
class SlidingWindow implements Counter {
  private readonly rate: Rate
  private readonly admittedAt: Array<number> = []
  /** Where those begin that still count. */
  private from = 0

  constructor(rate: Rate) {
    this.rate = rate
  }

  admit(now: number): number {
    const { admittedAt, rate: { limit, window } } = this
    while (this.from < admittedAt.length && now - (admittedAt[this.from] as number) >= window) this.from++
    if (this.from > worthMoving && this.from * 2 > admittedAt.length) {
      admittedAt.splice(0, this.from)
      this.from = 0
    }
    if (admittedAt.length - this.from === limit) return Math.ceil((admittedAt[this.from] as number) + window - now)
    admittedAt.push(now)
    return 0
  }
}

const kinds = { "token-bucket": TokenBucket, "fixed-window": FixedWindow, "sliding-window": SlidingWindow } as const

/** The counts of many keys. */
export class Counters {
  /** By window: what nobody has used for as long as its window is as good as new. */
  private readonly counters = new Map<number, Forgetful<Counter>>()

  /** Counts one for the key and gives 0, or gives the milliseconds until there is room again. */
  admit(rate: Rate, key: string, now: number): number {
    this.forget(now)
    let counters = this.counters.get(rate.window)
    if (counters === undefined) {
      counters = new Forgetful(rate.window)
      this.counters.set(rate.window, counters)
    }
    return counters.of(key, now, () => new kinds[rate.algorithm](rate)).admit(now)
  }

  private forget(now: number): void {
    for (const [window, counters] of this.counters) {
      counters.forget(now)
      if (counters.isEmpty) this.counters.delete(window)
    }
  }
}
