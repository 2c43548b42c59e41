/**
 * Picks from the events of a run those of what wraps its stages, or of what they are made of, without where they come from.
 */
import { Event } from "stageflow"

const { constructs, interceptors, sagas } = Event.families

type Announced = (typeof constructs | typeof interceptors | typeof sagas)[number]["Type"]

const tags: ReadonlySet<string> = new Set(
  [...constructs, ...interceptors, ...sagas].map((schema) => schema.fields._tag.schema.literal)
)

export const isAnnounced = (event: Event.Event): event is Announced => tags.has(event._tag)

/** What an event says besides where it comes from. */
export const saidBy = (event: Event.Event): object => {
  const { attempt: _attempt, stage: _stage, ...said } = event as Event.Event & {
    readonly attempt?: number
    readonly stage?: string
  }
  return Object.fromEntries(Object.entries(said).filter(([key]) => !(key in Event.envelope)))
}

/** What they say, in their order; those with these tags only, when some are given. */
export const announced = (
  events: ReadonlyArray<Event.Event>,
  ...only: ReadonlyArray<Announced["_tag"]>
): ReadonlyArray<object> =>
  events.filter(isAnnounced).filter(({ _tag }) => only.length === 0 || only.includes(_tag)).map(saidBy)
