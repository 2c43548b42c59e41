/**
 * Makes pipelines of common shapes from stages, and a stage of which the first to succeed wins.
 *
 * | shape | makes | of |
 * |---|---|---|
 * | `chain` | a pipeline | stages of which each takes what the one before it gives |
 * | `fanOut` | a pipeline | a stage, stages that all take what it gives, and one that joins them |
 * | `duplex` | a pipeline | two chains side by side, and a stage that joins them |
 * | `race` | a stage | stages, pipelines or functions that run at once until one succeeds |
 *
 * ```ts
 * import { Effect, Schema } from "effect"
 * import { Pipeline, Snapshot, Stage } from "stageflow"
 * import { Shapes } from "stageflow/control"
 *
 * const trim = Stage.transform("trim", {
 *   run: (inputs: { readonly text: string }) => Effect.succeed({ text: inputs.text.trim() })
 * })
 * const count = Stage.transform("count", {
 *   run: (inputs: { readonly text: string }) => Effect.succeed({ letters: inputs.text.length })
 * })
 *
 * const letters = Shapes.chain("letters", [trim, count], { input: Schema.Struct({ text: Schema.String }) })
 *
 * const program = Pipeline.run(letters, Snapshot.make({ input: { text: " four " } }))
 * ```
 *
 * A pipeline of such a shape is the one that `add` would make, and nothing else: it is described, merged, wrapped and run
 * like any other. Here a stage takes the data of another one as its inputs, and not under the name of that stage. Pipelines
 * are stages of a shape by `Subpipeline.stage(name, pipeline)`.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { announce, attemptOf, type Part } from "../attempt/attempt.ts"
import { messageOf } from "../attempt/error-summary.ts"
import { Held, holding } from "../attempt/held-codec.ts"
import type { Outcome } from "../attempt/interceptor-model.ts"
import { endingOfExit, normalize } from "../attempt/outcome.ts"
import { isRefusedBy } from "../attempt/refusal.ts"
import { asRepetition } from "../attempt/repetition.ts"
import type { OneRecord, Shown, Together } from "../checks/bodies.ts"
import type { ChainProblem, DuplexProblem, FanOutProblem, LastData, Nodes, RaceProblem } from "../checks/shapes.ts"
import type { Checked, NotGiven } from "../checks/wiring.ts"
import { together } from "../internal/causes.ts"
import * as options from "../internal/options.ts"
import type { StageOutput } from "../internal/output-model.ts"
import { noteRejection } from "../internal/refusal.ts"
import * as Pipeline from "../Pipeline.ts"
import * as Stage from "../Stage.ts"
import { StageContext } from "../StageContext.ts"
import { RetryExhausted, type StageFault } from "../StageError.ts"
import type { Cancel, Ok, Skip } from "../StageOutput.ts"
import {
  type Body,
  contentOf,
  type DataOf,
  type ErrorOf,
  type Runs,
  runsOf,
  type ServicesOf,
  type SignalsOf,
  type TakenBy
} from "./internal/body.ts"
import { entriesOf } from "./internal/named.ts"
import { sideBySide } from "./internal/side-by-side.ts"

// ---------------------------------------------------------------------------------------------------------------------
// pipelines
// ---------------------------------------------------------------------------------------------------------------------

/** Stages. What is none of them is told in a sentence. */
type List = ReadonlyArray<unknown>

/** A pipeline as it is built here; the signatures know its types. */
interface Building {
  readonly add: (stage: Stage.Any, wiring?: { readonly inputs: ReadonlyArray<string> }) => Building
  readonly returns: (value: (stages: Readonly<Record<string, unknown>>) => unknown) => Building
}

const start = (name: string, input: Schema.Top | undefined): Building =>
  Pipeline.make(name, { input: input as Schema.Codec<unknown> | undefined }) as unknown as Building

const stageOf = (option: string, given: unknown): Stage.Any =>
  options.ofKind(option, "a stage; Subpipeline.stage makes one of a pipeline", Stage.isStage, given)

const isList = (given: unknown): given is ReadonlyArray<unknown> => Array.isArray(given) && given.length > 0

const stagesOf = (option: string, given: unknown): ReadonlyArray<Stage.Any> =>
  Array.from(
    options.ofKind(option, "a list with a stage in it", isList, given),
    (stage, index) => stageOf(`${option}[${index}]`, stage)
  )

