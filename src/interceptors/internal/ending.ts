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

/** Asks whether the fiber has been interrupted from outside, where the cause leaves that open, and tells what comes of it. */
export const tellCause = (
  cause: Cause.Cause<unknown>,
  tell: (isInterrupted: boolean) => Effect.Effect<void> | undefined
): Effect.Effect<void> | undefined =>
  Cause.hasInterrupts(cause)
    ? Effect.flatMap(isBeingInterrupted, (isInterrupted) => tell(isInterrupted) ?? Effect.void)
    : tell(false)

/** How a stage ended whose Effect ended like this, and that nobody interrupted from outside. */
const endOf = ({ attempts, stage }: Attempt, exit: Exit.Exit<Outcome, unknown>): Settled | FailedEnding => {
  // An outcome is read already.
  const ending = exit._tag === "Success" ? exit.value : endingOfExit(stage, exit)
  return ending._tag === "Retry"
    ? failedEnding(new RetryExhausted({ stage, attempts, reason: ending.reason }))
    : ending
}

/** Whether a stage ended without failing, which takes no asking. */
export const isSettled = (exit: Exit.Exit<Outcome, unknown>): exit is Exit.Success<Settled> =>
  exit._tag === "Success" && exit.value._tag !== "Retry"

/**
 * Tells how a stage ended. A stage that asks for a retry has failed, as it has in the result unless somebody further out
 * grants it.
 */
export const tellEnd = (
  attempt: Attempt,
  exit: Exit.Exit<Outcome, unknown>,
  tell: (end: StageEnd) => Effect.Effect<void> | undefined
): Effect.Effect<void> | undefined => {
  if (exit._tag === "Success") return tell(endOf(attempt, exit))
  return tellCause(exit.cause, (isInterrupted) => tell(isInterrupted ? interrupted : endOf(attempt, exit)))
}
