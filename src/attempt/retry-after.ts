/**
 * Reads how long an error asks to be left alone, in the forms in which services say so.
 */
import * as Duration from "effect/Duration"
import * as Option from "effect/Option"

const seconds = /^\d+(?:\.\d+)?$/

/** The three forms of a date in HTTP. That of asctime has no zone; it is always GMT. */
const httpDate = /^(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)[a-z]*,? [\w -]+ \d\d:\d\d:\d\d (?:GMT|\d{4})$/

/** `NaN` when there is no such time. */
const timeOf = (text: string): number => Date.parse(text.endsWith("GMT") ? text : `${text} GMT`)

/** The milliseconds that are asked for, if any: what cannot be read is `NaN`. */
const millisOf = (asked: unknown, now: number): number => {
  if (typeof asked === "number") return asked * 1000
  if (Duration.isDuration(asked)) return Duration.toMillis(asked)
  if (asked instanceof Date) return asked.getTime() - now
  if (typeof asked !== "string") return Number.NaN
  if (seconds.test(asked)) return Number(asked) * 1000
  if (httpDate.test(asked)) return timeOf(asked) - now
  return Option.match(Duration.fromInput(asked as Duration.Input), {
    onNone: () => Number.NaN,
    onSome: Duration.toMillis
  })
}

/**
 * The wait that a `retryAfter` asks for: a `Duration` or its text (`"5 seconds"`), a number of seconds, a `Date`, or what
 * an HTTP header `Retry-After` has, seconds or a date. Anything else asks for nothing.
 */
export const waitAskedBy = (retryAfter: unknown, now: number): Duration.Duration => {
  const millis = millisOf(retryAfter, now)
  return millis > 0 ? Duration.millis(millis) : Duration.zero
}
