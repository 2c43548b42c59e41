/**
 * Tests how a pipeline is put together, without running it.
 *
 * ```ts
 * import { it } from "@effect/vitest"
 * import { Effect } from "effect"
 * import { Pipeline, Stage } from "stageflow"
 * import { PipelineTest } from "stageflow/testing"
 *
 * const chat = Pipeline.make("chat").add(Stage.transform("answer", { run: Effect.succeed({ text: "Hello!" }) }))
 *
 * it.effect("has no warnings", () => PipelineTest.lint(chat))
 * ```
 */
import * as Effect from "effect/Effect"
import { dual } from "effect/Function"
import * as Schema from "effect/Schema"
import * as options from "../internal/options.ts"
import * as Pipeline from "../Pipeline.ts"
import type { PipelineInvalid } from "../PipelineInvalid.ts"

/**
 * A pipeline has something in it that is most likely a mistake. The message lists all of it, and what to do about it.
 */
export class PipelineWarned extends Schema.TaggedError<PipelineWarned>()("PipelineWarned", {
  pipeline: Schema.String,
  warnings: Schema.Array(Schema.Struct({
    code: Schema.Literals(["IDLE_GUARD", "UNREAD_DATA", "END_MAY_SKIP", "SIMILAR_NAMES"]),
    stage: Schema.String,
    message: Schema.String,
    fix: Schema.String
  }))
}) {
  readonly code = "PIPELINE_WARNED"
  override get message(): string {
    const lines = this.warnings.map(({ code, fix, message }) => `- ${message} ${fix} (${code})`)
    return [`Pipeline "${this.pipeline}" has warnings:`, ...lines].join("\n")
  }
}

/**
 * What is meant as it is.
 */
export interface LintOptions {
  /** Stages that nothing is said of. */
  readonly except?: ReadonlyArray<string> | undefined
}

/**
 * Fails with `PipelineWarned` when `Pipeline.lint` has something to say.
 */
export const lint: {
  (given?: LintOptions): (self: Pipeline.Any) => Effect.Effect<void, PipelineWarned | PipelineInvalid>
  (self: Pipeline.Any, given?: LintOptions): Effect.Effect<void, PipelineWarned | PipelineInvalid>
} = dual(
  (args) => Pipeline.isPipeline(args[0]),
  (self: Pipeline.Any, given: LintOptions = {}): Effect.Effect<void, PipelineWarned | PipelineInvalid> => {
    const { except } = options.fields<LintOptions>("options", ["except"], given)
    const excepted = new Set(except === undefined ? [] : options.names("except", except))
    return Effect.flatMap(Pipeline.lint(self), (all) => {
      const warnings = all.filter(({ stage }) => !excepted.has(stage))
      return warnings.length === 0 ? Effect.void : Effect.fail(new PipelineWarned({ pipeline: self.name, warnings }))
    })
  }
)
