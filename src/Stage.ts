/**
 * Makes stages. A stage is a name, a kind and an Effect; it is immutable and pipeable.
 *
 * A stage without inputs is an Effect; a stage with inputs is a function of them, its contract, readable and testable
 * alone. What it needs (its ports) it takes from the environment; what it can fail with stands in its type.
 *
 * ```ts
 * import { Context, Effect, Schema } from "effect"
 * import { Stage } from "stageflow"
 *
 * class LlmDown extends Schema.TaggedError<LlmDown>()("LlmDown", {}) {}
 * class Llm extends Context.Service<Llm, {
 *   readonly ask: (prompt: string) => Effect.Effect<string, LlmDown>
 * }>()("app/Llm") {}
 *
 * const answer = Stage.transform("answer", {
 *   output: Schema.Struct({ text: Schema.String }),
 *   run: Effect.fnUntraced(function*(inputs: { readonly question: { readonly text: string } }) {
 *     const llm = yield* Llm
 *     return { text: yield* llm.ask(inputs.question.text) }
 *   })
 * }).pipe(Stage.timeout("30 seconds"))
 * ```
 *
 * The kind says what a stage is for, to readers, graphs, events and interceptors:
 *
 * | kind | for |
 * |---|---|
 * | transform | changing data or making new data: text processing, a model's answer |
 * | enrich | adding context: a profile, memory, documents |
 * | route | deciding which path to take; its data has a `route` |
 * | guard | checking and stopping: validation, policy, safety |
 * | work | side effects: writes, notifications |
 * | agent | interactive logic with tools |
 */
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { dual } from "effect/Function"
import type * as Layer from "effect/Layer"
import { type Pipeable, pipeArguments } from "effect/Pipeable"
import * as Schema from "effect/Schema"
import * as Sink from "effect/Sink"
import * as Stream from "effect/Stream"
import { onStage } from "./attempt/composition.ts"
import { gateOfAnnotation } from "./attempt/gate.ts"
import type { Around, StageEffect, StageInfo } from "./attempt/interceptor-model.ts"
import { causeOfInvalidData, normalize } from "./attempt/outcome.ts"
import { retryOwn, type RetryPolicy } from "./attempt/retry.ts"
import { runStream, type StreamBody } from "./attempt/stream-body.ts"
import { type Streamed, StreamedStage } from "./attempt/streamed.ts"
import { timeoutAround } from "./attempt/timeout.ts"
import { type Wrapped, wrappedOf } from "./attempt/wrapped.ts"
import type { OneOf } from "./checks/sentence.ts"
import type { NoDuration, NoPolicy } from "./checks/settings.ts"
import type { CheckedName, FailsWith, Gives, Needs, NoData, Ports, Returned } from "./checks/stage.ts"
import type { Interceptor } from "./Interceptor.ts"
import { type EventsOption, tellingOf } from "./internal/chosen-events.ts"
import { type AnyGenerator, isGenerator } from "./internal/generator.ts"
import { immutable } from "./internal/immutable.ts"
import * as options from "./internal/options.ts"
import { changedOk } from "./internal/output-model.ts"
import { effectOfPromise } from "./internal/promise.ts"
import type { Current } from "./internal/snapshot-model.ts"
import { StageContext } from "./StageContext.ts"
import { type RetryExhausted, StageFault, type StageTimeout } from "./StageError.ts"
import type { Data, Errors, Signal } from "./StageOutput.ts"

const TypeId = "~stageflow/Stage"

/**
 * What a stage is for.
 */
export type Kind = "transform" | "enrich" | "route" | "guard" | "work" | "agent"

const kinds: ReadonlyArray<Kind> = ["transform", "enrich", "route", "guard", "work", "agent"]

/**
 * A stage called `Name` that takes `Input`, gives `Data`, may end with `Signals`, fail with `Error` and needs
 * `Services`.
 *
 * `Input` is `unknown` for a stage without inputs. `Signals` are `"skip"`, `"cancel"` and `"retry"`, and `Streams<Chunk>` of
 * a stage that streams.
 */
export interface Stage<
  out Name extends string,
  in Input,
  out Data,
  out Signals = never,
  out Error = never,
  out Services = never
