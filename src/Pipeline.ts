/**
 * Wires stages into a pipeline, and runs it.
 *
 * A pipeline is immutable data: which stages there are and how they are wired. What the stages do stays in the stages.
 * A stage can only be wired to stages that were added before it, so a cycle cannot be written. What does not fit is a
 * compile error that names the stage and the input. Graphs that come from data use `fromSpecs`, which reports every
 * problem at once as one typed error.
 *
 * A pipeline holds nothing of a run: one value can be run any number of times at once.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import { dual } from "effect/Function"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import { type Pipeable, pipeArguments } from "effect/Pipeable"
import * as Predicate from "effect/Predicate"
import * as Outcome from "effect/Result"
import type * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { gateOfAnnotation } from "./attempt/gate.ts"
import type { InlineInput, InlineName, InlineNames, InlineSkips, InlineStage } from "./checks/inline.ts"
import type { NamedOutputs } from "./checks/opaque.ts"
import type { OptionsAfter, SnapshotProblem } from "./checks/run.ts"
import type { First } from "./checks/sentence.ts"
import type { FailsWith, Gives } from "./checks/stage.ts"
import type {
  Added,
  AnyNode,
  ByName,
  BySource,
  Checked,
  Found,
  GivenPipeline,
  Handles,
  InputNode,
  KnownAfters,
  Learned,
  Names,
  Node,
  NotGiven,
  Parts,
  ReturnsProblem,
  RootNode,
  RootProblem,
  StagesBefore,
  StagesOf,
  WiringProblem,
  WiringSkips
} from "./checks/wiring.ts"
import * as Emission from "./Emission.ts"
import { compile } from "./engine/compile.ts"
import { lint as lintPlan, type Warning } from "./engine/lint.ts"
import { type Edge, inputName, type Plan, type PlannedStage, planOf, type ReturnedValue } from "./engine/plan.ts"
import type { Runnable } from "./engine/runnable.ts"
import * as Runner from "./engine/runner.ts"
import * as Topology from "./engine/topology.ts"
import { unwiredStage, wiredSpecs, wiredStage } from "./engine/wired-stage.ts"
import type { Event, Of } from "./Event.ts"
import {
  type Any as AnyInterceptor,
  type ErrorOf,
  type FailsRun,
  isInterceptor,
  type ProvidedBy,
  type ServicesOf
} from "./Interceptor.ts"
import * as options from "./internal/options.ts"
import type { PipelineInvalid } from "./PipelineInvalid.ts"
import type { Chunk, Run, RunOptions, UnknownStage, WatchOptions } from "./Run.ts"
import type {
  Cancelled,
  Completed,
  CompletedWith,
  Incomplete,
  LayerFailed,
  StageFailed,
  ValueFailed
} from "./RunResult.ts"
import { type CarriedBy, isSnapshot, type Snapshot, type SnapshotInvalid } from "./Snapshot.ts"
import {
  type Any as AnySource,
  isSource,
  snapshot as snapshotSource,
  type Source,
  stage as stageSource,
  type Value as SourceValue
} from "./Source.ts"
import * as Stage from "./Stage.ts"
import type { StageContext } from "./StageContext.ts"
import type { RetryExhausted } from "./StageError.ts"
import type { Ok, Skip } from "./StageOutput.ts"

const TypeId = "~stageflow/Pipeline"

/**
 * A pipeline of the stages `Nodes`, whose interceptors and layers can fail with `Error` and need `Services`, and whose
 * runs give `Value` (`unknown` when nothing says what).
 */
export interface Pipeline<Nodes extends AnyNode, Error = never, Services = never, Value = unknown> extends Pipeable {
  readonly [TypeId]: {
    readonly nodes: (_: never) => Nodes
    readonly error: Error
    readonly services: Services
    readonly value: Value
  }
  readonly name: string
  /** The schema of what its runs take, when they take something. */
  readonly input: Schema.Top | undefined
  readonly annotations: Context.Context<never>

  /**
   * Adds a stage that takes no inputs and waits for nothing.
   */
  add<S extends Stage.Any | GivenPipeline>(stage: Checked<S, RootProblem<S, Nodes["name"]>>): Pipeline<
    Nodes | RootNode<S>,
    Error,
    Services,
    Value
  >
  /**
   * Adds a stage and says how it is wired.
   *
   * By name: `{ inputs: ["router", "profile?"], after: ["guard"] }`. Each input is the data of the stage of that name;
   * `"profile?"` reads it as an `Option`, which a stage that may skip asks for. `after` is order without data.
   *
   * By source, as a function of the stages before it: `(s) => ({ when: s.router.is("support"), inputs: { who:
   * s.profile.required }, after: ["guard"] })`. A stage whose `when` does not hold is skipped.
   */
  add<
    S extends Stage.Any,
    const Inputs extends Names = Names,
    const After extends Names = Names,
    Object = NotGiven,
    const W extends object = NotGiven
  >(
    stage: Checked<S, WiringProblem<S, Nodes["name"], Found<Nodes, Inputs>, Inputs, Object, W>>,
    wiring:
      | (ByName<S["name"], Nodes["name"], Inputs, After> & Learned<Object>)
      | (<Stages extends Handles<Nodes>>(stages: StagesBefore<S["name"], Stages>) => W & Parts)
  ): Pipeline<
    Nodes | Node<S["name"], Stage.DataOf<S>, Stage.Signals<S> | WiringSkips<W>, Stage.Error<S>, Stage.Services<S>>,
    Error,
    Services,
    Value
  >

  /**
   * Adds a stage that everything added after it waits for: a guard. It is wired as with `add`. A guard that is only added
   * guards nobody but the stages that wait for it.
   *
   * A gate that cancels, fails or is interrupted lets nothing pass; one that is skipped had nothing to check, and does. The
   * stages before it do not wait.
   */
  readonly gate: Pipeline<Nodes, Error, Services, Value>["add"]

