import { assert, describe, it } from "@effect/vitest"
import { StageError } from "stageflow"
import * as Auth from "stageflow/auth"

describe("layerJwks", () => {
  const expectations = { issuer: "https://issuer.test", audience: "stageflow" }
  const refusalOf = (make: () => unknown): StageError.InvalidOption | undefined => {
    try {
      make()
    } catch (error) {
      assert(error instanceof StageError.InvalidOption, String(error))
      return error
    }
    return undefined
  }
  const optionOf = (make: () => unknown): string | undefined => refusalOf(make)?.option

  const url = "https://issuer.test/jwks"

  it("checks its options where they are given", () => {
    assert.strictEqual(optionOf(() => Auth.layerJwks({ ...expectations, url: "not a URL" })), "url")
    assert.strictEqual(optionOf(() => Auth.layerJwks({ ...expectations, url, algorithms: [] })), "algorithms")
    assert.strictEqual(optionOf(() => Auth.layerJwks({ ...expectations, url, timeout: 0 })), "timeout")
    assert.isUndefined(optionOf(() => Auth.layerJwks({ ...expectations, url })))
    assert.isUndefined(optionOf(() => Auth.layerJwks({ ...expectations, url, staleFor: 0, maxBytes: 1 })))
  })

  it("has no time without an end and no size without a limit", () => {
    for (const option of ["cacheFor", "staleFor", "cooldown", "retryAfter", "timeout", "clockTolerance"]) {
      for (const value of [Number.POSITIVE_INFINITY, Number.NaN, -1, "Infinity", "soon", null]) {
        const make = () => Auth.layerJwks({ ...expectations, url, [option]: value })
        assert.strictEqual(optionOf(make), option, `${option}: ${String(value)}`)
      }
    }
    for (const maxBytes of [0, -1, 1.5, Number.NaN, Number.POSITIVE_INFINITY, "unbounded", "1000", null]) {
      const settings: Readonly<Record<string, unknown>> = { maxBytes }
      assert.strictEqual(optionOf(() => Auth.layerJwks({ ...expectations, url, ...settings })), "maxBytes")
    }
  })

  it("takes no algorithm that has no public key", () => {
    for (const algorithms of [["none"], ["HS256"], ["RS256", "HS256"], "RS256", [undefined], null, {}]) {
      const settings: Readonly<Record<string, unknown>> = { algorithms }
      assert.strictEqual(optionOf(() => Auth.layerJwks({ ...expectations, url, ...settings })), "algorithms")
    }
  })

  it("takes no address that nothing can be fetched from, and shows none", () => {
    const addresses = [
      "https://someone:secret@issuer.test/jwks",
      "https://someone:sec ret@:not a port/jwks",
      "file:///secret",
      "data:application/json,{\"keys\":[]}",
      "/secret",
      "",
      undefined,
      null,
      12
    ]
    for (const address of addresses) {
      const settings: Readonly<Record<string, unknown>> = { url: address }
      const error = refusalOf(() => Auth.layerJwks({ ...expectations, url, ...settings }))
      assert.strictEqual(error?.option, "url", String(address))
      assert.notInclude(JSON.stringify(error) + error?.message, "sec")
    }
  })
})
