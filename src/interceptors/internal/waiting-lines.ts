/**
 * Orders those who wait: one line for each key, and the lines take turns. Every step costs the same, however many wait.
 */

/** Somebody in a line. */
class Waiter<A> {
  readonly value: A
  /** Where it waits. */
  line: Line<A> | undefined
  before: Waiter<A> | undefined
  after: Waiter<A> | undefined = undefined

  constructor(value: A, line: Line<A>) {
    this.value = value
    this.line = line
    this.before = line.last
  }
}

/** Those who wait under one key. */
class Line<A> {
  readonly key: string
  first: Waiter<A> | undefined = undefined
  last: Waiter<A> | undefined = undefined
  length = 0

  constructor(key: string) {
    this.key = key
  }
}

export type { Waiter }

export class WaitingLines<A> {
  /** The line whose turn is next comes first. */
  private readonly lines = new Map<string, Line<A>>()
  /** The lines of each length. The last entry has the longest. */
  private readonly byLength: Array<Set<Line<A>> | undefined> = []
  /** How many wait. */
  size = 0

  /** Waits at the end of the line of its key. */
  add(key: string, value: A): Waiter<A> {
    let line = this.lines.get(key)
    if (line === undefined) {
      line = new Line(key)
      this.lines.set(key, line)
    }
    const waiter = new Waiter(value, line)
    if (line.last === undefined) line.first = waiter
    else line.last.after = waiter
    line.last = waiter
    this.grow(line, 1)
    return waiter
  }

  /** Leaves its line, when it is still in it. */
  remove(waiter: Waiter<A>): void {
    const { after, before, line } = waiter
    if (line === undefined) return
    if (before === undefined) line.first = after
    else before.after = after
    if (after === undefined) line.last = before
    else after.before = before
    waiter.line = undefined
    this.grow(line, -1)
    if (line.length === 0) this.lines.delete(line.key)
  }

  /** Takes the one who waits longest in the line whose turn it is. */
  takeNext(): A | undefined {
    for (const [key, line] of this.lines) {
      this.lines.delete(key)
      const waiter = line.first as Waiter<A> // a line without anybody is no line
      this.remove(waiter)
      if (line.length > 0) this.lines.set(key, line)
      return waiter.value
    }
    return undefined
  }

  /**
   * Takes the last of the longest line to make room for one more under the key, if that line is still no shorter than the
   * key's own then.
   */
  takeLastOfLongest(key: string): A | undefined {
    const own = this.lines.get(key)?.length ?? 0
    const [longest] = this.byLength.at(-1) ?? []
    if (longest?.last === undefined || longest.length < own + 2) return undefined
    const { last } = longest
    this.remove(last)
    return last.value
  }

  private grow(line: Line<A>, by: 1 | -1): void {
    this.byLength[line.length]?.delete(line)
    line.length += by
    this.size += by
    if (line.length > 0) (this.byLength[line.length] ??= new Set()).add(line)
    while (this.byLength.at(-1)?.size === 0) this.byLength.pop()
  }
}
