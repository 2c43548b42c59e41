/**
 * Says why a port failed, and whether trying again makes sense: the reasons that the errors of all ports share.
 */
import * as Duration from "effect/Duration"
import * as Schema from "effect/Schema"

const Status = Schema.optionalKey(Schema.Int)

/**
 * Why a port failed, as a schema.
 */
export const Reason = Schema.Union([
  Schema.TaggedStruct("Unavailable", { status: Status, retryAfter: Schema.optionalKey(Schema.Duration) }),
  Schema.TaggedStruct("RateLimited", { retryAfter: Schema.optionalKey(Schema.Duration) }),
  Schema.TaggedStruct("TimedOut", { after: Schema.Duration }),
  Schema.TaggedStruct("BrokenOff", {}),
  Schema.TaggedStruct("Unintelligible", { expected: Schema.String }),
  Schema.TaggedStruct("Refused", { status: Status, detail: Schema.optionalKey(Schema.String) }),
  Schema.TaggedStruct("Unauthorized", { status: Status }),
  Schema.TaggedStruct("UnfitAudio", { problem: Schema.String }),
  Schema.TaggedStruct("Closed", {}),
  Schema.TaggedStruct("NotInstalled", { program: Schema.String })
])

/**
 * Why a port failed. Another attempt makes sense after the first five; `retryAfter` is how long to wait before, if known.
 *
 * - `Unavailable`: it cannot be reached, or says that it does not work now.
 * - `RateLimited`: it was asked too often.
 * - `TimedOut`: it did not answer in time.
 * - `BrokenOff`: it stopped in the middle of an answer.
 * - `Unintelligible`: it answered something that is no answer.
 * - `Refused`: it does not do what it was asked for; `detail` is its code for why.
 * - `Unauthorized`: it does not know who asks, or does not let them.
 * - `UnfitAudio`: the audio is not what it should be.
 * - `Closed`: a sink takes no more.
 * - `NotInstalled`: the program is not there.
 */
export type Reason = Schema.Schema.Type<typeof Reason>

/** What every error of a port has. */
export const fields = {
  /** Who failed: a provider, a program, a sink. */
  service: Schema.String,
  reason: Reason,
  /** At which chunk of a stream, counted from 1. */
  chunk: Schema.optionalKey(Schema.Int)
}

const retryable: ReadonlySet<Reason["_tag"]> = new Set([
  "Unavailable",
  "RateLimited",
  "TimedOut",
  "BrokenOff",
  "Unintelligible"
])

/** Whether another attempt may end differently. */
export const isWorthRetrying = ({ _tag }: Reason): boolean => retryable.has(_tag)

/** How long to wait before it, if the service said so. */
export const waitBeforeRetry = (reason: Reason): Duration.Duration | undefined =>
  "retryAfter" in reason ? reason.retryAfter : undefined

const withStatus = (words: string, status: number | undefined): string =>
  status === undefined ? words : `${words} (status ${status})`

const wordsFor: { readonly [R in Reason as R["_tag"]]: (reason: R) => string } = {
  Unavailable: ({ status }) => withStatus("is not available", status),
  RateLimited: ({ retryAfter }) =>
    `was asked too often${retryAfter === undefined ? "" : `, try again after ${Duration.format(retryAfter)}`}`,
  TimedOut: ({ after }) => `did not answer within ${Duration.format(after)}`,
  BrokenOff: () => "stopped in the middle of an answer",
  Unintelligible: ({ expected }) => `gave something else than ${expected}`,
  Refused: ({ detail, status }) => withStatus("refused", status) + (detail === undefined ? "" : `: ${detail}`),
  Unauthorized: ({ status }) => withStatus("does not let this caller in", status),
  UnfitAudio: ({ problem }) => `cannot use the audio: ${problem}`,
  Closed: () => "takes no more: it is closed",
  NotInstalled: ({ program }) => `needs the program "${program}", which is not installed`
}

/** What an error says to people. There is no text of a provider in it: that may hold secrets. */
export const messageOf = (
  what: string,
  error: { readonly service: string; readonly reason: Reason; readonly chunk?: number | undefined }
): string => {
  // The tag chooses the function for its reason.
  const words = wordsFor[error.reason._tag] as (reason: Reason) => string
  return `${what} (${error.service})${error.chunk === undefined ? "" : `, chunk ${error.chunk}`}: ${
    words(error.reason)
  }`
}
