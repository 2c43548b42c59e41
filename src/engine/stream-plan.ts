/**
 * Lays out which stages read the stream of which, and finds those that would wait for each other for ever.
 *
 * Stages that are connected by streams run together, as one group: each may wait for any other to go on, so none of them can
 * wait for another of them to have ended, directly or through other stages.
 */
import type { StreamUse } from "../internal/source-model.ts"
import { findCycles, neverFreed } from "./cycles.ts"
import { inverted, type PackedLists } from "./packed-lists.ts"

/** One stage reads the stream of another. */
export interface StreamReading {
  readonly reader: number
  readonly use: StreamUse
}

/** The same stages, with each group of them as one: where few may run at once, a group starts as a whole, and in one place. */
export interface Groups {
  /** The group of each stage; -1 for one that streams with no other. */
  readonly groupOf: Int32Array
  readonly members: ReadonlyArray<ReadonlyArray<number>>
  /** How many stages outside of its group each stage waits for; a group is waited with by its first member. */
  readonly inDegree: Int32Array
  readonly successors: PackedLists
}

export interface StreamPlan {
  /** Who reads the stream of each stage. */
  readonly readings: ReadonlyMap<number, ReadonlyArray<StreamReading>>
  /** The stages whose streams each stage reads. */
  readonly producers: ReadonlyMap<number, ReadonlyArray<number>>
  /** The stages that wait for the end of each stage. */
  readonly afterEnd: PackedLists
  /** The stages that wait for the stream of each stage to begin. */
  readonly afterOpening: PackedLists
  readonly groups: Groups
}

/** What a stage of a plan waits for. */
export interface Waiting {
  readonly name: string
  /** The stages that it waits for to end. */
  readonly ends: ReadonlyArray<number>
  /** The streams that it reads. */
  readonly streams: ReadonlyArray<{ readonly from: number; readonly use: StreamUse }>
}

/** The group of each stage, by following the streams in both directions. */
const groupsOf = (stages: ReadonlyArray<Waiting>) => {
  const beside = new Map<number, Array<number>>()
  const connect = (from: number, to: number) => {
    const known = beside.get(from)
    if (known === undefined) beside.set(from, [to])
    else known.push(to)
  }
  stages.forEach(({ streams }, index) => {
    for (const { from } of streams) {
      connect(from, index)
      connect(index, from)
    }
  })
  const groupOf = new Int32Array(stages.length).fill(-1)
  const members: Array<ReadonlyArray<number>> = []
  for (const start of Array.from(beside.keys()).toSorted((one, other) => one - other)) {
    if (groupOf[start] !== -1) continue
    const found = new Set([start])
    for (const index of found) {
      groupOf[index] = members.length
      for (const next of beside.get(index) ?? []) found.add(next)
    }
    members.push(Array.from(found).toSorted((one, other) => one - other))
  }
  return { groupOf, members }
}

/** What each stage waits for, with each group as one stage: its first member. */
const contracted = (
  stages: ReadonlyArray<Waiting>,
  groupOf: Int32Array,
  members: ReadonlyArray<ReadonlyArray<number>>
): ReadonlyArray<ReadonlyArray<number>> => {
  const first = (index: number): number => members[groupOf[index] as number]?.[0] ?? index
  const waits = stages.map(() => new Set<number>())
  stages.forEach(({ ends }, index) => {
    for (const end of ends) (waits[first(index)] as Set<number>).add(end)
  })
  return waits.map((set) => Array.from(set))
}

/** Stages of one group that wait for each other to have ended, each as a closed path of names. */
export const waitingWithinGroups = (
  stages: ReadonlyArray<Waiting>,
  { groupOf, members }: Groups
): ReadonlyArray<ReadonlyArray<string>> => {
  const first = (index: number): number => members[groupOf[index] as number]?.[0] ?? index
  const together = contracted(stages, groupOf, members).map((waits, index) => ({
    name: (members[groupOf[index] as number] ?? [index]).map((member) => (stages[member] as Waiting).name).join(" ~ "),
    dependencies: Array.from(new Set(waits.map(first)))
  }))
  const inDegree = Int32Array.from(together, ({ dependencies }) => dependencies.length)
  const stuck = neverFreed(inDegree, inverted(together.map(({ dependencies }) => dependencies)))
  return stuck.size === 0 ? [] : findCycles(together, stuck)
}

/** The streams of a plan; `undefined` when no stage reads any. */
export const streamPlanOf = (stages: ReadonlyArray<Waiting>): StreamPlan | undefined => {
  if (stages.every(({ streams }) => streams.length === 0)) return undefined
  const readings = new Map<number, Array<StreamReading>>()
  const producers = new Map<number, ReadonlyArray<number>>()
  const openings = stages.map(({ streams }, reader) => {
    for (const { from, use } of streams) {
      const known = readings.get(from) ?? []
      readings.set(from, known)
      known.push({ reader, use })
    }
    const from = Array.from(new Set(streams.map(({ from }) => from)))
    if (from.length > 0) producers.set(reader, from)
    return from
  })
  const { groupOf, members } = groupsOf(stages)
  const waits = contracted(stages, groupOf, members)
  // The others of a group start with its first, and not by themselves.
  const inDegree = Int32Array.from(waits, (list, index) => {
    const group = members[groupOf[index] as number]
    return group === undefined || group[0] === index ? list.length : -1
  })
  return {
    readings,
    producers,
    afterEnd: inverted(stages.map(({ ends }) => ends)),
    afterOpening: inverted(openings),
    groups: { groupOf, members, inDegree, successors: inverted(waits) }
  }
}
