/**
 * Holds a claim for as long as anything of the stage runs under it, and leaves under its key what the next one is to know.
 *
 * The claim belongs to what the stage itself runs, its body, and not to whoever waits for it:
 *
 * - It is renewed while a body runs, also one that was interrupted, timed out or left behind.
 * - When the stage has ended with an outcome, nothing interrupts until that is kept. When it has ended otherwise, though its
 *   body has succeeded, what the body gave is kept instead: whoever comes next does not run it again.
 * - It is given up when the last body has not succeeded and none runs any more.
 */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type { Attempt } from "../../../attempt/attempt.ts"
import { aroundBody } from "../../../attempt/body.ts"
import type { Outcome, StageEffect } from "../../../attempt/interceptor-model.ts"
import { canBeKept, type Kept, keptOutcome, settledOutcome } from "../../../attempt/kept-outcome.ts"
import type { FieldProblem } from "../../../internal/problems.ts"
import { IdempotencyResultInvalid, type IdempotencyUnavailable } from "./errors.ts"
import type { Keeping } from "./keeping.ts"
import { type KeptRecord, textOf } from "./kept-record.ts"
import type { Gone, Lease } from "./lease.ts"
import { forked, interruptSoon, type Restore } from "./own-fiber.ts"
import { type Success, WatchedBodies } from "./watched-bodies.ts"

type Problems = ReadonlyArray<FieldProblem>
type StageExit = Exit.Exit<Outcome, unknown>

/** What a stage has done and could not keep, because the claim was somebody else's by then. */
export interface Done {
  readonly text: string
  readonly record: KeptRecord
}

/** How a claim ends for the one who holds it: the stage ends with it, or the claim is somebody else's. */
export type Ending =
  | { readonly _tag: "Ended"; readonly exit: StageExit }
  | { readonly _tag: "Lost"; readonly done: Done | undefined }

const ended = (exit: StageExit): Ending => ({ _tag: "Ended", exit })

const lost = (done: Done | undefined): Ending => ({ _tag: "Lost", done })

/** Reads what a stage gave, where a getter may throw. */
const read = <A>(kept: () => A): Effect.Effect<A, Problems> =>
  Effect.try({ try: kept, catch: () => [{ path: [], message: "Threw when it was read" }] })

export class HeldClaim {
  private readonly attempt: Attempt
  private readonly lease: Lease
  private readonly keeping: Keeping
  private readonly bodies = new WatchedBodies()
  /** Whether anything may still be kept under it. */
  isOpen = true

  constructor(attempt: Attempt, lease: Lease, keeping: Keeping) {
    this.attempt = attempt
    this.lease = lease
    this.keeping = keeping
  }

  // -------------------------------------------------------------------------------------------------------------------
  // running
  // -------------------------------------------------------------------------------------------------------------------

  /** Runs the stage under the claim. To be run where nothing interrupts, but for what is restored. */
  run(effect: StageEffect, restore: Restore): Effect.Effect<Ending, never, unknown> {
    const over = Deferred.makeUnsafe<StageExit>()
    /** Ends when the stage has ended or the claim is gone: with why it is gone. */
    const changed = Deferred.makeUnsafe<Gone | undefined>()
    return Effect.gen({ self: this }, function*() {
      const fiber = yield* forked(aroundBody(effect, this.attempt, this.bodies.watch), (exit) => {
        Deferred.doneUnsafe(over, Exit.succeed(exit))
        Deferred.doneUnsafe(changed, Exit.succeed(undefined))
      })
      if (Deferred.isDoneUnsafe(over)) return yield* this.settle(yield* Deferred.await(over), undefined)
      yield* this.lease.startRenewing((why) => Deferred.doneUnsafe(changed, Exit.succeed(why)))
      // Interrupted or not, it goes on here.
      const change = yield* Effect.exit(restore(Deferred.await(changed)))
      if (Deferred.isDoneUnsafe(over)) return yield* this.settle(yield* Deferred.await(over), undefined)
      yield* interruptSoon(fiber)
      return yield* this.settle(yield* Deferred.await(over), Exit.isSuccess(change) ? change.value : undefined)
    })
  }

