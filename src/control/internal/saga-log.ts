/**
 * Keeps what the stages of a run have done that can be taken back, and what the runs inside of it have.
 *
 * A run that completes hands over to the run that it is inside of. One that ends otherwise takes back what it has, first of
 * all after the runs inside of it which are doing the same.
 */
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import type { Compensation } from "../../attempt/compensation.ts"
import type { EndingRun, RunEnding } from "../../attempt/run-ending.ts"
import { elapsedMillis } from "../../internal/clock.ts"
import { within } from "../../internal/interruption.ts"

/** Something that a stage has done, and that can be taken back. */
export interface Deed {
  /** Which of all deeds of all runs inside of one another it is. */
  readonly order: number
  readonly stage: string
  readonly runId: string
  /** The stages from one of the run that keeps the deed down to the stage itself. */
  readonly path: readonly [string, ...ReadonlyArray<string>]
  /** The attempt of the first of them that it was done in. */
  readonly attempt: number
  readonly data: unknown
  readonly takeBack: (ending: RunEnding) => Effect.Effect<unknown, unknown, never>
  /** Where it was done. */
  readonly context: Context.Context<never>
}

/** The stage of another run that a run is inside of. */
export interface Place {
  readonly log: SagaLog
  readonly stage: string
  readonly attempt: number
}

/** Takes back what is in a log, which began at a time. */
export type TakeBack = (
  deeds: ReadonlyArray<Deed>,
  ending: RunEnding,
  run: EndingRun,
  since: number
) => Effect.Effect<Compensation>

export class SagaLog {
  readonly run: EndingRun
  private readonly takeBack: TakeBack
  private readonly place: Place | undefined
  private deeds: Array<Deed> = []
  private releases: Array<Effect.Effect<void>> = []
  /** The runs inside of this one that have not ended. */
  private readonly inside = new Set<SagaLog>()
  private readonly counter: { next: number }
  private state: "open" | "closed" | "handed over" = "open"
  /** How the run ended, once it is taken back. */
  private ending: RunEnding | undefined = undefined
  private report: Compensation | undefined = undefined
  /** Nothing is left to take back, or it is being taken back. */
  private readonly reached = Deferred.makeUnsafe<void>()
  /** Nothing is left to take back. */
  private readonly settled = Deferred.makeUnsafe<void>()
  /** The run has told its last event. */
  private readonly told = Deferred.makeUnsafe<void>()

  constructor(run: EndingRun, takeBack: TakeBack, place: Place | undefined) {
    this.run = run
    this.takeBack = takeBack
    this.place = place
    this.counter = place?.log.counter ?? { next: 0 }
    place?.log.inside.add(this)
  }

  /** The number of the deed that has just been done. */
  nextOrder(): number {
    return this.counter.next++
  }

  /**
   * Keeps a deed. Says how the run ended when it was taken back before: then nobody is going to take back this one.
   */
  add(deed: Deed): RunEnding | undefined {
    switch (this.state) {
      case "open":
        this.deeds.push(deed)
        return undefined
      case "closed":
        return this.ending
      case "handed over":
        return this.place?.log.add(lifted(deed, this.place))
    }
  }

  /** Takes back a deed that nobody else is going to. */
  takeBackLate(deed: Deed, ending: RunEnding): Effect.Effect<void> {
    return Effect.flatMap(elapsedMillis, (now) => Effect.asVoid(this.takeBack([deed], ending, this.run, now)))
  }

  /** Whether it sees to the release of layers: when what they give may be asked for after the end of the run. */
  keepsLayers(release: Effect.Effect<void>): boolean {
    if (this.place === undefined || this.deeds.length === 0) return false
    // Those of the runs inside may have been built from them: they are released first.
    this.releases.unshift(release)
    return true
  }

  /** Whether what is around the run may still have it taken back, with what its layers give. */
  get needsLayers(): boolean {
    return this.place === undefined && this.deeds.length > 0
  }

