/**
 * Holds a claim for as long as anything of the stage runs under it, and leaves under its key what the next one is to know.
 *
 * The claim belongs to what the stage itself runs, its body, and not to whoever waits for it:
 *
 * - It is renewed while a body runs, also one that was interrupted, timed out or left behind.
 * - When a body has succeeded nothing interrupts until that is kept. Where what is around the body, inside of idempotency,
 *   was cut short, what the body gave is kept instead: it is not run again.
 * - It is given up when no body of it has succeeded and none runs any more.
 *
 * A body has a fiber of its own. Whoever is interrupted lets it first take the steps that need no waiting, so that what it
 * did in this instant counts.
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import type { Attempt } from "../../../attempt/attempt.ts"
import { aroundBody } from "../../../attempt/body.ts"
import type { Outcome, StageEffect } from "../../../attempt/interceptor-model.ts"
import { canBeKept, type Kept, keptOutcome, settledOutcome } from "../../../attempt/kept-outcome.ts"
import type { Artifact } from "../../../internal/output-model.ts"
import type { Problem } from "../../../internal/problems.ts"
import { StageFault, StageTimeout } from "../../../StageError.ts"
import { IdempotencyResultInvalid, type IdempotencyUnavailable } from "./errors.ts"
import { type KeptRecord, textOf } from "./kept-record.ts"
import { monotonicMs, type StoreAccess } from "./store-access.ts"

type Restore = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
type Problems = ReadonlyArray<Problem>

/** How long claims and results last. */
export interface Durations {
  readonly ttlMs: number
  readonly leaseMs: number
}

/** What a stage has done and could not keep, because the claim was somebody else's by then. */
export interface Done {
  readonly text: string
  readonly record: KeptRecord
}

/** How a claim ends for the one who holds it: the stage ends with it, or the claim is somebody else's. */
export type Ending =
  | { readonly _tag: "Ended"; readonly exit: Exit.Exit<Outcome, unknown> }
  | { readonly _tag: "Lost"; readonly done: Done | undefined }

/** The last success of a body. */
interface Success {
  readonly outcome: Kept
  readonly addedArtifacts: ReadonlyArray<Artifact>
  /** Whether it came too late for what is around the body. */
  readonly isLate: boolean
}

const ended = (exit: Exit.Exit<Outcome, unknown>): Ending => ({ _tag: "Ended", exit })

/** A time that every store can write, also when it is never. */
export const timeAfter = (now: number, ms: number): number => Math.min(now + ms, Number.MAX_SAFE_INTEGER)

/** Whether interruption was possible before: where it was not, there is nothing to restore. */
const isInterruptible = (restore: Restore): boolean => restore(Effect.void) !== Effect.void

/** Interrupts a fiber, but for the steps that it can take at once. */
const interruptSoon = (fiber: Fiber.Fiber<unknown, unknown>): Effect.Effect<void> =>
  Effect.andThen(Effect.yieldNow, Effect.sync(() => fiber.interruptUnsafe()))

const isTimeout = (error: unknown): boolean =>
  error instanceof StageTimeout || Cause.isTimeoutError(error)
  || (error instanceof StageFault && error.reason._tag === "InterceptorFailed" && isTimeout(error.reason.error))

/** Whether it was ended from outside, and not by a decision of its own. */
const wasCutShort = (exit: Exit.Exit<unknown, unknown>): boolean =>
  exit._tag === "Failure" &&
  exit.cause.reasons.some((reason) =>
    Cause.isInterruptReason(reason) || (Cause.isFailReason(reason) && isTimeout(reason.error))
  )

const unkept = (problems: Problems): KeptRecord => ({ _tag: "Unkept", problems })

/** A store that fails may answer when it is asked again. */
const attemptsAtOnce = 2

const notTaken: Problems = [{ path: [], message: "The store did not take it" }]

const cannotBeRead: Problems = [{ path: [], message: "Threw when it was read" }]

export class HeldClaim {
  private readonly access: StoreAccess
  private readonly attempt: Attempt
  private readonly durations: Durations
  private readonly key: string
  private readonly owner: string
  private until: number

