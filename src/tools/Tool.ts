/**
 * Makes tools: what a model, or anybody else in a run, may ask for by name.
 *
 * A tool says what it takes, gives and fails with as schemas, what it needs as ports, and what is to be known of it: whether
 * somebody has to approve it, in which execution modes it may be used, and how it is taken back. It is pure data until a
 * `ToolRegistry` has its ports, and it runs only through `Tools`, which gates it, asks, runs it and remembers what it did.
 *
 * ```ts
 * import { Context, Effect, Schema } from "effect"
 * import { Tool } from "stageflow/tools"
 *
 * class Payments extends Context.Service<Payments, {
 *   readonly refund: (order: string, amount: number) => Effect.Effect<string>
 *   readonly takeBack: (refund: string) => Effect.Effect<void>
 * }>()("app/Payments") {}
 *
 * const refund = Tool.make("refund", {
 *   description: "Gives a customer the money for an order back",
 *   parameters: Schema.Struct({ order: Schema.String, amount: Schema.Finite }),
 *   success: Schema.Struct({ refund: Schema.String }),
 *   run: Effect.fnUntraced(function*({ amount, order }) {
 *     const payments = yield* Payments
 *     return { refund: yield* payments.refund(order, amount) }
 *   }),
 *   behaviours: ["support"],
 *   needsApproval: ({ amount }) => Effect.succeed(amount > 100),
 *   approvalMessage: ({ order }) => `Refund order ${order}?`,
 *   undo: ({ refund }) => Effect.flatMap(Payments, (payments) => payments.takeBack(refund))
 * })
 * ```
 *
 * The type of `refund` says what it takes, gives and fails with, and that it needs `Payments`, `Approvals` and `UndoStore`.
 */
import * as Prompt from "effect/ai/Prompt"
import * as AiTool from "effect/ai/Tool"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { dual } from "effect/Function"
import { type Pipeable, pipeArguments } from "effect/Pipeable"
import * as Predicate from "effect/Predicate"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as Struct from "effect/Struct"
import { asEffect } from "../attempt/outcome.ts"
import type { Taken } from "../checks/run.ts"
import type { Checked } from "../checks/sentence.ts"
import type { Ports } from "../checks/stage.ts"
import type { ToolProblem } from "../checks/tool.ts"
import type { NotGiven } from "../checks/wiring.ts"
import { Subpipeline } from "../control/index.ts"
import { ErrorSummary } from "../Event.ts"
import type { Interceptor } from "../Interceptor.ts"
import * as options from "../internal/options.ts"
import * as Pipeline from "../Pipeline.ts"
import type { Current } from "../Snapshot.ts"
import * as Stage from "../Stage.ts"
import { StageContext } from "../StageContext.ts"
import type { StageTimeout } from "../StageError.ts"
import type { Approvals } from "./Approvals.ts"
import type { Diff } from "./Diff.ts"
import { define, type Definition, definitionOf } from "./internal/definition.ts"
import { currentCall, type Invocation } from "./internal/invocation.ts"
import { contentOf, mostCharacters } from "./internal/shortened.ts"
import type { UndoStore } from "./UndoStore.ts"

const TypeId = "~stageflow/tools/Tool"

/** What a tool is told of its call. */
export type { Invocation }

/**
 * What anybody may know of a tool.
 */
export interface Facts {
  readonly name: string
  /** What it does, for the model that chooses it. */
  readonly description: string | undefined
  /** What kind of action it is, by which it can be found, too. */
  readonly actionType: string
  readonly parameters: Schema.Top
  readonly success: Schema.Top
  readonly failure: Schema.Top
  /** The execution modes in which it may be used; all when there are none. */
  readonly behaviours: ReadonlyArray<string> | undefined
  /** Whether it never, always or sometimes needs an approval. */
  readonly approval: "never" | "always" | "sometimes"
  /** Whether what it did can be taken back. */
  readonly isUndoable: boolean
  /** Whether to do it twice is the same as to do it once. */
  readonly isIdempotent: boolean
  /** Whether what it does can never be taken back. */
  readonly isIrreversible: boolean
  /** The type of the artifact that its result is, where it is one. */
  readonly artifactType: string | undefined
  /** How many calls of it run at once at most. */
  readonly concurrency: number
}

/**
 * A tool called `Name` that takes `Parameters`, gives `Success`, may fail with `Error` and needs `Services`.
 */
