/**
 * What each graph costs, in microseconds per stage.
 *
 * A sample is the mean of as many runs as make up the same number of stages, whatever the size of the graph: so small
 * graphs pay for their share of the garbage collection, too. Other programs make the machine faster or slower while it is
 * measured, and a collection falls on whoever allocates next: so the shapes take turns, the samples of one turn come in a
 * random order, and what is reported is their median. It is the time on the wall: Linux counts the processor's time for a
 * thread in steps of 4 ms, which is half a sample.
 */
import { Effect, Fiber } from "effect"
import { interceptedRunsOf, type InterceptorName, interceptorNames } from "./interceptors.ts"
import { type Nesting, nestingRuns, nestings } from "./nested.ts"
import { mulberry32, shuffled } from "./random.ts"
import type { Section } from "./sections.ts"
import { graphOf, type Shape, shapes } from "./shapes.ts"
import {
  exporterModes,
  floors,
  modes,
  runLogModes,
  sinkModes,
  type SubjectName,
  subjectsOf,
  waitingModes
} from "./subjects.ts"

export const sizes = [10, 100, 1_000, 10_000] as const

export type Size = (typeof sizes)[number]

/** Microseconds per stage, of those that were measured. */
export type Costs = Record<Shape, Record<Size, Partial<Record<SubjectName, number>>>>

export interface Measured {
  readonly results: Costs
  /** Starting a fiber and waiting for it, which everything is compared with: microseconds. */
  readonly forkJoin: number
  /** What each interceptor adds to a bare run of a layered graph of 1,000 stages: microseconds per stage. */
  readonly interceptors: Partial<Record<InterceptorName, number>>
  /** Fifty stages in pipelines of ten, each in the one before, and the same flat: microseconds per run. */
  readonly nested: Partial<Record<Nesting, number>>
}

const turns = 3
const warmUpRounds = 2
const rounds = 6
const stagesPerSample = 10_000
/** The floor is so fast that a sample of the same number of stages would be within the noise. */
const floorStagesPerSample = 50_000

const subjectNames: ReadonlyArray<SubjectName> = [
  ...modes,
  ...waitingModes,
  ...sinkModes,
  ...exporterModes,
  ...runLogModes,
  ...floors
]

const median = (values: ReadonlyArray<number>): number => {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted.length >> 1
  const upper = sorted[middle] ?? Number.NaN
  return sorted.length % 2 === 1 ? upper : (upper + (sorted[middle - 1] ?? Number.NaN)) / 2
}

/** Something that is done again and again. */
interface Measurement {
  readonly once: Effect.Effect<unknown>
  /** How many times it is done for a sample. */
  readonly times: number
  /** Takes the microseconds that doing it once took. */
  readonly take: (microseconds: number) => void
}

/** The mean time of doing it once, after once that does not count: what came before has emptied the caches. */
const sample = Effect.fnUntraced(function*({ once, times }: Measurement) {
  yield* once
  const started = performance.now()
  for (let time = 0; time < times; time++) yield* once
  return (performance.now() - started) * 1_000 / times
})

/** The samples of all measurements, by the name under which they are reported. */
class Samples {
  private readonly byName = new Map<string, Array<number>>()

  of(name: string): Array<number> {
    const known = this.byName.get(name) ?? []
    this.byName.set(name, known)
    return known
  }
}

const nameOf = (shape: Shape, size: Size, subject: SubjectName): string => `${shape} ${size} ${subject}`

const forkAndJoin = Effect.flatMap(Effect.forkChild(Effect.void), Fiber.join)

/** What is measured in the same turn. */
interface Group {
  readonly section: Section
  readonly names: ReadonlyArray<SubjectName>
}

/**
 * The default stack keeps far more in memory than the rest, and what that costs is not to fall on them; and code that has
 * run with it, or with stages that wait, is less well compiled for running without, so these come last.
 */
const groups: ReadonlyArray<Group> = [
  { section: "stages", names: ["bare", "events", "spans", "floor"] },
  { section: "defaults", names: ["defaults", "stackByHand"] },
  { section: "waiting", names: ["bareAwaiting", "bareYielding"] },
  { section: "waiting", names: ["defaultsAwaiting", "defaultsYielding"] },
  { section: "sinks", names: sinkModes },
  { section: "exporters", names: exporterModes },
  { section: "runLog", names: runLogModes }
]

/** What everything is compared with, measured in every turn. */
const reference = (samples: Samples): Measurement => ({
  once: forkAndJoin,
  times: stagesPerSample,
  take: (microseconds) => samples.of("forkJoin").push(microseconds)
})

const measurementsOf = Effect.fnUntraced(function*(
  samples: Samples,
  shape: Shape,
  size: Size,
  names: ReadonlyArray<SubjectName>
) {
  const subjects = yield* subjectsOf(graphOf(shape, size))
  const measured = yield* Effect.forEach(names, (name) =>
    Effect.map(subjects[name], (once): Measurement => {
      const taken = samples.of(nameOf(shape, size, name))
      return {
        once,
        times: (name === "floor" ? floorStagesPerSample : stagesPerSample) / size,
        take: (microseconds) => taken.push(microseconds / size)
      }
    }))
  return [...measured, reference(samples)]
})

