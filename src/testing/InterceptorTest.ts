/**
 * Tests an interceptor: what it does to a stage, when it is entered and left, whether it fails closed.
 *
 * `run` puts the interceptor around a stage of its own and runs that in virtual time; it tells what came out, how often the
 * body of the stage ran, and in which order everything was entered and left. `order` does so for a list of interceptors.
 * The checks (`failsClosed`, `passesOutcomes`, `leavesOnInterruption`, `coversEveryAttempt`) are what holds for every good
 * interceptor; each fails with a `ContractBroken` that says what is wrong.
 *
 * ```ts
 * import { Effect, Schema } from "effect"
 * import { Interceptor, StageContext } from "stageflow"
 * import { InterceptorTest } from "stageflow/testing"
 *
 * class Closed extends Schema.TaggedError<Closed>()("Closed", {}) {}
 *
 * const officeHours = Interceptor.make({
 *   name: "office hours",
 *   around: (effect) =>
 *     Effect.gen(function*() {
 *       const { snapshot } = yield* StageContext.StageContext
 *       if (snapshot.inputText === "at night") return yield* new Closed()
 *       return yield* effect
 *     })
 * })
 *
 * const program = Effect.gen(function*() {
 *   yield* InterceptorTest.passesOutcomes(officeHours)
 *   yield* InterceptorTest.leavesOnInterruption(officeHours)
 *   const { body, exit } = yield* InterceptorTest.run(officeHours, { body: Effect.succeed({ answer: 42 }) })
 *   return [body.started, exit._tag]
 * })
 * ```
 *
 * What the interceptor needs comes from the environment, as it does in a pipeline: provide the Layer of its state to the
 * test. A Layer with a life of its own (a fiber that waits) belongs into a `Simulation.simulate` around a pipeline.
 */
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Equal from "effect/Equal"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Schema from "effect/Schema"
import { errorSummaryOf } from "../attempt/error-summary.ts"
import { fromAround } from "../attempt/interceptor-model.ts"
import { retryAround } from "../attempt/retry.ts"
import type { Event } from "../Event.ts"
import * as Interceptor from "../Interceptor.ts"
import { orders } from "../interceptors/internal/orders.ts"
import * as options from "../internal/options.ts"
import * as Pipeline from "../Pipeline.ts"
import { StageFailed } from "../RunResult.ts"
import * as Snapshot from "../Snapshot.ts"
import * as Stage from "../Stage.ts"
import type { StageContext } from "../StageContext.ts"
import { RetryExhausted, RunRejected, StageFault } from "../StageError.ts"
import * as StageOutput from "../StageOutput.ts"
import * as Simulation from "./Simulation.ts"
import { type Passage, RunNumber, type Step, Witness } from "./Witness.ts"

export type { Passage, Step }

/**
 * What an interceptor can be put around: a stage without inputs, or an Effect that is read like one.
 */
export type Body =
  | Stage.Stage<string, unknown, unknown, unknown, unknown, unknown>
  | Effect.Effect<object | void, unknown, unknown>

/** The stage that a body is, or makes. */
type StageOf<B> = B extends Stage.Any ? B
  : B extends Effect.Effect<infer A, infer E, infer R> ? Stage.Made<"stage", unknown, A, E, R, unknown>
  : never

type NodeOf<S> = S extends Stage.Any
  ? Pipeline.Node<S["name"], Stage.DataOf<S>, Stage.Signals<S>, Stage.Error<S>, Stage.Services<S>>
  : never

/**
 * Where the interceptor goes: around a pipeline's stages, on the stage itself, or below a Layer.
 */
export type Place = "pipeline" | "stage" | "layer"

/**
 * Where to test, with what, and for how long.
 */
export interface Conditions<S extends Snapshot.Snapshot = Snapshot.Snapshot> extends Simulation.Options {
  /** `"pipeline"` when left out. */
  readonly at?: Place | undefined
  /** The snapshot, or that of each run, by its number from 1. An empty one when left out. */
  readonly snapshot?: S | ((run: number) => S) | undefined
}

/**
 * What to run.
 */