export interface Tool<
  out Name extends string,
  in out Parameters,
  out Success,
  out Error = never,
  out Services = never
> extends Facts, Pipeable {
  readonly [TypeId]: {
    readonly parameters: (_: Parameters) => Parameters
    readonly success: Success
    readonly error: Error
    readonly services: Services
  }
  readonly name: Name
}

/** Any tool. */
export interface Any extends Facts, Pipeable {
  readonly [TypeId]: {
    readonly parameters: (_: never) => unknown
    readonly success: unknown
    readonly error: unknown
    readonly services: unknown
  }
}

/** What a tool takes. */
export type Parameters<T extends Any> = ReturnType<T[typeof TypeId]["parameters"]>
/** What a tool gives. */
export type Success<T extends Any> = T[typeof TypeId]["success"]
/** What a tool can fail with. */
export type Error<T extends Any> = T[typeof TypeId]["error"]
/** What a tool needs. */
export type Services<T extends Any> = T[typeof TypeId]["services"]

const Prototype = {
  [TypeId]: { parameters: undefined, success: undefined, error: undefined, services: undefined },
  pipe() {
    return pipeArguments(this, arguments)
  },
  toJSON(this: Any) {
    return { _id: "Tool", name: this.name, actionType: this.actionType }
  }
}

/**
 * Whether a value is a tool.
 */
export const isTool = (u: unknown): u is Any =>
  // A tool inherits its mark. One that is a key of the object itself came with data.
  typeof u === "object" && u !== null && TypeId in u && !Object.hasOwn(u, TypeId)

const build = <T>(facts: Facts, definition: Definition): T =>
  define(Object.freeze(Object.assign(Object.create(Prototype) as object, facts)), definition) as T

// ---------------------------------------------------------------------------------------------------------------------
// making
// ---------------------------------------------------------------------------------------------------------------------

/** What a tool takes that takes nothing. */
export const NoParameters = Schema.Record(Schema.String, Schema.Never)

/** What a tool takes that takes nothing. */
export type NoParameters = typeof NoParameters.Type

/**
 * What is to be known of a tool besides what it does.
 */
export interface Manner<P, W extends "never" | "always", AR, CR, T> {
  /** What it does, for the model that chooses it. */
  readonly description?: string | undefined
  /** What kind of action it is, by which it can be found, too; its name when left out. */
  readonly actionType?: string | undefined
  /** The execution modes in which it may be used. When left out it may be used in all. */
  readonly behaviours?: ReadonlyArray<string> | undefined
  /** Whether somebody has to approve it: `"never"` (when left out), `"always"`, or what an Effect says of the parameters. */
  readonly needsApproval?: W | ((parameters: NoInfer<P>) => Effect.Effect<boolean, never, AR>) | undefined
  /** What whoever approves it is asked. */
  readonly approvalMessage?: string | ((parameters: NoInfer<P>) => string) | undefined
  /** What it would change, for whoever approves it. */
  readonly change?: ((parameters: NoInfer<P>) => Effect.Effect<Diff | undefined, never, CR>) | undefined
  /** The type of the artifact that its result is. */
  readonly artifactType?: string | undefined
  /** Whether to do it twice is the same as to do it once. */
  readonly idempotent?: boolean | undefined
  /** Whether what it does can never be taken back, which a policy may want to know. It cannot have an `undo` then. */
  readonly irreversible?: boolean | undefined
  /** How long one attempt of it may take. */
  readonly timeout?: T | undefined
  /** How many calls of it run at once at most. */
  readonly concurrency?: number | undefined
  /** How long it may take to take it back; 30 seconds when left out. */
  readonly undoLimit?: Duration.Input | undefined
}

/** What a tool is made from. */
export interface Options<P, S, F, A, E, R, W extends "never" | "always", AR, CR, UE, UR, T>
  extends Manner<P, W, AR, CR, T>
{
  /** What it takes; nothing when left out. */
  readonly parameters?: Schema.Codec<P, any> | undefined
  /** What it gives; nothing when left out. */
  readonly success?: Schema.Codec<S, any> | undefined
  /** What it can fail with; nothing when left out. */
  readonly failure?: Schema.Codec<F, any> | undefined
  /** What it does. */
  readonly run: (parameters: NoInfer<P>, call: Invocation) => Effect.Effect<A, E, R>
  /** Takes back what it did, by what it gave. */
  readonly undo?: ((success: NoInfer<S>, parameters: NoInfer<P>) => Effect.Effect<unknown, UE, UR>) | undefined
}

