/**
 * Receives the events of runs: keeps them, prints them, or hands them to a function of yours.
 *
 * The engine offers each event to the sink in the environment, if there is one. Offering never waits and never fails:
 * a sink cannot change what a run does, and it can slow it by no more than the synchronous work of `offer`. What takes
 * time belongs behind `make`, which delivers from a bounded queue in a fiber of its own.
 *
 * ```ts
 * import { Effect } from "effect"
 * import { EventSink, Pipeline, Snapshot } from "stageflow"
 *
 * const pipeline = Pipeline.make("hello").transform("greet", { run: Effect.succeed({ text: "Hello" }) })
 *
 * const program = Effect.gen(function*() {
 *   yield* Pipeline.run(pipeline, Snapshot.make())
 *   const memory = yield* EventSink.Memory
 *   return yield* memory.events
 * }).pipe(Effect.provide(EventSink.layerMemory))
 * ```
 */
import * as Console from "effect/Console"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import { type Event, format, isRunEnd, summary } from "./Event.ts"
import * as DeliveryBuffer from "./internal/delivery.ts"
import { oneLine } from "./internal/one-line.ts"
import * as options from "./internal/options.ts"

/**
 * The service that events go to.
 */
export class EventSink extends Context.Service<EventSink, {
  /** Takes an event, at once. What it throws is ignored. */
  readonly offer: (event: Event) => void
}>()("stageflow/EventSink") {}

/**
 * A sink that keeps every event, for tests and small programs.
 */
export class Memory extends Context.Service<Memory, {
  /** The events so far, in the order in which they were offered. */
  readonly events: Effect.Effect<ReadonlyArray<Event>>
  /** Forgets them. */
  readonly clear: Effect.Effect<void>
}>()("stageflow/EventSink/Memory") {}

/**
 * What became of the events that a buffered sink was offered.
 */
export interface Delivery {
  /** Taken into the buffer, and not pushed out of it by a later one. */
  readonly accepted: number
  /** Handed to `deliver`, which succeeded. */
  readonly delivered: number
  /** Handed to `deliver`, which failed or died; and what was left when closing took too long. */
  readonly failed: number
  /** Not taken because the buffer was full or the sink closed, or pushed out of a full buffer by a later one. */
  readonly dropped: number
}

/**
 * A sink with a buffer, and the account of what became of its events.
 */
export interface Buffered {
  readonly offer: (event: Event) => void
  readonly delivery: Effect.Effect<Delivery>
}

interface BufferSettings {
  /** How many events may wait. 1,024 when left out. */
  readonly capacity?: number | undefined
  /** How long closing may take. 10 seconds when left out. */
  readonly closeTimeout?: Duration.Input | undefined
}

/**
 * Makes a sink that delivers events one after the other from a buffer, in a fiber of its own.
 *
 * A full buffer drops the newest event and counts it. Closing the scope delivers everything that was accepted before,
 * for at most `closeTimeout`: a `deliver` that hangs cannot keep the scope open for ever. What was dropped or not
 * delivered by then is reported as a warning.
 */
export const make = <E, R>(
  deliver: (event: Event) => Effect.Effect<void, E, R>,
  settings?: BufferSettings
): Effect.Effect<Buffered, never, R | Scope.Scope> => {
  const capacity = options.positiveCount("capacity", settings?.capacity ?? defaultCapacity)
  const closeTimeout = options.duration("closeTimeout", settings?.closeTimeout ?? defaultCloseTimeout)
  return buffered(deliver, capacity, closeTimeout)
}

const defaultCapacity = 1024
const defaultCloseTimeout = Duration.seconds(10)

/** Items are delivered one by one: events, or events with something that has to be known when they are offered. */
const buffered = Effect.fnUntraced(function*<A, E, R>(
  deliver: (item: A) => Effect.Effect<void, E, R>,
  capacity: number,
  closeTimeout: Duration.Duration
) {
  const delivery = yield* DeliveryBuffer.make<A, E, R>(
    // A batch of one.
    ([item]) => deliver(item as A),
    { capacity, overflow: "drop-newest", batchSize: 1, flushInterval: undefined, closeTimeout, highWater: capacity },
    reportLosses
  )
  return { offer: delivery.offer, delivery: Effect.sync(() => delivery.account) }
})

const reportLosses = ({ dropped, failed }: Delivery): Effect.Effect<void> =>
  dropped > 0 || failed > 0
    ? Effect.logWarning(`Event sink closed: ${dropped} event(s) dropped, ${failed} not delivered`)
    : Effect.void

/**
 * Makes a Layer of a buffered sink; see `make`.
 */
export const layer = <E, R>(
  deliver: (event: Event) => Effect.Effect<void, E, R>,
  settings?: BufferSettings
): Layer.Layer<EventSink, never, Exclude<R, Scope.Scope>> => Layer.effect(EventSink, make(deliver, settings))

/**
 * Keeps events in memory; `yield* EventSink.Memory` reads them.
 */
export const layerMemory: Layer.Layer<EventSink | Memory> = Layer.effectContext(
  Effect.sync(() => {
    let events: Array<Event> = []
    return Context.make(EventSink, {
      offer: (event) => {
        events.push(event)
      }
    }).pipe(Context.add(Memory, {
      events: Effect.sync(() => events.slice()),
      clear: Effect.sync(() => {
        events = []
      })
    }))
  })
)

/**
 * Prints a line for each event to the `Console` in the environment, through a buffer: which run it is, and how long after
 * the start of that run, when it got that.
 */
export const layerConsole: Layer.Layer<EventSink> = Layer.effect(
  EventSink,
  Effect.gen(function*() {
    const { offer } = yield* buffered(
      ({ event, startedAt }: { readonly event: Event; readonly startedAt: number | undefined }) =>
        // Of a run whose start it did not get, nobody knows how long it has gone on.
        Console.log(
          startedAt === undefined
            ? `${oneLine(event.runId)} #${event.sequence} ${oneLine(summary(event))}`
            : `${oneLine(event.runId)} ${format(event, startedAt)}`
        ),
      defaultCapacity,
      defaultCloseTimeout
    )
    // Kept as events are offered: one that is dropped later still tells when its run started, and that it ended.
    const starts = new Map<string, number>()
    return {
      offer: (event) => {
        if (event._tag === "RunStarted") starts.set(event.runId, event.at)
        offer({ event, startedAt: starts.get(event.runId) })
        if (isRunEnd(event)) starts.delete(event.runId)
      }
    }
  })
)