  /** Takes back what is left, after the runs inside. Says what became of all of it. */
  takeAllBack(ending: RunEnding): Effect.Effect<Compensation> {
    return Effect.gen({ self: this }, function*() {
      Deferred.doneUnsafe(this.reached, Effect.void)
      if (this.state === "open") yield* this.insideTakenBack
      this.ending ??= Object.freeze(ending)
      const since = yield* elapsedMillis
      // A stage that ignored its interruption may end while others are taken back.
      do {
        const report = yield* this.takeBack(this.deeds.splice(0), this.ending, this.run, since)
        this.report = this.report === undefined ? report : both(this.report, report)
      } while (this.deeds.length > 0)
      this.state = "closed"
      yield* this.releaseKept
      this.settle()
      return this.report
    })
  }

  /** Waits for the runs inside that are being taken back. */
  get insideTakenBack(): Effect.Effect<void> {
    return Effect.suspend(() =>
      Effect.forEach(Array.from(this.inside), (run) => run.untilTakenBack, { concurrency: "unbounded", discard: true })
    )
  }

  /** The run has completed: what it has done, it has done for the run that it is inside of. */
  get complete(): Effect.Effect<Compensation | undefined> {
    return Effect.suspend(() => {
      const { place } = this
      // What outlives a run that was taken back is taken back, too.
      const ending = place?.log.endingOfAll
      if (ending !== undefined) return this.takeAllBack(ending)
      this.state = "handed over"
      if (place !== undefined) {
        for (const deed of this.deeds) place.log.add(lifted(deed, place))
        place.log.keep(this.releases)
        this.releases = []
      }
      this.deeds = []
      this.settle()
      return Effect.as(Effect.andThen(this.insideTakenBack, this.releaseKept), undefined)
    })
  }

  private keep(releases: ReadonlyArray<Effect.Effect<void>>): void {
    if (this.state === "handed over" && this.place !== undefined) return this.place.log.keep(releases)
    this.releases.push(...releases)
  }

  /** How the run ended that this one's deeds belong to now, when that was taken back. */
  private get endingOfAll(): RunEnding | undefined {
    return this.state === "handed over" ? this.place?.log.endingOfAll : this.ending
  }

  /** Releases the layers of the runs inside, the last one first. */
  get releaseKept(): Effect.Effect<void> {
    return Effect.suspend(() => Effect.forEach(this.releases.splice(0).toReversed(), (one) => one, { discard: true }))
  }

  private settle(): void {
    Deferred.doneUnsafe(this.reached, Effect.void)
    Deferred.doneUnsafe(this.settled, Effect.void)
  }

  /** The run has told its last event: nobody waits for it any more. */
  endTold(): void {
    Deferred.doneUnsafe(this.told, Effect.void)
    this.place?.log.inside.delete(this)
  }

  /** What is around the run may take longer to end than anybody should wait for. */
  private get untilTold(): Effect.Effect<void> {
    return Effect.asVoid(within(Deferred.await(this.told), this.run.grace))
  }

  /**
   * Waits until a run inside is taken back that is being interrupted, and has told of it. What a stage started and let go of goes on, and is not
   * waited for.
   */
  private get untilTakenBack(): Effect.Effect<void> {
    const { place } = this
    const isInterrupted = place?.log.run.isAbandoned(place.stage) === true
    return Effect.andThen(
      isInterrupted ? within(Deferred.await(this.reached), this.run.grace) : Effect.void,
      Effect.suspend(() =>
        Deferred.isDoneUnsafe(this.reached)
          ? Effect.andThen(Deferred.await(this.settled), isInterrupted ? this.untilTold : Effect.void)
          : Effect.void
      )
    )
  }
}

const lifted = (deed: Deed, { attempt, stage }: Place): Deed => ({ ...deed, path: [stage, ...deed.path], attempt })

const both = (one: Compensation, other: Compensation): Compensation => ({
  compensated: [...one.compensated, ...other.compensated],
  failed: [...one.failed, ...other.failed],
  notReached: [...one.notReached, ...other.notReached]
})

/** The log of the run that a stage is part of. */
export const CurrentLog = Context.Reference<SagaLog | undefined>("stageflow/control/SagaLog", {
  defaultValue: () => undefined
})
