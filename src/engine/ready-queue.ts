/**
 * Queues the stages whose dependencies have all ended.
 *
 * Every stage passes through once, so the queue is an array of its final size.
 */
import type { PackedLists } from "./packed-lists.ts"
import type { Pick } from "./ready-order.ts"

/** The stages that can start. */
export interface ReadyStages {
  readonly isEmpty: boolean
  /** The index of the next stage to start; there is one unless the queue is empty. */
  readonly take: () => number
  /** A stage ended: those that waited for it alone are ready. */
  readonly release: (ended: number) => void
}

export class ReadyQueue implements ReadyStages {
  private readonly stages: Int32Array
  private readonly waitsFor: Int32Array
  private readonly successors: PackedLists
  private readonly pick: Pick | undefined
  private from = 0
  private to = 0

  constructor(inDegree: Int32Array, successors: PackedLists, pick: Pick | undefined) {
    this.stages = new Int32Array(inDegree.length)
    this.waitsFor = inDegree.slice()
    this.successors = successors
    this.pick = pick
    for (let index = 0; index < inDegree.length; index++) {
      if (inDegree[index] === 0) this.stages[this.to++] = index
    }
  }

  get isEmpty(): boolean {
    return this.from === this.to
  }

  take(): number {
    const { pick, stages } = this
    const first = this.from++
    if (pick === undefined) return stages[first] as number
    const chosen = first + pick(this.to - first)
    const index = stages[chosen] as number
    stages[chosen] = stages[first] as number
    return index
  }

  release(ended: number): void {
    const { stages, successors: { items, starts }, waitsFor } = this
    const end = starts[ended + 1] as number
    for (let at = starts[ended] as number; at < end; at++) {
      const successor = items[at] as number
      const waits = (waitsFor[successor] as number) - 1
      waitsFor[successor] = waits
      if (waits === 0) stages[this.to++] = successor
    }
  }
}
