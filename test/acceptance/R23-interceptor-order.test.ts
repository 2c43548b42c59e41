import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Fiber, Layer, Ref, Schedule } from "effect"
import { TestClock } from "effect/testing"
import { Interceptor, Pipeline, Snapshot, Stage, StageContext, StageError } from "stageflow"
import { Broken, during, Witness } from "./support/lifecycle.ts"

const broken = new Broken({ by: "stage" })

/** A log of who was entered and left, and the interceptors that write it. */
class Log {
  readonly lines: Array<string> = []
  readonly add = (line: string): Effect.Effect<void> =>
    Effect.sync(() => {
      this.lines.push(line)
    })
  readonly interceptor = (name: string, order?: number) =>
    Interceptor.make({
      name,
      order,
      around: (effect) =>
        Effect.acquireUseRelease(this.add(`enter ${name}`), () => effect, () => this.add(`leave ${name}`))
    })
  readonly body = Stage.work("stage", { run: this.add("body") })
  readonly around = (...names: ReadonlyArray<string>): ReadonlyArray<string> => [
    ...names.map((name) => `enter ${name}`),
    "body",
    ...names.toReversed().map((name) => `leave ${name}`)
  ]
}

describe("R23 interceptors nest as stated and unwind in reverse", () => {
  it.effect("on a stage: the last one piped is outermost", () =>
    Effect.gen(function*() {
      const log = new Log()
      const stage = log.body.pipe(Stage.intercept(log.interceptor("inner")), Stage.intercept(log.interceptor("outer")))
      yield* Pipeline.run(Pipeline.make("pipeline").add(stage), Snapshot.make())
      assert.deepStrictEqual(log.lines, log.around("outer", "inner"))
    }))

  it.effect("on a stage: where it is piped decides, whatever its order says", () =>
    Effect.gen(function*() {
      const log = new Log()
      const stage = log.body.pipe(
        Stage.intercept(log.interceptor("inner", 1)),
        Stage.intercept(log.interceptor("outer", 999))
      )
      yield* Pipeline.run(Pipeline.make("pipeline").add(stage), Snapshot.make())
      assert.deepStrictEqual(log.lines, log.around("outer", "inner"))
    }))

  it.effect("on a pipeline: the lower order is further out, equal orders as listed, the first outermost", () =>
    Effect.gen(function*() {
      const log = new Log()
      const pipeline = Pipeline.make("pipeline").add(log.body).pipe(
        Pipeline.intercept(log.interceptor("default 1"), log.interceptor("low", 10), log.interceptor("high", 200)),
        Pipeline.intercept(log.interceptor("default 2"), log.interceptor("hundred", 100))
      )
      yield* Pipeline.run(pipeline, Snapshot.make())
      assert.deepStrictEqual(log.lines, log.around("low", "default 1", "default 2", "hundred", "high"))
    }))

  it.effect("combined ones nest among the others as if they had been listed one by one", () =>
    Effect.gen(function*() {
      const log = new Log()
      const combined = Interceptor.combine(log.interceptor("late", 300), log.interceptor("early", 1))
      const pipeline = Pipeline.make("pipeline").add(log.body)
        .pipe(Pipeline.intercept(log.interceptor("middle"), combined))
      yield* Pipeline.run(pipeline, Snapshot.make())
      assert.deepStrictEqual(log.lines, log.around("early", "middle", "late"))
    }))

  it.effect("Layer outside of pipeline outside of stage", () =>
    Effect.gen(function*() {
      const log = new Log()
      const stage = log.body.pipe(Stage.intercept(log.interceptor("stage", -1)))
      const pipeline = Pipeline.make("pipeline").add(stage).pipe(Pipeline.intercept(log.interceptor("pipeline")))
      yield* Pipeline.run(pipeline, Snapshot.make()).pipe(Effect.provide(Interceptor.layer(log.interceptor("layer"))))
      assert.deepStrictEqual(log.lines, log.around("layer", "pipeline", "stage"))
    }))

  it.effect("among those of Layers and pipeline the order decides", () =>
    Effect.gen(function*() {
      const log = new Log()
      const pipeline = Pipeline.make("pipeline").add(log.body)
        .pipe(Pipeline.intercept(log.interceptor("pipeline 50", 50), log.interceptor("pipeline 150", 150)))
      yield* Pipeline.run(pipeline, Snapshot.make())
        .pipe(Effect.provide(Interceptor.layer(log.interceptor("layer"))))
      assert.deepStrictEqual(log.lines, log.around("pipeline 50", "layer", "pipeline 150"))
    }))

  it.effect("Layers: the outer one outside; side by side as listed", () =>
    Effect.gen(function*() {
      const log = new Log()
      const layer = (name: string) => Interceptor.layer(log.interceptor(name))
      const run = Pipeline.run(Pipeline.make("pipeline").add(log.body), Snapshot.make())
      const inner = Effect.provide(run, layer("inner"))
      yield* Effect.provide(inner, layer("outer"))
      assert.deepStrictEqual(log.lines.splice(0), log.around("outer", "inner"))
      yield* run.pipe(Effect.provide(Layer.mergeAll(layer("first"), layer("second"), layer("third"))))
      assert.deepStrictEqual(log.lines.splice(0), log.around("first", "second", "third"))
      const both = Effect.provide(run, [layer("first"), layer("second")])
      yield* Effect.provide(both, layer("outer"))
      assert.deepStrictEqual(log.lines.splice(0), log.around("outer", "first", "second"))
    }))

  it.effect("around runs: the same order, entered once, before any stage", () =>
    Effect.gen(function*() {
      const log = new Log()
      const around = (name: string, order?: number) =>
        Interceptor.make({
          name,
          order,
          aroundRun: (run) =>
            Effect.acquireUseRelease(log.add(`enter ${name}`), () => run, () => log.add(`leave ${name}`))
        })
      const pipeline = Pipeline.make("pipeline").add(log.body).add(Stage.work("other", { run: Effect.void }))
        .pipe(Pipeline.intercept(around("second"), around("first", 1)))
      yield* Pipeline.run(pipeline, Snapshot.make()).pipe(Effect.provide(Interceptor.layer(around("layer", 50))))
      assert.deepStrictEqual(log.lines, log.around("first", "layer", "second"))
    }))
})

