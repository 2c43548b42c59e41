import { assert, describe, it } from "@effect/vitest"
import { DateTime, Deferred, Duration, Effect, Exit, Fiber, Option, Redacted, Result, Schedule, Schema } from "effect"
import { TestClock } from "effect/testing"
import { queryObjects } from "node:v8"
import { Interceptor, Pipeline, type RunResult, Snapshot, Stage, StageError, StageOutput } from "stageflow"
import * as Interceptors from "stageflow/interceptors"
import { StageTest } from "stageflow/testing"
import { breakable } from "./support/stores.ts"

const { IdempotencyStore, idempotency } = Interceptors

class Denied extends Schema.TaggedError<Denied>()("Denied", {}) {}

const inMemory = Effect.provide(IdempotencyStore.layerMemory)

const keyed = (idempotencyKey: Schema.Json = "key", fields: Snapshot.Input = {}) =>
  Snapshot.make({ ...fields, metadata: { idempotencyKey } })

/** A stage that counts its executions outside of the library. */
const counting = <const Name extends string>(name: Name, work: Effect.Effect<unknown, Denied> = Effect.void) => {
  const count = { executions: 0 }
  const run = Effect.suspend(() => {
    count.executions++
    return Effect.as(work, { by: name as string, execution: count.executions })
  })
  return { count, stage: Stage.work(name, { run }) }
}

const errorOf = <A, E extends RunResult.StageFailed, R>(run: Effect.Effect<A, E, R>) =>
  Effect.map(Effect.flip(run), ({ error }) => error as E["error"])

const background = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.forkChild(effect, { startImmediately: true })

