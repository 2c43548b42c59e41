import { assert, describe, it } from "@effect/vitest"
import { stepLimit, Suggestions } from "../../src/internal/nearest-name.ts"

const numbered = (count: number, name: (index: number) => string): ReadonlySet<string> =>
  new Set(Array.from({ length: count }, (_, index) => name(index)))

describe("suggestions for unknown names take a bounded number of steps", () => {
  it("50 unknown names of 2,000 letters among 50 known ones take next to none", () => {
    const known = numbered(50, (index) => `${"abcdefghij".repeat(200)}${index}`)
    const suggestions = new Suggestions(known)
    for (const name of known) assert.isUndefined(suggestions.nearest(`${name}!`, ""))
    assert.isBelow(suggestions.steps, 10_000)
  })

  it("one unknown name of any length takes no more", () => {
    const suggestions = new Suggestions(new Set(["a".repeat(10_000_000), "b"]))
    assert.isUndefined(suggestions.nearest("a".repeat(9_999_999), ""))
    assert.isBelow(suggestions.steps, 10)
  })

  it("thousands of unknown names, each like every known one, stop at the limit", () => {
    const letters = "abcdefghij".repeat(9)
    const suggestions = new Suggestions(numbered(2_000, (index) => `${index}${letters}${index}`.slice(0, 98)))
    let suggested = 0
    for (let index = 0; index < 5_000; index++) {
      if (suggestions.nearest(`${letters}${index}`.slice(0, 98), "") !== undefined) suggested++
    }
    assert.isAbove(suggestions.steps, stepLimit / 2)
    // The comparison that is under way when the limit is reached is carried to its end.
    assert.isBelow(suggestions.steps, stepLimit + 20_000)
    assert.isBelow(suggested, 5_000)
  })

  it("one mistyped name among 20,000 known ones is within the limit", () => {
    const suggestions = new Suggestions(numbered(20_000, (index) => `stage ${index}`))
    assert.strictEqual(suggestions.nearest("stagee 19998", ""), "stage 19998")
    assert.isBelow(suggestions.steps, stepLimit)
  })
})
