/**
 * Records what every attempt of every stage of a run ended with, in the order in which they ended.
 */
import * as Option from "effect/Option"
import type { ErrorSummary } from "./Event.ts"
import type { Settled } from "./StageOutput.ts"

/**
 * How an attempt ended.
 */
export type AttemptEnd =
  | { readonly _tag: "Settled"; readonly output: Settled }
  | { readonly _tag: "Failed"; readonly error: ErrorSummary }
  | { readonly _tag: "RetryRequested"; readonly reason: string }
  | { readonly _tag: "Interrupted"; readonly abandoned: boolean }

/**
 * One attempt of one stage.
 */
export interface Entry {
  readonly stage: string
  readonly attempt: number
  readonly end: AttemptEnd
  /** Milliseconds since the start of the run. */
  readonly startedMs: number
  /** Milliseconds since the start of the run. */
  readonly endedMs: number
}

/**
 * What every attempt of every stage ended with. Stages that never started have no entry.
 */
export interface OutputBag {
  readonly entries: ReadonlyArray<Entry>
}

/**
 * The last attempt of a stage.
 */
export const get = (self: OutputBag, stage: string): Option.Option<Entry> =>
  Option.fromUndefinedOr(self.entries.findLast((entry) => entry.stage === stage))

/**
 * All attempts of a stage, the first one first.
 */
export const attempts = (self: OutputBag, stage: string): ReadonlyArray<Entry> =>
  self.entries.filter((entry) => entry.stage === stage)

/**
 * Whether a stage started.
 */
export const has = (self: OutputBag, stage: string): boolean => self.entries.some((entry) => entry.stage === stage)

/**
 * The stages that needed more than one attempt.
 */
export const retried = (self: OutputBag): ReadonlyArray<string> =>
  Array.from(new Set(self.entries.filter((entry) => entry.attempt > 1).map((entry) => entry.stage)))
