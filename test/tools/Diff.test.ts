import "../support/seed.ts"
import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Effect, Result, Schema } from "effect"
import { Diff } from "stageflow/tools"

const keys = Schema.Literals(["a", "b", "a/b", "~", "~1", "", "__proto__", "constructor", "0"])
const Value: Schema.Codec<Schema.Json> = Schema.Union([
  Schema.Null,
  Schema.Boolean,
  Schema.Int,
  Schema.Literals(["", "x", "y"]),
  Schema.Array(Schema.suspend((): Schema.Codec<Schema.Json> => Value)),
  Schema.Record(keys, Schema.suspend((): Schema.Codec<Schema.Json> => Value))
]) as never
const Fields = Schema.Record(Schema.String, Value) as unknown as Schema.Codec<Schema.JsonObject>
const Lines = Schema.Array(Schema.Literals(["a\n", "b\n", "c\r\n", "--\n", "++ x\n", "end"]))

const roundTrip = Schema.fromJsonString(Schema.toCodecJson(Diff.Diff))

/** The new value, from a diff that was kept as JSON meanwhile. */
const applied = (diff: Diff.Diff, before: Schema.Json) =>
  Effect.gen(function*() {
    const kept = yield* Schema.encodeEffect(roundTrip)(diff)
    return Result.getOrThrow(Diff.apply(yield* Schema.decodeEffect(roundTrip)(kept), before))
  })

describe("a diff, applied to the old value, gives the new one", () => {
  it.effect.prop(
    "of JSON",
    [Arbitrary.schema(Value), Arbitrary.schema(Value)],
    ([before, after]) =>
      Effect.gen(function*() {
        // JSON has one zero.
        const made = yield* applied(Diff.json(before, after), before)
        assert.strictEqual(JSON.stringify(made), JSON.stringify(after))
        assert.isTrue(Diff.isEmpty(Diff.json(before, before)))
      })
  )

  it.effect.prop(
    "of fields",
    [Arbitrary.schema(Fields), Arbitrary.schema(Fields)],
    ([before, after]) =>
      Effect.gen(function*() {
        const made = yield* applied(Diff.fields(before, after), before)
        assert.isTrue(Diff.isEmpty(Diff.json(made, after)))
        assert.isTrue(Diff.isEmpty(Diff.fields(before, before)))
      })
  )

  it.effect.prop(
    "of text",
    [Arbitrary.schema(Lines), Arbitrary.schema(Lines)],
    ([before, after]) =>
      Effect.gen(function*() {
        const [old, now] = [before.join(""), after.join("")]
        const diff = Diff.text(old, now)
        assert.strictEqual(yield* applied(diff, old), now)
        assert.strictEqual(Diff.isEmpty(diff), old === now)
      })
  )
})

describe("a diff", () => {
  it("is shown to people", () => {
    assert.strictEqual(Diff.format(Diff.text("a\nb\n", "a\nc\n")), "@@ -1,2 +1,2 @@\n a\n-b\n+c\n")
    assert.deepInclude(Diff.text("--a\n", "++b\n++c\n"), { added: 2, removed: 1 })
    assert.strictEqual(
      Diff.format(Diff.json({ a: [1, 2, 3], "x/y": 1 }, { a: [1], "x/y": "z", b: null })),
      "remove /a/2\nremove /a/1\nadd /b null\nreplace /x~1y \"z\""
    )
    assert.strictEqual(
      Diff.format(Diff.fields({ a: { b: 1 }, c: 2 }, { a: { b: 2 }, d: 3 })),
      "a.b: 1 -> 2\nc: removed 2\nd: added 3"
    )
  })

  it("of another value is refused", () => {
    const cases: ReadonlyArray<readonly [Diff.Diff, Schema.Json]> = [
      [Diff.text("a\n", "b\n"), "c\n"],
      [Diff.text("a\n", "b\n"), 5],
      [Diff.json({ a: 1 }, {}), {}],
      [Diff.fields({ a: 1 }, {}), {}],
      [Diff.fields({}, { a: 1 }), { a: 2 }],
      [Diff.fields({ a: { b: 1 } }, { a: { b: 2 } }), { a: 5 }],
      [Diff.fields({}, {}), []]
    ]
    for (const [diff, value] of cases) {
      const result = Diff.apply(diff, value)
      assert.isTrue(Result.isFailure(result) && result.failure._tag === "DiffMismatch")
    }
  })
})