> extends Pipeable {
  readonly [TypeId]: {
    readonly input: (_: Input) => void
    readonly data: Data
    readonly signals: Signals
    readonly error: Error
    readonly services: Services
  }
  readonly name: Name
  readonly kind: Kind
  /** What the stage does, without the combinators around it. */
  readonly run: (input: Input) => Effect.Effect<unknown, unknown, Services | StageContext>
  /** The schema of its data, when it has one. */
  readonly output: Schema.Top | undefined
  /** The schema of its errors, when it has one. */
  readonly error: Schema.Top | undefined
  readonly annotations: Context.Context<never>
}

/**
 * Any stage.
 */
export interface Any extends Pipeable {
  readonly [TypeId]: {
    readonly input: (_: never) => void
    readonly data: unknown
    readonly signals: unknown
    readonly error: unknown
    readonly services: unknown
  }
  readonly name: string
  readonly kind: Kind
  readonly run: (input: never) => Effect.Effect<unknown, unknown, unknown>
  readonly output: Schema.Top | undefined
  readonly error: Schema.Top | undefined
  readonly annotations: Context.Context<never>
}

/** The inputs of a stage. */
export type Input<S extends Any> = S[typeof TypeId]["input"] extends (_: infer I) => void ? I : never
/** The data of a stage. */
export type DataOf<S extends Any> = S[typeof TypeId]["data"]
/** The outcomes besides `Ok` and `Fail` that a stage may end with. */
export type Signals<S extends Any> = S[typeof TypeId]["signals"]
/** The typed errors of a stage. */
export type Error<S extends Any> = S[typeof TypeId]["error"]
/** The services that a stage needs. */
export type Services<S extends Any> = S[typeof TypeId]["services"]

const Prototype = {
  [TypeId]: { input: undefined, data: undefined, signals: undefined, error: undefined, services: undefined },
  pipe() {
    return pipeArguments(this, arguments)
  },
  toJSON(this: Any) {
    return { _id: "Stage", name: this.name, kind: this.kind }
  }
}

type Fields = Omit<Any & Wrapped, typeof TypeId | "pipe">

const build = <S>(fields: Fields): S => Object.freeze(Object.assign(Object.create(Prototype), fields)) as S

const fieldsOf = (self: Any): Fields => {
  const { annotations, error, kind, name, output, run } = self
  const { arounds, gates } = wrappedOf(self)
  return { annotations, arounds, gates, error, kind, name, output, run }
}

/**
 * Whether a value is a stage.
 */
export const isStage = (u: unknown): u is Any =>
  // A stage inherits its mark. One that is a key of the object itself came with data.
  typeof u === "object" && u !== null && TypeId in u && !Object.hasOwn(u, TypeId)

// ---------------------------------------------------------------------------------------------------------------------
// constructors
// ---------------------------------------------------------------------------------------------------------------------

/** An Effect that gives data and errors that the schemas take. */
type Body<A, E, R, D, X> =
  & Effect.Effect<A, E, R>
  & Effect.Effect<NoInfer<Returned<D, X>>, NoInfer<X>, NoInfer<R>>

/** What the stage `Name` runs: an Effect, or a function of the inputs that gives one or is a generator. */
type Run<_Name extends string, In, A, E, R, Y, G, O, D, X> =
  | Body<A, E, R, D, X>
  | ((inputs: In) => Body<A, E, R, D, X> | Generator<Y, G, never> | O)

/**
 * What a stage is made from.
 *
 * `run` is an Effect or, for a stage with inputs, a function of them: one that gives an Effect, or a generator function
 * as `Effect.gen` takes it. What a generator returns keeps its literal types.
 *
 * With an `output` schema the data is validated where it is produced, and no reader ever sees data that it rejects. The
 * data is then what the schema names: other keys, which a wider object may have, are left out of it. `output` and `error`
 * are also what lets a result be encoded.
 */
export interface Options<Name extends string, In, A, E, R, Y, G, O, D, X> {
  readonly run: Run<Name, In, A, E, R, Y, G, O, D, X>
  readonly output?: Schema.Codec<D, any> | undefined
  readonly error?: Schema.Codec<X, any> | undefined
}

/**
 * The stage called `Name` with such inputs, whose `run` gives `A`, fails with `E` and needs `R`, and whose `output` schema
 * has data `D`.
 */
export type Made<Name extends string, In, A, E, R, D> = Stage<
  Name,
  In,
  unknown extends D ? Data<A> : D,
  Signal<A, R>,
  Errors<A, E>,
  Ports<R>
