/**
 * Calls tools: one at hand, with its types, or whatever a model wrote.
 *
 * | function | for |
 * |---|---|
 * | `call` | code that has the tool at hand: typed result, typed errors |
 * | `parseAndResolve`, `executeAll` | an agent's own loop: what a model wrote, as calls, and what came of them |
 * | `execute` | both in one |
 * | `stage` | a pipeline: a stage that executes what it is given |
 * | `toolkit` | `effect/ai`: a toolkit whose handlers run the tools |
 *
 * Whichever it is, a tool runs the same way: its parameters are checked, it has to be allowed in the execution mode of the
 * run, whoever has to approve it is asked, and then it runs as a run of its own inside of the stage, with the interceptors
 * that wrap it. What it did can be taken back with `Undo`.
 *
 * ```ts
 * import { Effect, Layer, Schema } from "effect"
 * import { Pipeline, Snapshot } from "stageflow"
 * import { Tool, ToolRegistry, Tools } from "stageflow/tools"
 *
 * const add = Tool.make("add", {
 *   description: "Adds two numbers",
 *   parameters: Schema.Struct({ a: Schema.Finite, b: Schema.Finite }),
 *   success: Schema.Finite,
 *   run: ({ a, b }) => Effect.succeed(a + b)
 * })
 *
 * const answer = Pipeline.make("answer")
 *   .transform("model", { run: Effect.succeed({ tool_calls: [{ id: "1", name: "add", arguments: "{\"a\":1,\"b\":2}" }] }) })
 *   .add(Tools.stage("act", { calls: (inputs: { readonly model: object }) => inputs.model }), { inputs: ["model"] })
 *
 * const program = Pipeline.run(answer, Snapshot.make()).pipe(Effect.provide(ToolRegistry.layer(add)))
 * ```
 */
import type * as AiTool from "effect/ai/Tool"
import * as Toolkit from "effect/ai/Toolkit"
import * as Cause from "effect/Cause"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import type * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { ErrorSummary } from "../Event.ts"
import * as options from "../internal/options.ts"
import * as Stage from "../Stage.ts"
import { StageContext } from "../StageContext.ts"
import { nextAction, perform, type Performed, type Place } from "./internal/performing.ts"
import { contentOf, errorIn, errorText, mostCharacters, summaryFor } from "./internal/shortened.ts"
import { tell } from "./internal/telling.ts"
import * as Tool from "./Tool.ts"
import { type Calls, parseAndResolve, type ResolvedCall, type UnresolvedCall } from "./ToolCall.ts"
import { type CallError, CallProblem, StoppedWithSibling } from "./ToolError.ts"
import type { ToolRegistry } from "./ToolRegistry.ts"

export { parseAndResolve } from "./ToolCall.ts"
export type { Calls, ResolvedCall, UnresolvedCall } from "./ToolCall.ts"

// ---------------------------------------------------------------------------------------------------------------------
// one tool at hand
// ---------------------------------------------------------------------------------------------------------------------

/**
 * Calls a tool that is at hand, in a stage. It has to be in the registry, which knows its ports.
 */
export const call = <T extends Tool.Any>(
  tool: T,
  parameters: Tool.Parameters<T>
): Effect.Effect<Tool.Success<T>, Tool.Error<T> | CallError, ToolRegistry | StageContext> => {
  const checked = options.ofKind("tool", "a tool; see Tool.make", Tool.isTool, tool)
  return Effect.flatMap(
    StageContext,
    (stage) => perform({ ...nextAction(stage), callId: undefined, tool: checked, parameters })
  ).pipe(
    // What it gives and fails with is said by its type, and checked where it runs.
    Effect.map(({ value }) => value as Tool.Success<T>)
  ) as Effect.Effect<Tool.Success<T>, Tool.Error<T> | CallError, ToolRegistry | StageContext>
}

// ---------------------------------------------------------------------------------------------------------------------
// what came of the calls of a turn
// ---------------------------------------------------------------------------------------------------------------------