export interface Given<B extends Body = Effect.Effect<void>, S extends Snapshot.Snapshot = Snapshot.Snapshot>
  extends Conditions<S>
{
  /** What it is put around. A stage that does nothing when left out. */
  readonly body?: B | undefined
  /** How many runs there are. 1 when left out. */
  readonly times?: number | undefined
  /** How long after the last one each run starts; with 0 all start at once. When the last one has ended, when left out. */
  readonly every?: Duration.Input | undefined
  /** Interrupts whoever called the run, so long after it started. */
  readonly interruptAfter?: Duration.Input | undefined
  /** How long the body takes to clean up when it is interrupted. Nothing when left out. */
  readonly cleanUp?: Duration.Input | undefined
}

/**
 * How often the body ran, in all runs together.
 */
export interface Count {
  readonly started: number
  /** How many of these came to an end of their own, good or bad. */
  readonly ended: number
  readonly interrupted: number
  /** How many of these had run their finalizers when their run ended. */
  readonly released: number
}

/**
 * What became of the runs.
 */
export interface Tested<out A, out E> {
  /** How the last run ended. It is an Effect, too: `yield* tested.exit` gives its result, or fails as it did. */
  readonly exit: Exit.Exit<A, E>
  /** How each run ended. */
  readonly exits: ReadonlyArray<Exit.Exit<A, E>>
  /** What the interceptor passed on for the stage, by run; `undefined` where it was never asked for the stage. */
  readonly outcomes: ReadonlyArray<Exit.Exit<Interceptor.Outcome, unknown> | undefined>
  readonly body: Count
  /** Each time that the body was started. */
  readonly passages: ReadonlyArray<Passage>
  /** Who was entered and left, the body included, in that order. */
  readonly steps: ReadonlyArray<Step>
  /** The interceptors that had been entered and were not left when the run ended. */
  readonly notLeft: ReadonlyArray<string>
  readonly events: ReadonlyArray<Event>
  /** How long it took, in virtual time. */
  readonly elapsed: Duration.Duration
}

/** How a run of the test ends, and what it fails with. */
type TestedOf<E, B> = Tested<Pipeline.Result<NodeOf<StageOf<B>>, E>, Pipeline.Failure<NodeOf<StageOf<B>>, E>>

/** What a test needs: what the body needs and the interceptor does not give, and what the interceptor needs. */
type Needed<R, P, B, S> = Exclude<
  R | (StageOf<B> extends infer T extends Stage.Any ? Exclude<Stage.Services<T>, P> : never),
  Snapshot.CarriedBy<S> | StageContext
>

type AnyEffect = Effect.Effect<unknown, unknown, unknown>

/** How often each Effect of `inTurn` had its turn: in each test anew. */
const Turns = Context.Reference<WeakMap<object, number>>("stageflow/testing/Turns", {
  defaultValue: () => new WeakMap()
})

/**
 * An Effect that does something else each time: the first, then the second, and the last one from then on.
 *
 * Each test begins with the first.
 */
export const inTurn = <const All extends readonly [AnyEffect, ...ReadonlyArray<AnyEffect>]>(
  ...all: All
): Effect.Effect<Effect.Success<All[number]>, Effect.Error<All[number]>, Effect.Services<All[number]>> =>
  // One of them each time, so it gives, fails with and needs what one of them does.
  Effect.flatMap(Turns, (turns) => {
    const turn = turns.get(all) ?? 0
    turns.set(all, turn + 1)
    return all[Math.min(turn, all.length - 1)] as never
  })

// ---------------------------------------------------------------------------------------------------------------------
// running
// ---------------------------------------------------------------------------------------------------------------------

const stageOf = (body: Body = Effect.void): Stage.Stage<string, unknown, unknown, unknown, unknown, unknown> =>
  Stage.isStage(body)
    ? body as Stage.Stage<string, unknown, unknown, unknown, unknown, unknown> // a Body, so it takes no inputs
    : Stage.work("stage", { run: body })