/** The stage, taking as its inputs all that is read under a name. */
const fedBy = (stage: Stage.Any, name: string): Stage.Any =>
  // That it takes what is read there is what the signatures check.
  Stage.mapInput(
    stage as Stage.Stage<string, unknown, object>,
    (inputs: Readonly<Record<string, unknown>>) => inputs[name]
  )

/** Adds a stage that takes what another one gives, or the input of the pipeline, or nothing. */
const addBehind = (pipeline: Building, stage: Stage.Any, before: string | undefined): Building =>
  before === undefined ? pipeline.add(stage) : pipeline.add(fedBy(stage, before), { inputs: [before] })

const addChain = (pipeline: Building, stages: ReadonlyArray<Stage.Any>, before: string | undefined): Building => {
  let [chained, last] = [pipeline, before]
  for (const stage of stages) {
    chained = addBehind(chained, stage, last)
    last = stage.name
  }
  return chained
}

const addJoin = (pipeline: Building, join: Stage.Any | undefined, ends: ReadonlyArray<Stage.Any>): Building =>
  join === undefined
    ? pipeline
    : pipeline.add(join, { inputs: ends.map(({ name }) => name) }).returns((s) => s[join.name])

/** The name under which the input of a pipeline is read that has one. */
const inputOf = (input: unknown): string | undefined => input === undefined ? undefined : "input"

const lastOf = (stages: ReadonlyArray<Stage.Any>): Stage.Any => stages.at(-1) as Stage.Any // there is at least one

/** The pipeline that the signatures speak of. */
const built = (pipeline: Building): never => pipeline as never

/** What a shape takes. */
export interface ShapeOptions<I> {
  /** The schema of its input, when its first stages take something. */
  readonly input?: Schema.Codec<I, any> | undefined
}

/**
 * Makes a pipeline of stages one after the other.
 */
export interface Chain {
  <const Name extends string, const S extends List, I = never>(
    name: Checked<Name, ChainProblem<S, I>>,
    stages: S,
    options?: ShapeOptions<I>
  ): Pipeline.Pipeline<Nodes<S[number], I>, never, never, LastData<S>>
}

/**
 * Makes a pipeline of stages of which each takes the data of the one before it as its inputs. It returns what the last one
 * gives. The first takes the pipeline's `input`, or nothing.
 *
 * None of them may skip: the next one, or whoever runs the pipeline, could not have its data.
 */
export const chain: Chain = (name: string, given: List, settings: ShapeOptions<unknown> = {}) => {
  const { input } = options.fields("options", ["input"], settings)
  const stages = stagesOf("stages", given)
  const last = lastOf(stages).name
  return built(addChain(start(name, input), stages, inputOf(input)).returns((s) => s[last]))
}

/** What joins stages gives, when there is something that does. */
type Joined<Join> = [Join] extends [NotGiven] ? unknown : Join extends Stage.Any ? Stage.DataOf<Join> : never

/**
 * The stages of a fan-out.
 */
export interface FanOutOptions<From, To, Join, I> extends ShapeOptions<I> {
  /** The stage that all others take the data of. */
  readonly from: From
  /** The stages that run at once when it has ended. */
  readonly to: To
  /** The stage that takes the data of all of them, by their names. */
  readonly join?: Join | undefined
}

/**
 * Makes a pipeline of a stage and others that all take what it gives.
 */
export interface FanOut {
  <
    const Name extends string,
    From,
    const To extends List,
    I = never,
    Join = NotGiven
  >(
    name: Checked<Name, FanOutProblem<From, To, Join, I>>,
    options: FanOutOptions<From, To, Join, I>
  ): Pipeline.Pipeline<Nodes<From | To[number] | Join, I>, never, never, Joined<Join>>
}

const fanOutNames = ["from", "to", "join", "input"] as const

/**
 * Makes a pipeline of a stage, others that all take its data as their inputs and run at once, and one that takes the data of
 * all of those by their names.
 *
 * With `join` the pipeline returns what that gives. Without it, it returns nothing yet: add the stages that read the
 * branches, such as one that goes on without a branch that may skip.
 */
export const fanOut: FanOut = (name: string, given: FanOutOptions<unknown, List, unknown, unknown>) => {
  const { from, input, join, to } = options.fields<FanOutOptions<unknown, List, unknown, unknown>>(
    "options",
    fanOutNames,
    given
  )
  const [source, branches] = [stageOf("from", from), stagesOf("to", to)]
  const joining = join === undefined ? undefined : stageOf("join", join)
  const branched = branches.reduce(
    (pipeline, stage) => addBehind(pipeline, stage, source.name),
    addBehind(start(name, input), source, inputOf(input))
  )
  return built(addJoin(branched, joining, branches))
}

