/**
 * Runs one stage alone, in virtual time, and tells what it ended with.
 *
 * The stage runs in the engine, with everything that is around it: its output schema, its timeout, its retry policy.
 *
 * ```ts
 * import { Effect, Option } from "effect"
 * import { Stage, StageOutput } from "stageflow"
 * import { StageTest } from "stageflow/testing"
 *
 * const greet = Stage.transform("greet", {
 *   run: Effect.fnUntraced(function*(inputs: { readonly profile: Option.Option<{ readonly name: string }> }) {
 *     if (Option.isNone(inputs.profile)) return StageOutput.skip("Nobody to greet")
 *     return { text: `Hello ${inputs.profile.value.name}` }
 *   })
 * })
 *
 * const program = Effect.gen(function*() {
 *   const { outcome } = yield* StageTest.run(greet, { inputs: { profile: Option.some({ name: "Ada" }) } })
 *   return outcome._tag === "Ok" ? outcome.data.text : outcome._tag
 * })
 * ```
 */
import type * as Cause from "effect/Cause"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import * as Event from "../Event.ts"
import * as Interceptor from "../Interceptor.ts"
import { immutable } from "../internal/immutable.ts"
import * as OutputBag from "../OutputBag.ts"
import * as Pipeline from "../Pipeline.ts"
import type { PipelineInvalid } from "../PipelineInvalid.ts"
import { type RunResult, StageFailed } from "../RunResult.ts"
import * as Snapshot from "../Snapshot.ts"
import * as Stage from "../Stage.ts"
import type { StageContext } from "../StageContext.ts"
import { InvalidOption, type StageFault } from "../StageError.ts"
import * as StageOutput from "../StageOutput.ts"
import * as Simulation from "./Simulation.ts"

/**
 * How a stage ends whose data is `Data`, that may end with `Signals` and fail with `Error`.
 *
 * `Retry` is what it ends with when nobody granted it another attempt. `Fail` holds its typed error, or a `StageFault`.
 */
export type Outcome<Data, Signals, Error> =
  | StageOutput.Ok<Data>
  | ("skip" extends Signals ? StageOutput.Skip : never)
  | ("cancel" extends Signals ? StageOutput.Cancel : never)
  | ("retry" extends Signals ? StageOutput.Retry : never)
  | StageOutput.Fail<Error | StageFault>

/**
 * What became of the stage.
 */
export interface Tested<Data, Signals, Error> {
  readonly outcome: Outcome<Data, Signals, Error>
  /** Everything that went wrong, when it failed. */
  readonly cause: Cause.Cause<unknown> | undefined
  readonly attempts: number
  /** What it emitted, in all attempts. */
  readonly emitted: ReadonlyArray<StageOutput.Emitted>
  readonly artifacts: ReadonlyArray<StageOutput.Artifact>
  /** The events about the stage, from its start to its end. */
  readonly events: ReadonlyArray<Event.Event>
  /** How long it took, in virtual time. */
  readonly elapsed: Duration.Duration
}

/**
 * What a stage is given. `inputs` is left out for a stage that takes none.
 */
export type Given<In, S extends Snapshot.Snapshot> = Simulation.Options & {
  /** An empty one when left out. */
  readonly snapshot?: S | undefined
  /**
   * How the stages before it ended, for a stage that asks `StageContext.inputs`: their data, or an output such as
   * `StageOutput.skip("...")`.
   */
  readonly before?: Readonly<Record<string, object>> | undefined
} & (unknown extends In ? { readonly inputs?: undefined } : { readonly inputs: In })

/** A stage with inputs has to be given them. */
type Arguments<In, S extends Snapshot.Snapshot> = unknown extends In ? [given?: Given<In, S>] : [given: Given<In, S>]

/** What the engine was handed, before it made a `RetryExhausted` of it. */
type Handed = Exit.Exit<Interceptor.Outcome, unknown> | undefined

/** Outside of everything else that is around the stage, it sees what the engine is handed. */
const watching = (stage: string, see: (handed: Handed) => void) =>
  Interceptor.make({
    name: "stageflow/testing/StageTest",
    order: Number.NEGATIVE_INFINITY,
    around: (effect, info) =>
      info.name === stage ? Effect.onExit(effect, (exit) => Effect.sync(() => see(exit))) : effect
  })