const interrupted = <A, E, R>(run: Effect.Effect<A, E, R>, after: Duration.Duration): Effect.Effect<A, E, R> =>
  Effect.gen(function*() {
    const fiber = yield* Effect.forkChild(run, { startImmediately: true })
    yield* Effect.timeoutOption(Fiber.await(fiber), after)
    yield* Fiber.interrupt(fiber)
    return yield* yield* Fiber.await(fiber)
  })

type AnyTested = Tested<unknown, unknown>

const reportOf = (
  witness: Witness,
  exits: ReadonlyArray<Exit.Exit<unknown, unknown>>,
  { elapsed, events }: Simulation.Simulated<unknown, unknown>
): AnyTested => {
  const passages = witness.passages.map((passage): Passage => ({ ...passage }))
  const ended = passages.filter(({ exit }) => exit !== undefined)
  const interrupted = ended.filter(({ exit }) => exit !== undefined && Exit.hasInterrupts(exit)).length
  return {
    exit: exits.at(-1) as Exit.Exit<unknown, unknown>, // there is at least one run
    exits,
    outcomes: exits.map((_, index) => witness.outcomes.get(index + 1)),
    body: {
      started: passages.length,
      ended: ended.length - interrupted,
      interrupted,
      released: passages.filter(({ released }) => released).length
    },
    passages,
    steps: witness.steps.slice(),
    notLeft: Array.from(witness.notLeft.values()).flat(),
    events,
    elapsed
  }
}

/** What is run, and who sees it. */
const subjectOf = (
  interceptor: Interceptor.Any,
  { at = "pipeline", body, cleanUp }: Given<Body, Snapshot.Snapshot>,
  others: ReadonlyArray<Interceptor.Any>
) => {
  const witness = new Witness(options.duration("cleanUp", cleanUp ?? 0))
  const watched = witness.watched(interceptor)
  const watchedBody = Stage.intercept(stageOf(body), witness.body)
  const stage = at === "stage" ? Stage.intercept(watchedBody, watched) : watchedBody
  const around = at === "pipeline" ? [witness.outermost, ...others, watched] : [witness.outermost, ...others]
  const pipeline = Pipeline.make(`test of ${interceptor.name}`).add(stage as never).pipe(
    Pipeline.intercept(...around)
  ) as unknown as Pipeline.Pipeline<Pipeline.AnyNode> // what it needs is in the types of `run`
  const below = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
    // One that gives stages a service has no Layer that says so, but it works below one.
    at === "layer" ? Effect.provide(effect, Interceptor.layer(watched as Interceptor.Interceptor)) : effect
  return { witness, pipeline, below }
}

/** What only the checks ask for. */
interface Special {
  /** What goes around the pipeline as well. */
  readonly others?: ReadonlyArray<Interceptor.Any>
  /** The only run that is interrupted. */
  readonly interrupted?: number
}

/** The test itself. */
const test = (
  interceptor: Interceptor.Any,
  given: Given<Body, Snapshot.Snapshot> = {},
  { interrupted: only, others = [] }: Special = {}
): Effect.Effect<AnyTested, Simulation.SimulationTimeout, unknown> => {
  const { limit, patience, seed, snapshot } = given
  const times = options.positiveCount("times", given.times ?? 1)
  const every = given.every === undefined ? undefined : options.duration("every", given.every)
  const after = given.interruptAfter === undefined
    ? undefined
    : options.duration("interruptAfter", given.interruptAfter)
  const snapshotOf = typeof snapshot === "function" ? snapshot : () => snapshot ?? Snapshot.make()
  const numbers = Array.from({ length: times }, (_, index) => index + 1)
  // What is wrong with the rest is found here as well, and not when the test runs.
  subjectOf(interceptor, given, others)
  return Effect.suspend(() => {
    const { below, pipeline, witness } = subjectOf(interceptor, given, others)
    const run = (number: number): Effect.Effect<Exit.Exit<unknown, unknown>, never, unknown> => {
      const running = witness.watchedRun(
        Effect.suspend(() => Pipeline.run(pipeline, snapshotOf(number) as Snapshot.With<never>))
      )
      const isInterrupted = only === undefined || only === number
      return Effect.exit(after === undefined || !isInterrupted ? running : interrupted(running, after)).pipe(
        Effect.provideService(RunNumber, number)
      )
    }
    const late = (number: number, wait: Duration.Duration) => Effect.andThen(Effect.sleep(wait), run(number))
    const runs = every === undefined
      ? Effect.forEach(numbers, run)
      : Effect.forEach(numbers, (number) => late(number, Duration.times(every, number - 1)), {
        concurrency: "unbounded"
      })
    return Effect.gen(function*() {
      const simulated = yield* Simulation.simulate(Effect.provideService(below(runs), Turns, new WeakMap()), {
        limit,
        patience,
        seed
      })
      return reportOf(witness, yield* simulated.exit, simulated)
    })
  })
}

