/**
 * Goes through the stages of a run backwards: lets a stage pass when all that depend on it have passed.
 *
 * Only some of the stages are gone through one by one; the others pass by themselves.
 */

export class Backwards {
  private readonly dependenciesOf: (stage: string) => ReadonlyArray<string>
  /** Told that a stage may pass: whether it passes later, by `pass`. */
  private readonly mayPass: (stage: string) => boolean
  /** How many stages that depend on a stage have not passed, of those that lead back from where it began. */
  private readonly left = new Map<string, number>()

  constructor(
    from: Iterable<string>,
    dependenciesOf: (stage: string) => ReadonlyArray<string>,
    mayPass: (stage: string) => boolean
  ) {
    this.dependenciesOf = dependenciesOf
    this.mayPass = mayPass
    const rest = Array.from(from)
    for (const stage of rest) this.left.set(stage, 0)
    // A list that grows while it is gone through: each stage is in it once.
    for (const stage of rest) {
      for (const before of dependenciesOf(stage)) {
        const known = this.left.get(before)
        this.left.set(before, (known ?? 0) + 1)
        if (known === undefined) rest.push(before)
      }
    }
    const last = Array.from(this.left).filter(([, count]) => count === 0)
    for (const [stage] of last) {
      if (!mayPass(stage)) this.pass(stage)
    }
  }

  /** A stage has passed, and with it those before it that waited for it alone and are not gone through. */
  pass(stage: string): void {
    const passing = [stage]
    for (let next = passing.pop(); next !== undefined; next = passing.pop()) {
      for (const before of this.dependenciesOf(next)) {
        const count = (this.left.get(before) ?? 0) - 1
        this.left.set(before, count)
        if (count === 0 && !this.mayPass(before)) passing.push(before)
      }
    }
  }
}
