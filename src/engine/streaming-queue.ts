/**
 * Queues the stages of a run that have streams: a reader is ready when the streams that it reads have begun, and all else that
 * it waits for has ended.
 */
import type { PackedLists } from "./packed-lists.ts"
import type { ReadyStages } from "./ready-queue.ts"
import type { Groups, StreamPlan } from "./stream-plan.ts"

/** The stages that can start, of a run that has streams. */
export interface StreamingStages extends ReadyStages {
  /** The stream of a stage has begun. */
  readonly opened: (index: number) => void
  /** Whether the next stage to start needs no place of its own. */
  readonly hasFree: boolean
  /** How many of the running stages are in the place of another. */
  readonly withoutPlace: number
  readonly started: (index: number) => void
  readonly ended: (index: number) => void
}

/** Calls a function with each item of a list. */
const each = ({ items, starts }: PackedLists, index: number, f: (item: number) => void): void => {
  const end = starts[index + 1] as number
  for (let at = starts[index] as number; at < end; at++) f(items[at] as number)
}

/** What stages wait for, streams and ends alike. */
class Waits {
  private readonly waitsFor: Int32Array
  private readonly hasOpened: Uint8Array
  private readonly plan: StreamPlan
  private readonly ready: (index: number) => void

  constructor(inDegree: Int32Array, plan: StreamPlan, ready: (index: number) => void) {
    this.waitsFor = inDegree.slice()
    this.hasOpened = new Uint8Array(inDegree.length)
    this.plan = plan
    this.ready = ready
  }

  private readonly free = (index: number): void => {
    const waits = (this.waitsFor[index] as number) - 1
    this.waitsFor[index] = waits
    if (waits === 0) this.ready(index)
  }

  opened(index: number): void {
    if (this.hasOpened[index] === 1) return
    this.hasOpened[index] = 1
    each(this.plan.afterOpening, index, this.free)
  }

  ended(index: number): void {
    // Who waits for a stream that never began reads what there is instead.
    this.opened(index)
    each(this.plan.afterEnd, index, this.free)
  }
}

/** Where any number of stages may run at once. */
export class StreamingQueue implements StreamingStages {
  readonly hasFree = false
  readonly withoutPlace = 0
  private readonly stages: Array<number> = []
  private from = 0
  private readonly waits: Waits
  private readonly pick: ((count: number) => number) | undefined

  constructor(inDegree: Int32Array, plan: StreamPlan, pick: ((count: number) => number) | undefined) {
    this.pick = pick
    this.waits = new Waits(inDegree, plan, (index) => this.stages.push(index))
    inDegree.forEach((degree, index) => {
      if (degree === 0) this.stages.push(index)
    })
  }

  get isEmpty(): boolean {
    return this.from === this.stages.length
  }

  take(): number {
    const { pick, stages } = this
    const first = this.from++
    const chosen = pick === undefined ? first : first + pick(stages.length - first)
    const index = stages[chosen] as number
    stages[chosen] = stages[first] as number
    return index
  }

  release(ended: number): void {
    this.waits.ended(ended)
  }

  opened(index: number): void {
    this.waits.opened(index)
  }

  started(): void {
    // Every stage has a place.
  }

  ended(): void {
    // Every stage has a place.
  }
}

/**
 * Where few stages may run at once: those that stream into each other take one place together. They start when everything
 * has ended that any of them waits for, so that none of them waits in its place for a stage that waits for a place.
 */
export class GroupedQueue implements StreamingStages {
  withoutPlace = 0
  private readonly groups: Groups
  /** The stages outside of groups, and of each group the first. */
  private readonly places: ReadyStages
  /** Those that start in the place of their group. */
  private readonly free: Array<number> = []
  private readonly waits: Waits
  private readonly hasBegun: Uint8Array
  private readonly running: Int32Array
  private readonly isReady: Uint8Array

  constructor(inDegree: Int32Array, plan: StreamPlan, places: ReadyStages) {
    this.groups = plan.groups
    this.places = places
    this.hasBegun = new Uint8Array(plan.groups.members.length)
    this.running = new Int32Array(plan.groups.members.length)
    this.isReady = new Uint8Array(inDegree.length)
    this.waits = new Waits(inDegree, plan, (index) => this.ready(index))
    inDegree.forEach((degree, index) => {
      if (degree === 0) this.ready(index)
    })
  }

  /** Everything has come that a stage waits for. */
  private ready(index: number): void {
    const group = this.groups.groupOf[index] as number
    if (group === -1) return
    if (this.hasBegun[group] === 1) this.free.push(index)
    else this.isReady[index] = 1
  }

  get hasFree(): boolean {
    return this.free.length > 0
  }

  get isEmpty(): boolean {
    return this.free.length === 0 && this.places.isEmpty
  }

  take(): number {
    if (this.free.length > 0) return this.free.shift() as number
    const index = this.places.take()
    const group = this.groups.groupOf[index] as number
    return group === -1 ? index : this.begin(group)
  }

  /** Begins a group: nothing outside of it is waited for any more. */
  private begin(group: number): number {
    this.hasBegun[group] = 1
    const [first, ...others] = (this.groups.members[group] as ReadonlyArray<number>).filter((index) =>
      this.isReady[index] === 1
    )
    for (const other of others) this.free.push(other)
    return first as number // streams do not go in circles, so one of them reads none
  }

  release(ended: number): void {
    this.waits.ended(ended)
    this.places.release(ended)
  }

  opened(index: number): void {
    this.waits.opened(index)
  }

  started(index: number): void {
    const group = this.groups.groupOf[index] as number
    if (group === -1) return
    const running = (this.running[group] as number) + 1
    this.running[group] = running
    if (running > 1) this.withoutPlace++
  }

  ended(index: number): void {
    const group = this.groups.groupOf[index] as number
    if (group === -1) return
    const running = (this.running[group] as number) - 1
    this.running[group] = running
    if (running > 0) this.withoutPlace--
  }
}
