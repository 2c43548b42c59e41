/**
 * Interrupts a part of a run: a stage by its name, and what depends on it, and says what came of it.
 */
import * as Effect from "effect/Effect"
import { Suggestions } from "../internal/nearest-name.ts"
import * as options from "../internal/options.ts"
import { type InterruptedStages, type InterruptOptions, UnknownStage } from "../Run.ts"
import type { ActiveRun } from "./active-run.ts"
import type { Plan } from "./plan.ts"
import type { StageInterruption } from "./stage-interruption.ts"

/** Stages that the caller interrupts, by index, and why. */
export interface PartOfRun {
  readonly stages: ReadonlyArray<number>
  readonly reason: string
}

/** A stage and everything that depends on it, directly or not. */
const withDependents = ({ successors: { items, starts } }: Plan, stage: number): ReadonlyArray<number> => {
  const found = new Set([stage])
  // A set gives what is added to it while it is gone through.
  for (const index of found) {
    for (const successor of items.subarray(starts[index], starts[index + 1])) found.add(successor)
  }
  return Array.from(found)
}

const unknown = ({ indexOf, pipeline }: Plan, stage: string): UnknownStage => {
  const didYouMean = new Suggestions(indexOf).nearest(stage, "")
  return new UnknownStage({ pipeline, stage, ...(didYouMean === undefined ? {} : { didYouMean }) })
}

/** Reads what the caller asks for. */
export const partOf = (
  plan: Plan,
  givenStage: string,
  givenReason: string,
  given: InterruptOptions | undefined
): Effect.Effect<PartOfRun, UnknownStage> => {
  const stage = options.text("stage", givenStage)
  const reason = options.text("reason", givenReason)
  const { dependents } = given === undefined ? {} : options.fields<InterruptOptions>("options", ["dependents"], given)
  const areWithDependents = dependents !== undefined && options.flag("dependents", dependents)
  const index = plan.indexOf.get(stage)
  if (index === undefined) return Effect.suspend(() => Effect.fail(unknown(plan, stage)))
  return Effect.sync(() => ({ stages: areWithDependents ? withDependents(plan, index) : [index], reason }))
}

/** A running stage that was interrupted, once nothing of it runs any more. */
type Interrupted = readonly [index: number, interruption: StageInterruption]

const wasInterrupted = (run: ActiveRun, [index, { hasEnded }]: Interrupted): boolean =>
  hasEnded || run.statuses[index] === "interrupted" || run.statuses[index] === "abandoned"

const wasAbandoned = (run: ActiveRun, [index, { isAbandoned }]: Interrupted): boolean =>
  isAbandoned || run.statuses[index] === "abandoned"

const inOrder = ({ names }: Plan, stages: ReadonlyArray<number>): ReadonlyArray<string> => {
  const wanted = new Set(stages)
  return names.filter((_, index) => wanted.has(index))
}

/** What came of it where no stage had started. */
export const interruptedBefore = (plan: Plan, { stages }: PartOfRun): InterruptedStages => ({
  interrupted: [],
  abandoned: [],
  neverStarted: inOrder(plan, stages),
  ended: []
})

/** Interrupts stages of a run, and waits until nothing of them runs any more. */
export const interruptPart = Effect.fnUntraced(function*(run: ActiveRun, { reason, stages }: PartOfRun) {
  const { ended, pending, running } = run.interrupt(stages, reason)
  for (const [, interruption] of running) yield* interruption.awaitEnd
  const indicesOf = (which: ReadonlyArray<Interrupted>) => which.map(([index]) => index)
  const interrupted = running.filter((each) => wasInterrupted(run, each))
  const inSpiteOfIt = running.filter((each) => !wasInterrupted(run, each))
  return {
    interrupted: inOrder(run.plan, indicesOf(interrupted)),
    abandoned: inOrder(run.plan, indicesOf(interrupted.filter((each) => wasAbandoned(run, each)))),
    neverStarted: inOrder(run.plan, pending),
    ended: inOrder(run.plan, [...ended, ...indicesOf(inSpiteOfIt)])
  } satisfies InterruptedStages
})
