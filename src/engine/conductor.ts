/**
 * Conducts a run: starts a fiber for every stage that is ready, and ends the fibers that run when the run is over.
 *
 * A stage takes its first steps at once, inside the conductor: one that never waits has ended when the conductor goes on
 * with the next. Every other belongs to a FiberSet of the run from the moment it exists. When a stage fails, a stage
 * cancels, the caller cancels or the caller is interrupted, the conductor closes that set: everything in flight is
 * interrupted, and its finalizers have run before the run returns. A stage that outlives the grace is abandoned, and the
 * result says so.
 */
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as FiberSet from "effect/FiberSet"
import { constVoid } from "effect/Function"
import * as Result from "effect/Result"
import * as Scheduler from "effect/Scheduler"
import * as Scope from "effect/Scope"
import type { Any as AnyInterceptor, StageEffect } from "../attempt/interceptor-model.ts"
import { asEffect, leavesRun } from "../attempt/outcome.ts"
import type { Ender } from "../attempt/run-ending.ts"
import { closeWithin, interruptWithin, StreamHoldings } from "../internal/interruption.ts"
import { StageContext } from "../StageContext.ts"
import type { ActiveRun } from "./active-run.ts"
import { conclude, type Conclusion, endingOf } from "./conclusion.ts"
import { executionIn, type StageExecution } from "./stage-execution.ts"

type StageFiber = Fiber.Fiber<unknown, unknown>

/** How many stages that do not wait start in a row before others get their turn; the conductor yields by itself. */
const atOnce = 64

class Conductor {
  private readonly run: ActiveRun
  private readonly concurrency: number
  private readonly grace: Duration.Duration
  private readonly context: Context.Context<never>
  private readonly effects: ReadonlyArray<StageEffect | undefined>
  /** The fibers of the stages that wait for something. */
  private readonly fibers: FiberSet.FiberSet<unknown, unknown>
  /** How many stages are running. */
  private running = 0
  /** How many ends of stages are being dealt with: whoever hears the events of one may end the run, which waits for it. */
  private ending = 0
  /** How many steps stages have taken, each in its own fiber, since others had their turn. */
  private steps = 0
  private readonly stepsBeforeYield: number
  /** The stage that is taking its first steps. */
  private starting: StageExecution | undefined = undefined
  /** Its fiber, once that runs it. */
  private startingFiber: StageFiber | undefined = undefined
  /** What it ended with, if it has. */
  private startingExit: Exit.Exit<unknown, unknown> | undefined = undefined
  /** Stages that ended without waiting any longer for what they left running. */
  private readonly leftBehind = new Set<StageExecution>()
  private resume: ((effect: Effect.Effect<void>) => void) | undefined = undefined
  /** The engine's own failure, which there should never be. */
  private crash: Cause.Cause<never> | undefined = undefined

  constructor(run: ActiveRun, settings: ConductorSettings, fibers: FiberSet.FiberSet<unknown, unknown>) {
    this.run = run
    this.fibers = fibers
    this.concurrency = settings.concurrency
    this.grace = settings.grace
    // What a stage that a run is inside of holds for its streams is not for the stages of the run.
    this.context = Context.get(settings.context, StreamHoldings).length === 0
      ? settings.context
      : Context.add(settings.context, StreamHoldings, [])
    this.effects = run.plan.effects(settings.installed)
    this.stepsBeforeYield = Context.get(settings.context, Scheduler.MaxOpsBeforeYield)
    run.conductor = this
  }

  private get isOver(): boolean {
    return this.run.isOver || this.crash !== undefined
  }

  private get canStart(): boolean {
    const { streaming } = this.run
    if (streaming === undefined) return this.run.hasReady && this.running < this.concurrency
    return this.run.hasReady && (streaming.hasFree || this.running - streaming.withoutPlace < this.concurrency)
  }

  /** Starts stages until the run is over. */
  readonly conduct: Effect.Effect<void> = Effect.whileLoop({
    while: () => !this.isOver,
    body: () => {
      if (!this.canStart) return this.wait
      this.startNext()
      return this.pause
    },
    step: constVoid
  })

  private readonly wait = Effect.callback<void>((resume) => {
    // A stage may have ended since the loop looked: others may run between two operations of a fiber.
    if (this.isOver || this.canStart) return resume(Effect.void)
    this.noteLimit()
    this.resume = resume
  })

  /** Stages that are ready and have to wait for a place are to know since when. */
  private noteLimit(): void {
    if (this.running >= this.concurrency && this.run.hasReady) this.run.reachLimit()
  }