const Cut = Schema.Struct({ shown: Schema.Int, of: Schema.Int })

const place = {
  /** Which call of the turn it is, from 0. */
  index: Schema.Int,
  /** The id that the model gave to its call. */
  callId: Schema.optionalKey(Schema.String),
  /** What the model is told. */
  content: Schema.String,
  /** How much of it is shown, where it was too long. */
  cut: Schema.optionalKey(Cut)
}

const action = { ...place, tool: Schema.String, actionId: Schema.String }

/** A tool has done its work. */
export const Succeeded = Schema.TaggedStruct("Succeeded", {
  ...action,
  /** What it gave, as JSON, whole. */
  value: Schema.Json,
  /** Whether it can be taken back, by its action's id. */
  undoable: Schema.Boolean,
  durationMs: Schema.Number
})

/** A tool failed. */
export const Failed = Schema.TaggedStruct("Failed", { ...action, error: ErrorSummary })

/** A tool did not run: it may not be used here, nobody let it, or it was stopped with another call that was denied. */
export const Denied = Schema.TaggedStruct("Denied", { ...action, error: ErrorSummary })

/** A call could not be resolved, and nothing ran. */
export const Unresolved = Schema.TaggedStruct("Unresolved", {
  ...place,
  /** The tool that it names, if it names one. */
  name: Schema.optionalKey(Schema.String),
  problem: CallProblem
})

/** What came of a call. */
export const Result = Schema.Union([Succeeded, Failed, Denied, Unresolved])

/** What came of a call. */
export type Result = typeof Result.Type

/** What came of the calls of a turn, in the order of the calls. */
export const Turn = Schema.Struct({ results: Schema.Array(Result) })

/** What came of the calls of a turn, in the order of the calls. */
export type Turn = typeof Turn.Type

/**
 * How the calls of a turn are executed.
 */
export interface TurnOptions {
  /** How many calls run at once at most; 8 when left out. */
  readonly concurrency?: number | "unbounded" | undefined
  /** How many characters of a result a model is shown; 16,000 when left out. */
  readonly maxResultSize?: number | undefined
  /** What a call that was denied does to the others of its turn; nothing (`"continue"`) when left out. */
  readonly onDenied?: "continue" | "cancel" | undefined
}

interface Manner {
  readonly concurrency: number
  readonly maxResultSize: number
  readonly onDenied: "continue" | "cancel"
}

const turnNames: ReadonlyArray<keyof TurnOptions> = ["concurrency", "maxResultSize", "onDenied"]

const mannerOf = ({ concurrency, maxResultSize, onDenied }: TurnOptions): Manner => ({
  concurrency: options.concurrency("concurrency", concurrency ?? 8),
  maxResultSize: options.positiveCount("maxResultSize", maxResultSize ?? mostCharacters),
  onDenied: options.oneOf("onDenied", ["continue", "cancel"], onDenied ?? "continue")
})

const withId = (callId: string | undefined) => callId === undefined ? {} : { callId }

const told = (text: string, { maxResultSize }: Manner) => {
  const { content, cut } = contentOf(text, maxResultSize)
  return { content, ...(cut === undefined ? {} : { cut }) }
}

interface Acting extends Place {
  readonly call: ResolvedCall
}

const succeeded = ({ actionId, call }: Acting, performed: Performed, manner: Manner): Result => {
  const { callId, index, tool } = call
  const value = performed.json ?? null
  const text = typeof value === "string" ? value : JSON.stringify(value)
  const { durationMs, isUndoable } = performed
  const about = { index, ...withId(callId), tool: tool.name, actionId }
  return { _tag: "Succeeded", ...about, ...told(text, manner), value, undoable: isUndoable, durationMs }
}

const refusals: ReadonlySet<string> = new Set([
  "ToolNotAllowed",
  "ApprovalDenied",
  "ApprovalExpired",
  "ApprovalCancelled",
  "ApprovalUnavailable",
  "StoppedWithSibling"
])

