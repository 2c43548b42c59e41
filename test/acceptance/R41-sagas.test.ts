import { assert, describe, it } from "@effect/vitest"
import { Context, Deferred, Effect, Exit, Fiber, Layer, Schedule, Schema, Scope, Stream } from "effect"
import { TestClock } from "effect/testing"
import {
  Event,
  EventSink,
  Interceptor,
  Pipeline,
  ResultCodec,
  RunResult,
  Snapshot,
  Stage,
  StageContext,
  StageOutput
} from "stageflow"
import { ForEach, Saga, Shapes, Subpipeline } from "stageflow/control"
import * as Interceptors from "stageflow/interceptors"
import { Ledger, paths, saga } from "../control/support/ledger.ts"

class Broken extends Schema.TaggedError<Broken>()("Broken", {}) {}

const broken = Stage.work("broken", { run: Effect.fail(new Broken()) })
const stuck = Stage.work("stuck", { run: Effect.never })
const start = Snapshot.make()

const kindOf = (event: Event.Event) => event._tag === "StageEmitted" ? event.type : event._tag

const shown = (event: Event.Event) => {
  const about = Event.isStageEvent(event) ? ` ${event.stage}` : ""
  return `${event.pipeline} ${kindOf(event)}${about}`
}

type CompensationTag = typeof Event.families.sagas[number]["Type"]["_tag"]

const isCompensation = (event: Event.Event): event is Event.Of<CompensationTag> => event._tag.startsWith("Compensation")

