/**
 * Holds items in the order in which they came, up to a number. To add one and to take one costs the same, however many
 * there are.
 */
export class Ring<A> {
  private readonly capacity: number
  // Grows as it is used: most are never full.
  private readonly places: Array<A | undefined> = []
  private first = 0
  private count = 0

  constructor(capacity: number) {
    this.capacity = capacity
  }

  get size(): number {
    return this.count
  }

  /** There has to be room for it. */
  add(item: A): void {
    this.places[(this.first + this.count) % this.capacity] = item
    this.count++
  }

  /** The oldest. There has to be one. */
  take(): A {
    const item = this.places[this.first] as A // one that was added
    this.places[this.first] = undefined
    this.first = (this.first + 1) % this.capacity
    this.count--
    // Empty, it starts from the beginning, so that it stays as small as it can.
    if (this.count === 0) this.first = 0
    return item
  }

  /** All of them, the oldest first. They stay. */
  get all(): ReadonlyArray<A> {
    return Array.from(
      { length: this.count },
      (_, index) => this.places[(this.first + index) % this.capacity] as A // one that was added
    )
  }

  /** The oldest, and at most so many. */
  takeUpTo(most: number): ReadonlyArray<A> {
    const taken: Array<A> = []
    for (let left = Math.min(most, this.count); left > 0; left--) taken.push(this.take())
    return taken
  }
}