describe("what the Python library did, and this one does not", () => {
  it.effect("D01 a stage never gets the result of another one: every stage of a run has its own", () =>
    Effect.gen(function*() {
      const [first, second, third] = [counting("first"), counting("second"), counting("third")] as const
      const pipeline = Pipeline.make("pipeline").add(first.stage).add(second.stage, { after: ["first"] })
        .add(third.stage, { after: ["second"] })
        .pipe(Pipeline.intercept(idempotency()))
      for (let round = 0; round < 2; round++) {
        const { outputs } = yield* Pipeline.run(pipeline, keyed())
        for (const name of ["first", "second", "third"] as const) assert.strictEqual(outputs[name].data.by, name)
      }
      assert.deepStrictEqual([first, second, third].map(({ count }) => count.executions), [1, 1, 1])
    }).pipe(inMemory))

  it.effect("D02 no claim is left behind: not by an interceptor that fails or dies inside, not by an interruption", () =>
    Effect.gen(function*() {
      const ways = [
        Effect.fail(new Denied()),
        Effect.die(new Error("critical")),
        Effect.interrupt,
        Effect.never
      ]
      const { count, stage } = counting("stage")
      let way: Effect.Effect<void, Denied> = Effect.void
      const inner = Interceptor.make({
        name: "inner",
        order: 32,
        around: (effect) => Effect.andThen(Effect.suspend(() => way), effect)
      })
      const pipeline = Pipeline.make("pipeline").add(stage).pipe(Pipeline.intercept(idempotency(), inner))
      for (const [index, next] of ways.entries()) {
        way = next
        const run = yield* background(Pipeline.run(pipeline, keyed(`key ${index}`)))
        yield* Fiber.interrupt(run)
        way = Effect.void
        // Nobody waits: not for a lock, and not for a lease.
        const again = yield* background(Pipeline.run(pipeline, keyed(`key ${index}`)))
        assert.isDefined(again.pollUnsafe())
        assert.isTrue(Exit.isSuccess(yield* Fiber.await(again)))
      }
      assert.strictEqual(count.executions, ways.length)
    }).pipe(inMemory))

  it.effect("D02 parallel stages of a run are not put in a row", () =>
    Effect.gen(function*() {
      const [left, right] = [counting("left", Effect.sleep("1 minute")), counting("right", Effect.sleep("1 minute"))]
      const pipeline = Pipeline.make("pipeline").add(left.stage).add(right.stage).pipe(
        Pipeline.intercept(idempotency())
      )
      const run = yield* background(Pipeline.run(pipeline, keyed()))
      assert.deepStrictEqual([left.count.executions, right.count.executions], [1, 1])
      yield* TestClock.adjust("1 minute")
      const { durationMs, outputs } = yield* Fiber.join(run)
      assert.deepStrictEqual([outputs.left.data.by, outputs.right.data.by, durationMs], ["left", "right", 60_000])
    }).pipe(inMemory))

  it.effect("D02 nothing is kept for a key that nobody waits for", () =>
    Effect.gen(function*() {
      const { stage } = counting("stage", Effect.fail(new Denied()))
      const pipeline = Pipeline.make("pipeline").add(stage).pipe(Pipeline.intercept(idempotency()))
      const sets = () => queryObjects(Set, { format: "count" })
      const before = sets()
      for (let key = 0; key < 1000; key++) yield* Effect.exit(Pipeline.run(pipeline, keyed(`key ${key}`)))
      assert.isBelow(sets() - before, 100)
    }).pipe(inMemory))

  it.effect("D03 a call that was denied is not the result of the next one, who may", () =>
    Effect.gen(function*() {
      const { count, stage } = counting("stage")
      const policy = Interceptor.make({
        name: "policy",
        order: 32,
        around: (effect) =>
          Effect.gen(function*() {
            const { userId } = yield* Snapshot.current
            return yield* (userId === "admin" ? effect : Effect.fail(new Denied()))
          })
      })
      const pipeline = Pipeline.make("pipeline").add(stage).pipe(Pipeline.intercept(idempotency(), policy))
      for (let round = 0; round < 2; round++) {
        assert.instanceOf(yield* errorOf(Pipeline.run(pipeline, keyed("key", { userId: "guest" }))), Denied)
      }
      const { outputs } = yield* Pipeline.run(pipeline, keyed("key", { userId: "admin" }))
      assert.deepStrictEqual(outputs.stage.data, { by: "stage", execution: 1 })
      assert.strictEqual(count.executions, 1)
    }).pipe(inMemory))

  it.effect("D04 what is kept is kept for all runs, pipeline values and layers of one store", () =>
    Effect.gen(function*() {
      const { count, stage } = counting("stage")
      const pipelineOf = () => Pipeline.make("pipeline").add(stage)
      for (let round = 0; round < 2; round++) {
        yield* Pipeline.run(pipelineOf().pipe(Pipeline.intercept(idempotency())), keyed())
        yield* Effect.provide(Pipeline.run(pipelineOf(), keyed()), Interceptor.layer(idempotency()))
      }
      assert.strictEqual(count.executions, 1)
    }).pipe(inMemory))

  it.effect("D05 a replay has the outcome that the stage had: a skip is no ok, a retry is nothing to replay", () =>
    Effect.gen(function*() {
      let attempts = 0
      const skip = Stage.enrich("skip", { run: Effect.succeed(StageOutput.skip("nothing")) })
      const retry = Stage.work("retry", {
        run: Effect.sync(() => {
          attempts++
          return StageOutput.retry("again")
        })
      })
      const pipeline = Pipeline.make("pipeline").add(skip).add(retry, { after: ["skip"] })
        .pipe(Pipeline.intercept(idempotency()))
      for (let round = 1; round < 3; round++) {
        const failed = yield* Effect.flip(Pipeline.run(pipeline, keyed()))
        assert.strictEqual(failed.outputs.skip?._tag, "Skip")
        assert.instanceOf(failed.error, StageError.RetryExhausted)
        assert.strictEqual(attempts, round)
      }
    }).pipe(inMemory))
})