  /** Adds a stage that changes data or makes new data, written here; see `AddInline`. */
  readonly transform: AddInline
  /** Adds a stage that adds context, written here; see `AddInline`. */
  readonly enrich: AddInline
  /** Adds a stage that decides which path to take, written here; see `AddInline`. */
  readonly route: AddInline
  /** Adds a stage that checks and stops, written here; see `AddInline`. */
  readonly guard: AddInline
  /** Adds a stage that has side effects, written here; see `AddInline`. */
  readonly work: AddInline
  /** Adds a stage of interactive logic, written here; see `AddInline`. */
  readonly agent: AddInline

  /**
   * Merges both pipelines into one, side by side. Their stages must have different names; the interceptors of both wrap
   * all of them.
   */
  merge<N2 extends AnyNode, E2, R2, V2>(
    that: Checked<Pipeline<N2, E2, R2, V2>, Clash<Nodes, N2, Value, V2>>
  ): Pipeline<Nodes | N2, Error | E2, Services | R2, EitherValue<Value, V2>>

  /**
   * Puts the other pipeline behind this one: its stages without dependencies start after the stages named in `after`, or
   * after every stage here that nothing waits for.
   */
  extend<N2 extends AnyNode, E2, R2, V2>(
    that: Checked<Pipeline<N2, E2, R2, V2>, Clash<Nodes, N2, Value, V2>>,
    options?: { readonly after?: ReadonlyArray<Nodes["name"]> | undefined }
  ): Pipeline<Nodes | N2, Error | E2, Services | R2, EitherValue<Value, V2>>

  /**
   * Says what a run of the pipeline gives, as a source: `.returns((s) => s.answer.map(({ text }) => text))`. It is the
   * result's `value`.
   *
   * With an `output` schema the value is validated, and encoded as the schema says.
   */
  returns<N extends AnyNode, E, R, V, S, D = unknown>(
    this: Pipeline<N, E, R, V>,
    value: <Stages extends Handles<N>>(stages: StagesBefore<"returns", Stages>) => Checked<S, ReturnsProblem<S, D, V>>,
    options?: { readonly output?: Schema.Codec<D, any> | undefined }
  ): Pipeline<N, E, R, unknown extends D ? SourceValue<S> : D>
}

/** The value of two pipelines in one: that of the one which returns something. */
type EitherValue<V1, V2> = unknown extends V1 ? V2 : V1

/**
 * What a stage is made from that is written where it is added.
 */
export interface InlineOptions<
  Name extends string,
  Inputs extends Names,
  After extends Names,
  Sources,
  When,
  A,
  E,
  R,
  Y,
  G,
  O,
  D,
  X,
  W,
  Nodes extends AnyNode
> extends
  Stage.Options<Name, InlineInput<Found<Nodes, Inputs>, Nodes["name"], Inputs, Sources>, A, E, R, Y, G, O, D, X>
{
  /** What `run` reads: names, with `"profile?"` for an Option, or a function that gives sources by key. */
  readonly inputs?:
    | InlineNames<Nodes["name"], Inputs>
    | (<Stages extends Handles<Nodes>>(stages: StagesBefore<Name, Stages>) => Sources)
  /** The stages that it waits for without reading them. */
  readonly after?: KnownAfters<Name, Nodes["name"], After>
  /** The condition without which it is skipped. */
  when?<Stages extends Handles<Nodes>>(stages: StagesBefore<Name, Stages>): When
  /**
   * What is put around it, written behind `run`: `Stage.timeout("5 seconds")`, or several, or a handler, as a function of
   * the stage: `(stage) => stage.pipe(Stage.timeout("5 seconds"), Stage.retry())`.
   */
  wrap?(
    stage: InlineStage<Name, InlineInput<Found<Nodes, Inputs>, Nodes["name"], Inputs, Sources>, A, E, R, Y, G, O, D>
  ): W
}

/**
 * Adds a stage that is written where it is added: `.transform("answer", { inputs: ["question"], run: (i) => ... })`.
 *
 * The inputs of `run` are inferred from the stages before it. `inputs` are names (`["router", "profile?"]`) or, as a
 * function that stands before `run`, sources (`(s) => ({ who: s.profile.required })`). `run` is an Effect, or a function of
 * the inputs that gives one or is a generator. `wrap` puts timeouts, retries and interceptors around the stage.
 *
 * Use it for a stage that belongs to one pipeline; one that is shared, or tested alone, is made with `Stage` and added with
 * `add`.
 */
export interface AddInline {
  <
    N extends AnyNode,
    PE,
    PR,
    PV,
    const Name extends string,
    const Inputs extends Names = [],
    const After extends Names = [],
    Sources = NotGiven,
    When = NotGiven,
    D = unknown,
    X = unknown,
    A = Stage.Returned<D>,
    E = never,
    R = never,
    Y = never,
    const G = Stage.Returned<D>,
    O = never,
    W extends Stage.Any = InlineStage<
      Name,
      InlineInput<Found<N, Inputs>, N["name"], Inputs, Sources>,
      A,
      E,
      R,
      Y,
      G,
      O,
      D
    >
  >(
    this: Pipeline<N, PE, PR, PV>,
    name: InlineName<
      Name,
      N["name"],
      Found<N, Inputs>,
      Inputs,
      Sources,
      When,
      Gives<A, G, O>,
      FailsWith<E, Y>,
      O,
      D,
      X,
      W
    >,
    options: InlineOptions<Name, Inputs, After, Sources, When, A, E, R, Y, G, O, D, X, W, N>
  ): Pipeline<
    N | Node<Name, Stage.DataOf<W>, Stage.Signals<W> | InlineSkips<Sources, When>, Stage.Error<W>, Stage.Services<W>>,
    PE,
    PR,
    PV
  >
}