/**
 * Runs a stage with the interceptor around it, in virtual time, and tells what became of it.
 *
 * A run that fails is no failure of the test: it is in `exit`. One that never ends is, as `SimulationTimeout`.
 */
export const run = <
  E,
  R,
  P,
  const B extends Body = Effect.Effect<void>,
  S extends Snapshot.Snapshot = Snapshot.With<never>
>(
  interceptor: Interceptor.Interceptor<E, R, P>,
  given?: Given<B, S>
): Effect.Effect<TestedOf<E, B>, Simulation.SimulationTimeout, Needed<R, P, B, S>> =>
  // What comes out is of the types that the interceptor and the body have.
  test(interceptor, given) as Effect.Effect<never, Simulation.SimulationTimeout, never>

/**
 * In which order interceptors are entered and left around a stage.
 */
export interface Order {
  /** Outermost first; the last one is the stage. */
  readonly entered: ReadonlyArray<string>
  /** The stage first. */
  readonly left: ReadonlyArray<string>
  /** Both, as it happened. */
  readonly steps: ReadonlyArray<Step>
}

/**
 * Tells in which order interceptors are entered and left around a stage, as if they had been listed in
 * `Pipeline.intercept`. Combined ones are told of one by one; one inside a retry, as often as it is entered.
 */
export const order = <
  const I extends ReadonlyArray<Interceptor.Any>,
  const B extends Body = Effect.Effect<void>,
  S extends Snapshot.Snapshot = Snapshot.With<never>
>(
  interceptors: readonly [...I],
  given?: Given<B, S>
): Effect.Effect<
  Order,
  Simulation.SimulationTimeout,
  Needed<Interceptor.ServicesOf<I[number]>, Interceptor.ProvidedBy<I[number]>, B, S>
> =>
  Effect.map(test(Interceptor.combine(...interceptors), given), ({ steps }): Order => ({
    entered: steps.filter(({ step }) => step === "entered").map(({ name }) => name),
    left: steps.filter(({ step }) => step === "left").map(({ name }) => name),
    steps
  })) as Effect.Effect<Order, Simulation.SimulationTimeout, never> // what it needs is in the signature

// ---------------------------------------------------------------------------------------------------------------------
// checks
// ---------------------------------------------------------------------------------------------------------------------

const Problem = Schema.Struct({
  code: Schema.Literals([
    "BODY_RAN",
    "NOT_DENIED",
    "NO_TYPED_ERROR",
    "BODY_DID_NOT_RUN",
    "OUTCOME_CHANGED",
    "NOT_INTERRUPTED",
    "NOT_LEFT",
    "NOT_RELEASED",
    "NEXT_RUN_STOPPED",
    "NEXT_RUN_DELAYED",
    "ATTEMPT_NOT_COVERED"
  ]),
  message: Schema.String
})

/**
 * One thing that is wrong with an interceptor.
 *
 * - `BODY_RAN`: the body of the stage ran where it was to be denied.
 * - `NOT_DENIED`: the run did not fail.
 * - `NO_TYPED_ERROR`: it failed, with a defect or an interruption.
 * - `BODY_DID_NOT_RUN`: the body did not run where nothing was to be denied.
 * - `OUTCOME_CHANGED`: what the stage ended with was not passed on.
 * - `NOT_INTERRUPTED`: the run went on when its caller was interrupted, or was over before.
 * - `NOT_LEFT`: somebody was still inside when the run ended.
 * - `NOT_RELEASED`: the body was still running or cleaning up when the run ended.
 * - `NEXT_RUN_STOPPED`: after an interruption the next run did not get through.
 * - `NEXT_RUN_DELAYED`: after an interruption the next run had to wait for longer than the one that was interrupted.
 * - `ATTEMPT_NOT_COVERED`: an attempt was made without the interceptor being entered for it.
 */
