/**
 * Runs a whole pipeline in virtual time, the same way every time.
 *
 * Time is a test clock that moves by itself, from one wake-up to the next: a run that sleeps for an hour takes no time.
 * Each simulation has a clock of its own, which starts at 0. Ids and everything else that is random come from a seed, and
 * so does the order of what happens at the same time. The same seed gives the same events, ids and times included.
 *
 * ```ts
 * import { Context, Effect, Layer, Schema } from "effect"
 * import { Pipeline, Snapshot, Stage } from "stageflow"
 * import { Port, Simulation } from "stageflow/testing"
 *
 * class LlmDown extends Schema.TaggedError<LlmDown>()("LlmDown", {}) {}
 * class Llm extends Context.Service<Llm, { readonly ask: (prompt: string) => Effect.Effect<string, LlmDown> }>()("Llm") {}
 *
 * const answer = Stage.transform("answer", {
 *   run: Effect.gen(function*() {
 *     return { text: yield* (yield* Llm).ask("Hello?") }
 *   })
 * })
 * const pipeline = Pipeline.make("chat").add(answer.pipe(Stage.retry({ attempts: 3 })))
 *
 * const program = Effect.gen(function*() {
 *   const fake = Llm.of({ ask: () => Effect.succeed("Hello!") })
 *   const llm = Port.recorded(Port.failing(Port.delayed(fake, "2 seconds"), { times: 1, error: new LlmDown() }))
 *   const simulated = yield* Simulation.run(pipeline, Snapshot.make(), { seed: 1 }).pipe(
 *     Effect.provide(Layer.succeed(Llm, llm.service))
 *   )
 *   const { outputs } = yield* simulated.exit
 *   return { outputs, asked: yield* llm.calls, took: simulated.elapsed, events: Simulation.trace(simulated) }
 * })
 * ```
 *
 * Only what waits for the Effect clock is simulated. While a stage waits for something real (a file, a promise with a
 * timer of its own) virtual time moves on for the others, and for its timeout: give the port a stand-in, or the
 * simulation some `patience`.
 */
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import { dual } from "effect/Function"
import * as Option from "effect/Option"
import * as Random from "effect/Random"
import * as Schema from "effect/Schema"
import type { OptionsAfter, SnapshotProblem } from "../checks/run.ts"
import type { AnyNode, Checked } from "../checks/wiring.ts"
import { ReadyOrder } from "../engine/ready-order.ts"
import * as Event from "../Event.ts"
import { EventSink } from "../EventSink.ts"
import * as options from "../internal/options.ts"
import * as Pipeline from "../Pipeline.ts"
import type { RunOptions } from "../Run.ts"
import type { Snapshot } from "../Snapshot.ts"
import * as VirtualTime from "./VirtualTime.ts"

/**
 * What everything random in a simulation comes from.
 */
export type Seed = string | number

/**
 * How to simulate.
 */
export interface Options {
  /**
   * Shuffles what happens at the same time: which of several ready stages starts first, which of several sleepers wakes
   * first. The ids come from it, too. Without a seed the stage that has been ready longest starts first, who has slept
   * longest wakes first, and the ids are the same every time.
   */
  readonly seed?: Seed | undefined
  /** How much virtual time there is. 1 hour when left out. */
  readonly limit?: Duration.Input | undefined
  /**
   * How long to wait, in real time, for what is not on the clock (a file, a promise with a timer of its own) each time
   * before virtual time moves on. Nothing when left out, but 100 milliseconds before the program counts as stuck.
   */
  readonly patience?: Duration.Input | undefined
}

/**
 * What a simulation tells.
 */
export interface Simulated<out A, out E> {
  /** How it ended. It is an Effect, too: `yield* simulated.exit` gives the result, or fails as the run did. */
  readonly exit: Exit.Exit<A, E>
  readonly seed: Seed | undefined
  /** Every event, in order; those of runs that stages started are among them. */
  readonly events: ReadonlyArray<Event.Event>
  /** The stages that started, in that order. */
  readonly started: ReadonlyArray<string>
  /** The stages that had started and ended, however they did, in the order in which they ended. */
  readonly ended: ReadonlyArray<string>
  /** How long it took, in virtual time. */
  readonly elapsed: Duration.Duration
}

/**
 * The simulated program did not end.
 *
 * - `LimitReached`: something still waits for a time beyond the limit.
 * - `NothingScheduled`: everything waits, and nothing waits for the clock: a port that never answers, for one.
 * - `Busy`: something goes on for ever without letting time pass.
 *
 * It was interrupted and its finalizers ran. `abandoned` says that it ignored that.
 */
