import { assert, describe, it } from "@effect/vitest"
import { Option } from "effect"
import { fingerprint } from "../../src/internal/fingerprint.ts"

class Named extends Map<string, number> {
  readonly name: string
  constructor(name: string) {
    super()
    this.name = name
  }
}
class Coded extends Error {
  readonly code = 1
}
/** Shows nothing of what it holds. */
class Closed {
  readonly #held = 1
  get isOpen(): boolean {
    return this.#held === 0
  }
}
const symbol = Symbol("s")

describe("fingerprints", () => {
  const others: ReadonlyArray<readonly [what: string, one: unknown, other: unknown]> = [
    ["numbers", 1, 2],
    ["signs", [1, 2], [-1, -2]],
    ["a number and its text", 1, "1"],
    ["nothing and its word", null, "null"],
    ["texts", "ab", "ba"],
    ["texts of odd length", "a", "a\0"],
    ["where a list ends", [[1], 2], [[1, 2]]],
    ["a list and what it holds", [1], 1],
    ["a list and an object", [], {}],
    ["keys", { a: 1 }, { b: 1 }],
    ["a key and a value", { a: "b" }, ["a", "b"]],
    ["values deep inside", { a: [{ b: 1 }] }, { a: [{ b: 2 }] }],
    ["symbols", { [symbol]: 1 }, { [symbol]: 2 }],
    ["views of the same bytes", Uint8Array.of(1, 2), Int8Array.of(1, 2)],
    ["bytes", Uint8Array.of(1, 2, 3, 4, 5), Uint8Array.of(1, 2, 3, 4, 6)],
    ["what a class adds to a Map", new Named("a"), new Named("b")],
    ["errors of the same code", new Coded("a"), new Coded("b")],
    ["options", Option.some(1), Option.none()],
    ["dates", new Date(1), new Date(2)]
  ]
  for (const [what, one, other] of others) {
    it(`tell apart: ${what}`, () => assert.notStrictEqual(fingerprint(one), fingerprint(other)))
  }

  const once = { x: 1 }
  const same: ReadonlyArray<readonly [what: string, one: unknown, other: unknown]> = [
    ["keys in another order", { a: 1, b: 2 }, { b: 2, a: 1 }],
    ["a key without a value", { a: 1, b: undefined }, { a: 1 }],
    ["zeros", 0, -0],
    ["something twice, and two that are equal", { a: once, b: once }, { a: { x: 1 }, b: { x: 1 } }],
    ["bytes of a Buffer and of another view", Buffer.from([1, 2]), Uint8Array.of(1, 2)]
  ]
  for (const [what, one, other] of same) {
    it(`are the same: ${what}`, () => assert.strictEqual(fingerprint(one), fingerprint(other)))
  }

  it("throw where a value shows nothing, or contains itself", () => {
    const own: Record<string, unknown> = {}
    own["own"] = own
    for (const given of [() => 1, { f: () => 1 }, Symbol("s"), new Closed(), own]) {
      assert.throws(() => fingerprint(given))
    }
  })

  it("look once at what a value holds a million times, and as deep as it goes", () => {
    let shared: object = { x: 1 }
    for (let depth = 0; depth < 100; depth++) shared = { a: shared, b: shared }
    assert.isString(fingerprint(shared))
    let deep: object = {}
    for (let depth = 0; depth < 100_000; depth++) deep = { deep }
    assert.isString(fingerprint(deep))
  })
})
