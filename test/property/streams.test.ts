/**
 * Streams between stages against a small model: random graphs of stages that read the streams of others, merge them and
 * stream on, with random buffers, delays, limits, and readers that leave early. Nobody waits for ever, and everybody gets
 * each chunk once and in order.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Schema, Stream } from "effect"
import { TestClock } from "effect/testing"
import { Pipeline, type RunResult, Snapshot, Source, Stage, type StageError } from "stageflow"

const within = (least: number, most: number) =>
  Schema.Int.pipe(Schema.check(Schema.isBetween({ minimum: least, maximum: most })))

const Node = Schema.Struct({
  /** Which of the stages before it it reads, by how far back; none for a root. */
  reads: Schema.Array(within(1, 4)).check(Schema.isMaxLength(3)),
  buffer: within(1, 5),
  chunks: within(0, 30),
  /** How long it takes for each chunk, in milliseconds; 0 is at once. */
  takes: within(0, 3),
  /** After so many chunks it leaves; 0 is never. */
  leavesAfter: within(0, 12)
})

const Setting = Schema.Struct({
  nodes: Schema.Array(Node).check(Schema.isMinLength(2), Schema.isMaxLength(9)),
  concurrency: within(0, 3),
  leaving: Schema.Boolean
})
type Setting = typeof Setting.Type

/** A chunk: the stages that it has come through, and its number at the first. */
interface Passed {
  readonly path: string
  readonly n: number
}

type Chunks = Readonly<Record<string, Stream.Stream<Passed, StageError.StreamFailed>>>

const nameOf = (index: number) => `s${index}`

const parentsOf = ({ nodes }: Setting, index: number): ReadonlyArray<number> =>
  Array.from(new Set((nodes[index]?.reads ?? []).map((back) => index - back).filter((parent) => parent >= 0)))

const collect = {
  initial: (): { readonly all: ReadonlyArray<Passed> } => ({ all: [] }),
  step: ({ all }: { readonly all: ReadonlyArray<Passed> }, chunk: Passed) => ({ all: [...all, chunk] })
}

const specsOf = (setting: Setting): ReadonlyArray<Pipeline.Spec> =>
  setting.nodes.map(({ buffer, chunks, leavesAfter, takes }, index) => {
    const parents = parentsOf(setting, index)
    const wait = takes === 0 ? Effect.void : Effect.sleep(takes)
    const root = Stream.rechunk(Stream.range(1, Math.max(1, chunks)), 1 + index % 4).pipe(
      Stream.take(chunks),
      Stream.map((n): Passed => ({ path: "", n }))
    )
    const stage = Stage.stream(nameOf(index), {
      run: (inputs: Chunks) => {
        const merged = parents.length === 0
          ? root
          : Stream.mergeAll(Object.values(inputs), { concurrency: "unbounded" })
        const passed = merged.pipe(
          Stream.tap(() => wait),
          Stream.map(({ n, path }): Passed => ({ path: `${path}/${index}`, n }))
        )
        return setting.leaving && leavesAfter > 0 ? Stream.take(passed, leavesAfter) : passed
      },
      collect,
      buffer
    })
    const inputs = Object.fromEntries(parents.map((parent) => [nameOf(parent), Source.stage(nameOf(parent)).stream]))
    return parents.length === 0 ? { stage: stage as Stage.Any } : { stage: stage as Stage.Any, inputs }
  })

/** How many chunks come by each path, where nobody leaves. */
const expected = (setting: Setting): ReadonlyArray<ReadonlyMap<string, number>> => {
  const all: Array<Map<string, number>> = []
  setting.nodes.forEach(({ chunks }, index) => {
    const parents = parentsOf(setting, index)
    const own = new Map<string, number>()
    if (parents.length === 0 && chunks > 0) own.set(`/${index}`, chunks)
    for (const parent of parents) {
      for (const [path, count] of all[parent] ?? []) own.set(`${path}/${index}`, count)
    }
    all.push(own)
  })
  return all
}

const toEnd = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.gen(function*() {
    const fiber = yield* Effect.forkChild(effect)
    for (let turn = 0; turn < 60 && fiber.pollUnsafe() === undefined; turn++) yield* TestClock.adjust("1 second")
    const exit = fiber.pollUnsafe()
    if (exit !== undefined) return yield* exit
    yield* Fiber.interrupt(fiber)
    return yield* Effect.die("it waits for ever")
  })

describe("streams between stages", () => {
  it.effect.prop(
    "are whole and in order for every reader, whatever the graph",
    [Setting],
    ([setting]) =>
      Effect.gen(function*() {
        const pipeline = yield* Pipeline.fromSpecs("p", specsOf(setting))
        const concurrency = setting.concurrency === 0 ? "unbounded" : setting.concurrency
        // Stages that come from data need nothing here, which their types do not say.
        const run = Pipeline.run(pipeline, Snapshot.make(), { concurrency }) as unknown as Effect.Effect<
          RunResult.RunResult<Readonly<Record<string, { readonly _tag: string; readonly data: unknown }>>>
        >
        const result = yield* toEnd(run)
        assert(result._tag === "Completed")
        expected(setting).forEach((counts, index) => {
          const output = result.outputs[nameOf(index)]
          assert(output?._tag === "Ok")
          const { all } = output.data as { readonly all: ReadonlyArray<Passed> }
          const byPath = Map.groupBy(all, ({ path }) => path)
          for (const [path, passed] of byPath) {
            assert.isTrue(counts.has(path), path)
            assert.deepStrictEqual(passed.map(({ n }) => n), passed.map((_, at) => at + 1))
          }
          if (setting.leaving) return
          assert.deepStrictEqual(
            new Map(Array.from(byPath, ([path, passed]) => [path, passed.length])),
            new Map(counts)
          )
        })
      }),
    { arbitrary: { runs: 200 } }
  )
})
