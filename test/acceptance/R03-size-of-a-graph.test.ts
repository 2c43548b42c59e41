import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect } from "effect"
import { EventSink, OutputBag, Pipeline, Snapshot, Source, Stage, StageOutput } from "stageflow"
import { noop, spec } from "./support/stages.ts"

const huge = 100_000

/** The same list in another order, the same one each time. */
const shuffled = <A>(list: ReadonlyArray<A>): Array<A> => {
  const result = list.slice()
  let state = 42
  for (let index = result.length - 1; index > 0; index--) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    const other = state % (index + 1)
    const value = result[index] as A
    result[index] = result[other] as A
    result[other] = value
  }
  return result
}

const chainOf = (count: number) =>
  Array.from({ length: count }, (_, index) => spec(`s${index}`, index === 0 ? [] : [`s${index - 1}`]))

/** Runs the specs and says how many stages ended how, and in which order. */
const tally = Effect.fnUntraced(function*(specs: ReadonlyArray<ReturnType<typeof spec>>, options?: {
  readonly concurrency: number
}) {
  const result = yield* Pipeline.run(yield* Pipeline.fromSpecs("huge", specs), Snapshot.make(), options)
  const order = result.bag.entries.map(({ stage }) => stage)
  return { ok: Object.keys(result.outputs).length, order, result }
})