describe("the key", () => {
  it.effect("is the caller's metadata.idempotencyKey; without one a stage runs as usual", () =>
    Effect.gen(function*() {
      const { count, stage } = counting("stage")
      const pipeline = Pipeline.make("pipeline").add(stage).pipe(Pipeline.intercept(idempotency()))
      for (const snapshot of [Snapshot.make(), Snapshot.make(), keyed(null)]) yield* Pipeline.run(pipeline, snapshot)
      assert.strictEqual(count.executions, 3)
    }).pipe(inMemory))

  it.effect("or what a function of the stage's context says, for some stages and not for others", () =>
    Effect.gen(function*() {
      const [charge, log] = [counting("charge"), counting("log")]
      const pipeline = Pipeline.make("pipeline").add(charge.stage).add(log.stage).pipe(
        Pipeline.intercept(idempotency({
          key: ({ identity, stage }) => stage === "charge" ? identity.requestId : undefined
        }))
      )
      for (const requestId of ["one", "one", "two"]) yield* Pipeline.run(pipeline, Snapshot.make({ requestId }))
      assert.deepStrictEqual([charge.count.executions, log.count.executions], [2, 3])
    }).pipe(inMemory))

  it.effect("is required where it is said to be: a stage without one fails closed", () =>
    Effect.gen(function*() {
      const { count, stage } = counting("stage")
      const pipeline = Pipeline.make("pipeline").add(stage).pipe(Pipeline.intercept(idempotency({ required: true })))
      const error = yield* errorOf(Pipeline.run(pipeline, Snapshot.make()))
      assert(error instanceof Interceptors.IdempotencyKeyMissing)
      assert.strictEqual(error.code, "IDEMPOTENCY_KEY_MISSING")
      assert.include(error.message, "\"stage\" did not run")
      assert.strictEqual(count.executions, 0)
    }).pipe(inMemory))

  it.effect("what is no key but was meant as one fails closed", () =>
    Effect.gen(function*() {
      const { count, stage } = counting("stage")
      const pipeline = Pipeline.make("pipeline").add(stage).pipe(Pipeline.intercept(idempotency()))
      for (const key of ["", "  ", 42, false, {}, ["key"]]) {
        assert.instanceOf(yield* errorOf(Pipeline.run(pipeline, keyed(key))), Interceptors.KeyFailed)
      }
      assert.strictEqual(count.executions, 0)
    }).pipe(inMemory))
})

