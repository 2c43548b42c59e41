/**
 * Delivers events in batches from a bounded buffer, in a fiber of its own: to a function of yours, or to one of the sinks of
 * this package, which take the same settings.
 *
 * | setting | what it is | when left out |
 * |---|---|---|
 * | `capacity` | how many events may wait | 10,000 |
 * | `overflow` | what a full buffer drops: `"drop-newest"` or `"drop-oldest"` | `"drop-newest"` |
 * | `batchSize` | how many events are delivered at once, at most | 100 |
 * | `flushInterval` | how long an event may wait for its batch to become full | 1 second |
 * | `highWater` | which part of the capacity may wait before that is pressure | 0.8 |
 * | `retry` | when a failed batch is delivered again | 5 times, after 200 ms, 400 ms and so on |
 * | `timeout` | how long the delivery of a batch may take before it has failed | 30 seconds |
 * | `closeTimeout` | how long closing may take | 10 seconds |
 *
 * A run never waits for a sink, so a full buffer has to drop. A producer that is an Effect can wait: `put` takes an event as
 * soon as there is room for it. What is dropped is counted, and reported as a warning when there is room again.
 *
 * A batch that failed is kept, and what comes behind it waits. When its schedule is over it is counted as failed, reported
 * as a warning and given to `onFailed`. Delivered again, a batch may arrive twice: the receiver may have taken it and not
 * said so.
 *
 * ```ts
 * import { Effect, Layer } from "effect"
 * import { Event, EventSink } from "stageflow"
 * import { BufferedSink } from "stageflow/observability"
 *
 * class Warehouse {
 *   readonly insert = (rows: ReadonlyArray<Event.Event>): Effect.Effect<void> => Effect.log(`${rows.length} event(s)`)
 * }
 *
 * const warehouse = new Warehouse()
 *
 * const sink: Layer.Layer<EventSink.EventSink> = BufferedSink.layer(warehouse.insert, BufferedSink.analytics)
 * ```
 */
import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import { errorSummaryOf } from "../attempt/error-summary.ts"
import type { Event } from "../Event.ts"
import { EventSink } from "../EventSink.ts"
import type * as Sink from "../EventSink.ts"
import * as Delivery from "../internal/delivery.ts"
import * as options from "../internal/options.ts"

/**
 * How full a buffer is. It has `HighWater` once before it has `Overflow` or `Relieved`.
 *
 * - `HighWater`: so many wait that more may soon be dropped.
 * - `Overflow`: it is full, and the first event is dropped.
 * - `Relieved`: half of that has been delivered; `dropped` says how many were lost meanwhile.
 */
export type Pressure = Delivery.Pressure

/**
 * How a buffer is to be, of events or of something else; the opening comment of the module has the table.
 */
export interface Settings<A = Event> {
  /** How many events may wait. 10,000 when left out. */
  readonly capacity?: number | undefined
  /** What a full buffer drops when one more comes. `"drop-newest"` when left out. */
  readonly overflow?: "drop-newest" | "drop-oldest" | undefined
  /** How many events are delivered at once, at most. 100 when left out. */
  readonly batchSize?: number | undefined
  /** How long an event may wait for its batch to become full; with 0 none does. 1 second when left out. */
  readonly flushInterval?: Duration.Input | undefined
  /** Which part of the capacity may wait before that is pressure, from 0 to 1. 0.8 when left out. */
  readonly highWater?: number | undefined
  /**
   * Is told how full the buffer is, by a fiber of its own: it holds up nothing but the end of closing, and that for a second
   * at most.
   */
  readonly onPressure?: ((pressure: Pressure) => Effect.Effect<void>) | undefined
  /** When a batch that failed is delivered again. 5 times when left out, after 200 ms, then twice as long each time. */
  readonly retry?: Schedule.Schedule<unknown> | undefined
  /** Whether a batch that failed with this error may be delivered another time. All are when left out. */
  readonly retryWhile?: ((error: unknown) => boolean) | undefined
  /** How long the delivery of a batch may take before it has failed. 30 seconds when left out. */
  readonly timeout?: Duration.Input | undefined
  /** Gets the events of a batch that failed for good, to keep them elsewhere. Delivery waits for it. */
  readonly onFailed?: ((events: ReadonlyArray<A>, cause: Cause.Cause<unknown>) => Effect.Effect<void>) | undefined
  /** How long closing may take. 10 seconds when left out. */
  readonly closeTimeout?: Duration.Input | undefined
}

/**
 * Settings for events that are counted later and not looked at now: batches of 100, delivered after 10 seconds at the
 * latest, from a buffer of 10,000 that is under pressure from 8,000 on.
 */
export const analytics = {
  batchSize: 100,
  flushInterval: "10 seconds",
  capacity: 10_000,
  highWater: 0.8
} as const satisfies Settings<never>

/**
 * A sink with a buffer, and the account of what became of its events; or the same of something else.
 */
export interface Buffered<A = Event> {
  /** Takes an event at once, or drops one. */
  readonly offer: (event: A) => void
  readonly delivery: Effect.Effect<Sink.Delivery>
  /**
   * Takes an event as soon as there is room for it: for producers that are Effects, who can wait. It gives `false` for a
   * sink that is closed.
   */
  readonly put: (event: A) => Effect.Effect<boolean>
  /** Delivers what waits now without waiting for full batches, and ends when that is done or has failed. */
  readonly flush: Effect.Effect<void>
}

