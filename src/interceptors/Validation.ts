/**
 * Limits the size of snapshots and data, and finds stages that change what cannot be frozen.
 *
 * Plain data is immutable anyway. Bytes and instances of classes pass by reference; in development
 * `unchangedInputs` finds the stage that changes them.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { attemptOf } from "../attempt/attempt.ts"
import { undeclaringFaults, withOptionalRunPart } from "../attempt/interceptor-model.ts"
import { combine, type FailsRun, type Interceptor, make } from "../Interceptor.ts"
import { AroundStageTypeId } from "../internal/around-stage.ts"
import * as options from "../internal/options.ts"
import { StageContext } from "../StageContext.ts"
import { fingerprint, sizeOf } from "./internal/measure.ts"
import { orders } from "./internal/orders.ts"

/**
 * The data of a stage is larger than it may be.
 */
export class OutputTooLarge extends Schema.TaggedError<OutputTooLarge>()("OutputTooLarge", {
  stage: Schema.String,
  /** At least as many: they are not counted much further than the limit. */
  bytes: Schema.Int,
  limit: Schema.Int
}) {
  readonly code = "OUTPUT_TOO_LARGE"
  readonly [AroundStageTypeId] = true
  override get message(): string {
    return `The data of stage "${this.stage}" has at least ${this.bytes} bytes; the limit is ${this.limit}`
  }
}

/**
 * The snapshot of a run is larger than it may be, so no stage started.
 */
export class SnapshotTooLarge extends Schema.TaggedError<SnapshotTooLarge>()("SnapshotTooLarge", {
  pipeline: Schema.String,
  /** At least as many: they are not counted much further than the limit. */
  bytes: Schema.Int,
  limit: Schema.Int
}) {
  readonly code = "SNAPSHOT_TOO_LARGE"
  readonly [AroundStageTypeId] = true
  override get message(): string {
    return `The snapshot for pipeline "${this.pipeline}" has at least ${this.bytes} bytes; the limit is ${this.limit}`
  }
}

/**
 * A stage changed bytes or an instance that it was given: other stages hold the same.
 */
export class InputChanged extends Schema.TaggedError<InputChanged>()("InputChanged", { stage: Schema.String }) {
  readonly code = "INPUT_CHANGED"
  readonly [AroundStageTypeId] = true
  override get message(): string {
    return `Stage "${this.stage}" changed one of its inputs: copy bytes and instances before you change them`
  }
}

/**
 * Fails stages whose data is larger than `maxBytes`, measured roughly as JSON would be: texts in UTF-8, and bytes
 * (buffers and views of them) as many as they are.
 */
export const outputSize = (settings: { readonly maxBytes: number }): Interceptor<OutputTooLarge> => {
  options.only(["maxBytes"], settings)
  const limit = options.positiveCount("maxBytes", settings.maxBytes)
  return make({
    name: "output size",
    order: orders.outputSize,
    around: (effect, stage) =>
      Effect.flatMap(effect, (outcome) => {
        const bytes = outcome._tag === "Ok" ? sizeOf(outcome.data, limit) : 0
        return bytes > limit
          ? Effect.fail(new OutputTooLarge({ stage: stage.name, bytes, limit }))
          : Effect.succeed(outcome)
      })
  })
}

/**
 * Fails runs whose snapshot is larger than `maxBytes`, before any stage starts.
 */
export const snapshotSize = (
  settings: { readonly maxBytes: number }
): Interceptor<FailsRun<SnapshotTooLarge>> => {
  options.only(["maxBytes"], settings)
  const limit = options.positiveCount("maxBytes", settings.maxBytes)
  return undeclaringFaults<FailsRun<SnapshotTooLarge>>(make({
    name: "snapshot size",
    order: orders.snapshotSize,
    aroundRun: (effect, { pipeline, snapshot }) =>
      Effect.gen(function*() {
        const bytes = sizeOf({ ...snapshot }, limit)
        if (bytes > limit) return yield* new SnapshotTooLarge({ pipeline, bytes, limit })
        return yield* effect
      })
  }))
}

/**
 * Fails the stage that changes the bytes or instances among its inputs. It reads all of them twice: for development.
 */
export const unchangedInputs = (): Interceptor<InputChanged> =>
  make({
    name: "unchanged inputs",
    order: orders.unchangedInputs,
    around: (effect, stage) =>
      Effect.flatMap(StageContext, (context) => {
        const { input } = attemptOf(context)
        const before = fingerprint(input)
        return Effect.flatMap(effect, (outcome) =>
          fingerprint(input) === before
            ? Effect.succeed(outcome)
            : Effect.fail(new InputChanged({ stage: stage.name })))
      })
  })

/**
 * The size limits of a service in production: 1 MiB for the snapshot, 10 MiB for the data of a stage.
 */
export const validation: Interceptor<OutputTooLarge | FailsRun<SnapshotTooLarge>> = combine(
  // Around a single stage there is no snapshot to look at, only its data.
  withOptionalRunPart(snapshotSize({ maxBytes: 1024 * 1024 })),
  outputSize({ maxBytes: 10 * 1024 * 1024 })
)
