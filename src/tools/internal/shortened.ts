/**
 * Writes what a tool gave, or why it gave nothing, as text for a model: up to a limit, and with what was cut said.
 */
import * as Cause from "effect/Cause"
import * as Option from "effect/Option"
import { errorSummaryOf } from "../../attempt/error-summary.ts"
import type { ErrorSummary } from "../../Event.ts"
import { StageFault } from "../../StageError.ts"
import { beginning } from "./readable.ts"

/** So much of a result is shown to a model where nobody says otherwise. */
export const mostCharacters = 16_000

/** How much of a text is shown. */
export interface Cut {
  readonly shown: number
  readonly of: number
}

/** A text for a model, and what was cut of it. */
export interface Content {
  readonly content: string
  readonly cut: Cut | undefined
}

export const contentOf = (text: string, limit: number): Content => {
  if (text.length <= limit) return { content: text, cut: undefined }
  const shown = beginning(text, limit)
  const said = `\n[Cut: ${shown.length} of ${text.length} characters are shown]`
  return { content: `${shown}${said}`, cut: { shown: shown.length, of: text.length } }
}

/** What a cause says went wrong: a typed error, if there is one. */
export const errorIn = (cause: Cause.Cause<unknown>): unknown =>
  Option.getOrElse(Cause.findErrorOption(cause), () => Cause.squash(cause))

/** What a model may know of an error: what a typed error says itself, and of everything else only that there was one. */
export const summaryFor = (tool: string, error: unknown): ErrorSummary => {
  const summary = errorSummaryOf(error)
  // Where in the program something went wrong is nobody's business.
  const isOurs = error instanceof StageFault || summary.tag === "Error" || !(error instanceof Error)
  return isOurs ? { tag: "ToolFault", message: `Tool "${tool}" could not do its work` } : summary
}

export const errorText = ({ message, tag }: ErrorSummary): string => message === "" ? tag : `${tag}: ${message}`
