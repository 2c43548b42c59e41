/**
 * Defines how it is kept what tools have done and how that is taken back: each operation is atomic, and of all who begin to
 * take back the same action one does.
 */
import type * as Effect from "effect/Effect"

/** What an action has done. One that was run again by a retry has done so several times. */
export interface Done {
  readonly actionId: string
  readonly tool: string
  readonly runId: string
  readonly correlationId: string
  readonly orgId: string | undefined
  /** When it was done, and after how much else in this process: that is the order in which it was done. */
  readonly at: number
  readonly order: number
  readonly expiresAt: number
  /** What it was given and gave, as JSON. */
  readonly entry: string
}

/** What is kept of an action. */
export interface Kept {
  readonly actionId: string
  readonly tool: string
  readonly runId: string
  readonly orgId: string | undefined
  readonly entries: ReadonlyArray<string>
}

/** What a store says to somebody who wants to take back an action. */
export type Begun =
  | { readonly _tag: "Begun"; readonly kept: Kept }
  | { readonly _tag: "Unknown" }
  | { readonly _tag: "Expired" }
  | { readonly _tag: "Undone"; readonly at: number }
  | { readonly _tag: "Undoing"; readonly since: number }

/** Whose actions somebody may take back: everybody's, or those of one organisation. */
export interface Whose {
  readonly orgId: string | undefined
}

export interface UndoRows<out E> {
  /** Keeps what an action has done, beside what it has done before. */
  readonly keep: (done: Done) => Effect.Effect<void, E>
  /** Begins to take back an action, unless somebody has begun, or it is too late. */
  readonly begin: (actionId: string, now: number, whose: Whose | undefined) => Effect.Effect<Begun, E>
  /** Nothing of it is left to be taken back. */
  readonly end: (actionId: string, now: number) => Effect.Effect<void, E>
  /** These are left: somebody may take them back. */
  readonly giveBack: (actionId: string, entries: ReadonlyArray<string>) => Effect.Effect<void, E>
  /** The actions of a run, or of the tree of runs that it is the first of, that can be taken back: the last first. */
  readonly ofRun: (
    runId: string,
    now: number,
    whose: Whose | undefined
  ) => Effect.Effect<ReadonlyArray<{ readonly actionId: string; readonly tool: string }>, E>
}

/** Entries as one text that can be added to at its end: JSON has no line break of its own. */
export const asText = (entries: ReadonlyArray<string>): string => entries.map((entry) => `\n${entry}`).join("")

export const entriesOf = (text: string): ReadonlyArray<string> => text.split("\n").slice(1)

/** What was never taken back is forgotten so long after it could have been, and what was taken back as well. */
export const rememberedMs = 24 * 60 * 60 * 1000
