/**
 * Makes the outcome of a stage, which is one of five.
 *
 * - `Ok` carries the data that readers get. A stage that returns a plain object is `Ok` with that object, a stage
 *   that returns nothing is `Ok` with `{}`.
 * - `Skip` says that there was nothing to do. It is not an error.
 * - `Cancel` ends the whole run, on purpose. It is not an error either.
 * - `Fail` is a typed failure; it is the same as failing the stage's `Effect`.
 * - `Retry` asks to be run again. Only a retry policy grants it.
 *
 * The four that are not `Ok` can be returned, or yielded to leave from any depth. What is yielded goes past the handlers of
 * errors (`Effect.catch`, `retry`, `option`, `match`) and runs finalizers; `Effect.catchCause` and `Effect.exit` see it. A
 * `Fail` is a typed error to all of them:
 *
 * ```ts
 * import { Effect } from "effect"
 * import { Snapshot, Stage, StageOutput } from "stageflow"
 *
 * const profile = Stage.enrich("profile", {
 *   run: Effect.gen(function*() {
 *     const { userId } = yield* Snapshot.current
 *     if (userId === undefined) return yield* StageOutput.skip("No user_id provided")
 *     return { profile: { name: userId } }
 *   })
 * })
 * ```
 *
 * The keys of the data mean nothing to the engine: `{ status: "fail" }` is data like any other.
 */
import type * as Duration from "effect/Duration"
import { absurd } from "effect/Function"
import * as Result from "effect/Result"
import { duration } from "./internal/options.ts"
import {
  type Cancel,
  type Details,
  type Fail,
  type InStage,
  type Ok,
  okWith,
  type Retry,
  signal,
  type Skip,
  type StageOutput
} from "./internal/output-model.ts"

export { isStageOutput } from "./internal/output-model.ts"
export type {
  Artifact,
  Cancel,
  Details,
  Emitted,
  Fail,
  InStage,
  Ok,
  Retry,
  Settled,
  Skip,
  SkipData,
  StageOutput
} from "./internal/output-model.ts"

/**
 * Makes an `Ok`: the stage did its work and gives `data`, with artifacts, events or a version beside it.
 *
 * A stage with nothing to add can return the data itself.
 */
export const ok = <const A extends object = {}>(data?: A, details?: Details): Ok<A> =>
  // With no argument A is `{}`, its default. Anything else that is no object is found out where the output is read.
  okWith(data === undefined ? ({} as A) : data, details)

/**
 * Makes a `Skip`: there was nothing to do, and why.
 */
export const skip = (
  reason: string,
  options?: Details & { readonly data?: Readonly<Record<string, unknown>> | undefined }
): Skip => signal<Skip>({ _tag: "Skip", reason, data: options?.data ?? {}, origin: undefined }, options)

/**
 * Ends the whole run, and says why.
 */
export const cancel = (
  reason: string,
  options?: Details & { readonly data?: Readonly<Record<string, unknown>> | undefined }
): Cancel => signal<Cancel>({ _tag: "Cancel", reason, data: options?.data ?? {} }, options)

/**
 * Fails the stage with a typed error.
 *
 * Use it where a stage returns outcomes as values; inside a generator `return yield* new MyError(...)` says the same.
 */
export const fail = <const E>(
  error: E,
  options?: Details & { readonly data?: Readonly<Record<string, unknown>> | undefined }
): Fail<E> => signal<Fail<E>>({ _tag: "Fail", error, data: options?.data ?? {} }, options)

/**
 * Asks to be run again, at the earliest `after` from now.
 */
export const retry = (
  reason: string,
  options?: Details & {
    readonly data?: Readonly<Record<string, unknown>> | undefined
    readonly after?: Duration.Input | undefined
  }
): Retry => {
  const given = options?.after
  // What is no duration is found out where the output is read, as everything else in it that should not be.
  const after = given === undefined
    ? undefined
    : Result.getOrElse(Result.try(() => duration("after", given)), () => given)
  return signal<Retry>({ _tag: "Retry", reason, data: options?.data ?? {}, after: after as Retry["after"] }, options)
}

/**
 * Whether an outcome is `Ok`.
 */
export const isOk = <A>(self: StageOutput<A>): self is Ok<A> => self._tag === "Ok"

/**
 * Whether an outcome is `Skip`.
 */
export const isSkip = (self: StageOutput): self is Skip => self._tag === "Skip"

/**
 * Folds an outcome.
 */
export const match = <A, E, B>(self: StageOutput<A, E>, cases: {
  readonly Ok: (output: Ok<A>) => B
  readonly Skip: (output: Skip) => B
  readonly Cancel: (output: Cancel) => B
  readonly Fail: (output: Fail<E>) => B
  readonly Retry: (output: Retry) => B
}): B => {
  switch (self._tag) {
    case "Ok":
      return cases.Ok(self)
    case "Skip":
      return cases.Skip(self)
    case "Cancel":
      return cases.Cancel(self)
    case "Fail":
      return cases.Fail(self)
    case "Retry":
      return cases.Retry(self)
    default:
      return absurd(self)
  }
}

/**
 * The data inside what a stage may return: what its readers get.
 */
export type Data<A> = A extends Ok<infer D> ? D
  : A extends Skip | Cancel | Retry | Fail<infer _E> ? never
  : A extends void ? {}
  : A

/**
 * Which outcomes besides `Ok` and `Fail` a stage may end with, as words: what it may return (`A`) and, by yielding it,
 * needs to be in a stage for (`R`).
 */
export type Signal<A, R = never> =
  // Nothing is known of `any`: it is not taken for all of them.
  | (0 extends 1 & A ? never
    : A extends Skip ? "skip"
    : A extends Cancel ? "cancel"
    : A extends Retry ? "retry"
    : never)
  | (R extends InStage<infer S> ? S : never)

/**
 * The typed errors of a stage: what it fails with (`E`), and those among what it may return (`A`).
 */
export type Errors<A, E> = E | FailError<A>

type FailError<X> = X extends Fail<infer E> ? E : never
