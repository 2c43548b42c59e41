/**
 * Structured logs of stages: start and end at Debug, failures at Warning, nothing at Info.
 *
 * Whatever a stage itself logs carries the same annotations.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import { type Interceptor, make, type Outcome } from "../Interceptor.ts"
import { executionIn } from "../internal/execution.ts"
import { summaryOf } from "../internal/telling.ts"
import type { StageContext } from "../StageContext.ts"

const annotationsOf = ({ attempt, identity, lineage, pipeline, stage }: StageContext["Service"]) => ({
  pipeline,
  stage,
  attempt,
  runId: lineage.runId,
  correlationId: lineage.correlationId,
  ...(identity.orgId === undefined ? {} : { orgId: identity.orgId })
})

const started = Effect.logDebug("Stage started")

/** What is logged of an attempt that ended. Whoever is interrupted has nothing to report. */
const ended = (exit: Exit.Exit<Outcome, unknown>): Effect.Effect<void> | undefined => {
  if (exit._tag === "Success") return Effect.logDebug(`Stage ended: ${exit.value._tag}`)
  if (Cause.hasInterruptsOnly(exit.cause)) return undefined
  const error = Option.getOrUndefined(Cause.findErrorOption(exit.cause))
  if (error === undefined) return Effect.logWarning("Stage died")
  const { message, tag } = summaryOf(error)
  return Effect.logWarning(`Stage failed: ${tag}${message === "" ? "" : `: ${message}`}`)
}

/**
 * Logs each attempt of each stage, with run, stage, attempt and tenant as annotations.
 */
export const logging = (): Interceptor =>
  make({
    name: "logging",
    order: 90,
    around: (effect) => {
      const logged = Effect.onExitPrimitive(Effect.andThen(started, effect), ended)
      return Effect.withFiber((fiber) => Effect.annotateLogs(logged, annotationsOf(executionIn(fiber))))
    }
  })
