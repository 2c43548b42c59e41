import { assert, describe, it } from "@effect/vitest"
import { Cause, Deferred, Effect, Fiber, Option, Schedule, Schema } from "effect"
import { TestClock } from "effect/testing"
import {
  Interceptor,
  OutputBag,
  Pipeline,
  ResultCodec,
  RunResult,
  Snapshot,
  Stage,
  StageError,
  StageOutput
} from "stageflow"
import * as Interceptors from "stageflow/interceptors"

class Refused extends Schema.TaggedError<Refused>()("Refused", { at: Schema.Date }) {}

const rich = Stage.transform("rich", {
  output: Schema.Struct({
    at: Schema.Date,
    maybe: Schema.Option(Schema.String),
    bytes: Schema.Uint8Array,
    deep: Schema.Struct({ list: Schema.Array(Schema.Number) })
  }),
  run: Effect.sync(() =>
    StageOutput.ok({
      at: new Date(5),
      maybe: Option.some("yes"),
      bytes: new Uint8Array([1, 2, 255]),
      deep: { list: [1, 2] }
    }, { artifacts: [{ type: "chart", payload: { points: [1] } }], version: "2" })
  )
})
const optional = Stage.enrich("optional", { run: Effect.succeed(StageOutput.skip("nothing", { data: { a: 1 } })) })
const reader = Stage.work("__proto__", {
  run: (_: { readonly optional: object }) => Effect.succeed({ read: true })
})
const refusing = Stage.guard("refusing", {
  error: Refused,
  run: Effect.fail(new Refused({ at: new Date(7) }))
})
const cancelling = Stage.guard("cancelling", {
  run: Effect.succeed(StageOutput.cancel("enough", { data: { policy: "p" } }))
})

const throughText = <A>(json: A): unknown => JSON.parse(JSON.stringify(json))

describe("ResultCodec", () => {
  it.effect("a completed result comes back as it was: dates, options, bytes, skips, names like __proto__", () =>
    Effect.gen(function*() {
      const pipeline = Pipeline.make("p").add(rich).add(optional)
        .add(reader, (s) => ({ inputs: { optional: s.optional.required } }))
      const result = yield* Pipeline.run(pipeline, Snapshot.make({ userId: "u" }))
      const json = yield* ResultCodec.encode(pipeline, result)
      const back = yield* ResultCodec.decode(pipeline, throughText(json))
      assert(back._tag === "Completed")
      assert.deepStrictEqual(Object.keys(back.outputs), ["rich", "optional", "__proto__"])
      assert.deepStrictEqual(back.outputs.rich.data, result.outputs.rich.data)
      assert.deepStrictEqual(back.outputs.rich.artifacts, [{ type: "chart", payload: { points: [1] } }])
      assert.strictEqual(back.outputs.rich.version, "2")
      assert(Object.isFrozen(back.outputs.rich.data.deep.list))
      const own = Object.getOwnPropertyDescriptor(back.outputs, "__proto__")?.value as StageOutput.Skip
      assert(StageOutput.isStageOutput(own))
      assert.strictEqual(own.origin, "optional")
      assert.strictEqual(own.reason, `stage "optional" was skipped: nothing`)
      assert.deepStrictEqual(back.identity, result.identity)
      assert.deepStrictEqual(back.lineage, result.lineage)
      assert.strictEqual(back.durationMs, result.durationMs)
      assert.deepStrictEqual(
        back.bag.entries.map(({ attempt, stage }) => [stage, attempt]),
        result.bag.entries.map(({ attempt, stage }) => [stage, attempt])
      )
      const entry = Option.getOrThrow(OutputBag.get(back.bag, "rich"))
      assert(entry.end._tag === "Settled" && entry.end.output === back.outputs.rich)
    }))

  it.effect("a cancelled, an incomplete and a failed run come back with their errors and causes", () =>
    Effect.gen(function*() {
      const cancelled = Pipeline.make("c").add(cancelling)
      const first = yield* Pipeline.run(cancelled, Snapshot.make())
      const firstBack = yield* ResultCodec.decode(cancelled, throughText(yield* ResultCodec.encode(cancelled, first)))
      assert(firstBack._tag === "Cancelled")
      assert.strictEqual(firstBack.by, "cancelling")
      assert.deepStrictEqual(firstBack.data, { policy: "p" })

      const failing = Pipeline.make("f").add(refusing)
      const second = yield* Pipeline.run(failing, Snapshot.make(), { failure: "continue" })
      const secondBack = yield* ResultCodec.decode(failing, throughText(yield* ResultCodec.encode(failing, second)))
      assert(secondBack._tag === "Incomplete")
      const failure = secondBack.failures[0]
      assert(failure?.error instanceof Refused)
      assert.deepStrictEqual(failure.error.at, new Date(7))

      const third = yield* Effect.flip(Pipeline.run(failing, Snapshot.make()))
      const thirdBack = yield* ResultCodec.decode(failing, throughText(yield* ResultCodec.encode(failing, third)))
      assert(thirdBack instanceof RunResult.StageFailed)
      assert.strictEqual(thirdBack.message, third.message)
      assert(Option.getOrThrow(Cause.findErrorOption(thirdBack.cause)) instanceof Refused)
    }))

  it.effect("the library's own errors need no schema", () =>
    Effect.gen(function*() {
      const dying = Pipeline.make("d").add(Stage.work("dying", { run: Effect.die(new Error("boom")) }))
      const error = yield* Effect.flip(Pipeline.run(dying, Snapshot.make()))
      const back = yield* ResultCodec.decode(dying, throughText(yield* ResultCodec.encode(dying, error)))
      assert(back._tag === "StageFailed" && back.error instanceof StageError.StageFault)
      assert.strictEqual(back.error.reason._tag, "Defect")
    }))

  it.effect("what cannot be encoded says where, and is never quietly lost", () =>
    Effect.gen(function*() {
      const dated = Pipeline.make("x").add(Stage.transform("dated", { run: Effect.succeed({ at: new Date(0) }) }))
      const result = yield* Pipeline.run(dated, Snapshot.make())
      const error = yield* Effect.flip(ResultCodec.encode(dated, result))
      assert(error._tag === "ResultInvalid")
      assert.strictEqual(error.code, "RESULT_NOT_ENCODABLE")
      assert(error.problems.some(({ path }) => path.join(".").startsWith("result.outputs.dated.data")))
      assert.include(error.message, "result.outputs.dated.data")
    }))

  it.effect("a tampered field is an error with its path, a newer version says so, a prototype is never polluted", () =>
    Effect.gen(function*() {
      const pipeline = Pipeline.make("p").add(rich)
      const result = yield* Pipeline.run(pipeline, Snapshot.make())
      const json = JSON.stringify(yield* ResultCodec.encode(pipeline, result))
      const tampered = yield* Effect.flip(
        ResultCodec.decode(pipeline, JSON.parse(json.replace(`"list":[1,2]`, `"list":[1,"two"]`)))
      )
      assert(tampered._tag === "ResultInvalid")
      assert.deepStrictEqual(tampered.problems[0]?.path, ["result", "outputs", "rich", "data", "deep", "list", 1])
      const newer = yield* Effect.flip(ResultCodec.decode(pipeline, { version: 99, result: {} }))
      assert(newer._tag === "ResultInvalid" && newer.code === "RESULT_NEWER_VERSION")
      const polluting = json.replace(`{"version"`, `{"__proto__":{"polluted":true},"version"`)
      yield* ResultCodec.decode(pipeline, JSON.parse(polluting))
      assert.isUndefined(({} as { readonly polluted?: boolean }).polluted)
    }))
})