>

const validated = (schema: Schema.Top): Around => {
  // Data is validated as it is, not decoded: what a stage gives is already of the schema's type.
  const validate = Schema.decodeUnknownEffect(Schema.toType(schema) as Schema.Codec<unknown>)
  return (effect, stage) =>
    Effect.flatMap(effect, (outcome): StageEffect =>
      outcome._tag !== "Ok"
        ? Effect.succeed(outcome)
        : Effect.matchCauseEffect(Effect.suspend(() => validate(outcome.data, { errors: "all" })), {
          onFailure: (cause) => Effect.failCause(causeOfInvalidData(stage.name, cause)),
          onSuccess: (data) => Effect.succeed(changedOk(outcome, { data }))
        }))
}

/** A function that gives a generator is run as one: anew each time. */
const runOf = (run: Effect.Effect<unknown, unknown, unknown> | ((inputs: never) => unknown)): Any["run"] => {
  if (typeof run !== "function") return () => run
  return (inputs) => {
    const returned = run(inputs)
    if (Effect.isEffect(returned)) return returned
    if (!isGenerator(returned)) return returned as never // what is no Effect is told when it is run
    let first: AnyGenerator | undefined = returned
    return Effect.gen(() => {
      const generator = first ?? run(inputs) as AnyGenerator // it gave one before
      first = undefined
      return generator
    })
  }
}

/**
 * Makes a stage of any kind; the six kinds below are this with the kind given.
 */
export const make = <
  const Name extends string,
  In = unknown,
  D = unknown,
  X = unknown,
  A = Returned<D>,
  E = never,
  R = never,
  Y = never,
  const G = Returned<D>,
  O = never
>(
  kind: Kind,
  name: CheckedName<Name, Gives<A, G, O>, FailsWith<E, Y>, O, D, X>,
  given: Options<Name, In, A, E, R, Y, G, O, D, X>
): Stage<
  Name,
  In,
  unknown extends D ? Data<Gives<A, G, O>> : D,
  Signal<Gives<A, G, O>, Needs<R, Y>>,
  Errors<Gives<A, G, O>, FailsWith<E, Y>>,
  Ports<Needs<R, Y>>
> => {
  const isOptions = (value: unknown): value is typeof given => typeof value === "object" && value !== null
  const { error, output, run } = options.ofKind("options", "an object", isOptions, given)
  return build({
    name,
    kind: options.oneOf("kind", kinds, kind),
    run: runOf(run),
    output: options.schema("output", output),
    error: options.schema("error", error),
    annotations: Context.empty(),
    arounds: output === undefined ? [] : [validated(output)],
    gates: []
  })
}

interface Make {
  <
    const Name extends string,
    In = unknown,
    D = unknown,
    X = unknown,
    A = Returned<D>,
    E = never,
    R = never,
    Y = never,
    const G = Returned<D>,
    O = never
  >(
    name: CheckedName<Name, Gives<A, G, O>, FailsWith<E, Y>, O, D, X>,
    options: Options<Name, In, A, E, R, Y, G, O, D, X>
  ): Stage<
    Name,
    In,
    unknown extends D ? Data<Gives<A, G, O>> : D,
    Signal<Gives<A, G, O>, Needs<R, Y>>,
    Errors<Gives<A, G, O>, FailsWith<E, Y>>,
    Ports<Needs<R, Y>>
  >
}

const ofKind = (kind: Kind): Make => (name, options) => make(kind, name, options)

/**
 * Changes data or makes new data: text processing, a model's answer.
 */
export const transform: Make = ofKind("transform")

/**
 * Adds context without changing the data: a profile, memory, documents.
 */
export const enrich: Make = ofKind("enrich")

/**
 * Decides which path to take. Its data has a `route`, which `s.name.is(route)` asks for.
 */
export const route: Make = ofKind("route")

/**
 * Checks something and stops what must not go on: validation, policy, safety.
 */
export const guard: Make = ofKind("guard")

/**
 * Has side effects: writes, notifications, analytics.
 */
export const work: Make = ofKind("work")

/**
 * Interactive logic, often with tools.
 */
export const agent: Make = ofKind("agent")

