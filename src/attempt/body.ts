/**
 * Lets an interceptor stand around what a stage itself runs, inside of everything else that is around the stage.
 *
 * What an interceptor wraps can end long before, or without, the stage's own Effect: a timeout leaves one behind that ignores
 * its interruption, a retry runs it again. Who has to know when that Effect itself runs asks for it here.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import { type Attempt, attemptIn } from "./attempt.ts"
import type { StageEffect } from "./interceptor-model.ts"

/** What to run where the stage's own Effect would run: that Effect, with something around it or not. */
export type AroundBody = (body: StageEffect, attempt: Attempt) => StageEffect

const Around = Context.Reference<AroundBody | undefined>("stageflow/attempt/AroundBody", {
  defaultValue: () => undefined
})

/** A run may start others inside of a stage, which have stages of their own. */
const isOneStage = (one: Attempt, other: Attempt): boolean =>
  one.lineage.runId === other.lineage.runId && one.stage === other.stage

/** Runs what is around a stage with something around each run of the stage's own Effect. */
export const aroundBody = (effect: StageEffect, stage: Attempt, around: AroundBody): StageEffect =>
  Effect.flatMap(Around, (outer) =>
    Effect.provideService(effect, Around, (body, attempt) => {
      const inner = isOneStage(stage, attempt) ? around(body, attempt) : body
      return outer === undefined ? inner : outer(inner, attempt)
    }))

/** The stage's own Effect as the fiber is to run it. */
export const bodyIn = (fiber: Fiber.Fiber<unknown, unknown>, body: StageEffect): StageEffect => {
  const around = fiber.getRef(Around)
  return around === undefined ? body : around(body, attemptIn(fiber))
}
