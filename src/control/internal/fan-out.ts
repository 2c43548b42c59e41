/**
 * Runs a body for each of several items: reads how every item ended, collects that, tells of it and decides when enough
 * items have failed.
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { absurd } from "effect/Function"
import * as Result from "effect/Result"
import type * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import { type Attempt, attemptOf, type Part } from "../../attempt/attempt.ts"
import { errorSummaryOf } from "../../attempt/error-summary.ts"
import type { Outcome, StageEffect } from "../../attempt/interceptor-model.ts"
import { isData } from "../../attempt/made-outcome.ts"
import { isNote } from "../../attempt/note.ts"
import {
  causeOfInvalidData,
  endingOfExit,
  type FailedEnding,
  failedEnding,
  isLiteral,
  unreadable
} from "../../attempt/outcome.ts"
import type { Ending } from "../../attempt/outcome.ts"
import { asRepetition } from "../../attempt/repetition.ts"
import { UntoldRunsOf } from "../../attempt/told-runs.ts"
import type { ErrorSummary } from "../../Event.ts"
import { together } from "../../internal/causes.ts"
import type { Telling } from "../../internal/chosen-events.ts"
import { immutable } from "../../internal/immutable.ts"
import { InterruptionGrace } from "../../internal/interruption.ts"
import * as options from "../../internal/options.ts"
import { type Cancel, isStageOutput, type Ok, plainOk } from "../../internal/output-model.ts"
import { isRefusal } from "../../internal/refusal.ts"
import { type Progress, StageContext } from "../../StageContext.ts"
import { RetryExhausted, StageFault } from "../../StageError.ts"
import type { AttemptCount, Runs } from "./body.ts"
import { type ItemSource, openItems } from "./item-source.ts"
import {
  CollectedOutcomes,
  CollectedResults,
  type EndedItem,
  type Item,
  itemFailed,
  type Outcomes,
  type Results,
  tooManyFailed
} from "./items.ts"
import { type ItemWork, Workers } from "./workers.ts"

/** What a for-each was told when it was made. */
export interface Settings {
  readonly items: (inputs: unknown) => unknown
  readonly runs: Runs
  readonly key: ((item: unknown, index: number) => string) | undefined
  readonly concurrency: number
  /** How many items may fail; `undefined` when the first that does fails the stage with its error. */
  readonly tolerated: number | undefined
  readonly retry: ((effect: StageEffect, stage: string, count: AttemptCount) => StageEffect) | undefined
  readonly telling: Telling
  /** Looks whether what an item gave is of the schema of items. */
  readonly validate: ((value: unknown) => Effect.Effect<unknown, Schema.SchemaError>) | undefined
}

/** How many items ended, and how. It is the progress of the stage, too. */
class Counts implements Progress {
  ok = 0
  failed = 0
  skipped = 0
  /** How many there are, when that is known. */
  total: number | undefined = undefined

  get done(): number {
    return this.ok + this.failed + this.skipped
  }

  /** The counts as they are now. */
  get now() {
    const { done, failed, ok, skipped, total } = this
    return { done, ok, failed, skipped, ...(total === undefined ? {} : { total }) }
  }
}

const nanosPerMilli = 1_000_000

/** An item that a worker works on. */
class RunningItem implements EndedItem, AttemptCount {
  readonly index: number
  readonly value: unknown
  attempts = 0
  key: string | undefined = undefined
  /** The last of several attempts of a function: only that one counts. */
  part: Part | undefined = undefined
  private readonly clock: Clock.Clock
  private readonly startedNanos: bigint
  private known: Item | undefined = undefined

  constructor(value: unknown, index: number, clock: Clock.Clock) {
    this.value = value
    this.index = index
    this.clock = clock
    this.startedNanos = clock.monotonicTimeNanosUnsafe()
  }

  get item(): Item {
    return this.known ??= {
      index: this.index,
      key: this.key ?? String(this.index),
      attempts: Math.max(1, this.attempts),
      durationMs: Number(this.clock.monotonicTimeNanosUnsafe() - this.startedNanos) / nanosPerMilli
    }
  }
}

/** Why a for-each ends before its items do. */
type Stop =
  | { readonly _tag: "ItemFailed"; readonly cause: Cause.Cause<unknown> }
  | { readonly _tag: "TooManyFailed" }
  | Cancel

type ItemOutcome = "ok" | "failed" | "skipped"

/** Why an item was skipped, or what it failed with. */
type Besides = { readonly reason: string } | { readonly error: ErrorSummary }

