import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Option } from "effect"
import { TestClock } from "effect/testing"
import { Pipeline, type RunResult, Snapshot, Source, Stage, StageContext, StageOutput } from "stageflow"

/** Numbers that look random and are the same every time. */
const numbers = (seed: number) => {
  let state = seed
  return (below: number): number => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return Math.floor(state / 2 ** 32 * below)
  }
}

const shuffled = <A>(list: ReadonlyArray<A>, next: (below: number) => number): Array<A> => {
  const rest = list.slice()
  return list.map(() => rest.splice(next(rest.length), 1)[0] as A)
}

type Ends = "ok" | "skip" | "fail"

interface Plan {
  readonly name: string
  readonly ends: Ends
  /** Read as an Option, required, and waited for. */
  readonly optional: ReadonlyArray<string>
  readonly required: ReadonlyArray<string>
  readonly after: ReadonlyArray<string>
  /** Runs only if the first of its required inputs says so. */
  readonly when: boolean
}

/** A random graph of 30 stages in which some skip, some are routed and, if wanted, some fail. */
const planOf = (seed: number, failing: boolean): ReadonlyArray<Plan> => {
  const next = numbers(seed)
  return Array.from({ length: 30 }, (_, index) => {
    const before = Array.from({ length: index }, (_, earlier) => `s${earlier}`)
    const some = (most: number) => shuffled(before, next).slice(0, next(most + 1))
    const kind = next(10)
    return {
      name: `s${index}`,
      ends: kind === 0 ? "skip" : kind === 1 && failing ? "fail" : "ok",
      optional: some(2),
      required: some(2),
      after: some(2),
      when: next(4) === 0
    }
  })
}

/** The stages of a plan, which take as long as `durationOf` says and give what they have read. */
const specsOf = (plan: ReadonlyArray<Plan>, durationOf: () => number) =>
  plan.map(({ after, ends, name, optional, required, when }) => {
    const duration = durationOf()
    const stage = Stage.transform(name, {
      run: Effect.fnUntraced(function*(inputs: object) {
        yield* Effect.sleep(duration)
        if (ends === "skip") return StageOutput.skip(`${name} has nothing to do`)
        if (ends === "fail") return StageOutput.fail(`${name} is broken`)
        const { inputs: untyped } = yield* StageContext.StageContext
        return { name, value: name.length, inputs: { ...inputs }, first: Option.getOrNull(untyped.get("name")) }
      })
    })
    const [decides] = required
    return {
      stage,
      after,
      inputs: {
        ...Object.fromEntries(required.map((other) => [`required_${other}`, Source.stage(other).required])),
        ...Object.fromEntries(optional.map((other) => [`optional_${other}`, Source.stage(other).option])),
        ...(optional.length < 2
          ? {}
          : { first: Source.firstOf(Source.stage(optional[0] as string), Source.stage(optional[1] as string)) })
      },
      when: when && decides !== undefined
        ? Source.stage(decides).required.map((data) => Object.keys(data as object).length > 3)
        : undefined
    }
  })

const sorted = (names: ReadonlyArray<string>) => names.toSorted()

/** What a result says, without times and without the order of its lists, which is that of the declaration. */
const contentOf = (result: RunResult.RunResult) => {
  const outputs = Object.entries(result.outputs as Readonly<Record<string, StageOutput.Settled>>)
    .map(([name, output]) => ({
      name,
      tag: output._tag,
      data: output.data,
      reason: output._tag === "Skip" ? output.reason : undefined,
      origin: output._tag === "Skip" ? output.origin : undefined
    }))
    .toSorted((a, b) => a.name.localeCompare(b.name))
  if (result._tag !== "Incomplete") return { tag: result._tag, outputs }
  const { blocked, failed, failures, ok, skipped } = result
  return {
    tag: result._tag,
    outputs,
    lists: [ok, skipped, failed, blocked].map(sorted),
    failures: failures.map(({ error, stage }) => [stage, error] as const).toSorted(([a], [b]) => a.localeCompare(b))
  }
}