  /** Lets others of the process have their turn, as often as one fiber would that took the steps of all stages. */
  private get pause(): Effect.Effect<void> {
    if (this.steps < this.stepsBeforeYield) return Effect.void
    this.steps = 0
    return Effect.yieldNow
  }

  /** Wakes the conductor when it waits and there is something for it to do. */
  wake(): void {
    const { resume } = this
    if (resume === undefined || !(this.isOver || this.canStart)) return
    this.resume = undefined
    resume(Effect.void)
  }

  /**
   * Starts the next stage. Nothing can come between its fiber and the set of fibers that the run owns: no Effect runs in
   * between.
   */
  private startNext(): void {
    const execution = this.run.next()
    if (execution === undefined) return
    this.running++
    this.starting = execution
    this.startingExit = undefined
    const fiber = Effect.runForkWith(Context.add(this.contextOf(execution), StageContext, execution))(this.stage)
    this.starting = undefined
    this.startingFiber = undefined
    this.steps += fiber.currentOpCount
    const exit = fiber.pollUnsafe()
    if (exit !== undefined) {
      this.ended(execution, exit)
      return this.run.stageIsOver(execution)
    }
    execution.fiber = fiber
    FiberSet.addUnsafe(this.fibers, fiber)
    fiber.addObserver((exit) => this.endedLater(execution, exit))
    // It was interrupted while it took its first steps.
    if (this.run.interruptions?.has(execution.planned.index) === true) this.interrupt(execution)
    if (this.startingExit !== undefined) this.bodyEnded(execution, fiber, this.startingExit)
  }

  /** The environment of a stage: one that reads streams is in the places of those that give them. */
  private contextOf({ planned: { index } }: StageExecution): Context.Context<never> {
    const { streams } = this.run
    if (streams === undefined) return this.context
    const holdings = streams.holdingsOf(index)
    return holdings.length === 0 ? this.context : Context.add(this.context, StreamHoldings, holdings)
  }

  /** Hears what a stage's Effect ended with. Nearly always it has left nothing running, and its fiber ends now. */
  private readonly hear = (exit: Exit.Exit<unknown, unknown>): undefined => {
    // A finalizer runs in the fiber that it belongs to.
    const fiber = Fiber.getCurrent() as StageFiber
    if (fiber === this.startingFiber) {
      this.startingExit = exit
      return
    }
    const execution = executionIn(fiber)
    // A task of the fiber's scheduler would cost a turn of the event loop for every stage.
    queueMicrotask(() => {
      if (fiber.pollUnsafe() === undefined) this.bodyEnded(execution, fiber, exit)
    })
  }

  /** Runs the stage of a fiber. One Effect for all stages, which asks its fiber which stage it is. */
  private readonly stage: Effect.Effect<unknown, unknown> = Effect.onExitPrimitive(
    Effect.withFiber((fiber) => {
      const execution = executionIn(fiber)
      if (execution === this.starting) this.startingFiber = fiber
      return this.effectFor(execution)
    }),
    this.hear
  )

  private effectFor({ input, planned }: StageExecution): Effect.Effect<unknown, unknown> {
    const around = this.effects[planned.index]
    // The pipeline's type asks its caller for every service that a stage needs.
    return (around ?? asEffect(planned.name, planned.run(input))) as Effect.Effect<unknown, unknown>
  }

  /**
   * What a stage runs has ended, and its fiber waits for what the stage left running, which is interrupted. A failure or a
   * cancel is heard at once: the others are to stop.
   */
  private bodyEnded(execution: StageExecution, fiber: StageFiber, exit: Exit.Exit<unknown, unknown>): void {
    if (this.run.stop !== undefined) return
    if (!leavesRun(exit)) return this.endWithGrace(execution, fiber, exit)
    this.run.end(execution, exit)
    this.wake()
  }

  /** Ends a stage whose fiber still waits for what the stage left running: after the grace, without it. */
  private endWithGrace(execution: StageExecution, fiber: StageFiber, exit: Exit.Exit<unknown, unknown>): void {
    const wait = Effect.gen({ self: this }, function*() {
      yield* Effect.sleep(this.grace)
      yield* Effect.logWarning(`Stage "${execution.stage}" left something running that ignores its interruption`)
      this.leaveBehind(execution, exit)
    })
    const waiting = Effect.runForkWith(this.context)(wait)
    FiberSet.addUnsafe(this.fibers, waiting)
    fiber.addObserver(() => waiting.interruptUnsafe())
  }

