/**
 * Tells when a queue comes under pressure and when that is over: from the high water mark until it has drained to the low
 * one, so that a queue that is about full does not tell it with every chunk.
 */
import type { Tell } from "./listener.ts"

export class Pressure {
  private readonly capacity: number
  private readonly begins: number
  private readonly ends: number
  private readonly tell: Tell
  private isOn = false

  constructor(
    marks: { readonly capacity: number; readonly highWater: number; readonly lowWater: number },
    tell: Tell
  ) {
    this.capacity = marks.capacity
    this.begins = Math.max(1, Math.ceil(marks.capacity * marks.highWater))
    this.ends = Math.min(this.begins - 1, Math.floor(marks.capacity * marks.lowWater))
    this.tell = tell
  }

  /** So many wait now. */
  at(size: number): void {
    if (this.isOn ? size > this.ends : size < this.begins) return
    this.isOn = !this.isOn
    const fillPercentage = Math.round((size / this.capacity) * 100)
    this.tell({ _tag: this.isOn ? "ThrottleStarted" : "ThrottleEnded", fillPercentage, size })
  }
}
