/**
 * Asks something of a value that may throw when it is looked at, as a revoked Proxy does.
 */
import * as Result from "effect/Result"

/** Whether a test says yes: one that throws does not. */
export const holds = (test: () => boolean): boolean => Result.getOrElse(Result.try(test), () => false)