/** What a part of a tool needs that may not be there. */
type Given<R> = [R] extends [NotGiven] ? [NotGiven] extends [R] ? never : R : R

/** What a tool needs: its ports, somebody to ask, and somewhere to keep what can be taken back. */
export type Needs<R, W, AR, CR, UR> =
  | Ports<R | Given<AR> | Given<CR> | Given<UR>>
  | ("always" extends W ? Approvals : NotGiven extends AR ? never : Approvals)
  | (NotGiven extends UR ? never : UndoStore)

/** What a tool can fail with that has a timeout. */
export type Late<T> = [T] extends [never] ? never : StageTimeout

interface UntypedManner {
  readonly description?: string | undefined
  readonly actionType?: string | undefined
  readonly behaviours?: ReadonlyArray<string> | undefined
  readonly needsApproval?: Definition["needsApproval"] | undefined
  readonly approvalMessage?: Definition["approvalMessage"] | undefined
  readonly change?: Definition["change"]
  readonly artifactType?: string | undefined
  readonly idempotent?: boolean | undefined
  readonly irreversible?: boolean | undefined
  readonly timeout?: Duration.Input | undefined
  readonly concurrency?: number | undefined
  readonly undo?: Definition["undo"]
  readonly undoLimit?: Duration.Input | undefined
}

interface UntypedOptions extends UntypedManner {
  readonly parameters?: Schema.Top | undefined
  readonly success?: Schema.Top | undefined
  readonly failure?: Schema.Top | undefined
  readonly run: (parameters: unknown, call: Invocation) => unknown
}

const mannerNames = [
  "description",
  "actionType",
  "behaviours",
  "needsApproval",
  "approvalMessage",
  "change",
  "artifactType",
  "idempotent",
  "irreversible",
  "timeout",
  "concurrency",
  "undo",
  "undoLimit"
] as const

const optionally = <A, B>(given: A | undefined, check: (given: A) => B): B | undefined =>
  given === undefined ? undefined : check(given)

const isBehaviours = (given: unknown): given is ReadonlyArray<string> =>
  Array.isArray(given) && given.length > 0 && given.every((name) => typeof name === "string" && name.trim() !== "")

const isApproval = (given: unknown): given is Definition["needsApproval"] =>
  given === "never" || given === "always" || typeof given === "function"

const isMessage = (given: unknown): given is Definition["approvalMessage"] =>
  typeof given === "string" || typeof given === "function"

interface Schemas {
  readonly parameters: Schema.Top
  readonly success: Schema.Top
  readonly failure: Schema.Top
}

type RunTool = (parameters: unknown, call: Invocation) => unknown

/** The stage that a tool is run as. What it has done is kept before anything can interrupt that. */
const stageOf = (name: string, { failure, success }: Schemas, run: RunTool, timeout: Duration.Duration | undefined) => {
  const body = (parameters: unknown): Effect.Effect<object, unknown, unknown> =>
    Effect.flatMap(currentCall, (call) =>
      Effect.uninterruptibleMask((restore) =>
        Effect.flatMap(
          restore(Effect.suspend(() => asEffect(name, run(parameters, call)))),
          (value) => Effect.as(call.done(value), { value })
        )
      ))
  const stage = Stage.make("work", name as never, {
    // What stages are made of knows no types here: the signatures of the constructors do.
    output: Schema.Struct({ value: success }) as unknown as Schema.Codec<{ readonly value: unknown }>,
    error: failure as unknown as Schema.Codec<unknown>,
    run: body as never
  }) as unknown as Stage.Stage<string, unknown, object>
  return timeout === undefined ? stage : Stage.timeout(stage, timeout)
}