// ---------------------------------------------------------------------------------------------------------------------

const roundTrip = <N extends Parameters<typeof ResultCodec.encode>[0]>(pipeline: N, result: unknown) =>
  Effect.gen(function*() {
    const json = yield* ResultCodec.encode(pipeline, result as never)
    return (yield* ResultCodec.decode(pipeline, throughText(json))) as unknown
  })

/** What a run of one stage that gives this data comes back as. */
const dataBack = (data: object, output?: Schema.Top) =>
  Effect.gen(function*() {
    const pipeline = Pipeline.make("p").add(
      Stage.transform("s", { run: Effect.succeed(data), output: output as never })
    )
    const result = yield* Effect.orDie(Pipeline.run(pipeline, Snapshot.make()))
    const back = (yield* roundTrip(pipeline, result)) as RunResult.Completed<{ readonly s: StageOutput.Ok<unknown> }>
    return back.outputs.s.data
  })

/** What a run comes back as whose only stage fails with this error. */
const errorBack = (error: unknown, schema?: Schema.Top) =>
  Effect.gen(function*() {
    const stage = Stage.work("s", { run: Effect.fail(error) as Effect.Effect<never>, error: schema as never })
    const pipeline = Pipeline.make("p").add(stage)
    const failed = yield* Effect.flip(Pipeline.run(pipeline, Snapshot.make()))
    return (yield* roundTrip(pipeline, failed)) as RunResult.StageFailed
  })

const refusedAt = <A>(path: string, effect: Effect.Effect<A, ResultCodec.ResultInvalid | object>) =>
  Effect.map(Effect.flip(effect), (error) => {
    assert(error instanceof ResultCodec.ResultInvalid)
    assert.strictEqual(error.code, "RESULT_NOT_ENCODABLE")
    assert.deepStrictEqual(error.problems.map((problem) => problem.path.join(".")), [path])
  })