describe("parameters", () => {
  const pipelineWith = (parameters: () => unknown) =>
    Pipeline.make("pipeline").add(counting("stage").stage).pipe(Pipeline.intercept(idempotency({ parameters })))

  /** Whether two values count as the same parameters. */
  const areSame = (one: unknown, other: unknown) =>
    Effect.gen(function*() {
      yield* Pipeline.run(pipelineWith(() => one), keyed())
      const exit = yield* Effect.exit(errorOf(Pipeline.run(pipelineWith(() => other), keyed())))
      return Exit.isFailure(exit)
    }).pipe(inMemory)

  class Point extends Schema.Class<Point>("Point")({ x: Schema.Number, y: Schema.Number }) {}

  const deep = (end: unknown) => Array.from({ length: 50_000 }).reduce<unknown>((inner) => ({ inner }), end)

  const pairs: ReadonlyArray<readonly [name: string, same: boolean, one: unknown, other: unknown]> = [
    ["keys in another order", true, { a: 1, b: { c: 2, d: 3 } }, { b: { d: 3, c: 2 }, a: 1 }],
    ["a key that is undefined", true, { a: 1, b: undefined }, { a: 1 }],
    ["null and undefined", false, { a: null }, { a: undefined }],
    ["text and number", false, { a: "1" }, { a: 1 }],
    ["an order of a list", false, [1, 2], [2, 1]],
    ["lists in lists", false, [[1], 2], [1, [2]]],
    ["texts that look like structure", false, ["a\",\"b"], ["a", "b"]],
    ["numbers that are none", false, [Number.NaN], [Number.POSITIVE_INFINITY]],
    ["large numbers", false, [10n], [10]],
    ["dates", false, new Date(1), new Date(2)],
    ["the same date", true, new Date(1), new Date(1)],
    ["times that were looked at", true, DateTime.makeUnsafe(1), lookedAt(DateTime.makeUnsafe(1))],
    ["durations", true, Duration.seconds(1), Duration.millis(1000)],
    ["other durations", false, Duration.seconds(1), Duration.seconds(2)],
    ["options", false, Option.some(1), Option.none()],
    ["options of the same", true, Option.some({ a: 1 }), Option.some({ a: 1 })],
    ["an option and what is in it", false, Option.some(1), 1],
    ["results", false, Result.succeed(1), Result.fail(1)],
    ["maps", false, new Map([["a", 1]]), new Map([["a", 2]])],
    ["a map and an object", false, new Map([["a", 1]]), { a: 1 }],
    ["sets", true, new Set([1, 2]), new Set([1, 2])],
    ["bytes", false, new Uint8Array([1, 2]), new Uint8Array([1, 3])],
    ["the same bytes at another place", true, new Uint8Array([1, 2]), new Uint8Array([0, 1, 2]).subarray(1)],
    ["instances of a schema's class", true, new Point({ x: 1, y: 2 }), new Point({ y: 2, x: 1 })],
    ["other instances of it", false, new Point({ x: 1, y: 2 }), new Point({ x: 2, y: 1 })],
    ["an instance and its fields", false, new Point({ x: 1, y: 2 }), { x: 1, y: 2 }],
    ["addresses", false, new URL("https://a.example"), new URL("https://b.example")],
    ["secrets", false, Redacted.make("a"), Redacted.make("b")],
    ["the same secret", true, Redacted.make("a"), Redacted.make("a")],
    ["something shared and something repeated", true, [[1], [1]], shared([1])],
    ["something deep", true, deep(1), deep(1)],
    ["something deep that ends otherwise", false, deep(1), deep(2)],
    ["something long", false, Array.from({ length: 200_000 }, (_, index) => index), Array.from({ length: 200_000 })]
  ]

  for (const [name, same, one, other] of pairs) {
    it.effect(`${name}: ${same ? "the same" : "not the same"}`, () =>
      Effect.gen(function*() {
        assert.strictEqual(yield* areSame(one, other), same)
        assert.strictEqual(yield* areSame(other, one), same)
      }))
  }

  const circular: { self?: unknown } = {}
  circular.self = circular

  class Hidden {
    readonly #value: number
    constructor(value: number) {
      this.#value = value
    }
    get value() {
      return this.#value
    }
  }

  const unreadable: Record<string, unknown> = {
    "a function": () => 1,
    "a symbol": Symbol("a"),
    "something that holds itself": circular,
    "an instance that does not show what it holds": new Hidden(1),
    "a pattern": /a/,
    "something that throws when it is read": {
      get a() {
        throw new Error("no")
      }
    }
  }

  for (const [name, value] of Object.entries(unreadable)) {
    it.effect(`${name} is refused: it could be anything`, () =>
      Effect.gen(function*() {
        const error = yield* errorOf(Pipeline.run(pipelineWith(() => ({ deep: [value] })), keyed()))
        assert.instanceOf(error, Interceptors.KeyFailed)
      }).pipe(inMemory))
  }

  it.effect("a function sees the stage's context and its inputs", () =>
    Effect.gen(function*() {
      const seen: Array<unknown> = []
      const source = Stage.transform("source", { run: Effect.succeed({ amount: 5 }) })
      const charge = Stage.work("charge", { run: (_: { readonly source: { readonly amount: number } }) => Effect.void })
        .pipe(Stage.intercept(idempotency({
          parameters: ({ stage }, inputs) => {
            seen.push(stage, inputs)
            return inputs
          }
        })))
      const pipeline = Pipeline.make("pipeline").add(source).add(charge, { inputs: ["source"] })
      yield* Pipeline.run(pipeline, keyed())
      assert.deepStrictEqual(seen, ["charge", { source: { amount: 5 } }])
    }).pipe(inMemory))
})

function lookedAt(time: DateTime.DateTime): DateTime.DateTime {
  DateTime.toPartsUtc(time)
  return time
}

function shared(value: unknown): unknown {
  return [value, value]
}

