/**
 * Tells those who wait when their time is over, with one timer for all that wait equally long.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import * as Scheduler from "effect/Scheduler"

interface Waiting {
  readonly at: number
  readonly expire: () => void
}

const nanosPerMilli = 1_000_000

const nowOn = (clock: Clock.Clock): number => Number(clock.monotonicTimeNanosUnsafe()) / nanosPerMilli

/** Those who wait by one clock. All wait equally long, so whoever came first is over first. */
class Queue {
  private readonly waiting = new Set<Waiting>()
  private readonly clock: Clock.Clock
  private readonly limitMs: number
  private readonly sleep: (effect: Effect.Effect<void>) => Fiber.Fiber<void>
  private sleeper: Fiber.Fiber<void> | undefined = undefined

  constructor(clock: Clock.Clock, context: Context.Context<never>, limitMs: number) {
    this.clock = clock
    this.limitMs = limitMs
    // Nothing else of whoever came first: the timer may outlive it.
    this.sleep = Effect.runForkWith(
      Context.make(Clock.Clock, clock).pipe(Context.add(Scheduler.Scheduler, Context.get(context, Scheduler.Scheduler)))
    )
  }

  add(expire: () => void): () => void {
    const waiting = { at: nowOn(this.clock) + this.limitMs, expire }
    this.waiting.add(waiting)
    this.sleeper ??= this.sleep(this.untilEmpty)
    return () => {
      // Whoever comes in the same instant finds the timer running.
      if (this.waiting.delete(waiting) && this.waiting.size === 0) queueMicrotask(this.stopWhenEmpty)
    }
  }

  private readonly stopWhenEmpty = (): void => {
    if (this.waiting.size > 0) return
    this.sleeper?.interruptUnsafe()
    this.sleeper = undefined
  }

  private readonly untilEmpty = Effect.whileLoop({
    while: () => {
      this.expireDue()
      if (this.waiting.size === 0) this.sleeper = undefined
      return this.waiting.size > 0
    },
    body: () => {
      const [first] = this.waiting
      return Effect.sleep(Duration.millis(Math.max(first === undefined ? 0 : first.at - nowOn(this.clock), 1)))
    },
    step: () => undefined
  })

  private expireDue(): void {
    const now = nowOn(this.clock)
    for (const waiting of this.waiting) {
      if (waiting.at > now) return
      this.waiting.delete(waiting)
      waiting.expire()
    }
  }
}

export class Expiry {
  private readonly limitMs: number
  private readonly queues = new WeakMap<Clock.Clock, Queue>()

  constructor(limit: Duration.Duration) {
    this.limitMs = Duration.toMillis(limit)
  }

  /** Calls `expire` when the time is over, unless the function that it gives is called before. */
  add(context: Context.Context<never>, expire: () => void): () => void {
    const clock = Context.get(context, Clock.Clock)
    const known = this.queues.get(clock)
    if (known !== undefined) return known.add(expire)
    const queue = new Queue(clock, context, this.limitMs)
    this.queues.set(clock, queue)
    return queue.add(expire)
  }
}