describe("errors of a result", () => {
  it.effect("go through the schema of their own stage, however much those of others look like it", () =>
    Effect.gen(function*() {
      const narrow = Stage.work("narrow", {
        error: Schema.Struct({ at: Schema.Date }),
        run: Effect.fail({ at: new Date(1) })
      })
      const wide = Stage.work("wide", {
        error: Schema.Struct({ at: Schema.String, limit: Schema.Number }),
        run: Effect.fail({ at: "1970-01-01T00:00:00.001Z", limit: 3 })
      })
      const pipeline = Pipeline.make("p").add(narrow).add(wide)
      const result = yield* Pipeline.run(pipeline, Snapshot.make(), { failure: "continue" })
      const back = (yield* roundTrip(pipeline, result)) as RunResult.Incomplete<unknown, unknown>
      assert.deepStrictEqual(back.failures.map(({ error }) => error), [
        { at: new Date(1) },
        { at: "1970-01-01T00:00:00.001Z", limit: 3 }
      ])
      for (const { cause, error } of back.failures) {
        assert.strictEqual(Option.getOrThrow(Cause.findErrorOption(cause)), error)
      }
    }))

  it.effect("in a cause that other stages are part of come back through the schemas of those", () =>
    Effect.gen(function*() {
      class Late extends Schema.TaggedError<Late>()("Late", { at: Schema.Date, limit: Schema.BigInt }) {}
      const gate = yield* Deferred.make<void>()
      const first = Stage.work("first", {
        error: Refused,
        run: Effect.andThen(Deferred.succeed(gate, undefined), Effect.fail(new Refused({ at: new Date(1) })))
      })
      // It is interrupted, and fails with an error of its own on the way out.
      const second = Stage.work("second", {
        error: Late,
        run: Effect.onInterrupt(Effect.never, () =>
          // A finalizer that fails although its type says that it cannot.
          Effect.fail(new Late({ at: new Date(2), limit: 7n })) as unknown as Effect.Effect<void>)
      })
      const pipeline = Pipeline.make("p").add(second).add(first)
      const failed = yield* Effect.flip(Pipeline.run(pipeline, Snapshot.make()))
      const errorsOf = (cause: Cause.Cause<unknown>) =>
        cause.reasons.filter(Cause.isFailReason).map(({ error }) => error)
      assert.lengthOf(errorsOf(failed.cause), 2)
      const back = (yield* roundTrip(pipeline, failed)) as RunResult.StageFailed
      const [refused, late] = errorsOf(back.cause)
      assert.strictEqual(refused, back.error)
      assert(late instanceof Late)
      assert.deepStrictEqual([late.at, late.limit], [new Date(2), 7n])
    }))

  it.effect("that no schema of the stage takes are refused, and its schema may name those of what is around it", () =>
    Effect.gen(function*() {
      class Closed extends Schema.TaggedError<Closed>()("Closed", { since: Schema.Date }) {}
      const closing = Interceptor.make({
        name: "closing",
        around: () => Effect.fail(new Closed({ since: new Date(9) }))
      })
      const around = (error: Schema.Top) =>
        Pipeline.make("p").add(Stage.work("s", { error: error as never, run: Effect.void })).pipe(
          Pipeline.intercept(closing)
        )
      const failure = (error: Schema.Top) => Effect.flip(Pipeline.run(around(error), Snapshot.make()))
      yield* refusedAt("result.error", roundTrip(around(Refused), yield* failure(Refused)))
      const both = Schema.Union([Refused, Closed])
      const back = (yield* roundTrip(around(both), yield* failure(both))) as RunResult.StageFailed
      assert(back.error instanceof Closed)
      assert.deepStrictEqual(back.error.since, new Date(9))
    }))

  it.effect("of an interceptor that a Layer installed come back inside of their fault", () =>
    Effect.gen(function*() {
      const refuse = Interceptor.make({ name: "refuse", around: () => Effect.fail(new Refused({ at: new Date(3) })) })
      const pipeline = Pipeline.make("p").add(Stage.work("s", { error: Refused, run: Effect.void }))
      const failed = yield* Effect.flip(Pipeline.run(pipeline, Snapshot.make())).pipe(
        Effect.provide(Interceptor.layer(refuse))
      )
      const back = (yield* roundTrip(pipeline, failed)) as RunResult.StageFailed
      assert(back.error instanceof StageError.StageFault && back.error.reason._tag === "InterceptorFailed")
      assert(back.error.reason.error instanceof Refused)
      assert.strictEqual(back.error.reason.interceptor, "refuse")
    }))

  it.effect("without a schema come back when they are plain data, and are refused when they are not", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual((yield* errorBack("down")).error as unknown, "down")
      assert.deepStrictEqual((yield* errorBack({ code: 1, at: undefined })).error as unknown, {
        code: 1,
        at: undefined
      })
      yield* refusedAt("result.error", errorBack(new Refused({ at: new Date(1) })))
      yield* refusedAt("result.error.tags", errorBack({ tags: new Set() }))
    }))

  it.effect("that hold more than their schema are refused", () =>
    Effect.gen(function*() {
      class Traced extends Refused {
        readonly trace = "t"
      }
      yield* refusedAt("result.error", errorBack(new Traced({ at: new Date(1) }), Refused))
      yield* refusedAt(
        "result.error.extra",
        errorBack(Object.assign(new Refused({ at: new Date(1) }), { extra: 1 }), Refused)
      )
    }))

  it.effect("keep the name and message of an error that nothing describes", () =>
    Effect.gen(function*() {
      class Wrapped extends Schema.TaggedError<Wrapped>()("Wrapped", { cause: Schema.Defect() }) {}
      const thrown = Object.assign(new TypeError("no such file"), { code: "ENOENT" })
      const typed = yield* errorBack(new Wrapped({ cause: thrown }), Wrapped)
      assert(typed.error instanceof Wrapped && typed.error.cause instanceof Error)
      assert.deepStrictEqual([typed.error.cause.name, typed.error.cause.message], ["TypeError", "no such file"])
      for (const defect of [thrown, "text", { message: "m", list: [1] }, Symbol("s"), new Map([[1, 2]]), () => 1]) {
        const pipeline = Pipeline.make("p").add(Stage.work("s", { run: Effect.die(defect) }))
        const failed = yield* Effect.flip(Pipeline.run(pipeline, Snapshot.make()))
        const back = (yield* roundTrip(pipeline, failed)) as RunResult.StageFailed
        assert(back.error instanceof StageError.StageFault && back.error.reason._tag === "Defect")
        const [reason] = back.cause.reasons
        assert(reason !== undefined && Cause.isDieReason(reason))
        for (const shown of [back.error.reason.defect, reason.defect]) {
          if (defect instanceof Error) {
            assert(shown instanceof Error)
            assert.deepStrictEqual([shown.name, shown.message], ["TypeError", "no such file"])
          } else if (typeof defect === "string" || "list" in Object(defect)) {
            assert.deepStrictEqual(shown, defect)
          } else {
            assert(typeof shown === "string" && shown !== "")
          }
        }
      }
    }))

  it.effect("that a finalizer which dies as well made defects of are still the errors that they were", () =>
    Effect.gen(function*() {
      const dying = (name: string, effect: Effect.Effect<never, unknown, unknown>) => {
        const body = Effect.ensuring(effect, Effect.die("on the way out")) as Effect.Effect<never>
        return Pipeline.make("p").add(Stage.work(name, { error: Refused, run: body }))
      }
      const defectsOf = (failed: RunResult.StageFailed) =>
        failed.cause.reasons.filter(Cause.isDieReason).map(({ defect }) => defect)
      const failing = dying("failing", Effect.fail(new Refused({ at: new Date(8) })))
      const failed = yield* Effect.flip(Pipeline.run(failing, Snapshot.make()))
      assert(failed._tag === "StageFailed")
      assert(defectsOf(failed).includes(failed.error))
      const back = (yield* roundTrip(failing, failed)) as RunResult.StageFailed
      assert(back.error instanceof Refused)
      assert.deepStrictEqual(defectsOf(back), [back.error, "on the way out"])

      const skipping = dying("skipping", StageOutput.skip("nothing", { data: { a: 1 } }))
      const skipped = (yield* roundTrip(
        skipping,
        yield* Effect.flip(Pipeline.run(skipping, Snapshot.make()))
      )) as RunResult.StageFailed
      const [skip] = defectsOf(skipped)
      assert(StageOutput.isStageOutput(skip) && skip._tag === "Skip")
      assert.deepStrictEqual([skip.reason, skip.data], ["nothing", { a: 1 }])

      const orDie = dying("orDie", Effect.orDie(Effect.fail(new Refused({ at: new Date(9) }))))
      const died =
        (yield* roundTrip(orDie, yield* Effect.flip(Pipeline.run(orDie, Snapshot.make())))) as RunResult.StageFailed
      assert(defectsOf(died).some((defect) => defect instanceof Refused && defect.at.getTime() === 9))
    }))

  it.effect("include the outcomes that a stage left with while something else went wrong", () =>
    Effect.gen(function*() {
      // Four Effects of four types, side by side: none of them gives anything.
      const ways: ReadonlyArray<Effect.Effect<never>> = [
        StageOutput.skip("nothing", { data: { a: 1 } }),
        StageOutput.cancel("enough"),
        StageOutput.fail(new Refused({ at: new Date(4) }), { data: { b: 2 } }),
        StageOutput.retry("again", { after: "2 seconds" })
      ] as never
      const leaving = Stage.work("leaving", {
        error: Refused,
        run: Effect.asVoid(Effect.forEach(
          ways,
          (way) => Effect.uninterruptible(Effect.andThen(Effect.yieldNow, way)),
          { concurrency: "unbounded" }
        ))
      })
      const pipeline = Pipeline.make("p").add(leaving)
      const failed = yield* Effect.flip(Pipeline.run(pipeline, Snapshot.make()))
      const outcomesOf = (cause: Cause.Cause<unknown>) =>
        cause.reasons.filter(Cause.isDieReason).map(({ defect }) => defect).filter(StageOutput.isStageOutput)
      const outcomes = outcomesOf(failed.cause)
      assert.sameMembers(outcomes.map(({ _tag }) => _tag), ["Skip", "Cancel", "Retry"])
      const back = (yield* roundTrip(pipeline, failed)) as RunResult.StageFailed
      assert.deepStrictEqual(
        outcomesOf(back.cause).map((outcome) => ({ ...outcome })),
        outcomes.map((outcome) => ({ ...outcome }))
      )
      assert.deepStrictEqual(back.error, failed.error)
    }))
})

