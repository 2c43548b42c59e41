/**
 * Tells observers how a stage ended, in the words of its result: what it fails with there, they call it, too.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type { Attempt } from "../../attempt/attempt.ts"
import { endingOfExit, type FailedEnding, failedEnding } from "../../attempt/outcome.ts"
import type { Outcome } from "../../Interceptor.ts"
import { RetryExhausted } from "../../StageError.ts"
import type { Settled } from "../../StageOutput.ts"

/** How a stage ended, or an attempt that none follows. */
export type StageEnd = Settled | FailedEnding | Interrupted

/** It was interrupted from outside: the stage has no error in the result of its run. */
export interface Interrupted {
  readonly _tag: "Interrupted"
}

const interrupted: Interrupted = { _tag: "Interrupted" }

/**
 * Whether the fiber has been interrupted from outside. A cause does not say that: whoever interrupts itself, or waits for
 * what was interrupted, has the same one.
 */
export const isBeingInterrupted: Effect.Effect<boolean> = Effect.map(
  Effect.exit(Effect.interruptible(Effect.void)),
  Exit.isFailure
)

/** Runs an Effect, and tells how it ended and whether it was interrupted from outside before anybody else hears of it. */
export const tellExit = <A, E, R>(
  effect: Effect.Effect<A, E, R>,
  tell: (exit: Exit.Exit<A, E>, isInterrupted: boolean) => Effect.Effect<void> | undefined
): Effect.Effect<A, E, R> =>
  Effect.onExitPrimitive(effect, (exit) =>
    exit._tag === "Failure" && Cause.hasInterrupts(exit.cause)
      ? Effect.flatMap(isBeingInterrupted, (isInterrupted) => tell(exit, isInterrupted) ?? Effect.void)
      : tell(exit, false))

const endOf = ({ attempts, stage }: Attempt, exit: Exit.Exit<Outcome, unknown>): Settled | FailedEnding => {
  // An outcome is read already.
  const ending = exit._tag === "Success" ? exit.value : endingOfExit(stage, exit)
  return ending._tag === "Retry"
    ? failedEnding(new RetryExhausted({ stage, attempts, reason: ending.reason }))
    : ending
}

/**
 * Runs a stage, and tells how it ended before anybody else hears of it. A stage that asks for a retry has failed, as it
 * has in the result unless somebody further out grants it.
 */
export const tellEnd = <E, R>(
  effect: Effect.Effect<Outcome, E, R>,
  attempt: Attempt,
  tell: (end: StageEnd) => Effect.Effect<void> | undefined
): Effect.Effect<Outcome, E, R> =>
  tellExit(effect, (exit, isInterrupted) => tell(isInterrupted ? interrupted : endOf(attempt, exit)))