const run = Effect.fnUntraced(function*(
  specs: ReturnType<typeof specsOf>,
  options: { readonly concurrency?: number; readonly failure?: "continue" }
) {
  const pipeline = yield* Pipeline.fromSpecs("ordered", specs)
  const fiber = yield* Effect.forkChild(Pipeline.run(pipeline, Snapshot.make(), options))
  yield* TestClock.adjust("1 hour")
  const result = yield* Fiber.join(fiber)
  return { content: contentOf(result), order: result.bag.entries.map(({ stage }) => stage) }
})

describe("R4 results do not depend on the order of declaration or of completion", () => {
  for (const failing of [false, true]) {
    it.effect(`random graphs in which stages ${failing ? "skip and fail" : "skip"}`, () =>
      Effect.gen(function*() {
        const options = failing ? { failure: "continue" as const } : {}
        let differentOrders = 0
        for (let seed = 1; seed <= 20; seed++) {
          const plan = planOf(seed, failing)
          const next = numbers(seed * 7919)
          const first = yield* run(specsOf(plan, () => 1), options)
          const others = [
            yield* run(specsOf(plan.toReversed(), () => 1), options),
            yield* run(specsOf(shuffled(plan, next), () => 1), options),
            yield* run(specsOf(plan, () => next(50)), options),
            yield* run(specsOf(shuffled(plan, next), () => next(50)), options),
            yield* run(specsOf(shuffled(plan, next), () => next(50)), { ...options, concurrency: 1 }),
            yield* run(specsOf(shuffled(plan, next), () => next(50)), { ...options, concurrency: 3 })
          ]
          for (const { content, order } of others) {
            assert.deepStrictEqual(content, first.content)
            if (order.join() !== first.order.join()) differentOrders++
          }
        }
        // Otherwise the same order would have been tried again and again.
        assert.isAbove(differentOrders, 100)
      }))
  }

  it.effect("a key that several dependencies have is read from the first in the wiring, whichever ends first", () =>
    Effect.gen(function*() {
      const give = (name: string, duration: number) =>
        Stage.transform(name, { run: Effect.as(Effect.sleep(duration), { key: name, [name]: true }) })
      const read = Stage.transform("read", {
        run: Effect.map(StageContext.StageContext, ({ inputs }) => ({ key: Option.getOrNull(inputs.get("key")) }))
      })
      for (const [slow, quick] of [[100, 1], [1, 100]] as const) {
        const specs = [
          { stage: give("a", slow) },
          { stage: give("b", quick) },
          { stage: read, after: ["b", "a"] }
        ]
        for (const order of [specs, specs.toReversed()]) {
          const pipeline = yield* Pipeline.fromSpecs("keys", order)
          const fiber = yield* Effect.forkChild(Pipeline.run(pipeline, Snapshot.make()))
          yield* TestClock.adjust("1 second")
          const { outputs } = yield* Fiber.join(fiber)
          const output = (outputs as Readonly<Record<string, StageOutput.Settled>>)["read"]
          assert.deepStrictEqual(output?.data, { key: "b" })
        }
      }
    }))

  it.effect("of two skipped inputs the first in the wiring is the reason, whichever is skipped first", () =>
    Effect.gen(function*() {
      const skip = (name: string, duration: number) =>
        Stage.enrich(name, { run: Effect.as(Effect.sleep(duration), StageOutput.skip(`no ${name}`)) })
      const read = Stage.transform("read", { run: (_: object) => Effect.succeed({}) })
      for (const [slow, quick] of [[100, 1], [1, 100]] as const) {
        const pipeline = yield* Pipeline.fromSpecs("reasons", [
          { stage: read, inputs: { b: Source.stage("b").required, a: Source.stage("a").required } },
          { stage: skip("a", slow) },
          { stage: skip("b", quick) }
        ])
        const fiber = yield* Effect.forkChild(Pipeline.run(pipeline, Snapshot.make()))
        yield* TestClock.adjust("1 second")
        const { outputs } = yield* Fiber.join(fiber)
        const output = (outputs as Readonly<Record<string, StageOutput.Settled>>)["read"]
        assert.strictEqual(output?._tag === "Skip" ? output.origin : "", "b")
      }
    }))
})
