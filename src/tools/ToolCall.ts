/**
 * Reads what a model wrote as calls of tools, into those that can run and those that cannot, each with its reason.
 *
 * It reads a list of calls, or a message that holds one, in these shapes, mixed as one likes:
 *
 * | shape | call |
 * |---|---|
 * | OpenAI, chat | `{ id, type: "function", function: { name, arguments: "{...}" } }`, also as `{ tool_calls: [...] }` |
 * | OpenAI, responses | `{ type: "function_call", call_id, name, arguments: "{...}" }` |
 * | Anthropic | `{ type: "tool_use", id, name, input: {...} }`, also as `{ content: [...] }` with other blocks beside |
 * | effect/ai | `{ type: "tool-call", id, name, params: {...} }` |
 * | plain | `{ id?, name, arguments }`, with `tool` or `actionType` for `name`, and `input` or `parameters` for `arguments` |
 *
 * Nothing of a call is guessed: arguments that are missing, no JSON or of another shape make it an unresolved one, with the
 * path to what is wrong. Only a tool that takes nothing may be called without arguments.
 */
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as SchemaAST from "effect/SchemaAST"
import { problemsOf } from "../internal/problems.ts"
import { StageContext } from "../StageContext.ts"
import { notAllowed } from "./internal/gating.ts"
import type * as Tool from "./Tool.ts"
import { NoParameters } from "./Tool.ts"
import { type CallProblem, InvalidArguments, InvalidCall, InvalidJson, type UnknownTool } from "./ToolError.ts"
import { ToolRegistry } from "./ToolRegistry.ts"

/** A call of a tool whose arguments are what the tool takes. */
export interface ResolvedCall {
  readonly _tag: "Resolved"
  /** Which call of the turn it is, from 0. */
  readonly index: number
  readonly callId: string | undefined
  readonly tool: Tool.Any
  /** The arguments, decoded. */
  readonly parameters: unknown
}

/** What is no call of a tool that could run here. */
export interface UnresolvedCall {
  readonly _tag: "Unresolved"
  /** Which call of the turn it is, from 0. */
  readonly index: number
  readonly callId: string | undefined
  /** The tool that it names, if it names one. */
  readonly name: string | undefined
  readonly problem: CallProblem
}

/** The calls of a turn. */
export interface Calls {
  readonly resolved: ReadonlyArray<ResolvedCall>
  readonly unresolved: ReadonlyArray<UnresolvedCall>
}

// ---------------------------------------------------------------------------------------------------------------------
// shapes
// ---------------------------------------------------------------------------------------------------------------------

type Fields = Readonly<Record<string, unknown>>

/** A call as its shape says it, before anybody looked at what it says. */
interface Written {
  readonly callId: string | undefined
  readonly name: string | undefined
  readonly by: "name" | "action type"
  /** `undefined` when there are none. */
  readonly arguments: unknown
}

const isFields = (value: unknown): value is Fields =>
  typeof value === "object" && value !== null && !Array.isArray(value)

/** What stands behind the first of some keys that is there. */
const first = (fields: Fields, keys: ReadonlyArray<string>): unknown => {
  for (const key of keys) if (Object.hasOwn(fields, key)) return fields[key]
  return undefined
}

const textOf = (value: unknown): string | undefined =>
  typeof value === "string" && value.trim() !== "" ? value : undefined

const writtenIn = (entry: unknown): Written | InvalidCall => {
  const invalid = (path: ReadonlyArray<string>, message: string) => new InvalidCall({ problems: [{ path, message }] })
  if (!isFields(entry)) return invalid([], "Expected an object")
  const callId = textOf(first(entry, ["id", "call_id", "callId", "toolCallId"]))
  const wrapped = Object.hasOwn(entry, "function") ? entry["function"] : undefined
  if (wrapped !== undefined && !isFields(wrapped)) return invalid(["function"], "Expected an object")
  const inner = wrapped ?? entry
  const path = wrapped === undefined ? [] : ["function"]
  const actionType = textOf(first(inner, ["actionType", "action_type"]))
  const name = textOf(first(inner, ["name", "tool", "toolName", "tool_name"]))
  if (name === undefined && actionType === undefined) return invalid([...path, "name"], "Expected the name of a tool")
  return {
    callId,
    name: name ?? actionType,
    by: name === undefined ? "action type" : "name",
    arguments: first(inner, ["arguments", "input", "params", "parameters", "args"])
  }
}

const callTypes: ReadonlySet<unknown> = new Set(["tool_use", "tool-call", "function_call", "function"])

/** What in a message is beside its calls: text, thoughts, results. */
const isBeside = (block: unknown): boolean =>
  isFields(block) && typeof block["type"] === "string" && !callTypes.has(block["type"])

/** The calls in what a model wrote; a single call is a list of one. */
const entriesIn = (written: unknown): ReadonlyArray<unknown> => {
  if (Array.isArray(written)) return Array.from(written as ReadonlyArray<unknown>)
  if (!isFields(written)) return written === undefined || written === null ? [] : [written]
  for (const key of ["tool_calls", "toolCalls", "calls"]) {
    const calls = Object.hasOwn(written, key) ? written[key] : undefined
    if (calls !== undefined && calls !== null) return entriesIn(calls)
  }
  const content = Object.hasOwn(written, "content") ? written["content"] : undefined
  if (Array.isArray(content)) return content.filter((block) => !isBeside(block))
  // A message without calls.
  if (Object.hasOwn(written, "role") && !Object.hasOwn(written, "name")) return []
  return [written]
}