describe("data without a schema", () => {
  it.effect("comes back equal when it is plain: undefined, -0, numbers that are not finite, odd keys", () =>
    Effect.gen(function*() {
      const data = {
        text: "\ud800 \u2028",
        list: [undefined, null, -0, 0, Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, [[]]],
        nothing: undefined,
        "~": "undefined",
        nested: { "~": { "~": "object", of: 1 } },
        bare: Object.assign(Object.create(null), { a: { b: undefined } }),
        constructor: 1,
        ["__proto__"]: { polluted: true }
      }
      const back = (yield* dataBack(data)) as typeof data
      assert.deepStrictEqual(back, data)
      assert.isTrue(Object.hasOwn(back, "nothing"))
      assert.isTrue(Object.is(back.list[2], -0) && Object.is(back.list[3], 0))
      assert.isNull(Object.getPrototypeOf(back.bare))
      assert.deepStrictEqual(Object.getOwnPropertyDescriptor(back, "__proto__")?.value, { polluted: true })
      assert.isTrue(Object.isFrozen(back.list))
    }))

  const nested = (levels: number): object => {
    let data: object = {}
    for (let level = 1; level < levels; level++) data = { data }
    return data
  }

  it.effect("is refused, with the path, when it is not", () =>
    Effect.gen(function*() {
      class Point {
        readonly x = 1
      }
      const cyclic: Record<string, unknown> = {}
      cyclic["self"] = cyclic
      const refused: ReadonlyArray<readonly [path: string, data: object]> = [
        ["a.0", { a: [new Date(0)] }],
        ["m", { m: new Map() }],
        ["m", { m: new Set() }],
        ["n", { n: 1n }],
        ["f", { f: () => 1 }],
        ["s", { s: Symbol("s") }],
        ["Symbol(k)", { [Symbol("k")]: 1 }],
        ["p", { p: new Point() }],
        ["p", { p: new Uint8Array(1) }],
        ["p", { p: Object.create({ inherited: 1 }) as object }],
        ["p", { p: Option.some(1) }]
      ]
      for (const [path, data] of refused) yield* refusedAt(`result.outputs.s.data.${path}`, dataBack(data))
      const tooDeep = yield* Effect.flip(dataBack(nested(5_000)))
      assert(tooDeep instanceof ResultCodec.ResultInvalid)
      assert.include(tooDeep.message, "1,000 levels")
      // A few objects that stand for more than there is memory.
      let shared: object = {}
      for (let level = 0; level < 60; level++) shared = { a: shared, b: shared }
      const tooMuch = yield* Effect.flip(dataBack(shared))
      assert(tooMuch instanceof ResultCodec.ResultInvalid)
      assert.include(tooMuch.message, "10,000,000")
      const endless = yield* Effect.flip(dataBack(cyclic))
      assert(endless instanceof ResultCodec.ResultInvalid && endless.problems.length === 1)
      assert.deepStrictEqual(yield* dataBack(nested(900)), nested(900))
    }))

  it.effect("in errors, artifacts, events and beside outcomes follows the same rule", () =>
    Effect.gen(function*() {
      const accessor = Object.defineProperty({}, "a", { get: () => 1, enumerable: true })
      yield* refusedAt("result.error.a", errorBack(accessor))
      yield* refusedAt("result.error.hidden", errorBack(Object.defineProperty({}, "hidden", { value: 1 })))
      // oxlint-disable-next-line no-sparse-arrays
      yield* refusedAt("result.error.list.1", errorBack({ list: [1, , 3] }))
      yield* refusedAt("result.error.list", errorBack({ list: Object.assign([1], { more: 2 }) }))
      const beside = (output: StageOutput.Ok<{}> | StageOutput.Skip) => {
        const pipeline = Pipeline.make("p").add(Stage.work("s", { run: Effect.succeed(output) }))
        return Effect.flatMap(Pipeline.run(pipeline, Snapshot.make()), (result) => roundTrip(pipeline, result))
      }
      const at = new Date(0)
      yield* refusedAt(
        "result.outputs.s.artifacts.0.payload",
        beside(StageOutput.ok({}, { artifacts: [{ type: "t", payload: at }] }))
      )
      yield* refusedAt(
        "result.outputs.s.events.0.data",
        beside(StageOutput.ok({}, { events: [{ type: "t", data: at }] }))
      )
      yield* refusedAt("result.outputs.s.data.at", beside(StageOutput.skip("s", { data: { at } })))
      const back = (yield* beside(StageOutput.ok({}, {
        artifacts: [{ type: "t", payload: undefined }],
        events: [{ type: "t", data: -0 }]
      }))) as RunResult.Completed<{ readonly s: StageOutput.Ok<{}> }>
      assert.deepStrictEqual(back.outputs.s.artifacts, [{ type: "t", payload: undefined }])
      assert.isTrue(Object.is(back.outputs.s.events[0]?.data, -0))
    }))
})

