import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Layer, Redacted } from "effect"
import { TestClock } from "effect/testing"
import { type Event, EventSink } from "stageflow"
import { BufferedSink, Sinks } from "stageflow/observability"
import { emitted, event, events, settled } from "./support/events.ts"

/** A sink that keeps what it gets in `got`. */
const keeping = (got: Array<Event.Event>) =>
  Layer.succeed(EventSink.EventSink, {
    offer: (event: Event.Event) => {
      got.push(event)
    }
  })

const broken = Layer.succeed(EventSink.EventSink, {
  offer: () => {
    throw new Error("broken")
  }
})

const offered = <A, E, R>(
  layer: Layer.Layer<A | EventSink.EventSink, E, R>,
  ...all: ReadonlyArray<Event.Event>
) =>
  Effect.scoped(Effect.gen(function*() {
    const context = (yield* Layer.build(layer)) as Context.Context<EventSink.EventSink>
    for (const each of all) Context.get(context, EventSink.EventSink).offer(each)
  }))

/** What a sink gets of data that a stage emitted. */
const dataAfter = Effect.fnUntraced(function*(
  policy: ReadonlyArray<string> | Sinks.RedactionPolicy,
  data: unknown
) {
  const got: Array<Event.Event> = []
  yield* offered(Sinks.redact(keeping(got), policy), emitted(data))
  assert(got[0]?._tag === "StageEmitted")
  return got[0].data
})

describe("Sinks.combine", () => {
  it.effect("gives each sink every event, whatever the others do with it, and what else their Layers have", () =>
    Effect.gen(function*() {
      const got: Array<Event.Event> = []
      const vandal = Layer.succeed(EventSink.EventSink, {
        offer: (event: Event.Event) => Object.assign(event, { runId: "changed" })
      })
      const all = Sinks.combine(broken, vandal, EventSink.layerMemory, keeping(got))
      const kept = yield* Effect.gen(function*() {
        const sink = yield* EventSink.EventSink
        for (const each of events(2)) sink.offer(each)
        return yield* (yield* EventSink.Memory).events
      }).pipe(Effect.provide(all))
      assert.deepStrictEqual(kept, events(2))
      assert.deepStrictEqual(got, events(2))
    }))

  it.effect("closes each of them", () =>
    Effect.gen(function*() {
      const got: Array<string> = []
      const slow = (name: string) =>
        BufferedSink.layer((batch) => Effect.sync(() => got.push(`${name} ${batch.length}`)), {
          flushInterval: "1 hour"
        })
      yield* offered(Sinks.combine(slow("one"), slow("two")), ...events(3))
      assert.deepStrictEqual(got.toSorted(), ["one 3", "two 3"])
    }))
})

describe("Sinks.filter", () => {
  it.effect("lets through what the predicate says, and nothing when it throws", () =>
    Effect.gen(function*() {
      const got: Array<Event.Event> = []
      const odd = Sinks.filter(keeping(got), ({ sequence }) => sequence % 2 === 1)
      yield* offered(odd, ...events(4))
      assert.deepStrictEqual(got.map(({ sequence }) => sequence), [1, 3])
      yield* Effect.exit(offered(
        keeping(got).pipe(Sinks.filter(() => {
          throw new Error("predicate")
        })),
        event(5)
      ))
      assert.strictEqual(got.length, 2)
    }))
})