const failedWith = ({ actionId, call }: Acting, error: unknown, manner: Manner): Result => {
  const { callId, index, tool } = call
  const summary = summaryFor(tool.name, error)
  const about = { index, ...withId(callId), tool: tool.name, actionId }
  const _tag = refusals.has(summary.tag) ? "Denied" : "Failed"
  return { _tag, ...about, ...told(errorText(summary), manner), error: summary }
}

const unresolved = ({ callId, index, name, problem }: UnresolvedCall, manner: Manner): Result => ({
  _tag: "Unresolved",
  index,
  ...withId(callId),
  ...(name === undefined ? {} : { name }),
  ...told(errorText({ tag: problem._tag, message: problem.message }), manner),
  problem
})

/** Performs a call. Whatever goes wrong is what came of it. */
const one = (acting: Acting, manner: Manner): Effect.Effect<Result, never, ToolRegistry | StageContext> => {
  const { actionId, call: { callId, parameters, tool }, number } = acting
  return Effect.matchCauseEffect(perform({ actionId, number, callId, tool, parameters }), {
    onSuccess: (performed) => Effect.succeed(succeeded(acting, performed, manner)),
    onFailure: (cause) =>
      Cause.hasInterruptsOnly(cause)
        ? Effect.failCause(cause as Cause.Cause<never>)
        : Effect.succeed(failedWith(acting, errorIn(cause), manner))
  })
}

/** Performs a call until another one of its turn is denied. One that has ended by then has ended. */
const untilDenied = Effect.fnUntraced(function*(
  acting: Acting,
  manner: Manner,
  denied: Deferred.Deferred<number>
): Effect.fn.Return<Result, never, ToolRegistry | StageContext> {
  const { index, tool } = acting.call
  const stopped = (sibling: number) => failedWith(acting, new StoppedWithSibling({ tool: tool.name, sibling }), manner)
  const before = yield* Deferred.poll(denied)
  if (Option.isSome(before)) return stopped(yield* before.value)
  return yield* Effect.uninterruptibleMask((restore) =>
    Effect.gen(function*() {
      const fiber = yield* Effect.forkChild(restore(one(acting, manner)), { startImmediately: true })
      yield* restore(Effect.raceFirst(Fiber.await(fiber), Deferred.await(denied))).pipe(
        Effect.onInterrupt(() => Fiber.interrupt(fiber))
      )
      if (fiber.pollUnsafe() === undefined) yield* Fiber.interrupt(fiber)
      const exit = yield* Fiber.await(fiber)
      if (exit._tag === "Failure") return stopped(yield* Deferred.await(denied))
      if (exit.value._tag === "Denied") yield* Deferred.succeed(denied, index)
      return exit.value
    })
  )
})

const run = Effect.fnUntraced(function*(
  calls: Calls,
  manner: Manner
): Effect.fn.Return<Turn, never, ToolRegistry | StageContext> {
  const stage = yield* StageContext
  for (const { index, problem } of calls.unresolved) {
    yield* tell(stage, { _tag: "ToolUnresolved", index, error: summaryFor("", problem) })
  }
  const denied = Deferred.makeUnsafe<number>()
  const acting = calls.resolved.map((call) => ({ call, ...nextAction(stage) }))
  const ran = yield* Effect.forEach(
    acting,
    (each) => manner.onDenied === "cancel" ? untilDenied(each, manner, denied) : one(each, manner),
    { concurrency: Number.isFinite(manner.concurrency) ? manner.concurrency : "unbounded" }
  )
  const results = [...ran, ...calls.unresolved.map((call) => unresolved(call, manner))]
  return { results: results.toSorted((a, b) => a.index - b.index) }
})

/**
 * Executes calls that are resolved, and says of all what came of them. It never fails.
 *
 * Calls run at the same time, each independent of the others: one that fails or waits for an approval stops no other, unless
 * `onDenied` is `"cancel"`. What is unresolved is a result like any other, with what a model may know of it.
 */
