import { assert, describe, it } from "@effect/vitest"
import { Clock, Deferred, Effect, Exit, Fiber, Option, Schedule, Schema } from "effect"
import { TestClock } from "effect/testing"
import {
  Extension,
  Interceptor,
  Pipeline,
  type RunResult,
  Snapshot,
  Source,
  Stage,
  StageContext,
  type StageError,
  StageOutput
} from "stageflow"
import * as Interceptors from "stageflow/interceptors"
import { Steps } from "../interceptors/support/steps.ts"
import { breakable, down, stores } from "../interceptors/support/stores.ts"
import { Broken, during, recorded, Witness } from "./support/lifecycle.ts"

const { IdempotencyStore, idempotency } = Interceptors

/** A snapshot with an idempotency key. */
const keyed = (idempotencyKey: string, fields: Snapshot.Input = {}) =>
  Snapshot.make({ ...fields, metadata: { idempotencyKey } })

/** A pipeline of one stage that numbers its executions, outside of the library. */
const counted = (
  work: Effect.Effect<unknown, Broken> = Effect.void,
  settings?: Parameters<typeof idempotency>[0]
) => {
  const witness = new Witness()
  const body = Effect.map(witness.watch(work), () => ({ execution: witness.started }))
  const pipeline = Pipeline.make("pipeline")
    .add(Stage.work("stage", { run: body }))
    .pipe(Pipeline.intercept(idempotency(settings)))
  return { witness, pipeline }
}

type Counted = ReturnType<typeof counted>["pipeline"]

const executionOf = (pipeline: Counted, snapshot: Snapshot.With<never>) =>
  Effect.map(Pipeline.run(pipeline, snapshot), ({ outputs }) => outputs.stage.data.execution)

/** What the stage failed with. */
const errorOf = <A, E extends RunResult.StageFailed, R>(run: Effect.Effect<A, E, R>) =>
  Effect.map(Effect.flip(run), ({ error }) => error as E["error"])

const background = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.forkChild(effect, { startImmediately: true })

const inMemory = Effect.provide(IdempotencyStore.layerMemory)

