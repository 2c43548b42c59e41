/**
 * Conducts a run: moves the fibers that run its stages.
 *
 * One conductor starts workers; a worker runs one stage after the other for as long as stages are ready. A worker is
 * started with its fiber's first steps taken at once, so stages that never wait are all run by the first worker, and a
 * chain never forks. Only when a worker has to wait while other stages are ready does the conductor start another: there
 * are never more fibers than stages that wait at the same time, nor more than the concurrency allows.
 *
 * When a stage fails, a stage cancels, the caller cancels or the caller is interrupted, the conductor interrupts every
 * worker and waits for its finalizers before the run returns. A worker that outlives the grace is abandoned, and the
 * result says so.
 */
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import type { Any as AnyInterceptor, StageEffect } from "../attempt/interceptor-model.ts"
import { asEffect } from "../attempt/outcome.ts"
import { interruptWithin } from "../internal/interruption.ts"
import { StageContext } from "../StageContext.ts"
import type { ActiveRun } from "./active-run.ts"
import { conclude, type Conclusion } from "./conclusion.ts"
import type { StageExecution } from "./stage-execution.ts"

type Worker = Fiber.Fiber<void, never>

const none: ReadonlyArray<never> = []

/**
 * The fibers that a fiber forked and that still run. They end with the stage that forked them, though its worker goes on:
 * Effect itself would let them live as long as the worker. There is no public way to ask for them.
 */
const childrenOf = (fiber: Fiber.Fiber<unknown, unknown>): ReadonlyArray<Fiber.Fiber<unknown, unknown>> => {
  const { _children: children } = fiber as { readonly _children?: unknown }
  // A set of fibers, where a fiber has forked any.
  return children instanceof Set && children.size > 0 ? Array.from(children as Set<Worker>) : none
}

class Conductor {
  private readonly run: ActiveRun
  private readonly concurrency: number
  private readonly effects: ReadonlyArray<StageEffect | undefined>
  private readonly workers = new Set<Worker>()
  private resume: ((effect: Effect.Effect<void>) => void) | undefined = undefined
  /** The engine's own failure, which there should never be. */
  private crash: Cause.Cause<never> | undefined = undefined

  constructor(run: ActiveRun, concurrency: number, installed: ReadonlyArray<AnyInterceptor>) {
    this.run = run
    this.concurrency = concurrency
    this.effects = run.plan.effects(installed)
  }

  /** Wakes the conductor when it waits and there is something for it to do. */
  wake(): void {
    const { resume } = this
    if (resume === undefined || !(this.isOver || this.canStart)) return
    this.resume = undefined
    resume(Effect.void)
  }

  private get isOver(): boolean {
    return this.run.isOver || this.crash !== undefined
  }

  private get canStart(): boolean {
    return this.run.hasReady && this.workers.size < this.concurrency
  }

  /** Starts workers until the run is over. */
  readonly conduct: Effect.Effect<void> = Effect.whileLoop({
    while: () => !this.isOver,
    body: (): Effect.Effect<Worker | void> => this.canStart ? this.startWorker : this.wait,
    step: (worker) => {
      if (worker !== undefined) this.watch(worker)
    }
  })

  private readonly wait = Effect.callback<void>((resume) => {
    this.resume = resume
  })

  private watch(worker: Worker): void {
    this.workers.add(worker)
    worker.addObserver((exit) => {
      this.workers.delete(worker)
      if (exit._tag === "Failure") this.crash ??= exit.cause
      this.wake()
    })
  }

  private get startWorker(): Effect.Effect<Worker> {
    return Effect.forkDetach(this.work, { startImmediately: true, uninterruptible: true })
  }

