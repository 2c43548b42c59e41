/**
 * Marks what an outcome says of how it came about: that it was kept, that it is a fallback's. Its run was told of that by an
 * event of its own, so that it is not told of it again as of something that the stage emitted.
 */
import { immutable } from "../internal/immutable.ts"
import type { Emitted } from "../internal/output-model.ts"

/** A stage may emit events that are called the same: what makes a note is that it was made here. */
const notes = new WeakSet<Emitted>()

/** Makes a note. */
export const noteOf = (type: string, data: unknown): Emitted => {
  // What is known to be immutable is passed by reference, and stays the note that it is.
  const note: Emitted = immutable({ type, data })
  notes.add(note)
  return note
}

/** Whether an event of an outcome is a note. */
export const isNote = (emitted: Emitted): boolean => notes.has(emitted)
