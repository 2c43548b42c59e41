/**
 * Writes values of runs for the run log: as JSON, or as a note that says why not.
 *
 * What has a schema goes through it. A value that holds something which is not to be kept, a `Redacted` or a field that the
 * policy names, is written as a log shows it, with a mask in those places: no schema is asked, since it could turn a secret
 * into text.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Formatter from "effect/Formatter"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import type { Event } from "../../Event.ts"
import type { Settled } from "../../internal/output-model.ts"
import { describeProblems, type FieldProblem } from "../../internal/problems.ts"
import { define } from "../../internal/record.ts"
import { contentJson, toJson } from "./event-json.ts"
import type { NotKeptReason } from "./record-model.ts"
import { mask, redacted } from "./redacted.ts"

/** Which part of a run a field is in. */
export type Part = "snapshot" | "input" | "output" | "artifact" | "event" | "error" | "call"

/** A field of a value that is to be kept. */
export interface Field {
  readonly pipeline: string
  /** The stage; `undefined` for a part of the run itself. */
  readonly stage: string | undefined
  readonly part: Part
  readonly path: ReadonlyArray<string | number>
  readonly value: unknown
}

/** Says of a field whether it is left out. */
export type Policy = (field: Field) => boolean

/** A `KeptValue` as text: `json` may be large, and is written once. */
export type KeptText = string

/** Where a value is in its run. */
export type Place = Pick<Field, "pipeline" | "stage" | "part">

const circular = "<circular>"
const tooDeep = "<nested too deep>"
const deepest = 200

/** More values than these are not looked through. */
const mostValues = 1_000_000

const isObject = (value: unknown): value is object => typeof value === "object" && value !== null

/** What is in an object, wherever it is: fields, elements, what a collection gives. */
const contentsOf = (value: object): Iterable<unknown> => {
  if (ArrayBuffer.isView(value) || value instanceof ArrayBuffer) return []
  // What hangs on a cause besides (spans, stacks) is never written.
  if (Cause.isCause(value)) {
    return value.reasons.map((reason) =>
      Cause.isFailReason(reason) ? reason.error : Cause.isDieReason(reason) ? reason.defect : undefined
    )
  }
  const own = Reflect.ownKeys(value).map((key) => Reflect.get(value, key))
  // What is an iterator itself would be used up.
  const isCollection = !Array.isArray(value) && Symbol.iterator in value && !("next" in value)
  return isCollection ? [...own, ...value as Iterable<unknown>] : own
}

/** Whether a `Redacted` is anywhere in a value. What cannot be looked through may hold one. */
const holdsRedacted = (value: unknown): boolean => {
  const seen = new Set<object>()
  const rest: Array<unknown> = [value]
  const looked = Result.try(() => {
    while (rest.length > 0) {
      const next = rest.pop()
      if (!isObject(next) || seen.has(next)) continue
      if (Redacted.isRedacted(next) || seen.size >= mostValues) return true
      seen.add(next)
      for (const content of contentsOf(next)) {
        if (isObject(content)) rest.push(content)
      }
    }
    return false
  })
  return Result.getOrElse(looked, () => true)
}

/** Writes a value as a log shows it, with masks. */
class Showing {
  readonly masked: Array<string> = []
  private readonly place: Place
  private readonly policy: Policy | undefined
  private readonly path: Array<string | number> = []
  private readonly within = new Set<object>()

  constructor(place: Place, policy: Policy | undefined) {
    this.place = place
    this.policy = policy
  }

  private hide(): string {
    this.masked.push(this.path.map((key) => `/${String(key).replaceAll("~", "~0").replaceAll("/", "~1")}`).join(""))
    return mask
  }

  field(key: string | number, value: unknown): unknown {
    this.path.push(key)
    const shown = this.value(value)
    this.path.pop()
    return shown
  }

  value(given: unknown): unknown {
    if (Redacted.isRedacted(given)) return this.hide()
    const { path, place, policy } = this
    if (policy !== undefined && policy({ ...place, path: path.slice(), value: given })) return this.hide()
    if (!isObject(given)) return typeof given === "bigint" ? String(given) : given
    if (this.within.has(given)) return circular
    if (this.within.size >= deepest) return tooDeep
    this.within.add(given)
    const shown = this.contents(given)
    this.within.delete(given)
    return shown
  }

  private contents(given: object): unknown {
    if (Array.isArray(given)) {
      return Array.from(given as ReadonlyArray<unknown>, (part, index) => this.field(index, part))
    }
    if (given instanceof Map) return this.map(given)
    if (given instanceof Set) return Array.from(given, (part, index) => this.field(index, part))
    if (given instanceof Error) return this.object(errorFields(given))
    // What hangs on a cause besides is never written.
    if (Cause.isCause(given)) return Array.from(contentsOf(given), (part, index) => this.field(index, part))
    if ("toJSON" in given && typeof given.toJSON === "function") return this.asJson(given)
    return this.object(Object.entries(given))
  }

