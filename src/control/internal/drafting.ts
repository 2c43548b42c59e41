/**
 * Makes drafts until all guards accept one, or there is a reason to stop.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import { attemptOf } from "../../attempt/attempt.ts"
import { isData, whatItIs } from "../../attempt/made-outcome.ts"
import { endingOfExit } from "../../attempt/outcome.ts"
import { asRepetition } from "../../attempt/repetition.ts"
import { rejectionIsOver, rejectionStands } from "../../attempt/standing-rejection.ts"
import { together } from "../../internal/causes.ts"
import { immutable } from "../../internal/immutable.ts"
import type { Ok } from "../../internal/output-model.ts"
import { noteRejection, refusing } from "../../internal/refusal.ts"
import { StageContext } from "../../StageContext.ts"
import { StageFault } from "../../StageError.ts"
import type { InStage } from "../../StageOutput.ts"
import { leaveUnlessOk, type Runs } from "./body.ts"
import type { WithDeadline } from "./deadline.ts"
import {
  type Accepted,
  type Attempt,
  type EndReason,
  feedbackOf,
  type Judged,
  type NoDraftAccepted,
  noDraftAccepted,
  type Revision,
  type Verdict
} from "./drafts.ts"
import { sideBySide } from "./side-by-side.ts"
import type { FingerprintOf } from "./stagnation.ts"

/** A guard by its name. */
export interface Guard {
  readonly name: string
  readonly runs: Runs
}

/** What a stage of drafts was made of. */
export interface Settings {
  readonly draft: Runs
  readonly guards: ReadonlyArray<Guard>
  readonly maxAttempts: number
  readonly withDeadline: WithDeadline
  /** Whether the data of the stage is the draft as it is. */
  readonly givesDraft: boolean
  /** When a draft is the same as others; never, when nobody asks. */
  readonly stagnation: { readonly fingerprintOf: FingerprintOf; readonly times: number } | undefined
}

/** A draft that all guards accepted, with what its body gave beside it. */
export interface AcceptedEnd {
  readonly accepted: Accepted<unknown>
  readonly end: Ok<unknown>
}

interface AttemptSoFar extends Attempt<unknown> {
  verdicts: ReadonlyArray<Judged>
}

/** What is known of a stage of drafts while it runs. */
class Drafting {
  attempts = 0
  readonly history: Array<AttemptSoFar> = []
  private readonly settings: Settings
  private readonly context: StageContext["Service"]
  private readonly inputs: unknown
  private readonly fingerprints: Array<string> = []

  constructor(settings: Settings, context: StageContext["Service"], inputs: unknown) {
    this.settings = settings
    this.context = context
    this.inputs = inputs
  }

  /** Makes drafts until one is accepted. */
  readonly run = Effect.gen({ self: this }, function*() {
    const { maxAttempts } = this.settings
    for (;;) {
      const end = yield* this.draft(this.revision())
      // Nobody judges what the stage could not give.
      if (this.settings.givesDraft && !isData(end.data)) return yield* notData(end.data)
      const attempt = this.note(end.data)
      if (this.isStagnant()) return yield* this.ended("stagnation")
      const verdicts = yield* this.judge(attempt)
      attempt.verdicts = verdicts
      if (verdicts.every(({ verdict }) => verdict._tag === "Accept")) return yield* this.accepted(attempt, end)
      // What was added for a draft that nobody is to see is not seen either.
      attemptOf(this.context).dropAddedArtifacts()
      if (this.attempts === maxAttempts) return yield* this.ended("attempts")
      if (this.attempts === 1) this.rememberDraft()
    }
  })

  /** What the next attempt is told. */
  private revision(): Revision<unknown> {
    const last = this.history.at(-1)
    return {
      attempt: this.attempts + 1,
      previous: last === undefined ? Option.none() : Option.some(last.draft),
      feedback: feedbackOf(last?.verdicts ?? [])
    }
  }

