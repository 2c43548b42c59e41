/**
 * Composes the Effect of each stage with everything around it: combinators of the stage, interceptors of the pipeline and
 * of Layers.
 */
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { bodyIn } from "../attempt/body.ts"
import { aroundGates } from "../attempt/composition.ts"
import { type Any as AnyInterceptor, type Around, type StageEffect } from "../attempt/interceptor-model.ts"
import { asEffect, normalizeFor } from "../attempt/outcome.ts"
import { wrappedOf } from "../attempt/wrapped.ts"
import type { Plan, PlannedStage } from "./plan.ts"
import { executionIn } from "./stage-execution.ts"

/**
 * What a stage runs, in the form that interceptors wrap. One Effect for all stages, which asks its fiber which stage it
 * is: one for each would be most of what a plan keeps in memory.
 */
const own: StageEffect = normalizeFor(
  () => executionIn(Fiber.getCurrent() as AnyFiber).planned.name, // an Effect is evaluated by a fiber
  Effect.withFiber((fiber) => {
    const { input, planned: { name, run } } = executionIn(fiber)
    return asEffect(name, run(input))
  })
)

type AnyFiber = Fiber.Fiber<unknown, unknown>

const body: StageEffect = Effect.withFiber((fiber) => bodyIn(fiber, own))

type Outer = ReturnType<typeof aroundGates>

const within = (stage: PlannedStage, arounds: ReadonlyArray<Around>, effect: StageEffect): StageEffect =>
  arounds.reduceRight((inner, around) => around(inner, stage.info), effect)

const composed = (stage: PlannedStage, { inside, outside }: Outer): StageEffect | undefined => {
  const { arounds, gates } = wrappedOf(stage.definition)
  if (arounds.length + gates.length + inside.length + outside.length === 0) return undefined
  const wrapped = within(stage, arounds.toReversed(), body)
  const asked = within(stage, gates.map(({ around }) => around), within(stage, inside, wrapped))
  return within(stage, outside, asked)
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
    const outer = aroundGates([...installed, ...interceptors])
    const effects = stages.map((stage) => composed(stage, outer))
    cache.set(key, { installed, effects })
    return effects
  }
}

const isSame = (one: ReadonlyArray<unknown>, other: ReadonlyArray<unknown>): boolean =>
  one.length === other.length && one.every((value, index) => value === other[index])