/**
 * Makes a stage from a function that returns a promise.
 *
 * The signal fires when the stage is interrupted. The stage then waits for the promise, up to the grace of whoever
 * interrupted it: a promise that heeds the signal is never left behind. What the promise rejects with goes through
 * `catch`; a value it resolves with is read like what any stage returns.
 */
export const promise = <const Name extends string, In = unknown, A = object | void, E = never>(
  name: CheckedName<Name, A, E, never, unknown, unknown>,
  options: {
    /** `"transform"` when left out. */
    readonly kind?: Kind | undefined
    readonly try: (inputs: In, context: {
      readonly signal: AbortSignal
      readonly snapshot: Current
    }) => PromiseLike<A> & PromiseLike<NoInfer<object | void>>
    readonly catch: (error: unknown) => E
  }
): Stage<Name, In, Data<A>, Signal<A> | Signal<E>, Errors<A, E>> =>
  // `name` is a Name when nothing is wrong with the stage, and its own check says that nothing is.
  make<Name, In, unknown, unknown, never, E, StageContext>(options.kind ?? "transform", name as never, {
    run: (inputs: In): Effect.Effect<never, E, StageContext> =>
      Effect.flatMap(
        StageContext,
        ({ snapshot }) => effectOfPromise((signal) => options.try(inputs, { signal, snapshot }), options.catch)
      ) as Effect.Effect<never, E, StageContext>
  }) as never

// ---------------------------------------------------------------------------------------------------------------------
// stages that stream
// ---------------------------------------------------------------------------------------------------------------------

declare const chunks: unique symbol

/**
 * Stands among the signals of a stage that streams chunks of type `Chunk` while it runs.
 */
export interface Streams<out Chunk> {
  readonly [chunks]: Chunk
}

/** The chunks that a stage streams; `never` for one that does not. */
export type ChunkOf<S extends Any> = Signals<S> extends infer Signal ?
  Signal extends Streams<infer Chunk> ? Chunk : never
  : never

/**
 * Makes the data of a stage of its chunks, one after the other.
 */
export interface Fold<Chunk, Data> {
  /** What there is before the first chunk. */
  readonly initial: () => Data
  readonly step: (data: Data, chunk: Chunk) => Data
}

/**
 * What a stage that streams is made from.
 */
export interface StreamOptions<In, Chunk, E, R, Data, E2, R2> {
  /** `"transform"` when left out. */
  readonly kind?: Kind | undefined
  /** The stream, or a function of the inputs that gives it. */
  readonly run: Stream.Stream<Chunk, E, R> | ((inputs: In) => Stream.Stream<Chunk, E, R>)
  /** Makes the data of the stage of all its chunks: a Sink, or a fold. */
  readonly collect: Sink.Sink<Data, NoInfer<Chunk>, unknown, E2, R2> | Fold<NoInfer<Chunk>, Data>
  /** The schema of its chunks. Each is validated before anybody sees it. */
  readonly chunk?: Schema.Codec<Chunk, any> | undefined
  /** The schema of its data, and of its errors; see `Options`. */
  readonly output?: Schema.Codec<Data, any> | undefined
  readonly error?: Schema.Codec<E, any> | undefined
  /** How many chunks are held for each reader at most; 16 when left out. */
  readonly buffer?: number | undefined
  /**
   * What becomes of the stage when all who read its chunks have left, and no stage waits for its data: `"stop"`, the default,
   * stops the stream, and the data is what was collected until then; `"go-on"` streams to the end.
   */
  readonly whenUnread?: "stop" | "go-on" | undefined
  /**
   * Makes chunks of the data again, for readers of a stage whose data comes from a cache or a fallback. Without it their
   * stream fails with `StreamFailed`, for the reason `NotStreamed`.
   */
  readonly replay?: ((data: Data) => Iterable<NoInfer<Chunk>>) | undefined
  /** Which chunks are told of as events of the type `stream.chunk`: `"none"`, the default, or as of the items of a for-each. */
  readonly events?: EventsOption | undefined
}

const streamKeys = [
  "kind",
  "run",
  "collect",
  "chunk",
  "output",
  "error",
  "buffer",
  "whenUnread",
  "replay",
  "events"
] as const

const isFold = (given: unknown): given is Fold<unknown, unknown> =>
  typeof given === "object" && given !== null && "initial" in given && "step" in given
  && typeof given.initial === "function" && typeof given.step === "function"

