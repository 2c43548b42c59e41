/**
 * Works through items with at most so many workers, each of which takes the next item when it is done with one.
 *
 * There are no more fibers than workers, and a worker is started when there may be an item for it: never for each item,
 * and none that would only wait for a source which another waits for already.
 */
import * as Cause from "effect/Cause"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import { constVoid } from "effect/Function"
import { interruptWithin } from "../../internal/interruption.ts"
import type { ItemSource } from "./item-source.ts"

/** Works on one item after the other, and is told how each of them ended. */
export interface ItemWork {
  /** What is run for an item. It may throw, which ends the item. */
  readonly begin: (item: unknown, index: number) => Effect.Effect<unknown, unknown, unknown>
  /** The item gave something. */
  readonly gave: (value: unknown) => void
  /** The item failed. */
  readonly failed: (cause: Cause.Cause<unknown>) => void
}

type Restore = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>

export class Workers {
  /** What went wrong beside the items: what the source failed with, or what died while the others were stopped. */
  readonly causes: Array<Cause.Cause<unknown>> = []
  private readonly source: ItemSource
  private readonly concurrency: number
  private readonly workOf: () => ItemWork
  private readonly fibers = new Set<Fiber.Fiber<void, unknown>>()
  /** How many items were taken. */
  private taken = 0
  /** How many workers wait for an item. */
  private waiting = 0
  private isStopped = false
  /** How many workers were left behind: their items ignore that they were interrupted. */
  leftBehind = 0
  private resume: ((effect: Effect.Effect<void>) => void) | undefined = undefined

  /** Each worker has work of its own. */
  constructor(source: ItemSource, concurrency: number, workOf: () => ItemWork) {
    this.source = source
    this.concurrency = concurrency
    this.workOf = workOf
  }

  /** Nothing more is started, and what is going on is interrupted. */
  stop(): void {
    this.isStopped = true
    this.wake()
  }

  private get hasMore(): boolean {
    return !this.isStopped && !this.source.isEnded
  }

  private get canStart(): boolean {
    return this.hasMore && this.waiting === 0 && this.fibers.size < this.concurrency
  }

  private get isOver(): boolean {
    return this.isStopped || (this.source.isEnded && this.fibers.size === 0)
  }

  /**
   * Works until there are no more items, or until it is stopped: then everything that is going on is interrupted and waited
   * for, up to the grace. It is not to be interrupted itself but where `restore` allows it.
   */
  run(restore: Restore, grace: Duration.Duration): Effect.Effect<Exit.Exit<void, unknown>, never, unknown> {
    const all = Effect.whileLoop({
      while: () => !this.isOver,
      body: () => this.canStart ? Effect.andThen(restore(Effect.void), this.start) : restore(this.wait),
      step: constVoid
    })
    return Effect.flatMap(Effect.exit(all), (exit) => {
      this.isStopped = true
      return Effect.map(interruptWithin(Array.from(this.fibers), grace), (running) => {
        this.leftBehind = running.length
        return exit
      })
    })
  }

  private readonly wait: Effect.Effect<void> = Effect.callback<void>((resume) => {
    if (this.isOver || this.canStart) resume(Effect.void)
    else this.resume = resume
  })

  private wake(): void {
    const { resume } = this
    if (resume === undefined || !(this.isOver || this.canStart)) return
    this.resume = undefined
    resume(Effect.void)
  }

  // All that an item takes besides what is run for it is a turn of the loop. One that fails ends the loop, which then is
  // begun again.
  private readonly worker: Effect.Effect<void, unknown, unknown> = Effect.suspend(() => {
    const work = this.workOf()
    let isAtWork = false
    const loop = Effect.whileLoop<unknown, unknown, unknown>({
      while: () => this.hasMore,
      body: () => {
        if (!this.source.hasNext()) return this.more
        const item = this.source.take()
        isAtWork = true
        return work.begin(item, this.taken++)
      },
      step: (value) => {
        if (!isAtWork) return
        isAtWork = false
        work.gave(value)
      }
    })
    const all: Effect.Effect<void, unknown, unknown> = Effect.catchCause(loop, (cause) => {
      if (!isAtWork) return Effect.failCause(cause)
      isAtWork = false
      work.failed(cause)
      return all
    })
    return all
  })

  /** Waits for the source. Meanwhile no other worker is started that would wait, too. */
  private readonly more: Effect.Effect<void, unknown, unknown> = Effect.suspend(() => {
    if (this.source.isEnded) return Effect.void
    this.waiting++
    return Effect.map(this.source.more, () => {
      this.waiting--
      this.wake()
    })
  })

  private readonly start: Effect.Effect<void, never, unknown> = Effect.suspend(() =>
    Effect.map(Effect.forkDetach(this.worker, { startImmediately: true }), (fiber) => {
      const exit = fiber.pollUnsafe()
      if (exit !== undefined) return this.ended(exit)
      this.fibers.add(fiber)
      fiber.addObserver((exit) => {
        this.fibers.delete(fiber)
        this.ended(exit)
      })
    })
  )

  private ended(exit: Exit.Exit<void, unknown>): void {
    if (exit._tag === "Failure") this.failed(exit.cause)
    this.wake()
  }

  private failed(cause: Cause.Cause<unknown>): void {
    // An interrupted worker is what is wanted when all are stopped; what else went wrong meanwhile is kept.
    const reasons = cause.reasons.filter((reason) => !this.isStopped || !Cause.isInterruptReason(reason))
    if (reasons.length > 0) this.causes.push(Cause.fromReasons(reasons))
    this.isStopped = true
  }
}
