/**
 * Spans for runs, stages and attempts, nested in that order.
 *
 * The spans go to the `Tracer` in the environment; with none, Effect's native one keeps them for `currentSpan` and logs.
 */
import * as Effect from "effect/Effect"
import * as Tracer from "effect/Tracer"
import { combine, type Interceptor, make } from "../Interceptor.ts"
import { executionIn } from "../internal/execution.ts"

/** Runs an Effect in a span. `Effect.withSpan` would also keep where the span was made, which says nothing here. */
const inSpan = <A, E, R>(
  name: string,
  attributes: Record<string, unknown>,
  effect: (span: Tracer.Span) => Effect.Effect<A, E, R>
): Effect.Effect<A, E, R> =>
  Effect.useSpan(name, { attributes }, (span) => Effect.provideService(effect(span), Tracer.ParentSpan, span))

const run = make({
  name: "tracing (run)",
  order: 5,
  aroundRun: (effect, { pipeline }) => inSpan(`pipeline ${pipeline}`, { "stageflow.pipeline": pipeline }, () => effect)
})

const stage = make({
  name: "tracing (stage)",
  order: 25,
  around: (effect, { kind, name, pipeline }) => {
    const known = { "stageflow.pipeline": pipeline, "stageflow.stage": name, "stageflow.kind": kind }
    return Effect.withFiber((fiber) => {
      const { identity, lineage } = executionIn(fiber)
      const attributes = {
        ...known,
        "stageflow.run_id": lineage.runId,
        "stageflow.correlation_id": lineage.correlationId,
        ...(identity.orgId === undefined ? {} : { "stageflow.org_id": identity.orgId })
      }
      return inSpan(`stage ${name}`, attributes, (span) =>
        Effect.map(effect, (outcome) => {
          span.attribute("stageflow.outcome", outcome._tag)
          return outcome
        }))
    })
  }
})

const attempt = make({
  name: "tracing (attempt)",
  order: 80,
  around: (effect, { name }) =>
    Effect.withFiber((fiber) => {
      const { attempt } = executionIn(fiber)
      const attributes = { "stageflow.stage": name, "stageflow.attempt": attempt }
      return inSpan(`attempt ${attempt} of ${name}`, attributes, () => effect)
    })
})

/**
 * A span for the run, below it one for each stage, and below that one for each attempt.
 *
 * An error in a span is the error that the result has.
 */
export const tracing = (): Interceptor => combine(run, stage, attempt)
