/**
 * Records the calls of a port in the run log, and answers them from there: a recorded run becomes a test.
 *
 * `record` goes around the Layer of the port. Every call that a stage makes is then kept in the record of that stage: its
 * arguments, and what came of it. `RunLog.layerRecorded` makes a Layer of the port that answers the same calls with the same
 * answers, without the port itself. Schemas say how values are written, by method; without one they have to be plain data.
 *
 * ```ts
 * import { Context, Effect, Layer, Schema } from "effect"
 * import { PortRecording, RunLog, type RunRecord } from "stageflow/observability"
 *
 * class LlmDown extends Schema.TaggedError<LlmDown>()("LlmDown", {}) {}
 * class Llm extends Context.Service<Llm, { readonly ask: (prompt: string) => Effect.Effect<string, LlmDown> }>()("Llm") {}
 *
 * const llm = PortRecording.make(Llm, { ask: { error: LlmDown } })
 *
 * const live = llm.record(Layer.succeed(Llm, { ask: (prompt) => Effect.succeed(`You said: ${prompt}`) }))
 *
 * const recorded = (run: RunRecord.RunRecord): Layer.Layer<Llm> => RunLog.layerRecorded(run, llm)
 * ```
 *
 * Calls are found by the stage that makes them, their method and their arguments, each once. A call that was not recorded
 * dies with `CallNotRecorded`. One that was interrupted does not answer: what interrupted it then does so again.
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { errorSummaryOf } from "../attempt/error-summary.ts"
import { immutable } from "../internal/immutable.ts"
import * as options from "../internal/options.ts"
import {
  type Answer,
  type AnyEffect,
  type AnyStream,
  type Asked,
  changed,
  type ErrorOf,
  type Member,
  type Method,
  type SuccessOf
} from "../internal/port-answers.ts"
import { describeProblems } from "../internal/problems.ts"
import { jsonCodec } from "../internal/schema-json.ts"
import { StageContext } from "../StageContext.ts"
import { PortCalls } from "./internal/port-calls.ts"
import type { PortCall, Writable } from "./internal/run-recorder.ts"
import type { KeptValue, RecordedCall, RunRecord } from "./RunRecord.ts"

type ElementOf<X> = X extends Stream.Stream<infer A, unknown, unknown> ? A : SuccessOf<X>

/**
 * How the values of a method are written. Without a schema they have to be plain data.
 */
export interface MethodSchemas<in out Args, in out A, in out E> {
  /** Of all arguments together, as a list. */
  readonly args?: Schema.Codec<Args, any> | undefined
  /** Of what it gives: of one element, where it answers with a Stream. */
  readonly success?: Schema.Codec<A, any> | undefined
  readonly error?: Schema.Codec<E, any> | undefined
}

/**
 * How the values of a port are written, by method; `call` for a port that is a function.
 */
export type Schemas<S> = {
  readonly [M in Method<S>]?: MethodSchemas<
    Member<S, M> extends (...args: infer Args) => unknown ? Readonly<Args> : readonly [],
    ElementOf<Answer<Member<S, M>>>,
    ErrorOf<Answer<Member<S, M>>>
  >
}

/** The same for whatever port. */
type AnySchemas = Readonly<Record<string, MethodSchemas<any, any, any> | undefined>>

/**
 * A port whose calls are recorded.
 */
export interface PortRecording<in out Id, in out S> {
  readonly port: Context.Key<Id, S>
  readonly schemas: Schemas<S>
  /** Records the calls of the port that a Layer makes. Without a run log around a run they are not kept. */
  readonly record: <E, R>(layer: Layer.Layer<Id, E, R>) => Layer.Layer<Id, E, R>
}

/**
 * A call was made that nothing is recorded of, or whose answer was not kept.
 */
export class CallNotRecorded extends Schema.TaggedError<CallNotRecorded>()("CallNotRecorded", {
  port: Schema.String,
  method: Schema.String,
  stage: Schema.optionalKey(Schema.String),
  reason: Schema.String
}) {
  readonly code = "CALL_NOT_RECORDED"
  override get message(): string {
    const by = this.stage === undefined ? "" : ` by stage "${this.stage}"`
    return `The call of "${this.method}" of port "${this.port}"${by} cannot be answered from the run: ${this.reason}`
  }
}

