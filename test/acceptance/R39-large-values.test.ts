import { assert, describe, it } from "@effect/vitest"
import { Effect, Option } from "effect"
import { Pipeline, Snapshot, Source, Stage, StageContext, type StageOutput } from "stageflow"
import { heapInUse, heapNow } from "./support/memory.ts"

const stages = 100
const megabyte = 1024 * 1024

/** Values of some 50 MB, each made of other things. */
const values: Readonly<Record<string, () => object>> = {
  records: () =>
    Array.from({ length: 250_000 }, (_, id) => ({ id, name: `name ${id}`, tags: [id, id + 1], nested: { at: id } })),
  numbers: () => Array.from({ length: 6_500_000 }, (_, index) => index),
  "one record with many keys": () =>
    Object.fromEntries(Array.from({ length: 400_000 }, (_, index) => [`key ${index}`, { index }])),
  "a Map": () => new Map(Array.from({ length: 600_000 }, (_, index) => [`key ${index}`, index]))
}

/** How many bytes a value takes on the heap. */
const sizeOf = async (make: () => object) => {
  const before = await heapInUse()
  const value = make()
  const size = heapNow() - before
  // Still held here, so that it was there when the heap was measured.
  assert.strictEqual(typeof value, "object")
  return size
}

type Big = { readonly big: object; readonly step: number }

/** A chain in which every stage hands on what it read, in a new record and deeper inside another. */
const chainOf = (first: Effect.Effect<Big>, watch: (big: object, step: number) => void) => {
  const specs: Array<Pipeline.Spec<Stage.Stage<string, never, Big>>> = [{
    stage: Stage.transform("s0", { run: first })
  }]
  for (let step = 1; step < stages; step++) {
    const previous = `s${step - 1}`
    const stage = Stage.transform(`s${step}`, {
      run: (inputs: { readonly [name: string]: Big }) =>
        Effect.sync(() => {
          const { big } = inputs[previous] as Big
          watch(big, step)
          return { big, step, again: { list: [big, { big }] } }
        })
    })
    specs.push({ stage, inputs: step % 2 === 0 ? [previous] : { [previous]: Source.stage(previous).required } })
  }
  return Pipeline.fromSpecs("large", specs)
}

/** Runs the chain and says by how much the heap grew at the worst of its stages and at its end. */
const growthOf = async (first: Effect.Effect<Big>, snapshot: () => Snapshot.With<never>) => {
  const before = await heapInUse()
  const references = new Set<object>()
  let most = 0
  const watch = (big: object, step: number) => {
    references.add(big)
    if (step % 33 === 1) most = Math.max(most, heapNow() - before)
  }
  const result = await Effect.runPromise(
    Effect.flatMap(chainOf(first, watch), (pipeline) => Pipeline.run(pipeline, snapshot()))
  )
  most = Math.max(most, heapNow() - before)
  const outputs = result.outputs as Readonly<Record<string, StageOutput.Ok<Big> | undefined>>
  for (let step = 0; step < stages; step++) references.add(outputs[`s${step}`]?.data.big as object)
  return { most, references: references.size }
}

describe("R39 a 50 MB value passes through 100 stages by reference", () => {
  for (const [title, make] of Object.entries(values)) {
    it(`${title}: the heap stays below three times the size, at every stage and at the end`, async () => {
      const size = await sizeOf(make)
      assert.isAbove(size, 40 * megabyte)
      const { most, references } = await growthOf(
        Effect.sync(() => ({ big: make(), step: 0 })),
        () => Snapshot.make()
      )
      assert.strictEqual(references, 1)
      assert.isBelow(most, 3 * size, `grew by ${most / size} times the size`)
      assert.isAbove(most, 0.5 * size)
    })
  }

  it("bytes are one and the same object in every stage", async () => {
    const bytes = new Uint8Array(50 * megabyte)
    const before = process.memoryUsage().arrayBuffers
    const { most, references } = await growthOf(Effect.succeed({ big: bytes, step: 0 }), () => Snapshot.make())
    assert.strictEqual(references, 1)
    assert.isBelow(most, megabyte)
    assert.isBelow(process.memoryUsage().arrayBuffers - before, megabyte)
  })

  it("a snapshot of 50 MB is not copied for its stages, nor for its runs", async () => {
    const metadata = () => ({ rows: Array.from({ length: 400_000 }, (_, id) => ({ id, name: `name ${id}` })) })
    const size = await sizeOf(metadata)
    assert.isAbove(size, 30 * megabyte)
    const before = await heapInUse()
    const snapshot = Snapshot.make({ metadata: metadata() })
    const first = Effect.map(StageContext.StageContext, ({ snapshot: { metadata } }) => ({ big: metadata, step: 0 }))
    const runs = [1, 2, 3].map(() => chainOf(first as Effect.Effect<Big>, () => undefined))
    const results = await Promise.all(
      runs.map((chain) => Effect.runPromise(Effect.flatMap(chain, (pipeline) => Pipeline.run(pipeline, snapshot))))
    )
    const seen = results.flatMap(({ outputs }) =>
      Object.values(outputs as Readonly<Record<string, StageOutput.Ok<Big>>>).map(({ data }) => data.big)
    )
    assert.deepStrictEqual([new Set(seen).size, seen.length], [1, 3 * stages])
    assert.strictEqual(seen[0], snapshot.metadata)
    const grown = heapNow() - before
    assert.isBelow(grown, 3 * size, `grew by ${grown / size} times the size`)
  })

  it("an Option of it, a Map of it and a parallel reader get the same reference", async () => {
    const rows = () => Array.from({ length: 300_000 }, (_, id) => ({ id, name: `name ${id}` }))
    const give = Stage.transform("give", {
      run: Effect.sync(() => ({ rows: rows(), map: new Map([["rows", rows()]]) }))
    })
    const read = Stage.transform("read", {
      run: (inputs: {
        readonly option: Option.Option<{ readonly rows: object }>
        readonly all: { readonly a: { readonly rows: object } }
      }) => Effect.succeed({ option: Option.getOrThrow(inputs.option).rows, all: inputs.all.a.rows })
    })
    const pipeline = Pipeline.make("references")
      .add(give)
      .add(read, (s) => ({ inputs: { option: s.give.option, all: Source.all({ a: s.give }) } }))
      .add(Stage.as(read, "parallel"), (s) => ({ inputs: { option: s.give.option, all: Source.all({ a: s.give }) } }))
    const { outputs } = await Effect.runPromise(Pipeline.run(pipeline, Snapshot.make()))
    const { rows: original } = outputs.give.data
    for (const { data } of [outputs.read, outputs.parallel]) {
      assert.strictEqual(data.option, original)
      assert.strictEqual(data.all, original)
    }
  })
})