  /** Nothing more is kept under it. It lasts until the last body has ended, or its lease is over. */
  private close(): void {
    this.isOpen = false
    this.bodies.onIdle(() => this.lease.stopRenewing())
  }

  // -------------------------------------------------------------------------------------------------------------------
  // settling
  // -------------------------------------------------------------------------------------------------------------------

  /** Leaves under the key what the stage came to. `gone` says why it was stopped, if it was. */
  private settle(exit: StageExit, gone: Gone | undefined): Effect.Effect<Ending> {
    return Effect.gen({ self: this }, function*() {
      if (exit._tag === "Success" && canBeKept(exit.value)) return yield* this.settleOutcome(exit.value)
      const done = this.bodies.isIdle ? yield* this.settleBody() : yield* this.leaveBehind()
      if (gone === "lost") return lost(done)
      return ended(gone === undefined ? exit : Exit.fail(gone))
    })
  }

  private settleOutcome(outcome: Kept): Effect.Effect<Ending> {
    return Effect.gen({ self: this }, function*() {
      // Read once: what the stage gives now is what is given later.
      const own = yield* Effect.result(read(() => settledOutcome(outcome)))
      if (own._tag === "Failure") return yield* this.settleUnkept(own.failure)
      const record: KeptRecord = { _tag: "Outcome", outcome: keptOutcome(own.success, this.attempt) }
      const text = yield* Effect.result(textOf(record, this.attempt.output))
      if (text._tag === "Failure") return yield* this.settleUnkept(text.failure)
      const kept = yield* Effect.result(this.keeping.keep(text.success))
      this.close()
      if (kept._tag === "Failure") return ended(Exit.fail(kept.failure))
      return kept.success
        ? ended(Exit.succeed(own.success))
        : lost({ text: text.success, record: { _tag: "Outcome", outcome: own.success } })
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

  /** The stage ended without an outcome to keep: keeps what its body gave, or gives the key up. */
  private settleBody(): Effect.Effect<Done | undefined> {
    return Effect.gen({ self: this }, function*() {
      const { success } = this.bodies
      if (success === undefined) {
        // If it cannot be given up it is free when its lease is over; the stage has ended as it has ended.
        yield* Effect.ignore(this.lease.release)
        this.close()
        return undefined
      }
      const done = yield* Effect.result(this.bodyRecord(success))
      const kept = done._tag === "Success" ? this.keeping.keep(done.success.text) : this.keepUnkept(done.failure)
      const isKept = yield* Effect.result(kept)
      this.close()
      return isKept._tag === "Success" && !isKept.success && done._tag === "Success" ? done.success : undefined
    })
  }

  private bodyRecord({ addedArtifacts, outcome }: Success): Effect.Effect<Done, Problems> {
    return Effect.gen({ self: this }, function*() {
      const kept = yield* read(() => keptOutcome(outcome, { addedArtifacts }))
      const record: KeptRecord = { _tag: "Body", outcome: kept }
      return { record, text: yield* textOf(record, this.attempt.output) }
    })
  }

  /** The stage has ended for whoever waited for it, but a body of it still runs: the claim is settled when that has ended. */
  private leaveBehind(): Effect.Effect<undefined> {
    const settling = Effect.andThen(this.bodies.idle, this.settleBody())
    return Effect.as(Effect.forkDetach(settling, { startImmediately: true }), undefined)
  }

  private keepUnkept(problems: Problems): Effect.Effect<boolean, IdempotencyUnavailable | Problems> {
    return Effect.flatMap(textOf({ _tag: "Unkept", problems }, undefined), (text) => this.keeping.keep(text))
  }
}
