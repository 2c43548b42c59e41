/**
 * Keeps what was said in a conversation: who said what, and what was answered.
 *
 * `layerMemory` keeps it for as long as the Layer lives. For something that lasts, write an adapter on your database and run
 * `Contract.interactionStore` against it.
 */
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as options from "../internal/options.ts"
import * as failure from "./internal/failure.ts"

/**
 * An interaction was not kept, or not read. `reason` says why; `isRetryable` and `retryAfter` say whether and when to try again.
 */
export class InteractionStoreFailed
  extends Schema.TaggedError<InteractionStoreFailed>()("InteractionStoreFailed", failure.fields)
{
  readonly code = "INTERACTION_STORE_FAILED"
  /** Whether another attempt may end differently. */
  get isRetryable(): boolean {
    return failure.isWorthRetrying(this.reason)
  }
  /** How long to wait before it, if the service said so. */
  get retryAfter(): Duration.Duration | undefined {
    return failure.waitBeforeRetry(this.reason)
  }
  override get message(): string {
    return failure.messageOf("Interaction store", this)
  }
}

/**
 * Something that was said, and what was answered, as a schema.
 */
export const Interaction = Schema.Struct({
  id: Schema.NonEmptyString,
  sessionId: Schema.NonEmptyString,
  /** When it was, in milliseconds since 1970. */
  at: Schema.Finite,
  input: Schema.String,
  output: Schema.String,
  metadata: Schema.optionalKey(Schema.Record(Schema.String, Schema.Json))
})

/**
 * Something that was said, and what was answered.
 */
export interface Interaction extends Schema.Schema.Type<typeof Interaction> {}

/**
 * A service that keeps interactions.
 */
export class InteractionStore extends Context.Service<InteractionStore, {
  /** Keeps one. One with the same id and session takes the place of the other, so keeping it again is safe. */
  readonly save: (interaction: Interaction) => Effect.Effect<void, InteractionStoreFailed>
  /** The one with this id, if the session has it. */
  readonly get: (
    sessionId: string,
    id: string
  ) => Effect.Effect<Option.Option<Interaction>, InteractionStoreFailed>
  /** The last ones of a session, the oldest first; of the same time, as they were kept. */
  readonly recent: (
    sessionId: string,
    limit: number
  ) => Effect.Effect<ReadonlyArray<Interaction>, InteractionStoreFailed>
}>()("stageflow/ports/InteractionStore") {}

/** A session, by id. The session that was used longest ago comes first. */
type Sessions = Map<string, Map<string, Interaction>>

const forgetFirst = <A>(kept: Map<string, A>): void => {
  const [first] = kept.keys()
  if (first !== undefined) kept.delete(first)
}

const keep = (sessions: Sessions, interaction: Interaction, limits: Limits): void => {
  const { id, sessionId } = interaction
  const session: Map<string, Interaction> = sessions.get(sessionId) ?? new Map()
  session.set(id, interaction)
  if (session.size > limits.perSession) forgetFirst(session)
  sessions.delete(sessionId)
  sessions.set(sessionId, session)
  if (sessions.size > limits.sessions) forgetFirst(sessions)
}

interface Limits {
  readonly sessions: number
  readonly perSession: number
}

/**
 * Keeps interactions in memory: at most `perSession` of a session (1,000 when left out), the oldest of which is forgotten, and
 * at most so many `sessions` (1,000 when left out), of which the one is forgotten that was used longest ago.
 */
export const layerMemory = (
  given: { readonly sessions?: number | undefined; readonly perSession?: number | undefined } = {}
): Layer.Layer<InteractionStore> => {
  const settings = options.fields<typeof given>("settings", ["sessions", "perSession"], given)
  const limits: Limits = {
    sessions: options.positiveCount("sessions", settings.sessions ?? 1000),
    perSession: options.positiveCount("perSession", settings.perSession ?? 1000)
  }
  return Layer.sync(InteractionStore, () => {
    const sessions: Sessions = new Map()
    return {
      save: (interaction) => Effect.sync(() => keep(sessions, interaction, limits)),
      get: (sessionId, id) => Effect.sync(() => Option.fromUndefinedOr(sessions.get(sessionId)?.get(id))),
      recent: (sessionId, limit) =>
        Effect.sync(() => {
          if (!(limit > 0)) return []
          return Array.from(sessions.get(sessionId)?.values() ?? []).toSorted((a, b) => a.at - b.at).slice(-limit)
        })
    }
  })
}
