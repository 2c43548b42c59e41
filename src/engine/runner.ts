/**
 * Runs a pipeline to its end, or in the background with a handle.
 */
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import type * as Stream from "effect/Stream"
import { StreamedStage } from "../attempt/streamed.ts"
import { EventSink } from "../EventSink.ts"
import { immutable } from "../internal/immutable.ts"
import { interruptWithin, within } from "../internal/interruption.ts"
import * as options from "../internal/options.ts"
import { define } from "../internal/record.ts"
import type { Snapshot } from "../internal/snapshot-model.ts"
import { type StreamUse, streamUse } from "../internal/source-model.ts"
import type { PipelineInvalid } from "../PipelineInvalid.ts"
import type { Run, RunOptions, StageStatus, UnknownStage, WatchOptions } from "../Run.ts"
import type { Progress } from "../StageContext.ts"
import type { StreamFailed } from "../StageError.ts"
import type { ActiveRun } from "./active-run.ts"
import type { Listener } from "./announcer.ts"
import { EventLog } from "./event-log.ts"
import { sinkInto } from "./listeners.ts"
import { type Cancellation, OneRun } from "./one-run.ts"
import { partOf } from "./part-of-run.ts"
import { type Plan, planOf } from "./plan.ts"
import { chunksWanted, type RunSettings, seesAll, settingsOf, watchOptionNames } from "./run-options.ts"
import type { OutsideReader } from "./run-streams.ts"
import type { Ended, Failed, Runnable } from "./runnable.ts"

/** Runs a pipeline in the fiber of whoever asks for it. */
export const run = (
  self: Runnable,
  snapshot: Snapshot,
  given: RunOptions | undefined
): Effect.Effect<Ended, Failed | PipelineInvalid> => {
  const options = settingsOf(snapshot, given)
  return Effect.flatMap(planOf(self), (plan) =>
    Effect.contextWith((outside: Context.Context<never>) => {
      const run = new OneRun(self, plan, snapshot, options, [], outside, false)
      // It starts where nothing can come between its start and the promise to tell of its end.
      const started = Effect.suspend(() => {
        run.start()
        return run.all
      })
      return Effect.onExitPrimitive(started, (exit) => {
        const ending = run.end(exit)
        // What goes wrong after the stages have ended is the end of the run.
        return ending === undefined
          ? undefined
          : Effect.flatMap(ending, (whole) => whole._tag === "Failure" ? Effect.asVoid(whole) : Effect.void)
      })
    }))
}

const statusOf = ({ stages }: Plan, run: ActiveRun | undefined): Readonly<Record<string, StageStatus>> => {
  const record: Record<string, StageStatus> = {}
  for (const { index, name } of stages) define(record, name, run?.statuses[index] ?? "pending")
  return record
}

const progressOf = ({ names }: Plan, run: ActiveRun | undefined): Readonly<Record<string, Progress>> => {
  const record: Record<string, Progress> = {}
  for (const [index, { done, total }] of run?.progress ?? []) {
    define(record, names[index] as string, Object.freeze(total === undefined ? { done } : { done, total }))
  }
  return record
}

/**
 * Waits for the end of a run that can be cancelled. Cancelled before its stages start, it does not wait for what is around
 * them; cancelled later, what is around them gets the grace.
 */
const awaitOrCancel = Effect.fnUntraced(function*(
  run: OneRun,
  cancelled: Deferred.Deferred<Cancellation>,
  restore: <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
): Effect.fn.Return<Ended, Failed> {
  const environment = yield* Effect.context<never>()
  const grace = run.graceIn(environment)
  const fiber = yield* Effect.forkDetach(run.all, { startImmediately: true })
  const first = yield* restore(Effect.raceFirst(Fiber.await(fiber), Deferred.await(cancelled))).pipe(
    Effect.onInterrupt(() => Fiber.interrupt(fiber))
  )
  if (Exit.isExit(first)) return yield* first
  if (run.cancelStages(first)) {
    yield* run.stagesEnded
    yield* within(Fiber.await(fiber), grace)
    fiber.interruptUnsafe()
  } else {
    yield* interruptWithin([fiber], grace)
  }
  const exit = fiber.pollUnsafe()
  // What is around the stages may still say no; what it had no time to say is not waited for.
  return yield* exit === undefined || Exit.hasInterrupts(exit) ? run.endAsCancelled(environment, first) : exit
})