describe("around it and inside of it", () => {
  it.effect("a replay makes no attempts, takes no permits and waits for nobody", () =>
    Effect.gen(function*() {
      let attempts = 0
      const stage = Stage.work("stage", {
        run: Effect.suspend(() => ++attempts < 3 ? Effect.fail(new Denied()) : Effect.succeed({ attempts }))
      })
      const pipeline = Pipeline.make("pipeline").add(stage).pipe(
        Pipeline.intercept(
          Interceptors.timeout("1 second"),
          Interceptors.retry(Schedule.recurs(5)),
          Interceptors.rateLimit({ limit: 1, window: "1 hour" }),
          idempotency()
        )
      )
      for (let round = 0; round < 3; round++) {
        assert.deepStrictEqual((yield* Pipeline.run(pipeline, keyed())).outputs.stage.data, { attempts: 3 })
      }
    }).pipe(inMemory, Effect.provide(Interceptors.RateLimits.layerMemory)))

  it.effect("a stage that is run again inside of itself does not wait for itself", () =>
    Effect.gen(function*() {
      let depth = 0
      let again: Effect.Effect<unknown, unknown, Interceptors.IdempotencyStore> = Effect.void
      const pipeline = Pipeline.make("pipeline").add(Stage.work("stage", {
        run: Effect.suspend(() => ++depth < 3 ? Effect.asVoid(Effect.orDie(again)) : Effect.void)
      })).pipe(Pipeline.intercept(idempotency()))
      again = Pipeline.run(pipeline, keyed())
      const run = yield* background(again)
      assert.isDefined(run.pollUnsafe())
      yield* again
      assert.strictEqual(depth, 3)
    }).pipe(inMemory))

  it.effect("two that run each other wait for each other until a timeout ends it, and leave both keys free", () =>
    Effect.gen(function*() {
      type Run = Effect.Effect<unknown, unknown, Interceptors.IdempotencyStore>
      const runs: Record<"one" | "other", Run> = { one: Effect.void, other: Effect.void }
      const pipelineOf = (name: string, child: () => Run) => {
        let executions = 0
        const run = Effect.gen(function*() {
          yield* Effect.yieldNow
          if (++executions === 1) yield* Effect.orDie(child())
        })
        const stage = Stage.work("stage", { run }).pipe(Stage.timeout("5 seconds"), Stage.intercept(idempotency()))
        return Pipeline.make(name).add(stage)
      }
      runs.one = Pipeline.run(pipelineOf("one", () => runs.other), keyed())
      runs.other = Pipeline.run(pipelineOf("other", () => runs.one), keyed())
      const both = yield* Effect.forEach([runs.one, runs.other], (run) => background(Effect.exit(run)))
      yield* TestClock.adjust("4 seconds")
      for (const run of both) assert.isUndefined(run.pollUnsafe())
      yield* TestClock.adjust("2 seconds")
      for (const run of both) assert.isDefined(run.pollUnsafe())
      for (const run of [runs.one, runs.other]) yield* run
    }).pipe(inMemory))

  it.effect("on one stage it leaves the others alone", () =>
    Effect.gen(function*() {
      const [once, always] = [counting("once"), counting("always")]
      const pipeline = Pipeline.make("pipeline").add(once.stage.pipe(Stage.intercept(idempotency()))).add(always.stage)
      for (let round = 0; round < 3; round++) yield* Pipeline.run(pipeline, keyed())
      assert.deepStrictEqual([once.count.executions, always.count.executions], [1, 3])
    }).pipe(inMemory))

  it.effect("below a Layer its errors are those of an interceptor that a Layer installed", () =>
    Effect.gen(function*() {
      const { stage } = counting("stage")
      const pipeline = Pipeline.make("pipeline").add(stage)
      const run = (inputText: string) => Pipeline.run(pipeline, keyed("key", { inputText }))
      yield* run("one")
      const fault = yield* errorOf(run("other"))
      assert(fault instanceof StageError.StageFault && fault.reason._tag === "InterceptorFailed")
      assert.instanceOf(fault.reason.error, Interceptors.IdempotencyMismatch)
    }).pipe(Effect.provide(Interceptor.layer(idempotency())), inMemory))

  it.effect("a stage on its own can be tested with it", () =>
    Effect.gen(function*() {
      const { count, stage } = counting("stage")
      const once = stage.pipe(Stage.intercept(idempotency({ key: () => "key" })))
      for (let round = 0; round < 2; round++) yield* StageTest.run(once)
      assert.strictEqual(count.executions, 1)
    }).pipe(inMemory))
})

