/**
 * Listens for promises that were rejected and that nobody looked at: Node ends a process for one.
 */
import { Effect } from "effect"
import { setTimeout as wait } from "node:timers/promises"

/** Runs an Effect, and tells what was rejected meanwhile and heard by nobody. */
export const unheardRejections = <E, R>(
  effect: Effect.Effect<unknown, E, R>
): Effect.Effect<ReadonlyArray<unknown>, E, R> =>
  Effect.suspend(() => {
    const unheard: Array<unknown> = []
    const before = process.listeners("unhandledRejection")
    process.removeAllListeners("unhandledRejection")
    process.on("unhandledRejection", (reason) => unheard.push(reason))
    // Node tells of them once the microtasks are done.
    const turn = Effect.promise(() => wait(0))
    return effect.pipe(
      Effect.andThen(turn),
      Effect.as(unheard),
      Effect.ensuring(Effect.sync(() => {
        process.removeAllListeners("unhandledRejection")
        for (const listener of before) process.on("unhandledRejection", listener)
      }))
    )
  })
