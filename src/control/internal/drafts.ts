/**
 * Defines what is known of drafts and of what guards say of them, and the error of a stage of which no draft was accepted.
 */
import type * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { noteRejection } from "../../internal/refusal.ts"

/**
 * The guard has nothing against the draft.
 */
export interface Accept {
  readonly _tag: "Accept"
}

/**
 * The guard wants another draft, and says why.
 */
export interface Reject<out Feedback> {
  readonly _tag: "Reject"
  readonly feedback: Feedback
}

/**
 * What a guard says of a draft.
 */
export type Verdict<Feedback = never> = Accept | Reject<Feedback>

/**
 * What a guard said of a draft, and which guard.
 */
export interface Judged<out Guard extends string = string, out Feedback = unknown> {
  readonly guard: Guard
  readonly verdict: Verdict<Feedback>
}

/**
 * Why a guard rejected a draft, and which guard.
 */
export interface FeedbackOf<out Guard extends string = string, out Feedback = unknown> {
  readonly guard: Guard
  readonly feedback: Feedback
}

/**
 * What a draft is told besides the inputs of its stage: which attempt it is, the draft before it, and why that was rejected.
 *
 * The first attempt is number 1; nothing was before it, and nobody has said anything.
 */
export interface Revision<out Draft, out Feedback = unknown, out Guard extends string = string> {
  readonly attempt: number
  readonly previous: Option.Option<Draft>
  readonly feedback: ReadonlyArray<FeedbackOf<Guard, Feedback>>
}

/**
 * One attempt: its draft, and what the guards said of it, in the order in which they were given. A draft that came too often
 * is not judged again; of one whose guards were interrupted, there is what they had said.
 */
export interface Attempt<out Draft, out Verdicts = Judged> {
  readonly attempt: number
  readonly draft: Draft
  readonly verdicts: ReadonlyArray<Verdicts>
}

/**
 * The draft that was accepted, which attempt it was, and all attempts.
 */
export interface Accepted<out Draft, out Verdicts = Judged> {
  readonly draft: Draft
  readonly attempt: number
  readonly history: ReadonlyArray<Attempt<Draft, Verdicts>>
}

/**
 * Why there are no more attempts:
 *
 * - `"attempts"`: there were as many as there may be;
 * - `"stagnation"`: the draft was the same as one that had been rejected;
 * - `"deadline"`: the time for all attempts together was over.
 */
export type EndReason = "attempts" | "stagnation" | "deadline"

/**
 * No draft was accepted. `history` has all drafts and verdicts; the message names guards, and nothing of what they read.
 *
 * When a guard has rejected a draft it is a refusal, and so is whatever else the stage fails with then: nothing that stands in
 * for failed stages, a retry or a fallback, stands in for this one. `Stage.catch` handles it.
 */
export class NoDraftAccepted<out Draft = unknown, out Verdicts = Judged>
  extends Schema.TaggedError<NoDraftAccepted<unknown, unknown>>()("NoDraftAccepted", {
    stage: Schema.String,
    reason: Schema.Literals(["attempts", "stagnation", "deadline"]),
    /** How many attempts were started. */
    attempts: Schema.Int,
    /** How many there may be. */
    maxAttempts: Schema.Int,
    history: Schema.Array(Schema.Unknown),
    /** Whether what was in flight at the deadline ignored its interruption, and may still go on. */
    abandoned: Schema.Boolean
  })
{
  readonly code = "NO_DRAFT_ACCEPTED"
  /** All attempts that gave a draft. */
  declare readonly history: ReadonlyArray<Attempt<Draft, Verdicts>>

  /** What was said of the last draft that was rejected. */
  get feedback(): ReadonlyArray<FeedbackIn<Verdicts>> {
    return feedbackOf(lastJudged(this.history as ReadonlyArray<Attempt<Draft>>)?.verdicts ?? []) as ReadonlyArray<
      FeedbackIn<Verdicts> // the verdicts are of this type
    >
  }

  override get message(): string {
    const guards = this.feedback.map(({ guard }) => guard)
    const by = guards.length === 0 ? "" : `; rejected last by ${guards.join(", ")}`
    return `No draft of stage "${this.stage}" was accepted: ${this.why()}${by}`
  }

  private why(): string {
    switch (this.reason) {
      case "attempts":
        return `${this.attempts} of ${this.maxAttempts} attempts are used up`
      case "stagnation":
        return `attempt ${this.attempts} gave again what had been rejected`
      case "deadline":
        return `the deadline passed in attempt ${this.attempts} of ${this.maxAttempts}${
          this.abandoned ? ", which ignored its interruption and was abandoned" : ""
        }`
    }
  }

  /** What a log shows of it: nothing of the drafts, and nothing of what was said of them. */
  override toJSON() {
    const { _tag, abandoned, attempts, code, maxAttempts, message, reason, stage } = this
    return { _tag, code, message, stage, reason, attempts, maxAttempts, abandoned }
  }

  [Symbol.for("nodejs.util.inspect.custom")]() {
    return this.toJSON()
  }
}

/** Where somebody said no, and not only that something went wrong, it is a refusal. */
export const noDraftAccepted = (fields: ConstructorParameters<typeof NoDraftAccepted>[0]): NoDraftAccepted => {
  const error: NoDraftAccepted = new NoDraftAccepted(fields) as NoDraftAccepted // drafts and verdicts of any type
  if (error.feedback.length > 0) noteRejection(error)
  return error
}

/** What is said in a rejection among these verdicts. */
export type FeedbackIn<Verdicts> = Verdicts extends Judged<infer Guard, infer Feedback> ? FeedbackOf<Guard, Feedback>
  : never

const lastJudged = <Draft>(history: ReadonlyArray<Attempt<Draft>>): Attempt<Draft> | undefined =>
  history.findLast(({ verdicts }) => verdicts.some(({ verdict }) => verdict._tag === "Reject"))

/** The rejections among verdicts. */
export const feedbackOf = (verdicts: ReadonlyArray<Judged>): ReadonlyArray<FeedbackOf> =>
  verdicts.flatMap(({ guard, verdict }) => verdict._tag === "Reject" ? [{ guard, feedback: verdict.feedback }] : [])