describe("results", () => {
  it.effect("that were kept with another schema are not replayed, and the body does not run", () =>
    Effect.gen(function*() {
      let executions = 0
      const pipelineOf = <A>(output: Schema.Codec<A, any>, data: A) =>
        Pipeline.make("pipeline").add(Stage.transform("stage", {
          output,
          run: Effect.sync(() => {
            executions++
            return data as object
          }) as Effect.Effect<any>
        })).pipe(Pipeline.intercept(idempotency()))
      yield* Pipeline.run(pipelineOf(Schema.Struct({ old: Schema.String }), { old: "yes" }), keyed())
      const changed = pipelineOf(Schema.Struct({ fresh: Schema.String }), { fresh: "yes" })
      const error = yield* errorOf(Pipeline.run(changed, keyed()))
      assert(error instanceof Interceptors.IdempotencyResultInvalid)
      assert.strictEqual(error.operation, "replay")
      assert.deepStrictEqual(error.problems.map(({ path }) => path), [["data", "fresh"]])
      assert.include(error.message, "did not run")
      assert.strictEqual(executions, 1)
    }).pipe(inMemory))

  it.effect("that are not whole any more are not replayed either", () =>
    Effect.gen(function*() {
      const { broken, layer } = yield* breakable
      broken.claim = ({ fingerprint }) => Effect.succeed({ _tag: "Kept", fingerprint, result: "{\"_tag\":" })
      const { count, stage } = counting("stage")
      const pipeline = Pipeline.make("pipeline").add(stage).pipe(Pipeline.intercept(idempotency()))
      const error = yield* errorOf(Effect.provide(Pipeline.run(pipeline, keyed()), layer))
      assert.instanceOf(error, Interceptors.IdempotencyResultInvalid)
      assert.strictEqual(count.executions, 0)
    }))

  it.effect("keys such as __proto__ are data", () =>
    Effect.gen(function*() {
      const data = JSON.parse(`{"__proto__":{"polluted":true},"constructor":1,"_tag":"Fail","status":"fail"}`) as object
      const pipeline = Pipeline.make("pipeline").add(Stage.transform("stage", { run: Effect.succeed(data) }))
        .pipe(Pipeline.intercept(idempotency()))
      for (let round = 0; round < 2; round++) {
        const { stage } = (yield* Pipeline.run(pipeline, keyed())).outputs
        assert.strictEqual(JSON.stringify(stage.data), JSON.stringify(data))
      }
      assert.isUndefined(({} as { readonly polluted?: boolean }).polluted)
    }).pipe(inMemory))

  it.effect("a waiter that sees its owner fail runs the stage itself", () =>
    Effect.gen(function*() {
      const gate = yield* Deferred.make<void>()
      let fails = true
      const work = Effect.gen(function*() {
        if (!fails) return
        fails = false
        yield* Deferred.await(gate)
        return yield* new Denied()
      })
      const { stage } = counting("stage", work)
      const pipeline = Pipeline.make("pipeline").add(stage).pipe(Pipeline.intercept(idempotency()))
      const first = yield* background(errorOf(Pipeline.run(pipeline, keyed())))
      const second = yield* background(Pipeline.run(pipeline, keyed()))
      yield* Deferred.succeed(gate, undefined)
      assert.instanceOf(yield* Fiber.join(first), Denied)
      assert.deepStrictEqual((yield* Fiber.join(second)).outputs.stage.data, { by: "stage", execution: 2 })
    }).pipe(inMemory))
})

it("options are checked where they are given", () => {
  for (const wrong of [0, -1, Number.NaN, "0 seconds"] as ReadonlyArray<Duration.Input>) {
    assert.throws(() => idempotency({ ttl: wrong }), StageError.InvalidOption, /"ttl"/)
    assert.throws(() => idempotency({ lease: wrong }), StageError.InvalidOption, /"lease"/)
  }
})

it("what it can fail with and what it needs stand in the pipeline's types", () => {
  const pipeline = Pipeline.make("pipeline").add(Stage.work("stage", { run: Effect.void }))
    .pipe(Pipeline.intercept(idempotency()))
  const run = Pipeline.run(pipeline, Snapshot.make())
  type Failed = Extract<Effect.Error<typeof run>, RunResult.StageFailed<any, any>>["error"]
  const errors: Exclude<Failed, StageError.StageFault> extends Interceptors.IdempotencyError ? true : false = true
  const back: Interceptors.IdempotencyError extends Failed ? true : false = true
  const needs: Effect.Services<typeof run> extends Interceptors.IdempotencyStore ? true : false = true
  const needed: Interceptors.IdempotencyStore extends Effect.Services<typeof run> ? true : false = true
  assert.deepStrictEqual([errors, back, needs, needed], [true, true, true, true])
})
