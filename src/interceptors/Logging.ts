/**
 * Structured logs of stages: start and end at Debug, failures at Warning, nothing at Info.
 *
 * Whatever a stage itself logs carries the same annotations.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import * as LogLevel from "effect/LogLevel"
import * as Option from "effect/Option"
import * as References from "effect/References"
import { attemptIn } from "../attempt/attempt.ts"
import { errorSummaryOf } from "../attempt/error-summary.ts"
import { type Interceptor, make, type Outcome } from "../Interceptor.ts"
import type { StageContext } from "../StageContext.ts"
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

/** What is logged of an attempt that failed. Whoever is interrupted has nothing to report. */
const failed = (cause: Cause.Cause<unknown>): Effect.Effect<void> | undefined => {
  if (Cause.hasInterruptsOnly(cause)) return undefined
  const error = Option.getOrUndefined(Cause.findErrorOption(cause))
  if (error === undefined) return Effect.logWarning("Stage died")
  const { message, tag } = errorSummaryOf(error)
  return Effect.logWarning(`Stage failed: ${tag}${message === "" ? "" : `: ${message}`}`)
}

const ended = (exit: Exit.Exit<Outcome, unknown>): Effect.Effect<void> | undefined =>
  exit._tag === "Success" ? Effect.logDebug(`Stage ended: ${exit.value._tag}`) : failed(exit.cause)

const endedBadly = (exit: Exit.Exit<Outcome, unknown>): Effect.Effect<void> | undefined =>
  exit._tag === "Success" ? undefined : failed(exit.cause)

/**
 * Logs each attempt of each stage, with run, stage, attempt and tenant as annotations.
 */
export const logging = (): Interceptor =>
  make({
    name: "logging",
    order: orders.logging,
    around: (effect) => {
      const all = Effect.onExitPrimitive(Effect.andThen(started, effect), ended)
      // Where nobody hears what is logged at Debug, it costs nothing.
      const failures = Effect.onExitPrimitive(effect, endedBadly)
      return Effect.withFiber((fiber) => {
        const quiet = LogLevel.isGreaterThan(fiber.getRef(References.MinimumLogLevel), "Debug")
        const annotations = annotate(fiber.getRef(References.CurrentLogAnnotations), attemptIn(fiber))
        return Effect.provideService(quiet ? failures : all, References.CurrentLogAnnotations, annotations)
      })
    }
  })
