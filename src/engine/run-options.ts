/**
 * Checks the options of a run, when it is made.
 */
import type * as Duration from "effect/Duration"
import * as options from "../internal/options.ts"
import { Snapshot } from "../internal/snapshot-model.ts"
import type { RunOptions, WatchOptions } from "../Run.ts"

/** The options of a run that were found to make sense. */
export interface RunSettings {
  readonly concurrency: number
  readonly continueAfterFailure: boolean
  readonly interruptionGrace: Duration.Duration | undefined
}

const optionNames: ReadonlyArray<keyof RunOptions> = ["concurrency", "failure", "interruptionGrace"]

/** What `start` and `stream` take. */
export const watchOptionNames: ReadonlyArray<keyof WatchOptions> = [...optionNames, "events", "chunks"]

/** Reads the options of a run: when it is made, not when it starts. */
export const settingsOf = (snapshot: Snapshot, given: RunOptions | undefined): RunSettings => {
  options.ofKind("snapshot", "a Snapshot; see Snapshot.make", isSnapshot, snapshot)
  const { concurrency, failure, interruptionGrace } = given === undefined
    ? {}
    : options.fields<RunOptions>("options", optionNames, given)
  return {
    concurrency: concurrency === undefined ? Infinity : options.concurrency("concurrency", concurrency),
    continueAfterFailure: failure !== undefined
      && options.oneOf("failure", ["fail-fast", "continue"], failure) === "continue",
    interruptionGrace: interruptionGrace === undefined
      ? undefined
      : options.duration("interruptionGrace", interruptionGrace)
  }
}

/** Whether whoever watches the run sees the runs inside of it, too. */
export const seesAll = ({ events }: Pick<WatchOptions, "events">): boolean =>
  events !== undefined && options.oneOf("events", ["own", "all"], events) === "all"

/** The stages whose chunks whoever watches the run reads. */
export const chunksWanted = ({ chunks }: Pick<WatchOptions, "chunks">): ReadonlyArray<string> =>
  chunks === undefined ? [] : Array.from(new Set(options.names("chunks", chunks)))

const isSnapshot = (given: unknown): given is Snapshot => given instanceof Snapshot
