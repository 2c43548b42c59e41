/**
 * Defines what may be announced of a stage by what wraps it or is inside of it: an event without its envelope, which the
 * engine adds.
 */
import type { envelope, Event, families } from "../Event.ts"

/** The events that the engine does not tell by itself. */
type Announced = typeof families[Exclude<keyof typeof families, "runs" | "stages">][number]["Type"]

type WithoutEnvelope<E> = E extends Event ? Omit<E, keyof typeof envelope | "stage" | "attempt"> : never

/** An event of a stage, without where it comes from. */
export type Announcement = WithoutEnvelope<Announced>