// ---------------------------------------------------------------------------------------------------------------------
// recording
// ---------------------------------------------------------------------------------------------------------------------

/** Of a stream, more elements than these are not kept. */
const mostElements = 10_000

const codecsOf = (schemas: MethodSchemas<any, any, any> | undefined) => ({
  args: jsonCodec(schemas?.args),
  success: jsonCodec(schemas?.success),
  error: jsonCodec(schemas?.error)
})

type Codecs = ReturnType<typeof codecsOf>

/** Stands for what throws when it is read. */
const unreadable = Symbol("stageflow/unreadable")

/** A value as it is now: whoever has it may change it, and it is written later. */
const asItIs = (value: unknown, codec: Codecs["args"]): Writable => ({
  value: Result.getOrElse(Result.try(() => immutable(value)), () => unreadable),
  write: codec.write
})

const tooMany: Writable = {
  value: undefined,
  write: () => Effect.fail([{ path: [], message: `More than ${mostElements} elements are not kept` }])
}

const endOf = (exit: Exit.Exit<unknown, unknown>, codecs: Codecs): PortCall["end"] => {
  if (exit._tag === "Success") return { _tag: "Succeeded", value: asItIs(exit.value, codecs.success) }
  const error = Cause.findErrorOption(exit.cause)
  if (Option.isSome(error)) {
    return { _tag: "Failed", error: asItIs(error.value, codecs.error), summary: errorSummaryOf(error.value) }
  }
  if (Cause.hasInterruptsOnly(exit.cause)) return { _tag: "Interrupted" }
  const defect = Cause.squash(exit.cause)
  return { _tag: "Died", defect, summary: errorSummaryOf(defect) }
}

/** One call that goes on. */
class Call {
  private readonly elements: Array<Writable> = []
  private readonly fields: Omit<PortCall, "endedAt" | "elements" | "end">
  private readonly codecs: Codecs
  private readonly clock: Clock.Clock
  private readonly tell: ReadonlyArray<(call: PortCall) => void>

  constructor(
    port: string,
    { args, isMember, method }: Asked,
    codecs: Codecs,
    context: StageContext["Service"],
    fiber: Fiber.Fiber<unknown, unknown>,
    tell: ReadonlyArray<(call: PortCall) => void>
  ) {
    const { attempt, lineage: { runId }, stage } = context
    this.clock = Context.get(fiber.context, Clock.Clock)
    this.codecs = codecs
    this.tell = tell
    const startedAt = this.clock.currentTimeMillisUnsafe()
    const asked = isMember === true ? { method, isMember } : { method }
    this.fields = { runId, stage, attempt, port, ...asked, startedAt, args: asItIs(args, codecs.args) }
  }

  readonly element = (value: unknown): void => {
    if (this.elements.length > mostElements) return
    this.elements.push(this.elements.length === mostElements ? tooMany : asItIs(value, this.codecs.success))
  }

  ended(exit: Exit.Exit<unknown, unknown>, isStream: boolean): Effect.Effect<void> {
    return Effect.sync(() => {
      const call: PortCall = {
        ...this.fields,
        endedAt: this.clock.currentTimeMillisUnsafe(),
        elements: isStream ? this.elements : undefined,
        end: endOf(exit, this.codecs)
      }
      // Keeping a call changes nothing of it.
      for (const tell of this.tell) Result.try(() => tell(call))
    })
  }
}

/** Begins a call that a stage makes where somebody keeps account of it. */
const begin = (
  port: string,
  asked: Asked,
  codecs: Codecs,
  fiber: Fiber.Fiber<unknown, unknown>
): Call | undefined => {
  const tell = Context.get(fiber.context, PortCalls)
  const context = Option.getOrUndefined(Context.getOption(fiber.context, StageContext))
  return tell.length === 0 || context === undefined ? undefined : new Call(port, asked, codecs, context, fiber, tell)
}