describe("R41 every end but a completed one takes back", () => {
  const ends: ReadonlyArray<readonly [string, (ledger: Ledger) => Effect.Effect<unknown, unknown>]> = [
    ["a failure", (ledger) => Pipeline.run(two(ledger).add(broken, { after: ["two"] }).pipe(saga), start)],
    [
      "what goes on after a failure",
      (ledger) => Pipeline.run(two(ledger).add(broken).pipe(saga), start, { failure: "continue" })
    ],
    ["a value that is not what it should be", (ledger) =>
      Pipeline.run(
        two(ledger).returns((s) =>
          s.two.map((): string => {
            throw new Error("No value")
          })
        ).pipe(saga),
        start
      )],
    ["an interceptor that rejects what has completed", (ledger) =>
      Pipeline.run(
        two(ledger).pipe(
          saga,
          Pipeline.intercept(Interceptor.make({
            name: "rejecting",
            aroundRun: (effect) => Effect.andThen(effect, Effect.fail(new Broken()))
          }))
        ),
        start
      )],
    ["a layer that cannot be released", (ledger) =>
      Pipeline.run(
        two(ledger).pipe(
          saga,
          Pipeline.provide(Layer.effectDiscard(Effect.acquireRelease(Effect.void, () => Effect.die("release"))))
        ),
        start
      )],
    ["a deadline", (ledger) =>
      Pipeline.run(
        two(ledger).add(stuck, { after: ["two"] }).pipe(saga, Pipeline.intercept(Interceptors.deadline("1 second"))),
        start
      )],
    [
      "a timeout around the run",
      (ledger) => Effect.timeout(Pipeline.run(two(ledger).add(stuck, { after: ["two"] }).pipe(saga), start), "1 second")
    ],
    ["its handle", (ledger) =>
      Effect.scoped(Effect.gen(function*() {
        const handle = yield* Pipeline.start(two(ledger).add(stuck, { after: ["two"] }).pipe(saga), start)
        yield* Effect.sleep("1 second")
        yield* handle.cancel("Enough")
      }))],
    ["its scope", (ledger) =>
      Effect.scoped(Effect.andThen(
        Pipeline.start(two(ledger).add(stuck, { after: ["two"] }).pipe(saga), start),
        Effect.sleep("1 second")
      ))],
    ["whoever stops reading its stream", (ledger) =>
      Stream.runHead(Stream.filter(
        Pipeline.stream(two(ledger).add(stuck, { after: ["two"] }).pipe(saga), start),
        (event) => event._tag === "StageStarted" && event.stage === "stuck"
      ))],
    [
      "a Layer that installs the saga",
      (ledger) => Effect.provide(Pipeline.run(two(ledger).add(broken, { after: ["two"] }), start), Saga.layer())
    ]
  ]
  const two = (ledger: Ledger) =>
    Pipeline.make("pipeline").add(ledger.step("one")).add(ledger.step("two"), { after: ["one"] })

  for (const [what, run] of ends) {
    for (const isHeard of [false, true]) {
      it.effect(`${what}, ${isHeard ? "heard" : "unheard"}`, () =>
        Effect.gen(function*() {
          const ledger = new Ledger()
          const events: Array<Event.Event> = []
          const running = yield* Effect.forkChild(
            isHeard
              ? Effect.provideService(run(ledger), EventSink.EventSink, { offer: (event) => void events.push(event) })
              : run(ledger)
          )
          yield* TestClock.adjust("1 minute")
          yield* Fiber.await(running)
          assert.deepStrictEqual(ledger.lines, ["one", "two", "undo two", "undo one"])
          if (!isHeard) return
          assert.deepStrictEqual(events.map(({ sequence }) => sequence), events.map((_, index) => index + 1))
          assert.strictEqual(events.filter(Event.isRunEnd).length, 1)
          assert.isTrue(Event.isRunEnd(events.at(-1) as Event.Event))
          assert.deepStrictEqual(
            events.filter(isCompensation).map(shown),
            ["two", "one"].flatMap((name) => [
              `pipeline CompensationStarted ${name}`,
              `pipeline CompensationCompleted ${name}`
            ])
          )
        }))
    }
  }

  for (const first of ["same", "fails"] as const) {
    it.effect(`what completed in the same instant as a sibling failed (${first} first)`, () =>
      Effect.gen(function*() {
        const ledger = new Ledger()
        const gate = yield* Deferred.make<void>()
        const fails = Stage.work("fails", { run: Effect.andThen(Deferred.await(gate), Effect.fail(new Broken())) })
        const same = ledger.step("same", Deferred.await(gate))
        // Whoever waits first is woken first.
        const both = first === "same"
          ? Pipeline.make("pipeline").add(same).add(fails)
          : Pipeline.make("pipeline").add(fails).add(same)
        const pipeline = both.add(ledger.step("later", Effect.never)).pipe(saga)
        const running = yield* Effect.forkChild(Effect.flip(Pipeline.run(pipeline, start)))
        yield* TestClock.adjust("1 second")
        yield* Deferred.succeed(gate, undefined)
        const { compensation, interrupted, outputs } = yield* Fiber.join(running)
        assert.deepStrictEqual(Object.keys(outputs), ["same"])
        assert.deepStrictEqual(interrupted, ["later"])
        assert.deepStrictEqual(paths(compensation?.compensated), ["same"])
        assert.deepStrictEqual(ledger.undone, ["same"])
      }))
  }

  it.effect("the reverse order is that of completion, not that of the pipeline", () =>
    Effect.gen(function*() {
      const ledger = new Ledger()
      const pipeline = Pipeline.make("pipeline")
        .add(ledger.step("slow", Effect.sleep("3 seconds")))
        .add(ledger.step("fast", Effect.sleep("1 second")))
        .add(ledger.step("middle", Effect.sleep("2 seconds")))
        .add(broken, { after: ["slow", "fast", "middle"] })
        .pipe(saga)
      const running = yield* Effect.forkChild(Effect.exit(Pipeline.run(pipeline, start)))
      yield* TestClock.adjust("3 seconds")
      yield* Fiber.join(running)
      assert.deepStrictEqual(ledger.undone, ["slow", "middle", "fast"])
    }))

  it.effect("a result with what was taken back is encoded and decoded without loss", () =>
    Effect.gen(function*() {
      const ledger = new Ledger()
      const undone = Stage.work("undone", { run: Effect.succeed({ n: 1 }) }).pipe(
        Saga.compensate(() => Effect.fail(new Broken()))
      )
      const steps = Pipeline.make("pipeline").add(ledger.step("one")).add(undone)
      const ending = Stage.work("ending", { error: Broken, run: Effect.fail(new Broken()) })
      const pipeline = steps.add(ending, { after: ["one", "undone"] }).pipe(saga)
      const failed = yield* Effect.flip(Pipeline.run(pipeline, start))
      const incomplete = yield* Pipeline.run(pipeline, start, { failure: "continue" })
      for (const result of [failed, incomplete]) {
        const json = yield* ResultCodec.encode(pipeline, result as typeof failed)
        const decoded = yield* ResultCodec.decode(pipeline, JSON.parse(JSON.stringify(json)))
        assert(decoded._tag !== "Completed" && decoded._tag === result._tag)
        assert.deepStrictEqual(decoded.compensation, result.compensation)
        assert.deepStrictEqual(paths(decoded.compensation?.compensated), ["one"])
        assert.deepStrictEqual(paths(decoded.compensation?.failed), ["undone"])
        assert.isTrue(Object.isFrozen(decoded.compensation?.failed))
      }
      const wrong = JSON.parse(
        JSON.stringify(yield* ResultCodec.encode(pipeline, failed)).replace(`"path":["one"]`, `"path":["other"]`)
      )
      const invalid = yield* Effect.flip(ResultCodec.decode(pipeline, wrong))
      assert.include(invalid.message, "Expected a path to the stage")
    }))
})