  /** Interrupts a stage, and goes on without it if it still runs after the grace. */
  interrupt(execution: StageExecution): void {
    const { fiber } = execution
    // While it takes its first steps it has none that others know of: see `startNext`.
    if (fiber === undefined) return
    const interrupting = Effect.gen({ self: this }, function*() {
      if ((yield* interruptWithin([fiber], this.grace)).length === 0) return
      yield* Effect.logWarning(`Stage "${execution.stage}" ignores its interruption: the run goes on without it`)
      const interruption = this.run.interruptions?.get(execution.planned.index)
      if (interruption !== undefined) interruption.isAbandoned = true
      this.leaveBehind(execution, Exit.interrupt())
    })
    FiberSet.addUnsafe(this.fibers, Effect.runForkWith(this.context)(interrupting))
  }

  private leaveBehind(execution: StageExecution, exit: Exit.Exit<unknown, unknown>): void {
    this.endedLater(execution, exit)
    this.leftBehind.add(execution)
  }

  /** A stage's fiber has ended, or was left behind. */
  private ended(execution: StageExecution, exit: Exit.Exit<unknown, unknown>): void {
    if (this.leftBehind.size > 0 && this.leftBehind.delete(execution)) return
    this.running--
    this.run.end(execution, exit)
  }

  /** A stage has ended that had to wait. What is ready now starts here: it does not take the conductor's fiber for that. */
  private endedLater(execution: StageExecution, exit: Exit.Exit<unknown, unknown>): void {
    this.ending++
    const result = Result.try(() => {
      this.ended(execution, exit)
      for (let started = 0; started < atOnce && this.resume !== undefined && this.canStart; started++) this.startNext()
      this.noteLimit()
    })
    this.ending--
    if (Result.isFailure(result)) this.crash ??= Cause.die(result.failure)
    this.wake()
    // Whoever waits for that goes on at once: what depends on the stage has been told by now.
    this.run.stageIsOver(execution)
  }

  /** Whether anything is going on: stages that have not ended, or the end of one. */
  get isBusy(): boolean {
    return this.running > 0 || this.ending > 0
  }

  /** Why the engine failed, which it never should. */
  get failure(): Cause.Cause<never> | undefined {
    return this.crash
  }
}

interface ConductorSettings {
  readonly concurrency: number
  readonly grace: Duration.Duration
  /** The interceptors that Layers installed. */
  readonly installed: ReadonlyArray<AnyInterceptor>
  /** The environment of the stages. */
  readonly context: Context.Context<never>
  /** Hears what the stages ended with, also when the caller is interrupted while the last of them clean up. */
  readonly onConclusion: (conclusion: Conclusion) => void
  /** What has a part in the end of the run. */
  readonly ender: Ender | undefined
}

// It takes what it needs as arguments: V8 keeps a generator that is made for one run, and with it all that it can see of
// the run, until the next full garbage collection.
const conductToEnd = Effect.fnUntraced(function*(
  run: ActiveRun,
  settings: ConductorSettings,
  restore: <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
): Effect.fn.Return<Conclusion> {
  const scope = yield* Scope.make()
  const fibers = yield* Scope.provide(FiberSet.make<unknown, unknown>(), scope)
  const conductor = new Conductor(run, settings, fibers)
  const exit = yield* Effect.exit(restore(conductor.conduct))
  if (exit._tag === "Failure") run.stop ??= { _tag: "Interrupted" }
  if (conductor.isBusy) {
    // Stages that end in this very instant still count as ended.
    yield* Effect.yieldNow
    yield* closeWithin(scope, Array.from(fibers), settings.grace)
  }
  if (run.stop !== undefined) run.abandonRunning()
  run.settle()
  const ending = settings.ender === undefined ? undefined : endingOf(run)
  if (settings.ender !== undefined && ending !== undefined) {
    run.compensation = yield* settings.ender.stagesEnded(ending)
  }
  if (conductor.failure !== undefined) return yield* Effect.failCause(conductor.failure)
  const conclusion = conclude(run)
  if (conclusion !== undefined) settings.onConclusion(conclusion)
  if (exit._tag === "Failure") return yield* Effect.failCause(exit.cause)
  return conclusion as Conclusion // only an interrupted run has none
})

/** Runs a plan to its end, whatever that is. */
export const conduct = (run: ActiveRun, settings: ConductorSettings): Effect.Effect<Conclusion> =>
  Effect.uninterruptibleMask((restore) => conductToEnd(run, settings, restore))
