/**
 * Runs several Effects of a stage at the same time, until all have succeeded or one has not: then the others are interrupted
 * and waited for, up to the grace. One that ignores its interruption is left behind, as a stage is.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import { together } from "../../internal/causes.ts"
import { InterruptionGrace, interruptWithin } from "../../internal/interruption.ts"
import { StageContext } from "../../StageContext.ts"

/** What all of them gave, in their order, or what the first failed with that did, with what went wrong besides. */
export const sideBySide = <A, E, R>(
  effects: ReadonlyArray<Effect.Effect<A, E, R>>
): Effect.Effect<ReadonlyArray<A>, E, R | StageContext> =>
  Effect.uninterruptibleMask((restore) =>
    Effect.gen(function*() {
      const running: Array<Fiber.Fiber<A, E>> = []
      const failed = new Set<Fiber.Fiber<A, E>>()
      for (const effect of effects) {
        const fiber = yield* Effect.forkDetach(effect, { startImmediately: true })
        running.push(fiber)
        if (fiber.pollUnsafe()?._tag === "Failure") break
      }
      const exit = yield* Effect.exit(restore(endOf(running, failed)))
      if (exit._tag === "Success") return exit.value
      const leftBehind = yield* interruptWithin(running, yield* InterruptionGrace)
      if (leftBehind.length > 0) yield* warn(leftBehind.length)
      return yield* Effect.failCause(withFailuresOf(running.filter((fiber) => !failed.has(fiber)), exit.cause))
    })
  )

/** Waits until all have succeeded or one, which is noted in `failed`, has not. */
const endOf = <A, E>(
  running: ReadonlyArray<Fiber.Fiber<A, E>>,
  failed: Set<Fiber.Fiber<A, E>>
): Effect.Effect<ReadonlyArray<A>, E> =>
  Effect.callback((resume) => {
    let left = running.length
    const given: Array<A> = []
    const ignored = running.map((fiber, index) =>
      fiber.addObserver((exit) => {
        if (exit._tag === "Success") {
          given[index] = exit.value
          if (--left === 0) resume(Effect.succeed(given))
        } else if (failed.size === 0) {
          failed.add(fiber)
          resume(Effect.failCause(exit.cause))
        }
      })
    )
    if (running.length === 0) resume(Effect.succeed(given))
    return Effect.sync(() => {
      for (const ignore of ignored) ignore()
    })
  })

const warn = (count: number): Effect.Effect<void, never, StageContext> =>
  Effect.flatMap(
    StageContext,
    ({ stage }) => Effect.logWarning(`Stage "${stage}" left behind what ignores its interruption: ${count}`)
  )

/** What those died of that were interrupted is not lost. */
const withFailuresOf = <E>(
  interrupted: ReadonlyArray<Fiber.Fiber<unknown, E>>,
  cause: Cause.Cause<E>
): Cause.Cause<E> => {
  const reasons = interrupted.flatMap((fiber) => {
    const exit = fiber.pollUnsafe()
    return exit !== undefined && Exit.isFailure(exit)
      ? exit.cause.reasons.filter((reason) => !Cause.isInterruptReason(reason))
      : []
  })
  return reasons.length === 0 ? cause : together(cause, Cause.fromReasons(reasons))
}
