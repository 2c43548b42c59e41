/**
 * Says which of several runs inside of a stage a run is, and on what, for whatever keeps results from one run to the next: its
 * key is made of the snapshot, which is nearly the same for all of them.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"

/** One of several runs of a body. */
interface Repetition {
  /** The stage that runs the body, what the body is to it, and which run of it this is. */
  readonly place: readonly [stage: string, body: string, index: number]
  readonly input: unknown
  readonly outer: Repetition | undefined
}

const Current = Context.Reference<Repetition | undefined>("stageflow/attempt/Repetition", {
  defaultValue: () => undefined
})

/** Runs a body as one of several runs of it. */
export const asRepetition = <A, E, R>(
  effect: Effect.Effect<A, E, R>,
  place: Repetition["place"],
  input: unknown
): Effect.Effect<A, E, R> =>
  Effect.withFiber((fiber) =>
    Effect.provideService(effect, Current, { place, input, outer: Context.get(fiber.context, Current) })
  )

/** The repetitions that a fiber runs in, the innermost first. */
const repetitionsIn = (fiber: Fiber.Fiber<unknown, unknown>): ReadonlyArray<Repetition> => {
  const found: Array<Repetition> = []
  for (let next = Context.get(fiber.context, Current); next !== undefined; next = next.outer) found.push(next)
  return found
}

/** Where a fiber runs, when it runs in a body that is run several times. */
export const placesIn = (fiber: Fiber.Fiber<unknown, unknown>): ReadonlyArray<Repetition["place"]> =>
  repetitionsIn(fiber).map(({ place }) => place)

/** What the bodies and the runs that a fiber is in were given, each with its name. */
export const givenIn = (fiber: Fiber.Fiber<unknown, unknown>): ReadonlyArray<unknown> =>
  repetitionsIn(fiber).map(({ input, place: [stage, body] }) => [stage, body, input])