export type Problem = typeof Problem.Type

const sentences = {
  failsClosed: "does not fail closed",
  passesOutcomes: "does not pass on what a stage ends with",
  leavesOnInterruption: "leaves something behind when it is interrupted",
  coversEveryAttempt: "does not cover every attempt"
} as const

/**
 * An interceptor does not do what every interceptor must. `problems` says what is wrong.
 */
export class ContractBroken extends Schema.TaggedError<ContractBroken>()("ContractBroken", {
  check: Schema.Literals(["failsClosed", "passesOutcomes", "leavesOnInterruption", "coversEveryAttempt"]),
  interceptor: Schema.String,
  problems: Schema.Array(Problem),
  /** The events of the runs, a line for each. */
  trace: Schema.Array(Schema.String)
}) {
  readonly code = "CONTRACT_BROKEN"
  override get message(): string {
    const problems = this.problems.map(({ code, message }) => `\n- ${message} (${code})`).join("")
    return `Interceptor "${this.interceptor}" ${sentences[this.check]}:${problems}`
  }
}

type Check = ContractBroken["check"]
type Code = Problem["code"]

const problem = (code: Code, message: string): Problem => ({ code, message })

const settle = (
  check: Check,
  { name }: Interceptor.Any,
  problems: ReadonlyArray<Problem>,
  tested: AnyTested
): Effect.Effect<void, ContractBroken> =>
  problems.length === 0
    ? Effect.void
    : Effect.fail(new ContractBroken({ check, interceptor: name, problems, trace: Simulation.trace(tested) }))

const inWords = (error: unknown): string => {
  const { message, tag } = errorSummaryOf(error)
  return message === "" ? tag : `${tag}: ${message}`
}

const causeInWords = (cause: Cause.Cause<unknown>): string => {
  const [first] = cause.reasons.toSorted((a, b) => rank[a._tag] - rank[b._tag])
  switch (first?._tag) {
    case "Fail":
      return `failed with ${inWords(first.error)}`
    case "Die":
      return `died of ${inWords(first.defect)}`
    default:
      return "was interrupted"
  }
}

const rank = { Fail: 0, Die: 1, Interrupt: 2 } as const

const outcomeInWords = (exit: Exit.Exit<Interceptor.Outcome, unknown>): string =>
  exit._tag === "Failure" ? `it ${causeInWords(exit.cause)}` : `it ended as ${exit.value._tag}`

/** What an interceptor denies with, as the types of its pipeline have it. */
export type Denial<E> = E extends Interceptor.FailsRun<infer X> ? Exclude<X, RunRejected> : E

/**
 * A test in which the interceptor denied.
 */
export interface Denied<out A, out E, out X> extends Tested<A, E> {
  /** The typed error that it denied with, the last time. */
  readonly error: X
}

/** The typed error behind a failed run, or what there was instead. */
const denialOf = (cause: Cause.Cause<unknown>): { readonly error: unknown } | { readonly instead: string } => {
  const rejected = cause.reasons.find(Cause.isDieReason)?.defect
  if (rejected instanceof RunRejected) return { error: rejected.error }
  const failed = cause.reasons.find(Cause.isFailReason)
  if (failed === undefined) return { instead: causeInWords(cause) }
  const error = failed.error instanceof StageFailed ? failed.error.error : failed.error
  if (!(error instanceof StageFault)) return { error }
  const { reason } = error
  if (reason._tag !== "InterceptorFailed") return { instead: inWords(error) }
  // One that threw or gave no Effect is named like one that a Layer installed.
  const isBroken = failed.error instanceof StageFailed
    && failed.error.cause.reasons.some((other) => Cause.isDieReason(other) && other.defect === reason.error)
  return isBroken ? { instead: `died of ${inWords(reason.error)}` } : { error: reason.error }
}

