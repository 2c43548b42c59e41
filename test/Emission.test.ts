/**
 * Typed events of stages: emitted, recognised, read back, and picked from the stream of a run.
 */
import { assert, describe, it } from "@effect/vitest"
import { Cause, DateTime, Effect, Exit, Option, Schema, Stream } from "effect"
import { Emission, Event, EventSink, Pipeline, RunResult, Snapshot, Stage, StageContext, StageError } from "stageflow"
import { Subpipeline } from "stageflow/control"

class Token extends Emission.make<Token>()("token", Schema.Struct({ text: Schema.String })) {}
class Seen extends Emission.make<Seen>()("seen", Schema.Struct({ at: Schema.DateTimeUtcFromString })) {}

const noon = DateTime.makeUnsafe("2026-01-02T12:00:00.000Z")

const speaks = Stage.transform("speaks", {
  run: Effect.gen(function*() {
    yield* Token.emit({ text: "one" })
    yield* StageContext.emit("token", { text: 2 })
    yield* StageContext.emit("other", { text: "none" })
    yield* Seen.emit({ at: noon })
    yield* Token.emit({ text: "two" })
    return { done: true }
  })
})

const chat = Pipeline.make("chat").add(speaks)

describe("an emission", () => {
  it.effect("is an event with its name and data that JSON has", () =>
    Effect.gen(function*() {
      yield* Pipeline.run(chat, Snapshot.make())
      const events = yield* (yield* EventSink.Memory).events
      const emitted = events.filter((event) => event._tag === "StageEmitted")
      assert.deepStrictEqual(emitted.map(({ data, type }) => [type, data]), [
        ["token", { text: "one" }],
        ["token", { text: 2 }],
        ["other", { text: "none" }],
        ["seen", { at: "2026-01-02T12:00:00.000Z" }],
        ["token", { text: "two" }]
      ])
      assert.deepStrictEqual(events.filter(Token.is).map(({ data }) => data.text), ["one", "two"])
      assert.isTrue(emitted.every(({ data }) => Object.isFrozen(data)))
      const read = Schema.decodeUnknownSync(Schema.Array(Event.Event))(JSON.parse(JSON.stringify(events)))
      const seen = yield* Effect.forEach(read, (event) => Seen.decode(event))
      assert.deepStrictEqual(seen.flatMap(Option.toArray).map(({ at }) => DateTime.formatIso(at)), [
        "2026-01-02T12:00:00.000Z"
      ])
    }).pipe(Effect.provide(EventSink.layerMemory)))

  it.effect("that is none of its schema makes the stage die, with a defect that names it and not the data", () =>
    Effect.gen(function*() {
      const untyped = Token.emit as unknown as (data: unknown) => Effect.Effect<void, never, StageContext.StageContext>
      const wrong = Stage.work("wrong", { run: untyped({ text: Symbol("secret") }) })
      for (const heard of [true, false]) {
        const run = Effect.exit(Pipeline.run(Pipeline.make("p").add(wrong), Snapshot.make()))
        const exit = yield* heard ? Effect.provideService(run, EventSink.EventSink, { offer: () => {} }) : run
        assert(Exit.isFailure(exit))
        const failed = Option.getOrThrow(Cause.findErrorOption(exit.cause))
        assert(failed instanceof RunResult.StageFailed && failed.error instanceof StageError.StageFault)
        const [defect] = failed.cause.reasons.flatMap((reason) => Cause.isDieReason(reason) ? [reason.defect] : [])
        assert(defect instanceof Emission.EmissionInvalid)
        assert.deepStrictEqual([defect.emission, defect.stage, defect.code], ["token", "wrong", "EMISSION_INVALID"])
        assert.match(defect.message, /^Stage "wrong" emitted no valid "token": text: /)
        assert.notInclude(defect.message, "secret")
      }
    }))

  it("has a name and a schema", () => {
    assert.throws(() => Emission.make<Token>()(" ", Schema.String), StageError.InvalidOption)
    assert.throws(() => Emission.make<Token>()("token", {} as Schema.Codec<string>), StageError.InvalidOption)
    assert.isTrue(Emission.isEmission(Token))
    for (
      const none of [
        undefined,
        null,
        {},
        class None {
          none = true
        },
        Schema.String
      ]
    ) assert.isFalse(Emission.isEmission(none))
  })
})

describe("Pipeline.emitted", () => {
  it.effect("picks those of one kind, with the stage, the run and the attempt", () =>
    Effect.gen(function*() {
      const stream = Pipeline.stream(chat, Snapshot.make({ pipelineRunId: "run" }))
      const where = { runId: "run", stage: "speaks", attempt: 1 }
      assert.deepStrictEqual(yield* Stream.runCollect(stream.pipe(Pipeline.emitted(Token))), [
        { ...where, data: { text: "one" } },
        { ...where, data: { text: "two" } }
      ])
      const [seen] = yield* Stream.runCollect(Pipeline.emitted(stream, Seen))
      assert.isTrue(DateTime.isDateTime(seen?.data.at))
    }))

  it.effect("of runs inside, where the stream has their events", () =>
    Effect.gen(function*() {
      const parent = Pipeline.make("parent").add(Subpipeline.stage("inside", chat))
      const texts = (options: { readonly events?: "all" }) =>
        Pipeline.stream(parent, Snapshot.make(), options).pipe(
          Pipeline.emitted(Token),
          Stream.map(({ data }) => data.text),
          Stream.runCollect
        )
      assert.deepStrictEqual(yield* texts({ events: "all" }), ["one", "two"])
      assert.deepStrictEqual(yield* texts({}), [])
    }))

  it.effect("fails with what the run fails with, after what was emitted", () =>
    Effect.gen(function*() {
      const broken = Stage.work("broken", { run: Effect.andThen(Token.emit({ text: "last" }), Effect.fail("no")) })
      const texts: Array<string> = []
      const exit = yield* Pipeline.stream(Pipeline.make("p").add(broken), Snapshot.make()).pipe(
        Pipeline.emitted(Token),
        Stream.runForEach(({ data }) => Effect.sync(() => texts.push(data.text))),
        Effect.exit
      )
      assert.deepStrictEqual(texts, ["last"])
      assert(Exit.isFailure(exit))
      assert.instanceOf(Option.getOrThrow(Cause.findErrorOption(exit.cause)), RunResult.StageFailed)
    }))

  it("takes an emission class and nothing else", () => {
    const untyped = Pipeline.emitted as unknown as (emission: unknown) => (stream: unknown) => unknown
    for (
      const none of [
        undefined,
        {},
        class None {
          none = true
        },
        "token"
      ]
    ) {
      assert.throws(() => untyped(none)(Stream.empty), StageError.InvalidOption)
    }
  })
})
