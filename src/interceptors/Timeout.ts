/**
 * Limits how long things take: `timeout` for each attempt of each stage, `deadline` for a run as a whole.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { withDeadline } from "../attempt/deadline.ts"
import { fromAround, undeclaringFaults } from "../attempt/interceptor-model.ts"
import { watchingRejections } from "../attempt/standing-rejection.ts"
import { timeoutAround } from "../attempt/timeout.ts"
import { type FailsRun, type Interceptor, make } from "../Interceptor.ts"
import { AroundStageTypeId } from "../internal/around-stage.ts"
import * as options from "../internal/options.ts"
import { RunTimeoutTypeId } from "../internal/run-timeout.ts"
import type { StageTimeout } from "../StageError.ts"
import { orders } from "./internal/orders.ts"

/**
 * Limits how long one attempt of a stage may take; 30 seconds when nothing is given.
 *
 * It is `Stage.timeout` for all stages at once: the attempt is interrupted and fails with `StageTimeout`; one that
 * ignores its interruption is abandoned after the grace, and the error says so.
 */
export const timeout = (
  duration: Duration.Input = "30 seconds",
  settings?: { readonly grace?: Duration.Input | undefined }
): Interceptor<StageTimeout> => {
  options.onlyIfGiven(["grace"], settings)
  return fromAround("timeout", orders.timeout, timeoutAround(duration, settings?.grace))
}

/**
 * A run took longer than its deadline allows.
 */
export class DeadlineExceeded extends Schema.TaggedError<DeadlineExceeded>()("DeadlineExceeded", {
  pipeline: Schema.String,
  deadline: Schema.Duration
}) {
  readonly code = "DEADLINE_EXCEEDED"
  readonly [AroundStageTypeId] = true
  get [RunTimeoutTypeId](): number {
    return Duration.toMillis(this.deadline)
  }
  override get message(): string {
    return `A run of pipeline "${this.pipeline}" took longer than its deadline of ${Duration.format(this.deadline)}`
  }
}

/**
 * Limits how long a whole run may take, the building of its layers included. Every stage in flight is interrupted, and the
 * run fails with `DeadlineExceeded` when they have ended, or after the run's grace. A retry inside of it does not begin a
 * wait that would outlast it.
 */
export const deadline = (duration: Duration.Input): Interceptor<FailsRun<DeadlineExceeded>> => {
  const limit = options.positiveDuration("deadline", duration)
  return undeclaringFaults<FailsRun<DeadlineExceeded>>(make({
    name: "deadline",
    order: orders.deadline,
    aroundRun: (effect, run) =>
      watchingRejections(
        effect,
        (watched, cutOff) =>
          Effect.flatMap(Effect.timeoutOption(withDeadline(watched, limit), limit), (ended) =>
            Option.isSome(ended)
              ? Effect.succeed(ended.value)
              : cutOff(Effect.fail(new DeadlineExceeded({ pipeline: run.pipeline, deadline: limit }))))
      )
  }))
}
