/**
 * Makes attributes of a span, without those that are not known.
 */

/** Attributes of OpenTelemetry. */
export interface Attributes {
  readonly [name: string]: string | number | boolean | ReadonlyArray<string>
}

type Value = Attributes[string] | undefined

export const known = (attributes: Readonly<Record<string, Value>>): Attributes =>
  Object.fromEntries(
    Object.entries(attributes).filter((entry): entry is [string, Attributes[string]] => entry[1] !== undefined)
  )
