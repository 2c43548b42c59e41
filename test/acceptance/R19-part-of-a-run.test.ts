import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Cause, Context, Deferred, Effect, Exit, Fiber, Layer, Option, Schema } from "effect"
import { TestClock } from "effect/testing"
import { Event, Pipeline, ResultCodec, Run, RunResult, Snapshot, Stage, StageError } from "stageflow"
import { Subpipeline } from "stageflow/control"
import * as Interceptors from "stageflow/interceptors"
import { Account, pipelineOf } from "../property/build.ts"
import { graphs } from "../property/graph.ts"
import { during, recorded, Witness } from "./support/lifecycle.ts"

/** Work whose clean-up takes its time, watched from outside. */
class Job {
  readonly body = new Witness()
  readonly cleanUp = new Witness()
  readonly run = Effect.ensuring(
    this.body.watch(Effect.sleep("1 hour")),
    this.cleanUp.watch(Effect.sleep("2 seconds"))
  )
}

const reasonOf = (error: unknown): StageError.Reason | undefined =>
  error instanceof StageError.StageFault ? error.reason : undefined

const interrupted = (reason: string, abandoned = false) => ({ _tag: "Interrupted", reason, abandoned }) as const

/** search -> read -> answer, and beside them a stage that nobody waits for. */
const chainOf = (job: Job, beside = Effect.sleep("1 minute")) =>
  Pipeline.make("chain")
    .add(Stage.enrich("search", { run: job.run }))
    .add(Stage.transform("read", { run: Effect.void }), { after: ["search"] })
    .add(Stage.transform("answer", { run: Effect.void }), { after: ["read"] })
    .add(Stage.work("beside", { run: beside }))

const telling = (events: ReadonlyArray<Event.Event>) =>
  events.flatMap((event) => "stage" in event ? [`${event._tag} ${event.stage}`] : [event._tag])