  /** What says of itself how it is written masks what is in it without a word. */
  private asJson(given: object): unknown {
    if (holdsRedacted(given)) this.hide()
    const json: unknown = JSON.parse(Formatter.formatJson(given))
    return isObject(json) ? this.contents(json) : json
  }

  /** A key becomes a name, and could tell what is in it. */
  private map(given: ReadonlyMap<unknown, unknown>): object {
    return this.object(Array.from(given, ([key, value]): readonly [string, unknown] => {
      if (!holdsRedacted(key)) return [String(key), value]
      this.path.push(mask)
      this.hide()
      this.path.pop()
      return [mask, value]
    }))
  }

  private object(entries: Iterable<readonly [string, unknown]>): object {
    const shown = {}
    for (const [key, value] of entries) define(shown, key, this.field(key, value))
    return shown
  }
}

const errorFields = (error: Error): ReadonlyArray<readonly [string, unknown]> => [
  ["name", error.name],
  ["message", error.message],
  ...Object.entries(error).filter(([key]) => !ownOfErrors.has(key)),
  ...(["cause", "errors"] as const).flatMap((key) => key in error ? [[key, Reflect.get(error, key)] as const] : [])
]

/** What an error has that is listed by itself. */
const ownOfErrors: ReadonlySet<string> = new Set(["name", "message", "cause", "errors"])

const notKept = (reason: NotKeptReason, detail?: string): KeptText =>
  JSON.stringify({ _tag: "NotKept", reason, ...(detail === undefined ? {} : { detail }) })

type Problems = ReadonlyArray<FieldProblem>

/** A value with masks, and where they are. */
interface Masked {
  readonly masked: ReadonlyArray<string>
  readonly json: string
}

/** How the run log writes values. */
export class Keeping {
  private readonly policy: Policy | undefined
  private readonly maxSize: number

  constructor(policy: Policy | undefined, maxSize: number) {
    this.policy = policy
    this.maxSize = maxSize
  }

  private sized(json: string | undefined, redacted: ReadonlyArray<string>): KeptText {
    if (json === undefined) return notKept("not_json", "It is nothing that JSON has")
    if (json.length > this.maxSize) {
      return notKept("too_large", `${json.length} characters, of ${this.maxSize} that are kept`)
    }
    const paths = redacted.length === 0 ? "" : `,"redacted":${JSON.stringify(redacted)}`
    return `{"_tag":"Kept","json":${json}${paths}}`
  }

  /** What is masked in a value: `undefined` where nothing is, or the value with its masks. */
  private maskedIn(place: Place, value: unknown): Masked | "none" | "unreadable" {
    if (this.policy === undefined && !holdsRedacted(value)) return "none"
    const showing = new Showing(place, this.policy)
    const shown = Result.try(() => JSON.stringify(showing.value(value)))
    if (Result.isFailure(shown)) return "unreadable"
    if (showing.masked.length > 0) return { masked: showing.masked, json: shown.success }
    // One that is where nothing can be masked: in a symbol, behind what is not enumerable.
    return holdsRedacted(value) ? { masked: [""], json: JSON.stringify(mask) } : "none"
  }

  private keptMasked(masked: Masked): KeptText {
    return masked.masked.includes("") ? notKept("redacted") : this.sized(masked.json, masked.masked)
  }

  /** A value that a schema writes, or that is plain data. */
  coded<A>(place: Place, value: A, write: (value: A) => Effect.Effect<unknown, Problems>): Effect.Effect<KeptText> {
    return Effect.suspend(() => {
      const masked = this.maskedIn(place, value)
      if (masked === "unreadable") {
        return Effect.succeed(notKept("redacted", "It, or the policy, threw when it was read"))
      }
      if (masked !== "none") return Effect.succeed(this.keptMasked(masked))
      return this.written(value, write)
    })
  }

