/**
 * What the acceptance tests of a run's life share: errors to fail with, witnesses outside the library, and a way to let
 * test time pass while a run goes on.
 */
import { Data, type Duration, Effect, Exit, Fiber, Metric } from "effect"
import { TestClock } from "effect/testing"
import { type Event, EventSink } from "stageflow"

/** A typed error of a stage. */
export class Broken extends Data.TaggedError("Broken")<{ readonly by: string }> {}

/** Counts from outside the library what a piece of work did. */
export class Witness {
  started = 0
  finished = 0
  failed = 0
  interrupted = 0

  /** The same work, watched. */
  readonly watch = <A, E, R>(work: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
    Effect.suspend(() => {
      this.started++
      return work
    }).pipe(Effect.onExit((exit) =>
      Effect.sync(() => {
        if (Exit.isSuccess(exit)) this.finished++
        else if (Exit.hasInterrupts(exit)) this.interrupted++
        else this.failed++
      })
    ))

  /** Everything that was counted, to compare it with what is counted later. */
  get counts(): ReadonlyArray<number> {
    return [this.started, this.finished, this.failed, this.interrupted]
  }
}

/** Counts the fibers that an Effect starts and that have not ended. */
export class FiberCount {
  started = 0
  running = 0

  readonly count = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
    Effect.provideService(effect, Metric.FiberRuntimeMetrics, {
      recordFiberStart: () => {
        this.started++
        this.running++
      },
      recordFiberEnd: () => {
        this.running--
      }
    })
}

/** Runs an Effect in a fiber of its own while the test clock moves on, and waits for its end. */
export const during = <A, E, R>(effect: Effect.Effect<A, E, R>, time: Duration.Input): Effect.Effect<A, E, R> =>
  Effect.gen(function*() {
    const fiber = yield* Effect.forkChild(effect)
    yield* TestClock.adjust(time)
    return yield* Fiber.join(fiber)
  })

/** The Effect's exit, and every event that was told below it. */
export const recorded = <A, E, R>(
  effect: Effect.Effect<A, E, R>
): Effect.Effect<{ readonly exit: Exit.Exit<A, E>; readonly events: ReadonlyArray<Event.Event> }, never, R> =>
  Effect.suspend(() => {
    const events: Array<Event.Event> = []
    return Effect.exit(effect).pipe(
      Effect.provideService(EventSink.EventSink, {
        offer: (event) => {
          events.push(event)
        }
      }),
      Effect.map((exit) => ({ exit, events }))
    )
  })
