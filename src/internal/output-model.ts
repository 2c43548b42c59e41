/**
 * Defines the outcomes of stages: what they hold, and how they are made and told from data.
 */
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Effectable from "effect/Effectable"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"

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
 * The place that an outcome is yielded in: a stage, which ends with it. A stage's constructor takes it out of what the
 * stage needs; nothing else provides it, so an outcome that is yielded anywhere else does not compile.
 */
export interface InStage<out Signal extends "skip" | "cancel" | "retry"> {
  readonly [TypeId]: { readonly ends: Signal }
}

declare const skipData: unique symbol

/**
 * What a skipped stage said besides its reason, by keys that only the stage knows. A `Record<string, unknown>` can be read
 * from it, and no key of it alone: `outputs.profile.data.name` does not compile before `_tag` says that `profile` is `Ok`.
 */
export type SkipData = {
  readonly [skipData]?: never
}

/**
 * There was nothing to do. Readers with `.option` get `None`, readers with `.required` are skipped too.
 */
export interface Skip extends Common, Effect.Effect<never, never, InStage<"skip">> {
  readonly _tag: "Skip"
  readonly reason: string
  /** What `StageOutput.skip(reason, { data })` said besides. It is not what readers get: nothing of it reads as their data. */
  readonly data: SkipData
  /** The stage that was skipped first, when this one was skipped because of it. Set by the engine. */
  readonly origin: string | undefined
}

/**
 * The run ends here, on purpose, as `Cancelled`.
 */
export interface Cancel extends Common, Effect.Effect<never, never, InStage<"cancel">> {
  readonly _tag: "Cancel"
  readonly reason: string
  readonly data: Readonly<Record<string, unknown>>
}

/**
 * The stage failed with a typed error, as if its `Effect` had failed with it.
 */
export interface Fail<out E> extends Common, Effect.Effect<never, E> {
  readonly _tag: "Fail"
  readonly error: E
  readonly data: Readonly<Record<string, unknown>>
}

/**
 * The stage asks to be run again; without a policy that grants it the run fails with `RetryExhausted`.
 */
export interface Retry extends Common, Effect.Effect<never, never, InStage<"retry">> {
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

/** No artifacts, no events. */
export const noItems: ReadonlyArray<never> = Object.freeze([])

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

/** The `Fail` that was yielded, on the cause of its error: what it carries besides travels with it. */
const YieldedFail = Context.Service<Fail<unknown>>("stageflow/internal/YieldedFail")

type Signal = Skip | Cancel | Fail<unknown> | Retry

// An outcome other than Ok is itself an Effect: yielding it is leaving the stage with it. A failure is a typed error like
// any other. The rest are no errors: they travel as defects, which nothing takes for one that handles errors.
const SignalPrototype = {
  ...Effectable.Prototype<Effect.Effect<never, unknown>>({
    label: "StageOutput",
    evaluate() {
      const outcome = this as unknown as Signal // it is the prototype of nothing else
      return outcome._tag === "Fail"
        ? Effect.failCause(Cause.annotate(Cause.fail(outcome.error), Context.make(YieldedFail, outcome)))
        : Effect.die(outcome)
    }
  }),
  [TypeId]: TypeId,
  toJSON(this: Signal) {
    return { ...this }
  }
}

/** The outcome that a stage left with by yielding it, when that is all its cause says. */
export const yieldedIn = (cause: Cause.Cause<unknown>): StageOutput | undefined => {
  const [reason] = cause.reasons
  if (cause.reasons.length !== 1 || reason === undefined) return undefined
  if (Cause.isDieReason(reason)) return isStageOutput(reason.defect) ? reason.defect : undefined
  if (!Cause.isFailReason(reason)) return undefined
  if (isStageOutput(reason.error)) return reason.error
  const failed = Option.getOrUndefined(Context.getOption(Cause.annotations(cause), YieldedFail))
  // Whoever changed the error on its way made it one of his own.
  return failed !== undefined && Object.is(failed.error, reason.error) ? failed : undefined
}

/** Makes an outcome that is no `Ok`: an object that is also an Effect which leaves the stage with it. */
export const signal = <S extends Signal>(
  fields: Omit<
    S,
    keyof Effect.Effect<never, unknown, unknown> | typeof TypeId | "artifacts" | "events" | "version" | "durationMs"
  >,
  details: Details | undefined
): S =>
  Object.assign(Object.create(SignalPrototype), fields, {
    artifacts: details?.artifacts ?? noItems,
    events: details?.events ?? noItems,
    version: details?.version,
    durationMs: undefined
  })

/**
 * Whether a value is an outcome that was made here, whatever its data looks like.
 */
export const isStageOutput = (u: unknown): u is StageOutput =>
  // An outcome inherits its mark. One that is a key of the object itself came with the data.
  Predicate.hasProperty(u, TypeId) && !Object.hasOwn(u, TypeId)

/** An `Ok` as a stage makes one. */
export const okWith = <A>(data: A, details: Details | undefined): Ok<A> =>
  new OkImpl(data, details?.artifacts ?? noItems, details?.events ?? noItems, details?.version, undefined)

/** An `Ok` with nothing but data. */
export const plainOk = <A>(data: A, durationMs?: number): Ok<A> =>
  new OkImpl(data, noItems, noItems, undefined, durationMs)

/** The same `Ok` with something changed. */
export const changedOk = <A>(
  { artifacts, data, durationMs, events, version }: Ok<unknown>,
  changes: Partial<Pick<Ok<A>, "data" | "artifacts" | "events" | "durationMs">>
): Ok<A> =>
  new OkImpl(
    // Without other data it is an `Ok` of what it was.
    "data" in changes ? changes.data as A : data as A,
    changes.artifacts ?? artifacts,
    changes.events ?? events,
    version,
    changes.durationMs ?? durationMs
  )

const noData = Object.freeze({})

/** The `Skip` of a stage that did not start: why, and which stage was skipped first. */
export const skipBecause = (origin: string | undefined, reason: string): Skip =>
  Object.freeze(signal<Skip>({ _tag: "Skip", reason, data: noData, origin }, undefined))

/** The same outcome with something changed, of one that is no `Ok`. */
export const changedSignal = <S extends Signal>(
  self: S,
  changes: Partial<Pick<S, "data" | "artifacts" | "events" | "durationMs">>
): S => Object.assign(Object.create(SignalPrototype), self, changes)
