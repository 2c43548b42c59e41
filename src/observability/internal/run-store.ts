/**
 * Says what a store of runs does, and keeps runs in memory. What a store in memory and one of files know of runs is the same
 * index: which there are, which of them are asked for, and which are no longer to be kept.
 */
import * as Effect from "effect/Effect"
import type { RunStatus } from "./record-model.ts"
import type { Chunk, Entry, StoredRun } from "./run-changes.ts"

/** Where a list goes on: behind the run with this start and key. */
export interface Place {
  readonly startedAt: number
  readonly key: string
}

/** Which runs are asked for. */
export interface Query {
  readonly pipeline?: string | undefined
  readonly status?: RunStatus | undefined
  readonly from?: number | undefined
  readonly to?: number | undefined
  readonly userId?: string | undefined
  readonly orgId?: string | undefined
  readonly tag?: string | undefined
  readonly rootsOnly: boolean
  readonly limit: number
  readonly after?: Place | undefined
}

/** Which runs are to be forgotten: trees that started before `before`, and of more than `count` trees the oldest. */
export interface Forgetting {
  readonly before: number | undefined
  readonly count: number | undefined
}

/** Something of a store that cannot be read. */
export interface Damage {
  /** The file, or the run, that it is in. */
  readonly where: string
  /** The line of the file, from 1. */
  readonly line?: number
  readonly reason: string
}

/** All that is kept of the tree of a run. */
export interface StoredTree {
  readonly key: string
  readonly runs: ReadonlyArray<StoredRun>
}

/** Where runs are kept. What it fails with is its own. Writers whose last sign of life is before `alive` have died. */
export interface Store {
  readonly write: (chunks: ReadonlyArray<Chunk>, now: number) => Effect.Effect<void, unknown>
  /** The writer is alive. */
  readonly beat: (now: number) => Effect.Effect<void, unknown>
  /** The writer writes nothing more. */
  readonly end: (now: number) => Effect.Effect<void, unknown>
  /** The newest first. */
  readonly list: (query: Query, alive: number) => Effect.Effect<ReadonlyArray<Entry>, unknown>
  /** The tree that the latest run of this id is in. */
  readonly tree: (runId: string, alive: number) => Effect.Effect<StoredTree | undefined, unknown>
  /** The id of the run that was most likely meant by one that is unknown. */
  readonly similar: (runId: string) => Effect.Effect<string | undefined, unknown>
  readonly forget: (what: Forgetting, alive: number) => Effect.Effect<void, unknown>
  readonly damages: Effect.Effect<ReadonlyArray<Damage>, unknown>
}

/** A run whose writer has died goes on no more. */
export const asLost = (entry: Entry, isLost: boolean): Entry =>
  isLost && entry.summary.status === "running" ? { ...entry, summary: { ...entry.summary, status: "lost" } } : entry

/** The newest first; of those that started at once, the last by its key. */
const newestFirst = (a: Entry, b: Entry): number =>
  b.summary.startedAt - a.summary.startedAt || (a.key < b.key ? 1 : a.key > b.key ? -1 : 0)

const isBehind = ({ key, summary: { startedAt } }: Entry, after: Place | undefined): boolean =>
  after === undefined || startedAt < after.startedAt || (startedAt === after.startedAt && key < after.key)

const fits = (entry: Entry, { after, from, orgId, pipeline, rootsOnly, status, tag, to, userId }: Query): boolean => {
  const { summary } = entry
  return (pipeline === undefined || summary.pipeline === pipeline)
    && (status === undefined || summary.status === status)
    && (from === undefined || summary.startedAt >= from)
    && (to === undefined || summary.startedAt < to)
    && (userId === undefined || summary.userId === userId)
    && (orgId === undefined || summary.orgId === orgId)
    && (tag === undefined || summary.tags.includes(tag))
    && (!rootsOnly || entry.parentKey === undefined)
    && isBehind(entry, after)
}

/** How much of an id has to be right. */
const sharedAtLeast = 4

