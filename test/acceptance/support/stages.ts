/**
 * Stages whose names come from data, and counters outside the library that tell what really ran.
 */
import { Effect } from "effect"
import { type Pipeline, Stage } from "stageflow"

/** A stage that does nothing and gives its own name. */
export const noop = <const Name extends string>(name: Name) =>
  Stage.transform(name, { run: Effect.succeed({ from: name as string }) })

/** A spec of a stage that does nothing, behind other stages. */
export const spec = (
  name: string,
  after: ReadonlyArray<string> = []
): Pipeline.Spec<Stage.Stage<string, unknown, { readonly from: string }>> => ({
  stage: noop(name),
  after
})

/** Counts what really happened, by name. */
export class Counter {
  private readonly counts = new Map<string, number>()

  count(name: string): number {
    return this.counts.get(name) ?? 0
  }

  get total(): number {
    return Array.from(this.counts.values()).reduce((sum, count) => sum + count, 0)
  }

  get names(): ReadonlyArray<string> {
    return Array.from(this.counts.keys()).toSorted()
  }

  readonly add = (name: string): void => {
    this.counts.set(name, this.count(name) + 1)
  }

  /** A stage that counts every time its body runs. */
  readonly stage = <const Name extends string>(name: Name) =>
    Stage.transform(name, {
      run: Effect.sync(() => {
        this.add(name)
        return { from: name as string }
      })
    })
}
