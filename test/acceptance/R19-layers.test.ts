import { assert, describe, it } from "@effect/vitest"
import { Context, Deferred, Effect, Exit, Fiber, Layer, Logger, Option, Stream } from "effect"
import { TestClock } from "effect/testing"
import { Event, EventSink, Interceptor, Pipeline, type Run, Snapshot, Stage, StageOutput } from "stageflow"
import * as Interceptors from "stageflow/interceptors"
import { during, recorded, Witness } from "./support/lifecycle.ts"

class Port extends Context.Service<Port, { readonly n: number }>()("Port") {}

const port = { n: 1 }

const built = (build: Effect.Effect<unknown>) => Layer.effect(Port, Effect.as(build, port))

const released = (release: Effect.Effect<void>) =>
  Layer.effect(Port, Effect.acquireRelease(Effect.succeed(port), () => release))

/** A pipeline of one stage that has to have its layer. */
const over = (layer: Layer.Layer<Port>, stage: Effect.Effect<unknown, never, never>) =>
  Pipeline.make("pipeline")
    .add(Stage.work("stage", { run: Effect.asVoid(Effect.andThen(Port, stage)) }))
    .pipe(Pipeline.provide(layer))

const lastOf = (events: ReadonlyArray<Event.Event>) => events.filter(Event.isRunEnd).map(({ _tag }) => _tag)

/** What the Effect logs, as text. */
const logged = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.suspend(() => {
    const lines: Array<string> = []
    const logger = Logger.make<unknown, void>(({ message }) => {
      lines.push(String(message))
    })
    return Effect.map(Effect.provide(effect, Logger.layer([logger])), (value) => ({ value, lines }))
  })