type Clash<N1 extends AnyNode, N2 extends AnyNode, V1, V2> = First<
  NameClash<N1, N2>,
  unknown extends V1 | V2 ? never : `both pipelines say what they return; only one of them can`
>

type NameClash<N1 extends AnyNode, N2 extends AnyNode> = string extends N1["name"] | N2["name"] ? never
  : CheckedName extends N1["name"] & N2["name"] ? `both pipelines come from specs; make one pipeline of all their specs`
  : CheckedName extends N1["name"] | N2["name"] ? never
  : [Extract<N1, InputNode<unknown>>] extends [never] ? StageClash<N1, N2>
  : [Extract<N2, InputNode<unknown>>] extends [never] ? StageClash<N1, N2>
  : `both pipelines take an input; only one of them can`

type StageClash<N1 extends AnyNode, N2 extends AnyNode> = N2["name"] & N1["name"] extends infer Both extends string
  ? `both pipelines have a stage '${Both}'; Stage.as gives one another name`
  : never

/**
 * Any pipeline.
 */
export interface Any extends Pipeable {
  readonly [TypeId]: {
    readonly nodes: (_: never) => AnyNode
    readonly error: unknown
    readonly services: unknown
    readonly value: unknown
  }
  readonly name: string
  readonly input: Schema.Top | undefined
  readonly annotations: Context.Context<never>
}

/** The stages of a pipeline, as a union of nodes. */
export type Nodes<P extends Any> = P[typeof TypeId]["nodes"] extends (_: never) => infer N ? Extract<N, AnyNode> : never

/** What a stage is read by: any string where the compiler does not know its name. */
type Called<Name> = Name extends CheckedName ? string : Name

type OutputByName<N extends AnyNode> = {
  readonly [K in StagesOf<N> as Called<K["name"]>]: "skip" extends K["signals"] ? Ok<K["data"]> | Skip : Ok<K["data"]>
}

/**
 * How each stage of a completed run ended, by its name. One that cannot skip is `Ok`.
 */
export type Outputs<N extends AnyNode> = NamedOutputs<OutputByName<N>>

/** A type, shown as what it is and not by the name of the type that computed it. */
type Shown<A> = [A] extends [infer B] ? B : never

/**
 * What the stages and interceptors of a pipeline can fail with.
 */
export type Errors<N extends AnyNode, E> = Shown<
  | N["error"]
  | Exclude<E, FailsRun<unknown> | LayerFailed>
  | ("retry" extends N["signals"] ? RetryExhausted : never)
>

type CancelledBy<N extends AnyNode> = N extends { readonly signals: infer S } ? "cancel" extends S ? N["name"] : never
  : never

type CancelledResult<N extends AnyNode> = [CancelledBy<N>] extends [never] ? never
  : Cancelled<Outputs<N>, CancelledBy<N>>

type Continues<O> = O extends { readonly failure: "continue" } ? true : false

/**
 * What a run of a pipeline gives: `Completed`, `Cancelled` if a stage can cancel, `Incomplete` if failures do not end
 * the run.
 */
export type Result<N extends AnyNode, E, O = {}, V = unknown> = Shown<
  | (unknown extends V ? Completed<Outputs<N>> : CompletedWith<V, Outputs<N>>)
  | CancelledResult<N>
  | (Continues<O> extends true ? Incomplete<Outputs<N>, Errors<N, E>> : never)
>

/** A pipeline whose names the compiler knows, or that was checked as a whole, cannot be invalid. */
type Invalid<N extends AnyNode> = string extends N["name"] ? PipelineInvalid
  : CheckedName extends N["name"] ? [Exclude<N["name"], CheckedName>] extends [never] ? never : PipelineInvalid
  : never

/**
 * What a run of a pipeline fails with.
 */
export type Failure<N extends AnyNode, E, O = {}, V = unknown> = Shown<
  | (Continues<O> extends true ? never : StageFailed<Errors<N, E>, Outputs<N>>)
  | Outside<E>
  | Invalid<N>
  | (N extends InputNode<unknown> ? SnapshotInvalid : never)
  | (unknown extends V ? never : ValueFailed<Outputs<N>>)
>

/** The errors that fail a run outside of any stage. */
type Outside<E> = Extract<E, LayerFailed> | (E extends FailsRun<infer X> ? X : never)

/**
 * What a run needs: the services of the stages and interceptors, without what the snapshot carries.
 */
export type Services<N extends AnyNode, R, S> = Shown<Exclude<N["services"] | R, CarriedBy<S> | StageContext>>

// ---------------------------------------------------------------------------------------------------------------------
// the value
// ---------------------------------------------------------------------------------------------------------------------

interface Fields {
  readonly name: string
  readonly input: Schema.Top | undefined
  readonly value: ReturnedValue | undefined
  readonly topology: Topology.Topology
  readonly interceptors: ReadonlyArray<AnyInterceptor>
  readonly layers: ReadonlyArray<Layer.Layer<unknown, unknown, unknown>>
  readonly annotations: Context.Context<never>
}

// Handles are made when they are asked for: adding a stage costs the same however many there are.
const stagesBefore = new Proxy({}, {
  get: (_target, name) => typeof name === "string" ? stageSource(name) : undefined
})

/** The input of the run that a source is read in. */
const inputSource = snapshotSource((snapshot) => snapshot.input)

/** The same for a pipeline with an input. */
const inputAndStages = new Proxy({}, {
  get: (_target, name) => typeof name !== "string" ? undefined : name === inputName ? inputSource : stageSource(name)
})

