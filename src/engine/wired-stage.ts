/**
 * Reads a stage and its wiring as somebody gave them, each part once. What does not fit is noted and not thrown: a
 * pipeline says everything that is wrong with it at once.
 */
import * as Result from "effect/Result"
import { shown } from "../internal/options.ts"
import { define } from "../internal/record.ts"
import { type Any as AnySource, isSource } from "../Source.ts"
import { type Any as AnyStage, isStage } from "../Stage.ts"

/** How one stage is wired. */
export interface Wiring {
  readonly after: ReadonlyArray<string>
  readonly when: AnySource | undefined
  /** Inputs by stage name (`"profile?"` reads an Option), or from sources, or none. */
  readonly inputs: ReadonlyArray<string> | Readonly<Record<string, AnySource>> | undefined
}

/** Something that is wrong with what was given. */
export interface Fault {
  readonly code: "INVALID_STAGE" | "INVALID_NAME" | "INVALID_WIRING"
  /** Whether it is not about a stage but about the pipeline. */
  readonly isGeneral?: true
  /** What comes after the stage, or the pipeline, in a sentence. */
  readonly says: string
  readonly fix: string
}

/** A stage and as much of its wiring as fits. */
export interface WiredStage {
  readonly stage: AnyStage
  readonly wiring: Wiring
  /** Whether everything that is added after it waits for it. */
  readonly isGate?: true
  readonly faults: ReadonlyArray<Fault>
}

/** Given as a stage, but none that could have a place in a pipeline. */
export interface NoStage {
  readonly stage: undefined
  readonly faults: ReadonlyArray<Fault>
}

export const unwired: Wiring = { after: [], when: undefined, inputs: undefined }

const noFaults: ReadonlyArray<Fault> = []

const noStage = (...faults: ReadonlyArray<Fault>): NoStage => ({ stage: undefined, faults })

const isObject = (given: unknown): given is object => typeof given === "object" && given !== null

/** Whether a value is an object of named things, and not a list, a source, a Map or a Promise. */
const isRecord = (given: unknown): given is Readonly<Record<string, unknown>> => {
  if (!isObject(given)) return false
  const prototype: unknown = Object.getPrototypeOf(given)
  return prototype === null || Object.getPrototypeOf(prototype) === null
}

const parts = ["after", "inputs", "when"] as const

type Part = typeof parts[number]

/** Whether a value can be read as an object of these keys. One that was made otherwise than by a literal has one of them. */
const isOf = (keys: ReadonlyArray<string>, given: unknown): given is object =>
  isRecord(given) || (isObject(given) && keys.some((key) => key in given))

/** Reads one wiring, and notes what does not fit. */
class WiringReader {
  private found: Array<Fault> | undefined = undefined

  get faults(): ReadonlyArray<Fault> {
    return this.found ?? noFaults
  }

  private note(says: string, fix: string): void {
    ;(this.found ??= []).push({ code: "INVALID_WIRING", says: `is wired wrong: ${says}`, fix })
  }

  /** `also` is what else there may be beside the wiring. */
  read(given: unknown, also: ReadonlyArray<string>): Wiring {
    const known: ReadonlyArray<string> = [...parts, ...also]
    const keys = Result.try(() => isOf(known, given) ? Object.keys(given) : undefined)
    if (Result.isFailure(keys)) return this.noWiring("cannot be read: it throws")
    if (keys.success === undefined) {
      const found = shown(given)
      return this.noWiring(found === "an object" ? "is an object that has none of these" : `is ${found}`)
    }
    for (const key of keys.success) {
      if (!known.includes(key)) this.note(`there is no ${shown(key)}`, `Write one of ${known.join(", ")}.`)
    }
    const record = given as Readonly<Record<Part, unknown>> // it has keys
    return {
      after: this.part(record, "after", (after) => this.names("after", after)) ?? [],
      when: this.part(record, "when", (when) => this.source("when", when)),
      inputs: this.part(record, "inputs", (inputs) => this.inputs(inputs))
    }
  }

  private noWiring(found: string): Wiring {
    this.note(`the wiring ${found}`, `Give an object with ${parts.join(", ")}.`)
    return unwired
  }

  /** One part of a wiring. Anything can throw when it is looked at: a getter, a revoked Proxy. */
  private part<A>(given: Readonly<Record<Part, unknown>>, key: Part, read: (value: unknown) => A): A | undefined {
    const result = Result.try(() => {
      const value = given[key]
      return value === undefined ? undefined : read(value)
    })
    if (Result.isSuccess(result)) return result.success
    this.note(`"${key}" cannot be read: it throws`, "Give plain data.")
    return undefined
  }