describe("R41 while compensations run", () => {
  class Port extends Context.Service<Port, { readonly isOpen: () => boolean }>()("test/Port") {}
  const port = (log: Array<string>, name: string) =>
    Layer.effect(
      Port,
      Effect.gen(function*() {
        let isOpen = true
        yield* Effect.addFinalizer(() =>
          Effect.sync(() => {
            isOpen = false
            log.push(`${name} released`)
          })
        )
        return { isOpen: () => isOpen }
      })
    )
  const using = (log: Array<string>, name: string) =>
    Stage.work(name, { run: Effect.succeed({ n: 1 }) }).pipe(
      Saga.compensate(() => Effect.map(Port, ({ isOpen }) => void log.push(`undo ${name} ${isOpen()}`)))
    )

  it.effect("the layers of the pipeline are there", () =>
    Effect.gen(function*() {
      const log: Array<string> = []
      const pipeline = Pipeline.make("pipeline").add(using(log, "uses")).add(broken, { after: ["uses" as never] })
        .pipe(saga, Pipeline.provide(port(log, "port")))
      yield* Effect.exit(Pipeline.run(pipeline, start))
      assert.deepStrictEqual(log, ["undo uses true", "port released"])
    }))

  it.effect("the layers are there also when what the pipeline returns is wrong, and the error lists all", () =>
    Effect.gen(function*() {
      const log: Array<string> = []
      const pipeline = Pipeline.make("pipeline").add(using(log, "uses")).returns((s) =>
        s.uses.map((): string => {
          throw new Error("No value")
        })
      ).pipe(saga, Pipeline.provide(port(log, "port")))
      const failed = yield* Effect.flip(Pipeline.run(pipeline, start))
      assert.deepStrictEqual(log, ["undo uses true", "port released"])
      assert(failed instanceof RunResult.ValueFailed)
      assert.deepStrictEqual(paths(failed.compensation?.compensated), ["uses"])
    }))

  it.effect("the layers of a run inside are there, however long ago it completed; they go when the run is over", () =>
    Effect.gen(function*() {
      const log: Array<string> = []
      const child = Pipeline.make("child").add(using(log, "uses")).pipe(Pipeline.provide(port(log, "port")))
      const middle = Pipeline.make("middle").add(Subpipeline.stage("child", child))
      const parent = Pipeline.make("parent").add(Subpipeline.stage("middle", middle))
        .add(Stage.work("after", { run: Effect.sync(() => void log.push("after")) }), { after: ["middle"] })
      yield* Pipeline.run(parent.pipe(saga), start)
      assert.deepStrictEqual(log.splice(0), ["after", "port released"])
      yield* Effect.exit(Pipeline.run(parent.add(broken, { after: ["after"] }).pipe(saga), start))
      assert.deepStrictEqual(log.splice(0), ["after", "undo uses true", "port released"])
      yield* Pipeline.run(parent, start)
      assert.deepStrictEqual(log.splice(0), ["port released", "after"], "without a saga it is as ever")
    }))

  it.effect("the caller that interrupts waits for their limits, and no longer", () =>
    Effect.gen(function*() {
      const deaf = (name: string) =>
        Stage.work(name, { run: Effect.succeed({ n: 1 }) }).pipe(
          Saga.compensate(() => Effect.uninterruptible(Effect.never))
        )
      const pipeline = Pipeline.make("pipeline").add(deaf("one")).add(deaf("two")).add(stuck).pipe(
        Pipeline.intercept(Saga.interceptor({ limit: "5 seconds", onUncompensated: () => Effect.void }))
      )
      const running = yield* Effect.forkChild(Pipeline.run(pipeline, start, { interruptionGrace: "1 second" }))
      yield* TestClock.adjust("1 second")
      const interrupting = yield* Effect.forkChild(Fiber.interrupt(running))
      yield* TestClock.adjust("11 seconds")
      assert.isUndefined(interrupting.pollUnsafe())
      yield* TestClock.adjust("1 second")
      assert.isDefined(interrupting.pollUnsafe())
    }))

  it.effect("a cancel during compensations changes nothing, and waits for them", () =>
    Effect.gen(function*() {
      const ledger = new Ledger()
      const slow = Stage.work("slow", { run: Effect.succeed({ n: 1 }) }).pipe(
        Saga.compensate(() =>
          Effect.andThen(Effect.sleep("20 seconds"), Effect.sync(() => void ledger.lines.push("undo slow")))
        )
      )
      const handle = yield* Pipeline.start(
        Pipeline.make("pipeline").add(ledger.step("one")).add(slow, { after: ["one"] })
          .add(broken, { after: ["slow"] }).pipe(saga),
        start
      )
      yield* TestClock.adjust("1 second")
      assert.strictEqual((yield* handle.status)["broken"], "failed")
      const cancelling = yield* Effect.forkChild(handle.cancel("late"))
      yield* TestClock.adjust("1 second")
      assert.isUndefined(cancelling.pollUnsafe())
      yield* TestClock.adjust("18 seconds")
      assert.isDefined(cancelling.pollUnsafe())
      const error = yield* Effect.flip(handle.await)
      assert.instanceOf(error, RunResult.StageFailed)
      assert.deepStrictEqual(ledger.undone, ["slow", "one"])
    }).pipe(Effect.scoped))

  it.effect("what they emit is told as their stage's, and a run that they start takes back its own", () =>
    Effect.gen(function*() {
      const ledger = new Ledger()
      const inside = Pipeline.make("inside").add(ledger.step("inner")).add(broken, { after: ["inner"] })
      const stage = Stage.work("stage", { run: Effect.succeed({ n: 1 }) }).pipe(
        Saga.compensate(() =>
          Effect.gen(function*() {
            yield* StageContext.emit("refund.asked", { n: 1 })
            const { lineage, snapshot, stage } = yield* StageContext.StageContext
            yield* Effect.exit(Pipeline.run(inside, snapshot))
            yield* StageContext.emit("refund.done", { stage, isOwn: lineage.parentRunId === undefined })
          })
        )
      )
      const pipeline = Pipeline.make("pipeline").add(stage).add(broken, { after: ["stage"] }).pipe(saga)
      const events = yield* Effect.scoped(Effect.gen(function*() {
        const handle = yield* Pipeline.start(pipeline, start)
        return yield* Stream.runCollect(handle.events)
      }))
      const told = Array.from(events).flatMap((event) =>
        event._tag === "StageEmitted" || isCompensation(event) ? [event] : []
      )
      const emitted = told.filter((event) => event._tag === "StageEmitted")
      assert.deepStrictEqual(told.map((event) => [event.stage, event.attempt, kindOf(event)]), [
        ["stage", 1, "CompensationStarted"],
        ["stage", 1, "refund.asked"],
        ["stage", 1, "refund.done"],
        ["stage", 1, "CompensationCompleted"]
      ])
      assert.deepStrictEqual(emitted[1]?.data, { stage: "stage", isOwn: true })
      assert.deepStrictEqual(ledger.lines, ["inner", "undo inner"])
    }))
})

