/**
 * Runs a pipeline as a child of the run that a stage is part of.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import { asRepetition } from "../../attempt/repetition.ts"
import { pathBelow, SubpipelineCancelled, SubpipelineFailed } from "../../attempt/subpipeline-error.ts"
import { immutable } from "../../internal/immutable.ts"
import * as options from "../../internal/options.ts"
import { define } from "../../internal/record.ts"
import { isRefusal, noteRejection } from "../../internal/refusal.ts"
import { withInput } from "../../internal/snapshot-model.ts"
import * as Pipeline from "../../Pipeline.ts"
import type { RunOptions } from "../../Run.ts"
import type { Cancelled, Completed, RunResult } from "../../RunResult.ts"
import * as Snapshot from "../../Snapshot.ts"
import { StageContext } from "../../StageContext.ts"
import { DepthExceeded } from "../../StageError.ts"
import * as StageOutput from "../../StageOutput.ts"
import { refusalIn } from "./refused-run.ts"

export { SubpipelineCancelled, SubpipelineFailed }

/**
 * What a cancelled child does to its parent:
 *
 * - `"cancel"`, the default, cancels the parent with the same reason and data;
 * - `"skip"` skips the stage: its readers go on without it or are skipped, too;
 * - `"fail"` fails the stage with `SubpipelineCancelled`.
 */
export type OnCancel = "cancel" | "skip" | "fail"

export const onCancelOf = (given: OnCancel | undefined): OnCancel =>
  options.oneOf("onCancel", ["cancel", "skip", "fail"], given === undefined ? "cancel" : given)

/** Whether a run can be cancelled from inside, as the one word `"cancelled"`. */
export type Cancels<N extends Pipeline.AnyNode, E, O, V> =
  [Extract<Pipeline.Result<N, E, O, V>, { readonly _tag: "Cancelled" }>] extends [never] ? never : "cancelled"

type ByName<O> =
  & { readonly [K in keyof O as O[K] extends StageOutput.Ok<unknown> ? K : never]: DataIn<O[K]> }
  & {
    readonly [K in keyof O as O[K] extends StageOutput.Ok<unknown> ? never : K]?: DataIn<O[K]>
  }

type DataIn<Output> = Output extends StageOutput.Ok<infer D> ? D : never

/**
 * What a stage gives that runs a pipeline and does not say what it gives: what the pipeline returns, or else the data of its
 * stages by their names. A stage that may skip is a key that may not be there.
 */
export type DefaultData<N extends Pipeline.AnyNode, V> = unknown extends V
  ? ByName<Pipeline.Outputs<N>> extends infer D ? { readonly [K in keyof D]: D[K] } : never
  : V

/** A child as it is run, whatever its types. */
const runUntyped = Pipeline.run as unknown as (
  pipeline: Pipeline.Any,
  snapshot: Snapshot.Snapshot,
  options: RunOptions | undefined
) => Effect.Effect<RunResult, unknown>

/** How a child ends that did not fail and was not cancelled. */
export type Ending = Exclude<RunResult, Cancelled<unknown>>

/** Ends a stage whose child was cancelled in the way that the stage says. */
export const endWhenCancelled = (
  child: Effect.Effect<RunResult, SubpipelineFailed, StageContext>,
  pipeline: Pipeline.Any,
  onCancel: OnCancel
): Effect.Effect<
  Ending,
  SubpipelineFailed | SubpipelineCancelled,
  StageContext | StageOutput.InStage<"cancel" | "skip">
> =>
  Effect.flatMap(child, (
    result
  ): Effect.Effect<
    Ending,
    SubpipelineFailed | SubpipelineCancelled,
    StageContext | StageOutput.InStage<"cancel" | "skip">
  > => {
    if (result._tag !== "Cancelled") return Effect.succeed(result)
    const { by, data, reason } = result
    switch (onCancel) {
      case "cancel":
        return StageOutput.cancel(reason, { data })
      case "skip": {
        const refusal = refusalIn(result)
        if (refusal === undefined) return StageOutput.skip(reason, { data })
        return Effect.flatMap(StageContext, ({ stage }) => Effect.fail(failedIn(stage, pipeline, refusal)))
      }
      case "fail":
        return Effect.flatMap(StageContext, ({ stage }) =>
          Effect.fail(new SubpipelineCancelled({ stage, pipeline: pipeline.name, by, reason, data })))
    }
  })

/** Runs a child, whose snapshot is made of the parent's, with what it takes. */
export const runChild = (
  pipeline: Pipeline.Any,
  snapshotOf: (current: Snapshot.Current) => Snapshot.Snapshot,
  input: () => unknown,
  runOptions?: RunOptions | undefined
): Effect.Effect<RunResult, SubpipelineFailed, StageContext> =>
  Effect.flatMap(StageContext, ({ snapshot: current, stage }) => {
    const snapshot = options.ofKind(
      "snapshot",
      "a Snapshot; see Snapshot.make",
      Snapshot.isSnapshot,
      snapshotOf(current)
    )
    const given = pipeline.input === undefined ? snapshot : withInput(snapshot, immutable(input()))
    const own = pipeline.input === undefined ? undefined : given.input
    return asRepetition(runUntyped(pipeline, given, runOptions), [stage, pipeline.name, 0], own).pipe(
      // A run that is too deep dies of it: only here it is in the type.
      Effect.catchDefect((defect) => defect instanceof DepthExceeded ? Effect.fail(defect) : Effect.die(defect)),
      // Who lets failures be has not been asked about refusals.
      Effect.flatMap((result) => {
        const refusal = result._tag === "Incomplete" ? refusalIn(result) : undefined
        return refusal === undefined ? Effect.succeed(result) : Effect.fail(refusal)
      }),
      Effect.catchCause((cause) => {
        const error = Cause.findErrorOption(cause)
        return Option.isNone(error)
          ? Effect.failCause(cause as Cause.Cause<never>) // it has no typed error
          : Effect.fail(failedIn(stage, pipeline, error.value, cause))
      })
    )
  })

const failedIn = (
  stage: string,
  { name }: Pipeline.Any,
  error: unknown,
  cause?: Cause.Cause<unknown>
): SubpipelineFailed => {
  const failed = new SubpipelineFailed({ stage, pipeline: name, path: [stage, ...pathBelow(error)], error })
  // A text that says no is only known to by its cause.
  if (isRefusal(error, cause)) noteRejection(failed)
  return failed
}

/** What the data of a stage is that does not say: what its pipeline returns, or the data of its stages by name. */
export const defaultDataOf = (ended: Completed<unknown>): unknown => {
  if (Predicate.hasProperty(ended, "value")) return ended.value
  const data = {}
  // A completed run has an output for each stage, by its name.
  for (const [name, output] of Object.entries(ended.outputs as Readonly<Record<string, StageOutput.StageOutput>>)) {
    if (output._tag === "Ok") define(data, name, output.data)
  }
  return data
}