/** Every measurement once in each round, in a random order. */
const takeRounds = Effect.fnUntraced(function*(measurements: ReadonlyArray<Measurement>, random: () => number) {
  globalThis.gc?.()
  for (let round = -warmUpRounds; round < rounds; round++) {
    for (const measurement of shuffled(random, measurements)) {
      const microseconds = yield* sample(measurement)
      if (round >= 0) measurement.take(microseconds)
    }
  }
})

/** One turn of one shape, in all sizes, on a heap that holds nothing else. */
const takeTurn = Effect.fnUntraced(function*(
  samples: Samples,
  shape: Shape,
  names: ReadonlyArray<SubjectName>,
  random: () => number
) {
  const measurements = yield* Effect.forEach(sizes, (size) => measurementsOf(samples, shape, size, names))
  yield* takeRounds(measurements.flat(), random)
}, Effect.scoped)

const interceptedSize = 1_000

const interceptedName = (name: InterceptorName | "bare"): string => `intercepted ${name}`

/** One turn of the interceptors. Each is compared with the bare runs of the same turns. */
const takeInterceptorsTurn = Effect.fnUntraced(function*(samples: Samples, random: () => number) {
  const graph = graphOf("layered", interceptedSize)
  const bare = yield* (yield* subjectsOf(graph)).bare
  const interceptedBy = yield* interceptedRunsOf(graph)
  const measurementOf = (name: InterceptorName | "bare", once: Effect.Effect<unknown>): Measurement => ({
    once,
    times: stagesPerSample / interceptedSize,
    take: (microseconds) => samples.of(interceptedName(name)).push(microseconds / interceptedSize)
  })
  const intercepted = interceptorNames.map((name) => measurementOf(name, interceptedBy(name)))
  yield* takeRounds([measurementOf("bare", bare), ...intercepted, reference(samples)], random)
}, Effect.scoped)

const nestedRunsPerSample = 200

/** One turn of pipelines in pipelines. */
const takeNestedTurn = Effect.fnUntraced(function*(samples: Samples, random: () => number) {
  const runs = yield* nestingRuns
  const measurements = nestings.map((nesting): Measurement => ({
    once: runs[nesting],
    times: nestedRunsPerSample,
    take: (microseconds) => samples.of(nesting).push(microseconds)
  }))
  yield* takeRounds([...measurements, reference(samples)], random)
})

/** A number for each key that was measured. */
const byKey = <K extends string, N extends number>(
  keys: ReadonlyArray<K>,
  value: (key: K) => N
): Partial<Record<K, N>> =>
  Object.fromEntries(keys.flatMap((key) => {
    const measured = value(key)
    return Number.isNaN(measured) ? [] : [[key, measured]]
  })) as Partial<Record<K, N>> // a key of those given

/** Measures what is in these sections. `told` hears of each turn. */
export const measure = Effect.fnUntraced(function*(
  sections: ReadonlySet<Section>,
  told: (progress: string) => Effect.Effect<void>
) {
  const samples = new Samples()
  const random = mulberry32(42)
  for (const { names, section } of groups) {
    if (!sections.has(section)) continue
    for (let turn = 1; turn <= turns; turn++) {
      for (const shape of shapes) {
        yield* told(`${names.join(", ")}: ${shape}, turn ${turn} of ${turns}`)
        yield* takeTurn(samples, shape, names, random)
      }
    }
  }
  for (let turn = 1; sections.has("interceptors") && turn <= turns; turn++) {
    yield* told(`interceptors, turn ${turn} of ${turns}`)
    yield* takeInterceptorsTurn(samples, random)
  }
  for (let turn = 1; sections.has("nested") && turn <= turns; turn++) {
    yield* told(`nested, turn ${turn} of ${turns}`)
    yield* takeNestedTurn(samples, random)
  }
  const cost = (shape: Shape, size: Size) => (subject: SubjectName) => median(samples.of(nameOf(shape, size, subject)))
  const intercepted = (name: InterceptorName | "bare") => median(samples.of(interceptedName(name)))
  const costsOf = (shape: Shape): Costs[Shape] => ({
    10: byKey(subjectNames, cost(shape, 10)),
    100: byKey(subjectNames, cost(shape, 100)),
    1_000: byKey(subjectNames, cost(shape, 1_000)),
    10_000: byKey(subjectNames, cost(shape, 10_000))
  })
  return {
    results: { chain: costsOf("chain"), fanOut: costsOf("fanOut"), layered: costsOf("layered") },
    forkJoin: median(samples.of("forkJoin")),
    interceptors: byKey(interceptorNames, (name) => intercepted(name) - intercepted("bare")),
    nested: byKey(nestings, (nesting) => median(samples.of(nesting)))
  } satisfies Measured
})
