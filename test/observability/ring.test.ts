import { assert, describe, it } from "@effect/vitest"
import { Ring } from "../../src/internal/ring.ts"

describe("Ring", () => {
  it("gives back what was added, in its order, whatever was taken meanwhile", () => {
    for (const capacity of [1, 2, 3, 7]) {
      const ring = new Ring<number>(capacity)
      const expected: Array<number> = []
      let next = 0
      for (let step = 0; step < 200; step++) {
        if ((step * 7) % 3 !== 0 && expected.length < capacity) {
          ring.add(++next)
          expected.push(next)
        } else {
          assert.deepStrictEqual(ring.takeUpTo(step % 3), expected.splice(0, step % 3))
        }
        assert.deepStrictEqual([ring.size, ring.all], [expected.length, expected])
      }
    }
  })
})
