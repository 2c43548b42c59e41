/**
 * Runs one stage of one run under the key that it asks for: once, whoever else asks for it.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type { Attempt } from "../../../attempt/attempt.ts"
import { aroundBody } from "../../../attempt/body.ts"
import type { StageEffect } from "../../../attempt/interceptor-model.ts"
import { asKept } from "../../../attempt/kept-outcome.ts"
import type { IdempotencyStore } from "../../IdempotencyStore.ts"
import type { Answer } from "./claims.ts"
import { IdempotencyLost, IdempotencyMismatch, IdempotencyResultInvalid } from "./errors.ts"
import { type Done, HeldClaim } from "./held-claim.ts"
import { Keeping } from "./keeping.ts"
import { type KeptRecord, recordOf, textOf } from "./kept-record.ts"
import { Lease, timeAfter } from "./lease.ts"
import type { Restore } from "./own-fiber.ts"
import { StoreAccess } from "./store-access.ts"

/** What a stage asks for. */
export interface Asked {
  /** The key as the caller gave it. */
  readonly key: string
  /** The key with what it belongs to. */
  readonly id: string
  /** Stands for the parameters. */
  readonly fingerprint: string
}

/** How long things last, and how many claims may be lost. */
export interface KeyedSettings {
  readonly ttlMs: number
  readonly leaseMs: number
  readonly losses: number
}

/** The claims that a stage runs under: one that is run again inside of itself does not wait for itself. */
const Held = Context.Reference<ReadonlyMap<string, HeldClaim>>("stageflow/interceptors/Idempotency/Held", {
  defaultValue: () => new Map()
})

/** Whether whoever asks runs under a claim of this key. */
export const isHeld = (id: string): Effect.Effect<boolean> => Effect.map(Held, (held) => held.get(id)?.isOpen === true)

type Claimed = Extract<Answer, { readonly _tag: "Claimed" }> & { readonly until: number }

export class KeyedExecution {
  private readonly effect: StageEffect
  private readonly attempt: Attempt
  private readonly access: StoreAccess
  private readonly settings: KeyedSettings
  private readonly asked: Asked
  /** Whether the store may have given the claim that was asked for last. */
  private mayBeClaimed = false
  /** How often it has lost its claim. */
  private losses = 0
  /** What the stage did when it lost its claim: it is kept as soon as it can be, and the stage does not run again. */
  private done: Done | undefined = undefined

  constructor(
    effect: StageEffect,
    attempt: Attempt,
    store: IdempotencyStore["Service"],
    settings: KeyedSettings,
    asked: Asked
  ) {
    this.effect = effect
    this.attempt = attempt
    this.access = new StoreAccess(store, attempt.stage, settings.leaseMs)
    this.settings = settings
    this.asked = asked
  }

  /** The outcome: the stage's own, or the one that was kept. */
  get outcome(): StageEffect {
    return Effect.uninterruptibleMask((restore) => this.untilSettled(restore))
  }

  private untilSettled(restore: Restore): StageEffect {
    return Effect.gen({ self: this }, function*() {
      while (true) {
        const owner = crypto.randomUUID()
        const answer = yield* Effect.onError(restore(this.ask(owner)), () => this.release(owner))
        if (answer._tag === "Running") continue
        if (answer._tag === "Kept") return yield* restore(this.replay(answer.result))
        const lease = new Lease(this.access, { key: this.asked.id, owner }, this.settings.leaseMs, answer.until)
        const keeping = new Keeping(this.access, lease, this.settings.ttlMs)
        if (this.done !== undefined) {
          if (yield* keeping.keep(this.done.text)) return yield* restore(this.redo(this.done.record))
          yield* this.lose(this.done)
          continue
        }
        const losses = Math.max(this.losses, answer.losses ?? 0)
        if (losses >= this.settings.losses) return yield* this.giveUp(keeping, losses)
        const held = new HeldClaim(this.attempt, lease, keeping)
        const ending = yield* held.run(yield* this.under(held), restore)
        if (ending._tag === "Ended") return yield* ending.exit
        yield* this.lose(ending.done)
      }
    })
  }

