/**
 * Finds the known name that is nearest to an unknown one.
 */

/** The edit distance between two words, up to a limit beyond which it is not worth knowing. */
const distance = (a: string, b: string, limit: number): number => {
  if (Math.abs(a.length - b.length) > limit) return limit + 1
  let previous = Array.from({ length: b.length + 1 }, (_, index) => index)
  for (let row = 1; row <= a.length; row++) {
    const current = [row]
    for (let column = 1; column <= b.length; column++) {
      const substitution = (previous[column - 1] as number) + (a[row - 1] === b[column - 1] ? 0 : 1)
      current.push(Math.min(substitution, (previous[column] as number) + 1, (current[column - 1] as number) + 1))
    }
    previous = current
  }
  return previous[b.length] as number
}

/** The known name that somebody most likely meant. */
export const nearest = (name: string, known: Iterable<string>): string | undefined => {
  let best: string | undefined
  let limit = Math.max(1, Math.floor(name.length / 2))
  for (const candidate of known) {
    const found = distance(name.toLowerCase(), candidate.toLowerCase(), limit)
    if (found <= limit) {
      best = candidate
      limit = found - 1
    }
    if (limit < 0) break
  }
  return best
}
