/**
 * Logs stages: start and end at Debug, failures at Warning, nothing at Info.
 *
 * Whatever a stage itself logs carries the same annotations.
 */
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import * as LogLevel from "effect/LogLevel"
import * as References from "effect/References"
import { attemptIn } from "../attempt/attempt.ts"
import { errorSummaryOf } from "../attempt/error-summary.ts"
import { endingOfExit } from "../attempt/outcome.ts"
import { type Interceptor, make, type Outcome } from "../Interceptor.ts"
import type { StageContext } from "../StageContext.ts"
import { tellExit } from "./internal/ending.ts"
import { orders } from "./internal/orders.ts"

const annotate = (
  known: Readonly<Record<string, unknown>>,
  { attempt, identity, lineage, pipeline, stage }: StageContext["Service"]
): Readonly<Record<string, unknown>> => {
  const { runId, correlationId } = lineage
  const { orgId } = identity
  return orgId === undefined
    ? { ...known, pipeline, stage, attempt, runId, correlationId }
    : { ...known, pipeline, stage, attempt, runId, correlationId, orgId }
}

const started = Effect.logDebug("Stage started")

/** What is logged of an attempt that gave nothing. */
const failed = (stage: string, exit: Exit.Exit<Outcome, unknown>): Effect.Effect<void> | undefined => {
  const ending = exit._tag === "Success" ? exit.value : endingOfExit(stage, exit)
  switch (ending._tag) {
    case "Ok":
    case "Skip":
    case "Cancel":
      return undefined
    case "Retry":
      return Effect.logWarning(`Stage asked to be retried: ${ending.reason}`)
    case "Failed": {
      const { message, tag } = errorSummaryOf(ending.error)
      return Effect.logWarning(`Stage failed: ${tag}${message === "" ? "" : `: ${message}`}`)
    }
  }
}

const ended = (exit: Exit.Exit<Outcome, unknown>): Effect.Effect<void> | undefined =>
  exit._tag === "Success" ? Effect.logDebug(`Stage ended: ${exit.value._tag}`) : undefined

/**
 * Logs each attempt of each stage, with run, stage, attempt and tenant as annotations.
 *
 * A failure is logged with what the result says of the error: its tag and its message, never a defect or a cause. Whoever
 * is interrupted from outside has nothing to report.
 */
export const logging = (): Interceptor =>
  make({
    name: "logging",
    order: orders.logging,
    around: (effect, { name }) => {
      // Where nobody hears what is logged at Debug, it costs nothing.
      const failures = tellExit(effect, (exit, isInterrupted) => isInterrupted ? undefined : failed(name, exit))
      const all = Effect.andThen(started, Effect.onExitPrimitive(failures, ended))
      return Effect.withFiber((fiber) => {
        const quiet = LogLevel.isGreaterThan(fiber.getRef(References.MinimumLogLevel), "Debug")
        const annotations = annotate(fiber.getRef(References.CurrentLogAnnotations), attemptIn(fiber))
        return Effect.provideService(quiet ? failures : all, References.CurrentLogAnnotations, annotations)
      })
    }
  })