describe("R41 runs inside of runs", () => {
  it.effect("one that fails is taken back when it ends, before the earlier stages of its parent", () =>
    Effect.gen(function*() {
      const ledger = new Ledger()
      const child = Pipeline.make("child").add(ledger.step("inner")).add(broken, { after: ["inner"] })
      const parent = Pipeline.make("parent").add(ledger.step("outer"))
        .add(Subpipeline.stage("child", child), { after: ["outer"] }).pipe(saga)
      const events: Array<Event.Event> = []
      const failed = yield* Effect.flip(Pipeline.run(parent, start)).pipe(
        Effect.provideService(EventSink.EventSink, { offer: (event) => void events.push(event) })
      )
      assert.deepStrictEqual(ledger.lines, ["outer", "inner", "undo inner", "undo outer"])
      assert.deepStrictEqual(paths(failed.compensation?.compensated), ["outer"])
      assert(failed.error instanceof Subpipeline.SubpipelineFailed)
      const inside: unknown = failed.error.error
      assert(inside instanceof RunResult.StageFailed)
      assert.deepStrictEqual(paths(inside.compensation?.compensated), ["inner"])
      assert.deepStrictEqual(
        events.map(shown).slice(-9),
        [
          "child CompensationStarted inner",
          "child CompensationCompleted inner",
          "child RunFailed",
          "parent SubpipelineEnded child",
          "parent StageFailed child",
          "parent CompensationStarted outer",
          "parent CompensationCompleted outer",
          "parent RunFailed"
        ].toSpliced(0, 0, "child StageFailed broken")
      )
    }))

  it.effect("one that completed is taken back with its parent, at its place, however deep and however it was started", () =>
    Effect.gen(function*() {
      const ledger = new Ledger()
      const bottom = Pipeline.make("bottom").add(ledger.step("c")).add(ledger.step("d"), { after: ["c"] })
      const middle = Pipeline.make("middle").add(ledger.step("b"))
        .add(
          Stage.work("down", {
            run: Effect.flatMap(Snapshot.current, (current) => Effect.asVoid(Pipeline.run(bottom, current)))
          }),
          {
            after: ["b"]
          }
        )
      const parent = Pipeline.make("parent").add(ledger.step("a"))
        .add(Subpipeline.stage("middle", middle), { after: ["a"] })
        .add(ledger.step("e"), { after: ["middle"] })
        .add(broken, { after: ["e"] }).pipe(saga)
      const events: Array<Event.Event> = []
      const { compensation, lineage } = yield* Effect.flip(Pipeline.run(parent, start)).pipe(
        Effect.provideService(EventSink.EventSink, { offer: (event) => void events.push(event) })
      )
      assert.deepStrictEqual(ledger.undone, ["e", "d", "c", "b", "a"])
      assert.deepStrictEqual(paths(compensation?.compensated), [
        "e",
        "middle > down > d",
        "middle > down > c",
        "middle > b",
        "a"
      ])
      const runs = new Map(
        events.flatMap((event) => event._tag === "RunStarted" ? [[event.pipeline, event.runId]] : [])
      )
      assert.deepStrictEqual(compensation?.compensated.map(({ runId }) => runId), [
        lineage.runId,
        runs.get("bottom"),
        runs.get("bottom"),
        runs.get("middle"),
        lineage.runId
      ])
      // A run whose last event has been told has no others: its parent tells of it.
      assert.deepStrictEqual(
        events.filter(isCompensation).map(shown).filter((_, index) => index % 2 === 0),
        [
          "parent CompensationStarted e",
          "parent CompensationStarted middle",
          "parent CompensationStarted middle",
          "parent CompensationStarted middle",
          "parent CompensationStarted a"
        ]
      )
    }))

  it.effect("one beside other stages has its place among them", () =>
    Effect.gen(function*() {
      const ledger = new Ledger()
      const child = Pipeline.make("child").add(ledger.step("first", Effect.sleep("1 second")))
        .add(ledger.step("third", Effect.sleep("2 seconds")), { after: ["first"] })
      const parent = Pipeline.make("parent").add(Subpipeline.stage("child", child))
        .add(ledger.step("second", Effect.sleep("2 seconds"))).add(broken, { after: ["child", "second"] }).pipe(saga)
      const running = yield* Effect.forkChild(Effect.exit(Pipeline.run(parent, start)))
      yield* TestClock.adjust("3 seconds")
      yield* Fiber.join(running)
      assert.deepStrictEqual(ledger.undone, ["third", "second", "first"])
    }))

  it.effect("one that failed is taken back though the stage handles it or tries again; each time once", () =>
    Effect.gen(function*() {
      for (const ending of ["completes", "fails"] as const) {
        const ledger = new Ledger()
        let tries = 0
        const flaky = Stage.work("flaky", {
          run: Effect.suspend(() => ++tries === 1 ? Effect.fail(new Broken()) : Effect.void)
        })
        const child = Pipeline.make("child").add(ledger.step("inner")).add(flaky, { after: ["inner"] })
        const handled = Pipeline.make("handled").add(ledger.step("caught")).add(broken, { after: ["caught"] })
        const parent = Pipeline.make("parent")
          .add(Subpipeline.stage("handled", handled, { output: () => ({}) }).pipe(Stage.catch(() => Effect.void)))
          .add(Subpipeline.stage("child", child, { output: () => ({}) }).pipe(Stage.retry(Schedule.recurs(2))), {
            after: ["handled"]
          })
          .add(ending === "fails" ? broken : Stage.work("broken", { run: Effect.void }), { after: ["child"] })
          .pipe(saga)
        yield* Effect.exit(
          Pipeline.run(parent as Pipeline.Pipeline<Pipeline.Node<"broken", {}, never, never, never>>, start)
        )
        assert.deepStrictEqual(ledger.lines, [
          "caught",
          "undo caught",
          "inner",
          "undo inner",
          "inner",
          ...(ending === "fails" ? ["undo inner"] : [])
        ])
      }
    }))

  it.effect("one that completed in a stage which failed then belongs to the parent, too", () =>
    Effect.gen(function*() {
      const ledger = new Ledger()
      const child = Pipeline.make("child").add(ledger.step("inner"))
      const stage = Stage.work("stage", {
        run: Effect.andThen(Subpipeline.run(child), Effect.fail(new Broken()))
      })
      const parent = Pipeline.make("parent").add(stage).pipe(saga)
      const { compensation } = yield* Effect.flip(Pipeline.run(parent, start))
      assert.deepStrictEqual(paths(compensation?.compensated), ["stage > inner"])
    }))

  it.effect("one that is interrupted is taken back first, though that takes longer than the grace", () =>
    Effect.gen(function*() {
      const ledger = new Ledger()
      const slowly = Stage.work("slowly", { run: Effect.succeed({ n: 1 }) }).pipe(
        Saga.compensate(() =>
          Effect.andThen(Effect.sleep("15 seconds"), Effect.sync(() => void ledger.lines.push("undo slowly")))
        )
      )
      const child = Pipeline.make("child").add(ledger.step("inner")).add(slowly, { after: ["inner"] })
        .add(stuck, { after: ["slowly"] })
      const parent = Pipeline.make("parent").add(ledger.step("outer"))
        .add(Subpipeline.stage("child", child), { after: ["outer"] })
        .add(Stage.work("fails", { run: Effect.andThen(Effect.sleep("1 second"), Effect.fail(new Broken())) }))
        .pipe(saga)
      const running = yield* Effect.forkChild(Effect.flip(Pipeline.run(parent, start)))
      yield* TestClock.adjust("20 seconds")
      const { compensation } = yield* Fiber.join(running)
      assert.deepStrictEqual(ledger.undone, ["slowly", "inner", "outer"])
      assert.deepStrictEqual(paths(compensation?.compensated), ["outer"])
    }))

  it.effect("one that is interrupted and has a longer grace is waited for", () =>
    Effect.gen(function*() {
      const ledger = new Ledger()
      const deaf = Stage.work("deaf", { run: Effect.uninterruptible(Effect.sleep("8 seconds")) })
      const child = Pipeline.make("child").add(ledger.step("inner")).add(deaf)
      const parent = Pipeline.make("parent").add(ledger.step("outer"))
        .add(Subpipeline.stage("child", child, { run: { interruptionGrace: "1 minute" } }), { after: ["outer"] })
        .add(Stage.work("fails", { run: Effect.andThen(Effect.sleep("1 second"), Effect.fail(new Broken())) }))
        .pipe(saga)
      const running = yield* Effect.forkChild(
        Effect.flip(Pipeline.run(parent, start, { interruptionGrace: "5 seconds" }))
      )
      yield* TestClock.adjust("8 seconds")
      yield* Fiber.join(running)
      assert.deepStrictEqual(ledger.undone, ["inner", "outer"])
    }))

  it.effect("one that outlives the run which started it is taken back when it completes after all", () =>
    Effect.gen(function*() {
      const ledger = new Ledger()
      const child = Pipeline.make("child").add(ledger.step("inner", Effect.sleep("1 minute")))
      const parent = Pipeline.make("parent").add(ledger.step("outer"))
        .add(Stage.work("lets go", { run: Effect.asVoid(Effect.forkDetach(Subpipeline.run(child))) }), {
          after: ["outer"]
        })
        .add(Stage.work("broken", { run: Effect.andThen(Effect.sleep("1 second"), Effect.fail(new Broken())) }), {
          after: ["lets go"]
        }).pipe(saga)
      const running = yield* Effect.forkChild(Effect.exit(Pipeline.run(parent, start)))
      yield* TestClock.adjust("1 second")
      assert.isDefined(running.pollUnsafe(), "the run does not wait for what it has let go of")
      assert.deepStrictEqual(ledger.undone, ["outer"])
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(ledger.undone, ["outer", "inner"])
    }))

  it.effect("each item of a for-each is taken back by itself, also when a later one fails", () =>
    Effect.gen(function*() {
      const ledger = new Ledger()
      const each = Stage.work("item", {
        run: ({ n }: { readonly n: number }) =>
          n === 3
            ? Effect.fail(new Broken())
            : Effect.sync(() => ({ id: ledger.lines.push(`item ${n}`) && `item ${n}` }))
      }).pipe(Saga.compensate(({ id }) => Effect.sync(() => void ledger.lines.push(`undo ${id}`))))
      const items = (count: number) =>
        ForEach.stage("items", {
          items: () => Array.from({ length: count }, (_, index) => ({ n: index + 1 })),
          each,
          concurrency: 1
        })
      const failing = Pipeline.make("parent").add(ledger.step("first")).add(items(3), { after: ["first"] }).pipe(saga)
      yield* Effect.exit(Pipeline.run(failing, start))
      assert.deepStrictEqual(ledger.undone, ["item 2", "item 1", "first"])
      ledger.lines.length = 0
      const later = Pipeline.make("parent").add(items(2)).add(broken, { after: ["items"] }).pipe(saga)
      const { compensation } = yield* Effect.flip(Pipeline.run(later, start))
      assert.deepStrictEqual(ledger.undone, ["item 2", "item 1"])
      assert.deepStrictEqual(paths(compensation?.compensated), ["items > item", "items > item"])
    }))

  it.effect("one that has lost a race is taken back, though its parent goes on", () =>
    Effect.gen(function*() {
      const ledger = new Ledger()
      const slow = Pipeline.make("slow").add(ledger.step("begun"))
        .add(Stage.work("slowly", { run: Effect.sleep("1 minute") }), { after: ["begun"] })
      const fast = ledger.step("fast", Effect.sleep("1 second"))
      const parent = Pipeline.make("parent").add(Shapes.race("answer", { slow, fast })).pipe(saga)
      for (const pipeline of [parent, parent.add(broken, { after: ["answer"] })]) {
        const running = yield* Effect.forkChild(
          Effect.exit(Pipeline.run(pipeline as typeof parent, start))
        )
        yield* TestClock.adjust("1 second")
        yield* Fiber.join(running)
        assert.deepStrictEqual(ledger.lines.splice(0), [
          "begun",
          "fast",
          "undo begun",
          ...(pipeline === parent ? [] : ["undo fast"])
        ])
      }
    }))

  it.effect("one with a saga of its own takes back as that says", () =>
    Effect.gen(function*() {
      const heard: Array<string> = []
      const undone = Stage.work("undone", { run: Effect.succeed({ n: 1 }) }).pipe(
        Saga.compensate(() => Effect.fail("no"))
      )
      const hearing = (who: string) =>
        Pipeline.intercept(
          Saga.interceptor({
            onUncompensated: ({ path }) => Effect.sync(() => void heard.push(`${who}: ${path.join(" > ")}`))
          })
        )
      const child = Pipeline.make("child").add(undone)
      const failing = child.add(broken, { after: ["undone"] }).pipe(hearing("child"))
      const completing = child.pipe(hearing("child"))
      for (const inside of [failing, completing]) {
        const parent = Pipeline.make("parent").add(Subpipeline.stage("child", inside as typeof failing))
          .add(broken, { after: ["child"] }).pipe(hearing("parent"))
        yield* Effect.exit(Pipeline.run(parent, start))
      }
      assert.deepStrictEqual(heard, ["child: undone", "parent: child > undone"])
      // Without one around it, what a run has completed is nobody's to take back.
      yield* Effect.exit(Pipeline.run(
        Pipeline.make("parent").add(Subpipeline.stage("child", completing)).add(broken, { after: ["child"] }),
        start
      ))
      assert.strictEqual(heard.length, 2)
    }))
})