const madeOf = (givenName: string, schemas: Schemas, run: RunTool, manner: UntypedManner): unknown => {
  const name = options.name("name", givenName)
  const timeout = optionally(manner.timeout, (given) => options.positiveDuration("timeout", given))
  const isIrreversible = options.flag("irreversible", manner.irreversible ?? false)
  const undo = optionally(manner.undo, (given) => options.callable("undo", given))
  if (isIrreversible && undo !== undefined) {
    throw new options.InvalidOption({ option: "irreversible", expected: "no `undo` beside it", given: "both" })
  }
  const needsApproval = options.ofKind(
    "needsApproval",
    "\"never\", \"always\", or a function that gives an Effect",
    isApproval,
    manner.needsApproval ?? "never"
  )
  const facts: Facts = {
    name,
    description: optionally(manner.description, (given) => options.text("description", given)),
    actionType: options.name("actionType", manner.actionType ?? name),
    ...schemas,
    behaviours: optionally(manner.behaviours, (given) => {
      const names = options.ofKind("behaviours", "the names of execution modes, one at least", isBehaviours, given)
      return Object.freeze([...names])
    }),
    approval: typeof needsApproval === "function" ? "sometimes" : needsApproval,
    isUndoable: undo !== undefined,
    isIdempotent: options.flag("idempotent", manner.idempotent ?? false),
    isIrreversible,
    artifactType: optionally(manner.artifactType, (given) => options.name("artifactType", given)),
    concurrency: options.concurrency("concurrency", manner.concurrency ?? "unbounded")
  }
  return build(facts, {
    stage: stageOf(name, schemas, run, timeout),
    needsApproval,
    approvalMessage: options.ofKind(
      "approvalMessage",
      "a text, or a function of the parameters that gives one",
      isMessage,
      manner.approvalMessage ?? `Run "${name}"?`
    ),
    change: optionally(manner.change, (given) => options.callable("change", given)),
    undo,
    undoLimit: options.positiveDuration("undoLimit", manner.undoLimit ?? "30 seconds")
  })
}

/**
 * Makes a tool.
 *
 * Its parameters are checked before anything of it runs, and what it gives before anybody gets it. With `needsApproval` it
 * needs `Approvals`, with `undo` an `UndoStore`.
 */
export const make = <
  const Name extends string,
  P = NoParameters,
  S = void,
  F = never,
  A = NotGiven,
  E = never,
  R = never,
  W extends "never" | "always" = "never",
  AR = NotGiven,
  CR = NotGiven,
  UE = never,
  UR = NotGiven,
  T extends Duration.Input = never
>(
  name: Checked<Name, ToolProblem<Name, S, F, A, E>>,
  given: Options<P, S, F, A, E, R, W, AR, CR, UE, UR, T>
): Tool<Name, P, S, F | Late<T>, Needs<R, W, AR, CR, UR>> => {
  const names = ["parameters", "success", "failure", "run", ...mannerNames] as const
  // The signature says what the options are of; the value does not know.
  const { failure, parameters, run, success, ...manner } = options.fields<UntypedOptions>(
    "options",
    names,
    given as unknown as UntypedOptions
  )
  const schemas = {
    parameters: options.schema("parameters", parameters) ?? NoParameters,
    success: options.schema("success", success) ?? Schema.Void,
    failure: options.schema("failure", failure) ?? Schema.Never
  }
  return madeOf(name as string, schemas, options.callable("run", run as RunTool), manner) as never
}

/** What a pipeline gives as a tool. */
type GivenBy<N extends Pipeline.AnyNode, V> = Subpipeline.DefaultData<N, V>

type PipelineProblem<S, V> = [V] extends [S] ? never
  : `success: the pipeline gives something that the schema does not take; see Pipeline.returns`

/** What a pipeline takes as a tool. */
type TakenBy<N extends Pipeline.AnyNode> = [Taken<N>] extends [never] ? NoParameters : Taken<N>

/** What a tool fails with that runs a pipeline. */
type PipelineError<N extends Pipeline.AnyNode, E, V> =
  | Subpipeline.SubpipelineFailed<Pipeline.Failure<N, E, {}, V>>
  | Subpipeline.SubpipelineCancelled

/**
 * Makes a tool of a pipeline, under the pipeline's name: `Tool.fromPipeline(research, { description, success })`.
 *
 * It takes what the pipeline takes and gives what that returns, or else the data of its stages by their names. The run of the
 * pipeline belongs to whom the call belongs to, and is in the same execution mode. A pipeline that is cancelled fails the
 * tool with `SubpipelineCancelled`.
 */
export const fromPipeline = <
  const Name extends string,
  N extends Pipeline.AnyNode,
  E,
  R,
  V,
  S,
  W extends "never" | "always" = "never",
  AR = NotGiven,
  CR = NotGiven,
  UE = never,
  UR = NotGiven,
  T extends Duration.Input = never
