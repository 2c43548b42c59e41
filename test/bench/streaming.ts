/**
 * What streams between stages cost: chunks through a chain of stages, compared with the same Stream pipeline written by
 * hand, each part of it running by itself behind a buffer of the same size; and what is on the heap on the way.
 */
import { Effect, Stream } from "effect"
import { Pipeline, Snapshot, Source, Stage, type StageError } from "stageflow"

const chunks = 50_000
const long = 1_000_000
const rounds = 7
const buffer = 16

/** How many stages stream one behind the other. */
export const lengths = [1, 3, 5] as const

export interface StreamingCosts {
  /** Microseconds for each chunk, by how many stages it passes. */
  readonly stages: Readonly<Record<number, number>>
  readonly byHand: Readonly<Record<number, number>>
  /** How many times that of the Stream the stages take: both of one round saw the same machine. */
  readonly ratio: Readonly<Record<number, number>>
  /** Bytes on the heap while a million chunks pass: the most, beyond what there was after the first tenth. */
  readonly growth: number
}

type Numbers = Stream.Stream<number, StageError.StreamFailed>

const counted = {
  initial: () => ({ count: 0 }),
  step: ({ count }: { readonly count: number }) => ({ count: count + 1 })
}

const step = (n: number): number => n + 1

/** A model gives its tokens one by one. */
const numbers = (count: number): Stream.Stream<number> => Stream.rechunk(Stream.range(1, count), 1)

const byHand = (length: number, count: number): Effect.Effect<unknown> => {
  let stream = numbers(count).pipe(Stream.buffer({ capacity: buffer }))
  for (let stage = 1; stage < length; stage++) {
    let seen = { count: 0 }
    stream = stream.pipe(
      Stream.map((n) => {
        seen = counted.step(seen)
        return step(n)
      }),
      Stream.buffer({ capacity: buffer })
    )
  }
  return Stream.runFold(stream, counted.initial, counted.step)
}

const byStages = (
  length: number,
  count: number,
  look: (n: number) => void = () => undefined
): Effect.Effect<unknown> => {
  const specs: Array<Pipeline.Spec> = [{
    stage: Stage.stream("stage 0", { run: numbers(count), collect: counted, buffer })
  }]
  for (let stage = 1; stage < length; stage++) {
    specs.push({
      stage: Stage.stream(`stage ${stage}`, {
        run: (inputs: { readonly numbers: Numbers }) => Stream.map(inputs.numbers, step),
        collect: counted,
        buffer
      }),
      inputs: { numbers: Source.stage(`stage ${stage - 1}`).stream }
    })
  }
  specs.push({
    stage: Stage.work("reader", {
      run: (inputs: { readonly numbers: Numbers }) =>
        Stream.runFold(inputs.numbers, counted.initial, (seen, n) => {
          look(n)
          return counted.step(seen)
        })
    }),
    inputs: { numbers: Source.stage(`stage ${length - 1}`).stream }
  })
  return Effect.orDie(Effect.flatMap(
    Pipeline.fromSpecs("streaming", specs),
    (pipeline) => Pipeline.run(pipeline, Snapshot.make())
  )) as Effect.Effect<unknown>
}

const microseconds = Effect.fnUntraced(function*(run: Effect.Effect<unknown>) {
  const started = performance.now()
  yield* run
  return (performance.now() - started) * 1_000 / chunks
})

const inUse = (): number => {
  globalThis.gc?.()
  return process.memoryUsage().heapUsed
}

const growthOf = Effect.fnUntraced(function*(length: number) {
  let first = 0
  let most = 0
  yield* byStages(length, long, (n) => {
    if ((n - length) % (long / 10) !== 0) return
    const now = inUse()
    if (first === 0) first = now
    most = Math.max(most, now)
  })
  return most - first
})

const median = (values: ReadonlyArray<number>): number => values.toSorted((a, b) => a - b)[values.length >> 1] ?? 0

/** Measures both, by turns. */
export const streamingCosts = Effect.gen(function*() {
  const costs = { stages: {}, byHand: {}, ratio: {} } as Record<"stages" | "byHand" | "ratio", Record<number, number>>
  for (const length of lengths) {
    const [stages, hand]: [Array<number>, Array<number>] = [[], []]
    for (let round = -2; round < rounds; round++) {
      const taken = [
        yield* microseconds(byHand(length, chunks)),
        yield* microseconds(byStages(length, chunks))
      ] as const
      if (round < 0) continue
      hand.push(taken[0])
      stages.push(taken[1])
    }
    costs.stages[length] = median(stages)
    costs.byHand[length] = median(hand)
    costs.ratio[length] = median(stages.map((taken, round) => taken / (hand[round] ?? Number.NaN)))
  }
  return { ...costs, growth: yield* growthOf(3) } satisfies StreamingCosts
})
