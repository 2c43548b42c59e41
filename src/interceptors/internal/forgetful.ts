/**
 * Keeps something for each key and forgets it when nobody has asked for it for a while, so that what is kept grows with
 * the keys in use and not with all that there ever were.
 */
interface Remembered<A> {
  readonly value: A
  usedAt: number
}

export class Forgetful<A> {
  private readonly lifetime: number
  /** The one that nobody has asked for longest comes first. */
  private readonly entries = new Map<string, Remembered<A>>()

  /** What nobody has asked for as long as `lifetime` has to be as good as new. */
  constructor(lifetime: number) {
    this.lifetime = lifetime
  }

  get isEmpty(): boolean {
    return this.entries.size === 0
  }

  /** What is kept for the key, or made for it. */
  of(key: string, now: number, make: () => A): A {
    this.forget(now)
    const entry = this.entries.get(key) ?? { value: make(), usedAt: now }
    entry.usedAt = now
    this.entries.delete(key)
    this.entries.set(key, entry)
    return entry.value
  }

  /** Each entry is forgotten once, so this costs next to nothing for each that was made. */
  forget(now: number): void {
    for (const [key, { usedAt }] of this.entries) {
      if (now - usedAt < this.lifetime) break
      this.entries.delete(key)
    }
  }
}
