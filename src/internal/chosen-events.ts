/**
 * Chooses which items are told of, of those that a stage works on, so that many do not drown the events of a run.
 */
import * as options from "./options.ts"

/**
 * Which items are told of, of those that have ended:
 *
 * - `"thinned"`, the default: the first 100, then every 10th up to 1,000, every 100th up to 10,000 and so on; failures,
 *   counted by themselves, the same way; and the last one;
 * - `"all"` or `"none"`;
 * - the `first` so many, `every` so many, all `failures`, and the `last` one: each only if it is asked for.
 *
 * The counts in the events are of all items, told of or not.
 */
export type EventsOption = "thinned" | "all" | "none" | {
  /** The first so many that end. */
  readonly first?: number | undefined
  /** Every so many that have ended. */
  readonly every?: number | undefined
  /** Those that fail. */
  readonly failures?: boolean | undefined
  /** The one that ends last. */
  readonly last?: boolean | undefined
}

/** Which items are told of. */
export interface Telling {
  /** Whether the so-many-th item that ended is told of, which is the so-many-th failure, or 0 when it did not fail. */
  readonly tells: (ended: number, failure: number) => boolean
  /** Whether the last one is told of in any case. */
  readonly last: boolean
}

/** 1 to 100, 110 to 1,000 by tens, 1,100 to 10,000 by hundreds. */
const isRound = (count: number): boolean => {
  let step = 1
  while (count > step * 100) step *= 10
  return count % step === 0
}

const thinned: Telling = { tells: (ended, failure) => isRound(ended) || (failure > 0 && isRound(failure)), last: true }

const words: Readonly<Record<"thinned" | "all" | "none", Telling>> = {
  thinned,
  all: { tells: () => true, last: true },
  none: { tells: () => false, last: false }
}

const names = ["first", "every", "failures", "last"] as const

/** Reads which items are told of. */
export const tellingOf = (given: EventsOption = "thinned"): Telling => {
  if (typeof given === "string") return words[options.oneOf("events", ["thinned", "all", "none"], given)]
  const { every, failures, first, last } = options.fields("events", names, given)
  const firstCount = first === undefined ? 0 : options.count("events.first", first)
  const step = every === undefined ? Number.POSITIVE_INFINITY : options.positiveCount("events.every", every)
  const tellsFailures = options.flag("events.failures", failures ?? false)
  return {
    tells: (ended, failure) => ended <= firstCount || ended % step === 0 || (tellsFailures && failure > 0),
    last: options.flag("events.last", last ?? false)
  }
}
