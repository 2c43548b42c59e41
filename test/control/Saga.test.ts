import { assert, describe, it } from "@effect/vitest"
import { Cause, Context, Effect, Fiber, Layer, Logger, Schedule, Schema, Stream } from "effect"
import { TestClock } from "effect/testing"
import { Event, Interceptor, Pipeline, RunResult, Snapshot, Stage, StageError, StageOutput } from "stageflow"
import { Saga, Subpipeline } from "stageflow/control"
import { Simulation } from "stageflow/testing"
import { announced } from "../support/announced.ts"
import { Ledger, paths, saga } from "./support/ledger.ts"

class Broken extends Schema.TaggedError<Broken>()("Broken", { what: Schema.String }) {
  override get message(): string {
    return `${this.what} is broken`
  }
}

const broken = Stage.work("broken", { run: Effect.fail(new Broken({ what: "It" })) })

const failureOf = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.flip(effect)

describe("Saga", () => {
  it.effect("takes back what has completed, the last first, when a stage fails", () =>
    Effect.gen(function*() {
      const ledger = new Ledger()
      const pipeline = Pipeline.make("order")
        .add(ledger.step("one"))
        .add(ledger.step("two"), { after: ["one"] })
        .add(Stage.work("plain", { run: Effect.void }), { after: ["two"] })
        .add(broken, { after: ["plain"] })
        .add(ledger.step("never"), { after: ["broken"] })
        .pipe(saga)
      const failed = yield* failureOf(Pipeline.run(pipeline, Snapshot.make()))
      assert.deepStrictEqual(ledger.lines, ["one", "two", "undo two", "undo one"])
      assert.instanceOf(failed.error, Broken)
      const { compensation, lineage: { runId } } = failed
      assert.deepStrictEqual(compensation, {
        compensated: [
          { stage: "two", path: ["two"], runId, durationMs: 0 },
          { stage: "one", path: ["one"], runId, durationMs: 0 }
        ],
        failed: [],
        notReached: []
      })
    }))

  it.effect("takes nothing back of a run that completes, and nothing without a saga", () =>
    Effect.gen(function*() {
      const ledger = new Ledger()
      const steps = Pipeline.make("order").add(ledger.step("one")).add(ledger.step("two"), { after: ["one"] })
      const completed = yield* Pipeline.run(steps.pipe(saga), Snapshot.make())
      assert.strictEqual(completed._tag, "Completed")
      const failed = yield* failureOf(Pipeline.run(steps.add(broken, { after: ["two"] }), Snapshot.make()))
      assert.notProperty(failed, "compensation")
      assert.deepStrictEqual(ledger.undoLines, [])
    }))

  it.effect("tells a compensation how the run ended, and gives it the data of its stage", () =>
    Effect.gen(function*() {
      const seen: Array<readonly [object, Saga.RunEnding]> = []
      const first = Stage.work("first", { run: Effect.succeed({ list: [1, 2] }) }).pipe(
        Saga.compensate((data, ending) => Effect.sync(() => seen.push([data, ending])))
      )
      const over = (second: Effect.Effect<object | void, Broken, StageOutput.InStage<"cancel">>) =>
        Pipeline.make("order").add(first).add(Stage.work("second", { run: second }), { after: ["first"] }).pipe(saga)
      yield* Effect.exit(Pipeline.run(over(Effect.fail(new Broken({ what: "It" }))), Snapshot.make()))
      yield* Pipeline.run(over(StageOutput.cancel("Enough", { data: { n: 1 } })), Snapshot.make())
      const incomplete = yield* Pipeline.run(over(Effect.fail(new Broken({ what: "It" }))), Snapshot.make(), {
        failure: "continue"
      })
      const run = yield* Effect.forkChild(Pipeline.run(over(Effect.never), Snapshot.make()))
      yield* TestClock.adjust("1 second")
      yield* Fiber.interrupt(run)
      const handle = yield* Pipeline.start(over(Effect.never), Snapshot.make())
      yield* TestClock.adjust("1 second")
      yield* handle.cancel("No more", { data: { n: 2 } })
      assert.deepStrictEqual(seen.map(([, { _tag }]) => _tag), [
        "Failed",
        "Cancelled",
        "Incomplete",
        "Interrupted",
        "Cancelled"
      ])
      const [failed, cancelled, , , byHandle] = seen.map(([, ending]) => ending)
      assert(failed?._tag === "Failed" && failed.error instanceof Broken && failed.stage === "second")
      assert(cancelled?._tag === "Cancelled" && byHandle?._tag === "Cancelled")
      assert.deepStrictEqual([cancelled.by, cancelled.reason, cancelled.data], ["second", "Enough", { n: 1 }])
      assert.deepStrictEqual([byHandle.by, byHandle.reason, byHandle.data], [undefined, "No more", { n: 2 }])
      for (const [data] of seen) {
        assert.deepStrictEqual(data, { list: [1, 2] })
        assert.isTrue(Object.isFrozen((data as { readonly list: object }).list))
      }
      assert.strictEqual(incomplete._tag, "Incomplete")
      const result = yield* handle.await
      assert.deepStrictEqual(result._tag === "Cancelled" ? paths(result.compensation?.compensated) : [], ["first"])
      assert.deepStrictEqual(incomplete._tag === "Incomplete" ? paths(incomplete.compensation?.compensated) : [], [
        "first"
      ])
    }).pipe(Effect.scoped))

  it.effect("gives a compensation the ports of its stage, wherever they come from", () =>
    Effect.gen(function*() {
      class Bank
        extends Context.Service<Bank, { readonly refund: (id: string) => Effect.Effect<void> }>()("test/Bank")
      {}
      const refunded: Array<string> = []
      const bank = (name: string) => ({
        refund: (id: string) => Effect.sync(() => void refunded.push(`${name} ${id}`))
      })
      const charge = Stage.work("charge", { run: Effect.succeed({ id: "p-1" }) }).pipe(
        Saga.compensate(({ id }) => Effect.flatMap(Bank, ({ refund }) => refund(id)))
      )
      const order = Pipeline.make("order").add(charge).add(broken, { after: ["charge"] }).pipe(saga)
      yield* Effect.exit(Effect.provideService(Pipeline.run(order, Snapshot.make()), Bank, bank("outer")))
      const own = Pipeline.make("order").add(charge.pipe(Stage.provide(Layer.succeed(Bank, bank("own")))))
        .add(broken, { after: ["charge"] }).pipe(saga)
      yield* Effect.exit(Pipeline.run(own, Snapshot.make()))
      const giving = Interceptor.make({
        name: "giving",
        provides: [Bank],
        around: (effect) => Effect.provideService(effect, Bank, bank("given"))
      })
      yield* Effect.exit(Pipeline.run(order.pipe(Pipeline.intercept(giving)), Snapshot.make()))
      assert.deepStrictEqual(refunded, ["outer p-1", "own p-1", "given p-1"])
    }))

  it.effect("goes on when a compensation fails, dies, takes too long or ignores its interruption", () =>
    Effect.gen(function*() {
      const ledger = new Ledger()
      const undone = (name: string, compensation: Effect.Effect<unknown, Broken>) =>
        Stage.work(name, { run: Effect.succeed({ name }) }).pipe(Saga.compensate(() => compensation))
      const heard: Array<Saga.Uncompensated> = []
      const specs = [
        { stage: ledger.step("first") },
        { stage: undone("fails", Effect.fail(new Broken({ what: "Refund" }))), after: ["first"] },
        { stage: undone("dies", Effect.die(new TypeError("secret 123"))), after: ["fails"] },
        { stage: undone("slow", Effect.never), after: ["dies"] },
        { stage: undone("deaf", Effect.uninterruptible(Effect.never)), after: ["slow"] },
        { stage: undone("interrupts", Effect.interrupt), after: ["deaf"] },
        { stage: ledger.step("last"), after: ["interrupts"] },
        { stage: broken, after: ["last"] }
      ]
      const pipeline = (yield* Pipeline.fromSpecs("order", specs)).pipe(Pipeline.intercept(Saga.interceptor({
        limit: "5 seconds",
        onUncompensated: (uncompensated) => Effect.sync(() => void heard.push(uncompensated))
      })))
      const running = yield* Effect.forkChild(failureOf(Pipeline.run(pipeline, Snapshot.make(), {
        interruptionGrace: "2 seconds"
      })))
      yield* TestClock.adjust("1 minute")
      const failed = yield* Fiber.join(running)
      assert(failed instanceof RunResult.StageFailed)
      assert.deepStrictEqual(ledger.undoLines, ["undo last", "undo first"])
      assert.deepStrictEqual(paths(failed.compensation?.compensated), ["last", "first"])
      assert.deepStrictEqual(
        failed.compensation?.failed.map(({ durationMs, error, reason, stage }) => [
          stage,
          reason,
          error.tag,
          durationMs
        ]),
        [
          ["interrupts", "died", "CompensationFault", 0],
          ["deaf", "abandoned", "CompensationFault", 7000],
          ["slow", "timed-out", "CompensationFault", 5000],
          ["dies", "died", "CompensationFault", 0],
          ["fails", "failed", "Broken", 0]
        ]
      )
      assert.notInclude(JSON.stringify(failed.compensation), "secret")
      assert.include(failed.compensation?.failed[2]?.error.message, "took longer than 5s")
      assert.deepStrictEqual(heard.map(({ data, pipeline, reason, stage }) => [stage, reason, data, pipeline]), [
        ["interrupts", "died", { name: "interrupts" }, "order"],
        ["deaf", "abandoned", { name: "deaf" }, "order"],
        ["slow", "timed-out", { name: "slow" }, "order"],
        ["dies", "died", { name: "dies" }, "order"],
        ["fails", "failed", { name: "fails" }, "order"]
      ])
      assert.instanceOf(heard.at(-1)?.error, Broken)
      assert.include(Cause.pretty(heard.at(-2)?.cause ?? Cause.empty), "secret")
    }))

  it.effect("does not reach what its deadline leaves no time for", () =>
    Effect.gen(function*() {
      const ledger = new Ledger()
      const slow = Stage.work("slow", { run: Effect.succeed({ n: 1 }) }).pipe(Saga.compensate(() => Effect.never))
      const heard: Array<readonly [string, string]> = []
      const order = Pipeline.make("order").add(ledger.step("one")).add(slow, { after: ["one"] })
        .add(ledger.step("three"), { after: ["slow"] }).add(broken, { after: ["three"] })
        .pipe(Pipeline.intercept(Saga.interceptor({
          deadline: "3 seconds",
          onUncompensated: ({ reason, stage }) => Effect.sync(() => void heard.push([stage, reason]))
        })))
      const running = yield* Effect.forkChild(failureOf(Pipeline.run(order, Snapshot.make())))
      yield* TestClock.adjust("3 seconds")
      const { compensation } = yield* Fiber.join(running)
      assert.deepStrictEqual(ledger.undoLines, ["undo three"])
      assert.deepStrictEqual([
        paths(compensation?.compensated),
        paths(compensation?.failed),
        paths(compensation?.notReached)
      ], [["three"], ["slow"], ["one"]])
      assert.deepStrictEqual(heard, [["slow", "timed-out"], ["one", "not-reached"]])
    }))

  it.effect("waits for what hears of what is not taken back as long as for a compensation, and not for ever", () =>
    Effect.gen(function*() {
      const undone = Stage.work("undone", { run: Effect.succeed({ n: 1 }) }).pipe(
        Saga.compensate(() => Effect.fail("no"))
      )
      for (const hearing of [Effect.never, Effect.die("bad"), Effect.uninterruptible(Effect.never)]) {
        const order = Pipeline.make("order").add(undone).add(broken, { after: ["undone"] })
          .pipe(Pipeline.intercept(Saga.interceptor({ limit: "1 second", onUncompensated: () => hearing })))
        const running = yield* Effect.forkChild(
          failureOf(Pipeline.run(order, Snapshot.make(), { interruptionGrace: "1 second" }))
        )
        yield* TestClock.adjust("3 seconds")
        assert.deepStrictEqual(paths((yield* Fiber.join(running)).compensation?.failed), ["undone"])
      }
    }))

  it.effect("takes back independent stages at once when asked to, and never a stage before what depends on it", () =>
    Effect.gen(function*() {
      const log: Array<string> = []
      const slowly = <const Name extends string>(name: Name, compensationMs: number) =>
        Stage.work(name, { run: Effect.succeed({ name }) }).pipe(Saga.compensate(() =>
          Effect.gen(function*() {
            log.push(`${name} begins`)
            yield* Effect.sleep(compensationMs)
            log.push(`${name} ends`)
          })
        ))
      const diamond = Pipeline.make("diamond")
        .add(slowly("top", 10))
        .add(slowly("left", 20), { after: ["top"] })
        .add(slowly("right", 10), { after: ["top"] })
        .add(broken, { after: ["left", "right"] })
      const run = Effect.fnUntraced(function*(concurrency: number | "unbounded") {
        log.length = 0
        const running = yield* Effect.forkChild(failureOf(Pipeline.run(
          diamond.pipe(Pipeline.intercept(Saga.interceptor({ concurrency }))),
          Snapshot.make()
        )))
        yield* TestClock.adjust("1 minute")
        yield* Fiber.join(running)
        return log.slice()
      })
      assert.deepStrictEqual(yield* run("unbounded"), [
        "right begins",
        "left begins",
        "right ends",
        "left ends",
        "top begins",
        "top ends"
      ])
      assert.deepStrictEqual(yield* run(1), [
        "right begins",
        "right ends",
        "left begins",
        "left ends",
        "top begins",
        "top ends"
      ])
    }))

  it.effect("counts what was done at its place: what is further out may fail, and a fallback's own work is taken back", () =>
    Effect.gen(function*() {
      const undone: Array<string> = []
      const taken = ({ by }: { readonly by: string }) => Effect.sync(() => void undone.push(by))
      const failing = Stage.work("charge", { run: Effect.fail(new Broken({ what: "Bank" })) })
      const working = Stage.work("charge", { run: Effect.succeed({ by: "bank" }) })
      const other = () => Effect.succeed({ by: "other" })
      const run = <D, S, E>(charge: Stage.Stage<"charge", unknown, D, S, E>) =>
        Effect.exit(Pipeline.run(
          Pipeline.make("order").add(charge as Stage.Stage<"charge", unknown, D, never, E>)
            .add(broken, { after: ["charge"] }).pipe(saga),
          Snapshot.make()
        ))
      // The data that a fallback gives is not that of the stage...
      yield* run(working.pipe(
        Stage.mapOutput(({ by }) => ({ by })),
        Saga.compensate(taken),
        Stage.catch(other)
      ))
      assert.deepStrictEqual(undone.splice(0), ["bank"])
      yield* run(failing.pipe(Stage.mapOutput(() => ({ by: "bank" })), Saga.compensate(taken), Stage.catch(other)))
      assert.deepStrictEqual(undone.splice(0), [])
      // ...unless the compensation was put around both.
      yield* run(failing.pipe(Stage.catch(other), Saga.compensate(taken)))
      assert.deepStrictEqual(undone.splice(0), ["other"])
      // What is further out fails the stage after it has done its work.
      const rejecting = Interceptor.make({
        name: "rejecting",
        around: (effect) => Effect.andThen(effect, Effect.fail(new Broken({ what: "Check" })))
      })
      yield* run(working.pipe(Saga.compensate(taken), Stage.intercept(rejecting)))
      assert.deepStrictEqual(undone.splice(0), ["bank"])
      yield* run(working.pipe(Stage.intercept(rejecting), Saga.compensate(taken)))
      assert.deepStrictEqual(undone.splice(0), [])
      // Each time it has been done is taken back.
      yield* run(working.pipe(Saga.compensate(taken), Stage.intercept(rejecting), Stage.retry(Schedule.recurs(1))))
      assert.deepStrictEqual(undone.splice(0), ["bank", "bank"])
    }))

  it.effect("reports a compensation that throws or gives no Effect, and goes on", () =>
    Effect.gen(function*() {
      const ledger = new Ledger()
      const throwing = Stage.work("throwing", { run: Effect.succeed({ n: 1 }) }).pipe(
        Saga.compensate((): Effect.Effect<void> => {
          throw new RangeError("secret 123")
        })
      )
      const promising = Stage.work("promising", { run: Effect.succeed({ n: 1 }) }).pipe(
        Saga.compensate(() => Promise.resolve() as unknown as Effect.Effect<void>)
      )
      const pipeline = Pipeline.make("order").add(ledger.step("one")).add(throwing, { after: ["one"] })
        .add(promising, { after: ["throwing"] }).add(broken, { after: ["promising"] })
        .pipe(Pipeline.intercept(Saga.interceptor({ onUncompensated: () => Effect.void })))
      const { compensation } = yield* failureOf(Pipeline.run(pipeline, Snapshot.make()))
      assert.deepStrictEqual(ledger.undoLines, ["undo one"])
      const [first, second] = compensation?.failed ?? []
      assert.include(first?.error.message, `The compensation of stage "promising" died of a defect: TypeError`)
      assert.include(second?.error.message, `The compensation of stage "throwing" died of a defect: RangeError`)
      assert.deepStrictEqual(compensation?.failed.map(({ error }) => error.code), [
        "COMPENSATION_FAULT",
        "COMPENSATION_FAULT"
      ])
      assert.notInclude(JSON.stringify(compensation), "secret")
    }))

  it.effect("logs what is not taken back, unless somebody hears of it", () =>
    Effect.gen(function*() {
      const lines: Array<string> = []
      const logger = Logger.make<unknown, void>(({ logLevel, message }) => {
        lines.push(`${logLevel} ${String(message)}`)
      })
      const undone = Stage.work("undone", { run: Effect.succeed({ secret: "123" }) }).pipe(
        Saga.compensate(() => Effect.fail(new Broken({ what: "The bank" })))
      )
      for (
        const options of [
          {},
          { onUncompensated: () => Effect.void },
          { onUncompensated: () => Effect.fail("no queue") }
        ]
      ) {
        const pipeline = Pipeline.make("order").add(undone).add(broken, { after: ["undone"] })
          .pipe(Pipeline.intercept(Saga.interceptor(options)))
        yield* Effect.provide(Effect.exit(Pipeline.run(pipeline, Snapshot.make())), Logger.layer([logger]))
        lines.push("")
      }
      const line = `Error What stage "undone" of pipeline "order" did is not taken back: The bank is broken`
      assert.deepStrictEqual(lines, [line, "", "", line, ""])
    }))

  it.effect("tells in its events what becomes of each", () =>
    Effect.gen(function*() {
      const undone = Stage.work("undone", { run: Effect.succeed({ n: 1 }) }).pipe(
        Saga.compensate(() => Effect.andThen(Effect.sleep("2 seconds"), Effect.fail(new Broken({ what: "Refund" }))))
      )
      const ledger = new Ledger()
      const pipeline = Pipeline.make("order").add(ledger.step("one")).add(undone, { after: ["one"] })
        .add(ledger.step("two"), { after: ["undone"] })
        .add(broken, { after: ["two"] })
        .pipe(Pipeline.intercept(Saga.interceptor({ deadline: "1 second", onUncompensated: () => Effect.void })))
      const reading = yield* Effect.forkChild(
        Effect.scoped(
          Effect.flatMap(Pipeline.start(pipeline, Snapshot.make()), ({ events }) => Stream.runCollect(events))
        )
      )
      yield* TestClock.adjust("1 second")
      const events = Array.from(yield* Fiber.join(reading))
      const runId = events[0]?.runId
      const about = (stage: string) => ({ path: [stage], stageRunId: runId })
      assert.deepStrictEqual(
        announced(events),
        [
          { _tag: "CompensationStarted", ...about("two") },
          { _tag: "CompensationCompleted", ...about("two"), durationMs: 0 },
          { _tag: "CompensationStarted", ...about("undone") },
          {
            _tag: "CompensationFailed",
            ...about("undone"),
            reason: "timed-out",
            error: {
              tag: "CompensationFault",
              code: "COMPENSATION_FAULT",
              message: `The compensation of stage "undone" took longer than 1s`
            },
            durationMs: 1000
          },
          { _tag: "CompensationNotReached", ...about("one") }
        ]
      )
      for (const event of events) {
        assert.deepStrictEqual(yield* Schema.encodeEffect(Event.Event)(event), event)
      }
    }))

  it.effect("works under the test kit: simulated, and alone as a stage", () =>
    Effect.gen(function*() {
      const ledger = new Ledger()
      const pipeline = Pipeline.make("order").add(ledger.step("one", Effect.sleep("1 hour")))
        .add(broken, { after: ["one"] }).pipe(saga)
      yield* Simulation.run(pipeline, Snapshot.make())
      assert.deepStrictEqual(ledger.lines, ["one", "undo one"])
    }))

  it("refuses options that make no sense, where they are given", () => {
    const refused = (make: () => unknown) => {
      assert.throws(make, StageError.InvalidOption)
    }
    for (const limit of [0, -1, Number.NaN, "5 secs", {}]) refused(() => Saga.interceptor({ limit: limit as never }))
    for (const deadline of [0, "soon"]) refused(() => Saga.interceptor({ deadline: deadline as never }))
    for (const concurrency of [0, 1.5, "all"]) {
      refused(() => Saga.interceptor({ concurrency: concurrency as never }))
    }
    refused(() => Saga.interceptor({ onUncompensated: "log" as never }))
    refused(() => Saga.interceptor({ limt: "5 seconds" } as never))
    refused(() => Saga.interceptor(null as never))
    refused(() =>
      Saga.interceptor({
        get limit(): never {
          throw new Error("getter")
        }
      })
    )
    refused(() => Saga.compensate(undefined as never)(Stage.work("one", { run: Effect.succeed({ n: 1 }) })))
    refused(() => Saga.compensate((() => Effect.void) as never)({} as never))
    refused(() => Stage.intercept(Stage.work("one", { run: Effect.void }), Saga.interceptor()))
  })

  it.effect("data that cannot be read fails its stage, and is what the compensation gets", () =>
    Effect.gen(function*() {
      let undone = 0
      const one = Stage.work("one", {
        run: Effect.succeed({
          get id(): string {
            throw new Error("getter")
          }
        })
      }).pipe(Saga.compensate(() => Effect.sync(() => void undone++)))
      const failed = yield* failureOf(Pipeline.run(Pipeline.make("order").add(one).pipe(saga), Snapshot.make()))
      assert(failed.error instanceof StageError.StageFault)
      assert.strictEqual(undone, 1)
    }))

  it.effect("is in what a failed run explains, and in what a log shows of it", () =>
    Effect.gen(function*() {
      const ledger = new Ledger()
      const undone = Stage.work("undone", { run: Effect.succeed({ n: 1 }) }).pipe(
        Saga.compensate(() => Effect.fail(new Broken({ what: "The bank" })))
      )
      const pipeline = Pipeline.make("order").add(ledger.step("one")).add(undone, { after: ["one"] })
        .add(broken, { after: ["undone"] })
        .pipe(Pipeline.intercept(Saga.interceptor({ onUncompensated: () => Effect.void })))
      const failed = yield* failureOf(Pipeline.run(pipeline, Snapshot.make()))
      const incomplete = yield* Pipeline.run(pipeline, Snapshot.make(), { failure: "continue" })
      assert(incomplete._tag === "Incomplete")
      for (const result of [failed, incomplete]) {
        const lines = RunResult.explain(result).split("\n").map((line) => line.trim())
        assert.include(lines, "compensated: one")
        assert.include(lines, "not compensated: undone: The bank is broken")
      }
      assert.deepStrictEqual(failed.toJSON().compensation, failed.compensation)
    }))

  describe("with layers of runs inside of runs", () => {
    class Connection extends Context.Service<Connection, { readonly isOpen: () => boolean }>()("test/Connection") {}
    class Transaction extends Context.Service<Transaction, { readonly id: number }>()("test/Transaction") {}

    const setUp = (lines: Array<string>) => {
      const connection = Layer.effect(
        Connection,
        Effect.gen(function*() {
          let isOpen = true
          yield* Effect.addFinalizer(() =>
            Effect.sync(() => {
              isOpen = false
              lines.push("closed")
            })
          )
          return { isOpen: () => isOpen }
        })
      )
      const transaction = Layer.effect(
        Transaction,
        Effect.gen(function*() {
          const { isOpen } = yield* Connection
          yield* Effect.addFinalizer(() => Effect.sync(() => void lines.push(`committed, open: ${isOpen()}`)))
          return { id: 1 }
        })
      )
      const write = Stage.work("write", { run: Effect.map(Transaction, ({ id }) => ({ id })) }).pipe(
        Saga.compensate(() => Effect.map(Transaction, () => void lines.push("undone")))
      )
      const child = Pipeline.make("child").add(write).pipe(Pipeline.provide(transaction))
      return { child, connection }
    }

    it.effect("releases those of a run inside first, when all completes", () =>
      Effect.gen(function*() {
        const lines: Array<string> = []
        const { child, connection } = setUp(lines)
        const middle = Pipeline.make("middle").add(Subpipeline.stage("child", child)).pipe(Pipeline.provide(connection))
        const outer = Pipeline.make("outer").add(Subpipeline.stage("middle", middle)).pipe(saga)
        yield* Pipeline.run(outer, Snapshot.make())
        yield* Pipeline.run(middle.pipe(saga), Snapshot.make())
        assert.deepStrictEqual(lines, ["committed, open: true", "closed", "committed, open: true", "closed"])
      }))

    it.effect("releases them after the compensations, when the parent fails", () =>
      Effect.gen(function*() {
        const lines: Array<string> = []
        const { child, connection } = setUp(lines)
        const outer = Pipeline.make("outer")
          .add(Subpipeline.stage("child", child))
          .add(broken, { after: ["child"] })
          .pipe(Pipeline.provide(connection), saga)
        yield* failureOf(Pipeline.run(outer, Snapshot.make()))
        assert.deepStrictEqual(lines, ["undone", "committed, open: true", "closed"])
      }))
  })

  it.effect("waits for the last event of a run inside that takes back longer than the grace", () =>
    Effect.gen(function*() {
      const slow = Stage.work("slow", { run: Effect.succeed({ id: 1 }) }).pipe(
        Saga.compensate(() => Effect.sleep("5 seconds"))
      )
      const child = Pipeline.make("child").add(slow)
        .add(Stage.work("hangs", { run: Effect.never }), { after: ["slow"] })
      const pipeline = Pipeline.make("parent")
        .add(Subpipeline.stage("child", child))
        .add(Stage.work("fails", { run: Effect.delay(Effect.fail("no"), "1 second") }))
        .pipe(saga)
      const events = yield* Effect.scoped(Effect.gen(function*() {
        const run = yield* Pipeline.start(pipeline, Snapshot.make(), { events: "all", interruptionGrace: "1 second" })
        const collected = yield* Effect.forkScoped(Stream.runCollect(run.events))
        yield* TestClock.adjust("1 minute")
        yield* failureOf(run.await)
        assert.deepStrictEqual((yield* run.tree).children.map(({ status }) => status), ["interrupted"])
        return yield* Fiber.join(collected)
      }))
      assert.deepStrictEqual(
        events.filter(Event.isRunEnd).map(({ _tag, pipeline }) => `${pipeline}: ${_tag}`),
        ["child: RunInterrupted", "parent: RunFailed"]
      )
    }))

  it.effect("takes back what a pipeline did that a compensation runs, when that fails", () =>
    Effect.gen(function*() {
      const ledger = new Ledger()
      const undoing = Pipeline.make("undoing").add(ledger.step("note")).add(broken, { after: ["note"] })
      const order = Stage.work("order", { run: Effect.succeed({ id: 1 }) }).pipe(
        Saga.compensate(() => Pipeline.run(undoing, Snapshot.make()))
      )
      const pipeline = Pipeline.make("p").add(order).add(broken, { after: ["order"] }).pipe(
        Pipeline.intercept(Saga.interceptor({ onUncompensated: () => Effect.void }))
      )
      const { compensation } = yield* failureOf(Pipeline.run(pipeline, Snapshot.make()))
      assert.deepStrictEqual(ledger.lines, ["note", "undo note"])
      assert.deepStrictEqual(paths(compensation?.failed), ["order"])
    }))

  it.effect("takes back a stage whatever its own events are called, and a returned failure is one", () =>
    Effect.gen(function*() {
      const undone: Array<string> = []
      const events = [{ type: "cache.hit", data: {} }, { type: "idempotency.replayed", data: {} }]
      const told = Stage.work("told", { run: Effect.succeed(StageOutput.ok({ id: 1 }, { events })) }).pipe(
        Saga.compensate(() => Effect.sync(() => void undone.push("told")))
      )
      const returns = Stage.work("returns", { run: Effect.succeed({ id: 1 }) }).pipe(
        Saga.compensate(() => Effect.succeed(StageOutput.fail(new Broken({ what: "Undo" }))))
      )
      const pipeline = Pipeline.make("p").add(told).add(returns).add(broken, { after: ["told", "returns"] }).pipe(
        Pipeline.intercept(Saga.interceptor({ onUncompensated: () => Effect.void }))
      )
      const { compensation } = yield* failureOf(Pipeline.run(pipeline, Snapshot.make()))
      assert.deepStrictEqual(undone, ["told"])
      assert.deepStrictEqual(compensation?.failed.map(({ error, stage }) => [stage, error.tag]), [[
        "returns",
        "Broken"
      ]])
    }))

  it.effect("takes back a long chain without a limit in a time that grows with its length", () =>
    Effect.gen(function*() {
      const undone: Array<number> = []
      const count = 5_000
      const specs = Array.from({ length: count }, (_, index) => ({
        stage: Stage.work(`s${index}`, { run: Effect.succeed({ index }) }).pipe(
          index % 2 === 0 ? Saga.compensate(() => Effect.sync(() => void undone.push(index))) : (stage) => stage
        ),
        after: index === 0 ? [] : [`s${index - 1}`]
      }))
      const last = { stage: broken, after: [`s${count - 1}`] }
      const pipeline = yield* Pipeline.fromSpecs("long", [...specs, last])
      yield* failureOf(Pipeline.run(
        pipeline.pipe(Pipeline.intercept(Saga.interceptor({ concurrency: "unbounded" }))),
        Snapshot.make()
      ))
      assert.deepStrictEqual(undone, Array.from({ length: count / 2 }, (_, index) => count - 2 - 2 * index))
    }))

  it.effect("lists what an abandoned stage did to its end while others were taken back", () =>
    Effect.gen(function*() {
      const whole = Interceptor.make({ name: "whole", around: (effect) => Effect.uninterruptible(effect) })
      const late = Stage.work("late", { run: Effect.as(Effect.sleep("5 seconds"), { id: 1 }) }).pipe(
        Saga.compensate(() => Effect.void),
        Stage.intercept(whole)
      )
      const slow = Stage.work("slow", { run: Effect.succeed({ id: 1 }) }).pipe(
        Saga.compensate(() => Effect.sleep("10 seconds"))
      )
      const fails = Stage.work("fails", { run: Effect.fail(new Broken({ what: "It" })) })
      const pipeline = Pipeline.make("p").add(late).add(slow).add(fails, { after: ["slow"] }).pipe(saga)
      const fiber = yield* Effect.forkChild(
        failureOf(Pipeline.run(pipeline, Snapshot.make(), { interruptionGrace: "1 second" }))
      )
      yield* TestClock.adjust("1 minute")
      const { compensation } = yield* Fiber.join(fiber)
      assert.deepStrictEqual(paths(compensation?.compensated), ["slow", "late"])
    }))

  it.effect("a run that completes waits for a run inside that is still taking back, before its layers are released", () =>
    Effect.gen(function*() {
      const lines: Array<string> = []
      class Port extends Context.Service<Port, { readonly use: (what: string) => void }>()("test/LatePort") {}
      const port = Layer.effect(
        Port,
        Effect.as(Effect.addFinalizer(() => Effect.sync(() => void lines.push("released"))), {
          use: (what: string) => void lines.push(what)
        })
      )
      const done = Stage.work("done", { run: Effect.succeed({ id: 1 }) }).pipe(
        Saga.compensate(() =>
          Effect.gen(function*() {
            yield* Effect.sleep("10 seconds")
            const { use } = yield* Port
            use("taken back")
          })
        )
      )
      const child = Pipeline.make("child").add(done).add(
        Stage.work("hangs", { run: Effect.never }),
        { after: ["done"] }
      )
      const stage = Subpipeline.stage("child", child).pipe(
        Stage.timeout("1 second", { grace: "1 second" }),
        Stage.catch(() => Effect.succeed({}))
      )
      const pipeline = Pipeline.make("p").add(stage).pipe(Pipeline.provide(port), saga)
      const fiber = yield* Effect.forkChild(Pipeline.run(pipeline, Snapshot.make()))
      yield* TestClock.adjust("1 minute")
      assert.strictEqual((yield* Fiber.join(fiber))._tag, "Completed")
      assert.deepStrictEqual(lines, ["taken back", "released"])
    }))

  describe("with layers of the pipeline itself", () => {
    class Port extends Context.Service<Port, { readonly isOpen: () => boolean }>()("test/OwnPort") {}
    const layered = (lines: Array<string>, release: Effect.Effect<void> = Effect.void) => {
      const port = Layer.effect(
        Port,
        Effect.gen(function*() {
          let isOpen = true
          yield* Effect.addFinalizer(() =>
            Effect.andThen(
              Effect.sync(() => {
                isOpen = false
                lines.push("released")
              }),
              release
            )
          )
          return { isOpen: () => isOpen }
        })
      )
      const done = Stage.work("done", { run: Effect.succeed({ id: 1 }) }).pipe(
        Saga.compensate(() => Effect.map(Port, ({ isOpen }) => void lines.push(`undone, open: ${isOpen()}`)))
      )
      return Pipeline.make("p").add(done).pipe(Pipeline.provide(port), saga)
    }
    const policy = Pipeline.intercept(
      Interceptor.make({ name: "policy", aroundRun: (run) => Effect.andThen(run, Effect.fail("rejected")) })
    )

    it.effect("they are there for a run that is rejected after its stages have ended", () =>
      Effect.gen(function*() {
        const lines: Array<string> = []
        yield* failureOf(Pipeline.run(layered(lines).pipe(policy), Snapshot.make()))
        yield* Effect.scoped(Effect.gen(function*() {
          const run = yield* Pipeline.start(layered(lines).pipe(policy), Snapshot.make())
          yield* failureOf(run.await)
        }))
        yield* Pipeline.run(layered(lines), Snapshot.make())
        const undone = ["undone, open: true", "released"]
        assert.deepStrictEqual(lines, [...undone, ...undone, "released"])
      }))

    it.effect("a release that dies is the end of the run, and of its events", () =>
      Effect.gen(function*() {
        const pipeline = layered([], Effect.die("release"))
        const exit = yield* Effect.exit(Pipeline.run(pipeline, Snapshot.make()))
        assert(exit._tag === "Failure")
        const [tag, handled] = yield* Effect.scoped(Effect.gen(function*() {
          const run = yield* Pipeline.start(pipeline, Snapshot.make())
          const exit = yield* Effect.exit(run.await)
          const events = yield* Stream.runCollect(run.events)
          return [events.at(-1)?._tag, exit._tag] as const
        }))
        assert.deepStrictEqual([tag, handled], ["RunRejected", "Failure"])
      }))
  })
})
