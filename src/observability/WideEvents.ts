/**
 * Makes one flat row of each stage and of each run, when it has ended, with everything that one may ask of it later: whose it
 * was, how it ended, how long it ran and waited, how often it was tried, what failed.
 *
 * The rows are made of events while they come, so that nothing has to be joined afterwards. What is held meanwhile is a few
 * numbers for each run that goes on, of at most `maxRuns` runs; the oldest beyond that is told as `lost`, as is one whose
 * end never comes. What ends later all the same is told once more, with its true status.
 *
 * Rows go to a function of yours in batches, through the buffer of `BufferedSink`: a warehouse, a file, a logger. Put
 * `Sinks.redact` around the Layer to mask messages and reasons, which may hold what a user wrote.
 *
 * ```ts
 * import { Console, Effect, Layer } from "effect"
 * import { EventSink } from "stageflow"
 * import { WideEvents } from "stageflow/observability"
 *
 * const rows: Layer.Layer<EventSink.EventSink> = WideEvents.layer((events) =>
 *   Effect.forEach(events, (event) => Console.log(JSON.stringify(event)), { discard: true })
 * )
 * ```
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import type { Event } from "../Event.ts"
import { EventSink } from "../EventSink.ts"
import * as options from "../internal/options.ts"
import * as BufferedSink from "./BufferedSink.ts"
import { Folding } from "./internal/folding.ts"
import type { WideEvent } from "./internal/wide-event.ts"

export { WideEvent, WideRun, WideStage } from "./internal/wide-event.ts"

/**
 * How many runs are held, and how their rows are batched.
 */
export interface Settings {
  /** How many runs may go on at once before the oldest is told as lost. 10,000 when left out. */
  readonly maxRuns?: number | undefined
  /** How rows are batched and what happens when they are too many; see `BufferedSink`. */
  readonly buffer?: BufferedSink.Settings<WideEvent> | undefined
}

/**
 * Makes a sink that hands rows to a function, in batches. Closing the scope tells what has not ended as lost, and delivers
 * all rows.
 */
export const make = <E, R>(
  deliver: (events: ReadonlyArray<WideEvent>) => Effect.Effect<void, E, R>,
  settings: Settings = {}
): Effect.Effect<BufferedSink.Buffered<Event>, never, R | Scope.Scope> => {
  const given = options.fields<Settings>("settings", ["maxRuns", "buffer"], settings)
  const maxRuns = options.positiveCount("maxRuns", given.maxRuns ?? 10_000)
  const buffer = BufferedSink.check(given.buffer)
  return Effect.gen(function*() {
    const rows = yield* BufferedSink.bufferOf(deliver, buffer)
    const folding = new Folding(maxRuns)
    const offerAll = (folded: ReadonlyArray<WideEvent>): void => {
      for (const row of folded) rows.offer(row)
    }
    yield* Effect.addFinalizer(() => Effect.sync(() => offerAll(folding.lost())))
    return {
      offer: (event) => offerAll(folding.take(event)),
      delivery: rows.delivery,
      put: (event) =>
        Effect.suspend(() =>
          Effect.map(Effect.forEach(folding.take(event), rows.put), (taken) => taken.every(Boolean))
        ),
      flush: rows.flush
    }
  })
}

/**
 * Makes a Layer of such a sink; see `make`.
 */
export const layer = <E, R>(
  deliver: (events: ReadonlyArray<WideEvent>) => Effect.Effect<void, E, R>,
  settings: Settings = {}
): Layer.Layer<EventSink, never, Exclude<R, Scope.Scope>> => Layer.effect(EventSink, make(deliver, settings))