  private draft(revision: Revision<unknown>) {
    const { context, settings: { draft, maxAttempts } } = this
    this.attempts = revision.attempt
    const inputs = Predicate.isObjectKeyword(this.inputs) ? this.inputs : {}
    return Effect.suspend(() => {
      attemptOf(context).announce({ _tag: "DraftStarted", draft: revision.attempt, of: maxAttempts })
      const given = immutable({ ...inputs, revision })
      return asRepetition(draft.run(given), [context.stage, "draft", revision.attempt], given)
    }).pipe(Effect.flatMap(leaveUnlessOk))
  }

  private note(data: unknown): AttemptSoFar {
    // All guards look at the same, and none of them can change it.
    const attempt = { attempt: this.attempts, draft: immutable(data), verdicts: [] }
    this.history.push(attempt)
    return attempt
  }

  /** The first draft is like no other, so nobody looks at it before there is to be a second one. */
  private isStagnant(): boolean {
    const { stagnation } = this.settings
    const fingerprint = this.attempts === 1 ? undefined : this.rememberDraft()
    if (stagnation === undefined || fingerprint === undefined) return false
    return this.fingerprints.filter((seen) => seen === fingerprint).length >= stagnation.times
  }

  private rememberDraft(): string | undefined {
    const fingerprint = this.settings.stagnation?.fingerprintOf(this.history.at(-1)?.draft)
    if (fingerprint !== undefined) this.fingerprints.push(fingerprint)
    return fingerprint
  }

  /** Asks all guards at once, and waits for all of them. */
  private judge(attempt: AttemptSoFar): Effect.Effect<ReadonlyArray<Judged>, unknown, StageContext | Leaves> {
    const judging = Object.freeze({ attempt: attempt.attempt, inputs: this.inputs })
    return sideBySide(this.settings.guards.map(
      ({ name, runs }) =>
        Effect.suspend(() => {
          const place = [this.context.stage, `guards.${name}`, attempt.attempt] as const
          return asRepetition(runs.run(attempt.draft, judging), place, attempt.draft)
        }).pipe(
          Effect.flatMap(leaveUnlessOk),
          Effect.flatMap((end) => verdictOf(name, end)),
          Effect.map((verdict): Judged => ({ guard: name, verdict })),
          Effect.tap((judged) => this.told(attempt, judged))
        )
    ))
  }

  private told(attempt: AttemptSoFar, judged: Judged): Effect.Effect<void> {
    attempt.verdicts = [...attempt.verdicts, judged]
    const { guard, verdict } = judged
    // What a guard says may quote the draft, and is for whoever writes the next one.
    const accepted = verdict._tag === "Accept"
    const told = Effect.sync(() =>
      attemptOf(this.context).announce({
        _tag: "GuardVerdict",
        guard,
        verdict: accepted ? "accepted" : "rejected",
        draft: attempt.attempt
      })
    )
    return accepted ? told : Effect.andThen(rejectionStands(this), told)
  }

  private accepted({ attempt, draft }: AttemptSoFar, end: Ok<unknown>): Effect.Effect<AcceptedEnd> {
    const accepted = Object.freeze({ draft, attempt, history: this.historySoFar() })
    return Effect.as(this.tellEnd("accepted"), { accepted, end })
  }

  /** There is no accepted draft, for this reason. */
  ended(reason: EndReason, abandoned = false): Effect.Effect<never, NoDraftAccepted> {
    const { attempts, context: { stage }, settings: { maxAttempts } } = this
    const history = this.historySoFar()
    const error = noDraftAccepted({ stage, reason, attempts, maxAttempts, history, abandoned })
    return Effect.andThen(this.tellEnd(reason), Effect.fail(error))
  }

  private tellEnd(ended: EndReason | "accepted"): Effect.Effect<void> {
    return Effect.sync(() =>
      attemptOf(this.context).announce({ _tag: "GuardRetryEnded", drafts: this.attempts, ended })
    )
  }

