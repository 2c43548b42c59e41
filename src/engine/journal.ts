/**
 * Keeps when every attempt of every stage started and ended, and what it ended with.
 *
 * Numbers are kept in typed arrays and what a stage gave stays where it is: a run of many stages leaves little behind.
 * The entries that people read are made when they ask.
 */
import type { Settled } from "../internal/output-model.ts"
import type { AttemptEnd, Entry, OutputBag } from "../OutputBag.ts"
import type { PlannedStage } from "./plan.ts"

/** An attempt that ended. */
interface EndedAttempt {
  readonly attempt: number
  readonly planned: PlannedStage
  readonly startedMs: number
  /** Whether it ended before, when the next one was granted. */
  readonly hasEnded: boolean
}

export class Journal {
  private readonly startedMs: Float64Array
  private readonly endedMs: Float64Array
  private readonly attempts: Int32Array
  /** The stages in the order in which they ended. */
  private readonly order: Int32Array
  private count = 0
  /** How a stage ended that gave no output, by its index. */
  private readonly ends = new Map<number, AttemptEnd>()
  /** Attempts that were not the last of their stage, each with the number of stages that had ended before it. */
  private readonly earlier: Array<{ readonly position: number; readonly entry: Entry }> = []

  constructor(stages: number) {
    this.startedMs = new Float64Array(stages)
    this.endedMs = new Float64Array(stages)
    this.attempts = new Int32Array(stages)
    this.order = new Int32Array(stages)
  }

  /**
   * The last attempt of a stage ended: with `end`, or with the stage's output. A stage that ends while it waits for its
   * next attempt has none to add: its last one is here already.
   */
  lastEnded(
    { attempt, hasEnded, planned: { index }, startedMs }: EndedAttempt,
    endedMs: number,
    end: AttemptEnd | undefined
  ): void {
    if (hasEnded) return
    this.startedMs[index] = startedMs
    this.endedMs[index] = endedMs
    this.attempts[index] = attempt
    this.order[this.count++] = index
    if (end !== undefined) this.ends.set(index, end)
  }

  /** An attempt ended that another follows. */
  earlierEnded({ attempt, planned, startedMs }: EndedAttempt, endedMs: number, end: AttemptEnd): void {
    const entry = { stage: planned.name, attempt, end, startedMs, endedMs }
    this.earlier.push({ position: this.count, entry })
  }

  entries(names: ReadonlyArray<string>, outputs: ReadonlyArray<Settled | undefined>): ReadonlyArray<Entry> {
    const last = Array.from(this.order.subarray(0, this.count), (index): Entry => ({
      stage: names[index] as string,
      attempt: this.attempts[index] as number,
      end: this.ends.get(index) ?? { _tag: "Settled", output: outputs[index] as Settled },
      startedMs: this.startedMs[index] as number,
      endedMs: this.endedMs[index] as number
    }))
    const entries: Array<Entry> = []
    let next = 0
    for (const { entry, position } of this.earlier) {
      while (next < position) entries.push(last[next++] as Entry)
      entries.push(entry)
    }
    return entries.concat(last.slice(next))
  }
}

/** The record of a run. Most results are read for their outputs: it is laid out when somebody looks at it. */
export class LazyOutputBag implements OutputBag {
  private readonly read: () => ReadonlyArray<Entry>
  private known: ReadonlyArray<Entry> | undefined = undefined
  constructor(read: () => ReadonlyArray<Entry>) {
    this.read = read
  }
  get entries(): ReadonlyArray<Entry> {
    return this.known ??= Object.freeze(this.read())
  }
  toJSON() {
    return { _id: "OutputBag", entries: this.entries }
  }
  [Symbol.for("nodejs.util.inspect.custom")]() {
    return this.toJSON()
  }
}
