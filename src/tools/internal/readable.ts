/**
 * Writes what a tool would be given as a person reads it: a line for each field, and nothing that cannot be seen.
 */
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
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

const isBranch = (value: unknown): value is object =>
  typeof value === "object" && value !== null && !Redacted.isRedacted(value) && Object.keys(value).length > 0

const textOf = (value: unknown): string => {
  if (typeof value === "string") return shown(value)
  if (Redacted.isRedacted(value)) return "<redacted>"
  // What has no JSON is none of ours to read.
  return shown(typeof value === "object" ? JSON.stringify(value) ?? "" : String(value))
}

const collect = (value: unknown, name: string, into: Array<Line>): void => {
  if (into.length > mostLines) return
  if (!isBranch(value)) {
    into.push({ name: visible(name), value: textOf(value) })
    return
  }
  for (const [key, part] of Object.entries(value)) collect(part, name === "" ? key : `${name}.${key}`, into)
}

/** The values of a schema as JSON, where they have one. */
export const jsonOf = (schema: Schema.Top, value: unknown): Effect.Effect<Schema.Json | undefined> =>
  Effect.suspend(() => {
    // What a tool takes and gives is encoded without services: see `Tool.Options`.
    const json = Schema.toCodecJson(schema as unknown as Schema.Codec<unknown>)
    return Schema.encodeUnknownEffect(json)(value)
  }).pipe(
    Effect.map((encoded): Schema.Json | undefined => encoded === undefined ? null : encoded),
    // A secret has no JSON, and a schema's own code can throw.
    Effect.catchCause(() => Effect.undefined)
  )

/** The parameters of a tool as a person reads them. */
export const linesOf = (json: Schema.Json | undefined, parameters: unknown): ReadonlyArray<Line> => {
  const lines: Array<Line> = []
  collect(json ?? parameters, "", lines)
  if (lines.length <= mostLines) return lines
  return [...lines.slice(0, mostLines), { name: "...", value: "and more fields, which are not shown" }]
}
