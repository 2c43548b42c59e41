/**
 * Makes an Effect of a promise that is told of its interruption.
 */
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"

/**
 * An Effect of a promise. When it is interrupted the signal fires, and the interruption waits until the promise has
 * settled: how long that may take is up to whoever interrupts.
 */
export const effectOfPromise = <A, E>(
  evaluate: (signal: AbortSignal) => PromiseLike<A>,
  onError: (error: unknown) => E
): Effect.Effect<A, E> =>
  Effect.callback<A, E>((resume, signal) => {
    const failed = (error: unknown) => resume(Effect.suspend(() => Effect.fail(onError(error))))
    const started = Result.try(() => evaluate(signal))
    if (Result.isFailure(started)) return failed(started.failure)
    const settled = Promise.resolve(started.success).then((value) => resume(Effect.succeed(value)), failed)
    return Effect.callback<void>((done) => {
      void settled.then(() => done(Effect.void))
    })
  })
