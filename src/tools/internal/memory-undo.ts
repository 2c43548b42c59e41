/**
 * Keeps in memory what tools have done and how that is taken back.
 */
import * as Effect from "effect/Effect"
import { type Begun, type Done, type Kept, rememberedMs, type UndoRows, type Whose } from "./undo-rows.ts"

interface Entry extends Kept {
  readonly correlationId: string
  readonly at: number
  readonly order: number
  readonly expiresAt: number
  readonly state: { readonly _tag: "Kept" } | Extract<Begun, { readonly _tag: "Undone" | "Undoing" }>
}

const isOf = (entry: Entry, whose: Whose | undefined): boolean => whose === undefined || whose.orgId === entry.orgId

const kept = { _tag: "Kept" } as const

export class MemoryUndo implements UndoRows<never> {
  private readonly actions = new Map<string, Entry>()
  private sweptAt = 0

  readonly keep = ({ entry, ...done }: Done): Effect.Effect<void> =>
    Effect.sync(() => {
      this.sweep(done.at)
      const known = this.actions.get(done.actionId)
      const before = known?.state._tag === "Kept" ? known.entries : []
      this.actions.set(done.actionId, { ...done, entries: [...before, entry], state: kept })
    })

  readonly begin: UndoRows<never>["begin"] = (actionId, now, whose) =>
    Effect.sync(() => {
      const known = this.actions.get(actionId)
      if (known === undefined || !isOf(known, whose)) return { _tag: "Unknown" }
      if (known.state._tag !== "Kept") return known.state
      if (known.expiresAt <= now) return { _tag: "Expired" }
      this.actions.set(actionId, { ...known, state: { _tag: "Undoing", since: now } })
      return { _tag: "Begun", kept: known }
    })

  readonly end: UndoRows<never>["end"] = (actionId, now) =>
    this.change(actionId, (known) => ({ ...known, entries: [], state: { _tag: "Undone", at: now } }))

  readonly giveBack: UndoRows<never>["giveBack"] = (actionId, entries) =>
    this.change(actionId, (known) => ({ ...known, entries, state: kept }))

  readonly ofRun: UndoRows<never>["ofRun"] = (runId, now, whose) =>
    Effect.sync(() =>
      Array.from(this.actions.values())
        .filter((entry) =>
          (entry.runId === runId || entry.correlationId === runId) && isOf(entry, whose)
          && entry.state._tag === "Kept" && entry.expiresAt > now
        )
        .toSorted((a, b) => b.at - a.at || b.order - a.order)
        .map(({ actionId, tool }) => ({ actionId, tool }))
    )

  private change(actionId: string, change: (known: Entry) => Entry): Effect.Effect<void> {
    return Effect.sync(() => {
      const known = this.actions.get(actionId)
      if (known?.state._tag === "Undoing") this.actions.set(actionId, change(known))
    })
  }

  private sweep(now: number): void {
    // Whichever way the clock went.
    if (Math.abs(now - this.sweptAt) < rememberedMs) return
    this.sweptAt = now
    for (const [actionId, { expiresAt }] of this.actions) {
      if (expiresAt <= now - rememberedMs) this.actions.delete(actionId)
    }
  }
}