describe("data with a schema", () => {
  it.effect("comes back equal, also where the schema's own JSON could not tell it apart", () =>
    Effect.gen(function*() {
      class Profile extends Schema.Class<Profile>("Profile")({ name: Schema.String, born: Schema.Date }) {}
      const schema = Schema.Struct({
        zero: Schema.Number,
        note: Schema.optional(Schema.NullOr(Schema.String)),
        list: Schema.Array(Schema.NullishOr(Schema.Date)),
        either: Schema.Union([Schema.Number, Schema.String]),
        when: Schema.Union([Schema.Date, Schema.String]),
        profile: Profile,
        prices: Schema.ReadonlyMap(Schema.String, Schema.BigInt)
      })
      const data = {
        zero: -0,
        note: undefined,
        list: [null, undefined, new Date(3)],
        either: "NaN",
        when: "1970-01-01T00:00:00.000Z",
        profile: new Profile({ name: "ada", born: new Date(1) }),
        prices: new Map([["a", 1n]])
      }
      const back = (yield* dataBack(data, schema)) as typeof data
      assert.deepStrictEqual({ ...back, prices: Array.from(back.prices) }, { ...data, prices: [["a", 1n]] } as never)
      assert.isTrue(Object.is(back.zero, -0))
      assert.isTrue(Object.hasOwn(back, "note"))
      assert(back.profile instanceof Profile)
      assert.isTrue(Object.isFrozen(back.list))
    }))

  it.effect("is refused where it would come back as something else", () =>
    Effect.gen(function*() {
      class Profile extends Schema.Class<Profile>("Profile")({ name: Schema.NullishOr(Schema.String) }) {}
      class Admin extends Profile {
        readonly level = 1
      }
      const key = Symbol("key")
      const refused: ReadonlyArray<readonly [path: string, data: object, schema: Schema.Top]> = [
        [".p", { p: new Admin({ name: "a" }) }, Schema.Struct({ p: Profile })],
        [".p.name", { p: new Profile({ name: undefined }) }, Schema.Struct({ p: Profile })],
        [".m", { m: new Map([[1, 2]]) }, Schema.Struct({ m: Schema.Any })],
        [".m", { m: new Date(0) }, Schema.Struct({ m: Schema.Unknown })],
        ["", { [key]: 1 }, Schema.Struct({ [key]: Schema.Number })],
        [".s", { s: key }, Schema.Struct({ s: Schema.Symbol })]
      ]
      for (const [path, data, schema] of refused) {
        yield* refusedAt(`result.outputs.s.data${path}`, dataBack(data, schema))
      }
    }))

  it.effect("is refused, not died of, where its schema throws", () =>
    Effect.gen(function*() {
      const throwing = Schema.Struct({
        a: Schema.String.pipe(Schema.encodeTo(Schema.String, {
          decode: { run: undefined } as never,
          encode: { run: undefined } as never
        }))
      })
      yield* refusedAt("result.outputs.s.data", dataBack({ a: "x" }, throwing))
    }))
})