class FanOut {
  readonly counts = new Counts()
  readonly collected: CollectedResults | CollectedOutcomes
  readonly workers: Workers
  stop: Stop | undefined = undefined
  private readonly settings: Settings
  private readonly attempt: Attempt
  private readonly clock: Clock.Clock
  private readonly source: ItemSource
  private begun = 0
  /** What went wrong in items while the others were being stopped. */
  private readonly besides: Array<Cause.Cause<unknown>> = []
  /** The last item that ended, when it was not told of, and how it ended. */
  private untold: RunningItem | undefined = undefined
  private untoldOutcome: ItemOutcome = "ok"
  private untoldBesides: Besides | undefined = undefined

  constructor(settings: Settings, source: ItemSource, attempt: Attempt, clock: Clock.Clock) {
    this.settings = settings
    this.source = source
    this.attempt = attempt
    this.clock = clock
    this.collected = settings.tolerated === undefined ? new CollectedResults(source.size) : new CollectedOutcomes()
    this.counts.total = source.size
    this.workers = new Workers(source, settings.concurrency, this.workOf)
  }

  // -------------------------------------------------------------------------------------------------------------------
  // running an item
  // -------------------------------------------------------------------------------------------------------------------

  private readonly workOf = (): ItemWork => {
    let running: RunningItem
    return {
      begin: (value, index) => {
        this.begun++
        this.collected.begin(index)
        running = new RunningItem(value, index, this.clock)
        return this.effectFor(running)
      },
      gave: (value) => {
        running.part?.keep()
        this.returned(running, value)
      },
      failed: (cause) => {
        running.part?.keep()
        this.ended(running, Exit.failCause(cause))
      }
    }
  }

  private effectFor(running: RunningItem): Effect.Effect<unknown, unknown> {
    const { retry } = this.settings
    if (retry === undefined) return this.attemptFor(running)
    const retried = retry(
      this.readForRetry(Effect.suspend(() => this.inPart(running))),
      this.attempt.stage,
      running
    )
    // What runs in a stage has everything that the stage says it needs.
    return Effect.map(retried, (outcome) => outcome._tag === "Ok" ? outcome.data : outcome) as Effect.Effect<unknown>
  }

  /** What an attempt adds that is followed by another one goes with it. A run of its own has added it to itself. */
  private inPart(running: RunningItem): Effect.Effect<unknown, unknown> {
    if (this.settings.runs.pipeline !== undefined) return this.attemptFor(running)
    running.part?.drop()
    running.part = this.attempt.part()
    return running.part.run(this.attemptFor(running))
  }

  private attemptFor(running: RunningItem): Effect.Effect<unknown, unknown> {
    const { key, runs } = this.settings
    if (key !== undefined) running.key ??= options.text("key", key(running.value, running.index))
    // It runs in a stage, as this does.
    const run = runs.runUnread(running.value, running.index, running) as Effect.Effect<unknown, unknown>
    // Nothing is kept of a function, which is part of the stage; but it may run pipelines itself.
    const known = asRepetition(run, [this.attempt.stage, "each", running.index], running.value)
    return this.settings.validate === undefined
      ? known
      : Effect.flatMap(known, (returned) => this.validated(running, returned))
  }

  /** What an item gives that is not of its schema has failed, and nothing but that item. */
  private validated({ index }: RunningItem, returned: unknown): Effect.Effect<unknown, unknown> {
    const { validate } = this.settings
    const isOutcome = isStageOutput(returned)
    if (validate === undefined || (isOutcome && returned._tag !== "Ok")) return Effect.succeed(returned)
    // A failed item is one of its own; where the first ends the stage, its place says which it is.
    const path = this.settings.tolerated === undefined ? ["results", index] : []
    return Effect.matchCauseEffect(Effect.suspend(() => validate(isOutcome ? returned.data : returned)), {
      onFailure: (cause) => Effect.failCause(causeOfInvalidData(this.attempt.stage, cause, path)),
      onSuccess: () => Effect.succeed(returned)
    })
  }

  /** How an attempt ended, for a policy to look at. What it gave is not looked at before it has ended for good. */
  private readForRetry(run: Effect.Effect<unknown, unknown>): StageEffect {
    const read = (exit: Exit.Exit<unknown, unknown>): Effect.Effect<Outcome, unknown> => {
      const ending = this.endingOf(exit)
      return ending._tag === "Failed" ? Effect.failCause(ending.cause) : Effect.succeed(ending)
    }
    return Effect.matchCauseEffect(run, {
      onSuccess: (returned): Effect.Effect<Outcome, unknown> =>
        isStageOutput(returned) && returned._tag !== "Ok"
          ? read(Exit.succeed(returned))
          : Effect.succeed(plainOk(returned)),
      onFailure: (cause) => read(Exit.failCause(cause))
    })
  }

