/**
 * Every construct inside every other: as its body, and as a stage of a pipeline that is its body.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Schema } from "effect"
import { TestClock } from "effect/testing"
import { type Event, EventSink, Pipeline, Snapshot, type Source, Stage } from "stageflow"
import { ForEach, GuardRetry, Loop, Route, Shapes, Subpipeline } from "stageflow/control"
import { toMermaid } from "stageflow/graph"

const N = Schema.Struct({ n: Schema.Int })
interface N {
  readonly n: number
}

/** A stage that makes a number of a number. */
type Numbers = Stage.Stage<string, N, N>

/** What a construct runs, when it can be either. What its types say of both is checked elsewhere. */
type Body = Numbers | ReturnType<typeof pipelineOf>

const pipelineOf = (name: string, stage: Numbers) =>
  Pipeline.make(`${name}-pipeline`, { input: N })
    .add(Stage.as(Stage.mapInput(stage, ({ input }: { readonly input: N }) => input), "inner"), { inputs: ["input"] })
    .returns((s) => s.inner)

const stageOf = (body: Body): Numbers => Stage.isStage(body) ? body : Subpipeline.stage("inner", body) as never

const numbers = <D extends object>(made: unknown, numberOf: (data: D) => number): Numbers =>
  // Each gives the data of its body in a form of its own.
  Stage.mapOutput(made as Stage.Stage<string, N, D>, (data) => ({ n: numberOf(data) }))

const ofN = ({ n }: N): number => n

const plusOne = ({ n }: N) => Effect.succeed({ n: n + 1 })

/** A pipeline of a stage that runs the body. It returns a verdict. */
const acceptingPipeline = (body: ReturnType<typeof pipelineOf>) =>
  Pipeline.make("judge", { input: N })
    .add(Stage.mapInput(stageOf(body), ({ input }: { readonly input: N }) => input), { inputs: ["input"] })
    .returns((s) =>
      (s as unknown as { readonly inner: Source.StageData<string, N> }).inner.map(() => GuardRetry.accept)
    )

const accepting = (body: Body): unknown =>
  Stage.isStage(body)
    ? Stage.mapOutput(body, () => GuardRetry.accept)
    : acceptingPipeline(body)

/** Each makes a stage that runs its body once, with the number that it is given itself. A saga will be one more row. */
const constructs: Readonly<Record<string, (name: string, body: Body) => Numbers>> = {
  "sub-pipeline": (name, body) => Subpipeline.stage(name, Stage.isStage(body) ? pipelineOf(name, body) : body) as never,
  "for-each": (name, body) =>
    numbers(
      ForEach.stage(name, { items: (n: N) => [n], each: body as never }),
      ({ results }: ForEach.Results<N>) => results[0]?.n ?? 0
    ),
  "route": (name, body) => numbers(Route.match(name, (_: N) => ({ route: "a" as const }), { a: body } as never), ofN),
  "loop": (name, body) =>
    numbers(
      Loop.until(name, { state: (n: N) => n, body: body as never, until: (_: N, done: number) => done === 1 } as never),
      ({ state }: Loop.Ended<N>) => state.n
    ),
  "draft": (name, body) =>
    numbers(
      GuardRetry.stage(
        name,
        {
          draft: body as never,
          guards: { any: () => Effect.succeed(GuardRetry.accept) }
        } as never
      ),
      ofN
    ),
  "guard": (name, body) =>
    numbers(GuardRetry.stage(name, { draft: plusOne, guards: { guard: accepting(body) } } as never), ofN),
  "race": (name, body) => numbers(Shapes.race(name, { body, never: () => Effect.never } as never), ofN),
  "chain": (name, body) =>
    Subpipeline.stage(name, Shapes.chain("chain", [stageOf(body)], { input: N }) as never) as never,
  "fan-out": (name, body) => {
    const from = Stage.transform("from", { run: (n: N) => Effect.succeed(n) })
    const to = Stage.as(stageOf(body), "to")
    const join = Stage.transform("join", { run: ({ to }: { readonly to: N }) => Effect.succeed(to) })
    return Subpipeline.stage(name, Shapes.fanOut("fan-out", { from, to: [to], join, input: N }) as never) as never
  },
  "duplex": (name, body) => {
    const one = Stage.as(stageOf(body), "one")
    const other = Stage.transform("other", { run: plusOne })
    const join = Stage.transform("join", { run: ({ one }: { readonly one: N }) => Effect.succeed(one) })
    const duplex = Shapes.duplex("duplex", { lanes: [[one], [other]], join, input: N } as never)
    return Subpipeline.stage(name, duplex as never) as never
  }
}

