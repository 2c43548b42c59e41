/**
 * Spans for runs, stages and attempts, nested in that order.
 *
 * The spans go to the `Tracer` in the environment; with none, Effect's native one keeps them for `currentSpan` and logs.
 */
import * as Effect from "effect/Effect"
import { combine, type Interceptor, make } from "../Interceptor.ts"
import { StageContext } from "../StageContext.ts"

// Where a span was made says nothing here, and capturing it costs as much as the span.
const here = { captureStackTrace: false }

const run = make({
  name: "tracing (run)",
  order: 5,
  aroundRun: (effect, { pipeline }) =>
    effect.pipe(Effect.withSpan(`pipeline ${pipeline}`, { attributes: { "stageflow.pipeline": pipeline } }, here))
})

const stage = make({
  name: "tracing (stage)",
  order: 25,
  around: (effect, { kind, name, pipeline }) =>
    Effect.flatMap(StageContext, ({ identity, lineage }) =>
      effect.pipe(
        Effect.tap((outcome) => Effect.annotateCurrentSpan("stageflow.outcome", outcome._tag)),
        Effect.withSpan(`stage ${name}`, {
          attributes: {
            "stageflow.pipeline": pipeline,
            "stageflow.stage": name,
            "stageflow.kind": kind,
            "stageflow.run_id": lineage.runId,
            "stageflow.correlation_id": lineage.correlationId,
            ...(identity.orgId === undefined ? {} : { "stageflow.org_id": identity.orgId })
          }
        }, here)
      ))
})

const attempt = make({
  name: "tracing (attempt)",
  order: 80,
  around: (effect, { name }) =>
    Effect.flatMap(StageContext, (context) =>
      effect.pipe(Effect.withSpan(`attempt ${context.attempt} of ${name}`, {
        attributes: { "stageflow.stage": name, "stageflow.attempt": context.attempt }
      }, here)))
})

/**
 * A span for the run, below it one for each stage, and below that one for each attempt.
 *
 * An error in a span is the error that the result has.
 */
export const tracing = (): Interceptor => combine(run, stage, attempt)
