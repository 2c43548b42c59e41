import { assert, describe, it } from "@effect/vitest"
import { DateTime, Effect, Option, Result, Schema } from "effect"
import { Extension, Pipeline, Snapshot, Stage } from "stageflow"

class Skills extends Extension.make<Skills>()(
  "skills",
  Schema.Struct({
    level: Schema.String,
    since: Schema.Date,
    mentor: Schema.Option(Schema.String),
    badge: Schema.Uint8Array
  })
) {}
class Flags extends Extension.make<Flags>()("flags", Schema.Struct({ beta: Schema.Boolean })) {}

const skills = { level: "expert", since: new Date(9), mentor: Option.some("Ada"), badge: new Uint8Array([7, 0]) }

const full = Snapshot.make({
  pipelineRunId: "run-1",
  requestId: "request-1",
  sessionId: "session-1",
  userId: "user-1",
  orgId: "org-1",
  interactionId: "interaction-1",
  topology: "chat_fast",
  executionMode: "practice",
  inputText: "Hello",
  messages: [
    { role: "user", content: "Hi", timestamp: DateTime.makeUnsafe(1000), metadata: { source: "web" } },
    { role: "assistant", content: "Hello!" }
  ],
  enrichments: {
    profile: { userId: "user-1", displayName: "Alice", preferences: { tone: "friendly" }, goals: ["learn"] },
    memory: { recentTopics: ["ai"], keyFacts: ["likes tea"], interactionHistorySummary: "short" },
    documents: [{ documentId: "d1", documentType: "script", blocks: [{ id: "b1" }], metadata: { version: 3 } }]
  },
  routingDecision: { agentId: "a", pipelineName: "p", topology: "t", reason: "r" },
  metadata: { nested: { list: [1, null, true] } }
}).pipe(Snapshot.extend(Skills, skills))

const throughText = (json: unknown): unknown => JSON.parse(JSON.stringify(json))

