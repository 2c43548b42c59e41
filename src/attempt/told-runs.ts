/**
 * Says of which stages the runs inside are not told one by one, because something else tells of them: a for-each of its
 * items.
 */
import * as Context from "effect/Context"

/** The first attempt of the stage whose runs are not told of: see `Attempt`. Runs inside of those have stages of their own. */
export const UntoldRunsOf = Context.Reference<object | undefined>("stageflow/attempt/UntoldRunsOf", {
  defaultValue: () => undefined
})
