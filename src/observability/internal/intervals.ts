/**
 * Calculates with intervals of time, in lists that are sorted and do not overlap.
 */

export interface Interval {
  readonly from: number
  readonly to: number
}

/** Sorted lists of intervals that do not overlap; those without a length are left out. */
export type Intervals = ReadonlyArray<Interval>

/** What is covered by any of them, between two times. What ends before it starts covers nothing. */
export const union = (given: Intervals, within: Interval): Intervals => {
  const covered: Array<{ readonly from: number; to: number }> = []
  for (const interval of given.toSorted((a, b) => a.from - b.from)) {
    const from = Math.max(interval.from, within.from)
    const to = Math.min(interval.to, within.to)
    if (!(from < to)) continue
    const last = covered.at(-1)
    if (last !== undefined && from <= last.to) last.to = Math.max(last.to, to)
    else covered.push({ from, to })
  }
  return covered
}

/** What of the first is not covered by the second. */
export const without = (given: Intervals, covered: Intervals): Intervals => {
  const left: Array<Interval> = []
  let next = 0
  for (const { from, to } of given) {
    let start = from
    while ((covered[next]?.to ?? Number.POSITIVE_INFINITY) <= start) next++
    for (let index = next; index < covered.length; index++) {
      const gap = covered[index] as Interval // it is below the length
      if (gap.from >= to) break
      if (gap.from > start) left.push({ from: start, to: gap.from })
      start = Math.max(start, gap.to)
    }
    if (start < to) left.push({ from: start, to })
  }
  return left
}

/** How long they are together. */
export const lengthOf = (given: Intervals): number => given.reduce((sum, { from, to }) => sum + to - from, 0)
