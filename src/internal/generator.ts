/**
 * Tells generators from other values.
 */
import type * as Effect from "effect/Effect"

/** A generator as `Effect.gen` runs it. */
export type AnyGenerator = Generator<Effect.Effect<unknown, unknown, unknown>, unknown, never>

/** Whether a value is what a generator function gave. */
export const isGenerator = (value: unknown): value is AnyGenerator =>
  Object.prototype.toString.call(value) === "[object Generator]"
