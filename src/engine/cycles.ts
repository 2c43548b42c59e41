/**
 * Finds the stages that wait for each other in a circle.
 */
import type { PackedLists } from "./packed-lists.ts"

interface Waiting {
  readonly name: string
  readonly dependencies: ReadonlyArray<number>
}

/** The stages that are never freed, because a circle of stages is before them. */
export const neverFreed = (inDegree: Int32Array, { items, starts }: PackedLists): ReadonlySet<number> => {
  const left = Int32Array.from(inDegree)
  const ready: Array<number> = []
  left.forEach((degree, index) => {
    if (degree === 0) ready.push(index)
  })
  for (let index = ready.pop(); index !== undefined; index = ready.pop()) {
    const end = starts[index + 1] as number
    for (let at = starts[index] as number; at < end; at++) {
      const successor = items[at] as number
      left[successor] = (left[successor] as number) - 1
      if (left[successor] === 0) ready.push(successor)
    }
  }
  const stuck = new Set<number>()
  left.forEach((degree, index) => {
    if (degree > 0) stuck.add(index)
  })
  return stuck
}

/**
 * Cycles among the stages that are never freed: at least one in each group of stages that wait for each other, and no
 * two with a stage in common. A depth-first search with a list instead of recursion; every edge is followed once.
 */
export const findCycles = (
  stages: ReadonlyArray<Waiting>,
  stuck: ReadonlySet<number>
): ReadonlyArray<ReadonlyArray<string>> => {
  const cycles: Array<ReadonlyArray<string>> = []
  const rest = new Map(Array.from(stuck, (index) => [index, stages[index]?.dependencies.values()]))
  const seen = new Set<number>()
  const done = new Set<number>()
  for (const start of stuck) {
    const walk = done.has(start) ? [] : [start]
    for (let current = walk.at(-1); current !== undefined; current = walk.at(-1)) {
      seen.add(current)
      const next = rest.get(current)?.next().value
      if (next === undefined) {
        done.add(current)
        walk.pop()
      } else if (!seen.has(next)) {
        if (stuck.has(next)) walk.push(next)
      } else if (!done.has(next)) {
        const cycle = walk.splice(walk.lastIndexOf(next))
        for (const index of cycle) done.add(index)
        // The walk went against the arrows; turned round it reads as the data flows.
        const names = cycle.toReversed().map((index) => (stages[index] as Waiting).name)
        cycles.push([...names, names[0] as string])
      }
    }
  }
  return cycles
}