describe("R26 idempotency", () => {
  describe("is scoped by tenant, pipeline, stage and key", () => {
    it.effect("the same key is another one elsewhere", () =>
      Effect.gen(function*() {
        const witness = new Witness()
        const execute = witness.watch(Effect.sync(() => ({ execution: witness.started })))
        const pipelineOf = (name: string, stage: string) =>
          Pipeline.make(name).add(Stage.work(stage, { run: execute })).pipe(Pipeline.intercept(idempotency()))
        const places = [
          [pipelineOf("pipeline", "stage"), keyed("key", { orgId: "tenant" })],
          [pipelineOf("pipeline", "stage"), keyed("key", { orgId: "other tenant" })],
          [pipelineOf("pipeline", "stage"), keyed("key")],
          [pipelineOf("other pipeline", "stage"), keyed("key", { orgId: "tenant" })],
          [pipelineOf("pipeline", "other stage"), keyed("key", { orgId: "tenant" })],
          [pipelineOf("pipeline", "stage"), keyed("other key", { orgId: "tenant" })]
        ] as const
        for (let round = 0; round < 3; round++) {
          for (const [pipeline, snapshot] of places) yield* Pipeline.run(pipeline, snapshot)
          assert.strictEqual(witness.started, places.length)
        }
      }).pipe(inMemory))

    it.effect("parts cannot run into each other", () =>
      Effect.gen(function*() {
        const { pipeline, witness } = counted()
        const parts = [
          ["a", "pipeline,stage,key"],
          ["a,pipeline,stage", "key"],
          ["a", "pipeline\",\"stage\",\"key"],
          ["a\",\"pipeline\",\"stage", "key"],
          ["null", "key"],
          [undefined, "key"]
        ] as const
        for (const [orgId, key] of parts) yield* Pipeline.run(pipeline, keyed(key, { orgId }))
        assert.strictEqual(witness.started, parts.length)
      }).pipe(inMemory))
  })

  describe.each(Object.entries(stores))(
    "runs the body once for any number of concurrent duplicates (%s)",
    (name, layer) => {
      const duplicates = name === "file" ? 50 : 1000

      it.effect("all of them get the one result", () =>
        Effect.gen(function*() {
          const gate = yield* Deferred.make<void>()
          const { pipeline, witness } = counted(Deferred.await(gate))
          const runs = yield* Effect.forEach(
            Array.from({ length: duplicates }),
            () => background(executionOf(pipeline, keyed("key")))
          )
          yield* Deferred.succeed(gate, undefined)
          assert.deepStrictEqual(new Set(yield* Effect.forEach(runs, Fiber.join)), new Set([1]))
          assert.deepStrictEqual(witness.counts, [1, 1, 0, 0])
        }).pipe(Effect.provide(layer)))

      it.effect("later ones, too", () =>
        Effect.gen(function*() {
          const { pipeline, witness } = counted()
          for (let run = 0; run < 10; run++) assert.strictEqual(yield* executionOf(pipeline, keyed("key")), 1)
          assert.strictEqual(witness.started, 1)
        }).pipe(Effect.provide(layer)))
    }
  )

  describe.each(Object.entries(stores))("replays the same result every time (%s)", (_, layer) => {
    it.effect("data through the stage's schema, artifacts returned and added, events, version; and says that it did", () =>
      Effect.gen(function*() {
        let executions = 0
        const rich = Stage.transform("rich", {
          output: Schema.Struct({
            execution: Schema.Number,
            at: Schema.Date,
            maybe: Schema.Option(Schema.String),
            bytes: Schema.Uint8Array,
            list: Schema.Array(Schema.Number)
          }),
          run: Effect.gen(function*() {
            executions++
            yield* StageContext.addArtifact({ type: "added", payload: { points: [1] } })
            const data = {
              execution: executions,
              at: new Date(5),
              maybe: Option.some("yes"),
              bytes: new Uint8Array([0, 255]),
              list: [1, 2]
            }
            return StageOutput.ok(data, {
              version: "7",
              artifacts: [{ type: "returned", payload: "chart" }],
              events: [{ type: "done", data: { n: 1 } }]
            })
          })
        })
        const reader = Stage.transform("reader", {
          run: ({ rich }: { readonly rich: { readonly execution: number; readonly at: Date } }) =>
            Effect.succeed({ read: rich.execution, at: rich.at.getTime() })
        })
        const pipeline = Pipeline.make("pipeline").add(rich.pipe(Stage.intercept(idempotency())))
          .add(reader, { inputs: ["rich"] })
        const first = yield* Pipeline.run(pipeline, keyed("key"))
        for (let round = 0; round < 3; round++) {
          const { events, exit } = yield* recorded(Pipeline.run(pipeline, keyed("key")))
          assert(Exit.isSuccess(exit))
          const { rich, reader } = exit.value.outputs
          assert.deepStrictEqual(rich.data, first.outputs.rich.data)
          assert.deepStrictEqual(rich.artifacts, first.outputs.rich.artifacts)
          assert.deepStrictEqual(rich.artifacts.map(({ type }) => type), ["returned", "added"])
          assert.strictEqual(rich.version, "7")
          assert.deepStrictEqual(rich.events, [
            ...first.outputs.rich.events,
            { type: "idempotency.replayed", data: {} }
          ])
          assert.deepStrictEqual(reader.data, { read: 1, at: 5 })
          assert.isTrue(Object.isFrozen(rich.data.list))
          assert.isTrue(events.some((event) => event._tag === "IdempotentReplay" && event.stage === "rich"))
          assert.isFalse(events.some((event) => event._tag === "StageEmitted" && event.type === "idempotency.replayed"))
        }
        assert.strictEqual(executions, 1)
      }).pipe(Effect.provide(layer)))

    it.effect("a skip is a skip, with its reason, data and artifacts", () =>
      Effect.gen(function*() {
        let executions = 0
        const skip = Stage.enrich("skip", {
          run: Effect.gen(function*() {
            executions++
            yield* StageContext.addArtifact({ type: "added", payload: 1 })
            return yield* StageOutput.skip("nothing to do", { data: { executions } })
          })
        })
        const reader = Stage.work("reader", { run: (_: { readonly skip: object }) => Effect.void })
        const pipeline = Pipeline.make("pipeline").add(skip)
          .add(reader, (s) => ({ inputs: { skip: s.skip.required } }))
          .pipe(Pipeline.intercept(idempotency()))
        for (let round = 0; round < 3; round++) {
          const { outputs: { reader, skip } } = yield* Pipeline.run(pipeline, keyed("key"))
          assert(skip._tag === "Skip")
          assert.strictEqual(skip.reason, "nothing to do")
          assert.deepStrictEqual<object>(skip.data, { executions: 1 })
          assert.deepStrictEqual(skip.artifacts, [{ type: "added", payload: 1 }])
          assert(reader._tag === "Skip" && reader.origin === "skip")
        }
        assert.strictEqual(executions, 1)
      }).pipe(Effect.provide(layer)))

    it.effect("until its time is over: 24 hours unless it says otherwise", () =>
      Effect.gen(function*() {
        const day = counted()
        const minute = counted(Effect.void, { ttl: "1 minute" })
        for (const [{ pipeline }, key] of [[day, "day"], [minute, "minute"]] as const) {
          assert.strictEqual(yield* executionOf(pipeline, keyed(key)), 1)
        }
        yield* TestClock.adjust("59 seconds")
        assert.strictEqual(yield* executionOf(minute.pipeline, keyed("minute")), 1)
        yield* TestClock.adjust("1 second")
        assert.strictEqual(yield* executionOf(minute.pipeline, keyed("minute")), 2)
        yield* TestClock.setTime(24 * 60 * 60 * 1000 - 1)
        assert.strictEqual(yield* executionOf(day.pipeline, keyed("day")), 1)
        yield* TestClock.adjust("1 millis")
        assert.strictEqual(yield* executionOf(day.pipeline, keyed("day")), 2)
      }).pipe(Effect.provide(layer)))
  })

  describe("never caches failures or denials", () => {
    const broken = new Broken({ by: "stage" })

    const failing: Record<string, Effect.Effect<StageOutput.StageOutput<object> | object, Broken>> = {
      "a typed failure": Effect.fail(broken),
      "a returned fail": Effect.succeed(StageOutput.fail(broken)),
      "a defect": Effect.die(new Error("boom")),
      "a timeout": Effect.never,
      "a retry that nobody grants": Effect.succeed(StageOutput.retry("not yet")),
      // @effect-diagnostics-next-line promiseInEffectSuccess:off
      "an output that is none": Effect.succeed(Promise.resolve())
    }

    for (const [name, failure] of Object.entries(failing)) {
      it.effect(name, () =>
        Effect.gen(function*() {
          const witness = new Witness()
          const body = witness.watch(
            Effect.suspend(() => witness.started < 3 ? failure : Effect.succeed({ done: true }))
          )
          const pipeline = Pipeline.make("pipeline")
            .add(Stage.work("stage", { run: body }))
            .pipe(Pipeline.intercept(idempotency(), Interceptors.timeout("1 second")))
          const run = during(Effect.exit(Pipeline.run(pipeline, keyed("key"))), "2 seconds")
          for (const started of [1, 2]) {
            const exit = yield* run
            assert.isTrue(Exit.isFailure(exit))
            assert.strictEqual(witness.started, started)
          }
          for (let round = 0; round < 2; round++) assert.isTrue(Exit.isSuccess(yield* run))
          assert.strictEqual(witness.started, 3)
        }).pipe(inMemory))
    }

    it.effect("a cancel: the next run decides for itself", () =>
      Effect.gen(function*() {
        let blocked = true
        let executions = 0
        const guard = Stage.guard("guard", {
          run: Effect.suspend(() => {
            executions++
            return blocked ? StageOutput.cancel("blocked") : Effect.succeed({ passed: true })
          })
        })
        const pipeline = Pipeline.make("pipeline").add(guard).pipe(Pipeline.intercept(idempotency()))
        for (let round = 0; round < 2; round++) {
          assert.strictEqual((yield* Pipeline.run(pipeline, keyed("key")))._tag, "Cancelled")
        }
        blocked = false
        assert.strictEqual((yield* Pipeline.run(pipeline, keyed("key")))._tag, "Completed")
        assert.strictEqual(executions, 3)
      }).pipe(inMemory))

    it.effect("a caller who may not never takes the key from one who may, before or at the same time", () =>
      Effect.gen(function*() {
        class Denied extends Schema.TaggedError<Denied>()("Denied", {}) {}
        const gate = yield* Deferred.make<void>()
        // Inside of idempotency, and slow to decide.
        const policy = Interceptor.make({
          name: "policy",
          order: 32,
          around: (effect) =>
            Effect.gen(function*() {
              const { userId } = yield* Snapshot.current
              if (userId === "admin") return yield* effect
              yield* Deferred.await(gate)
              return yield* new Denied()
            })
        })
        const witness = new Witness()
        const pipeline = Pipeline.make("pipeline")
          .add(Stage.work("stage", { run: witness.watch(Effect.succeed({ secret: 42 })) }))
          .pipe(Pipeline.intercept(idempotency(), policy))
        const guest = yield* background(errorOf(Pipeline.run(pipeline, keyed("key", { userId: "guest" }))))
        const admin = yield* background(Pipeline.run(pipeline, keyed("key", { userId: "admin" })))
        assert.isUndefined(guest.pollUnsafe())
        yield* Deferred.succeed(gate, undefined)
        assert.instanceOf(yield* Fiber.join(guest), Denied)
        assert.deepStrictEqual((yield* Fiber.join(admin)).outputs.stage.data, { secret: 42 })
        assert.strictEqual(witness.started, 1)
      }).pipe(inMemory))
  })

  describe("reports a mismatch of parameters", () => {
    it.effect("when there is a result, and while the stage runs; the body does not run", () =>
      Effect.gen(function*() {
        const gate = yield* Deferred.make<void>()
        const { pipeline, witness } = counted(Deferred.await(gate))
        const one = keyed("key", { inputText: "one" })
        const other = errorOf(Pipeline.run(pipeline, keyed("key", { inputText: "other" })))
        const running = yield* background(executionOf(pipeline, one))
        for (let round = 0; round < 2; round++) {
          const mismatch = yield* other
          assert(mismatch instanceof Interceptors.IdempotencyMismatch)
          assert.strictEqual(mismatch.code, "IDEMPOTENCY_MISMATCH")
          assert.strictEqual(mismatch.stage, "stage")
          assert.strictEqual(mismatch.key, "key")
          yield* Deferred.succeed(gate, undefined)
          assert.strictEqual(yield* Fiber.join(running), 1)
        }
        assert.strictEqual(yield* executionOf(pipeline, one), 1)
        assert.strictEqual(witness.started, 1)
      }).pipe(inMemory))

    it.effect("the inputs of a stage are parameters, too, whatever the order of their keys", () =>
      Effect.gen(function*() {
        let executions = 0
        const source = Stage.transform("source", {
          run: Effect.map(Snapshot.current, ({ metadata }) => ({ value: metadata["value"] }))
        })
        const stage = Stage.work("stage", {
          run: (_: { readonly given: unknown }) =>
            Effect.sync(() => {
              executions++
              return {}
            })
        }).pipe(Stage.intercept(idempotency()))
        const pipeline = Pipeline.make("pipeline").add(source)
          .add(stage, (s) => ({ inputs: { given: Source.firstOf(s.source) } }))
        const withValue = (value: Schema.Json) =>
          Pipeline.run(pipeline, Snapshot.make({ metadata: { idempotencyKey: "key", value } }))
        yield* withValue({ a: 1, b: { c: [1, 2] } })
        yield* withValue({ b: { c: [1, 2] }, a: 1 })
        for (
          const value of [{ a: 1, b: { c: [2, 1] } }, { a: 1, b: { c: [12] } }, { a: "1", b: { c: [1, 2] } }, null]
        ) {
          assert.instanceOf(yield* errorOf(withValue(value)), Interceptors.IdempotencyMismatch)
        }
        assert.strictEqual(executions, 1)
      }).pipe(inMemory))

    it.effect("a key whose stage failed is free for other parameters", () =>
      Effect.gen(function*() {
        let fails = true
        const { pipeline } = counted(
          Effect.suspend(() => fails ? Effect.fail(new Broken({ by: "stage" })) : Effect.void)
        )
        yield* errorOf(Pipeline.run(pipeline, keyed("key", { inputText: "one" })))
        fails = false
        assert.strictEqual(yield* executionOf(pipeline, keyed("key", { inputText: "other" })), 2)
      }).pipe(inMemory))
  })

  describe.each(Object.entries(stores))("hands over when its owner is interrupted (%s)", (_, layer) => {
    it.effect("one of those who wait runs the body, and all others get its result", () =>
      Effect.gen(function*() {
        const started = yield* Deferred.make<void>()
        const gate = yield* Deferred.make<void>()
        const { pipeline, witness } = counted(
          Effect.andThen(Deferred.succeed(started, undefined), Deferred.await(gate))
        )
        const owner = yield* background(executionOf(pipeline, keyed("key")))
        yield* Deferred.await(started)
        const waiting = yield* Effect.forEach(
          Array.from({ length: 20 }),
          () => background(executionOf(pipeline, keyed("key")))
        )
        yield* Fiber.interrupt(owner)
        yield* Deferred.succeed(gate, undefined)
        // The clock stands still: nobody waits for the lease to be over.
        assert.deepStrictEqual(new Set(yield* Effect.forEach(waiting, Fiber.join)), new Set([2]))
        assert.deepStrictEqual(witness.counts, [2, 1, 0, 1])
      }).pipe(Effect.provide(layer)))
  })

  describe("hands over when its owner", () => {
    it.effect("is interrupted while it waits: nobody else notices", () =>
      Effect.gen(function*() {
        const gate = yield* Deferred.make<void>()
        const { pipeline, witness } = counted(Deferred.await(gate))
        const owner = yield* background(executionOf(pipeline, keyed("key")))
        const waiting = yield* background(executionOf(pipeline, keyed("key")))
        yield* Fiber.interrupt(waiting)
        yield* Deferred.succeed(gate, undefined)
        assert.strictEqual(yield* Fiber.join(owner), 1)
        assert.strictEqual(yield* executionOf(pipeline, keyed("key")), 1)
        assert.strictEqual(witness.started, 1)
      }).pipe(inMemory))

    it.effect("is gone for good: when its lease is over, and not before", () =>
      Effect.gen(function*() {
        const { broken, layer } = yield* breakable
        const { pipeline, witness } = counted(Effect.suspend(() => witness.started === 1 ? Effect.never : Effect.void))
        yield* Effect.gen(function*() {
          const owner = yield* background(executionOf(pipeline, keyed("key")))
          yield* TestClock.adjust("5 minutes")
          // As if its process had been killed: it renews and releases nothing any more.
          broken.renew = () => Effect.succeed(true)
          broken.release = () => Effect.void
          yield* Fiber.interrupt(owner)
          broken.renew = undefined
          broken.release = undefined
          const next = yield* background(executionOf(pipeline, keyed("key")))
          yield* TestClock.adjust("29 seconds")
          assert.isUndefined(next.pollUnsafe())
          assert.strictEqual(witness.started, 1)
          yield* TestClock.adjust("1 second")
          assert.strictEqual(yield* Fiber.join(next), 2)
        }).pipe(Effect.provide(layer))
      }))

    it.effect("ignores its interruption: when its body has ended, and not before", () =>
      Effect.gen(function*() {
        const gate = yield* Deferred.make<void>()
        const { pipeline, witness } = counted(
          Effect.suspend(() => witness.started === 1 ? Effect.uninterruptible(Deferred.await(gate)) : Effect.void)
        )
        const run = yield* Pipeline.start(pipeline, keyed("key"), { interruptionGrace: "1 second" })
        yield* Effect.yieldNow
        assert.strictEqual(witness.started, 1)
        yield* TestClock.adjust("5 minutes")
        const cancelled = yield* background(run.cancel("enough"))
        yield* TestClock.adjust("1 second")
        yield* Fiber.join(cancelled)
        const next = yield* background(executionOf(pipeline, keyed("key")))
        yield* TestClock.adjust("5 minutes")
        assert.isUndefined(next.pollUnsafe())
        assert.strictEqual(witness.started, 1)
        yield* Deferred.succeed(gate, undefined)
        assert.strictEqual(yield* Fiber.join(next), 2)
      }).pipe(Effect.scoped, inMemory))

    it.effect("ends between the answer and the wait of somebody else: that is not missed", () =>
      Effect.gen(function*() {
        const { broken, layer, store } = yield* breakable
        const gate = yield* Deferred.make<void>()
        const { pipeline, witness } = counted(Deferred.await(gate))
        yield* Effect.gen(function*() {
          const owner = yield* background(executionOf(pipeline, keyed("key")))
          broken.claim = (claim) =>
            Effect.gen(function*() {
              broken.claim = undefined
              const answer = yield* store.claim(claim)
              yield* Deferred.succeed(gate, undefined)
              yield* Fiber.await(owner)
              return answer
            })
          assert.strictEqual(yield* executionOf(pipeline, keyed("key")), 1)
          assert.strictEqual(witness.started, 1)
        }).pipe(Effect.provide(layer))
      }))

    it.effect("is slow, it does not: the lease is renewed while the stage runs", () =>
      Effect.gen(function*() {
        const { pipeline, witness } = counted(Effect.sleep("1 hour"))
        const runs = yield* Effect.forEach(Array.from({ length: 3 }), () =>
          background(executionOf(pipeline, keyed("key"))))
        yield* TestClock.adjust("2 hours")
        assert.deepStrictEqual(yield* Effect.forEach(runs, Fiber.join), [1, 1, 1])
        assert.strictEqual(witness.started, 1)
      }).pipe(inMemory))

    it.effect("was held up beyond its lease: it stops, and gets the result of who took over", () =>
      Effect.gen(function*() {
        const { broken, layer } = yield* breakable
        const { pipeline, witness } = counted(Effect.sleep("1 minute"))
        yield* Effect.gen(function*() {
          // Its renewals do not reach the store.
          broken.renew = () => Effect.succeed(true)
          const first = yield* background(executionOf(pipeline, keyed("key")))
          yield* TestClock.adjust("30 seconds")
          const second = yield* background(executionOf(pipeline, keyed("key")))
          broken.renew = undefined
          assert.strictEqual(witness.started, 2)
          yield* TestClock.adjust("10 seconds")
          assert.deepStrictEqual(witness.counts, [2, 0, 0, 1])
          yield* TestClock.adjust("1 minute")
          assert.deepStrictEqual([yield* Fiber.join(first), yield* Fiber.join(second)], [2, 2])
        }).pipe(Effect.provide(layer))
      }))

    it.effect("finished after it had lost its claim: what counts is the result that is kept", () =>
      Effect.gen(function*() {
        const { broken, layer } = yield* breakable
        const witness = new Witness()
        const added = Effect.suspend(() => StageContext.addArtifact({ type: "by", payload: witness.started }))
        const body = witness.watch(Effect.andThen(added, Effect.sleep("38 seconds")))
        const pipeline = Pipeline.make("pipeline")
          .add(Stage.work("stage", { run: Effect.map(body, () => ({ execution: witness.started })) }))
          .pipe(Pipeline.intercept(idempotency()))
        yield* Effect.gen(function*() {
          broken.renew = () => Effect.succeed(true)
          const first = yield* background(Pipeline.run(pipeline, keyed("key")))
          yield* TestClock.adjust("35 seconds")
          const second = yield* background(Pipeline.run(pipeline, keyed("key")))
          broken.renew = undefined
          yield* TestClock.adjust("3 seconds")
          assert.deepStrictEqual(witness.counts, [2, 1, 0, 0])
          yield* TestClock.adjust("1 minute")
          for (const run of [first, second]) {
            const { stage } = (yield* Fiber.join(run)).outputs
            assert.deepStrictEqual(stage.data, { execution: 2 })
            assert.deepStrictEqual(stage.artifacts, [{ type: "by", payload: 2 }])
          }
        }).pipe(Effect.provide(layer))
      }))
  })

  describe("fails closed when its store is down", () => {
    const unavailable = (error: unknown, operation: string) => {
      assert(error instanceof Interceptors.IdempotencyUnavailable)
      assert.strictEqual(error.code, "IDEMPOTENCY_UNAVAILABLE")
      assert.strictEqual(error.stage, "stage")
      assert.strictEqual(error.operation, operation)
      return error
    }

    const ways = {
      "it fails": () => down,
      "it dies": () => Effect.die(new Error("connection refused")),
      "it throws": () => {
        throw new Error("connection refused")
      },
      "it does not answer": () => Effect.never
    } as const

    for (const [name, broken] of Object.entries(ways)) {
      it.effect(`when ${name}, the body does not run; when it is back, it does`, () =>
        Effect.gen(function*() {
          const fragile = yield* breakable
          const { pipeline, witness } = counted()
          yield* Effect.gen(function*() {
            fragile.broken.claim = broken
            fragile.broken.release = broken
            const error = yield* during(errorOf(Pipeline.run(pipeline, keyed("key"))), "1 minute")
            const { message } = unavailable(error, "claim")
            assert.include(message, "did not run")
            assert.notInclude(message, "connection refused")
            assert.strictEqual(witness.started, 0)
            fragile.broken.claim = undefined
            fragile.broken.release = undefined
            assert.strictEqual(yield* executionOf(pipeline, keyed("key")), 1)
          }).pipe(Effect.provide(fragile.layer))
        }))

      it.effect(`when ${name} after the body ran, the run fails and says so`, () =>
        Effect.gen(function*() {
          const fragile = yield* breakable
          const { pipeline, witness } = counted()
          yield* Effect.gen(function*() {
            fragile.broken.keep = broken
            const error = yield* during(errorOf(Pipeline.run(pipeline, keyed("key"))), "1 minute")
            assert.include(unavailable(error, "keep").message, "\"stage\" ran, but")
            assert.strictEqual(witness.started, 1)
          }).pipe(Effect.provide(fragile.layer))
        }))

      it.effect(`when ${name} while the body runs, it is interrupted before its lease is over`, () =>
        Effect.gen(function*() {
          const fragile = yield* breakable
          const { pipeline, witness } = counted(Effect.never)
          yield* Effect.gen(function*() {
            const run = yield* background(errorOf(Pipeline.run(pipeline, keyed("key"))))
            yield* TestClock.adjust("1 minute")
            fragile.broken.renew = broken
            yield* TestClock.adjust("30 seconds")
            unavailable(yield* Fiber.join(run), "renew")
            assert.deepStrictEqual(witness.counts, [1, 0, 0, 1])
          }).pipe(Effect.provide(fragile.layer))
        }))
    }

    it.effect("a store that is down for a moment while the body runs does no harm", () =>
      Effect.gen(function*() {
        const fragile = yield* breakable
        const { pipeline, witness } = counted(Effect.sleep("1 minute"))
        yield* Effect.gen(function*() {
          const run = yield* background(executionOf(pipeline, keyed("key")))
          fragile.broken.renew = ways["it fails"]
          yield* TestClock.adjust("15 seconds")
          fragile.broken.renew = undefined
          yield* TestClock.adjust("1 minute")
          assert.strictEqual(yield* Fiber.join(run), 1)
          assert.strictEqual(witness.started, 1)
        }).pipe(Effect.provide(fragile.layer))
      }))

    it.effect("a claim that cannot be let go does not change how the stage ended", () =>
      Effect.gen(function*() {
        const fragile = yield* breakable
        const { pipeline } = counted(Effect.fail(new Broken({ by: "stage" })))
        fragile.broken.release = ways["it fails"]
        const error = yield* errorOf(Pipeline.run(pipeline, keyed("key"))).pipe(Effect.provide(fragile.layer))
        assert.instanceOf(error, Broken)
      }))

    it.effect("a key or parameters that cannot be computed", () =>
      Effect.gen(function*() {
        const fails = () => {
          throw new Error("secret")
        }
        for (const settings of [{ key: fails }, { parameters: fails }, { parameters: () => fails }]) {
          const { pipeline, witness } = counted(Effect.void, settings)
          const error = yield* errorOf(Pipeline.run(pipeline, keyed("key")))
          assert(error instanceof Interceptors.KeyFailed)
          assert.notInclude(error.message, "secret")
          assert.strictEqual(witness.started, 0)
        }
      }).pipe(inMemory))
  })

  describe("the effect of a body that succeeded is not repeated, whatever is interrupted afterwards", () => {
    /** Interrupts a run that keeps its result, and says how often the body ran when the next one has its result. */
    const interruptedWhileKept = (interrupt: (run: Fiber.Fiber<unknown, unknown>) => Effect.Effect<unknown>) =>
      Effect.gen(function*() {
        const { broken, layer, store } = yield* breakable
        const keeping = yield* Deferred.make<void>()
        const gate = yield* Deferred.make<void>()
        broken.keep = (claim) =>
          Effect.gen(function*() {
            broken.keep = undefined
            yield* Deferred.succeed(keeping, undefined)
            yield* Deferred.await(gate)
            return yield* store.keep(claim)
          })
        const { pipeline, witness } = counted()
        yield* Effect.gen(function*() {
          const first = yield* background(executionOf(pipeline, keyed("key")))
          yield* Deferred.await(keeping)
          const interrupted = yield* background(interrupt(first))
          yield* Effect.yieldNow
          const second = yield* background(executionOf(pipeline, keyed("key")))
          yield* Deferred.succeed(gate, undefined)
          yield* Fiber.await(interrupted)
          assert.isTrue(Exit.hasInterrupts(yield* Fiber.await(first)))
          assert.strictEqual(yield* Fiber.join(second), 1)
          assert.strictEqual(yield* executionOf(pipeline, keyed("key")), 1)
          assert.deepStrictEqual(witness.counts, [1, 1, 0, 0])
        }).pipe(Effect.provide(layer))
      })

    it.effect("its run is interrupted while its result is being kept", () =>
      interruptedWhileKept((run) => Fiber.interrupt(run)))

    it.effect("and twice", () =>
      interruptedWhileKept((run) => Effect.all([Fiber.interrupt(run), Fiber.interrupt(run)], { concurrency: 2 })))

    for (const outside of [true, false]) {
      it.effect(`a timeout ${outside ? "outside of" : "inside"} idempotency fires while it is being kept`, () =>
        Effect.gen(function*() {
          const { broken, layer, store } = yield* breakable
          broken.keep = (claim) => {
            broken.keep = undefined
            return Effect.delay(store.keep(claim), "5 seconds")
          }
          const witness = new Witness()
          const stage = Stage.work("stage", {
            run: Effect.map(witness.watch(Effect.void), () => ({ n: witness.started }))
          })
          const pipeline = Pipeline.make("pipeline").add(
            outside
              ? stage.pipe(Stage.intercept(idempotency()), Stage.timeout("1 second"))
              : stage.pipe(Stage.timeout("1 second"), Stage.intercept(idempotency()))
          )
          yield* Effect.gen(function*() {
            const first = yield* during(Effect.exit(Pipeline.run(pipeline, keyed("key"))), "1 minute")
            assert.strictEqual(Exit.isSuccess(first), !outside)
            const second = yield* Pipeline.run(pipeline, keyed("key"))
            assert.deepStrictEqual(second.outputs.stage.data, { n: 1 })
            assert.strictEqual(witness.started, 1)
          }).pipe(Effect.provide(layer))
        }))
    }

    it.effect("it interrupts its own run as the last thing it does", () =>
      Effect.gen(function*() {
        let executions = 0
        let onExecution = () => {}
        const stage = Stage.work("stage", {
          run: Effect.andThen(
            Effect.yieldNow,
            Effect.sync(() => {
              executions++
              onExecution()
              return { executions }
            })
          )
        })
        for (const inside of [[], [Interceptors.timeout("1 second"), Interceptors.retry()]]) {
          executions = 0
          const pipeline = Pipeline.make("pipeline").add(stage).pipe(Pipeline.intercept(idempotency(), ...inside))
          const key = `key ${inside.length}`
          const controller = new AbortController()
          onExecution = () => controller.abort()
          const context = yield* Effect.context<Interceptors.IdempotencyStore>()
          const exit = yield* Effect.promise(() =>
            Effect.runPromiseExitWith(context)(Pipeline.run(pipeline, keyed(key)), { signal: controller.signal })
          )
          assert.isTrue(Exit.hasInterrupts(exit))
          onExecution = () => {}
          assert.deepStrictEqual((yield* Pipeline.run(pipeline, keyed(key))).outputs.stage.data, { executions: 1 })
          assert.strictEqual(executions, 1)
        }
      }).pipe(inMemory))

    it.effect("something else inside gave up on it, before it succeeded", () =>
      Effect.gen(function*() {
        const impatient = Interceptor.make({
          name: "impatient",
          around: (effect) =>
            Effect.raceFirst(effect, Effect.delay(Effect.fail(new Broken({ by: "impatient" })), "1 second"))
        })
        const witness = new Witness()
        const body = Effect.map(witness.watch(Effect.sleep("5 seconds")), () => ({ n: witness.started }))
        const stage = Stage.work("stage", { run: body }).pipe(
          Stage.intercept(Interceptor.make({ name: "whole", around: Effect.uninterruptible }))
        )
        const pipeline = Pipeline.make("pipeline").add(stage).pipe(Pipeline.intercept(idempotency(), impatient))
        const first = yield* during(errorOf(Pipeline.run(pipeline, keyed("key"))), "5 seconds")
        assert.instanceOf(first, Broken)
        assert.deepStrictEqual((yield* Pipeline.run(pipeline, keyed("key"))).outputs.stage.data, { n: 1 })
        assert.strictEqual(witness.started, 1)
      }).pipe(inMemory))

    it.effect("something inside has rejected what it gave: the next one is judged on the same, and does not run it", () =>
      Effect.gen(function*() {
        let executions = 0
        let rejects = true
        // Adds something each time, before and after the stage's own Effect.
        const picky = Interceptor.make({
          name: "picky",
          order: 90,
          around: (effect) =>
            Effect.gen(function*() {
              yield* StageContext.addArtifact({ type: "before", payload: {} })
              const outcome = yield* effect
              if (rejects) return yield* new Broken({ by: "picky" })
              return outcome
            })
        })
        const stage = Stage.work("stage", {
          run: Effect.gen(function*() {
            executions++
            yield* StageContext.addArtifact({ type: "own", payload: executions })
            return { executions }
          })
        })
        const pipeline = Pipeline.make("pipeline").add(stage).pipe(Pipeline.intercept(idempotency(), picky))
        const run = Pipeline.run(pipeline, keyed("key"))
        for (let round = 0; round < 3; round++) assert.instanceOf(yield* errorOf(run), Broken)
        rejects = false
        const { outputs } = yield* run
        assert.deepStrictEqual(outputs.stage.data, { executions: 1 })
        assert.deepStrictEqual(outputs.stage.artifacts.map(({ type }) => type), ["own", "before"])
        assert.strictEqual(executions, 1)
      }).pipe(inMemory))

    it.effect("what is around the stage's own Effect has a say in what it gave, each time", () =>
      Effect.gen(function*() {
        const { broken, layer } = yield* breakable
        const gate = yield* Deferred.make<void>()
        let executions = 0
        // After the stage's own Effect: it lets only admins see what that gave.
        const policy = Interceptor.make({
          name: "policy",
          order: 90,
          around: (effect) =>
            Effect.tap(effect, () =>
              Effect.gen(function*() {
                yield* Deferred.await(gate)
                if ((yield* Snapshot.current).userId !== "admin") return yield* new Broken({ by: "policy" })
              }))
        })
        const stage = Stage.work("stage", {
          run: Effect.gen(function*() {
            executions++
            yield* StageContext.addArtifact({ type: "added", payload: executions })
            return { executions }
          })
        })
        const pipeline = Pipeline.make("pipeline").add(stage).pipe(Pipeline.intercept(idempotency(), policy))
        yield* Effect.gen(function*() {
          const first = yield* background(Pipeline.run(pipeline, keyed("key")))
          yield* Fiber.interrupt(first)
          yield* Deferred.succeed(gate, undefined)
          for (let round = 0; round < 2; round++) {
            assert.instanceOf(yield* errorOf(Pipeline.run(pipeline, keyed("key"))), Broken)
            const { outputs } = yield* Pipeline.run(pipeline, keyed("key", { userId: "admin" }))
            assert.deepStrictEqual(outputs.stage.data, { executions: 1 })
            assert.deepStrictEqual(outputs.stage.artifacts, [{ type: "added", payload: 1 }])
            assert.deepStrictEqual(outputs.stage.events, [{ type: "idempotency.replayed", data: {} }])
          }
          assert.strictEqual(executions, 1)
          assert.isUndefined(broken.claim)
        }).pipe(Effect.provide(layer))
      }))

    it.effect("a success that something inside has rejected is none", () =>
      Effect.gen(function*() {
        let executions = 0
        const stage = Stage.work("stage", {
          run: Effect.suspend(() => ++executions === 2 ? Effect.never : Effect.succeed({ executions }))
        })
        const picky = Interceptor.make({
          name: "picky",
          order: 80,
          around: (effect) =>
            Effect.tap(effect, () => executions === 1 ? Effect.fail(new Broken({ by: "picky" })) : Effect.void)
        })
        const pipeline = Pipeline.make("pipeline").add(stage)
          .pipe(Pipeline.intercept(idempotency(), Interceptors.retry(Schedule.recurs(3)), picky))
        const first = yield* background(Pipeline.run(pipeline, keyed("key")))
        yield* Effect.yieldNow
        assert.strictEqual(executions, 2)
        yield* Fiber.interrupt(first)
        assert.deepStrictEqual((yield* Pipeline.run(pipeline, keyed("key"))).outputs.stage.data, { executions: 3 })
      }).pipe(inMemory))

    it.effect("something that the stage left running asks again", () =>
      Effect.gen(function*() {
        let executions = 0
        let again: Effect.Effect<unknown, unknown, Interceptors.IdempotencyStore> = Effect.void
        let later: Fiber.Fiber<unknown, unknown> | undefined
        const stage = Stage.work("stage", {
          run: Effect.gen(function*() {
            executions++
            later = yield* Effect.forkDetach(Effect.orDie(Effect.delay(again, "1 minute")))
            return { executions }
          })
        })
        const pipeline = Pipeline.make("pipeline").add(stage).pipe(Pipeline.intercept(idempotency()))
        again = Pipeline.run(pipeline, keyed("key"))
        yield* again
        yield* TestClock.adjust("1 minute")
        assert.isDefined(later?.pollUnsafe())
        assert.strictEqual(executions, 1)
      }).pipe(inMemory))

    const bodies = {
      "never waits": Effect.void,
      "yields": Effect.yieldNow,
      "waits": Effect.promise(() => Promise.resolve())
    } as const

    const around = {
      "nothing inside": [],
      "timeout, retry and more inside": [
        Interceptors.timeout("1 second"),
        Interceptors.retry(),
        Interceptors.outputSize({ maxBytes: 1000 }),
        Interceptors.logging(),
        Interceptors.tracing()
      ]
    }

    for (const [name, work] of Object.entries(bodies)) {
      for (const [where, inside] of Object.entries(around)) {
        for (const moment of ["while it goes on", "while it yields"] as const) {
          it.live(`it is interrupted at any step, ${moment}; the body ${name}; ${where}`, () =>
            Effect.gen(function*() {
              const { broken, layer, store } = yield* breakable
              // What is far away takes its time.
              broken.claim = (claim) => Effect.andThen(Effect.yieldNow, store.claim(claim))
              broken.keep = (claim) => Effect.andThen(Effect.yieldNow, store.keep(claim))
              broken.release = (claim) => Effect.andThen(Effect.yieldNow, store.release(claim))
              let effects = 0
              let key = "counted"
              const stage = Stage.work("stage", {
                run: Effect.andThen(
                  work,
                  Effect.sync(() => {
                    effects++
                    return { key }
                  })
                )
              })
              const steps = new Steps(moment)
              const interrupter = Interceptor.make({ name: "interrupter", order: 10, around: steps.around })
              const pipeline = Pipeline.make("pipeline").add(stage)
                .pipe(Pipeline.intercept(interrupter, idempotency(), ...inside))
              const run = Effect.provide(Effect.suspend(() => Pipeline.run(pipeline, keyed(key))), layer)
              yield* run
              const count = steps.counted
              assert.isAbove(count, 50)
              for (let step = 1; step <= count; step++) {
                effects = 0
                key = `key ${step}`
                steps.interruptAt(step)
                yield* Effect.exit(run)
                steps.interruptAt(undefined)
                const { outputs } = yield* run
                assert.deepStrictEqual(outputs.stage.data, { key })
                assert.strictEqual(effects, 1, `interrupted at step ${step} of ${count}`)
              }
            }))
        }
      }
    }
  })

  describe("the effect of a body that succeeded is not repeated, when its result cannot be kept", () => {
    const twenty = Array.from({ length: 20 })

    /** A pipeline whose stage gives this, and how often it ran. */
    const giving = (data: () => object, work: Effect.Effect<void> = Effect.void) => {
      const witness = new Witness()
      const pipeline = Pipeline.make("pipeline")
        .add(Stage.work("stage", { run: Effect.map(witness.watch(work), data) }))
        .pipe(Pipeline.intercept(idempotency()))
      return { pipeline, witness }
    }

    const unkeepable = {
      "a date": () => ({ deep: { at: new Date(0) } }),
      "a function": () => ({ deep: () => 1 }),
      "itself": () => {
        const data: { self?: unknown } = {}
        data.self = data
        return data
      },
      "something too deep": () =>
        twenty.reduce<object>((inner) => hundred.reduce<object>((inner) => ({ inner }), inner), {}),
      "a getter that throws": () => ({
        get broken(): string {
          throw new Error("secret")
        }
      })
    }
    const hundred = Array.from({ length: 1000 })

    for (const [name, data] of Object.entries(unkeepable)) {
      it.effect(`data that holds ${name}: the stage fails, then and for whoever asks again`, () =>
        Effect.gen(function*() {
          const gate = yield* Deferred.make<void>()
          const { pipeline, witness } = giving(data, Deferred.await(gate))
          const runs = yield* Effect.forEach(twenty, () => background(errorOf(Pipeline.run(pipeline, keyed("key")))))
          yield* Deferred.succeed(gate, undefined)
          const errors = yield* Effect.forEach(runs, Fiber.join)
          errors.push(yield* errorOf(Pipeline.run(pipeline, keyed("key"))))
          for (const error of errors) {
            assert(error instanceof Interceptors.IdempotencyResultInvalid)
            assert.strictEqual(error.code, "IDEMPOTENCY_RESULT_INVALID")
            assert.strictEqual(error.operation, "keep")
            assert.notInclude(JSON.stringify(error), "secret")
          }
          assert.strictEqual(witness.started, 1)
        }).pipe(inMemory))
    }

    it.effect("a field that is undefined is no reason to fail", () =>
      Effect.gen(function*() {
        const { pipeline, witness } = giving(() => ({ a: 1, b: undefined, c: [{ d: undefined }] }))
        for (const run of twenty.map(() => Pipeline.run(pipeline, keyed("key")))) {
          const { data } = (yield* run).outputs.stage as { readonly data: Record<string, unknown> }
          assert.strictEqual(data["a"], 1)
          assert.isUndefined(data["b"])
          assert.lengthOf(data["c"] as ReadonlyArray<unknown>, 1)
        }
        assert.strictEqual(witness.started, 1)
      }).pipe(inMemory))

    it.effect("data whose schema does not say how to write it: the body does not run", () =>
      Effect.gen(function*() {
        class Handle {
          readonly open = true
        }
        let executions = 0
        const stage = Stage.work("stage", {
          output: Schema.Struct({ list: Schema.Array(Schema.Option(Schema.instanceOf(Handle))) }),
          run: Effect.sync(() => {
            executions++
            return { list: [Option.some(new Handle())] }
          })
        })
        const pipeline = Pipeline.make("pipeline").add(stage).pipe(Pipeline.intercept(idempotency()))
        for (let round = 0; round < 2; round++) {
          const error = yield* errorOf(Pipeline.run(pipeline, keyed("key")))
          assert(error instanceof Interceptors.IdempotencyResultInvalid)
          assert.strictEqual(error.operation, "claim")
          assert.deepStrictEqual(error.problems.map(({ path }) => path), [["data", "list", "*"]])
          assert.include(error.message, "did not run")
        }
        assert.strictEqual(executions, 0)
      }).pipe(inMemory))

    it.effect("a getter that says something else each time is read once", () =>
      Effect.gen(function*() {
        let reads = 0
        const seen: Array<object> = []
        const { pipeline } = giving(() => ({
          get reads() {
            return ++reads
          }
        }))
        for (let round = 0; round < 3; round++) {
          const { data } = (yield* Pipeline.run(pipeline, keyed("key"))).outputs.stage as { readonly data: object }
          seen.push({ ...data })
        }
        assert.deepStrictEqual(seen, seen.map(() => seen[0]))
      }).pipe(inMemory))

    it.effect("a store that is down: the claim stays for its lease", () =>
      Effect.gen(function*() {
        const { broken, layer } = yield* breakable
        const { pipeline, witness } = counted()
        broken.keep = () => down
        yield* Effect.gen(function*() {
          const error = yield* errorOf(Pipeline.run(pipeline, keyed("key")))
          assert.instanceOf(error, Interceptors.IdempotencyUnavailable)
          const others = yield* Effect.forEach(
            twenty,
            () => background(Effect.exit(executionOf(pipeline, keyed("key"))))
          )
          yield* TestClock.adjust("29 seconds")
          assert.strictEqual(witness.started, 1)
          broken.keep = undefined
          yield* TestClock.adjust("1 second")
          // One of them took over.
          for (const other of others) assert.deepStrictEqual(yield* Fiber.join(other), Exit.succeed(2))
          assert.strictEqual(witness.started, 2)
        }).pipe(Effect.provide(layer))
      }))

    it.effect("a store that is down for a while: it is told, and kept as soon as it can be", () =>
      Effect.gen(function*() {
        const { broken, layer } = yield* breakable
        const { pipeline, witness } = counted()
        broken.keep = () => down
        yield* Effect.gen(function*() {
          assert.instanceOf(yield* errorOf(Pipeline.run(pipeline, keyed("key"))), Interceptors.IdempotencyUnavailable)
          yield* TestClock.adjust("3 seconds")
          broken.keep = undefined
          yield* TestClock.adjust("10 seconds")
          assert.strictEqual(yield* executionOf(pipeline, keyed("key")), 1)
          assert.strictEqual(witness.started, 1)
        }).pipe(Effect.provide(layer))
      }))

    it.effect("a store that does not take as much: what it takes says that the stage ran", () =>
      Effect.gen(function*() {
        const { broken, layer, store } = yield* breakable
        const { pipeline, witness } = giving(() => ({ large: "x".repeat(1000) }))
        broken.keep = (claim) => claim.result.length > 500 ? down : store.keep(claim)
        yield* Effect.gen(function*() {
          assert.instanceOf(yield* errorOf(Pipeline.run(pipeline, keyed("key"))), Interceptors.IdempotencyUnavailable)
          yield* TestClock.adjust("5 minutes")
          const error = yield* errorOf(Pipeline.run(pipeline, keyed("key")))
          assert(error instanceof Interceptors.IdempotencyResultInvalid)
          assert.strictEqual(error.operation, "keep")
          assert.strictEqual(witness.started, 1)
        }).pipe(Effect.provide(layer))
      }))

    it.effect("a store that fails after it said yes, or after it did what it was asked", () =>
      Effect.gen(function*() {
        const { broken, layer, store } = yield* breakable
        const { pipeline, witness } = counted()
        yield* Effect.gen(function*() {
          broken.keep = (claim) => Effect.andThen(store.keep(claim), down)
          yield* errorOf(Pipeline.run(pipeline, keyed("key")))
          broken.keep = undefined
          assert.strictEqual(yield* executionOf(pipeline, keyed("key")), 1)
          broken.claim = (claim) => Effect.andThen(store.claim(claim), down)
          yield* errorOf(Pipeline.run(pipeline, keyed("other key")))
          broken.claim = undefined
          // Nothing is left of the claim.
          assert.strictEqual(yield* executionOf(pipeline, keyed("other key")), 2)
          let failures = 0
          broken.keep = (claim) => Effect.andThen(store.keep(claim), failures++ === 0 ? down : Effect.succeed(true))
          assert.strictEqual(yield* executionOf(pipeline, keyed("third key")), 3)
          assert.strictEqual(yield* executionOf(pipeline, keyed("third key")), 3)
          assert.strictEqual(witness.started, 3)
        }).pipe(Effect.provide(layer))
      }))
  })

  describe("a body that was left behind keeps its claim while it runs", () => {
    /** A body that ignores its interruption for a minute. */
    const deaf = Effect.uninterruptible(Effect.sleep("1 minute"))

    type Numbered<E = never, R = never> = Stage.Stage<"stage", unknown, { readonly execution: number }, never, E, R>
    type Wrapped = Numbered<Interceptors.IdempotencyError | StageError.StageTimeout, Interceptors.IdempotencyStore>

    const brief = Stage.timeout("1 second", { grace: "1 second" })

    const ways: Record<string, (stage: Numbered) => Wrapped> = {
      "by a timeout inside of idempotency": (stage) => stage.pipe(brief, Stage.intercept(idempotency())),
      "by a timeout outside of idempotency": (stage) => stage.pipe(Stage.intercept(idempotency()), brief),
      "by its run": (stage) => stage.pipe(Stage.intercept(idempotency()))
    }

    for (const [name, around] of Object.entries(ways)) {
      for (const succeeds of [true, false]) {
        it.effect(`${name}; then it ${succeeds ? "succeeds, and its result is replayed" : "has not, and the next one runs"}`, () =>
          Effect.gen(function*() {
            const witness = new Witness()
            const body = Effect.map(
              witness.watch(Effect.suspend(() => witness.started === 1 ? deaf : Effect.void)),
              () => ({ execution: witness.started })
            )
            const own: Numbered = Stage.work("stage", { run: body })
            // What is uninterruptible as a whole succeeds as a whole.
            const whole: Numbered = succeeds
              ? own.pipe(Stage.intercept(Interceptor.make({ name: "deaf", around: Effect.uninterruptible })))
              : own
            const pipeline = Pipeline.make("pipeline").add(around(whole))
            const run = yield* Pipeline.start(pipeline, keyed("key"), { interruptionGrace: "1 second" })
            yield* TestClock.adjust("1 second")
            if (name === "by its run") yield* Effect.forkChild(run.cancel("enough"))
            yield* TestClock.adjust("2 seconds")
            const first = yield* background(run.await)
            yield* TestClock.adjust("1 second")
            assert.isDefined(first.pollUnsafe())
            assert.strictEqual(witness.started, 1)
            // One that waits as long as it takes.
            const patient = Pipeline.make("pipeline").add(own.pipe(Stage.intercept(idempotency())))
            const second = yield* background(Pipeline.run(patient, keyed("key")))
            // Longer than a lease.
            yield* TestClock.adjust("50 seconds")
            assert.isUndefined(second.pollUnsafe())
            assert.strictEqual(witness.started, 1)
            yield* TestClock.adjust("10 seconds")
            assert.deepStrictEqual((yield* Fiber.join(second)).outputs.stage.data, { execution: succeeds ? 1 : 2 })
            assert.strictEqual(witness.started, succeeds ? 1 : 2)
          }).pipe(Effect.scoped, inMemory))
      }
    }
  })

  describe("a body that was left behind keeps its claim", () => {
    const wholly = Interceptor.make({ name: "whole", order: 95, around: Effect.uninterruptible })

    const deafFor = (minutes: number) => {
      const witness = new Witness()
      const body = Effect.map(
        witness.watch(Effect.suspend(() => witness.started === 1 ? Effect.sleep(`${minutes} minutes`) : Effect.void)),
        () => ({ execution: witness.started })
      )
      const pipeline = Pipeline.make("pipeline").add(Stage.work("stage", { run: body }))
        .pipe(Pipeline.intercept(idempotency(), wholly))
      return { witness, pipeline }
    }

    it.effect("also when its store was down for so long that the body was interrupted", () =>
      Effect.gen(function*() {
        const { broken, layer } = yield* breakable
        const { pipeline, witness } = deafFor(2)
        yield* Effect.gen(function*() {
          const first = yield* background(Effect.exit(executionOf(pipeline, keyed("key"))))
          broken.renew = () => down
          yield* TestClock.adjust("21 seconds")
          broken.renew = undefined
          const second = yield* background(executionOf(pipeline, keyed("key")))
          yield* TestClock.adjust("90 seconds")
          assert.strictEqual(witness.started, 1)
          yield* TestClock.adjust("1 minute")
          assert.isDefined(first.pollUnsafe())
          assert.strictEqual(yield* Fiber.join(second), 1)
        }).pipe(Effect.provide(layer))
      }))

    it.effect("also when the stage has ended with something else, which could not be kept", () =>
      Effect.gen(function*() {
        const { broken, layer } = yield* breakable
        const { pipeline, witness } = deafFor(5)
        const impatient = Pipeline.intercept(
          Interceptors.fallback({ when: () => true, to: () => Effect.succeed({ execution: 0 }) }),
          Interceptors.timeout("1 second", { grace: "1 second" })
        )
        yield* Effect.gen(function*() {
          broken.keep = () => down
          const error = yield* during(errorOf(Pipeline.run(pipeline.pipe(impatient), keyed("key"))), "3 seconds")
          assert.instanceOf(error, Interceptors.IdempotencyUnavailable)
          const second = yield* background(executionOf(pipeline, keyed("key")))
          // Longer than a lease.
          yield* TestClock.adjust("2 minutes")
          assert.isUndefined(second.pollUnsafe())
          assert.strictEqual(witness.started, 1)
        }).pipe(Effect.provide(layer))
      }))
  })

  describe("runs the body once, whatever the clock on the wall does meanwhile", () => {
    for (const [name, hours] of [["ahead", 1], ["back", -1]] as const) {
      it.effect(`it is set ${name}`, () =>
        Effect.gen(function*() {
          const real = yield* Clock.Clock
          let set = 0
          const wall: Clock.Clock = {
            currentTimeMillisUnsafe: () => real.currentTimeMillisUnsafe() + set,
            currentTimeMillis: Effect.sync(() => real.currentTimeMillisUnsafe() + set),
            currentTimeNanosUnsafe: () => real.currentTimeNanosUnsafe() + BigInt(set) * 1_000_000n,
            currentTimeNanos: Effect.sync(() => real.currentTimeNanosUnsafe() + BigInt(set) * 1_000_000n),
            monotonicTimeNanosUnsafe: () => real.monotonicTimeNanosUnsafe(),
            monotonicTimeNanos: real.monotonicTimeNanos,
            sleep: (duration) => real.sleep(duration)
          }
          const { pipeline, witness } = counted(Effect.sleep("1 minute"))
          const run = Effect.provideService(executionOf(pipeline, keyed("key")), Clock.Clock, wall)
          const first = yield* background(run)
          yield* TestClock.adjust("25 seconds")
          set = hours * 60 * 60 * 1000
          const second = yield* background(run)
          yield* TestClock.adjust("1 minute")
          assert.deepStrictEqual([yield* Fiber.join(first), yield* Fiber.join(second)], [1, 1])
          assert.strictEqual(witness.started, 1)
        }).pipe(inMemory))
    }
  })

  describe("ends with a typed error after a stated number of losses", () => {
    it.effect("of owners who let their lease run out, 3 unless it says otherwise", () =>
      Effect.gen(function*() {
        const { broken, layer, store } = yield* breakable
        for (const [settings, limit] of [[{}, 3], [{ losses: 1 }, 1]] as const) {
          const { pipeline, witness } = counted(Effect.never, settings)
          const key = `key ${limit}`
          yield* Effect.gen(function*() {
            for (let owner = 1; owner <= limit; owner++) {
              // As if its process had been killed.
              broken.release = () => Effect.void
              const run = yield* background(executionOf(pipeline, keyed(key)))
              yield* Effect.yieldNow
              assert.strictEqual(witness.started, owner)
              yield* Fiber.interrupt(run)
              broken.release = undefined
              yield* TestClock.adjust("30 seconds")
            }
            for (let round = 0; round < 2; round++) {
              const error = yield* errorOf(Pipeline.run(pipeline, keyed(key)))
              assert(error instanceof Interceptors.IdempotencyLost)
              assert.strictEqual(error.code, "IDEMPOTENCY_LOST")
              assert.strictEqual(error.losses, limit)
              assert.strictEqual(error.key, key)
            }
            assert.strictEqual(witness.started, limit)
          }).pipe(Effect.provide(layer))
        }
        assert.isDefined(store)
      }))

    it.effect("a body that outlives every lease is not run without end by two who take it from one another", () =>
      Effect.gen(function*() {
        const { broken, layer, store } = yield* breakable
        const witness = new Witness()
        const claimedAt = new Map<string, number>()
        broken.claim = (claim) => {
          claimedAt.set(claim.owner, claim.now)
          return store.claim(claim)
        }
        // Whoever runs the body does not come to renew its claim before its lease is over.
        broken.renew = (claim) =>
          Effect.flatMap(
            Clock.currentTimeMillis,
            (now) => now < (claimedAt.get(claim.owner) ?? 0) + 31_000 ? Effect.succeed(true) : store.renew(claim)
          )
        const pipeline = Pipeline.make("pipeline")
          .add(Stage.work("stage", { run: witness.watch(Effect.sleep("1 hour")) }))
          .pipe(Pipeline.intercept(idempotency()))
        yield* Effect.gen(function*() {
          const runs = yield* Effect.forEach([1, 2], () => background(errorOf(Pipeline.run(pipeline, keyed("key")))))
          yield* TestClock.adjust("10 minutes")
          for (const run of runs) assert.instanceOf(yield* Fiber.join(run), Interceptors.IdempotencyLost)
          assert.isAtMost(witness.started, 4)
        }).pipe(Effect.provide(layer))
      }))

    it.effect("also with a store that does not count them", () =>
      Effect.gen(function*() {
        const { broken, layer, store } = yield* breakable
        broken.claim = (claim) =>
          Effect.map(store.claim(claim), (answer) => answer._tag === "Claimed" ? { _tag: "Claimed" } : answer)
        // Whoever renews its claim has lost it.
        broken.renew = ({ key, owner }) => Effect.as(store.release({ key, owner }), false)
        const { pipeline, witness } = counted(Effect.never)
        yield* Effect.gen(function*() {
          const error = yield* during(errorOf(Pipeline.run(pipeline, keyed("key"))), "5 minutes")
          assert(error instanceof Interceptors.IdempotencyLost)
          assert.isAtMost(witness.started, 4)
        }).pipe(Effect.provide(layer))
      }))

    it.effect("who runs it anew after a loss has nothing of the first time", () =>
      Effect.gen(function*() {
        const { broken, layer, store } = yield* breakable
        let executions = 0
        const stage = Stage.work("stage", {
          run: Effect.gen(function*() {
            executions++
            yield* StageContext.addArtifact({ type: "by", payload: executions })
            if (executions === 1) return yield* Effect.never
            return { executions }
          })
        })
        const pipeline = Pipeline.make("pipeline").add(stage).pipe(Pipeline.intercept(idempotency()))
        broken.renew = ({ key, owner }) => {
          broken.renew = undefined
          return Effect.as(store.release({ key, owner }), false)
        }
        yield* Effect.gen(function*() {
          const { outputs } = yield* during(Pipeline.run(pipeline, keyed("key")), "1 minute")
          assert.deepStrictEqual(outputs.stage.data, { executions: 2 })
          assert.deepStrictEqual(outputs.stage.artifacts, [{ type: "by", payload: 2 }])
        }).pipe(Effect.provide(layer))
      }))

    it.effect("a body that succeeded without its claim is not run again: its result is kept when it can be", () =>
      Effect.gen(function*() {
        const { broken, layer } = yield* breakable
        // Renewals do not reach the store, and the body takes longer than a lease.
        broken.renew = () => Effect.succeed(true)
        const { pipeline, witness } = counted(Effect.sleep("40 seconds"))
        yield* Effect.gen(function*() {
          const runs = yield* Effect.forEach([1, 2, 3], () => background(executionOf(pipeline, keyed("key"))))
          yield* TestClock.adjust("10 minutes")
          const results = yield* Effect.forEach(runs, Fiber.join)
          assert.strictEqual(new Set(results).size, 1)
          assert.isAtMost(witness.started, 3)
          assert.strictEqual(yield* executionOf(pipeline, keyed("key")), results[0])
        }).pipe(Effect.provide(layer))
      }))
  })

  describe("reports a mismatch of parameters, of whatever tells a stage what to do", () => {
    const base = { metadata: { idempotencyKey: "key", amount: 100 } } as const

    class Basket extends Extension.make<Basket>()("basket", Schema.Struct({ amount: Schema.Number })) {}

    const others: Record<string, Snapshot.With<never>> = {
      "metadata": Snapshot.make({ metadata: { idempotencyKey: "key", amount: 1000 } }),
      "text": Snapshot.make({ ...base, inputText: "1000" }),
      "messages": Snapshot.make({ ...base, messages: [{ role: "user", content: "1000" }] }),
      "extensions": Snapshot.make(base).pipe(Snapshot.extend(Basket, { amount: 1000 })),
      "enrichments": Snapshot.make({ ...base, enrichments: { profile: { displayName: "other" } } }),
      "routing": Snapshot.make({ ...base, routingDecision: { agentId: "other" } }),
      "topology": Snapshot.make({ ...base, topology: "other" }),
      "mode": Snapshot.make({ ...base, executionMode: "other" }),
      "input": Snapshot.make({ ...base, input: { amount: 1000 } })
    }

    for (const [name, other] of Object.entries(others)) {
      it.effect(name, () =>
        Effect.gen(function*() {
          const { pipeline, witness } = counted()
          for (let round = 0; round < 2; round++) yield* executionOf(pipeline, Snapshot.make(base))
          assert.instanceOf(yield* errorOf(Pipeline.run(pipeline, other)), Interceptors.IdempotencyMismatch)
          assert.strictEqual(witness.started, 1)
        }).pipe(inMemory))
    }

    it.effect("and not of who asks, or which run it is", () =>
      Effect.gen(function*() {
        const { pipeline, witness } = counted()
        const ids = [{}, { userId: "one" }, { sessionId: "other" }, {
          requestId: "r",
          pipelineRunId: "p",
          interactionId: "i"
        }]
        for (const id of ids) assert.strictEqual(yield* executionOf(pipeline, Snapshot.make({ ...base, ...id })), 1)
        assert.strictEqual(witness.started, 1)
      }).pipe(inMemory))
  })
})
