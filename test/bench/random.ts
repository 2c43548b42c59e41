/** The pseudo-random numbers of mulberry32, from 0 to 1: the same seed gives the same ones everywhere. */
export const mulberry32 = (seed: number) => (): number => {
  seed = (seed + 0x6d2b79f5) | 0
  let bits = Math.imul(seed ^ (seed >>> 15), 1 | seed)
  bits = (bits + Math.imul(bits ^ (bits >>> 7), 61 | bits)) ^ bits
  return ((bits ^ (bits >>> 14)) >>> 0) / 4_294_967_296
}

/** The same elements in a random order. */
export const shuffled = <A>(random: () => number, values: ReadonlyArray<A>): ReadonlyArray<A> =>
  values.map((value) => ({ value, at: random() })).toSorted((a, b) => a.at - b.at).map(({ value }) => value)
