/**
 * Takes back what the stages of a run have done when the run does not complete.
 *
 * A stage says how what it did is taken back: its compensation. A pipeline with a saga around it runs the compensations of
 * the stages that have completed, the last one first, when a stage fails, when the run is cancelled or interrupted, and when
 * it ends incomplete.
 *
 * ```ts
 * import { Effect } from "effect"
 * import { Pipeline, Snapshot, Stage } from "stageflow"
 * import { Saga } from "stageflow/control"
 *
 * const charge = Stage.work("charge", { run: Effect.succeed({ payment: "p-1" }) }).pipe(
 *   Saga.compensate(({ payment }) => Effect.log(`Refunding ${payment}`))
 * )
 *
 * const order = Pipeline.make("order")
 *   .add(charge)
 *   .add(Stage.work("courier", { run: Effect.fail("No courier") }), { after: ["charge"] })
 *   .pipe(Pipeline.intercept(Saga.interceptor()))
 *
 * const program = Pipeline.run(order, Snapshot.make())
 * ```
 *
 * What counts is what is inside of `compensate`: once that has given data, it has been done, and is taken back even if
 * something further out fails the stage after all. What somebody else answered for it, a cache or the replay of an idempotent
 * stage, has not been done here.
 *
 * A run inside of a stage belongs to the run of that stage. When it fails it takes back its own stages at once; when it
 * completes, they are taken back with those of its parent. Where there is no saga, a compensation is never run.
 */
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { dual } from "effect/Function"
import type * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import { attemptIn } from "../attempt/attempt.ts"
import { aroundBody } from "../attempt/body.ts"
import { type Around, build, fromAround, type Outcome, undeclaringFaults } from "../attempt/interceptor-model.ts"
import { wasKept } from "../attempt/kept-outcome.ts"
import { Enders, type MakeEnder, type RunEnding } from "../attempt/run-ending.ts"
import type { CompensationProblem } from "../checks/saga.ts"
import * as Interceptor from "../Interceptor.ts"
import { immutable } from "../internal/immutable.ts"
import * as options from "../internal/options.ts"
import { changedOk } from "../internal/output-model.ts"
import * as Stage from "../Stage.ts"
import { StageContext } from "../StageContext.ts"
import { type Settings, takingBack, type Uncompensated } from "./internal/compensating.ts"
import { CurrentLog, type Deed, SagaLog } from "./internal/saga-log.ts"

// ---------------------------------------------------------------------------------------------------------------------
// what a stage says
// ---------------------------------------------------------------------------------------------------------------------

/** A compensation of the stage `Name`, or what is wrong with one. */
type Compensates<Name, D> = [CompensationProblem<Name, D>] extends [never] ? unknown
  : NoInfer<CompensationProblem<Name, D>>

type UntypedCompensation = (data: never, ending: RunEnding) => Effect.Effect<unknown, unknown, unknown>

/** Data that nobody can change any more. */
const settled = (data: unknown): unknown =>
  // What cannot be read fails the stage, which is found out further out. It has been done all the same.
  Result.getOrElse(Result.try(() => immutable(data)), () => data)

const recording = (compensation: UntypedCompensation): Around => (effect) =>
  Effect.withFiber((fiber) => {
    const log = Context.get(fiber.context, CurrentLog)
    if (log === undefined) return effect
    const attempt = attemptIn(fiber)
    /** How often the stage's own Effect was to run, and how often it did: what was kept may stand in for it. */
    let asked = 0
    let ran = 0
    const watched = aroundBody(effect, attempt, (body) => {
      asked++
      return Effect.suspend(() => {
        ran++
        return body
      })
    })
    const { context } = fiber
    let given: Outcome | undefined
    const recorded = Effect.onExitPrimitive(watched, (exit) => {
      if (exit._tag === "Failure" || exit.value._tag !== "Ok") return undefined
      if (wasKept(exit.value) || (asked > 0 && ran === 0)) return undefined
      const data = settled(exit.value.data)
      given = changedOk(exit.value, { data })
      const deed: Deed = {
        order: log.nextOrder(),
        stage: attempt.stage,
        runId: attempt.lineage.runId,
        path: [attempt.stage],
        attempt: attempt.attempts,
        data,
        takeBack: (ending) => effectOf(attempt.stage, compensation(data as never, ending)), // the data of its stage
        context
      }
      const ending = log.add(deed)
      return ending === undefined ? undefined : log.takeBackLate(deed, ending)
    })
    // Readers get the very data that the compensation gets: it is copied once.
    return Effect.map(recorded, (outcome) => given ?? outcome)
  })

/** What a compensation needs, its stage needs. */
const effectOf = (stage: string, made: unknown): Effect.Effect<unknown, unknown> =>
  Effect.isEffect(made)
    ? made as Effect.Effect<unknown, unknown>
    : Effect.die(new TypeError(`The compensation of stage "${stage}" gave no Effect`))

/**
 * Says how what the stage did is taken back, for when the run does not complete.
 *
 * The function is given the data of the stage, as it is at this place, and how the run ended. What its Effect needs is needed
 * by the stage. What it fails with fails nothing else: the saga tells of it. It is run only where there is a saga; see
 * `interceptor`.
 */
