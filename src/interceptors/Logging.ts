/**
 * Structured logs of stages: start and end at Debug, failures at Warning, nothing at Info.
 *
 * Whatever a stage itself logs carries the same annotations.
 */
import * as Effect from "effect/Effect"
import { type Interceptor, make } from "../Interceptor.ts"
import { summaryOf } from "../internal/telling.ts"
import { StageContext } from "../StageContext.ts"

const annotationsOf = ({ attempt, identity, lineage, pipeline, stage }: StageContext["Service"]) => ({
  pipeline,
  stage,
  attempt,
  runId: lineage.runId,
  correlationId: lineage.correlationId,
  ...(identity.orgId === undefined ? {} : { orgId: identity.orgId })
})

/**
 * Logs each attempt of each stage, with run, stage, attempt and tenant as annotations.
 */
export const logging = (): Interceptor =>
  make({
    name: "logging",
    order: 90,
    around: (effect) =>
      Effect.flatMap(StageContext, (context) =>
        Effect.logDebug("Stage started").pipe(
          Effect.andThen(effect),
          Effect.tap((outcome) => Effect.logDebug(`Stage ended: ${outcome._tag}`)),
          Effect.tapError((error) => {
            const { message, tag } = summaryOf(error)
            return Effect.logWarning(`Stage failed: ${tag}${message === "" ? "" : `: ${message}`}`)
          }),
          Effect.tapDefect(() => Effect.logWarning("Stage died")),
          Effect.annotateLogs(annotationsOf(context))
        ))
  })
