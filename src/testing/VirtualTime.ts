/**
 * Moves time only when nothing is left to do: a test clock of its own, and how to drive a fiber through it.
 *
 * Whatever runs in the `context` sleeps on that clock and is scheduled by a scheduler that counts. When no task is left
 * and everything waits, the clock is set to the next time at which something wakes. So an hour takes no time, and what
 * happens in it happens in the same order every time.
 *
 * `TestClock` holds the time but does not do the waking: it wakes one sleeper after the other and lets everything settle
 * in between, while real timers of one instant all fire before what follows from the first of them. Here they do, too.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import * as Scheduler from "effect/Scheduler"
import type * as Scope from "effect/Scope"
import * as TestClock from "effect/testing/TestClock"
import type { Pick } from "../engine/ready-order.ts"

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

type Wake = () => void

/** Who wakes when. */
class Alarms {
  /** The latest first, so that the next one is at the end. */
  private readonly times: Array<number> = []
  /** Those of one time in the order in which they were set. */
  private readonly at = new Map<number, Set<Wake>>()

  set(time: number, wake: Wake): void {
    const others = this.at.get(time)
    if (others !== undefined) {
      others.add(wake)
      return
    }
    this.at.set(time, new Set([wake]))
    let low = 0
    let high = this.times.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if ((this.times[middle] as number) > time) low = middle + 1
      else high = middle
    }
    this.times.splice(low, 0, time)
  }

  clear(time: number, wake: Wake): void {
    this.at.get(time)?.delete(wake)
  }

  /** The next time at which somebody wakes. */
  get next(): number | undefined {
    for (let time = this.times.at(-1); time !== undefined; time = this.times.at(-1)) {
      if ((this.at.get(time) as Set<Wake>).size > 0) return time
      this.take()
    }
    return undefined
  }

  /** Those who wake next. */
  take(): Array<Wake> {
    const time = this.times.pop()
    if (time === undefined) return []
    const wakes = Array.from(this.at.get(time) ?? [])
    this.at.delete(time)
    return wakes
  }
}

const shuffle = <A>(elements: Array<A>, pick: Pick): void => {
  for (let last = elements.length - 1; last > 0; last--) {
    const other = pick(last + 1)
    const element = elements[last] as A
    elements[last] = elements[other] as A
    elements[other] = element
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

const isOver = (fiber: Fiber.Fiber<unknown, unknown>): boolean => fiber.pollUnsafe() !== undefined

/**
 * Makes a time of its own, which starts at 0.
 *
 * It moves on when nothing real has happened for `patienceMs`. `pick` shuffles those who wake at the same time.
 */
export const make = Effect.fnUntraced(function*({ patienceMs, pick }: {
  readonly patienceMs: number
  readonly pick: Pick | undefined
}): Effect.fn.Return<VirtualTime, never, Scope.Scope> {
  const scheduler = new CountingScheduler()
  const testClock = yield* Effect.provideService(TestClock.make(), Clock.Clock, yield* liveClock)
  const alarms = new Alarms()
  const clock: TestClock.TestClock = {
    ...testClock,
    sleep: (duration) => {
      const millis = Duration.toMillis(duration)
      if (millis <= 0) return Effect.yieldNow
      if (millis === Number.POSITIVE_INFINITY) return Effect.never
      return Effect.callback<void>((resume) => {
        const time = testClock.currentTimeMillisUnsafe() + millis
        const wake = () => resume(Effect.void)
        alarms.set(time, wake)
        return Effect.sync(() => alarms.clear(time, wake))
      })
    }
  }

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

  const moveTo = (time: number): Effect.Effect<void> =>
    // Never back: the simulated program may have moved its clock itself.
    testClock.setTime(Math.max(time, testClock.currentTimeMillisUnsafe()))

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
        yield* moveTo(untilMs)
        return "LimitReached"
      }
      yield* moveTo(next)
      const due = alarms.take()
      if (pick !== undefined) shuffle(due, pick)
      for (const wake of due) wake()
    }
  })

  return {
    context: Context.make(Clock.Clock, clock).pipe(Context.add(Scheduler.Scheduler, scheduler)),
    elapsedMs: () => testClock.currentTimeMillisUnsafe(),
    drive
  }
})
