/**
 * Watches the bodies of a stage, what the stage itself runs: how many run, and with what the last one succeeded.
 */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import { constVoid } from "effect/Function"
import type { Attempt } from "../../../attempt/attempt.ts"
import type { Outcome, StageEffect } from "../../../attempt/interceptor-model.ts"
import { canBeKept, type Kept } from "../../../attempt/kept-outcome.ts"
import { type Holding, Holdings } from "../../../internal/interruption.ts"
import type { Artifact } from "../../../internal/output-model.ts"
import { forked, interruptSoon } from "./own-fiber.ts"

/** With what a body succeeded. */
export interface Success {
  readonly outcome: Kept
  readonly addedArtifacts: ReadonlyArray<Artifact>
}

export class WatchedBodies implements Holding {
  private running = 0
  /** How much of the bodies was left behind inside of them and still runs: an item of one, a stage of a run inside of one. */
  private leftBehind = 0
  private readonly whenIdle: Array<() => void> = []
  /** With what the last body succeeded, unless another was started after it. */
  success: Success | undefined = undefined

  get isIdle(): boolean {
    return this.running + this.leftBehind === 0
  }

  /** Does something when no body runs, now or later. */
  onIdle(act: () => void): void {
    if (this.isIdle) act()
    else this.whenIdle.push(act)
  }

  /** Ends when no body runs. */
  get idle(): Effect.Effect<void> {
    return Effect.callback<void>((resume) => this.onIdle(() => resume(Effect.void)))
  }

  /** A body, watched. Whoever runs it waits until it has ended, or is left behind with it. */
  readonly watch = (body: StageEffect, attempt: Attempt): StageEffect =>
    Effect.uninterruptibleMask((restore) => {
      const over = Deferred.makeUnsafe<Exit.Exit<Outcome, unknown>>()
      return Effect.gen({ self: this }, function*() {
        const addedBefore = attempt.addedArtifacts.length
        this.starts()
        const fiber = yield* forked(this.holding(body), (exit) => {
          this.ended(exit, attempt, addedBefore)
          Deferred.doneUnsafe(over, Exit.succeed(exit))
        })
        if (!Deferred.isDoneUnsafe(over)) yield* Effect.exit(restore(Deferred.await(over)))
        if (!Deferred.isDoneUnsafe(over)) yield* interruptSoon(fiber)
        return yield* yield* Deferred.await(over)
      })
    })

  /** A body that has to say what of it was left behind. */
  private holding(body: StageEffect): StageEffect {
    return Effect.flatMap(Holdings, (others) => Effect.provideService(body, Holdings, [...others, this]))
  }

  private starts(): void {
    // What is around the last one was not content with it.
    if (this.running === 0) this.success = undefined
    this.running++
  }

  onLeftBehind(fiber: Fiber.Fiber<unknown, unknown>): void {
    this.leftBehind++
    fiber.addObserver(() => {
      this.leftBehind--
      this.actWhenIdle()
    })
  }

  // A body that is left behind runs on, and is waited for here.
  readonly onOwnerLeftBehind = constVoid

  private actWhenIdle(): void {
    if (this.isIdle) { for (const act of this.whenIdle.splice(0)) act() }
  }

  private ended(exit: Exit.Exit<Outcome, unknown>, attempt: Attempt, addedBefore: number): void {
    this.running--
    if (exit._tag === "Success" && canBeKept(exit.value)) {
      // What others add before and meanwhile is not its own.
      const addedArtifacts = attempt.attempt === attempt.attempts ? attempt.addedArtifacts.slice(addedBefore) : []
      this.success = { outcome: exit.value, addedArtifacts }
    }
    this.actWhenIdle()
  }
}
