import { assert, describe, it } from "@effect/vitest"
import { StageError } from "stageflow"
import * as Auth from "stageflow/auth"

describe("layerJwks", () => {
  const expectations = { issuer: "https://issuer.test", audience: "stageflow" }
  const optionOf = (make: () => unknown): string | undefined => {
    try {
      make()
    } catch (error) {
      return error instanceof StageError.InvalidOption ? error.option : String(error)
    }
    return undefined
  }

  it("checks its options where they are given", () => {
    const url = "https://issuer.test/jwks"
    assert.strictEqual(optionOf(() => Auth.layerJwks({ ...expectations, url: "not a URL" })), "url")
    assert.strictEqual(optionOf(() => Auth.layerJwks({ ...expectations, url, algorithms: [] })), "algorithms")
    assert.strictEqual(optionOf(() => Auth.layerJwks({ ...expectations, url, timeout: 0 })), "timeout")
    assert.isUndefined(optionOf(() => Auth.layerJwks({ ...expectations, url })))
  })
})