const recorded = <S>(port: string, service: S, schemas: AnySchemas): S => {
  const codecs = new Map<string, Codecs>()
  const of = (method: string): Codecs => {
    const known = codecs.get(method) ?? codecsOf(Object.hasOwn(schemas, method) ? schemas[method] : undefined)
    codecs.set(method, known)
    return known
  }
  return changed(service, {
    effect: (asked, answer) =>
      Effect.withFiber((fiber) => {
        const call = begin(port, asked, of(asked.method), fiber)
        return call === undefined ? answer : Effect.onExit(answer, (exit) => call.ended(exit, false))
      }),
    stream: (asked, answer) =>
      Stream.unwrap(Effect.withFiber((fiber) => {
        const call = begin(port, asked, of(asked.method), fiber)
        if (call === undefined) return Effect.succeed(answer)
        return Effect.succeed(
          answer.pipe(
            Stream.tap((element) => Effect.sync(() => call.element(element))),
            Stream.onExit((exit) => call.ended(exit, true))
          )
        )
      }))
  })
}

/**
 * Makes the recording of a port, with the schemas of the values of its methods where these are no plain data.
 */
export const make = <Id, S>(port: Context.Key<Id, S>, schemas: Schemas<NoInfer<S>> = {}): PortRecording<Id, S> => {
  for (const [method, given] of Object.entries(schemas as AnySchemas)) {
    const { args, error, success } = options.fields(method, ["args", "success", "error"], given ?? {})
    for (const [name, schema] of Object.entries({ args, success, error })) options.schema(`${method}.${name}`, schema)
  }
  return {
    port,
    schemas,
    record: (layer) =>
      Layer.effect(
        port,
        Effect.map(Effect.service(port), (service) => recorded(port.key, service, schemas as AnySchemas))
      ).pipe(Layer.provide(layer))
  }
}

// ---------------------------------------------------------------------------------------------------------------------
// answering
// ---------------------------------------------------------------------------------------------------------------------

/** A recorded call that waits to be made again. */
interface Waiting {
  readonly stage: string
  readonly call: RecordedCall
  isUsed: boolean
}

const callsIn = (run: RunRecord, port: string): ReadonlyArray<Waiting> =>
  run.stages.flatMap(({ calls = [], name, runs }) => [
    ...calls.filter((call) => call.port === port).map((call) => ({ stage: name, call, isUsed: false })),
    ...runs.flatMap((child) => callsIn(child, port))
  ])

/** JSON with its keys in one order. */
const inOneOrder = (json: unknown): unknown => {
  if (Array.isArray(json)) return json.map(inOneOrder)
  if (typeof json !== "object" || json === null) return json
  return Object.fromEntries(
    Object.entries(json).toSorted(([a], [b]) => a < b ? -1 : 1).map(([key, value]) => [key, inOneOrder(value)])
  )
}

const textOf = (json: unknown): string => JSON.stringify(inOneOrder(json))

/** The arguments as text, where all of them were kept. */
const keptArgs = ({ args }: RecordedCall): string | undefined =>
  args._tag === "Kept" && args.redacted === undefined ? textOf(args.json) : undefined

/** The calls of one port, each to be answered once. */
class Answers {
  private readonly port: string
  private readonly schemas: AnySchemas
  private readonly waiting: ReadonlyArray<Waiting>

  constructor(port: string, schemas: AnySchemas, run: RunRecord) {
    this.port = port
    this.schemas = schemas
    this.waiting = callsIn(run, port)
  }

  isStream(method: string): boolean {
    return this.waiting.some(({ call }) => call.method === method && call.elements !== undefined)
  }

  /** Whether it is no function: an Effect or a Stream itself. */
  isMember(method: string): boolean {
    return this.waiting.some(({ call }) => call.method === method && call.isMember === true)
  }

  private codecs(method: string): Codecs {
    return codecsOf(Object.hasOwn(this.schemas, method) ? this.schemas[method] : undefined)
  }

  private notRecorded(method: string, stage: string | undefined, reason: string): CallNotRecorded {
    return new CallNotRecorded({ port: this.port, method, ...(stage === undefined ? {} : { stage }), reason })
  }