/**
 * The stages of a duplex.
 */
export interface DuplexOptions<One, Other, Join, I> extends ShapeOptions<I> {
  /** Two lists of stages: each is a chain, and they run side by side. */
  readonly lanes: readonly [One, Other]
  /** The stage that takes what both lanes end with, by the names of their last stages. */
  readonly join?: Join | undefined
}

/**
 * Makes a pipeline of two chains side by side.
 */
export interface Duplex {
  <
    const Name extends string,
    const One extends List,
    const Other extends List,
    I = never,
    Join = NotGiven
  >(
    name: Checked<Name, DuplexProblem<One, Other, Join, I>>,
    options: DuplexOptions<One, Other, Join, I>
  ): Pipeline.Pipeline<Nodes<One[number] | Other[number] | Join, I>, never, never, Joined<Join>>
}

const isPair = (given: unknown): given is readonly [unknown, unknown] => Array.isArray(given) && given.length === 2

const duplexNames = ["lanes", "join", "input"] as const

/**
 * Makes a pipeline of two chains that run side by side, such as what is heard and what is said, and of a stage that takes
 * what both end with by the names of their last stages. Both take the pipeline's `input`, or nothing.
 *
 * With `join` the pipeline returns what that gives. Without it, it returns nothing yet.
 */
export const duplex: Duplex = (name: string, given: DuplexOptions<List, List, unknown, unknown>) => {
  const { input, join, lanes } = options.fields<DuplexOptions<List, List, unknown, unknown>>(
    "options",
    duplexNames,
    given
  )
  const both = options.ofKind("lanes", "two lists of stages", isPair, lanes)
  const [one, other] = [stagesOf("lanes[0]", both[0]), stagesOf("lanes[1]", both[1])]
  const joining = join === undefined ? undefined : stageOf("join", join)
  const before = inputOf(input)
  const laned = addChain(addChain(start(name, input), one, before), other, before)
  return built(addJoin(laned, joining, [lastOf(one), lastOf(other)]))
}

// ---------------------------------------------------------------------------------------------------------------------
// race
// ---------------------------------------------------------------------------------------------------------------------

/** Those in a race, by their names: stages, pipelines, or functions of the inputs that give an Effect. */
export type Contestants = Readonly<Record<string, unknown>>

/**
 * How one of those in a race failed: with one of its own errors, or with a fault, such as a defect.
 */
export interface Lost<out E> {
  readonly contestant: string
  readonly error: E | StageFault
}

/**
 * Nobody won a race: each failed, or was skipped, or one was refused, which nobody else may stand in for.
 */
export class RaceLost<out E = unknown> extends Schema.TaggedError<RaceLost<unknown>>()("RaceLost", {
  stage: Schema.String,
  /** How those failed that did, in the order in which they were written. */
  failures: Schema.Array(Schema.Struct({ contestant: Schema.String, error: Schema.Unknown })),
  /** The one that was refused. */
  refused: Schema.optionalKey(Schema.String)
}) {
  readonly code = "RACE_LOST"
  declare readonly failures: ReadonlyArray<Lost<E>>

  override get message(): string {
    const failures = this.failures.map(({ contestant, error }) => `"${contestant}" failed with ${messageOf(error)}`)
    const lost = this.refused === undefined ? "nobody won" : `"${this.refused}" was refused`
    return `Stage "${this.stage}": ${[lost, ...failures].join("; ")}`
  }

  /** What a log shows of it: what happened, and none of the data. */
  override toJSON() {
    const { _tag, code, message, stage } = this
    return { _tag, code, message, stage, contestants: this.failures.map(({ contestant }) => contestant) }
  }

  [Symbol.for("nodejs.util.inspect.custom")]() {
    return this.toJSON()
  }
}

/** Where one was refused, the race is, too. */
const raceLost = (fields: ConstructorParameters<typeof RaceLost>[0]): RaceLost => {
  const lost = new RaceLost(fields)
  if (fields.refused !== undefined) noteRejection(lost)
  return lost
}

type Inputs<B> = { [K in keyof B]: TakenBy<B[K]> }
type Datas<B> = { [K in keyof B]: DataOf<B[K]> }
type Services<B> = { [K in keyof B]: ServicesOf<B[K]> }

/** A contestant that asks to be run again has lost: nobody runs it again. */
type Errors<B> = { [K in keyof B]: ErrorOf<B[K]> | Stage.Exhausted<SignalsOf<B[K]>> }

