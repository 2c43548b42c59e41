/**
 * Delivers items in batches from a bounded buffer, in a fiber of its own.
 *
 * Whoever offers an item never waits: a full buffer drops one and counts it. Every item that was accepted is in the end
 * counted as delivered or as failed. `Queue` is not used for the items: it does not say what it drops, and a batch that is
 * taken by a deadline could be lost with the deadline. One that holds a single token wakes the fiber.
 */
import * as Cause from "effect/Cause"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Queue from "effect/Queue"
import type * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import { Ring } from "./ring.ts"

/** What a full buffer drops when one more comes. */
export type Overflow = "drop-newest" | "drop-oldest"

/** How full a buffer is, whenever that changes much. */
export type Pressure =
  | { readonly _tag: "HighWater"; readonly waiting: number; readonly capacity: number }
  | { readonly _tag: "Overflow"; readonly capacity: number }
  | { readonly _tag: "Relieved"; readonly dropped: number }

/** What became of the items so far. */
export interface Account {
  readonly accepted: number
  readonly delivered: number
  readonly failed: number
  readonly dropped: number
}

export interface DeliverySettings<A, E> {
  readonly capacity: number
  readonly overflow: Overflow
  readonly batchSize: number
  /** How long an item may wait for a batch to become full. */
  readonly flushInterval: Duration.Duration | undefined
  readonly closeTimeout: Duration.Duration
  /** How many may wait before that is pressure. */
  readonly highWater: number
  readonly retry?: Schedule.Schedule<unknown> | undefined
  readonly isWorthRetrying?: ((cause: Cause.Cause<E>) => boolean) | undefined
  /** Is told by a fiber of its own, so that it holds up nothing. */
  readonly onPressure?: ((pressure: Pressure) => Effect.Effect<void>) | undefined
  /** Is told of a batch that was not delivered, or not wholly; what it takes, delivery waits for. */
  readonly onFailed?: ((items: ReadonlyArray<A>, cause: Cause.Cause<E>) => Effect.Effect<void>) | undefined
  /** Is told how many were dropped when there is room again. */
  readonly onRelieved?: ((dropped: number) => Effect.Effect<void>) | undefined
}

/** Everything is delivered by then: whoever is told of the pressure may say so still, and holds up no more than that. */
const patienceWithTeller = Duration.seconds(1)

/** Changes of the pressure that wait to be told; of more, those before are no news. */
const pressuresKept = 16

export class Delivery<A, E> {
  private readonly settings: DeliverySettings<A, E>
  private readonly deliver: (items: ReadonlyArray<A>) => Effect.Effect<void, E>
  private readonly items: Ring<A>
  private readonly bell: Queue.Queue<void>
  private readonly pressures: Queue.Queue<Pressure, Cause.Done>

  private accepted = 0
  private delivered = 0
  private failed = 0
  private dropped = 0

  /** All that ever entered the buffer, and all that ever left it, to wherever: in one order. */
  private entered = 0
  private left = 0

  /** With so many items the fiber is woken. */
  private wakeAt = Number.POSITIVE_INFINITY
  /** Until so many have left, a batch does not wait to be full. */
  private flushTo = 0
  private isClosed = false
  private isGivenUp = false
  private droppedBeforePressure: number | undefined = undefined
  private hasOverflowed = false
  private readonly flushing = new Set<{ readonly upTo: number; readonly done: Deferred.Deferred<void> }>()
  private readonly waitingForRoom = new Set<() => void>()

  constructor(
    settings: DeliverySettings<A, E>,
    deliver: (items: ReadonlyArray<A>) => Effect.Effect<void, E>,
    bell: Queue.Queue<void>,
    pressures: Queue.Queue<Pressure, Cause.Done>
  ) {
    this.settings = settings
    this.deliver = deliver
    this.items = new Ring(settings.capacity)
    this.bell = bell
    this.pressures = pressures
  }

  get account(): Account {
    const { accepted, delivered, dropped, failed } = this
    return { accepted, delivered, failed, dropped }
  }

  /** Whether an item would be taken without dropping one. */
  get hasRoom(): boolean {
    return !this.isClosed && this.items.size < this.settings.capacity
  }

