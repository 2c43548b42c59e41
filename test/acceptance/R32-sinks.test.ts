import { assert, describe, it } from "@effect/vitest"
import {
  Console,
  Context,
  Deferred,
  type Duration,
  Effect,
  Exit,
  Fiber,
  Layer,
  Logger,
  Schema,
  Scope,
  Stream
} from "effect"
import { TestClock } from "effect/testing"
import { Event, EventSink, Pipeline, Snapshot, Stage, StageContext, StageError, StageOutput } from "stageflow"
import { Broken, during, FiberCount, Witness } from "./support/lifecycle.ts"

const broken = new Broken({ by: "broken" })

/** A run with events of every kind of outcome: 2 + 2 stages each with a start and an end. */
const pipeline = Pipeline.make("pipeline")
  .add(Stage.transform("first", { run: Effect.as(StageContext.emit("note", { n: 1 }), { n: 1 }) }))
  .add(Stage.work("slow", { run: Effect.sleep("1 second") }), { after: ["first"] })
const failing = pipeline.add(Stage.work("broken", { run: Effect.fail(broken) }), { after: ["slow"] })
const cancelling = pipeline.add(Stage.guard("guard", { run: Effect.succeed(StageOutput.cancel("enough")) }))

/** How the three runs end, as something to compare. */
const outcomes = Effect.gen(function*() {
  const exits = yield* during(
    Effect.all([
      Effect.exit(Pipeline.run(pipeline, Snapshot.make({ pipelineRunId: "1", requestId: "1", interactionId: "1" }))),
      Effect.exit(Pipeline.run(failing, Snapshot.make({ pipelineRunId: "2", requestId: "2", interactionId: "2" }))),
      Effect.exit(Pipeline.run(cancelling, Snapshot.make({ pipelineRunId: "3", requestId: "3", interactionId: "3" })))
    ], { concurrency: "unbounded" }),
    "1 second"
  )
  return exits.map((exit) => JSON.stringify(exit))
})

const provided = (offer: (event: Event.Event) => void) => Effect.provideService(EventSink.EventSink, { offer })

/** Closes what was opened in it, and gives what it logged. */
const logged = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.suspend(() => {
    const lines: Array<string> = []
    const logger = Logger.make(({ logLevel, message }) => {
      lines.push(`${logLevel}: ${String(message)}`)
    })
    return effect.pipe(Effect.map((value) => ({ value, lines })), Effect.provide(Logger.layer([logger])))
  })

const event = (sequence: number): Event.Event => ({
  _tag: "RunStarted",
  runId: "run",
  correlationId: "run",
  pipeline: "pipeline",
  sequence,
  at: 0,
  stages: 1
})

