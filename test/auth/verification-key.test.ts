import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit, Option, Redacted } from "effect"
import { TestClock } from "effect/testing"
import { generateKeyPairSync } from "node:crypto"
import { StageError } from "stageflow"
import * as Auth from "stageflow/auth"
import { audience, issuer, keyPair, now, token, verdict } from "./support/tokens.ts"

/** A key as untyped code may give it. */
const layerOf = (key: unknown) =>
  Auth.layerJwt({
    issuer,
    audience,
    // What is no key is what is asked about.
    key: key as Auth.Key
  })

/** How building the verifier fails: with a typed error, however the key was given. */
const refusal = (key: unknown) =>
  Effect.suspend(() => Effect.provide(Auth.TokenVerifier, layerOf(key))).pipe(
    Effect.exit,
    Effect.map((exit) => {
      assert(Exit.isFailure(exit), "the verifier started")
      const error = Option.getOrUndefined(Cause.findErrorOption(exit.cause))
      assert(error instanceof StageError.InvalidOption, `no typed error: ${Cause.pretty(exit.cause)}`)
      return error
    })
  )

const rsaPublicKey = (modulusLength: number) => generateKeyPairSync("rsa", { modulusLength }).publicKey

describe("the key of layerJwt", () => {
  it.effect("a symmetric JWK does not go with an algorithm of public keys", () =>
    Effect.gen(function*() {
      const error = yield* refusal({ algorithm: "RS256", publicKey: { kty: "oct", k: "c2VjcmV0LXNlY3JldC1zZWNyZXQ" } })
      assert.strictEqual(error.option, "publicKey")
      assert.include(error.message, "a symmetric key")
      assert.notInclude(JSON.stringify(error) + error.message, "c2VjcmV0")
    }))

  for (const algorithm of ["RS256", "ES256", "EdDSA"] as const) {
    it.effect(`a private ${algorithm} key is refused, and not shown`, () =>
      Effect.gen(function*() {
        const { privateJwk } = yield* keyPair(algorithm, "k")
        const error = yield* refusal({ algorithm, publicKey: privateJwk })
        assert.strictEqual(error.option, "publicKey")
        assert.include(error.message, "a private key")
        assert.notInclude(JSON.stringify(error) + error.message, String(privateJwk["d"]))
      }))
  }

  it.effect("a private key as PEM is refused as what it is, and not shown", () =>
    Effect.gen(function*() {
      const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" })
      for (const type of ["pkcs8", "sec1"] as const) {
        const pem = privateKey.export({ format: "pem", type }).toString()
        const error = yield* refusal({ algorithm: "ES256", publicKey: pem })
        assert.include(error.message, "a private key")
        assert.notInclude(error.message, pem.split("\n")[1] ?? "")
      }
    }))

  it.effect("an RSA key that is too short is refused, as PEM and as JWK", () =>
    Effect.gen(function*() {
      const key = rsaPublicKey(1024)
      const pem = key.export({ format: "pem", type: "spki" }).toString()
      for (const publicKey of [pem, key.export({ format: "jwk" })]) {
        const error = yield* refusal({ algorithm: "RS256", publicKey })
        assert.include(error.message, "2,048")
        assert.include(error.message, "1024")
      }
    }))

  it.effect("an RSA key that no signature can be checked with, or that proves nothing, is refused", () =>
    Effect.gen(function*() {
      const jwk = rsaPublicKey(2048).export({ format: "jwk" })
      // With the exponent 1 a signature is the text itself: anybody can write it. An even one fits no key at all.
      for (const e of ["AQ", "Ag", "AA"]) {
        assert.include((yield* refusal({ algorithm: "RS256", publicKey: { ...jwk, e } })).message, "exponent")
      }
      const long = Buffer.alloc(4096, 255).toString("base64url")
      assert.include((yield* refusal({ algorithm: "RS256", publicKey: { ...jwk, n: long } })).message, "32768")
    }))

  it.effect("a JWK that says that it is for something else is refused", () =>
    Effect.gen(function*() {
      const { publicJwk } = yield* keyPair("RS256", "k")
      const others = {
        "another use": { ...publicJwk, use: "enc" },
        "another algorithm": { ...publicJwk, alg: "PS256" },
        "other operations": { ...publicJwk, key_ops: ["encrypt"] }
      }
      for (const [said, publicKey] of Object.entries(others)) {
        assert.include((yield* refusal({ algorithm: "RS256", publicKey })).message, said)
      }
      yield* refusal({ algorithm: "RS256", publicKey: { ...publicJwk, key_ops: [] } })
      yield* refusal({ algorithm: "RS256", publicKey: { ...publicJwk, key_ops: "verify" } })
    }))

  it.effect("a key of another type or on another curve is refused", () =>
    Effect.gen(function*() {
      const rsa = yield* keyPair("RS256", "k")
      const p384 = generateKeyPairSync("ec", { namedCurve: "P-384" }).publicKey
      const x25519 = generateKeyPairSync("x25519").publicKey
      yield* refusal({ algorithm: "ES256", publicKey: rsa.pem })
      yield* refusal({ algorithm: "ES256", publicKey: { ...rsa.publicJwk, alg: undefined } })
      yield* refusal({ algorithm: "ES256", publicKey: p384.export({ format: "jwk" }) })
      yield* refusal({ algorithm: "ES256", publicKey: p384.export({ format: "pem", type: "spki" }).toString() })
      yield* refusal({ algorithm: "EdDSA", publicKey: x25519.export({ format: "jwk" }) })
    }))

  it.effect("what is no key, from untyped code, is refused with a typed error", () =>
    Effect.gen(function*() {
      for (const publicKey of [undefined, null, 1, "", "key", [], {}, { kty: "RSA" }, new Map(), Symbol("key")]) {
        assert.strictEqual((yield* refusal({ algorithm: "RS256", publicKey })).option, "publicKey")
      }
      for (const key of [undefined, null, "RS256", {}, { algorithm: "none" }, { algorithm: "HS512", secret: "s" }]) {
        yield* refusal(key)
      }
    }))

  it.effect("a secret is redacted, long enough, and nothing that everybody knows", () =>
    Effect.gen(function*() {
      const { pem } = yield* keyPair("ES256", "k")
      const plain = "a secret in plain text, long enough for it"
      for (const secret of [Redacted.make("short"), plain, undefined, Redacted.make(12), Redacted.make(pem)]) {
        const error = yield* refusal({ algorithm: "HS256", secret })
        assert.strictEqual(error.option, "secret")
        for (const shown of ["short", plain, pem]) assert.notInclude(JSON.stringify(error) + error.message, shown)
      }
    }))

  it.effect("a key that can verify does", () =>
    Effect.gen(function*() {
      yield* TestClock.setTime(now * 1000)
      for (const algorithm of ["RS256", "ES256", "EdDSA"] as const) {
        const pair = yield* keyPair(algorithm, "k")
        const forVerifying = { ...pair.publicJwk, key_ops: ["verify"] }
        const padded = `\n${pair.pem}\n`
        for (const publicKey of [pair.pem, padded, pair.publicJwk, forVerifying]) {
          const said = yield* Effect.provide(verdict(token(pair)), layerOf({ algorithm, publicKey }))
          assert.strictEqual(said, "good", `${algorithm}: ${JSON.stringify(publicKey)}`)
        }
      }
    }))

  it.effect("a key that is changed after it was given changes nothing", () =>
    Effect.gen(function*() {
      yield* TestClock.setTime(now * 1000)
      const [mine, other] = [yield* keyPair("ES256", "k"), yield* keyPair("ES256", "k")]
      const publicKey: Record<string, unknown> = { ...mine.publicJwk }
      const issuers = [issuer]
      const layer = Auth.layerJwt({ issuer: issuers, audience, key: { algorithm: "ES256", publicKey } })
      Object.assign(publicKey, other.publicJwk)
      issuers[0] = "https://evil.test"
      assert.strictEqual(yield* Effect.provide(verdict(token(mine)), layer), "good")
    }))
})
