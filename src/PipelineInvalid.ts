/**
 * Reports what is wrong with a pipeline before it runs.
 */
import * as Schema from "effect/Schema"

/**
 * One thing that is wrong with a pipeline.
 */
export const Problem = Schema.Struct({
  code: Schema.Literals([
    "NO_STAGES",
    "INVALID_STAGE",
    "INVALID_NAME",
    "INVALID_WIRING",
    "BLANK_NAME",
    "DUPLICATE_NAME",
    "UNKNOWN_STAGE",
    "SELF_DEPENDENCY",
    "CYCLE",
    "NO_STREAM",
    "STREAM_CYCLE"
  ]),
  /** The stage it is about; empty when it is about the whole pipeline, or about something that is no stage. */
  stage: Schema.String,
  message: Schema.String,
  /** What to do about it. */
  fix: Schema.String,
  /** The place of what was given among all stages, from 0, where it is no stage or does not fit one. */
  index: Schema.optionalKey(Schema.Int),
  /** The unknown name, where there is one. */
  unknown: Schema.optionalKey(Schema.String),
  /** The known name nearest to the unknown one. */
  didYouMean: Schema.optionalKey(Schema.String),
  /** The closed path of a cycle: the last name is the first. */
  path: Schema.optionalKey(Schema.Array(Schema.String))
})

/**
 * One thing that is wrong with a pipeline.
 */
export type Problem = typeof Problem.Type

/**
 * A pipeline that cannot run, with everything that is wrong with it.
 */
export class PipelineInvalid extends Schema.TaggedError<PipelineInvalid>()("PipelineInvalid", {
  pipeline: Schema.String,
  problems: Schema.Array(Problem)
}) {
  readonly code = "PIPELINE_INVALID"
  override get message(): string {
    const lines = this.problems.map((problem) => `- ${problem.message} ${problem.fix}`)
    return [`Pipeline "${this.pipeline}" cannot run:`, ...lines].join("\n")
  }
}
