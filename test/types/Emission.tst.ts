import { type Effect, Schema, type Stream } from "effect"
import { Emission, type Event, Pipeline, Snapshot, type StageContext } from "stageflow"
import { describe, expect, test } from "tstyche"
import { base } from "./fixtures/world.ts"

class Token extends Emission.make<Token>()("token", Schema.Struct({ text: Schema.String })) {}
class Seen extends Emission.make<Seen>()("seen", Schema.Struct({ at: Schema.DateTimeUtcFromString })) {}

const stream = Pipeline.stream(base, Snapshot.make())

describe("an emission", () => {
  test("is emitted in a stage, and cannot fail", () => {
    expect(Token.emit({ text: "a" })).type.toBe<Effect.Effect<void, never, StageContext.StageContext>>()
    expect(Token.emit).type.not.toBeCallableWith({ text: 1 })
    expect(Token.emit).type.not.toBeCallableWith()
  })

  test("narrows an event to its type and to the data as it is written", () => {
    const event = {} as Event.Event
    if (Token.is(event)) expect(event.type).type.toBe<"token">()
    if (Seen.is(event)) expect(event.data.at).type.toBe<string>()
  })

  test("is picked from a stream, whose errors and needs stay", () => {
    const tokens = stream.pipe(Pipeline.emitted(Token))
    expect(tokens).type.toBe<
      Stream.Stream<
        Emission.Emitted<{ readonly text: string }>,
        Stream.Error<typeof stream>,
        Stream.Services<typeof stream>
      >
    >()
    expect(Pipeline.emitted(stream, Token)).type.toBe<typeof tokens>()
    expect(Pipeline.emitted).type.not.toBeCallableWith(Schema.String)
  })
})