// ---------------------------------------------------------------------------------------------------------------------
// resolving
// ---------------------------------------------------------------------------------------------------------------------

type Decode = (given: unknown) => Effect.Effect<unknown, Schema.SchemaError>

interface Decoder {
  readonly decode: Decode
  /** Whether it takes objects. */
  readonly isOfObjects: boolean
}

const decoders = new WeakMap<Schema.Top, Decoder>()

/** Decodes the JSON of a schema's values. A field that it does not know was misspelt: left out, it would be no argument. */
const decoderOf = (schema: Schema.Top): Decoder => {
  const known = decoders.get(schema)
  if (known !== undefined) return known
  // What a tool takes is decoded without services: see `Tool.Options`.
  const json = Schema.toCodecJson(schema as unknown as Schema.Codec<unknown>)
  const decoder = {
    decode: Schema.decodeUnknownEffect(json, { errors: "all", onExcessProperty: "error" }),
    isOfObjects: SchemaAST.isObjects(SchemaAST.toEncoded(json.ast))
  }
  decoders.set(schema, decoder)
  return decoder
}

const tooDeep = [{ path: [], message: "They are nested too deep, or their schema threw when it was checked" }]

const noObject = [{ path: [], message: "Expected an object" }]

const decoded = ({ name, parameters }: Tool.Any, given: unknown): Effect.Effect<unknown, InvalidArguments> =>
  Effect.suspend((): Effect.Effect<unknown, Schema.SchemaError | InvalidArguments> => {
    const { decode, isOfObjects } = decoderOf(parameters)
    // An object whose fields may all be missing takes a list, too.
    return isOfObjects && !isFields(given)
      ? Effect.fail(new InvalidArguments({ tool: name, problems: noObject }))
      : decode(given)
  }).pipe(
    Effect.mapError((error) =>
      error instanceof InvalidArguments
        ? error
        : new InvalidArguments({ tool: name, problems: problemsOf(error.issue) })
    ),
    // A schema looks into data by recursion, and its own code may throw.
    Effect.catchDefect(() => Effect.fail(new InvalidArguments({ tool: name, problems: tooDeep })))
  )

/** Arguments as they are: an object, or JSON text of one. */
const argumentsOf = (tool: Tool.Any, given: unknown): Effect.Effect<unknown, InvalidArguments | InvalidJson> => {
  const isMissing = given === undefined || (typeof given === "string" && given.trim() === "")
  // There is nothing that it could have been given.
  if (isMissing && tool.parameters === NoParameters) return Effect.succeed({})
  if (given === undefined) {
    const problems = [{ path: [], message: "The call has no arguments" }]
    return Effect.fail(new InvalidArguments({ tool: tool.name, problems }))
  }
  if (typeof given !== "string") return Effect.succeed(given)
  const parsed = Result.try((): unknown => JSON.parse(given))
  return Result.isSuccess(parsed)
    ? Effect.succeed(parsed.success)
    : Effect.fail(new InvalidJson({ tool: tool.name, characters: given.trim().length }))
}

const toolOf = (
  registry: ToolRegistry["Service"],
  name: string,
  by: Written["by"]
): Effect.Effect<Tool.Any, UnknownTool> =>
  by === "action type"
    ? registry.getByActionType(name)
    // What has no such name may be meant by what it does.
    : Effect.catch(registry.get(name), (unknown) => Effect.mapError(registry.getByActionType(name), () => unknown))

/**
 * Reads what a model wrote, and resolves each call to a tool and what that takes. It never fails: what is no call of a tool
 * that may be used in this run is unresolved.
 */
export const parseAndResolve = Effect.fnUntraced(function*(
  written: unknown
): Effect.fn.Return<Calls, never, ToolRegistry | StageContext> {
  const registry = yield* ToolRegistry
  const { snapshot: { executionMode } } = yield* StageContext
  const resolved: Array<ResolvedCall> = []
  const unresolved: Array<UnresolvedCall> = []
  const unreadable = new InvalidCall({ problems: [{ path: [], message: "It threw when it was read" }] })
  const entries = Result.getOrElse(Result.try(() => entriesIn(written)), (): ReadonlyArray<unknown> => [unreadable])
  for (const [index, entry] of entries.entries()) {
    const call = entry === unreadable
      ? unreadable
      : Result.getOrElse(Result.try(() => writtenIn(entry)), () => unreadable)
    if (call instanceof InvalidCall) {
      unresolved.push({ _tag: "Unresolved", index, callId: undefined, name: undefined, problem: call })
      continue
    }
    const { by, callId, name = "" } = call
    const found = yield* Effect.result(Effect.gen(function*() {
      const tool = yield* toolOf(registry, name, by)
      const refusal = notAllowed(tool, executionMode)
      if (refusal !== undefined) return yield* refusal
      return { tool, parameters: yield* decoded(tool, yield* argumentsOf(tool, call.arguments)) }
    }))
    if (Result.isSuccess(found)) resolved.push({ _tag: "Resolved", index, callId, ...found.success })
    else unresolved.push({ _tag: "Unresolved", index, callId, name: name.slice(0, 100), problem: found.failure })
  }
  return { resolved, unresolved }
})
