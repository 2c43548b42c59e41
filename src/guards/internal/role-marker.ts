/**
 * Finds the marks of the turns of a conversation: whoever pastes them wants to be read as somebody else.
 *
 * | form | examples |
 * |---|---|
 * | special tokens | `<|im_start|>`, `<|system|>`, `<|eot_id|>` |
 * | tags | `<system>`, `</assistant>`, `<<SYS>>`, `<start_of_turn>`, `[INST]`, `[system message]` |
 * | a role at the start of a line | `Assistant:`, `### System:`, `System: you ...` |
 * | a role in JSON | `"role": "system"` |
 *
 * `System:` alone at the start of a line is how people describe their computer. It counts after `#`, or before a word
 * that speaks to a model.
 */
import type { Finding } from "../Finding.ts"
import type { Meter } from "../Meter.ts"
import { isWordCharacter } from "./words.ts"

type Span = readonly [start: number, end: number]

/** Names, with commas between them. */
const setOf = (names: string): ReadonlySet<string> => new Set(names.split(", "))

const angled = setOf(
  "system, system_prompt, system-prompt, sys, assistant, developer, start_of_turn, end_of_turn, im_start, im_end"
)
const bracketed = setOf("inst, sys, system, system prompt, system message")

const longestName = 40

const isNameCharacter = (character: string): boolean => isWordCharacter(character) || " _-/".includes(character)

/** What stands here as a name, up to a length: a longer one is none. */
const nameAt = (text: string, start: number, meter: Meter): string => {
  let end = start
  while (end < text.length && end - start < longestName && isNameCharacter(text.charAt(end))) end++
  meter.steps += end - start + 1
  return text.slice(start, end)
}

const tokenAt = (text: string, start: number, meter: Meter): Span | undefined => {
  if (!text.startsWith("<|", start)) return undefined
  const name = nameAt(text, start + 2, meter)
  const end = start + 2 + name.length
  return name.trim() !== "" && text.startsWith("|>", end) ? [start, end + 2] : undefined
}

const tagAt = (
  text: string,
  start: number,
  { close, names, open }: { readonly open: string; readonly close: string; readonly names: ReadonlySet<string> },
  meter: Meter
): Span | undefined => {
  if (!text.startsWith(open, start)) return undefined
  const isDouble = text.startsWith(open, start + 1)
  const from = start + (isDouble ? 2 : 1)
  const name = nameAt(text, from, meter)
  const end = from + name.length
  if (!text.startsWith(close, end) || !names.has(name.replace("/", "").trim())) return undefined
  return [start, end + (isDouble && text.startsWith(close, end + 1) ? 2 : 1)]
}

const tags = { open: "<", close: ">", names: angled }
const brackets = { open: "[", close: "]", names: bracketed }

// ---------------------------------------------------------------------------------------------------------------------
// a role at the start of a line
// ---------------------------------------------------------------------------------------------------------------------

const roles = setOf(
  "assistant, human, system prompt, system message, system override, new instructions, new system prompt"
)
const rolesOfHeadings = new Set([...roles, "system", "developer", "instruction", "user"])
const rolesThatSpeak = new Set(["system", "developer"])

const speaking = setOf(
  "you, your, ignore, disregard, forget, override, reveal, new, from, act, always, never, do, don, must, respond, answer"
)

// What a line may start with, such as the marks of Markdown.
const decorations = " \t>*_"

/** Where these characters end. */
const skip = (text: string, start: number, characters: string, meter: Meter): number => {
  let end = start
  while (end < text.length && characters.includes(text.charAt(end))) end++
  meter.steps += end - start + 1
  return end
}

const nextWord = (text: string, start: number, meter: Meter): string => {
  const from = skip(text, start, " \t\n\r*_\"'", meter)
  const name = nameAt(text, from, meter)
  return name.split(" ", 1)[0] ?? ""
}

const lineAt = (text: string, start: number, meter: Meter): Span | undefined => {
  const heading = skip(text, start, decorations, meter)
  const behind = skip(text, heading, "#", meter)
  const isHeading = behind > heading
  const from = isHeading ? skip(text, behind, decorations, meter) : behind
  const name = nameAt(text, from, meter)
  const colon = skip(text, from + name.length, "*", meter)
  if (text.charAt(colon) !== ":") return undefined
  const role = name.replaceAll("_", " ").trim()
  const isRole = isHeading ? rolesOfHeadings.has(role) : roles.has(role)
  const speaks = (): boolean => rolesThatSpeak.has(role) && speaking.has(nextWord(text, colon + 1, meter))
  return isRole || speaks() ? [isHeading ? heading : from, colon + 1] : undefined
}

// ---------------------------------------------------------------------------------------------------------------------
// a role in JSON
// ---------------------------------------------------------------------------------------------------------------------

const quotes = "\"'"
const rolesOfMessages = new Set(["system", "assistant", "developer", "tool"])

const memberAt = (text: string, start: number, meter: Meter): Span | undefined => {
  const quote = text.charAt(start)
  if (!quotes.includes(quote) || !text.startsWith(`role${quote}`, start + 1)) return undefined
  const colon = skip(text, start + 6, " \t\n\r", meter)
  if (text.charAt(colon) !== ":") return undefined
  const from = skip(text, colon + 1, " \t\n\r", meter)
  const name = nameAt(text, from + 1, meter)
  const end = from + 1 + name.length
  const isQuoted = quotes.includes(text.charAt(from)) && text.charAt(from) === text.charAt(end)
  return isQuoted && rolesOfMessages.has(name) ? [start, end + 1] : undefined
}

const markerAt = (text: string, index: number, isLineStart: boolean, meter: Meter): Span | undefined => {
  const character = text.charAt(index)
  const marker = character === "<"
    ? tokenAt(text, index, meter) ?? tagAt(text, index, tags, meter)
    : character === "["
    ? tagAt(text, index, brackets, meter)
    : character === "\"" || character === "'"
    ? memberAt(text, index, meter)
    : undefined
  return marker ?? (isLineStart ? lineAt(text, index, meter) : undefined)
}

const lineBreaks = "\n\r\v\f\u0085"

/** Finds role markers in a normalised text. */
export const findRoleMarkers = (text: string, meter: Meter): ReadonlyArray<Finding<"role-marker">> => {
  const findings: Array<Finding<"role-marker">> = []
  let isLineStart = true
  for (let index = 0; index < text.length; index++) {
    meter.steps++
    const marker = markerAt(text, index, isLineStart, meter)
    if (marker !== undefined) findings.push({ kind: "role-marker", start: marker[0], end: marker[1] })
    const character = text.charAt(index)
    isLineStart = lineBreaks.includes(character)
  }
  return findings
}
