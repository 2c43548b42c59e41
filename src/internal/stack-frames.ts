/**
 * Reads from the stack of an error where it was thrown: the frames of the program, without those of the runtime, of Effect
 * and of this package.
 */
import * as Result from "effect/Result"

/** One frame of a stack. */
export interface Frame {
  /** The function, as the runtime calls it; empty at the top of a module. */
  readonly name: string
  /** The file, as it is written in the stack, with line and column. */
  readonly place: string
}

/** `at name (file:line:column)`, or `at file:line:column`. */
const line = /^\s+at (?:(?<name>.+?) \()?(?:async )?(?<place>[^\s()]+(?: [^\s()]+)*:\d+:\d+)\)?$/

const withoutScheme = (place: string): string => place.replace(/^file:\/\//, "").replaceAll("\\", "/")

const isLibrary = /\/node_modules\/(?:effect|@effect\/[^/]+|stageflow)\//

/** The folder that the modules of this package are in: `src` or `dist`. */
const ownFolder = withoutScheme(new URL("../", import.meta.url).href)

const isOfProgram = ({ place }: Frame): boolean => {
  const file = withoutScheme(place)
  return !place.startsWith("node:") && !isLibrary.test(file) && !file.startsWith(ownFolder)
}

const textOf = (error: unknown, key: "stack" | "message"): string => {
  // A getter of an error may throw, and says nothing then.
  const value = Result.getOrUndefined(
    Result.try((): unknown => typeof error === "object" && error !== null ? Reflect.get(error, key) : undefined)
  )
  return typeof value === "string" ? value : ""
}

/** The frames of the program, the innermost first. A message that looks like a frame is none. */
export const framesOf = (error: unknown): ReadonlyArray<Frame> => {
  const stack = textOf(error, "stack")
  const message = textOf(error, "message")
  const start = message === "" ? 0 : Math.max(0, stack.indexOf(message)) + message.length
  return stack.slice(start).split("\n").flatMap((text) => {
    const { name = "", place } = line.exec(text)?.groups ?? {}
    return place === undefined ? [] : [{ name, place }]
  }).filter(isOfProgram)
}

/** A frame as a stack shows it. */
export const formatFrame = ({ name, place }: Frame): string => name === "" ? place : `${name} (${place})`

/** A frame for whom the rest of the disk is none of his business: `charge (src/checkout.ts:12:5)`. */
export const shortFrame = ({ name, place }: Frame): string =>
  formatFrame({ name, place: withoutScheme(place).split("/").slice(-2).join("/") })
