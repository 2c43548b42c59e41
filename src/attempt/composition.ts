/**
 * Composes interceptors: what several of them do around one stage or one run, from the outermost to the innermost.
 */
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import { InvalidOption } from "../internal/options.ts"
import {
  type Any,
  type Around,
  type AroundRun,
  build,
  combine,
  type Interceptor,
  partsOf,
  withOptionalRunPart,
  type Wrapper
} from "./interceptor-model.ts"

/** What it does around a stage, all its parts together. One that wraps runs has no place on a stage. */
export const aroundOf = (self: Any): Around => {
  if (
    outermostFirst([self]).some(({ aroundRun, runPartIsOptional }) =>
      aroundRun !== undefined && runPartIsOptional !== true
    )
  ) {
    throw new InvalidOption({
      option: "interceptor",
      expected: "one that wraps stages only; give this one to Pipeline.intercept or Interceptor.layer",
      given: `"${self.name}", which wraps runs`
    })
  }
  const arounds = stageArounds([self])
  return (effect, stage) => arounds.reduceRight((inner, around) => around(inner, stage), effect)
}

/** Single interceptors, outermost first: by `order`, and among equals in the order given. */
export const outermostFirst = (interceptors: ReadonlyArray<Any>): ReadonlyArray<Wrapper> =>
  interceptors.flatMap(partsOf).toSorted((a, b) => a.order - b.order)

/** What interceptors do around stages, outermost first. */
export const stageArounds = (interceptors: ReadonlyArray<Any>): ReadonlyArray<Around> =>
  outermostFirst(interceptors).flatMap(({ around, name }) => around === undefined ? [] : failingClosed(name, around))

/** Fails closed: an interceptor that throws, or gives no Effect, stops the stages that it was to wrap. */
const failingClosed = (name: string, around: Around): Around => (effect, stage) => {
  const wrapped = Result.try(() => around(effect, stage))
  if (Result.isFailure(wrapped)) return Effect.die(wrapped.failure)
  return Effect.isEffect(wrapped.success)
    ? wrapped.success
    : Effect.die(new TypeError(`Interceptor "${name}" gave no Effect for stage "${stage.name}"`))
}

/** What interceptors do around runs, outermost first. */
export const runArounds = (interceptors: ReadonlyArray<Any>): ReadonlyArray<AroundRun> =>
  outermostFirst(interceptors).flatMap(({ aroundRun }) => aroundRun ?? [])

/** The same interceptor, with something around what each of its parts makes of a stage or a run. */
export const surround = <E, R, P>(
  self: Interceptor<E, R, P>,
  outside: <A>(effect: Effect.Effect<A, unknown, unknown>, part: string, wraps: "stage" | "run") => typeof effect
): Interceptor<E, R, P> => {
  const parts = outermostFirst([self]).map((part) => {
    const { around, aroundRun, name, order } = part
    const surrounded = build<unknown, unknown, unknown>(name, order, {
      around: around && ((effect, stage) => outside(failingClosed(name, around)(effect, stage), name, "stage")),
      aroundRun: aroundRun && ((effect, run) => outside(aroundRun(effect, run), name, "run"))
    })
    return part.runPartIsOptional === true ? withOptionalRunPart(surrounded) : surrounded
  })
  // What is around it changes neither its errors nor its services.
  return combine(...parts) as unknown as Interceptor<E, R, P>
}