describe("R32 a sink never changes an outcome", () => {
  const sinks: ReadonlyArray<{ readonly what: string; readonly offer: (event: Event.Event) => void }> = [
    {
      what: "throws",
      offer: () => {
        throw new Error("sink")
      }
    },
    {
      what: "throws nothing at all",
      offer: () => {
        // Whatever is thrown, there is nothing to look at.
        throw undefined
      }
    },
    { what: "gives a promise that rejects", offer: () => Promise.reject(new Error("sink")) },
    {
      what: "writes into its events",
      offer: (event) => {
        for (const key of Object.keys(event)) Reflect.set(event, key, "changed")
        if (event._tag === "StageEmitted") Reflect.set(event.data as object, "n", "changed")
      }
    },
    {
      what: "takes an event for something else",
      offer: (event) => (event as unknown as { readonly go: () => void }).go()
    }
  ]
  for (const { offer, what } of sinks) {
    it.effect(`one that ${what}`, () =>
      Effect.gen(function*() {
        const alone = yield* outcomes
        const heard = yield* outcomes.pipe(provided(offer))
        assert.deepStrictEqual(heard, alone)
        // Rejections are reported between two turns of the event loop.
        yield* Effect.promise(() => new Promise((resolve) => setImmediate(resolve)))
      }))

    it.effect(`one that ${what} changes nothing for others who listen`, () =>
      Effect.gen(function*() {
        const snapshot = Snapshot.make({ pipelineRunId: "1" })
        const listen = Effect.scoped(Effect.gen(function*() {
          const handle = yield* Pipeline.start(pipeline, snapshot)
          return yield* during(Stream.runCollect(handle.events), "1 second")
        }))
        const alone = yield* listen
        const before = yield* TestClock.testClockWith((clock) => Effect.sync(() => clock.currentTimeMillisUnsafe()))
        const heard = yield* listen.pipe(provided(offer))
        assert.deepStrictEqual(heard.map((event) => ({ ...event, at: event.at - before })), alone)
      }))
  }

  const delivering: ReadonlyArray<{
    readonly what: string
    readonly deliver: (event: Event.Event) => Effect.Effect<void, Broken>
  }> = [
    { what: "fails", deliver: () => Effect.fail(broken) },
    { what: "dies", deliver: () => Effect.die("sink") },
    {
      what: "throws",
      deliver: () => {
        throw new Error("sink")
      }
    },
    { what: "interrupts itself", deliver: () => Effect.interrupt },
    { what: "hangs", deliver: () => Effect.never },
    { what: "hangs and cannot be interrupted", deliver: () => Effect.uninterruptible(Effect.never) },
    { what: "is slow", deliver: () => Effect.sleep("1 minute") }
  ]
  for (const { deliver, what } of delivering) {
    it.effect(`one whose delivery ${what}, and it slows nothing`, () =>
      Effect.gen(function*() {
        const alone = yield* outcomes
        for (const capacity of [1, 1024]) {
          const scope = yield* Scope.make()
          const sink = yield* Layer.buildWithScope(EventSink.layer(deliver, { capacity, closeTimeout: 0 }), scope)
          // The test clock has moved by the one second that the runs take, or they would not have ended.
          const heard = yield* outcomes.pipe(Effect.provideContext(sink))
          assert.deepStrictEqual(heard, alone)
          yield* Scope.close(scope, Exit.void)
        }
      }))
  }

  it.effect("a sink that closes while a run goes on is no loss to the run", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const sink = yield* Scope.provide(EventSink.make(() => Effect.void), scope)
      const run = yield* Effect.forkChild(Pipeline.run(pipeline, Snapshot.make()).pipe(provided(sink.offer)))
      yield* TestClock.adjust("500 millis")
      yield* Scope.close(scope, Exit.void)
      yield* TestClock.adjust("500 millis")
      assert.strictEqual((yield* Fiber.join(run))._tag, "Completed")
      assert.deepStrictEqual(yield* sink.delivery, { accepted: 5, delivered: 5, failed: 0, dropped: 2 })
    }))

  it.effect("nor is one who reads the events of a run slowly, or not at all", () =>
    Effect.gen(function*() {
      const handle = yield* Pipeline.start(pipeline, Snapshot.make())
      const slow = yield* Effect.forkChild(Stream.runForEach(handle.events, () => Effect.sleep("1 hour")))
      const stuck = yield* Effect.forkChild(Stream.runForEach(handle.events, () => Effect.never))
      const result = yield* during(handle.await, "1 second")
      assert.strictEqual(result.durationMs, 1000)
      yield* TestClock.adjust("7 hours")
      assert.isDefined(slow.pollUnsafe())
      yield* Fiber.interrupt(stuck)
    }))
})