/**
 * Checks that the interceptor denies, and denies well: the body does not start, and the run fails with a typed error.
 *
 * Set it up so that it denies: a limit that is reached, a store that is down, a caller without a token. Where it takes runs
 * to get there, `after` says how many; those may end as they like, and `times` counts the ones that come then.
 */
export const failsClosed = <
  E,
  R,
  P,
  const B extends Body = Effect.Effect<void>,
  S extends Snapshot.Snapshot = Snapshot.With<never>
>(
  interceptor: Interceptor.Interceptor<E, R, P>,
  given?: Given<B, S> & { readonly after?: number | undefined }
): Effect.Effect<
  Denied<Pipeline.Result<NodeOf<StageOf<B>>, E>, Pipeline.Failure<NodeOf<StageOf<B>>, E>, Denial<E>>,
  ContractBroken | Simulation.SimulationTimeout,
  Needed<R, P, B, S>
> => {
  const after = options.count("after", given?.after ?? 0)
  const denials = options.positiveCount("times", given?.times ?? 1)
  const denied = Effect.gen(function*() {
    const tested = yield* test(interceptor, { ...given, times: after + denials })
    const problems: Array<Problem> = []
    let denial: unknown
    for (const [index, exit] of tested.exits.entries()) {
      const number = index + 1
      if (number <= after) continue
      if (tested.passages.some(({ run }) => run === number)) {
        problems.push(problem("BODY_RAN", `the body started in run ${number}`))
      }
      if (exit._tag === "Success") {
        const { _tag } = exit.value as { readonly _tag: string } // a RunResult
        problems.push(problem("NOT_DENIED", `run ${number} ended as ${_tag}`))
        continue
      }
      const found = denialOf(exit.cause)
      if ("error" in found) denial = found.error
      else problems.push(problem("NO_TYPED_ERROR", `run ${number} failed without a typed error: ${found.instead}`))
    }
    yield* settle("failsClosed", interceptor, problems, tested)
    return { ...tested, error: denial }
  })
  // What it denied with is one of its errors: the body did not run, and nothing else is around it.
  return denied as Effect.Effect<never, ContractBroken | Simulation.SimulationTimeout, never>
}

/**
 * The ways in which a stage ends.
 */
export type Ending = "skip" | "cancel" | "retry" | "fail" | "defect" | "ok"

/**
 * What the stage of a check fails with.
 */
export class BodyFailed extends Schema.TaggedError<BodyFailed>()("BodyFailed", {}) {
  readonly code = "BODY_FAILED"
  override get message(): string {
    return "The stage of the test failed, as it was meant to"
  }
}

const defect = new Error("The stage of the test died, as it was meant to")

const bodies: Readonly<Record<Ending, Effect.Effect<object, BodyFailed>>> = {
  skip: Effect.succeed(StageOutput.skip("nothing to do", { data: { kept: true } })),
  cancel: Effect.succeed(StageOutput.cancel("enough", { data: { kept: true } })),
  retry: Effect.succeed(StageOutput.retry("not yet", { data: { kept: true } })),
  fail: Effect.fail(new BodyFailed()),
  defect: Effect.die(defect),
  ok: Effect.succeed(
    StageOutput.ok({ value: 1, nested: { list: ["a"] } }, {
      artifacts: [{ type: "test", payload: { kept: true } }],
      version: "1"
    })
  )
}

/** `"ok"` is the last, because an interceptor that remembers a result does not ask the body again. */
const endings: ReadonlyArray<Ending> = ["skip", "cancel", "retry", "fail", "defect", "ok"]

const isSameOutcome = (inside: Interceptor.Outcome, outside: Interceptor.Outcome): boolean => {
  if (inside._tag !== outside._tag || !Equal.equals(inside.data, outside.data)) return false
  if (inside._tag === "Ok") {
    return inside.version === outside.version && Equal.equals(inside.artifacts, outside.artifacts)
  }
  return inside.reason === (outside as typeof inside).reason
}

