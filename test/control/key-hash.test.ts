import { assert, describe, it } from "@effect/vitest"
import { hashOf, placeOf } from "../../src/control/internal/key-hash.ts"

describe("hashOf", () => {
  // The published values of MurmurHash3_x86_32.
  const published: ReadonlyArray<readonly [text: string, seed: number, hash: number]> = [
    ["", 0, 0],
    ["", 1, 0x514e28b7],
    ["", 0xffffffff, 0x81f16f39],
    ["a", 0x9747b28c, 0x7fa09ea6],
    ["aa", 0x9747b28c, 0x5d211726],
    ["aaa", 0x9747b28c, 0x283e0130],
    ["aaaa", 0x9747b28c, 0x5a97808a],
    ["ππππππππ", 0x9747b28c, 0xd58063c1],
    ["Hello, world!", 0x9747b28c, 0x24884cba],
    ["The quick brown fox jumps over the lazy dog", 0x9747b28c, 0x2fa826cd]
  ]
  for (const [text, seed, hash] of published) {
    it(`is what it is everywhere: ${JSON.stringify(text)} with ${seed}`, () => {
      assert.strictEqual(hashOf(text, seed), hash)
    })
  }
})

describe("placeOf", () => {
  it("is between 0 and 1, the same for the same key, and another one under another salt", () => {
    for (let number = 0; number < 1000; number++) {
      const place = placeOf(`user-${number}`, "one")
      assert.isTrue(place >= 0 && place < 1)
      assert.strictEqual(place, placeOf(`user-${number}`, "one"))
      assert.notStrictEqual(place, placeOf(`user-${number}`, "other"))
    }
  })
})