  /** Asks for the claim. Where somebody else runs, waits until that may have changed. */
  private ask(owner: string) {
    const { access, asked: { fingerprint, id, key }, attempt: { stage }, settings: { leaseMs } } = this
    return Effect.scoped(Effect.gen({ self: this }, function*() {
      // From here on: what changes between the answer and the wait is not missed.
      const changed = yield* access.store.watch(id)
      const now = yield* Clock.currentTimeMillis
      const until = timeAfter(now, leaseMs)
      this.mayBeClaimed = true
      const answer = yield* access.ask("claim", (store) => store.claim({ key: id, owner, fingerprint, now, until }))
      if (answer._tag === "Claimed") return { ...answer, until } satisfies Claimed
      this.mayBeClaimed = false
      if (answer.fingerprint !== fingerprint) return yield* new IdempotencyMismatch({ stage, key })
      if (answer._tag === "Running") {
        // A store may see the time otherwise: it is not asked without end.
        yield* Effect.timeoutOption(changed, Math.max(answer.until - now, leaseMs / 100))
      }
      return answer
    }))
  }

  /** Gives up what the store may have given before whoever asked was interrupted, or the store failed. */
  private release(owner: string): Effect.Effect<void> {
    if (!this.mayBeClaimed) return Effect.void
    return Effect.ignore(this.access.ask("claim", (store) => store.release({ key: this.asked.id, owner })))
  }

  /** The stage as it runs under a claim. */
  private under(held: HeldClaim): Effect.Effect<StageEffect> {
    return Effect.map(
      Held,
      (others) => Effect.provideService(this.effect, Held, new Map(others).set(this.asked.id, held))
    )
  }

  /** Somebody else has the claim. */
  private lose(done: Done | undefined): Effect.Effect<void, IdempotencyLost> {
    this.done = done
    this.losses++
    // Who gets the claim next runs the stage anew.
    if (done === undefined) this.attempt.dropAddedArtifacts()
    return this.losses > this.settings.losses ? Effect.fail(this.lost(this.losses)) : Effect.void
  }

  /** Nobody is to run the stage under this key any more. */
  private giveUp(keeping: Keeping, losses: number): Effect.Effect<never, IdempotencyLost> {
    return textOf({ _tag: "Lost", losses }, undefined).pipe(
      Effect.flatMap((text) => keeping.keep(text)),
      // Who comes next finds as many losses, and gives up as well.
      Effect.exit,
      Effect.andThen(Effect.fail(this.lost(losses)))
    )
  }

  private lost(losses: number): IdempotencyLost {
    return new IdempotencyLost({ stage: this.attempt.stage, key: this.asked.key, losses })
  }

  // -------------------------------------------------------------------------------------------------------------------
  // replaying
  // -------------------------------------------------------------------------------------------------------------------

  /** What was kept. What the stage did here, before it lost its claim, counts for nothing. */
  private replay(text: string): StageEffect {
    return recordOf(text, this.attempt.output).pipe(
      Effect.mapError((problems) => this.invalid("replay", problems)),
      Effect.flatMap((record) => {
        if (this.losses > 0) this.attempt.dropAddedArtifacts()
        return Effect.map(this.redo(record), (outcome) => asKept(outcome, this.attempt, "IdempotentReplay"))
      })
    )
  }

  private redo(record: KeptRecord): StageEffect {
    switch (record._tag) {
      case "Outcome":
        return Effect.succeed(record.outcome)
      case "Body":
        // What is around the body has a say in it each time.
        return aroundBody(this.effect, this.attempt, () => Effect.succeed(record.outcome))
      case "Unkept":
        return Effect.fail(this.invalid("keep", record.problems))
      case "Lost":
        return Effect.fail(this.lost(record.losses))
    }
  }

  private invalid(operation: IdempotencyResultInvalid["operation"], problems: IdempotencyResultInvalid["problems"]) {
    return new IdempotencyResultInvalid({ stage: this.attempt.stage, operation, problems })
  }
}
