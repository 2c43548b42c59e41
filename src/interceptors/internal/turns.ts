/**
 * Lets one at a time through under each key, in the order in which they asked. Whoever is interrupted while waiting
 * leaves the queue.
 *
 * `Semaphore` would do, but its cost grows with the square of those who wait.
 */
import * as Effect from "effect/Effect"

/** A place in a queue. */
interface Ticket {
  /** Wakes the one who waits. */
  resume: () => void
  hasTurn: boolean
}

export class Turns {
  private readonly queues = new Map<string, Set<Ticket>>()
  /** Keys whose turn is over and is still to be handed over. */
  private readonly left: Array<string> = []
  private isHandingOver = false

  /** Runs the Effect when it is its turn. */
  take<A, E, R>(key: string, effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> {
    return Effect.uninterruptibleMask((restore) => {
      const ticket: Ticket = { resume: () => undefined, hasTurn: false }
      return Effect.flatMap(Effect.exit(restore(this.enter(key, ticket))), (entered) => {
        if (entered._tag === "Success") return Effect.ensuring(restore(effect), this.leave(key))
        // Interrupted in the moment in which its turn came: it passes it on.
        const interrupted = Effect.failCause(entered.cause)
        return ticket.hasTurn ? Effect.andThen(this.leave(key), interrupted) : interrupted
      })
    })
  }

  private enter(key: string, ticket: Ticket): Effect.Effect<void> {
    return Effect.suspend(() => {
      const queue = this.queues.get(key)
      if (queue === undefined) {
        this.queues.set(key, new Set())
        ticket.hasTurn = true
        return Effect.void
      }
      return Effect.callback<void>((resume) => {
        ticket.resume = () => resume(Effect.void)
        queue.add(ticket)
        return Effect.sync(() => {
          queue.delete(ticket)
        })
      })
    })
  }

  private leave(key: string): Effect.Effect<void> {
    return Effect.sync(() => {
      this.left.push(key)
      // Whoever gets a turn goes on at once and may be here again before it is done: the loop that is going on sees to that.
      if (this.isHandingOver) return
      this.isHandingOver = true
      for (let next = this.left.pop(); next !== undefined; next = this.left.pop()) this.handOver(next)
      this.isHandingOver = false
    })
  }

  private handOver(key: string): void {
    const queue = this.queues.get(key)
    const [next] = queue ?? []
    if (queue === undefined || next === undefined) {
      this.queues.delete(key)
    } else {
      queue.delete(next)
      next.hasTurn = true
      next.resume()
    }
  }
}
