/**
 * Orders the stages of a record so that each comes after those that it waits for.
 */
import type { RecordedStage } from "./record-model.ts"

/** A stage with the indices of those that it waits for and of those that wait for it. */
export interface Placed {
  readonly stage: RecordedStage
  readonly before: ReadonlyArray<number>
  readonly behind: ReadonlyArray<number>
}

/** Names that no stage has are passed over: a record may be of a part of a pipeline. */
export const placed = (stages: ReadonlyArray<RecordedStage>): ReadonlyArray<Placed> => {
  const indices = new Map(stages.map(({ name }, index) => [name, index]))
  const behind = stages.map((): Array<number> => [])
  const before = stages.map(({ after }, index) => {
    const found = Array.from(new Set(after)).flatMap((name) => indices.get(name) ?? [])
    for (const other of found) behind[other]?.push(index)
    return found
  })
  return stages.map((stage, index) => ({ stage, before: before[index] ?? [], behind: behind[index] ?? [] }))
}

/** The indices in an order in which each comes after those that it waits for. Those in a circle, which no pipeline has, come last. */
export const orderOf = (stages: ReadonlyArray<Placed>): ReadonlyArray<number> => {
  const missing = stages.map(({ before }) => before.length)
  const order = missing.flatMap((count, index) => count === 0 ? [index] : [])
  for (let place = 0; place < order.length; place++) {
    for (const next of stages[order[place] as number]?.behind ?? []) { // it is below the length
      const left = (missing[next] ?? 0) - 1
      missing[next] = left
      if (left === 0) order.push(next)
    }
  }
  return order.length === stages.length
    ? order
    : [...order, ...missing.flatMap((left, index) => left > 0 ? [index] : [])]
}
