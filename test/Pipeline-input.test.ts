/**
 * Pipelines that take an input and return a value: typed functions.
 */
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Layer, Option, Schema, SchemaGetter, Stream } from "effect"
import { EventSink, Interceptor, Pipeline, ResultCodec, RunResult, Snapshot, Source, Stage } from "stageflow"
import { Simulation } from "stageflow/testing"

type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false

const Bill = Schema.Struct({ amount: Schema.Int, at: Schema.optionalKey(Schema.Date) })

const tax = Stage.transform("tax", {
  run: (inputs: { readonly input: { readonly amount: number } }) => Effect.succeed({ tax: inputs.input.amount / 5 })
})

const billing = Pipeline.make("billing", { input: Bill })
  .add(tax, { inputs: ["input"] })
  .transform("net", {
    inputs: (s) => ({ amount: s.input.map(({ amount }) => amount), tax: s.tax }),
    run: ({ amount, tax }) => Effect.succeed({ net: amount - tax.tax })
  })
  .returns((s) => s.net.map(({ net }) => net))

const five = Snapshot.make({ input: { amount: 5 } })

describe("a pipeline with an input and a value", () => {
  it.effect("is a typed function, run, started and streamed", () =>
    Effect.gen(function*() {
      const result = yield* Pipeline.run(billing, five)
      const isSame: Same<typeof result.value, number> = true
      assert.isTrue(isSame)
      assert.strictEqual(result.value, 4)
      assert.deepStrictEqual(Object.keys(result.outputs), ["tax", "net"])
      const started = yield* Effect.flatMap(Pipeline.start(billing, five), (handle) => handle.await)
      assert(started._tag === "Completed")
      assert.strictEqual(started.value, 4)
      const last = Option.getOrThrow(yield* Stream.runLast(five.pipe((snapshot) => Pipeline.stream(billing, snapshot))))
      assert(last._tag === "Completed")
      assert.strictEqual(last.value, 4)
      const piped = yield* billing.pipe(Pipeline.run(five))
      assert.strictEqual(piped.value, 4)
    }))

  it.effect("keeps its input and its value when a Layer, an interceptor and an annotation are put around it", () =>
    Effect.gen(function*() {
      class Rate extends Context.Service<Rate, { readonly rate: number }>()("Rate") {}
      const rated = billing
        .work("rate", {
          inputs: ["input"],
          run: ({ input }) => Effect.map(Rate, ({ rate }) => ({ n: rate * input.amount }))
        })
        .pipe(Pipeline.provide(Layer.succeed(Rate, { rate: 2 })))
      const { outputs, value } = yield* Pipeline.run(rated, five)
      assert.deepStrictEqual([Object.keys(outputs), outputs.rate.data, value], [["tax", "net", "rate"], { n: 10 }, 4])
      // @ts-expect-error this pipeline takes an input
      const missing = yield* Effect.flip(Pipeline.run(rated, Snapshot.make()))
      assert.instanceOf(missing, Snapshot.SnapshotInvalid)
      const simulated = yield* Simulation.run(rated, five)
      assert.strictEqual((yield* simulated.exit).value, 4)
    }))

  it.effect("is read as an Option as well, and not twice told what it returns", () =>
    Effect.gen(function*() {
      const optional = Pipeline.make("p", { input: Schema.UndefinedOr(Schema.Int) })
        .work("look", { inputs: ["input?"], run: ({ input }) => Effect.succeed({ n: Option.getOrThrow(input) ?? 0 }) })
      assert.strictEqual((yield* Pipeline.run(optional, Snapshot.make())).outputs.look.data.n, 0)
      assert.strictEqual((yield* Pipeline.run(optional, Snapshot.make({ input: 3 }))).outputs.look.data.n, 3)
      const json = Snapshot.encode(Snapshot.make(), optional)
      const back = yield* Snapshot.decode(json, { input: Schema.UndefinedOr(Schema.Int) })
      assert.isUndefined(back.input)
      // @ts-expect-error returns: this pipeline says already what it returns
      assert.throws(() => billing.returns((s) => s.tax), /"returns"/)
    }))

  it.effect("a schema that cannot be used without waiting is SnapshotInvalid where it is decoded, and works in a run", () =>
    Effect.gen(function*() {
      const slow = Schema.String.pipe(Schema.decode({
        decode: SchemaGetter.transformEffect((text: string) => Effect.as(Effect.sleep(1), text)),
        encode: SchemaGetter.passthrough()
      }))
      const json = Snapshot.encode(Snapshot.make({ input: "x" }))
      const failed = yield* Effect.flip(Snapshot.decode(json, { input: slow }))
      assert.strictEqual(failed._tag, "SnapshotInvalid")
      assert.include(failed.message, "input")
    }))

  it.effect("does not start with an input that its schema rejects, and says where", () =>
    Effect.gen(function*() {
      let starts = 0
      const counted = billing.work("count", { run: Effect.sync(() => void starts++) })
      const wrong = Snapshot.make({ input: { amount: 0.5 } })
      const failed = yield* Effect.flip(Pipeline.run(counted, wrong))
      assert(failed._tag === "SnapshotInvalid")
      assert.deepStrictEqual(failed.problems.map(({ path }) => path), [["input", "amount"]])
      const awaited = yield* Effect.flip(Effect.flatMap(Pipeline.start(counted, wrong), (handle) => handle.await))
      assert.strictEqual(awaited._tag, "SnapshotInvalid")
      const untyped = Snapshot.make() as unknown as typeof five
      const missing = yield* Effect.flip(Pipeline.run(counted, untyped))
      assert(missing._tag === "SnapshotInvalid")
      assert.strictEqual(missing.problems[0]?.path[0], "input")
      assert.strictEqual(starts, 0)
    }))

  it.effect("tells of a run that its input rejects", () =>
    Effect.gen(function*() {
      const sink = yield* EventSink.Memory
      yield* Effect.exit(Pipeline.run(billing, Snapshot.make({ input: { amount: 0.5 } })))
      const tags = (yield* sink.events).map(({ _tag }) => _tag)
      assert.deepStrictEqual(tags, ["RunStarted", "RunRejected"])
    }).pipe(Effect.provide(EventSink.layerMemory)))

  it.effect("stages see the input that the schema gave, immutable, and nothing it does not name", () =>
    Effect.gen(function*() {
      const given = { amount: 5, extra: "x" }
      const pipeline = Pipeline.make("p", { input: Schema.Struct({ amount: Schema.Int }) })
        .work("look", {
          inputs: ["input"],
          run: function*({ input }) {
            const { input: current } = yield* Snapshot.current
            return { keys: Object.keys(input), isFrozen: Object.isFrozen(input), same: current === input }
          }
        })
      const { outputs } = yield* Pipeline.run(pipeline, Snapshot.make({ input: given }))
      assert.deepStrictEqual(outputs.look.data, { keys: ["amount"], isFrozen: true, same: true })
      assert.deepStrictEqual(given, { amount: 5, extra: "x" })
    }))

  it.effect("hands the run of another pipeline its own input", () =>
    Effect.gen(function*() {
      const parent = Pipeline.make("parent").work("child", {
        run: function*() {
          const current = yield* Snapshot.current
          const { lineage, value } = yield* Pipeline.run(billing, Snapshot.update(current, { input: { amount: 10 } }))
          return { value, parent: lineage.parentStage }
        }
      })
      const { outputs } = yield* Pipeline.run(parent, Snapshot.make({ userId: "Ann" }))
      assert.deepStrictEqual(outputs.child.data, { value: 8, parent: "child" })
    }))

  it.effect("an interceptor around the run comes before the input is looked at", () =>
    Effect.gen(function*() {
      class Denied extends Schema.TaggedError<Denied>()("Denied", {}) {}
      const denied = billing.pipe(Pipeline.intercept(Interceptor.make({
        name: "denying",
        aroundRun: () => Effect.fail(new Denied())
      })))
      const failed = yield* Effect.flip(Pipeline.run(denied, Snapshot.make({ input: { amount: 0.5 } })))
      assert.strictEqual(failed._tag, "Denied")
    }))

  it.effect("fails with ValueFailed when its value cannot be read or is rejected", () =>
    Effect.gen(function*() {
      const base = Pipeline.make("p").work("one", { run: Effect.succeed({ n: 1 }) })
      const throwing = base.returns((s) =>
        s.one.map((): number => {
          throw new Error("hunter2")
        })
      )
      const thrown = yield* Effect.flip(Pipeline.run(throwing, Snapshot.make()))
      assert(thrown instanceof RunResult.ValueFailed)
      assert.notInclude(thrown.message, "hunter2")
      assert.notInclude(JSON.stringify(thrown), "hunter2")
      assert.deepStrictEqual(thrown.result.outputs.one.data, { n: 1 })
      const rejecting = base.returns((s) => s.one.map(({ n }) => n), {
        output: Schema.Number.check(Schema.isGreaterThan(1))
      })
      const rejected = yield* Effect.flip(Pipeline.run(rejecting, Snapshot.make()))
      assert(rejected._tag === "ValueFailed")
      assert.isAbove(rejected.problems.length, 0)
    }))

  it.effect("has no value when it is cancelled or goes on after a failure", () =>
    Effect.gen(function*() {
      const failing = Pipeline.make("p")
        .work("one", { run: Effect.succeed({ n: 1 }) })
        .work("bad", { run: Effect.fail("bad") })
        .returns((s) => s.one)
      const result = yield* Pipeline.run(failing, Snapshot.make(), { failure: "continue" })
      assert.strictEqual(result._tag, "Incomplete")
      assert.notProperty(result, "value")
    }))

  it.effect("its results are encoded with the schema of what it returns", () =>
    Effect.gen(function*() {
      const dated = Pipeline.make("dated")
        .work("one", { output: Schema.Struct({ at: Schema.Date }), run: Effect.sync(() => ({ at: new Date(7) })) })
        .returns((s) => s.one.map(({ at }) => at), { output: Schema.Date })
      const result = yield* Pipeline.run(dated, Snapshot.make())
      const json = yield* ResultCodec.encode(dated, result)
      const back = yield* ResultCodec.decode(dated, JSON.parse(JSON.stringify(json)))
      assert(back._tag === "Completed")
      assert.deepStrictEqual(back.value, new Date(7))
      assert.deepStrictEqual(back.outputs, result.outputs)
      const untyped = Pipeline.make("dated")
        .work("one", { output: Schema.Struct({ at: Schema.Date }), run: Effect.sync(() => ({ at: new Date(7) })) })
        .returns((s) => s.one)
      const invalid = yield* Effect.flip(ResultCodec.encode(untyped, yield* Pipeline.run(untyped, Snapshot.make())))
      assert(invalid._tag === "ResultInvalid")
      assert.deepStrictEqual(invalid.problems[0]?.path.slice(0, 3), ["result", "value", "at"])
      const none = Pipeline.make("dated").work("one", {
        output: Schema.Struct({ at: Schema.Date }),
        run: Effect.sync(() => ({ at: new Date(7) }))
      })
      assert.strictEqual((yield* Effect.flip(ResultCodec.decode(none, json)))._tag, "ResultInvalid")
    }))

  it.effect("a pipeline without these is what it was", () =>
    Effect.gen(function*() {
      const plain = Pipeline.make("p").work("one", { run: Effect.void })
      const result = yield* Pipeline.run(plain, Snapshot.make({ input: { not: "looked at" } }))
      assert.notProperty(result, "value")
      // A stage may have the name, then.
      const named = Pipeline.make("p").work("input", { run: Effect.succeed({ n: 1 }) })
        .work("reader", { inputs: ["input"], run: ({ input }) => Effect.succeed({ n: input.n + 1 }) })
      assert.strictEqual((yield* Pipeline.run(named, Snapshot.make())).outputs.reader.data.n, 2)
    }))

  it.effect("is found wrong at run time as well: a stage called input, and a value of a stage that is not there", () =>
    Effect.gen(function*() {
      const untyped = Pipeline.make("p", { input: Bill }).work("net", { run: Effect.void }) as unknown as {
        readonly add: (stage: Stage.Any) => Pipeline.Any
        readonly returns: (value: unknown, options?: unknown) => Pipeline.Any
      }
      const messageOf = (pipeline: Pipeline.Any) =>
        Effect.map(Effect.flip(Pipeline.validate(pipeline)), ({ message }) => message)
      assert.include(yield* messageOf(untyped.add(Stage.work("input", { run: Effect.void }))), "pipeline's input")
      assert.include(yield* messageOf(untyped.returns(() => Source.stage("nett"))), "Did you mean \"net\"")
      assert.throws(() => untyped.returns(() => 42), /Source/)
      assert.throws(() => untyped.returns(42), /"value"/)
      assert.throws(() => untyped.returns(() => Source.succeed(1), { output: {} }), /"output"/)
      assert.throws(() => Pipeline.make("p", { input: {} as never }), /"input"/)
      assert.throws(() => Pipeline.make("p", { inptu: Bill } as never), /"inptu"/)
    }))

  it.effect("is put behind another by `extend`, and keeps its input beside it by `merge`", () =>
    Effect.gen(function*() {
      const first = Pipeline.make("first").work("first", { run: Effect.void })
      const { edges } = yield* Pipeline.describe(first.extend(billing))
      assert.deepStrictEqual(edges.filter(({ to }) => to === "tax").map(({ from }) => from), ["first"])
      for (
        const pipeline of [first.extend(billing), first.merge(billing), billing.merge(first), billing.extend(first)]
      ) {
        assert.strictEqual((yield* Pipeline.run(pipeline, five)).value, 4)
      }
    }))
})