const isCollect = (given: unknown): given is Fold<unknown, unknown> | Sink.Sink<unknown, unknown, unknown> =>
  isFold(given) || Sink.isSink(given)

const isStreaming = (given: unknown): given is object => typeof given === "function" || Stream.isStream(given)

/**
 * Makes a stage that streams: who reads `s.answer.stream` is given its chunks while it runs, and everybody else waits for its
 * data, which is what `collect` makes of all chunks.
 *
 * ```ts
 * import { Stream } from "effect"
 * import { Stage } from "stageflow"
 *
 * const answer = Stage.stream("answer", {
 *   run: Stream.make("It ", "works"),
 *   collect: { initial: () => ({ text: "" }), step: ({ text }, token) => ({ text: text + token }) }
 * })
 * ```
 *
 * At most `buffer` chunks are held for each reader: a producer that is faster waits. A reader starts when the stream begins.
 * When it leaves early, fails or is interrupted, and nobody else reads, the stream is stopped; see `whenUnread`.
 *
 * A stream that failed begins anew, under a retry for one, as long as no reader has taken a chunk of it, or those who have
 * say that they can start over. Otherwise the stage fails with a `StageFault` for the reason `StreamTaken`.
 */
export const stream = <
  const Name extends string,
  In = unknown,
  Chunk = never,
  E = never,
  R = never,
  Data = never,
  E2 = never,
  R2 = never
>(
  name: StreamName<Name, Data>,
  given: StreamOptions<In, Chunk, E, R, Data, E2, R2>
): Stage<
  Name,
  In,
  Data,
  Streams<Chunk> | Signal<never, R | R2>,
  Errors<never, E | E2>,
  Ports<R | R2>
> => {
  const { buffer, chunk, collect, error, events, kind, output, replay, run, whenUnread } = options.fields<
    StreamOptions<In, Chunk, E, R, Data, E2, R2>
  >("options", streamKeys, given)
  const body = runStream({
    run: options.ofKind("run", "a Stream, or a function that gives one", isStreaming, run),
    // The types of the chunks are known above, where they have to fit.
    collect: options.ofKind("collect", "a Sink, or { initial, step }", isCollect, collect) as StreamBody["collect"],
    chunk: options.schema("chunk", chunk),
    telling: events === undefined || events === "none" ? undefined : tellingOf(events)
  })
  const stage = make(kind ?? "transform", name as never, { run: body as never, output, error } as never) as Any
  const streamed: Streamed = {
    capacity: options.positiveCount("buffer", buffer ?? 16),
    goesOn: options.oneOf("whenUnread", ["stop", "go-on"], whenUnread ?? "stop") === "go-on",
    // It is given what the stage gives.
    replay: replay === undefined ? undefined : options.callable("replay", replay) as Streamed["replay"]
  }
  const annotations = Context.add(stage.annotations, StreamedStage, streamed) as Context.Context<never> // see `annotate`
  return build({ ...fieldsOf(stage), annotations })
}

/** The name itself when the data is data, otherwise the sentence. */
type StreamName<Name extends string, D> = [D] extends [object] ? Name
  : [NoData<D>] extends [never] ? Name
  : NoInfer<`stage '${Name}', collect: it gives ${OneOf<NoData<D>> & string}; data must be an object`>

// ---------------------------------------------------------------------------------------------------------------------
// combinators
// ---------------------------------------------------------------------------------------------------------------------

const wrap = <S>(self: Any, around: Around): S => {
  const fields = fieldsOf(self)
  return build({ ...fields, arounds: [...fields.arounds, around] })
}

/**
 * Limits how long one attempt of the stage may take; 30 seconds when nothing is given.
 *
 * The attempt is interrupted and fails with `StageTimeout`. An attempt that ignores its interruption is abandoned after
 * the grace (10 seconds unless `InterruptionGrace` or `grace` says otherwise), and the error says so. Timeouts nest, and
 * one inside a `retry` limits each attempt, one outside all of them together.
 */
