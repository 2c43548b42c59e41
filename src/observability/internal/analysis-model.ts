/**
 * Defines what is found out about the time of a run.
 */
import type { RunStatus, StageStatus } from "./record-model.ts"

/**
 * What the time of a stage was spent on, in milliseconds. From the start of the run to the end of the stage it is
 * `dependenciesMs + queuedMs + runningMs + betweenAttemptsMs + otherMs`.
 */
export interface StageTimes {
  readonly stage: string
  readonly status: StageStatus
  /** How many attempts were made. */
  readonly attempts: number
  /** Since the start of the run. */
  readonly startedAfterMs: number
  /** From its start to its end, with everything in between. */
  readonly durationMs: number
  /** Until the last of the stages that it waits for had ended; of one that waits for none, until the first could start. */
  readonly dependenciesMs: number
  /** In queues, before and after it started. */
  readonly queuedMs: number
  /** In its attempts, without the queues in them. */
  readonly runningMs: number
  /** Between its attempts. */
  readonly betweenAttemptsMs: number
  /** Nothing tells on what: ready and not started, or around the attempts. */
  readonly otherMs: number
  /** Of `runningMs`, what no run inside of the stage was going on in. */
  readonly selfMs: number
  /** How much longer it could have taken without the run taking longer. */
  readonly slackMs: number
  /** Whether it is on the critical path. */
  readonly isCritical: boolean
  /** The stage that it waited for longest. */
  readonly waitedFor: string | undefined
  /** The same of the runs that it started. */
  readonly runs: ReadonlyArray<Analysis>
}

/**
 * What the time of a run was spent on, in milliseconds.
 */
export interface Analysis {
  readonly runId: string
  readonly pipeline: string
  readonly status: RunStatus
  /** Of all of it, with what is around its stages; of one of which only the result is known, of its stages. */
  readonly durationMs: number
  /** Until its first stages could start: layers were built, and what is around the run was entered. */
  readonly startingMs: number
  /**
   * The stages that the run could not have ended without, one after the other. It would have been over sooner, had one of
   * them been faster, as long as no other path takes as long.
   */
  readonly criticalPath: ReadonlyArray<string>
  /** From the end of that path to the end of the run: what still ran was stopped, what is around the run was left, layers released. */
  readonly endingMs: number
  /** The stages that started, in the order of the record. */
  readonly stages: ReadonlyArray<StageTimes>
  /** Why the run took so long, for people. */
  readonly sentence: string
}