describe("a snapshot with an input", () => {
  it.effect("is encoded and decoded with the schema of its pipeline", () =>
    Effect.gen(function*() {
      const snapshot = Snapshot.make({ input: { amount: 5, at: new Date(1) } })
      const json: unknown = JSON.parse(JSON.stringify(Snapshot.encode(snapshot, billing)))
      const back = yield* Snapshot.decode(json, { input: Bill })
      assert.deepStrictEqual(back.input, { amount: 5, at: new Date(1) })
      assert.strictEqual((yield* Pipeline.run(billing, back)).value, 4)
      assert.throws(() => Snapshot.encode(snapshot), /input\.at/)
      assert.throws(() => Snapshot.encode(Snapshot.make({ input: { amount: "x" } }), billing), /input\.amount/)
      const tampered = JSON.parse(JSON.stringify(json).replace("5", "\"x\"")) as unknown
      const invalid = yield* Effect.flip(Snapshot.decode(tampered, { input: Bill }))
      assert.include(invalid.message, "input.amount")
    }))

  it.effect("without a schema is plain data, and stays what it was through update and extend", () =>
    Effect.gen(function*() {
      const given = { list: [1, 2], none: undefined }
      const snapshot = Snapshot.make({ input: given }).pipe(Snapshot.update({ userId: "Ann" }))
      assert.deepStrictEqual(snapshot.input, { list: [1, 2], none: undefined })
      assert.isTrue(Object.isFrozen(snapshot.input.list))
      const back = yield* Snapshot.decode(JSON.parse(JSON.stringify(Snapshot.encode(snapshot))))
      assert.deepStrictEqual(back.input, given)
      const removed = Snapshot.update(snapshot, { input: undefined })
      assert.notProperty(removed, "input")
    }))
})