  /** How many bodies run. */
  private bodies = 0
  private success: Success | undefined = undefined
  /** What the stage ended with, with all that is around it. */
  private exit: Exit.Exit<Outcome, unknown> | undefined = undefined
  /** Why the claim is not to be relied on any more. */
  private gone: "lost" | IdempotencyUnavailable | undefined = undefined
  private renewal: Fiber.Fiber<void> | undefined = undefined
  /** Ends when the stage has ended, or the claim is gone. */
  private readonly changed = Deferred.makeUnsafe<void>()
  /** Ends when the stage has ended. */
  private readonly over = Deferred.makeUnsafe<Exit.Exit<Outcome, unknown>>()
  /** Ends when no body runs any more, where somebody waits for that. */
  private idle: Deferred.Deferred<void> | undefined = undefined
  /** Whether anything may still be kept under it. */
  isOpen = true

  constructor(
    access: StoreAccess,
    attempt: Attempt,
    durations: Durations,
    claim: { readonly key: string; readonly owner: string; readonly until: number }
  ) {
    this.access = access
    this.attempt = attempt
    this.durations = durations
    this.key = claim.key
    this.owner = claim.owner
    this.until = claim.until
  }

  // -------------------------------------------------------------------------------------------------------------------
  // running
  // -------------------------------------------------------------------------------------------------------------------

  /** Runs the stage under the claim. To be run where nothing interrupts, but for what is restored. */
  run(effect: StageEffect, restore: Restore): Effect.Effect<Ending, never, unknown> {
    const watched = aroundBody(effect, this.attempt, this.body).pipe(
      Effect.onExit((exit) => Effect.sync(() => this.end(exit)))
    )
    return Effect.gen({ self: this }, function*() {
      const fiber = yield* Effect.forkChild(watched, {
        startImmediately: true,
        uninterruptible: !isInterruptible(restore)
      })
      if (this.exit !== undefined) return yield* this.settle(this.exit, undefined)
      this.renewal = yield* Effect.forkDetach(this.renewing, { startImmediately: true })
      // Interrupted or not, it goes on here.
      yield* Effect.exit(restore(Deferred.await(this.changed)))
      if (this.exit !== undefined) return yield* this.settle(this.exit, undefined)
      const { gone } = this
      yield* interruptSoon(fiber)
      return yield* this.settle(yield* Deferred.await(this.over), gone)
    })
  }

  private end(exit: Exit.Exit<Outcome, unknown>): void {
    this.exit = exit
    Deferred.doneUnsafe(this.changed, Exit.void)
    Deferred.doneUnsafe(this.over, Exit.succeed(exit))
  }

  /** Runs the body in a fiber of its own, and knows when it has ended, whoever still waits for it. */
  private readonly body = (effect: StageEffect, attempt: Attempt): StageEffect =>
    Effect.uninterruptibleMask((restore) => {
      let exit: Exit.Exit<Outcome, unknown> | undefined
      let isCut = false
      const over = Deferred.makeUnsafe<Exit.Exit<Outcome, unknown>>()
      const watched = Effect.onExit(effect, (ended) =>
        Effect.sync(() => {
          exit = ended
          this.bodyEnded(ended, attempt, isCut)
          Deferred.doneUnsafe(over, Exit.succeed(ended))
        }))
      return Effect.gen({ self: this }, function*() {
        this.bodyStarts()
        const fiber = yield* Effect.forkChild(watched, {
          startImmediately: true,
          uninterruptible: !isInterruptible(restore)
        })
        if (exit === undefined) yield* Effect.exit(restore(Deferred.await(over)))
        if (exit === undefined) {
          isCut = true
          yield* interruptSoon(fiber)
        }
        return yield* yield* Deferred.await(over)
      })
    })

  private bodyStarts(): void {
    // What is around it was not content with the last one.
    if (this.bodies === 0) this.success = undefined
    this.bodies++
  }