describe("R23 every interceptor that was entered is left", () => {
  const wrapped = (log: Log, run: Effect.Effect<void, Broken>) =>
    Pipeline.make("pipeline")
      .add(
        Stage.work("stage", { run: Effect.andThen(log.add("body"), run) }).pipe(
          Stage.intercept(log.interceptor("stage"))
        )
      )
      .pipe(Pipeline.intercept(log.interceptor("outer"), log.interceptor("inner")))
  const expected = (log: Log) => log.around("layer", "outer", "inner", "stage")
  const layered = (log: Log) => Effect.provide(Interceptor.layer(log.interceptor("layer")))

  it.effect("when the stage fails", () =>
    Effect.gen(function*() {
      const log = new Log()
      yield* Effect.flip(Pipeline.run(wrapped(log, Effect.fail(broken)), Snapshot.make())).pipe(layered(log))
      assert.deepStrictEqual(log.lines, expected(log))
    }))

  it.effect("when the stage dies", () =>
    Effect.gen(function*() {
      const log = new Log()
      yield* Effect.flip(Pipeline.run(wrapped(log, Effect.die("boom")), Snapshot.make())).pipe(layered(log))
      assert.deepStrictEqual(log.lines, expected(log))
    }))

  it.effect("when the run is interrupted", () =>
    Effect.gen(function*() {
      const log = new Log()
      const run = yield* Effect.forkChild(Pipeline.run(wrapped(log, Effect.never), Snapshot.make()).pipe(layered(log)))
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(log.lines, ["enter layer", "enter outer", "enter inner", "enter stage", "body"])
      yield* Fiber.interrupt(run)
      assert.deepStrictEqual(log.lines, expected(log))
    }))

  it.effect("when a sibling fails, and before the run returns", () =>
    Effect.gen(function*() {
      const log = new Log()
      const pipeline = wrapped(log, Effect.never)
        .add(Stage.work("broken", { run: Effect.andThen(Effect.sleep("1 second"), Effect.fail(broken)) }))
      yield* during(Effect.flip(Pipeline.run(pipeline, Snapshot.make())), "1 second").pipe(layered(log))
      const left = log.lines.filter((line) => line.startsWith("leave")).toSorted()
      const entered = log.lines.filter((line) => line.startsWith("enter")).toSorted()
      assert.deepStrictEqual(left, entered.map((line) => line.replace("enter", "leave")))
    }))

  it.effect("when the run is cancelled", () =>
    Effect.gen(function*() {
      const log = new Log()
      yield* Effect.gen(function*() {
        const handle = yield* Pipeline.start(wrapped(log, Effect.never), Snapshot.make())
        yield* TestClock.adjust("1 second")
        yield* handle.cancel("enough")
      }).pipe(layered(log))
      assert.deepStrictEqual(log.lines, expected(log))
    }))

  it.effect("when a timeout ends the attempt", () =>
    Effect.gen(function*() {
      const log = new Log()
      const stage = Stage.work("stage", { run: Effect.andThen(log.add("body"), Effect.never) }).pipe(
        Stage.intercept(log.interceptor("inner")),
        Stage.timeout("1 second"),
        Stage.intercept(log.interceptor("outer"))
      )
      const error = yield* during(
        Effect.flip(Pipeline.run(Pipeline.make("pipeline").add(stage), Snapshot.make())),
        "1 second"
      )
      assert.instanceOf(error.error, StageError.StageTimeout)
      assert.deepStrictEqual(log.lines, log.around("outer", "inner"))
    }))

  it.effect("when one in the middle denies: those outside are left, those inside were never entered", () =>
    Effect.gen(function*() {
      const log = new Log()
      const denies = Interceptor.make({ name: "denies", around: () => Effect.fail(broken) })
      const pipeline = Pipeline.make("pipeline").add(log.body)
        .pipe(Pipeline.intercept(log.interceptor("outer"), denies, log.interceptor("inner")))
      yield* Effect.flip(Pipeline.run(pipeline, Snapshot.make()))
      assert.deepStrictEqual(log.lines, ["enter outer", "leave outer"])
    }))

  it.effect("leaving is waited for", () =>
    Effect.gen(function*() {
      const leaving = new Witness()
      const slow = Interceptor.make({
        name: "slow",
        around: (effect) => Effect.ensuring(effect, leaving.watch(Effect.sleep("3 seconds")))
      })
      const pipeline = Pipeline.make("pipeline").add(Stage.work("stage", { run: Effect.never }))
        .pipe(Pipeline.intercept(slow))
      const timed = Effect.timeoutOption(Pipeline.run(pipeline, Snapshot.make()), "1 second")
      yield* during(timed, "4 seconds")
      assert.deepStrictEqual(leaving.counts, [1, 1, 0, 0])
    }))
})

