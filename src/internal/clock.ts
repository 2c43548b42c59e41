/**
 * Reads the clock that never goes backwards, in milliseconds: for how long things took, never for what time it is.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"

const nanosPerMilli = 1_000_000

export const elapsedMillis: Effect.Effect<number> = Effect.map(
  Clock.monotonicTimeNanos,
  (nanos) => Number(nanos) / nanosPerMilli
)

/** The same, for what asks its fiber instead of running an Effect. */
export const elapsedMillisIn = (fiber: Fiber.Fiber<unknown, unknown>): number =>
  Number(fiber.getRef(Clock.Clock).monotonicTimeNanosUnsafe()) / nanosPerMilli
