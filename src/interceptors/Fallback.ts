/**
 * Replaces a failure with something else: other data, another way to make it, another provider.
 *
 * The result says so: the output's `events` hold a `fallback.used`, which `usedFallback` asks for, and the run has the event
 * `FallbackUsed`.
 */
import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as ExecutionPlan from "effect/ExecutionPlan"
import type * as Exit from "effect/Exit"
import { dual } from "effect/Function"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import { type Attempt, attemptOf } from "../attempt/attempt.ts"
import { aroundOf } from "../attempt/composition.ts"
import { errorSummaryOf } from "../attempt/error-summary.ts"
import { fromAround, type StageEffect } from "../attempt/interceptor-model.ts"
import { withNote } from "../attempt/kept-outcome.ts"
import { noteOf } from "../attempt/note.ts"
import { normalize } from "../attempt/outcome.ts"
import { isRefusedBy } from "../attempt/refusal.ts"
import type { Ports } from "../checks/stage.ts"
import type { ErrorSummary } from "../Event.ts"
import type { Interceptor, Outcome, StageInfo } from "../Interceptor.ts"
import * as options from "../internal/options.ts"
import { isRefusal } from "../internal/refusal.ts"
import * as Stage from "../Stage.ts"
import { StageContext } from "../StageContext.ts"
import { StageFault } from "../StageError.ts"
import type { Data, Errors, Signal, StageOutput } from "../StageOutput.ts"
import { orders } from "./internal/orders.ts"

const used = "fallback.used"

/**
 * Whether an output is a fallback's.
 */
export const usedFallback = (output: StageOutput): boolean => output.events.some(({ type }) => type === used)

const isTyped = (error: unknown): boolean => !(error instanceof StageFault)

/** The outcome with a note that it is a fallback's, and announced as such. */
const noted =
  (attempt: Attempt, what: { readonly error: ErrorSummary } | { readonly provider: number }) =>
  (outcome: Outcome): Outcome => {
    if (outcome._tag !== "Ok") return outcome
    attempt.announce({ _tag: "FallbackUsed", ...what })
    return withNote(outcome, noteOf(used, what))
  }

/** Runs `to` when the stage fails with a typed error that `when` accepts, and notes it in the output. */
const around = (
  when: (error: unknown, stage: StageInfo, cause: Cause.Cause<unknown>) => boolean,
  to: (error: unknown, stage: StageInfo) => Effect.Effect<unknown, unknown, unknown>
) =>
  fromAround("fallback", orders.fallback, (effect, stage) =>
    Effect.flatMap(StageContext, (context) => {
      const attempt = attemptOf(context)
      // What the failed attempt has added goes with it. What is not replaced leaves with its whole cause.
      return Effect.catchCause(attempt.firstAttempt(effect), (cause) => {
        const failed = Cause.findErrorOption(cause)
        if (Option.isNone(failed) || !isTyped(failed.value) || !when(failed.value, stage, cause)) {
          return Effect.failCause(cause)
        }
        const error = failed.value
        const instead = normalize(stage.name, Effect.suspend(() => to(error, stage)))
        return Effect.map(instead, noted(attempt, { error: errorSummaryOf(error) }))
      })
    }))

const always = () => true

/**
 * Replaces the errors of a stage that `when` accepts (all typed errors, when left out) with something else.
 *
 * `to` is read like what any stage returns. Defects and invalid outputs are not typed errors, so it does not replace them.
 * Nobody falls back from a denial, that of a child run included: `when` is not asked. What the stage finds when it is a
 * guard is its own error, and can be replaced.
 */
export const fallbackTo: {
  <E, A2 extends object | void, E2, R2>(
    to: (error: E) => Effect.Effect<A2, E2, R2>,
    given?: { readonly when?: ((error: E) => boolean) | undefined }
  ): <Name extends string, In, D, S, R>(
    self: Stage.Stage<Name, In, D, S, E, R>
  ) => Stage.Stage<
    Name,
    In,
    D | Data<A2>,
    S | Signal<A2, R2>,
    E | Errors<A2, E2>,
    R | Ports<R2>
  >
  <Name extends string, In, D, S, E, R, A2 extends object | void, E2, R2>(
    self: Stage.Stage<Name, In, D, S, E, R>,
    to: (error: E) => Effect.Effect<A2, E2, R2>,
    given?: { readonly when?: ((error: E) => boolean) | undefined }
  ): Stage.Stage<
    Name,
    In,
    D | Data<A2>,
    S | Signal<A2, R2>,
    E | Errors<A2, E2>,
    R | Ports<R2>
  >
} = dual(
  (args) => Stage.isStage(args[0]),
  <Name extends string, In, D, S, E, R, A2 extends object | void, E2, R2>(
    self: Stage.Stage<Name, In, D, S, E, R>,
    to: (error: E) => Effect.Effect<A2, E2, R2>,
    given?: { readonly when?: ((error: E) => boolean) | undefined }
  ) => {
    options.onlyIfGiven(["when"], given)
    options.callable("to", to)
    const accepts = options.callable("when", given?.when ?? always)
    return Stage.intercept(
      self,
      around(
        // What is no fault is one of the stage's typed errors, E.
        (error, _, cause) => !isRefusal(error, cause) && accepts(error as E),
        to as (error: unknown) => Effect.Effect<A2, E2, R2>
      )
    )
  }
)

/** What a fallback of many stages may not give, as a sentence. */
type OnlyData<A, R> = [Signal<A, R>] extends [never] ? unknown
  : {
    readonly to: `it may ${Signal<A, R>}, which stages that cannot are not read for; fallbackTo tells readers`
  }

