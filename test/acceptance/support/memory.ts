/**
 * The heap as it is after a collection, whatever flags the tests run with.
 */
import { setTimeout as wait } from "node:timers/promises"
import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"

const collector = (): () => void => {
  setFlagsFromString("--expose-gc")
  return runInNewContext("gc") as () => void
}

const collect = collector()

/** Lets what is under way come to rest, and collects everything that nobody holds. */
export const settle = async (): Promise<void> => {
  // Finalizers and weak references need turns of the event loop between collections.
  for (let turn = 0; turn < 3; turn++) {
    await wait(0)
    collect()
  }
}

/** The bytes in use on the heap, after a collection. */
export const heapInUse = async (): Promise<number> => {
  await settle()
  return process.memoryUsage().heapUsed
}

/** The bytes in use on the heap right now, after a collection that waits for nothing. */
export const heapNow = (): number => {
  collect()
  return process.memoryUsage().heapUsed
}

/** Knows how many of the objects that were shown to it are still held by somebody. */
export class Witness {
  private readonly seen: Array<WeakRef<object>> = []

  readonly see = <A extends object>(value: A): A => {
    this.seen.push(new WeakRef(value))
    return value
  }

  get shown(): number {
    return this.seen.length
  }

  get alive(): number {
    return this.seen.filter((reference) => reference.deref() !== undefined).length
  }
}
