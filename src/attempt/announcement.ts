/**
 * Defines what may be announced of a stage by what wraps it or is inside of it: an event without its envelope, which the
 * engine adds.
 */
import type { envelope, Event, families, Of } from "../Event.ts"

/** The events that the engine does not tell by itself. */
type Announced = typeof families[Exclude<keyof typeof families, "runs" | "stages">][number]["Type"]

type WithoutEnvelope<E> = E extends Event ? Omit<E, keyof typeof envelope | "stage" | "attempt"> : never

/** An event of a stage, without where it comes from. */
export type Announcement = WithoutEnvelope<Announced>

/** What who watches a stage hears: what is announced of it, and that an attempt ended and another follows. */
export type Heard = Announcement | WithoutEnvelope<Of<"StageRetrying">>

/** Hears of a stage, at once, and during which attempt it was. */
export type Hearer = (heard: Heard, attempt: number) => void
