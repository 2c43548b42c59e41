/**
 * Streams events to whoever subscribes while runs go on, for a page that shows them or a socket that sends them.
 *
 * A subscriber first gets the last events from before it came, as many as `replay` says, and then all that come. Each has a
 * buffer of its own: one that reads slowly loses its oldest events, which are counted, and costs neither a run nor another
 * subscriber anything. (The subscribers of a `PubSub` share one buffer, and events can only be published to one that
 * slides by an Effect, which a sink has no time for.)
 *
 * ```ts
 * import { Console, Effect, Stream } from "effect"
 * import { Event, Pipeline, Snapshot } from "stageflow"
 * import { LiveSink } from "stageflow/observability"
 *
 * const pipeline = Pipeline.make("hello").transform("greet", { run: Effect.succeed({ text: "Hello" }) })
 *
 * const program = Effect.gen(function*() {
 *   const live = yield* LiveSink.LiveEvents
 *   yield* Effect.forkScoped(Stream.runForEach(live.events, (event) => Console.log(Event.format(event))))
 *   return yield* Pipeline.run(pipeline, Snapshot.make())
 * }).pipe(Effect.scoped, Effect.provide(LiveSink.layer({ replay: 100 })))
 * ```
 */
import type * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Queue from "effect/Queue"
import * as Stream from "effect/Stream"
import type { Event } from "../Event.ts"
import { EventSink } from "../EventSink.ts"
import * as options from "../internal/options.ts"
import { Ring } from "../internal/ring.ts"

/**
 * The events of all runs below the Layer, as they come.
 */
export class LiveEvents extends Context.Service<LiveEvents, {
  /** Each that is run is a subscriber of its own. It ends when the Layer is released, with what it has not read yet. */
  readonly events: Stream.Stream<Event>
  /** How many events were lost to subscribers that read too slowly, of all of them together. */
  readonly missed: Effect.Effect<number>
}>()("stageflow/observability/LiveEvents") {}

/**
 * How much is kept for subscribers.
 */
export interface Settings {
  /** How many events may wait for one subscriber. 1,024 when left out. */
  readonly capacity?: number | undefined
  /** How many of the last events a new subscriber gets first, at most `capacity`. None when left out. */
  readonly replay?: number | undefined
}

interface Subscriber {
  readonly queue: Queue.Queue<Event, Cause.Done>
  missed: number
}

class Subscribers {
  private readonly capacity: number
  private readonly replay: number
  private readonly last: Ring<Event>
  private readonly all = new Set<Subscriber>()
  private isClosed = false
  missed = 0

  constructor(capacity: number, replay: number) {
    this.capacity = capacity
    this.replay = replay
    this.last = new Ring(Math.max(replay, 1))
  }

  readonly offer = (event: Event): void => {
    if (this.replay > 0) {
      if (this.last.size === this.replay) this.last.take()
      this.last.add(event)
    }
    for (const subscriber of this.all) this.hand(subscriber, event)
  }

  private hand(subscriber: Subscriber, event: Event): void {
    if (Queue.sizeUnsafe(subscriber.queue) === this.capacity) {
      subscriber.missed++
      this.missed++
    }
    Queue.offerUnsafe(subscriber.queue, event)
  }

  get subscribe() {
    return Effect.acquireRelease(
      Effect.gen({ self: this }, function*() {
        const subscriber: Subscriber = { queue: yield* Queue.sliding<Event, Cause.Done>(this.capacity), missed: 0 }
        for (const event of this.last.all) this.hand(subscriber, event)
        this.all.add(subscriber)
        if (this.isClosed) yield* Queue.end(subscriber.queue)
        return subscriber
      }),
      (subscriber) =>
        Effect.suspend(() => {
          this.all.delete(subscriber)
          return subscriber.missed === 0
            ? Effect.void
            : Effect.logWarning(`A subscriber of events was too slow and missed ${subscriber.missed} event(s)`)
        })
    )
  }

  get close(): Effect.Effect<void> {
    return Effect.suspend(() => {
      this.isClosed = true
      return Effect.forEach(this.all, ({ queue }) => Queue.end(queue), { discard: true })
    })
  }
}

/**
 * Makes a Layer of a sink and of the service that reads it.
 */
export const layer = (settings: Settings = {}): Layer.Layer<EventSink | LiveEvents> => {
  const given = options.fields<Settings>("settings", ["capacity", "replay"], settings)
  const capacity = options.positiveCount("capacity", given.capacity ?? 1024)
  const replay = options.atMost("replay", options.count("replay", given.replay ?? 0), capacity)
  return Layer.effectContext(Effect.gen(function*() {
    const subscribers = new Subscribers(capacity, replay)
    yield* Effect.addFinalizer(() => subscribers.close)
    return Context.make(EventSink, { offer: subscribers.offer }).pipe(Context.add(LiveEvents, {
      events: Stream.unwrap(Effect.map(subscribers.subscribe, ({ queue }) => Stream.fromQueue(queue))),
      missed: Effect.sync(() => subscribers.missed)
    }))
  }))
}