const checkBefore = (before: Readonly<Record<string, object>>): ReadonlyArray<readonly [string, object]> => {
  const entries = Object.entries(before)
  for (const [name, output] of entries) {
    if (StageOutput.isStageOutput(output) && output._tag !== "Ok" && output._tag !== "Skip") {
      const option = `before.${name}`
      throw new InvalidOption({ option, expected: "data, or an output that is Ok or Skip", given: output._tag })
    }
  }
  return entries
}

const outcomeOf = (
  handed: Handed,
  result: RunResult | StageFailed,
  last: OutputBag.Entry | undefined
): StageOutput.StageOutput => {
  if (last?.end._tag === "Settled") return last.end.output
  if (handed?._tag === "Success" && handed.value._tag === "Retry") return handed.value
  // The only stage that can fail is the one that is tested, and a run in which none fails has an output for each.
  const { data, error } = result as StageFailed
  return StageOutput.fail(error, { data })
}

const eventsOf = <const Tag extends Event.Event["_tag"]>(
  events: ReadonlyArray<Event.Event>,
  tag: Tag
): ReadonlyArray<Event.Of<Tag>> => events.filter((event): event is Event.Of<Tag> => event._tag === tag)

const testOf = Effect.fnUntraced(function*(
  stage: Stage.Any,
  before: ReadonlyArray<readonly [string, object]>,
  snapshot: Snapshot.Snapshot,
  given: Simulation.Options
) {
  let handed: Handed
  const pipeline = yield* Pipeline.fromSpecs(`test of ${stage.name}`, [
    ...before.map(([name, output]) => ({ stage: Stage.transform(name, { run: Effect.succeed(output) }) })),
    { stage, after: before.map(([name]) => name) }
  ])
  const watch = watching(stage.name, (seen) => {
    handed = seen
  })
  // The services that the stage needs are in the type of `run`.
  const watched = Pipeline.intercept(watch)(pipeline) as Pipeline.Pipeline<Pipeline.AnyNode>
  const simulated = yield* Simulation.run(watched, snapshot as Snapshot.With<never>, given)
  const result: RunResult | StageFailed = yield* Effect.catchTag(
    simulated.exit,
    "StageFailed",
    (failed) => Effect.succeed(failed)
  )
  const events = simulated.events.filter((event) => Event.isStageEvent(event) && event.stage === stage.name)
  const attempts = OutputBag.attempts(result.bag, stage.name)
  const outcome = outcomeOf(handed, result, attempts.at(-1))
  const artifacts = eventsOf(events, "ArtifactAdded").map(({ payload, type }) => ({ type, payload }))
  return {
    outcome,
    cause: result instanceof StageFailed ? result.cause : undefined,
    attempts: attempts.length,
    emitted: eventsOf(events, "StageEmitted").map(({ data, type }) => ({ type, data })),
    // The engine drops those of a retry that it does not grant.
    artifacts: outcome._tag === "Retry" ? [...outcome.artifacts, ...artifacts] : artifacts,
    events,
    elapsed: simulated.elapsed
  }
})

/**
 * Runs one stage alone and tells what it ended with.
 *
 * Inputs are immutable to the stage, as they are in a pipeline. A stage that never ends gives `SimulationTimeout`, one
 * without a name `PipelineInvalid`.
 */
export const run = <
  Name extends string,
  In,
  Data,
  Signals,
  Error,
  Services,
  S extends Snapshot.Snapshot = Snapshot.With<never>
>(
  stage: Stage.Stage<Name, In, Data, Signals, Error, Services>,
  ...[given]: Arguments<In, S>
): Effect.Effect<
  Tested<Data, Signals, Error>,
  Simulation.SimulationTimeout | PipelineInvalid,
  Exclude<Services, Snapshot.CarriedBy<S> | StageContext>
> => {
  const inputs = immutable(given?.inputs)
  const before = checkBefore(given?.before ?? {})
  // The arguments have inputs exactly where the stage takes some.
  const subject = Stage.mapInput(stage, () => inputs as In)
  const { limit, patience, seed } = given ?? {}
  // What came out is of the types that the stage has.
  return testOf(subject, before, given?.snapshot ?? Snapshot.make(), {
    limit,
    patience,
    seed
  }) as unknown as Effect.Effect<
    Tested<Data, Signals, Error>,
    Simulation.SimulationTimeout | PipelineInvalid,
    Exclude<Services, Snapshot.CarriedBy<S> | StageContext>
  >
}
