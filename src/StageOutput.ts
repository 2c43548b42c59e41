/**
 * What a stage hands back: one of five outcomes.
 *
 * - `Ok` carries the data that readers get. A stage that returns a plain object is `Ok` with that object, a stage
 *   that returns nothing is `Ok` with `{}`.
 * - `Skip` says that there was nothing to do. It is not an error.
 * - `Cancel` ends the whole run, on purpose. It is not an error either.
 * - `Fail` is a typed failure; it is the same as failing the stage's `Effect`.
 * - `Retry` asks to be run again. Only a retry policy grants it.
 *
 * The four that are not `Ok` can be returned, or yielded to leave from any depth:
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
import * as Effect from "effect/Effect"
import * as Effectable from "effect/Effectable"
import { absurd } from "effect/Function"
import * as Predicate from "effect/Predicate"
import { duration } from "./internal/options.ts"

const TypeId = "~stageflow/StageOutput"

/**
 * Something a stage made besides its data: a chart, a file, a payload for a screen.
 */
export interface Artifact {
  readonly type: string
  readonly payload: unknown
}

/**
 * Something that happened inside a stage and belongs in the run's events.
 */
export interface Emitted {
  readonly type: string
  readonly data: unknown
}

/**
 * What every outcome can carry.
 */
export interface Details {
  readonly artifacts?: ReadonlyArray<Artifact> | undefined
  readonly events?: ReadonlyArray<Emitted> | undefined
  readonly version?: string | undefined
}

interface Common {
  readonly [TypeId]: typeof TypeId
  /** What the stage made besides its data. */
  readonly artifacts: ReadonlyArray<Artifact>
  /** What the stage reported. */
  readonly events: ReadonlyArray<Emitted>
  /** The version of the shape of `data`, when the stage states one. */
  readonly version: string | undefined
  /** How long the stage ran, all attempts together. Set by the engine. */
  readonly durationMs: number | undefined
}

/**
 * The stage did its work; `data` is what readers get.
 */
export interface Ok<out A> extends Common {
  readonly _tag: "Ok"
  readonly data: A
}

/**
 * There was nothing to do. Readers with `.option` get `None`, readers with `.required` are skipped too.
 */
export interface Skip extends Common, Effect.Effect<never, Skip> {
  readonly _tag: "Skip"
  readonly reason: string
  readonly data: Readonly<Record<string, unknown>>
  /** The stage that was skipped first, when this one was skipped because of it. Set by the engine. */
  readonly origin: string | undefined
}

/**
 * The run ends here, on purpose, as `Cancelled`.
 */
export interface Cancel extends Common, Effect.Effect<never, Cancel> {
  readonly _tag: "Cancel"
  readonly reason: string
  readonly data: Readonly<Record<string, unknown>>
}

/**
 * The stage failed with a typed error, as if its `Effect` had failed with it.
 */
export interface Fail<out E> extends Common, Effect.Effect<never, Fail<E>> {
  readonly _tag: "Fail"
  readonly error: E
  readonly data: Readonly<Record<string, unknown>>
}

/**
 * The stage asks to be run again; without a policy that grants it the run fails with `RetryExhausted`.
 */
export interface Retry extends Common, Effect.Effect<never, Retry> {
  readonly _tag: "Retry"
  readonly reason: string
  readonly data: Readonly<Record<string, unknown>>
  /** How long to wait at least before the next attempt. */
  readonly after: Duration.Duration | undefined
}

/**
 * Any outcome.
 */
export type StageOutput<A = unknown, E = unknown> = Ok<A> | Skip | Cancel | Fail<E> | Retry

/**
 * What the engine keeps of a stage that ended without failing.
 */
export type Settled<A = unknown> = Ok<A> | Skip | Cancel

const none: ReadonlyArray<never> = Object.freeze([])

