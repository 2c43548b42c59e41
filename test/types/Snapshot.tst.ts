import { Effect, Schema } from "effect"
import { Extension, Pipeline, Snapshot, Stage, type StageContext } from "stageflow"
import { describe, expect, test } from "tstyche"
import { base, skilled, Skills } from "./fixtures/world.ts"

class Locale extends Extension.make<Locale>()("locale", Schema.Struct({ language: Schema.String })) {}

const english = { language: "en" }
const both = base.add(skilled).add(Stage.work("local", { run: Effect.map(Locale, ({ language }) => ({ language })) }))

describe("what a snapshot carries", () => {
  test("nothing, until an extension is added", () => {
    expect(Snapshot.make()).type.toBe<Snapshot.With<never>>()
    expect(Snapshot.make().pipe(Snapshot.extend(Locale, english))).type.toBe<Snapshot.With<Locale>>()
    expect(Snapshot.extend(Snapshot.make(), Locale, english)).type.toBe<Snapshot.With<Locale>>()
    expect(Snapshot.make().pipe(Snapshot.extend(Locale, english), Snapshot.extend(Skills, { level: "expert" })))
      .type.toBe<Snapshot.With<Locale | Skills>>()
    expect<Snapshot.CarriedBy<Snapshot.With<Locale | Skills>>>().type.toBe<Locale | Skills>()
    expect<Snapshot.CarriedBy<Snapshot.Snapshot>>().type.toBe<never>()
  })

  test("what was decoded with it", () => {
    expect(Snapshot.decode({})).type.toBe<Effect.Effect<Snapshot.With<never>, Snapshot.SnapshotInvalid>>()
    expect(Snapshot.decode({}, { extensions: [Locale, Skills] })).type.toBe<
      Effect.Effect<Snapshot.With<Locale | Skills>, Snapshot.SnapshotInvalid>
    >()
  })

  test("a stage reads its value", () => {
    expect(Effect.map(Locale, (locale) => locale)).type.toBe<
      Effect.Effect<{ readonly language: string }, never, Locale>
    >()
    expect(Snapshot.current).type.toBe<Effect.Effect<Snapshot.Current, never, StageContext.StageContext>>()
    expect<Snapshot.Current["pipelineRunId"]>().type.toBe<string>()
    expect<Snapshot.Current["userId"]>().type.toBe<string | undefined>()
  })

  test("a stage hands it on with the evidence, and needs for that what it hands on", () => {
    expect(Snapshot.currentWith(Locale, Skills)).type.toBe<
      Effect.Effect<
        Snapshot.Current & Snapshot.With<Locale | Skills>,
        never,
        StageContext.StageContext | Locale | Skills
      >
    >()
    const child = Pipeline.make("child").add(skilled)
    const parent = Stage.work("parent", {
      run: Effect.flatMap(Snapshot.currentWith(Skills), (snapshot) => Effect.asVoid(Pipeline.run(child, snapshot)))
    })
    expect<Stage.Services<typeof parent>>().type.toBe<Skills>()
  })
})

describe("running what reads extensions", () => {
  test("takes a snapshot that carries all of them, or more", () => {
    const snapshot = Snapshot.make().pipe(
      Snapshot.extend(Locale, english),
      Snapshot.extend(Skills, { level: "expert" })
    )
    const program = Pipeline.run(both, snapshot)
    expect<Extract<Effect.Services<typeof program>, Locale | Skills>>().type.toBe<never>()
    expect(Pipeline.run).type.toBeCallableWith(both, snapshot)
    expect(Pipeline.start).type.toBeCallableWith(both, snapshot)
    expect(Pipeline.stream).type.toBeCallableWith(both, snapshot)
    expect(Pipeline.run).type.toBeCallableWith(base, snapshot)
    expect(both.pipe).type.toBeCallableWith(Pipeline.run(snapshot))
  })

  test("and no other", () => {
    const one = Snapshot.make().pipe(Snapshot.extend(Locale, english))
    expect(Pipeline.run).type.not.toBeCallableWith(both, one)
    expect(Pipeline.start).type.not.toBeCallableWith(both, one)
    expect(Pipeline.stream).type.not.toBeCallableWith(both, one)
    expect(Pipeline.run).type.not.toBeCallableWith(both, Snapshot.make())
    expect(both.pipe).type.not.toBeCallableWith(Pipeline.run(one))
  })

  test("whatever it carries that nobody reads is no matter", () => {
    const snapshot = Snapshot.make().pipe(Snapshot.extend(Skills, { level: "expert" }))
    const plain = Pipeline.make("plain").add(Stage.work("w", { run: Effect.void }))
    const program = Pipeline.run(plain, snapshot)
    expect<Effect.Services<typeof program>>().type.toBe<never>()
  })

  test("a value of another type is no value of the extension", () => {
    expect(Snapshot.extend).type.not.toBeCallableWith(Snapshot.make(), Locale, { language: 3 })
  })
})
