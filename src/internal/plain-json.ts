/**
 * Writes plain data as JSON that gives the same data back, and says of everything else where it is.
 *
 * Plain data is `null`, `undefined`, booleans, strings, numbers, and arrays and objects of plain data. What JSON itself
 * would lose of that is marked by an object with the key `~`:
 *
 * | data | JSON |
 * |---|---|
 * | `undefined`, `-0`, `NaN`, `Infinity`, `-Infinity` | `{ "~": "undefined" }`, `{ "~": "-0" }` and so on |
 * | an object without a prototype | `{ "~": "bare", "of": { ... } }` |
 * | an object with a key `~` of its own | `{ "~": "object", "of": { ... } }` |
 *
 * Instances of classes, dates, maps, bigints, functions, symbols, accessors, holes and whatever else hangs on an array are
 * no plain data. Neither is what is nested too deeply for `JSON.stringify`, or has no end because it is inside of itself.
 */
import * as Result from "effect/Result"
import type * as Schema from "effect/Schema"
import type { FieldProblem } from "./problems.ts"
import { define } from "./record.ts"

/** Deeper than this, `JSON.stringify` may run out of stack. */
const mostLevels = 1_000
/** What is shared inside of a value is written wherever it is: a few objects can stand for more than there is memory. */
const mostValues = 10_000_000
/** What is wrong with a value is told this often. */
const mostProblems = 20

const tooMany = "Is one value too many for JSON: there are more than 10,000,000"
const tooDeep = "Is nested more than 1,000 levels deep"

const mark = "~"

const marked: Readonly<Record<string, unknown>> = {
  "undefined": undefined,
  "-0": -0,
  "NaN": Number.NaN,
  "Infinity": Number.POSITIVE_INFINITY,
  "-Infinity": Number.NEGATIVE_INFINITY
}

/** Goes through a value, and keeps account of where it is, how much there is and what is wrong. */
class Walk {
  readonly problems: Array<FieldProblem> = []
  readonly path: Array<string | number> = []
  private values = 0

  problem(message: string): null {
    if (this.problems.length < mostProblems) this.problems.push({ path: this.path.slice(), message })
    return null
  }

  /** Whether there is no point in going on. */
  get isOver(): boolean {
    return this.values > mostValues || this.problems.length === mostProblems
  }

  /** Counts values that are here, and says whether they are not too many. */
  count(values: number): boolean {
    this.values += values
    if (this.values <= mostValues) return true
    this.problem(tooMany)
    return false
  }

  get counted(): number {
    return this.values
  }

  /** Whether there may be something that is nested in what is here. */
  mayNest(levels: number): boolean {
    if (this.path.length + levels <= mostLevels) return true
    this.problem(tooDeep)
    return false
  }
}

const whatItIs = (value: unknown): string => {
  if (typeof value !== "object" || value === null) return typeof value
  const { constructor } = Object.getPrototypeOf(value) as { readonly constructor?: unknown } ?? {}
  return typeof constructor === "function" && constructor !== Object && constructor.name !== ""
    ? `instance of ${constructor.name}`
    : "object that inherits from another"
}

const article = (what: string): string => /^[aeiou]/i.test(what) ? `an ${what}` : `a ${what}`

// ---------------------------------------------------------------------------------------------------------------------
// writing
// ---------------------------------------------------------------------------------------------------------------------

/** An array or an object that has been written, and how much that is. */
interface Written {
  readonly json: Schema.Json
  readonly values: number
  readonly levels: number
}

class Writer extends Walk {
  /** What has been written: nothing yet for what is being written. */
  private readonly known = new Map<object, Written | undefined>()
  /** The level of what is nested most deeply in what is being written. */
  private deepest = 0

  write(value: unknown): Schema.Json {
    switch (typeof value) {
      case "string":
      case "boolean":
        return value
      case "number":
        if (Object.is(value, -0)) return { [mark]: "-0" }
        return Number.isFinite(value) ? value : { [mark]: String(value) }
      case "undefined":
        return { [mark]: "undefined" }
      case "object":
        return value === null ? null : this.writeNested(value)
      default:
        return this.notPlain(value)
    }
  }

  private notPlain(value: unknown): null {
    return this.problem(`Cannot be JSON as it is: ${article(whatItIs(value))}`)
  }

  private writeNested(value: object): Schema.Json {
    const known = this.known.get(value)
    if (known !== undefined) return this.writeAgain(known)
    if (this.known.has(value)) return this.problem("Cannot be JSON: it is inside of itself")
    if (!this.mayNest(1)) return null
    const { counted, deepest } = this
    this.known.set(value, undefined)
    this.deepest = this.path.length
    const json = Array.isArray(value) ? this.writeArray(value) : this.writeObject(value)
    const levels = this.deepest - this.path.length + 1
    this.known.set(value, { json, values: this.counted - counted, levels })
    this.deepest = Math.max(this.deepest, deepest)
    return json
  }

