/**
 * Composes the Effect of each stage with everything around it: combinators of the stage, interceptors of the pipeline and
 * of Layers.
 */
import * as Effect from "effect/Effect"
import { bodyIn } from "../attempt/body.ts"
import { stageArounds } from "../attempt/composition.ts"
import { type Any as AnyInterceptor, type Around, aroundsOf, type StageEffect } from "../attempt/interceptor-model.ts"
import { asEffect, normalize } from "../attempt/outcome.ts"
import type { Plan, PlannedStage } from "./plan.ts"
import { executionIn } from "./stage-execution.ts"

/**
 * What a stage runs, in the form that interceptors wrap. One Effect for all stages, which asks its fiber which stage it
 * is: one for each would be most of what a plan keeps in memory.
 */
const own: StageEffect = Effect.withFiber((fiber) => {
  const { input, planned: { name, run } } = executionIn(fiber)
  // Frozen, because what is around the stage may run it again: an attempt leaves no marks for the next one.
  return normalize(name, asEffect(name, run(Object.freeze(input))))
})

const body: StageEffect = Effect.withFiber((fiber) => bodyIn(fiber, own))

const composed = (stage: PlannedStage, outer: ReadonlyArray<Around>): StageEffect | undefined => {
  const inner = aroundsOf(stage.definition)
  if (inner.length === 0 && outer.length === 0) return undefined
  const withInner = inner.reduce<StageEffect>((effect, around) => around(effect, stage.info), body)
  return outer.reduceRight((effect, around) => around(effect, stage.info), withInner)
}

/**
 * The Effect of each stage with everything around it, composed once for each list of installed interceptors. A stage
 * with nothing around it has none: the engine runs it as it is.
 */
export const composedEffects = (
  stages: ReadonlyArray<PlannedStage>,
  interceptors: ReadonlyArray<AnyInterceptor>
): Plan["effects"] => {
  // By the innermost interceptor, which goes with the Layer that installed it.
  const cache = new WeakMap<object, {
    readonly installed: ReadonlyArray<AnyInterceptor>
    readonly effects: ReadonlyArray<StageEffect | undefined>
  }>()
  return (installed) => {
    const key = installed.at(-1) ?? cache
    const known = cache.get(key)
    if (known !== undefined && isSame(known.installed, installed)) return known.effects
    const outer = stageArounds([...installed, ...interceptors])
    const effects = stages.map((stage) => composed(stage, outer))
    cache.set(key, { installed, effects })
    return effects
  }
}

const isSame = (one: ReadonlyArray<unknown>, other: ReadonlyArray<unknown>): boolean =>
  one.length === other.length && one.every((value, index) => value === other[index])