  /**
   * After a rejection the end without an accepted draft is a refusal, whatever it is: somebody said no, and not only that
   * something went wrong.
   */
  refusing<A, R>(drafting: Effect.Effect<A, unknown, R>): Effect.Effect<A, unknown, R> {
    const ended = Effect.onExitPrimitive(drafting, (exit) => {
      // What was added for a draft that was not accepted goes with it, however that came about.
      if (exit._tag === "Failure" && this.history.length > 0) attemptOf(this.context).dropAddedArtifacts()
      return undefined
    })
    return Effect.matchCauseEffect(ended, {
      onSuccess: (accepted) => Effect.as(rejectionIsOver(this), accepted),
      onFailure: (cause) => {
        // It was cut off: whoever did that says how it ends.
        if (Cause.hasInterrupts(cause)) return Effect.failCause(cause)
        return Effect.andThen(rejectionIsOver(this), Effect.failCause(this.isRejected ? this.refusal(cause) : cause))
      }
    })
  }

  private get isRejected(): boolean {
    return this.history.some(({ verdicts }) => feedbackOf(verdicts).length > 0)
  }

  private refusal(cause: Cause.Cause<unknown>): Cause.Cause<unknown> {
    const ending = endingOfExit(this.context.stage, Exit.failCause(cause))
    if (ending._tag !== "Failed") return cause
    // A defect has no error of its own that could say so.
    const refusal = cause.reasons.some(Cause.isFailReason) ? cause : together(Cause.fail(ending.error), cause)
    if (Predicate.isObjectKeyword(ending.error)) noteRejection(ending.error)
    return refusing(refusal)
  }

  /** As it is now, whatever is left behind still does. */
  private historySoFar(): ReadonlyArray<Attempt<unknown>> {
    return immutable(this.history.map(({ attempt, draft, verdicts }) => ({ attempt, draft, verdicts })))
  }
}

type Leaves = InStage<"skip" | "cancel">

/** The verdict in data, if it is one. */
export const verdictIn = (data: unknown): Verdict<unknown> | undefined => {
  if (Predicate.isTagged(data, "Accept")) return accept
  return Predicate.isTagged(data, "Reject") && "feedback" in data ? reject(data.feedback) : undefined
}

/** Reads what a guard gave. What is no verdict accepts nothing. */
const verdictOf = (guard: string, { data }: Ok<unknown>): Effect.Effect<Verdict<unknown>, StageFault, StageContext> => {
  const verdict = verdictIn(data)
  if (verdict !== undefined) return Effect.succeed(verdict)
  return invalid(
    ["guards", guard],
    `Expected a verdict, GuardRetry.accept or GuardRetry.reject(feedback), got ${whatItIs(data)}`
  )
}

const invalid = (path: ReadonlyArray<string>, message: string): Effect.Effect<never, StageFault, StageContext> =>
  Effect.flatMap(
    StageContext,
    ({ stage }) =>
      Effect.fail(new StageFault({ stage, reason: { _tag: "InvalidOutput", problems: [{ path, message }] } }))
  )

const notData = (draft: unknown) => invalid(["draft"], `Expected an object, got ${whatItIs(draft)}`)

export const accept: Verdict = Object.freeze({ _tag: "Accept" })

export const reject = <Feedback>(feedback: Feedback): Verdict<Feedback> =>
  Object.freeze({ _tag: "Reject", feedback: immutable(feedback) })

/** Makes drafts of the inputs of a stage until one is accepted. */
export const acceptedDraft = (
  settings: Settings,
  inputs: unknown
): Effect.Effect<AcceptedEnd, unknown, StageContext | Leaves> =>
  Effect.flatMap(StageContext, (context) => {
    const drafting = new Drafting(settings, context, inputs)
    const drafted = settings.withDeadline(drafting.run, (abandoned) => drafting.ended("deadline", abandoned))
    return drafting.refusing(drafted) as typeof drafted // what leaves the stage is still in its cause
  })
