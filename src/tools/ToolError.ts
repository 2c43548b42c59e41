/**
 * Defines what can be wrong with a call of a tool: typed errors with a code, whose messages a model may read.
 *
 * No message holds what a tool was given or gave: it names the tool, and the path in its parameters.
 */
import * as Schema from "effect/Schema"
import { describeProblems, FieldProblem } from "../internal/problems.ts"
import { RefusalTypeId } from "../internal/refusal.ts"

const Refuses: { readonly [RefusalTypeId]: true } = { [RefusalTypeId]: true }

/** Marks the errors of a class as refusals: nobody retries them, falls back from them or keeps them. */
const refusing = (error: { readonly prototype: object }): void => {
  Object.assign(error.prototype, Refuses)
}

/**
 * There is no tool of that name or action type.
 */
export class UnknownTool extends Schema.TaggedError<UnknownTool>()("UnknownTool", {
  tool: Schema.String,
  /** The tool that was most likely meant. */
  didYouMean: Schema.optionalKey(Schema.String)
}) {
  readonly code = "UNKNOWN_TOOL"
  override get message(): string {
    const fix = this.didYouMean === undefined ? "" : ` Did you mean "${this.didYouMean}"?`
    return `There is no tool "${this.tool}".${fix}`
  }
}

/**
 * Something that was to be a call of a tool is none: it is no object, or does not say which tool.
 */
export class InvalidCall extends Schema.TaggedError<InvalidCall>()("InvalidCall", {
  problems: Schema.Array(FieldProblem)
}) {
  readonly code = "INVALID_TOOL_CALL"
  override get message(): string {
    return `This is no call of a tool: ${describeProblems(this.problems)}`
  }
}

/**
 * The arguments of a call are text that is no JSON.
 */
export class InvalidJson extends Schema.TaggedError<InvalidJson>()("InvalidJson", {
  tool: Schema.String,
  /** How long the text is. */
  characters: Schema.Int
}) {
  readonly code = "INVALID_JSON"
  override get message(): string {
    const what = this.characters === 0 ? "empty" : `text of ${this.characters} characters that is no JSON`
    return `The arguments of tool "${this.tool}" are ${what}: write one JSON object`
  }
}

/**
 * The arguments of a call are not what the tool takes.
 */
export class InvalidArguments extends Schema.TaggedError<InvalidArguments>()("InvalidArguments", {
  tool: Schema.String,
  problems: Schema.Array(FieldProblem)
}) {
  readonly code = "INVALID_ARGUMENTS"
  override get message(): string {
    return `The arguments of tool "${this.tool}" do not fit: ${describeProblems(this.problems)}`
  }
}

/**
 * A tool may not be used in the execution mode of this run.
 */
export class ToolNotAllowed extends Schema.TaggedError<ToolNotAllowed>()("ToolNotAllowed", {
  tool: Schema.String,
  /** The execution mode of the run, when it has one. */
  executionMode: Schema.optionalKey(Schema.String),
  behaviours: Schema.Array(Schema.String)
}) {
  readonly code = "TOOL_NOT_ALLOWED"
  override get message(): string {
    const here = this.executionMode === undefined ? "a run without an execution mode" : `mode "${this.executionMode}"`
    return `Tool "${this.tool}" is not allowed in ${here}`
  }
}
refusing(ToolNotAllowed)

/**
 * Somebody said no: a person, or the policy.
 */
export class ApprovalDenied extends Schema.TaggedError<ApprovalDenied>()("ApprovalDenied", {
  tool: Schema.String,
  actionId: Schema.String,
  /** Who said so. */
  by: Schema.String,
  comment: Schema.optionalKey(Schema.String)
}) {
  readonly code = "APPROVAL_DENIED"
  override get message(): string {
    return `Tool "${this.tool}" was denied${this.comment === undefined ? "" : `: ${this.comment}`}`
  }
}
refusing(ApprovalDenied)

/**
 * Nobody decided in time.
 */
export class ApprovalExpired extends Schema.TaggedError<ApprovalExpired>()("ApprovalExpired", {
  tool: Schema.String,
  actionId: Schema.String
}) {
  readonly code = "APPROVAL_EXPIRED"
  override get message(): string {
    return `Nobody approved tool "${this.tool}" in time`
  }
}
refusing(ApprovalExpired)

/**
 * Whoever asked for an approval, or somebody else, took the question back.
 */
export class ApprovalCancelled extends Schema.TaggedError<ApprovalCancelled>()("ApprovalCancelled", {
  tool: Schema.String,
  actionId: Schema.String
}) {
  readonly code = "APPROVAL_CANCELLED"
  override get message(): string {
    return `The approval of tool "${this.tool}" was cancelled`
  }
}
refusing(ApprovalCancelled)

/**
 * Nobody could be asked whether a tool may run, so it did not.
 */
export class ApprovalUnavailable extends Schema.TaggedError<ApprovalUnavailable>()("ApprovalUnavailable", {
  tool: Schema.String,
  actionId: Schema.String,
  defect: Schema.Defect()
}) {
  readonly code = "APPROVAL_UNAVAILABLE"
  override get message(): string {
    return `Nobody could be asked whether tool "${this.tool}" may run`
  }
}
refusing(ApprovalUnavailable)

/**
 * Another call of the same turn was denied, and this one was stopped with it.
 */
export class StoppedWithSibling extends Schema.TaggedError<StoppedWithSibling>()("StoppedWithSibling", {
  tool: Schema.String,
  /** The index of the call that was denied. */
  sibling: Schema.Int
}) {
  readonly code = "STOPPED_WITH_SIBLING"
  override get message(): string {
    return `Tool "${this.tool}" was stopped: call ${this.sibling} of the same turn was denied`
  }
}
refusing(StoppedWithSibling)

/**
 * A tool ended as a stage may and a tool may not: it was skipped, by an interceptor for one.
 */
export class ToolSkipped extends Schema.TaggedError<ToolSkipped>()("ToolSkipped", {
  tool: Schema.String,
  reason: Schema.String
}) {
  readonly code = "TOOL_SKIPPED"
  override get message(): string {
    return `Tool "${this.tool}" was skipped: ${this.reason}`
  }
}

/** Why a call could not be resolved to a tool and what it takes. */
export const CallProblem = Schema.Union([UnknownTool, InvalidCall, InvalidJson, InvalidArguments, ToolNotAllowed])
/** Why a call could not be resolved to a tool and what it takes. */
export type CallProblem = typeof CallProblem.Type

/** Why nobody let a tool run. */
export type ApprovalRefusal = ApprovalDenied | ApprovalExpired | ApprovalCancelled | ApprovalUnavailable

/** Why a tool did not run that was called by somebody who has it at hand. */
export type CallError = UnknownTool | InvalidArguments | ToolNotAllowed | ApprovalRefusal | ToolSkipped