class OkImpl<A> implements Ok<A> {
  // On the prototype, so that an output shows what it holds and nothing else.
  declare readonly [TypeId]: typeof TypeId
  static {
    Object.defineProperty(this.prototype, TypeId, { value: TypeId })
    // What a console shows it as.
    Object.defineProperty(this, "name", { value: "Ok" })
  }
  readonly _tag = "Ok"
  readonly data: A
  readonly artifacts: ReadonlyArray<Artifact>
  readonly events: ReadonlyArray<Emitted>
  readonly version: string | undefined
  readonly durationMs: number | undefined
  constructor(
    data: A,
    artifacts: ReadonlyArray<Artifact>,
    events: ReadonlyArray<Emitted>,
    version: string | undefined,
    durationMs: number | undefined
  ) {
    this.data = data
    this.artifacts = artifacts
    this.events = events
    this.version = version
    this.durationMs = durationMs
  }
}

// An outcome other than Ok is itself an Effect that fails with the outcome: that is what makes it yieldable.
const SignalPrototype = {
  ...Effectable.Prototype<Effect.Effect<never, unknown>>({
    label: "StageOutput",
    evaluate() {
      // Yielding an outcome is leaving the stage with it: the engine reads it from the failure.
      // @effect-diagnostics-next-line effectInFailure:off
      return Effect.fail(this)
    }
  }),
  [TypeId]: TypeId,
  toJSON(this: Skip | Cancel | Fail<unknown> | Retry) {
    return { ...this }
  }
}

const signal = <S extends Skip | Cancel | Fail<unknown> | Retry>(
  fields: Omit<
    S,
    keyof Effect.Effect<never, unknown> | typeof TypeId | "artifacts" | "events" | "version" | "durationMs"
  >,
  details: Details | undefined
): S =>
  Object.assign(Object.create(SignalPrototype), fields, {
    artifacts: details?.artifacts ?? none,
    events: details?.events ?? none,
    version: details?.version,
    durationMs: undefined
  })

/**
 * The stage did its work and gives `data`, with artifacts, events or a version beside it.
 *
 * A stage with nothing to add can return the data itself.
 */
export const ok = <const A extends object = {}>(data?: A, details?: Details): Ok<A> =>
  // With no argument A is `{}`, its default. Anything else that is no object is found out where the output is read.
  new OkImpl(
    data === undefined ? ({} as A) : data,
    details?.artifacts ?? none,
    details?.events ?? none,
    details?.version,
    undefined
  )

/**
 * There was nothing to do, and why.
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
  const after = options?.after === undefined ? undefined : duration("after", options.after)
  return signal<Retry>({ _tag: "Retry", reason, data: options?.data ?? {}, after }, options)
}

/**
 * Whether a value is an outcome made by this module, whatever its data looks like.
 */
export const isStageOutput = (u: unknown): u is StageOutput =>
  // An outcome inherits its mark. One that is a key of the object itself came with the data.
  Predicate.hasProperty(u, TypeId) && !Object.hasOwn(u, TypeId)

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
 * Which outcomes besides `Ok` and `Fail` a stage may end with, as words.
 */
export type Signal<X> = X extends Skip ? "skip" : X extends Cancel ? "cancel" : X extends Retry ? "retry" : never

/**
 * The typed errors among what a stage may return (`A`) and fail with (`E`).
 */
export type Errors<A, E> = Exclude<E, StageOutput> | FailError<A> | FailError<E>

type FailError<X> = X extends Fail<infer E> ? E : never

/** @internal */
export const okUnsafe = <A>(
  data: A,
  artifacts: ReadonlyArray<Artifact>,
  events: ReadonlyArray<Emitted>,
  version: string | undefined,
  durationMs: number | undefined
): Ok<A> => new OkImpl(data, artifacts, events, version, durationMs)

/** @internal */
export const skipBecause = (origin: string | undefined, reason: string): Skip =>
  signal<Skip>({ _tag: "Skip", reason, data: {}, origin }, undefined)

/** @internal The same outcome with what the engine knows of it. */
export const settle = <S extends Skip | Cancel>(
  self: S,
  known: Pick<S, "data" | "artifacts" | "events" | "durationMs">
): S => Object.assign(Object.create(SignalPrototype), self, known)

/** @internal */
export const noItems = none
