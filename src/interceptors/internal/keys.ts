/**
 * Reads keys: of the stage that runs, and at once, for interceptors that read one for each stage.
 */
import { constVoid } from "effect/Function"
import * as Predicate from "effect/Predicate"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { RefusalTypeId } from "../../internal/refusal.ts"
import type { StageContext } from "../../StageContext.ts"

/**
 * Makes a key from the context of a running stage.
 */
export type Key = (context: StageContext["Service"]) => string

/**
 * A key function threw or gave no text, so what it protects did not run.
 */
export class KeyFailed extends Schema.TaggedError<KeyFailed>()("KeyFailed", {
  interceptor: Schema.String,
  stage: Schema.String,
  defect: Schema.Defect()
}) {
  readonly code = "KEY_FAILED"
  readonly [RefusalTypeId] = true
  override get message(): string {
    return `Stage "${this.stage}" did not run: the interceptor "${this.interceptor}" could not compute its key `
      + `(see \`defect\`)`
  }
}

/** Keys that depend on the tenant, the pipeline and the stage alone. */
const keysOfPlace = new WeakSet<Key>()

/** A key that depends on the tenant, the pipeline and the stage alone: it need not be made anew for each run. */
export const keyOfPlace = (key: Key): Key => {
  keysOfPlace.add(key)
  return key
}

// A key that is not text would be the same for everyone whose key is not text.
const checked = (key: unknown): string => {
  if (typeof key === "string") return key
  // An async function is not a key; what it rejects with is nobody's to hear.
  if (Predicate.isPromiseLike(key)) key.then(undefined, constVoid)
  throw new TypeError(`A key must be text, not ${key === null ? "null" : `a value of type ${typeof key}`}`)
}

/** Reads the key of a running stage, or says that there is none. */
export type KeyReader = (context: StageContext["Service"]) => string | KeyFailed

/** The place that a key was read for last. */
interface Place {
  readonly orgId: string | undefined
  readonly pipeline: string
  readonly stage: string
  readonly key: string
}

/** What reads a key for one interceptor around one stage. */
export const keyReader = (interceptor: string, key: Key): KeyReader => {
  const dependsOnPlace = keysOfPlace.has(key)
  let last: Place | undefined
  return (context) => {
    const { identity: { orgId }, pipeline, stage } = context
    if (last !== undefined && last.orgId === orgId && last.pipeline === pipeline && last.stage === stage) {
      return last.key
    }
    const read = Result.try(() => checked(key(context)))
    if (Result.isFailure(read)) return new KeyFailed({ interceptor, stage, defect: read.failure })
    if (dependsOnPlace) last = { orgId, pipeline, stage, key: read.success }
    return read.success
  }
}
