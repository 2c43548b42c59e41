/**
 * At most so many of these at once, and a bounded queue for the rest.
 *
 * All pipelines below its Layer share a bulkhead by its name: it protects what they share, a database or a provider.
 * Within it the keys (tenants, unless you say otherwise) take turns, so that one with many waiters does not starve the
 * others.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import { type Interceptor, make } from "../Interceptor.ts"
import * as options from "../internal/options.ts"
import { Places } from "./internal/places.ts"
import { type Key, type KeyFailed, keyOf, perTenant } from "./Key.ts"

/**
 * A bulkhead and its queue are full, so the stage did not run.
 */
export class BulkheadFull extends Schema.TaggedError<BulkheadFull>()("BulkheadFull", {
  bulkhead: Schema.String,
  stage: Schema.String,
  permits: Schema.Int,
  queue: Schema.Int
}) {
  readonly code = "BULKHEAD_FULL"
  override get message(): string {
    return `Bulkhead "${this.bulkhead}" is full (${this.permits} running, ${this.queue} waiting): `
      + `stage "${this.stage}" did not run`
  }
}

interface Compartment {
  readonly permits: number
  readonly queue: number
  readonly places: Places
  /** How many are running or waiting. */
  inside: number
}

/** A place in a bulkhead, and what there is instead of it. */
interface Place<E> {
  readonly name: string
  readonly permits: number
  readonly queue: number
  readonly key: string
  readonly onFull: Effect.Effect<never, E>
}

/**
 * The bulkheads that all runs below its Layer share, by name.
 */
export class Bulkheads extends Context.Service<Bulkheads, {
  /** Runs the Effect inside the bulkhead, or gives `onFull` when there is no place. */
  readonly within: <A, E, R, E2>(place: Place<E2>, effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E | E2, R>
}>()("stageflow/interceptors/Bulkheads") {
  /**
   * Bulkheads in memory.
   */
  static readonly layerMemory: Layer.Layer<Bulkheads> = Layer.sync(Bulkheads, () => {
    const compartments = new Map<string, Compartment>()
    const compartmentOf = (name: string, permits: number, queue: number): Compartment => {
      const known = compartments.get(name)
      if (known !== undefined) {
        // Two bulkheads of one name are one bulkhead: it cannot have two sizes.
        options.same(`permits of bulkhead "${name}"`, permits, known.permits)
        options.same(`queue of bulkhead "${name}"`, queue, known.queue)
        return known
      }
      const compartment = { permits, queue, places: new Places(permits), inside: 0 }
      compartments.set(name, compartment)
      return compartment
    }
    return {
      within: <A, E, R, E2>(
        { key, name, onFull, permits, queue }: Place<E2>,
        effect: Effect.Effect<A, E, R>
      ): Effect.Effect<A, E | E2, R> =>
        // Nobody is interrupted between coming in and the promise to leave.
        Effect.uninterruptibleMask((restore): Effect.Effect<A, E | E2, R> => {
          const compartment = compartmentOf(name, permits, queue)
          if (compartment.inside >= permits + queue) return onFull
          compartment.inside++
          return Effect.onExitPrimitive(restore(compartment.places.within(key, effect)), () => {
            compartment.inside--
            return undefined
          })
        })
    }
  })
}

/**
 * Lets at most `permits` stages in at once. `queue` more wait their turn; beyond that the stage fails with
 * `BulkheadFull`. An interrupted waiter gives its place back.
 */
export const bulkhead = (settings: {
  /** What all that share it call it. */
  readonly name: string
  readonly permits: number
  /** How many may wait. Ten times `permits` when left out. */
  readonly queue?: number | undefined
  /** Who takes turns with whom: tenants, when left out. */
  readonly key?: Key | undefined
}): Interceptor<BulkheadFull | KeyFailed, Bulkheads> => {
  const { key = perTenant, name } = settings
  const permits = options.positiveCount("permits", settings.permits)
  const queue = options.count("queue", settings.queue ?? Math.min(permits * 10, Number.MAX_SAFE_INTEGER))
  return make({
    name: "bulkhead",
    order: 45,
    around: (effect, stage) =>
      Effect.gen(function*() {
        const bulkheads = yield* Bulkheads
        const of = yield* keyOf("bulkhead", key)
        // Made only when it is needed: an error keeps where it was made, which takes longer than all the rest.
        const onFull = Effect.suspend(() =>
          Effect.fail(new BulkheadFull({ bulkhead: name, stage: stage.name, permits, queue }))
        )
        return yield* bulkheads.within({ name, permits, queue, key: of, onFull }, effect)
      })
  })
}