export const timeout: {
  (
    duration?: Duration.Input,
    options?: { readonly grace?: Duration.Input | undefined }
  ): <Name extends string, In, D, S, E, R>(
    self: Stage<Name, In, D, S, E, R>
  ) => Stage<Name, In, D, S, E | StageTimeout, R>
  <Name extends string, In, D, S, E, R>(
    self: Stage<Name, In, D, S, E, R>,
    duration?: Duration.Input,
    options?: { readonly grace?: Duration.Input | undefined }
  ): Stage<Name, In, D, S, E | StageTimeout, R>
  /** What fits neither: the compiler says what is wrong. */
  <const Given, const Limit = undefined>(
    given: Given extends Any | Duration.Input | undefined ? Given : NoInfer<NoDuration<Given>>,
    duration?: Limit extends Duration.Input | undefined ? Limit : NoInfer<NoDuration<Limit>>,
    options?: { readonly grace?: Duration.Input | undefined }
  ): unknown
} = dual(
  (args) => isStage(args[0]),
  <Name extends string, In, D, S, E, R>(
    self: Stage<Name, In, D, S, E, R>,
    duration: Duration.Input = "30 seconds",
    options?: { readonly grace?: Duration.Input | undefined }
  ): Stage<Name, In, D, S, E | StageTimeout, R> => wrap(self, timeoutAround(duration, options?.grace))
)

/**
 * Runs the stage again when it fails with a typed error, times out or asks for it. What is not given is 3 attempts, with
 * waits that double from 1 second to at most 30 and full jitter.
 *
 * A schedule alone is a policy: its recurrences are the attempts after the first. `while` looks at the typed error and
 * says whether another attempt makes sense. Defects and invalid outputs are tried once, unless `faults` is true. What
 * `StageOutput.retry(reason, { after })` asks for is waited for at least.
 *
 * When the policy has no more attempts the stage fails with its last error, or with `RetryExhausted` when it was still
 * asking for another.
 */
export const retry: {
  <E = unknown, R2 = never>(
    policy?: RetryPolicy<E, R2>
  ): <Name extends string, In, D, S, E1 extends E, R>(
    self: Stage<Name, In, D, S, E1, R> & Failing<E>
  ) => Stage<Name, In, D, Exclude<S, "retry">, E1 | Exhausted<S>, R | R2>
  <Name extends string, In, D, S, E, R, R2 = never>(
    self: Stage<Name, In, D, S, E, R>,
    policy?: RetryPolicy<E, R2>
  ): Stage<Name, In, D, Exclude<S, "retry">, E | Exhausted<S>, R | R2>
  /** What fits neither: the compiler says what is wrong. */
  <const Given, const Policy = undefined>(
    given: Given extends Any ? Given : NoInfer<NoPolicy<Given, PolicyKey>>,
    policy?: Policy extends undefined ? Policy : NoInfer<NoPolicy<Policy, PolicyKey>>
  ): unknown
} = dual(
  (args) => isStage(args[0]),
  <Name extends string, In, D, S, E, R, R2 = never>(
    self: Stage<Name, In, D, S, E, R>,
    policy?: RetryPolicy<E, R2>
  ): Stage<Name, In, D, Exclude<S, "retry">, E | Exhausted<S>, R | R2> => wrap(self, retryOwn(policy))
)

type PolicyKey = "schedule" | "attempts" | "while" | "faults" | "cap"

/** A stage that fails with `E`: in a pipe the compiler learns from it what error a policy is asked about. */
interface Failing<out E> {
  readonly [TypeId]: { readonly error: E }
}

/**
 * The error of a stage that asks for a retry which nobody grants.
 */
export type Exhausted<Signals> = "retry" extends Signals ? RetryExhausted : never

/**
 * Wraps the stage with an interceptor.
 */
export const intercept: {
  <E2, R2, P>(interceptor: Interceptor<E2, R2, P>): <Name extends string, In, D, S, E, R>(
    self: Stage<Name, In, D, S, E, R>
  ) => Stage<Name, In, D, S, E | E2, Exclude<R, P> | R2>
  <Name extends string, In, D, S, E, R, E2, R2, P>(
    self: Stage<Name, In, D, S, E, R>,
    interceptor: Interceptor<E2, R2, P>
  ): Stage<Name, In, D, S, E | E2, Exclude<R, P> | R2>
} = dual(
  2,
  <Name extends string, In, D, S, E, R, E2, R2, P>(
    self: Stage<Name, In, D, S, E, R>,
    interceptor: Interceptor<E2, R2, P>
  ): Stage<Name, In, D, S, E | E2, Exclude<R, P> | R2> => {
    const { around, gates } = onStage(interceptor)
    const fields = fieldsOf(self)
    return build({
      ...fields,
      arounds: around === undefined ? fields.arounds : [...fields.arounds, around],
      gates: [...gates, ...fields.gates]
    })
  }
)