  /** Takes an item at once, or drops one. */
  readonly offer = (item: A): void => {
    if (this.isClosed) {
      this.dropped++
      return
    }
    if (this.items.size === this.settings.capacity && !this.makeRoom()) return
    this.items.add(item)
    this.accepted++
    this.entered++
    if (this.droppedBeforePressure === undefined && this.items.size >= this.settings.highWater) this.pressureBegins()
    if (this.items.size >= this.wakeAt) this.wake()
  }

  /** Drops one; false when that is the one that is offered. */
  private makeRoom(): boolean {
    const { capacity, overflow } = this.settings
    if (!this.hasOverflowed) {
      this.hasOverflowed = true
      this.tellPressure({ _tag: "Overflow", capacity })
    }
    this.dropped++
    if (overflow === "drop-newest") return false
    this.items.take()
    this.accepted--
    this.left++
    return true
  }

  private pressureBegins(): void {
    this.droppedBeforePressure = this.dropped
    this.tellPressure({ _tag: "HighWater", waiting: this.items.size, capacity: this.settings.capacity })
  }

  private tellPressure(pressure: Pressure): void {
    if (this.settings.onPressure !== undefined) Queue.offerUnsafe(this.pressures, pressure)
  }

  private wake(): void {
    this.wakeAt = Number.POSITIVE_INFINITY
    // The queue lets the fiber go on in a turn of its own, not within that of whoever offers.
    Queue.offerUnsafe(this.bell, undefined)
  }

  /** Takes an item as soon as there is room for it. False when there never will be. */
  put(item: A): Effect.Effect<boolean> {
    return Effect.suspend(() => {
      if (!this.isClosed && this.items.size === this.settings.capacity) {
        return Effect.andThen(this.room, this.put(item))
      }
      this.offer(item)
      return Effect.succeed(!this.isClosed)
    })
  }

  private get room(): Effect.Effect<void> {
    return Effect.callback((done) => {
      const resume = () => done(Effect.void)
      this.waitingForRoom.add(resume)
      return Effect.sync(() => {
        this.waitingForRoom.delete(resume)
      })
    })
  }

  /** As many as there is room for, in the order in which they came. */
  private letIn(): void {
    for (const resume of this.waitingForRoom) {
      if (!this.isClosed && this.items.size === this.settings.capacity) return
      this.waitingForRoom.delete(resume)
      resume()
    }
  }

  /** Delivers what waits now without waiting for more. */
  get flush(): Effect.Effect<void> {
    return Effect.suspend(() => {
      if (this.left === this.entered || this.isGivenUp) return Effect.void
      const flushing = { upTo: this.entered, done: Deferred.makeUnsafe<void>() }
      this.flushing.add(flushing)
      this.flushTo = this.entered
      this.wake()
      return Effect.onExit(Deferred.await(flushing.done), () =>
        Effect.sync(() => {
          this.flushing.delete(flushing)
        }))
    })
  }

  private tellFlushed(): void {
    for (const flushing of this.flushing) {
      if (this.left >= flushing.upTo || this.isGivenUp) Deferred.doneUnsafe(flushing.done, Effect.void)
    }
  }

  private get isHurried(): boolean {
    return this.isClosed || this.left < this.flushTo
  }

  private untilWaiting(count: number, isHurried: () => boolean): Effect.Effect<void> {
    return Effect.whileLoop({
      while: () => {
        const isWaiting = this.items.size < count && !isHurried()
        this.wakeAt = isWaiting ? count : Number.POSITIVE_INFINITY
        return isWaiting
      },
      body: () => Queue.take(this.bell),
      step: () => undefined
    })
  }

  /** Delivers batch after batch, until the buffer is closed and empty. */
  get work(): Effect.Effect<void> {
    return Effect.gen({ self: this }, function*() {
      const { batchSize, flushInterval } = this.settings
      while (true) {
        yield* this.untilWaiting(1, () => this.isClosed)
        if (this.items.size === 0) return
        if (flushInterval !== undefined && this.items.size < batchSize) {
          yield* Effect.timeoutOption(this.untilWaiting(batchSize, () => this.isHurried), flushInterval)
        }
        // A receiver that changed it would get something else when it is delivered again.
        yield* this.deliverBatch(Object.freeze(this.items.takeUpTo(batchSize)))
        // Whoever runs pipelines goes first.
        yield* Effect.yieldNow
      }
    })
  }