  private names(part: Part, given: unknown): ReadonlyArray<string> {
    if (!Array.isArray(given)) {
      const fix = typeof given === "string" ? `Write [${shown(given)}].` : "Give a list of names."
      this.note(`"${part}" is ${shown(given)}, not a list of names`, fix)
      return []
    }
    return Array.from(given as ReadonlyArray<unknown>).flatMap((name, index) => {
      if (typeof name === "string") return [name]
      this.note(`"${part}.${index}" is ${shown(name)}, not a name`, "Give the name of a stage.")
      return []
    })
  }

  private source(place: string, given: unknown): AnySource | undefined {
    if (isSource(given)) return given
    this.note(
      `"${place}" is ${shown(given)}, not a source`,
      "Give a source, such as s.profile or Source.stage(\"profile\")."
    )
    return undefined
  }

  private inputs(given: unknown): Wiring["inputs"] {
    if (Array.isArray(given) || typeof given === "string") return this.names("inputs", given)
    if (!isRecord(given)) {
      const found = isSource(given) ? "a source" : shown(given)
      this.note(`"inputs" is ${found}, not names or named sources`, "Give a list of names, or an object of sources.")
      return undefined
    }
    const sources: Record<string, AnySource> = {}
    for (const [key, value] of Object.entries(given)) {
      const source = this.source(`inputs.${key}`, value)
      if (source !== undefined) define(sources, key, source)
    }
    return sources
  }
}

/** What keeps a value from being a stage of a pipeline. */
const faultOfStage = (given: unknown): Fault | undefined => {
  if (!isStage(given)) {
    const fix = "Make it with Stage.make or one of the six kinds."
    return { code: "INVALID_STAGE", says: `is no stage: it is ${shown(given)}`, fix }
  }
  return typeof given.name === "string"
    ? undefined
    : { code: "INVALID_NAME", says: `has a name that is no string: it is ${shown(given.name)}`, fix: "Give it a name." }
}

const unreadable: Fault = { code: "INVALID_STAGE", says: "cannot be read: it throws", fix: "Give plain data." }

const readFault = (stage: unknown): Fault | undefined =>
  Result.getOrElse(Result.try(() => faultOfStage(stage)), () => unreadable)

/** Reads a stage that waits for nothing. */
export const unwiredStage = (stage: unknown): WiredStage | NoStage => {
  const fault = readFault(stage)
  return fault === undefined
    ? { stage: stage as AnyStage, wiring: unwired, faults: noFaults } // nothing keeps it from being one
    : noStage(fault)
}

/** Reads a stage and its wiring; `also` is what else there may be beside the wiring. */
export const wiredStage = (stage: unknown, given: unknown, also: ReadonlyArray<string> = []): WiredStage | NoStage => {
  const fault = readFault(stage)
  const reader = new WiringReader()
  const wiring = reader.read(given, also)
  return fault === undefined
    ? { stage: stage as AnyStage, wiring, faults: reader.faults } // nothing keeps it from being one
    : noStage(fault, ...reader.faults)
}

/** Reads one stage of a pipeline that comes from data. */
const wiredSpec = (spec: unknown): WiredStage | NoStage => {
  if (!isObject(spec) || Array.isArray(spec) || isStage(spec)) {
    const says = `is no spec: it is ${isStage(spec) ? "a stage" : shown(spec)}`
    return noStage({ code: "INVALID_STAGE", says, fix: "Write { stage, after, inputs, when }." })
  }
  return wiredStage((spec as { readonly stage?: unknown }).stage, spec, ["stage"])
}

const noList = (given: unknown): NoStage =>
  noStage({
    code: "INVALID_STAGE",
    isGeneral: true,
    says: `has no list of specs: it is ${shown(given)}`,
    fix: "Give a list."
  })

const noName = (given: unknown): NoStage =>
  noStage({
    code: "INVALID_NAME",
    isGeneral: true,
    says: `has a name that is no string: it is ${shown(given)}`,
    fix: "Give it a name."
  })

const listOf = (specs: unknown): ReadonlyArray<unknown> | undefined =>
  // From a list with holes come values that are undefined, which are no specs.
  Result.getOrElse(Result.try(() => Array.isArray(specs) ? Array.from(specs) : undefined), () => undefined)

/** Reads the name and the stages of a pipeline that comes from data. */
export const wiredSpecs = (name: unknown, specs: unknown): ReadonlyArray<WiredStage | NoStage> => {
  const entries =
    listOf(specs)?.map((spec) => Result.getOrElse(Result.try(() => wiredSpec(spec)), () => noStage(unreadable))) ??
      [noList(specs)]
  return typeof name === "string" ? entries : [...entries, noName(name)]
}