describe("what the bag holds", () => {
  const at = new Date(5)
  const cancelling = Stage.guard("cancelling", {
    run: Effect.succeed(StageOutput.cancel("enough", {
      data: { policy: undefined },
      artifacts: [{ type: "t", payload: [1] }],
      version: "3"
    }))
  })
  const before = Stage.transform("before", {
    output: Schema.Struct({ at: Schema.Date }),
    run: Effect.succeed({ at })
  })
  const pipeline = Pipeline.make("p").add(before).add(cancelling, { after: ["before"] }).add(rich, {
    after: ["cancelling"]
  })

  it.effect("the output of the stage that cancelled comes back, in its entry only", () =>
    Effect.gen(function*() {
      const result = yield* Pipeline.run(pipeline, Snapshot.make())
      const back = yield* ResultCodec.decode(pipeline, throughText(yield* ResultCodec.encode(pipeline, result)))
      assert(back._tag === "Cancelled")
      assert.deepStrictEqual(Object.keys(back.outputs), ["before"])
      const { end } = Option.getOrThrow(OutputBag.get(back.bag, "cancelling"))
      assert(end._tag === "Settled" && end.output._tag === "Cancel")
      assert.isTrue(StageOutput.isStageOutput(end.output))
      assert.deepStrictEqual(end.output.data, { policy: undefined })
      assert.deepStrictEqual(end.output.artifacts, [{ type: "t", payload: [1] }])
      assert.strictEqual(end.output.version, "3")
      const own = Option.getOrThrow(OutputBag.get(result.bag, "cancelling")).end
      assert(own._tag === "Settled")
      assert.strictEqual(end.output.durationMs, own.output.durationMs)
    }))

  it.effect("nothing of a decoded result can be changed", () =>
    Effect.gen(function*() {
      const failing = Pipeline.make("f").add(before).add(refusing, { after: ["before"] })
      const results = [
        yield* roundTrip(pipeline, yield* Pipeline.run(pipeline, Snapshot.make({ userId: "u" }))),
        yield* roundTrip(failing, yield* Pipeline.run(failing, Snapshot.make(), { failure: "continue" })),
        yield* roundTrip(failing, yield* Effect.flip(Pipeline.run(failing, Snapshot.make())))
      ]
      const open: Array<string> = []
      const look = (value: unknown, path: string) => {
        // Errors, causes and the bag are instances; what they hold is looked at.
        if (typeof value !== "object" || value === null || value instanceof Date) return
        const isInstance = value instanceof Error || Cause.isCause(value) || path.endsWith(".bag")
        if (!isInstance && !Object.isFrozen(value)) open.push(path)
        if (value instanceof Refused || Cause.isCause(value)) return
        for (const key of Object.keys(value)) look(Reflect.get(value, key), `${path}.${key}`)
        if (path.endsWith(".bag")) look(Reflect.get(value, "entries"), `${path}.entries`)
      }
      results.forEach((result, index) => look(result, `${index}`))
      assert.deepStrictEqual(open.filter((path) => !path.endsWith(".read") && !path.endsWith(".known")), [])
    }))
})

describe("what several attempts leave", () => {
  const at = new Date(3)
  const down = Effect.fail(new Refused({ at }))
  const counting = <A, E>(attempt: (count: number) => Effect.Effect<A, E>) => {
    let count = 0
    return Effect.suspend(() => attempt(++count))
  }
  const abandoned = Effect.uninterruptible(Effect.never)
  const stages = {
    retried: Stage.work("s", { error: Refused, run: counting((count) => count < 3 ? down : Effect.void) })
      .pipe(Stage.retry({ attempts: 6, schedule: Schedule.spaced("1 second") })),
    exhausted: Stage.work("s", { error: Refused, run: down }).pipe(Stage.retry({ attempts: 3 })),
    asking: Stage.work("s", { run: Effect.succeed(StageOutput.retry("again")) }).pipe(Stage.retry({ attempts: 3 })),
    slow: Stage.work("s", { run: Effect.never }).pipe(Stage.timeout("1 second"), Stage.retry({ attempts: 3 })),
    deaf: Stage.work("s", { run: abandoned }).pipe(Stage.timeout("1 second", { grace: "1 second" })),
    hedged: Stage.work("s", { run: counting((count) => count === 1 ? Effect.never : Effect.void) })
      .pipe(Stage.intercept(Interceptors.hedge({ after: "1 second" }))),
    hedgedTwice: Stage.work("s", { error: Refused, run: counting((count) => count < 4 ? down : Effect.void) })
      .pipe(Stage.retry({ attempts: 6 }), Stage.intercept(Interceptors.hedge({ after: "10 millis" }))),
    waiting: Stage.work("s", { error: Refused, run: down })
      .pipe(Stage.retry({ attempts: 6, schedule: Schedule.spaced("1 hour") }))
  }

  const siblings = {
    ending: Stage.work("sibling", { run: Effect.sleep("5 seconds") }),
    failing: Stage.work("sibling", { run: Effect.delay(Effect.fail("down"), "1500 millis") }),
    cancelling: Stage.guard("sibling", {
      run: Effect.delay(Effect.succeed(StageOutput.cancel("enough")), "1500 millis")
    })
  }

  const ends = Effect.fnUntraced(function*(stage: Stage.Any, failure: "continue" | "fail-fast", sibling: Stage.Any) {
    // Stages of any kind: whether they fit is not what is asked here.
    const pipeline = Pipeline.make("p").add(stage as typeof stages.deaf).add(sibling as typeof siblings.ending)
    const run = yield* Effect.forkChild(Effect.result(Pipeline.run(pipeline, Snapshot.make(), { failure })), {
      startImmediately: true
    })
    yield* TestClock.adjust("1 day")
    const ended = yield* Fiber.join(run)
    const result = ended._tag === "Success" ? ended.success : ended.failure
    const json = yield* ResultCodec.encode(pipeline, result as never)
    const back = yield* ResultCodec.decode(pipeline, throughText(json))
    assert.strictEqual(back._tag, result._tag)
    assert.deepStrictEqual(back.bag.entries, (result as RunResult.Summary).bag.entries)
  })

  for (const [name, stage] of Object.entries(stages)) {
    for (const [beside, sibling] of Object.entries(siblings)) {
      it.effect(`${name}, beside one that is ${beside}`, () =>
        Effect.andThen(ends(stage, "fail-fast", sibling), ends(stage, "continue", sibling)))
    }
  }
})