type WiringArgument =
  | { readonly inputs?: Names; readonly after?: Names }
  | ((stages: object) => BySource)

// Only the compiler looks at it.
const phantom = { nodes: undefined as never, error: undefined, services: undefined, value: undefined }

interface ReturnsOptions {
  readonly output?: Schema.Top | undefined
}

interface ExtendOptions {
  readonly after?: Names | undefined
}

/** What an inline stage is made from; the compiler knows more of it. */
interface UntypedOptions {
  readonly inputs?: Names | ((stages: object) => unknown) | undefined
  readonly after?: Names | undefined
  readonly when?: ((stages: object) => unknown) | undefined
  readonly run?: unknown
  readonly output?: unknown
  readonly error?: unknown
  readonly wrap?: ((stage: Stage.Any) => unknown) | undefined
}

const inlineKeys = ["inputs", "after", "when", "run", "output", "error", "wrap"] as const

// The types of an inline stage are computed by the signature of its method; the value does not know them.
const makeStage = Stage.make as (
  kind: Stage.Kind,
  name: string,
  options: Pick<UntypedOptions, "run" | "output" | "error">
) => Stage.Any

class PipelineImpl implements Any {
  readonly [TypeId] = phantom
  readonly name: string
  readonly input: Schema.Top | undefined
  readonly value: ReturnedValue | undefined
  readonly topology: Topology.Topology
  readonly interceptors: ReadonlyArray<AnyInterceptor>
  readonly layers: ReadonlyArray<Layer.Layer<unknown, unknown, unknown>>
  readonly annotations: Context.Context<never>
  private compiled: Outcome.Result<Plan, PipelineInvalid> | undefined = undefined

  constructor({ annotations, input, interceptors, layers, name, topology, value }: Fields) {
    this.name = name
    this.input = input
    this.value = value
    this.topology = topology
    this.interceptors = interceptors
    this.layers = layers
    this.annotations = annotations
  }

  /** Compiled once, when first asked for. */
  get plan(): Outcome.Result<Plan, PipelineInvalid> {
    return this.compiled ??= compile(this.name, this)
  }

  with(changes: Partial<Fields>): PipelineImpl {
    const { annotations, input, interceptors, layers, name, topology, value } = this
    return new PipelineImpl({ annotations, input, interceptors, layers, name, topology, value, ...changes })
  }

  /** What wirings are functions of. */
  private get stages(): object {
    return this.input === undefined ? stagesBefore : inputAndStages
  }

  add(stage: Stage.Any, wiring?: WiringArgument): PipelineImpl {
    return this.with({ topology: Topology.add(this.topology, this.wired(stage, wiring)) })
  }

  gate(stage: Stage.Any, wiring?: WiringArgument): PipelineImpl {
    const entry = this.wired(stage, wiring)
    return this.with({
      topology: Topology.add(this.topology, entry.stage === undefined ? entry : { ...entry, isGate: true })
    })
  }

  private wired(stage: Stage.Any, wiring: WiringArgument | undefined): Topology.PipelineEntry {
    return wiring === undefined
      ? unwiredStage(stage)
      : wiredStage(stage, typeof wiring === "function" ? wiring(this.stages) : wiring)
  }

  transform(name: string, given: UntypedOptions): PipelineImpl {
    return this.inline("transform", name, given)
  }

  enrich(name: string, given: UntypedOptions): PipelineImpl {
    return this.inline("enrich", name, given)
  }

  route(name: string, given: UntypedOptions): PipelineImpl {
    return this.inline("route", name, given)
  }

  guard(name: string, given: UntypedOptions): PipelineImpl {
    return this.inline("guard", name, given)
  }

  work(name: string, given: UntypedOptions): PipelineImpl {
    return this.inline("work", name, given)
  }

  agent(name: string, given: UntypedOptions): PipelineImpl {
    return this.inline("agent", name, given)
  }

  private inline(kind: Stage.Kind, name: string, given: UntypedOptions): PipelineImpl {
    const { after, error, inputs, output, run, when, wrap } = options.fields("options", inlineKeys, given)
    const stage = makeStage(kind, name, { run, output, error })
    const wiring = {
      inputs: typeof inputs === "function" ? inputs(this.stages) : inputs,
      // A condition that is not there was meant as one.
      when: when === undefined ? undefined : options.callable("when", when)(this.stages) ?? null,
      after
    }
    const wrapped = wrap === undefined ? stage : options.callable("wrap", wrap)(stage)
    return this.with({ topology: Topology.add(this.topology, wiredStage(wrapped, wiring)) })
  }

  private join(that: PipelineImpl, topology: Topology.Topology): PipelineImpl {
    return this.with({
      input: this.input ?? that.input,
      value: this.value ?? that.value,
      topology: Topology.concat(this.topology, topology),
      interceptors: union(this.interceptors, that.interceptors),
      layers: union(this.layers, that.layers),
      annotations: Context.merge(this.annotations, that.annotations)
    })
  }

  merge(that: Any): PipelineImpl {
    const other = implementation(that)
    return this.join(other, other.topology)
  }

  extend(that: Any, given: ExtendOptions = {}): PipelineImpl {
    const other = implementation(that)
    const { after } = options.fields<ExtendOptions>("options", ["after"], given)
    const names = after === undefined ? Topology.leavesOf(this.topology) : options.names("after", after)
    return this.join(other, Topology.behind(other.topology, names))
  }

  returns(value: (stages: object) => unknown, given: ReturnsOptions = {}): PipelineImpl {
    const { output } = options.fields<ReturnsOptions>("options", ["output"], given)
    const source = options.callable("value", value)(this.stages)
    options.ofKind("returns", "a pipeline that returns nothing yet", returnsNothing, this)
    return this.with({
      value: {
        source: options.ofKind("value", "a function that gives a Source", isSource, source),
        output: options.schema("output", output)
      }
    })
  }

