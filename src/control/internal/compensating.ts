/**
 * Takes back what stages have done: the last first, each within its limit of time, whatever becomes of the others.
 */
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import type { Announcement } from "../../attempt/announcement.ts"
import type { Compensation } from "../../attempt/compensation.ts"
import { errorSummaryOf } from "../../attempt/error-summary.ts"
import { withoutSurroundings } from "../../attempt/installed.ts"
import { originOf } from "../../attempt/outcome.ts"
import type { EndingRun, RunEnding } from "../../attempt/run-ending.ts"
import { elapsedMillis } from "../../internal/clock.ts"
import { Holdings, interruptWithin, within } from "../../internal/interruption.ts"
import { isStageOutput } from "../../internal/output-model.ts"
import { StageContext } from "../../StageContext.ts"
import { Backwards } from "./backwards.ts"
import { CurrentLog, type Deed, type TakeBack } from "./saga-log.ts"

/** What is wrong with a compensation that did not fail with an error of its own. */
export class CompensationFault extends Schema.TaggedError<CompensationFault>()("CompensationFault", {
  stage: Schema.String,
  /** It died, it took longer than its limit, or it went on after its interruption and was left behind. */
  reason: Schema.Literals(["died", "timed-out", "abandoned"]),
  /** What it died of. */
  defect: Schema.optionalKey(Schema.Defect()),
  /** How long it was given. */
  limitMs: Schema.optionalKey(Schema.Number)
}) {
  readonly code = "COMPENSATION_FAULT"
  override get message(): string {
    const limit = this.limitMs === undefined ? "its limit" : Duration.format(Duration.millis(Math.ceil(this.limitMs)))
    switch (this.reason) {
      case "died": {
        // Its own message may hold anything.
        const { at, type } = originOf(this.defect)
        return `The compensation of stage "${this.stage}" died of a defect: ${type}${
          at === undefined ? "" : ` at ${at}`
        }`
      }
      case "timed-out":
        return `The compensation of stage "${this.stage}" took longer than ${limit}`
      case "abandoned":
        return `The compensation of stage "${this.stage}" took longer than ${limit}, `
          + `ignored its interruption and was abandoned`
    }
  }
}

/**
 * Something that was not taken back, with all that it takes to do it by hand.
 */
export interface Uncompensated {
  /** The pipeline whose run was to take it back. */
  readonly pipeline: string
  /** The stage that did it. */
  readonly stage: string
  /** The stages from one of that pipeline down to it. */
  readonly path: ReadonlyArray<string>
  /** The run that the stage was part of. */
  readonly runId: string
  /** What the compensation was given. */
  readonly data: unknown
  readonly reason: "failed" | "died" | "timed-out" | "abandoned" | "not-reached"
  /** What went wrong; `undefined` when it was not reached. */
  readonly error: unknown
  readonly cause: Cause.Cause<unknown>
}

/** How a saga takes back. */
export interface Settings {
  readonly limit: Duration.Duration
  readonly deadline: Duration.Duration
  readonly concurrency: number
  /** Hears of what was not taken back. */
  readonly onUncompensated: ((uncompensated: Uncompensated) => Effect.Effect<unknown, unknown>) | undefined
}

type Failed = Pick<Uncompensated, "cause" | "error"> & {
  readonly reason: Exclude<Uncompensated["reason"], "not-reached">
}

/** Takes back deeds as the settings say. */
export const takingBack = (settings: Settings): TakeBack => (deeds, ending, run, since) =>
  deeds.length === 0
    ? Effect.succeed({ compensated: [], failed: [], notReached: [] })
    : new Compensating(settings, ending, run, since + Duration.toMillis(settings.deadline)).all(deeds)

class Compensating {
  private readonly settings: Settings
  private readonly ending: RunEnding
  private readonly run: EndingRun
  /** When the time for all of them is over. */
  private readonly until: number
  private readonly compensated: Array<Compensation["compensated"][number]> = []
  private readonly failed: Array<Compensation["failed"][number]> = []
  private readonly notReached: Array<Compensation["notReached"][number]> = []

