/**
 * Spans for runs, stages and attempts, nested in that order.
 *
 * The spans go to the `Tracer` in the environment; with none, Effect's native one keeps them for `currentSpan` and logs.
 */
import * as Effect from "effect/Effect"
import * as Tracer from "effect/Tracer"
import { attemptIn } from "../attempt/attempt.ts"
import { undeclaringFaults, withOptionalRunPart } from "../attempt/interceptor-model.ts"
import { combine, type Interceptor, make } from "../Interceptor.ts"
import { orders } from "./internal/orders.ts"

/**
 * Runs an Effect in a span, which `describe` gives its attributes. `Effect.withSpan` would also keep where the span was
 * made, which says nothing here.
 */
const inSpan = <A, E, R>(
  name: string,
  effect: Effect.Effect<A, E, R>,
  describe: (span: Tracer.Span) => void
): Effect.Effect<A, E, R> =>
  Effect.useSpan(name, (span) => {
    describe(span)
    return Effect.provideService(effect, Tracer.ParentSpan, span)
  })

// Around a single stage there are the spans of the stage and of its attempts.
const run = withOptionalRunPart(undeclaringFaults<never>(make({
  name: "tracing (run)",
  order: orders.tracingOfRun,
  aroundRun: (effect, { pipeline }) =>
    inSpan(`pipeline ${pipeline}`, effect, (span) => span.attribute("stageflow.pipeline", pipeline))
})))

const stage = make({
  name: "tracing (stage)",
  order: orders.tracingOfStage,
  around: (effect, { kind, name, pipeline }) => {
    const spanName = `stage ${name}`
    return Effect.withFiber((fiber) => {
      const { identity, lineage } = attemptIn(fiber)
      return Effect.useSpan(spanName, (span) => {
        span.attribute("stageflow.pipeline", pipeline)
        span.attribute("stageflow.stage", name)
        span.attribute("stageflow.kind", kind)
        span.attribute("stageflow.run_id", lineage.runId)
        span.attribute("stageflow.correlation_id", lineage.correlationId)
        if (identity.orgId !== undefined) span.attribute("stageflow.org_id", identity.orgId)
        const noted = Effect.map(effect, (outcome) => {
          span.attribute("stageflow.outcome", outcome._tag)
          return outcome
        })
        return Effect.provideService(noted, Tracer.ParentSpan, span)
      })
    })
  }
})

const attempt = make({
  name: "tracing (attempt)",
  order: orders.tracingOfAttempt,
  around: (effect, { name }) =>
    Effect.withFiber((fiber) => {
      const { attempt } = attemptIn(fiber)
      return inSpan(`attempt ${attempt} of ${name}`, effect, (span) => {
        span.attribute("stageflow.stage", name)
        span.attribute("stageflow.attempt", attempt)
      })
    })
})

/**
 * A span for the run, below it one for each stage, and below that one for each attempt.
 *
 * An error in a span is the error that the result has.
 */
export const tracing = (): Interceptor => combine(run, stage, attempt)
