/**
 * Keeps approvals in memory, settled ones for so long.
 */
import * as Effect from "effect/Effect"
import {
  type ApprovalRequest,
  type ApprovalRows,
  asOf,
  fits,
  isInTime,
  isOpenAgain,
  type Question,
  settled
} from "./approval-rows.ts"

export class MemoryApprovals implements ApprovalRows<never> {
  private readonly questions = new Map<string, Question>()
  private readonly keepMs: number
  private sweptAt = 0

  constructor(keepMs: number) {
    this.keepMs = keepMs
  }

  readonly ask: ApprovalRows<never>["ask"] = (question, now) =>
    Effect.sync(() => {
      this.sweep(now)
      const { id } = question.request
      const known = this.questions.get(id)
      if (known !== undefined && !isOpenAgain(known.request, now)) return known
      this.questions.set(id, question)
      return question
    })

  readonly settle: ApprovalRows<never>["settle"] = (id, settlement) =>
    Effect.sync(() => {
      const known = this.questions.get(id)
      if (known === undefined || !isInTime(known.request, settlement)) return false
      this.questions.set(id, { ...known, request: settled(known.request, settlement) })
      return true
    })

  readonly find = (id: string): Effect.Effect<ApprovalRequest | undefined> =>
    Effect.sync(() => this.questions.get(id)?.request)

  readonly list: ApprovalRows<never>["list"] = (filter) =>
    Effect.sync(() =>
      Array.from(this.questions.values(), ({ request }) => request).filter((request) => fits(request, filter))
    )

  /** Forgets what was settled long ago. */
  private sweep(now: number): void {
    // Whichever way the clock went.
    if (Math.abs(now - this.sweptAt) < this.keepMs) return
    this.sweptAt = now
    for (const [id, { request }] of this.questions) {
      const { settledAt } = asOf(request, now)
      if (settledAt !== undefined && settledAt <= now - this.keepMs) this.questions.delete(id)
    }
  }
}
