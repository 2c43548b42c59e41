/**
 * Which stages depend on which, in two arrays: a list for each stage would scatter over the memory what a run of many
 * stages goes through in no particular order.
 */

/** The stages that depend on stage `i` stand in `stages` from `starts[i]` to before `starts[i + 1]`. */
export interface Successors {
  readonly starts: Int32Array
  readonly stages: Int32Array
}

/** The other direction of the dependencies of every stage. */
export const successorsOf = (dependencies: ReadonlyArray<ReadonlyArray<number>>): Successors => {
  const count = dependencies.length
  const starts = new Int32Array(count + 1)
  for (const each of dependencies) {
    for (const dependency of each) starts[dependency + 1] = (starts[dependency + 1] as number) + 1
  }
  for (let index = 0; index < count; index++) {
    starts[index + 1] = (starts[index + 1] as number) + (starts[index] as number)
  }
  const stages = new Int32Array(starts[count] as number)
  const next = starts.slice()
  dependencies.forEach((each, index) => {
    for (const dependency of each) {
      const at = next[dependency] as number
      stages[at] = index
      next[dependency] = at + 1
    }
  })
  return { starts, stages }
}