  private bodyEnded(exit: Exit.Exit<Outcome, unknown>, attempt: Attempt, isLate: boolean): void {
    this.bodies--
    if (exit._tag === "Success" && canBeKept(exit.value)) {
      // What others add meanwhile is not its own.
      const addedArtifacts = attempt.attempt === attempt.attempts ? attempt.addedArtifacts : []
      this.success = { outcome: exit.value, addedArtifacts, isLate }
    }
    if (this.bodies === 0 && this.idle !== undefined) Deferred.doneUnsafe(this.idle, Exit.void)
  }

  // -------------------------------------------------------------------------------------------------------------------
  // renewing
  // -------------------------------------------------------------------------------------------------------------------

  /** Renews the lease until it is told to stop, or the claim is lost, or may be soon. */
  private get renewing(): Effect.Effect<void> {
    const { access, durations: { leaseMs }, key, owner } = this
    return Effect.gen({ self: this }, function*() {
      let renewedAt = yield* monotonicMs
      while (true) {
        yield* Effect.sleep(leaseMs / 3)
        const until = timeAfter(yield* Clock.currentTimeMillis, leaseMs)
        const askedAt = yield* monotonicMs
        const renewed = yield* Effect.result(access.ask("renew", (store) => store.renew({ key, owner, until })))
        if (renewed._tag === "Success") {
          if (!renewed.success) return this.go("lost")
          this.until = until
          renewedAt = askedAt
        } else if (yield* this.isNearlyOver(renewedAt)) {
          return this.go(renewed.failure)
        }
      }
    })
  }

  /** Whether the lease ends before it can be renewed again, by either clock: the one on the wall can be set. */
  private isNearlyOver(renewedAt: number): Effect.Effect<boolean> {
    return Effect.gen({ self: this }, function*() {
      const { leaseMs } = this.durations
      const now = yield* Clock.currentTimeMillis
      return now + leaseMs / 3 >= this.until || (yield* monotonicMs) - renewedAt >= (leaseMs / 3) * 2
    })
  }

  private go(why: "lost" | IdempotencyUnavailable): void {
    this.gone = why
    Deferred.doneUnsafe(this.changed, Exit.void)
  }

  private close(): void {
    this.isOpen = false
    this.renewal?.interruptUnsafe()
  }

  // -------------------------------------------------------------------------------------------------------------------
  // settling
  // -------------------------------------------------------------------------------------------------------------------

  /** Leaves under the key what the stage came to. `gone` says why it was stopped, if it was. */
  private settle(exit: Exit.Exit<Outcome, unknown>, gone: typeof this.gone): Effect.Effect<Ending> {
    return Effect.gen({ self: this }, function*() {
      if (exit._tag === "Success" && canBeKept(exit.value)) return yield* this.settleOutcome(exit.value)
      if (this.bodies > 0) {
        yield* Effect.forkDetach(this.settleLater(exit), { startImmediately: true })
      } else {
        const done = yield* this.settleBody(exit)
        if (gone === "lost") return { _tag: "Lost", done } as const
      }
      if (gone === "lost") return { _tag: "Lost", done: undefined } as const
      return ended(gone === undefined ? exit : Exit.fail(gone))
    })
  }

  private settleOutcome(outcome: Kept): Effect.Effect<Ending> {
    return Effect.gen({ self: this }, function*() {
      // Read once: what the stage gives now is what is given later.
      const own = yield* Effect.result(Effect.try({ try: () => settledOutcome(outcome), catch: () => cannotBeRead }))
      if (own._tag === "Failure") return yield* this.settleUnkept(own.failure)
      const record: KeptRecord = { _tag: "Outcome", outcome: keptOutcome(own.success, this.attempt) }
      const text = yield* Effect.result(textOf(record, this.attempt.output))
      if (text._tag === "Failure") return yield* this.settleUnkept(text.failure)
      const kept = yield* Effect.result(this.keep(text.success))
      this.close()
      if (kept._tag === "Failure") return ended(Exit.fail(kept.failure))
      return kept.success
        ? ended(Exit.succeed(own.success))
        : { _tag: "Lost", done: { text: text.success, record: { _tag: "Outcome", outcome: own.success } } }
    })
  }

