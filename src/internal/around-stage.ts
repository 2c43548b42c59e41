/**
 * Marks errors of what is around a stage: they say nothing of what the stage itself found.
 */

/** Marks an error as one of what is around a stage. */
export const AroundStageTypeId = "~stageflow/AroundStage"

/** What bears the mark. */
export interface AroundStage {
  readonly [AroundStageTypeId]: true
}