  // -------------------------------------------------------------------------------------------------------------------
  // reading how it ended
  // -------------------------------------------------------------------------------------------------------------------

  private endingOf(exit: Exit.Exit<unknown, unknown>): Ending {
    const { stage } = this.attempt
    // What was given can throw when it is looked at.
    const read = Result.try(() => endingOfExit(stage, exit))
    return Result.isSuccess(read) ? read.success : unreadable(stage, read.failure)
  }

  /** An item may give anything, and not only an object: but nothing that was forgotten to be waited for. */
  private returned(running: RunningItem, returned: unknown): void {
    if (typeof returned !== "object" || returned === null) return this.ok(running, returned)
    const read = Result.try(() =>
      isLiteral(returned) || (!isStageOutput(returned) && isData(returned)) ? immutable(returned) : unread
    )
    if (Result.isFailure(read)) return this.failed(running, unreadable(this.attempt.stage, read.failure))
    return read.success === unread ? this.ended(running, Exit.succeed(returned)) : this.ok(running, read.success)
  }

  private ended(running: RunningItem, exit: Exit.Exit<unknown, unknown>): void {
    const ending = this.endingOf(exit)
    switch (ending._tag) {
      case "Ok": {
        const data = Result.try(() => immutable(ending.data))
        if (Result.isFailure(data)) return this.failed(running, unreadable(this.attempt.stage, data.failure))
        this.takeOver(ending)
        return this.ok(running, data.success)
      }
      case "Skip":
        this.takeOver(ending)
        return this.skipped(running, ending.reason)
      case "Cancel":
        return this.end(ending)
      case "Retry": {
        const { item: { attempts } } = running
        const error = new RetryExhausted({ stage: this.attempt.stage, attempts, reason: ending.reason })
        return this.failed(running, failedEnding(error))
      }
      case "Failed":
        return this.failed(running, ending)
      default:
        return absurd(ending)
    }
  }

  /** What came with the outcome of a function is the stage's. What came with that of a child is in the child's run. */
  private takeOver({ artifacts, events }: Pick<Ok<unknown>, "artifacts" | "events">): void {
    if (this.settings.runs.pipeline !== undefined || artifacts.length + events.length === 0) return
    for (const event of events) {
      if (!isNote(event)) this.attempt.tell(event.type, event.data)
    }
    for (const artifact of artifacts) this.attempt.keepArtifact(artifact)
  }

  private ok(running: RunningItem, value: unknown): void {
    this.counts.ok++
    this.collected.ok(running, value)
    this.tell(running, "ok", 0, undefined)
  }

  private skipped(running: RunningItem, reason: string): void {
    this.counts.skipped++
    this.collected.skipped(running, reason)
    this.tell(running, "skipped", 0, { reason })
  }

  private failed(running: RunningItem, { cause, error }: FailedEnding): void {
    const failures = ++this.counts.failed
    this.tell(running, "failed", failures, { error: errorSummaryOf(error) })
    this.collected.failed(running, error)
    // No means no, however many may fail: an outcome that tells of a refusal would be data.
    if (this.settings.tolerated !== undefined && !isRefusal(error, cause)) {
      if (failures > this.settings.tolerated) this.end(tooMany)
      return
    }
    const failed = causeOfStage(this.attempt.stage, running.item, error, cause)
    if (this.stop !== undefined) this.besides.push(failed)
    this.end({ _tag: "ItemFailed", cause: failed })
  }

  private end(stop: Stop): void {
    this.stop ??= stop
    this.workers.stop()
  }

  // -------------------------------------------------------------------------------------------------------------------
  // telling
  // -------------------------------------------------------------------------------------------------------------------

  private tell(ended: RunningItem, outcome: ItemOutcome, failure: number, besides: Besides | undefined): void {
    const { last, tells } = this.settings.telling
    const isTold = tells(this.counts.done, failure)
    if (isTold) this.tellItem(ended, outcome, besides)
    this.untold = isTold || !last ? undefined : ended
    this.untoldOutcome = outcome
    this.untoldBesides = besides
  }

  private tellItem(ended: RunningItem, outcome: ItemOutcome, besides: Besides | undefined): void {
    this.attempt.announce({ _tag: "ItemEnded", ...ended.item, outcome, ...besides, counts: this.counts.now })
  }

  /** Tells of the last item, if it is to be told of and was not, and of the end. */
  tellEnd(outcome: "ok" | "failed" | "cancelled" | "interrupted"): void {
    if (this.untold !== undefined) this.tellItem(this.untold, this.untoldOutcome, this.untoldBesides)
    const counts = { ...this.counts.now, interrupted: this.begun - this.counts.done }
    this.attempt.announce({ _tag: "ForEachEnded", outcome, counts })
  }