describe("R19 cancel acts at once, also while the layers of a pipeline are built", () => {
  const builds = [
    { how: "takes its time", build: Effect.sleep("200 millis") },
    { how: "never ends", build: Effect.never }
  ]
  for (const { build, how } of builds) {
    it.effect(`a layer whose building ${how}`, () =>
      Effect.gen(function*() {
        const building = new Witness()
        const body = new Witness()
        const run = yield* Pipeline.start(
          over(built(building.watch(build)), body.watch(Effect.void)),
          Snapshot.make()
        )
        assert.deepStrictEqual(yield* run.status, { stage: "pending" })
        yield* TestClock.adjust("20 millis")
        const cancelling = yield* Effect.forkChild(run.cancel("stop", { data: { why: 1 } }))
        yield* TestClock.adjust("0 millis")
        assert.isDefined(cancelling.pollUnsafe(), "cancel has returned")
        const result = yield* run.await
        assert.strictEqual(result._tag, "Cancelled")
        assert.deepStrictEqual(result._tag === "Cancelled" ? [result.reason, result.data, result.neverStarted] : [], [
          "stop",
          { why: 1 },
          ["stage"]
        ])
        yield* TestClock.adjust("1 hour")
        assert.deepStrictEqual([building.interrupted, body.started], [1, 0])
      }))
  }

  it.effect("a layer whose building ignores its interruption is left behind after the grace, and released when it is there", () =>
    Effect.gen(function*() {
      const body = new Witness()
      const release = new Witness()
      const layer = Layer.effect(
        Port,
        Effect.acquireRelease(
          Effect.uninterruptible(Effect.as(Effect.sleep("1 minute"), port)),
          () => release.watch(Effect.void)
        )
      )
      const run = yield* Pipeline.start(over(layer, body.watch(Effect.void)), Snapshot.make(), {
        interruptionGrace: "5 seconds"
      })
      const cancelling = yield* Effect.forkChild(run.cancel("stop"))
      yield* TestClock.adjust("4 seconds")
      assert.isUndefined(cancelling.pollUnsafe())
      yield* TestClock.adjust("1 second")
      assert.isDefined(cancelling.pollUnsafe())
      assert.strictEqual((yield* run.await)._tag, "Cancelled")
      yield* TestClock.adjust("1 hour")
      assert.deepStrictEqual([release.finished, body.started], [1, 0])
    }))

  it.effect("the events of a stream come while layers are built", () =>
    Effect.gen(function*() {
      const first = yield* Stream.runHead(Pipeline.stream(over(built(Effect.never), Effect.void), Snapshot.make()))
      assert.strictEqual(Option.getOrUndefined(first)?._tag, "RunStarted")
    }))

  it.effect("a run that an interceptor denies builds no layers", () =>
    Effect.gen(function*() {
      const building = new Witness()
      const denying = Interceptor.make({ name: "denying", aroundRun: () => Effect.fail("no") })
      const pipeline = over(built(building.watch(Effect.void)), Effect.void).pipe(Pipeline.intercept(denying))
      const exit = yield* Effect.exit(Pipeline.run(pipeline, Snapshot.make()))
      assert.deepStrictEqual(exit, Exit.fail("no"))
      assert.strictEqual(building.started, 0)
    }))

  it.effect("what an interceptor gives stages stays, whatever the layers give", () =>
    Effect.gen(function*() {
      const seen: Array<number> = []
      const giving = Interceptor.make({
        name: "giving",
        provides: [Port],
        aroundRun: (effect) => Effect.provideService(effect, Port, { n: 2 })
      })
      const pipeline = Pipeline.make("pipeline")
        .add(Stage.work("stage", { run: Effect.map(Port, ({ n }) => void seen.push(n)) }))
        .pipe(Pipeline.provide(built(Effect.void)), Pipeline.intercept(giving))
      yield* Pipeline.run(pipeline, Snapshot.make())
      assert.deepStrictEqual(seen, [2])
    }))

  it.effect("interceptors that a layer of the pipeline installs wrap its stages and its run", () =>
    Effect.gen(function*() {
      const wrapped: Array<string> = []
      const noting = Interceptor.make({
        name: "noting",
        around: (effect, { name }) => Effect.tap(effect, () => Effect.sync(() => wrapped.push(name))),
        aroundRun: (effect, { pipeline }) => Effect.tap(effect, () => Effect.sync(() => wrapped.push(pipeline)))
      })
      const pipeline = Pipeline.make("pipeline").add(Stage.work("stage", { run: Effect.void }))
        .pipe(Pipeline.provide(Interceptor.layer(noting)))
      yield* Pipeline.run(pipeline, Snapshot.make())
      assert.deepStrictEqual(wrapped, ["stage", "pipeline"])
    }))

  it.effect("a layer that dies is not taken for an interceptor that died", () =>
    Effect.gen(function*() {
      const passing = Interceptor.make({ name: "passing", aroundRun: (effect) => effect })
      const defect = new Error("built wrong")
      const pipeline = over(built(Effect.die(defect)), Effect.void).pipe(Pipeline.intercept(passing))
      assert.deepStrictEqual(yield* Effect.exit(Pipeline.run(pipeline, Snapshot.make())), Exit.die(defect))
    }))
})

describe("R24 the overall deadline holds, whatever takes the time", () => {
  const limited = <L extends Layer.Layer<Port>>(layer: L) =>
    over(layer, Effect.void).pipe(Pipeline.intercept(Interceptors.deadline("50 millis")))

  for (const [how, build] of [["takes too long", Effect.sleep("500 millis")], ["never ends", Effect.never]] as const) {
    it.effect(`the building of a layer that ${how}`, () =>
      Effect.gen(function*() {
        const running = yield* Effect.forkChild(Effect.exit(Pipeline.run(limited(built(build)), Snapshot.make())))
        yield* TestClock.adjust("50 millis")
        const exit = running.pollUnsafe()
        assert.isDefined(exit)
        const ended = yield* Fiber.join(running)
        assert.include(String(Exit.isFailure(ended) && ended.cause), "DeadlineExceeded")
      }))
  }
})

