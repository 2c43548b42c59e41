import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Fiber, Option } from "effect"
import { TestClock } from "effect/testing"
import { OutputBag, Pipeline, Snapshot, Stage, StageOutput } from "stageflow"

describe("R7 ok: the data is recorded and dependents may start; nothing is ok with {}", () => {
  it.effect("a plain object is the data of an Ok, with nothing beside it", () =>
    Effect.gen(function*() {
      const stage = Stage.transform("stage", { run: Effect.succeed({ text: "Hello", list: [1] }) })
      const { bag, outputs } = yield* Pipeline.run(Pipeline.make("ok").add(stage), Snapshot.make())
      const { artifacts, data, durationMs, events, version } = outputs.stage
      assert.strictEqual(outputs.stage._tag, "Ok")
      assert.deepStrictEqual(data, { text: "Hello", list: [1] })
      assert.deepStrictEqual([artifacts, events, version, durationMs], [[], [], undefined, 0])
      assert.deepStrictEqual(Option.getOrThrow(OutputBag.get(bag, "stage")).end, {
        _tag: "Settled",
        output: outputs.stage
      })
    }))

  it.effect("StageOutput.ok carries data, artifacts, events and a version, and the engine adds the duration", () =>
    Effect.gen(function*() {
      const stage = Stage.transform("stage", {
        run: Effect.as(
          Effect.sleep(250),
          StageOutput.ok({ text: "Hello" }, {
            artifacts: [{ type: "chart", payload: { points: [1] } }],
            events: [{ type: "made", data: 1 }],
            version: "v2"
          })
        )
      })
      const fiber = yield* Effect.forkChild(Pipeline.run(Pipeline.make("ok").add(stage), Snapshot.make()))
      yield* TestClock.adjust("1 second")
      const { artifacts, data, durationMs, events, version } = (yield* Fiber.join(fiber)).outputs.stage
      assert.deepStrictEqual(data, { text: "Hello" })
      assert.deepStrictEqual(artifacts, [{ type: "chart", payload: { points: [1] } }])
      assert.deepStrictEqual(events, [{ type: "made", data: 1 }])
      assert.deepStrictEqual([version, durationMs], ["v2", 250])
    }))

  const nothing = {
    "Effect.void": Stage.work("nothing", { run: Effect.void }),
    "undefined": Stage.work("nothing", { run: Effect.succeed(undefined) }),
    "a generator that returns nothing": Stage.work("nothing", {
      run: Effect.gen(function*() {
        yield* Effect.yieldNow
      })
    }),
    "StageOutput.ok()": Stage.work("nothing", { run: Effect.sync(() => StageOutput.ok()) }),
    "a promise of nothing": Stage.promise("nothing", { try: () => Promise.resolve(), catch: () => "never" as const }),
    "behind a timeout": Stage.work("nothing", { run: Effect.void }).pipe(
      Stage.timeout()
    )
  }
  for (const [title, stage] of Object.entries(nothing)) {
    it.effect(`${title} is Ok with {}, and its readers read {}`, () =>
      Effect.gen(function*() {
        const read = Stage.transform("read", {
          run: ({ nothing }: { readonly nothing: {} }) => Effect.succeed({ got: nothing })
        })
        const pipeline = Pipeline.make("nothing")
          .add(stage as Stage.Stage<"nothing", unknown, {}>)
          .add(read, { inputs: ["nothing"] })
        const { _tag, outputs } = yield* Pipeline.run(pipeline, Snapshot.make())
        assert.strictEqual(_tag, "Completed")
        assert.strictEqual(outputs.nothing._tag, "Ok")
        assert.deepStrictEqual(outputs.nothing.data, {})
        assert.deepStrictEqual(outputs.read.data, { got: {} })
      }))
  }

  it.effect("a dependent starts when the last of its dependencies is recorded, and not before", () =>
    Effect.gen(function*() {
      const log: Array<string> = []
      const gates = { a: yield* Deferred.make<void>(), b: yield* Deferred.make<void>() }
      const gated = (name: "a" | "b") =>
        Stage.transform(name as string, {
          run: Effect.gen(function*() {
            yield* Deferred.await(gates[name])
            log.push(`${name} ended`)
            return { name }
          })
        })
      const readers = [["only_a", ["a"]], ["only_b", ["b"]], ["both", ["a", "b"]]] as const
      const pipeline = yield* Pipeline.fromSpecs("gated", [
        { stage: gated("a") },
        { stage: gated("b") },
        ...readers.map(([name, names]) => ({
          stage: Stage.transform(name as string, {
            run: (inputs: object) =>
              Effect.sync(() => {
                log.push(`${name} started with ${Object.keys(inputs).join()}`)
              })
          }),
          inputs: names
        }))
      ])
      const handle = yield* Pipeline.start(pipeline, Snapshot.make())
      yield* TestClock.adjust(1)
      assert.deepStrictEqual(log, [])
      yield* Deferred.succeed(gates.b, undefined)
      yield* TestClock.adjust(1)
      assert.deepStrictEqual(log, ["b ended", "only_b started with b"])
      const status: Readonly<Record<string, string>> = yield* handle.status
      assert.deepStrictEqual(status, { a: "running", b: "ok", only_a: "pending", only_b: "ok", both: "pending" })
      yield* Deferred.succeed(gates.a, undefined)
      yield* handle.await
      assert.sameMembers(log.slice(2), ["a ended", "only_a started with a", "both started with a,b"])
      assert.strictEqual(log[2], "a ended")
    }).pipe(Effect.scoped))

  it.effect("order alone waits as data does", () =>
    Effect.gen(function*() {
      const log: Array<string> = []
      const write = (name: string, duration: number) =>
        Stage.work(name, { run: Effect.andThen(Effect.sleep(duration), Effect.sync(() => void log.push(name))) })
      const pipeline = yield* Pipeline.fromSpecs("order", [
        { stage: write("third", 0), after: ["second", "first"] },
        { stage: write("second", 1), after: ["first"] },
        { stage: write("first", 100) }
      ])
      const fiber = yield* Effect.forkChild(Pipeline.run(pipeline, Snapshot.make()))
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(fiber)
      assert.deepStrictEqual(log, ["first", "second", "third"])
    }))
})