const isExhausted = (reason: Cause.Reason<unknown>): boolean => {
  const found = denialOf(Cause.fromReasons([reason]))
  return "error" in found && found.error instanceof RetryExhausted
}

const isHandedOn = (
  inside: Exit.Exit<Interceptor.Outcome, unknown>,
  outside: Exit.Exit<Interceptor.Outcome, unknown>
): boolean => {
  if (inside._tag === "Success") {
    if (outside._tag === "Success") return isSameOutcome(inside.value, outside.value)
    // The same as what the engine makes of it.
    return inside.value._tag === "Retry" && outside.cause.reasons.some(isExhausted)
  }
  if (outside._tag === "Success") return false
  return inside.cause.reasons.every((one) =>
    outside.cause.reasons.some((other) =>
      (Cause.isFailReason(one) && Cause.isFailReason(other) && one.error === other.error)
      || (Cause.isDieReason(one) && Cause.isDieReason(other) && one.defect === other.defect)
    )
  )
}

const handingOn = (ending: Ending, run: number, tested: AnyTested): ReadonlyArray<Problem> => {
  const inside = tested.passages.findLast((passage) => passage.run === run)?.exit
  const outside = tested.outcomes[run - 1]
  const exit = tested.exits[run - 1]
  if (inside === undefined) {
    const why = exit?._tag === "Failure" ? `the run ${causeInWords(exit.cause)}` : "the run went on without it"
    return [problem("BODY_DID_NOT_RUN", `a stage that would end with "${ending}" did not run: ${why}`)]
  }
  if (outside === undefined) {
    return [problem("OUTCOME_CHANGED", `a stage ended with "${ending}", and nothing was passed on`)]
  }
  return isHandedOn(inside, outside) ? [] : [problem(
    "OUTCOME_CHANGED",
    ending === "ok" && outside._tag === "Success" && outside.value._tag === "Ok"
      ? "the data, the artifacts or the version of an Ok are not what the stage gave"
      : `a stage ended with "${ending}", and outside of the interceptor ${outcomeInWords(outside)}`
  )]
}

/**
 * Checks that the interceptor passes on what a stage ends with, whichever way that is: a skip, a cancel, a retry, a failure
 * and a defect as what they are, an `Ok` with its data, artifacts and version.
 *
 * `except` names those that are its business: `"fail"` for a fallback. An exhausted retry policy passes on too.
 */
export const passesOutcomes = <E, R, P, S extends Snapshot.Snapshot = Snapshot.With<never>>(
  interceptor: Interceptor.Interceptor<E, R, P>,
  given?: Conditions<S> & { readonly except?: ReadonlyArray<Ending> | undefined }
): Effect.Effect<
  void,
  ContractBroken | Simulation.SimulationTimeout,
  Needed<R, P, Effect.Effect<void>, S>
> =>
  Effect.gen(function*() {
    const wanted = endings.filter((ending) => given?.except?.includes(ending) !== true)
    const body = Effect.flatMap(RunNumber, (run) => bodies[wanted[run - 1] as Ending])
    const tested = yield* test(interceptor, { ...given, body, times: wanted.length })
    const problems = wanted.flatMap((ending, index) => handingOn(ending, index + 1, tested))
    yield* settle("passesOutcomes", interceptor, problems, tested)
  }) as Effect.Effect<void, ContractBroken | Simulation.SimulationTimeout, never> // what it needs is in the signature