describe("R20 a release that hangs does not hold up its run", () => {
  const options = { interruptionGrace: "5 seconds" } satisfies Run.RunOptions
  const how: Record<string, (pipeline: ReturnType<typeof over>) => Effect.Effect<unknown, unknown>> = {
    run: (pipeline) => Pipeline.run(pipeline, Snapshot.make(), options),
    start: (pipeline) =>
      Effect.scoped(Effect.flatMap(Pipeline.start(pipeline, Snapshot.make(), options), (run) => run.await)),
    stream: (pipeline) =>
      Effect.map(Stream.runLast(Pipeline.stream(pipeline, Snapshot.make(), options)), Option.getOrThrow)
  }
  for (const [name, start] of Object.entries(how)) {
    it.effect(`${name}: it is left behind after the grace, which is said`, () =>
      Effect.gen(function*() {
        const { lines, value: { events, exit } } = yield* logged(
          recorded(during(start(over(released(Effect.never), Effect.void)), "5 seconds"))
        )
        assert.strictEqual(
          Exit.isSuccess(exit) ? (exit.value as { readonly _tag: string })._tag : exit._tag,
          "Completed"
        )
        assert.deepStrictEqual(lastOf(events), ["RunCompleted"])
        assert.strictEqual(lines.length, 1)
        assert.include(lines[0], `A layer of pipeline "pipeline"`)
      }))
  }

  it.effect("a release that is done within the grace is waited for", () =>
    Effect.gen(function*() {
      const release = new Witness()
      const running = yield* Effect.forkChild(
        Pipeline.run(over(released(release.watch(Effect.sleep("4 seconds"))), Effect.void), Snapshot.make(), options)
      )
      yield* TestClock.adjust("3 seconds")
      assert.isUndefined(running.pollUnsafe())
      yield* TestClock.adjust("1 second")
      assert.isDefined(running.pollUnsafe())
      assert.strictEqual(release.finished, 1)
    }))
})

describe("R31 the last event of a run says what the run ended with", () => {
  const ends: Record<string, Effect.Effect<unknown, string, StageOutput.InStage<"cancel">>> = {
    completes: Effect.void,
    fails: Effect.fail("broken"),
    cancels: StageOutput.cancel("enough")
  }
  for (const [how, end] of Object.entries(ends)) {
    it.effect(`a layer whose release interrupts itself, of a run that ${how}`, () =>
      Effect.gen(function*() {
        const pipeline = Pipeline.make("pipeline")
          .add(Stage.work("stage", { run: Effect.asVoid(Effect.andThen(Port, end)) }))
          .pipe(Pipeline.provide(released(Effect.interrupt)))
        const { events, exit } = yield* recorded(Pipeline.run(pipeline, Snapshot.make()))
        assert.isTrue(Exit.isFailure(exit))
        assert.isFalse(Exit.hasInterrupts(exit), "nobody interrupted the run")
        assert.deepStrictEqual(lastOf(events), [how === "fails" ? "RunFailed" : "RunRejected"])
      }))
  }

  it.effect("a run that is interrupted as it tells of its start tells of its end", () =>
    Effect.gen(function*() {
      const pipeline = Pipeline.make("pipeline").add(Stage.work("stage", { run: Effect.never }))
      const withLayers = over(built(Effect.void), Effect.never)
      const ways: ReadonlyArray<Effect.Effect<unknown, unknown>> = [
        Pipeline.run(pipeline, Snapshot.make()),
        Pipeline.run(withLayers, Snapshot.make()),
        Effect.scoped(Effect.flatMap(Pipeline.start(pipeline, Snapshot.make()), (run) => run.await)),
        Effect.scoped(Effect.flatMap(Pipeline.start(withLayers, Snapshot.make()), (run) => run.await)),
        Stream.runLast(Pipeline.stream(pipeline, Snapshot.make()))
      ]
      for (const way of ways) {
        const told: Array<string> = []
        const started = yield* Deferred.make<Fiber.Fiber<unknown, unknown>>()
        const running = yield* Effect.forkChild(
          Effect.andThen(
            Deferred.await(started),
            way.pipe(Effect.provideService(EventSink.EventSink, {
              offer: ({ _tag }) => {
                told.push(_tag)
                if (_tag === "RunStarted") running.interruptUnsafe()
              }
            }))
          )
        )
        yield* Deferred.succeed(started, running)
        yield* Fiber.await(running)
        assert.deepStrictEqual(told.filter((tag) => tag.startsWith("Run")), ["RunStarted", "RunInterrupted"])
      }
    }))
})