describe("R32 drops are counted and reported", () => {
  it.effect("a full buffer drops the newest and counts them", () =>
    Effect.gen(function*() {
      const got: Array<number> = []
      const gate = yield* Deferred.make<void>()
      const { lines, value } = yield* logged(Effect.scoped(Effect.gen(function*() {
        const sink = yield* EventSink.make(
          ({ sequence }) => Effect.andThen(Deferred.await(gate), Effect.sync(() => got.push(sequence))),
          { capacity: 3 }
        )
        for (let sequence = 1; sequence <= 10; sequence++) sink.offer(event(sequence))
        assert.deepStrictEqual(yield* sink.delivery, { accepted: 3, delivered: 0, failed: 0, dropped: 7 })
        yield* Deferred.succeed(gate, undefined)
        return sink
      })))
      assert.deepStrictEqual(got, [1, 2, 3])
      assert.deepStrictEqual(yield* value.delivery, { accepted: 3, delivered: 3, failed: 0, dropped: 7 })
      assert.strictEqual(lines.length, 1)
      assert.include(lines[0], "7")
      assert.include(lines[0], "dropped")
    }))

  it.effect("room that becomes free is used again", () =>
    Effect.gen(function*() {
      const got: Array<number> = []
      yield* Effect.scoped(Effect.gen(function*() {
        const sink = yield* EventSink.make(
          ({ sequence }) => Effect.andThen(Effect.sleep("1 second"), Effect.sync(() => got.push(sequence))),
          { capacity: 2 }
        )
        yield* TestClock.adjust("1 second")
        sink.offer(event(1))
        sink.offer(event(2))
        sink.offer(event(3))
        yield* TestClock.adjust("2 seconds")
        sink.offer(event(4))
        yield* TestClock.adjust("1 second")
        assert.deepStrictEqual(yield* sink.delivery, { accepted: 3, delivered: 3, failed: 0, dropped: 1 })
      }))
      assert.deepStrictEqual(got, [1, 2, 4])
    }))

  it.effect("a failed delivery is counted, reported, and stops no other", () =>
    Effect.gen(function*() {
      const got: Array<number> = []
      const { lines, value } = yield* logged(Effect.scoped(Effect.gen(function*() {
        const sink = yield* EventSink.make(({ sequence }) => {
          if (sequence === 1) return Effect.fail(broken)
          if (sequence === 2) return Effect.die("sink")
          if (sequence === 3) throw new Error("sink")
          return sequence === 4 ? Effect.interrupt : Effect.sync(() => got.push(sequence))
        })
        for (let sequence = 1; sequence <= 6; sequence++) sink.offer(event(sequence))
        return sink
      })))
      assert.deepStrictEqual(got, [5, 6])
      assert.deepStrictEqual(yield* value.delivery, { accepted: 6, delivered: 2, failed: 4, dropped: 0 })
      assert.strictEqual(lines.length, 1)
      assert.include(lines[0], "4 not delivered")
    }))

  it.effect("what a hanging delivery held up is reported as not delivered", () =>
    Effect.gen(function*() {
      const { lines } = yield* logged(during(
        Effect.scoped(Effect.gen(function*() {
          const sink = yield* EventSink.make(() => Effect.never, { closeTimeout: "1 second" })
          for (let sequence = 1; sequence <= 3; sequence++) sink.offer(event(sequence))
        })),
        "1 second"
      ))
      assert.strictEqual(lines.length, 1)
      assert.include(lines[0], "3 not delivered")
    }))

  it.effect("where nothing was lost nothing is reported", () =>
    Effect.gen(function*() {
      const { lines } = yield* logged(Effect.scoped(Effect.gen(function*() {
        const sink = yield* EventSink.make(() => Effect.void)
        for (let sequence = 1; sequence <= 3; sequence++) sink.offer(event(sequence))
      })))
      assert.deepStrictEqual(lines, [])
    }))

  it.effect("what comes after closing is dropped and counted", () =>
    Effect.gen(function*() {
      const sink = yield* Effect.scoped(EventSink.make(() => Effect.void))
      sink.offer(event(1))
      assert.deepStrictEqual(yield* sink.delivery, { accepted: 0, delivered: 0, failed: 0, dropped: 1 })
    }))
})