  /** Runs ready stages, one after the other, each with a StageContext of its own. */
  private readonly work: Effect.Effect<void> = Effect.withFiber((fiber) => {
    const { context } = fiber
    let current: StageExecution | undefined
    let interrupted = false
    // A stage that has ended but for the fibers that it forked and left running.
    let ending: Exit.Exit<unknown, unknown> | undefined
    // The worker itself cannot be interrupted, only the stage: what an interrupted stage ended with is noted, too.
    const runCurrent = Effect.exit(
      Effect.interruptible(Effect.suspend(() => this.effectFor(current as StageExecution)))
    )
    return Effect.whileLoop({
      while: () => {
        if (ending !== undefined) return true
        current = interrupted ? undefined : this.run.next()
        this.wake()
        return current !== undefined
      },
      body: () => {
        if (ending !== undefined) return Effect.as(Fiber.interruptAll(childrenOf(fiber)), ending)
        // The loop calls `body` only after `while` has found a stage.
        fiber.setContext(Context.add(context, StageContext, current as StageExecution))
        return runCurrent
      },
      step: (exit: Exit.Exit<unknown, unknown>) => {
        if (ending === undefined && childrenOf(fiber).length > 0) {
          ending = exit
          return
        }
        ending = undefined
        // Whatever an interrupted fiber does next is interrupted again, so it does nothing more.
        interrupted = exit._tag === "Failure" && Cause.hasInterrupts(exit.cause)
        this.run.end(current as StageExecution, exit)
      }
    })
  })

  private effectFor({ input, planned }: StageExecution): Effect.Effect<unknown, unknown> {
    const around = this.effects[planned.index]
    // The pipeline's type asks its caller for every service that a stage needs.
    return (around ?? asEffect(planned.name, planned.run(input))) as Effect.Effect<unknown, unknown>
  }

  // These two take what they need as arguments: V8 keeps a generator that is made for one run, and with it all that it
  // can see of the run, until the next full garbage collection.

  /** Runs the plan to its end, whatever that is. */
  static readonly toEnd = Effect.fnUntraced(function*(
    conductor: Conductor,
    conduct: Effect.Effect<void>,
    grace: Duration.Duration
  ): Effect.fn.Return<Conclusion> {
    const { run } = conductor
    run.announcer?.runStarted(run.plan.stages.length)
    const exit = yield* Effect.exit(conduct)
    if (exit._tag === "Failure") run.stop ??= { _tag: "Interrupted" }
    yield* Conductor.stopWorkers(conductor, grace)
    const conclusion = conclude(run)
    run.isSettled = true
    if (exit._tag === "Failure") return yield* Effect.failCause(exit.cause)
    return conclusion as Conclusion // only an interrupted run has none
  })

  /** Ends the run early: from outside, at once. */
  private static readonly stopWorkers = Effect.fnUntraced(function*(
    conductor: Conductor,
    grace: Duration.Duration
  ) {
    const { run, workers } = conductor
    if (workers.size > 0) {
      // Stages that end in this very instant still count as ended.
      yield* Effect.yieldNow
      yield* interruptWithin(Array.from(workers), grace)
    }
    if (run.stop !== undefined) run.abandonRunning()
    if (conductor.crash !== undefined) return yield* Effect.failCause(conductor.crash)
  })
}

/** A run that has been set up: its state, and the Effect that runs it to its end. */
export interface Conducted {
  readonly state: ActiveRun
  /** Ends the run on purpose, unless it is over already. */
  readonly cancel: (reason: string, data: Readonly<Record<string, unknown>>) => void
  readonly execute: Effect.Effect<Conclusion>
}

/** Sets up a run; `execute` runs it, once. */
export const conducted = (run: ActiveRun, { concurrency, grace, installed }: {
  readonly concurrency: number
  readonly grace: Duration.Duration
  /** The interceptors that Layers installed. */
  readonly installed: ReadonlyArray<AnyInterceptor>
}): Conducted => {
  const conductor = new Conductor(run, concurrency, installed)
  const execute = Effect.uninterruptibleMask((restore) => Conductor.toEnd(conductor, restore(conductor.conduct), grace))
  return {
    state: run,
    execute,
    cancel: (reason, data) => {
      if (run.isOver) return
      run.cancel(undefined, reason, data)
      conductor.wake()
    }
  }
}
