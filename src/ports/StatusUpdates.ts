/**
 * Tells somebody outside how things are going: a screen that shows "thinking", a line in a log of calls.
 */
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as failure from "./internal/failure.ts"

/**
 * A status was not sent. `reason` says why; `isRetryable` and `retryAfter` say whether and when to try again.
 */
export class StatusFailed extends Schema.TaggedError<StatusFailed>()("StatusFailed", failure.fields) {
  readonly code = "STATUS_FAILED"
  /** Whether another attempt may end differently. */
  get isRetryable(): boolean {
    return failure.isWorthRetrying(this.reason)
  }
  /** How long to wait before it, if the service said so. */
  get retryAfter(): Duration.Duration | undefined {
    return failure.waitBeforeRetry(this.reason)
  }
  override get message(): string {
    return failure.messageOf("Status update", this)
  }
}

/**
 * How something is going, as a schema.
 */
export const StatusUpdate = Schema.Struct({
  /** What it is about: a stage, a service. */
  service: Schema.NonEmptyString,
  /** `"started"`, `"completed"`, or a word of your own. */
  status: Schema.NonEmptyString,
  data: Schema.optionalKey(Schema.Record(Schema.String, Schema.Json))
})

/**
 * How something is going.
 */
export interface StatusUpdate extends Schema.Schema.Type<typeof StatusUpdate> {}

/**
 * A service that is told how things are going.
 */
export class StatusUpdates extends Context.Service<StatusUpdates, {
  readonly send: (update: StatusUpdate) => Effect.Effect<void, StatusFailed>
}>()("stageflow/ports/StatusUpdates") {}
