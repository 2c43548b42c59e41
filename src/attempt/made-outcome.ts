/**
 * Reads an outcome that a stage made: everything in it once, and whether it is what its type says. The compiler rules out
 * what is found here; code without types can write it.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { constVoid } from "effect/Function"
import * as Predicate from "effect/Predicate"
import * as Result from "effect/Result"
import { isGenerator } from "../internal/generator.ts"
import { immutable } from "../internal/immutable.ts"
import {
  type Artifact,
  changedOk,
  changedSignal,
  type Emitted,
  noItems,
  type StageOutput
} from "../internal/output-model.ts"
import type { FieldProblem } from "../internal/problems.ts"
import { isNote } from "./note.ts"

/** Whether a value is what stages give as data: an object, and nothing that was forgotten to be waited for. */
export const isData = (value: unknown): value is object =>
  typeof value === "object" && value !== null && !Predicate.isPromiseLike(value) && !Effect.isEffect(value)
  && !isGenerator(value)

/** Hears what a promise rejects with that nobody will look at: unheard, it would end the process. */
const disregard = (promise: PromiseLike<unknown>): void => {
  Result.try(() => promise.then(undefined, constVoid))
}

/** What kind of value somebody gave where something else belongs. */
export const kindOf = (value: unknown): string => {
  if (value === undefined || value === null) return String(value)
  if (Effect.isEffect(value)) return "an Effect"
  if (Predicate.isPromiseLike(value)) {
    disregard(value)
    return "a Promise"
  }
  if (typeof value === "object") return isGenerator(value) ? "a generator" : "an object"
  return typeof value === "number" && Number.isNaN(value) ? "NaN" : `a ${typeof value}`
}

const advice: Readonly<Record<string, string>> = {
  "an Effect": " (did you forget yield* ?)",
  "a generator": " (did you forget yield* ?)",
  "a Promise": " (use Stage.promise, or Effect.tryPromise)"
}

/** What a stage gave that is no output, and what to do about it. */
export const whatItIs = (value: unknown): string => {
  const kind = kindOf(value)
  return `${kind}${advice[kind] ?? ""}`
}

type Path = FieldProblem["path"]

/** Reads one outcome, and notes what does not fit. What fits is there in any case. */
export class OutcomeReader {
  readonly problems: Array<FieldProblem> = []
  /** What was thrown while it was read. */
  thrown: unknown = undefined

  read(made: StageOutput): StageOutput | undefined {
    const output = this.guarded([], () => made._tag === "Ok" ? changedOk(made, {}) : changedSignal(made, {}))
    if (output === undefined) return undefined
    const { artifacts, events, version } = output
    if (version !== undefined && typeof version !== "string") this.note(["version"], "Expected a string")
    const items = { artifacts: this.artifacts(artifacts), events: this.events(events) }
    switch (output._tag) {
      case "Ok":
        if (!isData(output.data)) {
          this.note([], `Expected the data of StageOutput.ok to be an object, got ${whatItIs(output.data)}`)
        }
        return changedOk(output, items)
      case "Retry":
        if (output.after !== undefined && !Duration.isDuration(output.after)) {
          this.note(["after"], "Expected a duration of zero or more, such as \"5 seconds\"")
        }
        this.reason(output.reason)
        return changedSignal(output, { ...items, data: this.data(output.data) })
      case "Skip":
      case "Cancel":
        this.reason(output.reason)
        return changedSignal(output, { ...items, data: this.data(output.data) })
      case "Fail":
        return changedSignal(output, { ...items, data: this.data(output.data) })
      default:
        this.note(["_tag"], "Expected an outcome")
        return undefined
    }
  }

  private note(path: Path, message: string): undefined {
    this.problems.push({ path, message })
  }

  /** Anything can throw when it is looked at: a getter, a revoked Proxy. */
  private guarded<A>(path: Path, read: () => A): A | undefined {
    const result = Result.try(read)
    if (Result.isSuccess(result)) return result.success
    this.thrown ??= result.failure
    return this.note(path, "Threw when it was read (see `cause`)")
  }

  private reason(given: unknown): void {
    if (typeof given !== "string") this.note(["reason"], `Expected a string, got ${kindOf(given)}`)
  }

  private data(given: unknown): Readonly<Record<string, unknown>> {
    if (isData(given)) return given as Readonly<Record<string, unknown>> // an object has keys
    this.note(["data"], `Expected an object, got ${kindOf(given)}`)
    return {}
  }

  private artifacts(given: unknown): ReadonlyArray<Artifact> {
    return this.items("artifacts", given, (item: Artifact, path) => {
      const { payload, type } = item
      return this.isType(path, type) ? [Object.freeze({ type, payload: immutable(payload) })] : []
    })
  }

  private events(given: unknown): ReadonlyArray<Emitted> {
    return this.items("events", given, (item: Emitted, path) => {
      if (isNote(item)) return [item]
      const { data, type } = item
      return this.isType(path, type) ? [Object.freeze({ type, data: immutable(data) })] : []
    })
  }

  private isType(path: Path, type: unknown): type is string {
    if (typeof type === "string") return true
    this.note([...path, "type"], "Expected a string")
    return false
  }

  private items<A>(key: string, given: unknown, read: (item: A, path: Path) => ReadonlyArray<A>): ReadonlyArray<A> {
    if (given === noItems) return noItems
    const items = this.guarded([key], () => {
      if (!Array.isArray(given)) return this.note([key], "Expected a list")
      return Array.from(given as ReadonlyArray<unknown>).flatMap((item, at) => {
        if (typeof item !== "object" || item === null) return this.note([key, at], "Expected an object") ?? []
        return this.guarded([key, at], () => read(item as A, [key, at])) ?? []
      })
    })
    return items === undefined ? noItems : Object.freeze(items)
  }
}
