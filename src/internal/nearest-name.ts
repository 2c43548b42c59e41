/**
 * Finds the known name that somebody most likely meant by an unknown one, with a bounded amount of work.
 */

/**
 * How many steps the unknown names of one pipeline may take together: some 10 milliseconds. A step is a name looked at, or
 * a letter of it compared. What is left over when they are used up gets no suggestion.
 */
export const stepLimit = 2_000_000

/** Longer names are neither looked for nor suggested: nobody mistypes one. */
const longest = 100

/** How many letters may differ: two in five, and never more than this. So a name of one or two letters is meant as it is. */
const mostChanges = 4

const changesAllowed = (name: string): number => Math.min(mostChanges, Math.floor(name.length * 0.4))

/** Looks for the names that one pipeline does not know among those that it knows. */
export class Suggestions {
  /** How many steps have been taken. */
  steps = 0
  private readonly known: ReadonlySet<string> | ReadonlyMap<string, unknown>

  constructor(known: ReadonlySet<string> | ReadonlyMap<string, unknown>) {
    this.known = known
  }

  /** The known name nearest to an unknown one, but not `except`. */
  nearest(name: string, except: string): string | undefined {
    if (name.trim() === "" || name.length > longest) return undefined
    const wanted = name.toLowerCase()
    let best: string | undefined
    let limit = changesAllowed(name)
    for (const candidate of this.known.keys()) {
      if (limit < 0 || this.steps >= stepLimit) break
      this.steps++
      if (candidate === except || candidate.trim() === "" || Math.abs(candidate.length - name.length) > limit) continue
      this.steps += candidate.length
      const changes = this.changesBetween(wanted, candidate.toLowerCase(), limit)
      if (changes <= limit) {
        best = candidate
        limit = changes - 1
      }
    }
    return best
  }

  /** The edit distance between two words, or more than `limit` where it is. */
  private changesBetween(one: string, other: string, limit: number): number {
    let start = 0
    while (start < one.length && one[start] === other[start]) start++
    let cut = 0
    while (cut < one.length - start && cut < other.length - start && one.at(-1 - cut) === other.at(-1 - cut)) cut++
    const a = one.slice(start, one.length - cut)
    const b = other.slice(start, other.length - cut)
    let previous = Array.from({ length: b.length + 1 }, (_, column) => column)
    for (let row = 1; row <= a.length; row++) {
      const current = [row]
      let least = row
      for (let column = 1; column <= b.length; column++) {
        const substitution = (previous[column - 1] as number) + (a[row - 1] === b[column - 1] ? 0 : 1)
        const cell = Math.min(substitution, (previous[column] as number) + 1, (current[column - 1] as number) + 1)
        current.push(cell)
        least = Math.min(least, cell)
      }
      this.steps += b.length
      // No cell of a later row is less than the least of this one.
      if (least > limit) return least
      previous = current
    }
    return previous[b.length] as number
  }
}
