/**
 * Keeps the events of one run for as long as somebody holds its handle. Whoever starts to read gets them from the first.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import type { Event } from "../Event.ts"

export class EventLog {
  private readonly events: Array<Event> = []
  private readonly waiting = new Set<() => void>()
  private ended = false

  readonly append = (event: Event): void => {
    // A run that was left behind inside of this one may go on when this one is over.
    if (this.ended) return
    this.events.push(event)
    this.wake()
  }

  end(): void {
    this.ended = true
    this.wake()
  }

  private wake(): void {
    const waiting = Array.from(this.waiting)
    this.waiting.clear()
    for (const resume of waiting) resume()
  }

  /** Ends when there is more to read than `read` events, or nothing more to come. */
  private changed(read: number): Effect.Effect<void> {
    return Effect.callback<void>((done) => {
      // Something may have happened since the reader looked: others may run between two operations of a fiber.
      if (read < this.events.length || this.ended) return done(Effect.void)
      const resume = () => done(Effect.void)
      this.waiting.add(resume)
      return Effect.sync(() => {
        this.waiting.delete(resume)
      })
    })
  }

  private after(index: number): Effect.Effect<readonly [ReadonlyArray<Event>, Option.Option<number>]> {
    return Effect.suspend(() => {
      if (index < this.events.length) {
        return Effect.succeed([this.events.slice(index), Option.some(this.events.length)] as const)
      }
      if (this.ended) return Effect.succeed([[], Option.none()] as const)
      return Effect.flatMap(this.changed(index), () => this.after(index))
    })
  }

  get stream(): Stream.Stream<Event> {
    return Stream.paginate(0, (index) => this.after(index))
  }
}
