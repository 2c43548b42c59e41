/**
 * Keeps what a stage ended with, to hand it out again: as a whole, and with a note that it was kept.
 */
import { immutable } from "../internal/immutable.ts"
import {
  type Cancel,
  changedOk,
  changedSignal,
  type Emitted,
  noItems,
  type Ok,
  type Skip
} from "../internal/output-model.ts"
import type { Attempt } from "./attempt.ts"
import type { Outcome } from "./interceptor-model.ts"
import { noteOf } from "./note.ts"

/** What can be kept: a stage that fails, cancels or asks for a retry is run again. */
export type Kept = Ok<unknown> | Skip

/** The notes on outcomes which were kept. */
const keptNotes = new WeakSet<Emitted>()

const notes = { CacheHit: "cache.hit", IdempotentReplay: "idempotency.replayed" } as const

/** The outcome as one that was kept, with a note that says so, and announced as such: another run has done what it tells of. */
export const asKept = (outcome: Outcome, attempt: Pick<Attempt, "announce">, _tag: keyof typeof notes): Outcome => {
  const note = noteOf(notes[_tag], {})
  keptNotes.add(note)
  attempt.announce({ _tag })
  return withNote(outcome, note)
}

/** The same for one that a replay has from the log of runs. Whoever answers with it announces that. */
export const asAnswered = (outcome: Outcome): Outcome => {
  const note = noteOf("replay.answered", {})
  keptNotes.add(note)
  return withNote(outcome, note)
}

/** Whether an outcome was kept, and what it tells of was not done here. */
export const wasKept = ({ events }: Outcome): boolean => events.some((event) => keptNotes.has(event))

/** Whether an outcome can be kept. */
export const canBeKept = (outcome: Outcome): outcome is Kept => outcome._tag === "Ok" || outcome._tag === "Skip"

/** What the stage added while it ran. */
type Added = Pick<Attempt, "addedArtifacts">

/** The same outcome, which nobody can change any more: read once, whatever is read of it later is the same. */
export const settledOutcome = (outcome: Kept): Kept => keptOutcome(outcome, { addedArtifacts: [] })

/** What to keep of data: what the stage added while it ran belongs to it, and nobody can change it any more. */
export const keptOk = (output: Ok<unknown>, attempt: Added): Ok<unknown> =>
  changedOk(output, { data: immutable(output.data), ...contents(output, attempt) })

/** What to keep of an outcome. */
export const keptOutcome = (outcome: Kept, attempt: Added): Kept =>
  outcome._tag === "Ok"
    ? keptOk(outcome, attempt)
    : changedSignal(outcome, { data: immutable(outcome.data), ...contents(outcome, attempt) })

const contents = ({ artifacts, events }: Kept, { addedArtifacts }: Added) => {
  const all = addedArtifacts.length === 0 ? artifacts : [...artifacts, ...addedArtifacts]
  return {
    artifacts: all.length === 0 ? noItems : immutable(all),
    events: events.length === 0 ? noItems : immutable(events)
  }
}

/** The outcome with one more note. */
export const withNote = (outcome: Outcome, note: Emitted): Outcome => {
  switch (outcome._tag) {
    case "Ok":
      return changedOk(outcome, { events: [...outcome.events, note] })
    case "Skip":
    case "Cancel":
      return changedSignal<Skip | Cancel>(outcome, { events: [...outcome.events, note] })
    case "Retry":
      return outcome
  }
}
