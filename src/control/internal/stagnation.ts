/**
 * Tells whether something that is made over and over again comes out the same, by a fingerprint of its data.
 */
import * as Result from "effect/Result"
import { fingerprint } from "../../internal/fingerprint.ts"
import * as options from "../../internal/options.ts"

/**
 * What of a value is compared: some of its fields, or what a function makes of it. The order of keys says nothing.
 */
export type Fingerprint<A> = ReadonlyArray<keyof A & string> | ((value: A) => unknown)

/**
 * Compares values. A value that does not show what it holds (a function, an instance without fields, one that contains
 * itself) has none, and is the same as no other.
 */
export type FingerprintOf = (value: unknown) => string | undefined

const fieldOf = (value: unknown, field: string): unknown =>
  typeof value === "object" && value !== null && Object.hasOwn(value, field) ? Reflect.get(value, field) : undefined

const partOf = (given: Fingerprint<never> | undefined): (value: unknown) => unknown => {
  if (given === undefined) return (value) => value
  // The signatures say what it is a function of.
  if (typeof given === "function") return given as (value: unknown) => unknown
  const fields = options.names("fingerprint", given)
  options.positiveCount("fingerprint.length", fields.length)
  return (value) => fields.map((field) => fieldOf(value, field))
}

/** Reads the option that says what is compared; everything when it is left out. */
export const fingerprintOf = (given: Fingerprint<never> | undefined): FingerprintOf => {
  const part = partOf(given)
  // What a function of the user's throws is a defect of the stage; what cannot be looked into is new.
  return (value) => {
    const compared = part(value)
    return Result.getOrUndefined(Result.try(() => fingerprint(compared)))
  }
}

/** How often in a row the same is once too often: from 2. */
export const timesOf = (given = 2): number => {
  const isFromTwo = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 2
  return options.ofKind("times", "a whole number from 2", isFromTwo, given)
}

/** Remembers the latest of several values, as long as they may be part of something that repeats. */
export class Turns {
  private readonly seen: Array<string | undefined> = []
  private readonly times: number
  private readonly period: number

  constructor(times: number, period: number) {
    this.times = times
    this.period = period
  }

  /** Adds a value, and says how long the turn is that has now come `times` times in a row: 2 for A B A B. */
  add(fingerprint: string | undefined): number | undefined {
    this.seen.push(fingerprint)
    if (this.seen.length > this.times * this.period) this.seen.shift()
    for (let period = 1; period <= this.period; period++) {
      if (this.repeats(period)) return period
    }
    return undefined
  }

  private repeats(period: number): boolean {
    const first = this.seen.length - period * this.times
    if (first < 0) return false
    for (let index = this.seen.length - 1; index >= first + period; index--) {
      const fingerprint = this.seen[index]
      if (fingerprint === undefined || fingerprint !== this.seen[index - period]) return false
    }
    return true
  }
}