  pipe() {
    return pipeArguments(this, arguments)
  }

  toJSON() {
    return {
      _id: "Pipeline",
      name: this.name,
      stages: Topology.stagesOf(this.topology).map(({ stage }) => stage.name)
    }
  }
}

const returnsNothing = (given: unknown): given is PipelineImpl =>
  given instanceof PipelineImpl && given.value === undefined

const union = <A>(left: ReadonlyArray<A>, right: ReadonlyArray<A>): ReadonlyArray<A> =>
  Array.from(new Set([...left, ...right]))

const isImplementation = (u: unknown): u is PipelineImpl => u instanceof PipelineImpl

/** Every pipeline is made here, as a PipelineImpl. */
const implementation = (self: Any): PipelineImpl =>
  options.ofKind("pipeline", "a pipeline; see Pipeline.make", isImplementation, self)

// The types of a pipeline are computed by the signatures above; the value does not know them.
const typed = <P>(pipeline: PipelineImpl): P => pipeline as unknown as P

// ---------------------------------------------------------------------------------------------------------------------
// constructors and combinators
// ---------------------------------------------------------------------------------------------------------------------

/**
 * Makes an empty pipeline, to add stages to.
 *
 * With an `input` schema its runs take an input of that type, which stages read like a stage, as `s.input` or by the name
 * `input`: `Pipeline.make("billing", { input: Schema.Struct({ amount: Schema.Int }) })` runs with
 * `Snapshot.make({ input: { amount: 5 } })`. The input is validated before any stage starts.
 */
export const make = <I = never>(
  name: string,
  given: { readonly input?: Schema.Codec<I, any> | undefined } = {}
): Pipeline<[I] extends [never] ? never : InputNode<I>> => {
  const { input } = options.fields("options", ["input"], given)
  return typed(
    new PipelineImpl({
      name: options.text("name", name),
      input: options.schema("input", input),
      value: undefined,
      topology: Topology.empty,
      interceptors: [],
      layers: [],
      annotations: Context.empty()
    })
  )
}

/**
 * Whether a value is a pipeline.
 */
export const isPipeline = (u: unknown): u is Any => u instanceof PipelineImpl

/**
 * Merges both pipelines into one, side by side; see the method of the same name.
 */
export const merge = <N1 extends AnyNode, E1, R1, V1, N2 extends AnyNode, E2, R2, V2>(
  self: Pipeline<N1, E1, R1, V1>,
  that: Checked<Pipeline<N2, E2, R2, V2>, Clash<N1, N2, V1, V2>>
): Pipeline<N1 | N2, E1 | E2, R1 | R2, EitherValue<V1, V2>> => self.merge<N2, E2, R2, V2>(that)

/**
 * Puts the second pipeline behind the first; see the method of the same name.
 */
export const extend = <N1 extends AnyNode, E1, R1, V1, N2 extends AnyNode, E2, R2, V2>(
  self: Pipeline<N1, E1, R1, V1>,
  that: Checked<Pipeline<N2, E2, R2, V2>, Clash<N1, N2, V1, V2>>,
  options?: { readonly after?: ReadonlyArray<N1["name"]> | undefined }
): Pipeline<N1 | N2, E1 | E2, R1 | R2, EitherValue<V1, V2>> => self.extend<N2, E2, R2, V2>(that, options)

/** A node without the services that something else provides. */
type Without<N extends AnyNode, P> = [P] extends [never] ? N
  : N extends InputNode<unknown> ? N
  : N extends Node<infer Name, infer D, infer S, infer E, infer R> ? Node<Name, D, S, E, Exclude<R, P>>
  : never

/**
 * Wraps every stage of the pipeline, those added later included.
 *
 * Several interceptors nest by their `order`, and with equal orders as they are listed, the first outermost. An empty
 * list wraps nothing.
 */
export const intercept =
  <const I extends ReadonlyArray<AnyInterceptor>>(...interceptors: I) =>
  <N extends AnyNode, E, R, V>(
    self: Pipeline<N, E, R, V>
  ): Pipeline<Without<N, ProvidedBy<I[number]>>, E | ErrorOf<I[number]>, R | ServicesOf<I[number]>, V> => {
    const pipeline = implementation(self)
    const checked = interceptors.map((interceptor) =>
      options.ofKind("interceptor", "an interceptor; see Interceptor.make", isInterceptor, interceptor)
    )
    return typed(pipeline.with({ interceptors: [...pipeline.interceptors, ...checked] }))
  }

/** The error of a run whose layer may fail to build. */
type LayerFailure<E> = [E] extends [never] ? never : LayerFailed<E>

/**
 * Gives the pipeline ports of its own: the layer is built once for each run, and released when the run ends.
 *
 * A layer that fails to build fails the run with `LayerFailed`, before any stage starts. Layers are built inside of the
 * interceptors that wrap the run: for a run that one of them denies none is built, and a `deadline` counts the building.
 * A release that takes longer than the run's grace is left behind, which is logged as a warning.
 */
export const provide: {
  <P, E2, R2>(layer: Layer.Layer<P, E2, R2>): <N extends AnyNode, E, R, V>(
    self: Pipeline<N, E, R, V>
  ) => Pipeline<Without<N, P>, E | LayerFailure<E2>, R | R2, V>
  <N extends AnyNode, E, R, V, P, E2, R2>(
    self: Pipeline<N, E, R, V>,
    layer: Layer.Layer<P, E2, R2>
  ): Pipeline<Without<N, P>, E | LayerFailure<E2>, R | R2, V>
} = dual(2, <N extends AnyNode, E, R, V, P, E2, R2>(
  self: Pipeline<N, E, R, V>,
  layer: Layer.Layer<P, E2, R2>
): Pipeline<Without<N, P>, E | LayerFailure<E2>, R | R2, V> => {
  const pipeline = implementation(self)
  const checked = options.ofKind("layer", "a Layer", Layer.isLayer, layer)
  return typed(pipeline.with({ layers: [...pipeline.layers, checked] }))
})