  /** The stage ran, and what it gave cannot be kept: whoever comes next is told that it ran. */
  private settleUnkept(problems: Problems): Effect.Effect<Ending> {
    return Effect.gen({ self: this }, function*() {
      yield* Effect.exit(this.keepUnkept(problems))
      this.close()
      return ended(
        Exit.fail(new IdempotencyResultInvalid({ stage: this.attempt.stage, operation: "keep", problems }))
      )
    })
  }

  /** The stage ended without an outcome that is kept: keeps what its body gave, if that was cut off, or gives the key up. */
  private settleBody(exit: Exit.Exit<Outcome, unknown>): Effect.Effect<Done | undefined> {
    return Effect.gen({ self: this }, function*() {
      const { success } = this
      if (success === undefined || !(success.isLate || wasCutShort(exit))) {
        // If it cannot be given up it is free when its lease is over; the stage has ended as it has ended.
        yield* Effect.ignore(this.access.ask("claim", (store) => store.release({ key: this.key, owner: this.owner })))
        this.close()
        return undefined
      }
      const done = yield* Effect.result(this.bodyRecord(success))
      const kept = done._tag === "Success" ? this.keep(done.success.text) : this.keepUnkept(done.failure)
      const isKept = yield* Effect.result(kept)
      this.close()
      return isKept._tag === "Success" && !isKept.success && done._tag === "Success" ? done.success : undefined
    })
  }

  private bodyRecord({ addedArtifacts, outcome }: Success): Effect.Effect<Done, Problems> {
    return Effect.gen({ self: this }, function*() {
      const kept = yield* Effect.try({
        try: () => keptOutcome(outcome, { addedArtifacts }),
        catch: () => cannotBeRead
      })
      const record: KeptRecord = { _tag: "Body", outcome: kept }
      return { record, text: yield* textOf(record, this.attempt.output) }
    })
  }

  /** The stage has ended for whoever waited for it, but a body that was left behind still runs. */
  private settleLater(exit: Exit.Exit<Outcome, unknown>): Effect.Effect<void> {
    const idle = this.idle = Deferred.makeUnsafe<void>()
    return Effect.andThen(Deferred.await(idle), Effect.asVoid(this.settleBody(exit)))
  }

  private keepUnkept(problems: Problems): Effect.Effect<boolean, IdempotencyUnavailable | Problems> {
    return Effect.flatMap(textOf(unkept(problems), undefined), (text) => this.keep(text))
  }

  /**
   * Keeps what is to be known of the stage. Says whether the claim was still ours. When the store fails, whoever waits is
   * told at once, and it is tried again for as long as the claim is ours.
   */
  keep(text: string): Effect.Effect<boolean, IdempotencyUnavailable> {
    return Effect.gen({ self: this }, function*() {
      for (let attempt = 1;; attempt++) {
        const kept = yield* Effect.result(this.keepOnce(text))
        if (kept._tag === "Success") return kept.success
        if (attempt < attemptsAtOnce) continue
        yield* Effect.forkDetach(this.keepLater(text), { startImmediately: true })
        return yield* kept.failure
      }
    })
  }

  private keepOnce(text: string): Effect.Effect<boolean, IdempotencyUnavailable> {
    const { durations: { ttlMs }, key, owner } = this
    return this.access.ask(
      "keep",
      (store) =>
        Effect.flatMap(
          Clock.currentTimeMillis,
          (now) => store.keep({ key, owner, result: text, until: timeAfter(now, ttlMs) })
        )
    )
  }

  private keepLater(text: string): Effect.Effect<void> {
    return Effect.gen({ self: this }, function*() {
      for (let pauseMs = this.durations.leaseMs / 60;; pauseMs *= 2) {
        if ((yield* Clock.currentTimeMillis) + pauseMs >= this.until) break
        yield* Effect.sleep(pauseMs)
        if (Exit.isSuccess(yield* Effect.exit(this.keepOnce(text)))) return
      }
      // Something small may find a place where the result found none.
      const short = yield* Effect.option(textOf(unkept(notTaken), undefined))
      if (Option.isSome(short)) yield* Effect.exit(this.keepOnce(short.value))
    })
  }
}
