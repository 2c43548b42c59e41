/**
 * Traces runs, stages and attempts as spans, nested in that order.
 *
 * The spans go to the `Tracer` in the environment; with none, Effect's native one keeps them for `currentSpan` and logs.
 *
 * Whatever a span ends with goes to an exporter, and from there to people who may see less than the program: a failed one
 * ends with what a result says of the error (its tag, its code and its message), never with a defect, a cause or a field.
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import * as References from "effect/References"
import * as Tracer from "effect/Tracer"
import { attemptIn } from "../attempt/attempt.ts"
import { errorSummaryOf } from "../attempt/error-summary.ts"
import { undeclaringFaults, withOptionalRunPart } from "../attempt/interceptor-model.ts"
import type { ErrorSummary } from "../Event.ts"
import { combine, type Interceptor, make } from "../Interceptor.ts"
import { RunRejected } from "../StageError.ts"
import { type StageEnd, tellEnd, tellExit } from "./internal/ending.ts"
import { orders } from "./internal/orders.ts"

/** Ends a span before `Effect.useSpan` does, which would end it with the exit as it is. */
const endNow = (fiber: Fiber.Fiber<unknown, unknown>, span: Tracer.Span, exit: Exit.Exit<never, unknown>): void => {
  const isTimed = fiber.getRef(References.TracerTimingEnabled)
  span.end(isTimed ? fiber.getRef(Clock.Clock).currentTimeNanosUnsafe() : 0n, exit)
}

/** What tracers look for in an error, and nothing else of it. */
const failure = ({ tag, ...summary }: ErrorSummary): Exit.Exit<never, unknown> =>
  Exit.fail({ _tag: tag, name: tag, ...summary })

/** The exit to end a span with, `undefined` when that of a success says it all. */
const exitOf = (end: StageEnd): Exit.Exit<never, unknown> | undefined => {
  switch (end._tag) {
    case "Ok":
    case "Skip":
    case "Cancel":
      return undefined
    case "Failed":
      return failure(errorSummaryOf(end.error))
    case "Interrupted":
      return Exit.interrupt()
  }
}

/** What a run failed with. A defect says what it likes, unless it is what a Layer rejects runs with. */
const runFailure = (pipeline: string, cause: Cause.Cause<unknown>): Exit.Exit<never, unknown> => {
  const error = Option.getOrElse(
    Cause.findErrorOption(cause),
    () =>
      cause.reasons.filter(Cause.isDieReason).map(({ defect }) => defect).find((defect) =>
        defect instanceof RunRejected
      )
  )
  if (error !== undefined) return failure(errorSummaryOf(error))
  return Cause.hasInterruptsOnly(cause)
    ? Exit.interrupt()
    : failure({ tag: "Defect", message: `A run of pipeline "${pipeline}" died of a defect` })
}

// Around a single stage there are the spans of the stage and of its attempts.
const run = withOptionalRunPart(undeclaringFaults<never>(make({
  name: "tracing (run)",
  order: orders.tracingOfRun,
  aroundRun: (effect, { pipeline }) =>
    Effect.withFiber((fiber) =>
      Effect.useSpan(`pipeline ${pipeline}`, (span) => {
        span.attribute("stageflow.pipeline", pipeline)
        return tellExit(Effect.provideService(effect, Tracer.ParentSpan, span), (exit, isInterrupted) => {
          if (exit._tag === "Failure") {
            endNow(fiber, span, isInterrupted ? Exit.interrupt() : runFailure(pipeline, exit.cause))
          } else if (Predicate.hasProperty(exit.value, "_tag")) {
            span.attribute("stageflow.outcome", exit.value._tag)
          }
          return undefined
        })
      })
    )
})))

// `Effect.withSpan` would also keep where the span was made, which says nothing here.
const stage = make({
  name: "tracing (stage)",
  order: orders.tracingOfStage,
  around: (effect, { kind, name, pipeline }) => {
    const spanName = `stage ${name}`
    return Effect.withFiber((fiber) => {
      const attempt = attemptIn(fiber)
      const { identity, lineage } = attempt
      return Effect.useSpan(spanName, (span) => {
        span.attribute("stageflow.pipeline", pipeline)
        span.attribute("stageflow.stage", name)
        span.attribute("stageflow.kind", kind)
        span.attribute("stageflow.run_id", lineage.runId)
        span.attribute("stageflow.correlation_id", lineage.correlationId)
        if (identity.orgId !== undefined) span.attribute("stageflow.org_id", identity.orgId)
        return tellEnd(Effect.provideService(effect, Tracer.ParentSpan, span), attempt, (end) => {
          const exit = exitOf(end)
          if (exit === undefined) span.attribute("stageflow.outcome", end._tag)
          else endNow(fiber, span, exit)
          return undefined
        })
      })
    })
  }
})

const attempt = make({
  name: "tracing (attempt)",
  order: orders.tracingOfAttempt,
  around: (effect, { name }) =>
    Effect.withFiber((fiber) => {
      const attempt = attemptIn(fiber)
      return Effect.useSpan(`attempt ${attempt.attempt} of ${name}`, (span) => {
        span.attribute("stageflow.stage", name)
        span.attribute("stageflow.attempt", attempt.attempt)
        return tellEnd(Effect.provideService(effect, Tracer.ParentSpan, span), attempt, (end) => {
          const exit = exitOf(end)
          if (exit !== undefined) endNow(fiber, span, exit)
          return undefined
        })
      })
    })
})

/**
 * Makes a span for the run, below it one for each stage, and below that one for each attempt.
 *
 * An error in a span is the error that the result has: its tag, its code and its message. A stage that asks for a retry
 * has failed with `RetryExhausted`, and so has each of its attempts that asked for another.
 */
export const tracing = (): Interceptor => combine(run, stage, attempt)
