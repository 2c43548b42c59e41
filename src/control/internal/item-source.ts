/**
 * Gives items one by one to whoever is free to take one: those of an Iterable when they are asked for, those of a Stream
 * chunk by chunk.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import type * as Pull from "effect/Pull"
import * as Scope from "effect/Scope"
import * as Semaphore from "effect/Semaphore"
import * as Stream from "effect/Stream"
import * as options from "../../internal/options.ts"

/** Where items come from. */
export interface ItemSource {
  /** How many there are, when that is known before they are taken. */
  readonly size: number | undefined
  /** Whether there are no more. */
  readonly isEnded: boolean
  /** Whether there is an item to take right now. An Iterable is asked for its next one here, and it can throw. */
  readonly hasNext: () => boolean
  /** The item that is there. */
  readonly take: () => unknown
  /** Waits until there may be an item to take, or until there are no more. */
  readonly more: Effect.Effect<void, unknown, unknown>
}

/** The size of what knows it by itself; what else has a `size` may say what it likes. */
const sizeOf = (items: Iterable<unknown>): number | undefined => {
  if (Array.isArray(items)) return items.length
  return items instanceof Set || items instanceof Map ? items.size : undefined
}

const isResult = (given: unknown): given is IteratorResult<unknown> =>
  (typeof given === "object" && given !== null) || typeof given === "function"

class IterableSource implements ItemSource {
  readonly size: number | undefined
  readonly more = Effect.void
  isEnded = false
  private readonly iterator: Iterator<unknown>
  private isAhead = false
  private item: unknown = undefined

  constructor(items: Iterable<unknown>) {
    this.size = sizeOf(items)
    this.iterator = items[Symbol.iterator]()
  }

  hasNext(): boolean {
    if (this.isAhead || this.isEnded) return this.isAhead
    this.isEnded = true // unless it gives an item: an iterator that throws has ended
    const next: unknown = this.iterator.next()
    // As where the language asks an iterator: one that says nothing would never end.
    if (!isResult(next)) throw new TypeError(`Iterator result ${String(next)} is not an object`)
    if (next.done) return false
    this.isEnded = false
    this.item = next.value
    return this.isAhead = true
  }

  take(): unknown {
    const { item } = this
    this.isAhead = false
    this.item = undefined
    return item
  }

  /** Tells the iterator that nobody will ask it any more, unless it has ended by itself. */
  close(): void {
    if (this.isEnded) return
    this.isEnded = true
    this.iterator.return?.()
  }
}

const isEnd = (reason: Cause.Reason<unknown>): boolean => Cause.isFailReason(reason) && Cause.isDone(reason.error)

class StreamSource implements ItemSource {
  readonly size = undefined
  private hasStopped = false
  private chunk: ReadonlyArray<unknown> = []
  private position = 0
  private readonly pull: Pull.Pull<ReadonlyArray<unknown>, unknown, unknown, unknown>
  /** One at a time asks for the next chunk. */
  private readonly asking = Semaphore.makeUnsafe(1)

  constructor(pull: Pull.Pull<ReadonlyArray<unknown>, unknown, unknown, unknown>) {
    this.pull = pull
  }

  get isEnded(): boolean {
    return this.hasStopped && !this.hasNext()
  }

  hasNext(): boolean {
    return this.position < this.chunk.length
  }

  take(): unknown {
    const item = this.chunk[this.position++]
    if (!this.hasNext()) this.chunk = []
    if (this.chunk.length === 0) this.position = 0
    return item
  }

  private readonly ask: Effect.Effect<void, unknown, unknown> = Effect.suspend(() =>
    this.hasNext() || this.hasStopped ? Effect.void : Effect.matchCauseEffect(this.pull, {
      onSuccess: (chunk) => {
        this.chunk = chunk
        return Effect.void
      },
      onFailure: (cause) => {
        this.hasStopped = true
        // What gives the items may die while it is closed, with its last item given.
        const reasons = cause.reasons.filter((reason) => !isEnd(reason))
        return reasons.length === 0 ? Effect.void : Effect.failCause(Cause.fromReasons(reasons))
      }
    })
  )

  get more(): Effect.Effect<void, unknown, unknown> {
    return this.asking.withPermit(this.ask)
  }
}

const isIterable = (given: unknown): given is Iterable<unknown> =>
  typeof given === "object" && given !== null && !Effect.isEffect(given)
  && typeof (given as { readonly [Symbol.iterator]?: unknown })[Symbol.iterator] === "function"

const isItems = (given: unknown): given is Iterable<unknown> | Stream.Stream<unknown, unknown, unknown> =>
  Stream.isStream(given) || isIterable(given)

/** Opens what gives items; it is closed with the scope, however far it was read. */
export const openItems = (items: () => unknown, scope: Scope.Scope): Effect.Effect<ItemSource, never, unknown> =>
  Effect.suspend((): Effect.Effect<ItemSource, never, unknown> => {
    const given = options.ofKind("items", "an Iterable that is no text, or a Stream", isItems, items())
    if (Stream.isStream(given)) {
      return Effect.map(Scope.provide(Stream.toPull(given), scope), (pull) => new StreamSource(pull))
    }
    const source = new IterableSource(given)
    return Effect.as(Scope.addFinalizer(scope, Effect.sync(() => source.close())), source)
  })