/** The id that begins as this one does, if there is one only. */
export const similarId = (runId: string, known: Iterable<string>): string | undefined => {
  if (runId.length < sharedAtLeast) return undefined
  const found = new Set<string>()
  for (const id of known) if (id.startsWith(runId) || runId.startsWith(id) && id.length >= sharedAtLeast) found.add(id)
  const [only] = found
  return found.size === 1 ? only : undefined
}

/** The runs that a process knows of, each with something of the store's own. */
export class RunIndex<A> {
  private readonly runs = new Map<string, { entry: Entry; readonly parts: Array<A> }>()

  /** More of a run that may be known. */
  add(entry: Entry, part: A): void {
    const known = this.runs.get(entry.key)
    if (known === undefined) this.runs.set(entry.key, { entry, parts: [part] })
    else {
      known.entry = entry
      known.parts.push(part)
    }
  }

  get all(): Iterable<{ readonly entry: Entry; readonly parts: ReadonlyArray<A> }> {
    return this.runs.values()
  }

  list(query: Query, isLost: (entry: Entry) => boolean): ReadonlyArray<Entry> {
    return Array.from(this.runs.values(), ({ entry }) => asLost(entry, isLost(entry)))
      .filter((entry) => fits(entry, query)).toSorted(newestFirst).slice(0, query.limit)
  }

  /** Everything that is known of the tree of a run. */
  tree(
    runId: string,
    isLost: (entry: Entry) => boolean
  ):
    | {
      readonly key: string
      readonly runs: ReadonlyArray<{ readonly entry: Entry; readonly parts: ReadonlyArray<A> }>
    }
    | undefined
  {
    const [latest] = Array.from(this.runs.values(), ({ entry }) => entry)
      .filter(({ summary }) => summary.runId === runId).toSorted(newestFirst)
    if (latest === undefined) return undefined
    const runs = Array.from(this.runs.values()).filter(({ entry }) => entry.rootKey === latest.rootKey)
    return { key: latest.key, runs: runs.map(({ entry, parts }) => ({ entry: asLost(entry, isLost(entry)), parts })) }
  }

  similar(runId: string): string | undefined {
    return similarId(runId, Array.from(this.runs.values(), ({ entry }) => entry.summary.runId))
  }

  /** Forgets whole trees, none of which goes on. */
  forget({ before, count }: Forgetting, isLost: (entry: Entry) => boolean): void {
    const entries = Array.from(this.runs.values(), ({ entry }) => asLost(entry, isLost(entry)))
    const running = new Set(entries.flatMap(({ rootKey, summary }) => summary.status === "running" ? [rootKey] : []))
    const roots = entries.filter(({ key, rootKey }) => key === rootKey).toSorted(newestFirst)
    const gone = new Set(
      roots.filter(({ summary: { startedAt } }, index) =>
        (before !== undefined && startedAt < before) || (count !== undefined && index >= count)
      ).map(({ rootKey }) => rootKey).filter((key) => !running.has(key))
    )
    for (const { key, rootKey } of entries) if (gone.has(rootKey)) this.runs.delete(key)
  }
}

/** Keeps runs for as long as the process lives: none of them is lost. */
export const memoryStore = (): Store => {
  const index = new RunIndex<string>()
  // A chunk is written again when nobody knows whether it was. Here everybody does.
  const nobody = () => false
  return {
    write: (chunks) =>
      Effect.sync(() => {
        for (const { changes, entry } of chunks) index.add(entry, changes)
      }),
    beat: () => Effect.void,
    end: () => Effect.void,
    list: (query) => Effect.sync(() => index.list(query, nobody)),
    tree: (runId) =>
      Effect.sync(() => {
        const tree = index.tree(runId, nobody)
        return tree && { key: tree.key, runs: tree.runs.map(({ entry, parts }) => ({ entry, chunks: parts })) }
      }),
    similar: (runId) => Effect.sync(() => index.similar(runId)),
    forget: (what) => Effect.sync(() => index.forget(what, nobody)),
    damages: Effect.succeed([])
  }
}
