/**
 * Writes what a tool would be given as a person reads it: a line for each field, and nothing that cannot be seen.
 */
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"

/** A field and its value. */
interface Line {
  readonly name: string
  readonly value: string
}

/** A value is shown up to here; what it is longer is said. */
const longestValue = 2_000
/** So many fields are shown; how many more there are is said. */
const mostLines = 200

/** What moves the cursor, turns text around or cannot be seen: somebody could be shown something else than there is. */
const unseen = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Co}\p{Cn}]/gu

/** The same text with every character that cannot be seen written out; line breaks stay. */
export const visible = (text: string): string =>
  text.replaceAll(
    unseen,
    (character) => character === "\n" ? character : `\\u{${(character.codePointAt(0) ?? 0).toString(16)}}`
  )

/** A text up to a length, without half a character at its end. */
export const beginning = (text: string, length: number): string => {
  const last = text.charCodeAt(length - 1)
  return text.slice(0, last >= 0xd800 && last <= 0xdbff ? length - 1 : length)
}

const shown = (text: string): string => {
  const all = visible(text)
  return all.length <= longestValue ? all : `${beginning(all, longestValue)}... (${text.length} characters)`
}

/** An object or a list, and nothing that has a form of its own. */
const isBranch = (value: unknown): value is object => {
  if (typeof value !== "object" || value === null) return false
  const prototype: unknown = Object.getPrototypeOf(value)
  return prototype === Object.prototype || prototype === Array.prototype || prototype === null
}

/** Whether there is a secret anywhere in a value. The JSON of its schema would tell it. */
const holdsSecret = (value: unknown, depth = 0): boolean => {
  if (typeof value !== "object" || value === null || depth > deepest) return false
  return Redacted.isRedacted(value) || Object.values(value).some((part) => holdsSecret(part, depth + 1))
}

/** Values are looked into this deep. */
const deepest = 100

/** What `JSON.stringify` makes of a value, which shows no secret. */
const plainText = (value: unknown): string =>
  Result.getOrElse(Result.try(() => JSON.stringify(value)), () => undefined) ?? String(typeof value)

const textOf = (value: unknown): string =>
  shown(typeof value === "string" ? value : typeof value === "object" ? plainText(value) : String(value))

const collect = (value: unknown, name: string, into: Array<Line>): void => {
  if (into.length > mostLines) return
  const parts = isBranch(value) ? Object.entries(value) : []
  if (parts.length === 0 || name.length > longestValue) {
    into.push({ name: visible(name), value: Redacted.isRedacted(value) ? "<redacted>" : textOf(value) })
    return
  }
  for (const [key, part] of parts) collect(part, name === "" ? key : `${name}.${key}`, into)
}

/** The values of a schema as JSON, where they have one. What is secret in them is not shown. */
export const jsonOf = (schema: Schema.Top, value: unknown): Effect.Effect<Schema.Json | undefined> =>
  Effect.suspend(() => {
    if (holdsSecret(value)) return Effect.sync(() => JSON.parse(plainText(value)) as unknown)
    // What a tool takes and gives is encoded without services: see `Tool.Options`.
    const json = Schema.toCodecJson(schema as unknown as Schema.Codec<unknown>)
    return Schema.encodeUnknownEffect(json)(value)
  }).pipe(
    // It is the codec's JSON, or what `JSON.parse` gave.
    Effect.map((encoded): Schema.Json | undefined => encoded === undefined ? null : encoded as Schema.Json),
    // A schema's own code can throw.
    Effect.catchCause(() => Effect.undefined)
  )

/** The parameters of a tool as a person reads them. */
export const linesOf = (parameters: unknown): ReadonlyArray<Line> => {
  const lines: Array<Line> = []
  collect(parameters, "", lines)
  if (lines.length <= mostLines) return lines
  return [...lines.slice(0, mostLines), { name: "...", value: "and more fields, which are not shown" }]
}