describe("Sinks.redact", () => {
  it.effect("masks fields of these names at any depth, in arrays, maps and instances", () =>
    Effect.gen(function*() {
      class User {
        readonly name = "Ada"
        readonly email = "ada@example.com"
      }
      const data = {
        email: "a@b",
        list: [{ email: "c@d", id: 1 }],
        map: new Map([["email", "e@f"], ["id", "2"]]),
        user: new User(),
        at: new Date(0)
      }
      assert.deepStrictEqual(yield* dataAfter(["email"], data), {
        email: "<redacted>",
        list: [{ email: "<redacted>", id: 1 }],
        map: { email: "<redacted>", id: "2" },
        user: { name: "Ada", email: "<redacted>" },
        at: "1970-01-01T00:00:00.000Z"
      })
    }))

  it.effect("never lets a Redacted value out, whatever the policy says", () =>
    Effect.gen(function*() {
      const secret = Redacted.make("hunter2", { label: "of Ada" })
      const data = { secret, in: [secret], set: new Set([secret]) }
      assert.deepStrictEqual(yield* dataAfter(() => false, data), {
        secret: "<redacted>",
        in: ["<redacted>"],
        set: ["<redacted>"]
      })
      assert.strictEqual(yield* dataAfter([], secret), "<redacted>")
    }))

  it.effect("asks a policy for each field, with the event and the way to it", () =>
    Effect.gen(function*() {
      const asked: Array<string> = []
      const got = yield* dataAfter(({ event, path, value }) => {
        asked.push(`${event._tag} ${path.join(".")}`)
        return value === 2
      }, { a: { b: [1, 2] } })
      assert.deepStrictEqual(got, { a: { b: [1, "<redacted>"] } })
      assert.deepStrictEqual(asked, ["", ".a", ".a.b", ".a.b.0", ".a.b.1"].map((path) => `StageEmitted data${path}`))
    }))

  it.effect("masks all of a content whose policy throws, or that cannot be read", () =>
    Effect.gen(function*() {
      const throwing = () => {
        throw new Error("policy")
      }
      assert.strictEqual(yield* dataAfter(throwing, { a: 1 }), "<redacted>")
      const hostile = {
        a: 1,
        get b(): string {
          throw new Error("getter")
        }
      }
      assert.strictEqual(yield* dataAfter([], hostile), "<redacted>")
      let deep: unknown = 1
      for (let level = 0; level < 100_000; level++) deep = [deep]
      assert.strictEqual(yield* dataAfter([], deep), "<redacted>")
      const circular: Record<string, unknown> = { a: 1 }
      circular["self"] = circular
      assert.deepStrictEqual(yield* dataAfter([], circular), { a: 1, self: "<circular>" })
    }))

  it.effect("masks messages and reasons, and leaves the event an event of its run", () =>
    Effect.gen(function*() {
      const of = { runId: "run", correlationId: "run", pipeline: "p", sequence: 1, at: 0, durationMs: 1 }
      const error = { tag: "Down", code: "DOWN", message: "secret" }
      const all: ReadonlyArray<Event.Event> = [
        { ...of, _tag: "StageFailed", stage: "s", attempt: 1, error },
        { ...of, _tag: "RunFailed", stage: "s", error },
        { ...of, _tag: "RunRejected", error },
        { ...of, _tag: "StageRetrying", stage: "s", attempt: 1, delayMs: 1, error, reason: "secret" },
        { ...of, _tag: "StageSkipped", stage: "s", attempt: 1, reason: "secret" },
        { ...of, _tag: "StageCancelled", stage: "s", attempt: 1, reason: "secret" },
        { ...of, _tag: "RunCancelled", reason: "secret" },
        { ...of, _tag: "ArtifactAdded", stage: "s", attempt: 1, type: "chart", payload: { message: "secret" } }
      ]
      const got: Array<Event.Event> = []
      yield* offered(Sinks.redact(keeping(got), ["message", "reason"]), ...all)
      assert.notInclude(JSON.stringify(got), "secret")
      assert.deepStrictEqual(
        got.map(({ _tag, runId, sequence }) => [_tag, runId, sequence]),
        all.map(({ _tag }) => [_tag, "run", 1])
      )
      assert.deepInclude(got[0], { error: { tag: "Down", code: "DOWN", message: "<redacted>" } })
      // What was offered is as it was.
      assert.include(JSON.stringify(all), "secret")
    }))
})

describe("Sinks.buffer", () => {
  it.effect("offers events later, in batches; what the sink throws is tried again where it was", () =>
    Effect.gen(function*() {
      const got: Array<number> = []
      let isDown = true
      const sink = Layer.succeed(EventSink.EventSink, {
        offer: ({ sequence }: Event.Event) => {
          if (sequence === 3 && isDown) throw new Error("down")
          got.push(sequence)
        }
      })
      yield* Effect.gen(function*() {
        const { offer } = yield* EventSink.EventSink
        for (const each of events(4)) offer(each)
        yield* settled
        assert.deepStrictEqual(got, [])
        yield* TestClock.adjust("10 seconds")
        assert.deepStrictEqual(got, [1, 2])
        isDown = false
        yield* TestClock.adjust("1 second")
        assert.deepStrictEqual(got, [1, 2, 3, 4])
      }).pipe(Effect.provide(Sinks.buffer(sink, BufferedSink.analytics)))
    }))
})
