/**
 * Says what queues and buffers tell of themselves while data flows: what was dropped, who had to wait, how full it is.
 *
 * Signals are for people and for counters. They are given to `onSignal` of a queue or a buffer, by a fiber of its own, so a
 * listener that is slow, hangs or dies holds up nothing. When more signals wait than are kept, the oldest are left out; the
 * numbers in a signal and the `stats` of a queue are exact all the same.
 *
 * ```ts
 * import { Effect, Stream } from "effect"
 * import { Stage } from "stageflow"
 * import { ChunkQueue, StreamSignal } from "stageflow/streaming"
 *
 * const words = Stream.make("to", "be", "or", "not")
 *
 * // Each signal is an event of the run: "stream.chunk_dropped" and so on.
 * const stage = Stage.transform("speak", {
 *   run: words.pipe(
 *     ChunkQueue.buffer({ capacity: 100, overflow: "drop-oldest", onSignal: StreamSignal.emit }),
 *     Stream.mkString,
 *     Effect.map((spoken) => ({ spoken }))
 *   )
 * })
 * ```
 */
import type * as Effect from "effect/Effect"
import * as StageContext from "../StageContext.ts"

/**
 * A full queue dropped a chunk. `dropped` counts all so far.
 */
export interface ChunkDropped {
  readonly _tag: "ChunkDropped"
  readonly reason: "oldest" | "newest"
  readonly capacity: number
  readonly dropped: number
}

/**
 * A producer had to wait for room, and goes on.
 */
export interface ProducerBlocked {
  readonly _tag: "ProducerBlocked"
  readonly blockedMs: number
  readonly size: number
}

/**
 * So many chunks wait that a producer that can should slow down: the high water mark is reached.
 */
export interface ThrottleStarted {
  readonly _tag: "ThrottleStarted"
  readonly fillPercentage: number
  readonly size: number
}

/**
 * The queue has drained to its low water mark.
 */
export interface ThrottleEnded {
  readonly _tag: "ThrottleEnded"
  readonly fillPercentage: number
  readonly size: number
}

/**
 * A queue is done with. The numbers are those of its whole life.
 */
export interface QueueClosed {
  readonly _tag: "QueueClosed"
  readonly accepted: number
  readonly delivered: number
  readonly dropped: number
  readonly blocked: number
  readonly blockedMs: number
  readonly highWater: number
}

/**
 * An audio buffer held its maximum and dropped audio.
 */
export interface BufferOverflow {
  readonly _tag: "BufferOverflow"
  readonly bytesDropped: number
  readonly bufferedMs: number
  readonly maximumMs: number
}

/**
 * Audio was asked of a buffer that had none: the listener hears a gap.
 */
export interface BufferUnderrun {
  readonly _tag: "BufferUnderrun"
  readonly bytesRequested: number
  readonly bytesAvailable: number
  readonly bufferedMs: number
}

/**
 * After an underrun the buffer holds its target again, and plays on.
 */
export interface BufferRecovered {
  readonly _tag: "BufferRecovered"
  readonly bufferedMs: number
}

/**
 * What a queue or a buffer tells of itself.
 */
export type StreamSignal =
  | ChunkDropped
  | ProducerBlocked
  | ThrottleStarted
  | ThrottleEnded
  | QueueClosed
  | BufferOverflow
  | BufferUnderrun
  | BufferRecovered

const names = {
  ChunkDropped: "stream.chunk_dropped",
  ProducerBlocked: "stream.producer_blocked",
  ThrottleStarted: "stream.throttle_started",
  ThrottleEnded: "stream.throttle_ended",
  QueueClosed: "stream.queue_closed",
  BufferOverflow: "stream.buffer_overflow",
  BufferUnderrun: "stream.buffer_underrun",
  BufferRecovered: "stream.buffer_recovered"
} as const satisfies Record<StreamSignal["_tag"], string>

/**
 * The name of a signal as an event: `"stream.chunk_dropped"`.
 */
export const nameOf = (signal: StreamSignal): (typeof names)[StreamSignal["_tag"]] => names[signal._tag]

/**
 * Emits a signal as an event of the run, from the stage in which the queue or buffer is. It is an `onSignal`.
 */
export const emit = (signal: StreamSignal): Effect.Effect<void, never, StageContext.StageContext> => {
  const { _tag, ...data } = signal
  return StageContext.emit(names[_tag], data)
}