describe("R32 closing a sink delivers everything accepted", () => {
  it.effect("in order, the slow ones too, and closing waits for it", () =>
    Effect.gen(function*() {
      const got: Array<number> = []
      const scope = yield* Scope.make()
      const fibers = new FiberCount()
      yield* fibers.count(Effect.gen(function*() {
        const sink = yield* Scope.provide(
          EventSink.make(({ sequence }) =>
            Effect.andThen(Effect.sleep("1 second"), Effect.sync(() => got.push(sequence)))
          ),
          scope
        )
        for (let sequence = 1; sequence <= 5; sequence++) sink.offer(event(sequence))
        const closing = yield* Effect.forkChild(Scope.close(scope, Exit.void), { startImmediately: true })
        yield* TestClock.adjust("4 seconds")
        assert.isUndefined(closing.pollUnsafe())
        yield* TestClock.adjust("1 second")
        yield* Fiber.join(closing)
        assert.deepStrictEqual(yield* sink.delivery, { accepted: 5, delivered: 5, failed: 0, dropped: 0 })
      }))
      assert.deepStrictEqual(got, [1, 2, 3, 4, 5])
      assert.strictEqual(fibers.running, 0)
    }))

  it.effect("all events of a run, by the end of the Layer", () =>
    Effect.gen(function*() {
      const got: Array<Event.Event> = []
      const run = Pipeline.run(pipeline, Snapshot.make()).pipe(
        Effect.provide(
          EventSink.layer((event) => Effect.andThen(Effect.sleep("500 millis"), Effect.sync(() => got.push(event))))
        )
      )
      yield* during(run, "10 seconds")
      assert.deepStrictEqual(got.map(({ sequence }) => sequence), [1, 2, 3, 4, 5, 6, 7])
      assert.strictEqual(got.at(-1)?._tag, "RunCompleted")
    }))

  const limits: ReadonlyArray<{ readonly given: Duration.Input | undefined; readonly limit: number }> = [
    { given: "3 seconds", limit: 3000 },
    { given: undefined, limit: 10_000 }
  ]
  const hanging = [
    { how: "can be interrupted", deliver: () => Effect.never },
    { how: "cannot be interrupted", deliver: () => Effect.uninterruptible(Effect.never) }
  ]
  for (const { given, limit } of limits) {
    for (const { deliver, how } of hanging) {
      it.effect(`a delivery that hangs and ${how} holds closing up for ${limit} ms at most`, () =>
        Effect.gen(function*() {
          const scope = yield* Scope.make()
          const sink = yield* Scope.provide(EventSink.make(deliver, { closeTimeout: given }), scope)
          sink.offer(event(1))
          const closing = yield* Effect.forkChild(Scope.close(scope, Exit.void), { startImmediately: true })
          yield* TestClock.adjust(limit - 1)
          assert.isUndefined(closing.pollUnsafe())
          yield* TestClock.adjust(1)
          assert.isDefined(closing.pollUnsafe())
        }))
    }
  }

  it.effect("and is then interrupted: nothing of the sink is left", () =>
    Effect.gen(function*() {
      const delivery = new Witness()
      const fibers = new FiberCount()
      yield* fibers.count(during(
        Effect.scoped(Effect.gen(function*() {
          const sink = yield* EventSink.make(() => delivery.watch(Effect.never), { closeTimeout: "3 seconds" })
          sink.offer(event(1))
          sink.offer(event(2))
        })),
        "3 seconds"
      ))
      yield* TestClock.adjust("1 hour")
      assert.deepStrictEqual(delivery.counts, [1, 0, 0, 1])
      assert.strictEqual(fibers.running, 0)
    }))
})

