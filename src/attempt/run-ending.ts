/**
 * Lets something have a part in how a run ends: it is told when the stages have ended otherwise than completed, while the
 * layers of the run are there and before anybody hears of the end.
 *
 * A saga asks for it. What it gives is in the environment of a run; the engine knows nothing else of it.
 */
import type * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import type { Lineage } from "../StageContext.ts"
import type { Announcement } from "./announcement.ts"
import type { Compensation } from "./compensation.ts"

/**
 * How a run ended that did not complete.
 *
 * - `Failed`: a stage failed, and the run with it.
 * - `Cancelled`: a stage (`by`) or the caller ended it on purpose.
 * - `Incomplete`: stages failed, and `failure: "continue"` let the others go on.
 * - `Interrupted`: its caller was interrupted.
 * - `Rejected`: it ended outside of its stages, because of what it returns, or of an interceptor or a layer around it.
 */
export type RunEnding =
  | {
    readonly _tag: "Failed"
    readonly stage: string
    readonly error: unknown
    readonly cause: Cause.Cause<unknown>
  }
  | {
    readonly _tag: "Cancelled"
    readonly by: string | undefined
    readonly reason: string
    readonly data: Readonly<Record<string, unknown>>
  }
  | {
    readonly _tag: "Incomplete"
    readonly failures: ReadonlyArray<{
      readonly stage: string
      readonly error: unknown
      readonly cause: Cause.Cause<unknown>
    }>
  }
  | { readonly _tag: "Interrupted" }
  | { readonly _tag: "Rejected"; readonly error: unknown }

/** A run, as it is seen by what has a part in its end. */
export interface EndingRun {
  readonly pipeline: string
  readonly lineage: Lineage
  readonly grace: Duration.Duration
  /** Whether a stage was left behind: it ignores its interruption, and still runs. */
  readonly isAbandoned: (stage: string) => boolean
  /** The stages that a stage depends on. */
  readonly dependenciesOf: (stage: string) => ReadonlyArray<string>
  /** Puts an event of a stage's own in the events of the run, until the run's last one. */
  readonly tell: (stage: string, attempt: number, type: string, data: unknown) => void
  /** Puts an event about a stage in the events of the run, until the run's last one. */
  readonly announce: (stage: string, attempt: number, announcement: Announcement) => void
}

/** What has a part in the end of one run. None of its Effects is interrupted, and each has an end. */
export interface Ender {
  /** What the stages have in their environment because of it. */
  readonly inside: Context.Context<never>
  /** No stage runs any more, and the run does not complete. Nobody has heard of that yet. */
  readonly stagesEnded: (ending: RunEnding) => Effect.Effect<Compensation | undefined>
  /** The run has completed so far. Whether it releases the layers itself, after the end of the run. */
  readonly keepsLayers: (release: Effect.Effect<void>) => boolean
  /** The run has completed so far. Whether the layers have to be there until `ended` is over. */
  readonly needsLayers: () => boolean
  /** The layers of the run are going to be released now: those that it has kept of the runs inside are first. */
  readonly releaseKept: Effect.Effect<void>
  /** All of the run has ended; without an ending it completed. Its last event comes after this. */
  readonly ended: (ending: RunEnding | undefined) => Effect.Effect<Compensation | undefined>
  /** The run has told its last event. */
  readonly told: () => void
}

/** Makes what has a part in the end of a run, from the environment in which the run's stages are going to be. */
export type MakeEnder = (run: EndingRun, environment: Context.Context<never>) => Ender

/** What has a part in the end of every run that is started here. */
export const Enders = Context.Reference<MakeEnder | undefined>("stageflow/attempt/Enders", {
  defaultValue: () => undefined
})
