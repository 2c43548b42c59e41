/**
 * Logs stages: start and end at Debug, failures at Warning, nothing at Info.
 *
 * Whatever a stage itself logs carries the same annotations.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import * as LogLevel from "effect/LogLevel"
import * as References from "effect/References"
import { attemptIn } from "../attempt/attempt.ts"
import { errorSummaryOf } from "../attempt/error-summary.ts"
import { endingOfExit } from "../attempt/outcome.ts"
import { type Interceptor, make, type Outcome } from "../Interceptor.ts"
import type { StageContext } from "../StageContext.ts"
import { tellCause } from "./internal/ending.ts"
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

/** What is logged of an attempt that failed. */
const failed = (stage: string, exit: Exit.Exit<Outcome, unknown>): Effect.Effect<void> | undefined => {
  const ending = endingOfExit(stage, exit)
  if (ending._tag !== "Failed") return undefined
  const { message, tag } = errorSummaryOf(ending.error)
  return Effect.logWarning(`Stage failed: ${tag}${message === "" ? "" : `: ${message}`}`)
}

/** What is logged of the end of an attempt. Whoever is interrupted from outside has nothing to report. */
const ended = (
  stage: string,
  exit: Exit.Exit<Outcome, unknown>,
  isQuiet: boolean
): Effect.Effect<void> | undefined => {
  if (exit._tag === "Failure") {
    return tellCause(exit.cause, (isInterrupted) => isInterrupted ? undefined : failed(stage, exit))
  }
  if (exit.value._tag === "Retry") return Effect.logWarning(`Stage asked to be retried: ${exit.value.reason}`)
  return isQuiet ? undefined : Effect.logDebug(`Stage ended: ${exit.value._tag}`)
}

/**
 * Logs each attempt of each stage, with run, stage, attempt and tenant as annotations.
 *
 * A failure is logged with what the result says of the error: its tag and its message, never a defect or a cause.
 */
export const logging = (): Interceptor =>
  make({
    name: "logging",
    order: orders.logging,
    around: (effect, { name }) =>
      Effect.withFiber((fiber) => {
        // Where nobody hears what is logged at Debug, it costs nothing.
        const isQuiet = LogLevel.isGreaterThan(fiber.cache.minimumLogLevel, "Debug")
        const { context } = fiber
        const annotated = Effect.suspend(() => {
          const annotations = annotate(fiber.getRef(References.CurrentLogAnnotations), attemptIn(fiber))
          fiber.setContext(Context.add(context, References.CurrentLogAnnotations, annotations))
          return isQuiet ? effect : Effect.andThen(started, effect)
        })
        // An Effect that provides the annotations would cost as much as all the rest.
        return Effect.onExitPrimitive(annotated, (exit) => {
          const logged = ended(name, exit, isQuiet)
          if (logged !== undefined) return Effect.ensuring(logged, Effect.sync(() => fiber.setContext(context)))
          fiber.setContext(context)
          return undefined
        })
      })
  })
