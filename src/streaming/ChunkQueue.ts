/**
 * Puts a bounded queue between who makes chunks and who reads them, and tells how it is doing.
 *
 * As an operator over a `Stream`, `buffer` lets the producer run ahead of its reader by `capacity` chunks. A full queue makes
 * the producer wait, or drops the oldest or the newest chunk, as said.
 *
 * ```ts
 * import { Effect, Schedule, Stream } from "effect"
 * import { ChunkQueue } from "stageflow/streaming"
 *
 * // A camera takes a picture every 10 ms; who looks at them takes 35 ms for one, and wants the latest.
 * const pictures = Stream.schedule(Stream.range(1, 20), Schedule.spaced("10 millis"))
 * const program = pictures.pipe(
 *   ChunkQueue.buffer({ capacity: 2, overflow: "drop-oldest" }),
 *   Stream.mapEffect((picture) => Effect.as(Effect.sleep("35 millis"), picture)),
 *   Stream.runCollect
 * )
 * ```
 *
 * `make` gives the queue itself, for producers and consumers that are no streams. Several consumers share the chunks. What
 * has been accepted is delivered, dropped, or still waits: `stats` adds up at any time.
 *
 * | setting | what it is | when left out |
 * |---|---|---|
 * | `capacity` | how many chunks may wait | 100 |
 * | `overflow` | what a full queue does: `"block"`, `"drop-oldest"` or `"drop-newest"` | `"block"` |
 * | `highWater` | which part of the capacity may wait before that is pressure | 0.8 |
 * | `lowWater` | which part of the capacity may still wait when the pressure is over | 0.2 |
 * | `onSignal` | is told of drops, waits and pressure, by a fiber of its own; see `StreamSignal` | nobody |
 */
import type * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import { dual } from "effect/Function"
import * as Queue from "effect/Queue"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as options from "../internal/options.ts"
import { Bounded, type Overflow, type Stats as BoundedStats } from "./internal/bounded.ts"
import { listening, type Tell } from "./internal/listener.ts"
import { Pressure } from "./internal/pressure.ts"
import type { StreamSignal } from "./StreamSignal.ts"

/**
 * What became of the chunks of a queue so far. `accepted` is the sum of `delivered`, `dropped` and `size`.
 */
export interface Stats extends BoundedStats {}

/**
 * How a queue is to be; the opening comment of the module has the table.
 */
export interface Settings<R = never> {
  /** How many chunks may wait. 100 when left out. */
  readonly capacity?: number | undefined
  /** What a full queue does with one more chunk. `"block"`, which makes its producer wait, when left out. */
  readonly overflow?: Overflow | undefined
  /** Which part of the capacity may wait before that is pressure, from 0 to 1. 0.8 when left out. */
  readonly highWater?: number | undefined
  /** Which part of the capacity may still wait when the pressure is over. 0.2 when left out. */
  readonly lowWater?: number | undefined
  /** Is told how the queue is doing, by a fiber of its own. */
  readonly onSignal?: ((signal: StreamSignal) => Effect.Effect<void, never, R>) | undefined
}

/**
 * A bounded queue of chunks. `E` is what it can fail with.
 */
export interface ChunkQueue<in out A, in out E = never> {
  /**
   * Hands a chunk in. With `"block"` it waits for room. It gives `false` once the queue has ended or failed, to those that
   * wait for room as well.
   */
  readonly offer: (chunk: A) => Effect.Effect<boolean>
  /** The next chunk, as soon as there is one. Fails with `Cause.Done` when the queue has ended and is empty. */
  readonly take: Effect.Effect<A, E | Cause.Done>
  /** The chunks, until the queue has ended. Several readers share them. */
  readonly stream: Stream.Stream<A, E>
  /** Accepts nothing more; what waits is still delivered. */
  readonly end: Effect.Effect<void>
  /** The same, and then readers fail with this error. */
  readonly fail: (error: E) => Effect.Effect<void>
  /** The same for a whole cause. */
  readonly failCause: (cause: Cause.Cause<E>) => Effect.Effect<void>
  /** What became of the chunks so far. */
  readonly stats: Effect.Effect<Stats>
}

interface Checked<R> {
  readonly capacity: number
  readonly overflow: Overflow
  readonly highWater: number
  readonly lowWater: number
  readonly onSignal: Settings<R>["onSignal"]
}