export class SimulationTimeout extends Schema.TaggedError<SimulationTimeout>()("SimulationTimeout", {
  reason: Schema.Literals(["LimitReached", "NothingScheduled", "Busy"]),
  limit: Schema.Duration,
  /** When nothing more could happen, in virtual time. */
  elapsed: Schema.Duration,
  seed: Schema.optionalKey(Schema.Union([Schema.String, Schema.Number])),
  /** The stages that were running. */
  running: Schema.Array(Schema.String),
  abandoned: Schema.Boolean,
  /** Every event up to then. */
  events: Schema.Array(Event.Event)
}) {
  readonly code = "SIMULATION_TIMEOUT"
  override get message(): string {
    const seed = this.seed === undefined ? "" : ` with seed ${JSON.stringify(this.seed)}`
    const running = this.running.length === 0 ? "No stage was running" : `Still running: ${this.running.join(", ")}`
    const abandoned = this.abandoned ? " It ignored its interruption and was abandoned." : ""
    return `The simulation${seed} ${this.describe}. ${running}.${abandoned}`
  }
  private get describe(): string {
    switch (this.reason) {
      case "LimitReached":
        return `did not end within ${Duration.format(this.limit)} of virtual time`
      case "NothingScheduled":
        return `came to a halt after ${
          Duration.format(this.elapsed)
        }: everything waits, and nothing waits for the clock`
      case "Busy":
        return `never came to rest after ${Duration.format(this.elapsed)}: something goes on without letting time pass`
    }
  }
}

/**
 * A property does not hold for a seed. The message names the seed and shows the failure.
 */
export class SeedFailed<out E = unknown> extends Schema.TaggedError<SeedFailed<unknown>>()("SeedFailed", {
  seed: Schema.Union([Schema.String, Schema.Number]),
  /** How many seeds the property held for before. */
  passed: Schema.Int,
  cause: Schema.Unknown
}) {
  readonly code = "SEED_FAILED"
  /** What the property failed with; empty when it gave `false`. */
  declare readonly cause: Cause.Cause<E>
  override get message(): string {
    const seed = JSON.stringify(this.seed)
    const failure = this.cause.reasons.length === 0 ? "The property returned false." : Cause.pretty(this.cause)
    return `Seed ${seed} fails, after ${this.passed} that passed. `
      + `Run it alone with Simulation.seeds([${seed}], property).\n${failure}`
  }
}

/** The seed of `seeds`, for the simulations inside it. */
const CurrentSeed = Context.Reference<Seed | undefined>("stageflow/testing/CurrentSeed", {
  defaultValue: () => undefined
})

// ---------------------------------------------------------------------------------------------------------------------
// one simulation
// ---------------------------------------------------------------------------------------------------------------------

const defaultLimit = Duration.hours(1)

/** What the ids come from when there is no seed. */
const noSeed = "stageflow"

const generator = (seed: Seed): Effect.Effect<typeof Random.Random["Service"]> =>
  Random.withSeed(Effect.service(Random.Random), seed)

/** What decides the order of things; it shares no generator with the ids, so that neither moves the other. */
const pickOf = Effect.fnUntraced(function*(seed: Seed | undefined) {
  if (seed === undefined) return undefined
  const order = yield* generator(`order of ${seed}`)
  return (count: number) => Math.floor(order.nextDoubleUnsafe() * count)
})

const namesOf = (events: ReadonlyArray<Event.Event>, isWanted: (event: Event.Event) => boolean) =>
  events.filter(isWanted).flatMap((event) => Event.isStageEvent(event) ? [event.stage] : [])

const isStart = (event: Event.Event): boolean => event._tag === "StageStarted"

/** Stages that never started have an end, too, with attempt 0. */
const isEndOfStarted = (event: Event.Event): boolean => Event.isStageEnd(event) && event.attempt > 0

const runningOf = (events: ReadonlyArray<Event.Event>): ReadonlyArray<string> => {
  const running = new Map<string, string>()
  for (const event of events) {
    if (!Event.isStageEvent(event)) continue
    const key = JSON.stringify([event.runId, event.stage])
    if (isStart(event)) running.set(key, event.stage)
    else if (isEndOfStarted(event)) running.delete(key)
  }
  return Array.from(running.values())
}

/**
 * Runs any Effect in virtual time: several runs at once, a run that is cancelled from outside, a day between two runs.
 *
 * The events are those of every pipeline that runs in it; a sink in the environment gets them as well. An Effect that is
 * still not over when the limit is reached, or when nothing is left that could wake it, is interrupted and the simulation
 * fails with `SimulationTimeout`.
 */
