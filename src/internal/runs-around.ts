/**
 * Knows the runs that something is inside of, whoever started them: a stage, a layer or an interceptor.
 */
import * as Context from "effect/Context"

/** The names of their pipelines, from the outermost on. */
export const RunsAround = Context.Reference<ReadonlyArray<string>>("stageflow/internal/RunsAround", {
  defaultValue: () => []
})
