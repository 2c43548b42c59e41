import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit, Option, Result } from "effect"
import { EventSink, Interceptor, Pipeline, RunResult, Snapshot, Stage, StageError, StageOutput } from "stageflow"
import { during } from "./support/lifecycle.ts"
import { unheardRejections } from "./support/rejections.ts"
import { Counter } from "./support/stages.ts"

/** A stage that returns a value that its type would not let it return, in every way that a stage can be made. */
const returning = (value: unknown) => {
  const data = value as { readonly given: true }
  const passing: Interceptor.Interceptor = Interceptor.make({ name: "passing", around: (effect) => effect })
  return {
    "an Effect": Stage.transform("odd", { run: Effect.sync(() => data) }),
    "behind an interceptor": Stage.transform("odd", { run: Effect.sync(() => data) }).pipe(Stage.intercept(passing)),
    "inside StageOutput.ok": Stage.transform("odd", { run: Effect.sync(() => StageOutput.ok(data)) }),
    "from mapOutput": Stage.transform("odd", { run: Effect.succeed({}) }).pipe(Stage.mapOutput(() => data))
  }
}

const run = (stage: Stage.Stage<"odd", unknown, { readonly given: true }>, reader: Stage.Stage<"read", unknown, {}>) =>
  Pipeline.run(Pipeline.make("odd").add(stage).add(reader, { after: ["odd"] }), Snapshot.make())

const circular = () => {
  const first: Record<string, unknown> = { name: "first" }
  const second = { name: "second", first, list: [first], map: new Map([["first", first]]) }
  first["second"] = second
  return first
}

const noOutputs: Readonly<Record<string, unknown>> = {
  "a number": 42,
  NaN: Number.NaN,
  zero: 0,
  "a string": "done",
  "an empty string": "",
  true: true,
  false: false,
  null: null,
  "a bigint": 1n,
  "a symbol": Symbol("done"),
  "a function": () => ({}),
  "a class": Counter,
  "a Promise": Promise.resolve({ a: 1 }),
  "a thenable": { then: () => undefined },
  "an Effect": Effect.succeed({ a: 1 }),
  "a failing Effect": Effect.fail("no")
}

