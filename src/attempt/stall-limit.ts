/**
 * Says how long stages may wait for each other through their streams before one of them fails.
 */
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"

/**
 * How long stages may all wait for each other through their streams before one of them fails with a `StageFault` whose
 * reason is `StreamStalled`; 10 seconds unless set. Something else that they do may still end it: a time limit, a timer.
 */
export const StallLimit = Context.Reference<Duration.Duration>("stageflow/Stage/StallLimit", {
  defaultValue: () => Duration.seconds(10)
})