>(
  name: Name,
  pipeline: Pipeline.Pipeline<N, E, R, V>,
  given: Manner<TakenBy<N>, W, AR, CR, T> & {
    /** What it gives. */
    readonly success: Checked<Schema.Codec<S, any>, PipelineProblem<S, GivenBy<N, V>>>
    /** Takes back what it did, by what it gave. */
    readonly undo?: ((success: NoInfer<S>, parameters: TakenBy<N>) => Effect.Effect<unknown, UE, UR>) | undefined
  }
): Tool<
  Name,
  TakenBy<N>,
  S,
  PipelineError<N, E, V> | Late<T>,
  Needs<Pipeline.Services<N, R, Current>, W, AR, CR, UR>
> => {
  const body = options.ofKind(
    "pipeline",
    "a pipeline; see Pipeline.make",
    Pipeline.isPipeline,
    pipeline as Pipeline.Any
  )
  const names = ["success", ...mannerNames] as const
  const { success, ...manner } = options.fields<UntypedManner & { readonly success?: Schema.Top }>(
    "options",
    names,
    given as unknown as UntypedManner
  )
  const schemas = {
    parameters: body.input ?? NoParameters,
    success: options.schema("success", success) ?? Schema.Void,
    failure: Schema.Never
  }
  // What the pipeline takes and gives is said by the signature.
  const stage = Subpipeline.stage(name as never, body as never, { onCancel: "fail" } as never) as unknown as Stage.Any
  const run = stage.run as (parameters: unknown) => unknown
  return madeOf(name, schemas, run, manner) as never
}

// ---------------------------------------------------------------------------------------------------------------------
// effect/ai
// ---------------------------------------------------------------------------------------------------------------------

const conversation = ({ messages }: Current): ReadonlyArray<Prompt.Message> =>
  messages.flatMap(({ content, role }): ReadonlyArray<Prompt.Message> => {
    const text = [Prompt.textPart({ text: content })]
    if (role === "system") return [Prompt.systemMessage({ content })]
    if (role === "user") return [Prompt.userMessage({ content: text })]
    // A result that says of no call that it is its own is no message of a prompt.
    return role === "assistant" ? [Prompt.assistantMessage({ content: text })] : []
  })

/** The need for approvals of a tool of `effect/ai`, which may depend on the conversation. */
const approvalOf = ({ needsApproval }: AiTool.Any): Definition["needsApproval"] => {
  if (needsApproval === undefined || needsApproval === false) return "never"
  if (needsApproval === true) return "always"
  return (parameters) =>
    Effect.flatMap(StageContext, ({ snapshot, stage }) => {
      const asked = needsApproval(parameters, { toolCallId: stage, messages: conversation(snapshot) })
      return Effect.isEffect(asked) ? asked : Effect.succeed(asked)
    })
}

/**
 * Makes a tool of one of `effect/ai`, with what that does not know: what it does, and what is to be known of it.
 *
 * Its schemas, description and need for approvals are those of the tool, and so it needs `Approvals`. A tool that has JSON
 * Schema for its parameters cannot be checked before it runs, so it is refused; so is one that its provider runs.
 */
export const fromAi = <
  const Name extends string,
  P extends Schema.Top,
  S extends Schema.Top,
  F extends Schema.Top,
  Mode extends AiTool.FailureMode,
  Requirements,
  E extends F["Type"],
  R,
  CR = NotGiven,
  UE = never,
  UR = NotGiven,
  T extends Duration.Input = never
>(
  tool: AiTool.Tool<
    Name,
    { readonly parameters: P; readonly success: S; readonly failure: F; readonly failureMode: Mode },
    Requirements
  >,
  given: Omit<Manner<P["Type"], "never", never, CR, T>, "description" | "needsApproval"> & {
    /** What it does. */
    readonly run: (parameters: P["Type"], call: Invocation) => Effect.Effect<S["Type"], E, R>
    /** Takes back what it did, by what it gave. */
    readonly undo?: ((success: S["Type"], parameters: P["Type"]) => Effect.Effect<unknown, UE, UR>) | undefined
  }
): Tool<
  Name,
  P["Type"],
  S["Type"],
  F["Type"] | Late<T>,
  Requirements | Needs<R, "always", NotGiven, CR, UR>
