/**
 * Defines the errors that a stage can end with in addition to its own.
 *
 * `StageTimeout` and `RetryExhausted` come from combinators and outcomes and stand in the pipeline's types.
 * `StageFault` is what can happen to any stage (a defect, an invalid output); it is part of every `StageFailed`.
 */
import * as Duration from "effect/Duration"
import * as Schema from "effect/Schema"
import { describeProblems, FieldProblem } from "./internal/problems.ts"

export { InvalidOption } from "./internal/options.ts"

/**
 * An attempt of a stage took longer than its timeout allows.
 *
 * `abandoned` says that the stage ignored its interruption beyond the grace: its work may still be going on, and the
 * run no longer waits for it.
 */
export class StageTimeout extends Schema.TaggedError<StageTimeout>()("StageTimeout", {
  stage: Schema.String,
  timeout: Schema.Duration,
  attempt: Schema.Int,
  abandoned: Schema.Boolean
}) {
  readonly code = "STAGE_TIMEOUT"
  override get message(): string {
    const abandoned = this.abandoned ? " It ignored its interruption and was abandoned." : ""
    return `Stage "${this.stage}" took longer than ${
      Duration.format(this.timeout)
    } (attempt ${this.attempt}).${abandoned}`
  }
}

/**
 * A stage asked to be run again, and no policy granted it or the policy had no attempts left.
 */
export class RetryExhausted extends Schema.TaggedError<RetryExhausted>()("RetryExhausted", {
  stage: Schema.String,
  attempts: Schema.Int,
  reason: Schema.String
}) {
  readonly code = "RETRY_EXHAUSTED"
  override get message(): string {
    return `Stage "${this.stage}" asked to be retried after ${this.attempts} attempt(s): ${this.reason}. `
      + `Only a policy retries: pipe the stage through Stage.retry, or give its policy more attempts.`
  }
}

/** What was thrown, as far as a message may tell it: its class or kind, and where it comes from. */
const origin = {
  /** The class of an error (`TypeError`), the kind of anything else (`a string`). */
  type: Schema.optionalKey(Schema.String),
  /** The innermost frame of the program: `charge (src/checkout.ts:12:5)`. */
  at: Schema.optionalKey(Schema.String)
}

const Defect = Schema.TaggedStruct("Defect", { defect: Schema.Defect(), ...origin })

const InvalidOutput = Schema.TaggedStruct("InvalidOutput", {
  problems: Schema.Array(FieldProblem)
})

const SelfInterrupted = Schema.TaggedStruct("SelfInterrupted", {})

const WiringFailed = Schema.TaggedStruct("WiringFailed", {
  part: Schema.Literals(["when", "inputs"]),
  /** What a condition gave instead of true or false: the kind of value, not the value. */
  gave: Schema.optionalKey(Schema.String),
  defect: Schema.Defect(),
  ...origin
})

const Interrupted = Schema.TaggedStruct("Interrupted", { reason: Schema.String, abandoned: Schema.Boolean })

const InterceptorFailed = Schema.TaggedStruct("InterceptorFailed", {
  interceptor: Schema.String,
  error: Schema.Unknown
})

/**
 * What went wrong in a stage without being one of its typed errors.
 */
export const Reason = Schema.Union([
  Defect,
  InvalidOutput,
  SelfInterrupted,
  Interrupted,
  WiringFailed,
  InterceptorFailed
])

/**
 * What went wrong in a stage without being one of its typed errors.
 *
 * - `Defect`: the stage died. `type` and `at` say of what and where, and never its message, which may hold anything.
 * - `InvalidOutput`: it returned something that is not an output, or data that its schema rejects.
 * - `SelfInterrupted`: it interrupted itself.
 * - `Interrupted`: whoever holds the handle of the run interrupted it, for the `reason` given. `abandoned` says that it
 *   ignored that beyond the grace and was left behind.
 * - `WiringFailed`: a condition or an input of its wiring threw, or a condition gave neither true nor false.
 * - `InterceptorFailed`: an interceptor that a Layer installed denied or failed, or any threw or gave no Effect.
 */
export type Reason = typeof Reason.Type

/** `: TypeError at charge (src/checkout.ts:12:5)`, as far as it is known. */
const describeOrigin = ({ at, type }: { readonly type?: string; readonly at?: string }): string =>
  type === undefined ? "" : `: ${type}${at === undefined ? "" : ` at ${at}`}`

const describe = (reason: Reason): string => {
  switch (reason._tag) {
    case "Defect":
      return `died of a defect${describeOrigin(reason)} (see \`cause\`)`
    case "InvalidOutput":
      return `returned an invalid output: ${describeProblems(reason.problems)}`
    case "SelfInterrupted":
      return "interrupted itself"
    case "Interrupted":
      return `was interrupted: ${reason.reason}${reason.abandoned ? " (it ignored that and was abandoned)" : ""}`
    case "WiringFailed":
      return `could not start: its ${reason.part === "when" ? "condition" : "inputs"} ${
        reason.gave === undefined
          ? `threw${describeOrigin(reason)} (see \`cause\`)`
          : `gave ${reason.gave}, and neither true nor false`
      }`
    case "InterceptorFailed":
      return `was stopped by the interceptor "${reason.interceptor}"`
  }
}

/**
 * Something went wrong in a stage that is not one of its typed errors; `reason` says what.
 */
export class StageFault extends Schema.TaggedError<StageFault>()("StageFault", {
  stage: Schema.String,
  reason: Reason
}) {
  readonly code = "STAGE_FAULT"
  override get message(): string {
    return `Stage "${this.stage}" ${describe(this.reason)}`
  }
}

/**
 * An interceptor stopped a whole run: one around runs that died or threw, ran the run twice or ended with something else,
 * or one that a Layer installed and that denied the run.
 */
export class RunRejected extends Schema.TaggedError<RunRejected>()("RunRejected", {
  pipeline: Schema.String,
  interceptor: Schema.String,
  error: Schema.Unknown
}) {
  readonly code = "RUN_REJECTED"
  override get message(): string {
    return `A run of pipeline "${this.pipeline}" was stopped by the interceptor "${this.interceptor}" (see \`error\`)`
  }
}

/**
 * A run was not started, because it would be inside of more runs than `Run.DepthLimit` allows.
 *
 * `path` are the stages that it would be inside of, from the outermost run on.
 */
export class DepthExceeded extends Schema.TaggedError<DepthExceeded>()("DepthExceeded", {
  pipeline: Schema.String,
  limit: Schema.Int,
  path: Schema.Array(Schema.String)
}) {
  readonly code = "DEPTH_EXCEEDED"
  override get message(): string {
    return `Pipeline "${this.pipeline}" is not run inside of ${this.path.length} runs, ${this.limit} being the limit: `
      + `${this.path.join(" > ")}. Look for a pipeline that runs itself, or raise Run.DepthLimit.`
  }
}
