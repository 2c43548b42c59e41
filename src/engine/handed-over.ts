/**
 * Reads what a stage hands over besides its data: once, and into immutable copies, so that a getter or a Proxy in it tells
 * everybody the same.
 */
import { immutable } from "../internal/immutable.ts"
import * as options from "../internal/options.ts"
import type { Artifact, Emitted } from "../internal/output-model.ts"
import type { Progress } from "../StageContext.ts"

const checkedType = (what: string, type: unknown): string => {
  if (typeof type === "string") return type
  throw new TypeError(
    `The type of ${what} is a string, not ${type === null ? "null" : `a value of type ${typeof type}`}`
  )
}

/** An event of the stage's own; throws when it is none or cannot be read. */
export const readEmitted = (type: string, data: unknown): Emitted =>
  Object.freeze({ type: checkedType("an event", type), data: immutable(data) })

/** An artifact; throws when it is none or cannot be read. */
export const readArtifact = ({ payload, type }: Artifact): Artifact =>
  Object.freeze({ type: checkedType("an artifact", type), payload: immutable(payload) })

const progressNames: ReadonlyArray<keyof Progress> = ["done", "total"]

/** How far a stage says that it has come; throws when that cannot be. */
export const readProgress = (given: Progress): Progress => {
  const { done, total } = options.fields("progress", progressNames, given)
  const checked = options.count("progress.done", done as number) // whatever it is, it is looked at
  if (total === undefined) return { done: checked }
  return { done: options.atMost("progress.done", checked, options.count("progress.total", total)), total }
}
