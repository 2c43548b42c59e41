/**
 * Hands the events of runs to a sink.
 */
import { constVoid } from "effect/Function"
import * as Predicate from "effect/Predicate"
import type { EventSink } from "../EventSink.ts"
import type { Listener } from "./announcer.ts"
import type { EventLog } from "./event-log.ts"

/** Offers events to a sink. */
export const offerTo = (sink: EventSink["Service"]): Listener => (event) => {
  const given: unknown = sink.offer(event)
  // An async function passes for `offer`: what it rejects with is ignored like what it throws.
  if (Predicate.isPromiseLike(given)) given.then(undefined, constVoid)
}

/** A sink for a run and all that its stages start: what goes to it goes to the log, and to the sink that was there. */
export const sinkInto = (log: EventLog, sink: EventSink["Service"] | undefined): EventSink["Service"] => {
  const offer = sink === undefined ? undefined : offerTo(sink)
  return {
    offer: (event) => {
      log.append(Object.freeze(event)) // two hear it, and an observer changes nothing for another
      offer?.(event)
    }
  }
}