  /** The recorded call that this one is. */
  private find({ args, method }: Asked): Effect.Effect<RecordedCall> {
    return Effect.gen({ self: this }, function*() {
      const context = yield* Effect.serviceOption(StageContext)
      const stage = Option.getOrUndefined(context)?.stage
      const given = yield* Effect.result(this.codecs(method).args.write(args))
      const text = Result.isSuccess(given) ? textOf(given.success) : undefined
      const left = this.waiting.filter(({ call, isUsed }) => call.method === method && !isUsed)
      const found = left.find((waiting) =>
        waiting.stage === stage && keptArgs(waiting.call) === text && text !== undefined
      )
        ?? left.find(({ call }) => keptArgs(call) === text && text !== undefined)
        // Where the arguments were not kept, calls are answered in their order.
        ?? left.find((waiting) => waiting.stage === stage && keptArgs(waiting.call) === undefined)
      if (found === undefined) {
        const all = this.waiting.filter(({ call }) => call.method === method)
        const reason = all.length === 0
          ? "no call of it was recorded"
          : left.length === 0
          ? `${all.length} call(s) of it were recorded, and all have been made`
          : "it was called with other arguments"
        return yield* Effect.die(this.notRecorded(method, stage, reason))
      }
      found.isUsed = true
      return found.call
    })
  }

  private value(call: RecordedCall, kept: KeptValue, codec: Codecs["args"]): Effect.Effect<unknown> {
    const dies = (reason: string) => Effect.die(this.notRecorded(call.method, undefined, reason))
    if (kept._tag === "NotKept") return dies(`its answer was not kept (${kept.detail ?? kept.reason})`)
    if (kept.redacted !== undefined) return dies("a part of its answer was left out")
    return Effect.catch(
      codec.read(kept.json),
      (problems) => dies(`its answer no longer fits: ${describeProblems(problems)}`)
    )
  }

  private end(call: RecordedCall): AnyEffect {
    const { end, method } = call
    const { error, success } = this.codecs(method)
    switch (end._tag) {
      case "Succeeded":
        return call.elements === undefined ? this.value(call, end.value, success) : Effect.void
      case "Failed":
        return Effect.flatMap(this.value(call, end.error, error), (value) => Effect.fail(value))
      case "Died":
        return Effect.die(new Error(end.summary.message))
      case "Interrupted":
        return Effect.never
    }
  }

  effect(asked: Asked): AnyEffect {
    return Effect.flatMap(this.find(asked), (call) => this.end(call))
  }

  stream(asked: Asked): AnyStream {
    const { success } = this.codecs(asked.method)
    return Stream.unwrap(Effect.map(this.find(asked), (call) =>
      Stream.concat(
        Stream.mapEffect(Stream.fromIterable(call.elements ?? []), (element) => this.value(call, element, success)),
        Stream.drain(Stream.fromEffect(this.end(call)))
      )))
  }

  /** Of a method that was never called nobody knows what it gives: it may be no Effect. */
  answer(asked: Asked): AnyEffect | AnyStream {
    if (!this.waiting.some(({ call }) => call.method === asked.method)) {
      throw this.notRecorded(asked.method, undefined, "no call of it was recorded")
    }
    return this.isStream(asked.method) ? this.stream(asked) : this.effect(asked)
  }
}

/** A port that knows nothing but what was recorded. What it is asked for is found out when it is asked for. */
const answering = (answers: Answers): unknown =>
  new Proxy((...args: ReadonlyArray<unknown>) => answers.answer({ method: "call", args }), {
    get: (target, key, receiver): unknown => {
      if (typeof key !== "string" || key.startsWith("~") || key === "then" || key === "toJSON") {
        return Reflect.get(target, key, receiver)
      }
      return answers.isMember(key)
        ? answers.answer({ method: key, args: [] })
        : (...args: ReadonlyArray<unknown>) => answers.answer({ method: key, args })
    }
  })

/** Answers the calls of ports with what was recorded in a run. Each Layer that is built answers every call once. */
export const layerAnswering = (
  run: RunRecord,
  recordings: ReadonlyArray<PortRecording<any, any>>
): Layer.Layer<any> =>
  Layer.effectContext(Effect.sync(() =>
    recordings.reduce(
      (context, { port, schemas }) => Context.add(context, port, answering(new Answers(port.key, schemas, run))),
      Context.empty() as Context.Context<any> // which ports there are is in the type of \`RunLog.layerRecorded\`
    )
  ))