/** The only stage of kind `work`: it takes a second. And what it did. */
const watched = () => {
  const seen = { begun: 0, done: 0, finalized: 0 }
  const leaf: Numbers = Stage.work("leaf", {
    run: (input: N) =>
      Effect.suspend(() => {
        seen.begun++
        return Effect.sleep("1 second")
      }).pipe(
        Effect.andThen(Effect.suspend(() => {
          seen.done++
          return plusOne(input)
        })),
        Effect.onExit(() => Effect.sync(() => seen.finalized++))
      )
  })
  return { leaf, seen }
}

const ways = ["as its body", "in a pipeline"] as const

const table = Object.entries(constructs).flatMap(([outer, makeOuter]) =>
  Object.entries(constructs).flatMap(([inner, makeInner]) =>
    ways.map((way) => ({
      title: `${inner} in ${outer}, ${way}`,
      make: () => {
        const { leaf, seen } = watched()
        const stage = makeInner("inner", leaf)
        const outside = makeOuter("outer", way === ways[0] ? stage : pipelineOf("body", stage))
        const given = Stage.mapInput(outside, ({ input }: { readonly input: N }) => input)
        const pipeline = Pipeline.make("root", { input: N }).add(given, { inputs: ["input"] })
        return { pipeline, seen }
      }
    }))
  )
)

const snapshot = Snapshot.make({ input: { n: 1 } })

/** How many boxes are around the leaf in a description: of the stages that it is in, and of the routes that have names. */
const depthOfLeaf = ({ stages }: Pipeline.Description): number =>
  Math.max(
    ...stages.map(({ inside, kind }) =>
      kind === "work"
        ? 0
        : 1 + Math.max(
          -Infinity,
          ...inside?.pipelines.map(({ label, pipeline }) => (label === undefined ? 0 : 1) + depthOfLeaf(pipeline)) ?? []
        )
    )
  )

describe("every construct inside every other", () => {
  it.effect.each(table)("$title: it gives what its body gives", ({ make }) =>
    Effect.gen(function*() {
      const { pipeline, seen } = make()
      const fiber = yield* Effect.forkChild(Pipeline.run(pipeline, snapshot))
      yield* TestClock.adjust("1 second")
      const { outputs } = yield* Fiber.join(fiber)
      assert.deepStrictEqual<unknown>(Object.values(outputs).map(({ data }) => data), [{ n: 2 }])
      assert.deepStrictEqual(seen, { begun: 1, done: 1, finalized: 1 })
    }))

  it.effect.each(table)("$title: it is interrupted as a whole", ({ make }) =>
    Effect.gen(function*() {
      const { pipeline, seen } = make()
      const events: Array<Event.Event> = []
      const fiber = yield* Pipeline.run(pipeline, snapshot).pipe(
        Effect.provideService(EventSink.EventSink, { offer: (event) => events.push(event) }),
        Effect.forkChild
      )
      yield* TestClock.adjust("500 millis")
      assert.deepStrictEqual(seen, { begun: 1, done: 0, finalized: 0 })
      yield* Fiber.interrupt(fiber)
      assert.deepStrictEqual(seen, { begun: 1, done: 0, finalized: 1 })
      const count = events.length
      // The body of a guard has had a draft before it, which has ended by then.
      const interrupted = events.filter(({ _tag }) => _tag === "RunInterrupted").length
      assert.strictEqual(interrupted, events.filter(({ _tag }) => _tag === "RunStarted").length)
      yield* TestClock.adjust("1 hour")
      assert.deepStrictEqual([seen.done, events.length], [0, count])
    }))

  it.effect.each(table)("$title: it is described and drawn as boxes in boxes", ({ make }) =>
    Effect.gen(function*() {
      const { pipeline } = make()
      const description = yield* Pipeline.describe(pipeline)
      const depth = depthOfLeaf(description)
      assert.isAtLeast(depth, 2)
      assert.isBelow(depth, 10)
      const picture = yield* toMermaid(pipeline)
      // How many boxes are open where the leaf is drawn.
      let open = 0
      let around: number | undefined
      for (const line of picture.split("\n").map((line) => line.trim())) {
        if (line.startsWith("subgraph ")) open++
        else if (line === "end") open--
        else if (line.includes("<br/>work")) around = open
      }
      assert.strictEqual(open, 0)
      assert.strictEqual(around, depth, picture)
    }))
})
