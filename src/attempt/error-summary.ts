/**
 * Summarizes errors for events, logs and fallbacks: what an error itself says of it, never a cause, never its fields.
 */
import * as Cause from "effect/Cause"
import type * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import type { ErrorSummary } from "../Event.ts"

/** The tag, code and message of an error. */
export const errorSummaryOf = (error: unknown): ErrorSummary => {
  if (typeof error !== "object" || error === null) return { tag: typeof error, message: notShown(error) }
  const text = (key: string): string | undefined => {
    // A getter of the error may throw, which must not be taken for a failure of the engine.
    const value = Result.getOrUndefined(Result.try((): unknown => Reflect.get(error, key)))
    return typeof value === "string" ? value : undefined
  }
  const code = text("code")
  return {
    tag: text("_tag") ?? text("name") ?? "Error",
    ...(code === undefined ? {} : { code }),
    message: text("message") ?? ""
  }
}

/** Nobody said of a plain text that it may be shown: it is in the error and nowhere else. */
const notShown = (value: unknown): string =>
  value === null || value === undefined ? String(value) : `a plain ${typeof value}, which is not shown`

/** The summary of what an Effect failed with, its typed error if it has one. */
export const errorSummaryOfExit = (exit: Exit.Exit<unknown, unknown>): ErrorSummary | undefined =>
  exit._tag === "Success" ? undefined : errorSummaryOf(Option.getOrElse(
    Cause.findErrorOption(exit.cause),
    () => Cause.squash(exit.cause)
  ))

/** What a message says of an error that it tells of. */
export const messageOf = (error: unknown): string => {
  const { message, tag } = errorSummaryOf(error)
  if (typeof error !== "object" || error === null) return `a value of type ${tag}`
  return message === "" ? tag : `${tag}: ${message}`
}
