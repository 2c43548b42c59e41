/**
 * Defines what a for-each gives and fails with: its items, each with what became of it.
 */
import type * as Cause from "effect/Cause"
import * as Schema from "effect/Schema"
import * as SchemaTransformation from "effect/SchemaTransformation"
import { messageOf } from "../../attempt/error-summary.ts"
import { holding } from "../../attempt/held-codec.ts"
import { immutable, immutableList } from "../../internal/immutable.ts"
import { isRefusal, noteRejection } from "../../internal/refusal.ts"
import { StageFault } from "../../StageError.ts"

/**
 * An item that has ended: which one it is, how often it was tried and how long that took.
 */
export interface Item {
  /** Its place among the items, from 0. */
  readonly index: number
  /** What `key` calls it; its index when there is no `key`. */
  readonly key: string
  /** How often it was tried, the first included. */
  readonly attempts: number
  readonly durationMs: number
}

/**
 * An item that gave something.
 */
export interface OkItem<out A> extends Item {
  readonly value: A
}

/**
 * An item that failed: with a typed error, or with a `StageFault` that says what else went wrong.
 */
export interface FailedItem<out E> extends Item {
  readonly error: E | StageFault
}

/**
 * An item with nothing to do.
 */
export interface SkippedItem extends Item {
  readonly reason: string
}

/**
 * What a for-each gives in which no item failed.
 */
export interface Results<out A> {
  /** What the items gave, in their order; those that were skipped are left out. */
  readonly results: ReadonlyArray<A>
  readonly skipped: ReadonlyArray<SkippedItem>
}

/**
 * What a for-each gives in which items may fail. Each list is in the order of the items.
 */
export interface Outcomes<out A, out E> {
  readonly ok: ReadonlyArray<OkItem<A>>
  readonly failed: ReadonlyArray<FailedItem<E>>
  readonly skipped: ReadonlyArray<SkippedItem>
}

/** The fields that say which item. */
const which = {
  index: Schema.Int,
  key: Schema.String,
  attempts: Schema.Int,
  durationMs: Schema.Number
}

const skippedSchema = Schema.Array(Schema.Struct({ ...which, reason: Schema.String }))

/** The schema of what a for-each gives in which no item failed. */
export const resultsSchema = (value: Schema.Top) =>
  Schema.Struct({ results: Schema.Array(value), skipped: skippedSchema })

/** An error of an item, or what else went wrong with it. */
const errorOf = (error: Schema.Top | undefined): Schema.Top =>
  error === undefined ? Schema.Unknown : Schema.Union([error, StageFault])

const failedSchema = (error: Schema.Top | undefined) => Schema.Struct({ ...which, error: errorOf(error) })

/** The schema of what a for-each gives in which items may fail. */
export const outcomesSchema = (value: Schema.Top, error: Schema.Top | undefined) =>
  Schema.Struct({
    ok: Schema.Array(Schema.Struct({ ...which, value })),
    failed: Schema.Array(failedSchema(error)),
    skipped: skippedSchema
  })

/** What a message calls an item. */
const called = ({ index, key }: Item): string => key === String(index) ? `Item ${index}` : `Item ${index} ("${key}")`

/** The same error; when it tells of one that says no, so does it. */
const refusingAs = <F extends object>(
  failed: F,
  errors: ReadonlyArray<unknown>,
  cause?: Cause.Cause<unknown>
): F => {
  if (errors.some((error) => isRefusal(error, cause))) noteRejection(failed)
  return failed
}

/**
 * An item of a for-each failed, and with it the stage; `error` is what the item failed with.
 */
export class ItemFailed<out E = unknown> extends Schema.TaggedError<ItemFailed<unknown>>()("ItemFailed", {
  stage: Schema.String,
  ...which,
  error: Schema.Unknown
}) {
  readonly code = "ITEM_FAILED"
  /** What the item failed with. */
  declare readonly error: E

  override get message(): string {
    return `${called(this)} of stage "${this.stage}" failed: ${messageOf(this.error)}`
  }

  /** What a log shows of it: which item, and what its error says of itself. */
  override toJSON() {
    const { _tag, attempts, code, durationMs, index, key, message, stage } = this
    return { _tag, code, message, stage, index, key, attempts, durationMs }
  }

  [Symbol.for("nodejs.util.inspect.custom")]() {
    return this.toJSON()
  }
}

/** The failure of one item as that of its stage. */
export const itemFailed = (stage: string, item: Item, error: unknown, cause?: Cause.Cause<unknown>): ItemFailed =>
  refusingAs(new ItemFailed({ stage, ...item, error }), [error], cause)

/**
 * More items of a for-each failed than it tolerates. `failed` are those that had failed when it was stopped, in their order.
 */
export class TooManyFailed<out E = unknown> extends Schema.TaggedError<TooManyFailed<unknown>>()("TooManyFailed", {
  stage: Schema.String,
  tolerated: Schema.Int,
  failed: Schema.Array(Schema.Struct({ ...which, error: Schema.Unknown }))
}) {
  readonly code = "TOO_MANY_FAILED"
  /** The items that failed. */
  declare readonly failed: ReadonlyArray<FailedItem<E>>

  override get message(): string {
    const [first] = this.failed
    const example = first === undefined ? "" : `. ${called(first)}: ${messageOf(first.error)}`
    return `${this.failed.length} items of stage "${this.stage}" failed, and ${this.tolerated} may${example}`
  }

  /** What a log shows of it: which items, and what their errors say of themselves. */
  override toJSON() {
    const { _tag, code, message, stage, tolerated } = this
    const failed = this.failed.map(({ error, ...item }) => ({ ...item, message: messageOf(error) }))
    return { _tag, code, message, stage, tolerated, failed }
  }

  [Symbol.for("nodejs.util.inspect.custom")]() {
    return this.toJSON()
  }
}