const keys = ["capacity", "overflow", "highWater", "lowWater", "onSignal"] as const satisfies ReadonlyArray<
  keyof Settings
>

const checked = <R>(given: Settings<R>): Checked<R> => {
  const settings = options.fields<Settings<R>>("settings", keys, given)
  const capacity = options.positiveCount("capacity", settings.capacity ?? 100)
  const highWater = options.ratio("highWater", settings.highWater ?? 0.8)
  const lowWater = options.ratio("lowWater", settings.lowWater ?? Math.min(0.2, highWater))
  return {
    capacity,
    overflow: options.oneOf("overflow", ["block", "drop-oldest", "drop-newest"], settings.overflow ?? "block"),
    highWater,
    lowWater: options.atMost("lowWater", lowWater, highWater),
    onSignal: settings.onSignal === undefined ? undefined : options.callable("onSignal", settings.onSignal)
  }
}

/** What a queue with these settings is told of itself. */
const hooksOf = (settings: Checked<unknown>, tell: Tell, statsOf: () => BoundedStats) => {
  const pressure = new Pressure(settings, tell)
  return {
    dropped: (_: unknown, reason: "oldest" | "newest") =>
      tell({ _tag: "ChunkDropped", reason, capacity: settings.capacity, dropped: statsOf().dropped }),
    blocked: (blockedMs: number) => tell({ _tag: "ProducerBlocked", blockedMs, size: statsOf().size }),
    resized: (size: number) => pressure.at(size)
  }
}

const closed = ({ accepted, blocked, blockedMs, delivered, dropped, highWater }: BoundedStats): StreamSignal => ({
  _tag: "QueueClosed",
  accepted,
  delivered,
  dropped,
  blocked,
  blockedMs,
  highWater
})

const makeChecked = <A, E, R>(settings: Checked<R>): Effect.Effect<ChunkQueue<A, E>, never, R | Scope.Scope> =>
  Effect.gen(function*() {
    const tell = yield* listening(settings.onSignal)
    const queue = yield* Queue.unbounded<A, E | Cause.Done>()
    const bounded: Bounded<A, E> = new Bounded(queue, settings, hooksOf(settings, tell, () => bounded.stats))
    yield* Effect.addFinalizer(() => Effect.andThen(bounded.end, Effect.sync(() => tell(closed(bounded.stats)))))
    return {
      offer: bounded.offer,
      take: bounded.take,
      stream: Stream.fromPull(Effect.succeed(Effect.map(bounded.take, (chunk) => [chunk] as const))),
      end: Effect.asVoid(bounded.end),
      fail: (error) => Effect.asVoid(bounded.fail(error)),
      failCause: (cause) => Effect.asVoid(bounded.failCause(cause)),
      stats: Effect.sync(() => bounded.stats)
    }
  })

/**
 * Makes a queue. Closing its scope ends it, so that nobody waits for room in it.
 */
export const make = <A, E = never, R = never>(
  settings: Settings<R> = {}
): Effect.Effect<ChunkQueue<A, E>, never, R | Scope.Scope> => makeChecked(checked(settings))

/**
 * Lets a stream run ahead of its reader, by the capacity of a queue. The stream runs in a fiber that ends with its reader;
 * what it fails with comes after the chunks before.
 */
export const buffer: {
  <R2 = never>(settings: Settings<R2>): <A, E, R>(self: Stream.Stream<A, E, R>) => Stream.Stream<A, E, R | R2>
  <A, E, R, R2 = never>(self: Stream.Stream<A, E, R>, settings: Settings<R2>): Stream.Stream<A, E, R | R2>
} = dual(
  2,
  <A, E, R, R2 = never>(self: Stream.Stream<A, E, R>, given: Settings<R2>): Stream.Stream<A, E, R | R2> => {
    const settings = checked(given)
    return Stream.unwrap(Effect.gen(function*() {
      const queue = yield* makeChecked<A, E, R2>(settings)
      const producing = Stream.runForEach(self, queue.offer)
      yield* Effect.forkScoped(Effect.matchCauseEffect(producing, {
        onFailure: queue.failCause,
        onSuccess: () => queue.end
      }))
      return queue.stream
    }))
  }
)
