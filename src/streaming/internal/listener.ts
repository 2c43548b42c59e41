/**
 * Tells a listener of signals without waiting for it: from a sliding queue, in a fiber of its own.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Queue from "effect/Queue"
import type * as Scope from "effect/Scope"
import type { StreamSignal } from "../StreamSignal.ts"

/** Takes a signal at once. */
export type Tell = (signal: StreamSignal) => void

/** Who is told of signals. */
export type OnSignal<R> = (signal: StreamSignal) => Effect.Effect<void, never, R>

/** Signals that wait to be told; of more, the oldest are left out. */
const kept = 256

/** How long a listener may take for what is still to be told when the queue is done with. */
const patience = "1 second"

const silent: Tell = () => {}

/** Closing the scope tells what is still to be told, for a moment at most. */
export const listening = <R = never>(
  onSignal: OnSignal<R> | undefined
): Effect.Effect<Tell, never, R | Scope.Scope> => {
  if (onSignal === undefined) return Effect.succeed(silent)
  const tellOne = (signal: StreamSignal) =>
    Effect.suspend(() => onSignal(signal)).pipe(
      Effect.catchCause((cause) =>
        Cause.hasInterruptsOnly(cause)
          ? Effect.failCause(cause)
          : Effect.logWarning("A listener of stream signals failed", cause)
      )
    )
  return Effect.gen(function*() {
    const signals = yield* Queue.sliding<StreamSignal, Cause.Done>(kept)
    yield* Effect.acquireRelease(
      Effect.forkDetach(Effect.ignoreCause(Effect.forever(Effect.flatMap(Queue.take(signals), tellOne)))),
      (fiber) =>
        Queue.end(signals).pipe(
          Effect.andThen(Effect.interruptible(Effect.timeoutOption(Fiber.await(fiber), patience))),
          Effect.andThen(Fiber.interrupt(fiber))
        )
    )
    return (signal) => void Queue.offerUnsafe(signals, signal)
  })
}