describe("R3 building and running cost O(stages + edges) and no stack", () => {
  it.effect("a chain of 100,000 declared in any order", () =>
    Effect.gen(function*() {
      const chain = chainOf(huge)
      const names = chain.map(({ stage }) => stage.name)
      for (const specs of [chain, chain.toReversed(), shuffled(chain)]) {
        const { ok, order } = yield* tally(specs)
        assert.strictEqual(ok, huge)
        assert.deepStrictEqual(order, names)
      }
    }))

  it.effect("a chain of 100,000 that passes data by name and by source, one worker at a time", () =>
    Effect.gen(function*() {
      const step = (name: string, previous: string) =>
        Stage.transform(name, {
          run: (inputs: Readonly<Record<string, { readonly n: number }>>) =>
            Effect.succeed({ n: (inputs[previous]?.n ?? Number.NaN) + 1 })
        })
      const specs: Array<Pipeline.Spec<Stage.Stage<string, never, { readonly n: number }>>> = [
        { stage: Stage.transform("s0", { run: Effect.succeed({ n: 0 }) }) }
      ]
      for (let index = 1; index < huge; index++) {
        const previous = `s${index - 1}`
        const inputs = index % 2 === 0 ? [previous] : { [previous]: Source.stage(previous).required }
        specs.push({ stage: step(`s${index}`, previous), inputs })
      }
      const pipeline = yield* Pipeline.fromSpecs("data", shuffled(specs))
      const { bag } = yield* Pipeline.run(pipeline, Snapshot.make(), { concurrency: 1 })
      const last = bag.entries.at(-1)
      assert.strictEqual(last?.stage, `s${huge - 1}`)
      if (last?.end._tag === "Settled") assert.deepStrictEqual(last.end.output.data, { n: huge - 1 })
    }))

  it.effect("a chain of 100,000 built with add", () =>
    Effect.gen(function*() {
      const stages = Array.from({ length: huge }, (_, index) => noop(`s${index}` as string))
      const start = Pipeline.make("added").add(noop("first" as string))
      const pipeline = stages.reduce(
        (built, stage, index) => built.add(stage, { after: [index === 0 ? "first" : `s${index - 1}`] }),
        start
      )
      const { outputs } = yield* Pipeline.run(pipeline, Snapshot.make())
      assert.lengthOf(Object.keys(outputs), huge + 1)
    }))

  it.effect("a fan-out of 100,000 with a join", () =>
    Effect.gen(function*() {
      const names = Array.from({ length: huge }, (_, index) => `s${index}`)
      const fan = [spec("root"), ...names.map((name) => spec(name, ["root"])), spec("join", names)]
      for (const specs of [fan, shuffled(fan)]) {
        const { ok, order } = yield* tally(specs)
        assert.strictEqual(ok, huge + 2)
        assert.strictEqual(order[0], "root")
        assert.strictEqual(order.at(-1), "join")
      }
    }))

  it.effect("a fan-out of 100,000 whose join reads them all, with a limit", () =>
    Effect.gen(function*() {
      const names = Array.from({ length: huge }, (_, index) => `s${index}`)
      const join = Stage.transform("join", {
        run: (inputs: Readonly<Record<string, unknown>>) => Effect.succeed({ read: Object.keys(inputs).length })
      })
      const pipeline = yield* Pipeline.fromSpecs("fan", [
        { stage: join, inputs: names },
        ...names.map((name) => ({ stage: noop(name) }))
      ])
      const { bag } = yield* Pipeline.run(pipeline, Snapshot.make(), { concurrency: 8 })
      const last = bag.entries.at(-1)
      assert.strictEqual(last?.stage, "join")
      if (last?.end._tag === "Settled") assert.deepStrictEqual(last.end.output.data, { read: huge })
    }))

  it.effect("50 layers of 100 stages, each depending on the whole layer before", () =>
    Effect.gen(function*() {
      const layer = (index: number) => Array.from({ length: 100 }, (_, place) => `l${index}_${place}`)
      const specs = Array.from({ length: 50 }, (_, index) => index)
        .flatMap((index) => layer(index).map((name) => spec(name, index === 0 ? [] : layer(index - 1))))
      for (const { ok, order } of [yield* tally(specs), yield* tally(shuffled(specs))]) {
        assert.strictEqual(ok, 5_000)
        const layers = order.map((name) => Number(name.slice(1, name.indexOf("_"))))
        assert.deepStrictEqual(layers, layers.toSorted((a, b) => a - b))
      }
    }))

  it.effect("100,000 stages that are skipped one because of the other, or blocked, or never start", () =>
    Effect.gen(function*() {
      const rest = Array.from({ length: huge - 1 }, (_, index) => index + 1).map((index) => ({
        stage: noop(`s${index}`),
        inputs: { previous: Source.stage(`s${index - 1}`).required }
      }))
      const skip = { stage: Stage.transform("s0", { run: Effect.succeed(StageOutput.skip("nothing to do")) }) }
      const fail = { stage: Stage.transform("s0", { run: Effect.fail("no" as const) }) }
      const skipped = yield* Pipeline.run(yield* Pipeline.fromSpecs("skip", [...rest, skip]), Snapshot.make())
      const outputs: Readonly<Record<string, StageOutput.StageOutput>> = skipped.outputs
      assert.lengthOf(Object.keys(outputs), huge)
      const last = outputs[`s${huge - 1}`]
      assert.strictEqual(last?._tag === "Skip" ? last.reason : "", "stage \"s0\" was skipped: nothing to do")

      const failing = yield* Pipeline.fromSpecs("fail", [...rest, fail])
      const incomplete = yield* Pipeline.run(failing, Snapshot.make(), { failure: "continue" })
      assert.strictEqual(incomplete._tag === "Incomplete" ? incomplete.blocked.length : 0, huge - 1)
      const failed = yield* Effect.flip(Pipeline.run(failing, Snapshot.make()))
      assert.strictEqual(failed._tag === "StageFailed" ? failed.neverStarted.length : 0, huge - 1)
    }))

  it.effect("100,000 stages in flight at once are all interrupted when one fails", () =>
    Effect.gen(function*() {
      const all = yield* Deferred.make<void>()
      let running = 0
      let released = 0
      const waits = Effect.gen(function*() {
        if (++running === huge) yield* Deferred.succeed(all, undefined)
        return yield* Effect.never
      }).pipe(Effect.onInterrupt(() => Effect.sync(() => released++)))
      const pipeline = yield* Pipeline.fromSpecs("waiting", [
        { stage: Stage.transform("bad", { run: Effect.andThen(Deferred.await(all), Effect.fail("no" as const)) }) },
        ...Array.from({ length: huge }, (_, index) => ({ stage: Stage.transform(`s${index}`, { run: waits }) }))
      ])
      const failed = yield* Effect.flip(Pipeline.run(pipeline, Snapshot.make()))
      assert.strictEqual(failed._tag === "StageFailed" ? failed.interrupted.length : 0, huge)
      assert.strictEqual(released, huge)
    }))

  it.effect("every stage's wiring is looked at a fixed number of times, however many there are", () =>
    Effect.gen(function*() {
      const looksPerStage = (count: number) =>
        Effect.gen(function*() {
          let looks = 0
          const counted = <A extends object>(target: A): A =>
            new Proxy(target, {
              get: (of, key, receiver) => {
                looks++
                return Reflect.get(of, key, receiver) as unknown
              }
            })
          let decided = 0
          let read = 0
          const names = Array.from({ length: count }, (_, index) => `s${index}`)
          const reader = Stage.transform("reader", { run: (_: {}) => Effect.succeed({}) })
          const specs = names.map((name, index) => {
            const previous = names[index - 1] ?? "root"
            const source = Source.stage(previous)
            const when = source.option.map(() => {
              decided++
              return true
            })
            const inputs = {
              data: source.option.map((data) => {
                read++
                return data
              })
            }
            return { stage: Stage.as(reader, name), after: counted([previous]), when, inputs }
          })
          const pipeline = yield* Pipeline.fromSpecs("counted", [...specs, spec("root")])
          yield* Pipeline.run(pipeline, Snapshot.make())
          assert.strictEqual(decided, count)
          assert.strictEqual(read, count)
          const memory = yield* EventSink.Memory
          assert.lengthOf(yield* memory.events, 2 * (count + 1) + 2)
          return looks / count
        }).pipe(Effect.provide(EventSink.layerMemory, { local: true }))
      assert.strictEqual(yield* looksPerStage(10_000), yield* looksPerStage(100))
    }))

  it.effect("what is read of a run later costs no stack either", () =>
    Effect.gen(function*() {
      const { result } = yield* tally(chainOf(huge))
      assert.strictEqual(OutputBag.attempts(result.bag, "s99999").length, 1)
      assert.isAbove(JSON.stringify(result.bag).length, huge)
    }))
})
