/**
 * Remembers that a stage of a run was interrupted on purpose, for which reason, and whether it has ended of that.
 */
import * as Cause from "effect/Cause"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import { FailedEnding } from "../attempt/outcome.ts"
import { together } from "../internal/causes.ts"
import { StageFault } from "../StageError.ts"

export class StageInterruption {
  private readonly reason: string
  private readonly over = Deferred.makeUnsafe<void>()
  /** Whether the stage ended of it, and not of itself in the same instant. */
  hasEnded = false
  /** Whether the stage outlived the grace and was left behind. */
  isAbandoned = false

  constructor(reason: string) {
    this.reason = reason
  }

  /** Waits until nothing of the stage runs any more, or it was left behind. */
  get awaitEnd(): Effect.Effect<void> {
    return Deferred.await(this.over)
  }

  /** Nothing of the stage runs any more, or it was left behind. */
  settle(): void {
    Deferred.doneUnsafe(this.over, Effect.void)
  }

  /** What the stage ends with: `cause` is what it ended with when it was running. */
  endingOf(stage: string, cause: Cause.Cause<unknown> | undefined): FailedEnding {
    this.hasEnded = true
    const reason = { _tag: "Interrupted", reason: this.reason, abandoned: this.isAbandoned } as const
    const fault = new StageFault({ stage, reason })
    const failed = Cause.fail(fault)
    return new FailedEnding(fault, cause === undefined ? failed : together(failed, cause))
  }
}