  constructor(settings: Settings, ending: RunEnding, run: EndingRun, until: number) {
    this.settings = settings
    this.ending = ending
    this.run = run
    this.until = until
  }

  /** Takes back all of them, and says what became of each. */
  all(deeds: ReadonlyArray<Deed>): Effect.Effect<Compensation> {
    const latestFirst = deeds.toSorted((a, b) => b.order - a.order)
    const each = this.settings.concurrency === 1
      ? Effect.forEach(latestFirst, (deed) => this.one(deed), { discard: true })
      : this.independently(latestFirst)
    return Effect.map(each, () => {
      const { compensated, failed, notReached } = this
      return Object.freeze({
        compensated: Object.freeze(compensated),
        failed: Object.freeze(failed),
        notReached: Object.freeze(notReached)
      })
    })
  }

  /**
   * What stages did that do not depend on one another is taken back at once. A stage begins after those it depends on have
   * ended: what is taken back before it is what the stages did that depend on it.
   */
  private independently(latestFirst: ReadonlyArray<Deed>): Effect.Effect<void> {
    const groups = new Map<string, { readonly deeds: Array<Deed>; readonly ready: Deferred.Deferred<void> }>()
    for (const deed of latestFirst) {
      const group = groups.get(deed.path[0])
      if (group === undefined) groups.set(deed.path[0], { deeds: [deed], ready: Deferred.makeUnsafe() })
      else group.deeds.push(deed)
    }
    const backwards = new Backwards(groups.keys(), this.run.dependenciesOf, (stage) => {
      const group = groups.get(stage)
      if (group !== undefined) Deferred.doneUnsafe(group.ready, Effect.void)
      return group !== undefined
    })
    // A stage was done after those that it depends on: what it waits for here comes before it.
    return Effect.forEach(groups, ([stage, { deeds, ready }]) =>
      Effect.gen({ self: this }, function*() {
        yield* Deferred.await(ready)
        for (const deed of deeds) yield* this.one(deed)
        backwards.pass(stage)
      }), { concurrency: this.settings.concurrency, discard: true })
  }

  private announce({ attempt, path: [stage] }: Deed, announcement: Announcement): void {
    this.run.announce(stage, attempt, announcement)
  }

  /** Takes back one of them. */
  private one(deed: Deed): Effect.Effect<void> {
    return Effect.gen({ self: this }, function*() {
      const what = { stage: deed.stage, path: deed.path, runId: deed.runId }
      const about = { path: deed.path, stageRunId: deed.runId }
      const startedAt = yield* elapsedMillis
      if (startedAt >= this.until) {
        this.notReached.push(what)
        this.announce(deed, { _tag: "CompensationNotReached", ...about })
        return yield* this.report(deed, { reason: "not-reached", error: undefined, cause: Cause.empty })
      }
      this.announce(deed, { _tag: "CompensationStarted", ...about })
      const limitMs = Math.min(Duration.toMillis(this.settings.limit), this.until - startedAt)
      const failed = yield* this.failureOf(deed, limitMs)
      const durationMs = (yield* elapsedMillis) - startedAt
      if (failed === undefined) {
        this.compensated.push({ ...what, durationMs })
        return this.announce(deed, { _tag: "CompensationCompleted", ...about, durationMs })
      }
      const how = { reason: failed.reason, error: errorSummaryOf(failed.error), durationMs }
      this.failed.push({ ...what, ...how })
      this.announce(deed, { _tag: "CompensationFailed", ...about, ...how })
      yield* this.report(deed, failed)
    })
  }

