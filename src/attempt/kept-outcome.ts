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

/** What can be kept: a stage that fails, cancels or asks for a retry is run again. */
export type Kept = Ok<unknown> | Skip

/** The events that come with outcomes which were kept. A stage may emit events that are called the same. */
const keptEvents = new WeakSet<Emitted>()

/** The outcome as one that was kept, with an event that says so: another run has done what it tells of. */
export const asKept = (outcome: Outcome, type: "cache.hit" | "idempotency.replayed"): Outcome => {
  const event: Emitted = { type, data: {} }
  keptEvents.add(event)
  return withEvent(outcome, event)
}

/** Whether an outcome was kept, and what it tells of was not done here. */
export const wasKept = ({ events }: Outcome): boolean => events.some((event) => keptEvents.has(event))

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

/** The outcome with one more event. */
export const withEvent = <K extends Outcome>(outcome: K, event: Emitted): Outcome => {
  switch (outcome._tag) {
    case "Ok":
      return changedOk(outcome, { events: [...outcome.events, event] })
    case "Skip":
    case "Cancel":
      return changedSignal<Skip | Cancel>(outcome, { events: [...outcome.events, event] })
    case "Retry":
      return outcome
  }
}