describe("R23 an interceptor covers every attempt", () => {
  it.effect("inside of the retry it is entered for each attempt, outside of it once around all of them", () =>
    Effect.gen(function*() {
      const log = new Log()
      const stage = Stage.work("stage", { run: Effect.andThen(log.add("body"), Effect.fail(broken)) }).pipe(
        Stage.intercept(log.interceptor("inside")),
        Stage.retry(Schedule.recurs(2)),
        Stage.intercept(log.interceptor("outside"))
      )
      const pipeline = Pipeline.make("pipeline").add(stage).pipe(Pipeline.intercept(log.interceptor("pipeline")))
      yield* Effect.flip(Pipeline.run(pipeline, Snapshot.make()))
      const attempt = log.around("inside")
      assert.deepStrictEqual(log.lines, [
        "enter pipeline",
        "enter outside",
        ...attempt,
        ...attempt,
        ...attempt,
        "leave outside",
        "leave pipeline"
      ])
    }))

  it.effect("no attempt ever runs outside of it, and it knows which attempt it is", () =>
    Effect.gen(function*() {
      let inside = 0
      const seen: Array<readonly [inside: number, attempt: number]> = []
      const counted = Interceptor.make({
        name: "counted",
        around: (effect) =>
          Effect.acquireUseRelease(
            Effect.sync(() => inside++),
            () => effect,
            () => Effect.sync(() => inside--)
          )
      })
      const attempts: Array<number> = []
      const numbered = Interceptor.make({
        name: "numbered",
        around: (effect) =>
          Effect.andThen(
            Effect.map(StageContext.StageContext, ({ attempt }) => {
              attempts.push(attempt)
            }),
            effect
          )
      })
      const body = Effect.flatMap(StageContext.StageContext, ({ attempt }) => {
        seen.push([inside, attempt])
        return Effect.fail(broken)
      })
      const stage = Stage.work("stage", { run: body }).pipe(Stage.intercept(numbered), Stage.retry(Schedule.recurs(2)))
      const pipeline = Pipeline.make("pipeline").add(stage).pipe(Pipeline.intercept(counted))
      yield* Effect.flip(Pipeline.run(pipeline, Snapshot.make())).pipe(Effect.provide(Interceptor.layer(counted)))
      assert.deepStrictEqual(seen, [[2, 1], [2, 2], [2, 3]])
      assert.deepStrictEqual(attempts, [1, 2, 3])
      assert.strictEqual(inside, 0)
    }))

  it.effect("it covers every stage, those added after it and those of the other pipeline of a merge included", () =>
    Effect.gen(function*() {
      const log = new Log()
      const named = Interceptor.make({
        name: "named",
        around: (effect, stage) => Effect.andThen(log.add(`${stage.pipeline} ${stage.kind} ${stage.name}`), effect)
      })
      const other = Pipeline.make("other").add(Stage.route("third", { run: Effect.succeed({ route: "a" }) }))
      const pipeline = Pipeline.make("pipeline")
        .add(Stage.work("first", { run: Effect.void }))
        .pipe(Pipeline.intercept(named))
        .add(Stage.guard("second", { run: Effect.void }), { after: ["first"] })
        .extend(other)
      yield* Pipeline.run(pipeline, Snapshot.make())
      assert.deepStrictEqual(log.lines, ["pipeline work first", "pipeline guard second", "pipeline route third"])
    }))
})