export const compensate: {
  <D, E2, R2>(
    compensation: (data: D, ending: RunEnding) => Effect.Effect<unknown, E2, R2>
  ): <Name extends string, In, S, E, R>(
    self: Stage.Stage<Name, In, D, S, E, R> & Compensates<Name, D>
  ) => Stage.Stage<Name, In, D, S, E, R | Exclude<R2, StageContext>>
  <Name extends string, In, D, S, E, R, E2, R2>(
    self: Stage.Stage<Name, In, D, S, E, R> & Compensates<Name, D>,
    compensation: (data: D, ending: RunEnding) => Effect.Effect<unknown, E2, R2>
  ): Stage.Stage<Name, In, D, S, E, R | Exclude<R2, StageContext>>
} = dual(2, (self: Stage.Stage<string, never, unknown>, compensation: UntypedCompensation) =>
  Stage.intercept(
    options.ofKind("stage", "a stage; see Stage.make", Stage.isStage, self) as typeof self,
    fromAround("saga", 100, recording(options.callable("compensation", compensation)))
  ))

// ---------------------------------------------------------------------------------------------------------------------
// what a pipeline says
// ---------------------------------------------------------------------------------------------------------------------

/**
 * How a saga takes back.
 */
export interface Options<out R = never> {
  /** How long each compensation may take. 30 seconds when left out. */
  readonly limit?: Duration.Input | undefined
  /** How long all compensations of a run may take together: those that it leaves no time for are not reached. */
  readonly deadline?: Duration.Input | undefined
  /**
   * For how many stages that do not depend on one another compensations run at once. 1 when left out: strictly one after the
   * other, the last first.
   */
  readonly concurrency?: number | "unbounded" | undefined
  /**
   * Hears of everything that is not taken back, with its data, to have it done in another way. Without it, an error is
   * logged. It has as long as a compensation.
   */
  readonly onUncompensated?: ((uncompensated: Uncompensated) => Effect.Effect<unknown, unknown, R>) | undefined
}

const optionNames: ReadonlyArray<keyof Options> = ["limit", "deadline", "concurrency", "onUncompensated"]

const checked = <R>(given: Options<R>): Omit<Settings, "onUncompensated"> & Pick<Options<R>, "onUncompensated"> => {
  const { concurrency, deadline, limit, onUncompensated } = options.fields<Options<R>>("options", optionNames, given)
  return {
    limit: options.positiveDuration("limit", limit ?? "30 seconds"),
    deadline: deadline === undefined ? Duration.infinity : options.positiveDuration("deadline", deadline),
    concurrency: options.concurrency("concurrency", concurrency ?? 1),
    onUncompensated: onUncompensated === undefined ? undefined : options.callable("onUncompensated", onUncompensated)
  }
}

/** The end of the runs that are started here. */
const enderOf = (settings: Settings): MakeEnder => (run, environment) => {
  const parent = Context.get(environment, CurrentLog)
  const stage = Option.getOrUndefined(Context.getOption(environment, StageContext))
  const place = parent === undefined || stage === undefined
    ? undefined
    : { log: parent, stage: stage.stage, attempt: stage.attempt }
  const log = new SagaLog(run, takingBack(settings), place)
  return {
    inside: Context.make(CurrentLog, log),
    stagesEnded: (ending) => log.takeAllBack(ending),
    keepsLayers: (release) => log.keepsLayers(release),
    needsLayers: () => log.needsLayers,
    releaseKept: Effect.andThen(log.insideTakenBack, log.releaseKept),
    ended: (ending) => ending === undefined ? log.complete : log.takeAllBack(ending),
    told: () => log.endTold()
  }
}

/**
 * Runs the compensations of the stages that have completed when a run does not: for `Pipeline.intercept` and
 * `Interceptor.layer`. It is in force for the runs inside of the run, too; one of those with a saga of its own takes back as
 * that says.
 *
 * A compensation is not interrupted by what interrupts the run, but by its own `limit`. One that fails, dies or takes too
 * long stops no other. The result, and `StageFailed`, say in `compensation` what became of each, and so do the events of the
 * run: `saga.compensating`, `saga.compensated`, `saga.failed` and `saga.not_reached`.
 */
export const interceptor = <R = never>(given: Options<R> = {}): Interceptor.Interceptor<never, R> => {
  const { onUncompensated, ...settings } = checked(given)
  return undeclaringFaults<never, R>(
    build<unknown, R, never>("saga", 1, {
      around: undefined,
      aroundRun: (effect) =>
        Effect.contextWith((context: Context.Context<never>) => {
          const hearing = onUncompensated === undefined
            ? undefined
            // The pipeline asks for what it needs.
            : (uncompensated: Uncompensated) =>
              Effect.provide(onUncompensated(uncompensated) as Effect.Effect<unknown, unknown>, context)
          return Effect.provideService(effect, Enders, enderOf({ ...settings, onUncompensated: hearing }))
        })
    })
  )
}

/**
 * Installs a saga around every pipeline that runs below the Layer.
 */
export const layer = <R = never>(given: Options<R> = {}): Layer.Layer<never, never, R> =>
  Interceptor.layer(interceptor(given))

export type { RunEnding } from "../attempt/run-ending.ts"
export { CompensationFault, type Uncompensated } from "./internal/compensating.ts"