/** A race is skipped when everybody in it is. */
type Skips<B> = [{ [K in keyof B]: "skip" extends SignalsOf<B[K]> ? never : K }[keyof B]] extends [never] ? "skip"
  : never

type Cancels<B> = { [K in keyof B]: Extract<SignalsOf<B[K]>, "cancel"> }[keyof B]

/**
 * What a race is for.
 */
export interface RaceOptions {
  /** What the stage is for; `"transform"` when left out. */
  readonly kind?: Stage.Kind | undefined
}

/**
 * Makes a stage of contestants.
 */
export interface Race {
  <const Name extends string, B extends Contestants>(
    name: Checked<Name, RaceProblem<Name, Inputs<B>, Datas<B>>>,
    contestants: B,
    options?: RaceOptions
  ): Stage.Stage<
    Name,
    OneRecord<Together<Inputs<B>>>,
    Shown<Datas<B>[keyof B]>,
    Skips<B> | Cancels<B>,
    RaceLost<Shown<Errors<B>[keyof B]>>,
    Shown<Services<B>[keyof B]>
  >
}

interface Contestant {
  readonly name: string
  readonly kind: Stage.Kind
  readonly runs: Runs
}

/** Why somebody is out of a race: there was nothing to do, or it failed. */
interface Out {
  readonly contestant: string
  readonly skipped: Skip | undefined
  readonly error: unknown
  readonly cause: Cause.Cause<unknown>
}

/** What ends a race before everybody in it has: somebody won, ended the run, or was refused. */
type Decision =
  | { readonly _tag: "Won"; readonly contestant: string; readonly output: Ok<unknown> }
  | { readonly _tag: "Cancelled"; readonly output: Cancel }
  | { readonly _tag: "Refused"; readonly contestant: string }

/** Ends a race. */
class Over {
  readonly _tag = "Over"
}

const over = new Over()

/** One race that is being run. */
class Running {
  private readonly contestants: ReadonlyArray<Contestant>
  private readonly out: Array<Out> = []
  private decision: Decision | undefined = undefined

  constructor(contestants: ReadonlyArray<Contestant>) {
    this.contestants = contestants
  }

  /** Runs everybody until the race is decided. The others are interrupted then, and have ended when this does. */
  run(inputs: unknown): Effect.Effect<void, never, StageContext> {
    return Effect.matchCauseEffect(sideBySide(this.contestants.map((contestant) => this.contest(contestant, inputs))), {
      onSuccess: () => Effect.void,
      // Decided is decided, whatever those die of that are interrupted.
      onFailure: (cause) => this.decision === undefined ? Effect.failCause(cause as Cause.Cause<never>) : Effect.void
    })
  }

  private contest(contestant: Contestant, inputs: unknown): Effect.Effect<void, Over, StageContext> {
    return Effect.flatMap(StageContext, (context) => {
      const part = attemptOf(context).part()
      const outcome = normalize(contestant.name, part.run(this.runOf(contestant, inputs, context.stage)))
      return Effect.flatMap(Effect.exit(outcome), (exit) => this.ended(contestant, exit, part))
    })
  }

  /** Two contestants may be called the same, and each runs for itself. */
  private runOf(
    { name, runs }: Contestant,
    inputs: unknown,
    stage: string
  ): Effect.Effect<unknown, unknown, StageContext> {
    return asRepetition(Effect.suspend(() => runs.run(inputs)), [stage, `contestants.${name}`, 0], inputs)
  }

  /** Only what the winner has added is the stage's. */
  private ended(contestant: Contestant, exit: Exit.Exit<Outcome, unknown>, part: Part): Effect.Effect<void, Over> {
    const ending = endingOfExit(contestant.name, exit)
    switch (ending._tag) {
      case "Ok":
        if (this.decision === undefined) part.keep()
        return this.decide({ _tag: "Won", contestant: contestant.name, output: ending })
      case "Cancel":
        return this.decide({ _tag: "Cancelled", output: ending })
      case "Skip":
        return this.leave({ contestant: contestant.name, skipped: ending, error: undefined, cause: Cause.empty })
      case "Retry":
        return this.lose(
          contestant,
          new RetryExhausted({
            stage: contestant.name,
            attempts: 1,
            reason: ending.reason
          })
        )
      default:
        return this.lose(contestant, ending.error, ending.cause)
    }
  }

  private decide(decision: Decision): Effect.Effect<never, Over> {
    this.decision ??= decision
    return Effect.fail(over)
  }