  /** What a stage ended with. */
  outcome(
    place: Omit<Place, "part">,
    output: Settled,
    write: (output: Settled) => Effect.Effect<unknown, Problems>
  ): Effect.Effect<KeptText> {
    return Effect.suspend(() => {
      const parts: ReadonlyArray<readonly [path: string, part: Part, value: unknown]> = [
        ["/data", "output", output.data],
        ...output.artifacts.map(({ payload }, index) => [`/artifacts/${index}/payload`, "artifact", payload] as const),
        ...output.events.map(({ data }, index) => [`/events/${index}/data`, "event", data] as const)
      ]
      const masked = parts.map(([, part, value]) => this.maskedIn({ ...place, part }, value))
      const given = "reason" in output ? output.reason : undefined
      const told = given === undefined ? undefined : this.sentence(place, ["reason"], given)
      if (told === given && masked.every((found) => found === "none")) return this.written(output, write)
      const paths: Array<string> = told === given ? [] : ["/reason"]
      const texts = new Map<string, string>()
      for (const [index, [path, , value]] of parts.entries()) {
        const found = masked[index]
        if (typeof found === "object") paths.push(...found.masked.map((inside) => `${path}${inside}`))
        if (found === "unreadable") paths.push(path)
        texts.set(path, typeof found === "object" ? found.json : found === "none" ? contentJson(value) : `"${mask}"`)
      }
      if (masked[0] !== "none" && paths.includes("/data")) return Effect.succeed(notKept("redacted"))
      const list = (items: ReadonlyArray<{ readonly type: string }>, name: string, key: string) =>
        items.length === 0 ?
          "" :
          `,"${name}":[${
            items.map(({ type }, index) =>
              `{"type":${JSON.stringify(type)},"${key}":${texts.get(`/${name}/${index}/${key}`)}}`
            ).join()
          }]`
      const reason = told === undefined ? "" : `,"reason":${JSON.stringify(told)}`
      const data = `,"data":${texts.get("/data")}`
      const lists = list(output.artifacts, "artifacts", "payload") + list(output.events, "events", "data")
      return Effect.succeed(this.sized(`{"_tag":"${output._tag}"${reason}${data}${lists}}`, paths))
    })
  }

  private written<A>(value: A, write: (value: A) => Effect.Effect<unknown, Problems>): Effect.Effect<KeptText> {
    return Effect.matchCause(Effect.map(write(value), (json) => JSON.stringify(json)), {
      onSuccess: (json) => this.sized(json, []),
      onFailure: (cause) => notKept("not_json", whyNot(cause.reasons))
    })
  }

  /** A value as a log shows it: to be looked at, and never read back. */
  shown(place: Place, value: unknown, alreadyMasked: ReadonlyArray<string> = []): KeptText {
    if (value === undefined) return "{\"_tag\":\"Kept\",\"json\":null}"
    const masked = this.maskedIn(place, value)
    if (masked === "unreadable") return notKept("redacted", "It, or the policy, threw when it was read")
    if (masked !== "none") return this.keptMasked({ ...masked, masked: [...alreadyMasked, ...masked.masked] })
    return Result.match(Result.try(() => Formatter.formatJson(value)), {
      onSuccess: (json) => this.sized(json, alreadyMasked),
      onFailure: () => notKept("not_json", "It could not be written as JSON")
    })
  }

  /** What is JSON already. */
  json(json: unknown): KeptText {
    return this.sized(JSON.stringify(json), [])
  }

  notJson(detail: string): KeptText {
    return notKept("not_json", detail)
  }

  /** Whether a `Redacted` is anywhere in a value. */
  holdsSecret(value: unknown): boolean {
    return holdsRedacted(value)
  }

  /** A sentence that an event has at this path, too: it is left out here where it is there. */
  sentence(place: Omit<Place, "part">, path: ReadonlyArray<string>, text: string): string {
    const { policy } = this
    if (policy === undefined) return text
    const isMasked = Result.try(() => policy({ ...place, part: "error", path, value: text }))
    return Result.isSuccess(isMasked) && !isMasked.success ? text : mask
  }

  /** Whether something of a value is left out, so that no text that tells of it can be kept. */
  isMasked(place: Place, value: unknown): boolean {
    return this.maskedIn(place, value) !== "none"
  }

  /** An event as it is kept. */
  event(event: Event): Event {
    const { policy } = this
    if (policy === undefined) return event
    return redacted(event, ({ event, path, value }) =>
      policy({
        pipeline: event.pipeline,
        stage: "stage" in event ? event.stage : undefined,
        part: event._tag === "ArtifactAdded" ? "artifact" : event._tag === "StageEmitted" ? "event" : "error",
        // What the event carries has paths of its own.
        path: event._tag === "ArtifactAdded" || event._tag === "StageEmitted" ? path.slice(1) : path,
        value
      }))
  }

  /** An event as JSON. One whose content is too large says so instead. */
  eventText(event: Event): string {
    const text = toJson(event)
    if (text.length <= this.maxSize) return text
    const content = { notKept: "too_large" }
    if (event._tag === "StageEmitted") return toJson({ ...event, data: content })
    return event._tag === "ArtifactAdded" ? toJson({ ...event, payload: content }) : text
  }

  /** A text for developers, cut where it is too long. */
  text(text: string): string {
    return text.length <= this.maxSize ? text : `${text.slice(0, this.maxSize)}...`
  }
}

const whyNot = (reasons: ReadonlyArray<{ readonly _tag: string }>): string => {
  const [reason] = reasons
  return reason !== undefined && "error" in reason
    ? describeProblems(reason.error as Problems) // what the codecs fail with
    : "Its schema threw when it was written"
}
