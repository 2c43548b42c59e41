/**
 * What a for-each costs over many items, compared with `Effect.forEach` over the same: time for each item, and the most
 * that is on the heap.
 */
import { Effect } from "effect"
import { Pipeline, Snapshot } from "stageflow"
import { ForEach } from "stageflow/control"

export const items = 100_000
const concurrency = 10
const rounds = 9

export interface ForEachCosts {
  /** Microseconds for each item. */
  readonly stage: number
  readonly effect: number
  /** How many times that of Effect the stage takes: both of one round saw the same machine. */
  readonly ratio: number
  /** Bytes on the heap for each item, at most. */
  readonly stagePeak: number
  readonly effectPeak: number
}

type Body = (n: number) => Effect.Effect<{ readonly done: number }>

const all = Array.from({ length: items }, (_, index) => index)

/** An item that does nothing, but does it in the runtime. */
const body: Body = (n) => Effect.sync(() => ({ done: n }))

const byEffect = (each: Body): Effect.Effect<unknown> => Effect.forEach(all, each, { concurrency })

const byStage = (each: Body): Effect.Effect<unknown> => {
  const stage = ForEach.stage("items", { items: () => all, each, concurrency })
  return Effect.orDie(Pipeline.run(Pipeline.make("items").add(stage), Snapshot.make()))
}

const microseconds = Effect.fnUntraced(function*(run: Effect.Effect<unknown>) {
  const started = performance.now()
  yield* run
  return (performance.now() - started) * 1_000 / items
})

const inUse = (): number => {
  globalThis.gc?.()
  const { arrayBuffers, heapUsed } = process.memoryUsage()
  return heapUsed + arrayBuffers
}

/** Lets what is over be forgotten. */
const settled = Effect.promise(() => new Promise<void>((resume) => setTimeout(resume, 10)))

/** What is on the heap at most, looked at ten times on the way and while the result is held. */
const peak = Effect.fnUntraced(function*(runOf: (each: Body) => Effect.Effect<unknown>) {
  let most = 0
  const look = () => {
    most = Math.max(most, inUse())
  }
  const looking: Body = (n) =>
    Effect.sync(() => {
      if (n % (items / 10) === items / 10 - 1) look()
      return { done: n }
    })
  yield* settled
  const before = inUse()
  // In a fiber of its own, so that nothing of it is left when the next is measured.
  yield* Effect.promise(() =>
    Effect.runPromise(Effect.tap(runOf(looking), (result) =>
      Effect.sync(() => {
        look()
        held.add(result)
        held.clear()
      })))
  )
  return Math.round((most - before) / items)
})

/** What is held when it is looked at. */
const held = new Set<unknown>()

const median = (values: ReadonlyArray<number>): number => values.toSorted((a, b) => a - b)[values.length >> 1] ?? 0

/** Measures both, by turns. */
export const forEachCosts = Effect.gen(function*() {
  const [stage, effect]: [Array<number>, Array<number>] = [[], []]
  const [stageRun, effectRun] = [byStage(body), byEffect(body)]
  for (let round = -2; round < rounds; round++) {
    const taken = [yield* microseconds(effectRun), yield* microseconds(stageRun)] as const
    if (round < 0) continue
    effect.push(taken[0])
    stage.push(taken[1])
  }
  // The first ones compile what they run.
  const peaks = { effect: 0, stage: 0 }
  for (let turn = 0; turn < 3; turn++) {
    peaks.effect = Math.max(peaks.effect, yield* peak(byEffect))
    peaks.stage = Math.max(peaks.stage, yield* peak(byStage))
  }
  const { effect: effectPeak, stage: stagePeak } = peaks
  const ratio = median(stage.map((taken, round) => taken / (effect[round] ?? Number.NaN)))
  return { ratio, stage: median(stage), effect: median(effect), stagePeak, effectPeak } satisfies ForEachCosts
})
