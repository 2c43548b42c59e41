/**
 * Packs a list of numbers for every stage into two arrays. A run goes through its stages in no particular order, and
 * a list of its own for each would be spread over the memory.
 */

/** The list of stage `i` stands in `items` from `starts[i]` to before `starts[i + 1]`. */
export interface PackedLists {
  readonly starts: Int32Array
  readonly items: Int32Array
}

/** Room for lists of these lengths. */
const room = (lengths: Int32Array): PackedLists => {
  const starts = new Int32Array(lengths.length + 1)
  lengths.forEach((length, index) => {
    starts[index + 1] = (starts[index] as number) + length
  })
  return { starts, items: new Int32Array(starts.at(-1) as number) }
}

export const packed = (lists: ReadonlyArray<ReadonlyArray<number>>): PackedLists => {
  const { items, starts } = room(Int32Array.from(lists, ({ length }) => length))
  lists.forEach((list, index) => items.set(list, starts[index]))
  return { starts, items }
}

/** For every stage the stages in whose lists it is. */
export const inverted = (lists: ReadonlyArray<ReadonlyArray<number>>): PackedLists => {
  const lengths = new Int32Array(lists.length)
  for (const list of lists) {
    for (const item of list) lengths[item] = (lengths[item] as number) + 1
  }
  const { items, starts } = room(lengths)
  const next = starts.slice()
  lists.forEach((list, index) => {
    for (const item of list) {
      const at = next[item] as number
      items[at] = index
      next[item] = at + 1
    }
  })
  return { starts, items }
}