describe("R41 what is done to its end though it is interrupted", () => {
  /** Nothing interrupts what is inside of it, so what that does is known. */
  const whole = Interceptor.make({ name: "whole", around: (effect) => Effect.uninterruptible(effect) })
  const fails = Stage.work("fails", { run: Effect.andThen(Effect.sleep("1 second"), Effect.fail(new Broken())) })

  it.effect("is taken back with the rest", () =>
    Effect.gen(function*() {
      const ledger = new Ledger()
      const atomic = ledger.step("atomic", Effect.sleep("5 seconds")).pipe(Stage.intercept(whole))
      const pipeline = Pipeline.make("pipeline").add(ledger.step("one")).add(atomic, { after: ["one"] }).add(fails)
        .pipe(saga)
      const running = yield* Effect.forkChild(Effect.flip(Pipeline.run(pipeline, start)))
      yield* TestClock.adjust("5 seconds")
      const { compensation, interrupted } = yield* Fiber.join(running)
      assert.deepStrictEqual(interrupted, ["atomic"])
      assert.deepStrictEqual(paths(compensation?.compensated), ["atomic", "one"])
      assert.deepStrictEqual(ledger.lines, ["one", "atomic", "undo atomic", "undo one"])
    }))

  it.effect("is taken back then and there when the run is over by then", () =>
    Effect.gen(function*() {
      const ledger = new Ledger()
      const atomic = ledger.step("atomic", Effect.sleep("1 minute")).pipe(Stage.intercept(whole))
      const events: Array<Event.Event> = []
      const running = yield* Effect.flip(
        Pipeline.run(Pipeline.make("pipeline").add(atomic).add(fails).pipe(saga), start)
      ).pipe(
        Effect.provideService(EventSink.EventSink, { offer: (event) => void events.push(event) }),
        Effect.forkChild
      )
      yield* TestClock.adjust("11 seconds")
      assert.deepStrictEqual((yield* Fiber.join(running)).abandoned, ["atomic"])
      assert.deepStrictEqual(ledger.lines, [])
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(ledger.lines, ["atomic", "undo atomic"])
      assert.isTrue(Event.isRunEnd(events.at(-1) as Event.Event), "what is over says nothing more")
    }))

  it.effect("says nothing of its own any more while the others are taken back", () =>
    Effect.gen(function*() {
      const slowly = Stage.work("slowly", { run: Effect.succeed({ n: 1 }) }).pipe(
        Saga.compensate(() => Effect.sleep("20 seconds"))
      )
      const deaf = Stage.work("deaf", {
        run: Effect.uninterruptible(Effect.andThen(Effect.sleep("15 seconds"), StageContext.emit("late", {})))
      })
      const events: Array<Event.Event> = []
      const running = yield* Effect.exit(
        Pipeline.run(Pipeline.make("pipeline").add(slowly).add(deaf).add(fails).pipe(saga), start)
      ).pipe(
        Effect.provideService(EventSink.EventSink, { offer: (event) => void events.push(event) }),
        Effect.forkChild
      )
      yield* TestClock.adjust("1 minute")
      yield* Fiber.join(running)
      assert.deepStrictEqual(events.map(shown).slice(-4), [
        "pipeline StageInterrupted deaf",
        "pipeline CompensationStarted slowly",
        "pipeline CompensationCompleted slowly",
        "pipeline RunFailed"
      ])
    }))
})

