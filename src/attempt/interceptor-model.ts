/**
 * Defines what an interceptor is: what it is told, what it wraps and the parts it is made of.
 */
import type * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import { type Pipeable, pipeArguments } from "effect/Pipeable"
import { holds } from "../internal/holds.ts"
import { instance } from "../internal/options.ts"
import type { Cancel, Ok, Retry, Skip } from "../internal/output-model.ts"
import type { Snapshot } from "../internal/snapshot-model.ts"

const TypeId = "~stageflow/Interceptor"

/**
 * What a wrapped stage ends with when it does not fail. A returned `Fail` arrives as a failure of the Effect.
 */
export type Outcome = Ok<unknown> | Skip | Cancel | Retry

/**
 * What an interceptor is told of the stage it wraps.
 */
export interface StageInfo {
  readonly name: string
  readonly kind: string
  readonly pipeline: string
  readonly annotations: Context.Context<never>
}

declare const Inner: unique symbol

/**
 * Stands for whatever the wrapped stage can fail with.
 */
export interface StageErrors {
  readonly [Inner]: "error"
}

/**
 * Stands for whatever the wrapped stage needs.
 */
export interface StageServices {
  readonly [Inner]: "services"
}

/**
 * What an interceptor is told of the run it wraps.
 */
export interface RunInfo {
  readonly pipeline: string
  /** The snapshot as the caller gave it. */
  readonly snapshot: Snapshot
}

/**
 * Stands for what the wrapped run ends with.
 */
export interface RunEnd {
  readonly [Inner]: "end"
}

/**
 * Stands for whatever the wrapped run can fail with.
 */
export interface RunErrors {
  readonly [Inner]: "run error"
}

/**
 * Stands for whatever the wrapped run needs.
 */
export interface RunServices {
  readonly [Inner]: "run services"
}

/**
 * Marks, among the errors of an interceptor, those that fail the run as they are, outside of any stage.
 */
export interface FailsRun<out Error> {
  readonly [Inner]: "fails the run"
  readonly error: Error
}

/**
 * A wrapper around stages that can fail with `Error`, needs `Services` and gives stages the services `Provided`.
 */
export interface Interceptor<out Error = never, out Services = never, out Provided = never> extends Pipeable {
  readonly [TypeId]: {
    readonly error: Error
    readonly services: Services
    readonly provided: Provided
  }
  readonly name: string
  readonly order: number
}

/**
 * Any interceptor.
 */
export type Any = Interceptor<unknown, unknown, unknown>

/** The Effect of a stage as an interceptor wraps it. */
export type StageEffect = Effect.Effect<Outcome, unknown, unknown>

/** What an interceptor does around a stage. */
export type Around = (effect: StageEffect, stage: StageInfo) => StageEffect

/** What an interceptor does around a run. */
export type AroundRun = <A>(
  effect: Effect.Effect<A, unknown, unknown>,
  run: RunInfo
) => Effect.Effect<A, unknown, unknown>

/** What every interceptor is: what it wraps, or the parts it was combined from. */
export interface Wrapper extends Any {
  readonly around: Around | undefined
  readonly aroundRun: AroundRun | undefined
  /** What `combine` put together. */
  readonly parts?: ReadonlyArray<Wrapper>
  /** Whether it asks before a stage runs; see `gate.ts`. */
  readonly isGate?: boolean
  /** Whether the types of the pipelines that it wraps say nothing of the faults with which it rejects runs. */
  readonly faultsAreUndeclared?: boolean
  /** Around a single stage, what it does around runs is left out. */
  readonly runPartIsOptional?: boolean
}

const Prototype = {
  [TypeId]: { error: undefined, services: undefined, provided: undefined },
  pipe() {
    return pipeArguments(this, arguments)
  }
}

interface Wraps {
  readonly around: Around | undefined
  readonly aroundRun: AroundRun | undefined
}

/** Makes an interceptor. */
export const build = <E, R, P>(name: string, order: number, wraps: Wraps): Interceptor<E, R, P> =>
  Object.assign(Object.create(Prototype) as Interceptor<E, R, P>, { name, order, ...wraps })

/** An interceptor around stages whose types the caller vouches for. */
export const fromAround = <E, R, P>(name: string, order: number, around: Around): Interceptor<E, R, P> =>
  build(name, order, { around, aroundRun: undefined })

/** What an interceptor can fail with. */
export type ErrorOf<I> = I extends Interceptor<infer E, unknown, unknown> ? E : never
/** What an interceptor needs. */
export type ServicesOf<I> = I extends Interceptor<unknown, infer R, unknown> ? R : never
/** What an interceptor gives stages. */
export type ProvidedBy<I> = I extends Interceptor<unknown, unknown, infer P> ? P : never

/**
 * Several interceptors as one. Each keeps its own `order`: around a pipeline they nest among the others as if they had
 * been listed one by one.
 */
export const combine = <const I extends ReadonlyArray<Any>>(
  ...interceptors: I
): Interceptor<ErrorOf<I[number]>, ServicesOf<I[number]>, ProvidedBy<I[number]>> => {
  const parts = interceptors.flatMap(partsOf)
  return Object.assign(
    build<ErrorOf<I[number]>, ServicesOf<I[number]>, ProvidedBy<I[number]>>(
      parts.map(({ name }) => name).join("+"),
      Math.min(100, ...parts.map(({ order }) => order)),
      { around: undefined, aroundRun: undefined }
    ),
    { parts }
  )
}

/** The single interceptors that one was combined from, or it alone. */
export const partsOf = (self: Any): ReadonlyArray<Wrapper> => {
  // Every interceptor is made by `build`.
  const wrapper = instance("interceptor", "an interceptor; see Interceptor.make", isInterceptor, self) as Wrapper
  return wrapper.parts ?? [wrapper]
}

/**
 * The same interceptor, for one that is not to die: should it all the same, the run dies of `RunRejected`, which then is in
 * no type. `Error` is what it fails with otherwise.
 */
export const undeclaringFaults = <Error, R = never, P = never>(
  self: Interceptor<unknown, R, P>
): Interceptor<Error, R, P> =>
  Object.assign(Object.create(Prototype) as Interceptor<Error, R, P>, self, { faultsAreUndeclared: true })

/** The same interceptor; around a single stage, what it does around runs is left out. */
export const withOptionalRunPart = <E, R, P>(self: Interceptor<E, R, P>): Interceptor<E, R, P> =>
  Object.assign(Object.create(Prototype) as Interceptor<E, R, P>, self, { runPartIsOptional: true })

/**
 * Whether a value is an interceptor.
 */
export const isInterceptor = (u: unknown): u is Any => typeof u === "object" && u !== null && holds(() => TypeId in u)
