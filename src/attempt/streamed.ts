/**
 * Says of a stage that it streams, and how.
 */
import * as Context from "effect/Context"

/** How a stage streams. */
export interface Streamed {
  /** How many chunks are held for each reader at most. */
  readonly capacity: number
  /** Whether it goes on to its end though nobody reads its chunks any more. */
  readonly goesOn: boolean
  /** Makes chunks of its data, where they are wanted and the stage itself was not run. */
  readonly replay: ((data: unknown) => Iterable<unknown>) | undefined
}

/** Of a stage that streams, how; as an annotation of the stage. */
export const StreamedStage = Context.Reference<Streamed | undefined>("stageflow/attempt/StreamedStage", {
  defaultValue: () => undefined
})