> => {
  const isOurs = (u: unknown): u is AiTool.Any =>
    Predicate.hasProperty(u, AiTool.TypeId) && !AiTool.isProviderDefined(u)
    && (!AiTool.isDynamic(u) || u.jsonSchema === undefined)
  const ai = options.ofKind("tool", "a tool of effect/ai that has schemas and is run by a handler", isOurs, tool)
  const names = ["run", ...mannerNames.filter((name) => name !== "description" && name !== "needsApproval")] as const
  const { run, ...manner } = options.fields<Omit<UntypedOptions, "description" | "needsApproval">>(
    "options",
    names as never,
    given as never
  )
  const schemas = { parameters: ai.parametersSchema, success: ai.successSchema, failure: ai.failureSchema }
  const description = AiTool.getDescription(ai)
  return madeOf(ai.name as string, schemas, options.callable("run", run as RunTool), {
    ...manner,
    ...(description === undefined ? {} : { description }),
    needsApproval: approvalOf(ai)
  }) as never
}

/** What a model is told of a tool that failed or did not run: never more than what its message says. */
export const AiFailure = ErrorSummary

/**
 * A tool as one of `effect/ai`.
 */
export type Ai<T extends Any> = AiTool.Tool<
  T["name"],
  {
    readonly parameters: Schema.Codec<Parameters<T>, any>
    readonly success: Schema.Codec<Success<T>, any>
    readonly failure: typeof AiFailure
    readonly failureMode: "return"
  },
  StageContext
>

/**
 * The tool as one of `effect/ai`, for a `Toolkit`: its name, description and schemas, and annotations for what is known of it.
 *
 * `Tools.toolkit` makes the toolkit whose handlers run it, with gates and approvals.
 */
export const toAi = <T extends Any>(tool: T): Ai<T> => {
  const { description, failure: _failure, isIdempotent, isIrreversible, name, parameters, success } = options.ofKind(
    "tool",
    "a tool; see Tool.make",
    isTool,
    tool as Any
  )
  const encode = Schema.encodeUnknownResult(Schema.toCodecJson(success as unknown as Schema.Codec<unknown>))
  const textFor = (value: unknown): string => {
    const json = Result.getOrElse(encode(value), () => null)
    return typeof json === "string" ? json : JSON.stringify(json ?? null)
  }
  const made = AiTool.make(name, {
    ...(description === undefined ? {} : { description }),
    parameters,
    success,
    failure: AiFailure,
    failureMode: "return",
    toModelOutput: (value) => [Prompt.textPart({ text: contentOf(textFor(value), mostCharacters).content })]
  })
    .addDependency(StageContext)
    .annotate(AiTool.Idempotent, isIdempotent)
    .annotate(AiTool.Destructive, isIrreversible)
  // The schemas are those of the tool's types.
  return made as unknown as Ai<T>
}

// ---------------------------------------------------------------------------------------------------------------------
// combinators
// ---------------------------------------------------------------------------------------------------------------------

/**
 * Wraps the tool with an interceptor, as `Stage.intercept` wraps a stage. It goes around the run of the tool: whoever has to
 * approve it is asked once, whatever is tried again inside.
 */
export const intercept: {
  <E2, R2, Provided>(interceptor: Interceptor<E2, R2, Provided>): <Name extends string, P, S, E, R>(
    self: Tool<Name, P, S, E, R>
  ) => Tool<Name, P, S, E | E2, Exclude<R, Provided> | R2>
  <Name extends string, P, S, E, R, E2, R2, Provided>(
    self: Tool<Name, P, S, E, R>,
    interceptor: Interceptor<E2, R2, Provided>
  ): Tool<Name, P, S, E | E2, Exclude<R, Provided> | R2>
} = dual(
  2,
  <Name extends string, P, S, E, R, E2, R2, Provided>(
    self: Tool<Name, P, S, E, R>,
    interceptor: Interceptor<E2, R2, Provided>
  ): Tool<Name, P, S, E | E2, Exclude<R, Provided> | R2> => {
    const { stage, ...definition } = definitionOf(self)
    // The stage's types are the tool's, which say what the interceptor changes.
    const wrapped = Stage.intercept(stage as Stage.Stage<string, unknown, object>, interceptor)
    return build(Struct.pick(self, factNames), { ...definition, stage: wrapped as unknown as Stage.Any })
  }
)

const factNames = [
  "name",
  "description",
  "actionType",
  "parameters",
  "success",
  "failure",
  "behaviours",
  "approval",
  "isUndoable",
  "isIdempotent",
  "isIrreversible",
  "artifactType",
  "concurrency"
] as const satisfies ReadonlyArray<keyof Facts>