describe("R41 what was not done here", () => {
  it.effect("a replay is not taken back: the run that did it has to see to that", () =>
    Effect.gen(function*() {
      const ledger = new Ledger()
      const keyed = Interceptors.idempotency({ key: () => "k", parameters: () => 0 })
      const placed = [
        ledger.step("outside").pipe(Stage.as("one"), Stage.intercept(keyed)),
        Stage.work("one", { run: Effect.sync(() => ({ id: ledger.lines.push("inside") })) }).pipe(
          Stage.intercept(keyed),
          Saga.compensate(() => Effect.sync(() => void ledger.lines.push("undo inside")))
        )
      ]
      for (const stage of placed) {
        yield* Effect.gen(function*() {
          ledger.lines.length = 0
          const pipeline = Pipeline.make("pipeline").add(stage as typeof placed[0] & {})
          yield* Pipeline.run(pipeline.pipe(saga), start)
          const again = pipeline.add(broken, { after: ["one"] }).pipe(saga)
          yield* Effect.exit(Pipeline.run(again, start))
          assert.strictEqual(ledger.lines.length, 1)
        }).pipe(Effect.provide(Interceptors.IdempotencyStore.layerMemory))
      }
    }))

  it.effect("what a stage did in an earlier run, and is not done again in this one, is not taken back", () =>
    Effect.gen(function*() {
      const ledger = new Ledger()
      let rejects = true
      const check = Interceptor.make({
        name: "check",
        around: (effect) =>
          Effect.flatMap(effect, (outcome) => rejects ? Effect.fail(new Broken()) : Effect.succeed(outcome))
      })
      const one = ledger.step("one").pipe(
        Stage.intercept(check),
        Stage.intercept(Interceptors.idempotency({ key: () => "k", parameters: () => 0 }))
      )
      const pipeline = Pipeline.make("pipeline").add(one)
      yield* Effect.exit(Pipeline.run(pipeline, start))
      rejects = false
      yield* Effect.exit(Pipeline.run(pipeline.add(broken, { after: ["one"] }).pipe(saga), start))
      assert.deepStrictEqual(ledger.lines, ["one"])
    }).pipe(Effect.provide(Interceptors.IdempotencyStore.layerMemory)))

  it.effect("a hit of a cache is not taken back", () =>
    Effect.gen(function*() {
      const ledger = new Ledger()
      const cached = Interceptors.cache({ ttl: "1 hour", of: () => "one" })
      const placed = [
        ledger.step("one").pipe(Stage.intercept(cached)),
        Stage.work("one", { run: Effect.sync(() => ({ id: String(ledger.lines.push("one")) })) }).pipe(
          Stage.intercept(cached),
          Saga.compensate(({ id }) => Effect.sync(() => void ledger.lines.push(`undo ${id}`)))
        )
      ] as const
      for (const stage of placed) {
        yield* Effect.gen(function*() {
          ledger.lines.length = 0
          const pipeline = Pipeline.make("pipeline").add(stage)
          yield* Pipeline.run(pipeline.pipe(saga), start)
          const again = pipeline.add(broken, { after: ["one"] }).pipe(saga)
          yield* Effect.exit(Pipeline.run(again, start))
          assert.deepStrictEqual(ledger.lines, ["one"])
        }).pipe(Effect.provide(Interceptors.Results.layerMemory()))
      }
    }))
})

