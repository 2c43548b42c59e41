/**
 * Sees from inside and outside what an interceptor does to a stage, and from beside it when it is entered and left.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import { attemptIn } from "../attempt/attempt.ts"
import { surround } from "../attempt/composition.ts"
import * as Interceptor from "../Interceptor.ts"

/**
 * Something that was entered or left: an interceptor, or the body of the stage.
 */
export interface Step {
  /** The name of the interceptor, or that of the stage. */
  readonly name: string
  readonly step: "entered" | "left"
  /** What the interceptor wraps; the body wraps nothing. */
  readonly wraps: "run" | "stage" | "nothing"
  /** Which run it was in, from 1. */
  readonly run: number
  /** When, in milliseconds of virtual time. */
  readonly at: number
}

/**
 * One time that the body was started.
 */
export interface Passage {
  /** Which run it was in, from 1. */
  readonly run: number
  /** Which attempt it was told that it is. */
  readonly attempt: number
  /** How long after the call of its run it was started, in milliseconds of virtual time. */
  readonly waited: number
  /** When it was started, in milliseconds of virtual time. */
  readonly startedAt: number
  /** When it ended; `undefined` when it was still going on when everything was over. */
  readonly endedAt: number | undefined
  /** What it ended with. */
  readonly exit: Exit.Exit<Interceptor.Outcome, unknown> | undefined
  /** Whether its finalizers had run when its run ended. */
  readonly released: boolean
}

type Seen<P> = { -readonly [K in keyof P]: P[K] }

/** Which run of a test a fiber belongs to. */
export const RunNumber = Context.Reference<number>("stageflow/testing/RunNumber", { defaultValue: () => 0 })

const runOf = ({ context }: Fiber.Fiber<unknown, unknown>): number => Context.get(context, RunNumber)

const nowOf = ({ context }: Fiber.Fiber<unknown, unknown>): number =>
  Context.get(context, Clock.Clock).currentTimeMillisUnsafe()

export class Witness {
  readonly steps: Array<Step> = []
  readonly passages: Array<Seen<Passage>> = []
  /** What the engine was handed, by run. */
  readonly outcomes = new Map<number, Exit.Exit<Interceptor.Outcome, unknown>>()
  /** The interceptors that were still inside of a run when it ended, by run. */
  readonly notLeft = new Map<number, ReadonlyArray<string>>()

  /** When each run was called, in milliseconds of virtual time. */
  private readonly calledAt = new Map<number, number>()

  private readonly cleanUp: Duration.Duration

  constructor(cleanUp: Duration.Duration) {
    this.cleanUp = cleanUp
  }

  /** Goes around the body, inside of everything else. */
  readonly body = Interceptor.make({
    name: "stageflow/testing/body",
    around: (effect, { name }) =>
      Effect.withFiber((fiber) => {
        const run = runOf(fiber)
        const passage: Seen<Passage> = {
          run,
          attempt: attemptIn(fiber).attempt,
          waited: nowOf(fiber) - (this.calledAt.get(run) ?? 0),
          startedAt: nowOf(fiber),
          endedAt: undefined,
          exit: undefined,
          released: false
        }
        this.passages.push(passage)
        const release = Effect.sync(() => {
          passage.released = !this.notLeft.has(run)
        })
        const body = Effect.onExit(effect, (exit) => {
          passage.endedAt = nowOf(fiber)
          passage.exit = exit
          return Exit.hasInterrupts(exit) ? Effect.andThen(Effect.sleep(this.cleanUp), release) : release
        })
        return this.stepping(body, name, "nothing")
      })
  })

  /** Goes around the stage, outside of everything else. */
  readonly outermost = Interceptor.make({
    name: "stageflow/testing/outermost",
    order: Number.NEGATIVE_INFINITY,
    around: (effect) =>
      Effect.withFiber((fiber) =>
        Effect.onExit(effect, (exit) => Effect.sync(() => this.outcomes.set(runOf(fiber), exit)))
      )
  })

  /** The same interceptor, and every entry into one of its parts is seen. */
  watched<E, R, P>(interceptor: Interceptor.Interceptor<E, R, P>): Interceptor.Interceptor<E, R, P> {
    return surround(interceptor, (effect, part, wraps) => this.stepping(effect, part, wraps))
  }

  private stepping<A, E, R>(
    effect: Effect.Effect<A, E, R>,
    name: string,
    wraps: Step["wraps"]
  ): Effect.Effect<A, E, R> {
    return Effect.withFiber((fiber) => {
      const run = runOf(fiber)
      const took = (step: Step["step"]) => {
        this.steps.push({ name, step, wraps, run, at: nowOf(fiber) })
      }
      took("entered")
      return Effect.onExitPrimitive(effect, () => {
        took("left")
        return undefined
      })
    })
  }

  /** A run, seen from its start to its end. */
  watchedRun<A, E, R>(run: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> {
    return Effect.withFiber((fiber) => {
      const number = runOf(fiber)
      this.calledAt.set(number, nowOf(fiber))
      return Effect.onExitPrimitive(run, () => {
        this.runEnded(number)
        return undefined
      })
    })
  }

  /** Whatever goes on after this is too late. */
  private runEnded(run: number): void {
    const inside: Array<string> = []
    for (const { name, run: of, step, wraps } of this.steps) {
      if (of !== run || wraps === "nothing") continue
      if (step === "entered") inside.push(name)
      else inside.splice(inside.lastIndexOf(name), 1)
    }
    this.notLeft.set(run, inside)
  }
}
