/**
 * Shows one attempt of a running stage to what wraps it: which one it is, what it was given, and how to make another.
 *
 * Retry, timeout, the interceptors and the test kit see a stage through this, and nothing of the engine.
 */
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import type * as Schema from "effect/Schema"
import type { ChunkChannel } from "../internal/chunk-channel.ts"
import type { Artifact } from "../internal/output-model.ts"
import { type Progress, StageContext } from "../StageContext.ts"
import type { Announcement, Hearer } from "./announcement.ts"
import type { Outcome, StageEffect } from "./interceptor-model.ts"

/**
 * The StageContext of an attempt, with what only those see that wrap stages.
 *
 * Attempts are nested: who makes several (a retry, a hedge) is inside of one attempt and makes its own inside of that. What
 * an attempt adds belongs to the stage when it succeeds, and is dropped with it otherwise; one that is over is not heard
 * any more, whatever it still does.
 */
export type Attempt = StageContext["Service"] & {
  /** The first attempt of the stage: the same for all of them. */
  readonly first: object
  /** How many attempts the stage has made so far. */
  readonly attempts: number
  /** What the wiring read for the stage. */
  readonly input: unknown
  /** The schema of the stage's data, when it has one. */
  readonly output: Schema.Top | undefined
  /** What this attempt, and those inside of it that succeeded, have added so far. */
  readonly addedArtifacts: ReadonlyArray<Artifact>
  /** Forgets what this attempt has added. */
  readonly dropAddedArtifacts: () => void
  /** Puts an event of the stage's own in the run's events, at once. */
  readonly tell: (type: string, data: unknown) => void
  /** Puts an event of what wraps the stage, or of what it is made of, in the run's events, at once. */
  readonly announce: (announcement: Announcement) => void
  /**
   * Lets somebody hear what is announced of the stage, whether anybody listens to the run or not, until what this gives is
   * called: for what observes a stage and need not know who else is around it.
   */
  readonly hear: (hearer: Hearer) => () => void
  /** Adds an artifact, at once. */
  readonly keepArtifact: (artifact: Artifact) => void
  /**
   * Says how far the stage has come, unless the attempt is over. It is read when somebody asks: what counts along says so
   * once.
   */
  readonly reportProgress: (progress: Progress) => void
  /** Passes the chunks of the stage to those who read them while it runs. */
  readonly channel: ChunkChannel
  /** Runs an Effect as the first of several attempts inside of this one. */
  readonly firstAttempt: (effect: StageEffect) => StageEffect
  /** The attempt that is going on has ended, and another follows after `delay`: runs an Effect as that one. */
  readonly nextAttempt: (
    ended: Exit.Exit<Outcome, unknown>,
    delay: Duration.Duration
  ) => (effect: StageEffect) => StageEffect
  /** Runs an Effect as an attempt at the same time as the first. The first that succeeds ends the others. */
  readonly parallelAttempt: (effect: StageEffect) => StageEffect
  /** A part of this attempt: it is the same attempt, and what it adds is only the attempt's when it is kept. */
  readonly part: () => Part
}

/** One of several things that an attempt does, of which not all count. */
export interface Part {
  /** Runs an Effect as this part. */
  readonly run: <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, Exclude<R, StageContext>>
  /** The part is over and counts: what it has added is the attempt's. */
  readonly keep: () => void
  /** The part is over and does not count: what it has added is dropped, and it is not heard any more. */
  readonly drop: () => void
}

/** The attempt behind a StageContext. */
export const attemptOf = (context: StageContext["Service"]): Attempt =>
  // The engine makes every StageContext that reaches an interceptor, and `testing` runs stages in the engine.
  context as Attempt

/** The attempt that a fiber is part of. */
export const attemptIn = (fiber: Fiber.Fiber<unknown, unknown>): Attempt =>
  attemptOf(Context.getUnsafe(fiber.context, StageContext))

/** Announces something of the stage that a StageContext is of. One that somebody made by himself is of no run. */
export const announce = (context: StageContext["Service"], announcement: Announcement): void => {
  if ("announce" in context) attemptOf(context).announce(announcement)
}
