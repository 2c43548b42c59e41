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

const InvalidChunk = Schema.TaggedStruct("InvalidChunk", {
  /** The number of the chunk, from 1. */
  chunk: Schema.Int,
  problems: Schema.Array(FieldProblem)
})

const StreamTaken = Schema.TaggedStruct("StreamTaken", { attempt: Schema.Int, taken: Schema.Int })

const StreamStalled = Schema.TaggedStruct("StreamStalled", { stages: Schema.Array(Schema.String) })

/**
 * What went wrong in a stage without being one of its typed errors.
 */
export const Reason = Schema.Union([
  Defect,
  InvalidOutput,
  SelfInterrupted,
  Interrupted,
  WiringFailed,
  InterceptorFailed,
  InvalidChunk,
  StreamTaken,
  StreamStalled
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
 * - `InvalidChunk`: it streamed a chunk that its schema rejects; `chunk` is its number, from 1.
 * - `StreamTaken`: it was to stream once more, and readers that cannot start over had taken chunks of an earlier attempt.
 * - `StreamStalled`: it and other stages waited for each other through their streams, which would never have ended.
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
    case "InvalidChunk":
      return `streamed an invalid chunk (number ${reason.chunk}): ${describeProblems(reason.problems)}`
    case "StreamTaken":
      return `cannot stream again in attempt ${reason.attempt}: ${reason.taken} chunk(s) of an attempt before were taken by a `
        + "reader that does not start over"
    case "StreamStalled":
      return `waits for ever: ${
        reason.stages.map((stage) => `"${stage}"`).join(", ")
      } wait for each other through their `
        + "streams. Read streams of one origin together (Stream.merge, Stream.zip), or give them larger buffers."
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

const StreamProblem = Schema.Union([
  Schema.TaggedStruct("ProducerFailed", { error: Schema.Unknown }),
  Schema.TaggedStruct("NotStreamed", {}),
  Schema.TaggedStruct("TooSlow", {}),
  Schema.TaggedStruct("Interrupted", {}),
  Schema.TaggedStruct("AlreadyRead", {})
])

/**
 * Why a stream ended before it was whole.
 *
 * - `ProducerFailed`: the stage that streams failed, with this `error`.
 * - `NotStreamed`: it gave an output that was not made of these chunks: one from a cache, or of a fallback.
 * - `TooSlow`: the reader said that it is dropped when it is slow, and was.
 * - `Interrupted`: the run ended first.
 * - `AlreadyRead`: chunks of it were taken before, by an earlier attempt of the reader for one; a stream is read once.
 */
export type StreamProblem<Error = unknown> =
  | { readonly _tag: "ProducerFailed"; readonly error: Error | StageFault }
  | { readonly _tag: "NotStreamed" | "TooSlow" | "Interrupted" | "AlreadyRead" }

const describeStream = ({ _tag }: StreamProblem): string => {
  switch (_tag) {
    case "ProducerFailed":
      return "failed (see `reason.error`)"
    case "NotStreamed":
      return "gave its output without streaming it"
    case "TooSlow":
      return "went on without its reader, which was too slow"
    case "Interrupted":
      return "was interrupted"
    case "AlreadyRead":
      return "has been read before, and a stream is read once"
  }
}

/**
 * The stream of another stage ended before it was whole. `chunks` is how many the reader has had of it.
 */
export class StreamFailed<out Error = unknown> extends Schema.TaggedError<StreamFailed<unknown>>()("StreamFailed", {
  stage: Schema.String,
  chunks: Schema.Int,
  reason: StreamProblem
}) {
  readonly code = "STREAM_FAILED"
  /** Why it ended. */
  declare readonly reason: StreamProblem<Error>
  override get message(): string {
    return `The stream of stage "${this.stage}" broke after ${this.chunks} chunk(s): the stage ${
      describeStream(this.reason)
    }`
  }
}

/**
 * The stage that streams was run again, and its stream begins anew: run the stream once more to read it from its start. Only
 * readers that say that they can start over (`s.answer.streamWith({ startsOver: true })`) meet it.
 */
export class StreamStartedOver extends Schema.TaggedError<StreamStartedOver>()("StreamStartedOver", {
  stage: Schema.String,
  /** How many chunks the reader had of what is no more. */
  chunks: Schema.Int
}) {
  readonly code = "STREAM_STARTED_OVER"
  override get message(): string {
    return `The stream of stage "${this.stage}" starts over: ${this.chunks} chunk(s) that were read are void`
  }
}