/**
 * Replaces the errors of every stage that `when` accepts with something else. Nobody falls back from a denial, or from what
 * a guard found: `when` is not asked. `fallbackTo` on the guard itself says that it may be.
 *
 * Use it for stages that give data of one shape; `fallbackTo` checks that for a single stage. It gives data or fails:
 * readers of the stages do not know that they could end otherwise.
 */
export const fallback = <A extends object | void, E, R>(
  settings: {
    readonly when: (error: unknown) => boolean
    readonly to: (error: unknown, stage: StageInfo) => Effect.Effect<A, E, R>
  } & OnlyData<A, R>
): Interceptor<Errors<A, E>, Ports<R>> => {
  options.only(["when", "to"], settings)
  const when = options.callable("when", settings.when)
  const to = options.callable("to", settings.to)
  return fromAround(
    "fallback",
    orders.fallback,
    aroundOf(around((error, stage, cause) => !isRefusedBy(stage, error, cause) && when(error), to))
  )
}

/**
 * One provider of a fallback across providers: the ports it gives, and how often it is tried.
 */
export interface Provider<P, E, R> {
  readonly provide: Layer.Layer<P, E, R>
  /** How many attempts it gets. 1 when left out. */
  readonly attempts?: number | undefined
  /** The waits between its attempts. */
  readonly schedule?: Schedule.Schedule<unknown, unknown> | undefined
  /** Whether another attempt, with this provider or the next, makes sense after this error. Any error, when left out. */
  readonly while?: ((error: unknown) => boolean) | undefined
}

/** Any provider: a Layer of whatever it gives. */
type AnyProvider = Provider<never, unknown, unknown>

type ProvidedPorts<S> = S extends Provider<infer P, unknown, unknown> ? P : never
type LayerErrors<S> = S extends Provider<never, infer E, unknown> ? E : never
type LayerServices<S> = S extends Provider<never, unknown, infer R> ? R : never

/** Stands for a failure that no other provider is tried after. */
const final = Symbol("final")

/** What an ExecutionPlan takes as a step. Whether another attempt makes sense is decided where an attempt has failed. */
const stepOf = (provider: AnyProvider) => {
  options.only(["provide", "attempts", "schedule", "while"], provider)
  const { attempts, provide, schedule } = provider
  if (attempts !== undefined) options.positiveCount("attempts", attempts)
  options.ofKind("provide", "a Layer", Layer.isLayer, provide)
  if (schedule !== undefined) options.ofKind("schedule", "a Schedule", Schedule.isSchedule, schedule)
  if (provider.while !== undefined) options.callable("while", provider.while)
  return {
    provide,
    ...(attempts === undefined ? {} : { attempts }),
    ...(schedule === undefined ? {} : { schedule }),
    while: (error: unknown) => error !== final
  }
}

/** Runs an Effect again and again, each time as an attempt of its own. */
const asAttempts = (effect: StageEffect): Effect.Effect<StageEffect, never, StageContext> =>
  Effect.map(StageContext, (context) => {
    const attempt = attemptOf(context)
    let last: Exit.Exit<Outcome, unknown> | undefined
    return Effect.suspend(() =>
      Effect.onExit(
        last === undefined ? attempt.firstAttempt(effect) : attempt.nextAttempt(last, Duration.zero)(effect),
        (exit) =>
          Effect.sync(() => {
            last = exit
          })
      )
    )
  })

/**
 * Gives stages their ports from the first provider, and runs them again with the next when they fail: an `ExecutionPlan`
 * across Layers. Each time counts as an attempt of the stage.
 *
 * `while` of a provider says whether any other attempt makes sense after an error that came with it. A denial, what a guard
 * found, a defect and an invalid output are final.
 */
export const providers = <
  const S extends readonly [AnyProvider, ...ReadonlyArray<AnyProvider>]
>(...steps: S): Interceptor<LayerErrors<S[number]>, LayerServices<S[number]>, ProvidedPorts<S[number]>> => {
  const [first, ...rest] = steps
  const plan = ExecutionPlan.make(stepOf(first), ...rest.map(stepOf))
  return fromAround("providers", orders.fallback, (effect, stage) =>
    Effect.flatMap(asAttempts(effect), (attempt) => {
      /** What the last attempt failed with, as a whole: the plan hands on errors only. */
      const tries: { last?: { readonly cause: Cause.Cause<unknown>; readonly error: unknown } } = {}
      const tried = Effect.gen(function*() {
        const { stepIndex } = yield* ExecutionPlan.CurrentMetadata
        const goesOn = (error: unknown, cause: Cause.Cause<unknown>) =>
          isTyped(error) && !isRefusedBy(stage, error, cause) && (steps[stepIndex]?.while?.(error) ?? true)
        const outcome = yield* Effect.catchCause(attempt, (cause) => {
          const failed = Cause.findErrorOption(cause)
          if (Option.isNone(failed)) return Effect.failCause(cause)
          const error = goesOn(failed.value, cause) ? failed.value : final
          tries.last = { cause, error }
          return Effect.fail(error)
        })
        return stepIndex === 0 ? outcome : noted(attemptOf(yield* StageContext), { provider: stepIndex })(outcome)
      })
      return Effect.catch(
        Effect.withExecutionPlan(tried, plan),
        // A Layer of a provider fails without an attempt.
        (error) => {
          const { last } = tries
          return last !== undefined && last.error === error ? Effect.failCause(last.cause) : Effect.fail(error)
        }
      )
    }))
}