const defaultRetry = Schedule.exponential("200 millis").pipe(Schedule.upTo({ times: 5 }))

const keys = [
  "capacity",
  "overflow",
  "batchSize",
  "flushInterval",
  "highWater",
  "onPressure",
  "retry",
  "retryWhile",
  "timeout",
  "onFailed",
  "closeTimeout"
] as const satisfies ReadonlyArray<keyof Settings>

const checked = <A>(
  given: Settings<A>
): Delivery.DeliverySettings<A, unknown> & { readonly timeout: Duration.Duration } => {
  const settings = options.fields<Settings<A>>("settings", keys, given)
  const callable = <F extends Function>(name: string, given: F | undefined) =>
    given === undefined ? undefined : options.callable(name, given)
  const onFailed = callable("onFailed", settings.onFailed)
  const retryWhile = callable("retryWhile", settings.retryWhile)
  const capacity = options.positiveCount("capacity", settings.capacity ?? analytics.capacity)
  const flushInterval = options.duration("flushInterval", settings.flushInterval ?? "1 second")
  return {
    capacity,
    overflow: options.oneOf("overflow", ["drop-newest", "drop-oldest"], settings.overflow ?? "drop-newest"),
    batchSize: options.positiveCount("batchSize", settings.batchSize ?? analytics.batchSize),
    flushInterval: Duration.isZero(flushInterval) ? undefined : flushInterval,
    highWater: Math.max(1, Math.ceil(capacity * options.ratio("highWater", settings.highWater ?? analytics.highWater))),
    retry: options.schedule("retry", settings.retry ?? defaultRetry),
    timeout: options.positiveDuration("timeout", settings.timeout ?? "30 seconds"),
    closeTimeout: options.duration("closeTimeout", settings.closeTimeout ?? "10 seconds"),
    onPressure: callable("onPressure", settings.onPressure),
    isWorthRetrying: retryWhile === undefined ? undefined : (cause) => retryWhile(Cause.squash(cause)),
    onFailed: (events, cause) =>
      Effect.andThen(reportFailed(events, cause), Effect.suspend(() => onFailed?.(events, cause) ?? Effect.void)),
    onRelieved: (dropped) => Effect.logWarning(`Event sink: ${dropped} event(s) dropped while its buffer was full`)
  }
}

/**
 * Gives back settings that can be, and throws at once for others: for a sink of your own that takes them, and builds its
 * buffer later.
 */
export const check = <A = Event>(settings: Settings<A> = {}): Settings<A> => {
  checked(settings)
  return settings
}

const reportFailed = (events: ReadonlyArray<unknown>, cause: Cause.Cause<unknown>): Effect.Effect<void> => {
  const { message, tag } = errorSummaryOf(Cause.squash(cause))
  return Effect.logWarning(
    `Event sink: ${events.length} event(s) not delivered: ${tag}${message === "" ? "" : `: ${message}`}`
  )
}

const reportLosses = ({ dropped, failed }: Sink.Delivery): Effect.Effect<void> =>
  dropped > 0 || failed > 0
    ? Effect.logWarning(`Event sink closed: ${dropped} event(s) dropped, ${failed} not delivered`)
    : Effect.void

/**
 * Makes such a buffer for something else than events: what is made of them, on its way to where it is kept.
 *
 * Closing the scope delivers everything that was accepted before, for at most `closeTimeout`. What was dropped or not
 * delivered by then is reported as a warning.
 */
export const bufferOf = <A, E, R>(
  deliver: (items: ReadonlyArray<A>) => Effect.Effect<void, E, R>,
  settings: Settings<A> = {}
): Effect.Effect<Buffered<A>, never, R | Scope.Scope> => {
  const given = checked(settings)
  return Effect.map(
    Delivery.make<A, unknown, R>(
      (items) => Effect.timeout(Effect.suspend(() => deliver(items)), given.timeout),
      given,
      reportLosses
    ),
    (delivery): Buffered<A> => ({
      offer: delivery.offer,
      put: (item) => delivery.put(item),
      flush: delivery.flush,
      delivery: Effect.sync(() => delivery.account)
    })
  )
}

/**
 * Makes a sink that delivers events in batches, in the order in which they came. Batches are delivered one after the other.
 *
 * Closing the scope delivers everything that was accepted before, for at most `closeTimeout`. What was dropped or not
 * delivered by then is reported as a warning.
 */
export const make = <E, R>(
  deliver: (events: ReadonlyArray<Event>) => Effect.Effect<void, E, R>,
  settings: Settings = {}
): Effect.Effect<Buffered, never, R | Scope.Scope> => bufferOf(deliver, settings)

/**
 * Makes a Layer of such a sink; see `make`.
 */
export const layer = <E, R>(
  deliver: (events: ReadonlyArray<Event>) => Effect.Effect<void, E, R>,
  settings: Settings = {}
): Layer.Layer<EventSink, never, Exclude<R, Scope.Scope>> => Layer.effect(EventSink, make(deliver, settings))