  private leave(out: Out): Effect.Effect<void> {
    this.out.push(out)
    return Effect.void
  }

  private lose({ kind, name }: Contestant, error: unknown, cause: Cause.Cause<unknown> = Cause.fail(error)) {
    this.out.push({ contestant: name, skipped: undefined, error, cause })
    // No means no: another one that says yes does not change that.
    return isRefusedBy({ kind }, error, cause) ? this.decide({ _tag: "Refused", contestant: name }) : Effect.void
  }

  /** What the stage ends with. */
  conclude(stage: string): Effect.Effect<StageOutput, RaceLost, StageContext> {
    const decision = this.decision
    if (decision?._tag === "Cancelled") return Effect.succeed(decision.output)
    if (decision?._tag === "Won") return this.won(decision.contestant, decision.output)
    const [skipped] = this.inOrder.flatMap(({ skipped }) => skipped ?? [])
    if (skipped !== undefined && this.losers.length === 0) return Effect.succeed(skipped)
    return this.lost(stage, decision?.contestant)
  }

  private won(winner: string, output: Ok<unknown>): Effect.Effect<Ok<unknown>, never, StageContext> {
    return Effect.gen({ self: this }, function*() {
      const context = yield* StageContext
      const failed = this.losers.map(({ contestant }) => contestant)
      yield* context.addArtifact({ type: artifactType, payload: { winner } })
      announce(context, { _tag: "RaceWon", winner, failed })
      return output
    })
  }

  private lost(stage: string, refused: string | undefined): Effect.Effect<never, RaceLost> {
    const failures = this.losers.map(({ contestant, error }) => ({ contestant, error }))
    const error = raceLost({ stage, failures, ...(refused === undefined ? {} : { refused }) })
    // What they died of is in the cause, where the stack is.
    const died = this.losers.flatMap(({ cause }) => cause.reasons.filter(Cause.isDieReason))
    return Effect.failCause(together(Cause.fail(error), Cause.fromReasons<never>(died)))
  }

  private get losers(): ReadonlyArray<Out> {
    return this.inOrder.filter(({ skipped }) => skipped === undefined)
  }

  private get inOrder(): ReadonlyArray<Out> {
    return this.contestants.flatMap(({ name }) => this.out.filter(({ contestant }) => contestant === name))
  }
}

const artifactType = "race"

const isRecord = Schema.is(Schema.Struct({ winner: Schema.String }))

/**
 * Who won the race that the output of a stage comes from: `s.answer.output.map(Shapes.winnerIn)`. `None` when nobody did.
 */
export const winnerIn = (output: StageOutput): Option.Option<string> => {
  const record = output.artifacts.find(({ type }) => type === artifactType)?.payload
  return isRecord(record) ? Option.some(record.winner) : Option.none()
}

/**
 * Makes a stage of several contestants that run at once, each with the inputs of the stage: `Shapes.race("answer", {
 * primary, backup })`. The first to succeed wins, and its data is the data of the stage; when two succeed at the same time,
 * the one that is written first.
 *
 * The others are interrupted, and their finalizers have run before the stage ends. One that fails or skips leaves the race.
 * When all have, the stage fails with `RaceLost`, or is skipped if all were. One that cancels cancels the run. One that is
 * refused, by a guard or a denial, ends the race as lost: nobody stands in for it.
 *
 * Who won is in the output (`winnerIn`) and in the event `RaceWon`.
 */
export const race: Race = (name: string, given: Contestants, settings: RaceOptions = {}) => {
  const { kind } = options.fields<RaceOptions>("options", ["kind"], settings)
  const contestants = entriesOf("contestants", "an object with a stage, a pipeline or a function by name", given).map(
    ([name, body]): Contestant => ({
      name,
      // What it is, is what `runsOf` asks.
      runs: runsOf(`contestants.${name}`, body as Body),
      kind: Stage.isStage(body) ? body.kind : "transform"
    })
  )
  const run = Effect.fnUntraced(function*(inputs: unknown) {
    const { stage } = yield* StageContext
    const running = new Running(contestants)
    yield* running.run(inputs)
    return yield* running.conclude(stage)
  })
  const made = Stage.make(kind ?? "transform", name, { run }).pipe(
    Stage.annotate(Pipeline.Inside, contentOf(contestants.map(({ name, runs }) => [name, runs]))),
    Stage.annotate(Held, { errors: [holding(RaceLost, raceLost)] })
  )
  // The signature computes the types of the stage; the value does not know them.
  return made as never
}
