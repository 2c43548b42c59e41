import { assert, describe, it } from "@effect/vitest"
import { Cause, DateTime, Effect, Option, Schedule, Schema } from "effect"
import { EventSink, OutputBag, Pipeline, Snapshot, Source, Stage, StageError, StageOutput } from "stageflow"
import { Counter } from "./support/stages.ts"

const Profile = Schema.Struct({
  profile: Schema.Struct({
    name: Schema.String,
    age: Schema.Int.check(Schema.isGreaterThan(0)),
    tags: Schema.Array(Schema.String)
  })
})

type Profile = typeof Profile.Type

/** A stage that gives what its schema does not allow, as only a cast can. */
const giving = (data: unknown) => Stage.enrich("profile", { output: Profile, run: Effect.sync(() => data as Profile) })

const problemsOf = (error: unknown) => {
  assert.instanceOf(error, StageError.StageFault)
  assert.strictEqual(error.stage, "profile")
  assert.strictEqual(error.reason._tag, "InvalidOutput")
  return error.reason._tag === "InvalidOutput" ? error.reason.problems : []
}

const pathsOf = (error: unknown) => problemsOf(error).map(({ path }) => path.join("."))

describe("R14 data is validated at the producer: the failure names it and the path, and no reader ever runs", () => {
  it.effect("data that fits passes, and its readers read it", () =>
    Effect.gen(function*() {
      const read = Stage.transform("read", {
        run: ({ profile }: { readonly profile: Profile }) => Effect.succeed({ name: profile.profile.name })
      })
      const data = { profile: { name: "Ada", age: 36, tags: ["x"] } }
      const { outputs } = yield* Pipeline.run(
        Pipeline.make("valid").add(giving(data)).add(read, { inputs: ["profile"] }),
        Snapshot.make()
      )
      assert.deepStrictEqual([outputs.profile.data, outputs.read.data], [data, { name: "Ada" }])
    }))

  const wrong: Readonly<Record<string, readonly [data: unknown, paths: ReadonlyArray<string>]>> = {
    "a wrong type inside": [{ profile: { name: 1, age: 36, tags: [] } }, ["profile.name"]],
    "a missing key": [{ profile: { age: 36, tags: [] } }, ["profile.name"]],
    "a missing object": [{}, ["profile"]],
    "an element of an array": [{ profile: { name: "Ada", age: 36, tags: ["x", 2] } }, ["profile.tags.1"]],
    "a check that does not hold": [{ profile: { name: "Ada", age: -1, tags: [] } }, ["profile.age"]],
    "several at once": [{ profile: { name: 1, age: "x", tags: "y" } }, ["profile.name", "profile.age", "profile.tags"]],
    "undefined where there must be something": [
      { profile: { name: undefined, age: 36, tags: [] } },
      ["profile.name"]
    ],
    "nothing at all": [undefined, ["profile"]]
  }
  for (const [title, [data, paths]] of Object.entries(wrong)) {
    it.effect(`${title} fails the producer with its path`, () =>
      Effect.gen(function*() {
        for (const value of [data, StageOutput.ok(data as object)]) {
          const counter = new Counter()
          const reader = Stage.transform("reader", {
            run: (_: { readonly it: unknown }) => Effect.sync(() => counter.add("reader"))
          })
          const pipeline = Pipeline.make("invalid")
            .add(giving(value))
            .add(reader, (s) => ({ inputs: { it: s.profile } }))
            .add(Stage.as(reader, "optional"), (s) => ({ inputs: { it: s.profile.option } }))
            .add(Stage.as(reader, "output"), (s) => ({ inputs: { it: s.profile.output } }))
            .add(Stage.as(reader, "condition"), (s) => ({
              when: s.profile.map(() => {
                counter.add("condition")
                return true
              }),
              inputs: { it: Source.succeed(1) }
            }))
            .add(counter.stage("after"), { after: ["profile"] })
          const failed = yield* Effect.flip(Pipeline.run(pipeline, Snapshot.make()))
          assert.strictEqual(failed.stage, "profile")
          assert.deepStrictEqual(pathsOf(failed.error), paths)
          assert.include(failed.message, "profile")
          for (const path of paths) assert.include(failed.message, path)
          assert.deepStrictEqual(Object.keys(failed.outputs), [])
          assert.deepStrictEqual(failed.neverStarted, ["reader", "optional", "output", "condition", "after"])
          assert.deepStrictEqual(counter.names, [])
        }
      }))
  }

  it.effect("with failure: \"continue\" its readers are blocked, and no reader runs", () =>
    Effect.gen(function*() {
      const counter = new Counter()
      const pipeline = Pipeline.make("invalid")
        .add(giving({ profile: {} }))
        .add(counter.stage("after"), { after: ["profile"] })
        .add(counter.stage("other"))
      const result = yield* Pipeline.run(pipeline, Snapshot.make(), { failure: "continue" })
      assert.strictEqual(result._tag, "Incomplete")
      if (result._tag !== "Incomplete") return
      assert.deepStrictEqual([result.failed, result.blocked, counter.names], [["profile"], ["after"], ["other"]])
    }))

  it.effect("the rejected values themselves are not in the message, the problems or the events", () =>
    Effect.gen(function*() {
      const secret = "hunter2"
      const failed = yield* Effect.flip(
        Pipeline.run(
          Pipeline.make("secret").add(giving({ profile: { name: "Ada", age: secret, tags: { secret } } })),
          Snapshot.make()
        )
      )
      const memory = yield* EventSink.Memory
      const told = [failed.message, problemsOf(failed.error), yield* memory.events]
      assert.notInclude(JSON.stringify(told), secret)
    }).pipe(Effect.provide(EventSink.layerMemory)))

  it.effect("artifacts, events and version beside valid data stay", () =>
    Effect.gen(function*() {
      const data = { profile: { name: "Ada", age: 36, tags: [] } }
      const details = { artifacts: [{ type: "a", payload: 1 }], events: [{ type: "e", data: 2 }], version: "v1" }
      const { outputs } = yield* Pipeline.run(
        Pipeline.make("details").add(giving(StageOutput.ok(data, details))),
        Snapshot.make()
      )
      const { artifacts, events, version } = outputs.profile
      assert.deepStrictEqual({ artifacts, events, version }, details)
    }))

  it.effect("the other outcomes have no data to validate", () =>
    Effect.gen(function*() {
      const ends = [StageOutput.skip("no"), StageOutput.cancel("no"), StageOutput.fail("no"), StageOutput.retry("no")]
      const tags = yield* Effect.forEach(ends, (end) => {
        const stage = Stage.enrich("profile", { output: Profile, run: Effect.sync(() => end) })
        return Effect.match(Pipeline.run(Pipeline.make("others").add(stage), Snapshot.make()), {
          onSuccess: ({ _tag }) => _tag,
          onFailure: ({ error }) => error instanceof StageError.StageFault ? "fault" : "typed"
        })
      })
      assert.deepStrictEqual(tags, ["Completed", "Cancelled", "typed", "typed"])
    }))

  it.effect("data is validated as it is: what the schema would decode or strip is neither decoded nor accepted", () =>
    Effect.gen(function*() {
      const Dated = Schema.Struct({
        at: Schema.DateTimeUtcFromString,
        count: Schema.NumberFromString,
        maybe: Schema.Option(Schema.String)
      })
      const stage = (data: unknown) =>
        Stage.enrich("profile", { output: Dated, run: Effect.sync(() => data as typeof Dated.Type) })
      const good = { at: DateTime.makeUnsafe(0), count: 1, maybe: Option.some("x") }
      const { outputs } = yield* Pipeline.run(Pipeline.make("dated").add(stage(good)), Snapshot.make())
      assert.deepStrictEqual(outputs.profile.data, good)
      const encoded = { at: "1970-01-01T00:00:00.000Z", count: "1", maybe: { _tag: "Some", value: "x" } }
      const failed = yield* Effect.flip(Pipeline.run(Pipeline.make("dated").add(stage(encoded)), Snapshot.make()))
      assert.deepStrictEqual(pathsOf(failed.error), ["at", "count", "maybe"])
    }))

  it.effect("it is the stage's own data that is validated, before mapOutput changes it", () =>
    Effect.gen(function*() {
      const counter = new Counter()
      const mapped = giving({ profile: {} }).pipe(Stage.mapOutput(() => {
        counter.add("mapped")
        return { fine: true }
      }))
      const failed = yield* Effect.flip(Pipeline.run(Pipeline.make("mapped").add(mapped), Snapshot.make()))
      assert.strictEqual(pathsOf(failed.error)[0], "profile.name")
      assert.strictEqual(counter.total, 0)
    }))

  it.effect("it is a fault: not retried unless faults are, and not caught as a typed error", () =>
    Effect.gen(function*() {
      const attemptsWith = Effect.fnUntraced(function*(faults: boolean) {
        const stage = giving({ profile: {} }).pipe(
          Stage.retry({ schedule: Schedule.recurs(2), faults }),
          Stage.catch(() => Effect.succeed({ profile: { name: "caught", age: 1, tags: [] } }))
        )
        const failed = yield* Effect.flip(Pipeline.run(Pipeline.make("fault").add(stage), Snapshot.make()))
        assert.isFalse(Cause.hasInterrupts(failed.cause))
        return OutputBag.attempts(failed.bag, "profile").length
      })
      assert.deepStrictEqual([yield* attemptsWith(false), yield* attemptsWith(true)], [1, 3])
    }))

  it.effect("a schema whose check throws fails the producer as well", () =>
    Effect.gen(function*() {
      const Rude = Schema.Struct({
        a: Schema.String.check(Schema.makeFilter(() => {
          throw new Error("hunter2")
        }))
      })
      const counter = new Counter()
      const stage = Stage.enrich("profile", { output: Rude, run: Effect.succeed({ a: "x" }) })
      for (const wrapped of [stage, Stage.timeout(stage)]) {
        const failed = yield* Effect.flip(Pipeline.run(
          Pipeline.make("rude").add(wrapped).add(counter.stage("after"), { after: ["profile"] }),
          Snapshot.make()
        ))
        assert.strictEqual(failed.stage, "profile")
        assert.deepStrictEqual(problemsOf(failed.error).map(({ message }) => message), [
          "Its schema threw when it was checked (see `cause`)"
        ])
        assert.isTrue(Cause.hasDies(failed.cause))
        assert.notInclude(failed.message, "hunter2")
        assert.strictEqual(counter.total, 0)
      }
    }))

  interface Nested {
    readonly inner?: Nested
  }
  const Nested = Schema.Struct({ inner: Schema.optionalKey(Schema.suspend((): Schema.Codec<Nested> => Nested)) })
  const nested = (depth: number): Nested => Array.from({ length: depth }).reduce<Nested>((inner) => ({ inner }), {})
  for (const depth of [100, 640, 2_000, 20_000, 100_000]) {
    it.effect(`data nested ${depth} deep is valid, or too deep for its schema: never a defect`, () =>
      Effect.gen(function*() {
        const data = nested(depth)
        const stage = Stage.enrich("profile", { output: Nested, run: Effect.sync(() => data) })
        const inChild = Stage.enrich("profile", {
          run: Effect.flatMap(Snapshot.current, () => Pipeline.run(Pipeline.make("child").add(stage), Snapshot.make()))
        })
        for (const wrapped of [stage, Stage.timeout(stage), Stage.retry(stage, { attempts: 2 })]) {
          const exit = yield* Effect.result(Pipeline.run(Pipeline.make("deep").add(wrapped), Snapshot.make()))
          if (exit._tag === "Success") {
            assert.isAtMost(depth, 2_000)
            continue
          }
          assert.isAtLeast(depth, 640)
          assert.strictEqual(exit.failure.stage, "profile")
          assert.deepStrictEqual(problemsOf(exit.failure.error).map(({ message }) => message), [
            "It is nested too deep for its schema"
          ])
          assert.strictEqual(exit.failure.attempts, 1)
        }
        const parent = yield* Effect.result(Pipeline.run(Pipeline.make("parent").add(inChild), Snapshot.make()))
        if (parent._tag === "Failure") assert.notInclude(parent.failure.message, "defect")
      }))
  }

  it.effect("data that only its type can tell to be wider loses what its schema does not name, as documented", () =>
    Effect.gen(function*() {
      const Answer = Schema.Struct({ text: Schema.String, by: Schema.Struct({ name: Schema.String }) })
      const wide = { text: "hello", secret: "hunter2", by: { name: "Ada", age: 36 } }
      const answer = Stage.transform("answer", { output: Answer, run: Effect.sync(() => wide) })
      const read = Stage.transform("read", {
        run: ({ answer }: { readonly answer: object }) => Effect.succeed({ keys: Object.keys(answer) })
      })
      const { outputs } = yield* Pipeline.run(
        Pipeline.make("wide").add(answer).add(read, { inputs: ["answer"] }),
        Snapshot.make()
      )
      assert.deepStrictEqual(outputs.answer.data, { text: "hello", by: { name: "Ada" } })
      assert.deepStrictEqual(outputs.read.data, { keys: ["text", "by"] })
      assert.deepStrictEqual(wide, { text: "hello", secret: "hunter2", by: { name: "Ada", age: 36 } })
      // A record keeps every key: its schema names them all.
      const open = Stage.transform("answer", {
        output: Schema.StructWithRest(Schema.Struct({ text: Schema.String }), [
          Schema.Record(Schema.String, Schema.Unknown)
        ]),
        run: Effect.sync(() => wide)
      })
      const kept = yield* Pipeline.run(Pipeline.make("open").add(open), Snapshot.make())
      assert.deepStrictEqual(kept.outputs.answer.data, wide)
    }))
})
