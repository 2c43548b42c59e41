/**
 * `npm run bench:comparison` measures the small chat of docs/comparison.md in every library that is here, with ports that
 * answer at once: what is left is the library. The ratios are those of one run, whose samples take turns. It is the time of
 * the processor, so that other programs do not count.
 */
import { Effect, Layer } from "effect"
import { mulberry32, shuffled } from "../random.ts"
import { layerPorts } from "./ports.ts"
import { layerWorkflow, names, type Subject, subjects } from "./subjects.ts"

const rounds = 12
const warmUpRounds = 4
const runsPerSample = 1_000

const median = (values: ReadonlyArray<number>): number =>
  values.toSorted((a, b) => a - b)[values.length >> 1] ?? Number.NaN

/** Microseconds for one run; every sample of a workflow has an engine of its own, since an engine keeps what it ran. */
const sample = Effect.fnUntraced(function*(name: Subject) {
  const started = process.cpuUsage()
  for (let run = 0; run < runsPerSample; run++) yield* subjects[name]("My printer is broken", "ada")
  const { system, user } = process.cpuUsage(started)
  return (system + user) / runsPerSample
}, Effect.provide(layerWorkflow.pipe(Layer.provideMerge(layerPorts)), { local: true }))

const measure = Effect.gen(function*() {
  const random = mulberry32(1)
  const samples = new Map(names.map((name) => [name, [] as Array<number>]))
  for (let round = -warmUpRounds; round < rounds; round++) {
    for (const name of shuffled(random, names)) {
      globalThis.gc?.()
      const microseconds = yield* sample(name)
      if (round >= 0) samples.get(name)?.push(microseconds)
    }
  }
  const reference = median(samples.get("plain Effect") ?? [])
  for (const [name, taken] of samples) {
    const cost = median(taken)
    console.log(`${name.padEnd(16)} ${cost.toFixed(1).padStart(6)} µs a run  ${(cost / reference).toFixed(1)} times`)
  }
})

await Effect.runPromise(measure)