/**
 * Annotates the pipeline with the value of a `Context.Reference`.
 */
export const annotate: {
  <I, A>(key: Context.Key<I, A>, value: A): <N extends AnyNode, E, R, V>(
    self: Pipeline<N, E, R, V>
  ) => Pipeline<N, E, R, V>
  <N extends AnyNode, E, R, V, I, A>(
    self: Pipeline<N, E, R, V>,
    key: Context.Key<I, A>,
    value: A
  ): Pipeline<N, E, R, V>
} = dual(
  3,
  <N extends AnyNode, E, R, V, I, A>(
    self: Pipeline<N, E, R, V>,
    key: Context.Key<I, A>,
    value: A
  ): Pipeline<N, E, R, V> => {
    if (gateOfAnnotation(key, value) !== undefined) {
      throw new options.InvalidOption({
        option: "key",
        expected: "an annotation of pipelines; give one that asks before a stage runs to Stage.annotate",
        given: key.key
      })
    }
    const pipeline = implementation(self)
    // Annotations are read with the key that they were made with.
    const annotations = Context.add(pipeline.annotations, key, value) as Context.Context<never>
    return typed(pipeline.with({ annotations }))
  }
)

/**
 * One stage of a pipeline that comes from data: the stage, and how it is wired by name or from sources.
 *
 * Names may stand for stages that come later in the list.
 */
export interface Spec<S extends Stage.Any = Stage.Any> {
  readonly stage: S
  readonly after?: Names | undefined
  /** By name (`["router", "profile?"]`), or from sources (`{ who: Source.stage("profile").required }`). */
  readonly inputs?: Names | Readonly<Record<string, AnySource>> | undefined
  readonly when?: Source<boolean> | undefined
}

/** A name that nothing is known of but that it has been checked. */
type CheckedName = string & { readonly [TypeId]: "checked" }

type SpecNode<S> = S extends Spec<infer T>
  ? Node<CheckedName, unknown, Stage.Signals<T> | "skip", Stage.Error<T>, Stage.Services<T>>
  : never

/**
 * Makes a pipeline from data: a file, a list of plugins.
 *
 * What the compiler checks in `add` is checked here, all of it at once: unknown names, duplicates, blank names, cycles,
 * and what is no spec at all. A spec has no other keys than these, so a misspelt one is a problem, too. Whether the inputs
 * fit is between the specs and their stages. The order of the list means nothing.
 */
export const fromSpecs = <const Specs extends ReadonlyArray<Spec>>(
  name: string,
  specs: Specs
): Effect.Effect<Pipeline<SpecNode<Specs[number]>>, PipelineInvalid> =>
  Effect.suspend(() => {
    const entries = wiredSpecs(name, specs)
    const pipeline = implementation(make(typeof name === "string" ? name : "")).with({
      topology: Topology.list(entries)
    })
    return Effect.as(Effect.fromResult(pipeline.plan), typed(pipeline))
  })

/**
 * Checks a pipeline without running it: everything that is wrong with it, at once.
 *
 * A pipeline whose names the compiler knows has nothing to find here.
 */
export const validate = (self: Any): Effect.Effect<void, PipelineInvalid> => Effect.asVoid(planOf(implementation(self)))

/**
 * What a stage runs inside of it.
 */
export interface Content {
  /** The pipelines that it runs, and what each of them is to it: a route, a draft. */
  readonly pipelines: ReadonlyArray<{ readonly label?: string; readonly pipeline: Any }>
  /** What else it runs, by what that is to it: functions, which nobody can look into. */
  readonly functions?: ReadonlyArray<string>
  /** Whether it runs them more than once: for each of several items, or in a loop. */
  readonly repeats?: Repetition
}

/**
 * How a stage repeats what it runs.
 */
export type Repetition = "for-each" | "loop"

/**
 * What a stage runs, as an annotation of the stage: descriptions and pictures look into it.
 *
 * The stages that `stageflow/control` makes are annotated. Annotate one of your own that always runs the same pipeline:
 * `Stage.annotate(Pipeline.Inside, { pipelines: [{ pipeline: child }] })`.
 */
export const Inside = Context.Reference<Content>("stageflow/Pipeline/Inside", {
  defaultValue: () => ({ pipelines: [] })
})

/**
 * What a stage runs, in the description of its pipeline.
 */
export interface DescribedContent {
  readonly pipelines: ReadonlyArray<{ readonly label?: string; readonly pipeline: Description }>
  readonly functions?: ReadonlyArray<string>
  readonly repeats?: Repetition
}

/**
 * A stage in the description of its pipeline.
 */
export interface DescribedStage {
  readonly name: string
  readonly kind: Stage.Kind
  /** What the stage runs, when it is annotated with that; see `Inside`. */
  readonly inside?: DescribedContent
}

/**
 * A pipeline as plain data: its stages and the edges between them.
 */
export interface Description {
  readonly name: string
  readonly stages: ReadonlyArray<DescribedStage>
  readonly edges: ReadonlyArray<Edge>
  /** What is most likely a mistake; see `lint`. */
  readonly warnings: ReadonlyArray<Warning>
}

/**
 * Describes a pipeline as plain data, its stages and edges, to draw it or to compare it. The pipelines that its stages
 * run are described in it.
 */
