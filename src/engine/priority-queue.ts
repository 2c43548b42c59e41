/**
 * Queues the stages whose dependencies have all ended, where stages have priorities: the highest is next.
 *
 * Every stage that goes first raises those that wait by one, so that none waits for ever. Since all that wait are raised
 * alike, who is before whom never changes while they wait: a stage stands at its priority less the number of stages that
 * went before it became ready. Those that stand alike go in the order in which they were declared.
 */
import type { PackedLists } from "./packed-lists.ts"
import type { Pick } from "./ready-order.ts"
import type { ReadyStages } from "./ready-queue.ts"

export class PriorityQueue implements ReadyStages {
  /** A binary heap of the indices of stages: each before those under it. */
  private readonly heap: Array<number> = []
  private readonly priorities: Float64Array
  /** Where each stage that is ready stands. */
  private readonly standing: Float64Array
  private readonly waitsFor: Int32Array
  private readonly successors: PackedLists
  private readonly pick: Pick | undefined
  /** How many stages have been taken. */
  private taken = 0

  constructor(inDegree: Int32Array, successors: PackedLists, priorities: Float64Array, pick: Pick | undefined) {
    this.priorities = priorities
    this.standing = new Float64Array(inDegree.length)
    this.waitsFor = inDegree.slice()
    this.successors = successors
    this.pick = pick
    for (let index = 0; index < inDegree.length; index++) {
      if (inDegree[index] === 0) this.add(index)
    }
  }

  get isEmpty(): boolean {
    return this.heap.length === 0
  }

  take(): number {
    const { pick } = this
    const index = pick === undefined ? this.first() : this.picked(pick)
    this.taken++
    return index
  }

  release(ended: number): void {
    const { successors: { items, starts }, waitsFor } = this
    const end = starts[ended + 1] as number
    for (let at = starts[ended] as number; at < end; at++) {
      const successor = items[at] as number
      const waits = (waitsFor[successor] as number) - 1
      waitsFor[successor] = waits
      if (waits === 0) this.add(successor)
    }
  }

  /** One of those that stand alike at the top. */
  private picked(pick: Pick): number {
    const alike = [this.first()]
    while (this.heap.length > 0 && this.standingOf(this.heap[0] as number) === this.standingOf(alike[0] as number)) {
      alike.push(this.first())
    }
    const [chosen] = alike.splice(pick(alike.length), 1)
    for (const index of alike) this.push(index)
    return chosen as number
  }

  private standingOf(index: number): number {
    return this.standing[index] as number
  }

  private isBefore(one: number, other: number): boolean {
    const difference = this.standingOf(one) - this.standingOf(other)
    return difference === 0 ? one < other : difference > 0
  }

  private add(index: number): void {
    this.standing[index] = (this.priorities[index] as number) - this.taken
    this.push(index)
  }

  private push(index: number): void {
    const { heap } = this
    let at = heap.length
    while (at > 0) {
      const above = (at - 1) >> 1
      const other = heap[above] as number
      if (!this.isBefore(index, other)) break
      heap[at] = other
      at = above
    }
    heap[at] = index
  }

  /** Takes out the stage that is before all others. */
  private first(): number {
    const { heap } = this
    const first = heap[0] as number
    const last = heap.pop() as number
    if (heap.length > 0) this.sink(last)
    return first
  }

  /** Puts a stage where the first one was, and moves it down to its place. */
  private sink(index: number): void {
    const { heap } = this
    let at = 0
    for (;;) {
      const left = 2 * at + 1
      if (left >= heap.length) break
      const right = left + 1
      const isRight = right < heap.length && this.isBefore(heap[right] as number, heap[left] as number)
      const under = isRight ? right : left
      if (!this.isBefore(heap[under] as number, index)) break
      heap[at] = heap[under] as number
      at = under
    }
    heap[at] = index
  }
}