describe("Snapshot", () => {
  it.effect("encodes to JSON and back without loss", () =>
    Effect.gen(function*() {
      const json = throughText(Snapshot.encode(full))
      const back = yield* Snapshot.decode(json, { extensions: [Skills] })
      assert.deepStrictEqual({ ...back }, { ...full })
      assert.deepStrictEqual(throughText(Snapshot.encode(back)), json)
      const pipeline = Pipeline.make("p").add(Stage.transform("read", {
        run: Effect.gen(function*() {
          return { skills: yield* Skills }
        })
      }))
      const result = yield* Pipeline.run(pipeline, back)
      assert.deepStrictEqual(result.outputs.read.data.skills, skills)
    }))

  it.effect("a second extension leaves the first one there", () =>
    Effect.gen(function*() {
      const both = Snapshot.extend(full, Flags, { beta: true })
      const read = Stage.transform("read", {
        run: Effect.gen(function*() {
          return { level: (yield* Skills).level, beta: (yield* Flags).beta }
        })
      })
      const result = yield* Pipeline.run(Pipeline.make("p").add(read), both)
      assert.deepStrictEqual(result.outputs.read.data, { level: "expert", beta: true })
    }))

  it.effect("update changes fields and keeps what the snapshot carries", () =>
    Effect.gen(function*() {
      const changed = full.pipe(Snapshot.update({ userId: "user-2", sessionId: undefined }))
      assert.strictEqual(changed.userId, "user-2")
      assert.isFalse(Object.hasOwn(changed, "sessionId"))
      assert.strictEqual(full.userId, "user-1")
      const read = Stage.transform("read", { run: Effect.map(Skills, ({ level }) => ({ level })) })
      const result = yield* Pipeline.run(Pipeline.make("p").add(read), changed)
      assert.strictEqual(result.outputs.read.data.level, "expert")
    }))

  it.effect("every tampered field is a typed error with its path, all of them at once", () =>
    Effect.gen(function*() {
      const json = throughText(Snapshot.encode(full)) as {
        snapshot: { messages: Array<{ role: string }>; userId: unknown; extensions: { skills: { since: unknown } } }
      }
      json.snapshot.messages[1] = { ...json.snapshot.messages[1], role: "wizard" }
      json.snapshot.userId = ""
      const error = yield* Effect.flip(Snapshot.decode(json))
      assert.strictEqual(error.code, "SNAPSHOT_INVALID")
      const paths = error.problems.map(({ path }) => path.join("."))
      assert.include(paths, "snapshot.userId")
      assert.include(paths, "snapshot.messages.1.role")
    }))

  it.effect("an extension is decoded with its schema, and a missing one is an error", () =>
    Effect.gen(function*() {
      const json = throughText(Snapshot.encode(full)) as { snapshot: { extensions: { skills: { since: unknown } } } }
      const missing = yield* Effect.flip(Snapshot.decode(json, { extensions: [Flags] }))
      assert.deepStrictEqual(missing.problems[0]?.path, ["extensions", "flags"])
      json.snapshot.extensions.skills.since = "yesterday"
      const wrong = yield* Effect.flip(Snapshot.decode(json, { extensions: [Skills] }))
      assert.deepStrictEqual(wrong.problems[0]?.path, ["extensions", "skills", "since"])
    }))

  it("what the compiler cannot rule out is thrown by make and extend as decode tells it", () => {
    const Level = Schema.Struct({ level: Schema.String.check(Schema.isNonEmpty()) })
    class Strict extends Extension.make<Strict>()("strict", Level) {}
    const thrownBy = (make: () => unknown) => {
      const made = Result.try(make)
      assert(Result.isFailure(made) && made.failure instanceof Snapshot.SnapshotInvalid)
      assert.strictEqual(made.failure.code, "SNAPSHOT_INVALID")
      return made.failure.problems.map(({ path }) => path)
    }
    assert.deepStrictEqual(
      thrownBy(() => Snapshot.make({ userId: "", enrichments: { profile: { userId: "" } } })),
      [["userId"], ["enrichments", "profile", "userId"]]
    )
    assert.deepStrictEqual(
      thrownBy(() => Snapshot.extend(Snapshot.make(), Strict, { level: "" })),
      [["extensions", "strict", "level"]]
    )
  })

  it.effect("a newer version is a typed error", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(Snapshot.decode({ version: 2, snapshot: {} }))
      assert.strictEqual(error.code, "SNAPSHOT_NEWER_VERSION")
      assert.deepStrictEqual(error.problems[0]?.path, ["version"])
    }))

  it.effect("keys such as __proto__ are data and pollute nothing", () =>
    Effect.gen(function*() {
      const text = JSON.stringify(Snapshot.encode(Snapshot.make({ metadata: { a: 1 } })))
        .replace(`"metadata":{"a":1}`, `"metadata":{"__proto__":{"polluted":true},"constructor":1}`)
      const back = yield* Snapshot.decode(JSON.parse(text))
      assert.deepStrictEqual(Object.keys(back.metadata), ["__proto__", "constructor"])
      assert.isUndefined(({} as { readonly polluted?: boolean }).polluted)
      assert.strictEqual(JSON.stringify(Snapshot.encode(back)), text)
    }))

  it.effect("ids that the caller gives stay, the others are generated for each run", () =>
    Effect.gen(function*() {
      const seen = Stage.transform("seen", { run: Effect.map(Snapshot.current, (current) => ({ current })) })
      const pipeline = Pipeline.make("p").add(seen)
      const given = yield* Pipeline.run(pipeline, full)
      assert.strictEqual(given.identity.pipelineRunId, "run-1")
      assert.strictEqual(given.outputs.seen.data.current.orgId, "org-1")
      const empty = Snapshot.make()
      const first = yield* Pipeline.run(pipeline, empty)
      const second = yield* Pipeline.run(pipeline, empty)
      assert.notStrictEqual(first.identity.pipelineRunId, second.identity.pipelineRunId)
      assert.match(first.identity.requestId, /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
      assert.strictEqual(first.outputs.seen.data.current.pipelineRunId, first.identity.pipelineRunId)
    }))
})

describe("Snapshot.make of what no type allows", () => {
  const wrong: Readonly<Record<string, () => unknown>> = {
    "nothing": () => null,
    "a number": () => 5,
    "a list": () => [],
    "a getter that throws": () => ({
      metadata: {
        get data() {
          throw new Error("getter")
        }
      }
    }),
    "a Proxy that throws": () =>
      new Proxy({}, {
        ownKeys() {
          throw new Error("proxy")
        }
      })
  }
  for (const [what, make] of Object.entries(wrong)) {
    it(`${what} is SnapshotInvalid`, () => {
      const made = Result.try(() => Snapshot.make(make() as never))
      assert(Result.isFailure(made) && made.failure instanceof Snapshot.SnapshotInvalid, String(made))
    })
  }
})