export const describe = (self: Any): Effect.Effect<Description, PipelineInvalid> =>
  Effect.flatMap(
    planOf(implementation(self)),
    (plan) =>
      Effect.map(Effect.forEach(plan.stages, describeStage), (stages) => ({
        name: self.name,
        stages,
        edges: plan.edges,
        warnings: lintPlan(plan, implementation(self).topology)
      }))
  )

const describeStage = ({ definition, info, name }: PlannedStage): Effect.Effect<DescribedStage, PipelineInvalid> => {
  const stage = { name, kind: info.kind as Stage.Kind } // from the stage itself
  const { functions = [], pipelines, repeats } = Context.get(definition.annotations, Inside)
  if (pipelines.length + functions.length === 0 && repeats === undefined) return Effect.succeed(stage)
  const described = Effect.forEach(
    pipelines,
    (part) => Effect.map(describe(part.pipeline), (pipeline) => ({ ...part, pipeline }))
  )
  return Effect.map(described, (pipelines) => ({
    ...stage,
    inside: {
      pipelines,
      ...(functions.length === 0 ? {} : { functions }),
      ...(repeats === undefined ? {} : { repeats })
    }
  }))
}

/**
 * Finds what is allowed in a pipeline and is most likely a mistake, as plain data: a code, the stage, a message and a fix.
 *
 * - `IDLE_GUARD`: a guard that no stage waits for, beside stages that run whatever it says. A guard of what everything else
 *   leads to is fine: it judges the answer.
 * - `UNREAD_DATA`: context or a route (`enrich`, `route`) that no stage, condition or returned value reads, though stages wait
 *   for it or the pipeline ends in other stages; a transform that nothing reads, when the pipeline returns something else.
 *   What work, guards and agents give is not asked about.
 * - `END_MAY_SKIP`: a stage with which every transform and agent is skipped that the pipeline ends with. What `returns` an
 *   Option, or ends in work, may have nothing to do.
 * - `SIMILAR_NAMES`: names that differ in case only.
 */
export const lint = (self: Any): Effect.Effect<ReadonlyArray<Warning>, PipelineInvalid> =>
  Effect.map(planOf(implementation(self)), (plan) => lintPlan(plan, implementation(self).topology))

// ---------------------------------------------------------------------------------------------------------------------
// running
// ---------------------------------------------------------------------------------------------------------------------

const runnable = (self: Any): Runnable => implementation(self)

/** Whether the pipeline is the first argument: what comes before others and is no snapshot was meant as one. */
const pipelineFirst = ({ 0: first, length }: IArguments): boolean =>
  Outcome.getOrElse(Outcome.try(() => isPipeline(first) || (length > 1 && !isSnapshot(first))), () => length > 1)

/**
 * Runs a pipeline.
 *
 * The result is `Completed`, or `Cancelled` if a stage can cancel. A stage that fails fails the run with `StageFailed`,
 * and every stage in flight is interrupted before the run returns; interrupting the run does the same. With
 * `failure: "continue"` the branches that do not depend on a failed stage go on, and the result is `Incomplete`.
 */
export const run: {
  <N extends AnyNode, E, R, V, S extends Snapshot, const O extends RunOptions = {}>(
    self: Pipeline<N, E, R, V>,
    snapshot: Checked<S, SnapshotProblem<N, R, S>>,
    options?: O
  ): Effect.Effect<Result<N, E, O, V>, Failure<N, E, O, V>, Services<N, R, S>>
  <S, const O extends RunOptions = {}>(
    snapshot: S extends Snapshot ? S : Snapshot,
    ...options: OptionsAfter<S, O>
  ): <N extends AnyNode, E, R, V>(
    self: Checked<Pipeline<N, E, R, V>, SnapshotProblem<N, R, S>>
  ) => Effect.Effect<Result<N, E, O, V>, Failure<N, E, O, V>, Services<N, R, S>>
} = dual(
  pipelineFirst,
  (self: Any, snapshot: Snapshot, options?: RunOptions) => Runner.run(runnable(self), snapshot, options)
)

/**
 * Starts a pipeline and gives the handle of its run: cancel it, await it, watch it. The handle is there at once, while the
 * layers of the pipeline are built.
 *
 * The run belongs to the scope: closing the scope interrupts it.
 */
export const start: {
  <N extends AnyNode, E, R, V, S extends Snapshot, const O extends WatchOptions = {}>(
    self: Pipeline<N, E, R, V>,
    snapshot: Checked<S, SnapshotProblem<N, R, S>>,
    options?: O & Watched<N, O>
  ): Effect.Effect<Started<N, E, O, V>, Invalid<N>, Services<N, R, S> | Scope.Scope>
  <S, const O extends WatchOptions = {}>(
    snapshot: S extends Snapshot ? S : Snapshot,
    ...options: OptionsAfter<S, O>
  ): <N extends AnyNode, E, R, V>(
    self: Checked<Pipeline<N, E, R, V>, SnapshotProblem<N, R, S>>
  ) => Effect.Effect<Started<N, E, O, V>, Invalid<N>, Services<N, R, S> | Scope.Scope>
} = dual(
  pipelineFirst,
  (self: Any, snapshot: Snapshot, options?: WatchOptions) => Runner.start(runnable(self), snapshot, options)
)

/**
 * The handle of a run: what it can end with includes being cancelled by whoever holds the handle.
 */
export type Started<N extends AnyNode, E, O = {}, V = unknown> = Shown<
  Run<
    Exclude<Result<N, E, O, V>, { readonly _tag: "Cancelled" }> | Cancelled<Outputs<N>, CancelledBy<N> | undefined>,
    Exclude<Failure<N, E, O, V>, PipelineInvalid>,
    Called<StagesOf<N>["name"]>,
    string extends Called<StagesOf<N>["name"]> ? UnknownStage : never,
    ChunksByName<N, O>
  >
