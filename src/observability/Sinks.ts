/**
 * Combines sinks, and decides what reaches them. Every sink is a Layer of `EventSink`, and so is what is made of it here.
 *
 * ```ts
 * import * as NodeFileSystem from "@effect/platform-node-shared/NodeFileSystem"
 * import { Layer } from "effect"
 * import { Event, EventSink } from "stageflow"
 * import { FileSink, LoggerSink, Sinks } from "stageflow/observability"
 *
 * const sink = Sinks.combine(
 *   EventSink.layerConsole,
 *   LoggerSink.layer().pipe(Sinks.filter(Event.isRunEnd)),
 *   FileSink.layer({ directory: "logs" }).pipe(Sinks.redact(["email", "password"]))
 * ).pipe(Layer.provide(NodeFileSystem.layer))
 * ```
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import { dual } from "effect/Function"
import * as Layer from "effect/Layer"
import * as Result from "effect/Result"
import type { Event } from "../Event.ts"
import { EventSink } from "../EventSink.ts"
import * as options from "../internal/options.ts"
import * as BufferedSink from "./BufferedSink.ts"
import { oneByOne } from "./internal/one-by-one.ts"
import { redacted } from "./internal/redacted.ts"
import type { Policy } from "./internal/redacted.ts"

/** A Layer that has a sink, and may have more. */
type AnySink = Layer.Layer<EventSink, unknown, unknown>

type Offer = EventSink["Service"]["offer"]

/** The same Layer with another sink in it. */
const mapOffer = <A, E, R>(
  self: Layer.Layer<A | EventSink, E, R>,
  change: (offer: Offer) => Offer
): Layer.Layer<A | EventSink, E, R> =>
  Layer.flatMap(self, (context) => {
    const sink = Context.get(context as Context.Context<EventSink>, EventSink)
    return Layer.succeedContext(Context.add(context, EventSink, { offer: change((event) => sink.offer(event)) }))
  })

/**
 * Offers every event to each of these sinks, in their order. What one of them throws does not concern the others, and none
 * can change the event for the next.
 */
export const combine = <const Sinks extends ReadonlyArray<AnySink>>(
  ...sinks: Sinks
): Layer.Layer<EventSink | Layer.Success<Sinks[number]>, Layer.Error<Sinks[number]>, Layer.Services<Sinks[number]>> =>
  Layer.effectContext(Effect.gen(function*() {
    const contexts = yield* Effect.forEach(sinks, (sink) => Layer.build(sink))
    const all = contexts.map((context) => Context.get(context, EventSink))
    const offer: Offer = (event) => {
      Object.freeze(event)
      for (const sink of all) Result.try(() => sink.offer(event))
    }
    return Context.add(Context.mergeAll(...contexts), EventSink, { offer })
    // What the Layers in the list say they give, fail with and need.
  })) as unknown as Layer.Layer<
    EventSink | Layer.Success<Sinks[number]>,
    Layer.Error<Sinks[number]>,
    Layer.Services<Sinks[number]>
  >

/**
 * Lets only some events through to a sink. An event whose predicate throws does not get through.
 */
export const filter: {
  (predicate: (event: Event) => boolean): <A, E, R>(
    self: Layer.Layer<A | EventSink, E, R>
  ) => Layer.Layer<A | EventSink, E, R>
  <A, E, R>(
    self: Layer.Layer<A | EventSink, E, R>,
    predicate: (event: Event) => boolean
  ): Layer.Layer<A | EventSink, E, R>
} = dual(
  2,
  <A, E, R>(
    self: Layer.Layer<A | EventSink, E, R>,
    predicate: (event: Event) => boolean
  ): Layer.Layer<A | EventSink, E, R> => {
    options.callable("predicate", predicate)
    return mapOffer(self, (offer) => (event) => {
      if (predicate(event)) offer(event)
    })
  }
)

/**
 * Decides what of the content of an event may leave: `true` masks the field. It is asked for each field that an event has of
 * its own (`reason`, `error.message`, `data`, `payload`) and for each within those, from the outside in.
 */
export type RedactionPolicy = Policy

/**
 * Masks fields of events before a sink gets them, as `<redacted>`: those with one of these names, at any depth, or those that
 * a policy says.
 *
 * Who, where and when stays: ids, names, numbers and times. `Redacted` values are masked whatever the policy says. What the
 * sink gets is JSON data: a date is text there, an instance of a class an object. Where a policy throws, or something cannot
 * be read, the whole content is masked.
 */
export const redact: {
  (policy: ReadonlyArray<string> | RedactionPolicy): <A, E, R>(
    self: Layer.Layer<A | EventSink, E, R>
  ) => Layer.Layer<A | EventSink, E, R>
  <A, E, R>(
    self: Layer.Layer<A | EventSink, E, R>,
    policy: ReadonlyArray<string> | RedactionPolicy
  ): Layer.Layer<A | EventSink, E, R>
} = dual(
  2,
  <A, E, R>(
    self: Layer.Layer<A | EventSink, E, R>,
    policy: ReadonlyArray<string> | RedactionPolicy
  ): Layer.Layer<A | EventSink, E, R> => {
    const masks = typeof policy === "function" ? policy : namedIn(options.names("policy", policy))
    return mapOffer(self, (offer) => (event) => offer(redacted(event, masks)))
  }
)

const namedIn = (names: ReadonlyArray<string>): RedactionPolicy => {
  const masked: ReadonlySet<unknown> = new Set(names)
  return ({ path }) => masked.has(path.at(-1))
}

/**
 * Puts a buffer before a sink, whose `offer` then runs in the buffer's fiber and not in that of a run: for a sink of your own
 * that takes its time, and to have the sinks of others told in batches. What `offer` throws is a delivery that failed.
 */
export const buffer: {
  (settings?: BufferedSink.Settings): <A, E, R>(
    self: Layer.Layer<A | EventSink, E, R>
  ) => Layer.Layer<A | EventSink, E, R>
  <A, E, R>(
    self: Layer.Layer<A | EventSink, E, R>,
    settings?: BufferedSink.Settings
  ): Layer.Layer<A | EventSink, E, R>
} = dual(
  (parameters) => Layer.isLayer(parameters[0]),
  <A, E, R>(
    self: Layer.Layer<A | EventSink, E, R>,
    settings?: BufferedSink.Settings
  ): Layer.Layer<A | EventSink, E, R> => {
    const given = BufferedSink.check(settings)
    return Layer.flatMap(self, (context) => {
      const sink = Context.get(context as Context.Context<EventSink>, EventSink)
      const made = BufferedSink.make(oneByOne((event) => Effect.sync(() => sink.offer(event))), given)
      return Layer.effectContext(Effect.map(made, (buffered) => Context.add(context, EventSink, buffered)))
    })
  }
)
