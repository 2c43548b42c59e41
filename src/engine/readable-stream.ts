/**
 * Makes the Stream that a reader of chunks gets.
 */
import * as Cause from "effect/Cause"
import * as Channel from "effect/Channel"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Pull from "effect/Pull"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { stallIn } from "../attempt/stream-body.ts"
import type { Consumer, End } from "../internal/chunk-channel.ts"
import { skipBecause } from "../internal/output-model.ts"
import { missing, type StreamUse } from "../internal/source-model.ts"
import { StreamFailed, type StreamProblem, StreamStartedOver } from "../StageError.ts"

type Chunks = readonly [unknown, ...Array<unknown>]

const failed = (stage: string, chunks: number, reason: StreamProblem): Effect.Effect<never, StreamFailed> =>
  Effect.fail(new StreamFailed({ stage, chunks, reason }))

/** What becomes of a reader when there is no more. */
const endingOf = ({ onFailure, onSkip, stage }: StreamUse, consumer: Consumer, end: End): Pull.Pull<never, unknown> => {
  switch (end._tag) {
    case "Ended":
      return Cause.done()
    case "Skipped": {
      if (onSkip === "end") return Cause.done()
      const { origin, reason } = missing(stage, end.skip)
      // It leaves the reader as if the reader had yielded it.
      return Effect.die(skipBecause(origin, reason))
    }
    case "StartedOver":
      return Effect.fail(new StreamStartedOver({ stage, chunks: consumer.taken }))
    case "Failed":
      return onFailure === "end"
        ? Cause.done()
        : failed(stage, consumer.taken, { _tag: "ProducerFailed", error: end.error })
    case "NotStreamed":
    case "TooSlow":
    case "Interrupted":
      return onFailure === "end" ? Cause.done() : failed(stage, consumer.taken, { _tag: end._tag })
  }
}

/**
 * The chunks of a stage. They can be taken once: a run of the stream that has taken none may be followed by another, as when
 * the reader is tried again.
 */
export const readableStream = (consumer: Consumer, reader: string, use: StreamUse): Stream.Stream<unknown, unknown> => {
  const ending = (end: End) => endingOf(use, consumer, end)
  // Whoever waits is given at least one.
  const pull = consumer.pull(ending, stallIn(reader)) as Pull.Pull<Chunks, unknown>
  const begin = (scope: Scope.Scope) =>
    Effect.suspend((): Effect.Effect<typeof pull, StreamFailed> => {
      if (consumer.lost?._tag === "StartedOver") consumer.startOver()
      if (consumer.isReading || consumer.isGone || consumer.taken > 0) {
        return failed(use.stage, consumer.taken, { _tag: "AlreadyRead" })
      }
      consumer.isReading = true
      const done = (exit: Exit.Exit<unknown, unknown>) =>
        Effect.sync(() => {
          consumer.isReading = false
          if (consumer.lost?._tag === "StartedOver") return
          if (consumer.taken > 0 || Exit.isSuccess(exit)) consumer.leave()
        })
      return Effect.as(Scope.addFinalizerExit(scope, done), pull)
    })
  return Stream.fromChannel(Channel.fromTransform((_upstream, scope) => begin(scope)))
}