>

/** The chunks that a run is watched for, by the name of their stage. */
type ChunksByName<N extends AnyNode, O> = O extends { readonly chunks: ReadonlyArray<infer Name extends string> } ? {
    readonly [K in ChunksIn<StagesOf<N>> as K["name"] & Name]: K["chunk"]
  }
  : {}

/** The stages that stream, and their chunks. */
type ChunksIn<N> = N extends AnyNode
  ? N["signals"] extends infer Signal ? Signal extends Stage.Streams<infer Chunk> ? Named<N["name"], Chunk> : never
  : never
  : never

interface Named<Name extends string, Chunk> {
  readonly name: Called<Name>
  readonly chunk: Chunk
}

/** The chunks that a run is watched for, as elements of its stream. */
type ChunkElements<N extends AnyNode, O> = ChunksByName<N, O> extends infer Chunks
  ? { [Name in keyof Chunks]: Chunk<Name & string, Chunks[Name]> }[keyof Chunks]
  : never

/** The options themselves when the stages whose chunks they ask for stream, otherwise the sentence. */
type Watched<N extends AnyNode, O> = O extends { readonly chunks: ReadonlyArray<infer Name extends string> }
  ? string extends Called<N["name"]> ? O
  : [Exclude<Name, ChunksIn<StagesOf<N>>["name"]>] extends [never] ? O
  : { readonly chunks: ReadonlyArray<NoInfer<NoChunks<Exclude<Name, ChunksIn<StagesOf<N>>["name"]>, N["name"]>>> }
  : O

type NoChunks<Name extends string, Known> = Name extends Known ? `chunks: stage '${Name}' does not stream`
  : `chunks: this pipeline has no stage '${Name}'`

/**
 * Runs a pipeline as a stream: its events as they happen, then its result as the last element. With `chunks: ["answer"]`
 * the chunks of these stages are elements, too: a stage that streams waits until they are read.
 *
 * Whoever stops reading interrupts the run.
 */
export const stream: {
  <N extends AnyNode, E, R, V, S extends Snapshot, const O extends WatchOptions = {}>(
    self: Pipeline<N, E, R, V>,
    snapshot: Checked<S, SnapshotProblem<N, R, S>>,
    options?: O & Watched<N, O>
  ): Stream.Stream<Event | ChunkElements<N, O> | Result<N, E, O, V>, Failure<N, E, O, V>, Services<N, R, S>>
  <S, const O extends WatchOptions = {}>(
    snapshot: S extends Snapshot ? S : Snapshot,
    ...options: OptionsAfter<S, O>
  ): <N extends AnyNode, E, R, V>(
    self: Checked<Pipeline<N, E, R, V>, SnapshotProblem<N, R, S>>
  ) => Stream.Stream<Event | ChunkElements<N, O> | Result<N, E, O, V>, Failure<N, E, O, V>, Services<N, R, S>>
} = dual(
  pipelineFirst,
  (self: Any, snapshot: Snapshot, options?: WatchOptions) =>
    Stream.unwrap(Effect.map(
      Runner.start(runnable(self), snapshot, options),
      (handle) => Stream.concat(withChunks(handle, options?.chunks ?? []), Stream.fromEffect(handle.await))
    ))
)

/**
 * Picks from the stream of a run what its stages emitted of one kind: `Pipeline.emitted(Token)` gives the data of each with
 * its stage. Whatever else is in the stream is passed over; what the stream fails with, it fails with.
 */
export const emitted: {
  <Emitted extends Emission.Any>(
    emission: Emitted
  ): <A, E, R>(
    self: Stream.Stream<A, E, R>
  ) => Stream.Stream<Emission.Emitted<Emission.Data<Emitted>>, E, R>
  <A, E, R, Emitted extends Emission.Any>(
    self: Stream.Stream<A, E, R>,
    emission: Emitted
  ): Stream.Stream<Emission.Emitted<Emission.Data<Emitted>>, E, R>
} = dual(2, <A, E, R>(self: Stream.Stream<A, E, R>, given: Emission.Any) => {
  const emission = options.ofKind("emission", "a class made by Emission.make", Emission.isEmission, given)
  return self.pipe(
    Stream.filter((element): element is A & Of<"StageEmitted"> => isStageEmitted(element)),
    Stream.mapEffect((event) =>
      Effect.map(emission.decode(event), (read) => {
        const { attempt, runId, stage } = event
        return Option.map(read, (data) => ({ runId, stage, attempt, data }))
      })
    ),
    Stream.filter(Option.isSome),
    Stream.map(({ value }) => value)
  )
})

const isStageEmitted = (element: unknown): element is Of<"StageEmitted"> => Predicate.isTagged(element, "StageEmitted")

/** The events of a run, and the chunks of some of its stages. How these end is told by the end of the run. */
const withChunks = (
  handle: Pick<Run<unknown, unknown, string, UnknownStage, Readonly<Record<string, unknown>>>, "chunks" | "events">,
  stages: ReadonlyArray<string>
): Stream.Stream<Event | Chunk> => {
  const elements = stages.map((stage) =>
    handle.chunks(stage).pipe(
      Stream.catchTag("StreamFailed", () => Stream.empty),
      Stream.zipWithIndex,
      Stream.map(([chunk, index]): Chunk => ({ _tag: "Chunk", stage, number: index + 1, chunk }))
    )
  )
  // A chunk is handed on when it is asked for, and none before.
  return elements.length === 0
    ? handle.events
    : Stream.mergeAll<Event | Chunk, never, never>([handle.events, ...elements], {
      concurrency: "unbounded",
      bufferSize: 1
    })
}

export type { Added, AnyNode, BySource, Edge, Handles, Node, StagesBefore, Warning }