/**
 * Handles the stage's typed errors with another Effect, whose result is read like what a stage returns.
 *
 * Defects and invalid outputs are not typed errors, so it does not catch them.
 */
const catch_: {
  <E, A2 extends object | void, E2, R2>(
    f: (error: E) => Effect.Effect<A2, E2, R2>
  ): <Name extends string, In, D, S, R>(
    self: Stage<Name, In, D, S, E, R>
  ) => Stage<Name, In, D | Data<A2>, S | Signal<A2, R2>, Errors<A2, E2>, R | Ports<R2>>
  <Name extends string, In, D, S, E, R, A2 extends object | void, E2, R2>(
    self: Stage<Name, In, D, S, E, R>,
    f: (error: E) => Effect.Effect<A2, E2, R2>
  ): Stage<Name, In, D | Data<A2>, S | Signal<A2, R2>, Errors<A2, E2>, R | Ports<R2>>
} = dual(
  2,
  <Name extends string, In, D, S, E, R, A2 extends object | void, E2, R2>(
    self: Stage<Name, In, D, S, E, R>,
    f: (error: E) => Effect.Effect<A2, E2, R2>
  ): Stage<Name, In, D | Data<A2>, S | Signal<A2, R2>, Errors<A2, E2>, R | Ports<R2>> =>
    wrap(self, (effect, stage) =>
      Effect.catch(effect, (error) =>
        error instanceof StageFault
          ? Effect.fail(error)
          // What is no fault is one of the stage's typed errors.
          : normalize(stage.name, f(error as E))))
)

export {
  /**
   * Handles the stage's typed errors with another Effect, whose result is read like what a stage returns.
   *
   * Defects and invalid outputs are not typed errors, so it does not catch them.
   */
  catch_ as catch
}

/**
 * Makes the inputs from other inputs, so that a stage fits a pipeline it was not written for.
 */
export const mapInput: {
  <In2, In>(
    f: (inputs: In2) => In
  ): <Name extends string, D, S, E, R>(self: Stage<Name, In, D, S, E, R>) => Stage<Name, In2, D, S, E, R>
  <Name extends string, In, D, S, E, R, In2>(
    self: Stage<Name, In, D, S, E, R>,
    f: (inputs: In2) => In
  ): Stage<Name, In2, D, S, E, R>
} = dual(
  2,
  <Name extends string, In, D, S, E, R, In2>(
    self: Stage<Name, In, D, S, E, R>,
    f: (inputs: In2) => In
  ): Stage<Name, In2, D, S, E, R> =>
    build({ ...fieldsOf(self), run: (inputs: In2) => Effect.suspend(() => self.run(immutable(f(inputs)))) })
)

/**
 * Changes the data of the stage. An `output` schema still validates what the stage itself gives, before the change.
 */
export const mapOutput: {
  <D, D2 extends object>(
    f: (data: D) => D2
  ): <Name extends string, In, S, E, R>(self: Stage<Name, In, D, S, E, R>) => Stage<Name, In, D2, S, E, R>
  <Name extends string, In, D, S, E, R, D2 extends object>(
    self: Stage<Name, In, D, S, E, R>,
    f: (data: D) => D2
  ): Stage<Name, In, D2, S, E, R>
} = dual(
  2,
  <Name extends string, In, D, S, E, R, D2 extends object>(
    self: Stage<Name, In, D, S, E, R>,
    f: (data: D) => D2
  ): Stage<Name, In, D2, S, E, R> => {
    const fields = fieldsOf(self)
    const around: Around = (effect, stage) =>
      Effect.flatMap(effect, (outcome): StageEffect =>
        outcome._tag !== "Ok"
          ? Effect.succeed(outcome)
          : normalize(
            stage.name,
            // What the stage gives is D.
            Effect.sync(() => changedOk(outcome, { data: f(outcome.data as D) }))
          ))
    return build({ ...fields, output: undefined, arounds: [...fields.arounds, around] })
  }
)

/**
 * Gives the stage ports of its own.
 */