/** One step of a random pipeline: when it ends, how, and what it waits for. */
const Step = Schema.Struct({
  ms: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 6 })),
  end: Schema.Literals(["ok", "ok", "ok", "ok", "fail", "cancel", "skip"]),
  after: Schema.Array(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 7 }))),
  undo: Schema.Literals(["ok", "ok", "ok", "fail", "die", "never"]),
  /** Whether it is in a run of its own inside of its stage, and how that ends after it. */
  inside: Schema.Literals(["no", "no", "completes", "fails", "fails and is caught"])
})

const Plan = Schema.Struct({
  steps: Schema.Array(Step).check(Schema.isMinLength(1), Schema.isMaxLength(8)),
  /** How the run is ended from outside, and when. */
  outside: Schema.Literals(["none", "cancel", "interrupt", "close"]),
  at: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 20 })),
  failure: Schema.Literals(["fail-fast", "continue"]),
  concurrency: Schema.Literals([1, 2, "unbounded"]),
  isHeard: Schema.Boolean
})

describe("R41 of random pipelines", () => {
  it.effect.prop("what completed is taken back once, in the reverse order of completion, unless the run completes", [
    Plan
  ], ([plan]) =>
    Effect.gen(function*() {
      // The model: what was done, and what was begun to be taken back, in the order in which it happened.
      const done: Array<string> = []
      const undone: Array<string> = []
      /** Those whose run is inside of another, unless that run completed. */
      const inside = new Set<string>()
      let running = 0
      let most = 0
      const stageOf = (name: string, { end, ms, undo }: typeof Step.Type) =>
        Stage.work(name, {
          run: Effect.gen(function*() {
            yield* Effect.sleep(ms)
            if (end === "fail") return yield* new Broken()
            if (end === "cancel") return yield* StageOutput.cancel("Enough")
            if (end === "skip") return yield* StageOutput.skip("Nothing")
            done.push(name)
            return { name }
          })
        }).pipe(Saga.compensate(({ name }) =>
          Effect.gen(function*() {
            running++
            most = Math.max(most, running)
            undone.push(name)
            yield* Effect.sleep(1)
            if (undo === "fail") return yield* new Broken()
            if (undo === "die") return yield* Effect.die("undo")
            if (undo === "never") return yield* Effect.never
          }).pipe(Effect.ensuring(Effect.sync(() => running--)))
        ))
      const specs = plan.steps.map((step, index) => {
        const name = `stage ${index}`
        const after = Array.from(new Set(step.after.filter((other) => other < index))).map((other) => `stage ${other}`)
        if (step.inside === "no") return { stage: stageOf(name, step), after }
        const inner = `${name} inside`
        inside.add(inner)
        const second = Stage.work("second", {
          run: Effect.andThen(Effect.sleep(1), step.inside === "completes" ? Effect.void : Effect.fail(new Broken()))
        })
        const child = Pipeline.make("child").add(stageOf(inner, step)).add(second, { after: [inner as never] })
        const stage = Subpipeline.stage(name, child, {
          output: () => {
            inside.delete(inner)
            return {}
          }
        })
        return {
          stage: step.inside === "fails and is caught" ? stage.pipe(Stage.catch(() => Effect.void)) : stage,
          after
        }
      })
      const pipeline = (yield* Pipeline.fromSpecs("random", specs)).pipe(
        Pipeline.intercept(Saga.interceptor({ limit: 3, onUncompensated: () => Effect.void }))
      )
      const events: Array<Event.Event> = []
      const sink = Layer.succeed(EventSink.EventSink, { offer: (event) => void events.push(event) })
      const { concurrency, failure } = plan
      const run = Effect.gen(function*() {
        const scope = yield* Scope.make()
        const handle = yield* Scope.provide(Pipeline.start(pipeline, start, { concurrency, failure }), scope)
        const ending = yield* Effect.forkChild(Effect.exit(handle.await))
        yield* TestClock.adjust(plan.at)
        const stopping = yield* Effect.forkChild(
          plan.outside === "cancel" ?
            handle.cancel("outside")
            : plan.outside === "close" ?
            Scope.close(scope, Exit.void)
            : Effect.void,
          { startImmediately: true }
        )
        yield* TestClock.adjust("1 minute")
        yield* Fiber.join(stopping)
        return yield* Fiber.join(ending)
      })
      const plain = Effect.gen(function*() {
        const running = yield* Effect.forkChild(Pipeline.run(pipeline, start, { concurrency, failure }))
        yield* TestClock.adjust(plan.at)
        const stopping = yield* Effect.forkChild(Fiber.interrupt(running), { startImmediately: true })
        yield* TestClock.adjust("1 minute")
        yield* Fiber.join(stopping)
        return yield* Fiber.await(running)
      })
      const program = plan.outside === "interrupt" ? plain : run
      const exit = yield* plan.isHeard ? Effect.provide(program, sink) : program
      const isCompleted = exit._tag === "Success" && exit.value._tag === "Completed"
      assert.strictEqual(new Set(undone).size, undone.length, "once each")
      // A run inside that did not complete is taken back by itself, when it ends.
      assert.sameMembers(undone.filter((name) => inside.has(name)), done.filter((name) => inside.has(name)))
      assert.deepStrictEqual(
        undone.filter((name) => !inside.has(name)),
        isCompleted ? [] : done.filter((name) => !inside.has(name)).toReversed()
      )
      assert.strictEqual(running, 0)
      if (inside.size === 0) assert.isAtMost(most, 1, "one at a time")
      if (!plan.isHeard) return
      for (const runId of new Set(events.map((event) => event.runId))) {
        const own = events.filter((event) => event.runId === runId)
        assert.deepStrictEqual(own.map(({ sequence }) => sequence), own.map((_, index) => index + 1))
        assert.isTrue(Event.isRunEnd(own.at(-1) as Event.Event))
        assert.strictEqual(own.filter(Event.isRunEnd).length, 1)
      }
      const told = (type: string) => events.filter((event) => event._tag === type).length
      assert.strictEqual(told("CompensationStarted"), undone.length)
      assert.strictEqual(told("CompensationCompleted") + told("CompensationFailed"), undone.length)
    }), { arbitrary: { runs: 300, size: 40, maxShrinks: 500 } })
})
