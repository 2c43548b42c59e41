/**
 * Delivers the events of a batch one after the other. A batch that comes again goes on where it failed, so that nobody gets
 * what came before a second time.
 */
import * as Effect from "effect/Effect"
import type { Event } from "../../Event.ts"

export const oneByOne = <E, R>(
  deliver: (event: Event) => Effect.Effect<void, E, R>
): (events: ReadonlyArray<Event>) => Effect.Effect<void, E, R> => {
  const progress = new WeakMap<ReadonlyArray<Event>, { next: number }>()
  return (events) =>
    Effect.suspend(() => {
      const at = progress.get(events) ?? { next: 0 }
      progress.set(events, at)
      return Effect.whileLoop({
        while: () => at.next < events.length,
        body: () => deliver(events[at.next] as Event),
        step: () => {
          at.next++
        }
      })
    })
}