describe("R32 the sinks that come with the library", () => {
  it.effect("memory keeps every event in order and forgets them when asked", () =>
    Effect.gen(function*() {
      const memory = yield* EventSink.Memory
      yield* during(Pipeline.run(pipeline, Snapshot.make()), "1 second")
      const events = yield* memory.events
      assert.deepStrictEqual(events.map(({ _tag }) => _tag), [
        "RunStarted",
        "StageStarted",
        "StageEmitted",
        "StageCompleted",
        "StageStarted",
        "StageCompleted",
        "RunCompleted"
      ])
      yield* memory.clear
      assert.deepStrictEqual(yield* memory.events, [])
      // What was read before stays.
      assert.strictEqual(events.length, 7)
    }).pipe(Effect.provide(EventSink.layerMemory)))

  it.effect("two memories know nothing of each other", () =>
    Effect.gen(function*() {
      const count = Effect.gen(function*() {
        yield* during(Pipeline.run(pipeline, Snapshot.make()), "1 second")
        return (yield* (yield* EventSink.Memory).events).length
      })
      const one = yield* count.pipe(Effect.provide(Layer.fresh(EventSink.layerMemory)))
      const two = yield* count.pipe(Effect.provide(Layer.fresh(EventSink.layerMemory)))
      assert.deepStrictEqual([one, two], [7, 7])
    }))

  const printing = (log: (...lines: ReadonlyArray<unknown>) => void) =>
    Effect.provideService(Console.Console, { ...globalThis.console, log })

  it.effect("console prints a line for every event by the time it is closed", () =>
    Effect.gen(function*() {
      const lines: Array<string> = []
      yield* during(
        Pipeline.run(failing, Snapshot.make({ pipelineRunId: "run" })).pipe(
          Effect.exit,
          Effect.provide(EventSink.layerConsole),
          printing((line) => lines.push(String(line)))
        ),
        "1 second"
      )
      assert.strictEqual(lines.length, 9)
      for (const line of lines) assert.isTrue(line.startsWith("run #"), line)
      assert.include(lines[0], "RunStarted")
      assert.include(lines[7], "StageFailed broken: Broken")
      assert.include(lines[8], "RunFailed")
    }))

  it.effect("prints the time since the start of each run", () =>
    Effect.gen(function*() {
      const lines: Array<string> = []
      const named = (runId: string) => Pipeline.run(pipeline, Snapshot.make({ pipelineRunId: runId }))
      const later = Effect.delay(named("later"), "300 millis")
      yield* during(
        Effect.all([named("run"), later], { concurrency: "unbounded" }).pipe(
          Effect.provide(EventSink.layerConsole),
          printing((line) => lines.push(String(line)))
        ),
        "2 seconds"
      )
      const of = (runId: string) => lines.filter((line) => line.startsWith(`${runId} `))
      for (const runId of ["run", "later"]) {
        assert.deepStrictEqual(of(runId).slice(-3), [
          `${runId} #5 +0ms StageStarted slow`,
          `${runId} #6 +1000ms StageCompleted slow`,
          `${runId} #7 +1000ms RunCompleted`
        ])
      }
    }))

  it.effect("a console that throws changes nothing", () =>
    Effect.gen(function*() {
      const alone = yield* outcomes
      const { value } = yield* logged(outcomes.pipe(
        Effect.provide(EventSink.layerConsole),
        printing(() => {
          throw new Error("console")
        })
      ))
      assert.deepStrictEqual(value, alone)
    }))

  it.effect("a sink of one's own is a service like any other", () =>
    Effect.gen(function*() {
      const own = Context.make(EventSink.EventSink, { offer: () => {} })
      const result = yield* during(Pipeline.run(pipeline, Snapshot.make()), "1 second").pipe(Effect.provideContext(own))
      assert.strictEqual(result._tag, "Completed")
    }))

  for (const capacity of [0, -1, 1.5, Number.NaN, Number.POSITIVE_INFINITY, "10" as unknown as number]) {
    it(`a capacity of ${capacity} (${typeof capacity}) is rejected where it is given`, () => {
      assert.throws(() => EventSink.make(() => Effect.void, { capacity }), StageError.InvalidOption)
      assert.throws(() => EventSink.layer(() => Effect.void, { capacity }), StageError.InvalidOption)
    })
  }
  for (const closeTimeout of [-1, Number.NaN, "soon" as Duration.Input, "100" as Duration.Input]) {
    it(`a closeTimeout of ${String(closeTimeout)} is rejected where it is given`, () => {
      assert.throws(() => EventSink.make(() => Effect.void, { closeTimeout }), StageError.InvalidOption)
      assert.throws(() => EventSink.layer(() => Effect.void, { closeTimeout }), StageError.InvalidOption)
    })
  }

  it("every event that a sink gets is plain data", () => {
    const json: unknown = JSON.parse(JSON.stringify(event(1)))
    assert.deepStrictEqual(Schema.decodeUnknownSync(Event.Event)(json), event(1))
  })
})