export const provide: {
  <P, E2, R2>(layer: Layer.Layer<P, E2, R2>): <Name extends string, In, D, S, E, R>(
    self: Stage<Name, In, D, S, E, R>
  ) => Stage<Name, In, D, S, E | E2, Exclude<R, P> | R2>
  <Name extends string, In, D, S, E, R, P, E2, R2>(
    self: Stage<Name, In, D, S, E, R>,
    layer: Layer.Layer<P, E2, R2>
  ): Stage<Name, In, D, S, E | E2, Exclude<R, P> | R2>
} = dual(
  2,
  <Name extends string, In, D, S, E, R, P, E2, R2>(
    self: Stage<Name, In, D, S, E, R>,
    layer: Layer.Layer<P, E2, R2>
  ): Stage<Name, In, D, S, E | E2, Exclude<R, P> | R2> => wrap(self, (effect) => Effect.provide(effect, layer))
)

/**
 * Gives the stage another name, to have it in a pipeline a second time.
 */
export const as: {
  <const Name2 extends string>(name: Name2): <Name extends string, In, D, S, E, R>(
    self: Stage<Name, In, D, S, E, R>
  ) => Stage<Name2, In, D, S, E, R>
  <Name extends string, In, D, S, E, R, const Name2 extends string>(
    self: Stage<Name, In, D, S, E, R>,
    name: Name2
  ): Stage<Name2, In, D, S, E, R>
} = dual(
  2,
  <Name extends string, In, D, S, E, R, const Name2 extends string>(
    self: Stage<Name, In, D, S, E, R>,
    name: Name2
  ): Stage<Name2, In, D, S, E, R> => build({ ...fieldsOf(self), name })
)

/**
 * Annotates the stage with the value of a `Context.Reference`, for interceptors and graphs to read.
 */
export const annotate: {
  <I, V>(key: Context.Key<I, V>, value: V): <Name extends string, In, D, S, E, R>(
    self: Stage<Name, In, D, S, E, R>
  ) => Stage<Name, In, D, S, E, R>
  <Name extends string, In, D, S, E, R, I, V>(
    self: Stage<Name, In, D, S, E, R>,
    key: Context.Key<I, V>,
    value: V
  ): Stage<Name, In, D, S, E, R>
} = dual(
  3,
  <Name extends string, In, D, S, E, R, I, V>(
    self: Stage<Name, In, D, S, E, R>,
    key: Context.Key<I, V>,
    value: V
  ): Stage<Name, In, D, S, E, R> => {
    const fields = fieldsOf(self)
    // The plan is made when the pipeline is first run, where nobody would know who gave it.
    if (key.key === Priority.key) options.whole("priority", value as number)
    // Annotations are read with the key that they were made with.
    const annotations = Context.add(fields.annotations, key, value) as Context.Context<never>
    const gate = gateOfAnnotation(key, value)
    return build({ ...fields, annotations, gates: gate === undefined ? fields.gates : [gate, ...fields.gates] })
  }
)

/**
 * The priority of a stage, as an annotation: 0 unless `priority` sets it.
 */
export const Priority = Context.Reference<number>("stageflow/Stage/Priority", { defaultValue: () => 0 })

/**
 * Gives the stage a priority: where a limit of `concurrency` makes ready stages wait, the one with the highest starts next,
 * and of equals the one that was declared first. It is a whole number, and 0 for stages that have none.
 *
 * Nothing waits for ever: every stage that goes first raises those that wait by one. So a stage of priority 10 goes before
 * one of priority 0 that has let fewer than 10 others go first since it was ready. Without a limit priorities change
 * nothing.
 */
export const priority: {
  (priority: number): <Name extends string, In, D, S, E, R>(
    self: Stage<Name, In, D, S, E, R>
  ) => Stage<Name, In, D, S, E, R>
  <Name extends string, In, D, S, E, R>(
    self: Stage<Name, In, D, S, E, R>,
    priority: number
  ): Stage<Name, In, D, S, E, R>
} = dual(
  2,
  <Name extends string, In, D, S, E, R>(
    self: Stage<Name, In, D, S, E, R>,
    priority: number
  ): Stage<Name, In, D, S, E, R> => annotate(self, Priority, priority)
)

export type { EventsOption, RetryPolicy, Returned, StageInfo }
export { StallLimit } from "./attempt/stall-limit.ts"
export { InterruptionGrace } from "./internal/interruption.ts"
