/**
 * Holds a bounded number of items between producers and consumers, on a `Queue` of Effect, and counts what becomes of them.
 *
 * `Queue` alone does not say what it drops, and a producer that waits for room in it is not freed when it ends. So what is
 * full is decided here, in the same step as the offer, and producers wait at a latch.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import * as Latch from "effect/Latch"
import * as Queue from "effect/Queue"
import { elapsedMillis } from "../../internal/clock.ts"

/** What a full queue does with one more item. */
export type Overflow = "block" | "drop-oldest" | "drop-newest"

/** What became of the items so far: `accepted` is `delivered`, `dropped` and what waits. */
export interface Stats {
  /** Items that were taken from producers; those that a full queue turned away at once are among them. */
  readonly accepted: number
  /** Items that a consumer has taken. */
  readonly delivered: number
  /** Items that were lost, since the queue was full. */
  readonly dropped: number
  /** Items that wait. */
  readonly size: number
  /** The most that ever waited. */
  readonly highWater: number
  /** How often a producer had to wait. */
  readonly blocked: number
  /** How long producers waited, in milliseconds. */
  readonly blockedMs: number
}

export interface Hooks<A> {
  readonly accepted?: (item: A) => void
  readonly delivered?: (item: A) => void
  readonly dropped: (item: A, reason: "oldest" | "newest") => void
  readonly blocked: (millis: number) => void
  /** The number of items that wait has changed. */
  readonly resized: (size: number) => void
}

export class Bounded<A, E> {
  readonly capacity: number
  private readonly overflow: Overflow
  private readonly hooks: Hooks<A>
  private readonly queue: Queue.Queue<A, E | Cause.Done>
  private readonly room = Latch.makeUnsafe(true)
  private isOver = false
  private accepted = 0
  private delivered = 0
  private dropped = 0
  private blocked = 0
  private blockedMs = 0
  private highWater = 0

  constructor(
    queue: Queue.Queue<A, E | Cause.Done>,
    settings: { readonly capacity: number; readonly overflow: Overflow },
    hooks: Hooks<A>
  ) {
    this.queue = queue
    this.capacity = settings.capacity
    this.overflow = settings.overflow
    this.hooks = hooks
  }

  get size(): number {
    return Queue.sizeUnsafe(this.queue)
  }

  /** Whether nothing more is accepted. */
  get isClosed(): boolean {
    return this.isOver
  }

  get stats(): Stats {
    const { accepted, blocked, blockedMs, delivered, dropped, highWater, size } = this
    return { accepted, delivered, dropped, size, highWater, blocked, blockedMs }
  }

  /** Gives `false` once the queue is over. */
  readonly offer = (item: A): Effect.Effect<boolean> =>
    Effect.suspend(() => {
      if (this.isOver) return Effect.succeed(false)
      if (this.size < this.capacity) return Effect.succeed(this.add(item))
      if (this.overflow === "block") return this.waitAndAdd(item)
      if (this.overflow === "drop-newest") this.drop(item, "newest")
      else this.replaceOldest(item)
      return Effect.succeed(true)
    })

  private add(item: A): boolean {
    this.accept(item)
    Queue.offerUnsafe(this.queue, item)
    this.highWater = Math.max(this.highWater, this.size)
    this.hooks.resized(this.size)
    return true
  }

  /** Adds one that nobody waits with, whatever waits: the last before the end. */
  addLast(item: A): void {
    this.add(item)
  }

  private accept(item: A): void {
    this.accepted++
    this.hooks.accepted?.(item)
  }

  private drop(item: A, reason: "oldest" | "newest"): void {
    if (reason === "newest") this.accept(item)
    this.dropped++
    this.hooks.dropped(item, reason)
  }

  private replaceOldest(item: A): void {
    const oldest = Queue.takeUnsafe(this.queue)
    if (oldest?._tag === "Success") this.drop(oldest.value, "oldest")
    this.add(item)
  }

  private readonly waitAndAdd = Effect.fnUntraced({ self: this }, function*(this: Bounded<A, E>, item: A) {
    const since = yield* elapsedMillis
    this.blocked++
    while (!this.isOver && this.size >= this.capacity) {
      this.room.closeUnsafe()
      yield* this.room.await
    }
    const waited = (yield* elapsedMillis) - since
    this.blockedMs += waited
    this.hooks.blocked(waited)
    return this.isOver ? false : this.add(item)
  })

  /** The next item, as soon as there is one. It is counted in the step in which it leaves the queue. */
  readonly take: Effect.Effect<A, E | Cause.Done> = Effect.suspend(() => {
    const taken = this.takeNow()
    return taken ?? Effect.andThen(Queue.peek(this.queue), this.take)
  })

  /** The next item or how the queue ended; nothing while there is neither. */
  takeNow(): Exit.Exit<A, E | Cause.Done> | undefined {
    const taken = Queue.takeUnsafe(this.queue)
    if (taken?._tag === "Success") {
      this.delivered++
      this.hooks.delivered?.(taken.value)
      this.room.openUnsafe()
      this.hooks.resized(this.size)
    }
    return taken
  }

  /** Accepts nothing more. What waits is still delivered; whoever waits for room is turned away. */
  readonly end: Effect.Effect<boolean> = Effect.suspend(() => this.failCause(Cause.fail(Cause.Done())))

  readonly fail = (error: E): Effect.Effect<boolean> => this.failCause(Cause.fail(error))

  readonly failCause = (cause: Cause.Cause<E | Cause.Done>): Effect.Effect<boolean> =>
    Effect.suspend(() => {
      if (this.isOver) return Effect.succeed(false)
      this.isOver = true
      this.room.openUnsafe()
      return Queue.failCause(this.queue, cause)
    })
}