  /** Runs a compensation, in a fiber of its own: one that ignores its interruption can be left behind. */
  private failureOf(deed: Deed, limitMs: number): Effect.Effect<Failed | undefined> {
    return Effect.gen({ self: this }, function*() {
      const limit = Duration.millis(limitMs)
      const surroundings = yield* Effect.context<never>()
      const takingBack = Effect.suspend(() => deed.takeBack(this.ending))
      const fiber = yield* Effect.forkDetach(
        Effect.updateContext(takingBack, (_: Context.Context<never>) => this.environmentOf(deed, surroundings)),
        { startImmediately: true }
      )
      if (fiber.pollUnsafe() === undefined) yield* within(Fiber.await(fiber), limit)
      const inTime = fiber.pollUnsafe()
      if (inTime !== undefined) return this.failureIn(deed, inTime)
      yield* interruptWithin([fiber], this.run.grace)
      const exit = fiber.pollUnsafe()
      // What it did at the last moment it has done.
      if (exit?._tag === "Success") return undefined
      const reason = exit === undefined ? "abandoned" : "timed-out"
      const error = new CompensationFault({ stage: deed.stage, reason, limitMs })
      return { reason, error, cause: exit === undefined ? Cause.fail(error) : exit.cause }
    })
  }

  private failureIn({ stage }: Deed, exit: Exit.Exit<unknown, unknown>): Failed | undefined {
    if (exit._tag === "Success") {
      const { value } = exit
      return isStageOutput(value) && value._tag === "Fail"
        ? { reason: "failed", error: value.error, cause: Cause.fail(value.error) }
        : undefined
    }
    const { cause } = exit
    const failed = Cause.findErrorOption(cause)
    if (Option.isSome(failed)) return { reason: "failed", error: failed.value, cause }
    return {
      reason: "died",
      error: new CompensationFault({ stage, reason: "died", defect: Cause.squash(cause) }),
      cause
    }
  }

  /**
   * The environment of a compensation: the ports that its stage had, in the surroundings of the run as they are now. What it
   * emits is told as the stage's. What it does is no deed of the run; a run that it starts is taken back like any other.
   */
  private environmentOf(deed: Deed, surroundings: Context.Context<never>): Context.Context<never> {
    const own = withoutSurroundings(Context.omit(Holdings)(deed.context))
    const stage = Context.getUnsafe(deed.context as Context.Context<StageContext>, StageContext)
    return Context.merge(surroundings, own).pipe(
      Context.add(StageContext, this.speaking(stage, deed)),
      Context.add(CurrentLog, undefined)
    )
  }

  private speaking(context: StageContext["Service"], deed: Deed): StageContext["Service"] {
    const { attempt, path: [stage] } = deed
    const tell = (type: string, data: unknown): void => this.run.tell(stage, attempt, type, data)
    const emit: StageContext["Service"]["emit"] = (type, data) => Effect.sync(() => tell(type, data))
    const announce = (announcement: Announcement): void => this.announce(deed, announcement)
    // All else is as it was.
    return Object.create(context, {
      emit: { value: emit },
      tell: { value: tell },
      announce: { value: announce }
    }) as StageContext["Service"]
  }

  /** Hands over what was not taken back to whoever sees to it. */
  private report(
    { data, path, runId, stage }: Deed,
    failure: Pick<Uncompensated, "reason" | "error" | "cause">
  ): Effect.Effect<void> {
    const { grace, pipeline } = this.run
    const { limit, onUncompensated } = this.settings
    const why = failure.error === undefined ? "the time for it was over" : errorSummaryOf(failure.error).message
    const logged = Effect.logError(`What stage "${stage}" of pipeline "${pipeline}" did is not taken back: ${why}`)
    if (onUncompensated === undefined) return logged
    return Effect.gen(function*() {
      const hearing = Effect.suspend(() => onUncompensated({ pipeline, stage, path, runId, data, ...failure }))
      const fiber = yield* Effect.forkDetach(hearing, { startImmediately: true })
      if (fiber.pollUnsafe() === undefined) yield* within(Fiber.await(fiber), limit)
      yield* interruptWithin([fiber], grace)
      if (fiber.pollUnsafe()?._tag !== "Success") yield* logged
    })
  }
}