  private writeAgain({ json, levels, values }: Written): Schema.Json {
    if (!this.mayNest(levels) || !this.count(values)) return null
    this.deepest = Math.max(this.deepest, this.path.length + levels - 1)
    return json
  }

  private writePart(key: string | number, value: unknown): Schema.Json {
    if (!this.count(1)) return null
    this.path.push(key)
    const json = this.write(value)
    this.path.pop()
    return json
  }

  private writeArray(array: ReadonlyArray<unknown>): Schema.Json {
    if (Object.getPrototypeOf(array) !== Array.prototype) return this.notPlain(array)
    const json: Array<Schema.Json> = []
    for (let index = 0; index < array.length; index++) {
      const element = array[index]
      if (element === undefined && !Object.hasOwn(array, index)) return this.problemAt(index, "a hole in an array")
      json.push(this.writePart(index, element))
      if (this.isOver) return null
    }
    const fields = Object.keys(array).length - array.length + Object.getOwnPropertySymbols(array).length
    return fields === 0 ? json : this.problem("Cannot be JSON: an array with fields")
  }

  private problemAt(key: PropertyKey, what: string): null {
    this.path.push(typeof key === "symbol" ? String(key) : key)
    this.problem(`Cannot be JSON: ${what}`)
    this.path.pop()
    return null
  }

  private writeObject(object: object): Schema.Json {
    const prototype: unknown = Object.getPrototypeOf(object)
    if (prototype !== Object.prototype && prototype !== null) return this.notPlain(object)
    const json: Record<string, Schema.Json> = {}
    for (const key of Reflect.ownKeys(object)) {
      const descriptor = Object.getOwnPropertyDescriptor(object, key)
      if (typeof key === "symbol") this.problemAt(key, "a symbol as a key")
      else if (descriptor?.enumerable !== true) this.problemAt(key, "a field that is not enumerable")
      else if (!("value" in descriptor)) this.problemAt(key, "an accessor")
      else define(json, key, this.writePart(key, descriptor.value))
      if (this.isOver) return null
    }
    if (prototype === null) return { [mark]: "bare", of: json }
    return Object.hasOwn(json, mark) ? { [mark]: "object", of: json } : json
  }
}

// ---------------------------------------------------------------------------------------------------------------------
// reading
// ---------------------------------------------------------------------------------------------------------------------

class Reader extends Walk {
  read(json: unknown): unknown {
    switch (typeof json) {
      case "string":
      case "boolean":
        return json
      case "number":
        return Number.isFinite(json) ? json : this.problem("Expected JSON")
      case "object":
        return json === null ? null : this.readNested(json)
      default:
        return this.problem("Expected JSON")
    }
  }

  private readNested(json: object): unknown {
    if (!this.mayNest(1)) return null
    if (Array.isArray(json)) return this.readElements(json)
    return Object.hasOwn(json, mark) ? this.readMark(json) : this.readFields(json, {})
  }

  private readPart(key: string | number, json: unknown): unknown {
    if (!this.count(1)) return null
    this.path.push(key)
    const value = this.read(json)
    this.path.pop()
    return value
  }

  private readElements(json: ReadonlyArray<unknown>): ReadonlyArray<unknown> {
    const elements: Array<unknown> = []
    for (let index = 0; index < json.length && !this.isOver; index++) elements.push(this.readPart(index, json[index]))
    return elements
  }

  private readFields(json: object, into: object): object {
    for (const key of Object.keys(json)) {
      if (this.isOver) break
      define(into, key, this.readPart(key, Reflect.get(json, key)))
    }
    return into
  }

  private readMark(json: object): unknown {
    const { [mark]: name, of } = json as { readonly [mark]: unknown; readonly of?: unknown }
    const keys = Object.keys(json).length
    if (typeof name === "string" && Object.hasOwn(marked, name) && keys === 1) return marked[name]
    if (typeof of === "object" && of !== null && !Array.isArray(of) && keys === 2) {
      if (name === "object") return this.readFields(of, {})
      if (name === "bare") return this.readFields(of, Object.create(null) as object)
    }
    return this.problem(`Expected JSON without a key "${mark}", or one of its marks`)
  }
}

// ---------------------------------------------------------------------------------------------------------------------

const made = <W extends Walk, A>(walk: W, make: (walk: W) => A): Result.Result<A, ReadonlyArray<FieldProblem>> =>
  Result.try({ try: () => make(walk), catch: () => [{ path: [], message: "Threw when it was read" }] }).pipe(
    Result.filterOrFail(() => walk.problems.length === 0, (): ReadonlyArray<FieldProblem> => walk.problems)
  )

/** Plain data as JSON, or what of it is not plain. The data is copied. */
export const write = (value: unknown): Result.Result<Schema.Json, ReadonlyArray<FieldProblem>> =>
  made(new Writer(), (writer) => writer.write(value))

/** The data that was written as this JSON, or why nothing was. */
export const readBack = (json: unknown): Result.Result<unknown, ReadonlyArray<FieldProblem>> =>
  made(new Reader(), (reader) => reader.read(json))