describe("R23 parallel stages never see each other's interceptor state", () => {
  class Mine
    extends Context.Service<Mine, { readonly owner: string; readonly count: Ref.Ref<number> }>()("test/Mine")
  {}

  const owned = Interceptor.make({
    name: "owned",
    provides: [Mine],
    around: (effect, stage) =>
      Effect.flatMap(Ref.make(0), (count) => Effect.provideService(effect, Mine, { owner: stage.name, count }))
  })

  const counting = <const Name extends string>(name: Name, times: number) =>
    Stage.transform(name, {
      run: Effect.gen(function*() {
        const owners = new Set<string>()
        for (let time = 0; time < times; time++) {
          const { count, owner } = yield* Mine
          owners.add(owner)
          yield* Ref.update(count, (n) => n + 1)
          yield* Effect.sleep("1 second")
        }
        return { owners: Array.from(owners), count: yield* Ref.get((yield* Mine).count) }
      })
    })

  it.effect("of one run", () =>
    Effect.gen(function*() {
      const pipeline = Pipeline.make("pipeline")
        .add(counting("one", 3))
        .add(counting("two", 5))
        .add(counting("three", 4))
        .pipe(Pipeline.intercept(owned))
      const { outputs } = yield* during(Pipeline.run(pipeline, Snapshot.make()), "5 seconds")
      assert.deepStrictEqual(outputs.one.data, { owners: ["one"], count: 3 })
      assert.deepStrictEqual(outputs.two.data, { owners: ["two"], count: 5 })
      assert.deepStrictEqual(outputs.three.data, { owners: ["three"], count: 4 })
    }))

  it.effect("of many runs of one pipeline at once", () =>
    Effect.gen(function*() {
      const pipeline = Pipeline.make("pipeline")
        .add(counting("one", 3))
        .pipe(Pipeline.intercept(owned))
      const results = yield* during(
        Effect.all(Array.from({ length: 50 }, () => Pipeline.run(pipeline, Snapshot.make())), {
          concurrency: "unbounded"
        }),
        "3 seconds"
      )
      for (const { outputs } of results) assert.deepStrictEqual(outputs.one.data, { owners: ["one"], count: 3 })
    }))

  it.effect("nor do attempts see that of the attempt before", () =>
    Effect.gen(function*() {
      const counts: Array<number> = []
      const run = Effect.gen(function*() {
        const { count } = yield* Mine
        counts.push(yield* Ref.updateAndGet(count, (n) => n + 1))
        return yield* broken
      })
      const stage = Stage.work("stage", { run }).pipe(Stage.intercept(owned), Stage.retry(Schedule.recurs(2)))
      yield* Effect.flip(Pipeline.run(Pipeline.make("pipeline").add(stage), Snapshot.make()))
      assert.deepStrictEqual(counts, [1, 1, 1])
    }))
})