  // -------------------------------------------------------------------------------------------------------------------
  // ending
  // -------------------------------------------------------------------------------------------------------------------

  /** All items were taken: now it is known how many there are. */
  noteTotal(): void {
    if (this.source.isEnded && this.workers.causes.length === 0) this.counts.total = this.begun
  }

  /** What the stage ends with when every worker has. */
  result(exit: Exit.Exit<void, unknown>): Effect.Effect<Ended, unknown> {
    const wrong = allOf([...this.besides, ...this.workers.causes])
    if (exit._tag === "Failure") return Effect.failCause(wrong === undefined ? exit.cause : together(exit.cause, wrong))
    const { stop } = this
    if (stop === undefined) {
      return wrong === undefined ? Effect.succeed(this.collected.data()) : Effect.failCause(wrong)
    }
    if (stop._tag === "Cancel" && wrong === undefined) return Effect.succeed(stop)
    const cause = this.causeOf(stop)
    return Effect.failCause(wrong === undefined ? cause : together(cause, wrong))
  }

  private causeOf(stop: Stop): Cause.Cause<unknown> {
    switch (stop._tag) {
      case "ItemFailed":
        return stop.cause
      case "Cancel":
        return Cause.die(stop)
      case "TooManyFailed": {
        const failures = this.collected instanceof CollectedOutcomes ? this.collected.failures : []
        return Cause.fail(tooManyFailed(this.attempt.stage, this.settings.tolerated ?? 0, failures))
      }
    }
  }
}

/** What is no plain value: an outcome, or something that was forgotten to be waited for. */
const unread: unique symbol = Symbol("unread")

const tooMany: Stop = { _tag: "TooManyFailed" }

/** What the stage fails with when an item does: a defect stays one, everything else is the failure of that item. */
const causeOfStage = (
  stage: string,
  item: Item,
  error: unknown,
  cause: Cause.Cause<unknown>
): Cause.Cause<unknown> => {
  if (error instanceof StageFault) return cause
  const others = cause.reasons.filter((reason) => !Cause.isFailReason(reason))
  return together(Cause.fail(itemFailed(stage, item, error, cause)), Cause.fromReasons(others))
}

const allOf = (causes: ReadonlyArray<Cause.Cause<unknown>>): Cause.Cause<unknown> | undefined =>
  causes.length === 0 ? undefined : Cause.fromReasons(causes.flatMap(({ reasons }) => reasons))

/** What a for-each ends with that did not fail. */
type Ended = Results<unknown> | Outcomes<unknown, unknown> | Cancel

const outcomeOf = (exit: Exit.Exit<Ended, unknown>): "ok" | "failed" | "cancelled" | "interrupted" => {
  if (exit._tag === "Success") return isStageOutput(exit.value) ? "cancelled" : "ok"
  return Cause.hasInterruptsOnly(exit.cause) ? "interrupted" : "failed"
}

type Restore = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>

// What it takes are arguments: V8 keeps a generator, and with it all that it can see, until the next full collection.
const runAll = Effect.fnUntraced(function*(
  settings: Settings,
  inputs: unknown,
  scope: Scope.Closeable,
  grace: Duration.Duration,
  restore: Restore
): Effect.fn.Return<Ended, unknown, unknown> {
  const attempt = attemptOf(yield* StageContext)
  const source = yield* restore(openItems(() => settings.items(inputs), scope))
  const fanOut = new FanOut(settings, source, attempt, yield* Clock.Clock)
  attempt.reportProgress(fanOut.counts)
  // The items are told of: a run for each of them would be one event more for each, however many there are.
  const worked = yield* Effect.provideService(fanOut.workers.run(restore, grace), UntoldRunsOf, attempt.first)
  const { leftBehind } = fanOut.workers
  if (leftBehind > 0) {
    yield* Effect.logWarning(`Stage "${attempt.stage}" left items behind that ignore their interruption: ${leftBehind}`)
  }
  fanOut.noteTotal()
  const exit = yield* Effect.exit(fanOut.result(worked))
  fanOut.tellEnd(outcomeOf(exit))
  return yield* exit
})

/** Runs the body for each item. Whatever ends it, nothing of it is left running when it has ended. */
export const runForEach = (settings: Settings, inputs: unknown): Effect.Effect<Ended, unknown, unknown> =>
  Effect.uninterruptibleMask((restore) =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const exit = yield* Effect.exit(runAll(settings, inputs, scope, yield* InterruptionGrace, restore))
      const closed = yield* Effect.exit(Scope.close(scope, exit))
      if (closed._tag === "Success") return yield* exit
      return yield* Effect.failCause(exit._tag === "Success" ? closed.cause : together(exit.cause, closed.cause))
    })
  )