export const simulate: {
  (given?: Options): <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<Simulated<A, E>, SimulationTimeout, R>
  <A, E, R>(effect: Effect.Effect<A, E, R>, given?: Options): Effect.Effect<Simulated<A, E>, SimulationTimeout, R>
} = dual(
  (args) => Effect.isEffect(args[0]),
  <A, E, R>(
    effect: Effect.Effect<A, E, R>,
    given?: Options
  ): Effect.Effect<Simulated<A, E>, SimulationTimeout, R> => {
    const limit = options.positiveDuration("limit", given?.limit ?? defaultLimit)
    const patience = options.duration("patience", given?.patience ?? Duration.zero)
    return Effect.scoped(Effect.gen(function*() {
      const seed = given?.seed ?? (yield* CurrentSeed)
      const pick = yield* pickOf(seed)
      const time = yield* VirtualTime.make({ patienceMs: Duration.toMillis(patience), pick })
      const sink = yield* Effect.serviceOption(EventSink)
      const events: Array<Event.Event> = []
      const context = Context.mergeAll(
        time.context,
        Context.make(Random.Random, yield* generator(seed ?? noSeed)),
        Context.make(ReadyOrder, pick),
        Context.make(EventSink, {
          offer: (event) => {
            events.push(event)
            if (Option.isSome(sink)) sink.value.offer(event)
          }
        })
      )
      const limitMs = Duration.toMillis(limit)
      return yield* Effect.uninterruptibleMask((restore) =>
        Effect.gen(function*() {
          const fiber = yield* Effect.forkDetach(Effect.provideContext(effect, context), { startImmediately: true })
          /** The finalizers of what is interrupted have as much time again. */
          const interrupt = Effect.suspend(() => {
            fiber.interruptUnsafe()
            return time.drive(fiber, time.elapsedMs() + limitMs)
          })
          const stuck = yield* Effect.onInterrupt(restore(time.drive(fiber, limitMs)), () => interrupt)
          const elapsed = Duration.millis(time.elapsedMs())
          const exit = fiber.pollUnsafe()
          if (exit === undefined) {
            const soFar = events.slice()
            const abandoned = (yield* interrupt) !== undefined
            return yield* new SimulationTimeout({
              reason: stuck ?? "NothingScheduled",
              limit,
              elapsed,
              ...(seed === undefined ? {} : { seed }),
              running: runningOf(soFar),
              abandoned,
              events: soFar
            })
          }
          return {
            exit,
            seed,
            events: Object.freeze(events.slice()),
            started: namesOf(events, isStart),
            ended: namesOf(events, isEndOfStarted),
            elapsed
          }
        })
      )
    }))
  }
)

/**
 * Runs a pipeline in virtual time and tells how it went. Takes the options of `Pipeline.run` as well.
 *
 * A run that fails is no failure of the simulation: it is in `exit`. A run that does not end is, as `SimulationTimeout`.
 */
export const run: {
  <N extends AnyNode, E, R, V, S extends Snapshot, const O extends Options & RunOptions = {}>(
    self: Pipeline.Pipeline<N, E, R, V>,
    snapshot: Checked<S, SnapshotProblem<N, R, S>>,
    given?: O
  ): Effect.Effect<
    Simulated<Pipeline.Result<N, E, O, V>, Pipeline.Failure<N, E, O, V>>,
    SimulationTimeout,
    Pipeline.Services<N, R, S>
  >
  <S, const O extends Options & RunOptions = {}>(
    snapshot: S extends Snapshot ? S : Snapshot,
    ...given: OptionsAfter<S, O>
  ): <N extends AnyNode, E, R, V>(
    self: Checked<Pipeline.Pipeline<N, E, R, V>, SnapshotProblem<N, R, S>>
  ) => Effect.Effect<
    Simulated<Pipeline.Result<N, E, O, V>, Pipeline.Failure<N, E, O, V>>,
    SimulationTimeout,
    Pipeline.Services<N, R, S>
  >
} = dual(
  (args) => Pipeline.isPipeline(args[0]),
  // The signatures above check the pipeline and the snapshot as `Pipeline.run` does.
  (self: Pipeline.Pipeline<AnyNode>, snapshot: never, given: Options & RunOptions = {}) => {
    const { limit, patience, seed, ...options } = given
    return simulate(Pipeline.run(self, snapshot, options), { limit, patience, seed })
  }
)

/**
 * The events as lines for people: `#4 +2000ms StageCompleted router`.
 */
export const trace = (self: { readonly events: ReadonlyArray<Event.Event> }): ReadonlyArray<string> =>
  self.events.map((event) => Event.format(event, 0))

// ---------------------------------------------------------------------------------------------------------------------
// many seeds
// ---------------------------------------------------------------------------------------------------------------------

/**
 * Checks a property under many seeds, one after the other: 1 to `count`, or those that are listed.
 *
 * The property gets the seed, and every simulation inside it that has no seed of its own uses it; so does `Random`. The
 * first seed for which the property fails, dies or gives `false` ends the check with `SeedFailed`, which names it.
 *
 * Make doubles of ports inside the property: those that count would otherwise go on counting with the next seed.
 */
export const seeds = <A, E, R>(
  which: number | ReadonlyArray<Seed>,
  property: (seed: Seed) => Effect.Effect<A, E, R>
): Effect.Effect<ReadonlyArray<A>, SeedFailed<E>, R> => {
  const all = typeof which === "number"
    ? Array.from({ length: options.count("seeds", which) }, (_, index) => index + 1)
    : which
  return Effect.gen(function*() {
    const values: Array<A> = []
    for (const seed of all) {
      const exit = yield* Effect.suspend(() => property(seed)).pipe(
        Random.withSeed(seed),
        Effect.provideService(CurrentSeed, seed),
        Effect.exit
      )
      if (exit._tag === "Failure") return yield* new SeedFailed<E>({ seed, passed: values.length, cause: exit.cause })
      if (exit.value === false) return yield* new SeedFailed<E>({ seed, passed: values.length, cause: Cause.empty })
      values.push(exit.value)
    }
    return values
  })
}
