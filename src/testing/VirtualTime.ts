/**
 * Time that moves only when nothing is left to do: a test clock of its own, and how to drive a fiber through it.
 *
 * Whatever runs in the `context` sleeps on that clock and is scheduled by a scheduler that counts. When no task is left
 * and everything sleeps, the clock is set to the next time at which something wakes. So an hour takes no time, and what
 * happens in it happens in the same order every time.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Scheduler from "effect/Scheduler"
import type * as Scope from "effect/Scope"
import * as TestClock from "effect/testing/TestClock"

/**
 * Why a drive ended before the fiber did.
 *
 * - `LimitReached`: the next thing to happen lies beyond the limit.
 * - `NothingScheduled`: everything waits, and nothing waits for the clock.
 * - `Busy`: something goes on for ever without letting time pass.
 */
export type Stuck = "LimitReached" | "NothingScheduled" | "Busy"

/**
 * A clock of its own and what drives it.
 */
export interface VirtualTime {
  /** The services that put a fiber into this time. */
  readonly context: Context.Context<never>
  /** Milliseconds since the start. */
  readonly elapsedMs: () => number
  /** Lets time pass until the fiber has ended, but not beyond `untilMs`. Says why when it has not ended. */
  readonly drive: (
    fiber: Fiber.Fiber<unknown, unknown>,
    untilMs: number
  ) => Effect.Effect<Stuck | undefined>
}

/** Turns of the event loop without a task before everything is taken to wait: promises that settle at once have. */
const quietTurns = 2

/** Turns of the event loop that tasks may follow each other for before time moves on all the same. */
const busyTurns = 100_000

/** Real milliseconds for which something that is not on the clock may still wake what would be stuck otherwise. */
const lastPatienceMs = 100

/** The times at which something wakes. */
class Alarms {
  /** The latest first, so that the next one is at the end. */
  private readonly times: Array<number> = []

  private indexOf(time: number): number {
    let low = 0
    let high = this.times.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if ((this.times[middle] as number) > time) low = middle + 1
      else high = middle
    }
    return low
  }

  add(time: number): void {
    this.times.splice(this.indexOf(time), 0, time)
  }

  /** Which of several alarms of one time is removed makes no difference. */
  remove(time: number): void {
    this.times.splice(this.indexOf(time), 1)
  }

  get next(): number | undefined {
    const next = this.times.at(-1)
    return next === Number.POSITIVE_INFINITY ? undefined : next
  }
}

/** A scheduler that knows whether a task is waiting for its turn. */
class CountingScheduler implements Scheduler.Scheduler {
  private readonly scheduler = new Scheduler.MixedScheduler()
  readonly executionMode = this.scheduler.executionMode
  /** Tasks so far. */
  total = 0
  /** Tasks that have not run. */
  waiting = 0

  shouldYield(fiber: Fiber.Fiber<unknown, unknown>): boolean {
    return this.scheduler.shouldYield(fiber)
  }

  makeDispatcher(): Scheduler.SchedulerDispatcher {
    const dispatcher = this.scheduler.makeDispatcher()
    return {
      scheduleTask: (task, priority) => {
        this.total++
        this.waiting++
        dispatcher.scheduleTask(() => {
          this.waiting--
          task()
        }, priority)
      },
      flush: () => dispatcher.flush()
    }
  }
}

/** The clock that really ticks, also where a test clock is the current one. */
const liveClock: Effect.Effect<Clock.Clock> = Effect.clockWith((current) => {
  const itself = Effect.clockWith(Effect.succeed)
  // Only a TestClock has it: there is no other way to ask a clock what it is.
  return "withLive" in current ? (current as TestClock.TestClock).withLive(itself) : itself
})

/**
 * Makes a time of its own, which starts at 0. It moves on when nothing real has happened for `patienceMs`.
 */
export const make = Effect.fnUntraced(function*(
  patienceMs: number
): Effect.fn.Return<VirtualTime, never, Scope.Scope> {
  const scheduler = new CountingScheduler()
  const live = yield* liveClock
  const built = yield* Layer.build(TestClock.layer()).pipe(
    Effect.provideService(Scheduler.Scheduler, scheduler),
    Effect.provideService(Clock.Clock, live)
  )
  // The layer of the test clock gives it as the Clock.
  const testClock = Context.get(built as Context.Context<never>, Clock.Clock) as TestClock.TestClock
  const alarms = new Alarms()
  const clock: TestClock.TestClock = {
    ...testClock,
    sleep: (duration) =>
      Effect.suspend(() => {
        const wakesAt = testClock.currentTimeMillisUnsafe() + Duration.toMillis(duration)
        return Effect.acquireUseRelease(
          Effect.sync(() => alarms.add(wakesAt)),
          () => testClock.sleep(duration),
          () => Effect.sync(() => alarms.remove(wakesAt))
        )
      })
  }
  // A test clock that was moved once does not warn about tests that forget to move it.
  yield* testClock.setTime(0)

  const isOver = (fiber: Fiber.Fiber<unknown, unknown>): boolean => fiber.pollUnsafe() !== undefined

  /** Waits until everything waits; false when that does not come about. */
  const settled = Effect.fnUntraced(function*(fiber: Fiber.Fiber<unknown, unknown>) {
    let quiet = 0
    for (let turn = 0; turn < busyTurns; turn++) {
      if (isOver(fiber) || quiet === quietTurns) return true
      const before = scheduler.total
      yield* Effect.yieldNow
      quiet = scheduler.waiting === 0 && scheduler.total === before ? quiet + 1 : 0
    }
    return false
  })

  /** Waits for something real to happen, a promise that takes a moment; false when nothing does. */
  const somethingReal = Effect.fnUntraced(function*(fiber: Fiber.Fiber<unknown, unknown>, withinMs: number) {
    const before = scheduler.total
    for (let waited = 0; waited < withinMs; waited++) {
      yield* testClock.withLive(Effect.sleep(1))
      if (isOver(fiber) || scheduler.total !== before) return true
    }
    return false
  })

  const drive = Effect.fnUntraced(function*(fiber: Fiber.Fiber<unknown, unknown>, untilMs: number) {
    while (true) {
      const isQuiet = yield* settled(fiber)
      if (isOver(fiber)) return undefined
      const next = alarms.next
      if (next === undefined) {
        if (!isQuiet) return "Busy"
        if (yield* somethingReal(fiber, Math.max(patienceMs, lastPatienceMs))) continue
        return "NothingScheduled"
      }
      if (isQuiet && (yield* somethingReal(fiber, patienceMs))) continue
      if (next > untilMs) {
        yield* testClock.setTime(untilMs)
        return "LimitReached"
      }
      yield* testClock.setTime(next)
    }
  })

  return {
    context: Context.merge(built, Context.make(Clock.Clock, clock)),
    elapsedMs: () => testClock.currentTimeMillisUnsafe(),
    drive
  }
})