describe("R23 an interceptor is what it says and no more", () => {
  it.effect("an empty list means none", () =>
    Effect.gen(function*() {
      const body = new Witness()
      const plain = Pipeline.make("pipeline").add(
        Stage.transform("stage", { run: body.watch(Effect.succeed({ n: 1 })) })
      )
      const pipelines = [
        plain.pipe(Pipeline.intercept()),
        plain.pipe(Pipeline.intercept(Interceptor.combine())),
        plain.pipe(Pipeline.intercept(Interceptor.make({ name: "nothing" })))
      ]
      for (const pipeline of pipelines) {
        const result = yield* Pipeline.run(pipeline, Snapshot.make())
        assert.deepStrictEqual(result.outputs.stage.data, { n: 1 })
      }
      const below = yield* Pipeline.run(plain, Snapshot.make()).pipe(
        Effect.provide(Interceptor.layer(Interceptor.combine()))
      )
      assert.deepStrictEqual(below.outputs.stage.data, { n: 1 })
      assert.deepStrictEqual(body.counts, [4, 4, 0, 0])
    }))

  it.effect("a pipeline's interceptors are composed once, not once per run", () =>
    Effect.gen(function*() {
      let composed = 0
      const counted = Interceptor.make({
        name: "counted",
        around: (effect) => {
          composed++
          return effect
        }
      })
      const pipeline = Pipeline.make("pipeline")
        .add(Stage.work("one", { run: Effect.void }))
        .add(Stage.work("two", { run: Effect.void }))
        .pipe(Pipeline.intercept(counted))
      for (let run = 0; run < 3; run++) yield* Pipeline.run(pipeline, Snapshot.make())
      assert.strictEqual(composed, 2)
    }))

  it.effect("adding one to a pipeline changes no other pipeline made from the same", () =>
    Effect.gen(function*() {
      const log = new Log()
      const plain = Pipeline.make("pipeline").add(log.body)
      const one = plain.pipe(Pipeline.intercept(log.interceptor("one")))
      const two = plain.pipe(Pipeline.intercept(log.interceptor("two")))
      yield* Pipeline.run(one, Snapshot.make())
      yield* Pipeline.run(plain, Snapshot.make())
      yield* Pipeline.run(two, Snapshot.make())
      assert.deepStrictEqual(log.lines, [...log.around("one"), "body", ...log.around("two")])
    }))

  it.effect("one Layer and then another: each run has those that are above it", () =>
    Effect.gen(function*() {
      const log = new Log()
      const run = Pipeline.run(Pipeline.make("pipeline").add(log.body), Snapshot.make())
      const under = (name: string) => Effect.provide(run, Interceptor.layer(log.interceptor(name)))
      yield* under("one")
      yield* under("two")
      yield* run
      assert.deepStrictEqual(log.lines, [...log.around("one"), ...log.around("two"), "body"])
    }))

  it.effect("one Layer, built once, below different others: each run has its own nesting", () =>
    Effect.gen(function*() {
      const log = new Log()
      const run = Pipeline.run(Pipeline.make("pipeline").add(log.body), Snapshot.make())
      const shared = yield* Layer.build(Interceptor.layer(log.interceptor("shared")))
      const below = Effect.provideContext(run, shared)
      yield* Effect.provide(below, Interceptor.layer(log.interceptor("one")))
      yield* Effect.provide(below, Interceptor.layer(log.interceptor("two")))
      yield* below
      assert.deepStrictEqual(log.lines, [
        ...log.around("one", "shared"),
        ...log.around("two", "shared"),
        ...log.around("shared")
      ])
    }))

  it.effect("a Layer's interceptor has the services of where the Layer is built, the stage those of where it runs", () =>
    Effect.gen(function*() {
      class Port extends Context.Service<Port, { readonly name: string }>()("test/Port") {}
      const seen: Array<string> = []
      const see = (who: string) =>
        Effect.map(Effect.serviceOption(Port), (port) => {
          seen.push(`${who}: ${port._tag === "Some" ? port.value.name : "none"}`)
        })
      const watching = Interceptor.make({
        name: "watching",
        around: (effect) =>
          Effect.andThen(Effect.flatMap(Port, ({ name }) => Effect.sync(() => seen.push(name))), effect)
      })
      const pipeline = Pipeline.make("pipeline").add(Stage.work("stage", { run: see("stage") }))
      const layer = Interceptor.layer(watching).pipe(Layer.provide(Layer.succeed(Port, { name: "layer's" })))

      yield* Pipeline.run(pipeline, Snapshot.make())
        .pipe(Effect.provideService(Port, { name: "run's" }), Effect.provide(layer))
      yield* Pipeline.run(pipeline, Snapshot.make()).pipe(Effect.provide(layer))
      assert.deepStrictEqual(seen, ["layer's", "stage: run's", "layer's", "stage: none"])
    }))

  it.effect("what a Layer's interceptor provides reaches the stage", () =>
    Effect.gen(function*() {
      const Setting = Context.Reference<string>("test/Setting", { defaultValue: () => "default" })
      const sets = Interceptor.make({
        name: "sets",
        around: (effect) => Effect.provideService(effect, Setting, "from the interceptor")
      })
      const pipeline = Pipeline.make("pipeline")
        .add(Stage.transform("stage", { run: Effect.map(Setting, (setting) => ({ setting })) }))
      const run = Pipeline.run(pipeline, Snapshot.make()).pipe(Effect.provide(Interceptor.layer(sets)))
      assert.deepStrictEqual((yield* run).outputs.stage.data, { setting: "from the interceptor" })
      const set = run.pipe(Effect.provideService(Setting, "from outside"))
      assert.deepStrictEqual((yield* set).outputs.stage.data, { setting: "from the interceptor" })
    }))

  it.effect("a Layer built inside a stage wraps the child's stages with the child's own context", () =>
    Effect.gen(function*() {
      const seen: Array<string> = []
      const watching = Interceptor.make({
        name: "watching",
        around: (effect) =>
          Effect.andThen(
            Effect.map(StageContext.StageContext, ({ pipeline, stage }) => seen.push(`${pipeline}.${stage}`)),
            effect
          )
      })
      const child = Pipeline.make("child").add(Stage.work("leaf", {
        run: Effect.map(StageContext.StageContext, ({ stage }) => {
          seen.push(stage)
        })
      }))
      const parent = Pipeline.make("parent").add(Stage.work("child", {
        run: Effect.asVoid(Pipeline.run(child, Snapshot.make())).pipe(Effect.provide(Interceptor.layer(watching)))
      }))
      yield* Pipeline.run(parent, Snapshot.make())
      assert.deepStrictEqual(seen, ["child.leaf", "leaf"])
    }))
})
