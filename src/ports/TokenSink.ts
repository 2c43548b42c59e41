/**
 * Hands tokens of an answer on to whoever shows them while the model writes: a terminal, a page, a socket.
 */
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import * as failure from "./internal/failure.ts"

/**
 * Tokens were not taken. `reason` says why; `isRetryable` and `retryAfter` say whether and when to try again.
 */
export class TokenSinkFailed extends Schema.TaggedError<TokenSinkFailed>()("TokenSinkFailed", failure.fields) {
  readonly code = "TOKEN_SINK_FAILED"
  /** Whether another attempt may end differently. */
  get isRetryable(): boolean {
    return failure.isWorthRetrying(this.reason)
  }
  /** How long to wait before it, if the service said so. */
  get retryAfter(): Duration.Duration | undefined {
    return failure.waitBeforeRetry(this.reason)
  }
  override get message(): string {
    return failure.messageOf("Token sink", this)
  }
}

/**
 * A token, and which one it is.
 */
export interface Part {
  readonly token: string
  readonly index: number
}

/**
 * A service that takes tokens.
 */
export class TokenSink extends Context.Service<TokenSink, {
  /** Takes the next one. Its index counts from 0, so that a receiver can tell what it has got already. */
  readonly write: (part: Part) => Effect.Effect<void, TokenSinkFailed>
  /** There are no more. It may be said twice; what is written then is refused as `Closed`. */
  readonly end: Effect.Effect<void, TokenSinkFailed>
}>()("stageflow/ports/TokenSink") {}

/**
 * Writes tokens to the sink on their way, and ends it behind the last one. A sink that fails ends the stream, with the number of
 * the part that it did not take.
 */
export const tee = <E, R>(
  self: Stream.Stream<string, E, R>
): Stream.Stream<string, E | TokenSinkFailed, R | TokenSink> =>
  Stream.unwrap(Effect.map(TokenSink, ({ end, write }) => {
    let index = 0
    const written = Stream.tap(self, (token) =>
      Effect.suspend(() => {
        const part: Part = { token, index: index++ }
        return Effect.mapError(write(part), (error) => {
          const chunk = error.chunk ?? part.index + 1
          return new TokenSinkFailed({ service: error.service, reason: error.reason, chunk })
        })
      }))
    return Stream.onEnd(written, end)
  }))

/**
 * Writes tokens to the sink, and ends it behind the last one; see `tee`.
 */
export const drain = <E, R>(
  self: Stream.Stream<string, E, R>
): Effect.Effect<void, E | TokenSinkFailed, R | TokenSink> => Stream.runDrain(tee(self))