  private deliverBatch(batch: ReadonlyArray<A>): Effect.Effect<void> {
    return Effect.gen({ self: this }, function*() {
      this.letIn()
      const exit = yield* Effect.exit(this.patiently(batch))
      if (this.isGivenUp) return
      this.settle(batch, exit)
      this.tellFlushed()
      if (exit._tag === "Failure") yield* this.tell(this.settings.onFailed?.(batch, exit.cause))
      yield* this.relieve
    })
  }

  private settle(batch: ReadonlyArray<A>, exit: Exit.Exit<void, unknown>): void {
    this.left += batch.length
    if (exit._tag === "Success") this.delivered += batch.length
    else this.failed += batch.length
  }

  /** What is told of the delivery does not change it. */
  private tell(effect: Effect.Effect<void> | undefined): Effect.Effect<void> {
    return effect === undefined ? Effect.void : Effect.asVoid(Effect.exit(effect))
  }

  /** As often as the schedule says. What throws is retried as what fails. */
  private patiently(batch: ReadonlyArray<A>): Effect.Effect<void, E> {
    const { isWorthRetrying, retry } = this.settings
    const once = Effect.suspend(() => this.deliver(batch))
    if (retry === undefined) return once
    return Effect.catchCause(once, (cause) => Effect.fail(cause)).pipe(
      Effect.retry({
        schedule: retry,
        while: (cause) => !Cause.hasInterruptsOnly(cause) && (isWorthRetrying?.(cause) ?? true)
      }),
      Effect.catch((cause) => Effect.failCause(cause))
    )
  }

  private get relieve(): Effect.Effect<void> {
    return Effect.suspend(() => {
      const before = this.droppedBeforePressure
      if (before === undefined || this.items.size > this.settings.highWater / 2) return Effect.void
      const dropped = this.dropped - before
      this.droppedBeforePressure = undefined
      this.hasOverflowed = false
      this.tellPressure({ _tag: "Relieved", dropped })
      return dropped === 0 ? Effect.void : this.tell(this.settings.onRelieved?.(dropped))
    })
  }

  /** Tells of the pressure, change after change. */
  get tellPressures(): Effect.Effect<void> {
    const { onPressure } = this.settings
    if (onPressure === undefined) return Effect.void
    return Queue.take(this.pressures).pipe(
      Effect.flatMap((pressure) => this.tell(Effect.suspend(() => onPressure(pressure)))),
      Effect.forever,
      Effect.ignore
    )
  }

  /** Takes nothing more; what was accepted is delivered still. */
  get close(): Effect.Effect<void> {
    return Effect.sync(() => {
      this.isClosed = true
      this.wake()
      this.letIn()
    })
  }

  /** There will be no more of the pressure to tell. */
  get endOfPressures(): Effect.Effect<void> {
    return Effect.asVoid(Queue.end(this.pressures))
  }

  /** Counts what was not delivered by now as failed. */
  readonly giveUp: Effect.Effect<void> = Effect.sync(() => {
    this.isGivenUp = true
    this.failed = this.accepted - this.delivered
    this.tellFlushed()
  })
}

/**
 * Makes a buffer that is emptied for as long as the scope is open. Closing delivers what was accepted, for at most
 * `closeTimeout`, and gives the account as it is then to `closed`.
 */
export const make = Effect.fnUntraced(function*<A, E, R>(
  deliver: (items: ReadonlyArray<A>) => Effect.Effect<void, E, R>,
  settings: DeliverySettings<A, E>,
  closed: (account: Account) => Effect.Effect<void>
): Effect.fn.Return<Delivery<A, E>, never, R | Scope.Scope> {
  const context = yield* Effect.context<R>()
  const delivery = new Delivery<A, E>(
    settings,
    (items) => Effect.provideContext(deliver(items), context),
    yield* Queue.dropping<void>(1),
    yield* Queue.sliding<Pressure, Cause.Done>(pressuresKept)
  )
  const worker = yield* Effect.forkDetach(delivery.work)
  const teller = yield* Effect.forkDetach(delivery.tellPressures)
  yield* Effect.addFinalizer(() =>
    Effect.gen(function*() {
      yield* delivery.close
      yield* Effect.timeoutOption(
        Effect.gen(function*() {
          yield* Fiber.await(worker)
          yield* delivery.endOfPressures
          yield* Effect.timeoutOption(Fiber.await(teller), patienceWithTeller)
        }),
        settings.closeTimeout
      )
      yield* Effect.forkDetach(Fiber.interruptAll([worker, teller]))
      yield* delivery.giveUp
      yield* closed(delivery.account)
    })
  )
  return delivery
})