describe("R13 what is no output fails the stage by name, and no key of data changes what happens", () => {
  for (const [title, value] of Object.entries(noOutputs)) {
    it.effect(`${title} is no output`, () =>
      Effect.gen(function*() {
        for (const [way, stage] of Object.entries(returning(value))) {
          const counter = new Counter()
          const exit = yield* Effect.result(run(stage, counter.stage("read")))
          assert.isTrue(Result.isFailure(exit), `${way} passed`)
          if (Result.isSuccess(exit)) continue
          const { error, message, neverStarted, stage: name } = exit.failure
          assert.strictEqual(name, "odd", way)
          assert.instanceOf(error, StageError.StageFault, way)
          assert.strictEqual(error.stage, "odd", way)
          assert.strictEqual(error.reason._tag, "InvalidOutput", way)
          assert.include(message, "odd", way)
          assert.deepStrictEqual(neverStarted, ["read"], way)
          assert.strictEqual(counter.total, 0, way)
        }
      }))
  }

  it.effect("a function that returns no Effect, an async one for example, fails the stage by name", () =>
    Effect.gen(function*() {
      const returned: ReadonlyArray<unknown> = [Promise.resolve({}), { a: 1 }, 42, undefined, null, () => ({})]
      for (const value of returned) {
        for (const run of [() => value, value]) {
          const bare = Stage.transform("odd", { run: run as () => Effect.Effect<{}> })
          for (const stage of [bare, bare.pipe(Stage.mapOutput((data) => data))]) {
            const counter = new Counter()
            const failed = yield* Effect.flip(
              Pipeline.run(Pipeline.make("odd").add(counter.stage("other")).add(stage), Snapshot.make())
            )
            assert.instanceOf(failed, RunResult.StageFailed)
            assert.strictEqual(failed.stage, "odd")
            assert.instanceOf(failed.error, StageError.StageFault)
            assert.strictEqual(failed.error.reason._tag, "InvalidOutput")
            assert.include(failed.message, "an Effect")
            assert.strictEqual(counter.total, 1)
          }
        }
      }
    }))

  it.effect("a Promise that a stage returns and that rejects is nobody's: it does not end the process", () =>
    Effect.gen(function*() {
      const rejected = (): unknown => Promise.reject(new Error("unheard"))
      const stages = [
        Stage.transform("odd", { run: rejected as unknown as () => Effect.Effect<{}> }),
        Stage.transform("odd", { run: Effect.sync(rejected) as unknown as Effect.Effect<{}> }),
        Stage.transform("odd", {
          run: Effect.sync(() => StageOutput.ok(rejected() as object)) as unknown as Effect.Effect<{}>
        })
      ]
      for (const stage of [...stages, ...stages.map((stage) => Stage.timeout(stage))]) {
        const run = Effect.flip(Pipeline.run(Pipeline.make("odd").add(stage as (typeof stages)[0]), Snapshot.make()))
        const unheard = yield* unheardRejections(run)
        assert.deepStrictEqual(unheard, [])
      }
    }))

  it.effect("undefined inside StageOutput.ok is {}, as nothing is", () =>
    Effect.gen(function*() {
      const stage = Stage.transform("odd", { run: Effect.sync(() => StageOutput.ok(undefined as never)) })
      const { outputs } = yield* Pipeline.run(Pipeline.make("odd").add(stage), Snapshot.make())
      assert.deepStrictEqual(outputs.odd.data, {})
    }))

  it.effect("the failure says what was returned instead, and what to do", () =>
    Effect.gen(function*() {
      const saying = (value: unknown) =>
        Effect.map(
          Effect.flip(run(returning(value)["an Effect"], new Counter().stage("read"))),
          ({ message }) => message
        )
      assert.include(yield* saying(42), "a number")
      assert.include(yield* saying(Number.NaN), "NaN")
      assert.include(yield* saying(null), "null")
      assert.include(yield* saying(Promise.resolve()), "Stage.promise")
      assert.include(yield* saying(Effect.void), "yield*")
    }))

  it.effect("with failure: \"continue\" it is a failed stage like any other", () =>
    Effect.gen(function*() {
      const counter = new Counter()
      const pipeline = Pipeline.make("odd")
        .add(returning(42)["an Effect"])
        .add(counter.stage("read"), { after: ["odd"] })
        .add(counter.stage("other"))
      const result = yield* Pipeline.run(pipeline, Snapshot.make(), { failure: "continue" })
      assert.strictEqual(result._tag, "Incomplete")
      if (result._tag !== "Incomplete") return
      assert.deepStrictEqual([result.ok, result.failed, result.blocked], [["other"], ["odd"], ["read"]])
      assert.deepStrictEqual(counter.names, ["other"])
    }))

  it.effect("a circular object is plain data, and immutable like all data", () =>
    Effect.gen(function*() {
      const stage = Stage.transform("odd", { run: Effect.sync(() => circular()) })
      const read = Stage.transform("read", {
        run: ({ odd }: { readonly odd: Record<string, unknown> }) =>
          Effect.sync(() => {
            const second = odd["second"] as ReturnType<typeof circular>
            const seen = { back: second["first"], listed: (second["list"] as Array<unknown>)[0] }
            return { isBack: seen.back === odd, isListed: seen.listed === odd, isFrozen: Object.isFrozen(second) }
          })
      })
      const { outputs } = yield* Pipeline.run(
        Pipeline.make("odd").add(stage).add(read, { inputs: ["odd"] }),
        Snapshot.make()
      )
      assert.deepStrictEqual(outputs.read.data, { isBack: true, isListed: true, isFrozen: true })
    }))

  it.effect("an object nested 100,000 deep is plain data", () =>
    Effect.gen(function*() {
      const deep = Array.from({ length: 100_000 }).reduce<object>((inner) => ({ inner }), {})
      const stage = Stage.transform("odd", { run: Effect.sync(() => deep) })
      const result = yield* Pipeline.run(Pipeline.make("odd").add(stage), Snapshot.make())
      assert.strictEqual(result._tag, "Completed")
    }))

  const sparse = (length: number, elements: Readonly<Record<string, unknown>>): Array<unknown> =>
    Object.assign(Array<unknown>(length), elements)
  const withHoles: Readonly<Record<string, () => Array<unknown>>> = {
    "at its beginning": () => sparse(3, { 1: 1, 2: { a: 2 } }),
    "in its middle": () => sparse(5, { 0: 1, 2: { a: 2 }, 4: 3 }),
    "at its end": () => sparse(5, { 0: 1, 1: { a: 2 } }),
    "and nothing else": () => sparse(3, {}),
    "and an undefined": () => sparse(3, { 0: undefined, 2: undefined }),
    "and something hung on it": () => sparse(3, { 0: 1, 2: { a: 2 }, name: "list", "-1": 1, "01": 1, "1.5": 1 })
  }
  for (const [title, make] of Object.entries(withHoles)) {
    it.effect(`an array with holes ${title} keeps them`, () =>
      Effect.gen(function*() {
        const stage = Stage.transform("odd", { run: Effect.sync(() => ({ list: make() })) })
        const { outputs: { odd: { data: { list } } } } = yield* Pipeline.run(
          Pipeline.make("odd").add(stage),
          Snapshot.make()
        )
        assert.strictEqual(list.length, make().length)
        for (let index = 0; index < list.length; index++) {
          assert.strictEqual(Object.hasOwn(list, index), Object.hasOwn(make(), index), `${index}`)
          assert.deepStrictEqual(list[index], make()[index])
        }
        assert.deepStrictEqual(Object.keys(list), Object.keys(make()).filter((key) => /^(0|[1-9]\d*)$/u.test(key)))
        assert.isTrue(Object.isFrozen(list))
      }))
  }

  it.effect("an array with four billion holes is copied as what it holds", () =>
    Effect.gen(function*() {
      const last = 4_000_000_000 - 2
      const stage = Stage.transform("odd", {
        run: Effect.sync(() => {
          const list: Array<unknown> = ["first"]
          list[last] = { a: ["last"] }
          return { list }
        })
      })
      const { outputs: { odd: { data: { list } } } } = yield* Pipeline.run(
        Pipeline.make("odd").add(stage),
        Snapshot.make()
      )
      assert.deepStrictEqual([list.length, Object.keys(list)], [last + 1, ["0", String(last)]])
      assert.deepStrictEqual([list[0], list[last]], ["first", { a: ["last"] }])
      assert.isTrue(Object.isFrozen(list) && Object.isFrozen(list[last]))
    }))

  const throwing = {
    "a getter that throws": () => ({
      get secret(): string {
        throw new Error("read me not")
      }
    }),
    "a getter that throws, deep inside": () => ({
      list: [
        new Map([["a", {
          get secret(): string {
            throw new Error("read me not")
          }
        }]])
      ]
    }),
    "a revoked Proxy": () => {
      const { proxy, revoke } = Proxy.revocable({}, {})
      revoke()
      return proxy
    },
    "a revoked Proxy, deep inside": () => {
      const { proxy, revoke } = Proxy.revocable({}, {})
      revoke()
      return { inside: [proxy] }
    }
  }
  for (const [title, make] of Object.entries(throwing)) {
    it.effect(`${title} fails the stage by name instead of breaking the run`, () =>
      Effect.gen(function*() {
        let released = 0
        const sibling = Stage.work("sibling", {
          run: Effect.onInterrupt(Effect.never, () => Effect.sync(() => released++))
        })
        const pipeline = Pipeline.make("odd")
          .add(sibling)
          .add(Stage.transform("odd", { run: Effect.andThen(Effect.yieldNow, Effect.sync(() => make() as object)) }))
        const failed = yield* Effect.flip(Pipeline.run(pipeline, Snapshot.make()))
        assert.instanceOf(failed, RunResult.StageFailed)
        assert.strictEqual(failed.stage, "odd")
        assert.instanceOf(failed.error, StageError.StageFault)
        assert.isTrue(Cause.hasDies(failed.cause))
        assert.deepStrictEqual(failed.interrupted, ["sibling"])
        assert.strictEqual(released, 1)
      }))
  }

  it.effect("a revoked Proxy of a stage that left something running fails it as well, and does not end the process", () =>
    Effect.gen(function*() {
      const revoked = () => {
        const { proxy, revoke } = Proxy.revocable({}, {})
        revoke()
        return proxy
      }
      const leaving = Effect.forkChild(Effect.uninterruptible(Effect.sleep("1 second")), { startImmediately: true })
      for (const end of [Effect.sync(revoked), Effect.suspend(() => Effect.fail(revoked()))]) {
        const stage = Stage.work("odd", { run: Effect.andThen(Effect.andThen(leaving, Effect.yieldNow), end) })
        const run = Effect.exit(Pipeline.run(Pipeline.make("odd").add(stage), Snapshot.make()))
        const exit = yield* during(run, "1 minute")
        const failed = Option.getOrThrow(Exit.findErrorOption(yield* Effect.succeed(exit)))
        assert.instanceOf(failed, RunResult.StageFailed)
        assert.strictEqual(failed.stage, "odd")
      }
    }))

  it.effect("what cannot be read beside an outcome never hides the outcome", () =>
    Effect.gen(function*() {
      const unreadable = (): Readonly<Record<string, unknown>> => ({
        get secret(): string {
          throw new Error("read me not")
        }
      })
      const ends = [
        StageOutput.ok({}, { artifacts: [{ type: "a", payload: unreadable() }] }),
        StageOutput.skip("x", { data: unreadable() }),
        StageOutput.cancel("x", { data: unreadable() }),
        StageOutput.fail("typed" as const, { data: unreadable() })
      ]
      for (const end of ends) {
        const failed = yield* Effect.flip(
          Pipeline.run(Pipeline.make("odd").add(Stage.work("odd", { run: Effect.sync(() => end) })), Snapshot.make())
        )
        assert.strictEqual(failed.stage, "odd")
        if (end._tag === "Fail") assert.strictEqual(failed.error, "typed")
      }
      const rude = {
        get _tag(): string {
          throw new Error("no tag for you")
        },
        get message(): string {
          throw new Error("no message for you")
        }
      }
      const failed = yield* Effect.flip(
        Pipeline.run(Pipeline.make("odd").add(Stage.work("odd", { run: Effect.fail(rude) })), Snapshot.make())
      )
      assert.strictEqual(failed.stage, "odd")
      assert.strictEqual(failed.error, rude)
    }))

  const meantAsData: Readonly<Record<string, () => object>> = {
    "status: fail": () => ({ status: "fail", error: "x" }),
    "status: cancel": () => ({ status: "cancel", cancel_reason: "x" }),
    "reason and skip_reason": () => ({ reason: "x", skip_reason: "x", skipped: true }),
    "_tag: Skip": () => ({ _tag: "Skip", reason: "x", data: {} }),
    "_tag: Cancel": () => ({ _tag: "Cancel", reason: "x", data: {}, artifacts: [], events: [] }),
    "_tag: Fail": () => ({ _tag: "Fail", error: "x" }),
    "_tag: Retry": () => ({ _tag: "Retry", reason: "x" }),
    "_tag: Failure": () => ({ _tag: "Failure", cause: "x" }),
    "then that is no function": () => ({ then: "and then" }),
    "an own __proto__": () => JSON.parse(`{"__proto__":{"_tag":"Cancel","status":"fail"},"a":1}`) as object,
    "an own constructor": () => JSON.parse(`{"constructor":{"prototype":{"_tag":"Cancel"}}}`) as object,
    "the engine's own mark": () => ({
      "~stageflow/StageOutput": "~stageflow/StageOutput",
      _tag: "Cancel",
      reason: "x",
      data: {},
      artifacts: [],
      events: []
    }),
    "the engine's own mark without a prototype": () =>
      Object.assign(Object.create(null) as object, {
        "~stageflow/StageOutput": "~stageflow/StageOutput",
        _tag: "Cancel",
        reason: "x",
        data: {},
        artifacts: [],
        events: []
      }),
    "the engine's own mark and a tag that does not exist": () =>
      Object.assign(Object.create(null) as object, { "~stageflow/StageOutput": 1, _tag: "Whatever" }),
    "an array": () => [{ _tag: "Cancel" }, "skip"],
    "an Option": () => Option.none(),
    "a Result": () => Result.fail("x"),
    "an Error": () => new Error("x")
  }
  for (const [title, make] of Object.entries(meantAsData)) {
    it.effect(`${title} is data`, () =>
      Effect.gen(function*() {
        for (const [way, stage] of Object.entries(returning(make()))) {
          const counter = new Counter()
          const result = yield* run(stage, counter.stage("read"))
          assert.strictEqual(result._tag, "Completed", way)
          assert.strictEqual(result.outputs.odd._tag, "Ok", way)
          assert.deepStrictEqual(result.outputs.odd.data as object, make(), way)
          assert.strictEqual(counter.count("read"), 1, way)
        }
        assert.isUndefined(Reflect.get({}, "_tag"))
        assert.isUndefined(Reflect.get({}, "status"))
      }))

    it.effect(`${title} is an error like any other when the stage fails with it`, () =>
      Effect.gen(function*() {
        const error = make()
        const stage = Stage.transform("odd", { run: Effect.fail(error) })
        const failed = yield* Effect.flip(Pipeline.run(Pipeline.make("odd").add(stage), Snapshot.make()))
        assert.strictEqual(failed.stage, "odd")
        assert.strictEqual(failed.error, error)
      }))
  }

  it.effect("keys of the data beside an outcome do not change it", () =>
    Effect.gen(function*() {
      const data = { _tag: "Ok", reason: "other", status: "ok", by: "somebody", origin: "elsewhere", data: 1 }
      const cancelled = yield* Pipeline.run(
        Pipeline.make("odd").add(Stage.guard("odd", { run: Effect.succeed(StageOutput.cancel("mine", { data })) })),
        Snapshot.make()
      )
      assert.strictEqual(cancelled._tag, "Cancelled")
      if (cancelled._tag === "Cancelled") {
        assert.deepStrictEqual([cancelled.by, cancelled.reason, cancelled.data], ["odd", "mine", data])
      }
      const skipped = yield* Pipeline.run(
        Pipeline.make("odd").add(Stage.enrich("odd", { run: Effect.succeed(StageOutput.skip("mine", { data })) })),
        Snapshot.make()
      )
      const output = skipped.outputs.odd
      assert.strictEqual(output._tag, "Skip")
      if (output._tag === "Skip") {
        assert.deepStrictEqual([output.reason, output.origin, output.data], ["mine", undefined, data])
      }
    }))

  // -------------------------------------------------------------------------------------------------------------------
  // outcomes that only untyped code can make
  // -------------------------------------------------------------------------------------------------------------------

  /** The constructors without their types. */
  const make = StageOutput as unknown as Readonly<
    Record<"ok" | "skip" | "cancel" | "retry" | "fail", (...given: ReadonlyArray<unknown>) => StageOutput.StageOutput>
  >
  const unreadable = () => ({
    get secret(): string {
      throw new Error("hunter2")
    }
  })
  const rejected = () => Promise.reject(new Error("unheard"))
  const malformed: Readonly<Record<string, readonly [make: () => unknown, path: string]>> = {
    "retry without a reason": [() => make.retry(undefined), "reason"],
    "retry with a number as its reason": [() => make.retry(42), "reason"],
    "skip without a reason": [() => make.skip(), "reason"],
    "skip with an Error as its reason": [() => make.skip(new Error("x")), "reason"],
    "cancel with null as its reason": [() => make.cancel(null), "reason"],
    "retry after a word": [() => make.retry("x", { after: "soon" }), "after"],
    "retry after less than nothing": [() => make.retry("x", { after: -5 }), "after"],
    "retry after NaN": [() => make.retry("x", { after: Number.NaN }), "after"],
    "retry after a symbol": [() => make.retry("x", { after: Symbol("soon") }), "after"],
    "skip with data that is none": [() => make.skip("x", { data: 42 }), "data"],
    "cancel with a Promise as its data": [() => make.cancel("x", { data: rejected() }), "data"],
    "artifacts that are no list": [() => make.ok({}, { artifacts: "chart" }), "artifacts"],
    "artifacts that are an object": [() => make.skip("x", { artifacts: { type: "a", payload: 1 } }), "artifacts"],
    "artifacts that are a Set": [() => make.cancel("x", { artifacts: new Set() }), "artifacts"],
    "an artifact that is none": [() => make.ok({}, { artifacts: [undefined] }), "artifacts.0"],
    "a hole among the artifacts": [() => make.ok({}, { artifacts: Array(1) }), "artifacts.0"],
    "an artifact without a type": [
      () => make.ok({}, { artifacts: [{ type: "a", payload: 1 }, { payload: 1 }] }),
      "artifacts.1.type"
    ],
    "an event without a type": [() => make.ok({}, { events: [{ data: 1 }] }), "events.0.type"],
    "events that are a text": [() => make.ok({}, { events: "made" }), "events"],
    "an event that is a text": [() => make.cancel("x", { events: ["made"] }), "events.0"],
    "an event whose type cannot be read": [
      () =>
        make.ok({}, {
          events: [{
            get type(): string {
              throw new Error("hunter2")
            },
            data: 1
          }]
        }),
      "events.0"
    ],
    "an event with data that cannot be read": [
      () => make.ok({}, { events: [{ type: "a", data: unreadable() }] }),
      "events.0"
    ],
    "a version that is a number": [() => make.ok({}, { version: 2 }), "version"],
    "several things at once": [() => make.skip(undefined, { events: 1, version: 2 }), "version,events,reason"],
    "an outcome that does not exist": [
      () =>
        Object.assign(Object.create(Object.getPrototypeOf(make.skip("x"))) as object, make.skip("x"), {
          _tag: "Whatever"
        }),
      "_tag"
    ],
    "an outcome that cannot be read": [
      () =>
        new Proxy(make.skip("x"), {
          get: (target, key) => {
            if (key === "reason") throw new Error("hunter2")
            return Reflect.get(target, key) as unknown
          }
        }),
      ""
    ]
  }
  for (const [title, [make, path]] of Object.entries(malformed)) {
    it.effect(`a malformed outcome fails the stage by name, whether or not anybody listens: ${title}`, () =>
      Effect.gen(function*() {
        const passing = Interceptor.make({ name: "passing", around: (effect) => effect })
        const returned = Stage.work("odd", { run: Effect.sync(make) as Effect.Effect<{}> })
        const yielded = Stage.work("odd", { run: Effect.flatMap(Effect.sync(make), (end) => end as Effect.Effect<{}>) })
        const caught = Stage.work("odd", { run: Effect.fail("x") }).pipe(
          Stage.catch(() => Effect.sync(make) as Effect.Effect<{}>)
        )
        // Only an outcome that is no Ok can be yielded; no run hears of what this one, which is only looked at, carries.
        const looked = Result.getOrElse(Result.try(make), () => undefined)
        const isYieldable = Effect.isEffect(looked)
        if (isYieldable && "data" in looked && looked.data instanceof Promise) looked.data.catch(() => undefined)
        const ways = { returned, caught, ...isYieldable ? { yielded } : {} }
        const wrapped = Object.entries(ways).flatMap(([way, stage]) => [
          [way, stage] as const,
          [`${way}, with a timeout`, Stage.timeout(stage) as unknown as typeof stage] as const,
          [`${way}, with a retry`, Stage.retry(stage, { attempts: 3 }) as typeof stage] as const,
          [`${way}, intercepted`, Stage.intercept(stage, passing)] as const
        ])
        for (const [way, stage] of wrapped) {
          const counter = new Counter()
          const pipeline = Pipeline.make("odd").add(stage).add(counter.stage("read"), { after: ["odd"] })
          const run = Effect.flip(Pipeline.run(pipeline, Snapshot.make()))
          const failures = [
            yield* run,
            yield* Effect.provide(run, EventSink.layerMemory),
            yield* Effect.flip(Effect.flatMap(Pipeline.start(pipeline, Snapshot.make()), (handle) => handle.await))
          ]
          for (const { attempts, error, message, stage } of failures) {
            assert.strictEqual(stage, "odd", way)
            assert.instanceOf(error, StageError.StageFault, way)
            if (!(error instanceof StageError.StageFault)) continue
            assert.strictEqual(error.reason._tag, "InvalidOutput", way)
            if (error.reason._tag !== "InvalidOutput") continue
            assert.deepStrictEqual(error.reason.problems.map(({ path }) => path.join(".")).join(), path, way)
            assert.include(message, "odd")
            assert.notInclude(message, "hunter2")
            assert.strictEqual(attempts, 1, way)
          }
          assert.strictEqual(counter.total, 0, way)
        }
      }).pipe(Effect.scoped))
  }

  it.effect("a typed error stays what it is, whatever is malformed beside it", () =>
    Effect.gen(function*() {
      const ends = [
        make.fail("typed", { artifacts: "chart" }),
        make.fail("typed", { events: [undefined] }),
        make.fail("typed", { events: [unreadable()] }),
        make.fail("typed", { data: 42 }),
        make.fail("typed", { version: 1 })
      ]
      for (const end of ends) {
        const stage = Stage.work("odd", { run: Effect.sync(() => end as StageOutput.Fail<string>) })
        for (const wrapped of [stage, Stage.catch(stage, (error) => Effect.fail(error))]) {
          const run = Effect.flip(Pipeline.run(Pipeline.make("odd").add(wrapped), Snapshot.make()))
          for (const failed of [yield* run, yield* Effect.provide(run, EventSink.layerMemory)]) {
            assert.strictEqual(failed.error, "typed")
            assert.strictEqual(failed.stage, "odd")
          }
        }
      }
      // What is well-formed beside it is told.
      const both = Stage.work("odd", {
        run: Effect.sync(() => make.fail("typed", { events: [{ type: "a", data: 1 }], artifacts: 42 }))
      })
      yield* Effect.flip(Pipeline.run(Pipeline.make("odd").add(both), Snapshot.make()))
      const memory = yield* EventSink.Memory
      const told = (yield* memory.events).flatMap((event) => event._tag === "StageEmitted" ? [event.type] : [])
      assert.deepStrictEqual(told, ["a"])
    }).pipe(Effect.provide(EventSink.layerMemory)))
})