export const executeAll = (
  calls: Calls,
  given: TurnOptions = {}
): Effect.Effect<Turn, never, ToolRegistry | StageContext> =>
  run(calls, mannerOf(options.fields<TurnOptions>("options", turnNames, given)))

/**
 * Executes what a model wrote; see `ToolCall` for the shapes. It never fails.
 */
export const execute = (
  written: unknown,
  given: TurnOptions = {}
): Effect.Effect<Turn, never, ToolRegistry | StageContext> => {
  const manner = mannerOf(options.fields<TurnOptions>("options", turnNames, given))
  return Effect.flatMap(parseAndResolve(written), (calls) => run(calls, manner))
}

/**
 * Makes a stage that executes calls of tools: `calls` says which, of what the stage takes.
 *
 * Its data is a `Turn`. A call that fails or is denied fails no stage: what came of it is among the results.
 */
export const stage = <const Name extends string, In = unknown>(
  name: Name,
  given: TurnOptions & { readonly calls: (inputs: In) => unknown }
): Stage.Stage<Name, In, Turn, never, never, ToolRegistry> => {
  const { calls, ...rest } = options.fields<typeof given>("options", ["calls", ...turnNames], given)
  const callsOf = options.callable("calls", calls as (inputs: In) => unknown)
  const manner = mannerOf(rest)
  const made = Stage.make("agent", name as string, {
    output: Turn,
    run: (inputs: In): Effect.Effect<Turn, never, ToolRegistry | StageContext> =>
      Effect.suspend(() => Effect.flatMap(parseAndResolve(callsOf(inputs)), (found) => run(found, manner)))
  })
  return Stage.as(made, name)
}

// ---------------------------------------------------------------------------------------------------------------------
// effect/ai
// ---------------------------------------------------------------------------------------------------------------------

/** Tools of `effect/ai` by their names. */
export type AiTools<T extends ReadonlyArray<Tool.Any>> = {
  readonly [Each in T[number] as Each["name"]]: Tool.Ai<Each>
}

/** A toolkit of `effect/ai`, and what runs its tools. */
export interface AiToolkit<T extends ReadonlyArray<Tool.Any>> {
  readonly toolkit: Toolkit.Toolkit<AiTools<T>>
  readonly layer: Layer.Layer<AiTool.HandlersFor<AiTools<T>>, never, ToolRegistry>
}

/**
 * A toolkit of `effect/ai` of these tools. Its handlers run them in the stage that asks the model, with gates, approvals and
 * undo as everywhere; what goes wrong is told to the model, in a short and safe form. A model
 * is shown 16,000 characters of a result at most.
 */
export const toolkit = <const T extends ReadonlyArray<Tool.Any>>(...tools: T): AiToolkit<T> => {
  const made = Toolkit.make(...tools.map((tool) => Tool.toAi(tool)))
  const handlers = Object.fromEntries(tools.map((tool) => [
    tool.name,
    (parameters: unknown, { toolCallId }: { readonly toolCallId?: string | undefined }) =>
      Effect.flatMap(
        StageContext,
        (context) => perform({ ...nextAction(context), callId: toolCallId, tool, parameters })
      ).pipe(
        Effect.map(({ value }) => value),
        Effect.catchCause((cause) =>
          Cause.hasInterruptsOnly(cause)
            ? Effect.failCause(cause as Cause.Cause<never>)
            : Effect.fail(summaryFor(tool.name, errorIn(cause)))
        )
      )
  ]))
  // Each handler takes and gives what its tool does.
  const layer = (made as unknown as Toolkit.Toolkit<Record<string, AiTool.Any>>).toLayer(
    Effect.map(Effect.context<ToolRegistry>(), () => handlers) as never
  )
  return { toolkit: made, layer } as unknown as AiToolkit<T>
}
