/**
 * Limits how many stages run at once; the rest wait in a bounded queue.
 *
 * All pipelines below its Layer share a bulkhead by its name: it protects what they share, a database or a provider.
 * Within it the keys (tenants, unless you say otherwise) take turns, and a full queue has room for the key that has fewer
 * waiting than others: one with a thousand waiters neither starves the others nor shuts them out.
 *
 * A stage has its place until its body has really ended, also when a timeout has left it behind. What it runs in a child
 * run is in its place: a bulkhead does not wait for itself. Two bulkheads that are entered one inside the other, by some
 * runs in one order and by others in the opposite one, can wait for each other like any two locks: enter them in one order.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import { attemptIn } from "../attempt/attempt.ts"
import { type Interceptor, make } from "../Interceptor.ts"
import { AroundStageTypeId } from "../internal/around-stage.ts"
import * as options from "../internal/options.ts"
import { orders } from "./internal/orders.ts"
import { Places } from "./internal/places.ts"
import { Waiting } from "./internal/waiting.ts"
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
  readonly [AroundStageTypeId] = true
  override get message(): string {
    return `Stage "${this.stage}" did not run: bulkhead "${this.bulkhead}" is full `
      + `(${this.permits} running, ${this.queue} waiting)`
  }
}

interface Compartment {
  readonly permits: number
  readonly queue: number
  readonly places: Places
}

/** A place in a bulkhead, and what there is instead of it. */
interface Place<E> {
  readonly name: string
  readonly permits: number
  readonly queue: number
  readonly key: string
  readonly onFull: Effect.Effect<never, E>
  /** Is called if it has to wait for its place. */
  readonly onWait?: (() => void) | undefined
}

/**
 * The bulkheads that all runs below its Layer share, by name.
 */
export class Bulkheads extends Context.Service<Bulkheads, {
  /** Runs the Effect inside the bulkhead, or gives `onFull` when there is no place for it, or none any more. */
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
      const compartment = { permits, queue, places: new Places(permits, queue) }
      compartments.set(name, compartment)
      return compartment
    }
    return {
      within: ({ key, name, onFull, onWait, permits, queue }, effect) =>
        Effect.suspend(() => compartmentOf(name, permits, queue).places.within(key, effect, onFull, onWait))
    }
  })
}

/**
 * Lets at most `permits` stages in at once. `queue` more wait their turn; beyond that the stage fails with
 * `BulkheadFull`. An interrupted waiter gives its place back.
 *
 * When the queue is full, the key that has most waiting gives way to one that has at least two fewer: its last one fails
 * with `BulkheadFull`. So each of `n` keys can have an `n`th of the queue, and a key that is alone all of it.
 *
 * A stage inside the same bulkhead already, in a child run of a stage that has a place, uses that place: one such stage at
 * a time, beside those that find free places.
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
  options.only(["name", "permits", "queue", "key"], settings)
  const name = options.name("name", settings.name)
  const key = options.callable("key", settings.key ?? perTenant)
  const permits = options.positiveCount("permits", settings.permits)
  const queue = options.count("queue", settings.queue ?? Math.min(permits * 10, Number.MAX_SAFE_INTEGER))
  return make({
    name: "bulkhead",
    order: orders.bulkhead,
    around: (effect, stage) =>
      Effect.gen(function*() {
        const bulkheads = yield* Bulkheads
        const of = yield* keyOf("bulkhead", key)
        // Made only when it is needed: an error keeps where it was made, which takes longer than all the rest.
        const onFull = Effect.suspend(() =>
          Effect.fail(new BulkheadFull({ bulkhead: name, stage: stage.name, permits, queue }))
        )
        const waiting = yield* Effect.withFiber((fiber) =>
          Effect.succeed(new Waiting(`bulkhead ${name}`, attemptIn(fiber), fiber))
        )
        const { begin: onWait } = waiting
        const inside = Effect.suspend(() => {
          waiting.end(true)
          return effect
        })
        const within = bulkheads.within({ name, permits, queue, key: of, onFull, onWait }, inside)
        return yield* Effect.onExitPrimitive(within, () => {
          waiting.end(false)
          return undefined
        })
      })
  })
}
