/**
 * Tells that a stage of a run was refused whose failures let other stages go on: such a run has failed for whoever stands
 * around it.
 */
import { stackOf } from "../../attempt/explanation.ts"
import { isRefusal, noteRejection } from "../../internal/refusal.ts"
import { type Cancelled, type Incomplete, type RunResult, StageFailed } from "../../RunResult.ts"

/** The failure of a run in which a stage was refused, as it is without `failure: "continue"`. */
export const refusalIn = (result: RunResult): StageFailed | undefined => {
  if (result._tag === "Completed") return undefined
  const refused = result.failures.find((failure) => isRefusal(failure))
  if (refused === undefined) return undefined
  const { bag, compensation, durationMs, identity, lineage, outputs, pipeline } = result
  const failed = new StageFailed({
    ...refused,
    outputs,
    ...leftBehind(result),
    ...(compensation === undefined ? {} : { compensation }),
    pipeline,
    identity,
    lineage,
    durationMs,
    bag
  })
  Object.defineProperty(failed, "stack", { configurable: true, get: () => stackOf(failed) })
  noteRejection(failed)
  return failed
}

const leftBehind = (result: Incomplete<unknown, unknown> | Cancelled<unknown>) => {
  if (result._tag === "Incomplete") return { interrupted: [], abandoned: [], neverStarted: result.blocked }
  const { abandoned, blocked, interrupted, neverStarted } = result
  return { interrupted, abandoned, neverStarted: [...blocked, ...neverStarted] }
}