describe("R19 a part of a run is interrupted", () => {
  it.effect("fail-fast: the stage fails, the run with it, and the finalizers have run when it is told", () =>
    Effect.gen(function*() {
      const job = new Job()
      const { events, exit } = yield* during(
        recorded(Effect.scoped(Effect.gen(function*() {
          const handle = yield* Pipeline.start(chainOf(job), Snapshot.make())
          yield* Effect.sleep("1 second")
          const part = yield* handle.interrupt("search", "no longer wanted")
          assert.deepStrictEqual(job.cleanUp.counts, [1, 1, 0, 0])
          assert.deepStrictEqual(part, {
            interrupted: ["search"],
            abandoned: [],
            neverStarted: [],
            ended: []
          })
          return yield* Effect.flip(handle.await)
        }))),
        "1 minute"
      )
      assert(Exit.isSuccess(exit) && exit.value._tag === "StageFailed")
      const failed = exit.value
      assert.deepStrictEqual([failed.stage, failed.attempts], ["search", 1])
      assert.deepStrictEqual(reasonOf(failed.error), interrupted("no longer wanted"))
      assert.strictEqual(
        failed.message,
        "Stage \"search\" of pipeline \"chain\" failed: StageFault: Stage \"search\" was interrupted: no longer wanted"
      )
      assert.deepStrictEqual([failed.interrupted, failed.neverStarted], [["beside"], ["read", "answer"]])
      assert.deepStrictEqual(telling(events), [
        "RunStarted",
        "StageStarted search",
        "StageStarted beside",
        "StageFailed search",
        "StageInterrupted beside",
        "RunFailed search"
      ])
      const entry = failed.bag.entries.find(({ stage }) => stage === "search")
      assert.strictEqual(entry?.end._tag, "Failed")
      assert.strictEqual(entry?.endedMs, 3000)
    }))

  it.effect("continue: the stage has failed, what depends on it is blocked, and the rest goes on", () =>
    Effect.gen(function*() {
      const job = new Job()
      const { events, exit } = yield* during(
        recorded(Effect.scoped(Effect.gen(function*() {
          const handle = yield* Pipeline.start(chainOf(job), Snapshot.make(), { failure: "continue" })
          yield* Effect.sleep("1 second")
          yield* handle.interrupt("search", "no longer wanted")
          assert.deepStrictEqual(yield* handle.status, {
            search: "failed",
            read: "blocked",
            answer: "blocked",
            beside: "running"
          })
          return yield* handle.await
        }))),
        "2 minutes"
      )
      assert(Exit.isSuccess(exit) && exit.value._tag === "Incomplete")
      const { blocked, failed, failures, ok } = exit.value
      assert.deepStrictEqual([failed, blocked, ok], [["search"], ["read", "answer"], ["beside"]])
      assert.deepStrictEqual(reasonOf(failures[0]?.error), interrupted("no longer wanted"))
      assert.deepStrictEqual(telling(events), [
        "RunStarted",
        "StageStarted search",
        "StageStarted beside",
        "StageFailed search",
        "StageBlocked read",
        "StageBlocked answer",
        "StageCompleted beside",
        "RunIncomplete"
      ])
    }))

  for (const failure of ["fail-fast", "continue"] as const) {
    it.effect(`${failure}: a stage that has not started never does, and fails at once`, () =>
      Effect.gen(function*() {
        const job = new Job()
        const { events, exit } = yield* during(
          recorded(Effect.scoped(Effect.gen(function*() {
            const handle = yield* Pipeline.start(chainOf(job), Snapshot.make(), { failure })
            yield* Effect.sleep("1 second")
            const part = yield* handle.interrupt("read", "skip the reading")
            assert.deepStrictEqual(part, { interrupted: [], abandoned: [], neverStarted: ["read"], ended: [] })
            assert.strictEqual((yield* handle.status).read, "failed")
            return yield* Effect.exit(handle.await as Effect.Effect<unknown, unknown>)
          }))),
          "2 hours"
        )
        assert(Exit.isSuccess(exit))
        const ended = exit.value
        const told = telling(events).filter((event) => event.endsWith("read") || event.endsWith("answer"))
        if (failure === "fail-fast") {
          assert(Exit.isFailure(ended))
          const failed = Cause.squash(ended.cause)
          assert(failed instanceof RunResult.StageFailed)
          assert.deepStrictEqual([failed.stage, failed.attempts], ["read", 0])
          assert.deepStrictEqual(failed.interrupted, ["search", "beside"])
          assert.deepStrictEqual(failed.neverStarted, ["answer"])
          assert.deepStrictEqual(told, ["StageFailed read", "RunFailed read"])
        } else {
          assert(Exit.isSuccess(ended))
          const result = ended.value as RunResult.Incomplete<unknown, unknown>
          assert.deepStrictEqual([result.failed, result.blocked], [["read"], ["answer"]])
          assert.deepStrictEqual(result.ok, ["search", "beside"])
          assert.strictEqual(result.failures[0]?.attempts, 0)
          assert.deepStrictEqual(told, ["StageFailed read", "StageBlocked answer"])
        }
      }))
  }

  it.effect("a stage that waits for one that has failed is blocked, whoever interrupts it", () =>
    Effect.gen(function*() {
      const pipeline = Pipeline.make("p")
        .work("failed", { run: Effect.fail("down") })
        .work("slow", { run: Effect.sleep("1 minute") })
        .work("behind", { after: ["failed", "slow"], run: Effect.void })
      const result = yield* during(
        Effect.scoped(Effect.gen(function*() {
          const handle = yield* Pipeline.start(pipeline, Snapshot.make(), { failure: "continue" })
          yield* Effect.sleep("1 second")
          assert.deepStrictEqual((yield* handle.interrupt("behind", "enough")).neverStarted, ["behind"])
          return yield* handle.await
        })),
        "2 minutes"
      )
      assert(result._tag === "Incomplete")
      assert.deepStrictEqual([result.failed, result.blocked], [["failed"], ["behind"]])
    }))

  it.effect("a stage that has ended stays as it ended, and so does a run that is over", () =>
    Effect.gen(function*() {
      const pipeline = Pipeline.make("p").work("first", { run: Effect.void }).work("second", {
        after: ["first"],
        run: Effect.sleep("1 second")
      })
      const handle = yield* Pipeline.start(pipeline, Snapshot.make())
      const ended = { interrupted: [], abandoned: [], neverStarted: [] }
      assert.deepStrictEqual(yield* handle.interrupt("first", "late"), { ...ended, ended: ["first"] })
      yield* TestClock.adjust("1 second")
      assert.strictEqual((yield* handle.await)._tag, "Completed")
      assert.deepStrictEqual(yield* handle.interrupt("first", "late", { dependents: true }), {
        ...ended,
        ended: ["first", "second"]
      })
    }).pipe(Effect.scoped))

  describe("with what depends on it", () => {
    /** source -> running, source -> joined <- slow, joined -> last */
    const treeOf = (running: Job, slow: Effect.Effect<void>) =>
      Pipeline.make("tree")
        .work("source", { run: Effect.void })
        .work("slow", { run: slow })
        .work("running", { after: ["source"], run: running.run })
        .work("behind", { after: ["running"], run: Effect.void })
        .work("joined", { after: ["source", "slow"], run: Effect.void })
        .work("last", { after: ["joined"], run: Effect.void })

    it.effect("what runs already is interrupted, and what has not started never does", () =>
      Effect.gen(function*() {
        const job = new Job()
        const { events, exit } = yield* during(
          recorded(Effect.scoped(Effect.gen(function*() {
            const handle = yield* Pipeline.start(treeOf(job, Effect.sleep("1 minute")), Snapshot.make(), {
              failure: "continue"
            })
            yield* Effect.sleep("1 second")
            const part = yield* handle.interrupt("source", "was wrong", { dependents: true })
            assert.deepStrictEqual(part, {
              interrupted: ["running"],
              abandoned: [],
              neverStarted: ["behind", "joined", "last"],
              ended: ["source"]
            })
            return yield* handle.await
          }))),
          "2 minutes"
        )
        assert(Exit.isSuccess(exit) && exit.value._tag === "Incomplete")
        const { blocked, failed, ok } = exit.value
        assert.deepStrictEqual(ok, ["source", "slow"])
        assert.deepStrictEqual(failed, ["running", "joined"])
        assert.deepStrictEqual(blocked, ["behind", "last"])
        assert.deepStrictEqual(telling(events).filter((event) => event.startsWith("StageBlocked")), [
          "StageBlocked last",
          "StageBlocked behind"
        ])
      }))

    it.effect("what waits for a place that this frees ends once", () =>
      Effect.gen(function*() {
        const pipeline = Pipeline.make("p")
          .work("source", { run: Effect.void })
          .work("running", { after: ["source"], run: Effect.never })
          .work("waiting", { after: ["source"], run: Effect.void })
        const { events, exit } = yield* recorded(Effect.scoped(Effect.gen(function*() {
          const handle = yield* Pipeline.start(pipeline, Snapshot.make(), { concurrency: 1, failure: "continue" })
          const part = yield* handle.interrupt("source", "was wrong", { dependents: true })
          assert.deepStrictEqual([part.interrupted, part.neverStarted], [["running"], ["waiting"]])
          return yield* handle.await
        })))
        assert(Exit.isSuccess(exit) && exit.value._tag === "Incomplete")
        assert.deepStrictEqual(exit.value.failed, ["running", "waiting"])
        assert.deepStrictEqual(telling(events).filter((event) => event.startsWith("StageFailed")), [
          "StageFailed running",
          "StageFailed waiting"
        ])
      }))

    it.effect("they do not start when the stage ends of itself in the same instant, and the run is not completed", () =>
      Effect.gen(function*() {
        for (const failure of ["fail-fast", "continue"] as const) {
          const given = yield* Deferred.make<Run.Run<unknown, unknown>>()
          const parts: Array<Run.InterruptedStages> = []
          const interrupting = Effect.gen(function*() {
            const handle = yield* Deferred.await(given)
            parts.push(yield* handle.interrupt("done", "enough", { dependents: true }))
          })
          const pipeline = Pipeline.make("p")
            .work("first", { run: Effect.asVoid(Deferred.await(given)) })
            .work("done", {
              after: ["first"],
              run: Effect.asVoid(Effect.forkDetach(interrupting, { startImmediately: true }))
            })
            .work("reader", { after: ["done"], run: Effect.void })
          const exit = yield* Effect.scoped(Effect.gen(function*() {
            const handle = yield* Pipeline.start(pipeline, Snapshot.make(), { failure })
            yield* Deferred.succeed(given, handle)
            return yield* Effect.exit(handle.await as Effect.Effect<unknown, unknown>)
          }))
          assert.deepStrictEqual(parts, [{ interrupted: [], abandoned: [], neverStarted: ["reader"], ended: ["done"] }])
          const end = Exit.isSuccess(exit) ? exit.value : Cause.squash(exit.cause)
          if (end instanceof RunResult.StageFailed) {
            assert.deepStrictEqual([failure, end.stage, end.attempts], ["fail-fast", "reader", 0])
            assert.deepStrictEqual(Object.keys(end.outputs as object), ["first", "done"])
          } else {
            const { failed, ok } = end as RunResult.Incomplete<unknown, unknown>
            assert.deepStrictEqual([failure, ok, failed], ["continue", ["first", "done"], ["reader"]])
          }
        }
      }))
  })

  describe("nothing around the stage runs it again or answers for it", () => {
    const instead = { instead: true }
    const around: Readonly<
      Record<string, (stage: Stage.Stage<"work", unknown, object, never, "never">) => Stage.Any>
    > = {
      "a retry": (stage) => stage.pipe(Stage.retry({ attempts: 5, faults: true })),
      "a handler": (stage) => stage.pipe(Stage.catch(() => Effect.succeed(instead))),
      "a fallback": (stage) => Interceptors.fallbackTo(stage, () => Effect.succeed(instead)),
      "a timeout": (stage) => stage.pipe(Stage.timeout("2 hours"), Stage.retry({ attempts: 3 })),
      "a hedge": (stage) => stage.pipe(Stage.intercept(Interceptors.hedge({ after: "1 hour" })))
    }
    for (const [what, wrap] of Object.entries(around)) {
      it.effect(what, () =>
        Effect.gen(function*() {
          const job = new Job()
          const stage = Stage.transform("work", { run: Effect.as(job.run, {}) })
          const pipeline = Pipeline.make("p").add(wrap(stage as never) as typeof stage)
          const part = yield* during(
            Effect.scoped(Effect.gen(function*() {
              const handle = yield* Pipeline.start(pipeline, Snapshot.make())
              yield* Effect.sleep("1 second")
              const part = yield* handle.interrupt("work", "enough")
              const failed = yield* Effect.flip(handle.await)
              assert.deepStrictEqual(reasonOf(failed._tag === "StageFailed" && failed.error), interrupted("enough"))
              return part
            })),
            "1 day"
          )
          assert.deepStrictEqual(part.interrupted, ["work"])
          assert.deepStrictEqual(job.body.counts, [1, 0, 0, 1])
          assert.deepStrictEqual(job.cleanUp.counts, [1, 1, 0, 0])
        }))
    }

    it.effect("a retry that waits for its next attempt", () =>
      Effect.gen(function*() {
        let attempts = 0
        const flaky = Stage.work("flaky", { run: Effect.andThen(Effect.sync(() => attempts++), Effect.fail("down")) })
          .pipe(Stage.retry({ attempts: 5 }))
        const handle = yield* Pipeline.start(Pipeline.make("p").add(flaky), Snapshot.make())
        assert.deepStrictEqual((yield* handle.interrupt("flaky", "enough")).interrupted, ["flaky"])
        const failed = yield* Effect.flip(handle.await)
        assert.deepStrictEqual(reasonOf(failed.error), interrupted("enough"))
        yield* TestClock.adjust("1 day")
        assert.strictEqual(attempts, 1)
      }).pipe(Effect.scoped))
  })

  it.effect("the runs that the stage has started are stopped, at any depth", () =>
    Effect.gen(function*() {
      const job = new Job()
      const inner = Pipeline.make("inner").work("leaf", { run: job.run })
      const middle = Pipeline.make("middle").add(Subpipeline.stage("inner", inner))
      const outer = Pipeline.make("outer").add(Subpipeline.stage("middle", middle)).work("beside", {
        run: Effect.sleep("1 minute")
      })
      const { events, exit } = yield* during(
        recorded(Effect.scoped(Effect.gen(function*() {
          const handle = yield* Pipeline.start(outer, Snapshot.make(), { failure: "continue" })
          yield* Effect.sleep("1 second")
          yield* handle.interrupt("middle", "enough")
          assert.deepStrictEqual([job.body.counts, job.cleanUp.counts], [[1, 0, 0, 1], [1, 1, 0, 0]])
          return yield* handle.await
        }))),
        "2 minutes"
      )
      assert(Exit.isSuccess(exit) && exit.value._tag === "Incomplete")
      assert.deepStrictEqual(exit.value.failed, ["middle"])
      assert.deepStrictEqual(
        events.filter(Event.isRunEnd).map(({ _tag, pipeline }) => `${pipeline} ${_tag}`),
        ["inner RunInterrupted", "middle RunInterrupted", "outer RunIncomplete"]
      )
    }))

  describe("R20 a stage that ignores its interruption", () => {
    const deaf = Pipeline.make("p")
      .work("deaf", { run: Effect.uninterruptible(Effect.sleep("1 hour")) })
      .work("reader", { after: ["deaf"], run: Effect.void })
      .work("beside", { run: Effect.sleep("1 minute") })

    it.effect("is left behind after the grace, and the run goes on without it", () =>
      Effect.gen(function*() {
        const { events, exit } = yield* during(
          recorded(Effect.scoped(Effect.gen(function*() {
            const handle = yield* Pipeline.start(deaf, Snapshot.make(), {
              failure: "continue",
              interruptionGrace: "3 seconds"
            })
            yield* Effect.sleep("1 second")
            const part = yield* handle.interrupt("deaf", "enough")
            assert.deepStrictEqual([part.interrupted, part.abandoned], [["deaf"], ["deaf"]])
            return yield* handle.await
          }))),
          "2 minutes"
        )
        assert(Exit.isSuccess(exit) && exit.value._tag === "Incomplete")
        const { blocked, durationMs, failed, failures } = exit.value
        assert.deepStrictEqual([failed, blocked, durationMs], [["deaf"], ["reader"], 60_000])
        assert.deepStrictEqual(reasonOf(failures[0]?.error), interrupted("enough", true))
        assert.deepStrictEqual(telling(events).filter((event) => event.endsWith("deaf")), [
          "StageStarted deaf",
          "StageFailed deaf"
        ])
        yield* TestClock.adjust("2 hours")
      }))

    it.effect("gives its place to another, once, however often it is interrupted", () =>
      Effect.gen(function*() {
        let most = 0
        let inside = 0
        const busy = Effect.acquireUseRelease(
          Effect.sync(() => {
            most = Math.max(most, ++inside)
          }),
          () => Effect.sleep("1 minute"),
          () => Effect.sync(() => inside--)
        )
        const specs = Array.from({ length: 4 }, (_, index) => ({ stage: Stage.work(`s${index}`, { run: busy }) }))
        const pipeline = yield* Pipeline.fromSpecs("p", [
          { stage: Stage.work("deaf", { run: Effect.uninterruptible(Effect.sleep("90 seconds")) }) },
          ...specs
        ])
        const handle = yield* Pipeline.start(pipeline, Snapshot.make(), {
          concurrency: 1,
          failure: "continue",
          interruptionGrace: "3 seconds"
        })
        const parts = yield* Effect.forkChild(
          Effect.forEach([1, 2, 3], () => handle.interrupt("deaf", "enough"), { concurrency: "unbounded" }),
          { startImmediately: true }
        )
        yield* TestClock.adjust("10 minutes")
        assert.deepStrictEqual((yield* Fiber.join(parts)).map(({ abandoned }) => abandoned.join()), [
          "deaf",
          "deaf",
          "deaf"
        ])
        const result = yield* handle.await
        assert.deepStrictEqual([most, inside, result.durationMs], [1, 0, 243_000])
      }).pipe(Effect.scoped))

    it.effect("holds up no run that is cancelled meanwhile for longer than that", () =>
      Effect.gen(function*() {
        const started = Date.parse("1970-01-01")
        const handle = yield* Pipeline.start(deaf, Snapshot.make(), { interruptionGrace: "3 seconds" })
        const part = yield* Effect.forkChild(handle.interrupt("deaf", "enough"), { startImmediately: true })
        yield* TestClock.adjust("1 second")
        yield* Effect.forkChild(handle.cancel("all of it"), { startImmediately: true })
        yield* TestClock.adjust("3 seconds")
        const result = yield* handle.await
        assert(result._tag === "Cancelled")
        assert.deepStrictEqual([result.abandoned, result.durationMs - started], [["deaf"], 4000])
        assert.deepStrictEqual((yield* Fiber.join(part)).abandoned, ["deaf"])
        yield* TestClock.adjust("2 hours")
      }).pipe(Effect.scoped))
  })

  it.effect("before its layers are built", () =>
    Effect.gen(function*() {
      const Port = Context.Service<{ readonly on: true }>("test/R19/Port")
      const job = new Witness()
      const pipeline = Pipeline.make("p")
        .work("first", { run: job.watch(Effect.void) })
        .work("second", { after: ["first"], run: Effect.asVoid(Effect.service(Port)) })
        .pipe(Pipeline.provide(Layer.effect(Port, Effect.as(Effect.sleep("1 minute"), { on: true as const }))))
      const handle = yield* Pipeline.start(pipeline, Snapshot.make(), { failure: "continue" })
      const part = yield* handle.interrupt("first", "not this one")
      assert.deepStrictEqual(part.neverStarted, ["first"])
      yield* TestClock.adjust("1 minute")
      const result = yield* handle.await
      assert(result._tag === "Incomplete")
      assert.deepStrictEqual([result.failed, result.blocked, job.started], [["first"], ["second"], 0])
    }).pipe(Effect.scoped))

  for (const [when, before] of [["at once", Effect.void], ["later", Effect.sleep("1 second")]] as const) {
    it.effect(`a stage that interrupts itself through the handle ${when} ends`, () =>
      Effect.gen(function*() {
        const given = yield* Deferred.make<Run.Run<unknown, unknown>>()
        const witness = new Witness()
        const pipeline = Pipeline.make("p")
          .work("first", { run: Effect.asVoid(Deferred.await(given)) })
          .work("second", {
            after: ["first"],
            run: witness.watch(Effect.gen(function*() {
              yield* before
              yield* (yield* Deferred.await(given)).interrupt("second", "myself")
            }))
          })
        const handle = yield* Pipeline.start(pipeline, Snapshot.make())
        yield* Deferred.succeed(given, handle)
        yield* TestClock.adjust("1 second")
        const failed = yield* Effect.flip(handle.await)
        assert.deepStrictEqual(failed._tag === "StageFailed" && reasonOf(failed.error), interrupted("myself"))
        assert.deepStrictEqual(witness.counts, [1, 0, 0, 1])
      }).pipe(Effect.scoped))
  }

  it.effect("a name that the pipeline does not have is a typed error with the nearest one", () =>
    Effect.gen(function*() {
      const pipeline = yield* Pipeline.fromSpecs("loaded", [{ stage: Stage.work("search", { run: Effect.never }) }])
      const handle = yield* Pipeline.start(pipeline, Snapshot.make())
      const error = yield* Effect.flip(handle.interrupt("serach", "enough"))
      assert.instanceOf(error, Run.UnknownStage)
      assert.deepStrictEqual([error.stage, error.didYouMean, error.code], ["serach", "search", "UNKNOWN_STAGE"])
      assert.strictEqual(error.message, "Pipeline \"loaded\" has no stage \"serach\". Did you mean \"search\"?")
      const other = yield* Effect.flip(handle.interrupt("__proto__", "enough"))
      assert.strictEqual(other.message, "Pipeline \"loaded\" has no stage \"__proto__\".")
      assert.deepStrictEqual(yield* handle.status, { search: "running" })
    }).pipe(Effect.scoped))

  it.effect("what it is given is checked where it is given", () =>
    Effect.gen(function*() {
      const handle = yield* Pipeline.start(Pipeline.make("p").work("search", { run: Effect.never }), Snapshot.make())
      const bad: ReadonlyArray<ReadonlyArray<unknown>> = [
        [1, "reason"],
        ["search", undefined],
        ["search", "reason", { dependent: true }],
        ["search", "reason", { dependents: "yes" }],
        ["search", "reason", null]
      ]
      for (const args of bad) {
        assert.throws(() => (handle.interrupt as Function)(...args), StageError.InvalidOption)
      }
    }).pipe(Effect.scoped))

  it.effect("1,000 at once, several times each", () =>
    Effect.gen(function*() {
      const account = new Witness()
      const cleaned = yield* Deferred.make<void>()
      const names = Array.from({ length: 1000 }, (_, index) => `s${index}`)
      const pipeline = yield* Pipeline.fromSpecs(
        "wide",
        names.map((name) => ({
          stage: Stage.work(name, { run: Effect.ensuring(account.watch(Effect.never), Deferred.await(cleaned)) })
        }))
      )
      const handle = yield* Pipeline.start(pipeline, Snapshot.make(), { failure: "continue" })
      yield* TestClock.adjust("1 second")
      const parts = yield* Effect.forkChild(
        Effect.forEach([...names, ...names], (name) => handle.interrupt(name, `no ${name}`), {
          concurrency: "unbounded"
        }),
        { startImmediately: true }
      )
      yield* TestClock.adjust("1 second")
      yield* Deferred.succeed(cleaned, undefined)
      const all = yield* Fiber.join(parts)
      assert.deepStrictEqual(all.flatMap(({ interrupted }) => interrupted), [...names, ...names])
      const result = yield* handle.await
      assert(result._tag === "Incomplete")
      assert.deepStrictEqual(result.failed, names)
      assert.deepStrictEqual(account.counts, [1000, 0, 0, 1000])
      assert.deepStrictEqual(
        result.failures.map(({ error }) => reasonOf(error)),
        names.map((n) => interrupted(`no ${n}`))
      )
    }).pipe(Effect.scoped))

  describe("at every step of random graphs", () => {
    const Step = Schema.Struct({
      at: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 60 })),
      stage: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 30 })),
      dependents: Schema.Boolean
    })
    const Steps = Schema.Struct({
      steps: Schema.Array(Step).check(Schema.isMinLength(1), Schema.isMaxLength(4)),
      cancelAt: Schema.UndefinedOr(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 60 }))),
      concurrency: Schema.Literals([1, 2, 5, 100]),
      failure: Schema.Literals(["fail-fast", "continue"])
    })

    it.effect.prop(
      "every stage that started has one end, the result adds up, and nothing is left running",
      [graphs, Arbitrary.schema(Steps)],
      ([graph, { cancelAt, concurrency, failure, steps }]) =>
        Effect.gen(function*() {
          const account = new Account()
          const events: Array<Event.Event> = []
          const pipeline = yield* pipelineOf(graph, 1, account)
          const names = graph.stages.map(({ name }) => name)
          const { exit, parts } = yield* during(
            Effect.scoped(Effect.gen(function*() {
              const handle = yield* Pipeline.start(pipeline, Snapshot.make(), { concurrency, failure })
              const asked = yield* Effect.forEach(steps, ({ at, dependents, stage }) => {
                const name = names[stage % names.length] ?? ""
                const part = handle.interrupt(name, `at ${at}`, { dependents })
                return Effect.forkChild(Effect.map(Effect.delay(part, at), (part) => ({ ...part, name, dependents })))
              })
              if (cancelAt !== undefined) yield* Effect.forkChild(Effect.delay(handle.cancel("enough"), cancelAt))
              const exit = yield* Effect.exit(handle.await as Effect.Effect<RunResult.RunResult, unknown>)
              return { exit, parts: yield* Effect.forEach(asked, Fiber.join) }
            })),
            "1 hour"
          ).pipe(recordInto(events))
          assert.deepStrictEqual(account.begun.toSorted(), account.finalized.toSorted())
          assert.strictEqual(account.running, 0)
          assert.isAtMost(account.most, concurrency)
          const started = events.flatMap((event) => event._tag === "StageStarted" ? [event.stage] : [])
          const ended = events.filter(Event.isStageEnd).map(({ stage }) => stage)
          assert.strictEqual(new Set(started).size, started.length)
          assert.strictEqual(new Set(ended).size, ended.length, "one end each")
          assert.isTrue(started.every((name) => ended.includes(name)))
          assert.deepStrictEqual(events.filter(Event.isRunEnd).length, 1)
          assert.deepStrictEqual(events.map(({ sequence }) => sequence), events.map((_, index) => index + 1))
          for (const { dependents, ended: before, interrupted, name, neverStarted } of parts) {
            assert.isFalse(neverStarted.some((name) => started.includes(name)), "what never starts has not started")
            assert.isTrue([...interrupted, ...neverStarted, ...before].includes(name))
            if (!dependents) assert.strictEqual(interrupted.length + neverStarted.length + before.length, 1)
          }
          const error = Exit.isFailure(exit) ? Option.getOrUndefined(Cause.findErrorOption(exit.cause)) : undefined
          const result = Exit.isSuccess(exit) ? exit.value : error as RunResult.StageFailed
          // The document of a result says what contradicts itself.
          const json = yield* ResultCodec.encode(pipeline, result as never).pipe(
            Effect.catch(({ problems }) => Effect.succeed(problems.map(({ message }) => message)))
          )
          if (Array.isArray(json)) {
            assert.deepStrictEqual(json.map(String).filter((message) => message.startsWith("Expected a stage")), [])
          }
        }),
      { arbitrary: { runs: 150, size: 30, maxShrinks: 200 } }
    )
  })
})

const recordInto = (events: Array<Event.Event>) => <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.flatMap(recorded(effect), ({ events: told, exit }) => {
    events.push(...told)
    return exit
  })