const leaving = ({ exits: [first, second], notLeft, passages }: AnyTested): ReadonlyArray<Problem> => {
  const problems: Array<Problem> = []
  if (first?._tag === "Success") {
    problems.push(problem("NOT_INTERRUPTED", "the interrupted run completed all the same"))
  } else if (first !== undefined && !Exit.hasInterrupts(first)) {
    problems.push(problem("NOT_INTERRUPTED", `the interrupted run ${causeInWords(first.cause)} instead`))
  }
  for (const name of notLeft) {
    problems.push(problem("NOT_LEFT", `"${name}" was entered, and had not been left when the run ended`))
  }
  for (const { released, run } of passages) {
    if (run === 1 && !released) {
      problems.push(problem("NOT_RELEASED", "the body was still running or cleaning up when its run ended"))
    }
  }
  if (second?._tag === "Failure") {
    problems.push(
      problem("NEXT_RUN_STOPPED", `after the interrupted run, the next one ${causeInWords(second.cause)}`)
    )
  }
  const [before, after] = [1, 2].map((number) => passages.find(({ run }) => run === number)?.waited)
  if (before !== undefined && after !== undefined && after > before) {
    problems.push(problem("NEXT_RUN_DELAYED", `after the interrupted run, the next one waited ${after} ms`))
  }
  return problems
}

/**
 * Checks that nothing stays behind when the caller of a run is interrupted: the body is interrupted, its finalizers have
 * run and the interceptor is left before the run ends, and what the run occupied is free for the next one, which gets
 * through without having to wait for it.
 *
 * The first run is interrupted `after` so long (1 second when left out), while its body waits for ever. Set the interceptor
 * up so that it lets two runs through.
 */
export const leavesOnInterruption = <E, R, P, S extends Snapshot.Snapshot = Snapshot.With<never>>(
  interceptor: Interceptor.Interceptor<E, R, P>,
  given?: Conditions<S> & { readonly after?: Duration.Input | undefined }
): Effect.Effect<
  void,
  ContractBroken | Simulation.SimulationTimeout,
  Needed<R, P, Effect.Effect<void>, S>
> => {
  const after = options.positiveDuration("after", given?.after ?? "1 second")
  return Effect.gen(function*() {
    const body = Effect.flatMap(RunNumber, (run) => run === 1 ? Effect.never : Effect.void)
    const runs = { ...given, body, times: 2, interruptAfter: after, cleanUp: "10 millis" } as const
    const tested = yield* test(interceptor, runs, { interrupted: 1 })
    yield* settle("leavesOnInterruption", interceptor, leaving(tested), tested)
  }) as Effect.Effect<void, ContractBroken | Simulation.SimulationTimeout, never> // what it needs is in the signature
}

const attempts = 3

const covering = (name: string, { steps }: AnyTested): ReadonlyArray<Problem> => {
  const names = new Set(steps.filter(({ wraps }) => wraps === "stage").map((step) => step.name))
  const entries = Array.from(names, (part) => ({
    part,
    count: steps.filter((step) => step.name === part && step.step === "entered").length
  }))
  if (entries.length === 0) return [problem("ATTEMPT_NOT_COVERED", `"${name}" wraps runs, not stages`)]
  if (entries.some(({ count }) => count === attempts)) return []
  const [most] = entries.toSorted((a, b) => b.count - a.count)
  return [problem(
    "ATTEMPT_NOT_COVERED",
    `"${most?.part}" was entered ${most?.count} time(s) for ${attempts} attempts: is its order lower than ${orders.retry}, `
      + `the order of the retry?`
  )]
}

/**
 * Checks that the interceptor is inside of a retry: it is entered anew for each attempt of a stage that needs three.
 */
export const coversEveryAttempt = <E, R, P, S extends Snapshot.Snapshot = Snapshot.With<never>>(
  interceptor: Interceptor.Interceptor<E, R, P>,
  given?: Conditions<S>
): Effect.Effect<
  void,
  ContractBroken | Simulation.SimulationTimeout,
  Needed<R, P, Effect.Effect<void>, S>
> => {
  // It is where that of `stageflow/interceptors` is.
  const retry = fromAround("retry", orders.retry, retryAround({ attempts }))
  return Effect.gen(function*() {
    const body = inTurn(Effect.fail(new BodyFailed()), Effect.fail(new BodyFailed()), Effect.void)
    const tested = yield* test(interceptor, { ...given, body }, { others: [retry] })
    yield* settle("coversEveryAttempt", interceptor, covering(interceptor.name, tested), tested)
  }) as Effect.Effect<void, ContractBroken | Simulation.SimulationTimeout, never> // what it needs is in the signature
}