/** The failures of several items as that of their stage. */
export const tooManyFailed = (stage: string, tolerated: number, failed: ReadonlyArray<FailedItem<unknown>>) =>
  refusingAs(new TooManyFailed({ stage, tolerated, failed }), failed.map(({ error }) => error))

/** The schema of the failure of an item, which fails with what the schema says. */
export const itemFailedSchema = (error: Schema.Top) =>
  Schema.instanceOf(ItemFailed).pipe(
    Schema.encodeTo(
      Schema.Struct({ stage: Schema.String, ...which, error }),
      SchemaTransformation.transform({
        decode: ({ error, stage, ...item }) => itemFailed(stage, item, error),
        encode: ({ attempts, durationMs, error, index, key, stage }) => ({
          stage,
          index,
          key,
          attempts,
          durationMs,
          error
        })
      })
    )
  )

/** The schema of the failure of several items, which fail with what the schema says. */
export const tooManyFailedSchema = (error: Schema.Top) =>
  Schema.instanceOf(TooManyFailed).pipe(
    Schema.encodeTo(
      Schema.Struct({ stage: Schema.String, tolerated: Schema.Int, failed: Schema.Array(failedSchema(error)) }),
      SchemaTransformation.transform({
        decode: ({ failed, stage, tolerated }) => tooManyFailed(stage, tolerated, failed as never),
        encode: ({ failed, stage, tolerated }) => ({ stage, tolerated, failed })
      })
    )
  )

/** The errors that hold what items failed with. */
export const holdingItems = [
  holding(ItemFailed, ({ error, stage, ...item }) => itemFailed(stage, item, error)),
  holding(TooManyFailed, ({ failed, stage, tolerated }) => tooManyFailed(stage, tolerated, failed))
]

/** An item that has just ended; what is to be known of it is made when it is asked for. */
export interface EndedItem {
  readonly index: number
  readonly item: Item
}

/** Collects what became of items, in their order. */
export interface Collected {
  /** An item is begun. */
  readonly begin: (index: number) => void
  readonly ok: (ended: EndedItem, value: unknown) => void
  readonly failed: (ended: EndedItem, error: unknown) => void
  readonly skipped: (ended: EndedItem, reason: string) => void
  /** All that there is, deeply immutable. */
  readonly data: () => Results<unknown> | Outcomes<unknown, unknown>
}

/** The place of an item that gave nothing. */
const nothing: unique symbol = Symbol("nothing")

const isSomething = (value: unknown): boolean => value !== nothing

const byIndex = (a: Item, b: Item): number => a.index - b.index

const skippedItem = ({ attempts, durationMs, index, key }: Item, reason: string): SkippedItem =>
  Object.freeze({ index, key, attempts, durationMs, reason })

/** Keeps what the items gave, and of the items nothing else. */
export class CollectedResults implements Collected {
  private readonly results: Array<unknown>
  private readonly skippedItems: Array<SkippedItem> = []

  constructor(size = 0) {
    this.results = Array(size).fill(nothing)
  }

  begin(index: number): void {
    if (index >= this.results.length) this.results.push(nothing)
  }
  ok({ index }: EndedItem, value: unknown): void {
    this.results[index] = value
  }
  failed(_ended: EndedItem, _error: unknown): void {
    // The stage fails with it.
  }
  skipped({ item }: EndedItem, reason: string): void {
    this.skippedItems.push(skippedItem(item, reason))
  }
  data(): Results<unknown> {
    const isWhole = this.skippedItems.length === 0 && this.results.at(-1) !== nothing
    const results = isWhole ? this.results : this.results.filter(isSomething)
    return { results: immutableList(results), skipped: immutableList(this.skippedItems.sort(byIndex)) }
  }
}

/** Keeps what became of every item. */
export class CollectedOutcomes implements Collected {
  private readonly okItems: Array<OkItem<unknown> | undefined> = []
  private readonly failedItems: Array<FailedItem<unknown>> = []
  private readonly skippedItems: Array<SkippedItem> = []

  begin(): void {
    this.okItems.push(undefined)
  }
  ok({ item: { attempts, durationMs, index, key } }: EndedItem, value: unknown): void {
    this.okItems[index] = Object.freeze({ index, key, attempts, durationMs, value })
  }
  failed({ item: { attempts, durationMs, index, key } }: EndedItem, error: unknown): void {
    this.failedItems.push(Object.freeze({ index, key, attempts, durationMs, error: immutable(error) }))
  }
  skipped({ item }: EndedItem, reason: string): void {
    this.skippedItems.push(skippedItem(item, reason))
  }
  /** The items that failed so far. */
  get failures(): ReadonlyArray<FailedItem<unknown>> {
    return immutableList([...this.failedItems].sort(byIndex))
  }
  data(): Outcomes<unknown, unknown> {
    return {
      ok: immutableList(this.okItems.filter((item) => item !== undefined)),
      failed: this.failures,
      skipped: immutableList(this.skippedItems.sort(byIndex))
    }
  }
}
