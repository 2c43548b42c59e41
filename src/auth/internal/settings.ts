/**
 * Checks the settings of a verifier where they are given, before anything is built from them.
 *
 * What a token must say is a matter of who gets in, so values that no type allows are refused here as well: an issuer of
 * `null` from untyped code would accept a token whose issuer is `null`.
 */
import * as Duration from "effect/Duration"
import * as Predicate from "effect/Predicate"
import * as Result from "effect/Result"
import * as options from "../../internal/options.ts"
import { InvalidOption } from "../../StageError.ts"

/** What every token must say. */
export interface Expected {
  readonly issuer: ReadonlyArray<string>
  readonly audience: ReadonlyArray<string>
  readonly clockTolerance: Duration.Duration
}

const reject = (option: string, expected: string, given: string): never => {
  throw new InvalidOption({ option, expected, given })
}

const isText = (value: unknown): value is string => typeof value === "string" && value.trim() !== ""

const names = (option: string, given: unknown): ReadonlyArray<string> => {
  const values: ReadonlyArray<unknown> = Array.isArray(given) ? Array.from(given) : [given]
  if (values.length > 0 && values.every(isText)) return values
  return reject(option, "a text, or a list of at least one", values.length === 0 ? "none" : "something else")
}

/** Without an end a token that has expired would be good for ever, and a fetch would be waited for without end. */
const finite = (option: string, duration: Duration.Duration): Duration.Duration =>
  Duration.isFinite(duration) ? duration : reject(option, "a duration that ends", "one without end")

/** A duration longer than nothing, with an end. */
export const span = (option: string, given: Duration.Input): Duration.Duration =>
  finite(option, options.positiveDuration(option, given))

/** A duration with an end, which may be zero. */
export const spanOrZero = (option: string, given: Duration.Input): Duration.Duration =>
  finite(option, options.duration(option, given))

/** What every token must say, as a copy that nobody can change afterwards. */
export const expected = (
  given: { readonly issuer: unknown; readonly audience: unknown; readonly clockTolerance?: Duration.Input | undefined }
): Expected => {
  const { clockTolerance = "5 seconds" } = given
  return {
    issuer: names("issuer", given.issuer),
    audience: names("audience", given.audience),
    clockTolerance: spanOrZero("clockTolerance", clockTolerance)
  }
}

/** Some of the algorithms that are known, or all of them when left out. */
export const algorithms = <A extends string>(
  given: ReadonlyArray<A> | undefined,
  known: ReadonlyArray<A>
): ReadonlyArray<A> => {
  if (given === undefined) return known
  const isKnown = Array.isArray(given) && given.length > 0 && given.every((algorithm) => known.includes(algorithm))
  return isKnown ? [...given] : reject("algorithms", `a list of at least one of ${known.join(", ")}`, "another")
}

/** How many bytes something may have. */
export const bytes = (option: string, given: number): number =>
  Number.isSafeInteger(given) && given > 0 ? given : reject(option, "a whole number from 1", String(given))

/** The address of an issuer's keys. It may hold a secret, so that it is in no error. */
export const url = (given: unknown): URL => {
  const refuse = (what: string) => reject("url", "an address such as \"https://issuer/jwks\"", what)
  if (!Predicate.isString(given)) return refuse("no text")
  const parsed = Result.getOrElse(Result.try(() => new URL(given)), () => refuse("a text that is no URL"))
  if (parsed.protocol !== "https:" && parsed.protocol !== "http:") return refuse("one that is not of HTTP")
  // No request can be made to such an address.
  return parsed.username === "" && parsed.password === "" ? parsed : refuse("one with a user name or a password in it")
}
