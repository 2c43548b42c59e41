/**
 * Interrupts an Effect at a step of its choice.
 */
import { Effect, Fiber, Scheduler } from "effect"

/** Counts the steps that the fibers of an Effect take, and interrupts it at one of them. */
export class Steps {
  /** How many steps the last Effect took. */
  counted = 0
  private readonly moment: "while it goes on" | "while it yields"
  private at: number | undefined
  private interrupt = () => {}

  constructor(moment: "while it goes on" | "while it yields") {
    this.moment = moment
  }

  interruptAt(step: number | undefined): void {
    this.at = step
  }

  private get scheduler(): Scheduler.Scheduler {
    const real = new Scheduler.MixedScheduler()
    return {
      executionMode: real.executionMode,
      makeDispatcher: () => real.makeDispatcher(),
      shouldYield: (fiber) => {
        if (++this.counted !== this.at) return real.shouldYield(fiber)
        if (this.moment === "while it goes on") this.interrupt()
        else queueMicrotask(this.interrupt)
        return this.moment === "while it yields"
      }
    }
  }

  /** Runs an Effect in a fiber of its own, which is interrupted at the step. */
  readonly around = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
    Effect.gen({ self: this }, function*() {
      this.counted = 0
      let running: Fiber.Fiber<A, E> | undefined
      let isInterrupted = false
      this.interrupt = () => {
        isInterrupted = true
        running?.interruptUnsafe()
      }
      running = yield* Effect.forkDetach(Effect.provideService(effect, Scheduler.Scheduler, this.scheduler))
      if (isInterrupted) running.interruptUnsafe()
      return yield* Fiber.join(running)
    })
}