describe("a run that is cancelled after a failure", () => {
  it.effect("comes back with its failures and the stages that these blocked", () =>
    Effect.gen(function*() {
      const pipeline = Pipeline.make("p").add(refusing)
        .add(Stage.work("after", { run: Effect.void }), { after: ["refusing"] })
        .add(Stage.guard("last", { run: Effect.delay(StageOutput.cancel("enough"), "1 second") }))
      const run = yield* Effect.forkChild(Pipeline.run(pipeline, Snapshot.make(), { failure: "continue" }), {
        startImmediately: true
      })
      yield* TestClock.adjust("1 second")
      const back = (yield* roundTrip(pipeline, yield* Fiber.join(run))) as RunResult.Cancelled<unknown>
      assert.strictEqual(back._tag, "Cancelled")
      assert.deepStrictEqual(back.blocked, ["after"])
      assert.deepStrictEqual(back.failures.map(({ stage }) => stage), ["refusing"])
      assert(back.failures[0]?.error instanceof Refused)
    }))
})

describe("tampered JSON", () => {
  const first = Stage.transform("first", { run: Effect.succeed({ a: 1 }) })
  const second = Stage.enrich("second", { run: Effect.succeed(StageOutput.skip("nothing")) })
  const third = Stage.guard("third", {
    run: (_: { readonly first: object }) => Effect.succeed(StageOutput.cancel("enough"))
  })
  const completed = Pipeline.make("p").add(first).add(second)
  const cancelled = Pipeline.make("p").add(first).add(second).add(third, { inputs: ["first"] })
    .add(Stage.work("fourth", { run: Effect.void }), { after: ["third"] })
  const failing = Pipeline.make("p").add(first).add(refusing, { after: ["first"] })
    .add(Stage.work("after", { run: Effect.void }), { after: ["refusing"] })

  // Whatever somebody who tampers with it makes of it.
  type Json = any

  const jsonOf = (pipeline: Parameters<typeof ResultCodec.encode>[0], failure: "continue" | "fail-fast") =>
    Effect.gen(function*() {
      const result = yield* Effect.catch(
        Pipeline.run(pipeline as typeof failing, Snapshot.make(), { failure }),
        (error) => Effect.succeed(error)
      )
      return JSON.stringify(yield* ResultCodec.encode(pipeline, result))
    })

  const tamperings: ReadonlyArray<
    readonly [what: string, Parameters<typeof ResultCodec.encode>[0], path: string, tamper: (result: Json) => unknown]
  > = [
    ["an output is gone", completed, "outputs", ({ outputs }) => Reflect.deleteProperty(outputs, "second")],
    [
      "the output of an entry is gone",
      completed,
      "bag.entries.0.end",
      ({ outputs }) => Reflect.deleteProperty(outputs, "first")
    ],
    ["the entry of an output is gone", completed, "outputs.first", ({ bag }) => {
      bag.entries = bag.entries.filter(({ stage }: Json) => stage !== "first")
    }],
    ["an entry twice", completed, "bag.entries.2.end", ({ bag }) => {
      bag.entries = [...bag["entries"], bag.entries[0]]
    }],
    ["an output of an unknown stage", completed, "outputs.nobody", ({ outputs }) => {
      outputs.nobody = outputs["first"]
    }],
    ["an entry of an unknown stage", completed, "bag.entries.0.stage", ({ bag }) => {
      bag.entries[0].stage = "nobody"
    }],
    ["an entry of a stage like __proto__", completed, "bag.entries.0.stage", ({ bag }) => {
      bag.entries[0].stage = "__proto__"
    }],
    ["data that is none", completed, "outputs.first.data", ({ outputs }) => {
      outputs.first.data = null
    }],
    ["a mark that is none", completed, "outputs.first.data.a", ({ outputs }) => {
      outputs.first.data.a = { "~": "bigint" }
    }],
    ["a cancel among the outputs", completed, "outputs.first", ({ outputs }) => {
      outputs.first = { _tag: "Cancel", reason: "r", data: {} }
    }],
    ["an attempt that is none", completed, "bag.entries.0.attempt", ({ bag }) => {
      bag.entries[0].attempt = 0
    }],
    ["a time that is none", completed, "durationMs", (result) => {
      result.durationMs = "NaN"
    }],
    ["another pipeline", completed, "pipeline", (result) => {
      result.pipeline = "q"
    }],
    ["a result of another kind", completed, "", (result) => {
      result._tag = "Done"
    }],
    ["completed instead of cancelled", cancelled, "outputs", (result) => {
      result._tag = "Completed"
    }],
    [
      "the output of the cancel is gone",
      cancelled,
      "bag.entries.2.end",
      ({ bag }) => Reflect.deleteProperty(bag.entries[2]["end"], "output")
    ],
    ["the cancel is an Ok", cancelled, "bag.entries.2.end.output", ({ bag }) => {
      bag.entries[2].end.output = { _tag: "Ok", data: {} }
    }],
    ["cancelled by a stage that did not", cancelled, "by", (result) => {
      result.by = "first"
    }],
    ["cancelled by an unknown stage", cancelled, "by", (result) => {
      result.by = "nobody"
    }],
    ["never started, but it has an output", cancelled, "neverStarted.1", ({ neverStarted }) => {
      neverStarted.push("first")
    }],
    ["a stage in no list of a cancelled run", cancelled, "neverStarted", ({ neverStarted }) => {
      neverStarted.pop()
    }],
    ["blocked and never started", cancelled, "blocked.0", ({ blocked }) => {
      blocked.push("fourth")
    }],
    ["never started twice", cancelled, "neverStarted.1", ({ neverStarted }) => {
      neverStarted.push("fourth")
    }],
    ["abandoned without being interrupted", cancelled, "abandoned.0", ({ abandoned }) => {
      abandoned.push("fourth")
    }]
  ]
  const incomplete: typeof tamperings = [
    ["ok twice", failing, "ok.1", ({ ok }) => {
      ok.push("first")
    }],
    ["a stage in no list", failing, "blocked", (result) => {
      result.blocked = []
    }],
    ["ok without an output", failing, "ok.1", (result) => {
      result.ok = ["first", "after"]
      result.blocked = []
    }],
    ["failed without a failure", failing, "failed.0", (result) => {
      result.failures = []
    }],
    ["a failure of an unknown stage", failing, "failures.0.stage", ({ failures }) => {
      failures[0].stage = "nobody"
    }],
    ["more attempts than entries", failing, "failures.0.attempts", ({ failures }) => {
      failures[0].attempts = 7
    }],
    ["an error that its schema rejects", failing, "failures.0.error.value.at", ({ failures }) => {
      failures[0].error.value.at = "never"
    }]
  ]
  const failed: typeof tamperings = [
    ["a failed stage with an output", failing, "stage", (result) => {
      result.stage = "first"
    }],
    ["an unknown failed stage", failing, "stage", (result) => {
      result.stage = "nobody"
    }]
  ]

  for (
    const [failure, cases] of [["continue", tamperings], ["continue", incomplete], ["fail-fast", failed]] as const
  ) {
    for (const [what, pipeline, path, tamper] of cases) {
      it.effect(`${what}: an error with its path`, () =>
        Effect.gen(function*() {
          const json = JSON.parse(yield* jsonOf(pipeline, failure)) as Json
          yield* ResultCodec.decode(pipeline, json)
          tamper(json.result)
          const error = yield* Effect.flip(ResultCodec.decode(pipeline, json))
          assert(error instanceof ResultCodec.ResultInvalid)
          assert.strictEqual(error.code, "RESULT_INVALID")
          assert.include(
            error.problems.map((problem) => problem.path.join(".")),
            path === "" ? "result" : `result.${path}`,
            error.message
          )
        }))
    }
  }

  it.effect("what is written beside the JSON of a schema is checked like the rest", () =>
    Effect.gen(function*() {
      const listing = Stage.transform("listing", {
        output: Schema.Struct({ list: Schema.Array(Schema.Number), at: Schema.optionalKey(Schema.Date) }),
        run: Effect.succeed({ list: [1] })
      })
      const pipeline = Pipeline.make("p").add(listing)
      const text = JSON.stringify(yield* ResultCodec.encode(pipeline, yield* Pipeline.run(pipeline, Snapshot.make())))
      const wrong: ReadonlyArray<readonly [at: string, path: ReadonlyArray<string | number>, value: unknown]> = [
        ["list.0", ["list", 0], "one"],
        ["list.0", ["list", 0], { "~": "undefined" }],
        ["with.0.path", ["list", "length"], 1_000_000_000],
        ["with.0.path", ["list", 1], 2],
        ["with.0.path", ["list", "0"], 2],
        ["with.0.path", ["list", 0, "x"], 2],
        ["with.0.path", ["__proto__", "x"], 2],
        ["with.0.path.0", [-1], 2],
        ["with.0.path", [0], 2],
        ["with.0.value", ["list", 0], { "~": "exact" }],
        ["at", ["at"], 2]
      ]
      for (const [at, path, value] of wrong) {
        const json = JSON.parse(text) as Json
        json.result.outputs.listing.data = { "~": "exact", of: { list: [1] }, with: [{ path, value }] }
        const error = yield* Effect.flip(ResultCodec.decode(pipeline, json))
        assert(error instanceof ResultCodec.ResultInvalid)
        assert.deepStrictEqual(
          error.problems.map((problem) => problem.path.join(".")),
          [`result.outputs.listing.data.${at}`],
          error.message
        )
      }
    }))

  it.effect("a result of another pipeline is not encoded", () =>
    Effect.gen(function*() {
      const result = yield* Pipeline.run(completed, Snapshot.make())
      const other = Pipeline.make("p").add(first)
      const error = yield* Effect.flip(ResultCodec.encode(other, result))
      assert(error instanceof ResultCodec.ResultInvalid && error.code === "RESULT_NOT_ENCODABLE")
      assert.include(error.problems.map(({ path }) => path.join(".")), "result.outputs.second")
    }))

  it.effect("what is no result is an error, however it looks", () =>
    Effect.gen(function*() {
      let deep: unknown = {}
      for (let level = 0; level < 100_000; level++) deep = [deep]
      const pipeline = Pipeline.make("p").add(first)
      const json = JSON.parse(yield* jsonOf(pipeline, "fail-fast")) as Json
      json.result.outputs.first.data = { deep }
      for (const wrong of [undefined, null, 1, "x", [], {}, { version: 1 }, { version: 1, result: null }, deep, json]) {
        const error = yield* Effect.flip(ResultCodec.decode(pipeline, wrong))
        assert(error instanceof ResultCodec.ResultInvalid)
        assert.strictEqual(error.code, "RESULT_INVALID")
        const notEncoded = yield* Effect.flip(ResultCodec.encode(pipeline, wrong))
        assert(notEncoded instanceof ResultCodec.ResultInvalid)
        assert.strictEqual(notEncoded.code, "RESULT_NOT_ENCODABLE")
      }
    }))
})

describe("ResultCodec writes nothing that it would not read", () => {
  const given: Readonly<Record<string, Effect.Effect<unknown>>> = {
    "a skip whose data is a list": Effect.succeed(StageOutput.skip("x", { data: [undefined] as never })),
    "a cancel whose data is a list": Effect.succeed(StageOutput.cancel("x", { data: [1] as never })),
    "a defect that is an Ok of a number": Effect.die(StageOutput.ok(5 as never))
  }
  for (const [what, run] of Object.entries(given)) {
    it.effect(what, () =>
      Effect.gen(function*() {
        const pipeline = Pipeline.make("p").add(Stage.work("s", { run: run as Effect.Effect<void> }))
        const result = yield* Effect.match(Pipeline.run(pipeline, Snapshot.make()), {
          onFailure: (failed): any => failed,
          onSuccess: (ended): any => ended
        })
        const written = yield* Effect.exit(ResultCodec.encode(pipeline, result))
        if (written._tag === "Success") {
          yield* ResultCodec.decode(pipeline, throughText(written.value))
        }
      }))
  }
})