// Nothing can come between the start of a run and the fiber that tells of its end: nobody is interrupted in here.
const begin = Effect.fnUntraced(function*(
  self: Runnable,
  plan: Plan,
  snapshot: Snapshot,
  options: RunSettings,
  log: EventLog,
  listeners: ReadonlyArray<Listener>,
  readers: ReadonlyMap<string, OutsideReader>
): Effect.fn.Return<StartedRun, never, Scope.Scope> {
  const result = yield* Deferred.make<Ended, Failed>()
  const cancelled = yield* Deferred.make<Cancellation>()
  const run = new OneRun(self, plan, snapshot, options, listeners, yield* Effect.context<never>(), true, [
    ...readers.values()
  ])
  run.start()
  const toEnd = Effect.uninterruptibleMask((restore) =>
    Effect.gen(function*() {
      const ended = yield* Effect.exit(awaitOrCancel(run, cancelled, restore))
      const ending = run.end(ended)
      const exit = ending === undefined ? ended : yield* ending
      log.end()
      Deferred.doneUnsafe(result, exit)
    })
  )
  yield* Effect.forkScoped(toEnd, { startImmediately: true })
  return {
    lineage: run.record.lineage,
    tree: Effect.sync(() => run.record.tree),
    await: Deferred.await(result),
    cancel: (reason, cancelOptions) =>
      Effect.suspend(() => {
        Deferred.doneUnsafe(cancelled, Effect.succeed({ reason, data: immutable(cancelOptions?.data ?? {}) }))
        return Effect.asVoid(Effect.exit(Deferred.await(result)))
      }),
    interrupt: (stage, reason, given) =>
      Effect.flatMap(partOf(plan, stage, reason, given), (part) => run.interruptPart(part)),
    events: log.stream,
    chunks: (stage) => chunksOf(run, readers, stage),
    status: Effect.sync(() => statusOf(plan, run.state)),
    progress: Effect.sync(() => progressOf(plan, run.state))
  }
})

/** The handle of a run, with the names of whatever stages it has. */
type StartedRun = Run<Ended, Failed, string, UnknownStage, Readonly<Record<string, never>>>

/** How whoever holds the handle of a run reads chunks. */
const useOutside = (stage: string): StreamUse => ({ ...streamUse(stage, { onSkip: "end" }) })

/** Who reads chunks from outside; throws when a stage has none. */
const readersOf = (plan: Plan, wanted: ReadonlyArray<string>): ReadonlyMap<string, OutsideReader> => {
  const streaming = plan.stages.filter(({ definition }) =>
    Context.get(definition.annotations, StreamedStage) !== undefined
  ).map(({ name }) => name)
  return new Map(wanted.map((name) => {
    const stage = plan.indexOf.get(options.oneOf("chunks", streaming, name)) as number // it is one of them
    return [name, { stage, reading: useOutside(name).reading }] as const
  }))
}

const chunksOf = (
  run: OneRun,
  readers: ReadonlyMap<string, OutsideReader>,
  stage: string
): Stream.Stream<never, StreamFailed> => {
  const { stage: index } = readers.get(options.oneOf("stage", Array.from(readers.keys()), stage)) as OutsideReader // see `oneOf`
  // The types of the chunks are in the type of the handle.
  return run.chunksOf(index, useOutside(stage)) as Stream.Stream<never, StreamFailed>
}

/** Starts a run in a fiber that belongs to the scope. */
export const start = (
  self: Runnable,
  snapshot: Snapshot,
  given: WatchOptions | undefined
): Effect.Effect<StartedRun, PipelineInvalid, Scope.Scope> => {
  const { chunks, events, ...others } = given === undefined ? {} : options.fields("options", watchOptionNames, given)
  const checked = settingsOf(snapshot, others)
  const isForAll = seesAll({ events })
  const wanted = chunksWanted({ chunks })
  const begun = (plan: Plan) =>
    Effect.suspend(() => {
      const log = new EventLog()
      const readers = readersOf(plan, wanted)
      if (!isForAll) return begin(self, plan, snapshot, checked, log, [log.append], readers)
      return Effect.updateContext(
        begin(self, plan, snapshot, checked, log, [], readers),
        (context: Context.Context<Scope.Scope>) =>
          Context.add(context, EventSink, sinkInto(log, Option.getOrUndefined(Context.getOption(context, EventSink))))
      )
    })
  return Effect.flatMap(planOf(self), (plan) => Effect.uninterruptible(begun(plan)))
}
