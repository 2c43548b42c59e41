/**
 * Interrupting fibers without waiting for ever.
 */
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"

/**
 * How long an interrupted stage may go on cleaning up before it is abandoned: the timeout or the run that interrupted
 * it then ends without it. 10 seconds unless set.
 */
export const InterruptionGrace = Context.Reference<Duration.Duration>("stageflow/InterruptionGrace", {
  defaultValue: () => Duration.seconds(10)
})

/** Interrupts the fibers and waits for them, up to the grace. Says which are still running after it. */
export const interruptWithin = Effect.fnUntraced(function*<F extends Fiber.Fiber<unknown, unknown>>(
  fibers: ReadonlyArray<F>,
  grace: Duration.Duration
) {
  for (const fiber of fibers) fiber.interruptUnsafe()
  const running = fibers.filter(isRunning)
  if (running.length === 0) return running
  const all = Fiber.awaitAll(running)
  if (Duration.isFinite(grace)) yield* Effect.timeoutOption(all, grace)
  else yield* all
  return running.filter(isRunning)
})

const isRunning = (fiber: Fiber.Fiber<unknown, unknown>): boolean => fiber.pollUnsafe() === undefined
